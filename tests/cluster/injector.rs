//! A stand-in for Linkerd's proxy injector: a mutating webhook server in the test, called after Doorward because its name sorts later.
//!
//! It adds what the real one adds as far as a pod's identity is concerned: the proxy as a native sidecar at the front, the network
//! validator of the CNI mode, the identity token's volume.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::certificates::{authority, leaf};
use crate::deadline::until;
use crate::namespaces::Namespace;
use crate::objects::{container, spec};

/// The proxy's image; the settings' `mesh.proxyImages` allows it.
pub(crate) const PROXY_IMAGE: &str = "cr.l5d.io/linkerd/proxy:edge-26.8.1";

/// A running injector for one namespace.
pub(crate) struct Injector {
    /// How often it was asked.
    pub(crate) calls: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

impl Injector {
    /// Starts it and waits until the API server asks it.
    pub(crate) async fn start(namespace: &Namespace) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        let acceptor = tls();
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counter) = (acceptor.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = hyper::service::service_fn(move |request| answer(request, Arc::clone(&counter)));
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _client_gone = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        let injector = Self { calls, serving };
        injector.install(namespace, &format!("https://{address}/")).await;
        injector
    }

    async fn install(&self, namespace: &Namespace, url: &str) {
        let name = format!("linkerd-proxy-injector-{}", namespace.name);
        let webhook = json!({
            "name": "linkerd-proxy-injector.linkerd.io",
            "admissionReviewVersions": ["v1"],
            "clientConfig": { "url": url, "caBundle": BASE64.encode(authority().bundle_pem()) },
            "failurePolicy": "Ignore",
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace.name } },
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"] }],
            "sideEffects": "None",
            "timeoutSeconds": 10,
        });
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": name },
            "webhooks": [webhook],
        });
        namespace.cluster.create(&configuration).await.object();
        until("the stand-in injector to be asked", || async {
            let probe = namespace.pod("probe", spec());
            let answer = namespace.cluster.try_out(&probe).await;
            if self.calls.load(Ordering::Relaxed) > 0 { Ok(()) } else { Err(answer.body["message"].to_string()) }
        })
        .await;
        self.calls.store(0, Ordering::Relaxed);
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn tls() -> tokio_rustls::TlsAcceptor {
    let leaf = leaf(&["127.0.0.1"]);
    let certificate = CertificateDer::from_pem_slice(leaf.chain_pem.as_bytes()).expect("made here");
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).expect("made here");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("ring has them");
    let mut config = config.with_no_client_auth().with_single_cert(vec![certificate], key).expect("they belong together");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

async fn answer(request: Request<Incoming>, calls: Arc<AtomicUsize>) -> Result<Response<Full<Bytes>>, Infallible> {
    calls.fetch_add(1, Ordering::Relaxed);
    let bytes = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let review: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let patch = patch(&review["request"]["object"]);
    let reply = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": { "uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch", "patch": BASE64.encode(patch.to_string()) },
    });
    Ok(Response::new(Full::new(reply.to_string().into())))
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
