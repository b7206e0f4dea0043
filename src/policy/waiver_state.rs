//! Where each waiver stands, for those who look after them: an exception that waits, that nobody needs, or that is over.

use std::collections::BTreeSet;

use super::waive::Waiver;
use super::waiver_object::{approved, content, status};
use crate::object::Node;

/// Where a waiver stands. Each stands in exactly one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaiverState {
    /// In force, and it lifted a violation.
    Active,
    /// Of the cluster, and it lifts nothing: nobody approved it, or its content is none.
    Pending,
    /// Over.
    Expired,
    /// In force, and it lifted nothing yet.
    Unused,
}

impl WaiverState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Active, Self::Pending, Self::Expired, Self::Unused];

    /// Its name as a label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Expired => "expired",
            Self::Unused => "unused",
        }
    }
}

/// The states of the waivers of files, where giving the file is the approval, and of those of the cluster. `used` are the names of those
/// that lifted something.
pub fn waiver_states<'a>(
    files: &'a [Waiver],
    cluster: &'a [Node<'a>],
    used: &'a BTreeSet<String>,
    now: i64,
) -> impl Iterator<Item = WaiverState> + 'a {
    let in_force = |name: &str| if used.contains(name) { WaiverState::Active } else { WaiverState::Unused };
    let of_file = move |waiver: &Waiver| if waiver.expires_at <= now { WaiverState::Expired } else { in_force(&waiver.name) };
    let of_cluster = move |object: &Node<'_>| {
        let metadata = |key: &str| object.get("metadata").map(|metadata| metadata.text(key)).unwrap_or_default();
        let Some(waiver) = content(*object, now) else { return WaiverState::Pending };
        let approved = approved(*object, now).is_some_and(|waiver| now < waiver.expires_at);
        let is_bound = status(Some(*object)).bound_uids.is_some_and(|bound| bound.waiver == metadata("uid"));
        match of_file(&waiver) {
            WaiverState::Expired => WaiverState::Expired,
            state if approved && is_bound => state,
            _ => WaiverState::Pending,
        }
    };
    files.iter().map(of_file).chain(cluster.iter().map(of_cluster))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Object;

    #[test]
    fn a_waiver_waits_is_used_or_is_over() {
        const NOW: i64 = 1_800_000_000;
        let state = |approved_by: Option<&str>, bound: &str, expires_at: &str, used: bool| {
            let object = json!({
                "metadata": { "name": "w", "uid": "w-1" },
                "spec": {
                    "rules": ["no-host-namespaces"], "subject": { "namespace": "payments", "serviceAccount": "api" },
                    "owner": "team", "reason": "moves", "ticket": "T-1", "expiresAt": expires_at,
                },
                "status": { "requestedBy": "ann", "approvedBy": approved_by, "boundUIDs": { "waiver": bound, "namespace": "n" } },
            });
            let object = Object::from_json(object.to_string()).unwrap();
            let used = BTreeSet::from_iter(used.then(|| "w".to_owned()));
            let states: Vec<_> = waiver_states(&[], &[object.root()], &used, NOW).collect();
            let [state] = states[..] else { panic!("one state: {states:?}") };
            state.word()
        };
        const AHEAD: &str = "2027-02-01T00:00:00Z";
        assert_eq!(state(Some("bob"), "w-1", AHEAD, true), "active");
        assert_eq!(state(Some("bob"), "w-1", AHEAD, false), "unused");
        assert_eq!(state(None, "w-1", AHEAD, false), "pending");
        assert_eq!(state(Some(""), "w-1", AHEAD, false), "pending");
        assert_eq!(state(Some("bob"), "another", AHEAD, true), "pending");
        assert_eq!(state(Some("bob"), "w-1", "no time", true), "pending");
        assert_eq!(state(Some("bob"), "w-1", "2026-02-01T00:00:00Z", true), "expired");
        assert_eq!(state(None, "w-1", "2026-02-01T00:00:00Z", false), "expired");
    }
}
