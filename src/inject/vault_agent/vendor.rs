//! Annotations of vault-k8s and openbao-k8s, honoured by the injected agent where the settings say so, or refused by name with the
//! reason (`hardening.md` A27). The page `docs/from-vault-k8s.md` has a row for each; a test holds the two together.
//!
//! - `files`: what to render, and where
//! - `refused`: what is refused whatever it says
//! - `value`: how the values are read

mod files;
mod refused;
mod value;

use std::collections::BTreeMap;

use self::files::Files;
pub(super) use self::files::{File, Template};
pub(super) use self::value::boolean;
use super::super::outcome::Conflict;
use super::super::pod::Pod;
use super::{AgentMode, annotation_path, is_agent_name, is_listed};
use crate::identity::{MountPath, Relation};
use crate::object::Node;
use crate::settings::ConfigMode;

/// The prefixes of the vendors' annotations. openbao-k8s reads those of vault-k8s as its own.
const PREFIXES: [&str; 2] = ["vault.hashicorp.com/", "openbao.org/"];
/// Switches a vendor's injector on.
const SWITCH: &str = "agent-inject";
/// The same under each prefix.
pub(super) const SWITCHES: [(&str, &str); 2] =
    [("vault.hashicorp.com/", "vault.hashicorp.com/agent-inject"), ("openbao.org/", "openbao.org/agent-inject")];
/// Keeps a vendor's injector from a pod once it holds [`INJECTED`].
pub(super) const STATUS: &str = "agent-inject-status";
pub(super) const INJECTED: &str = "injected";
/// Where the Secret of `tls-secret` is mounted in the agent.
pub(super) const TLS_DIRECTORY: &str = "/vault/tls";

/// What a pod's author asks of the agent. Without a vendor's annotations nothing is asked, and everything comes from the settings.
#[derive(Debug, Default, PartialEq)]
pub(in super::super) struct Asked<'a> {
    /// The prefixes of the annotations that switch the injection on; none where the author did not ask a vendor's.
    pub(super) prefixes: Vec<&'static str>,
    pub(super) mode: Option<AgentMode>,
    pub(super) address: Option<&'a str>,
    pub(super) auth_mount: Option<&'a str>,
    pub(super) namespace: Option<&'a str>,
    pub(super) role: Option<&'a str>,
    pub(super) token_volume: Option<&'a str>,
    pub(super) min_backoff: Option<&'a str>,
    pub(super) max_backoff: Option<&'a str>,
    pub(super) exit_on_err: Option<bool>,
    pub(super) ca_cert: Option<&'a str>,
    pub(super) tls_server_name: Option<&'a str>,
    pub(super) tls_secret: Option<&'a str>,
    /// Where rendered files are mounted, if not where the settings say.
    pub(super) directory: Option<&'a str>,
    /// Further directories of single files, each once, in order.
    pub(super) directories: Vec<&'a str>,
    pub(super) files: Vec<File<'a>>,
    pub(super) exit_on_retry_failure: Option<bool>,
    pub(super) render_interval: Option<&'a str>,
    pub(super) connections_per_host: Option<i64>,
    pub(super) renewal_threshold: Option<f64>,
    pub(super) disable_idle_connections: Vec<&'a str>,
    pub(super) disable_keep_alives: Vec<&'a str>,
    /// Variables of the agent, in order of the annotations.
    pub(super) env: Vec<(&'static str, &'a str)>,
    pub(super) user: Option<i64>,
    pub(super) group: Option<i64>,
    /// `requests` or `limits`, resource, amount; an empty one stands for none.
    pub(super) resources: Vec<(&'static str, &'static str, &'a str)>,
    /// The containers that get the files; unset: all.
    pub(super) containers: Option<Vec<&'a str>>,
}

/// What the annotations make of a pod: `None` where no vendor's injector is asked for.
///
/// # Errors
/// The first annotation, in order of the names, that is refused.
pub(super) fn asked<'a>(pod: &Pod<'a>) -> Result<Option<Asked<'a>>, Conflict> {
    let annotations = of_vendors(pod)?;
    let mut prefixes = Vec::new();
    for (prefix, key) in SWITCHES {
        if let Some(switch) = pod.template.annotation(key)
            && value::boolean(switch)
                .map_err(|reason| Annotation { name: SWITCH, value: switch, key }.refuse(reason, "write `true` or `false`"))?
        {
            prefixes.push(prefix);
        }
    }
    let Some(prefix) = prefixes.first() else { return Ok(None) };
    if pod.settings().vault.agent.config_mode == ConfigMode::ConfigMap {
        let reason = "annotations of a vendor's injector cannot be honoured while `vault.agent.configMode` is `configMap`";
        return Err(Conflict::new(annotation_path(&format!("{prefix}{SWITCH}")), reason, "set it to `generated`"));
    }
    let mut reading = Reading { pod: pod.clone(), asked: Asked { prefixes, ..Asked::default() }, files: Files::default(), same_user: None };
    for annotation in annotations.into_values() {
        reading.read(annotation)?;
    }
    reading.finish().map(Some)
}

