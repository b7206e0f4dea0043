//! Subject in, verdict out: the one function that the webhook, the pipeline and the tests share. It reads no clock, file, socket or
//! cluster; all it needs was handed in.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::compiled::{CompiledRule, CompiledValidation, IdentityPolicy, slot};
use super::due::Hypothesis;
use super::location::Found;
use super::schema::{FailurePolicy, Reason};
use super::select::Selected;
use super::set::PolicySet;
use super::stage::{Activation, Stage};
use super::staging::{Staged, stage};
use super::subject::{Facts, Operation, Source, Subject};
use super::verdict::{Certainty, Verdict, Violation};
use super::waive::{Lifted, in_namespace, lifted_by};
use super::waiver_object;
use crate::cel::{Budget, EXPRESSION_LIMIT, EvaluationError, Expression, Value};
use crate::object::{FieldPath, Node, Object, PodTemplate, escaped, hex_digest};
use crate::settings::{Enforcement, OnMissingRelated};

/// Cost limit of one policy, as on the API server.
pub(super) const POLICY_LIMIT: u64 = 10_000_000;
/// Cost limit of all match conditions of a rule together, as on the API server; they do not count for the policy.
pub(super) const CONDITIONS_LIMIT: u64 = 2_500_000;
/// Longest message that an expression may make, as on the API server.
pub(super) const MESSAGE_LIMIT: usize = 5 * 1024;

/// What reading the requester of a manifest says: there is none to read.
const NO_REQUESTER: &str = "no such key: userInfo";

/// Which policies one evaluation is limited to: by default none is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits<'d> {
    /// Evaluate this rule alone.
    pub only: Option<&'d str>,
    /// Evaluate native policies alone.
    pub native: bool,
}

/// Judges a subject by every policy that speaks about it.
#[must_use]
pub fn evaluate(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>, limits: Limits<'_>) -> Verdict {
    if limits.native || passes_unjudged(subject) {
        // The limit is our own: a native policy says itself which operations and subresources it means.
        let mut verdict = judge(set, &IdentityPolicy::is_native, subject, facts, limits, None, &Staged::default());
        verdict.sort();
        return verdict;
    }
    let Some(template) = subject.template() else {
        if waiver_object::is_waiver(&subject.kind) {
            return waiver_object::judge(set, subject, facts);
        }
        let mut verdict = judge(set, &|_| true, subject, facts, limits, None, &Staged::default());
        ratchet(&mut verdict, set, subject, facts, limits);
        verdict.sort();
        return verdict;
    };
    let staged = stage(set, subject, facts, template, Hypothesis::NoneDue);
    let mut verdict = judge(set, &|_| true, subject, facts, limits, Some(template), &staged);
    if let Some(reason) = &staged.undecided {
        unless_mended(&mut verdict, set, subject, facts, limits, template, reason);
    }
    verdict.injections = staged.injections;
    ratchet(&mut verdict, set, subject, facts, limits);
    verdict.service_account = Some(template.service_account_name().to_owned());
    verdict.spiffe_id = set.settings.expected_spiffe_id(subject.namespace, template.service_account_name());
    verdict.sort();
    verdict
}

/// Whether injections are due hangs on a Namespace that is not known: of what is certain, what they would mend is no longer.
fn unless_mended(
    verdict: &mut Verdict,
    set: &PolicySet,
    subject: &Subject<'_>,
    facts: &Facts<'_>,
    limits: Limits<'_>,
    template: PodTemplate<'_>,
    reason: &str,
) {
    let certain = verdict.violations.iter().filter(|violation| violation.certainty != Certainty::Unknown);
    let doubtful: BTreeSet<_> = certain.map(|violation| violation.rule.clone()).collect();
    if doubtful.is_empty() {
        return;
    }
    let staged = stage(set, subject, facts, template, Hypothesis::AllDue);
    let mended = judge(set, &|policy| doubtful.contains(&policy.id), subject, facts, limits, Some(template), &staged);
    let told = |violation: &Violation| (violation.rule.clone(), violation.path.clone(), violation.message.clone());
    let remaining: BTreeSet<_> = mended.violations.iter().map(told).collect();
    for violation in verdict.violations.iter_mut().filter(|violation| violation.certainty != Certainty::Unknown) {
        if !remaining.contains(&told(violation)) {
            violation.certainty = Certainty::Unknown;
            violation.message = format!("{} (unless an injection mends it: {reason})", violation.message);
            violation.enforcement = on_unknown(set, subject, violation.enforcement);
        }
    }
}

