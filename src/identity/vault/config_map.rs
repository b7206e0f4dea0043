//! The files of an agent's configuration, and what stands in those that a `ConfigMap` holds (`hardening.md` A11).
//!
//! Whoever writes that `ConfigMap` chooses the agent's server, mount, programs and sinks. So it is read and judged as a configuration in
//! the pod is; it counts for the pod's life only if it is immutable, since the agent reads it again when it starts again. What cannot be
//! judged is told with the reason, and refused where the agent is the injected one.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;

use super::super::environment::matches;
use super::super::mount_path::{MountPath, Relation};
use super::super::pod::{Container, Pod};
use super::super::surroundings::{Beside, Surroundings};
use super::config::{AgentConfig, Source};
use super::{is_agent, runs_agent};
use crate::object::{Kind, Node, Object, PodTemplate};
use crate::settings::Settings;

/// How many files of an agent's configuration are told.
const FILES: usize = 8;

/// How many `ConfigMaps` are looked for to judge one pod. One more is taken for one that cannot be read.
const CONFIG_MAPS: usize = 4;

/// A configuration that an agent takes from where nobody judged it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadConfig<'a> {
    /// What holds it, in words.
    pub name: Cow<'a, str>,
    /// Why it is not judged.
    pub reason: Cow<'a, str>,
    /// What to do.
    pub remedy: &'static str,
    /// Whether the agent is the injected one, whose configuration is the operator's matter.
    #[serde(skip)]
    pub injected: bool,
    /// Whether it was looked for, and this is what came of it; else it was not at hand.
    #[serde(skip)]
    pub certain: bool,
    /// Where the agent stands.
    pub field_path: String,
}

/// A file that an agent's command names as its configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum File<'a> {
    /// In a `ConfigMap`: its name, the key, and the volume's position. Without a key the whole directory is named.
    ConfigMap { name: &'a str, key: Option<Cow<'a, str>>, volume: usize },
    /// Where nobody looks, in words.
    Elsewhere(String),
}

/// Why a configuration is not judged.
pub(super) struct Flaw {
    pub(super) reason: Cow<'static, str>,
    pub(super) remedy: &'static str,
    pub(super) certain: bool,
}

const GENERATED: &str =
    "remove the agent and label the namespace `inject.doorward.dev/vault-agent: \"true\"`: then its configuration is generated";

impl Flaw {
    pub(super) fn not_read() -> Self {
        Self { reason: Cow::Borrowed("which is not read"), remedy: GENERATED, certain: false }
    }

    fn certain(reason: impl Into<Cow<'static, str>>, remedy: &'static str) -> Self {
        Self { reason: reason.into(), remedy, certain: true }
    }

    pub(super) fn may_change() -> Self {
        Self::certain("which may change after it was judged", "set `immutable: true` on it, and make a new one for a new configuration")
    }
}

/// What became of a file of a `ConfigMap`.
pub(super) enum Looked {
    /// The operator answers for it.
    Trusted,
    /// The configuration, and whether it stays as it is.
    Read(Object, bool),
    /// It is not judged.
    Flawed(Flaw),
}

impl<'a> File<'a> {
    /// What holds it, in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::ConfigMap { name, .. } => format!("ConfigMap `{name}`"),
            Self::Elsewhere(words) => words.clone(),
        }
    }

    /// Looks at what it holds.
    pub(super) fn look(&self, surroundings: &Surroundings<'_>) -> Looked {
        let Self::ConfigMap { name, key, .. } = self else { return Looked::Flawed(Flaw::not_read()) };
        let Surroundings { settings, namespace, beside, .. } = surroundings;
        if is_trusted(settings, namespace, name) {
            return Looked::Trusted;
        }
        let Some(map) = Beside::named(beside.config_maps, name) else {
            return Looked::Flawed(if beside.all_config_maps {
                Flaw::certain(
                    "which does not exist, or could not be read in time",
                    "make it before the pod, or have it listed in the setting `vault.agent.configMaps`",
                )
            } else {
                Flaw {
                    reason: Cow::Borrowed("which is not at hand"),
                    remedy: "give it among the files, or with `--context`",
                    certain: false,
                }
            });
        };
        let Some(key) = key else {
            return Looked::Flawed(Flaw::certain("of which no one key is what it reads", "name the one file that holds the configuration"));
        };
        let Some(text) = map.get("data").and_then(|data| data.get(key)).and_then(Node::as_str) else {
            return Looked::Flawed(Flaw::certain(
                format!("which has no key `{key}` with a text"),
                "write the configuration under the key that the agent reads",
            ));
        };
        match Object::from_json(text).ok().filter(|object| object.root().kind() == Kind::Map) {
            Some(config) => Looked::Read(config, map.get("immutable").and_then(Node::as_bool) == Some(true)),
            None => Looked::Flawed(Flaw::certain(
                "which holds no JSON",
                "write it as JSON, which the agent reads as well, or have the ConfigMap listed in the setting `vault.agent.configMaps`",
            )),
        }
    }
}

