//! What Go's `strconv` writes into the error texts of the libraries: quoted texts and numbers that cannot be read.

/// Go's `%q`: a literal of Go in double quotes; what is not printable or not UTF-8 is escaped.
pub(super) fn quote(text: impl AsRef<[u8]>) -> String {
    let mut out = String::from("\"");
    for chunk in text.as_ref().utf8_chunks() {
        chunk.valid().chars().for_each(|sign| push_quoted(&mut out, sign));
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

fn push_quoted(out: &mut String, sign: char) {
    match sign {
        '"' | '\\' => out.extend(['\\', sign]),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        sign if sign < ' ' || sign == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(sign))),
        sign if sign.is_ascii() || is_printable(sign) => out.push(sign),
        sign if u32::from(sign) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(sign))),
        sign => out.push_str(&format!("\\U{:08x}", u32::from(sign))),
    }
}

/// Letters, marks, numbers, punctuation, symbols and the space of ASCII. What the standard library leaves as it is in the middle of a
/// text: a mark would be escaped only at its beginning.
fn is_printable(sign: char) -> bool {
    format!("a{sign}").escape_debug().nth(1) == Some(sign)
}

/// `strconv.Atoi`
pub(super) fn atoi(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    read("Atoi", text, digits, text.parse())
}

/// `strconv.ParseUint(text, 10, 64)`
pub(super) fn parse_uint(text: &str) -> Result<u64, String> {
    read("ParseUint", text, text, text.parse())
}

fn read<T>(function: &str, text: &str, digits: &str, parsed: Result<T, std::num::ParseIntError>) -> Result<T, String> {
    let well_formed = !digits.is_empty() && digits.bytes().all(|sign| sign.is_ascii_digit());
    match parsed {
        Ok(number) if well_formed => Ok(number),
        _ => {
            let reason = if well_formed { "value out of range" } else { "invalid syntax" };
            Err(format!("strconv.{function}: parsing {}: {reason}", quote(text)))
        }
    }
}

/// `strconv.ParseFloat(text, 64)`, but for its errors.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    let lower = unsigned.get(..unsigned.len().min(8)).unwrap_or_default().to_ascii_lowercase();
    let value = match lower.as_str() {
        _ if unsigned.len() > 8 || !lower.starts_with(['n', 'i']) => {
            let separates = |(position, _): (usize, &str)| is_separator(unsigned.as_bytes(), position);
            if !unsigned.match_indices('_').all(separates) {
                return None;
            }
            let digits = unsigned.replace('_', "");
            match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
                Some(digits) => hexadecimal_float(digits)?,
                // Rust reads names and a second sign too.
                None if digits.starts_with(|sign: char| sign.is_ascii_digit() || sign == '.') => digits.parse::<f64>().ok()?,
                None => return None,
            }
        }
        "nan" if unsigned.len() == text.len() => return Some(f64::NAN),
        "inf" | "infinity" => return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        _ => return None,
    };
    let value = if negative { -value } else { value };
    value.is_finite().then_some(value)
}

/// Whether an underscore stands between two digits, or between `0x` and one.
fn is_separator(text: &[u8], position: usize) -> bool {
    let hexadecimal = matches!(text, [b'0', b'x' | b'X', ..]);
    let digit =
        |position: usize| text.get(position).is_some_and(|sign| if hexadecimal { sign.is_ascii_hexdigit() } else { sign.is_ascii_digit() });
    let after_prefix = hexadecimal && position == 2;
    (after_prefix || position.checked_sub(1).is_some_and(digit)) && digit(position + 1)
}

/// `1.8p3` as 12, rounded to the nearest double.
fn hexadecimal_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if unsigned.is_empty() || !unsigned.bytes().all(|sign| sign.is_ascii_digit()) {
        return None;
    }
    // A larger one overflows or vanishes whatever the mantissa is: it has at most a megabyte.
    let exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') { -1 << 40 } else { 1 << 40 });
    let mut exponent = exponent.clamp(-1 << 40, 1 << 40);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut bits = 0_u64;
    for (position, sign) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(sign.to_digit(16)?);
        let in_fraction = position >= whole.len();
        if bits >> 58 == 0 {
            bits = bits << 4 | digit;
            exponent -= if in_fraction { 4 } else { 0 };
        } else {
            // What no longer fits only says that there was more.
            bits |= u64::from(digit != 0);
            exponent += if in_fraction { 0 } else { 4 };
        }
    }
    Some(scaled(bits, exponent))
}

