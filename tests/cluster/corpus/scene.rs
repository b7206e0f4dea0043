//! A case of the library as a scene of a cluster: names of its own, what must stand around it, and what is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use doorward::manifest;
use doorward::object::{GroupVersionKind, is_cluster_scoped, resource_of};
use serde_json::{Map, Value, json};

use crate::completed::completed;
use crate::goldens::{self, KINDS};

/// The label by which an object says which settings it is judged under: each door's webhooks select it.
pub(super) const CHOICE: &str = "cluster-test.doorward.dev/settings";

/// The label of an object that is injected and not judged, to see what would be stored.
pub(super) const UNJUDGED: &str = "cluster-test.doorward.dev/unjudged";

/// Namespaces that are there already and mean something by their name.
const KEPT: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// One case.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    /// `rule/cases/file`.
    pub(super) name: String,
    pub(super) operation: String,
    pub(super) subresource: String,
    pub(super) user: Option<Value>,
    pub(super) settings: Value,
    /// The case's namespaces; what is not among `around` is made plain.
    pub(super) namespaces: BTreeSet<String>,
    /// Related objects.
    pub(super) around: Vec<Value>,
    pub(super) object: Value,
    pub(super) old: Option<Value>,
    /// The ephemeral containers of the object and of the one before; no pod is made with them.
    pub(super) debuggers: [Value; 2],
    /// Whether what is stored is looked at too.
    pub(super) is_golden: bool,
}

