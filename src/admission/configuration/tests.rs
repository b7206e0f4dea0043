use super::super::coverage::Covered;
use super::*;
use crate::cel::{Budget, EvaluationError, Expression, Scope, Value as CelValue, Variables};
use crate::object::Object;

fn installation() -> Installation {
    Installation {
        target: Target::Service { namespace: "doorward".into(), name: "doorward".into(), port: 443, ca_bundle_pem: "CA".into() },
        own_namespace: "doorward".into(),
        bootstrap_namespaces: vec!["spire-system".into(), "calico-system".into(), "kube-system".into()],
        on_failure: OnFailure::Fail,
    }
}

fn entries(configuration: &Value) -> Vec<&Value> {
    configuration["webhooks"].as_array().unwrap().iter().collect()
}

fn every_entry() -> Vec<Value> {
    let (mutating, validating) = configurations(&installation(), &Coverage::everything());
    [entries(&mutating), entries(&validating)].concat().into_iter().cloned().collect()
}

#[test]
fn everything_covered() {
    let (mutating, validating) = configurations(&installation(), &Coverage::everything());
    insta::assert_yaml_snapshot!("mutating", mutating);
    insta::assert_yaml_snapshot!("validating", validating);
}

#[test]
fn every_entry_keeps_the_laws_of_the_house() {
    for entry in every_entry() {
        let name = entry["name"].as_str().unwrap();
        assert_eq!(entry["matchPolicy"], "Equivalent", "{name}");
        assert_eq!(entry["sideEffects"], "None", "{name}");
        assert_eq!(entry["admissionReviewVersions"], json!(["v1"]), "{name}");
        assert_eq!(entry["matchConditions"][0]["expression"], "request.userInfo.username != 'system:apiserver'", "{name}");
        assert_eq!(entry.get("objectSelector"), None, "{name}");
        let selector = json!({ "matchExpressions": [{
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": ["doorward", "kube-system", "kube-public", "kube-node-lease", "calico-system", "spire-system"],
        }]});
        assert_eq!(entry["namespaceSelector"], selector, "{name}");
        let waits_for_nobody = [".watch.doorward.dev", ".ask.doorward.dev"].iter().any(|class| name.ends_with(class));
        let expected = if waits_for_nobody { ("Ignore", 3) } else { ("Fail", 10) };
        assert_eq!((entry["failurePolicy"].as_str().unwrap(), entry["timeoutSeconds"].as_u64().unwrap()), expected, "{name}");
        // `*` as a resource would take nodes and leases along.
        for rule in entry["rules"].as_array().unwrap() {
            assert_ne!(rule["resources"], json!(["*"]), "{name}");
            assert_ne!(rule["apiGroups"], json!(["*"]), "{name}");
        }
    }
}

