//! An IdentityWaiver as an object of the cluster: an exception is a credential, so it is asked for by one person and approved by
//! another, for these very objects and not for their namesakes, and it ends.
//!
//! Our mutating hook writes `status` whole, by what the request is: made, renewed, approved, or neither. Our validating hook refuses what
//! may not be. A waiver without an approval lifts nothing (`hardening.md` A30).

use std::sync::Arc;

use super::schema::{BoundUids, IdentityWaiverSpec, IdentityWaiverStatus, RelatedResource, Severity};
use super::set::PolicySet;
use super::subject::{Facts, Operation, Source, Subject};
use super::verdict::{Certainty, Verdict, Violation};
use super::waive::Waiver;
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
        let asked = IdentityWaiverStatus { requested_by: requester.to_owned(), ..IdentityWaiverStatus::default() };
        let status = match deed {
            Deed::Make => Ok(asked),
            Deed::Renew => Ok(IdentityWaiverStatus { renewals: before.renewals + 1, ..asked }),
            Deed::Approve => bound(new, facts).map(|bound_uids| IdentityWaiverStatus {
                approved_by: Some(requester.to_owned()),
                approved_at: jiff::Timestamp::from_second(facts.now).ok().map(|now| now.to_string()),
                bound_uids: Some(bound_uids),
                ..before.clone()
            }),
            Deed::Touch => Ok(before.clone()),
        };
        Self { deed, requester, old: before, status }
    }
}

