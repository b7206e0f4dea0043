//! The two paths of the webhook port, and the answers that are given without a judgement.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use futures::FutureExt;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use prometheus::{Histogram, IntGauge};

use super::body::{self, BodyError};
use super::certificates::ServingCertificate;
use super::connection::Peer;
use super::decision_log::DecisionLog;
use super::gate::{Caller, Gate, Hook, Readiness, Reply};
use super::in_flight::InFlight;
use super::metrics::Metrics;
use super::options::Limits;
use super::phase::{Lifecycle, Phase};

/// The label `hook` of requests that went to neither.
const NO_HOOK: &str = "none";

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Everything that all requests share.
pub(super) struct Shell<G> {
    pub(super) gate: Arc<G>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) serving: Arc<ServingCertificate>,
    pub(super) log: DecisionLog,
    pub(super) limits: Limits,
    in_flight: Arc<InFlight>,
    evaluation: [Histogram; 3],
}

impl<G: Gate> Shell<G> {
    pub(super) fn new(
        gate: Arc<G>,
        metrics: Arc<Metrics>,
        lifecycle: Arc<Lifecycle>,
        serving: Arc<ServingCertificate>,
        log: DecisionLog,
        limits: Limits,
    ) -> Self {
        let in_flight = InFlight::new(limits.in_flight_bytes);
        let evaluation = Hook::ALL.map(|hook| metrics.evaluation_seconds.with_label_values(&[hook.label()]));
        Self { gate, metrics, lifecycle, serving, log, limits, in_flight, evaluation }
    }

    /// The paths of the webhook port.
    pub(super) fn router(self: Arc<Self>) -> Router {
        let mutate = |State(shell): State<Arc<Self>>, request: Request| async move { shell.answer(Hook::Mutate, request).await };
        let validate = |State(shell): State<Arc<Self>>, request: Request| async move { shell.answer(Hook::Validate, request).await };
        let native = |State(shell): State<Arc<Self>>, request: Request| async move { shell.answer(Hook::ValidateNative, request).await };
        let wrong_method =
            |State(shell): State<Arc<Self>>, request: Request| async move { shell.refuse(NO_HOOK, Refusal::Method, request).await };
        let wrong_path =
            |State(shell): State<Arc<Self>>, request: Request| async move { shell.refuse(NO_HOOK, Refusal::Path, request).await };
        Router::new()
            .route(Hook::Mutate.path(), post(mutate).fallback(wrong_method))
            .route(Hook::Validate.path(), post(validate).fallback(wrong_method))
            .route(Hook::ValidateNative.path(), post(native).fallback(wrong_method))
            .fallback(wrong_path)
            .with_state(self)
    }

    async fn answer(&self, hook: Hook, request: Request) -> Response {
        let _counted = InWork::count(&self.metrics.inflight_requests);
        if let Err(refusal) = self.admits(request.headers()) {
            return self.refuse(hook.label(), refusal, request).await;
        }
        let http = request.version();
        // Inserted by the connection; a request without it comes from no connection of ours.
        let Some(&Peer { address, verified }) = request.extensions().get() else {
            return self.refuse(hook.label(), Refusal::Panicked, request).await;
        };
        let mut body = request.into_body();
        match body::read(&mut body, &self.limits, &self.in_flight).await {
            Ok((bytes, _claim)) => {
                let reply = self.judge(hook, bytes, Caller { verified, peer: address, http }).await;
                self.respond(hook.label(), reply, http, false)
            }
            Err(error) => {
                let whole = error != BodyError::TooSlow && body::discard(body, &self.limits).await;
                let reply = Refusal::Body(error).reply(&self.limits);
                tracing::warn!(peer = %address, hook = hook.label(), outcome = reply.outcome, "a body that is no review");
                self.respond(hook.label(), reply, http, !whole)
            }
        }
    }

    /// Whether a review can be judged at all, from what is known before its body.
    fn admits(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.lifecycle.phase() >= Phase::Stopped {
            return Err(Refusal::Stopped);
        }
        let readiness = self.gate.ready();
        if !readiness.is_ready() {
            return Err(Refusal::NotReady(readiness));
        }
        if !headers.get(CONTENT_TYPE).is_some_and(is_json) {
            return Err(Refusal::ContentType);
        }
        Ok(())
    }