/// What is never judged: deletions, and the last changes of an object that is being deleted already, so that finalizers can go
/// (`hardening.md` A1: a deletion timestamp of the *new* object alone proves nothing).
fn passes_unjudged(subject: &Subject<'_>) -> bool {
    if matches!(subject.operation, Operation::Delete | Operation::Connect) || matches!(subject.subresource, "status" | "scale" | "resize") {
        return true;
    }
    let (Operation::Update, Some(old), Some(new)) = (subject.operation, subject.old_object, subject.object) else { return false };
    if old.path(&["metadata", "deletionTimestamp"]).is_none() {
        return false;
    }
    let same = |left: Node<'_>, right: Node<'_>, but: &[&str]| {
        let one_way = |left: Node<'_>, right: Node<'_>| {
            left.entries().filter(|(key, _)| !but.contains(key)).all(|(key, value)| right.entry(key).is_some_and(|twin| twin == value))
        };
        one_way(left, right) && one_way(right, left)
    };
    let (Some(old_metadata), Some(new_metadata)) = (old.get("metadata"), new.get("metadata")) else { return false };
    same(old, new, &["metadata"])
        && same(old_metadata, new_metadata, &["finalizers", "ownerReferences", "managedFields", "resourceVersion", "generation"])
}

/// An UPDATE is refused for what it makes worse, not for what was there before.
fn ratchet(verdict: &mut Verdict, set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>, limits: Limits<'_>) {
    let strict = verdict.counted().any(|violation| violation.enforcement > Enforcement::Audit);
    let (Operation::Update, Some(old), true, true) = (subject.operation, subject.old_object, set.settings.update_ratchet, strict) else {
        return;
    };
    let before = Subject { object: Some(old), ..subject.clone() };
    let staged = before.template().map(|template| (template, stage(set, &before, facts, template, Hypothesis::NoneDue)));
    let violated = |policy: &IdentityPolicy| !policy.is_native() && verdict.violates(&policy.id);
    let known = match &staged {
        Some((template, staged)) => judge(set, &violated, &before, facts, limits, Some(*template), staged),
        None => judge(set, &violated, &before, facts, limits, None, &Staged::default()),
    };
    let known: BTreeSet<&str> = known.violations.iter().map(|violation| violation.fingerprint.as_str()).collect();
    for violation in &mut verdict.violations {
        let counts =
            set.policy(&violation.rule).is_some_and(|policy| policy.rules.iter().all(|rule| rule.validations.iter().all(|v| v.ratchet)));
        // What could not be decided now cannot be said to have been there before.
        let certain = violation.certainty == Certainty::Certain;
        if counts && certain && known.contains(violation.fingerprint.as_str()) {
            violation.old = true;
            violation.enforcement = violation.enforcement.min(Enforcement::Audit);
        }
    }
}

/// Judges by the rules that `wanted` names.
fn judge(
    set: &PolicySet,
    wanted: &dyn Fn(&IdentityPolicy) -> bool,
    subject: &Subject<'_>,
    facts: &Facts<'_>,
    limits: Limits<'_>,
    template: Option<PodTemplate<'_>>,
    staged: &Staged,
) -> Verdict {
    let identity = OnceCell::new();
    let pod = template.map(|template| PodTemplate { node: staged.pod.as_ref().map_or(template.node, Object::root), ..template });
    let stage = Stage::new(set, subject, facts, pod, &identity, &staged.injections);
    let mut verdict = Verdict::default();
    let mirror = subject.is_mirror_pod();
    for policy in set.policies() {
        if limits.only.is_some_and(|only| only != &*policy.id) || !wanted(policy) {
            continue;
        }
        let mut judge = Judge { stage: &stage, policy, staged, spent: 0, reason: None, verdict: &mut verdict };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            for rule in policy.rules.iter().filter(|rule| !(mirror && rule.on_pod_template)) {
                judge.rule(rule);
            }
        }));
        if outcome.is_err() {
            judge.fail(policy.enforcement, &FieldPath::root(), "the evaluation came to an unexpected end; please report it");
        }
    }
    verdict.identity = identity.into_inner();
    verdict
}

