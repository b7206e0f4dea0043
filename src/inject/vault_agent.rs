//! `vault-agent`: a Vault or OpenBao agent that logs in as the workload and renders its secrets into memory.
//!
//! - `config`: its configuration
//! - `container`: its containers, and how they are known again
//! - `pod_resources`: whether the resources of the pod as a whole hold its own
//! - `vendor`: what pods ask for that were written for vault-k8s or openbao-k8s

mod config;
mod container;
mod pod_resources;
mod vendor;

use self::container::{Agent, Form, Parts};
use self::vendor::Asked;
use super::outcome::Conflict;
use super::place::Additions;
use super::pod::{Container, Pod, downward, read_only_mount};
use super::vault_token::Token;
use super::{AgentMode, Step};
use crate::identity::{Class, MountPath, Relation};
use crate::object::{Content, FieldPath, Node, Operation};
use crate::settings::{AgentRequest, ConfigMode};

const INIT: &str = "vault-agent-init";
const AGENT: &str = "vault-agent";
const SECRETS: &str = "vault-secrets";
const CONFIG: &str = "vault-config";
/// The Secret with the CA that the author names.
const TLS: &str = "vault-tls-secrets";
/// The agent's configuration; ours alone, rewritten on every creation.
const CONFIG_ANNOTATION: &str = "doorward.dev/vault-agent-config";
const MODE_ANNOTATION: &str = "doorward.dev/vault-agent-mode";

/// What the injection has to do with a pod. Known from the start, because the token and the mounts depend on it.
#[derive(Debug, PartialEq)]
pub(super) enum Role<'a> {
    /// Not due: no policy asks, no Vault address is set, or the node runs Windows.
    None,
    /// The author has an agent of their own: group C of the rules judges it.
    Authors,
    /// The vendor's injector acts, by annotations with this prefix.
    Vendor(&'static str),
    /// None: the Secrets Store CSI driver brings the secrets instead.
    Csi,
    /// Ours, as the author asks.
    Ours(AgentMode, Box<Asked<'a>>),
    /// The pod asks for something that does not exist.
    Refused(Conflict),
}

impl Role<'_> {
    pub(super) fn names(&self) -> &'static [&'static str] {
        match self {
            Self::Ours(AgentMode::Init, _) => &[INIT],
            Self::Ours(AgentMode::Sidecar, _) | Self::Vendor(_) => &[INIT, AGENT],
            Self::None | Self::Authors | Self::Csi | Self::Refused(_) | Self::Ours(AgentMode::Csi, _) => &[],
        }
    }

    pub(super) fn needs_token(&self) -> bool {
        !self.names().is_empty()
    }
}

/// Finds the role. Nothing that this or another hook adds between two calls changes it.
pub(super) fn role<'a>(pod: &Pod<'a>, steps: &[Step]) -> Role<'a> {
    let mut modes = steps.iter().filter_map(|step| if let Step::VaultAgent { mode } = step { Some(*mode) } else { None }).peekable();
    if modes.peek().is_none() || pod.is_windows() || pod.settings().vault.address.is_none() {
        return Role::None;
    }
    let honours = pod.settings().vault.agent.honour_vendor_annotations;
    let vendor = vendor::SWITCHES.into_iter().find(|(_, switch)| pod.template.annotation(switch).is_some_and(is_true));
    if let Some((prefix, _)) = vendor {
        if !honours {
            return Role::Vendor(prefix);
        }
        if vendor::has_acted(pod) {
            return Role::Authors;
        }
    }
    if pod.containers().any(|container| !is_agent_name(container.name) && container::is_agent(container.node)) {
        return Role::Authors;
    }
    let asked = match honours.then(|| vendor::asked(pod)).transpose() {
        Ok(asked) => asked.flatten().unwrap_or_default(),
        Err(conflict) => return Role::Refused(conflict),
    };
    let job = pod.surroundings.class == Class::Job;
    let mode = match (modes.flatten().min(), pod.template.annotation(MODE_ANNOTATION)) {
        (Some(mode), _) => mode,
        (None, Some("init")) => AgentMode::Init,
        (None, Some("sidecar")) => AgentMode::Sidecar,
        (None, Some("csi")) => AgentMode::Csi,
        (None, None) => {
            if let Some(mode) = asked.mode {
                mode
            } else if job {
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
    if job && mode == AgentMode::Sidecar && !pod.settings().vault.agent.native_sidecar.is_native() {
        let reason = "an agent in `containers` never ends, so the Job would not either";
        return Role::Refused(Conflict::new(annotation_path(MODE_ANNOTATION), reason, "use mode `init`, or native sidecars"));
    }
    Role::Ours(mode, Box::new(asked))
}

/// The operations; `None` if the injection is not due.
pub(super) fn apply(pod: &Pod<'_>, role: &Role<'_>, token: &Token<'_>) -> Option<Result<Vec<Operation>, Conflict>> {
    match role {
        Role::None | Role::Csi => None,
        Role::Authors => Some(Ok(Vec::new())),
        Role::Refused(conflict) => Some(Err(conflict.clone())),
        Role::Vendor(prefix) => Some(direct_vendor(pod, prefix, token)),
        Role::Ours(mode, asked) => Some(add(pod, *mode, asked, token)),
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
            additions.annotate(key, value);
        }
    }
    additions.operations(pod)
}

/// A directory of rendered files, a volume in memory.
struct Directory<'a> {
    volume: String,
    path: &'a str,
}

