//! JSON in and out of the tree: plain documents by the scanner, all others by `serde_json`, without a value of its own in between.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use sha2::{Digest as _, Sha256};

use super::field_path::{FieldPath, Segment};
use super::scan::Scanner;
use super::tape::{Entry, Slot, Tape, position};
use super::tree::{Kind, Node, Object};
use super::write::write_string;

/// Why a text is no JSON document; line and column are 1-based.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at line {line} column {column}")]
pub struct ReadError {
    /// What was found, in `serde_json`'s words.
    pub message: String,
    /// Line of the error.
    pub line: usize,
    /// Column of the error, in bytes.
    pub column: usize,
}

/// Why a document does not have the shape that its kind asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .path.lead())]
pub struct ShapeError {
    /// The field that does not fit.
    pub path: FieldPath,
    /// What is wrong with it: an unknown field (with the known ones), a missing one, or a wrong type.
    pub message: String,
}

impl From<serde_json::Error> for ReadError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let mut message = error.to_string();
        if let Some(end) = message.rfind(" at line ") {
            message.truncate(end);
        }
        Self { message, line, column }
    }
}

impl Object {
    /// Reads one JSON document. Nesting deeper than 128 levels is refused, as are trailing characters.
    ///
    /// # Errors
    /// [`ReadError`] with the place of the first character that does not fit.
    pub fn from_json(text: impl Into<String>) -> Result<Self, ReadError> {
        let text = text.into();
        let (tape, root) = {
            let (sink, root) = match Scanner::over(&text).document() {
                Some(scanned) => scanned,
                None => Sink::read(&text)?,
            };
            (sink.tape, root)
        };
        Ok(Self { text: Arc::new(text), tape, root })
    }
}

/// Collects the tape while the document is read.
#[derive(Debug)]
pub(super) struct Sink<'t> {
    text: &'t str,
    pub(super) tape: Tape,
    /// Items of the lists that are open, and entries of the maps.
    pub(super) items: Vec<Slot>,
    pub(super) entries: Vec<Entry>,
}

impl<'t> Sink<'t> {
    pub(super) fn over(text: &'t str) -> Self {
        // An entry for every 16 bytes of text and an item for every 48 hold for Kubernetes objects without growing.
        let (slots, entries) = (Vec::with_capacity(text.len() / 48), Vec::with_capacity(text.len() / 16));
        let tape = Tape { slots, entries, extra: String::new() };
        Self { text, tape, items: Vec::with_capacity(64), entries: Vec::with_capacity(64) }
    }

    /// Reads a whole document by `serde_json`, which says what JSON is and in which words it is not.
    pub(super) fn read(text: &'t str) -> Result<(Self, Slot), serde_json::Error> {
        let mut sink = Self::over(text);
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let root = (&mut sink).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok((sink, root))
    }

    /// Adds an entry to the innermost map that is open.
    pub(super) fn entry(&mut self, key: Slot, value: Slot) {
        self.entries.push(self.tape.entry(self.text, key, value));
    }

    /// Closes a list whose items were pushed since `mark`.
    pub(super) fn list(&mut self, mark: usize) -> Slot {
        self.tape.list(&mut self.items, mark)
    }

    /// Closes a map whose entries were pushed since `mark`.
    pub(super) fn map(&mut self, mark: usize) -> Slot {
        self.tape.map(&mut self.entries, mark)
    }

