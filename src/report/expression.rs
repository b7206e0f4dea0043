//! A mistake in a CEL expression, for people: the source, with the part underlined.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Snippet};

use super::table::{harmless, renderer};
use crate::object::escaped;

/// Shows a mistake in some bytes of `source`, which came from `name`, and what to do about it. The text ends in a line feed.
#[must_use]
pub fn render_mistake(message: &str, bytes: &Range<usize>, remedy: Option<&str>, source: &str, name: &str, colour: bool) -> String {
    let mut text = String::with_capacity(source.len());
    // One character for one, so that columns stay; the bytes of the part move with what is replaced before it.
    let (mut start, mut end) = (None, None);
    for (byte, character) in source.char_indices() {
        if byte >= bytes.start {
            start = start.or(Some(text.len()));
        }
        if byte >= bytes.end {
            end = end.or(Some(text.len()));
        }
        text.push(if character == '\n' { '\n' } else { harmless(character) });
    }
    let whole = text.len();
    let span = start.unwrap_or(whole)..end.unwrap_or(whole);
    let snippet = Snippet::source(text).line_start(1).path(escaped(name)).annotation(AnnotationKind::Primary.span(span));
    let mut group = Group::with_title(Level::ERROR.primary_title(escaped(message))).element(snippet);
    if let Some(remedy) = remedy {
        group = group.element(Level::HELP.message(escaped(remedy)));
    }
    format!("{}\n", renderer(colour).render(&[group]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::{Expression, Scope};

    fn shown(source: &str) -> String {
        let error = Expression::compile(source, &Scope::new(&["object"])).unwrap_err();
        render_mistake(&error.message, &error.span, Some("mend it"), source, "rule.cel", false)
    }

    #[test]
    fn the_part_at_fault_is_underlined_on_its_line() {
        let text = shown("object.a == 1 &&\n  'é\u{202e}' == nope.b");
        let lines = [
            "error: undeclared reference to 'nope' (in container '')",
            " --> rule.cel:2:11",
            "  |",
            "2 |   'é\u{fffd}' == nope.b",
            "  |           ^^^^",
            "  |",
            "  = help: mend it",
            "",
        ];
        assert_eq!(text, lines.join("\n"));
    }

    #[test]
    fn the_end_of_the_source_can_be_pointed_at() {
        let text = shown("1 +");
        assert!(text.contains("--> rule.cel:1:4") && text.contains("1 | 1 +\n  |    ^\n"), "{text}");
    }
}
