//! The grammar of Go's regular expressions, read piece by piece and written for the `regex` crate. Each piece is written so that it
//! means the same under no flags at all: what Go's flags make of it is decided here.

use super::class::{self, Class};

/// Go refuses repetitions that together repeat their innermost part more often.
const MAX_REPEAT: u64 = 1000;
/// How deep groups may lie in each other: Go's bound on all that nests.
const MAX_GROUPS: usize = 998;
/// How deep alternations, sequences and repetitions may lie in each other: compiling them is recursive.
const MAX_HEIGHT: u32 = 250;

/// A pattern as the `regex` crate reads it.
pub(super) struct Translated {
    pub(super) text: String,
    /// About how many bytes it takes compiled.
    pub(super) weight: u64,
    /// Whether it is nothing but text to be found: what is quickly compiled.
    pub(super) literal: bool,
}

/// What `(?ims-U)` sets.
#[derive(Clone, Copy, Default)]
struct Flags {
    fold: bool,
    lines: bool,
    any_newline: bool,
    lazy: bool,
}

/// A part that a repetition may follow.
#[derive(Clone, Copy, Default)]
struct Part {
    /// Where it begins in what is written.
    start: usize,
    weight: u64,
    /// How often its repetitions repeat something inside it.
    repeats: u64,
    height: u32,
    /// Whether it is a repetition.
    repeated: bool,
}

/// A group that is not closed yet, or the whole pattern.
#[derive(Default)]
struct Group {
    /// The flags to go back to at its end.
    outer: Flags,
    /// What was read of it, but for the last part.
    before: Part,
    /// How many parts the present alternative has.
    parts: u32,
    alternatives: bool,
    last: Option<Part>,
}

impl Group {
    fn settle(&mut self) {
        if let Some(last) = self.last.take() {
            self.parts += 1;
            self.before.weight = self.before.weight.saturating_add(last.weight);
            self.before.repeats = self.before.repeats.max(last.repeats);
            self.before.height = self.before.height.max(last.height);
        }
    }

    fn close(mut self, start: usize) -> Part {
        let sequence = self.parts + u32::from(self.last.is_some()) > 1;
        self.settle();
        let height = self.before.height + u32::from(sequence) + u32::from(self.alternatives);
        Part { start, height, repeated: false, ..self.before }
    }
}

struct Reader<'p> {
    pattern: &'p str,
    rest: &'p str,
    out: String,
    flags: Flags,
    group: Group,
    open: Vec<(usize, Group)>,
    literal: bool,
}

/// Writes a pattern of Go's dialect as one of the `regex` crate's.
///
/// # Errors
/// Go's: `error parsing regexp: missing closing ): ...`.
pub(super) fn translate(pattern: &str) -> Result<Translated, String> {
    let mut reader = Reader {
        pattern,
        rest: pattern,
        out: String::with_capacity(pattern.len() + 16),
        flags: Flags::default(),
        group: Group::default(),
        open: Vec::new(),
        literal: true,
    };
    reader.read()?;
    let Reader { out: text, group, literal, .. } = reader;
    let whole = group.close(0);
    if whole.height > MAX_HEIGHT {
        return Err(error("expression nests too deeply", pattern));
    }
    Ok(Translated { text, weight: whole.weight, literal })
}

/// Go's words for what is wrong, and where.
pub(super) fn error(what: &str, fragment: &str) -> String {
    format!("error parsing regexp: {what}: `{fragment}`")
}

/// What of `from` lies before `rest`, which is its end.
pub(super) fn before<'p>(from: &'p str, rest: &str) -> &'p str {
    from.get(..from.len() - rest.len()).unwrap_or(from)
}

/// The first character and what follows it.
pub(super) fn first(text: &str) -> Option<(char, &str)> {
    let mut signs = text.chars();
    signs.next().map(|sign| (sign, signs.as_str()))
}