/// The pod's directory, and those of single files.
fn directories<'a>(pod: &'a Pod<'_>, asked: &'a Asked<'_>) -> Vec<Directory<'a>> {
    let main = Directory { volume: SECRETS.to_owned(), path: asked.directory.unwrap_or(&pod.settings().vault.secrets_path) };
    let further = asked.directories.iter().enumerate();
    std::iter::once(main).chain(further.map(|(index, path)| Directory { volume: format!("{SECRETS}-custom-{index}"), path })).collect()
}

fn add(pod: &Pod<'_>, mode: AgentMode, asked: &Asked<'_>, token: &Token<'_>) -> Result<Vec<Operation>, Conflict> {
    let vault = &pod.settings().vault;
    let serving = match asked.token_volume {
        None => token.serving(pod),
        Some(volume) => Some(token.serving_of(pod, volume).ok_or_else(|| vendor::refuse_token_volume(pod, volume))?),
    };
    // The injection of the token ran before, and if it failed this one is not called.
    let Some(serving) = serving else {
        return Err(Conflict::new(
            FieldPath::of(&["spec", "volumes"]),
            "no volume holds a token for Vault",
            "ask for injection `vault-token`",
        ));
    };
    let mut additions = Additions::default();
    let directories = directories(pod, asked);
    config::check_annotations(pod)?;
    keep_apart(token, &directories)?;
    reserve(pod, asked, &directories)?;

    for Directory { volume, .. } in &directories {
        let memory = Content::map([("medium", "Memory".into())]);
        let secrets = Content::map([("emptyDir", memory), ("name", volume.clone().into())]);
        if pod.lacks_volume(&secrets, "the agent's directory of secrets in memory")? {
            additions.volumes.push(secrets);
        }
    }
    let source = match vault.agent.config_mode {
        ConfigMode::Generated => {
            let token_path = format!("{}/{}", token.mount_path.trim_end_matches('/'), serving.file);
            additions.annotate(CONFIG_ANNOTATION, config::generate(pod, asked, &token_path)?);
            let file = downward("config.hcl", format!("metadata.annotations['{CONFIG_ANNOTATION}']"));
            Content::map([("downwardAPI", Content::map([("items", Content::list([file]))])), ("name", CONFIG.into())])
        }
        ConfigMode::ConfigMap => {
            let name = config_map(pod)?;
            config::refuse_unread(pod, &name)?;
            Content::map([("configMap", Content::map([("name", name.into())])), ("name", CONFIG.into())])
        }
    };
    if pod.lacks_volume(&source, "the agent's configuration")? {
        additions.volumes.push(source);
    }
    if let Some(secret) = asked.tls_secret {
        let secret = Content::map([("secretName", secret.to_owned().into())]);
        let source = Content::map([("name", TLS.into()), ("secret", secret)]);
        if pod.lacks_volume(&source, "the Secret with Vault's CA")? {
            additions.volumes.push(source);
        }
    }
    for container in pod.containers().filter(|container| gets_files(pod, asked, container)) {
        for directory in &directories {
            mount(&container, directory, &mut additions)?;
        }
    }
    for prefix in &asked.prefixes {
        // A vendor's injector that is still there leaves the pod alone.
        additions.annotate(format!("{prefix}{}", vendor::STATUS), vendor::INJECTED.to_owned());
    }
    let parts = Parts { token_volume: serving.volume, token_path: token.mount_path, directories: &directories, asked };
    place_containers(pod, mode, &Agent::new(pod, &parts), &mut additions)?;
    pod_resources::check(pod, &additions)?;
    additions.operations(pod)
}

/// Which containers find the rendered files: the application's. The vendors give them to init containers too, and let the author
/// choose among the others.
fn gets_files(pod: &Pod<'_>, asked: &Asked<'_>, container: &Container<'_>) -> bool {
    let is_chosen = match container.list {
        "containers" => asked.containers.as_ref().is_none_or(|names| names.contains(&container.name)),
        "initContainers" => !asked.prefixes.is_empty(),
        _ => false,
    };
    is_chosen && !container.is_mesh() && !pod.is_agent(container)
}

/// The agent mounts all of them: of two at one path the API server would refuse the pod, and one inside another could not be made in a
/// volume that is mounted read-only.
fn keep_apart(token: &Token<'_>, directories: &[Directory<'_>]) -> Result<(), Conflict> {
    let fixed = [token.mount_path, container::CONFIG_DIRECTORY];
    let paths = fixed.into_iter().chain(directories.iter().map(|directory| directory.path));
    let paths: Vec<(&str, MountPath)> = paths.map(|path| (path, MountPath::new(path))).collect();
    for (index, (one, path)) in paths.iter().enumerate() {
        for (other, other_path) in paths.iter().skip(index + 1) {
            if path.relation(other_path) != Relation::Apart {
                let reason = format!("the directories `{one}` and `{other}` of the agent lie in each other");
                let remedy = "have the operator mount the token elsewhere, by the policy's `vaultToken.mountPath` or the settings";
                return Err(Conflict::new(FieldPath::of(&["spec", "volumes"]), reason, remedy));
            }
        }
    }
    Ok(())
}

