//! The `doorward` binary as a child process.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::client::Cluster;
use crate::controlplane::{ControlPlane, shared};
use crate::deadline::until_blocking;
use crate::kept::Kept;
use crate::namespaces::MESH_LABEL;
use crate::{certificates, webhooks};

/// A running `doorward serve`. It ends at once when it is dropped, or when this process ends, however that happens.
pub(crate) struct Door {
    server: Kept,
    /// Where the webhooks are.
    pub(crate) address: SocketAddr,
    /// Where probes and metrics are.
    pub(crate) admin: SocketAddr,
}

/// How a door is started.
pub(crate) struct Flags<'a> {
    pub(crate) kubeconfig: &'a Path,
    /// Port 0 takes a free one.
    pub(crate) listen: &'a str,
    /// The names that the API server verifies.
    pub(crate) names: &'a [&'a str],
    pub(crate) settings: Value,
    /// Further flags of `serve`.
    pub(crate) more: &'a [&'a str],
}

impl<'a> Flags<'a> {
    /// On 127.0.0.1, for a webhook by URL.
    pub(crate) fn on_loopback(kubeconfig: &'a Path) -> Self {
        Self { kubeconfig, listen: "127.0.0.1:0", names: &["127.0.0.1"], settings: settings(), more: &[] }
    }
}

/// The control plane that most tests share, with a door that stands in its way.
pub(crate) async fn shared_door() -> (&'static ControlPlane, &'static Door) {
    static DOOR: OnceCell<Door> = OnceCell::const_new();
    static BROKEN: AtomicBool = AtomicBool::new(false);
    let control_plane = shared();
    let door = DOOR
        .get_or_init(|| async {
            assert!(!BROKEN.swap(true, Ordering::Relaxed), "the shared door did not come up: see the first test that failed");
            crate::namespaces::make_older(&control_plane.cluster().await).await;
            let names = crate::controlplane::directory("token-secrets").join("names");
            let list = format!("{}/{}\n", crate::namespaces::OLDER, crate::namespaces::OLD_TOKEN);
            std::fs::write(&names, list).expect("the test's directory is writable");
            let more = ["--token-secrets", names.to_str().expect("a temporary path is UTF-8")];
            let door = Door::open(&Flags { more: &more, ..Flags::on_loopback(&control_plane.kubeconfig()) }).await;
            let apart: Vec<&str> = crate::apart::NAMESPACES.iter().flat_map(|name| ["--bootstrap-namespace", name]).collect();
            webhooks::install(control_plane, webhooks::Way::Url(door.address), &apart).await;
            BROKEN.store(false, Ordering::Relaxed);
            door
        })
        .await;
    (control_plane, door)
}

/// The administrator's client of the shared control plane, behind the door.
pub(crate) async fn cluster() -> Cluster {
    shared_door().await.0.cluster().await
}

/// The rules on the mesh: the shared door enforces them where a namespace has [`MESH_LABEL`], so that other tests need no proxy.
const MESH_RULES: [&str; 3] = ["require-meshed-namespace", "no-unmeshed-pod", "no-mesh-opt-out"];

/// The settings of every door: a trust domain, an OpenBao, Linkerd.
pub(crate) fn settings() -> Value {
    let unmeshed = json!({ "matchExpressions": [{ "key": MESH_LABEL, "operator": "DoesNotExist" }] });
    json!({
        "spiffe": { "trustDomain": "cluster.example.com", "registration": "external" },
        "cluster": { "name": "prod", "spireName": "test" },
        "vault": crate::openbao::settings(),
        "mesh": {
            "kind": "linkerd",
            "proxyImages": ["cr.l5d.io/linkerd/proxy:"],
            "cni": true,
            "clusterDefaultInboundPolicy": "all-authenticated",
        },
        "protectedLabels": [MESH_LABEL],
        "enforcement": [{ "rules": MESH_RULES, "enforcement": "Off", "namespaceSelector": unmeshed }],
    })
}

