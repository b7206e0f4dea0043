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
//! - `identity_mounts`: which containers hold an identity
//! - `grants`: what a role grants, and whom a binding means
//! - `listed_secrets`: the Secrets that a `ServiceAccount` lists
//! - `object_identity`: the models of objects that carry no pod template
//! - `mesh`: whether the mesh carries it, with proof
//! - `vault`: whether and how it logs in to Vault

mod credentials;
#[cfg(test)]
mod fixture;
mod grants;
mod identity_mounts;
#[cfg(test)]
mod laws;
mod listed_secrets;
mod mesh;
mod model;
mod mount_path;
mod mounts;
mod object_identity;
mod plugin_volume;
mod secret_name;
mod service_account;
mod surroundings;
mod vault;

pub use grants::{GrantSubject, GrantedPower, GrantingRule, Grants, Power, SubjectKind};
pub use listed_secrets::ListedSecret;
pub use model::{
    ApiToken, ApiTokenSource, Certainty, Conflict, Credential, CredentialKind, Holder, Identity, IdentityMount, InjectionState, Login,
    MeshAnswer, MeshState, VaultLogin, VaultToken,
};
pub use mount_path::{MountPath, Relation};
pub use object_identity::{ObjectIdentity, read_object};
pub use plugin_volume::is_plugin_token_volume;
pub use service_account::Automount;
pub use surroundings::{Class, Surroundings};

use crate::object::PodTemplate;

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
    let mounts = identity_mounts::read(template, surroundings.settings, &credentials, &vault);
    Identity {
        namespace: surroundings.namespace,
        service_account,
        class: surroundings.class,
        spiffe_id: surroundings.settings.expected_spiffe_id(surroundings.namespace, service_account),
        api_token,
        credentials,
        mounts,
        mesh,
        vault,
        injections: Vec::new(),
        workload: std::borrow::Cow::Borrowed(""),
        neighbours: Vec::new(),
    }
}
