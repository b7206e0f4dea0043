//! Kubernetes' own policies, asked of both: the API server and Doorward give the same verdicts.
//!
//! One test installs what the library is written out as and sends every case's object; the other takes hand-written policies, which
//! Doorward loads as they are. Each policy has an object selector of its own, so that an object meets the one it is compared for and
//! no other test's object meets any.

use std::collections::BTreeMap;

use doorward::object::{GroupVersionKind, Node, Object, is_cluster_scoped};
use doorward::policy::{PolicySet, Verdict};
use doorward::settings::{Enforcement, Settings};
use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Cluster, collection, path_of};
use crate::completed::completed;
use crate::controlplane::{shared, turn};
use crate::deadline::until;
use crate::definitions::{define, undefine};
use crate::exported::{Asked, Variant, compared, set, verdict};

/// The label by which an object says which policy it is compared for.
const CHOICE: &str = "cluster-test.doorward.dev/policy";

/// What a policy does to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// Nothing is said.
    Allowed,
    /// A warning.
    Warned,
    /// A refusal by the policy.
    Denied,
    /// The API server does not get to ask it, and why.
    Unsent(String),
}

/// What the API server's answer says of a policy. What a webhook of another test says is none of it: those are asked afterwards.
fn theirs(answer: &Answer, policy: &str) -> Outcome {
    let message = answer.body["message"].as_str().unwrap_or_default();
    if message.contains(&format!("ValidatingAdmissionPolicy '{policy}' with binding")) {
        return Outcome::Denied;
    }
    if answer.warnings.iter().any(|warning| warning.starts_with(&format!("Validation failed for ValidatingAdmissionPolicy '{policy}'"))) {
        return Outcome::Warned;
    }
    match answer.code {
        200..300 => Outcome::Allowed,
        _ if message.starts_with("admission webhook") => Outcome::Allowed,
        code => Outcome::Unsent(format!("{code}: {}", message.chars().take(160).collect::<String>())),
    }
}

fn ours(verdict: &Verdict) -> Outcome {
    match verdict.strictest() {
        Some(Enforcement::Deny) => Outcome::Denied,
        Some(Enforcement::Warn) => Outcome::Warned,
        _ => Outcome::Allowed,
    }
}

fn object(value: &Value) -> Object {
    Object::from_serialize(value).expect("JSON")
}

fn labelled(mut object: Value, choice: &str) -> Value {
    if !object["metadata"]["labels"].is_object() {
        object["metadata"]["labels"] = json!({});
    }
    object["metadata"]["labels"][CHOICE] = json!(choice);
    object
}

/// Installs policies with their bindings, and waits until the API server asks them: it takes up policies and bindings in the order in
/// which they are made, so it asks the first ones when it asks the last.
async fn install(cluster: &Cluster, documents: &[Value], last: &str) {
    let marker = [
        json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": last },
            "spec": {
                "matchConstraints": {
                    "objectSelector": { "matchLabels": { CHOICE: last } },
                    "resourceRules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"] }],
                },
                "validations": [{ "expression": "false" }],
            } }),
        json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": last },
            "spec": { "policyName": last, "validationActions": ["Deny"] } }),
    ];
    let mut refused = Vec::new();
    for kind in ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] {
        for document in documents.iter().chain(&marker).filter(|document| document["kind"] == kind) {
            let answer = cluster.send(Method::POST, &collection(document), "application/json", Some(document)).await.expect("an answer");
            if answer.code != 201 {
                refused.push(format!("{}: {}", document["metadata"]["name"], answer.body["message"]));
            }
        }
    }
    assert!(refused.is_empty(), "the API server refuses policies:\n{}", refused.join("\n"));
    let probe = labelled(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "probe", "namespace": "default" } }), last);
    until("the API server to ask the policies", || async {
        let answer = cluster.try_out(&probe).await;
        if theirs(&answer, last) == Outcome::Denied { Ok(()) } else { Err(answer.body.to_string()) }
    })
    .await;
}

async fn ensure(cluster: &Cluster, object: &Value) {
    let answer = cluster.send(Method::POST, &collection(object), "application/json", Some(object)).await.expect("an answer");
    assert!(matches!(answer.code, 201 | 409), "{}: {}", answer.code, answer.body["message"]);
}

