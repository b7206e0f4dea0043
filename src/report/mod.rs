//! The report of an audit, and how it is shown. A format is one file here and one line in [`Format`].
//!
//! Foreign text (names, messages, lines of manifests) never reaches a terminal or a viewer raw: the table escapes it, JSON and SARIF
//! write what is deceptive as `\u....`, so that their values stay whole.
//!
//! - `model`: [`Report`], which is exactly what `-o json` prints; `report.schema.json` is generated from it
//! - `assemble`: from documents and verdicts to a report
//! - `waivers`: what it says of waivers: what they let be, and those that let nothing be
//! - `explain`: [`Explanation`]: one object, told whole
//! - `checklist`: the verification checklist at its end
//! - `about`: [`About`]: one rule, told whole
//! - `columns`: plain tables
//! - `excerpt`: [`Excerpts`]: the source lines that the table shows
//! - `table`: for people
//! - `expression`: [`render_mistake`]: a mistake in an expression, as the table shows one in a file
//! - `findings`: what `doorward policy lint` prints
//! - `json`: for programs
//! - `sarif`: for code scanning (SARIF 2.1.0)

mod about;
mod assemble;
mod checklist;
mod columns;
mod excerpt;
mod explain;
mod expression;
mod findings;
mod json;
mod model;
mod sarif;
mod table;
mod waivers;

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::str::FromStr;

pub use about::About;
pub use assemble::Judged;
pub use checklist::{Check, CheckStatus};
pub use columns::columns;
pub use excerpt::{Excerpts, NoExcerpts, Sources};
pub use explain::{Explanation, Finding, inventory};
pub use expression::render_mistake;
pub use findings::{Linted, findings_as_json, findings_as_text};
pub use json::pretty as to_json;
pub use model::{Enforcement, ObjectRef, Report, RuleInfo, Severity, Status, Summary, Violation, Waived};

/// JSON Schema (draft 2020-12) of what [`Format::Json`] prints.
pub const SCHEMA: &str = include_str!("report.schema.json");

/// A way to show a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text for people, with source excerpts.
    Table,
    /// The interface for programs: [`SCHEMA`].
    Json,
    /// SARIF 2.1.0 for code scanning.
    Sarif,
}

/// What a report is written to: a report may be larger than what it tells of, so that no format keeps one as a whole.
type Out<'o> = BufWriter<&'o mut dyn Write>;
type Writer = fn(&Report, &dyn Excerpts, bool, &mut Out<'_>) -> io::Result<()>;

/// How much of a report is written at once, in bytes.
const PIECE: usize = 64 << 10;

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Table, Self::Json, Self::Sarif];

    fn entry(self) -> (&'static str, Writer) {
        match self {
            Self::Table => ("table", table::write),
            Self::Json => ("json", json::write),
            Self::Sarif => ("sarif", sarif::write),
        }
    }

    /// The word for it on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().0
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{}` is no output format: use one of {names}", crate::object::quoted(text))
        })
    }
}

/// Shows a report. Only the table uses `excerpts` and `colour`. The text ends in a line feed.
///
/// # Errors
/// What keeps `out` from taking it.
pub fn write(format: Format, report: &Report, excerpts: &dyn Excerpts, colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(PIECE, out);
    (format.entry().1)(report, excerpts, colour, &mut out)?;
    out.flush()
}

/// As [`write()`], into a text.
#[must_use]
pub fn render(format: Format, report: &Report, excerpts: &dyn Excerpts, colour: bool) -> String {
    let mut out = Vec::new();
    // Memory takes all.
    let _ = write(format, report, excerpts, colour, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests;
