//! Leaving without losing a request.

use super::client::{Answer, Failure};
use super::*;
use tokio::task::JoinSet;

const ROUNDS: usize = 3;
const HTTP_1_CLIENTS: usize = 16;

/// Answers of all clients of a protocol in each phase.
const ANSWERS: u32 = 100;
/// Connections of all clients of a protocol (HTTP/1.1, HTTP/2) while the server closes them one by one.
const RECONNECTS: [u32; 2] = [48, 4];

fn short(options: &mut Options) {
    options.drain = DrainTimes { delay: Duration::from_millis(150), closing: Duration::from_millis(150), timeout: Duration::from_secs(10) };
}

/// What the clients of one protocol saw; the permits wait for whoever wants to see so many.
struct Seen {
    answered: AtomicUsize,
    answers: Semaphore,
    connections: Semaphore,
}

impl Seen {
    fn nothing() -> Arc<Self> {
        Arc::new(Self { answered: AtomicUsize::new(0), answers: Semaphore::new(0), connections: Semaphore::new(0) })
    }

    /// Resolves after `count` more.
    async fn more(permits: &Semaphore, count: u32) {
        permits.forget_permits(usize::MAX >> 4);
        permits.acquire_many(count).await.unwrap().forget();
    }
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
        seen.connections.add_permits(1);
        let lost = loop {
            if stopped() {
                return;
            }
            match client.send(review("/validate", "{}")).await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    seen.answered.fetch_add(1, Ordering::Relaxed);
                    seen.answers.add_permits(1);
                    if answer.closes() {
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

/// A client that has read GOAWAY sends nothing more on that connection, and what the GOAWAY does not cover was not begun (RFC 9113, 6.8):
/// every client of HTTP/2 asks again elsewhere. That nothing was begun is checked by the count in the gate.
fn was_not_begun(client: &client::Client, error: &Failure) -> bool {
    let error = error.downcast_ref::<hyper::Error>().expect("hyper's error");
    let goaway = std::error::Error::source(error).is_some_and(|cause| cause.to_string().contains("not a result of an error"));
    client.is_over() && (error.is_canceled() || error.is_closed() || goaway)
}

/// The phases are entered by hand, each after enough answers of the one before: the drain's clock would only make the rounds shorter on a
/// busy machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_until_the_port_closes() {
    for round in 0..ROUNDS {
        let Door { server, gate, authority, .. } = Door::open(|options| {
            options.drain = DrainTimes { delay: Duration::ZERO, closing: Duration::ZERO, timeout: Duration::from_secs(10) };
        })
        .await;
        let trusted = Trusted::new(authority.certificate_pem());
        let seen = [Seen::nothing(), Seen::nothing()];
        let mut clients = JoinSet::new();
        for index in 0..=HTTP_1_CLIENTS {
            let http2 = index == HTTP_1_CLIENTS;
            let lifecycle = Arc::clone(server.lifecycle());
            clients.spawn(closed_loop(trusted.clone(), server.address(), lifecycle, http2, Arc::clone(&seen[usize::from(http2)])));
        }
        let phases = async {
            for phase in [Phase::Serving, Phase::Leaving] {
                server.lifecycle().enter(phase);
                for seen in &seen {
                    Seen::more(&seen.answers, ANSWERS).await;
                }
            }
            server.lifecycle().enter(Phase::Closing);
            for (seen, count) in seen.iter().zip(RECONNECTS) {
                Seen::more(&seen.connections, count).await;
            }
        };
        // A client ends before the server has stopped only because it lost a request.
        tokio::select! {
            () = phases => {}
            Some(client) = clients.join_next() => panic!("round {round}: {client:?}"),
        }
        let ended = server.drain().await;
        while let Some(client) = clients.join_next().await {
            client.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        assert_eq!(ended, Ended::Drained, "round {round}");
        let begun = gate.begun.each_ref().map(|count| count.load(Ordering::Relaxed));
        let answered = seen.each_ref().map(|seen| seen.answered.load(Ordering::Relaxed));
        assert_eq!(begun, answered, "round {round}: what was begun was answered");
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

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let door = Door::open(|options| options.drain.delay = Duration::from_secs(3600)).await;
    let mut changes = door.server.lifecycle().watch();
    let signals = Semaphore::new(0);
    let ended = server::attend(door.server, async || signals.acquire().await.unwrap().forget());
    let operator = async {
        signals.add_permits(1);
        phase::reached(&mut changes, Phase::Leaving).await;
        signals.add_permits(1);
    };
    assert_eq!(tokio::join!(ended, operator).0, Ended::AtOnce);
}
