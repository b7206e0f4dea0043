//! Semantic versions (Kubernetes 1.33), as the `blang/semver` module reads and orders them: build metadata has no part in the order.

use std::cmp::Ordering;

use super::strconv::{parse_uint, quote};
use super::{Context, Cost, Function, GLOBAL, METHOD, PARSED, no_such_overload, row};
use crate::cel::error::EvaluationError;
use crate::cel::evaluate::Outcome;
use crate::cel::opaque::{self, Opaque};
use crate::cel::types::Type;
use crate::cel::value::Value;

use Cost::{Call, Size};
use Type::{Bool, Int, String as Str};

const SEMVER: Type = Type::Opaque(opaque::SEMVER);

pub(super) const FUNCTIONS: &[Function] = &[
    row("semver", GLOBAL, &[Str], SEMVER, Size(0, 1.0), "1.33", "a text such as 1.2.3-rc.1 as semantic version", semver).taking(5 * PARSED),
    row(
        "semver",
        GLOBAL,
        &[Str, Bool],
        SEMVER,
        Size(0, 1.0),
        "1.33",
        "the same; if true, also v1, 1.2 and 01.02.03, which are completed and stripped of zeros",
        semver,
    )
    .taking(5 * PARSED),
    row("isSemver", GLOBAL, &[Str], Bool, Size(0, 1.0), "1.33", "whether a text is a semantic version", is_semver).taking(5 * PARSED),
    row("isSemver", GLOBAL, &[Str, Bool], Bool, Size(0, 1.0), "1.33", "the same; if true, also v1, 1.2 and 01.02.03", is_semver)
        .taking(5 * PARSED),
    row("major", METHOD, &[SEMVER], Int, Call, "1.33", "the major number", |_, arguments| {
        number("major", arguments, |version| version.major)
    }),
    row("minor", METHOD, &[SEMVER], Int, Call, "1.33", "the minor number", |_, arguments| {
        number("minor", arguments, |version| version.minor)
    }),
    row("patch", METHOD, &[SEMVER], Int, Call, "1.33", "the patch number", |_, arguments| {
        number("patch", arguments, |version| version.patch)
    }),
    row("isGreaterThan", METHOD, &[SEMVER, SEMVER], Bool, Call, "1.33", "whether a version comes after another one", |_, arguments| {
        compare("isGreaterThan", arguments, |order| Value::Bool(order.is_gt()))
    }),
    row("isLessThan", METHOD, &[SEMVER, SEMVER], Bool, Call, "1.33", "whether a version comes before another one", |_, arguments| {
        compare("isLessThan", arguments, |order| Value::Bool(order.is_lt()))
    }),
    row("compareTo", METHOD, &[SEMVER, SEMVER], Int, Call, "1.33", "-1, 0 or 1: before, equal, after", |_, arguments| {
        compare("compareTo", arguments, |order| Value::Int(order as i64))
    }),
];

/// A semantic version.
#[derive(Debug)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    prerelease: Vec<Identifier>,
    build: Vec<String>,
}

/// A part of a prerelease, in the order of precedence: numbers come before words.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Word(String),
}

impl std::fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Word(word) => formatter.write_str(word),
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)?;
        for (position, part) in self.prerelease.iter().enumerate() {
            write!(formatter, "{}{part}", if position == 0 { '-' } else { '.' })?;
        }
        for (position, part) in self.build.iter().enumerate() {
            write!(formatter, "{}{part}", if position == 0 { '+' } else { '.' })?;
        }
        Ok(())
    }
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_number(text: &str, name: &str) -> Result<u64, String> {
    if !is_number(text) {
        return Err(format!("Invalid character(s) found in {name} number {}", quote(text)));
    }
    if has_leading_zero(text) {
        let name = format!("{}{}", name.get(..1).unwrap_or_default().to_ascii_uppercase(), name.get(1..).unwrap_or_default());
        return Err(format!("{name} number must not contain leading zeroes {}", quote(text)));
    }
    parse_uint(text)
}

fn has_leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0')
}

