//! Quantities (Kubernetes 1.28): `resource.Quantity`, an exact decimal number with a suffix.
//!
//! As there, a number that fits is held in 64 bits and a power of ten, any other as digits; only of the first kind can `isInteger` be
//! true, whatever the number is.

use std::cell::Cell;
use std::cmp::Ordering;

use super::{Context, Cost, Function, GLOBAL, METHOD, PARSED, no_such_overload, row};
use crate::cel::error::EvaluationError;
use crate::cel::evaluate::Outcome;
use crate::cel::opaque::{self, Opaque};
use crate::cel::types::Type;
use crate::cel::value::Value;

mod decimal;

use decimal::{Decimal, TooLong};

use Cost::{Call, Size};
use Type::{Bool, Double, Int, String as Str};

const QUANTITY: Type = Type::Opaque(opaque::QUANTITY);

pub(super) const FUNCTIONS: &[Function] = &[
    row("quantity", GLOBAL, &[Str], QUANTITY, Size(0, 1.0), "1.28", "a text such as 1.5Gi or 200m as quantity", quantity)
        .taking(3 * PARSED),
    row("isQuantity", GLOBAL, &[Str], Bool, Size(0, 1.0), "1.28", "whether a text is a quantity", is_quantity).taking(3 * PARSED),
    row("sign", GLOBAL, &[QUANTITY], Int, Call, "1.28", "-1, 0 or 1", |_, arguments| {
        of("sign", arguments, |quantity| Ok(Value::Int(quantity.sign())))
    }),
    row("isInteger", METHOD, &[QUANTITY], Bool, Call, "1.28", "whether asInteger gives a number", |_, arguments| {
        of("isInteger", arguments, |quantity| Ok(Value::Bool(quantity.as_integer().is_some())))
    }),
    row(
        "asInteger",
        METHOD,
        &[QUANTITY],
        Int,
        Call,
        "1.28",
        "the quantity as int; an error if it is no whole number or too large",
        |_, arguments| {
            of("asInteger", arguments, |quantity| {
                quantity.as_integer().map(Value::Int).ok_or_else(|| EvaluationError::failed("cannot convert value to integer"))
            })
        },
    ),
    row(
        "asApproximateFloat",
        METHOD,
        &[QUANTITY],
        Double,
        Call,
        "1.28",
        "the quantity as double, which may be less exact",
        |_, arguments| of("asApproximateFloat", arguments, |quantity| Ok(Value::Double(quantity.as_approximate_float()))),
    ),
    row("add", METHOD, &[QUANTITY, QUANTITY], QUANTITY, Call, "1.28", "the sum of two quantities", |context, arguments| {
        combine(context, "add", arguments, false)
    })
    .taking(PARSED),
    row("add", METHOD, &[QUANTITY, Int], QUANTITY, Call, "1.28", "the sum of a quantity and an int", |context, arguments| {
        combine(context, "add", arguments, false)
    })
    .taking(PARSED),
    row("sub", METHOD, &[QUANTITY, QUANTITY], QUANTITY, Call, "1.28", "a quantity less another one", |context, arguments| {
        combine(context, "sub", arguments, true)
    })
    .taking(PARSED),
    row("sub", METHOD, &[QUANTITY, Int], QUANTITY, Call, "1.28", "a quantity less an int", |context, arguments| {
        combine(context, "sub", arguments, true)
    })
    .taking(PARSED),
    row(
        "isGreaterThan",
        METHOD,
        &[QUANTITY, QUANTITY],
        Bool,
        Call,
        "1.28",
        "whether a quantity is greater than another one",
        |_, arguments| compare("isGreaterThan", arguments, |order| Value::Bool(order.is_gt())),
    )
    .taking(PARSED / 2),
    row("isLessThan", METHOD, &[QUANTITY, QUANTITY], Bool, Call, "1.28", "whether a quantity is less than another one", |_, arguments| {
        compare("isLessThan", arguments, |order| Value::Bool(order.is_lt()))
    })
    .taking(PARSED / 2),
    row("compareTo", METHOD, &[QUANTITY, QUANTITY], Int, Call, "1.28", "-1, 0 or 1: less, equal, greater", |_, arguments| {
        compare("compareTo", arguments, |order| Value::Int(order as i64))
    })
    .taking(PARSED / 2),
];

/// The way in which a quantity was written, and is written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notation {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySi,
    /// `12M`
    DecimalSi,
}

