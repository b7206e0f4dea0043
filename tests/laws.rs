//! The laws that hold over the whole engine, whatever the object: see `ARCHITECTURE.md`.
#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::sync::OnceLock;

use doorward::admission;
use doorward::object::{Fact, Node, Object};
use doorward::policy::{Facts, Limits, PolicySet, Source, Sources, Subject, Text, Violation, evaluate, load, mutate};
use doorward::settings::{Enforcement, Settings};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Compiled once: the set is immutable.
fn policies() -> &'static PolicySet {
    static SET: OnceLock<PolicySet> = OnceLock::new();
    SET.get_or_init(|| {
        let sources = Sources { fallback: Some(Settings::demonstration()), ..Sources::default() };
        load(&sources).expect("the built-in policies compile")
    })
}

fn namespace(injects: bool) -> Object {
    let flag = if injects { "true" } else { "false" };
    let labels: serde_json::Map<String, Value> = ["automount-off", "vault-token", "vault-agent", "spiffe-csi", "spiffe-id"]
        .iter()
        .map(|id| (format!("inject.doorward.dev/{id}"), flag.into()))
        .collect();
    let object = json!({"metadata": {"name": "payments", "labels": labels, "annotations": {"linkerd.io/inject": "enabled"}}});
    Object::from_serialize(&object).expect("JSON")
}

fn facts<'a>(namespace: &'a Object, account: &'a Object) -> Facts<'a> {
    Facts {
        namespace: Fact::Found(namespace.root()),
        service_account: Fact::Found(account.root()),
        token_secrets: doorward::identity::KnownSecrets::all(std::collections::BTreeSet::new()),
        ..Facts::unknown("not asked for")
    }
}

fn review(pod: &Value) -> String {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "11111111-2222-4333-8444-555555555555",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": "payments",
            "name": "web",
            "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
            "object": pod,
        },
    })
    .to_string()
}

/// Names that a tenant may choose, hostile ones among them.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("vault-token".to_owned()),
        Just("spiffe-workload-api".to_owned()),
        Just("vault-secrets".to_owned()),
        Just("kube-api-access-evil".to_owned()),
        Just("x\u{1b}[31m\n".to_owned()),
        "[a-z]{1,8}",
    ]
}

fn volume() -> impl Strategy<Value = Value> {
    (name(), 0_u8..6, 0_i64..100_000).prop_map(|(name, kind, seconds)| match kind {
        0 => json!({"name": name, "emptyDir": {}}),
        1 => json!({"name": name, "hostPath": {"path": "/run/spire/sockets"}}),
        2 => json!({"name": name, "secret": {"secretName": "api-token-abcde"}}),
        3 => json!({"name": name, "projected": {"sources": [{"serviceAccountToken": {"audience": "vault", "expirationSeconds": seconds, "path": "token"}}]}}),
        4 => json!({"name": name, "csi": {"driver": "csi.spiffe.io", "readOnly": true}}),
        _ => json!({"name": name, "projected": {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}, {"secret": {"name": name}}]}}),
    })
}

fn container() -> impl Strategy<Value = Value> {
    (
        name(),
        proptest::collection::vec((name(), prop_oneof![Just("/var/run/secrets/vault"), Just("/run/x/"), Just("/")]), 0..3),
        any::<bool>(),
    )
        .prop_map(|(name, mounts, vault)| {
            let mounts: Vec<Value> = mounts.into_iter().map(|(name, path)| json!({"name": name, "mountPath": path})).collect();
            let env = if vault { json!([{"name": "VAULT_ADDR", "value": "https://vault"}]) } else { json!([]) };
            json!({"name": name, "image": "x", "volumeMounts": mounts, "env": env})
        })
}

