//! The Secrets Store CSI driver: a `SecretProviderClass` of the Vault provider (`secrets-store.csi.x-k8s.io/v1`), whose parameters are
//! strings of the provider's own.

use super::super::vault::access::{Access, Who};
use crate::object::Node;

/// Reads a class. Whichever pod mounts it logs in as itself, so the role must be that of some ServiceAccount of the namespace.
pub(super) fn read<'a>(object: Node<'a>, namespace: &'a str, access: &mut Access<'a>) {
    let Some(spec) = object.get("spec").filter(|spec| matches!(spec.text("provider"), "vault" | "openbao")) else { return };
    let at = |key: &str| format!("spec.parameters[{key}]");
    let parameter = |key: &str| spec.path(&["parameters", key]).filter(|value| value.as_str().is_some_and(|value| !value.is_empty()));
    let text = |key: &str| parameter(key).and_then(Node::as_str);
    if let Some(address) = text("vaultAddress") {
        access.address(address, at("vaultAddress"));
    }
    if text("vaultSkipTLSVerify").is_some_and(|value| matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True")) {
        access.unverified("vaultSkipTLSVerify", at("vaultSkipTLSVerify"));
    }
    let key = ["vaultKubernetesMountPath", "vaultAuthMountPath"].into_iter().find(|key| text(key).is_some());
    let (mount, key) = key.map_or(("kubernetes", "vaultKubernetesMountPath"), |key| (text(key).unwrap_or_default(), key));
    access.method("kubernetes", false, at(key));
    access.mount(mount, at(key));
    if let Some(role) = text("roleName") {
        access.role(role, Who { namespace, service_account: None }, at("roleName"));
    }
    // Unset, the provider asks for the audience `vault`.
    if let Some(audience) = parameter("audience") {
        access.audiences(std::iter::once(audience), at("audience"));
    }
}
