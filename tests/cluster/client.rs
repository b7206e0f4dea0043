//! The API server as plain JSON: objects go in as they are written, answers come back with their code, their status and their warnings.

use std::path::Path;

use doorward::object::resource_of;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

/// A client of the API server, good for the runtime it was made in.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
}

/// What the API server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The HTTP status code.
    pub(crate) code: u16,
    /// The object, or the `Status`.
    pub(crate) body: Value,
    /// The texts of the `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    /// The object; panics with the status if the request failed.
    #[track_caller]
    pub(crate) fn object(self) -> Value {
        assert!((200..300).contains(&self.code), "{}: {}", self.code, self.body["message"]);
        self.body
    }
}

/// A merge patch, a strategic merge patch, and server-side apply.
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";
const JSON: &str = "application/json";

impl Cluster {
    pub(crate) async fn administrator(kubeconfig: &Path) -> Self {
        Self::by(Kubeconfig::read_from(kubeconfig).expect("the control plane wrote it")).await
    }

    pub(crate) async fn acting_as(kubeconfig: &Path, user: &str, groups: &[&str]) -> Self {
        let mut kubeconfig = Kubeconfig::read_from(kubeconfig).expect("the control plane wrote it");
        for entry in &mut kubeconfig.auth_infos {
            let who = entry.auth_info.get_or_insert_default();
            who.impersonate = Some(user.to_owned());
            who.impersonate_groups = Some(groups.iter().map(|group| (*group).to_owned()).collect());
        }
        Self::by(kubeconfig).await
    }

    async fn by(kubeconfig: Kubeconfig) -> Self {
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a usable kubeconfig");
        Self { client: Client::try_from(config).expect("a usable configuration") }
    }

    /// Sends a request; an error is one of the connection, not of the API.
    pub(crate) async fn send(&self, method: Method, path: &str, content: &str, body: Option<&Value>) -> Result<Answer, String> {
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header("content-type", content);
        let request = request.header("accept", JSON).body(Body::from(bytes)).expect("a request");
        let answer = self.client.send(request).await.map_err(|error| format!("{error:?}"))?;
        let code = answer.status().as_u16();
        let texts = answer.headers().get_all("warning").iter().map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned());
        // `299 - "the text"`.
        let warnings = texts.map(|text| text.trim_start_matches("299 - ").trim_matches('"').replace("\\\"", "\"")).collect();
        let bytes = answer.into_body().collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!({ "message": String::from_utf8_lossy(&bytes) }));
        Ok(Answer { code, body, warnings })
    }

    async fn must(&self, method: Method, path: &str, content: &str, body: Option<&Value>) -> Answer {
        let what = format!("{method} {path}");
        self.send(method, path, content, body).await.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Creates an object by its own `apiVersion`, `kind` and namespace.
    pub(crate) async fn create(&self, object: &Value) -> Answer {
        self.must(Method::POST, &collection(object), JSON, Some(object)).await
    }

    /// Creates an object without keeping it.
    pub(crate) async fn try_out(&self, object: &Value) -> Answer {
        self.must(Method::POST, &format!("{}?dryRun=All", collection(object)), JSON, Some(object)).await
    }

    /// Posts to a subresource.
    pub(crate) async fn post(&self, path: &str, object: &Value) -> Answer {
        self.must(Method::POST, path, JSON, Some(object)).await
    }

    pub(crate) async fn patch(&self, path: &str, content: &str, patch: &Value) -> Answer {
        self.must(Method::PATCH, path, content, Some(patch)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.must(Method::GET, path, JSON, None).await
    }

    /// The items of a collection.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let mut list = self.get(path).await.object();
        list["items"].as_array_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.must(Method::DELETE, path, JSON, None).await
    }
}

/// The path of the collection that an object belongs to.
pub(crate) fn collection(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&object["apiVersion"]);
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let namespace = text(&object["metadata"]["namespace"]);
    let namespace = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
    format!("{root}{namespace}/{}", resource_of(&text(&object["kind"])))
}

/// The path of an object.
pub(crate) fn path_of(object: &Value) -> String {
    format!("{}/{}", collection(object), object["metadata"]["name"].as_str().expect("a name"))
}
