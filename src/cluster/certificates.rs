//! The authority in a Secret of the cluster: made once, read by every replica.
//!
//! The Secret is of type `kubernetes.io/tls`: `tls.crt` and `tls.key` sign, `ca.crt` is the bundle that callers shall trust. During
//! a change of authority the bundle holds two certificates (`certs/README.md`).

use std::time::SystemTime;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::authority::{Authority, AuthorityError};
use super::reason;

/// The Secret's usual name.
pub const AUTHORITY_SECRET: &str = "doorward-ca";

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const BUNDLE: &str = "ca.crt";

/// Why the authority, or a bundle, cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// There is no such Secret.
    #[error("no Secret `{namespace}/{name}`; make it with `doorward certs init --namespace {namespace} --name {name}`")]
    Missing {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The Secret lacks a key, or the key's value is no text.
    #[error("the Secret `{namespace}/{name}` has no PEM text under `{key}`")]
    Incomplete {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The key that it lacks.
        key: &'static str,
    },
    /// The Secret's content is no authority that can issue now.
    #[error("the Secret `{namespace}/{name}`: {error}")]
    Unusable {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What is wrong.
        error: AuthorityError,
    },
    /// No authority could be made.
    #[error(transparent)]
    Make(#[from] AuthorityError),
    /// The API server does not answer, or refuses.
    #[error("cannot {verb} the Secret `{namespace}/{name}`: {reason}")]
    Refused {
        /// What was tried.
        verb: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What the API server said.
        reason: String,
    },
}

/// The manifest of the Secret that holds an authority: it contains the private key, so it belongs on no disk and in no repository.
#[must_use]
pub fn manifest(authority: &Authority, namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": namespace, "labels": { "app.kubernetes.io/name": "doorward" } },
        "type": "kubernetes.io/tls",
        "stringData": { CERTIFICATE: authority.certificate_pem(), KEY: authority.key_pem(), BUNDLE: authority.bundle_pem() },
    })
}

/// Reads the authority.
///
/// # Errors
/// [`CertificatesError`]; a Secret that cannot issue a leaf at `now` is refused here and not at the first handshake.
pub async fn load(client: &Client, namespace: &str, name: &str, now: SystemTime) -> Result<Authority, CertificatesError> {
    let secret = Secrets { client, namespace, name }.get().await?;
    read(&secret, namespace, name, now)
}

/// Reads the authority, and makes it if there is no such Secret. Of several that try at once one wins, and all read what won.
/// The second value tells whether this call made it.
///
/// # Errors
/// As [`load`].
pub async fn ensure(client: &Client, namespace: &str, name: &str, now: SystemTime) -> Result<(Authority, bool), CertificatesError> {
    let secrets = Secrets { client, namespace, name };
    let made = match secrets.get().await {
        Ok(secret) => return Ok((read(&secret, namespace, name, now)?, false)),
        Err(CertificatesError::Missing { .. }) => secrets.create(&Authority::make(now)?).await?,
        Err(error) => return Err(error),
    };
    Ok((load(client, namespace, name, now).await?, made))
}

/// The bundle of a Secret: its `ca.crt`, as cert-manager and [`ensure`] write it.
///
/// # Errors
/// [`CertificatesError`] if there is none.
pub async fn bundle(client: &Client, namespace: &str, name: &str) -> Result<String, CertificatesError> {
    let secret = Secrets { client, namespace, name }.get().await?;
    text(&secret, BUNDLE).ok_or_else(|| CertificatesError::Incomplete { namespace: namespace.into(), name: name.into(), key: BUNDLE })
}

struct Secrets<'a> {
    client: &'a Client,
    namespace: &'a str,
    name: &'a str,
}

impl Secrets<'_> {
    fn api(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    fn refused(&self, verb: &'static str, error: &kube::Error) -> CertificatesError {
        CertificatesError::Refused { verb, namespace: self.namespace.into(), name: self.name.into(), reason: reason(error) }
    }

    async fn get(&self) -> Result<Secret, CertificatesError> {
        match self.api().get(self.name).await {
            Ok(secret) => Ok(secret),
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                Err(CertificatesError::Missing { namespace: self.namespace.into(), name: self.name.into() })
            }
            Err(error) => Err(self.refused("read", &error)),
        }
    }

    /// Whether the Secret is ours: `false` if somebody else was faster.
    async fn create(&self, authority: &Authority) -> Result<bool, CertificatesError> {
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.name.into()),
                namespace: Some(self.namespace.into()),
                labels: Some([("app.kubernetes.io/name".to_owned(), "doorward".to_owned())].into()),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".into()),
            data: Some(
                [
                    (CERTIFICATE.to_owned(), bytes(authority.certificate_pem())),
                    (KEY.to_owned(), bytes(authority.key_pem())),
                    (BUNDLE.to_owned(), bytes(authority.bundle_pem())),
                ]
                .into(),
            ),
            ..Secret::default()
        };
        match self.api().create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
            Err(error) => Err(self.refused("create", &error)),
        }
    }
}

