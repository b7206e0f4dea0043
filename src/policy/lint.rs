//! What can be said of a policy before it judges anything: its expressions against the schemas of the kinds it matches, what they need
//! of Kubernetes, and how their loops nest. A policy that does not load at all is [`super::load`]'s affair.

use std::ops::Range;

use super::compile::{Compiler, read};
use super::compiled::{IdentityPolicy, InjectionPolicy};
use super::declared::Declared;
use super::mistake::{Mistake, Note, PolicyError};
use super::native::{NativePolicy, POLICY, TypedPolicy, WrittenBinding, is_native, param_kind_of};
use super::schema::IdentityPolicySpec;
use super::schemas::Schemas;
use crate::cel::{EXPRESSION_LIMIT, OPEN_ENTRY, remedy_of_constant};
use crate::manifest::{Document, SourceMap};
use crate::object::{FieldPath, GroupVersionKind, Node};

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
    /// What to do about it, where the message does not say so.
    pub remedy: Option<String>,
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

/// What policies are looked at in the light of.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    /// What is known of the kinds that they judge.
    pub schemas: Schemas,
    /// The release of Kubernetes whose expressions may be used; any if there is none.
    pub target: Option<Release>,
    /// Kinds whose objects may stand beside the policies: a native one takes them as `params`.
    pub params: Vec<GroupVersionKind>,
}

/// The kinds that the native policies among some documents take as `params`.
#[must_use]
pub fn param_kinds(documents: &[Document]) -> Vec<GroupVersionKind> {
    documents.iter().filter_map(|document| param_kind_of(document.object.root())).collect()
}

/// Everything that is wrong with one document of a policy file.
#[must_use]
pub fn lint(document: &Document, ground: &Ground) -> Vec<Finding> {
    let node = document.object.root();
    let map = SourceMap::of(document);
    let place = |weight: Weight, mistake: Mistake| place::finding(&document.source.text, &map, weight, mistake);
    let refused = refused(node, ground);
    if !refused.is_empty() {
        return refused.into_iter().map(|mistake| place(Weight::Error, mistake)).collect();
    }
    let mut told = Told::default();
    if let Some(policy) = TypedPolicy::read(node).filter(|_| is_native(node)) {
        told.typed(policy.kinds(&ground.schemas), |declared| policy.compile(Compiler::thorough(declared)));
        told.doubt(policy.compile(Compiler::thorough(policy.dynamic())), ground.target);
    } else if node.text("kind") == "IdentityPolicy"
        && let Ok(policy) = read::<IdentityPolicySpec>(node)
    {
        for (index, rule) in policy.spec.rules.iter().enumerate() {
            let path = FieldPath::of(&["spec", "rules"]).index(index);
            let compile = |mut compiler: Compiler| {
                compiler.rule(rule.clone(), &path, policy.spec.enforcement);
                compiler
            };
            told.typed(Declared::each(&rule.matches, &ground.schemas), |declared| compile(Compiler::thorough(declared)));
            told.doubt(compile(Compiler::thorough(Declared::own())), ground.target);
        }
    }
    let notes = told.notes.into_iter().map(|mistake| place(Weight::Note, mistake));
    let mut findings: Vec<Finding> = notes.chain(told.doubts.into_iter().map(|mistake| place(Weight::Warning, mistake))).collect();
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings.dedup();
    findings
}

/// Why a document would not be taken into use.
fn refused(node: Node<'_>, ground: &Ground) -> Vec<Mistake> {
    let kind = node.text("kind");
    match kind {
        _ if is_native(node) && kind == POLICY => NativePolicy::mistakes(node),
        _ if is_native(node) => WrittenBinding::mistakes(node),
        "IdentityPolicy" => IdentityPolicy::mistakes(node),
        "InjectionPolicy" => InjectionPolicy::mistakes(node),
        _ if GroupVersionKind::of(node).is_some_and(|kind| ground.params.contains(&kind)) => Vec::new(),
        other => {
            let message = format!(
                "`{other}` is no policy; expected `IdentityPolicy`, `InjectionPolicy`, `{POLICY}` with its bindings, or an object of a `paramKind`"
            );
            vec![PolicyError { path: FieldPath::of(&["kind"]), message }.into()]
        }
    }
}

