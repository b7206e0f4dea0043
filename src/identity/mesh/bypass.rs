//! Ways past the mesh that leave its proxy in the pod: ports that skip it, settings that disarm it, containers that act as it, read its
//! identity or run before it. Each is a finding; which of them is a violation is for the rules to say.

use super::super::model::{MeshFinding, MeshVector};
use super::super::surroundings::Surroundings;
use super::linkerd;
use super::proof::{self, Proof};
use super::skip::{entries, is_allowed};
use super::words::{Effect, Words};
use super::{Marks, namespace};
use crate::object::{Node, PodTemplate, quoted};
use crate::settings::{Mesh, Settings};

/// Inbound policies of Linkerd that ask every caller for an identity.
const AUTHENTICATED: [&str; 3] = ["all-authenticated", "cluster-authenticated", "deny"];

/// What of a pod goes past the mesh.
pub(super) fn of_pod<'a>(template: PodTemplate<'a>, surroundings: &Surroundings<'a>, words: &Words, proof: &Proof) -> Vec<MeshFinding> {
    let mesh = &surroundings.settings.mesh;
    let mut findings = Vec::new();
    if let Proof::Unproven { cause, field_path } = proof {
        findings.push(MeshFinding::at(MeshVector::UnprovenProxy, cause.clone(), field_path.clone()));
    }
    let own = Marks { metadata: template.node.get("metadata") };
    let inherited = if words.inherits { namespace(surroundings) } else { Ok(Marks { metadata: None }) };
    let marks = inherited.as_ref().map_or(Marks { metadata: None }, |marks| *marks);
    of_marks(own, marks, surroundings.namespace, mesh, words, &mut findings);
    if let Err(unknown) = inherited {
        // The default is not known to hold.
        findings.retain(|finding| finding.vector != MeshVector::InboundPolicyDefault);
        let cause = unknown.cause.unwrap_or("the namespace could not be read".into());
        findings.push(MeshFinding { vector: MeshVector::Unknown, cause, value: None, field_path: None });
    }
    of_proxy(template, mesh, words, &mut findings);
    if template.spec().get("shareProcessNamespace").and_then(Node::as_bool) == Some(true) {
        let cause = "`shareProcessNamespace` is true, so every container reads the proxy's memory and files";
        findings.push(MeshFinding::at(MeshVector::SharedProcesses, cause, "spec.shareProcessNamespace"));
    }
    of_containers(template, surroundings.settings, words, &mut findings);
    findings
}

/// What a Namespace hands down to its pods. One that does not ask for the mesh need not say whom its proxies let in.
pub(super) fn of_namespace(object: Node<'_>, mesh: &Mesh, words: &Words) -> Vec<MeshFinding> {
    let mut findings = Vec::new();
    let marks = Marks { metadata: object.get("metadata") };
    of_marks(marks, Marks { metadata: None }, "", mesh, words, &mut findings);
    if !linkerd::asks_for_it(marks) {
        findings.retain(|finding| finding.vector != MeshVector::InboundPolicyDefault);
    }
    findings
}

