//! The golden pods, injected: what comes of each is written beside it, a further call changes nothing whoever acted in between and in
//! whatever order, and no variant is treated otherwise. `tests/cluster/golden.rs` asks the real API server.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes what comes of each; read the difference.

#![expect(clippy::panic, clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on says so")]

mod goldens;
#[path = "goldens/page.rs"]
mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use doorward::manifest::to_yaml;
use doorward::object::{GroupVersionKind, Object};
use doorward::policy::{
    Limits, OtherWebhook, PolicySet, RelatedIndex, Source, Sources, Subject, evaluate, load, manifest_request, mutate, orders,
    other_webhooks,
};
use doorward::settings::Settings;
use goldens::{Golden, KINDS};
use serde_json::{Value, json};

const UID: &str = "00000000-0000-4000-8000-000000000000";

/// The field of a later Kubernetes, which nobody knows yet and an API server of today drops.
const FUTURE: &str = "futureField";

/// Sets of policies, made once for each settings.
#[derive(Default)]
struct Sets(BTreeMap<String, PolicySet>);

impl Sets {
    fn of(&mut self, golden: &Golden) -> &PolicySet {
        self.0.entry(golden.settings.to_string()).or_insert_with(|| {
            let object = Object::from_serialize(&golden.settings).expect("JSON");
            let settings = Settings::read(&object).unwrap_or_else(|error| panic!("{}: {error}", golden.name));
            load(&Sources { fallback: Some(settings), ..Sources::default() }).expect("the library loads")
        })
    }
}

/// A pod's surroundings, which know everything.
struct Stage<'s> {
    set: &'s PolicySet,
    case: &'s Value,
    around: Vec<Object>,
    namespace: String,
}

impl<'s> Stage<'s> {
    fn of(set: &'s PolicySet, golden: &'s Golden) -> Self {
        let metadata = &golden.pod["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or_default().to_owned();
        let account = golden.pod["spec"]["serviceAccountName"].as_str().unwrap_or("default");
        let mut around = golden.around.clone();
        if !around.iter().any(|object| object["kind"] == "ServiceAccount") {
            let metadata = json!({ "name": account, "namespace": namespace });
            around.push(json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
        }
        let around = around.iter().map(|object| Object::from_serialize(object).expect("JSON")).collect();
        Self { set, case: &golden.case, around, namespace }
    }

    fn ask<T>(&self, source: Source, object: &Value, answer: impl FnOnce(&Subject<'_>, &doorward::policy::Facts<'_>) -> T) -> T {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let (group, version) = text("apiVersion").rsplit_once('/').unwrap_or(("", text("apiVersion")));
        let kind = GroupVersionKind::new(group, version, text("kind"));
        let object = Object::from_serialize(object).expect("JSON");
        let plain = manifest_request(object.root(), &kind, &self.namespace);
        let mut request: Value = serde_json::from_str(&plain.root().to_json()).expect("JSON");
        request["uid"] = json!(UID);
        for (field, of_case) in [("operation", "operation"), ("subResource", "subresource"), ("userInfo", "userInfo")] {
            if let Some(value) = self.case.get(of_case) {
                request[field] = value.clone();
            }
        }
        let request = Object::from_serialize(&request).expect("JSON");
        let old = self.case.get("oldObject").map(|old| Object::from_serialize(old).expect("JSON"));
        let subject =
            Subject::from_request(source, request.root(), Some(object.root()), old.as_ref().map(Object::root)).expect("a request");
        let index = RelatedIndex::new(self.around.iter().map(Object::root), &self.namespace, true);
        answer(&subject, &index.facts(self.set, &subject, 0))
    }

    /// What the mutating webhook makes of a pod.
    fn injected(&self, pod: &Value) -> Value {
        let operations = self.ask(Source::Mutating, pod, |subject, facts| {
            let mutation = mutate(self.set, subject, facts);
            assert_eq!(mutation.undecided, None);
            mutation.operations
        });
        let before = Object::from_serialize(pod).expect("JSON");
        let after = before.patched(&operations).expect("a patch applies to what it was made for");
        serde_json::from_str(&after.root().to_json()).expect("JSON")
    }

    /// What the rules find: enforcement, rule, path, message.
    fn found(&self, source: Source, object: &Value) -> Vec<[String; 4]> {
        self.ask(source, object, |subject, facts| {
            let verdict = evaluate(self.set, subject, facts, Limits::default());
            verdict
                .counted()
                .map(|found| [found.enforcement.word().into(), found.rule.to_string(), found.path.to_string(), found.message.clone()])
                .collect()
        })
    }

    fn judged(&self, pod: &Value) -> Vec<[String; 4]> {
        self.found(Source::Validating, pod)
    }
}

fn names<'v>(pod: &'v Value, list: &str) -> Vec<&'v str> {
    pod["spec"][list].as_array().into_iter().flatten().filter_map(|item| item["name"].as_str()).collect()
}

