//! An IdentityWaiver as an object of the cluster: an exception is a credential, so it is asked for by one person and approved by
//! another, for these very objects and not for their namesakes, and it ends.
//!
//! Our mutating hook writes `status` whole, by what the request is: made, renewed, approved, or neither. Our validating hook refuses what
//! may not be. A waiver without an approval lifts nothing (`hardening.md` A30).

use std::sync::Arc;

use super::schema::{RelatedResource, Severity};
use super::set::PolicySet;
use super::subject::{Facts, Operation, Source, Subject};
use super::verdict::{Certainty, Verdict, Violation};
use super::waive::{Waiver, is_namespace, place};
use super::waiver_schema::{BoundUids, IdentityWaiverSpec, IdentityWaiverStatus};
use crate::object::{Fact, FieldPath, GroupVersionKind, Node, Operation as Change, escaped, hex_digest, quoted};
use crate::settings::Enforcement;

/// The id under which mistakes in waivers are reported.
pub const RULE: &str = "identity-waiver";

/// Whether an object is a waiver.
pub(super) fn is_waiver(kind: &GroupVersionKind) -> bool {
    kind.group == "doorward.dev" && kind.kind == "IdentityWaiver"
}

/// The waivers of the cluster among the related objects.
#[must_use]
pub fn waivers_resource() -> RelatedResource {
    RelatedResource { group: "doorward.dev".into(), resource: "identitywaivers".into() }
}

/// Namespace and ServiceAccount that a waiver speaks of, which must be known to bind it to them.
pub(super) fn waived(object: Node<'_>) -> Option<(&str, Option<&str>)> {
    let subject = object.path(&["spec", "subject"])?;
    Some((subject.text("namespace"), Some(subject.text("serviceAccount")).filter(|name| !name.is_empty())))
}

/// What a request does to a waiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Make,
    Renew,
    Approve,
    /// Anything else: labels, annotations, an attempt at the status.
    Touch,
}

/// A waiver in the light of one request.
struct Request<'a> {
    deed: Deed,
    requester: &'a str,
    old: IdentityWaiverStatus,
    /// The status as it must be after the request; none while it cannot be known.
    status: Result<IdentityWaiverStatus, String>,
}

/// The status that a waiver has; an empty one if it has none that can be read.
pub(super) fn status(object: Option<Node<'_>>) -> IdentityWaiverStatus {
    object.and_then(|object| object.get("status")).and_then(|status| status.read().ok()).unwrap_or_default()
}

/// Everybody who asked for a waiver so far: its maker, and each who had it renewed. Empty if its maker is not known, because our hook was
/// absent or kept no list when it was made.
fn requesters(status: &IdentityWaiverStatus) -> Vec<String> {
    if status.requesters.is_empty() && status.renewals == 0 && !status.requested_by.is_empty() {
        return vec![status.requested_by.clone()];
    }
    status.requesters.clone()
}

fn uid<'a>(fact: &Fact<Node<'a>>, what: &str) -> Result<&'a str, String> {
    match fact {
        Fact::Found(object) => Ok(object.get("metadata").map(|metadata| metadata.text("uid")).unwrap_or_default()),
        Fact::Absent => Err(format!("there is no such {what}")),
        Fact::Unknown(reason) => Err(format!("the {what} is not known: {reason}")),
    }
}

impl<'a> Request<'a> {
    fn of(subject: &'a Subject<'a>, facts: &Facts<'a>) -> Self {
        let (new, old) = (subject.object, subject.old_object);
        let before = status(old);
        let field = |object: Option<Node<'a>>, key: &str| object.and_then(|object| object.path(&["spec", key]));
        let deed = match subject.operation {
            Operation::Create => Deed::Make,
            _ if field(new, "expiresAt") != field(old, "expiresAt") => Deed::Renew,
            _ if before.approved_by.is_none() && status(new).approved_by.is_some_and(|by| !by.is_empty()) => Deed::Approve,
            _ => Deed::Touch,
        };
        let requester = subject.username;
        let asked = |requesters| IdentityWaiverStatus { requested_by: requester.to_owned(), requesters, ..IdentityWaiverStatus::default() };
        let status = match deed {
            Deed::Make => Ok(asked(vec![requester.to_owned()])),
            Deed::Renew => {
                let mut requesters = requesters(&before);
                // With its maker unknown the list stays empty: one that began with who renews would let the maker approve.
                if !requesters.is_empty() && !requesters.iter().any(|known| known == requester) {
                    requesters.push(requester.to_owned());
                }
                // What was approved holds until the end that it was approved for.
                let approved_until = end_of_approval(&before, old);
                let bound_uids = before.bound_uids.clone().filter(|_| approved_until.is_some());
                Ok(IdentityWaiverStatus { renewals: before.renewals.saturating_add(1), approved_until, bound_uids, ..asked(requesters) })
            }
            Deed::Approve => bound(new, &facts.namespace, facts).map(|bound_uids| IdentityWaiverStatus {
                approved_by: Some(requester.to_owned()),
                approved_at: jiff::Timestamp::from_second(facts.now).ok().map(|now| now.to_string()),
                approved_until: field(new, "expiresAt").and_then(Node::as_str).map(str::to_owned),
                bound_uids: Some(bound_uids),
                ..before.clone()
            }),
            Deed::Touch => Ok(before.clone()),
        };
        Self { deed, requester, old: before, status }
    }
}

