//! Tests of the language as a whole.

mod caps;
mod conformance;
mod estimate;
mod libraries;
mod limits;
mod types;

pub(super) use conformance::FIXTURE as CORPUS;
pub(super) use limits::{sensible, token_soup};

use crate::cel::{Budget, EvaluationError, Expression, Scope, Value, Variables};
use crate::object::Object;

/// The pod that the fixtures were recorded on.
const POD: &str = include_str!("pod.json");

/// Variables by slot: `object`, `oldObject` (null), `variables.team`.
struct Fixture(Object);

impl Fixture {
    fn new() -> Self {
        Self(Object::from_json(POD).unwrap())
    }

    /// An object that has a name and nothing else.
    fn named(name: &str) -> Self {
        Self(Object::from_json(serde_json::json!({ "metadata": { "name": name } }).to_string()).unwrap())
    }
}

fn scope() -> Scope {
    Scope::new(&["object", "oldObject", "variables.team"])
}

impl<'a> Variables<'a> for &'a Fixture {
    fn get(&self, slot: usize, _: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        match slot {
            0 => Ok(Value::from_node(self.0.root())),
            1 => Ok(Value::Null),
            2 => Ok(Value::borrowed("blue")),
            _ => Err(EvaluationError::Unknown(format!("no fact in slot {slot}"))),
        }
    }
}

/// The value of an expression over the fixture as text (`type: json`), or the error.
fn evaluate(source: &str) -> Result<String, String> {
    let expression = Expression::compile(source, &scope()).map_err(|error| format!("compile: {error}"))?;
    let fixture = Fixture::new();
    let budget = Budget::new(1_000_000);
    let value = expression.evaluate(&&fixture, &budget).map_err(|error| error.to_string())?;
    Ok(format!("{}: {}", value.type_name(), value.to_json().map_err(|error| error.to_string())?))
}
