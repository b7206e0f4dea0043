//! From a violation to the change that ends it, where one is known. What a remedy says in code (`` `hostPID: false` ``) is tried on a
//! copy, and leaving out what it says to remove, a volume with its mounts; only a change that the rules accept, and that brings no other
//! violation with it, is offered. `policies/README.md` says for which rules there is one.

use serde_json::Value;

use super::evaluate::{Limits, evaluate};
use super::set::PolicySet;
use super::subject::{Facts, Subject};
use super::verdict::{Certainty, Verdict, Violation};
use crate::manifest;
use crate::object::{FieldPath, Node, Object, Operation, Segment};

/// A JSON Patch (RFC 6902) of the object that ends a violation, proven by judging the object again; none if no candidate is accepted.
/// `verdict` is the one that the violation is part of.
#[must_use]
pub fn mend(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>, verdict: &Verdict, violation: &Violation) -> Option<Vec<Operation>> {
    let object = subject.object?;
    if violation.certainty != Certainty::Certain || violation.path.is_root() {
        return None;
    }
    let before = Object::detached(object);
    candidates(violation, object).find(|candidate| {
        let Ok(after) = before.patched(candidate) else { return false };
        let mended = evaluate(set, &Subject { object: Some(after.root()), ..subject.clone() }, facts, Limits::default());
        let ended = !mended.violations.iter().any(|left| left.rule == violation.rule && left.path == violation.path);
        ended && mended.counted().all(|left| verdict.violations.iter().any(|known| known.rule == left.rule && known.path == left.path))
    })
}

/// What might end a violation, the author's loss smallest first: what the remedy writes, then leaving out what it says to remove.
fn candidates<'v>(violation: &'v Violation, object: Node<'v>) -> impl Iterator<Item = Vec<Operation>> + 'v {
    let written = violation.remedy.split('`').skip(1).step_by(2).filter_map(move |code| {
        let (key, _) = code.split_once(": ")?;
        let value = value(code, key)?;
        let path = place(&violation.path, key)?;
        if path.resolve(object).is_some() {
            return Some(vec![Operation::replace(path, value)]);
        }
        let parent = path.parent()?;
        // A map of annotations that is not there yet is made for its first.
        match parent.resolve(object) {
            Some(_) => Some(vec![Operation::add(path, value)]),
            None => Some(vec![Operation::add(parent, serde_json::json!({ key: value }))]),
        }
    });
    written.chain(removed(violation, object))
}

/// Leaving out what the remedy says to remove. Without that word the field may be one that an object must have: the rules would accept a
/// pod without its `spec`.
fn removed(violation: &Violation, object: Node<'_>) -> Option<Vec<Operation>> {
    let what = ["remove ", "drop "].iter().find_map(|word| violation.remedy.strip_prefix(word))?;
    let path = &violation.path;
    path.resolve(object)?;
    // Where more is to be done than leaving something out, that alone would break what it was for.
    let alone = what.split([';', ',']).next().is_some_and(|clause| !clause.contains(" and ")) && !what.contains(", and ");
    if !alone || what.starts_with("the pod") {
        return None;
    }
    // A field that is named, or an annotation, is all that goes; else it is the item of the list that the violation stands in.
    let named = what.strip_prefix('`').and_then(|rest| rest.split('`').next()).is_some_and(|name| is_last(path, name));
    if named || what.starts_with("the annotation") || what.starts_with("the label") {
        return Some(vec![Operation::remove(path.clone())]);
    }
    let Some((list, index)) = item(path) else { return Some(vec![Operation::remove(path.clone())]) };
    if is_last(&list, "containers") && list.resolve(object).is_some_and(|containers| containers.items().len() < 2) {
        return None;
    }
    let mut operations = Vec::new();
    if is_last(&list, "volumes") {
        let name = list.resolve(object)?.items().nth(index)?.text("name");
        operations.extend(mounts(&list, name, object));
    }
    operations.push(Operation::remove(list.index(index)));
    Some(operations)
}

/// The removals of a volume's mounts, the last of each list first, so that the positions of the others stay.
fn mounts(volumes: &FieldPath, name: &str, object: Node<'_>) -> Vec<Operation> {
    let Some(spec) = volumes.parent() else { return Vec::new() };
    let mut operations = Vec::new();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let containers = spec.clone().field(list);
        for (container, node) in containers.resolve(object).into_iter().flat_map(Node::items).enumerate() {
            for list in ["volumeMounts", "volumeDevices"] {
                let named = node.list(list).enumerate().filter(|(_, mount)| mount.text("name") == name);
                let paths = named.map(|(index, _)| containers.clone().index(container).field(list).index(index));
                operations.extend(paths.rev().map(Operation::remove));
            }
        }
    }
    operations
}

fn is_last(path: &FieldPath, name: &str) -> bool {
    matches!(path.segments().last(), Some(Segment::Field(last) | Segment::Key(last)) if last == name)
}

