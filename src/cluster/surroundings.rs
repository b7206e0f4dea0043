//! What stands around a pod, as facts: from the caches, or by one live `GET`.

use std::sync::Arc;

use super::{Caches, Lookups, ObjectKey, ParameterReads};
use crate::object::{Fact, Object};
use crate::policy::ParameterQuery;

/// The facts that a review is judged with. Cloning shares everything.
#[derive(Clone, Debug)]
pub struct Surroundings {
    caches: Caches,
    lookups: Lookups,
    parameters: ParameterReads,
}

impl Surroundings {
    /// Facts from caches, and from lookups for what they lack.
    #[must_use]
    pub fn new(caches: Caches, lookups: Lookups) -> Self {
        let parameters = ParameterReads::new(&lookups);
        Self { caches, lookups, parameters }
    }

    /// The parameters of a native policy.
    pub async fn parameters(&self, query: &ParameterQuery) -> Fact<Vec<Arc<Object>>> {
        self.parameters.get(query).await
    }

    /// Whether every cache is filled. Before that a server says that it is not ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.caches.is_ready()
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

    /// Every object of a related resource, in order of namespace and name. Never asks: a list would be no bounded call. Unknown until
    /// the first list is complete, and when the resource is not watched.
    #[must_use]
    pub fn related(&self, group: &str, resource: &str) -> Fact<Vec<Arc<Object>>> {
        match self.caches.related(group, resource) {
            Some(cache) if cache.is_ready() => Fact::Found(cache.list()),
            Some(_) => Fact::Unknown(format!("{resource} are not listed yet")),
            None => Fact::Unknown(format!("{resource} are not watched")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
    use kube::Client;
    use kube::api::{ApiResource, DynamicObject};
    use kube::client::Body;
    use kube::core::GroupVersionKind;

    use super::super::{Cache, Limits};
    use super::*;

    fn object(namespace: &str, name: &str) -> DynamicObject {
        serde_json::from_value(serde_json::json!({ "metadata": { "namespace": namespace, "name": name } })).unwrap()
    }

    /// A cluster whose caches know `n/known`; the API server answers every `GET` with the path that was asked for as a name.
    fn surroundings() -> Surroundings {
        let service = tower::service_fn(|request: Request<Body>| async move {
            let answer = serde_json::json!({ "metadata": { "name": request.uri().path() } }).to_string();
            Ok::<_, Infallible>(Response::new(http_body_util::Full::new(answer.into_bytes().into())))
        });
        let spire = |kind| ApiResource::from_gvk(&GroupVersionKind::gvk("spire.spiffe.io", "v1alpha1", kind));
        let caches = Caches::of(
            Cache::new(ApiResource::erase::<Namespace>(&())).listed(Vec::new()),
            Cache::new(ApiResource::erase::<ServiceAccount>(&())).listed(vec![object("n", "known")]),
            vec![
                Cache::new(spire("ClusterSPIFFEID")).listed(vec![object("", "b"), object("", "a")]),
                Cache::new(spire("ClusterStaticEntry")),
            ],
        );
        Surroundings::new(caches, Lookups::new(Client::new(service, "default"), Limits::default()))
    }

    fn name(fact: &Fact<Arc<Object>>) -> &str {
        let Fact::Found(object) = fact else { panic!("found: {fact:?}") };
        object.root().path(&["metadata", "name"]).unwrap().as_str().unwrap()
    }

    #[tokio::test]
    async fn what_is_cached_is_not_asked_for_and_what_is_not_is() {
        let surroundings = surroundings();
        assert_eq!(name(&surroundings.service_account("n", "known").await), "known");
        assert_eq!(name(&surroundings.service_account("n", "new").await), "/api/v1/namespaces/n/serviceaccounts/new");
        assert_eq!(name(&surroundings.namespace("new").await), "/api/v1/namespaces/new");
    }

    #[tokio::test]
    async fn related_objects_are_known_once_they_are_listed() {
        let surroundings = surroundings();
        let Fact::Found(found) = surroundings.related("spire.spiffe.io", "clusterspiffeids") else { panic!("found") };
        let names: Vec<_> = found.iter().map(|object| object.root().path(&["metadata", "name"]).unwrap().to_json()).collect();
        assert_eq!(names, [r#""a""#, r#""b""#]);
        let reason = |group, resource| match surroundings.related(group, resource) {
            Fact::Unknown(reason) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason("spire.spiffe.io", "clusterstaticentries"), "clusterstaticentries are not listed yet");
        assert_eq!(reason("tekton.dev", "tasks"), "tasks are not watched");
        assert!(!surroundings.is_ready());
    }
}
