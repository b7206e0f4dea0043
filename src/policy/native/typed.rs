//! A native policy against the schemas of the kinds that it selects: what the API server's controller does with a policy that is in
//! force already, and writes to its `status.typeChecking`.

use super::compile::{read, rule};
use super::schema::{Document, POLICY, PolicySpec};
use crate::cel::Type;
use crate::object::{GroupVersionKind, Node};
use crate::policy::compile::Compiler;
use crate::policy::declared::Declared;
use crate::policy::schemas::Schemas;

/// A policy that is compiled once for each kind.
pub(in crate::policy) struct TypedPolicy {
    name: String,
    spec: PolicySpec,
}

/// What a policy takes as `params`, if a document is one and takes any.
pub(in crate::policy) fn param_kind_of(document: Node<'_>) -> Option<GroupVersionKind> {
    let takes = document.text("kind") == POLICY;
    document.path(&["spec", "paramKind"]).filter(|_| takes).and_then(GroupVersionKind::of)
}

impl TypedPolicy {
    /// Reads a document that can be compiled.
    pub(in crate::policy) fn read(document: Node<'_>) -> Option<Self> {
        let Document { metadata, spec, .. } = read::<PolicySpec>(document).ok()?;
        Some(Self { name: metadata.name, spec })
    }

    /// What is declared for each kind that its constraints name and of which a schema is known. As on the API server a `*` is no name, and
    /// parameters without a schema are of any type.
    pub(in crate::policy) fn kinds(&self, schemas: &Schemas) -> Vec<Declared> {
        let params = self.spec.param_kind.as_ref().map(|written| schemas.of_kind(&written.kind()).unwrap_or(Type::Dyn));
        let mut kinds: Vec<Declared> = Vec::new();
        for rule in &self.spec.match_constraints.resource_rules {
            for group in &rule.api_groups {
                for version in &rule.api_versions {
                    for resource in &rule.resources {
                        let Some(object) = schemas.of_version(group, version, resource) else { continue };
                        let kind = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
                        if kinds.iter().all(|known| known.kind.as_deref() != Some(&kind)) {
                            kinds.push(Declared::native_of(kind, &object, params.clone()));
                        }
                    }
                }
            }
        }
        kinds
    }

    /// Compiles it with what is declared.
    pub(in crate::policy) fn compile(&self, mut compiler: Compiler) -> Compiler {
        let scope = compiler.declared().scope.clone();
        rule(&mut compiler, &self.name, &self.spec, scope);
        compiler
    }

    /// What is declared when it is loaded.
    pub(in crate::policy) fn dynamic(&self) -> Declared {
        Declared::native(self.spec.param_kind.is_some())
    }
}