/// A namespace of this name with these ServiceAccounts.
async fn prepare(cluster: &Cluster, namespace: &str, accounts: &[&str]) {
    ensure(cluster, &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } })).await;
    for account in accounts {
        ensure(cluster, &json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": account, "namespace": namespace } }))
            .await;
    }
}

/// Who the tests are to the API server.
async fn user(cluster: &Cluster) -> Value {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    cluster.create(&review).await.object()["status"]["userInfo"].clone()
}

/// A case's object on its way to the API server.
struct Sent {
    new: Value,
    old: Option<Value>,
}

/// Sends an object, dry; an update of what is made for it, and removed again. What was made is then the old object.
async fn send(cluster: &Cluster, sent: &mut Sent) -> Result<Answer, String> {
    let Some(old) = &mut sent.old else { return Ok(cluster.try_out(&sent.new).await) };
    let made = cluster.create(old).await;
    if made.code != 201 {
        return Err(format!("the old object is refused: {}", made.body["message"]));
    }
    let path = path_of(old);
    // What is the same in both is as the API server filled it in: of a pod little may be changed.
    if sent.new["spec"] == old["spec"] {
        sent.new["spec"] = made.body["spec"].clone();
    }
    *old = made.body;
    for field in ["resourceVersion", "uid"] {
        sent.new["metadata"][field] = old["metadata"][field].clone();
    }
    let answer = cluster.send(Method::PUT, &format!("{path}?dryRun=All"), "application/json", Some(&sent.new)).await;
    cluster.delete(&format!("{path}?gracePeriodSeconds=0")).await;
    answer
}

