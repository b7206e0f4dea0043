//! Regular expressions of Go's dialect (RE2), matched by the `regex` crate: [`dialect`] reads the one and writes the other.

mod class;
mod dialect;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use regex::{Regex, RegexBuilder};

use super::{Context, Cost, Function, METHOD, no_such_overload, row};
use crate::cel::error::EvaluationError;
use crate::cel::evaluate::Outcome;
use crate::cel::types::{LIST_OF_STRING, Type};
use crate::cel::value::Value;

use Type::{Bool, Int, String as Str};

pub(super) const FUNCTIONS: &[Function] = &[
    row("matches", METHOD, &[Str, Str], Bool, Cost::Regex, "1.0", "whether a regular expression matches anywhere", matches),
    row("matches", super::GLOBAL, &[Str, Str], Bool, Cost::Regex, "1.0", "whether a regular expression matches anywhere", matches),
    row("find", METHOD, &[Str, Str], Str, Cost::Regex, "1.0", "the first match, or an empty string", find),
    row("findAll", METHOD, &[Str, Str], LIST_OF_STRING, Cost::Regex, "1.0", "all matches", find_all),
    row("findAll", METHOD, &[Str, Str, Int], LIST_OF_STRING, Cost::Regex, "1.0", "the first matches", find_all),
];

/// Bytes of the compiled form; a pattern that needs more is refused.
const MAX_COMPILED: usize = 10 << 20;

/// Steps that finding a match takes, and making its text.
const MATCH: u64 = 30;

/// How deep groups may lie in each other in what [`dialect`] writes, which bounds what is recursive itself.
const MAX_NESTING: u32 = 4000;

/// A pattern, compiled.
#[derive(Debug)]
pub(in crate::cel) struct Pattern {
    regex: Regex,
    weight: u64,
}

impl Pattern {
    /// Counts what matching a text takes longer than cel-go's charge pays for: of a large pattern many parts may be under way at once.
    fn charge(&self, context: &Context<'_>, text: &str) -> Result<(), EvaluationError> {
        if self.weight < LARGE { Ok(()) } else { context.budget.free((text.len() as u64).saturating_mul(self.weight / LARGE)) }
    }
}

/// Bytes from which on a compiled pattern is large.
const LARGE: u64 = 8192;

/// Compiles a pattern of Go's dialect.
///
/// # Errors
/// Go's words: `error parsing regexp: missing closing ): ...`.
pub(super) fn compile(pattern: &str) -> Result<Pattern, String> {
    build(pattern, &dialect::translate(pattern)?)
}

fn build(pattern: &str, translated: &dialect::Translated) -> Result<Pattern, String> {
    let mut builder = RegexBuilder::new(&translated.text);
    builder.size_limit(MAX_COMPILED).nest_limit(MAX_NESTING);
    let regex = builder.build().map_err(|_| dialect::error("expression too large", pattern))?;
    Ok(Pattern { regex, weight: translated.weight })
}

/// The patterns that one evaluation has made itself.
#[derive(Default)]
pub(in crate::cel) struct Patterns(RefCell<BTreeMap<Box<str>, Rc<Pattern>>>);

/// How many of them are kept; a loop may make one an item.
const MAX_PATTERNS: usize = 256;
/// Bytes that they may take together.
const MAX_KEPT: u64 = 8 << 20;

/// What compiling a pattern takes, for which cel-go charges nothing: under Kubernetes' limit there are steps for some 2,900 patterns of
/// plain text or 380 small ones of other kinds, and fewer large ones.
fn steps(translated: &dialect::Translated) -> u64 {
    let base = if translated.literal { 1200 } else { 9000 };
    translated.weight.saturating_mul(2).saturating_add(base)
}

impl Patterns {
    fn get(&self, context: &Context<'_>, pattern: &str) -> Result<Rc<Pattern>, EvaluationError> {
        if let Some(known) = self.0.borrow().get(pattern) {
            return Ok(Rc::clone(known));
        }
        let translated = dialect::translate(pattern).map_err(EvaluationError::failed)?;
        context.budget.free(steps(&translated))?;
        let made = Rc::new(build(pattern, &translated).map_err(EvaluationError::failed)?);
        let mut patterns = self.0.borrow_mut();
        if patterns.len() >= MAX_PATTERNS || patterns.values().map(|pattern| pattern.weight).sum::<u64>() > MAX_KEPT {
            patterns.clear();
        }
        patterns.insert(pattern.into(), Rc::clone(&made));
        Ok(made)
    }
}

/// Runs `work` with the compiled pattern: the constant one, or the argument's.
fn with<'a>(context: &Context<'_>, text: &str, pattern: &str, work: impl FnOnce(&Regex) -> Outcome<'a>) -> Outcome<'a> {
    let made;
    let pattern = match context.regex {
        Some(constant) => constant,
        None => {
            made = context.budget.patterns().get(context, pattern)?;
            &*made
        }
    };
    pattern.charge(context, text)?;
    work(&pattern.regex)
}

fn matches<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::String(pattern)] = arguments else { return no_such_overload("matches", arguments) };
    let text = text.as_str();
    with(context, text, pattern.as_str(), |regex| Ok(Value::Bool(regex.is_match(text))))
}

fn illegal(error: EvaluationError) -> EvaluationError {
    match error {
        EvaluationError::Failed(message) => EvaluationError::Failed(format!("Illegal regex: {message}")),
        error => error,
    }
}

