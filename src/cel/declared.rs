//! `request` and `namespaceObject`: the API server declares them field by field (`pkg/admission/plugin/cel/compile.go`,
//! `BuildRequestType` and `BuildNamespaceType`) instead of taking them from a schema.

use std::sync::Arc;

use super::types::{LIST_OF_STRING, Nested, ObjectType, Type};

/// An object whose fields are written here.
#[derive(Debug)]
struct Declared {
    name: &'static str,
    fields: &'static [(&'static str, Field)],
}

#[derive(Debug)]
enum Field {
    Is(Type),
    Object(&'static Declared),
    Objects(&'static Declared),
}

use Field::{Is, Object, Objects};

const MAP_OF_STRING: Type = Type::Map(Nested::Constant(&Type::String), Nested::Constant(&Type::String));
const MAP_OF_LISTS: Type = Type::Map(Nested::Constant(&Type::String), Nested::Constant(&LIST_OF_STRING));

static KIND: Declared = Declared {
    name: "kubernetes.GroupVersionKind",
    fields: &[("group", Is(Type::String)), ("version", Is(Type::String)), ("kind", Is(Type::String))],
};

static RESOURCE: Declared = Declared {
    name: "kubernetes.GroupVersionResource",
    fields: &[("group", Is(Type::String)), ("version", Is(Type::String)), ("resource", Is(Type::String))],
};

static USER_INFO: Declared = Declared {
    name: "kubernetes.UserInfo",
    fields: &[("username", Is(Type::String)), ("uid", Is(Type::String)), ("groups", Is(LIST_OF_STRING)), ("extra", Is(MAP_OF_LISTS))],
};

static REQUEST: Declared = Declared {
    name: "kubernetes.AdmissionRequest",
    fields: &[
        ("kind", Object(&KIND)),
        ("resource", Object(&RESOURCE)),
        ("subResource", Is(Type::String)),
        ("requestKind", Object(&KIND)),
        ("requestResource", Object(&RESOURCE)),
        ("requestSubResource", Is(Type::String)),
        ("name", Is(Type::String)),
        ("namespace", Is(Type::String)),
        ("operation", Is(Type::String)),
        ("userInfo", Object(&USER_INFO)),
        ("dryRun", Is(Type::Bool)),
        ("options", Is(Type::Dyn)),
    ],
};

static CONDITION: Declared = Declared {
    name: "kubernetes.NamespaceCondition",
    fields: &[
        ("status", Is(Type::String)),
        ("type", Is(Type::String)),
        ("lastTransitionTime", Is(Type::Timestamp)),
        ("message", Is(Type::String)),
        ("reason", Is(Type::String)),
    ],
};

static NAMESPACE: Declared = Declared {
    name: "kubernetes.Namespace",
    fields: &[
        (
            "metadata",
            Object(&Declared {
                name: "kubernetes.NamespaceMetadata",
                fields: &[
                    ("name", Is(Type::String)),
                    ("generateName", Is(Type::String)),
                    ("namespace", Is(Type::String)),
                    ("labels", Is(MAP_OF_STRING)),
                    ("annotations", Is(MAP_OF_STRING)),
                    ("UID", Is(Type::String)),
                    ("creationTimestamp", Is(Type::Timestamp)),
                    ("deletionGracePeriodSeconds", Is(Type::Int)),
                    ("deletionTimestamp", Is(Type::Timestamp)),
                    ("generation", Is(Type::Int)),
                    ("resourceVersion", Is(Type::String)),
                    ("finalizers", Is(LIST_OF_STRING)),
                ],
            }),
        ),
        ("spec", Object(&Declared { name: "kubernetes.NamespaceSpec", fields: &[("finalizers", Is(LIST_OF_STRING))] })),
        (
            "status",
            Object(&Declared {
                name: "kubernetes.NamespaceStatus",
                fields: &[("conditions", Objects(&CONDITION)), ("phase", Is(Type::String))],
            }),
        ),
    ],
};

/// A handle of a declared object.
#[derive(Debug)]
struct Handle(&'static Declared);

impl ObjectType for Handle {
    fn name(&self) -> &str {
        self.0.name
    }

    fn field(&self, name: &str) -> Option<Type> {
        let (_, field) = self.0.fields.iter().find(|(field, _)| *field == name)?;
        Some(match field {
            Is(is) => is.clone(),
            Object(declared) => object(declared),
            Objects(declared) => Type::list(object(declared)),
        })
    }

    fn fields(&self) -> Vec<String> {
        self.0.fields.iter().map(|(field, _)| (*field).to_owned()).collect()
    }
}

fn object(declared: &'static Declared) -> Type {
    Type::Object(Arc::new(Handle(declared)))
}

/// The type of `request`.
pub(crate) fn request_type() -> Type {
    object(&REQUEST)
}

/// The type of `namespaceObject`.
pub(crate) fn namespace_type() -> Type {
    object(&NAMESPACE)
}
