//! Law 5 over the whole library: what `audit` says of a case's object is what the cluster says of it, rule by rule and path by path.
//!
//! Every case stands in one control plane, each with namespaces of its own; for every settings that a case has there is a door with
//! webhooks that are asked about the objects labelled so. Objects are sent as dry runs. A door judges by the whole library, and so does
//! this test: by what `audit` knows when it knows everything.

mod scene;
mod settled;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward::object::{Object, resource_of};
use doorward::policy::{Facts, Limits, PolicySet, RelatedIndex, Release, Source, Sources, Subject, evaluate, load, manifest_request};
use doorward::settings::{Enforcement, Settings};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::apart::of_door;
use crate::client::{Answer, Cluster};
use crate::controlplane::{ControlPlane, directory};
use crate::deadline::until;
use crate::definitions::define;
use crate::door::{Door, Flags};
use crate::objects::{pod, service_account, spec, with};
use scene::{CHOICE, Scene, UNJUDGED, collection, kind, labelled, name, namespace, scenes};

/// The namespace of the probes.
const PROBE: &str = "corpus-probe";

/// Work that is done at once, and requests to one door of it. A door that does not know an object yet asks for it, and has 300 ms for that
/// on a machine that is busy with everything else here; asked by more at once it would answer that it does not know.
const AT_ONCE: usize = 16;

/// The cases that a cluster is not sent, or that its API server refuses before it asks a webhook, with the reason. No other may be left out.
const UNSENT: [(&str, &str); 15] = [
    ("correlation-id-integrity/allow-other-annotations.yaml", POD_FIXED),
    ("correlation-id-integrity/deny-a9-image-of-an-injected-container.yaml", POD_FIXED),
    ("no-default-service-account/allow-mirror-pod.yaml", NODE_ALONE),
    ("no-default-service-account/deny-forged-mirror-pod.yaml", "the API server wants a mirror pod to name its node"),
    ("no-hostpath-spiffe-socket/deny-a4-kubelet-and-runtime.yaml", "the API server refuses `..` in a path of the host"),
    ("no-legacy-token-secret/allow-harmless-update.yaml", TOKEN_GONE),
    ("no-legacy-token-secret/deny-a3-fresh-token-of-a-victim.yaml", TOKEN_GONE),
    ("no-legacy-token-use/deny-a17-every-driver.yaml", "the volumes say no more than where their Secrets stand"),
    ("no-legacy-token-use/deny-unknown-source.yaml", "the API server drops a source of volumes that it does not know"),
    ("no-self-issued-identity/deny-a28-signing-request-behind-another-label.yaml", NO_REQUEST),
    ("no-self-issued-identity/deny-a28-signing-request-behind-the-older-label.yaml", NO_REQUEST),
    ("no-self-issued-identity/deny-request-that-cannot-be-read.yaml", NO_REQUEST),
    ("no-workload-in-default-namespace/allow-mirror-pod.yaml", NODE_ALONE),
    ("token-request-limit/allow-kubelet.yaml", "a node may ask for tokens of the pods that are bound to it alone"),
    ("token-request-limit/allow-vault-token-of-a-pod.yaml", "the pod that the token is bound to would have to run"),
];
const POD_FIXED: &str = "the API server lets nobody change that of a pod";
const NODE_ALONE: &str = "a node may make mirror pods of its own name alone";
const TOKEN_GONE: &str = "the token controller deletes the Secret of an account that is not there";
const NO_REQUEST: &str = "the API server wants a signing request that it can read";
const AT_ONE_DOOR: usize = 6;

/// Doors that stand open at once.
const DOORS_AT_ONCE: usize = 6;

/// What stands ready for a case, or why it cannot.
struct Stage {
    scene: Scene,
    choice: usize,
    /// The object before, as the API server keeps it.
    old: Option<Value>,
}

/// What is said of an object: what refuses it, and what warns of it. Rule and path each, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    denied: Vec<(String, String)>,
    warned: Vec<String>,
}

