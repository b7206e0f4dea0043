//! A real OpenBao server on loopback, set up as an operator would: it asks the shared control plane who a login is, by a reviewer's own
//! token.
//!
//! It runs in development mode (in memory, unsealed, a root token) beside the door and the control plane, and serves TLS with a certificate
//! of the run's own authority. `openbao.sh` fetches the program.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::client::Cluster;
use crate::controlplane::{directory, shared};
use crate::deadline::until;
use crate::kept::Kept;
use crate::{certificates, objects};

/// The auth mount of the test's cluster, `prod`.
pub(crate) const AUTH_MOUNT: &str = "auth/kubernetes-prod";

/// Where the agent's image has the authority's certificate.
pub(crate) const CA_FILE: &str = "/etc/ssl/openbao-ca.pem";

/// The root token. It is worth nothing outside of the run.
const ROOT: &str = "root-of-this-run";

/// The namespace and the ServiceAccount that may ask the API server who a token's holder is.
const REVIEWER: &str = "openbao";

/// The server; it ends with this process.
pub(crate) struct OpenBao {
    server: Kept,
    ca_file: PathBuf,
}

/// What the command line of OpenBao answered.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

/// The settings by which doors inject agents for this server. They hold whether or not it runs.
pub(crate) fn settings() -> Value {
    let agent = json!({ "image": "quay.io/openbao/openbao:2.7.2", "command": "bao" });
    json!({ "address": format!("https://{}", address()), "caFile": CA_FILE, "agent": agent })
}

/// Its own address for each run: on Linux all of 127/8 is this machine, so that the port is nobody else's.
fn address() -> SocketAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(127, 64 + high, middle, low), 8200))
}

/// The server, started and set up once.
pub(crate) async fn openbao() -> &'static OpenBao {
    static SERVER: OnceCell<OpenBao> = OnceCell::const_new();
    SERVER
        .get_or_init(|| async {
            let cluster = crate::door::cluster().await;
            let server = OpenBao::start().await;
            server.trust(&cluster).await;
            server
        })
        .await
}

impl OpenBao {
    async fn start() -> Self {
        let directory = directory("openbao");
        let address = address();
        let ip = address.ip().to_string();
        let files = certificates::write(&directory, &[&ip]);
        let ca_file = directory.join("ca.pem");
        std::fs::write(&ca_file, certificates::authority().bundle_pem()).expect("the test's directory is writable");
        let listener = json!({
            "address": address.to_string(), "cluster_address": format!("{ip}:8201"),
            "tls_cert_file": files.certificate, "tls_key_file": files.key,
        });
        let config = directory.join("server.json");
        std::fs::write(&config, json!({ "listener": [{ "tcp": listener }] }).to_string()).expect("the test's directory is writable");
        let program = program();
        let words = [
            // The development mode's own listener, without TLS, stands aside.
            program.as_os_str(),
            "server".as_ref(),
            "-dev".as_ref(),
            "-dev-no-store-token".as_ref(),
            format!("-dev-root-token-id={ROOT}").as_ref(),
            format!("-dev-listen-address={ip}:8300").as_ref(),
            format!("-config={}", config.display()).as_ref(),
        ]
        .map(std::ffi::OsStr::to_owned);
        let server = Self { server: Kept::start(&words, &directory.join("log")), ca_file };
        until("OpenBao to answer", || async {
            assert!(server.server.runs(), "OpenBao ended: {}", server.server.log());
            server.run(&["read", "sys/health"], None).await.map_err(|refused| refused.0)
        })
        .await;
        server
    }

    /// Lets logins from the control plane in, and fills the store: a login is reviewed with a token of the reviewer's own, since a client's
    /// token for audience `vault` cannot ask the API server.
    async fn trust(&self, cluster: &Cluster) {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": REVIEWER } });
        cluster.create(&namespace).await.object();
        cluster.create(&objects::service_account(REVIEWER, REVIEWER)).await.object();
        let annotations = json!({
            "doorward.dev/owner": "the tests",
            "doorward.dev/justification": "OpenBao asks the API server to review the tokens of logins",
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": "openbao-reviewer", "annotations": annotations },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator" },
            "subjects": [{ "kind": "ServiceAccount", "namespace": REVIEWER, "name": REVIEWER }],
        });
        cluster.create(&binding).await.object();
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": { "expirationSeconds": 3600 } });
        let path = format!("/api/v1/namespaces/{REVIEWER}/serviceaccounts/{REVIEWER}/token");
        let answer = cluster.post(&path, &request).await.object();

