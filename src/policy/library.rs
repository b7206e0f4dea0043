//! The built-in library: every `policies/<id>/policy.yaml`, compiled in by `build.rs`.

/// Name and text of each built-in policy, in order of its id.
pub const POLICIES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/policies.rs"));

/// Id and README of each built-in policy, in order of its id.
pub const README: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/readme.rs"));
