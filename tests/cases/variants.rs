//! One case, many objects: a rule that speaks of pod templates says the same of each kind that carries one, and of init containers and of
//! ephemeral ones that are added to a pod as of app containers. The cases are written once and multiplied here; what a rule tells apart on
//! purpose is listed with the reason.

use doorward::manifest;
use doorward::object::{GroupVersionKind, POD_TEMPLATE_KINDS, PodTemplateKind};
use doorward::policy::CaseFile;
use serde_json::{Map, Value, json};

/// Rules, or single cases of theirs, that judge some kinds of workloads in another way than others.
const KINDS_DIFFER: &[(&str, &str)] = &[
    ("injection-conflict/deny-golden-11-classic-agent-in-a-job.yaml", "a Job must end, other workloads need not"),
    ("injection-conflict/allow-b4-digest-and-resources-of-others.yaml", "the agent of a Job ends, so one that stays is somebody else's"),
    (
        "injection-conflict/deny-golden-24-requests-of-the-pod.yaml",
        "the agent of a Job ends, so it asks for nothing beside the application",
    ),
    ("injection-conflict/deny-golden-18-container-name-taken.yaml", "the pod of a Job gets no container of that name"),
    ("agent-delegation-declared", "the deadline of a Job is its own field"),
    ("vault-agent-shape", "the pod of a Job must end, and nothing needs to be renewed in it"),
];

/// Rules that judge init containers in another way than app containers.
const LISTS_DIFFER: &[(&str, &str)] = &[
    ("injection-conflict", "what is due for the app containers is in nobody's way in an init container"),
    ("vault-agent-shape", "it is about which of the two an agent stands in"),
];

/// Rules that judge ephemeral containers in another way than app containers.
const EPHEMERAL_DIFFER: &[(&str, &str)] = &[
    ("injection-conflict", "what is due for the app containers is in nobody's way in one that is added later"),
    ("no-static-credential/warn-a19-keys-not-seen.yaml", "a debugger makes its pod no client of Vault"),
    ("no-static-vault-token/warn-a19-keys-not-seen.yaml", "a debugger makes its pod no client of Vault"),
    ("vault-kubernetes-auth-only/deny-more-agents-than-are-read.yaml", AGENTS),
    ("vault-login-target/deny-a13-flags.yaml", AGENTS),
    ("vault-login-target/deny-a27-configuration-in-other-capitals.yaml", AGENTS),
    ("vault-login-target/deny-a27-configuration-that-is-no-json.yaml", AGENTS),
    ("vault-login-target/warn-a11-configuration-not-read.yaml", AGENTS),
    ("vault-login-target/warn-a13-address-not-read.yaml", AGENTS),
];
const AGENTS: &str = "agents are looked for among the containers that a pod starts with";

/// Fields that no ephemeral container can have: the API server refuses them (`ValidateEphemeralContainers`).
const NOT_EPHEMERAL: &[&str] =
    &["ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources", "resizePolicy", "restartPolicy"];

/// The variants of a case, each named `<case> as <variant>`.
pub(crate) fn of(rule: &str, policy: &Value, name: &str, text: &str) -> Vec<CaseFile> {
    let documents: Vec<Value> = manifest::read(name, text).documents.iter().map(|document| json_of(&document.object)).collect();
    let [case, .., object] = documents.as_slice() else { return Vec::new() };
    let Some(kind) = template_kind(object) else { return Vec::new() };
    // A subresource, a requester and a Pod of the cluster belong to the one request they were written for.
    let own = case.get("expectPatched").is_some() || case.get("subresource").is_some() || case.get("userInfo").is_some();
    if own || (kind.is_pod() && (case["from"] == "Cluster" || case["operation"] == "UPDATE")) || !by_template(policy) {
        return Vec::new();
    }
    let mut variants = Vec::new();
    if !lists(KINDS_DIFFER, rule) && !lists(KINDS_DIFFER, name) && has_no_metadata_of_its_own(object, kind) {
        for target in POD_TEMPLATE_KINDS.iter().filter(|target| target.kind != kind.kind) {
            if target.is_pod() && (case["from"] == "Cluster" || case["operation"] == "UPDATE" || workloads_only(policy)) {
                continue;
            }
            variants.extend(moved(&documents, kind, target).map(|documents| read(name, target.kind, &documents)));
        }
    }
    if !lists(LISTS_DIFFER, rule) {
        variants.extend(as_init_containers(&documents, kind).map(|documents| read(name, "init containers", &documents)));
    }
    let pod = || POD_TEMPLATE_KINDS.iter().find(|known| known.is_pod());
    if !lists(EPHEMERAL_DIFFER, rule) && !lists(EPHEMERAL_DIFFER, name) && !workloads_only(policy) && case.get("operation").is_none() {
        let differs = lists(KINDS_DIFFER, rule) || lists(KINDS_DIFFER, name) || !has_no_metadata_of_its_own(object, kind);
        let as_pod = || pod().filter(|_| !differs).and_then(|pod| moved(&documents, kind, pod));
        let documents = if kind.is_pod() { Some(documents.clone()) } else { as_pod() };
        variants.extend(documents.and_then(as_ephemeral_containers).map(|documents| read(name, "ephemeral containers", &documents)));
    }
    variants
}

