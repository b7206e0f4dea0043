//! What is wrong with a policy, and what is worth saying of an expression that is not wrong.

use std::ops::Range;

use crate::cel::{Expression, Need, RefusedConstant, Scope};
use crate::object::{FieldPath, quoted};

/// The longest expression that is repeated whole in a message.
const SHOWN: usize = 1024;

/// One mistake in a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .path.lead())]
pub struct PolicyError {
    /// The field that holds it.
    pub path: FieldPath,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// A mistake, and the bytes of the field's own text that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) error: PolicyError,
    /// In an expression: its text, the bytes, and the message without them.
    pub(super) within: Option<(String, Range<usize>, String)>,
    /// What to do about it, where the message does not say so.
    pub(super) remedy: Option<String>,
}

/// What is worth saying of an expression that compiles.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) source: String,
    pub(super) needs: Vec<Need>,
    pub(super) loops: u32,
    /// What it may cost at most, where that does not grow with what is sent; only if asked for.
    pub(super) most: Option<u64>,
    /// Constants that each evaluation ends at, with its error; only if asked for.
    pub(super) refused: Vec<RefusedConstant>,
}

pub(super) fn errors(mistakes: Vec<Mistake>) -> Vec<PolicyError> {
    mistakes.into_iter().map(|mistake| mistake.error).collect()
}

pub(super) fn plain(errors: Vec<PolicyError>) -> Vec<Mistake> {
    errors.into_iter().map(Mistake::from).collect()
}

impl From<PolicyError> for Mistake {
    fn from(error: PolicyError) -> Self {
        Self { error, within: None, remedy: None }
    }
}

impl Mistake {
    /// A mistake in an expression. `place` stands before the message where only the message is told.
    pub(super) fn within(path: &FieldPath, source: &str, span: Range<usize>, message: String, remedy: Option<String>, place: &str) -> Self {
        let shown = if source.trim().len() <= SHOWN { source.trim().to_owned() } else { quoted(source.trim()) };
        let told = remedy.as_ref().map_or_else(String::new, |remedy| format!(": {remedy}"));
        let error = PolicyError { path: path.clone(), message: format!("{place}{message} in `{shown}`{told}") };
        Self { error, within: Some((source.to_owned(), span, message)), remedy }
    }
}

impl Note {
    pub(super) fn of(expression: &Expression, scope: &Scope, thorough: bool) -> Self {
        Self {
            source: expression.source().to_owned(),
            needs: expression.needs().to_vec(),
            loops: expression.loops(),
            most: if thorough { expression.most(scope) } else { None },
            refused: if thorough { expression.refused_constants() } else { Vec::new() },
        }
    }
}
