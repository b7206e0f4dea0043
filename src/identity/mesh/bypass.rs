//! Ways past the mesh that leave its proxy in the pod: ports that skip it, settings that disarm it, containers that act as it, read its
//! identity or run before it. Each is a finding; which of them is a violation is for the rules to say.

use super::super::model::{Credential, CredentialKind, MeshFinding, MeshVector};
use super::super::pod::{Container, Pod};
use super::super::surroundings::Surroundings;
use super::proof::{Evidence, Proof};
use super::skip::{entries, is_allowed};
use super::words::{Effect, Words};
use super::{Marks, images, linkerd, namespace};
use crate::object::{Node, quoted};
use crate::settings::{Mesh, Settings};

/// Inbound policies of Linkerd that ask every caller for an identity.
const AUTHENTICATED: [&str; 3] = ["all-authenticated", "cluster-authenticated", "deny"];

/// What of a pod goes past the mesh.
pub(super) fn of_pod<'a>(
    pod: &Pod<'a>,
    surroundings: &Surroundings<'a>,
    words: &Words,
    evidence: &Evidence<'_>,
    credentials: &[Credential<'a>],
) -> Vec<MeshFinding> {
    let mesh = &surroundings.settings.mesh;
    let mut findings = Vec::new();
    if let Proof::Unproven { cause, field_path } = &evidence.proof {
        findings.push(MeshFinding::at(MeshVector::UnprovenProxy, cause.clone(), field_path.clone()));
    }
    let own = Marks { labels: pod.labels, annotations: pod.annotations };
    let inherited = if words.inherits { namespace(surroundings) } else { Ok(Marks::default()) };
    let marks = inherited.as_ref().map_or(Marks::default(), |marks| *marks);
    of_marks(own, marks, surroundings.namespace, mesh, words, &mut findings);
    of_label(pod, words, &mut findings);
    if let Err(unknown) = inherited {
        // The default is not known to hold.
        findings.retain(|finding| finding.vector != MeshVector::InboundPolicyDefault);
        let cause = unknown.cause.unwrap_or("the namespace could not be read".into());
        findings.push(MeshFinding { vector: MeshVector::Unknown, cause, value: None, field_path: None });
    }
    of_proxy(pod, mesh, words, &mut findings);
    if pod.spec.get("shareProcessNamespace").and_then(Node::as_bool) == Some(true) {
        let cause = "`shareProcessNamespace` is true, so every container reads the proxy's memory and files";
        findings.push(MeshFinding::at(MeshVector::SharedProcesses, cause, "spec.shareProcessNamespace"));
    }
    let tokens = volumes_of_tokens(words, credentials);
    of_containers(pod, surroundings.settings, words, evidence, &tokens, &mut findings);
    findings
}

/// What a Namespace hands down to its pods. One that does not ask for the mesh need not say whom its proxies let in.
pub(super) fn of_namespace(object: Node<'_>, mesh: &Mesh, words: &Words) -> Vec<MeshFinding> {
    let mut findings = Vec::new();
    let marks = Marks::of(object);
    of_marks(marks, Marks::default(), "", mesh, words, &mut findings);
    if !linkerd::asks_for_it(marks) {
        findings.retain(|finding| finding.vector != MeshVector::InboundPolicyDefault);
    }
    findings
}

