//! `-o json`: the report as it is.

use super::{Excerpts, Report};
use crate::object::escaped;

pub(super) fn render(report: &Report, _: &dyn Excerpts, _: bool) -> String {
    pretty(report)
}

/// Indented JSON in which deceptive characters are written as `\u....`: the values are unchanged, and a terminal shows them.
#[must_use]
pub fn pretty(value: &impl serde::Serialize) -> String {
    // A report holds strings, numbers and lists only, which can always be written.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut out = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        // JSON allows the characters that `escaped` rewrites inside strings only, where `\u....` means the same.
        out.push_str(&escaped(line));
        out.push('\n');
    }
    out
}
