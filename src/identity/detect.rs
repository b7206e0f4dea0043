//! Credentials recognised by their own shape, wherever they are written down.
//!
//! A detector has a name, and the name is all that is ever told: the value leaves this room by no door. Reading is linear in the text and
//! looks at bytes, since what was base64 need not be text.

mod shapes;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Shortest text that is tried as base64: no credential is shorter once it is encoded.
const SHORTEST_ENCODED: usize = 24;

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
const FOR_URLS: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, CONFIG);

/// What sort of credential a text holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detector {
    /// An AWS access key id, long-lived (`AKIA`) or of a session (`ASIA`).
    AwsAccessKey,
    /// The JSON key of a Google service account.
    GcpServiceAccount,
    /// A Google API key.
    GoogleApiKey,
    /// The key in an Azure storage connection string.
    AzureStorageKey,
    /// A Vault or OpenBao token: service, batch or recovery, or the service token of earlier versions (`s.`).
    VaultToken,
    /// A GitHub token.
    GithubToken,
    /// A GitLab token.
    GitlabToken,
    /// A Bitbucket token.
    BitbucketToken,
    /// An npm token.
    NpmToken,
    /// A kubeconfig with a token, a password or a client key in it.
    Kubeconfig,
    /// A signed ServiceAccount token of any Kubernetes.
    KubernetesToken,
    /// A private key as PEM.
    PrivateKey,
}

impl Detector {
    const ALL: [Self; 12] = [
        Self::AwsAccessKey,
        Self::GcpServiceAccount,
        Self::GoogleApiKey,
        Self::AzureStorageKey,
        Self::VaultToken,
        Self::GithubToken,
        Self::GitlabToken,
        Self::BitbucketToken,
        Self::NpmToken,
        Self::Kubeconfig,
        Self::KubernetesToken,
        Self::PrivateKey,
    ];

    /// The name in messages and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AwsAccessKey => "aws-access-key",
            Self::GcpServiceAccount => "gcp-service-account",
            Self::GoogleApiKey => "google-api-key",
            Self::AzureStorageKey => "azure-storage-key",
            Self::VaultToken => "vault-token",
            Self::GithubToken => "github-token",
            Self::GitlabToken => "gitlab-token",
            Self::BitbucketToken => "bitbucket-token",
            Self::NpmToken => "npm-token",
            Self::Kubeconfig => "kubeconfig",
            Self::KubernetesToken => "kubernetes-token",
            Self::PrivateKey => "private-key",
        }
    }
}

/// The detectors that found something in one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Detected(u16);

impl Detected {
    fn insert(&mut self, detector: Detector) {
        self.0 |= 1 << detector as u16;
    }

    fn contains(self, detector: Detector) -> bool {
        self.0 & (1 << detector as u16) != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the order of [`Detector`].
    pub(super) fn iter(self) -> impl Iterator<Item = Detector> {
        Detector::ALL.into_iter().filter(move |detector| self.contains(*detector))
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a text holds, as it stands or in one layer of base64.
pub(super) fn in_text(text: &str) -> Detected {
    in_bytes(text.as_bytes())
}

/// What base64 holds, as it is meant to be read or in one more layer. What is no base64 is read as it stands.
pub(super) fn in_base64(text: &str) -> Detected {
    decoded(text.as_bytes()).map_or_else(|| in_text(text), |bytes| in_bytes(&bytes))
}

/// Whether a name itself is a credential: then it may not be shown either.
pub(super) fn is_credential(name: &str) -> bool {
    !in_text(name).is_empty()
}

fn in_bytes(bytes: &[u8]) -> Detected {
    let found = as_written(bytes);
    match decoded(bytes) {
        Some(inner) => found.and(as_written(&inner)),
        None => found,
    }
}

/// What a text holds, also where JSON or YAML writes some of its characters by their numbers.
fn as_written(bytes: &[u8]) -> Detected {
    if bytes.len() < shapes::SHORTEST {
        return Detected::default();
    }
    let found = shapes::scan(bytes);
    // To look for one byte costs a fraction of what a loop over them does.
    match bytes.contains(&b'\\').then(|| unescaped(bytes)).flatten() {
        Some(plain) => found.and(shapes::scan(&plain)),
        None => found,
    }
}

/// A text with `\\u0041` and `\\x41` read as the ASCII characters that they stand for; `None` where it has none.
fn unescaped(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let (mut start, mut position) = (0, 0);
    while let Some(found) = bytes.get(position..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        let at = position + found;
        let (digits, length) = match bytes.get(at + 1) {
            Some(b'u') => (bytes.get(at + 2..at + 6), 6),
            Some(b'x') => (bytes.get(at + 2..at + 4), 4),
            _ => (None, 2),
        };
        let number = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()).filter(u8::is_ascii);
        if let Some(number) = number {
            plain.extend(bytes.get(start..at)?);
            plain.push(number);
            start = at + length;
        }
        position = if number.is_some() { start } else { at + 2 };
    }
    (start > 0).then(|| {
        plain.extend(bytes.get(start..).unwrap_or_default());
        plain
    })
}

/// The bytes that a whole value encodes; `None` where some character shows that it encodes nothing. Lines may be broken.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    if text.len() < SHORTEST_ENCODED {
        return None;
    }
    let (mut plain, mut for_urls, mut broken) = (false, false, false);
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'=' => {}
            b'+' | b'/' => plain = true,
            b'-' | b'_' => for_urls = true,
            b'\n' | b'\r' => broken = true,
            _ => return None,
        }
    }
    let engine = match (plain, for_urls) {
        (true, true) => return None,
        (_, false) => PLAIN,
        (false, true) => FOR_URLS,
    };
    if broken {
        let joined: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        engine.decode(joined).ok()
    } else {
        engine.decode(text).ok()
    }
}

#[cfg(test)]
mod tests;
