//! The answer: every violation at once, what was injected, and what could not be known. Errors are part of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::schema::{Reason, Severity};
use crate::identity::InjectionState;
use crate::object::{FieldPath, Object};
use crate::settings::Enforcement;

/// What judging a subject found. Violations stand in order of severity, rule and path.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Everything that a rule found.
    pub violations: Vec<Violation>,
    /// Ids of the rules that were evaluated, in order.
    pub evaluated: Vec<Arc<str>>,
    /// What became of each injection.
    pub injections: Vec<InjectionState>,
    /// The SPIFFE ID that the workload is expected to get.
    pub spiffe_id: Option<String>,
    /// The effective ServiceAccount of the pod template.
    pub service_account: Option<String>,
    /// The identity model, if some rule asked for it.
    pub identity: Option<Object>,
    /// What the audit annotations of native policies give, by `policy.key`.
    pub annotations: BTreeMap<String, Vec<String>>,
}

/// One thing that one rule found.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The rule's id.
    pub rule: Arc<str>,
    /// The invariants that the rule serves.
    pub invariants: Arc<[String]>,
    /// How bad it is.
    pub severity: Severity,
    /// What it does, after policy, settings, ratchet and waiver were asked.
    pub enforcement: Enforcement,
    /// Where, in the object as its author wrote it.
    pub path: FieldPath,
    /// The injection (or `defaults`) that added the value, if the author did not write it.
    pub added_by: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// Identifies the violation across versions of the object: rule, stable path, digest of the value.
    pub fingerprint: String,
    /// Whether it is certain.
    pub certainty: Certainty,
    /// The waiver or exemption that lifts it, if any.
    pub waived_by: Option<String>,
    /// Whether the object had it before this update.
    pub old: bool,
    /// What a native policy wants a refusal to be called.
    pub reason: Option<Reason>,
}

/// Whether a finding is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The rule was evaluated and found it.
    Certain,
    /// A fact that the rule needs is not known.
    Unknown,
    /// The rule could not be evaluated.
    Failed,
}

impl Verdict {
    /// The strictest enforcement among the violations that count.
    #[must_use]
    pub fn strictest(&self) -> Option<Enforcement> {
        self.counted().map(|violation| violation.enforcement).max()
    }

    /// The violations that no waiver lifts.
    pub fn counted(&self) -> impl Iterator<Item = &Violation> {
        self.violations.iter().filter(|violation| violation.waived_by.is_none())
    }

    /// Whether the object must be refused.
    #[must_use]
    pub fn denies(&self) -> bool {
        self.strictest() == Some(Enforcement::Deny)
    }

    /// Whether a rule found something.
    #[must_use]
    pub fn violates(&self, rule: &str) -> bool {
        self.violations.iter().any(|violation| &*violation.rule == rule)
    }

    pub(super) fn sort(&mut self) {
        self.violations.sort_by(|a, b| {
            (b.enforcement, b.severity, &a.rule, &a.path, &a.message).cmp(&(a.enforcement, a.severity, &b.rule, &b.path, &b.message))
        });
        // One source mounted at two paths is two credentials and one mistake.
        self.violations.dedup_by(|next, first| {
            (&next.rule, &next.path, &next.message, &next.fingerprint) == (&first.rule, &first.path, &first.message, &first.fingerprint)
        });
        self.evaluated.sort();
        self.evaluated.dedup();
    }
}

impl Violation {
    /// The name of the waiver that lifts it, if it is one; an exemption is the operator's own.
    #[must_use]
    pub fn waiver(&self) -> Option<&str> {
        self.waived_by.as_deref()?.strip_prefix("waiver ")
    }

    /// The one line in which a violation is told: `[rule] INV-n: path: what is wrong. Fix: remedy`.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = format!("[{}] ", self.rule);
        if !self.invariants.is_empty() {
            line.push_str(&self.invariants.join(","));
            line.push_str(": ");
        }
        if !self.path.is_root() {
            line.push_str(&self.path.to_string());
            line.push_str(": ");
        }
        line.push_str(&self.message);
        if !self.remedy.is_empty() {
            line.push_str(". Fix: ");
            line.push_str(&self.remedy);
        }
        line
    }
}
