//! The floor: an admission webhook that decides nothing.
//!
//! It does what every webhook must do and no more: TLS, HTTP, one parse of the AdmissionReview into
//! `serde_json::Value`, and an `allowed: true` with the request's uid. What Doorward costs is told as
//! microseconds above this program.
//!
//! It is frozen. A change here moves every figure that was ever compared with it, so the stack, the
//! allocator, the crypto provider and the release profile stay as they are, and dependencies move only
//! in a commit of their own that measures the old and the new floor side by side.

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use clap::Parser;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::pki_types::PrivateKeyDer;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type AnyError = Box<dyn Error + Send + Sync>;

/// Doorward's own bound; axum's default of 2 MB is below what the API server sends.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The no-op admission webhook that figures are compared with.
#[derive(Parser)]
struct Args {
    /// Address to listen on; loopback only, port 0 takes a free one and prints it.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Worker threads of the runtime.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// Write the PEM of the self-made CA here; its key never leaves memory.
    #[arg(long, value_name = "FILE")]
    cert_out: Option<PathBuf>,
}

fn main() -> Result<(), AnyError> {
    let args = Args::parse();
    if !args.listen.ip().is_loopback() {
        return Err(format!("--listen {}: the floor serves loopback only", args.listen).into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(usize::from(args.threads)).enable_all().build()?;
    let server = runtime.spawn(serve(args));
    runtime.block_on(server)?
}

// === serving ===

async fn serve(args: Args) -> Result<(), AnyError> {
    let issued = Issued::new()?;
    if let Some(path) = &args.cert_out {
        std::fs::write(path, &issued.ca_pem).map_err(|error| format!("--cert-out {}: {error}", path.display()))?;
    }
    let acceptor = TlsAcceptor::from(Arc::new(issued.server_config()?));
    let app = Router::new().route("/validate", post(review)).route("/mutate", post(review)).layer(DefaultBodyLimit::max(BODY_LIMIT));

    let listener = TcpListener::bind(args.listen).await?;
    println!("listening on https://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        let app = app.clone();
        tokio::spawn(async move {
            // Without it Nagle and delayed ACK meet, and the floor measures 40 ms timers.
            let _ = stream.set_nodelay(true);
            let Ok(tls) = acceptor.accept(stream).await else {
                return;
            };
            // A peer that hangs up is no event for a program that only answers.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), TowerToHyperService::new(app)).await;
        });
    }
}

/// Answers `allowed: true` with the request's uid; 400 where there is no uid to repeat.
async fn review(body: Bytes) -> Response {
    let Ok(review) = serde_json::from_slice::<Value>(&body) else {
        return (StatusCode::BAD_REQUEST, "the body is not JSON\n").into_response();
    };
    let Some(uid) = review.pointer("/request/uid").and_then(Value::as_str) else {
        return (StatusCode::BAD_REQUEST, "the review has no request.uid\n").into_response();
    };
    let answer = Answer { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response: Allowed { uid, allowed: true } };
    match serde_json::to_vec(&answer) {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Allowed<'a>,
}

#[derive(Serialize)]
struct Allowed<'a> {
    uid: &'a str,
    allowed: bool,
}

// === certificate ===

/// A CA and one leaf for loopback names, made at start and gone at exit.
struct Issued {
    ca_pem: String,
    leaf: rcgen::Certificate,
    leaf_key: KeyPair,
}

impl Issued {
    fn new() -> Result<Self, rcgen::Error> {
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "floor bench CA");
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;

        let mut leaf = CertificateParams::new(vec!["localhost".to_owned()])?;
        leaf.subject_alt_names.extend([SanType::IpAddress(Ipv4Addr::LOCALHOST.into()), SanType::IpAddress(Ipv6Addr::LOCALHOST.into())]);
        let leaf_key = KeyPair::generate()?;
        let leaf = leaf.signed_by(&leaf_key, &ca)?;
        Ok(Self { ca_pem: ca.pem(), leaf, leaf_key })
    }

    /// TLS 1.2 and 1.3 by ring, HTTP/2 preferred by ALPN, as Doorward serves.
    fn server_config(&self) -> Result<rustls::ServerConfig, AnyError> {
        let key = PrivateKeyDer::try_from(self.leaf_key.serialize_der())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.leaf.der().clone()], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}
