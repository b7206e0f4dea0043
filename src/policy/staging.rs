//! The pod as it will be: defaults and due injections applied to a template before any rule looks at it, with the map back to what
//! its author wrote.

use super::compile::{BASE, InjectionPolicy};
use super::schema::When;
use super::select::Selected;
use super::set::PolicySet;
use super::stage::{Activation, Stage};
use super::subject::{Facts, Operation, Source, Subject};
use super::waiver_object;
use crate::cel::Budget;
use crate::identity::{Class, Conflict, InjectionState, Surroundings};
use crate::inject::{self, Step};
use crate::object::Operation as Change;
use crate::object::{FieldPath, GroupVersionKind, GroupVersionResource, Node, Object, OriginMap, PodTemplate};
use crate::settings::Preset;

/// What a pod will be, and how that came about.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// The template after defaults and due injections; `None` if nothing changed it.
    pub pod: Option<Object>,
    /// From its paths back to the author's.
    pub origins: OriginMap,
    /// What became of each injection.
    pub injections: Vec<InjectionState>,
    /// Why it is not known which injections are due, if so.
    pub undecided: Option<String>,
}

/// What the mutating webhook answers: operations on the whole object, in order.
#[derive(Debug, Default)]
pub struct Mutation {
    /// Operations, paths from the root of the object.
    pub operations: Vec<Change>,
    /// What became of each injection.
    pub injections: Vec<InjectionState>,
    /// Why it is not known which injections are due, if so: the pod must not be let in as it is.
    pub undecided: Option<String>,
}

/// Which injections are assumed where the Namespace, and so its labels, is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hypothesis {
    NoneDue,
    AllDue,
}

/// The steps that are due for a pod, in no order, and why that is not certain.
struct Due {
    steps: Vec<Step>,
    undecided: Option<String>,
}

/// What the mutating webhook does. Of what others write only Pods are changed, and only on CREATE.
#[must_use]
pub fn mutate(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>) -> Mutation {
    if waiver_object::is_waiver(&subject.kind) {
        return Mutation { operations: waiver_object::fill(subject, facts), ..Mutation::default() };
    }
    let whole_pod = subject.is_pod() && subject.subresource.is_empty() && subject.operation == Operation::Create;
    let (Some(template), true) = (subject.template(), whole_pod) else { return Mutation::default() };
    if subject.is_mirror_pod() {
        return Mutation::default();
    }
    let due = due(set, subject, facts, template, Hypothesis::NoneDue);
    let injection = run(set, subject, facts, template, &due.steps, false);
    mutation(template, injection, due.undecided)
}

/// What the injections make of any object with a pod template, as if its pod were created now: what `doorward inject` prints.
#[must_use]
pub fn inject_virtually(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>) -> Mutation {
    let Some(template) = subject.template() else { return Mutation::default() };
    let due = due(set, subject, facts, template, Hypothesis::NoneDue);
    let injection = run(set, subject, facts, template, &due.steps, true);
    mutation(template, injection, due.undecided)
}

fn mutation(template: PodTemplate<'_>, injection: inject::Injection, undecided: Option<String>) -> Mutation {
    Mutation {
        operations: injection.operations.into_iter().map(|(operation, _)| operation.under(&template.carrier.prefix())).collect(),
        injections: injection.outcomes.into_iter().map(state).collect(),
        undecided,
    }
}

/// Prepares a template for its rules. A Pod that the API server shows to the validating webhook is final: it is judged as it stands,
/// and injections only tell whether they are done.
pub(super) fn stage(
    set: &PolicySet,
    subject: &Subject<'_>,
    facts: &Facts<'_>,
    template: PodTemplate<'_>,
    hypothesis: Hypothesis,
) -> Staged {
    let final_pod = subject.is_pod() && subject.source != Source::Manifests;
    let mut staged = Staged::default();
    if !final_pod {
        for operation in defaults(template) {
            staged.apply(template, &operation, "defaults");
        }
    }
    let running = subject.is_pod() && (subject.operation != Operation::Create || !subject.subresource.is_empty());
    if running || subject.is_mirror_pod() {
        return staged;
    }
    let due = due(set, subject, facts, template, hypothesis);
    staged.undecided = due.undecided.or(staged.undecided);
    if due.steps.is_empty() {
        return staged;
    }
    let view = PodTemplate { node: staged.pod.as_ref().map_or(template.node, Object::root), carrier: template.carrier };
    let injection = run(set, subject, facts, view, &due.steps, true);
    if !final_pod {
        for (operation, id) in &injection.operations {
            staged.apply(template, operation, id);
        }
    }
    staged.injections = injection.outcomes.into_iter().map(state).collect();
    staged
}

impl Staged {
    fn apply(&mut self, template: PodTemplate<'_>, operation: &Change, by: &str) {
        let pod = self.pod.get_or_insert_with(|| Object::detached(template.node));
        // The template is then judged as far as it came, and what an injection would have mended is not certain.
        if let Err(error) = pod.apply(operation, |before| self.origins.follow(before, operation, &by.into())) {
            self.undecided = Some(format!("`{by}` could not be applied: {error}"));
        }
    }
}

