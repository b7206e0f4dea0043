//! What the operator sets: `doorward.yaml`, typed, with every default written down once. Rules see it whole as `params`.
//!
//! - `parameters`: the fields
//! - `defaults`: their defaults
//! - `check`: what a file may not say although it has the right shape
//! - `built_in_roles`: the roles that Kubernetes makes for itself
//! - `enforcement`: presets, and which enforcement holds for a rule in a namespace
//! - `exemption`: who is free of which rules
//!
//! An unset trust domain turns the SPIFFE rules off, an unset `mesh.kind` is `none`, an unset Vault address turns the agent
//! injection off: example values are never defaults.

mod built_in_roles;
mod check;
mod defaults;
mod enforcement;
mod exemption;
mod parameters;

pub use enforcement::{Enforcement, EnforcementOverride, Preset};
pub use exemption::{Exemption, ExemptionGroup};
pub use parameters::{
    Agent, Audience, Cloud, Cluster, ConfigMode, Delegation, Federation, KubeApi, Mesh, MeshKind, OnMissingRelated, PodCertificate, Rbac,
    Resources, Settings, Spiffe, SpiffeRegistration, Ttl, Vault, Waiver,
};
