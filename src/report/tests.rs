//! What each format prints.

use std::str::FromStr as _;

use serde_json::{Value, json};

use super::*;
use crate::manifest::{self, InputError};
use crate::object::FieldPath;

const POD: &str = "apiVersion: v1
kind: Pod
metadata: {name: api, namespace: prod}
spec:
  serviceAccountName: default
  volumes:
  - {name: t, hostPath: {path: \"/x\"}}
";

fn violation(rule: &str, enforcement: Enforcement, status: Status, path: &str) -> Violation {
    let documents = manifest::load("deploy/api.yaml", POD).documents;
    let position = manifest::locate(&documents[0], &FieldPath::parse(path).unwrap());
    Violation {
        rule: rule.into(),
        invariants: vec!["INV-1".into(), "INV-2".into()],
        severity: Severity::High,
        enforcement,
        object: ObjectRef { api_version: "v1".into(), kind: "Pod".into(), namespace: "prod".into(), name: "api".into() },
        path: path.into(),
        message: format!("{path} is not as it must be"),
        remedy: "make it so".into(),
        file: "deploy/api.yaml".into(),
        line: position.line,
        column: position.column,
        fingerprint: "00ff".into(),
        status,
    }
}

fn waived() -> Waived {
    let Violation { object, path, message, file, line, column, .. } =
        violation("no-host-path", Enforcement::Deny, Status::New, "spec.volumes[0].name");
    Waived {
        rule: "no-host-path".into(),
        enforcement: Enforcement::Deny,
        object,
        path,
        message,
        file,
        line,
        column,
        fingerprint: "00ff".into(),
        by: "waiver moving".into(),
        waiver: Some("moving".into()),
        owner: Some("platform".into()),
        ticket: Some("OPS-1".into()),
        reason: Some("moves to CSI".into()),
        expires_at: Some("2027-01-01T00:00:00Z".into()),
    }
}

fn report() -> (Report, Sources) {
    let violations = vec![
        violation("no-host-path", Enforcement::Warn, Status::New, "spec.volumes[0].hostPath"),
        violation("no-default-service-account", Enforcement::Deny, Status::New, "spec.serviceAccountName"),
        violation("known", Enforcement::Deny, Status::Baseline, "spec"),
        violation("needs-namespace", Enforcement::Deny, Status::Unknown, "metadata"),
    ];
    let errors = vec![
        InputError { file: "deploy/bad.yaml".into(), line: 7, column: 3, message: "the key `a` is given twice".into() },
        InputError { file: "nowhere".into(), line: 0, column: 0, message: "cannot be read".into() },
    ];
    let rule = RuleInfo {
        id: "no-host-path".into(),
        title: "No host path".into(),
        help: "Use a projected volume.".into(),
        severity: Severity::Critical,
        enforcement: Enforcement::Deny,
        invariants: vec!["INV-4".into()],
        conceal: false,
    };
    let bad = manifest::load("deploy/bad.yaml", &format!("{}  a: 1\n  b: {{}}\n  a: 2\n", "#\n".repeat(4)));
    assert_eq!(bad.errors.len(), 1);
    let sources = Sources::of(&manifest::load("deploy/api.yaml", POD).documents).with(bad.sources);
    (Report::new(3, vec![waived()], violations, errors, vec![rule]), sources)
}

fn value(format: Format, report: &Report) -> Value {
    serde_json::from_str(&render(format, report, &NoExcerpts, false)).unwrap()
}

#[test]
fn formats_have_names() {
    for format in Format::ALL {
        assert_eq!(Format::from_str(format.name()), Ok(format));
    }
    assert_eq!(Format::from_str("xml\n").unwrap_err(), "`xml\\u000a` is no output format: use one of table, json, sarif");
}

#[test]
fn a_line_with_a_credential_is_not_shown_by_any_rule() {
    let (mut report, sources) = report();
    report.violations.push(violation("no-credential-material", Enforcement::Deny, Status::Baseline, "spec.volumes[0].name"));
    report.rules = vec![RuleInfo { id: "no-credential-material".into(), conceal: true, ..report.rules.remove(0) }];
    let shown = render(Format::Table, &report, &sources, false);
    assert!(!shown.contains("{name: t"), "{shown}");
    assert!(shown.contains("--> deploy/api.yaml:7:15\n") && shown.contains("5 |   serviceAccountName: default"), "{shown}");
}

#[test]
fn the_table_shows_the_place() {
    let (report, sources) = report();
    insta::assert_snapshot!(render(Format::Table, &report, &sources, false), @r#"
    deploy/api.yaml: Pod prod/api
    unknown[needs-namespace]: metadata is not as it must be
     --> deploy/api.yaml:3:1
      |
    3 | metadata: {name: api, namespace: prod}
      | ^^^^^^^^
      |
      = at: metadata
      = help: make it so

    deny[no-default-service-account]: spec.serviceAccountName is not as it must be
     --> deploy/api.yaml:5:3
      |
    5 |   serviceAccountName: default
      |   ^^^^^^^^^^^^^^^^^^
      |
      = at: spec.serviceAccountName
      = help: make it so

    warn[no-host-path]: spec.volumes[0].hostPath is not as it must be
     --> deploy/api.yaml:7:15
      |
    7 |   - {name: t, hostPath: {path: "/x"}}
      |               ^^^^^^^^
      |
      = at: spec.volumes[0].hostPath
      = help: make it so

    error: the key `a` is given twice
     --> deploy/bad.yaml:7:3
      |
    7 |   a: 2
      |   ^

    error: cannot be read
    --> nowhere

    3 objects, 3 violations (2 deny, 1 warn, 0 audit), 1 in the baseline, 1 waived, 1 unknown, 2 errors while reading
    "#);
}

#[test]
fn the_table_is_coloured_only_when_told() {
    let (report, sources) = report();
    assert!(render(Format::Table, &report, &sources, true).contains("\u{1b}["));
    assert!(!render(Format::Table, &report, &sources, false).contains('\u{1b}'));
    assert_eq!(render(Format::Table, &Report::new(1, vec![], vec![], vec![], vec![]), &NoExcerpts, false), "1 object, no violation\n");
}

#[test]
fn counts_and_fails_by_what_is_new() {
    let (report, _) = report();
    let expected = Summary { objects: 3, violations: 3, deny: 2, warn: 1, audit: 0, waived: 1, unknown: 1 };
    assert_eq!(report.summary, expected);
    assert!(report.fails(Enforcement::Deny) && report.fails(Enforcement::Audit));
    let only = |violation| Report::new(1, vec![], vec![violation], vec![], vec![]);
    assert!(!only(violation("a", Enforcement::Warn, Status::New, "spec")).fails(Enforcement::Deny));
    assert!(!only(violation("a", Enforcement::Deny, Status::Baseline, "spec")).fails(Enforcement::Audit));
}

#[test]
fn json_is_the_report_and_follows_its_schema() {
    let (report, _) = report();
    let printed = value(Format::Json, &report);
    let first = &printed["violations"][1];
    assert_eq!(first["object"], json!({ "apiVersion": "v1", "kind": "Pod", "namespace": "prod", "name": "api" }));
    assert_eq!(
        (&first["enforcement"], &first["status"], &first["line"], &first["column"]),
        (&json!("deny"), &json!("baseline"), &json!(4), &json!(1))
    );
    let waived = &printed["waived"][0];
    let said = ["rule", "path", "by", "waiver", "owner", "ticket", "expiresAt"].map(|field| waived[field].as_str().unwrap());
    let expected = ["no-host-path", "spec.volumes[0].name", "waiver moving", "moving", "platform", "OPS-1", "2027-01-01T00:00:00Z"];
    assert_eq!(said, expected);
    let mut read: Report = serde_json::from_value(printed).unwrap();
    read.rules = report.rules.clone();
    assert_eq!(read, report);

    let mut schema = schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Report>();
    schema.insert("title".into(), "Report of doorward audit -o json".into());
    let generated = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/report.schema.json"), &generated).unwrap();
    }
    assert_eq!(SCHEMA, generated, "the committed schema is old: run this test with UPDATE_SCHEMA=1, then once more");
}

#[test]
fn sarif_has_what_code_scanning_requires() {
    let (report, _) = report();
    let log = value(Format::Sarif, &report);
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let ids: Vec<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["known", "needs-namespace", "no-default-service-account", "no-host-path"]);
    assert_eq!(rules[3]["help"]["text"], "Use a projected volume.");
    assert_eq!(rules[3]["properties"], json!({ "tags": ["security", "INV-4"], "security-severity": "9.5" }));
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], rules[index]["id"]);
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        assert_eq!(result["partialFingerprints"]["doorward/v1"], "00ff");
    }
    let result = |rule: &str| run["results"].as_array().unwrap().iter().find(|result| result["ruleId"] == rule).unwrap();
    assert_eq!(
        result("no-host-path")["locations"][0]["physicalLocation"],
        json!({ "artifactLocation": { "uri": "deploy/api.yaml" }, "region": { "startLine": 7, "startColumn": 15 } })
    );
    let state = |rule: &str| ["kind", "level", "baselineState"].map(|field| result(rule)[field].as_str().unwrap());
    assert_eq!(state("no-host-path"), ["fail", "warning", "new"]);
    assert_eq!(state("known"), ["fail", "error", "unchanged"]);
    assert_eq!(state("needs-namespace"), ["open", "none", "new"]);
    let dismissed: Vec<_> = run["results"].as_array().unwrap().iter().filter(|result| result["suppressions"].is_array()).collect();
    let [dismissed] = dismissed[..] else { panic!("{dismissed:?}") };
    assert_eq!((&dismissed["kind"], &dismissed["level"]), (&json!("fail"), &json!("error")));
    assert_eq!(
        dismissed["suppressions"],
        json!([{
            "kind": "external", "status": "accepted",
            "justification": "waiver moving; moves to CSI; owner platform; ticket OPS-1; until 2027-01-01T00:00:00Z",
        }])
    );
    let invocation = &run["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    assert_eq!(
        invocation["toolExecutionNotifications"][1],
        json!({ "level": "error", "message": { "text": "cannot be read" }, "locations": [{ "physicalLocation": { "artifactLocation": { "uri": "nowhere" } } }] })
    );
}

