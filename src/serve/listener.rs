//! Accepting connections: a bounded number of them, through TLS or plain, until the drain says stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use prometheus::IntGauge;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::certificates::{ClientAuthority, ServingCertificate};
use super::connection::{self, Peer, Protocol};
use super::options::{Limits, ServeError};
use super::phase::{Lifecycle, Phase, reached};

/// How long accepting pauses when the system has no file descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// TLS as the webhook port speaks it.
#[derive(Clone)]
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    clients: Option<Arc<ClientAuthority>>,
    required: bool,
}

impl Tls {
    /// TLS 1.3 and 1.2 on ring; HTTP/2 preferred by ALPN, HTTP/1.1 without it.
    pub(super) fn new(
        serving: Arc<ServingCertificate>,
        clients: Option<Arc<ClientAuthority>>,
        required: bool,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = match &clients {
            Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients) as Arc<_>),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(serving);
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), clients, required })
    }
}

/// A port and what is served on it.
pub(super) struct Listener {
    pub(super) listener: TcpListener,
    /// None: plain HTTP/1.1.
    pub(super) tls: Option<Tls>,
    pub(super) router: Router,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) limits: Limits,
    /// Open connections, for the metric.
    pub(super) open: Option<IntGauge>,
}

/// Binds an address that `flag` gave.
pub(super) async fn bind(flag: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|error| ServeError::Bind { flag, address, error })
}

impl Listener {
    /// Accepts until [`Phase::Stopped`], then waits until the last connection is gone.
    pub(super) async fn run(self) {
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let mut changes = self.lifecycle.watch();
        loop {
            let slot = tokio::select! {
                slot = Arc::clone(&slots).acquire_owned() => slot,
                () = reached(&mut changes, Phase::Stopped) => break,
            };
            // Nobody closes the semaphore.
            let Ok(slot) = slot else { break };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = reached(&mut changes, Phase::Stopped) => break,
            };
            match accepted {
                Ok((stream, address)) => self.begin(stream, address, slot),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "connections cannot be accepted");
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        self.close(&slots);
        // Every slot back: every connection gone.
        let _gone = slots.acquire_many(all).await;
    }

    /// Closes the port. Connections that wait in the system's queue would be reset: they are taken and told to ask again.
    fn close(self, slots: &Arc<Semaphore>) {
        let Self { listener, tls, router, lifecycle, limits, open } = self;
        let Ok(listener) = listener.into_std() else { return };
        while let Ok(slot) = Arc::clone(slots).try_acquire_owned()
            && let Ok((stream, address)) = listener.accept()
        {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                spawn(stream, address, slot, tls.clone(), router.clone(), Arc::clone(&lifecycle), limits, open.clone());
            }
        }
    }

    fn begin(&self, stream: TcpStream, address: SocketAddr, slot: OwnedSemaphorePermit) {
        let lifecycle = Arc::clone(&self.lifecycle);
        spawn(stream, address, slot, self.tls.clone(), self.router.clone(), lifecycle, self.limits, self.open.clone());
    }
}

/// Serves one connection in a task of its own.
#[expect(clippy::too_many_arguments, reason = "the parts of a listener, which is taken apart when its port closes")]
fn spawn(
    stream: TcpStream,
    address: SocketAddr,
    slot: OwnedSemaphorePermit,
    tls: Option<Tls>,
    router: Router,
    lifecycle: Arc<Lifecycle>,
    limits: Limits,
    open: Option<IntGauge>,
) {
    let open = Open::count(open);
    tokio::spawn(async move {
        // Answers are written whole: waiting for more to send would only add to their time.
        if stream.set_nodelay(true).is_ok() {
            match tls {
                None => {
                    let peer = Peer { address, verified: false };
                    connection::serve(stream, Protocol::Http1, peer, router, lifecycle, limits).await;
                }
                Some(tls) => serve_tls(stream, address, &tls, router, lifecycle, limits).await,
            }
        }
        drop(open);
        drop(slot);
    });
}

async fn serve_tls(stream: TcpStream, address: SocketAddr, tls: &Tls, router: Router, lifecycle: Arc<Lifecycle>, limits: Limits) {
    let mut changes = lifecycle.watch();
    let handshake = tokio::select! {
        handshake = tokio::time::timeout(limits.handshake, tls.acceptor.accept(stream)) => handshake,
        () = reached(&mut changes, Phase::Ended) => return,
    };
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%address, %error, "TLS handshake failed"),
        Err(_elapsed) => return tracing::debug!(%address, "TLS handshake took too long"),
    };
    let (_, session) = stream.get_ref();
    let verified = tls.clients.as_ref().is_some_and(|clients| clients.verifies(session.peer_certificates(), SystemTime::now()));
    // A resumed session brings the certificate of its first handshake, and nothing in TLS looks at it again.
    if tls.required && !verified {
        return tracing::debug!(%address, "the client certificate is not valid any more");
    }
    let protocol = if session.alpn_protocol() == Some(HTTP_2) { Protocol::Http2 } else { Protocol::Http1 };
    connection::serve(stream, protocol, Peer { address, verified }, router, lifecycle, limits).await;
}

/// Whether accepting failed for one connection, which was gone before it was taken.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Counts an open connection.
struct Open(Option<IntGauge>);

impl Open {
    fn count(gauge: Option<IntGauge>) -> Self {
        if let Some(gauge) = &gauge {
            gauge.inc();
        }
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(gauge) = &self.0 {
            gauge.dec();
        }
    }
}
