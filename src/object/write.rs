//! Text as JSON writes it.

use std::fmt::Write as _;

/// Appends a text as a JSON string, escaped as `serde_json` escapes it.
pub(super) fn write_string(out: &mut String, text: &str) {
    let mut writing = Writing { out, text, written: 0 };
    writing.out.reserve(text.len() + 2);
    writing.out.push('"');
    // Most texts need no escape: runs are looked at whole, and byte by byte only where there is one.
    let (runs, rest) = text.as_bytes().as_chunks::<16>();
    for (index, run) in runs.iter().enumerate() {
        if run.iter().fold(false, |found, byte| found | is_escaped(*byte)) {
            writing.escape(index * run.len(), run);
        }
    }
    writing.escape(text.len() - rest.len(), rest);
    writing.plain_up_to(text.len());
    writing.out.push('"');
}

/// What JSON does not let stand in a string. No part of a character of several bytes is among them.
fn is_escaped(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

struct Writing<'o, 't> {
    out: &'o mut String,
    text: &'t str,
    /// Up to where the text is written.
    written: usize,
}

impl Writing<'_, '_> {
    fn escape(&mut self, start: usize, bytes: &[u8]) {
        for (offset, byte) in bytes.iter().enumerate().filter(|(_, byte)| is_escaped(**byte)) {
            self.plain_up_to(start + offset);
            self.written += 1;
            let escape = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                b'\t' => "\\t",
                8 => "\\b",
                12 => "\\f",
                other => {
                    let _ = write!(self.out, "\\u{other:04x}");
                    continue;
                }
            };
            self.out.push_str(escape);
        }
    }

    fn plain_up_to(&mut self, end: usize) {
        self.out.push_str(self.text.get(self.written..end).unwrap_or_default());
        self.written = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_escaped_as_serde_json_does() {
        let written = |text: &str| {
            let mut out = String::new();
            write_string(&mut out, text);
            out
        };
        for character in ('\0'..'\u{100}').chain(['\u{2028}', '\u{fffd}', '\u{1f600}']) {
            for before in 0..33 {
                let text = format!("{}{character}\u{e9}{character}{}", "a".repeat(before), "b".repeat(before % 20));
                assert_eq!(written(&text), serde_json::to_string(&text).unwrap(), "{character:?} after {before}");
            }
        }
        assert_eq!(written(""), "\"\"");
    }
}