/// What is told of one document.
#[derive(Default)]
struct Told {
    doubts: Vec<Mistake>,
    notes: Vec<Mistake>,
    /// Expressions that a schema lets cost too much.
    dear: Vec<(FieldPath, Mistake)>,
}

impl Told {
    /// What the schemas say: what holds of some kinds only may be behind a question for the kind.
    fn typed(&mut self, kinds: Vec<Declared>, compile: impl Fn(Declared) -> Compiler) {
        // A mistake with the kinds in which it is one.
        let mut found: Vec<(Mistake, Vec<String>)> = Vec::new();
        let total = kinds.len();
        for declared in kinds {
            let kind = declared.kind.clone().unwrap_or_default();
            let Compiler { errors, compiled, .. } = compile(declared);
            for (path, note) in compiled {
                if let Some(mistake) = too_dear(&path, &note)
                    && !self.dear.iter().any(|(known, _)| *known == path)
                {
                    self.dear.push((path, mistake));
                }
            }
            for mistake in errors {
                match found.iter_mut().find(|(known, _)| *known == mistake) {
                    Some((_, kinds)) => kinds.push(kind.clone()),
                    None => found.push((mistake, vec![kind.clone()])),
                }
            }
        }
        for (mistake, kinds) in found {
            if kinds.len() < total {
                self.notes.push(with_kinds(mistake, &kinds));
            } else {
                self.doubts.push(mistake);
            }
        }
    }

    /// What the expressions say themselves.
    fn doubt(&mut self, compiler: Compiler, target: Option<Release>) {
        for (path, note) in compiler.compiled {
            self.doubts.extend(doubts_of(&path, &note, target));
            match self.dear.iter().position(|(known, _)| *known == path) {
                Some(place) => self.doubts.push(self.dear.swap_remove(place).1),
                None => self.doubts.extend(too_dear(&path, &note)),
            }
        }
    }
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

fn doubt(path: &FieldPath, note: &Note, span: Range<usize>, message: String, remedy: Option<&str>) -> Mistake {
    Mistake {
        error: PolicyError { path: path.clone(), message: message.clone() },
        within: Some((note.source.clone(), span, message)),
        remedy: remedy.map(str::to_owned),
    }
}

/// That an expression may cost too much, where that does not hang on what is sent or its schema bounds it.
fn too_dear(path: &FieldPath, note: &Note) -> Option<Mistake> {
    let most = note.most.filter(|most| *most > EXPRESSION_LIMIT)?;
    let message = format!("may cost up to {most}, and an evaluation ends at {EXPRESSION_LIMIT}");
    Some(doubt(path, note, 0..note.source.len(), message, Some("make a list smaller, or take a loop out of another one")))
}

/// What an expression that compiles may still be wrong about.
fn doubts_of(path: &FieldPath, note: &Note, target: Option<Release>) -> Vec<Mistake> {
    let doubt = |span: Range<usize>, message: String, remedy: Option<&str>| doubt(path, note, span, message, remedy);
    let mut doubts = Vec::new();
    if let Some(target) = target {
        for need in &note.needs {
            if need.name == OPEN_ENTRY {
                let message = format!("{OPEN_ENTRY} ends the compiler of every Kubernetes so far; the target is {target}");
                doubts.push(doubt(need.span.clone(), message, Some("write `.or(optional.none())` after it")));
            } else if need.since.parse::<Release>().is_ok_and(|since| since > target) {
                let message = format!("`{}` needs Kubernetes {}; the target is {target}", need.name, need.since);
                doubts.push(doubt(need.span.clone(), message, None));
            }
        }
    }
    if note.loops > MAX_LOOPS {
        let message = format!("{} loops lie inside each other; more than {MAX_LOOPS} cost too much on a large object", note.loops);
        doubts.push(doubt(0..note.source.len(), message, None));
    }
    for refused in &note.refused {
        let message = format!("each evaluation that reads this ends: {}", refused.message);
        doubts.push(doubt(refused.span.clone(), message, Some(remedy_of_constant(refused.function))));
    }
    doubts
}

#[cfg(test)]
mod tests;
