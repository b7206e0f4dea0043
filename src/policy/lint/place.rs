//! From the bytes of an expression to the bytes of the file that holds it: YAML folds, quotes and indents.

use std::ops::Range;

use super::{Finding, Weight};
use crate::manifest::SourceMap;
use crate::policy::mistake::Mistake;

/// A mistake with its place in the file.
pub(super) fn finding(text: &str, map: &SourceMap, weight: Weight, mistake: Mistake) -> Finding {
    let position = map.locate(&mistake.error.path);
    let field = Finding {
        weight,
        path: mistake.error.path,
        message: mistake.error.message,
        remedy: mistake.remedy,
        span: position.span.clone(),
        line: position.line,
        column: position.column,
    };
    let Some((source, within, message)) = mistake.within else { return field };
    let found = if position.exact { span_in_file(text, position.span.end, &source, &within) } else { None };
    let Some(span) = found else { return Finding { message, ..field } };
    let before = text.get(..span.start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |start| start.chars().count()) + 1;
    Finding { message, span, line, column, ..field }
}

/// Where some bytes of a scalar stand in the file whose key ends at `key_end`. The scalar's text and the file's are walked side by side:
/// a line break in a folded scalar is a space, a quote is written twice or after a backslash.
fn span_in_file(text: &str, key_end: usize, scalar: &str, within: &Range<usize>) -> Option<Range<usize>> {
    let value = text.get(key_end..)?;
    let mut place = key_end + value.find(':')? + 1;
    let rest = text.get(place..)?;
    let trimmed = rest.trim_start_matches(' ');
    place += rest.len() - trimmed.len();
    if trimmed.starts_with(['>', '|']) {
        place += trimmed.find('\n')? + 1;
    } else if trimmed.starts_with(['"', '\'']) {
        place += 1;
    }
    let (mut start, mut end) = (None, None);
    for (byte, sign) in scalar.char_indices() {
        let here = next(text, &mut place, sign, start.is_none())?;
        if byte <= within.start {
            start = Some(here);
        }
        if byte < within.end.max(within.start + 1) {
            end = Some(place);
        }
    }
    Some(start?..end?)
}

/// Goes past one character of the scalar and says where it stood; `first` may have white space before it.
fn next(text: &str, place: &mut usize, sign: char, first: bool) -> Option<usize> {
    let peek = |place: usize| text.get(place..).and_then(|rest| rest.chars().next());
    if sign.is_whitespace() {
        let here = *place;
        if peek(here) == Some(' ') && sign == ' ' && peek(here + 1).is_some_and(|after| !after.is_whitespace()) {
            *place = here + 1;
            return Some(here);
        }
        // A fold, or several spaces: as many as the file has.
        while let Some(white) = peek(*place).filter(|white| white.is_whitespace()) {
            *place += white.len_utf8();
        }
        return Some(here);
    }
    let mut here = *place;
    if first || peek(here).is_some_and(char::is_whitespace) {
        while let Some(white) = peek(here).filter(|white| white.is_whitespace()) {
            here += white.len_utf8();
        }
    }
    match (peek(here)?, peek(here + 1)) {
        ('\\', Some(escaped)) if escaped == sign && sign != '\\' => *place = here + 1 + sign.len_utf8(),
        ('\\', Some('\\')) if sign == '\\' => *place = here + 2,
        (written, _) if written == sign => *place = here + sign.len_utf8(),
        _ => return None,
    }
    // In single quotes a quote is written twice.
    if sign == '\'' && peek(*place) == Some('\'') && !text.get(here..*place).unwrap_or_default().starts_with('\\') && is_doubled(text, here)
    {
        *place += 1;
    }
    Some(here)
}

/// Whether the line's value is in single quotes, so that a pair of quotes is one.
fn is_doubled(text: &str, at: usize) -> bool {
    let line = text.get(..at).and_then(|before| before.rsplit('\n').next()).unwrap_or_default();
    line.split_once(": '").is_some_and(|(key, _)| !key.contains('\''))
}
