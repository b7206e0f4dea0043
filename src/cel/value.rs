//! The values of CEL: scalars, and lists and maps that borrow what exists and share what an evaluation makes.

use std::rc::Rc;

use crate::object::{Kind, Node};

use super::collections::{List, Map};
use super::error::EvaluationError;
use super::opaque::Opaque;

/// A value. A clone costs no more than a counter; what stems from an object or from the expression is borrowed.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `bool`
    Bool(bool),
    /// `int`: 64 signed bits; every JSON integer
    Int(i64),
    /// `uint`: 64 unsigned bits; never from JSON
    UInt(u64),
    /// `double`
    Double(f64),
    /// `string`
    String(Text<'a>),
    /// `bytes`
    Bytes(Rc<[u8]>),
    /// `list`
    List(List<'a>),
    /// `map`
    Map(Map<'a>),
    /// `google.protobuf.Timestamp`
    Timestamp(Timestamp),
    /// `google.protobuf.Duration`, in nanoseconds (Go's range: 292 years)
    Duration(i64),
    /// `type`: the type's own name
    Type(&'static str),
    /// `optional_type`
    Optional(Option<Rc<Value<'a>>>),
    /// A value of a type of Kubernetes' own: a URL, an address, a quantity, a version, a format.
    Opaque(Rc<Opaque>),
}

/// How many values one JSON document may hold: the items of a list may be shared, and so be far more than were ever made.
const MAX_JSON_VALUES: u32 = 1_000_000;

/// A string: borrowed from an object or an expression, or shared.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// Borrowed.
    Borrowed(&'a str),
    /// Made by an evaluation.
    Shared(Rc<str>),
}

impl Text<'_> {
    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

/// A point in time, with the offset from UTC it was written with (it prints so; accessors use UTC).
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z; years 1 to 9999.
    pub seconds: i64,
    /// Nanoseconds of the second.
    pub nanos: u32,
    /// Seconds east of UTC.
    pub offset: i32,
}

impl Timestamp {
    /// The point in time, whatever the offset it was written with.
    pub(super) fn instant(self) -> (i64, u32) {
        (self.seconds, self.nanos)
    }
}

impl<'a> Value<'a> {
    /// The value of a node of an object: integers are `int`, maps and lists stay where they are.
    #[must_use]
    pub fn from_node(node: Node<'a>) -> Self {
        match node.kind() {
            Kind::Null => Self::Null,
            Kind::Bool => Self::Bool(node.as_bool().unwrap_or_default()),
            Kind::Int => Self::Int(node.as_i64().unwrap_or_default()),
            Kind::Float => Self::Double(node.as_f64().unwrap_or_default()),
            Kind::String => Self::String(Text::Borrowed(node.as_str().unwrap_or_default())),
            Kind::List => Self::List(List::Node(node)),
            Kind::Map => Self::Map(Map::Node(node)),
        }
    }

    /// A string made by the caller.
    #[must_use]
    pub fn string(text: impl Into<Rc<str>>) -> Self {
        Self::String(Text::Shared(text.into()))
    }

    /// A position in a list.
    pub(super) fn index(position: usize) -> Self {
        Self::Int(i64::try_from(position).unwrap_or(i64::MAX))
    }

    /// A borrowed string.
    #[must_use]
    pub fn borrowed(text: &'a str) -> Self {
        Self::String(Text::Borrowed(text))
    }

    /// `optional.of(value)`
    #[must_use]
    pub fn some(value: Self) -> Self {
        Self::Optional(Some(Rc::new(value)))
    }

    /// A value of a type of Kubernetes' own.
    #[must_use]
    pub fn opaque(value: Opaque) -> Self {
        Self::Opaque(Rc::new(value))
    }

    /// A list of these items.
    ///
    /// # Errors
    /// [`EvaluationError::Failed`] if it would nest too deep.
    pub fn list(items: Vec<Self>) -> Result<Self, EvaluationError> {
        Ok(Self::List(List::from_items(items)?))
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text.as_str()) } else { None }
    }

    /// The `int`, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(value) = self { Some(*value) } else { None }
    }

    /// The value of a type of Kubernetes' own, if it is one.
    #[must_use]
    pub fn as_opaque(&self) -> Option<&Opaque> {
        if let Self::Opaque(value) = self { Some(value) } else { None }
    }

    /// The value inside an optional, or none; anything else is itself. How Kubernetes reads the result of a variable.
    #[must_use]
    pub fn as_optional(&self) -> Option<Option<&Self>> {
        if let Self::Optional(inner) = self { Some(inner.as_deref()) } else { None }
    }

    /// CEL's name of the type: `int`, `list`, `null_type`, `google.protobuf.Timestamp`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::UInt(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Opaque(value) => value.type_name(),
        }
    }

    /// The name of the type in cel-go's code, which some of its errors show.
    pub(super) fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "types.Null",
            Self::Bool(_) => "types.Bool",
            Self::Int(_) => "types.Int",
            Self::UInt(_) => "types.Uint",
            Self::Double(_) => "types.Double",
            Self::String(_) => "types.String",
            Self::Bytes(_) => "types.Bytes",
            Self::List(List::Concatenation(_)) => "*types.concatList",
            Self::List(_) => "*types.baseList",
            Self::Map(_) => "*types.baseMap",
            Self::Timestamp(_) => "types.Timestamp",
            Self::Duration(_) => "types.Duration",
            Self::Type(_) => "*types.Type",
            Self::Optional(_) => "*types.Optional",
            Self::Opaque(value) => value.go_type(),
        }
    }

    /// cel-go's size of a value for cost: characters, bytes, items, entries; 1 for a scalar.
    pub(super) fn cost_size(&self) -> u64 {
        let size = match self {
            Self::String(text) => text.as_str().chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            Self::Optional(Some(inner)) => return inner.cost_size(),
            Self::Opaque(value) => return value.cost_size(),
            _ => 1,
        };
        size as u64
    }

    /// The smaller of two sizes, found in the time that the smaller one takes.
    pub(super) fn smaller_size(&self, other: &Self) -> u64 {
        match (self, other) {
            (Self::String(left), Self::String(right)) => {
                let (left, right) = (left.as_str(), right.as_str());
                let (short, long) = if left.len() < right.len() { (left, right) } else { (right, left) };
                let size = short.chars().count();
                // A character has four bytes at most.
                if long.len() / 4 >= size { size as u64 } else { long.chars().count().min(size) as u64 }
            }
            (Self::String(text), other) | (other, Self::String(text)) => match other.cost_size() {
                0 => 0,
                size if text.as_str().len() as u64 / 4 >= size => size,
                size => size.min(text.as_str().chars().count() as u64),
            },
            (left, right) => left.cost_size().min(right.cost_size()),
        }
    }

    /// Bytes that reading the whole value takes, where it is a text or stands for one.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::String(text) => text.as_str().len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Opaque(value) => value.bytes(),
            _ => 0,
        }
    }

    /// Whether it is known to equal itself. NaN does not, and what is Kubernetes' own may say that it cannot be compared.
    pub(super) fn is_reflexive(&self) -> bool {
        match self {
            Self::Double(number) => !number.is_nan(),
            Self::List(list) => list.is_reflexive(),
            Self::Map(map) => map.is_reflexive(),
            Self::Optional(Some(inner)) => inner.is_reflexive(),
            Self::Opaque(_) => false,
            _ => true,
        }
    }

    /// How many levels of values made by an evaluation lie inside this one.
    pub(super) fn nesting(&self) -> u32 {
        match self {
            Self::List(list) => list.nesting(),
            Self::Map(map) => map.nesting(),
            Self::Optional(Some(inner)) => inner.nesting() + 1,
            _ => 0,
        }
    }

    /// The value as JSON, as protobuf writes it: timestamps and durations are strings, bytes are base64, an empty optional is null;
    /// what is of a type of Kubernetes' own is its text.
    ///
    /// # Errors
    /// [`EvaluationError::Failed`] for a number that JSON does not have, and for more than a million values.
    pub fn to_json(&self) -> Result<serde_json::Value, EvaluationError> {
        let mut left = MAX_JSON_VALUES;
        self.json(&mut left)
    }

    fn json(&self, left: &mut u32) -> Result<serde_json::Value, EvaluationError> {
        use serde_json::Value as Json;
        *left = left.checked_sub(1).ok_or_else(|| EvaluationError::failed("the value is too large to be written as JSON"))?;
        Ok(match self {
            Self::Null | Self::Optional(None) => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => Json::from(*value),
            Self::UInt(value) => Json::from(*value),
            Self::Double(value) => serde_json::Number::from_f64(*value)
                .map(Json::Number)
                .ok_or_else(|| EvaluationError::failed(format!("the double {value} has no JSON form")))?,
            Self::String(text) => Json::String(text.as_str().to_owned()),
            Self::Bytes(bytes) => Json::String(base64(bytes)),
            Self::List(list) => {
                let mut items = Vec::new();
                for index in 0..list.len() {
                    if let Some(item) = list.get(index) {
                        items.push(item.json(left)?);
                    }
                }
                Json::Array(items)
            }
            Self::Map(map) => {
                let mut entries = serde_json::Map::new();
                for (key, value) in map.sorted_entries() {
                    let name = super::functions::stdlib::to_text(&key)?;
                    entries.insert(name, value.json(left)?);
                }
                Json::Object(entries)
            }
            Self::Timestamp(_) | Self::Duration(_) | Self::Type(_) => Json::String(super::functions::stdlib::to_text(self)?),
            Self::Optional(Some(inner)) => inner.json(left)?,
            Self::Opaque(value) => Json::String(value.text()),
        })
    }
}

/// Standard base64 with padding: how JSON carries `bytes`.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let index = (word >> (18 - 6 * position)) & 63;
            let sign = ALPHABET.get(index as usize).copied().unwrap_or(b'=');
            out.push(if position <= chunk.len() { char::from(sign) } else { '=' });
        }
    }
    out
}
