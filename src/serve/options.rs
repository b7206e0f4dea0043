//! What a server is told at start, and why it may refuse to.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::certificates::{CertificateError, CertificateSource};
use super::phase::DrainTimes;

/// The flags of `doorward serve` that concern the shell.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--listen`: the address of the webhooks. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// `--admin-listen`: the address of `/livez`, `/readyz` and `/metrics`, without TLS.
    pub admin_listen: SocketAddr,
    /// `--tls-cert` and `--tls-key`, else self-made.
    pub certificate: CertificateSource,
    /// `--client-ca`: a caller with a certificate of this CA is verified.
    pub client_ca: Option<PathBuf>,
    /// `--require-client-certificate`: no other caller gets through the handshake.
    pub require_client_certificate: bool,
    /// `--drain-delay` and what follows it.
    pub drain: DrainTimes,
    /// The bounds on what callers may take.
    pub limits: Limits,
}

impl Default for Options {
    /// Loopback, a self-made certificate, no client CA.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            certificate: CertificateSource::SelfMade { names: Vec::new(), ca_file: None },
            client_ca: None,
            require_client_certificate: false,
            drain: DrainTimes::default(),
            limits: Limits::default(),
        }
    }
}

/// The bounds on what callers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest review in bytes. An UPDATE carries two objects, each of at most 3 MiB in an API server's request.
    pub body_bytes: usize,
    /// The bytes of all reviews in flight; over it, 429.
    pub in_flight_bytes: usize,
    /// Open connections to the webhook port; further ones wait in the system's queue.
    pub connections: usize,
    /// From accept to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the handshake to the first whole request header.
    pub header: Duration,
    /// From a request header to the end of its body.
    pub body: Duration,
    /// Between two requests of a connection. Longer than the 90 s after which an API server closes an idle connection: whoever sends
    /// should be the one that hangs up, else a request may cross the hang-up and be lost.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 8 * 1024 * 1024,
            in_flight_bytes: 64 * 1024 * 1024,
            connections: 1_024,
            handshake: Duration::from_secs(5),
            header: Duration::from_secs(10),
            body: Duration::from_secs(5),
            idle: Duration::from_secs(120),
        }
    }
}

/// Why a server does not start. Each names the flag that mends it.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address that cannot be listened on.
    #[error("`{flag} {address}`: {}: give another address by `{flag}`", bind_reason(error))]
    Bind {
        /// `--listen` or `--admin-listen`.
        flag: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        error: std::io::Error,
    },
    /// A certificate that cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A required certificate without the CA to check it by.
    #[error("`--require-client-certificate` needs `--client-ca FILE`, the CA that signs the API server's client certificate")]
    NoClientCa,
    /// TLS could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// Signals or threads of the system.
    #[error("the system refuses {what}: {error}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// The system's reason.
        #[source]
        error: std::io::Error,
    },
}

fn bind_reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "another program listens there".to_owned(),
        std::io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        std::io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege".to_owned(),
        _ => error.to_string(),
    }
}

/// The runtime for `--threads`: as many as the process may use when not given. One thread means no hand-over between threads at all, the
/// fastest a single core can be.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime(threads: Option<NonZeroUsize>) -> Result<tokio::runtime::Runtime, ServeError> {
    let threads = threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let mut builder =
        if threads == 1 { tokio::runtime::Builder::new_current_thread() } else { tokio::runtime::Builder::new_multi_thread() };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().thread_name("serve").build().map_err(|error| ServeError::System { what: "threads", error })
}
