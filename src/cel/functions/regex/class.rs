//! Classes of characters: `[a-z]`, `\d`, `[[:alpha:]]`, `\p{Greek}`, with the names that Go knows.

use std::fmt::Write;

use super::dialect::{before, error, first};

/// About how many bytes `.` takes compiled, and what a class leaves out.
pub(super) const ANY_WEIGHT: u64 = 400;

type Range = (u32, u32);

const DIGIT: &[Range] = &[(0x30, 0x39)];
const SPACE: &[Range] = &[(0x09, 0x0a), (0x0c, 0x0d), (0x20, 0x20)];
const WORD: &[Range] = &[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)];
const ASCII: &[Range] = &[(0x00, 0x7f)];
const ALL: &[Range] = &[(0x00, 0x10_ffff)];

/// The names of `[:name:]`.
const POSIX: &[(&str, &[Range])] = &[
    ("alnum", &[(0x30, 0x39), (0x41, 0x5a), (0x61, 0x7a)]),
    ("alpha", &[(0x41, 0x5a), (0x61, 0x7a)]),
    ("ascii", ASCII),
    ("blank", &[(0x09, 0x09), (0x20, 0x20)]),
    ("cntrl", &[(0x00, 0x1f), (0x7f, 0x7f)]),
    ("digit", DIGIT),
    ("graph", &[(0x21, 0x7e)]),
    ("lower", &[(0x61, 0x7a)]),
    ("print", &[(0x20, 0x7e)]),
    ("punct", &[(0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x7e)]),
    ("space", &[(0x09, 0x0d), (0x20, 0x20)]),
    ("upper", &[(0x41, 0x5a)]),
    ("word", WORD),
    ("xdigit", &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)]),
];

/// Unicode's general categories, as Go spells their short names.
const CATEGORIES: &[&str] = &[
    "C", "Cc", "Cf", "Cn", "Co", "L", "Lc", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P", "Pc", "Pd",
    "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
];

/// Their long names, and the few others that Unicode gives them.
const CATEGORY_NAMES: &[&str] = &[
    "Casedletter",
    "Closepunctuation",
    "Cntrl",
    "Combiningmark",
    "Connectorpunctuation",
    "Control",
    "Currencysymbol",
    "Dashpunctuation",
    "Decimalnumber",
    "Digit",
    "Enclosingmark",
    "Finalpunctuation",
    "Format",
    "Initialpunctuation",
    "Letter",
    "Letternumber",
    "Lineseparator",
    "Lowercaseletter",
    "Mark",
    "Mathsymbol",
    "Modifierletter",
    "Modifiersymbol",
    "Nonspacingmark",
    "Number",
    "Openpunctuation",
    "Other",
    "Otherletter",
    "Othernumber",
    "Otherpunctuation",
    "Othersymbol",
    "Paragraphseparator",
    "Privateuse",
    "Punct",
    "Punctuation",
    "Separator",
    "Spaceseparator",
    "Spacingmark",
    "Symbol",
    "Titlecaseletter",
    "Unassigned",
    "Uppercaseletter",
];

/// The scripts that Go finds: it takes the underscores out of a name, and so never finds one whose name has any.
const SCRIPTS: &[&str] = &[
    "Adlam",
    "Ahom",
    "Arabic",
    "Armenian",
    "Avestan",
    "Balinese",
    "Bamum",
    "Batak",
    "Bengali",
    "Bhaiksuki",
    "Bopomofo",
    "Brahmi",
    "Braille",
    "Buginese",
    "Buhid",
    "Carian",
    "Chakma",
    "Cham",
    "Cherokee",
    "Chorasmian",
    "Common",
    "Coptic",
    "Cuneiform",
    "Cypriot",
    "Cyrillic",
    "Deseret",
    "Devanagari",
    "Dogra",
    "Duployan",
    "Elbasan",
    "Elymaic",
    "Ethiopic",
    "Georgian",
    "Glagolitic",
    "Gothic",
    "Grantha",
    "Greek",
    "Gujarati",
    "Gurmukhi",
    "Han",
    "Hangul",
    "Hanunoo",
    "Hatran",
    "Hebrew",
    "Hiragana",
    "Inherited",
    "Javanese",
    "Kaithi",
    "Kannada",
    "Katakana",
    "Kawi",
    "Kharoshthi",
    "Khmer",
    "Khojki",
    "Khudawadi",
    "Lao",
    "Latin",
    "Lepcha",
    "Limbu",
    "Lisu",
    "Lycian",
    "Lydian",
    "Mahajani",
    "Makasar",
    "Malayalam",
    "Mandaic",
    "Manichaean",
    "Marchen",
    "Medefaidrin",
    "Miao",
    "Modi",
    "Mongolian",
    "Mro",
    "Multani",
    "Myanmar",
    "Nabataean",
    "Nandinagari",
    "Newa",
    "Nko",
    "Nushu",
    "Ogham",
    "Oriya",
    "Osage",
    "Osmanya",
    "Palmyrene",
    "Phoenician",
    "Rejang",
    "Runic",
    "Samaritan",
    "Saurashtra",
    "Sharada",
    "Shavian",
    "Siddham",
    "Sinhala",
    "Sogdian",
    "Soyombo",
    "Sundanese",
    "Syriac",
    "Tagalog",
    "Tagbanwa",
    "Takri",
    "Tamil",
    "Tangsa",
    "Tangut",
    "Telugu",
    "Thaana",
    "Thai",
    "Tibetan",
    "Tifinagh",
    "Tirhuta",
    "Toto",
    "Ugaritic",
    "Vai",
    "Vithkuqi",
    "Wancho",
    "Yezidi",
    "Yi",
];

