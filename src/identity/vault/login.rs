//! How an agent logs in, read from its configuration as far as the pod shows it.

use std::borrow::Cow;

use super::super::credentials::TOKEN_DIRECTORY;
use super::super::model::{Credential, Login};
use super::super::mount_path::MountPath;
use super::super::pod::{Container, Pod};
use super::config::{AgentConfig, blocks, texts, variable};
use super::{ADDRESS_VARIABLES, PREFIXES, annotation};
use crate::object::Node;

/// Where the vendors' injectors mount a token volume that no container mounts.
const VENDOR_TOKEN_PATHS: [&str; 2] =
    ["/var/run/secrets/vault.hashicorp.com/serviceaccount", "/var/run/secrets/openbao.openbao.org/serviceaccount"];

/// The login of an agent container. What its configuration does not show (a `ConfigMap`, a file of the image) is absent.
pub(super) fn of_agent<'a>(agent: &Container<'a>, config: &AgentConfig, credentials: &[Credential<'a>]) -> Login<'a> {
    let container = agent.name;
    let mut login = Login {
        container: Some(container),
        method: None,
        role: None,
        mount: None,
        address: variable(agent.node, &ADDRESS_VARIABLES).map(|(_, value)| Cow::Borrowed(value)),
        token_path: None,
        token_volume: None,
        field_path: config.field_path.clone(),
    };
    if let Some(config) = config.root() {
        read_config(&mut login, config);
    }
    if let Some(path) = &login.token_path {
        let token =
            credentials.iter().find(|credential| credential.path.as_ref() == Some(path) && credential.containers.contains(&container));
        login.token_volume = token.and_then(|token| token.volume);
    }
    login
}

/// A login of which nothing is known.
pub(super) fn unread(field_path: String) -> Login<'static> {
    Login { container: None, method: None, role: None, mount: None, address: None, token_path: None, token_volume: None, field_path }
}

/// The login that the vendor's injector will give its agent, by the pod's annotations and the vendor's defaults.
pub(super) fn of_vendor<'a>(pod: &Pod<'a>, prefix: &str, tokens: &[&Credential<'a>]) -> Login<'a> {
    // openbao-k8s reads the annotations of vault-k8s as its own.
    let value =
        |key: &str| PREFIXES.iter().find_map(|prefix| annotation(pod, prefix, key)).filter(|value| !value.is_empty()).map(Cow::Borrowed);
    let method = value("auth-type").unwrap_or(Cow::Borrowed("kubernetes"));
    let named = value("agent-service-account-token-volume-name");
    let token = named.and_then(|name| tokens.iter().find(|token| token.volume == Some(&*name)));
    let directory = VENDOR_TOKEN_PATHS.get(usize::from(prefix != PREFIXES[0])).copied().unwrap_or_default();
    Login {
        container: None,
        role: value("role"),
        mount: Some(value("auth-path").unwrap_or_else(|| Cow::Owned(format!("auth/{method}")))),
        method: Some(method),
        address: value("service"),
        token_path: token.map(|token| token.path.clone().unwrap_or_else(|| MountPath::new(directory).join("token"))),
        token_volume: token.and_then(|token| token.volume),
        field_path: format!("metadata.annotations[{prefix}agent-inject]"),
    }
}

/// Whether two agents log in alike, wherever their configuration stands.
pub(super) fn same(one: &Login<'_>, other: &Login<'_>) -> bool {
    one.method == other.method
        && one.role == other.role
        && one.mount == other.mount
        && one.address == other.address
        && one.token_path == other.token_path
}

/// Reads `auto_auth` and `vault` of an agent's configuration in JSON, where HCL's blocks may be lists of one.
fn read_config(login: &mut Login<'_>, config: Node<'_>) {
    let block = |node, key| blocks(node, key).last();
    let owned = |node: Node<'_>, key: &str| texts(node, key).last().map(|value| Cow::Owned(value.to_owned()));
    if let Some(address) = block(config, "vault").and_then(|vault| owned(vault, "address")) {
        login.address = Some(address);
    }
    let Some(method) = block(config, "auto_auth").and_then(|auth| block(auth, "method")) else { return };
    let kind = texts(method, "type").last().unwrap_or_default();
    login.mount = owned(method, "mount_path").or_else(|| (!kind.is_empty()).then(|| Cow::Owned(format!("auth/{kind}"))));
    login.method = Some(Cow::Owned(kind.to_owned()));
    let settings = block(method, "config");
    login.role = settings.and_then(|settings| owned(settings, "role"));
    let path = settings.and_then(|settings| texts(settings, "token_path").last()).filter(|path| !path.is_empty());
    login.token_path = match (path, kind) {
        (Some(path), _) => Some(MountPath::new(path)),
        (None, "kubernetes") => Some(MountPath::new(TOKEN_DIRECTORY).join("token")),
        (None, _) => None,
    };
}
