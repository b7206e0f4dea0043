//! What stands around an object that is judged, as facts: from the caches, or by one live `GET`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::related::Related;
use super::{Caches, Lookups, ObjectKey, ParameterReads};
use crate::object::{Fact, Object};
use crate::policy::{ParameterQuery, RelatedResource, config_maps_resource};

/// The facts that a review is judged with. Cloning shares everything.
#[derive(Clone, Debug)]
pub struct Surroundings {
    caches: Caches,
    related: Related,
    lookups: Lookups,
    parameters: ParameterReads,
}

impl Surroundings {
    /// Facts from caches, and from lookups for what they lack.
    #[must_use]
    pub fn new(caches: Caches, related: Related, lookups: Lookups) -> Self {
        let parameters = ParameterReads::new(&lookups);
        Self { caches, related, lookups, parameters }
    }

    /// The parameters of a native policy.
    pub async fn parameters(&self, query: &ParameterQuery) -> Fact<Vec<Arc<Object>>> {
        self.parameters.get(query).await
    }

    /// Whether every cache is filled. Before that a server says that it is not ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.caches.is_ready() && self.related.is_ready()
    }

    /// Follows the related resources that policies read; those that are always watched need no more.
    pub fn follow(&self, resources: &BTreeSet<RelatedResource>) {
        let is_watched = |resource: &&RelatedResource| self.caches.get(&resource.group, &resource.resource).is_some();
        self.related.follow(&resources.iter().filter(|resource| !is_watched(resource)).cloned().collect());
    }

    /// Waits until what is followed is known.
    pub async fn related_ready(&self) {
        self.related.ready().await;
    }

    /// Whether the cache is complete and holds no such Namespace.
    #[must_use]
    pub fn lacks_namespace(&self, name: &str) -> bool {
        self.caches.is_ready() && self.caches.namespace(name).is_none()
    }

    /// A Namespace. One that was made a moment ago is found by a live `GET`.
    pub async fn namespace(&self, name: &str) -> Fact<Arc<Object>> {
        match self.caches.namespace(name) {
            Some(object) => Fact::Found(object),
            None => self.lookups.get(&ObjectKey::namespace(name)).await,
        }
    }

    /// A ServiceAccount. One that was made a moment ago is found by a live `GET`.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Fact<Arc<Object>> {
        match self.caches.service_account(namespace, name) {
            Some(object) => Fact::Found(object),
            None => self.lookups.get(&ObjectKey::service_account(namespace, name)).await,
        }
    }

    /// The objects of a related resource that are in a namespace or in none, in order of name, and among them those that are asked for
    /// by `names` if they exist: the watch may not have heard of them yet. Nothing but these is asked for: a list would be no bounded
    /// call. Absent if the cluster does not serve the resource; unknown until the first list is complete.
    pub async fn related(&self, resource: &RelatedResource, namespace: &str, names: &BTreeSet<String>) -> Fact<Vec<Arc<Object>>> {
        if let Some(cache) = self.caches.get(&resource.group, &resource.resource) {
            return match (cache.is_ready(), resource.resource.as_str()) {
                (false, name) => Fact::Unknown(format!("{name} are not listed yet")),
                (true, "namespaces") => self.completed(cache.list(""), names, ObjectKey::namespace).await,
                (true, _) => self.completed(cache.list(namespace), names, |name| ObjectKey::service_account(namespace, name)).await,
            };
        }
        if resource == config_maps_resource() && !self.related.follows(resource) {
            return Fact::Found(self.config_maps(namespace, names).await);
        }
        match self.related.of(resource, namespace) {
            Fact::Found(found) => {
                let place = if found.served.namespaced { namespace } else { "" };
                let key =
                    |name: &str| ObjectKey { resource: found.served.resource.clone(), namespace: place.to_owned(), name: name.to_owned() };
                if found.served.namespaced && namespace.is_empty() {
                    return Fact::Found(found.objects);
                }
                self.completed(found.objects.clone(), names, key).await
            }
            Fact::Absent => Fact::Absent,
            Fact::Unknown(reason) => Fact::Unknown(reason),
        }
    }

    /// The `ConfigMaps` of these names that exist. One that cannot be read in time is as good as none: what takes its configuration from it is
    /// then refused.
    async fn config_maps(&self, namespace: &str, names: &BTreeSet<String>) -> Vec<Arc<Object>> {
        let mut found = Vec::new();
        for name in names {
            match self.lookups.get(&ObjectKey::config_map(namespace, name)).await {
                Fact::Found(object) => found.push(object),
                Fact::Absent => {}
                Fact::Unknown(reason) => tracing::warn!(namespace, reason, "a ConfigMap that an agent reads could not be read"),
            }
        }
        found
    }

    /// Asks for the objects that a list lacks.
    async fn completed(
        &self,
        mut objects: Vec<Arc<Object>>,
        names: &BTreeSet<String>,
        key: impl Fn(&str) -> ObjectKey,
    ) -> Fact<Vec<Arc<Object>>> {
        for name in names {
            let is_it = |object: &Arc<Object>| object.root().get("metadata").is_some_and(|metadata| metadata.text("name") == name);
            if !objects.iter().any(is_it) {
                match self.lookups.get(&key(name)).await {
                    Fact::Found(object) => objects.push(object),
                    Fact::Absent => {}
                    Fact::Unknown(reason) => return Fact::Unknown(reason),
                }
            }
        }
        Fact::Found(objects)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use http::{Request, Response};
    use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
    use kube::Client;
    use kube::api::{ApiResource, DynamicObject};
    use kube::client::Body;

    use super::super::{Cache, Limits};
    use super::*;

    fn object(namespace: &str, name: &str) -> DynamicObject {
        serde_json::from_value(serde_json::json!({ "metadata": { "namespace": namespace, "name": name } })).unwrap()
    }

    /// A cluster whose caches know `n/known`; the API server serves `configmaps` with `n/listed`, and answers every `GET` of an object
    /// with the path that was asked for as a name.
    fn surroundings() -> Surroundings {
        let service = tower::service_fn(|request: Request<Body>| async move {
            let is_watch = request.uri().query().unwrap_or_default().contains("watch=true");
            let answer = match request.uri().path() {
                "/api" => serde_json::json!({ "versions": ["v1"], "serverAddressByClientCIDRs": [] }),
                "/api/v1" => {
                    let verbs = serde_json::json!(["get", "list", "watch"]);
                    let resource = serde_json::json!({ "name": "configmaps", "singularName": "configmap", "kind": "ConfigMap", "namespaced": true, "verbs": verbs });
                    serde_json::json!({ "groupVersion": "v1", "resources": [resource] })
                }
                "/api/v1/configmaps" if is_watch => std::future::pending().await,
                "/api/v1/configmaps" => {
                    serde_json::json!({ "metadata": { "resourceVersion": "1" }, "items": [{ "metadata": { "namespace": "n", "name": "listed" } }] })
                }
                path => serde_json::json!({ "metadata": { "name": path } }),
            };
            Ok::<_, Infallible>(Response::new(http_body_util::Full::new(answer.to_string().into_bytes().into())))
        });
        let client = Client::new(service, "default");
        let caches = Caches::of(
            Cache::new(ApiResource::erase::<Namespace>(&())).listed(Vec::new()),
            Cache::new(ApiResource::erase::<ServiceAccount>(&())).listed(vec![object("n", "known"), object("other", "unseen")]),
        );
        let related = Related::new(client.clone(), Duration::from_secs(60));
        Surroundings::new(caches, related, Lookups::new(client, Limits::default()))
    }

    fn name(object: &Arc<Object>) -> String {
        object.root().path(&["metadata", "name"]).unwrap().as_str().unwrap().to_owned()
    }

    fn names(fact: &Fact<Vec<Arc<Object>>>) -> Vec<String> {
        let Fact::Found(objects) = fact else { panic!("found: {fact:?}") };
        objects.iter().map(name).collect()
    }

    fn core(resource: &str) -> RelatedResource {
        RelatedResource { group: String::new(), resource: resource.into() }
    }

    #[tokio::test]
    async fn what_is_cached_is_not_asked_for_and_what_is_not_is() {
        let surroundings = surroundings();
        let name = |fact: Fact<Arc<Object>>| name(&fact.found().unwrap());
        assert_eq!(name(surroundings.service_account("n", "known").await), "known");
        assert_eq!(name(surroundings.service_account("n", "new").await), "/api/v1/namespaces/n/serviceaccounts/new");
        assert_eq!(name(surroundings.namespace("new").await), "/api/v1/namespaces/new");
    }

    /// Nobody follows them for their own sake: only those that are asked for are read.
    #[tokio::test]
    async fn config_maps_are_read_by_name() {
        let surroundings = surroundings();
        let asked = BTreeSet::from(["one".to_owned(), "../secrets/x".to_owned()]);
        let found = surroundings.related(&core("configmaps"), "n", &asked).await;
        assert_eq!(names(&found), ["/api/v1/namespaces/n/configmaps/one"]);
    }

    #[tokio::test]
    async fn related_objects_are_those_of_the_namespace_and_a_new_one_is_asked_for_by_name() {
        let surroundings = surroundings();
        let wanted: BTreeSet<RelatedResource> = [core("configmaps"), core("serviceaccounts")].into();
        surroundings.follow(&wanted);
        assert!(!surroundings.is_ready());
        surroundings.related_ready().await;
        assert!(surroundings.is_ready());
        let none = BTreeSet::new();
        assert_eq!(names(&surroundings.related(&core("serviceaccounts"), "n", &none).await), ["known"]);
        assert_eq!(names(&surroundings.related(&core("configmaps"), "n", &none).await), ["listed"]);
        let new = BTreeSet::from(["listed".to_owned(), "new".to_owned()]);
        let found = surroundings.related(&core("configmaps"), "n", &new).await;
        assert_eq!(names(&found), ["listed", "/api/v1/namespaces/n/configmaps/new"]);
        assert!(matches!(surroundings.related(&core("pods"), "n", &none).await, Fact::Unknown(reason) if reason == "pods are not watched"));
    }
}