/// Reads the annotations of the mesh: an object's own before those that it inherits from its Namespace.
fn of_marks(own: Marks<'_>, inherited: Marks<'_>, namespace: &str, mesh: &Mesh, words: &Words, findings: &mut Vec<MeshFinding>) {
    let mut policy = false;
    for (key, effect) in words.annotations {
        let (value, here) = match own.written(key) {
            Some(value) => (value, true),
            None => match inherited.written(key) {
                Some(value) => (value, false),
                None => continue,
            },
        };
        if value.is_empty() && !matches!(effect, Effect::Includes(_)) {
            continue;
        }
        policy |= *effect == Effect::InboundPolicy;
        let place = if here { String::new() } else { format!(" of namespace `{namespace}`") };
        let mut add = |vector, value: Option<&str>, what: String| {
            findings.push(MeshFinding {
                vector,
                cause: format!("`{key}`{place} {what}").into(),
                value: value.map(str::to_owned),
                field_path: here.then(|| format!("metadata.annotations[{key}]")),
            });
        };
        match effect {
            Effect::Skips(vector) => {
                for entry in entries(value).filter(|entry| !is_allowed(entry, &mesh.allowed_skip, words.own_ports)) {
                    add(*vector, Some(entry), format!("lets `{}` past the proxy", quoted(entry)));
                }
            }
            Effect::Includes(vector) if value != "*" && !mesh.allowed_skip.iter().any(|listed| listed == "*") => {
                add(*vector, Some(value), format!("is `{}`, and what it does not name goes past the proxy", quoted(value)));
            }
            Effect::Intercepts if value == "NONE" => {
                add(MeshVector::SkippedPort, Some(value), "is `NONE`, so nothing goes through the proxy".into());
            }
            Effect::InboundPolicy if !AUTHENTICATED.contains(&value) => {
                add(MeshVector::InboundPolicy, Some(value), format!("is `{}`, which asks no caller for an identity", quoted(value)));
            }
            Effect::User if value.parse() != Ok(words.proxy_user(mesh)) => {
                let cause = format!("is `{}`, and who runs as that user goes past the proxy", quoted(value));
                add(MeshVector::ProxyUser, Some(value), cause);
            }
            Effect::Image if !images::is_name_of_mesh(value, mesh) => {
                add(MeshVector::ProxyImage, Some(value), format!("names `{}`, an image that is not in `mesh.proxyImages`", quoted(value)));
            }
            Effect::Version if !images::is_listed_version(value, mesh) => {
                let cause = format!("names version `{}`, which `mesh.proxyImages` does not list", quoted(value));
                add(MeshVector::ProxyImage, Some(value), cause);
            }
            Effect::Port(vector) if !is_allowed(value, &mesh.allowed_skip, words.own_ports) => {
                add(*vector, Some(value), format!("is `{}`, and the redirection leaves out the proxy's own ports", quoted(value)));
            }
            Effect::Switches(vector) if !matches!(value, "false" | "False" | "FALSE" | "f" | "F" | "0" | "disabled" | "off") => {
                add(*vector, Some(value), format!("is `{}`", quoted(value)));
            }
            Effect::Tells(vector) => add(*vector, Some(value), format!("is `{}`", quoted(value))),
            _ => {}
        }
    }
    if words.inbound_policy.is_some() && !policy && !AUTHENTICATED.contains(&mesh.cluster_default_inbound_policy.as_str()) {
        let default = quoted(&mesh.cluster_default_inbound_policy);
        let cause = format!("no inbound policy is set, and the mesh's own is `{default}`, which asks no caller for an identity");
        findings.push(MeshFinding {
            vector: MeshVector::InboundPolicyDefault,
            cause: cause.into(),
            value: Some(default),
            field_path: None,
        });
    }
}

/// A label by which a pod tells its callers to speak plain text to it.
fn of_label(pod: &Pod<'_>, words: &Words, findings: &mut Vec<MeshFinding>) {
    let Some((key, mutual)) = words.tls_label else { return };
    let Some(value) = pod.label(key).filter(|value| *value != mutual) else { return };
    let cause = format!("`{key}` is `{}`, so callers in the mesh speak plain text to this pod", quoted(value));
    let finding = MeshFinding::at(MeshVector::SkippedPort, cause, format!("metadata.labels[{key}]"));
    findings.push(MeshFinding { value: Some(value.to_owned()), ..finding });
}

/// Volumes with a token of the mesh's own audience, under whatever name: whoever holds one is the proxy to the mesh's authority.
fn volumes_of_tokens<'a>(words: &Words, credentials: &[Credential<'a>]) -> Vec<&'a str> {
    let tokens = credentials
        .iter()
        .filter(|credential| credential.kind == CredentialKind::ServiceAccountToken && credential.audience == Some(words.audience));
    tokens.filter_map(|token| token.volume).collect()
}

/// What a proxy that stands in the pod is told about its callers: it obeys its environment, whatever the annotations say.
fn of_proxy(pod: &Pod<'_>, mesh: &Mesh, words: &Words, findings: &mut Vec<MeshFinding>) {
    let Some(variable) = words.inbound_policy else { return };
    let told = pod.containers.iter().filter(|container| container.name == words.proxy).find_map(|proxy| {
        let (position, found) = proxy.env.iter().enumerate().find(|(_, entry)| entry.name == variable)?;
        Some((found.value, format!("{}.env[{position}].value", proxy.place())))
    });
    let Some((policy, field_path)) = told else { return };
    let is_default = policy == mesh.cluster_default_inbound_policy;
    let stands = |vector| findings.iter().any(|finding| finding.vector == vector);
    if AUTHENTICATED.contains(&policy) {
        findings.retain(|finding| finding.vector != MeshVector::InboundPolicyDefault);
    } else if !(stands(MeshVector::InboundPolicy) || is_default && stands(MeshVector::InboundPolicyDefault)) {
        let cause = format!("`{variable}` of the proxy is `{}`, which asks no caller for an identity", quoted(policy));
        findings.push(MeshFinding { value: Some(policy.to_owned()), ..MeshFinding::at(MeshVector::InboundPolicy, cause, field_path) });
    }
}

