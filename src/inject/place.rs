//! Where things go: the order of the injections, and additions as operations.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::outcome::{Conflict, Outcome};
use super::pod::{Container, Pod};
use super::vault_token::Token;
use super::{
    Injection, Request, Step, automount_off, aws_token_ttl, kube_api_token, mesh_inject, spiffe_csi, spiffe_id, stamp, vault_agent,
    vault_csi, vault_token,
};
use crate::identity::Surroundings;
use crate::object::{Content, FieldPath, GroupVersionKind, Kind, Node, Object, Operation, PodTemplate};
use crate::settings::Settings;

/// Makes the injections that policies ask for, each on the template that those before it left. Mirror pods are never touched: the
/// API server refuses one with a projected token.
#[must_use]
pub fn inject(request: &Request<'_>, steps: &[Step]) -> Injection {
    let template = request.template;
    if template.annotation("kubernetes.io/config.mirror").is_some() || template.spec().kind() != Kind::Map {
        return Injection::default();
    }
    let mut steps = steps.to_vec();
    let pod = Pod::new(template, request.surroundings, &[]);
    let role = vault_agent::role(&pod, &steps);
    let now = Terms { surroundings: request.surroundings, role };
    let before = request.surroundings.settings.before().map(|settings| {
        let surroundings = Surroundings { settings, ..request.surroundings };
        Terms { surroundings, role: vault_agent::role(&Pod::new(template, surroundings, &[]), &steps) }
    });
    imply(&pod, &now.role, &mut steps);
    in_order(&mut steps);
    let mut run = Run { request, now, before, injection: Injection::default() };
    for step in &steps {
        run.step(step, &steps);
    }
    run.injection
}

/// Whether objects of a kind are changed themselves, beside the pods that templates make.
#[must_use]
pub fn is_changed_itself(kind: &GroupVersionKind) -> bool {
    kind.group.is_empty() && matches!(kind.kind.as_str(), "Namespace" | "ServiceAccount")
}

/// Makes the injections that policies ask for on a Namespace or a ServiceAccount; a step for another kind of object is not due.
#[must_use]
pub fn inject_object(kind: &GroupVersionKind, object: Node<'_>, settings: &Settings, steps: &[Step]) -> Injection {
    let mut steps = steps.to_vec();
    in_order(&mut steps);
    let mut injection = Injection::default();
    for step in &steps {
        let made = match (step, kind.kind.as_str()) {
            (Step::MeshInject {}, "Namespace") => mesh_inject::on_namespace(object, settings),
            (Step::AwsTokenTtl {}, "ServiceAccount") => aws_token_ttl::on_service_account(object, settings),
            _ => None,
        };
        let Some((made, served)) = made else { continue };
        let (operations, conflict) = match made {
            Ok(operations) => (operations, None),
            Err(conflict) => (Vec::new(), Some(conflict)),
        };
        let added = !operations.is_empty();
        injection.operations.extend(operations.into_iter().map(|operation| (operation, step.id())));
        injection.outcomes.push(Outcome { id: step.id(), due: true, done: added || served, added, conflict });
    }
    injection
}

/// Adds the steps that others bring with them.
fn imply(pod: &Pod<'_>, role: &vault_agent::Role<'_>, steps: &mut Vec<Step>) {
    if role.needs_token() {
        steps.push(Step::VaultToken { audience: None, expiration_seconds: None, mount_path: None });
    }
    if *role == vault_agent::Role::Csi {
        steps.push(Step::VaultCsi { secret_provider_class: None, mount_path: None });
    }
    if kube_api_token::is_due(pod) && steps.contains(&Step::KubeApiToken {}) {
        steps.push(Step::AutomountOff {});
    }
    if spiffe_csi::is_due(pod) && steps.contains(&Step::SpiffeCsi {}) {
        steps.push(Step::SpiffeId {});
    }
    if !steps.is_empty() {
        steps.push(Step::Stamp {});
    }
}

/// Catalogue order, whatever the policies' order, and each step once.
fn in_order(steps: &mut Vec<Step>) {
    steps.sort();
    steps.dedup_by(|next, first| {
        let same = next.id() == first.id();
        if same {
            *first = first.clone().merged(next);
        }
        same
    });
}

