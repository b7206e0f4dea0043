//! Named formats of text (Kubernetes 1.31), with the words of apimachinery's validation for what does not have them.

use super::{Context, Cost, Function, GLOBAL, METHOD, no_such_overload, row, url};
use crate::cel::cost;
use crate::cel::evaluate::Outcome;
use crate::cel::opaque::{self, Opaque};
use crate::cel::types::{LIST_OF_STRING, Nested, Type};
use crate::cel::value::Value;

use Cost::{Call, Of};
use Type::String as Str;

/// A row of `format.<name>()`.
macro_rules! constant {
    ($name:literal, $doc:literal) => {
        row(concat!("format.", $name), GLOBAL, &[], FORMAT, Call, "1.31", $doc, |_, _| {
            Ok(named_format($name).map_or(Value::Null, |format| Value::opaque(Opaque::Format(format))))
        })
    };
}

const FORMAT: Type = Type::Opaque(opaque::NAMED_FORMAT);
const OPTIONAL_FORMAT: Type = Type::Optional(Nested::Constant(&FORMAT));
const OPTIONAL_PROBLEMS: Type = Type::Optional(Nested::Constant(&LIST_OF_STRING));

pub(super) const FUNCTIONS: &[Function] = &[
    row("format.named", GLOBAL, &[Str], OPTIONAL_FORMAT, Call, "1.31", "the format of a name such as dns1123Label, if there is one", named),
    row(
        "validate",
        METHOD,
        &[FORMAT, Str],
        OPTIONAL_PROBLEMS,
        Of(cost_of_validation),
        "1.31",
        "what is wrong with a text, or none",
        validate,
    ),
    constant!("dns1123Label", "the format of a DNS label as of RFC 1123: the name of a Namespace"),
    constant!("dns1123Subdomain", "the format of a DNS name as of RFC 1123: the name of most objects"),
    constant!("dns1035Label", "the format of a DNS label as of RFC 1035: the name of a Service"),
    constant!("qualifiedName", "the format of a key of a label: a name, with a DNS name and a slash before it or not"),
    constant!("dns1123LabelPrefix", "the same as dns1123Label for a generateName: it may end in a dash"),
    constant!("dns1123SubdomainPrefix", "the same as dns1123Subdomain for a generateName: it may end in a dash"),
    constant!("dns1035LabelPrefix", "the same as dns1035Label for a generateName: it may end in a dash"),
    constant!("labelValue", "the format of a label's value"),
    constant!("uri", "the format of what isURL accepts"),
    constant!("uuid", "the format of a UUID, with or without dashes"),
    constant!("byte", "the format of base64 with padding, not empty"),
    constant!("date", "the format of a date such as 2006-01-02"),
    constant!("datetime", "the format of a date and time as of RFC 3339"),
];

/// A format.
#[derive(Debug)]
pub struct NamedFormat {
    /// What `format.named` calls it.
    name: &'static str,
    /// How it is written as a value: two formats of one title are equal.
    title: &'static str,
    check: fn(&str) -> Vec<String>,
    /// Kubernetes' estimate of the regular expression's length, for the cost.
    pattern: u64,
}

impl NamedFormat {
    pub(in crate::cel) fn title(&self) -> &'static str {
        self.title
    }
}

/// Length of Kubernetes' pattern of a URI, the longest of all.
pub(in crate::cel) const LONGEST_PATTERN: u64 = 1103;
/// Length of Kubernetes' pattern of a time.
const TIME_PATTERN: u64 = 71;

static FORMATS: [NamedFormat; 13] = [
    NamedFormat { name: "dns1123Label", title: "DNS1123Label", check: |text| dns1123_label(text.as_bytes()), pattern: 30 },
    NamedFormat { name: "dns1123Subdomain", title: "DNS1123Subdomain", check: |text| dns1123_subdomain(text.as_bytes()), pattern: 60 },
    NamedFormat { name: "dns1035Label", title: "DNS1035Label", check: |text| dns1035_label(text.as_bytes()), pattern: 30 },
    NamedFormat { name: "qualifiedName", title: "QualifiedName", check: qualified_name, pattern: 60 },
    NamedFormat { name: "dns1123LabelPrefix", title: "DNS1123LabelPrefix", check: |text| dns1123_label(&as_prefix(text)), pattern: 30 },
    NamedFormat {
        name: "dns1123SubdomainPrefix",
        title: "DNS1123SubdomainPrefix",
        check: |text| dns1123_subdomain(&as_prefix(text)),
        pattern: 60,
    },
    NamedFormat { name: "dns1035LabelPrefix", title: "DNS1035LabelPrefix", check: |text| dns1035_label(&as_prefix(text)), pattern: 30 },
    NamedFormat { name: "labelValue", title: "LabelValue", check: label_value, pattern: 40 },
    NamedFormat { name: "uri", title: "URI", check: |text| url::check(text).err().into_iter().collect(), pattern: LONGEST_PATTERN },
    NamedFormat { name: "uuid", title: "uuid", check: |text| unless(is_uuid(text), "does not match the UUID format"), pattern: 70 },
    NamedFormat { name: "byte", title: "byte", check: |text| unless(is_base64(text), "invalid base64"), pattern: 84 },
    NamedFormat { name: "date", title: "date", check: |text| unless(is_date(text), "invalid date"), pattern: TIME_PATTERN },
    NamedFormat { name: "datetime", title: "datetime", check: |text| unless(is_datetime(text), "invalid datetime"), pattern: TIME_PATTERN },
];

