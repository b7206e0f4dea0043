//! Which injections are due: policies name them, and namespaces and authors have a say where a policy gives it to them.
//!
//! What a selected policy asks for with `Always` is due, whoever objects. Next comes the Namespace's label
//! `inject.doorward.dev/<id>`, then the annotation of the same key on the object itself; both ask only for what a selected policy lists as
//! requestable (`Requested`). The annotation's `"false"` takes something back only if a selected policy lists it as optional
//! (`UnlessOptedOut`): else an author could leave out what the namespace asks for.

use super::compiled::{BASE, InjectionPolicy};
use super::evaluate::CONDITIONS_LIMIT;
use super::schema::When;
use super::select::Selected;
use super::set::PolicySet;
use super::stage::{Activation, Stage};
use super::subject::{Facts, Operation, Subject};
use crate::cel::{Budget, EXPRESSION_LIMIT};
use crate::identity::{Conflict, InjectionState};
use crate::inject::Step;
use crate::object::{Fact, FieldPath, GroupVersionKind, GroupVersionResource, Node, PodTemplate};
use crate::settings::Preset;

/// Which injections are assumed where the Namespace, and so its labels, is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hypothesis {
    NoneDue,
    AllDue,
}

/// The steps that are due, in no order, and why that is not certain.
#[derive(Default)]
pub(super) struct Due {
    pub(super) steps: Vec<Step>,
    /// Requests that say neither yes nor no.
    pub(super) refused: Vec<InjectionState>,
    pub(super) undecided: Option<String>,
}

/// Asks every injection policy whether it means the pod that a template makes.
pub(super) fn due(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>, template: PodTemplate<'_>, hypothesis: Hypothesis) -> Due {
    let as_pod = Subject {
        operation: Operation::Create,
        kind: GroupVersionKind::new("", "v1", "Pod"),
        resource: GroupVersionResource::new("", "v1", "pods"),
        subresource: "",
        object: Some(template.node),
        old_object: None,
        ..subject.clone()
    };
    due_on(set, &as_pod, facts, template.node, hypothesis)
}

/// Asks every injection policy whether it means an object as it stands.
pub(super) fn due_on(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>, object: Node<'_>, hypothesis: Hypothesis) -> Due {
    let mut due = Due::default();
    // An observer changes nothing, so that nothing may be judged as if it were changed either.
    if set.settings.preset == Preset::Observe {
        return due;
    }
    let mut named: Vec<(When, &Step)> = Vec::new();
    for policy in &set.injections {
        let selected = match selected(set, policy, subject, facts) {
            Selected::Unknown(reason) => {
                due.undecided = Some(reason);
                hypothesis == Hypothesis::AllDue
            }
            answer => answer == Selected::Yes,
        };
        if selected {
            named.extend(policy.steps.iter().map(|step| (policy.when, step)));
        }
    }
    // A Namespace is its own.
    let namespace = if subject.kind == GroupVersionKind::new("", "v1", "Namespace") { &Fact::Found(object) } else { &facts.namespace };
    let sayings = Sayings::of(object, namespace);
    for (when, step) in &named {
        let listed = |as_what: When| named.iter().any(|(when, other)| *when == as_what && other.id() == step.id());
        let said = sayings.about(step.id());
        if said.is_unclear() && !listed(When::Always) {
            due.refuse(step.id(), &said);
            continue;
        }
        let wanted = match (when, said.on_object) {
            (When::Always, _) => true,
            (_, Some("false")) if listed(When::UnlessOptedOut) => false,
            (When::UnlessOptedOut, _) => true,
            (When::Requested, asked) => match &said.on_namespace {
                Fact::Found(answer) => *answer == "true" || (*answer != "false" && asked == Some("true")),
                Fact::Absent => asked == Some("true"),
                Fact::Unknown(reason) => {
                    due.undecided = Some(reason.clone());
                    hypothesis == Hypothesis::AllDue
                }
            },
        };
        if wanted {
            due.steps.push((*step).clone());
        }
    }
    due
}

/// Where a namespace and an author say which injections they ask for.
struct Sayings<'a> {
    labels: Fact<Node<'a>>,
    annotations: Option<Node<'a>>,
}

impl<'a> Sayings<'a> {
    fn of(object: Node<'a>, namespace: &Fact<Node<'a>>) -> Self {
        let labels = match namespace {
            Fact::Found(namespace) => namespace.path(&["metadata", "labels"]).map_or(Fact::Absent, Fact::Found),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(reason) => Fact::Unknown(reason.clone()),
        };
        Self { labels, annotations: object.path(&["metadata", "annotations"]) }
    }

