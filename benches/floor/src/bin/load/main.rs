//! A closed-loop load generator for admission webhooks over TLS, on loopback only.
//!
//! - `target`: the URL, loopback or nothing
//! - `trust`: TLS that takes any certificate
//! - `connection`: one connection, one request at a time
//! - `answer`: does the answer count
//! - `process`: CPU time and memory of the server
//!
//! Every run ends: at `--seconds`, at `--requests`, and in any case [`PATIENCE`] after the end.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use serde::Serialize;
use serde_json::Value;
use tokio_rustls::TlsConnector;

use crate::answer::Expected;
use crate::connection::{Plan, Tally};
use crate::target::Target;

mod answer;
mod connection;
mod process;
mod target;
mod trust;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type AnyError = Box<dyn Error + Send + Sync>;

/// How long an answer may be outstanding after the end; the API server's own default timeout of a webhook.
const PATIENCE: Duration = Duration::from_secs(10);

/// Load a webhook on this machine and tell how fast it answers. Exit code 1 if any answer was wrong.
#[derive(Parser)]
struct Args {
    /// https URL on 127.0.0.1, [::1] or localhost.
    #[arg(long, value_parser = Target::parse)]
    url: Target,
    /// The AdmissionReview to send, sent as it is.
    #[arg(long, value_name = "FILE")]
    body: PathBuf,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Length of the measurement.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Seconds of load before the measurement.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=60))]
    warmup: u64,
    /// Stop after so many measured requests, if they come before the time is up.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// Threads of the generator, each with its share of the connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// Speak HTTP/2 instead of HTTP/1.1.
    #[arg(long)]
    http2: bool,
    /// An answer without a patch is an error.
    #[arg(long)]
    expect_patch: bool,
    /// An answer that does not say this is an error.
    #[arg(long, value_name = "BOOL")]
    expect_allowed: Option<bool>,
    /// Process id of the server: adds its CPU time and memory.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<ExitCode, AnyError> {
    let args = Args::parse();
    let outcome = measure(&args)?;
    if args.json {
        println!("{}", serde_json::to_string(&outcome)?);
    } else {
        print_lines(&outcome);
    }
    Ok(ExitCode::from(u8::from(outcome.errors > 0)))
}

/// The result of a run; its JSON form is what `benches/run.sh` reads.
#[derive(Serialize)]
struct Outcome {
    /// Good answers inside the measurement.
    requests: u64,
    seconds: f64,
    rps: f64,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    max_us: u64,
    /// Wrong answers and broken connections, warm-up included.
    errors: u64,
    first_error: Option<String>,
    /// CPU time of this generator over the time of the measurement: near 1.00 a thread, it is the bottleneck.
    load_cpu: Option<f64>,
    /// The same of the server: well below 1.00 on one core, the server was not saturated.
    server_cpu: Option<f64>,
    /// CPU time of the server over requests, in microseconds. Less shaken by neighbours than requests/s.
    server_cpu_us: Option<f64>,
    server_rss_kib: Option<u64>,
    server_peak_rss_kib: Option<u64>,
}

