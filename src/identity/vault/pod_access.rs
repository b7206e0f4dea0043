//! How a pod reaches Vault: by the variables of its containers, the configurations of its agents, and what it asks of the vendors'
//! injectors.

use super::super::expansion::Environment;
use super::super::pod::{Pod, Variable};
use super::access::{Access, VaultAccess, Who};
use super::config::{AgentConfig, blocks, is_on, texts};
use super::{ADDRESS_VARIABLES, PREFIXES, annotation, flags, go_true};
use crate::object::Node;
use crate::settings::Settings;

/// Variables of Vault's own client that lead to an agent or a proxy that speaks for it.
const RELAY_VARIABLES: [&str; 4] = ["VAULT_AGENT_ADDR", "BAO_AGENT_ADDR", "VAULT_PROXY_ADDR", "BAO_PROXY_ADDR"];

/// Variables that name an HTTP proxy for the client.
const PROXY_VARIABLES: [&str; 2] = ["VAULT_HTTP_PROXY", "BAO_HTTP_PROXY"];

/// Variables that turn the verification of the server off.
const SKIP_VARIABLES: [&str; 2] = ["VAULT_SKIP_VERIFY", "BAO_SKIP_VERIFY"];

/// The two halves of an `AppRole` login.
const APPROLE_VARIABLES: [&str; 4] = ["VAULT_ROLE_ID", "VAULT_SECRET_ID", "BAO_ROLE_ID", "BAO_SECRET_ID"];

/// The role that an injected agent is asked to log in as.
const ROLE_ANNOTATION: &str = "doorward.dev/vault-role";

/// Reads a pod. `logs_in` names the containers that log in, `unread` the place of an agent too many to be read, `vendor` the prefix under
/// which the vendor's agent is still to come.
pub(super) fn read<'a>(
    pod: &Pod<'a>,
    settings: &'a Settings,
    namespace: &'a str,
    logs_in: &[&str],
    configs: &[AgentConfig],
    unread: Option<String>,
    vendor: Option<&'static str>,
) -> Option<VaultAccess<'a>> {
    let mut access = Access::new(settings, true);
    let who = Who { namespace, service_account: Some(pod.service_account) };
    let mut logs_in = logs_in.to_vec();
    logs_in.sort_unstable();
    for container in &pod.containers {
        let mut has_address = false;
        let mut environment = Environment::of(container.node);
        for (position, variable) in container.env.iter().enumerate() {
            if variable.name.starts_with("VAULT_") || variable.name.starts_with("BAO_") {
                has_address |= ADDRESS_VARIABLES.contains(&variable.name);
                let value = environment.value(position, variable.value);
                of_variable(&mut access, variable, &value, || format!("{}.env[{position}]", container.place()));
            }
        }
        flags::read(&mut access, container, &mut environment, settings);
        if !has_address && logs_in.binary_search(&container.name).is_ok() {
            // What a Secret or a ConfigMap makes of these names is not seen here.
            let hides = |prefix: &str| ADDRESS_VARIABLES.iter().any(|name| name.starts_with(prefix));
            for (position, _) in container.env_from().enumerate().filter(|(_, all)| hides(all.text("prefix"))) {
                access.address_from_elsewhere(format!("{}.envFrom[{position}]", container.place()));
            }
        }
    }
    for unread in configs.iter().flat_map(|config| &config.unread) {
        access.unread(unread.clone());
    }
    for config in configs.iter().flat_map(|config| [Some(config), config.other.as_deref()]).flatten() {
        if let Some(root) = config.root() {
            of_config(&mut access, root, who, &config.field_path);
        } else if let Some(variable) = config.unreadable() {
            access.unreadable(variable, config.field_path.clone());
        } else if config.is_elsewhere() {
            access.address_from_elsewhere(config.field_path.clone());
        }
    }
    if let Some(place) = unread {
        // At its name, for an injection may add to the rest of the container.
        access.method("unknown", false, format!("{place}.name"));
    }
    if let Some(prefix) = vendor {
        of_vendor(&mut access, pod, prefix, who);
    }
    if let Some(role) = pod.annotation(ROLE_ANNOTATION).filter(|role| !role.is_empty()) {
        access.role(role, who, format!("metadata.annotations[{ROLE_ANNOTATION}]"));
    }
    access.finish()
}