fn lists(list: &[(&str, &str)], rule: &str) -> bool {
    list.iter().any(|(listed, _)| *listed == rule)
}

fn json_of(object: &doorward::object::Object) -> Value {
    serde_json::from_str(&object.root().to_json()).expect("an object is JSON")
}

fn read(name: &str, variant: &str, documents: &[Value]) -> CaseFile {
    let text: Vec<String> = documents.iter().map(Value::to_string).collect();
    let name = format!("{name} as {variant}");
    CaseFile::read(&name, &text.join("\n---\n")).unwrap_or_else(|errors| panic!("{name}: {errors:?}"))
}

fn template_kind(object: &Value) -> Option<&'static PodTemplateKind> {
    let (group, version) = object["apiVersion"].as_str()?.rsplit_once('/').unwrap_or(("", object["apiVersion"].as_str()?));
    PodTemplateKind::of(&GroupVersionKind::new(group, version, object["kind"].as_str()?))
}

/// Whether all that a policy says of workloads it says by their template.
fn by_template(policy: &Value) -> bool {
    let rules = policy["spec"]["rules"].as_array().into_iter().flatten();
    rules.into_iter().any(|rule| ["Any", "Workload"].iter().any(|carrier| rule["match"]["podTemplate"] == *carrier))
}

fn workloads_only(policy: &Value) -> bool {
    let rules = policy["spec"]["rules"].as_array().into_iter().flatten();
    !rules.into_iter().any(|rule| rule["match"]["podTemplate"] == "Any")
}

/// A workload's own labels and annotations are not its pods'.
fn has_no_metadata_of_its_own(object: &Value, kind: &PodTemplateKind) -> bool {
    kind.is_pod() || ["labels", "annotations", "ownerReferences"].iter().all(|field| object["metadata"].get(field).is_none())
}

/// The documents with the same pods, made by another kind.
fn moved(documents: &[Value], from: &PodTemplateKind, to: &PodTemplateKind) -> Option<Vec<Value>> {
    let mut documents = documents.to_vec();
    let last = documents.len() - 1;
    documents[last] = carried(&documents[last], from, to);
    let case = documents[0].as_object_mut()?;
    if let Some(old) = case.get("oldObject") {
        let old = carried(old, from, to);
        case.insert("oldObject".into(), old);
    }
    let (before, after) = (prefix(from), prefix(to));
    for expected in case.get_mut("expect")?.as_array_mut()? {
        let path = expected["path"].as_str()?;
        // What is said of the workload itself is not said of its pods.
        let moved = format!("{after}{}", path.strip_prefix(&before)?);
        expected["path"] = moved.trim_end_matches('.').into();
    }
    Some(documents)
}

/// `spec.template.`, or nothing.
fn prefix(kind: &PodTemplateKind) -> String {
    kind.path.iter().map(|field| format!("{field}.")).collect()
}

