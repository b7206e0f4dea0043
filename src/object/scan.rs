//! The plain part of JSON, read straight onto the tape.
//!
//! Reading the review is the largest single cost of an answer, so what nearly every document consists of (lists, maps, strings without
//! escapes, whole numbers of up to 18 digits) is read here. Strings with escapes and all other numbers are handed to `serde_json`, and
//! at the first byte that is not as expected the scanner gives up: `serde_json` then reads the whole document, and what it says of it is
//! what counts. So nothing is accepted or refused that it would not accept or refuse; a property test and the fuzz target `review`
//! hold both to the same tape.

use serde::de::DeserializeSeed;

use super::json::Sink;
use super::tape::{Slot, position};

/// Nesting beyond this is `serde_json`'s to judge, which refuses it beyond 127.
const DEPTH: usize = 100;

/// Every byte of a word.
const ONES: u64 = u64::from_le_bytes([1; 8]);
const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);

/// Reads one document.
pub(super) struct Scanner<'t> {
    text: &'t str,
    /// What was not read yet.
    rest: &'t [u8],
    depth: usize,
    sink: Sink<'t>,
}

impl<'t> Scanner<'t> {
    pub(super) fn over(text: &'t str) -> Self {
        Self { text, rest: text.as_bytes(), depth: 0, sink: Sink::over(text) }
    }

    /// The tape and its topmost value; `None` if `serde_json` must say what the document is.
    pub(super) fn document(mut self) -> Option<(Sink<'t>, Slot)> {
        let first = self.take()?;
        let root = self.value(first)?;
        self.take().is_none().then_some((self.sink, root))
    }

