//! RBAC read as what it grants: what a role allows beyond its words, and who a binding really means.
//!
//! A role is asked a fixed list of dangerous requests by the RBAC authorizer's own matchers (`matching`), because words prove nothing:
//! `*/token` grants `serviceaccounts/token`, and `*` on core ServiceAccounts grants to impersonate them (`hardening.md` A21, measured).

mod matching;

use std::borrow::Cow;

use serde::Serialize;

use crate::object::{GroupVersionKind, Node};
use matching::{ASKS, PolicyRule};

/// A role or a binding, read as what it grants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grants<'a> {
    /// The rules of a Role or `ClusterRole` that allow what leads to another identity or has no bounds.
    pub rules: Vec<GrantingRule>,
    /// Whom a binding means.
    pub subjects: Vec<GrantSubject<'a>>,
}

/// One rule of a role, and what it grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantingRule {
    /// Its powers, each once.
    pub powers: Vec<GrantedPower>,
    /// Whether `everything` is among them, so that the others are only a part of it.
    pub unbounded: bool,
    /// The rule as a set: equal for rules that differ in order only.
    pub key: String,
    /// Where it stands in the object.
    pub field_path: String,
}

/// One power that a rule grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantedPower {
    /// Which power.
    pub power: Power,
    /// The requests that it allows, in words.
    pub requests: Vec<String>,
}

/// What a rule can grant that leads to another identity or has no bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Power {
    /// Write roles with rights that the writer lacks.
    Escalate,
    /// Hand out roles that the writer does not hold.
    Bind,
    /// Act as somebody else.
    Impersonate,
    /// Have certificates issued in any name: `approve`, `sign` and `attest` on signers.
    Certify,
    /// Reach the kubelet's own API, which starts a process in any container of the node.
    Kubelet,
    /// Every verb on every resource, or in every API group, or on every URL.
    Everything,
    /// Have tokens of `ServiceAccount`s issued.
    IssueTokens,
    /// Read the Secrets of every namespace.
    ReadSecrets,
}

/// One subject of a binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantSubject<'a> {
    /// What it is; a User that names a `ServiceAccount` is one.
    pub kind: SubjectKind,
    /// The namespace of a `ServiceAccount`; a `RoleBinding`'s own where it names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
    /// Whom it means, in words, if that is more than one identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broad: Option<Cow<'static, str>>,
    /// A `ServiceAccount` of another namespace than the binding's.
    pub foreign: bool,
    /// Where it stands in the object.
    pub field_path: String,
}

/// What a subject of a binding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SubjectKind {
    /// A `ServiceAccount`, however it is written.
    ServiceAccount,
    /// A user.
    User,
    /// A group.
    Group,
}

/// Reads an object of RBAC's group; `None` for a kind that it does not have. Linear in the object.
pub(super) fn read<'a>(kind: &GroupVersionKind, object: Node<'a>, namespace: &'a str) -> Option<Grants<'a>> {
    match kind.kind.as_str() {
        "ClusterRole" => Some(Grants { rules: rules(object, true), subjects: Vec::new() }),
        "Role" => Some(Grants { rules: rules(object, false), subjects: Vec::new() }),
        "ClusterRoleBinding" => Some(Grants { rules: Vec::new(), subjects: subjects(object, "") }),
        "RoleBinding" => Some(Grants { rules: Vec::new(), subjects: subjects(object, namespace) }),
        _ => None,
    }
}

