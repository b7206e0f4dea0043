//! The standard library: sizes, conversions, types, searches in strings.

use super::{Context, Cost, Function, GLOBAL, ITEM, METHOD, PARSED, no_such_overload, row, strconv, time};
use crate::cel::error::EvaluationError;
use crate::cel::evaluate::Outcome;
use crate::cel::types::{
    A, LIST_OF_A, MAP_OF_A_TO_B, TO_BOOL, TO_DOUBLE, TO_DURATION, TO_INT, TO_STRING, TO_TIMESTAMP, TO_UINT, TYPE_OF_A, Type,
};
use crate::cel::value::{Text, Value};

use Cost::{Call, Search, Size};
use Type::{Bool, Bytes, Double, Duration, Dyn, Int, String as Str, Timestamp, UInt};

pub(super) const FUNCTIONS: &[Function] = &[
    row("size", GLOBAL, &[Str], Int, Call, "1.0", "number of characters", size),
    row("size", GLOBAL, &[Bytes], Int, Call, "1.0", "number of bytes", size),
    row("size", GLOBAL, &[LIST_OF_A], Int, Call, "1.0", "number of items", size),
    row("size", GLOBAL, &[MAP_OF_A_TO_B], Int, Call, "1.0", "number of entries", size),
    row("size", METHOD, &[Str], Int, Call, "1.0", "number of characters", size),
    row("size", METHOD, &[Bytes], Int, Call, "1.0", "number of bytes", size),
    row("size", METHOD, &[LIST_OF_A], Int, Call, "1.0", "number of items", size),
    row("size", METHOD, &[MAP_OF_A_TO_B], Int, Call, "1.0", "number of entries", size),
    row("startsWith", METHOD, &[Str, Str], Bool, Size(1, 1.0), "1.0", "whether a string begins with another one", starts_with),
    row("endsWith", METHOD, &[Str, Str], Bool, Size(1, 1.0), "1.0", "whether a string ends with another one", ends_with),
    row("contains", METHOD, &[Str, Str], Bool, Search, "1.0", "whether a string holds another one", contains),
    row("type", GLOBAL, &[A], TYPE_OF_A, Call, "1.0", "the type of a value", type_of),
    row("dyn", GLOBAL, &[A], Dyn, Call, "1.0", "the value itself, of a type not known to the checker", dynamic),
    row("int", GLOBAL, &[TO_INT], Int, Call, "1.0", "a number, a text, a timestamp or a duration as int", to_int),
    row("uint", GLOBAL, &[TO_UINT], UInt, Call, "1.0", "a number or a text as uint", to_uint),
    row("double", GLOBAL, &[TO_DOUBLE], Double, Call, "1.0", "a number or a text as double", to_double),
    row("bool", GLOBAL, &[TO_BOOL], Bool, Call, "1.0", "a text as bool", to_bool),
    row("string", GLOBAL, &[Bytes], Str, Size(0, 1.0), "1.0", "bytes as UTF-8", to_string),
    row("string", GLOBAL, &[TO_STRING], Str, Call, "1.0", "a scalar as text", to_string),
    row("bytes", GLOBAL, &[Str], Bytes, Size(0, 1.0), "1.0", "a text's UTF-8", to_bytes),
    row("bytes", GLOBAL, &[Bytes], Bytes, Call, "1.0", "the bytes themselves", to_bytes),
    row("timestamp", GLOBAL, &[TO_TIMESTAMP], Timestamp, Call, "1.0", "an RFC 3339 text or Unix seconds as timestamp", to_timestamp),
    row("duration", GLOBAL, &[TO_DURATION], Duration, Call, "1.0", "a text such as 1h30m as duration", to_duration),
];

fn size<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let size = match arguments {
        [Value::String(text)] => text.as_str().chars().count(),
        [Value::Bytes(bytes)] => bytes.len(),
        [Value::List(list)] => list.len(),
        [Value::Map(map)] => map.len(),
        _ => return no_such_overload("size", arguments),
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn starts_with<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::String(prefix)] = arguments else { return no_such_overload("startsWith", arguments) };
    Ok(Value::Bool(text.as_str().starts_with(prefix.as_str())))
}

