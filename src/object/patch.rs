//! Changes to an object as JSON Patch operations (RFC 6902), applied by appending to the tape: the object before stays as it is.
//!
//! Only `add`, `remove` and `replace` exist here: injections need no other, and each of them can say what became of the author's
//! paths (see [`super::origin`]).

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::Value;

use super::field_path::{FieldPath, Segment};
use super::tree::{Builder, Entry, Node, Object, Slot, position};

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

/// One JSON Patch operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What it does.
    pub action: Action,
    /// Where. A list position equal to the list's length appends.
    pub path: FieldPath,
    /// The value to put; `null` for [`Action::Remove`].
    pub value: Value,
}

impl Operation {
    /// An `add`.
    #[must_use]
    pub fn add(path: FieldPath, value: Value) -> Self {
        Self { action: Action::Add, path, value }
    }

    /// A `remove`.
    #[must_use]
    pub fn remove(path: FieldPath) -> Self {
        Self { action: Action::Remove, path, value: Value::Null }
    }

    /// A `replace`.
    #[must_use]
    pub fn replace(path: FieldPath, value: Value) -> Self {
        Self { action: Action::Replace, path, value }
    }

    /// The same operation on a larger object that holds this one's at `prefix`.
    #[must_use]
    pub fn under(mut self, prefix: &FieldPath) -> Self {
        if !prefix.is_root() {
            self.path = prefix.clone().join(&self.path);
        }
        self
    }
}

impl Serialize for Operation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let op = match self.action {
            Action::Add => "add",
            Action::Remove => "remove",
            Action::Replace => "replace",
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("op", op)?;
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
        let value = self.append(&operation.value);
        let fail = |reason| PatchError { path: operation.path.to_string(), reason };
        let change = plan(self, operation.path.segments(), operation.action, value).map_err(fail)?;
        look(self.root());
        let (place, slot) = change.write(self);
        match place {
            Place::Root => self.root = slot,
            Place::Item(at) => {
                if let Some(item) = self.tape.slots.get_mut(at) {
                    *item = slot;
                }
            }
            Place::Entry(at) => {
                if let Some(entry) = self.tape.entries.get_mut(at) {
                    entry.value = slot;
                }
            }
        }
        Ok(())
    }

    /// Writes a value at the end of the tape, where nothing names it yet.
    fn append(&mut self, value: &Value) -> Slot {
        let mut builder = Builder::over(self);
        builder.json(value);
        let slot = builder.pop();
        self.tape = builder.tape;
        slot
    }
}

/// The slot that names a value.
#[derive(Clone, Copy)]
enum Place {
    /// The root.
    Root,
    /// An item of a list, by its position on the tape.
    Item(usize),
    /// An entry of a map, by its position on the tape.
    Entry(usize),
}

/// What an operation does to the tape. One slot names each list and map (readers write every one once; an alias of YAML is replayed),
/// so the slot that names what changes is set in place, and nothing above it is written again.
enum Change {
    /// Another value.
    Set(Place, Slot),
    /// A list of another size, to be written anew at the end of the tape.
    List { place: Place, items: Vec<Slot> },
    /// The same of a map; with a key and its value, if it gets one.
    Map { place: Place, entries: Vec<Entry>, new: Option<(Cow<'static, str>, Slot)> },
}

impl Change {
    fn write(self, object: &mut Object) -> (Place, Slot) {
        let Object { text, tape, .. } = object;
        match self {
            Self::Set(place, slot) => (place, slot),
            Self::List { place, items } => {
                let (start, len) = (position(tape.slots.len()), position(items.len()));
                tape.slots.extend(items);
                (place, Slot::List { start, len })
            }
            Self::Map { place, entries, new } => {
                let start = position(tape.entries.len());
                tape.entries.extend(entries);
                if let Some((key, value)) = new {
                    let key = tape.extra(&key);
                    let entry = tape.entry(text, key, value);
                    tape.entries.push(entry);
                }
                (place, Slot::Map { start, len: position(tape.entries.len()) - start })
            }
        }
    }
}

fn plan(object: &Object, path: &[Segment], action: Action, value: Slot) -> Result<Change, &'static str> {
    let Some((last, parents)) = path.split_last() else {
        return if action == Action::Remove { Err("the root cannot be removed") } else { Ok(Change::Set(Place::Root, value)) };
    };
    let mut place = Place::Root;
    let mut node = object.root();
    for segment in parents {
        let (at, slot) = find(node, segment).ok_or("its parent does not exist")?;
        place = at;
        node = Node { object, slot };
    }
    change(node, place, last, action, value)
}

/// Where a segment's value stands on the tape, and the value.
fn find(node: Node<'_>, segment: &Segment) -> Option<(Place, Slot)> {
    let tape = &node.object.tape;
    match (segment, node.slot) {
        (Segment::Index(index), Slot::List { start, len }) => {
            let at = start as usize + Some(*index).filter(|index| *index < len as usize)?;
            Some((Place::Item(at), *tape.slots.get(at)?))
        }
        (Segment::Field(name) | Segment::Key(name), Slot::Map { start, .. }) => {
            let (place, entry) = node.object.entry(node.slot, name)?;
            Some((Place::Entry(start as usize + place), entry.value))
        }
        _ => None,
    }
}

fn change(node: Node<'_>, place: Place, segment: &Segment, action: Action, value: Slot) -> Result<Change, &'static str> {
    let found = find(node, segment).map(|(found, _)| found);
    match (node.slot, action, segment, found) {
        (Slot::List { .. }, Action::Add, Segment::Index(index), _) => {
            let mut items = node.object.list(node.slot).to_vec();
            if *index > items.len() {
                return Err("the position lies beyond the end of the list");
            }
            items.insert(*index, value);
            Ok(Change::List { place, items })
        }
        (Slot::Map { .. }, Action::Add, Segment::Field(name) | Segment::Key(name), found) => Ok(match found {
            Some(found) => Change::Set(found, value),
            None => Change::Map { place, entries: node.object.map(node.slot).to_vec(), new: Some((name.clone(), value)) },
        }),
        (Slot::List { .. } | Slot::Map { .. }, Action::Add, ..) => Err("its parent is of the other kind of container"),
        (Slot::List { .. } | Slot::Map { .. }, Action::Replace, _, found) => {
            Ok(Change::Set(found.ok_or("there is nothing to replace")?, value))
        }
        (Slot::List { start, .. }, Action::Remove, _, Some(Place::Item(at))) => {
            let mut items = node.object.list(node.slot).to_vec();
            items.remove(at - start as usize);
            Ok(Change::List { place, items })
        }
        (Slot::Map { start, .. }, Action::Remove, _, Some(Place::Entry(at))) => {
            let mut entries = node.object.map(node.slot).to_vec();
            entries.remove(at - start as usize);
            Ok(Change::Map { place, entries, new: None })
        }
        (Slot::List { .. } | Slot::Map { .. }, Action::Remove, ..) => Err("there is nothing to remove"),
        _ => Err("its parent is neither a list nor a map"),
    }
}

impl Builder {
    /// Pushes a whole JSON value.
    pub fn json(&mut self, value: &Value) {
        match value {
            Value::Null => self.null(),
            Value::Bool(value) => self.bool(*value),
            Value::Number(number) => match number.as_i64() {
                Some(value) => self.int(value),
                None => self.float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                self.begin_list();
                items.iter().for_each(|item| self.json(item));
                self.end();
            }
            Value::Object(entries) => {
                self.begin_map();
                for (key, value) in entries {
                    self.string(key);
                    self.json(value);
                }
                self.end();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

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