#[tokio::test]
async fn the_exported_library_says_what_the_rules_say() {
    // Without a door: the API server's verdict is asked for here, and no other.
    let (control_plane, _turn) = turn().await;
    let cluster = control_plane.cluster().await;
    let cases = compared();
    // A variant is shared by the cases of its settings.
    let mut choices: BTreeMap<*const Variant, String> = BTreeMap::new();
    let mut documents = Vec::new();
    for variant in cases.iter().flat_map(|case| &case.variants) {
        let key = std::rc::Rc::as_ptr(variant);
        if choices.contains_key(&key) {
            continue;
        }
        let choice = format!("v{}", choices.len());
        let name = format!("{choice}.{}", variant.exported.policy["metadata"]["name"].as_str().expect("a name"));
        let (mut policy, mut binding) = (variant.exported.policy.clone(), variant.exported.binding.clone());
        policy["metadata"]["name"] = json!(name);
        binding["metadata"]["name"] = json!(name);
        binding["spec"]["policyName"] = json!(name);
        binding["spec"]["matchResources"] = json!({ "objectSelector": { "matchLabels": { CHOICE: choice } } });
        documents.extend([policy, binding]);
        choices.insert(key, choice);
    }
    let user = user(&cluster).await;
    let mut needed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for case in &cases {
        let object = completed(json(case.file.object()));
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        let accounts = needed.entry(namespace).or_default();
        for field in ["serviceAccountName", "serviceAccount"] {
            accounts.extend(object["spec"][field].as_str().filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    for (namespace, accounts) in &needed {
        prepare(&cluster, namespace, &accounts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let objects: Vec<Value> = cases.iter().map(|case| json(case.file.object())).collect();
    define(&cluster, objects.iter()).await;
    install(&cluster, &documents, "the-last-of-the-exported").await;

    let (mut compared_cases, mut refused, mut unsent, mut differ) = (0, 0, Vec::new(), Vec::new());
    for case in &cases {
        let asked_for = &case.file.case;
        let operation = asked_for.operation.as_deref().unwrap_or("CREATE");
        if asked_for.subresource.is_some() || !matches!(operation, "CREATE" | "UPDATE") {
            unsent.push(format!("{}: {operation} of a subresource needs a pod that runs", case.name));
            continue;
        }
        // Another requester is impersonated, and made an administrator, so that nothing but the policies refuses.
        let somebody;
        let (cluster, user) = match &asked_for.user_info {
            None => (&cluster, user.clone()),
            Some(who) => {
                let mut groups: Vec<&str> = who["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                groups.push("system:masters");
                somebody = control_plane.cluster_as(who["username"].as_str().unwrap_or("somebody"), &groups).await;
                let user = self::user(&somebody).await;
                (&somebody, user)
            }
        };
        for variant in &case.variants {
            let choice = &choices[&std::rc::Rc::as_ptr(variant)];
            let policy = format!("{choice}.{}", variant.exported.policy["metadata"]["name"].as_str().expect("a name"));
            let mut new = labelled(completed(json(case.file.object())), choice);
            let kind = GroupVersionKind::of(case.file.object()).expect("a kind");
            if !is_cluster_scoped(&kind) && new["metadata"]["namespace"].is_null() {
                new["metadata"]["namespace"] = json!("default");
            }
            let mut old = None;
            if let Some(before) = &asked_for.old_object {
                // Names of their own, since they are made.
                let name = format!("case-{}", choices.len() + compared_cases + unsent.len());
                let mut before = completed(before.clone());
                before["metadata"]["namespace"] = new["metadata"]["namespace"].clone();
                before["metadata"]["name"] = json!(name);
                new["metadata"]["name"] = json!(name);
                old = Some(before);
            }
            let mut sent = Sent { new, old };
            let mut answer = send(cluster, &mut sent).await;
            if sent.old.is_none() && answer.as_ref().is_ok_and(|answer| answer.code == 409) {
                sent.new["metadata"]["name"] = json!(format!("case-{}", choices.len() + compared_cases + unsent.len()));
                answer = send(cluster, &mut sent).await;
            }
            let answer = match answer {
                Ok(answer) => answer,
                Err(reason) => {
                    unsent.push(format!("{}: {reason}", case.name));
                    continue;
                }
            };
            let said = theirs(&answer, &policy);
            if let Outcome::Unsent(reason) = &said {
                unsent.push(format!("{}: {reason}", case.name));
                continue;
            }
            // The object as the API server completed it, where it tells; else as it was sent.
            let judged = if (200..300).contains(&answer.code) { &answer.body } else { &sent.new };
            let (new, old) = (object(judged), sent.old.as_ref().map(object));
            let asked =
                Asked { operation, subresource: "", user: user.clone(), new: Some(new.root()), old: old.as_ref().map(Object::root) };
            let expected = verdict(&variant.rule, &asked, &[]);
            compared_cases += 1;
            refused += usize::from(said == Outcome::Denied);
            if ours(&expected) != said {
                let lines: Vec<String> = expected.violations.iter().map(doorward::policy::Violation::line).collect();
                let words = (&answer.body["message"], &answer.warnings);
                differ.push(format!("{} {policy}: we say {lines:?}, the API server {said:?}: {words:?}", case.name));
            }
        }
    }
    undefine(&cluster, objects.iter()).await;
    eprintln!("{compared_cases} compared, {refused} of them refused; {} not sent:\n  {}", unsent.len(), unsent.join("\n  "));
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(unsent.len() <= 60, "{} were not sent", unsent.len());
    assert!(compared_cases >= 650, "{compared_cases} are too few to prove anything");
    assert!(refused >= 120, "{refused} refusals are too few to prove anything");
}

fn json(node: Node<'_>) -> Value {
    serde_json::from_str(&node.to_json()).expect("an object is JSON")
}

/// The documents of a file beside this one.
fn documents(text: &str) -> Vec<Value> {
    let loaded = doorward::manifest::read("native", text);
    assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
    loaded.documents.iter().map(|document| json(document.object.root())).collect()
}

/// The namespace of the hand-written policies' objects.
const NAMESPACE: &str = "native";

#[tokio::test]
async fn hand_written_policies_say_the_same_to_both() {
    let cluster = shared().cluster().await;
    let policies = documents(include_str!("native/policies.yaml"));
    let objects = documents(include_str!("native/objects.yaml"));
    let (natives, beside): (Vec<Value>, Vec<Value>) = policies
        .iter()
        .cloned()
        .partition(|document| document["apiVersion"].as_str().is_some_and(|version| version.starts_with("admission")));
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE, "labels": { "env": "prod" } } });
    ensure(&cluster, &namespace).await;
    ensure(&cluster, &json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "app", "namespace": NAMESPACE } })).await;
    for object in &beside {
        ensure(&cluster, object).await;
    }
    install(&cluster, &natives, "the-last-of-the-hand-written").await;
    let namespace = object(&cluster.get(&format!("/api/v1/namespaces/{NAMESPACE}")).await.object());
    let user = user(&cluster).await;
    let everything: Vec<&Value> = policies.iter().collect();
    let whole = set(&everything, &Settings::default());

    let names: Vec<(String, &[&str])> = natives
        .iter()
        .filter(|document| document["kind"] == "ValidatingAdmissionPolicy")
        .map(|policy| {
            let deletions = policy["spec"]["matchConstraints"]["resourceRules"][0]["operations"] == json!(["DELETE"]);
            let operations: &[&str] = if deletions { &["DELETE"] } else { &["CREATE", "UPDATE"] };
            (policy["metadata"]["name"].as_str().expect("a name").to_owned(), operations)
        })
        .collect();
    assert!(names.len() >= 12, "{names:?}");
    let (mut asked, mut outcomes, mut differ) = (0, BTreeMap::<(String, String), usize>::new(), Vec::new());
    for (name, operations) in &names {
        for written in &objects {
            for operation in *operations {
                let said = both(&cluster, &whole, name, written, operation, &user, namespace.root()).await;
                asked += 1;
                *outcomes.entry((name.clone(), format!("{:?}", said.1))).or_default() += 1;
                if said.0 != said.1 {
                    let (we, they) = (&said.0, &said.1);
                    let named = &written["metadata"]["name"];
                    differ.push(format!(
                        "{name}: {operation} of {} {named}: we say {we:?}, the API server {they:?}: {}",
                        written["kind"], said.2
                    ));
                }
            }
        }
    }
    assert!(differ.is_empty(), "{} of {asked} differ:\n{}", differ.len(), differ.join("\n"));
    // Each policy must have said something, and not always the same.
    for (name, _) in &names {
        let distinct: Vec<&String> = outcomes.keys().filter(|(policy, _)| policy == name).map(|(_, outcome)| outcome).collect();
        assert!(distinct.len() >= 2, "{name} always says {distinct:?}");
    }
}

