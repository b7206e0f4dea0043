//! Namespaces, ServiceAccounts and what else is watched: what a request can be judged with, without asking anybody.
//!
//! A cache is ready once its first list is complete and stays ready: when the API server goes away, what was last known serves on
//! (hardening B14), and [`Cache::trouble`] says so.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client};
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use super::kept::{is_metadata_alone, kept};
use super::reason;
use crate::object::Object;

/// Namespace (empty for cluster-scoped objects) and name.
type Name = (String, String);

/// Objects by namespace and name.
type Objects = HashMap<String, BTreeMap<String, Arc<Object>>>;

/// Every object of one resource, as last heard from the API server.
#[derive(Debug)]
pub struct Cache {
    resource: ApiResource,
    objects: RwLock<Objects>,
    ready: Sender<bool>,
    trouble: RwLock<Option<String>>,
}

impl Cache {
    /// An empty cache of a resource. It fills while [`Cache::run`] runs.
    #[must_use]
    pub fn new(resource: ApiResource) -> Self {
        Self { resource, objects: RwLock::default(), ready: channel(false).0, trouble: RwLock::default() }
    }

    /// Lists and watches the resource in all namespaces, for ever: after an error with a growing pause, after a lost position by a
    /// new list. Dropping the future ends it.
    pub async fn run(&self, client: Client) {
        if is_metadata_alone(&self.resource) {
            let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &self.resource);
            let events = watch(api, watcher::Config::default()).default_backoff();
            self.follow(events.map(|event| event.map(whole))).await;
        } else {
            let api: Api<DynamicObject> = Api::all_with(client, &self.resource);
            self.follow(watch(api, watcher::Config::default()).default_backoff()).await;
        }
    }

    /// Applies the events of a watch; returns when it ends.
    async fn follow(&self, events: impl Stream<Item = Result<Event<DynamicObject>, watcher::Error>>) {
        let mut events = std::pin::pin!(events);
        // A new list replaces everything at once, and only when it is complete.
        let mut listed = Objects::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    self.apply(event, &mut listed);
                    self.note(None);
                }
                Err(error) => self.note(Some(complaint(&error))),
            }
        }
    }

    fn apply(&self, event: Event<DynamicObject>, listed: &mut Objects) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => self.insert(&object, listed),
            Event::InitDone => {
                *self.objects.write().unwrap_or_else(PoisonError::into_inner) = std::mem::take(listed);
                self.ready.send_replace(true);
            }
            Event::Apply(object) => self.insert(&object, &mut self.objects.write().unwrap_or_else(PoisonError::into_inner)),
            Event::Delete(object) => {
                let (namespace, name) = name_of(&object);
                let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
                if let Some(here) = objects.get_mut(&namespace) {
                    here.remove(&name);
                    if here.is_empty() {
                        objects.remove(&namespace);
                    }
                }
            }
        }
    }

    fn insert(&self, object: &DynamicObject, objects: &mut Objects) {
        if let Some(kept) = kept(&self.resource, object) {
            let (namespace, name) = name_of(object);
            objects.entry(namespace).or_default().insert(name, Arc::new(kept));
        }
    }

    fn note(&self, trouble: Option<String>) {
        let mut noted = self.trouble.write().unwrap_or_else(PoisonError::into_inner);
        if *noted != trouble {
            match &trouble {
                Some(reason) => tracing::warn!(resource = %self.resource.plural, %reason, "watch interrupted"),
                None => tracing::info!(resource = %self.resource.plural, "watch restored"),
            }
            *noted = trouble;
        }
    }

    /// What is watched.
    #[must_use]
    pub fn resource(&self) -> &ApiResource {
        &self.resource
    }

    /// An object by namespace (empty for a cluster-scoped one) and name.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).get(namespace)?.get(name).cloned()
    }

    /// The objects of no namespace, then those of this one, each in order of name.
    #[must_use]
    pub fn list(&self, namespace: &str) -> Vec<Arc<Object>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        let mut places = vec![""];
        if !namespace.is_empty() {
            places.push(namespace);
        }
        places.into_iter().filter_map(|place| objects.get(place)).flat_map(BTreeMap::values).map(Arc::clone).collect()
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the first list is complete: only then does an absent object mean anything.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits until [`Cache::is_ready`].
    pub async fn ready(&self) {
        let mut ready: Receiver<bool> = self.ready.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Why the watch was interrupted, until the next event arrives: what the cache holds may be old.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An event about metadata as one about an object that has nothing else.
fn whole(event: Event<PartialObjectMeta<DynamicObject>>) -> Event<DynamicObject> {
    let whole = |partial: PartialObjectMeta<DynamicObject>| DynamicObject {
        types: partial.types,
        metadata: partial.metadata,
        data: serde_json::Value::Null,
    };
    match event {
        Event::Apply(object) => Event::Apply(whole(object)),
        Event::Delete(object) => Event::Delete(whole(object)),
        Event::InitApply(object) => Event::InitApply(whole(object)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

fn name_of(object: &DynamicObject) -> Name {
    (object.metadata.namespace.clone().unwrap_or_default(), object.metadata.name.clone().unwrap_or_default())
}

fn complaint(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            reason(error)
        }
        watcher::Error::WatchError(status) => format!("the API server ended the watch with {}: {}", status.code, status.message),
        watcher::Error::NoResourceVersion => "the API server cannot watch this resource".into(),
    }
}

/// The caches that every installation has. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Caches {
    namespaces: Arc<Cache>,
    service_accounts: Arc<Cache>,
}

impl Default for Caches {
    fn default() -> Self {
        Self::of(Cache::new(ApiResource::erase::<Namespace>(&())), Cache::new(ApiResource::erase::<ServiceAccount>(&())))
    }
}

impl Caches {
    pub(super) fn of(namespaces: Cache, service_accounts: Cache) -> Self {
        Self { namespaces: Arc::new(namespaces), service_accounts: Arc::new(service_accounts) }
    }

    /// Fills every cache until the set is dropped.
    #[must_use]
    pub fn run(&self, client: &Client) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for cache in self.all() {
            let (cache, client) = (Arc::clone(cache), client.clone());
            tasks.spawn(async move { cache.run(client).await });
        }
        tasks
    }

    /// Every cache.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Cache>> {
        [&self.namespaces, &self.service_accounts].into_iter()
    }

    /// Whether every first list is complete.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.all().all(|cache| cache.is_ready())
    }

    /// Waits until [`Caches::is_ready`].
    pub async fn ready(&self) {
        for cache in self.all() {
            cache.ready().await;
        }
    }

    /// A Namespace.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<Arc<Object>> {
        self.namespaces.get("", name)
    }

    /// A ServiceAccount.
    #[must_use]
    pub fn service_account(&self, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.service_accounts.get(namespace, name)
    }

    /// The cache of a resource that is always watched.
    #[must_use]
    pub fn get(&self, group: &str, resource: &str) -> Option<&Arc<Cache>> {
        self.all().find(|cache| cache.resource.group == group && cache.resource.plural == resource)
    }
}

