//! A pod template as every room of the identity reads it: its containers, each of their fields looked up once.

use super::mounts::Mount;
use crate::object::{CONTAINER_LISTS, Node, PodTemplate};

/// A pod template, its containers taken apart.
pub(super) struct Pod<'a> {
    pub(super) template: PodTemplate<'a>,
    pub(super) spec: Node<'a>,
    /// Name of the ServiceAccount after defaulting.
    pub(super) service_account: &'a str,
    /// Labels and annotations, if it has any.
    pub(super) labels: Option<Node<'a>>,
    pub(super) annotations: Option<Node<'a>>,
    /// Every container, in the order of a pod's life.
    pub(super) containers: Vec<Container<'a>>,
}

impl<'a> Pod<'a> {
    pub(super) fn of(template: PodTemplate<'a>) -> Self {
        let spec = template.spec();
        let metadata = template.node.get("metadata");
        let lists = CONTAINER_LISTS.map(|list| (list, spec.get(list)));
        let mut containers = Vec::with_capacity(lists.iter().filter_map(|(_, nodes)| *nodes).map(Node::len).sum());
        for (list, nodes) in lists {
            for (index, node) in nodes.into_iter().flat_map(Node::items).enumerate() {
                let position = containers.len();
                containers.push(Container::of(list, index, position, node));
            }
        }
        Self {
            template,
            spec,
            service_account: template.service_account_name(),
            labels: metadata.and_then(|metadata| metadata.get("labels")),
            annotations: metadata.and_then(|metadata| metadata.get("annotations")),
            containers,
        }
    }

    /// A label of the pod.
    pub(super) fn label(&self, key: &str) -> Option<&'a str> {
        self.labels?.get(key)?.as_str()
    }

    /// An annotation of the pod.
    pub(super) fn annotation(&self, key: &str) -> Option<&'a str> {
        self.annotations?.get(key)?.as_str()
    }

    /// The containers that the pod was made with.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Container<'a>> {
        self.containers.iter().filter(|container| container.list != "ephemeralContainers")
    }
}

/// A container, or a step of Tekton's kinds, which has the same fields.
pub(super) struct Container<'a> {
    /// The list of the pod's `spec` that it stands in, and where there.
    pub(super) list: &'static str,
    pub(super) index: usize,
    pub(super) node: Node<'a>,
    pub(super) name: &'a str,
    pub(super) image: &'a str,
    /// `command` and then `args`.
    pub(super) words: Vec<Word<'a>>,
    pub(super) env: Vec<Variable<'a>>,
    pub(super) mounts: Vec<Mount<'a>>,
    pub(super) security_context: Option<Node<'a>>,
    env_from: Option<Node<'a>>,
    probes: [Option<Node<'a>>; 3],
    lifecycle: Option<Node<'a>>,
}

impl<'a> Container<'a> {
    /// `position` is the one in the whole pod.
    pub(super) fn of(list: &'static str, index: usize, position: usize, node: Node<'a>) -> Self {
        let (mut name, mut image) = ("", "");
        let (mut command, mut args, mut env, mut env_from, mut mounts) = (None, None, None, None, None);
        let (mut security_context, mut lifecycle) = (None, None);
        let (mut liveness, mut readiness, mut startup) = (None, None, None);
        // Of a field that stands twice the last one counts.
        for (field, value) in node.entries() {
            let present = Some(value).filter(|value| !value.is_null());
            match field {
                "name" => name = value.as_str().unwrap_or_default(),
                "image" => image = value.as_str().unwrap_or_default(),
                "command" => command = present,
                "args" => args = present,
                "env" => env = present,
                "envFrom" => env_from = present,
                "volumeMounts" => mounts = present,
                "securityContext" => security_context = present,
                "livenessProbe" => liveness = present,
                "readinessProbe" => readiness = present,
                "startupProbe" => startup = present,
                "lifecycle" => lifecycle = present,
                _ => {}
            }
        }
        Self {
            list,
            index,
            node,
            name,
            image,
            words: Word::of(command, args),
            env: env.into_iter().flat_map(Node::items).map(Variable::of).collect(),
            mounts: mounts.into_iter().flat_map(Node::items).map(|mount| Mount::of(mount, name, position)).collect(),
            security_context,
            env_from,
            probes: [liveness, readiness, startup],
            lifecycle,
        }
    }

    /// Where it stands.
    pub(super) fn place(&self) -> String {
        format!("spec.{}[{}]", self.list, self.index)
    }

    /// Whole objects that are turned into variables.
    pub(super) fn env_from(&self) -> impl Iterator<Item = Node<'a>> {
        self.env_from.into_iter().flat_map(Node::items)
    }

    /// The texts of `command` and `args`.
    pub(super) fn words(&self) -> impl Iterator<Item = &'a str> {
        self.words.iter().map(|word| word.text)
    }

    /// Its probes, each with its path in the container.
    pub(super) fn probes(&self) -> impl Iterator<Item = (&'static str, Node<'a>)> {
        let probes = ["livenessProbe", "readinessProbe", "startupProbe"].into_iter().zip(self.probes);
        probes.filter_map(|(path, probe)| Some((path, probe?)))
    }

    /// Its hooks, likewise.
    pub(super) fn hooks(&self) -> impl Iterator<Item = (&'static str, Node<'a>)> {
        let (hooks, lifecycle) = ([("lifecycle.postStart", "postStart"), ("lifecycle.preStop", "preStop")], self.lifecycle);
        hooks.into_iter().filter_map(move |(path, hook)| Some((path, lifecycle?.get(hook)?)))
    }
}

/// A word of a command line.
pub(super) struct Word<'a> {
    /// `command` or `args`.
    pub(super) field: &'static str,
    pub(super) index: usize,
    pub(super) text: &'a str,
}

impl<'a> Word<'a> {
    pub(super) fn of(command: Option<Node<'a>>, args: Option<Node<'a>>) -> Vec<Self> {
        let mut words = Vec::with_capacity(command.map_or(0, Node::len) + args.map_or(0, Node::len));
        for (field, list) in [("command", command), ("args", args)] {
            let texts = list.into_iter().flat_map(Node::items).enumerate();
            words.extend(texts.filter_map(|(index, word)| Some(Word { field, index, text: word.as_str()? })));
        }
        words
    }
}

/// A variable of a container's environment.
#[derive(Clone, Copy)]
pub(super) struct Variable<'a> {
    pub(super) node: Node<'a>,
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// `valueFrom`.
    pub(super) from: Option<Node<'a>>,
}

impl<'a> Variable<'a> {
    fn of(node: Node<'a>) -> Self {
        let mut variable = Self { node, name: "", value: "", from: None };
        for (field, value) in node.entries() {
            match field {
                "name" => variable.name = value.as_str().unwrap_or_default(),
                "value" => variable.value = value.as_str().unwrap_or_default(),
                "valueFrom" => variable.from = Some(value).filter(|value| !value.is_null()),
                _ => {}
            }
        }
        variable
    }

    /// Whether its value stands elsewhere.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.value.is_empty() && self.from.is_some()
    }
}
