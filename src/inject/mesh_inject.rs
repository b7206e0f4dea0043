//! `mesh-inject`: asks the mesh's own injector for its proxy, on a pod or for a whole Namespace. It asks, it proves nothing: whether a
//! proxy is there is judged on the final pod. What an author wrote is never overridden; a `disabled` is left to its rule.

use super::outcome::Conflict;
use super::place::{Additions, Entries, set_metadata};
use super::pod::Pod;
use crate::object::{Node, Operation};
use crate::settings::{MeshKind, Settings};

const LINKERD: &str = "linkerd.io/inject";
const ISTIO_POD: &str = "sidecar.istio.io/inject";
const ISTIO_NAMESPACE: &str = "istio-injection";
const ISTIO_REVISION: &str = "istio.io/rev";
const ISTIO_MODE: &str = "istio.io/dataplane-mode";

/// Where there is a mesh with proxies, and the pod has a network of its own: no injector takes one that has not.
pub(super) fn is_due(pod: &Pod<'_>) -> bool {
    let on_host = pod.spec().get("hostNetwork").and_then(Node::as_bool) == Some(true);
    matches!(pod.settings().mesh.kind, MeshKind::Linkerd | MeshKind::Istio) && !on_host
}

/// Whether the pod asks for the proxy, in the words that the injector takes: Linkerd reads any other value as no.
pub(super) fn is_done(pod: &Pod<'_>) -> bool {
    match pod.settings().mesh.kind {
        MeshKind::Linkerd => pod.template.annotation(LINKERD).is_some_and(is_enabling),
        MeshKind::Istio => pod.template.label(ISTIO_POD).or_else(|| pod.template.annotation(ISTIO_POD)) == Some("true"),
        MeshKind::None | MeshKind::Spire => false,
    }
}

pub(super) fn apply(pod: &Pod<'_>) -> Result<Vec<Operation>, Conflict> {
    let mut additions = Additions::default();
    let unsaid = |key: &str| pod.template.annotation(key).is_none() && pod.template.label(key).is_none();
    match pod.settings().mesh.kind {
        MeshKind::Linkerd if pod.template.annotation(LINKERD).is_none() => additions.annotate(LINKERD, "enabled".into()),
        MeshKind::Istio if unsaid(ISTIO_POD) => additions.label(ISTIO_POD, "true".into()),
        _ => {}
    }
    additions.operations(pod)
}

/// The request of a whole Namespace, and whether it had one already; `None` where it is not due.
pub(super) fn on_namespace(namespace: Node<'_>, settings: &Settings) -> Option<(Result<Vec<Operation>, Conflict>, bool)> {
    let read = |map: &str, key: &str| namespace.path(&["metadata", map]).and_then(|map| map.get(key)).and_then(Node::as_str);
    let (field, key, unsaid, served) = match settings.mesh.kind {
        MeshKind::Linkerd => {
            let value = read("annotations", LINKERD);
            ("annotations", LINKERD, value.is_none(), value.is_some_and(is_enabling))
        }
        MeshKind::Istio => {
            let [injection, revision, mode] = [ISTIO_NAMESPACE, ISTIO_REVISION, ISTIO_MODE].map(|key| read("labels", key));
            let served = injection == Some("enabled") || (injection.is_none() && revision.is_some()) || mode == Some("ambient");
            ("labels", ISTIO_NAMESPACE, injection.is_none() && revision.is_none() && mode.is_none(), served)
        }
        MeshKind::None | MeshKind::Spire => return None,
    };
    let mut operations = Vec::new();
    let entries = Entries::from([(key.into(), "enabled".to_owned())]);
    let made = if unsaid { set_metadata(&mut operations, namespace, field, entries) } else { Ok(()) };
    Some((made.map(|()| operations), served))
}

fn is_enabling(value: &str) -> bool {
    matches!(value, "enabled" | "ingress")
}
