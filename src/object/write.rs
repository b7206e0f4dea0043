//! Text as JSON writes it.

use std::fmt::Write as _;

/// Appends a text as a JSON string, escaped as `serde_json` escapes it.
pub(super) fn write_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    if is_plain(text.as_bytes()) {
        out.push_str(text);
    } else {
        Writing { out: &mut *out, text, written: 0 }.all();
    }
    out.push('"');
}

/// What JSON does not let stand in a string. No part of a character of several bytes is among them.
fn is_escaped(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

/// Whether some bytes, looked at all at once, hold one that is escaped.
fn holds_escaped<const N: usize>(run: &[u8; N]) -> bool {
    run.iter().fold(false, |found, byte| found | is_escaped(*byte))
}

/// Whether nothing is to be escaped, as in nearly every text. Ends are looked at in runs that overlap.
fn is_plain(bytes: &[u8]) -> bool {
    if let Some(end) = bytes.last_chunk::<16>() {
        return !holds_escaped(end) && !bytes.as_chunks::<16>().0.iter().any(holds_escaped);
    }
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(start), Some(end)) => !holds_escaped(start) && !holds_escaped(end),
        _ => !bytes.iter().any(|byte| is_escaped(*byte)),
    }
}

struct Writing<'o, 't> {
    out: &'o mut String,
    text: &'t str,
    /// Up to where the text is written.
    written: usize,
}

impl Writing<'_, '_> {
    fn all(mut self) {
        let text = self.text;
        for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| is_escaped(*byte)) {
            self.plain_up_to(at);
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
        self.plain_up_to(text.len());
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
