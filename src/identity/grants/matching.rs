//! The RBAC authorizer's matchers (`pkg/apis/rbac/v1/evaluation_helpers.go` of Kubernetes), and what they are asked.

use std::collections::BTreeSet;

use super::Power;
use crate::object::Node;

const RBAC: &str = "rbac.authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";

/// Verbs that change something; whoever has all of them on every resource lacks no right that matters.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// A request that a rule is asked about.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    pub(super) power: Power,
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    /// Asked without a namespace, so that no Role allows it.
    pub(super) of_cluster: bool,
}

const fn ask(power: Power, verb: &'static str, group: &'static str, resource: &'static str) -> Ask {
    Ask { power, verb, group, resource, subresource: "", of_cluster: true }
}

const fn below(subresource: &'static str, ask: Ask) -> Ask {
    Ask { subresource, ..ask }
}

const fn in_namespace(ask: Ask) -> Ask {
    Ask { of_cluster: false, ..ask }
}

/// The dangerous requests, those of one power together. The verbs `impersonate:...` are those of constrained impersonation
/// (`pkg/endpoints/filters/impersonation` of `k8s.io/apiserver`), whose users and groups stand in another API group than those of `impersonate`.
pub(super) const ASKS: [Ask; 28] = [
    ask(Power::Escalate, "escalate", RBAC, "clusterroles"),
    in_namespace(ask(Power::Escalate, "escalate", RBAC, "roles")),
    // A RoleBinding to a ClusterRole is asked in the binding's namespace.
    in_namespace(ask(Power::Bind, "bind", RBAC, "clusterroles")),
    in_namespace(ask(Power::Bind, "bind", RBAC, "roles")),
    ask(Power::Impersonate, "impersonate", "", "users"),
    ask(Power::Impersonate, "impersonate", "", "groups"),
    in_namespace(ask(Power::Impersonate, "impersonate", "", "serviceaccounts")),
    ask(Power::Impersonate, "impersonate", AUTHENTICATION, "uids"),
    below("*", ask(Power::Impersonate, "impersonate", AUTHENTICATION, "userextras")),
    ask(Power::Impersonate, "impersonate:user-info", AUTHENTICATION, "users"),
    ask(Power::Impersonate, "impersonate:user-info", AUTHENTICATION, "groups"),
    ask(Power::Impersonate, "impersonate:user-info", AUTHENTICATION, "uids"),
    below("*", ask(Power::Impersonate, "impersonate:user-info", AUTHENTICATION, "userextras")),
    in_namespace(ask(Power::Impersonate, "impersonate:serviceaccount", AUTHENTICATION, "serviceaccounts")),
    ask(Power::Impersonate, "impersonate:arbitrary-node", AUTHENTICATION, "nodes"),
    ask(Power::Impersonate, "impersonate:associated-node", AUTHENTICATION, "nodes"),
    ask(Power::Certify, "approve", CERTIFICATES, "signers"),
    ask(Power::Certify, "sign", CERTIFICATES, "signers"),
    ask(Power::Certify, "attest", CERTIFICATES, "signers"),
    below("proxy", ask(Power::Kubelet, "get", "", "nodes")),
    below("proxy", ask(Power::Kubelet, "create", "", "nodes")),
    below("proxy", ask(Power::Kubelet, "update", "", "nodes")),
    below("proxy", ask(Power::Kubelet, "patch", "", "nodes")),
    below("proxy", ask(Power::Kubelet, "delete", "", "nodes")),
    in_namespace(below("token", ask(Power::IssueTokens, "create", "", "serviceaccounts"))),
    ask(Power::ReadSecrets, "get", "", "secrets"),
    ask(Power::ReadSecrets, "list", "", "secrets"),
    ask(Power::ReadSecrets, "watch", "", "secrets"),
];

impl Ask {
    /// The request in words.
    pub(super) fn words(&self) -> String {
        let (dot, slash) = (if self.group.is_empty() { "" } else { "." }, if self.subresource.is_empty() { "" } else { "/" });
        format!("`{}` on `{}{slash}{}{dot}{}`", self.verb, self.resource, self.subresource, self.group)
    }
}

/// A `PolicyRule`, its lists read once.
pub(super) struct PolicyRule<'a> {
    verbs: Vec<&'a str>,
    groups: Vec<&'a str>,
    resources: Vec<&'a str>,
    names: Vec<&'a str>,
    urls: Vec<&'a str>,
}

impl<'a> PolicyRule<'a> {
    pub(super) fn of(rule: Node<'a>) -> Self {
        let texts = |field: &str| rule.list(field).filter_map(Node::as_str).collect();
        Self {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            urls: texts("nonResourceURLs"),
        }
    }

    /// `RuleAllows`. A rule that is confined to names allows the request for those names; only reading Secrets is asked for all of them.
    pub(super) fn allows(&self, ask: &Ask) -> bool {
        has(&self.verbs, ask.verb)
            && has(&self.groups, ask.group)
            && self.resources.iter().any(|resource| resource_matches(resource, ask.resource, ask.subresource))
            && (self.names.is_empty() || ask.power != Power::ReadSecrets)
    }

    /// The verbs `impersonate-on:<mode>:<verb>`: what may be done while acting as somebody else.
    pub(super) fn impersonates_on(&self) -> impl Iterator<Item = &'a str> {
        self.verbs.iter().copied().filter(|verb| verb.starts_with("impersonate-on:"))
    }

    /// How this rule has no bounds, in words.
    pub(super) fn unbounded(&self, of_cluster: bool) -> Option<&'static str> {
        let named = |list: &[&str], word: &str| list.contains(&word);
        let every_verb = named(&self.verbs, "*");
        if named(&self.resources, "*") && !self.groups.is_empty() && (every_verb || WRITES.iter().all(|verb| named(&self.verbs, verb))) {
            Some("every verb on every resource")
        } else if named(&self.groups, "*") && every_verb && !self.resources.is_empty() {
            Some("every verb in every API group")
        } else if of_cluster && every_verb && self.urls.iter().any(|url| matches!(*url, "*" | "/*")) {
            Some("every verb on every URL of the API server")
        } else {
            None
        }
    }

    /// The rule as a set. Quoted, so that no name can pass for two.
    pub(super) fn key(&self) -> String {
        let lists = [&self.verbs, &self.groups, &self.resources, &self.names, &self.urls];
        format!("{:?}", lists.map(|list| list.iter().copied().collect::<BTreeSet<_>>()))
    }
}

/// `VerbMatches` and `APIGroupMatches`.
fn has(list: &[&str], wanted: &str) -> bool {
    list.iter().any(|item| *item == "*" || *item == wanted)
}

/// `ResourceMatches`: everything, the very resource, or `*/subresource`. Asked for any subresource (`*`), a rule that names one of this
/// resource's, or of every resource's, counts.
fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    match (rule.split_once('/'), subresource) {
        (None, _) => subresource.is_empty() && rule == resource,
        (Some((named, _)), "*") => named == resource || named == "*",
        (Some((named, below)), _) => !subresource.is_empty() && below == subresource && (named == resource || named == "*"),
    }
}
