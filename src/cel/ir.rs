//! The intermediate form of an expression: names resolved to slots, macros to loops, functions to rows of the table.

use std::ops::Range;

use regex::bytes::Regex;

use super::collections::{ConstantList, ConstantMap, List, Map, key_order};
use super::functions::Function;
use super::types::{self, Type};
use super::value::{Text, Timestamp, Value};

/// A part of an expression with the bytes of source it stands for.
#[derive(Debug)]
pub(super) struct Ir {
    pub(super) op: Op,
    pub(super) span: Range<u32>,
}

/// What a part does. `cost` is what naming it costs: cel-go does not charge a name that stands alone as an index or as the branch of
/// a condition, and charges one more where a field is taken of something that is no name.
#[derive(Debug)]
pub(super) enum Op {
    Constant(Constant),
    /// A variable of the scope.
    Variable {
        slot: usize,
        cost: u8,
    },
    /// A variable of an enclosing macro, by its place on the stack of such variables.
    Local {
        index: usize,
        cost: u8,
    },
    Select {
        operand: Box<Ir>,
        field: Box<str>,
        cost: u8,
    },
    /// `operand.?field`
    OptionalSelect {
        operand: Box<Ir>,
        field: Box<str>,
        cost: u8,
    },
    Has {
        operand: Box<Ir>,
        field: Box<str>,
        cost: u8,
    },
    Index {
        operands: Box<[Ir; 2]>,
        cost: u8,
    },
    /// `operand[?index]`
    OptionalIndex {
        operands: Box<[Ir; 2]>,
        cost: u8,
    },
    Not(Box<Ir>),
    Negate(Box<Ir>),
    And(Box<[Ir]>),
    Or(Box<[Ir]>),
    Conditional(Box<[Ir; 3]>),
    Binary {
        operator: Operator,
        operands: Box<[Ir; 2]>,
        /// Whether the operands are known to be strings or bytes, whose length is charged.
        sized: bool,
    },
    /// `needle in haystack`
    In {
        operands: Box<[Ir; 2]>,
        /// Whether the haystack is known to be a list, whose length is charged.
        sized: bool,
    },
    /// `needle in [constants]`: free in cel-go.
    Member {
        needle: Box<Ir>,
        members: Box<[Constant]>,
    },
    /// Each item with whether it is optional.
    List(Box<[(bool, Ir)]>),
    /// Each entry with whether it is optional.
    Map(Box<[(bool, [Ir; 2])]>),
    Call(Box<Call>),
    Comprehension(Box<Comprehension>),
    /// `target.optMap(x, body)`, `target.optFlatMap(x, body)`
    OptionalMap {
        operands: Box<[Ir; 2]>,
        local: usize,
        flat: bool,
    },
    /// `target.or(other)`, `target.orValue(other)`: the other side is evaluated only when it is needed.
    OptionalOr {
        operands: Box<[Ir; 2]>,
        value: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equals,
    NotEquals,
    Less,
    LessEquals,
    Greater,
    GreaterEquals,
}

/// A call of a function of the table.
#[derive(Debug)]
pub(super) struct Call {
    /// The rows of this name and number of arguments; the first one whose types fit is run.
    pub(super) candidates: Box<[&'static Function]>,
    pub(super) arguments: Box<[Ir]>,
    /// The regular expression, if it is constant.
    pub(super) regex: Option<Regex>,
}

/// A macro over the items of a list or the entries of a map.
#[derive(Debug)]
pub(super) struct Comprehension {
    pub(super) form: Form,
    pub(super) range: Ir,
    /// Place of the first variable on the stack.
    pub(super) local: usize,
    /// Whether there are two: index and item, or key and value.
    pub(super) two: bool,
    /// The condition of `map`, `transformList` and `transformMap`, if there is one.
    pub(super) filter: Option<Ir>,
    pub(super) body: Ir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    All,
    Exists,
    ExistsOne,
    /// `map` and `transformList`
    List,
    Filter,
    /// `transformMap`
    Map,
    /// `transformMapEntry`
    Entry,
    /// `sortBy`
    SortBy,
}

/// A value known when the expression is compiled; unlike [`Value`] it may be shared between threads.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    String(Box<str>),
    Bytes(Box<[u8]>),
    List(Box<[Constant]>),
    Map(Box<[(Constant, Constant)]>),
    Timestamp(Timestamp),
    Duration(i64),
    Type(&'static str),
}

impl Constant {
    #[inline]
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::UInt(value) => Value::UInt(*value),
            Self::Double(value) => Value::Double(*value),
            Self::String(text) => Value::String(Text::Borrowed(text)),
            Self::Bytes(bytes) => Value::Bytes(bytes.as_ref().into()),
            Self::List(items) => Value::List(List::Constant(ConstantList(items))),
            Self::Map(entries) => Value::Map(Map::Constant(ConstantMap(entries))),
            Self::Timestamp(value) => Value::Timestamp(*value),
            Self::Duration(value) => Value::Duration(*value),
            Self::Type(name) => Value::Type(name),
        }
    }

    /// Whether cel-go makes a set of such constants.
    pub(super) fn is_primitive(&self) -> bool {
        matches!(self, Self::Bool(_) | Self::Int(_) | Self::UInt(_) | Self::Double(_) | Self::String(_))
    }

