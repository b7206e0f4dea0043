//! The `at` of a validation as nested comprehensions: what it visits one by one, the API server folds into one answer.
//!
//! The macros with two variables are used throughout, because `[x]` means the items of a list and the values of a map alike; the
//! API server has them since Kubernetes 1.32.

use crate::cel::Expression;
use crate::object::CONTAINER_LISTS;
use crate::policy::location::{Location, Step};

/// What the visits are folded into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    /// Whether all hold.
    All,
    /// The texts that are not empty, joined.
    Texts,
}

/// What is said of each match, and whether it reads `self`.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'l> {
    pub(super) text: &'l str,
    pub(super) reads_self: bool,
}

impl Fold {
    /// The expression over every match of a location below `root`, which may stand before a `.`.
    pub(super) fn over(self, location: &Location, root: &str, leaf: Leaf<'_>) -> String {
        self.steps(&location.steps, &Operand { text: root.to_owned(), optional: false }, leaf, 1)
    }

    fn steps(self, steps: &[Step], operand: &Operand, leaf: Leaf<'_>, depth: usize) -> String {
        let Some((step, rest)) = steps.split_first() else { return self.one(operand, leaf) };
        match step {
            // Lists of containers can be put together, so that the rest is said once.
            Step::Field(names) if names.len() > 1 && containers(names) && matches!(rest.first(), Some(Step::Each(_))) => {
                let lists: Vec<String> = names.iter().map(|name| operand.field(name).list()).collect();
                self.steps(rest, &Operand { text: format!("({})", lists.join(" + ")), optional: false }, leaf, depth)
            }
            Step::Field(names) => self.join(names.iter().map(|name| self.steps(rest, &operand.field(name), leaf, depth)).collect()),
            Step::Key(key) => {
                let text = format!("{}[?{}]", operand.text, Expression::string_literal(key));
                self.steps(rest, &Operand { text, optional: true }, leaf, depth)
            }
            Step::Each(name) => {
                let item = match name {
                    Some(name) => name.clone(),
                    None if rest.is_empty() => "self".into(),
                    None => format!("item{depth}"),
                };
                let inner = match rest.is_empty() && (name.is_none() || !leaf.reads_self) {
                    true => leaf.text.to_owned(),
                    false => self.steps(rest, &Operand { text: item.clone(), optional: false }, leaf, depth + 1),
                };
                let (list, index) = (operand.list(), format!("index{depth}"));
                match self {
                    Self::All => format!("{list}.all({index}, {item}, {inner})"),
                    Self::Texts => joined(&format!("{list}.transformList({index}, {item}, {inner})")),
                }
            }
        }
    }

    fn one(self, operand: &Operand, leaf: Leaf<'_>) -> String {
        let found = if operand.optional { operand.text.clone() } else { format!("optional.of({})", operand.text) };
        let neutral = if self == Self::All { "true" } else { "''" };
        format!("{found}.optMap(self, {}).orValue({neutral})", leaf.text)
    }

    fn join(self, mut parts: Vec<String>) -> String {
        match (self, parts.len()) {
            (_, 1) => parts.remove(0),
            (Self::All, _) => format!("({})", parts.join(" && ")),
            (Self::Texts, _) => joined(&format!("[{}]", parts.join(", "))),
        }
    }
}

struct Operand {
    text: String,
    /// Whether it is an optional.
    optional: bool,
}

impl Operand {
    fn field(&self, name: &str) -> Self {
        Self { text: format!("{}.?{name}", self.text), optional: true }
    }

    fn list(&self) -> String {
        if self.optional { format!("{}.orValue([])", self.text) } else { self.text.clone() }
    }
}

fn containers(names: &[String]) -> bool {
    names.iter().all(|name| CONTAINER_LISTS.contains(&name.as_str()))
}

fn joined(list: &str) -> String {
    format!("{list}.filter(text, text != '').join('; ')")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(at: &str) -> String {
        Fold::All.over(&Location::parse(at).unwrap(), "pod", Leaf { text: "T", reads_self: true })
    }

    #[test]
    fn every_step_is_an_optional_field_or_a_loop() {
        for (at, expression) in [
            ("spec.hostPID", "pod.?spec.?hostPID.optMap(self, T).orValue(true)"),
            ("metadata.annotations['a/b']", "pod.?metadata.?annotations[?'a/b'].optMap(self, T).orValue(true)"),
            ("spec.volumes[*]", "pod.?spec.?volumes.orValue([]).all(index1, self, T)"),
            (
                "spec.volumes[volume]",
                "pod.?spec.?volumes.orValue([]).all(index1, volume, optional.of(volume).optMap(self, T).orValue(true))",
            ),
            (
                "spec.volumes[volume].projected.sources[*].serviceAccountToken",
                "pod.?spec.?volumes.orValue([]).all(index1, volume, volume.?projected.?sources.orValue([])\
                 .all(index2, item2, item2.?serviceAccountToken.optMap(self, T).orValue(true)))",
            ),
            (
                "spec.{initContainers,containers}[container].env[*]",
                "(pod.?spec.?initContainers.orValue([]) + pod.?spec.?containers.orValue([]))\
                 .all(index1, container, container.?env.orValue([]).all(index2, self, T))",
            ),
            (
                "spec.{hostPath,local}.path",
                "(pod.?spec.?hostPath.?path.optMap(self, T).orValue(true) && pod.?spec.?local.?path.optMap(self, T).orValue(true))",
            ),
        ] {
            assert_eq!(all(at), expression, "{at}");
        }
    }

    #[test]
    fn texts_are_joined_at_every_loop() {
        let leaf = Leaf { text: "T", reads_self: false };
        assert_eq!(
            Fold::Texts.over(&Location::parse("a[x].{b,c}").unwrap(), "o", leaf),
            "o.?a.orValue([]).transformList(index1, x, [x.?b.optMap(self, T).orValue(''), x.?c.optMap(self, T).orValue('')]\
             .filter(text, text != '').join('; ')).filter(text, text != '').join('; ')"
        );
    }
}
