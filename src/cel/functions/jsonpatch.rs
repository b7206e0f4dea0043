//! What the paths of a JSON Patch need; Kubernetes has it in the expressions of a `MutatingAdmissionPolicy` only.

use super::{Context, Cost, Function, GLOBAL, no_such_overload, row};
use crate::cel::evaluate::Outcome;
use crate::cel::types::Type;
use crate::cel::value::Value;

use Type::String as Str;

pub(super) const FUNCTIONS: &[Function] = &[row(
    "jsonpatch.escapeKey",
    GLOBAL,
    &[Str],
    Str,
    Cost::Size(0, 1.0),
    "1.32",
    "a key as a part of a path: ~0 for ~, ~1 for /",
    escape_key,
)];

/// RFC 6901, section 3.
fn escape_key<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("jsonpatch.escapeKey", arguments) };
    Ok(Value::string(text.as_str().replace('~', "~0").replace('/', "~1")))
}
