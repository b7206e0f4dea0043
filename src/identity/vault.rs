//! Whether a pod is a client of Vault or `OpenBao`, which containers log in, and with which token.
//!
//! A pod is a client by any one sign: an agent container, a token of the Vault audience, the vendor's annotation, `VAULT_ADDR` or
//! `BAO_ADDR`, a Vault server's host anywhere in env, command or args, or because the setting `vault.clients` lists it.
//!
//! - `access`: how an object reaches Vault, in words that pods and the operators' kinds share
//! - `address`: where it connects
//! - `config`: the configuration of an agent
//! - `config_map`: the files that it stands in
//! - `flags`: what a command line says in place of both
//! - `login`: how an agent logs in
//! - `pod_access`: how a pod reaches Vault
//! - `shape`: whether a pod can start and end with its agents
//! - `template`: what a template may ask for
//! - `vendor`: annotations of the vendors' injectors

pub(super) mod access;
mod address;
mod config;
mod config_map;
mod flags;
mod login;
mod pod_access;
mod shape;
mod template;
mod vendor;

pub use access::{AuthMethod, AuthMount, Named, TokenAudiences, TokenSeconds, VaultAccess, VaultRole};
pub use address::VaultAddress;
pub use config_map::UnreadConfig;
pub(super) use config_map::config_maps;
pub use shape::AgentShape;
pub use template::{DENIED_FUNCTIONS, TemplateFlaw, check_template, check_template_between};
pub(super) use vendor::unlisted as unlisted_annotations;

use std::borrow::Cow;

use config::AgentConfig;

use super::model::{Credential, CredentialKind, VaultLogin, VaultToken};
use super::pod::{Container, Pod, Variable, Word};
use super::surroundings::Surroundings;
use crate::settings::{Grantee, Settings};

/// Annotation prefixes of vault-k8s and openbao-k8s.
const PREFIXES: [&str; 2] = ["vault.hashicorp.com/", "openbao.org/"];

/// Environment variables that hold a server's URL.
const ADDRESS_VARIABLES: [&str; 2] = ["VAULT_ADDR", "BAO_ADDR"];

/// Containers of the mesh, which log in nowhere.
const PROXIES: [&str; 2] = ["linkerd-proxy", "istio-proxy"];

/// How many agents' logins are read. A further one is listed as a login of which nothing is known.
const AGENTS: usize = 8;

/// What shows that the pod is a client.
struct Sign<'a> {
    evidence: Cow<'a, str>,
    field_path: String,
}