impl<'p> Reader<'p> {
    fn read(&mut self) -> Result<(), String> {
        // The text from the last repetition on, if nothing stands between.
        let mut repetition = None;
        while let Some((sign, after)) = first(self.rest) {
            let last = repetition.take();
            let here = self.rest;
            match sign {
                '(' if after.starts_with('?') => self.extension()?,
                '(' => self.group(after)?,
                '|' => {
                    self.group.settle();
                    self.group.parts = 0;
                    self.group.alternatives = true;
                    self.literal = false;
                    self.out.push('|');
                    self.rest = after;
                }
                ')' => {
                    let Some((start, outer)) = self.open.pop() else { return Err(error("unexpected )", self.pattern)) };
                    let group = std::mem::replace(&mut self.group, outer);
                    self.flags = group.outer;
                    let part = group.close(start);
                    self.out.push(')');
                    self.part(part);
                    self.rest = after;
                }
                '^' => self.look(if self.flags.lines { "(?m:^)" } else { r"\A" }, after),
                '$' => self.look(if self.flags.lines { "(?m:$)" } else { r"\z" }, after),
                '.' => {
                    let any = if self.flags.any_newline { "(?s:.)" } else { r"[^\n]" };
                    self.atom(any, class::ANY_WEIGHT);
                    self.rest = after;
                }
                '[' => {
                    let (class, rest) = Class::bracketed(here)?;
                    self.class(&class, rest);
                }
                '*' | '+' | '?' => {
                    let least = u32::from(sign == '+');
                    self.repeat(here, after, (least, (sign == '?').then_some(1)), before(here, after), last)?;
                    repetition = Some(here);
                }
                '{' => match counts(here) {
                    Some((bounds, after)) => {
                        let Some((least, most)) = bounds else { return Err(error("invalid repeat count", before(here, after))) };
                        self.repeat(here, after, (least, most), before(here, after), last)?;
                        repetition = Some(here);
                    }
                    None => self.literal('{', after),
                },
                '\\' => self.escape(here, after)?,
                sign => self.literal(sign, after),
            }
        }
        if self.open.is_empty() { Ok(()) } else { Err(error("missing closing )", self.pattern)) }
    }

    fn part(&mut self, part: Part) {
        self.group.settle();
        self.group.last = Some(part);
    }

    fn atom(&mut self, text: &str, weight: u64) {
        self.literal = false;
        let part = Part { start: self.out.len(), weight, repeats: 1, height: 1, repeated: false };
        self.out.push_str(text);
        self.part(part);
    }

    fn look(&mut self, text: &str, rest: &'p str) {
        self.atom(text, 16);
        self.rest = rest;
    }

    fn class(&mut self, class: &Class, rest: &'p str) {
        let text = class.text(self.flags.fold);
        self.atom(&text, class.weight(self.flags.fold));
        self.rest = rest;
    }

    fn literal(&mut self, sign: char, rest: &'p str) {
        let start = self.out.len();
        let fold = self.flags.fold && (sign.is_ascii_alphabetic() || !sign.is_ascii());
        if fold {
            self.literal = false;
            self.out.push_str("(?i:");
        }
        if regex_syntax::is_meta_character(sign) {
            self.out.push('\\');
        }
        self.out.push(sign);
        if fold {
            self.out.push(')');
        }
        let weight = if fold { 96 } else { 24 * sign.len_utf8() as u64 };
        self.part(Part { start, weight, repeats: 1, height: 1, repeated: false });
        self.rest = rest;
    }

    fn group(&mut self, rest: &'p str) -> Result<(), String> {
        if self.open.len() >= MAX_GROUPS {
            return Err(error("expression nests too deeply", self.pattern));
        }
        // What a group is called and what it holds, nobody asks for.
        self.literal = false;
        let outer = std::mem::replace(&mut self.group, Group { outer: self.flags, ..Group::default() });
        self.open.push((self.out.len(), outer));
        self.out.push_str("(?:");
        self.rest = rest;
        Ok(())
    }

    /// `(?P<name>`, `(?<name>`, `(?i)`, `(?i-s:`
    fn extension(&mut self) -> Result<(), String> {
        let here = self.rest;
        // Go looks for the name only if something follows the bracket.
        let named =
            here.strip_prefix("(?P<").filter(|name| !name.is_empty()).or_else(|| here.strip_prefix("(?<").filter(|name| !name.is_empty()));
        if let Some(named) = named {
            let Some((name, rest)) = named.split_once('>') else { return Err(error("invalid named capture", here)) };
            if name.is_empty() || !name.bytes().all(|sign| sign.is_ascii_alphanumeric() || sign == b'_') {
                return Err(error("invalid named capture", before(here, rest)));
            }
            return self.group(rest);
        }
        let mut flags = self.flags;
        let (mut value, mut seen) = (true, false);
        let mut rest = here.get(2..).unwrap_or_default();
        while let Some((sign, after)) = first(rest) {
            rest = after;
            match sign {
                'i' => flags.fold = value,
                'm' => flags.lines = value,
                's' => flags.any_newline = value,
                'U' => flags.lazy = value,
                '-' if value => {
                    (value, seen) = (false, false);
                    continue;
                }
                ':' | ')' if value || seen => {
                    if sign == ':' {
                        self.group(rest)?;
                    }
                    self.flags = flags;
                    self.rest = rest;
                    return Ok(());
                }
                _ => break,
            }
            seen = true;
        }
        Err(error("invalid or unsupported Perl syntax", before(here, rest)))
    }

