//! What operators meet: the admin port, start errors, idle and excess connections.

use super::*;
use tokio::net::TcpListener;

#[tokio::test]
async fn probes_and_metrics_have_a_port_of_their_own() {
    let door = Door::open(|_| {}).await;
    let admin = door.server.admin_address();
    let answer = client::plain(admin, "/readyz").await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "ok\n"));
    door.gate.ready.store(false, Ordering::Release);
    door.serving.install(leaf(&door.authority, SystemTime::now() - Duration::from_secs(48 * 3600)));
    let answer = client::plain(admin, "/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.text(), "policies are not loaded yet\nthe serving certificate has expired\n");
    assert_eq!(client::plain(admin, "/livez").await.text(), "ok\n", "a restart would not load policies");

    let answer = client::plain(admin, "/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
    assert!(answer.text().contains("doorward_build_info{version=\""), "{}", answer.text());
    let answer = client::plain(admin, "/mutate").await;
    assert_eq!((answer.status, answer.text()), (StatusCode::NOT_FOUND, "no such path: there are `/livez`, `/readyz` and `/metrics`\n"));
}

async fn start_error(change: impl FnOnce(&mut Options)) -> String {
    let mut options = Options { listen: ([127, 0, 0, 1], 0).into(), admin_listen: ([127, 0, 0, 1], 0).into(), ..Options::default() };
    change(&mut options);
    let gate = Scripted::ready();
    let metrics = Arc::new(Metrics::new().unwrap());
    let log = DecisionLog::to(std::io::sink(), metrics.log_queue_depth.clone()).unwrap();
    Server::start(options, gate, metrics, log).await.err().expect("it must not start").to_string()
}

#[tokio::test]
async fn start_errors_name_the_flag() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = taken.local_addr().unwrap();
    let listen = start_error(|options| options.listen = address).await;
    assert_eq!(listen, format!("`--listen {address}`: another program listens there: give another address by `--listen`"));
    let admin = start_error(|options| options.admin_listen = address).await;
    assert_eq!(admin, format!("`--admin-listen {address}`: another program listens there: give another address by `--admin-listen`"));
    let no_ca = start_error(|options| options.require_client_certificate = true).await;
    assert_eq!(no_ca, "`--require-client-certificate` needs `--client-ca FILE`, the CA that signs the API server's client certificate");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    std::fs::write(&file, "").unwrap();
    let empty = start_error(|options| options.client_ca = Some(file.clone())).await;
    assert_eq!(empty, format!("`--client-ca {}` holds no certificate: a PEM file is expected", file.display()));
    let files = CertificateSource::Files { certificate: folder.path().join("tls.crt"), key: folder.path().join("tls.key") };
    let missing = start_error(|options| options.certificate = files).await;
    assert!(missing.starts_with(&format!("`--tls-cert {}` cannot be read: ", folder.path().join("tls.crt").display())), "{missing}");
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_hung_up_on() {
    let door = Door::open(|options| options.limits.header = Duration::from_millis(50)).await;
    for client in [door.http1().await, door.http2().await] {
        let _ended = client.end.await.unwrap();
    }
    assert_eq!(door.outcomes("mutate", "allowed"), 0);
}

#[tokio::test]
async fn an_idle_connection_is_hung_up_on_and_a_busy_one_is_not() {
    let door = Arc::new(
        Door::open(|options| {
            options.limits.header = Duration::from_millis(50);
            options.limits.idle = Duration::from_millis(100);
        })
        .await,
    );
    let busy = {
        let door = Arc::clone(&door);
        tokio::spawn(async move { door.http1().await.send(review("/mutate", "wait")).await.unwrap() })
    };
    door.one_waits().await;
    for http2 in [false, true] {
        let mut client = if http2 { door.http2().await } else { door.http1().await };
        assert_eq!(client.send(review("/mutate", "{}")).await.unwrap().status, StatusCode::OK);
        client.end.await.unwrap().expect("closed in good order");
    }
    door.gate.release.notify_one();
    assert_eq!(busy.await.unwrap().status, StatusCode::OK, "it waited longer than an idle connection may");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let door = Door::open(|options| options.limits.connections = 1).await;
    let mut first = door.http1().await;
    assert_eq!(first.send(review("/mutate", "{}")).await.unwrap().status, StatusCode::OK);
    let trusted = door.trusted();
    let mut second = Box::pin(trusted.http1(door.server.address()));
    let early = tokio::time::timeout(Duration::from_millis(50), second.as_mut()).await;
    assert!(early.is_err(), "no handshake while the only place is taken");
    drop(first);
    assert_eq!(second.await.unwrap().send(review("/mutate", "{}")).await.unwrap().status, StatusCode::OK);
}
