//! With Doorward gone, what it guards waits, and everything else goes on: the API server restarts, workloads scale, Jobs complete,
//! namespaces come and go (hardening B1, B2, B5).

use serde_json::{Value, json};

use crate::client::{Answer, Cluster, MERGE, path_of};
use crate::controlplane::{ControlPlane, turn};
use crate::deadline::until;
use crate::door::{Door, Flags};
use crate::namespaces::Namespace;
use crate::objects::{legacy_token, mounting, pod, service_account, spec, with, workloads};
use crate::webhooks::{SERVICE_NAMES, Way, service_address};
use crate::{kubelet, webhooks};

/// A policy that looks at everything the built-in ones leave out, so that the webhooks cover what they ever may.
const EVERYTHING: &str = r#"
apiVersion: doorward.dev/v1alpha1
kind: IdentityPolicy
metadata: { name: cluster-test-everything }
spec:
  title: Every request is looked at
  invariants: [INV-10]
  severity: low
  enforcement: Audit
  rules:
  - match:
      resourceRules:
      - { apiGroups: [rbac.authorization.k8s.io], apiVersions: [v1], resources: [clusterroles, clusterrolebindings, roles, rolebindings] }
      - { apiGroups: [""], apiVersions: [v1], resources: [serviceaccounts, serviceaccounts/token, namespaces, secrets, configmaps] }
    validations:
    - expression: "true"
      message: never said
"#;

async fn pods(namespace: &Namespace) -> Vec<Value> {
    namespace.cluster.list(&namespace.path("v1", "pods")).await
}

/// A guarded request fails closed, and says who did not answer.
#[track_caller]
fn assert_closed(answer: &Answer, entry: &str) {
    let message = answer.body["message"].as_str().unwrap_or_default();
    assert_eq!(answer.code, 500, "{entry}: {message}");
    assert!(message.contains(&format!("failed calling webhook \"{entry}.doorward.dev\"")), "{message}");
}

#[tokio::test]
async fn the_cluster_goes_on() {
    let (control_plane, _turn) = turn().await;
    let cluster = control_plane.cluster().await;
    let policies = crate::controlplane::directory("policies");
    std::fs::write(policies.join("policy.yaml"), EVERYTHING).expect("the test's directory is writable");
    let more = ["--policies", policies.to_str().expect("a path in UTF-8")];
    let kubeconfig = control_plane.kubeconfig();
    let address = service_address(&cluster).await;
    let flags = Flags { listen: &address, names: SERVICE_NAMES, more: &more, ..Flags::on_loopback(&kubeconfig) };
    let door = Door::open(&flags).await;
    webhooks::install(control_plane, Way::Service, &more).await;
    let namespace = Namespace::make(cluster.clone(), "outage", &["spiffe-csi"]).await;
    let all = workloads(&namespace.name, "kept", &spec());
    let of = |kind: &str| all.iter().find(|(workload, _)| workload["kind"] == kind).map(|(workload, _)| workload.clone()).unwrap();
    let (deployment, mut job) = (of("Deployment"), of("Job"));
    job["spec"]["suspend"] = json!(false);
    cluster.create(&deployment).await.object();
    cluster.create(&job).await.object();
    let running = json!(kubelet::NODE);
    let running = cluster.create(&namespace.pod("running", with(vault_client(), "nodeName", running))).await.object();
    let finishing = until("the Job's pod", || async {
        let owned = |pod: &Value| pod["metadata"]["ownerReferences"][0]["kind"] == "Job";
        pods(&namespace).await.into_iter().find(owned).ok_or_else(|| "no pod yet".to_owned())
    })
    .await;
    // A bootstrap role that is missing is what an upgrade of Kubernetes brings.
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node-proxier";
    cluster.delete(role).await.object();

    door.kill().await;
    assert_closed(&cluster.create(&namespace.pod("unjudged", spec())).await, "pods.inject");
    what_people_do_waits(&namespace).await;

    control_plane.command("restart-apiserver").await;
    let answer = cluster.get(role).await;
    assert_eq!(answer.code, 200, "the API server repairs its roles before it is ready: {}", answer.body["message"]);
    control_plane.command("restart-kcm").await;

    what_nodes_and_controllers_do_goes_on(control_plane, &namespace, &running).await;

    // The Job's pod loses its finalizer, and the Job completes.
    kubelet::succeed(&cluster, &finishing).await;
    until("the Job to complete", || async {
        let job = cluster.get(&path_of(&job)).await.object();
        if job["status"]["succeeded"] == 1 { Ok(()) } else { Err(job["status"].to_string()) }
    })
    .await;

    // What makes other pods waits; what does not, passes.
    let template = |image: &str| json!({ "spec": { "template": { "metadata": { "annotations": { "image": image } } } } });
    assert_closed(&cluster.patch(&path_of(&deployment), MERGE, &template("2")).await, "workloads.guard");
    let note = json!({ "metadata": { "annotations": { "note": "x" }, "finalizers": ["cluster-test.doorward.dev/held"] } });
    cluster.patch(&path_of(&deployment), MERGE, &note).await.object();
    cluster.patch(&path_of(&deployment), MERGE, &json!({ "metadata": { "finalizers": null } })).await.object();

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

    a_namespace_goes(&cluster).await;
    a_namespace_comes(&cluster).await;

    // It comes back at the same address, and what waited is let in.
    let door = Door::open(&flags).await;
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

/// A pod with a token for Vault, as a running pod has it.
fn vault_client() -> Value {
    let token = json!({ "serviceAccountToken": { "audience": "vault", "expirationSeconds": 600, "path": "token" } });
    mounting(spec(), json!({ "name": "vault-token", "projected": { "sources": [token] } }), "/var/run/secrets/vault")
}

/// Each guarded shape of request fails closed.
async fn what_people_do_waits(namespace: &Namespace) {
    let cluster = &namespace.cluster;
    let metadata = json!({ "namespace": namespace.name, "name": "new" });
    let named = json!({ "name": format!("new-in-{}", namespace.name) });
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": named, "rules": [] });
    assert_closed(&cluster.create(&role).await, "grants.guard");
    let moved = json!({ "metadata": { "annotations": { "linkerd.io/inject": "disabled" } } });
    assert_closed(&cluster.patch(&format!("/api/v1/namespaces/{}", namespace.name), MERGE, &moved).await, "grants.guard");
    assert_closed(&cluster.create(&service_account(&namespace.name, "new")).await, "grants.guard");
    assert_closed(&cluster.create(&legacy_token(&namespace.name, "new", "app")).await, "legacytokens.guard");
    for (workload, _) in workloads(&namespace.name, "new", &spec()) {
        assert_closed(&cluster.create(&workload).await, "workloads.guard");
    }
    let token = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": { "audiences": ["vault"] } });
    assert_closed(&cluster.post(&namespace.path("v1", "serviceaccounts/app/token"), &token).await, "tokens.guard");

    // What is only watched passes, and so does what Doorward itself and the system need.
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "a": "b" } });
    cluster.create(&map).await.object();
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": { "a": "b" } });
    cluster.create(&secret).await.object();
    let lease = json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": { "holderIdentity": "a" } });
    cluster.create(&lease).await.object();
    cluster.patch(&path_of(&lease), MERGE, &json!({ "spec": { "holderIdentity": "b" } })).await.object();
    cluster.create(&pod("kube-system", "needed", with(spec(), "serviceAccountName", json!("default")))).await.object();
}

