//! The match conditions that keep a cluster running whoever judges: those of our webhook's entries, and of the policies that are written
//! out for the API server. An error in one refuses a request, so none reads a field that may be absent without asking first.

/// A CEL match condition: a request that fails one is not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its name.
    pub name: &'static str,
    /// Its expression.
    pub expression: &'static str,
}

/// Static pods run whether we like it or not, and their mirrors must equal them. The annotation alone is anyone's to write: the
/// requester must be a node (B13).
pub const NOT_MIRROR: Condition = Condition {
    name: "not-a-mirror-pod",
    expression: "!(has(request.userInfo.groups) && 'system:nodes' in request.userInfo.groups && \
                 has(object.metadata.annotations) && 'kubernetes.io/config.mirror' in object.metadata.annotations)",
};

macro_rules! pod_changed {
    () => {
        "request.operation != 'UPDATE' || object.spec != oldObject.spec || \
                 (has(object.metadata.labels) ? object.metadata.labels : {}) != \
                 (has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}) || \
                 (has(object.metadata.annotations) ? object.metadata.annotations : {}) != \
                 (has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {})"
    };
}

/// A finished Job's pod loses a finalizer, and must not wait for us (B2).
pub const POD_CHANGED: Condition = Condition { name: "pod-changed", expression: pod_changed!() };

/// The rest: what our own rules need not be asked, and a native policy must.
pub const POD_UNCHANGED: Condition = Condition { name: "pod-unchanged", expression: concat!("!(", pod_changed!(), ")") };

macro_rules! template_changed {
    () => {
        "request.operation != 'UPDATE' || \
                 (request.resource.resource == 'cronjobs' ? object.spec.jobTemplate.spec != oldObject.spec.jobTemplate.spec : \
                 request.resource.resource == 'podtemplates' ? object.template != oldObject.template : \
                 object.spec.template != oldObject.spec.template || \
                 (request.resource.resource == 'jobs' && \
                 (has(object.spec.activeDeadlineSeconds) ? object.spec.activeDeadlineSeconds : -1) != \
                 (has(oldObject.spec.activeDeadlineSeconds) ? oldObject.spec.activeDeadlineSeconds : -1)))"
    };
}

/// Scaling, suspending, and what controllers note about a workload, leave the template alone; its labels and annotations are part of it
/// (B2). A Job's own deadline is no part of its template, and ends its pods as theirs would: who moves it is asked again.
pub const TEMPLATE_CHANGED: Condition = Condition { name: "pod-template-changed", expression: template_changed!() };

/// The rest, scaling among it.
pub const TEMPLATE_UNCHANGED: Condition = Condition { name: "pod-template-unchanged", expression: concat!("!(", template_changed!(), ")") };

macro_rules! object_changed {
    () => {
        "request.operation != 'UPDATE' || \
                 object.exists(f, f != 'metadata' && f != 'status' && (!(f in oldObject) || object[f] != oldObject[f])) || \
                 oldObject.exists(f, f != 'metadata' && f != 'status' && !(f in object)) || \
                 (has(object.metadata.labels) ? object.metadata.labels : {}) != \
                 (has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}) || \
                 (has(object.metadata.annotations) ? object.metadata.annotations : {}) != \
                 (has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {})"
    };
}

/// Finalizers, owner references, managed fields and status never leave the API server (B2). `f` runs over the object's fields.
pub const OBJECT_CHANGED: Condition = Condition { name: "object-changed", expression: object_changed!() };

/// The rest.
pub const OBJECT_UNCHANGED: Condition = Condition { name: "object-unchanged", expression: concat!("!(", object_changed!(), ")") };
