//! The report itself: the types are the interface that `-o json` prints.

use serde::{Deserialize, Serialize};

use super::checklist::Check;
use crate::manifest::InputError;

/// The result of an audit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// What does not hold, in order of file, line, column and rule.
    pub violations: Vec<Violation>,
    /// What does not hold and is let be, by whom and until when, in the same order.
    pub waived: Vec<Waived>,
    /// What could not be read, in order of file and line.
    #[cfg_attr(test, schemars(with = "Vec<InputErrorShape>"))]
    pub errors: Vec<InputError>,
    /// Counts.
    pub summary: Summary,
    /// The verification checklist: what the findings mean for the questions that an auditor asks.
    pub checklist: Vec<Check>,
    /// What the rules say of themselves; SARIF wants it, JSON has no room for it.
    #[serde(skip)]
    pub rules: Vec<RuleInfo>,
}

/// One place where one rule does not hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Violation {
    /// Id of the rule: the name of its `IdentityPolicy`.
    pub rule: String,
    /// Invariants that the rule guards, such as `INV-2`.
    pub invariants: Vec<String>,
    /// How bad a violation of this rule is.
    pub severity: Severity,
    /// What the cluster would do.
    pub enforcement: Enforcement,
    /// The object judged.
    pub object: ObjectRef,
    /// Path of the field as Kubernetes prints it, such as `spec.template.spec.volumes[0]`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub remedy: String,
    /// File as given, or `<stdin>`; empty for an object of a live cluster.
    pub file: String,
    /// 1-based line of the field, or of its nearest ancestor in the file; 0 without a file.
    pub line: usize,
    /// 1-based column in characters; 0 without a file.
    pub column: usize,
    /// The violation's key: the same for the same rule, stable path and value, wherever the object stands in the file.
    pub fingerprint: String,
    /// Whether it counts against the author.
    pub status: Status,
}

/// One place where one rule does not hold, and a waiver or an exemption of the settings lets it be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Waived {
    /// Id of the rule.
    pub rule: String,
    /// What the cluster would do without it.
    pub enforcement: Enforcement,
    /// The object judged.
    pub object: ObjectRef,
    /// Path of the field.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// File as given, or `<stdin>`; empty for an object of a live cluster.
    pub file: String,
    /// 1-based line; 0 without a file.
    pub line: usize,
    /// 1-based column in characters; 0 without a file.
    pub column: usize,
    /// The violation's key.
    pub fingerprint: String,
    /// What lets it be, in words: `waiver NAME`, or the exemption.
    pub by: String,
    /// Name of the waiver; absent for an exemption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<String>,
    /// Who answers for the waiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where the waiver was agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Why it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the waiver ends, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// How bad a violation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Hands out or forges an identity.
    Critical,
    /// Weakens an identity.
    High,
    /// Opens a way to weaken one.
    Medium,
    /// Untidy.
    Low,
}

/// What the cluster does with a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// Only counts it.
    Audit,
    /// Lets the object in with a warning.
    Warn,
    /// Refuses the object.
    Deny,
}

impl Enforcement {
    /// The word in reports and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// Whether a violation counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not in the baseline.
    New,
    /// Known from the baseline.
    Baseline,
    /// Not decided: a related object that the rule needs is not at hand.
    Unknown,
}

/// Names an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectRef {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// Empty for objects outside namespaces, and where neither the manifest nor `--namespace` says.
    pub namespace: String,
    /// Name, or `generateName`.
    pub name: String,
}

/// Counts over the whole audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Objects judged.
    pub objects: usize,
    /// Violations decided, those of the baseline included: the sum of `deny`, `warn` and `audit`.
    pub violations: usize,
    /// Violations that the cluster would refuse.
    pub deny: usize,
    /// Violations that the cluster would warn of.
    pub warn: usize,
    /// Violations that the cluster would only count.
    pub audit: usize,
    /// Violations that a waiver or an exemption lets be: as many as `waived` lists.
    pub waived: usize,
    /// Rules that could not be decided.
    pub unknown: usize,
}

/// What a rule says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleInfo {
    /// Id.
    pub id: String,
    /// One line: what holds.
    pub title: String,
    /// Why, and how to mend a violation; plain text.
    pub help: String,
    /// Severity.
    pub severity: Severity,
    /// Its highest enforcement.
    pub enforcement: Enforcement,
    /// Invariants.
    pub invariants: Vec<String>,
    /// Whether it finds credentials, so that the lines on which it found one are not shown.
    pub conceal: bool,
}

impl Report {
    /// A report in its order, counted.
    #[must_use]
    pub fn new(
        objects: usize,
        mut waived: Vec<Waived>,
        mut violations: Vec<Violation>,
        mut errors: Vec<InputError>,
        rules: Vec<RuleInfo>,
    ) -> Self {
        violations.sort_by(|left, right| {
            let key = |one: &Violation| (one.line, one.column);
            (left.file.cmp(&right.file))
                .then_with(|| key(left).cmp(&key(right)))
                .then_with(|| (&left.rule, &left.object, &left.path).cmp(&(&right.rule, &right.object, &right.path)))
        });
        waived.sort_by(|left, right| {
            let key = |one: &Waived| (one.line, one.column);
            (left.file.cmp(&right.file))
                .then_with(|| key(left).cmp(&key(right)))
                .then_with(|| (&left.rule, &left.object, &left.path).cmp(&(&right.rule, &right.object, &right.path)))
        });
        errors.sort();
        let decided = |enforcement: Enforcement| {
            violations.iter().filter(|violation| violation.status != Status::Unknown && violation.enforcement == enforcement).count()
        };
        let (deny, warn, audit) = (decided(Enforcement::Deny), decided(Enforcement::Warn), decided(Enforcement::Audit));
        let unknown = violations.iter().filter(|violation| violation.status == Status::Unknown).count();
        let summary = Summary { objects, violations: deny + warn + audit, deny, warn, audit, waived: waived.len(), unknown };
        Self { violations, waived, errors, summary, checklist: Vec::new(), rules }
    }

    /// Whether a violation outside the baseline is at or above an enforcement: what `--fail-on` asks. What could not be decided counts as
    /// what `onMissingRelated` makes of it, a warning or what its rule says (`hardening.md` A37).
    #[must_use]
    pub fn fails(&self, fail_on: Enforcement) -> bool {
        self.violations.iter().any(|violation| violation.status != Status::Baseline && violation.enforcement >= fail_on)
    }
}

/// The schema of [`InputError`], which belongs to a room that knows nothing of schemas.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[schemars(rename = "InputError", description = "What could not be read, and where.")]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct InputErrorShape {
    /// File as given, or `<stdin>`.
    file: String,
    /// 1-based line; 0 when the error concerns the file as a whole.
    line: usize,
    /// 1-based column; 0 when the error concerns the line or the file as a whole.
    column: usize,
    /// What is wrong and how to mend it.
    message: String,
}
