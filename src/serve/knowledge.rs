//! Where the facts of a review come from: the cluster's caches with one live read on a miss, or files when there is no cluster.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::cluster::Surroundings;
use crate::identity::KnownSecrets;
use crate::manifest::{Document, InputError};
use crate::object::{Fact, GroupVersionKind, Node, Object, namespace_of, quoted, resource_of};
use crate::policy::{Deadline, Facts, ParameterQuery, PolicySet, RelatedResource, Source, Subject, waivers_resource, wanted};

/// A source of facts.
#[derive(Debug)]
pub enum Knowledge {
    /// A cluster: caches, and one live read on a miss.
    Cluster(Box<Surroundings>),
    /// The files of `--context`: what is not among them does not exist.
    Files(KnownObjects),
}

/// Namespaces and ServiceAccounts by name, and every object by its resource.
#[derive(Debug, Default)]
pub struct KnownObjects {
    namespaces: HashMap<String, Arc<Object>>,
    service_accounts: HashMap<(String, String), Arc<Object>>,
    /// Everything else: parameters of native policies may be among it.
    others: Vec<Arc<Object>>,
    default_namespace: String,
    /// With the namespace that each is in.
    related: HashMap<RelatedResource, Vec<(String, Arc<Object>)>>,
}

impl KnownObjects {
    /// Keeps the objects of some documents.
    #[must_use]
    pub fn of(documents: impl IntoIterator<Item = Document>, default_namespace: &str) -> Self {
        let mut known = Self { default_namespace: default_namespace.to_owned(), ..Self::default() };
        for document in documents {
            let object = Arc::new(document.object);
            let root = object.root();
            let Some(kind) = GroupVersionKind::of(root) else { continue };
            let metadata = |key: &str| root.get("metadata").map(|metadata| metadata.text(key)).unwrap_or_default().to_owned();
            match (kind.group.as_str(), kind.kind.as_str()) {
                ("", "Namespace") => {
                    known.namespaces.insert(metadata("name"), Arc::clone(&object));
                }
                ("", "ServiceAccount") => {
                    let namespace = match metadata("namespace") {
                        namespace if namespace.is_empty() => default_namespace.to_owned(),
                        namespace => namespace,
                    };
                    known.service_accounts.insert((namespace, metadata("name")), Arc::clone(&object));
                }
                _ => known.others.push(Arc::clone(&object)),
            }
            let resource = RelatedResource { group: kind.group.clone(), resource: resource_of(&kind.kind) };
            let namespace = namespace_of(root, &kind, default_namespace).to_owned();
            known.related.entry(resource).or_default().push((namespace, Arc::clone(&object)));
        }
        known
    }

    /// The objects of a resource that are in a namespace or in none.
    fn related(&self, resource: &RelatedResource, namespace: &str) -> Vec<Arc<Object>> {
        let all = self.related.get(resource).into_iter().flatten();
        all.filter(|(place, _)| place.is_empty() || place == namespace).map(|(_, object)| Arc::clone(object)).collect()
    }
}

/// The names of the Secrets that hold legacy tokens, by namespace. Doorward may not list Secrets itself: that right would read their
/// data too (`hardening.md` A38), so somebody who may writes the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenSecrets(HashMap<String, BTreeSet<String>>);

impl TokenSecrets {
    /// Reads a list of `namespace/name`, one a line. Empty lines and what follows a `#` are left out.
    ///
    /// # Errors
    /// The first line that is no `namespace/name`.
    pub fn read(file: &str, text: &str) -> Result<Self, InputError> {
        let mut names: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            match entry.split_once('/') {
                None if entry.is_empty() => {}
                Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                    names.entry(namespace.to_owned()).or_default().insert(name.to_owned());
                }
                _ => {
                    let message = format!("`{}` is no `namespace/name` of a Secret", quoted(entry));
                    return Err(InputError { file: file.into(), line: index + 1, column: 1, message });
                }
            }
        }
        Ok(Self(names))
    }

    fn of(&self, namespace: &str) -> KnownSecrets {
        KnownSecrets::all(self.0.get(namespace).cloned().unwrap_or_default())
    }
}

