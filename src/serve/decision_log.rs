//! Decision records: JSON lines, written by one thread, never lost.
//!
//! A record waits for room in a bounded queue, and so does the review that made it: an output that stands still stops the door instead
//! of leaving decisions without a trace. Only the reviews wait; the runtime goes on, so probes and metrics still answer and
//! `doorward_log_queue_depth` shows the reason.
//!
//! The thread writes what has gathered during [`LINGER`] in one go: under load a wake-up and a system call are shared by many records.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use prometheus::IntGauge;
use tokio::sync::{mpsc, oneshot};

/// Records that may wait. At about a kilobyte each, two megabytes.
pub const QUEUE_LENGTH: usize = 2_048;
/// How long records gather before they are written.
const LINGER: Duration = Duration::from_millis(2);
/// How long the thread waits after a failed write: a full disk may get room again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Records taken from the queue at once.
const BATCH: usize = 256;

enum Entry {
    Line(String),
    Flush(oneshot::Sender<()>),
}

/// The way to the writer thread. Clones share it.
#[derive(Debug, Clone)]
pub struct DecisionLog {
    queue: mpsc::Sender<Entry>,
    depth: IntGauge,
    failing: Arc<AtomicBool>,
}

impl DecisionLog {
    /// Starts the writer thread on standard output. `depth` is [`Metrics::log_queue_depth`](super::Metrics::log_queue_depth).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn to_stdout(depth: IntGauge) -> std::io::Result<Self> {
        Self::to(std::io::stdout(), depth)
    }

    /// Starts the writer thread on any output. The thread ends when the last clone is gone.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn to(output: impl Write + Send + 'static, depth: IntGauge) -> std::io::Result<Self> {
        let (queue, entries) = mpsc::channel(QUEUE_LENGTH);
        let failing = Arc::new(AtomicBool::new(false));
        let writer = Writer { output, depth: depth.clone(), failing: Arc::clone(&failing) };
        thread::Builder::new().name("decision-log".into()).spawn(move || writer.run(entries))?;
        Ok(Self { queue, depth, failing })
    }

    /// Hands over one record, without its line end. Waits while the queue is full.
    ///
    /// The caller escapes foreign text: a record holds no line break.
    pub async fn record(&self, line: String) {
        self.depth.inc();
        // The receiver lives as long as this sender, unless the writer thread has panicked; then `failing` is set.
        if self.queue.send(Entry::Line(line)).await.is_err() {
            self.failing.store(true, Ordering::Relaxed);
        }
    }

    /// Resolves when every record handed over before is written and flushed.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Entry::Flush(done)).await.is_ok() {
            let _written = written.await;
        }
    }

    /// Whether the last write failed. The server is not ready while it does.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}

struct Writer<W> {
    output: W,
    depth: IntGauge,
    failing: Arc<AtomicBool>,
}

impl<W: Write> Writer<W> {
    fn run(mut self, mut entries: mpsc::Receiver<Entry>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut text = Vec::new();
        while entries.blocking_recv_many(&mut batch, BATCH) > 0 {
            let mut lines = 0;
            let mut flushed = Vec::new();
            for entry in batch.drain(..) {
                match entry {
                    Entry::Line(line) => {
                        text.extend_from_slice(line.as_bytes());
                        text.push(b'\n');
                        lines += 1;
                    }
                    Entry::Flush(done) => flushed.push(done),
                }
            }
            self.write(&text);
            text.clear();
            text.shrink_to(256 * 1024);
            self.depth.sub(lines);
            if flushed.is_empty() {
                thread::sleep(LINGER);
            }
            for done in flushed {
                let _nobody_waits = done.send(());
            }
        }
    }

    /// Writes all of it, however long it takes.
    fn write(&mut self, mut text: &[u8]) {
        loop {
            let result = match self.output.write(text) {
                Ok(0) if !text.is_empty() => Err(std::io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    text = text.get(written..).unwrap_or_default();
                    if text.is_empty() { self.output.flush() } else { Ok(()) }
                }
                Err(error) => Err(error),
            };
            match result {
                Ok(()) if text.is_empty() => {
                    self.failing.store(false, Ordering::Relaxed);
                    return;
                }
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if !self.failing.swap(true, Ordering::Relaxed) {
                        tracing::error!(%error, "the decision log cannot be written; reviews wait until it can");
                    }
                    thread::sleep(RETRY_AFTER);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, mpsc as blocking};

    /// An output that lets each write through when told to.
    struct Gated {
        open: blocking::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // A closed gate stands open for good.
            let _open = self.open.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_full_queue_blocks_and_nothing_is_lost() {
        let (gate, open) = blocking::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let depth = IntGauge::new("depth", "depth").unwrap();
        let log = DecisionLog::to(Gated { open, written: Arc::clone(&written) }, depth.clone()).unwrap();
        let mut handed_over = 0;
        let blocked = loop {
            // Unconstrained: pending means a full queue, not a task that has had its share.
            let mut record = Box::pin(tokio::task::unconstrained(log.record(format!("{{\"n\":{handed_over}}}"))));
            handed_over += 1;
            if futures::poll!(record.as_mut()).is_pending() {
                break record;
            }
            assert!(handed_over <= QUEUE_LENGTH + BATCH, "the queue has no bound");
        };
        assert!(depth.get() > i64::try_from(QUEUE_LENGTH).unwrap());
        drop(gate);
        blocked.await;
        log.flush().await;
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let expected: String = (0..handed_over).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        assert!(text == expected, "{} lines of {handed_over}", text.lines().count());
        assert_eq!(depth.get(), 0);
        assert!(!log.is_failing());
    }

    /// Fails once, writes a byte at a time afterwards.
    struct Faulty(Arc<Mutex<(bool, Vec<u8>)>>);

    impl Write for Faulty {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut state = self.0.lock().unwrap();
            if !std::mem::replace(&mut state.0, true) {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            state.1.extend_from_slice(&bytes[..1]);
            Ok(1)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_failed_write_is_repeated_and_shows() {
        let state = Arc::default();
        let log = DecisionLog::to(Faulty(Arc::clone(&state)), IntGauge::new("depth", "depth").unwrap()).unwrap();
        log.record("{}".into()).await;
        log.record("[]".into()).await;
        log.flush().await;
        assert_eq!(state.lock().unwrap().1, b"{}\n[]\n");
        assert!(!log.is_failing());
    }
}