impl Said {
    /// Without the places in lists: what is injected into a pod moves them, and a file is judged by its own.
    fn by_list(&mut self) {
        let list = |path: &str| path.split('[').next().unwrap_or_default().to_owned();
        for (_, path) in &mut self.denied {
            *path = list(path);
        }
        for line in &mut self.warned {
            let (rule, path) = line.rsplit_once(' ').unwrap_or((line, ""));
            *line = format!("{rule} {}", list(path));
        }
        self.denied.sort();
        self.warned.sort();
    }
}

/// Runs work on items, some at a time, in order of their ends.
async fn each<T, R, F>(items: Vec<T>, work: impl Fn(T) -> F) -> Vec<R>
where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut results = Vec::new();
    for item in items {
        if running.len() >= AT_ONCE {
            results.extend(running.join_next().await.map(|ended| ended.expect("no task panics")));
        }
        running.spawn(work(item));
    }
    while let Some(ended) = running.join_next().await {
        results.push(ended.expect("no task panics"));
    }
    results
}

/// Makes an object, or makes what is there say what it says.
async fn ensure(cluster: &Cluster, object: &Value) -> Result<Value, String> {
    let path = collection(object);
    let mut answer = cluster.send(Method::POST, &path, "application/json", Some(object)).await?;
    if answer.code == 409 {
        let path = format!("{path}/{}", name(object));
        answer = cluster.patch(&path, crate::client::MERGE, object).await;
    }
    match answer.code {
        200 | 201 => Ok(answer.body),
        code => Err(format!("{code}: {}", answer.body["message"].as_str().unwrap_or_default().chars().take(200).collect::<String>())),
    }
}

/// Makes what stands around a case, and what it changes.
async fn set_up(cluster: Cluster, scene: Scene, choice: usize) -> Result<Stage, String> {
    let fail = |name: &str, what: &str, error: String| format!("{name}: {what}: {error}");
    let is_namespace = |object: &Value| object["kind"] == "Namespace";
    let written: BTreeSet<&str> = scene.around.iter().filter(|object| is_namespace(object)).map(name).collect();
    let judged = if is_namespace(&scene.object) { name(&scene.object) } else { "" };
    let mut objects: Vec<Value> = Vec::new();
    for namespace in scene.namespaces.iter().filter(|name| !written.contains(name.as_str()) && name.as_str() != judged) {
        objects.push(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }));
    }
    objects.extend(scene.around.iter().filter(|object| is_namespace(object)).cloned());
    objects.extend(scene.namespaces.iter().map(|namespace| service_account(namespace, "default")));
    // The API server takes a pod only with its ServiceAccount.
    for object in [Some(&scene.object), scene.old.as_ref()].into_iter().flatten().filter(|object| object["kind"] == "Pod") {
        for field in ["serviceAccountName", "serviceAccount"] {
            objects.extend(
                object["spec"][field].as_str().filter(|name| !name.is_empty()).map(|name| service_account(namespace(object), name)),
            );
        }
    }
    for secret in scene.around.iter().chain(&scene.old).filter(|object| object["kind"] == "Secret") {
        // Without its ServiceAccount, the token controller removes a token.
        let account = secret["metadata"]["annotations"]["kubernetes.io/service-account.name"].as_str();
        objects.extend(account.map(|account| service_account(namespace(secret), account)));
    }
    if scene.object["kind"] == "TokenRequest" {
        objects.push(service_account(namespace(&scene.object), name(&scene.object)));
    }
    objects.extend(scene.around.iter().filter(|object| !is_namespace(object)).cloned());
    for object in objects {
        if let Err(error) = ensure(&cluster, &object).await {
            return Err(fail(&scene.name, &format!("{} {}", object["kind"], object["metadata"]["name"]), error));
        }
    }
    let mut old = None;
    if let Some(before) = &scene.old {
        let before = labelled(before, &format!("g{choice}"));
        let mut made = ensure(&cluster, &before).await.map_err(|error| fail(&scene.name, "the old object", error))?;
        if scene.debuggers[1].is_array() {
            made["spec"]["ephemeralContainers"] = scene.debuggers[1].clone();
            let path = format!("{}/{}/ephemeralcontainers", collection(&before), name(&before));
            let answer = cluster.send(Method::PUT, &path, "application/json", Some(&made)).await?;
            if answer.code != 200 {
                return Err(fail(&scene.name, "the old object", answer.body["message"].to_string()));
            }
        }
        old = Some(made);
    }
    Ok(Stage { scene, choice, old })
}

