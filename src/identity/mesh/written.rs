//! What the injector of this mesh writes beyond its defaults, by the setting `mesh.injectorWrites`.

use super::super::mount_path::cleaned;
use crate::settings::Mesh;

/// Whether a flag or a variable is listed: by its name with any value, or as `name=value`.
pub(super) fn is_word(name: &str, value: &str, mesh: &Mesh) -> bool {
    mesh.injector_writes
        .iter()
        .filter_map(|listed| listed.strip_prefix(name))
        .any(|rest| rest.is_empty() || rest.strip_prefix('=').is_some_and(|listed| listed == value))
}

/// Whether a directory is listed, by its clean path.
pub(super) fn is_directory(path: &str, mesh: &Mesh) -> bool {
    mesh.injector_writes.iter().any(|listed| listed.starts_with('/') && cleaned(listed) == path)
}
