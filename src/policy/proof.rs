//! The proof of an `InjectionPolicy`: on built-in pods, with other webhooks acting before and after it in every order, a further application
//! changes nothing, and the pod that results is refused neither by the API server nor by a rule that would not refuse it anyway.
//!
//! A policy that an operator writes is proven when it is loaded, before it acts on anybody's pods. Policies of the library are proven by the
//! tests under the demonstration's settings; under an operator's own by [`prove_all`], which takes too long for a start of a server:
//! `policy lint --settings` and `inject --check` ask it.

mod api_server;
mod webhook;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::compiled::InjectionPolicy;
use super::due::conditions_hold;
use super::evaluate::{Limits, evaluate};
use super::related::RelatedIndex;
use super::select::Selected;
use super::set::PolicySet;
use super::staging::run;
use super::subject::{Facts, Source, Subject, manifest_request};
use crate::inject::Step;
use crate::manifest;
use crate::object::{GroupVersionKind, Object, Operation};
use crate::settings::Enforcement;

pub use webhook::{OtherWebhook, orders, other_webhooks};

const PODS: &str = include_str!("proof/pods.yaml");
/// What stands around the pods.
const AROUND: [&str; 2] = [
    r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"proof"}}"#,
    r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"api","namespace":"proof"}}"#,
];
/// The request's UID, the same for every call: a repeated call must change nothing.
const UID: &str = "00000000-0000-4000-8000-000000000000";

/// The smallest pod and the fewest other webhooks on which a policy fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not active, for on a pod `{pod}` (of src/policy/proof/pods.yaml){} {failure}{}", among(.order), shown(.manifest, .failure))]
pub struct Counterexample {
    /// The pod of the corpus.
    pub pod: String,
    /// The same as YAML.
    pub manifest: String,
    /// Who acted, in order; `Doorward` is this policy.
    pub order: Vec<String>,
    /// What is wrong.
    pub failure: Failure,
}

/// How a policy fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A further application changes the pod again.
    #[error("a further application of it changes `{path}` again: write match conditions that no injection changes")]
    Unsettled {
        /// What it changes first.
        path: String,
        /// Everything that it changes: a JSON Patch.
        patch: String,
    },
    /// A step cannot be made.
    #[error("injection `{id}` cannot be made: {reason} (at `{path}`)")]
    Conflict {
        /// The injection.
        id: String,
        /// What stands in the way.
        reason: String,
        /// Where.
        path: String,
    },
    /// The API server refuses what it makes.
    #[error("the API server would refuse what it makes at `{path}`: {reason}")]
    Invalid {
        /// Where.
        path: String,
        /// Why.
        reason: String,
    },
    /// A rule refuses what it makes.
    #[error("what it makes is refused by rule `{rule}` at `{path}`: {message}")]
    Refused {
        /// The rule.
        rule: String,
        /// Where.
        path: String,
        /// What the rule says.
        message: String,
    },
}

fn among(order: &[String]) -> String {
    if order.len() < 2 { String::new() } else { format!(", after {} in this order,", order.join(", ")) }
}

/// What a reader needs to see it happen: the pod, and what the second application would change.
fn shown(manifest: &str, failure: &Failure) -> String {
    let indented: String = manifest.lines().map(|line| format!("\n    {line}")).collect();
    let again = match failure {
        Failure::Unsettled { patch, .. } => format!("\n  a further application would make of it, as JSON Patch:\n    {patch}"),
        _ => String::new(),
    };
    format!("\n  the pod:{indented}{again}")
}

/// Which injections are made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cast {
    /// Those of the policy.
    Alone,
    /// Those of every policy.
    Together,
    /// Those of every other policy.
    Others,
    /// None.
    Nobody,
}

/// Doorward (`None`), or another webhook.
type Actor<'w> = Option<&'w OtherWebhook>;

fn name(actor: &Actor<'_>) -> String {
    actor.map_or("Doorward", OtherWebhook::name).to_owned()
}

/// Proves every injection of a set; the counterexamples with the policies' names, in order of these. A second of work or two.
#[must_use]
pub fn prove_all(set: &PolicySet) -> Vec<(String, Box<Counterexample>)> {
    set.injections().iter().filter_map(|policy| Some((policy.id.to_string(), prove(set, policy).err()?))).collect()
}

