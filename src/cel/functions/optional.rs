//! Optional values (Kubernetes 1.28): their functions; the syntax `.?`, `[?]` and the macros are the evaluator's.

use super::{Context, Cost, Function, GLOBAL, ITEM, METHOD, no_such_overload, row, stdlib};
use crate::cel::error::EvaluationError;
use crate::cel::evaluate::Outcome;
use crate::cel::types::{A, LIST_OF_A, LIST_OF_OPTIONAL_OF_A, OPTIONAL_OF_A, Type};
use crate::cel::value::Value;

use Cost::Call;
use Type::Bool;

pub(super) const FUNCTIONS: &[Function] = &[
    row("optional.of", GLOBAL, &[A], OPTIONAL_OF_A, Call, "1.28", "an optional that holds a value", of),
    row("optional.none", GLOBAL, &[], OPTIONAL_OF_A, Call, "1.28", "the empty optional", none),
    row("optional.ofNonZeroValue", GLOBAL, &[A], OPTIONAL_OF_A, Call, "1.28", "an optional, empty for a zero value", of_non_zero),
    row(
        "optional.unwrap",
        GLOBAL,
        &[LIST_OF_OPTIONAL_OF_A],
        LIST_OF_A,
        Call,
        "1.28",
        "the values of the optionals of a list that hold one",
        unwrap,
    ),
    row(
        "unwrapOpt",
        METHOD,
        &[LIST_OF_OPTIONAL_OF_A],
        LIST_OF_A,
        Call,
        "1.28",
        "the values of the optionals of a list that hold one",
        unwrap_opt,
    ),
    row("hasValue", METHOD, &[OPTIONAL_OF_A], Bool, Call, "1.28", "whether an optional holds a value", has_value),
    row("value", METHOD, &[OPTIONAL_OF_A], A, Call, "1.28", "the value of an optional; an error if it is empty", value),
    row("first", METHOD, &[LIST_OF_A], OPTIONAL_OF_A, Call, "1.28", "the first item as an optional", first),
    row("last", METHOD, &[LIST_OF_A], OPTIONAL_OF_A, Call, "1.28", "the last item as an optional", last),
];

fn of<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [value] = arguments else { return no_such_overload("optional.of", arguments) };
    nested(value)
}

/// Optionals may lie in each other; as deep as lists may.
fn nested<'a>(value: &Value<'a>) -> Outcome<'a> {
    if value.nesting() > 400 {
        return Err(EvaluationError::failed("value nests too deep"));
    }
    Ok(Value::some(value.clone()))
}

fn none<'a>(_: &Context<'_>, _: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Optional(None))
}

fn of_non_zero<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [value] = arguments else { return no_such_overload("optional.ofNonZeroValue", arguments) };
    let zero = match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Int(value) => *value == 0,
        Value::UInt(value) => *value == 0,
        Value::Double(value) => *value == 0.0,
        Value::String(text) => text.as_str().is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Duration(nanos) => *nanos == 0,
        Value::Timestamp(time) => time.instant() == (-62_135_596_800, 0),
        Value::Type(_) | Value::Optional(_) | Value::Opaque(_) => false,
    };
    if zero { Ok(Value::Optional(None)) } else { nested(value) }
}

fn unwrap<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    values(context, "optional.unwrap", arguments)
}

fn unwrap_opt<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    values(context, "unwrapOpt", arguments)
}

/// What the optionals of a list hold.
fn values<'a>(context: &Context<'_>, name: &str, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = arguments else { return no_such_overload(name, arguments) };
    let mut values = Vec::new();
    for (position, item) in list.iter().enumerate() {
        context.budget.free(ITEM)?;
        match item {
            Value::Optional(inner) => values.extend(inner.as_deref().cloned()),
            // cel-go finds the overload by the first item.
            _ if position == 0 => return no_such_overload(name, arguments),
            other => return Err(EvaluationError::failed(format!("value {} is not optional", stdlib::display(&other)))),
        }
    }
    Value::list(values)
}

fn has_value<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Optional(inner)] = arguments else { return no_such_overload("hasValue", arguments) };
    Ok(Value::Bool(inner.is_some()))
}

fn value<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Optional(Some(inner))] => Ok((**inner).clone()),
        [Value::Optional(None)] => Err(EvaluationError::failed("optional.none() dereference")),
        _ => no_such_overload("value", arguments),
    }
}

fn first<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = arguments else { return no_such_overload("first", arguments) };
    Ok(list.get(0).map_or(Value::Optional(None), Value::some))
}

fn last<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = arguments else { return no_such_overload("last", arguments) };
    let item = list.len().checked_sub(1).and_then(|position| list.get(position));
    Ok(item.map_or(Value::Optional(None), Value::some))
}