/// A class, being read.
#[derive(Default)]
pub(super) struct Class {
    items: String,
    negated: bool,
    weight: u64,
}

impl Class {
    /// `[...]` at the start of a text, and what follows it.
    ///
    /// # Errors
    /// Go's words.
    pub(super) fn bracketed(text: &str) -> Result<(Self, &str), String> {
        let inside = text.strip_prefix('[').unwrap_or(text);
        let (negated, mut rest) = inside.strip_prefix('^').map_or((false, inside), |inside| (true, inside));
        let mut class = Self { negated, ..Self::default() };
        let mut begun = false;
        loop {
            if begun && let Some(rest) = rest.strip_prefix(']') {
                return Ok((class, rest));
            }
            begun = true;
            if let Some(after) = class.posix(rest)? {
                rest = after;
                continue;
            }
            if rest.starts_with('\\')
                && let Some(after) = class.escape(rest)?
            {
                rest = after;
                continue;
            }
            let (low, after) = member(rest, text)?;
            let (high, after) = match after.strip_prefix('-').filter(|after| !after.is_empty() && !after.starts_with(']')) {
                Some(after) => member(after, text)?,
                None => (low, after),
            };
            if high < low {
                return Err(error("invalid character class range", before(rest, after)));
            }
            class.range(low, high);
            rest = after;
        }
    }

    /// Adds the characters from one to another.
    pub(super) fn range(&mut self, low: u32, high: u32) {
        // What stands in no text is none of its characters.
        let low = if (0xd800..0xe000).contains(&low) { 0xe000 } else { low };
        let high = if (0xd800..0xe000).contains(&high) { 0xd7ff } else { high };
        if low > high {
            return;
        }
        self.weight += if high < 0x80 { 24 } else { 96 };
        self.code(low);
        if high > low {
            self.items.push('-');
            self.code(high);
        }
    }

    fn code(&mut self, code: u32) {
        match u8::try_from(code) {
            Ok(sign) if sign.is_ascii_alphanumeric() => self.items.push(char::from(sign)),
            _ => drop(write!(self.items, "\\x{{{code:X}}}")),
        }
    }

    fn group(&mut self, ranges: &[Range], negated: bool) {
        if negated {
            self.items.push_str("[^");
            self.weight += ANY_WEIGHT;
        }
        ranges.iter().for_each(|(low, high)| self.range(*low, *high));
        if negated {
            self.items.push(']');
        }
    }

