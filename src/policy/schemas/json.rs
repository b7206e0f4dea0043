//! Types from JSON Schema, as Kubernetes makes them from the structural schema of a custom resource.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::cel::Type;
use crate::cel::types::ObjectType;

/// The deepest schema that is followed; a deeper part is `dyn`.
const MAX_DEPTH: usize = 100;

/// Marks a schema of ours.
const OWN: &str = "x-doorward-own";

/// An object whose fields a schema lists.
#[derive(Debug)]
struct Properties {
    name: String,
    /// The whole document, for its references.
    root: Arc<Json>,
    /// JSON Pointer to this object's schema.
    pointer: String,
}

impl Properties {
    fn properties(&self) -> Option<&serde_json::Map<String, Json>> {
        self.root.pointer(&self.pointer)?.get("properties")?.as_object()
    }
}

impl ObjectType for Properties {
    fn name(&self) -> &str {
        &self.name
    }

    fn field(&self, name: &str) -> Option<Type> {
        self.properties()?.get(name)?;
        let pointer = format!("{}/properties/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"));
        Some(type_at(&self.root, &pointer, &format!("{}.{name}", self.name), 0))
    }

    fn largest(&self, name: &str) -> Option<u64> {
        let schema = self.properties()?.get(name)?;
        ["maxLength", "maxItems", "maxProperties"].iter().find_map(|key| schema.get(*key)?.as_u64())
    }

    fn takes_keys(&self) -> bool {
        self.root.get(OWN).is_some()
    }

    fn fields(&self) -> Vec<String> {
        self.properties().into_iter().flat_map(|properties| properties.keys().cloned()).collect()
    }
}

/// The type of what stands at a JSON Pointer of a schema of ours, whose fields may also be read by their names as keys.
pub(super) fn of_schema(name: &str, text: &str, pointer: &str) -> Option<Type> {
    let mut root: Json = serde_json::from_str(text).ok()?;
    if let Some(root) = root.as_object_mut() {
        root.insert(OWN.to_owned(), Json::Bool(true));
    }
    Some(type_at(&Arc::new(root), pointer, name, 0))
}

/// As [`of_schema`], with what every resource has beside its schema.
pub(super) fn of_resource(name: &str, text: &str) -> Option<Type> {
    let mut root: Json = serde_json::from_str(text).ok()?;
    if let Some(properties) = root.get_mut("properties").and_then(Json::as_object_mut) {
        for field in ["apiVersion", "kind"] {
            properties.insert(field.to_owned(), serde_json::json!({"type": "string"}));
        }
        // Kubernetes shows a rule no more of the metadata of a custom resource than may be relied on; all of it is there, though.
        properties.insert("metadata".to_owned(), serde_json::json!({"x-doorward-metadata": true}));
    }
    Some(type_at(&Arc::new(root), "", name, 0))
}

fn type_at(root: &Arc<Json>, pointer: &str, name: &str, depth: usize) -> Type {
    let Some(schema) = root.pointer(pointer).filter(|_| depth < MAX_DEPTH) else { return Type::Dyn };
    let flag = |key: &str| schema.get(key).and_then(Json::as_bool) == Some(true);
    if flag("x-doorward-metadata") {
        return super::built_in::definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    }
    if let Some(target) = schema.get("$ref").and_then(Json::as_str).and_then(|target| target.strip_prefix('#')) {
        let name = target.rsplit('/').next().unwrap_or(name);
        return type_at(root, target, name, depth + 1);
    }
    if flag("x-kubernetes-int-or-string") || flag("x-kubernetes-preserve-unknown-fields") {
        return Type::Dyn;
    }
    // What may be absent, or is one of some words, is a choice between schemas of one type.
    if let Some(key) = ["oneOf", "anyOf"].into_iter().find(|key| schema.get(key).is_some()) {
        return one_of(root, schema.get(key).and_then(Json::as_array), &format!("{pointer}/{key}"), name, depth);
    }
    let below = |key: &str| type_at(root, &format!("{pointer}/{key}"), &format!("{name}.{key}"), depth + 1);
    let is = match schema.get("type") {
        Some(Json::Array(several)) => match several.iter().filter(|one| *one != "null").collect::<Vec<_>>().as_slice() {
            [only] => only.as_str(),
            _ => None,
        },
        is => is.and_then(Json::as_str),
    };
    match is {
        Some("string") if matches!(schema.get("format").and_then(Json::as_str), Some("byte" | "date-time" | "date" | "duration")) => {
            Type::Dyn
        }
        Some("string") => Type::String,
        Some("integer") => Type::Int,
        Some("number") => Type::Double,
        Some("boolean") => Type::Bool,
        Some("array") => Type::list(below("items")),
        Some("object") if schema.get("properties").is_some_and(Json::is_object) => {
            Type::Object(Arc::new(Properties { name: name.to_owned(), root: Arc::clone(root), pointer: pointer.to_owned() }))
        }
        Some("object") if schema.get("additionalProperties").is_some_and(Json::is_object) => {
            Type::map(Type::String, below("additionalProperties"))
        }
        _ => Type::Dyn,
    }
}

/// The type that all schemas of a choice have, null aside; `dyn` if they differ.
fn one_of(root: &Arc<Json>, choices: Option<&Vec<Json>>, pointer: &str, name: &str, depth: usize) -> Type {
    let choices = choices.into_iter().flatten().enumerate().filter(|(_, choice)| choice.get("type").and_then(Json::as_str) != Some("null"));
    let mut types = choices.map(|(index, _)| type_at(root, &format!("{pointer}/{index}"), name, depth + 1));
    let Some(first) = types.next() else { return Type::Dyn };
    if types.all(|other| other.to_string() == first.to_string()) { first } else { Type::Dyn }
}
