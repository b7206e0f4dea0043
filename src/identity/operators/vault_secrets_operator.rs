//! The Vault Secrets Operator: `VaultConnection`, `VaultAuth` and `VaultAuthGlobal` (`secrets.hashicorp.com/v1beta1`).

use super::super::vault::access::{Access, Who};
use crate::object::Node;

/// Reads an object of one of these kinds.
pub(super) fn read<'a>(kind: &str, object: Node<'a>, namespace: &'a str, access: &mut Access<'a>) {
    let Some(spec) = object.get("spec") else { return };
    match kind {
        "VaultConnection" => {
            if let Some(address) = spec.get("address").and_then(Node::as_str) {
                access.address(address, "spec.address".into());
            }
            if spec.get("skipTLSVerify").and_then(Node::as_bool) == Some(true) {
                access.unverified("skipTLSVerify", "spec.skipTLSVerify".into());
            }
        }
        "VaultAuth" => {
            // What a VaultAuthGlobal says stands there.
            let inherits = spec.get("vaultAuthGlobalRef").is_some();
            if spec.text("method").is_empty() && inherits {
                login(spec, None, true, namespace, access);
            } else {
                access.method(spec.text("method"), false, "spec.method".into());
                let mount = spec.get("mount").and_then(Node::as_str).or((!inherits).then_some("kubernetes"));
                let mount = mount.filter(|_| spec.text("method") == "kubernetes");
                login(spec, mount.map(|mount| (mount, "spec.mount")), inherits, namespace, access);
            }
        }
        "VaultAuthGlobal" => {
            let method = spec.text("defaultAuthMethod");
            if !method.is_empty() {
                access.method(method, false, "spec.defaultAuthMethod".into());
            }
            let own = spec.path(&["kubernetes", "mount"]).and_then(Node::as_str).map(|mount| (mount, "spec.kubernetes.mount"));
            let default = spec.get("defaultMount").and_then(Node::as_str).map(|mount| (mount, "spec.defaultMount"));
            let of_kubernetes = spec.get("kubernetes").is_some() || method == "kubernetes";
            login(spec, own.or(default).filter(|_| of_kubernetes), true, namespace, access);
        }
        _ => {}
    }
}

/// The ServiceAccount is one of the namespace in which a secret is synchronised; by default that is the object's own. What one half of a
/// configuration leaves out the other may say.
fn login<'a>(spec: Node<'a>, mount: Option<(&'a str, &str)>, half: bool, namespace: &'a str, access: &mut Access<'a>) {
    if let Some((mount, at)) = mount {
        access.mount(mount, at.to_owned());
    }
    for method in ["kubernetes", "jwt"] {
        let Some(login) = spec.get(method) else { continue };
        let account = Some(login.text("serviceAccount")).filter(|name| !name.is_empty());
        if let Some(role) = login.get("role").and_then(Node::as_str).filter(|role| !role.is_empty()) {
            access.role(role, Who { namespace, service_account: account }, format!("spec.{method}.role"));
        }
        if login.get("secretRef").is_some() {
            access.secret("jwt.secretRef", format!("spec.{method}.secretRef"));
        } else if !half || login.list("audiences").len() > 0 {
            access.audiences(login.list("audiences"), format!("spec.{method}.audiences"));
        }
        access.seconds(login.get("tokenExpirationSeconds"), format!("spec.{method}.tokenExpirationSeconds"));
    }
}
