//! Changes to an object as JSON Patch operations (RFC 6902), applied by appending to the tape: the object before stays as it is.
//!
//! Only `add`, `remove` and `replace` exist here: injections need no other, and each of them can say what became of the author's
//! paths (see [`super::origin`]).

use std::ops::Range;

use serde::Serialize;
use serde::ser::SerializeMap;

use super::content::Content;
use super::field_path::{FieldPath, Segment};
use super::tree::{Node, Object, Slot, extra, position};
use super::write::write_string;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Puts a value where there is none, or before the list item at that position.
    Add,
    /// Takes a value away.
    Remove,
    /// Puts a value in place of another.
    Replace,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Replace => "replace",
        }
    }
}

/// One JSON Patch operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What it does.
    pub action: Action,
    /// Where. A list position equal to the list's length appends.
    pub path: FieldPath,
    /// The value to put; `null` for [`Action::Remove`].
    pub value: Content,
}

impl Operation {
    /// An `add`.
    #[must_use]
    pub fn add(path: FieldPath, value: impl Into<Content>) -> Self {
        Self { action: Action::Add, path, value: value.into() }
    }

    /// A `remove`.
    #[must_use]
    pub fn remove(path: FieldPath) -> Self {
        Self { action: Action::Remove, path, value: Content::Null }
    }

    /// A `replace`.
    #[must_use]
    pub fn replace(path: FieldPath, value: impl Into<Content>) -> Self {
        Self { action: Action::Replace, path, value: value.into() }
    }

    /// The same operation on a larger object that holds this one's at `prefix`.
    #[must_use]
    pub fn under(mut self, prefix: &FieldPath) -> Self {
        if !prefix.is_root() {
            self.path = prefix.clone().join(&self.path);
        }
        self
    }

    /// Some operations as the text of a JSON Patch.
    #[must_use]
    pub fn document(operations: &[Self]) -> String {
        let mut out = String::with_capacity(256 * operations.len() + 2);
        let mut pointer = String::with_capacity(64);
        out.push('[');
        for (index, operation) in operations.iter().enumerate() {
            out.push_str(if index > 0 { ",{\"op\":\"" } else { "{\"op\":\"" });
            out.push_str(operation.action.word());
            out.push_str("\",\"path\":");
            pointer.clear();
            operation.path.write_pointer(&mut pointer);
            write_string(&mut out, &pointer);
            if operation.action != Action::Remove {
                out.push_str(",\"value\":");
                operation.value.write_json(&mut out);
            }
            out.push('}');
        }
        out.push(']');
        out
    }
}

impl Serialize for Operation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("op", self.action.word())?;
        map.serialize_entry("path", &self.path.to_pointer())?;
        if self.action != Action::Remove {
            map.serialize_entry("value", &self.value)?;
        }
        map.end()
    }
}

