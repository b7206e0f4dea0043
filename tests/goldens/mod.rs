//! The golden pods: those that injectors have broken on, each with what Doorward makes of it beside it, and the variants of each. Shared by
//! `tests/golden.rs` (injected here) and `tests/cluster/golden.rs` (created at the API server).
//!
//! `pods/NN-name.yaml` holds a `Case` without an expectation, what stands around, and the pod; `pods/NN-name.injected.yaml` what the rules
//! find in the injected pod, and the pod. The numbers are those of the injection facts; letters are forms of one number.

use std::fs;
use std::path::{Path, PathBuf};

use doorward::manifest;
use serde_json::{Value, json};

/// The settings of a pod whose case has none.
const SETTINGS: &str = r#"{
    "cluster": { "name": "prod" },
    "spiffe": { "trustDomain": "prod.example.com" },
    "vault": { "address": "https://vault.example.com:8200" }
}"#;

/// One pod, or a variant of one.
#[derive(Clone, Debug)]
pub(crate) struct Golden {
    /// The file's name without `.yaml`, and the variant's.
    pub(crate) name: String,
    /// The `Case`: who does what.
    pub(crate) case: Value,
    pub(crate) settings: Value,
    /// Related objects.
    pub(crate) around: Vec<Value>,
    pub(crate) pod: Value,
}

/// Where the pods stand.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/pods")
}

/// The documents of a file.
pub(crate) fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let loaded = manifest::read(&path.display().to_string(), &text);
    assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
    loaded.documents.iter().map(|document| serde_json::from_str(&document.object.root().to_json()).expect("an object is JSON")).collect()
}

/// Every golden pod, in order.
pub(crate) fn all() -> Vec<Golden> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder()).expect("the folder is there").map(|entry| entry.expect("readable").path()).collect();
    files.retain(|file| !file.to_string_lossy().ends_with(".injected.yaml"));
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Golden {
    let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut documents = documents(file);
    assert!(documents.len() >= 2, "{name}: a case and a pod are needed");
    let pod = documents.pop().unwrap_or_default();
    let mut case = documents.remove(0);
    assert_eq!((&case["kind"], &pod["kind"]), (&json!("Case"), &json!("Pod")), "{name}");
    let settings = case.as_object_mut().and_then(|case| case.remove("settings"));
    let settings = settings.unwrap_or_else(|| serde_json::from_str(SETTINGS).expect("JSON"));
    Golden { name, case, settings, around: documents, pod }
}

impl Golden {
    /// Whether the pod is created, not changed.
    pub(crate) fn is_created(&self) -> bool {
        self.case.get("operation").is_none()
    }

    /// Whether the request is the kubelet's for a static pod.
    pub(crate) fn is_mirror(&self) -> bool {
        self.pod["metadata"]["annotations"].get("kubernetes.io/config.mirror").is_some()
    }

    /// The pod changed, under a name that says so.
    pub(crate) fn variant(&self, name: &str, change: impl FnOnce(&mut Value)) -> Self {
        let mut variant = self.clone();
        variant.name = format!("{}, {name}", self.name);
        change(&mut variant.pod);
        variant
    }

    /// Variant (i): asked of a vendor's injector as well.
    pub(crate) fn asking_the_vendor(&self, prefix: &str) -> Self {
        self.variant(&format!("with {prefix}/agent-inject"), |pod| {
            pod["metadata"]["annotations"][format!("{prefix}/agent-inject")] = json!("true");
            pod["metadata"]["annotations"][format!("{prefix}/role")] = json!("payments.api");
        })
    }

    /// Variant (iii): a volume that has the name of the ServiceAccount plugin's, and is none.
    pub(crate) fn with_evil_volume(&self) -> Self {
        self.variant("with a volume of the plugin's name", |pod| {
            push(&mut pod["spec"]["volumes"], json!({ "name": "kube-api-access-evil", "emptyDir": {} }));
            // The author's own container, which need not be the first: a classic proxy is.
            let containers = pod["spec"]["containers"].as_array_mut().expect("a pod has containers");
            let app = containers.iter_mut().find(|container| container["name"] == "app").expect("every golden pod has an `app`");
            push(&mut app["volumeMounts"], json!({ "name": "kube-api-access-evil", "mountPath": "/evil" }));
        })
    }

    /// Variant (iv): a container that mounts what is yet to be injected.
    pub(crate) fn with_thief(&self) -> Self {
        self.variant("with a container that mounts what is to come", |pod| {
            let mounts = [json!({ "name": "vault-token", "mountPath": "/steal", "readOnly": true })];
            // Fit for every standard, so that nothing but the mount speaks against it.
            let context = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
            let context = if pod["spec"]["os"]["name"] == "windows" { json!({}) } else { context };
            let thief = json!({ "name": "thief", "image": "app:1", "securityContext": context, "volumeMounts": mounts });
            push(&mut pod["spec"]["initContainers"], thief);
        })
    }

    /// Variant (v): containers that see each other's processes, and so each other's files.
    pub(crate) fn sharing_processes(&self) -> Self {
        self.variant("with a shared process namespace", |pod| pod["spec"]["shareProcessNamespace"] = json!(true))
    }

    /// Variant (vi): the same pod, made by a workload of a kind.
    pub(crate) fn made_by(&self, kind: &str) -> Value {
        let mut template = json!({ "metadata": { "labels": { "app": "golden" } }, "spec": self.pod["spec"] });
        for field in ["labels", "annotations"] {
            for (key, value) in self.pod["metadata"][field].as_object().into_iter().flatten() {
                template["metadata"][field][key] = value.clone();
            }
        }
        let group = if matches!(kind, "Job" | "CronJob") { "batch/v1" } else { "apps/v1" };
        let ends = template["spec"]["restartPolicy"] == "Never" || template["spec"]["restartPolicy"] == "OnFailure";
        if group == "batch/v1" {
            if !ends {
                template["spec"]["restartPolicy"] = json!("Never");
            }
        } else {
            template["spec"].as_object_mut().map(|spec| spec.remove("restartPolicy"));
        }
        let spec = match kind {
            "CronJob" => json!({ "schedule": "0 3 * * *", "jobTemplate": { "spec": { "template": template } } }),
            "Job" => json!({ "template": template }),
            _ => json!({ "selector": { "matchLabels": { "app": "golden" } }, "template": template }),
        };
        json!({ "apiVersion": group, "kind": kind, "metadata": { "name": "golden", "namespace": self.pod["metadata"]["namespace"] }, "spec": spec })
    }
}

/// The kinds of variant (vi).
pub(crate) const KINDS: [&str; 5] = ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"];

fn push(list: &mut Value, item: Value) {
    if list.is_null() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}
