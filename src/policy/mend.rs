//! From a violation to the change that ends it, where one is known. What a remedy says in code (`` `hostPID: false` ``) is tried on a
//! copy, and leaving out what it says to remove; only a change that the rules accept, and that brings no other violation with it, is
//! offered.

use serde_json::Value;

use super::evaluate::{Limits, evaluate};
use super::set::PolicySet;
use super::subject::{Facts, Subject};
use super::verdict::{Certainty, Verdict, Violation};
use crate::object::{FieldPath, Node, Object, Operation, Segment};

/// A change of one field of the object that ends a violation, proven by judging the object again; none if no candidate is accepted.
/// `verdict` is the one that the violation is part of.
#[must_use]
pub fn mend(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>, verdict: &Verdict, violation: &Violation) -> Option<Operation> {
    let object = subject.object?;
    if violation.certainty != Certainty::Certain || violation.path.is_root() {
        return None;
    }
    let before = Object::detached(object);
    candidates(violation, object).find(|candidate| {
        let Ok(after) = before.patched(std::slice::from_ref(candidate)) else { return false };
        let mended = evaluate(set, &Subject { object: Some(after.root()), ..subject.clone() }, facts, Limits::default());
        let ended = !mended.violations.iter().any(|left| left.rule == violation.rule && left.path == violation.path);
        ended && mended.counted().all(|left| verdict.violations.iter().any(|known| known.rule == left.rule && known.path == left.path))
    })
}

/// What might end a violation, the author's loss smallest first: what the remedy writes, then leaving the field out.
fn candidates<'v>(violation: &'v Violation, object: Node<'v>) -> impl Iterator<Item = Operation> + 'v {
    let written = violation.remedy.split('`').skip(1).step_by(2).filter_map(move |code| {
        let (key, value) = code.split_once(": ")?;
        let path = place(&violation.path, key)?;
        Some(if path.resolve(object).is_some() { Operation::replace(path, scalar(value)) } else { Operation::add(path, scalar(value)) })
    });
    // Without that word the field may be one that an object must have: the rules would accept a pod without its `spec`.
    let to_remove = violation.remedy.starts_with("remove") || violation.remedy.starts_with("drop");
    let removed = violation.path.resolve(object).filter(|_| to_remove).map(|_| Operation::remove(violation.path.clone()));
    written.chain(removed)
}

/// Where a key of the remedy stands: at the violation itself, or beside or in what the violation names.
fn place(path: &FieldPath, key: &str) -> Option<FieldPath> {
    match path.segments().last()? {
        Segment::Field(last) | Segment::Key(last) if last == key => Some(path.clone()),
        Segment::Field(_) | Segment::Index(_) if key.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            Some(path.clone().field(key.to_owned()))
        }
        _ => None,
    }
}

/// The value of a remedy's code: a boolean, a whole number, else a string with or without quotes.
fn scalar(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text.parse::<i64>().map_or_else(|_| Value::String(text.trim_matches(['"', '\'']).to_owned()), Value::from),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RelatedIndex, Source, Sources, load};
    use super::*;

    fn mended(pod: &str) -> Vec<(String, Option<String>)> {
        let set = load(&Sources::default()).unwrap();
        let object = Object::from_json(pod).unwrap();
        let mended = |subject: &Subject<'_>, facts: &Facts<'_>| {
            let verdict = evaluate(&set, subject, facts, Limits::default());
            let patch = |violation| mend(&set, subject, facts, &verdict, violation).map(|patch| serde_json::to_string(&patch).unwrap());
            verdict.violations.iter().map(|violation| (violation.rule.to_string(), patch(violation))).collect()
        };
        RelatedIndex::new([], "payments", true).created(&set, Source::Manifests, object.root(), "payments", 0, mended).unwrap()
    }

    fn of(pod: &str, rule: &str) -> Option<String> {
        mended(pod).into_iter().find(|(id, _)| id == rule).unwrap_or_else(|| panic!("`{rule}` is violated")).1
    }

    #[test]
    fn what_the_remedy_writes_is_tried_first() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"payments"},"spec":{"serviceAccountName":"api",
            "automountServiceAccountToken":true,"containers":[{"name":"app"}]}}"#;
        let patch = of(pod, "no-explicit-automount").unwrap();
        assert_eq!(patch, r#"{"op":"replace","path":"/spec/automountServiceAccountToken","value":false}"#);
    }

    #[test]
    fn a_lifetime_is_lowered_to_what_is_allowed() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"payments"},"spec":{"serviceAccountName":"api",
            "automountServiceAccountToken":false,"containers":[{"name":"app","volumeMounts":[{"name":"t","mountPath":"/t"}]}],
            "volumes":[{"name":"t","projected":{"sources":[{"serviceAccountToken":{"audience":"vault","path":"t","expirationSeconds":3600}}]}}]}}"#;
        let patch = of(pod, "token-ttl-limit").unwrap();
        let path = "/spec/volumes/0/projected/sources/0/serviceAccountToken/expirationSeconds";
        assert_eq!(patch, format!(r#"{{"op":"replace","path":"{path}","value":600}}"#));
    }

    #[test]
    fn a_field_that_need_not_be_there_is_removed() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"payments"},"spec":{"serviceAccountName":"api",
            "automountServiceAccountToken":false,"hostPID":true,"containers":[{"name":"app"}]}}"#;
        assert_eq!(of(pod, "no-host-namespaces").unwrap(), r#"{"op":"remove","path":"/spec/hostPID"}"#);
    }

    #[test]
    fn no_patch_is_made_up() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"payments"},"spec":{
            "automountServiceAccountToken":false,"containers":[{"name":"app"}]}}"#;
        assert_eq!(of(pod, "no-default-service-account"), None);
    }
}
