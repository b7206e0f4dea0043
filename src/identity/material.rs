//! Credentials written into objects: where they stand and what sort they are, never what they are.

use serde::Serialize;

use super::detect::{self, Detected, Detector};
use super::pod::{Pod, Word};
use crate::object::{GroupVersionKind, Node, hex_digest};

/// Findings that are listed of one object, each by its place. What is found beyond is told of the whole part of the object that holds it,
/// so that old findings do not hide a new one.
const MOST: usize = 64;

/// What stands in the place of a detector's name for findings that are not listed.
const MORE: &str = "more than are listed";

/// What kubectl writes: the object once more, with what was ever applied to it.
const REPEATED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How deep a value is followed.
const DEEPEST: usize = 32;

/// A value that holds a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialMaterial {
    /// The detector's name, or that there are more findings than are listed.
    pub detector: &'static str,
    /// Where the value stands.
    pub field_path: String,
    /// Of findings that are not listed a digest: by that they are new where one was added or changed. Of what kubectl repeats the detector,
    /// for that annotation changes with every field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Reads variables, commands, annotations and handlers of a pod template (`hardening.md` A18).
pub(super) fn of_pod(pod: &Pod<'_>) -> Vec<CredentialMaterial> {
    let mut found = Findings::default();
    for container in &pod.containers {
        for (position, variable) in container.env.iter().enumerate() {
            found.text(variable.value, || format!("{}.env[{position}].value", container.place()));
        }
        found.words(&container.words, || container.place());
        for (path, handler) in container.probes().chain(container.hooks()) {
            let at = || format!("{}.{path}", container.place());
            if let Some(exec) = handler.get("exec") {
                found.words(&Word::of(exec.get("command"), exec.get("args")), || format!("{}.exec", at()));
            }
            for (position, header) in handler.get("httpGet").into_iter().flat_map(|get| get.list("httpHeaders").enumerate()) {
                found.text(header.text("value"), || format!("{}.httpGet.httpHeaders[{position}].value", at()));
            }
        }
    }
    for (key, text, detected) in telling(pod.annotations) {
        found.add(text, detected, |_| false, || format!("metadata.annotations[{key}]"));
    }
    found.0
}

/// The annotations in which something is found, in order of their keys.
fn telling(annotations: Option<Node<'_>>) -> Vec<(&str, &str, Detected)> {
    let texts = annotations.into_iter().flat_map(Node::entries).filter_map(|(key, value)| Some((key, value.as_str()?)));
    let detected = texts.map(|(key, text)| (key, text, detect::in_text(text)));
    let mut telling: Vec<_> = detected.filter(|(.., detected)| !detected.is_empty()).collect();
    telling.sort_by_key(|(key, ..)| *key);
    telling
}

/// Reads the annotations of an object.
pub(super) fn of_annotations(object: Node<'_>) -> Vec<CredentialMaterial> {
    let mut found = Findings::default();
    found.annotations(object, false);
    found.0
}

/// Reads every text below an object's `spec`, and its annotations.
pub(super) fn of_spec(object: Node<'_>) -> Vec<CredentialMaterial> {
    let mut found = Findings::default();
    if let Some(spec) = object.get("spec") {
        found.below(spec, "spec", 0);
    }
    found.annotations(object, false);
    found.0
}

/// Reads a Secret or a `ConfigMap`, keys and values of its data and its annotations; nothing for any other kind.
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
            found.add(text, detected, expected, place);
            found.add(key, detect::in_text(key), |_| false, || (*field).to_owned());
        }
    }
    found.annotations(object, is_secret);
    found.0
}

#[derive(Default)]
struct Findings(Vec<CredentialMaterial>);

impl Findings {
    fn text(&mut self, text: &str, place: impl Fn() -> String) {
        self.add(text, detect::in_text(text), |_| false, place);
    }

    /// A Secret that is applied with its private key repeats that key.
    fn annotations(&mut self, object: Node<'_>, is_secret: bool) {
        for (key, text, detected) in telling(object.path(&["metadata", "annotations"])) {
            let (repeated, listed) = (key == REPEATED, self.0.len());
            let expected = |detector: Detector| repeated && is_secret && detector == Detector::PrivateKey;
            self.add(text, detected, expected, || format!("metadata.annotations[{key}]"));
            for finding in self.0.iter_mut().skip(listed).filter(|finding| repeated && finding.detector != MORE) {
                finding.key = Some(finding.detector.to_owned());
            }
        }
    }

