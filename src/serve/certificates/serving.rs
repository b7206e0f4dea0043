//! The serving certificate: a slot that every handshake reads and that is swapped whole.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::CertificateError;

/// A certificate chain with its key, checked to belong together.
#[derive(Debug, Clone)]
pub struct Pair {
    certified: Arc<CertifiedKey>,
    /// Unix seconds.
    not_after: i64,
}

impl Pair {
    /// Reads PEM: the leaf first, intermediates after it. `certificate_origin` and `key_origin` say in errors what was read.
    ///
    /// # Errors
    /// When one of them holds no PEM of its sort, or the key is not the leaf's.
    pub fn from_pem(certificate: &[u8], certificate_origin: &str, key: &[u8], key_origin: &str) -> Result<Self, CertificateError> {
        let chain = certificates(certificate, certificate_origin)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => CertificateError::Empty { origin: key_origin.to_owned(), what: "private key" },
            error => CertificateError::Malformed { origin: key_origin.to_owned(), what: "private key", reason: error.to_string() },
        })?;
        Self::from_der(chain, certificate_origin, &key, key_origin)
    }

    pub(super) fn from_der(
        chain: Vec<CertificateDer<'static>>,
        certificate_origin: &str,
        key: &PrivateKeyDer<'static>,
        key_origin: &str,
    ) -> Result<Self, CertificateError> {
        let leaf = chain.first().ok_or_else(|| CertificateError::Empty { origin: certificate_origin.to_owned(), what: "certificate" })?;
        let not_after = not_after(leaf, certificate_origin)?;
        let signer = rustls::crypto::ring::sign::any_supported_type(key).map_err(|error| CertificateError::Malformed {
            origin: key_origin.to_owned(),
            what: "private key",
            reason: error.to_string(),
        })?;
        let certified = CertifiedKey::new(chain, signer);
        certified.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                CertificateError::Mismatch { certificate: certificate_origin.to_owned(), key: key_origin.to_owned() }
            }
            error => CertificateError::Malformed { origin: certificate_origin.to_owned(), what: "certificate", reason: error.to_string() },
        })?;
        Ok(Self { certified: Arc::new(certified), not_after })
    }

    /// The Unix time at which the leaf expires.
    #[must_use]
    pub const fn not_after(&self) -> i64 {
        self.not_after
    }

    /// The leaf in DER.
    #[must_use]
    pub fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.certified.cert.first()
    }
}

/// Every certificate of a PEM text; at least one.
pub(super) fn certificates(pem: &[u8], origin: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| CertificateError::Malformed {
        origin: origin.to_owned(),
        what: "certificate",
        reason: error.to_string(),
    })?;
    if all.is_empty() {
        return Err(CertificateError::Empty { origin: origin.to_owned(), what: "certificate" });
    }
    Ok(all)
}

/// The Unix time at which a certificate expires.
pub(super) fn not_after(certificate: &CertificateDer<'_>, origin: &str) -> Result<i64, CertificateError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| CertificateError::Malformed {
        origin: origin.to_owned(),
        what: "certificate",
        reason: error.to_string(),
    })?;
    Ok(parsed.validity().not_after.timestamp())
}

/// The slot. A handshake takes what is in it at that moment; connections that live keep what they began with.
#[derive(Debug, Default)]
pub struct ServingCertificate {
    current: ArcSwapOption<Pair>,
}

impl ServingCertificate {
    /// An empty slot: handshakes fail until something is installed.
    #[must_use]
    pub fn empty() -> Arc<Self> {
        Arc::default()
    }

    /// Serves `pair` from the next handshake on.
    pub fn install(&self, pair: Pair) {
        self.current.store(Some(Arc::new(pair)));
    }

    /// The Unix time at which the installed leaf expires. None: nothing installed.
    #[must_use]
    pub fn not_after(&self) -> Option<i64> {
        self.current.load().as_ref().map(|pair| pair.not_after)
    }
}

impl ResolvesServerCert for ServingCertificate {
    /// Whatever name the client asks for: an API server reaches a webhook by service name, by URL, or through a proxy.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load().as_ref().map(|pair| Arc::clone(&pair.certified))
    }
}
