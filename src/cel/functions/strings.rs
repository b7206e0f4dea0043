//! cel-go's extended strings, as far as Kubernetes has them (versions 0 and 2; `format` stands beside). Positions count characters.

use super::{Context, Cost, Function, GLOBAL, ITEM, METHOD, no_such_overload, row};
use crate::cel::cost;
use crate::cel::error::EvaluationError;
use crate::cel::evaluate::Outcome;
use crate::cel::types::{LIST_OF_STRING, Type};
use crate::cel::value::Value;

use Cost::{Call, Own, Size};
use Type::{Int, String as Str};

pub(super) const FUNCTIONS: &[Function] = &[
    row("charAt", METHOD, &[Str, Int], Str, Call, "1.0", "the character at a position", char_at),
    row("indexOf", METHOD, &[Str, Str], Int, Own, "1.0", "where a string first occurs, or -1", index_of),
    row("indexOf", METHOD, &[Str, Str, Int], Int, Own, "1.0", "where a string first occurs from a position on, or -1", index_of),
    row("lastIndexOf", METHOD, &[Str, Str], Int, Own, "1.0", "where a string last occurs, or -1", last_index_of),
    row("lastIndexOf", METHOD, &[Str, Str, Int], Int, Own, "1.0", "where a string last occurs up to a position, or -1", last_index_of),
    row("lowerAscii", METHOD, &[Str], Str, Size(0, 1.0), "1.0", "ASCII letters in lower case", lower_ascii),
    row("upperAscii", METHOD, &[Str], Str, Size(0, 1.0), "1.0", "ASCII letters in upper case", upper_ascii),
    row("replace", METHOD, &[Str, Str, Str], Str, Size(0, 2.0), "1.0", "every occurrence replaced", replace),
    row("replace", METHOD, &[Str, Str, Str, Int], Str, Size(0, 2.0), "1.0", "the first occurrences replaced", replace),
    row("split", METHOD, &[Str, Str], LIST_OF_STRING, Size(0, 2.0), "1.0", "the parts between separators", split),
    row("split", METHOD, &[Str, Str, Int], LIST_OF_STRING, Size(0, 2.0), "1.0", "at most so many parts between separators", split),
    row("substring", METHOD, &[Str, Int], Str, Size(0, 1.0), "1.0", "from a position to the end", substring),
    row("substring", METHOD, &[Str, Int, Int], Str, Size(0, 1.0), "1.0", "from a position to before another one", substring),
    row("trim", METHOD, &[Str], Str, Size(0, 1.0), "1.0", "without white space at both ends", trim),
    row("join", METHOD, &[LIST_OF_STRING], Str, Own, "1.29", "the strings of a list one after the other", join),
    row("join", METHOD, &[LIST_OF_STRING, Str], Str, Own, "1.29", "the strings of a list with a separator between them", join),
    row("strings.quote", GLOBAL, &[Str], Str, Size(0, 1.0), "1.29", "the string as a literal", quote),
];

/// What a result may grow to; what it costs is charged before, so this only bounds one step.
const MAX_RESULT: usize = 8 * 1024 * 1024;
/// Bytes of a result that are not charged where cel-go would not.
const FREE_TEXT: usize = 64 * 1024;
/// Steps that putting one replacement in its place takes.
const REPLACED: u64 = 4;

fn out_of_range<'a>(index: i64) -> Outcome<'a> {
    Err(EvaluationError::failed(format!("index out of range: {index}")))
}

fn too_long() -> EvaluationError {
    EvaluationError::failed(format!("the string would be longer than {MAX_RESULT} bytes"))
}

/// The byte where a character begins; the end of the text is a position too.
fn byte_of(text: &str, position: i64) -> Option<usize> {
    let begins = |byte: &u8| byte & 0xc0 != 0x80;
    let mut left = usize::try_from(position).ok()?;
    let mut start = 0;
    // Whole chunks are counted faster than characters are walked.
    for chunk in text.as_bytes().chunks(256) {
        let count = chunk.iter().filter(|byte| begins(byte)).count();
        if left < count {
            return chunk.iter().enumerate().filter(|(_, byte)| begins(byte)).nth(left).map(|(byte, _)| start + byte);
        }
        left -= count;
        start += chunk.len();
    }
    (left == 0).then_some(start)
}