fn measure(args: &Args) -> Result<Outcome, AnyError> {
    let plan = Arc::new(plan(args)?);
    let measure_from = plan.measure_from;
    let workers: Vec<_> = (0..args.threads)
        .map(|thread| {
            let connections = share(args.connections, args.threads, thread);
            let plan = Arc::clone(&plan);
            thread::spawn(move || worker(&plan, connections))
        })
        .collect();

    thread::sleep(measure_from.saturating_duration_since(Instant::now()));
    let own = std::process::id();
    let load_before = process::cpu_time(own);
    let server_before = args.server_pid.and_then(process::cpu_time);
    let mut total = Tally::new()?;
    for worker in workers {
        total.add(worker.join().map_err(|_| "a worker thread died")??)?;
    }
    let load_after = process::cpu_time(own);
    let server_after = args.server_pid.and_then(process::cpu_time);
    let memory = args.server_pid.and_then(process::resident_kib);

    let requests = total.latency.len();
    let elapsed = total.last.map_or(Duration::ZERO, |last| last.duration_since(measure_from));
    let seconds = elapsed.as_secs_f64();
    let spent = |before: Option<Duration>, after: Option<Duration>| Some(after?.checked_sub(before?)?.as_secs_f64());
    let server_spent = spent(server_before, server_after);
    let latency = |quantile| total.latency.value_at_quantile(quantile);
    Ok(Outcome {
        requests,
        seconds,
        rps: ratio(requests as f64, seconds).unwrap_or(0.0),
        p50_us: latency(0.50),
        p90_us: latency(0.90),
        p99_us: latency(0.99),
        max_us: total.latency.max(),
        errors: total.errors,
        load_cpu: spent(load_before, load_after).and_then(|spent| ratio(spent, seconds)),
        server_cpu: server_spent.and_then(|spent| ratio(spent, seconds)),
        server_cpu_us: server_spent.and_then(|spent| ratio(spent * 1e6, requests as f64)),
        server_rss_kib: memory.map(|(now, _)| now),
        server_peak_rss_kib: memory.map(|(_, peak)| peak),
        first_error: total.first_error,
    })
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

fn plan(args: &Args) -> Result<Plan, AnyError> {
    let file = args.body.display();
    let body = std::fs::read(&args.body).map_err(|error| format!("--body {file}: {error}"))?;
    let review: Value = serde_json::from_slice(&body).map_err(|error| format!("--body {file}: {error}"))?;
    let uid = review
        .pointer("/request/uid")
        .and_then(Value::as_str)
        .ok_or_else(|| format!("--body {file}: no request.uid, so not an AdmissionReview"))?;
    let measure_from = Instant::now() + Duration::from_secs(args.warmup);
    Ok(Plan {
        target: args.url.clone(),
        tls: TlsConnector::from(Arc::new(trust::client_config(args.http2)?)),
        http2: args.http2,
        expected: Expected { uid: uid.to_owned(), patch: args.expect_patch, allowed: args.expect_allowed },
        body: Bytes::from(body),
        measure_from,
        until: measure_from + Duration::from_secs(args.seconds),
        budget: AtomicU64::new(args.requests.unwrap_or(u64::MAX)),
    })
}

/// Connections of one thread; the first threads take what does not divide.
fn share(connections: u16, threads: u16, thread: u16) -> u16 {
    connections / threads + u16::from(thread < connections % threads)
}

/// One thread with a runtime of its own: no work moves between cores while it is timed.
fn worker(plan: &Arc<Plan>, connections: u16) -> Result<Tally, AnyError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut running = Vec::new();
        for _ in 0..connections {
            let run = connection::run(Arc::clone(plan), PATIENCE, Tally::new()?);
            running.push(tokio::spawn(run));
        }
        let mut total = Tally::new()?;
        for connection in running {
            total.add(connection.await?)?;
        }
        Ok(total)
    })
}

fn print_lines(outcome: &Outcome) {
    let Outcome {
        requests,
        seconds,
        rps,
        p50_us,
        p90_us,
        p99_us,
        max_us,
        errors,
        first_error,
        load_cpu,
        server_cpu,
        server_cpu_us,
        server_rss_kib,
        server_peak_rss_kib,
    } = outcome;
    println!("{requests} requests in {seconds:.2} s: {rps:.0} requests/s, {errors} errors");
    if let Some(reason) = first_error {
        println!("first error: {reason}");
    }
    println!("latency in us: p50 {p50_us}, p90 {p90_us}, p99 {p99_us}, max {max_us}");
    if let Some(cpu) = load_cpu {
        println!("generator: {cpu:.2} cores");
    }
    if let (Some(cpu), Some(micros)) = (server_cpu, server_cpu_us) {
        println!("server: {cpu:.2} cores, {micros:.1} us of CPU a request");
    }
    if let (Some(now), Some(peak)) = (server_rss_kib, server_peak_rss_kib) {
        println!("server: {now} KiB resident, {peak} KiB at most");
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn no_connection_is_lost_between_threads() {
        for (connections, threads) in [(16, 1), (16, 3), (2, 5), (1024, 64)] {
            let sum: u16 = (0..threads).map(|t| share(connections, threads, t)).sum();
            assert_eq!(sum, connections, "{connections} over {threads}");
        }
    }
}
