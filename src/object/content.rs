//! What a patch puts into an object: a value before it stands on any tape.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use super::write::write_string;

/// A value of its own. Names and words that the house chose are borrowed for good, so that writing them costs nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any number.
    Number(Number),
    /// A string.
    Text(Cow<'static, str>),
    /// A list.
    List(Vec<Content>),
    /// A map, its entries in order of their keys: the same content is the same text.
    Map(Vec<(Cow<'static, str>, Content)>),
}

impl Content {
    /// A list of some items.
    #[must_use]
    pub fn list(items: impl Into<Vec<Self>>) -> Self {
        Self::List(items.into())
    }

    /// A map of some entries, whose keys differ.
    #[must_use]
    pub fn map<K: Into<Cow<'static, str>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let mut entries: Vec<_> = entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
        entries.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        Self::Map(entries)
    }

    /// The value of a map's key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The items of a list; none of anything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// Gives a map one entry more, or another value for a key that it has.
    pub fn set(&mut self, key: &'static str, value: Self) {
        let Self::Map(entries) = self else { return };
        match entries.binary_search_by(|(name, _)| name.as_ref().cmp(key)) {
            Ok(at) => {
                if let Some((_, old)) = entries.get_mut(at) {
                    *old = value;
                }
            }
            Err(at) => entries.insert(at, (key.into(), value)),
        }
    }

    /// Appends this value as compact JSON.
    pub(super) fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => {
                let _ = write!(out, "{number}");
            }
            Self::Text(text) => write_string(out, text),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Self::Map(entries) => {
                out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(out, key);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
        }
    }
}

impl From<Value> for Content {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => text.into(),
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Object(entries) => Self::map(entries.into_iter().map(|(key, value)| (key, value.into()))),
        }
    }
}

impl From<bool> for Content {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Content {
    fn from(value: i64) -> Self {
        Self::Number(value.into())
    }
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn is_written_as_the_value_that_it_is() {
        let value = json!({"b": [null, true, -7, 1.5, u64::MAX, "x\n\u{e9}"], "a": {}, "/": {"k": []}});
        let mut content = Content::from(value.clone());
        let mut text = String::new();
        content.write_json(&mut text);
        assert_eq!(text, value.to_string());
        assert_eq!(serde_json::to_string(&content).unwrap(), text);

        content.set("a", "other".into());
        content.set("c", Content::list([false.into()]));
        assert_eq!(content.get("a").and_then(Content::as_str), Some("other"));
        let keys = |content: &Content| serde_json::to_value(content).unwrap().as_object().unwrap().keys().cloned().collect::<String>();
        assert_eq!(keys(&content), "/abc");
        assert_eq!(
            content,
            Content::map([
                ("c", Content::list([false.into()])),
                ("a", "other".into()),
                ("b", value["b"].clone().into()),
                ("/", value["/"].clone().into())
            ])
        );
    }
}
