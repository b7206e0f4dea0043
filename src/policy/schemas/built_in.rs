//! Kubernetes' own kinds.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use crate::cel::Type;
use crate::cel::types::ObjectType;
use crate::object::GroupVersionKind;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("kubernetes.txt")));

struct Table {
    /// Definitions by `group/resource`.
    resources: HashMap<&'static str, &'static str>,
    /// Fields with their types, by definition.
    definitions: HashMap<&'static str, Vec<(&'static str, &'static str)>>,
}

impl Table {
    fn read(text: &'static str) -> Self {
        let mut table = Self { resources: HashMap::new(), definitions: HashMap::new() };
        let mut current = "";
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match (line.strip_prefix(' '), line.split_once(' ')) {
                (Some(field), _) => {
                    if let (Some(field), Some(fields)) = (field.split_once(' '), table.definitions.get_mut(current)) {
                        fields.push(field);
                    }
                }
                (None, Some((resource, definition))) => {
                    table.resources.insert(resource, definition);
                }
                (None, None) => {
                    current = line;
                    table.definitions.insert(line, Vec::new());
                }
            }
        }
        table
    }
}

/// An object of a definition of the table.
#[derive(Debug)]
struct Definition {
    name: &'static str,
}

impl ObjectType for Definition {
    fn name(&self) -> &str {
        self.name
    }

    fn field(&self, name: &str) -> Option<Type> {
        let (_, is) = TABLE.definitions.get(self.name)?.iter().find(|(field, _)| *field == name)?;
        Some(written(is))
    }

    fn fields(&self) -> Vec<String> {
        TABLE.definitions.get(self.name).into_iter().flatten().map(|(field, _)| (*field).to_owned()).collect()
    }
}

/// The type that the file writes so.
fn written(text: &'static str) -> Type {
    let inside = |open: char, close: char| text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    if let Some(item) = inside('[', ']') {
        return Type::list(written(item));
    }
    if let Some(value) = inside('{', '}') {
        return Type::map(Type::String, written(value));
    }
    match text {
        "string" => Type::String,
        "int" => Type::Int,
        "double" => Type::Double,
        "bool" => Type::Bool,
        name => definition(name),
    }
}

/// A definition by its name; `dyn` if there is none.
pub(super) fn definition(name: &str) -> Type {
    TABLE.definitions.get_key_value(name).map_or(Type::Dyn, |(name, _)| Type::Object(Arc::new(Definition { name })))
}

/// The kind of a resource.
pub(super) fn resource(group: &str, resource: &str) -> Option<Type> {
    TABLE.resources.get(format!("{group}/{resource}").as_str()).map(|name| definition(name))
}

/// As [`resource`], if the table has it in this version.
pub(super) fn resource_in(group: &str, version: &str, resource: &str) -> Option<Type> {
    let name = TABLE.resources.get(format!("{group}/{resource}").as_str())?;
    (name.rsplit('.').nth(1) == Some(version)).then(|| definition(name))
}

/// The type of a kind, as a resource of its group has it.
pub(super) fn kind(kind: &GroupVersionKind) -> Option<Type> {
    let end = format!(".{}.{}", kind.version, kind.kind);
    let of_group = |resource: &str| resource.split_once('/').is_some_and(|(group, _)| group == kind.group);
    let (_, name) = TABLE.resources.iter().find(|(resource, name)| of_group(resource) && name.ends_with(&end))?;
    Some(definition(name))
}
