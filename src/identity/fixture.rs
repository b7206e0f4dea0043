//! A pod and its surroundings for the tests of this room: start from [`Scene::pod`], change what the case is about, read.

use serde_json::{Value, json};

use super::{Beside, Class, KnownSecrets, Surroundings, read};
use crate::object::{Fact, GroupVersionKind, Node, Object, PodTemplate};
use crate::settings::Settings;

pub(super) struct Scene {
    pub(super) pod: Value,
    pub(super) settings: Settings,
    pub(super) namespace: &'static str,
    pub(super) namespace_object: Fact<Value>,
    pub(super) service_account: Fact<Value>,
    pub(super) token_secrets: KnownSecrets,
    /// The `ConfigMaps` that were looked for; unset: none was.
    pub(super) config_maps: Option<Vec<Value>>,
    pub(super) csi_drivers: Vec<Value>,
}

impl Scene {
    /// A pod of namespace `payments` with this spec; automount is off so that only what the case names is found.
    pub(super) fn pod(mut spec: Value) -> Self {
        let fields = spec.as_object_mut().unwrap();
        fields.entry("serviceAccountName").or_insert(json!("api"));
        fields.entry("automountServiceAccountToken").or_insert(json!(false));
        fields.entry("containers").or_insert(json!([{ "name": "app", "image": "app:1" }]));
        Self {
            pod: json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" }, "spec": spec }),
            settings: Settings::demonstration(),
            namespace: "payments",
            namespace_object: Fact::Found(json!({ "metadata": { "name": "payments" } })),
            service_account: Fact::Found(json!({ "metadata": { "name": "api" } })),
            token_secrets: KnownSecrets::default(),
            config_maps: None,
            csi_drivers: Vec::new(),
        }
    }

    pub(super) fn annotated(mut self, key: &str, value: &str) -> Self {
        self.pod["metadata"]["annotations"][key] = json!(value);
        self
    }

    pub(super) fn labelled(mut self, key: &str, value: &str) -> Self {
        self.pod["metadata"]["labels"][key] = json!(value);
        self
    }

    pub(super) fn of_namespace(mut self, metadata: &Value) -> Self {
        self.namespace_object = Fact::Found(json!({ "metadata": metadata }));
        self
    }

    /// The identity as rules see it.
    pub(super) fn read(&self) -> Value {
        let object = Object::from_json(self.pod.to_string()).unwrap();
        let (namespace, account) = (tree(&self.namespace_object), tree(&self.service_account));
        let objects = |values: &[Value]| values.iter().map(|value| Object::from_json(value.to_string()).unwrap()).collect::<Vec<_>>();
        let (maps, drivers) = (objects(self.config_maps.as_deref().unwrap_or_default()), objects(&self.csi_drivers));
        let (maps, drivers): (Vec<_>, Vec<_>) = (maps.iter().map(Object::root).collect(), drivers.iter().map(Object::root).collect());
        let beside = Beside { config_maps: &maps, all_config_maps: self.config_maps.is_some(), csi_drivers: &drivers, ..Beside::default() };
        let surroundings = Surroundings {
            settings: &self.settings,
            namespace: self.namespace,
            namespace_object: &roots(&namespace),
            service_account: &roots(&account),
            token_secrets: &self.token_secrets,
            class: Class::App,
            beside,
        };
        let template = PodTemplate::of(&GroupVersionKind::new("", "v1", "Pod"), object.root()).unwrap();
        serde_json::to_value(read(template, &surroundings)).unwrap()
    }
}

fn tree(fact: &Fact<Value>) -> Fact<Object> {
    match fact {
        Fact::Found(value) => Fact::Found(Object::from_json(value.to_string()).unwrap()),
        Fact::Absent => Fact::Absent,
        Fact::Unknown(reason) => Fact::Unknown(reason.clone()),
    }
}

fn roots(fact: &Fact<Object>) -> Fact<Node<'_>> {
    match fact {
        Fact::Found(object) => Fact::Found(object.root()),
        Fact::Absent => Fact::Absent,
        Fact::Unknown(reason) => Fact::Unknown(reason.clone()),
    }
}

/// The credentials of one kind.
pub(super) fn of_kind<'v>(identity: &'v Value, kind: &str) -> Vec<&'v Value> {
    identity["credentials"].as_array().unwrap().iter().filter(|credential| credential["kind"] == kind).collect()
}
