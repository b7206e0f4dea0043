//! The rest of a set of objects, looked up for one of them: how CI and the cases find what the cluster's caches find elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::native::ParameterQuery;
use super::schema::RelatedResource;
use super::set::PolicySet;
use super::subject::{Deadline, Facts, RequestError, Source, Subject, manifest_request};
use super::workload::workload_of;
use crate::identity::KnownSecrets;
use crate::object::{Fact, GroupVersionKind, Node, PodTemplate, namespace_of, resource_of};

/// How many other workloads of a ServiceAccount are told.
const NEIGHBOURS: usize = 3;

/// An index over objects that may be related to others.
#[derive(Debug, Default)]
pub struct RelatedIndex<'a> {
    /// Whether what is not here does not exist; else it is unknown.
    complete: bool,
    namespaces: HashMap<&'a str, Node<'a>>,
    service_accounts: HashMap<(&'a str, &'a str), Node<'a>>,
    token_secrets: HashMap<&'a str, BTreeSet<String>>,
    /// Secrets of other types.
    plain_secrets: HashMap<&'a str, BTreeSet<String>>,
    /// Whether every token Secret is here.
    token_secrets_complete: bool,
    default_namespace: &'a str,
    /// Names of the workloads that run as a ServiceAccount, by namespace and its name.
    workloads: HashMap<(&'a str, &'a str), BTreeSet<&'a str>>,
    /// By resource and namespace, so that a lookup is linear in what it finds.
    others: HashMap<RelatedResource, HashMap<&'a str, Vec<Node<'a>>>>,
}

impl<'a> RelatedIndex<'a> {
    /// Indexes objects; those that name no namespace are taken to be in `default_namespace` where their kind is namespaced.
    #[must_use]
    pub fn new(objects: impl IntoIterator<Item = Node<'a>>, default_namespace: &'a str, complete: bool) -> Self {
        let mut index = Self { complete, token_secrets_complete: complete, default_namespace, ..Self::default() };
        for object in objects {
            let Some(kind) = GroupVersionKind::of(object) else { continue };
            let Some(metadata) = object.get("metadata") else { continue };
            let name = metadata.text("name");
            let namespace = namespace_of(object, &kind, default_namespace);
            match (kind.group.as_str(), kind.kind.as_str()) {
                ("", "Namespace") => {
                    index.namespaces.insert(name, object);
                }
                ("", "ServiceAccount") => {
                    index.service_accounts.insert((namespace, name), object);
                }
                ("", "Secret") if object.text("type") == "kubernetes.io/service-account-token" => {
                    index.token_secrets.entry(namespace).or_default().insert(name.to_owned());
                }
                ("", "Secret") => {
                    index.plain_secrets.entry(namespace).or_default().insert(name.to_owned());
                }
                // What the operator makes of it is a plain Secret, of its own name where it says no other.
                ("external-secrets.io", "ExternalSecret") => {
                    let target = object.path(&["spec", "target", "name"]).and_then(Node::as_str).filter(|target| !target.is_empty());
                    index.plain_secrets.entry(namespace).or_default().insert(target.unwrap_or(name).to_owned());
                }
                _ => {}
            }
            // A Pod stands for itself or for a workload that is among the files too.
            if let Some(template) = PodTemplate::of(&kind, object)
                && !(kind.group.is_empty() && kind.kind == "Pod")
            {
                let account = (namespace, template.service_account_name());
                index.workloads.entry(account).or_default().insert(workload_of(object, Some(template)));
            }
            let resource = RelatedResource { group: kind.group.clone(), resource: resource_of(&kind.kind) };
            index.others.entry(resource).or_default().entry(namespace).or_default().push(object);
        }
        index
    }

    /// The same where the token Secrets could not be listed.
    #[must_use]
    pub fn without_token_secrets(self) -> Self {
        Self { token_secrets_complete: false, ..self }
    }