fn carried(object: &Value, from: &PodTemplateKind, to: &PodTemplateKind) -> Value {
    let template = from.path.iter().fold(object, |node, field| &node[field]);
    let (own, inner): (Map<_, _>, Map<_, _>) = template["metadata"]
        .as_object()
        .cloned()
        .unwrap_or_default()
        .into_iter()
        .partition(|(key, _)| !["labels", "annotations", "ownerReferences"].contains(&key.as_str()));
    let named = if from.is_pod() { Value::Object(own) } else { object["metadata"].clone() };
    let group = if to.group.is_empty() { String::new() } else { format!("{}/", to.group) };
    let mut made = json!({ "apiVersion": format!("{group}{}", to.version), "kind": to.kind, "metadata": named });
    let mut carried = Map::new();
    if to.is_pod() {
        if let Some(metadata) = made["metadata"].as_object_mut() {
            metadata.extend(inner);
        }
    } else if !inner.is_empty() {
        carried.insert("metadata".into(), Value::Object(inner));
    }
    if let Some(spec) = template.get("spec") {
        carried.insert("spec".into(), spec.clone());
    }
    let place = to.path.iter().fold(&mut made, |node, field| &mut node[field]);
    if place.is_null() {
        *place = Value::Object(carried);
    } else if let Some(place) = place.as_object_mut() {
        place.extend(carried);
    }
    made
}

/// The documents with the app containers run first instead, and a bystander in their place.
fn as_init_containers(documents: &[Value], kind: &PodTemplateKind) -> Option<Vec<Value>> {
    let mut documents = documents.to_vec();
    let last = documents.len() - 1;
    let place = format!("{}spec.containers[", prefix(kind));
    let case = documents[0].as_object_mut()?;
    if case.contains_key("oldObject") || documents_name_init_containers(&documents, kind) {
        return None;
    }
    let case = documents[0].as_object_mut()?;
    let mut said = 0;
    for expected in case.get_mut("expect")?.as_array_mut()? {
        if let Some(rest) = expected["path"].as_str()?.strip_prefix(&place) {
            expected["path"] = format!("{}spec.initContainers[{rest}", prefix(kind)).into();
            said += 1;
        }
    }
    // A case that says nothing of containers would say the same twice.
    if said == 0 {
        return None;
    }
    let template = kind.path.iter().fold(&mut documents[last], |node, field| &mut node[field]);
    let containers = template["spec"]["containers"].take();
    template["spec"]["initContainers"] = containers;
    template["spec"]["containers"] = json!([{ "name": "bystander", "image": "registry.example.com/bystander:1" }]);
    Some(documents)
}

/// The documents of a pod with the app containers added to it while it runs, beside a bystander that was there before.
fn as_ephemeral_containers(mut documents: Vec<Value>) -> Option<Vec<Value>> {
    let last = documents.len() - 1;
    let pod = &mut documents[last];
    let is_plain = |container: &Value| {
        let fields = NOT_EPHEMERAL.iter().all(|field| container.get(field).is_none());
        let mounts = container["volumeMounts"].as_array().into_iter().flatten();
        fields && mounts.into_iter().all(|mount| mount.get("subPath").is_none() && mount.get("subPathExpr").is_none())
    };
    let alone = ["initContainers", "ephemeralContainers"].iter().all(|list| pod["spec"].get(list).is_none());
    if !alone || !pod["spec"]["containers"].as_array()?.iter().all(is_plain) {
        return None;
    }
    pod["metadata"]["uid"] = "0a1b".into();
    let added = pod["spec"]["containers"].take();
    pod["spec"]["containers"] = json!([{ "name": "bystander", "image": "registry.example.com/bystander:1" }]);
    let before = pod.clone();
    pod["spec"]["ephemeralContainers"] = added;
    let case = documents[0].as_object_mut()?;
    let mut said = 0;
    for expected in case.get_mut("expect")?.as_array_mut()? {
        // What is said of the rest of the pod was there before, and is only recorded.
        let rest = expected["path"].as_str()?.strip_prefix("spec.containers[")?;
        expected["path"] = format!("spec.ephemeralContainers[{rest}").into();
        said += 1;
    }
    for (field, value) in [
        ("from", json!("Cluster")),
        ("operation", json!("UPDATE")),
        ("subresource", json!("ephemeralcontainers")),
        ("userInfo", json!({ "username": "alice" })),
        ("oldObject", before),
    ] {
        case.insert(field.to_owned(), value);
    }
    (said > 0).then_some(documents)
}

fn documents_name_init_containers(documents: &[Value], kind: &PodTemplateKind) -> bool {
    let object = documents.last().unwrap_or(&Value::Null);
    let template = kind.path.iter().fold(object, |node, field| &node[field]);
    ["initContainers", "ephemeralContainers"].iter().any(|list| template["spec"].get(list).is_some())
}
