//! Tests of the language as a whole.

mod caps;
mod conformance;
mod estimate;
mod libraries;
mod limits;
mod to_the_limit;
mod types;

pub(super) use limits::{sensible, token_soup};

use std::cell::RefCell;
use std::sync::LazyLock;

use serde_json::Value as Json;

use crate::cel::{Budget, EvaluationError, Expression, Scope, Value, Variables, namespace_type, request_type};
use crate::object::Object;

/// What the expressions of the tests are evaluated on, as the control plane's verb `cel` reads it: JSON by name, and `variables` as a
/// policy writes them.
const VARIABLES: &str = include_str!("variables.json");

/// The variables that a policy brings itself: their names and expressions.
type Own = Vec<(String, Expression)>;

/// The names of the corpus, declared as the API server declares them, and the policy's own variables, each of which may read those before.
static OWN: LazyLock<(Scope, Own)> = LazyLock::new(|| {
    let all: Json = serde_json::from_str(VARIABLES).unwrap();
    let mut scope = Scope::new(BASE).with_type("request", request_type()).with_type("namespaceObject", namespace_type());
    let mut own = Vec::new();
    for variable in all["variables"].as_array().unwrap() {
        let expression = Expression::compile(variable["expression"].as_str().unwrap(), &scope).unwrap();
        let name = variable["name"].as_str().unwrap().to_owned();
        scope = scope.with_type(&format!("variables.{name}"), expression.result_type().clone());
        own.push((name, expression));
    }
    (scope, own)
});

/// The objects, in the order of [`BASE`].
struct Fixture(Vec<Option<Object>>);

/// The variables of one evaluation in the order of their slots: those of [`BASE`], then `variables.*`.
struct Activation<'a> {
    fixture: &'a Fixture,
    /// What each of the policy's own variables gave, once it was asked for.
    known: RefCell<Vec<Option<Result<Value<'a>, EvaluationError>>>>,
}

const BASE: &[&str] = &["object", "oldObject", "request", "params", "namespaceObject"];

impl Fixture {
    fn new() -> Self {
        let all: Json = serde_json::from_str(VARIABLES).unwrap();
        let object =
            |name: &&str| Some(&all[*name]).filter(|value| !value.is_null()).map(|value| Object::from_json(value.to_string()).unwrap());
        Self(BASE.iter().map(object).collect())
    }

    fn activation(&self) -> Activation<'_> {
        Activation { fixture: self, known: RefCell::new(vec![None; OWN.1.len()]) }
    }

    /// An object that has a name and nothing else.
    fn named(name: &str) -> Self {
        let object = Object::from_json(serde_json::json!({ "metadata": { "name": name } }).to_string()).unwrap();
        Self(BASE.iter().map(|slot| (*slot == "object").then(|| object.clone())).collect())
    }
}

pub(super) fn scope() -> Scope {
    OWN.0.clone()
}

impl<'a> Variables<'a> for Activation<'a> {
    fn get(&self, slot: usize, budget: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        if let Some(object) = self.fixture.0.get(slot) {
            return Ok(object.as_ref().map_or(Value::Null, |object| Value::from_node(object.root())));
        }
        let own = slot - BASE.len();
        if let Some(Some(known)) = self.known.borrow().get(own) {
            return known.clone();
        }
        let (name, expression) = OWN.1.get(own).unwrap();
        let value = expression.evaluate(self, budget).map_err(|error| error.of_variable(name));
        self.known.borrow_mut()[own] = Some(value.clone());
        value
    }
}

/// The expressions of the corpus.
pub(super) fn expressions() -> impl Iterator<Item = String> {
    let rows = conformance::CORPUS.iter().flat_map(|(_, rows)| rows.lines());
    rows.map(|row| serde_json::from_str::<Json>(row).unwrap()["expr"].as_str().unwrap().to_owned())
}

/// The value of an expression over the fixture as text (`type: json`), or the error.
fn evaluate(source: &str) -> Result<String, String> {
    let expression = Expression::compile(source, &scope()).map_err(|error| format!("compile: {error}"))?;
    let fixture = Fixture::new();
    let budget = Budget::new(1_000_000);
    let value = expression.evaluate(&fixture.activation(), &budget).map_err(|error| error.to_string())?;
    Ok(format!("{}: {}", value.type_name(), value.to_json().map_err(|error| error.to_string())?))
}
