//! A namespace for each test.

use serde_json::{Value, json};

use crate::client::{Cluster, path_of};
use crate::deadline::until;
use crate::objects::{SERVICE_ACCOUNT, legacy_token, service_account};

/// The label by which a namespace takes part in the mesh rules of the shared door (see [`crate::door::settings`]).
pub(crate) const MESH_LABEL: &str = "cluster-test.doorward.dev/mesh";

/// A namespace's name, and the cluster that holds it. It goes with the control plane.
pub(crate) struct Namespace {
    pub(crate) cluster: Cluster,
    pub(crate) name: String,
}

impl Namespace {
    /// Makes a namespace, with a ServiceAccount `app` in it. `hint` begins its name.
    pub(crate) async fn make(cluster: Cluster, hint: &str, asks_for: &[&str]) -> Self {
        Self::make_with(cluster, hint, asks_for, json!({}), json!({})).await
    }

    /// The same in the mesh.
    pub(crate) async fn make_meshed(cluster: Cluster, hint: &str, asks_for: &[&str], annotations: Value) -> Self {
        Self::make_with(cluster, hint, asks_for, json!({ MESH_LABEL: "on" }), annotations).await
    }

    async fn make_with(cluster: Cluster, hint: &str, asks_for: &[&str], mut labels: Value, annotations: Value) -> Self {
        // What is injected must pass the restricted standard. PodSecurity is asked before validating webhooks: where pods are to be
        // refused, it would answer in Doorward's stead.
        labels["pod-security.kubernetes.io/enforce"] = json!(if asks_for.is_empty() { "privileged" } else { "restricted" });
        let metadata = json!({ "generateName": format!("{hint}-"), "labels": asking(labels, asks_for), "annotations": annotations });
        Self::make_of(cluster, metadata).await
    }

    /// The same under just this name, with a standard of PodSecurity.
    pub(crate) async fn make_named(cluster: Cluster, name: &str, asks_for: &[&str], standard: &str) -> Self {
        let labels = asking(json!({ "pod-security.kubernetes.io/enforce": standard }), asks_for);
        Self::make_of(cluster, json!({ "name": name, "labels": labels })).await
    }

    async fn make_of(cluster: Cluster, metadata: Value) -> Self {
        let made = cluster.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata })).await.object();
        let name = made["metadata"]["name"].as_str().expect("it has one by now").to_owned();
        cluster.create(&service_account(&name, SERVICE_ACCOUNT)).await.object();
        Self { cluster, name }
    }

    /// The path of something in the namespace: `api` is `v1` or such as `apps/v1`, `rest` such as `pods/x`.
    pub(crate) fn path(&self, api: &str, rest: &str) -> String {
        let root = if api.contains('/') { "/apis" } else { "/api" };
        format!("{root}/{api}/namespaces/{}/{rest}", self.name)
    }

    /// A Pod of this namespace.
    pub(crate) fn pod(&self, name: &str, spec: Value) -> Value {
        crate::objects::pod(&self.name, name, spec)
    }
}

/// Labels that ask for injections too.
fn asking(mut labels: Value, injections: &[&str]) -> Value {
    for injection in injections {
        labels[format!("inject.doorward.dev/{injection}")] = json!("true");
    }
    labels
}

/// A namespace with what was there before Doorward came.
pub(crate) const OLDER: &str = "older";

/// The Secret in [`OLDER`] that holds a token without end.
pub(crate) const OLD_TOKEN: &str = "left-over";

/// Makes [`OLDER`]; the token controller fills the Secret.
pub(crate) async fn make_older(cluster: &Cluster) {
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": OLDER } });
    cluster.create(&namespace).await.object();
    cluster.create(&service_account(OLDER, SERVICE_ACCOUNT)).await.object();
    let secret = legacy_token(OLDER, OLD_TOKEN, SERVICE_ACCOUNT);
    cluster.create(&secret).await.object();
    until("the token controller to fill the Secret", || async {
        let kept = cluster.get(&path_of(&secret)).await.object();
        if kept["data"]["token"].is_string() { Ok(()) } else { Err(kept["metadata"].to_string()) }
    })
    .await;
}