        self.make_mount(AUTH_MOUNT, json!({ "token_reviewer_jwt": answer["status"]["token"] })).await;
        self.must(&["secrets", "enable", "-path=kv", "kv-v2"]).await;
    }

    /// Makes an auth mount for the shared control plane. `more` are further fields of its configuration.
    pub(crate) async fn make_mount(&self, mount: &str, more: Value) {
        let name = mount.strip_prefix("auth/").expect("an auth mount");
        self.must(&["auth", "enable", &format!("-path={name}"), "kubernetes"]).await;
        let config =
            json!({ "kubernetes_host": shared().server(), "kubernetes_ca_cert": shared().key("ca.crt"), "disable_local_ca_jwt": true });
        self.write(&format!("{mount}/config"), &with_all(config, more)).await.expect("the auth method is set up");
    }

    /// Makes the role by which a ServiceAccount logs in as itself. It reads what lies below `kv/` under its namespace's name. `more` are
    /// further fields of the role.
    pub(crate) async fn make_role(&self, mount: &str, namespace: &str, service_account: &str, more: Value) {
        let name = format!("{namespace}.{service_account}");
        let policy = format!("path \"kv/data/{namespace}/*\" {{ capabilities = [\"read\"] }}");
        self.write(&format!("sys/policies/acl/{name}"), &json!({ "policy": policy })).await.expect("a policy");
        let role = json!({
            "bound_service_account_names": [service_account], "bound_service_account_namespaces": [namespace],
            "audience": "vault", "token_policies": [name], "token_ttl": "10m",
        });
        self.write(&format!("{mount}/role/{name}"), &with_all(role, more)).await.expect("a role");
    }

    /// Stores a secret with one field, `value`.
    pub(crate) async fn store(&self, path: &str, value: &str) {
        self.write(&format!("kv/data/{path}"), &json!({ "data": { "value": value } })).await.expect("a secret");
    }

    /// Logs in with a token as the agent does; gives the answer's `auth`.
    pub(crate) async fn log_in(&self, mount: &str, role: &str, token: &str) -> Result<Value, Refused> {
        let answer = self.write(&format!("{mount}/login"), &json!({ "role": role, "jwt": token })).await?;
        Ok(answer["auth"].clone())
    }

    /// Reads with a token of the server's.
    pub(crate) async fn who_is(&self, token: &str) -> Result<Value, Refused> {
        self.write("auth/token/lookup", &json!({ "token": token })).await.map(|answer| answer["data"].clone())
    }

    async fn write(&self, path: &str, data: &Value) -> Result<Value, Refused> {
        self.run(&["write", "-format=json", path, "-"], Some(data)).await
    }

    async fn must(&self, arguments: &[&str]) {
        self.run(arguments, None).await.expect("OpenBao does what its root says");
    }

    /// Runs the command line as root.
    async fn run(&self, arguments: &[&str], input: Option<&Value>) -> Result<Value, Refused> {
        let mut command = Command::new(program());
        command.args(arguments).env("BAO_ADDR", format!("https://{}", address())).env("BAO_CACERT", &self.ca_file).env("BAO_TOKEN", ROOT);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.map(Value::to_string).unwrap_or_default();
        let ran = tokio::task::spawn_blocking(move || {
            use std::io::Write as _;
            let mut child = command.spawn().expect("the program runs");
            let _not_read = child.stdin.take().expect("piped").write_all(input.as_bytes());
            child.wait_with_output().expect("the program is our child")
        });
        let output = ran.await.expect("the program ends");
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap_or_default());
        }
        Err(Refused(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

/// A map with the fields of another.
fn with_all(mut map: Value, more: Value) -> Value {
    map.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    map
}

/// The program, fetched if it is missing.
pub(crate) fn program() -> PathBuf {
    static PROGRAM: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let fetch = || {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = top.join("target/openbao/bao");
        if !program.exists() {
            let status = Command::new(top.join("tests/cluster/openbao.sh")).stdout(Stdio::null()).status().expect("openbao.sh runs");
            assert!(status.success(), "tests/cluster/openbao.sh: {status}");
        }
        program
    };
    PROGRAM.get_or_init(fetch).clone()
}
