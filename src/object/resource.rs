//! Names of kinds and resources, in Kubernetes' words.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::tree::Node;

/// Group, version and kind of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupVersionKind {
    /// API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// API version, such as `v1`.
    pub version: String,
    /// Kind, such as `Pod`.
    pub kind: String,
}

impl GroupVersionKind {
    /// A kind by its three parts.
    #[must_use]
    pub fn new(group: &str, version: &str, kind: &str) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// The kind that an object says it is, by its `apiVersion` and `kind`; `None` if one of them is missing.
    #[must_use]
    pub fn of(object: Node<'_>) -> Option<Self> {
        let api_version = object.get("apiVersion")?.as_str()?;
        let kind = object.get("kind")?.as_str()?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        (!kind.is_empty() && !version.is_empty()).then(|| Self::new(group, version, kind))
    }

    /// `apps/v1`, or `v1` for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

impl fmt::Display for GroupVersionKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.api_version(), self.kind)
    }
}

/// Group, version and resource (the plural name that a URL holds).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupVersionResource {
    /// API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// API version, such as `v1`.
    pub version: String,
    /// Resource, such as `pods`.
    pub resource: String,
}

impl GroupVersionResource {
    /// A resource by its three parts.
    #[must_use]
    pub fn new(group: &str, version: &str, resource: &str) -> Self {
        Self { group: group.into(), version: version.into(), resource: resource.into() }
    }
}

/// The resource of a kind: the server's own answer for the kinds that do not follow the rule, else the rule that Kubernetes'
/// `meta.UnsafeGuessKindToResource` follows (lower case and plural). Manifests name kinds only, rules match resources.
#[must_use]
pub fn resource_of(kind: &str) -> String {
    let lower = kind.to_ascii_lowercase();
    if lower == "endpoints" {
        return lower;
    }
    if let Some(stem) = lower.strip_suffix('y')
        && !stem.ends_with(['a', 'e', 'i', 'o', 'u'])
    {
        return format!("{stem}ies");
    }
    if lower.ends_with('s') || lower.ends_with('x') || lower.ends_with("ch") || lower.ends_with("sh") {
        return format!("{lower}es");
    }
    format!("{lower}s")
}

/// Whether a kind of the groups that Doorward knows lives outside namespaces; what is not listed is taken to be namespaced.
#[must_use]
pub fn is_cluster_scoped(kind: &GroupVersionKind) -> bool {
    let listed: &[&str] = match kind.group.as_str() {
        "" => &["Namespace", "Node", "PersistentVolume"],
        "rbac.authorization.k8s.io" => &["ClusterRole", "ClusterRoleBinding"],
        "spire.spiffe.io" => &["ClusterSPIFFEID", "ClusterStaticEntry", "ClusterFederatedTrustDomain"],
        "external-secrets.io" => &["ClusterSecretStore", "ClusterExternalSecret"],
        "generators.external-secrets.io" => &["ClusterGenerator"],
        "cert-manager.io" => &["ClusterIssuer"],
        "apiextensions.k8s.io" => &["CustomResourceDefinition"],
        "storage.k8s.io" => &["StorageClass", "CSIDriver", "CSINode", "VolumeAttachment"],
        "scheduling.k8s.io" => &["PriorityClass"],
        "certificates.k8s.io" => &["CertificateSigningRequest"],
        "admissionregistration.k8s.io" => &[
            "MutatingWebhookConfiguration",
            "ValidatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
        ],
        "doorward.dev" => &["IdentityPolicy", "InjectionPolicy", "IdentityWaiver"],
        _ => &[],
    };
    listed.contains(&kind.kind.as_str())
}

/// The namespace that an object will be in: its own, or none for a cluster-scoped kind, or the one given.
#[must_use]
pub fn namespace_of<'a>(object: Node<'a>, kind: &GroupVersionKind, default_namespace: &'a str) -> &'a str {
    match object.get("metadata").map(|metadata| metadata.text("namespace")) {
        Some(namespace) if !namespace.is_empty() => namespace,
        _ if is_cluster_scoped(kind) => "",
        _ => default_namespace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_resources_as_kubernetes_does() {
        let pairs = [
            ("Pod", "pods"),
            ("NetworkPolicy", "networkpolicies"),
            ("Gateway", "gateways"),
            ("Ingress", "ingresses"),
            ("StorageClass", "storageclasses"),
            ("Endpoints", "endpoints"),
            ("ClusterSPIFFEID", "clusterspiffeids"),
        ];
        for (kind, resource) in pairs {
            assert_eq!(resource_of(kind), resource);
        }
    }
}
