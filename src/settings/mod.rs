//! What the operator sets: `doorward.yaml`, typed, with every default written down once. Rules see it whole as `params`.
//!
//! - `parameters`: the fields
//! - `defaults`: their defaults
//! - `enforcement`: presets, and which enforcement holds for a rule in a namespace
//! - `exemption`: who is free of which rules
//!
//! An unset trust domain turns the SPIFFE rules off, an unset `mesh.kind` is `none`, an unset Vault address turns the agent
//! injection off: example values are never defaults.

mod defaults;
mod enforcement;
mod exemption;
mod parameters;

pub use enforcement::{Enforcement, EnforcementOverride, Preset};
pub use exemption::{Exemption, ExemptionGroup};
pub use parameters::{
    Agent, Audience, Cloud, Cluster, ConfigMode, Delegation, Federation, KubeApi, Mesh, MeshKind, OnMissingRelated, PodCertificate,
    Resources, Settings, Spiffe, SpiffeRegistration, Ttl, Vault, Waiver,
};

/// The JSON Schema of the settings: what `params` is when policies are type-checked.
pub const SCHEMA: &str = include_str!("settings.schema.json");

#[cfg(test)]
mod tests {
    use super::{SCHEMA, Settings};

    #[test]
    fn the_schema_is_that_of_the_fields() {
        let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
        let generated = serde_json::to_string_pretty(&settings.into_generator().into_root_schema_for::<Settings>()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/settings/settings.schema.json"), &generated).unwrap();
        }
        assert_eq!(SCHEMA, generated, "the committed schema is old: run this test with UPDATE_SCHEMA=1, then once more");
    }
}
