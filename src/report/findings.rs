//! What `doorward policy lint` prints: each finding with its source underlined, or all of them as JSON.

use std::fmt::Write as _;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value as Json, json};

use crate::manifest::InputError;
use crate::object::{escaped, is_deceptive};
use crate::policy::{Finding, Weight};

/// Width that the excerpts are fitted to, in columns.
const WIDTH: usize = 160;

/// The findings of one file.
#[derive(Clone, Debug, Default)]
pub struct Linted {
    /// The file as it was named.
    pub file: String,
    /// Its text.
    pub text: String,
    /// What was found in its documents.
    pub findings: Vec<Finding>,
    /// What could not be read.
    pub errors: Vec<InputError>,
}

/// For people.
#[must_use]
pub fn findings_as_text(files: &[Linted], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii).term_width(WIDTH);
    let mut out = String::new();
    for file in files {
        // Byte for byte, so that the spans stay.
        let harmless = |sign: char| is_deceptive(sign) && !matches!(sign, '\n' | '\t');
        let text: String =
            file.text.chars().map(|sign| if harmless(sign) { "?".repeat(sign.len_utf8()) } else { sign.to_string() }).collect();
        for finding in &file.findings {
            let level = match finding.weight {
                Weight::Error => Level::ERROR,
                Weight::Warning => Level::WARNING,
                Weight::Note => Level::NOTE,
            };
            let mut group = Group::with_title(level.primary_title(escaped(&finding.message)));
            if finding.line > 0 {
                let snippet = Snippet::source(text.as_str()).path(escaped(&file.file));
                group = group.element(snippet.annotation(AnnotationKind::Primary.span(first_line(&text, &finding.span))));
                group = group.element(Level::NOTE.with_name("at").message(escaped(&finding.path.to_string())));
            } else {
                group = group.element(Origin::path(escaped(&file.file)));
            }
            if let Some(remedy) = &finding.remedy {
                group = group.element(Level::HELP.message(escaped(remedy)));
            }
            let _ = writeln!(out, "{}\n", renderer.render(&[group]));
        }
        for error in &file.errors {
            let _ = writeln!(out, "error: {error}\n");
        }
    }
    let count = |weight| files.iter().flat_map(|file| &file.findings).filter(|finding| finding.weight == weight).count();
    let unread: usize = files.iter().map(|file| file.errors.len()).sum();
    let _ = writeln!(
        out,
        "files: {}, errors: {}, warnings: {}, notes: {}",
        files.iter().filter(|file| !file.file.is_empty()).count(),
        count(Weight::Error) + unread,
        count(Weight::Warning),
        count(Weight::Note)
    );
    out
}

/// The part of a span on its first line: a whole folded expression underlined says no more.
fn first_line(text: &str, span: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    let part = text.get(span.clone()).unwrap_or_default();
    let length = part.find('\n').unwrap_or(part.len());
    span.start..span.start + length.max(usize::from(!part.is_empty()))
}

/// For programs: an interface.
#[must_use]
pub fn findings_as_json(files: &[Linted]) -> String {
    let entry = |file: &str, line: usize, column: usize, weight: Weight, path: &str, message: &str, help: Option<&str>| {
        let mut entry = json!({ "file": file, "line": line, "column": column, "weight": weight.word(), "path": path, "message": message });
        if let (Some(fields), Some(help)) = (entry.as_object_mut(), help) {
            fields.insert("help".into(), help.into());
        }
        entry
    };
    let found = files.iter().flat_map(|file| {
        let findings = file.findings.iter().map(|finding| {
            let Finding { weight, path, message, remedy, line, column, .. } = finding;
            entry(&file.file, *line, *column, *weight, &path.to_string(), message, remedy.as_deref())
        });
        findings
            .chain(file.errors.iter().map(|error| entry(&error.file, error.line, error.column, Weight::Error, "", &error.message, None)))
    });
    let found: Vec<Json> = found.collect();
    let mut text = serde_json::to_string_pretty(&json!({ "findings": found })).unwrap_or_default();
    text.push('\n');
    text
}
