//! Who else changes a pod between two of our calls.

use serde_json::{Value, json};

type Neighbour = fn(&mut Value, Option<bool>);

/// Each changes a pod; the ServiceAccount's automount is given.
pub(super) const ALL: [Neighbour; 5] = [
    |_, _| {},
    defaults,
    |pod, account| {
        linkerd(pod);
        defaults(pod, account);
    },
    |pod, account| {
        cloud(pod);
        defaults(pod, account);
    },
    |pod, account| {
        digests(pod);
        autoscaler(pod);
        defaults(pod, account);
    },
];

fn items<'v>(parent: &'v mut Value, list: &str) -> impl Iterator<Item = &'v mut Value> {
    parent.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn push(parent: &mut Value, list: &str, at: usize, item: Value) {
    if parent[list].is_null() {
        parent[list] = json!([]);
    }
    let items = parent[list].as_array_mut().unwrap();
    items.insert(at.min(items.len()), item);
}

fn set_default(map: &mut Value, field: &str, value: Value) {
    let map = map.as_object_mut().unwrap();
    map.entry(field.to_owned()).or_insert(value);
}

/// The API server: the ServiceAccount plugin, then `SetDefaults_*` of core/v1, a limit range, and empty lists dropped as its encoder
/// drops them.
pub(super) fn defaults(pod: &mut Value, account: Option<bool>) {
    let spec = &mut pod["spec"];
    let automount = spec["automountServiceAccountToken"].as_bool().or(account).unwrap_or(true);
    if automount {
        service_account(spec);
    }
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
        ("terminationGracePeriodSeconds", json!(30)),
        ("enableServiceLinks", json!(true)),
        ("serviceAccountName", json!("default")),
    ] {
        set_default(spec, field, value);
    }
    let name = spec["serviceAccountName"].clone();
    set_default(spec, "serviceAccount", name);
    for volume in items(spec, "volumes") {
        for source in ["projected", "downwardAPI", "configMap", "secret"] {
            if volume[source].is_object() {
                set_default(&mut volume[source], "defaultMode", json!(420));
            }
        }
        for item in items(&mut volume["downwardAPI"], "items") {
            set_default(&mut item["fieldRef"], "apiVersion", json!("v1"));
        }
        for source in items(&mut volume["projected"], "sources") {
            if source["serviceAccountToken"].is_object() {
                set_default(&mut source["serviceAccountToken"], "expirationSeconds", json!(3600));
            }
        }
        volume.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    }
    for list in ["initContainers", "containers"] {
        for container in items(spec, list) {
            for (field, value) in [
                ("terminationMessagePath", json!("/dev/termination-log")),
                ("terminationMessagePolicy", json!("File")),
                ("imagePullPolicy", json!("IfNotPresent")),
                ("resources", json!({})),
            ] {
                set_default(container, field, value);
            }
            set_default(&mut container["resources"], "limits", json!({}));
            set_default(&mut container["resources"]["limits"], "ephemeral-storage", json!("1Gi"));
            for mount in items(container, "volumeMounts") {
                mount.as_object_mut().unwrap().retain(|field, value| field != "readOnly" || *value == json!(true));
            }
            container.as_object_mut().unwrap().retain(|_, value| *value != json!([]));
        }
    }
    spec.as_object_mut().unwrap().retain(|_, value| *value != json!([]));
}

/// The ServiceAccount plugin, which runs before the hooks and again after each mutation.
pub(super) fn service_account(spec: &mut Value) {
    const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let known = spec["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|volume| volume["name"].as_str().unwrap_or_default().starts_with("kube-api-access-"));
    if !known {
        push(spec, "volumes", usize::MAX, plugin_volume("kube-api-access-x7k2p"));
    }
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    let name = volumes
        .map(|volume| volume["name"].as_str().unwrap_or_default())
        .find(|name| name.starts_with("kube-api-access-"))
        .unwrap()
        .to_owned();
    for list in ["initContainers", "containers"] {
        for container in items(spec, list) {
            if !container["volumeMounts"].as_array().into_iter().flatten().any(|mount| mount["mountPath"] == PATH) {
                push(container, "volumeMounts", usize::MAX, json!({"name": name, "mountPath": PATH, "readOnly": true}));
            }
        }
    }
}

pub(super) fn plugin_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}
    ]}})
}

/// Linkerd's injector with native sidecars: two init containers at the front, two volumes, annotations.
pub(super) fn linkerd(pod: &mut Value) {
    let spec = &mut pod["spec"];
    if spec["initContainers"].as_array().into_iter().flatten().any(|container| container["name"] == "linkerd-proxy") {
        return;
    }
    push(spec, "volumes", usize::MAX, json!({"name": "linkerd-identity-end-entity", "emptyDir": {"medium": "Memory"}}));
    push(
        spec,
        "volumes",
        usize::MAX,
        json!({"name": "linkerd-identity-token", "projected": {"sources": [
        {"serviceAccountToken": {"path": "linkerd-identity-token", "expirationSeconds": 86400, "audience": "identity.l5d.io"}}]}}),
    );
    push(
        spec,
        "initContainers",
        0,
        json!({"name": "linkerd-init", "image": "cr.l5d.io/linkerd/proxy-init:v2", "securityContext": {"runAsUser": 65534}}),
    );
    push(
        spec,
        "initContainers",
        1,
        json!({"name": "linkerd-proxy", "image": "cr.l5d.io/linkerd/proxy:v2", "restartPolicy": "Always",
        "securityContext": {"runAsUser": 2102},
        "volumeMounts": [{"name": "linkerd-identity-token", "mountPath": "/var/run/secrets/tokens"},
            {"name": "linkerd-identity-end-entity", "mountPath": "/var/run/linkerd/identity/end-entity"}]}),
    );
    if pod["metadata"].is_null() {
        pod["metadata"] = json!({});
    }
    if pod["metadata"]["annotations"].is_null() {
        pod["metadata"]["annotations"] = json!({});
    }
    pod["metadata"]["annotations"]["linkerd.io/created-by"] = json!("linkerd/proxy-injector");
}

/// A cloud's injector, which adds a token, its mount and variables to every container, ours included, and a container of its own.
pub(super) fn cloud(pod: &mut Value) {
    let spec = &mut pod["spec"];
    push(
        spec,
        "volumes",
        0,
        json!({"name": "aws-iam-token", "projected": {"sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 86400, "audience": "sts.amazonaws.com"}}]}}),
    );
    for list in ["initContainers", "containers"] {
        for container in items(spec, list) {
            push(container, "env", 0, json!({"name": "AWS_REGION", "value": "eu-central-1"}));
            push(
                container,
                "volumeMounts",
                0,
                json!({"name": "aws-iam-token", "mountPath": "/var/run/secrets/eks.amazonaws.com/serviceaccount", "readOnly": true}),
            );
        }
    }
}

/// A resolver of tags, which adds to every image the digest that it has at the registry.
pub(super) fn digests(pod: &mut Value) {
    for list in ["initContainers", "containers"] {
        for container in items(&mut pod["spec"], list) {
            if let Some(image) = container["image"].as_str().filter(|image| !image.contains('@')) {
                container["image"] = json!(format!("{image}@sha256:{}", "5d".repeat(32)));
            }
        }
    }
}

/// The vertical pod autoscaler, which writes requests of its own, and limits in proportion.
pub(super) fn autoscaler(pod: &mut Value) {
    for list in ["initContainers", "containers"] {
        for container in items(&mut pod["spec"], list) {
            container["resources"] = json!({"requests": {"cpu": "11m", "memory": "262144k"}, "limits": {"memory": "524288k"}});
        }
    }
}
