//! The kubelet's part: tokens for exactly what a pod's projected volumes say, asked for as the node would.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::client::Cluster;
use crate::deadline::until;

/// A node that the API server believes in.
pub(crate) const NODE: &str = "node-1";

/// The requester that a kubelet is.
pub(crate) const USER: &str = "system:node:node-1";
pub(crate) const GROUPS: &[&str] = &["system:nodes", "system:authenticated"];

/// Makes [`NODE`] known: pods on a node that nobody knows are removed after a while. It takes no pod by itself.
pub(crate) async fn register(cluster: &Cluster) {
    let spec = json!({ "taints": [{ "key": "cluster-test.doorward.dev/played", "effect": "NoSchedule" }] });
    cluster.create(&json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": NODE }, "spec": spec })).await.object();
}

/// A token in a container's file system.
#[derive(Debug)]
pub(crate) struct Mounted {
    /// The volume that holds it, and the file in it.
    pub(crate) volume: String,
    pub(crate) file: String,
    pub(crate) token: String,
    /// The claims of the token.
    pub(crate) claims: Value,
}

/// Asks TokenRequest for every `serviceAccountToken` source of a pod that is bound to [`NODE`].
pub(crate) async fn tokens(kubelet: &Cluster, pod: &Value) -> Vec<Mounted> {
    let metadata = &pod["metadata"];
    let account = pod["spec"]["serviceAccountName"].as_str().expect("the API server fills it in");
    let namespace = metadata["namespace"].as_str().expect("a pod has one");
    let mut tokens = Vec::new();
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        for source in volume["projected"]["sources"].as_array().into_iter().flatten() {
            let wanted = &source["serviceAccountToken"];
            if wanted.is_null() {
                continue;
            }
            let audiences: Vec<&Value> = wanted.get("audience").into_iter().collect();
            let bound = json!({ "apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"] });
            let spec = json!({ "audiences": audiences, "expirationSeconds": wanted["expirationSeconds"], "boundObjectRef": bound });
            let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec });
            let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
            // The admission plugin that keeps a kubelet to its own pods knows them by its cache, a moment after they are made.
            let answer = until("the API server to know the pod", || async {
                let answer = kubelet.post(&path, &request).await;
                if answer.code == 404 { Err(answer.body["message"].to_string()) } else { Ok(answer.object()) }
            })
            .await;
            let token = text(&answer["status"]["token"]);
            let (volume, file) = (text(&volume["name"]), text(&wanted["path"]));
            tokens.push(Mounted { volume, file, claims: claims(&token), token });
        }
    }
    tokens
}

/// The files of a volume that is a whole ConfigMap or Secret: name and content.
pub(crate) async fn files(kubelet: &Cluster, pod: &Value, volume: &Value) -> Vec<(String, String)> {
    let namespace = text(&pod["metadata"]["namespace"]);
    let (resource, name) = match (&volume["configMap"]["name"], &volume["secret"]["secretName"]) {
        (Value::String(name), _) => ("configmaps", name),
        (_, Value::String(name)) => ("secrets", name),
        _ => return Vec::new(),
    };
    // A node may read what its pods mount: the API server knows that by its cache, a moment after they are made.
    let kept = until("the API server to show the kubelet a volume's source", || async {
        let answer = kubelet.get(&format!("/api/v1/namespaces/{namespace}/{resource}/{name}")).await;
        if answer.code == 403 { Err(answer.body["message"].to_string()) } else { Ok(answer.object()) }
    })
    .await;
    let decoded = |value: &Value| {
        let text = text(value);
        if resource == "configmaps" {
            return text;
        }
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
        String::from_utf8(bytes).expect("these tests keep texts only")
    };
    kept["data"].as_object().into_iter().flatten().map(|(key, value)| (key.clone(), decoded(value))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// The claims of a signed token.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&bytes).expect("claims")
}

/// Reports that a pod's containers have run to their end.
pub(crate) async fn succeed(cluster: &Cluster, pod: &Value) {
    let path = format!("{}/status", crate::client::path_of(&with_type(pod)));
    cluster.patch(&path, crate::client::MERGE, &json!({ "status": { "phase": "Succeeded" } })).await.object();
}

/// Items of a list do not say what they are.
fn with_type(pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod
}
