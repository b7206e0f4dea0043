//! Definitions of the kinds of other projects that the library's cases are written in: minimal ones, so that their objects can be sent.

use std::collections::{BTreeMap, BTreeSet};

use doorward::object::{GroupVersionKind, is_cluster_scoped, resource_of};
use http::Method;
use serde_json::{Value, json};

use crate::client::{Cluster, collection, path_of};
use crate::deadline::until;

/// Defines the kinds of some objects, each with every version that one is written in, and waits until they are served.
pub(crate) async fn define(cluster: &Cluster, objects: impl Iterator<Item = &Value>) {
    let definitions = definitions(objects);
    for definition in &definitions {
        let answer = cluster.send(Method::POST, &collection(definition), "application/json", Some(definition)).await.expect("an answer");
        assert!(matches!(answer.code, 201 | 409), "{}: {}", answer.code, answer.body["message"]);
    }
    for definition in &definitions {
        for version in definition["spec"]["versions"].as_array().expect("versions") {
            let spec = &definition["spec"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let path = format!("/apis/{}/{}/{}", text(&spec["group"]), text(&version["name"]), text(&spec["names"]["plural"]));
            until("a definition to be served", || async {
                let answer = cluster.get(&path).await;
                if answer.code == 200 { Ok(()) } else { Err(answer.body.to_string()) }
            })
            .await;
        }
    }
}

/// Takes the definitions away again, and waits until they are gone: other tests ask what happens without them.
pub(crate) async fn undefine(cluster: &Cluster, objects: impl Iterator<Item = &Value>) {
    let paths: Vec<String> = definitions(objects).iter().map(path_of).collect();
    for path in &paths {
        cluster.delete(path).await;
    }
    for path in &paths {
        until("a definition to go", || async {
            let answer = cluster.get(path).await;
            if answer.code == 404 { Ok(()) } else { Err(answer.body["status"].to_string()) }
        })
        .await;
    }
}

fn definitions<'o>(objects: impl Iterator<Item = &'o Value>) -> Vec<Value> {
    let mut kinds: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for object in objects {
        let (group, version) = object["apiVersion"].as_str().and_then(|version| version.split_once('/')).unwrap_or(("", "v1"));
        let kind = GroupVersionKind::new(group, version, object["kind"].as_str().unwrap_or_default());
        let built_in = ["", "apps", "batch", "rbac.authorization.k8s.io", "certificates.k8s.io", "authentication.k8s.io"]
            .contains(&kind.group.as_str());
        if !built_in {
            kinds.entry((kind.group, kind.kind)).or_default().insert(kind.version);
        }
    }
    let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    let define = |((group, kind), versions): ((String, String), BTreeSet<String>)| {
        let plural = resource_of(&kind);
        let any = GroupVersionKind::new(&group, "v1", &kind);
        let scope = if is_cluster_scoped(&any) { "Cluster" } else { "Namespaced" };
        let versions: Vec<Value> = versions
            .iter()
            .enumerate()
            .map(|(index, version)| json!({ "name": version, "served": true, "storage": index == 0, "schema": schema }))
            .collect();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            // Groups below `k8s.io` ask for it.
            "metadata": { "name": format!("{plural}.{group}"), "annotations": { "api-approved.kubernetes.io": "unapproved, a test" } },
            "spec": { "group": group, "scope": scope, "versions": versions,
                "names": { "plural": plural, "singular": kind.to_lowercase(), "kind": kind } },
        })
    };
    kinds.into_iter().map(define).collect()
}
