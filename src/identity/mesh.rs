//! Whether the mesh carries a pod: what its injector will do by the marks on pod and Namespace, and whether a proxy that is already
//! there is the mesh's own.
//!
//! Marks are intent only, since any author writes them; a proxy is believed when `proof` finds all that the injector adds: `images`,
//! `arguments`, `environment` and `mounts` each judge one part of it, `written` knows what this mesh's injector writes beyond its
//! defaults. `bypass` finds the ways past a proxy that is there, `words` holds what each mesh calls things, `skip` compares ports and
//! networks.

mod arguments;
mod bypass;
mod environment;
mod images;
mod istio;
mod linkerd;
mod mounts;
mod proof;
mod skip;
mod words;
mod written;

use std::borrow::Cow;

use self::words::{Speech, Words};
use super::model::{Certainty, Credential, CredentialKind, MeshAnswer, MeshState, NamespaceMesh};
use super::pod::Pod;
use super::surroundings::Surroundings;
use crate::object::{Fact, Node};
use crate::settings::{Mesh, MeshKind};

/// Reads the effective state of the mesh that the settings name.
pub(super) fn read<'a>(pod: &Pod<'a>, surroundings: &Surroundings<'a>, credentials: &[Credential<'a>]) -> MeshState {
    let mesh = &surroundings.settings.mesh;
    let words = match (mesh.kind, Words::of(mesh.kind)) {
        (MeshKind::Spire, _) => return spire(surroundings, credentials),
        (_, Some(words)) => words,
        _ => return MeshState { state: MeshAnswer::Off, ..meshed(false) },
    };
    let evidence = proof::read(pod, mesh, words, credentials);
    if pod.spec.get("hostNetwork").and_then(Node::as_bool) == Some(true) {
        return not(MeshAnswer::Unmeshed, "`hostNetwork` is true, so the injector passes the pod by", "spec.hostNetwork");
    }
    let mut state = match words.speech {
        Speech::Istio => istio::read(pod, surroundings, &evidence.proof),
        Speech::Linkerd => linkerd::read(pod, surroundings, &evidence.proof),
    };
    // What the mesh does not carry at all has no ways past it.
    if matches!(state.state, MeshAnswer::Meshed | MeshAnswer::Bypassed | MeshAnswer::Unknown) {
        state.findings = bypass::of_pod(pod, surroundings, words, &evidence, credentials);
    }
    state
}

/// What a Namespace tells the mesh for its pods; `None` where it tells nothing.
pub(super) fn of_namespace(object: Node<'_>, mesh: &Mesh) -> Option<NamespaceMesh> {
    let words = Words::of(mesh.kind).filter(|words| words.inherits)?;
    Some(NamespaceMesh { findings: bypass::of_namespace(object, mesh, words) })
}

/// Without a proxy a pod is meshed by the SPIFFE Workload API that its containers mount; whether it is registered there is a rule of
/// its own.
fn spire(surroundings: &Surroundings<'_>, credentials: &[Credential<'_>]) -> MeshState {
    let driver = surroundings.settings.spiffe.csi_driver.as_str();
    let volume = credentials.iter().filter(|credential| {
        credential.kind == CredentialKind::Csi && credential.certainty == Certainty::Known && credential.name.as_deref() == Some(driver)
    });
    let mut unmounted = None;
    for credential in volume {
        if !credential.containers.is_empty() {
            return meshed(true);
        }
        unmounted = Some(credential.field_path.clone());
    }
    let cause = if unmounted.is_some() {
        format!("no container mounts the volume of CSI driver `{driver}`")
    } else {
        format!("no volume of CSI driver `{driver}`")
    };
    MeshState { field_path: unmounted, ..unplaced(MeshAnswer::Unmeshed, cause) }
}

fn meshed(proven: bool) -> MeshState {
    MeshState { state: MeshAnswer::Meshed, cause: None, field_path: None, proven, findings: Vec::new() }
}

fn not(state: MeshAnswer, cause: impl Into<Cow<'static, str>>, field_path: impl Into<String>) -> MeshState {
    MeshState { state, cause: Some(cause.into()), field_path: Some(field_path.into()), ..meshed(false) }
}

/// A state whose cause stands outside the template.
fn unplaced(state: MeshAnswer, cause: impl Into<Cow<'static, str>>) -> MeshState {
    MeshState { state, cause: Some(cause.into()), ..meshed(false) }
}

/// The marks of the Namespace; one that is confirmed absent has none.
fn namespace<'a>(surroundings: &Surroundings<'a>) -> Result<Marks<'a>, MeshState> {
    match surroundings.namespace_object {
        Fact::Found(object) => Ok(Marks::of(*object)),
        Fact::Absent => Ok(Marks::default()),
        Fact::Unknown(reason) => {
            Err(unplaced(MeshAnswer::Unknown, format!("namespace `{}` could not be read: {reason}", surroundings.namespace)))
        }
    }
}

/// Labels and annotations of an object.
#[derive(Clone, Copy, Default)]
struct Marks<'a> {
    labels: Option<Node<'a>>,
    annotations: Option<Node<'a>>,
}

impl<'a> Marks<'a> {
    fn of(object: Node<'a>) -> Self {
        let metadata = object.get("metadata");
        let field = |key| metadata.and_then(|metadata| metadata.get(key));
        Self { labels: field("labels"), annotations: field("annotations") }
    }

    /// A label; an empty value counts as none.
    fn label(self, key: &str) -> Option<&'a str> {
        self.labels?.get(key)?.as_str().filter(|value| !value.is_empty())
    }

    /// An annotation; an empty value counts as none.
    fn annotation(self, key: &str) -> Option<&'a str> {
        self.written(key).filter(|value| !value.is_empty())
    }

    /// An annotation as it is written: to Istio an empty list is nothing, and to Linkerd an empty value hides the Namespace's.
    fn written(self, key: &str) -> Option<&'a str> {
        self.annotations?.get(key)?.as_str()
    }
}

#[cfg(test)]
mod tests;