fn reserve(pod: &Pod<'_>, asked: &Asked<'_>, directories: &[Directory<'_>]) -> Result<(), Conflict> {
    for Directory { volume, .. } in directories {
        pod.reserve(volume, |container| pod.is_agent(container) || gets_files(pod, asked, container))?;
    }
    if asked.tls_secret.is_some() {
        pod.reserve(TLS, |container| pod.is_agent(container))?;
    }
    pod.reserve(CONFIG, |container| pod.is_agent(container))
}

fn mount<'a>(container: &Container<'a>, directory: &Directory<'_>, additions: &mut Additions<'a>) -> Result<(), Conflict> {
    let Directory { volume, path } = directory;
    let serves = |mount: Node<'_>| is_secrets_mount(mount, volume, path);
    if container.lacks_mount(path, "the directory of secrets", serves)? {
        additions.mount(container, read_only_mount(volume.clone(), (*path).to_owned()));
    }
    if let Some(index) = container.node.list("volumeMounts").position(|mount| mount.text("name") == volume && !serves(mount)) {
        return Err(Conflict::new(
            container.path().field("volumeMounts").index(index),
            format!("container `{}` mounts `{volume}` otherwise than read-only at `{path}`", container.name),
            "remove the mount: the injection adds it",
        ));
    }
    Ok(())
}

fn is_secrets_mount(mount: Node<'_>, volume: &str, path: &str) -> bool {
    mount.text("name") == volume
        && mount.get("readOnly").and_then(Node::as_bool) == Some(true)
        && super::pod::is_whole(mount)
        && MountPath::new(mount.text("mountPath")) == MountPath::new(path)
}

/// Ours come before the author's init containers: at the front, or right behind a mesh proxy that is itself one, so that Vault is
/// reached through it. A classic proxy's init container comes after ours: it redirects traffic to a proxy that does not run yet.
fn place_containers(pod: &Pod<'_>, mode: AgentMode, agent: &Agent, additions: &mut Additions<'_>) -> Result<(), Conflict> {
    let stays = match (mode, pod.settings().vault.agent.native_sidecar.is_native()) {
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
        additions.init_containers.push((at, agent.container(Form::Once)));
    }
    match (stays, second) {
        (Some(Form::Native), None) => {
            let at = first.map_or_else(behind_proxy, |index| index + 1);
            additions.init_containers.push((at, agent.container(Form::Native)));
        }
        (Some(form), None) => additions.containers.push(agent.container(form)),
        _ => {}
    }
    Ok(())
}

/// Where a container of ours already stands; a conflict if something else has its name.
fn present(pod: &Pod<'_>, form: Form, agent: &Agent) -> Result<Option<usize>, Conflict> {
    let name = form.name();
    let Some(found) = pod.containers().find(|container| container.name == name) else { return Ok(None) };
    if found.list == form.list() && agent.is(form, found.node, &pod.settings().vault.agent) {
        return Ok(Some(found.index));
    }
    Err(Conflict::new(found.path(), format!("a container named `{name}` exists and is not the injected agent"), "rename the container"))
}

fn is_agent_name(name: &str) -> bool {
    [INIT, AGENT].contains(&name)
}

/// The `ConfigMap` with the agent's configuration. Whoever chooses it chooses everything that the agent does, so its author may only if the
/// operator says so (`hardening.md` A11).
fn config_map(pod: &Pod<'_>) -> Result<String, Conflict> {
    let own = format!("{}-vault-config", pod.template.service_account_name());
    match pod.template.annotation(config::MAP_ANNOTATION) {
        None => Ok(own),
        Some(asked) if asked == own || pod.settings().vault.agent.requestable.contains(&AgentRequest::ConfigMap) => Ok(asked.to_owned()),
        Some(_) => Err(Conflict::new(
            annotation_path(config::MAP_ANNOTATION),
            format!("annotation `{}` chooses the agent's whole configuration, which the operator leaves to nobody", config::MAP_ANNOTATION),
            format!("remove it and write the ConfigMap `{own}`, or have `configMap` listed in the setting `vault.agent.requestable`"),
        )),
    }
}

/// Whether the operator lists a role for a ServiceAccount, as `namespace/name` (`hardening.md` A12).
fn is_listed(pod: &Pod<'_>, who: &str, role: &str) -> bool {
    pod.settings().vault.roles.get(who).is_some_and(|roles| roles.iter().any(|listed| listed == role))
}

fn annotation_path(key: &str) -> FieldPath {
    FieldPath::of(&["metadata", "annotations"]).key(key)
}

/// Go's `strconv.ParseBool`, with which the vendors read their annotations.
fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}
