//! What the operators and the macros' inner steps take and give, under cel-go's names for them.

use crate::cel::ir::Operator;
use crate::cel::types::{A, LIST_OF_A, MAP_OF_A_TO_B, Nested, OPTIONAL_OF_A, Type};

use Type::{Bool, Bytes, Double, Duration, Int, String as Str, Timestamp, UInt};

/// One overload: what it takes and what it gives.
pub(super) type Overload = (&'static [Type], Type);

const B: Type = crate::cel::types::B;
const OPTIONAL_LIST_OF_A: Type = Type::Optional(Nested::Constant(&LIST_OF_A));
const OPTIONAL_MAP_OF_A_TO_B: Type = Type::Optional(Nested::Constant(&MAP_OF_A_TO_B));
const OPTIONAL_OF_B: Type = Type::Optional(Nested::Constant(&B));

const ADD: &[Overload] = &[
    (&[Bytes, Bytes], Bytes),
    (&[Double, Double], Double),
    (&[Duration, Duration], Duration),
    (&[Duration, Timestamp], Timestamp),
    (&[Timestamp, Duration], Timestamp),
    (&[Int, Int], Int),
    (&[LIST_OF_A, LIST_OF_A], LIST_OF_A),
    (&[Str, Str], Str),
    (&[UInt, UInt], UInt),
];
const SUBTRACT: &[Overload] = &[
    (&[Double, Double], Double),
    (&[Duration, Duration], Duration),
    (&[Int, Int], Int),
    (&[Timestamp, Duration], Timestamp),
    (&[Timestamp, Timestamp], Duration),
    (&[UInt, UInt], UInt),
];
const MULTIPLY: &[Overload] = &[(&[Double, Double], Double), (&[Int, Int], Int), (&[UInt, UInt], UInt)];
const MODULO: &[Overload] = &[(&[Int, Int], Int), (&[UInt, UInt], UInt)];
const EQUALITY: &[Overload] = &[(&[A, A], Bool)];
/// Numbers of different types may be compared, but not tested for equality.
const ORDER: &[Overload] = &[
    (&[Bool, Bool], Bool),
    (&[Int, Int], Bool),
    (&[Int, Double], Bool),
    (&[Int, UInt], Bool),
    (&[UInt, UInt], Bool),
    (&[UInt, Double], Bool),
    (&[UInt, Int], Bool),
    (&[Double, Double], Bool),
    (&[Double, Int], Bool),
    (&[Double, UInt], Bool),
    (&[Str, Str], Bool),
    (&[Bytes, Bytes], Bool),
    (&[Timestamp, Timestamp], Bool),
    (&[Duration, Duration], Bool),
];

pub(super) const NOT: &[Overload] = &[(&[Bool], Bool)];
pub(super) const NEGATE: &[Overload] = &[(&[Double], Double), (&[Int], Int)];
pub(super) const CONDITIONAL: &[Overload] = &[(&[Bool, A, A], A)];
pub(super) const IN: &[Overload] = &[(&[A, LIST_OF_A], Bool), (&[A, MAP_OF_A_TO_B], Bool)];
pub(super) const INDEX: &[Overload] = &[
    (&[LIST_OF_A, Int], A),
    (&[MAP_OF_A_TO_B, A], B),
    (&[OPTIONAL_LIST_OF_A, Int], OPTIONAL_OF_A),
    (&[OPTIONAL_MAP_OF_A_TO_B, A], OPTIONAL_OF_B),
];
pub(super) const OPTIONAL_INDEX: &[Overload] = &[
    (&[LIST_OF_A, Int], OPTIONAL_OF_A),
    (&[OPTIONAL_LIST_OF_A, Int], OPTIONAL_OF_A),
    (&[MAP_OF_A_TO_B, A], OPTIONAL_OF_B),
    (&[OPTIONAL_MAP_OF_A_TO_B, A], OPTIONAL_OF_B),
];
pub(super) const OR: &[Overload] = &[(&[OPTIONAL_OF_A, OPTIONAL_OF_A], OPTIONAL_OF_A)];
pub(super) const OR_VALUE: &[Overload] = &[(&[OPTIONAL_OF_A, A], A)];
pub(super) const HAS_VALUE: &[Overload] = &[(&[OPTIONAL_OF_A], Bool)];
pub(super) const MAP_INSERT: &[Overload] = &[(&[MAP_OF_A_TO_B, MAP_OF_A_TO_B], MAP_OF_A_TO_B)];
/// One for each type that has an order.
pub(super) const SORT_BY_KEYS: &[Overload] = &[(&[LIST_OF_A, crate::cel::types::LIST_OF_COMPARABLE], LIST_OF_A)];

/// The name and the overloads of an operator of two operands.
pub(super) fn binary(operator: Operator) -> (&'static str, &'static [Overload]) {
    match operator {
        Operator::Add => ("_+_", ADD),
        Operator::Subtract => ("_-_", SUBTRACT),
        Operator::Multiply => ("_*_", MULTIPLY),
        Operator::Divide => ("_/_", MULTIPLY),
        Operator::Modulo => ("_%_", MODULO),
        Operator::Equals => ("_==_", EQUALITY),
        Operator::NotEquals => ("_!=_", EQUALITY),
        Operator::Less => ("_<_", ORDER),
        Operator::LessEquals => ("_<=_", ORDER),
        Operator::Greater => ("_>_", ORDER),
        Operator::GreaterEquals => ("_>=_", ORDER),
    }
}

/// Whether an operator asks for an order.
pub(super) fn is_order(operator: Operator) -> bool {
    matches!(operator, Operator::Less | Operator::LessEquals | Operator::Greater | Operator::GreaterEquals)
}

/// Whether both types are known to be numbers, of which the one is no other's.
pub(super) fn are_mixed_numbers(types: &[Type; 2]) -> bool {
    types.iter().all(|is| matches!(is, Int | UInt | Double)) && std::mem::discriminant(&types[0]) != std::mem::discriminant(&types[1])
}
