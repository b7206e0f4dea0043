//! Child processes that end with this one, however that ends.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use crate::deadline::until_blocking;

/// A process of ours. It is killed when it is dropped.
pub(crate) struct Kept {
    /// A shell between the two: it ends the process when its standard input does, which the kernel sees to.
    keeper: Child,
    words: Option<ChildStdin>,
    pid: u32,
    log: PathBuf,
}

/// Starts the program, prints its process id, and waits for a word: a signal's name, or the end of the input, which means KILL. The exit
/// status is the program's.
const KEEPER: &str =
    r#""$@" </dev/null >"$LOG" 2>&1 & child=$!; echo "$child"; read -r word; kill -s "${word:-KILL}" "$child"; wait "$child""#;

impl Kept {
    /// Starts a program with its arguments; what it writes goes into `log`.
    pub(crate) fn start(words: &[impl AsRef<OsStr>], log: &Path) -> Self {
        File::create(log).expect("the test's directory is writable");
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .args(words)
            .env("LOG", log)
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
        Self { keeper, words, pid, log: log.to_owned() }
    }

    /// Everything that was written.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether the process runs.
    pub(crate) fn runs(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // The state stands after the name, which stands in parentheses; a zombie waits for the shell.
        status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
    }

    /// Sends a signal, the only one; does not wait.
    pub(crate) fn signal(&mut self, signal: &str) {
        if let Some(mut words) = self.words.take() {
            let _already_gone = writeln!(words, "{signal}");
        }
    }

    /// Whether a signal was sent.
    pub(crate) fn is_told(&self) -> bool {
        self.words.is_none()
    }

    /// Waits for the end, its own or after [`Kept::signal`]; gives the exit status and everything that was written.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let waited = tokio::task::spawn_blocking(move || {
            until_blocking("a process to end", || if self.runs() { Err(self.log()) } else { Ok(()) });
            // The shell waits for a word; there is nothing left to kill.
            self.signal("KILL");
            (self.keeper.wait().expect("the shell is our child"), self.log())
        });
        waited.await.expect("the process ends")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.signal("KILL");
        let _waited_for_already = self.keeper.wait();
    }
}
