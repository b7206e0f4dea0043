//! Proof that a proxy in a pod is the mesh's own: all that the injector adds is there, and nothing that would disarm it.
//!
//! A name proves nothing; a container that merely has the proxy's name or image keeps the injector away and carries no traffic. Each of
//! the two roles, proxy and redirection, is proven by itself: a container that passed its checks is the mesh's, whatever the other is.

use std::borrow::Cow;

use super::super::model::{Credential, CredentialKind};
use super::super::pod::{Container, Pod};
use super::arguments;
use super::images::{is_listed, is_of_mesh, is_proxy_init};
use super::words::{ISTIO_UID, Speech, Words};
use super::{environment, mounts};
use crate::object::Node;
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

/// The proof of a pod, and the containers that passed the checks of their role.
pub(super) struct Evidence<'a> {
    pub(super) proof: Proof,
    pub(super) proxy: Option<&'a Container<'a>>,
    pub(super) redirect: Option<&'a Container<'a>>,
}

impl Evidence<'_> {
    /// Whether a container is one of the mesh's own.
    pub(super) fn is_own(&self, container: &Container<'_>) -> bool {
        [self.proxy, self.redirect].into_iter().flatten().any(|own| own.index == container.index && own.list == container.list)
    }
}

/// Names and images that make Linkerd's injector skip a pod (`HasExistingSidecars`).
const SIDECAR_NAMES: [&str; 2] = ["linkerd-proxy", "istio-proxy"];
const SIDECAR_IMAGES: [&str; 2] = ["cr.l5d.io/linkerd/proxy:", "gcr.io/istio-release/proxyv2:"];
const INIT_NAMES: [&str; 2] = ["linkerd-init", "istio-init"];
const INIT_IMAGES: [&str; 2] = ["cr.l5d.io/linkerd/proxy-init:", "gcr.io/istio-release/proxy_init:"];

/// Programs of Linkerd's image that the injector starts by name.
const LINKERD_INIT: &str = "/usr/lib/linkerd/linkerd2-proxy-init";
const LINKERD_VALIDATOR: &str = "/usr/lib/linkerd/linkerd2-network-validator";

impl Container<'_> {
    fn fails(&self, field: &str, cause: impl Into<Cow<'static, str>>) -> Proof {
        Proof::Unproven { cause: cause.into(), field_path: format!("{}.{field}", self.place()) }
    }

    /// A finding of one of the rooms beside this one, about this container.
    fn passes(&self, found: Option<(String, String)>) -> Result<(), Proof> {
        found.map_or(Ok(()), |(field, cause)| Err(self.fails(&field, format!("`{}`: {cause}", self.name))))
    }

    fn passes_arguments(&self, cause: Option<String>) -> Result<(), Proof> {
        cause.map_or(Ok(()), |cause| Err(self.fails("args", cause)))
    }

    fn has_command(&self, program: &str) -> bool {
        let mut command = self.node.list("command").map(Node::as_str);
        command.next() == Some(Some(program)) && command.next().is_none()
    }

    fn has_no_command(&self) -> bool {
        self.node.get("command").is_none_or(Node::is_empty)
    }
}

/// Reads whether the mesh's proxy stands in a pod.
pub(super) fn read<'p>(pod: &'p Pod<'p>, mesh: &Mesh, words: &Words, credentials: &[Credential<'_>]) -> Evidence<'p> {
    let found = match find(pod, words) {
        Ok(found) => found,
        Err(proof) => return Evidence { proof, proxy: None, redirect: None },
    };
    let proxy = judge_proxy(found, pod, mesh, words, credentials);
    let redirect = redirects(pod, mesh, words);
    let (proxy_place, redirect_place) = (proxy.is_ok().then_some(found), redirect.as_ref().ok().copied());
    let proof = if mesh.proxy_images.is_empty() {
        Proof::Unlisted
    } else {
        proxy.and_then(|()| redirect.map(|_| ())).map_or_else(|failed| failed, |()| Proof::Proven)
    };
    Evidence { proof, proxy: proxy_place, redirect: redirect_place }
}

/// Finds the container that stands for the proxy.
fn find<'p>(pod: &'p Pod<'p>, words: &Words) -> Result<&'p Container<'p>, Proof> {
    let (mut proxy, mut sign): (Option<&Container<'_>>, Option<(&Container<'_>, &str)>) = (None, None);
    for container in pod.lasting() {
        let Container { name, image, .. } = *container;
        if name == words.proxy {
            if proxy.is_some() {
                return Err(container.fails("name", format!("two containers are named `{name}`")));
            }
            proxy = Some(container);
        }
        let is_init = container.list == "initContainers";
        if SIDECAR_NAMES.contains(&name) || is_init && INIT_NAMES.contains(&name) {
            sign = sign.or(Some((container, "name")));
        } else if SIDECAR_IMAGES.iter().any(|prefix| image.starts_with(prefix))
            || is_init && INIT_IMAGES.iter().any(|prefix| image.starts_with(prefix))
        {
            sign = sign.or(Some((container, "image")));
        }
    }
    proxy.ok_or_else(|| {
        sign.map_or(Proof::NoProxy, |(container, field)| {
            let name = container.name;
            container.fails(field, format!("container `{name}` makes the injector pass the pod by, but there is no `{}`", words.proxy))
        })
    })
}

