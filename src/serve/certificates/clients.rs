//! The CA that makes a caller verified: the API server's client certificate.
//!
//! A certificate that is asked for but not required is judged after the handshake, not in it: a caller with a certificate of another CA, or
//! an expired one, is served as unverified. A CA rotated on one side first must not stop every write of a cluster.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};

use super::CertificateError;
use super::serving::{certificates, not_after};

/// What is read from one `--client-ca` file.
struct Trust {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Of the certificate that expires first, in Unix seconds.
    not_after: i64,
}

/// `--client-ca`: the roots, swapped when the file changes, and whether a certificate is required.
pub struct ClientAuthority {
    trust: ArcSwap<Trust>,
    provider: Arc<CryptoProvider>,
    required: bool,
}

impl fmt::Debug for ClientAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthority").field("required", &self.required).field("not_after", &self.not_after()).finish_non_exhaustive()
    }
}

impl ClientAuthority {
    /// Roots from PEM. `required`: a caller without a valid certificate fails its handshake.
    ///
    /// # Errors
    /// When the text holds no certificate that can be a root.
    pub fn from_pem(pem: &[u8], origin: &str, required: bool) -> Result<Arc<Self>, CertificateError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = ArcSwap::from_pointee(Self::trust(pem, origin, &provider)?);
        Ok(Arc::new(Self { trust, provider, required }))
    }

    /// Replaces the roots, from the next handshake on.
    ///
    /// # Errors
    /// As [`ClientAuthority::from_pem`]; the roots before stay.
    pub fn replace(&self, pem: &[u8], origin: &str) -> Result<(), CertificateError> {
        self.trust.store(Arc::new(Self::trust(pem, origin, &self.provider)?));
        Ok(())
    }

    fn trust(pem: &[u8], origin: &str, provider: &Arc<CryptoProvider>) -> Result<Trust, CertificateError> {
        let malformed = |reason: String| CertificateError::Malformed { origin: origin.to_owned(), what: "certificate", reason };
        let mut roots = RootCertStore::empty();
        let mut earliest = i64::MAX;
        for certificate in certificates(pem, origin)? {
            earliest = earliest.min(not_after(&certificate, origin)?);
            roots.add(certificate).map_err(|error| malformed(error.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| malformed(error.to_string()))?;
        Ok(Trust { verifier, not_after: earliest })
    }

    /// The Unix time at which the first of the roots expires.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.trust.load().not_after
    }

    /// Whether the chain that a caller sent is valid now. Possession of the key was proved in the handshake, or in the one that it resumes.
    #[must_use]
    pub fn verifies(&self, chain: Option<&[CertificateDer<'_>]>, now: SystemTime) -> bool {
        let Some((leaf, intermediates)) = chain.and_then(<[_]>::split_first) else { return false };
        let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return false };
        self.trust.load().verifier.verify_client_cert(leaf, intermediates, UnixTime::since_unix_epoch(now)).is_ok()
    }
}

impl ClientCertVerifier for ClientAuthority {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    /// None: the API server has one certificate for us, and offers it to whoever asks.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if self.required {
            self.trust.load().verifier.verify_client_cert(end_entity, intermediates, now)
        } else {
            Ok(ClientCertVerified::assertion())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
