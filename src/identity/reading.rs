//! What rules see as `identity` of an object that carries no pod template.

use std::collections::BTreeSet;

use serde::Serialize;

use super::grants::{self, Grants};
use super::listed_secrets::{self, ListedSecret};
use crate::object::{Fact, GroupVersionKind, Node};

/// The model of an object's kind, under its name: `identity.grants`, `identity.secrets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reading<'a> {
    /// Roles and bindings.
    Grants(Grants<'a>),
    /// The Secrets that a `ServiceAccount` lists.
    Secrets(Vec<ListedSecret<'a>>),
}

/// Reads an object that carries no pod template; `None` for a kind that has no model.
#[must_use]
pub fn read_object<'a>(
    kind: &GroupVersionKind,
    object: Node<'a>,
    namespace: &'a str,
    token_secrets: &'a Fact<BTreeSet<String>>,
) -> Option<Reading<'a>> {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "ServiceAccount") => Some(Reading::Secrets(listed_secrets::read(object, token_secrets))),
        _ => grants::read(kind, object, namespace).map(Reading::Grants),
    }
}