/// Under which settings a pod is looked at.
struct Terms<'a> {
    surroundings: Surroundings<'a>,
    role: vault_agent::Role<'a>,
}

impl Terms<'_> {
    fn pod<'p>(&'p self, template: PodTemplate<'p>) -> Pod<'p> {
        Pod::new(template, self.surroundings, self.role.names())
    }

    /// The registry: a new injection is a new arm here and a file of its own.
    fn make(&self, template: PodTemplate<'_>, step: &Step, steps: &[Step]) -> Option<Result<Vec<Operation>, Conflict>> {
        let pod = self.pod(template);
        let token = || Token::asked(self.surroundings.settings, steps);
        match step {
            Step::AutomountOff {} => automount_off::is_due(&pod).then(|| automount_off::apply(&pod)),
            Step::KubeApiToken {} => kube_api_token::is_due(&pod).then(|| kube_api_token::apply(&pod)),
            Step::VaultToken { .. } => Some(vault_token::apply(&pod, &token())),
            Step::VaultAgent { .. } => vault_agent::apply(&pod, &self.role, &token()),
            Step::SpiffeCsi {} => spiffe_csi::is_due(&pod).then(|| spiffe_csi::apply(&pod)),
            Step::SpiffeId {} => spiffe_id::is_due(&pod).then(|| spiffe_id::apply(&pod)),
            Step::VaultCsi { .. } => vault_csi::is_due(&pod).then(|| vault_csi::apply(&pod, &vault_csi::Class::asked(&pod, steps))),
            Step::MeshInject {} => mesh_inject::is_due(&pod).then(|| mesh_inject::apply(&pod)),
            // For ServiceAccounts, and for what was injected.
            Step::AwsTokenTtl {} | Step::Stamp {} => None,
        }
    }
}

/// The injections made so far.
struct Run<'r, 'a> {
    request: &'r Request<'a>,
    now: Terms<'a>,
    /// As a replica with the settings before sees the pod, while those of today roll out.
    before: Option<Terms<'a>>,
    injection: Injection,
}

