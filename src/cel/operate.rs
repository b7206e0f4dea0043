//! The operators: arithmetic that never wraps, equality and order across the numeric types, membership, indexing.

use std::cmp::Ordering;

use super::collections::{List, Map};
use super::cost::{self, Budget};
use super::error::EvaluationError;
use super::evaluate::{Frame, Outcome};
use super::functions::time;
use super::ir::{Ir, Operator};
use super::value::Value;

impl<'a> Frame<'_, 'a> {
    #[inline(never)]
    pub(super) fn binary(&mut self, operator: Operator, operands: &'a [Ir; 2], sized: bool) -> Outcome<'a> {
        let (left, right) = match self.both(operands) {
            // What rules compute most: whatever the operator is, two scalars cost 1.
            [Ok(Value::Int(left)), Ok(Value::Int(right))] => {
                self.budget.charge(1)?;
                return integers(operator, left, right);
            }
            [Ok(left), Ok(right)] => (left, right),
            [Err(error), _] | [_, Err(error)] if error.is_fatal() => return Err(error),
            [Err(left), Err(right)] => {
                self.budget.charge(1)?;
                return Err(EvaluationError::prefer(Some(left), right));
            }
            // Whatever has no value has the size 1.
            [Err(error), Ok(other)] | [Ok(other), Err(error)] => {
                let size = match operator {
                    Operator::Add if sized => 1 + other.cost_size(),
                    operator if compares_sizes(operator, sized) => other.cost_size().min(1),
                    _ => 1,
                };
                self.budget.charge(cost::traversal(size, 0.1))?;
                return Err(error);
            }
        };
        let shorter = || cost::traversal(left.smaller_size(&right), 0.1);
        self.budget.charge(match operator {
            // Kubernetes' own: whatever the size is, but not for `!=`.
            Operator::Equals if left.as_opaque().is_some() => 1,
            operator if compares_sizes(operator, sized) => shorter(),
            Operator::Add if sized => cost::traversal(left.cost_size() + right.cost_size(), 0.1),
            // cel-go charges 1 where it does not know that these are strings; a row of variables could double one without end.
            Operator::Add => {
                let size = joined_size(&left, &right).unwrap_or(0);
                self.budget.read(size)?;
                if size > FREE_TEXT { size as u64 / 10 } else { 1 }
            }
            _ => 1,
        })?;
        match operator {
            _ if !has_operator(&left, operator) => Err(without_operator(&left, operator.function())),
            Operator::Equals => equal(&left, &right, self.budget).map(Value::Bool),
            // What cannot be compared is not equal, though `==` fails.
            Operator::NotEquals => is_equal(&left, &right, self.budget).map(|same| Value::Bool(!same)),
            Operator::Less | Operator::LessEquals | Operator::Greater | Operator::GreaterEquals => {
                self.budget.read(left.bytes().min(right.bytes()))?;
                let order = order(&left, &right)?;
                Ok(Value::Bool(match operator {
                    Operator::Less => order.is_lt(),
                    Operator::LessEquals => order.is_le(),
                    Operator::Greater => order.is_gt(),
                    _ => order.is_ge(),
                }))
            }
            Operator::Add => add(left, right),
            _ => arithmetic(operator, &left, &right),
        }
    }

    #[inline(never)]
    pub(super) fn contains(&mut self, operands: &'a [Ir; 2], sized: bool) -> Outcome<'a> {
        let (needle, haystack) = match self.both(operands) {
            [Ok(needle), Ok(haystack)] => (needle, haystack),
            [Err(error), _] | [_, Err(error)] if error.is_fatal() => return Err(error),
            [needle, haystack] => {
                self.budget.charge(haystack.as_ref().map_or(1, |haystack| if sized { haystack.cost_size() } else { 1 }))?;
                let second = haystack.err();
                return Err(match (needle.err(), second) {
                    (first, Some(second)) => EvaluationError::prefer(first, second),
                    (first, None) => first.unwrap_or_else(EvaluationError::no_such_overload),
                });
            }
        };
        self.budget.charge(if sized { haystack.cost_size() } else { 1 })?;
        Ok(Value::Bool(match &haystack {
            Value::List(list) => contains(list, &needle, self.budget, if sized { PAID } else { COMPARED })?,
            Value::Map(map) => {
                self.budget.search(map.len())?;
                map.get(&needle).is_some()
            }
            _ => return Err(EvaluationError::no_such_overload()),
        }))
    }
}

fn integers<'a>(operator: Operator, left: i64, right: i64) -> Outcome<'a> {
    Ok(Value::Bool(match operator {
        Operator::Equals => left == right,
        Operator::NotEquals => left != right,
        Operator::Less => left < right,
        Operator::LessEquals => left <= right,
        Operator::Greater => left > right,
        Operator::GreaterEquals => left >= right,
        _ => return int_arithmetic(operator, left, right).map(Value::Int),
    }))
}

/// Whether an operator is charged by the size of the smaller operand.
fn compares_sizes(operator: Operator, sized: bool) -> bool {
    match operator {
        Operator::Equals | Operator::NotEquals => true,
        Operator::Less | Operator::LessEquals | Operator::Greater | Operator::GreaterEquals => sized,
        _ => false,
    }
}

/// Whether cel-go's type of a value has the operator at all.
fn has_operator(left: &Value<'_>, operator: Operator) -> bool {
    match operator {
        Operator::Equals | Operator::NotEquals => true,
        Operator::Add if matches!(left, Value::String(_) | Value::Bytes(_) | Value::List(_)) => true,
        Operator::Add | Operator::Subtract => {
            matches!(left, Value::Int(_) | Value::UInt(_) | Value::Double(_) | Value::Timestamp(_) | Value::Duration(_))
        }
        Operator::Multiply | Operator::Divide => matches!(left, Value::Int(_) | Value::UInt(_) | Value::Double(_)),
        Operator::Modulo => matches!(left, Value::Int(_) | Value::UInt(_)),
        Operator::Less | Operator::LessEquals | Operator::Greater | Operator::GreaterEquals => {
            let number = matches!(left, Value::Int(_) | Value::UInt(_) | Value::Double(_));
            let text = matches!(left, Value::Bool(_) | Value::String(_) | Value::Bytes(_));
            number || text || matches!(left, Value::Timestamp(_) | Value::Duration(_))
        }
    }
}

/// The error of a type that lacks an operator names it, but for the types that have methods of their own.
pub(super) fn without_operator(operand: &Value<'_>, function: &str) -> EvaluationError {
    match operand {
        Value::String(_) | Value::Timestamp(_) | Value::Duration(_) => EvaluationError::no_such_overload(),
        // A bool can be negated, by `!`.
        Value::Bool(_) if function == "-_" => EvaluationError::no_such_overload(),
        _ => EvaluationError::failed(format!("no such overload: {function}")),
    }
}

/// Bytes of a text made by `+` that are not charged where cel-go would not.
const FREE_TEXT: usize = 64 * 1024;

/// The bytes of two texts together.
fn joined_size(left: &Value<'_>, right: &Value<'_>) -> Option<usize> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.as_str().len() + right.as_str().len()),
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.len() + right.len()),
        _ => None,
    }
}

