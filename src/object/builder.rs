//! A tree from events in document order.

use std::sync::Arc;

use super::tape::{Entry, Slot, Tape, position};
use super::tree::Object;

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
