//! From a subject and its facts to a decision: what the answer says, and what is recorded of it.

use std::collections::BTreeMap;

use super::related_names::RelatedNames;
use crate::identity::InjectionState;
use crate::object::{Operation as Change, escaped};
use crate::policy::{Certainty, Facts, Limits, PolicySet, Reason, RequestError, Source, Subject, Verdict, Violation, evaluate, mutate};
use crate::settings::Enforcement;

/// Longest message of a refusal, in bytes; every violation stands in the causes.
const MESSAGE_LIMIT: usize = 8 * 1024;
/// Events are cut at 1,024 bytes: the ids of the rules stand before this one.
const IDS_LIMIT: usize = 900;
/// The API server cuts a warning to 256 characters once there are many.
const WARNING_LIMIT: usize = 240;
/// The API server drops warnings beyond 4,096 characters in all: 16 of them fit.
const WARNINGS: usize = 16;

/// The answer to one review.
#[derive(Debug, Default)]
pub struct Decision {
    /// Whether the object is let in.
    pub allowed: bool,
    /// HTTP status code of a refusal.
    pub code: u16,
    /// Kubernetes' reason of a refusal.
    pub reason: &'static str,
    /// Message of a refusal.
    pub message: String,
    /// Every violation that refuses, as field and message.
    pub causes: Vec<(String, String)>,
    /// API warnings.
    pub warnings: Vec<String>,
    /// Annotations of the API server's audit event.
    pub audit: BTreeMap<String, String>,
    /// The changes to the object.
    pub patch: Vec<Change>,
    /// What was found; empty for the mutating call.
    pub verdict: Verdict,
    /// What became of each injection.
    pub injections: Vec<InjectionState>,
}

impl Decision {
    /// A refusal that names no rule.
    #[must_use]
    pub fn refuse(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), ..Self::default() }
    }

    /// The refusal of a request that cannot be judged.
    #[must_use]
    pub fn malformed(error: &RequestError) -> Self {
        Self::refuse(400, "BadRequest", format!("doorward cannot judge this request: {error}"))
    }

    /// The same answer for a caller that is not known to be the API server: whoever reaches the port could ask it for the names of objects
    /// that he may not read (`hardening.md` A35). What his own request says is his to see again.
    #[must_use]
    pub fn withholding(mut self, subject: &Subject<'_>, facts: &Facts<'_>) -> Self {
        if let Some(waived) = self.audit.get_mut("waived") {
            *waived = waived_rules(&self.verdict);
        }
        let Self { message, causes, warnings, audit, .. } = &mut self;
        let mut texts: Vec<&mut String> = vec![message];
        texts.extend(causes.iter_mut().map(|(_, message)| message).chain(warnings).chain(audit.values_mut()));
        let names = RelatedNames::among(texts.iter().map(|text| text.as_str()), subject.request, facts);
        for text in texts {
            names.hide(text);
        }
        self
    }

    /// The metric label.
    #[must_use]
    pub fn word(&self) -> &'static str {
        if self.allowed { "allowed" } else { "denied" }
    }
}

/// The rules that are lifted, without what lifts them.
fn waived_rules(verdict: &Verdict) -> String {
    let lifted = verdict.violations.iter().filter(|violation| violation.waived_by.is_some());
    deduplicated(lifted.map(|violation| violation.rule.to_string()).collect()).join(",")
}

/// Decides a subject: by injection for the mutating call, by the rules for the validating one.
#[must_use]
pub fn decide(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>, limits: Limits<'_>) -> Decision {
    let mut decision = if subject.source == Source::Mutating { inject(set, subject, facts) } else { judge(set, subject, facts, limits) };
    decision.audit.insert("decision".into(), decision.word().to_owned());
    decision.audit.insert("admission-id".into(), subject.uid.to_owned());
    decision.audit.insert("policy-revision".into(), set.revision().to_owned());
    if let Some(claimed) = subject.template().and_then(|template| template.annotation("doorward.dev/correlation-id")) {
        decision.audit.insert("claimed-correlation-id".into(), crate::object::quoted(claimed));
    }
    decision
}

