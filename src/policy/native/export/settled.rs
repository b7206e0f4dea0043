//! What is written out, compiled as the API server compiles it: what it would refuse, and the release of Kubernetes that it needs.

use serde_json::Value;

use super::ExportedPolicy;
use crate::cel::Need;
use crate::object::{FieldPath, Object};
use crate::policy::compile::Compiler;
use crate::policy::lint::Release;
use crate::policy::native::compile::NativePolicy;
use crate::policy::native::typed::TypedPolicy;

/// The annotation that says which release a policy needs at least.
pub(super) const NEEDS: &str = "doorward.dev/needs-kubernetes";
/// The first release that has these policies without a feature gate.
pub(super) const FIRST: &str = "1.30";

/// Which part of a written policy is refused.
pub(super) enum Part {
    /// A validation, by its position.
    Validation(usize),
    /// A variable, by its name.
    Variable(String),
    /// What every validation hangs on.
    Rule,
}

/// Why the API server would not take a policy.
pub(super) struct Refusal {
    pub(super) part: Part,
    pub(super) reason: String,
}

/// What the API server would refuse of a written policy.
pub(super) fn refusals(policy: &Value) -> Vec<Refusal> {
    let Ok(object) = Object::from_serialize(policy) else { return Vec::new() };
    let mistakes = NativePolicy::mistakes(object.root());
    let refusal =
        |path: &FieldPath, message: &str| Refusal { part: part(policy, path), reason: format!("is refused by the API server: {message}") };
    let message = |mistake: &crate::policy::mistake::Mistake| match &mistake.within {
        Some((_, _, message)) => message.clone(),
        None => mistake.error.message.clone(),
    };
    mistakes.iter().map(|mistake| refusal(&mistake.error.path, &message(mistake))).collect()
}

/// The part of a policy in which a field stands.
fn part(policy: &Value, path: &FieldPath) -> Part {
    let path = path.to_string();
    let index = |list: &str| path.strip_prefix(list)?.split(']').next()?.parse::<usize>().ok();
    if let Some(index) = index("spec.validations[") {
        return Part::Validation(index);
    }
    let variable = index("spec.variables[").and_then(|index| policy.pointer(&format!("/spec/variables/{index}/name")));
    match variable.and_then(Value::as_str) {
        Some(name) => Part::Variable(name.to_owned()),
        None => Part::Rule,
    }
}

/// The policy with what it needs of Kubernetes noted on it.
pub(super) fn needing(mut made: ExportedPolicy) -> ExportedPolicy {
    made.needs = needs(&made.policy);
    let newest = made.needs.first().map_or(FIRST, |need| need.since);
    if let Some(annotations) = made.policy.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.insert(NEEDS.to_owned(), newest.into());
    }
    made
}

pub(super) fn release(since: &str) -> Option<Release> {
    since.parse().ok()
}

/// What a policy uses that is newer than these policies themselves, the newest first, each once.
fn needs(policy: &Value) -> Vec<Need> {
    let Some(typed) = Object::from_serialize(policy).ok().and_then(|object| TypedPolicy::read(object.root())) else { return Vec::new() };
    let compiled = typed.compile(Compiler::new(typed.dynamic())).compiled;
    let mut needs: Vec<Need> = compiled.into_iter().flat_map(|(_, note)| note.needs).collect();
    needs.retain(|need| release(need.since) > release(FIRST));
    needs.sort_by(|one, other| release(other.since).cmp(&release(one.since)).then(one.name.cmp(other.name)));
    needs.dedup_by(|one, other| one.name == other.name);
    needs
}
