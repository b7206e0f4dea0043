//! The one table of functions: evaluator, cost and (to come) checker, documentation and the lint of versions read it.
//!
//! One file a library, as Kubernetes names them: `stdlib` (sizes, conversions), `strings` and `format`, `lists` (with sets),
//! `optional`, `regex`, `time`, and Kubernetes' own `url`, `ip`, `cidr`, `quantity`, `semver`, `named_format`, `jsonpatch`; `authorizer`
//! says why there is none. `strconv` holds what Go's error texts have in common.

mod authorizer;
pub(super) mod cidr;
pub(super) mod format;
mod ip;
mod jsonpatch;
pub(super) mod lists;
pub(super) mod named_format;
mod optional;
pub(super) mod quantity;
mod regex;
pub(super) mod semver;
pub(super) mod stdlib;
mod strconv;
mod strings;
pub(super) mod time;
pub(super) mod url;

pub(super) use authorizer::refusal;
pub(super) use regex::{Pattern, Patterns};

use super::cost::{self, Budget};
use super::error::EvaluationError;
use super::evaluate::Outcome;
use super::ir::{Call, Constant, Ir, Op};
use super::operate;
use super::types::Type;
use super::value::Value;

/// The most arguments that a function has, its receiver included.
pub(super) const MAX_ARGUMENTS: usize = 4;

/// What a call costs, charged before the function runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cost {
    /// 1
    Call,
    /// A tenth of the size of an argument, rounded up, times a factor.
    Size(usize, f64),
    /// A tenth of the size of the subject times a tenth of the size of what is looked for.
    Search,
    /// The subject's size times the pattern's.
    Regex,
    /// A sum of its own, of the arguments and of whether the overload is known before they are.
    Of(fn(&[Value<'_>], bool) -> u64),
    /// What the function charges itself, before it allocates.
    Own,
}

/// What a function is given besides its arguments.
pub(super) struct Context<'b> {
    pub(super) budget: &'b Budget<'b>,
    /// The compiled regular expression, where it is constant.
    pub(super) regex: Option<&'b Pattern>,
    /// Whether nothing is known, before the evaluation, of the items of the list that is the first argument.
    pub(super) open: bool,
}

/// A row of the table: one overload.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// Whether it is called as `x.f()`; the receiver is the first argument.
    pub(super) receiver: bool,
    pub(super) arguments: &'static [Type],
    pub(super) result: Type,
    pub(super) cost: Cost,
    /// Steps that running it takes, besides what is counted by the length of a text.
    pub(super) steps: u64,
    /// The first release of Kubernetes that has it.
    pub(super) since: &'static str,
    /// One line for the reference.
    pub(super) doc: &'static str,
    pub(super) run: for<'a> fn(&Context<'_>, &[Value<'a>]) -> Outcome<'a>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{} (Kubernetes {}): {}", self.name, self.arguments.len(), self.since, self.doc)
    }
}

/// A row; the arguments stand in the order in which a reader of the table wants them.
#[expect(clippy::too_many_arguments, reason = "a row of a table")]
const fn row(
    name: &'static str,
    receiver: bool,
    arguments: &'static [Type],
    result: Type,
    cost: Cost,
    since: &'static str,
    doc: &'static str,
    run: for<'a> fn(&Context<'_>, &[Value<'a>]) -> Outcome<'a>,
) -> Function {
    Function { name, receiver, arguments, result, cost, steps: 0, since, doc, run }
}

impl Function {
    /// The same row of a function that takes longer than its cost pays for.
    const fn taking(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }
}

/// Steps that finding a zone by its name takes.
const ZONE: u64 = 40;

/// Steps that reading a short text takes, such as an address.
const PARSED: u64 = 20;

/// Steps that making a text takes, of one item of a list.
const ITEM: u64 = 10;

const GLOBAL: bool = false;
const METHOD: bool = true;

/// Every row.
pub(super) fn table() -> impl Iterator<Item = &'static Function> {
    let libraries = [
        stdlib::FUNCTIONS,
        strings::FUNCTIONS,
        format::FUNCTIONS,
        lists::FUNCTIONS,
        optional::FUNCTIONS,
        regex::FUNCTIONS,
        url::FUNCTIONS,
        ip::FUNCTIONS,
        cidr::FUNCTIONS,
        quantity::FUNCTIONS,
        semver::FUNCTIONS,
        named_format::FUNCTIONS,
        jsonpatch::FUNCTIONS,
    ];
    libraries.into_iter().flatten().chain(time::functions())
}

/// The name as the table holds it, if there is a function of this name.
pub(super) fn known(name: &str, receiver: bool) -> Option<&'static str> {
    table().find(|function| function.receiver == receiver && function.name == name).map(|function| function.name)
}

