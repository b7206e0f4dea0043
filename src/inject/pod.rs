//! A pod template as injections see it.

use std::cell::OnceCell;

use super::outcome::Conflict;
use crate::identity::{MountPath, Relation, Surroundings, TOKEN_DIRECTORY};
use crate::object::{CONTAINER_LISTS, Content, FieldPath, Kind, Node, PodTemplate};
use crate::settings::Settings;

/// The template after the injections before this one, with what stands around it.
#[derive(Clone, Debug)]
pub(super) struct Pod<'a> {
    pub(super) template: PodTemplate<'a>,
    pub(super) surroundings: Surroundings<'a>,
    /// Names of the Vault agent's containers, if one acts on this pod: they are no application containers.
    pub(super) agent_names: &'static [&'static str],
    spec: Node<'a>,
    // Every injection goes through them several times, and some not at all.
    containers: OnceCell<Vec<Container<'a>>>,
    volumes: OnceCell<Vec<Volume<'a>>>,
}

/// A container with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Container<'a> {
    pub(super) list: &'static str,
    pub(super) index: usize,
    pub(super) name: &'a str,
    pub(super) node: Node<'a>,
}

/// A volume; its place is that in the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Volume<'a> {
    pub(super) name: &'a str,
    pub(super) node: Node<'a>,
}

