//! The names of a rule, as the API server knows them: what Doorward's rules see beside VAP's variables becomes a variable of the policy,
//! or is a reason why an expression cannot be written out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::cel::Expression;
use crate::object::{Kind, Node};

/// The variables that the written policy declares for the rule's; no variable of the rule may have such a name.
pub(super) const OWN: [&str; 5] = ["params", "pod", "serviceAccountName", "spiffeId", "exempt"];

/// What a rule's expressions may name.
pub(super) struct Names {
    pub(super) on_pod_template: bool,
    /// Whether there is a trust domain, and so an ID.
    pub(super) has_spiffe_id: bool,
    /// Variables of the rule that cannot be written, each with the reason.
    pub(super) unusable: BTreeMap<String, String>,
}

/// What the written expressions read.
#[derive(Clone, Debug, Default)]
pub(super) struct Used {
    /// Paths into the settings.
    pub(super) params: BTreeSet<Vec<String>>,
    /// Names of [`OWN`] and of the rule's variables.
    pub(super) variables: BTreeSet<String>,
    /// Whether `self` is read.
    pub(super) this: bool,
}

impl Used {
    pub(super) fn extend(&mut self, other: Self) {
        self.params.extend(other.params);
        self.variables.extend(other.variables);
        self.this |= other.this;
    }

    fn variable(&mut self, name: &str) -> String {
        self.variables.insert(name.to_owned());
        format!("variables.{name}")
    }
}

/// What stands for a name; an error is the reason why nothing can.
type Meant = Result<Option<(usize, String)>, String>;

impl Names {
    /// An expression in the API server's names. `this` is what `self` is where no `at` binds it.
    pub(super) fn rewrite(&self, source: &str, this: Option<&str>) -> Result<(String, Used), String> {
        substitute(source, &|chain, used| self.meaning(chain, this, used))
    }

    fn meaning(&self, chain: &[&str], this: Option<&str>, used: &mut Used) -> Meant {
        let (root, field) = (chain.first().copied().unwrap_or_default(), chain.get(1).copied());
        match (root, field) {
            ("params", _) => {
                used.params.insert(chain.iter().skip(1).map(|name| (*name).to_owned()).collect());
                Ok(Some((1, used.variable("params"))))
            }
            ("pod", _) => Ok(Some((1, used.variable("pod")))),
            ("self", _) => {
                used.this = true;
                if this == Some("variables.pod") {
                    used.variable("pod");
                }
                Ok(this.map(|this| (1, this.to_owned())))
            }
            ("identity", Some("serviceAccount")) if self.on_pod_template => Ok(Some((2, used.variable("serviceAccountName")))),
            ("identity", Some("namespace")) if self.on_pod_template => Ok(Some((2, "request.namespace".into()))),
            ("identity", Some("spiffeId")) if self.on_pod_template && self.has_spiffe_id => Ok(Some((2, used.variable("spiffeId")))),
            ("identity", field) => Err(format!("reads `identity.{}`, which Doorward computes and CEL cannot", field.unwrap_or("*"))),
            ("serviceAccount", _) => Err("reads the pod's ServiceAccount, and the API server's CEL looks up no other object".into()),
            ("related", _) => Err("reads related objects, and the API server's CEL looks up no other object".into()),
            ("variables", Some(name)) => match self.unusable.get(name) {
                Some(reason) => Err(format!("uses `variables.{name}`, which {reason}")),
                None => {
                    used.variables.insert(name.to_owned());
                    Ok(None)
                }
            },
            _ => Ok(None),
        }
    }
}

/// What stands in a match condition, which can read no variable, for the names of a rule: each may be followed by a `.`.
pub(super) struct Inline<'s> {
    pub(super) params: Node<'s>,
    pub(super) pod: Option<String>,
    /// Name of the pod's ServiceAccount.
    pub(super) account: Option<String>,
    pub(super) spiffe_id: Option<String>,
}