/// Reads the pod as a client of Vault.
pub(super) fn read<'a>(
    pod: &Pod<'a>,
    surroundings: &Surroundings<'a>,
    credentials: &[Credential<'a>],
) -> (VaultLogin<'a>, Option<VaultAccess<'a>>) {
    let Surroundings { settings, namespace, .. } = *surroundings;
    let vendor = PREFIXES.into_iter().find(|prefix| annotation(pod, prefix, "agent-inject").is_some_and(go_true));
    let hosts: Vec<Host<'_>> = settings.vault.address.iter().chain(&settings.vault.addresses).filter_map(|url| Host::of(url)).collect();
    let mut agents: Vec<&Container<'a>> = Vec::new();
    let mut talkers: Vec<&'a str> = Vec::new();
    let mut sign: Option<Sign<'a>> = None;
    for container in pod.lasting() {
        let name = container.name;
        if is_agent(container, settings) {
            if agents.is_empty() {
                let evidence = Cow::Owned(format!("container `{name}` is a Vault agent"));
                sign = Some(Sign { evidence, field_path: container.place() });
            }
            agents.push(container);
        } else if let Some((evidence, field)) = talks(container, &hosts) {
            talkers.push(name);
            sign = sign.or_else(|| Some(Sign { evidence, field_path: format!("{}.{field}", container.place()) }));
        }
    }
    let tokens: Vec<&Credential<'a>> = credentials
        .iter()
        .filter(|credential| {
            credential.kind == CredentialKind::ServiceAccountToken && credential.audience == Some(&*settings.vault.audience)
        })
        .collect();
    if let Some(prefix) = vendor {
        let evidence = Cow::Owned(format!("annotation `{prefix}agent-inject` is true"));
        sign = sign.or_else(|| Some(Sign { evidence, field_path: format!("metadata.annotations[{prefix}agent-inject]") }));
    }
    if let Some(token) = tokens.first() {
        let evidence = Cow::Owned(format!("a projected token has the audience `{}`", settings.vault.audience));
        sign = sign.or_else(|| Some(Sign { evidence, field_path: token.field_path.clone() }));
    }
    if sign.is_none() && is_listed(pod, surroundings) {
        sign = Some(Sign { evidence: Cow::Borrowed("the setting `vault.clients` lists it"), field_path: "spec.serviceAccountName".into() });
    }
    // A container that was added to a running pod, or a variable of the client alone, makes no client; where it leads is read all the same.
    let Some(sign) = sign else { return (VaultLogin::none(), pod_access::read(pod, settings, namespace, &[], &[], None, None)) };

    let mut holders: Vec<&str> = tokens.iter().flat_map(|token| token.containers.iter().copied()).collect();
    holders.sort_unstable();
    let containers: Vec<&str> = if !agents.is_empty() {
        agents.iter().map(|agent| agent.name).collect()
    } else if vendor.is_some() {
        Vec::new()
    } else if !talkers.is_empty() {
        talkers
    } else {
        let names = |of_app: bool| {
            let all = pod.containers.iter().filter(move |container| !of_app || container.list == "containers");
            all.map(|container| container.name).filter(|name| !PROXIES.contains(name))
        };
        let holding: Vec<&str> = names(false).filter(|name| holders.binary_search(name).is_ok()).collect();
        if holding.is_empty() { names(true).collect() } else { holding }
    };
    let without_token = containers.iter().copied().filter(|name| holders.binary_search(name).is_err()).collect();

    let configs: Vec<AgentConfig> = agents.iter().take(AGENTS).map(|agent| AgentConfig::of(pod.template, agent, surroundings)).collect();
    let too_many = agents.get(AGENTS).map(|agent| agent.place());
    let unread = too_many.clone().map(login::unread);
    let mut logins = agents.iter().zip(&configs).map(|(agent, config)| login::of_agent(agent, config, credentials)).chain(unread);
    let (login, other_logins) = match (logins.next(), vendor) {
        (Some(first), _) => {
            let others = logins.filter(|other| !login::same(&first, other)).collect();
            (Some(first), others)
        }
        (None, Some(prefix)) => (Some(login::of_vendor(pod, prefix, &tokens)), Vec::new()),
        (None, None) => (None, Vec::new()),
    };
    let token = tokens.into_iter().find(|token| {
        if containers.is_empty() {
            login.as_ref().is_some_and(|login| login.token_volume.is_some() && login.token_volume == token.volume)
        } else {
            containers.iter().any(|name| token.containers.contains(name))
        }
    });
    // An agent that stands in the vendor's place logs in as Doorward told it, whatever the annotations say of a token.
    let replaced = settings.vault.agent.honour_vendor_annotations && !agents.is_empty() && !configs.iter().any(AgentConfig::is_in_variable);
    let still_to_come = vendor.filter(|_| agents.is_empty());
    let access = pod_access::read(pod, settings, namespace, &containers, &configs, too_many, still_to_come);
    let login = VaultLogin {
        client: true,
        evidence: Some(sign.evidence),
        field_path: Some(sign.field_path),
        vendor: vendor.is_some() && !replaced,
        login,
        other_logins,
        agents: shape::read(pod.template, settings, &agents, &configs),
        containers,
        without_token,
        token: token.map(|token| VaultToken {
            volume: token.volume.unwrap_or_default(),
            path: token.path.clone(),
            seconds: token.seconds.unwrap_or_default(),
            field_path: token.field_path.clone(),
        }),
    };
    (login, access)
}