/// Steps that comparing two items takes.
const COMPARED: u64 = 4;
/// The same where each comparison is charged.
pub(super) const PAID: u64 = 1;

/// Whether a list holds a value; each comparison is so many steps.
pub(super) fn contains(list: &List<'_>, needle: &Value<'_>, budget: &Budget<'_>, steps: u64) -> Result<bool, EvaluationError> {
    for item in list.items() {
        budget.free(steps)?;
        if is_equal(needle, &item, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// CEL's equality: across the numeric types by value, deep for lists and maps, false for values of different types.
pub(super) fn equal(left: &Value<'_>, right: &Value<'_>, budget: &Budget<'_>) -> Result<bool, EvaluationError> {
    Ok(match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::String(left), Value::String(right)) => {
            let (left, right) = (left.as_str(), right.as_str());
            if left.len() == right.len() {
                budget.read(left.len())?;
            }
            left == right
        }
        (Value::Int(_) | Value::UInt(_) | Value::Double(_), Value::Int(_) | Value::UInt(_) | Value::Double(_)) => {
            compare_numbers(left, right) == Some(Ordering::Equal)
        }
        (Value::Bytes(left), Value::Bytes(right)) => {
            budget.read(left.len().min(right.len()))?;
            left == right
        }
        (Value::Timestamp(left), Value::Timestamp(right)) => left.instant() == right.instant(),
        (Value::Duration(left), Value::Duration(right)) => left == right,
        (Value::Type(left), Value::Type(right)) => left == right,
        (Value::List(left), Value::List(right)) => return equal_lists(left, right, budget),
        (Value::Map(left), Value::Map(right)) => return equal_maps(left, right, budget),
        (Value::Optional(None), Value::Optional(None)) => true,
        (Value::Optional(Some(left)), Value::Optional(Some(right))) => {
            return left.as_opaque().map_or_else(|| equal(left, right, budget), |left| left.equals(right));
        }
        (Value::Opaque(_), Value::Null) => false,
        (Value::Opaque(left), right) => {
            budget.read(left.bytes())?;
            return left.equals(right);
        }
        _ => false,
    })
}

/// Whether two values are equal, where cel-go looks for one among others: what cannot be compared is not equal.
pub(super) fn is_equal(left: &Value<'_>, right: &Value<'_>, budget: &Budget<'_>) -> Result<bool, EvaluationError> {
    equal(left, right, budget).or_else(|error| if error.is_fatal() { Err(error) } else { Ok(false) })
}

fn equal_lists(left: &List<'_>, right: &List<'_>, budget: &Budget<'_>) -> Result<bool, EvaluationError> {
    if left.len() != right.len() {
        return Ok(false);
    }
    if left.is(right) {
        return Ok(true);
    }
    let is_concatenated = matches!(left, List::Concatenation(_));
    let mut failure = None;
    for (left, right) in left.items().zip(right.items()) {
        budget.free(COMPARED)?;
        match equal(&left, &right, budget) {
            Ok(true) => {}
            Err(error) if error.is_fatal() => return Err(error),
            // cel-go takes items that cannot be compared for equal, but not in a list that `+` made.
            Err(error) => failure = failure.or(is_concatenated.then_some(error)),
            Ok(false) => return Ok(false),
        }
    }
    failure.map_or(Ok(true), Err)
}

fn equal_maps(left: &Map<'_>, right: &Map<'_>, budget: &Budget<'_>) -> Result<bool, EvaluationError> {
    if left.len() != right.len() {
        return Ok(false);
    }
    // As in lists, what cannot be compared is taken for equal.
    let same = |left: &Value<'_>, right: &Value<'_>| {
        equal(left, right, budget).or_else(|error| if error.is_fatal() { Err(error) } else { Ok(true) })
    };
    if let (Map::Node(_), Map::Node(_)) = (left, right) {
        // The keys of both are texts, and so equal in the same order.
        budget.order(left.len().saturating_mul(2))?;
        for ((key, value), (twin, other)) in left.sorted_entries().iter().zip(&right.sorted_entries()) {
            budget.free(4)?;
            if key.as_str() != twin.as_str() || !same(value, other)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    if left.is(right) {
        return Ok(true);
    }
    budget.order(left.len())?;
    for (key, value) in left.sorted_entries() {
        budget.free(1)?;
        budget.search(right.len())?;
        match right.get(&key) {
            Some(other) if same(&value, &other)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// The order of two numbers of any types; none if one is not a number.
#[expect(clippy::cast_precision_loss, reason = "cel-go compares a double with an integer as doubles, inside the integer's range")]
fn compare_numbers(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    const MAX_INT: f64 = i64::MAX as f64;
    const MIN_INT: f64 = i64::MIN as f64;
    const MAX_UINT: f64 = u64::MAX as f64;
    let double_with_int = |double: f64, int: i64| {
        if double < MIN_INT {
            Some(Ordering::Less)
        } else if double > MAX_INT {
            Some(Ordering::Greater)
        } else {
            double.partial_cmp(&(int as f64))
        }
    };
    let double_with_uint = |double: f64, uint: u64| {
        if double < 0.0 {
            Some(Ordering::Less)
        } else if double > MAX_UINT {
            Some(Ordering::Greater)
        } else {
            double.partial_cmp(&(uint as f64))
        }
    };
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::UInt(left), Value::UInt(right)) => Some(left.cmp(right)),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Int(left), Value::UInt(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::UInt(left), Value::Int(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::Double(left), Value::Int(right)) => double_with_int(*left, *right),
        (Value::Int(left), Value::Double(right)) => double_with_int(*right, *left).map(Ordering::reverse),
        (Value::Double(left), Value::UInt(right)) => double_with_uint(*left, *right),
        (Value::UInt(left), Value::Double(right)) => double_with_uint(*right, *left).map(Ordering::reverse),
        _ => None,
    }
}

/// The order of two values of one type, or of two numbers.
pub(super) fn order(left: &Value<'_>, right: &Value<'_>) -> Result<Ordering, EvaluationError> {
    Ok(match (left, right) {
        (Value::Int(_) | Value::UInt(_) | Value::Double(_), Value::Int(_) | Value::UInt(_) | Value::Double(_)) => {
            return compare_numbers(left, right).ok_or_else(|| EvaluationError::failed("NaN values cannot be ordered"));
        }
        (Value::String(left), Value::String(right)) => left.as_str().cmp(right.as_str()),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Bytes(left), Value::Bytes(right)) => left.cmp(right),
        (Value::Timestamp(left), Value::Timestamp(right)) => left.instant().cmp(&right.instant()),
        (Value::Duration(left), Value::Duration(right)) => left.cmp(right),
        _ => return Err(EvaluationError::no_such_overload()),
    })
}

pub(super) fn add<'a>(left: Value<'a>, right: Value<'a>) -> Outcome<'a> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => {
            let (left, right) = (left.as_str(), right.as_str());
            let mut text = String::with_capacity(left.len() + right.len());
            text.push_str(left);
            text.push_str(right);
            Ok(Value::string(text))
        }
        (Value::Bytes(left), Value::Bytes(right)) => Ok(Value::Bytes([&*left, &*right].concat().into())),
        (Value::List(left), Value::List(right)) => left.concatenate(right).map(Value::List),
        (left, right) => arithmetic(Operator::Add, &left, &right),
    }
}

fn arithmetic<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => int_arithmetic(operator, *left, *right).map(Value::Int),
        (Value::UInt(left), Value::UInt(right)) => uint_arithmetic(operator, *left, *right).map(Value::UInt),
        (Value::Double(left), Value::Double(right)) => match operator {
            Operator::Add => Ok(Value::Double(left + right)),
            Operator::Subtract => Ok(Value::Double(left - right)),
            Operator::Multiply => Ok(Value::Double(left * right)),
            Operator::Divide => Ok(Value::Double(left / right)),
            _ => Err(EvaluationError::no_such_overload()),
        },
        _ => time::arithmetic(operator, left, right),
    }
}

