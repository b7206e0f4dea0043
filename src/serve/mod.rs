//! The HTTPS shell: sockets, TLS, certificates, probes, metrics, the decision log, and a drain that loses nothing.
//!
//! The shell knows nothing of admission. It hands whole bodies to a [`Gate`] and sends back what it says; everything that is answered
//! without a judgement (a wrong path, too much at once, not ready yet) is decided here.
//!
//! - `gate`: [`Gate`], the border to the judgement
//! - `door`: [`Door`], the gate that judges
//! - `knowledge`: [`Knowledge`], where the facts of a review come from
//! - `server`: [`run`] and [`Server`], from bind to exit
//! - `options`: [`Options`], [`Limits`], [`ServeError`], [`runtime`]
//! - `listener`: accepting, bounded; TLS
//! - `connection`: one connection, its timeouts, its farewell
//! - `routes`: `/mutate`, `/validate`, and every refusal
//! - `body`: a request body into one buffer
//! - `in_flight`: [`InFlight`], the bound on bytes in work
//! - `phase`: [`Phase`], the drain
//! - `certificates`: where certificates come from and how they are swapped
//! - `admin`: probes and metrics on a port of their own
//! - `metrics`: [`Metrics`], every family
//! - `decision_log`: [`DecisionLog`], one writer, never lossy
//! - `panics`: what a panic may say

mod admin;
mod body;
mod certificates;
mod connection;
mod decision_log;
mod door;
mod gate;
mod in_flight;
mod knowledge;
mod listener;
mod metrics;
mod options;
mod panics;
mod phase;
mod routes;
mod server;
#[cfg(test)]
mod tests;

pub use certificates::{CertificateError, CertificateSource, ClientAuthority, Pair, SELF_MADE_NAMES, ServingCertificate};
pub use decision_log::{DecisionLog, QUEUE_LENGTH};
pub use door::Door;
pub use gate::{Caller, Gate, Hook, Readiness, Reply};
pub use in_flight::{Claim, InFlight, LEAST_WEIGHT};
pub use knowledge::{Knowledge, KnownObjects, TokenSecrets};
pub use metrics::{Metrics, OTHER_NAMESPACES};
pub use options::{Limits, Options, ServeError, runtime};
pub use phase::{DrainTimes, Lifecycle, Phase};
pub use server::{Ended, Server, run};
