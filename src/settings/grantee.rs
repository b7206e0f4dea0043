//! Pods that the operator names to be of a class, or clients of Vault: by namespace and ServiceAccount, never by what their author writes.

use serde::{Deserialize, Serialize};

/// The pods of one ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grantee {
    /// Namespace, by exact name. Default: none, it must be given. Read by `kube-api-token`, `automount-off`, `no-explicit-automount`,
    /// `no-implicit-automount`, `agent-delegation-declared`, `vault-kubernetes-auth-only`, `require-vault-token`.
    pub namespace: String,
    /// ServiceAccount, by exact name. Default: none, it must be given. Read by `kube-api-token`, `automount-off`, `no-explicit-automount`,
    /// `no-implicit-automount`, `agent-delegation-declared`, `vault-kubernetes-auth-only`, `require-vault-token`.
    pub service_account: String,
    /// UID of the Namespace: one that is made anew under the same name inherits nothing. Where the Namespace is not known, such as among
    /// files, the entry grants nothing. Default: unset, whichever has the name. Read by `kube-api-token`, `automount-off`,
    /// `no-explicit-automount`, `no-implicit-automount`, `agent-delegation-declared`, `vault-kubernetes-auth-only`, `require-vault-token`.
    #[serde(rename = "namespaceUID", default, skip_serializing_if = "Option::is_none")]
    pub namespace_uid: Option<String>,
    /// Why. Default: none. Read by `policy list`.
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
    /// Controllers, which talk to the Kubernetes API and get a token for it whatever their namespace asks for. Default: none. Read by
    /// `kube-api-token`.
    pub controller: Vec<Grantee>,
    /// What serves nodes and cluster, whose API tokens are let be. Default: none. Read by `no-explicit-automount`,
    /// `no-implicit-automount`, `automount-off`.
    pub infrastructure: Vec<Grantee>,
    /// Agents, with or without the label, that may log in to Vault by `jwt` beside their Kubernetes login. Default: none. Read by
    /// `vault-kubernetes-auth-only`, `agent-delegation-declared`.
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
