//! The plain part of JSON, read straight onto the tape.
//!
//! Reading the review is the largest single cost of an answer, so what nearly every document consists of (lists, maps, strings without
//! escapes, whole numbers of up to 18 digits) is read here. Strings with escapes and all other numbers are handed to `serde_json`, and
//! at the first byte that is not as expected the scanner gives up: `serde_json` then reads the whole document, and what it says of it is
//! what counts. So nothing is accepted or refused that it would not accept or refuse; a property test and the fuzz target `review`
//! hold both to the same tape.

use serde::de::DeserializeSeed;

use super::json::Sink;
use super::tree::{Slot, position};

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
