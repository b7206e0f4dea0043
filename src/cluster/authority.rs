//! A certificate authority of one's own, and the short-lived leaves that every replica issues for itself.
//!
//! No replica waits for another: whoever holds the authority makes a leaf when it starts and again at half of the leaf's life
//! (hardening B7). Private keys exist in memory and in the Secret that holds the authority, and in no output: `Debug` leaves them
//! out.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use time::OffsetDateTime;

const HOUR: Duration = Duration::from_secs(3600);

/// How long a leaf lives after it is issued. A stolen one is of no use a day later, and a replica that could not renew has half of
/// this to alarm somebody.
pub const LEAF_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How long an authority lives. Its change is a planned act (`certs/README.md`), never a timer that fires at night.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How far back certificates begin: clocks of control planes differ.
pub const CLOCK_SKEW: Duration = HOUR;

/// Why an authority cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The certificate cannot be read.
    #[error("the authority's certificate (`tls.crt`) is no PEM certificate; make a new one with `doorward certs init`")]
    Certificate,
    /// The private key cannot be read.
    #[error("the authority's private key (`tls.key`) is no PKCS#8 private key in PEM; make a new one with `doorward certs init`")]
    Key,
    /// The private key belongs to another certificate.
    #[error("the authority's private key (`tls.key`) does not belong to its certificate (`tls.crt`); replace both together")]
    KeyOfAnother,
    /// The certificate may not sign others.
    #[error("the certificate (`tls.crt`) is no certificate authority: its basic constraints do not say `CA:TRUE`")]
    NotAnAuthority,
    /// The time is outside the certificate's validity.
    #[error("the authority's certificate is valid from {not_before} to {not_after} only; replace it as `certs/README.md` says")]
    Expired {
        /// Start of the validity.
        not_before: String,
        /// End of the validity.
        not_after: String,
    },
    /// The API server would not trust the leaves.
    #[error("the bundle (`ca.crt`) does not hold the authority's certificate (`tls.crt`), so the API server would refuse its leaves")]
    NotInBundle,
    /// A name that no certificate may hold.
    #[error("`{name}` is neither a DNS name nor an IP address")]
    Name {
        /// The name.
        name: String,
    },
    /// The cryptography library refused.
    #[error("cannot make a certificate: {0}")]
    Make(rcgen::Error),
}

/// A certificate authority: a certificate that may sign, its private key, and the certificates that callers shall trust.
pub struct Authority {
    certificate_pem: String,
    key_pem: String,
    bundle_pem: String,
    not_after: SystemTime,
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authority").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// A server certificate with its private key.
pub struct Leaf {
    /// The certificate as PEM. The authority is not in it: callers have it in their bundle.
    pub chain_pem: String,
    /// The PKCS#8 private key as PEM.
    pub key_pem: String,
    /// When it was issued; it is valid from an hour before that.
    pub issued_at: SystemTime,
    /// When it ends.
    pub not_after: SystemTime,
}

impl fmt::Debug for Leaf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Leaf").field("issued_at", &self.issued_at).field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl Leaf {
    /// When the next leaf is due: half of this one's life is over.
    #[must_use]
    pub fn renew_at(&self) -> SystemTime {
        self.issued_at + self.not_after.duration_since(self.issued_at).unwrap_or_default() / 2
    }
}

