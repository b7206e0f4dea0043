//! What rules see as `identity` of an object that carries no pod template.

use serde::Serialize;

use super::environment::StaticCredential;
use super::grants::{self, Grants};
use super::listed_secrets::{self, ListedSecret};
use super::material::CredentialMaterial;
use super::mesh;
use super::model::NamespaceMesh;
use super::operators::{self, SecretStore};
use super::registration::{self, Registration};
use super::secret_name::KnownSecrets;
use super::signing_request::{self, SigningRequest};
use super::vault::VaultAccess;
use crate::object::{GroupVersionKind, Node};
use crate::settings::Settings;

/// Such an object as data: what its kind has to say, each under its name. Lists are always there.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectIdentity<'a> {
    /// What a role grants, and whom a binding means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<Grants<'a>>,
    /// The Secrets that a `ServiceAccount` lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<ListedSecret<'a>>>,
    /// What a registration object lets SPIRE issue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration<'a>>,
    /// What a request for a certificate asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_request: Option<SigningRequest>,
    /// What a Namespace hands down to its pods of the mesh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh: Option<NamespaceMesh>,
    /// How it reaches Vault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault_access: Option<VaultAccess<'a>>,
    /// What a store or a generator acts as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<SecretStore<'a>>,
    /// Static credentials in the environments that it embeds.
    pub static_credentials: Vec<StaticCredential<'a>>,
    /// Credentials that are written into it.
    pub credential_material: Vec<CredentialMaterial>,
}

/// Reads an object that carries no pod template; `None` for a kind that has no model. Only the kinds that have one cost anything.
#[must_use]
pub fn read_object<'a>(
    kind: &GroupVersionKind,
    object: Node<'a>,
    namespace: &'a str,
    settings: &'a Settings,
    token_secrets: &'a KnownSecrets,
) -> Option<ObjectIdentity<'a>> {
    let mut identity = ObjectIdentity::default();
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "ServiceAccount") => identity.secrets = Some(listed_secrets::read(object, token_secrets)),
        ("", "Namespace") => identity.mesh = Some(mesh::of_namespace(object, &settings.mesh)?),
        ("rbac.authorization.k8s.io", _) => identity.grants = Some(grants::read(kind, object, namespace)?),
        ("spire.spiffe.io", "ClusterSPIFFEID") => identity.registration = Some(registration::templated(object, settings)),
        ("spire.spiffe.io", "ClusterStaticEntry") => identity.registration = Some(registration::fixed(object, settings)),
        ("cert-manager.io", "CertificateRequest") | ("certificates.k8s.io", "CertificateSigningRequest") => {
            identity.signing_request = Some(signing_request::read(object));
        }
        _ => return operators::read(kind, object, namespace, settings),
    }
    Some(identity)
}
