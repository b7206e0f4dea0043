//! The agent's containers, and how they are known again.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::pod::{Pod, holds_field};
use super::vendor::{Asked, TLS_DIRECTORY};
use super::{AGENT, CONFIG, Directory, INIT, TLS};
use crate::object::{Node, PodTemplate};
use crate::settings;

pub(super) const CONFIG_DIRECTORY: &str = "/etc/vault";
const CONFIG_ARGUMENT: &str = "-config=/etc/vault/config.hcl";

/// How an agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Once, before the application.
    Once,
    /// Beside it, as an init container that stays.
    Native,
    /// Beside it, as one more container.
    Classic,
}

/// What the containers are made of beside the settings.
pub(super) struct Parts<'a> {
    pub(super) token_volume: &'a str,
    pub(super) token_path: &'a str,
    pub(super) directories: &'a [Directory<'a>],
    pub(super) asked: &'a Asked<'a>,
}

/// What all forms have in common. It fits PodSecurity's `restricted` by itself, whatever the pod's own security context says.
pub(super) struct Agent {
    fields: Map<String, Value>,
    /// The user that the author asks for.
    user: Option<i64>,
}

impl Agent {
    pub(super) fn new(pod: &Pod<'_>, parts: &Parts<'_>) -> Self {
        let vault = &pod.settings().vault;
        let asked = parts.asked;
        let mut env = vec![json!({"name": "VAULT_ADDR", "value": asked.address.or(vault.address.as_deref())})];
        if let Some(file) = asked.ca_cert.or(vault.ca_file.as_deref()) {
            env.push(json!({"name": "VAULT_CACERT", "value": file}));
        }
        env.extend(asked.env.iter().map(|(name, value)| json!({"name": name, "value": value})));
        let mut mounts = vec![
            json!({"name": parts.token_volume, "mountPath": parts.token_path, "readOnly": true}),
            json!({"name": CONFIG, "mountPath": CONFIG_DIRECTORY, "readOnly": true}),
        ];
        mounts.extend(parts.directories.iter().map(|directory| json!({"name": directory.volume, "mountPath": directory.path})));
        if asked.tls_secret.is_some() {
            mounts.push(json!({"name": TLS, "mountPath": TLS_DIRECTORY, "readOnly": true}));
        }
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        set("image", json!(vault.agent.image));
        set("command", json!([vault.agent.command]));
        set("env", Value::Array(env));
        set("volumeMounts", Value::Array(mounts));
        set(
            "securityContext",
            json!({
                "runAsNonRoot": true,
                "runAsGroup": asked.group.unwrap_or(1000),
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            }),
        );
        let resources = &vault.agent.resources;
        let amounts: Map<String, Value> = [("requests", &resources.requests), ("limits", &resources.limits)]
            .into_iter()
            .map(|(name, amounts)| (name, amounts_of(amounts, name, asked)))
            .filter(|(_, amounts)| !amounts.is_empty())
            .map(|(name, amounts)| (name.to_owned(), json!(amounts)))
            .collect();
        if !amounts.is_empty() {
            set("resources", Value::Object(amounts));
        }
        Self { fields, user: asked.user }
    }

    /// The container in one form, to be added.
    pub(super) fn container(&self, form: Form, template: PodTemplate<'_>) -> Value {
        let mut fields = self.fields.clone();
        fields.insert("name".into(), form.name().into());
        fields.insert("args".into(), json!(form.args()));
        if form == Form::Native {
            fields.insert("restartPolicy".into(), "Always".into());
        }
        if let Some(context) = fields.get_mut("securityContext").and_then(Value::as_object_mut) {
            context.insert("runAsUser".into(), self.user.or_else(|| shared_user(template)).unwrap_or(100).into());
        }
        Value::Object(fields)
    }