/// Until when a waiver lifts what it was approved for; none without an approval. One approved before that was written down holds until
/// its own end.
fn end_of_approval(status: &IdentityWaiverStatus, object: Option<Node<'_>>) -> Option<String> {
    let approved = status.approved_by.as_deref().is_some_and(|by| !by.is_empty());
    let own = || expiry(object).filter(|_| approved).and_then(Node::as_str).map(str::to_owned);
    status.approved_until.clone().or_else(own)
}

/// A waiver of the cluster as far as it is approved: it ends with its approval, or with itself if that is sooner.
pub(super) fn approved(object: Node<'_>, now: i64) -> Option<Waiver> {
    let approved_until: jiff::Timestamp = end_of_approval(&status(Some(object)), Some(object))?.parse().ok()?;
    let waiver = content(object, now)?;
    Some(Waiver { expires_at: waiver.expires_at.min(approved_until.as_second()), ..waiver })
}

/// What a waiver of the cluster says, however far ahead it ends.
pub(super) fn content(object: Node<'_>, now: i64) -> Option<Waiver> {
    let name = object.path(&["metadata", "name"])?.as_str()?;
    Waiver::checked(name, object.get("spec")?.read().ok()?, i64::MAX / 86_400 / 2, now).ok()
}

/// The objects that a waiver speaks of, as they are now. `namespace` is the one that the waiver names.
fn bound(object: Option<Node<'_>>, namespace: &Fact<Node<'_>>, facts: &Facts<'_>) -> Result<BoundUids, String> {
    let object = object.ok_or("there is no object")?;
    let names_account = waived(object).is_some_and(|(_, account)| account.is_some());
    let names_namespace = waived(object).is_some_and(|(namespace, _)| !namespace.is_empty());
    Ok(BoundUids {
        waiver: object.get("metadata").map(|metadata| metadata.text("uid")).unwrap_or_default().to_owned(),
        namespace: names_namespace.then(|| uid(namespace, "Namespace").map(str::to_owned)).transpose()?,
        service_account: names_account.then(|| uid(&facts.service_account, "ServiceAccount").map(str::to_owned)).transpose()?,
    })
}

/// What the mutating hook does: the status as the request makes it.
pub(super) fn fill(subject: &Subject<'_>, facts: &Facts<'_>) -> Vec<Change> {
    let (Some(object), Ok(wanted)) = (subject.object, Request::of(subject, facts).status) else { return Vec::new() };
    // Strings and numbers always serialise.
    let value = serde_json::to_value(&wanted).unwrap_or_default();
    let path = FieldPath::of(&["status"]);
    match object.get("status") {
        Some(_) if status(Some(object)) == wanted => Vec::new(),
        Some(_) => vec![Change::replace(path, value)],
        None => vec![Change::add(path, value)],
    }
}

