//! The tree: one flat tape over the text it was read from.
//!
//! Every list is one contiguous run of slots, every map one of entries, and a scalar string is a range of the text received. So reading
//! a review costs two allocations for the tape instead of one a node, a [`Node`] is a `Copy` handle, an `Object` owns all it needs (no
//! lifetime), is `Send + Sync`, and may be kept in a cache or changed by appending (see [`super::patch`]).

use std::sync::Arc;

/// One value of the tape. Lists hold the position of their first slot, maps that of their first entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Slot {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A range of `Object::text`.
    Text {
        start: u32,
        len: u32,
    },
    /// A range of `Tape::extra`: strings that held escapes, came from YAML, or were added by an edit.
    Extra {
        start: u32,
        len: u32,
    },
    List {
        start: u32,
        len: u32,
    },
    Map {
        start: u32,
        len: u32,
    },
}

/// One entry of a map. What its key is stands in 16 bytes, as a value does: a map is looked through from one to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    start: u32,
    len: u32,
    print: u32,
    /// Whether the key is a range of `Tape::extra`.
    is_extra: bool,
    pub(super) value: Slot,
}

impl Entry {
    fn key(&self) -> Slot {
        let Self { start, len, .. } = *self;
        if self.is_extra { Slot::Extra { start, len } } else { Slot::Text { start, len } }
    }
}

/// What nearly always tells two keys of one map apart: the length, the first and the last byte. Looking keys up is most of what judging
/// costs, and of the keys passed over no text is read.
#[expect(clippy::cast_possible_truncation, reason = "it need not tell all keys apart")]
fn print(key: &[u8]) -> u32 {
    let (first, last) = match key {
        [] => (0, 0),
        [only] => (*only, 0),
        [first, .., last] => (*first, *last),
    };
    (key.len() as u32) << 16 | u32::from(first) << 8 | u32::from(last)
}

/// Where values are written, one after the other; nothing is taken off it.
#[derive(Clone, Debug, Default)]
pub(super) struct Tape {
    pub(super) slots: Vec<Slot>,
    pub(super) entries: Vec<Entry>,
    pub(super) extra: String,
}

/// A whole JSON or YAML document as an owned, immutable tree. Order of keys and of list items is the author's.
#[derive(Clone, Debug)]
pub struct Object {
    pub(super) text: Arc<String>,
    pub(super) tape: Tape,
    pub(super) root: Slot,
}

/// A value inside an [`Object`]: a cheap, copyable view.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    pub(super) object: &'a Object,
    pub(super) slot: Slot,
}

/// What kind of JSON value a [`Node`] is, in JSON's words; integers and floats are told apart as Kubernetes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// a number without fraction or exponent that fits in 64 signed bits
    Int,
    /// any other number
    Float,
    /// a string
    String,
    /// an array
    List,
    /// an object
    Map,
}

impl Object {
    /// The tree's topmost value.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node { object: self, slot: self.root }
    }

    /// An object without any content: JSON `null`.
    #[must_use]
    pub fn null() -> Self {
        Self { text: Arc::default(), tape: Tape::default(), root: Slot::Null }
    }

    /// One value of an object as an object of its own: what a patch relative to that value is applied to. Copies the tape, not the
    /// text, and leaves room for what a patch adds.
    #[must_use]
    pub fn detached(node: Node<'_>) -> Self {
        let Self { text, tape: Tape { slots, entries, extra }, .. } = node.object;
        let mut tape = Tape {
            slots: Vec::with_capacity(slots.len() + 256),
            entries: Vec::with_capacity(entries.len() + 512),
            extra: String::with_capacity(extra.len() + 4096),
        };
        tape.slots.extend_from_slice(slots);
        tape.entries.extend_from_slice(entries);
        tape.extra.push_str(extra);
        Self { text: text.clone(), tape, root: node.slot }
    }

    fn string(&self, slot: Slot) -> &str {
        self.tape.string(&self.text, slot)
    }

    pub(super) fn list(&self, slot: Slot) -> &[Slot] {
        let Slot::List { start, len } = slot else { return &[] };
        self.tape.slots.get(start as usize..start as usize + len as usize).unwrap_or_default()
    }

    pub(super) fn map(&self, slot: Slot) -> &[Entry] {
        let Slot::Map { start, len } = slot else { return &[] };
        self.tape.entries.get(start as usize..start as usize + len as usize).unwrap_or_default()
    }

    /// The entry of a map's key, and its place among them. The last of duplicate keys wins, as in Go's decoder.
    #[inline]
    pub(super) fn entry(&self, slot: Slot, key: &str) -> Option<(usize, &Entry)> {
        let print = print(key.as_bytes());
        let mut from_last = self.map(slot).iter().enumerate().rev();
        from_last.find(|(_, entry)| entry.print == print && self.tape.bytes(&self.text, entry.key()) == key.as_bytes())
    }
}