/// Whether a vendor's injector acted on the pod before us: its agents hold their configuration in a variable.
pub(super) fn has_acted(pod: &Pod<'_>) -> bool {
    let configured =
        |container: Node<'_>| container.list("env").any(|variable| matches!(variable.text("name"), "VAULT_CONFIG" | "BAO_CONFIG"));
    pod.containers().any(|container| is_agent_name(container.name) && configured(container.node))
}

/// Why the volume that the author names for the login is not taken.
pub(super) fn refuse_token_volume(pod: &Pod<'_>, volume: &str) -> Conflict {
    const NAME: &str = "agent-service-account-token-volume-name";
    let keys = PREFIXES.map(|prefix| format!("{prefix}{NAME}"));
    let key = keys.iter().find(|key| pod.template.annotation(key).is_some()).map_or("", String::as_str);
    let reason = format!("volume `{volume}` holds no short-lived token for Vault");
    Annotation { name: NAME, value: volume, key }.refuse(reason, "remove it: the agent brings its token along")
}

/// One annotation, its name without the prefix.
#[derive(Clone, Copy)]
struct Annotation<'a, 'k> {
    name: &'a str,
    value: &'a str,
    key: &'k str,
}

impl Annotation<'_, '_> {
    fn refuse(&self, reason: impl std::fmt::Display, remedy: &str) -> Conflict {
        Conflict::new(annotation_path(self.key), format!("annotation `{}` is refused: {reason}", self.name), remedy)
    }
}

/// The vendors' annotations by name; the same name under both prefixes must say the same.
fn of_vendors<'a>(pod: &Pod<'a>) -> Result<BTreeMap<&'a str, Annotation<'a, 'a>>, Conflict> {
    let mut found: BTreeMap<&str, Annotation<'_, '_>> = BTreeMap::new();
    let Some(annotations) = pod.template.node.path(&["metadata", "annotations"]) else { return Ok(found) };
    for (key, value) in annotations.sorted_entries() {
        let name = PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix));
        let (Some(name), Some(value)) = (name, value.as_str()) else { continue };
        let annotation = Annotation { name, value, key };
        if let Some(other) = found.insert(name, annotation)
            && other.value != value
            && !matches!(name, SWITCH | STATUS)
        {
            return Err(annotation.refuse(format!("`{}` says otherwise", other.key), "write one of the two"));
        }
    }
    Ok(found)
}

struct Reading<'a> {
    pod: Pod<'a>,
    asked: Asked<'a>,
    files: Files<'a>,
    /// The annotation that asks for the user of the first container.
    same_user: Option<Conflict>,
}

