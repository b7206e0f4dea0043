//! Foreign text in our output: names, values and keys that somebody else chose.

use std::borrow::Cow;

/// Longest foreign text that is shown, in characters.
const LONGEST: usize = 128;

/// Text that is safe in every sink: control characters (C0, C1), line separators, and characters that reorder or hide text are
/// written as `\u....`, and what is longer than 128 characters is cut and ends in `…`.
///
/// A terminal obeys ESC, the API server drops a warning with any control character whole, and a reader believes what a right-to-left
/// override shows him.
#[must_use]
pub fn quoted(text: &str) -> String {
    if text.len() <= LONGEST && is_plain(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for (count, character) in text.chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        push_escaped(&mut out, character);
    }
    out
}

/// As [`quoted`], but of any length: for messages that are ours with foreign names inside.
#[must_use]
pub fn escaped(text: &str) -> String {
    escape(text).into_owned()
}

/// As [`escaped`], copied only where something is to be escaped.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|character| push_escaped(&mut out, character));
    out.into()
}

/// Whether a text is printable ASCII, as nearly every one is.
fn is_plain(text: &str) -> bool {
    // By pieces without a way out of them: so they are looked through many bytes at a time.
    text.as_bytes().chunks(64).all(|piece| piece.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~')))
}

fn push_escaped(out: &mut String, character: char) {
    if is_deceptive(character) {
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    } else {
        out.push(character);
    }
}

/// Whether a character does something else than show itself.
#[must_use]
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_would_act() {
        assert_eq!(quoted("a\nb\u{1b}[31m\u{9b}\u{202e}"), "a\\u000ab\\u001b[31m\\u009b\\u202e");
        assert_eq!(quoted("spiffe://example.org/ns/käse"), "spiffe://example.org/ns/käse");
        assert_eq!(quoted("\u{e0041}"), "\\udb40\\udc41");
        assert_eq!(quoted(&"x".repeat(200)), format!("{}…", "x".repeat(128)));
        assert_eq!(escaped(&"x".repeat(200)).len(), 200);
    }
}
