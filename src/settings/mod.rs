//! What the operator sets: `doorward.yaml`, typed, with every default written down once. Rules see it whole as `params`.
//!
//! - `parameters`: the fields, of which `spiffe` and `mesh` hold their own
//! - `reading`: from a document to them, and what follows from several together
//! - `defaults`: their defaults
//! - `agent_image`: which images are the injected agent's
//! - `check`: what a file may not say although it has the right shape
//! - `check_injection`: the same of what is injected
//! - `shape`: lists and numbers that serde would take for what they are not
//! - `built_in_roles`: the roles that Kubernetes makes for itself
//! - `enforcement`: presets, and which enforcement holds for a rule in a namespace
//! - `exemption`: who is free of which rules
//! - `native_sidecar`: whether the agent is a native sidecar
//! - `previous`: the settings before, while others roll out
//! - `listed_template`: kinds of others' that carry a pod template
//! - `grantee`: who is of a class that only the operator gives
//! - `described`: holds the descriptions to the truth, and makes `docs/settings.md` of them (in tests)
//!
//! An unset trust domain turns the SPIFFE rules off, an unset `mesh.kind` is `none`, an unset Vault address turns the agent
//! injection off: example values are never defaults.

mod agent_image;
mod built_in_roles;
mod check;
mod check_injection;
mod defaults;
#[cfg(test)]
mod described;
mod enforcement;
mod exemption;
mod grantee;
mod listed_template;
mod mesh;
mod native_sidecar;
mod parameters;
mod previous;
mod reading;
mod shape;
mod spiffe;

pub use enforcement::{Enforcement, EnforcementOverride, InNamespace, Preset, RolloutStep};
pub use exemption::{Exemption, ExemptionGroup};
pub use grantee::{Classes, Grantee};
pub use listed_template::ListedTemplate;
pub use mesh::{Mesh, MeshKind};
pub use native_sidecar::NativeSidecar;
pub use parameters::{
    Agent, AgentRequest, Audience, Cloud, Cluster, ConfigMode, Delegation, Federation, KubeApi, Metrics, OnMissingRelated, PodCertificate,
    Rbac, Resources, Settings, Ttl, Vault, VaultCsi, Waiver,
};
pub use previous::Previous;
pub use spiffe::{Spiffe, SpiffeRegistration};

/// JSON Schema (draft 2020-12) of `doorward.yaml`: also what `params` is when policies are type-checked.
pub const SCHEMA: &str = include_str!("settings.schema.json");

#[cfg(test)]
mod tests {
    use super::{SCHEMA, Settings};

    #[test]
    fn the_committed_schema_is_the_types_own() {
        let generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
        let mut schema = generator.into_root_schema_for::<Settings>();
        schema.insert("title".into(), "Doorward settings (doorward.yaml)".into());
        let generated = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/settings/settings.schema.json"), &generated).unwrap();
        }
        assert_eq!(SCHEMA, generated, "the committed schema is old: run this test with UPDATE_SCHEMA=1, then once more");
    }
}