/// Arithmetic of one integer type: checked, with cel-go's error texts.
macro_rules! checked_arithmetic {
    ($name:ident, $integer:ty, $overflow:literal) => {
        fn $name(operator: Operator, left: $integer, right: $integer) -> Result<$integer, EvaluationError> {
            let result = match operator {
                Operator::Add => left.checked_add(right),
                Operator::Subtract => left.checked_sub(right),
                Operator::Multiply => left.checked_mul(right),
                Operator::Divide if right == 0 => return Err(EvaluationError::failed("division by zero")),
                Operator::Modulo if right == 0 => return Err(EvaluationError::failed("modulus by zero")),
                Operator::Divide => left.checked_div(right),
                Operator::Modulo => left.checked_rem(right),
                _ => return Err(EvaluationError::no_such_overload()),
            };
            result.ok_or_else(|| EvaluationError::failed($overflow))
        }
    };
}

checked_arithmetic!(int_arithmetic, i64, "integer overflow");
checked_arithmetic!(uint_arithmetic, u64, "unsigned integer overflow");

pub(super) fn negate<'a>(operand: &Value<'a>) -> Outcome<'a> {
    match operand {
        Value::Int(value) => value.checked_neg().map(Value::Int).ok_or_else(|| EvaluationError::failed("integer overflow")),
        Value::Double(value) => Ok(Value::Double(-value)),
        Value::Duration(value) => value.checked_neg().map(Value::Duration).ok_or_else(|| EvaluationError::failed("integer overflow")),
        other => Err(without_operator(other, "-_")),
    }
}

