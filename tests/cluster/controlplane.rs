//! The control plane as a child process, and its protocol (README.md).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

use crate::deadline::until;

/// A running control plane. It ends with its standard input: when this process ends, however that happens.
pub(crate) struct ControlPlane {
    lines: Mutex<Lines>,
    directory: PathBuf,
    /// The first line it printed.
    started: Value,
    _child: Child,
}

struct Lines {
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// The control plane that most tests share. Nobody stops a part of it.
pub(crate) fn shared() -> &'static ControlPlane {
    static SHARED: OnceLock<ControlPlane> = OnceLock::new();
    SHARED.get_or_init(|| ControlPlane::start("shared"))
}

/// The control plane whose parts, and doors, may be stopped: one test at a time. The guard is the turn.
pub(crate) async fn turn() -> (&'static ControlPlane, tokio::sync::MutexGuard<'static, ()>) {
    static OTHER: OnceLock<ControlPlane> = OnceLock::new();
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let turn = TURN.lock().await;
    let other = OTHER.get_or_init(|| ControlPlane::start("other"));
    // Whatever the test before left, a failed one too.
    let status = other.command("status").await;
    for (program, start) in [("kube-apiserver", "start-apiserver"), ("kube-controller-manager", "start-kcm")] {
        if status["pids"][program] == 0 {
            other.command(start).await;
        }
    }
    crate::webhooks::remove(other).await;
    (other, turn)
}

/// A directory of this test run below the build directory; those of runs that are over are removed first.
pub(crate) fn directory(name: &str) -> PathBuf {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let root = ROOT.get_or_init(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster");
        for old in std::fs::read_dir(&all).into_iter().flatten().flatten() {
            let runs = old.file_name().to_str().is_some_and(|pid| Path::new("/proc").join(pid).exists());
            if !runs {
                let _already_gone = std::fs::remove_dir_all(old.path());
            }
        }
        all.join(std::process::id().to_string())
    });
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let directory = root.join(format!("{name}-{number}"));
    std::fs::create_dir_all(&directory).expect("the build directory is writable");
    directory
}

impl ControlPlane {
    pub(crate) fn start(name: &str) -> Self {
        let directory = directory(name);
        let mut child = Command::new(binary())
            .args(["start", "--audit", "--dir"])
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the control plane's binary runs");
        let mut lines =
            Lines { commands: child.stdin.take().expect("piped"), answers: BufReader::new(child.stdout.take().expect("piped")) };
        let started = lines.read();
        assert_eq!(started["ready"], true, "the control plane does not start: {}", started["error"]);
        Self { lines: Mutex::new(lines), directory, started, _child: child }
    }

    /// Sends a command and waits until its work is done; it must succeed.
    pub(crate) async fn command(&'static self, command: &str) -> Value {
        let command = command.to_owned();
        let answered = tokio::task::spawn_blocking(move || {
            let answer = self.lines.lock().expect("no command panicked").ask(&command);
            assert!(answer["ok"] != false, "{command}: {}", answer["error"]);
            answer
        });
        answered.await.expect("the control plane does what it is told")
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.join("admin.kubeconfig")
    }

    /// The API server as the administrator sees it.
    pub(crate) async fn cluster(&self) -> crate::client::Cluster {
        crate::client::Cluster::administrator(&self.kubeconfig()).await
    }

    /// The API server as somebody else sees it.
    pub(crate) async fn cluster_as(&self, user: &str, groups: &[&str]) -> crate::client::Cluster {
        crate::client::Cluster::acting_as(&self.kubeconfig(), user, groups).await
    }

    /// `https://127.0.0.1:PORT`.
    pub(crate) fn server(&self) -> &str {
        self.started["server"].as_str().expect("the first line has it")
    }

    /// A key or certificate of the control plane: `ca.crt` is its authority's, with `sa.key` it signs tokens.
    pub(crate) fn key(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.join("pki").join(name)).expect("the control plane wrote it")
    }

    /// The audit log's event of the creation of this object, made or refused. Controllers write to what is made at once: an object's latest
    /// event may be of theirs.
    pub(crate) async fn creation(&self, resource: &str, namespace: &str, name: &str) -> Value {
        until("the audit event", || async { self.audited("create", resource, namespace, name).pop().ok_or_else(|| "no event".to_owned()) })
            .await
    }

    /// The events of the audit log that are this verb on this object, in the log's order.
    fn audited(&self, verb: &str, resource: &str, namespace: &str, name: &str) -> Vec<Value> {
        let log = std::fs::read_to_string(self.directory.join("audit.log")).expect("the control plane keeps an audit log");
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let is = |event: &Value, key: &str, value: &str| event["objectRef"][key] == value;
        whole
            .lines()
            // Most lines are of others and long.
            .filter(|line| line.contains(namespace))
            .map(|line| serde_json::from_str::<Value>(line).expect("an event a line"))
            .filter(|event| event["verb"] == verb)
            .filter(|event| is(event, "resource", resource) && is(event, "namespace", namespace) && is(event, "name", name))
            .collect()
    }
}

impl Lines {
    fn ask(&mut self, command: &str) -> Value {
        writeln!(self.commands, "{command}").expect("the control plane runs");
        self.read()
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the control plane answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the control plane said {line:?}: {error}"))
    }
}

/// The control plane's program, built if it is missing.
pub(crate) fn binary() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let binary = top.join("target/controlplane");
    if !binary.exists() {
        eprintln!("building the control plane into {}: several minutes the first time", binary.display());
        let status = Command::new(top.join("tests/cluster/build.sh")).stdout(Stdio::null()).status().expect("build.sh runs");
        assert!(status.success(), "tests/cluster/build.sh: {status}");
    }
    binary
}
