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
        sign if is_printable(sign) => out.push(sign),
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
