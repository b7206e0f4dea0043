//! The configuration of an agent's container, as far as the pod shows it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::expansion::Environment;
use super::super::mount_path::{MountPath, Relation};
use super::access::Named;
use super::{Agent, go_true, runs_agent};
use crate::object::{Kind, Node, Object, PodTemplate};
use crate::settings::Settings;

/// Variables in which the vendors' injectors hand the agent its configuration, base64 of JSON.
const CONFIG_VARIABLES: [&str; 2] = ["VAULT_CONFIG", "BAO_CONFIG"];

/// How many files of an agent's configuration are told.
const FILES: usize = 8;

/// The annotation that holds the configuration of an injected agent, projected into it by the downward API.
const CONFIG_ANNOTATION: &str = "doorward.dev/vault-agent-config";
const CONFIG_FIELD: &str = "metadata.annotations['doorward.dev/vault-agent-config']";

/// An agent's configuration, or only where the agent stands.
pub(super) struct AgentConfig {
    object: Option<Object>,
    /// Where it stands; the container if it is not in the pod (a `ConfigMap`, a file of the image).
    pub(super) field_path: String,
    source: Source,
    /// The files that the agent's command names and that are not read, in words, at the agent.
    pub(super) unread: Vec<Named<'static>>,
    /// The configuration in the other variable, of which the command may take either.
    pub(super) other: Option<Box<AgentConfig>>,
}

/// From where an agent takes its configuration.
enum Source {
    /// This variable, as the vendors' injectors write it.
    Variable(&'static str),
    /// A variable that takes its value from elsewhere.
    VariableElsewhere,
    /// The annotation of an injected agent.
    Annotation,
    /// None that is seen here.
    Unseen,
}

impl AgentConfig {
    pub(super) fn of<'a>(template: PodTemplate<'a>, agent: &Agent<'a>) -> Self {
        let mut config = Self::shown(template, agent);
        if runs_agent(agent.node) {
            let field_path = format!("spec.{}[{}].name", agent.list, agent.index);
            let files = unread_files(template, agent.node, &config.source);
            config.unread = files.into_iter().map(|name| Named { name: name.into(), field_path: field_path.clone() }).collect();
        }
        config
    }

    fn at(field_path: String, source: Source, object: Option<Object>) -> Self {
        Self { object, field_path, source, unread: Vec::new(), other: None }
    }

