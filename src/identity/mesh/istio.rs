//! Istio: what its injector's selectors decide for sidecars, and the namespace's or pod's enrolment in ambient mode.

use super::super::model::{MeshAnswer, MeshState};
use super::super::pod::Pod;
use super::super::surroundings::Surroundings;
use super::proof::Proof;
use super::{meshed, namespace, not, unplaced};

const INJECT: &str = "sidecar.istio.io/inject";
const AMBIENT: &str = "istio.io/dataplane-mode";
const STATUS: &str = "sidecar.istio.io/status";
const REVISION: &str = "istio.io/rev";

/// Namespaces that the injector ignores whatever their labels say.
const SKIP_NAMESPACES: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

pub(super) fn read<'a>(pod: &Pod<'a>, surroundings: &Surroundings<'a>, proof: &Proof) -> MeshState {
    // The label is what the webhook's selectors read; the annotation is older and counts where there is no label.
    let by_label = pod.label(INJECT).filter(|value| !value.is_empty());
    let (inject, path) = match by_label {
        Some(value) => (Some(value), format!("metadata.labels[{INJECT}]")),
        None => (pod.annotation(INJECT).filter(|value| !value.is_empty()), format!("metadata.annotations[{INJECT}]")),
    };
    let ambient = pod.label(AMBIENT).filter(|value| !value.is_empty());
    if ambient == Some("none") {
        return not(MeshAnswer::OptedOut, "`istio.io/dataplane-mode` is `none`", format!("metadata.labels[{AMBIENT}]"));
    }
    let lowered = inject.map(str::to_ascii_lowercase);
    let asked = match lowered.as_deref() {
        None => false,
        Some("y" | "yes" | "true" | "on") => true,
        Some("n" | "no" | "false" | "off") => {
            return not(MeshAnswer::OptedOut, "`sidecar.istio.io/inject` is false", path);
        }
        Some(value) => {
            let cause = format!("`sidecar.istio.io/inject` is `{value}`, which the injector does not know: `true` or `false`");
            return not(MeshAnswer::Invalid, cause, path);
        }
    };
    match proof {
        Proof::Proven => return meshed(true),
        Proof::Unlisted => return unplaced(MeshAnswer::Unknown, "`mesh.proxyImages` is empty, so no proxy can be proven"),
        Proof::Unproven { cause, field_path } => return not(MeshAnswer::Bypassed, cause.clone(), field_path.clone()),
        Proof::NoProxy => {}
    }
    let name = surroundings.namespace;
    if SKIP_NAMESPACES.contains(&name) {
        return unplaced(MeshAnswer::Unmeshed, format!("the injector passes namespace `{name}` by"));
    }
    let marks = match namespace(surroundings) {
        Ok(marks) => marks,
        Err(unknown) => return unknown,
    };
    let in_ambient = match ambient {
        Some("ambient") => true,
        Some(value) => {
            let cause = format!("`istio.io/dataplane-mode` is `{value}`, which Istio does not know: `ambient` or `none`");
            return not(MeshAnswer::Invalid, cause, format!("metadata.labels[{AMBIENT}]"));
        }
        None => marks.label(AMBIENT) == Some("ambient"),
    };
    match (marks.label("istio-injection"), marks.label(REVISION)) {
        (Some("enabled"), _) | (None, Some(_)) => meshed(false),
        // Whatever stands in it, the node's agent takes it for the mark of a sidecar and leaves the pod alone.
        _ if in_ambient && pod.annotation(STATUS).is_some() => {
            let cause = format!("`{STATUS}` makes the node's proxy pass the pod by, but there is no sidecar");
            not(MeshAnswer::Bypassed, cause, format!("metadata.annotations[{STATUS}]"))
        }
        // The node's proxy carries such a pod; nothing in the pod could show it, so the enrolment is all the proof there is.
        _ if in_ambient => meshed(true),
        (Some("disabled"), _) => unplaced(MeshAnswer::Unmeshed, format!("label `istio-injection` of namespace `{name}` is `disabled`")),
        (Some(value), _) => {
            let cause = format!("label `istio-injection` of namespace `{name}` is `{value}`: `enabled` or `disabled`");
            unplaced(MeshAnswer::Invalid, cause)
        }
        (None, None) if asked && by_label == Some("true") => meshed(false),
        (None, None) if pod.label(REVISION).is_some_and(|value| !value.is_empty()) => meshed(false),
        (None, None) => {
            let cause = format!("neither the pod nor namespace `{name}` has an enabling label of Istio");
            unplaced(MeshAnswer::Unmeshed, cause)
        }
    }
}
