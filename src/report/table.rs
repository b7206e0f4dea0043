//! `-o table`: for people. One block a violation, as compilers show them, under a line for each file and object.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::checklist;
use super::excerpt::Lines;
use super::{Enforcement, Excerpts, Out, Report, Status, Violation};
use crate::manifest::InputError;
use crate::object::{escaped, is_deceptive, quoted};

/// Longest part of a source line that is shown, in characters; of a place behind it only line and column are.
const LONGEST_LINE: usize = 200;
/// Width that the excerpts are fitted to, in columns.
const WIDTH: usize = 140;

pub(super) fn write(report: &Report, excerpts: &dyn Excerpts, colour: bool, out: &mut Out<'_>) -> io::Result<()> {
    let renderer = renderer(colour);
    let mut lines = OneFile { excerpts, file: None, lines: None };
    let concealed = concealed(report);
    let mut last = None;
    for violation in report.violations.iter().filter(|violation| violation.status != Status::Baseline) {
        let heading = (&violation.file, &violation.object);
        if last != Some(heading) {
            writeln!(out, "{}", title(violation))?;
            last = Some(heading);
        }
        let shown = !concealed.contains(&(violation.file.as_str(), violation.line));
        let line = lines.get(&violation.file, violation.line).filter(|_| shown);
        writeln!(out, "{}\n", renderer.render(&[block(violation, line)]))?;
    }
    for error in &report.errors {
        let shown = !concealed.contains(&(error.file.as_str(), error.line));
        let line = lines.get(&error.file, error.line).filter(|_| shown);
        writeln!(out, "{}\n", renderer.render(&[error_block(error, line)]))?;
    }
    writeln!(out, "{}", summary(report))?;
    if !report.checklist.is_empty() {
        write!(out, "\nChecklist\n{}", checklist::to_text(&report.checklist))?;
    }
    Ok(())
}

/// How excerpts are drawn.
pub(super) fn renderer(colour: bool) -> Renderer {
    if colour { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii).term_width(WIDTH)
}

/// A character of an excerpt: one for one, so that columns stay.
pub(super) fn harmless(character: char) -> char {
    if is_deceptive(character) && character != '\t' { '\u{fffd}' } else { character }
}

/// The lines on which a credential stands: what the report is printed to is no place for it, whichever rule speaks of the line.
fn concealed(report: &Report) -> BTreeSet<(&str, usize)> {
    let rules: BTreeSet<&str> = report.rules.iter().filter(|rule| rule.conceal).map(|rule| rule.id.as_str()).collect();
    let found = report.violations.iter().filter(|violation| rules.contains(violation.rule.as_str()));
    found.map(|violation| (violation.file.as_str(), violation.line)).collect()
}

/// The heading of an object: `deploy/api.yaml: Deployment prod/api`.
fn title(violation: &Violation) -> String {
    let object = &violation.object;
    let namespace = if object.namespace.is_empty() { String::new() } else { format!("{}/", quoted(&object.namespace)) };
    let file = if violation.file.is_empty() { String::new() } else { format!("{}: ", escaped(&violation.file)) };
    format!("{file}{} {namespace}{}", quoted(&object.kind), quoted(&object.name))
}

fn block<'b>(violation: &'b Violation, line: Option<&'b str>) -> Group<'b> {
    let level = match violation.enforcement {
        Enforcement::Deny => Level::ERROR,
        Enforcement::Warn => Level::WARNING,
        Enforcement::Audit => Level::NOTE,
    };
    let name = match violation.status {
        Status::Unknown => "unknown",
        Status::New | Status::Baseline => violation.enforcement.name(),
    };
    let title = level.with_name(name).primary_title(escaped(&violation.message)).id(quoted(&violation.rule));
    let mut group = located(Group::with_title(title), &violation.file, violation.line, violation.column, line);
    if !violation.path.is_empty() {
        group = group.element(Level::NOTE.with_name("at").message(escaped(&violation.path)));
    }
    if !violation.remedy.is_empty() {
        group = group.element(Level::HELP.message(escaped(&violation.remedy)));
    }
    group
}