fn find<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::String(pattern)] = arguments else { return no_such_overload("find", arguments) };
    let text = text.as_str();
    let search = |regex: &Regex| Ok(regex.find(text).map_or(Value::borrowed(""), |found| Value::string(found.as_str())));
    with(context, text, pattern.as_str(), search).map_err(illegal)
}

fn find_all<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, pattern, limit) = match arguments {
        [Value::String(text), Value::String(pattern)] => (text.as_str(), pattern.as_str(), -1),
        [Value::String(text), Value::String(pattern), Value::Int(limit)] => (text.as_str(), pattern.as_str(), *limit),
        _ => return no_such_overload("findAll", arguments),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let search = |regex: &Regex| {
        let mut found = Vec::new();
        for item in regex.find_iter(text).take(limit) {
            // Of a text of ten characters ten matches cost as much as one.
            context.budget.free(MATCH)?;
            found.push(Value::string(item.as_str()));
        }
        Value::list(found)
    };
    with(context, text, pattern, search).map_err(illegal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(pattern: &str) -> String {
        compile(pattern).unwrap_err().replace("error parsing regexp: ", "")
    }

    #[test]
    fn what_go_refuses_is_refused_in_its_words() {
        for (pattern, words) in [
            ("(a", "missing closing ): `(a`"),
            ("a|b)", "unexpected ): `a|b)`"),
            ("[a", "missing closing ]: `[a`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("x{0,0}*?", "invalid nested repetition operator: `{0,0}*?`"),
            ("a|*", "missing argument to repetition operator: `*`"),
            ("(?i)+?", "missing argument to repetition operator: `+?`"),
            ("(a{100}){11}", "invalid repeat count: `{11}`"),
            ("x{2,1}?", "invalid repeat count: `{2,1}`"),
            (r"\u0041", r"invalid escape sequence: `\u`"),
            (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
            (r"[\b]", r"invalid escape sequence: `\b`"),
            (r"\p{Emoji}", r"invalid character class range: `\p{Emoji}`"),
            (r"\p{sc=Greek}", r"invalid character class range: `\p{sc=Greek}`"),
            (r"\p{Old_Italic}", r"invalid character class range: `\p{Old_Italic}`"),
            ("[a--b]", "invalid character class range: `a--`"),
            ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
            ("(?<é>x)", "invalid named capture: `(?<é>`"),
            ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
            ("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"),
            ("a\\", "trailing backslash at end of expression: ``"),
        ] {
            assert_eq!(refusal(pattern), words, "{pattern}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_takes_the_memory_or_the_stack() {
        assert_eq!(refusal(r"\pL{1000}"), r"expression too large: `\pL{1000}`");
        let deep = "(".repeat(999) + &")".repeat(999);
        assert!(refusal(&deep).starts_with("expression nests too deeply: "));
        assert!(compile(&("(".repeat(998) + "a" + &")".repeat(998))).is_ok());
        assert!(refusal(&("(?:a|".repeat(300) + &")*".repeat(300))).starts_with("expression nests too deeply: "));
    }

    #[test]
    fn a_pattern_means_what_it_means_to_go() {
        let found = |pattern: &str, text: &str| compile(pattern).unwrap().regex.find(text).map(|found| found.as_str().to_owned());
        assert_eq!(found(r"[a&&b]+", "a&b").as_deref(), Some("a&b"));
        assert_eq!(found(r"\101\x42\x{43}", "ABC").as_deref(), Some("ABC"));
        assert_eq!(found(r"(?U)a+", "aaa").as_deref(), Some("a"));
        assert_eq!(found(r"(?i)k+", "kK\u{212a}").as_deref(), Some("kK\u{212a}"));
        assert_eq!(found(r"[[:^alpha:]\d]+", "ab12").as_deref(), Some("12"));
        assert_eq!(found(r"\Qa*\E+", "a**").as_deref(), Some("a**"));
        assert_eq!(found(r"a{,2}", "a{,2}").as_deref(), Some("a{,2}"));
        assert_eq!(found(r"\p{^Lu}", "Aa").as_deref(), Some("a"));
        assert_eq!(found(r"\x{d800}", "a"), None);
        let empty: Vec<_> = compile("").unwrap().regex.find_iter("é日").map(|found| found.start()).collect();
        assert_eq!(empty, [0, 2, 5], "never inside a character");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_is_written_can_be_read(parts in prop::collection::vec(
            prop::sample::select(vec![
                "a", "é", "K", "(", ")", "(?i)", "(?:", "(?s-i:", "(?P<n>", "|", "*", "+?", "{2}", "{,3}", "{1,2}", "[", "]", "[^", "-", "^", "$",
                ".", "&&", "~~", "[:alpha:]", "[:^word:]", "\\", "\\d", "\\W", "\\pL", "\\P{^Greek}", "\\b", "\\B", "\\Q", "\\E", "\\x{d800}",
                "\\x41", "\\07", "\\p{Cs}", "\\P{Any}", "\\p{Assigned}", "\u{0}", "{", "}", " ", "#",
            ]),
            0..12,
        )) {
            let pattern = parts.concat();
            if let Ok(translated) = dialect::translate(&pattern) {
                let built = RegexBuilder::new(&translated.text).size_limit(MAX_COMPILED).build();
                prop_assert!(built.is_ok(), "{pattern}: {}: {:?}", translated.text, built.err());
            }
        }

        #[test]
        fn whatever_is_given_nothing_panics(pattern in "\\PC{0,24}") {
            let _ = compile(&pattern);
        }
    }
}