/// A kubelet gets the tokens of running pods, a pod is reported on and ends, an account that is missing comes back (B2, B13).
async fn what_nodes_and_controllers_do_goes_on(control_plane: &'static ControlPlane, namespace: &Namespace, running: &Value) {
    let node = control_plane.cluster_as(kubelet::USER, kubelet::GROUPS).await;
    let tokens = kubelet::tokens(&node, running).await;
    assert_eq!(tokens.iter().map(|token| token.claims["aud"].clone()).collect::<Vec<_>>(), [json!(["vault"])]);
    kubelet::succeed(&namespace.cluster, running).await;
    namespace.cluster.delete(&namespace.path("v1", "pods/running?gracePeriodSeconds=0")).await.object();

    let account = namespace.path("v1", "serviceaccounts/default");
    let before = namespace.cluster.get(&account).await.object()["metadata"]["uid"].clone();
    namespace.cluster.delete(&account).await;
    until("the ServiceAccount `default` to be made again", || async {
        let answer = namespace.cluster.get(&account).await;
        if answer.code == 200 && answer.body["metadata"]["uid"] != before { Ok(()) } else { Err(answer.body.to_string()) }
    })
    .await;
}

/// A namespace can be made while Doorward is away, and the controllers give it its ServiceAccount.
async fn a_namespace_comes(cluster: &Cluster) {
    let made = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "made-in-an-outage" } });
    cluster.create(&made).await.object();
    until("the ServiceAccount `default` of the new namespace", || async {
        let answer = cluster.get("/api/v1/namespaces/made-in-an-outage/serviceaccounts/default").await;
        if answer.code == 200 { Ok(()) } else { Err(answer.body.to_string()) }
    })
    .await;
}

/// A namespace's end is the controllers' work, and never waits.
async fn a_namespace_goes(cluster: &Cluster) {
    let probe = cluster.get("/api/v1/namespaces/webhook-probe").await.object();
    cluster.delete(&path_of(&probe)).await.object();
    until("the namespace to be gone", || async {
        let answer = cluster.get(&path_of(&probe)).await;
        if answer.code == 404 { Ok(()) } else { Err(answer.body["status"].to_string()) }
    })
    .await;
}
