//! Doorward keeps the door of a Kubernetes cluster: no pod gets in without an identity of its own.
//!
//! The rooms stand in the order in which data flows through them; imports run one way (`tests/layers.rs` holds it). ARCHITECTURE.md
//! has the plan.

pub mod admission;
pub mod cel;
#[cfg(all(feature = "serve", feature = "cli"))]
pub mod cli;
#[cfg(feature = "serve")]
pub mod cluster;
pub mod identity;
pub mod inject;
pub mod manifest;
pub mod object;
pub mod policy;
pub mod report;
#[cfg(feature = "serve")]
pub mod serve;
pub mod settings;