impl Identifier {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Prerelease is empty".to_owned());
        }
        if !is_word(text) {
            return Err(format!("Invalid character(s) found in prerelease {}", quote(text)));
        }
        if !is_number(text) {
            return Ok(Self::Word(text.to_owned()));
        }
        if has_leading_zero(text) {
            return Err(format!("Numeric PreRelease version must not contain leading zeroes {}", quote(text)));
        }
        parse_uint(text).map(Self::Number)
    }
}

impl Version {
    /// `semver.Parse`
    ///
    /// # Errors
    /// The module's words: `No Major.Minor.Patch elements found`.
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".to_owned());
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("No Major.Minor.Patch elements found".to_owned());
        };
        let major = parse_number(major, "major")?;
        let minor = parse_number(minor, "minor")?;
        let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
        let (patch, prerelease) = rest.split_once('-').map_or((rest, None), |(patch, prerelease)| (patch, Some(prerelease)));
        let patch = parse_number(patch, "patch")?;
        let prerelease = prerelease.into_iter().flat_map(|parts| parts.split('.')).map(Identifier::parse).collect::<Result<_, _>>()?;
        let build = build.into_iter().flat_map(|parts| parts.split('.')).map(parse_build).collect::<Result<_, _>>()?;
        Ok(Self { major, minor, patch, prerelease, build })
    }

    /// Kubernetes' `normalizeAndParse`: without a leading `v` and leading zeros, and with the numbers that are left out.
    fn parse_normalized(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts: Vec<String> = text
            .splitn(3, '.')
            .map(|part| match part.trim_start_matches('0') {
                stripped if part.len() > 1 && !stripped.starts_with(|sign: char| sign.is_ascii_digit()) => format!("0{stripped}"),
                stripped if part.len() > 1 => stripped.to_owned(),
                _ => part.to_owned(),
            })
            .collect();
        if parts.len() < 3 && parts.last().is_some_and(|last| last.contains(['+', '-'])) {
            return Err("short version cannot contain PreRelease/Build meta data".to_owned());
        }
        parts.resize(3, "0".to_owned());
        Self::parse(&parts.join("."))
    }

    /// The order of precedence.
    pub(in crate::cel) fn precedence(&self, other: &Self) -> Ordering {
        let numbers = |version: &Self| (version.major, version.minor, version.patch);
        // A release comes after its prereleases.
        let is_release = |version: &Self| version.prerelease.is_empty();
        numbers(self)
            .cmp(&numbers(other))
            .then_with(|| is_release(self).cmp(&is_release(other)))
            .then_with(|| self.prerelease.cmp(&other.prerelease))
    }
}

fn parse_build(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("Build meta data is empty".to_owned());
    }
    if !is_word(text) {
        return Err(format!("Invalid character(s) found in build meta data {}", quote(text)));
    }
    Ok(text.to_owned())
}

fn parsed(name: &str, arguments: &[Value<'_>]) -> Result<Result<Version, String>, EvaluationError> {
    match arguments {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => Ok(Version::parse(text.as_str())),
        [Value::String(text), Value::Bool(true)] => Ok(Version::parse_normalized(text.as_str())),
        _ => no_such_overload(name, arguments).map(|_| Err(String::new())),
    }
}

fn semver<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    parsed("semver", arguments)?.map(|version| Value::opaque(Opaque::Semver(version))).map_err(EvaluationError::failed)
}

fn is_semver<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Bool(parsed("isSemver", arguments)?.is_ok()))
}

fn number<'a>(name: &str, arguments: &[Value<'a>], read: fn(&Version) -> u64) -> Outcome<'a> {
    match arguments {
        // Go's conversion: what is greater than an int becomes negative.
        [value] if let Some(Opaque::Semver(version)) = value.as_opaque() => Ok(Value::Int(read(version).cast_signed())),
        _ => no_such_overload(name, arguments),
    }
}

fn compare<'a>(name: &str, arguments: &[Value<'a>], answer: fn(Ordering) -> Value<'static>) -> Outcome<'a> {
    let [left, right] = arguments else { return no_such_overload(name, arguments) };
    match (left.as_opaque(), right.as_opaque()) {
        (Some(Opaque::Semver(left)), Some(Opaque::Semver(right))) => Ok(answer(left.precedence(right))),
        _ => no_such_overload(name, arguments),
    }
}
