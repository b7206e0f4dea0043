//! What can go wrong: in an expression's text, and while it is evaluated.

use std::ops::Range;

/// Why a text is no expression that can be evaluated; found once, when policies are loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}{}", further(.more))]
pub struct CompileError {
    /// What is wrong, in cel-go's words where it has some; several errors of one text are joined with `; `.
    pub message: String,
    /// The offending part, in bytes of the source.
    pub span: Range<usize>,
    /// Line of the first offending byte, 1-based.
    pub line: usize,
    /// Column of the first offending character, 1-based, in characters.
    pub column: usize,
    /// What the type checker found besides, in the order of the source.
    pub more: Vec<CompileError>,
}

fn further(more: &[CompileError]) -> String {
    more.iter().map(|error| format!("; {error}")).collect()
}

impl CompileError {
    /// Several errors of one text as one, at the place of the first; more than ten tell nothing more.
    pub(super) fn joined(errors: Vec<Self>) -> Self {
        let mut errors = errors.into_iter().take(10);
        let Some(first) = errors.next() else { return Self::new("", 0..0, "") };
        Self { more: errors.collect(), ..first }
    }

    /// An error over a range of bytes of `source`.
    pub(super) fn new(source: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let before = source.get(..span.start).unwrap_or(source);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |text| text.chars().count()) + 1;
        Self { message: message.into(), span, line, column, more: Vec::new() }
    }

    /// An error at a 1-based line and column, as the parser reports it.
    pub(super) fn at(source: &str, line: usize, column: usize, message: impl Into<String>) -> Self {
        let start_of_line: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let rest = source.get(start_of_line..).unwrap_or_default();
        let offset = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(index, _)| index);
        let start = start_of_line + offset;
        let width = source.get(start..).and_then(|text| text.chars().next()).map_or(0, char::len_utf8);
        Self { message: message.into(), span: start..start + width, line, column, more: Vec::new() }
    }
}

/// `; did you mean 'containers'?` with the name that is nearest, if one is near.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    let near = known.map(|known| (strsim::jaro_winkler(known, name), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    near.filter(|(score, _)| *score > 0.8).map(|(_, known)| format!("; did you mean '{known}'?")).unwrap_or_default()
}

/// Why an expression has no value for these variables.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A fact that could not be learned, and why. Absorbed by `||` and `&&` like any error, and preferred to [`Self::Failed`] when
    /// both are left.
    #[error("unknown: {0}")]
    Unknown(String),
    /// An error of the expression itself, in cel-go's words: `no such key: x`.
    #[error("{0}")]
    Failed(String),
    /// The cost limit was reached. Never absorbed.
    #[error("operation cancelled: actual cost limit exceeded")]
    BudgetExceeded,
    /// The deadline passed. Never absorbed.
    #[error("operation interrupted")]
    DeadlineExceeded,
}

impl EvaluationError {
    /// An error in cel-go's words.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// The operands have types that the operation does not take.
    pub(super) fn no_such_overload() -> Self {
        Self::Failed("no such overload".to_owned())
    }

    /// The error of the expression that reads a policy's own variable, when evaluating the variable gave this one.
    #[must_use]
    pub fn of_variable(self, name: &str) -> Self {
        match self {
            Self::Failed(message) => Self::Failed(format!("composited variable \"{name}\" fails to evaluate: {message}")),
            other => other,
        }
    }

    /// Whether `||` and `&&` must let this error through whatever the other side says.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::BudgetExceeded | Self::DeadlineExceeded) || self.is_internal()
    }

    /// Whether it stands for a panic of Go's, which ends the whole evaluation there.
    fn is_internal(&self) -> bool {
        matches!(self, Self::Failed(message) if message.starts_with("internal error: "))
    }

    /// Of two absorbed errors the one to report: what is unknown, else the first.
    pub(super) fn prefer(first: Option<Self>, second: Self) -> Self {
        match first {
            Some(Self::Failed(_)) if matches!(second, Self::Unknown(_)) => second,
            Some(first) => first,
            None => second,
        }
    }
}
