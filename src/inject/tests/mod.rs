//! Tests of the room as a whole.
//!
//! - `agent`: the agent's containers and its configuration
//! - `annotations`: what authors write for the agent
//! - `catalogue`: the injections that are no agent and no token for Vault
//! - `golden`: pods that injectors have broken on, each with the patch that it gets
//! - `laws`: what holds for every pod
//! - `migration`: pods written for the vendors' injectors, against the page of the migration
//! - `neighbours`: the API server's defaults and other injectors, which act between two of our calls
//! - `pod_resources`: resources of the pod as a whole
//! - `rollout`: two revisions of the settings side by side

mod agent;
mod annotations;
mod catalogue;
mod golden;
mod laws;
mod migration;
mod neighbours;
mod pod_resources;
mod rollout;

use serde_json::{Value, json};

use super::{Injection, Request, Step, inject};
use crate::identity::{Beside, Class, Surroundings};
use crate::object::{Fact, GroupVersionKind, Object, PodTemplate};
use crate::settings::Settings;

/// Everything an injection depends on, with defaults that every test may change.
#[derive(Clone)]
struct Scene {
    pod: Value,
    steps: Value,
    settings: Settings,
    /// The ServiceAccount's `automountServiceAccountToken`.
    account: Option<bool>,
    class: Class,
    stamp: bool,
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pod, steps, settings, account, class, stamp } = self;
        let native = settings.vault.agent.native_sidecar.is_native();
        write!(formatter, "{pod} {steps} account {account:?} class {class:?} stamp {stamp} native {native}")
    }
}

impl Scene {
    /// Without the stamp, which would be in every expectation.
    fn new(pod: Value, steps: Value) -> Self {
        let mut settings = Settings::demonstration();
        settings.vault.agent.accepted_images = vec!["hashicorp/vault:1.14".into()];
        Self { pod, steps, settings, account: None, class: Class::App, stamp: false }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn of_class(self, class: Class) -> Self {
        self.with(|scene| scene.class = class)
    }

    fn stamped(self) -> Self {
        self.with(|scene| scene.stamp = true)
    }

    fn run_on(&self, pod: &Value) -> Injection {
        let object = Object::from_json(pod.to_string()).unwrap();
        let account =
            Object::from_json(self.account.map_or_else(|| json!({}), |on| json!({"automountServiceAccountToken": on})).to_string())
                .unwrap();
        let steps: Vec<Step> = Object::from_json(self.steps.to_string()).unwrap().root().read().unwrap();
        let kind = GroupVersionKind::new("", "v1", "Pod");
        inject(
            &Request {
                template: PodTemplate::of(&kind, object.root()).unwrap(),
                surroundings: Surroundings {
                    settings: &self.settings,
                    namespace: "payments",
                    namespace_object: &Fact::Absent,
                    service_account: &Fact::Found(account.root()),
                    class: self.class,
                    token_secrets: &crate::identity::KnownSecrets::default(),
                    beside: Beside::default(),
                },
                request_uid: "uid-1",
                revision: "7",
                virtual_only: !self.stamp,
            },
            &steps,
        )
    }

    /// What rules see of a pod.
    fn identity(&self, pod: &Value) -> Value {
        let object = Object::from_json(pod.to_string()).unwrap();
        let surroundings = Surroundings {
            settings: &self.settings,
            namespace: "payments",
            namespace_object: &Fact::Absent,
            service_account: &Fact::Absent,
            class: self.class,
            token_secrets: &crate::identity::KnownSecrets::default(),
            beside: Beside::default(),
        };
        let template = PodTemplate::of(&GroupVersionKind::new("", "v1", "Pod"), object.root()).unwrap();
        serde_json::to_value(crate::identity::read(template, &surroundings)).unwrap()
    }

    /// Runs, and checks what holds for every run: the operations are JSON Patch as another implementation reads it, lead to the
    /// template given, and are the same bytes again.
    fn once(&self, pod: &Value) -> Ran {
        let injection = self.run_on(pod);
        let operations: Vec<_> = injection.operations.iter().map(|(operation, _)| operation).collect();
        let patch = serde_json::to_value(&operations).unwrap();
        let mut after = pod.clone();
        let oracle: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
        json_patch::patch(&mut after, &oracle).unwrap();
        match &injection.after {
            Some(object) => assert_eq!(serde_json::from_str::<Value>(&object.root().to_json()).unwrap(), after),
            None => assert_eq!(patch, json!([])),
        }
        let again: Vec<_> = self.run_on(pod).operations.into_iter().map(|(operation, _)| operation).collect();
        assert_eq!(serde_json::to_string(&operations).unwrap(), serde_json::to_string(&again).unwrap());
        Ran { after, patch, injection }
    }

    /// Runs twice with nothing in between, where a neighbour would not find a pod it could act on.
    fn run_plain(&self) -> Ran {
        let first = self.once(&self.pod);
        assert_eq!(self.once(&first.after).patch, json!([]));
        first
    }

    /// Runs, and again after everything that may act in between: the second run adds nothing and says the same.
    fn run(&self) -> Ran {
        let first = self.once(&self.pod);
        for neighbour in neighbours::ALL {
            let mut pod = first.after.clone();
            neighbour(&mut pod, self.account);
            let second = self.once(&pod);
            assert_eq!(second.patch, json!([]), "the second run on {pod:#}");
            assert_eq!(second.ends(), first.ends());
        }
        first
    }
}

/// One run.
struct Ran {
    after: Value,
    patch: Value,
    injection: Injection,
}

impl Ran {
    fn at(&self, pointer: &str) -> &Value {
        self.after.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The names in a list.
    fn names(&self, pointer: &str) -> Vec<&str> {
        self.at(pointer).as_array().into_iter().flatten().map(|item| item["name"].as_str().unwrap()).collect()
    }

    /// Operations as `op path`.
    fn operations(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.patch.as_array().unwrap().iter().map(|item| format!("{} {}", text(&item["op"]), text(&item["path"]))).collect()
    }

    /// What became of each injection. Not the conflict's place, which a neighbour may shift, nor its words: it may add one more.
    fn ends(&self) -> Vec<(&str, bool, bool)> {
        self.injection.outcomes.iter().map(|outcome| (outcome.id, outcome.done, outcome.conflict.is_some())).collect()
    }

    /// `id` of what is done, `id: path: reason` of a conflict, `id?` of the rest.
    fn states(&self) -> Vec<String> {
        let state = |outcome: &super::Outcome| match &outcome.conflict {
            Some(conflict) => format!("{}: {}: {}", outcome.id, conflict.field_path, conflict.reason),
            None if outcome.done => outcome.id.to_owned(),
            None => format!("{}?", outcome.id),
        };
        self.injection.outcomes.iter().map(state).collect()
    }
}
