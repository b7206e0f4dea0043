//! One connection, from its first byte of HTTP to its end.
//!
//! The protocol is known before HTTP begins (ALPN), so hyper's own connections are driven here instead of through a builder that sniffs:
//! asked to stop before the first byte, such a builder hangs up, where these still serve the request that is on its way.
//!
//! hyper's timeout for headers also runs while a kept-alive connection is idle, and sets a timer for every request. Here one timer a
//! connection looks at what the connection does, at most every [`Limits::header`].

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::Instant;
use tower::Service;

use super::options::Limits;
use super::phase::{Lifecycle, Phase, reached};
use super::routes::close_after;

/// Streams of one HTTP/2 connection at once. An API server has as many writes in flight at most as its own limits let it.
const STREAMS: u32 = 256;
/// How long an idle connection may take to close after it was told to.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who is at the other end. An extension of every request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) verified: bool,
}

/// What the connection settled on before HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Serves requests until the client, a timeout or the drain ends the connection.
pub(super) async fn serve<IO>(io: IO, protocol: Protocol, peer: Peer, router: Router, lifecycle: Arc<Lifecycle>, limits: Limits)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let service = {
        let (activity, lifecycle) = (Arc::clone(&activity), Arc::clone(&lifecycle));
        service_fn(move |mut request: Request<Incoming>| {
            let busy = Activity::begin(&activity);
            let http = request.version();
            request.extensions_mut().insert(peer);
            // A router is always ready, so it can be called without being asked.
            let answer = router.clone().call(request.map(Body::new));
            let lifecycle = Arc::clone(&lifecycle);
            async move {
                let mut answer = answer.await;
                if let Ok(response) = &mut answer
                    && http < Version::HTTP_2
                    && lifecycle.phase() >= Phase::Closing
                {
                    close_after(response.headers_mut(), http);
                }
                drop(busy);
                answer
            }
        })
    };
    let io = TokioIo::new(io);
    match protocol {
        Protocol::Http1 => {
            let connection = http1::Builder::new().header_read_timeout(None).serve_connection(io, service);
            drive(connection, protocol, &activity, &lifecycle, &limits).await;
        }
        Protocol::Http2 => {
            let connection = http2::Builder::new(TokioExecutor::new()).max_concurrent_streams(STREAMS).serve_connection(io, service);
            drive(connection, protocol, &activity, &lifecycle, &limits).await;
        }
    }
}

async fn drive<C: Connection>(connection: C, protocol: Protocol, activity: &Activity, lifecycle: &Lifecycle, limits: &Limits) {
    let mut connection = pin!(connection);
    let mut changes = lifecycle.watch();
    let mut look = pin!(tokio::time::sleep(limits.header));
    let mut awaited = Phase::Closing;
    // HTTP/1.1 is closed by its answers; HTTP/2 by a GOAWAY, but a fresh connection gets to ask once, else its client would only come again.
    let mut say_goaway = false;
    let mut leaving = false;
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = reached(&mut changes, awaited) => match lifecycle.phase() {
                Phase::Serving | Phase::Leaving | Phase::Closing => {
                    awaited = Phase::Stopped;
                    say_goaway = protocol == Protocol::Http2;
                }
                Phase::Stopped => {
                    awaited = Phase::Ended;
                    leaving = true;
                    // hyper closes an HTTP/1.1 connection that has not asked yet, whose first request may be on its way.
                    if protocol == Protocol::Http2 || activity.has_served() {
                        connection.as_mut().leave();
                    }
                    look.as_mut().reset(Instant::now() + FAREWELL);
                }
                Phase::Ended => return,
            },
            () = activity.first.notified(), if say_goaway => {
                say_goaway = false;
                connection.as_mut().leave();
            }
            () = look.as_mut() => match activity.due(limits) {
                _ if leaving && !activity.is_busy() => return,
                Due::At(_) if leaving => look.as_mut().reset(Instant::now() + FAREWELL),
                Due::At(time) => look.as_mut().reset(time),
                Due::Now => {
                    leaving = true;
                    connection.as_mut().leave();
                    look.as_mut().reset(Instant::now() + FAREWELL);
                }
            },
        }
    }
}

/// What is asked of a connection of either protocol.
trait Connection: Future<Output = hyper::Result<()>> {
    /// Finish what was begun, begin nothing, close.
    fn leave(self: Pin<&mut Self>);
}

impl<I, S> Connection for http1::Connection<I, S>
where
    Self: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S::ResBody: hyper::body::Body + 'static,
    <S::ResBody as hyper::body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, E> Connection for http2::Connection<I, S, E>
where
    Self: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S::ResBody: hyper::body::Body + 'static,
    <S::ResBody as hyper::body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, S::ResBody>,
{
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// When a connection has to end.
enum Due {
    Now,
    /// Look again then.
    At(Instant),
}

/// What a connection does, written by its requests and read by its timer.
struct Activity {
    opened: Instant,
    busy: AtomicUsize,
    /// Milliseconds from `opened` to the end of the last request.
    idle_since: AtomicU64,
    served: AtomicBool,
    /// Holds a permit from the first request on.
    first: Notify,
}

impl Activity {
    fn new() -> Self {
        Self {
            opened: Instant::now(),
            busy: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            served: AtomicBool::new(false),
            first: Notify::new(),
        }
    }

    fn begin(this: &Arc<Self>) -> Busy {
        this.busy.fetch_add(1, Ordering::AcqRel);
        if !this.served.swap(true, Ordering::AcqRel) {
            this.first.notify_one();
        }
        Busy(Arc::clone(this))
    }

    fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    fn has_served(&self) -> bool {
        self.served.load(Ordering::Acquire)
    }

    fn due(&self, limits: &Limits) -> Due {
        let now = Instant::now();
        let end = if self.is_busy() {
            // A body and the gate have limits of their own.
            now + limits.header
        } else if self.has_served() {
            self.opened + Duration::from_millis(self.idle_since.load(Ordering::Acquire)) + limits.idle
        } else {
            self.opened + limits.header
        };
        if end <= now { Due::Now } else { Due::At(end) }
    }
}

/// A request in work.
struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        let elapsed = u64::try_from(self.0.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.idle_since.store(elapsed, Ordering::Release);
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}
