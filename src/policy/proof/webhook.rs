//! The other webhooks of a cluster, each as what it adds to a pod, and the orders in which they and Doorward may act. What they add is
//! data (`webhooks.yaml`), written from what the real ones add as far as a pod's identity is concerned.

use serde::Deserialize;
use serde_json::{Map, Value};

const WEBHOOKS: &str = include_str!("webhooks.yaml");

/// Another webhook, or the API server's defaults, as what it adds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtherWebhook {
    name: String,
    /// Of one family, one acts on a pod: nobody has two meshes.
    family: String,
    /// A container or a volume; where it stands, the webhook has acted.
    unless: Option<String>,
    /// An annotation; where it is not `true`, the webhook does not act.
    when: Option<String>,
    volumes: Vec<Value>,
    /// Init containers before all others.
    first: Vec<Value>,
    /// Init containers behind all others.
    behind: Vec<Value>,
    /// Containers behind all others.
    last: Vec<Value>,
    everywhere: Everywhere,
    /// Fields of the pod that get a value if they have none.
    defaults: Map<String, Value>,
}

/// What every container gets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Everywhere {
    env: Vec<Value>,
    volume_mounts: Vec<Value>,
    defaults: Map<String, Value>,
}

/// The other webhooks, and the API server's defaults, which are filled in after each.
#[must_use]
pub fn other_webhooks() -> (Vec<OtherWebhook>, OtherWebhook) {
    let mut all: Vec<OtherWebhook> =
        super::documents(WEBHOOKS).into_iter().filter_map(|value| serde_json::from_value(value).ok()).collect();
    let defaults = all.pop().unwrap_or_default();
    (all, defaults)
}

/// Every order in which Doorward (`None`) and one webhook of each family may act. Each webhook is in some of them; all combinations of
/// them would be no other neighbours to Doorward, which meets each by itself as well.
#[must_use]
pub fn orders(webhooks: &[OtherWebhook]) -> Vec<Vec<Option<&OtherWebhook>>> {
    let mut families: Vec<Vec<&OtherWebhook>> = Vec::new();
    for webhook in webhooks {
        match families.iter_mut().find(|family| family.first().is_some_and(|first| first.family == webhook.family)) {
            Some(family) => family.push(webhook),
            None => families.push(vec![webhook]),
        }
    }
    let companies = families.iter().map(Vec::len).max().unwrap_or_default();
    (0..companies)
        .flat_map(|number| {
            let company = families.iter().filter_map(|family| family.get(number % family.len().max(1)).copied());
            permutations(std::iter::once(None).chain(company.map(Some)))
        })
        .collect()
}

fn permutations<'w>(actors: impl Iterator<Item = Option<&'w OtherWebhook>>) -> Vec<Vec<Option<&'w OtherWebhook>>> {
    let mut all = vec![Vec::new()];
    for actor in actors {
        all = all
            .iter()
            .flat_map(|order: &Vec<_>| {
                (0..=order.len()).map(move |at| {
                    let (before, after) = order.split_at(at);
                    [before, &[actor], after].concat()
                })
            })
            .collect();
    }
    all
}

impl OtherWebhook {
    /// What it is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Changes a pod as it would.
    pub fn act(&self, pod: &mut Value) {
        if !self.acts_on(pod) {
            return;
        }
        let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
        fill(spec, &self.defaults);
        insert(spec, "volumes", &self.volumes, false);
        for list in ["initContainers", "containers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
                fill(container, &self.everywhere.defaults);
                insert(container, "env", &self.everywhere.env, true);
                insert(container, "volumeMounts", &self.everywhere.volume_mounts, true);
            }
        }
        insert(spec, "initContainers", &self.first, true);
        insert(spec, "initContainers", &self.behind, false);
        insert(spec, "containers", &self.last, false);
    }

    fn acts_on(&self, pod: &Value) -> bool {
        let is_there = |container: &str| {
            let lists = ["initContainers", "containers", "volumes"].into_iter().filter_map(|list| pod.get("spec")?.get(list)?.as_array());
            lists.flatten().any(|item| item.get("name").and_then(Value::as_str) == Some(container))
        };
        let asked = |key: &str| pod.get("metadata").and_then(|metadata| metadata.get("annotations")?.get(key)?.as_str()) == Some("true");
        self.when.as_deref().is_none_or(asked) && !self.unless.as_deref().is_some_and(is_there)
    }
}

fn fill(map: &mut Map<String, Value>, defaults: &Map<String, Value>) {
    for (field, value) in defaults {
        map.entry(field).or_insert_with(|| value.clone());
    }
}

fn insert(map: &mut Map<String, Value>, list: &str, items: &[Value], in_front: bool) {
    if items.is_empty() {
        return;
    }
    let present = map.entry(list).or_insert_with(|| Value::Array(Vec::new()));
    if let Some(present) = present.as_array_mut() {
        let at = if in_front { 0 } else { present.len() };
        present.splice(at..at, items.iter().cloned());
    }
}