#[test]
fn hostile_text_acts_in_no_format() {
    let evil = "a\u{1b}[2J\u{202e}\u{9b}x\n::error::\u{200b}\u{7f}";
    let text = "apiVersion: v1\nkind: Pod\nkey: \u{202e}x\u{200b}\n";
    let mut one = violation("rule", Enforcement::Deny, Status::New, "spec");
    (one.line, one.column) = (3, 1);
    for field in [&mut one.rule, &mut one.object.name, &mut one.object.namespace, &mut one.path, &mut one.message, &mut one.remedy] {
        *field = evil.into();
    }
    let error = InputError { file: evil.into(), line: 1, column: 1, message: evil.into() };
    let report = Report::new(1, vec![], vec![one], vec![error], vec![]);
    let sources = Sources::of(&manifest::read("deploy/api.yaml", text).documents);
    assert!(sources.text("deploy/api.yaml").is_some());
    for format in Format::ALL {
        let shown = render(format, &report, &sources, false);
        let acting: Vec<_> = shown.chars().filter(|found| crate::object::is_deceptive(*found) && *found != '\n').collect();
        assert_eq!(acting, [], "{format}: {shown}");
        assert!(!shown.lines().any(|line| line.starts_with("::error")), "{format}: {shown}");
    }
    let back: Report = serde_json::from_str(&render(Format::Json, &report, &sources, false)).unwrap();
    assert_eq!(back.violations[0].message, evil, "JSON loses nothing");
}

