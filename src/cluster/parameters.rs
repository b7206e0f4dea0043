//! The objects that native policies take as `params`: read when a review needs them and believed for a moment, so that a busy API
//! server is asked for each a few times a second at most, whoever makes the reviews.
//!
//! Not watched: a watch of a kind such as ConfigMap would hold the whole cluster's. Doorward needs the right to `get` (for a selector:
//! to `list`) the kinds that its policies name.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client};

use super::kept::kept;
use super::lookups::Lookups;
use super::reason;
use crate::object::{Fact, Object};
use crate::policy::ParameterQuery;

/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_secs(2);
/// How long the resource of a kind is: a definition that is there changes seldom.
const KIND_BELIEVED: Duration = Duration::from_secs(60);
/// How many answers are kept before those that are believed no more are dropped.
const KEPT: usize = 1024;
/// The most objects that one selector may give.
const MOST: u32 = 500;

type Answer = Fact<Vec<Arc<Object>>>;
type Kind = Fact<(ApiResource, Scope)>;

/// Reads parameters. Cloning shares what is believed.
#[derive(Clone)]
pub struct ParameterReads {
    client: Client,
    deadline: Duration,
    answers: Arc<Believed<ParameterQuery, Answer>>,
    kinds: Arc<Believed<crate::object::GroupVersionKind, Kind>>,
}

impl std::fmt::Debug for ParameterReads {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ParameterReads").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl ParameterReads {
    /// Reads by the client and within the deadline of the lookups.
    #[must_use]
    pub fn new(lookups: &Lookups) -> Self {
        Self { client: lookups.client().clone(), deadline: lookups.deadline(), answers: Arc::default(), kinds: Arc::default() }
    }

    /// The objects that a binding asks for; found and empty if there are none. Whatever goes wrong is unknown, and denies.
    pub async fn get(&self, query: &ParameterQuery) -> Answer {
        let asked = tokio::time::timeout(self.deadline, self.answers.get(query, |_| BELIEVED, || self.ask(query))).await;
        asked.unwrap_or_else(|_| Fact::Unknown(format!("no answer about {query} within {} ms", self.deadline.as_millis())))
    }

    async fn ask(&self, query: &ParameterQuery) -> Answer {
        let believed = |kind: &Kind| if matches!(kind, Fact::Found(_)) { KIND_BELIEVED } else { BELIEVED };
        let (resource, scope) = match self.kinds.get(&query.kind, believed, || self.kind(query)).await {
            Fact::Found(found) => found,
            Fact::Absent => return Fact::Unknown(format!("the cluster serves no {}", query.kind)),
            Fact::Unknown(reason) => return Fact::Unknown(reason),
        };
        let api: Api<DynamicObject> = match scope {
            Scope::Cluster if query.namespace_is_given => {
                return Fact::Unknown(format!("`paramRef.namespace` does not fit {}, which is in no namespace", query.kind));
            }
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            Scope::Namespaced if query.namespace.is_empty() => {
                return Fact::Unknown(format!("{query} is taken from the namespace of the object, which is in none"));
            }
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), &query.namespace, &resource),
        };
        let found = match (&query.name, &query.selector) {
            (Some(name), _) => api.get_opt(name).await.map(|found| found.into_iter().collect()),
            (None, selector) => {
                let labels = selector.as_ref().map(crate::object::LabelSelector::query).unwrap_or_default();
                api.list(&ListParams::default().labels(&labels).limit(MOST)).await.map(|list| list.items)
            }
        };
        match found {
            Ok(objects) => {
                let read: Option<Vec<Arc<Object>>> = objects.iter().map(|object| kept(&resource, object).map(Arc::new)).collect();
                read.map_or_else(|| Fact::Unknown(format!("the API server's answer about {query} cannot be read")), Fact::Found)
            }
            Err(error) => Fact::Unknown(reason(&error)),
        }
    }

    async fn kind(&self, query: &ParameterQuery) -> Kind {
        let kind = &query.kind;
        match pinned_kind(&self.client, &GroupVersionKind::gvk(&kind.group, &kind.version, &kind.kind)).await {
            Ok((resource, capabilities)) => Fact::Found((resource, capabilities.scope)),
            Err(kube::Error::Discovery(_)) => Fact::Absent,
            Err(kube::Error::Api(status)) if status.code == 404 => Fact::Absent,
            Err(error) => Fact::Unknown(reason(&error)),
        }
    }
}

/// An answer, and until when it is believed.
type Slot<V> = Arc<tokio::sync::Mutex<Option<(Instant, V)>>>;

/// Answers that are believed for a while. Who asks while another does waits for that answer.
struct Believed<K, V>(Mutex<HashMap<K, Slot<V>>>);

