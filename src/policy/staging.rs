//! The pod as it will be: defaults and due injections applied to a template before any rule looks at it, with the map back to what
//! its author wrote.

use super::due::{Due, Hypothesis, due, due_on};
use super::set::PolicySet;
use super::subject::{Facts, Operation, Source, Subject};
use super::waiver_object;
use crate::identity::{Beside, Class, Conflict, InjectionState, Surroundings};
use crate::inject::{self, Step};
use crate::object::Operation as Change;
use crate::object::{FieldPath, Node, Object, OriginMap, PodTemplate};

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

/// What the mutating webhook does. Of what others write, Pods are changed, and Namespaces and ServiceAccounts where a policy selects
/// them; all of them on CREATE only.
#[must_use]
pub fn mutate(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>) -> Mutation {
    if waiver_object::is_waiver(&subject.kind) {
        return Mutation { operations: waiver_object::fill(subject, facts), ..Mutation::default() };
    }
    if !subject.subresource.is_empty() || subject.operation != Operation::Create || subject.is_mirror_pod() {
        return Mutation::default();
    }
    match subject.template() {
        Some(template) if subject.is_pod() => of_template(set, subject, facts, template, false),
        Some(_) => Mutation::default(),
        // Nobody's identity hangs on these, so they do not wait for a fact that is missing.
        None => Mutation { undecided: None, ..of_object(set, subject, facts) },
    }
}

/// What the injections make of an object, as if it, or its pod, were created now: what `doorward inject` prints.
#[must_use]
pub fn inject_virtually(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>) -> Mutation {
    match subject.template() {
        Some(template) => of_template(set, subject, facts, template, true),
        None => of_object(set, subject, facts),
    }
}

fn of_template(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>, template: PodTemplate<'_>, virtually: bool) -> Mutation {
    let due = due(set, subject, facts, template, Hypothesis::NoneDue);
    let injection = run(set, subject, facts, template, &due.steps, virtually);
    mutation(&template.place.prefix(), injection, due)
}

fn of_object(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>) -> Mutation {
    let Some(object) = subject.object.filter(|_| inject::is_changed_itself(&subject.kind)) else { return Mutation::default() };
    let due = due_on(set, subject, facts, object, Hypothesis::NoneDue);
    let injection = inject::inject_object(&subject.kind, object, &set.settings, &due.steps);
    mutation(&FieldPath::root(), injection, due)
}

fn mutation(prefix: &FieldPath, injection: inject::Injection, due: Due) -> Mutation {
    Mutation {
        operations: injection.operations.into_iter().map(|(operation, _)| operation.under(prefix)).collect(),
        injections: injection.outcomes.into_iter().map(state).chain(due.refused).collect(),
        undecided: due.undecided,
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
        staged.injections = due.refused;
        return staged;
    }
    let view = PodTemplate { node: staged.pod.as_ref().map_or(template.node, Object::root), place: template.place };
    let injection = run(set, subject, facts, view, &due.steps, true);
    if !final_pod {
        for (operation, id) in &injection.operations {
            staged.apply(template, operation, id);
        }
    }
    staged.injections = injection.outcomes.into_iter().map(state).chain(due.refused).collect();
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
        // No injection hangs on them.
        beside: Beside::default(),
    };
    let request = inject::Request { template, surroundings, request_uid: subject.uid, revision: &set.revision, virtual_only: virtually };
    inject::inject(&request, steps)
}

/// Fields of null that are taken out of one template.
const NULLS: usize = 256;

/// Takes out the fields whose value is null: to the API server they are absent, and no expression need know of them.
fn nulls(node: Node<'_>, at: &FieldPath, operations: &mut Vec<Change>) {
    for (name, value) in node.entries().filter(|(_, value)| value.is_null() || holds_null(*value)) {
        let path = at.clone().field(name.to_owned());
        if !value.is_null() {
            nulls(value, &path, operations);
        } else if operations.len() < NULLS {
            operations.push(Change::remove(path));
        }
    }
    for (index, value) in node.items().enumerate().filter(|(_, value)| holds_null(*value)) {
        nulls(value, &at.clone().index(index), operations);
    }
}

/// Whether some field is null. Nearly no template has one, and then nothing is made.
fn holds_null(node: Node<'_>) -> bool {
    node.entries().any(|(_, value)| value.is_null() || holds_null(value)) || node.items().any(holds_null)
}

/// What the API server makes of a template before it looks at it: fields of null go, and the ServiceAccount's name and lifetimes of tokens and
/// certificates are filled in.
fn defaults(template: PodTemplate<'_>) -> Vec<Change> {
    let mut operations = Vec::new();
    if holds_null(template.spec()) {
        nulls(template.spec(), &FieldPath::of(&["spec"]), &mut operations);
    }
    let spec = template.spec();
    let path = FieldPath::of(&["spec"]);
    if spec.text("serviceAccountName").is_empty() && template.node.get("spec").is_some() {
        operations.push(Change::add(path.clone().field("serviceAccountName"), template.service_account_name().to_owned()));
    }
    for (index, volume) in spec.list("volumes").enumerate() {
        let Some(projected) = volume.get("projected") else { continue };
        for (source_index, source) in projected.list("sources").enumerate() {
            let place = path.clone().field("volumes").index(index).field("projected").field("sources").index(source_index);
            for (kind, field, seconds) in
                [("serviceAccountToken", "expirationSeconds", 3600_i64), ("podCertificate", "maxExpirationSeconds", 86400)]
            {
                if source.get(kind).is_some_and(|source| source.get(field).is_none()) {
                    operations.push(Change::add(place.clone().field(kind).field(field), seconds));
                }
            }
        }
    }
    operations
}
