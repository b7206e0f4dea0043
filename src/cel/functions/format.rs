//! `'...'.format([...])`: cel-go's strings version 2, which Kubernetes has since 1.29.

use super::{Context, Cost, Function, ITEM, METHOD, PARSED, no_such_overload, row, strconv};
use crate::cel::error::EvaluationError;
use crate::cel::evaluate::Outcome;
use crate::cel::types::{LIST, Type};
use crate::cel::value::Value;

use Type::String as Str;

pub(super) const FUNCTIONS: &[Function] =
    &[row("format", METHOD, &[Str, LIST], Str, Cost::Size(0, 1.0), "1.29", "the clauses %s %d %f %e %b %x %X %o filled in", format_text)];

/// From here on the library that Go formats with reads no further digit of a precision.
const READABLE: usize = 1_000_000;

/// A piece of a format: literal text, or a clause with its precision and letter.
enum Piece<'t> {
    Literal(&'t str),
    Clause(Option<usize>, char),
}

/// Cuts the first piece off.
fn next_piece(text: &str) -> Result<Option<(Piece<'_>, &str)>, String> {
    let Some(start) = text.find('%') else {
        return Ok((!text.is_empty()).then_some((Piece::Literal(text), "")));
    };
    if start > 0 {
        return Ok(text.split_at_checked(start).map(|(literal, rest)| (Piece::Literal(literal), rest)));
    }
    let rest = text.get(1..).unwrap_or_default();
    if let Some(after) = rest.strip_prefix('%') {
        return Ok(Some((Piece::Literal("%"), after)));
    }
    let wrong = |reason: String| Err(format!("could not parse formatting clause: {reason}"));
    let (precision, rest) = match rest.strip_prefix('.') {
        None => (None, rest),
        Some(digits) => {
            let Some(end) = digits.find(|sign: char| !sign.is_ascii_digit()) else {
                return wrong("error while parsing precision: could not find end of precision specifier".to_owned());
            };
            let (number, after) = digits.split_at(end);
            match strconv::atoi(number) {
                Err(reason) => {
                    return wrong(format!("error while parsing precision: error while converting precision to integer: {reason}"));
                }
                Ok(number) => (Some(usize::try_from(number).unwrap_or(usize::MAX)), after),
            }
        }
    };
    let mut signs = rest.chars();
    match signs.next() {
        None => Err("unexpected end of string".to_owned()),
        Some(letter @ ('s' | 'd' | 'f' | 'e' | 'b' | 'x' | 'X' | 'o')) => Ok(Some((Piece::Clause(precision, letter), signs.as_str()))),
        Some(letter) => wrong(format!("unrecognized formatting clause \"{letter}\"")),
    }
}

/// Whether a constant format can be read, and takes arguments of these types where they are known.
pub(in crate::cel) fn check(text: &str, arguments: Option<&[Type]>) -> Result<(), String> {
    let mut rest = text;
    let mut used = 0;
    while let Some((piece, after)) = next_piece(rest)? {
        rest = after;
        if let (Piece::Clause(_, letter), Some(arguments)) = (piece, arguments) {
            let given = arguments.get(used).ok_or_else(|| format!("index {used} out of range"))?;
            used += 1;
            if let Some(refused) = refused(letter, given) {
                return Err(format!("error during formatting: {}, was given {}", wanted(letter), refused.type_name()));
            }
        }
    }
    match arguments {
        Some(arguments) if arguments.len() > used => {
            Err(format!("too many arguments supplied to string.format (expected {used}, got {})", arguments.len()))
        }
        _ => Ok(()),
    }
}

/// What a clause can be used on.
fn wanted(letter: char) -> &'static str {
    match letter {
        'd' => "decimal clause can only be used on integers",
        'f' => "fixed-point clause can only be used on doubles",
        'e' => "scientific clause can only be used on doubles",
        'b' => "only integers and bools can be formatted as binary",
        'o' => "octal clause can only be used on integers",
        'x' | 'X' => "only integers, byte buffers, and strings can be formatted as hex",
        _ => "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
    }
}

/// The type that a clause does not take: the one given, or one inside it.
fn refused(letter: char, given: &Type) -> Option<&Type> {
    match (letter, given) {
        ('s', Type::List(item)) => refused('s', item.get()),
        ('s', Type::Map(key, value)) => refused('s', key.get()).or_else(|| refused('s', value.get())),
        ('s', Type::Optional(_) | Type::Opaque(_) | Type::Object(_)) => Some(given),
        ('s', _) | (_, Type::Dyn | Type::Error) => None,
        // A string may say NaN or Infinity.
        ('f' | 'e', Type::Double | Type::String) => None,
        ('d' | 'b' | 'o' | 'x' | 'X', Type::Int | Type::UInt) | ('b', Type::Bool) | ('x' | 'X', Type::String | Type::Bytes) => None,
        _ => Some(given),
    }
}

