//! The agent's containers, and how they are known again.

use serde_json::{Value, json};

use super::super::pod::{Pod, holds};
use super::{AGENT, CONFIG, INIT, SECRETS};
use crate::object::{Node, PodTemplate};

const CONFIG_DIRECTORY: &str = "/etc/vault";

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
}

/// An agent container. It fits PodSecurity's `restricted` by itself, whatever the pod's own security context says.
pub(super) fn wanted(pod: &Pod<'_>, parts: &Parts<'_>, form: Form) -> Value {
    let vault = &pod.settings().vault;
    let mut args = vec!["agent".to_owned(), format!("-config={CONFIG_DIRECTORY}/config.hcl")];
    if form == Form::Once {
        args.push("-exit-after-auth".to_owned());
    }
    let mut env = vec![json!({"name": "VAULT_ADDR", "value": vault.address})];
    if let Some(file) = &vault.ca_file {
        env.push(json!({"name": "VAULT_CACERT", "value": file}));
    }
    let mut container = json!({
        "name": if form == Form::Once { INIT } else { AGENT },
        "image": vault.agent.image,
        "command": [vault.agent.command],
        "args": args,
        "env": env,
        "volumeMounts": [
            {"name": parts.token_volume, "mountPath": parts.token_path, "readOnly": true},
            {"name": CONFIG, "mountPath": CONFIG_DIRECTORY, "readOnly": true},
            {"name": SECRETS, "mountPath": vault.secrets_path},
        ],
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": shared_user(pod.template).unwrap_or(100),
            "runAsGroup": 1000,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    });
    if let Some(fields) = container.as_object_mut() {
        if form == Form::Native {
            fields.insert("restartPolicy".into(), "Always".into());
        }
        let resources = &vault.agent.resources;
        let amounts: serde_json::Map<String, Value> = [("requests", &resources.requests), ("limits", &resources.limits)]
            .into_iter()
            .filter(|(_, amounts)| !amounts.is_empty())
            .map(|(name, amounts)| (name.to_owned(), json!(amounts)))
            .collect();
        if !amounts.is_empty() {
            fields.insert("resources".into(), Value::Object(amounts));
        }
    }
    container
}

/// Whether a container is the one that we add: every field that we set is equal. The user is ours at its first run only, since
/// another hook may add containers of other users; it must not be root. A container of another revision is accepted by its image, if
/// it differs in image, resources and variables only: else every roll-out would refuse pods (`hardening.md` B4).
pub(super) fn is_ours(container: Node<'_>, wanted: &Value, accepted_images: &[String]) -> bool {
    let mut shape = wanted.clone();
    if let Some(context) = shape.get_mut("securityContext").and_then(Value::as_object_mut) {
        context.remove("runAsUser");
    }
    let user = container.path(&["securityContext", "runAsUser"]).and_then(Node::as_i64);
    if user.is_none_or(|user| user == 0) || is_read_only(container) {
        return false;
    }
    if holds(container, &shape) {
        return true;
    }
    if let Some(fields) = shape.as_object_mut() {
        for field in ["image", "resources", "env"] {
            fields.remove(field);
        }
    }
    accepted_images.iter().any(|image| image == container.text("image")) && holds(container, &shape)
}

/// Whether the secrets could not be written.
fn is_read_only(container: Node<'_>) -> bool {
    container.list("volumeMounts").any(|mount| mount.text("name") == SECRETS && mount.get("readOnly").and_then(Node::as_bool) == Some(true))
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
    let words: Vec<&str> = container.list("command").chain(container.list("args")).filter_map(Node::as_str).collect();
    let base = |word: &str| matches!(word.rsplit('/').next(), Some("vault" | "bao"));
    let pair = |words: &[&str]| matches!(words, [program, "agent"] if base(program));
    if words.windows(2).any(pair) || words.iter().any(|word| word.split_whitespace().collect::<Vec<_>>().windows(2).any(pair)) {
        return true;
    }
    // The images' own entry point is the program.
    let image = container.text("image");
    let name = image.rsplit('/').next().unwrap_or_default().split([':', '@']).next().unwrap_or_default();
    container.get("command").is_none_or(Node::is_empty)
        && words.first() == Some(&"agent")
        && matches!(name, "vault" | "openbao" | "vault-enterprise")
}