impl<K, V> Default for Believed<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Believed<K, V> {
    async fn get<F: Future<Output = V>>(&self, key: &K, believed: impl FnOnce(&V) -> Duration, ask: impl FnOnce() -> F) -> V {
        let slot = self.slot(key);
        let mut held = slot.lock().await;
        if let Some((until, value)) = &*held
            && Instant::now() < *until
        {
            return value.clone();
        }
        let value = ask().await;
        *held = Some((Instant::now() + believed(&value), value.clone()));
        value
    }

    fn slot(&self, key: &K) -> Slot<V> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= KEPT {
            // A slot that somebody is asking for is locked, and stays.
            let now = Instant::now();
            slots.retain(|_, slot| slot.try_lock().map_or(true, |held| held.as_ref().is_some_and(|(until, _)| now < *until)));
        }
        Arc::clone(slots.entry(key.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::super::Limits;
    use super::*;

    /// An API server that has ConfigMap `limits` in namespace `a`, labelled `team: x`, and counts what it is asked.
    fn server() -> (Arc<AtomicUsize>, ParameterReads) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let service = tower::service_fn(move |request: Request<Body>| {
            counter.fetch_add(1, Ordering::SeqCst);
            async move {
                let limits =
                    json!({ "metadata": { "name": "limits", "namespace": "a", "labels": { "team": "x" } }, "data": { "most": "3" } });
                let (code, answer) = match (
                    request.uri().path(),
                    request.uri().query().unwrap_or_default().contains("labelSelector=team%3Dx"),
                ) {
                    ("/api/v1", _) => {
                        let resource = json!({ "name": "configmaps", "singularName": "configmap", "kind": "ConfigMap", "namespaced": true, "verbs": ["get"] });
                        (200, json!({ "groupVersion": "v1", "resources": [resource] }))
                    }
                    ("/api/v1/namespaces/a/configmaps/limits", _) => (200, limits),
                    ("/api/v1/namespaces/a/configmaps", true) => (200, json!({ "metadata": {}, "items": [limits] })),
                    ("/api/v1/namespaces/a/configmaps", false) => (200, json!({ "metadata": {}, "items": [] })),
                    _ => (404, json!({ "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "x" })),
                };
                let body = http_body_util::Full::new(answer.to_string().into_bytes().into());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        let patient = Limits { deadline: Duration::from_secs(60), ..Limits::default() };
        (asked, ParameterReads::new(&Lookups::new(Client::new(service, "default"), patient)))
    }

    fn query(kind: &str, namespace: &str, name: Option<&str>) -> ParameterQuery {
        ParameterQuery {
            kind: crate::object::GroupVersionKind::new("", "v1", kind),
            namespace: namespace.into(),
            namespace_is_given: false,
            name: name.map(str::to_owned),
            selector: None,
        }
    }

    fn count(answer: &Answer) -> Result<usize, &str> {
        match answer {
            Fact::Found(found) => Ok(found.len()),
            Fact::Absent => Err("absent"),
            Fact::Unknown(reason) => Err(reason),
        }
    }

    #[tokio::test]
    async fn a_parameter_is_read_once_and_believed_for_a_moment() {
        let (asked, reads) = server();
        for _ in 0..5 {
            let answer = reads.get(&query("ConfigMap", "a", Some("limits"))).await;
            let Fact::Found(found) = &answer else { panic!("{answer:?}") };
            assert_eq!(found[0].root().path(&["data", "most"]).and_then(crate::object::Node::as_str), Some("3"));
            assert_eq!(found[0].root().text("kind"), "ConfigMap");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2, "the kind, and the object");
        assert_eq!(count(&reads.get(&query("ConfigMap", "a", Some("other"))).await), Ok(0));
    }

    #[tokio::test]
    async fn a_selector_lists() {
        let (_, reads) = server();
        for (value, found) in [("x", 1), ("y", 0)] {
            let selector = serde_json::from_value(json!({ "matchLabels": { "team": value } })).unwrap();
            let query = ParameterQuery { selector: Some(selector), ..query("ConfigMap", "a", None) };
            assert_eq!(count(&reads.get(&query).await), Ok(found), "{value}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_asked_for_is_unknown_with_the_reason() {
        let (_, reads) = server();
        assert_eq!(
            count(&reads.get(&query("ConfigMap", "", Some("limits"))).await),
            Err("ConfigMap `limits` is taken from the namespace of the object, which is in none")
        );
        assert_eq!(count(&reads.get(&query("Limit", "a", Some("limits"))).await), Err("the cluster serves no v1 Limit"));
    }
}
