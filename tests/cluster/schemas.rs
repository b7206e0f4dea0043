//! The schemas that policies are checked against are those of the Kubernetes release that the other tests run: read from the very
//! module that the control plane is built of. `UPDATE_SCHEMAS=1` writes them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/policy/schemas/kubernetes.txt");

/// The API groups whose kinds a policy is likely to be about.
const DOCUMENTS: &[&str] = &[
    "api__v1",
    "apis__admissionregistration.k8s.io__v1",
    "apis__apps__v1",
    "apis__batch__v1",
    "apis__certificates.k8s.io__v1",
    "apis__networking.k8s.io__v1",
    "apis__rbac.authorization.k8s.io__v1",
    "apis__storage.k8s.io__v1",
];

const HEAD: &str = "\
# The fields of Kubernetes' own kinds and their types in CEL, read from the OpenAPI documents of Kubernetes VERSION.
# Written by `UPDATE_SCHEMAS=1 cargo test --test cluster schemas`.
#
# First the resources, each with its definition; then the definitions, each with its fields below it. [T] is a list, {T} a map by
# strings. What may hold values of several types (quantities, int-or-string, raw JSON) is dyn. So are bytes and points in time: the
# API server's checker takes them for bytes and timestamps, but when a policy is evaluated they are the strings of the JSON.
";

/// The module of Kubernetes that `controlplane/go.mod` names: its directory and its version.
fn kubernetes() -> (PathBuf, String) {
    let output = Command::new("go")
        .args(["list", "-m", "-f", "{{.Dir}} {{.Version}}", "k8s.io/kubernetes"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/controlplane"))
        .output()
        .expect("`go` tells where its modules are");
    let text = String::from_utf8(output.stdout).unwrap();
    let (directory, version) = text.trim().split_once(' ').expect("the module of Kubernetes is downloaded: run `bash tests/run cluster`");
    (directory.into(), version.to_owned())
}

#[derive(Default)]
struct Schemas {
    /// Path of a resource with its definition.
    resources: BTreeMap<String, String>,
    definitions: BTreeMap<String, Value>,
}

impl Schemas {
    fn read(&mut self, document: &Value) {
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            self.definitions.entry(name.clone()).or_insert_with(|| schema.clone());
        }
        for (path, operations) in document["paths"].as_object().unwrap() {
            let below = path.trim_start_matches("/apis").trim_start_matches("/api");
            let group = if path.starts_with("/api/") { "" } else { below.split('/').nth(1).unwrap_or_default() };
            let segments: Vec<&str> = below.split('/').skip(if group.is_empty() { 2 } else { 3 }).collect();
            // The namespace and the name in a path say nothing of the kind; `namespaces` itself is a resource.
            let segments = if segments.get(1) == Some(&"{namespace}") { segments.get(2..).unwrap_or_default() } else { &segments };
            let resource: Vec<&str> = segments.iter().copied().filter(|segment| !segment.starts_with('{')).collect();
            for method in ["post", "put"] {
                let content = &operations[method]["requestBody"]["content"];
                let reference = content.as_object().and_then(|types| types.values().next()).map(|body| &body["schema"]["$ref"]);
                if let Some(name) = reference.and_then(Value::as_str).and_then(|name| name.rsplit('/').next())
                    && !resource.is_empty()
                {
                    self.resources.insert(format!("{group}/{}", resource.join("/")), name.to_owned());
                }
            }
        }
    }

    /// The type of a schema as it is written in the file.
    fn type_of(&self, schema: &Value) -> String {
        let schema = match schema["allOf"].as_array().map(Vec::as_slice) {
            Some([only]) => only,
            _ => schema,
        };
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
            let definition = &self.definitions[name];
            return if definition["properties"].is_object() { name.to_owned() } else { self.type_of(definition) };
        }
        match (schema["type"].as_str(), schema["format"].as_str()) {
            (Some("string"), Some("byte" | "date-time")) => "dyn".to_owned(),
            (Some("string"), _) => "string".to_owned(),
            (Some("integer"), _) => "int".to_owned(),
            (Some("number"), _) => "double".to_owned(),
            (Some("boolean"), _) => "bool".to_owned(),
            (Some("array"), _) => format!("[{}]", self.type_of(&schema["items"])),
            (Some("object"), _) if schema["additionalProperties"].is_object() => {
                format!("{{{}}}", self.type_of(&schema["additionalProperties"]))
            }
            _ => "dyn".to_owned(),
        }
    }

    fn print(&self, version: &str) -> String {
        let mut text = HEAD.replace("VERSION", version);
        let mut open: Vec<String> = Vec::new();
        text.push('\n');
        for (resource, name) in &self.resources {
            writeln!(text, "{resource} {name}").unwrap();
            open.push(name.clone());
        }
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        while let Some(name) = open.pop() {
            if known.contains_key(&name) {
                continue;
            }
            let mut fields = String::new();
            for (field, schema) in self.definitions[&name]["properties"].as_object().into_iter().flatten() {
                let is = self.type_of(schema);
                let inner: BTreeSet<char> = "[]{}".chars().collect();
                let item = is.trim_matches(|sign| inner.contains(&sign));
                if item.contains('.') {
                    open.push(item.to_owned());
                }
                writeln!(fields, " {field} {is}").unwrap();
            }
            known.insert(name, fields);
        }
        for (name, fields) in known {
            write!(text, "\n{name}\n{fields}").unwrap();
        }
        text
    }
}

#[test]
fn schemas_are_those_of_the_kubernetes_that_is_tested() {
    let (directory, version) = kubernetes();
    let mut schemas = Schemas::default();
    for document in DOCUMENTS {
        let path = directory.join(format!("api/openapi-spec/v3/{document}_openapi.json"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        schemas.read(&serde_json::from_str(&text).unwrap());
    }
    let fresh = schemas.print(&version);
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(FILE, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(fresh == committed, "{FILE} is out of date: run `UPDATE_SCHEMAS=1 cargo test --test cluster schemas`");
}