fn of_variable<'a>(access: &mut Access<'a>, variable: &Variable<'a>, value: &str, at: impl Fn() -> String) {
    let name = variable.name;
    let elsewhere = value.is_empty() && variable.from.is_some();
    let is_address = ADDRESS_VARIABLES.contains(&name) || RELAY_VARIABLES.contains(&name);
    let is_proxy = PROXY_VARIABLES.contains(&name);
    if (is_address || is_proxy) && elsewhere {
        access.address_from_elsewhere(at());
    } else if is_address && !value.is_empty() {
        access.address(value, format!("{}.value", at()));
    } else if is_proxy && !value.is_empty() {
        access.proxy(value, format!("{}.value", at()));
    } else if SKIP_VARIABLES.contains(&name) && (elsewhere || go_true(value) || value.contains("$(")) {
        access.unverified(name, at());
    } else if APPROLE_VARIABLES.contains(&name) && (elsewhere || !value.is_empty()) {
        access.method("approle", false, at());
    }
}

/// Reads an agent's configuration. Of a setting that stands there twice both are judged.
fn of_config(access: &mut Access<'_>, config: Node<'_>, who: Who<'_>, at: &str) {
    for vault in blocks(config, "vault") {
        for url in texts(vault, "address").filter(|url| !url.is_empty()) {
            access.address(url, at.to_owned());
        }
        if blocks(vault, "tls_skip_verify").any(is_on) {
            access.unverified("tls_skip_verify", at.to_owned());
        }
    }
    for method in blocks(config, "auto_auth").flat_map(|auth| blocks(auth, "method")) {
        let mut kinds = texts(method, "type").peekable();
        if kinds.peek().is_none() {
            access.method("", false, at.to_owned());
        }
        for kind in kinds {
            access.method(kind.to_owned(), false, at.to_owned());
            if kind == "kubernetes" {
                let mut mounts = texts(method, "mount_path").peekable();
                if mounts.peek().is_none() {
                    access.mount("auth/kubernetes", at.to_owned());
                }
                mounts.for_each(|mount| access.mount(mount.to_owned(), at.to_owned()));
            }
        }
        for role in blocks(method, "config").flat_map(|config| texts(config, "role")) {
            access.role(role.to_owned(), who, at.to_owned());
        }
    }
}

/// Reads what the vendor's injector will be told, with the vendor's defaults at the annotation that asks for it.
fn of_vendor<'a>(access: &mut Access<'a>, pod: &Pod<'a>, asked_by: &str, who: Who<'_>) {
    // openbao-k8s reads the annotations of vault-k8s as its own.
    let value = |key: &str| {
        let found =
            PREFIXES.iter().find_map(|prefix| Some((annotation(pod, prefix, key)?, format!("metadata.annotations[{prefix}{key}]"))));
        found.filter(|(value, _)| !value.is_empty())
    };
    let asked = || format!("metadata.annotations[{asked_by}agent-inject]");
    let (method, at) = value("auth-type").unwrap_or_else(|| ("kubernetes", asked()));
    access.method(method, false, at);
    if method == "kubernetes" {
        let (mount, at) = value("auth-path").unwrap_or_else(|| ("auth/kubernetes", asked()));
        access.mount(mount, at);
    }
    if let Some((role, at)) = value("role") {
        access.role(role, who, at);
    }
    if let Some((url, at)) = value("service") {
        access.address(url, at);
    }
    if let Some((url, at)) = value("proxy-address") {
        access.proxy(url, at);
    }
    if let Some((_, at)) = value("tls-skip-verify").filter(|(value, _)| go_true(value)) {
        access.unverified("tls-skip-verify", at);
    }
}
