//! The objects that `paramKind` and `paramRef` name: which ones a subject needs, and finding them among files.

use super::schema::{ParamRef, ParameterNotFoundAction};
use crate::object::{Fact, GroupVersionKind, LabelSelector, Node, namespace_of};
use crate::policy::subject::{Facts, Subject};

/// What a binding takes as `params`.
#[derive(Debug)]
pub(in crate::policy) struct Parameters {
    kind: GroupVersionKind,
    name: String,
    namespace: String,
    selector: Option<LabelSelector>,
    pub(super) deny_if_none: bool,
}

/// Objects that a binding asks for, for one subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParameterQuery {
    /// Their kind.
    pub kind: GroupVersionKind,
    /// Where they are if their kind is namespaced; empty where the subject is in no namespace and the binding names none.
    pub namespace: String,
    /// Whether the binding names that namespace, so that the kind must be namespaced.
    pub namespace_is_given: bool,
    /// The name of the one object that is meant; absent: all that the selector selects.
    pub name: Option<String>,
    /// Their labels.
    pub selector: Option<LabelSelector>,
}

impl Parameters {
    pub(super) fn new(kind: GroupVersionKind, written: ParamRef) -> Self {
        let ParamRef { name, namespace, selector, parameter_not_found_action } = written;
        Self { kind, name, namespace, selector, deny_if_none: parameter_not_found_action == ParameterNotFoundAction::Deny }
    }

    /// Whether it is known that the kind is: those of the core group that can be parameters are.
    pub(super) fn kind_is_namespaced(&self) -> bool {
        self.kind.group.is_empty() && !crate::object::is_cluster_scoped(&self.kind)
    }

    pub(in crate::policy) fn query(&self, subject: &Subject<'_>) -> ParameterQuery {
        // The API server takes a Namespace to be in itself here, as in `request.namespace`.
        let own = subject.request.text("namespace");
        ParameterQuery {
            kind: self.kind.clone(),
            namespace: if self.namespace.is_empty() { own } else { &self.namespace }.to_owned(),
            namespace_is_given: !self.namespace.is_empty(),
            name: (!self.name.is_empty()).then(|| self.name.clone()),
            selector: self.selector.clone(),
        }
    }

    /// What was learned of them before the subject was judged.
    pub(super) fn found<'a>(&self, subject: &Subject<'_>, facts: &Facts<'a>) -> Fact<Vec<Node<'a>>> {
        let query = self.query(subject);
        let known = facts.parameters.iter().find(|(asked, _)| *asked == query).map(|(_, fact)| fact.clone());
        known.unwrap_or_else(|| Fact::Unknown(format!("{query} was not asked for")))
    }
}

impl std::fmt::Display for ParameterQuery {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(formatter, "{} `{name}`", self.kind.kind),
            None => write!(formatter, "a selected {}", self.kind.kind),
        }
    }
}

impl ParameterQuery {
    /// Whether this asks for an object of a file. One that names no namespace is in `default_namespace`, or in none if its kind is not
    /// known to Doorward and the binding does not name one.
    #[must_use]
    pub fn asks_for(&self, object: Node<'_>, default_namespace: &str) -> bool {
        let Some(kind) = GroupVersionKind::of(object).filter(|kind| *kind == self.kind) else { return false };
        let Some(metadata) = object.get("metadata") else { return false };
        let scopeless = metadata.text("namespace").is_empty() && !kind.group.is_empty() && !self.namespace_is_given;
        (scopeless || namespace_of(object, &kind, default_namespace) == self.namespace)
            && self.name.as_deref().is_none_or(|name| metadata.text("name") == name)
            && self.selector.as_ref().is_none_or(|selector| selector.matches(metadata.get("labels")))
    }

    /// The found ones as a fact: where files are all there is to ask, none found is no proof that there is none.
    #[must_use]
    pub fn fact<T>(&self, found: Vec<T>, complete: bool) -> Fact<Vec<T>> {
        if found.is_empty() && !complete { Fact::Unknown(format!("{self} is not among the files")) } else { Fact::Found(found) }
    }
}