    async fn judge(&self, hook: Hook, body: Bytes, caller: Caller) -> Reply {
        let begun = Instant::now();
        let reply = AssertUnwindSafe(async { self.gate.review(hook, body, caller).await }).catch_unwind().await;
        let [mutate, validate, native] = &self.evaluation;
        let seconds = match hook {
            Hook::Mutate => mutate,
            Hook::Validate => validate,
            Hook::ValidateNative => native,
        };
        seconds.observe(begun.elapsed().as_secs_f64());
        // What the panic carried is dropped unread: it may quote the object.
        reply.unwrap_or_else(|_carried| Refusal::Panicked.reply(&self.limits))
    }

    async fn refuse(&self, hook: &str, refusal: Refusal, request: Request) -> Response {
        let http = request.version();
        let whole = body::discard(request.into_body(), &self.limits).await;
        self.respond(hook, refusal.reply(&self.limits), http, !whole)
    }

    fn respond(&self, hook: &str, reply: Reply, http: Version, close: bool) -> Response {
        self.metrics.requests.with_label_values(&[hook, reply.outcome]).inc();
        let mut response = Response::new(Body::from(reply.body));
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, if reply.status == StatusCode::OK { JSON } else { TEXT });
        if matches!(reply.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            // With it the API server tries again, several times; without it the write is refused at once.
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if close {
            close_after(headers, http);
        }
        response
    }

    /// What keeps this server from being sent reviews; `/readyz` prints it.
    pub(super) fn readiness(&self, unix_now: i64) -> Readiness {
        let mut readiness = self.gate.ready();
        let waiting_for = &mut readiness.waiting_for;
        if self.lifecycle.phase() > Phase::Serving {
            waiting_for.push("draining: this server was told to stop".into());
        }
        match self.serving.not_after() {
            None => waiting_for.push("no serving certificate yet".into()),
            Some(end) if end <= unix_now => waiting_for.push("the serving certificate has expired".into()),
            Some(_) => {}
        }
        if self.log.is_failing() {
            waiting_for.push("the decision log cannot be written".into());
        }
        readiness
    }
}

/// Tells the client that its connection ends with this answer. HTTP/2 has GOAWAY for it and forbids the header.
pub(super) fn close_after(headers: &mut HeaderMap, http: Version) {
    if http < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// `application/json`, with or without parameters, in any case.
fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// An answer without a judgement.
enum Refusal {
    Path,
    Method,
    ContentType,
    NotReady(Readiness),
    Stopped,
    Body(BodyError),
    Panicked,
}

impl Refusal {
    fn reply(self, limits: &Limits) -> Reply {
        let (status, outcome, text) = match self {
            Self::Path => {
                let paths = "no such path: reviews go to `/mutate` and `/validate`; probes and metrics have a port of their own";
                (StatusCode::NOT_FOUND, "not_found", paths.to_owned())
            }
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "a review is sent by POST".to_owned()),
            Self::ContentType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "a review has `Content-Type: application/json`".to_owned())
            }
            Self::NotReady(readiness) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not_ready", format!("not ready: {}", readiness.waiting_for.join("; ")))
            }
            Self::Stopped => {
                (StatusCode::SERVICE_UNAVAILABLE, "stopped", "this server is stopping: ask again, another one will answer".to_owned())
            }
            Self::Body(BodyError::Empty) => {
                (StatusCode::BAD_REQUEST, "empty", "the body is empty: an `AdmissionReview` is expected".to_owned())
            }
            Self::Body(BodyError::TooLarge) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("a review has at most {} bytes", limits.body_bytes))
            }
            Self::Body(BodyError::TooSlow) => {
                (StatusCode::REQUEST_TIMEOUT, "slow", format!("the body was not complete after {} ms", limits.body.as_millis()))
            }
            Self::Body(BodyError::Overloaded) => {
                (StatusCode::TOO_MANY_REQUESTS, "overloaded", "too many bytes of reviews are in work: ask again".to_owned())
            }
            Self::Body(BodyError::Broken) => (StatusCode::BAD_REQUEST, "broken", "the body broke off".to_owned()),
            Self::Panicked => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "panic",
                "an internal error stopped this review: nothing was decided; the server's log names the place".to_owned(),
            ),
        };
        Reply { status, body: text.into_bytes(), outcome }
    }
}

/// Counts a review for as long as it is in work, also when its caller hangs up.
struct InWork<'a>(&'a IntGauge);

impl<'a> InWork<'a> {
    fn count(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
