//! Which images are the mesh's own, by the setting `mesh.proxyImages`.

use crate::settings::Mesh;

/// Whether an image is the proxy's, or that of the `proxy-init` beside it.
pub(super) fn is_of_mesh(image: &str, mesh: &Mesh) -> bool {
    is_listed(image, &mesh.proxy_images) || is_sibling(image, &mesh.proxy_images)
}

/// As [`is_of_mesh`]; a name without a tag, as the mesh's annotations have it, is listed with any.
pub(super) fn is_name_of_mesh(image: &str, mesh: &Mesh) -> bool {
    let tagged = image.rsplit('/').next().unwrap_or_default().contains([':', '@']);
    is_of_mesh(image, mesh) || !tagged && is_of_mesh(&format!("{image}:"), mesh)
}

/// Whether some listed image has this version.
pub(super) fn is_listed_version(version: &str, mesh: &Mesh) -> bool {
    mesh.proxy_images.iter().any(|prefix| {
        let directory = prefix.rfind('/').map_or(0, |slash| slash + 1);
        let name = prefix.get(directory..).and_then(|name| name.split([':', '@']).next()).unwrap_or_default();
        let repository = prefix.get(..directory + name.len()).unwrap_or_default();
        !name.is_empty() && is_listed(&format!("{repository}:{version}"), &mesh.proxy_images)
    })
}

/// Whether an image starts with a listed prefix and the prefix ends where a part of the image's name ends: `r/proxy` is no prefix of
/// `r/proxy-evil`.
pub(super) fn is_listed(image: &str, prefixes: &[String]) -> bool {
    prefixes.iter().filter(|prefix| !prefix.is_empty()).any(|prefix| {
        image.strip_prefix(prefix.as_str()).is_some_and(|rest| {
            let name = prefix.rsplit('/').next().unwrap_or_default();
            name.is_empty() || name.contains([':', '@']) || rest.is_empty() || rest.starts_with([':', '@'])
        })
    })
}

/// Whether an image is the `proxy-init` beside a listed proxy. An operator who lists `proxy-init` images means just these.
fn is_sibling(image: &str, prefixes: &[String]) -> bool {
    let directory = |prefix: &str| prefix.rsplit_once('/').map(|(directory, _)| format!("{directory}/proxy-init"));
    !prefixes.iter().any(|prefix| prefix.contains("/proxy-init"))
        && prefixes.iter().filter_map(|prefix| directory(prefix)).any(|init| is_listed(image, &[init]))
}

/// Whether an image is a `proxy-init`, which needs no command to act as one.
pub(super) fn is_proxy_init(image: &str) -> bool {
    image.rsplit('/').next().and_then(|name| name.split([':', '@']).next()) == Some("proxy-init")
}
