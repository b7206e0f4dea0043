//! What is judged, and everything that judging it may need: made by the admission room from a review, by the CLI from a manifest.

use std::collections::BTreeMap;

use serde::Serialize;

use super::native::ParameterQuery;
use super::schema::{OperationName, RelatedResource};
use crate::identity::KnownSecrets;
use crate::object::{Fact, FieldPath, GroupVersionKind, GroupVersionResource, Kind, Node, Object, PodTemplate, resource_of};
use crate::settings::ListedTemplate;

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
    /// A connection to a subresource.
    Connect,
}

impl Operation {
    /// The API server's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }

    /// The operation of the API server's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete, Self::Connect].into_iter().find(|operation| operation.word() == word)
    }

    /// Whether a rule that names `wanted` means this operation.
    #[must_use]
    pub fn is(self, wanted: OperationName) -> bool {
        match wanted {
            OperationName::Any => true,
            OperationName::Create => self == Self::Create,
            OperationName::Update => self == Self::Update,
            OperationName::Delete => self == Self::Delete,
            OperationName::Connect => self == Self::Connect,
        }
    }
}

/// From where a subject comes: decides what an unknown fact means, and whether injections are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The API server's mutating call.
    Mutating,
    /// The API server's validating call: a Pod arrives as it will be, after every other webhook.
    Validating,
    /// A manifest: what is not among the files is unknown.
    Manifests,
}

/// An object in the light of one request.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// Where it comes from.
    pub source: Source,
    /// The request's UID; empty for a manifest.
    pub uid: &'a str,
    /// What is done.
    pub operation: Operation,
    /// Kind of the object.
    pub kind: GroupVersionKind,
    /// Resource of the request.
    pub resource: GroupVersionResource,
    /// Subresource of the request, or empty.
    pub subresource: &'a str,
    /// Namespace, or empty for a cluster-scoped object.
    pub namespace: &'a str,
    /// Name; empty while the API server has not made one from `generateName`.
    pub name: &'a str,
    /// Who asks; empty for a manifest.
    pub username: &'a str,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// The whole request as CEL sees it.
    pub request: Node<'a>,
    /// The object; none on DELETE.
    pub object: Option<Node<'a>>,
    /// The object before; none on CREATE.
    pub old_object: Option<Node<'a>>,
    /// Kinds of others' that carry a pod template, as the operator lists them.
    pub listed: &'a [ListedTemplate],
}

/// Why a request cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`request.{field}` {reason}")]
pub struct RequestError {
    /// The field of the request.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestRequest<'a> {
    uid: &'static str,
    kind: &'a GroupVersionKind,
    resource: GroupVersionResource,
    operation: &'static str,
    namespace: &'a str,
    name: &'a str,
    dry_run: bool,
}

/// The request that would create a manifest's object: what CEL sees as `request` in CI. Who asks is not known, so `userInfo` is absent.
#[must_use]
pub fn manifest_request(object: Node<'_>, kind: &GroupVersionKind, namespace: &str) -> Object {
    let metadata = object.get("metadata");
    let name = metadata.map(|metadata| metadata.text("name")).unwrap_or_default();
    let resource = GroupVersionResource::new(&kind.group, &kind.version, &resource_of(&kind.kind));
    let request = ManifestRequest { uid: "", kind, resource, operation: Operation::Create.word(), namespace, name, dry_run: false };
    // Strings and a boolean always serialise.
    Object::from_serialize(&request).unwrap_or_default()
}

impl<'a> Subject<'a> {
    /// The subject of an AdmissionRequest (`admission.k8s.io/v1`). `object` and `oldObject` are given apart, since a manifest has no
    /// request that holds them.
    ///
    /// # Errors
    /// [`RequestError`] with the field that is missing or not of its type.
    pub fn from_request(
        source: Source,
        request: Node<'a>,
        object: Option<Node<'a>>,
        old_object: Option<Node<'a>>,
    ) -> Result<Self, RequestError> {
        let fail = |field, reason| RequestError { field, reason };
        let operation =
            Operation::parse(request.text("operation")).ok_or_else(|| fail("operation", "must be CREATE, UPDATE, DELETE or CONNECT"))?;
        let part = |field: &'static str, name: &'static str| {
            let node = request.get(field).ok_or_else(|| fail(field, "is missing"))?;
            if node.text("version").is_empty() || node.text(name).is_empty() {
                return Err(fail(field, "must hold a group, a version and a name"));
            }
            Ok((node.text("group"), node.text("version"), node.text(name)))
        };
        let (group, version, kind) = part("kind", "kind")?;
        let kind = GroupVersionKind::new(group, version, kind);
        let (group, version, resource) = part("resource", "resource")?;
        // The API server repeats a Namespace's name as its namespace (measured); it is in none, in a file as in the cluster.
        let namespace = if group.is_empty() && resource == "namespaces" { "" } else { request.text("namespace") };
        if matches!(operation, Operation::Create | Operation::Update) && object.is_none_or(|object| object.kind() != Kind::Map) {
            return Err(fail("object", "must be an object on CREATE and UPDATE"));
        }
        let metadata_name = object.and_then(|object| object.path(&["metadata", "name"])).and_then(Node::as_str);
        let name = match request.text("name") {
            "" => metadata_name.unwrap_or_default(),
            name => name,
        };
        Ok(Self {
            source,
            uid: request.text("uid"),
            operation,
            kind,
            resource: GroupVersionResource::new(group, version, resource),
            subresource: request.text("subResource"),
            namespace,
            name,
            username: request.get("userInfo").map(|user| user.text("username")).unwrap_or_default(),
            dry_run: request.get("dryRun").and_then(Node::as_bool) == Some(true),
            request,
            object,
            old_object,
            listed: &[],
        })
    }

