//! What policies are once they are compiled: what is matched, what is asked, what a violation says.

use std::sync::Arc;

use super::location::Location;
use super::native::{Binding, CompiledAnnotation, POLICY};
use super::schema::{Carrier, FailurePolicy, IdentityPolicySpec, Match, Reason, RelatedResource, Severity, When};
use crate::cel::{Expression, Known};
use crate::inject::Step;
use crate::object::{FieldPath, Node};
use crate::settings::{Enforcement, RolloutStep};

/// The variables that every expression may read, in the order of their slots.
pub(super) const BASE: [&str; 9] =
    ["object", "oldObject", "request", "params", "namespaceObject", "pod", "serviceAccount", "identity", "self"];

/// Slots of [`BASE`].
pub(super) mod slot {
    pub(in crate::policy) const OBJECT: usize = 0;
    pub(in crate::policy) const OLD_OBJECT: usize = 1;
    pub(in crate::policy) const REQUEST: usize = 2;
    pub(in crate::policy) const PARAMS: usize = 3;
    pub(in crate::policy) const NAMESPACE_OBJECT: usize = 4;
    pub(in crate::policy) const POD: usize = 5;
    pub(in crate::policy) const SERVICE_ACCOUNT: usize = 6;
    pub(in crate::policy) const IDENTITY: usize = 7;
    pub(in crate::policy) const SELF: usize = 8;
    /// The first slot of a rule's own: its variables, then its related objects, then the names that `at` binds.
    pub(in crate::policy) const FIRST_OWN: usize = 9;
}

/// A compiled `IdentityPolicy`, or a `ValidatingAdmissionPolicy` with its bindings.
#[derive(Debug)]
pub struct IdentityPolicy {
    /// Rule id.
    pub id: Arc<str>,
    /// One line.
    pub title: String,
    /// Invariants.
    pub invariants: Arc<[String]>,
    /// Severity.
    pub severity: Severity,
    /// Ceiling of the enforcement.
    pub enforcement: Enforcement,
    /// The step of the roll-out that it belongs to.
    pub step: RolloutStep,
    /// What an evaluation error does.
    pub failure_policy: FailurePolicy,
    /// Whether no source line may be shown on which one of its violations stands.
    pub conceal: bool,
    pub(super) rules: Vec<CompiledRule>,
    /// What it was compiled from; none for a native policy.
    pub(super) written: Option<Box<IdentityPolicySpec>>,
}

impl IdentityPolicy {
    /// Whether it is a `ValidatingAdmissionPolicy`.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.written.is_none()
    }

    /// The kind it was written as.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.is_native() { POLICY } else { "IdentityPolicy" }
    }

    /// Whether it writes audit annotations.
    #[must_use]
    pub fn annotates(&self) -> bool {
        self.rules.iter().any(|rule| !rule.annotations.is_empty())
    }

    /// What its rules match.
    pub fn matches(&self) -> impl Iterator<Item = &Match> {
        self.rules.iter().map(|rule| &rule.matches)
    }

    /// Kinds that its rules read beside the object.
    pub fn related(&self) -> impl Iterator<Item = &RelatedResource> {
        self.rules.iter().flat_map(|rule| rule.related.iter().map(|related| &related.resource))
    }

    /// Decides once what the settings decide. The `params` of a native policy are its binding's.
    pub(super) fn settle(&mut self, params: Node<'_>) {
        if self.is_native() {
            return;
        }
        for rule in &mut self.rules {
            let mut known = Known::new(slot::PARAMS, params);
            for (index, variable) in rule.variables.iter_mut().enumerate() {
                variable.settle(&known);
                known.declare(slot::FIRST_OWN + index, variable);
            }
            for expression in rule.expressions() {
                expression.settle(&known);
            }
            rule.dormant = rule.is_dormant();
            rule.conditions.retain(|(_, condition)| condition.settled() != Some(true));
        }
    }

    /// Number of its validations.
    #[must_use]
    pub fn validations(&self) -> usize {
        self.rules.iter().map(|rule| rule.validations.len()).sum()
    }
}

