//! Keeps certificates fresh: reads files again when they change, issues a new leaf at half life.
//!
//! One task looks every ten seconds, at the digest of the files and at the clock of the wall. Watching by inotify would save nothing: the
//! kubelet replaces the folder that a watch stands on, takes up to a minute to copy a Secret, and the files are a few kilobytes. A timer
//! set for half a day would sleep through a suspended machine; a look at the clock does not.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::files::{PairFiles, read};
use super::{CertificateError, CertificateSource, ClientAuthority, Pair, ServingCertificate};
use crate::cluster::Authority;
use crate::serve::metrics::Metrics;

/// The names that every self-made leaf carries.
pub const SELF_MADE_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "doorward.doorward.svc"];

/// How often certificates are looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The certificates of a server and where they come from.
#[derive(Debug)]
pub(crate) struct Keeper {
    origin: Origin,
    serving: Arc<ServingCertificate>,
    clients: Option<ClientFile>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
enum Origin {
    Files(PairFiles),
    SelfMade { authority: Box<Authority>, names: Vec<String>, renew_at: SystemTime },
    Held,
}

#[derive(Debug)]
struct ClientFile {
    file: PathBuf,
    digest: [u8; 32],
    authority: Arc<ClientAuthority>,
}

impl Keeper {
    /// Reads or makes everything for the first time.
    pub(crate) async fn start(
        source: CertificateSource,
        client_ca: Option<PathBuf>,
        required: bool,
        metrics: Arc<Metrics>,
        now: SystemTime,
    ) -> Result<Self, CertificateError> {
        let (origin, serving) = match source {
            CertificateSource::Held(serving) => (Origin::Held, serving),
            CertificateSource::Files { certificate, key } => (Origin::Files(PairFiles::new(certificate, key)), ServingCertificate::empty()),
            CertificateSource::SelfMade { names, ca_file } => {
                let authority = Box::new(Authority::make(now)?);
                if let Some(file) = ca_file {
                    tokio::fs::write(&file, authority.certificate_pem()).await.map_err(|error| CertificateError::File {
                        flag: "--ca-out",
                        what: "written",
                        file,
                        error,
                    })?;
                }
                let names = SELF_MADE_NAMES.into_iter().map(str::to_owned).chain(names).collect();
                (Origin::SelfMade { authority, names, renew_at: now }, ServingCertificate::empty())
            }
        };
        let clients = match client_ca {
            None => None,
            Some(file) => {
                let pem = read("--client-ca", &file).await?;
                let authority = ClientAuthority::from_pem(&pem, &format!("`--client-ca {}`", file.display()), required)?;
                Some(ClientFile { file, digest: Sha256::digest(&pem).into(), authority })
            }
        };
        let mut keeper = Self { origin, serving, clients, metrics };
        keeper.renew_serving(now).await?;
        keeper.publish();
        Ok(keeper)
    }

    pub(crate) const fn serving(&self) -> &Arc<ServingCertificate> {
        &self.serving
    }

    pub(crate) fn clients(&self) -> Option<&Arc<ClientAuthority>> {
        self.clients.as_ref().map(|clients| &clients.authority)
    }

    /// Looks every [`CHECK_INTERVAL`], for ever.
    pub(crate) async fn run(mut self) {
        let mut ticks = tokio::time::interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.check(SystemTime::now()).await;
        }
    }

    /// One look. What cannot be read or issued leaves the one before in use.
    pub(crate) async fn check(&mut self, now: SystemTime) {
        match self.renew_serving(now).await {
            Ok(true) => tracing::info!(not_after = self.serving.not_after(), "serving certificate replaced"),
            Ok(false) => {}
            Err(error) => self.failed("serving", &error),
        }
        match self.renew_clients().await {
            Ok(true) => tracing::info!("client CA replaced"),
            Ok(false) => {}
            Err(error) => self.failed("client-ca", &error),
        }
        self.publish();
    }

    fn failed(&self, kind: &str, error: &CertificateError) {
        self.metrics.cert_reload_failures.with_label_values(&[kind]).inc();
        tracing::warn!(%error, kind, "the certificate before stays in use");
    }