impl<'a> Reading<'a> {
    fn read(&mut self, annotation: Annotation<'a, 'a>) -> Result<(), Conflict> {
        let Annotation { name, value, .. } = annotation;
        let because = |reason: String| annotation.refuse(reason, "see docs/from-vault-k8s.md for what it may say");
        let boolean = || value::boolean(value).map_err(because);
        let duration = || value::duration(value).map_err(because);
        let asked = &mut self.asked;
        if let Some((reason, remedy)) = refused::always(name) {
            return Err(annotation.refuse(reason, remedy));
        }
        if let Some((reason, remedy)) = refused::unless_off(name) {
            return if value::boolean(value).unwrap_or(true) { Err(annotation.refuse(reason, remedy)) } else { Ok(()) };
        }
        match name {
            // Ours is first, and there before the application, in any case.
            SWITCH | STATUS | "agent-request-namespace" => {}
            "agent-init-first" | "agent-pre-populate" => drop(boolean()?),
            "agent-cache-exit-on-err" | "agent-revoke-grace" | "agent-cache-listener-port" => {}
            "agent-set-security-context" if boolean()? => {}
            "agent-set-security-context" => {
                let reason = "an agent without a security context does not fit PodSecurity `restricted`";
                return Err(annotation.refuse(reason, "remove it"));
            }
            "agent-pre-populate-only" => asked.mode = boolean()?.then_some(AgentMode::Init),
            "agent-image" => {
                let agent = &self.pod.settings().vault.agent;
                if agent.image != value && !agent.accepted_images.iter().any(|image| image == value) {
                    return Err(annotation.refuse("which program logs in as the workload is the operator's choice", "remove it"));
                }
            }
            "agent-inject-containers" => {
                asked.containers = Some(value.split(',').map(str::trim).filter(|name| !name.is_empty()).collect());
            }
            "service" => asked.address = Some(address(&self.pod, annotation)?),
            "auth-path" => asked.auth_mount = Some(auth_mount(&self.pod, annotation)?),
            "auth-type" if value == "kubernetes" => {}
            "auth-type" => {
                return Err(annotation.refuse("a workload logs in with its ServiceAccount's token", "remove it"));
            }
            "namespace" => asked.namespace = (!value.is_empty()).then_some(value),
            "role" => asked.role = Some(role(&self.pod, annotation)?),
            "agent-service-account-token-volume-name" => asked.token_volume = (!value.is_empty()).then_some(value),
            "auth-min-backoff" => asked.min_backoff = Some(duration()?),
            "auth-max-backoff" => asked.max_backoff = Some(duration()?),
            "agent-auto-auth-exit-on-err" => asked.exit_on_err = Some(boolean()?),
            "ca-cert" => asked.ca_cert = Some(value::path_below(value, TLS_DIRECTORY).map_err(because)?),
            "tls-server-name" => asked.tls_server_name = Some(value),
            "tls-secret" => asked.tls_secret = (!value.is_empty()).then_some(value),
            "template-config-exit-on-retry-failure" => asked.exit_on_retry_failure = Some(boolean()?),
            "template-static-secret-render-interval" => asked.render_interval = Some(duration()?),
            "template-max-connections-per-host" => asked.connections_per_host = Some(value::count(value).map_err(because)?),
            "template-lease-renewal-threshold" => {
                if self.pod.settings().vault.agent.command.rsplit('/').next() == Some("bao") {
                    return Err(annotation.refuse("OpenBao's agent does not know it", "remove it"));
                }
                asked.renewal_threshold = Some(value::fraction(value).map_err(because)?);
            }
            "agent-disable-idle-connections" => asked.disable_idle_connections = value::features(value).map_err(because)?,
            "agent-disable-keep-alives" => asked.disable_keep_alives = value::features(value).map_err(because)?,
            "client-max-retries" => asked.env.push(("VAULT_MAX_RETRIES", value::digits(value).map_err(because)?)),
            "client-timeout" => asked.env.push(("VAULT_CLIENT_TIMEOUT", duration()?)),
            "go-max-procs" => asked.env.push(("GOMAXPROCS", value::digits(value).map_err(because)?)),
            "log-level" => asked.env.push(("VAULT_LOG_LEVEL", value::one_of(value, &value::LOG_LEVELS).map_err(because)?)),
            "log-format" => asked.env.push(("VAULT_LOG_FORMAT", value::one_of(value, &value::LOG_FORMATS).map_err(because)?)),
            "agent-run-as-user" => asked.user = Some(value::user(value).map_err(because)?),
            "agent-run-as-group" => asked.group = Some(value::user(value).map_err(because)?),
            "agent-run-as-same-user" => {
                if boolean()? {
                    let reason = "the first container says no user, or says root";
                    self.same_user = Some(annotation.refuse(reason, "set its `securityContext.runAsUser`, or remove the annotation"));
                }
            }
            _ => {
                if let Some((list, resource)) = resource(name) {
                    asked.resources.push((list, resource, value::quantity(value).map_err(because)?));
                } else if !self.files.read(annotation)? {
                    return Err(annotation.refuse("it is not known", "remove it, or correct its name"));
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Asked<'a>, Conflict> {
        let asks = pod_asks_for_files(&self.pod);
        let (directory, files) = std::mem::take(&mut self.files).finish()?;
        let key = format!("{}{SWITCH}", self.asked.prefixes.first().copied().unwrap_or_default());
        if files.is_empty() && !asks {
            let reason = "annotation `agent-inject` asks for an agent that renders nothing";
            let remedy = "name a secret in `agent-inject-secret-<name>`, or remove it";
            return Err(Conflict::new(annotation_path(&key), reason, remedy));
        }
        self.asked.directory = directory;
        self.asked.directories = files.iter().filter_map(|file| file.directory).filter(|own| Some(*own) != directory).collect();
        self.asked.directories.sort_unstable();
        self.asked.directories.dedup();
        self.asked.files = files;
        self.keep_apart(&key)?;
        if let Some(refusal) = self.same_user.take() {
            let user = first_user(&self.pod).filter(|user| *user > 0).ok_or(refusal)?;
            self.asked.user = Some(user);
        }
        Ok(self.asked)
    }

    /// A directory inside another one could not be made in a volume that is mounted read-only.
    fn keep_apart(&self, key: &str) -> Result<(), Conflict> {
        let vault = &self.pod.settings().vault;
        let own = [
            self.asked.directory.unwrap_or(&vault.secrets_path),
            &vault.token_mount_path,
            super::container::CONFIG_DIRECTORY,
            TLS_DIRECTORY,
        ];
        let directories: Vec<&str> = own.into_iter().chain(self.asked.directories.iter().copied()).collect();
        for (index, one) in directories.iter().enumerate() {
            for other in directories.iter().skip(index + 1) {
                if MountPath::new(one).relation(&MountPath::new(other)) != Relation::Apart {
                    let reason = format!("the directories `{one}` and `{other}` of the agent lie in each other");
                    return Err(Conflict::new(annotation_path(key), reason, "render into directories that lie apart"));
                }
            }
        }
        Ok(())
    }
}

fn address<'a>(pod: &Pod<'a>, annotation: Annotation<'a, 'a>) -> Result<&'a str, Conflict> {
    let vault = &pod.settings().vault;
    let plain = annotation.value.trim_end_matches('/');
    let listed = vault.address.iter().chain(&vault.addresses).any(|url| url.trim_end_matches('/') == plain);
    let reason = "it names no server of the settings `vault.address` and `vault.addresses`, and would be handed the workload's login";
    if listed { Ok(plain) } else { Err(annotation.refuse(reason, "remove it")) }
}

fn auth_mount<'a>(pod: &Pod<'a>, annotation: Annotation<'a, 'a>) -> Result<&'a str, Conflict> {
    let settings = pod.settings();
    let plain = |mount: &str| mount.trim_matches('/').to_owned();
    let asked = plain(annotation.value);
    let listed = asked == plain(&settings.vault_auth_mount()) || settings.vault.other_auth_mounts.iter().any(|mount| plain(mount) == asked);
    let reason = "it is not this cluster's mount, nor one of the setting `vault.otherAuthMounts`";
    if listed { Ok(annotation.value.trim_matches('/')) } else { Err(annotation.refuse(reason, "remove it")) }
}

