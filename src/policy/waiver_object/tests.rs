//! A waiver from its making to what it lifts, with the answers of both webhooks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{Deadline, Limits, Sources, evaluate, load, mutate};
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
    fn request<R>(&self, source: Source, by: &str, new: &Value, old: Option<&Value>, ask: impl FnOnce(&Subject<'_>, &Facts<'_>) -> R) -> R {
        let (new, old) = (object(new), old.map(object));
        let kind = GroupVersionKind::of(new.root()).unwrap();
        let resource = crate::object::resource_of(&kind.kind);
        let groups = if ["chief", "boss"].contains(&by) || by.starts_with("system:") { json!(["security"]) } else { json!([]) };
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
            token_secrets: crate::identity::KnownSecrets::default(),
            related: BTreeMap::from([(waivers_resource(), Fact::Found(self.waivers.iter().map(Object::root).collect()))]),
            parameters: Vec::new(),
            neighbours: Vec::new(),
            now: NOW,
            deadline: Deadline::default(),
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
        let verdict =
            self.request(Source::Validating, "ann", &pod, None, |subject, facts| evaluate(&self.set, subject, facts, Limits::default()));
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
    assert_eq!(stored["status"], json!({ "requestedBy": "ann", "requesters": ["ann"], "renewals": 0 }));
}

#[test]
fn an_approval_names_who_gave_it_and_binds_the_very_objects() {
    let approved = cluster().approved();
    assert_eq!(
        approved["status"],
        json!({
            "requestedBy": "ann", "requesters": ["ann"], "approvedBy": "chief", "approvedAt": "2027-01-15T08:00:00Z", "renewals": 0,
            "approvedUntil": "2027-02-01T00:00:00Z",
            "boundUIDs": { "waiver": "w-1", "namespace": "ns-1", "serviceAccount": "sa-1" },
        })
    );
}

