//! Every expression of the corpus gives what Kubernetes 1.37's own environment gave: value, error text and cost.
//!
//! The corpus, `kubernetes-1.37/`, holds our own expressions by theme, one JSON document a line, with the answers that `record.sh`
//! had from the API server's code (`tests/cluster/controlplane/cel.go`). What differs stands in `src/cel/README.md`, with the reason.

use serde_json::Value as Json;

use super::{Fixture, scope};
use crate::cel::functions::stdlib::double_text;
use crate::cel::{Budget, CompileError, Expression, Value};

const CORPUS: &[(&str, &str)] = &[
    ("arithmetic", include_str!("kubernetes-1.37/arithmetic.jsonl")),
    ("comparisons", include_str!("kubernetes-1.37/comparisons.jsonl")),
    ("comprehensions", include_str!("kubernetes-1.37/comprehensions.jsonl")),
    ("comprehensions-of-two", include_str!("kubernetes-1.37/comprehensions-of-two.jsonl")),
    ("conversions", include_str!("kubernetes-1.37/conversions.jsonl")),
    ("costs", include_str!("kubernetes-1.37/costs.jsonl")),
    ("fields", include_str!("kubernetes-1.37/fields.jsonl")),
    ("lists", include_str!("kubernetes-1.37/lists.jsonl")),
    ("literals", include_str!("kubernetes-1.37/literals.jsonl")),
    ("logic", include_str!("kubernetes-1.37/logic.jsonl")),
    ("nesting", include_str!("kubernetes-1.37/nesting.jsonl")),
    ("optionals", include_str!("kubernetes-1.37/optionals.jsonl")),
    ("policies", include_str!("kubernetes-1.37/policies.jsonl")),
    ("strings", include_str!("kubernetes-1.37/strings.jsonl")),
    ("time", include_str!("kubernetes-1.37/time.jsonl")),
    ("type-errors", include_str!("kubernetes-1.37/type-errors.jsonl")),
];

/// What is recorded of one expression, or what we give. The cost is that of a failed evaluation too.
#[derive(Debug, PartialEq)]
struct Answer {
    outcome: String,
    cost: Option<u64>,
}

/// A value as the verb writes it: no two different values look the same.
fn show(value: &Value<'_>) -> String {
    match value {
        Value::UInt(number) => format!("{number}u"),
        Value::Double(number) => {
            let text = double_text(*number);
            if text.trim_start_matches('-').bytes().all(|sign| sign.is_ascii_digit()) { text + ".0" } else { text }
        }
        Value::String(text) => show_text(text.as_str()),
        Value::Bytes(bytes) => format!("b\"{}\"", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        Value::Timestamp(_) => format!("timestamp({})", value.to_json().unwrap().as_str().unwrap()),
        Value::Duration(_) => format!("duration({})", value.to_json().unwrap().as_str().unwrap()),
        Value::Type(name) => format!("type({name})"),
        Value::Optional(None) => "optional.none()".to_owned(),
        Value::Optional(Some(inner)) => format!("optional.of({})", show(inner)),
        Value::List(list) => format!("[{}]", list.iter().map(|item| show(&item)).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let mut entries: Vec<_> = map.sorted_entries().iter().map(|(key, value)| format!("{}: {}", show(key), show(value))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        // A value of a library is its type's name and its text.
        other => match other.to_json().unwrap() {
            Json::String(text) => format!("{}({text})", other.type_name()),
            json => json.to_string(),
        },
    }
}

fn show_text(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(character)));
            }
            character => out.push(character),
        }
    }
    out + "\""
}

fn ours(expression: &Result<Expression, CompileError>, fixture: &Fixture) -> Answer {
    let expression = match expression {
        Ok(expression) => expression,
        Err(error) => return Answer { outcome: format!("compile: {}", error.message), cost: None },
    };
    let budget = Budget::new(1_000_000);
    let outcome = match expression.evaluate(&fixture.activation(), &budget) {
        Ok(value) => format!("{}: {}", value.type_name(), show(&value)),
        Err(error) => format!("error: {error}"),
    };
    // Where the budget ends depends on what is charged at once.
    let cost = if outcome.contains("cost limit") { None } else { Some(budget.spent()) };
    Answer { outcome, cost }
}

