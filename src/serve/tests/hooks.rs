//! The webhook port: reviews, and everything that is refused without one.

use super::*;
use axum::body::Body;
use futures::StreamExt;

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn reviews_reach_the_gate_over_both_protocols() {
    let door = Door::open(|_| {}).await;
    let mut http1 = door.http1().await;
    let answer = http1.send(review("/mutate", "{}")).await.unwrap();
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "mutate 2 bytes verified=false HTTP/1.1"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("retry-after"), None);
    assert!(!answer.closes());
    let answer = http1.send(review("/validate?timeout=10s", "{}")).await.unwrap();
    assert_eq!(answer.text(), "validate 2 bytes verified=false HTTP/1.1", "the API server adds its timeout as a query");

    let mut http2 = door.http2().await;
    let answer = http2.send(review("/validate", "{}")).await.unwrap();
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "validate 2 bytes verified=false HTTP/2.0"));
    assert_eq!((door.outcomes("mutate", "allowed"), door.outcomes("validate", "allowed")), (1, 2));
    assert_eq!(door.metrics.evaluation_seconds.with_label_values(&["validate"]).get_sample_count(), 2);
    assert_eq!(door.metrics.inflight_requests.get(), 0);
}

#[tokio::test]
async fn refusals_say_what_is_wrong_and_keep_the_connection() {
    let door = Door::open(|_| {}).await;
    for mut client in [door.http1().await, door.http2().await] {
        let mut send = async |request| {
            let answer = client.send(request).await.unwrap();
            assert!(!answer.closes());
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
            answer
        };
        let answer = send(review("/", "{}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.text(), "no such path: reviews go to `/mutate` and `/validate`; probes and metrics have a port of their own");
        let answer = send(request(Method::GET, "/mutate", "application/json", "")).await;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, Some("POST")));
        assert_eq!(answer.text(), "a review is sent by POST");
        let answer = send(request(Method::POST, "/mutate", "application/yaml", "{}")).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(answer.text(), "a review has `Content-Type: application/json`");
        let answer = send(review("/mutate", "")).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::BAD_REQUEST, "the body is empty: an `AdmissionReview` is expected"));
        let answer = send(review("/mutate", vec![b' '; 9 * MIB])).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::PAYLOAD_TOO_LARGE, "a review has at most 8388608 bytes"));
        let answer = client.send(request(Method::POST, "/validate", "Application/JSON; charset=utf-8", vec![b' '; 8 * MIB])).await;
        assert_eq!(answer.unwrap().status, StatusCode::OK);
    }
    for (hook, outcome) in [
        ("none", "not_found"),
        ("none", "method_not_allowed"),
        ("mutate", "unsupported_media_type"),
        ("mutate", "empty"),
        ("mutate", "too_large"),
        ("validate", "allowed"),
    ] {
        assert_eq!(door.outcomes(hook, outcome), 2, "{hook} {outcome}");
    }
}

/// A body in pieces of unknown total length.
fn streamed(pieces: impl futures::Stream<Item = Bytes> + Send + 'static) -> Request<client::RequestBody> {
    review("/mutate", "").map(|_| Body::from_stream(pieces.map(Ok::<_, std::convert::Infallible>)))
}

#[tokio::test]
async fn a_body_of_unknown_length_is_bounded_too() {
    let door = Door::open(|_| {}).await;
    let mut client = door.http1().await;
    let mib = Bytes::from(vec![b' '; MIB]);
    let answer = client.send(streamed(futures::stream::iter(vec![mib.clone(); 8]))).await.unwrap();
    assert_eq!(answer.text(), "mutate 8388608 bytes verified=false HTTP/1.1");
    let answer = client.send(streamed(futures::stream::iter(vec![mib; 9]))).await.unwrap();
    assert_eq!((answer.status, answer.closes()), (StatusCode::PAYLOAD_TOO_LARGE, false));
    let answer = client.send(streamed(futures::stream::empty())).await.unwrap();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_slow_body_is_given_up() {
    let door = Door::open(|options| options.limits.body = Duration::from_millis(100)).await;
    for mut client in [door.http1().await, door.http2().await] {
        let begun = futures::stream::iter([Bytes::from_static(b"{")]).chain(futures::stream::pending());
        let answer = client.send(streamed(begun)).await.unwrap();
        assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(answer.text(), "the body was not complete after 100 ms");
    }
    assert_eq!(door.outcomes("mutate", "slow"), 2);
}

#[tokio::test]
async fn an_unready_gate_answers_503_and_asks_for_a_retry() {
    let door = Door::open(|_| {}).await;
    door.gate.ready.store(false, Ordering::Release);
    let mut client = door.http1().await;
    let answer = client.send(review("/validate", "{}")).await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    assert_eq!(answer.text(), "not ready: policies are not loaded yet");
    door.gate.ready.store(true, Ordering::Release);
    assert_eq!(client.send(review("/validate", "{}")).await.unwrap().status, StatusCode::OK);
    assert_eq!(door.outcomes("validate", "not_ready"), 1);
}

#[tokio::test]
async fn over_the_bound_of_bytes_in_flight_it_answers_429() {
    let door = Arc::new(Door::open(|options| options.limits.in_flight_bytes = 2 * LEAST_WEIGHT).await);
    let waiting = {
        let door = Arc::clone(&door);
        tokio::spawn(async move { door.http1().await.send(review("/mutate", "wait")).await.unwrap() })
    };
    door.one_waits().await;
    let mut client = door.http2().await;
    let answer = client.send(review("/mutate", vec![b' '; LEAST_WEIGHT + 1])).await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("1")));
    assert_eq!(answer.text(), "too many bytes of reviews are in work: ask again");
    assert_eq!(client.send(review("/mutate", "{}")).await.unwrap().status, StatusCode::OK, "there is room for a small one");
    assert_eq!(door.metrics.inflight_requests.get(), 1);
    door.gate.release.notify_one();
    assert_eq!(waiting.await.unwrap().status, StatusCode::OK);
    let answer = client.send(review("/mutate", vec![b' '; LEAST_WEIGHT + 1])).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn the_gates_own_429_asks_for_a_retry() {
    let door = Door::open(|_| {}).await;
    let answer = door.http1().await.send(review("/mutate", "busy namespace")).await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("1")));
    assert_eq!(door.outcomes("mutate", "overloaded"), 1);
}

#[tokio::test]
async fn a_panic_is_answered_counted_and_keeps_its_secret() {
    let door = Door::open(|_| {}).await;
    for mut client in [door.http1().await, door.http2().await] {
        let answer = client.send(review("/mutate", "panic")).await.unwrap();
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.text(), "an internal error stopped this review: nothing was decided; the server's log names the place");
        assert_eq!(client.send(review("/mutate", "{}")).await.unwrap().status, StatusCode::OK, "the connection lives on");
    }
    assert_eq!((door.outcomes("mutate", "panic"), door.metrics.inflight_requests.get()), (2, 0));
}
