//! Whether the cluster's nodes know native sidecars.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// Whether the injected agent is a native sidecar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NativeSidecar {
    /// It is.
    Yes,
    /// It is one more container beside the application.
    No,
    /// It is one where Kubernetes is 1.29 or later; where the release is not known, it is.
    #[default]
    Auto,
}

impl NativeSidecar {
    /// Whether the agent stands among the init containers.
    #[must_use]
    pub fn is_native(self) -> bool {
        self != Self::No
    }

    /// What it comes to where the release is known.
    #[must_use]
    pub fn where_known(self, knows_native: bool) -> Self {
        if self == Self::Auto { knows_native.into() } else { self }
    }
}

impl From<bool> for NativeSidecar {
    fn from(native: bool) -> Self {
        if native { Self::Yes } else { Self::No }
    }
}

const AUTO: &str = "auto";

impl Serialize for NativeSidecar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Yes => serializer.serialize_bool(true),
            Self::No => serializer.serialize_bool(false),
            Self::Auto => serializer.serialize_str(AUTO),
        }
    }
}

impl<'de> Deserialize<'de> for NativeSidecar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = NativeSidecar;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("`true`, `false` or `auto`")
            }

            fn visit_bool<E: Error>(self, native: bool) -> Result<Self::Value, E> {
                Ok(native.into())
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
                if word == AUTO { Ok(NativeSidecar::Auto) } else { Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)) }
            }
        }
        deserializer.deserialize_any(Written)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for NativeSidecar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NativeSidecar".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Whether the injected agent is a native sidecar.",
            "oneOf": [{ "type": "boolean" }, { "type": "string", "const": AUTO }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_boolean_or_a_word() {
        for (text, read) in [("true", NativeSidecar::Yes), ("false", NativeSidecar::No), ("\"auto\"", NativeSidecar::Auto)] {
            assert_eq!(serde_json::from_str::<NativeSidecar>(text).unwrap(), read);
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
        let error = serde_json::from_str::<NativeSidecar>("\"never\"").unwrap_err().to_string();
        assert!(error.starts_with("invalid value: string \"never\", expected `true`, `false` or `auto`"), "{error}");
        assert_eq!(NativeSidecar::Auto.where_known(false), NativeSidecar::No);
        assert_eq!(NativeSidecar::Yes.where_known(false), NativeSidecar::Yes);
    }
}