/// What Doorward and the API server say of an object that is made, changed or deleted: it carries the label of one policy.
async fn both(
    cluster: &Cluster,
    whole: &PolicySet,
    policy: &str,
    written: &Value,
    operation: &str,
    user: &Value,
    namespace: Node<'_>,
) -> (Outcome, Outcome, String) {
    // What is changed is made without the label, so that nobody is asked about the making; what is deleted has it from the start, and
    // the policies on deletions are about nothing else.
    let plain = written.clone();
    let chosen = labelled(written.clone(), policy);
    let path = path_of(&plain);
    let (answer, new, old) = match operation {
        "CREATE" => (cluster.try_out(&chosen).await, Some(chosen.clone()), None),
        "UPDATE" => {
            let made = cluster.create(&plain).await.object();
            let mut changed = made.clone();
            // Whatever its controller wrote meanwhile.
            changed["metadata"].as_object_mut().expect("a map").remove("resourceVersion");
            changed["metadata"]["labels"] = chosen["metadata"]["labels"].clone();
            let dry = format!("{path}?dryRun=All");
            let answer = cluster.send(Method::PUT, &dry, "application/json", Some(&changed)).await.expect("an answer");
            (answer, Some(changed), Some(made))
        }
        _ => {
            let made = cluster.create(&chosen).await.object();
            let dry = format!("{path}?dryRun=All&gracePeriodSeconds=0");
            let answer = cluster.send(Method::DELETE, &dry, "application/json", None).await.expect("an answer");
            // Nobody may be asked about the tidying up.
            let free = json!({ "metadata": { "labels": { CHOICE: null } } });
            cluster.patch(&path, crate::client::MERGE, &free).await.object();
            (answer, None, Some(made))
        }
    };
    if operation != "CREATE" {
        cluster.delete(&format!("{path}?gracePeriodSeconds=0")).await.object();
    }
    let said = theirs(&answer, policy);
    // As the API server completed it, where it tells.
    let new = new.map(|sent| if operation != "DELETE" && (200..300).contains(&answer.code) { answer.body.clone() } else { sent });
    let (new, old) = (new.as_ref().map(object), old.as_ref().map(object));
    let asked =
        Asked { operation, subresource: "", user: user.clone(), new: new.as_ref().map(Object::root), old: old.as_ref().map(Object::root) };
    let verdict = verdict(whole, &asked, &[namespace]);
    let mut alone = verdict.clone();
    alone.violations.retain(|violation| &*violation.rule == policy);
    (ours(&alone), said, answer.body["message"].to_string())
}