fn inject(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>) -> Decision {
    let mutation = mutate(set, subject, facts);
    if let Some(reason) = mutation.undecided {
        let message = format!(
            "doorward cannot tell which injections {} {} needs: {}; try again",
            subject.kind.kind,
            place(subject),
            escaped(&reason)
        );
        return Decision { injections: mutation.injections, ..Decision::refuse(503, "ServiceUnavailable", message) };
    }
    let mut audit = BTreeMap::new();
    let done: Vec<&str> = mutation.injections.iter().filter(|state| state.done).map(|state| state.id.as_str()).collect();
    if !done.is_empty() {
        audit.insert("injections".into(), done.join(","));
    }
    Decision { allowed: true, patch: mutation.operations, injections: mutation.injections, audit, ..Decision::default() }
}

fn judge(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>, limits: Limits<'_>) -> Decision {
    let verdict = evaluate(set, subject, facts, limits);
    let refusing: Vec<&Violation> = verdict.counted().filter(|violation| violation.enforcement == Enforcement::Deny).collect();
    let mut decision = Decision { allowed: refusing.is_empty(), warnings: warnings(&verdict), ..Decision::default() };
    if !decision.allowed {
        (decision.reason, decision.code) = status(&refusing);
        decision.message = message(subject, &refusing);
        decision.causes = refusing.iter().map(|violation| (violation.path.to_string(), escaped(&violation.line()))).collect();
    }
    let rules: Vec<String> = verdict.counted().map(|violation| format!("{}={}", violation.rule, violation.enforcement.word())).collect();
    if !rules.is_empty() {
        decision.audit.insert("violations".into(), deduplicated(rules).join(","));
    }
    let waived: Vec<String> = verdict
        .violations
        .iter()
        .filter_map(|violation| violation.waived_by.as_ref().map(|by| format!("{} by {by}", violation.rule)))
        .collect();
    if !waived.is_empty() {
        decision.audit.insert("waived".into(), escaped(&deduplicated(waived).join(",")));
    }
    for (key, values) in &verdict.annotations {
        decision.audit.insert(key.clone(), escaped(&values.join(", ")));
    }
    decision.verdict = verdict;
    decision
}

/// A refusal is called as native policies want it if all that refuse agree, else it is Forbidden, which it is to our own rules.
fn status(refusing: &[&Violation]) -> (&'static str, u16) {
    let mut reasons = refusing.iter().map(|violation| violation.reason.unwrap_or(Reason::Forbidden));
    match reasons.next() {
        Some(first) if reasons.all(|reason| reason == first) => first.status(),
        _ => Reason::Forbidden.status(),
    }
}

fn place(subject: &Subject<'_>) -> String {
    let name = subject.display_name();
    let full = if subject.namespace.is_empty() { name } else { format!("{}/{name}", subject.namespace) };
    crate::object::quoted(&full)
}

fn deduplicated(mut entries: Vec<String>) -> Vec<String> {
    entries.sort();
    entries.dedup();
    entries
}

/// `doorward refuses Pod payments/api for 2 violations: rule-a, rule-b`, then a line a violation while there is room.
fn message(subject: &Subject<'_>, refusing: &[&Violation]) -> String {
    let count = refusing.len();
    let plural = if count == 1 { "" } else { "s" };
    let mut out = format!("doorward refuses {} {} for {count} violation{plural}: ", subject.kind.kind, place(subject));
    let ids = deduplicated(refusing.iter().map(|violation| violation.rule.to_string()).collect());
    for (index, id) in ids.iter().enumerate() {
        if out.len() + id.len() + 2 > IDS_LIMIT {
            out.push_str(&format!(" and {} more", ids.len() - index));
            break;
        }
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(id);
    }
    for (index, violation) in refusing.iter().enumerate() {
        let line = escaped(&violation.line());
        if out.len() + line.len() + 1 > MESSAGE_LIMIT {
            out.push_str(&format!("\nand {} more, all of them in status.details.causes", count - index));
            break;
        }
        out.push('\n');
        out.push_str(&line);
    }
    out
}

