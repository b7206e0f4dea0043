//! Regular expressions of Go's dialect (RE2): the classes are ASCII, what Go refuses is refused.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ast::{self, Ast, ClassPerlKind, ClassSet, ClassSetItem, RepetitionKind, RepetitionRange};

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

/// Go refuses a repetition of more.
const MAX_REPEAT: u32 = 1000;
/// Bytes of the compiled form; a pattern that needs more is refused.
const MAX_COMPILED: usize = 1 << 20;

/// Compiles a pattern of Go's dialect.
///
/// # Errors
/// Go's words where they are known: `error parsing regexp: missing closing ): ...`.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = translate(pattern)?;
    RegexBuilder::new(&translated)
        .size_limit(MAX_COMPILED)
        .build()
        .map_err(|_| format!("error parsing regexp: expression too large or not understood: `{pattern}`"))
}

/// The same pattern for the `regex` crate: quoted parts escaped, set operators literal, Perl's classes ASCII.
fn translate(pattern: &str) -> Result<String, String> {
    let plain = literal_forms(pattern);
    let error = |what: &str| format!("error parsing regexp: {what}: `{pattern}`");
    let parsed = ast::parse::ParserBuilder::new().nest_limit(200).build().parse(&plain).map_err(|problem| {
        use ast::ErrorKind as Problem;
        error(match problem.kind() {
            Problem::GroupUnclosed => "missing closing )",
            Problem::GroupUnopened => "unexpected )",
            Problem::ClassUnclosed => "missing closing ]",
            Problem::ClassRangeInvalid => "invalid character class range",
            Problem::RepetitionMissing => "missing argument to repetition operator",
            Problem::RepetitionCountInvalid | Problem::RepetitionCountDecimalEmpty => "invalid repeat count",
            Problem::EscapeUnexpectedEof => "trailing backslash at end of expression",
            Problem::EscapeUnrecognized => "invalid escape sequence",
            Problem::UnsupportedLookAround | Problem::FlagUnrecognized => "invalid or unsupported Perl syntax",
            Problem::GroupNameDuplicate { .. } => "duplicate capture group name",
            _ => "invalid syntax",
        })
    })?;
    let mut edits = Vec::new();
    walk(&parsed, &mut edits).map_err(error)?;
    edits.sort_by_key(|(start, _, _): &(usize, usize, &str)| *start);
    let mut out = String::with_capacity(plain.len() + 32);
    let mut position = 0;
    for (start, end, text) in edits {
        out.push_str(plain.get(position..start).unwrap_or_default());
        out.push_str(text);
        position = end;
    }
    out.push_str(plain.get(position..).unwrap_or_default());
    Ok(out)
}

