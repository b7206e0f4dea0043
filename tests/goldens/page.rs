//! The page `docs/from-vault-k8s.md` tells the truth about the rules, too: each of its rows is injected and judged by all of them.

use serde_json::{Value, json};

use super::goldens::Golden;
use super::{Sets, Stage};

const PAGE: &str = include_str!("../../docs/from-vault-k8s.md");
const PREFIX: &str = "vault.hashicorp.com/";

/// The annotation and its value in each row of the table under a heading.
fn rows(heading: &str) -> Vec<(String, String)> {
    let (_, section) = PAGE.split_once(&format!("### {heading}\n")).expect("the page has the heading");
    let section = section.split("\n#").next().unwrap_or_default();
    let row = |line: &str| {
        let cells: Vec<String> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').replace("&#124;", "|")).collect();
        (cells[0].replace("<name>", "db").replace("<key>", "x"), cells[1].clone())
    };
    section.lines().filter(|line| line.starts_with("| `")).map(row).collect()
}

fn golden(name: &str, value: &str) -> Golden {
    let settings = json!({
        "cluster": { "name": "prod" },
        "vault": {
            "address": "https://vault.example.com",
            "addresses": ["https://vault-2.example.com"],
            "otherAuthMounts": ["auth/kubernetes-old"],
            "agent": { "honourVendorAnnotations": true },
        },
    });
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "payments", "labels": { "inject.doorward.dev/vault-agent": "true" } },
    });
    let mut annotations =
        json!({ "vault.hashicorp.com/agent-inject": "true", "vault.hashicorp.com/agent-inject-secret-db": "kv/data/payments/db" });
    if name.contains("-delim-") {
        annotations[format!("{PREFIX}agent-inject-template-db")] = json!("x");
        annotations[format!("{PREFIX}agent-inject-secret-db")] = json!("");
    }
    annotations[format!("{PREFIX}{name}")] = json!(value);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "api", "namespace": "payments", "annotations": annotations },
        "spec": {
            "serviceAccountName": "api",
            "automountServiceAccountToken": false,
            "initContainers": [{ "name": "migrate", "image": "m:1" }],
            "containers": [{ "name": "app", "image": "a:1", "securityContext": { "runAsUser": 1234 } }, { "name": "other", "image": "b:1" }],
        },
    });
    Golden { name: format!("{name}: {value}"), case: json!({}), settings, around: vec![namespace], pod }
}

/// What is refused of a row's pod: rule, path, message.
fn refused(sets: &mut Sets, golden: &Golden) -> Vec<[String; 3]> {
    let stage = Stage::of(sets.of(golden), golden);
    let injected: Value = stage.injected(&golden.pod);
    let found = stage.judged(&injected).into_iter();
    found.filter(|[enforcement, ..]| enforcement == "deny").map(|[_, rule, path, message]| [rule, path, message]).collect()
}

#[test]
fn no_rule_refuses_what_the_page_calls_honoured() {
    let (mut sets, mut wrong) = (Sets::default(), Vec::new());
    let rows = rows("Honoured");
    assert!(rows.len() > 50, "{}", rows.len());
    for (name, value) in rows {
        let golden = golden(&name, &value);
        wrong.extend(refused(&mut sets, &golden).into_iter().map(|found| format!("{}: {}", golden.name, found.join(": "))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_rule_names_each_annotation_that_the_page_calls_refused() {
    let (mut sets, mut wrong) = (Sets::default(), Vec::new());
    let rows = rows("Refused");
    assert!(rows.len() > 40, "{}", rows.len());
    for (name, value) in rows {
        let golden = golden(&name, &value);
        let path = format!("metadata.annotations[{PREFIX}{name}]");
        if !refused(&mut sets, &golden)
            .iter()
            .any(|[rule, at, message]| rule == "injection-conflict" && *at == path && message.contains(&name))
        {
            wrong.push(golden.name);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
