//! Changes to an object as JSON Patch operations (RFC 6902), applied by appending to the tape: the object before stays as it is.
//!
//! Only `add`, `remove` and `replace` exist here: injections need no other, and each of them can say what became of the author's
//! paths (see [`super::origin`]).

use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::Value;

use super::field_path::{FieldPath, Segment};
use super::tree::{Builder, Node, Object, Slot};

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
        self.path = prefix.clone().join(&self.path);
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
        let mut builder = Builder::over(self);
        let mut after = Self { text: self.text.clone(), extra: String::new(), slots: Vec::new(), root: self.root };
        for operation in operations {
            let value = write_value(&mut builder, &operation.value);
            // The tape moves into the object while it is read, and back to be appended to: no copy.
            after.slots = std::mem::take(&mut builder.slots);
            after.extra = std::mem::take(&mut builder.extra);
            let fail = |reason| PatchError { path: operation.path.to_string(), reason };
            let plan = plan(after.root(), operation.path.segments(), operation.action, value).map_err(fail)?;
            builder.slots = std::mem::take(&mut after.slots);
            builder.extra = std::mem::take(&mut after.extra);
            after.root = plan.write(&mut builder);
        }
        after.slots = builder.slots;
        after.extra = builder.extra;
        Ok(after)
    }
}

/// The containers on the way to a change, outermost last, each with its new content.
struct Plan {
    value: Option<Slot>,
    levels: Vec<Level>,
}

/// One container to be written anew: its slots, and where the level below goes.
struct Level {
    slots: Vec<Slot>,
    is_map: bool,
    hole: Hole,
}

/// Where the value of the level below goes.
enum Hole {
    /// In place of this slot.
    At(usize),
    /// Before this slot.
    Before(usize),
    /// At the end, under a new key.
    Key(Box<str>),
    /// Nowhere: this many slots from here are taken out.
    Out(usize, usize),
}

impl Plan {
    fn write(self, builder: &mut Builder) -> Slot {
        let mut value = self.value;
        for mut level in self.levels {
            match (level.hole, value) {
                (Hole::At(at), Some(value)) => {
                    if let Some(slot) = level.slots.get_mut(at) {
                        *slot = value;
                    }
                }
                (Hole::Before(at), Some(value)) => level.slots.insert(at.min(level.slots.len()), value),
                (Hole::Key(key), Some(value)) => {
                    builder.string(&key);
                    let key = builder.pop();
                    level.slots.extend([key, value]);
                }
                (Hole::Out(at, count), _) => {
                    level.slots.drain(at..(at + count).min(level.slots.len()));
                }
                (_, None) => {}
            }
            if level.is_map {
                builder.begin_map();
            } else {
                builder.begin_list();
            }
            for slot in level.slots {
                builder.push(slot);
            }
            builder.end();
            value = Some(builder.pop());
        }
        value.unwrap_or(Slot::Null)
    }
}

fn plan(root: Node<'_>, path: &[Segment], action: Action, value: Slot) -> Result<Plan, &'static str> {
    let Some((last, parents)) = path.split_last() else {
        return if action == Action::Remove {
            Err("the root cannot be removed")
        } else {
            Ok(Plan { value: Some(value), levels: Vec::new() })
        };
    };
    let mut levels = Vec::with_capacity(path.len());
    let mut node = root;
    for segment in parents {
        let (level, child) = descend(node, segment).ok_or("its parent does not exist")?;
        levels.push(level);
        node = child;
    }
    levels.push(change(node, last, action)?);
    levels.reverse();
    Ok(Plan { value: (action != Action::Remove).then_some(value), levels })
}

fn content(node: Node<'_>) -> Option<(Vec<Slot>, bool)> {
    let (start, run, is_map) = match node.slot {
        Slot::List { start, len } => (start, len, false),
        Slot::Map { start, len } => (start, len * 2, true),
        _ => return None,
    };
    Some((node.object.slots.get(start as usize..(start + run) as usize)?.to_vec(), is_map))
}

/// The slot of a segment's value among a container's slots.
fn find(node: Node<'_>, segment: &Segment) -> Option<usize> {
    match (segment, node.slot) {
        (Segment::Index(index), Slot::List { .. }) => (*index < node.len()).then_some(*index),
        (Segment::Field(name) | Segment::Key(name), Slot::Map { .. }) => {
            node.entries().rposition(|(key, _)| key == &**name).map(|entry| entry * 2 + 1)
        }
        _ => None,
    }
}

fn descend<'a>(node: Node<'a>, segment: &Segment) -> Option<(Level, Node<'a>)> {
    let at = find(node, segment)?;
    let (slots, is_map) = content(node)?;
    let child = Node { object: node.object, slot: *slots.get(at)? };
    Some((Level { slots, is_map, hole: Hole::At(at) }, child))
}

fn change(node: Node<'_>, segment: &Segment, action: Action) -> Result<Level, &'static str> {
    let (slots, is_map) = content(node).ok_or("its parent is neither a list nor a map")?;
    let found = find(node, segment);
    let hole = match (action, segment) {
        (Action::Add, Segment::Index(index)) if !is_map => {
            if *index > slots.len() {
                return Err("the position lies beyond the end of the list");
            }
            Hole::Before(*index)
        }
        (Action::Add, Segment::Field(name) | Segment::Key(name)) if is_map => found.map_or_else(|| Hole::Key(name.clone()), Hole::At),
        (Action::Add, _) => return Err("its parent is of the other kind of container"),
        (Action::Replace, _) => Hole::At(found.ok_or("there is nothing to replace")?),
        (Action::Remove, _) => {
            let at = found.ok_or("there is nothing to remove")?;
            if is_map { Hole::Out(at - 1, 2) } else { Hole::Out(at, 1) }
        }
    };
    Ok(Level { slots, is_map, hole })
}

fn write_value(builder: &mut Builder, value: &Value) -> Slot {
    builder.json(value);
    builder.pop()
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
                let path = if index < 2 { FieldPath::of(&["spec", "volumes"]).index(index) } else { FieldPath::of(&["spec"]).field(&name) };
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
