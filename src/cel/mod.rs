//! Kubernetes' CEL: what the expressions of a policy mean.
//!
//! The parser is the `cel` crate's; the lowering, the evaluator and the cost accounting are our own, on the tree of
//! [`crate::object`], and speak as the API server's environment does: values, error texts and costs. `README.md` beside this file says
//! how that is held, and lists what differs.
//!
//! - `scope`: [`Scope`], the names that an expression may use
//! - `lower`: text to intermediate form; the only room that knows the `cel` crate
//! - `macros`: has, all, exists, map, ... lowered to loops
//! - `ir`: the intermediate form
//! - `types`: [`Type`], what is known of a value before it is there
//! - `declared`: what the API server declares `request` and `namespaceObject` as
//! - `check`: the type checker of the API server, over the intermediate form
//! - `fold`: what is done once, after the check
//! - `settle`: what variables that never change decide, once they are known
//! - `evaluate`: the evaluator; `comprehend` its loops, `operate` its operators, `access` its fields and items
//! - `value`, `collections`, `opaque`: [`Value`], [`List`], [`Map`], [`Opaque`]
//! - `estimate`: [`Estimate`], what an expression costs at least and at most
//! - `literal`: a value as the CEL text that gives it
//! - `cost`: [`Budget`], the cost limit and the deadline
//! - `functions`: the one table of functions and their rooms
//! - `reference`: [`Reference`], functions and macros for people
//! - `error`: [`CompileError`], [`EvaluationError`]
//! - `remedy`: what to do about a mistake

mod access;
mod check;
mod collections;
mod comprehend;
mod cost;
mod declared;
mod error;
mod estimate;
mod evaluate;
mod fold;
mod functions;
mod ir;
mod literal;
mod lower;
mod macros;
mod opaque;
mod operate;
mod reference;
mod remedy;
mod scope;
mod settle;
#[cfg(test)]
mod tests;
pub mod types;
mod value;

pub use check::{Need, OPEN_ENTRY};
pub use collections::{List, Map};
pub use cost::{Budget, EXPRESSION_LIMIT};
pub(crate) use declared::{namespace_type, request_type};
pub use error::{CompileError, EvaluationError};
pub use estimate::{Estimate, RefusedConstant};
pub use evaluate::{Expression, Variables};
pub use functions::quantity::Quantity;
pub use lower::print::Replace;
pub use opaque::Opaque;
pub use reference::Reference;
pub(crate) use remedy::remedy_of_constant;
pub use scope::Scope;
pub use settle::Known;
pub use types::Type;
pub use value::{Text, Timestamp, Value};
