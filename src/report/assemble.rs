//! From verdicts to a report: each violation with the file, line and column where its author wrote it.

use super::model::{Enforcement, ObjectRef, Report, RuleInfo, Severity, Status, Violation};
use crate::manifest::{Document, InputError, SourceMap};
use crate::object::{GroupVersionKind, namespace_of};
use crate::policy::{self, Certainty, Limits, PolicySet, RelatedIndex, Subject, Verdict, evaluate, manifest_request};

/// What judging a document found, with the places. Nothing of it hangs on other documents, so they may be judged side by side.
#[derive(Debug, Default)]
pub struct Judged {
    waived: usize,
    violations: Vec<Violation>,
    error: Option<InputError>,
}

impl Judged {
    /// Judges a document as if it were created.
    #[must_use]
    pub fn new(set: &PolicySet, document: &Document, index: &RelatedIndex<'_>, default_namespace: &str, now: i64) -> Self {
        let object = document.object.root();
        let kind = GroupVersionKind::of(object).unwrap_or_default();
        let namespace = namespace_of(object, &kind, default_namespace);
        let request = manifest_request(object, &kind, namespace);
        match Subject::from_request(policy::Source::Manifests, request.root(), Some(object), None) {
            Ok(subject) => Self::of(document, namespace, &evaluate(set, &subject, &index.facts(set, &subject, now), Limits::default())),
            Err(error) => {
                let (file, message) = (document.source.name.clone(), error.to_string());
                Self { error: Some(InputError { file, line: document.first_line, column: 0, message }), ..Self::default() }
            }
        }
    }

    fn of(document: &Document, namespace: &str, verdict: &Verdict) -> Self {
        let waived = verdict.violations.len() - verdict.counted().count();
        if verdict.counted().next().is_none() {
            return Self { waived, ..Self::default() };
        }
        let map = SourceMap::of(document);
        let object = object_ref(document, namespace);
        let violations = verdict.counted().map(|violation| located(violation, document, &map, &object)).collect();
        Self { waived, violations, error: None }
    }
}

impl Report {
    /// The report of an audit.
    #[must_use]
    pub fn of(set: &PolicySet, judged: Vec<Judged>, mut errors: Vec<InputError>) -> Self {
        let objects = judged.len();
        let mut waived = 0;
        let mut violations = Vec::new();
        for one in judged {
            waived += one.waived;
            violations.extend(one.violations);
            errors.extend(one.error);
        }
        Self::new(objects, waived, violations, errors, rules(set))
    }
}

fn object_ref(document: &Document, namespace: &str) -> ObjectRef {
    let root = document.object.root();
    let metadata = |key: &str| root.get("metadata").map(|metadata| metadata.text(key)).unwrap_or_default();
    let name = match (metadata("name"), metadata("generateName")) {
        ("", prefix) => prefix,
        (name, _) => name,
    };
    ObjectRef {
        api_version: root.text("apiVersion").into(),
        kind: root.text("kind").into(),
        namespace: namespace.into(),
        name: name.into(),
    }
}

fn located(violation: &policy::Violation, document: &Document, map: &SourceMap, object: &ObjectRef) -> Violation {
    let position = map.locate(&violation.path);
    let message = match &violation.added_by {
        Some(by) if by == "defaults" => violation.message.clone(),
        Some(by) => format!("{} (in what injection `{by}` adds)", violation.message),
        None => violation.message.clone(),
    };
    Violation {
        rule: violation.rule.to_string(),
        invariants: violation.invariants.to_vec(),
        severity: severity(violation.severity),
        enforcement: enforcement(violation.enforcement),
        object: object.clone(),
        path: violation.path.to_string(),
        message,
        remedy: violation.remedy.clone(),
        file: document.source.name.clone(),
        line: position.line,
        column: position.column,
        fingerprint: violation.fingerprint.clone(),
        status: if violation.certainty == Certainty::Unknown { Status::Unknown } else { Status::New },
    }
}

fn rules(set: &PolicySet) -> Vec<RuleInfo> {
    let rule = |policy: &policy::IdentityPolicy| RuleInfo {
        id: policy.id.to_string(),
        title: policy.title.clone(),
        help: format!("{}. Serves {}.", policy.title, policy.invariants.join(", ")),
        severity: severity(policy.severity),
        enforcement: enforcement(policy.enforcement),
        invariants: policy.invariants.to_vec(),
        conceal: policy.conceal,
    };
    set.policies().iter().map(rule).collect()
}

fn severity(severity: policy::Severity) -> Severity {
    match severity {
        policy::Severity::Critical => Severity::Critical,
        policy::Severity::High => Severity::High,
        policy::Severity::Medium => Severity::Medium,
        policy::Severity::Low => Severity::Low,
    }
}

fn enforcement(enforcement: crate::settings::Enforcement) -> Enforcement {
    match enforcement {
        crate::settings::Enforcement::Deny => Enforcement::Deny,
        crate::settings::Enforcement::Warn => Enforcement::Warn,
        crate::settings::Enforcement::Audit | crate::settings::Enforcement::Off => Enforcement::Audit,
    }
}