#[cfg(test)]
impl Cache {
    /// A cache whose first list is complete and holds these objects.
    pub(super) fn listed(self, objects: Vec<DynamicObject>) -> Self {
        let mut listed = Objects::new();
        for object in objects {
            self.apply(Event::InitApply(object), &mut listed);
        }
        self.apply(Event::InitDone, &mut listed);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(name: &str, label: &str) -> DynamicObject {
        let text = format!(r#"{{"metadata":{{"name":"{name}","labels":{{"l":"{label}"}}}}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn label(cache: &Cache, name: &str) -> Option<String> {
        let object = cache.get("", name)?;
        Some(object.root().path(&["metadata", "labels", "l"])?.as_str()?.to_owned())
    }

    async fn follow(cache: &Cache, events: Vec<Result<Event<DynamicObject>, watcher::Error>>) {
        cache.follow(futures::stream::iter(events)).await;
    }

    #[tokio::test]
    async fn a_cache_is_ready_when_its_first_list_is_complete() {
        let caches = Caches::default();
        let cache = &caches.namespaces;
        follow(cache, vec![Ok(Event::Init), Ok(Event::InitApply(namespace("a", "1")))]).await;
        assert!(!cache.is_ready(), "half a list");
        assert_eq!(cache.len(), 0);
        follow(cache, vec![Ok(Event::Init), Ok(Event::InitApply(namespace("a", "1"))), Ok(Event::InitDone)]).await;
        cache.ready().await;
        assert!(cache.is_ready());
        assert!(!caches.is_ready(), "ServiceAccounts are not listed yet");
        assert_eq!(caches.namespace("a").map(|object| object.root().text("kind").to_owned()), Some("Namespace".to_owned()));
    }

    #[tokio::test]
    async fn a_watch_changes_adds_and_removes() {
        let cache = Cache::new(ApiResource::erase::<Namespace>(&()));
        let first = [namespace("a", "1"), namespace("b", "1")].map(|object| Ok(Event::InitApply(object)));
        follow(&cache, std::iter::once(Ok(Event::Init)).chain(first).chain([Ok(Event::InitDone)]).collect()).await;
        let later =
            vec![Ok(Event::Apply(namespace("a", "2"))), Ok(Event::Apply(namespace("c", "1"))), Ok(Event::Delete(namespace("b", "1")))];
        follow(&cache, later).await;
        assert_eq!((label(&cache, "a"), label(&cache, "b"), label(&cache, "c")), (Some("2".into()), None, Some("1".into())));
        let names: Vec<_> = cache.list("").iter().map(|object| object.root().path(&["metadata", "name"]).unwrap().to_json()).collect();
        assert_eq!(names, [r#""a""#, r#""c""#]);
    }

    #[tokio::test]
    async fn a_new_list_forgets_what_went_meanwhile() {
        let cache = Cache::new(ApiResource::erase::<Namespace>(&()));
        follow(&cache, vec![Ok(Event::Init), Ok(Event::InitApply(namespace("a", "1"))), Ok(Event::InitDone)]).await;
        follow(&cache, vec![Ok(Event::Init), Ok(Event::InitApply(namespace("b", "1")))]).await;
        assert_eq!(label(&cache, "a"), Some("1".into()), "what was known serves until the list is complete");
        follow(&cache, vec![Ok(Event::Init), Ok(Event::InitApply(namespace("b", "1"))), Ok(Event::InitDone)]).await;
        assert_eq!((label(&cache, "a"), label(&cache, "b")), (None, Some("1".into())));
    }

    #[tokio::test]
    async fn an_interrupted_watch_keeps_what_is_known_and_says_why() {
        let cache = Cache::new(ApiResource::erase::<Namespace>(&()));
        follow(&cache, vec![Ok(Event::Init), Ok(Event::InitApply(namespace("a", "1"))), Ok(Event::InitDone)]).await;
        assert_eq!(cache.trouble(), None);
        let status = kube::core::Status::failure("too old", "Gone").with_code(410);
        follow(&cache, vec![Err(watcher::Error::WatchError(status.boxed()))]).await;
        assert_eq!(cache.trouble().unwrap(), "the API server ended the watch with 410: too old");
        assert!(cache.is_ready());
        assert_eq!(label(&cache, "a"), Some("1".into()));
        follow(&cache, vec![Ok(Event::Apply(namespace("a", "2")))]).await;
        assert_eq!(cache.trouble(), None);
    }
}