prop_compose! {
    fn pod()(
        volumes in proptest::collection::vec(volume(), 0..5),
        containers in proptest::collection::vec(container(), 1..4),
        inits in proptest::collection::vec(container(), 0..3),
        account in prop_oneof![Just("default"), Just("api"), Just("")],
        automount in proptest::option::of(any::<bool>()),
        host in any::<bool>(),
        annotations in proptest::collection::btree_map(prop_oneof![Just("linkerd.io/inject"), Just("doorward.dev/vault-role"), Just("spiffe.io/spiffe-id")], "[a-z{}/:]{0,12}", 0..3),
    ) -> Value {
        let mut spec = json!({"serviceAccountName": account, "hostNetwork": host, "containers": containers, "initContainers": inits, "volumes": volumes});
        if let Some(automount) = automount {
            spec.as_object_mut().expect("a map").insert("automountServiceAccountToken".to_owned(), automount.into());
        }
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "payments", "annotations": annotations}, "spec": spec})
    }
}

fn lines(set: &PolicySet, review: &admission::Review, facts: &Facts<'_>) -> Vec<String> {
    let subject = review.subject(Source::Validating).expect("a subject");
    evaluate(set, &subject, facts, Limits::default()).violations.iter().map(Violation::line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Law 1 and 6: whatever arrives gets an answer under its own uid, or a reason; nothing panics.
    #[test]
    fn any_bytes_get_an_answer_or_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        if let Err(error) = admission::decode(bytes) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    /// Law 1: the reply's uid is the request's.
    #[test]
    fn the_reply_repeats_the_uid(pod in pod()) {
        let set = policies();
        let review = admission::decode(review(&pod).into_bytes()).expect("a review");
        let (namespace, account) = (namespace(true), Object::from_json("{}").expect("JSON"));
        for source in [Source::Mutating, Source::Validating] {
            let subject: Subject<'_> = review.subject(source).expect("a subject");
            let decision = admission::decide(set, &subject, &facts(&namespace, &account), Limits::default());
            let reply: Value = serde_json::from_slice(&admission::encode(review.uid(), &decision)).expect("a reply");
            prop_assert_eq!(&reply["response"]["uid"], review.uid());
            prop_assert_eq!(reply["response"]["allowed"].as_bool(), Some(decision.allowed));
            prop_assert!(decision.warnings.iter().all(|warning| warning.chars().count() <= 240 && !warning.chars().any(char::is_control)));
        }
    }

    /// Law 2 and 3: injecting twice is injecting once, and another implementation of RFC 6902 gets the same object from our patch.
    #[test]
    fn injection_is_idempotent_and_its_patch_applies(pod in pod()) {
        let set = policies();
        let (namespace, account) = (namespace(true), Object::from_json("{}").expect("JSON"));
        let facts = facts(&namespace, &account);
        let once = admission::decode(review(&pod).into_bytes()).expect("a review");
        let first = mutate(set, &once.subject(Source::Mutating).expect("a subject"), &facts);
        let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(&first.operations).expect("JSON")).expect("RFC 6902");
        let mut patched = pod.clone();
        json_patch::patch(&mut patched, &patch).expect("the patch applies");
        let ours = Object::from_serialize(&pod).expect("JSON").patched(&first.operations).expect("the patch applies");
        let theirs = Object::from_serialize(&patched).expect("JSON");
        prop_assert_eq!(ours.root(), theirs.root());
        let twice = admission::decode(review(&patched).into_bytes()).expect("a review");
        let second = mutate(set, &twice.subject(Source::Mutating).expect("a subject"), &facts);
        prop_assert!(second.operations.is_empty(), "a second run adds {:?}", second.operations);
    }

    /// Law 4: the verdict does not depend on the order of keys, and the same input gives the same answer.
    #[test]
    fn the_verdict_does_not_depend_on_the_order_of_keys(pod in pod()) {
        let set = policies();
        let (namespace, account) = (namespace(false), Object::from_json("{}").expect("JSON"));
        let facts = facts(&namespace, &account);
        let review_text = review(&pod);
        let plain = admission::decode(review_text.clone().into_bytes()).expect("a review");
        let mut reversed = String::new();
        reverse(plain.request(), &mut reversed);
        let reversed = format!("{{\"kind\":\"AdmissionReview\",\"request\":{reversed},\"apiVersion\":\"admission.k8s.io/v1\"}}");
        let other = admission::decode(reversed.into_bytes()).expect("a review");
        prop_assert_eq!(lines(set, &plain, &facts), lines(set, &other, &facts));
        prop_assert_eq!(lines(set, &plain, &facts), lines(set, &plain, &facts));
    }
}

