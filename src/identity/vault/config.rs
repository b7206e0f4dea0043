//! The configuration of an agent's container, as far as the pod shows it or a `ConfigMap` does that was read.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::expansion::Environment;
use super::super::mount_path::{MountPath, Relation};
use super::super::pod::Container;
use super::super::surroundings::Surroundings;
use super::access::Named;
use super::config_map::{File, Flaw, Looked, UnreadConfig, files};
use super::template::{DENIED_FUNCTIONS, check_template_between};
use super::vendor::is_injected;
use super::{go_true, runs_agent};
use crate::object::{Kind, Node, Object, PodTemplate};
use crate::settings::Settings;

/// Variables in which the vendors' injectors hand the agent its configuration, base64 of JSON.
const CONFIG_VARIABLES: [&str; 2] = ["VAULT_CONFIG", "BAO_CONFIG"];

/// The annotation that holds the configuration of an injected agent, projected into it by the downward API.
const CONFIG_ANNOTATION: &str = "doorward.dev/vault-agent-config";
const CONFIG_FIELD: &str = "metadata.annotations['doorward.dev/vault-agent-config']";

/// The annotation by which an author asks for the injected agent's own token among the rendered secrets.
const SINK_ANNOTATION: &str = "doorward.dev/vault-token-sink";

/// An agent's configuration, or only where the agent stands.
pub(super) struct AgentConfig {
    object: Option<Object>,
    /// Where it stands; the container if it is not in the pod (a `ConfigMap`, a file of the image).
    pub(super) field_path: String,
    source: Source,
    /// The files that the agent's command names and that nobody judged, at the agent.
    pub(super) unread: Vec<UnreadConfig<'static>>,
    /// The configuration in the other variable, of which the command may take either.
    pub(super) other: Option<Box<AgentConfig>>,
    /// Whether the agent is the injected one.
    injected: bool,
}

/// From where an agent takes its configuration.
pub(super) enum Source {
    /// This variable, as the vendors' injectors write it.
    Variable(&'static str),
    /// A variable that takes its value from elsewhere.
    VariableElsewhere,
    /// The annotation of an injected agent.
    Annotation,
    /// A `ConfigMap` that was read.
    ConfigMap,
    /// None that is seen here.
    Unseen,
}

impl AgentConfig {
    pub(super) fn of<'a>(template: PodTemplate<'a>, agent: &Container<'a>, surroundings: &Surroundings<'a>) -> Self {
        let mut config = Self { injected: is_injected(agent.node, surroundings.settings), ..Self::shown(template, agent) };
        if !runs_agent(agent) {
            return config;
        }
        for file in files(template, agent, &config.source) {
            match file.look(surroundings) {
                Looked::Trusted => {}
                Looked::Flawed(flaw) => config.leave(&file, agent, flaw),
                Looked::Read(..) if !matches!(config.source, Source::Unseen) => config.leave(&file, agent, Flaw::not_read()),
                Looked::Read(object, stays) => {
                    if let File::ConfigMap { volume, .. } = file {
                        config.field_path = format!("spec.volumes[{volume}].configMap.name");
                    }
                    (config.object, config.source) = (Some(object), Source::ConfigMap);
                    if !stays {
                        config.leave(&file, agent, Flaw::may_change());
                    }
                }
            }
        }
        config
    }

    /// From where an agent takes its configuration, as far as the pod alone shows it.
    pub(super) fn source_of<'a>(template: PodTemplate<'a>, agent: &Container<'a>) -> Source {
        Self::shown(template, agent).source
    }

    /// Tells a file that nobody judged, at the agent's name, for an injection may add to the rest of the container.
    fn leave(&mut self, file: &File<'_>, agent: &Container<'_>, flaw: Flaw) {
        self.unread.push(UnreadConfig {
            name: file.words().into(),
            reason: flaw.reason,
            remedy: flaw.remedy,
            injected: self.injected,
            certain: flaw.certain,
            field_path: format!("{}.name", agent.place()),
        });
    }

    fn at(field_path: String, source: Source, object: Option<Object>) -> Self {
        Self { object, field_path, source, unread: Vec::new(), other: None, injected: false }
    }

    fn shown<'a>(template: PodTemplate<'a>, agent: &Container<'a>) -> Self {
        let place = agent.place();
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

    /// Whether it is the injected agent's and somebody else wrote it.
    fn is_of_config_map(&self) -> bool {
        self.injected && matches!(self.source, Source::ConfigMap)
    }

    /// What a configuration that a vendor's injector wrote, or that the injected agent takes from a `ConfigMap`, does beside logging in and
    /// rendering (`hardening.md` A11, A27).
    pub(super) fn extras(&self, template: PodTemplate<'_>, settings: &Settings) -> Vec<Named<'static>> {
        let Some(root) = self.root().filter(|_| self.is_in_variable() || self.is_of_config_map()) else { return Vec::new() };
        let mut extras: Vec<Named<'static>> = Vec::new();
        let mut add = |name: Cow<'static, str>| extras.push(Named { name, field_path: self.field_path.clone() });
        if self.is_of_config_map() {
            blocks(root, "template").filter_map(|template| beyond_rendering(template, settings)).for_each(&mut add);
        }
        let mut add = |name: &'static str| add(Cow::Borrowed(name));
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
        let asked = self.is_of_config_map() && template.annotation(SINK_ANNOTATION).is_some_and(go_true);
        if !asked && blocks(root, "auto_auth").any(|auth| blocks(auth, "sink").chain(blocks(auth, "sinks")).any(shown)) {
            add("its Vault token among the rendered secrets");
        }
        extras
    }
}

/// What a template of a `ConfigMap` may do that one of an annotation may not (`hardening.md` A10).
fn beyond_rendering(template: Node<'_>, settings: &Settings) -> Option<Cow<'static, str>> {
    let last = |key: &str| texts(template, key).last().unwrap_or_default();
    if blocks(template, "source").next().is_some() {
        return Some("a template in a file, which cannot be read before it is rendered".into());
    }
    let delimiter = |key: &str, default: &'static str| if last(key).is_empty() { default } else { last(key) }.to_owned();
    let (left, right) = (delimiter("left_delimiter", "{{"), delimiter("right_delimiter", "}}"));
    if let Some(flaw) = texts(template, "contents").find_map(|contents| check_template_between(contents, &left, &right).err()) {
        return Some(format!("a template that is refused: {}", flaw.reason).into());
    }
    let denied = |function: &str| texts(template, "function_denylist").any(|denied| denied == function);
    if let Some(function) = DENIED_FUNCTIONS.iter().find(|function| !denied(function)) {
        return Some(format!("a template whose `function_denylist` lacks `{function}`").into());
    }
    let secrets = MountPath::new(&settings.vault.secrets_path);
    let is_inside = |path: &str| MountPath::new(path).relation(&secrets) == Relation::Below;
    let outside = texts(template, "destination").any(|path| !is_inside(path)) || last("destination").is_empty();
    outside.then(|| format!("a template that is rendered outside of `{secrets}`").into())
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
pub(super) fn projects(volume: Node<'_>) -> bool {
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
