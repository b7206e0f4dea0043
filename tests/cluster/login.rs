//! A real agent logs in: what the injection adds is started as a kubelet would start it, against a real OpenBao server that asks the API
//! server who is there. The agent, not a model of it, says what a configuration means.
//!
//! - `forms`: agents that are asked for, configured or placed otherwise
//! - `attacks`: what an author tries to make of an agent

mod attacks;
mod forms;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::apart::Apart;
use crate::client::{Cluster, path_of};
use crate::controlplane::shared;
use crate::deadline::until;
use crate::door::cluster;
use crate::injected::names;
use crate::kept::Kept;
use crate::kubelet;
use crate::namespaces::Namespace;
use crate::objects::{SERVICE_ACCOUNT, service_account, spec_with_automount_unset, with};
use crate::openbao::{AUTH_MOUNT, OpenBao, openbao};
use crate::sandbox::Sandbox;

/// What a workload that wants secrets asks for.
const ASKS: &[&str] = &["automount-off", "vault-token", "vault-agent"];

/// The annotation that says which agents there are.
const MODE: &str = "doorward.dev/vault-agent-mode";

/// Where secrets are rendered.
const SECRETS: &str = "/vault/secrets";

/// What the agent reads.
const TOKEN: &str = "/var/run/secrets/vault/token";
const CONFIG: &str = "/etc/vault/config.hcl";

/// The annotation that asks for a file of this name.
fn template_key(file: &str) -> String {
    format!("doorward.dev/vault-template-{file}")
}

/// A namespace whose workloads may log in.
struct Scene {
    namespace: Namespace,
    openbao: &'static OpenBao,
    kubelet: Cluster,
}

impl Scene {
    /// `role` are further fields of the role of ServiceAccount `app`.
    async fn set(hint: &str, role: Value) -> Self {
        Self::of(Namespace::make(cluster().await, hint, ASKS).await, role).await
    }

    /// The same at a door with settings of its own, which must outlive it.
    async fn apart(name: &'static str, change: impl FnOnce(&mut Value)) -> (Self, Apart) {
        let (namespace, door) = Apart::open(name, ASKS, "restricted", change).await;
        (Self::of(namespace, json!({})).await, door)
    }

    async fn of(namespace: Namespace, role: Value) -> Self {
        static NODE: OnceCell<()> = OnceCell::const_new();
        let openbao = openbao().await;
        NODE.get_or_init(|| async { kubelet::register(&cluster().await).await }).await;
        openbao.make_role(AUTH_MOUNT, &namespace.name, SERVICE_ACCOUNT, role).await;
        openbao.store(&format!("{}/db", namespace.name), "first").await;
        let kubelet = shared().cluster_as(kubelet::USER, kubelet::GROUPS).await;
        Self { namespace, openbao, kubelet }
    }

    /// The template that renders the secret of this namespace.
    fn template(&self) -> String {
        format!("{{{{ with secret \"kv/data/{}/db\" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}", self.namespace.name)
    }

    fn authored(&self, name: &str, annotations: Value) -> Value {
        let mut authored = self.namespace.pod(name, with(spec_with_automount_unset(), "nodeName", json!(kubelet::NODE)));
        authored["metadata"]["annotations"] = annotations;
        authored
    }

    /// A pod, through the webhook, with its volumes mounted.
    async fn pod(&self, name: &str, annotations: Value) -> (Value, Sandbox) {
        let pod = self.namespace.cluster.create(&self.authored(name, annotations)).await.object();
        let sandbox = Sandbox::prepare(&self.kubelet, &pod).await;
        (pod, sandbox)
    }

    fn role(&self) -> String {
        format!("{}.{SERVICE_ACCOUNT}", self.namespace.name)
    }

    /// The token for Vault that the kubelet mounts into a pod.
    async fn mounted(&self, pod: &Value) -> String {
        let [token] = &kubelet::tokens(&self.kubelet, pod).await[..] else { panic!("one token") };
        token.token.clone()
    }

