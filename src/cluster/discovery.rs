//! Which resources the cluster serves: policies name groups and resources, a watch needs version and kind.

use kube::api::ApiResource;
use kube::discovery::Scope;
use kube::error::DiscoveryError;
use kube::{Client, discovery};

use super::reason;
use crate::object::Fact;
use crate::policy::Release;

/// A resource as the cluster serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its version and kind.
    pub resource: ApiResource,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

/// The resource of a group as the cluster serves it, in the version that the API server prefers. Absent means that its definition is
/// not installed, so that no object of it exists; do not watch it then.
pub async fn served(client: &Client, group: &str, resource: &str) -> Fact<Served> {
    match discovery::group(client, group).await {
        Ok(served) => match served.recommended_resources().into_iter().find(|(found, _)| found.plural == resource) {
            Some((resource, capabilities)) => Fact::Found(Served { resource, namespaced: capabilities.scope == Scope::Namespaced }),
            None => Fact::Absent,
        },
        Err(kube::Error::Discovery(DiscoveryError::MissingApiGroup(_) | DiscoveryError::EmptyApiGroup(_))) => Fact::Absent,
        Err(error) => Fact::Unknown(reason(&error)),
    }
}

/// The release of the API server.
///
/// # Errors
/// What went wrong, in words.
pub async fn release(client: &Client) -> Result<Release, String> {
    let told = client.apiserver_version().await.map_err(|error| reason(&error))?;
    release_of(&told.major, &told.minor)
}

/// Some clouds write a sign behind the number: `1` and `29+`.
fn release_of(major: &str, minor: &str) -> Result<Release, String> {
    format!("{major}.{}", minor.trim_end_matches(|sign: char| !sign.is_ascii_digit())).parse()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// An API server that serves one custom resource; `code` is what it answers with.
    fn cluster(code: u16) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| async move {
            let answer = match request.uri().path() {
                "/apis" => {
                    let version = json!({ "groupVersion": "spire.spiffe.io/v1alpha1", "version": "v1alpha1" });
                    json!({ "groups": [{ "name": "spire.spiffe.io", "versions": [version], "preferredVersion": version }] })
                }
                _ => json!({ "groupVersion": "spire.spiffe.io/v1alpha1", "resources": [
                    { "name": "clusterspiffeids", "singularName": "clusterspiffeid", "kind": "ClusterSPIFFEID", "namespaced": false, "verbs": ["list", "watch"] },
                ]}),
            };
            let answer = http_body_util::Full::new(answer.to_string().into_bytes().into());
            Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn a_resource_is_found_with_its_version_and_kind() {
        let Fact::Found(found) = served(&cluster(200), "spire.spiffe.io", "clusterspiffeids").await else { panic!("found") };
        let resource = &found.resource;
        assert_eq!((resource.api_version.as_str(), resource.kind.as_str()), ("spire.spiffe.io/v1alpha1", "ClusterSPIFFEID"));
        assert!(!found.namespaced);
    }

    #[test]
    fn a_release_is_read_as_clouds_write_it() {
        for (major, minor, expected) in [("1", "37", Some("1.37")), ("1", "28+", Some("1.28")), ("1", "", None)] {
            assert_eq!(release_of(major, minor).ok().map(|release| release.to_string()).as_deref(), expected, "{major}.{minor}");
        }
    }

    #[tokio::test]
    async fn what_is_not_installed_is_absent_and_a_silent_server_is_not() {
        let client = cluster(200);
        assert_eq!(served(&client, "spire.spiffe.io", "clusterstaticentries").await, Fact::Absent);
        assert_eq!(served(&client, "tekton.dev", "tasks").await, Fact::Absent);
        let answer = served(&cluster(503), "spire.spiffe.io", "clusterspiffeids").await;
        assert_eq!(answer, Fact::Unknown("the API server answered with an error that is no Status".into()));
    }
}
