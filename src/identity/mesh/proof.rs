//! Proof that a proxy in a pod is the mesh's own: all that the injector adds is there, and nothing that would disarm it.
//!
//! A name proves nothing; a container that merely has the proxy's name or image keeps the injector away and carries no traffic.

use std::borrow::Cow;

use super::super::model::{Credential, CredentialKind};
use super::skip::{entries, is_allowed};
use super::words::ISTIO_UID;
use crate::object::{Node, PodTemplate};
use crate::settings::Mesh;

/// What stands in the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing that the injector would take for a proxy.
    NoProxy,
    /// A proxy that passed every check.
    Proven,
    /// A proxy, but no list of images to prove it by.
    Unlisted,
    /// Something that keeps the injector away and is no proxy of the mesh.
    Unproven {
        /// Which check failed.
        cause: Cow<'static, str>,
        /// The field that failed it.
        field_path: String,
    },
}

/// Names and images that make Linkerd's injector skip a pod (`HasExistingSidecars`).
const SIDECAR_NAMES: [&str; 2] = ["linkerd-proxy", "istio-proxy"];
const SIDECAR_IMAGES: [&str; 2] = ["cr.l5d.io/linkerd/proxy:", "gcr.io/istio-release/proxyv2:"];
const INIT_NAMES: [&str; 2] = ["linkerd-init", "istio-init"];
const INIT_IMAGES: [&str; 2] = ["cr.l5d.io/linkerd/proxy-init:", "gcr.io/istio-release/proxy_init:"];

/// Ports that Linkerd itself leaves out: its admin and tap ports, and the chart's default for Galera.
const LINKERD_OWN_PORTS: [u16; 4] = [4190, 4191, 4567, 4568];

/// Flags of `linkerd-init` that the injector sets and that let nothing past the proxy.
const LINKERD_FLAGS: [&str; 10] = [
    "--incoming-proxy-port",
    "--outgoing-proxy-port",
    "--timeout-close-wait-secs",
    "--log-format",
    "--log-level",
    "--firewall-bin-path",
    "--firewall-save-bin-path",
    "--iptables-mode",
    "--ipv6",
    "--use-wait-flag",
];

struct Shape {
    proxy: &'static str,
    /// Init containers of which one must be there: the one that redirects traffic, or the one that checks the CNI plugin's work.
    redirect: &'static str,
    validator: &'static str,
    audience: &'static str,
}

const LINKERD: Shape =
    Shape { proxy: "linkerd-proxy", redirect: "linkerd-init", validator: "linkerd-network-validator", audience: "identity.l5d.io" };
const ISTIO: Shape = Shape { proxy: "istio-proxy", redirect: "istio-init", validator: "istio-validation", audience: "istio-ca" };

/// A container and where it stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    list: &'static str,
    index: usize,
    node: Node<'a>,
}

impl Place<'_> {
    fn path(&self, field: &str) -> String {
        format!("spec.{}[{}].{field}", self.list, self.index)
    }

    fn fails(&self, field: &str, cause: impl Into<Cow<'static, str>>) -> Proof {
        Proof::Unproven { cause: cause.into(), field_path: self.path(field) }
    }
}

pub(super) fn linkerd<'a>(template: PodTemplate<'a>, mesh: &Mesh, credentials: &[Credential<'a>]) -> Proof {
    let proxy = match find(template, mesh, credentials, &LINKERD) {
        Ok(proxy) => proxy,
        Err(proof) => return proof,
    };
    let uid = |value: Option<Node<'_>>| value.and_then(Node::as_i64);
    if uid(proxy.node.path(&["securityContext", "runAsUser"])) != Some(mesh.proxy_uid) {
        return proxy.fails("securityContext.runAsUser", format!("proxy does not run as user {}", mesh.proxy_uid));
    }
    let mut names: Vec<&str> =
        proxy.node.list("env").map(|variable| variable.text("name")).filter(|name| name.starts_with("LINKERD2_PROXY_")).collect();
    if names.contains(&"LINKERD2_PROXY_IDENTITY_DISABLED") {
        return proxy.fails("env", "proxy runs without identity (`LINKERD2_PROXY_IDENTITY_DISABLED`)");
    }
    names.sort_unstable();
    if let Some(name) = names.windows(2).find_map(|pair| if let [a, b] = pair { (a == b).then_some(*a) } else { None }) {
        return proxy.fails("env", format!("proxy has `{name}` twice, and the last one counts"));
    }
    redirects(template, mesh, &LINKERD).unwrap_or_else(|redirect| linkerd_arguments(redirect, mesh))
}

/// Whether `linkerd-init` redirects all but what the settings allow. A flag that the injector does not set fails: `--simulate` alone
/// would leave every packet where it was.
fn linkerd_arguments(redirect: Place<'_>, mesh: &Mesh) -> Proof {
    let mut arguments = redirect.node.list("args").filter_map(Node::as_str);
    while let Some(argument) = arguments.next() {
        let (flag, value) = match argument.split_once('=') {
            Some(pair) => pair,
            None if matches!(argument, "--ipv6" | "--use-wait-flag") => (argument, ""),
            None => (argument, arguments.next().unwrap_or_default()),
        };
        match flag {
            "--proxy-uid" | "--proxy-gid" => {
                if value.parse() != Ok(mesh.proxy_uid) {
                    return redirect.fails("args", format!("`{flag}` is `{value}`, not {}", mesh.proxy_uid));
                }
            }
            "--inbound-ports-to-ignore" | "--outbound-ports-to-ignore" | "--subnets-to-ignore" => {
                if let Some(entry) = entries(value).find(|entry| !is_allowed(entry, &mesh.allowed_skip, &LINKERD_OWN_PORTS)) {
                    return redirect
                        .fails("args", format!("`{flag}` lets `{entry}` past the proxy, which `mesh.allowedSkip` does not list"));
                }
            }
            flag if LINKERD_FLAGS.contains(&flag) => {}
            flag => return redirect.fails("args", format!("`{flag}` is no flag that the injector sets")),
        }
    }
    Proof::Proven
}