/// Whether the operator says that the pod is a client, as far as is known: to be one adds duties.
fn is_listed(pod: &Pod<'_>, surroundings: &Surroundings<'_>) -> bool {
    let Surroundings { settings, namespace, .. } = *surroundings;
    let named = |client: &Grantee| client.may_be(namespace, pod.service_account, surroundings.namespace_uid());
    settings.vault.clients.iter().any(named)
}

impl VaultLogin<'_> {
    fn none() -> Self {
        Self {
            client: false,
            evidence: None,
            field_path: None,
            vendor: false,
            login: None,
            other_logins: Vec::new(),
            agents: Vec::new(),
            containers: Vec::new(),
            without_token: Vec::new(),
            token: None,
        }
    }
}

fn annotation<'a>(pod: &Pod<'a>, prefix: &str, key: &str) -> Option<&'a str> {
    pod.annotations?.entries().rev().find(|(name, _)| name.strip_prefix(prefix) == Some(key)).and_then(|(_, value)| value.as_str())
}

/// Go's `strconv.ParseBool`, true only for its six spellings of true.
fn go_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True")
}

/// Whether a container runs Vault's program other than as a server: by command and args, or by image with something to do.
fn is_agent(container: &Container<'_>, settings: &Settings) -> bool {
    match called(container.words()) {
        Called::Agent => return true,
        Called::Another => return false,
        Called::Unknown => {}
    }
    // Without a word the image's own command is a server in development mode.
    if container.words.is_empty() {
        return false;
    }
    let repository = repository(container.image);
    let agent = &settings.vault.agent;
    let is_ours = |image: &String| image.starts_with(repository) && self::repository(image) == repository;
    let ours = || std::iter::once(&agent.image).chain(&agent.accepted_images).any(is_ours);
    let vaults = matches!(repository.rsplit('/').next(), Some("vault" | "vault-enterprise" | "openbao" | "openbao-ubi"));
    (vaults || !repository.is_empty() && ours()) && !container.words().any(|word| word.split_whitespace().any(|w| w == "server"))
}

/// Whether a container runs the agent itself, rather than a script around Vault's client: by its words, or by the image's program.
fn runs_agent(container: &Container<'_>) -> bool {
    match called(container.words()) {
        Called::Agent => true,
        Called::Another => false,
        Called::Unknown => container.words().find(|word| !word.starts_with('-')).is_some_and(|word| matches!(word, "agent" | "proxy")),
    }
}

/// What words say is called of Vault's program.
enum Called {
    Agent,
    Another,
    Unknown,
}

fn called<'a>(words: impl Iterator<Item = &'a str>) -> Called {
    let mut program = false;
    for word in words {
        if program && !word.starts_with('-') {
            return if matches!(word, "agent" | "proxy") { Called::Agent } else { Called::Another };
        }
        program |= is_program(word);
        if word.bytes().any(|byte| byte.is_ascii_whitespace()) && script_runs_agent(word) {
            return Called::Agent;
        }
    }
    Called::Unknown
}

fn is_program(word: &str) -> bool {
    let directory = word.strip_suffix("vault").or_else(|| word.strip_suffix("bao"));
    directory.is_some_and(|directory| directory.is_empty() || directory.ends_with('/'))
}

/// Whether a script calls the program's `agent` or `proxy`, whatever stands between the words.
fn script_runs_agent(script: &str) -> bool {
    let mut program = false;
    for word in script.split_ascii_whitespace() {
        let word = word.trim_matches(['"', '\'', '(', ')', ';', '&', '|', '`']);
        if program && matches!(word, "agent" | "proxy") {
            return true;
        }
        program = is_program(word) || program && (word.is_empty() || word == "\\");
    }
    false
}

