//! `-o sarif`: SARIF 2.1.0 for code scanning.

use std::io;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::json::write_pretty;
use super::{Enforcement, Excerpts, ObjectRef, Out, Report, RuleInfo, Severity, Status, Violation, Waived};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub(super) fn write(report: &Report, _: &dyn Excerpts, _: bool, out: &mut Out<'_>) -> io::Result<()> {
    write_pretty(&log(report), out)
}

#[derive(Serialize)]
struct Log<'r> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    runs: [Run<'r>; 1],
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'r> {
    column_kind: &'static str,
    invocations: [Value; 1],
    results: Results<'r>,
    tool: Value,
}

/// The results, each made when it is written.
struct Results<'r> {
    report: &'r Report,
    rules: Vec<RuleInfo>,
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { report, rules } = self;
        let results = report.violations.iter().map(|violation| result(violation, rules));
        serializer.collect_seq(results.chain(report.waived.iter().map(|waived| suppressed(waived, rules))))
    }
}

fn log(report: &Report) -> Log<'_> {
    let rules = rules(report);
    let notifications: Vec<_> = report
        .errors
        .iter()
        .map(|error| {
            json!({
                "level": "error",
                "message": { "text": error.message },
                "locations": locations(&error.file, error.line, error.column),
            })
        })
        .collect();
    let tool = json!({
        "driver": {
            "name": "doorward",
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "rules": rules.iter().map(descriptor).collect::<Vec<_>>(),
        },
    });
    let invocation = json!({ "executionSuccessful": report.errors.is_empty(), "toolExecutionNotifications": notifications });
    let run = Run { column_kind: "unicodeCodePoints", invocations: [invocation], results: Results { report, rules }, tool };
    Log { schema: SCHEMA, runs: [run], version: "2.1.0" }
}

/// The rules that the report tells of, and those that only a violation names, in order of their ids.
fn rules(report: &Report) -> Vec<RuleInfo> {
    let mut rules = report.rules.clone();
    for violation in &report.violations {
        if !rules.iter().any(|rule| rule.id == violation.rule) {
            rules.push(RuleInfo {
                id: violation.rule.clone(),
                title: violation.rule.clone(),
                help: violation.remedy.clone(),
                severity: violation.severity,
                enforcement: violation.enforcement,
                invariants: violation.invariants.clone(),
                conceal: false,
            });
        }
    }
    rules.sort_by(|left, right| left.id.cmp(&right.id));
    rules
}

fn descriptor(rule: &RuleInfo) -> Value {
    let tags: Vec<_> = std::iter::once("security").chain(rule.invariants.iter().map(String::as_str)).collect();
    json!({
        "id": rule.id,
        "shortDescription": { "text": text(&rule.title, &rule.id) },
        "help": { "text": text(&rule.help, &rule.title) },
        "defaultConfiguration": { "level": level(rule.enforcement) },
        "properties": { "tags": tags, "security-severity": security_severity(rule.severity) },
    })
}

/// SARIF asks for a text wherever it has a place for one.
fn text<'t>(text: &'t str, instead: &'t str) -> &'t str {
    if text.is_empty() { instead } else { text }
}

fn result(violation: &Violation, rules: &[RuleInfo]) -> Value {
    // SARIF's `open` is what cannot be decided; then its level must be `none`.
    let (kind, level) = match violation.status {
        Status::Unknown => ("open", "none"),
        Status::New | Status::Baseline => ("fail", level(violation.enforcement)),
    };
    let message = match violation.remedy.as_str() {
        "" => violation.message.clone(),
        remedy => format!("{}. Remedy: {remedy}", violation.message),
    };
    let place = physical(&violation.file, violation.line, violation.column);
    let mut result = json!({
        "kind": kind,
        "level": level,
        "message": { "text": message },
        "locations": [location(&violation.object, &violation.path, place)],
        "partialFingerprints": { "doorward/v1": violation.fingerprint },
        "baselineState": if violation.status == Status::Baseline { "unchanged" } else { "new" },
    });
    name_rule(&mut result, &violation.rule, rules);
    result
}

/// What is let be is a result all the same, which code scanning shows as dismissed.
fn suppressed(waived: &Waived, rules: &[RuleInfo]) -> Value {
    let place = physical(&waived.file, waived.line, waived.column);
    let part = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name}{value}"));
    let parts = [
        Some(waived.by.clone()),
        part("", &waived.reason),
        part("owner ", &waived.owner),
        part("ticket ", &waived.ticket),
        part("until ", &waived.expires_at),
    ];
    let mut result = json!({
        "kind": "fail",
        "level": level(waived.enforcement),
        "message": { "text": waived.message },
        "locations": [location(&waived.object, &waived.path, place)],
        "partialFingerprints": { "doorward/v1": waived.fingerprint },
        "baselineState": "new",
        "suppressions": [{
            "kind": "external",
            "status": "accepted",
            "justification": parts.into_iter().flatten().collect::<Vec<_>>().join("; "),
        }],
    });
    name_rule(&mut result, &waived.rule, rules);
    result
}

fn name_rule(result: &mut Value, id: &str, rules: &[RuleInfo]) {
    let Some(fields) = result.as_object_mut() else { return };
    fields.insert("ruleId".into(), id.into());
    if let Ok(index) = rules.binary_search_by(|rule| rule.id.as_str().cmp(id)) {
        fields.insert("ruleIndex".into(), index.into());
    }
}

fn location(object: &ObjectRef, path: &str, place: Option<Value>) -> Value {
    let mut location = json!({
        "logicalLocations": [{
            "kind": "member",
            "fullyQualifiedName": format!("{} {} {}/{} {path}", object.api_version, object.kind, object.namespace, object.name),
        }],
    });
    if let (Some(place), Some(fields)) = (place, location.as_object_mut()) {
        fields.insert("physicalLocation".into(), place);
    }
    location
}

fn locations(file: &str, line: usize, column: usize) -> Vec<Value> {
    physical(file, line, column).map(|place| json!({ "physicalLocation": place })).into_iter().collect()
}

/// A place in a file; SARIF knows no line or column 0, so what is not known is left out.
fn physical(file: &str, line: usize, column: usize) -> Option<Value> {
    let artifact = json!({ "uri": uri(file) });
    match (file, line, column) {
        ("", ..) => None,
        (_, 0, _) => Some(json!({ "artifactLocation": artifact })),
        (_, line, 0) => Some(json!({ "artifactLocation": artifact, "region": { "startLine": line } })),
        (_, line, column) => Some(json!({ "artifactLocation": artifact, "region": { "startLine": line, "startColumn": column } })),
    }
}

/// A file name as a relative URI reference (RFC 3986): every byte that is not unreserved or `/` is percent-encoded.
fn uri(file: &str) -> String {
    let mut out = String::new();
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn level(enforcement: Enforcement) -> &'static str {
    match enforcement {
        Enforcement::Deny => "error",
        Enforcement::Warn => "warning",
        Enforcement::Audit => "note",
    }
}

/// The score by which code scanning sorts, on the scale of CVSS.
fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    }
}