pub(super) fn istio<'a>(template: PodTemplate<'a>, mesh: &Mesh, credentials: &[Credential<'a>]) -> Proof {
    let proxy = match find(template, mesh, credentials, &ISTIO) {
        Ok(proxy) => proxy,
        Err(proof) => return proof,
    };
    let mut arguments = proxy.node.list("args").filter_map(Node::as_str);
    if (arguments.next(), arguments.next()) != (Some("proxy"), Some("sidecar")) {
        return proxy.fails("args", "proxy is not started as `proxy sidecar`");
    }
    let uid = proxy.node.path(&["securityContext", "runAsUser"]).and_then(Node::as_i64);
    if uid.is_some_and(|uid| uid != ISTIO_UID && uid != mesh.proxy_uid) {
        return proxy.fails("securityContext.runAsUser", format!("proxy does not run as user {ISTIO_UID}"));
    }
    redirects(template, mesh, &ISTIO).unwrap_or(Proof::Proven)
}

/// Finds the proxy and checks what both meshes have in common.
fn find<'a>(template: PodTemplate<'a>, mesh: &Mesh, credentials: &[Credential<'a>], shape: &Shape) -> Result<Place<'a>, Proof> {
    let (mut proxy, mut sign): (Option<Place<'a>>, Option<(Place<'a>, &str)>) = (None, None);
    for (list, index, node) in template.containers().filter(|(list, ..)| *list != "ephemeralContainers") {
        let place = Place { list, index, node };
        let name = node.text("name");
        if name == shape.proxy {
            if proxy.is_some() {
                return Err(place.fails("name", format!("two containers are named `{name}`")));
            }
            proxy = Some(place);
        }
        let image = node.text("image");
        let is_init = list == "initContainers";
        if SIDECAR_NAMES.contains(&name) || is_init && INIT_NAMES.contains(&name) {
            sign = sign.or(Some((place, "name")));
        } else if SIDECAR_IMAGES.iter().any(|prefix| image.starts_with(prefix))
            || is_init && INIT_IMAGES.iter().any(|prefix| image.starts_with(prefix))
        {
            sign = sign.or(Some((place, "image")));
        }
    }
    let Some(proxy) = proxy else {
        return Err(sign.map_or(Proof::NoProxy, |(place, field)| {
            let name = place.node.text("name");
            place.fails(field, format!("container `{name}` makes the injector pass the pod by, but there is no `{}`", shape.proxy))
        }));
    };
    if mesh.proxy_images.is_empty() {
        return Err(Proof::Unlisted);
    }
    if !is_listed(proxy.node.text("image"), &mesh.proxy_images) {
        return Err(proxy.fails("image", "image of the proxy is not in `mesh.proxyImages`"));
    }
    if proxy.list == "initContainers" && proxy.node.text("restartPolicy") != "Always" {
        return Err(proxy.fails("restartPolicy", "proxy in `initContainers` has no `restartPolicy: Always`"));
    }
    if !proxy.node.get("command").is_none_or(Node::is_empty) {
        return Err(proxy.fails("command", "proxy has a `command` of its own"));
    }
    let has_token = credentials.iter().any(|credential| {
        credential.kind == CredentialKind::ServiceAccountToken
            && credential.audience == Some(shape.audience)
            && credential.containers.contains(&shape.proxy)
    });
    if !has_token {
        return Err(proxy.fails("volumeMounts", format!("proxy mounts no token of audience `{}`", shape.audience)));
    }
    Ok(proxy)
}

/// Checks the container that puts the proxy in the way of traffic: `Err` with it if its arguments are still to be judged.
fn redirects<'a>(template: PodTemplate<'a>, mesh: &Mesh, shape: &Shape) -> Result<Proof, Place<'a>> {
    let mut inits = template
        .spec()
        .list("initContainers")
        .enumerate()
        .map(|(index, node)| Place { list: "initContainers", index, node })
        .filter(|place| [shape.redirect, shape.validator].contains(&place.node.text("name")));
    let Some(init) = inits.next() else {
        return Ok(Proof::Unproven {
            cause: format!("no `{}` or `{}` container puts the proxy in the way of traffic", shape.redirect, shape.validator).into(),
            field_path: "spec.initContainers".to_owned(),
        });
    };
    let image = init.node.text("image");
    if !is_of_mesh(image, mesh) {
        return Ok(init.fails("image", format!("image of `{}` does not belong to the mesh", init.node.text("name"))));
    }
    if init.node.text("name") == shape.validator {
        return Ok(Proof::Proven);
    }
    if !init.node.get("command").is_none_or(Node::is_empty) {
        return Ok(init.fails("command", format!("`{}` has a `command` of its own", shape.redirect)));
    }
    Err(init)
}

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
fn is_listed(image: &str, prefixes: &[String]) -> bool {
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
