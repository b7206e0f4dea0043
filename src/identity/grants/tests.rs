use serde_json::{Value, json};

use super::*;
use crate::object::Object;

/// An RBAC object of namespace `payments` as rules see it.
fn grants(kind: &str, fields: &Value) -> Value {
    let object = Object::from_serialize(fields).unwrap();
    let kind = GroupVersionKind::new("rbac.authorization.k8s.io", "v1", kind);
    serde_json::to_value(read(&kind, object.root(), "payments").unwrap()).unwrap()
}

/// The powers of a role with one rule.
fn powers(kind: &str, rule: &Value) -> Vec<String> {
    named(&grants(kind, &json!({ "rules": [rule] }))["rules"][0]["powers"])
}

fn named(powers: &Value) -> Vec<String> {
    powers.as_array().into_iter().flatten().map(|power| power["power"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn hardening_a21_a_role_is_asked_as_the_authorizer_asks_it() {
    let rule = |verbs: &[&str], groups: &[&str], resources: &[&str]| json!({ "verbs": verbs, "apiGroups": groups, "resources": resources });
    let rbac = "rbac.authorization.k8s.io";
    for (what, kind, rule, expected) in [
        ("a plain one", "ClusterRole", rule(&["get", "list"], &[""], &["pods"]), &[][..]),
        ("escalate", "ClusterRole", rule(&["escalate"], &[rbac], &["clusterroles"]), &["escalate"]),
        ("escalate in a namespace", "Role", rule(&["escalate"], &[rbac], &["roles"]), &["escalate"]),
        ("no Role escalates a ClusterRole", "Role", rule(&["escalate"], &[rbac], &["clusterroles"]), &[]),
        ("a Role binds ClusterRoles", "Role", rule(&["bind"], &[rbac], &["clusterroles"]), &["bind"]),
        ("every verb on roles", "Role", rule(&["*"], &[rbac], &["roles"]), &["escalate", "bind"]),
        ("another group's roles", "ClusterRole", rule(&["escalate", "bind"], &["iam.example.com"], &["roles"]), &[]),
        ("`*` on ServiceAccounts impersonates", "ClusterRole", rule(&["*"], &[""], &["serviceaccounts"]), &["impersonate"]),
        ("users only for the cluster", "Role", rule(&["impersonate"], &[""], &["users", "groups"]), &[]),
        ("extras", "ClusterRole", rule(&["impersonate"], &["authentication.k8s.io"], &["userextras/scopes"]), &["impersonate"]),
        ("extras of every resource", "ClusterRole", rule(&["impersonate"], &["authentication.k8s.io"], &["*/scopes"]), &["impersonate"]),
        ("constrained extras", "ClusterRole", rule(&["impersonate:user-info"], &["*"], &["userextras/scopes"]), &["impersonate"]),
        ("constrained", "ClusterRole", rule(&["impersonate:user-info"], &["authentication.k8s.io"], &["users"]), &["impersonate"]),
        ("constrained, no such group", "ClusterRole", rule(&["impersonate:user-info"], &[""], &["users"]), &[]),
        ("on behalf", "Role", rule(&["impersonate-on:user-info:get"], &[""], &["pods"]), &["impersonate"]),
        ("signers", "ClusterRole", rule(&["approve"], &["certificates.k8s.io"], &["signers"]), &["certify"]),
        ("the kubelet", "ClusterRole", rule(&["get"], &[""], &["nodes/proxy"]), &["kubelet"]),
        ("the kubelet by a star", "ClusterRole", rule(&["get"], &[""], &["*/proxy"]), &["kubelet"]),
        ("nodes are not their proxy", "ClusterRole", rule(&["get"], &[""], &["nodes", "pods/proxy"]), &[]),
        ("tokens by a star", "Role", rule(&["create"], &[""], &["*/token"]), &["issueTokens"]),
        ("ServiceAccounts are not their tokens", "Role", rule(&["create"], &[""], &["serviceaccounts"]), &[]),
        ("Secrets of all", "ClusterRole", rule(&["watch"], &["*"], &["secrets"]), &["readSecrets"]),
        ("Secrets of a namespace", "Role", rule(&["get", "list"], &[""], &["secrets"]), &[]),
        ("every group", "Role", rule(&["*"], &["*"], &["deployments"]), &["everything"]),
        ("every resource of a group", "Role", rule(&["*"], &["apps"], &["*"]), &["everything"]),
        (
            "all writes listed",
            "Role",
            rule(&["get", "create", "update", "patch", "delete", "deletecollection"], &["apps"], &["*"]),
            &["everything"],
        ),
        ("four writes", "Role", rule(&["create", "update", "patch", "delete"], &["apps"], &["*"]), &[]),
        ("reads of all", "Role", rule(&["get", "list", "watch"], &["*"], &["*"]), &[]),
    ] {
        assert_eq!(powers(kind, &rule), expected, "{what}");
    }
}

#[test]
fn names_confine_what_can_be_confined() {
    let rule = |verb: &str, resource: &str| json!({ "verbs": [verb], "apiGroups": ["", "rbac.authorization.k8s.io"], "resources": [resource], "resourceNames": ["view"] });
    assert_eq!(powers("ClusterRole", &rule("bind", "clusterroles")), ["bind"]);
    assert_eq!(powers("ClusterRole", &rule("get", "secrets")), Vec::<String>::new());
}

#[test]
fn urls_count_for_the_cluster_only() {
    let rule = |url: &str| json!({ "verbs": ["*"], "nonResourceURLs": [url] });
    assert_eq!(powers("ClusterRole", &rule("*")), ["everything"]);
    assert_eq!(powers("ClusterRole", &rule("/*")), ["everything"]);
    assert_eq!(powers("ClusterRole", &rule("/metrics")), Vec::<String>::new());
    assert_eq!(powers("Role", &rule("*")), Vec::<String>::new());
}

#[test]
fn a_power_names_its_requests_and_its_rule_as_a_set() {
    let first =
        json!({ "verbs": ["bind", "escalate"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "clusterroles"] });
    let second =
        json!({ "verbs": ["escalate", "bind"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles", "roles"] });
    let plain = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
    let read = grants("ClusterRole", &json!({ "rules": [first, plain, second] }));
    let requests = json!(["`escalate` on `clusterroles.rbac.authorization.k8s.io`", "`escalate` on `roles.rbac.authorization.k8s.io`"]);
    assert_eq!(read["rules"].as_array().unwrap().len(), 2);
    assert_eq!(read["rules"][0]["powers"][0]["requests"], requests);
    assert_eq!(read["rules"][0]["key"], read["rules"][1]["key"]);
    assert_eq!(
        (&read["rules"][0]["fieldPath"], &read["rules"][1]["fieldPath"], &read["rules"][0]["unbounded"]),
        (&json!("rules[0]"), &json!("rules[2]"), &json!(false))
    );
    let all = grants("ClusterRole", &json!({ "rules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }] }));
    let every = ["escalate", "bind", "impersonate", "certify", "kubelet", "issueTokens", "readSecrets", "everything"];
    assert_eq!((named(&all["rules"][0]["powers"]), &all["rules"][0]["unbounded"]), (every.map(str::to_owned).to_vec(), &json!(true)));
}

#[test]
fn a_selector_that_requires_nothing_collects_every_role() {
    for (selector, expected) in [
        (json!({}), 1),
        (json!({ "matchLabels": {} }), 1),
        (json!({ "matchExpressions": [{ "key": "x", "operator": "DoesNotExist" }] }), 1),
        (json!({ "matchExpressions": [{ "key": "x", "operator": "Exists" }] }), 0),
        (json!({ "matchLabels": { "aggregate-to-mine": "true" } }), 0),
    ] {
        let role = json!({ "aggregationRule": { "clusterRoleSelectors": [selector] } });
        let read = grants("ClusterRole", &role);
        assert_eq!(read["rules"].as_array().unwrap().len(), expected, "{role}");
        if expected == 1 {
            assert_eq!(read["rules"][0]["fieldPath"], "aggregationRule.clusterRoleSelectors[0]");
        }
    }
}

#[test]
fn hardening_a21_a_subject_is_whom_it_means() {
    let subject = |kind: &str, name: &str, namespace: &str| json!({ "subjects": [{ "kind": kind, "name": name, "namespace": namespace }] });
    for (subject, kind, namespace, broad, foreign) in [
        (subject("ServiceAccount", "api", "payments"), "serviceAccount", json!("payments"), false, false),
        (subject("ServiceAccount", "api", ""), "serviceAccount", json!("payments"), false, false),
        (subject("ServiceAccount", "api", "shop"), "serviceAccount", json!("shop"), false, true),
        (subject("ServiceAccount", "default", "shop"), "serviceAccount", json!("shop"), true, true),
        (subject("User", "system:serviceaccount:payments:default", ""), "serviceAccount", json!("payments"), true, false),
        (subject("User", "alice", ""), "user", Value::Null, false, false),
        (subject("User", "system:anonymous", ""), "user", Value::Null, true, false),
        (subject("Group", "team", ""), "group", Value::Null, false, false),
        (subject("Group", "system:serviceaccounts", ""), "group", Value::Null, true, true),
        (subject("Group", "system:serviceaccounts:payments", ""), "group", Value::Null, true, false),
        (subject("Group", "system:serviceaccounts:shop", ""), "group", Value::Null, true, true),
        (subject("Group", "system:serviceaccountsx", ""), "group", Value::Null, false, false),
        (subject("Group", "system:authenticated", ""), "group", Value::Null, true, false),
        (subject("Group", "system:masters", ""), "group", Value::Null, true, false),
        (subject("Group", "system:nodes", ""), "group", Value::Null, true, false),
    ] {
        let read = grants("RoleBinding", &subject);
        let found = &read["subjects"][0];
        assert_eq!((&found["kind"], &found["namespace"]), (&json!(kind), &namespace), "{subject}");
        assert_eq!((found["broad"].is_string(), &found["foreign"]), (broad, &json!(foreign)), "{subject}");
        assert_eq!(found["fieldPath"], "subjects[0]");
    }
}