/// What is sent for a case: method, path and body.
fn request(stage: &Stage) -> (Method, String, Value) {
    let scene = &stage.scene;
    let new = labelled(&scene.object, &format!("g{}", stage.choice));
    if scene.subresource == "token" {
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/{}/token?dryRun=All", namespace(&new), name(&new));
        return (Method::POST, path, new);
    }
    let Some(old) = &stage.old else { return (Method::POST, format!("{}?dryRun=All", collection(&new)), new) };
    // The server's own fields stay; the case says the rest.
    let mut changed = old.clone();
    for field in ["labels", "annotations"] {
        let metadata = changed["metadata"].as_object_mut().expect("a map");
        metadata.remove(field);
        metadata.extend(new["metadata"].get(field).map(|value| (field.to_owned(), value.clone())));
    }
    let path = format!("{}/{}", collection(&new), name(&new));
    if scene.subresource == "finalize" {
        return (Method::PUT, format!("{path}/finalize?dryRun=All"), changed);
    }
    if scene.subresource == "ephemeralcontainers" {
        changed["spec"]["ephemeralContainers"] = scene.debuggers[0].clone();
        return (Method::PUT, format!("{path}/ephemeralcontainers?dryRun=All"), changed);
    }
    if new["kind"] != "Pod" || Some(&new["spec"]) != scene.old.as_ref().map(|old| &old["spec"]) {
        let kept = |field: &str| matches!(field, "metadata" | "status") || (field == "spec" && new["kind"] == "Namespace");
        for (field, value) in new.as_object().expect("a map").iter().filter(|(field, _)| !kept(field)) {
            changed[field] = value.clone();
        }
    }
    (Method::PUT, format!("{path}?dryRun=All"), changed)
}

/// What the API server's answer tells, or why it did not come to asking the door.
fn theirs(answer: &Answer, sent: &Value) -> Result<Said, String> {
    let message = answer.body["message"].as_str().unwrap_or_default();
    let mut said = Said::default();
    if let Some(dropped) = answer.warnings.iter().find(|text| text.starts_with("unknown field ")) {
        return Err(format!("the API server drops what it does not know: {dropped}"));
    }
    match answer.code {
        200..300 => {}
        // The names of objects that are there: what is checked last.
        409 if answer.body["reason"] == "AlreadyExists" => {}
        _ if message.contains("denied the request: doorward refuses ") => {
            for cause in answer.body["details"]["causes"].as_array().into_iter().flatten() {
                let line = cause["message"].as_str().unwrap_or_default();
                let rule = line.trim_start_matches('[').split(']').next().unwrap_or_default();
                // In a file, the mesh's injector is still to come; here none does.
                let awaited = sent["kind"] == "Pod"
                    && sent["metadata"].get("uid").is_none()
                    && rule == "no-unmeshed-pod"
                    && line.contains("but no proxy of the mesh stands in the pod");
                if !awaited {
                    said.denied.push((rule.to_owned(), authored(cause["field"].as_str().unwrap_or_default(), sent)));
                }
            }
        }
        code => return Err(format!("{code}: {}", message.chars().take(220).collect::<String>())),
    }
    let warned = answer.warnings.iter().filter_map(|text| text.strip_prefix("doorward: "));
    said.warned = warned.map(|line| head(line, sent)).collect();
    said.denied.sort();
    said.warned.sort();
    Ok(said)
}

