//! The intermediate form of an expression: names resolved to slots, macros to loops, functions to rows of the table.

use std::ops::Range;

use super::collections::{ConstantList, ConstantMap, List, Map, key_order};
use super::functions::{Function, Pattern};
use super::types::{self, Nested, Type};
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
        /// Whether nothing is known of its type.
        open: bool,
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
    /// `has()` of a variable of the scope with its whole dotted name.
    Declared(usize),
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
    /// Its name in the table.
    pub(super) name: &'static str,
    /// Whether it was called as `x.f()`; the receiver is the first argument.
    pub(super) receiver: bool,
    /// The rows of this name and number of arguments; the first one whose types fit is run.
    pub(super) candidates: Box<[&'static Function]>,
    pub(super) arguments: Box<[Ir]>,
    /// The regular expression, if it is constant.
    pub(super) regex: Option<Pattern>,
    /// Whether nothing is known of the items of the list that it is called on.
    pub(super) open: bool,
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
    /// `dyn(constant)`: the same value, of a type that is not known.
    Dyn(Box<Constant>),
}

impl Operator {
    /// The function's name in cel-go.
    pub(super) fn function(self) -> &'static str {
        match self {
            Self::Add => "_+_",
            Self::Subtract => "_-_",
            Self::Multiply => "_*_",
            Self::Divide => "_/_",
            Self::Modulo => "_%_",
            Self::Equals => "_==_",
            Self::NotEquals => "_!=_",
            Self::Less => "_<_",
            Self::LessEquals => "_<=_",
            Self::Greater => "_>_",
            Self::GreaterEquals => "_>=_",
        }
    }
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
            Self::Dyn(constant) => constant.value(),
        }
    }

    /// The constant without `dyn()`.
    pub(super) fn plain(self) -> Self {
        if let Self::Dyn(constant) = self { *constant } else { self }
    }

    /// Whether cel-go makes a set of such constants.
    pub(super) fn is_primitive(&self) -> bool {
        match self {
            Self::Dyn(constant) => constant.is_primitive(),
            constant => matches!(constant, Self::Bool(_) | Self::Int(_) | Self::UInt(_) | Self::Double(_) | Self::String(_)),
        }
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
            Value::List(_) | Value::Map(_) | Value::Optional(_) | Value::Opaque(_) => return None,
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
                Constant::Type(name) => Type::Type(Nested::Constant(types::named(name).map_or(&Type::Dyn, |(_, named)| named))),
                Constant::Null | Constant::Dyn(_) => Type::Dyn,
            },
            Op::Has { .. } | Op::Declared(_) | Op::Not(_) | Op::And(_) | Op::Or(_) | Op::In { .. } | Op::Member { .. } => Type::Bool,
            Op::Binary { operator: Operator::Add, operands, .. } => match operands.each_ref().map(Ir::known_type) {
                [_, Type::Timestamp] | [Type::Timestamp, _] => Type::Timestamp,
                // A duration is added to a duration or to a point in time.
                [open, Type::Duration] | [Type::Duration, open] if open.is_open() => Type::Dyn,
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
                | Op::OptionalMap { .. }
        )
    }

    /// Whether the attribute begins with a condition, which is not charged as a name is.
    pub(super) fn begins_with_condition(&self) -> bool {
        let mut part = self;
        loop {
            part = match &part.op {
                // `optMap` is one there: `has value ? optional.of(..) : none`.
                Op::Conditional(_) | Op::OptionalMap { .. } => return true,
                Op::Select { operand, .. } | Op::OptionalSelect { operand, .. } => operand,
                Op::Index { operands, .. } | Op::OptionalIndex { operands, .. } => {
                    let [operand, _] = &**operands;
                    operand
                }
                _ => return false,
            }
        }
    }

    /// Whether cel-go's checker knows nothing of the type: what stems from an object. It cannot tell the overload of a call then, and
    /// charges 1 for it.
    pub(super) fn is_open(&self) -> bool {
        match &self.op {
            Op::Constant(constant) => matches!(constant, Constant::Dyn(_)),
            Op::Local { open, .. } => *open,
            Op::Variable { .. } | Op::OptionalSelect { .. } | Op::OptionalIndex { .. } | Op::OptionalMap { .. } | Op::OptionalOr { .. } => {
                true
            }
            Op::Select { operand, .. } => operand.items_are_open(),
            Op::Index { operands, .. } => {
                let [operand, _] = &**operands;
                operand.items_are_open()
            }
            Op::Conditional(parts) => {
                let [_, yes, no] = &**parts;
                yes.is_open() || no.is_open()
            }
            Op::Negate(operand) => operand.is_open(),
            Op::Binary { operator, operands, .. } => {
                use Operator::{Add, Divide, Modulo, Multiply, Subtract};
                matches!(operator, Add | Subtract | Multiply | Divide | Modulo) && operands.iter().all(Self::is_open)
            }
            Op::Call(call) => matches!(call.candidates.first().map(|function| function.name), Some("dyn" | "value")),
            _ => false,
        }
    }

    /// The same of the items of a list or the entries of a map.
    pub(super) fn items_are_open(&self) -> bool {
        match &self.op {
            Op::Constant(Constant::List(items)) => items.iter().any(|item| matches!(item, Constant::Dyn(_))),
            Op::Constant(Constant::Map(entries)) => entries.iter().any(|(_, value)| matches!(value, Constant::Dyn(_))),
            Op::List(items) => items.iter().any(|(optional, item)| *optional || item.is_open()),
            Op::Map(entries) => entries.iter().any(|(optional, [_, value])| *optional || value.is_open()),
            Op::Comprehension(comprehension) => match comprehension.form {
                Form::List | Form::Map | Form::Entry => comprehension.body.is_open(),
                _ => comprehension.range.items_are_open(),
            },
            Op::Binary { operands, .. } if matches!(self.known_type(), Type::Dyn | Type::List(_)) => match &**operands {
                // What nothing is known of takes the items of what it is added to.
                [open, other] | [other, open] if open.is_open() => other.items_are_open(),
                both => both.iter().any(Self::items_are_open),
            },
            Op::Binary { .. } => false,
            Op::Call(call) => match (call.candidates.first().map(|function| function.name), &*call.arguments) {
                (Some("sort" | "reverse" | "distinct" | "slice" | "flatten"), [list, ..]) => list.items_are_open(),
                (Some("unwrapOpt" | "optional.unwrap"), _) => true,
                _ => self.is_open(),
            },
            _ => self.is_open(),
        }
    }

    /// Takes away what naming the root of an attribute costs.
    pub(super) fn without_name_cost(mut self) -> Self {
        let mut part = &mut self;
        loop {
            match &mut part.op {
                // Of a dotted name the field is still charged.
                Op::Variable { cost, .. } | Op::Local { cost, .. } => {
                    *cost = cost.saturating_sub(1);
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
    /// Visits the parts, in the order in which they are evaluated.
    pub(super) fn try_each_part<E>(&mut self, visit: &mut dyn FnMut(&mut Ir) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::Constant(_) | Self::Variable { .. } | Self::Local { .. } | Self::Declared(_) => Ok(()),
            Self::Select { operand, .. } | Self::OptionalSelect { operand, .. } | Self::Has { operand, .. } => visit(operand),
            Self::Not(operand) | Self::Negate(operand) | Self::Member { needle: operand, .. } => visit(operand),
            Self::Index { operands, .. }
            | Self::OptionalIndex { operands, .. }
            | Self::Binary { operands, .. }
            | Self::In { operands, .. }
            | Self::OptionalMap { operands, .. }
            | Self::OptionalOr { operands, .. } => operands.iter_mut().try_for_each(visit),
            Self::And(terms) | Self::Or(terms) => terms.iter_mut().try_for_each(visit),
            Self::Conditional(parts) => parts.iter_mut().try_for_each(visit),
            Self::List(items) => items.iter_mut().try_for_each(|(_, item)| visit(item)),
            Self::Map(entries) => entries.iter_mut().flat_map(|(_, entry)| entry).try_for_each(visit),
            Self::Call(call) => call.arguments.iter_mut().try_for_each(visit),
            Self::Comprehension(comprehension) => {
                visit(&mut comprehension.range)?;
                comprehension.filter.iter_mut().try_for_each(&mut *visit)?;
                visit(&mut comprehension.body)
            }
        }
    }

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
        let scalar = |key: &Ir| matches!(&key.op, Op::Constant(key) if !matches!(key.value(), Value::List(_) | Value::Map(_)));
        if entries.iter().any(|(optional, [key, value])| *optional || !scalar(key) || !matches!(value.op, Op::Constant(_))) {
            return Op::Map(entries.into());
        }
        let mut constants: Vec<(Constant, Constant)> = Vec::with_capacity(entries.len());
        for (_, [key, value]) in entries {
            if let (Op::Constant(key), Op::Constant(value)) = (key.op, value.op) {
                let key = key.plain();
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