fn format_text<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::List(values)] = arguments else { return no_such_overload("format", arguments) };
    let mut out = String::new();
    let mut rest = text.as_str();
    let mut used = 0;
    while let Some((piece, after)) = next_piece(rest).map_err(EvaluationError::failed)? {
        rest = after;
        match piece {
            Piece::Literal(literal) => out.push_str(literal),
            Piece::Clause(precision, letter) => {
                let value = values.get(used).ok_or_else(|| EvaluationError::failed(format!("index {used} out of range")))?;
                used += 1;
                let before = out.len();
                clause(context, &mut out, precision, letter, &value).map_err(|error| {
                    if error.is_fatal() { error } else { EvaluationError::failed(format!("error during formatting: {error}")) }
                })?;
                // cel-go charges the format's length only; what grows large is charged as any text.
                let grown = (out.len() - before) as u64;
                if grown > 4096 {
                    context.budget.charge(grown / 10)?;
                }
            }
        }
    }
    Ok(Value::string(out))
}

fn clause(
    context: &Context<'_>,
    out: &mut String,
    precision: Option<usize>,
    letter: char,
    value: &Value<'_>,
) -> Result<(), EvaluationError> {
    // What is written is not in cel-go's cost; counted here before it is made.
    context.budget.free(match (letter, value) {
        ('f', Value::Double(number)) => steps_of_digits(*number, precision.unwrap_or(6) & 0xff),
        ('e', Value::Double(_)) => 10 * PARSED,
        ('x' | 'X', value) => ITEM + 2 * value.bytes() as u64,
        _ => ITEM,
    })?;
    let refuse = || Err(EvaluationError::failed(format!("{}, was given {}", wanted(letter), value.type_name())));
    let unreadable = precision.is_some_and(|digits| digits / 10 > READABLE);
    match letter {
        's' => write_text(context, out, value, false)?,
        'd' => match value {
            Value::Int(number) => out.push_str(&number.to_string()),
            Value::UInt(number) => out.push_str(&number.to_string()),
            _ => return refuse(),
        },
        'f' => match value {
            Value::Double(_) if unreadable => out.push_str("%!(NOVERB)"),
            Value::Double(number) => out.push_str(&grouped(*number, precision.unwrap_or(6))),
            Value::String(text) if let Some(name) = named(text.as_str()) => out.push_str(if unreadable { "%!(NOVERB)" } else { name }),
            _ => return refuse(),
        },
        'e' => match value {
            Value::Double(_) if unreadable => out.push_str("%!(NOVERB)"),
            Value::Double(number) => pad(out, &scientific(*number), precision),
            Value::String(text) if let Some(name) = named(text.as_str()) => {
                if unreadable {
                    out.push_str("%!(NOVERB)");
                } else {
                    pad(out, name, precision);
                }
            }
            _ => return refuse(),
        },
        'b' => match value {
            Value::Bool(value) => out.push(if *value { '1' } else { '0' }),
            Value::Int(number) => out.push_str(&signed(*number, |number| format!("{number:b}"))),
            Value::UInt(number) => out.push_str(&format!("{number:b}")),
            _ => return refuse(),
        },
        'o' => match value {
            Value::Int(number) => out.push_str(&signed(*number, |number| format!("{number:o}"))),
            Value::UInt(number) => out.push_str(&format!("{number:o}")),
            _ => return refuse(),
        },
        letter => {
            let upper = letter == 'X';
            let text = match value {
                Value::Int(number) => signed(*number, |number| format!("{number:x}")),
                Value::UInt(number) => format!("{number:x}"),
                Value::String(text) => hexadecimal(text.as_str().as_bytes()),
                Value::Bytes(bytes) => hexadecimal(bytes),
                _ => return refuse(),
            };
            out.push_str(&if upper { text.to_ascii_uppercase() } else { text });
        }
    }
    Ok(())
}

/// Steps that writing a number with so many digits after the point takes: where they are many, each is found by dividing all.
fn steps_of_digits(number: f64, precision: usize) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "308 at most")]
    let whole = number.abs().log10().clamp(0.0, 400.0) as usize;
    let digits = (whole + precision) as u64;
    4 * PARSED + digits * digits / 48
}

fn signed(number: i64, write: impl Fn(u64) -> String) -> String {
    let digits = write(number.unsigned_abs());
    if number < 0 { format!("-{digits}") } else { digits }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |digit: u8| char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    out
}

/// The words of cel-go for what is no finite number.
fn special(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        Some("NaN")
    } else if number.is_infinite() {
        Some(if number > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        None
    }
}

/// What a string may name where a double is wanted.
fn named(text: &str) -> Option<&'static str> {
    match text {
        "NaN" => Some("NaN"),
        "Infinity" => Some("∞"),
        "-Infinity" => Some("-∞"),
        _ => None,
    }
}

