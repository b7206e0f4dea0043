//! Which policies speak about a subject: resources and selectors, as the API server matches them.

use super::schema::{Carrier, Match, MatchPolicy, ResourceRule, Scope};
use super::subject::{Facts, Operation, Subject};
use crate::object::{Fact, GroupVersionResource, Node, PodTemplateKind};

/// The answer to "does it match?" when a fact may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    /// It matches.
    Yes,
    /// It does not.
    No,
    /// The Namespace is not known, and why.
    Unknown(String),
}

impl Match {
    /// Whether this selects a subject.
    #[must_use]
    pub fn selects(&self, subject: &Subject<'_>, facts: &Facts<'_>) -> Selected {
        if !self.selects_resource(subject) || !self.selects_labels(subject) {
            return Selected::No;
        }
        let Some(selector) = &self.namespace_selector else { return Selected::Yes };
        let is_namespace = subject.kind.group.is_empty() && subject.kind.kind == "Namespace";
        let holder = if is_namespace {
            subject.object.or(subject.old_object)
        } else if subject.namespace.is_empty() {
            return Selected::Yes;
        } else {
            match &facts.namespace {
                Fact::Found(namespace) => Some(*namespace),
                Fact::Absent => None,
                Fact::Unknown(reason) if !selector.is_empty() => return Selected::Unknown(reason.clone()),
                Fact::Unknown(_) => None,
            }
        };
        let name = if is_namespace { subject.name } else { subject.namespace };
        if selector.matches_namespace(name, holder.and_then(labels)) { Selected::Yes } else { Selected::No }
    }

    /// Whether objects of a kind that carries a pod template are meant, whatever their names and labels.
    pub(super) fn is_of(&self, kind: &PodTemplateKind) -> bool {
        let listed = |list: &[String], value: &str| list.iter().any(|item| item == "*" || item == value);
        let by_carrier = self.pod_template.is_some_and(|carrier| match carrier {
            Carrier::Any => true,
            Carrier::Pod => kind.is_pod(),
            Carrier::Workload => !kind.is_pod(),
        });
        by_carrier
            || self.resource_rules.iter().any(|rule| {
                listed(&rule.api_groups, kind.group) && rule.resources.iter().any(|wanted| is_resource(wanted, kind.resource, ""))
            })
    }

    /// The resources that can be meant, without their subresources; `None` if that cannot be said of their names alone.
    pub(super) fn names(&self) -> Option<Vec<&str>> {
        if self.pod_template.is_some() || self.resource_rules.is_empty() || self.match_policy == Some(MatchPolicy::Exact) {
            return None;
        }
        let names = self.resource_rules.iter().flat_map(|rule| &rule.resources);
        names.map(|name| name.split('/').next().filter(|name| *name != "*")).collect()
    }

    fn selects_labels(&self, subject: &Subject<'_>) -> bool {
        self.object_selector.as_ref().is_none_or(|selector| {
            [subject.object, subject.old_object].into_iter().flatten().any(|object| selector.matches(labels(object)))
        })
    }

    /// Whether the resource is meant, whatever its labels and its Namespace's. Without carrier and rules every resource is: so the
    /// `matchResources` of a binding, the only match that may lack both.
    pub(super) fn selects_resource(&self, subject: &Subject<'_>) -> bool {
        let asked = Asked::of(subject, self.match_policy);
        let any = self.pod_template.is_none() && self.resource_rules.is_empty();
        let by_carrier = self.pod_template.is_some_and(|carrier| carries(carrier, subject));
        let by_rule = self.resource_rules.iter().any(|rule| rule.selects(subject, &asked));
        (any || by_carrier || by_rule) && !self.exclude_resource_rules.iter().any(|rule| rule.selects(subject, &asked))
    }
}

/// The resource that rules are compared with: the one a webhook was sent, or with `Exact` the one that the request named.
struct Asked<'a> {
    group: &'a str,
    version: &'a str,
    resource: &'a str,
    subresource: &'a str,
}

impl<'a> Asked<'a> {
    fn of(subject: &'a Subject<'_>, policy: Option<MatchPolicy>) -> Self {
        if policy == Some(MatchPolicy::Exact)
            && let Some(named) = subject.request.get("requestResource")
        {
            let subresource = subject.request.text("requestSubResource");
            return Self { group: named.text("group"), version: named.text("version"), resource: named.text("resource"), subresource };
        }
        let GroupVersionResource { group, version, resource } = &subject.resource;
        Self { group, version, resource, subresource: subject.subresource }
    }
}

fn labels(object: Node<'_>) -> Option<Node<'_>> {
    object.path(&["metadata", "labels"])
}

/// Pod templates are judged when they are made or changed, and a pod also when a container is added to it while it runs.
fn carries(carrier: Carrier, subject: &Subject<'_>) -> bool {
    if !matches!(subject.operation, Operation::Create | Operation::Update) {
        return false;
    }
    let whole = subject.subresource.is_empty();
    let Some(kind) = PodTemplateKind::of_resource(&subject.resource) else {
        return carrier != Carrier::Pod && whole && subject.listed().is_some();
    };
    match carrier {
        Carrier::Any => whole || (kind.is_pod() && subject.subresource == "ephemeralcontainers"),
        Carrier::Pod => kind.is_pod() && (whole || subject.subresource == "ephemeralcontainers"),
        Carrier::Workload => !kind.is_pod() && whole,
    }
}

impl ResourceRule {
    fn selects(&self, subject: &Subject<'_>, asked: &Asked<'_>) -> bool {
        let listed = |list: &[String], value: &str| list.iter().any(|item| item == "*" || item == value);
        let in_scope = match self.scope {
            Scope::All => true,
            Scope::Cluster => subject.namespace.is_empty(),
            Scope::Namespaced => !subject.namespace.is_empty(),
        };
        // The resource first: it is what rules differ in most.
        self.resources.iter().any(|wanted| is_resource(wanted, asked.resource, asked.subresource))
            && in_scope
            && listed(&self.api_groups, asked.group)
            && listed(&self.api_versions, asked.version)
            && self.operations.iter().any(|wanted| subject.operation.is(*wanted))
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|name| name == subject.name))
    }
}

/// The API server's matcher (`webhook/predicates/rules`): `*` is every resource without subresources, `*/*` everything, and `pods/*`
/// all of pods' subresources and, whatever the API's documentation says, pods themselves.
fn is_resource(wanted: &str, resource: &str, subresource: &str) -> bool {
    // Most rules are about another resource, and most names differ in their first letter: no call to compare the rest.
    let begins = |with: Option<&u8>| wanted.as_bytes().first() == with;
    if !begins(Some(&b'*')) && !begins(resource.as_bytes().first()) {
        return false;
    }
    wanted.strip_prefix('*').or_else(|| wanted.strip_prefix(resource)).is_some_and(|rest| match rest.strip_prefix('/') {
        Some(sub) => sub == "*" || sub == subresource,
        None => rest.is_empty() && subresource.is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_match_as_on_the_api_server() {
        for (wanted, resource, subresource, matches) in [
            ("pods", "pods", "", true),
            ("pods", "pods", "ephemeralcontainers", false),
            ("*", "pods", "", true),
            ("*", "pods", "exec", false),
            ("*/*", "pods", "", true),
            ("pods/*", "pods", "exec", true),
            ("pods/*", "pods", "", true),
            ("*/token", "serviceaccounts", "token", true),
            ("serviceaccounts/token", "serviceaccounts", "", false),
        ] {
            assert_eq!(is_resource(wanted, resource, subresource), matches, "{wanted} {resource}/{subresource}");
        }
    }
}
