//! Called again, because the API server or another injector changed the pod: what comes out is the same as if all had come at once.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::deadline::until;
use crate::door::{cluster, shared_door};
use crate::injected::{ALL, assert_no_api_token, names};
use crate::injector::{Injector, PROXY_IMAGE};
use crate::namespaces::Namespace;
use crate::objects::{spec, spec_with_automount_unset};

/// How often Doorward was asked to inject a pod that it has judged, by its own decision log. Records are written in order and a moment
/// after the answer: that of the judgement is the last.
async fn times_injected(namespace: &Namespace, name: &str) -> usize {
    let (_, door) = shared_door().await;
    let of_pod = |record: &Value| record["kind"] == "v1 Pod" && record["namespace"] == namespace.name && record["name"] == name;
    let hooks = until("the record of the judgement", || async {
        let log = door.log();
        let records = log.lines().filter(|line| line.contains(&namespace.name)).filter_map(|line| serde_json::from_str(line).ok());
        let hooks: Vec<String> = records.filter(of_pod).map(|record: Value| record["hook"].as_str().unwrap().to_owned()).collect();
        if hooks.iter().any(|hook| hook == "validate") { Ok(hooks) } else { Err(format!("{hooks:?}")) }
    })
    .await;
    assert_eq!(hooks.iter().filter(|hook| *hook == "validate").count(), 1);
    hooks.len() - 1
}

fn assert_unique(list: &Value) {
    let names = names(list);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
}

/// Linkerd comes second and puts its proxy first; Doorward is called again and leaves both in place.
#[tokio::test]
async fn beside_linkerd() {
    let namespace = Namespace::make_meshed(cluster().await, "linkerd", ALL, json!({ "linkerd.io/inject": "enabled" })).await;
    let injector = Injector::start(&namespace).await;
    let pod = namespace.cluster.create(&namespace.pod("meshed", spec_with_automount_unset())).await.object();
    let spec = &pod["spec"];

    assert_eq!(injector.calls().load(Ordering::Relaxed), 1);
    assert_eq!(times_injected(&namespace, "meshed").await, 2, "once, and again after Linkerd");

    assert_no_api_token(&pod);
    let inits = names(&spec["initContainers"]);
    assert_eq!(inits.iter().filter(|name| name.starts_with("vault-")).count(), 2, "{inits:?}");
    assert_eq!(inits.iter().filter(|name| name.starts_with("linkerd-")).count(), 2, "{inits:?}");
    assert_unique(&spec["initContainers"]);
    assert_unique(&spec["volumes"]);
    let proxy = spec["initContainers"].as_array().unwrap().iter().find(|init| init["name"] == "linkerd-proxy").unwrap();
    assert_eq!(proxy["image"], PROXY_IMAGE);
    let mounted: Vec<_> = proxy["volumeMounts"].as_array().unwrap().iter().map(|mount| mount["name"].as_str().unwrap()).collect();
    assert_eq!(mounted, ["linkerd-identity-end-entity", "linkerd-identity-token"], "the proxy is not ours to touch");
    assert_eq!(proxy["env"].as_array().map(Vec::len), Some(2));
}

/// Without `automount-off` the ServiceAccount plugin, run again, adds its mount to the containers we added; we are called once more and
/// add nothing.
#[tokio::test]
async fn after_the_service_account_plugin() {
    let asks: Vec<&str> = ALL.iter().copied().filter(|id| *id != "automount-off").collect();
    let namespace = Namespace::make(cluster().await, "plugin", &asks).await;
    let pod = namespace.cluster.create(&namespace.pod("plugin", spec_with_automount_unset())).await.object();
    assert_eq!(times_injected(&namespace, "plugin").await, 2);
    assert_unique(&pod["spec"]["initContainers"]);
    assert_unique(&pod["spec"]["volumes"]);
    assert_eq!(names(&pod["spec"]["initContainers"]), ["vault-agent-init", "vault-agent"]);
}

/// A pod that has been through once, as a restore or a copy of it would create it, comes out as it went in.
#[tokio::test]
async fn on_its_own_output() {
    let namespace = Namespace::make(cluster().await, "fixpoint", ALL).await;
    let first = namespace.cluster.create(&namespace.pod("first", spec())).await.object();
    let mut copy = namespace.pod("copy", first["spec"].clone());
    copy["metadata"]["annotations"] = first["metadata"]["annotations"].clone();
    let second = namespace.cluster.create(&copy).await.object();
    assert_eq!(second["spec"], first["spec"]);
    let key = "doorward.dev/correlation-id";
    assert_eq!(second["metadata"]["annotations"][key], first["metadata"]["annotations"][key], "a correlation id is passed on");
    let key = "doorward.dev/admission-id";
    assert_ne!(second["metadata"]["annotations"][key], first["metadata"]["annotations"][key], "an admission id is the request's own");
}