/// Whether cel-go takes a value in brackets at all, whatever stands before them: a number, a text or a bool.
pub(super) fn check_index(index: &Value<'_>) -> Result<(), EvaluationError> {
    match index {
        Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Double(_) | Value::String(_) => Ok(()),
        other => Err(EvaluationError::failed(format!("invalid qualifier type: {}", other.go_type()))),
    }
}

/// The item of a list or the value of a map; none if it is absent.
pub(super) fn index<'a>(operand: &Value<'a>, index: &Value<'_>) -> Result<Option<Value<'a>>, EvaluationError> {
    check_index(index)?;
    match operand {
        Value::Map(map) => Ok(map.get(index)),
        Value::List(list) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and not negative")]
            let position = match index {
                Value::Int(value) => usize::try_from(*value).ok(),
                Value::UInt(value) if i64::try_from(*value).is_err() => {
                    return Err(EvaluationError::failed(format!("unsupported index value {value} in list")));
                }
                Value::UInt(value) => usize::try_from(*value).ok(),
                Value::Double(value) if value.fract() == 0.0 && *value < 0.0 && *value > -9e15 => None,
                Value::Double(value) if value.fract() == 0.0 && *value >= 0.0 && *value < 9e15 => Some(*value as usize),
                Value::Double(value) => {
                    return Err(EvaluationError::failed(format!(
                        "unsupported index value {} in list",
                        super::functions::stdlib::double_text(*value)
                    )));
                }
                other => return Err(EvaluationError::failed(format!("unsupported index type '{}' in list", other.type_name()))),
            };
            Ok(position.and_then(|position| list.get(position)))
        }
        // As with a field: a scalar has no such key.
        _ => Ok(None),
    }
}
