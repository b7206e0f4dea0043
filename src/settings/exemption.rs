//! Who is free of which rules: matched by namespace and ServiceAccount (or object name) from configuration, never by what a tenant
//! can write.

use serde::{Deserialize, Serialize};

/// One exemption: the same struct as a waiver's subject, without an expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exemption {
    /// Rule ids; `*` names all of them. Default: none, it must be given. Read by every rule.
    pub rules: Vec<String>,
    /// Namespace, by exact name; a Namespace object counts to itself. Default: none, which is the cluster-scoped object of that `name`.
    /// Read by every rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// UID of the Namespace: one that is made anew under the same name inherits nothing. Where the Namespace is not known the entry lifts
    /// nothing; among files what it would lift is `unknown`. Default: unset, whichever has the name. Read by every rule.
    #[serde(rename = "namespaceUID", default, skip_serializing_if = "Option::is_none")]
    pub namespace_uid: Option<String>,
    /// ServiceAccount of the pod, by exact name. Default: unset, every object of the namespace. Read by every rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Object name, exact. Default: unset, every object. Read by every rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why. Default: none. Read by `policy list`.
    #[serde(default)]
    pub reason: String,
    /// Which of the built-in groups this belongs to. Default: unset, the operator's own. Read by `policy list`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<ExemptionGroup>,
}

/// The two groups that ship; every other exemption is the operator's. Those of `system` are there whatever a settings file lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ExemptionGroup {
    /// `kube-system`, `kube-public`, `kube-node-lease`: the cluster cannot start without them.
    System,
    /// Doorward's own namespace, or it could not start.
    Doorward,
}

impl Exemption {
    /// Whether this exempts an object from a rule, in a Namespace of the right UID if it names one.
    #[must_use]
    pub fn covers(&self, rule: &str, namespace: &str, service_account: Option<&str>, name: &str) -> bool {
        self.namespace == namespace
            && (!namespace.is_empty() || self.name.is_some())
            && self.rules.iter().any(|listed| listed == "*" || listed == rule)
            && self.service_account.as_deref().is_none_or(|wanted| service_account == Some(wanted))
            && self.name.as_deref().is_none_or(|wanted| wanted == name)
    }

    /// Adds what a list of the operator's own leaves out of the group `system`: those namespaces must start before Doorward, and no webhook
    /// is called for them.
    pub(super) fn keep_system(list: &mut Vec<Self>) {
        let system = Self::shipped().into_iter().filter(|entry| entry.group == Some(ExemptionGroup::System));
        for entry in system {
            let same = |known: &Self| Self { reason: entry.reason.clone(), group: entry.group, ..known.clone() } == entry;
            if let Some(known) = list.iter_mut().find(|known| same(known)) {
                known.group = entry.group;
            } else {
                list.push(entry);
            }
        }
    }

    pub(super) fn shipped() -> Vec<Self> {
        let group = |namespace: &str, group, reason: &str| Self {
            rules: vec!["*".into()],
            namespace: namespace.into(),
            namespace_uid: None,
            service_account: None,
            name: None,
            reason: reason.into(),
            group: Some(group),
        };
        vec![
            group("kube-system", ExemptionGroup::System, "the control plane and its add-ons start before Doorward"),
            group("kube-public", ExemptionGroup::System, "readable cluster information, no workloads"),
            group("kube-node-lease", ExemptionGroup::System, "node heartbeats, no workloads"),
            group("doorward", ExemptionGroup::Doorward, "the webhook cannot admit its own pods"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exemption_needs_the_exact_subject() {
        let entry: Exemption =
            serde_json::from_str(r#"{"rules":["no-host-namespaces"],"namespace":"spire","serviceAccount":"spire-agent"}"#).unwrap();
        assert!(entry.covers("no-host-namespaces", "spire", Some("spire-agent"), "x"));
        assert!(!entry.covers("no-host-namespaces", "spire", Some("other"), "x"));
        assert!(!entry.covers("no-host-namespaces", "spire", None, "x"));
        assert!(!entry.covers("no-legacy-token-use", "spire", Some("spire-agent"), "x"));
        assert!(!entry.covers("no-host-namespaces", "spire-evil", Some("spire-agent"), "x"));
        let cluster: Exemption = serde_json::from_str(r#"{"rules":["no-wildcard-rbac"],"name":"argocd"}"#).unwrap();
        assert!(cluster.covers("no-wildcard-rbac", "", None, "argocd"));
        assert!(!cluster.covers("no-wildcard-rbac", "", None, "other"));
        assert!(!cluster.covers("no-wildcard-rbac", "argocd", None, "argocd"));
        let nobody: Exemption = serde_json::from_str(r#"{"rules":["*"]}"#).unwrap();
        assert!(!nobody.covers("no-wildcard-rbac", "", None, "argocd"));
    }

    #[test]
    fn a_cluster_scoped_object_is_exempt_by_its_name_alone() {
        let entry: Exemption = serde_json::from_str(r#"{"rules":["*"],"namespace":"","name":"nested"}"#).unwrap();
        assert!(entry.covers("no-privileged-spiffe-entry", "", None, "nested"));
        assert!(!entry.covers("no-privileged-spiffe-entry", "", None, "other"));
        assert!(!entry.covers("no-privileged-spiffe-entry", "payments", None, "nested"));
        let nameless: Exemption = serde_json::from_str(r#"{"rules":["*"],"namespace":""}"#).unwrap();
        assert!(!nameless.covers("no-privileged-spiffe-entry", "", None, "any"), "no name must not mean every object");
    }
}
