//! `vault-csi`: secrets of Vault by the Secrets Store CSI driver, where an agent is not wanted in the pod.

use super::Step;
use super::outcome::Conflict;
use super::place::Additions;
use super::pod::{Pod, read_only_mount, volume_path};
use crate::object::{Content, Node, Operation};

const VOLUME: &str = "secrets";
const DRIVER: &str = "secrets-store.csi.k8s.io";
const WHAT: &str = "the directory of secrets";

/// What is mounted, and where.
#[derive(Clone, Debug)]
pub(super) struct Class<'a> {
    name: String,
    mount_path: &'a str,
}

impl<'a> Class<'a> {
    /// What the settings say, with what a policy's step sets otherwise.
    pub(super) fn asked(pod: &Pod<'a>, steps: &'a [Step]) -> Self {
        let csi = &pod.settings().vault.csi;
        let (mut template, mut mount_path) = (csi.secret_provider_class.as_str(), csi.mount_path.as_str());
        for step in steps {
            if let Step::VaultCsi { secret_provider_class, mount_path: path } = step {
                template = secret_provider_class.as_deref().unwrap_or(template);
                mount_path = path.as_deref().unwrap_or(mount_path);
            }
        }
        let name = pod.settings().secret_provider_class(template, pod.surroundings.namespace, pod.template.service_account_name());
        Self { name, mount_path }
    }
}

/// Vault's provider runs on Linux nodes only.
pub(super) fn is_due(pod: &Pod<'_>) -> bool {
    !pod.is_windows()
}

/// Volume and mounts, unless the pod has a volume of the driver and the class: its author then knows who mounts it.
pub(super) fn apply(pod: &Pod<'_>, class: &Class<'_>) -> Result<Vec<Operation>, Conflict> {
    let is_ours = |volume: Node<'_>| {
        volume.get("csi").is_some_and(|csi| {
            csi.text("driver") == DRIVER
                && csi.get("volumeAttributes").is_some_and(|attributes| attributes.text("secretProviderClass") == class.name)
        })
    };
    if pod.volumes().any(|volume| is_ours(volume.node)) {
        return Ok(Vec::new());
    }
    pod.reserve(VOLUME, |container| pod.is_app(container))?;
    if let Some((index, _)) = pod.volume(VOLUME) {
        return Err(Conflict::new(
            volume_path(index),
            format!("a volume named `{VOLUME}` exists and is not of CSI driver `{DRIVER}` with class `{}`", class.name),
            "rename the volume and its mounts",
        ));
    }
    let mut additions = Additions::default();
    for container in pod.app_containers() {
        if container.lacks_mount(class.mount_path, WHAT, |mount| mount.text("name") == VOLUME)? {
            additions.mount(&container, read_only_mount(VOLUME, class.mount_path.to_owned()));
        }
    }
    if pod.app_containers().next().is_some() {
        let attributes = Content::map([("secretProviderClass", class.name.clone().into())]);
        let csi = Content::map([("driver", DRIVER.into()), ("readOnly", true.into()), ("volumeAttributes", attributes)]);
        additions.volumes.push(Content::map([("csi", csi), ("name", VOLUME.into())]));
    }
    additions.operations(pod)
}
