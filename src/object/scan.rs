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
    at: usize,
    depth: usize,
    sink: Sink<'t>,
}

impl<'t> Scanner<'t> {
    pub(super) fn over(text: &'t str) -> Self {
        Self { text, at: 0, depth: 0, sink: Sink::over(text) }
    }

    /// The tape and its topmost value; `None` if `serde_json` must say what the document is.
    pub(super) fn document(mut self) -> Option<(Sink<'t>, Slot)> {
        let root = self.value()?;
        self.next().is_none().then_some((self.sink, root))
    }

    /// The next byte that is no white space; it is not passed.
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn value(&mut self) -> Option<Slot> {
        match self.next()? {
            b'"' => self.string(),
            b'{' => self.map(),
            b'[' => self.list(),
            b't' => self.word("true", Slot::Bool(true)),
            b'f' => self.word("false", Slot::Bool(false)),
            b'n' => self.word("null", Slot::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, slot: Slot) -> Option<Slot> {
        self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes()).then(|| {
            self.at += word.len();
            slot
        })
    }

    /// Enters a list or map; gives the mark that its run begins at.
    fn enter(&mut self) -> Option<usize> {
        self.at += 1;
        self.depth += 1;
        (self.depth <= DEPTH).then_some(self.sink.stack.len())
    }

    fn leave(&mut self, mark: usize, is_map: bool) -> Slot {
        self.at += 1;
        self.depth -= 1;
        self.sink.close(mark, is_map)
    }

    fn list(&mut self) -> Option<Slot> {
        let mark = self.enter()?;
        if self.next()? == b']' {
            return Some(self.leave(mark, false));
        }
        loop {
            let item = self.value()?;
            self.sink.stack.push(item);
            match self.next()? {
                b',' => self.at += 1,
                b']' => return Some(self.leave(mark, false)),
                _ => return None,
            }
        }
    }

    fn map(&mut self) -> Option<Slot> {
        let mark = self.enter()?;
        if self.next()? == b'}' {
            return Some(self.leave(mark, true));
        }
        loop {
            if self.next()? != b'"' {
                return None;
            }
            let key = self.string()?;
            self.sink.stack.push(key);
            if self.next()? != b':' {
                return None;
            }
            self.at += 1;
            let value = self.value()?;
            self.sink.stack.push(value);
            match self.next()? {
                b',' => self.at += 1,
                b'}' => return Some(self.leave(mark, true)),
                _ => return None,
            }
        }
    }

    fn string(&mut self) -> Option<Slot> {
        let start = self.at + 1;
        let mut end = self.special(start)?;
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return Some(Slot::Text { start: position(start), len: position(end - start) });
        }
        while *self.text.as_bytes().get(end)? != b'"' {
            // Past a backslash and what it escapes; a control character is an error, and whoever reads the string will say so.
            end = self.special(end + 2)?;
        }
        self.read(self.at..end + 1)
    }

    /// Where the next byte stands that is not simply part of a string: a quote, a backslash, a control character.
    fn special(&self, from: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut rest = bytes.get(from..)?;
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

    fn number(&mut self) -> Option<Slot> {
        let bytes = self.text.as_bytes().get(self.at..)?;
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
            self.at += length;
            return Some(Slot::Int(if negative { -value } else { value }));
        }
        let length = bytes.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')).count();
        self.read(self.at..self.at + length)
    }

    /// Has one scalar read by `serde_json`.
    fn read(&mut self, range: std::ops::Range<usize>) -> Option<Slot> {
        self.at = range.end;
        let mut deserializer = serde_json::Deserializer::from_str(self.text.get(range)?);
        let slot = (&mut self.sink).deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        Some(slot)
    }
}