fn bound(object: Option<Node<'_>>, facts: &Facts<'_>) -> Result<BoundUids, String> {
    let object = object.ok_or("there is no object")?;
    let names_account = waived(object).is_some_and(|(_, account)| account.is_some());
    Ok(BoundUids {
        waiver: object.get("metadata").map(|metadata| metadata.text("uid")).unwrap_or_default().to_owned(),
        namespace: uid(&facts.namespace, "Namespace")?.to_owned(),
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
    let asked_anew = subject.operation == Operation::Create || expiry(subject.object) != expiry(subject.old_object);
    if asked_anew && let Err((field, message)) = Waiver::checked(subject.name, spec, set.settings.waiver.max_days, facts.now) {
        mistakes.add(field, message);
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
            let groups = subject.request.get("userInfo").into_iter().flat_map(|user| user.list("groups")).filter_map(Node::as_str);
            let mut groups = groups.filter(|group| bounds.approvers.iter().any(|approver| approver == group));
            if request.requester == request.old.requested_by {
                mistakes.add("status.approvedBy", "who asked for a waiver cannot approve it: ask another member of the approving groups");
            } else if request.requester.starts_with("system:serviceaccount:") {
                mistakes.add("status.approvedBy", "a ServiceAccount cannot approve a waiver: a person must answer for it");
            } else if groups.next().is_none() {
                let who =
                    if bounds.approvers.is_empty() { "no group (setting `waiver.approvers`)".into() } else { bounds.approvers.join(", ") };
                mistakes.add("status.approvedBy", format!("only members of {who} approve waivers"));
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
    waivers.iter().filter(|waiver| waived(**waiver).is_some_and(|(namespace, _)| namespace == subject.namespace)).find_map(|waiver| {
        let name = waiver.path(&["metadata", "name"])?.as_str()?;
        let status = status(Some(*waiver));
        let approved = status.approved_by.as_deref().is_some_and(|by| !by.is_empty());
        (approved && status.bound_uids == bound(Some(*waiver), facts).ok()).then_some(())?;
        let spec = waiver.get("spec")?.read().ok()?;
        let waiver = Waiver::checked(name, spec, i64::MAX / 86_400 / 2, facts.now).ok()?;
        waiver.covers(rule, subject, service_account, facts.now).then(|| format!("waiver {name}"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::super::{Limits, Sources, evaluate, load, mutate};
    use super::*;
    use crate::object::Object;
    use crate::settings::Settings;

    const NOW: i64 = 1_800_000_000;

    /// A cluster with one namespace and one ServiceAccount, and the waivers that it holds.
    struct Cluster {
        set: PolicySet,
        namespace: Object,
        account: Object,
        waivers: Vec<Object>,
    }

    fn object(value: &Value) -> Object {
        Object::from_serialize(value).unwrap()
    }

    fn cluster() -> Cluster {
        let mut settings = Settings::default();
        settings.waiver.approvers = vec!["security".into()];
        let set = load(&Sources { fallback: Some(settings), ..Sources::default() }).unwrap();
        Cluster {
            set,
            namespace: object(&json!({ "metadata": { "name": "payments", "uid": "ns-1" } })),
            account: object(&json!({ "metadata": { "name": "api", "uid": "sa-1" } })),
            waivers: Vec::new(),
        }
    }

    fn waiver() -> Value {
        json!({
            "apiVersion": "doorward.dev/v1alpha1", "kind": "IdentityWaiver", "metadata": { "name": "w", "uid": "w-1" },
            "spec": {
                "rules": ["no-host-namespaces"], "subject": { "namespace": "payments", "serviceAccount": "api" },
                "owner": "team", "reason": "moves", "ticket": "T-1", "expiresAt": "2027-02-01T00:00:00Z",
            },
        })
    }

    impl Cluster {
        fn request<R>(
            &self,
            source: Source,
            by: &str,
            new: &Value,
            old: Option<&Value>,
            ask: impl FnOnce(&Subject<'_>, &Facts<'_>) -> R,
        ) -> R {
            let (new, old) = (object(new), old.map(object));
            let kind = GroupVersionKind::of(new.root()).unwrap();
            let resource = crate::object::resource_of(&kind.kind);
            let groups = if by == "chief" || by.starts_with("system:") { json!(["security"]) } else { json!([]) };
            let request = object(&json!({
                "uid": "u", "operation": if old.is_some() { "UPDATE" } else { "CREATE" }, "name": "w",
                "namespace": new.root().get("metadata").unwrap().text("namespace"),
                "kind": { "group": kind.group, "version": kind.version, "kind": kind.kind },
                "resource": { "group": kind.group, "version": kind.version, "resource": resource },
                "userInfo": { "username": by, "groups": groups },
            }));
            let subject = Subject::from_request(source, request.root(), Some(new.root()), old.as_ref().map(Object::root)).unwrap();
            let facts = Facts {
                namespace: Fact::Found(self.namespace.root()),
                service_account: Fact::Found(self.account.root()),
                token_secrets: Fact::Absent,
                related: BTreeMap::from([(waivers_resource(), Fact::Found(self.waivers.iter().map(Object::root).collect()))]),
                parameters: Vec::new(),
                neighbours: Vec::new(),
                now: NOW,
            };
            ask(&subject, &facts)
        }

        /// The object as the API server stores it, or what refuses it.
        fn send(&self, by: &str, new: &Value, old: Option<&Value>) -> Result<Value, Vec<String>> {
            let changes = self.request(Source::Mutating, by, new, old, |subject, facts| mutate(&self.set, subject, facts).operations);
            let stored: Value = serde_json::from_str(&object(new).patched(&changes).unwrap().root().to_json()).unwrap();
            let verdict =
                self.request(Source::Validating, by, &stored, old, |subject, facts| evaluate(&self.set, subject, facts, Limits::default()));
            let refused: Vec<_> = verdict.violations.iter().map(Violation::line).collect();
            if refused.is_empty() { Ok(stored) } else { Err(refused) }
        }

        fn approved(&mut self) -> Value {
            let made = self.send("ann", &waiver(), None).unwrap();
            let mut asked = made.clone();
            asked["status"]["approvedBy"] = json!("me");
            let approved = self.send("chief", &asked, Some(&made)).unwrap();
            self.waivers = vec![object(&approved)];
            approved
        }

        fn waived(&self) -> Option<String> {
            let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "namespace": "payments" },
                "spec": { "serviceAccountName": "api", "automountServiceAccountToken": false, "hostPID": true, "containers": [{ "name": "a" }] } });
            let verdict = self
                .request(Source::Validating, "ann", &pod, None, |subject, facts| evaluate(&self.set, subject, facts, Limits::default()));
            let violation = verdict.violations.into_iter().find(|violation| &*violation.rule == "no-host-namespaces").unwrap();
            violation.waived_by
        }
    }

    fn refusal(answer: Result<Value, Vec<String>>) -> String {
        answer.unwrap_err().join("\n")
    }

    #[test]
    fn what_its_author_writes_into_the_status_is_replaced() {
        let mut forged = waiver();
        forged["status"] = json!({ "requestedBy": "chief", "approvedBy": "chief", "renewals": 0 });
        let stored = cluster().send("ann", &forged, None).unwrap();
        assert_eq!(stored["status"], json!({ "requestedBy": "ann", "renewals": 0 }));
    }

    #[test]
    fn an_approval_names_who_gave_it_and_binds_the_very_objects() {
        let approved = cluster().approved();
        assert_eq!(
            approved["status"],
            json!({
                "requestedBy": "ann", "approvedBy": "chief", "approvedAt": "2027-01-15T08:00:00Z", "renewals": 0,
                "boundUIDs": { "waiver": "w-1", "namespace": "ns-1", "serviceAccount": "sa-1" },
            })
        );
    }

    /// Hardening A30: nobody approves his own waiver, and no ServiceAccount does.
    #[test]
    fn who_asked_cannot_approve_nor_can_a_service_account_or_just_anybody() {
        let cluster = cluster();
        for (requester, approver, reason) in [
            ("chief", "chief", "who asked for a waiver cannot approve it"),
            ("ann", "system:serviceaccount:ci:robot", "a ServiceAccount cannot approve a waiver"),
            ("ann", "bob", "only members of security approve waivers"),
        ] {
            let made = cluster.send(requester, &waiver(), None).unwrap();
            let mut asked = made.clone();
            asked["status"]["approvedBy"] = json!("x");
            let refused = refusal(cluster.send(approver, &asked, Some(&made)));
            assert!(refused.starts_with("[identity-waiver] INV-9,INV-11: status.approvedBy") && refused.contains(reason), "{refused}");
        }
    }

    #[test]
    fn an_approved_waiver_says_what_was_approved() {
        let mut cluster = cluster();
        let approved = cluster.approved();
        let mut wider = approved.clone();
        wider["spec"]["rules"] = json!(["no-host-namespaces", "no-legacy-token-use"]);
        assert!(refusal(cluster.send("ann", &wider, Some(&approved))).contains("cannot be changed but for `expiresAt`"));
        // An attempt at the status is undone by the mutating hook, so that nothing is left to refuse.
        let mut handed = approved.clone();
        handed["status"]["approvedBy"] = json!("boss");
        assert_eq!(cluster.send("ann", &handed, Some(&approved)).unwrap(), approved);
    }

    /// Hardening A30: renewals are counted, and end.
    #[test]
    fn a_renewal_is_asked_for_and_approved_anew_and_counted() {
        let mut cluster = cluster();
        let approved = cluster.approved();
        let mut longer = approved.clone();
        longer["spec"]["expiresAt"] = json!("2027-03-01T00:00:00Z");
        let renewed = cluster.send("ann", &longer, Some(&approved)).unwrap();
        assert_eq!(renewed["status"], json!({ "requestedBy": "ann", "renewals": 1 }));
        let mut old = renewed.clone();
        old["status"]["renewals"] = json!(2);
        let mut again = old.clone();
        again["spec"]["expiresAt"] = json!("2027-03-02T00:00:00Z");
        assert!(refusal(cluster.send("ann", &again, Some(&old))).contains("was renewed 2 times already"));
        let mut far = approved.clone();
        far["spec"]["expiresAt"] = json!("2028-01-01T00:00:00Z");
        assert!(refusal(cluster.send("ann", &far, Some(&approved))).contains("more than 90 days ahead"));
    }

    /// Hardening A30: without a hook-written approval, and for a Namespace made anew, it lifts nothing.
    #[test]
    fn it_lifts_only_once_approved_and_only_for_the_objects_it_was_approved_for() {
        let mut cluster = cluster();
        let made = cluster.send("ann", &waiver(), None).unwrap();
        cluster.waivers = vec![object(&made)];
        assert_eq!(cluster.waived(), None, "nobody approved it");
        cluster.waivers.clear();
        cluster.approved();
        assert_eq!(cluster.waived().as_deref(), Some("waiver w"));
        cluster.namespace = object(&json!({ "metadata": { "name": "payments", "uid": "ns-2" } }));
        assert_eq!(cluster.waived(), None, "another namespace of that name");
        cluster.namespace = object(&json!({ "metadata": { "name": "payments", "uid": "ns-1" } }));
        cluster.account = object(&json!({ "metadata": { "name": "api", "uid": "sa-2" } }));
        assert_eq!(cluster.waived(), None, "another ServiceAccount of that name");
    }

    #[test]
    fn a_copied_or_forged_approval_is_none() {
        let mut cluster = cluster();
        let mut copied = cluster.approved();
        copied["metadata"] = json!({ "name": "copy", "uid": "w-2" });
        cluster.waivers = vec![object(&copied)];
        assert_eq!(cluster.waived(), None);
    }

    #[test]
    fn a_namespace_has_a_budget_and_a_second_waiver_is_no_renewal() {
        let mut cluster = cluster();
        cluster.approved();
        assert!(refusal(cluster.send("ann", &waiver(), None)).contains("is waived by `w` already"));
        cluster.waivers = (0..10)
            .map(|number| object(&json!({ "metadata": { "name": format!("w{number}") }, "spec": { "rules": ["other"], "subject": { "namespace": "payments" } } })))
            .collect();
        assert!(refusal(cluster.send("ann", &waiver(), None)).contains("has 10 waivers already"));
    }

    #[test]
    fn a_rule_that_does_not_exist_is_named() {
        let mut wrong = waiver();
        wrong["spec"]["rules"] = json!(["no-host-namespace"]);
        let refused = refusal(cluster().send("ann", &wrong, None));
        assert!(refused.contains("there is no rule `no-host-namespace`; did you mean `no-host-namespaces`?"), "{refused}");
    }
}
