//! What kinds of requests there are: dry run, a name that is generated, a namespace made just before, subresources, bodies that are no
//! reviews; and what the audit log keeps of an answer.

use serde_json::{Value, json};

use crate::caller;
use crate::client::{MERGE, STRATEGIC};
use crate::controlplane::shared;
use crate::deadline::until;
use crate::door::{cluster, shared_door};
use crate::injected::{ALL, names};
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

/// No cache can have heard of it: the door asks once.
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
    }
}

#[tokio::test]
async fn an_ephemeral_container_is_judged() {
    let namespace = Namespace::make(cluster().await, "ephemeral", &["vault-token", "automount-off"]).await;
    let pod = namespace.cluster.create(&namespace.pod("debugged", spec())).await.object();
    assert_eq!(names(&pod["spec"]["volumes"]), ["vault-token"]);
    let path = namespace.path("v1", "pods/debugged/ephemeralcontainers");
    let add = |container: Value| json!({ "spec": { "ephemeralContainers": [container] } });
    let nosy = with(container("nosy"), "volumeMounts", json!([{ "name": "vault-token", "mountPath": "/t", "readOnly": true }]));
    denied(namespace.cluster.patch(&path, STRATEGIC, &add(nosy)).await)
        .by("no-identity-in-ephemeral-container")
        .at("spec.ephemeralContainers[0].volumeMounts[0]");
    let answer = namespace.cluster.patch(&path, STRATEGIC, &add(container("modest"))).await;
    assert_eq!(names(&answer.object()["spec"]["ephemeralContainers"]), ["modest"]);
}

/// A pod that was let in may be labelled, finished and deleted; what doorward wrote into it stays.
#[tokio::test]
async fn an_update_of_a_pod() {
    let namespace = Namespace::make(cluster().await, "update", ALL).await;
    namespace.cluster.create(&namespace.pod("kept", spec())).await.object();
    let path = namespace.path("v1", "pods/kept");
    let annotate = |key: &str, value: Value| json!({ "metadata": { "annotations": { key: value } } });
    namespace.cluster.patch(&path, MERGE, &json!({ "metadata": { "labels": { "a": "b" } } })).await.object();
    let forged = namespace.cluster.patch(&path, MERGE, &annotate("spiffe.io/spiffe-id", json!("spiffe://evil/ns/a/sa/b"))).await;
    denied(forged).by("correlation-id-integrity").at("metadata.annotations[spiffe.io/spiffe-id]");
    namespace.cluster.delete(&format!("{path}?gracePeriodSeconds=0")).await;
    until("the pod to be gone", || async {
        let answer = namespace.cluster.get(&path).await;
        if answer.code == 404 { Ok(()) } else { Err(answer.body["metadata"].to_string()) }
    })
    .await;
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
    denied(namespace.cluster.create(&namespace.pod("faulty", without(spec(), "serviceAccountName"))).await).by("no-default-service-account");
}

/// The API server's own record of a request holds Doorward's decision, its identifiers and the injections (INV-12).
#[tokio::test]
async fn the_audit_log_tells_the_decision() {
    let namespace = Namespace::make(cluster().await, "audited", ALL).await;
    let made = namespace.cluster.create(&namespace.pod("kept", spec_with_automount_unset())).await.object();
    let event = until("the audit event", || async {
        shared().audited("pods", &namespace.name, "kept").pop().ok_or_else(|| "no event".to_owned())
    })
    .await;
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

    denied(namespace.cluster.create(&namespace.pod("refused", without(spec(), "serviceAccountName"))).await).by("no-default-service-account");
    let event = until("the audit event", || async {
        shared().audited("pods", &namespace.name, "refused").pop().ok_or_else(|| "no event".to_owned())
    })
    .await;
    assert_eq!(event["responseStatus"]["code"], 403);
    assert_eq!(event["responseStatus"]["reason"], "Forbidden");
    let annotations = &event["annotations"];
    assert_eq!(annotations["pods.guard.doorward.dev/decision"], "denied", "{annotations:#}");
    let violations = annotations["pods.guard.doorward.dev/violations"].as_str().unwrap();
    assert!(violations.contains("no-default-service-account=deny"), "{violations}");
}
