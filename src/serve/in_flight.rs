//! The bound on the bytes of reviews in work: memory is what a flood of large objects would take first.
//!
//! A claim grows with the bytes that have arrived, not with the length that a header announces: who sends nothing holds nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the smallest review weighs: it costs buffers and a task, whatever its length.
pub const LEAST_WEIGHT: usize = 16 * 1024;

/// The budget of bytes in flight, shared by all connections.
#[derive(Debug)]
pub struct InFlight {
    limit: usize,
    used: AtomicUsize,
}

impl InFlight {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    /// The whole budget in bytes. One namespace may hold a quarter of it: the gate keeps that account, because only it knows namespaces.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes claimed now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `bytes`, at least [`LEAST_WEIGHT`]. None: over the bound, answer 429.
    #[must_use]
    pub fn claim(self: &Arc<Self>, bytes: usize) -> Option<Claim> {
        let bytes = bytes.max(LEAST_WEIGHT);
        self.take(bytes).then(|| Claim { budget: Arc::clone(self), bytes })
    }

    fn take(&self, bytes: usize) -> bool {
        let within = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
    }
}

/// A part of the budget, given back when dropped.
#[derive(Debug)]
pub struct Claim {
    budget: Arc<InFlight>,
    bytes: usize,
}

impl Claim {
    /// Grows the claim to `bytes` in all. False: over the bound, and the claim stays as it was.
    #[must_use]
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let granted = more == 0 || self.budget.take(more);
        if granted {
            self.bytes += more;
        }
        granted
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_given_back_and_never_passes_the_limit() {
        let budget = InFlight::new(100_000);
        let mut first = budget.claim(1).unwrap();
        assert_eq!(budget.used(), LEAST_WEIGHT);
        assert!(first.grow_to(60_000));
        assert!(first.grow_to(50_000), "a smaller claim is already held");
        assert_eq!(budget.used(), 60_000);
        assert!(budget.claim(50_000).is_none());
        assert!(!first.grow_to(100_001));
        assert!(!first.grow_to(usize::MAX));
        assert_eq!(budget.used(), 60_000);
        drop(first);
        assert_eq!(budget.used(), 0);
        assert!(budget.claim(100_000).is_some());
    }
}