fn role<'a>(pod: &Pod<'a>, annotation: Annotation<'a, 'a>) -> Result<&'a str, Conflict> {
    let (namespace, account) = (pod.surroundings.namespace, pod.template.service_account_name());
    let own = pod.settings().vault_role(namespace, account);
    let listed = annotation.value == own || is_listed(pod, &format!("{namespace}/{account}"), annotation.value);
    let reason = format!("this workload's role is `{own}`, and the setting `vault.roles` lists no other for it");
    if listed { Ok(annotation.value) } else { Err(annotation.refuse(reason, "remove it, or ask the operator to list the role")) }
}

/// Whether Doorward's own annotations give the agent something to do.
fn pod_asks_for_files(pod: &Pod<'_>) -> bool {
    let annotations = pod.template.node.path(&["metadata", "annotations"]);
    annotations.is_some_and(|all| {
        all.entries().any(|(key, _)| key.starts_with(super::config::TEMPLATE_PREFIX) || key == super::config::SINK_ANNOTATION)
    })
}

fn first_user(pod: &Pod<'_>) -> Option<i64> {
    let of = |node: Node<'_>| node.path(&["securityContext", "runAsUser"]).and_then(Node::as_i64);
    pod.spec().list("containers").next().and_then(of).or_else(|| of(pod.spec()))
}

fn resource(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "agent-limits-cpu" => ("limits", "cpu"),
        "agent-limits-mem" => ("limits", "memory"),
        "agent-limits-ephemeral" => ("limits", "ephemeral-storage"),
        "agent-requests-cpu" => ("requests", "cpu"),
        "agent-requests-mem" => ("requests", "memory"),
        "agent-requests-ephemeral" => ("requests", "ephemeral-storage"),
        _ => return None,
    })
}