    /// A token for the API server, as `kubectl create token` gets it.
    async fn api_token(&self) -> String {
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": { "expirationSeconds": 600 } });
        let path = self.namespace.path("v1", &format!("serviceaccounts/{SERVICE_ACCOUNT}/token"));
        self.namespace.cluster.post(&path, &request).await.object()["status"]["token"].as_str().expect("a token").to_owned()
    }
}

/// Waits until a process that goes on has written this.
async fn written(agent: &Kept, text: &str) {
    until(text, || async {
        let log = agent.log();
        assert!(agent.runs(), "the agent ended: {log}");
        if log.contains(text) { Ok(()) } else { Err(log) }
    })
    .await;
}

/// The agent of a Job logs in as the workload, renders what its templates say and nothing else, and ends by itself.
#[tokio::test]
async fn the_first_agent_renders_and_ends() {
    let scene = Scene::set("login", json!({})).await;
    let annotations = json!({ template_key("db.env"): scene.template(), MODE: "init" });
    let (pod, sandbox) = scene.pod("once", annotations).await;
    assert_eq!(names(&pod["spec"]["initContainers"]), ["vault-agent-init"]);
    let (status, log) = sandbox.start("vault-agent-init").ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(sandbox.files(SECRETS), ["db.env"], "no token is left for the application");
    assert_eq!(sandbox.read("/vault/secrets/db.env").as_deref(), Some("first"));
}

/// The sidecar finds the first agent's files, renews its token, logs in again when that cannot be renewed any longer, with the token that
/// the kubelet has put there meanwhile, and renders what has changed.
#[tokio::test]
async fn the_sidecar_renews_and_renders_again() {
    let scene = Scene::set("sidecar", json!({ "token_ttl": "2s", "token_max_ttl": "5s" })).await;
    let (pod, sandbox) = scene.pod("stays", json!({ template_key("db.env"): scene.template() })).await;
    assert_eq!(names(&pod["spec"]["initContainers"]), ["vault-agent-init", "vault-agent"]);
    let (status, log) = sandbox.start("vault-agent-init").ended().await;
    assert_eq!(status.code(), Some(0), "{log}");

    let agent = sandbox.start("vault-agent");
    written(&agent, "renewed auth token").await;
    scene.openbao.store(&format!("{}/db", scene.namespace.name), "second").await;
    sandbox.replace(TOKEN, &scene.mounted(&pod).await);
    until("the second secret to be rendered", || async {
        assert!(agent.runs(), "the agent ended: {}", agent.log());
        let read = sandbox.read("/vault/secrets/db.env");
        if read.as_deref() == Some("second") { Ok(()) } else { Err(format!("{read:?}: {}", agent.log())) }
    })
    .await;
    assert!(agent.log().matches("authentication successful").count() >= 2, "{}", agent.log());
    assert_eq!(sandbox.files(SECRETS), ["db.env"]);
}

/// Without a template there is a token sink; with one, only for who asks.
#[tokio::test]
async fn the_vault_token_is_kept_for_who_asks() {
    let scene = Scene::set("sink", json!({})).await;
    let sink = json!({ template_key("db"): scene.template(), "doorward.dev/vault-token-sink": "true" });
    for (name, annotations, files) in [("bare", json!({}), &[".vault-token"][..]), ("both", sink, &[".vault-token", "db"])] {
        let (_, sandbox) = scene.pod(name, annotations).await;
        let (status, log) = sandbox.start("vault-agent-init").ended().await;
        assert_eq!(status.code(), Some(0), "{log}");
        assert_eq!(sandbox.files(SECRETS), files);
        let token = sandbox.read("/vault/secrets/.vault-token").unwrap();
        assert_eq!(sandbox.mode("/vault/secrets/.vault-token"), 0o640);
        let holder = scene.openbao.who_is(&token).await.unwrap();
        assert_eq!(holder["meta"]["role"], scene.role());
        assert_eq!(holder["meta"]["service_account_namespace"], scene.namespace.name);
        assert_eq!(holder["meta"]["service_account_name"], SERVICE_ACCOUNT);
    }
}

