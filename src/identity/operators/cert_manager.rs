//! cert-manager: Issuer and `ClusterIssuer` that have certificates signed by Vault (`cert-manager.io/v1`).

use super::super::vault::access::Access;
use crate::object::Node;

/// Where cert-manager logs in unless it is told.
const DEFAULT_MOUNT: &str = "/v1/auth/kubernetes";

/// Reads an issuer. Its tokens always have an audience of its own, `vault://<namespace>/<issuer>`, so audiences are no question. The role
/// it logs in as is an issuer's, not a workload's.
pub(super) fn read<'a>(object: Node<'a>, access: &mut Access<'a>) {
    let Some(vault) = object.path(&["spec", "vault"]) else { return };
    if let Some(server) = vault.get("server").and_then(Node::as_str) {
        access.address(server, "spec.vault.server".into());
    }
    let Some(auth) = vault.get("auth") else { return };
    for (field, method) in [("tokenSecretRef", "token"), ("appRole", "approle"), ("clientCertificate", "cert"), ("aws", "aws")] {
        if auth.get(field).is_some() {
            access.method(method, false, format!("spec.vault.auth.{field}"));
        }
    }
    if let Some(kubernetes) = auth.get("kubernetes") {
        access.method("kubernetes", false, "spec.vault.auth.kubernetes".into());
        let mount = kubernetes.get("mountPath").and_then(Node::as_str).unwrap_or(DEFAULT_MOUNT);
        access.mount(mount, "spec.vault.auth.kubernetes.mountPath".into());
        if kubernetes.get("secretRef").is_some() {
            access.secret("kubernetes.secretRef", "spec.vault.auth.kubernetes.secretRef".into());
        }
    }
}
