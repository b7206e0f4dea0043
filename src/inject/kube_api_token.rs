//! `kube-api-token`: a token for the Kubernetes API that lives for an hour, for workloads that a policy lets talk to it. The
//! ServiceAccount plugin's own lives for a year, so it goes: this injection brings `automount-off` along.

use super::automount_off;
use super::outcome::Conflict;
use super::place::Additions;
use super::pod::{Container, Pod, downward, is_for_api, is_whole, read_only_mount, volume_path};
use crate::identity::TOKEN_DIRECTORY;
use crate::object::{Content, FieldPath, Node, Operation};

const VOLUME: &str = "sa-token";
const WHAT: &str = "the token for the Kubernetes API";
/// Names of the containers that get it, with commas between; without it every application container does.
const CONTAINERS_ANNOTATION: &str = "doorward.dev/containers";

/// As `automount-off`: where the plugin's token stays there is no place for another.
pub(super) fn is_due(pod: &Pod<'_>) -> bool {
    automount_off::is_due(pod)
}

/// The volume with token, CA certificates and namespace, as client libraries expect them, and its mount where they look for it.
pub(super) fn apply(pod: &Pod<'_>) -> Result<Vec<Operation>, Conflict> {
    let targets = targets(pod)?;
    pod.reserve(VOLUME, |container| targets.iter().any(|target| target.name == container.name))?;
    let named = pod.volume(VOLUME);
    if let Some((index, volume)) = named
        && !serves(pod, volume)
    {
        return Err(Conflict::new(
            volume_path(index),
            format!("a volume named `{VOLUME}` exists and holds no token for the Kubernetes API of at most {} s", longest(pod)),
            "rename the volume and its mounts, or remove both",
        ));
    }
    let authors = || pod.volumes().filter(|volume| serves(pod, volume.node)).map(|volume| volume.name).min();
    let existing = named.map(|_| VOLUME).or_else(authors);
    let volume = existing.unwrap_or(VOLUME);

    let mut additions = Additions::default();
    for container in &targets {
        let is_token = |mount: Node<'_>| {
            let name = mount.text("name");
            is_whole(mount) && is_for_api(mount) && (name == volume || pod.volume(name).is_some_and(|(_, volume)| serves(pod, volume)))
        };
        if container.lacks_mount(TOKEN_DIRECTORY, WHAT, is_token)? {
            additions.mount(container, read_only_mount(volume.to_owned(), TOKEN_DIRECTORY));
        }
    }
    if existing.is_none() && !targets.is_empty() {
        let mut token = Content::map([("expirationSeconds", longest(pod).into()), ("path", "token".into())]);
        let audience = &pod.settings().kube_api.audience;
        if !audience.is_empty() {
            token.set("audience", audience.clone().into());
        }
        let certificates = Content::map([("key", "ca.crt".into()), ("path", "ca.crt".into())]);
        let sources = [
            ("serviceAccountToken", token),
            ("configMap", Content::map([("items", Content::list([certificates])), ("name", "kube-root-ca.crt".into())])),
            ("downwardAPI", Content::map([("items", Content::list([downward("namespace", "metadata.namespace")]))])),
        ];
        let sources = Content::List(sources.into_iter().map(|source| Content::map([source])).collect());
        additions.volumes.push(Content::map([("name", VOLUME.into()), ("projected", Content::map([("sources", sources)]))]));
    }
    additions.operations(pod)
}

fn longest(pod: &Pod<'_>) -> i64 {
    pod.settings().kube_api.ttl
}

/// Whether a volume holds a token for the API of a life that is short enough. An absent lifetime is an hour.
fn serves(pod: &Pod<'_>, volume: Node<'_>) -> bool {
    let tokens = volume.get("projected").into_iter().flat_map(|projected| projected.list("sources"));
    tokens.filter_map(|source| source.get("serviceAccountToken")).any(|token| {
        let seconds = token.get("expirationSeconds").map_or(Some(3600), Node::as_i64);
        pod.settings().is_api_audience(token.text("audience")) && seconds.is_some_and(|seconds| seconds > 0 && seconds <= longest(pod))
    })
}

/// The containers that get the token: those that the author names, else the application's.
fn targets<'a>(pod: &Pod<'a>) -> Result<Vec<Container<'a>>, Conflict> {
    let Some(names) = pod.template.annotation(CONTAINERS_ANNOTATION) else { return Ok(pod.app_containers().collect()) };
    let field = || FieldPath::of(&["metadata", "annotations"]).key(CONTAINERS_ANNOTATION);
    let named = names.split(',').map(str::trim).map(|name| {
        let mut authors = pod.containers().filter(|container| container.list != "ephemeralContainers" && !container.is_mesh());
        authors.find(|container| container.name == name && !pod.is_agent(container)).ok_or_else(|| {
            let reason = format!("annotation `{CONTAINERS_ANNOTATION}` names `{name}`, and the pod's author has no container of that name");
            Conflict::new(field(), reason, "write names of the pod's own containers, with commas between")
        })
    });
    named.collect()
}
