//! The names of other objects that an answer may hold, and the same answer without them.
//!
//! A cluster may have thousands of related objects, and nearly every answer names none of them: what the answer holds is looked for among
//! them, in one pass, and not the other way round.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::object::{Fact, Kind, Node, escaped, quoted};
use crate::policy::Facts;

/// What stands in place of a name that is not told.
const HIDDEN: &str = "(not told: the caller is not verified)";

/// The names of other objects that some texts hold.
pub(super) struct RelatedNames(BTreeSet<String>);

impl RelatedNames {
    /// Those that stand in code in some texts: names of related objects and parameters, and what the ServiceAccount says of its workload.
    /// What the caller sent himself is his to see again.
    pub(super) fn among<'t>(texts: impl Iterator<Item = &'t str>, asked: Node<'_>, facts: &Facts<'_>) -> Self {
        // Each part by the name that it may be, which is the last one of `namespace/name`.
        let mut parts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for part in texts.flat_map(code) {
            for name in [Some(part), part.split_once('/').map(|(_, name)| name)].into_iter().flatten() {
                parts.entry(name).or_default().push(part);
            }
        }
        let mut found = BTreeSet::new();
        if parts.is_empty() {
            return Self(found);
        }
        let mut look_for = |name: &str, namespace: &str| {
            for written in ways_to_write(name) {
                for part in parts.get(&*written).into_iter().flatten() {
                    let is_it = *part == written || part.strip_suffix(&*written).and_then(|rest| rest.strip_suffix('/')) == Some(namespace);
                    if is_it && !name.is_empty() && !found.contains(*part) && !says(asked, name) {
                        found.insert((*part).to_owned());
                    }
                }
            }
        };
        let related = facts.related.values().chain(facts.parameters.iter().map(|(_, found)| found));
        let objects = related.filter_map(|fact| if let Fact::Found(objects) = fact { Some(objects) } else { None }).flatten();
        for metadata in objects.filter_map(|object| object.get("metadata")) {
            look_for(metadata.text("name"), metadata.text("namespace"));
        }
        let said = if let Fact::Found(account) = &facts.service_account { account.path(&["metadata", "annotations"]) } else { None };
        for name in said.into_iter().flat_map(Node::entries).filter_map(|(_, value)| value.as_str()).chain(facts.neighbours.iter().copied())
        {
            look_for(name, "");
        }
        Self(found)
    }

    /// A text without those names.
    pub(super) fn hide(&self, text: &mut String) {
        if self.0.is_empty() || !code(text).any(|part| self.0.contains(part)) {
            return;
        }
        let parts = text.split('`').enumerate();
        let hidden: Vec<&str> = parts.map(|(index, part)| if index % 2 == 1 && self.0.contains(part) { HIDDEN } else { part }).collect();
        *text = hidden.join("`");
    }
}

/// What stands between backticks in a text.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// A name as messages write it; nearly every one is plain.
fn ways_to_write(name: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let is_plain = name.len() <= 128 && name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let others = (!is_plain).then(|| [quoted(name), escaped(name)]).into_iter().flatten();
    std::iter::once(Cow::Borrowed(name)).chain(others.map(Cow::Owned))
}

/// Whether some text of a request is a name.
fn says(node: Node<'_>, name: &str) -> bool {
    match node.kind() {
        Kind::Map => node.entries().any(|(_, value)| says(value, name)),
        Kind::List => node.items().any(|value| says(value, name)),
        _ => node.as_str() == Some(name),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::object::Object;
    use crate::policy::RelatedResource;

    fn hidden(text: &str, asked: &str) -> String {
        let [asked, one, long] = [asked.to_owned(), r#"{"metadata":{"name":"limits","namespace":"team"}}"#.to_owned(), {
            format!(r#"{{"metadata":{{"name":"{}"}}}}"#, "x".repeat(200))
        }]
        .map(|text| Object::from_json(text).unwrap());
        let resource = RelatedResource { group: String::new(), resource: "things".into() };
        let related = BTreeMap::from([(resource, Fact::Found(vec![one.root(), long.root()]))]);
        let facts = Facts { related, ..Facts::unknown("not asked") };
        let names = RelatedNames::among(std::iter::once(text), asked.root(), &facts);
        let mut text = text.to_owned();
        names.hide(&mut text);
        text
    }

    #[test]
    fn a_name_is_hidden_by_itself_behind_its_namespace_and_cut() {
        assert_eq!(hidden("`limits` and `team/limits`, not limits", "{}"), format!("`{HIDDEN}` and `{HIDDEN}`, not limits"));
        assert_eq!(hidden(&format!("by `{}…`", "x".repeat(128)), "{}"), format!("by `{HIDDEN}`"));
    }

    #[test]
    fn what_is_no_name_of_theirs_or_was_sent_stays() {
        for text in ["`other/limits` `limit` `spec`", "limits `", "none"] {
            assert_eq!(hidden(text, "{}"), text);
        }
        assert_eq!(hidden("`team/limits`", r#"{"object":{"spec":{"name":["limits"]}}}"#), "`team/limits`");
    }
}