fn position_of(text: &str, byte: usize) -> i64 {
    let count = text.get(..byte).map_or(0, |before| before.chars().count());
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn char_at<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::Int(index)] = arguments else { return no_such_overload("charAt", arguments) };
    let text = text.as_str();
    context.budget.read(text.len().saturating_mul(4))?;
    let Some(byte) = byte_of(text, *index) else { return out_of_range(*index) };
    let end = text.get(byte..).and_then(|rest| rest.chars().next()).map_or(byte, |sign| byte + sign.len_utf8());
    Ok(Value::string(text.get(byte..end).unwrap_or_default()))
}

/// Kubernetes charges a traversal, rounded down.
fn charge_search(context: &Context<'_>, text: &str) -> Result<(), EvaluationError> {
    context.budget.charge(text.len() as u64 / 10)
}

fn index_of<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, from) = match arguments {
        [Value::String(text), Value::String(part)] => (text.as_str(), part.as_str(), 0),
        [Value::String(text), Value::String(part), Value::Int(from)] => (text.as_str(), part.as_str(), *from),
        _ => return no_such_overload("indexOf", arguments),
    };
    charge_search(context, text)?;
    if from < 0 {
        return out_of_range(from);
    }
    if part.is_empty() {
        return Ok(Value::Int(from.min(position_of(text, text.len()))));
    }
    let found = byte_of(text, from).and_then(|start| Some(start + text.get(start..)?.find(part)?));
    Ok(Value::Int(found.map_or(-1, |byte| position_of(text, byte))))
}

fn last_index_of<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, upto) = match arguments {
        [Value::String(text), Value::String(part)] => (text.as_str(), part.as_str(), None),
        [Value::String(text), Value::String(part), Value::Int(upto)] => (text.as_str(), part.as_str(), Some(*upto)),
        _ => return no_such_overload("lastIndexOf", arguments),
    };
    charge_search(context, text)?;
    let length = position_of(text, text.len());
    match upto {
        Some(upto) if upto < 0 => return out_of_range(upto),
        Some(upto) if part.is_empty() => return Ok(Value::Int(upto.min(length))),
        None if part.is_empty() => return Ok(Value::Int(length)),
        Some(upto) if upto >= length => return Ok(Value::Int(-1)),
        _ => {}
    }
    // An occurrence may begin at the position, so the text searched ends a whole occurrence later.
    let end = upto.and_then(|upto| byte_of(text, upto)).map_or(text.len(), |byte| (byte + part.len()).min(text.len()));
    let end = (end..=text.len()).find(|byte| text.is_char_boundary(*byte)).unwrap_or(text.len());
    let found = text.get(..end).and_then(|text| text.rfind(part));
    Ok(Value::Int(found.map_or(-1, |byte| position_of(text, byte))))
}

fn lower_ascii<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("lowerAscii", arguments) };
    Ok(Value::string(text.as_str().to_ascii_lowercase()))
}

fn upper_ascii<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("upperAscii", arguments) };
    Ok(Value::string(text.as_str().to_ascii_uppercase()))
}

fn replace<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, old, new, limit) = match arguments {
        [Value::String(text), Value::String(old), Value::String(new)] => (text.as_str(), old.as_str(), new.as_str(), -1),
        [Value::String(text), Value::String(old), Value::String(new), Value::Int(limit)] => {
            (text.as_str(), old.as_str(), new.as_str(), *limit)
        }
        _ => return no_such_overload("replace", arguments),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // What does not grow needs no count.
    let count = if new.len() <= old.len() { 0 } else { text.matches(old).take(limit).count() };
    let length = count.checked_mul(new.len()).and_then(|added| added.checked_add(text.len())).filter(|length| *length <= MAX_RESULT);
    let length = length.ok_or_else(too_long)?;
    // cel-go charges the input only; of a long result what it is longer by is charged as any text.
    if length > FREE_TEXT && length > text.len() * 2 {
        context.budget.charge((length - text.len()) as u64 / 10)?;
    }
    let mut out = String::with_capacity(length);
    let mut rest = 0;
    for (start, part) in text.match_indices(old).take(limit) {
        context.budget.free(REPLACED)?;
        out.push_str(text.get(rest..start).unwrap_or_default());
        out.push_str(new);
        rest = start + part.len();
    }
    out.push_str(text.get(rest..).unwrap_or_default());
    Ok(Value::string(out))
}

