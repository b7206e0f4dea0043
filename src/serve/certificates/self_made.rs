//! A certificate of one's own for a server that was given none: an authority in memory and the leaves it issues.

use std::time::SystemTime;

use super::{CertificateError, Pair};
use crate::cluster::{Authority, Leaf};

/// The names that every self-made leaf carries.
pub const SELF_MADE_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "doorward.doorward.svc"];

/// A leaf for `names`, ready to be served, and when the next one is due.
pub(in crate::serve) fn issue(authority: &Authority, names: &[String], now: SystemTime) -> Result<(Pair, SystemTime), CertificateError> {
    let leaf = authority.issue_leaf(names, now)?;
    Ok((pair(&leaf, "the self-made leaf")?, leaf.renew_at()))
}

/// A leaf as the server takes it; `origin` says in errors where it came from.
fn pair(leaf: &Leaf, origin: &str) -> Result<Pair, CertificateError> {
    Pair::from_pem(leaf.chain_pem.as_bytes(), origin, leaf.key_pem.as_bytes(), origin)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use x509_parser::extensions::GeneralName;

    #[test]
    fn a_leaf_lives_a_day_begins_an_hour_ago_and_carries_every_name() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let authority = Authority::make(now).unwrap();
        let (pair, renew_at) = issue(&authority, &SELF_MADE_NAMES.map(str::to_owned), now).unwrap();
        assert_eq!(pair.not_after(), 2_000_000_000 + 24 * 3600);
        assert_eq!(renew_at, now + Duration::from_secs(12 * 3600));
        let (_, leaf) = x509_parser::parse_x509_certificate(pair.leaf().unwrap()).unwrap();
        assert_eq!(leaf.validity().not_before.timestamp(), 2_000_000_000 - 3600);
        let subject = leaf.subject_alternative_name().unwrap().unwrap();
        assert_eq!(
            subject.value.general_names,
            [GeneralName::DNSName("localhost"), GeneralName::IPAddress(&[127, 0, 0, 1]), GeneralName::DNSName("doorward.doorward.svc")]
        );
    }
}