/// `bits * 2^exponent`, rounded to the nearest double, half to even.
#[expect(clippy::cast_precision_loss, reason = "at most 53 bits are left")]
fn scaled(bits: u64, exponent: i64) -> f64 {
    let length = i64::from(64 - bits.leading_zeros());
    // The weight of the last bit that a double of this size has.
    let unit = (exponent + length - 53).max(-1074);
    let shift = unit - exponent;
    let (kept, unit) = match u32::try_from(shift) {
        _ if bits == 0 => return 0.0,
        _ if shift <= 0 => (bits, exponent),
        Ok(shift @ 1..64) => {
            let (kept, rest, half) = (bits >> shift, bits & ((1 << shift) - 1), 1 << (shift - 1));
            (kept + u64::from(rest > half || rest == half && kept & 1 == 1), unit)
        }
        // 64 places or more lie below the half of the least double.
        _ => return 0.0,
    };
    let scale = match unit {
        -1022..=1023 => f64::from_bits(((unit + 1023).unsigned_abs()) << 52),
        -1074..=-1023 => f64::from_bits(1 << (unit + 1074)),
        _ => return f64::INFINITY,
    };
    kept as f64 * scale
}

/// A text of Go's that may hold any bytes, as CEL shows it: one replacement character for each byte that is not UTF-8.
pub(super) fn text_of(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|_| out.push(char::REPLACEMENT_CHARACTER));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_go_does() {
        assert_eq!(
            quote("a\"\\\u{1}\u{7f}\n\u{301}é\u{200b}\u{e000}\u{e0001}😀\u{a0}"),
            r#""a\"\\\x01\x7f\n"#.to_owned() + "\u{301}é" + r#"\u200b\ue000\U000e0001😀\u00a0""#
        );
        assert_eq!(quote([b'a', 0xff, 0xc3]), r#""a\xff\xc3""#);
    }

    #[test]
    fn reads_floats_as_go_does() {
        for (text, value) in [
            ("1_0.5", 10.5),
            ("0x_1p4", 16.0),
            ("-0X1.8P+1", -3.0),
            ("0x.8p0", 0.5),
            ("-0x1p-1074", -5e-324),
            ("0x1p-1075", 0.0),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080001p0", 1.000_000_000_000_000_2),
            ("0x1.fffffffffffff7p1023", f64::MAX),
            ("0x1p-99999999999999999999", 0.0),
            ("5.", 5.0),
        ] {
            assert_eq!(parse_float(text), Some(value), "{text}");
        }
        let refused =
            ["", "+nan", "_1", "1_", "0x1", "0x1p", "0xp1", "0x1p1024", "0x1.fffffffffffff8p1023", "1e400", "infinit", "+-1", "--inf"];
        assert_eq!(refused.map(parse_float), [None; 13]);
        assert!(parse_float("NaN").is_some_and(f64::is_nan));
        assert_eq!(parse_float("-iNf"), Some(f64::NEG_INFINITY));
    }

    #[test]
    fn says_what_is_wrong_with_a_number() {
        assert_eq!(atoi("-12"), Ok(-12));
        assert_eq!(atoi("+12"), Ok(12));
        assert_eq!(atoi("+"), Err("strconv.Atoi: parsing \"+\": invalid syntax".to_owned()));
        assert_eq!(parse_uint("+1"), Err("strconv.ParseUint: parsing \"+1\": invalid syntax".to_owned()));
        assert_eq!(
            parse_uint("18446744073709551616"),
            Err("strconv.ParseUint: parsing \"18446744073709551616\": value out of range".to_owned())
        );
    }
}
