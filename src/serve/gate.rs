//! The border between the shell and the judgement: bytes and a caller in, a status and bytes out.
//!
//! The shell knows HTTP and TLS and nothing of admission; the gate knows admission and nothing of sockets. What stands behind
//! [`Gate`] is the whole of Doorward's work, so the shell adds no copy of the body and no lock to it.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

use axum::body::Bytes;
use http::{StatusCode, Version};

/// Which admission call came in. Also the value of the metric label `hook`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// `POST /mutate`: the answer may carry a patch.
    Mutate,
    /// `POST /validate`: the answer is a verdict.
    Validate,
    /// `POST /validate-native`: the verdict of native policies alone.
    ValidateNative,
}

impl Hook {
    /// All, in the order in which the API server calls them.
    pub const ALL: [Self; 3] = [Self::Mutate, Self::Validate, Self::ValidateNative];

    /// The path that the webhook configuration names.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Mutate => crate::admission::MUTATE_PATH,
            Self::Validate => crate::admission::VALIDATE_PATH,
            Self::ValidateNative => crate::admission::VALIDATE_NATIVE_PATH,
        }
    }

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate | Self::ValidateNative => "validate",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Who sent a review, as far as the connection tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The caller held the key of a certificate signed by `--client-ca`, valid at the time of the handshake. Without `--client-ca`
    /// nobody is verified. An unverified caller gets no names of related objects and no namespace label.
    pub verified: bool,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// HTTP/1.1 from an API server to a Service, HTTP/2 to a loopback address.
    pub http: Version,
}

/// What goes back to the API server.
///
/// The shell adds `Content-Type: application/json`, and `Retry-After: 1` to a 429 or 503: with it the API server asks again, without
/// it the write is refused at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 for every review that could be read, whatever its verdict.
    pub status: StatusCode,
    /// An `AdmissionReview` as JSON; for another status a line of text for whoever reads the API server's error.
    pub body: Vec<u8>,
    /// The metric label `outcome` of `doorward_requests_total`: from a fixed, short list.
    pub outcome: &'static str,
}

impl Reply {
    /// A 200 that carries a review.
    #[must_use]
    pub const fn review(body: Vec<u8>, outcome: &'static str) -> Self {
        Self { status: StatusCode::OK, body, outcome }
    }

    /// Too much at once (429): the gate's answer when one namespace asks for more than its share of the work in flight.
    #[must_use]
    pub fn overloaded(why: &str) -> Self {
        Self { status: StatusCode::TOO_MANY_REQUESTS, body: why.as_bytes().to_vec(), outcome: "overloaded" }
    }
}

/// What still keeps reviews from being judged. Empty: ready.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// One line a reason, lower case: `policies are not loaded yet`. No secret and no name of a tenant: `/readyz` shows it to anybody.
    pub waiting_for: Vec<Cow<'static, str>>,
}

impl Readiness {
    /// Nothing is missing. Allocates nothing.
    #[must_use]
    pub const fn ready() -> Self {
        Self { waiting_for: Vec::new() }
    }

    /// One reason.
    #[must_use]
    pub fn waiting_for(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { waiting_for: vec![reason.into()] }
    }

    /// Whether reviews are judged.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.waiting_for.is_empty()
    }
}

/// What judges reviews.
pub trait Gate: Send + Sync + 'static {
    /// Judges one review. `body` is whole, not empty and at most [`Limits::body_bytes`](super::Limits::body_bytes) long; whether it
    /// is a review is for the gate to say. The future is dropped when the caller hangs up. A panic is caught, counted and answered
    /// with 500.
    fn review(&self, hook: Hook, body: Bytes, caller: Caller) -> impl Future<Output = Reply> + Send;

    /// Whether everything needed to judge is loaded. Asked on every review: must cost no more than an atomic load when ready.
    fn ready(&self) -> Readiness;
}
