//! One certificate authority for all doors and webhooks of a test run.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use doorward::cluster::Authority;
use doorward::cluster::authority::Leaf;

/// Made once; what the API server trusts by `caBundle`.
pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::make(SystemTime::now()).expect("the system has randomness"))
}

/// A serving certificate of an authority that nobody trusts.
pub(crate) fn foreign(names: &[&str]) -> Leaf {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let stranger = Authority::make(SystemTime::now()).expect("the system has randomness");
    stranger.issue_leaf(&names, SystemTime::now()).expect("names are valid")
}

/// A serving certificate for these names or addresses.
pub(crate) fn leaf(names: &[&str]) -> Leaf {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    authority().issue_leaf(&names, SystemTime::now()).expect("names are valid")
}

/// A serving certificate as `doorward serve` takes it.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Writes a serving certificate for these names into a directory.
pub(crate) fn write(directory: &Path, names: &[&str]) -> Files {
    let leaf = leaf(names);
    let write = |name: &str, text: &str| {
        let file = directory.join(name);
        std::fs::write(&file, text).expect("the test's directory is writable");
        file
    };
    Files { certificate: write("tls.crt", &leaf.chain_pem), key: write("tls.key", &leaf.key_pem) }
}
