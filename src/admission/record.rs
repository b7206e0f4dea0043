//! What is recorded of a decision: one JSON line, with the context that INV-10 asks for, and never the object itself.

use std::collections::BTreeMap;

use serde::Serialize;

use super::decide::Decision;
use crate::object::{Node, PodTemplate, quoted};
use crate::policy::{PolicySet, Source, Subject};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    timestamp: &'a str,
    event: &'static str,
    hook: &'static str,
    uid: String,
    operation: &'static str,
    kind: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    subresource: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    requester: String,
    groups: Vec<String>,
    verified_caller: bool,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spiffe_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_correlation_id: Option<String>,
    decision: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Finding<'a>>,
    /// Rules that were evaluated and found nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kept: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    injections: Vec<Injected<'a>>,
    /// Audit annotations of native policies.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    policy_revision: &'a str,
    duration_microseconds: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'a> {
    rule: &'a str,
    enforcement: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    waived_by: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    old: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Injected<'a> {
    id: &'a str,
    result: &'static str,
}

/// What became of an injection, as the metric label says it.
#[must_use]
pub fn injection_result(state: &crate::identity::InjectionState) -> &'static str {
    match (state.done, &state.conflict) {
        (_, Some(_)) => "conflict",
        (true, None) => "done",
        (false, None) => "due",
    }
}

/// The circumstances that the decision itself does not know.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// RFC 3339, UTC.
    pub timestamp: &'a str,
    /// Whether the caller was verified to be the API server.
    pub verified_caller: bool,
    /// How long it took.
    pub duration: std::time::Duration,
}

/// The record of a decision as one line of JSON.
#[must_use]
pub fn record(set: &PolicySet, subject: &Subject<'_>, decision: &Decision, circumstances: Circumstances<'_>) -> String {
    let user = subject.request.get("userInfo");
    let template = subject.template();
    let service_account = template.map(PodTemplate::service_account_name);
    let metadata = subject.object.or(subject.old_object).and_then(|object| object.get("metadata"));
    let owner = metadata.and_then(|metadata| {
        let mut owners = metadata.list("ownerReferences");
        let controller = owners.find(|owner| owner.get("controller").and_then(Node::as_bool) == Some(true))?;
        Some(quoted(&format!("{}/{}", controller.text("kind"), controller.text("name"))))
    });
    let record = Record {
        timestamp: circumstances.timestamp,
        event: "admission",
        hook: if subject.source == Source::Mutating { "mutate" } else { "validate" },
        uid: quoted(subject.uid),
        operation: subject.operation.word(),
        kind: quoted(&subject.kind.to_string()),
        subresource: subject.subresource,
        namespace: quoted(subject.namespace),
        name: quoted(&subject.display_name()),
        owner,
        requester: quoted(subject.username),
        groups: user.map(|user| user.list("groups").take(32).filter_map(Node::as_str).map(quoted).collect()).unwrap_or_default(),
        verified_caller: circumstances.verified_caller,
        dry_run: subject.dry_run,
        service_account: service_account.map(quoted),
        spiffe_id: service_account.and_then(|name| set.settings().expected_spiffe_id(subject.namespace, name)).map(|id| quoted(&id)),
        claimed_correlation_id: template.and_then(|template| template.annotation("doorward.dev/correlation-id")).map(quoted),
        decision: decision.word(),
        violations: decision
            .verdict
            .violations
            .iter()
            .map(|violation| Finding {
                rule: &violation.rule,
                enforcement: violation.enforcement.word(),
                path: quoted(&violation.path.to_string()),
                waived_by: violation.waived_by.as_deref(),
                old: violation.old,
            })
            .collect(),
        kept: decision.verdict.evaluated.iter().map(|rule| &**rule).filter(|rule| !decision.verdict.violates(rule)).collect(),
        injections: decision.injections.iter().map(|state| Injected { id: &state.id, result: injection_result(state) }).collect(),
        annotations: decision.verdict.annotations.iter().map(|(key, values)| (key.as_str(), quoted(&values.join(", ")))).collect(),
        reason: decision.reason,
        policy_revision: set.revision(),
        duration_microseconds: u64::try_from(circumstances.duration.as_micros()).unwrap_or(u64::MAX),
    };
    // Most of a line is the names of the rules that were kept.
    let mut line = Vec::with_capacity(2048);
    // Strings, numbers and lists of them: it always serialises.
    let _always = serde_json::to_writer(&mut line, &record);
    String::from_utf8(line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::admission::{decide, decode};
    use crate::policy::{Facts, Limits, Sources, load};

    #[test]
    fn a_record_says_who_asked_for_what_and_what_each_rule_found() {
        let set = load(&Sources::default()).unwrap();
        let review = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE",
            "kind":{"version":"v1","kind":"Pod"},"resource":{"version":"v1","resource":"pods"},"namespace":"payments",
            "userInfo":{"username":"eve\u001b[31m","groups":["dev"]},"dryRun":true,"object":{"metadata":{"generateName":"web-"},
            "spec":{"serviceAccountName":"default","automountServiceAccountToken":false,"containers":[{"name":"a","env":[
            {"name":"VAULT_TOKEN","value":"hvs.secret"}]}]}}}}"#;
        let review = decode(review.as_bytes().to_vec()).unwrap();
        let subject = review.subject(Source::Validating).unwrap();
        let decision = decide(&set, &subject, &Facts::unknown("not asked for"), Limits::default());
        let circumstances = Circumstances { timestamp: "2026-01-01T00:00:00Z", verified_caller: true, duration: Duration::from_micros(7) };
        let line = record(&set, &subject, &decision, circumstances);
        assert!(!line.contains("hvs.secret"), "no value stands in a record");
        let record: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(record["requester"], "eve\\u001b[31m");
        assert_eq!((&record["name"], &record["dryRun"], &record["decision"]), (&"web-*".into(), &true.into(), &"denied".into()));
        assert_eq!(record["durationMicroseconds"], 7);
        let found: Vec<_> = record["violations"].as_array().unwrap().iter().map(|finding| finding["rule"].as_str().unwrap()).collect();
        assert!(found.contains(&"no-default-service-account") && found.contains(&"no-static-vault-token"), "{found:?}");
        let kept: Vec<_> = record["kept"].as_array().unwrap().iter().map(|rule| rule.as_str().unwrap()).collect();
        assert!(kept.contains(&"no-host-namespaces") && !kept.iter().any(|rule| found.contains(rule)), "{kept:?}");
    }
}
