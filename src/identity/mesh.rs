//! Whether the mesh carries a pod: what its injector will do by the marks on pod and Namespace, and whether a proxy that is already
//! there is the mesh's own.
//!
//! Marks are intent only, since any author writes them; a proxy is believed when `proof` finds all that the injector adds.

mod istio;
mod linkerd;
mod proof;

use std::borrow::Cow;

use super::model::{Certainty, Credential, CredentialKind, MeshAnswer, MeshState};
use super::surroundings::Surroundings;
use crate::object::{Fact, Node, PodTemplate};
use crate::settings::MeshKind;

/// Reads the effective state of the mesh that the settings name.
pub(super) fn read<'a>(template: PodTemplate<'a>, surroundings: &Surroundings<'a>, credentials: &[Credential<'a>]) -> MeshState {
    let kind = surroundings.settings.mesh.kind;
    match kind {
        MeshKind::None => MeshState { state: MeshAnswer::Off, cause: None, field_path: None, proven: false },
        MeshKind::Linkerd | MeshKind::Istio if template.spec().get("hostNetwork").and_then(Node::as_bool) == Some(true) => {
            not(MeshAnswer::Unmeshed, "`hostNetwork` is true, so the injector passes the pod by", "spec.hostNetwork")
        }
        MeshKind::Linkerd => linkerd::read(template, surroundings, credentials),
        MeshKind::Istio => istio::read(template, surroundings, credentials),
        MeshKind::Spire => spire(surroundings, credentials),
    }
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
    MeshState { state: MeshAnswer::Meshed, cause: None, field_path: None, proven }
}

fn not(state: MeshAnswer, cause: impl Into<Cow<'static, str>>, field_path: impl Into<String>) -> MeshState {
    MeshState { state, cause: Some(cause.into()), field_path: Some(field_path.into()), proven: false }
}

/// A state whose cause stands outside the template.
fn unplaced(state: MeshAnswer, cause: impl Into<Cow<'static, str>>) -> MeshState {
    MeshState { state, cause: Some(cause.into()), field_path: None, proven: false }
}

/// The marks of the Namespace; one that is confirmed absent has none.
fn namespace<'a>(surroundings: &Surroundings<'a>) -> Result<Marks<'a>, MeshState> {
    match surroundings.namespace_object {
        Fact::Found(object) => Ok(Marks { metadata: object.get("metadata") }),
        Fact::Absent => Ok(Marks { metadata: None }),
        Fact::Unknown(reason) => {
            Err(unplaced(MeshAnswer::Unknown, format!("namespace `{}` could not be read: {reason}", surroundings.namespace)))
        }
    }
}

/// Labels and annotations of a Namespace; an empty value counts as none.
#[derive(Clone, Copy)]
struct Marks<'a> {
    metadata: Option<Node<'a>>,
}

impl<'a> Marks<'a> {
    fn label(self, key: &str) -> Option<&'a str> {
        self.value("labels", key)
    }

    fn annotation(self, key: &str) -> Option<&'a str> {
        self.value("annotations", key)
    }

    fn value(self, map: &str, key: &str) -> Option<&'a str> {
        self.metadata?.get(map)?.get(key)?.as_str().filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests;
