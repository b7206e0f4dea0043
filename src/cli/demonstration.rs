//! What `serve` knows when it is given neither a cluster nor settings: enough for every built-in rule to have something to say.

use crate::manifest::{self, Document};

/// Namespaces and ServiceAccounts of the demonstration: `payments` is meshed, `payments-inject` asks for every injection too, and SPIRE
/// registers every pod.
const OBJECTS: &str = "\
apiVersion: v1
kind: Namespace
metadata:
  name: payments
  labels: {kubernetes.io/metadata.name: payments, pod-security.kubernetes.io/enforce: restricted}
  annotations: {linkerd.io/inject: enabled, config.linkerd.io/default-inbound-policy: all-authenticated}
---
apiVersion: v1
kind: Namespace
metadata:
  name: payments-inject
  labels:
    kubernetes.io/metadata.name: payments-inject
    pod-security.kubernetes.io/enforce: restricted
    inject.doorward.dev/automount-off: 'true'
    inject.doorward.dev/vault-token: 'true'
    inject.doorward.dev/vault-agent: 'true'
    inject.doorward.dev/spiffe-csi: 'true'
    inject.doorward.dev/spiffe-id: 'true'
  annotations: {linkerd.io/inject: enabled, config.linkerd.io/default-inbound-policy: all-authenticated}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: api, namespace: payments}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: api, namespace: payments-inject}
---
apiVersion: spire.spiffe.io/v1alpha1
kind: ClusterSPIFFEID
metadata: {name: every-pod}
spec: {spiffeIDTemplate: 'spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}'}
";

/// A review that is refused: a pod on the `default` ServiceAccount in the node's network.
const REVIEW: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"0b4c9d5e-0000-4000-8000-000000000001","kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE","namespace":"payments","name":"web","userInfo":{"username":"you"},"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"payments"},"spec":{"serviceAccountName":"default","hostNetwork":true,"containers":[{"name":"web","image":"nginx"}]}}}}"#;

/// The objects.
pub(super) fn objects() -> Vec<Document> {
    manifest::load("<demonstration>", OBJECTS).documents
}

/// A command that gets a refusal from a server at this address.
pub(super) fn curl(address: std::net::SocketAddr) -> String {
    format!("curl -sk https://{address}/validate -H 'Content-Type: application/json' -d '{REVIEW}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objects_are_what_they_say() {
        let kinds: Vec<String> = objects().iter().map(|document| document.object.root().text("kind").to_owned()).collect();
        assert_eq!(kinds, ["Namespace", "Namespace", "ServiceAccount", "ServiceAccount", "ClusterSPIFFEID"]);
        assert!(crate::admission::decode(REVIEW.as_bytes().to_vec()).is_ok());
    }
}
