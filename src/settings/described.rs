//! The descriptions of the fields hold what an operator asks of each: its unit, its default, who reads it. They are compared with the
//! schema, with the defaults and with what the policies name, and `docs/settings.md` is made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::SCHEMA;

/// Kubernetes' own types, which its documentation describes.
const FOREIGN: [&str; 1] = ["LabelSelector"];
/// What reads settings beside rules and injections: commands, and the id under which mistakes in waivers are told.
const READERS: [&str; 5] = ["explain", "identity-waiver", "policy list", "serve", "webhooks"];
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md");

/// A field that holds a value, and not only further fields.
struct Field {
    /// `vault.agent.image`; `[]` stands for each item of a list, `*` for each key of a map.
    path: String,
    shape: String,
    description: String,
    default: Option<Value>,
    required: bool,
}

/// A description in its three parts.
struct Described<'d> {
    what: &'d str,
    default: &'d str,
    readers: Vec<&'d str>,
}

impl Field {
    fn described(&self) -> Described<'_> {
        let parts = self.description.split_once(" Default: ").and_then(|(what, rest)| {
            let (default, readers) = rest.split_once(". Read by ")?;
            let readers = readers.strip_suffix('.')?.split(", ").flat_map(|part| part.split(" and ")).collect();
            Some(Described { what, default, readers })
        });
        parts.unwrap_or_else(|| panic!("{}: says no `Default: ... . Read by ... .`: {}", self.path, self.description))
    }

    /// The path as an expression writes it.
    fn in_expressions(&self) -> String {
        format!("params.{}", self.path)
    }
}

struct Schema(Value);

impl Schema {
    fn committed() -> Self {
        Self(serde_json::from_str(SCHEMA).unwrap())
    }

    /// What a part of the schema refers to, with its name.
    fn resolve<'s>(&'s self, part: &'s Value) -> (&'s str, &'s Value) {
        let either = part["anyOf"].as_array().and_then(|either| either.iter().find(|one| one["$ref"].is_string()));
        match either.unwrap_or(part)["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
            Some(name) => (name, &self.0["$defs"][name]),
            None => ("", part),
        }
    }

    fn section<'s>(&'s self, part: &'s Value) -> Option<&'s Value> {
        let (name, found) = self.resolve(part);
        (found["properties"].is_object() && !FOREIGN.contains(&name)).then_some(found)
    }

    fn fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        self.collect(&self.0, "", &mut fields);
        fields
    }

    fn collect(&self, section: &Value, prefix: &str, fields: &mut Vec<Field>) {
        let required: Vec<&str> = section["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, part) in section["properties"].as_object().into_iter().flatten() {
            let path = format!("{prefix}{name}");
            let inner = self.section(part).filter(|_| path != "previous");
            if let Some(inner) = inner {
                self.collect(inner, &format!("{path}."), fields);
                continue;
            }
            fields.push(Field {
                shape: self.shape(part),
                description: part["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
                default: part.get("default").cloned(),
                required: required.contains(&name.as_str()),
                path: path.clone(),
            });
            for (part, step) in [(&part["items"], "[]"), (&part["additionalProperties"], ".*")] {
                if let Some(inner) = self.section(part) {
                    self.collect(inner, &format!("{path}{step}."), fields);
                }
            }
        }
    }

    fn shape(&self, part: &Value) -> String {
        let (name, found) = self.resolve(part);
        let words: Vec<&str> = found["oneOf"].as_array().into_iter().flatten().filter_map(|one| one["const"].as_str()).collect();
        let types: Vec<&str> = match &found["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !words.is_empty() {
            return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        }
        match types.first() {
            Some(&"array") => format!("list of {}", self.inner(&found["items"])),
            Some(&"object") if FOREIGN.contains(&name) => format!("`{name}`"),
            Some(&"object") if found["properties"].is_object() => "map of fields".to_owned(),
            Some(&"object") => format!("map to {}", self.inner(&found["additionalProperties"])),
            Some(&"integer") => "whole number".to_owned(),
            Some(&"boolean") => "`true` or `false`".to_owned(),
            _ => "text".to_owned(),
        }
    }

    fn inner(&self, part: &Value) -> String {
        if self.section(part).is_some() { "maps of fields".to_owned() } else { format!("{}s", self.shape(part)).replace("`s", "`") }
    }
}