impl Inline<'_> {
    /// A match condition with all that it reads written into it.
    pub(super) fn condition(&self, source: &str) -> Result<String, String> {
        substitute(source, &|chain, _| self.meaning(chain)).map(|(text, _)| text)
    }

    fn meaning(&self, chain: &[&str]) -> Meant {
        let Some((root, fields)) = chain.split_first() else { return Ok(None) };
        let stands = |count: usize, text: &Option<String>| text.clone().map(|text| (count, text));
        let found = match (*root, fields.first().copied()) {
            ("params", _) => match self.params.path(fields) {
                Some(value) => Some((chain.len(), literal(value))),
                None => return Err(format!("reads the setting `{}`, which is not set", fields.join("."))),
            },
            ("pod", _) => stands(1, &self.pod),
            ("identity", Some("serviceAccount")) => stands(2, &self.account),
            ("identity", Some("namespace")) if self.pod.is_some() => Some((2, "request.namespace".to_owned())),
            ("identity", Some("spiffeId")) => stands(2, &self.spiffe_id),
            ("identity" | "self" | "serviceAccount" | "related" | "variables", _) => None,
            _ => return Ok(None),
        };
        let unknown = || {
            format!(
                "reads `{}`, which the API server knows in no match condition",
                if *root == "identity" { chain.join(".") } else { (*root).to_owned() }
            )
        };
        found.ok_or_else(unknown).map(Some)
    }
}

/// The names at the roots of an expression.
pub(super) fn roots(source: &str) -> Result<BTreeSet<String>, String> {
    let found = substitute(source, &|chain, used| {
        used.variables.extend(chain.first().map(|root| (*root).to_owned()));
        Ok(None)
    });
    found.map(|(_, used)| used.variables)
}

fn substitute(source: &str, meaning: &(dyn Fn(&[&str], &mut Used) -> Meant + Sync)) -> Result<(String, Used), String> {
    let state: Mutex<(Used, Option<String>)> = Mutex::default();
    let replace = |chain: &[&str]| {
        let (used, reason) = &mut *state.lock().unwrap_or_else(PoisonError::into_inner);
        match meaning(chain, used) {
            Ok(text) => text,
            Err(why) => {
                reason.get_or_insert(why);
                None
            }
        }
    };
    let text = Expression::rewrite(source, &replace).map_err(|error| error.to_string())?;
    match state.into_inner().unwrap_or_else(PoisonError::into_inner) {
        (used, None) => Ok((text, used)),
        (_, Some(reason)) => Err(reason),
    }
}

/// The part of the settings that some paths lead to.
pub(super) fn pruned(node: Node<'_>, paths: &[&[String]]) -> String {
    if node.kind() != Kind::Map || paths.iter().any(|path| path.is_empty()) {
        return literal(node);
    }
    let mut below: BTreeMap<&str, Vec<&[String]>> = BTreeMap::new();
    for (first, rest) in paths.iter().filter_map(|path| path.split_first()) {
        below.entry(first).or_default().push(rest);
    }
    map(below.into_iter().filter_map(|(name, paths)| Some((name, pruned(node.get(name)?, &paths)))))
}

/// A value as CEL. Kubernetes refuses literals of mixed types, so what a map or a list of such holds is `dyn`.
pub(super) fn literal(node: Node<'_>) -> String {
    match node.kind() {
        Kind::String => Expression::string_literal(node.as_str().unwrap_or_default()),
        Kind::List => {
            let plain = node.items().all(|item| item.kind() == Kind::String);
            let item = |item| if plain { literal(item) } else { format!("dyn({})", literal(item)) };
            format!("[{}]", node.items().map(item).collect::<Vec<_>>().join(", "))
        }
        Kind::Map => map(node.sorted_entries().into_iter().map(|(key, value)| (key, literal(value)))),
        _ => node.to_json(),
    }
}

fn map<'k>(entries: impl Iterator<Item = (&'k str, String)>) -> String {
    let entries = entries.map(|(key, value)| format!("{}: dyn({value})", Expression::string_literal(key)));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}
