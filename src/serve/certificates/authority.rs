//! A certificate authority of our own, and the leaves it issues.
//!
//! Leaves live a day at most: each replica issues its own from the CA, so renewal needs neither a leader nor a Secret that the kubelet
//! has yet to copy. `notBefore` lies an hour back, for API servers whose clock is behind.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use super::{CertificateError, Pair};

/// How long a leaf lives from the moment of its issue.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The names that every self-made leaf carries.
pub const SELF_MADE_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "doorward.doorward.svc"];

/// How long a self-made CA lives. It dies with the process, or with its Secret.
const CA_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// How far back `notBefore` lies.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// A CA: its certificate and key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    not_after: i64,
}

impl std::fmt::Debug for Authority {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl Authority {
    /// A new CA on P-256, valid for a year from `now`.
    ///
    /// # Errors
    /// When the system gives no randomness, or `now` is out of range.
    pub fn new(now: SystemTime) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "doorward self-made CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = validity(now, CA_LIFETIME)?;
        let not_after = params.not_after.unix_timestamp();
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate_pem, not_after })
    }

    /// A CA that was kept, for instance in a Secret. `origin` says in errors what was read.
    ///
    /// # Errors
    /// When one of them cannot be read, or the key is another certificate's.
    pub fn from_pem(certificate_pem: &str, key_pem: &str, origin: &str) -> Result<Self, CertificateError> {
        let malformed =
            |what, reason: rcgen::Error| CertificateError::Malformed { origin: origin.to_owned(), what, reason: reason.to_string() };
        let chain = super::serving::certificates(certificate_pem.as_bytes(), origin)?;
        let certificate = chain.first().ok_or_else(|| CertificateError::Empty { origin: origin.to_owned(), what: "certificate" })?;
        let key = KeyPair::from_pem(key_pem).map_err(|error| malformed("private key", error))?;
        let not_after = super::serving::not_after(certificate, origin)?;
        if !holds_key(certificate, &key.subject_public_key_info()) {
            return Err(CertificateError::Mismatch { certificate: origin.to_owned(), key: origin.to_owned() });
        }
        let issuer = Issuer::from_ca_cert_der(certificate, key).map_err(|error| malformed("certificate", error))?;
        Ok(Self { issuer, certificate_pem: certificate_pem.to_owned(), not_after })
    }

    /// The CA's certificate: what a `caBundle` holds.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The CA's private key in PEM, for the Secret that keeps it. For nothing else.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The Unix time at which the CA expires.
    #[must_use]
    pub const fn not_after(&self) -> i64 {
        self.not_after
    }

    /// A leaf for `names` (DNS names and IP addresses), valid from an hour before `now` to [`LEAF_LIFETIME`] after it, or to the CA's end.
    ///
    /// # Errors
    /// When a name is none, or `now` is out of range.
    pub fn issue(&self, names: &[String], now: SystemTime) -> Result<Pair, CertificateError> {
        let (certificate, key) = self.leaf(names, now)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Pair::from_der(vec![certificate.der().clone()], "the self-made leaf", &key, "its key")
    }

    /// As [`Authority::issue`], as PEM of the certificate and the key.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue_pem(&self, names: &[String], now: SystemTime) -> Result<(String, String), CertificateError> {
        let (certificate, key) = self.leaf(names, now)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn leaf(&self, names: &[String], now: SystemTime) -> Result<(rcgen::Certificate, KeyPair), CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>()?;
        params.distinguished_name.push(DnType::CommonName, "doorward");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = validity(now, LEAF_LIFETIME)?;
        let ca_end = OffsetDateTime::from_unix_timestamp(self.not_after).map_err(|_| CertificateError::Clock)?;
        params.not_after = params.not_after.min(ca_end);
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }
}

/// Whether `public_key` (in DER, X.509's `SubjectPublicKeyInfo`) stands in the certificate.
fn holds_key(certificate: &[u8], public_key: &[u8]) -> bool {
    x509_parser::parse_x509_certificate(certificate).is_ok_and(|(_, parsed)| parsed.public_key().raw == public_key)
}

fn alternative_name(name: &str) -> Result<SanType, CertificateError> {
    Ok(match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into()?),
    })
}

fn validity(now: SystemTime, lifetime: Duration) -> Result<(OffsetDateTime, OffsetDateTime), CertificateError> {
    let at = |time: Option<SystemTime>| {
        let since = time?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        OffsetDateTime::from_unix_timestamp(i64::try_from(since.as_secs()).ok()?).ok()
    };
    at(now.checked_sub(CLOCK_SKEW)).zip(at(now.checked_add(lifetime))).ok_or(CertificateError::Clock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::extensions::GeneralName;

    fn names() -> Vec<String> {
        SELF_MADE_NAMES.map(str::to_owned).to_vec()
    }

    #[test]
    fn a_leaf_lives_a_day_and_begins_an_hour_ago() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let authority = Authority::new(now).unwrap();
        let pair = authority.issue(&names(), now).unwrap();
        assert_eq!(pair.not_after(), 2_000_000_000 + 24 * 3600);
        let (_, leaf) = x509_parser::parse_x509_certificate(pair.leaf().unwrap()).unwrap();
        assert_eq!(leaf.validity().not_before.timestamp(), 2_000_000_000 - 3600);
        let subject = leaf.subject_alternative_name().unwrap().unwrap();
        assert_eq!(
            subject.value.general_names,
            [GeneralName::DNSName("localhost"), GeneralName::IPAddress(&[127, 0, 0, 1]), GeneralName::DNSName("doorward.doorward.svc")]
        );
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(authority.not_after().unsigned_abs() - 60);
        assert_eq!(authority.issue(&names(), end).unwrap().not_after(), authority.not_after(), "no leaf outlives its CA");
    }

    #[test]
    fn a_kept_authority_issues_as_before() {
        let now = SystemTime::now();
        let first = Authority::new(now).unwrap();
        let kept = Authority::from_pem(first.certificate_pem(), &first.key_pem(), "Secret doorward/doorward-ca").unwrap();
        assert_eq!((kept.certificate_pem(), kept.not_after()), (first.certificate_pem(), first.not_after()));
        let pair = kept.issue(&names(), now).unwrap();
        let (_, leaf) = x509_parser::parse_x509_certificate(pair.leaf().unwrap()).unwrap();
        let ca_der = &super::super::serving::certificates(first.certificate_pem().as_bytes(), "the CA").unwrap()[0];
        let (_, ca) = x509_parser::parse_x509_certificate(ca_der).unwrap();
        assert_eq!(leaf.issuer(), ca.subject());

        let other = Authority::new(now).unwrap();
        let error = Authority::from_pem(first.certificate_pem(), &other.key_pem(), "Secret doorward/doorward-ca").unwrap_err();
        assert!(matches!(error, CertificateError::Mismatch { .. }), "{error}");
        assert!(!format!("{first:?}").contains("KEY"));
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let error = Authority::new(SystemTime::now()).unwrap().issue(&["ü".to_owned()], SystemTime::now()).unwrap_err();
        assert!(error.to_string().starts_with("a certificate cannot be issued: "), "{error}");
    }
}
