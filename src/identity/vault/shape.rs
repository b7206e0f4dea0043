//! The shape of an agent in its pod: whether the pod can start with it, end with it, and keep what it rendered out of the disk.

use serde::Serialize;

use super::super::mount_path::{MountPath, Relation};
use super::super::pod::Container;
use super::access::Named;
use super::config::AgentConfig;
use super::{PROXIES, runs_agent};
use crate::object::{Node, PodTemplate};
use crate::settings::{MeshKind, Settings};

/// A container that runs Vault's or OpenBao's agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentShape<'a> {
    /// Its name.
    pub container: &'a str,
    /// Whether it is an init container.
    pub init: bool,
    /// Whether it is told to end once it has rendered everything.
    pub exits: bool,
    /// Whether it goes on beside the application: an application container, or an init container with `restartPolicy: Always`.
    pub stays: bool,
    /// Whether it is the first to log in, and does so before a mesh's proxy that stands among the application's containers: nothing but its
    /// own TLS protects it on the way.
    pub before_proxy: bool,
    /// The volume that it renders into, if that is no `emptyDir` in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_disk: Option<Named<'a>>,
    /// What a configuration written by a vendor's injector does beside logging in and rendering.
    pub extras: Vec<Named<'a>>,
    /// Where it stands.
    pub field_path: String,
}

/// The shapes of those agents that run Vault's agent itself, and not a script around its client.
pub(super) fn read<'a>(
    template: PodTemplate<'a>,
    settings: &Settings,
    agents: &[&Container<'a>],
    configs: &[AgentConfig],
) -> Vec<AgentShape<'a>> {
    let has_classic_proxy = matches!(settings.mesh.kind, MeshKind::Linkerd | MeshKind::Istio)
        && template.spec().list("containers").any(|container| PROXIES.contains(&container.text("name")));
    let mut shapes: Vec<AgentShape<'a>> = Vec::new();
    for (agent, config) in agents.iter().zip(configs).filter(|(agent, _)| runs_agent(agent)) {
        let init = agent.list == "initContainers";
        let exits = config.exits() || agent.words().any(says_exit);
        let on_disk =
            on_disk(template, settings, agent.node).filter(|volume| !shapes.iter().any(|shape| shape.on_disk.as_ref() == Some(volume)));
        shapes.push(AgentShape {
            container: agent.name,
            init,
            exits,
            before_proxy: init && has_classic_proxy && !shapes.iter().any(|shape| shape.before_proxy),
            stays: !exits && (!init || agent.node.text("restartPolicy") == "Always"),
            on_disk,
            extras: config.extras(template, settings),
            field_path: agent.place(),
        });
    }
    shapes
}

/// Whether a word, or a word of a script, is the flag `-exit-after-auth`.
fn says_exit(word: &str) -> bool {
    word.split_whitespace().any(|word| {
        let flag = word.trim_matches(['"', '\'']).trim_start_matches('-');
        flag.len() < word.len() && (flag == "exit-after-auth" || flag.strip_prefix("exit-after-auth=").is_some_and(super::go_true))
    })
}

/// The volume at the secrets directory, if it keeps what is rendered anywhere but in memory.
fn on_disk<'a>(template: PodTemplate<'a>, settings: &Settings, container: Node<'a>) -> Option<Named<'a>> {
    let secrets = MountPath::new(&settings.vault.secrets_path);
    let mount = container
        .list("volumeMounts")
        .filter(|mount| matches!(MountPath::new(mount.text("mountPath")).relation(&secrets), Relation::Same | Relation::Above))
        .max_by_key(|mount| MountPath::new(mount.text("mountPath")).as_str().len())?;
    let name = mount.text("name");
    let (index, volume) = template.spec().list("volumes").enumerate().find(|(_, volume)| volume.text("name") == name)?;
    let in_memory = volume.get("emptyDir").is_some_and(|dir| dir.text("medium") == "Memory");
    (!in_memory).then(|| Named { name: name.into(), field_path: format!("spec.volumes[{index}]") })
}
