//! `aws-token-ttl`: an hour for the tokens that AWS's webhook injects for a ServiceAccount with a role; its own default is a day.

use super::outcome::Conflict;
use super::place::{Entries, set_metadata};
use crate::object::{FieldPath, Node, Operation};
use crate::settings::Settings;

const ROLE: &str = "eks.amazonaws.com/role-arn";
const LIFETIME: &str = "eks.amazonaws.com/token-expiration";
/// The audience of those tokens, whose longest lifetime the operator may have lowered.
const AUDIENCE: &str = "sts.amazonaws.com";
const LONGEST: i64 = 3600;

/// The annotation, and whether it was fit already; `None` for a ServiceAccount without a role. A longer lifetime is its author's: it is
/// named, never overridden.
pub(super) fn on_service_account(account: Node<'_>, settings: &Settings) -> Option<(Result<Vec<Operation>, Conflict>, bool)> {
    let annotations = account.path(&["metadata", "annotations"])?;
    let role = annotations.get(ROLE).and_then(Node::as_str)?;
    if role.is_empty() {
        return None;
    }
    let longest = settings.audiences.get(AUDIENCE).map_or(LONGEST, |audience| audience.max_seconds.clamp(600, LONGEST));
    let Some(lifetime) = annotations.get(LIFETIME) else {
        let mut operations = Vec::new();
        let entries = Entries::from([(LIFETIME.into(), longest.to_string())]);
        return Some((set_metadata(&mut operations, account, "annotations", entries).map(|()| operations), false));
    };
    let seconds = lifetime.as_str().and_then(|text| text.parse::<i64>().ok());
    if seconds.is_some_and(|seconds| (600..=longest).contains(&seconds)) {
        return Some((Ok(Vec::new()), true));
    }
    let conflict = Conflict::new(
        FieldPath::of(&["metadata", "annotations"]).key(LIFETIME),
        format!(
            "annotation `{LIFETIME}` is `{}`, which is no number of seconds from 600 to {longest}",
            lifetime.as_str().unwrap_or_default()
        ),
        format!("write `\"{longest}\"`, or remove the annotation"),
    );
    Some((Err(conflict), false))
}
