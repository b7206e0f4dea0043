//! Called again, because the API server or another injector changed the pod: what comes out is the same as if all had come at once.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use serde_json::json;

use crate::door::{cluster, shared_door};
use crate::injected::{ALL, assert_no_api_token, names};
use crate::injector::{Injector, PROXY_IMAGE};
use crate::namespaces::Namespace;
use crate::objects::{spec, spec_with_automount_unset};

/// How often Doorward's two webhooks were asked about a pod, by its own decision log.
async fn asked(namespace: &Namespace, hook: &str) -> usize {
    let (_, door) = shared_door().await;
    let (namespace, hook) = (format!("\"namespace\":\"{}\"", namespace.name), format!("\"hook\":\"{hook}\""));
    door.log().lines().filter(|line| line.contains(&namespace) && line.contains(&hook) && line.contains("\"kind\":\"v1 Pod\"")).count()
}

fn assert_unique(list: &serde_json::Value) {
    let names = names(list);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
}

/// Linkerd comes second and puts its proxy first; Doorward is called again and leaves both in place.
#[tokio::test]
async fn beside_linkerd() {
    let namespace = Namespace::make_meshed(cluster().await, "linkerd", ALL, json!({ "linkerd.io/inject": "enabled" })).await;
    let injector = Injector::start(&namespace).await;
    let (before, judged) = (asked(&namespace, "mutate").await, asked(&namespace, "validate").await);
    let pod = namespace.cluster.create(&namespace.pod("meshed", spec_with_automount_unset())).await.object();
    let spec = &pod["spec"];

    assert_eq!(injector.calls.load(Ordering::Relaxed), 1);
    assert_eq!(asked(&namespace, "mutate").await - before, 2, "once, and again after Linkerd");
    assert_eq!(asked(&namespace, "validate").await - judged, 1);

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
    let before = asked(&namespace, "mutate").await;
    let pod = namespace.cluster.create(&namespace.pod("plugin", spec_with_automount_unset())).await.object();
    assert_eq!(asked(&namespace, "mutate").await - before, 2);
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