    fn shown<'a>(template: PodTemplate<'a>, agent: &Agent<'a>) -> Self {
        let place = format!("spec.{}[{}]", agent.list, agent.index);
        let mut environment = Environment::of(agent.node);
        let mut found: Option<Self> = None;
        for name in CONFIG_VARIABLES {
            // Of duplicates the last one counts, as in the kubelet.
            let set = |variable: &Node<'_>| !variable.text("value").is_empty() || variable.get("valueFrom").is_some();
            let named = agent.node.list("env").enumerate().rfind(|(_, variable)| variable.text("name") == name && set(variable));
            let Some((index, variable)) = named else { continue };
            let written = variable.text("value");
            let config = if written.is_empty() {
                Self::at(format!("{place}.env[{index}]"), Source::VariableElsewhere, None)
            } else {
                let object = decoded(&environment.value(index, written));
                Self::at(format!("{place}.env[{index}].value"), Source::Variable(name), object)
            };
            match &mut found {
                Some(first) => first.other = Some(Box::new(config)),
                None => found = Some(config),
            }
        }
        if let Some(found) = found {
            return found;
        }
        if projects_config(template, agent.node) {
            let object = template.annotation(CONFIG_ANNOTATION).and_then(|text| Object::from_json(text).ok());
            return Self::at(format!("metadata.annotations[{CONFIG_ANNOTATION}]"), Source::Annotation, object);
        }
        Self::at(place, Source::Unseen, None)
    }

    /// The configuration in JSON.
    pub(super) fn root(&self) -> Option<Node<'_>> {
        self.object.as_ref().map(Object::root)
    }

    /// Whether a variable holds it, as the vendors' injectors write it.
    pub(super) fn is_in_variable(&self) -> bool {
        matches!(self.source, Source::Variable(_) | Source::VariableElsewhere)
    }

    /// Whether a variable takes it from elsewhere.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self.source, Source::VariableElsewhere)
    }

    /// The variable or annotation that holds it, but not so that it can be read here.
    pub(super) fn unreadable(&self) -> Option<&'static str> {
        match self.source {
            Source::Variable(name) if self.object.is_none() => Some(name),
            Source::Annotation if self.object.is_none() => Some(CONFIG_ANNOTATION),
            _ => None,
        }
    }

    /// Whether the agent ends once it has rendered everything.
    pub(super) fn exits(&self) -> bool {
        self.root().is_some_and(|root| blocks(root, "exit_after_auth").any(is_on))
    }

    /// What a configuration that a vendor's injector wrote does beside logging in and rendering (`hardening.md` A27).
    pub(super) fn extras(&self, settings: &Settings) -> Vec<Named<'static>> {
        let Some(root) = self.root().filter(|_| self.is_in_variable()) else { return Vec::new() };
        let mut extras = Vec::new();
        let mut add = |name: &'static str| extras.push(Named { name: name.into(), field_path: self.field_path.clone() });
        let has = |node: Node<'_>, key: &str| blocks(node, key).next().is_some();
        if has(root, "exec") || has(root, "env_template") {
            add("a process supervisor");
        }
        let runs = |template: Node<'_>| texts(template, "command").any(|command| !command.is_empty()) || has(template, "exec");
        if blocks(root, "template").any(runs) {
            add("a command after rendering");
        }
        let open = |listener: Node<'_>| {
            let address = texts(listener, "address").last().unwrap_or_default();
            !is_local(address) && !texts(listener, "type").any(|kind| kind.starts_with("unix"))
        };
        if blocks(root, "listener").any(open) {
            add("a listener that is open to other pods");
        }
        let hands_out = |key: &str| {
            blocks(root, key)
                .flat_map(|block| blocks(block, "use_auto_auth_token"))
                .any(|value| is_on(value) || value.as_str().is_some_and(|word| word == "force" || go_true(word)))
        };
        if hands_out("cache") || hands_out("api_proxy") {
            add("its own token for every request");
        }
        let secrets = MountPath::new(&settings.vault.secrets_path);
        let shown = |sink: Node<'_>| {
            blocks(sink, "config")
                .flat_map(|config| texts(config, "path"))
                .any(|path| matches!(MountPath::new(path).relation(&secrets), Relation::Same | Relation::Below))
        };
        if blocks(root, "auto_auth").any(|auth| blocks(auth, "sink").chain(blocks(auth, "sinks")).any(shown)) {
            add("its Vault token among the rendered secrets");
        }
        extras
    }
}

/// What a variable's base64 holds, in JSON; blanks and broken lines are passed over, as `base64 -d` does.
fn decoded(text: &str) -> Option<Object> {
    let bytes = STANDARD.decode(text.split_ascii_whitespace().collect::<String>()).ok()?;
    Object::from_json(String::from_utf8(bytes).ok()?).ok().filter(|object| object.root().kind() == Kind::Map)
}

/// The values of a block or setting. HCL tells no capitals apart, and lets a block stand alone, in a list, or several times.
pub(super) fn blocks<'a>(node: Node<'a>, key: &str) -> impl Iterator<Item = Node<'a>> {
    let named = node.entries().filter(move |(name, value)| name.eq_ignore_ascii_case(key) && !value.is_null());
    named.flat_map(|(_, value)| value.items().chain(Some(value).filter(|value| value.kind() != Kind::List)))
}

/// The texts of a setting.
pub(super) fn texts<'a>(node: Node<'a>, key: &str) -> impl Iterator<Item = &'a str> {
    blocks(node, key).filter_map(Node::as_str)
}