#[test]
fn the_mutating_hook_takes_new_objects_and_our_own_waivers() {
    let (mutating, _) = configurations(&installation(), &Coverage::everything());
    let [entry, namespaces, accounts, waivers] = entries(&mutating)[..] else { panic!("four entries: {mutating}") };
    let rules = json!([{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"], "scope": "*" }]);
    assert_eq!(entry["rules"], rules);
    assert_eq!(entry["reinvocationPolicy"], "IfNeeded");
    assert_eq!(entry["clientConfig"]["service"]["path"], "/mutate");
    // Nobody waits for us to make a Namespace or a ServiceAccount.
    for (entry, resource) in [(namespaces, "namespaces"), (accounts, "serviceaccounts")] {
        assert_eq!((&entry["rules"][0]["resources"], &entry["rules"][0]["operations"]), (&json!([resource]), &json!(["CREATE"])));
        assert_eq!((&entry["failurePolicy"], &entry["clientConfig"]["service"]["path"]), (&json!("Ignore"), &json!("/mutate")));
    }
    assert_eq!(waivers["rules"][0]["resources"], json!(["identitywaivers"]));
    assert_eq!(waivers["clientConfig"]["service"]["path"], "/mutate");
}

#[test]
fn without_policies_there_is_no_entry() {
    let (mutating, validating) = configurations(&installation(), &Coverage::default());
    assert_eq!((&mutating["webhooks"], &validating["webhooks"]), (&json!([]), &json!([])));
}

#[test]
fn an_entry_holds_what_some_policy_matches() {
    let coverage = Coverage { covered: [Covered::new("", "pods"), Covered::new("tekton.dev", "taskruns")].into(), injects: [].into() };
    let (_, validating) = configurations(&installation(), &coverage);
    let summary: Vec<_> =
        entries(&validating).iter().map(|entry| (entry["name"].as_str().unwrap(), entry["rules"][0]["resources"].to_string())).collect();
    assert_eq!(
        summary,
        [("pods.guard.doorward.dev", r#"["pods"]"#.to_owned()), ("operators.watch.doorward.dev", r#"["taskruns"]"#.to_owned())]
    );
}

#[test]
fn a_pause_turns_the_guard_and_leaves_the_rules() {
    let paused = Installation { on_failure: OnFailure::Ignore, ..installation() };
    let ((_, on), (_, off)) = (configurations(&installation(), &Coverage::everything()), configurations(&paused, &Coverage::everything()));
    for (on, off) in entries(&on).into_iter().zip(entries(&off)) {
        assert_eq!(off["failurePolicy"], "Ignore");
        assert_eq!(on["rules"], off["rules"]);
    }
}

#[test]
fn a_url_is_called_by_its_base() {
    let target = Target::Url { base: "https://127.0.0.1:8443/".into(), ca_bundle_pem: "CA".into() };
    let (mutating, _) = configurations(&Installation { target, ..installation() }, &Coverage::everything());
    assert_eq!(mutating["webhooks"][0]["clientConfig"], json!({ "url": "https://127.0.0.1:8443/mutate", "caBundle": "Q0E=" }));
}

/// What a match condition sees.
struct Sent([Object; 3]);

impl<'a> Variables<'a> for &'a Sent {
    fn get(&self, slot: usize, _: &Budget<'_>) -> Result<CelValue<'a>, EvaluationError> {
        Ok(CelValue::from_node(self.0[slot].root()))
    }
}

/// Whether the API server would send a review, by the match conditions of an entry.
fn sent(entry: &str, request: &Value, object: &Value, old_object: &Value) -> bool {
    let entry = every_entry().into_iter().find(|candidate| candidate["name"] == entry).unwrap();
    let sent = Sent([request, object, old_object].map(|value| Object::from_serialize(value).unwrap()));
    entry["matchConditions"].as_array().unwrap().iter().all(|condition| {
        let source = condition["expression"].as_str().unwrap();
        let expression = Expression::compile(source, &Scope::new(&["request", "object", "oldObject"])).unwrap();
        let answer = expression.evaluate(&&sent, &Budget::new(2_500_000)).unwrap();
        answer.as_bool().unwrap_or_else(|| panic!("{source}: no boolean"))
    })
}

fn request(operation: &str, resource: &str, username: &str, groups: &[&str]) -> Value {
    json!({ "operation": operation, "resource": { "resource": resource }, "userInfo": { "username": username, "groups": groups } })
}

#[test]
fn an_account_without_a_role_is_not_sent() {
    let new = |annotations: Value| {
        let account = json!({ "metadata": { "annotations": annotations } });
        sent("serviceaccounts.ask.doorward.dev", &request("CREATE", "serviceaccounts", "dev", &[]), &account, &Value::Null)
    };
    assert!(new(json!({ "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/api" })));
    assert!(!new(json!({ "team": "payments" })));
    let bare = json!({ "metadata": {} });
    assert!(!sent("serviceaccounts.ask.doorward.dev", &request("CREATE", "serviceaccounts", "dev", &[]), &bare, &Value::Null));
}

#[test]
fn the_api_server_never_waits_for_us() {
    let role = json!({ "metadata": {}, "rules": [] });
    let create = |user| request("CREATE", "clusterroles", user, &["system:masters"]);
    assert!(!sent("grants.guard.doorward.dev", &create("system:apiserver"), &role, &Value::Null));
    assert!(sent("grants.guard.doorward.dev", &create("kubernetes-admin"), &role, &Value::Null));
}

#[test]
fn a_kubelet_gets_tokens_and_mirrors_unasked_and_nothing_else() {
    let nodes = ["system:nodes", "system:authenticated"];
    let mirror = json!({ "metadata": { "annotations": { "kubernetes.io/config.mirror": "x" } }, "spec": {} });
    let plain = json!({ "metadata": {}, "spec": {} });
    let pod = |groups: &[&str]| request("CREATE", "pods", "system:node:a", groups);
    for entry in ["pods.guard.doorward.dev", "pods.inject.doorward.dev"] {
        assert!(!sent(entry, &pod(&nodes), &mirror, &Value::Null), "{entry}: mirror pod of a kubelet");
        assert!(sent(entry, &pod(&nodes), &plain, &Value::Null), "{entry}: other pod of a kubelet");
        assert!(sent(entry, &pod(&["tenants"]), &mirror, &Value::Null), "{entry}: a tenant's pod with the annotation");
    }
    let token = json!({ "metadata": {}, "spec": { "audiences": ["vault"] } });
    let ask = |groups: &[&str]| request("CREATE", "serviceaccounts", "x", groups);
    assert!(!sent("tokens.guard.doorward.dev", &ask(&nodes), &token, &Value::Null));
    assert!(sent("tokens.guard.doorward.dev", &ask(&["tenants"]), &token, &Value::Null));
    let nobody = json!({ "operation": "CREATE", "resource": { "resource": "serviceaccounts" }, "userInfo": { "username": "x" } });
    assert!(sent("tokens.guard.doorward.dev", &nobody, &token, &Value::Null), "a requester without groups");
}

#[test]
fn a_workload_is_sent_when_its_template_changed() {
    let wrap = |resource: &str, template: Value| match resource {
        "cronjobs" => json!({ "metadata": {}, "spec": { "jobTemplate": { "spec": { "template": template } } } }),
        "podtemplates" => json!({ "metadata": {}, "template": template }),
        _ => json!({ "metadata": {}, "spec": { "template": template } }),
    };
    let old = json!({ "metadata": { "labels": { "app": "a" } }, "spec": { "serviceAccountName": "a" } });
    let changes = [
        json!({ "metadata": { "labels": { "app": "b" } }, "spec": { "serviceAccountName": "a" } }),
        json!({ "metadata": { "labels": { "app": "a" }, "annotations": { "x": "y" } }, "spec": { "serviceAccountName": "a" } }),
        json!({ "metadata": { "labels": { "app": "a" } }, "spec": { "serviceAccountName": "b" } }),
    ];
    for resource in ["deployments", "replicasets", "jobs", "cronjobs", "podtemplates"] {
        let update = request("UPDATE", resource, "u", &[]);
        let sent = |new: &Value| sent("workloads.guard.doorward.dev", &update, new, &wrap(resource, old.clone()));
        for change in &changes {
            assert!(sent(&wrap(resource, change.clone())), "{resource}: {change}");
        }
        let mut scaled = wrap(resource, old.clone());
        scaled["metadata"]["annotations"] = json!({ "deployment.kubernetes.io/revision": "2" });
        if resource != "podtemplates" {
            scaled["spec"]["replicas"] = json!(5);
        }
        assert!(!sent(&scaled), "{resource}: scaled");
    }
    let created = wrap("deployments", old);
    assert!(sent("workloads.guard.doorward.dev", &request("CREATE", "deployments", "u", &[]), &created, &Value::Null));
}

#[test]
fn a_pod_is_sent_when_more_than_its_finalizers_changed() {
    let old = json!({ "metadata": { "finalizers": ["batch.kubernetes.io/job-tracking"] }, "spec": { "nodeName": "a" } });
    let update = request("UPDATE", "pods", "u", &[]);
    let with = |pointer: &str, value: Value| {
        let mut new = old.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        new.pointer_mut(parent).unwrap()[field] = value;
        new
    };
    let sent = |new: &Value| sent("pods.guard.doorward.dev", &update, new, &old);
    assert!(!sent(&with("/metadata/finalizers", json!([]))));
    assert!(!sent(&with("/metadata/labels", json!({}))), "no labels and an empty map are the same");
    assert!(!sent(&json!({ "metadata": {}, "spec": { "nodeName": "a" }, "status": { "phase": "Running" } })));
    assert!(sent(&with("/metadata/labels", json!({ "app": "x" }))));
    assert!(sent(&with("/metadata/annotations", json!({ "spiffe.io/spiffe-id": "x" }))));
    assert!(sent(&with("/spec/nodeName", json!("b"))));
}

#[test]
fn other_objects_are_sent_when_more_than_their_bookkeeping_changed() {
    let old = json!({ "metadata": { "name": "r" }, "rules": [{ "verbs": ["get"] }] });
    let update = request("UPDATE", "roles", "u", &[]);
    let sent = |new: Value| sent("grants.guard.doorward.dev", &update, &new, &old);
    assert!(!sent(
        json!({ "metadata": { "name": "r", "finalizers": ["x"], "managedFields": [{}] }, "rules": [{ "verbs": ["get"] }], "status": {} })
    ));
    assert!(sent(json!({ "metadata": { "name": "r" }, "rules": [{ "verbs": ["*"] }] })), "a field changed");
    assert!(sent(json!({ "metadata": { "name": "r" } })), "a field went");
    assert!(sent(json!({ "metadata": { "name": "r" }, "rules": [{ "verbs": ["get"] }], "aggregationRule": {} })), "a field came");
    assert!(
        sent(json!({ "metadata": { "name": "r", "annotations": { "a": "b" } }, "rules": [{ "verbs": ["get"] }] })),
        "an annotation came"
    );
}

#[test]
fn secrets_part_by_type() {
    let create = request("CREATE", "secrets", "u", &[]);
    for (secret, guarded) in [
        (json!({ "metadata": {}, "type": "kubernetes.io/service-account-token" }), true),
        (json!({ "metadata": {}, "type": "Opaque" }), false),
        (json!({ "metadata": {} }), false),
    ] {
        assert_eq!(sent("legacytokens.guard.doorward.dev", &create, &secret, &Value::Null), guarded, "{secret}");
        assert_eq!(sent("secrets.watch.doorward.dev", &create, &secret, &Value::Null), !guarded, "{secret}");
    }
}