impl Tape {
    fn string<'t>(&'t self, text: &'t str, slot: Slot) -> &'t str {
        let (source, start, len) = match slot {
            Slot::Text { start, len } => (text, start, len),
            Slot::Extra { start, len } => (self.extra.as_str(), start, len),
            _ => return "",
        };
        source.get(start as usize..start as usize + len as usize).unwrap_or_default()
    }

    /// The same without a look at where its characters begin.
    fn bytes<'t>(&'t self, text: &'t str, slot: Slot) -> &'t [u8] {
        let (source, start, len) = match slot {
            Slot::Text { start, len } => (text, start, len),
            Slot::Extra { start, len } => (self.extra.as_str(), start, len),
            _ => return &[],
        };
        source.as_bytes().get(start as usize..start as usize + len as usize).unwrap_or_default()
    }

    /// Appends a string to the side buffer.
    pub(super) fn extra(&mut self, value: &str) -> Slot {
        let start = position(self.extra.len());
        self.extra.push_str(value);
        Slot::Extra { start, len: position(value.len()) }
    }

    /// An entry of a map, from the slot of its key.
    pub(super) fn entry(&self, text: &str, key: Slot, value: Slot) -> Entry {
        let (start, len, is_extra) = match key {
            Slot::Text { start, len } => (start, len, false),
            Slot::Extra { start, len } => (start, len, true),
            // No reader pushes another kind as a key.
            _ => (0, 0, true),
        };
        Entry { start, len, print: print(self.bytes(text, key)), is_extra, value }
    }

    /// Moves the items that were pushed since `mark` to the tape.
    pub(super) fn list(&mut self, items: &mut Vec<Slot>, mark: usize) -> Slot {
        let start = position(self.slots.len());
        let run = items.get(mark..).unwrap_or_default();
        self.slots.extend_from_slice(run);
        let len = position(run.len());
        items.truncate(mark);
        Slot::List { start, len }
    }

    /// Moves the entries that were pushed since `mark` to the tape.
    pub(super) fn map(&mut self, entries: &mut Vec<Entry>, mark: usize) -> Slot {
        let start = position(self.entries.len());
        let run = entries.get(mark..).unwrap_or_default();
        self.entries.extend_from_slice(run);
        let len = position(run.len());
        entries.truncate(mark);
        Slot::Map { start, len }
    }
}

impl Default for Object {
    fn default() -> Self {
        Self::null()
    }
}