fn read(secret: &Secret, namespace: &str, name: &str, now: SystemTime) -> Result<Authority, CertificatesError> {
    let part = |key| text(secret, key).ok_or_else(|| CertificatesError::Incomplete { namespace: namespace.into(), name: name.into(), key });
    Authority::load(&part(CERTIFICATE)?, &part(KEY)?, &part(BUNDLE)?, now).map_err(|error| CertificatesError::Unusable {
        namespace: namespace.into(),
        name: name.into(),
        error,
    })
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http::{Method, Request, Response};
    use http_body_util::{BodyExt as _, Full};
    use kube::client::Body;

    use super::*;

    /// An API server with one Secret; `rival` is what somebody else creates in the moment before our own `POST` arrives.
    fn cluster(secret: Option<Value>, rival: Option<Value>) -> Client {
        let (stored, rival) = (Arc::new(Mutex::new(secret)), Arc::new(Mutex::new(rival)));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (stored, rival) = (Arc::clone(&stored), Arc::clone(&rival));
            async move {
                let create = request.method() == Method::POST;
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let mut stored = stored.lock().unwrap();
                if create && let Some(rival) = rival.lock().unwrap().take() {
                    *stored = Some(rival);
                }
                let failure = |code: u16, reason: &str| {
                    (code, json!({ "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason }))
                };
                let (code, answer) = match (create, stored.clone()) {
                    (true, Some(_)) => failure(409, "AlreadyExists"),
                    (true, None) => (201, stored.insert(serde_json::from_slice(&body).unwrap()).clone()),
                    (false, Some(secret)) => (200, secret),
                    (false, None) => failure(404, "NotFound"),
                };
                let answer = Full::new(answer.to_string().into_bytes().into());
                Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn stored(authority: &Authority) -> Value {
        let data: serde_json::Map<_, _> = manifest(authority, "doorward", AUTHORITY_SECRET)["stringData"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (key.clone(), serde_json::to_value(ByteString(value.as_str().unwrap().into())).unwrap()))
            .collect();
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": AUTHORITY_SECRET }, "data": data })
    }

    #[tokio::test]
    async fn an_authority_is_made_once() {
        let (client, now) = (cluster(None, None), SystemTime::now());
        let (first, made) = ensure(&client, "doorward", AUTHORITY_SECRET, now).await.unwrap();
        assert!(made);
        let (second, made) = ensure(&client, "doorward", AUTHORITY_SECRET, now).await.unwrap();
        assert!(!made);
        assert_eq!(first.certificate_pem(), second.certificate_pem());
        assert_eq!(bundle(&client, "doorward", AUTHORITY_SECRET).await.unwrap(), first.bundle_pem());
    }

    #[tokio::test]
    async fn whoever_loses_the_race_reads_what_won() {
        let now = SystemTime::now();
        let winner = Authority::make(now).unwrap();
        let client = cluster(None, Some(stored(&winner)));
        let (read, made) = ensure(&client, "doorward", AUTHORITY_SECRET, now).await.unwrap();
        assert!(!made);
        assert_eq!(read.certificate_pem(), winner.certificate_pem());
    }

    #[tokio::test]
    async fn what_is_missing_is_named_with_its_remedy() {
        let now = SystemTime::now();
        let error = load(&cluster(None, None), "doorward", "x", now).await.unwrap_err();
        assert_eq!(error.to_string(), "no Secret `doorward/x`; make it with `doorward certs init --namespace doorward --name x`");
        let mut secret = stored(&Authority::make(now).unwrap());
        secret["data"].as_object_mut().unwrap().remove(BUNDLE);
        let client = cluster(Some(secret), None);
        let error = load(&client, "doorward", "x", now).await.unwrap_err();
        assert_eq!(error.to_string(), "the Secret `doorward/x` has no PEM text under `ca.crt`");
        assert!(matches!(bundle(&client, "doorward", "x").await.unwrap_err(), CertificatesError::Incomplete { key: BUNDLE, .. }));
    }

    #[tokio::test]
    async fn an_existing_authority_is_never_replaced() {
        let now = SystemTime::now();
        let old = Authority::make(now - super::super::authority::AUTHORITY_LIFE * 2).unwrap();
        let error = ensure(&cluster(Some(stored(&old)), None), "doorward", "x", now).await.unwrap_err();
        assert!(matches!(error, CertificatesError::Unusable { error: AuthorityError::Expired { .. }, .. }), "{error}");
    }
}
