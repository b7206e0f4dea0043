//! The webhook configurations: installed as an operator does, and waited for until the API server acts on them.

use doorward::admission::{Coverage, Installation, OnFailure, Target, configurations};
use doorward::cluster::installation;
use serde_json::json;

use crate::certificates::authority;
use crate::client::{Answer, Cluster};
use crate::deadline::until;
use crate::objects::{SERVICE_ACCOUNT, pod, service_account, spec, with, without};

/// The namespace that Doorward would run in; no webhook is called for it.
pub(crate) const OWN_NAMESPACE: &str = "doorward";

/// A namespace in which nothing is kept.
const PROBE: &str = "webhook-probe";

/// The API server calls a server on this machine by URL, over HTTP/2.
pub(crate) fn by_url(base: &str) -> Target {
    Target::Url { base: base.to_owned(), ca_bundle_pem: authority().bundle_pem().to_owned() }
}

/// The API server calls a Service of [`OWN_NAMESPACE`], over HTTP/1.1.
pub(crate) fn by_service(name: &str, port: u16) -> Target {
    let (namespace, ca_bundle_pem) = (OWN_NAMESPACE.to_owned(), authority().bundle_pem().to_owned());
    Target::Service { namespace, name: name.to_owned(), port, ca_bundle_pem }
}

/// Applies both configurations and waits until the API server calls both webhooks.
pub(crate) async fn install(cluster: &Cluster, target: Target) {
    apply(cluster, target).await;
    in_force(cluster).await;
}

/// Applies both configurations.
pub(crate) async fn apply(cluster: &Cluster, target: Target) {
    let installation = Installation {
        target,
        own_namespace: OWN_NAMESPACE.to_owned(),
        bootstrap_namespaces: Vec::new(),
        on_failure: OnFailure::Fail,
    };
    let (mutating, validating) = configurations(&installation, &Coverage::everything());
    installation::apply(&cluster.client, &mutating, &validating).await.expect("the API server takes the configurations");
}

/// Removes both configurations and waits until the API server calls neither.
pub(crate) async fn remove(cluster: &Cluster) {
    if installation::remove(&cluster.client).await.expect("the API server removes the configurations").is_empty() {
        return;
    }
    until("the webhooks to be gone", || async {
        let answer = faulty(cluster).await;
        if answer.code == 201 { Ok(()) } else { Err(answer.body.to_string()) }
    })
    .await;
}

/// Waits until a pod is injected and a faulty pod is refused: the API server learns of the two configurations apart.
async fn in_force(cluster: &Cluster) {
    until("the validating webhook to be called", || async {
        let answer = faulty(cluster).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        if answer.code == 403 && message.contains("doorward refuses") { Ok(()) } else { Err(answer.body.to_string()) }
    })
    .await;
    until("the mutating webhook to be called", || async {
        let answer = cluster.try_out(&pod(PROBE, "sound", spec())).await;
        let annotations = &answer.body["metadata"]["annotations"];
        if annotations.get("spiffe.io/spiffe-id").is_some() { Ok(()) } else { Err(answer.body.to_string()) }
    })
    .await;
}

/// Tries out a pod that every set of rules refuses. The namespace is made before the webhooks that might refuse it are there, or was.
async fn faulty(cluster: &Cluster) -> Answer {
    let faulty = pod(PROBE, "faulty", with(without(spec(), "serviceAccountName"), "hostPID", json!(true)));
    let answer = cluster.try_out(&faulty).await;
    if answer.code == 404 || answer.body["message"].as_str().is_some_and(|message| message.contains("serviceaccount")) {
        let labels = json!({ "inject.doorward.dev/spiffe-id": "true" });
        let metadata = json!({ "name": PROBE, "labels": labels });
        cluster.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata })).await;
        for name in ["default", SERVICE_ACCOUNT] {
            cluster.create(&service_account(PROBE, name)).await;
        }
    }
    answer
}
