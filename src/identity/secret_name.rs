//! Whether a Secret is a legacy ServiceAccount token: by the list of such Secrets where it is at hand, by the shape of its name, and
//! by where its files are shown.

use std::collections::BTreeSet;

use super::model::{Certainty, CredentialKind};
use super::mount_path::{MountPath, Relation};
use super::mounts::{Mount, Shown};
use crate::object::{Fact, Node};

/// Characters of the five that the token controller ended a name with (apimachinery's `rand`, and its older alphabet with `9`).
const SUFFIX_ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";

/// What is known of the namespace's token Secrets.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecretNames<'a>(&'a Fact<BTreeSet<String>>);

/// What a Secret's name tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged<'a> {
    pub(super) name: &'a str,
    pub(super) kind: CredentialKind,
    pub(super) certainty: Certainty,
}

impl<'a> SecretNames<'a> {
    pub(super) fn new(token_secrets: &'a Fact<BTreeSet<String>>) -> Self {
        Self(token_secrets)
    }

    /// A listed name is a legacy token; a name of that shape looks like one even if the list lacks it, for a list of files is not the
    /// cluster; without a list any other name is unknown.
    pub(super) fn judge(self, name: &'a str) -> Judged<'a> {
        let (kind, certainty) = match self.0 {
            Fact::Found(names) if names.contains(name) => (CredentialKind::LegacyTokenSecret, Certainty::Known),
            _ if is_token_shaped(name) => (CredentialKind::LegacyTokenSecret, Certainty::Shaped),
            Fact::Found(_) | Fact::Absent => (CredentialKind::Secret, Certainty::Known),
            Fact::Unknown(_) => (CredentialKind::Secret, Certainty::Unknown),
        };
        Judged { name, kind, certainty }
    }
}

/// Whether a name is `<service account>-token-<5 characters>`.
fn is_token_shaped(name: &str) -> bool {
    name.rsplit_once("-token-").is_some_and(|(account, suffix)| {
        !account.is_empty() && suffix.len() == 5 && suffix.chars().all(|character| SUFFIX_ALPHABET.contains(character))
    })
}

/// Whether a Secret mounted above the token directory puts a file into it. Only `items` can: a key holds no slash.
pub(super) fn shows_token_directory(mount: &Mount<'_>, source: Node<'_>, directory: &MountPath) -> bool {
    source.list("items").any(|item| match mount.shows(item.text("path")) {
        Shown::At(file) => matches!(file.relation(directory), Relation::Same | Relation::Below),
        Shown::Somewhere => true,
        Shown::Hidden => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legacy_token_is_known_by_list_then_by_shape() {
        let list = Fact::Found(BTreeSet::from(["robot".to_owned()]));
        let missing = Fact::Unknown("not listed".to_owned());
        let (legacy, secret) = (CredentialKind::LegacyTokenSecret, CredentialKind::Secret);
        for (fact, name, kind, certainty) in [
            (&list, "robot", legacy, Certainty::Known),
            (&list, "api-token-x7k2p", legacy, Certainty::Shaped),
            (&list, "db", secret, Certainty::Known),
            (&Fact::Absent, "db", secret, Certainty::Known),
            (&missing, "api-token-x7k2p", legacy, Certainty::Shaped),
            (&missing, "db", secret, Certainty::Unknown),
            (&missing, "api-token-x7k2", secret, Certainty::Unknown),
            (&missing, "api-token-x7k2e", secret, Certainty::Unknown),
            (&missing, "-token-x7k2p", secret, Certainty::Unknown),
        ] {
            let judged = SecretNames::new(fact).judge(name);
            assert_eq!((judged.kind, judged.certainty), (kind, certainty), "{name} {fact:?}");
        }
    }
}
