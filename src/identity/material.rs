//! Credentials written into objects: where they stand and what sort they are, never what they are.

use serde::Serialize;

use super::detect::{self, Detected, Detector};
use crate::object::{GroupVersionKind, Node, PodTemplate};

/// Findings that are listed of one object; more of them would tell nothing more.
const MOST: usize = 64;

/// Probes and hooks of a container, each with the fields that lead to its handler.
const HANDLERS: [&[&str]; 5] =
    [&["livenessProbe"], &["readinessProbe"], &["startupProbe"], &["lifecycle", "postStart"], &["lifecycle", "preStop"]];

/// A value that holds a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialMaterial {
    /// The detector's name.
    pub detector: &'static str,
    /// Where the value stands.
    pub field_path: String,
}

/// Reads variables, commands, annotations and handlers of a pod template (`hardening.md` A18).
pub(super) fn of_pod(template: PodTemplate<'_>) -> Vec<CredentialMaterial> {
    let mut found = Findings::default();
    for (list, index, container) in template.containers() {
        for (position, variable) in container.list("env").enumerate() {
            found.text(variable.get("value"), || format!("spec.{list}[{index}].env[{position}].value"));
        }
        found.words(container, || format!("spec.{list}[{index}]"));
        for handler in HANDLERS {
            let Some(node) = container.path(handler) else { continue };
            let at = || format!("spec.{list}[{index}].{}", handler.join("."));
            if let Some(exec) = node.get("exec") {
                found.words(exec, || format!("{}.exec", at()));
            }
            for (position, header) in node.get("httpGet").into_iter().flat_map(|get| get.list("httpHeaders").enumerate()) {
                found.text(header.get("value"), || format!("{}.httpGet.httpHeaders[{position}].value", at()));
            }
        }
    }
    if let Some(annotations) = template.node.path(&["metadata", "annotations"]) {
        for (key, value) in annotations.sorted_entries() {
            found.text(Some(value), || format!("metadata.annotations[{key}]"));
        }
    }
    found.0
}

/// Reads the data of a Secret or a `ConfigMap`, keys and values; nothing for any other kind.
///
/// A Secret is the place for a private key, and the controller manager's own token is for `no-legacy-token-secret`.
pub(super) fn of_data(kind: &GroupVersionKind, object: Node<'_>) -> Vec<CredentialMaterial> {
    let (is_secret, of_account) = match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Secret") => (true, object.text("type") == "kubernetes.io/service-account-token"),
        ("", "ConfigMap") => (false, false),
        _ => return Vec::new(),
    };
    let fields: &[(&str, bool)] =
        if is_secret { &[("data", true), ("stringData", false)] } else { &[("data", false), ("binaryData", true)] };
    let mut found = Findings::default();
    for (field, encoded) in fields {
        for (key, value) in object.get(field).map(Node::sorted_entries).unwrap_or_default() {
            let text = value.as_str().unwrap_or_default();
            let detected = if *encoded { detect::in_base64(text) } else { detect::in_text(text) };
            let expected = |detector: Detector| match detector {
                Detector::PrivateKey => is_secret,
                Detector::KubernetesToken => of_account && key == "token",
                _ => false,
            };
            // A key that is a credential may not be shown as a part of a path.
            let shown = !detect::is_credential(key);
            let place = || if shown { format!("{field}[{key}]") } else { (*field).to_owned() };
            found.add(detected, expected, place);
            found.add(detect::in_text(key), |_| false, || (*field).to_owned());
        }
    }
    found.0
}

#[derive(Default)]
struct Findings(Vec<CredentialMaterial>);

impl Findings {
    fn text(&mut self, value: Option<Node<'_>>, place: impl Fn() -> String) {
        if let Some(text) = value.and_then(Node::as_str) {
            self.add(detect::in_text(text), |_| false, place);
        }
    }

    fn words(&mut self, node: Node<'_>, place: impl Fn() -> String) {
        for field in ["command", "args"] {
            for (position, word) in node.list(field).enumerate() {
                self.text(Some(word), || format!("{}.{field}[{position}]", place()));
            }
        }
    }

    fn add(&mut self, detected: Detected, expected: impl Fn(Detector) -> bool, place: impl Fn() -> String) {
        for detector in detected.iter().filter(|detector| !expected(*detector)) {
            let finding = CredentialMaterial { detector: detector.name(), field_path: place() };
            if self.0.len() < MOST && self.0.last() != Some(&finding) {
                self.0.push(finding);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixture::Scene;
    use super::*;
    use crate::object::Object;

    fn key() -> String {
        format!("AKIA{}", "ABCDEFGHIJKLMNOP")
    }

    #[test]
    fn hardening_a18_every_place_of_a_pod_is_read() {
        let header = json!({ "httpGet": { "httpHeaders": [{ "name": "x", "value": key() }] } });
        let container = json!({
            "name": "c", "env": [{ "name": "A", "value": "plain" }, { "name": "B", "value": key() }],
            "command": ["sh", "-c", format!("login {}", key())], "args": [key()],
            "livenessProbe": header, "readinessProbe": { "exec": { "command": ["x", key()] } }, "startupProbe": header,
            "lifecycle": { "postStart": header, "preStop": { "exec": { "command": [key()] } } },
        });
        let scene = Scene::pod(json!({ "initContainers": [container], "containers": [container], "ephemeralContainers": [container] }))
            .annotated("example.com/note", &key());
        let identity = scene.read();
        let places: Vec<&str> =
            identity["credentialMaterial"].as_array().unwrap().iter().map(|found| found["fieldPath"].as_str().unwrap()).collect();
        let mut expected: Vec<String> = Vec::new();
        for list in ["initContainers", "containers", "ephemeralContainers"] {
            for field in [
                "env[1].value",
                "command[2]",
                "args[0]",
                "livenessProbe.httpGet.httpHeaders[0].value",
                "readinessProbe.exec.command[1]",
                "startupProbe.httpGet.httpHeaders[0].value",
                "lifecycle.postStart.httpGet.httpHeaders[0].value",
                "lifecycle.preStop.exec.command[0]",
            ] {
                expected.push(format!("spec.{list}[0].{field}"));
            }
        }
        expected.push("metadata.annotations[example.com/note]".into());
        assert_eq!(places, expected);
        assert!(!identity["credentialMaterial"].to_string().contains("AKIA"), "a value is shown");
    }

    #[test]
    fn a_key_that_is_a_credential_is_not_shown() {
        let object = json!({ "kind": "ConfigMap", "data": { key(): "x", "note": "y", format!("hvs.{}", "a".repeat(24)): key() } });
        let object = Object::from_json(object.to_string()).unwrap();
        let found = of_data(&GroupVersionKind::new("", "v1", "ConfigMap"), object.root());
        let found: Value = serde_json::to_value(found).unwrap();
        assert_eq!(
            found,
            json!([{ "detector": "aws-access-key", "fieldPath": "data" }, { "detector": "vault-token", "fieldPath": "data" }]),
            "one finding for two alike at the same place"
        );
    }
}
