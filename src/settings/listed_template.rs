//! Kinds of others' that carry a pod template: known from the settings, since no list of ours could hold them all.

use serde::{Deserialize, Serialize};

use crate::object::GroupVersionKind;

/// A kind, in any version of its group, and where it keeps its pod template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListedTemplate {
    /// API group, such as `argoproj.io`. Default: none, it must be given. Read by every rule, `webhooks`.
    pub group: String,
    /// Kind, such as `Rollout`. Default: none, it must be given. Read by every rule, `webhooks`.
    pub kind: String,
    /// Fields from the object to the template, which has `metadata` and `spec`: `spec.template`. Default: none, it must be given. Read by
    /// every rule.
    pub path: String,
    /// Resource, the plural name that a URL holds. Default: unset, what Kubernetes' rules of spelling make of the kind. Read by
    /// `webhooks`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

impl ListedTemplate {
    /// Whether this is a kind.
    #[must_use]
    pub fn is(&self, kind: &GroupVersionKind) -> bool {
        self.kind == kind.kind && self.group == kind.group
    }
}
