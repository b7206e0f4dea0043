//! The configuration of an agent's container, as far as the pod shows it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::mount_path::{MountPath, Relation};
use super::access::Named;
use super::pod_access::{block, is_on};
use super::{Agent, go_true};
use crate::object::{Kind, Node, Object, PodTemplate};
use crate::settings::Settings;

/// Variables in which the vendors' injectors hand the agent its configuration, base64 of JSON.
const CONFIG_VARIABLES: [&str; 2] = ["VAULT_CONFIG", "BAO_CONFIG"];

/// The annotation that holds the configuration of an injected agent, projected into it by the downward API.
const CONFIG_ANNOTATION: &str = "doorward.dev/vault-agent-config";
const CONFIG_FIELD: &str = "metadata.annotations['doorward.dev/vault-agent-config']";

/// An agent's configuration, or only where the agent stands.
pub(super) struct AgentConfig {
    object: Option<Object>,
    /// Where it stands; the container if it is not in the pod (a `ConfigMap`, a file of the image).
    pub(super) field_path: String,
    /// Whether it stands in a variable, as the vendors' injectors write it.
    in_variable: bool,
}

impl AgentConfig {
    pub(super) fn of<'a>(template: PodTemplate<'a>, agent: &Agent<'a>) -> Self {
        let place = format!("spec.{}[{}]", agent.list, agent.index);
        if let Some((index, value)) = variable(agent.node, &CONFIG_VARIABLES) {
            let text = STANDARD.decode(value.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let object = text.and_then(|text| Object::from_json(text).ok());
            return Self { object, field_path: format!("{place}.env[{index}].value"), in_variable: true };
        }
        let elsewhere = |variable: Node<'_>| CONFIG_VARIABLES.contains(&variable.text("name")) && variable.get("valueFrom").is_some();
        if let Some(index) = agent.node.list("env").position(elsewhere) {
            return Self { object: None, field_path: format!("{place}.env[{index}]"), in_variable: true };
        }
        if projects_config(template, agent.node) {
            let object = template.annotation(CONFIG_ANNOTATION).and_then(|text| Object::from_json(text).ok());
            return Self { object, field_path: format!("metadata.annotations[{CONFIG_ANNOTATION}]"), in_variable: false };
        }
        Self { object: None, field_path: place, in_variable: false }
    }

    /// The configuration in JSON.
    pub(super) fn root(&self) -> Option<Node<'_>> {
        self.object.as_ref().map(Object::root)
    }

    /// Whether a variable holds it, as the vendors' injectors write it.
    pub(super) fn is_in_variable(&self) -> bool {
        self.in_variable
    }

    /// Whether a variable holds it, but not so that it can be read here.
    pub(super) fn is_hidden(&self) -> bool {
        self.in_variable && self.object.is_none()
    }

    /// Whether the agent ends once it has rendered everything.
    pub(super) fn exits(&self) -> bool {
        self.root().and_then(|root| root.get("exit_after_auth")).is_some_and(is_on)
    }

    /// What a configuration that a vendor's injector wrote does beside logging in and rendering (`hardening.md` A27).
    pub(super) fn extras(&self, settings: &Settings) -> Vec<Named<'static>> {
        let Some(root) = self.root().filter(|_| self.in_variable) else { return Vec::new() };
        let mut extras = Vec::new();
        let mut add = |name: &'static str| extras.push(Named { name: name.into(), field_path: self.field_path.clone() });
        if root.get("exec").is_some() || root.get("env_template").is_some() {
            add("a process supervisor");
        }
        if blocks(root, "template").any(|template| !template.text("command").is_empty() || template.get("exec").is_some()) {
            add("a command after rendering");
        }
        let open = |listener: Node<'_>| !is_local(listener.text("address")) && !listener.text("type").starts_with("unix");
        if blocks(root, "listener").any(open) {
            add("a listener that is open to other pods");
        }
        let hands_out = |node: Option<Node<'_>>| {
            node.and_then(|node| node.get("use_auto_auth_token"))
                .is_some_and(|value| is_on(value) || value.as_str().is_some_and(|word| word == "force" || go_true(word)))
        };
        if hands_out(block(root, "cache")) || hands_out(block(root, "api_proxy")) {
            add("its own token for every request");
        }
        let secrets = MountPath::new(&settings.vault.secrets_path);
        let shown = |sink: Node<'_>| {
            let path = block(sink, "config").map(|config| config.text("path")).unwrap_or_default();
            matches!(MountPath::new(path).relation(&secrets), Relation::Same | Relation::Below)
        };
        if block(root, "auto_auth").is_some_and(|auth| blocks(auth, "sink").chain(blocks(auth, "sinks")).any(shown)) {
            add("its Vault token among the rendered secrets");
        }
        extras
    }
}

/// The items of a block, which HCL lets stand alone.
fn blocks<'a>(node: Node<'a>, key: &str) -> impl Iterator<Item = Node<'a>> {
    let value = node.get(key);
    let alone = value.filter(|value| value.kind() == Kind::Map);
    value.into_iter().flat_map(Node::items).chain(alone)
}

fn is_local(address: &str) -> bool {
    ["127.", "localhost", "[::1]"].iter().any(|start| address.starts_with(start))
}

/// The literal value of some variables, with its position. Of duplicates the last one counts, as in the kubelet.
pub(super) fn variable<'a>(container: Node<'a>, names: &[&str]) -> Option<(usize, &'a str)> {
    let mut found = container.list("env").enumerate().rev().filter(|(_, variable)| names.contains(&variable.text("name")));
    found.find_map(|(index, variable)| Some((index, variable.get("value")?.as_str().filter(|value| !value.is_empty())?)))
}

/// Whether a container mounts a downwardAPI volume that projects the configuration's annotation.
fn projects_config<'a>(template: PodTemplate<'a>, container: Node<'a>) -> bool {
    let projects = |volume: Node<'a>| {
        volume.get("downwardAPI").is_some_and(|downward| {
            downward.list("items").any(|item| item.get("fieldRef").is_some_and(|f| f.text("fieldPath") == CONFIG_FIELD))
        })
    };
    template
        .spec()
        .list("volumes")
        .filter(|volume| projects(*volume))
        .any(|volume| container.list("volumeMounts").any(|mount| mount.text("name") == volume.text("name")))
}
