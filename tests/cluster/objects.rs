//! The objects that tests create: as small as Kubernetes takes them, and without fault until a test adds one.

use serde_json::{Value, json};

/// The ServiceAccount that every namespace of a test has.
pub(crate) const SERVICE_ACCOUNT: &str = "app";

/// A pod spec without fault: an account of its own, no token, fit for the restricted standard.
pub(crate) fn spec() -> Value {
    json!({
        "serviceAccountName": SERVICE_ACCOUNT,
        "automountServiceAccountToken": false,
        "containers": [container("app")],
    })
}

/// A container fit for the restricted standard.
pub(crate) fn container(name: &str) -> Value {
    json!({
        "name": name,
        "image": "registry.example.com/app:1",
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "runAsNonRoot": true,
            "capabilities": { "drop": ["ALL"] },
            "seccompProfile": { "type": "RuntimeDefault" },
        },
    })
}

/// A Pod with a spec.
pub(crate) fn pod(namespace: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": namespace, "name": name }, "spec": spec })
}

/// `spec()` without `automountServiceAccountToken`: as most authors write it.
pub(crate) fn spec_with_automount_unset() -> Value {
    without(spec(), "automountServiceAccountToken")
}

/// A map without a field.
pub(crate) fn without(mut map: Value, field: &str) -> Value {
    map.as_object_mut().expect("a map").remove(field);
    map
}

/// A map with a field more.
pub(crate) fn with(mut map: Value, field: &str, value: Value) -> Value {
    map[field] = value;
    map
}

/// A volume that holds one file of a Secret, and its mount in the only container.
pub(crate) fn mounting(mut spec: Value, volume: Value, path: &str) -> Value {
    spec["containers"][0]["volumeMounts"] = json!([{ "name": volume["name"], "mountPath": path, "readOnly": true }]);
    spec["volumes"] = json!([volume]);
    spec
}

/// A ServiceAccount.
pub(crate) fn service_account(namespace: &str, name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "namespace": namespace, "name": name } })
}

/// A Secret that the token controller fills with a token without end.
pub(crate) fn legacy_token(namespace: &str, name: &str, service_account: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": { "namespace": namespace, "name": name, "annotations": { "kubernetes.io/service-account.name": service_account } },
    })
}

/// Every kind that carries a pod template beside Pod, with this spec, and the path from the object to it.
pub(crate) fn workloads(namespace: &str, name: &str, spec: &Value) -> Vec<(Value, &'static str)> {
    let labels = json!({ "app": name });
    let template = |policy: &str| {
        let mut spec = spec.clone();
        spec["restartPolicy"] = json!(policy);
        json!({ "metadata": { "labels": labels }, "spec": spec })
    };
    let (always, never) = (template("Always"), template("Never"));
    let selector = json!({ "matchLabels": labels });
    let metadata = json!({ "namespace": namespace, "name": name });
    let object =
        |version: &str, kind: &str, spec: Value| json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec });
    let in_template = "spec.template.spec";
    vec![
        (object("apps/v1", "Deployment", json!({ "replicas": 0, "selector": selector, "template": always })), in_template),
        (object("apps/v1", "ReplicaSet", json!({ "replicas": 0, "selector": selector, "template": always })), in_template),
        (
            object("apps/v1", "StatefulSet", json!({ "replicas": 0, "serviceName": name, "selector": selector, "template": always })),
            in_template,
        ),
        (object("apps/v1", "DaemonSet", json!({ "selector": selector, "template": always })), in_template),
        (object("v1", "ReplicationController", json!({ "replicas": 0, "selector": labels, "template": always })), in_template),
        (object("batch/v1", "Job", json!({ "suspend": true, "template": never })), in_template),
        (
            object(
                "batch/v1",
                "CronJob",
                json!({ "schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": { "spec": { "template": never } } }),
            ),
            "spec.jobTemplate.spec.template.spec",
        ),
        (json!({ "apiVersion": "v1", "kind": "PodTemplate", "metadata": metadata, "template": always }), "template.spec"),
    ]
}
