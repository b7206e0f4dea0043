//! The objects that policies read beside the one they judge: each resource that a policy names is looked for, and watched if the cluster
//! serves it.
//!
//! A resource whose definition is not installed has no objects, which is an answer; it is looked for again every so often, since
//! definitions come and go while Doorward runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Client;
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::AbortHandle;

use super::caches::Cache;
use super::discovery::{Served, served};
use crate::object::{Fact, Object};
use crate::policy::RelatedResource;

/// How long to wait before a question is asked again that the API server did not answer.
const RETRY: Duration = Duration::from_secs(1);

/// The related resources that are watched. Cloning shares them.
#[derive(Clone)]
pub struct Related {
    client: Client,
    every: Duration,
    followed: Arc<Mutex<BTreeMap<RelatedResource, Followed>>>,
    /// Whether all of them were known once. What is added later is unknown until it is listed, and closes no door.
    ready: Arc<AtomicBool>,
}

impl std::fmt::Debug for Related {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Related").field("every", &self.every).finish_non_exhaustive()
    }
}

/// A resource that is followed until this is dropped.
#[derive(Debug)]
struct Followed {
    state: Receiver<State>,
    task: AbortHandle,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is known of a resource.
#[derive(Clone, Debug)]
enum State {
    /// Nobody has said yet whether the cluster serves it.
    Unknown(String),
    /// The cluster does not serve it.
    Absent,
    /// It is watched.
    Watched(Arc<Cache>, bool),
}

impl State {
    fn is_known(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::Absent => true,
            Self::Watched(cache, _) => cache.is_ready(),
        }
    }
}

/// The objects of a resource that a subject can be related to.
#[derive(Clone, Debug)]
pub struct Found {
    /// As the cluster serves the resource.
    pub served: Served,
    /// Those of no namespace, then those of the subject's.
    pub objects: Vec<Arc<Object>>,
}

impl Related {
    /// Nothing watched yet. Which resources the cluster serves is asked again every so often.
    #[must_use]
    pub fn new(client: Client, every: Duration) -> Self {
        Self { client, every, followed: Arc::default(), ready: Arc::default() }
    }

    /// Follows these resources from now on, and no others. Needs a runtime.
    pub fn follow(&self, resources: &BTreeSet<RelatedResource>) {
        let mut followed = self.lock();
        followed.retain(|resource, _| resources.contains(resource));
        for resource in resources {
            if !followed.contains_key(resource) {
                let (sender, state) = channel(State::Unknown(format!("{} are not looked for yet", resource.resource)));
                let task = tokio::spawn(follow(self.client.clone(), resource.clone(), sender, self.every)).abort_handle();
                followed.insert(resource.clone(), Followed { state, task });
            }
        }
    }

    /// Whether a resource is followed.
    #[must_use]
    pub fn follows(&self, resource: &RelatedResource) -> bool {
        self.lock().contains_key(resource)
    }