    /// Whether a container is the one that we add: every field that we set is equal, but for three. The user is ours at its first run
    /// only, since another hook may add containers of other users; it must not be root. Resources are whatever they became: the API
    /// server writes them in its own way, and others change them. The image is one of the operator's; a revision of another image
    /// has variables of its own, else every roll-out would refuse pods (`hardening.md` B4).
    pub(super) fn is(&self, form: Form, container: Node<'_>, agent: &settings::Agent) -> bool {
        let image = container.text("image");
        let of_this_revision = agent.is_own_image(image);
        let user = container.path(&["securityContext", "runAsUser"]).and_then(Node::as_i64);
        user.is_some_and(|user| user != 0)
            && !self.is_read_only(container)
            && agent.is_image(image)
            && container.list("args").map(Node::as_str).eq(form.args().iter().copied().map(Some))
            && (form != Form::Native || container.text("restartPolicy") == "Always")
            && self.fields.iter().all(|(field, wanted)| match field.as_str() {
                "image" | "resources" => true,
                "env" if !of_this_revision => true,
                _ => holds_field(container, field, wanted),
            })
    }

    /// Whether one of the directories of secrets could not be written.
    fn is_read_only(&self, container: Node<'_>) -> bool {
        let ours = self.fields.get("volumeMounts").and_then(Value::as_array).into_iter().flatten();
        ours.filter(|mount| mount.get("readOnly").is_none()).filter_map(|mount| mount.get("name")?.as_str()).any(|name| {
            let is_read_only = |mount: Node<'_>| mount.get("readOnly").and_then(Node::as_bool) == Some(true);
            container.list("volumeMounts").any(|mount| mount.text("name") == name && is_read_only(mount))
        })
    }
}

/// The amounts of the settings, with those that the author asks for in their place; an empty one stands for none.
fn amounts_of<'a>(amounts: &'a BTreeMap<String, String>, list: &str, asked: &Asked<'a>) -> BTreeMap<&'a str, &'a str> {
    let mut amounts: BTreeMap<&str, &str> = amounts.iter().map(|(name, amount)| (&**name, &**amount)).collect();
    amounts.extend(asked.resources.iter().filter(|(of, ..)| *of == list).map(|(_, name, amount)| (*name, *amount)));
    amounts.retain(|_, amount| !amount.is_empty());
    amounts
}

impl Form {
    pub(super) fn name(self) -> &'static str {
        if self == Self::Once { INIT } else { AGENT }
    }

    /// The list it stands in.
    pub(super) fn list(self) -> &'static str {
        if self == Self::Classic { "containers" } else { "initContainers" }
    }

    fn args(self) -> &'static [&'static str] {
        match self {
            Self::Once => &["agent", CONFIG_ARGUMENT, "-exit-after-auth"],
            Self::Native | Self::Classic => &["agent", CONFIG_ARGUMENT],
        }
    }
}

/// The one user that all of the author's containers share: then the kubelet gives the token to that user alone, with mode 0600, and
/// an agent of another user would take that away. Root is nobody's choice for an agent.
fn shared_user(template: PodTemplate<'_>) -> Option<i64> {
    let pod = template.spec().path(&["securityContext", "runAsUser"]).and_then(Node::as_i64);
    let mut users = template
        .containers()
        .filter(|(_, _, node)| {
            let name = node.text("name");
            ![INIT, AGENT].contains(&name) && !name.starts_with("linkerd-") && !name.starts_with("istio-")
        })
        .map(|(_, _, node)| node.path(&["securityContext", "runAsUser"]).and_then(Node::as_i64).or(pod));
    let first = users.next()??;
    (first > 0 && users.all(|user| user == Some(first))).then_some(first)
}

/// Whether a container runs a Vault or OpenBao agent: the program and its subcommand, as words of their own or inside a shell's text.
pub(super) fn is_agent(container: Node<'_>) -> bool {
    let words = || container.list("command").chain(container.list("args")).filter_map(Node::as_str);
    let mut program_before = false;
    for word in words().flat_map(str::split_whitespace) {
        if program_before && word == "agent" {
            return true;
        }
        program_before = matches!(word.rsplit('/').next(), Some("vault" | "bao"));
    }
    // The images' own entry point is the program.
    let image = container.text("image").rsplit('/').next().unwrap_or_default();
    let name = image.split([':', '@']).next().unwrap_or_default();
    container.get("command").is_none_or(Node::is_empty)
        && words().next() == Some("agent")
        && matches!(name, "vault" | "openbao" | "vault-enterprise")
}
