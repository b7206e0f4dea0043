//! Every expression of the corpus gives what Kubernetes 1.37's own environment gave: value, error text and cost.
//!
//! The corpus, `kubernetes-1.37/`, holds our own expressions by theme, one JSON document a line, with the answers that `record.sh`
//! had from the API server's code (`tests/cluster/controlplane/cel.go`). What differs stands in `src/cel/README.md`, with the reason.

use serde_json::Value as Json;

use super::{Fixture, scope};
use crate::cel::functions::stdlib::double_text;
use crate::cel::{Budget, CompileError, Expression, Value};

pub(super) const CORPUS: &[(&str, &str)] = &[
    ("arithmetic", include_str!("kubernetes-1.37/arithmetic.jsonl")),
    ("comparisons", include_str!("kubernetes-1.37/comparisons.jsonl")),
    ("comprehensions", include_str!("kubernetes-1.37/comprehensions.jsonl")),
    ("comprehensions-of-two", include_str!("kubernetes-1.37/comprehensions-of-two.jsonl")),
    ("conversions", include_str!("kubernetes-1.37/conversions.jsonl")),
    ("corners", include_str!("kubernetes-1.37/corners.jsonl")),
    ("costs", include_str!("kubernetes-1.37/costs.jsonl")),
    ("fields", include_str!("kubernetes-1.37/fields.jsonl")),
    ("libraries", include_str!("kubernetes-1.37/libraries.jsonl")),
    ("lists", include_str!("kubernetes-1.37/lists.jsonl")),
    ("literals", include_str!("kubernetes-1.37/literals.jsonl")),
    ("logic", include_str!("kubernetes-1.37/logic.jsonl")),
    ("nesting", include_str!("kubernetes-1.37/nesting.jsonl")),
    ("optionals", include_str!("kubernetes-1.37/optionals.jsonl")),
    ("policies", include_str!("kubernetes-1.37/policies.jsonl")),
    ("regex", include_str!("kubernetes-1.37/regex.jsonl")),
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
        Value::Opaque(value) => format!("{}({})", value.type_name(), value.text()),
        other => other.to_json().unwrap().to_string(),
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
        (Some(message), ..) => format!("compile: {message}"),
        (_, Some(message), ..) => format!("panic: {message}"),
        (_, _, Some(message), _) if message.contains("cost limit") => return Answer { outcome: format!("error: {message}"), cost: None },
        (_, _, Some(message), _) => format!("error: {message}"),
        (.., value) => format!("{}: {}", text("type").unwrap(), value.unwrap()),
    };
    Answer { outcome, cost }
}

/// Expressions whose answers differ on purpose, and why.
const DIFFERENCES: &[(&[&str], &str)] = &[
    (&["{dyn([1]): 1}"], "a list, a map or an optional is no key here; there it is one that nothing equals"),
    (&["{dyn(b'a'): 1}", "[?object.metadata.name]"], "Kubernetes' compiler panics; here bytes are a key, and the error names the value"),
    (&["google.protobuf.Timestamp{}"], "messages are not written as literals here; no policy has any to write"),
    (&["object.true"], "the parser crate's words for a reserved word in the place of a field"),
    (&["{'a': optional.of({'b': 1})}.a.?b"], "an optional that is a map's value: there a chain of names does not look inside"),
    (&["variables['team']", "size(variables)"], "`variables` alone is no value here; both are refused, in other words"),
    (
        &["quantity('1e10000').add(1)"],
        "a quantity of more than 10,000 digits is refused here; from 101 digits on a tenth of them is charged",
    ),
    (
        &[r"'a'.matches('\\pL{1000}')"],
        "a pattern of more than 10 MiB compiled, or 250 levels, is too large here; its classes are Unicode 16's, there Unicode 15's",
    ),
    (
        &["(object.spec.numbers + []).map(v, string(v))"],
        "where nothing is known of a type the checker there may settle on one, whose overload then fails or costs more",
    ),
];

/// Whether ours is the same refusal. More may follow in ours: what was meant, the reason, what else is wrong.
fn is_same_refusal(expected: &str, given: &str) -> bool {
    let rest = without_expectations(given).strip_prefix(without_expectations(expected));
    expected.starts_with("compile: ") && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([';', ':']))
}

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
    let mut compared = 0;
    let (scope, fixture) = (scope(), Fixture::new());
    for (theme, rows) in CORPUS {
        let rows: Vec<Json> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
        let sources: Vec<_> = rows.iter().map(|row| (row["expr"].as_str().unwrap(), &scope)).collect();
        let compiled = Expression::compile_all(&sources);
        for ((row, (source, _)), compiled) in rows.iter().zip(sources).zip(&compiled) {
            let (expected, given) = (recorded(row), ours(compiled, &fixture));
            compared += 1;
            let both_refuse = is_same_refusal(&expected.outcome, &given.outcome);
            let known = DIFFERENCES.iter().any(|(known, _)| known.contains(&source));
            if (expected == given || both_refuse) == known {
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
    assert!(compared > 7500, "{compared} rows were compared");
}

#[test]
fn what_differs_is_documented() {
    let rows = include_str!("../README.md").lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
    let documented: Vec<(String, &str)> = rows.map(|(sources, reason)| (sources.to_owned(), reason)).collect();
    let differences: Vec<(String, &str)> = DIFFERENCES.iter().map(|(sources, reason)| (sources.join("`, `"), *reason)).collect();
    assert_eq!(documented, differences, "the table of src/cel/README.md");
    assert!(DIFFERENCES.len() < 10);
}