/// Whether a switch of a configuration is on: the agent takes booleans and their words.
pub(super) fn is_on(value: Node<'_>) -> bool {
    value.as_bool() == Some(true) || value.as_str().is_some_and(go_true) || value.as_i64() == Some(1)
}

fn is_local(address: &str) -> bool {
    ["127.", "localhost", "[::1]"].iter().any(|start| address.starts_with(start))
}

/// The literal value of some variables, with its position. Of duplicates the last one counts, as in the kubelet.
pub(super) fn variable<'a>(container: Node<'a>, names: &[&str]) -> Option<(usize, &'a str)> {
    let mut found = container.list("env").enumerate().rev().filter(|(_, variable)| names.contains(&variable.text("name")));
    found.find_map(|(index, variable)| Some((index, variable.get("value")?.as_str().filter(|value| !value.is_empty())?)))
}

/// Whether a volume projects the configuration's annotation.
fn projects(volume: Node<'_>) -> bool {
    volume.get("downwardAPI").is_some_and(|downward| {
        downward.list("items").any(|item| item.get("fieldRef").is_some_and(|field| field.text("fieldPath") == CONFIG_FIELD))
    })
}

/// Whether a container mounts a downwardAPI volume that projects the configuration's annotation.
fn projects_config<'a>(template: PodTemplate<'a>, container: Node<'a>) -> bool {
    template
        .spec()
        .list("volumes")
        .filter(|volume| projects(*volume))
        .any(|volume| container.list("volumeMounts").any(|mount| mount.text("name") == volume.text("name")))
}

/// The files that an agent's command names as its configuration, as far as they are not read, by what holds them.
fn unread_files(template: PodTemplate<'_>, container: Node<'_>, source: &Source) -> Vec<String> {
    let words: Vec<&str> = container
        .list("command")
        .chain(container.list("args"))
        .filter_map(Node::as_str)
        .flat_map(str::split_ascii_whitespace)
        .map(|word| word.trim_matches(['"', '\'', ';', '&', '(', ')']))
        .collect();
    let mut named = words.iter().enumerate().filter_map(|(index, word)| {
        let flag = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?.strip_prefix("config")?;
        if flag.is_empty() { words.get(index + 1).copied() } else { flag.strip_prefix('=') }
    });
    let mut files: Vec<String> = Vec::new();
    let mut seen = false;
    for path in named.by_ref().take(FILES) {
        seen = true;
        let path = MountPath::new(path.trim_matches(['"', '\'']));
        let mounts = container.list("volumeMounts").map(|mount| (MountPath::new(mount.text("mountPath")), mount.text("name")));
        let above = mounts.filter(|(mount, _)| matches!(path.relation(mount), Relation::Same | Relation::Below));
        let volume = above.max_by_key(|(mount, _)| mount.as_str().len()).map(|(_, name)| name);
        let volume = volume.and_then(|name| template.spec().list("volumes").find(|volume| volume.text("name") == name));
        let file = match volume {
            Some(volume) if projects(volume) => continue,
            // The command writes there what the variable holds.
            Some(volume) if volume.get("emptyDir").is_some() && !matches!(source, Source::Unseen) => continue,
            Some(volume) => match (volume.get("configMap"), volume.get("secret")) {
                (Some(map), _) => format!("ConfigMap `{}`", map.text("name")),
                (_, Some(secret)) => format!("Secret `{}`", secret.text("secretName")),
                _ => format!("volume `{}`", volume.text("name")),
            },
            None if matches!(source, Source::Variable(_) | Source::VariableElsewhere) => continue,
            None => "a file of its image".to_owned(),
        };
        if !files.contains(&file) {
            files.push(file);
        }
    }
    if named.next().is_some() {
        files.push("further files".to_owned());
    }
    if !seen && matches!(source, Source::Unseen) {
        files.push("where its image has it".to_owned());
    }
    files
}
