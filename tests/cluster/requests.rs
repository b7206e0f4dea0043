//! What kinds of requests there are: dry run, a name that is generated, a namespace made just before, subresources, bodies that are no
//! reviews; and what the audit log keeps of an answer.

use serde_json::{Value, json};

use crate::caller;
use crate::client::{APPLY, MERGE, STRATEGIC};
use crate::controlplane::shared;
use crate::deadline::until;
use crate::door::{cluster, shared_door};
use crate::injected::{ALL, assert_no_api_token, names};
use crate::namespaces::Namespace;
use crate::objects::{container, pod, service_account, spec, spec_with_automount_unset, with, without};
use crate::refusal::denied;

#[tokio::test]
async fn a_dry_run_has_the_same_answer_and_no_effect() {
    let namespace = Namespace::make(cluster().await, "dry-run", ALL).await;
    denied(namespace.cluster.try_out(&namespace.pod("faulty", without(spec(), "serviceAccountName"))).await)
        .by("no-default-service-account")
        .at("spec.serviceAccountName")
        .in_all(1);
    let tried = namespace.cluster.try_out(&namespace.pod("sound", spec())).await.object();
    assert_eq!(namespace.cluster.list(&namespace.path("v1", "pods")).await, [Value::Null; 0]);
    let made = namespace.cluster.create(&namespace.pod("sound", spec())).await.object();
    assert_eq!(tried["spec"], made["spec"]);
}

/// The mutating call has no name yet; messages print the generated one's prefix.
#[tokio::test]
async fn a_name_that_is_generated() {
    let namespace = Namespace::make(cluster().await, "generated", ALL).await;
    let unnamed = |spec: Value| {
        let mut pod = namespace.pod("", spec);
        pod["metadata"] = json!({ "namespace": namespace.name, "generateName": "worker-" });
        pod
    };
    let made = namespace.cluster.create(&unnamed(spec())).await.object();
    assert!(made["metadata"]["name"].as_str().is_some_and(|name| name.len() > "worker-".len()));
    assert_eq!(names(&made["spec"]["initContainers"]), ["vault-agent-init", "vault-agent"]);
    let answer = namespace.cluster.create(&unnamed(without(spec(), "serviceAccountName"))).await;
    let message = answer.body["message"].to_string();
    denied(answer).by("no-default-service-account").at("spec.serviceAccountName");
    assert!(message.contains(&format!("{}/worker-", namespace.name)), "{message}");
}

/// No cache can have heard of it: the door asks once. Its controllers give it what every namespace has.
#[tokio::test]
async fn a_namespace_made_just_before() {
    let cluster = cluster().await;
    for round in 0..5 {
        let name = format!("just-made-{round}-{}", std::process::id());
        let labels = json!({ "inject.doorward.dev/spiffe-csi": "true" });
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
        cluster.create(&namespace).await.object();
        cluster.create(&service_account(&name, "app")).await.object();
        let made = cluster.create(&pod(&name, "first", spec())).await.object();
        assert_eq!(names(&made["spec"]["volumes"]), ["spiffe-workload-api"], "round {round}");
        until("the ServiceAccount `default`", || async {
            let answer = cluster.get(&format!("/api/v1/namespaces/{name}/serviceaccounts/default")).await;
            if answer.code == 200 { Ok(()) } else { Err(answer.body["message"].to_string()) }
        })
        .await;
    }
}

/// `pods/ephemeralcontainers` is a request of its own, by which a container enters a pod that was let in.
#[tokio::test]
async fn an_ephemeral_container_is_judged() {
    let namespace = Namespace::make(cluster().await, "ephemeral", &["automount-off"]).await;
    namespace.cluster.create(&namespace.pod("debugged", spec())).await.object();
    let path = namespace.path("v1", "pods/debugged/ephemeralcontainers");
    let add = |container: Value| json!({ "spec": { "ephemeralContainers": [container] } });
    let answer = namespace.cluster.patch(&path, STRATEGIC, &add(container("modest"))).await;
    assert_eq!(names(&answer.object()["spec"]["ephemeralContainers"]), ["modest"]);
    let with_token = with(container("nosy"), "env", json!([{ "name": "VAULT_TOKEN", "value": "hvs.never-shown" }]));
    let answer = namespace.cluster.patch(&path, STRATEGIC, &add(with_token)).await;
    assert!(!answer.body.to_string().contains("hvs."), "{}", answer.body);
    let nosy = answer.body["message"].as_str().is_some_and(|message| message.contains("ephemeralcontainers.guard.doorward.dev"));
    assert!(nosy, "{}", answer.body["message"]);
    let message = answer.body["message"].to_string();
    // The API server puts a new one where the patch's merge key says: first.
    let index = usize::from(!message.contains("ephemeralContainers[0]"));
    denied(answer).by("no-static-vault-token").at(&format!("spec.ephemeralContainers[{index}].env[0]")).in_all(1);
}

