//! `stamp`: which request admitted the pod, what was injected, and the correlation id that the pod's records share.

use super::outcome::{Conflict, Outcome};
use super::place::Additions;
use super::pod::Pod;
use crate::object::Operation;

const CORRELATION_ID: &str = "doorward.dev/correlation-id";
const ADMISSION_ID: &str = "doorward.dev/admission-id";
const INJECTED: &str = "doorward.dev/injected";

/// A correlation id is kept, whoever wrote it: it is a claim that is passed on. The admission id is ours always, so that a copied
/// template cannot carry another request's (`hardening.md` A29).
pub(super) fn apply(pod: &Pod<'_>, request_uid: &str, revision: &str, outcomes: &[Outcome]) -> Result<Vec<Operation>, Conflict> {
    let mut additions = Additions::default();
    if pod.template.annotation(CORRELATION_ID).is_none_or(str::is_empty) {
        additions.annotate(CORRELATION_ID, request_uid.to_owned());
    }
    additions.annotate(ADMISSION_ID, request_uid.to_owned());
    let mut ids: Vec<&str> = outcomes.iter().filter(|outcome| outcome.done).map(|outcome| outcome.id).collect();
    ids.sort_unstable();
    additions.annotate(INJECTED, format!("{}@{revision}", ids.join(",")));
    additions.operations(pod)
}
