//! `IdentityPolicies` written out as `ValidatingAdmissionPolicies` with a binding each, as far as CEL alone can say them; of the rest,
//! why it cannot.
//!
//! - `rule`: one rule, which makes a policy for each enforcement that its validations have
//! - `walk`: `at` as nested comprehensions
//! - `names`: what a rule's names are to the API server
//! - `constraints`: what a rule's match is to it
//! - `settled`: what is written, compiled as the API server does: what it refuses, and which release it needs
//!
//! How it is done:
//! - One policy holds a rule on every kind with a pod template, and its variable `pod` finds the template: a policy a kind would say
//!   everything nine times.
//! - The settings that a rule reads are written into its variable `params` as constants. A ConfigMap holds strings only, and settings
//!   that a namespace's admin may change would be no settings; a change of them is a new export.
//! - An exemption is a match condition, or `variables.exempt` where it names a ServiceAccount.
//! - A match condition can read no variable, so that what it reads is written into it.
//! - An UPDATE is judged only if it changes what the rule looks at, as by the webhook; but then as a whole.

mod constraints;
mod names;
mod rule;
mod settled;
#[cfg(test)]
mod tests;
mod walk;

use serde_json::Value;

use crate::cel::{Expression, Need};
use crate::policy::set::PolicySet;

/// A rule, or the validations of it that share an enforcement.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedPolicy {
    /// Id of the `IdentityPolicy`.
    pub rule: String,
    /// Position of the rule in its policy.
    pub index: usize,
    /// Positions of its validations that are in this policy.
    pub validations: Vec<usize>,
    /// What it uses that is newer than these policies themselves, the newest first.
    pub needs: Vec<Need>,
    /// The `ValidatingAdmissionPolicy`.
    pub policy: Value,
    /// Its `ValidatingAdmissionPolicyBinding`.
    pub binding: Value,
}

/// What is not written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Omission {
    /// Id of the `IdentityPolicy`.
    pub rule: String,
    /// What of it, such as `spec.rules[0].validations[1]`.
    pub place: String,
    /// Why.
    pub reason: String,
}

/// Policies for the API server, and what they lack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Export {
    /// In order of their names.
    pub policies: Vec<ExportedPolicy>,
    /// In order of the rules.
    pub omissions: Vec<Omission>,
    /// What holds for all of them.
    pub notes: Vec<String>,
}

/// Writes out the rules that are wanted. Native policies are left as they are: they are no `IdentityPolicy`.
#[must_use]
pub fn export(set: &PolicySet, wanted: &(dyn Fn(&str) -> bool + Sync)) -> Export {
    // What is written is compiled, all of it on one thread.
    let written = Expression::map_on_parser_stacks(&[()], |()| write(set, wanted), |(), _| Export::default());
    written.into_iter().next().unwrap_or_default()
}

fn write(set: &PolicySet, wanted: &dyn Fn(&str) -> bool) -> Export {
    let mut export = Export::default();
    for policy in set.policies().iter().filter(|policy| wanted(&policy.id)) {
        let Some(written) = &policy.written else {
            let reason = "is a ValidatingAdmissionPolicy already".into();
            export.omissions.push(Omission { rule: policy.id.to_string(), place: "spec".into(), reason });
            continue;
        };
        for (index, rule) in written.rules.iter().enumerate() {
            rule::RuleExport { set, id: &policy.id, spec: written, rule, index }.write(&mut export);
        }
    }
    if export.policies.is_empty() {
        return export;
    }
    export.notes.push(needed(&export.policies));
    if set.settings.update_ratchet {
        export.notes.push(
            "an UPDATE that changes what a rule looks at is judged as a whole: CEL cannot tell a new violation from one that was there before"
                .into(),
        );
    }
    if !set.waivers().is_empty() {
        export.notes.push(format!("{} waivers are left out: they end, and CEL has no clock", set.waivers().len()));
    }
    if !set.injections().is_empty() {
        export.notes.push("a workload's pod template is judged as it is written: what injections would add to its pods is not seen".into());
    }
    export
}

/// The newest release that any of some policies needs, and for what.
fn needed(policies: &[ExportedPolicy]) -> String {
    let newest = policies.iter().filter_map(|policy| policy.needs.first()).max_by_key(|need| settled::release(need.since));
    let Some(newest) = newest else { return format!("Kubernetes {} and later take all of them", settled::FIRST) };
    let of_newest = |policy: &&ExportedPolicy| policy.needs.first().is_some_and(|need| need.since == newest.since);
    let names: Vec<String> = policies.iter().filter(of_newest).map(|policy| format!("`{}`", policy.rule)).collect();
    let rules = if names.len() > 3 { format!("{} policies", names.len()) } else { names.join(", ") };
    format!(
        "Kubernetes {} and later take all of them ({} in {rules}); the annotation `{}` says what each needs",
        newest.since,
        newest.name,
        settled::NEEDS
    )
}