/// One policy at work on one subject.
pub(super) struct Judge<'s, 'a, 'v> {
    pub(super) stage: &'s Stage<'a>,
    pub(super) policy: &'a IdentityPolicy,
    staged: &'a Staged,
    pub(super) spent: u64,
    /// What a native policy wants a refusal to be called for what is being judged.
    pub(super) reason: Option<Reason>,
    pub(super) verdict: &'v mut Verdict,
}

impl<'a> Judge<'_, 'a, '_> {
    fn rule(&mut self, rule: &'a CompiledRule) {
        if rule.dormant || !self.speaks(self.stage.selected(rule)) {
            return;
        }
        for binding in &rule.bindings {
            self.binding(rule, binding);
        }
        if self.policy.is_native() {
            return;
        }
        let activation = Activation::new(self.stage, &rule.variables, &rule.related, slot::FIRST_OWN);
        if !self.meets(rule, &activation, self.policy.enforcement) {
            return;
        }
        self.verdict.evaluated.push(self.policy.id.clone());
        let root = if rule.on_pod_template { self.stage.pod.map(|pod| pod.node) } else { self.stage.subject.object };
        let Some(root) = root else {
            self.fail(self.policy.enforcement, &FieldPath::root(), "the object has no pod template where its kind keeps it");
            return;
        };
        // What several validations say of the same places is asked at each place in turn.
        for validations in rule.validations.chunk_by(|_, next| next.follows) {
            self.search(rule, validations, &activation, root);
        }
    }

    /// Judges what stands where some validations look, which is the same for all of them.
    fn search(&mut self, rule: &CompiledRule, validations: &'a [CompiledValidation], activation: &Activation<'_, 'a>, root: Node<'a>) {
        let stage = self.stage;
        let mut asked = stage.asked.take();
        asked.clear();
        asked.extend(validations.iter().filter(|validation| {
            validation.expression.settled() != Some(true) && self.enforcement(validation.enforcement) != Enforcement::Off
        }));
        self.ask_where(rule, &asked, activation, root);
        stage.asked.set(asked);
    }

    fn ask_where(&mut self, rule: &CompiledRule, asked: &[&'a CompiledValidation], activation: &Activation<'_, 'a>, root: Node<'a>) {
        let stage = self.stage;
        let Some(first) = asked.first() else { return };
        let searched = if first.in_identity { stage.identity() } else { Some(root) };
        let Some(searched) = searched else { return };
        let mut judge = |found: Found<'_, 'a>| {
            activation.look_at(found.node, found.bound);
            for validation in asked {
                self.validate(rule, validation, activation, found, root);
            }
        };
        let Some(location) = &first.location else {
            judge(Found::whole(searched));
            return;
        };
        let mut trail = stage.trail.take();
        location.each(searched, &mut trail, &mut judge);
        stage.trail.set(trail);
    }

    /// Whether a match means the subject; that it is not known is a violation.
    pub(super) fn speaks(&mut self, selected: Selected) -> bool {
        match selected {
            Selected::No => false,
            Selected::Unknown(reason) => {
                self.unknown(self.policy.enforcement, &FieldPath::root(), &reason);
                false
            }
            Selected::Yes => true,
        }
    }

    /// Whether every match condition holds. One that does not wins over one that fails, as on the API server.
    pub(super) fn meets(&mut self, rule: &'a CompiledRule, activation: &Activation<'_, 'a>, ceiling: Enforcement) -> bool {
        let (mut failed, mut left) = (None, CONDITIONS_LIMIT);
        for (name, condition) in &rule.conditions {
            match self.within(condition, activation, &mut left).and_then(|value| answer(&value)) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => failed = failed.or(Some((name, error))),
            }
        }
        let Some((name, error)) = failed else { return true };
        self.error(ceiling, &FieldPath::root(), error, &format!("match condition `{name}`"));
        false
    }

