//! The Secrets that a `ServiceAccount` lists: those its pods may mount, and those that the ServiceAccount plugin gives them to pull images.

use serde::Serialize;

use super::model::{Certainty, CredentialKind};
use super::secret_name::{KnownSecrets, SecretNames};
use crate::object::Node;

/// One Secret that a `ServiceAccount` lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedSecret<'a> {
    /// Its name.
    pub name: &'a str,
    /// `legacyTokenSecret`, or `secret`.
    pub kind: CredentialKind,
    /// How sure that is.
    pub certainty: Certainty,
    /// Where it stands in the `ServiceAccount`.
    pub field_path: String,
}

pub(super) fn read<'a>(account: Node<'a>, token_secrets: &'a KnownSecrets) -> Vec<ListedSecret<'a>> {
    let names = SecretNames::new(token_secrets);
    let of = |list: &'static str| {
        account.list(list).enumerate().map(move |(index, entry)| {
            let judged = names.judge(entry.text("name"));
            ListedSecret { name: judged.name, kind: judged.kind, certainty: judged.certainty, field_path: format!("{list}[{index}].name") }
        })
    };
    of("secrets").chain(of("imagePullSecrets")).collect()
}