#[test]
fn a_long_or_short_line_has_its_place_still() {
    let mut one = violation("rule", Enforcement::Deny, Status::New, "spec");
    for (line, column) in [(1, 5000), (9, 1), (1, 0), (0, 0), (2, 1)] {
        (one.line, one.column) = (line, column);
        let text = format!("kind: {}\n\n", "x".repeat(9000));
        let sources = Sources::of(&manifest::read("deploy/api.yaml", &text).documents);
        let shown = render(Format::Table, &Report::new(1, vec![], vec![one.clone()], vec![], vec![]), &sources, false);
        assert!(shown.contains("--> deploy/api.yaml"), "{line}:{column}: {shown}");
        assert!(shown.len() < 1000, "{line}:{column}: {shown}");
    }
}

#[test]
fn a_waiver_that_lifts_nothing_is_a_finding() {
    use crate::policy::{RelatedIndex, Source, Sources, Text, load};
    let waiver = |name: &str, namespace: &str, expires: &str| Text {
        name: format!("{name}.yaml"),
        text: format!(
            "apiVersion: doorward.dev/v1alpha1\nkind: IdentityWaiver\nmetadata: {{name: {name}}}\nspec:\n  rules: [no-default-service-account]\n  \
             subject: {{namespace: {namespace}, serviceAccount: default}}\n  owner: o\n  reason: r\n  ticket: t\n  expiresAt: \"{expires}\"\n"
        ),
    };
    let waivers = vec![
        waiver("used", "prod", "1970-02-01T00:00:00Z"),
        waiver("unused", "gone", "1970-02-01T00:00:00Z"),
        waiver("over", "prod", "1970-01-01T00:00:00Z"),
    ];
    let set = load(&Sources { waivers, ..Sources::default() }).unwrap();
    let documents = manifest::load("deploy/api.yaml", POD).documents;
    let index = RelatedIndex::new(documents.iter().map(|document| document.object.root()), "default", true);
    let judged = Judged::new(&set, Source::Manifests, &documents[0], &index, "default", 0);
    let report = Report::of(&set, vec![judged], Vec::new(), 0);
    let [waived] = &report.waived[..] else { panic!("{:?}", report.waived) };
    assert_eq!((waived.rule.as_str(), waived.waiver.as_deref(), waived.line), ("no-default-service-account", Some("used"), 5));
    assert_eq!((waived.owner.as_deref(), waived.ticket.as_deref(), waived.reason.as_deref()), (Some("o"), Some("t"), Some("r")));
    assert_eq!((waived.expires_at.as_deref(), report.summary.waived), (Some("1970-02-01T00:00:00Z"), 1));
    let of = |name: &str| {
        let found = report.violations.iter().find(|violation| violation.object.name == name)?;
        Some((found.rule.as_str(), found.enforcement, found.file.as_str(), found.line, found.message.as_str()))
    };
    assert_eq!(of("used"), None);
    assert_eq!(of("unused"), Some(("identity-waiver", Enforcement::Audit, "unused.yaml", 1, "lifted nothing in this audit")));
    assert_eq!(
        of("over"),
        Some(("identity-waiver", Enforcement::Warn, "over.yaml", 1, "expired at 1970-01-01T00:00:00Z and lifts nothing"))
    );
}

