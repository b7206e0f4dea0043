//! A waiver in the cluster: asked for by one user, approved by another, for one namespace and not for its namesake.

use serde_json::{Value, json};

use crate::client::{Answer, Cluster, MERGE, path_of};
use crate::controlplane::turn;
use crate::deadline::until;
use crate::door::{Door, Flags};
use crate::namespaces::Namespace;
use crate::objects::{SERVICE_ACCOUNT, service_account, spec, with};
use crate::refusal::denied;
use crate::webhooks::{self, Way};

const RULE: &str = "no-host-namespaces";
const APPROVERS: &str = "cluster-test:security";

/// The definition as it is shipped.
const DEFINITION: &str = include_str!("../../deploy/kustomize/base/identitywaivers.yaml");

async fn install(cluster: &Cluster) -> Value {
    let loaded = doorward::manifest::read("identitywaivers.yaml", DEFINITION);
    assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
    let [document] = &loaded.documents[..] else { panic!("one document") };
    let definition: Value = serde_json::from_str(&document.object.root().to_json()).expect("an object is JSON");
    cluster.create(&definition).await.object();
    until("the waivers to be served", || async {
        let answer = cluster.get("/apis/doorward.dev/v1alpha1/identitywaivers").await;
        if answer.code == 200 { Ok(()) } else { Err(answer.body.to_string()) }
    })
    .await;
    definition
}

/// In 30 days, as RFC 3339.
fn soon() -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(30 * 24)).to_string()
}

fn waiver(namespace: &str) -> Value {
    json!({
        "apiVersion": "doorward.dev/v1alpha1", "kind": "IdentityWaiver", "metadata": { "name": "host-network" },
        "spec": {
            "rules": [RULE], "subject": { "namespace": namespace, "serviceAccount": SERVICE_ACCOUNT },
            "owner": "team", "reason": "leaves the node's network this month", "ticket": "T-1", "expiresAt": soon(),
        },
    })
}

async fn approve(by: &Cluster, waiver: &Value) -> Answer {
    by.patch(&path_of(waiver), MERGE, &json!({ "status": { "approvedBy": "me" } })).await
}

/// Waits until the gauge shows exactly one waiver, in this state: the next tick of the reload.
async fn shown(door: &Door, state: &str) {
    until(&format!("the waiver to be shown as {state}"), || async {
        let of = |labels: &[&str]| door.metric("doorward_waivers", labels);
        let label = format!("state=\"{state}\"");
        if (of(&[&label]), of(&[])) == (1.0, 1.0) { Ok(()) } else { Err(door.probe("/metrics").1) }
    })
    .await;
}

#[tokio::test]
async fn one_asks_another_approves_and_a_namesake_inherits_nothing() {
    let (control_plane, _turn) = turn().await;
    let cluster = control_plane.cluster().await;
    let definition = install(&cluster).await;
    let kubeconfig = control_plane.kubeconfig();
    let mut settings = crate::door::settings();
    settings["waiver"] = json!({ "approvers": [APPROVERS] });
    let door = Door::open(&Flags { settings, more: &["--reload-every", "1"], ..Flags::on_loopback(&kubeconfig) }).await;
    webhooks::install(control_plane, Way::Url(door.address), &[]).await;
    // Administrators all, so that nothing but the door refuses.
    let ann = control_plane.cluster_as("ann", &["system:masters", APPROVERS]).await;
    let bob = control_plane.cluster_as("bob", &["system:masters", APPROVERS]).await;
    let eve = control_plane.cluster_as("eve", &["system:masters"]).await;

    let namespace = Namespace::make(control_plane.cluster().await, "waived", &[]).await;
    let pod = namespace.pod("on-the-node", with(spec(), "hostNetwork", json!(true)));
    denied(cluster.try_out(&pod).await).by(RULE).at("spec.hostNetwork").in_all(1);

    // What the author writes of an approval is replaced.
    let mut asked = waiver(&namespace.name);
    asked["status"] = json!({ "requestedBy": "bob", "approvedBy": "bob" });
    let made = ann.create(&asked).await.object();
    assert_eq!(made["status"]["requestedBy"], "ann");
    assert_eq!(made["status"].get("approvedBy").filter(|by| !by.is_null()), None, "{}", made["status"]);
    shown(&door, "pending").await;
    denied(cluster.try_out(&pod).await).by(RULE);

    denied(approve(&ann, &asked).await).by("identity-waiver").at("status.approvedBy");
    denied(approve(&eve, &asked).await).by("identity-waiver").at("status.approvedBy");
    // Somebody else moves its end by a second and is the last who asked; its maker is not forgotten by that.
    let moved = json!({ "spec": { "expiresAt": soon() }, "status": { "requesters": ["nobody"] } });
    let renewed = eve.patch(&path_of(&asked), MERGE, &moved).await.object();
    assert_eq!(renewed["status"]["requesters"], json!(["ann", "eve"]), "{}", renewed["status"]);
    denied(approve(&ann, &asked).await).by("identity-waiver").at("status.approvedBy");
    let status = approve(&bob, &asked).await.object()["status"].take();
    assert_eq!((&status["requestedBy"], &status["approvedBy"]), (&json!("eve"), &json!("bob")), "{status}");
    assert_eq!(status["boundUIDs"]["waiver"], made["metadata"]["uid"]);
    shown(&door, "unused").await;

    let lifted = door.metric("doorward_waived_violations_total", &[RULE]);
    until("the approved waiver to lift the refusal", || async {
        let answer = cluster.try_out(&pod).await;
        if answer.code == 201 { Ok(()) } else { Err(answer.body["message"].to_string()) }
    })
    .await;
    assert!(door.metric("doorward_waived_violations_total", &[RULE]) > lifted, "{}", door.probe("/metrics").1);
    shown(&door, "active").await;
    let other = namespace.pod("other", with(with(spec(), "hostNetwork", json!(true)), "serviceAccountName", json!("default")));
    denied(cluster.try_out(&other).await).by(RULE);

    // Another namespace of the same name, with a ServiceAccount of the same name.
    let path = format!("/api/v1/namespaces/{}", namespace.name);
    cluster.delete(&path).await;
    until("the namespace to go", || async {
        let answer = cluster.get(&path).await;
        if answer.code == 404 { Ok(()) } else { Err(answer.body["status"].to_string()) }
    })
    .await;
    let labels = json!({ "pod-security.kubernetes.io/enforce": "privileged" });
    let again = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace.name, "labels": labels } });
    cluster.create(&again).await.object();
    cluster.create(&service_account(&namespace.name, SERVICE_ACCOUNT)).await.object();
    // The door may know the old one for a moment; then it never again lets the pod in.
    until("the namesake to be known", || async {
        let answer = cluster.try_out(&pod).await;
        if answer.code == 403 { Ok(()) } else { Err(answer.body["metadata"].to_string()) }
    })
    .await;
    denied(cluster.try_out(&pod).await).by(RULE).at("spec.hostNetwork").in_all(1);

    cluster.delete(&path_of(&asked)).await.object();
    cluster.delete(&path_of(&definition)).await;
    drop(door);
}