/// What Go reads as literal text and Rust does not: `\Q..\E`, `{,3}`, and `&&`, `--`, `~~`, a lone `[` inside a class.
fn literal_forms(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut class = false;
    let mut first = false;
    while let Some(sign) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix("\\Q") {
            let (text, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            out.push_str(&regex_syntax::escape(text));
            rest = after;
            first = false;
            continue;
        }
        let mut taken = sign.len_utf8();
        // Go takes a name that begins with a digit; nobody asks for the names.
        if let Some(name) = rest.strip_prefix("(?P<").or_else(|| rest.strip_prefix("(?<"))
            && name.starts_with(|sign: char| sign.is_ascii_digit())
            && !class
        {
            out.push_str("(?P<_");
            rest = name;
            continue;
        }
        if sign == '\\' {
            taken += rest.chars().nth(1).map_or(0, char::len_utf8);
            if rest.starts_with("\\p{") || rest.starts_with("\\P{") || rest.starts_with("\\x{") {
                taken = rest.find('}').map_or(rest.len(), |end| end + 1);
            }
            out.push_str(rest.get(..taken).unwrap_or_default());
            first = false;
        } else if class {
            if rest.starts_with("[:") && rest.contains(":]") {
                taken = rest.find(":]").map_or(1, |end| end + 2);
                out.push_str(rest.get(..taken).unwrap_or_default());
                first = false;
            } else {
                match sign {
                    ']' if !first => {
                        class = false;
                        out.push(']');
                    }
                    '^' if first && out.ends_with('[') => out.push('^'),
                    '[' | '&' | '~' => {
                        out.push('\\');
                        out.push(sign);
                        first = false;
                    }
                    ']' => {
                        out.push_str("\\]");
                        first = false;
                    }
                    '-' if rest.starts_with("--") => {
                        out.push_str("\\-");
                        first = false;
                    }
                    sign => {
                        out.push(sign);
                        first = false;
                    }
                }
            }
        } else {
            match sign {
                '[' => {
                    class = true;
                    first = true;
                    out.push('[');
                }
                '{' if !is_repetition(rest) => out.push_str("\\{"),
                sign => out.push(sign),
            }
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// `{2}`, `{2,}`, `{2,3}`
fn is_repetition(text: &str) -> bool {
    let Some((inside, _)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) else { return false };
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    !low.is_empty() && low.bytes().all(|sign| sign.is_ascii_digit()) && high.bytes().all(|sign| sign.is_ascii_digit())
}

fn walk(root: &Ast, edits: &mut Vec<(usize, usize, &'static str)>) -> Result<(), &'static str> {
    // Each part with how often the repetitions around it repeat it.
    let mut open = vec![(root, 1_u32)];
    while let Some((part, times)) = open.pop() {
        match part {
            Ast::Flags(flags) => check_flags(&flags.flags)?,
            Ast::ClassPerl(class) => edits.push(edit(&class.span, perl(&class.kind, class.negated, false))),
            Ast::ClassBracketed(class) => bracketed(&class.kind, edits)?,
            Ast::Assertion(assertion) => match assertion.kind {
                ast::AssertionKind::WordBoundary => edits.push(edit(&assertion.span, r"(?-u:\b)")),
                ast::AssertionKind::NotWordBoundary => edits.push(edit(&assertion.span, r"(?-u:\B)")),
                ast::AssertionKind::StartLine
                | ast::AssertionKind::EndLine
                | ast::AssertionKind::StartText
                | ast::AssertionKind::EndText => {}
                _ => return Err("invalid escape sequence"),
            },
            Ast::Repetition(repetition) => {
                if matches!(*repetition.ast, Ast::Repetition(_)) {
                    return Err("invalid nested repetition operator");
                }
                let mut times = times;
                if let RepetitionKind::Range(range) = &repetition.op.kind {
                    let most = match range {
                        RepetitionRange::Exactly(count) | RepetitionRange::AtLeast(count) => *count,
                        RepetitionRange::Bounded(_, most) => *most,
                    };
                    times = times.saturating_mul(most.max(1));
                    if times > MAX_REPEAT {
                        return Err("invalid repeat count");
                    }
                }
                open.push((&repetition.ast, times));
            }
            Ast::Group(group) => {
                if let ast::GroupKind::NonCapturing(flags) = &group.kind {
                    check_flags(flags)?;
                }
                open.push((&group.ast, times));
            }
            Ast::Alternation(alternation) => open.extend(alternation.asts.iter().map(|part| (part, times))),
            Ast::Concat(concat) => open.extend(concat.asts.iter().map(|part| (part, times))),
            Ast::Empty(_) | Ast::Literal(_) | Ast::Dot(_) | Ast::ClassUnicode(_) => {}
        }
    }
    Ok(())
}

/// Go has the flags i, m, s and U.
fn check_flags(flags: &ast::Flags) -> Result<(), &'static str> {
    let known = |item: &ast::FlagsItem| {
        matches!(
            item.kind,
            ast::FlagsItemKind::Negation
                | ast::FlagsItemKind::Flag(
                    ast::Flag::CaseInsensitive | ast::Flag::MultiLine | ast::Flag::DotMatchesNewLine | ast::Flag::SwapGreed
                )
        )
    };
    if flags.items.iter().all(known) { Ok(()) } else { Err("invalid or unsupported Perl syntax") }
}

fn edit(span: &ast::Span, text: &'static str) -> (usize, usize, &'static str) {
    (span.start.offset, span.end.offset, text)
}

/// Go's `\d \w \s` are ASCII, and `\s` has no vertical tab.
fn perl(kind: &ClassPerlKind, negated: bool, inside: bool) -> &'static str {
    match (kind, negated, inside) {
        (ClassPerlKind::Digit, false, false) => "[0-9]",
        (ClassPerlKind::Digit, true, false) => "[^0-9]",
        (ClassPerlKind::Space, false, false) => r"[\t\n\f\r ]",
        (ClassPerlKind::Space, true, false) => r"[^\t\n\f\r ]",
        (ClassPerlKind::Word, false, false) => "[0-9A-Za-z_]",
        (ClassPerlKind::Word, true, false) => "[^0-9A-Za-z_]",
        (ClassPerlKind::Digit, false, true) => "0-9",
        (ClassPerlKind::Digit, true, true) => "[^0-9]",
        (ClassPerlKind::Space, false, true) => r"\t\n\f\r ",
        (ClassPerlKind::Space, true, true) => r"[^\t\n\f\r ]",
        (ClassPerlKind::Word, false, true) => "0-9A-Za-z_",
        (ClassPerlKind::Word, true, true) => "[^0-9A-Za-z_]",
    }
}

fn bracketed(set: &ClassSet, edits: &mut Vec<(usize, usize, &'static str)>) -> Result<(), &'static str> {
    let mut open = match set {
        ClassSet::Item(item) => vec![item],
        ClassSet::BinaryOp(_) => return Err("invalid character class range"),
    };
    while let Some(item) = open.pop() {
        match item {
            ClassSetItem::Perl(class) => edits.push(edit(&class.span, perl(&class.kind, class.negated, true))),
            // A bracket inside a class is literal by now; this is `[:name:]` of a name that nobody knows.
            ClassSetItem::Bracketed(_) => return Err("invalid character class range"),
            ClassSetItem::Union(union) => open.extend(&union.items),
            _ => {}
        }
    }
    Ok(())
}

/// Runs `work` with the compiled pattern: the constant one, or the argument's.
fn with<'a>(context: &Context<'_>, pattern: &str, work: impl FnOnce(&Regex) -> Outcome<'a>) -> Outcome<'a> {
    match context.regex {
        Some(regex) => work(regex),
        None => LAST.with_borrow_mut(|last| {
            let known = last.take().filter(|(known, _)| known == pattern);
            let (_, regex) = last.insert(match known {
                Some(known) => known,
                None => {
                    // Compiling takes far longer than matching and cel-go does not charge it: some 550 patterns a budget.
                    context.budget.work(200)?;
                    (pattern.to_owned(), compile(pattern).map_err(EvaluationError::failed)?)
                }
            });
            work(regex)
        }),
    }
}

thread_local! {
    /// The pattern that was compiled last while an expression was evaluated: loops use the same one for every item.
    static LAST: std::cell::RefCell<Option<(String, Regex)>> = const { std::cell::RefCell::new(None) };
}

fn matches<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::String(pattern)] = arguments else { return no_such_overload("matches", arguments) };
    with(context, pattern.as_str(), |regex| Ok(Value::Bool(regex.is_match(text.as_str().as_bytes()))))
}

fn illegal(error: EvaluationError) -> EvaluationError {
    match error {
        EvaluationError::Failed(message) => EvaluationError::Failed(message.replacen("error parsing regexp", "Illegal regex", 1)),
        error => error,
    }
}

/// A match; `\B` may cut a character in two.
fn shared(found: &[u8]) -> Value<'static> {
    Value::string(String::from_utf8_lossy(found))
}

fn find<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::String(pattern)] = arguments else { return no_such_overload("find", arguments) };
    let search = |regex: &Regex| Ok(regex.find(text.as_str().as_bytes()).map_or(Value::borrowed(""), |found| shared(found.as_bytes())));
    with(context, pattern.as_str(), search).map_err(illegal)
}

fn find_all<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (text, pattern, limit) = match arguments {
        [Value::String(text), Value::String(pattern)] => (text.as_str(), pattern.as_str(), -1),
        [Value::String(text), Value::String(pattern), Value::Int(limit)] => (text.as_str(), pattern.as_str(), *limit),
        _ => return no_such_overload("findAll", arguments),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let search = |regex: &Regex| Value::list(regex.find_iter(text.as_bytes()).take(limit).map(|found| shared(found.as_bytes())).collect());
    with(context, pattern, search).map_err(illegal)
}
