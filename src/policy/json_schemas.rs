//! JSON Schemas of what operators write, for editors and other programs: made of the types, committed, printed by `doorward policy schema`.

/// Of an `IdentityPolicy`.
pub const IDENTITY_POLICY_SCHEMA: &str = include_str!("schemas/identity-policy.schema.json");
/// Of an `InjectionPolicy`.
pub const INJECTION_POLICY_SCHEMA: &str = include_str!("schemas/injection-policy.schema.json");
/// Of an `IdentityWaiver`.
pub const WAIVER_SCHEMA: &str = include_str!("schemas/identity-waiver.schema.json");

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::schema::{API_VERSION, Document, IdentityPolicySpec, InjectionPolicySpec};
    use super::super::waiver_schema::{IdentityWaiverSpec, IdentityWaiverStatus};
    use super::{IDENTITY_POLICY_SCHEMA, INJECTION_POLICY_SCHEMA, WAIVER_SCHEMA};
    use crate::manifest::{self, to_yaml};
    use crate::object::Object;
    use crate::policy::POLICIES;

    /// The schema of a whole document of ours.
    fn document<T: schemars::JsonSchema>(kind: &str) -> String {
        let generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
        let mut schema = serde_json::to_value(generator.into_root_schema_for::<Document<T>>()).unwrap();
        schema["title"] = kind.into();
        schema["properties"]["apiVersion"] = json!({ "const": API_VERSION });
        schema["properties"]["kind"] = json!({ "const": kind });
        serde_json::to_string_pretty(&schema).unwrap() + "\n"
    }

    #[test]
    fn the_committed_schemas_are_the_types_own() {
        let schemas = [
            ("identity-policy", IDENTITY_POLICY_SCHEMA, document::<IdentityPolicySpec>("IdentityPolicy")),
            ("injection-policy", INJECTION_POLICY_SCHEMA, document::<InjectionPolicySpec>("InjectionPolicy")),
            ("identity-waiver", WAIVER_SCHEMA, document::<IdentityWaiverSpec>("IdentityWaiver")),
        ];
        for (file, _, generated) in schemas.iter().filter(|_| std::env::var_os("UPDATE_SCHEMA").is_some()) {
            let path = format!("{}/src/policy/schemas/{file}.schema.json", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(path, generated).unwrap();
        }
        for (file, committed, generated) in schemas {
            assert_eq!(committed, generated, "the schema of {file} is old: run this test with UPDATE_SCHEMA=1, then once more");
        }
    }

    /// A field that a policy of ours has and the schema does not would be marked as a mistake by every editor.
    #[test]
    fn the_schemas_know_every_field_that_the_library_writes() {
        let schemas = [("IdentityPolicy", IDENTITY_POLICY_SCHEMA), ("InjectionPolicy", INJECTION_POLICY_SCHEMA)];
        for (name, text) in POLICIES {
            let policy: Value = serde_json::from_str(&manifest::read(name, text).documents[0].object.root().to_json()).unwrap();
            let schema = schemas.iter().find(|(kind, _)| policy["kind"] == *kind).unwrap_or_else(|| panic!("{name}: no schema")).1;
            let schema: Value = serde_json::from_str(schema).unwrap();
            let mut unknown = Vec::new();
            compare(&policy, &schema, &schema, name, &mut unknown);
            assert!(unknown.is_empty(), "{unknown:?}");
        }
    }

    fn compare(value: &Value, part: &Value, schema: &Value, path: &str, unknown: &mut Vec<String>) {
        let either: Vec<&Value> = ["anyOf", "oneOf"].iter().flat_map(|key| part[*key].as_array().into_iter().flatten()).collect();
        if let Some(name) = part["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
            return compare(value, &schema["$defs"][name], schema, path, unknown);
        }
        if !either.is_empty() && !part["properties"].is_object() {
            let attempts = either.iter().map(|one| {
                let mut unknown = Vec::new();
                compare(value, one, schema, path, &mut unknown);
                unknown
            });
            unknown.extend(attempts.min_by_key(Vec::len).unwrap_or_default());
            return;
        }
        match value {
            Value::Object(fields) if part["properties"].is_object() => {
                for (key, inner) in fields {
                    match part["properties"].get(key) {
                        Some(part) => compare(inner, part, schema, &format!("{path}.{key}"), unknown),
                        None => unknown.push(format!("{path}.{key}")),
                    }
                }
            }
            Value::Object(fields) if part["type"] == "null" || part["type"] == "string" => {
                unknown.push(format!("{path}: {}", fields.len()));
            }
            Value::Array(items) => items.iter().for_each(|item| compare(item, &part["items"], schema, path, unknown)),
            _ => {}
        }
    }

    /// A schema as the API server takes it: structural, without references (`apiextensions.k8s.io/v1`).
    fn structural<T: schemars::JsonSchema>() -> Value {
        let mut settings = schemars::generate::SchemaSettings::openapi3();
        settings.inline_subschemas = true;
        let mut schema = serde_json::to_value(settings.into_generator().into_root_schema_for::<T>()).unwrap();
        prune(&mut schema);
        schema
    }

    fn prune(schema: &mut Value) {
        if let Some(map) = schema.as_object_mut() {
            map.retain(|key, _| !matches!(key.as_str(), "$schema" | "title" | "components" | "format" | "additionalProperties"));
            map.values_mut().for_each(prune);
        }
        schema.as_array_mut().into_iter().flatten().for_each(prune);
    }

    #[test]
    fn the_definition_of_waivers_is_the_types_own() {
        let column = |name: &str, path: &str| json!({ "name": name, "type": "string", "jsonPath": path });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": "identitywaivers.doorward.dev" },
            "spec": {
                "group": "doorward.dev",
                "scope": "Cluster",
                "names": { "kind": "IdentityWaiver", "listKind": "IdentityWaiverList", "plural": "identitywaivers", "singular": "identitywaiver" },
                "versions": [{
                    "name": "v1alpha1", "served": true, "storage": true,
                    "additionalPrinterColumns": [
                        column("Namespace", ".spec.subject.namespace"), column("Approved by", ".status.approvedBy"),
                        column("Expires", ".spec.expiresAt"),
                    ],
                    "schema": { "openAPIV3Schema": {
                        "description": "An exception from rules for one subject, treated as a credential: requested by one person, approved by another, and it ends.",
                        "type": "object",
                        "required": ["spec"],
                        "properties": {
                            "apiVersion": { "type": "string" }, "kind": { "type": "string" }, "metadata": { "type": "object" },
                            "spec": structural::<IdentityWaiverSpec>(), "status": structural::<IdentityWaiverStatus>(),
                        },
                    } },
                }],
            },
        });
        let generated = to_yaml(Object::from_serialize(&definition).unwrap().root());
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kustomize/base/identitywaivers.yaml");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(committed, generated, "the committed definition is old: run this test with UPDATE_SCHEMA=1, then once more");
    }
}
