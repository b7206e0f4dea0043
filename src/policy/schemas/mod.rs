//! What the type checker knows of the objects that policies read.
//!
//! - `built_in`: Kubernetes' own kinds, compiled in as a text that is read when it is first asked for
//! - `json`: types from JSON Schema: custom resource definitions, `identity`, `params`

mod built_in;
mod json;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::cel::Type;
use crate::object::{GroupVersionKind, Node};

/// The types of resources: those of Kubernetes, and those of the custom resource definitions given.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    /// Whether Kubernetes' own kinds are known.
    built_in: bool,
    /// By group and resource.
    custom: BTreeMap<(String, String), Type>,
    /// Of each version of custom kinds: by group, version, and either the resource or the kind.
    versions: BTreeMap<(String, String, String), Type>,
}

impl Schemas {
    /// Those of Kubernetes.
    #[must_use]
    pub fn built_in() -> Self {
        Self { built_in: true, ..Self::default() }
    }

    /// Nothing is known of any kind.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// Takes the schemas of a `CustomResourceDefinition`, of which that of the storage version stands for the resource whatever the
    /// version; anything else is left alone.
    pub fn add(&mut self, object: Node<'_>) {
        if object.text("kind") != "CustomResourceDefinition" {
            return;
        }
        let Some(spec) = object.get("spec") else { return };
        let Some(versions) = spec.get("versions") else { return };
        let stores = |version: &Node<'_>| version.get("storage").and_then(Node::as_bool) == Some(true);
        let storage = versions.items().position(|version| stores(&version)).unwrap_or(0);
        let (group, names) = (spec.text("group"), spec.get("names"));
        let plural = names.map_or("", |names| names.text("plural"));
        let kind = names.map_or("", |names| names.text("kind"));
        for (index, version) in versions.items().enumerate() {
            let Some(schema) = version.path(&["schema", "openAPIV3Schema"]) else { continue };
            let version = version.text("name");
            let Some(is) = json::of_resource(&format!("{group}.{version}.{kind}"), &schema.to_json()) else { continue };
            if index == storage {
                self.custom.insert((group.to_owned(), plural.to_owned()), is.clone());
            }
            for name in [plural, kind] {
                self.versions.insert((group.to_owned(), version.to_owned(), name.to_owned()), is.clone());
            }
        }
    }

    /// The type of a resource (`pods`, `serviceaccounts/token`) of a group; `None` if nothing is known of it.
    #[must_use]
    pub fn of(&self, group: &str, resource: &str) -> Option<Type> {
        let known = self.custom.get(&(group.to_owned(), resource.to_owned())).cloned();
        known.or_else(|| if self.built_in { built_in::resource(group, resource) } else { None })
    }

    /// The type of a resource in one version; `None` if nothing is known of it.
    #[must_use]
    pub fn of_version(&self, group: &str, version: &str, resource: &str) -> Option<Type> {
        let known = self.versions.get(&(group.to_owned(), version.to_owned(), resource.to_owned())).cloned();
        known.or_else(|| if self.built_in { built_in::resource_in(group, version, resource) } else { None })
    }

    /// The type of a kind; `None` if nothing is known of it.
    #[must_use]
    pub fn of_kind(&self, kind: &GroupVersionKind) -> Option<Type> {
        let known = self.versions.get(&(kind.group.clone(), kind.version.clone(), kind.kind.clone())).cloned();
        known.or_else(|| if self.built_in { built_in::kind(kind) } else { None })
    }
}

/// The type of a pod template.
pub(super) fn pod_template() -> Type {
    built_in::definition("io.k8s.api.core.v1.PodTemplateSpec")
}

/// The type of the identity model.
pub(super) fn identity() -> Type {
    static TYPE: LazyLock<Type> = LazyLock::new(|| json::of_schema("Identity", crate::identity::SCHEMA, "").unwrap_or(Type::Dyn));
    TYPE.clone()
}

/// The type of the identity model of an object without a pod template; `dyn` if the schema does not tell it apart.
pub(super) fn object_identity() -> Type {
    const POINTER: &str = "/$defs/objectIdentity";
    static TYPE: LazyLock<Type> = LazyLock::new(|| json::of_schema("Identity", crate::identity::SCHEMA, POINTER).unwrap_or(Type::Dyn));
    TYPE.clone()
}

/// The type of the settings.
pub(super) fn settings() -> Type {
    static TYPE: LazyLock<Type> = LazyLock::new(|| json::of_schema("Settings", crate::settings::SCHEMA, "").unwrap_or(Type::Dyn));
    TYPE.clone()
}
