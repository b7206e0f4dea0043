//! The names of other objects that an answer may hold, and the same answer without them.

use std::collections::BTreeMap;

use crate::object::{Fact, Kind, Node, escaped, quoted};
use crate::policy::Facts;

/// What stands in place of a name that is not told.
const HIDDEN: &str = "(not told: the caller is not verified)";

/// Texts of the objects that were read for a review.
pub(super) struct RelatedNames<'a> {
    /// Each under the ways in which messages write it.
    names: BTreeMap<String, &'a str>,
}

impl<'a> RelatedNames<'a> {
    /// The names of related objects and parameters, and what the ServiceAccount says of its workload.
    pub(super) fn of(facts: &'a Facts<'_>) -> Self {
        let related = facts.related.values().chain(facts.parameters.iter().map(|(_, found)| found));
        let found = related.filter_map(|fact| if let Fact::Found(objects) = fact { Some(objects) } else { None }).flatten();
        // By itself, and behind its namespace.
        let name = |object: &'a Node<'_>| {
            let metadata = object.get("metadata")?;
            let name = metadata.get("name").and_then(Node::as_str)?;
            Some((name, format!("{}/{name}", metadata.text("namespace"))))
        };
        let said = if let Fact::Found(account) = &facts.service_account { account.path(&["metadata", "annotations"]) } else { None };
        let said = said.into_iter().flat_map(Node::entries).filter_map(|(_, value)| value.as_str());
        let plain = said.chain(facts.neighbours.iter().copied()).map(|name| (name, String::new()));
        let names = found.filter_map(name).chain(plain).filter(|(name, _)| !name.is_empty());
        let written = |(name, full): (&'a str, String)| [name.to_owned(), quoted(name), escaped(name), full].map(|written| (written, name));
        Self { names: names.flat_map(written).filter(|(written, _)| !written.is_empty()).collect() }
    }

    /// A message without those names, each of which stands in code there; what the caller sent himself stays.
    pub(super) fn hidden(&self, asked: Node<'_>, message: &str) -> String {
        if self.names.is_empty() || !message.contains('`') {
            return message.to_owned();
        }
        let is_told = |code: &str| self.names.get(code).is_none_or(|name| says(asked, name));
        let parts = message.split('`').enumerate();
        parts.fold(String::with_capacity(message.len()), |mut out, (index, part)| {
            if index > 0 {
                out.push('`');
            }
            out.push_str(if index % 2 == 0 || is_told(part) { part } else { HIDDEN });
            out
        })
    }
}

/// Whether some text of a request is a name.
fn says(node: Node<'_>, name: &str) -> bool {
    match node.kind() {
        Kind::Map => node.entries().any(|(_, value)| says(value, name)),
        Kind::List => node.items().any(|value| says(value, name)),
        _ => node.as_str() == Some(name),
    }
}