/// The rows of a name.
pub(super) fn named(name: &str, receiver: bool) -> impl Iterator<Item = &'static Function> {
    table().filter(move |function| function.receiver == receiver && function.name == name)
}

/// The rows that a call may mean, by name and by what is known of the arguments' types.
pub(super) fn candidates(name: &str, receiver: bool, arguments: &[Ir]) -> Box<[&'static Function]> {
    named(name, receiver).filter(|function| may_take(function, arguments)).collect()
}

fn may_take(function: &Function, arguments: &[Ir]) -> bool {
    function.arguments.len() == arguments.len()
        && function.arguments.iter().zip(arguments).all(|(taken, argument)| taken.may_be(&argument.known_type()))
}

/// The conversions that cel-go runs when the expression is compiled, if their argument is constant.
const FOLDED: &[&str] = &["int", "uint", "double", "string", "bytes", "bool", "timestamp", "duration", "type", "dyn"];

/// Does what can be done once: a constant regular expression is compiled, a conversion of a constant is run.
///
/// # Errors
/// The position of the argument at fault and the message.
pub(super) fn prepare(mut call: Call) -> Result<Op, (usize, String)> {
    // Folding may have told more of the arguments than was known when the call was lowered.
    let fitting: Box<[_]> = call.candidates.iter().copied().filter(|function| may_take(function, &call.arguments)).collect();
    if !fitting.is_empty() {
        call.candidates = fitting;
    }
    let Some(function) = call.candidates.first() else { return Ok(Op::Call(Box::new(call))) };
    if let (Cost::Regex, Some(Ir { op: Op::Constant(constant), .. })) = (function.cost, call.arguments.get(1))
        && let Value::String(pattern) = constant.value()
    {
        // Kubernetes' validator of literals names the argument of the method `matches` only, and knows none inside `dyn`.
        let named = function.name == "matches" && function.receiver && !matches!(constant, Constant::Dyn(_));
        let refused = |error| (1, if named { format!("invalid matches argument: {error}") } else { error });
        call.regex = Some(regex::compile(pattern.as_str()).map_err(refused)?);
    }
    if FOLDED.contains(&function.name)
        && !function.receiver
        && let [Ir { op: Op::Constant(constant), .. }] = &*call.arguments
    {
        let budget = Budget::new(u64::MAX);
        let result =
            run(&call.candidates, &Context { budget: &budget, regex: None, open: false }, &[constant.value()]).map_err(|error| {
                // Kubernetes' validator of literals knows these two, but not inside `dyn`.
                let message = match (function.name, constant) {
                    ("timestamp" | "duration", plain) if !matches!(plain, Constant::Dyn(_)) => {
                        format!("invalid {} argument: {error}", function.name)
                    }
                    _ => error.to_string(),
                };
                (0, message)
            })?;
        if let Some(folded) = if function.name == "dyn" { Some(Constant::Dyn(constant.clone().into())) } else { Constant::of(&result) } {
            return Ok(Op::Constant(folded));
        }
    }
    if function.name == "format"
        && let [Ir { op: Op::Constant(Constant::String(text)), .. }, ..] = &*call.arguments
    {
        format::check(text, None).map_err(|message| (0, message))?;
    }
    Ok(Op::Call(Box::new(call)))
}

impl Call {
    /// Whether the first argument without a value ends the call, uncharged: so it is where cel-go does not know before how many arguments
    /// the implementation takes. Else two are both evaluated.
    pub(super) fn ends_early(&self) -> bool {
        let open = |argument: &Ir| match &argument.op {
            Op::OptionalOr { operands, value: true } => operands.iter().all(Ir::is_open),
            _ => argument.is_open(),
        };
        self.arguments.len() > 2
            || self.regex.is_some()
            || self.name == "format"
            || self.candidates.len() > 1 && self.arguments.iter().any(open)
    }
}