    /// What this index knows for a subject.
    #[must_use]
    pub fn facts(&self, set: &'a PolicySet, subject: &Subject<'_>, now: i64) -> Facts<'a> {
        let (namespace, service_account) = subject.surroundings();
        Facts {
            namespace: match namespace {
                "" => Fact::Absent,
                name => self.fact(self.namespaces.get(name).copied(), || format!("Namespace `{name}` is not among the files")),
            },
            service_account: match service_account {
                None => Fact::Absent,
                Some(name) => self.fact(self.service_accounts.get(&(namespace, name)).copied(), || {
                    format!("ServiceAccount `{namespace}/{name}` is not among the files")
                }),
            },
            token_secrets: self.secrets(namespace),
            related: self.related(set, namespace),
            parameters: self.parameters(set, subject),
            neighbours: self.neighbours(subject),
            now,
            deadline: Deadline::default(),
        }
    }

    /// What a function makes of an object of these files, as if it were created now.
    ///
    /// # Errors
    /// [`RequestError`] if the object has no kind that a request could name.
    pub fn created<R>(
        &self,
        set: &'a PolicySet,
        source: Source,
        object: Node<'a>,
        default_namespace: &str,
        now: i64,
        ask: impl FnOnce(&Subject<'_>, &Facts<'_>) -> R,
    ) -> Result<R, RequestError> {
        let kind = GroupVersionKind::of(object).unwrap_or_default();
        let request = manifest_request(object, &kind, namespace_of(object, &kind, default_namespace));
        let subject = Subject::from_request(source, request.root(), Some(object), None)?.knowing(&set.settings.pod_templates);
        Ok(ask(&subject, &self.facts(set, &subject, now)))
    }

    /// The parameters of native policies: among the objects, and among those that stand beside the policies.
    fn parameters(&self, set: &'a PolicySet, subject: &Subject<'_>) -> Vec<(ParameterQuery, Fact<Vec<Node<'a>>>)> {
        let known = |query: ParameterQuery| {
            let resource = RelatedResource { group: query.kind.group.clone(), resource: resource_of(&query.kind.kind) };
            // Of a kind that is not known it is not known either whether it is in a namespace: then it was taken to be in the default one.
            let places = BTreeSet::from([query.namespace.as_str(), "", self.default_namespace]);
            let by_place = self.others.get(&resource);
            let here = places.into_iter().filter_map(|place| by_place?.get(place)).flatten().copied();
            let beside = set.beside().map(|object| object.root());
            let asked = here.chain(beside).filter(|object| query.asks_for(*object, self.default_namespace));
            let mut found: Vec<Node<'_>> = asked.collect();
            found.sort_by_cached_key(|object| object.digest());
            found.dedup();
            let fact = query.fact(found, self.complete);
            (query, fact)
        };
        set.parameters(subject).into_iter().map(known).collect()
    }

    /// A Secret that is not among the files may be of any type.
    fn secrets(&self, namespace: &str) -> KnownSecrets {
        let of = |known: &HashMap<&'a str, BTreeSet<String>>| known.get(namespace).cloned().unwrap_or_default();
        let tokens = of(&self.token_secrets);
        if self.token_secrets_complete { KnownSecrets::all(tokens) } else { KnownSecrets::among(tokens, of(&self.plain_secrets)) }
    }

    fn neighbours(&self, subject: &Subject<'_>) -> Vec<&'a str> {
        let (Some(template), Some(object), false) = (subject.template(), subject.object, self.complete) else { return Vec::new() };
        let own = workload_of(object, Some(template));
        let all = self.workloads.get(&(subject.namespace, template.service_account_name()));
        all.into_iter().flatten().copied().filter(|name| *name != own).take(NEIGHBOURS).collect()
    }

    fn fact(&self, found: Option<Node<'a>>, reason: impl FnOnce() -> String) -> Fact<Node<'a>> {
        match found {
            Some(node) => Fact::Found(node),
            None if self.complete => Fact::Absent,
            None => Fact::Unknown(reason()),
        }
    }

    fn related(&self, set: &PolicySet, namespace: &str) -> BTreeMap<RelatedResource, Fact<Vec<Node<'a>>>> {
        let waivers = super::waiver_object::waivers_resource();
        let registration = super::portrait::registration_resources();
        let placed = super::portrait::placing_resources();
        let maps = super::wanted::config_maps_resource();
        let wanted = set
            .policies()
            .iter()
            .flat_map(super::compiled::IdentityPolicy::related)
            .chain([&waivers, maps])
            .chain(&registration)
            .chain(&placed);
        wanted
            .map(|resource| {
                let places: &[&str] = if namespace.is_empty() { &[""] } else { &["", namespace] };
                let by_place = self.others.get(resource);
                let here = places.iter().filter_map(|place| by_place.and_then(|by_place| by_place.get(place))).flatten();
                let here: Vec<Node<'a>> = here.copied().collect();
                // That files hold none of a kind says nothing of the cluster.
                let fact = if here.is_empty() && !self.complete {
                    Fact::Unknown(format!("no {} are among the files", resource.resource))
                } else {
                    Fact::Found(here)
                };
                (resource.clone(), fact)
            })
            .collect()
    }
}
