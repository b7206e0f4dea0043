//! Expressions: parsed, compiled, evaluated on the stack of a worker with a budget. Nothing panics or overflows; the same expression
//! gives the same answer at the same cost; an error points into the source; a value written as a literal is that value.
#![no_main]

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, OnceLock};

use doorward::cel::{Budget, CompileError, EvaluationError, Expression, Scope, Value, Variables};
use doorward::object::Object;
use doorward_fuzz::tokens;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

const LIMIT: u64 = 20_000;

struct Fixture(Object);

impl<'a> Variables<'a> for &'a Fixture {
    fn get(&self, slot: usize, _: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        match slot {
            0 => Ok(self.0.root().get("object").map_or(Value::Null, Value::from_node)),
            1 => Ok(Value::Null),
            2 => Ok(Value::borrowed("blue")),
            _ => Err(EvaluationError::Unknown("no such fact".to_owned())),
        }
    }
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| Fixture(Object::from_json(include_str!("../../src/cel/tests/variables.json")).expect("JSON")))
}

fn scope() -> Scope {
    Scope::new(&["object", "oldObject", "variables.team", "related.ids"])
}

/// The literal of the value or the text of the error, and the cost.
fn evaluate(expression: &Expression) -> (Result<String, String>, u64) {
    let budget = Budget::new(LIMIT);
    let outcome = match expression.evaluate(&fixture(), &budget) {
        Ok(value) => {
            let _ = value.to_json();
            Ok(value.to_literal(80))
        }
        Err(error) => Err(error.to_string()),
    };
    (outcome, budget.spent())
}

type Compiled = Result<Expression, CompileError>;

/// Compiles texts on one thread that can parse any of them; a thread for each would take longer than the text.
struct Compiler {
    questions: Sender<String>,
    answers: Receiver<Compiled>,
}

impl Compiler {
    fn start() -> Self {
        let (questions, asked) = channel::<String>();
        let (answer, answers) = channel();
        let serve = move |(asked, answer): &(Mutex<Receiver<String>>, Mutex<Sender<Compiled>>)| {
            let (asked, answer, scope) = (asked.lock().expect("one user"), answer.lock().expect("one user"), scope());
            while let Ok(source) = asked.recv() {
                let _ = answer.send(Expression::compile(&source, &scope));
            }
        };
        let ends = [(Mutex::new(asked), Mutex::new(answer))];
        std::thread::spawn(move || Expression::map_on_parser_stacks(&ends, serve, |_, reason| panic!("{reason}")));
        Self { questions, answers }
    }

    fn compile(&self, source: &str) -> Compiled {
        self.questions.send(source.to_owned()).expect("the compiler runs");
        self.answers.recv().expect("the compiler runs")
    }
}

fn judge(compiler: &Compiler, source: &str) {
    let expression = match compiler.compile(source) {
        Ok(expression) => expression,
        Err(error) => {
            assert!(!error.message.is_empty() && error.line > 0 && error.column > 0, "{error:?}");
            assert!(source.get(error.span.clone()).is_some(), "{error:?}");
            return;
        }
    };
    let (outcome, cost) = evaluate(&expression);
    let again = evaluate(&expression);
    assert_eq!((&outcome, cost), (&again.0, again.1), "the same twice");
    // What is cut short, and what is larger than an expression may be, is not read back.
    if let Ok(literal) = outcome
        && !literal.contains("...")
        && let Ok(again) = compiler.compile(&literal)
        && let (Ok(same), _) = evaluate(&again)
    {
        assert_eq!(same, literal);
    }
}

/// A thread with the stack of a worker of the server.
fn worker() -> &'static (SyncSender<String>, Mutex<Receiver<()>>) {
    static WORKER: OnceLock<(SyncSender<String>, Mutex<Receiver<()>>)> = OnceLock::new();
    WORKER.get_or_init(|| {
        let (sources, received) = sync_channel::<String>(1);
        let (done, judged) = channel();
        let work = move || {
            let compiler = Compiler::start();
            while let Ok(source) = received.recv() {
                judge(&compiler, &source);
                let _ = done.send(());
            }
        };
        std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(work).expect("a thread");
        (sources, Mutex::new(judged))
    })
}

fuzz_target!(|data: &[u8]| {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let (sources, judged) = worker();
    sources.send(source.to_owned()).expect("the worker runs");
    judged.lock().expect("one user").recv().expect("the worker runs");
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    let words = WORDS.get_or_init(|| tokens::dictionary(include_str!("../dict/cel.dict")));
    match std::str::from_utf8(&data[..size]) {
        Ok(source) if seed % 8 != 0 => {
            let changed = tokens::mutate(source, words, seed);
            let mut length = changed.len().min(max_size);
            while !changed.is_char_boundary(length) {
                length -= 1;
            }
            data[..length].copy_from_slice(&changed.as_bytes()[..length]);
            length
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
});
