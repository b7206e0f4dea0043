//! A pod read as an identity: what it can obtain, who it will be, whether the mesh carries it, how it logs in to Vault.
//!
//! - `surroundings`: what beside the template decides that
//! - `model`: the identity as data
//! - `pod`: the template, each field of its containers looked up once
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
//! - `environment`: static credentials in the environment of containers
//! - `expansion`: variables that refer to others
//! - `detect`: credentials recognised by their shape
//! - `material`: where they are written down
//! - `operators`: kinds without a pod template that hold or hand out credentials
//! - `registration`: what a registration object lets SPIRE issue, and the entries of a pod
//! - `signing_request`: what a request for a certificate asks for

mod credentials;
mod detect;
mod environment;
mod expansion;
#[cfg(test)]
mod fixture;
mod grants;
mod identity_mounts;
#[cfg(test)]
mod laws;
mod listed_secrets;
mod material;
mod mesh;
mod model;
mod mount_path;
mod mounts;
mod object_identity;
mod operators;
mod plugin_volume;
mod pod;
mod registration;
mod secret_name;
mod service_account;
mod signing_request;
mod surroundings;
mod vault;

pub use credentials::TOKEN_DIRECTORY;
pub use detect::Detector;
pub use environment::{StaticCredential, StaticSource};
pub use grants::{GrantSubject, GrantedPower, GrantingRule, Grants, Power, SubjectKind};
pub use listed_secrets::ListedSecret;
pub use material::CredentialMaterial;
pub use model::{
    ApiToken, ApiTokenSource, Certainty, Conflict, Credential, CredentialKind, Holder, Identity, IdentityMount, InjectionState, Login,
    MeshAnswer, MeshFinding, MeshState, MeshVector, NamespaceMesh, VaultLogin, VaultToken,
};
pub use mount_path::{MountPath, Relation};
pub use object_identity::{ObjectIdentity, read_object};
pub use operators::SecretStore;
pub use plugin_volume::is_plugin_token_volume;
pub use registration::{
    EntryState, Issuance, IssuanceAnswer, Registration, RegistrationEntry, RegistrationFinding, RegistrationProblem, issuance,
};
pub use secret_name::KnownSecrets;
pub use service_account::Automount;
pub use signing_request::SigningRequest;
pub use surroundings::{Beside, Class, Surroundings};
pub use vault::{
    AgentShape, AuthMethod, AuthMount, DENIED_FUNCTIONS, Named, TemplateFlaw, TokenAudiences, TokenSeconds, UnreadConfig, VaultAccess,
    VaultAddress, VaultRole, check_template, check_template_between,
};

use std::borrow::Cow;
use std::collections::BTreeSet;

use pod::Pod;

use crate::object::{Node, PodTemplate};
use crate::settings::Settings;

/// JSON Schema of an [`Identity`] as rules see it.
pub const SCHEMA: &str = include_str!("identity.schema.json");

/// Credentials in the annotations of a workload itself, beside those of its pod template.
#[must_use]
pub fn workload_material(workload: Node<'_>) -> Vec<CredentialMaterial> {
    material::of_annotations(workload)
}

/// The `ConfigMaps` of the namespace that the agents of a pod take their configuration from: what is fetched to judge it.
#[must_use]
pub fn agent_config_maps<'a>(template: PodTemplate<'a>, settings: &Settings, namespace: &str) -> BTreeSet<&'a str> {
    vault::config_maps(template, settings, namespace)
}

/// Reads a pod template once into what it can obtain and who it will be. Linear in the template; never fails: what cannot be known is
/// said to be unknown.
#[must_use]
pub fn read<'a>(template: PodTemplate<'a>, surroundings: &Surroundings<'a>) -> Identity<'a> {
    let pod = Pod::of(template);
    let service_account = pod.service_account;
    let automount = Automount::of(template, surroundings.service_account);
    let credentials = credentials::read(&pod, surroundings, automount);
    let api_token = credentials::api_token(&pod, &credentials, automount);
    let mesh = mesh::read(&pod, surroundings, &credentials);
    let settings = surroundings.settings;
    let (vault, vault_access) = vault::read(&pod, surroundings, &credentials);
    let granted_class = surroundings.granted(service_account);
    let mounts = identity_mounts::read(&pod, settings, &credentials, &vault);
    let static_credentials = environment::of_pod(&pod, &settings.credential_env_names, vault.client);
    Identity {
        namespace: surroundings.namespace,
        service_account,
        // A Job ends, whoever it is.
        class: if surroundings.class == Class::Job { Class::Job } else { granted_class.unwrap_or(surroundings.class) },
        granted_class,
        spiffe_id: settings.expected_spiffe_id(surroundings.namespace, service_account),
        former_spiffe_id: settings.before().and_then(|before| before.expected_spiffe_id(surroundings.namespace, service_account)),
        api_token,
        credentials,
        mounts,
        mesh,
        vault,
        vault_access,
        vendor_annotations: vault::unlisted_annotations(&pod, settings),
        static_credentials,
        credential_material: material::of_pod(&pod),
        injections: Cow::Borrowed(&[]),
        workload: Cow::Borrowed(""),
        workload_material: Vec::new(),
        neighbours: Vec::new(),
    }
}