/// An outcome as rules see it.
fn state(outcome: inject::Outcome) -> InjectionState {
    InjectionState {
        id: outcome.id.to_owned(),
        due: outcome.due,
        done: outcome.done,
        conflict: outcome.conflict.map(|conflict| Conflict {
            field_path: conflict.field_path.to_string(),
            reason: conflict.reason,
            remedy: conflict.remedy,
        }),
    }
}

pub(super) fn run(
    set: &PolicySet,
    subject: &Subject<'_>,
    facts: &Facts<'_>,
    template: PodTemplate<'_>,
    steps: &[Step],
    virtually: bool,
) -> inject::Injection {
    let object = subject.object.unwrap_or(template.node);
    let surroundings = Surroundings {
        settings: &set.settings,
        namespace: subject.namespace,
        namespace_object: &facts.namespace,
        service_account: &facts.service_account,
        token_secrets: &facts.token_secrets,
        class: Class::of(&subject.kind, object, template, subject.username, &set.settings),
    };
    let request = inject::Request { template, surroundings, request_uid: subject.uid, revision: &set.revision, virtual_only: virtually };
    inject::inject(&request, steps)
}

/// What the API server fills in that a template lacks: the ServiceAccount's name and lifetimes of tokens and certificates.
fn defaults(template: PodTemplate<'_>) -> Vec<Change> {
    let mut operations = Vec::new();
    let spec = template.spec();
    let path = FieldPath::of(&["spec"]);
    if spec.text("serviceAccountName").is_empty() && template.node.get("spec").is_some() {
        operations.push(Change::add(path.clone().field("serviceAccountName"), template.service_account_name().into()));
    }
    for (index, volume) in spec.list("volumes").enumerate() {
        let Some(projected) = volume.get("projected") else { continue };
        for (source_index, source) in projected.list("sources").enumerate() {
            let place = path.clone().field("volumes").index(index).field("projected").field("sources").index(source_index);
            for (kind, field, seconds) in
                [("serviceAccountToken", "expirationSeconds", 3600), ("podCertificate", "maxExpirationSeconds", 86400)]
            {
                if source.get(kind).is_some_and(|source| source.get(field).is_none()) {
                    operations.push(Change::add(place.clone().field(kind).field(field), seconds.into()));
                }
            }
        }
    }
    operations
}

/// Asks every injection policy whether it means the pod that this template makes.
fn due(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>, template: PodTemplate<'_>, hypothesis: Hypothesis) -> Due {
    let as_pod = Subject {
        operation: Operation::Create,
        kind: GroupVersionKind::new("", "v1", "Pod"),
        resource: GroupVersionResource::new("", "v1", "pods"),
        subresource: "",
        object: Some(template.node),
        old_object: None,
        ..subject.clone()
    };
    let mut due = Due { steps: Vec::new(), undecided: None };
    // An observer changes nothing, so that nothing may be judged as if it were changed either.
    if set.settings.preset == Preset::Observe {
        return due;
    }
    for policy in &set.injections {
        let selected = match selected(set, policy, &as_pod, facts) {
            Selected::Unknown(reason) => {
                due.undecided = Some(reason);
                hypothesis == Hypothesis::AllDue
            }
            answer => answer == Selected::Yes,
        };
        if selected {
            due.steps.extend(policy.steps.iter().filter(|step| wanted(policy.when, step.id(), template, facts)).cloned());
        }
    }
    due
}

fn wanted(when: When, id: &str, template: PodTemplate<'_>, facts: &Facts<'_>) -> bool {
    let key = format!("inject.doorward.dev/{id}");
    let on_pod = template.annotation(&key);
    let on_namespace = facts
        .namespace
        .as_ref()
        .found()
        .and_then(|namespace| namespace.path(&["metadata", "labels"]))
        .and_then(|labels| labels.get(&key))
        .and_then(Node::as_str);
    match when {
        When::Always => true,
        When::Requested => on_pod == Some("true") || (on_pod.is_none() && on_namespace == Some("true")),
        When::UnlessOptedOut => on_pod != Some("false"),
    }
}

fn selected(set: &PolicySet, policy: &InjectionPolicy, subject: &Subject<'_>, facts: &Facts<'_>) -> Selected {
    let answer = policy.matches.selects(subject, facts);
    if answer == Selected::Yes { conditions_hold(set, policy, subject, facts) } else { answer }
}

/// Whether a policy's match conditions hold, whatever its selectors say.
pub(super) fn conditions_hold(set: &PolicySet, policy: &InjectionPolicy, subject: &Subject<'_>, facts: &Facts<'_>) -> Selected {
    if policy.conditions.is_empty() {
        return Selected::Yes;
    }
    let stage = Stage::without_identity(set, subject, facts);
    let activation = Activation::new(&stage, &[], &[], BASE.len());
    for (name, condition) in &policy.conditions {
        match condition.evaluate(&activation, &Budget::new(super::evaluate::CONDITIONS_LIMIT)).map(|value| value.as_bool()) {
            Ok(Some(true)) => {}
            Ok(Some(false)) => return Selected::No,
            Ok(None) => return Selected::Unknown(format!("match condition `{name}` of `{}` is no boolean", policy.id)),
            Err(error) => return Selected::Unknown(format!("match condition `{name}` of `{}`: {error}", policy.id)),
        }
    }
    Selected::Yes
}
