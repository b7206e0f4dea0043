//! The `doorward` binary as a child process.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::client::Cluster;
use crate::controlplane::{ControlPlane, shared};
use crate::deadline::until_blocking;
use crate::namespaces::MESH_LABEL;
use crate::{certificates, webhooks};

/// A running `doorward serve`. It ends at once when it is dropped, or when this process ends, however that happens.
pub(crate) struct Door {
    /// A shell between the two: it ends the server when its standard input does, which the kernel sees to.
    keeper: Child,
    words: Option<ChildStdin>,
    pid: u32,
    log: PathBuf,
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
            webhooks::install(control_plane, webhooks::Way::Url(door.address), &[]).await;
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

/// The settings of every door: a trust domain, a Vault, Linkerd.
pub(crate) fn settings() -> Value {
    let unmeshed = json!({ "matchExpressions": [{ "key": MESH_LABEL, "operator": "DoesNotExist" }] });
    json!({
        "spiffe": { "trustDomain": "cluster.example.com", "registration": "external" },
        "cluster": { "name": "test", "spireName": "test" },
        "vault": { "address": "https://vault.vault.svc.cluster.local:8200" },
        "mesh": { "kind": "linkerd", "proxyImages": ["cr.l5d.io/linkerd/proxy:"], "clusterDefaultInboundPolicy": "all-authenticated" },
        "protectedLabels": [MESH_LABEL],
        "enforcement": [{ "rules": MESH_RULES, "enforcement": "Off", "namespaceSelector": unmeshed }],
    })
}

/// Starts the server, prints its process id, and waits for a word: a signal's name, or the end of the input, which means KILL. The exit
/// status is the server's.
const KEEPER: &str =
    r#""$@" </dev/null >"$LOG" 2>&1 & child=$!; echo "$child"; read -r word; kill -s "${word:-KILL}" "$child"; wait "$child""#;

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
        let log = directory.join("log");
        File::create(&log).expect("the test's directory is writable");
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh", env!("CARGO_BIN_EXE_doorward"), "serve"])
            .args(["--listen", flags.listen, "--admin-listen", "127.0.0.1:0", "--kubeconfig"])
            .arg(flags.kubeconfig)
            .arg("--settings")
            .arg(&settings)
            .arg("--tls-cert")
            .arg(&files.certificate)
            .arg("--tls-key")
            .arg(&files.key)
            .args(flags.more)
            .env("LOG", &log)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The shell reports that its child was killed.
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().expect("piped")).read_line(&mut line).expect("the shell prints the process id");
        let pid = line.trim().parse().unwrap_or_else(|_| panic!("no process id: {line:?}"));
        let words = keeper.stdin.take();
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let door = Self { keeper, words, pid, log, address: nowhere, admin: nowhere };
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
        std::fs::read_to_string(&self.log).unwrap_or_default()
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
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // The state stands after the name, which stands in parentheses; a zombie waits for the shell.
        status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
    }

    /// SIGTERM; does not wait.
    pub(crate) fn tell_to_stop(&mut self) {
        self.say("TERM");
    }

    /// Waits for the end after [`Door::tell_to_stop`]; gives the exit status and everything that was written.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        assert!(self.words.is_none(), "the door was told to stop");
        tokio::task::spawn_blocking(move || (self.keeper.wait().expect("the shell is our child"), self.log())).await.expect("the door ends")
    }

    /// SIGKILL, as when a node is gone.
    pub(crate) async fn kill(self) {
        tokio::task::spawn_blocking(move || drop(self)).await.expect("the door ends");
    }

    fn say(&mut self, signal: &str) {
        if let Some(mut words) = self.words.take() {
            let _already_gone = writeln!(words, "{signal}");
        }
    }
}

impl Drop for Door {
    /// Its address is free afterwards.
    fn drop(&mut self) {
        self.say("KILL");
        let _waited_for_already = self.keeper.wait();
    }
}

/// The socket address behind a scheme.
fn address_after(line: &str, scheme: &str) -> Option<SocketAddr> {
    let rest = line.split_once(scheme)?.1;
    let end = rest.find(|character: char| !character.is_ascii_digit() && !".:".contains(character)).unwrap_or(rest.len());
    rest[..end].parse().ok()
}