fn split<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, separator, limit) = match arguments {
        [Value::String(text), Value::String(separator)] => (text.as_str(), separator.as_str(), -1),
        [Value::String(text), Value::String(separator), Value::Int(limit)] => (text.as_str(), separator.as_str(), *limit),
        _ => return no_such_overload("split", arguments),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    if limit == 0 {
        return Value::list(parts);
    }
    if separator.is_empty() {
        // Go splits between characters, without empty parts at the ends.
        let mut rest = text;
        while let Some(sign) = rest.chars().next() {
            let (part, after) = if parts.len() + 1 == limit { (rest, "") } else { rest.split_at(sign.len_utf8()) };
            context.budget.free(ITEM)?;
            parts.push(Value::string(part));
            rest = after;
        }
    } else {
        for part in text.splitn(limit, separator) {
            context.budget.free(ITEM)?;
            parts.push(Value::string(part));
        }
    }
    Value::list(parts)
}

fn substring<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, start, end) = match arguments {
        [Value::String(text), Value::Int(start)] => (text.as_str(), *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text.as_str(), *start, Some(*end)),
        _ => return no_such_overload("substring", arguments),
    };
    if let Some(end) = end
        && start > end
    {
        return Err(EvaluationError::failed(format!("invalid substring range. start: {start}, end: {end}")));
    }
    let Some(first) = byte_of(text, start) else { return out_of_range(start) };
    let Some(last) = end.map_or(Some(text.len()), |end| byte_of(text, end)) else { return out_of_range(end.unwrap_or(start)) };
    Ok(Value::string(text.get(first..last).unwrap_or_default()))
}

fn trim<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("trim", arguments) };
    Ok(Value::string(text.as_str().trim()))
}

fn join<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (list, separator) = match arguments {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, separator.as_str()),
        _ => return no_such_overload("join", arguments),
    };
    let (mut bytes, mut characters) = (0_usize, 0_u64);
    let separator_characters = separator.chars().count() as u64;
    for (position, item) in list.items().enumerate() {
        context.budget.free(4)?;
        let Value::String(item) = &*item else {
            context.budget.charge(1)?;
            // cel-go tells a list of strings by its first item.
            if position == 0 {
                return no_such_overload("join", arguments);
            }
            let shown = super::stdlib::display(&item);
            return Err(EvaluationError::failed(format!("join: invalid input: {shown}")));
        };
        if position > 0 {
            bytes = bytes.saturating_add(separator.len());
            characters += separator_characters;
        }
        bytes = bytes.saturating_add(item.as_str().len());
        characters += item.as_str().chars().count() as u64;
        if bytes > MAX_RESULT {
            return Err(too_long());
        }
    }
    context.budget.charge(cost::traversal(characters, 0.2))?;
    let mut text = String::with_capacity(bytes);
    for (position, item) in list.items().enumerate() {
        if position > 0 {
            text.push_str(separator);
        }
        text.push_str(item.as_str().unwrap_or_default());
    }
    Ok(Value::string(text))
}

fn quote<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("strings.quote", arguments) };
    let mut out = String::with_capacity(text.as_str().len() + 2);
    out.push('"');
    let text = text.as_str();
    let mut rest = 0;
    for (position, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'\x07' => "\\a",
            b'\x08' => "\\b",
            b'\x0c' => "\\f",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            b'\x0b' => "\\v",
            b'\\' => "\\\\",
            b'"' => "\\\"",
            _ => continue,
        };
        out.push_str(text.get(rest..position).unwrap_or_default());
        out.push_str(escaped);
        rest = position + 1;
    }
    out.push_str(text.get(rest..).unwrap_or_default());
    out.push('"');
    Ok(Value::string(out))
}
