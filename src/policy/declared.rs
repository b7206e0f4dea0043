//! What the names of an expression are declared as: as the API server declares them when a policy is loaded, or with the schema of one
//! kind that a rule matches.

use super::compiled::BASE;
use super::schema::{Carrier, Match};
use super::schemas::{self, Schemas};
use crate::cel::{Scope, Type, namespace_type, request_type};
use crate::object::{POD_TEMPLATE_KINDS, PodTemplateKind};

/// The types of the base variables, and what is known of other kinds.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    /// What the objects are, for who reads a finding; nothing if they are of any kind.
    pub(super) kind: Option<String>,
    pub(super) scope: Scope,
    pub(super) schemas: Schemas,
}

impl Declared {
    /// Objects may be anything, and so may `params`: what must hold of every expression, as the API server declares it.
    pub(super) fn dynamic() -> Self {
        let scope = Scope::new(&BASE).with_type("request", request_type()).with_type("namespaceObject", namespace_type());
        Self { kind: None, scope, schemas: Schemas::none() }
    }

    /// As [`Self::dynamic`], for a native policy: VAP's variables in the slots of the engine's; those of Doorward's own have no name.
    pub(super) fn native(has_params: bool) -> Self {
        let known = BASE.map(|name| match name {
            "object" | "oldObject" | "request" | "namespaceObject" => name,
            "params" if has_params => name,
            _ => "",
        });
        let scope = Scope::new(&known).with_type("request", request_type()).with_type("namespaceObject", namespace_type());
        Self { kind: None, scope, schemas: Schemas::none() }
    }

    /// As [`Self::native`], where objects and `params` are of one kind each.
    pub(super) fn native_of(kind: String, object: &Type, params: Option<Type>) -> Self {
        let native = Self::native(params.is_some());
        let scope = native.scope.with_type("object", object.clone()).with_type("oldObject", object.clone());
        let scope = match params {
            Some(params) => scope.with_type("params", params),
            None => scope,
        };
        Self { kind: Some(kind), scope, ..native }
    }

    /// As [`Self::dynamic`], for our own kinds: `params` are the settings, whatever is judged.
    pub(super) fn own() -> Self {
        let dynamic = Self::dynamic();
        Self { scope: dynamic.scope.with_type("params", schemas::settings()), ..dynamic }
    }

    /// The base scope of a rule: the identity model has one shape for what carries a pod template, and another one for what does not.
    pub(super) fn scope_of(&self, matches: &Match) -> Scope {
        let carries = |group: &String, resource: &String| {
            POD_TEMPLATE_KINDS.iter().any(|known| known.group == *group && known.resource == resource.split('/').next().unwrap_or_default())
        };
        let rules = matches.resource_rules.iter();
        let mut named =
            rules.flat_map(|rule| rule.api_groups.iter().flat_map(move |group| rule.resources.iter().map(move |one| (group, one))));
        let open = |group: &String, resource: &String| group == "*" || resource.contains('*');
        let is = if matches.pod_template.is_some() || named.clone().all(|(group, resource)| carries(group, resource)) {
            schemas::identity()
        } else if named.any(|(group, resource)| carries(group, resource) || open(group, resource)) {
            Type::Dyn
        } else {
            schemas::object_identity()
        };
        self.scope.with_type("identity", is)
    }

    /// Objects are of one kind.
    fn of(group: &str, resource: &str, schemas: &Schemas) -> Self {
        let object = schemas.of(group, resource).unwrap_or(Type::Dyn);
        let carries = POD_TEMPLATE_KINDS.iter().any(|known| known.group == group && known.resource == resource);
        let pod = if carries { schemas::pod_template() } else { Type::Dyn };
        let account = schemas.of("", "serviceaccounts").unwrap_or(Type::Dyn);
        let scope = Self::own()
            .scope
            .with_type("object", object.clone())
            .with_type("oldObject", object)
            .with_type("pod", pod)
            .with_type("serviceAccount", Type::optional(account));
        let kind = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        Self { kind: Some(kind), scope, schemas: schemas.clone() }
    }

    /// One for each kind that a rule matches by name.
    pub(super) fn each(matches: &Match, schemas: &Schemas) -> Vec<Self> {
        let carries = |kind: &&PodTemplateKind| match matches.pod_template {
            Some(Carrier::Any) => true,
            Some(Carrier::Pod) => kind.resource == "pods",
            Some(Carrier::Workload) => kind.resource != "pods",
            None => false,
        };
        let templates = POD_TEMPLATE_KINDS.iter().filter(carries).map(|kind| (kind.group, kind.resource));
        let rules = matches.resource_rules.iter();
        let named =
            rules.flat_map(|rule| rule.api_groups.iter().flat_map(|group| rule.resources.iter().map(|resource| (&**group, &**resource))));
        let mut kinds: Vec<(&str, &str)> = templates.chain(named).collect();
        kinds.dedup();
        kinds.into_iter().map(|(group, resource)| Self::of(group, resource, schemas)).collect()
    }
}