impl Authority {
    /// Makes an authority that is valid from an hour before `now` for [`AUTHORITY_LIFE`].
    ///
    /// # Errors
    /// [`AuthorityError::Make`] if the system has no randomness.
    pub fn make(now: SystemTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Make)?;
        let not_after = now + AUTHORITY_LIFE;
        let mut params = CertificateParams::default();
        params.distinguished_name = named("doorward certificate authority");
        params.not_before = OffsetDateTime::from(now - CLOCK_SKEW);
        params.not_after = OffsetDateTime::from(not_after);
        // It signs leaves and no further authority.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate_pem = params.self_signed(&key).map_err(AuthorityError::Make)?.pem();
        Ok(Self { bundle_pem: certificate_pem.clone(), certificate_pem, key_pem: key.serialize_pem(), not_after })
    }

    /// Reads an authority from PEM: its certificate, its private key, and the bundle that callers shall trust (during a change of
    /// authority the bundle holds both).
    ///
    /// # Errors
    /// [`AuthorityError`] with what is wrong: what is loaded can issue leaves that a caller with the bundle accepts at `now`.
    pub fn load(certificate_pem: &str, key_pem: &str, bundle_pem: &str, now: SystemTime) -> Result<Self, AuthorityError> {
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|_| AuthorityError::Certificate)?;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).map_err(|_| AuthorityError::Certificate)?;
        let key = KeyPair::from_pem(key_pem).map_err(|_| AuthorityError::Key)?;
        if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(AuthorityError::KeyOfAnother);
        }
        if !certificate.is_ca() {
            return Err(AuthorityError::NotAnAuthority);
        }
        let validity = certificate.validity();
        let (not_before, not_after) = (validity.not_before.to_datetime(), validity.not_after.to_datetime());
        let at = OffsetDateTime::from(now);
        if at < not_before || at > not_after {
            return Err(AuthorityError::Expired { not_before: not_before.to_string(), not_after: not_after.to_string() });
        }
        if !CertificateDer::pem_slice_iter(bundle_pem.as_bytes()).any(|trusted| trusted.is_ok_and(|trusted| trusted == der)) {
            return Err(AuthorityError::NotInBundle);
        }
        Ok(Self {
            certificate_pem: certificate_pem.into(),
            key_pem: key_pem.into(),
            bundle_pem: bundle_pem.into(),
            not_after: SystemTime::from(not_after),
        })
    }

    /// The authority's own certificate as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The certificates that callers shall trust, as PEM: what the `caBundle` of a webhook holds.
    #[must_use]
    pub fn bundle_pem(&self) -> &str {
        &self.bundle_pem
    }

    /// When the authority ends.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// The private key as PKCS#8 PEM: for the Secret that keeps the authority, and for nothing else.
    pub(super) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Issues a server certificate for DNS names or IP addresses: valid from an hour before `now` for [`LEAF_LIFE`], never longer
    /// than the authority itself. The first name is the common name.
    ///
    /// # Errors
    /// [`AuthorityError::Name`] for a name that is none, [`AuthorityError::Make`] if the system has no randomness.
    pub fn issue_leaf(&self, names: &[String], now: SystemTime) -> Result<Leaf, AuthorityError> {
        let authority_key = KeyPair::from_pem(&self.key_pem).map_err(|_| AuthorityError::Key)?;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate_pem, authority_key).map_err(AuthorityError::Make)?;
        if let Some(name) = names.iter().find(|name| !is_certifiable(name)) {
            return Err(AuthorityError::Name { name: name.clone() });
        }
        let not_after = self.not_after.min(now + LEAF_LIFE);
        let mut params = CertificateParams::new(names).map_err(AuthorityError::Make)?;
        params.distinguished_name = named(names.first().map_or("doorward", String::as_str));
        params.not_before = OffsetDateTime::from(now - CLOCK_SKEW);
        params.not_after = OffsetDateTime::from(not_after);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // As an SVID: one certificate for both ends of a connection.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(AuthorityError::Make)?;
        let certificate = params.signed_by(&key, &issuer).map_err(AuthorityError::Make)?;
        Ok(Leaf { chain_pem: certificate.pem(), key_pem: key.serialize_pem(), issued_at: now, not_after })
    }
}

/// The names under which the API server calls a Service; the first is what it verifies.
#[must_use]
pub fn service_names(service: &str, namespace: &str) -> Vec<String> {
    vec![format!("{service}.{namespace}.svc"), format!("{service}.{namespace}.svc.cluster.local"), format!("{service}.{namespace}")]
}

