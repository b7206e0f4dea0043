//! `spiffe-csi`: the SPIFFE Workload API by CSI volume, never by a directory of the node.

use super::outcome::Conflict;
use super::place::Additions;
use super::pod::{Container, Pod, read_only_mount, volume_path};
use crate::identity::{MountPath, Relation};
use crate::object::{Content, Node, Operation};
use crate::settings::Spiffe;

const VOLUME: &str = "spiffe-workload-api";
const ENDPOINT: &str = "SPIFFE_ENDPOINT_SOCKET";
const WHAT: &str = "the SPIFFE Workload API";

/// How a volume shows the Workload API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// As the directory of the node that workloads knew before the driver came.
    Directory,
    Driver {
        read_only: bool,
    },
}

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
    let volumes: Vec<(&str, Option<Source>)> = pod.volumes().map(|volume| (volume.name, source(volume.node, spiffe))).collect();
    let is_driver = |name: &str| volumes.iter().find(|(other, _)| *other == name).is_some_and(|(_, source)| source.is_some());
    pod.reserve(VOLUME, |container| pod.is_app(container))?;

    let named = pod.volume(VOLUME);
    if let Some((index, _)) = named
        && !is_driver(VOLUME)
    {
        return Err(Conflict::new(
            volume_path(index),
            format!("a volume named `{VOLUME}` exists and is not of CSI driver `{}`", spiffe.csi_driver),
            "rename the volume and its mounts, or remove both",
        ));
    }
    let authors = || volumes.iter().filter(|(_, source)| source.is_some()).map(|(name, _)| *name).min();
    let existing = named.map(|_| VOLUME).or_else(authors);
    let volume = existing.unwrap_or(VOLUME);

    let mut additions = Additions::default();
    for container in pod.app_containers() {
        let serves = |mount: Node<'_>| {
            let name = mount.text("name");
            name == volume || is_driver(name)
        };
        if container.lacks_mount(&spiffe.mount_path, WHAT, serves)? {
            additions.mount(&container, read_only_mount(volume.to_owned(), spiffe.mount_path.clone()));
            if !container.node.list("env").any(|variable| variable.text("name") == ENDPOINT) {
                let value = format!("unix://{}/{}", spiffe.mount_path.trim_end_matches('/'), spiffe.socket_name);
                additions.variable(&container, Content::map([("name", ENDPOINT.into()), ("value", value.into())]));
            }
        }
    }
    let driver = || Content::map([("driver", spiffe.csi_driver.clone().into()), ("readOnly", true.into())]);
    if existing.is_none() && pod.app_containers().next().is_some() {
        additions.volumes.push(Content::map([("csi", driver()), ("name", VOLUME.into())]));
    }
    let mut operations = Vec::new();
    let of_source = |wanted: Source| volumes.iter().enumerate().filter(move |(_, (_, source))| *source == Some(wanted));
    for (index, (name, _)) in of_source(Source::Directory) {
        operations.push(Operation::remove(volume_path(index).field("hostPath")));
        operations.push(Operation::add(volume_path(index).field("csi"), driver()));
        operations.extend(mounts_read_only(pod, name));
    }
    // The driver refuses a volume that is not read-only, and the pod would never start.
    for (index, (name, _)) in of_source(Source::Driver { read_only: false }) {
        operations.push(Operation::add(volume_path(index).field("csi").field("readOnly"), true));
        operations.extend(mounts_read_only(pod, name));
    }
    operations.extend(additions.operations(pod)?);
    Ok(operations)
}

/// Of the node's directories only the very path that the operator set counts: of any other nobody knows that the driver shows the same.
fn source(volume: Node<'_>, spiffe: &Spiffe) -> Option<Source> {
    let directory = volume.path(&["hostPath", "path"]).and_then(Node::as_str);
    if directory.is_some_and(|path| MountPath::new(path).relation(&MountPath::new(&spiffe.mount_path)) == Relation::Same) {
        return Some(Source::Directory);
    }
    let csi = volume.get("csi").filter(|csi| csi.text("driver") == spiffe.csi_driver)?;
    Some(Source::Driver { read_only: is_read_only(Some(csi)) })
}

fn is_read_only(source: Option<Node<'_>>) -> bool {
    source.and_then(|source| source.get("readOnly")).and_then(Node::as_bool) == Some(true)
}

/// The driver's volume is read-only, whatever the mounts of the directory were.
fn mounts_read_only(pod: &Pod<'_>, volume: &str) -> Vec<Operation> {
    let writable = |mount: Node<'_>| mount.text("name") == volume && !is_read_only(Some(mount));
    let of_container = |container: Container<'_>| {
        let mounts = container.node.list("volumeMounts").enumerate().filter(|(_, mount)| writable(*mount));
        let read_only = |(index, _)| Operation::add(container.path().field("volumeMounts").index(index).field("readOnly"), true);
        mounts.map(read_only).collect::<Vec<_>>()
    };
    pod.containers().flat_map(of_container).collect()
}
