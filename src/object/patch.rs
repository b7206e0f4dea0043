//! Changes to an object as JSON Patch operations (RFC 6902), applied by appending to the tape: the object before stays as it is.
//!
//! Only `add`, `remove` and `replace` exist here: injections need no other, and each of them can say what became of the author's
//! paths (see [`super::origin`]).

use std::ops::Range;

use serde::Serialize;
use serde::ser::SerializeMap;

use super::content::Content;
use super::field_path::{FieldPath, Segment};
use super::tape::{Entry, Slot, Tape, position};
use super::tree::{Node, Object};
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
        let Self { text, tape, .. } = self;
        let value = tape.append(&operation.value);
        let slot = match change {
            Change::Set => value,
            Change::Items { run, cut, put } => tape.rewritten_list(&run, &cut, put.then_some(value)),
            Change::Entries { run, cut, put } => {
                let put = put.map(|key| {
                    let key = tape.extra(key);
                    tape.entry(text, key, value)
                });
                tape.rewritten_map(&run, &cut, put)
            }
        };
        match place {
            Place::Root => self.root = slot,
            Place::Item(at) => self.tape.put_item(at, slot),
            Place::Value(at) => {
                if let Some(entry) = self.tape.entries.get_mut(at) {
                    entry.value = slot;
                }
            }
        }
        Ok(())
    }
}

impl Tape {
    /// Writes a value at the end, where nothing names it yet.
    fn append(&mut self, value: &Content) -> Slot {
        match value {
            Content::Null => Slot::Null,
            Content::Bool(value) => Slot::Bool(*value),
            Content::Number(number) => number.as_i64().map_or_else(|| Slot::Float(number.as_f64().unwrap_or_default()), Slot::Int),
            Content::Text(text) => self.extra(text),
            Content::List(items) => {
                // A run of its own first: what the items hold is written behind it.
                let start = self.slots.len();
                self.slots.resize(start + items.len(), Slot::default());
                for (at, item) in (start..).zip(items) {
                    let item = self.append(item);
                    self.put_item(at, item);
                }
                Slot::List { start: position(start), len: position(items.len()) }
            }
            Content::Map(entries) => {
                let start = self.entries.len();
                self.entries.resize(start + entries.len(), Entry::default());
                for (at, (key, value)) in (start..).zip(entries) {
                    let (key, value) = (self.extra(key), self.append(value));
                    let entry = self.entry("", key, value);
                    if let Some(place) = self.entries.get_mut(at) {
                        *place = entry;
                    }
                }
                Slot::Map { start: position(start), len: position(entries.len()) }
            }
        }
    }

    fn put_item(&mut self, at: usize, slot: Slot) {
        if let Some(item) = self.slots.get_mut(at) {
            *item = slot;
        }
    }

    /// Writes a list anew at the end, without the items of `cut` and with what is put in their place.
    fn rewritten_list(&mut self, run: &Range<usize>, cut: &Range<usize>, put: Option<Slot>) -> Slot {
        let start = self.slots.len();
        self.slots.extend_from_within(run.start..cut.start);
        self.slots.extend(put);
        self.slots.extend_from_within(cut.end..run.end);
        Slot::List { start: position(start), len: position(self.slots.len() - start) }
    }

    /// The same of a map.
    fn rewritten_map(&mut self, run: &Range<usize>, cut: &Range<usize>, put: Option<Entry>) -> Slot {
        let start = self.entries.len();
        self.entries.extend_from_within(run.start..cut.start);
        self.entries.extend(put);
        self.entries.extend_from_within(cut.end..run.end);
        Slot::Map { start: position(start), len: position(self.entries.len() - start) }
    }
}

/// What names a value.
#[derive(Clone, Copy)]
enum Place {
    /// The object: its root.
    Root,
    /// An item of a list, by its position on the tape.
    Item(usize),
    /// An entry of a map, by its position on the tape.
    Value(usize),
}

/// What an operation does to the tape. One slot names each list and map (readers write every one once; an alias of YAML is replayed),
/// so the slot that names what changes is set in place, and nothing above it is written again.
enum Change<'p> {
    /// Another value.
    Set,
    /// A list of another size, to be written anew at the end of the tape: `run` without `cut`, and maybe an item put there.
    Items { run: Range<usize>, cut: Range<usize>, put: bool },
    /// The same of a map, with the key that is put there.
    Entries { run: Range<usize>, cut: Range<usize>, put: Option<&'p str> },
}

fn plan<'p>(object: &Object, operation: &'p Operation) -> Result<(Place, Change<'p>), &'static str> {
    let Some((last, parents)) = operation.path.segments().split_last() else {
        return if operation.action == Action::Remove { Err("the root cannot be removed") } else { Ok((Place::Root, Change::Set)) };
    };
    let mut place = Place::Root;
    let mut node = object.root();
    for segment in parents {
        let (at, slot) = find(node, segment).ok_or("its parent does not exist")?;
        place = at;
        node = Node { object, slot };
    }
    change(node, place, last, operation.action)
}

/// Where the value of a segment stands on the tape, and the value.
fn find(node: Node<'_>, segment: &Segment) -> Option<(Place, Slot)> {
    match (segment, node.slot) {
        (Segment::Index(index), Slot::List { start, .. }) => {
            Some((Place::Item(start as usize + *index), *node.object.list(node.slot).get(*index)?))
        }
        (Segment::Field(name) | Segment::Key(name), Slot::Map { start, .. }) => {
            let (index, entry) = node.object.entry(node.slot, name)?;
            Some((Place::Value(start as usize + index), entry.value))
        }
        _ => None,
    }
}

/// What becomes of the container at `place`, or of a value in it.
fn change<'p>(node: Node<'_>, place: Place, segment: &'p Segment, action: Action) -> Result<(Place, Change<'p>), &'static str> {
    let found = find(node, segment).map(|(found, _)| found);
    let from = |start: u32, len: usize| start as usize..start as usize + len;
    match (node.slot, action, segment) {
        (Slot::List { start, .. }, Action::Add, Segment::Index(index)) => {
            let run = from(start, node.object.list(node.slot).len());
            if *index > run.len() {
                return Err("the position lies beyond the end of the list");
            }
            let at = run.start + *index;
            Ok((place, Change::Items { run, cut: at..at, put: true }))
        }
        (Slot::Map { start, .. }, Action::Add, Segment::Field(name) | Segment::Key(name)) => Ok(match found {
            Some(found) => (found, Change::Set),
            None => {
                let run = from(start, node.object.map(node.slot).len());
                let cut = run.end..run.end;
                (place, Change::Entries { run, cut, put: Some(name) })
            }
        }),
        (Slot::List { .. } | Slot::Map { .. }, Action::Add, _) => Err("its parent is of the other kind of container"),
        (Slot::List { .. } | Slot::Map { .. }, Action::Replace, _) => Ok((found.ok_or("there is nothing to replace")?, Change::Set)),
        (Slot::List { start, .. } | Slot::Map { start, .. }, Action::Remove, _) => match found.ok_or("there is nothing to remove")? {
            Place::Item(at) => {
                let run = from(start, node.object.list(node.slot).len());
                Ok((place, Change::Items { run, cut: at..at + 1, put: false }))
            }
            Place::Value(at) => {
                let run = from(start, node.object.map(node.slot).len());
                Ok((place, Change::Entries { run, cut: at..at + 1, put: None }))
            }
            Place::Root => Err("the root cannot be removed"),
        },
        _ => Err("its parent is neither a list nor a map"),
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