fn recorded(line: &Json) -> Answer {
    let text = |key: &str| line.get(key).and_then(Json::as_str);
    let cost = line.get("cost").and_then(Json::as_u64);
    let outcome = match (text("compile"), text("panic"), text("error"), text("value")) {
        (Some(message), ..) => format!("compile: {}", message.replace(" (in container '')", "")),
        (_, Some(message), ..) => format!("panic: {message}"),
        (_, _, Some(message), _) if message.contains("cost limit") => return Answer { outcome: format!("error: {message}"), cost: None },
        (_, _, Some(message), _) => format!("error: {message}"),
        (.., value) => format!("{}: {}", text("type").unwrap(), value.unwrap()),
    };
    Answer { outcome, cost }
}

/// What the API server's type checker refuses and we, without one, evaluate: the rows that the checker will take away.
fn left_to_the_checker(expected: &Answer, given: &Answer) -> bool {
    const REASONS: &[&str] = &[
        "compile: expected type",
        "compile: found no matching overload",
        "compile: error during formatting",
        "compile: index ",
        "compile: too many arguments supplied to string.format",
        "compile: undefined field",
        "compile: expression of type",
        "compile: invalid qualifier type",
    ];
    let refused =
        REASONS.iter().any(|reason| expected.outcome.starts_with(reason)) || expected.outcome.ends_with("does not support field selection");
    refused && !given.outcome.starts_with(&expected.outcome)
}

/// Expressions whose answers differ on purpose, or not yet agree, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("{dyn([1]): 1}", "a list is no key here; there it is one that nothing equals"),
    ("{dyn(b'a'): 1}", "Kubernetes' compiler panics; bytes are a key here"),
    ("[?object.metadata.name]", "Kubernetes' compiler panics; here the error names the value"),
    ("google.protobuf.Timestamp{}", "messages are not written as literals here; no policy has any to write"),
    ("object.true", "the parser crate's words for a reserved word in the place of a field"),
    ("object.metadata.n.distinct()", "there an internal error of Go's, here no such overload"),
    ("double('0x1p4')", "a hexadecimal double is not read"),
    ("{'a': optional.of({'b': 1})}.a.?b", "an optional that is a map's value: there a chain of names does not look inside"),
];

/// Rows of libraries and time zones: they differ until these have come.
const LEFT_TO_THE_LIBRARIES: &[&str] = &["url('https://a')", "quantity('1')", "isIP('1.1.1.1')"];

/// Where a text has a syntax error the parser crate lists more of what might have stood there than cel-go's; the rest is compared.
fn without_expectations(outcome: &str) -> &str {
    match outcome.split_once(" expecting ") {
        Some((start, _)) if start.starts_with("compile: Syntax error: ") => start,
        _ => outcome,
    }
}

#[test]
fn values_errors_and_costs_are_those_of_kubernetes() {
    let mut differences = Vec::new();
    let (mut compared, mut unchecked) = (0, 0);
    let (scope, fixture) = (scope(), Fixture::new());
    for (theme, rows) in CORPUS {
        let rows: Vec<Json> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
        let sources: Vec<_> = rows.iter().map(|row| (row["expr"].as_str().unwrap(), &scope)).collect();
        let compiled = Expression::compile_all(&sources);
        for ((row, (source, _)), compiled) in rows.iter().zip(sources).zip(&compiled) {
            let (expected, given) = (recorded(row), ours(compiled, &fixture));
            compared += 1;
            let both_refuse = expected.outcome.starts_with("compile")
                && without_expectations(&given.outcome).starts_with(without_expectations(&expected.outcome));
            let known = DIFFERENCES.iter().any(|(known, _)| *known == source);
            let awaited = LEFT_TO_THE_LIBRARIES.contains(&source) || source.contains(").getHours('");
            if awaited && expected != given {
                continue;
            }
            if left_to_the_checker(&expected, &given) {
                unchecked += 1;
            } else if (expected == given || both_refuse) == known {
                differences.push(format!(
                    "{theme}: {source}{}\n    theirs {} @{:?}\n    ours   {} @{:?}",
                    if known { " (no longer differs)" } else { "" },
                    expected.outcome,
                    expected.cost,
                    given.outcome,
                    given.cost
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{} of {compared} differ:\n{}", differences.len(), differences.join("\n"));
    assert!(compared > 3500, "{compared} rows were compared");
    // The checker brings this to nothing.
    assert_eq!(unchecked, 356, "rows that only a type checker refuses");
}

#[test]
fn what_differs_is_documented() {
    let documented: Vec<(&str, &str)> =
        include_str!("../README.md").lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | ")).collect();
    assert_eq!(documented, DIFFERENCES, "the table of src/cel/README.md");
    assert!(DIFFERENCES.len() < 10);
}
