//! Linkerd: what `linkerd-proxy-injector` decides (`pkg/inject/report.go` and the chart's webhook configuration).

use super::super::model::{MeshAnswer, MeshState};
use super::super::pod::Pod;
use super::super::surroundings::Surroundings;
use super::proof::Proof;
use super::{Marks, meshed, namespace, not, unplaced};

const INJECT: &str = "linkerd.io/inject";
const INJECT_PATH: &str = "metadata.annotations[linkerd.io/inject]";

/// Labels of pods that the webhook's `objectSelector` leaves out.
const SKIP_LABELS: [&str; 2] = ["linkerd.io/control-plane-component", "linkerd.io/cni-resource"];

/// Namespaces that the webhook's `namespaceSelector` leaves out.
const SKIP_NAMESPACES: [&str; 2] = ["kube-system", "cert-manager"];

/// A value of `linkerd.io/inject`. Anything else than these three words switches injection off, whatever was meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark<'a> {
    Unset,
    Enabled,
    Disabled,
    Invalid(&'a str),
}

impl<'a> Mark<'a> {
    fn of(value: Option<&'a str>) -> Self {
        match value {
            None | Some("") => Self::Unset,
            Some("enabled" | "ingress") => Self::Enabled,
            Some("disabled") => Self::Disabled,
            Some(value) => Self::Invalid(value),
        }
    }
}

/// Whether a Namespace asks for its pods to be injected.
pub(super) fn asks_for_it(marks: Marks<'_>) -> bool {
    Mark::of(marks.annotation(INJECT)) == Mark::Enabled
}

pub(super) fn read<'a>(pod: &Pod<'a>, surroundings: &Surroundings<'a>, proof: &Proof) -> MeshState {
    let mark = Mark::of(pod.annotation(INJECT));
    if mark == Mark::Disabled {
        return not(MeshAnswer::OptedOut, "`linkerd.io/inject` is `disabled`", INJECT_PATH);
    }
    match proof {
        Proof::Proven => return meshed(true),
        Proof::Unlisted => return unplaced(MeshAnswer::Unknown, "`mesh.proxyImages` is empty, so no proxy can be proven"),
        Proof::Unproven { cause, field_path } => return not(MeshAnswer::Bypassed, cause.clone(), field_path.clone()),
        Proof::NoProxy => {}
    }
    if let Mark::Invalid(value) = mark {
        let cause = format!("`linkerd.io/inject` is `{value}`, which the injector does not know: `enabled`, `ingress` or `disabled`");
        return not(MeshAnswer::Invalid, cause, INJECT_PATH);
    }
    if let Some(label) = SKIP_LABELS.into_iter().find(|label| pod.label(label).is_some()) {
        let cause = format!("label `{label}` makes the injector pass the pod by");
        return not(MeshAnswer::Bypassed, cause, format!("metadata.labels[{label}]"));
    }
    let name = surroundings.namespace;
    if SKIP_NAMESPACES.contains(&name) {
        return unplaced(MeshAnswer::Unmeshed, format!("the injector passes namespace `{name}` by"));
    }
    let marks = match namespace(surroundings) {
        Ok(marks) => marks,
        Err(unknown) => return unknown,
    };
    if marks.label("config.linkerd.io/admission-webhooks") == Some("disabled") {
        let cause = format!("namespace `{name}` has label `config.linkerd.io/admission-webhooks: disabled`");
        return unplaced(MeshAnswer::Unmeshed, cause);
    }
    match (mark, Mark::of(marks.annotation(INJECT))) {
        (_, Mark::Invalid(value)) => {
            let cause = format!("`linkerd.io/inject` of namespace `{name}` is `{value}`, which the injector does not know");
            unplaced(MeshAnswer::Invalid, cause)
        }
        (Mark::Enabled, _) | (_, Mark::Enabled) => meshed(false),
        (_, Mark::Disabled) => unplaced(MeshAnswer::Unmeshed, format!("`linkerd.io/inject` of namespace `{name}` is `disabled`")),
        _ => unplaced(MeshAnswer::Unmeshed, format!("neither the pod nor namespace `{name}` has `linkerd.io/inject: enabled`")),
    }
}
