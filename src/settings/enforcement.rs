//! How strictly a rule is enforced, and what decides it: the preset first, then the overrides in order, never above the policy's own
//! ceiling.

use serde::{Deserialize, Serialize};

use super::parameters::Settings;
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

/// The steps in which a platform rolls identity out; a rule belongs to one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum RolloutStep {
    /// ServiceAccounts, tokens, the mesh and Vault.
    #[default]
    MeshAndVault,
    /// Pipelines, and the end of static credentials.
    Pipelines,
    /// SPIFFE IDs for every workload.
    Spiffe,
    /// Agents that act for others.
    Agents,
    /// Foreign trust domains.
    Federation,
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
    /// The rules of step 1 at their default, those of later steps audited.
    MeshAndVault,
    /// Steps 1 and 2. From here on what a rule cannot know in CI is enforced as the rule is (`onMissingRelated`).
    Pipelines,
    /// Steps 1 to 3.
    Spiffe,
    /// Steps 1 to 4.
    Agents,
    /// Steps 1 to 5.
    Federation,
}

impl Preset {
    /// The last step whose rules are enforced; `None` for the presets that are no step.
    #[must_use]
    pub fn step(self) -> Option<RolloutStep> {
        match self {
            Self::All | Self::Observe => None,
            Self::MeshAndVault => Some(RolloutStep::MeshAndVault),
            Self::Pipelines => Some(RolloutStep::Pipelines),
            Self::Spiffe => Some(RolloutStep::Spiffe),
            Self::Agents => Some(RolloutStep::Agents),
            Self::Federation => Some(RolloutStep::Federation),
        }
    }

    /// What a rule of a step does under this preset, given what its policy asks for.
    #[must_use]
    pub fn enforcement(self, of: RolloutStep, ceiling: Enforcement) -> Enforcement {
        let audited = self == Self::Observe || self.step().is_some_and(|step| of > step);
        if audited { ceiling.min(Enforcement::Audit) } else { ceiling }
    }
}

/// Sets the enforcement of some rules in some namespaces. The last one that applies wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnforcementOverride {
    /// Rule ids; `*` names all of them. Default: none, it must be given. Read by every rule.
    pub rules: Vec<String>,
    /// What holds for them. A policy's own enforcement stays the ceiling. Default: none, it must be given. Read by every rule.
    pub enforcement: Enforcement,
    /// Namespaces in which it holds; a Namespace object is in itself, every other cluster-scoped one in none. Default: unset, everywhere.
    /// Read by every rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

impl EnforcementOverride {
    /// Whether this override names a rule.
    #[must_use]
    pub fn names(&self, rule: &str) -> bool {
        self.rules.iter().any(|listed| listed == "*" || listed == rule)
    }

    /// Whether it speaks of a rule, for an object in a Namespace (`None`: cluster-scoped).
    #[must_use]
    pub fn applies(&self, rule: &str, namespace: Option<InNamespace<'_>>) -> bool {
        let selects = |selector: &LabelSelector| namespace.is_some_and(|within| selector.matches_namespace(within.name, within.labels));
        self.names(rule) && self.namespace_selector.as_ref().is_none_or(selects)
    }
}

/// The Namespace that an object counts to, as far as selectors ask; a Namespace object counts to itself.
#[derive(Clone, Copy, Debug)]
pub struct InNamespace<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its labels, if they are known.
    pub labels: Option<Node<'a>>,
}

impl Settings {
    /// What a violation of a rule does: by the preset, then by the last override that applies, never above the ceiling.
    #[must_use]
    pub fn enforced(&self, rule: &str, step: RolloutStep, ceiling: Enforcement, namespace: Option<InNamespace<'_>>) -> Enforcement {
        let last = self.enforcement.iter().rfind(|entry| entry.applies(rule, namespace));
        last.map_or_else(|| self.preset.enforcement(step, ceiling), |entry| entry.enforcement.min(ceiling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_audits_the_rules_of_later_ones() {
        let deny = |preset: Preset, step| preset.enforcement(step, Enforcement::Deny);
        assert_eq!(deny(Preset::All, RolloutStep::Federation), Enforcement::Deny);
        assert_eq!(deny(Preset::Observe, RolloutStep::MeshAndVault), Enforcement::Audit);
        assert_eq!(deny(Preset::Spiffe, RolloutStep::Spiffe), Enforcement::Deny);
        assert_eq!(deny(Preset::Spiffe, RolloutStep::Agents), Enforcement::Audit);
        assert_eq!(Preset::Spiffe.enforcement(RolloutStep::Agents, Enforcement::Off), Enforcement::Off);
    }

    #[test]
    fn an_override_speaks_of_named_rules_in_selected_namespaces() {
        let text = r#"{"rules":["no-default-service-account"],"enforcement":"Warn","namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"legacy"}}}"#;
        let entry: EnforcementOverride = serde_json::from_str(text).unwrap();
        let within = |name| Some(InNamespace { name, labels: None });
        assert!(entry.applies("no-default-service-account", within("legacy")));
        assert!(!entry.applies("no-host-namespaces", within("legacy")));
        assert!(!entry.applies("no-default-service-account", within("other")));
        assert!(!entry.applies("no-default-service-account", None));
    }

    #[test]
    fn the_last_override_wins_under_the_ceiling() {
        let text = r#"{"preset":"observe","enforcement":[{"rules":["*"],"enforcement":"Deny"},
            {"rules":["a"],"enforcement":"Off","namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"legacy"}}}]}"#;
        let settings = Settings::read(&crate::object::Object::from_json(text).unwrap()).unwrap();
        let enforced = |rule, ceiling, name: Option<&'static str>| {
            settings.enforced(rule, RolloutStep::Spiffe, ceiling, name.map(|name| InNamespace { name, labels: None }))
        };
        assert_eq!(enforced("a", Enforcement::Deny, Some("legacy")), Enforcement::Off);
        assert_eq!(enforced("a", Enforcement::Deny, Some("other")), Enforcement::Deny);
        assert_eq!(enforced("a", Enforcement::Warn, None), Enforcement::Warn);
        assert_eq!(enforced("b", Enforcement::Deny, Some("legacy")), Enforcement::Deny);
    }
}