#[test]
fn who_asked_cannot_approve_nor_can_a_service_account_or_just_anybody() {
    let cluster = cluster();
    for (requester, approver, reason) in [
        ("chief", "chief", "who asked for a waiver, or for its renewal, cannot approve it"),
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
fn hardening_a30_whoever_asked_once_never_approves() {
    let cluster = cluster();
    let approve = |by: &str, of: &Value| {
        let mut asked = of.clone();
        asked["status"]["approvedBy"] = json!("me");
        cluster.send(by, &asked, Some(of))
    };
    // Somebody else moves the end by a second, and names as requester whom he likes.
    let made = cluster.send("chief", &waiver(), None).unwrap();
    let mut moved = made.clone();
    moved["spec"]["expiresAt"] = json!("2027-02-01T00:00:01Z");
    moved["status"]["requesters"] = json!(["bob"]);
    let renewed = cluster.send("boss", &moved, Some(&made)).unwrap();
    assert_eq!(renewed["status"], json!({ "requestedBy": "boss", "requesters": ["chief", "boss"], "renewals": 1 }));
    for by in ["chief", "boss"] {
        assert!(refusal(approve(by, &renewed)).contains("who asked for a waiver, or for its renewal, cannot approve it"), "{by}");
    }
    assert!(refusal(approve("system:serviceaccount:ci:robot", &renewed)).contains("a ServiceAccount cannot approve a waiver"));
    // Nobody shortens the list.
    let mut emptied = renewed.clone();
    emptied["status"]["requesters"] = json!([]);
    assert_eq!(cluster.send("eve", &emptied, Some(&renewed)).unwrap(), renewed);
    let third = cluster.send("ann", &waiver(), None).unwrap();
    assert_eq!(approve("chief", &third).unwrap()["status"]["approvedBy"], "chief");
}

#[test]
fn hardening_a30_one_whose_maker_is_unknown_is_made_anew() {
    let cluster = cluster();
    let mut unseen = waiver();
    let approve = |by: &str, of: &Value| {
        let mut asked = of.clone();
        asked["status"]["approvedBy"] = json!("me");
        cluster.send(by, &asked, Some(of))
    };
    assert!(refusal(approve("chief", &unseen)).contains("nobody knows who made it"));
    let mut moved = unseen.clone();
    moved["spec"]["expiresAt"] = json!("2027-02-01T00:00:01Z");
    let renewed = cluster.send("boss", &moved, Some(&unseen)).unwrap();
    assert!(refusal(approve("chief", &renewed)).contains("delete it and make it anew"));
    // Of a version that kept no list: the maker is known until the first renewal.
    unseen["status"] = json!({ "requestedBy": "chief", "renewals": 0 });
    assert!(refusal(approve("chief", &unseen)).contains("who asked for a waiver"));
    let renewed = cluster.send("boss", &moved, Some(&unseen)).unwrap();
    assert!(refusal(approve("chief", &renewed)).contains("who asked for a waiver"));
    unseen["status"] = json!({ "requestedBy": "boss", "renewals": 1 });
    assert!(refusal(approve("chief", &unseen)).contains("nobody knows who made it"));
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

#[test]
fn a_renewal_is_asked_for_and_approved_anew_and_counted() {
    let mut cluster = cluster();
    let approved = cluster.approved();
    let mut longer = approved.clone();
    longer["spec"]["expiresAt"] = json!("2027-03-01T00:00:00Z");
    let renewed = cluster.send("ann", &longer, Some(&approved)).unwrap();
    assert_eq!(
        renewed["status"],
        json!({
            "requestedBy": "ann", "requesters": ["ann"], "renewals": 1, "approvedUntil": "2027-02-01T00:00:00Z",
            "boundUIDs": { "waiver": "w-1", "namespace": "ns-1", "serviceAccount": "sa-1" },
        })
    );
    let mut old = renewed.clone();
    old["status"]["renewals"] = json!(2);
    let mut again = old.clone();
    again["spec"]["expiresAt"] = json!("2027-03-02T00:00:00Z");
    assert!(refusal(cluster.send("ann", &again, Some(&old))).contains("was renewed 2 times already"));
    let mut far = approved.clone();
    far["spec"]["expiresAt"] = json!("2028-01-01T00:00:00Z");
    assert!(refusal(cluster.send("ann", &far, Some(&approved))).contains("more than 90 days ahead"));
}

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

/// A waiver of `no-wildcard-rbac` or another rule on one object, approved by `chief`.
fn approved_for(cluster: &mut Cluster, rule: &str, subject: &Value) -> Value {
    let mut waiver = waiver();
    waiver["spec"]["rules"] = json!([rule]);
    waiver["spec"]["subject"] = subject.clone();
    let made = cluster.send("ann", &waiver, None).unwrap();
    let mut asked = made.clone();
    asked["status"]["approvedBy"] = json!("me");
    let approved = cluster.send("chief", &asked, Some(&made)).unwrap();
    cluster.waivers = vec![object(&approved)];
    approved
}

#[test]
fn a_cluster_scoped_object_is_waived_too() {
    let mut cluster = cluster();
    let account = std::mem::replace(&mut cluster.account, object(&json!({})));
    let approved = approved_for(&mut cluster, "no-wildcard-rbac", &json!({ "object": { "kind": "ClusterRole", "name": "argocd" } }));
    assert_eq!(approved["status"]["boundUIDs"], json!({ "waiver": "w-1" }));
    cluster.account = account;
    let lifted = |kind: &str, name: &str, namespace: &str| {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": { "name": name, "namespace": namespace, "uid": "r" },
            "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }],
        });
        cluster.request(Source::Validating, "ann", &role, None, |subject, facts| {
            let subject = Subject { name, ..subject.clone() };
            lifted_by("no-wildcard-rbac", &subject, None, facts)
        })
    };
    assert_eq!(lifted("ClusterRole", "argocd", "").as_deref(), Some("waiver w"));
    assert_eq!(lifted("ClusterRole", "other", ""), None);
    assert_eq!(lifted("Role", "argocd", "payments"), None);
}

#[test]
fn a_namespace_is_waived_as_itself_and_its_namesake_is_not() {
    let mut cluster = cluster();
    let subject = json!({ "namespace": "payments", "object": { "kind": "Namespace", "name": "payments" } });
    approved_for(&mut cluster, "no-mesh-opt-out", &subject);
    // In a review of a Namespace no Namespace is looked up.
    cluster.namespace = object(&json!({}));
    let lifted = |uid: &str| {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "payments", "uid": uid } });
        cluster.request(Source::Validating, "ann", &namespace, Some(&namespace), |subject, facts| {
            let subject = Subject { name: "payments", ..subject.clone() };
            lifted_by("no-mesh-opt-out", &subject, None, facts)
        })
    };
    assert_eq!(lifted("ns-1").as_deref(), Some("waiver w"));
    assert_eq!(lifted("ns-2"), None, "made anew under the same name");
}

