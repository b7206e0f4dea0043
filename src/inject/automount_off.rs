//! `automount-off`: no token for the Kubernetes API that nobody asked for.
//!
//! The field and the ServiceAccount plugin's volume go in one patch: with the field alone the volume stays, without it the plugin,
//! which runs again after every mutation, adds the volume anew. The volume is known by its content, never by its name: a tenant's
//! own `kube-api-access-x` stays (`hardening.md` A6).

use super::outcome::Conflict;
use super::pod::{Pod, Volume, volume_path};
use crate::identity::{Automount, Class, is_plugin_token_volume};
use crate::object::Operation;

/// Not for infrastructure, and not where pod or ServiceAccount say `true`: that is refused by its rule, never repaired. A
/// ServiceAccount that could not be read counts as silent.
pub(super) fn is_due(pod: &Pod<'_>) -> bool {
    let infrastructure = Some(Class::Infrastructure);
    let granted = pod.surroundings.granted(pod.template.service_account_name());
    granted != infrastructure
        && Some(pod.surroundings.class) != infrastructure
        && Automount::of(pod.template, pod.surroundings.service_account).explicit != Some(true)
}

pub(super) fn apply(pod: &Pod<'_>) -> Result<Vec<Operation>, Conflict> {
    let mut operations = Vec::new();
    let field = || crate::object::FieldPath::of(&["spec", "automountServiceAccountToken"]);
    match pod.spec().get("automountServiceAccountToken") {
        None => operations.push(Operation::add(field(), false)),
        Some(value) if value.as_bool() == Some(false) => {}
        Some(_) => return Err(Conflict::new(field(), "the field is no boolean", "set it to false")),
    }
    let plugin: Vec<(usize, Volume<'_>)> = pod.volumes().enumerate().filter(|(_, volume)| is_plugin_token_volume(volume.node)).collect();
    if plugin.is_empty() {
        return Ok(operations);
    }
    // From the back, so that every position still holds when its turn comes.
    for container in pod.containers() {
        for (index, mount) in container.node.list("volumeMounts").enumerate().rev() {
            if plugin.iter().any(|(_, volume)| volume.name == mount.text("name")) {
                operations.push(Operation::remove(container.path().field("volumeMounts").index(index)));
            }
        }
    }
    operations.extend(plugin.iter().rev().map(|(index, _)| Operation::remove(volume_path(*index))));
    Ok(operations)
}
