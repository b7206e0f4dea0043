//! Annotations of the vendors' injectors, which change the agent at will (`hardening.md` A27).

use super::super::environment::matches;
use super::PREFIXES;
use super::access::Named;
use crate::object::PodTemplate;
use crate::settings::Settings;

/// What the vendor's webhook writes once it has acted. On a pod that it did not touch it keeps it from acting.
const STATUS: &str = "agent-inject-status";

/// The containers that the vendors' injectors add.
const AGENTS: [&str; 2] = ["vault-agent", "vault-agent-init"];

/// The annotations that the settings do not list, in order of their names.
pub(in super::super) fn unlisted<'a>(template: PodTemplate<'a>, settings: &Settings) -> Vec<Named<'a>> {
    let listed = &settings.vault.vendor_annotations;
    let Some(annotations) = template.node.path(&["metadata", "annotations"]) else { return Vec::new() };
    let of_vendor = |key: &'a str| PREFIXES.iter().find_map(|prefix| Some((key, key.strip_prefix(prefix)?)));
    let mut keys: Vec<(&str, &str)> = annotations.entries().filter_map(|(key, _)| of_vendor(key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let acted = || template.containers().any(|(_, _, container)| AGENTS.contains(&container.text("name")));
    keys.into_iter()
        .filter(|(_, name)| !(listed.iter().any(|pattern| matches(pattern, name)) || *name == STATUS && acted()))
        .map(|(key, _)| Named { name: key.into(), field_path: format!("metadata.annotations[{key}]") })
        .collect()
}
