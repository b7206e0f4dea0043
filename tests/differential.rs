//! Two evaluators, one answer: expressions of known types, made at random, give the same here and in the `cel` crate's interpreter, which
//! was written without ours.
//!
//! Left out is where that interpreter is known to differ from Kubernetes, so that agreeing with it would prove nothing:
//!
//! - `has()` of what is no map: an error there, false in Kubernetes
//! - `string()` of a double: `1000000` there, `1e+06` in cel-go; `bool('T')`
//! - a map literal with a key twice: an error there, the last one counts in Kubernetes
//! - keys that are null or doubles, regular expressions, timestamps, durations, loops over two variables, Kubernetes' own libraries:
//!   not there, or not with these features
//!
//! Of errors only that there is one is compared: their texts are compared with the API server's, in `src/cel/tests/conformance.rs`.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

use cel_interpreter::objects::Key;
use cel_interpreter::{Context, Program, Value as Theirs};
use doorward::cel::{Budget, EvaluationError, Expression, Scope, Value, Variables};
use doorward::object::Object;
use proptest::prelude::*;

/// The variables of both sides, by slot.
const NAMES: [&str; 4] = ["n", "s", "xs", "m"];

struct Ours(Object);

impl<'a> Variables<'a> for &'a Ours {
    fn get(&self, slot: usize, _: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        let value = NAMES.get(slot).and_then(|name| self.0.root().get(name));
        value.map(Value::from_node).ok_or_else(|| EvaluationError::Unknown("no such variable".to_owned()))
    }
}