/// Reads the annotations of the mesh: an object's own before those that it inherits from its Namespace.
fn of_marks(own: Marks<'_>, inherited: Marks<'_>, namespace: &str, mesh: &Mesh, words: &Words, findings: &mut Vec<MeshFinding>) {
    let mut policy = false;
    for (key, effect) in words.annotations {
        let (value, here) = match own.annotation(key) {
            Some(value) => (value, true),
            None => match inherited.annotation(key) {
                Some(value) => (value, false),
                None => continue,
            },
        };
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
                for entry in entries(value).filter(|entry| !is_allowed(entry, &mesh.allowed_skip, &[])) {
                    add(*vector, Some(entry), format!("lets `{}` past the proxy", quoted(entry)));
                }
            }
            Effect::Includes(vector) if value != "*" => {
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
            Effect::Image if !proof::is_name_of_mesh(value, mesh) => {
                add(MeshVector::ProxyImage, Some(value), format!("names `{}`, an image that is not in `mesh.proxyImages`", quoted(value)));
            }
            Effect::Version if !proof::is_listed_version(value, mesh) => {
                let cause = format!("names version `{}`, which `mesh.proxyImages` does not list", quoted(value));
                add(MeshVector::ProxyImage, Some(value), cause);
            }
            Effect::Switches(vector) if !matches!(value, "false" | "disabled") => {
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

/// What a proxy that stands in the pod is told about its callers: it obeys its environment, whatever the annotations say.
fn of_proxy(template: PodTemplate<'_>, mesh: &Mesh, words: &Words, findings: &mut Vec<MeshFinding>) {
    let Some(variable) = words.inbound_policy else { return };
    let told = template.containers().filter(|(.., node)| node.text("name") == words.proxy).find_map(|(list, index, node)| {
        let (position, found) = node.list("env").enumerate().find(|(_, entry)| entry.text("name") == variable)?;
        Some((found.text("value"), format!("spec.{list}[{index}].env[{position}].value")))
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

/// What containers beside the mesh's own can do to the proxy.
fn of_containers(template: PodTemplate<'_>, settings: &Settings, words: &Words, findings: &mut Vec<MeshFinding>) {
    let mesh = &settings.mesh;
    let is_own = |node: Node<'_>| {
        words.own_containers.contains(&node.text("name")) && (mesh.proxy_images.is_empty() || proof::is_of_mesh(node.text("image"), mesh))
    };
    let pod_context = template.spec().get("securityContext");
    let number = |context: Option<Node<'_>>, field: &str| context.and_then(|context| context.get(field)).and_then(Node::as_i64);
    let user = words.proxy_user(mesh);
    // Everything of the first list runs before the proxy until the proxy, or what redirects to it, has had its turn.
    let first_meshed = template.containers().filter(|(list, ..)| *list == "initContainers").find_map(|(_, index, node)| {
        let starts = node.text("name") == words.proxy || node.text("name") == words.redirect && !has_native_proxy(template, words);
        (starts && is_own(node)).then_some(index)
    });
    for (list, index, node) in template.containers().filter(|(.., node)| !is_own(*node)) {
        let name = quoted(node.text("name"));
        let mut add = |vector, field: &str, cause: String| {
            findings.push(MeshFinding::at(vector, cause, format!("spec.{list}[{index}]{field}")));
        };
        let context = node.get("securityContext");
        for (field, counts) in [("runAsUser", true), ("runAsGroup", words.group_counts)] {
            let own = number(context, field);
            if counts && own.or_else(|| number(pod_context, field)) == Some(user) {
                let place = if own.is_some() { format!(".securityContext.{field}") } else { String::new() };
                let cause = format!("container `{name}` has `{field}` {user}, the proxy's own, so its traffic goes past the proxy");
                add(MeshVector::ProxyUser, &place, cause);
            }
        }
        if context.and_then(|context| context.get("privileged")).and_then(Node::as_bool) == Some(true) {
            let cause = format!("container `{name}` is privileged, so it can undo the redirection to the proxy");
            add(MeshVector::NetworkCapability, ".securityContext.privileged", cause);
        }
        let added = context.and_then(|context| context.get("capabilities"));
        for (position, capability) in added.into_iter().flat_map(|added| added.list("add")).enumerate() {
            let written = capability.as_str().unwrap_or_default().to_ascii_uppercase();
            let word = written.strip_prefix("CAP_").unwrap_or(&written);
            if matches!(word, "ALL" | "NET_ADMIN" | "NET_RAW") {
                let cause = format!("container `{name}` has capability `{word}`, so it can undo the redirection to the proxy");
                add(MeshVector::NetworkCapability, &format!(".securityContext.capabilities.add[{position}]"), cause);
            }
        }
        for (position, mount) in node.list("volumeMounts").enumerate() {
            let volume = mount.text("name");
            if words.identity_volumes.contains(&volume) {
                let cause = format!("container `{name}` mounts `{volume}`, which holds the identity of the proxy");
                add(MeshVector::ProxyIdentity, &format!(".volumeMounts[{position}].name"), cause);
            }
        }
        if list == "initContainers" && first_meshed.is_some_and(|first| index < first) && !is_injected_agent(node, settings) {
            add(MeshVector::StartsBeforeProxy, ".name", format!("init container `{name}` runs before the proxy, so its traffic is plain"));
        }
    }
}

/// Whether a container is the Vault agent that is injected before the redirection, running what it was injected for.
fn is_injected_agent(node: Node<'_>, settings: &Settings) -> bool {
    let agent = &settings.vault.agent;
    let (name, image) = (node.text("name"), node.text("image"));
    let mut command = node.list("command");
    matches!(name, "vault-agent-init" | "vault-agent")
        && agent.is_image(image)
        && command.next().and_then(Node::as_str) == Some(agent.command.as_str())
        && command.next().is_none()
}

fn has_native_proxy(template: PodTemplate<'_>, words: &Words) -> bool {
    template.spec().list("initContainers").any(|container| container.text("name") == words.proxy)
}