    /// Every text of a value, however deep; what lies deeper than any kind goes is a finding of its own.
    fn below(&mut self, node: Node<'_>, at: &str, depth: usize) {
        if depth > DEEPEST {
            self.more(at, &node.digest());
            return;
        }
        self.text(node.as_str().unwrap_or_default(), || at.to_owned());
        for (position, item) in node.items().enumerate() {
            self.below(item, &format!("{at}[{position}]"), depth + 1);
        }
        for (field, value) in node.sorted_entries() {
            self.below(value, &format!("{at}.{field}"), depth + 1);
        }
    }

    fn words(&mut self, words: &[Word<'_>], place: impl Fn() -> String) {
        for Word { field, index, text } in words {
            self.text(text, || format!("{}.{field}[{index}]", place()));
        }
    }

    fn add(&mut self, text: &str, detected: Detected, expected: impl Fn(Detector) -> bool, place: impl Fn() -> String) {
        for detector in detected.iter().filter(|detector| !expected(*detector)) {
            let finding = CredentialMaterial { detector: detector.name(), field_path: place(), key: None };
            if self.0.len() >= MOST {
                self.more(&finding.field_path, text);
            } else if self.0.last() != Some(&finding) {
                self.0.push(finding);
            }
        }
    }

    /// Tells of a place that is not listed by the part of the object that holds it: `spec.containers`, `data`, `metadata.annotations`.
    fn more(&mut self, place: &str, text: &str) {
        let part = place.split('[').next().unwrap_or_default();
        let digest = |before: &str| Some(hex_digest(format!("{before}\n{text}").as_bytes()));
        match self.0.iter_mut().rev().find(|finding| finding.detector == MORE && finding.field_path == part) {
            Some(told) => told.key = digest(told.key.as_deref().unwrap_or_default()),
            None => self.0.push(CredentialMaterial { detector: MORE, field_path: part.to_owned(), key: digest("") }),
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
    fn what_is_not_listed_is_told_of_the_whole() {
        let data: serde_json::Map<String, Value> = (0..MOST + 2).map(|n| (format!("k{n:03}"), json!(key()))).collect();
        let object = json!({ "kind": "ConfigMap", "data": data, "metadata": { "annotations": { "note": key(), REPEATED: key() } } });
        let object = Object::from_json(object.to_string()).unwrap();
        let found = of_data(&GroupVersionKind::new("", "v1", "ConfigMap"), object.root());
        let last: Vec<_> = found.iter().skip(MOST - 1).map(|found| (found.detector, found.field_path.as_str())).collect();
        assert_eq!(last, [("aws-access-key", "data[k063]"), (MORE, "data"), (MORE, "metadata.annotations")]);
    }

    #[test]
    fn what_kubectl_repeats_is_told_by_its_sort() {
        let repeated = format!("{{\"stringData\":{{\"a\":\"{}\",\"b\":\"-----BEGIN EC PRIVATE KEY-----\"}}}}", key());
        let object = json!({ "kind": "Secret", "metadata": { "annotations": { REPEATED: repeated } } });
        let object = Object::from_json(object.to_string()).unwrap();
        let found = of_data(&GroupVersionKind::new("", "v1", "Secret"), object.root());
        let keys: Vec<_> = found.iter().map(|found| (found.detector, found.key.as_deref())).collect();
        assert_eq!(keys, [("aws-access-key", Some("aws-access-key"))]);
    }

    #[test]
    fn every_text_of_a_spec_is_read() {
        let mut deep = json!("x");
        for _ in 0..=DEEPEST {
            deep = json!([deep]);
        }
        let object = json!({ "spec": { "rules": [{ "backendRefs": [{ "filters": [{ "value": key() }] }] }], "x": deep } });
        let object = Object::from_json(object.to_string()).unwrap();
        let found: Vec<_> = of_spec(object.root()).into_iter().map(|found| (found.detector, found.field_path)).collect();
        let at = |detector, place: &str| (detector, place.to_owned());
        assert_eq!(found, [at("aws-access-key", "spec.rules[0].backendRefs[0].filters[0].value"), at(MORE, "spec.x")]);
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