/// Asks the engine about what is sent, as one who knows these objects and that there are no others.
fn ask<T>(
    (set, source): (&PolicySet, Source),
    stage: &Stage,
    sent: &Value,
    user: &Value,
    known: &[Object],
    answer: impl FnOnce(&Subject<'_>, &Facts<'_>) -> T,
) -> T {
    let object = Object::from_serialize(sent).expect("JSON");
    let old = stage.old.as_ref().map(|old| Object::from_serialize(old).expect("JSON"));
    let kind = kind(sent);
    let mut request: Value = serde_json::from_str(&manifest_request(object.root(), &kind, namespace(sent)).root().to_json()).expect("JSON");
    request["operation"] = json!(stage.scene.operation);
    request["uid"] = json!("00000000-0000-4000-8000-000000000000");
    request["userInfo"] = user.clone();
    if !stage.scene.subresource.is_empty() {
        request["subResource"] = json!(stage.scene.subresource);
    }
    if stage.scene.subresource == "token" {
        request["resource"] = json!({ "group": "", "version": "v1", "resource": resource_of("ServiceAccount") });
    }
    let request = Object::from_serialize(&request).expect("JSON");
    let subject = Subject::from_request(source, request.root(), Some(object.root()), old.as_ref().map(Object::root)).expect("a request");
    let index = RelatedIndex::new(known.iter().map(Object::root), "default", true);
    answer(&subject, &index.facts(set, &subject, 0))
}

/// Cases of which a file is told that it is not known, and why.
const CLUSTER_ONLY: &[(&str, &str)] =
    &[("vault-login-target/deny-a11-config-map-missing.yaml", "what is in no file may be in the cluster all the same")];

/// What `audit` says of what is sent.
fn ours(set: &PolicySet, stage: &Stage, sent: &Value, user: &Value, known: &[Object]) -> Said {
    // There is no file of a change: that is judged as a request only.
    let of_a_file =
        stage.old.is_none() && stage.scene.subresource.is_empty() && !CLUSTER_ONLY.iter().any(|(name, _)| *name == stage.scene.name);
    let source = if of_a_file { Source::Manifests } else { Source::Validating };
    let verdict = ask((set, source), stage, sent, user, known, |subject, facts| evaluate(set, subject, facts, Limits::default()));
    let mut said = Said::default();
    for violation in verdict.counted() {
        match violation.enforcement {
            Enforcement::Deny => said.denied.push((violation.rule.to_string(), authored(&violation.path.to_string(), sent))),
            Enforcement::Warn => said.warned.push(head(&violation.line(), sent)),
            Enforcement::Audit | Enforcement::Off => {}
        }
    }
    said.denied.sort();
    said.warned.sort();
    said
}

/// A printed path as its author knows it: what the API server filled in stands at the nearest field that he wrote, and what he wrote as
/// `stringData` it keeps as `data`.
fn authored(path: &str, sent: &Value) -> String {
    let mut path = path.to_owned();
    while !path.is_empty() && !stands(&path, sent) {
        let cut = if path.ends_with(']') { path.rfind('[') } else { path.rfind('.') };
        path.truncate(cut.unwrap_or(0));
    }
    path
}

/// Whether a printed path leads to something. Keys in brackets may hold points, and no brackets.
fn stands(path: &str, object: &Value) -> bool {
    let (mut rest, mut node) = (path, object);
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((key, after)) => (key, after),
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        rest = after.strip_prefix('.').unwrap_or(after);
        let found = match node {
            Value::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => node.get(step),
        };
        match found {
            Some(found) => node = found,
            None => return false,
        }
    }
    true
}