/// What the validating hook, and an audit, says of a waiver.
pub(super) fn judge(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>) -> Verdict {
    let mut mistakes = Mistakes::default();
    if let Some(object) = subject.object {
        match object.get("spec").map(Node::read::<IdentityWaiverSpec>) {
            Some(Ok(spec)) => spec_mistakes(set, subject, facts, spec, &mut mistakes),
            Some(Err(error)) => mistakes.0.push((FieldPath::of(&["spec"]).join(&error.path), error.message)),
            None => mistakes.add("spec", "is missing"),
        }
        if subject.source == Source::Validating {
            request_mistakes(set, subject, facts, &mut mistakes);
        }
    }
    let invariants: Arc<[String]> = Arc::from(["INV-9".to_owned(), "INV-11".to_owned()]);
    let violation = |(path, message): (FieldPath, String)| Violation {
        rule: RULE.into(),
        invariants: invariants.clone(),
        severity: Severity::High,
        reason: None,
        enforcement: Enforcement::Deny,
        fingerprint: hex_digest(format!("{RULE}\n{path}\n{message}").as_bytes()),
        path: subject.object.map_or_else(|| path.clone(), |object| path.nearest_existing(object)),
        added_by: None,
        message: escaped(&format!("`{path}` {message}")),
        remedy: String::new(),
        certainty: Certainty::Certain,
        waived_by: None,
        old: false,
    };
    Verdict { violations: mistakes.0.into_iter().map(violation).collect(), evaluated: vec![RULE.into()], ..Verdict::default() }
}

#[derive(Default)]
struct Mistakes(Vec<(FieldPath, String)>);

impl Mistakes {
    fn add(&mut self, path: &str, message: impl Into<String>) {
        self.0.push((FieldPath::parse(path).unwrap_or_default(), message.into()));
    }
}

fn spec_mistakes(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>, spec: IdentityWaiverSpec, mistakes: &mut Mistakes) {
    for (index, rule) in spec.rules.iter().enumerate() {
        if !rule.contains('*') && !set.has_rule(rule) {
            mistakes.add(&format!("spec.rules[{index}]"), format!("there is no rule `{}`{}", quoted(rule), set.nearest(rule)));
        }
    }
    // What an approved waiver says is not asked again when a label changes.
    let is_made = subject.operation == Operation::Create;
    if !is_made && expiry(subject.object) == expiry(subject.old_object) {
        return;
    }
    if let Some(message) = Waiver::beyond(&spec, |id| set.policy(id)) {
        mistakes.add("spec.subject.object", message);
    }
    match Waiver::checked(subject.name, spec, set.settings.waiver.max_days, facts.now) {
        Err((field, message)) => mistakes.add(field, message),
        // Among files one that is over may stand, as it may in the cluster.
        Ok(waiver) if is_made && subject.source == Source::Validating && waiver.expires_at <= facts.now => {
            mistakes.add("spec.expiresAt", "is over already, so that it would lift nothing; set it ahead");
        }
        Ok(_) => {}
    }
}

fn expiry(object: Option<Node<'_>>) -> Option<Node<'_>> {
    object.and_then(|object| object.path(&["spec", "expiresAt"]))
}

fn request_mistakes(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>, mistakes: &mut Mistakes) {
    let bounds = &set.settings.waiver;
    let request = Request::of(subject, facts);
    let fields = |object: Option<Node<'_>>| -> Vec<(String, String)> {
        let spec = object.and_then(|object| object.get("spec"));
        let rest = spec.into_iter().flat_map(Node::sorted_entries).filter(|(key, _)| *key != "expiresAt");
        rest.map(|(key, value)| (key.to_owned(), value.digest())).collect()
    };
    if subject.operation == Operation::Update && fields(subject.object) != fields(subject.old_object) {
        mistakes.add("spec", "cannot be changed but for `expiresAt`: make another waiver, so that it is approved for what it says");
    }
    match (&request.status, request.deed) {
        (Err(reason), _) => mistakes.add("spec.subject", format!("cannot be approved: {reason}")),
        (Ok(wanted), _) if !same(&status(subject.object), wanted) => {
            mistakes.add("status", "is written by Doorward alone; leave it as it is");
        }
        (Ok(_), Deed::Approve) => {
            if let Some(reason) = unfit(&request, subject, &bounds.approvers) {
                mistakes.add("status.approvedBy", reason);
            }
        }
        (Ok(wanted), Deed::Renew) if wanted.renewals > bounds.max_renewals => {
            let most = bounds.max_renewals;
            mistakes.add(
                "spec.expiresAt",
                format!("was renewed {most} times already; what must last longer is no exception (`waiver.maxRenewals`)"),
            );
        }
        (Ok(_), Deed::Make) => in_the_way(subject, facts, bounds.max_per_namespace, mistakes),
        _ => {}
    }
}

