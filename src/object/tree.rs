//! The tree: one flat tape of slots over the text it was read from.
//!
//! Every list and map is one contiguous run of slots, and a scalar string is a range of the text received. So reading a review costs
//! one allocation for the tape instead of one a node, a [`Node`] is a `Copy` handle, an `Object` owns all it needs (no lifetime), is
//! `Send + Sync`, and may be kept in a cache or changed by appending (see [`super::edit`]).

use std::sync::Arc;

/// One value of the tape. Containers hold the position of their first slot; a map's entries are pairs of slots, key then value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A range of `Object::text`.
    Text {
        start: u32,
        len: u32,
    },
    /// A range of `Object::extra`: strings that held escapes, came from YAML, or were added by an edit.
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

/// A whole JSON or YAML document as an owned, immutable tree. Order of keys and of list items is the author's.
#[derive(Clone, Debug)]
pub struct Object {
    pub(super) text: Arc<String>,
    pub(super) extra: String,
    pub(super) slots: Vec<Slot>,
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
        Self { text: Arc::default(), extra: String::new(), slots: Vec::new(), root: Slot::Null }
    }

    /// One value of an object as an object of its own: what a patch relative to that value is applied to. Copies the tape, not the
    /// text, and leaves room for what a patch adds.
    #[must_use]
    pub fn detached(node: Node<'_>) -> Self {
        let Self { text, extra, slots, .. } = node.object;
        let mut copy = Self {
            text: text.clone(),
            extra: String::with_capacity(extra.len() + 4096),
            slots: Vec::with_capacity(slots.len() + 1024),
            root: node.slot,
        };
        copy.extra.push_str(extra);
        copy.slots.extend_from_slice(slots);
        copy
    }

    fn string(&self, slot: Slot) -> &str {
        let (source, start, len) = match slot {
            Slot::Text { start, len } => (self.text.as_str(), start, len),
            Slot::Extra { start, len } => (self.extra.as_str(), start, len),
            _ => return "",
        };
        source.get(start as usize..start as usize + len as usize).unwrap_or_default()
    }

    /// Whether a string slot holds this text. Lengths first: keys of one map mostly differ in them, and no slice is made for those.
    fn is(&self, slot: Slot, text: &str) -> bool {
        let (source, start, len) = match slot {
            Slot::Text { start, len } => (self.text.as_bytes(), start as usize, len as usize),
            Slot::Extra { start, len } => (self.extra.as_bytes(), start as usize, len as usize),
            _ => return false,
        };
        // Most keys of that length differ in their first byte: no call to compare the rest.
        len == text.len()
            && source.get(start..start + len).is_some_and(|found| found.first() == text.as_bytes().first() && found == text.as_bytes())
    }

    fn run(&self, start: u32, len: u32) -> &[Slot] {
        self.slots.get(start as usize..start as usize + len as usize).unwrap_or_default()
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
        let Slot::Map { start, len } = self.slot else { return None };
        let pairs = self.object.run(start, len * 2).chunks_exact(2).rev();
        for pair in pairs {
            if let [name, value] = *pair
                && self.object.is(name, key)
            {
                return Some(Node { object: self.object, slot: value });
            }
        }
        None
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
        let Slot::List { start, len } = self.slot else { return None };
        self.object.run(start, len).get(index).map(|slot| Node { object: self.object, slot: *slot })
    }

    /// The items of a list in order; nothing for any other kind.
    pub fn items(self) -> impl DoubleEndedIterator<Item = Node<'a>> + ExactSizeIterator + Clone {
        let run = if let Slot::List { start, len } = self.slot { self.object.run(start, len) } else { &[] };
        run.iter().map(move |slot| Node { object: self.object, slot: *slot })
    }

    /// The items of the list at a key; nothing when it is absent or no list.
    pub fn list(self, key: &str) -> impl DoubleEndedIterator<Item = Node<'a>> + ExactSizeIterator + Clone {
        self.get(key).unwrap_or(Node { object: self.object, slot: Slot::Null }).items()
    }

    /// The entries of a map in the author's order; nothing for any other kind.
    pub fn entries(self) -> impl DoubleEndedIterator<Item = (&'a str, Node<'a>)> + ExactSizeIterator + Clone {
        let run = if let Slot::Map { start, len } = self.slot { self.object.run(start, len * 2) } else { &[] };
        run.chunks_exact(2).map(move |pair| match *pair {
            [name, value] => (self.object.string(name), Node { object: self.object, slot: value }),
            _ => ("", Node { object: self.object, slot: Slot::Null }),
        })
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

/// Builds an [`Object`] from events in document order: what the YAML reader and the edits write through.
///
/// Containers are opened with [`Builder::begin_list`] or [`Builder::begin_map`] and closed with [`Builder::end`]; in a map, keys
/// and values alternate and a key is pushed with [`Builder::string`].
#[derive(Debug, Default)]
pub struct Builder {
    /// What is read: a string that is a part of it is not copied.
    text: Option<Arc<String>>,
    pub(super) extra: String,
    pub(super) slots: Vec<Slot>,
    stack: Vec<Slot>,
    open: Vec<(usize, bool)>,
}

impl Builder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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

    /// A builder that appends to an object's tape, which it takes until it is done, so that the slots stay valid.
    pub(super) fn over(object: &mut Object) -> Self {
        Self { extra: std::mem::take(&mut object.extra), slots: std::mem::take(&mut object.slots), ..Self::default() }
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
        let slot = borrowed.unwrap_or_else(|| extra(&mut self.extra, value));
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
        let slot = close(&mut self.slots, &mut self.stack, mark, is_map);
        self.push(slot);
    }

    /// Whether the last value pushed is a string.
    pub(super) fn ends_in_string(&self) -> bool {
        matches!(self.stack.last(), Some(Slot::Text { .. } | Slot::Extra { .. }))
    }

    pub(super) fn pop(&mut self) -> Slot {
        self.stack.pop().unwrap_or(Slot::Null)
    }

    /// The finished object: the one value pushed (`null` if there was none).
    #[must_use]
    pub fn finish(mut self) -> Object {
        let root = self.close_all();
        Object { text: self.text.unwrap_or_default(), extra: self.extra, slots: self.slots, root }
    }

    /// As [`Builder::finish`], for one of many objects that are kept: it gets just the memory that it needs, and the builder builds on.
    #[must_use]
    pub fn take(&mut self) -> Object {
        let root = self.close_all();
        let text = self.text.clone().unwrap_or_default();
        let object = Object { text, extra: self.extra.as_str().to_owned(), slots: self.slots.as_slice().to_vec(), root };
        self.clear();
        object
    }

    /// Forgets what was pushed.
    pub fn clear(&mut self) {
        self.extra.clear();
        self.slots.clear();
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

/// Appends a string to the side buffer.
pub(super) fn extra(buffer: &mut String, value: &str) -> Slot {
    let start = position(buffer.len());
    buffer.push_str(value);
    Slot::Extra { start, len: position(value.len()) }
}

/// Moves what was pushed since `mark` to the tape as one contiguous run.
pub(super) fn close(slots: &mut Vec<Slot>, stack: &mut Vec<Slot>, mark: usize, is_map: bool) -> Slot {
    let start = position(slots.len());
    slots.extend_from_slice(stack.get(mark..).unwrap_or_default());
    stack.truncate(mark);
    let run = position(slots.len()) - start;
    if is_map { Slot::Map { start, len: run / 2 } } else { Slot::List { start, len: run } }
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
        assert_eq!((object.root().to_json(), object.extra.as_str()), (r#"{"name":"api","name":""}"#.to_owned(), "name"));
        assert_eq!((object.slots.capacity(), object.extra.capacity()), (4, 4));
        let mut builder = Builder::parting(&object);
        builder.string(object.root().entries().next().map_or("", |(key, _)| key));
        let part = builder.take();
        assert_eq!((part.root().as_str(), part.extra.as_str()), (Some("name"), ""));
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
