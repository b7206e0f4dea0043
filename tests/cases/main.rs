//! Every built-in policy beside its proof: the cases hold, and each validation has one that it allows and one that it denies.
//!
//! Whether a case speaks of a validation is found by changing the policy: with the validation always true some case must fail (it was
//! the denial), with it always false another one (it was the allowance).

#![expect(clippy::panic, clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on says so")]

mod table;
mod variants;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use doorward::manifest;
use doorward::policy::{CaseFile, PolicySet, Sources, Text, load, run_case};
use serde_json::Value;

/// One folder of the library.
struct Folder {
    id: String,
    policy: Value,
    cases: Vec<CaseFile>,
    /// What the cases say of other kinds, of init containers and of ephemeral ones.
    variants: Vec<CaseFile>,
}

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn entries(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder is readable").path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn policy(path: &Path) -> Value {
    let loaded = manifest::read(&name(path), &read(path));
    assert!(loaded.errors.is_empty(), "{}: {:?}", path.display(), loaded.errors);
    assert_eq!(loaded.documents.len(), 1, "{}", path.display());
    serde_json::from_str(&loaded.documents[0].object.root().to_json()).expect("an object is JSON")
}

fn folders() -> Vec<Folder> {
    let folders = entries(&library()).into_iter().filter(|path| path.is_dir()).map(|path| {
        let (id, policy) = (name(&path), policy(&path.join("policy.yaml")));
        let mut folder = Folder { id, policy, cases: Vec::new(), variants: Vec::new() };
        for case in entries(&path.join("cases")) {
            let place = format!("{}/{}", folder.id, name(&case));
            let text = read(&case);
            folder.cases.push(CaseFile::read(&place, &text).unwrap_or_else(|errors| panic!("{place}: {errors:?}")));
            folder.variants.extend(variants::of(&folder.id, &folder.policy, &place, &text));
        }
        folder
    });
    folders.collect()
}

/// Sets of policies, made once for each text of settings.
#[derive(Default)]
struct Sets {
    /// What stands in place of the built-in library; empty: the library itself.
    policies: Vec<Text>,
    made: BTreeMap<String, PolicySet>,
}

impl Sets {
    fn run(&mut self, id: &str, case: &CaseFile) -> Result<(), String> {
        case.settings().map_err(|error| error.to_string())?;
        run_case(self.of(id, case), id, case).map_err(|error| error.to_string())
    }

    /// The set that a case is judged by.
    fn of(&mut self, id: &str, case: &CaseFile) -> &PolicySet {
        let settings = case.settings().unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let key = serde_json::to_string(&settings).expect("settings are JSON");
        if !self.made.contains_key(&key) {
            let sources = Sources {
                no_builtin: !self.policies.is_empty(),
                policies: self.policies.clone(),
                fallback: Some(settings),
                ..Sources::default()
            };
            // A policy that does not load must not pass for one that a case fails.
            let set = load(&sources).unwrap_or_else(|errors| panic!("{id}: {errors:?}"));
            self.made.insert(key.clone(), set);
        }
        &self.made[&key]
    }
}