impl Door {
    /// Starts a door and waits until it is ready.
    pub(crate) async fn open(flags: &Flags<'_>) -> Self {
        let door = Self::begin(flags).await;
        door.await_ready().await;
        door
    }

    /// Starts a door and waits until it listens.
    pub(crate) async fn begin(flags: &Flags<'_>) -> Self {
        let directory = crate::controlplane::directory("door");
        let files = certificates::write(&directory, flags.names);
        let settings = directory.join("doorward.yaml");
        std::fs::write(&settings, flags.settings.to_string()).expect("the test's directory is writable");
        let program: &OsStr = env!("CARGO_BIN_EXE_doorward").as_ref();
        let mut words: Vec<&OsStr> = vec![program, "serve".as_ref()];
        words.extend(["--listen", flags.listen, "--admin-listen", "127.0.0.1:0", "--kubeconfig"].map(OsStr::new));
        words.extend([flags.kubeconfig.as_os_str(), "--settings".as_ref(), settings.as_os_str()]);
        words.extend(["--tls-cert".as_ref(), files.certificate.as_os_str(), "--tls-key".as_ref(), files.key.as_os_str()]);
        words.extend(flags.more.iter().map(OsStr::new));
        let server = Kept::start(&words, &directory.join("log"));
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let door = Self { server, address: nowhere, admin: nowhere };
        tokio::task::spawn_blocking(move || door.listening()).await.expect("the door opens")
    }

    /// Waits for the line in which the server tells its addresses.
    fn listening(mut self) -> Self {
        (self.address, self.admin) = until_blocking("the door to listen", || {
            let log = self.log();
            let whole = log.rfind('\n').map_or("", |end| &log[..end]);
            let line = whole.lines().find(|line| line.contains("listening on https://"));
            let told = line.and_then(|line| Some((address_after(line, "https://")?, address_after(line, "http://")?)));
            assert!(told.is_some() || self.runs(), "the door ended at once: {log}");
            told.ok_or(log)
        });
        self
    }

    /// Waits until `/readyz` says so.
    pub(crate) async fn await_ready(&self) {
        crate::deadline::until("the door to be ready", || async {
            let (code, text) = self.probe("/readyz");
            assert!(code != 0 || self.runs(), "the door ended: {}", self.log());
            if code == 200 { Ok(()) } else { Err(format!("{code}: {text}; log: {}", self.log())) }
        })
        .await;
    }

    /// Everything the server has written.
    pub(crate) fn log(&self) -> String {
        self.server.log()
    }

    /// Asks the admin port; 0 if nobody answers.
    pub(crate) fn probe(&self, path: &str) -> (u16, String) {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&self.admin, Duration::from_secs(5))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().unwrap_or_default();
        let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let text = answer.split_once("\r\n\r\n").map_or("", |(_, text)| text).to_owned();
        (code, text)
    }

    /// The sum of a metric's samples whose labels hold all these texts.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (_, text) = self.probe("/metrics");
        let samples = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        let samples = samples.filter(|line| labels.iter().all(|label| line.contains(label)));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Whether the process runs.
    pub(crate) fn runs(&self) -> bool {
        self.server.runs()
    }

    /// SIGTERM; does not wait.
    pub(crate) fn tell_to_stop(&mut self) {
        self.server.signal("TERM");
    }

    /// Waits for the end after [`Door::tell_to_stop`]; gives the exit status and everything that was written.
    pub(crate) async fn ended(self) -> (ExitStatus, String) {
        assert!(self.server.is_told(), "the door was told to stop");
        self.server.ended().await
    }

    /// SIGKILL, as when a node is gone. Its address is free afterwards.
    pub(crate) async fn kill(self) {
        tokio::task::spawn_blocking(move || drop(self)).await.expect("the door ends");
    }
}

/// The socket address behind a scheme.
fn address_after(line: &str, scheme: &str) -> Option<SocketAddr> {
    let rest = line.split_once(scheme)?.1;
    let end = rest.find(|character: char| !character.is_ascii_digit() && !".:".contains(character)).unwrap_or(rest.len());
    rest[..end].parse().ok()
}