fn named_format(name: &str) -> Option<&'static NamedFormat> {
    FORMATS.iter().find(|format| format.name == name)
}

fn named<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(name)] = arguments else { return no_such_overload("format.named", arguments) };
    Ok(named_format(name.as_str()).map_or(Value::Optional(None), |format| Value::some(Value::opaque(Opaque::Format(format)))))
}

fn cost_of_validation(arguments: &[Value<'_>], _: bool) -> u64 {
    match arguments {
        [format, text] if let Some(Opaque::Format(format)) = format.as_opaque() => cost::regex(text.cost_size(), format.pattern),
        _ => 1,
    }
}

fn validate<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [format, Value::String(text)] = arguments else { return no_such_overload("validate", arguments) };
    let Some(Opaque::Format(format)) = format.as_opaque() else { return no_such_overload("validate", arguments) };
    let problems = (format.check)(text.as_str());
    if problems.is_empty() {
        return Ok(Value::Optional(None));
    }
    Value::list(problems.into_iter().map(Value::string).collect()).map(Value::some)
}

fn unless(holds: bool, problem: &str) -> Vec<String> {
    if holds { Vec::new() } else { vec![problem.to_owned()] }
}

/// A pattern of apimachinery with the words for what does not match it.
struct Pattern {
    message: &'static str,
    expression: &'static str,
    examples: &'static [&'static str],
}

const DNS1123_LABEL: Pattern = Pattern {
    message: "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an \
              alphanumeric character",
    expression: "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    examples: &["my-name", "123-abc"],
};

const DNS1123_SUBDOMAIN: Pattern = Pattern {
    message: "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with \
              an alphanumeric character",
    expression: r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    examples: &["example.com"],
};

const DNS1035_LABEL: Pattern = Pattern {
    message: "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with \
              an alphanumeric character",
    expression: "[a-z]([-a-z0-9]*[a-z0-9])?",
    examples: &["my-name", "abc-123"],
};

const LABEL_KEY: Pattern = Pattern {
    message: "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    expression: "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]",
    examples: &["MyName", "my.name", "123-abc"],
};

const LABEL_VALUE: Pattern = Pattern {
    message: "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
              an alphanumeric character",
    expression: "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
    examples: &["MyValue", "my_value", "12345"],
};

impl std::fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} (e.g. ", self.message)?;
        for (position, example) in self.examples.iter().enumerate() {
            write!(formatter, "{}'{example}', ", if position > 0 { " or " } else { "" })?;
        }
        write!(formatter, "regex used for validation is '{}')", self.expression)
    }
}

/// For a generateName: a dash at the end, and the character before it, count as a letter.
fn as_prefix(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    match bytes {
        [before @ .., _, b'-'] => [before, b"a"].concat(),
        _ => bytes.to_vec(),
    }
}

/// Characters of a set, the first and the last of another one; not empty.
fn is_framed(text: &[u8], inside: fn(u8) -> bool, first: fn(u8) -> bool, last: fn(u8) -> bool) -> bool {
    text.iter().all(|byte| inside(*byte)) && text.first().copied().is_some_and(first) && text.last().copied().is_some_and(last)
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_dns1123_label(text: &[u8]) -> bool {
    is_framed(text, |byte| is_lower(byte) || byte == b'-', is_lower, is_lower)
}

fn is_dns1123_subdomain(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'.').all(is_dns1123_label)
}

fn is_label(text: &[u8]) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_alphanumeric();
    is_framed(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'), is_alphanumeric, is_alphanumeric)
}

/// apimachinery counts bytes; its older functions call them characters.
fn too_long(text: &[u8], most: usize, unit: &str) -> Option<String> {
    (text.len() > most).then(|| format!("must be no more than {most} {unit}"))
}