/// Checks the proxy itself, and what of the pod decides whom it obeys and who reads its key.
fn judge_proxy(proxy: &Container<'_>, pod: &Pod<'_>, mesh: &Mesh, words: &Words, credentials: &[Credential<'_>]) -> Result<(), Proof> {
    if !mesh.proxy_images.is_empty() && !is_listed(proxy.image, &mesh.proxy_images) {
        return Err(proxy.fails("image", "image of the proxy is not in `mesh.proxyImages`"));
    }
    if proxy.list == "initContainers" && proxy.node.text("restartPolicy") != "Always" {
        return Err(proxy.fails("restartPolicy", "proxy in `initContainers` has no `restartPolicy: Always`"));
    }
    if !proxy.has_no_command() {
        return Err(proxy.fails("command", "proxy has a `command` of its own"));
    }
    let has_token = credentials.iter().any(|credential| {
        credential.kind == CredentialKind::ServiceAccountToken
            && credential.audience == Some(words.audience)
            && credential.containers.contains(&words.proxy)
    });
    if !has_token {
        return Err(proxy.fails("volumeMounts", format!("proxy mounts no token of audience `{}`", words.audience)));
    }
    let number = |field: &str| proxy.security_context.and_then(|context| context.get(field)).and_then(Node::as_i64);
    match words.speech {
        Speech::Linkerd => {
            if number("runAsUser") != Some(mesh.proxy_uid) {
                return Err(proxy.fails("securityContext.runAsUser", format!("proxy does not run as user {}", mesh.proxy_uid)));
            }
            if proxy.node.list("args").next().is_some() {
                return Err(proxy.fails("args", "proxy has arguments, and the injector gives it none"));
            }
        }
        Speech::Istio => {
            // As a transparent proxy it is root, and known to the redirection by its group.
            let is_user = match number("runAsUser") {
                None | Some(ISTIO_UID) => true,
                Some(user) => user == 0 && number("runAsGroup") == Some(ISTIO_UID),
            };
            if !is_user {
                return Err(proxy.fails("securityContext.runAsUser", format!("proxy does not run as user {ISTIO_UID}")));
            }
            proxy.passes_arguments(arguments::istio_proxy(proxy, mesh))?;
        }
    }
    proxy.passes(environment::judge(proxy, mesh, words, true))?;
    proxy.passes(mounts::judge(proxy, mesh, words.proxy_mounts))?;
    proxy.passes(mounts::hooks(proxy, words))?;
    proxy.passes(mounts::key_elsewhere(pod.spec, words))?;
    match mounts::aliased(pod.spec, mesh, words) {
        Some((field_path, cause)) => Err(Proof::Unproven { cause: cause.into(), field_path }),
        None => Ok(()),
    }
}

/// Finds and checks the container that puts the proxy in the way of traffic or, where a plugin of the network does that, fails where it
/// was not done.
fn redirects<'p>(pod: &'p Pod<'p>, mesh: &Mesh, words: &Words) -> Result<&'p Container<'p>, Proof> {
    let named = |name: &str| pod.containers.iter().find(|container| container.list == "initContainers" && container.name == name);
    let Some(init) = named(words.redirect).or_else(|| named(words.validator)) else {
        return Err(Proof::Unproven {
            cause: format!("no `{}` or `{}` container puts the proxy in the way of traffic", words.redirect, words.validator).into(),
            field_path: "spec.initContainers".to_owned(),
        });
    };
    let Container { name, image, .. } = *init;
    let validates = name == words.validator;
    if !mesh.proxy_images.is_empty() && !is_of_mesh(image, mesh) {
        return Err(init.fails("image", format!("image of `{name}` does not belong to the mesh")));
    }
    if validates && !mesh.cni {
        let cause = format!("`{name}` redirects nothing, and `mesh.cni` does not say that the mesh's CNI plugin does");
        return Err(init.fails("name", cause));
    }
    match words.speech {
        // The image of the proxy holds the other programs too, and runs the proxy unless it is told otherwise.
        Speech::Linkerd if validates && !init.has_command(LINKERD_VALIDATOR) => {
            return Err(init.fails("command", format!("`{name}` does not run `{LINKERD_VALIDATOR}`")));
        }
        Speech::Linkerd if !validates && !is_proxy_init(image) && !init.has_command(LINKERD_INIT) => {
            return Err(init.fails("command", format!("`{name}` does not run `{LINKERD_INIT}`")));
        }
        Speech::Linkerd if !validates && is_proxy_init(image) && !init.has_no_command() => {
            return Err(init.fails("command", format!("`{name}` has a `command` of its own")));
        }
        Speech::Istio if !init.has_no_command() => {
            return Err(init.fails("command", format!("`{name}` has a `command` of its own")));
        }
        _ => {}
    }
    init.passes_arguments(match words.speech {
        Speech::Linkerd if validates => arguments::linkerd_validator(init, mesh),
        Speech::Linkerd => arguments::linkerd_init(init, mesh, words),
        Speech::Istio => arguments::istio_iptables(init, mesh, words, validates),
    })?;
    init.passes(environment::judge(init, mesh, words, false))?;
    init.passes(mounts::judge(init, mesh, if validates { &[] } else { words.redirect_mounts }))?;
    init.passes(mounts::hooks(init, words))?;
    Ok(init)
}
