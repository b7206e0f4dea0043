//! What each policy makes the API server send, and what it never may.

use super::*;

fn rules(covered: &[Covered]) -> BTreeMap<Shape, Vec<Rule>> {
    Coverage { covered: covered.iter().cloned().collect(), injects: [].into() }.rules()
}

#[test]
fn an_object_meets_one_entry() {
    let mut seen = BTreeMap::new();
    for (shape, rules) in Coverage::everything().rules() {
        for rule in rules {
            for (resource, operation) in rule.resources.iter().flat_map(|resource| rule.operations.iter().map(move |on| (resource, *on))) {
                if let Some(other) = seen.insert((rule.group.clone(), resource.clone(), operation), shape) {
                    // The two entries for Secrets part them by type.
                    assert_eq!((resource.as_str(), other, shape), ("secrets", Shape::LegacyTokens, Shape::Secrets));
                }
            }
        }
    }
}

#[test]
fn operations_of_several_policies_are_united_and_resources_share_a_rule() {
    let rules = rules(&[
        Covered::on("apps", "deployments", &[Operation::Create]),
        Covered::on("apps", "deployments", &[Operation::Update]),
        Covered::new("apps", "statefulsets"),
        Covered::on("apps", "daemonsets", &[Operation::Create]),
    ]);
    let [workloads] = rules.values().collect::<Vec<_>>()[..] else { panic!("one entry: {rules:?}") };
    let summary: Vec<_> = workloads.iter().map(|rule| (rule.resources.join(","), rule.operations.len())).collect();
    assert_eq!(summary, [("daemonsets".to_owned(), 1), ("deployments,statefulsets".to_owned(), 2)]);
}

#[test]
fn what_hangs_a_cluster_is_never_matched() {
    let coverage = Coverage {
        covered: [
            Covered::new("", "nodes"),
            Covered::new("coordination.k8s.io", "leases"),
            Covered::new("", "pods/status"),
            Covered::new("apps", "deployments/scale"),
            Covered::on("", "pods/ephemeralcontainers", &[Operation::Create]),
            Covered::new("", "pods"),
        ]
        .into(),
        injects: [].into(),
    };
    let unserved: Vec<_> = coverage.unserved().iter().map(|covered| path(&covered.resource, &covered.subresource)).collect();
    assert_eq!(unserved, ["nodes", "pods/ephemeralcontainers", "pods/status", "deployments/scale", "leases"]);
    assert_eq!(coverage.rules().len(), 1);
}

/// A set of one native policy on these resources and operations of a group.
fn native(group: &str, resources: &[&str], operations: &[&str]) -> PolicySet {
    let policy = serde_json::json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": "native" },
        "spec": {
            "matchConstraints": { "resourceRules": [
                { "apiGroups": [group], "apiVersions": ["*"], "operations": operations, "resources": resources },
            ] },
            "validations": [{ "expression": "true" }],
        },
    });
    let binding = serde_json::json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": "native" },
        "spec": { "policyName": "native", "validationActions": ["Deny"] },
    });
    let policies = vec![crate::policy::Text { name: "native.yaml".into(), text: format!("{policy}\n---\n{binding}") }];
    crate::policy::load(&crate::policy::Sources { no_builtin: true, policies, ..crate::policy::Sources::default() }).unwrap()
}

#[test]
fn a_native_policy_is_asked_about_deletions_and_connections() {
    let shapes = |group, resources: &[&str], operations: &[&str]| -> Vec<(Shape, String)> {
        let rules = Coverage::of(&native(group, resources, operations)).rules();
        // Waivers are covered with any policy.
        let of_it = rules.into_iter().filter(|(shape, _)| *shape != Shape::Waivers);
        of_it.flat_map(|(shape, rules)| rules.into_iter().map(move |rule| (shape, rule.resources.join(",")))).collect()
    };
    assert_eq!(shapes("", &["pods"], &["CREATE", "DELETE"]), [(Shape::Pods, "pods".into()), (Shape::Deletions, "pods".into())]);
    assert_eq!(shapes("", &["pods/exec", "pods/attach"], &["CONNECT"]), [(Shape::Connections, "pods/attach,pods/exec".into())]);
    assert_eq!(
        shapes("argoproj.io", &["rollouts"], &["*"]),
        [(Shape::Operators, "rollouts".into()), (Shape::Deletions, "rollouts".into()), (Shape::UnchangedObjects, "rollouts".into())]
    );
    assert_eq!(
        shapes("apps", &["deployments"], &["UPDATE"]),
        [(Shape::Workloads, "deployments".into()), (Shape::UnchangedTemplates, "deployments".into())]
    );
    assert_eq!(Coverage::unseen(&native("argoproj.io", &["rollouts"], &["*"])), []);
}

#[test]
fn what_a_native_policy_would_never_be_asked_about_is_told() {
    let reasons = |group, resources: &[&str], operations: &[&str]| -> Vec<String> {
        Coverage::unseen(&native(group, resources, operations)).into_iter().map(|(policy, reason)| format!("{policy}: {reason}")).collect()
    };
    let told = reasons("", &["nodes", "pods"], &["CREATE", "DELETE"]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("native: Doorward's webhook is not sent CREATE of `nodes`"), "{told:?}");
    assert!(told[1].starts_with("native: Doorward's webhook is not sent DELETE of `nodes`"), "{told:?}");
    assert!(reasons("apps", &["deployments/scale"], &["UPDATE"])[0].contains("UPDATE of `deployments/scale`"));
    assert!(reasons("apps", &["*"], &["CREATE"])[0].starts_with("native: `*` is more than Doorward's webhook may be sent"));
    assert!(reasons("", &["pods/*"], &["CREATE"])[0].starts_with("native: `pods/*` is more than"));
}

#[test]
fn a_wildcard_means_the_kinds_that_are_known() {
    let rules = rules(&[Covered::new("*", "*")]);
    let all: Vec<_> = rules.values().flatten().flat_map(|rule| rule.resources.iter().map(String::as_str)).collect();
    assert!(!all.contains(&"*"), "{all:?}");
    assert!(all.contains(&"pods") && all.contains(&"roles") && all.contains(&"tasks"), "{all:?}");
    assert!(!all.contains(&"pods/ephemeralcontainers"), "`*` names no subresource, as in a webhook's own rules: {all:?}");
}

#[test]
fn a_kind_of_the_users_own_is_watched() {
    let rules = rules(&[Covered::new("argoproj.io", "rollouts")]);
    let expected =
        Rule { group: "argoproj.io".into(), versions: vec!["*".into()], resources: vec!["rollouts".into()], operations: BOTH.into() };
    assert_eq!(rules, [(Shape::Operators, vec![expected])].into());
}

/// Hardening A41: what the operator lists as carrying a pod template is watched.
#[test]
fn a_listed_kind_with_a_pod_template_is_watched() {
    let text = r#"{"podTemplates":[{"group":"argoproj.io","kind":"Rollout","path":"spec.template"}]}"#;
    let settings = crate::settings::Settings::read(&crate::object::Object::from_json(text).unwrap()).unwrap();
    let set = crate::policy::load(&crate::policy::Sources { fallback: Some(settings), ..crate::policy::Sources::default() }).unwrap();
    assert!(Coverage::of(&set).rules()[&Shape::Operators].iter().any(|rule| rule.resources == ["rollouts"] && rule.group == "argoproj.io"));
}