/// Rule and path of a warning's line: `[rule] INV-n: path: what is wrong`. The path is missing where it is the object itself.
fn head(line: &str, sent: &Value) -> String {
    let mut parts = line.splitn(3, ": ");
    let (rule, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_path = parts.next().is_some() && !path.contains(' ');
    format!("{rule} {}", if is_path { authored(path, sent) } else { String::new() })
}

/// Whether the same warnings came. The API server tells the same text once; past sixteen, Doorward tells their number.
fn same_warnings(ours: &[String], theirs: &[String]) -> bool {
    let (counted, told): (BTreeSet<_>, BTreeSet<_>) = theirs.iter().partition(|line| line.starts_with("and "));
    let ours: BTreeSet<_> = ours.iter().collect();
    told.is_subset(&ours) && (told == ours || !counted.is_empty())
}

/// Installs both webhook configurations of a door for the objects that are labelled so, the mutating one first.
async fn install(cluster: &Cluster, choice: usize, set: &PolicySet, door: &Door) {
    let label = format!("g{choice}");
    let mut probe = labelled(&pod(PROBE, "sound", spec()), &label);
    probe["spec"].as_object_mut().expect("a map").remove("automountServiceAccountToken");
    let faulty = with(probe.clone(), "spec", with(probe["spec"].clone(), "hostPID", json!(true)));
    let configurations = of_door(&format!("corpus-{choice}"), set, door, |webhook, judges| {
        webhook["objectSelector"] = json!({ "matchLabels": { CHOICE: label } });
        if judges {
            webhook["objectSelector"]["matchExpressions"] = json!([{ "key": UNJUDGED, "operator": "DoesNotExist" }]);
        }
    });
    for configuration in configurations {
        ensure(cluster, &configuration).await.expect("a configuration is taken");
        if configuration["kind"] == "MutatingWebhookConfiguration" {
            until("the mutating webhook to be called", || async {
                let answer = cluster.try_out(&probe).await;
                if answer.body["spec"]["automountServiceAccountToken"] == false { Ok(()) } else { Err(answer.body.to_string()) }
            })
            .await;
        } else {
            until("the validating webhook to be called", || async {
                let answer = cluster.try_out(&faulty).await;
                let message = answer.body["message"].as_str().unwrap_or_default();
                if message.contains("doorward refuses") { Ok(()) } else { Err(answer.body.to_string()) }
            })
            .await;
        }
    }
}

fn parsed(settings: &Value) -> Settings {
    Settings::read(&Object::from_serialize(settings).expect("JSON")).unwrap_or_else(|error| panic!("{settings}: {error}"))
}

/// Everything of the cluster that a rule may read about a case: what is in its namespaces, and what is in none.
async fn known(cluster: &Cluster, scene: &Scene, ids: &[Value]) -> Vec<Object> {
    let mut known = ids.to_vec();
    for namespace in &scene.namespaces {
        let path = format!("/api/v1/namespaces/{namespace}");
        let there = cluster.get(&path).await;
        if there.code == 200 {
            known.push(there.body);
        }
        for mut account in cluster.list(&format!("{path}/serviceaccounts")).await {
            account["apiVersion"] = json!("v1");
            account["kind"] = json!("ServiceAccount");
            known.push(account);
        }
    }
    let others = ["Namespace", "ServiceAccount", "ClusterSPIFFEID"];
    known.extend(scene.around.iter().filter(|object| !others.iter().any(|kind| object["kind"] == *kind)).cloned());
    known.iter().map(|object| Object::from_serialize(object).expect("JSON")).collect()
}

/// The policies of a door, and how many may ask it.
type Judge = (Arc<PolicySet>, Arc<Semaphore>);

/// What became of a case.
enum Outcome {
    Same { refused: bool, warned: bool },
    Unsent(String),
    Differs(String),
}

async fn compare(cluster: Cluster, (set, turns): Judge, mut stage: Stage, user: Value, known: Vec<Object>) -> Outcome {
    let _turn = turns.acquire_owned().await.expect("nobody closes it");
    if let Some(old) = &mut stage.old {
        // Controllers may have filled it in.
        let kept = cluster.get(&format!("{}/{}", collection(old), name(old))).await;
        if kept.code != 200 {
            return Outcome::Unsent(format!("{}: the old object is gone: {}", stage.scene.name, kept.body["message"]));
        }
        *old = kept.body;
    }
    let (method, path, mut sent) = request(&stage);
    let answer = until("the door to know what it asks the API server for", || async {
        match cluster.send(method.clone(), &path, "application/json", Some(&sent)).await {
            // What a door cannot find out in time it says, and that one may try again; this machine may be busy.
            Ok(answer) if answer.warnings.iter().chain([&answer.body.to_string()]).any(|text| text.contains(": no answer about ")) => {
                Err(answer.body.to_string())
            }
            other => Ok(other),
        }
    })
    .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Outcome::Unsent(format!("{}: {error}", stage.scene.name)),
    };
    // As the API server reads it.
    if sent["kind"] == "Secret"
        && let Some(Value::Object(texts)) = sent.as_object_mut().and_then(|secret| secret.remove("stringData"))
    {
        for (key, text) in texts {
            sent["data"][key] = json!(STANDARD.encode(text.as_str().unwrap_or_default()));
        }
    }
    let mut theirs = match theirs(&answer, &sent) {
        Ok(said) => said,
        Err(reason) => return Outcome::Unsent(format!("{}: {reason}", stage.scene.name)),
    };
    if let Err(unsettled) = settled::check(&cluster, &set, &stage, &user, &known).await {
        return Outcome::Differs(format!("{}: {unsettled}", stage.scene.name));
    }
    let mut ours = ours(&set, &stage, &sent, &user, &known);
    if stage.scene.is_golden {
        ours.by_list();
        theirs.by_list();
    }
    if ours.denied == theirs.denied && same_warnings(&ours.warned, &theirs.warned) {
        return Outcome::Same { refused: !ours.denied.is_empty(), warned: !ours.warned.is_empty() };
    }
    let only = |one: &[(String, String)], other: &[(String, String)]| {
        one.iter().filter(|entry| !other.contains(entry)).map(|(rule, path)| format!("{rule} at {path}")).collect::<Vec<_>>()
    };
    Outcome::Differs(format!(
        "{}: only audit refuses for {:?}, only the cluster for {:?}; audit warns of {:?}, the cluster of {:?}",
        stage.scene.name,
        only(&ours.denied, &theirs.denied),
        only(&theirs.denied, &ours.denied),
        ours.warned,
        theirs.warned,
    ))
}