fn ends_with<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::String(suffix)] = arguments else { return no_such_overload("endsWith", arguments) };
    Ok(Value::Bool(text.as_str().ends_with(suffix.as_str())))
}

fn contains<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::String(part)] = arguments else { return no_such_overload("contains", arguments) };
    Ok(Value::Bool(text.as_str().contains(part.as_str())))
}

fn type_of<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Type(arguments.first().map_or("null_type", Value::type_name)))
}

fn dynamic<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    Ok(arguments.first().cloned().unwrap_or(Value::Null))
}

/// A text that cannot be read; any other type has no overload of the conversion at all.
fn conversion<'a>(value: &Value<'_>, to: &str) -> Outcome<'a> {
    if !matches!(value, Value::String(_)) {
        let name = to.rsplit('.').next().unwrap_or(to).to_ascii_lowercase();
        return no_such_overload(&name, std::slice::from_ref(value));
    }
    Err(EvaluationError::failed(format!("type conversion error from '{}' to '{to}'", value.type_name())))
}

fn overflow<'a>(kind: &str) -> Outcome<'a> {
    Err(EvaluationError::failed(format!("{kind} overflow")))
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
fn to_int<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Int(value)] => Ok(Value::Int(*value)),
        [Value::UInt(value)] => i64::try_from(*value).map_or_else(|_| overflow("integer"), |value| Ok(Value::Int(value))),
        // Truncated; the ends of the range are outside in cel-go.
        [Value::Double(value)] if value.abs() < 9_223_372_036_854_775_807.0 => Ok(Value::Int(*value as i64)),
        [Value::Double(_)] => overflow("integer"),
        [Value::String(text)] => {
            count(context, text, 4)?;
            decimal(text.as_str()).map_or_else(|| conversion(&Value::String(text.clone()), "int"), |value| Ok(Value::Int(value)))
        }
        [Value::Timestamp(value)] => Ok(Value::Int(value.seconds)),
        [Value::Duration(value)] => Ok(Value::Int(*value)),
        [value] => conversion(value, "int"),
        _ => no_such_overload("int", arguments),
    }
}

/// Counts reading a number, a time or a duration off a text: so many steps, and more where the text is long.
pub(super) fn count(context: &Context<'_>, text: &Text<'_>, steps: u64) -> Result<(), EvaluationError> {
    let length = text.as_str().len() as u64;
    context.budget.free(if length < 64 { steps } else { steps + 4 * length })
}

fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
fn to_uint<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::UInt(value)] => Ok(Value::UInt(*value)),
        [Value::Int(value)] => u64::try_from(*value).map_or_else(|_| overflow("unsigned integer"), |value| Ok(Value::UInt(value))),
        [Value::Double(value)] if *value >= 0.0 && *value < 18_446_744_073_709_551_615.0 => Ok(Value::UInt(*value as u64)),
        [Value::Double(_)] => overflow("unsigned integer"),
        [Value::String(text)] if !text.as_str().starts_with('+') => {
            decimal(text.as_str()).map_or_else(|| conversion(&Value::String(text.clone()), "uint"), |value| Ok(Value::UInt(value)))
        }
        [value] => conversion(value, "uint"),
        _ => no_such_overload("uint", arguments),
    }
}

#[expect(clippy::cast_precision_loss, reason = "what the conversion means")]
fn to_double<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Double(value)] => Ok(Value::Double(*value)),
        [Value::Int(value)] => Ok(Value::Double(*value as f64)),
        [Value::UInt(value)] => Ok(Value::Double(*value as f64)),
        [Value::String(text)] => {
            count(context, text, 3 * PARSED)?;
            strconv::parse_float(text.as_str())
                .map_or_else(|| conversion(&Value::String(text.clone()), "double"), |value| Ok(Value::Double(value)))
        }
        [value] => conversion(value, "double"),
        _ => no_such_overload("double", arguments),
    }
}

