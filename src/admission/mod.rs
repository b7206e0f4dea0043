//! The wire contract with the API server.
//!
//! - `coverage`: [`Coverage`], what the loaded policies look at, and in which class of webhook entry each resource belongs
//! - `configuration`: the webhook configurations as a pure function of an [`Installation`] and a [`Coverage`]

mod configuration;
mod coverage;

pub use configuration::{CONFIGURATION_NAME, Installation, MUTATE_PATH, OnFailure, Target, VALIDATE_PATH, configurations};
pub use coverage::{Coverage, Covered, Operation};
