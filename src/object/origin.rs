//! The origin map: what the author wrote where, after a patch that was applied virtually.
//!
//! Rules judge an object as it will be after defaults and injections, but a path that is printed, and the line it stands on, must be
//! the author's. The map follows the same operations as the patch and remembers, for the lists and maps that they touched, which
//! items are the author's (and at which position) and which were added, and by what.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::field_path::{FieldPath, Segment, step};
use super::patch::{Action, Operation};
use super::tree::Node;

/// Who added a value: an injection's id, or `defaults`.
pub type Adder = std::sync::Arc<str>;

/// The author's view of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authored {
    /// The path in the object as its author wrote it: of the value itself, or of its nearest ancestor that the author wrote.
    pub path: FieldPath,
    /// Who added the value, if the author did not write it.
    pub added_by: Option<Adder>,
}

/// Maps paths of a patched object back to the author's.
#[derive(Clone, Debug, Default)]
pub struct OriginMap {
    root: Trace,
}

/// What happened at and below one value.
#[derive(Clone, Debug, Default)]
struct Trace {
    added_by: Option<Adder>,
    fields: BTreeMap<Cow<'static, str>, Trace>,
    /// Set once an item was added to or removed from this list: every item with the author's position.
    items: Option<Vec<(usize, Trace)>>,
}

impl OriginMap {
    /// Follows one operation. `before` is the object that the operation is applied to.
    pub fn follow(&mut self, before: Node<'_>, operation: &Operation, by: &Adder) {
        let Some((last, parents)) = operation.path.segments().split_last() else { return };
        let mut trace = &mut self.root;
        let mut node = Some(before);
        for segment in parents {
            if trace.added_by.is_some() {
                return;
            }
            trace = trace.child(segment, node);
            node = node.and_then(|node| step(node, segment));
        }
        if trace.added_by.is_some() {
            return;
        }
        match (operation.action, last) {
            (Action::Add, Segment::Index(index)) => {
                let items = trace.items(node);
                items.insert((*index).min(items.len()), (usize::MAX, Trace::added(by)));
            }
            (Action::Remove, Segment::Index(index)) => {
                let items = trace.items(node);
                if *index < items.len() {
                    items.remove(*index);
                }
            }
            // A value that was replaced keeps the author's place: he wrote something there.
            (Action::Replace, _) | (Action::Remove, _) => {}
            (Action::Add, Segment::Field(name) | Segment::Key(name)) => {
                if node.is_none_or(|node| node.entry(name).is_none()) {
                    trace.fields.insert(name.clone(), Trace::added(by));
                }
            }
        }
    }

    /// The author's view of a path of the patched object.
    #[must_use]
    pub fn authored(&self, path: &FieldPath) -> Authored {
        let mut authored = FieldPath::root();
        let mut trace = Some(&self.root);
        for segment in path.segments() {
            let (next, segment) = match (trace, segment) {
                (Some(Trace { items: Some(items), .. }), Segment::Index(index)) => match items.get(*index) {
                    Some((origin, next)) => (Some(next), Segment::Index(*origin)),
                    None => (None, segment.clone()),
                },
                (Some(parent), Segment::Field(name) | Segment::Key(name)) => (parent.fields.get(name), segment.clone()),
                (_, segment) => (None, segment.clone()),
            };
            if let Some(Trace { added_by: Some(by), .. }) = next {
                return Authored { path: authored, added_by: Some(by.clone()) };
            }
            authored.push(segment);
            trace = next;
        }
        Authored { path: authored, added_by: None }
    }
}

impl Trace {
    fn added(by: &Adder) -> Self {
        Self { added_by: Some(by.clone()), ..Self::default() }
    }

    fn items(&mut self, list: Option<Node<'_>>) -> &mut Vec<(usize, Trace)> {
        self.items.get_or_insert_with(|| (0..list.map_or(0, Node::len)).map(|index| (index, Self::default())).collect())
    }

    fn child(&mut self, segment: &Segment, node: Option<Node<'_>>) -> &mut Trace {
        match segment {
            Segment::Field(name) | Segment::Key(name) => self.fields.entry(name.clone()).or_default(),
            Segment::Index(index) => {
                let items = self.items(node);
                // `patched` refuses an operation beyond the list; here it only must not panic.
                while items.len() <= *index {
                    items.push((items.len(), Self::default()));
                }
                let last = items.len() - 1;
                #[expect(clippy::indexing_slicing, reason = "the list was just filled up to this index")]
                &mut items[(*index).min(last)].1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Object;
    use super::*;
    use serde_json::json;

    fn follow(before: &Object, operations: &[Operation], by: &str) -> (Object, OriginMap) {
        let mut map = OriginMap::default();
        let mut object = before.clone();
        for operation in operations {
            map.follow(object.root(), operation, &by.into());
            object = object.patched(std::slice::from_ref(operation)).unwrap();
        }
        (object, map)
    }

    #[test]
    fn a_shifted_item_keeps_its_authored_position() {
        let before = Object::from_json(r#"{"spec":{"initContainers":[{"name":"a","env":[{"name":"X"}]},{"name":"b"}]}}"#).unwrap();
        let inits = FieldPath::of(&["spec", "initContainers"]);
        let (_, map) = follow(
            &before,
            &[
                Operation::add(inits.clone().index(0), json!({"name": "vault-agent-init", "env": []})),
                Operation::add(inits.clone().index(1).field("env").index(0), json!({"name": "Y"})),
            ],
            "vault-agent",
        );
        let authored = map.authored(&inits.clone().index(1).field("env").index(1).field("name"));
        assert_eq!((authored.path.to_string().as_str(), authored.added_by), ("spec.initContainers[0].env[0].name", None));
        let injected = map.authored(&inits.clone().index(0).field("image"));
        assert_eq!((injected.path.to_string().as_str(), injected.added_by.as_deref()), ("spec.initContainers", Some("vault-agent")));
        let env = map.authored(&inits.index(1).field("env").index(0));
        assert_eq!((env.path.to_string().as_str(), env.added_by.as_deref()), ("spec.initContainers[0].env", Some("vault-agent")));
    }

    #[test]
    fn an_added_field_stands_at_its_authored_parent() {
        let before = Object::from_json(r#"{"spec":{}}"#).unwrap();
        let (_, map) =
            follow(&before, &[Operation::add(FieldPath::of(&["spec", "volumes"]), json!([{"name": "vault-token"}]))], "vault-token");
        let authored = map.authored(&FieldPath::of(&["spec", "volumes"]).index(0).field("name"));
        assert_eq!((authored.path.to_string().as_str(), authored.added_by.as_deref()), ("spec", Some("vault-token")));
    }

    #[test]
    fn a_removed_item_shifts_the_others_back() {
        let before = Object::from_json(r#"{"v":[0,1,2]}"#).unwrap();
        let (_, map) = follow(&before, &[Operation::remove(FieldPath::of(&["v"]).index(0))], "automount-off");
        assert_eq!(map.authored(&FieldPath::of(&["v"]).index(0)).path.to_string(), "v[1]");
    }
}