fn rules(role: Node<'_>, of_cluster: bool) -> Vec<GrantingRule> {
    let listed = role.list("rules").enumerate().map(|(index, rule)| {
        let rule = PolicyRule::of(rule);
        let mut powers: Vec<GrantedPower> = Vec::new();
        let mut add = |power: Power, request: String| match powers.iter_mut().find(|granted| granted.power == power) {
            Some(granted) => granted.requests.push(request),
            None => powers.push(GrantedPower { power, requests: vec![request] }),
        };
        for ask in ASKS.iter().filter(|ask| of_cluster || !ask.of_cluster).filter(|ask| rule.allows(ask)) {
            add(ask.power, ask.words());
        }
        for verb in rule.impersonates_on() {
            add(Power::Impersonate, format!("`{verb}`"));
        }
        let unbounded = rule.unbounded(of_cluster);
        if let Some(words) = unbounded {
            add(Power::Everything, words.to_owned());
        }
        GrantingRule { powers, unbounded: unbounded.is_some(), key: rule.key(), field_path: format!("rules[{index}]") }
    });
    // The aggregation controller writes the rules of whatever the selectors find into this role.
    let selectors = role.get("aggregationRule").into_iter().flat_map(|aggregation| aggregation.list("clusterRoleSelectors")).enumerate();
    let collected = selectors.filter(|(_, selector)| requires_nothing(*selector)).map(|(index, selector)| GrantingRule {
        powers: vec![GrantedPower {
            power: Power::Everything,
            requests: vec!["the rules of every ClusterRole that there is or will be".to_owned()],
        }],
        unbounded: true,
        key: selector.digest(),
        field_path: format!("aggregationRule.clusterRoleSelectors[{index}]"),
    });
    listed.filter(|rule| !rule.powers.is_empty()).chain(collected).collect()
}

/// Whether a selector finds objects that carry no label at all.
fn requires_nothing(selector: Node<'_>) -> bool {
    selector.get("matchLabels").is_none_or(|labels| labels.entries().next().is_none())
        && selector.list("matchExpressions").all(|requirement| matches!(requirement.text("operator"), "NotIn" | "DoesNotExist"))
}

/// What the API server calls a `ServiceAccount` that asks for something.
const ACCOUNT_USER: &str = "system:serviceaccount:";

/// The groups of all `ServiceAccount`s, and of one namespace's.
const ACCOUNTS_GROUP: &str = "system:serviceaccounts";

fn subjects<'a>(binding: Node<'a>, namespace: &'a str) -> Vec<GrantSubject<'a>> {
    let read = |(index, subject): (usize, Node<'a>)| {
        let field_path = format!("subjects[{index}]");
        let name = subject.text("name");
        let account = |namespace: &'a str, name: &'a str, home: &str, field_path| GrantSubject {
            kind: SubjectKind::ServiceAccount,
            namespace: Some(namespace),
            name,
            broad: (name == "default").then(|| {
                Cow::Owned(format!(
                    "the ServiceAccount `default` of namespace `{namespace}`, as which every pod there runs that names no other"
                ))
            }),
            foreign: namespace != home,
            field_path,
        };
        match subject.text("kind") {
            "ServiceAccount" => {
                let own = subject.text("namespace");
                account(if own.is_empty() { namespace } else { own }, name, namespace, field_path)
            }
            "User" => match name.strip_prefix(ACCOUNT_USER).and_then(|rest| rest.split_once(':')) {
                Some((own, name)) => account(own, name, namespace, field_path),
                None => {
                    let broad = (name == "system:anonymous").then_some(Cow::Borrowed("everybody, without a login"));
                    GrantSubject { kind: SubjectKind::User, namespace: None, name, broad, foreign: false, field_path }
                }
            },
            // A kind that RBAC does not know grants nothing; it is told as what is nearest.
            _ => {
                let foreign = name == ACCOUNTS_GROUP || accounts_of(name).is_some_and(|of| of != namespace);
                GrantSubject { kind: SubjectKind::Group, namespace: None, name, broad: breadth(name), foreign, field_path }
            }
        }
    };
    binding.list("subjects").enumerate().map(read).collect()
}

/// The namespace whose `ServiceAccount`s a group holds.
fn accounts_of(group: &str) -> Option<&str> {
    group.strip_prefix(ACCOUNTS_GROUP)?.strip_prefix(':')
}

/// The groups that hold more than a team.
fn breadth(group: &str) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(match group {
        ACCOUNTS_GROUP => "every ServiceAccount of the cluster",
        "system:authenticated" => "everybody who can log in, every ServiceAccount included",
        "system:unauthenticated" => "everybody, without a login",
        "system:masters" => "the group that no rule binds",
        "system:nodes" => "every node",
        _ => {
            let namespace = accounts_of(group)?;
            return Some(Cow::Owned(format!("every ServiceAccount of namespace `{namespace}`")));
        }
    }))
}

#[cfg(test)]
mod tests;