/// A pod that was let in may be labelled and deleted; who it is stays.
#[tokio::test]
async fn an_update_of_a_pod() {
    let namespace = Namespace::make(cluster().await, "update", ALL).await;
    namespace.cluster.create(&namespace.pod("kept", spec())).await.object();
    let path = namespace.path("v1", "pods/kept");
    namespace.cluster.patch(&path, MERGE, &json!({ "metadata": { "labels": { "a": "b" } } })).await.object();
    let forged = json!({ "metadata": { "annotations": { "spiffe.io/spiffe-id": "spiffe://cluster.example.com/ns/other/sa/admin" } } });
    denied(namespace.cluster.patch(&path, MERGE, &forged).await)
        .by("spiffe-id-annotation-matches")
        .at("metadata.annotations[spiffe.io/spiffe-id]")
        .by("correlation-id-integrity")
        .at("metadata.annotations")
        .in_all(2);
    namespace.cluster.delete(&format!("{path}?gracePeriodSeconds=0")).await;
    until("the pod to be gone", || async {
        let answer = namespace.cluster.get(&path).await;
        if answer.code == 404 { Ok(()) } else { Err(answer.body["metadata"].to_string()) }
    })
    .await;
}

/// Server-side apply lets an author write a deletion timestamp, which only mutating webhooks see; and a real one may be had with a
/// finalizer. Neither is a way past the door (hardening A1).
#[tokio::test]
async fn an_object_that_says_it_is_being_deleted() {
    let namespace = Namespace::make(cluster().await, "dying", ALL).await;
    let mut dying = namespace.pod("dying", spec_with_automount_unset());
    dying["metadata"]["deletionTimestamp"] = json!("2020-01-01T00:00:00Z");
    dying["metadata"]["finalizers"] = json!(["cluster-test.doorward.dev/held"]);
    let apply = format!("{}?fieldManager=author", namespace.path("v1", "pods/dying"));
    let made = namespace.cluster.patch(&apply, APPLY, &dying).await.object();
    assert_no_api_token(&made);
    assert_eq!(names(&made["spec"]["initContainers"]), ["vault-agent-init", "vault-agent"]);
    dying["metadata"]["name"] = json!("faulty");
    dying["spec"] = without(spec(), "serviceAccountName");
    let apply = format!("{}?fieldManager=author", namespace.path("v1", "pods/faulty"));
    denied(namespace.cluster.patch(&apply, APPLY, &dying).await).by("no-default-service-account").at("spec.serviceAccountName");

    // Deleted, and held by its finalizer: its identity may not change on the way out, its finalizer may go.
    let path = namespace.path("v1", "pods/dying");
    namespace.cluster.delete(&format!("{path}?gracePeriodSeconds=0")).await.object();
    let forged = json!({ "metadata": { "annotations": { "spiffe.io/spiffe-id": "spiffe://cluster.example.com/ns/other/sa/admin" } } });
    denied(namespace.cluster.patch(&path, MERGE, &forged).await).by("spiffe-id-annotation-matches");
    namespace.cluster.patch(&path, MERGE, &json!({ "metadata": { "finalizers": null } })).await.object();
    assert_eq!(namespace.cluster.get(&path).await.code, 404);
}

/// The largest pods that the API server takes are judged like others, well before its patience ends (hardening A36).
#[tokio::test]
async fn a_pod_as_large_as_kubernetes_takes() {
    let namespace = Namespace::make(cluster().await, "large", ALL).await;
    let mut many = spec();
    many["containers"][0]["env"] = (0..30_000).map(|number| json!({ "name": format!("VARIABLE_{number}"), "value": "x" })).collect();
    let mut faulty = many.clone();
    let made = namespace.cluster.try_out(&namespace.pod("many", many)).await.object();
    assert_eq!(names(&made["spec"]["initContainers"]), ["vault-agent-init", "vault-agent"]);
    assert_eq!(made["spec"]["containers"][0]["env"].as_array().map(Vec::len), Some(30_001));
    faulty["containers"][0]["env"][29_999] = json!({ "name": "VAULT_TOKEN", "value": "x" });
    denied(namespace.cluster.try_out(&namespace.pod("faulty", faulty)).await)
        .by("no-static-vault-token")
        .at("spec.containers[0].env[29999]")
        .in_all(1);
}