fn entries(path: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut paths: Vec<PathBuf> = read.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Every case of the library that judges, and every golden pod in its variants and made by every kind of workload. The library's cases of
/// injections are about a patch, which `tests/cases` holds.
pub(super) fn scenes() -> (Vec<Scene>, usize) {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let (mut scenes, mut patched) = (Vec::new(), 0);
    for folder in entries(&library).into_iter().filter(|folder| folder.is_dir()) {
        let id = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for file in entries(&folder.join("cases")) {
            let name = format!("{id}/{}", file.file_name().unwrap().to_str().unwrap());
            let loaded = manifest::read(&name, &std::fs::read_to_string(&file).unwrap());
            assert!(loaded.errors.is_empty(), "{name}: {:?}", loaded.errors);
            let documents = loaded.documents.iter().map(|document| serde_json::from_str(&document.object.root().to_json()).unwrap());
            let documents: Vec<Value> = documents.collect();
            if documents[0].get("expectPatched").is_some() {
                patched += 1;
                continue;
            }
            scenes.push(scene(name, scenes.len(), documents));
        }
    }
    for golden in goldens::all() {
        // The kubelet's node must be there for a mirror pod: `refused.rs` makes one.
        if golden.is_mirror() {
            continue;
        }
        let mut case = golden.case.clone();
        case["settings"] = golden.settings.clone();
        let mut objects = vec![(golden.name.clone(), golden.pod.clone())];
        if golden.is_created() {
            let variants = [
                golden.asking_the_vendor("vault.hashicorp.com"),
                golden.with_evil_volume(),
                golden.with_thief(),
                golden.sharing_processes(),
            ];
            // Kubernetes lets no pod for Windows share processes.
            let possible =
                |variant: &goldens::Golden| variant.pod["spec"]["os"].is_null() || variant.pod["spec"]["shareProcessNamespace"].is_null();
            objects.extend(variants.into_iter().filter(possible).map(|variant| (variant.name, variant.pod)));
            objects.extend(KINDS.iter().map(|kind| (format!("{} as {kind}", golden.name), golden.made_by(kind))));
        }
        // All of them stand in the same namespaces: they are dry runs.
        let number = scenes.len();
        for (name, object) in objects {
            let documents = [vec![case.clone()], golden.around.clone(), vec![object]].concat();
            scenes.push(Scene { is_golden: true, ..scene(format!("golden {name}"), number, documents) });
        }
    }
    (scenes, patched)
}

pub(super) fn kind(object: &Value) -> GroupVersionKind {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    GroupVersionKind::new(group, version, object["kind"].as_str().unwrap_or_default())
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub(super) fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}

/// Where an object's collection is.
pub(super) fn collection(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let place = if namespace(object).is_empty() { String::new() } else { format!("/namespaces/{}", namespace(object)) };
    format!("{root}{place}/{}", resource_of(&kind(object).kind))
}

fn scene(case_name: String, number: usize, mut documents: Vec<Value>) -> Scene {
    let mut object = documents.pop().unwrap();
    let mut case = documents.remove(0);
    let mut old = case.get("oldObject").cloned();
    let settings = case.get_mut("settings").map(Value::take).unwrap_or_else(|| json!({}));
    let operation = case["operation"].as_str().unwrap_or("CREATE").to_owned();
    // A namespace of the case's own for what names none, but for the rule that is about naming none.
    let own = if case_name.starts_with("no-workload-in-default-namespace/") { "default".to_owned() } else { format!("case-{number}") };
    if case["subresource"] == "ephemeralcontainers" && old.is_none() {
        // The pod runs already.
        old = Some(object.clone());
        old.as_mut().map(|old| old["spec"]["ephemeralContainers"].take());
    }
    for document in documents.iter_mut().chain([&mut object]).chain(&mut old) {
        if !is_cluster_scoped(&kind(document)) && namespace(document).is_empty() {
            document["metadata"]["namespace"] = json!(own);
        }
    }
    if let Some(old) = &mut old {
        // What is changed is one object.
        old["metadata"]["namespace"] = object["metadata"]["namespace"].clone();
        old["metadata"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
        for field in ["apiVersion", "kind"] {
            old[field] = object[field].clone();
        }
        let both = [name(&object), name(old)].into_iter().find(|name| !name.is_empty()).unwrap_or("case").to_owned();
        old["metadata"]["name"] = json!(both);
        object["metadata"]["name"] = json!(both);
    }
    // Names by which two cases would meet: namespaces, and cluster-scoped objects that are made.
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut meet = |name: &str| {
        if !name.is_empty() && name != own && !KEPT.contains(&name) && !name.starts_with("system:") {
            names.insert(name.to_owned(), format!("{name}-{number}"));
        }
    };
    let made: Vec<&Value> = documents.iter().chain(&old).collect();
    for document in made.into_iter().chain([&object]) {
        meet(namespace(document));
        if kind(document).kind == "Namespace" {
            meet(name(document));
        }
    }
    for document in documents.iter().chain(&old).filter(|document| is_cluster_scoped(&kind(document))) {
        meet(name(document));
    }
    let rename = |value: &Value| renamed(value, &names);
    let (object, old) = (rename(&object), old.as_ref().map(rename));
    let around: Vec<Value> = documents.iter().map(rename).collect();
    let mut namespaces: BTreeSet<String> = [&object].into_iter().chain(&around).map(|object| namespace(object).to_owned()).collect();
    namespaces.extend(around.iter().filter(|object| object["kind"] == "Namespace").map(|object| name(object).to_owned()));
    namespaces.remove("");
    let debuggers = [Some(&object), old.as_ref()].map(|pod| {
        let mut containers = pod.map(|pod| pod["spec"]["ephemeralContainers"].clone()).unwrap_or_default();
        for (index, container) in containers.as_array_mut().into_iter().flatten().enumerate() {
            for (field, value) in [("name", json!(format!("debugger-{index}"))), ("image", json!("registry.example.com/debug:1"))] {
                if container[field].is_null() {
                    container[field] = value;
                }
            }
        }
        containers
    });
    Scene {
        name: case_name,
        operation,
        subresource: case["subresource"].as_str().unwrap_or_default().to_owned(),
        user: case.get("userInfo").map(&rename),
        settings: rename(&settings),
        namespaces,
        around: around.into_iter().map(completed).collect(),
        object: completed(object),
        old: old.map(completed),
        debuggers,
        is_golden: false,
    }
}

/// A value with names replaced where they stand as whole words.
fn renamed(value: &Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => Value::String(words(text, names)),
        Value::Array(items) => items.iter().map(|item| renamed(item, names)).collect(),
        Value::Object(fields) => {
            let each = fields.iter().map(|(key, value)| {
                let fixed = ["apiVersion", "kind", "apiGroups", "resources"].contains(&key.as_str());
                (words(key, names), if fixed { value.clone() } else { renamed(value, names) })
            });
            Value::Object(each.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn words(text: &str, names: &BTreeMap<String, String>) -> String {
    let inside = |character: Option<char>| character.is_some_and(|character| character.is_ascii_alphanumeric() || "-_".contains(character));
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let begins = !inside(out.chars().next_back());
        let found = names.iter().filter(|_| begins).find(|(name, _)| {
            // `spire.spiffe.io` is a group, not a namespace `spire`.
            rest.strip_prefix(name.as_str()).is_some_and(|after| !inside(after.chars().next()) && !after.starts_with(".spiffe.io"))
        });
        let length = match found {
            Some((name, new)) => {
                out.push_str(new);
                name.len()
            }
            None => {
                let first = rest.chars().next().unwrap();
                out.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    out
}

/// An object that says which settings it is judged under.
pub(super) fn labelled(object: &Value, choice: &str) -> Value {
    let mut object = object.clone();
    if !object["metadata"]["labels"].is_object() {
        object["metadata"]["labels"] = json!({});
    }
    object["metadata"]["labels"][CHOICE] = json!(choice);
    object
}