/// Most severe first, short enough to arrive whole, without any character that would make the API server drop them.
fn warnings(verdict: &Verdict) -> Vec<String> {
    let warned: Vec<&Violation> = verdict.counted().filter(|violation| violation.enforcement == Enforcement::Warn).collect();
    let mut out: Vec<String> = warned
        .iter()
        .take(if warned.len() > WARNINGS { WARNINGS - 1 } else { WARNINGS })
        .map(|violation| {
            let unsure = if violation.certainty == Certainty::Unknown { "(not certain) " } else { "" };
            cut(format!("doorward: {unsure}{}", escaped(&violation.line())))
        })
        .collect();
    if warned.len() > out.len() {
        out.push(format!("doorward: and {} more: run doorward audit on the manifest", warned.len() - out.len()));
    }
    out
}

fn cut(text: String) -> String {
    if text.len() <= WARNING_LIMIT {
        return text;
    }
    let mut ends = text.char_indices().map(|(start, _)| start).skip(WARNING_LIMIT - 1);
    match (ends.next(), ends.next()) {
        (Some(end), Some(_)) => format!("{}…", text.get(..end).unwrap_or_default()),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;
    use crate::policy::{RelatedIndex, Sources, Text, load};

    /// The decision on a pod by native policies, each with the reason of its one validation and its audit annotation.
    fn decided(reasons: &[&str]) -> Decision {
        let documents = reasons.iter().enumerate().flat_map(|(index, reason)| {
            let version = "admissionregistration.k8s.io/v1";
            let rule = serde_json::json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] });
            let policy = serde_json::json!({
                "apiVersion": version, "kind": "ValidatingAdmissionPolicy", "metadata": { "name": format!("p{index}") },
                "spec": {
                    "matchConstraints": { "resourceRules": [rule] }, "validations": [{ "expression": "false", "reason": reason }],
                    "auditAnnotations": [{ "key": "name", "valueExpression": "object.metadata.name" }],
                },
            });
            let binding = serde_json::json!({
                "apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": format!("b{index}") },
                "spec": { "policyName": format!("p{index}"), "validationActions": ["Deny"] },
            });
            [policy.to_string(), binding.to_string()]
        });
        let text = documents.collect::<Vec<_>>().join("\n---\n");
        let policies = vec![Text { name: "native.yaml".into(), text }];
        let set = load(&Sources { no_builtin: true, policies, ..Sources::default() }).unwrap();
        let request = r#"{"uid":"u","operation":"CREATE","kind":{"version":"v1","kind":"Pod"},"resource":{"version":"v1","resource":"pods"},
            "namespace":"shop","object":{"metadata":{"name":"web"},"spec":{}}}"#;
        let request = Object::from_json(request).unwrap();
        let subject = Subject::from_request(Source::Validating, request.root(), request.root().get("object"), None).unwrap();
        let facts = RelatedIndex::new([], "default", true).facts(&set, &subject, 0);
        decide(&set, &subject, &facts, Limits::default())
    }

    #[test]
    fn a_refusal_is_called_as_native_policies_agree() {
        for (reasons, reason, code) in [
            (&["Invalid"][..], "Invalid", 422),
            (&["Unauthorized", "Unauthorized"], "Unauthorized", 401),
            (&["Invalid", "Unauthorized"], "Forbidden", 403),
            (&["RequestEntityTooLarge"], "RequestEntityTooLarge", 413),
        ] {
            let decision = decided(reasons);
            assert_eq!((decision.allowed, decision.reason, decision.code), (false, reason, code), "{reasons:?}");
        }
    }

    #[test]
    fn a_warning_has_at_most_as_many_characters_as_arrive() {
        for (character, count) in [("x", 1), ("é", 240), ("é", 241), ("x", 240), ("x", 241), ("€", 1000)] {
            let cut = cut(character.repeat(count));
            assert_eq!(cut.chars().count(), count.min(WARNING_LIMIT), "{count} times {character}");
            assert_eq!(cut.ends_with('…'), count > WARNING_LIMIT, "{count} times {character}");
        }
    }

    #[test]
    fn audit_annotations_of_native_policies_are_the_decisions() {
        let decision = decided(&["Invalid", "Forbidden"]);
        let noted: Vec<_> = decision.audit.iter().filter(|(key, _)| key.starts_with('p') && key.ends_with(".name")).collect();
        assert_eq!(noted, [(&"p0.name".to_owned(), &"web".to_owned()), (&"p1.name".to_owned(), &"web".to_owned())]);
    }
}