/// The suffixes with the power of ten, or of two, that each stands for.
const DECIMAL_SUFFIXES: &[(&str, i32)] =
    &[("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY_SUFFIXES: &[(&str, i32)] = &[("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// The power of ten of the least amount: what is less is rounded up to it.
const NANO: i32 = -9;
/// Decimal digits that 64 bits hold for certain.
const DIGITS: i64 = 18;

#[derive(Clone, Debug)]
enum Number {
    /// `value * 10^scale`
    Fast {
        value: i64,
        scale: i32,
    },
    Exact(Decimal),
}

/// A quantity.
#[derive(Debug)]
pub struct Quantity {
    number: Number,
    notation: Notation,
    /// The text it was read from, where that is a canonical one.
    written: Option<Box<str>>,
    /// Whether it is the result of `add` or `sub`.
    is_result: bool,
    /// Set once it was compared with a number of digits: Kubernetes converts the receiver for that, and lets it be.
    converted: Cell<bool>,
}

/// Why a text is no quantity.
enum Unreadable {
    Format,
    Numeric,
    Suffix,
    TooLong,
}

impl From<TooLong> for Unreadable {
    fn from(_: TooLong) -> Self {
        Self::TooLong
    }
}

impl From<TooLong> for EvaluationError {
    fn from(error: TooLong) -> Self {
        Self::failed(error.to_string())
    }
}

/// A text taken apart: `-`, `01.50`, `1`, `50`, `Ki`.
struct Parts<'t> {
    negative: bool,
    /// The number with its sign, as it stands.
    number: &'t str,
    /// The digits before the point without leading zeros, at least one.
    whole: &'t str,
    fraction: &'t str,
    suffix: &'t str,
}

impl<'t> Parts<'t> {
    /// Kubernetes' `parseQuantityString`; a sign alone is zero there.
    fn parse(text: &'t str) -> Option<Self> {
        let split = |text: &'t str, belongs: fn(char) -> bool| text.split_at(text.find(|sign| !belongs(sign)).unwrap_or(text.len()));
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (digits, rest) = split(unsigned, |sign| sign.is_ascii_digit());
        let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), |rest| split(rest, |sign| sign.is_ascii_digit()));
        let number = text.strip_suffix(rest).unwrap_or(text);
        let (_, exponent) = split(rest, |sign| "eEinumkKMGTP".contains(sign));
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if !exponent.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let whole = digits.trim_start_matches('0');
        let number = if unsigned.is_empty() { "0" } else { number };
        Some(Self { negative: text.starts_with('-'), number, whole: if whole.is_empty() { "0" } else { whole }, fraction, suffix: rest })
    }
}

/// The base, the power and the notation of a suffix.
fn read_suffix(suffix: &str) -> Option<(Notation, i32)> {
    let find = |suffixes: &[(&str, i32)]| suffixes.iter().find(|(name, _)| *name == suffix).map(|(_, power)| *power);
    if let Some(power) = find(DECIMAL_SUFFIXES) {
        return Some((Notation::DecimalSi, power));
    }
    if let Some(power) = find(BINARY_SUFFIXES) {
        return Some((Notation::BinarySi, power));
    }
    let exponent: i64 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    // The upper half is cut off there, too.
    #[expect(clippy::cast_possible_truncation, reason = "Go's conversion")]
    let exponent = exponent as i32;
    Some((Notation::DecimalExponent, exponent))
}

impl Quantity {
    /// The quantity that a text stands for; `None` if it is none.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }

