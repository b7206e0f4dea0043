//! What the mesh's own containers see and run beside their program: their volumes and their hooks.
//!
//! A file that is laid over the firewall's program or a library is the program; a hook is a command that runs as the proxy's user,
//! whose traffic nothing leads anywhere.

use super::super::mount_path::cleaned;
use super::super::pod::Container;
use super::words::{Speech, Words};
use super::written;
use crate::object::{Node, quoted};
use crate::settings::Mesh;

/// Where the API server, and the webhooks of clouds, mount tokens in every container.
const TOKENS: [&str; 4] = [
    "/run/secrets/kubernetes.io/serviceaccount",
    "/run/secrets/eks.amazonaws.com/serviceaccount",
    "/run/secrets/pods.eks.amazonaws.com/serviceaccount",
    "/run/secrets/azure/tokens",
];

/// The first mount that the injector does not make: `own` are its directories, each with its volume.
pub(super) fn judge(container: &Container<'_>, mesh: &Mesh, own: &[(&str, &str)]) -> Option<(String, String)> {
    container.mounts.iter().enumerate().find_map(|(index, mount)| {
        let path = cleaned(mount.path);
        let is_own = own.iter().any(|(directory, volume)| *directory == path && *volume == mount.volume);
        if is_own || TOKENS.contains(&&*path) || written::is_directory(&path, mesh) {
            return None;
        }
        let cause = format!("mounts `{}` at `{}`, which the injector does not", quoted(mount.volume), quoted(&path));
        Some((format!("volumeMounts[{index}]"), cause))
    })
}

/// The first hook or probe that runs a command of its own.
pub(super) fn hooks(container: &Container<'_>, words: &Words) -> Option<(String, String)> {
    container.hooks().chain(container.probes()).find_map(|(path, handler)| {
        let command: Vec<&str> = handler.get("exec")?.list("command").map(|word| word.as_str().unwrap_or_default()).collect();
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_known = match (words.speech, command.as_slice()) {
            // Behind `--` it would run any command.
            (Speech::Linkerd, ["/usr/lib/linkerd/linkerd-await", rest @ ..]) => {
                rest.iter().all(|word| *word != "--" && word.starts_with("--"))
            }
            (Speech::Linkerd, ["/bin/sleep", seconds]) => is_number(seconds),
            (Speech::Linkerd, ["/bin/bash", "-c", script]) => script.strip_prefix("sleep ").is_some_and(is_number),
            (Speech::Istio, ["pilot-agent", "wait" | "request", ..]) => true,
            _ => false,
        };
        (!is_known).then(|| {
            let cause =
                format!("runs `{}` in the container, which the injector does not", quoted(command.first().copied().unwrap_or_default()));
            (format!("{path}.exec.command"), cause)
        })
    })
}

/// A volume of the proxy's own that is not the pod's own: a key that lies elsewhere can be read elsewhere.
pub(super) fn key_elsewhere(spec: Node<'_>, words: &Words) -> Option<(String, String)> {
    // The API server makes an `emptyDir` of a volume without a source.
    let has_source = |volume: &Node<'_>| volume.entries().any(|(key, node)| !matches!(key, "name" | "emptyDir") && !node.is_null());
    let elsewhere = spec.list("volumes").filter(has_source).map(|volume| volume.text("name"));
    let name = elsewhere.filter(|name| words.key_volumes.contains(name)).min()?;
    Some(("volumeMounts".to_owned(), format!("volume `{name}`, in which the proxy keeps its key, is no `emptyDir`")))
}

/// An entry of `hostAliases` that names the control plane: whoever answers there is obeyed.
pub(super) fn aliased(spec: Node<'_>, mesh: &Mesh, words: &Words) -> Option<(String, String)> {
    let mut aliases = spec.list("hostAliases").enumerate().peekable();
    aliases.peek()?;
    let below = format!(".{}.svc", words.control_plane(mesh));
    aliases.find_map(|(index, alias)| {
        let host = alias.list("hostnames").filter_map(Node::as_str).find(|host| host.to_ascii_lowercase().contains(&below))?;
        Some((format!("spec.hostAliases[{index}].hostnames"), format!("`{}` of the control plane is given another address", quoted(host))))
    })
}
