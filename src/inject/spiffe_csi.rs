//! `spiffe-csi`: the SPIFFE Workload API by CSI volume, never by a directory of the node.

use serde_json::json;

use super::outcome::Conflict;
use super::place::Additions;
use super::pod::{Pod, volume_path};
use crate::identity::{MountPath, Relation};
use crate::object::{Node, Operation};

const VOLUME: &str = "spiffe-workload-api";
const ENDPOINT: &str = "SPIFFE_ENDPOINT_SOCKET";
const WHAT: &str = "the SPIFFE Workload API";

/// Windows nodes have no such driver.
pub(super) fn is_due(pod: &Pod<'_>) -> bool {
    !pod.is_windows()
}

/// Volume, mount and variable for every application container that does not mount a volume of the driver already (any name, any
/// path: its author then knows where the socket is). A volume of the author's that is the node's directory at the settings' mount path
/// becomes one of the driver, so that its containers find the socket where they look for it. A volume of the driver that is not
/// read-only becomes so, with its mounts.
pub(super) fn apply(pod: &Pod<'_>) -> Result<Vec<Operation>, Conflict> {
    let spiffe = &pod.settings().spiffe;
    let is_moved = |volume: Node<'_>| is_directory_of_node(volume, &spiffe.mount_path);
    let is_driver = |volume: Node<'_>| is_moved(volume) || volume.get("csi").is_some_and(|csi| csi.text("driver") == spiffe.csi_driver);
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
    let mut operations = Vec::new();
    for (index, volume) in pod.spec().list("volumes").enumerate().filter(|(_, volume)| is_moved(*volume)) {
        operations.push(Operation::remove(volume_path(index).field("hostPath")));
        operations.push(Operation::add(volume_path(index).field("csi"), json!({"driver": spiffe.csi_driver, "readOnly": true})));
        operations.extend(mounts_read_only(pod, volume.text("name")));
    }
    // The driver refuses a volume that is not read-only, and the pod would never start.
    let is_writable = |volume: Node<'_>| !is_moved(volume) && is_driver(volume) && !is_read_only(volume.get("csi"));
    for (index, volume) in pod.spec().list("volumes").enumerate().filter(|(_, volume)| is_writable(*volume)) {
        operations.push(Operation::add(volume_path(index).field("csi").field("readOnly"), true.into()));
        operations.extend(mounts_read_only(pod, volume.text("name")));
    }
    operations.extend(additions.operations(pod)?);
    Ok(operations)
}

/// Whether a volume is the directory of the node that workloads knew before the driver came. Only the very path that the operator set
/// counts: of any other directory nobody knows that the driver shows the same.
fn is_directory_of_node(volume: Node<'_>, mount_path: &str) -> bool {
    let path = volume.path(&["hostPath", "path"]).and_then(Node::as_str);
    path.is_some_and(|path| MountPath::new(path).relation(&MountPath::new(mount_path)) == Relation::Same)
}

fn is_read_only(source: Option<Node<'_>>) -> bool {
    source.and_then(|source| source.get("readOnly")).and_then(Node::as_bool) == Some(true)
}

/// The driver's volume is read-only, whatever the mounts of the directory were.
fn mounts_read_only(pod: &Pod<'_>, volume: &str) -> Vec<Operation> {
    let writable = |mount: Node<'_>| mount.text("name") == volume && !is_read_only(Some(mount));
    let of_container = |container: super::pod::Container<'_>| {
        let mounts = container.node.list("volumeMounts").enumerate().filter(|(_, mount)| writable(*mount));
        let read_only = |(index, _)| Operation::add(container.path().field("volumeMounts").index(index).field("readOnly"), true.into());
        mounts.map(read_only).collect::<Vec<_>>()
    };
    pod.containers().flat_map(of_container).collect()
}