fn error_block<'b>(error: &'b InputError, line: Option<&'b str>) -> Group<'b> {
    let group = Group::with_title(Level::ERROR.primary_title(escaped(&error.message)));
    located(group, &error.file, error.line, error.column, line)
}

/// Adds the place: with its source line if that is at hand.
fn located<'b>(group: Group<'b>, file: &str, line: usize, column: usize, text: Option<&str>) -> Group<'b> {
    if file.is_empty() {
        return group;
    }
    match text.filter(|_| column > 0).map(|text| excerpt(text, column)) {
        Some((text, span)) if !span.is_empty() => {
            let snippet = Snippet::source(text).line_start(line).path(escaped(file));
            group.element(snippet.annotation(AnnotationKind::Primary.span(span)))
        }
        _ => {
            let mut origin = Origin::path(escaped(file));
            if line > 0 {
                origin = origin.line(line);
            }
            if column > 0 {
                origin = origin.char_column(column);
            }
            group.element(origin)
        }
    }
}

/// The part of a line that is shown, made harmless, and the bytes of the word at the column.
fn excerpt(line: &str, column: usize) -> (String, std::ops::Range<usize>) {
    let start = column - 1;
    let mut text = String::new();
    let mut span = usize::MAX..usize::MAX;
    for (index, character) in line.chars().take(LONGEST_LINE).enumerate() {
        if index == start {
            span.start = text.len();
        }
        text.push(harmless(character));
    }
    if let Some(word) = text.get(span.start..) {
        span.end = span.start + word_length(word);
    }
    (text, span)
}

/// Length in bytes of the key or scalar that a text begins with, at least one character.
fn word_length(text: &str) -> usize {
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''));
    let end = match quote {
        Some(quote) => text.get(1..).and_then(|rest| rest.find(quote)).map(|end| end + 2),
        None => text.char_indices().find_map(|(index, character)| {
            let next = text.get(index + character.len_utf8()..).and_then(|rest| rest.chars().next());
            let ends = match character {
                ':' => next.is_none_or(char::is_whitespace),
                ',' | ']' | '}' => true,
                _ => character.is_whitespace(),
            };
            ends.then_some(index)
        }),
    };
    let first = text.chars().next().map_or(0, char::len_utf8);
    end.unwrap_or(text.trim_end().len()).max(first)
}

fn summary(report: &Report) -> String {
    let counts = &report.summary;
    let count = |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    let mut out = count(counts.objects, "object", "objects");
    if counts.violations == 0 {
        out.push_str(", no violation");
    } else {
        let violations = count(counts.violations, "violation", "violations");
        let _ = write!(out, ", {violations} ({} deny, {} warn, {} audit)", counts.deny, counts.warn, counts.audit);
    }
    let known = report.violations.iter().filter(|violation| violation.status == Status::Baseline).count();
    for (number, word) in [(known, "in the baseline"), (counts.waived, "waived"), (counts.unknown, "unknown")] {
        if number > 0 {
            let _ = write!(out, ", {number} {word}");
        }
    }
    if !report.errors.is_empty() {
        let _ = write!(out, ", {} while reading", count(report.errors.len(), "error", "errors"));
    }
    out
}

/// The lines of the file shown last.
struct OneFile<'e> {
    excerpts: &'e dyn Excerpts,
    file: Option<String>,
    lines: Option<Lines<'e>>,
}

impl<'e> OneFile<'e> {
    fn get(&mut self, file: &str, line: usize) -> Option<&'e str> {
        if line == 0 {
            return None;
        }
        if self.file.as_deref() != Some(file) {
            self.file = Some(file.to_owned());
            self.lines = self.excerpts.text(file).map(Lines::of);
        }
        self.lines.as_mut()?.get(line)
    }
}
