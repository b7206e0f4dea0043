//! A running server, and its life from the first bind to the last connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use super::certificates::Keeper;
use super::decision_log::DecisionLog;
use super::gate::Gate;
use super::listener::{Listener, Tls, bind};
use super::metrics::Metrics;
use super::options::{Options, ServeError};
use super::phase::{DrainTimes, Lifecycle, Phase};
use super::routes::Shell;
use super::{admin, panics};

/// How long the last decision records may take to be written when the server ends.
const LAST_RECORDS: std::time::Duration = std::time::Duration::from_secs(5);

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every request was answered.
    Drained,
    /// Connections were still busy at the end of the drain and were cut.
    Cut,
    /// A second signal came during the drain.
    AtOnce,
}

/// A server that listens. Dropped, it goes on without a handle; [`Server::drain`] ends it.
pub struct Server {
    address: SocketAddr,
    admin_address: SocketAddr,
    lifecycle: Arc<Lifecycle>,
    admin_lifecycle: Arc<Lifecycle>,
    webhooks: JoinHandle<()>,
    admin: JoinHandle<()>,
    keeper: JoinHandle<()>,
    log: DecisionLog,
    drain: DrainTimes,
}

impl Server {
    /// Binds both ports, loads the certificates, and serves from then on. Whether reviews are judged is for the gate to say.
    ///
    /// # Errors
    /// When an address or a certificate cannot be used; the message names the flag.
    pub async fn start<G: Gate>(options: Options, gate: Arc<G>, metrics: Arc<Metrics>, log: DecisionLog) -> Result<Self, ServeError> {
        if options.require_client_certificate && options.client_ca.is_none() {
            return Err(ServeError::NoClientCa);
        }
        let (webhooks, address) = bind("--listen", options.listen).await?;
        let (admin_port, admin_address) = bind("--admin-listen", options.admin_listen).await?;
        let required = options.require_client_certificate;
        let keeper = Keeper::start(options.certificate, options.client_ca, required, Arc::clone(&metrics), SystemTime::now()).await?;
        let tls = Tls::new(Arc::clone(keeper.serving()), keeper.clients().cloned(), required)?;

        let lifecycle = Arc::new(Lifecycle::default());
        let admin_lifecycle = Arc::new(Lifecycle::default());
        let open = metrics.connections.clone();
        let serving = Arc::clone(keeper.serving());
        let shell = Arc::new(Shell::new(gate, metrics, Arc::clone(&lifecycle), serving, log.clone(), options.limits));
        let admin = Listener {
            listener: admin_port,
            tls: None,
            router: admin::router(Arc::clone(&shell)),
            lifecycle: Arc::clone(&admin_lifecycle),
            limits: admin::LIMITS,
            open: None,
        };
        let webhooks = Listener {
            listener: webhooks,
            tls: Some(tls),
            router: shell.router(),
            lifecycle: Arc::clone(&lifecycle),
            limits: options.limits,
            open: Some(open),
        };
        Ok(Self {
            address,
            admin_address,
            lifecycle,
            admin_lifecycle,
            webhooks: tokio::spawn(webhooks.run()),
            admin: tokio::spawn(admin.run()),
            keeper: tokio::spawn(keeper.run()),
            log,
            drain: options.drain,
        })
    }

    /// Where the webhooks are.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the probes and metrics are.
    #[must_use]
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The phase, to read and to watch.
    #[must_use]
    pub const fn lifecycle(&self) -> &Arc<Lifecycle> {
        &self.lifecycle
    }

    /// Leaves the cluster without losing a request: see [`Phase`]. The admin port answers until the end.
    pub async fn drain(mut self) -> Ended {
        self.lifecycle.enter(Phase::Leaving);
        tokio::time::sleep(self.drain.delay).await;
        self.lifecycle.enter(Phase::Closing);
        tokio::time::sleep(self.drain.closing).await;
        self.lifecycle.enter(Phase::Stopped);
        let ended = match tokio::time::timeout(self.drain.timeout, &mut self.webhooks).await {
            Ok(_finished) => Ended::Drained,
            Err(_elapsed) => Ended::Cut,
        };
        self.lifecycle.enter(Phase::Ended);
        self.keeper.abort();
        if tokio::time::timeout(LAST_RECORDS, self.log.flush()).await.is_err() {
            tracing::error!("the last decision records could not be written");
        }
        self.admin_lifecycle.enter(Phase::Ended);
        // Its connections see the phase and go at once.
        let _finished = self.admin.await;
        ended
    }
}

/// Serves until SIGTERM or SIGINT, drains, and returns. `announce` is told of the server once it listens. A second signal returns at
/// once; the process then exits without waiting.
///
/// # Errors
/// When the server does not start; the message names the flag that mends it.
pub async fn run<G: Gate>(
    options: Options,
    gate: Arc<G>,
    metrics: Arc<Metrics>,
    log: DecisionLog,
    announce: impl FnOnce(&Server),
) -> Result<Ended, ServeError> {
    panics::report_places_only();
    // Before the ports are open: a signal is never missed.
    let mut signals = Signals::listen()?;
    let server = Server::start(options, gate, metrics, log).await?;
    tracing::info!(address = %server.address(), admin = %server.admin_address(), "serving");
    announce(&server);
    Ok(attend(server, async || signals.next().await).await)
}

/// Drains the server at the first signal, leaves it at the second.
pub(super) async fn attend(server: Server, mut signal: impl AsyncFnMut()) -> Ended {
    signal().await;
    tracing::info!("draining; a second signal ends at once");
    tokio::select! {
        ended = server.drain() => ended,
        () = signal() => Ended::AtOnce,
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, ServeError> {
        let listen = |kind| signal(kind).map_err(|error| ServeError::System { what: "signals", error });
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