/// The words in code of a text.
fn codes(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// A value as the descriptions write it.
fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

#[test]
fn every_field_tells_its_unit_and_its_true_default() {
    let fields = Schema::committed().fields();
    assert!(fields.len() > 90, "{}", fields.len());
    for field in &fields {
        let Described { what, default: said, .. } = field.described();
        let (path, default) = (&field.path, field.default.as_ref());
        assert_eq!(what.contains("Unit: "), field.shape == "whole number", "{path}: a number has a unit, nothing else has");
        let holds = match default {
            None if said.starts_with("none, it must be given") => field.required,
            None => !field.required && (said.starts_with("none") || said.starts_with("unset")),
            Some(default) if said.starts_with("none") => is_empty(default) && !field.required,
            Some(Value::Array(items)) if said == "the list below" => items.len() > 1,
            Some(Value::Object(entries)) if said == "the list below" => entries.len() > 1,
            Some(Value::Array(items)) => codes(said) == items.iter().map(written).collect::<Vec<_>>(),
            Some(Value::Object(entries)) => entries.iter().all(|(key, value)| said.contains(&format!("`{key}` {}", written(value)))),
            Some(value) => codes(said).first() == Some(&written(value).as_str()),
        };
        assert!(holds, "{path}: says `Default: {said}`, which is not {default:?}");
    }
}

#[test]
fn every_field_names_who_reads_it() {
    let (policies, sources) = (policies(), sources());
    for field in Schema::committed().fields() {
        let Described { readers, .. } = field.described();
        let path = &field.path;
        let everyone = readers.contains(&"every rule");
        for reader in &readers {
            let named = reader.strip_prefix('`').and_then(|reader| reader.strip_suffix('`'));
            let known = named.is_some_and(|named| policies.contains_key(named) || READERS.contains(&named));
            assert!(known || matches!(*reader, "every rule" | "every injection"), "{path}: there is no `{reader}`");
        }
        // What an expression reads is told of its policy.
        let mut is_read = false;
        for (id, _) in policies.iter().filter(|(_, text)| reads(text, &field.in_expressions())) {
            assert!(everyone || readers.contains(&format!("`{id}`").as_str()), "{path}: `{id}` reads it, and is not named");
            is_read = true;
        }
        let name = path.rsplit('.').next().unwrap_or_default();
        is_read |= sources.contains(&format!(".{}", snake(name)));
        assert!(is_read, "{path}: nobody reads it");
    }
}

/// The text of each policy, by id.
fn policies() -> BTreeMap<String, String> {
    let folders = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/policies")).unwrap().map(|entry| entry.unwrap());
    let policy = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("policy.yaml")).ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), text))
    };
    folders.filter_map(policy).collect()
}

/// Whether an expression of a policy reads a field, or something below it.
fn reads(policy: &str, path: &str) -> bool {
    let policy = policy.replace('?', "");
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric());
    policy.match_indices(path).any(|(at, _)| policy.get(at + path.len()..).is_some_and(ends))
}

/// The program without the types themselves.
fn sources() -> String {
    let is_type = |file: &Path| {
        let types = ["parameters.rs", "defaults.rs", "described.rs"].iter().any(|name| file.ends_with(name));
        types || ["settings/spiffe.rs", "settings/mesh.rs"].iter().any(|name| file.ends_with(name))
    };
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut all = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|ending| ending == "rs") && !is_type(&entry) {
                all.push_str(&fs::read_to_string(&entry).unwrap());
            }
        }
    }
    all
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.replace("UID", "Uid").chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[test]
fn the_page_of_settings_is_made_of_the_schema() {
    let made = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(PAGE, &made).unwrap();
    }
    let committed = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(committed == made, "docs/settings.md is old: run this test with UPDATE_DOCS=1");
}

const INTRODUCTION: &str = "\
# Settings

What `doorward.yaml` may say: the file that `--settings` names, in the cluster the ConfigMap `doorward-settings`. Every field may be left
out. Made by `UPDATE_DOCS=1 cargo test --lib settings::described`; `doorward policy schema settings` prints the JSON Schema.

- A list or a map that is given replaces its default whole: copy what you keep. `exemptions` alone keeps a part of it, the group `system`.
- A field that does not exist, a value of a wrong type and settings that contradict each other are refused, each with its path.
- Rules see all of it as `params`. A rule reads what its row says; the id is that of a folder under `policies/`.
- `previous.vault`, `previous.spiffe` and `previous.kubeApi` have the fields of `vault`, `spiffe` and `kubeApi`.
- `[]` in a path stands for each item of a list, `*` for each key of a map.
";

fn page() -> String {
    let schema = Schema::committed();
    let fields = schema.fields();
    let section = |path: &str| path.split(['.', '[']).next().unwrap_or_default().to_owned();
    let sections: BTreeSet<String> =
        fields.iter().filter(|field| field.path.contains(['.', '['])).map(|field| section(&field.path)).collect();
    let mut out = INTRODUCTION.to_owned();
    let mut table = |title: &str, about: &str, rows: Vec<&Field>| {
        out.push_str(&format!("\n## {title}\n\n{about}| field | type | default | what it is | read by |\n|---|---|---|---|---|\n"));
        for field in rows {
            let Described { what, default, readers } = field.described();
            let default = if default == "the list below" { listed(field.default.as_ref()) } else { default.to_owned() };
            let cells = [format!("`{}`", field.path), field.shape.clone(), default, what.to_owned(), readers.join(", ")];
            out.push_str(&format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | ")));
        }
    };
    let top = |field: &&Field| !sections.contains(&section(&field.path));
    table("Fields of their own", "", fields.iter().filter(top).collect());
    for name in &sections {
        let described = schema.0["properties"][name.as_str()]["description"].as_str().unwrap_or_default();
        let is_list = fields.iter().any(|field| field.path == *name);
        let about = if is_list { String::new() } else { format!("{described}\n\n") };
        table(&format!("`{name}`"), &about, fields.iter().filter(|field| section(&field.path) == *name).collect());
    }
    out
}

/// The entries of a default that is too long for a sentence.
fn listed(default: Option<&Value>) -> String {
    let entry = |value: &Value| match value {
        Value::Object(fields) => {
            let shown = fields.iter().filter(|(key, _)| matches!(key.as_str(), "namespace" | "maxSeconds"));
            shown.map(|(_, value)| written(value)).collect::<Vec<_>>().join(" ")
        }
        value => format!("`{}`", written(value)),
    };
    let entries: Vec<String> = match default {
        Some(Value::Array(items)) => items.iter().map(entry).collect(),
        Some(Value::Object(entries)) => entries.iter().map(|(key, value)| format!("`{key}` {}", entry(value))).collect(),
        _ => Vec::new(),
    };
    entries.join(", ").replace("`` ", "the API server ")
}
