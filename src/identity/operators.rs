//! Kinds without a pod template that hold credentials, or log in to hand them out, read as identities: stores of the External Secrets
//! Operator and its generators, cert-manager's issuers, the Vault Secrets Operator, the Secrets Store CSI driver, Tekton's kinds,
//! routes, and Secrets and `ConfigMap`s themselves.

mod cert_manager;
mod external_secrets;
mod secrets_store;
mod vault_secrets_operator;

use serde::Serialize;

use super::object_identity::ObjectIdentity;
use super::vault::Named;
use super::vault::access::Access;
use super::{environment, material};
use crate::object::{GroupVersionKind, Node};
use crate::settings::Settings;

/// As what a secret store, or a generator of credentials, acts towards its provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretStore<'a> {
    /// Providers for which no ServiceAccount is named, so that the secret operator acts as itself.
    pub ambient: Vec<Named<'a>>,
    /// Static credentials that are handed to a provider.
    pub secrets: Vec<Named<'a>>,
}

/// Reads an object of one of these kinds; `None` for any other kind.
pub(super) fn read<'a>(
    kind: &GroupVersionKind,
    object: Node<'a>,
    namespace: &'a str,
    settings: &'a Settings,
) -> Option<ObjectIdentity<'a>> {
    let mut identity = ObjectIdentity::default();
    let mut access = Access::new(settings, false);
    match kind.group.as_str() {
        "" if matches!(kind.kind.as_str(), "Secret" | "ConfigMap") => identity.credential_material = material::of_data(kind, object),
        "gateway.networking.k8s.io" | "policy.linkerd.io" if kind.kind == "HTTPRoute" => {
            identity.credential_material = material::of_spec(object);
        }
        "tekton.dev" => identity.static_credentials = environment::of_embedded(object, &settings.credential_env_names),
        "external-secrets.io" | "generators.external-secrets.io" => {
            let mut store = SecretStore::default();
            external_secrets::read(&kind.kind, object, namespace, &mut access, &mut store);
            identity.store = Some(store);
        }
        "cert-manager.io" => cert_manager::read(object, &mut access),
        "secrets.hashicorp.com" => vault_secrets_operator::read(&kind.kind, object, namespace, &mut access),
        "secrets-store.csi.x-k8s.io" => secrets_store::read(object, namespace, &mut access),
        _ => return None,
    }
    identity.vault_access = access.finish();
    Some(identity)
}

#[cfg(test)]
mod tests;