/// The token is what lets the agent in: with another one it is refused, by the server's word, and with its own it gets in at once.
#[tokio::test]
async fn another_token_is_refused() {
    let scene = Scene::set("refused", json!({})).await;
    let (pod, sandbox) = scene.pod("own", json!({ template_key("db"): scene.template() })).await;
    let own = scene.mounted(&pod).await;
    let auth = scene.openbao.log_in(AUTH_MOUNT, &scene.role(), &own).await.unwrap();
    assert_eq!(auth["metadata"]["service_account_name"], SERVICE_ACCOUNT);

    scene.namespace.cluster.create(&service_account(&scene.namespace.name, "other")).await.object();
    let mut other = scene.authored("other", json!({}));
    other["spec"]["serviceAccountName"] = json!("other");
    let other = scene.namespace.cluster.create(&other).await.object();
    let gone = scene.namespace.cluster.create(&scene.authored("gone", json!({}))).await.object();
    let orphaned = scene.mounted(&gone).await;
    scene.namespace.cluster.delete(&format!("{}?gracePeriodSeconds=0", path_of(&gone))).await.object();

    for (whose, token, reason) in [
        (
            "for the API server",
            scene.api_token().await,
            "invalid audience (aud) claim: audience claim does not match any expected audience",
        ),
        ("of another ServiceAccount", scene.mounted(&other).await, "service account name not authorized"),
        ("of a pod that is gone", orphaned, "permission denied"),
        ("that has expired", expired(&own), "token is expired"),
    ] {
        let refused = scene.openbao.log_in(AUTH_MOUNT, &scene.role(), &token).await.unwrap_err().0;
        assert!(refused.contains("Code: 403") && refused.contains(reason), "a token {whose}: {refused}");
        sandbox.replace(TOKEN, &token);
        let agent = sandbox.start("vault-agent-init");
        written(&agent, "error authenticating").await;
        assert!(agent.log().contains(reason), "a token {whose}: {}", agent.log());
        assert_eq!(sandbox.files(SECRETS), [""; 0], "a token {whose}");
        sandbox.replace(TOKEN, &own);
        let (status, log) = agent.ended().await;
        assert_eq!((status.code(), sandbox.read("/vault/secrets/db").as_deref()), (Some(0), Some("first")), "{log}");
        sandbox.clear(SECRETS);
    }
}

/// A server without a reviewer's token asks the API server with the client's own, which for audience `vault` alone is refused there: the
/// one mistake in setting up a server that shows at the first login only.
#[tokio::test]
async fn a_server_needs_a_reviewers_token() {
    const ALONE: &str = "auth/kubernetes-alone";
    let scene = Scene::set("alone", json!({})).await;
    scene.openbao.make_mount(ALONE, json!({})).await;
    scene.openbao.make_role(ALONE, &scene.namespace.name, SERVICE_ACCOUNT, json!({})).await;
    let (pod, _) = scene.pod("alone", json!({})).await;
    let token = scene.mounted(&pod).await;
    let refused = scene.openbao.log_in(ALONE, &scene.role(), &token).await.unwrap_err().0;
    assert!(refused.contains("Code: 403") && refused.contains("permission denied"), "{refused}");
    assert_eq!(scene.openbao.log_in(AUTH_MOUNT, &scene.role(), &token).await.unwrap()["metadata"]["role"], scene.role());
}

/// A token as it was, but made and ended an hour before, signed with the control plane's own key.
fn expired(token: &str) -> String {
    use base64::Engine as _;
    use rustls_pki_types::pem::PemObject as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let mut claims = kubelet::claims(token);
    for claim in ["iat", "nbf", "exp"] {
        claims[claim] = json!(claims[claim].as_i64().unwrap() - 3600);
    }
    let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(shared().key("sa.key").as_bytes()).unwrap();
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let signer = key.choose_scheme(&[rustls::SignatureScheme::RSA_PKCS1_SHA256]).unwrap();
    let signed = format!("{}.{}", token.split('.').next().unwrap(), encode(claims.to_string().as_bytes()));
    let signature = signer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", encode(&signature))
}
