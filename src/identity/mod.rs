//! A pod read as an identity: what it can obtain, who it will be, whether the mesh carries it, how it logs in to Vault.
//!
//! - `surroundings`: what beside the template decides that
//! - `mount_path`: the one type for paths inside a container

mod mount_path;
mod surroundings;

pub use mount_path::{MountPath, Relation};
pub use surroundings::{Class, Surroundings};
