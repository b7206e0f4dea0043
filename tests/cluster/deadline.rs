//! Waiting for a condition, never for a time.

use std::future::Future;
use std::time::{Duration, Instant};

/// How long anything may take that is no matter of a test's own: several times what it takes on a busy machine with two cores.
const DEADLINE: Duration = Duration::from_secs(45);

/// Asks until there is an answer; panics with what was waited for, and the last reason, when none comes in time.
pub(crate) async fn until<T, F: Future<Output = Result<T, String>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(reason) if begun.elapsed() > DEADLINE => panic!("waited {DEADLINE:?} in vain for {what}: {reason}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}

/// [`until`] outside a runtime.
pub(crate) fn until_blocking<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(reason) if begun.elapsed() > DEADLINE => panic!("waited {DEADLINE:?} in vain for {what}: {reason}"),
            Err(_) => std::thread::sleep(Duration::from_millis(25)),
        }
    }
}