    /// The sum of two; `None` if it has too many digits.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Option<Self> {
        self.combined(other, false).ok()
    }

    /// Whether it is less than nought.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.sign() < 0
    }

    /// `resource.ParseQuantity`
    fn parse(text: &str) -> Result<Self, Unreadable> {
        if text.is_empty() {
            return Err(Unreadable::Format);
        }
        let parts = Parts::parse(text).ok_or(Unreadable::Format)?;
        let (notation, power) = read_suffix(parts.suffix).ok_or(Unreadable::Suffix)?;
        if let Some(quantity) = Self::fast(text, &parts, notation, power) {
            return Ok(quantity);
        }
        let mut number = Decimal::parse(parts.number)?.ok_or(Unreadable::Numeric)?;
        if notation == Notation::BinarySi {
            number.multiply_by_1024(power / 10)?;
        } else {
            number.scale = number.scale.wrapping_sub(power);
        }
        number.round_away(-NANO)?;
        let mut notation = notation;
        if notation == Notation::BinarySi {
            let magnitude = number.magnitude();
            let limit = Decimal::from_int(i64::MAX, 0);
            if magnitude.order(&limit).is_gt() {
                number = Decimal { negative: number.negative, ..limit };
            }
            if !number.is_zero() && magnitude.order(&Decimal::from_int(1, 0)).is_lt() {
                notation = Notation::DecimalSi;
            }
        }
        Ok(Self::new(Number::Exact(number), notation))
    }

    /// The number in 64 bits, if it is certain to fit.
    fn fast(text: &str, parts: &Parts<'_>, notation: Notation, power: i32) -> Option<Self> {
        let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX / 4);
        let fraction = i32::try_from(parts.fraction.len()).ok()?;
        let (room, power, factor) = match notation {
            Notation::DecimalExponent | Notation::DecimalSi => (DIGITS - length(parts.whole) - length(parts.fraction), power, 1),
            Notation::BinarySi if parts.fraction.is_empty() => {
                (15 - length(parts.whole) - i64::from(power) * 3 / 10 - 1, 0, 1_i64.checked_shl(power.unsigned_abs())?)
            }
            Notation::BinarySi => return None,
        };
        let scale = power.wrapping_sub(fraction);
        if room < 0 || scale < NANO {
            return None;
        }
        let digits = [parts.whole, parts.fraction].concat();
        let magnitude: i64 = digits.parse().ok()?;
        let value = magnitude.checked_mul(factor)?;
        let is_canonical = match notation {
            Notation::BinarySi => magnitude & 7 != 0,
            _ => scale % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0'),
        };
        let quantity = Self::new(Number::Fast { value: if parts.negative { -value } else { value }, scale }, notation);
        Some(Self { written: is_canonical.then(|| text.into()), ..quantity })
    }

    fn new(number: Number, notation: Notation) -> Self {
        Self { number, notation, written: None, is_result: false, converted: Cell::new(false) }
    }

    pub(in crate::cel) fn is_result(&self) -> bool {
        self.is_result
    }

    /// How many digits it is held in; none if it fits 64 bits.
    pub(in crate::cel) fn digits(&self) -> usize {
        if let Number::Exact(decimal) = &self.number { decimal.digits.len() } else { 0 }
    }

    /// The 64-bit form, if it has one and was not converted.
    fn as_fast(&self) -> Option<(i64, i32)> {
        match self.number {
            Number::Fast { value, scale } if !self.converted.get() => Some((value, scale)),
            _ => None,
        }
    }

    fn as_decimal(&self) -> Decimal {
        match &self.number {
            Number::Fast { value, scale } => Decimal::from_int(*value, scale.wrapping_neg()),
            Number::Exact(decimal) => decimal.clone(),
        }
    }

    fn sign(&self) -> i64 {
        match &self.number {
            Number::Fast { value, .. } => value.signum(),
            Number::Exact(decimal) if decimal.is_zero() => 0,
            Number::Exact(decimal) => {
                if decimal.negative {
                    -1
                } else {
                    1
                }
            }
        }
    }

    fn as_integer(&self) -> Option<i64> {
        let (value, scale) = self.as_fast()?;
        scaled(value, scale)
    }

    fn as_approximate_float(&self) -> f64 {
        let decimal = self.as_decimal();
        let base = decimal.unscaled_float();
        match decimal.scale.wrapping_neg() {
            0 => base,
            exponent => base * power_of_ten(exponent),
        }
    }

    /// The order of the numbers.
    #[must_use]
    pub fn amount_order(&self, other: &Self) -> Ordering {
        match (self.as_fast(), other.as_fast()) {
            (Some((left, scale)), Some((right, other))) if scale == other => left.cmp(&right),
            _ => self.as_decimal().order(&other.as_decimal()),
        }
    }

    /// The order, as `isLessThan` and its kin find it: the receiver is converted if the other one is a number of digits.
    fn compare(&self, other: &Self) -> Ordering {
        if self.as_fast().is_none() || other.as_fast().is_none() {
            self.converted.set(true);
        }
        self.amount_order(other)
    }

    /// `self + other`, or `self - other`.
    fn combined(&self, other: &Self, subtract: bool) -> Result<Self, TooLong> {
        // Zero takes the notation of what is added to it.
        let notation = if self.sign() == 0 { other.notation } else { self.notation };
        let sum = match (self.as_fast(), other.as_fast()) {
            // The least int has no opposite and stays what it is, as it does in Go.
            (Some(left), Some((value, scale))) => fast_sum(left, (if subtract { value.wrapping_neg() } else { value }, scale)),
            _ => None,
        };
        let number = match sum {
            Some((value, scale)) => Number::Fast { value, scale },
            None => {
                let mut right = other.as_decimal();
                right.negative ^= subtract;
                Number::Exact(self.as_decimal().plus(right)?)
            }
        };
        Ok(Self { is_result: true, ..Self::new(number, notation) })
    }
}

/// `value * 10^scale`, if it fits.
fn scaled(value: i64, scale: i32) -> Option<i64> {
    10_i64.checked_pow(u32::try_from(scale).ok()?).and_then(|factor| value.checked_mul(factor)).or((value == 0 && scale > 0).then_some(0))
}

fn fast_sum(left: (i64, i32), right: (i64, i32)) -> Option<(i64, i32)> {
    match (left, right) {
        (left, (0, _)) => Some(left),
        ((0, _), right) => Some(right),
        ((left, scale), (right, other)) => {
            let least = scale.min(other);
            let left = scaled(left, scale.checked_sub(least)?)?;
            let right = scaled(right, other.checked_sub(least)?)?;
            Some((left.checked_add(right)?, least))
        }
    }
}