    /// The same subject where these kinds carry a pod template too.
    #[must_use]
    pub fn knowing(self, listed: &'a [ListedTemplate]) -> Self {
        Self { listed, ..self }
    }

    /// The pod template that the object carries.
    #[must_use]
    pub fn template(&self) -> Option<PodTemplate<'a>> {
        let object = self.object?;
        PodTemplate::of(&self.kind, object).or_else(|| PodTemplate::listed(&self.listed()?.path, object))
    }

    /// What the operator says of its kind, if it is one of others' that carry a pod template.
    #[must_use]
    pub fn listed(&self) -> Option<&'a ListedTemplate> {
        self.listed.iter().find(|listed| listed.is(&self.kind))
    }

    /// The Namespace and the ServiceAccount that must be known to judge it: its own and its pods', or those that a waiver speaks of.
    #[must_use]
    pub fn surroundings(&self) -> (&'a str, Option<&'a str>) {
        let object = self.object.filter(|_| super::waiver_object::is_waiver(&self.kind));
        object
            .and_then(super::waiver_object::waived)
            .unwrap_or_else(|| (self.namespace, self.template().map(PodTemplate::service_account_name)))
    }

    /// Where that template stands in the object.
    #[must_use]
    pub fn template_path(&self) -> FieldPath {
        self.template().map(|template| template.place.prefix()).unwrap_or_default()
    }

    /// Whether this is a Pod itself, or a subresource that sends one.
    #[must_use]
    pub fn is_pod(&self) -> bool {
        self.kind.group.is_empty() && self.kind.kind == "Pod"
    }

    /// Whether this is an IdentityWaiver.
    #[must_use]
    pub fn is_waiver(&self) -> bool {
        super::waiver_object::is_waiver(&self.kind)
    }

    /// Whether this is a static pod that a kubelet reports: its own annotation alone is not enough, any tenant can write it.
    #[must_use]
    pub fn is_mirror_pod(&self) -> bool {
        self.is_pod()
            && self.template().is_some_and(|template| template.annotation("kubernetes.io/config.mirror").is_some())
            && self.request.get("userInfo").is_some_and(|user| user.list("groups").any(|group| group.as_str() == Some("system:nodes")))
    }

    /// The name that people know it by: `generateName` with a star until the API server has made a name.
    #[must_use]
    pub fn display_name(&self) -> String {
        if !self.name.is_empty() {
            return self.name.to_owned();
        }
        let metadata = self.object.and_then(|object| object.get("metadata"));
        match metadata.map(|metadata| (metadata.text("name"), metadata.text("generateName"))) {
            Some((name, _)) if !name.is_empty() => name.to_owned(),
            Some((_, prefix)) if !prefix.is_empty() => format!("{prefix}*"),
            _ => String::new(),
        }
    }
}

/// What was learned about the rest of the cluster before judging.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The Namespace of the subject; absent for a cluster-scoped one.
    pub namespace: Fact<Node<'a>>,
    /// The ServiceAccount that the pod template names.
    pub service_account: Fact<Node<'a>>,
    /// Which of the namespace's Secrets hold legacy tokens, by name.
    pub token_secrets: KnownSecrets,
    /// Other objects, all of a resource that are in the subject's namespace or in none.
    pub related: BTreeMap<RelatedResource, Fact<Vec<Node<'a>>>>,
    /// The parameters of native policies, each as it was asked for ([`PolicySet::parameters`](super::PolicySet::parameters)).
    pub parameters: Vec<(ParameterQuery, Fact<Vec<Node<'a>>>)>,
    /// Other workloads among the files whose pods run as the same ServiceAccount, the first few; none in the cluster, where nobody knows
    /// them all.
    pub neighbours: Vec<&'a str>,
    /// Now, in seconds since 1970: waivers end.
    pub now: i64,
    /// Until when expressions may be evaluated.
    pub deadline: Deadline<'a>,
}

/// Whether the time is up. The caller owns the clock; by default it never is.
#[derive(Clone, Copy)]
pub struct Deadline<'d>(pub &'d (dyn Fn() -> bool + Sync));

impl Default for Deadline<'_> {
    fn default() -> Self {
        Self(&|| false)
    }
}

impl std::fmt::Debug for Deadline<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Deadline")
    }
}

impl Facts<'_> {
    /// Facts of which none is known.
    #[must_use]
    pub fn unknown(reason: &str) -> Self {
        Self {
            namespace: Fact::Unknown(reason.into()),
            service_account: Fact::Unknown(reason.into()),
            token_secrets: KnownSecrets::default(),
            related: BTreeMap::new(),
            parameters: Vec::new(),
            neighbours: Vec::new(),
            now: 0,
            deadline: Deadline::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_in_no_namespace() {
        let request = r#"{"uid":"u","operation":"UPDATE","kind":{"group":"","version":"v1","kind":"Namespace"},
            "resource":{"group":"","version":"v1","resource":"namespaces"},"name":"payments","namespace":"payments","object":{}}"#;
        let request = Object::from_json(request).unwrap();
        let subject = Subject::from_request(Source::Validating, request.root(), request.root().get("object"), None).unwrap();
        assert_eq!((subject.namespace, subject.name), ("", "payments"));
    }
}