    fn about(&self, id: &str) -> Said<'a> {
        let key = format!("inject.doorward.dev/{id}");
        let on_namespace = match &self.labels {
            Fact::Found(labels) => labels.get(&key).and_then(Node::as_str).map_or(Fact::Absent, Fact::Found),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(reason) => Fact::Unknown(reason.clone()),
        };
        let on_object = self.annotations.and_then(|annotations| annotations.get(&key)).and_then(Node::as_str);
        Said { key, on_namespace, on_object }
    }
}

/// What they say about one injection.
struct Said<'a> {
    key: String,
    on_namespace: Fact<&'a str>,
    on_object: Option<&'a str>,
}

impl Said<'_> {
    fn is_unclear(&self) -> bool {
        self.on_object.is_some_and(|value| !matches!(value, "true" | "false"))
    }
}

impl Due {
    fn refuse(&mut self, id: &str, said: &Said<'_>) {
        if self.refused.iter().any(|state| state.id == id) {
            return;
        }
        let value = said.on_object.unwrap_or_default();
        let conflict = Conflict {
            field_path: FieldPath::of(&["metadata", "annotations"]).key(&said.key).to_string(),
            reason: format!("annotation `{}` is `{value}`, which is neither `true` nor `false`", said.key),
            remedy: "write `\"true\"` or `\"false\"`, or remove the annotation".into(),
        };
        self.refused.push(InjectionState { id: id.to_owned(), due: true, done: false, conflict: Some(conflict) });
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
    let mut left = CONDITIONS_LIMIT;
    for (name, condition) in &policy.conditions {
        let budget = Budget::new(EXPRESSION_LIMIT.min(left)).with_deadline(facts.deadline.0);
        let answer = condition.evaluate(&activation, &budget).map(|value| value.as_bool());
        left = left.saturating_sub(budget.spent());
        match answer {
            Ok(Some(true)) => {}
            Ok(Some(false)) => return Selected::No,
            Ok(None) => return Selected::Unknown(format!("match condition `{name}` of `{}` is no boolean", policy.id)),
            Err(error) => return Selected::Unknown(format!("match condition `{name}` of `{}`: {error}", policy.id)),
        }
    }
    Selected::Yes
}

#[cfg(test)]
mod tests {
    use super::super::{Deadline, RelatedIndex, Source, Sources, Text, inject_virtually, load};
    use super::*;
    use crate::object::Object;

    fn policy(name: &str, when: &str) -> String {
        format!(
            "apiVersion: doorward.dev/v1alpha1\nkind: InjectionPolicy\nmetadata: {{ name: {name} }}\n\
             spec: {{ title: t, match: {{ podTemplate: Pod }}, when: {when}, inject: [{{ vaultToken: {{}} }}] }}\n"
        )
    }

