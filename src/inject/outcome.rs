//! What became of an injection.

use serde::Serialize;

use crate::object::FieldPath;

/// Why an injection that is due was not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// What stands in the way, as a path of the template after the injections (the origin map leads back to the author's).
    pub field_path: FieldPath,
    /// What is wrong with it.
    pub reason: String,
    /// What its author can do.
    pub remedy: String,
}

impl Conflict {
    pub(super) fn new(field_path: FieldPath, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field_path, reason: reason.into(), remedy: remedy.into() }
    }
}

/// What became of one injection that was due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The injection's id.
    pub id: &'static str,
    /// Always true: an injection that is not due has no outcome.
    pub due: bool,
    /// Whether the template has it, now or from the start.
    pub done: bool,
    /// Whether it was added, in whole or in part, by this run.
    pub added: bool,
    /// What stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Conflict>,
}
