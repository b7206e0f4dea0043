//! kube-proxy's part: one address in front of several servers, chosen a connection, and left alone from then on.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};

/// Listens as long as it is kept.
pub(crate) struct Forwarder {
    pub(crate) address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Forwarder {
    /// Listens at an address, port 0 for a free one. Without a target, connections are closed at once.
    pub(crate) async fn listen(address: &str, target: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
        let address = listener.local_addr().expect("it is bound");
        let target = Arc::new(Mutex::new(target));
        let current = Arc::clone(&target);
        let accepting = tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let target = *current.lock().expect("never held over a panic");
                let Some(target) = target else { continue };
                tokio::spawn(async move {
                    if let Ok(mut to) = TcpStream::connect(target).await {
                        let _ends_with_either = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                    }
                });
            }
        });
        Self { address, target, accepting }
    }

    /// New connections go there; the others stay where they are.
    pub(crate) fn turn_to(&self, target: SocketAddr) {
        *self.target.lock().expect("never held over a panic") = Some(target);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
