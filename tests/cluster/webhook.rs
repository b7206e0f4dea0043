//! A mutating webhook server in the test, for others than Doorward.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use doorward::cluster::authority::Leaf;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::certificates::{authority, leaf};

/// What a webhook makes of a pod, by the path at which it is asked: a JSON Patch.
pub(crate) type Patches = Arc<dyn Fn(&str, &Value) -> Value + Send + Sync>;

/// A running server. It ends when it is dropped.
pub(crate) struct Webhook {
    /// How often it was asked.
    pub(crate) calls: Arc<AtomicUsize>,
    /// Where it is.
    pub(crate) url: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Webhook {
    pub(crate) async fn serve(patches: Patches) -> Self {
        Self::serve_as(&leaf(&["127.0.0.1"]), patches).await
    }

    /// With a certificate of its own.
    pub(crate) async fn serve_as(leaf: &Leaf, patches: Patches) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("https://{}", listener.local_addr().expect("it is bound"));
        let acceptor = tls(leaf);
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counter, patches) = (acceptor.clone(), Arc::clone(&counter), Arc::clone(&patches));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = hyper::service::service_fn(move |request| answer(request, Arc::clone(&counter), Arc::clone(&patches)));
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _client_gone = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { calls, url, serving }
    }

    /// A configuration by which the API server asks it about new pods, at this path. `selector` is one field with its value, which says
    /// about which pods.
    pub(crate) fn configuration(&self, name: &str, path: &str, (field, selector): (&str, Value)) -> Value {
        let mut webhook = json!({
            "name": "stand-in.cluster-test.doorward.dev",
            "admissionReviewVersions": ["v1"],
            "clientConfig": { "url": format!("{}{path}", self.url), "caBundle": BASE64.encode(authority().bundle_pem()) },
            "failurePolicy": "Ignore",
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"] }],
            "sideEffects": "None",
            "timeoutSeconds": 10,
        });
        webhook[field] = selector;
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": name },
            "webhooks": [webhook],
        })
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn tls(leaf: &Leaf) -> tokio_rustls::TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(leaf.chain_pem.as_bytes()).expect("made here");
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).expect("made here");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("ring has them");
    let mut config = config.with_no_client_auth().with_single_cert(vec![certificate], key).expect("they belong together");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

async fn answer(request: Request<Incoming>, calls: Arc<AtomicUsize>, patches: Patches) -> Result<Response<Full<Bytes>>, Infallible> {
    calls.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path().to_owned();
    let bytes = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let review: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let patch = patches(&path, &review["request"]["object"]);
    let reply = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": { "uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch", "patch": BASE64.encode(patch.to_string()) },
    });
    Ok(Response::new(Full::new(reply.to_string().into())))
}
