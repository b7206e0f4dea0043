//! `ValidatingAdmissionPolicy` and `ValidatingAdmissionPolicyBinding` as they are written and as the API server gives them back.

use serde::Deserialize;
use serde_json::Value;

use crate::object::{GroupVersionKind, LabelSelector};
use crate::policy::schema::{FailurePolicy, Match, MatchCondition, MatchPolicy, OperationName, Reason, ResourceRule, Scope, Variable};

/// The API group of both kinds.
pub(in crate::policy) const GROUP: &str = "admissionregistration.k8s.io";
/// The kind of a policy.
pub(in crate::policy) const POLICY: &str = "ValidatingAdmissionPolicy";
/// The kind of a binding.
pub(in crate::policy) const BINDING: &str = "ValidatingAdmissionPolicyBinding";

/// An object of one of the two kinds. What the API server adds (status, managed fields and the like) is read over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document<Spec> {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
    #[serde(rename = "status")]
    _status: Option<Value>,
}

/// `ObjectMeta`, of which the name and the description count.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(default)]
    pub(super) annotations: std::collections::BTreeMap<String, String>,
}

/// `ValidatingAdmissionPolicySpec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PolicySpec {
    pub(super) param_kind: Option<ParamKind>,
    pub(super) match_constraints: MatchResources,
    #[serde(default)]
    pub(super) validations: Vec<Validation>,
    #[serde(default)]
    pub(super) failure_policy: FailurePolicy,
    #[serde(default)]
    pub(super) audit_annotations: Vec<AuditAnnotation>,
    #[serde(default)]
    pub(super) match_conditions: Vec<MatchCondition>,
    #[serde(default)]
    pub(super) variables: Vec<Variable>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ParamKind {
    pub(super) api_version: String,
    pub(super) kind: String,
}

impl ParamKind {
    /// The kind.
    pub(super) fn kind(&self) -> GroupVersionKind {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", &self.api_version));
        GroupVersionKind::new(group, version, &self.kind)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Validation {
    pub(super) expression: String,
    pub(super) message: Option<String>,
    pub(super) message_expression: Option<String>,
    #[serde(default)]
    pub(super) reason: Reason,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AuditAnnotation {
    pub(super) key: String,
    pub(super) value_expression: String,
}

/// `ValidatingAdmissionPolicyBindingSpec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BindingSpec {
    pub(super) policy_name: String,
    pub(super) param_ref: Option<ParamRef>,
    pub(super) match_resources: Option<MatchResources>,
    pub(super) validation_actions: Vec<ValidationAction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum ValidationAction {
    Deny,
    Warn,
    Audit,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ParamRef {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) namespace: String,
    pub(super) selector: Option<LabelSelector>,
    /// Required by the API.
    pub(super) parameter_not_found_action: ParameterNotFoundAction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum ParameterNotFoundAction {
    Allow,
    Deny,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MatchResources {
    #[serde(default)]
    pub(super) namespace_selector: Option<LabelSelector>,
    #[serde(default)]
    pub(super) object_selector: Option<LabelSelector>,
    #[serde(default)]
    pub(super) resource_rules: Vec<Rule>,
    #[serde(default)]
    pub(super) exclude_resource_rules: Vec<Rule>,
    #[serde(default)]
    pub(super) match_policy: Option<MatchPolicy>,
}

/// `NamedRuleWithOperations`: unlike a rule of our own it has no defaults, because the API has none.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) api_groups: Vec<String>,
    pub(super) api_versions: Vec<String>,
    pub(super) operations: Vec<OperationName>,
    pub(super) resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
    #[serde(default)]
    scope: Scope,
}

impl From<MatchResources> for Match {
    fn from(written: MatchResources) -> Self {
        let rules = |rules: Vec<Rule>| rules.into_iter().map(ResourceRule::from).collect();
        Self {
            pod_template: None,
            resource_rules: rules(written.resource_rules),
            exclude_resource_rules: rules(written.exclude_resource_rules),
            namespace_selector: written.namespace_selector,
            object_selector: written.object_selector,
            match_policy: written.match_policy,
        }
    }
}

impl From<Rule> for ResourceRule {
    fn from(written: Rule) -> Self {
        let Rule { api_groups, api_versions, operations, resources, resource_names, scope } = written;
        Self { api_groups, api_versions, operations, resources, resource_names, scope }
    }
}
