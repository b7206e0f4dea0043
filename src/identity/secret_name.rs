//! Whether a Secret is a legacy ServiceAccount token: by the list of such Secrets where it is at hand, by the shape of its name, and
//! by where its files are shown.

use std::collections::BTreeSet;

use super::credentials::TOKEN_DIRECTORY;
use super::model::{Certainty, CredentialKind};
use super::mount_path::{Relation, relation};
use super::mounts::{Mount, Shown};
use crate::object::Node;

/// Characters of the five that the token controller ended a name with (apimachinery's `rand`, and its older alphabet with `9`).
const SUFFIX_ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";

/// What is known of the types of a namespace's Secrets, by their names alone: their data is nobody's to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownSecrets {
    /// Those of type `kubernetes.io/service-account-token`.
    tokens: BTreeSet<String>,
    /// Those of another type. What is in neither is of another type where the list of tokens is complete, and not known elsewhere.
    others: BTreeSet<String>,
    complete: bool,
}

impl KnownSecrets {
    /// Every token Secret that there is.
    #[must_use]
    pub fn all(tokens: BTreeSet<String>) -> Self {
        Self { tokens, others: BTreeSet::new(), complete: true }
    }

    /// The Secrets that are among some files; of others nothing is known.
    #[must_use]
    pub fn among(tokens: BTreeSet<String>, others: BTreeSet<String>) -> Self {
        Self { tokens, others, complete: false }
    }

    /// Whether it is known what type a Secret is of.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.complete || self.tokens.contains(name) || self.others.contains(name)
    }
}

/// What is known of the namespace's token Secrets.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecretNames<'a>(&'a KnownSecrets);

/// What a Secret's name tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged<'a> {
    pub(super) name: &'a str,
    pub(super) kind: CredentialKind,
    pub(super) certainty: Certainty,
}

impl<'a> SecretNames<'a> {
    pub(super) fn new(token_secrets: &'a KnownSecrets) -> Self {
        Self(token_secrets)
    }

    /// A listed name is a legacy token; a name of that shape looks like one even if the list lacks it; where it is not known of what type
    /// it is, any other name is unknown.
    pub(super) fn judge(self, name: &'a str) -> Judged<'a> {
        let (kind, certainty) = if self.0.tokens.contains(name) {
            (CredentialKind::LegacyTokenSecret, Certainty::Known)
        } else if is_token_shaped(name) {
            (CredentialKind::LegacyTokenSecret, Certainty::Shaped)
        } else if self.0.knows(name) {
            (CredentialKind::Secret, Certainty::Known)
        } else {
            (CredentialKind::Secret, Certainty::Unknown)
        };
        Judged { name, kind, certainty }
    }
}

/// Whether a name is `<service account>-token-<5 characters>`.
fn is_token_shaped(name: &str) -> bool {
    let parts = name.len().checked_sub(5).and_then(|end| name.split_at_checked(end));
    parts.is_some_and(|(account, suffix)| {
        account.strip_suffix("-token-").is_some_and(|account| !account.is_empty())
            && suffix.chars().all(|character| SUFFIX_ALPHABET.contains(character))
    })
}

/// Whether a Secret mounted above the token directory puts a file into it. Only `items` can: a key holds no slash.
pub(super) fn shows_token_directory(mount: &Mount<'_>, source: Node<'_>) -> bool {
    source.list("items").any(|item| match mount.shows(item.text("path")) {
        Shown::At(file) => matches!(relation(file.as_str(), TOKEN_DIRECTORY), Relation::Same | Relation::Below),
        Shown::Somewhere => true,
        Shown::Hidden => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legacy_token_is_known_by_list_then_by_shape() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let (list, missing) = (KnownSecrets::all(names(&["robot"])), KnownSecrets::default());
        let (none, files) = (KnownSecrets::all(names(&[])), KnownSecrets::among(names(&["robot"]), names(&["db", "api-token-x7k2p"])));
        let (legacy, secret) = (CredentialKind::LegacyTokenSecret, CredentialKind::Secret);
        for (fact, name, kind, certainty) in [
            (&list, "robot", legacy, Certainty::Known),
            (&list, "api-token-x7k2p", legacy, Certainty::Shaped),
            (&list, "db", secret, Certainty::Known),
            (&none, "db", secret, Certainty::Known),
            (&files, "robot", legacy, Certainty::Known),
            (&files, "db", secret, Certainty::Known),
            (&files, "api-token-x7k2p", legacy, Certainty::Shaped),
            (&files, "another", secret, Certainty::Unknown),
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
