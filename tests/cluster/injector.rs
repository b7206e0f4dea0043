//! A stand-in for Linkerd's proxy injector: a mutating webhook, called after Doorward because its name sorts later.
//!
//! It adds what the real one adds as far as a pod's identity is concerned: the proxy as a native sidecar at the front, the network
//! validator of the CNI mode, the identity token's volume.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::deadline::until;
use crate::namespaces::Namespace;
use crate::objects::{container, spec};
use crate::webhook::Webhook;

/// The proxy's image; the settings' `mesh.proxyImages` allows it.
pub(crate) const PROXY_IMAGE: &str = "cr.l5d.io/linkerd/proxy:edge-26.8.1";

/// A running injector for one namespace.
pub(crate) struct Injector {
    webhook: Webhook,
}

impl Injector {
    /// Starts it and waits until the API server asks it.
    pub(crate) async fn start(namespace: &Namespace) -> Self {
        let injector = Self { webhook: Webhook::serve(Arc::new(|_, pod| patch(pod))).await };
        let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace.name } });
        let name = format!("linkerd-proxy-injector-{}", namespace.name);
        let configuration = injector.webhook.configuration(&name, "/", ("namespaceSelector", selector));
        namespace.cluster.create(&configuration).await.object();
        until("the stand-in injector to be asked", || async {
            let probe = namespace.pod("probe", spec());
            let answer = namespace.cluster.try_out(&probe).await;
            if injector.calls().load(Ordering::Relaxed) > 0 { Ok(()) } else { Err(answer.body["message"].to_string()) }
        })
        .await;
        injector.calls().store(0, Ordering::Relaxed);
        injector
    }

    /// How often it was asked.
    pub(crate) fn calls(&self) -> &AtomicUsize {
        &self.webhook.calls
    }
}

/// Nothing for a pod that has the proxy already.
fn patch(pod: &Value) -> Value {
    let inits = pod["spec"]["initContainers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if inits.iter().any(|init| init["name"] == "linkerd-proxy") {
        return json!([]);
    }
    let mut operations = Vec::new();
    let mut parent = |path: &str, there: &Value, empty: Value| {
        if there.is_null() {
            operations.push(json!({ "op": "add", "path": path, "value": empty }));
        }
    };
    parent("/metadata/annotations", &pod["metadata"]["annotations"], json!({}));
    parent("/spec/initContainers", &pod["spec"]["initContainers"], json!([]));
    parent("/spec/volumes", &pod["spec"]["volumes"], json!([]));
    let mut add = |path: &str, value: Value| operations.push(json!({ "op": "add", "path": path, "value": value }));
    add("/metadata/annotations/linkerd.io~1proxy-version", json!("edge-26.8.1"));
    add("/spec/initContainers/0", validator());
    add("/spec/initContainers/1", proxy());
    add("/spec/volumes/-", json!({ "name": "linkerd-identity-end-entity", "emptyDir": { "medium": "Memory" } }));
    let token = json!({ "audience": "identity.l5d.io", "expirationSeconds": 86400, "path": "linkerd-identity-token" });
    let sources = json!([{ "serviceAccountToken": token }]);
    add("/spec/volumes/-", json!({ "name": "linkerd-identity-token", "projected": { "sources": sources } }));
    Value::Array(operations)
}

fn validator() -> Value {
    let mut validator = container("linkerd-network-validator");
    validator["image"] = json!(PROXY_IMAGE);
    validator["command"] = json!(["/usr/lib/linkerd/linkerd2-network-validator"]);
    validator["args"] = json!(["--log-format", "plain", "--listen-addr", "0.0.0.0:4140", "--timeout", "10s"]);
    validator["securityContext"]["runAsUser"] = json!(65534);
    validator
}

fn proxy() -> Value {
    let mut proxy = container("linkerd-proxy");
    proxy["image"] = json!(PROXY_IMAGE);
    proxy["restartPolicy"] = json!("Always");
    proxy["securityContext"]["runAsUser"] = json!(2102);
    proxy["env"] = json!([
        { "name": "LINKERD2_PROXY_INBOUND_DEFAULT_POLICY", "value": "all-authenticated" },
        { "name": "LINKERD2_PROXY_IDENTITY_TOKEN_FILE", "value": "/var/run/secrets/tokens/linkerd-identity-token" },
    ]);
    proxy["volumeMounts"] = json!([
        { "name": "linkerd-identity-end-entity", "mountPath": "/var/run/linkerd/identity/end-entity" },
        { "name": "linkerd-identity-token", "mountPath": "/var/run/secrets/tokens" },
    ]);
    proxy
}
