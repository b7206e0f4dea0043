//! What a panic leaves in the log: where it was, never what it said.
//!
//! The message of a panic quotes values (`unwrap` prints the error, `expect` and `assert_eq` what they were given), and a value may come
//! out of an object under review.

/// Replaces the process's panic hook by one that logs the place alone. A panic in the gate is answered with 500 and counted; the one in
/// another task ends that task.
pub(super) fn report_places_only() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!(%place, "internal error");
    }));
}