    /// Whether a new serving certificate was installed.
    async fn renew_serving(&mut self, now: SystemTime) -> Result<bool, CertificateError> {
        let pair = match &mut self.origin {
            Origin::Held => None,
            Origin::Files(files) => files.changed().await?,
            Origin::SelfMade { names, authority, renew_at } if now >= *renew_at => {
                let leaf = authority.issue_leaf(names, now)?;
                *renew_at = leaf.renew_at();
                Some(Pair::from_pem(leaf.chain_pem.as_bytes(), "the self-made leaf", leaf.key_pem.as_bytes(), "its key")?)
            }
            Origin::SelfMade { .. } => None,
        };
        Ok(pair.map(|pair| self.serving.install(pair)).is_some())
    }

    async fn renew_clients(&mut self) -> Result<bool, CertificateError> {
        let Some(clients) = &mut self.clients else { return Ok(false) };
        let pem = read("--client-ca", &clients.file).await?;
        let digest: [u8; 32] = Sha256::digest(&pem).into();
        if digest == clients.digest {
            return Ok(false);
        }
        clients.digest = digest;
        clients.authority.replace(&pem, &format!("`--client-ca {}`", clients.file.display()))?;
        Ok(true)
    }

    fn publish(&self) {
        let expiry = |kind: &str, not_after: i64| self.metrics.cert_expiry_seconds.with_label_values(&[kind]).set(not_after);
        if let Some(not_after) = self.serving.not_after() {
            expiry("serving", not_after);
        }
        if let Origin::SelfMade { authority, .. } = &self.origin {
            expiry("ca", unix(authority.not_after()));
        }
        if let Some(clients) = &self.clients {
            expiry("client-ca", clients.authority.not_after());
        }
    }
}

fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000 + seconds)
    }

    #[tokio::test]
    async fn a_self_made_leaf_is_renewed_at_half_life() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let source = CertificateSource::SelfMade { names: vec!["door.example".into()], ca_file: None };
        let mut keeper = Keeper::start(source, None, false, Arc::clone(&metrics), at(0)).await.unwrap();
        let day = 24 * 3600;
        let expiry = || metrics.cert_expiry_seconds.with_label_values(&["serving"]).get();
        assert_eq!(expiry(), 2_000_000_000 + day);
        keeper.check(at(12 * 3600 - 1)).await;
        assert_eq!(expiry(), 2_000_000_000 + day);
        keeper.check(at(12 * 3600)).await;
        assert_eq!(expiry(), 2_000_000_000 + day + 12 * 3600);
        assert_eq!(metrics.cert_expiry_seconds.with_label_values(&["ca"]).get(), 2_000_000_000 + 3650 * day);
    }

    #[tokio::test]
    async fn a_bad_file_leaves_the_certificate_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let authority = Authority::make(SystemTime::now()).unwrap();
        let leaf = authority.issue_leaf(&["localhost".into()], SystemTime::now()).unwrap();
        std::fs::write(file("tls.crt"), leaf.chain_pem).unwrap();
        std::fs::write(file("tls.key"), leaf.key_pem).unwrap();
        std::fs::write(file("clients.crt"), authority.certificate_pem()).unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let source = CertificateSource::Files { certificate: file("tls.crt"), key: file("tls.key") };
        let mut keeper = Keeper::start(source, Some(file("clients.crt")), false, Arc::clone(&metrics), SystemTime::now()).await.unwrap();
        let before = keeper.serving().not_after();
        std::fs::write(file("tls.crt"), "nothing").unwrap();
        std::fs::write(file("clients.crt"), "nothing").unwrap();
        keeper.check(SystemTime::now()).await;
        keeper.check(SystemTime::now()).await;
        assert_eq!(keeper.serving().not_after(), before);
        let failures = |kind: &str| metrics.cert_reload_failures.with_label_values(&[kind]).get();
        assert_eq!((failures("serving"), failures("client-ca")), (1, 1), "once for each content");
    }
}