/// A value without a field, wherever it stands.
fn without(value: &Value, field: &str) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().filter(|(key, _)| *key != field).map(|(key, value)| (key.clone(), without(value, field))).collect()
        }
        Value::Array(items) => items.iter().map(|item| without(item, field)).collect(),
        other => other.clone(),
    }
}

fn count(value: &Value, field: &str) -> usize {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| usize::from(key == field) + count(value, field)).sum(),
        Value::Array(items) => items.iter().map(|item| count(item, field)).sum(),
        _ => 0,
    }
}

#[test]
fn every_pod_becomes_what_is_written_beside_it() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let (mut sets, mut wrong) = (Sets::default(), Vec::new());
    let all = goldens::all();
    for golden in &all {
        let set = sets.of(golden);
        let stage = Stage::of(set, golden);
        let injected = stage.injected(&golden.pod);
        let found: Vec<String> = stage
            .judged(&injected)
            .into_iter()
            .map(|[enforcement, rule, path, message]| format!("{enforcement} {rule} at {path}: {message}"))
            .collect();
        let yaml = |value: &Value| to_yaml(Object::from_serialize(value).expect("JSON").root()).replace(set.revision(), "{revision}");
        let text = format!(
            "# What Doorward makes of the pod, and what its rules find in that.\n{}---\n{}",
            yaml(&json!({ "found": found })),
            yaml(&injected)
        );
        let file = goldens::folder().join(format!("{}.injected.yaml", golden.name));
        if update {
            fs::write(&file, text).expect("the folder is writable");
        } else if fs::read_to_string(&file).unwrap_or_default() != text {
            wrong.push(format!("{}: comes out otherwise than it is written:\n{text}", golden.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let numbers: BTreeSet<&str> = all.iter().map(|golden| &golden.name[..2]).collect();
    let expected: Vec<String> = (1..=30).map(|number| format!("{number:02}")).collect();
    assert_eq!(numbers.into_iter().collect::<Vec<_>>(), expected, "thirty pods");
}

/// Law 2, and variant (vii): other webhooks act before and after, in every order; a further call changes nothing, and the rules find the
/// same in the pod that is stored.
#[test]
fn other_webhooks_in_any_order_change_nothing_of_it() {
    let mut sets = Sets::default();
    let (webhooks, defaults) = other_webhooks();
    for golden in goldens::all().iter().filter(|golden| golden.is_created()) {
        let stage = Stage::of(sets.of(golden), golden);
        let mut outcomes: BTreeMap<Vec<(String, String)>, Vec<String>> = BTreeMap::new();
        for order in orders(&webhooks) {
            let mut pod = golden.pod.clone();
            defaults.act(&mut pod);
            for actor in &order {
                match actor {
                    None => pod = stage.injected(&pod),
                    Some(webhook) => webhook.act(&mut pod),
                }
            }
            defaults.act(&mut pod);
            let mut stored = stage.injected(&pod);
            defaults.act(&mut stored);
            let name = order.iter().map(|actor| actor.map_or("Doorward", OtherWebhook::name)).collect::<Vec<_>>().join(", ");
            assert_eq!(stage.injected(&stored), stored, "{} after {name}", golden.name);
            let refused = stage.judged(&stored).into_iter().filter(|[enforcement, ..]| enforcement == "deny");
            // What another webhook brings may break a rule of its own; that is the same whoever comes first.
            let mut refused: Vec<_> = refused.map(|[_, rule, _, message]| (rule, message)).collect();
            refused.sort();
            let members: BTreeSet<&str> = order.iter().flatten().map(|webhook| webhook.name()).collect();
            let entry = outcomes.entry(refused).or_default();
            entry.push(format!("{}: {name}", members.into_iter().collect::<Vec<_>>().join(" + ")));
        }
        // One outcome for each set of webhooks, whatever their order.
        let mut of_set: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for (index, orders) in outcomes.values().enumerate() {
            for order in orders {
                of_set.entry(order.split(": ").next().unwrap_or_default()).or_default().insert(index);
            }
        }
        let torn: Vec<_> = of_set.iter().filter(|(_, ends)| ends.len() > 1).collect();
        assert!(torn.is_empty(), "{}: {torn:?} of {outcomes:#?}", golden.name);
    }
}

#[test]
fn variant_1_where_the_vendors_injector_acts_there_is_no_second_agent() {
    let mut sets = Sets::default();
    for golden in goldens::all().iter().filter(|golden| golden.is_created()) {
        for prefix in ["vault.hashicorp.com", "openbao.org"] {
            let asking = golden.asking_the_vendor(prefix);
            let stage = Stage::of(sets.of(&asking), &asking);
            let after = stage.injected(&asking.pod);
            for list in ["initContainers", "containers"] {
                assert_eq!(names(&after, list), names(&asking.pod, list), "{}", asking.name);
            }
            assert_eq!(stage.injected(&after), after, "{}", asking.name);
        }
    }
}

#[test]
fn variant_2_fields_of_a_later_kubernetes_stay() {
    let mut sets = Sets::default();
    for golden in goldens::all().iter().filter(|golden| golden.is_created()) {
        let value = json!({ "kept": [1, 2.5, null] });
        let future = golden.variant("with fields of a later Kubernetes", |pod| {
            pod["spec"][FUTURE] = value.clone();
            for list in ["initContainers", "containers", "volumes"] {
                let items = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
                // The plugin's own volume is told by being equal to it in every field: with another it is a tenant's.
                let others = items
                    .into_iter()
                    .flatten()
                    .filter(|item| !item["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-")));
                others.for_each(|item| item[FUTURE] = value.clone());
            }
        });
        let stage = Stage::of(sets.of(golden), golden);
        let after = stage.injected(&future.pod);
        assert_eq!(without(&after, FUTURE), stage.injected(&golden.pod), "{}", future.name);
        assert_eq!(count(&after, FUTURE), count(&future.pod, FUTURE), "{}", future.name);
    }
}

#[test]
fn variant_3_a_volume_is_not_the_plugins_by_its_name() {
    let mut sets = Sets::default();
    for golden in goldens::all().iter().filter(|golden| golden.is_created()) {
        let evil = golden.with_evil_volume();
        let stage = Stage::of(sets.of(golden), golden);
        let after = stage.injected(&evil.pod);
        assert!(names(&after, "volumes").contains(&"kube-api-access-evil"), "{}", evil.name);
        let mounts =
            after["spec"]["containers"].as_array().into_iter().flatten().flat_map(|container| container["volumeMounts"].as_array());
        assert_eq!(mounts.flatten().filter(|mount| mount["name"] == "kube-api-access-evil").count(), 1, "{}", evil.name);
        let found = |pod: &Value| stage.judged(pod).into_iter().map(|[enforcement, rule, ..]| (enforcement, rule)).collect::<BTreeSet<_>>();
        assert_eq!(found(&after), found(&stage.injected(&golden.pod)), "{}", evil.name);
    }
}

#[test]
fn variant_4_nobody_mounts_what_is_yet_to_come() {
    let (mut sets, mut refused) = (Sets::default(), 0);
    for golden in goldens::all().iter().filter(|golden| golden.is_created() && !golden.is_mirror()) {
        let stage = Stage::of(sets.of(golden), golden);
        let was = names(&golden.pod, "volumes").contains(&"vault-token");
        let comes = names(&stage.injected(&golden.pod), "volumes").contains(&"vault-token");
        if was || !comes {
            continue;
        }
        let thief = golden.with_thief();
        let after = stage.injected(&thief.pod);
        assert!(!names(&after, "volumes").contains(&"vault-token"), "{}", thief.name);
        let place = names(&thief.pod, "initContainers").iter().position(|name| *name == "thief").unwrap_or_default();
        let at = format!("spec.initContainers[{place}].volumeMounts[0]");
        let found = stage.judged(&after);
        let conflict =
            found.iter().find(|[enforcement, rule, path, _]| enforcement == "deny" && rule == "injection-conflict" && *path == at);
        assert!(
            conflict.is_some_and(|[.., message]| message.contains("container `thief` mounts `vault-token`")),
            "{}: {found:#?}",
            thief.name
        );
        refused += 1;
    }
    assert!(refused >= 12, "{refused}");
}

#[test]
fn variant_5_an_identity_that_is_shared_is_told() {
    let (mut sets, mut told) = (Sets::default(), 0);
    for golden in goldens::all().iter().filter(|golden| golden.is_created() && !golden.is_mirror()) {
        let sharing = golden.sharing_processes();
        let stage = Stage::of(sets.of(golden), golden);
        let found = stage.judged(&stage.injected(&sharing.pod));
        let finding = found.iter().any(|[enforcement, rule, path, _]| {
            (enforcement.as_str(), rule.as_str(), path.as_str()) == ("warn", "require-pod-security", "spec.shareProcessNamespace")
        });
        let after = stage.injected(&golden.pod);
        let volumes = after["spec"]["volumes"].as_array();
        let is_identity = |volume: &Value| {
            let sources = volume["projected"]["sources"].as_array();
            sources.into_iter().flatten().any(|source| source.get("serviceAccountToken").is_some())
                || volume["csi"]["driver"] == "csi.spiffe.io"
        };
        if volumes.into_iter().flatten().any(is_identity) {
            assert!(finding, "{}: {found:#?}", sharing.name);
            told += 1;
        }
    }
    assert!(told >= 20, "{told}");
}

/// Rules that judge the pods of a Job in another way: their agent ends, so nothing needs to be renewed, and no container may stay.
const OTHERWISE_IN_JOBS: &[&str] = &["vault-agent-shape", "injection-conflict"];

#[test]
fn variant_6_a_workload_is_judged_as_its_pods_are() {
    let mut sets = Sets::default();
    for golden in goldens::all().iter().filter(|golden| golden.is_created() && !golden.is_mirror()) {
        let stage = Stage::of(sets.of(golden), golden);
        let relative = |prefix: &str, object: &Value, aside: &[&str]| {
            let found = stage.found(Source::Manifests, object).into_iter();
            let mut found: Vec<_> = found
                .filter(|[_, rule, ..]| !aside.contains(&rule.as_str()))
                .map(|[enforcement, rule, path, _]| (enforcement, rule, path.strip_prefix(prefix).unwrap_or(&path).to_owned()))
                .collect();
            found.sort();
            found
        };
        let is_a_jobs = golden.pod["metadata"]["ownerReferences"][0]["kind"] == "Job";
        for kind in KINDS.into_iter().filter(|kind| !is_a_jobs || kind.ends_with("Job")) {
            let prefix = if kind == "CronJob" { "spec.jobTemplate.spec.template." } else { "spec.template." };
            let aside = if kind.ends_with("Job") && !is_a_jobs { OTHERWISE_IN_JOBS } else { &[] };
            let of_pod = relative("", &golden.pod, aside);
            assert_eq!(relative(prefix, &golden.made_by(kind), aside), of_pod, "{} as {kind}", golden.name);
        }
    }
}