/// Why the requester cannot approve a waiver. Nobody who ever asked for it may, or its maker could approve it as soon as somebody else
/// moved its end by a second.
fn unfit(request: &Request<'_>, subject: &Subject<'_>, approvers: &[String]) -> Option<String> {
    let groups = subject.request.get("userInfo").into_iter().flat_map(|user| user.list("groups")).filter_map(Node::as_str);
    let asked = requesters(&request.old);
    if asked.is_empty() {
        return Some("nobody knows who made it, since Doorward did not see that: delete it and make it anew".into());
    }
    if asked.iter().any(|asked| asked == request.requester) {
        return Some("who asked for a waiver, or for its renewal, cannot approve it: ask another member of the approving groups".into());
    }
    if request.requester.starts_with("system:serviceaccount:") || groups.clone().any(|group| group == "system:serviceaccounts") {
        return Some("a ServiceAccount cannot approve a waiver: a person must answer for it".into());
    }
    if groups.into_iter().any(|group| approvers.iter().any(|approver| approver == group)) {
        return None;
    }
    let who = if approvers.is_empty() { "no group (setting `waiver.approvers`)".into() } else { approvers.join(", ") };
    Some(format!("only members of {who} approve waivers"))
}

/// Two statuses that say the same; the moment of an approval is the mutating call's to say.
fn same(left: &IdentityWaiverStatus, right: &IdentityWaiverStatus) -> bool {
    let timeless = |status: &IdentityWaiverStatus| IdentityWaiverStatus { approved_at: None, ..status.clone() };
    timeless(left) == timeless(right)
}

/// The budget of a namespace, and renewal by another name.
fn in_the_way(subject: &Subject<'_>, facts: &Facts<'_>, most: i64, mistakes: &mut Mistakes) {
    let Some(object) = subject.object else { return };
    let others = match facts.related.get(&waivers_resource()) {
        Some(Fact::Found(others)) => others.as_slice(),
        Some(Fact::Absent) => &[],
        Some(Fact::Unknown(reason)) => return mistakes.add("spec", format!("the other waivers are not known: {reason}; try again")),
        None => return mistakes.add("spec", "the other waivers are not known; try again"),
    };
    let Some((namespace, account)) = waived(object) else { return };
    let of_namespace = others.iter().filter(|other| waived(**other).is_some_and(|(name, _)| name == namespace));
    if i64::try_from(of_namespace.clone().count()).unwrap_or(i64::MAX) >= most {
        mistakes.add("spec.subject.namespace", format!("has {most} waivers already, expired ones included (`waiver.maxPerNamespace`)"));
    }
    let rules = |object: Node<'_>| -> Vec<String> {
        let spec = object.get("spec").into_iter();
        spec.flat_map(|spec| spec.list("rules")).filter_map(Node::as_str).map(str::to_owned).collect()
    };
    let mine = rules(object);
    for other in of_namespace {
        let same_subject = waived(*other).is_some_and(|(_, theirs)| theirs == account)
            && other.path(&["spec", "subject", "object"]) == object.path(&["spec", "subject", "object"]);
        if same_subject && rules(*other).iter().any(|rule| mine.contains(rule)) {
            let name = other.path(&["metadata", "name"]).and_then(Node::as_str).unwrap_or_default();
            mistakes.add("spec.subject", format!("is waived by `{}` already: renew that one by its `spec.expiresAt`", quoted(name)));
        }
    }
}

/// What lifts a rule for a subject among the waivers of the cluster: approved, for these very objects, and not over.
pub(super) fn lifted_by(rule: &str, subject: &Subject<'_>, service_account: Option<&str>, facts: &Facts<'_>) -> Option<String> {
    // A waiver among manifests under review is judged, never applied (`hardening.md` A31).
    if subject.source == Source::Manifests {
        return None;
    }
    let Some(Fact::Found(waivers)) = facts.related.get(&waivers_resource()) else { return None };
    // A Namespace is in none: it stands for itself.
    let itself = || subject.old_object.or(subject.object).map_or(Fact::Absent, Fact::Found);
    let namespace = if is_namespace(subject) { itself() } else { facts.namespace.clone() };
    let place = place(subject);
    waivers.iter().filter(|waiver| waived(**waiver).is_some_and(|(namespace, _)| namespace == place)).find_map(|object| {
        let waiver = approved(*object, facts.now)?;
        let approved_for = status(Some(*object)).bound_uids?;
        let lifts = bound(Some(*object), &namespace, facts).is_ok_and(|bound| bound == approved_for)
            && waiver.covers(rule, subject, service_account, facts.now);
        lifts.then(|| format!("waiver {}", waiver.name))
    })
}

#[cfg(test)]
mod tests;
