//! Injection in process: a pod of three containers and about 8 kB, as an API server sends it, gets everything.
//!
//! `first` is the call that adds, `second` the call after it, which finds all in place: reinvocation, and every validation.

use divan::{Bencher, black_box};
use doorward::identity::{Beside, Class, Surroundings};
use doorward::inject::{Request, Step, inject};
use doorward::object::{Fact, GroupVersionKind, Object, PodTemplate};
use doorward::settings::Settings;
use serde_json::{Value, json};

mod ratio;

fn main() {
    divan::main();
    let (object, settings, steps) = (pod(), Settings::demonstration(), steps());
    let text = object.root().to_json();
    let injected = run(&object, &settings, &steps).after.unwrap_or_default();
    ratio::table(
        "every injection into one pod, in process",
        vec![
            ratio::Row::new("serde_json::Value (floor)", || serde_json::from_str::<serde_json::Value>(&text)),
            ratio::Row::new("first call", || run(&object, &settings, &steps)),
            ratio::Row::new("second call", || run(&injected, &settings, &steps)),
        ],
    );
}

/// A pod as `kubectl create deployment` and a few years of operation make it.
fn pod() -> Object {
    let container = |name: &str| {
        let env: Vec<Value> =
            (0..16).map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("value-{n}-of-the-container")})).collect();
        let probe = json!({"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
            "successThreshold": 1, "failureThreshold": 3});
        json!({
            "name": name, "image": format!("registry.example.com/payments/{name}:1.2.3"), "imagePullPolicy": "IfNotPresent",
            "args": ["--listen=:8080", "--log-format=json"], "env": env, "ports": [{"containerPort": 8080, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "livenessProbe": probe, "readinessProbe": probe,
            "volumeMounts": [
                {"name": "config", "mountPath": "/etc/config", "readOnly": true},
                {"name": "cache", "mountPath": "/var/cache/app"},
                {"name": "kube-api-access-x7k2p", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}
            ],
            "securityContext": {"runAsUser": 1000, "runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        })
    };
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": "api-7d9c5b6f4-", "namespace": "payments", "labels": {"app": "api", "pod-template-hash": "7d9c5b6f4"},
            "annotations": {"doorward.dev/vault-template-db.env": "{{ with secret \"kv/data/payments/db\" }}PASSWORD={{ .Data.data.password }}{{ end }}"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-7d9c5b6f4", "uid": "0b9c", "controller": true}],
        },
        "spec": {
            "serviceAccountName": "api", "serviceAccount": "api", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
            "containers": [container("api"), container("worker"), container("exporter")],
            "volumes": [
                {"name": "config", "configMap": {"name": "api", "defaultMode": 420}}, {"name": "cache", "emptyDir": {}},
                {"name": "kube-api-access-x7k2p", "projected": {"defaultMode": 420, "sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                    {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]}}
            ],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        },
    });
    Object::from_json(pod.to_string()).unwrap_or_default()
}

fn steps() -> Vec<Step> {
    let text = r#"[{"automountOff":{}},{"vaultToken":{}},{"vaultAgent":{}},{"spiffeCsi":{}},{"stamp":{}}]"#;
    serde_json::from_str(text).unwrap_or_default()
}

fn run(object: &Object, settings: &Settings, steps: &[Step]) -> doorward::inject::Injection {
    let kind = GroupVersionKind::new("", "v1", "Pod");
    let Some(template) = PodTemplate::of(&kind, object.root()) else { return doorward::inject::Injection::default() };
    let surroundings = Surroundings {
        settings,
        namespace: "payments",
        namespace_object: &Fact::Absent,
        service_account: &Fact::Absent,
        token_secrets: &doorward::identity::KnownSecrets::default(),
        class: Class::App,
        beside: Beside::default(),
    };
    inject(
        &Request { template, surroundings, request_uid: "705ab4f5-6393-11e8-b7cc-42010a800002", revision: "7", virtual_only: false },
        steps,
    )
}

#[divan::bench]
fn first(bencher: Bencher<'_, '_>) {
    let (object, settings, steps) = (pod(), Settings::demonstration(), steps());
    assert!(run(&object, &settings, &steps).operations.len() > 20, "everything is added");
    bencher.bench_local(|| run(black_box(&object), &settings, &steps));
}

#[divan::bench]
fn second(bencher: Bencher<'_, '_>) {
    let (object, settings, steps) = (pod(), Settings::demonstration(), steps());
    let object = run(&object, &settings, &steps).after.unwrap_or_default();
    assert!(run(&object, &settings, &steps).operations.is_empty(), "nothing is left to add");
    bencher.bench_local(|| run(black_box(&object), &settings, &steps));
}

/// The patch applied once more, which `first` does step by step.
#[divan::bench]
fn apply(bencher: Bencher<'_, '_>) {
    let object = pod();
    let operations: Vec<_> =
        run(&object, &Settings::demonstration(), &steps()).operations.into_iter().map(|(operation, _)| operation).collect();
    bencher.bench_local(|| black_box(&object).patched(&operations));
}

/// The patch as the API server gets it.
#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let injection = run(&pod(), &Settings::demonstration(), &steps());
    let operations: Vec<_> = injection.operations.iter().map(|(operation, _)| operation).collect();
    bencher.bench_local(|| serde_json::to_string(black_box(&operations)));
}
