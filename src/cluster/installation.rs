//! The webhook configurations in the cluster: applied whole under one field manager, then read back.
//!
//! What is read back must be what was applied, and nothing beside it: a second writer (a delivery tool that heals drift, a platform's
//! enforcer) would otherwise open the door or close it for everybody without a word (hardening B12).

use std::fmt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

use super::reason;
use crate::admission::CONFIGURATION_NAME;

/// The manager of every field that Doorward applies.
pub const FIELD_MANAGER: &str = "doorward";

/// Why the configurations are not in force.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// The API server does not answer, or refuses.
    #[error("cannot {verb} the {kind} `{CONFIGURATION_NAME}`: {reason}")]
    Refused {
        /// What was tried.
        verb: &'static str,
        /// The configuration's kind.
        kind: &'static str,
        /// What the API server said.
        reason: String,
    },
    /// What is in force differs from what was applied.
    #[error("the {kind} `{CONFIGURATION_NAME}` is not what was applied: {difference}; find the other writer among its managed fields")]
    NotKept {
        /// The configuration's kind.
        kind: &'static str,
        /// The first difference, as a field path.
        difference: String,
    },
    /// The bundle's file cannot be used.
    #[error("cannot use `{}` as a CA bundle: {reason}", file.display())]
    Bundle {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// What applying one configuration did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The configuration's kind.
    pub kind: &'static str,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was none.
    Created,
    /// It was so already.
    Unchanged,
    /// Entries came, changed or went: `+ name`, `~ name: field, field`, `- name`, in that order and by name.
    Changed(Vec<String>),
}

impl fmt::Display for Applied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {CONFIGURATION_NAME} ", self.kind)?;
        match &self.outcome {
            Outcome::Created => formatter.write_str("created"),
            Outcome::Unchanged => formatter.write_str("unchanged"),
            Outcome::Changed(entries) => write!(formatter, "changed: {}", entries.join("; ")),
        }
    }
}

/// Applies both configurations by server-side apply, taking over every field, and reads both back.
///
/// The validating one goes first: a moment with judgement and no injection refuses, a moment with injection and no judgement would
/// let pass.
///
/// # Errors
/// [`InstallationError`]; the first configuration may be in force when the second fails. Running it again is safe.
pub async fn apply(client: &Client, mutating: &Value, validating: &Value) -> Result<Vec<Applied>, InstallationError> {
    let mut applied = Vec::new();
    for (kind, resource, desired) in [(VALIDATING, validating_resource(), validating), (MUTATING, mutating_resource(), mutating)] {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let refused = |verb| move |error: kube::Error| InstallationError::Refused { verb, kind, reason: reason(&error) };
        let before = api.get_opt(CONFIGURATION_NAME).await.map_err(refused("read"))?;
        let params = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(CONFIGURATION_NAME, &params, &Patch::Apply(desired)).await.map_err(refused("apply"))?;
        let after = api.get(CONFIGURATION_NAME).await.map_err(refused("read back"))?;
        if let Some(difference) = difference(desired, &after.data) {
            return Err(InstallationError::NotKept { kind, difference });
        }
        let outcome = before.map_or(Outcome::Created, |before| outcome(&before.data, &after.data));
        applied.push(Applied { kind, outcome });
    }
    Ok(applied)
}

/// Removes both configurations; tells which were there. The mutating one goes first, so that nothing is injected unjudged.
///
/// # Errors
/// [`InstallationError::Refused`].
pub async fn remove(client: &Client) -> Result<Vec<&'static str>, InstallationError> {
    let mut removed = Vec::new();
    for (kind, resource) in [(MUTATING, mutating_resource()), (VALIDATING, validating_resource())] {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        match api.delete(CONFIGURATION_NAME, &DeleteParams::default()).await {
            Ok(_) => removed.push(kind),
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(InstallationError::Refused { verb: "remove", kind, reason: reason(&error) }),
        }
    }
    Ok(removed)
}

/// Reads a CA bundle from a file and makes sure that it holds certificates and nothing else: a private key in it would be published.
///
/// # Errors
/// [`InstallationError::Bundle`].
pub fn bundle_from_file(file: &Path) -> Result<String, InstallationError> {
    let refused = |reason: String| InstallationError::Bundle { file: file.into(), reason };
    let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    if text.contains("PRIVATE KEY-----") {
        return Err(refused("it holds a private key; give the certificates alone".into()));
    }
    let mut certificates = 0;
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|error| refused(format!("no PEM: {error}")))?;
        x509_parser::parse_x509_certificate(&certificate)
            .map_err(|_| refused(format!("certificate {} cannot be read", certificates + 1)))?;
        certificates += 1;
    }
    if certificates == 0 { Err(refused("it holds no certificate in PEM".into())) } else { Ok(text) }
}