/// Strangers reach the port too. Every body has its status, the message says why, and the next review is judged.
#[tokio::test]
async fn bodies_that_are_no_reviews() {
    let (_, door) = shared_door().await;
    let review = |version: &str, request: Value| json!({ "apiVersion": version, "kind": "AdmissionReview", "request": request });
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: Vec<(&str, Vec<u8>, u16)> = vec![
        ("empty", Vec::new(), 400),
        ("not JSON", b"kind: AdmissionReview".to_vec(), 400),
        ("broken off", br#"{"apiVersion":"admission.k8s.io/v1","kind":"Adm"#.to_vec(), 400),
        ("not UTF-8", b"{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"Admission\xff\xfeReview\"}".to_vec(), 400),
        ("wrong version", review("admission.k8s.io/v1beta1", json!({ "uid": "u" })).to_string().into_bytes(), 400),
        ("wrong kind", json!({ "apiVersion": "v1", "kind": "Pod" }).to_string().into_bytes(), 400),
        ("no request", json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview" }).to_string().into_bytes(), 400),
        ("too deep", deep.into_bytes(), 400),
        ("too long", vec![b' '; 9 * 1024 * 1024], 413),
    ];
    for path in ["/validate", "/mutate"] {
        for (what, body, code) in &bodies {
            let (answered, text) = caller::post(door.address, path, body).await;
            assert_eq!(answered, *code, "{what} at {path}: {text}");
            assert!(!text.trim().is_empty() && text.len() < 1024, "{what} at {path}: {text:?}");
        }
    }
    let (answered, _) = caller::post(door.address, "/elsewhere", b"{}").await;
    assert_eq!(answered, 404);
    assert!(door.runs());
    let namespace = Namespace::make(cluster().await, "hostile", &[]).await;
    denied(namespace.cluster.create(&namespace.pod("faulty", without(spec(), "serviceAccountName"))).await)
        .by("no-default-service-account");
}

/// The API server's own record of a request holds Doorward's decision, its identifiers and the injections (INV-12).
#[tokio::test]
async fn the_audit_log_tells_the_decision() {
    let namespace = Namespace::make(cluster().await, "audited", ALL).await;
    let made = namespace.cluster.create(&namespace.pod("kept", spec_with_automount_unset())).await.object();
    let event = shared().creation("pods", &namespace.name, "kept").await;
    let annotation = |webhook: &str, key: &str| event["annotations"][format!("{webhook}.doorward.dev/{key}")].as_str().unwrap_or_default();
    assert_eq!(annotation("pods.inject", "decision"), "allowed", "{:#}", event["annotations"]);
    assert_eq!(annotation("pods.guard", "decision"), "allowed");
    let injections: Vec<_> = annotation("pods.inject", "injections").split(',').collect();
    assert!(injections.contains(&"vault-agent") && injections.contains(&"automount-off"), "{injections:?}");
    assert_eq!(
        annotation("pods.guard", "claimed-correlation-id"),
        made["metadata"]["annotations"]["doorward.dev/correlation-id"].as_str().unwrap()
    );
    assert_eq!(annotation("pods.guard", "policy-revision"), annotation("pods.inject", "policy-revision"));

    denied(namespace.cluster.create(&namespace.pod("refused", without(spec(), "serviceAccountName"))).await)
        .by("no-default-service-account");
    let event = shared().creation("pods", &namespace.name, "refused").await;
    assert_eq!(event["responseStatus"]["code"], 403);
    assert_eq!(event["responseStatus"]["reason"], "Forbidden");
    let annotations = &event["annotations"];
    assert_eq!(annotations["pods.guard.doorward.dev/decision"], "denied", "{annotations:#}");
    let violations = annotations["pods.guard.doorward.dev/violations"].as_str().unwrap();
    assert!(violations.contains("no-default-service-account=deny"), "{violations}");
}