    /// Whether all that is followed is known, absent or listed whole, or was so once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        if self.ready.load(Ordering::Relaxed) {
            return true;
        }
        let followed = self.lock();
        let ready = followed.values().all(|followed| followed.state.borrow().is_known());
        if ready && !followed.is_empty() {
            self.ready.store(true, Ordering::Relaxed);
        }
        ready
    }

    /// Waits until all that is followed is known.
    pub async fn ready(&self) {
        let states: Vec<Receiver<State>> = self.lock().values().map(|followed| followed.state.clone()).collect();
        for mut state in states {
            loop {
                let now = state.borrow_and_update().clone();
                match now {
                    State::Absent => break,
                    State::Watched(cache, _) => tokio::select! {
                        () = cache.ready() => break,
                        changed = state.changed() => if changed.is_err() { break },
                    },
                    // No longer followed.
                    State::Unknown(_) => {
                        if state.changed().await.is_err() {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// The objects of a resource that are in a namespace or in none. Never asks the API server.
    #[must_use]
    pub fn of(&self, resource: &RelatedResource, namespace: &str) -> Fact<Found> {
        let state = self.lock().get(resource).map(|followed| followed.state.borrow().clone());
        let name = &resource.resource;
        match state {
            Some(State::Absent) => Fact::Absent,
            Some(State::Unknown(reason)) => Fact::Unknown(reason),
            Some(State::Watched(cache, _)) if !cache.is_ready() => Fact::Unknown(format!("{name} are not listed yet")),
            Some(State::Watched(cache, namespaced)) => {
                Fact::Found(Found { served: Served { resource: cache.resource().clone(), namespaced }, objects: cache.list(namespace) })
            }
            None => Fact::Unknown(format!("{name} are not watched")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RelatedResource, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for a resource and watches it while the cluster serves it, for ever. What was known serves on while nobody answers.
async fn follow(client: Client, resource: RelatedResource, state: Sender<State>, every: Duration) {
    let ask = || served(&client, &resource.group, &resource.resource);
    loop {
        match ask().await {
            Fact::Found(found) => {
                let cache = Arc::new(Cache::new(found.resource.clone()));
                state.send_replace(State::Watched(Arc::clone(&cache), found.namespaced));
                let changed = async {
                    loop {
                        tokio::time::sleep(every).await;
                        match ask().await {
                            Fact::Unknown(_) => {}
                            Fact::Found(now) if now == found => {}
                            Fact::Found(_) | Fact::Absent => break,
                        }
                    }
                };
                tokio::select! {
                    () = cache.run(client.clone()) => {}
                    () = changed => tracing::info!(resource = %resource.resource, "the cluster serves a related resource otherwise"),
                }
            }
            Fact::Absent => {
                state.send_if_modified(|state| {
                    let changed = !matches!(state, State::Absent);
                    *state = State::Absent;
                    changed
                });
                tokio::time::sleep(every).await;
            }
            Fact::Unknown(reason) => {
                state.send_if_modified(|state| {
                    let unknown = matches!(state, State::Unknown(_));
                    if unknown {
                        *state = State::Unknown(format!("whether the cluster serves {} is not known: {reason}", resource.resource));
                    }
                    unknown
                });
                tokio::time::sleep(RETRY.min(every)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::AtomicUsize;

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    const ABSENT: usize = 0;
    const SERVED: usize = 1;
    const SILENT: usize = 2;

    /// An API server whose one custom resource comes and goes; a watch never ends.
    fn cluster(mood: &Arc<AtomicUsize>) -> Client {
        let mood = Arc::clone(mood);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (mood, path) = (mood.load(Ordering::SeqCst), request.uri().path().to_owned());
            let is_watch = request.uri().query().unwrap_or_default().contains("watch=true");
            async move {
                let version = json!({ "groupVersion": "example.com/v1", "version": "v1" });
                let groups = [json!({ "name": "example.com", "versions": [version], "preferredVersion": version })];
                let verbs = json!(["get", "list", "watch"]);
                let resource = json!({ "name": "things", "singularName": "thing", "kind": "Thing", "namespaced": true, "verbs": verbs });
                let object =
                    |namespace: &str, name: &str| json!({ "metadata": { "namespace": namespace, "name": name, "resourceVersion": "1" } });
                let (code, answer): (u16, Value) = match (mood, path.as_str()) {
                    (SILENT, _) => (503, json!({})),
                    (ABSENT, "/apis") => (200, json!({ "groups": [] })),
                    (_, "/apis") => (200, json!({ "groups": groups })),
                    (_, "/apis/example.com/v1") => (200, json!({ "groupVersion": "example.com/v1", "resources": [resource] })),
                    _ if is_watch => std::future::pending().await,
                    _ => {
                        let items = [object("n", "b"), object("n", "a"), object("other", "c")];
                        (200, json!({ "metadata": { "resourceVersion": "1" }, "items": items }))
                    }
                };
                let body = http_body_util::Full::new(answer.to_string().into_bytes().into());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn things() -> RelatedResource {
        RelatedResource { group: "example.com".into(), resource: "things".into() }
    }

    fn related(mood: &Arc<AtomicUsize>) -> Related {
        let related = Related::new(cluster(mood), Duration::from_millis(5));
        assert!(related.is_ready(), "nothing is asked for yet");
        related.follow(&[things()].into());
        assert!(!related.is_ready());
        related
    }

    fn names(fact: Fact<Found>) -> Vec<String> {
        let Fact::Found(found) = fact else { panic!("found: {fact:?}") };
        assert!(found.served.namespaced);
        found.objects.iter().map(|object| object.root().path(&["metadata", "name"]).unwrap().as_str().unwrap().to_owned()).collect()
    }

    /// Asks until the fact is of this sort. The test's own time limit ends it.
    async fn until(related: &Related, is_it: impl Fn(&Fact<Found>) -> bool) {
        while !is_it(&related.of(&things(), "n")) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_served_is_listed_by_namespace() {
        let related = related(&Arc::new(AtomicUsize::new(SERVED)));
        related.ready().await;
        assert!(related.is_ready());
        assert_eq!(names(related.of(&things(), "n")), ["a", "b"]);
        assert_eq!(names(related.of(&things(), "")), Vec::<String>::new());
        let other = RelatedResource { group: "example.com".into(), resource: "others".into() };
        assert!(matches!(related.of(&other, "n"), Fact::Unknown(reason) if reason == "others are not watched"));
    }

    #[tokio::test]
    async fn a_definition_that_comes_and_goes_is_noticed() {
        let mood = Arc::new(AtomicUsize::new(ABSENT));
        let related = related(&mood);
        related.ready().await;
        assert!(matches!(related.of(&things(), "n"), Fact::Absent));
        mood.store(SERVED, Ordering::SeqCst);
        until(&related, |fact| matches!(fact, Fact::Found(_))).await;
        mood.store(SILENT, Ordering::SeqCst);
        assert_eq!(names(related.of(&things(), "n")), ["a", "b"], "what is known serves on");
        mood.store(ABSENT, Ordering::SeqCst);
        until(&related, |fact| matches!(fact, Fact::Absent)).await;
        assert!(related.is_ready());
    }

    #[tokio::test]
    async fn nobody_answers_is_unknown_and_not_ready() {
        let mood = Arc::new(AtomicUsize::new(SILENT));
        let related = related(&mood);
        until(
            &related,
            |fact| matches!(fact, Fact::Unknown(reason) if reason.starts_with("whether the cluster serves things is not known: ")),
        )
        .await;
        assert!(!related.is_ready());
        mood.store(SERVED, Ordering::SeqCst);
        related.ready().await;
        assert!(related.is_ready());
        related.follow(&BTreeSet::new());
        assert!(matches!(related.of(&things(), "n"), Fact::Unknown(reason) if reason == "things are not watched"));
    }
}