    fn validate(
        &mut self,
        rule: &CompiledRule,
        validation: &'a CompiledValidation,
        activation: &Activation<'_, 'a>,
        found: Found<'_, 'a>,
        root: Node<'a>,
    ) {
        let answer = self.ask(&validation.expression, activation);
        if matches!(answer, Ok(true)) {
            return;
        }
        // What the identity model found tells itself where it stands in the template.
        let place = if validation.in_identity { FieldPath::parse(found.node.text("fieldPath")).unwrap_or_default() } else { found.path() };
        let path = place.join(&validation.field_path);
        match answer {
            Ok(_) => {
                let message = self
                    .text(validation.message_expression.as_ref(), &validation.message, activation)
                    .unwrap_or_else(|| format!("failed expression: {}", validation.expression.source().trim()));
                let remedy = self.text(validation.remedy_expression.as_ref(), &validation.remedy, activation).unwrap_or_default();
                let enforcement = self.enforcement(validation.enforcement);
                let value = self.substance(rule.on_pod_template, validation, activation, &found, &path, root);
                self.push(rule.on_pod_template, root, &path, &value, enforcement, &message, &remedy);
            }
            Err(error) => {
                let authored = self.authored(rule.on_pod_template, &path).0;
                self.error(validation.enforcement, &authored, error, "validation");
            }
        }
    }

    /// An expression's answer, within what is left of the policy's budget.
    pub(super) fn ask(&mut self, expression: &'a Expression, activation: &Activation<'_, 'a>) -> Result<bool, EvaluationError> {
        answer(&self.value(expression, activation)?)
    }

