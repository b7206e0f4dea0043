//! Many expressions, a JSON document a line; every answer is written before the next line is read, so that a program can converse.

use std::io::{BufRead as _, Read as _, Write as _};

use serde_json::Value as Json;

use super::answer::{Answer, KEYS};
use super::scene::{Scene, beyond_int};
use crate::cel::{Budget, Expression};
use crate::cli::complain;
use crate::cli::exit::Exit;
use crate::manifest::MAX_FILE_BYTES;
use crate::object::{FieldPath, Kind, Node, Object, Operation};

/// Answers until standard input ends.
pub(super) fn run(scene: &Scene<'_>, limit: u64) -> Exit {
    // One thread on which every expression can be parsed; a stream would start one a line.
    let exits = Expression::map_on_parser_stacks(
        &[()],
        |()| converse(scene, limit),
        |(), reason| {
            complain(reason);
            Exit::Input
        },
    );
    exits.first().copied().unwrap_or(Exit::Clean)
}

fn converse(scene: &Scene<'_>, limit: u64) -> Exit {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut exit = Exit::Clean;
    let mut line = Vec::new();
    for number in 1_usize.. {
        line.clear();
        match (&mut input).take(MAX_FILE_BYTES as u64 + 1).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(length) if length > MAX_FILE_BYTES => {
                complain(format!("<stdin>:{number}: a line longer than {} MiB is not read", MAX_FILE_BYTES >> 20));
                return Exit::Input;
            }
            Ok(_) => {}
            Err(error) => {
                complain(format!("<stdin>:{number}: cannot be read: {error}"));
                return Exit::Input;
            }
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let answer = answer(&line, scene, limit).unwrap_or_else(|error| {
            exit = Exit::Input;
            format!("{}", serde_json::json!({"error": format!("<stdin>:{number}: {error}")}))
        });
        // A reader that went away is no error.
        if writeln!(output, "{answer}").and_then(|()| output.flush()).is_err() {
            break;
        }
    }
    exit
}

/// The line back with its answer, or why there is none.
fn answer(line: &[u8], scene: &Scene<'_>, limit: u64) -> Result<String, String> {
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8 text".to_owned())?;
    let question = Object::from_json(text.trim_end()).map_err(|error| format!("not valid JSON: {error}"))?;
    let root = question.root();
    let source = root.get("expr").and_then(Node::as_str).ok_or("must be an object with a string `expr`")?;
    let scene = match root.get("vars") {
        None => scene.clone(),
        Some(vars) if vars.kind() == Kind::Map => match beyond_int(vars, text) {
            None => scene.with(vars),
            Some(reason) => return Err(format!("`vars`: {reason}")),
        },
        Some(_) => return Err("`vars` must be an object whose keys are the names of variables".to_owned()),
    };
    let answer = match Expression::compile(source, scene.scope()) {
        Err(error) => Answer::of_mistake(&error, scene.scope()),
        Ok(expression) => {
            let budget = Budget::new(limit);
            Answer::of(expression.evaluate(&scene, &budget).as_ref(), budget.spent())
        }
    };
    let stale = KEYS.into_iter().filter(|key| root.entry(key).is_some()).map(|key| Operation::remove(FieldPath::of(&[key])));
    let fresh = answer.0.into_iter().map(|(key, value): (&str, Json)| Operation::add(FieldPath::of(&[key]), value));
    let operations: Vec<Operation> = stale.chain(fresh).collect();
    question.patched(&operations).map(|answered| answered.root().to_json()).map_err(|error| error.to_string())
}
