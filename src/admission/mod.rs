//! The wire contract with the API server.
//!
//! - `review`: bytes to a [`Review`] and its subject
//! - `decide`: a subject and its facts to a [`Decision`]
//! - `reply`: a decision to bytes
//! - `record`: what is recorded of a decision

mod decide;
mod record;
mod reply;
mod review;

pub use decide::{Decision, decide};
pub use record::{Circumstances, injection_result, record};
pub use reply::encode;
pub use review::{Review, ReviewError, decode};
