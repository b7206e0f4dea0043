//! Handshakes, certificates that change, callers that are verified.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn half_a_handshake_is_hung_up_on() {
    let door = Door::open(|options| options.limits.handshake = Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(door.server.address()).await.unwrap();
    // The header of a ClientHello of 512 bytes, and no ClientHello.
    stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0, "end of file");
    assert_eq!(door.http1().await.send(review("/mutate", "{}")).await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn plain_http_is_hung_up_on() {
    let door = Door::open(|_| {}).await;
    let mut stream = TcpStream::connect(door.server.address()).await.unwrap();
    stream.write_all(b"POST /mutate HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer).await;
    assert_eq!(answer.first(), Some(&0x15), "a TLS alert and nothing else: {answer:?}");
}

#[tokio::test]
async fn tls_1_2_is_spoken() {
    let door = Door::open(|_| {}).await;
    let trusted = Trusted::tls12(door.authority.certificate_pem());
    let answer = trusted.http1(door.server.address()).await.unwrap().send(review("/mutate", "{}")).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_new_certificate_leaves_living_connections_alone() {
    let door = Door::open(|_| {}).await;
    let mut clients = [door.http1().await, door.http2().await];
    let next = leaf(&door.authority, SystemTime::now());
    door.serving.install(next.clone());
    for client in &mut clients {
        assert_eq!(client.send(review("/mutate", "{}")).await.unwrap().status, StatusCode::OK);
        assert_ne!(Some(&client.leaf), next.leaf());
    }
    assert_eq!(Some(&door.http1().await.leaf), next.leaf());
}

#[tokio::test]
async fn no_certificate_no_handshake() {
    let door = Door::open(|options| options.certificate = CertificateSource::Held(ServingCertificate::empty())).await;
    let error = door.trusted().http1(door.server.address()).await.err().expect("no handshake").to_string();
    assert!(error.contains("AccessDenied"), "{error}");
    let answer = client::plain(door.server.admin_address(), "/readyz").await;
    assert_eq!((answer.status, answer.text()), (StatusCode::SERVICE_UNAVAILABLE, "no serving certificate yet\n"));
}

#[tokio::test]
async fn self_made_certificates_are_trusted_by_the_ca_written_out() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.crt");
    let door = Door::open(|options| {
        options.certificate = CertificateSource::SelfMade { names: vec!["door.example".into()], ca_file: Some(ca_file.clone()) };
    })
    .await;
    let ca = std::fs::read_to_string(ca_file).unwrap();
    assert!(!ca.contains("PRIVATE KEY"));
    let mut client = Trusted::new(&ca).http2(door.server.address()).await.unwrap();
    assert_eq!(client.send(review("/mutate", "{}")).await.unwrap().status, StatusCode::OK);
    assert!(door.metrics.cert_expiry_seconds.with_label_values(&["serving"]).get() > 0);
}

/// A client CA in a file, and another one that nobody trusts.
struct Callers {
    _folder: tempfile::TempDir,
    file: std::path::PathBuf,
    known: (String, String),
    foreign: (String, String),
}

/// A new CA and a client certificate that it issued, with its key.
fn client_certificate() -> (String, (String, String)) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let mut client = CertificateParams::new(["kube-apiserver".to_owned()]).unwrap();
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client = client.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    (ca_pem, (client.pem(), key.serialize_pem()))
}

fn callers() -> Callers {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clients.crt");
    let (ca, known) = client_certificate();
    let (_, foreign) = client_certificate();
    std::fs::write(&file, ca).unwrap();
    Callers { known, foreign, file, _folder: folder }
}

#[tokio::test]
async fn a_client_certificate_makes_a_caller_verified_and_nobody_is_refused() {
    let callers = callers();
    let door = Door::open(|options| options.client_ca = Some(callers.file.clone())).await;
    let ca = door.authority.certificate_pem();
    let asks = async |trusted: Trusted| {
        let mut client = trusted.http1(door.server.address()).await.unwrap();
        client.send(review("/mutate", "{}")).await.unwrap().text().to_owned()
    };
    assert_eq!(asks(Trusted::with_certificate(ca, &callers.known)).await, "mutate 2 bytes verified=true HTTP/1.1");
    assert_eq!(asks(Trusted::with_certificate(ca, &callers.foreign)).await, "mutate 2 bytes verified=false HTTP/1.1");
    assert_eq!(asks(Trusted::new(ca)).await, "mutate 2 bytes verified=false HTTP/1.1");
    assert!(door.metrics.cert_expiry_seconds.with_label_values(&["client-ca"]).get() > 0);
}

#[tokio::test]
async fn a_required_client_certificate_keeps_others_out() {
    let callers = callers();
    let door = Door::open(|options| {
        options.client_ca = Some(callers.file.clone());
        options.require_client_certificate = true;
    })
    .await;
    let ca = door.authority.certificate_pem();
    // In TLS 1.3 the client learns of it with its first read.
    let asks = async |trusted: Trusted| {
        let mut client = trusted.http1(door.server.address()).await?;
        client.send(review("/mutate", "{}")).await
    };
    let answer = asks(Trusted::with_certificate(ca, &callers.known)).await.unwrap();
    assert_eq!(answer.text(), "mutate 2 bytes verified=true HTTP/1.1");
    assert!(asks(Trusted::with_certificate(ca, &callers.foreign)).await.is_err());
    assert!(asks(Trusted::new(ca)).await.is_err());
    assert_eq!(door.outcomes("mutate", "allowed"), 1, "no other review reached the gate");
}