fn is_certifiable(name: &str) -> bool {
    rustls_pki_types::ServerName::try_from(name).is_ok()
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    // X.509 allows a common name 64 characters; the names that count are the subject alternative ones.
    name.push(DnType::CommonName, common_name.chars().take(64).collect::<String>());
    name
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::client::danger::ServerCertVerifier as _;
    use rustls_pki_types::{ServerName, UnixTime};

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    /// Verifies a leaf as the API server does: against the bundle, for a name, at a time.
    fn verify(authority: &Authority, leaf: &Leaf, name: &str, now: SystemTime) -> Result<(), rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.bundle_pem().as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let der = CertificateDer::from_pem_slice(leaf.chain_pem.as_bytes()).unwrap();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&der, &[], &name, &[], UnixTime::since_unix_epoch(since)).map(|_| ())
    }

    #[test]
    fn a_leaf_is_trusted_by_whoever_has_the_bundle() {
        let authority = Authority::make(at(0)).unwrap();
        let leaf = authority.issue_leaf(&service_names("doorward", "doorward"), at(0)).unwrap();
        for name in ["doorward.doorward.svc", "doorward.doorward.svc.cluster.local"] {
            verify(&authority, &leaf, name, at(60)).unwrap();
        }
        let error = verify(&authority, &leaf, "vault.vault.svc", at(60)).unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
        let another = Authority::make(at(0)).unwrap();
        verify(&another, &leaf, "doorward.doorward.svc", at(60)).unwrap_err();
    }

    #[test]
    fn a_leaf_begins_an_hour_back_ends_after_a_day_and_is_renewed_at_half_life() {
        let authority = Authority::make(at(0)).unwrap();
        let leaf = authority.issue_leaf(&["127.0.0.1".to_owned()], at(7200)).unwrap();
        verify(&authority, &leaf, "127.0.0.1", at(3600)).unwrap();
        let early = verify(&authority, &leaf, "127.0.0.1", at(3599)).unwrap_err();
        assert!(early.to_string().contains("not valid yet"), "{early}");
        let late = verify(&authority, &leaf, "127.0.0.1", at(7200 + 86_401)).unwrap_err();
        assert!(late.to_string().contains("expired"), "{late}");
        assert_eq!(leaf.renew_at(), at(7200 + 43_200));
    }

    #[test]
    fn a_leaf_never_outlives_its_authority() {
        let authority = Authority::make(at(0)).unwrap();
        let last_hour = authority.not_after() - HOUR;
        let leaf = authority.issue_leaf(&["localhost".to_owned()], last_hour).unwrap();
        assert_eq!(leaf.not_after, authority.not_after());
        assert_eq!(leaf.renew_at(), last_hour + HOUR / 2);
    }

    #[test]
    fn what_is_loaded_can_issue() {
        let made = Authority::make(at(0)).unwrap();
        let former = Authority::make(at(0)).unwrap();
        let both = format!("{}{}", former.bundle_pem(), made.bundle_pem());
        let loaded = Authority::load(made.certificate_pem(), made.key_pem(), &both, at(60)).unwrap();
        let leaf = loaded.issue_leaf(&["doorward.doorward.svc".to_owned()], at(60)).unwrap();
        verify(&made, &leaf, "doorward.doorward.svc", at(60)).unwrap();
        assert_eq!(loaded.not_after(), made.not_after());
    }

    #[test]
    fn what_cannot_issue_is_not_loaded() {
        let one = Authority::make(at(0)).unwrap();
        let other = Authority::make(at(0)).unwrap();
        let leaf = one.issue_leaf(&["a".to_owned()], at(0)).unwrap();
        let load = |certificate: &str, key: &str, bundle: &str, now| Authority::load(certificate, key, bundle, now).unwrap_err();
        let (certificate, key) = (one.certificate_pem(), one.key_pem());
        assert!(matches!(load("x", key, certificate, at(0)), AuthorityError::Certificate));
        assert!(matches!(load(certificate, "x", certificate, at(0)), AuthorityError::Key));
        assert!(matches!(load(certificate, other.key_pem(), certificate, at(0)), AuthorityError::KeyOfAnother));
        assert!(matches!(load(&leaf.chain_pem, &leaf.key_pem, &leaf.chain_pem, at(0)), AuthorityError::NotAnAuthority));
        assert!(matches!(load(certificate, key, other.certificate_pem(), at(0)), AuthorityError::NotInBundle));
        let late = load(certificate, key, certificate, one.not_after() + HOUR);
        assert!(matches!(late, AuthorityError::Expired { .. }), "{late}");
        assert!(matches!(one.issue_leaf(&["a b".to_owned()], at(0)).unwrap_err(), AuthorityError::Name { name } if name == "a b"));
    }

    #[test]
    fn no_private_key_is_printed() {
        let authority = Authority::make(at(0)).unwrap();
        let leaf = authority.issue_leaf(&["a".to_owned()], at(0)).unwrap();
        for text in [format!("{authority:?}"), format!("{leaf:?}")] {
            assert!(!text.contains("PRIVATE"), "{text}");
        }
    }
}