/// Proves a policy of a set.
///
/// # Errors
/// The first counterexample, fewest other webhooks first.
pub(super) fn prove(set: &PolicySet, policy: &InjectionPolicy) -> Result<(), Box<Counterexample>> {
    let around: Vec<Object> = AROUND.iter().filter_map(|text| Object::from_json(*text).ok()).collect();
    let proof = Proof { set, policy, around: &around };
    let pods: Vec<Value> = documents(PODS);
    let (webhooks, defaults) = other_webhooks();
    // The conditions of a policy that none of the pods meets are taken as met: what it adds is proven all the same.
    let is_met = pods.iter().any(|pod| proof.due(pod, Cast::Alone, true).is_some());
    for (cast, order, smallest) in trials(&webhooks, pods.len()) {
        for pod in pods.iter().skip(smallest) {
            let counterexample = |failure| {
                let manifest = Object::from_json(pod.to_string()).map(|pod| manifest::to_yaml(pod.root())).unwrap_or_default();
                let pod = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
                Box::new(Counterexample { pod, manifest, order: order.iter().map(name).collect(), failure })
            };
            proof.try_order(pod, &order, &defaults, cast, is_met || cast == Cast::Together).map_err(counterexample)?;
        }
    }
    Ok(())
}

fn documents(text: &str) -> Vec<Value> {
    let documents = manifest::read("proof", text).documents.into_iter();
    documents.filter_map(|document| serde_json::from_str(&document.object.root().to_json()).ok()).collect()
}

/// Nobody else, each webhook alone before and after, and one of each family in every order, together with the other injections, on the
/// two largest pods: that is where things meet. Each with the position of the smallest pod that it is tried on.
fn trials(webhooks: &[OtherWebhook], pods: usize) -> Vec<(Cast, Vec<Actor<'_>>, usize)> {
    let alone = webhooks.iter().map(Some).flat_map(|other| [vec![None, other], vec![other, None]]);
    let nobody = [(Cast::Alone, vec![None], 0), (Cast::Together, vec![None], 0)].into_iter();
    let all = orders(webhooks).into_iter().map(|order| (Cast::Together, order, pods.saturating_sub(2)));
    nobody.chain(alone.map(|order| (Cast::Alone, order, 0))).chain(all).collect()
}

struct Proof<'p> {
    set: &'p PolicySet,
    policy: &'p InjectionPolicy,
    around: &'p [Object],
}

