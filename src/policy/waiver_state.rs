//! Where each waiver stands, for those who look after them: an exception that waits, that nobody needs, or that is over.

use std::collections::BTreeSet;

use super::set::PolicySet;
use super::subject::Facts;
use super::waive::Waiver;
use super::waiver_object::{approved, content, status, waivers_resource};
use super::waiver_schema::IdentityWaiverSpec;
use crate::object::{Fact, Node};

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
    let of_file = move |waiver: &Waiver| in_force(waiver, used.contains(&*waiver.name), now);
    let name = |object: Node<'a>| object.path(&["metadata", "name"]).and_then(Node::as_str).unwrap_or_default();
    let of_cluster = move |object: &Node<'a>| waiver_state(*object, used.contains(name(*object)), now);
    files.iter().map(of_file).chain(cluster.iter().map(of_cluster))
}

/// Where a waiver of the cluster stands.
#[must_use]
pub fn waiver_state(object: Node<'_>, used: bool, now: i64) -> WaiverState {
    let metadata = |key: &str| object.get("metadata").map(|metadata| metadata.text(key)).unwrap_or_default();
    let Some(waiver) = content(object, now) else { return WaiverState::Pending };
    let approved = approved(object, now).is_some_and(|waiver| now < waiver.expires_at);
    let is_bound = status(Some(object)).bound_uids.is_some_and(|bound| bound.waiver == metadata("uid"));
    match in_force(&waiver, used, now) {
        WaiverState::Expired => WaiverState::Expired,
        state if approved && is_bound => state,
        _ => WaiverState::Pending,
    }
}

fn in_force(waiver: &Waiver, used: bool, now: i64) -> WaiverState {
    match (waiver.expires_at <= now, used) {
        (true, _) => WaiverState::Expired,
        (false, true) => WaiverState::Active,
        (false, false) => WaiverState::Unused,
    }
}

/// The waiver that lifted a violation, by what the violation says lifted it: its name and what it says. Those of files come before those of
/// the cluster, as in lifting.
#[must_use]
pub fn lifting_waiver(set: &PolicySet, facts: &Facts<'_>, by: &str) -> Option<(String, IdentityWaiverSpec)> {
    let name = by.strip_prefix("waiver ")?;
    if let Some(waiver) = set.waivers().iter().find(|waiver| &*waiver.name == name) {
        return Some((name.to_owned(), waiver.spec.clone()));
    }
    let Some(Fact::Found(objects)) = facts.related.get(&waivers_resource()) else { return None };
    let is_it = |object: &&Node<'_>| object.path(&["metadata", "name"]).and_then(Node::as_str) == Some(name);
    let waiver = content(**objects.iter().find(is_it).as_ref()?, facts.now)?;
    Some((name.to_owned(), waiver.spec))
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
