//! `vault-agent`: a Vault or OpenBao agent that logs in as the workload and renders its secrets into memory.

mod config;
mod container;
mod template;

use serde_json::json;

use self::container::{Agent, Form, Parts};
use super::outcome::Conflict;
use super::place::Additions;
use super::pod::{Container, Pod};
use super::vault_token::Token;
use super::{AgentMode, Step};
use crate::identity::Class;
use crate::object::{FieldPath, Node, Operation};
use crate::settings::ConfigMode;

const INIT: &str = "vault-agent-init";
const AGENT: &str = "vault-agent";
const SECRETS: &str = "vault-secrets";
const CONFIG: &str = "vault-config";
/// The agent's configuration; ours alone, rewritten on every creation.
const CONFIG_ANNOTATION: &str = "doorward.dev/vault-agent-config";
const MODE_ANNOTATION: &str = "doorward.dev/vault-agent-mode";
/// The vendors' injectors: the prefix of their annotations, and the one that switches them on.
const VENDORS: [(&str, &str); 2] =
    [("vault.hashicorp.com/", "vault.hashicorp.com/agent-inject"), ("openbao.org/", "openbao.org/agent-inject")];

/// What the injection has to do with a pod. Known from the start, because the token and the mounts depend on it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Role {
    /// Not due: no policy asks, no Vault address is set, or the node runs Windows.
    None,
    /// The author has an agent of their own: group C of the rules judges it.
    Authors,
    /// The vendor's injector acts, by annotations with this prefix.
    Vendor(&'static str),
    /// None: the Secrets Store CSI driver brings the secrets instead.
    Csi,
    /// Ours.
    Ours(AgentMode),
    /// The pod asks for something that does not exist.
    Refused(Conflict),
}

impl Role {
    pub(super) fn names(&self) -> &'static [&'static str] {
        match self {
            Self::Ours(AgentMode::Init) => &[INIT],
            Self::Ours(AgentMode::Sidecar) | Self::Vendor(_) => &[INIT, AGENT],
            Self::None | Self::Authors | Self::Csi | Self::Refused(_) | Self::Ours(AgentMode::Csi) => &[],
        }
    }

    pub(super) fn needs_token(&self) -> bool {
        !self.names().is_empty()
    }
}

/// Finds the role. Nothing that this or another hook adds between two calls changes it.
pub(super) fn role(pod: &Pod<'_>, steps: &[Step]) -> Role {
    let mut asked = steps.iter().filter_map(|step| if let Step::VaultAgent { mode } = step { Some(*mode) } else { None }).peekable();
    if asked.peek().is_none() || pod.is_windows() || pod.settings().vault.address.is_none() {
        return Role::None;
    }
    let vendor = VENDORS.into_iter().find(|(_, switch)| pod.template.annotation(switch).is_some_and(is_true));
    if let Some((prefix, _)) = vendor {
        return Role::Vendor(prefix);
    }
    if pod.containers().any(|container| ![INIT, AGENT].contains(&container.name()) && container::is_agent(container.node)) {
        return Role::Authors;
    }
    let job = pod.surroundings.class == Class::Job;
    let mode = match (asked.flatten().min(), pod.template.annotation(MODE_ANNOTATION)) {
        (Some(mode), _) => mode,
        (None, Some("init")) => AgentMode::Init,
        (None, Some("sidecar")) => AgentMode::Sidecar,
        (None, Some("csi")) => AgentMode::Csi,
        (None, None) => {
            if job {
                AgentMode::Init
            } else {
                AgentMode::Sidecar
            }
        }
        (None, Some(other)) => {
            let path = annotation_path(MODE_ANNOTATION);
            return Role::Refused(Conflict::new(path, format!("there is no agent mode `{other}`"), "write `init`, `sidecar` or `csi`"));
        }
    };
    if mode == AgentMode::Csi {
        return Role::Csi;
    }
    if job && mode == AgentMode::Sidecar && !pod.settings().vault.agent.native_sidecar {
        let reason = "an agent in `containers` never ends, so the Job would not either";
        return Role::Refused(Conflict::new(annotation_path(MODE_ANNOTATION), reason, "use mode `init`, or native sidecars"));
    }
    Role::Ours(mode)
}

/// The operations; `None` if the injection is not due.
pub(super) fn apply(pod: &Pod<'_>, role: &Role, token: &Token<'_>) -> Option<Result<Vec<Operation>, Conflict>> {
    match role {
        Role::None | Role::Csi => None,
        Role::Authors => Some(Ok(Vec::new())),
        Role::Refused(conflict) => Some(Err(conflict.clone())),
        Role::Vendor(prefix) => Some(direct_vendor(pod, prefix, token)),
        Role::Ours(mode) => Some(add(pod, *mode, token)),
    }
}

/// Tells the vendor's injector which token and which mount to use, where the author does not say so: it would take the first mount
/// whose path looks like a token's. What the author does say is for the rules to judge.
fn direct_vendor(pod: &Pod<'_>, prefix: &str, token: &Token<'_>) -> Result<Vec<Operation>, Conflict> {
    let mut additions = Additions::default();
    let volume = token.serving(pod).map(|serving| serving.volume.to_owned());
    let wanted = [("auth-path", Some(pod.settings().vault_auth_mount())), ("agent-service-account-token-volume-name", volume)];
    for (name, value) in wanted {
        let key = format!("{prefix}{name}");
        if let Some(value) = value
            && pod.template.annotation(&key).is_none()
        {
            additions.annotate(&key, value);
        }
    }
    additions.operations(pod)
}

