//! What a scalar means: go-yaml v2's `resolve`, as sigs.k8s.io/yaml calls it, followed by the way through JSON that kubectl takes.

use std::borrow::Cow;

use granit_parser::{ScalarStyle, Tag};

use crate::object::quoted;

/// A resolved scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer beyond 63 bits: a float as a value, refused as a key.
    Unsigned(u64),
    Float(f64),
    Text(&'a str),
}

/// Resolves a scalar by its tag, style and text.
///
/// # Errors
/// A tag that the text does not fit, or a tag that is not read.
pub(super) fn resolve<'a>(tag: Option<&Tag>, style: ScalarStyle, text: &'a str) -> Result<Scalar<'a>, String> {
    let Some(tag) = tag else {
        return Ok(if style == ScalarStyle::Plain { plain(text) } else { Scalar::Text(text) });
    };
    let name = tag.suffix_in_namespace("tag:yaml.org,2002:");
    let found = match name.as_deref() {
        Some("str" | "timestamp") => return Ok(Scalar::Text(text)),
        Some("binary") => return Err("a `!!binary` value is not read: write the text itself, or put it under `data` as a string".into()),
        Some("bool" | "int" | "float" | "null") => plain(text),
        _ => return Ok(Scalar::Text(text)),
    };
    let found = match (name.as_deref(), found) {
        #[expect(clippy::cast_precision_loss, reason = "`!!float` asks for a float's precision")]
        (Some("float"), Scalar::Int(value)) => Scalar::Float(value as f64),
        (_, found) => found,
    };
    let fits = matches!(
        (name.as_deref(), found),
        (Some("bool"), Scalar::Bool(_))
            | (Some("int"), Scalar::Int(_) | Scalar::Unsigned(_))
            | (Some("float"), Scalar::Float(_))
            | (Some("null"), Scalar::Null)
    );
    if fits {
        Ok(found)
    } else {
        Err(format!("`{}` is no {}: correct the value or drop the `!!` tag", quoted(text), name.as_deref().unwrap_or_default()))
    }
}

/// Resolves a plain scalar without a tag.
pub(super) fn plain(text: &str) -> Scalar<'_> {
    let Some(first) = text.bytes().next() else { return Scalar::Null };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        b'.' => match text {
            ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
            ".inf" | ".Inf" | ".INF" => Scalar::Float(f64::INFINITY),
            _ => fraction(text).map_or(Scalar::Text(text), Scalar::Float),
        },
        b'0'..=b'9' | b'+' | b'-' => number(text),
        _ => Scalar::Text(text),
    }
}

fn word(text: &str) -> Scalar<'_> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Scalar::Bool(false),
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        _ => Scalar::Text(text),
    }
}

/// Whether a plain scalar is a boolean in YAML 1.1 only: a reader of YAML 1.2, and most people, take it for a string.
pub(super) fn is_surprising_bool(text: &str) -> bool {
    matches!(word(text), Scalar::Bool(_)) && !matches!(text.as_bytes().first(), Some(b't' | b'T' | b'f' | b'F'))
}

fn number(text: &str) -> Scalar<'_> {
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    // Most texts that begin with a digit are quantities, versions or addresses.
    if text.bytes().any(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'+' | b'-' | b'.')) {
        return Scalar::Text(text);
    }
    let digits: Cow<'_, str> = if text.contains('_') { text.replace('_', "").into() } else { text.into() };
    // `0b+1` is an accident of go-yaml: it tries the digits behind `0b` once more, sign and all.
    let signed_binary = || digits.strip_prefix("0b").and_then(|digits| i64::from_str_radix(digits, 2).ok()).map(Scalar::Int);
    integer(&digits).or_else(|| float(&digits).map(Scalar::Float)).or_else(signed_binary).unwrap_or(Scalar::Text(text))
}

/// A float that begins with its point: go-yaml leaves it to Go, which allows `_` between digits only.
fn fraction(text: &str) -> Option<f64> {
    if !text.contains('_') {
        return float(text);
    }
    let between = text.as_bytes().windows(3).filter(|window| matches!(window, [b'0'..=b'9', b'_', b'0'..=b'9'])).count();
    let all = text.bytes().filter(|byte| *byte == b'_').count();
    (between == all).then(|| float(&text.replace('_', ""))).flatten()
}

/// Go's `ParseInt(text, 0, 64)`, then `ParseUint`: prefixes 0x, 0o, 0b, and a leading 0 for octal.
fn integer(text: &str) -> Option<Scalar<'static>> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let signed = rest.len() != text.len();
    let (radix, digits) = match rest.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, rest.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, rest.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, rest.get(2..)?),
        [b'0', _, ..] => (8, rest.get(1..)?),
        _ => (10, rest),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(value).map(Scalar::Int);
    }
    match i64::try_from(value) {
        Ok(value) => Some(Scalar::Int(value)),
        Err(_) if signed => None,
        Err(_) => Some(Scalar::Unsigned(value)),
    }
}

/// A decimal float as YAML 1.1 writes it, without `inf`, `nan` or an empty mantissa; out of range is no float.
fn float(text: &str) -> Option<f64> {
    let mantissa = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match mantissa.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let sound = digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|text| !text.is_empty() && digits(text));
    text.parse().ok().filter(|value: &f64| sound && value.is_finite())
}

/// A float as kubectl hands it on: through JSON, where Go writes an integral number below 1e21 without a point, so that it is read back
/// as an integer if it fits 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "checked to be integral and in range")]
pub(super) fn through_json(value: f64) -> Scalar<'static> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let fits = value.fract() == 0.0 && (-LIMIT..LIMIT).contains(&value);
    if fits { Scalar::Int(value as i64) } else { Scalar::Float(value) }
}

/// A map's key as sigs.k8s.io/yaml makes it a string.
///
/// # Errors
/// Null and integers beyond 63 bits, which it refuses.
pub(super) fn key<'a>(scalar: Scalar<'a>) -> Result<Cow<'a, str>, String> {
    Ok(match scalar {
        Scalar::Text(text) => text.into(),
        Scalar::Bool(value) => if value { "true" } else { "false" }.into(),
        Scalar::Int(value) => value.to_string().into(),
        Scalar::Float(value) => go_float(value).into(),
        Scalar::Null => return Err("a key is empty or null: write the key, or quote it".into()),
        Scalar::Unsigned(value) => return Err(format!("the key {value} is a number beyond 64 bits: quote it")),
    })
}

/// Go's `FormatFloat(value, 'g', -1, 32)`.
#[expect(clippy::cast_possible_truncation, reason = "sigs.k8s.io/yaml writes float keys with 32 bits of precision")]
fn go_float(value: f64) -> String {
    let value = value as f32;
    if value.is_nan() {
        return ".nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.into();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    } else {
        format!("{value}")
    }
}
