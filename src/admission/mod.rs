//! The wire contract with the API server.
//!
//! - `review`: bytes to a [`Review`] and its subject
//! - `decide`: a subject and its facts to a [`Decision`]
//! - `related_names`: what of it a caller that is not verified is not told
//! - `reply`: a decision to bytes
//! - `record`: what is recorded of a decision
//! - `coverage`: [`Coverage`], what the loaded policies look at, and in which class of webhook entry each resource belongs
//! - `configuration`: the webhook configurations as a pure function of an [`Installation`] and a [`Coverage`]

mod configuration;
mod coverage;
mod decide;
mod record;
mod related_names;
mod reply;
mod review;

pub use configuration::{
    CONFIGURATION_NAME, Installation, MUTATE_PATH, OnFailure, Target, VALIDATE_NATIVE_PATH, VALIDATE_PATH, configurations,
};
pub use coverage::{Coverage, Covered, Operation};
pub use decide::{Decision, decide};
pub use record::{Circumstances, injection_result, record};
pub use reply::encode;
pub use review::{Review, ReviewError, decode};
