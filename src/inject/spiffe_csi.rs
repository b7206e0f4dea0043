//! `spiffe-csi`: the SPIFFE Workload API by CSI volume, never by a directory of the node.

use serde_json::json;

use super::outcome::Conflict;
use super::place::Additions;
use super::pod::{Pod, volume_path};
use crate::object::{Node, Operation};

const VOLUME: &str = "spiffe-workload-api";
const ENDPOINT: &str = "SPIFFE_ENDPOINT_SOCKET";
const WHAT: &str = "the SPIFFE Workload API";

/// Windows nodes have no such driver.
pub(super) fn is_due(pod: &Pod<'_>) -> bool {
    !pod.is_windows()
}

/// Volume, mount and variable for every application container that does not mount a volume of the driver already (any name, any
/// path: its author then knows where the socket is).
pub(super) fn apply(pod: &Pod<'_>) -> Result<Vec<Operation>, Conflict> {
    let spiffe = &pod.settings().spiffe;
    let is_driver = |volume: Node<'_>| volume.get("csi").is_some_and(|csi| csi.text("driver") == spiffe.csi_driver);
    pod.reserve(VOLUME, |container| container.list == "containers" && !container.is_mesh() && !pod.is_agent(container))?;

    let named = pod.volume(VOLUME);
    if let Some((index, volume)) = named
        && !is_driver(volume)
    {
        return Err(Conflict::new(
            volume_path(index),
            format!("a volume named `{VOLUME}` exists and is not of CSI driver `{}`", spiffe.csi_driver),
            "rename the volume and its mounts, or remove both",
        ));
    }
    let authors = || pod.spec().list("volumes").filter(|volume| is_driver(*volume)).map(|volume| volume.text("name")).min();
    let existing = named.map(|_| VOLUME).or_else(authors);
    let volume = existing.unwrap_or(VOLUME);

    let mut additions = Additions::default();
    for container in pod.app_containers() {
        let serves = |mount: Node<'_>| {
            let name = mount.text("name");
            name == volume || pod.volume(name).is_some_and(|(_, volume)| is_driver(volume))
        };
        if container.lacks_mount(&spiffe.mount_path, WHAT, serves)? {
            additions.mount(&container, json!({"name": volume, "mountPath": spiffe.mount_path, "readOnly": true}));
            if !container.node.list("env").any(|variable| variable.text("name") == ENDPOINT) {
                let value = format!("unix://{}/{}", spiffe.mount_path.trim_end_matches('/'), spiffe.socket_name);
                additions.variable(&container, json!({"name": ENDPOINT, "value": value}));
            }
        }
    }
    if existing.is_none() && pod.app_containers().next().is_some() {
        additions.volumes.push(json!({"name": VOLUME, "csi": {"driver": spiffe.csi_driver, "readOnly": true}}));
    }
    additions.operations(pod)
}