/// The list that a path leads into last, and the position of the item.
fn item(path: &FieldPath) -> Option<(FieldPath, usize)> {
    let mut path = path.clone();
    loop {
        if let Segment::Index(index) = path.pop()? {
            return Some((path, index));
        }
    }
}

/// Where a key of the remedy stands: at the violation itself, or beside or in what the violation names.
fn place(path: &FieldPath, key: &str) -> Option<FieldPath> {
    let is_plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match path.segments().last()? {
        Segment::Field(last) | Segment::Key(last) if last == key => Some(path.clone()),
        Segment::Field(last) if !is_plain && (last == "annotations" || last == "labels") => Some(path.clone().key(key)),
        Segment::Field(last) if !is_plain && last == "metadata" => Some(path.clone().field("annotations").key(key)),
        Segment::Field(_) | Segment::Index(_) if is_plain => Some(path.clone().field(key.to_owned())),
        _ => None,
    }
}

/// The value that a remedy's code gives a key, read as a manifest is; none where a part of it is the author's to say.
fn value(code: &str, key: &str) -> Option<Value> {
    if code.contains('<') {
        return None;
    }
    let read = manifest::read("remedy", code);
    let [document] = &read.documents[..] else { return None };
    let value = document.object.root().entry(key).or_else(|| document.object.root().get(key))?;
    serde_json::to_value(value).ok().filter(|value| !value.is_null())
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
        assert_eq!(patch, r#"[{"op":"replace","path":"/spec/automountServiceAccountToken","value":false}]"#);
    }

    #[test]
    fn a_lifetime_is_lowered_to_what_is_allowed() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"payments"},"spec":{"serviceAccountName":"api",
            "automountServiceAccountToken":false,"containers":[{"name":"app","volumeMounts":[{"name":"t","mountPath":"/t"}]}],
            "volumes":[{"name":"t","projected":{"sources":[{"serviceAccountToken":{"audience":"vault","path":"t","expirationSeconds":3600}}]}}]}}"#;
        let patch = of(pod, "token-ttl-limit").unwrap();
        let path = "/spec/volumes/0/projected/sources/0/serviceAccountToken/expirationSeconds";
        assert_eq!(patch, format!(r#"[{{"op":"replace","path":"{path}","value":600}}]"#));
    }

    #[test]
    fn a_field_that_need_not_be_there_is_removed() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"payments"},"spec":{"serviceAccountName":"api",
            "automountServiceAccountToken":false,"hostPID":true,"containers":[{"name":"app"}]}}"#;
        assert_eq!(of(pod, "no-host-namespaces").unwrap(), r#"[{"op":"remove","path":"/spec/hostPID"}]"#);
    }

    #[test]
    fn a_volume_goes_with_its_mounts() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"payments"},"spec":{"serviceAccountName":"api",
            "automountServiceAccountToken":false,"volumes":[{"name":"x","emptyDir":{}},{"name":"proc","hostPath":{"path":"/proc"}}],
            "containers":[{"name":"app","volumeMounts":[{"name":"proc","mountPath":"/a"},{"name":"x","mountPath":"/x"},
            {"name":"proc","mountPath":"/b"}]}]}}"#;
        let patch = of(pod, "no-hostpath-spiffe-socket").unwrap();
        let mount = |index: usize| format!(r#"{{"op":"remove","path":"/spec/containers/0/volumeMounts/{index}"}}"#);
        assert_eq!(patch, format!(r#"[{},{},{{"op":"remove","path":"/spec/volumes/1"}}]"#, mount(2), mount(0)));
    }

    #[test]
    fn a_remedy_writes_a_map_and_an_annotation() {
        let account = r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"api","namespace":"payments",
            "annotations":{"eks.amazonaws.com/role-arn":"arn:aws:iam::1:role/api"}},"automountServiceAccountToken":false}"#;
        let patch = mended(account).into_iter().filter(|(id, _)| id == "cloud-role-binding").find_map(|(_, patch)| patch).unwrap();
        assert_eq!(patch, r#"[{"op":"add","path":"/metadata/annotations/eks.amazonaws.com~1token-expiration","value":"3600"}]"#);
        let map = value("emptyDir: { medium: Memory }", "emptyDir").unwrap();
        assert_eq!(map, serde_json::json!({ "medium": "Memory" }));
        assert_eq!(value("endpointSPIFFEID: spiffe://<trust domain>/spire/server", "endpointSPIFFEID"), None);
    }

    #[test]
    fn no_patch_is_made_up() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"payments"},"spec":{
            "automountServiceAccountToken":false,"containers":[{"name":"app"}]}}"#;
        assert_eq!(of(pod, "no-default-service-account"), None);
        // A container cannot be without its name, and what is to come in its place is not known.
        let job = r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"j","namespace":"payments"},"spec":{"template":{"spec":{
            "serviceAccountName":"api","automountServiceAccountToken":false,"containers":[{"name":"agent","image":"vault:1","command":["vault","agent"]}]}}}}"#;
        assert_eq!(of(job, "vault-agent-shape"), None);
    }
}
