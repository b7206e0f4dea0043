//! What rules see as `identity` of an object that carries no pod template: a model for each kind that has one.

use std::collections::BTreeSet;

use serde::Serialize;

use super::grants::{self, Grants};
use super::listed_secrets::{self, ListedSecret};
use crate::object::{Fact, GroupVersionKind, Node};

/// An object without a pod template, as far as it makes or hands out identities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectIdentity<'a> {
    /// Of a role or a binding: what it grants, and to whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<Grants<'a>>,
    /// Of a `ServiceAccount`: the Secrets that it lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<ListedSecret<'a>>>,
}

/// Reads an object that carries no pod template; `None` for a kind that has no model.
#[must_use]
pub fn read_object<'a>(
    kind: &GroupVersionKind,
    object: Node<'a>,
    namespace: &'a str,
    token_secrets: &'a Fact<BTreeSet<String>>,
) -> Option<ObjectIdentity<'a>> {
    let mut identity = ObjectIdentity::default();
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("rbac.authorization.k8s.io", _) => identity.grants = Some(grants::read(kind, object, namespace)?),
        ("", "ServiceAccount") => identity.secrets = Some(listed_secrets::read(object, token_secrets)),
        _ => return None,
    }
    Some(identity)
}
