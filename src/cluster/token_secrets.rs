//! The names of the Secrets that hold legacy tokens: listed by whoever may, written down for the webhook, which may not (`hardening.md` A38).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams};
use kube::{Api, Client};

use super::snapshot::PAGE;
use super::{ConnectError, reason};
use crate::object::Object;

/// The type of the Secrets that hold legacy tokens.
const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";

/// The key of a `ConfigMap` under which the list stands, and so the name of the file where it is mounted.
const TOKEN_LIST: &str = "token-secrets";

/// The Secrets that hold legacy tokens, as name and type: the API server is asked for their metadata alone, so that no token ever comes
/// here. Returns why they may not be listed, if so.
///
/// # Errors
/// [`ConnectError`] for any other refusal.
pub async fn token_secrets(client: &Client, namespace: Option<&str>, objects: &mut Vec<Object>) -> Result<Option<String>, ConnectError> {
    let secrets: Api<Secret> = namespace.map_or_else(|| Api::all(client.clone()), |namespace| Api::namespaced(client.clone(), namespace));
    let mut page = ListParams { limit: Some(PAGE), ..ListParams::default() }.fields(&format!("type={TOKEN_TYPE}"));
    loop {
        let listed = match secrets.list_metadata(&page).await {
            Ok(listed) => listed,
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(Some(reason(&kube::Error::Api(status)))),
            Err(error) => return Err(ConnectError::Refused { reason: format!("cannot list the metadata of secrets: {}", reason(&error)) }),
        };
        let names = listed.items.iter().map(|secret| (secret.metadata.namespace.as_deref(), secret.metadata.name.as_deref()));
        objects.extend(names.filter_map(|(namespace, name)| token_secret(namespace?, name?)));
        match listed.metadata.continue_ {
            Some(next) if !next.is_empty() => page.continue_token = Some(next),
            _ => return Ok(None),
        }
    }
}

/// Writes a list of them into a `ConfigMap`, for every replica of the webhook to mount; what the list held before is replaced.
///
/// # Errors
/// [`ConnectError`] with the API server's words.
pub async fn publish_token_secrets(client: &Client, namespace: &str, name: &str, list: &str) -> Result<(), ConnectError> {
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some([(TOKEN_LIST.to_owned(), list.to_owned())].into()),
        ..ConfigMap::default()
    };
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let written = maps.patch(name, &PatchParams::apply("doorward-token-secrets").force(), &Patch::Apply(&map)).await;
    let refused =
        |error: kube::Error| ConnectError::Refused { reason: format!("cannot write the ConfigMap {namespace}/{name}: {}", reason(&error)) };
    written.map(|_| ()).map_err(refused)
}

/// The list as `serve --token-secrets` reads it: sorted, so that it changes only when it says something else.
#[must_use]
pub fn token_list(secrets: &[Object]) -> String {
    let entry = |secret: &Object| {
        let metadata = secret.root().get("metadata")?;
        Some(format!("{}/{}\n", metadata.text("namespace"), metadata.text("name")))
    };
    let entries: BTreeSet<String> = secrets.iter().filter_map(entry).collect();
    let header = "# Secrets that hold legacy ServiceAccount tokens, by name; written by `doorward token-secrets`\n".to_owned();
    entries.into_iter().fold(header, |list, entry| list + &entry)
}

fn token_secret(namespace: &str, name: &str) -> Option<Object> {
    let metadata = serde_json::json!({ "name": name, "namespace": namespace });
    Object::from_serialize(&serde_json::json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": TOKEN_TYPE })).ok()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// An API server with one token Secret; what it was asked is written down.
    fn cluster(code: u16, asked: &Arc<Mutex<Vec<(String, String)>>>) -> Client {
        let asked = Arc::clone(asked);
        let service = tower::service_fn(move |request: Request<Body>| {
            let accept = request.headers().get("accept").and_then(|accept| accept.to_str().ok()).unwrap_or_default().to_owned();
            asked.lock().unwrap().push((request.uri().to_string(), accept));
            let is_map = request.uri().path().contains("/configmaps/");
            async move {
                let answer = if code == 200 && is_map {
                    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "doorward-token-secrets" } })
                } else if code == 200 {
                    json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {}, "items": [{
                        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": { "name": "robot-old", "namespace": "payments" },
                    }] })
                } else {
                    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": "secrets is forbidden", "reason": "Forbidden" })
                };
                let answer = http_body_util::Full::new(answer.to_string().into_bytes().into());
                Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn hardening_a38_token_secrets_are_asked_for_by_type_and_metadata_alone() {
        let (asked, mut objects) = (Arc::default(), Vec::new());
        assert_eq!(token_secrets(&cluster(200, &asked), None, &mut objects).await.unwrap(), None);
        let found: Vec<String> = objects.iter().map(|object| object.root().to_json()).collect();
        let expected = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"robot-old","namespace":"payments"},"type":"kubernetes.io/service-account-token"}"#;
        assert_eq!(found, [expected]);
        assert_eq!(token_list(&objects).lines().skip(1).collect::<Vec<_>>(), ["payments/robot-old"]);
        let asked = asked.lock().unwrap();
        let [(uri, accept)] = &asked[..] else { panic!("{asked:?}") };
        assert!(uri.starts_with("/api/v1/secrets?") && uri.contains("fieldSelector=type%3Dkubernetes.io%2Fservice-account-token"), "{uri}");
        assert!(accept.contains("as=PartialObjectMetadataList"), "{accept}");
    }

    #[tokio::test]
    async fn hardening_a38_who_may_not_list_them_does_not_know_them() {
        let (asked, mut objects) = (Arc::default(), Vec::new());
        let reason = token_secrets(&cluster(403, &asked), Some("payments"), &mut objects).await.unwrap();
        assert!(reason.is_some_and(|reason| reason.contains("secrets is forbidden")) && objects.is_empty());
        assert!(asked.lock().unwrap()[0].0.starts_with("/api/v1/namespaces/payments/secrets?"));
        let error = token_secrets(&cluster(500, &asked), None, &mut objects).await.unwrap_err();
        assert!(error.to_string().contains("cannot list the metadata of secrets"), "{error}");
    }

    #[tokio::test]
    async fn the_list_is_applied_whole_to_a_config_map() {
        let asked = Arc::default();
        publish_token_secrets(&cluster(200, &asked), "doorward", "doorward-token-secrets", "a/b\n").await.unwrap();
        let asked = asked.lock().unwrap();
        let uri = &asked[0].0;
        assert!(uri.starts_with("/api/v1/namespaces/doorward/configmaps/doorward-token-secrets?"), "{uri}");
        assert!(uri.contains("force=true") && uri.contains("fieldManager=doorward-token-secrets"), "{uri}");
    }
}
