//! The pod template in every workload kind: one place that knows where each kind keeps it.

use super::field_path::FieldPath;
use super::resource::{GroupVersionKind, GroupVersionResource};
use super::tree::{Node, Object};

/// A kind that carries a pod template, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodTemplateKind {
    /// API group.
    pub group: &'static str,
    /// Version that the API server sends (`matchPolicy: Equivalent` converts others to it).
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Resource.
    pub resource: &'static str,
    /// Fields from the object to the template (which has `metadata` and `spec`); empty for a Pod, which is its own template.
    pub path: &'static [&'static str],
}

/// Every built-in kind that carries a pod template. Kubernetes adds one only with a new API; a test of the API's discovery holds
/// this list.
pub const POD_TEMPLATE_KINDS: &[PodTemplateKind] = &[
    PodTemplateKind { group: "", version: "v1", kind: "Pod", resource: "pods", path: &[] },
    PodTemplateKind { group: "apps", version: "v1", kind: "Deployment", resource: "deployments", path: &["spec", "template"] },
    PodTemplateKind { group: "apps", version: "v1", kind: "ReplicaSet", resource: "replicasets", path: &["spec", "template"] },
    PodTemplateKind { group: "apps", version: "v1", kind: "StatefulSet", resource: "statefulsets", path: &["spec", "template"] },
    PodTemplateKind { group: "apps", version: "v1", kind: "DaemonSet", resource: "daemonsets", path: &["spec", "template"] },
    PodTemplateKind {
        group: "",
        version: "v1",
        kind: "ReplicationController",
        resource: "replicationcontrollers",
        path: &["spec", "template"],
    },
    PodTemplateKind { group: "batch", version: "v1", kind: "Job", resource: "jobs", path: &["spec", "template"] },
    PodTemplateKind {
        group: "batch",
        version: "v1",
        kind: "CronJob",
        resource: "cronjobs",
        path: &["spec", "jobTemplate", "spec", "template"],
    },
    PodTemplateKind { group: "", version: "v1", kind: "PodTemplate", resource: "podtemplates", path: &["template"] },
];

impl PodTemplateKind {
    /// The entry of a kind in any version of its group.
    #[must_use]
    pub fn of(kind: &GroupVersionKind) -> Option<&'static Self> {
        POD_TEMPLATE_KINDS.iter().find(|known| known.kind == kind.kind && known.group == kind.group)
    }

    /// The entry of a resource in any version of its group.
    #[must_use]
    pub fn of_resource(resource: &GroupVersionResource) -> Option<&'static Self> {
        POD_TEMPLATE_KINDS.iter().find(|known| known.resource == resource.resource && known.group == resource.group)
    }

    /// Whether this is the kind Pod itself.
    #[must_use]
    pub fn is_pod(&self) -> bool {
        self.path.is_empty()
    }

    /// Where the template stands in an object of this kind.
    #[must_use]
    pub fn prefix(&self) -> FieldPath {
        FieldPath::of(self.path)
    }
}

/// A pod template inside an object: a value with `metadata` and `spec`.
#[derive(Clone, Copy, Debug)]
pub struct PodTemplate<'a> {
    /// The template itself.
    pub node: Node<'a>,
    /// Where it stands in the object that carries it.
    pub place: TemplatePlace<'a>,
}

/// Where a pod template stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplatePlace<'a> {
    /// Where a kind of Kubernetes' own keeps it.
    Known(&'static PodTemplateKind),
    /// Where the operator says that a kind of others' does: fields with dots between.
    Listed(&'a str),
}

impl TemplatePlace<'_> {
    /// Whether it is a Pod itself.
    #[must_use]
    pub fn is_pod(self) -> bool {
        matches!(self, Self::Known(kind) if kind.is_pod())
    }

    /// Its path in the object.
    #[must_use]
    pub fn prefix(self) -> FieldPath {
        match self {
            Self::Known(kind) => kind.prefix(),
            Self::Listed(path) => path.split('.').fold(FieldPath::root(), |path, field| path.field(field.to_owned())),
        }
    }
}

/// The three lists of containers of a pod, in the order of a pod's life.
pub const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

impl<'a> PodTemplate<'a> {
    /// The template that an object of a kind carries; `None` for a kind without one, or when the object lacks it.
    #[must_use]
    pub fn of(kind: &GroupVersionKind, object: Node<'a>) -> Option<Self> {
        let known = PodTemplateKind::of(kind)?;
        Some(Self { node: object.path(known.path)?, place: TemplatePlace::Known(known) })
    }

    /// The template that an object keeps where the operator says.
    #[must_use]
    pub fn listed(path: &'a str, object: Node<'a>) -> Option<Self> {
        let node = path.split('.').try_fold(object, Node::get)?;
        Some(Self { node, place: TemplatePlace::Listed(path) })
    }

    /// The pod's `spec`, or an empty value.
    #[must_use]
    pub fn spec(self) -> Node<'a> {
        self.node.get("spec").unwrap_or_else(|| null(self.node.object))
    }

    /// Every container with the name of its list and its position there.
    pub fn containers(self) -> impl Iterator<Item = (&'static str, usize, Node<'a>)> {
        CONTAINER_LISTS
            .into_iter()
            .flat_map(move |list| self.spec().list(list).enumerate().map(move |(index, container)| (list, index, container)))
    }

    /// An annotation of the pod.
    #[must_use]
    pub fn annotation(self, key: &str) -> Option<&'a str> {
        self.node.path(&["metadata", "annotations"])?.get(key)?.as_str()
    }

    /// A label of the pod.
    #[must_use]
    pub fn label(self, key: &str) -> Option<&'a str> {
        self.node.path(&["metadata", "labels"])?.get(key)?.as_str()
    }

    /// The effective ServiceAccount name as the API server will set it: `serviceAccountName`, else the deprecated `serviceAccount`,
    /// else `default`.
    #[must_use]
    pub fn service_account_name(self) -> &'a str {
        let spec = self.spec();
        match (spec.text("serviceAccountName"), spec.text("serviceAccount")) {
            ("", "") => "default",
            ("", deprecated) => deprecated,
            (name, _) => name,
        }
    }
}

fn null(object: &Object) -> Node<'_> {
    Node { object, slot: super::tape::Slot::Null }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_carrier_leads_to_its_template() {
        for carrier in POD_TEMPLATE_KINDS {
            let mut text = r#"{"metadata":{},"spec":{"serviceAccountName":"api"}}"#.to_owned();
            for field in carrier.path.iter().rev() {
                text = format!("{{\"{field}\":{text}}}");
            }
            let object = Object::from_json(text).unwrap();
            let kind = GroupVersionKind::new(carrier.group, carrier.version, carrier.kind);
            let template = PodTemplate::of(&kind, object.root()).unwrap();
            assert_eq!(template.service_account_name(), "api", "{kind}");
        }
    }

    #[test]
    fn an_empty_service_account_means_default() {
        for (spec, name) in
            [("{}", "default"), (r#"{"serviceAccount":"x"}"#, "x"), (r#"{"serviceAccountName":"","serviceAccount":""}"#, "default")]
        {
            let object = Object::from_json(format!("{{\"spec\":{spec}}}")).unwrap();
            let template = PodTemplate::of(&GroupVersionKind::new("", "v1", "Pod"), object.root()).unwrap();
            assert_eq!(template.service_account_name(), name);
        }
    }
}
