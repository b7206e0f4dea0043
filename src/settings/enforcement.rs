//! How strictly a rule is enforced, and what decides it: the preset first, then the overrides in order, never above the policy's own
//! ceiling.

use serde::{Deserialize, Serialize};

use crate::object::{LabelSelector, Node};

/// What a violation does. Ordered from lax to strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Enforcement {
    /// The rule is not evaluated.
    Off,
    /// Admit, record only.
    Audit,
    /// Admit and return an API warning.
    Warn,
    /// Refuse.
    Deny,
}

impl Enforcement {
    /// The word in reports, metrics and the JSON interface: `off`, `audit`, `warn`, `deny`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Audit => "audit",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// A named starting point for the enforcement of every rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Preset {
    /// Every rule at its catalogue default: the program's own default.
    #[default]
    All,
    /// Everything audited, nothing patched: what a first install sets.
    Observe,
}

/// Sets the enforcement of some rules in some namespaces. The last one that applies wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnforcementOverride {
    /// Rule ids; `*` names all of them.
    pub rules: Vec<String>,
    /// What holds for them. A policy's own enforcement stays the ceiling.
    pub enforcement: Enforcement,
    /// Namespaces in which it holds; absent: everywhere. Cluster-scoped objects match an absent selector only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

impl EnforcementOverride {
    /// Whether this override speaks of a rule, for an object in a namespace with these labels (`None`: cluster-scoped).
    #[must_use]
    pub fn applies(&self, rule: &str, namespace_labels: Option<Node<'_>>, namespaced: bool) -> bool {
        let named = self.rules.iter().any(|listed| listed == "*" || listed == rule);
        named && self.namespace_selector.as_ref().is_none_or(|selector| namespaced && selector.matches(namespace_labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;

    #[test]
    fn an_override_speaks_of_named_rules_in_selected_namespaces() {
        let text = r#"{"rules":["no-default-service-account"],"enforcement":"Warn","namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"legacy"}}}"#;
        let entry: EnforcementOverride = serde_json::from_str(text).unwrap();
        let labels = Object::from_json(r#"{"kubernetes.io/metadata.name":"legacy"}"#).unwrap();
        assert!(entry.applies("no-default-service-account", Some(labels.root()), true));
        assert!(!entry.applies("no-host-namespaces", Some(labels.root()), true));
        assert!(!entry.applies("no-default-service-account", None, true));
        assert!(!entry.applies("no-default-service-account", None, false));
    }
}