#[test]
fn a_waiver_of_the_cluster_that_lifts_nothing_is_a_finding() {
    use crate::policy::{RelatedIndex, Source, Sources, load};
    let waiver = |name: &str, account: &str, expires: &str, approved_by: &str| {
        json!({
            "apiVersion": "doorward.dev/v1alpha1", "kind": "IdentityWaiver", "metadata": { "name": name, "uid": name },
            "spec": {
                "rules": ["no-default-service-account"], "subject": { "namespace": "prod", "object": { "kind": "Pod", "name": account } },
                "owner": "o", "reason": "r", "ticket": "t", "expiresAt": expires,
            },
            "status": { "requestedBy": "ann", "approvedBy": approved_by, "boundUIDs": { "waiver": name, "namespace": "n" } },
        })
    };
    const AHEAD: &str = "1970-02-01T00:00:00Z";
    let objects = [
        waiver("used", "api", AHEAD, "bob"),
        waiver("unused", "gone", AHEAD, "bob"),
        waiver("pending", "api", AHEAD, ""),
        waiver("over", "api", "1970-01-01T00:00:00Z", "bob"),
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "prod", "uid": "n" } }),
    ];
    let set = load(&Sources::default()).unwrap();
    let found = |source: Source, file: &str| {
        let mut documents = manifest::load("", POD).documents;
        documents.extend(objects.iter().flat_map(|object| manifest::load(file, &object.to_string()).documents));
        let index = RelatedIndex::new(documents.iter().map(|document| document.object.root()), "default", source == Source::Validating);
        let judged = documents.iter().map(|document| Judged::new(&set, source, document, &index, "default", 0)).collect();
        let report = Report::of(&set, judged, Vec::new(), 0);
        let of_waivers = report.violations.into_iter().filter(|violation| violation.object.kind == "IdentityWaiver");
        let told = of_waivers.filter(|violation| violation.severity == Severity::Medium);
        let mut told: Vec<_> = told.map(|found| (found.object.name, found.enforcement, found.path, found.line)).collect();
        told.sort();
        (told, report.waived.into_iter().filter_map(|waived| waived.waiver).collect::<Vec<_>>())
    };
    let told = |name: &str, enforcement, path: &str, line| (name.to_owned(), enforcement, path.to_owned(), line);
    let (live, lifted) = found(Source::Validating, "");
    assert_eq!(
        live,
        [
            told("over", Enforcement::Warn, "spec.expiresAt", 0),
            told("pending", Enforcement::Audit, "status", 0),
            told("unused", Enforcement::Audit, "spec", 0)
        ]
    );
    assert_eq!(lifted, ["used"]);
    // Among manifests a waiver is a wish: it lifts nothing, and waits for its cluster (`hardening.md` A31).
    assert_eq!(found(Source::Manifests, "waivers.yaml"), (vec![told("over", Enforcement::Warn, "spec.expiresAt", 1)], Vec::new()));
}