/// `1,234.500000`: version 2 writes numbers as English readers do.
fn grouped(number: f64, precision: usize) -> String {
    if let Some(name) = special(number) {
        return named(name).unwrap_or(name).to_owned();
    }
    // The number of digits is a byte in the library that Go formats with.
    let text = format!("{:.digits$}", number.abs(), digits = precision & 0xff);
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    // A negative zero has lost its sign.
    let mut out = String::from(if number < 0.0 { "-" } else { "" });
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + fraction
}

/// The library takes the precision of `%e` for the width of what is written.
fn pad(out: &mut String, text: &str, precision: Option<usize>) {
    // It keeps it in two bytes.
    let width = precision.unwrap_or(6) & 0xffff;
    (text.chars().count()..width).for_each(|_| out.push(' '));
    out.push_str(text);
}

/// `1.234500×10⁰³`: version 2 writes the exponent raised, of two digits at least.
fn scientific(number: f64) -> String {
    if let Some(name) = special(number) {
        return named(name).unwrap_or(name).to_owned();
    }
    // A negative zero has lost its sign.
    let number = if number == 0.0 { 0.0 } else { number };
    let text = format!("{number:.6e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let raised: String = format!("{:02}", exponent.abs())
        .chars()
        .map(|sign| match sign {
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '4' => '⁴',
            '5' => '⁵',
            '6' => '⁶',
            '7' => '⁷',
            '8' => '⁸',
            '9' => '⁹',
            _ => '⁰',
        })
        .collect();
    format!("{digits}×10{}{raised}", if exponent < 0 { "⁻" } else { "" })
}

/// What `%s` writes; inside lists and maps strings are quoted and doubles have six digits.
fn write_text(context: &Context<'_>, out: &mut String, value: &Value<'_>, inside: bool) -> Result<(), EvaluationError> {
    context.budget.free(match value {
        Value::Double(number) if inside => steps_of_digits(*number, 6),
        Value::String(text) if inside => 2 * ITEM + text.as_str().len() as u64 / 4,
        Value::Map(map) => 4 * ITEM * map.len() as u64 + ITEM,
        value => 2 * super::stdlib::text_steps(value),
    })?;
    if out.len() > 8 * 1024 * 1024 {
        return Err(EvaluationError::failed("the string would be longer than 8388608 bytes"));
    }
    match value {
        Value::String(text) if inside => out.push_str(&strconv::quote(text.as_str())),
        Value::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| {
                let reason = "invalid UTF-8 in bytes, cannot convert to string";
                EvaluationError::failed(format!("could not convert argument \"{reason}\" to string"))
            })?;
            if inside {
                out.push('b');
                out.push_str(&strconv::quote(text));
            } else {
                out.push_str(text);
            }
        }
        Value::Double(number) if inside && !number.is_finite() => out.push_str(&format!("\"{}\"", super::stdlib::double_text(*number))),
        Value::Double(number) if inside => out.push_str(&format!("{number:.6}")),
        Value::Double(number) => out.push_str(&super::stdlib::double_text(*number)),
        Value::Null => out.push_str("null"),
        Value::Duration(_) | Value::Timestamp(_) if inside => {
            out.push_str(if matches!(value, Value::Duration(_)) { "duration(\"" } else { "timestamp(\"" });
            out.push_str(&super::stdlib::to_text(value)?);
            out.push_str("\")");
        }
        Value::List(list) => {
            out.push('[');
            for (position, item) in list.iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                write_text(context, out, &item, true)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            // In order of what is written of the keys.
            let mut entries = Vec::with_capacity(map.len());
            for (key, value) in map.entries_in_order(context.budget)? {
                let mut text = String::new();
                match key {
                    Value::String(_) | Value::Bool(_) | Value::Int(_) | Value::UInt(_) => write_text(context, &mut text, &key, true)?,
                    key => return Err(unwritable(format!("map key of type {}", key.type_name()))),
                }
                entries.push((text, value));
            }
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            out.push('{');
            for (position, (key, value)) in entries.iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                out.push_str(key);
                out.push(':');
                write_text(context, out, value, true)?;
            }
            out.push('}');
        }
        Value::Optional(_) | Value::Opaque(_) if inside => return Err(unwritable(value.type_name())),
        Value::Optional(_) | Value::Opaque(_) => {
            return Err(EvaluationError::failed(format!("{}, was given {}", wanted('s'), value.type_name())));
        }
        value => out.push_str(&super::stdlib::to_text(value)?),
    }
    Ok(())
}

/// What is inside a list or a map and cannot be written.
fn unwritable(what: impl std::fmt::Display) -> EvaluationError {
    EvaluationError::failed(format!("no formatting function for {what}"))
}