    /// `[:alpha:]` at the start of a text; gives what follows it.
    fn posix<'t>(&mut self, text: &'t str) -> Result<Option<&'t str>, String> {
        let Some((name, rest)) = text.strip_prefix("[:").and_then(|text| text.split_once(":]")) else { return Ok(None) };
        let (negated, known) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
        let Some((_, ranges)) = POSIX.iter().find(|(name, _)| *name == known) else {
            return Err(error("invalid character class range", before(text, rest)));
        };
        self.group(ranges, negated);
        Ok(Some(rest))
    }

    /// `\d`, `\pL`, `\P{Greek}` at the start of a text; gives what follows it.
    ///
    /// # Errors
    /// Go's words for a name that it does not know.
    pub(super) fn escape<'t>(&mut self, text: &'t str) -> Result<Option<&'t str>, String> {
        let Some((sign, rest)) = text.strip_prefix('\\').and_then(first) else { return Ok(None) };
        match sign {
            'd' | 'D' => self.group(DIGIT, sign == 'D'),
            's' | 'S' => self.group(SPACE, sign == 'S'),
            'w' | 'W' => self.group(WORD, sign == 'W'),
            'p' | 'P' => return self.unicode(text, rest, sign == 'P').map(Some),
            _ => return Ok(None),
        }
        Ok(Some(rest))
    }

    fn unicode<'t>(&mut self, text: &'t str, after: &'t str, negated: bool) -> Result<&'t str, String> {
        let unknown = |fragment: &str| error("invalid character class range", fragment);
        let (name, rest) = match after.strip_prefix('{') {
            Some(inside) => inside.split_once('}').ok_or_else(|| unknown(text))?,
            None => {
                let rest = first(after).map_or("", |(_, rest)| rest);
                (before(after, rest), rest)
            }
        };
        let (negated, name) = name.strip_prefix('^').map_or((negated, name), |name| (!negated, name));
        let (kind, name, negated, weight) = match canonical(name).as_str() {
            "Any" => return Ok(self.named(ALL, negated, rest)),
            "Ascii" => return Ok(self.named(ASCII, negated, rest)),
            // Surrogates stand in no text.
            "Cs" | "Surrogate" => return Ok(if negated { self.named(ALL, false, rest) } else { rest }),
            "Assigned" => ("gc", "Cn".to_owned(), !negated, 12_000),
            name if CATEGORIES.contains(&name) || CATEGORY_NAMES.contains(&name) => ("gc", name.to_owned(), negated, 24_000),
            name if SCRIPTS.contains(&name) => ("sc", name.to_owned(), negated, 6_000),
            _ => return Err(unknown(before(text, rest))),
        };
        self.weight += weight;
        let sign = if negated { 'P' } else { 'p' };
        let _ = write!(self.items, "\\{sign}{{{kind}={name}}}");
        Ok(rest)
    }

    fn named<'t>(&mut self, ranges: &[Range], negated: bool, rest: &'t str) -> &'t str {
        self.group(ranges, negated);
        rest
    }

    /// About how many bytes the class takes compiled.
    pub(super) fn weight(&self, fold: bool) -> u64 {
        (self.weight + if self.negated { ANY_WEIGHT } else { 24 }) * if fold { 2 } else { 1 }
    }

    /// The class as the `regex` crate reads it.
    pub(super) fn text(&self, fold: bool) -> String {
        let (open, close) = if fold { ("(?i:", ")") } else { ("", "") };
        let negation = if self.negated != self.items.is_empty() { "^" } else { "" };
        // A class of nothing is one of all, negated.
        let items = if self.items.is_empty() { r"\x{0}-\x{10FFFF}" } else { &self.items };
        format!("{open}[{negation}{items}]{close}")
    }
}

/// Go's form of a Unicode name: the first letter large, the others small, no underscores, dashes and spaces.
fn canonical(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for sign in name.chars().filter(|sign| !matches!(sign, '_' | '-' | ' ')) {
        out.push(if out.is_empty() { sign.to_ascii_uppercase() } else { sign.to_ascii_lowercase() });
    }
    out
}

/// A character of a class, and what follows it.
fn member<'t>(text: &'t str, class: &str) -> Result<(u32, &'t str), String> {
    match first(text) {
        None => Err(error("missing closing ]", class)),
        Some(('\\', _)) => character(text),
        Some((sign, rest)) => Ok((u32::from(sign), rest)),
    }
}

/// The character that an escape stands for, which a text begins with, and what follows it.
///
/// # Errors
/// Go's words.
pub(super) fn character(text: &str) -> Result<(u32, &str), String> {
    let escaped = text.strip_prefix('\\').unwrap_or(text);
    let Some((sign, rest)) = first(escaped) else { return Err(error("trailing backslash at end of expression", "")) };
    let invalid = |rest: &str| Err(error("invalid escape sequence", before(text, rest)));
    Ok(match sign {
        'a' => (0x07, rest),
        'f' => (0x0c, rest),
        'n' => (0x0a, rest),
        'r' => (0x0d, rest),
        't' => (0x09, rest),
        'v' => (0x0b, rest),
        // One digit that is not zero would refer to a group.
        '0'..='7' if sign == '0' || rest.starts_with(|sign| matches!(sign, '0'..='7')) => {
            let digits = escaped.bytes().take(3).take_while(|sign| matches!(sign, b'0'..=b'7')).count();
            let (octal, rest) = escaped.split_at_checked(digits).unwrap_or((escaped, ""));
            (u32::from_str_radix(octal, 8).unwrap_or_default(), rest)
        }
        'x' => return hexadecimal(rest).or_else(invalid),
        sign if sign.is_ascii() && !sign.is_ascii_alphanumeric() => (u32::from(sign), rest),
        _ => return invalid(rest),
    })
}

/// `41` or `{1F600}`, and what follows; or what follows the sign at which it is none.
fn hexadecimal(text: &str) -> Result<(u32, &str), &str> {
    let (sign, mut rest) = first(text).ok_or(text)?;
    if sign != '{' {
        let (second, rest) = first(rest).ok_or(rest)?;
        let (Some(high), Some(low)) = (sign.to_digit(16), second.to_digit(16)) else { return Err(rest) };
        return Ok((high * 16 + low, rest));
    }
    let mut code = None;
    loop {
        let (sign, after) = first(rest).ok_or(rest)?;
        rest = after;
        if sign == '}' {
            return code.map(|code| (code, rest)).ok_or(rest);
        }
        let digit = sign.to_digit(16).ok_or(rest)?;
        let value = code.unwrap_or(0) * 16 + digit;
        if value > 0x10_ffff {
            return Err(rest);
        }
        code = Some(value);
    }
}
