//! Pods that the operator names to be of a class, or clients of Vault: by namespace and ServiceAccount, never by what their author writes.

use serde::{Deserialize, Serialize};

/// The pods of one ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grantee {
    /// Namespace, by exact name.
    pub namespace: String,
    /// ServiceAccount, by exact name.
    pub service_account: String,
    /// UID of the Namespace: one that is made anew under the same name inherits nothing. Absent: whichever has the name. Where the
    /// Namespace is not known, such as among files, the entry grants nothing.
    #[serde(rename = "namespaceUID", default, skip_serializing_if = "Option::is_none")]
    pub namespace_uid: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Grantee {
    /// Whether these are the pods of a ServiceAccount, in the Namespace of a UID if that is known.
    #[must_use]
    pub fn is(&self, namespace: &str, service_account: &str, uid: Option<&str>) -> bool {
        self.names(namespace, service_account) && self.namespace_uid.as_deref().is_none_or(|wanted| uid == Some(wanted))
    }

    /// Whether they may be: only another UID that is known says no.
    #[must_use]
    pub fn may_be(&self, namespace: &str, service_account: &str, uid: Option<&str>) -> bool {
        let other = |wanted: &String| uid.is_some_and(|uid| uid != wanted);
        self.names(namespace, service_account) && !self.namespace_uid.as_ref().is_some_and(other)
    }

    fn names(&self, namespace: &str, service_account: &str) -> bool {
        self.namespace == namespace && self.service_account == service_account
    }
}

/// Classes of pods that only the operator can give, because they relax rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Classes {
    /// Controllers, which talk to the Kubernetes API: injection `kube-api-token` acts on them, whatever their namespace asks for.
    pub controller: Vec<Grantee>,
    /// What serves nodes and cluster: `no-explicit-automount` and `no-implicit-automount` let it be, and `automount-off` leaves it alone.
    pub infrastructure: Vec<Grantee>,
    /// Agents that may log in to Vault by `jwt` beside their Kubernetes login (`vault-kubernetes-auth-only`); `agent-delegation-declared`
    /// judges them with or without the label.
    pub agent: Vec<Grantee>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardening_a23_a_namespace_made_anew_inherits_nothing() {
        let grantee: Grantee = serde_json::from_str(r#"{"namespace":"rook-ceph","serviceAccount":"osd","namespaceUID":"u1"}"#).unwrap();
        assert!(grantee.is("rook-ceph", "osd", Some("u1")) && grantee.may_be("rook-ceph", "osd", Some("u1")));
        assert!(!grantee.is("rook-ceph", "osd", Some("u2")) && !grantee.may_be("rook-ceph", "osd", Some("u2")));
        assert!(!grantee.is("rook-ceph", "osd", None) && grantee.may_be("rook-ceph", "osd", None));
        assert!(!grantee.is("rook-ceph", "mon", Some("u1")) && !grantee.may_be("other", "osd", Some("u1")));
        let anyone: Grantee = serde_json::from_str(r#"{"namespace":"rook-ceph","serviceAccount":"osd"}"#).unwrap();
        assert!(anyone.is("rook-ceph", "osd", None) && anyone.is("rook-ceph", "osd", Some("u2")));
    }
}