#[test]
fn what_was_approved_holds_while_a_renewal_waits() {
    let mut cluster = cluster();
    let approved = cluster.approved();
    let mut longer = approved.clone();
    longer["spec"]["expiresAt"] = json!("2027-03-01T00:00:00Z");
    let renewed = cluster.send("ann", &longer, Some(&approved)).unwrap();
    cluster.waivers = vec![object(&renewed)];
    assert_eq!(cluster.waived().as_deref(), Some("waiver w"));
    let end = |waiver: &Value| super::approved(object(waiver).root(), NOW).map(|waiver| waiver.expires_at);
    assert_eq!(end(&renewed), end(&approved));
    // A second request does not lengthen what was approved, and a nearer end holds at once.
    longer["spec"]["expiresAt"] = json!("2027-03-02T00:00:00Z");
    let again = cluster.send("ann", &longer, Some(&renewed)).unwrap();
    assert_eq!(end(&again), end(&approved));
    let mut nearer = approved.clone();
    nearer["spec"]["expiresAt"] = json!("2027-01-20T00:00:00Z");
    assert!(end(&cluster.send("ann", &nearer, Some(&approved)).unwrap()) < end(&approved));
    // One that was never approved gains nothing by it.
    let made = cluster
        .send(
            "bob",
            &{
                let mut other = waiver();
                other["spec"]["rules"] = json!(["no-legacy-token-use"]);
                other
            },
            None,
        )
        .unwrap();
    let mut moved = made.clone();
    moved["spec"]["expiresAt"] = json!("2027-03-01T00:00:00Z");
    moved["status"]["approvedUntil"] = json!("2027-03-01T00:00:00Z");
    let moved = cluster.send("bob", &moved, Some(&made)).unwrap();
    assert_eq!((end(&moved), moved["status"].get("approvedUntil")), (None, None));
}

#[test]
fn an_approval_that_binds_nothing_is_none() {
    let mut cluster = cluster();
    let mut forged = waiver();
    forged["status"] = json!({ "requestedBy": "ann", "approvedBy": "chief", "renewals": 0 });
    cluster.waivers = vec![object(&forged)];
    cluster.namespace = object(&json!({}));
    assert_eq!(cluster.waived(), None);
}

#[test]
fn one_that_is_over_or_that_cannot_hold_is_refused_when_made() {
    let cluster = cluster();
    let mut over = waiver();
    over["spec"]["expiresAt"] = json!("2027-01-01T00:00:00Z");
    assert!(refusal(cluster.send("ann", &over, None)).contains("`spec.expiresAt` is over already"));
    let mut workload = waiver();
    workload["spec"]["subject"] = json!({ "namespace": "payments", "object": { "kind": "Deployment", "name": "web" } });
    let refused = refusal(cluster.send("ann", &workload, None));
    assert!(refused.contains("name the `serviceAccount` of its pods instead"), "{refused}");
}