impl Run<'_, '_> {
    fn template(&self) -> PodTemplate<'_> {
        self.injection.template(self.request.template)
    }

    /// What a step comes to. Where it was made whole under the settings before, it is done (`hardening.md` B4).
    fn make(&self, step: &Step, steps: &[Step]) -> Option<Result<Vec<Operation>, Conflict>> {
        let is_done = |made: &Result<Vec<Operation>, Conflict>| made.as_ref().is_ok_and(Vec::is_empty);
        let made = self.now.make(self.template(), step, steps)?;
        if is_done(&made) {
            return Some(made);
        }
        let before = self.before.as_ref().and_then(|before| before.make(self.template(), step, steps));
        Some(before.filter(is_done).unwrap_or(made))
    }

    fn step(&mut self, step: &Step, steps: &[Step]) {
        let made = match step {
            Step::VaultAgent { .. } => return self.agent(step, steps),
            Step::Stamp {} => {
                let due = !self.request.virtual_only && self.injection.outcomes.iter().any(|outcome| outcome.done);
                let (uid, revision) = (self.request.request_uid, self.request.revision);
                due.then(|| stamp::apply(&self.now.pod(self.template()), uid, revision, &self.injection.outcomes))
            }
            _ => self.make(step, steps),
        };
        let Some(made) = made else { return };
        self.record(step.id(), made);
        // What is left to its rule is no conflict, but not done either.
        let is_done = |terms: &Terms<'_>| match step {
            Step::SpiffeId {} => spiffe_id::is_done(&terms.pod(self.template())),
            Step::MeshInject {} => mesh_inject::is_done(&terms.pod(self.template())),
            _ => true,
        };
        let done = is_done(&self.now) || self.before.as_ref().is_some_and(is_done);
        if let Some(outcome) = self.injection.outcomes.last_mut() {
            outcome.done = done && outcome.conflict.is_none();
        }
    }

    /// The agent and its token stand or fall together: a token that nobody reads would be one too many.
    fn agent(&mut self, step: &Step, steps: &[Step]) {
        let needs_token = self.now.role.needs_token();
        let token_stands = self.injection.outcomes.iter().all(|outcome| outcome.id != "vault-token" || outcome.done);
        if needs_token && !token_stands {
            self.injection.outcomes.push(Outcome { id: step.id(), due: true, done: false, added: false, conflict: None });
            return;
        }
        let Some(made) = self.make(step, steps) else { return };
        if made.is_err() && needs_token {
            self.take_back("vault-token");
        }
        self.record(step.id(), made);
    }

    fn record(&mut self, id: &'static str, made: Result<Vec<Operation>, Conflict>) {
        let made = made.and_then(|operations| self.apply(&operations).map(|()| operations));
        let (added, conflict) = match made {
            Ok(operations) => {
                let added = !operations.is_empty();
                self.injection.operations.extend(operations.into_iter().map(|operation| (operation, id)));
                (added, None)
            }
            Err(conflict) => (false, Some(conflict)),
        };
        self.injection.outcomes.push(Outcome { id, due: true, done: conflict.is_none(), added, conflict });
    }

    /// Changes the template by some operations, or not at all.
    fn apply(&mut self, operations: &[Operation]) -> Result<(), Conflict> {
        if operations.is_empty() {
            return Ok(());
        }
        let after = self.injection.after.get_or_insert_with(|| Object::detached(self.request.template.node));
        // `Additions` checks every parent, so this holds; if it ever does not, the pod is refused with the place.
        operations.iter().try_for_each(|operation| after.apply(operation, |_| {})).map_err(|error| {
            self.start_over();
            Conflict::new(FieldPath::parse(&error.path).unwrap_or_default(), error.reason, "write this part of the pod as its schema asks")
        })
    }

    /// Makes the template anew from the operations that count.
    fn start_over(&mut self) {
        let operations: Vec<Operation> = self.injection.operations.iter().map(|(operation, _)| operation.clone()).collect();
        let template = Object::detached(self.request.template.node);
        self.injection.after = if operations.is_empty() { None } else { template.patched(&operations).ok() };
    }

    /// Undoes the latest injection, if it was this one and it added something.
    fn take_back(&mut self, id: &'static str) {
        let Some(outcome) = self.injection.outcomes.iter_mut().find(|outcome| outcome.id == id && outcome.added) else { return };
        (outcome.done, outcome.added) = (false, false);
        self.injection.operations.retain(|(_, by)| *by != id);
        self.start_over();
    }
}

/// What one injection adds, to be written as operations.
#[derive(Debug, Default)]
pub(super) struct Additions<'a> {
    pub(super) volumes: Vec<Content>,
    /// Before which position of `initContainers`, and what.
    pub(super) init_containers: Vec<(usize, Content)>,
    /// At the end of `containers`.
    pub(super) containers: Vec<Content>,
    /// By container.
    items: BTreeMap<(&'static str, usize), Items<'a>>,
    annotations: Entries,
    labels: Entries,
}

/// Entries of a map of the metadata.
pub(super) type Entries = BTreeMap<Cow<'static, str>, String>;

/// What one container gets.
#[derive(Debug)]
struct Items<'a> {
    container: Container<'a>,
    mounts: Vec<Content>,
    variables: Vec<Content>,
}

