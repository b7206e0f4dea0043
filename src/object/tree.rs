//! The tree: one flat tape over the text it was read from.
//!
//! Every list is one contiguous run of slots, every map one of entries, and a scalar string is a range of the text received. So reading
//! a review costs two allocations for the tape instead of one a node, a [`Node`] is a `Copy` handle, an `Object` owns all it needs (no
//! lifetime), is `Send + Sync`, and may be kept in a cache or changed by appending (see [`super::patch`]).

use std::sync::Arc;

use super::tape::{Entry, Slot, Tape, print};

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
