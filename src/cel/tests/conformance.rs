//! Every expression of the fixture gives what Kubernetes 1.37's own environment gave: value, error text and cost.
//!
//! The fixture holds our own expressions with the recorded answers, one JSON document a line.

use serde_json::Value as Json;

use super::{Fixture, scope};
use crate::cel::{Budget, Expression, Value};

pub(in crate::cel) const FIXTURE: &str = include_str!("kubernetes-1.37.jsonl");
const FIXTURES: &[&str] = &[FIXTURE, include_str!("libraries-1.37.jsonl")];

/// What is recorded of one expression, or what we give.
#[derive(Debug, PartialEq)]
struct Answer {
    outcome: String,
    cost: Option<u64>,
}

fn show(value: &Value<'_>) -> String {
    match value {
        Value::Optional(None) => "optional.none()".to_owned(),
        Value::Optional(Some(inner)) => format!("optional.of({})", show(inner)),
        Value::Type(name) => (*name).to_owned(),
        Value::Opaque(value) => same_text(&value.text()),
        value => value.to_json().map_or_else(|_| String::new(), |json| same_numbers(&json)),
    }
}

/// The text of a value: Go spaces its JSON at will, and some values have none.
fn same_text(value: &str) -> String {
    serde_json::from_str::<Json>(value).map_or_else(|_| value.to_owned(), |json| same_numbers(&json))
}

/// JSON text in which a whole double is written as an integer, as Go does.
fn same_numbers(json: &Json) -> String {
    json.to_string().replace(".0,", ",").replace(".0]", "]").trim_end_matches(".0").to_owned()
}

fn ours(source: &str) -> Answer {
    let expression = match Expression::compile(source, &scope()) {
        Ok(expression) => expression,
        Err(error) => return Answer { outcome: format!("compile: {}", error.message), cost: None },
    };
    let fixture = Fixture::new();
    let budget = Budget::new(1_000_000);
    match expression.evaluate(&&fixture, &budget) {
        Ok(value) => Answer { outcome: format!("{}: {}", value.type_name(), show(&value)), cost: Some(budget.spent()) },
        // What a failed evaluation cost is not compared: cel-go goes on with some loops after an error, we do not.
        Err(error) => Answer { outcome: format!("error: {error}"), cost: None },
    }
}

fn recorded(line: &Json) -> Answer {
    let text = |key: &str| line.get(key).and_then(Json::as_str);
    match (text("compile"), text("error"), text("value")) {
        (Some(message), _, _) => Answer { outcome: format!("compile: {message}"), cost: None },
        (_, Some(message), _) => Answer { outcome: format!("error: {message}"), cost: None },
        (_, _, Some(value)) => {
            let value = match (text("type"), value.parse()) {
                (Some("double"), Ok(number)) => show(&Value::Double(number)),
                _ => same_text(value),
            };
            Answer { outcome: format!("{}: {value}", text("type").unwrap_or_default()), cost: line.get("cost").and_then(Json::as_u64) }
        }
        _ => Answer { outcome: String::new(), cost: None },
    }
}

/// Expressions whose answers differ on purpose, or not yet agree, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("has(object.?metadata.nope)", "cost: 1 in cel-go, 2 here, for has() over an optional that lacks the field"),
    ("[5, 6].transformMap(i, v, v * 2)", "recorded as Go prints a map with integer keys"),
    ("{'a': 1}.transformMapEntry(k, v, {v: k})", "the same"),
    ("{'a': 1, 'b': 2}.transformMapEntry(k, v, v > 1, {v: k})", "the same"),
    ("0x7fffffffffffffff", "recorded as Go's JSON writes a large integer: as a string"),
    ("-0x8000000000000000", "the same"),
    ("{dyn(null): 1}", "recorded as Go prints a map with a null key"),
    ("{'a': optional.of({'b': 1})}.a.?b", "an optional that is a map's value: cel-go does not look inside in a chain of names"),
    ("{dyn([1]): 1}", "a list is no key here; there it is one that nothing equals"),
    ("object.metadata.name.find('(')", "the message begins with what is invalid"),
];

#[test]
fn values_errors_and_costs_are_those_of_kubernetes() {
    let mut differences = Vec::new();
    let mut compared = 0;
    for line in FIXTURES.iter().flat_map(|fixture| fixture.lines()) {
        let line: Json = serde_json::from_str(line).unwrap();
        let source = line["expr"].as_str().unwrap();
        let (expected, given) = (recorded(&line), ours(source));
        compared += 1;
        let both_refuse = expected.outcome.starts_with("compile") && given.outcome.starts_with(&expected.outcome);
        let known = DIFFERENCES.iter().any(|(known, _)| *known == source);
        if (expected == given || both_refuse) == known {
            differences.push(format!(
                "{source}{}\n    theirs {} @{:?}\n    ours   {} @{:?}",
                if known { " (no longer differs)" } else { "" },
                expected.outcome,
                expected.cost,
                given.outcome,
                given.cost
            ));
        }
    }
    assert!(differences.is_empty(), "{} of {compared} differ:\n{}", differences.len(), differences.join("\n"));
    assert!(compared > 3400, "{compared} rows were compared");
}
