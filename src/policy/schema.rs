//! The kinds as they are written in files: `IdentityPolicy` and `InjectionPolicy` of `doorward.dev/v1alpha1`; `IdentityWaiver` stands in
//! `waiver_schema`.
//! Where `ValidatingAdmissionPolicy` has a word for something, the word is the same here.

use serde::{Deserialize, Serialize};

use crate::inject::Step;
use crate::object::LabelSelector;
use crate::settings::{Enforcement, RolloutStep};

/// The API group and version of Doorward's own kinds.
pub const API_VERSION: &str = "doorward.dev/v1alpha1";

/// What every one of our documents starts with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document<Spec> {
    /// `doorward.dev/v1alpha1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Name, labels and annotations.
    pub metadata: Metadata,
    /// The content.
    pub spec: Spec,
}

/// The metadata that a file may hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The name: rule id, folder and metric label of a policy.
    pub name: String,
    /// Labels; not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<serde_json::Value>,
    /// Annotations; not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<serde_json::Value>,
}

/// What must hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityPolicySpec {
    /// One line that says what holds when the policy is kept.
    pub title: String,
    /// The invariants it serves, such as `INV-4`.
    #[serde(default)]
    pub invariants: Vec<String>,
    /// How bad a violation is.
    pub severity: Severity,
    /// The ceiling of its enforcement.
    pub enforcement: Enforcement,
    /// The step of the roll-out that it belongs to.
    #[serde(default)]
    pub rollout_step: RolloutStep,
    /// What an evaluation error does.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// Whether it finds credentials: a report then shows no source line on which one of its violations stands.
    #[serde(default)]
    pub conceal: bool,
    /// One a shape of object.
    pub rules: Vec<Rule>,
}

/// How bad a violation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Hygiene.
    Low,
    /// Weakens an identity.
    Medium,
    /// Breaks an invariant.
    High,
    /// Gives an identity away.
    Critical,
}

impl Severity {
    /// The word in files, reports and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What an evaluation error does, in admission's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum FailurePolicy {
    /// It counts as a violation.
    #[default]
    Fail,
    /// It is recorded, and the rule counts as kept.
    Ignore,
}

/// VAP's `reason` of a validation: what the API server answers a refused request with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Reason {
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 422
    #[default]
    Invalid,
    /// 413
    RequestEntityTooLarge,
}

impl Reason {
    /// The word of a `Status` and its HTTP status code.
    #[must_use]
    pub fn status(self) -> (&'static str, u16) {
        match self {
            Self::Unauthorized => ("Unauthorized", 401),
            Self::Forbidden => ("Forbidden", 403),
            Self::Invalid => ("Invalid", 422),
            Self::RequestEntityTooLarge => ("RequestEntityTooLarge", 413),
        }
    }
}

/// What holds for one shape of object.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Which objects.
    #[serde(rename = "match")]
    pub matches: Match,
    /// Further conditions on the request, all of which must hold.
    #[serde(default)]
    pub match_conditions: Vec<MatchCondition>,
    /// Named expressions, evaluated when first read, once an object.
    #[serde(default)]
    pub variables: Vec<Variable>,
    /// Other objects that the rule reads.
    #[serde(default)]
    pub related: Vec<Related>,
    /// What must be true.
    pub validations: Vec<Validation>,
}

/// Which objects a rule or an injection is about: a pod template by its carrier, or VAP's `matchConstraints`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// Objects that carry a pod template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<Carrier>,
    /// Any objects, by resource rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_rules: Vec<ResourceRule>,
    /// Exceptions from `resourceRules`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_resource_rules: Vec<ResourceRule>,
    /// Namespaces; for a Namespace object its own labels count, other cluster-scoped objects always match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Labels of the object (the old or the new one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_selector: Option<LabelSelector>,
    /// As in VAP: whether a request in another version of the resource, which the API server converts, is meant too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_policy: Option<MatchPolicy>,
}

/// VAP's `matchPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum MatchPolicy {
    /// Objects are converted to the version that a rule names.
    Equivalent,
    /// Only requests in a version that a rule names.
    Exact,
}

