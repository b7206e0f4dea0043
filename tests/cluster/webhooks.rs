//! The webhook configurations: installed as an operator does, and waited for until the API server acts on them.

use std::net::SocketAddr;
use std::process::Command;

use doorward::admission::CONFIGURATION_NAME;
use serde_json::json;

use crate::certificates::authority;
use crate::client::{Answer, Cluster, MERGE, path_of};
use crate::controlplane::ControlPlane;
use crate::deadline::until;
use crate::objects::{SERVICE_ACCOUNT, pod, service_account, spec, with, without};

/// The namespace that Doorward would run in; no webhook is called for it.
const OWN_NAMESPACE: &str = "doorward";

/// Doorward's Service there, its port, and the names that a door's certificate needs behind it.
const SERVICE: &str = "doorward";
pub(crate) const SERVICE_NAMES: &[&str] = &["doorward.doorward.svc", "127.0.0.1"];
const PORT: u16 = 8443;

/// A namespace in which nothing is kept.
const PROBE: &str = "webhook-probe";

/// How the API server reaches a door.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// By URL on this machine: HTTP/2.
    Url(SocketAddr),
    /// By Doorward's Service: HTTP/1.1.
    Service,
}

/// Makes the Service and gives its address, which is this machine's.
pub(crate) async fn service_address(cluster: &Cluster) -> String {
    cluster.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": OWN_NAMESPACE } })).await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": OWN_NAMESPACE, "name": SERVICE },
        "spec": { "selector": { "app": "doorward" }, "ports": [{ "port": PORT }] },
    });
    let path = path_of(&service);
    if cluster.get(&path).await.code == 404 {
        cluster.create(&service).await.object();
    }
    let address = cluster.get(&path).await.object()["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    format!("{address}:{PORT}")
}

/// Applies both configurations with `doorward webhooks apply` and waits until the API server calls both webhooks.
/// `more` are further flags, such as those that name policies.
pub(crate) async fn install(control_plane: &ControlPlane, way: Way, more: &[&str]) {
    let directory = crate::controlplane::directory("webhooks");
    let bundle = directory.join("ca.crt");
    std::fs::write(&bundle, authority().bundle_pem()).expect("the test's directory is writable");
    let mut apply = Command::new(env!("CARGO_BIN_EXE_doorward"));
    apply.args(["webhooks", "apply", "--kubeconfig"]).arg(control_plane.kubeconfig()).arg("--ca-file").arg(&bundle);
    match way {
        Way::Url(address) => apply.arg("--url").arg(format!("https://{address}")),
        Way::Service => apply.args(["--service", &format!("{OWN_NAMESPACE}/{SERVICE}"), "--port", &PORT.to_string()]),
    };
    let applied = apply.args(more).output().expect("the binary runs");
    let (told, complained) = (String::from_utf8_lossy(&applied.stdout), String::from_utf8_lossy(&applied.stderr));
    assert!(applied.status.success(), "{}: {complained}", applied.status);
    assert!(told.contains("ValidatingWebhookConfiguration") && told.contains("MutatingWebhookConfiguration"), "{told}");
    in_force(&control_plane.cluster().await).await;
}

/// Lets one of the configurations point at another door: `resource` is its plural. The API server learns of it a moment later.
pub(crate) async fn move_to(cluster: &Cluster, resource: &str, address: SocketAddr) {
    let path = format!("/apis/admissionregistration.k8s.io/v1/{resource}/{CONFIGURATION_NAME}");
    let mut configuration = cluster.get(&path).await.object();
    for webhook in configuration["webhooks"].as_array_mut().expect("entries") {
        let url = webhook["clientConfig"]["url"].as_str().expect("by URL").rsplit('/').next().unwrap_or_default().to_owned();
        webhook["clientConfig"]["url"] = json!(format!("https://{address}/{url}"));
    }
    cluster.patch(&path, MERGE, &json!({ "webhooks": configuration["webhooks"] })).await.object();
}

/// Removes both configurations with `doorward webhooks remove` and waits until the API server calls neither.
pub(crate) async fn remove(control_plane: &ControlPlane) {
    let mut remove = Command::new(env!("CARGO_BIN_EXE_doorward"));
    let removed = remove.args(["webhooks", "remove", "--kubeconfig"]).arg(control_plane.kubeconfig()).output().expect("the binary runs");
    let told = String::from_utf8_lossy(&removed.stdout);
    assert!(removed.status.success(), "{}: {}", removed.status, String::from_utf8_lossy(&removed.stderr));
    if told.trim() == "there was none" {
        return;
    }
    assert!(told.contains("ValidatingWebhookConfiguration") && told.contains("MutatingWebhookConfiguration"), "{told}");
    let cluster = control_plane.cluster().await;
    until("the webhooks to be gone", || async {
        let answer = faulty(&cluster).await;
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
