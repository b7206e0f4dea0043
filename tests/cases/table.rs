//! The tables of `policies/README.md` say what the folders say: the table of rules is made from them (`UPDATE_TABLE=1`), the one of the
//! roll-out's steps is written by hand and held to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use doorward::policy::mended_in_case;
use serde_json::Value;

use super::{Folder, Sets, folders, library, read};

const BEGIN: &str = "<!-- made by `UPDATE_TABLE=1 cargo test --no-default-features --test cases table` -->\n";
const END: &str = "<!-- end of what is made -->\n";

/// What a rule needs to say anything: a condition that stands in all parts of the rule, and what the table says of it.
const OFF: &[(&str, &str)] = &[
    ("params.mesh.kind == 'linkerd'", "Linkerd only"),
    ("params.mesh.kind", "off without a mesh"),
    ("has(params.spiffe.trustDomain)", "off without a trust domain"),
    ("has(params.vault.address)", "off without a Vault"),
    ("params.protectedLabels", "off until keys are listed"),
];

fn rules(folders: &[Folder]) -> impl Iterator<Item = &Folder> {
    folders.iter().filter(|folder| folder.policy["kind"] == "IdentityPolicy")
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn row(sets: &mut Sets, folder: &Folder) -> String {
    let spec = &folder.policy["spec"];
    let invariants: Vec<&str> = items(&spec["invariants"]).map(|name| text(name).trim_start_matches("INV-")).collect();
    let kinds = kinds(spec);
    let related: Vec<String> = related(spec).into_iter().collect();
    let columns =
        [format!("`{}`", folder.id), invariants.join(", "), kinds.join(", "), default(spec), related.join(", "), patches(sets, folder)];
    columns.iter().fold("|".to_owned(), |row, column| row + " " + column + if column.is_empty() { "|" } else { " |" })
}

/// What a rule is about, each kind once; what is asked about on one operation alone says so.
fn kinds(spec: &Value) -> Vec<String> {
    let mut kinds: Vec<(String, BTreeSet<&str>)> = Vec::new();
    let mut add = |kind: String, operations: BTreeSet<_>| match kinds.iter_mut().find(|(known, _)| *known == kind) {
        Some((_, known)) => known.extend(operations),
        None => kinds.push((kind, operations)),
    };
    for matches in items(&spec["rules"]).map(|rule| &rule["match"]) {
        match text(&matches["podTemplate"]) {
            "Any" => add("P".into(), BTreeSet::new()),
            "Workload" => add("P but Pod".into(), BTreeSet::new()),
            "Pod" => add("Pod".into(), BTreeSet::new()),
            _ => {}
        }
        for rule in items(&matches["resourceRules"]) {
            for resource in items(&rule["resources"]) {
                add(format!("`{}`", text(resource)), items(&rule["operations"]).map(text).collect());
            }
        }
    }
    let said = |(kind, operations): (String, BTreeSet<&str>)| match operations.iter().copied().collect::<Vec<_>>().as_slice() {
        [only] => format!("{kind} {only}"),
        _ => kind,
    };
    kinds.into_iter().map(said).collect()
}

/// Whether `explain` gives a patch for what the cases of a rule show.
fn patches(sets: &mut Sets, folder: &Folder) -> String {
    let (mut found, mut mended) = (0, 0);
    for case in folder.cases.iter().filter(|case| case.case.operation.is_none() && case.case.subresource.is_none()) {
        let (all, some) =
            mended_in_case(sets.of(&folder.id, case), &folder.id, case).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        (found, mended) = (found + all, mended + some);
    }
    match mended {
        0 => String::new(),
        all if all == found => "yes".to_owned(),
        _ => "in part".to_owned(),
    }
}

/// What the rule does where no settings speak of it.
fn default(spec: &Value) -> String {
    let own = text(&spec["enforcement"]).to_lowercase();
    let validations = || items(&spec["rules"]).flat_map(|rule| items(&rule["validations"]));
    let lower: BTreeSet<String> = validations().map(|validation| text(&validation["enforcement"]).to_lowercase()).collect();
    let mut said = own.clone();
    for lower in lower.iter().filter(|lower| !lower.is_empty() && **lower != own) {
        said += &format!(", in part {lower}");
    }
    if validations().all(|validation| validation["ratchet"] == false) {
        said += "; not ratcheted";
    }
    let needs = |condition: &str| {
        let mut parts = items(&spec["rules"]);
        parts.all(|rule| items(&rule["matchConditions"]).any(|entry| text(&entry["expression"]).contains(condition)))
    };
    match OFF.iter().find(|(condition, _)| needs(condition)) {
        Some((_, what)) => format!("{said}; {what}"),
        None => said,
    }
}

/// What the rule's expressions read beside the object; what the identity model reads is not among it.
fn related(spec: &Value) -> BTreeSet<String> {
    let named = items(&spec["rules"]).flat_map(|rule| items(&rule["related"])).map(|entry| text(&entry["resource"]["resource"]));
    let mut related: BTreeSet<String> = named.map(|resource| format!("`{resource}`")).collect();
    let written = spec.to_string();
    let variable = |name: &str| {
        written.match_indices(name).any(|(at, _)| {
            let before = written[..at].chars().next_back().unwrap_or(' ');
            let after = written[at + name.len()..].chars().next().unwrap_or(' ');
            !(before.is_alphanumeric() || ".'/-{`".contains(before)) && ".?)]".contains(after)
        })
    };
    for (name, resource) in [("namespaceObject", "`namespaces`"), ("serviceAccount", "`serviceaccounts`")] {
        if variable(name) {
            related.insert(resource.into());
        }
    }
    related
}

#[test]
fn the_table_of_rules_is_made_from_the_folders() {
    let path = library().join("README.md");
    let page = read(&path);
    let (before, rest) = page.split_once(BEGIN).expect("the README says where the table begins");
    let (_, after) = rest.split_once(END).expect("the README says where the table ends");
    let folders = folders();
    let mut sets = Sets::default();
    let rows: Vec<String> = rules(&folders).map(|folder| row(&mut sets, folder)).collect();
    let table = format!("\n| rule | invariants | kinds | default | related | patch |\n|---|---|---|---|---|---|\n{}\n\n", rows.join("\n"));
    let fresh = format!("{before}{BEGIN}{table}{END}{after}");
    if std::env::var_os("UPDATE_TABLE").is_some() {
        fs::write(&path, &fresh).expect("the README is writable");
        return;
    }
    assert!(fresh == page, "out of date: run `UPDATE_TABLE=1 cargo test --no-default-features --test cases table`\n{table}");
}

/// The first cells of a table's rows that stand under a heading of the README.
fn written(heading: &str) -> BTreeMap<String, BTreeSet<String>> {
    let page = read(&library().join("README.md"));
    let (_, section) = page.split_once(heading).unwrap_or_else(|| panic!("the README has no `{heading}`"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = section.lines().filter(|line| line.starts_with("| `")).filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        Some((quoted(cells.first()?).first()?.clone(), quoted(cells.last()?).into_iter().collect()))
    });
    rows.collect()
}

#[test]
fn every_rule_belongs_to_the_step_that_the_readme_says() {
    let folders = folders();
    let mut steps: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for folder in rules(&folders) {
        let step = folder.policy["spec"]["rolloutStep"].as_str().unwrap_or("meshAndVault");
        steps.entry(step.into()).or_default().insert(folder.id.clone());
    }
    let mut said = written("## The steps of a roll-out");
    assert_eq!(said.remove("meshAndVault"), Some(BTreeSet::new()), "the first step is all that the others leave");
    let first = steps.remove("meshAndVault").unwrap_or_default();
    assert_eq!(said, steps);
    assert!(first.contains("no-default-service-account") && first.contains("require-vault-token"), "{first:?}");
}

#[test]
fn every_injection_has_its_row() {
    let folders = folders();
    let injections = folders.iter().filter(|folder| folder.policy["kind"] == "InjectionPolicy").map(|folder| folder.id.clone());
    assert_eq!(written("## Injections").into_keys().collect::<BTreeSet<_>>(), injections.collect());
}
