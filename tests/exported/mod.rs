//! The library's cases, each with the policies that its rule is written out as: what the rule says of the case's object, and what is
//! compared with it. Shared by `tests/export.rs` (both evaluated here) and `tests/cluster/native.rs` (one of them by the API server).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use doorward::manifest;
use doorward::object::{GroupVersionKind, Node, Object, namespace_of, resource_of};
use doorward::policy::{
    CaseFile, Export, ExportedPolicy, Limits, PolicySet, RelatedIndex, Source, Sources, Subject, Text, Verdict, evaluate, export, load,
};
use doorward::settings::Settings;
use serde_json::{Value, json};

/// One policy of a rule, under the settings of some cases.
pub(crate) struct Variant {
    /// The rule with the written validations alone.
    pub(crate) rule: PolicySet,
    /// What it is written out as.
    pub(crate) exported: ExportedPolicy,
}

/// A case and every policy that its rule is written out as.
pub(crate) struct Compared {
    /// `rule/cases/file`.
    pub(crate) name: String,
    pub(crate) file: CaseFile,
    pub(crate) variants: Vec<Rc<Variant>>,
}

fn entries(path: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Every case of the library that judges, with what its rule is written out as; a rule that cannot be written has no variant.
pub(crate) fn compared() -> Vec<Compared> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut all = Vec::new();
    for folder in entries(&library).into_iter().filter(|folder| folder.is_dir()) {
        let id = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let policy = json_of(&fs::read_to_string(folder.join("policy.yaml")).unwrap());
        if policy["kind"] != "IdentityPolicy" {
            continue;
        }
        let mut made: BTreeMap<String, Vec<Rc<Variant>>> = BTreeMap::new();
        for case in entries(&folder.join("cases")) {
            let name = format!("{id}/{}", case.file_name().unwrap().to_str().unwrap());
            let file = CaseFile::read(&name, &fs::read_to_string(&case).unwrap()).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
            let settings = Settings { update_ratchet: false, ..file.settings().unwrap() };
            let key = serde_json::to_string(&settings).unwrap();
            let variants = made.entry(key).or_insert_with(|| variants(&id, &policy, &settings)).clone();
            all.push(Compared { name, file, variants });
        }
    }
    all
}

fn json_of(text: &str) -> Value {
    let loaded = manifest::read("policy.yaml", text);
    serde_json::from_str(&loaded.documents[0].object.root().to_json()).unwrap()
}

/// A set of these documents alone.
pub(crate) fn set(documents: &[&Value], settings: &Settings) -> PolicySet {
    let text = documents.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n");
    let policies = vec![Text { name: "policies".into(), text }];
    let sources = Sources { no_builtin: true, policies, fallback: Some(settings.clone()), ..Sources::default() };
    load(&sources).unwrap_or_else(|errors| panic!("{errors:?}\n{documents:#?}"))
}

fn variants(id: &str, policy: &Value, settings: &Settings) -> Vec<Rc<Variant>> {
    let Export { policies, .. } = export(&set(&[policy], settings), &|rule| rule == id);
    let reduced = |exported: &ExportedPolicy| {
        let mut policy = policy.clone();
        let mut rule = policy["spec"]["rules"][exported.index].clone();
        let validations = exported.validations.iter().map(|index| rule["validations"][*index].clone()).collect();
        rule["validations"] = Value::Array(validations);
        policy["spec"]["rules"] = json!([rule]);
        set(&[&policy], settings)
    };
    policies.into_iter().map(|exported| Rc::new(Variant { rule: reduced(&exported), exported })).collect()
}

/// What is done to an object.
pub(crate) struct Asked<'a> {
    pub(crate) operation: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) user: Value,
    pub(crate) new: Option<Node<'a>>,
    pub(crate) old: Option<Node<'a>>,
}

/// The verdict as the webhook would give it, all that exists being among `related`.
pub(crate) fn verdict(set: &PolicySet, asked: &Asked<'_>, related: &[Node<'_>]) -> Verdict {
    let object = asked.new.or(asked.old).unwrap();
    let kind = GroupVersionKind::of(object).unwrap();
    let name = object.get("metadata").map(|metadata| metadata.text("name")).unwrap_or_default();
    let mut request = json!({
        "uid": "00000000-0000-4000-8000-000000000000",
        "operation": asked.operation,
        "kind": { "group": kind.group, "version": kind.version, "kind": kind.kind },
        "resource": { "group": kind.group, "version": kind.version, "resource": resource_of(&kind.kind) },
        "userInfo": asked.user,
    });
    // The API server leaves out what is empty, and gives a Namespace's own name as its namespace.
    let namespace = if kind.kind == "Namespace" { name } else { namespace_of(object, &kind, "default") };
    for (field, value) in [("name", name), ("namespace", namespace), ("subResource", asked.subresource)] {
        if !value.is_empty() {
            request[field] = json!(value);
        }
    }
    let request = Object::from_serialize(&request).unwrap();
    let subject = Subject::from_request(Source::Validating, request.root(), asked.new, asked.old).unwrap();
    let index = RelatedIndex::new(related.iter().copied(), "default", true);
    evaluate(set, &subject, &index.facts(set, &subject, 0), Limits::default())
}