fn to_bool<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Bool(value)] => Ok(Value::Bool(*value)),
        // Go's strconv.ParseBool.
        [Value::String(text)] => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => conversion(&Value::String(text.clone()), "bool"),
        },
        [value] => conversion(value, "bool"),
        _ => no_such_overload("bool", arguments),
    }
}

fn to_string<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text)] => Ok(Value::String(text.clone())),
        [Value::Type(name)] => Ok(Value::String(Text::Borrowed(name))),
        [Value::Null | Value::List(_) | Value::Map(_) | Value::Optional(_) | Value::Opaque(_)] => no_such_overload("string", arguments),
        [value] => {
            context.budget.free(text_steps(value))?;
            to_text(value).map(Value::string)
        }
        _ => no_such_overload("string", arguments),
    }
}

fn to_bytes<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Bytes(bytes)] => Ok(Value::Bytes(bytes.clone())),
        [Value::String(text)] => Ok(Value::Bytes(text.as_str().as_bytes().into())),
        _ => no_such_overload("bytes", arguments),
    }
}

fn to_timestamp<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Timestamp(value)] => Ok(Value::Timestamp(*value)),
        [Value::Int(seconds)] => time::from_seconds(*seconds).map(Value::Timestamp),
        [Value::String(text)] => {
            count(context, text, 4 * PARSED)?;
            let conversion = || EvaluationError::failed("type conversion error from 'string' to 'google.protobuf.Timestamp'");
            time::parse_timestamp(text.as_str()).ok_or_else(conversion).map(Value::Timestamp)
        }
        [value] => conversion(value, "google.protobuf.Timestamp"),
        _ => no_such_overload("timestamp", arguments),
    }
}

fn to_duration<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Duration(value)] => Ok(Value::Duration(*value)),
        [Value::String(text)] => {
            count(context, text, 2 * PARSED)?;
            let conversion = || EvaluationError::failed("type conversion error from 'string' to 'google.protobuf.Duration'");
            time::parse_duration(text.as_str()).ok_or_else(conversion).map(Value::Duration)
        }
        [value] => conversion(value, "google.protobuf.Duration"),
        _ => no_such_overload("duration", arguments),
    }
}

/// Steps that making the text of a scalar takes.
pub(super) fn text_steps(value: &Value<'_>) -> u64 {
    match value {
        Value::Timestamp(_) => 8 * PARSED,
        Value::Double(_) => 6 * PARSED,
        Value::Duration(_) => 2 * PARSED,
        _ => ITEM,
    }
}

/// The text that `string(value)` gives.
pub(in crate::cel) fn to_text(value: &Value<'_>) -> Result<String, EvaluationError> {
    Ok(match value {
        Value::String(text) => text.as_str().to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::UInt(value) => value.to_string(),
        Value::Double(value) => double_text(*value),
        Value::Bytes(bytes) => {
            std::str::from_utf8(bytes).map_err(|_| EvaluationError::failed("invalid UTF-8 in bytes, cannot convert to string"))?.to_owned()
        }
        Value::Timestamp(value) => time::timestamp_text(*value),
        Value::Duration(value) => time::duration_text(*value),
        Value::Type(name) => (*name).to_owned(),
        Value::Opaque(value) => value.text(),
        value => return Err(EvaluationError::failed(format!("type conversion error from '{}' to 'string'", value.type_name()))),
    })
}

/// A value as an error message names it.
pub(in crate::cel) fn display(value: &Value<'_>) -> String {
    to_text(value).unwrap_or_else(|_| value.to_json().map_or_else(|_| value.type_name().to_owned(), |json| json.to_string()))
}

/// Go's `%g` with the shortest digits: below 0.0001 and from 1000000 on an exponent of at least two digits.
pub(in crate::cel) fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}
