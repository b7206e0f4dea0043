//! Changes to an object as JSON Patch operations (RFC 6902), applied by appending to the tape: the object before stays as it is.
//!
//! Only `add`, `remove` and `replace` exist here: injections need no other, and each of them can say what became of the author's
//! paths (see [`super::origin`]).

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::Value;

use super::field_path::{FieldPath, Segment};
use super::tree::{Builder, Node, Object, Slot, extra, position};

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
            Place::Tape(at) => {
                if let Some(place) = self.slots.get_mut(at) {
                    *place = slot;
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
        (self.slots, self.extra) = (builder.slots, builder.extra);
        slot
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
enum Change {
    /// Another value.
    Set(Place, Slot),
    /// A list or map of another size, to be written anew at the end of the tape; with a key and its value, if it gets one.
    Rewrite { place: Place, slots: Vec<Slot>, is_map: bool, entry: Option<(Cow<'static, str>, Slot)> },
}

impl Change {
    fn write(self, object: &mut Object) -> (Place, Slot) {
        match self {
            Self::Set(place, slot) => (place, slot),
            Self::Rewrite { place, slots, is_map, entry } => {
                let start = position(object.slots.len());
                object.slots.extend(slots);
                if let Some((key, value)) = entry {
                    let key = extra(&mut object.extra, &key);
                    object.slots.extend([key, value]);
                }
                let run = position(object.slots.len()) - start;
                (place, if is_map { Slot::Map { start, len: run / 2 } } else { Slot::List { start, len: run } })
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
        let at = find(node, segment).ok_or("its parent does not exist")?;
        let slot = *object.slots.get(at).ok_or("its parent does not exist")?;
        place = Place::Tape(at);
        node = Node { object, slot };
    }
    change(node, place, last, action, value)
}

/// Where a container's slots stand on the tape, and whether it is a map.
fn run(node: Node<'_>) -> Option<(std::ops::Range<usize>, bool)> {
    let (start, len, is_map) = match node.slot {
        Slot::List { start, len } => (start, len, false),
        Slot::Map { start, len } => (start, len * 2, true),
        _ => return None,
    };
    Some((start as usize..(start + len) as usize, is_map))
}

/// Where the slot of a segment's value stands on the tape.
fn find(node: Node<'_>, segment: &Segment) -> Option<usize> {
    let (slots, _) = run(node)?;
    match (segment, node.slot) {
        (Segment::Index(index), Slot::List { .. }) => (*index < slots.len()).then_some(slots.start + *index),
        (Segment::Field(name) | Segment::Key(name), Slot::Map { .. }) => {
            node.entries().rposition(|(key, _)| key == &**name).map(|entry| slots.start + entry * 2 + 1)
        }
        _ => None,
    }
}

fn change(node: Node<'_>, place: Place, segment: &Segment, action: Action, value: Slot) -> Result<Change, &'static str> {
    let (range, is_map) = run(node).ok_or("its parent is neither a list nor a map")?;
    let found = find(node, segment);
    let rewrite = |extra: usize| {
        let before = node.object.slots.get(range.clone()).unwrap_or_default();
        let mut slots = Vec::with_capacity(before.len() + extra);
        slots.extend_from_slice(before);
        slots
    };
    match (action, segment) {
        (Action::Add, Segment::Index(index)) if !is_map => {
            if *index > range.len() {
                return Err("the position lies beyond the end of the list");
            }
            let mut slots = rewrite(1);
            slots.insert(*index, value);
            Ok(Change::Rewrite { place, slots, is_map, entry: None })
        }
        (Action::Add, Segment::Field(name) | Segment::Key(name)) if is_map => Ok(match found {
            Some(at) => Change::Set(Place::Tape(at), value),
            None => Change::Rewrite { place, slots: rewrite(0), is_map, entry: Some((name.clone(), value)) },
        }),
        (Action::Add, _) => Err("its parent is of the other kind of container"),
        (Action::Replace, _) => Ok(Change::Set(Place::Tape(found.ok_or("there is nothing to replace")?), value)),
        (Action::Remove, _) => {
            let at = found.ok_or("there is nothing to remove")? - range.start;
            let mut slots = rewrite(0);
            slots.drain(if is_map { at - 1..at + 1 } else { at..at + 1 });
            Ok(Change::Rewrite { place, slots, is_map, entry: None })
        }
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
