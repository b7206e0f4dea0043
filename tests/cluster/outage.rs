//! With Doorward gone, what it guards waits, and everything else goes on: the API server restarts, workloads scale, Jobs complete,
//! namespaces come and go (hardening B1, B2, B5).

use serde_json::{Value, json};

use crate::client::{Cluster, MERGE, path_of};
use crate::controlplane::turn;
use crate::deadline::until;
use crate::door::{Door, Flags};
use crate::namespaces::Namespace;
use crate::objects::{spec, workloads};
use crate::{kubelet, webhooks};

async fn pods(namespace: &Namespace) -> Vec<Value> {
    namespace.cluster.list(&namespace.path("v1", "pods")).await
}

/// A guarded request fails closed, and says who did not answer.
async fn assert_closed(namespace: &Namespace) {
    let answer = namespace.cluster.create(&namespace.pod("unjudged", spec())).await;
    let message = answer.body["message"].as_str().unwrap_or_default();
    assert_eq!(answer.code, 500, "{message}");
    assert!(message.contains("failed calling webhook \"pods.inject.doorward.dev\""), "{message}");
}

#[tokio::test]
async fn the_cluster_goes_on() {
    let (control_plane, _turn) = turn().await;
    let cluster = control_plane.cluster().await;
    let door = Door::open(&Flags::on_loopback(&control_plane.kubeconfig())).await;
    webhooks::install(control_plane, webhooks::Way::Url(door.address)).await;
    let namespace = Namespace::make(cluster.clone(), "outage", &["spiffe-csi"]).await;
    let all = workloads(&namespace.name, "kept", &spec());
    let of = |kind: &str| all.iter().find(|(workload, _)| workload["kind"] == kind).map(|(workload, _)| workload.clone()).unwrap();
    let (deployment, mut job) = (of("Deployment"), of("Job"));
    job["spec"]["suspend"] = json!(false);
    cluster.create(&deployment).await.object();
    cluster.create(&job).await.object();
    let finishing = until("the Job's pod", || async { pods(&namespace).await.pop().ok_or_else(|| "no pod yet".to_owned()) }).await;
    // A bootstrap role that is missing is what an upgrade of Kubernetes brings.
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node-proxier";
    cluster.delete(role).await.object();

    door.kill().await;
    assert_closed(&namespace).await;

    control_plane.command("restart-apiserver").await;
    until("the bootstrap role to be there again", || async {
        let answer = cluster.get(role).await;
        if answer.code == 200 { Ok(()) } else { Err(answer.body["message"].to_string()) }
    })
    .await;
    control_plane.command("restart-kcm").await;

    // The Job's pod loses its finalizer, and the Job completes.
    kubelet::succeed(&cluster, &finishing).await;
    until("the Job to complete", || async {
        let job = cluster.get(&path_of(&job)).await.object();
        if job["status"]["succeeded"] == 1 { Ok(()) } else { Err(job["status"].to_string()) }
    })
    .await;

    // The Deployment is scaled, and so is its ReplicaSet; the pod itself must wait.
    let scale = json!({ "spec": { "replicas": 1 } });
    cluster.patch(&path_of(&deployment), MERGE, &scale).await.object();
    let sets = namespace.path("apps/v1", "replicasets");
    until("the ReplicaSet to be scaled, and to be told why it has no pod", || async {
        let sets = cluster.list(&sets).await;
        let Some(set) = sets.iter().find(|set| set["metadata"]["ownerReferences"][0]["kind"] == "Deployment") else {
            return Err("no ReplicaSet".to_owned());
        };
        let failure = &set["status"]["conditions"][0];
        let told = failure["type"] == "ReplicaFailure" && failure["message"].as_str().is_some_and(|text| text.contains("doorward.dev"));
        if set["spec"]["replicas"] == 1 && told { Ok(()) } else { Err(set["status"].to_string()) }
    })
    .await;

    a_namespace_comes_and_goes(&cluster).await;
    a_lease_is_renewed(&cluster).await;

    // It comes back at the same address, and what waited is let in.
    let listen = door_address(&cluster).await;
    let door = Door::open(&Flags { listen: &listen, ..Flags::on_loopback(&control_plane.kubeconfig()) }).await;
    control_plane.command("restart-kcm").await;
    let pod = until("the Deployment's pod", || async {
        let pods = pods(&namespace).await;
        pods.into_iter()
            .find(|pod| {
                pod["metadata"]["generateName"].as_str().is_some_and(|name| name.starts_with("kept-"))
                    && pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
            })
            .ok_or_else(|| "no pod yet".to_owned())
    })
    .await;
    assert_eq!(crate::injected::names(&pod["spec"]["volumes"]), ["spiffe-workload-api"]);
    drop(door);
}

/// Namespaces are guarded when they are made or changed by people; their end is the controllers' work, and never waits.
async fn a_namespace_comes_and_goes(cluster: &Cluster) {
    let made = |name: &str| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    let name = format!("passing-{}", std::process::id());
    let answer = cluster.create(&made(&name)).await;
    assert_eq!(answer.code, 500, "a Namespace is guarded: {}", answer.body["message"]);
    let probe = cluster.get("/api/v1/namespaces/webhook-probe").await.object();
    cluster.delete(&path_of(&probe)).await.object();
    until("the namespace to be gone", || async {
        let answer = cluster.get(&path_of(&probe)).await;
        if answer.code == 404 { Ok(()) } else { Err(answer.body["status"].to_string()) }
    })
    .await;
}

/// Leader elections and node heartbeats are nobody's business.
async fn a_lease_is_renewed(cluster: &Cluster) {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "namespace": "default", "name": "elected" },
        "spec": { "holderIdentity": "a" },
    });
    cluster.create(&lease).await.object();
    cluster.patch(&path_of(&lease), MERGE, &json!({ "spec": { "holderIdentity": "b" } })).await.object();
    let map =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "namespace": "default", "name": "ca" }, "data": { "a": "b" } });
    cluster.create(&map).await.object();
}

/// Where the API server looks for Doorward: the address of the door that is gone.
async fn door_address(cluster: &Cluster) -> String {
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/doorward";
    let url = cluster.get(path).await.object()["webhooks"][0]["clientConfig"]["url"].as_str().unwrap_or_default().to_owned();
    url.trim_start_matches("https://").split('/').next().unwrap_or_default().to_owned()
}