/// Who a client is to the API server.
async fn who(cluster: &Cluster) -> Value {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    cluster.create(&review).await.object()["status"]["userInfo"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_and_cluster_say_the_same_of_every_case() {
    let begun = std::time::Instant::now();
    let control_plane = ControlPlane::start("corpus");
    let cluster = control_plane.cluster().await;
    let (scenes, patched) = scenes();
    let all = scenes.len();
    let mut settings: Vec<Value> = Vec::new();
    let mut with_choice = Vec::new();
    for scene in scenes {
        let choice = settings.iter().position(|known| *known == scene.settings).unwrap_or_else(|| {
            settings.push(scene.settings.clone());
            settings.len() - 1
        });
        with_choice.push((scene, choice));
    }

    // What stands around, before any door is asked.
    define(&cluster, with_choice.iter().flat_map(|(scene, _)| scene.around.iter().chain([&scene.object]))).await;
    let (mut stages, mut unsent) = (Vec::new(), Vec::new());
    let staged = each(with_choice, |(scene, choice)| set_up(cluster.clone(), scene, choice)).await;
    for stage in staged {
        match stage {
            Ok(stage) => stages.push(stage),
            Err(reason) => unsent.push(reason),
        }
    }
    stages.sort_by(|one, other| one.scene.name.cmp(&other.scene.name));
    let labels = json!({ "inject.doorward.dev/automount-off": "true" });
    ensure(&cluster, &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": PROBE, "labels": labels } })).await.unwrap();
    for account in ["default", "app"] {
        ensure(&cluster, &service_account(PROBE, account)).await.unwrap();
    }
    let token = |object: &&Value| object["type"] == "kubernetes.io/service-account-token";
    let tokens = stages.iter().flat_map(|stage| &stage.scene.around).filter(token);
    let tokens: String = tokens.map(|secret| format!("{}/{}\n", namespace(secret), name(secret))).collect();
    let names = directory("token-secrets").join("names");
    std::fs::write(&names, tokens).expect("the test's directory is writable");
    let ids: Vec<Value> = cluster.list("/apis/spire.spiffe.io/v1alpha1/clusterspiffeids").await;
    eprintln!("{all} cases and {} settings set up after {:?}", settings.len(), begun.elapsed());

    let kubeconfig = control_plane.kubeconfig();
    let more = ["--token-secrets".to_owned(), names.to_str().expect("UTF-8").to_owned()];
    let mut clients: BTreeMap<String, (Cluster, Value)> = BTreeMap::new();
    let mut work: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    for stage in stages {
        let key = stage.scene.user.as_ref().map(Value::to_string).unwrap_or_default();
        if !clients.contains_key(&key) {
            let client = match &stage.scene.user {
                None => cluster.clone(),
                Some(who) => {
                    // An administrator, so that nothing but a door refuses.
                    let groups = who["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).chain(["system:masters"]);
                    control_plane.cluster_as(who["username"].as_str().unwrap_or("somebody"), &groups.collect::<Vec<_>>()).await
                }
            };
            let user = who(&client).await;
            clients.insert(key.clone(), (client, user));
        }
        let (client, user) = clients[&key].clone();
        let known = known(&cluster, &stage.scene, &ids).await;
        work.entry(stage.choice).or_default().push((client, stage, user, known));
    }
    // A door for each settings, some at a time: each follows everything that the cluster has.
    let mut outcomes = Vec::new();
    let choices: Vec<usize> = work.keys().copied().collect();
    for some in choices.chunks(DOORS_AT_ONCE) {
        let opened = each(some.to_vec(), |choice| {
            let (settings, kubeconfig, more, cluster) = (settings[choice].clone(), kubeconfig.clone(), more.clone(), cluster.clone());
            async move {
                // The door asks the API server for its release, too.
                let release = Some(Release::NATIVE_SIDECARS);
                let set = load(&Sources { fallback: Some(parsed(&settings)), release, ..Sources::default() }).expect("the library loads");
                let more: Vec<&str> = more.iter().map(String::as_str).collect();
                let door = Door::open(&Flags { settings, more: &more, ..Flags::on_loopback(&kubeconfig) }).await;
                install(&cluster, choice, &set, &door).await;
                (choice, (Arc::new(set), Arc::new(Semaphore::new(AT_ONE_DOOR))), door)
            }
        })
        .await;
        let asked: Vec<(Judge, _)> = opened
            .iter()
            .flat_map(|(choice, judge, _)| work.remove(choice).unwrap_or_default().into_iter().map(|item| (judge.clone(), item)))
            .collect();
        outcomes.extend(each(asked, |(judge, (client, stage, user, known))| compare(client, judge, stage, user, known)).await);
    }
    let (mut same, mut refused, mut warned, mut differ) = (0, 0, 0, Vec::new());
    for outcome in outcomes {
        match outcome {
            Outcome::Same { refused: a, warned: b } => {
                same += 1;
                refused += usize::from(a);
                warned += usize::from(b);
            }
            Outcome::Unsent(reason) => unsent.push(reason),
            Outcome::Differs(what) => differ.push(what),
        }
    }
    unsent.sort();
    differ.sort();
    eprintln!(
        "{same} of {all} cases the same ({refused} refused, {warned} warned of; {patched} of injections aside) after {:?}; not sent, {}:\n  {}",
        begun.elapsed(),
        unsent.len(),
        unsent.join("\n  ")
    );
    assert_eq!(same + unsent.len() + differ.len(), all, "every case is compared or listed");
    assert!(differ.is_empty(), "{} of {all} differ:\n{}", differ.len(), differ.join("\n"));
    let unlisted = |told: &&String| !UNSENT.iter().any(|(case, _)| told.strip_prefix(case).is_some_and(|rest| rest.starts_with(": ")));
    let unlisted: Vec<&String> = unsent.iter().filter(unlisted).collect();
    assert!(unlisted.is_empty(), "not sent, and not listed with a reason: {unlisted:#?}");
    assert!(same >= 1340 && refused >= 730 && warned >= 460, "{same}, {refused} and {warned} are too few to prove anything");
}