impl Proof<'_> {
    /// Hands over a pod as the API server would show it.
    fn with_subject<T>(&self, pod: &Value, source: Source, then: impl FnOnce(&Subject<'_>, &Facts<'_>, &Object) -> T) -> Option<T> {
        let object = Object::from_json(pod.to_string()).ok()?;
        let request = manifest_request(object.root(), &GroupVersionKind::new("", "v1", "Pod"), "proof");
        let mut subject = Subject::from_request(source, request.root(), Some(object.root()), None).ok()?;
        subject.uid = UID;
        let related = RelatedIndex::new(self.around.iter().map(Object::root), "proof", true);
        let facts = related.facts(self.set, &subject, 0);
        Some(then(&subject, &facts, &object))
    }

    /// The steps that are due, if the policy's own are among them or need not be.
    fn due(&self, pod: &Value, cast: Cast, is_met: bool) -> Option<Vec<Step>> {
        self.with_subject(pod, Source::Mutating, |subject, facts, _| self.steps(subject, facts, cast, is_met))
            .filter(|steps| !steps.is_empty())
    }

    fn steps(&self, subject: &Subject<'_>, facts: &Facts<'_>, cast: Cast, is_met: bool) -> Vec<Step> {
        let acts = |policy: &&InjectionPolicy| {
            let is_own = policy.id == self.policy.id;
            let is_cast = match cast {
                Cast::Alone => is_own,
                Cast::Together => true,
                Cast::Others => !is_own,
                Cast::Nobody => false,
            };
            // A condition that cannot be evaluated would have the pod refused until it can be.
            is_cast && ((is_own && !is_met) || conditions_hold(self.set, policy, subject, facts) != Selected::No)
        };
        self.set.injections().iter().filter(acts).flat_map(|policy| policy.steps.iter().cloned()).collect()
    }

    /// One call of the mutating webhook; what the policy's own steps change.
    fn apply(&self, pod: &mut Value, cast: Cast, is_met: bool) -> Result<Vec<Operation>, Failure> {
        let made = self.with_subject(pod, Source::Mutating, |subject, facts, object| {
            let template = subject.template()?;
            let injection = run(self.set, subject, facts, template, &self.steps(subject, facts, cast, is_met), false);
            let is_own = |id: &str| self.policy.steps.iter().any(|step| step.id() == id);
            let conflict = injection.outcomes.into_iter().find_map(|outcome| Some((outcome.id, outcome.conflict?)));
            let changed = injection.operations.iter().filter(|(_, id)| is_own(id)).map(|(operation, _)| operation.clone()).collect();
            let operations: Vec<_> = injection.operations.into_iter().map(|(operation, _)| operation).collect();
            let after = match operations.first() {
                None => None,
                Some(_) => serde_json::from_str(&Object::detached(object.root()).patched(&operations).ok()?.root().to_json()).ok(),
            };
            Some((conflict.filter(|(id, _)| is_own(id)), changed, after))
        });
        let Some((conflict, changed, after)) = made.flatten() else { return Ok(Vec::new()) };
        if let Some((id, conflict)) = conflict {
            return Err(Failure::Conflict { id: id.to_owned(), reason: conflict.reason, path: conflict.field_path.to_string() });
        }
        *pod = after.unwrap_or_else(|| pod.take());
        Ok(changed)
    }

    fn refusals(&self, pod: &Value) -> Vec<(Arc<str>, String, String)> {
        let found = self.with_subject(pod, Source::Validating, |subject, facts, _| {
            let verdict = evaluate(self.set, subject, facts, Limits::default());
            let denied = verdict.violations.iter().filter(|violation| violation.enforcement == Enforcement::Deny);
            denied.map(|violation| (violation.rule.clone(), violation.path.to_string(), violation.message.clone())).collect()
        });
        found.unwrap_or_default()
    }

    /// The pod after everybody acted, as the API server stores it: it fills in its defaults before the first call and after each, and
    /// calls again where somebody acted after us.
    fn stored(&self, pod: &Value, order: &[Actor<'_>], defaults: &OtherWebhook, cast: Cast, is_met: bool) -> Result<Value, Failure> {
        let mut pod = pod.clone();
        defaults.act(&mut pod);
        for actor in order {
            match actor {
                None => drop(self.apply(&mut pod, cast, is_met)?),
                Some(webhook) => webhook.act(&mut pod),
            }
        }
        defaults.act(&mut pod);
        if !matches!(order.last(), Some(None)) {
            self.apply(&mut pod, cast, is_met)?;
            defaults.act(&mut pod);
        }
        Ok(pod)
    }

    fn try_order(&self, pod: &Value, order: &[Actor<'_>], defaults: &OtherWebhook, cast: Cast, is_met: bool) -> Result<(), Failure> {
        let mut ours = self.stored(pod, order, defaults, cast, is_met)?;
        let again = self.apply(&mut ours, cast, is_met)?;
        if let Some(first) = again.first() {
            return Err(Failure::Unsettled { path: first.path.to_string(), patch: serde_json::to_string(&again).unwrap_or_default() });
        }
        if let Some((path, reason)) = api_server::refusal(&ours) {
            return Err(Failure::Invalid { path, reason });
        }
        let refusals = self.refusals(&ours);
        if refusals.is_empty() {
            return Ok(());
        }
        let rest = if cast == Cast::Alone { Cast::Nobody } else { Cast::Others };
        let without = self.stored(pod, order, defaults, rest, is_met)?;
        let anyway: BTreeSet<Arc<str>> = self.refusals(&without).into_iter().map(|(rule, ..)| rule).collect();
        match refusals.into_iter().find(|(rule, ..)| !anyway.contains(rule)) {
            None => Ok(()),
            Some((rule, path, message)) => Err(Failure::Refused { rule: rule.to_string(), path, message }),
        }
    }
}

#[cfg(test)]
mod tests;
