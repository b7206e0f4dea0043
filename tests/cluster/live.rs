//! The command line over a live cluster: what is there already, told and judged as the door would.

use std::process::Command;

use serde_json::{Value, json};

use crate::controlplane::shared;
use crate::door::cluster;
use crate::namespaces::Namespace;
use crate::objects::{mounting, spec, spec_with_automount_unset};

/// What a subcommand prints of the shared cluster, and how it ends.
fn told(arguments: &[&str]) -> (Option<i32>, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    let output = command.args(arguments).arg("--kubeconfig").arg(shared().kubeconfig()).args(["-o", "json"]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), errors)
}

/// A running pod is explained as it stands: the token that the API server mounted is there, with its year.
#[tokio::test]
async fn a_pod_is_explained() {
    let namespace = Namespace::make(cluster().await, "explained", &[]).await;
    namespace.cluster.create(&namespace.pod("usual", spec_with_automount_unset())).await.object();
    let (code, answer, errors) = told(&["explain", &format!("{}/usual", namespace.name)]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let [pod] = answer["objects"].as_array().unwrap().as_slice() else { panic!("one object: {answer}") };
    let identity = &pod["identity"];
    assert_eq!(identity["apiToken"], json!({ "mounted": true, "source": "default", "containers": ["app"] }));
    let [token] = identity["credentials"].as_array().unwrap().as_slice() else { panic!("one credential: {identity}") };
    assert_eq!((&token["kind"], &token["seconds"], &token["automounted"]), (&json!("serviceAccountToken"), &json!(3607), &json!(true)));
    let [finding] = pod["findings"].as_array().unwrap().as_slice() else { panic!("one finding: {pod}") };
    assert_eq!((&finding["rule"], &finding["enforcement"]), (&json!("no-implicit-automount"), &json!("warn")));
}

#[tokio::test]
async fn a_pod_that_is_not_there_is_named() {
    cluster().await;
    let (code, _, errors) = told(&["explain", "nowhere/nobody"]);
    assert_eq!((code, errors.as_str()), (Some(3), "doorward: there is no Pod `nowhere/nobody` in the cluster\n"));
}

/// One namespace is read when one is named, and each workload's identity is listed.
#[tokio::test]
async fn a_namespace_is_listed_and_audited() {
    let namespace = Namespace::make(cluster().await, "listed", &[]).await;
    let token = json!({ "serviceAccountToken": { "audience": "vault", "path": "token", "expirationSeconds": 600 } });
    let client = mounting(spec(), json!({ "name": "vault-token", "projected": { "sources": [token] } }), "/run/secrets/vault");
    namespace.cluster.create(&namespace.pod("client", client)).await.object();
    namespace.cluster.create(&namespace.pod("usual", spec_with_automount_unset())).await.object();

    let (code, answer, errors) = told(&["inventory", "--cluster", "--namespace", &namespace.name]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let workloads: Vec<_> = answer["workloads"].as_array().unwrap().iter().map(|workload| &workload["object"]["name"]).collect();
    assert_eq!(workloads, ["client", "usual"]);
    assert_eq!(answer["workloads"][0]["identity"]["vault"]["client"], true);

    let (code, report, _) = told(&["audit", "--cluster", "--namespace", &namespace.name, "--fail-on", "warn"]);
    assert_eq!(code, Some(1));
    let at = |violation: &Value| (violation["object"]["name"].clone(), violation["rule"].clone());
    let warned =
        report["violations"].as_array().unwrap().iter().filter(|violation| violation["object"]["namespace"] == json!(namespace.name));
    let found: Vec<_> = warned.map(at).collect();
    assert!(found.contains(&(json!("usual"), json!("no-implicit-automount"))), "{found:#?}");
    assert!(!found.iter().any(|(name, _)| name == "client"), "{found:#?}");
}

/// The schemas of custom kinds come from the cluster: a field that a definition does not have is found.
#[tokio::test]
async fn a_policy_is_linted_by_the_definitions_of_the_cluster() {
    let cluster = cluster().await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": "gadgets.lint.example.com" },
        "spec": {
            "group": "lint.example.com", "scope": "Namespaced",
            "names": { "kind": "Gadget", "listKind": "GadgetList", "plural": "gadgets", "singular": "gadget" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                "spec": { "type": "object", "properties": { "colour": { "type": "string" } } },
            } } } }],
        },
    });
    cluster.create(&definition).await.object();
    let policy = json!({
        "apiVersion": "doorward.dev/v1alpha1", "kind": "IdentityPolicy", "metadata": { "name": "gadgets" },
        "spec": { "title": "x", "severity": "low", "enforcement": "Deny", "rules": [{
            "match": { "resourceRules": [{ "apiGroups": ["lint.example.com"], "apiVersions": ["v1"], "resources": ["gadgets"], "operations": ["CREATE"] }] },
            "validations": [{ "expression": "object.spec.color != ''", "message": "m" }],
        }] },
    });
    let file = crate::controlplane::directory("lint").join("gadgets.yaml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, policy.to_string()).unwrap();
    let (code, answer, errors) = told(&["policy", "lint", "--cluster", file.to_str().unwrap()]);
    assert_eq!((code, errors.as_str()), (Some(1), ""), "{answer}");
    assert!(answer.to_string().contains("undefined field 'color'; did you mean 'colour'?"), "{answer}");
}
