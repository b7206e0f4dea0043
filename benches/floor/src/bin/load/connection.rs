//! One connection in a closed loop: the next request leaves when the last answer has been read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Request, StatusCode, Uri, Version, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::answer::{Expected, Judge};
use crate::target::Target;

/// Latencies are kept to three digits up to this; a slower answer is counted at this value.
pub(crate) const HIGHEST_MICROS: u64 = 60_000_000;

/// What every connection of a run shares.
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) tls: TlsConnector,
    pub(crate) http2: bool,
    pub(crate) body: Bytes,
    pub(crate) expected: Expected,
    /// Answers before this instant are not counted.
    pub(crate) measure_from: Instant,
    /// No request starts after this instant.
    pub(crate) until: Instant,
    /// Measured requests that may still start; `u64::MAX` where only time bounds the run.
    pub(crate) budget: AtomicU64,
}

impl Plan {
    fn take_one(&self) -> bool {
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// What one connection saw; tallies of many add up.
pub(crate) struct Tally {
    /// Microseconds, good answers only.
    pub(crate) latency: Histogram<u64>,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// When the last measured answer had been read.
    pub(crate) last: Option<Instant>,
}

impl Tally {
    pub(crate) fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self { latency: Histogram::new_with_bounds(1, HIGHEST_MICROS, 3)?, errors: 0, first_error: None, last: None })
    }

    pub(crate) fn error(&mut self, reason: String) {
        self.errors += 1;
        self.first_error.get_or_insert(reason);
    }

    pub(crate) fn add(&mut self, other: Self) -> Result<(), hdrhistogram::AdditionError> {
        self.latency.add(other.latency)?;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.last = self.last.max(other.last);
        Ok(())
    }
}

/// Runs until the plan ends; an answer that never comes is one error after `patience` past the end.
///
/// A connection that breaks is an error and stays closed: a server that drops keep-alive connections under load
/// shall not look good by being dialled again.
pub(crate) async fn run(plan: Arc<Plan>, patience: Duration, mut tally: Tally) -> Tally {
    let deadline = tokio::time::Instant::from_std(plan.until + patience);
    match tokio::time::timeout_at(deadline, drive(&plan, &mut tally)).await {
        Ok(Ok(())) => {}
        Ok(Err(reason)) => tally.error(reason),
        Err(_) => tally.error(format!("no answer {patience:?} past the end")),
    }
    tally
}

async fn drive(plan: &Plan, tally: &mut Tally) -> Result<(), String> {
    let mut sender = Sender::connect(plan).await?;
    let mut judge = Judge::new(&plan.expected);
    loop {
        let started = Instant::now();
        let measured = started >= plan.measure_from;
        if started >= plan.until || (measured && !plan.take_one()) {
            return Ok(());
        }
        let request = request(plan).map_err(|error| format!("request: {error}"))?;
        let (status, body) = sender.send(request).await?;
        let finished = Instant::now();
        let verdict = if status == StatusCode::OK { judge.check(body) } else { Err(format!("status {status}")) };
        match verdict {
            Err(reason) => tally.error(reason),
            Ok(()) if measured => {
                let micros = finished.duration_since(started).as_micros();
                tally.latency.saturating_record(u64::try_from(micros).unwrap_or(u64::MAX).max(1));
                tally.last = Some(finished);
            }
            Ok(()) => {}
        }
    }
}

/// The request as the API server sends it: origin form and `Host` in HTTP/1.1, the whole URL in HTTP/2.
fn request(plan: &Plan) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let uri = &plan.target.uri;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::post(if plan.http2 { uri.clone() } else { Uri::from(uri.path_and_query().cloned().unwrap_or_else(root)) })
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, */*");
    let request = if plan.http2 { request.version(Version::HTTP_2) } else { request.header(header::HOST, authority) };
    request.body(Full::new(plan.body.clone()))
}

fn root() -> hyper::http::uri::PathAndQuery {
    hyper::http::uri::PathAndQuery::from_static("/")
}

// === Sender ===

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn connect(plan: &Plan) -> Result<Self, String> {
        let Target { address, server_name, .. } = &plan.target;
        let stream = TcpStream::connect(address).await.map_err(|error| format!("connect {address}: {error}"))?;
        stream.set_nodelay(true).map_err(|error| format!("connect {address}: {error}"))?;
        let tls = plan.tls.connect(server_name.clone(), stream).await.map_err(|error| format!("TLS handshake: {error}"))?;
        // A server without ALPN speaks HTTP/1.1, as the API server assumes too.
        if plan.http2 && tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err("TLS handshake: the server does not offer HTTP/2".to_owned());
        }
        let stream = TokioIo::new(tls);
        // The driver's own error reaches us through the pending request.
        if plan.http2 {
            let (sender, driver) =
                http2::handshake(TokioExecutor::new(), stream).await.map_err(|error| format!("HTTP/2 handshake: {error}"))?;
            tokio::spawn(driver);
            Ok(Self::Http2(sender))
        } else {
            let (sender, driver) = http1::handshake(stream).await.map_err(|error| format!("HTTP/1.1 handshake: {error}"))?;
            tokio::spawn(driver);
            Ok(Self::Http1(sender))
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
        let sent = match self {
            Self::Http1(sender) => {
                // The driver needs a turn to free the connection after the last answer.
                sender.ready().await.map_err(broken)?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await.map_err(broken)?;
                sender.send_request(request).await
            }
        };
        let response = sent.map_err(broken)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(broken)?;
        Ok((status, body.to_bytes()))
    }
}

fn broken(error: hyper::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => format!("connection broken: {error}: {cause}"),
        None => format!("connection broken: {error}"),
    }
}