fn ours(source: &str) -> Option<String> {
    let expression = Expression::compile(source, &Scope::new(&NAMES)).unwrap_or_else(|error| panic!("{source}: {error}"));
    let variables = Ours(Object::from_json(r#"{"n": 7, "s": "web", "xs": [3, 1, 2], "m": {"a": 1, "b": 2}}"#).expect("JSON"));
    expression.evaluate(&&variables, &Budget::new(1_000_000)).ok().map(|value| value.to_literal(usize::MAX))
}

fn theirs(source: &str) -> Option<String> {
    let program = Program::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let mut context = Context::default();
    context.add_variable_from_value("n", 7_i64);
    context.add_variable_from_value("s", "web");
    context.add_variable_from_value("xs", vec![3_i64, 1, 2]);
    context.add_variable_from_value("m", std::collections::HashMap::from([("a", 1_i64), ("b", 2)]));
    program.execute(&context).ok().map(|value| literal(&value))
}

/// A value of the crate's as ours are written.
fn literal(value: &Theirs) -> String {
    match value {
        Theirs::Int(value) => value.to_string(),
        Theirs::UInt(value) => format!("{value}u"),
        Theirs::Float(value) if value.is_nan() => "double('NaN')".to_owned(),
        Theirs::Float(value) if value.is_infinite() => format!("double('{}Inf')", if *value > 0.0 { '+' } else { '-' }),
        Theirs::Float(value) => format!("{value:?}"),
        Theirs::String(text) => format!("'{text}'"),
        Theirs::Bool(value) => value.to_string(),
        Theirs::Null => "null".to_owned(),
        Theirs::List(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Theirs::Map(map) => {
            let key = |key: &Key| if let Key::String(text) = key { format!("'{text}'") } else { format!("{key:?}") };
            let mut entries: Vec<String> = map.map.iter().map(|(name, value)| format!("{}: {}", key(name), literal(value))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        other => panic!("a value that no expression here gives: {other:?}"),
    }
}

/// The types that expressions are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    UInt,
    Double,
    String,
    List,
    Map,
}

type Source = BoxedStrategy<String>;

fn leaf(kind: Kind) -> Source {
    let texts: &'static [&'static str] = match kind {
        Kind::Bool => &["true", "false"],
        Kind::Int => &["0", "1", "-1", "2", "n", "7", "9223372036854775807", "-9223372036854775808", "m.a", "m.missing", "xs[0]", "xs[9]"],
        Kind::UInt => &["0u", "1u", "7u", "18446744073709551615u"],
        Kind::Double => &["0.0", "1.5", "-2.0", "7.0", "1e300", "-1e300"],
        Kind::String => &["''", "'a'", "s", "'web'", "'b,c'", "'7'", "'x1'"],
        Kind::List => &["dyn([])", "[1]", "xs", "[dyn(7), n]", "[1, 2, 3]"],
        Kind::Map => &["dyn({})", "m", "{'a': 1}", "{'a': dyn(n), 'c': dyn(3)}"],
    };
    proptest::sample::select(texts).prop_map(str::to_owned).boxed()
}

/// A conversion of what is not known before: of a constant it is run, and refused, when the expression is compiled.
fn converted(name: &str, other: &str) -> String {
    format!("{name}(n == 7 ? {other} : {other})")
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(texts)
}

/// An expression of a type, so many levels deep.
fn expression(kind: Kind, depth: u32) -> Source {
    if depth == 0 {
        return leaf(kind);
    }
    let below = |kind| expression(kind, depth - 1);
    let choice = (below(Kind::Bool), below(kind), below(kind)).prop_map(|(condition, yes, no)| format!("({condition} ? {yes} : {no})"));
    let infix = |kind: Kind, operators| {
        (below(kind), one_of(operators), below(kind)).prop_map(|(left, operator, right)| format!("({left} {operator} {right})"))
    };
    let numbers = || prop_oneof![below(Kind::Int), below(Kind::UInt), below(Kind::Double)];
    match kind {
        Kind::Bool => prop_oneof![
            leaf(kind),
            choice,
            infix(Kind::Bool, &["&&", "||", "==", "!="]),
            infix(Kind::Int, &["==", "!=", "<", "<=", ">", ">="]),
            infix(Kind::String, &["==", "!=", "<", "<=", ">", ">="]),
            infix(Kind::List, &["==", "!="]),
            infix(Kind::Map, &["==", "!="]),
            (numbers(), one_of(&["==", "!=", "<", "<=", ">", ">="]), numbers())
                .prop_map(|(left, operator, right)| format!("(dyn({left}) {operator} dyn({right}))")),
            below(Kind::Bool).prop_map(|operand| format!("!({operand})")),
            (below(Kind::Int), below(Kind::List)).prop_map(|(item, list)| format!("({item} in {list})")),
            (below(Kind::String), below(Kind::Map)).prop_map(|(key, map)| format!("({key} in {map})")),
            (below(Kind::List), one_of(&["all", "exists", "exists_one"]), below(Kind::Bool), below(Kind::Int))
                .prop_map(|(list, name, body, other)| format!("{list}.{name}(x, x > {other} || {body})")),
            (below(Kind::Map), below(Kind::String)).prop_map(|(map, text)| format!("{map}.exists(k, k == {text})")),
            (below(Kind::String), one_of(&["startsWith", "endsWith", "contains"]), below(Kind::String))
                .prop_map(|(text, name, part)| format!("{text}.{name}({part})")),
            one_of(&["has(m.a)", "has(m.missing)"]).prop_map(str::to_owned),
        ]
        .boxed(),
        Kind::Int => prop_oneof![
            leaf(kind),
            choice,
            infix(Kind::Int, &["+", "-", "*", "/", "%"]),
            below(Kind::Int).prop_map(|operand| format!("-({operand})")),
            (below(Kind::List), below(Kind::Int)).prop_map(|(list, index)| format!("{list}[{index}]")),
            (below(Kind::Map), below(Kind::String)).prop_map(|(map, key)| format!("{map}[{key}]")),
            prop_oneof![below(Kind::String), below(Kind::List), below(Kind::Map)].prop_map(|sized| format!("size({sized})")),
            prop_oneof![below(Kind::UInt), below(Kind::Double), below(Kind::String)].prop_map(|other| converted("int", &other)),
        ]
        .boxed(),
        Kind::UInt => {
            let conversion = prop_oneof![below(Kind::Int), below(Kind::Double)].prop_map(|other| converted("uint", &other));
            prop_oneof![leaf(kind), choice, infix(Kind::UInt, &["+", "-", "*", "/", "%"]), conversion].boxed()
        }
        Kind::Double => {
            let conversion = prop_oneof![below(Kind::Int), below(Kind::UInt)].prop_map(|other| converted("double", &other));
            prop_oneof![leaf(kind), choice, infix(Kind::Double, &["+", "-", "*", "/"]), conversion].boxed()
        }
        Kind::String => {
            let conversion =
                prop_oneof![below(Kind::Int), below(Kind::UInt), below(Kind::Bool)].prop_map(|other| converted("string", &other));
            prop_oneof![leaf(kind), choice, infix(Kind::String, &["+"]), conversion].boxed()
        }
        Kind::List => prop_oneof![
            leaf(kind),
            choice,
            infix(Kind::List, &["+"]),
            (below(Kind::Int), below(Kind::Int)).prop_map(|(one, other)| format!("[dyn({one}), dyn({other})]")),
            (below(Kind::List), below(Kind::Int)).prop_map(|(list, body)| format!("{list}.map(x, x + {body})")),
            (below(Kind::List), below(Kind::Bool), below(Kind::Int))
                .prop_map(|(list, condition, other)| format!("{list}.filter(x, {condition} && x < {other})")),
        ]
        .boxed(),
        Kind::Map => prop_oneof![
            leaf(kind),
            choice,
            (below(Kind::Int), below(Kind::Int)).prop_map(|(a, b)| format!("{{'a': dyn({a}), 'd': dyn({b})}}"))
        ]
        .boxed(),
    }
}

fn any_expression() -> impl Strategy<Value = String> {
    const KINDS: [Kind; 7] = [Kind::Bool, Kind::Int, Kind::UInt, Kind::Double, Kind::String, Kind::List, Kind::Map];
    (proptest::sample::select(&KINDS[..]), 1_u32..4).prop_flat_map(|(kind, depth)| expression(kind, depth))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_evaluators_agree(source in any_expression()) {
        prop_assert_eq!(ours(&source), theirs(&source), "{}", source);
    }
}

/// The comparison means something: values of every type are compared, and errors are met.
#[test]
fn what_is_compared_is_not_empty() {
    let same = |source: &str, value: Option<&str>| {
        assert_eq!((ours(source).as_deref(), theirs(source).as_deref()), (value, value), "{source}");
    };
    same("n + m.a", Some("8"));
    same("xs.filter(x, x > 1) + [int(1u)]", Some("[3, 2, 1]"));
    same("{'d': dyn(size(s)), 'a': dyn(0)}", Some("{'a': 0, 'd': 3}"));
    same("1.0 / 0.0", Some("double('+Inf')"));
    same("m.missing == 1", None);
    same("m.missing == 1 || true", Some("true"));
    same("9223372036854775807 + 1", None);
}