    fn borrowed(&self, value: &str) -> Slot {
        let start = (value.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        Slot::Text { start: position(start), len: position(value.len()) }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Sink<'_> {
    type Value = Slot;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Slot, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Sink<'_> {
    type Value = Slot;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Slot, E> {
        Ok(Slot::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Slot, E> {
        Ok(Slot::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Slot, E> {
        Ok(Slot::Int(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "Kubernetes reads an integer beyond 64 signed bits as a float")]
    fn visit_u64<E>(self, value: u64) -> Result<Slot, E> {
        Ok(i64::try_from(value).map_or(Slot::Float(value as f64), Slot::Int))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Slot, E> {
        if value.is_finite() { Ok(Slot::Float(value)) } else { Err(E::custom("number out of range")) }
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Slot, E> {
        Ok(self.borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Slot, E> {
        Ok(self.tape.extra(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Slot, A::Error> {
        let mark = self.items.len();
        while let Some(item) = items.next_element_seed(&mut *self)? {
            self.items.push(item);
        }
        Ok(self.list(mark))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Slot, A::Error> {
        let mark = self.entries.len();
        while let Some(key) = entries.next_key_seed(&mut *self)? {
            if !matches!(key, Slot::Text { .. } | Slot::Extra { .. }) {
                return Err(A::Error::custom("a key must be a string"));
            }
            let value = entries.next_value_seed(&mut *self)?;
            self.entry(key, value);
        }
        Ok(self.map(mark))
    }
}

impl Node<'_> {
    /// This value as compact JSON, keys in the author's order.
    #[must_use]
    pub fn to_json(self) -> String {
        let mut out = String::new();
        self.write_json(&mut out, false);
        out
    }

    /// Appends this value as compact JSON; with `sorted`, keys in order (the canonical form that digests are made of).
    pub fn write_json(self, out: &mut String, sorted: bool) {
        self.write_json_without("", out, sorted);
    }

    /// The same without the fields of one name, wherever they stand.
    fn write_json_without(self, left_out: &str, out: &mut String, sorted: bool) {
        match self.kind() {
            Kind::Null => out.push_str("null"),
            Kind::Bool => out.push_str(if self.as_bool() == Some(true) { "true" } else { "false" }),
            Kind::Int => {
                let _ = write!(out, "{}", self.as_i64().unwrap_or_default());
            }
            Kind::Float => write_scalar(out, &self.as_f64()),
            Kind::String => write_string(out, self.as_str().unwrap_or_default()),
            Kind::List => {
                out.push('[');
                for (index, item) in self.items().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_json_without(left_out, out, sorted);
                }
                out.push(']');
            }
            Kind::Map => {
                out.push('{');
                let mut first = true;
                let mut write = |out: &mut String, key: &str, value: Node<'_>| {
                    if !left_out.is_empty() && key == left_out {
                        return;
                    }
                    if !std::mem::take(&mut first) {
                        out.push(',');
                    }
                    write_string(out, key);
                    out.push(':');
                    value.write_json_without(left_out, out, sorted);
                };
                if sorted {
                    for (key, value) in self.sorted_entries() {
                        write(out, key, value);
                    }
                } else {
                    for (key, value) in self.entries() {
                        write(out, key, value);
                    }
                }
                out.push('}');
            }
        }
    }

    /// Reads this value into a Rust type.
    ///
    /// # Errors
    /// [`ShapeError`] with the path, below this value, of the field that does not fit.
    pub fn read<T: serde::de::DeserializeOwned>(self) -> Result<T, ShapeError> {
        let text = self.to_json();
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let mut path = FieldPath::root();
            for segment in error.path() {
                match segment {
                    serde_path_to_error::Segment::Seq { index } => path.push(Segment::Index(*index)),
                    serde_path_to_error::Segment::Map { key } => path.push(Segment::Field(key.clone().into())),
                    serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => {}
                }
            }
            let message = ReadError::from(error.into_inner()).message;
            let plain = path.resolve(self).and_then(|found| in_plain_words(&message, found));
            ShapeError { path, message: plain.unwrap_or_else(|| suggesting(message)) }
        })
    }

    /// What sort of value this is, for messages; never the value itself, which may be secret.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self.kind() {
            Kind::Null => "nothing",
            Kind::Bool if self.as_bool() == Some(true) => "`true`",
            Kind::Bool => "`false`",
            Kind::Int | Kind::Float => "a number",
            Kind::String => "a text",
            Kind::List => "a list",
            Kind::Map => "a map",
        }
    }

    /// SHA-256 of the canonical JSON, as 64 hexadecimal digits: equal for equal values, whatever the order of their keys.
    #[must_use]
    pub fn digest(self) -> String {
        self.digest_without("")
    }

    /// The same of all but the fields of one name, wherever they stand.
    #[must_use]
    pub fn digest_without(self, left_out: &str) -> String {
        let mut text = String::new();
        self.write_json_without(left_out, &mut text, true);
        hex_digest(text.as_bytes())
    }
}

/// The name nearest to a wrong one, if one is near: for `did you mean`.
#[must_use]
pub fn nearest_name<'k>(known: impl IntoIterator<Item = &'k str>, wrong: &str) -> Option<&'k str> {
    let near = known.into_iter().map(|known| (strsim::jaro_winkler(known, wrong), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    near.filter(|(score, _)| *score > 0.8).map(|(_, known)| known)
}

/// serde's words for a value of a wrong type, in those of somebody who writes YAML.
fn in_plain_words(message: &str, found: Node<'_>) -> Option<String> {
    // Of a choice among words, serde's reader of JSON says only that it found none.
    let is_choice = message == "expected value";
    let expected = match message.strip_prefix("invalid type: ") {
        Some(rest) => rest.rsplit_once(", expected ")?.1,
        None if is_choice => "a string",
        None => return None,
    };
    let wanted = match expected {
        "i64" | "u64" | "i32" | "u32" | "u16" | "usize" => "a whole number",
        "f64" => "a number",
        "a string" | "string" => "a text",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        "a map" => "a map",
        expected if expected.starts_with("struct ") => "a map",
        other => other,
    };
    let remedy = match found.as_bool() {
        Some(false) if is_choice => ", as YAML reads an unquoted `Off` or `No`: write `\"Off\"`",
        Some(_) if wanted == "a text" => ", as YAML reads some words without quotes: put the word in quotes",
        _ => "",
    };
    Some(format!("must be {wanted}; this is {}{remedy}", found.in_words()))
}

/// serde's words for a name that does not exist list those that do; the nearest of them is most likely meant.
fn suggesting(message: String) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    match names.next().filter(|_| message.starts_with("unknown field `") || message.starts_with("unknown variant `")) {
        Some(wrong) => match nearest_name(names, wrong) {
            Some(near) => format!("{message}; did you mean `{near}`?"),
            None => message,
        },
        None => message,
    }
}

/// SHA-256 of some bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex_digest(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).map(|digit| char::from(*digit));
    Sha256::digest(bytes).iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(digit).collect()
}

impl Serialize for Node<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.kind() {
            Kind::Null => serializer.serialize_unit(),
            Kind::Bool => serializer.serialize_bool(self.as_bool().unwrap_or_default()),
            Kind::Int => serializer.serialize_i64(self.as_i64().unwrap_or_default()),
            Kind::Float => serializer.serialize_f64(self.as_f64().unwrap_or_default()),
            Kind::String => serializer.serialize_str(self.as_str().unwrap_or_default()),
            Kind::List => serializer.collect_seq(self.items()),
            Kind::Map => serializer.collect_map(self.entries()),
        }
    }
}

/// Floats are written by `serde_json`, and cannot fail.
fn write_scalar(out: &mut String, value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(value) {
        out.push_str(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_every_kind_of_value() {
        let text = r#"{"a":null,"b":[true,false],"c":-7,"d":1.5,"e":"x\ny\u00e9","f":{},"g":18446744073709551615}"#;
        let object = Object::from_json(text).unwrap();
        let root = object.root();
        assert_eq!(root.to_json(), r#"{"a":null,"b":[true,false],"c":-7,"d":1.5,"e":"x\nyé","f":{},"g":1.8446744073709552e+19}"#);
        assert_eq!(root.get("a"), None);
        assert!(root.entry("a").is_some_and(Node::is_null));
        assert_eq!(root.text("e"), "x\nyé");
        assert_eq!(root.get("b").map(Node::len), Some(2));
    }

    #[test]
    fn names_the_place_of_an_error() {
        let error = Object::from_json("{\"a\":\n  tru}").unwrap_err();
        assert_eq!((error.line, error.column), (2, 6), "{error}");
        let deep = "[".repeat(200);
        assert!(Object::from_json(deep).unwrap_err().message.contains("recursion limit"));
        assert!(Object::from_json("{} x").unwrap_err().message.contains("trailing characters"));
    }

    #[test]
    fn equality_and_digest_ignore_the_order_of_keys() {
        let left = Object::from_json(r#"{"a":1,"b":{"c":[1,2.0]}}"#).unwrap();
        let right = Object::from_json(r#"{"b":{"c":[1.0,2]},"a":1}"#).unwrap();
        assert_eq!(left.root(), right.root());
        let twin = Object::from_json(r#"{"b":{"c":[1,2.0]},"a":1}"#).unwrap();
        assert_eq!(left.root().digest(), twin.root().digest());
        assert_ne!(left.root().digest(), Object::from_json("{}").unwrap().root().digest());
    }
}