#[test]
fn every_folder_holds_a_policy_of_its_name_and_says_why() {
    let mut wrong = Vec::new();
    for path in entries(&library()).into_iter().filter(|path| path.is_dir()) {
        let id = name(&path);
        if policy(&path.join("policy.yaml"))["metadata"]["name"] != id.as_str() {
            wrong.push(format!("{id}/policy.yaml: the name is not the folder's"));
        }
        let lines = read(&path.join("README.md")).lines().count();
        if !(20..=60).contains(&lines) {
            wrong.push(format!("{id}/README.md has {lines} lines; 20 to 60 are read"));
        }
        for case in entries(&path.join("cases")) {
            let file = name(&case);
            let known = ["allow-", "deny-", "warn-", "audit-", "unknown-", "mutate-"].iter().any(|prefix| file.starts_with(prefix));
            if !known || !file.ends_with(".yaml") {
                wrong.push(format!("{id}/cases/{file}: the name tells no outcome"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[expect(clippy::print_stderr, reason = "how many cases there are is asked of the library")]
fn every_case_holds() {
    let mut sets = Sets::default();
    let mut failed = Vec::new();
    let mut ran = 0;
    for folder in folders() {
        for case in folder.cases.iter().chain(&folder.variants) {
            ran += 1;
            if let Err(reason) = sets.run(&folder.id, case) {
                failed.push(format!("{}: {reason}", case.name));
            }
        }
    }
    eprintln!("{ran} cases");
    assert!(ran >= 1000, "only {ran} cases: the library lost some");
    assert!(failed.is_empty(), "{} of {ran} cases fail:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn every_validation_has_a_case_that_it_allows_and_one_that_it_denies() {
    let folders = folders();
    let injections: Vec<Text> = folders.iter().filter(|folder| folder.policy["kind"] == "InjectionPolicy").map(text).collect();
    let mut unproven = Vec::new();
    for folder in folders.iter().filter(|folder| folder.policy["kind"] == "IdentityPolicy") {
        let rules = folder.policy["spec"]["rules"].as_array().expect("`rules` is a list");
        for (index, rule) in rules.iter().enumerate() {
            for (number, validation) in rule["validations"].as_array().expect("`validations` is a list").iter().enumerate() {
                let place = format!("{} spec.rules[{index}].validations[{number}]", folder.id);
                if !notices(folder, &injections, index, number, "true") {
                    unproven.push(format!("{place}: no case is denied by it"));
                }
                // Where every value that is found is a violation, allowed is what is not found.
                let allowed = if validation["expression"] == "false" {
                    folder.cases.iter().any(|case| case.case.expect.as_ref().is_some_and(Vec::is_empty))
                } else {
                    notices(folder, &injections, index, number, "false")
                };
                if !allowed {
                    unproven.push(format!("{place}: no case is allowed by it"));
                }
            }
        }
    }
    assert!(unproven.is_empty(), "{}", unproven.join("\n"));
}

/// A message or remedy that fails to evaluate is left out silently, so it is shown here in the message's place.
#[test]
fn every_message_and_remedy_can_be_made() {
    let folders = folders();
    let injections: Vec<Text> = folders.iter().filter(|folder| folder.policy["kind"] == "InjectionPolicy").map(text).collect();
    let mut failed = Vec::new();
    for mut folder in folders.into_iter().filter(|folder| folder.policy["kind"] == "IdentityPolicy") {
        for case in &mut folder.cases {
            for expected in case.case.expect.iter_mut().flatten() {
                expected.message = "this is said nowhere, so that what is said shows".into();
            }
        }
        for (what, from) in [("message", ["message", "messageExpression"]), ("remedy", ["remedy", "remedyExpression"])] {
            let changed = Folder { id: folder.id.clone(), policy: showing(&folder.policy, from), cases: Vec::new(), variants: Vec::new() };
            let mut sets = Sets { policies: injections.iter().cloned().chain([text(&changed)]).collect(), made: BTreeMap::new() };
            for case in &folder.cases {
                if let Err(said) = sets.run(&folder.id, case)
                    && (said.contains("failed expression") || said.contains("could not be evaluated"))
                {
                    failed.push(format!("{}: {what}: {said}", case.name));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A policy whose validations say in their message what they say in these fields.
fn showing(policy: &Value, [fixed, expression]: [&str; 2]) -> Value {
    let mut policy = policy.clone();
    for rule in policy["spec"]["rules"].as_array_mut().into_iter().flatten() {
        for validation in rule["validations"].as_array_mut().into_iter().flatten() {
            let said = [validation[fixed].clone(), validation[expression].clone()];
            assert!(said.iter().any(|said| !said.is_null()), "a validation of {} has no {fixed}", policy["metadata"]["name"]);
            let [fixed, expression] = said;
            let fields = validation.as_object_mut().expect("a validation is a map");
            fields.remove("message");
            fields.remove("messageExpression");
            if expression.is_null() {
                fields.insert("message".into(), fixed);
            } else {
                fields.insert("messageExpression".into(), expression);
            }
        }
    }
    policy
}

#[test]
fn every_injection_has_a_case_that_it_changes() {
    for folder in folders().iter().filter(|folder| folder.policy["kind"] == "InjectionPolicy") {
        let mutations = folder.cases.iter().filter(|case| case.case.expect_patched.is_some()).count();
        assert!(mutations > 0, "{}: no case has `expectPatched`", folder.id);
    }
}

fn text(folder: &Folder) -> Text {
    Text { name: format!("policies/{}/policy.yaml", folder.id), text: folder.policy.to_string() }
}

/// Whether some case of a folder fails once one validation has this expression.
fn notices(folder: &Folder, injections: &[Text], rule: usize, validation: usize, expression: &str) -> bool {
    let mut policy = folder.policy.clone();
    policy["spec"]["rules"][rule]["validations"][validation]["expression"] = expression.into();
    let changed = Folder { id: folder.id.clone(), policy, cases: Vec::new(), variants: Vec::new() };
    let mut sets = Sets { policies: injections.iter().cloned().chain([text(&changed)]).collect(), made: BTreeMap::new() };
    folder.cases.iter().any(|case| sets.run(&folder.id, case).is_err())
}