impl<'a> Node<'a> {
    /// What kind of value this is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.slot {
            Slot::Null => Kind::Null,
            Slot::Bool(_) => Kind::Bool,
            Slot::Int(_) => Kind::Int,
            Slot::Float(_) => Kind::Float,
            Slot::Text { .. } | Slot::Extra { .. } => Kind::String,
            Slot::List { .. } => Kind::List,
            Slot::Map { .. } => Kind::Map,
        }
    }

    /// Whether this is JSON `null`. The API server drops nulls, so most readers treat it as absent: see [`Node::get`].
    #[must_use]
    pub fn is_null(self) -> bool {
        matches!(self.slot, Slot::Null)
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        matches!(self.slot, Slot::Text { .. } | Slot::Extra { .. }).then(|| self.object.string(self.slot))
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        if let Slot::Bool(value) = self.slot { Some(value) } else { None }
    }

    /// The integer, if it is one.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        if let Slot::Int(value) = self.slot { Some(value) } else { None }
    }

    /// The number as a float, whichever way it was written.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a reader that asks for a float accepts a float's precision")]
    pub fn as_f64(self) -> Option<f64> {
        match self.slot {
            Slot::Int(value) => Some(value as f64),
            Slot::Float(value) => Some(value),
            _ => None,
        }
    }

    /// Number of items of a list or entries of a map; 0 for anything else.
    #[must_use]
    pub fn len(self) -> usize {
        match self.slot {
            Slot::List { len, .. } | Slot::Map { len, .. } => len as usize,
            _ => 0,
        }
    }

    /// Whether a list or map holds nothing (true for scalars too).
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of a map's key, `null` included. The last of duplicate keys wins, as in Go's decoder.
    #[must_use]
    pub fn entry(self, key: &str) -> Option<Node<'a>> {
        self.object.entry(self.slot, key).map(|(_, entry)| Node { object: self.object, slot: entry.value })
    }

    /// The value of a map's key, with `null` read as absent, as the API server does for every optional field.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Node<'a>> {
        self.entry(key).filter(|value| !value.is_null())
    }

    /// Walks down several keys; `None` as soon as one is absent or null.
    #[must_use]
    pub fn path(self, keys: &[&str]) -> Option<Node<'a>> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The string at a key, or `""`: Kubernetes does not tell an absent string from an empty one.
    #[must_use]
    pub fn text(self, key: &str) -> &'a str {
        self.get(key).and_then(Node::as_str).unwrap_or_default()
    }

    /// The item of a list.
    #[must_use]
    pub fn item(self, index: usize) -> Option<Node<'a>> {
        self.object.list(self.slot).get(index).map(|slot| Node { object: self.object, slot: *slot })
    }

    /// The items of a list in order; nothing for any other kind.
    pub fn items(self) -> impl DoubleEndedIterator<Item = Node<'a>> + ExactSizeIterator + Clone {
        self.object.list(self.slot).iter().map(move |slot| Node { object: self.object, slot: *slot })
    }

    /// The items of the list at a key; nothing when it is absent or no list.
    pub fn list(self, key: &str) -> impl DoubleEndedIterator<Item = Node<'a>> + ExactSizeIterator + Clone {
        self.get(key).unwrap_or(Node { object: self.object, slot: Slot::Null }).items()
    }

    /// The entries of a map in the author's order; nothing for any other kind.
    pub fn entries(self) -> impl DoubleEndedIterator<Item = (&'a str, Node<'a>)> + ExactSizeIterator + Clone {
        let entries = self.object.map(self.slot).iter();
        entries.map(move |entry| (self.object.string(entry.key()), Node { object: self.object, slot: entry.value }))
    }

    /// The entries of a map in order of their keys: what everything that must not depend on the author's order iterates.
    #[must_use]
    pub fn sorted_entries(self) -> Vec<(&'a str, Node<'a>)> {
        let mut entries: Vec<_> = self.entries().collect();
        entries.sort_by_key(|(key, _)| *key);
        entries
    }
}

/// Deep equality: map order does not matter, an integer equals a float of the same value.
impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.kind(), other.kind()) {
            (Kind::Null, Kind::Null) => true,
            (Kind::Bool, Kind::Bool) => self.as_bool() == other.as_bool(),
            (Kind::Int, Kind::Int) => self.as_i64() == other.as_i64(),
            (Kind::Int | Kind::Float, Kind::Int | Kind::Float) => self.as_f64() == other.as_f64(),
            (Kind::String, Kind::String) => self.as_str() == other.as_str(),
            (Kind::List, Kind::List) => self.len() == other.len() && self.items().eq(other.items()),
            (Kind::Map, Kind::Map) => {
                self.len() == other.len() && self.entries().all(|(key, value)| other.entry(key).is_some_and(|twin| value == twin))
            }
            _ => false,
        }
    }
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.to_json())
    }
}

/// Builds an [`Object`] from events in document order: what the YAML reader and Rust values write through.
///
/// Containers are opened with [`Builder::begin_list`] or [`Builder::begin_map`] and closed with [`Builder::end`]; in a map, keys
/// and values alternate and a key is pushed with [`Builder::string`].
#[derive(Debug, Default)]
pub struct Builder {
    /// What is read: a string that is a part of it is not copied.
    text: Option<Arc<String>>,
    tape: Tape,
    stack: Vec<Slot>,
    /// Those of the map that is being closed.
    entries: Vec<Entry>,
    open: Vec<(usize, bool)>,
}