impl<'a> Pod<'a> {
    pub(super) fn new(template: PodTemplate<'a>, surroundings: Surroundings<'a>, agent_names: &'static [&'static str]) -> Self {
        let spec = template.spec();
        Self { template, surroundings, agent_names, spec, containers: OnceCell::new(), volumes: OnceCell::new() }
    }

    pub(super) fn settings(&self) -> &'a Settings {
        self.surroundings.settings
    }

    pub(super) fn spec(&self) -> Node<'a> {
        self.spec
    }

    /// Every container of every list that has the shape of one.
    pub(super) fn containers(&self) -> impl Iterator<Item = Container<'a>> {
        let read = || {
            let of_list = |list| self.spec.list(list).enumerate().map(move |(index, node)| (list, index, node));
            let containers = CONTAINER_LISTS.into_iter().flat_map(of_list).filter(|(_, _, node)| node.kind() == Kind::Map);
            containers.map(|(list, index, node)| Container { list, index, name: node.text("name"), node }).collect()
        };
        self.containers.get_or_init(read).iter().copied()
    }

    /// Every volume, in order.
    pub(super) fn volumes(&self) -> impl ExactSizeIterator<Item = Volume<'a>> + DoubleEndedIterator {
        let read = || self.spec.list("volumes").map(|node| Volume { name: node.text("name"), node }).collect();
        self.volumes.get_or_init(read).iter().copied()
    }

    /// The author's application containers: those of `containers` that neither a mesh nor an injection of ours put there.
    pub(super) fn app_containers(&self) -> impl Iterator<Item = Container<'a>> {
        self.containers().filter(|container| self.is_app(container))
    }

    /// Whether a container is one of them.
    pub(super) fn is_app(&self, container: &Container<'_>) -> bool {
        container.list == "containers" && !container.is_mesh() && !self.is_agent(container)
    }

    /// Whether a container belongs to the Vault agent that acts on this pod.
    pub(super) fn is_agent(&self, container: &Container<'_>) -> bool {
        self.agent_names.contains(&container.name)
    }

    /// A volume by its name, with its position.
    pub(super) fn volume(&self, name: &str) -> Option<(usize, Node<'a>)> {
        self.volumes().enumerate().find(|(_, volume)| volume.name == name).map(|(index, volume)| (index, volume.node))
    }

    /// Whether the volume of that name must be added: it is not there. One that lacks something of what we set is a conflict.
    pub(super) fn lacks_volume(&self, wanted: &Content, what: &str) -> Result<bool, Conflict> {
        let name = wanted.get("name").and_then(Content::as_str).unwrap_or_default();
        match self.volume(name) {
            None => Ok(true),
            Some((_, volume)) if holds(volume, wanted) => Ok(false),
            Some((index, _)) => Err(Conflict::new(
                volume_path(index),
                format!("a volume named `{name}` exists and is not {what}"),
                "rename the volume and its mounts",
            )),
        }
    }

    /// Refuses a container that mounts a volume whose name is ours although it is none of those that get it: it would obtain the
    /// content as soon as the volume is added (`hardening.md` A26).
    pub(super) fn reserve(&self, volume: &str, mut may_mount: impl FnMut(&Container<'a>) -> bool) -> Result<(), Conflict> {
        for container in self.containers() {
            for (index, mount) in container.node.list("volumeMounts").enumerate() {
                if mount.text("name") == volume && !may_mount(&container) {
                    return Err(Conflict::new(
                        container.path().field("volumeMounts").index(index),
                        format!("container `{}` mounts `{volume}`, which is reserved for other containers", container.name),
                        "remove the mount, or mount a volume of your own under another name",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether the node runs Windows, read as Kubernetes does: the declared system first, then the node selector.
    pub(super) fn is_windows(&self) -> bool {
        let declared = self.spec().path(&["os", "name"]).and_then(Node::as_str);
        let selected = || self.spec().path(&["nodeSelector"]).map(|selector| selector.text("kubernetes.io/os"));
        declared.or_else(selected) == Some("windows")
    }
}

impl<'a> Container<'a> {
    pub(super) fn path(&self) -> FieldPath {
        FieldPath::of(&["spec", self.list]).index(self.index)
    }

    /// Whether a mesh injected it. The name is enough here: who borrows it gets less, not more.
    pub(super) fn is_mesh(&self) -> bool {
        self.name.starts_with("linkerd-") || self.name.starts_with("istio-")
    }

    /// Whether a mount must be added: none of those present serves, and the path is free. A mount above is allowed, because the
    /// runtime mounts the outer directory first; one below could not be made inside a read-only volume. Where the ServiceAccount plugin
    /// mounts, only what belongs there serves: see [`is_for_api`].
    pub(super) fn lacks_mount(&self, path: &str, what: &str, serves: impl Fn(Node<'a>) -> bool) -> Result<bool, Conflict> {
        let wanted = MountPath::new(path);
        let belongs = |mount: Node<'_>| !is_for_api(mount) || wanted == MountPath::new(TOKEN_DIRECTORY);
        if self.node.list("volumeMounts").any(|mount| serves(mount) && belongs(mount)) {
            return Ok(false);
        }
        for (index, mount) in self.node.list("volumeMounts").enumerate() {
            let reason = match MountPath::new(mount.text("mountPath")).relation(&wanted) {
                Relation::Above | Relation::Apart => continue,
                Relation::Same => format!("volume `{}` is mounted at `{path}`, where {what} goes", mount.text("name")),
                Relation::Below => format!("volume `{}` is mounted inside `{path}`, where {what} goes", mount.text("name")),
            };
            let field = self.path().field("volumeMounts").index(index).field("mountPath");
            return Err(Conflict::new(field, reason, "mount it at another path"));
        }
        Ok(true)
    }
}

/// A read-only mount of a volume, to be added.
pub(super) fn read_only_mount(volume: impl Into<Content>, path: impl Into<Content>) -> Content {
    Content::map([("mountPath", path.into()), ("name", volume.into()), ("readOnly", true.into())])
}

/// A file of a volume with a field of the pod itself.
pub(super) fn downward(file: &'static str, field: impl Into<Content>) -> Content {
    Content::map([("fieldRef", Content::map([("fieldPath", field.into())])), ("path", file.into())])
}

/// A mount that shows all of a volume: with `subPath` it would never be refreshed.
pub(super) fn is_whole(mount: Node<'_>) -> bool {
    mount.text("subPath").is_empty() && mount.text("subPathExpr").is_empty()
}

/// Whether a mount stands where programs look for the token of the Kubernetes API. The ServiceAccount plugin takes any volume named
/// `kube-api-access-*` for its own and mounts it there, after our first call too: so such a mount says nothing of what its author meant.
pub(super) fn is_for_api(mount: Node<'_>) -> bool {
    MountPath::new(mount.text("mountPath")) == MountPath::new(TOKEN_DIRECTORY)
}

/// Where a volume stands.
pub(super) fn volume_path(index: usize) -> FieldPath {
    FieldPath::of(&["spec", "volumes"]).index(index)
}

/// Whether a value has every field that we set, at its value. The API server adds defaults and other hooks add to keyed lists
/// (`env`, `volumeMounts`), so what is there beside ours does not count; other lists are ours whole.
pub(super) fn holds(actual: Node<'_>, wanted: &Content) -> bool {
    match wanted {
        Content::Map(fields) => fields.iter().all(|(name, wanted)| holds_field(actual, name, wanted)),
        Content::List(items) => {
            actual.kind() == Kind::List
                && actual.len() == items.len()
                && actual.items().zip(items).all(|(actual, item)| holds(actual, item))
        }
        Content::Text(text) => actual.as_str() == Some(text),
        Content::Bool(value) => actual.as_bool() == Some(*value),
        Content::Number(number) => number.as_i64().is_some() && actual.as_i64() == number.as_i64(),
        Content::Null => actual.is_null(),
    }
}

/// Whether one field of a value has what we set.
pub(super) fn holds_field(actual: Node<'_>, name: &str, wanted: &Content) -> bool {
    actual.get(name).is_some_and(|actual| match (name, wanted) {
        ("env" | "volumeMounts", Content::List(items)) => items.iter().all(|item| actual.items().any(|other| holds(other, item))),
        _ => holds(actual, wanted),
    })
}
