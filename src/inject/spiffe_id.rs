//! `spiffe-id`: the SPIFFE ID to expect, as an annotation. It records, it grants nothing.

use super::outcome::Conflict;
use super::place::Additions;
use super::pod::Pod;
use crate::object::Operation;

const ANNOTATION: &str = "spiffe.io/spiffe-id";

fn expected(pod: &Pod<'_>) -> Option<String> {
    pod.settings().expected_spiffe_id(pod.surroundings.namespace, pod.template.service_account_name())
}

/// Without a trust domain there is no SPIFFE ID.
pub(super) fn is_due(pod: &Pod<'_>) -> bool {
    pod.settings().spiffe.trust_domain.is_some()
}

/// Whether the annotation says what it should. A different one is the author's; its rule refuses it.
pub(super) fn is_done(pod: &Pod<'_>) -> bool {
    pod.template.annotation(ANNOTATION) == expected(pod).as_deref()
}

pub(super) fn apply(pod: &Pod<'_>) -> Result<Vec<Operation>, Conflict> {
    let mut additions = Additions::default();
    if pod.template.annotation(ANNOTATION).is_none()
        && let Some(id) = expected(pod)
    {
        additions.annotate(ANNOTATION, id);
    }
    additions.operations(pod)
}
