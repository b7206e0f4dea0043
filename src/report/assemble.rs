//! From verdicts to a report: each violation with the file, line and column where its author wrote it.

use std::collections::BTreeSet;

use super::checklist::{Marks, checklist};
use super::model::{Enforcement, ObjectRef, Report, RuleInfo, Severity, Status, Violation};
use crate::manifest::{Document, InputError, SourceMap};
use crate::policy::{
    self, Certainty, Facts, Limits, PolicySet, RelatedIndex, RequestError, Source, Subject, Verdict, Waiver, evaluate, unseen,
};

/// What judging a document found, with the places. Nothing of it hangs on other documents, so they may be judged side by side.
#[derive(Debug, Default)]
pub struct Judged {
    waived: usize,
    /// What lifted violations: `waiver NAME` or an exemption.
    lifted_by: Vec<String>,
    marks: Marks,
    violations: Vec<Violation>,
    error: Option<InputError>,
}

impl Judged {
    /// Judges a document as if it were created.
    #[must_use]
    pub fn new<'d>(
        set: &PolicySet,
        source: Source,
        document: &'d Document,
        index: &RelatedIndex<'d>,
        default_namespace: &str,
        now: i64,
    ) -> Self {
        let object = document.object.root();
        let judge = |subject: &Subject<'_>, facts: &Facts<'_>| {
            let mut verdict = evaluate(set, subject, facts, Limits::default());
            verdict.violations.extend(unseen(set, subject, facts));
            Self { marks: Marks::of(set, subject, &verdict), ..Self::of(document, subject.namespace, &verdict) }
        };
        match index.created(set, source, object, default_namespace, now, judge) {
            Ok(judged) => judged,
            Err(error) => Self { error: Some(unreadable(document, &error)), ..Self::default() },
        }
    }

    fn of(document: &Document, namespace: &str, verdict: &Verdict) -> Self {
        let lifted_by: Vec<String> = verdict.violations.iter().filter_map(|violation| violation.waived_by.clone()).collect();
        let waived = lifted_by.len();
        if verdict.counted().next().is_none() {
            return Self { waived, lifted_by, ..Self::default() };
        }
        let map = SourceMap::of(document);
        let object = object_ref(document, namespace);
        let violations = verdict.counted().map(|violation| located(violation, document, &map, &object)).collect();
        Self { waived, lifted_by, violations, ..Self::default() }
    }
}

impl Report {
    /// The report of an audit at a time, in seconds since 1970.
    #[must_use]
    pub fn of(set: &PolicySet, judged: Vec<Judged>, mut errors: Vec<InputError>, now: i64) -> Self {
        let objects = judged.len();
        let mut waived = 0;
        let checklist = checklist(set, &judged.iter().map(|one| one.marks).collect::<Vec<_>>());
        let used: BTreeSet<&str> = judged.iter().flat_map(|one| &one.lifted_by).map(String::as_str).collect();
        let mut violations: Vec<Violation> = set.waivers().iter().filter_map(|waiver| stale(waiver, &used, now)).collect();
        for one in judged {
            waived += one.waived;
            violations.extend(one.violations);
            errors.extend(one.error);
        }
        Self { checklist, ..Self::new(objects, waived, violations, errors, rules(set)) }
    }
}

/// What an audit says of a waiver that lifts nothing: it is over, or what it was for is gone.
fn stale(waiver: &Waiver, used: &BTreeSet<&str>, now: i64) -> Option<Violation> {
    let (enforcement, path, message, remedy) = if waiver.expires_at <= now {
        let message = format!("expired at {} and lifts nothing", waiver.spec.expires_at);
        (Enforcement::Warn, "spec.expiresAt", message, "mend what it was for, or ask for another one")
    } else if used.contains(format!("waiver {}", waiver.name).as_str()) {
        return None;
    } else {
        let message = "lifted nothing in this audit".to_owned();
        (Enforcement::Audit, "spec", message, "remove it once what it was for is mended")
    };
    let (file, line) = waiver.place.clone();
    let object = ObjectRef {
        api_version: policy::API_VERSION.into(),
        kind: "IdentityWaiver".into(),
        name: waiver.name.to_string(),
        ..ObjectRef::default()
    };
    Some(Violation {
        rule: policy::WAIVER_RULE.into(),
        invariants: vec!["INV-9".into(), "INV-11".into()],
        severity: Severity::Medium,
        enforcement,
        object,
        path: path.into(),
        message,
        remedy: remedy.into(),
        file,
        line,
        column: 1,
        fingerprint: crate::object::hex_digest(format!("{}\n{}\n{path}", policy::WAIVER_RULE, waiver.name).as_bytes()),
        status: Status::New,
    })
}

/// A document that names no kind.
pub(super) fn unreadable(document: &Document, error: &RequestError) -> InputError {
    InputError { file: document.source.name.clone(), line: document.first_line, column: 0, message: error.to_string() }
}

pub(super) fn object_ref(document: &Document, namespace: &str) -> ObjectRef {
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

pub(super) fn located(violation: &policy::Violation, document: &Document, map: &SourceMap, object: &ObjectRef) -> Violation {
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
