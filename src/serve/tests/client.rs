//! A client that shows what a connection does: one connection, HTTP/1.1 or HTTP/2, no retries.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(super) type RequestBody = axum::body::Body;
pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

/// What a client trusts and shows.
#[derive(Clone)]
pub(super) struct Trusted {
    config: ClientConfig,
}

impl Trusted {
    pub(super) fn new(ca_pem: &str) -> Self {
        Self { config: Self::builder(ca_pem, rustls::DEFAULT_VERSIONS).with_no_client_auth() }
    }

    pub(super) fn tls12(ca_pem: &str) -> Self {
        Self { config: Self::builder(ca_pem, &[&rustls::version::TLS12]).with_no_client_auth() }
    }

    pub(super) fn with_certificate(ca_pem: &str, (certificate, key): &(String, String)) -> Self {
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        Self { config: Self::builder(ca_pem, rustls::DEFAULT_VERSIONS).with_client_auth_cert(chain, key).unwrap() }
    }

    fn builder(
        ca_pem: &str,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap().with_root_certificates(roots)
    }

    pub(super) async fn connect(&self, address: SocketAddr, alpn: &[&str]) -> Result<TlsStream<TcpStream>, Failure> {
        let mut config = self.config.clone();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost")?, stream).await?)
    }

    pub(super) async fn http1(&self, address: SocketAddr) -> Result<Client, Failure> {
        let stream = self.connect(address, &["http/1.1"]).await?;
        let leaf = leaf_of(&stream);
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Client { requests: Requests::Http1(requests), end: tokio::spawn(connection), leaf })
    }

    pub(super) async fn http2(&self, address: SocketAddr) -> Result<Client, Failure> {
        let stream = self.connect(address, &["h2", "http/1.1"]).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let leaf = leaf_of(&stream);
        let (requests, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        Ok(Client { requests: Requests::Http2(requests), end: tokio::spawn(connection), leaf })
    }
}

fn leaf_of(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// Plain HTTP/1.1, for the admin port.
pub(super) async fn plain(address: SocketAddr, path: &str) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().uri(path).header("host", "localhost").body(RequestBody::empty()).unwrap();
    read(requests.send_request(request).await.unwrap()).await.unwrap()
}

async fn read(response: http::Response<hyper::body::Incoming>) -> Result<Answer, Failure> {
    let (parts, body) = response.into_parts();
    Ok(Answer { status: parts.status, headers: parts.headers, body: body.collect().await?.to_bytes() })
}

enum Requests {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::SendRequest<RequestBody>),
}

/// One connection.
pub(super) struct Client {
    requests: Requests,
    /// Ends when the connection does.
    pub(super) end: JoinHandle<hyper::Result<()>>,
    /// The certificate that the server showed.
    pub(super) leaf: CertificateDer<'static>,
}

impl Client {
    pub(super) async fn send(&mut self, request: Request<RequestBody>) -> Result<Answer, Failure> {
        let response = match &mut self.requests {
            Requests::Http1(requests) => {
                requests.ready().await?;
                requests.send_request(request).await?
            }
            Requests::Http2(requests) => {
                requests.ready().await?;
                requests.send_request(request).await?
            }
        };
        read(response).await
    }

    /// Whether the connection takes no further request.
    pub(super) fn is_over(&self) -> bool {
        match &self.requests {
            Requests::Http1(requests) => requests.is_closed(),
            Requests::Http2(requests) => requests.is_closed(),
        }
    }
}
