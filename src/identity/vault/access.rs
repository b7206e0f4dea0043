//! How an object reaches Vault, in words that pods and the operators' kinds share: where it connects, how it logs in, as whom. One rule
//! then reads them all alike.
//!
//! What a kind leaves to its default is said with that default, at the nearest field that its author wrote.

use std::borrow::Cow;

use serde::Serialize;

use super::address::{Servers, VaultAddress};
use super::config_map::UnreadConfig;
use crate::object::Node;
use crate::settings::Settings;

/// Every way in which an object reaches Vault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultAccess<'a> {
    /// Where it connects.
    pub addresses: Vec<VaultAddress>,
    /// What turns the verification of the server's certificate off.
    pub unverified: Vec<Named<'a>>,
    /// The auth methods it logs in by.
    pub methods: Vec<AuthMethod<'a>>,
    /// The Secrets it logs in with where a token of a ServiceAccount would do.
    pub secrets: Vec<Named<'a>>,
    /// The mounts of Vault's Kubernetes login.
    pub mounts: Vec<AuthMount<'a>>,
    /// The roles it logs in as.
    pub roles: Vec<VaultRole<'a>>,
    /// The audiences of the tokens it logs in with.
    pub audiences: Vec<TokenAudiences<'a>>,
    /// The lifetimes of those tokens.
    pub token_seconds: Vec<TokenSeconds>,
    /// Configurations that stand in the object and cannot be read, each by the variable that holds it.
    pub unreadable: Vec<Named<'a>>,
    /// Where an agent takes its configuration from that nobody judged.
    pub unread: Vec<UnreadConfig<'a>>,
    /// The same of an injected agent, where it was looked for: that one logs in as the operator says, or not at all.
    pub unjudged: Vec<UnreadConfig<'a>>,
}

/// Something by name, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Where it stands.
    pub field_path: String,
}

/// One auth method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthMethod<'a> {
    /// Vault's name of it.
    pub name: Cow<'a, str>,
    /// Whether a secret store uses it with nothing but a fresh token of a ServiceAccount, which proves as much as Kubernetes' own method.
    pub attested: bool,
    /// Where it stands.
    pub field_path: String,
}

/// One mount of Vault's Kubernetes login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthMount<'a> {
    /// The mount without `/v1/` and `auth/`.
    pub name: Cow<'a, str>,
    /// Whether it is this cluster's, or one that the settings list.
    pub listed: bool,
    /// This cluster's.
    pub expected: String,
    /// Where it stands.
    pub field_path: String,
}

/// One role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultRole<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Whether it is the workload's own, or listed for its ServiceAccount.
    pub own: bool,
    /// The workload's own.
    pub expected: String,
    /// Where it stands.
    pub field_path: String,
}

/// Audiences of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenAudiences<'a> {
    /// The audiences; none stands for the API server's.
    pub names: Vec<Cow<'a, str>>,
    /// Where they stand.
    pub field_path: String,
}

/// The lifetime of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenSeconds {
    /// In seconds.
    pub seconds: i64,
    /// Where it stands.
    pub field_path: String,
}

/// Who logs in, as far as the object says: a ServiceAccount, or any one of a namespace, or of any namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Who<'a> {
    pub(in super::super) namespace: &'a str,
    pub(in super::super) service_account: Option<&'a str>,
}

/// Collects what an object says.
pub(in super::super) struct Access<'a> {
    settings: &'a Settings,
    /// Asked for by the first address.
    servers: Option<Servers<'a>>,
    /// Whether it is a pod that connects.
    in_pod: bool,
    said: VaultAccess<'a>,
}

impl<'a> Access<'a> {
    pub(in super::super) fn new(settings: &'a Settings, in_pod: bool) -> Self {
        Self { settings, servers: None, in_pod, said: VaultAccess::default() }
    }

    /// What was said; `None` if nothing was. Two agents that read one configuration say everything once.
    pub(in super::super) fn finish(self) -> Option<VaultAccess<'a>> {
        let empty = VaultAccess::default();
        (self.said != empty).then_some(self.said)
    }

    pub(in super::super) fn address(&mut self, url: &str, at: String) {
        let address = self.judged(url, at);
        push(&mut self.said.addresses, address);
    }

    /// A proxy sees the bytes of TLS pass, so its own scheme does not matter.
    pub(in super::super) fn proxy(&mut self, url: &str, at: String) {
        let address = self.judged(url, at);
        push(&mut self.said.addresses, VaultAddress { https: true, ..address });
    }

    fn judged(&mut self, url: &str, at: String) -> VaultAddress {
        let settings = self.settings;
        self.servers.get_or_insert_with(|| Servers::of(settings)).judge(url, self.in_pod, at)
    }

    pub(in super::super) fn address_from_elsewhere(&mut self, at: String) {
        push(&mut self.said.addresses, Servers::unreadable(at));
    }

    pub(in super::super) fn unreadable(&mut self, name: impl Into<Cow<'a, str>>, at: String) {
        push(&mut self.said.unreadable, Named { name: name.into(), field_path: at });
    }

    pub(in super::super) fn unread(&mut self, found: UnreadConfig<'a>) {
        push(if found.injected && found.certain { &mut self.said.unjudged } else { &mut self.said.unread }, found);
    }

    pub(in super::super) fn unverified(&mut self, name: impl Into<Cow<'a, str>>, at: String) {
        push(&mut self.said.unverified, Named { name: name.into(), field_path: at });
    }

    pub(in super::super) fn method(&mut self, name: impl Into<Cow<'a, str>>, attested: bool, at: String) {
        push(&mut self.said.methods, AuthMethod { name: name.into(), attested, field_path: at });
    }

    pub(in super::super) fn secret(&mut self, name: impl Into<Cow<'a, str>>, at: String) {
        push(&mut self.said.secrets, Named { name: name.into(), field_path: at });
    }

    pub(in super::super) fn mount(&mut self, path: impl Into<Cow<'a, str>>, at: String) {
        let path = path.into();
        let settings = self.settings;
        let name = match path {
            Cow::Borrowed(path) => Cow::Borrowed(mount_name(path)),
            Cow::Owned(path) => Cow::Owned(mount_name(&path).to_owned()),
        };
        let (listed, expected) = is_listed_mount(settings, &name);
        push(&mut self.said.mounts, AuthMount { name, listed, expected, field_path: at });
    }

    pub(in super::super) fn role(&mut self, name: impl Into<Cow<'a, str>>, who: Who<'_>, at: String) {
        let name = name.into();
        let (own, expected) = is_own_role(self.settings, who, &name);
        push(&mut self.said.roles, VaultRole { name, own, expected, field_path: at });
    }

    pub(in super::super) fn audiences(&mut self, names: impl Iterator<Item = Node<'a>>, at: String) {
        let names = names.filter_map(Node::as_str).map(Cow::Borrowed).collect();
        push(&mut self.said.audiences, TokenAudiences { names, field_path: at });
    }

    pub(in super::super) fn seconds(&mut self, seconds: Option<Node<'_>>, at: String) {
        if let Some(seconds) = seconds.and_then(Node::as_i64) {
            push(&mut self.said.token_seconds, TokenSeconds { seconds, field_path: at });
        }
    }
}

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.last() != Some(&item) {
        list.push(item);
    }
}