/// Why an operation does not fit the object it is applied to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("patch operation at `{path}`: {reason}")]
pub struct PatchError {
    /// The operation's path.
    pub path: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Object {
    /// The object after some operations, in order. Everything that they do not name is unchanged; new keys come last.
    ///
    /// # Errors
    /// [`PatchError`] if a parent is missing, a position lies beyond the list, or what is to be removed or replaced is not there.
    pub fn patched(&self, operations: &[Operation]) -> Result<Self, PatchError> {
        let mut after = self.clone();
        for operation in operations {
            after.apply(operation, |_| {})?;
        }
        Ok(after)
    }

    /// Changes this object by one operation; one that does not fit changes nothing. `look` sees the object as it was before, once the
    /// operation is known to fit.
    ///
    /// # Errors
    /// As [`Object::patched`].
    pub fn apply(&mut self, operation: &Operation, look: impl FnOnce(Node<'_>)) -> Result<(), PatchError> {
        let fail = |reason| PatchError { path: operation.path.to_string(), reason };
        let (place, change) = plan(self, operation).map_err(fail)?;
        look(self.root());
        let value = self.append(&operation.value);
        let slot = match change {
            Change::Set => value,
            Change::Rewrite { run, cut, is_map, put } => self.rewritten(&run, &cut, is_map, put.map(|put| (put, value))),
        };
        match place {
            Place::Root => self.root = slot,
            Place::Tape(at) => self.put(at, slot),
        }
        Ok(())
    }

    /// Writes a value at the end of the tape, where nothing names it yet.
    fn append(&mut self, value: &Content) -> Slot {
        match value {
            Content::Null => Slot::Null,
            Content::Bool(value) => Slot::Bool(*value),
            Content::Number(number) => number.as_i64().map_or_else(|| Slot::Float(number.as_f64().unwrap_or_default()), Slot::Int),
            Content::Text(text) => extra(&mut self.extra, text),
            Content::List(items) => {
                let start = self.room_for(items.len());
                for (at, item) in (start..).zip(items) {
                    let item = self.append(item);
                    self.put(at, item);
                }
                Slot::List { start: position(start), len: position(items.len()) }
            }
            Content::Map(entries) => {
                let start = self.room_for(entries.len() * 2);
                for (at, (key, value)) in (start..).step_by(2).zip(entries) {
                    let (key, value) = (extra(&mut self.extra, key), self.append(value));
                    self.put(at, key);
                    self.put(at + 1, value);
                }
                Slot::Map { start: position(start), len: position(entries.len()) }
            }
        }
    }

    /// Lengthens the tape by a run of its own for a list or map, whose values are written behind it.
    fn room_for(&mut self, slots: usize) -> usize {
        let start = self.slots.len();
        self.slots.resize(start + slots, Slot::Null);
        start
    }

    fn put(&mut self, at: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(at) {
            *place = slot;
        }
    }

    /// Writes a list or map anew at the end of the tape, without the slots of `cut` and with what is put in their place.
    fn rewritten(&mut self, run: &Range<usize>, cut: &Range<usize>, is_map: bool, put: Option<(Put<'_>, Slot)>) -> Slot {
        let start = position(self.slots.len());
        self.slots.extend_from_within(run.start..cut.start);
        if let Some((put, value)) = put {
            if let Put::Entry(key) = put {
                let key = extra(&mut self.extra, key);
                self.slots.push(key);
            }
            self.slots.push(value);
        }
        self.slots.extend_from_within(cut.end..run.end);
        let len = position(self.slots.len()) - start;
        if is_map { Slot::Map { start, len: len / 2 } } else { Slot::List { start, len } }
    }
}

/// The slot that names a value.
#[derive(Clone, Copy)]
enum Place {
    /// The root.
    Root,
    /// A position of the tape.
    Tape(usize),
}

/// What an operation does to the tape. One slot names each list and map (readers write every one once; an alias of YAML is replayed),
/// so the slot that names what changes is set in place, and nothing above it is written again.
enum Change<'p> {
    /// Another value.
    Set,
    /// A list or map of another size, to be written anew at the end of the tape: `run` without `cut`, and what is put there.
    Rewrite { run: Range<usize>, cut: Range<usize>, is_map: bool, put: Option<Put<'p>> },
}

/// What a list or map gets.
enum Put<'p> {
    Item,
    Entry(&'p str),
}

fn plan<'p>(object: &Object, operation: &'p Operation) -> Result<(Place, Change<'p>), &'static str> {
    let Some((last, parents)) = operation.path.segments().split_last() else {
        return if operation.action == Action::Remove { Err("the root cannot be removed") } else { Ok((Place::Root, Change::Set)) };
    };
    let mut place = Place::Root;
    let mut node = object.root();
    for segment in parents {
        let at = find(node, segment).ok_or("its parent does not exist")?;
        let slot = *object.slots.get(at).ok_or("its parent does not exist")?;
        place = Place::Tape(at);
        node = Node { object, slot };
    }
    change(node, place, last, operation.action)
}

/// Where a container's slots stand on the tape, and whether it is a map.
fn run(node: Node<'_>) -> Option<(Range<usize>, bool)> {
    let (start, len, is_map) = match node.slot {
        Slot::List { start, len } => (start, len, false),
        Slot::Map { start, len } => (start, len * 2, true),
        _ => return None,
    };
    let run = start as usize..(start + len) as usize;
    (run.end <= node.object.slots.len()).then_some((run, is_map))
}

/// Where the slot of a segment's value stands on the tape.
fn find(node: Node<'_>, segment: &Segment) -> Option<usize> {
    match (segment, node.slot) {
        (Segment::Index(index), Slot::List { start, len }) => (*index < len as usize).then_some(start as usize + *index),
        (Segment::Field(name) | Segment::Key(name), _) => node.place(name),
        _ => None,
    }
}

/// What becomes of the container at `place`, or of a value in it.
fn change<'p>(node: Node<'_>, place: Place, segment: &'p Segment, action: Action) -> Result<(Place, Change<'p>), &'static str> {
    let (run, is_map) = run(node).ok_or("its parent is neither a list nor a map")?;
    let found = find(node, segment);
    let rewrite = |run: Range<usize>, cut, put| Ok((place, Change::Rewrite { run, cut, is_map, put }));
    match (action, segment) {
        (Action::Add, Segment::Index(index)) if !is_map => {
            if *index > run.len() {
                return Err("the position lies beyond the end of the list");
            }
            let at = run.start + *index;
            rewrite(run, at..at, Some(Put::Item))
        }
        (Action::Add, Segment::Field(name) | Segment::Key(name)) if is_map => match found {
            Some(at) => Ok((Place::Tape(at), Change::Set)),
            None => {
                let end = run.end;
                rewrite(run, end..end, Some(Put::Entry(name)))
            }
        },
        (Action::Add, _) => Err("its parent is of the other kind of container"),
        (Action::Replace, _) => Ok((Place::Tape(found.ok_or("there is nothing to replace")?), Change::Set)),
        (Action::Remove, _) => {
            let at = found.ok_or("there is nothing to remove")?;
            // A map's entry is its key's slot, too.
            rewrite(run, if is_map { at - 1..at + 1 } else { at..at + 1 }, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn pod() -> Object {
        Object::from_json(r#"{"spec":{"volumes":[{"name":"a"},{"name":"b"}],"x":1},"metadata":{"labels":{"k":"v"}}}"#).unwrap()
    }

    #[test]
    fn changes_what_it_names_and_nothing_else() {
        let before = pod();
        let after = before
            .patched(&[
                Operation::remove(FieldPath::of(&["spec", "volumes"]).index(0)),
                Operation::add(FieldPath::of(&["spec", "volumes"]).index(1), json!({"name": "c"})),
                Operation::add(FieldPath::of(&["metadata", "annotations"]), json!({"doorward.dev/x": "1"})),
                Operation::replace(FieldPath::of(&["spec", "x"]), json!(2)),
            ])
            .unwrap();
        assert_eq!(
            after.root().to_json(),
            r#"{"spec":{"volumes":[{"name":"b"},{"name":"c"}],"x":2},"metadata":{"labels":{"k":"v"},"annotations":{"doorward.dev/x":"1"}}}"#
        );
        assert_eq!(before.root().to_json(), pod().root().to_json());
    }

    #[test]
    fn says_why_an_operation_does_not_fit() {
        let cases = [
            (Operation::add(FieldPath::of(&["status", "x"]), json!(1)), "its parent does not exist"),
            (Operation::add(FieldPath::of(&["spec", "volumes"]).index(3), json!(1)), "the position lies beyond the end of the list"),
            (Operation::remove(FieldPath::of(&["spec", "y"])), "there is nothing to remove"),
            (Operation::replace(FieldPath::of(&["spec", "y"]), json!(1)), "there is nothing to replace"),
            (Operation::add(FieldPath::of(&["spec", "x", "y"]), json!(1)), "its parent is neither a list nor a map"),
        ];
        for (operation, reason) in cases {
            assert_eq!(pod().patched(&[operation]).unwrap_err().reason, reason);
        }
    }

    proptest! {
        /// Law 3: our application equals another implementation of RFC 6902.
        #[test]
        fn agrees_with_the_json_patch_crate(choices in proptest::collection::vec((0_u8..3, 0_usize..4, "[a-c]"), 0..6)) {
            let mut operations = Vec::new();
            for (action, index, name) in choices {
                let path = if index < 2 { FieldPath::of(&["spec", "volumes"]).index(index) } else { FieldPath::of(&["spec"]).field(name.clone()) };
                operations.push(match action {
                    0 => Operation::add(path, json!({"name": name})),
                    1 => Operation::remove(path),
                    _ => Operation::replace(path, json!([1, {"deep": true}])),
                });
            }
            prop_assert_eq!(Operation::document(&operations), serde_json::to_string(&operations).unwrap());
            let mut oracle: Value = serde_json::from_str(&pod().root().to_json()).unwrap();
            let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(&operations).unwrap()).unwrap();
            let expected = json_patch::patch(&mut oracle, &patch).map(|()| oracle.clone());
            match (pod().patched(&operations), expected) {
                (Ok(after), Ok(expected)) => prop_assert_eq!(serde_json::from_str::<Value>(&after.root().to_json()).unwrap(), expected),
                (Err(_), Err(_)) => {}
                (ours, theirs) => prop_assert!(false, "{:?} against {:?}", ours.map(|o| o.root().to_json()), theirs),
            }
        }
    }
}
