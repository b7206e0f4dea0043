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
//! - `check`: (to come) the type checker of the API server, over the intermediate form
//! - `evaluate`: the evaluator; `comprehend` its loops, `operate` its operators
//! - `value`, `collections`: [`Value`], [`List`], [`Map`]
//! - `cost`: [`Budget`], the cost limit and the deadline
//! - `functions`: the one table of functions and their rooms
//! - `error`: [`CompileError`], [`EvaluationError`]

mod collections;
mod comprehend;
mod cost;
mod error;
mod evaluate;
mod functions;
mod ir;
mod lower;
mod macros;
mod operate;
mod scope;
#[cfg(test)]
mod tests;
mod value;

pub use collections::{List, Map};
pub use cost::Budget;
pub use error::{CompileError, EvaluationError};
pub use evaluate::{Expression, Variables};
pub use scope::Scope;
pub use value::{Text, Timestamp, Value};
