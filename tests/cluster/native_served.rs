//! A door that judges by Kubernetes' own policies: what it is sent, the parameters that it reads, and how it answers.

use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, MERGE, path_of};
use crate::controlplane::{directory, turn};
use crate::deadline::until;
use crate::door::{Door, Flags};
use crate::namespaces::Namespace;
use crate::objects::spec;
use crate::webhooks::{self, Way};

const POLICIES: &str = include_str!("native/served.yaml");

fn deployment(namespace: &Namespace, name: &str, replicas: i64) -> Value {
    let labels = json!({ "app": name });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "namespace": namespace.name, "name": name },
        "spec": { "replicas": replicas, "selector": { "matchLabels": labels },
                  "template": { "metadata": { "labels": labels }, "spec": spec() } },
    })
}

/// Asserts that an entry refuses as a policy with the API's default reason does, and says this.
#[track_caller]
fn refused(answer: &Answer, entry: &str, text: &str) {
    let message = answer.body["message"].as_str().unwrap_or_default();
    assert_eq!((answer.code, &answer.body["reason"]), (422, &json!("Invalid")), "{message}");
    assert!(message.contains(&format!("\"{entry}\" denied the request: doorward refuses ")) && message.contains(text), "{message}");
}

#[tokio::test]
async fn a_door_judges_by_policies_that_are_kubernetes_own() {
    let (control_plane, _turn) = turn().await;
    let cluster = control_plane.cluster().await;
    let file = directory("policies").join("served.yaml");
    std::fs::write(&file, POLICIES).expect("the test's directory is writable");
    let policies = ["--policies", file.to_str().expect("a temporary path is UTF-8")];
    let kubeconfig = control_plane.kubeconfig();
    let door = Door::open(&Flags { more: &policies, ..Flags::on_loopback(&kubeconfig) }).await;
    webhooks::install(control_plane, Way::Url(door.address), &policies).await;
    let namespace = Namespace::make(cluster.clone(), "served", &[]).await;
    // Kinds of a cluster's own are parameters too, in a namespace or in none.
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": "quotas.native.example.com" },
        "spec": {
            "group": "native.example.com", "scope": "Cluster", "names": { "kind": "Quota", "plural": "quotas" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "properties": { "keys": { "type": "integer" } },
            } } }],
        },
    });
    cluster.create(&definition).await.object();
    let quota = json!({ "apiVersion": "native.example.com/v1", "kind": "Quota", "metadata": { "name": "of-maps" }, "keys": 1 });
    until("the definition to be served", || async {
        let answer = cluster.create(&quota).await;
        if answer.code == 201 { Ok(()) } else { Err(answer.body["message"].to_string()) }
    })
    .await;
    let full = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "namespace": namespace.name, "name": "full" }, "data": { "a": "", "b": "" } });
    until("the quota to be seen", || async {
        let answer = cluster.try_out(&full).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        let seen = message.contains(
            "[quota] has 2 keys; at most 1 (validations[0], binding `quota`, parameters `(not told: the caller is not verified)`)",
        );
        if answer.code == 422 && seen { Ok(()) } else { Err(answer.body.to_string()) }
    })
    .await;
    const WORKLOADS: &str = "workloads.guard.doorward.dev";

    // The parameter is the cluster's, read when it is needed.
    let answer = cluster.try_out(&deployment(&namespace, "early", 1)).await;
    refused(&answer, WORKLOADS, "[limited] binding `limited` finds no parameters, and says `parameterNotFoundAction: Deny`");
    let metadata = json!({ "namespace": namespace.name, "name": "limits" });
    let limits = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "most": "2" } });
    cluster.create(&limits).await.object();
    let allowed = |replicas| {
        let (cluster, tried) = (cluster.clone(), deployment(&namespace, "tried", replicas));
        move || {
            let (cluster, tried) = (cluster.clone(), tried.clone());
            async move {
                let answer = cluster.try_out(&tried).await;
                if answer.code == 201 { Ok(()) } else { Err(answer.body["message"].to_string()) }
            }
        }
    };
    until("the parameter to be found", allowed(2)).await;
    let answer = cluster.create(&deployment(&namespace, "large", 3)).await;
    refused(&answer, WORKLOADS, "has 3 replicas (validations[0], binding `limited`, parameters `(not told: the caller is not verified)`)");
    cluster.patch(&path_of(&limits), MERGE, &json!({ "data": { "most": "3" } })).await.object();
    until("the parameter's change to be seen", allowed(3)).await;

    // Scaling leaves the pod template alone, and is sent for it all the same.
    cluster.create(&deployment(&namespace, "scaled", 1)).await.object();
    let scaled = path_of(&deployment(&namespace, "scaled", 1));
    let answer = cluster.patch(&scaled, MERGE, &json!({ "spec": { "replicas": 4 } })).await;
    refused(&answer, "unchanged-templates.watch.doorward.dev", "[limited] has 4 replicas");
    cluster.patch(&scaled, MERGE, &json!({ "spec": { "replicas": 2 } })).await.object();

    // Its audit annotations stand in the API server's log under the entry's name.
    cluster.create(&deployment(&namespace, "noted", 1)).await.object();
    let event = control_plane.creation("deployments", &namespace.name, "noted").await;
    assert_eq!(event["annotations"][format!("{WORKLOADS}/limited.replicas")], "1 of 3", "{}", event["annotations"]);

    // Deletions and connections are sent for it.
    let mut kept = limits.clone();
    kept["metadata"]["name"] = json!("kept");
    kept["metadata"]["annotations"] = json!({ "keep": "true" });
    cluster.create(&kept).await.object();
    refused(&cluster.delete(&path_of(&kept)).await, "deletions.watch.doorward.dev", "[kept] is kept (validations[0], binding `kept`)");
    cluster.delete(&path_of(&limits)).await.object();
    cluster.create(&namespace.pod("shell", spec())).await.object();
    let command = |pod: &str| namespace.path("v1", &format!("pods/{pod}/exec?command=sh&stdout=true"));
    let answer = cluster.send(Method::POST, &command("shell"), "application/json", None).await.expect("an answer");
    refused(&answer, "connections.watch.doorward.dev", "[no-shell] nobody runs `sh` in a pod (validations[0], binding `no-shell`)");
}
