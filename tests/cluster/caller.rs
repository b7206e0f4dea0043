//! A caller that is no API server: bytes of its own choice over TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::certificates::authority;

/// Posts a body over HTTP/1.1; gives the status code and the answer's body.
pub(crate) async fn post(address: SocketAddr, path: &str, body: &[u8]) -> (u16, String) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority().bundle_pem().as_bytes()).expect("made here")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("ring has them");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(address).await.expect("the door listens");
    let name = ServerName::from(address.ip());
    let mut stream = connector.connect(name, stream).await.expect("the certificate is the door's");
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("the door reads");
    // A door that has read enough may answer and hang up before the end.
    let _answered_before = stream.write_all(body).await;
    let _answered_before = stream.flush().await;
    let mut answer = Vec::new();
    let _closed_without_farewell = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (code, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
}
