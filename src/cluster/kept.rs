//! What of an object is kept: enough for the rules, and never the data of a Secret.

use kube::api::{ApiResource, DynamicObject};
use serde_json::{Map, Value};

use crate::object::Object;

/// The copy of the whole object that `kubectl apply` writes: half of an object's size, and nothing that a rule reads.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What is kept of an object beside `apiVersion`, `kind` and the metadata that rules read (name, namespace, uid, labels,
/// annotations).
enum Fields {
    /// These, where present.
    Only(&'static [&'static str]),
    /// All but the managed fields.
    All,
}

fn fields(resource: &ApiResource) -> Fields {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => Fields::Only(&[]),
        ("", "serviceaccounts") => Fields::Only(&["automountServiceAccountToken", "imagePullSecrets", "secrets"]),
        ("", "secrets") => Fields::Only(&["type"]),
        _ => Fields::All,
    }
}

/// Whether only the metadata of a resource is ever asked for: of a Secret nothing else may be read.
pub(super) fn is_metadata_alone(resource: &ApiResource) -> bool {
    (resource.group.as_str(), resource.plural.as_str()) == ("", "secrets")
}

/// The object that is kept of what the API server sent; `None` if it cannot be written as JSON, which no answer of an API server is.
pub(super) fn kept(resource: &ApiResource, object: &DynamicObject) -> Option<Object> {
    let mut sent = serde_json::to_value(object).ok()?;
    let fields = fields(resource);
    let mut metadata = sent.get_mut("metadata").map(Value::take).unwrap_or_default();
    if let Some(metadata) = metadata.as_object_mut() {
        match fields {
            Fields::Only(_) => metadata.retain(|key, _| matches!(key.as_str(), "name" | "namespace" | "uid" | "labels" | "annotations")),
            Fields::All => metadata.retain(|key, _| key != "managedFields"),
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    let mut kept = Map::new();
    kept.insert("apiVersion".into(), resource.api_version.clone().into());
    kept.insert("kind".into(), resource.kind.clone().into());
    kept.insert("metadata".into(), metadata);
    if let Value::Object(sent) = sent {
        let wanted = |key: &str| match fields {
            Fields::Only(only) => only.contains(&key),
            Fields::All => true,
        };
        for (key, value) in sent {
            if wanted(&key) {
                kept.entry(key).or_insert(value);
            }
        }
    }
    Object::from_serialize(&kept).ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
    use kube::core::GroupVersionKind;

    use super::*;

    fn kept_of(resource: &ApiResource, text: &str) -> String {
        kept(resource, &serde_json::from_str(text).unwrap()).unwrap().root().to_json()
    }

    #[test]
    fn a_namespace_is_its_labels_and_annotations() {
        let text = r#"{"metadata":{"name":"a","uid":"u","labels":{"x":"y"},"managedFields":[{"manager":"m"}],"resourceVersion":"7",
            "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","linkerd.io/inject":"enabled"}},
            "spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}}"#;
        assert_eq!(
            kept_of(&ApiResource::erase::<Namespace>(&()), text),
            r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"annotations":{"linkerd.io/inject":"enabled"},"labels":{"x":"y"},"name":"a","uid":"u"}}"#
        );
    }

    #[test]
    fn a_service_account_keeps_what_makes_tokens() {
        let text = r#"{"metadata":{"name":"a","namespace":"n"},"automountServiceAccountToken":false,"secrets":[{"name":"s"}]}"#;
        assert_eq!(
            kept_of(&ApiResource::erase::<ServiceAccount>(&()), text),
            r#"{"apiVersion":"v1","automountServiceAccountToken":false,"kind":"ServiceAccount","metadata":{"name":"a","namespace":"n"},"secrets":[{"name":"s"}]}"#
        );
    }

    #[test]
    fn the_data_of_a_secret_is_never_kept() {
        let text =
            r#"{"metadata":{"name":"a","namespace":"n"},"type":"Opaque","data":{"password":"aHVudGVyMg=="},"stringData":{"x":"hunter2"}}"#;
        assert_eq!(
            kept_of(&ApiResource::erase::<Secret>(&()), text),
            r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","namespace":"n"},"type":"Opaque"}"#
        );
    }

    #[test]
    fn another_kind_is_kept_without_its_managed_fields() {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("spire.spiffe.io", "v1alpha1", "ClusterSPIFFEID"));
        let text = r#"{"metadata":{"name":"a","managedFields":[{"manager":"m"}]},"spec":{"fallback":true}}"#;
        assert_eq!(
            kept_of(&resource, text),
            r#"{"apiVersion":"spire.spiffe.io/v1alpha1","kind":"ClusterSPIFFEID","metadata":{"name":"a"},"spec":{"fallback":true}}"#
        );
    }
}
