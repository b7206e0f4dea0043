//! Mutation by tokens: bytes changed at random seldom parse, tokens moved about often do.

use std::ops::Range;

/// A small generator of numbers: libFuzzer gives a seed for each mutation.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides.max(1) as u64).unwrap_or_default()
    }
}

/// The entries of a dictionary of libFuzzer's (`"text"` a line, with `\\`, `\"` and `\xNN`).
pub fn dictionary(text: &str) -> Vec<String> {
    let entry = |line: &str| {
        let inside = line.trim().strip_prefix('"')?.strip_suffix('"')?;
        let mut bytes = Vec::new();
        let mut rest = inside.bytes();
        while let Some(byte) = rest.next() {
            let meant = match byte {
                b'\\' => match rest.next()? {
                    b'x' => {
                        let digits = [rest.next()?, rest.next()?];
                        u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                    }
                    escaped => escaped,
                },
                plain => plain,
            };
            bytes.push(meant);
        }
        String::from_utf8(bytes).ok()
    };
    text.lines().filter_map(entry).collect()
}

/// Where the tokens of a CEL expression stand; anything that is none is one character.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        let rest = &text[start..];
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_').unwrap_or(rest.len())
        } else if matches!(first, '\'' | '"') {
            rest[1..].find(first).map_or(rest.len(), |end| end + 2)
        } else if ["&&", "||", "==", "!=", "<=", ">=", ".?", "[?"].iter().any(|operator| rest.starts_with(operator)) {
            2
        } else {
            first.len_utf8()
        };
        found.push(start..start + length);
        start += length;
    }
    found
}

/// The bracketed part that begins at a token: `( ... )` with what lies inside.
fn balanced(text: &str, tokens: &[Range<usize>], from: usize) -> Range<usize> {
    let mut open = 0_i32;
    for (place, token) in tokens.iter().enumerate().skip(from) {
        open += match &text[token.clone()] {
            "(" | "[" | "{" | "[?" => 1,
            ")" | "]" | "}" => -1,
            _ => 0,
        };
        if open <= 0 {
            return from..place + 1;
        }
    }
    from..from + 1
}

/// An expression with a few of its tokens changed.
pub fn mutate(text: &str, words: &[String], seed: u32) -> String {
    let mut dice = Dice(u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut text = text.to_owned();
    for _ in 0..=dice.roll(4) {
        let tokens = tokens(&text);
        let word = |dice: &mut Dice| words.get(dice.roll(words.len())).cloned().unwrap_or_default();
        if tokens.is_empty() {
            text = word(&mut dice);
            continue;
        }
        let chosen = balanced(&text, &tokens, dice.roll(tokens.len()));
        let span = tokens[chosen.start].start..tokens[chosen.end - 1].end;
        let other = balanced(&text, &tokens, dice.roll(tokens.len()));
        let copy = text[tokens[other.start].start..tokens[other.end - 1].end].to_owned();
        match dice.roll(8) {
            0 => text.replace_range(span, ""),
            1 | 2 => text.replace_range(span, &word(&mut dice)),
            3 => text.insert_str(span.start, &word(&mut dice)),
            4 => text.insert_str(span.end, &word(&mut dice)),
            5 => text.replace_range(span, &copy),
            6 => text.insert_str(span.end, &copy),
            _ => {
                let part = &text[span.clone()];
                let wrapped = match dice.roll(6) {
                    0 => format!("({part})"),
                    1 => format!("[{part}]"),
                    2 => format!("{{'a': {part}}}"),
                    3 => format!("[{part}].map(x, x)"),
                    4 => format!("optional.of({part})"),
                    _ => format!("dyn({part})"),
                };
                text.replace_range(span, &wrapped);
            }
        }
    }
    text
}