/// Facts that own what they speak of, so that they outlive the wait for them.
#[derive(Debug)]
pub(super) struct Learned {
    namespace: Fact<Arc<Object>>,
    service_account: Fact<Arc<Object>>,
    parameters: Vec<(ParameterQuery, Fact<Vec<Arc<Object>>>)>,
    related: BTreeMap<RelatedResource, Fact<Vec<Arc<Object>>>>,
}

impl Knowledge {
    /// Learns what judging a subject may need. The mutating webhook reads no related objects.
    pub(super) async fn learn(&self, set: &PolicySet, subject: &Subject<'_>, deadline: Deadline<'_>) -> Learned {
        let (namespace, account) = subject.surroundings();
        let mut parameters = Vec::new();
        let judged = subject.source != Source::Mutating;
        for query in set.parameters(subject).into_iter().filter(|_| judged) {
            let found = self.parameters(set, &query).await;
            parameters.push((query, found));
        }
        let mut learned = Learned {
            parameters,
            namespace: if namespace.is_empty() { Fact::Absent } else { self.namespace(namespace).await },
            service_account: match account {
                Some(name) if !namespace.is_empty() => self.service_account(namespace, name).await,
                _ => Fact::Absent,
            },
            related: BTreeMap::new(),
        };
        if subject.source == Source::Validating {
            let wanted = wanted(set, subject, &learned.facts(subject.namespace, None, 0, deadline));
            for (resource, names) in wanted {
                let found = match self {
                    Self::Files(known) => Fact::Found(known.related(&resource, subject.namespace)),
                    Self::Cluster(surroundings) => surroundings.related(&resource, subject.namespace, &names).await,
                };
                learned.related.insert(resource, found);
            }
        }
        learned
    }

    /// Follows what these policies read beside the objects they judge; what else was followed is forgotten.
    pub(super) fn follow(&self, resources: &BTreeSet<RelatedResource>) {
        if let Self::Cluster(surroundings) = self {
            surroundings.follow(resources);
        }
    }

    /// Waits until what is followed is known.
    pub(super) async fn related_ready(&self) {
        if let Self::Cluster(surroundings) = self {
            surroundings.related_ready().await;
        }
    }

    /// Whether a Namespace is known to be gone, without asking anybody.
    pub(super) fn lacks_namespace(&self, name: &str) -> bool {
        match self {
            Self::Files(known) => !known.namespaces.contains_key(name),
            Self::Cluster(surroundings) => surroundings.lacks_namespace(name),
        }
    }

    async fn namespace(&self, name: &str) -> Fact<Arc<Object>> {
        match self {
            Self::Files(known) => known.namespaces.get(name).cloned().map_or(Fact::Absent, Fact::Found),
            Self::Cluster(surroundings) => surroundings.namespace(name).await,
        }
    }

    async fn service_account(&self, namespace: &str, name: &str) -> Fact<Arc<Object>> {
        match self {
            Self::Files(known) => {
                known.service_accounts.get(&(namespace.to_owned(), name.to_owned())).cloned().map_or(Fact::Absent, Fact::Found)
            }
            Self::Cluster(surroundings) => surroundings.service_account(namespace, name).await,
        }
    }

    /// The parameters of a native policy. In a cluster they are the cluster's; the policies' files count where there is none.
    async fn parameters(&self, set: &PolicySet, query: &ParameterQuery) -> Fact<Vec<Arc<Object>>> {
        match self {
            Self::Files(known) => {
                let asked = |object: &&Arc<Object>| query.asks_for(object.root(), &known.default_namespace);
                Fact::Found(known.others.iter().chain(set.beside()).filter(asked).cloned().collect())
            }
            Self::Cluster(surroundings) => surroundings.parameters(query).await,
        }
    }