fn add(pod: &Pod<'_>, mode: AgentMode, token: &Token<'_>) -> Result<Vec<Operation>, Conflict> {
    let vault = &pod.settings().vault;
    // The injection of the token ran before, and if it failed this one is not called.
    let Some(serving) = token.serving(pod) else {
        return Err(Conflict::new(
            FieldPath::of(&["spec", "volumes"]),
            "no volume holds a token for Vault",
            "ask for injection `vault-token`",
        ));
    };
    let mut additions = Additions::default();

    let is_app = |container: &Container<'_>| container.list == "containers" && !container.is_mesh() && !pod.is_agent(container);
    pod.reserve(SECRETS, |container| pod.is_agent(container) || is_app(container))?;
    pod.reserve(CONFIG, |container| pod.is_agent(container))?;

    let secrets = json!({"name": SECRETS, "emptyDir": {"medium": "Memory"}});
    if pod.lacks_volume(&secrets, "the agent's directory of secrets in memory")? {
        additions.volumes.push(secrets);
    }
    let source = match vault.agent.config_mode {
        ConfigMode::Generated => {
            let token_path = format!("{}/{}", token.mount_path.trim_end_matches('/'), serving.file);
            additions.annotate(CONFIG_ANNOTATION, config::generate(pod, &token_path)?);
            let reference = json!({"fieldPath": format!("metadata.annotations['{CONFIG_ANNOTATION}']")});
            json!({"name": CONFIG, "downwardAPI": {"items": [{"path": "config.hcl", "fieldRef": reference}]}})
        }
        ConfigMode::ConfigMap => {
            let default = || format!("{}-vault-config", pod.template.service_account_name());
            let name = pod.template.annotation("doorward.dev/vault-config-map").map_or_else(default, str::to_owned);
            json!({"name": CONFIG, "configMap": {"name": name}})
        }
    };
    if pod.lacks_volume(&source, "the agent's configuration")? {
        additions.volumes.push(source);
    }
    for container in pod.app_containers() {
        let serves = |mount: Node<'_>| is_secrets_mount(mount, &vault.secrets_path);
        if container.lacks_mount(&vault.secrets_path, "the directory of secrets", serves)? {
            additions.mount(&container, json!({"name": SECRETS, "mountPath": vault.secrets_path, "readOnly": true}));
        }
        if let Some(index) = container.node.list("volumeMounts").position(|mount| mount.text("name") == SECRETS && !serves(mount)) {
            return Err(Conflict::new(
                container.path().field("volumeMounts").index(index),
                format!("container `{}` mounts `{SECRETS}` otherwise than read-only at `{}`", container.name(), vault.secrets_path),
                "remove the mount: the injection adds it",
            ));
        }
    }
    let agent = Agent::new(pod, &Parts { token_volume: serving.volume, token_path: token.mount_path });
    place_containers(pod, mode, &agent, &mut additions)?;
    additions.operations(pod)
}

fn is_secrets_mount(mount: Node<'_>, path: &str) -> bool {
    use crate::identity::MountPath;
    mount.text("name") == SECRETS
        && mount.get("readOnly").and_then(Node::as_bool) == Some(true)
        && super::pod::is_whole(mount)
        && MountPath::new(mount.text("mountPath")) == MountPath::new(path)
}

/// Ours come before the author's init containers: at the front, or right behind a mesh proxy that is itself one, so that Vault is
/// reached through it. A classic proxy's init container comes after ours: it redirects traffic to a proxy that does not run yet.
fn place_containers(pod: &Pod<'_>, mode: AgentMode, agent: &Agent, additions: &mut Additions) -> Result<(), Conflict> {
    let stays = match (mode, pod.settings().vault.agent.native_sidecar) {
        (AgentMode::Init | AgentMode::Csi, _) => None,
        (AgentMode::Sidecar, true) => Some(Form::Native),
        (AgentMode::Sidecar, false) => Some(Form::Classic),
    };
    let behind_proxy = || {
        let is_proxy =
            |node: Node<'_>| matches!(node.text("name"), "linkerd-proxy" | "istio-proxy") && node.text("restartPolicy") == "Always";
        pod.spec().list("initContainers").rposition(is_proxy).map_or(0, |index| index + 1)
    };
    let first = present(pod, Form::Once, agent)?;
    let second = stays.map(|form| present(pod, form, agent)).transpose()?.flatten();
    if first.is_none() {
        // Before the one that stays, if that one is there.
        let at = second.filter(|_| stays == Some(Form::Native)).unwrap_or_else(behind_proxy);
        additions.init_containers.push((at, agent.container(Form::Once, pod.template)));
    }
    match (stays, second) {
        (Some(Form::Native), None) => {
            let at = first.map_or_else(behind_proxy, |index| index + 1);
            additions.init_containers.push((at, agent.container(Form::Native, pod.template)));
        }
        (Some(form), None) => additions.containers.push(agent.container(form, pod.template)),
        _ => {}
    }
    Ok(())
}

/// Where a container of ours already stands; a conflict if something else has its name.
fn present(pod: &Pod<'_>, form: Form, agent: &Agent) -> Result<Option<usize>, Conflict> {
    let name = form.name();
    let Some(found) = pod.containers().find(|container| container.name() == name) else { return Ok(None) };
    if found.list == form.list() && agent.is(form, found.node, &pod.settings().vault.agent.accepted_images) {
        return Ok(Some(found.index));
    }
    Err(Conflict::new(found.path(), format!("a container named `{name}` exists and is not the injected agent"), "rename the container"))
}

fn annotation_path(key: &str) -> FieldPath {
    FieldPath::of(&["metadata", "annotations"]).key(key)
}

/// Go's `strconv.ParseBool`, with which the vendors read their annotations.
fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}