/// What containers beside the mesh's own can do to the proxy. A name makes nobody the mesh's own: only who passed the checks of the role.
fn of_containers(
    pod: &Pod<'_>,
    settings: &Settings,
    words: &Words,
    evidence: &Evidence<'_>,
    tokens: &[&str],
    findings: &mut Vec<MeshFinding>,
) {
    let mesh = &settings.mesh;
    let pod_context = pod.spec.get("securityContext");
    let number = |context: Option<Node<'_>>, field: &str| context.and_then(|context| context.get(field)).and_then(Node::as_i64);
    let user = words.proxy_user(mesh);
    // Whatever of the first list runs before both the proxy and what redirects to it had their turn speaks plain text, or to nobody. A
    // validator only looks at what was done before.
    let starts = [&evidence.proxy, &evidence.redirect].into_iter().flatten();
    let meshed_from = starts.filter(|own| own.list == "initContainers" && own.name != words.validator).map(|own| own.index).max();
    for container in pod.containers.iter().filter(|container| !evidence.is_own(container)) {
        let name = || quoted(container.name);
        let mut add = |vector, field: &str, cause: String| {
            findings.push(MeshFinding::at(vector, cause, format!("{}{field}", container.place())));
        };
        let context = container.security_context;
        for (field, counts) in [("runAsUser", true), ("runAsGroup", words.group_counts)] {
            let own = number(context, field);
            if counts && own.or_else(|| number(pod_context, field)) == Some(user) {
                let place = if own.is_some() { format!(".securityContext.{field}") } else { String::new() };
                let cause = format!("container `{}` has `{field}` {user}, the proxy's own, so its traffic goes past the proxy", name());
                add(MeshVector::ProxyUser, &place, cause);
            }
        }
        if context.and_then(|context| context.get("privileged")).and_then(Node::as_bool) == Some(true) {
            let cause = format!("container `{}` is privileged, so it can undo the redirection to the proxy", name());
            add(MeshVector::NetworkCapability, ".securityContext.privileged", cause);
        }
        let added = context.and_then(|context| context.get("capabilities"));
        for (position, capability) in added.into_iter().flat_map(|added| added.list("add")).enumerate() {
            let written = capability.as_str().unwrap_or_default().to_ascii_uppercase();
            let word = written.strip_prefix("CAP_").unwrap_or(&written);
            if matches!(word, "ALL" | "NET_ADMIN" | "NET_RAW") {
                let cause = format!("container `{}` has capability `{word}`, so it can undo the redirection to the proxy", name());
                add(MeshVector::NetworkCapability, &format!(".securityContext.capabilities.add[{position}]"), cause);
            }
        }
        for (position, mount) in container.mounts.iter().enumerate() {
            let volume = mount.volume;
            if words.identity_volumes.contains(&volume) || tokens.contains(&volume) {
                let cause = format!("container `{}` mounts `{volume}`, which holds the identity of the proxy", name());
                add(MeshVector::ProxyIdentity, &format!(".volumeMounts[{position}].name"), cause);
            }
        }
        // Who should redirect and does not is told of as unproven.
        let fails_to_redirect = evidence.redirect.is_none() && [words.redirect, words.validator].contains(&container.name);
        if container.list == "initContainers"
            && meshed_from.is_some_and(|first| container.index < first)
            && !fails_to_redirect
            && !is_injected_agent(container, settings)
        {
            let cause = format!("init container `{}` runs before the proxy, so its traffic is plain", name());
            add(MeshVector::StartsBeforeProxy, ".name", cause);
        }
    }
}

/// Whether a container is the Vault agent that is injected before the redirection, running what it was injected for.
fn is_injected_agent(container: &Container<'_>, settings: &Settings) -> bool {
    let agent = &settings.vault.agent;
    let mut command = container.node.list("command");
    matches!(container.name, "vault-agent-init" | "vault-agent")
        && agent.is_image(container.image)
        && command.next().and_then(Node::as_str) == Some(agent.command.as_str())
        && command.next().is_none()
}