/// An image without tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

/// The first sign in a container's env, command or args that it talks to Vault, with its field.
fn talks<'a>(container: &Container<'a>, hosts: &[Host<'_>]) -> Option<(Cow<'a, str>, String)> {
    for (index, Variable { name, value, .. }) in container.env.iter().enumerate() {
        if ADDRESS_VARIABLES.contains(name) {
            return Some((Cow::Owned(format!("variable `{name}` is set")), format!("env[{index}]")));
        }
        if !value.is_empty() && hosts.iter().any(|host| host.is_in(value)) {
            return Some((Cow::Owned(format!("variable `{name}` names a Vault server")), format!("env[{index}].value")));
        }
    }
    let Word { field, index, .. } = container.words.iter().find(|word| hosts.iter().any(|host| host.is_in(word.text)))?;
    Some((Cow::Borrowed("the command line names a Vault server"), format!("{field}[{index}]")))
}

/// Where a short part stands in a text: to look for one is less work than what `str::find` does before it begins to look.
fn position<const LENGTH: usize>(text: &str, part: &[u8; LENGTH]) -> Option<usize> {
    text.as_bytes().windows(LENGTH).position(|window| window == part)
}

/// The host of a Vault server's URL. A Service's name is found in each form that the cluster's DNS resolves.
#[derive(Clone, Copy, Debug)]
struct Host<'s> {
    name: &'s str,
    /// Whether `name` is `<service>.<namespace>`, to which `.svc` and the cluster's domain may be appended.
    service: bool,
    /// What the settings append to a Service's name: `.svc` and the cluster's domain.
    domain: &'s str,
}

impl<'s> Host<'s> {
    fn of(url: &'s str) -> Option<Self> {
        let rest = position(url, b"://").and_then(|scheme| url.get(scheme + 3..)).unwrap_or(url);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let name = match host.strip_prefix('[') {
            Some(address) => address.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let name = name.trim_end_matches('.');
        let service =
            position(name, b".svc").map(|end| name.split_at(end)).filter(|(_, domain)| *domain == ".svc" || domain.starts_with(".svc."));
        let (name, domain) = service.unwrap_or((name, ""));
        (!name.is_empty()).then_some(Self { name, service: service.is_some(), domain })
    }

    /// Whether a text names the host, whole and in any case. Every variable of every pod is searched, so candidates are found by the
    /// first dot of the name, which is rare in them.
    fn is_in(&self, text: &str) -> bool {
        if text.len() < self.name.len() {
            return false;
        }
        match self.name.find('.') {
            Some(anchor) => {
                let mut behind = text.bytes().enumerate().skip(anchor);
                behind.any(|(dot, byte)| byte == b'.' && self.stands_at(text.as_bytes(), dot - anchor))
            }
            None => (0..=text.len() - self.name.len()).any(|start| self.stands_at(text.as_bytes(), start)),
        }
    }

    fn stands_at(&self, text: &[u8], start: usize) -> bool {
        let part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let (before, rest) = text.split_at_checked(start).unwrap_or_default();
        let Some((found, after)) = rest.split_at_checked(self.name.len()) else { return false };
        let begins = |text: &[u8]| text.first().map(u8::to_ascii_lowercase);
        begins(found) == begins(self.name.as_bytes())
            && found.eq_ignore_ascii_case(self.name.as_bytes())
            && !before.last().is_some_and(|byte| part(*byte))
            && match after {
                [] => true,
                [b'.', rest @ ..] if self.service && !rest.is_empty() => {
                    rest.get(..3).is_some_and(|rest| rest.eq_ignore_ascii_case(b"svc"))
                }
                // A dot at the end is the root of the DNS.
                [b'.', rest @ ..] => !rest.first().is_some_and(|byte| part(*byte)),
                [byte, ..] => !part(*byte),
            }
    }
}

#[cfg(test)]
mod tests;
