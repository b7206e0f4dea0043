//! Annotations of the vendors' injectors, which change the agent at will (`hardening.md` A27).

use super::super::environment::matches;
use super::super::pod::{Container, Pod};
use super::PREFIXES;
use super::access::Named;
use crate::object::Node;
use crate::settings::Settings;

/// What the vendor's webhook writes once it has acted. On a pod that it did not touch it keeps it from acting.
const STATUS: &str = "agent-inject-status";

/// The containers that the vendors' injectors add.
const AGENTS: [&str; 2] = ["vault-agent", "vault-agent-init"];

/// The annotations that the settings do not list, in order of their names. None where Doorward's agent does in the vendor's place what the
/// annotations ask for: each that it does not honour has the pod refused by injection `vault-agent`.
pub(in super::super) fn unlisted<'a>(pod: &Pod<'a>, settings: &Settings) -> Vec<Named<'a>> {
    if is_replaced(pod, settings) {
        return Vec::new();
    }
    let listed = &settings.vault.vendor_annotations;
    let Some(annotations) = pod.annotations else { return Vec::new() };
    let of_vendor = |key: &'a str| PREFIXES.iter().find_map(|prefix| Some((key, key.strip_prefix(prefix)?)));
    let mut keys: Vec<(&str, &str)> = annotations.entries().filter_map(|(key, _)| of_vendor(key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let acted = || agents(pod).next().is_some();
    keys.into_iter()
        .filter(|(_, name)| !(listed.iter().any(|pattern| matches(pattern, name)) || *name == STATUS && acted()))
        .map(|(key, _)| Named { name: key.into(), field_path: format!("metadata.annotations[{key}]") })
        .collect()
}

fn agents<'p, 'a>(pod: &'p Pod<'a>) -> impl Iterator<Item = &'p Container<'a>> {
    pod.containers.iter().filter(|container| AGENTS.contains(&container.name))
}

/// Whether every agent is Doorward's, by its image and its program. Where such containers stand already, the vendor's injector cannot add
/// its own beside them.
fn is_replaced(pod: &Pod<'_>, settings: &Settings) -> bool {
    let is_ours = |container: &Container<'_>| is_injected(container.node, settings);
    settings.vault.agent.honour_vendor_annotations && agents(pod).next().is_some() && agents(pod).all(is_ours)
}

/// Whether a container is the injected agent, by its name, its image and its program: of these settings, or of those before.
pub(super) fn is_injected(container: Node<'_>, settings: &Settings) -> bool {
    let runs = |settings: &Settings| {
        let agent = &settings.vault.agent;
        agent.is_image(container.text("image")) && container.list("command").map(Node::as_str).eq([Some(agent.command.as_str())])
    };
    AGENTS.contains(&container.text("name")) && (runs(settings) || settings.before().is_some_and(runs))
}