    /// The constant of a scalar value; nothing for what only an evaluation can hold.
    pub(super) fn of(value: &Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::UInt(value) => Self::UInt(*value),
            Value::Double(value) => Self::Double(*value),
            Value::String(text) => Self::String(text.as_str().into()),
            Value::Bytes(bytes) => Self::Bytes(bytes.as_ref().into()),
            Value::Timestamp(value) => Self::Timestamp(*value),
            Value::Duration(value) => Self::Duration(*value),
            Value::Type(name) => Self::Type(name),
            Value::List(_) | Value::Map(_) | Value::Optional(_) => return None,
        })
    }
}

impl Ir {
    /// What is known of the type without a checker; nothing of what is inside a list, a map or an optional.
    pub(super) fn known_type(&self) -> Type {
        match &self.op {
            Op::Constant(constant) => match constant {
                Constant::Bool(_) => Type::Bool,
                Constant::Int(_) => Type::Int,
                Constant::UInt(_) => Type::UInt,
                Constant::Double(_) => Type::Double,
                Constant::String(_) => Type::String,
                Constant::Bytes(_) => Type::Bytes,
                Constant::List(_) => types::LIST,
                Constant::Map(_) => types::MAP,
                Constant::Timestamp(_) => Type::Timestamp,
                Constant::Duration(_) => Type::Duration,
                Constant::Type(name) => Type::Type(Type::named(name).unwrap_or(Type::Dyn).into()),
                Constant::Null => Type::Dyn,
            },
            Op::Has { .. } | Op::Not(_) | Op::And(_) | Op::Or(_) | Op::In { .. } | Op::Member { .. } => Type::Bool,
            Op::Binary { operator: Operator::Add, operands, .. } => match operands.each_ref().map(Ir::known_type) {
                [open, known] | [known, open] if open.is_open() => known,
                [left, right] if left.may_be(&right) => left,
                _ => Type::Dyn,
            },
            Op::List(_) => types::LIST,
            Op::Map(_) => types::MAP,
            Op::Call(call) => call.candidates.first().map_or(Type::Dyn, |function| function.result.clone()),
            Op::Comprehension(comprehension) => match comprehension.form {
                Form::All | Form::Exists | Form::ExistsOne => Type::Bool,
                Form::List | Form::Filter | Form::SortBy => types::LIST,
                Form::Map | Form::Entry => types::MAP,
            },
            _ => Type::Dyn,
        }
    }

    /// Whether cel-go plans this as an attribute: a name, or fields and indexes of something.
    pub(super) fn is_attribute(&self) -> bool {
        matches!(
            self.op,
            Op::Variable { .. }
                | Op::Local { .. }
                | Op::Select { .. }
                | Op::OptionalSelect { .. }
                | Op::Index { .. }
                | Op::OptionalIndex { .. }
                | Op::Conditional(_)
        )
    }

    /// Takes away what naming the root of an attribute costs.
    pub(super) fn without_name_cost(mut self) -> Self {
        let mut part = &mut self;
        loop {
            match &mut part.op {
                Op::Variable { cost, .. } | Op::Local { cost, .. } => {
                    *cost = 0;
                    break;
                }
                Op::Select { operand, cost, .. } | Op::OptionalSelect { operand, cost, .. } => {
                    if !operand.is_attribute() {
                        *cost = cost.saturating_sub(1);
                        break;
                    }
                    part = operand;
                }
                Op::Index { operands, cost } | Op::OptionalIndex { operands, cost } => {
                    let [operand, _] = &mut **operands;
                    if !operand.is_attribute() {
                        *cost = cost.saturating_sub(1);
                        break;
                    }
                    part = operand;
                }
                _ => break,
            }
        }
        self
    }
}

impl Op {
    /// A list of constants is itself one.
    pub(super) fn of_list(items: Vec<(bool, Ir)>) -> Self {
        if items.iter().any(|(optional, item)| *optional || !matches!(item.op, Op::Constant(_))) {
            return Op::List(items.into());
        }
        let constants = items.into_iter().filter_map(|(_, item)| if let Op::Constant(value) = item.op { Some(value) } else { None });
        Op::Constant(Constant::List(constants.collect()))
    }

    /// A map of constants is itself one; of a key written twice the last value counts.
    pub(super) fn of_map(entries: Vec<(bool, [Ir; 2])>) -> Self {
        let scalar = |key: &Ir| matches!(&key.op, Op::Constant(key) if !matches!(key, Constant::List(_) | Constant::Map(_)));
        if entries.iter().any(|(optional, [key, value])| *optional || !scalar(key) || !matches!(value.op, Op::Constant(_))) {
            return Op::Map(entries.into());
        }
        let mut constants: Vec<(Constant, Constant)> = Vec::with_capacity(entries.len());
        for (_, [key, value]) in entries {
            if let (Op::Constant(key), Op::Constant(value)) = (key.op, value.op) {
                match constants.binary_search_by(|(known, _)| key_order(&known.value(), &key.value())) {
                    Ok(found) => {
                        if let Some(entry) = constants.get_mut(found) {
                            entry.1 = value;
                        }
                    }
                    Err(place) => constants.insert(place, (key, value)),
                }
            }
        }
        Op::Constant(Constant::Map(constants.into()))
    }
}
