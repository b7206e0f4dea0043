//! kube-proxy's part: one address in front of several servers, chosen a connection, and left alone from then on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How many clients offered which version of HTTP, by the protocol list of their TLS hello.
#[derive(Default)]
struct Offers {
    http_1_only: AtomicUsize,
    http_2: AtomicUsize,
}

/// Listens as long as it is kept.
pub(crate) struct Forwarder {
    pub(crate) address: SocketAddr,
    target: watch::Sender<Option<SocketAddr>>,
    offers: Arc<Offers>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Forwarder {
    /// Listens at an address, port 0 for a free one. Without a target, connections wait for one.
    pub(crate) async fn listen(address: &str, target: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
        let address = listener.local_addr().expect("it is bound");
        let target = watch::Sender::new(target);
        let current = target.subscribe();
        let offers = Arc::new(Offers::default());
        let seen = Arc::clone(&offers);
        let accepting = tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let mut current = current.clone();
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    let Some(target) = current.wait_for(Option::is_some).await.ok().and_then(|target| *target) else { return };
                    let mut hello = [0; 4096];
                    let length = from.peek(&mut hello).await.unwrap_or(0);
                    let http_2 = hello[..length].windows(3).any(|window| window == b"\x02h2");
                    if http_2 { &seen.http_2 } else { &seen.http_1_only }.fetch_add(1, Ordering::Relaxed);
                    if let Ok(mut to) = TcpStream::connect(target).await {
                        let _ends_with_either = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                    }
                });
            }
        });
        Self { address, target, offers, accepting }
    }

    /// Asserts that every client so far spoke this version of HTTP.
    pub(crate) fn assert_http(&self, version: u8) {
        let counts = [&self.offers.http_1_only, &self.offers.http_2].map(|count| count.load(Ordering::Relaxed));
        let [http_1_only, http_2] = counts;
        let right = if version == 1 { http_1_only > 0 && http_2 == 0 } else { http_2 > 0 && http_1_only == 0 };
        assert!(right, "{http_1_only} connections for HTTP/1.1 alone, {http_2} for HTTP/2");
    }

    /// New connections go there; the others stay where they are.
    pub(crate) fn turn_to(&self, target: SocketAddr) {
        self.target.send_replace(Some(target));
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