const MUTATING: &str = "MutatingWebhookConfiguration";
const VALIDATING: &str = "ValidatingWebhookConfiguration";

fn mutating_resource() -> ApiResource {
    ApiResource::erase::<MutatingWebhookConfiguration>(&())
}

fn validating_resource() -> ApiResource {
    ApiResource::erase::<ValidatingWebhookConfiguration>(&())
}

/// The entries of a configuration by name.
fn entries(configuration: &Value) -> std::collections::BTreeMap<&str, &Value> {
    let list = configuration.get("webhooks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|entry| Some((entry.get("name")?.as_str()?, entry))).collect()
}

/// Where what is in force differs from what was applied. Fields that the API server adds to an entry are its defaults; an entry that
/// it has and we do not is another writer's.
fn difference(desired: &Value, found: &Value) -> Option<String> {
    let (desired, found) = (entries(desired), entries(found));
    if let Some(foreign) = found.keys().find(|name| !desired.contains_key(*name)) {
        return Some(format!("webhooks[{foreign}] is somebody else's"));
    }
    desired.iter().find_map(|(name, entry)| match found.get(name) {
        None => Some(format!("webhooks[{name}] is missing")),
        Some(twin) => {
            fields(entry).find(|(field, value)| !holds(twin.get(field), value)).map(|(field, _)| format!("webhooks[{name}].{field}"))
        }
    })
}

fn fields(entry: &Value) -> impl Iterator<Item = (&str, &Value)> {
    entry.as_object().into_iter().flatten().map(|(field, value)| (field.as_str(), value))
}

/// Whether a value holds everything that was applied; maps may have more.
fn holds(found: Option<&Value>, applied: &Value) -> bool {
    match (found, applied) {
        (Some(Value::Object(found)), Value::Object(applied)) => applied.iter().all(|(key, value)| holds(found.get(key), value)),
        (Some(Value::Array(found)), Value::Array(applied)) => {
            found.len() == applied.len() && found.iter().zip(applied).all(|(found, value)| holds(Some(found), value))
        }
        (Some(found), applied) => found == applied,
        (None, _) => false,
    }
}

fn outcome(before: &Value, after: &Value) -> Outcome {
    let (before, after) = (entries(before), entries(after));
    let mut changes: Vec<String> = after.keys().filter(|name| !before.contains_key(*name)).map(|name| format!("+ {name}")).collect();
    for (name, entry) in &after {
        let Some(old) = before.get(name) else { continue };
        let mut changed: Vec<_> = fields(entry).filter(|(field, value)| old.get(field) != Some(value)).map(|(field, _)| field).collect();
        changed.extend(fields(old).map(|(field, _)| field).filter(|field| entry.get(field).is_none()));
        if !changed.is_empty() {
            changes.push(format!("~ {name}: {}", changed.join(", ")));
        }
    }
    changes.extend(before.keys().filter(|name| !after.contains_key(*name)).map(|name| format!("- {name}")));
    if changes.is_empty() { Outcome::Unchanged } else { Outcome::Changed(changes) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http::{Method, Request, Response};
    use http_body_util::{BodyExt as _, Full};
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::admission::{Coverage, Covered, Installation, OnFailure, Target, configurations};

    /// An API server that stores what is applied, with its defaults, and logs the requests; `meddle` edits what it stores.
    struct Cluster {
        client: Client,
        log: Arc<Mutex<Vec<String>>>,
    }

    fn cluster(meddle: impl Fn(&mut Value) + Clone + Send + 'static) -> Cluster {
        let stored: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let requests = Arc::clone(&log);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (stored, requests, meddle) = (Arc::clone(&stored), Arc::clone(&requests), meddle.clone());
            async move {
                let path = request.uri().path().to_owned();
                let (method, query) = (request.method().clone(), request.uri().query().unwrap_or_default().to_owned());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let mut stored = stored.lock().unwrap();
                let kind = path.split('/').nth(4).unwrap().to_owned();
                requests.lock().unwrap().push(format!("{method} {kind} {query}").trim_end().to_owned());
                if method == Method::PATCH {
                    let mut applied: Value = serde_json::from_slice(&body).unwrap();
                    for entry in applied["webhooks"].as_array_mut().unwrap() {
                        entry["objectSelector"] = json!({});
                    }
                    meddle(&mut applied);
                    stored.insert(kind.clone(), applied);
                }
                let found = if method == Method::DELETE { stored.remove(&kind) } else { stored.get(&kind).cloned() };
                let (code, answer) = match found {
                    Some(found) => (200, found),
                    None => (404, json!({ "kind": "Status", "code": 404, "reason": "NotFound", "message": "x" })),
                };
                let answer = Full::new(answer.to_string().into_bytes().into());
                Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        Cluster { client: Client::new(service, "default"), log }
    }

    fn desired(covered: &[Covered], bundle: &str) -> (Value, Value) {
        let installation = Installation {
            target: Target::Url { base: "https://127.0.0.1:8443".into(), ca_bundle_pem: bundle.into() },
            own_namespace: "doorward".into(),
            bootstrap_namespaces: Vec::new(),
            on_failure: OnFailure::Fail,
        };
        configurations(&installation, &Coverage { covered: covered.iter().cloned().collect(), injects: ["pods"].into() })
    }

    async fn applied(cluster: &Cluster, covered: &[Covered], bundle: &str) -> Vec<Applied> {
        let (mutating, validating) = desired(covered, bundle);
        apply(&cluster.client, &mutating, &validating).await.unwrap()
    }

    #[tokio::test]
    async fn both_are_applied_by_force_and_read_back() {
        let cluster = cluster(|_| {});
        let first = applied(&cluster, &[Covered::new("", "pods")], "A").await;
        let created = |kind| Applied { kind, outcome: Outcome::Created };
        assert_eq!(first, [created(VALIDATING), created(MUTATING)]);
        let log = cluster.log.lock().unwrap().clone();
        assert_eq!(
            log,
            [
                "GET validatingwebhookconfigurations",
                "PATCH validatingwebhookconfigurations &force=true&fieldManager=doorward",
                "GET validatingwebhookconfigurations",
                "GET mutatingwebhookconfigurations",
                "PATCH mutatingwebhookconfigurations &force=true&fieldManager=doorward",
                "GET mutatingwebhookconfigurations",
            ]
        );
    }

    #[tokio::test]
    async fn what_changed_is_told() {
        let cluster = cluster(|_| {});
        let (pods, tasks, roles) =
            (Covered::new("", "pods"), Covered::new("tekton.dev", "tasks"), Covered::new("rbac.authorization.k8s.io", "roles"));
        applied(&cluster, &[pods.clone(), tasks], "A").await;
        let second = applied(&cluster, &[pods.clone(), roles.clone()], "B").await;
        let validating = ["+ grants.guard.doorward.dev", "~ pods.guard.doorward.dev: clientConfig", "- operators.watch.doorward.dev"];
        assert_eq!(second[0].outcome, Outcome::Changed(validating.map(str::to_owned).into()));
        assert_eq!(second[1].outcome, Outcome::Changed(vec!["~ pods.inject.doorward.dev: clientConfig".into()]));
        let third = applied(&cluster, &[pods, roles], "B").await;
        assert_eq!(third.iter().map(|applied| &applied.outcome).collect::<Vec<_>>(), [&Outcome::Unchanged, &Outcome::Unchanged]);
    }

    #[tokio::test]
    async fn another_writer_is_found() {
        let (mutating, validating) = desired(&[Covered::new("", "pods")], "A");
        let stripped = cluster(|configuration| {
            configuration["webhooks"][0]["rules"] = json!([]);
        });
        let error = apply(&stripped.client, &mutating, &validating).await.unwrap_err();
        assert!(
            matches!(&error, InstallationError::NotKept { difference, .. } if difference == "webhooks[pods.guard.doorward.dev].rules"),
            "{error}"
        );
        let joined = cluster(|configuration| configuration["webhooks"].as_array_mut().unwrap().push(json!({ "name": "x.example.com" })));
        let error = apply(&joined.client, &mutating, &validating).await.unwrap_err();
        assert!(
            matches!(&error, InstallationError::NotKept { difference, .. } if difference == "webhooks[x.example.com] is somebody else's"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn removal_takes_both_and_may_be_repeated() {
        let cluster = cluster(|_| {});
        applied(&cluster, &[Covered::new("", "pods")], "A").await;
        assert_eq!(remove(&cluster.client).await.unwrap(), [MUTATING, VALIDATING]);
        assert_eq!(remove(&cluster.client).await.unwrap(), [""; 0]);
    }

    #[test]
    fn a_bundle_is_certificates_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.crt");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            bundle_from_file(&file)
        };
        let authority = crate::cluster::Authority::make(std::time::SystemTime::now()).unwrap();
        assert_eq!(read(authority.bundle_pem()).unwrap(), authority.bundle_pem());
        let reason = |text: &str| match read(text).unwrap_err() {
            InstallationError::Bundle { reason, .. } => reason,
            other => panic!("{other}"),
        };
        assert_eq!(reason("no pem"), "it holds no certificate in PEM");
        assert_eq!(
            reason(&format!("{}{}", authority.bundle_pem(), authority.key_pem())),
            "it holds a private key; give the certificates alone"
        );
        assert_eq!(reason("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "certificate 1 cannot be read");
    }
}