/// An UPDATE is let in for what was there before, and never for what could not be decided before either.
#[test]
fn the_ratchet_holds_nothing_for_old_that_is_unknown() {
    let set = policies();
    let deployment = |account: &str| {
        let template =
            json!({"metadata": {}, "spec": {"serviceAccountName": account, "automountServiceAccountToken": false, "containers": []}});
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": template}})
    };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "operation": "UPDATE",
            "namespace": "payments",
            "name": "web",
            "object": deployment("default"),
            "oldObject": deployment("default"),
        },
    });
    let review = admission::decode(review.to_string().into_bytes()).expect("a review");
    let subject = review.subject(Source::Validating).expect("a subject");
    let verdict = evaluate(set, &subject, &Facts::unknown("the API server does not answer"), Limits::default());
    let enforced = |rule: &str| {
        let found = verdict.violations.iter().find(|violation| &*violation.rule == rule);
        found.map(|violation| (violation.enforcement, violation.old))
    };
    assert_eq!(enforced("no-default-service-account"), Some((Enforcement::Audit, true)));
    assert_eq!(enforced("no-unmeshed-pod"), Some((Enforcement::Deny, false)));
}

/// The messages of a policy's violations on a plain pod, of a policy with so many match conditions and validations of 900,013 units each.
fn costly(conditions: usize, validations: usize) -> Vec<String> {
    let rows = |count: usize, name: &str| -> Vec<Value> {
        (1..=count).map(|index| json!({name: format!("row-{index}"), "expression": "lists.range(900000).size() > 0"})).collect()
    };
    let policy = json!({
        "apiVersion": "doorward.dev/v1alpha1",
        "kind": "IdentityPolicy",
        "metadata": {"name": "costly"},
        "spec": {
            "title": "Costly", "invariants": ["INV-1"], "severity": "low", "enforcement": "Deny", "failurePolicy": "Fail",
            "rules": [{
                "match": {"podTemplate": "Any"},
                "matchConditions": rows(conditions, "name"),
                "validations": rows(validations, "message"),
            }],
        },
    });
    let policies = vec![Text { name: "costly.yaml".to_owned(), text: policy.to_string() }];
    let set = load(&Sources { no_builtin: true, policies, ..Sources::default() }).expect("the policy compiles");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": []}});
    let review = admission::decode(review(&pod).into_bytes()).expect("a review");
    let subject = review.subject(Source::Validating).expect("a subject");
    let verdict = evaluate(&set, &subject, &Facts::unknown("not asked for"), Limits::default());
    verdict.violations.iter().map(|violation| violation.message.to_string()).collect()
}

/// Each expression stays below the limit of one; a row of them ends where the API server's does.
#[test]
fn the_sum_of_expressions_ends_with_the_limit_of_the_policy_and_of_its_conditions() {
    let none: [&str; 0] = [];
    assert_eq!(costly(2, 11), none, "1.8 million of 2.5 for the conditions, 9.9 million of 10 for the validations, apart");
    assert_eq!(costly(0, 12), ["validation could not be evaluated: operation cancelled: actual cost limit exceeded"]);
    assert_eq!(costly(3, 1), ["match condition `row-3` could not be evaluated: operation cancelled: actual cost limit exceeded"]);
}

/// Writes a value with the keys of every map in reverse order.
fn reverse(node: Node<'_>, out: &mut String) {
    use doorward::object::Kind;
    match node.kind() {
        Kind::Map => {
            out.push('{');
            for (index, (key, value)) in node.entries().rev().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key).to_string());
                out.push(':');
                reverse(value, out);
            }
            out.push('}');
        }
        Kind::List => {
            out.push('[');
            for (index, item) in node.items().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                reverse(item, out);
            }
            out.push(']');
        }
        _ => out.push_str(&node.to_json()),
    }
}