    /// The waivers of the cluster, or of the files that stand for it.
    pub(super) async fn waivers(&self) -> Fact<Vec<Arc<Object>>> {
        let resource = waivers_resource();
        match self {
            Self::Files(known) => Fact::Found(known.related(&resource, "")),
            Self::Cluster(surroundings) => surroundings.related(&resource, "", &BTreeSet::new()).await,
        }
    }

    /// Why facts cannot be had yet; `None` when they can.
    pub(super) fn waits(&self) -> Option<&'static str> {
        match self {
            Self::Cluster(surroundings) if !surroundings.is_ready() => {
                Some("the first lists of Namespaces, ServiceAccounts and related objects are not complete")
            }
            _ => None,
        }
    }
}

impl Learned {
    /// The facts, borrowed for one evaluation.
    pub(super) fn facts<'a>(
        &'a self,
        namespace: &str,
        token_secrets: Option<&TokenSecrets>,
        now: i64,
        deadline: Deadline<'a>,
    ) -> Facts<'a> {
        Facts {
            namespace: view(&self.namespace),
            service_account: view(&self.service_account),
            token_secrets: token_secrets.map(|names| names.of(namespace)).unwrap_or_default(),
            parameters: self.parameters.iter().map(|(query, found)| (query.clone(), views(found))).collect(),
            neighbours: Vec::new(),
            related: self.related.iter().map(|(resource, fact)| (resource.clone(), views(fact))).collect(),
            now,
            deadline,
        }
    }
}

fn view(fact: &Fact<Arc<Object>>) -> Fact<Node<'_>> {
    fact.as_ref().map(|object| object.root())
}

fn views(fact: &Fact<Vec<Arc<Object>>>) -> Fact<Vec<Node<'_>>> {
    fact.as_ref().map(|objects| objects.iter().map(|object| object.root()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Sources, load, manifest_request};
    use crate::settings::Settings;

    /// A registration of pods, and their Namespace.
    const FILES: &str = "
apiVersion: spire.spiffe.io/v1alpha1
kind: ClusterSPIFFEID
metadata: { name: every-pod }
---
apiVersion: v1
kind: Namespace
metadata: { name: payments }
";

    #[tokio::test]
    async fn files_tell_the_related_objects_that_a_review_needs() {
        let set = load(&Sources { fallback: Some(Settings::demonstration()), ..Sources::default() }).unwrap();
        let knowledge = Knowledge::Files(KnownObjects::of(crate::manifest::load("files", FILES).documents, "payments"));
        let pod = Object::from_json(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{}}"#).unwrap();
        let request = manifest_request(pod.root(), &GroupVersionKind::new("", "v1", "Pod"), "payments");
        let ids = RelatedResource { group: "spire.spiffe.io".into(), resource: "clusterspiffeids".into() };
        for (source, expected) in [(Source::Validating, Some(1)), (Source::Mutating, None)] {
            let subject = Subject::from_request(source, request.root(), Some(pod.root()), None).unwrap();
            let learned = knowledge.learn(&set, &subject, Deadline::default()).await;
            let facts = learned.facts("payments", None, 0, Deadline::default());
            let found = facts.related.get(&ids).cloned().and_then(Fact::found).map(|objects| objects.len());
            assert_eq!(found, expected, "{source:?}");
            assert!(matches!(facts.namespace, Fact::Found(_)));
        }
    }

    /// Hardening A38: names come as a list, so that nobody need be allowed to list Secrets.
    #[test]
    fn a_list_of_token_secrets_is_read_line_by_line() {
        let names = TokenSecrets::read("tokens", "# made by the audit\n\npayments/legacy # old\npayments/older\nshop/x\n").unwrap();
        assert_eq!(names.of("payments"), KnownSecrets::all(["legacy".to_owned(), "older".to_owned()].into()));
        assert_eq!(names.of("other"), KnownSecrets::all(BTreeSet::new()));
        let error = TokenSecrets::read("tokens", "a/b\nno-slash\n").unwrap_err();
        assert_eq!(error.to_string(), "tokens:2:1: `no-slash` is no `namespace/name` of a Secret");
    }
}