    /// The value of an expression, within what is left of the policy's budget.
    pub(super) fn value(&mut self, expression: &'a Expression, activation: &Activation<'_, 'a>) -> Result<Value<'a>, EvaluationError> {
        let mut left = POLICY_LIMIT.saturating_sub(self.spent);
        let value = self.within(expression, activation, &mut left);
        self.spent = POLICY_LIMIT.saturating_sub(left);
        value
    }

    /// The value of an expression, within what is left of a budget for several, and within the limit of one.
    fn within(&self, expression: &'a Expression, activation: &Activation<'_, 'a>, left: &mut u64) -> Result<Value<'a>, EvaluationError> {
        let budget = Budget::new(EXPRESSION_LIMIT.min(*left)).with_total(*left).with_deadline(self.stage.facts.deadline.0);
        let value = expression.evaluate(activation, &budget);
        // With its variables it may have cost more than was left, and then no answer counts any more.
        let enough = budget.spent() <= *left;
        *left = left.saturating_sub(budget.spent());
        if enough { value } else { Err(EvaluationError::BudgetExceeded) }
    }

    pub(super) fn text(&mut self, expression: Option<&'a Expression>, fixed: &str, activation: &Activation<'_, 'a>) -> Option<String> {
        let made = expression.and_then(|expression| {
            let value = self.value(expression, activation);
            // Kubernetes drops a message with a line break or one too long; then who chose a foreign name chose whether it is told.
            let mut text = escaped(value.ok()?.as_str()?.trim());
            if text.len() > MESSAGE_LIMIT {
                text.truncate(text.floor_char_boundary(MESSAGE_LIMIT));
                text.push('…');
            }
            (!text.is_empty()).then_some(text)
        });
        made.or_else(|| (!fixed.is_empty()).then(|| fixed.to_owned()))
    }

    /// The enforcement after settings were asked: the preset, then the last override that applies, never above the ceiling.
    pub(super) fn enforcement(&self, ceiling: Enforcement) -> Enforcement {
        let Stage { set, subject, facts, .. } = self.stage;
        // Asked for each validation: without overrides no label is looked up.
        let within = if set.settings.enforcement.is_empty() { None } else { in_namespace(subject, facts) };
        set.settings.enforced(&self.policy.id, self.policy.step, ceiling, within)
    }

    pub(super) fn error(&mut self, ceiling: Enforcement, path: &FieldPath, error: EvaluationError, what: &str) {
        match error {
            EvaluationError::Unknown(reason) => self.unknown(ceiling, path, &reason),
            EvaluationError::Failed(reason) if self.stage.subject.source == Source::Manifests && reason == NO_REQUESTER => {
                self.unknown(ceiling, path, "who asks is not known from a file");
            }
            other => self.fail(ceiling, path, &format!("{what} could not be evaluated: {other}")),
        }
    }

    pub(super) fn unknown(&mut self, ceiling: Enforcement, path: &FieldPath, reason: &str) {
        // What a native policy cannot learn is an error to the API server, and it says itself what an error does.
        let ignored = self.policy.is_native() && self.policy.failure_policy == FailurePolicy::Ignore;
        let ceiling = if ignored { ceiling.min(Enforcement::Audit) } else { ceiling };
        let enforcement = on_unknown(self.stage.set, self.stage.subject, self.enforcement(ceiling));
        let remedy = match self.stage.subject.source {
            Source::Manifests => "add the missing object to the files, or give it with --context",
            Source::Mutating | Source::Validating => "try again; if it stays, Doorward cannot read this object from the API server",
        };
        self.record(path.clone(), None, enforcement, &format!("cannot be decided: {reason}"), remedy, Certainty::Unknown, "unknown");
    }

    pub(super) fn fail(&mut self, ceiling: Enforcement, path: &FieldPath, message: &str) {
        let enforcement = match self.policy.failure_policy {
            FailurePolicy::Fail => self.enforcement(ceiling),
            FailurePolicy::Ignore => self.enforcement(ceiling).min(Enforcement::Audit),
        };
        self.record(path.clone(), None, enforcement, message, "", Certainty::Failed, "failed");
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a violation")]
    fn push(
        &mut self,
        on_pod_template: bool,
        root: Node<'a>,
        path: &FieldPath,
        value: &str,
        enforcement: Enforcement,
        message: &str,
        remedy: &str,
    ) {
        let stable = path.stable(root);
        let (authored, added_by) = self.authored(on_pod_template, path);
        self.record(authored, added_by, enforcement, message, remedy, Certainty::Certain, &format!("{stable}\n{value}"));
    }

    /// A path of the pod as it will be, as the author's path in the whole object.
    pub(super) fn authored(&self, on_pod_template: bool, path: &FieldPath) -> (FieldPath, Option<String>) {
        let subject = self.stage.subject;
        let (path, added_by) = if on_pod_template {
            let authored = self.staged.origins.authored(path);
            (subject.template_path().join(&authored.path), authored.added_by)
        } else {
            (path.clone(), None)
        };
        let path = subject.object.map_or_else(|| path.clone(), |object| path.nearest_existing(object));
        (path, added_by.map(|by| by.to_string()))
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a violation")]
    pub(super) fn record(
        &mut self,
        path: FieldPath,
        added_by: Option<String>,
        enforcement: Enforcement,
        message: &str,
        remedy: &str,
        certainty: Certainty,
        key: &str,
    ) {
        if enforcement == Enforcement::Off {
            return;
        }
        let Stage { set, subject, facts, pod, .. } = self.stage;
        let service_account = pod.map(PodTemplate::service_account_name);
        let rule = self.policy.id.clone();
        let mut message = escaped(message);
        let (mut enforcement, mut certainty, mut waived_by) = (enforcement, certainty, None);
        match lifted_by(&rule, subject, service_account, &set.settings, &set.waivers, facts) {
            Lifted::No => {}
            Lifted::By(who) => waived_by = Some(who),
            Lifted::Unknown(reason) => {
                message = format!("{message} (unless it is exempt: {reason}, and the files do not show which it is)");
                enforcement = on_unknown(set, subject, enforcement);
                certainty = Certainty::Unknown;
            }
        }
        self.verdict.violations.push(Violation {
            fingerprint: hex_digest(format!("{rule}\n{key}").as_bytes()),
            waived_by,
            rule,
            invariants: self.policy.invariants.clone(),
            severity: self.policy.severity,
            enforcement,
            path,
            added_by,
            message,
            remedy: escaped(remedy),
            certainty,
            old: false,
            reason: self.reason,
        });
    }
}

/// The answer to a question: true or false.
fn answer(value: &Value<'_>) -> Result<bool, EvaluationError> {
    value.as_bool().ok_or_else(|| EvaluationError::Failed(format!("the expression gives a {}, not a bool", value.type_name())))
}

/// What a violation that is not certain does: in the cluster what the rule says, in CI what the settings say.
pub(super) fn on_unknown(set: &PolicySet, subject: &Subject<'_>, enforcement: Enforcement) -> Enforcement {
    match (subject.source, set.settings.on_missing_related()) {
        (Source::Manifests, OnMissingRelated::Warn) => enforcement.min(Enforcement::Warn),
        _ => enforcement,
    }
}