/// A mount's name without what some clients write before and after it.
fn mount_name(path: &str) -> &str {
    let path = path.trim_matches('/');
    let path = path.strip_prefix("v1/").unwrap_or(path);
    path.strip_prefix("auth/").unwrap_or(path)
}

/// Whether a mount is this cluster's or listed; and this cluster's. A cluster without a name may be any, and an injected agent leaves the
/// name out.
fn is_listed_mount(settings: &Settings, name: &str) -> (bool, String) {
    let template = mount_name(&settings.vault.auth_mount);
    let listed = settings.vault.other_auth_mounts.iter().any(|other| other == "*" || mount_name(other) == name);
    match template.split_once("{cluster}") {
        Some((start, end)) if settings.cluster.name.is_empty() => {
            let fits = name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
            (listed || fits, format!("{start}<cluster>{end}"))
        }
        _ => {
            let own = settings.vault_auth_mount();
            let own = mount_name(&own);
            (listed || own == name, own.to_owned())
        }
    }
}

/// Whether a role is the workload's own, or listed for its ServiceAccount (`hardening.md` A12); and its own.
fn is_own_role(settings: &Settings, who: Who<'_>, role: &str) -> (bool, String) {
    let listed = |roles: &[String]| roles.iter().any(|listed| listed == role);
    let Who { namespace, service_account } = who;
    if let Some(account) = service_account {
        let own = settings.vault_role(namespace, account);
        let by_list = settings.vault.roles.get(&format!("{namespace}/{account}")).is_some_and(|roles| listed(roles));
        return (own == role || by_list, own);
    }
    let shown = settings.vault_role(if namespace.is_empty() { "<namespace>" } else { namespace }, "<serviceAccount>");
    if namespace.is_empty() {
        return (false, shown);
    }
    let pattern = settings.vault_role(namespace, "*");
    let by_list = settings
        .vault
        .roles
        .iter()
        .any(|(who, roles)| who.strip_prefix(namespace).is_some_and(|rest| rest.starts_with('/')) && listed(roles));
    (super::super::environment::matches(&pattern, role) || by_list, shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_one_however_it_is_written() {
        let mut settings = Settings::default();
        settings.vault.other_auth_mounts = vec!["auth/kubernetes-staging".into()];
        for (cluster, mount, listed, expected) in [
            ("prod", "kubernetes-prod", true, "kubernetes-prod"),
            ("prod", "/v1/auth/kubernetes-prod/", true, "kubernetes-prod"),
            ("prod", "auth/kubernetes-prod", true, "kubernetes-prod"),
            ("prod", "kubernetes-staging", true, "kubernetes-prod"),
            ("prod", "kubernetes", false, "kubernetes-prod"),
            ("prod", "kubernetes-test", false, "kubernetes-prod"),
            ("", "kubernetes-test", true, "kubernetes-<cluster>"),
            ("", "kubernetes", false, "kubernetes-<cluster>"),
            ("", "kubernetes-", true, "kubernetes-<cluster>"),
        ] {
            settings.cluster.name = cluster.into();
            assert_eq!(is_listed_mount(&settings, mount_name(mount)), (listed, expected.to_owned()), "{cluster} {mount}");
        }
    }

    #[test]
    fn hardening_a12_a_role_is_the_workloads_own_or_listed() {
        let mut settings = Settings::default();
        settings.vault.roles = [("payments/api".to_owned(), vec!["ledger".to_owned()])].into();
        for (namespace, account, role, own) in [
            ("payments", Some("api"), "payments.api", true),
            ("payments", Some("api"), "ledger", true),
            ("payments", Some("web"), "ledger", false),
            ("payments", Some("api"), "payments.web", false),
            ("payments", None, "payments.web", true),
            ("payments", None, "ledger", true),
            ("payment", None, "ledger", false),
            ("payments", None, "shop.web", false),
            ("", None, "payments.api", false),
        ] {
            let who = Who { namespace, service_account: account };
            assert_eq!(is_own_role(&settings, who, role).0, own, "{namespace}/{account:?} {role}");
        }
    }
}
