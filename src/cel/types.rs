//! The types of CEL as the checker knows them: what a row of the function table takes and gives, what a variable is declared as, and
//! what an expression was found to be. They print as cel-go prints them.

use std::fmt;
use std::sync::Arc;

use super::opaque;
use super::value::Value;

/// A type. The rows of the function table are constants, so that a nested type may be borrowed from the program.
#[derive(Clone, Debug)]
pub enum Type {
    /// Anything; decided when the expression is evaluated.
    Dyn,
    /// The type of a part that was refused already; it fits everywhere, so that one mistake is told once.
    Error,
    /// `null_type`
    Null,
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `uint`
    UInt,
    /// `double`
    Double,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// `google.protobuf.Timestamp`
    Timestamp,
    /// `google.protobuf.Duration`
    Duration,
    /// `type(T)`: what a type's name stands for
    Type(Nested),
    /// `list(T)`
    List(Nested),
    /// `map(K, V)`
    Map(Nested, Nested),
    /// `optional_type(T)`
    Optional(Nested),
    /// A type of a library of Kubernetes, known by its name only: `kubernetes.Quantity`, `net.IP`.
    Opaque(&'static str),
    /// An object with a fixed list of fields.
    Object(Arc<dyn ObjectType>),
    /// A type parameter of a row of the function table.
    Parameter(&'static Parameter),
    /// A type that the checker has yet to find out.
    Variable(u32),
}

/// A type inside a type.
#[derive(Clone, Debug)]
pub enum Nested {
    /// Written in the program.
    Constant(&'static Type),
    /// Found by the checker or read from a schema.
    Shared(Arc<Type>),
}

/// A type parameter: the same type wherever it stands in one row.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in the documentation.
    pub name: &'static str,
    /// The types it may be; empty: any. A row with such a parameter stands for one overload a type, as cel-go declares them.
    pub among: &'static [Type],
}

/// An object with a fixed list of fields; schemas read them on demand, since they may be recursive.
pub trait ObjectType: fmt::Debug + Send + Sync {
    /// The name, by which such types are told apart: `io.k8s.api.core.v1.PodSpec`.
    fn name(&self) -> &str;
    /// The type of a field.
    fn field(&self, name: &str) -> Option<Type>;
    /// The names of the fields, to guess what was meant.
    fn fields(&self) -> Vec<String>;
    /// How many characters, items or entries a field holds at most, where its schema says so.
    fn largest(&self, _field: &str) -> Option<u64> {
        None
    }
    /// Whether a field may also be read by its name as a key: a name such as `class` is reserved in CEL. Kubernetes' objects do not.
    fn takes_keys(&self) -> bool {
        false
    }
}

/// A list of anything.
pub const LIST: Type = Type::List(Nested::Constant(&Type::Dyn));
/// A map of anything.
pub const MAP: Type = Type::Map(Nested::Constant(&Type::Dyn), Nested::Constant(&Type::Dyn));
/// A list of strings.
pub const LIST_OF_STRING: Type = Type::List(Nested::Constant(&Type::String));
/// A list of ints.
pub const LIST_OF_INT: Type = Type::List(Nested::Constant(&Type::Int));

/// Any type.
pub const A: Type = Type::Parameter(&Parameter { name: "A", among: &[] });
/// Any other type.
pub const B: Type = Type::Parameter(&Parameter { name: "B", among: &[] });
/// A list of any type.
pub const LIST_OF_A: Type = Type::List(Nested::Constant(&A));
/// A list of lists of any type.
pub const LIST_OF_LIST_OF_A: Type = Type::List(Nested::Constant(&LIST_OF_A));
/// A map of any types.
pub const MAP_OF_A_TO_B: Type = Type::Map(Nested::Constant(&A), Nested::Constant(&B));
/// An optional of any type.
pub const OPTIONAL_OF_A: Type = Type::Optional(Nested::Constant(&A));
/// A list of optionals of any type.
pub const LIST_OF_OPTIONAL_OF_A: Type = Type::List(Nested::Constant(&OPTIONAL_OF_A));
/// The type of any type.
pub const TYPE_OF_A: Type = Type::Type(Nested::Constant(&A));
/// A type that has an order.
pub const COMPARABLE: Type = Type::Parameter(&Parameter {
    name: "T",
    among: &[Type::Int, Type::UInt, Type::Double, Type::Bool, Type::Duration, Type::Timestamp, Type::String, Type::Bytes],
});
/// A list of a type that has an order.
pub const LIST_OF_COMPARABLE: Type = Type::List(Nested::Constant(&COMPARABLE));
/// A type that can be added up.
pub const SUMMABLE: Type = Type::Parameter(&Parameter { name: "T", among: &[Type::Int, Type::UInt, Type::Double, Type::Duration] });
/// What `int` converts.
pub const TO_INT: Type =
    Type::Parameter(&Parameter { name: "T", among: &[Type::Int, Type::Double, Type::Duration, Type::String, Type::Timestamp, Type::UInt] });
/// What `uint` converts.
pub const TO_UINT: Type = Type::Parameter(&Parameter { name: "T", among: &[Type::UInt, Type::Double, Type::Int, Type::String] });
/// What `double` converts.
pub const TO_DOUBLE: Type = Type::Parameter(&Parameter { name: "T", among: &[Type::Double, Type::Int, Type::String, Type::UInt] });
/// What `bool` converts.
pub const TO_BOOL: Type = Type::Parameter(&Parameter { name: "T", among: &[Type::Bool, Type::String] });
/// What `string` converts, beside bytes.
pub const TO_STRING: Type = Type::Parameter(&Parameter {
    name: "T",
    among: &[Type::String, Type::Bool, Type::Double, Type::Duration, Type::Int, Type::Timestamp, Type::UInt],
});
/// What `timestamp` converts.
pub const TO_TIMESTAMP: Type = Type::Parameter(&Parameter { name: "T", among: &[Type::Timestamp, Type::Int, Type::String] });
/// What `duration` converts.
pub const TO_DURATION: Type = Type::Parameter(&Parameter { name: "T", among: &[Type::Duration, Type::String] });
/// A list of a type that can be added up.
pub const LIST_OF_SUMMABLE: Type = Type::List(Nested::Constant(&SUMMABLE));

/// The type that a name of the language stands for, with the name itself: of `int` int, of `list` a list of anything.
pub(super) fn named(name: &str) -> Option<(&'static str, &'static Type)> {
    const NAMES: &[(&str, &Type)] = &[
        ("bool", &Type::Bool),
        ("bytes", &Type::Bytes),
        ("double", &Type::Double),
        ("google.protobuf.Duration", &Type::Duration),
        ("google.protobuf.Timestamp", &Type::Timestamp),
        ("int", &Type::Int),
        ("list", &LIST),
        ("map", &MAP),
        (opaque::CIDR, &Type::Opaque(opaque::CIDR)),
        (opaque::IP, &Type::Opaque(opaque::IP)),
        ("null_type", &Type::Null),
        ("optional_type", &Type::Optional(Nested::Constant(&Type::Dyn))),
        ("string", &Type::String),
        ("type", &Type::Type(Nested::Constant(&Type::Dyn))),
        ("uint", &Type::UInt),
    ];
    NAMES.iter().find(|(known, _)| *known == name).copied()
}

impl Nested {
    /// The type.
    #[must_use]
    pub fn get(&self) -> &Type {
        match self {
            Self::Constant(inner) => inner,
            Self::Shared(inner) => inner,
        }
    }
}

impl From<Type> for Nested {
    fn from(inner: Type) -> Self {
        Self::Shared(Arc::new(inner))
    }
}

impl Type {
    /// `list(item)`
    #[must_use]
    pub fn list(item: Self) -> Self {
        Self::List(item.into())
    }

    /// `map(key, value)`
    #[must_use]
    pub fn map(key: Self, value: Self) -> Self {
        Self::Map(key.into(), value.into())
    }

    /// `optional_type(inner)`
    #[must_use]
    pub fn optional(inner: Self) -> Self {
        Self::Optional(inner.into())
    }

    /// The type of a field of an object or of a value of a map.
    ///
    /// # Errors
    /// In cel-go's words, with the field that may have been meant.
    pub fn member(&self, field: &str) -> Result<Self, String> {
        match self {
            Self::Map(_, value) => Ok(value.get().clone()),
            Self::Object(object) => object.field(field).ok_or_else(|| {
                let names = object.fields();
                format!("undefined field '{field}'{}", super::error::nearest(field, names.iter().map(String::as_str)))
            }),
            open if open.is_open() => Ok(Self::Dyn),
            // cel-go declares Kubernetes' types as messages, addresses and networks excepted, and then does not find the message.
            Self::Opaque(name) if !matches!(*name, opaque::IP | opaque::CIDR) => Err(format!("unexpected failed resolution of '{name}'")),
            other => Err(format!("type '{other}' does not support field selection")),
        }
    }

    /// The name of a value's type when it is evaluated: of `list(int)` it is `list`.
    pub(super) fn type_name(&self) -> &str {
        match self {
            Self::Dyn | Self::Parameter(_) | Self::Variable(_) => "dyn",
            Self::Error => "!error!",
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::UInt => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::Type(_) => "type",
            Self::List(_) => "list",
            Self::Map(_, _) => "map",
            Self::Optional(_) => "optional_type",
            Self::Opaque(name) => name,
            Self::Object(object) => object.name(),
        }
    }

    /// Whether a value may be of this type, as far as overloads are told apart when an expression is evaluated: by what a value is,
    /// not by what is inside.
    #[inline]
    pub(super) fn accepts(&self, value: &Value<'_>) -> bool {
        if let Self::Parameter(parameter) = self {
            return parameter.among.is_empty() || parameter.among.iter().any(|one| one.accepts(value));
        }
        if let Value::Opaque(value) = value {
            return matches!(self, Self::Dyn) || matches!(self, Self::Opaque(name) if *name == value.type_name());
        }
        matches!(
            (self, value),
            (Self::Dyn, _)
                | (Self::Bool, Value::Bool(_))
                | (Self::Int, Value::Int(_))
                | (Self::UInt, Value::UInt(_))
                | (Self::Double, Value::Double(_))
                | (Self::String, Value::String(_))
                | (Self::Bytes, Value::Bytes(_))
                | (Self::List(_), Value::List(_))
                | (Self::Map(_, _), Value::Map(_))
                | (Self::Timestamp, Value::Timestamp(_))
                | (Self::Duration, Value::Duration(_))
                | (Self::Type(_), Value::Type(_))
                | (Self::Optional(_), Value::Optional(_))
                | (Self::Null, Value::Null)
        )
    }

    /// Whether nothing is known of the type before the expression is evaluated.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Dyn | Self::Error | Self::Parameter(_) | Self::Variable(_))
    }

    /// Whether both types may be those of one value, without looking inside.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        if let Self::Parameter(parameter) = self
            && !parameter.among.is_empty()
        {
            return other.is_open() || parameter.among.iter().any(|one| one.may_be(other));
        }
        if let (Self::Opaque(name), Self::Opaque(other)) = (self, other) {
            return name == other;
        }
        self.is_open() || other.is_open() || std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// As cel-go's checker prints a type in its errors.
impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => formatter.write_str("dyn"),
            Self::Error => formatter.write_str("!error!"),
            Self::Null => formatter.write_str("null"),
            Self::Bool => formatter.write_str("bool"),
            Self::Int => formatter.write_str("int"),
            Self::UInt => formatter.write_str("uint"),
            Self::Double => formatter.write_str("double"),
            Self::String => formatter.write_str("string"),
            Self::Bytes => formatter.write_str("bytes"),
            Self::Timestamp => formatter.write_str("timestamp"),
            Self::Duration => formatter.write_str("duration"),
            Self::Type(inner) => write!(formatter, "type({})", inner.get()),
            Self::List(item) => write!(formatter, "list({})", item.get()),
            Self::Map(key, value) => write!(formatter, "map({}, {})", key.get(), value.get()),
            Self::Optional(inner) => write!(formatter, "optional_type({})", inner.get()),
            Self::Opaque(name) => formatter.write_str(name),
            Self::Object(object) => formatter.write_str(object.name()),
            Self::Parameter(parameter) => formatter.write_str(parameter.name),
            Self::Variable(number) => write!(formatter, "_var{number}"),
        }
    }
}