impl<'a> Additions<'a> {
    fn of(&mut self, container: &Container<'a>) -> &mut Items<'a> {
        let items = || Items { container: *container, mounts: Vec::new(), variables: Vec::new() };
        self.items.entry((container.list, container.index)).or_insert_with(items)
    }

    /// A mount for a container.
    pub(super) fn mount(&mut self, container: &Container<'a>, mount: Content) {
        self.of(container).mounts.push(mount);
    }

    /// An environment variable for a container, after the author's, so that theirs resolve as before.
    pub(super) fn variable(&mut self, container: &Container<'a>, variable: Content) {
        self.of(container).variables.push(variable);
    }

    /// An annotation, in place of another value.
    pub(super) fn annotate(&mut self, key: impl Into<Cow<'static, str>>, value: String) {
        self.annotations.insert(key.into(), value);
    }

    /// A label, in place of another value.
    pub(super) fn label(&mut self, key: &'static str, value: String) {
        self.labels.insert(key.into(), value);
    }

    /// The operations, in an order in which every position holds: init containers, which shift others, come last. A parent that is
    /// missing is made once, with all that goes into it; a value that is there already is not written again.
    pub(super) fn operations(self, pod: &Pod<'_>) -> Result<Vec<Operation>, Conflict> {
        let mut operations = Vec::new();
        let spec = pod.spec();
        append(&mut operations, spec, &FieldPath::of(&["spec"]), "volumes", self.volumes)?;
        for Items { container, mounts, variables } in self.items.into_values() {
            let path = container.path();
            append(&mut operations, container.node, &path, "volumeMounts", mounts)?;
            append(&mut operations, container.node, &path, "env", variables)?;
        }
        set_metadata(&mut operations, pod.template.node, "annotations", self.annotations)?;
        set_metadata(&mut operations, pod.template.node, "labels", self.labels)?;
        append(&mut operations, spec, &FieldPath::of(&["spec"]), "containers", self.containers)?;
        insert_init(&mut operations, spec, self.init_containers)?;
        Ok(operations)
    }
}

fn append(
    operations: &mut Vec<Operation>,
    parent: Node<'_>,
    at: &FieldPath,
    list: &'static str,
    items: Vec<Content>,
) -> Result<(), Conflict> {
    if items.is_empty() {
        return Ok(());
    }
    let path = at.clone().field(list);
    match parent.get(list) {
        None => operations.push(Operation::add(path, Content::List(items))),
        Some(present) if present.kind() == Kind::List => {
            let start = present.len();
            operations.extend(items.into_iter().enumerate().map(|(n, item)| Operation::add(path.clone().index(start + n), item)));
        }
        Some(_) => return Err(Conflict::new(path, "the field is no list", "write it as a list")),
    }
    Ok(())
}

/// Inserts from the front; each one inserted shifts those after it.
fn insert_init(operations: &mut Vec<Operation>, spec: Node<'_>, containers: Vec<(usize, Content)>) -> Result<(), Conflict> {
    let path = FieldPath::of(&["spec", "initContainers"]);
    match spec.get("initContainers") {
        None => {
            return append(
                operations,
                spec,
                &FieldPath::of(&["spec"]),
                "initContainers",
                containers.into_iter().map(|(_, item)| item).collect(),
            );
        }
        Some(present) if present.kind() == Kind::List => {
            operations
                .extend(containers.into_iter().enumerate().map(|(n, (index, item))| Operation::add(path.clone().index(index + n), item)));
        }
        Some(_) if containers.is_empty() => {}
        Some(_) => return Err(Conflict::new(path, "the field is no list", "write it as a list")),
    }
    Ok(())
}

/// Sets entries of a map of the metadata: `annotations` or `labels`.
pub(super) fn set_metadata(
    operations: &mut Vec<Operation>,
    object: Node<'_>,
    field: &'static str,
    entries: Entries,
) -> Result<(), Conflict> {
    let map = |entries: Entries| Content::map(entries.into_iter().map(|(key, value)| (key, value.into())));
    let is_map = |node: Node<'_>| node.kind() == Kind::Map;
    let no_map = |path: FieldPath| Err(Conflict::new(path, "the field is no map", "write it as a map"));
    if entries.is_empty() {
        return Ok(());
    }
    let path = FieldPath::of(&["metadata", field]);
    match (object.get("metadata"), object.path(&["metadata", field])) {
        (None, _) => {
            operations.push(Operation::add(FieldPath::of(&["metadata"]), Content::map([(field, map(entries))])));
        }
        (Some(metadata), None) if is_map(metadata) => operations.push(Operation::add(path, map(entries))),
        (_, Some(present)) if is_map(present) => {
            let changed = entries.into_iter().filter(|(key, value)| present.get(key).and_then(Node::as_str) != Some(value));
            operations.extend(changed.map(|(key, value)| Operation::add(path.clone().key(&key), value)));
        }
        (_, Some(_)) => return no_map(path),
        (Some(_), None) => return no_map(FieldPath::of(&["metadata"])),
    }
    Ok(())
}
