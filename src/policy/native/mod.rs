//! Kubernetes' own policies: `ValidatingAdmissionPolicy` and its bindings, taken in wherever an `IdentityPolicy` is, and made of one.
//!
//! A native policy becomes an [`IdentityPolicy`](super::IdentityPolicy) of one rule that sees VAP's variables and no other, with a
//! list of bindings: the one engine evaluates both.
//!
//! - `schema`: the two kinds as they are written
//! - `compile`: documents to policies, with what the API server would refuse refused
//! - `parameters`: [`ParameterQuery`], the objects that `paramRef` names
//! - `export`: [`export`], an `IdentityPolicy` as native policies
//! - `judge`: one evaluation a binding and parameter
//! - `typed`: a policy against the schemas of the kinds that it selects

mod compile;
mod export;
mod judge;
mod parameters;
mod schema;
#[cfg(test)]
mod tests;
mod typed;

pub(super) use compile::{Binding, CompiledAnnotation, NativePolicy, WrittenBinding, is_native};
pub use export::{Export, ExportedPolicy, Omission, export};
pub use parameters::ParameterQuery;
pub(super) use schema::{BINDING, POLICY};
pub(super) use typed::{TypedPolicy, param_kind_of};
