//! From verdicts to a report: each violation with the file, line and column where its author wrote it.

use std::collections::BTreeSet;

use super::checklist::{Marks, checklist};
use super::model::{Enforcement, ObjectRef, Report, RuleInfo, Severity, Status, Violation, Waived};
use super::waivers::{Standing, stale, waived};
use crate::manifest::{Beginning, Document, InputError, beginnings};
use crate::object::FieldPath;
use crate::policy::{
    self, Certainty, Facts, Limits, PolicySet, RelatedIndex, RequestError, Source, Subject, evaluate, unlisted_secrets, unseen,
};

/// What judging a document found, with the places. Nothing of it hangs on other documents, so they may be judged side by side.
#[derive(Debug, Default)]
pub struct Judged {
    waived: Vec<Waived>,
    standing: Option<Box<Standing>>,
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
            let unlisted = unlisted_secrets(set, subject, facts, &verdict);
            verdict.violations.extend(unlisted);
            Self { marks: Marks::of(set, subject, &verdict), ..Self::of(set, document, subject, facts, verdict.violations) }
        };
        match index.created(set, source, object, default_namespace, now, judge) {
            Ok(judged) => judged,
            Err(error) => Self { error: Some(unreadable(document, &error)), ..Self::default() },
        }
    }

    fn of(set: &PolicySet, document: &Document, subject: &Subject<'_>, facts: &Facts<'_>, violations: Vec<policy::Violation>) -> Self {
        if violations.is_empty() && !subject.is_waiver() {
            return Self::default();
        }
        let object = object_ref(document, subject.namespace);
        let standing = Standing::of(subject, &object, &document.source.name, document.first_line, facts.now).map(Box::new);
        let mut judged = Self { standing, violations: Vec::with_capacity(violations.len()), ..Self::default() };
        let paths: Vec<&FieldPath> = violations.iter().map(|violation| &violation.path).collect();
        for (place, mut violation) in beginnings(document, &paths).into_iter().zip(violations) {
            let waived_by = violation.waived_by.take();
            let told = located(violation, document, place, &object);
            match waived_by {
                Some(by) => judged.waived.push(waived(set, facts, &by, told)),
                None => judged.violations.push(told),
            }
        }
        judged
    }
}

impl Report {
    /// The report of an audit at a time, in seconds since 1970.
    #[must_use]
    pub fn of(set: &PolicySet, judged: Vec<Judged>, mut errors: Vec<InputError>, now: i64) -> Self {
        let objects = judged.len();
        let checklist = checklist(set, &judged.iter().map(|one| one.marks).collect::<Vec<_>>());
        let used: BTreeSet<&str> = judged.iter().flat_map(|one| &one.waived).map(|one| one.by.as_str()).collect();
        let of_files = set.waivers().iter().filter_map(|waiver| stale(waiver, &used, now));
        let of_objects = judged.iter().filter_map(|one| one.standing.as_ref()?.finding(&used));
        let mut violations: Vec<Violation> = of_files.chain(of_objects).collect();
        violations.reserve_exact(judged.iter().map(|one| one.violations.len()).sum());
        let mut waived = Vec::new();
        for one in judged {
            waived.extend(one.waived);
            violations.extend(one.violations);
            errors.extend(one.error);
        }
        Self { checklist, ..Self::new(objects, waived, violations, errors, rules(set)) }
    }
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

pub(super) fn located(violation: policy::Violation, document: &Document, place: Beginning, object: &ObjectRef) -> Violation {
    let message = match violation.added_by {
        Some(by) if by != "defaults" => format!("{} (in what injection `{by}` adds)", violation.message),
        _ => violation.message,
    };
    Violation {
        rule: violation.rule.to_string(),
        invariants: violation.invariants.to_vec(),
        severity: severity(violation.severity),
        enforcement: enforcement(violation.enforcement),
        object: object.clone(),
        path: violation.path.to_string(),
        message,
        remedy: violation.remedy,
        file: document.source.name.clone(),
        line: place.line,
        column: place.column,
        fingerprint: violation.fingerprint,
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