/// Whether the operator answers for what a `ConfigMap` holds.
fn is_trusted(settings: &Settings, namespace: &str, name: &str) -> bool {
    let place = format!("{namespace}/{name}");
    settings.vault.agent.config_maps.iter().any(|pattern| matches(pattern, &place))
}

/// The names of the `ConfigMaps` that the agents of a pod read their configuration from, as far as somebody must judge them.
pub(in super::super) fn config_maps<'a>(template: PodTemplate<'a>, settings: &Settings, namespace: &str) -> BTreeSet<&'a str> {
    // Most pods have no such volume, or no agent.
    if !template.spec().list("volumes").any(|volume| volume.get("configMap").is_some()) {
        return BTreeSet::new();
    }
    let pod = Pod::of(template);
    let agents = pod.lasting().filter(|container| is_agent(container, settings) && runs_agent(container));
    let all = agents.flat_map(|agent| files(template, agent, &AgentConfig::source_of(template, agent)));
    let named = all.filter_map(|file| if let File::ConfigMap { name, .. } = file { Some(name) } else { None });
    named.filter(|name| !is_trusted(settings, namespace, name)).take(CONFIG_MAPS).collect()
}

/// The files that an agent's command names as its configuration, as far as the pod does not show them.
pub(super) fn files<'a>(template: PodTemplate<'a>, container: &Container<'a>, source: &Source) -> Vec<File<'a>> {
    let words: Vec<&str> =
        container.words().flat_map(str::split_ascii_whitespace).map(|word| word.trim_matches(['"', '\'', ';', '&', '(', ')'])).collect();
    let mut named = words.iter().enumerate().filter_map(|(index, word)| {
        let flag = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?.strip_prefix("config")?;
        if flag.is_empty() { words.get(index + 1).copied() } else { flag.strip_prefix('=') }
    });
    let mut files: Vec<File<'a>> = Vec::new();
    let mut seen = false;
    for path in named.by_ref().take(FILES) {
        seen = true;
        if let Some(file) = file(template, container.node, source, &MountPath::new(path.trim_matches(['"', '\''])))
            && !files.contains(&file)
        {
            files.push(file);
        }
    }
    if named.next().is_some() {
        files.push(File::Elsewhere("further files".to_owned()));
    }
    if !seen && matches!(source, Source::Unseen) {
        files.push(File::Elsewhere("where its image has it".to_owned()));
    }
    files
}

/// The file at a path of a container; `None` where the pod shows it.
fn file<'a>(template: PodTemplate<'a>, container: Node<'a>, source: &Source, path: &MountPath) -> Option<File<'a>> {
    let mounts = container.list("volumeMounts").map(|mount| (MountPath::new(mount.text("mountPath")), mount));
    let above = mounts.filter(|(mount, _)| matches!(path.relation(mount), Relation::Same | Relation::Below));
    let Some((place, mount)) = above.max_by_key(|(mount, _)| mount.as_str().len()) else {
        let shown = matches!(source, Source::Variable(_) | Source::VariableElsewhere);
        return (!shown).then(|| File::Elsewhere("a file of its image".to_owned()));
    };
    let mut volumes = template.spec().list("volumes").enumerate();
    let Some((index, volume)) = volumes.find(|(_, volume)| volume.text("name") == mount.text("name")) else {
        return Some(File::Elsewhere("a file of its image".to_owned()));
    };
    // The command writes there what the variable holds.
    let is_written = volume.get("emptyDir").is_some() && !matches!(source, Source::Unseen);
    if super::config::projects(volume) || is_written {
        return None;
    }
    Some(match (volume.get("configMap"), volume.get("secret")) {
        (Some(map), _) => File::ConfigMap { name: map.text("name"), key: key_of(map, mount, &place, path), volume: index },
        (_, Some(secret)) => File::Elsewhere(format!("Secret `{}`", secret.text("secretName"))),
        _ => File::Elsewhere(format!("volume `{}`", volume.text("name"))),
    })
}

/// The key of a `ConfigMap` that shows at a path of a container.
fn key_of<'a>(map: Node<'a>, mount: Node<'a>, place: &MountPath, path: &MountPath) -> Option<Cow<'a, str>> {
    let below = path.as_str().strip_prefix(place.as_str()).unwrap_or_default().trim_matches('/');
    let file = match (mount.text("subPath"), mount.text("subPathExpr"), below) {
        ("", "", "") => return None,
        ("", "", below) => Cow::Owned(below.to_owned()),
        (file, "", "") => Cow::Borrowed(file),
        // A part of a file, or what a variable makes of it.
        _ => return None,
    };
    if map.get("items").is_none_or(Node::is_null) {
        return Some(file);
    }
    map.list("items").find(|item| item.text("path") == file).map(|item| Cow::Borrowed(item.text("key")))
}