/// Go's `math.Pow10`: a product of two powers, or none beyond the range of a double.
fn power_of_ten(exponent: i32) -> f64 {
    let power = |exponent: i32| format!("1e{exponent}").parse::<f64>().unwrap_or(0.0);
    match exponent {
        0..=308 => power(exponent / 32 * 32) * power(exponent % 32),
        -323..0 => power(exponent / 32 * 32) / power(-exponent % 32),
        ..-323 => 0.0,
        309.. => f64::INFINITY,
    }
}

impl std::fmt::Display for Quantity {
    /// The canonical form: no fraction, and the greatest suffix that loses nothing. Where no suffix is great enough, none is written.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(written) = &self.written {
            return formatter.write_str(written);
        }
        let decimal = self.as_decimal();
        if decimal.is_zero() {
            return formatter.write_str("0");
        }
        let find =
            |suffixes: &[(&'static str, i32)], power: i32| suffixes.iter().find(|(_, known)| *known == power).map_or("", |(name, _)| *name);
        let is_small = decimal.magnitude().order(&Decimal::from_int(1024, 0)).is_lt();
        if self.notation == Notation::BinarySi
            && !is_small
            && let Some((digits, times)) = decimal.factors_of_1024()
        {
            return write!(formatter, "{digits}{}", find(BINARY_SUFFIXES, times * 10));
        }
        let (digits, exponent) = decimal.in_thousands();
        match self.notation {
            Notation::DecimalExponent if exponent == 0 => formatter.write_str(&digits),
            Notation::DecimalExponent => write!(formatter, "{digits}e{exponent}"),
            Notation::DecimalSi | Notation::BinarySi => write!(formatter, "{digits}{}", find(DECIMAL_SUFFIXES, exponent)),
        }
    }
}

/// Digits that cost nothing to write, as none do in Kubernetes; of more, a tenth is charged: a short text may stand for ten thousand.
const FREE_DIGITS: usize = 100;

fn made<'a>(context: &Context<'_>, quantity: Quantity) -> Outcome<'a> {
    let digits = quantity.digits();
    if digits > FREE_DIGITS {
        context.budget.charge(digits as u64 / 10)?;
    }
    context.budget.free(digits as u64)?;
    Ok(Value::opaque(Opaque::Quantity(quantity)))
}

/// What Kubernetes says.
fn error(reason: &Unreadable) -> EvaluationError {
    EvaluationError::failed(match reason {
        Unreadable::Format => "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".to_owned(),
        Unreadable::Numeric => "unable to parse numeric part of quantity".to_owned(),
        Unreadable::Suffix => "unable to parse quantity's suffix".to_owned(),
        Unreadable::TooLong => TooLong.to_string(),
    })
}

fn quantity<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("quantity", arguments) };
    made(context, Quantity::parse(text.as_str()).map_err(|reason| error(&reason))?)
}

fn is_quantity<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("isQuantity", arguments) };
    match Quantity::parse(text.as_str()) {
        Err(reason @ Unreadable::TooLong) => Err(error(&reason)),
        Err(_) => Ok(Value::Bool(false)),
        Ok(quantity) => made(context, quantity).map(|_| Value::Bool(true)),
    }
}

/// What is read off the quantity that is the only argument.
fn of<'a>(name: &str, arguments: &[Value<'a>], read: fn(&Quantity) -> Outcome<'static>) -> Outcome<'a> {
    match arguments {
        [value] if let Some(Opaque::Quantity(quantity)) = value.as_opaque() => read(quantity),
        _ => no_such_overload(name, arguments),
    }
}

fn combine<'a>(context: &Context<'_>, name: &str, arguments: &[Value<'a>], subtract: bool) -> Outcome<'a> {
    let [left, right] = arguments else { return no_such_overload(name, arguments) };
    let result = match (left.as_opaque(), right, right.as_opaque()) {
        (Some(Opaque::Quantity(left)), Value::Int(right), _) => {
            left.combined(&Quantity::new(Number::Fast { value: *right, scale: 0 }, Notation::DecimalExponent), subtract)
        }
        (Some(Opaque::Quantity(left)), _, Some(Opaque::Quantity(right))) => left.combined(right, subtract),
        _ => return no_such_overload(name, arguments),
    };
    made(context, result?)
}

fn compare<'a>(name: &str, arguments: &[Value<'a>], answer: fn(Ordering) -> Value<'static>) -> Outcome<'a> {
    let [left, right] = arguments else { return no_such_overload(name, arguments) };
    match (left.as_opaque(), right.as_opaque()) {
        (Some(Opaque::Quantity(left)), Some(Opaque::Quantity(right))) => Ok(answer(left.compare(right))),
        _ => no_such_overload(name, arguments),
    }
}
