//! The admin port: probes and metrics, in plain HTTP, for the kubelet and Prometheus.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::gate::Gate;
use super::metrics::Metrics;
use super::options::Limits;
use super::routes::Shell;

/// A kubelet, a few Prometheus servers, and whoever looks by hand.
pub(super) const LIMITS: Limits = Limits {
    body_bytes: 0,
    in_flight_bytes: 0,
    connections: 64,
    handshake: Duration::from_secs(5),
    header: Duration::from_secs(10),
    body: Duration::from_secs(1),
    idle: Duration::from_secs(120),
};

/// The paths of the admin port.
pub(super) fn router<G: Gate>(shell: Arc<Shell<G>>) -> Router {
    Router::new()
        // Alive as long as the runtime answers: a restart mends neither missing policies nor a full disk.
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready::<G>))
        .route("/metrics", get(metrics::<G>))
        .fallback(async || (StatusCode::NOT_FOUND, "no such path: there are `/livez`, `/readyz` and `/metrics`\n"))
        .with_state(shell)
}

/// 200, or 503 with one reason a line.
async fn ready<G: Gate>(State(shell): State<Arc<Shell<G>>>) -> (StatusCode, String) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let readiness = shell.readiness(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    if readiness.is_ready() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, readiness.waiting_for.join("\n") + "\n")
    }
}

async fn metrics<G: Gate>(State(shell): State<Arc<Shell<G>>>) -> Response {
    match shell.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, Metrics::TEXT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}\n")).into_response(),
    }
}