    /// Takes the next byte that is no white space.
    fn take(&mut self) -> Option<u8> {
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
        }
    }

    /// How much was read.
    fn position(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// The value that begins with a byte just taken.
    fn value(&mut self, first: u8) -> Option<Slot> {
        match first {
            b'"' => self.string(),
            b'{' => self.map(),
            b'[' => self.list(),
            b't' => self.word(b"rue", Slot::Bool(true)),
            b'f' => self.word(b"alse", Slot::Bool(false)),
            b'n' => self.word(b"ull", Slot::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, rest: &[u8], slot: Slot) -> Option<Slot> {
        self.rest = self.rest.strip_prefix(rest)?;
        Some(slot)
    }

    fn enter(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= DEPTH).then_some(())
    }

    fn list(&mut self) -> Option<Slot> {
        self.enter()?;
        let mark = self.sink.items.len();
        let mut byte = self.take()?;
        while byte != b']' {
            let item = self.value(byte)?;
            self.sink.items.push(item);
            byte = self.separated(b']')?;
        }
        self.depth -= 1;
        Some(self.sink.list(mark))
    }

    fn map(&mut self) -> Option<Slot> {
        self.enter()?;
        let mark = self.sink.entries.len();
        let mut byte = self.take()?;
        while byte != b'}' {
            let key = if byte == b'"' { self.string()? } else { return None };
            let first = if self.take()? == b':' { self.take()? } else { return None };
            let value = self.value(first)?;
            self.sink.entry(key, value);
            byte = self.separated(b'}')?;
        }
        self.depth -= 1;
        Some(self.sink.map(mark))
    }

    /// What follows an item: the end of its container, or after a comma the first byte of the next one.
    fn separated(&mut self, end: u8) -> Option<u8> {
        match self.take()? {
            b',' => self.take().filter(|byte| *byte != end),
            byte => (byte == end).then_some(byte),
        }
    }

    /// The string whose quote was just taken.
    fn string(&mut self) -> Option<Slot> {
        let start = self.position();
        let mut length = special(self.rest)?;
        let (last, after) = self.rest.get(length..)?.split_first()?;
        if *last == b'"' {
            self.rest = after;
            return Some(Slot::Text { start: position(start), len: position(length) });
        }
        while *self.rest.get(length)? != b'"' {
            // Past a backslash and what it escapes; a control character is an error, and whoever reads the string will say so.
            length += 2;
            length += special(self.rest.get(length..)?)?;
        }
        self.read(start - 1, length + 1)
    }

    /// The number whose first byte was just taken.
    fn number(&mut self) -> Option<Slot> {
        let start = self.position() - 1;
        let bytes = self.text.as_bytes().get(start..)?;
        let negative = bytes.first() == Some(&b'-');
        let (mut length, mut value) = (usize::from(negative), 0_i64);
        let first = length;
        while let Some(digit @ b'0'..=b'9') = bytes.get(length) {
            // More than 18 digits may overflow; they are read below.
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            length += 1;
        }
        let (digits, zero) = (length - first, bytes.get(first) == Some(&b'0'));
        let goes_on = matches!(bytes.get(length), Some(b'.' | b'e' | b'E'));
        if (1..=18).contains(&digits) && !goes_on && !(zero && (digits > 1 || negative)) {
            self.rest = bytes.get(length..)?;
            return Some(Slot::Int(if negative { -value } else { value }));
        }
        let length = bytes.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')).count();
        self.read(start, length.checked_sub(1)?)
    }

    /// Has one scalar read by `serde_json`: it begins at `start` with the byte just taken and goes on for `length`.
    fn read(&mut self, start: usize, length: usize) -> Option<Slot> {
        let scalar = self.text.get(start..start + 1 + length)?;
        self.rest = self.rest.get(length..)?;
        let mut deserializer = serde_json::Deserializer::from_str(scalar);
        let slot = (&mut self.sink).deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        Some(slot)
    }
}

/// Where the next byte stands that is not simply part of a string: a quote, a backslash, a control character.
fn special(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    // Eight bytes at a time. A borrow can only spoil bytes above the first that is found.
    while let Some((chunk, tail)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*chunk);
        let (quote, backslash) = (word ^ QUOTES, word ^ BACKSLASHES);
        let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
        let found = (below(quote, 1) | below(backslash, 1) | below(word, 0x20)) & (ONES << 7);
        if found != 0 {
            return Some(bytes.len() - rest.len() + found.trailing_zeros() as usize / 8);
        }
        rest = tail;
    }
    let offset = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
    Some(bytes.len() - rest.len() + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tape that `serde_json` makes of a document, and whether the scanner makes the same one.
    fn both_ways(text: &str) -> (Result<String, String>, bool) {
        let told = |(sink, root): (Sink<'_>, Slot)| format!("{:?} {root:?}", sink.tape);
        let read = Sink::read(text).map(told).map_err(|error| error.to_string());
        let scanned = Scanner::over(text).document().map(told);
        let same = scanned.as_ref().is_none_or(|scanned| read.as_ref() == Ok(scanned));
        assert!(same, "{text:?}\n  serde_json: {read:?}\n  scanner: {scanned:?}");
        (read, scanned.is_some())
    }

    #[test]
    fn the_scanner_reads_what_serde_json_reads() {
        for plain in [
            "null",
            " \t\r\n{ } ",
            "[]",
            "[[],[{}]]",
            "0",
            "-1",
            "123456789012345678",
            "1234567890123456789",
            "-0",
            "-0.0",
            "1e3",
            "1.5E-7",
            "\"\"",
            "18446744073709551615",
            "99999999999999999999",
            r#"{"a":"b","a":{"c d":[true,false,null]}}"#,
            r#"{"\u0061\"":"x\ny\\"}"#,
            r#""eight by""#,
            r#""seven b\"eight by""#,
            "\"ä€😀ä€😀\"",
            r#"{"k:{\"name\":\"app\"}":{".":{}}}"#,
        ] {
            let (read, scanned) = both_ways(plain);
            assert!(read.is_ok() && scanned, "{plain}: {read:?}");
        }
        let deep = format!("{}{}", "[".repeat(127), "]".repeat(127));
        assert!(matches!(both_ways(&deep), (Ok(_), false)), "as deep as `serde_json` goes");
        for wrong in [
            "",
            " ",
            "{",
            "[",
            "\"",
            "\"\\",
            "\"\\\"",
            "\"a",
            "tru",
            "nul",
            "01",
            "-",
            "--1",
            "-01",
            "1.",
            "1.e1",
            ".5",
            "1e",
            "+1",
            "1-1",
            "0x1",
            "1 2",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{1:2}",
            "{null:1}",
            "{a:1}",
            "[1}",
            "{\"a\":1]",
            "\"\n\"",
            "\"\u{1}\"",
            r#""\x""#,
            r#""\ud800""#,
            r#""\u12"#,
            "1e999",
            "[1e999]",
            "NaN",
            "'a'",
            "\u{feff}{}",
            "{}x",
            "{}\u{0}",
            "\u{a0}1",
        ] {
            let (read, scanned) = both_ways(wrong);
            assert!(read.is_err() && !scanned, "{wrong:?}: {read:?}");
        }
    }

    proptest::proptest! {
        /// Documents, whole and with a few bytes changed, are the same tape both ways or left to `serde_json`.
        #[test]
        fn law_the_scanner_agrees_with_serde_json(
            pieces in proptest::collection::vec(proptest::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\"", "\"name\":", "\"long enough for a word\"", "1", "-", "0", ".5", "e9", "18446744073709551616",
                "true", "false", "null", " ", "\n", "\\u0041", "\\\"", "é", "\u{7}", "[1,2]", "{\"k\":\"v\"}",
            ]), 0..24),
            review in 0..4_usize, cut in 0..8000_usize, with in proptest::prelude::any::<char>(),
        ) {
            let (_read, _scanned) = both_ways(&pieces.concat());
            let whole = [
                include_str!("../../benches/reviews/pod-create.json"), include_str!("../../benches/reviews/pod-create-inject.json"),
                include_str!("../../benches/reviews/pod-create-meshed.json"), include_str!("../../benches/reviews/pod-create-vendor.json"),
            ][review];
            proptest::prop_assert!(both_ways(whole).1);
            let cut = whole.floor_char_boundary(cut.min(whole.len()));
            let after = whole[cut..].char_indices().nth(1).map_or(whole.len(), |(offset, _)| cut + offset);
            let (_read, _scanned) = both_ways(&format!("{}{with}{}", &whole[..cut], &whole[after..]));
            let (_read, _scanned) = both_ways(&whole[..cut]);
        }
    }
}
