//! Leaving without losing a request.

use super::client::{Answer, Failure};
use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

const ROUNDS: usize = 4;
const HTTP_1_CLIENTS: usize = 16;

/// Short, but long enough for thousands of requests in each phase.
fn short(options: &mut Options) {
    options.drain = DrainTimes { delay: Duration::from_millis(150), closing: Duration::from_millis(150), timeout: Duration::from_secs(10) };
}

/// What the clients of one round saw.
#[derive(Default)]
struct Seen {
    answered: AtomicUsize,
    connections: AtomicUsize,
    told_to_close: AtomicUsize,
}

/// Asks over and over, on one connection as long as it lives, until the server has stopped. Fails on any request that fails before that.
async fn closed_loop(trusted: Trusted, address: std::net::SocketAddr, lifecycle: Arc<Lifecycle>, http2: bool, seen: Arc<Seen>) {
    let stopped = || lifecycle.phase() >= Phase::Stopped;
    let mut connection = None;
    while !stopped() {
        let mut client = match connection.take() {
            Some(client) => client,
            None => match if http2 { trusted.http2(address).await } else { trusted.http1(address).await } {
                Ok(client) => client,
                Err(_) if stopped() => return,
                Err(error) => panic!("no connection while the port is open: {error}"),
            },
        };
        seen.connections.fetch_add(1, Ordering::Relaxed);
        let lost = loop {
            if stopped() {
                return;
            }
            match client.send(review("/validate", "{}")).await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    seen.answered.fetch_add(1, Ordering::Relaxed);
                    if answer.closes() {
                        seen.told_to_close.fetch_add(1, Ordering::Relaxed);
                        break None;
                    }
                }
                Ok(answer) if stopped() && answer.status == StatusCode::SERVICE_UNAVAILABLE => return,
                Ok(answer) => panic!("{} {}", answer.status, answer.text()),
                Err(error) => break Some(error),
            }
        };
        match lost {
            Some(error) if http2 && was_not_begun(&client, &error) => {}
            Some(error) => assert!(stopped(), "a request was lost: {error:?}"),
            None => {}
        }
    }
}

/// HTTP/2 promises that what a GOAWAY does not cover was not begun (RFC 9113, 6.8): every client asks again elsewhere.
fn was_not_begun(client: &client::Client, error: &Failure) -> bool {
    let error = error.downcast_ref::<hyper::Error>().expect("hyper's error");
    client.is_over() && (error.is_canceled() || error.is_closed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_until_the_port_closes() {
    for round in 0..ROUNDS {
        let door = Door::open(short).await;
        let seen: Arc<[Arc<Seen>; 2]> = Arc::new(std::array::from_fn(|_| Arc::default()));
        let clients: Vec<_> = (0..=HTTP_1_CLIENTS)
            .map(|index| {
                let http2 = index == HTTP_1_CLIENTS;
                let lifecycle = Arc::clone(door.server.lifecycle());
                tokio::spawn(closed_loop(door.trusted(), door.server.address(), lifecycle, http2, Arc::clone(&seen[usize::from(http2)])))
            })
            .collect();
        let ended = door.server.drain().await;
        for client in clients {
            client.await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        assert_eq!(ended, Ended::Drained, "round {round}");
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let [http1, http2] = &*seen;
        assert!(count(&http1.told_to_close) >= HTTP_1_CLIENTS, "every connection was told");
        assert!(count(&http1.connections) > HTTP_1_CLIENTS, "clients came back while the port was open");
        assert!(count(&http2.connections) > 1, "the HTTP/2 connection was told to go");
        assert!(count(&http1.answered) > 100 && count(&http2.answered) > 10);
    }
}

#[tokio::test]
async fn a_review_in_flight_is_finished_after_the_port_has_closed() {
    let door = Door::open(short).await;
    let address = door.server.address();
    let lifecycle = Arc::clone(door.server.lifecycle());
    let gate = Arc::clone(&door.gate);
    let admin = door.server.admin_address();
    let mut waiting = Vec::new();
    for http2 in [false, true] {
        let trusted = door.trusted();
        waiting.push(tokio::spawn(async move {
            let mut client = if http2 { trusted.http2(address).await } else { trusted.http1(address).await }.unwrap();
            client.send(review("/mutate", "wait")).await.unwrap()
        }));
        door.one_waits().await;
    }
    let trusted = door.trusted();
    let idle = door.http1().await;
    let drained = tokio::spawn(door.server.drain());
    let mut changes = lifecycle.watch();
    phase::reached(&mut changes, Phase::Leaving).await;
    let answer = client::plain(admin, "/readyz").await;
    assert_eq!((answer.status, answer.text()), (StatusCode::SERVICE_UNAVAILABLE, "draining: this server was told to stop\n"));
    phase::reached(&mut changes, Phase::Stopped).await;
    let _closed = idle.end.await.unwrap();
    assert!(trusted.http1(address).await.is_err(), "the port is closed");
    assert_eq!(client::plain(admin, "/livez").await.text(), "ok\n", "alive until the end");
    gate.release.notify_waiters();
    for (answer, version) in waiting.into_iter().zip(["HTTP/1.1", "HTTP/2.0"]) {
        let answer: Answer = answer.await.unwrap();
        assert_eq!(answer.text(), format!("mutate 4 bytes verified=false {version}"));
        assert_eq!(answer.closes(), version == "HTTP/1.1");
    }
    assert_eq!(drained.await.unwrap(), Ended::Drained);
}

#[tokio::test]
async fn what_is_still_busy_at_the_end_of_the_drain_is_cut() {
    let door = Door::open(|options| {
        options.drain = DrainTimes { delay: Duration::ZERO, closing: Duration::ZERO, timeout: Duration::from_millis(50) };
    })
    .await;
    let mut client = door.http1().await;
    let waiting = tokio::spawn(async move { client.send(review("/mutate", "wait")).await });
    door.one_waits().await;
    assert_eq!(door.server.drain().await, Ended::Cut);
    assert!(waiting.await.unwrap().is_err(), "no answer can come any more");
    assert_eq!(door.metrics.inflight_requests.get(), 0, "the gate's work was dropped");
}

#[tokio::test]
async fn a_request_after_the_port_has_closed_is_told_to_ask_again() {
    let door = Door::open(|_| {}).await;
    let mut fresh = door.http1().await;
    door.server.lifecycle().enter(Phase::Stopped);
    let answer = fresh.send(review("/mutate", "{}")).await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    assert_eq!(answer.text(), "this server is stopping: ask again, another one will answer");
    assert!(answer.closes());
    assert_eq!(door.outcomes("mutate", "stopped"), 1);
}
