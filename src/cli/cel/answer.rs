//! What became of one expression: for people, and as JSON.

use clap::builder::styling::Style;
use serde_json::{Map, Value as Json};

use crate::cel::{CompileError, EvaluationError, Scope, Value};

/// Width that values are fitted to.
const WIDTH: usize = 100;

/// The keys that an answer has in JSON; a line of a stream is cleared of them first.
pub(super) const KEYS: [&str; 7] = ["value", "type", "cost", "error", "line", "column", "help"];

/// An answer as JSON has it, key by key.
pub(super) struct Answer(pub(super) Vec<(&'static str, Json)>);

impl Answer {
    /// Of an evaluation: `value`, `type`, `cost`; or `error` and `cost`.
    pub(super) fn of(outcome: Result<&Value<'_>, &EvaluationError>, cost: u64) -> Self {
        let mut fields = match outcome {
            Ok(value) => vec![("value", json(value)), ("type", value.type_name().into())],
            Err(error) => vec![("error", error.to_string().into())],
        };
        fields.push(("cost", cost.into()));
        Self(fields)
    }

    /// Of an expression that does not compile: `error` with `line` and `column`, and `help` if the error does not say what to do.
    pub(super) fn of_mistake(error: &CompileError, scope: &Scope) -> Self {
        let told = [("error", Json::from(error.message.clone())), ("line", error.line.into()), ("column", error.column.into())];
        Self(told.into_iter().chain(error.remedy(scope).map(|remedy| ("help", remedy.into()))).collect())
    }

    pub(super) fn to_text_of_json(&self) -> String {
        let map: Map<String, Json> = self.0.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        format!("{:#}\n", Json::Object(map))
    }
}

/// The value as protobuf writes it in JSON; as the CEL text that gives it where JSON has no form for it.
fn json(value: &Value<'_>) -> Json {
    value.to_json().unwrap_or_else(|_| value.to_literal(usize::MAX).into())
}

/// A value for people: as CEL writes it, with its type and what it cost.
pub(super) fn text(value: &Value<'_>, cost: u64, limit: u64) -> String {
    let key = Style::new().bold();
    let literal = value.to_literal(WIDTH);
    let (type_name, cost) = (value.type_name(), spent(cost, limit));
    format!("{literal}\n{key}type:{key:#} {type_name}\n{key}cost:{key:#} {cost}\n")
}

/// An evaluation that failed, for people.
pub(super) fn failure(error: &EvaluationError, cost: u64, limit: u64) -> String {
    let (red, key) = (Style::new().bold().fg_color(Some(clap::builder::styling::AnsiColor::BrightRed.into())), Style::new().bold());
    let remedy = match error {
        EvaluationError::BudgetExceeded => {
            format!("\n{key}help:{key:#} raise --limit to see what it would cost; the API server stops here")
        }
        _ => String::new(),
    };
    let costs = costs(cost, limit);
    format!("{red}error:{red:#} {}\n{}{remedy}\n", crate::object::escaped(&error.to_string()), costs.trim_end())
}

/// What an evaluation cost, for people.
pub(super) fn costs(cost: u64, limit: u64) -> String {
    let key = Style::new().bold();
    format!("{key}cost:{key:#} {}\n", spent(cost, limit))
}

fn spent(cost: u64, limit: u64) -> String {
    format!("{} of {}", grouped(cost), grouped(limit))
}

/// A number with its thousands apart: `1,000,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