    /// What became of `vault-token`: `done`, `not due`, a conflict's reason, or why it is not known.
    fn end(policies: &[&str], on_namespace: Option<&str>, on_pod: Option<&str>, known: bool) -> String {
        let texts = policies.iter().enumerate().map(|(n, when)| Text { name: format!("{n}.yaml"), text: policy(&format!("p{n}"), when) });
        let set = load(&Sources { policies: texts.collect(), no_builtin: true, ..Sources::default() }).unwrap();
        let map = |field: &str, value: Option<&str>| {
            value.map(|value| format!(r#","{field}":{{"inject.doorward.dev/vault-token":"{value}"}}"#)).unwrap_or_default()
        };
        let namespace =
            format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"payments"{}}}}}"#, map("labels", on_namespace));
        let pod = format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p","namespace":"payments"{}}},"spec":{{"containers":[{{"name":"app"}}]}}}}"#,
            map("annotations", on_pod)
        );
        let [namespace, pod] = [namespace, pod].map(|text| Object::from_json(text).unwrap());
        let index = RelatedIndex::new(known.then(|| namespace.root()), "payments", false);
        let inject = |subject: &Subject<'_>, facts: &Facts<'_>| inject_virtually(&set, subject, facts);
        let mutation = index.created(&set, Source::Manifests, pod.root(), "payments", 0, inject).unwrap();
        match (mutation.undecided, mutation.injections.iter().find(|state| state.id == "vault-token")) {
            (Some(_), _) => "unknown".into(),
            (None, None) => "not due".into(),
            (None, Some(state)) => {
                state.conflict.as_ref().map_or("done".into(), |conflict| format!("{}: {}", conflict.field_path, conflict.reason))
            }
        }
    }

    #[test]
    fn conditions_that_outlast_the_deadline_leave_it_unknown() {
        let text = "apiVersion: doorward.dev/v1alpha1\nkind: InjectionPolicy\nmetadata: { name: slow }\n\
                    spec: { title: t, match: { podTemplate: Pod }, when: Always, inject: [{ vaultToken: {} }],\n  \
                    matchConditions: [{ name: long, expression: 'lists.range(900).all(x, x >= 0)' }] }\n";
        let policies = vec![Text { name: "slow.yaml".into(), text: text.into() }];
        let set = load(&Sources { policies, no_builtin: true, ..Sources::default() }).unwrap();
        let pod =
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"payments"},"spec":{"containers":[{"name":"app"}]}}"#;
        let pod = Object::from_json(pod).unwrap();
        let undecided = |deadline: Deadline<'_>| {
            let inject = |subject: &Subject<'_>, facts: &Facts<'_>| inject_virtually(&set, subject, &Facts { deadline, ..facts.clone() });
            RelatedIndex::new([], "payments", false).created(&set, Source::Manifests, pod.root(), "payments", 0, inject).unwrap().undecided
        };
        assert_eq!(undecided(Deadline::default()), None);
        assert_eq!(undecided(Deadline(&|| true)).as_deref(), Some("match condition `long` of `slow`: operation interrupted"));
    }

    #[test]
    fn policy_before_namespace_before_pod() {
        let (yes, no) = (Some("true"), Some("false"));
        for (policies, on_namespace, on_pod, expected) in [
            // What a policy asks for always.
            (&["Always"][..], None, None, "done"),
            (&["Always"], no, no, "done"),
            (&["Always", "UnlessOptedOut"], None, no, "done"),
            // Requestable.
            (&["Requested"], None, None, "not due"),
            (&["Requested"], yes, None, "done"),
            (&["Requested"], None, yes, "done"),
            (&["Requested"], no, yes, "not due"),
            // Nobody listed it as optional.
            (&["Requested"], yes, no, "done"),
            (&["Requested", "UnlessOptedOut"], yes, no, "not due"),
            // Optional.
            (&["UnlessOptedOut"], None, None, "done"),
            (&["UnlessOptedOut"], yes, no, "not due"),
            // No policy: neither label nor annotation asks for anything.
            (&[], yes, yes, "not due"),
        ] {
            assert_eq!(end(policies, on_namespace, on_pod, true), expected, "{policies:?} {on_namespace:?} {on_pod:?}");
        }
    }

    #[test]
    fn a_request_that_is_neither_yes_nor_no_is_told() {
        let reason = "metadata.annotations[inject.doorward.dev/vault-token]: annotation `inject.doorward.dev/vault-token` is `yes`, which is \
                      neither `true` nor `false`";
        assert_eq!(end(&["Requested"], None, Some("yes"), true), reason);
        assert_eq!(end(&["UnlessOptedOut"], None, Some("yes"), true), reason);
        // Where the author has no say, nobody reads it.
        assert_eq!(end(&["Always"], None, Some("yes"), true), "done");
        assert_eq!(end(&[], None, Some("yes"), true), "not due");
    }

    #[test]
    fn without_the_namespace_a_request_is_not_known() {
        assert_eq!(end(&["Requested"], None, None, false), "unknown");
        assert_eq!(end(&["Always"], None, None, false), "done");
        assert_eq!(end(&["UnlessOptedOut"], None, Some("false"), false), "not due");
    }

    #[test]
    fn a_step_for_other_objects_is_a_mistake() {
        for (step, matches, message) in [
            ("awsTokenTtl: {}", "podTemplate: Pod", "changes serviceaccounts only, and `match` selects none of them"),
            (
                "vaultToken: {}",
                r#"resourceRules: [{ apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [namespaces] }]"#,
                "changes pods only, and `match` selects none of them",
            ),
            (
                "vaultToken: {}",
                "podTemplate: Workload",
                "changes pods only, and `match` selects none of them: what makes pods is judged and never changed; write `podTemplate: Pod`",
            ),
        ] {
            let text = format!(
                "apiVersion: doorward.dev/v1alpha1\nkind: InjectionPolicy\nmetadata: {{ name: p }}\n\
                 spec: {{ title: t, match: {{ {matches} }}, when: Always, inject: [{{ {step} }}] }}\n"
            );
            let texts = vec![Text { name: "p.yaml".into(), text }];
            let errors = load(&Sources { policies: texts, no_builtin: true, ..Sources::default() }).unwrap_err();
            assert!(errors[0].message.contains("spec.inject[0]") && errors[0].message.contains(message), "{:?}", errors[0]);
        }
    }
}
