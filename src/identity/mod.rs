//! A pod read as an identity: what it can obtain, who it will be, whether the mesh carries it, how it logs in to Vault.
//!
//! - `surroundings`: what beside the template decides that
//! - `model`: the identity as data
//! - `mount_path`: the one type for paths inside a container
//! - `mounts`: which container sees which file of which volume
//! - `secret_name`: whether a Secret is a legacy token
//! - `plugin_volume`: the ServiceAccount plugin's own token volume
//! - `service_account`: whether that plugin acts
//! - `credentials`: every door by which a pod obtains a credential
//! - `mesh`: whether the mesh carries it, with proof
//! - `vault`: whether and how it logs in to Vault
//!
//! Objects without a pod that make or hand out identities are read too, one model each:
//!
//! - `registration`: what a registration object lets SPIRE issue
//! - `signing_request`: what a request for a certificate asks for

mod credentials;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod laws;
mod mesh;
mod model;
mod mount_path;
mod mounts;
mod plugin_volume;
mod registration;
mod secret_name;
mod service_account;
mod signing_request;
mod surroundings;
mod vault;

pub use model::{
    ApiToken, ApiTokenSource, Certainty, Conflict, Credential, CredentialKind, Identity, InjectionState, Login, MeshAnswer, MeshFinding,
    MeshState, MeshVector, NamespaceMesh, ObjectIdentity, VaultLogin, VaultToken,
};
pub use mount_path::{MountPath, Relation};
pub use plugin_volume::is_plugin_token_volume;
pub use registration::{Registration, RegistrationFinding, RegistrationProblem};
pub use service_account::Automount;
pub use signing_request::SigningRequest;
pub use surroundings::{Class, Surroundings};

use crate::object::{GroupVersionKind, Node, PodTemplate};
use crate::settings::Settings;

/// JSON Schema of an [`Identity`] as rules see it.
pub const SCHEMA: &str = include_str!("identity.schema.json");

/// Reads a pod template once into what it can obtain and who it will be. Linear in the template; never fails: what cannot be known is
/// said to be unknown.
#[must_use]
pub fn read<'a>(template: PodTemplate<'a>, surroundings: &Surroundings<'a>) -> Identity<'a> {
    let service_account = template.service_account_name();
    let automount = Automount::of(template, surroundings.service_account);
    let credentials = credentials::read(template, surroundings, automount);
    let api_token = credentials::api_token(template, &credentials, automount);
    let mesh = mesh::read(template, surroundings, &credentials);
    let vault = vault::read(template, surroundings.settings, &credentials);
    Identity {
        namespace: surroundings.namespace,
        service_account,
        class: surroundings.class,
        spiffe_id: surroundings.settings.expected_spiffe_id(surroundings.namespace, service_account),
        api_token,
        credentials,
        mesh,
        vault,
        injections: Vec::new(),
    }
}

/// Reads an object without a pod template; `None` for a kind of which nothing is to be read. Only the kinds that need it cost anything.
#[must_use]
pub fn read_object<'a>(kind: &GroupVersionKind, object: Node<'a>, settings: &Settings) -> Option<ObjectIdentity<'a>> {
    let mut identity = ObjectIdentity::default();
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("spire.spiffe.io", "ClusterSPIFFEID") => identity.registration = Some(registration::templated(object, settings)),
        ("spire.spiffe.io", "ClusterStaticEntry") => identity.registration = Some(registration::fixed(object, settings)),
        ("cert-manager.io", "CertificateRequest") | ("certificates.k8s.io", "CertificateSigningRequest") => {
            identity.signing_request = Some(signing_request::read(object));
        }
        ("", "Namespace") => identity.mesh = Some(mesh::of_namespace(object, &settings.mesh)?),
        _ => return None,
    }
    Some(identity)
}