    /// Repeats the last part. `here` begins with the repetition, `last` with the one right before it.
    fn repeat(
        &mut self,
        here: &'p str,
        mut after: &'p str,
        (least, most): (u32, Option<u32>),
        sign: &str,
        last: Option<&'p str>,
    ) -> Result<(), String> {
        let mut lazy = self.flags.lazy;
        if let Some(rest) = after.strip_prefix('?') {
            after = rest;
            lazy = !lazy;
        }
        if let Some(last) = last {
            return Err(error("invalid nested repetition operator", before(last, after)));
        }
        let Some(part) = &mut self.group.last else {
            return Err(error("missing argument to repetition operator", before(here, after)));
        };
        if part.repeated {
            // Only flags stand between the two: `a*(?i)*`.
            self.out.insert_str(part.start, "(?:");
            self.out.push(')');
        }
        let times = u64::from(most.unwrap_or(least));
        if sign.starts_with('{') {
            part.repeats = if most == Some(0) { 0 } else { part.repeats.max(1) * times.max(1) };
            if part.repeats > MAX_REPEAT && (least >= 2 || most.is_some_and(|most| most >= 2)) {
                return Err(error("invalid repeat count", before(here, after)));
            }
        }
        part.weight = part.weight.saturating_mul(times.max(1)).saturating_add(16);
        part.height += 1;
        part.repeated = true;
        if part.height > MAX_HEIGHT {
            return Err(error("expression nests too deeply", self.pattern));
        }
        self.literal = false;
        self.out.push_str(sign);
        if lazy {
            self.out.push('?');
        }
        self.rest = after;
        Ok(())
    }

    /// `\d`, `\pL`, `\Q..\E`, `\n`; `here` begins with the backslash, `after` follows it.
    fn escape(&mut self, here: &'p str, after: &'p str) -> Result<(), String> {
        let look = match first(after) {
            Some(('A', rest)) => Some((r"\A", rest)),
            Some(('z', rest)) => Some((r"\z", rest)),
            Some(('b', rest)) => Some((r"(?-u:\b)", rest)),
            Some(('B', rest)) => Some((r"(?-u:\B)", rest)),
            Some(('Q', rest)) => {
                let (text, rest) = rest.split_once("\\E").unwrap_or((rest, ""));
                text.chars().for_each(|sign| self.literal(sign, rest));
                self.rest = rest;
                return Ok(());
            }
            _ => None,
        };
        if let Some((text, rest)) = look {
            self.look(text, rest);
            return Ok(());
        }
        let mut class = Class::default();
        if let Some(rest) = class.escape(here)? {
            self.class(&class, rest);
            return Ok(());
        }
        let (code, rest) = class::character(here)?;
        match char::from_u32(code) {
            Some(sign) => self.literal(sign, rest),
            // A surrogate is a character to Go, but stands in no text.
            None => {
                class.range(code, code);
                self.class(&class, rest);
            }
        }
        Ok(())
    }
}

/// The least and the greatest number of times, if there is one.
type Bounds = (u32, Option<u32>);

/// `{2}`, `{2,}`, `{2,3}` at the start of a text: its numbers, unless Go refuses them, and what follows.
fn counts(text: &str) -> Option<(Option<Bounds>, &str)> {
    let (least, rest) = number(text.strip_prefix('{')?)?;
    let (most, rest) = match rest.strip_prefix(',') {
        None => (Some(least), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => number(rest).map(|(most, rest)| (Some(most), rest))?,
    };
    let rest = rest.strip_prefix('}')?;
    let fits = u64::from(least.max(most.unwrap_or(0))) <= MAX_REPEAT && most.is_none_or(|most| least <= most);
    Some((fits.then_some((least, most)), rest))
}

/// A decimal number without leading zeros; one that is too large is as large as can be.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}
