//! The shell over real sockets and real TLS on loopback. Nothing sleeps to wait for something: tests wait for answers, ends of
//! connections and notifications; the only clocks are the limits under test.

mod client;
mod drain;
mod hooks;
mod operations;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use tokio::sync::{Notify, Semaphore};

use super::*;
use crate::cluster::Authority;
use client::{Client, Trusted};

/// A gate that does what the body says: `panic`, `wait` (until released), else it answers who asked.
struct Scripted {
    ready: AtomicBool,
    /// Reviews begun, over HTTP/1.1 and HTTP/2.
    begun: [AtomicUsize; 2],
    /// A permit for each review that has begun to wait.
    waiting: Semaphore,
    release: Notify,
}

impl Scripted {
    fn ready() -> Arc<Self> {
        Arc::new(Self { ready: true.into(), begun: Default::default(), waiting: Semaphore::new(0), release: Notify::new() })
    }
}

impl Gate for Scripted {
    async fn review(&self, hook: Hook, body: Bytes, caller: Caller) -> Reply {
        self.begun[usize::from(caller.http == http::Version::HTTP_2)].fetch_add(1, Ordering::Relaxed);
        match body.as_ref() {
            b"panic" => panic!("with a token: s3cret"),
            b"busy namespace" => return Reply::overloaded("namespace `team-a` has a quarter of all work in flight"),
            b"wait" => {
                let released = self.release.notified();
                self.waiting.add_permits(1);
                released.await;
            }
            _ => {}
        }
        let text = format!("{hook} {} bytes verified={} {:?}", body.len(), caller.verified, caller.http);
        Reply::review(text.into_bytes(), "allowed")
    }

    fn ready(&self) -> Readiness {
        if self.ready.load(Ordering::Acquire) { Readiness::ready() } else { Readiness::waiting_for("policies are not loaded yet") }
    }
}

/// A server, its gate, and what a client needs to trust it.
struct Door {
    server: Server,
    gate: Arc<Scripted>,
    metrics: Arc<Metrics>,
    authority: Authority,
    serving: Arc<ServingCertificate>,
}

fn names() -> Vec<String> {
    SELF_MADE_NAMES.map(str::to_owned).to_vec()
}

fn leaf(authority: &Authority, now: SystemTime) -> Pair {
    let leaf = authority.issue_leaf(&names(), now).unwrap();
    Pair::from_pem(leaf.chain_pem.as_bytes(), "the leaf", leaf.key_pem.as_bytes(), "its key").unwrap()
}

impl Door {
    async fn open(change: impl FnOnce(&mut Options)) -> Self {
        let authority = Authority::make(SystemTime::now()).unwrap();
        let serving = ServingCertificate::empty();
        serving.install(leaf(&authority, SystemTime::now()));
        let mut options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            admin_listen: ([127, 0, 0, 1], 0).into(),
            certificate: CertificateSource::Held(Arc::clone(&serving)),
            ..Options::default()
        };
        change(&mut options);
        let gate = Scripted::ready();
        let metrics = Arc::new(Metrics::new().unwrap());
        let log = DecisionLog::to(std::io::sink(), metrics.log_queue_depth.clone()).unwrap();
        let server = Server::start(options, Arc::clone(&gate), Arc::clone(&metrics), log).await.unwrap();
        Self { server, gate, metrics, authority, serving }
    }

    fn trusted(&self) -> Trusted {
        Trusted::new(self.authority.certificate_pem())
    }

    async fn http1(&self) -> Client {
        self.trusted().http1(self.server.address()).await.unwrap()
    }

    async fn http2(&self) -> Client {
        self.trusted().http2(self.server.address()).await.unwrap()
    }

    fn outcomes(&self, hook: &str, outcome: &str) -> u64 {
        self.metrics.requests.with_label_values(&[hook, outcome]).get()
    }

    /// Resolves when one more review waits in the gate.
    async fn one_waits(&self) {
        self.gate.waiting.acquire().await.unwrap().forget();
    }
}

/// A review as an API server sends it.
fn review(path: &str, body: impl Into<Bytes>) -> Request<client::RequestBody> {
    request(Method::POST, path, "application/json", body)
}

fn request(method: Method, path: &str, content_type: &str, body: impl Into<Bytes>) -> Request<client::RequestBody> {
    Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .header("host", "localhost")
        .header("content-type", content_type)
        .body(client::RequestBody::new(Full::new(body.into())))
        .unwrap()
}
