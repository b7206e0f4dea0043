//! Objects of the library's cases, completed with what the API server demands.

use serde_json::{Value, json};

/// What a case leaves out because no rule reads it, and the API server demands. Both sides are asked about the object with it.
pub(crate) fn completed(mut object: Value) -> Value {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let default = |value: &mut Value, what: Value| {
        if value.is_null() {
            *value = what;
        }
    };
    if object["metadata"]["generateName"].is_null() {
        default(&mut object["metadata"]["name"], json!("case"));
    }
    if kind == "Secret" {
        let keys: &[(&str, &str)] = match object["type"].as_str().unwrap_or_default() {
            "kubernetes.io/basic-auth" => &[("username", ""), ("password", "")],
            "kubernetes.io/ssh-auth" => &[("ssh-privatekey", "LQ==")],
            "kubernetes.io/tls" => &[("tls.crt", ""), ("tls.key", "")],
            "kubernetes.io/dockercfg" => &[(".dockercfg", "e30=")],
            "kubernetes.io/dockerconfigjson" => &[(".dockerconfigjson", "e30=")],
            "kubernetes.io/service-account-token" => {
                default(&mut object["metadata"]["annotations"]["kubernetes.io/service-account.name"], json!("robot"));
                &[]
            }
            _ => &[],
        };
        for (key, value) in keys {
            if object["stringData"].get(key).is_none() {
                default(&mut object["data"][key], json!(value));
            }
        }
    }
    let template = match kind.as_str() {
        "Pod" => Some(&mut object),
        "CronJob" => {
            default(&mut object["spec"]["schedule"], json!("0 3 * * *"));
            Some(&mut object["spec"]["jobTemplate"]["spec"]["template"])
        }
        "PodTemplate" => Some(&mut object["template"]),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicationController" => {
            Some(&mut object["spec"]["template"])
        }
        "PersistentVolume" => {
            default(&mut object["spec"]["capacity"], json!({ "storage": "1Gi" }));
            default(&mut object["spec"]["accessModes"], json!(["ReadWriteOnce"]));
            if object["spec"]["local"].is_object() {
                let term = json!({ "matchExpressions": [{ "key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"] }] });
                default(&mut object["spec"]["nodeAffinity"], json!({ "required": { "nodeSelectorTerms": [term] } }));
            }
            None
        }
        _ => None,
    };
    let Some(template) = template else { return object };
    if !template["spec"].is_object() {
        return object;
    }
    default(&mut template["spec"]["containers"], json!([{}]));
    for list in ["initContainers", "containers"] {
        for (index, container) in template["spec"][list].as_array_mut().into_iter().flatten().enumerate() {
            default(&mut container["name"], json!(format!("c{index}")));
            default(&mut container["image"], json!("registry.example.com/app:1"));
        }
    }
    // Those are added to a pod that runs.
    let spec = template["spec"].as_object_mut().expect("a map");
    spec.remove("ephemeralContainers");
    spec.retain(|_, value| !value.is_null());
    let mounted: Vec<Value> = ["initContainers", "containers"]
        .iter()
        .flat_map(|list| template["spec"][*list].as_array().into_iter().flatten())
        .flat_map(|container| container["volumeMounts"].as_array().into_iter().flatten())
        .map(|mount| mount["name"].clone())
        .collect();
    for name in mounted {
        default(&mut template["spec"]["volumes"], json!([]));
        let volumes = template["spec"]["volumes"].as_array_mut().expect("a list");
        if !volumes.iter().any(|volume| volume["name"] == name) {
            volumes.push(json!({ "name": name, "emptyDir": {} }));
        }
    }
    if matches!(kind.as_str(), "Job" | "CronJob") {
        default(&mut template["spec"]["restartPolicy"], json!("Never"));
    }
    if matches!(kind.as_str(), "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "ReplicationController") {
        default(&mut template["metadata"]["labels"], json!({}));
        template["metadata"]["labels"]["app"] = json!("case");
        let labels = json!({ "app": "case" });
        object["spec"]["selector"] = if kind == "ReplicationController" { labels } else { json!({ "matchLabels": labels }) };
    }
    object
}
