//! A certificate and its key from two files.
//!
//! The kubelet swaps a mounted Secret by renaming the `..data` symlink: both files change at once, yet a reader of two paths may stand on
//! both sides of the swap. So the certificate is read again after the key, until it is the same before and after.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{CertificateError, Pair};

/// Swaps seen during one read before it is given up until the next check. A kubelet swaps once a minute at most.
const ATTEMPTS: usize = 3;

/// The two files, and what was last read from them.
#[derive(Debug)]
pub(super) struct PairFiles {
    certificate: PathBuf,
    key: PathBuf,
    digest: Option<[u8; 32]>,
}

impl PairFiles {
    pub(super) const fn new(certificate: PathBuf, key: PathBuf) -> Self {
        Self { certificate, key, digest: None }
    }

    /// The pair, if it differs from the last one that was read. A pair that cannot be used is an error once for each content, and tried
    /// again only when it changes: the log says it once.
    pub(super) async fn changed(&mut self) -> Result<Option<Pair>, CertificateError> {
        let (certificate, key) = self.read().await?;
        let digest = Sha256::new().chain_update(Sha256::digest(&certificate)).chain_update(Sha256::digest(&key)).finalize().into();
        if self.digest == Some(digest) {
            return Ok(None);
        }
        self.digest = Some(digest);
        let origin = |flag: &str, file: &Path| format!("`{flag} {}`", file.display());
        let pair = Pair::from_pem(&certificate, &origin("--tls-cert", &self.certificate), &key, &origin("--tls-key", &self.key))?;
        Ok(Some(pair))
    }

    async fn read(&self) -> Result<(Vec<u8>, Vec<u8>), CertificateError> {
        let mut certificate = read("--tls-cert", &self.certificate).await?;
        let mut key = read("--tls-key", &self.key).await?;
        for _ in 1..ATTEMPTS {
            let again = read("--tls-cert", &self.certificate).await?;
            if again == certificate {
                break;
            }
            certificate = again;
            key = read("--tls-key", &self.key).await?;
        }
        Ok((certificate, key))
    }
}

/// Reads a file that `flag` names.
pub(super) async fn read(flag: &'static str, file: &Path) -> Result<Vec<u8>, CertificateError> {
    tokio::fs::read(file).await.map_err(|error| CertificateError::File { flag, what: "read", file: file.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Authority;
    use std::os::unix::fs::symlink;
    use std::time::SystemTime;

    fn write_pair(folder: &Path, authority: &Authority) {
        let leaf = authority.issue_leaf(&["localhost".to_owned()], SystemTime::now()).unwrap();
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("tls.crt"), leaf.chain_pem).unwrap();
        std::fs::write(folder.join("tls.key"), leaf.key_pem).unwrap();
    }

    /// A Secret volume as the kubelet lays it out: `tls.crt -> ..data/tls.crt`, `..data -> ..<timestamp>`.
    #[tokio::test]
    async fn the_kubelets_swap_is_seen_and_only_a_change_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let authority = Authority::make(SystemTime::now()).unwrap();
        write_pair(&path("..first"), &authority);
        symlink("..first", path("..data")).unwrap();
        symlink("..data/tls.crt", path("tls.crt")).unwrap();
        symlink("..data/tls.key", path("tls.key")).unwrap();
        let mut files = PairFiles::new(path("tls.crt"), path("tls.key"));
        let first = files.changed().await.unwrap().expect("the first read");
        assert!(files.changed().await.unwrap().is_none());

        write_pair(&path("..second"), &authority);
        symlink("..second", path("..next")).unwrap();
        std::fs::rename(path("..next"), path("..data")).unwrap();
        let second = files.changed().await.unwrap().expect("the swap");
        assert_ne!(first.leaf(), second.leaf());
    }

    #[tokio::test]
    async fn errors_name_the_flag_and_the_file_and_come_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let authority = Authority::make(SystemTime::now()).unwrap();
        write_pair(folder.path(), &authority);
        write_pair(&path("other"), &authority);

        let mut missing = PairFiles::new(path("none.crt"), path("tls.key"));
        let error = missing.changed().await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("`--tls-cert {}` cannot be read: ", path("none.crt").display())), "{error}");

        let mut mixed = PairFiles::new(path("tls.crt"), path("other/tls.key"));
        let error = mixed.changed().await.unwrap_err().to_string();
        let expected = format!(
            "`--tls-key {}` is not the key of the certificate in `--tls-cert {}`: give the pair that was issued together",
            path("other/tls.key").display(),
            path("tls.crt").display()
        );
        assert_eq!(error, expected);
        assert!(mixed.changed().await.unwrap().is_none(), "the same mismatch is not reported twice");

        let mut swapped = PairFiles::new(path("tls.key"), path("tls.crt"));
        let error = swapped.changed().await.unwrap_err().to_string();
        assert_eq!(error, format!("`--tls-cert {}` holds no certificate: a PEM file is expected", path("tls.key").display()));

        let mut keyless = PairFiles::new(path("tls.crt"), path("tls.crt"));
        let error = keyless.changed().await.unwrap_err().to_string();
        assert_eq!(error, format!("`--tls-key {}` holds no private key: a PEM file is expected", path("tls.crt").display()));
    }
}
