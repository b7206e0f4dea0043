//! Certificates: where the serving certificate comes from, how it is swapped under living connections, who is a verified caller.
//!
//! - `serving`: [`ServingCertificate`], the slot that every handshake reads, and PEM in
//! - `files`: a pair of files, as the kubelet or cert-manager writes them
//! - `clients`: [`ClientAuthority`], the CA that makes a caller verified
//! - `keeper`: reads or issues again in time, without dropping a connection

mod clients;
mod files;
mod keeper;
mod serving;

use std::path::PathBuf;
use std::sync::Arc;

use crate::cluster::AuthorityError;
pub use clients::ClientAuthority;
pub(super) use keeper::Keeper;
pub use keeper::SELF_MADE_NAMES;
pub use serving::{Pair, ServingCertificate};

/// Where the serving certificate comes from.
#[derive(Debug, Clone)]
pub enum CertificateSource {
    /// `--tls-cert FILE --tls-key FILE`: PEM, the leaf first. Read again when their content changes.
    Files {
        /// The certificate chain.
        certificate: PathBuf,
        /// The private key of its first certificate.
        key: PathBuf,
    },
    /// A CA and a leaf of our own, made at start and kept in memory.
    SelfMade {
        /// DNS names and IP addresses of the leaf, beside [`SELF_MADE_NAMES`].
        names: Vec<String>,
        /// Where the CA's certificate is written, for a `caBundle` or `curl --cacert`. Never the key.
        ca_file: Option<PathBuf>,
    },
    /// Somebody else installs and renews it. The server is not ready before the first is installed.
    Held(Arc<ServingCertificate>),
}

/// Why a certificate cannot be used. Names the file and the flag, never a byte of a key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file that cannot be read or written.
    #[error("`{flag} {}` cannot be {what}: {error}", file.display())]
    File {
        /// The flag that names the file.
        flag: &'static str,
        /// `read` or `written`.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// The system's reason.
        #[source]
        error: std::io::Error,
    },
    /// A file without what it should hold.
    #[error("{origin} holds no {what}: a PEM file is expected")]
    Empty {
        /// The flag and file, or the object, that was read.
        origin: String,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// Bytes that are no PEM, or a certificate that is none.
    #[error("{origin} holds a {what} that cannot be read: {reason}")]
    Malformed {
        /// The flag and file, or the object, that was read.
        origin: String,
        /// `certificate` or `private key`.
        what: &'static str,
        /// The parser's reason.
        reason: String,
    },
    /// A key that belongs to another certificate.
    #[error("{key} is not the key of the certificate in {certificate}: give the pair that was issued together")]
    Mismatch {
        /// Where the certificate was read.
        certificate: String,
        /// Where the key was read.
        key: String,
    },
    /// The self-made certificate could not be made.
    #[error(transparent)]
    Issue(#[from] AuthorityError),
}
