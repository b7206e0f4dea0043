//! What can be said of a policy before it judges anything: its expressions against the schemas of the kinds it matches, what they need
//! of Kubernetes, and how their loops nest. A policy that does not load at all is [`super::load`]'s affair.

use std::ops::Range;

use super::compile::{Compiler, IdentityPolicy, InjectionPolicy, Mistake, PolicyError, read};
use super::declared::Declared;
use super::schema::{IdentityPolicySpec, Rule};
use super::schemas::Schemas;
use crate::manifest::{Document, SourceMap};
use crate::object::FieldPath;
use crate::settings::Enforcement;

mod place;

/// Loops in loops in loops: a cost that grows with the power of the object.
const MAX_LOOPS: u32 = 4;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The policy is refused.
    Error,
    /// It can be loaded, but some expression cannot mean what it says, or the target cannot read it.
    Warning,
    /// A habit.
    Note,
}

impl Weight {
    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One finding, with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub weight: Weight,
    /// The field that holds it.
    pub path: FieldPath,
    /// What is wrong, and what may have been meant.
    pub message: String,
    /// Bytes of the file.
    pub span: Range<usize>,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
}

/// A minor release of Kubernetes: `1.34`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(u32, u32);

impl Release {
    /// The first one whose nodes know native sidecars without being told to.
    pub const NATIVE_SIDECARS: Self = Self(1, 29);
}

impl std::str::FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.trim_start_matches('v').split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) = parts.ok_or_else(|| format!("`{text}` is no release of Kubernetes; write 1.34"))?;
        Ok(Self(major, minor))
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.0, self.1)
    }
}

/// Everything that is wrong with one document of a policy file.
#[must_use]
pub fn lint(document: &Document, schemas: &Schemas, target: Option<Release>) -> Vec<Finding> {
    let node = document.object.root();
    let map = SourceMap::of(document);
    let place = |weight: Weight, mistake: Mistake| place::finding(&document.source.text, &map, weight, mistake);
    let refused = match node.text("kind") {
        "IdentityPolicy" => IdentityPolicy::mistakes(node),
        "InjectionPolicy" => InjectionPolicy::mistakes(node),
        other => {
            let message = format!("`{other}` is no policy; expected `IdentityPolicy` or `InjectionPolicy`");
            vec![Mistake { error: PolicyError { path: FieldPath::of(&["kind"]), message }, within: None }]
        }
    };
    if !refused.is_empty() {
        return refused.into_iter().map(|mistake| place(Weight::Error, mistake)).collect();
    }
    let mut findings = Vec::new();
    let mut doubts = Vec::new();
    if node.text("kind") == "IdentityPolicy"
        && let Ok(policy) = read::<IdentityPolicySpec>(node)
    {
        for (index, rule) in policy.spec.rules.iter().enumerate() {
            let path = FieldPath::of(&["spec", "rules"]).index(index);
            let kinds = Declared::each(&rule.matches, schemas);
            // A mistake with the kinds in which it is one.
            let mut found: Vec<(Mistake, Vec<String>)> = Vec::new();
            let total = kinds.len();
            for declared in kinds {
                let kind = declared.kind.clone().unwrap_or_default();
                for mistake in with_declared(rule, &path, policy.spec.enforcement, declared).errors {
                    match found.iter_mut().find(|(known, _)| *known == mistake) {
                        Some((_, kinds)) => kinds.push(kind.clone()),
                        None => found.push((mistake, vec![kind.clone()])),
                    }
                }
            }
            let compiled = with_declared(rule, &path, policy.spec.enforcement, Declared::own()).compiled;
            doubts.extend(compiled.into_iter().flat_map(|(path, note)| doubts_of(&path, &note, target)));
            // What holds of some kinds only may be behind a question for the kind.
            for (mistake, kinds) in found {
                if kinds.len() < total {
                    findings.push(place(Weight::Note, with_kinds(mistake, &kinds)));
                } else {
                    doubts.push(mistake);
                }
            }
        }
    }
    findings.extend(doubts.into_iter().map(|mistake| place(Weight::Warning, mistake)));
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings.dedup();
    findings
}

/// Compiles one rule with what is declared of its objects.
fn with_declared(rule: &Rule, path: &FieldPath, ceiling: Enforcement, declared: Declared) -> Compiler {
    let mut compiler = Compiler::new(declared);
    compiler.rule(rule.clone(), path, ceiling);
    compiler
}

/// Says of which kinds a mistake is one.
fn with_kinds(mut mistake: Mistake, kinds: &[String]) -> Mistake {
    let of = format!(" (where the object is one of {})", kinds.join(", "));
    mistake.error.message.push_str(&of);
    if let Some((_, _, message)) = &mut mistake.within {
        message.push_str(&of);
    }
    mistake
}

/// What an expression that compiles may still be wrong about.
fn doubts_of(path: &FieldPath, note: &super::compile::Note, target: Option<Release>) -> Vec<Mistake> {
    let doubt = |span: Range<usize>, message: String| Mistake {
        error: PolicyError { path: path.clone(), message: message.clone() },
        within: Some((note.source.clone(), span, message)),
    };
    let mut doubts = Vec::new();
    if let Some(target) = target {
        for need in &note.needs {
            if need.since.parse::<Release>().is_ok_and(|since| since > target) {
                doubts.push(doubt(need.span.clone(), format!("`{}` needs Kubernetes {}; the target is {target}", need.name, need.since)));
            }
        }
    }
    if note.loops > MAX_LOOPS {
        let message = format!("{} loops lie inside each other; more than {MAX_LOOPS} cost too much on a large object", note.loops);
        doubts.push(doubt(0..note.source.len(), message));
    }
    doubts
}

#[cfg(test)]
mod tests;