/// Which carriers of a pod template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Carrier {
    /// Pods and workloads.
    Any,
    /// Pods, ephemeral containers included.
    Pod,
    /// Everything that makes pods.
    Workload,
}

/// VAP's `NamedRuleWithOperations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceRule {
    /// API groups; `*` for all.
    pub api_groups: Vec<String>,
    /// API versions; `*` for all.
    #[serde(default = "any")]
    pub api_versions: Vec<String>,
    /// Operations; `*` for all.
    #[serde(default = "create_and_update")]
    pub operations: Vec<OperationName>,
    /// Resources such as `pods`, `serviceaccounts/token`, `*`, `*/*`, `pods/*`.
    pub resources: Vec<String>,
    /// Object names; empty for all.
    #[serde(default)]
    pub resource_names: Vec<String>,
    /// Whether namespaced or cluster-scoped objects are meant.
    #[serde(default)]
    pub scope: Scope,
}

/// VAP's `scope` of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Scope {
    /// Both.
    #[default]
    #[serde(rename = "*")]
    All,
    /// Objects outside namespaces, Namespaces among them.
    Cluster,
    /// Objects in a namespace.
    Namespaced,
}

fn any() -> Vec<String> {
    vec!["*".into()]
}

fn create_and_update() -> Vec<OperationName> {
    vec![OperationName::Create, OperationName::Update]
}

/// An admission operation, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum OperationName {
    /// An object is made.
    #[serde(rename = "CREATE")]
    Create,
    /// An object is changed.
    #[serde(rename = "UPDATE")]
    Update,
    /// An object is deleted.
    #[serde(rename = "DELETE")]
    Delete,
    /// A connection is made to a subresource.
    #[serde(rename = "CONNECT")]
    Connect,
    /// All of them.
    #[serde(rename = "*")]
    Any,
}

/// VAP's `matchConditions` entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchCondition {
    /// Its name, for messages.
    pub name: String,
    /// CEL; must be true for the rule to apply.
    pub expression: String,
}

/// VAP's `variables` entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variable {
    /// Read as `variables.<name>`.
    pub name: String,
    /// CEL; may read the variables before it.
    pub expression: String,
}

/// Other objects that a rule reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Related {
    /// Read as `related.<name>`: a list, or with `nameExpression` an optional object.
    pub name: String,
    /// Which kind.
    pub resource: RelatedResource,
    /// CEL; the name of the one object that is meant, in the namespace of the object judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_expression: Option<String>,
}

/// A resource in any served version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RelatedResource {
    /// API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// Resource, such as `clusterspiffeids`.
    pub resource: String,
}

/// What must be true, of the object or of each value that `at` finds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validation {
    /// Which values are judged, as `self`; absent: the pod template, or the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// CEL; false is a violation.
    pub expression: String,
    /// Suffix of the reported path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_path: Option<String>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// CEL that says what is wrong; before `message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_expression: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// CEL that says what to do about it; before `remedy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy_expression: Option<String>,
    /// CEL of any type: what else makes a violation a new one on UPDATE, and beside a baseline, when it changes. Before `self`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_expression: Option<String>,
    /// Lower than the policy's, never higher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
    /// Whether a violation that the old object had already stays refused on UPDATE. Absent: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratchet: Option<bool>,
}

/// What is added.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InjectionPolicySpec {
    /// One line that says what the injection is for.
    pub title: String,
    /// Which pods.
    #[serde(rename = "match")]
    pub matches: Match,
    /// Further conditions, all of which must hold.
    #[serde(default)]
    pub match_conditions: Vec<MatchCondition>,
    /// Whether the author of a pod has a say.
    pub when: When,
    /// The steps, each once.
    pub inject: Vec<Step>,
}

/// Whether the author of a pod has a say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum When {
    /// No.
    Always,
    /// It may be requested: only where the Namespace's label or the pod's annotation `inject.doorward.dev/<id>` is `"true"`. A pod that
    /// says `"false"` does not take back what its Namespace asks for.
    Requested,
    /// It is optional: always but where the pod's annotation `inject.doorward.dev/<id>` is `"false"`. Beside a policy with `Requested` this
    /// lets a pod leave out what its Namespace asks for; what a policy asks for with `Always` is due all the same.
    UnlessOptedOut,
}
