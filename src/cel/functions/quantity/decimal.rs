//! Decimal numbers of any length, as Go's `inf.Dec` holds them: digits and the number of them after the point.

use std::cmp::Ordering;

/// The most digits of a number. Kubernetes has no such bound: there `quantity('1e2000000000').add(1)` ends the API server.
const MAX_DIGITS: usize = 10_000;

/// A number would have more digits.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the quantity has more than {MAX_DIGITS} digits")]
pub(super) struct TooLong;

/// `digits * 10^-scale`
#[derive(Clone, Debug)]
pub(super) struct Decimal {
    pub(super) negative: bool,
    /// 0 to 9, the first not 0; zero has none.
    pub(super) digits: Vec<u8>,
    pub(super) scale: i32,
}

impl Decimal {
    pub(super) fn from_int(value: i64, scale: i32) -> Self {
        let digits = if value == 0 { Vec::new() } else { value.unsigned_abs().to_string().bytes().map(|digit| digit - b'0').collect() };
        Self { negative: value < 0, digits, scale }
    }

    /// A sign, digits and a point; nothing if there is no digit.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, TooLong> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Ok(None);
        }
        let digits =
            whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0').map(|digit| digit.wrapping_sub(b'0')).collect();
        let scale = i32::try_from(fraction.len()).map_err(|_| TooLong)?;
        Self { negative: text.starts_with('-'), digits, scale }.checked().map(Some)
    }

    fn checked(self) -> Result<Self, TooLong> {
        if self.digits.len() > MAX_DIGITS { Err(TooLong) } else { Ok(self) }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    pub(super) fn magnitude(&self) -> Self {
        Self { negative: false, ..self.clone() }
    }

    /// The same number with more places after the point.
    fn rescale(&mut self, scale: i32) -> Result<(), TooLong> {
        let zeros = usize::try_from(i64::from(scale) - i64::from(self.scale)).map_err(|_| TooLong)?;
        if !self.is_zero() {
            let length = self.digits.len().checked_add(zeros).filter(|length| *length <= MAX_DIGITS).ok_or(TooLong)?;
            self.digits.resize(length, 0);
        }
        self.scale = scale;
        Ok(())
    }

    /// The number with so many places after the point; what does not fit is rounded away from zero. Zero stays as it is.
    pub(super) fn round_away(&mut self, scale: i32) -> Result<(), TooLong> {
        if self.is_zero() {
            return Ok(());
        }
        let cut = i64::from(self.scale) - i64::from(scale);
        if cut <= 0 {
            return self.rescale(scale);
        }
        let kept = self.digits.len().saturating_sub(usize::try_from(cut).unwrap_or(usize::MAX));
        let rest = self.digits.split_off(kept);
        self.scale = scale;
        if rest.iter().any(|digit| *digit != 0) {
            self.digits = sum(&self.digits, &[1]);
        }
        Ok(())
    }

    pub(super) fn multiply_by_1024(&mut self, times: i32) -> Result<(), TooLong> {
        for _ in 0..times {
            let mut carry = 0_u32;
            for digit in self.digits.iter_mut().rev() {
                let product = u32::from(*digit) * 1024 + carry;
                *digit = last_digit(product);
                carry = product / 10;
            }
            while carry > 0 {
                self.digits.insert(0, last_digit(carry));
                carry /= 10;
            }
            if self.digits.len() > MAX_DIGITS {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    pub(super) fn plus(mut self, mut other: Self) -> Result<Self, TooLong> {
        let scale = self.scale.max(other.scale);
        self.rescale(scale)?;
        other.rescale(scale)?;
        if self.negative == other.negative {
            self.digits = sum(&self.digits, &other.digits);
            return self.checked();
        }
        let (larger, smaller) = if digit_order(&self.digits, &other.digits).is_lt() { (other, self) } else { (self, other) };
        Ok(Self { digits: difference(&larger.digits, &smaller.digits), ..larger })
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.is_zero(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let magnitudes = || {
            // Where the first digit stands, then the digits.
            let place = |number: &Self| i64::try_from(number.digits.len()).unwrap_or(i64::MAX) - i64::from(number.scale);
            let digits = |number: &Self| {
                let zeros = number.digits.iter().rev().take_while(|digit| **digit == 0).count();
                number.digits.len() - zeros
            };
            let significant = |number: &Self| number.digits.get(..digits(number)).unwrap_or_default().to_vec();
            place(self).cmp(&place(other)).then_with(|| significant(self).cmp(&significant(other)))
        };
        match (sign(self), sign(other)) {
            (-1, -1) => magnitudes().reverse(),
            (1, 1) => magnitudes(),
            (left, right) => left.cmp(&right),
        }
    }

    /// The digits as a number, whatever the scale: the nearest double.
    pub(super) fn unscaled_float(&self) -> f64 {
        let magnitude = if self.is_zero() { 0.0 } else { text(&self.digits).parse().unwrap_or(f64::INFINITY) };
        if self.negative && !self.is_zero() { -magnitude } else { magnitude }
    }

    fn signed(&self, digits: &[u8]) -> String {
        format!("{}{}", if self.negative { "-" } else { "" }, text(digits))
    }

    /// A whole number and a power of ten that is a multiple of three, as great as it can be.
    pub(super) fn in_thousands(&self) -> (String, i32) {
        let mut digits = self.digits.clone();
        let mut exponent = self.scale.wrapping_neg();
        while digits.last() == Some(&0) {
            digits.pop();
            exponent = exponent.wrapping_add(1);
        }
        while exponent % 3 != 0 {
            digits.push(0);
            exponent = exponent.wrapping_sub(1);
        }
        (self.signed(&digits), exponent)
    }

    /// A whole number without factors of 1024 and how often 1024 was one; nothing if the number has a fraction.
    pub(super) fn factors_of_1024(&self) -> Option<(String, i32)> {
        let mut whole = self.clone();
        whole.round_away(0).ok()?;
        if whole.order(self).is_ne() {
            return None;
        }
        let mut times = 0;
        while let Some(quotient) = divided_by_1024(&whole.digits) {
            whole.digits = quotient;
            times += 1;
        }
        Some((self.signed(&whole.digits), times))
    }
}

fn last_digit(number: u32) -> u8 {
    (number % 10) as u8
}

fn text(digits: &[u8]) -> String {
    digits.iter().map(|digit| char::from(b'0' + digit)).collect()
}

/// The order of two whole numbers.
fn digit_order(left: &[u8], right: &[u8]) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

fn sum(left: &[u8], right: &[u8]) -> Vec<u8> {
    let (longer, shorter) = if left.len() < right.len() { (right, left) } else { (left, right) };
    let mut out = Vec::with_capacity(longer.len() + 1);
    let mut carry = 0;
    for (digit, other) in longer.iter().rev().zip(shorter.iter().rev().chain(std::iter::repeat(&0))) {
        let total = digit + other + carry;
        out.push(total % 10);
        carry = total / 10;
    }
    out.extend((carry > 0).then_some(carry));
    out.reverse();
    out
}

/// `larger - smaller`
fn difference(larger: &[u8], smaller: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(larger.len());
    let mut borrow = 0;
    for (digit, other) in larger.iter().rev().zip(smaller.iter().rev().chain(std::iter::repeat(&0))) {
        let taken = other + borrow;
        borrow = u8::from(*digit < taken);
        out.push(digit + 10 * borrow - taken);
    }
    while out.last() == Some(&0) {
        out.pop();
    }
    out.reverse();
    out
}

/// The quotient, if 1024 is a factor.
fn divided_by_1024(digits: &[u8]) -> Option<Vec<u8>> {
    let mut rest = 0_u32;
    let mut out = Vec::with_capacity(digits.len());
    for digit in digits {
        rest = rest * 10 + u32::from(*digit);
        let quotient = last_digit(rest / 1024);
        if quotient > 0 || !out.is_empty() {
            out.push(quotient);
        }
        rest %= 1024;
    }
    (rest == 0 && !out.is_empty()).then_some(out)
}