#[derive(Debug)]
pub(super) struct CompiledRule {
    pub(super) matches: Match,
    /// The same number for all rules of a set that match alike; none is that high before the rule is in a set.
    pub(super) match_number: usize,
    /// Whether the settings alone say that it judges nothing.
    pub(super) dormant: bool,
    pub(super) on_pod_template: bool,
    pub(super) conditions: Vec<(String, Expression)>,
    pub(super) variables: Vec<Expression>,
    pub(super) related: Vec<CompiledRelated>,
    pub(super) validations: Vec<CompiledValidation>,
    /// Of a native policy, which judges by these only.
    pub(super) bindings: Vec<Binding>,
    /// Of a native policy.
    pub(super) annotations: Vec<CompiledAnnotation>,
    /// Of a native policy: the names of its variables, which their errors tell.
    pub(super) names: Vec<String>,
}

impl CompiledRule {
    /// Every expression of a rule of our own.
    fn expressions(&mut self) -> impl Iterator<Item = &mut Expression> {
        let conditions = self.conditions.iter_mut().map(|(_, condition)| condition);
        let names = self.related.iter_mut().filter_map(|related| related.name.as_mut());
        let validations = self.validations.iter_mut().flat_map(|validation| {
            let CompiledValidation { expression, message_expression, remedy_expression, value_expression, .. } = validation;
            std::iter::once(expression).chain([message_expression, remedy_expression, value_expression].into_iter().flatten())
        });
        conditions.chain(&mut self.variables).chain(names).chain(validations)
    }

    fn is_dormant(&self) -> bool {
        self.conditions.iter().any(|(_, condition)| condition.settled() == Some(false))
    }
}

#[derive(Debug)]
pub(super) struct CompiledRelated {
    pub(super) resource: RelatedResource,
    pub(super) name: Option<Expression>,
}

#[derive(Debug)]
pub(super) struct CompiledValidation {
    /// Where it looks, and whether in the identity model instead of the object.
    pub(super) location: Option<Location>,
    pub(super) in_identity: bool,
    /// Whether it looks where the validation before it does.
    pub(super) follows: bool,
    pub(super) expression: Expression,
    pub(super) field_path: FieldPath,
    pub(super) message: String,
    pub(super) message_expression: Option<Expression>,
    pub(super) remedy: String,
    pub(super) remedy_expression: Option<Expression>,
    pub(super) value_expression: Option<Expression>,
    pub(super) enforcement: Enforcement,
    pub(super) ratchet: bool,
    /// Of a native policy.
    pub(super) reason: Option<Reason>,
}

/// A compiled `InjectionPolicy`.
#[derive(Debug)]
pub struct InjectionPolicy {
    /// Its name.
    pub id: Arc<str>,
    /// One line.
    pub title: String,
    /// Which pods.
    pub matches: Match,
    pub(super) conditions: Vec<(String, Expression)>,
    /// Whether the author has a say.
    pub when: When,
    /// What is added.
    pub steps: Vec<Step>,
}

impl InjectionPolicy {
    /// Decides once what the settings decide.
    pub(super) fn settle(&mut self, params: Node<'_>) {
        let known = Known::new(slot::PARAMS, params);
        self.conditions.iter_mut().for_each(|(_, condition)| condition.settle(&known));
    }

    /// The resources of the core group that it changes.
    pub fn changed(&self) -> impl Iterator<Item = &'static str> {
        self.steps.iter().flat_map(|step| injected(&self.matches, step))
    }
}

/// The resources that a step changes and a match selects.
pub(super) fn injected(matches: &Match, step: &Step) -> impl Iterator<Item = &'static str> {
    let listed = |list: &[String], value: &str| list.iter().any(|item| item == "*" || item == value);
    step.resources().iter().copied().filter(move |resource| {
        (*resource == "pods" && matches.pod_template.is_some_and(|carrier| carrier != Carrier::Workload))
            || matches.resource_rules.iter().any(|rule| listed(&rule.api_groups, "") && listed(&rule.resources, resource))
    })
}
