//! What no rule can judge, and an audit must not pass over in silence: an object that holds containers where nobody looks for a pod template
//! (`hardening.md` A41), whose pods are judged when they are made; and a Secret whose type is not known, which may hold a legacy token.

use std::sync::Arc;

use super::evaluate::on_unknown;
use super::schema::Severity;
use super::set::PolicySet;
use super::subject::{Facts, Source, Subject};
use super::verdict::{Certainty, Verdict, Violation};
use super::waive::{Lifted, in_namespace, lifted_by};
use crate::object::{FieldPath, Kind, Node, escaped, hex_digest, quoted};
use crate::settings::{Enforcement, RolloutStep};

/// The rule that asks which Secrets hold legacy tokens.
const TOKEN_RULE: &str = "no-legacy-token-use";
/// How many of them are named.
const NAMED: usize = 5;

/// The id under which it is reported.
pub const UNSEEN_RULE: &str = "unseen-pod-template";

/// How deep a template may lie.
const DEPTH: usize = 32;

/// What an audit says of an object whose containers no rule sees.
#[must_use]
pub fn unseen(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>) -> Option<Violation> {
    let object = subject.object.filter(|_| subject.template().is_none())?;
    let path = containers(object, DEPTH)?;
    let ceiling = set.settings.preset.enforcement(RolloutStep::default(), Enforcement::Deny);
    let enforcement = match subject.source {
        Source::Manifests => on_unknown(set, subject, ceiling),
        // The pods themselves are there to be judged.
        Source::Mutating | Source::Validating => ceiling.min(Enforcement::Warn),
    };
    if enforcement == Enforcement::Off {
        return None;
    }
    let waived_by = match lifted_by(UNSEEN_RULE, subject, None, &set.settings, &set.waivers, facts) {
        Lifted::By(who) => Some(who),
        Lifted::No | Lifted::Unknown(_) => None,
    };
    let kind = escaped(&format!("{}/{}", subject.kind.group, subject.kind.kind));
    Some(Violation {
        rule: Arc::from(UNSEEN_RULE),
        invariants: Arc::from(["INV-1".to_owned()]),
        severity: Severity::Medium,
        enforcement,
        fingerprint: hex_digest(format!("{UNSEEN_RULE}\n{}", path.stable(object)).as_bytes()),
        path,
        added_by: None,
        message: format!("holds containers that no rule sees: `{kind}` is no kind whose pod template is known"),
        remedy: "write it in a version that the cluster serves, or add its pod template to the setting `podTemplates`".into(),
        certainty: Certainty::Unknown,
        waived_by,
        old: false,
        reason: None,
    })
}

/// What an audit says of a pod that uses Secrets whose type is not known: none of them is known to be harmless. The name alone refuses
/// nobody, so it is recorded and no more.
#[must_use]
pub fn unlisted_secrets(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>, verdict: &Verdict) -> Option<Violation> {
    let (policy, template) = (set.policy(TOKEN_RULE)?, subject.template()?);
    let identity = verdict.identity.as_ref()?.root();
    let not_known = |credential: &Node<'_>| credential.text("kind") == "secret" && !facts.token_secrets.knows(credential.text("name"));
    let mut credentials: Vec<Node<'_>> = identity.list("credentials").filter(not_known).collect();
    credentials.sort_by_key(|credential| credential.text("name"));
    credentials.dedup_by_key(|credential| credential.text("name"));
    let first = credentials.first()?;
    let ceiling = policy.enforcement.min(Enforcement::Audit);
    let enforcement = set.settings.enforced(TOKEN_RULE, policy.step, ceiling, in_namespace(subject, facts));
    if enforcement == Enforcement::Off {
        return None;
    }
    let waived_by = match lifted_by(TOKEN_RULE, subject, Some(template.service_account_name()), &set.settings, &set.waivers, facts) {
        Lifted::By(who) => Some(who),
        Lifted::No | Lifted::Unknown(_) => None,
    };
    let named: Vec<String> = credentials.iter().take(NAMED).map(|one| format!("`{}`", quoted(one.text("name")))).collect();
    let more = match credentials.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (reason, remedy) = match subject.source {
        Source::Manifests => {
            ("what type it is of is not among the files", "give the Secret, or the ExternalSecret that makes it, with --context")
        }
        Source::Mutating | Source::Validating => {
            ("the token Secrets of the cluster could not be listed", "let who audits `list` Secrets; no more than names is read")
        }
    };
    let path = subject.template_path().join(&FieldPath::parse(first.text("fieldPath")).unwrap_or_default());
    Some(Violation {
        rule: policy.id.clone(),
        invariants: policy.invariants.clone(),
        severity: policy.severity,
        enforcement,
        fingerprint: hex_digest(format!("{TOKEN_RULE}\nunlisted\n{}", named.join(",")).as_bytes()),
        path: subject.object.map_or_else(|| path.clone(), |object| path.nearest_existing(object)),
        added_by: None,
        message: escaped(&format!(
            "cannot be decided: Secret {}{more} may hold a never-expiring ServiceAccount token: {reason}",
            named.join(", ")
        )),
        remedy: remedy.into(),
        certainty: Certainty::Unknown,
        waived_by,
        old: false,
        reason: None,
    })
}

/// The first list named `containers` with an item that has an `image`.
fn containers(node: Node<'_>, depth: usize) -> Option<FieldPath> {
    let depth = depth.checked_sub(1)?;
    match node.kind() {
        Kind::Map => node.entries().find_map(|(key, value)| {
            let here = || FieldPath::root().field(key.to_owned());
            let is_container = |item: Node<'_>| item.get("image").is_some_and(|image| image.as_str().is_some());
            if key == "containers" && value.items().any(is_container) {
                return Some(here());
            }
            containers(value, depth).map(|below| here().join(&below))
        }),
        Kind::List => {
            let mut items = node.items().enumerate();
            items.find_map(|(index, item)| containers(item, depth).map(|below| FieldPath::root().index(index).join(&below)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;

    #[test]
    fn containers_are_found_wherever_they_stand() {
        let path = |text: &str| containers(Object::from_json(text).unwrap().root(), DEPTH).map(|path| path.to_string());
        let found = path(r#"{"spec":{"replicas":1,"templates":[{"name":"a"},{"spec":{"containers":[{"image":"a:1"}]}}]}}"#);
        assert_eq!(found.as_deref(), Some("spec.templates[1].spec.containers"));
        // A schema of containers, and a list of their names.
        for other in
            [r#"{"properties":{"containers":{"items":{"image":{}}}}}"#, r#"{"containers":["a"]}"#, r#"{"containers":[{"image":{}}]}"#]
        {
            assert_eq!(path(other), None, "{other}");
        }
    }
}
