//! What a report says of waivers: what they let be, and those that let nothing be.

use std::collections::BTreeSet;

use super::model::{Enforcement, ObjectRef, Severity, Status, Violation, Waived};
use crate::object::{Node, hex_digest};
use crate::policy::{self, Facts, PolicySet, Source, Subject, Waiver, WaiverState, exemption_reason, lifting_waiver, waiver_state};

/// What lifted a violation, beside the violation as it would be told.
pub(super) fn waived(set: &PolicySet, facts: &Facts<'_>, by: &str, violation: Violation) -> Waived {
    let waiver = lifting_waiver(set, facts, by);
    let Violation { rule, enforcement, object, path, message, file, line, column, fingerprint, .. } = violation;
    Waived {
        reason: waiver.as_ref().map(|(_, spec)| spec.reason.clone()).or_else(|| exemption_reason(set, &rule, by)),
        owner: waiver.as_ref().map(|(_, spec)| spec.owner.clone()),
        ticket: waiver.as_ref().map(|(_, spec)| spec.ticket.clone()),
        expires_at: waiver.as_ref().map(|(_, spec)| spec.expires_at.clone()),
        waiver: waiver.map(|(name, _)| name),
        by: by.to_owned(),
        rule,
        enforcement,
        object,
        path,
        message,
        file,
        line,
        column,
        fingerprint,
    }
}

/// A waiver that is an object of the cluster or of the manifests, and where it stands if it lifted nothing.
#[derive(Debug)]
pub(super) struct Standing {
    name: String,
    state: WaiverState,
    expires_at: String,
    place: Place,
}

/// Where a waiver is told: its object, and its place in a file.
#[derive(Debug)]
struct Place {
    object: ObjectRef,
    file: String,
    line: usize,
}

impl Standing {
    /// How an object stands that is a waiver. Among manifests it is a wish, and only that it is over can be said of it.
    pub(super) fn of(subject: &Subject<'_>, object: &ObjectRef, file: &str, line: usize, now: i64) -> Option<Self> {
        let node = subject.object.filter(|_| subject.is_waiver())?;
        let state = waiver_state(node, false, now);
        if subject.source == Source::Manifests && state != WaiverState::Expired {
            return None;
        }
        Some(Self {
            name: object.name.clone(),
            state,
            expires_at: node.path(&["spec", "expiresAt"]).and_then(Node::as_str).unwrap_or_default().to_owned(),
            place: Place { object: object.clone(), file: file.to_owned(), line },
        })
    }

    /// What an audit says of it. `used` is what lifted something.
    pub(super) fn finding(&self, used: &BTreeSet<&str>) -> Option<Violation> {
        match self.state {
            WaiverState::Unused if used.contains(format!("waiver {}", self.name).as_str()) => None,
            state => told(state, &self.expires_at, &self.place),
        }
    }
}

/// What an audit says of a waiver of a file, whose giving is its approval.
pub(super) fn stale(waiver: &Waiver, used: &BTreeSet<&str>, now: i64) -> Option<Violation> {
    let state = if waiver.expires_at <= now {
        WaiverState::Expired
    } else if used.contains(format!("waiver {}", waiver.name).as_str()) {
        WaiverState::Active
    } else {
        WaiverState::Unused
    };
    let (file, line) = waiver.place.clone();
    let object = ObjectRef {
        api_version: policy::API_VERSION.into(),
        kind: "IdentityWaiver".into(),
        name: waiver.name.to_string(),
        ..ObjectRef::default()
    };
    told(state, &waiver.spec.expires_at, &Place { object, file, line })
}

/// A waiver that lifts nothing: it is over, nobody approved it, or what it was for is gone.
fn told(state: WaiverState, expires_at: &str, place: &Place) -> Option<Violation> {
    let (enforcement, path, message, remedy) = match state {
        WaiverState::Active => return None,
        WaiverState::Expired => {
            let message = format!("expired at {expires_at} and lifts nothing");
            (Enforcement::Warn, "spec.expiresAt", message, "mend what it was for, or ask for another one")
        }
        WaiverState::Pending => {
            let remedy = "have a member of a group in `waiver.approvers` approve it, or delete it";
            (Enforcement::Audit, "status", "is approved by nobody as it is now, and lifts nothing".to_owned(), remedy)
        }
        WaiverState::Unused => {
            let message = "lifted nothing in this audit".to_owned();
            (Enforcement::Audit, "spec", message, "remove it once what it was for is mended")
        }
    };
    let Place { object, file, line } = place;
    Some(Violation {
        rule: policy::WAIVER_RULE.into(),
        invariants: vec!["INV-9".into(), "INV-11".into()],
        severity: Severity::Medium,
        enforcement,
        path: path.into(),
        message,
        remedy: remedy.into(),
        file: file.clone(),
        line: if file.is_empty() { 0 } else { *line },
        column: usize::from(!file.is_empty()),
        fingerprint: hex_digest(format!("{}\n{}\n{path}", policy::WAIVER_RULE, object.name).as_bytes()),
        status: Status::New,
        object: object.clone(),
    })
}