/// What cel-go charges for a call whose arguments could not all be evaluated: one that has no value has the size 1. `absent` has a bit for
/// each of these, from the lowest on.
///
/// # Errors
/// The end of the budget, or that what charges the call panics there.
pub(super) fn charge_failed(
    candidates: &[&'static Function],
    context: &Context<'_>,
    arguments: &[Value<'_>],
    absent: u8,
) -> Result<(), EvaluationError> {
    let Some(function) = candidates.first() else { return Ok(()) };
    let size = |position: usize| arguments.get(position).map_or(1, Value::cost_size);
    match (function.cost, function.name) {
        (Cost::Own, "lists.range" | "reverse" | "slice") => context.budget.charge(1 + cost::LIST + 1),
        (Cost::Own, "flatten") => {
            let levels = lists::levels(arguments, absent)?;
            context.budget.charge(size(0).saturating_mul(levels).saturating_add(1 + cost::LIST))
        }
        (Cost::Own, "distinct") => Err(lists::no_list(arguments, absent)),
        (Cost::Own, "sort") if !context.open && !matches!(arguments, [Value::List(_)]) => Err(lists::no_list(arguments, absent)),
        (Cost::Own, "sort" | "join") => context.budget.charge(1),
        (Cost::Own, "sets.contains" | "sets.intersects") => context.budget.charge(size(0).saturating_mul(size(1)).saturating_add(1)),
        (Cost::Own, "sets.equivalent") => context.budget.charge(size(0).saturating_mul(size(1)).saturating_mul(2).saturating_add(1)),
        (Cost::Own, "isSorted" | "sum" | "min" | "max" | "indexOf" | "lastIndexOf" | "includes") => {
            arguments.first().map_or(Ok(()), |first| lists::charge_walk(context, first))
        }
        (cost, _) => {
            charge_call(function, candidates.len() == 1, context, arguments)?;
            // An address that is to be read from a text which has no value.
            let text = matches!((cost, function.arguments), (Cost::Of(_), [_, Type::String])) && candidates.len() == 1;
            if text && absent & 2 != 0 { context.budget.charge(1) } else { Ok(()) }
        }
    }
}

fn charge_call(function: &Function, known: bool, context: &Context<'_>, arguments: &[Value<'_>]) -> Result<(), EvaluationError> {
    let size = |position: usize| arguments.get(position).map_or(1, Value::cost_size);
    // What is read of a text for nothing is counted all the same: it may be long.
    let read = || match arguments {
        [Value::Timestamp(_), Value::String(_)] => context.budget.free(ZONE),
        _ => context.budget.read(arguments.iter().map(Value::bytes).sum::<usize>().saturating_mul(2)),
    };
    match function.cost {
        // These two are charged by the overload, which is not known if nothing is of the argument.
        _ if context.open && matches!(function.name, "string" | "bytes") => {
            read()?;
            context.budget.charge(1)
        }
        Cost::Call => {
            read()?;
            context.budget.charge(1)
        }
        Cost::Size(position, factor) => context.budget.charge(cost::traversal(size(position), factor * 0.1)),
        // Of nothing, the other size does not matter either.
        Cost::Search if size(1) == 0 => context.budget.charge(0),
        Cost::Search => context.budget.charge(cost::traversal(size(0), 0.1).saturating_mul(cost::traversal(size(1), 0.1))),
        Cost::Regex if size(1) == 0 => context.budget.charge(0),
        Cost::Regex => context.budget.charge(cost::regex(size(0), size(1))),
        Cost::Of(sum) => context.budget.charge(sum(arguments, known)),
        Cost::Own => Ok(()),
    }
}

/// Runs the first candidate whose types fit.
pub(super) fn run<'a>(candidates: &[&'static Function], context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let fits = |function: &&&Function| function.arguments.iter().zip(arguments).all(|(taken, value)| taken.accepts(value));
    let Some(function) = candidates.iter().find(fits) else {
        charge_failed(candidates, context, arguments, 0)?;
        // cel-go's standard library says no more than this; its extensions name the function and the types.
        return match candidates.first().map_or("", |function| function.name) {
            "startsWith" | "endsWith" | "contains" => Err(EvaluationError::no_such_overload()),
            "matches" | "find" | "findAll" if context.regex.is_some() => Err(EvaluationError::no_such_overload()),
            "matches" => Err(operate::without_operator(arguments.first().unwrap_or(&Value::Null), "matches")),
            "sort" => Err(operate::without_operator(arguments.first().unwrap_or(&Value::Null), "sort")),
            "flatten" => {
                let receiver = arguments.first().map_or("dyn", Value::type_name);
                let receiver = if receiver == "map" { "map(dyn, dyn)" } else { receiver };
                let levels = if arguments.len() > 1 { "int" } else { "" };
                Err(EvaluationError::failed(format!("no such overload: {receiver}.flatten({levels})")))
            }
            "size" => Err(operate::without_operator(arguments.first().unwrap_or(&Value::Null), "size")),
            name => no_such_overload(name, arguments),
        };
    };
    charge_call(function, candidates.len() == 1, context, arguments)?;
    context.budget.free(function.steps)?;
    (function.run)(context, arguments)
}

/// What a function with detailed errors says to arguments that it does not take: `no such overload: join(list, string)`.
fn no_such_overload<'a>(name: &str, arguments: &[Value<'_>]) -> Outcome<'a> {
    let types: Vec<&str> = arguments.iter().map(Value::type_name).collect();
    Err(EvaluationError::failed(format!("no such overload: {name}({})", types.join(", "))))
}
