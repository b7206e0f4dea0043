//! What serde would let pass: a list where a section belongs, whose items it takes for the fields in their order, and numbers below nought.

use std::sync::LazyLock;

use crate::object::{FieldPath, Kind, Node, Object, ShapeError};

static SCHEMA: LazyLock<Object> = LazyLock::new(|| Object::from_json(super::SCHEMA).unwrap_or_default());

/// Holds a settings document against the committed schema as far as serde does not.
pub(super) fn check(document: Node<'_>) -> Result<(), ShapeError> {
    section(document, SCHEMA.root(), &FieldPath::root())
}

/// A part of the document as its part of the schema says.
fn section(value: Node<'_>, schema: Node<'_>, path: &FieldPath) -> Result<(), ShapeError> {
    // An optional section is either of two schemas, the other of which is null.
    let named = schema.get("$ref").or_else(|| schema.list("anyOf").find_map(|one| one.get("$ref"))).and_then(Node::as_str);
    if let Some(name) = named.and_then(|reference| reference.strip_prefix("#/$defs/")) {
        return SCHEMA.root().path(&["$defs", name]).map_or(Ok(()), |schema| section(value, schema, path));
    }
    let wrong = |message: String| Err(ShapeError { path: path.clone(), message });
    if let Some(fields) = schema.get("properties") {
        if value.kind() != Kind::Map {
            let example = if path.is_root() { ", such as `preset: observe`" } else { "" };
            return wrong(format!("must be a map, `field: value`{example}; this is {}", value.in_words()));
        }
        // A field that does not exist is serde's to name.
        return value
            .entries()
            .filter_map(|(key, value)| Some((key, value, fields.get(key)?)))
            .try_for_each(|(key, value, schema)| section(value, schema, &path.clone().field(key.to_owned())));
    }
    match (value.kind(), schema.get("additionalProperties"), schema.get("items")) {
        (Kind::Map, Some(schema), _) => {
            value.entries().try_for_each(|(key, value)| section(value, schema, &path.clone().field(key.to_owned())))
        }
        (Kind::List, _, Some(schema)) => {
            value.items().enumerate().try_for_each(|(index, item)| section(item, schema, &path.clone().index(index)))
        }
        (Kind::Int, ..) if value.as_i64().is_some_and(|number| number < 0) => {
            wrong(format!("`{}` must not be negative: write 0 or more", value.to_json()))
        }
        _ => Ok(()),
    }
}

/// The document without the fields that hold nothing: a section with nothing below it is as good as absent.
pub(super) fn without_nulls(document: Node<'_>) -> Object {
    let mut value = serde_json::to_value(document).unwrap_or_default();
    prune(&mut value);
    Object::from_serialize(&value).unwrap_or_default()
}

fn prune(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(prune);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use crate::object::Object;

    fn refused(text: &str) -> String {
        Settings::read(&Object::from_json(text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn a_list_is_no_section() {
        assert_eq!(refused(r#"["observe"]"#), "must be a map, `field: value`, such as `preset: observe`; this is a list");
        assert_eq!(refused(r#""observe""#), "must be a map, `field: value`, such as `preset: observe`; this is a text");
        assert_eq!(refused(r#"{"waiver":[7]}"#), "waiver: must be a map, `field: value`; this is a list");
        assert_eq!(refused(r#"{"audiences":{"vault":[7]}}"#), "audiences.vault: must be a map, `field: value`; this is a list");
        assert_eq!(refused(r#"{"enforcement":[[["*"],"Audit"]]}"#), "enforcement[0]: must be a map, `field: value`; this is a list");
    }

    #[test]
    fn a_number_is_not_negative() {
        assert_eq!(refused(r#"{"ttl":{"svidMaxHours":-1}}"#), "ttl.svidMaxHours: `-1` must not be negative: write 0 or more");
        assert_eq!(
            refused(r#"{"audiences":{"a":{"maxSeconds":-5}}}"#),
            "audiences.a.maxSeconds: `-5` must not be negative: write 0 or more"
        );
    }

    #[test]
    fn a_section_with_nothing_below_it_is_absent() {
        let read = |text: &str| Settings::read(&Object::from_json(text).unwrap());
        assert_eq!(read(r#"{"vault":null,"onMissingRelated":null,"mesh":{"kind":null}}"#), Ok(Settings::default()));
    }

    #[test]
    fn mistakes_are_told_in_plain_words() {
        assert_eq!(refused(r#"{"waiver":{"maxDays":"30"}}"#), "waiver.maxDays: must be a whole number; this is a text");
        assert_eq!(refused(r#"{"waiver":{"approvers":"ops"}}"#), "waiver.approvers: must be a list; this is a text");
        assert_eq!(refused(r#"{"updateRatchet":1}"#), "updateRatchet: must be `true` or `false`; this is a number");
        let off = refused(r#"{"enforcement":[{"rules":["*"],"enforcement":false}]}"#);
        assert_eq!(
            off,
            "enforcement[0].enforcement: must be a text; this is `false`, as YAML reads an unquoted `Off` or `No`: write `\"Off\"`"
        );
    }
}
