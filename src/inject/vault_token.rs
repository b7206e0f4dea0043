//! `vault-token`: a short-lived projected token that only Vault accepts.

use super::Step;
use super::outcome::Conflict;
use super::place::Additions;
use super::pod::{Pod, is_for_api, is_whole, read_only_mount, volume_path};
use crate::identity::MountPath;
use crate::object::{Content, Node, Operation};
use crate::settings::Settings;

/// The name of the volume, where the author has no fitting one.
pub(super) const VOLUME: &str = "vault-token";

const WHAT: &str = "the Vault token";

/// What the token must be.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) audience: &'a str,
    pub(super) seconds: i64,
    pub(super) mount_path: &'a str,
}

/// A volume with such a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Serving<'a> {
    pub(super) volume: &'a str,
    /// The token's file in it.
    pub(super) file: &'a str,
}

impl<'a> Token<'a> {
    /// The token of the settings, with what a policy's step sets otherwise.
    pub(super) fn asked(settings: &'a Settings, steps: &'a [Step]) -> Self {
        let vault = &settings.vault;
        let mut token = Self { audience: &vault.audience, seconds: vault.token_seconds, mount_path: &vault.token_mount_path };
        for step in steps {
            if let Step::VaultToken { audience, expiration_seconds, mount_path } = step {
                token.audience = audience.as_deref().unwrap_or(token.audience);
                token.seconds = expiration_seconds.unwrap_or(token.seconds);
                token.mount_path = mount_path.as_deref().unwrap_or(token.mount_path);
            }
        }
        token
    }

    /// The volume that already holds such a token: ours by preference, else the first by name, so that the order of volumes does not
    /// matter.
    pub(super) fn serving<'p>(&self, pod: &Pod<'p>) -> Option<Serving<'p>> {
        let volumes = pod.volumes().filter_map(|volume| self.served_by(volume.node));
        volumes.min_by_key(|serving| (serving.volume != VOLUME, serving.volume))
    }

    /// The volume of that name, if it holds such a token.
    pub(super) fn serving_of<'p>(&self, pod: &Pod<'p>, volume: &str) -> Option<Serving<'p>> {
        pod.volume(volume).and_then(|(_, volume)| self.served_by(volume))
    }

    fn served_by<'p>(&self, volume: Node<'p>) -> Option<Serving<'p>> {
        let token = volume.get("projected")?.list("sources").filter_map(|source| source.get("serviceAccountToken")).find(|token| {
            // An absent lifetime is an hour, an absent audience the API server: neither serves.
            token.text("audience") == self.audience
                && token.get("expirationSeconds").and_then(Node::as_i64).is_some_and(|seconds| seconds > 0 && seconds <= self.seconds)
        })?;
        Some(Serving { volume: volume.text("name"), file: token.text("path") })
    }

    fn serves(&self, pod: &Pod<'_>, mount: Node<'_>, chosen: &str) -> bool {
        let name = mount.text("name");
        is_whole(mount) && (name == chosen || pod.volume(name).is_some_and(|(_, volume)| self.served_by(volume).is_some()))
    }
}

/// The volume, and its mount in every application container; if a Vault agent acts on the pod, the volume alone, for the agent.
pub(super) fn apply(pod: &Pod<'_>, token: &Token<'_>) -> Result<Vec<Operation>, Conflict> {
    let for_agent = !pod.agent_names.is_empty();
    pod.reserve(VOLUME, |container| if for_agent { pod.is_agent(container) } else { pod.is_app(container) })?;

    let mut additions = Additions::default();
    let mut path = token.mount_path;
    let chosen = match (token.serving(pod), pod.volume(VOLUME)) {
        (Some(serving), _) => {
            path = mounted_at(pod, serving.volume).unwrap_or(path);
            serving.volume
        }
        (None, None) => {
            let projection = Content::map([
                ("audience", token.audience.to_owned().into()),
                ("expirationSeconds", token.seconds.into()),
                ("path", "token".into()),
            ]);
            let sources = Content::list([Content::map([("serviceAccountToken", projection)])]);
            additions.volumes.push(Content::map([("name", VOLUME.into()), ("projected", Content::map([("sources", sources)]))]));
            VOLUME
        }
        (None, Some((index, _))) => {
            return Err(Conflict::new(
                volume_path(index),
                format!(
                    "a volume named `{VOLUME}` exists and holds no token for audience `{}` of at most {} s",
                    token.audience, token.seconds
                ),
                "rename the volume and its mounts, or remove both",
            ));
        }
    };
    if for_agent {
        return additions.operations(pod);
    }
    for container in pod.app_containers() {
        if container.lacks_mount(path, WHAT, |mount| token.serves(pod, mount, chosen))? {
            additions.mount(&container, read_only_mount(chosen.to_owned(), path.to_owned()));
        }
    }
    additions.operations(pod)
}

/// Where the author already mounts a volume, so that all containers find it at one path.
fn mounted_at<'p>(pod: &Pod<'p>, volume: &str) -> Option<&'p str> {
    let mounts = pod.app_containers().flat_map(|container| container.node.list("volumeMounts"));
    mounts
        .filter(|mount| mount.text("name") == volume && is_whole(*mount) && !is_for_api(*mount))
        .map(|mount| mount.text("mountPath"))
        .min_by_key(|path| MountPath::new(path))
}