impl Builder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty builder with room for what most values are, so that it grows seldom.
    pub(super) fn with_room() -> Self {
        let tape = Tape { slots: Vec::with_capacity(64), entries: Vec::with_capacity(128), extra: String::with_capacity(2048) };
        Self { text: None, tape, stack: Vec::with_capacity(64), entries: Vec::with_capacity(32), open: Vec::with_capacity(8) }
    }

    /// A builder for what is read from a text, whose strings stay there.
    #[must_use]
    pub fn reading(text: &Arc<String>) -> Self {
        Self { text: Some(Arc::clone(text)), ..Self::default() }
    }

    /// A builder for parts of an object, whose strings stay where they are as far as they stand in its text.
    #[must_use]
    pub fn parting(object: &Object) -> Self {
        Self::reading(&object.text)
    }

    pub(super) fn push(&mut self, slot: Slot) {
        self.stack.push(slot);
    }

    /// Pushes `null`.
    pub fn null(&mut self) {
        self.push(Slot::Null);
    }

    /// Pushes a boolean.
    pub fn bool(&mut self, value: bool) {
        self.push(Slot::Bool(value));
    }

    /// Pushes an integer.
    pub fn int(&mut self, value: i64) {
        self.push(Slot::Int(value));
    }

    /// Pushes a number that is no 64-bit integer.
    pub fn float(&mut self, value: f64) {
        self.push(Slot::Float(value));
    }

    /// Pushes a string, or a map's key.
    pub fn string(&mut self, value: &str) {
        let borrowed = self.text.as_ref().and_then(|text| part(text, value));
        let slot = borrowed.unwrap_or_else(|| self.tape.extra(value));
        self.push(slot);
    }

    /// Opens a list.
    pub fn begin_list(&mut self) {
        self.open.push((self.stack.len(), false));
    }

    /// Opens a map.
    pub fn begin_map(&mut self) {
        self.open.push((self.stack.len(), true));
    }

    /// Closes the innermost list or map.
    pub fn end(&mut self) {
        let Some((mark, is_map)) = self.open.pop() else { return };
        let slot = if is_map {
            let (pairs, _) = self.stack.get(mark..).unwrap_or_default().as_chunks();
            let text = self.text.as_ref().map_or("", |text| text.as_str());
            self.entries.extend(pairs.iter().map(|[key, value]| self.tape.entry(text, *key, *value)));
            self.stack.truncate(mark);
            self.tape.map(&mut self.entries, 0)
        } else {
            self.tape.list(&mut self.stack, mark)
        };
        self.push(slot);
    }

    /// Whether the last value pushed is a string.
    pub(super) fn ends_in_string(&self) -> bool {
        matches!(self.stack.last(), Some(Slot::Text { .. } | Slot::Extra { .. }))
    }

    /// The finished object: the one value pushed (`null` if there was none).
    #[must_use]
    pub fn finish(mut self) -> Object {
        let root = self.close_all();
        Object { text: self.text.unwrap_or_default(), tape: self.tape, root }
    }

    /// As [`Builder::finish`], for one of many objects that are kept: it gets just the memory that it needs, and the builder builds on.
    #[must_use]
    pub fn take(&mut self) -> Object {
        let root = self.close_all();
        let Tape { slots, entries, extra } = &self.tape;
        let tape = Tape { slots: slots.as_slice().to_vec(), entries: entries.as_slice().to_vec(), extra: extra.as_str().to_owned() };
        let object = Object { text: self.text.clone().unwrap_or_default(), tape, root };
        self.clear();
        object
    }

    /// Forgets what was pushed.
    pub fn clear(&mut self) {
        let Tape { slots, entries, extra } = &mut self.tape;
        extra.clear();
        slots.clear();
        entries.clear();
        self.stack.clear();
        self.open.clear();
    }

    fn close_all(&mut self) -> Slot {
        while !self.open.is_empty() {
            self.end();
        }
        self.stack.first().copied().unwrap_or(Slot::Null)
    }
}

/// The slot of a string that is itself a part of a text, told by where it lies.
fn part(text: &str, value: &str) -> Option<Slot> {
    let start = (value.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    (start < text.len() && value.len() <= text.len() - start).then(|| Slot::Text { start: position(start), len: position(value.len()) })
}

/// Documents are capped far below 4 GiB where they are read (8 MiB a review, 64 MiB a file), so a position always fits.
pub(super) fn position(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_text_is_not_copied() {
        let text = Arc::new("name: api".to_owned());
        let mut builder = Builder::reading(&text);
        builder.begin_map();
        builder.string(&text[..4]);
        builder.string(&text[6..]);
        builder.string("name");
        builder.string("");
        builder.end();
        let object = builder.take();
        assert_eq!((object.root().to_json(), object.tape.extra.as_str()), (r#"{"name":"api","name":""}"#.to_owned(), "name"));
        assert_eq!((object.tape.entries.capacity(), object.tape.extra.capacity()), (2, 4));
        let mut builder = Builder::parting(&object);
        builder.string(object.root().entries().next().map_or("", |(key, _)| key));
        let part = builder.take();
        assert_eq!((part.root().as_str(), part.tape.extra.as_str()), (Some("name"), ""));
    }

    #[test]
    fn nothing_of_what_was_taken_or_given_up_comes_back() {
        let mut builder = Builder::new();
        builder.begin_list();
        builder.string("a");
        builder.clear();
        builder.begin_list();
        builder.int(1);
        assert_eq!(builder.take().root().to_json(), "[1]");
        builder.bool(true);
        assert_eq!(builder.take().root().to_json(), "true");
        assert_eq!(builder.finish().root().to_json(), "null");
    }
}