fn dns1123_label(text: &[u8]) -> Vec<String> {
    let mut problems = Vec::from_iter(too_long(text, 63, "characters"));
    if !is_dns1123_label(text) {
        problems.push(if is_dns1123_subdomain(text) { "must not contain dots".to_owned() } else { DNS1123_LABEL.to_string() });
    }
    problems
}

fn dns1123_subdomain(text: &[u8]) -> Vec<String> {
    let mut problems = Vec::from_iter(too_long(text, 253, "characters"));
    problems.extend((!is_dns1123_subdomain(text)).then(|| DNS1123_SUBDOMAIN.to_string()));
    problems
}

fn dns1035_label(text: &[u8]) -> Vec<String> {
    let mut problems = Vec::from_iter(too_long(text, 63, "characters"));
    let matches = is_framed(text, |byte| is_lower(byte) || byte == b'-', |first| first.is_ascii_lowercase(), is_lower);
    problems.extend((!matches).then(|| DNS1035_LABEL.to_string()));
    problems
}

fn label_value(text: &str) -> Vec<String> {
    let text = text.as_bytes();
    let mut problems = Vec::from_iter(too_long(text, 63, "bytes"));
    problems.extend((!text.is_empty() && !is_label(text)).then(|| LABEL_VALUE.to_string()));
    problems
}

fn qualified_name(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let name = match *text.split('/').collect::<Vec<_>>() {
        [name] => name,
        ["", name] => {
            problems.push("prefix part must be non-empty".to_owned());
            name
        }
        [prefix, name] => {
            let prefix = prefix.as_bytes();
            problems.extend(too_long(prefix, 253, "bytes").map(|problem| format!("prefix part {problem}")));
            problems.extend((!is_dns1123_subdomain(prefix)).then(|| format!("prefix part {DNS1123_SUBDOMAIN}")));
            name
        }
        _ => {
            return vec![format!(
                "a valid label key {LABEL_KEY} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    }
    problems.extend(too_long(name.as_bytes(), 63, "bytes").map(|problem| format!("name part {problem}")));
    problems.extend((!is_label(name.as_bytes())).then(|| format!("name part {LABEL_KEY}")));
    problems
}

/// 32 hexadecimal digits in groups, with a dash between two groups or not.
fn is_uuid(text: &str) -> bool {
    let mut rest = text.as_bytes();
    for (position, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if position > 0 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
        let Some((group, after)) = rest.split_at_checked(length) else { return false };
        if !group.iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

fn is_base64(text: &str) -> bool {
    let data = text.strip_suffix('=').map_or(text, |text| text.strip_suffix('=').unwrap_or(text));
    !text.is_empty() && text.len().is_multiple_of(4) && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Go's `time.Parse("2006-01-02", text)`
fn is_date(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range).filter(|part| part.bytes().all(|digit| digit.is_ascii_digit())).and_then(|part| part.parse::<i16>().ok())
    };
    let dashes = text.len() == 10 && text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
    let (Some(year), Some(month), Some(day), true) = (digits(0..4), digits(5..7), digits(8..10), dashes) else { return false };
    let day = i8::try_from(day).unwrap_or_default();
    i8::try_from(month).is_ok_and(|month| jiff::civil::Date::new(year, month, day).is_ok())
}

/// The pattern of kube-openapi: whatever follows a second T is not looked at, and any character may stand before the fraction.
fn is_datetime(text: &str) -> bool {
    let mut parts = text.split(['t', 'T']);
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else { return false };
    let Some((clock, rest)) = time.split_at_checked(8) else { return false };
    let is_clock = match clock.as_bytes() {
        [h1, h2, b':', m1, m2, b':', s1, s2] => {
            [h1, h2, m1, m2, s1, s2].iter().all(|digit| digit.is_ascii_digit())
                && [*h1, *h2] <= *b"23"
                && [*m1, *m2] <= *b"59"
                && [*s1, *s2] <= *b"59"
        }
        _ => false,
    };
    let mut signs = rest.chars();
    let fraction = signs.next().filter(|sign| *sign != '\n').map(|_| signs.as_str());
    let after_fraction = fraction.map(|fraction| (fraction, fraction.trim_start_matches(|digit: char| digit.is_ascii_digit())));
    let has_zone = is_zone(rest) || after_fraction.is_some_and(|(fraction, zone)| fraction.len() > zone.len() && is_zone(zone));
    is_date(date) && is_clock && has_zone
}

fn is_zone(text: &str) -> bool {
    match text.as_bytes() {
        [b'z' | b'Z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit()),
        _ => false,
    }
}
