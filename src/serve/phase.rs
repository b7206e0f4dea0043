//! The phases of a server's life, and the drain that walks through them.
//!
//! ```text
//! Serving --SIGTERM--> Leaving --drain delay--> Closing --close phase--> Stopped --no connection left, or drain timeout--> Ended
//! ```
//!
//! The phases overlap with what the cluster does meanwhile. In `Leaving` the endpoint disappears from the Service while API servers
//! still send here, so everything is served. In `Closing` every answer tells its client to go elsewhere, over a connection that still
//! accepts: no request is ever lost to a closed connection, because the client hears of the end with an answer in its hand. hyper's own
//! graceful shutdown closes a kept-alive connection between two requests, and the next one, already on its way, is lost.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// Where a server stands between start and exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// The usual state.
    Serving,
    /// Told to go: `/readyz` says 503, all else is served as before.
    Leaving,
    /// Connections are accepted and served, and every answer closes its connection.
    Closing,
    /// No more connections; what was begun is finished, what comes now gets a 503.
    Stopped,
    /// Connections that are still open are cut.
    Ended,
}

/// How long each phase of the drain lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainTimes {
    /// `--drain-delay`: from SIGTERM to the first `Connection: close`. Covers the time the endpoints take to reach every API server.
    pub delay: Duration,
    /// How long connections are closed one by one while new ones are still accepted.
    pub closing: Duration,
    /// How long reviews in flight may take after the listener has closed.
    pub timeout: Duration,
}

impl Default for DrainTimes {
    /// 5 s, 2 s and 10 s (the `timeoutSeconds` of the webhooks): together below the 30 s that Kubernetes grants a pod.
    fn default() -> Self {
        Self { delay: Duration::from_secs(5), closing: Duration::from_secs(2), timeout: Duration::from_secs(10) }
    }
}

/// The current phase: read by every request, awaited by every connection.
#[derive(Debug)]
pub struct Lifecycle {
    /// A copy of the watched value: an atomic load on the request path instead of the watch's lock.
    current: AtomicU8,
    changes: watch::Sender<Phase>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { current: AtomicU8::new(Phase::Serving as u8), changes: watch::Sender::new(Phase::Serving) }
    }
}

impl Lifecycle {
    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.current.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Leaving,
            2 => Phase::Closing,
            3 => Phase::Stopped,
            _ => Phase::Ended,
        }
    }

    /// To wait for a phase.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Phase> {
        self.changes.subscribe()
    }

    /// Goes on to `phase`. Never goes back.
    pub fn enter(&self, phase: Phase) {
        if self.current.fetch_max(phase as u8, Ordering::AcqRel) < phase as u8 {
            self.changes.send_if_modified(|current| std::mem::replace(current, phase.max(*current)) < phase);
        }
    }
}

/// Resolves once `phase` is reached or passed. A dropped server has ended.
pub(super) async fn reached(changes: &mut watch::Receiver<Phase>, phase: Phase) {
    let _ended = changes.wait_for(|current| *current >= phase).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_go_forward_only() {
        let lifecycle = Lifecycle::default();
        let mut changes = lifecycle.watch();
        lifecycle.enter(Phase::Closing);
        reached(&mut changes, Phase::Leaving).await;
        lifecycle.enter(Phase::Leaving);
        assert_eq!(lifecycle.phase(), Phase::Closing);
        assert_eq!(*changes.borrow(), Phase::Closing);
    }

    #[test]
    fn the_whole_drain_fits_into_the_grace_period_of_a_pod() {
        let times = DrainTimes::default();
        assert!(times.delay + times.closing + times.timeout < Duration::from_secs(30));
    }
}
