//! The shapes: one pass over the bytes, in which only a byte that begins some shape is looked at twice.

use base64::Engine as _;

use super::{Detected, Detector, FOR_URLS};

/// Characters after the dot of the service tokens that Vault issued before 1.10, and OpenBao still does.
const LEGACY_TOKEN: usize = 24;

/// Longest label between the dashes of a PEM header.
const PEM_LABEL: usize = 48;

/// Everything that the bytes hold.
pub(super) fn scan(text: &[u8]) -> Detected {
    let mut found = Detected::default();
    let mut before = b' ';
    for (start, byte) in text.iter().copied().enumerate() {
        let begins = !is_word(before);
        before = byte;
        let hit = match byte {
            b'A' | b'h' | b's' | b'g' | b'n' | b'e' if begins => {
                let rest = text.get(start..).unwrap_or_default();
                token(byte, rest)
            }
            b'-' => text.get(start..).filter(|rest| is_private_key(rest)).map(|_| Detector::PrivateKey),
            b'"' => text.get(start..).filter(|rest| is_service_account(rest, text, start)).map(|_| Detector::GcpServiceAccount),
            b'c' if begins => text.get(start..).filter(|rest| is_client_key(rest)).map(|_| Detector::Kubeconfig),
            _ => None,
        };
        if let Some(detector) = hit {
            found.insert(detector);
        }
    }
    if !found.contains(Detector::Kubeconfig) && is_kubeconfig(text) {
        found.insert(Detector::Kubeconfig);
    }
    found
}

/// A token that its own first letters tell.
fn token(first: u8, rest: &[u8]) -> Option<Detector> {
    let upper = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let alphanumeric = |byte: u8| byte.is_ascii_alphanumeric();
    let found = |detector, hit: bool| hit.then_some(detector);
    match first {
        b'A' => found(Detector::AwsAccessKey, ["AKIA", "ASIA"].iter().any(|prefix| exactly(rest, prefix, 16, upper)))
            .or_else(|| found(Detector::GoogleApiKey, exactly(rest, "AIza", 35, is_url_safe)))
            .or_else(|| found(Detector::AzureStorageKey, at_least(rest, "AccountKey=", 86, is_base64)))
            .or_else(|| found(Detector::BitbucketToken, at_least(rest, "ATBB", 24, alphanumeric))),
        b'h' => found(Detector::VaultToken, ["hvs.", "hvb.", "hvr."].iter().any(|prefix| at_least(rest, prefix, 20, is_url_safe))),
        b's' => found(Detector::VaultToken, exactly(rest, "s.", LEGACY_TOKEN, alphanumeric)),
        b'g' => {
            let github = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"];
            let gitlab = ["glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glsoat-"];
            found(Detector::GithubToken, github.iter().any(|prefix| at_least(rest, prefix, 30, alphanumeric)))
                .or_else(|| found(Detector::GithubToken, at_least(rest, "github_pat_", 22, is_word)))
                .or_else(|| found(Detector::GitlabToken, gitlab.iter().any(|prefix| at_least(rest, prefix, 20, is_url_safe))))
        }
        b'n' => found(Detector::NpmToken, exactly(rest, "npm_", 36, alphanumeric)),
        b'e' => found(Detector::KubernetesToken, is_kubernetes_token(rest)),
        _ => None,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_url_safe(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// A prefix and so many characters of a kind, or more.
fn at_least(text: &[u8], prefix: &str, count: usize, kind: impl Fn(u8) -> bool) -> bool {
    text.strip_prefix(prefix.as_bytes()).and_then(|rest| rest.get(..count)).is_some_and(|part| part.iter().all(|byte| kind(*byte)))
}

/// A prefix and so many characters of a kind, where the word or name ends.
fn exactly(text: &[u8], prefix: &str, count: usize, kind: impl Fn(u8) -> bool) -> bool {
    at_least(text, prefix, count, &kind)
        && text.get(prefix.len() + count).is_none_or(|next| !is_url_safe(*next) && (*next != b'.' || ends(text, prefix.len() + count + 1)))
}

/// Whether nothing of a name follows.
fn ends(text: &[u8], position: usize) -> bool {
    text.get(position).is_none_or(|next| !is_word(*next))
}

/// `-----BEGIN ... PRIVATE KEY`, of every algorithm and of OpenPGP.
fn is_private_key(text: &[u8]) -> bool {
    let Some(label) = text.strip_prefix(b"-----BEGIN ".as_slice()) else { return false };
    let label = label.get(..PEM_LABEL.min(label.len())).unwrap_or_default();
    let label = label.split(|byte| *byte == b'-').next().unwrap_or_default();
    contains(label, b"PRIVATE KEY")
}

/// `"type": "service_account"`, at the second string.
fn is_service_account(rest: &[u8], text: &[u8], start: usize) -> bool {
    rest.starts_with(b"\"service_account\"")
        && text.get(..start).is_some_and(|before| {
            before.trim_ascii_end().strip_suffix(b":").is_some_and(|before| before.trim_ascii_end().ends_with(b"\"type\""))
        })
}

/// `client-key-data` with a value: only a kubeconfig has it.
fn is_client_key(text: &[u8]) -> bool {
    text.strip_prefix(b"client-key-data".as_slice()).is_some_and(|rest| has_value(rest))
}

/// A kubeconfig with a token or a password of a user.
fn is_kubeconfig(text: &[u8]) -> bool {
    text.len() > 64
        && contains(text, b"clusters")
        && contains(text, b"users")
        && contains(text, b"Config")
        && ["token", "password"].iter().any(|key| has_key_with_value(text, key.as_bytes()))
}

/// Whether a key stands somewhere with a value after it.
fn has_key_with_value(text: &[u8], key: &[u8]) -> bool {
    let mut before = b' ';
    text.iter().enumerate().any(|(start, byte)| {
        let begins = !is_url_safe(before);
        before = *byte;
        begins && text.get(start..).and_then(|rest| rest.strip_prefix(key)).is_some_and(has_value)
    })
}

/// Whether a colon and then a value on the same line follow a key, in YAML or JSON.
fn has_value(after_key: &[u8]) -> bool {
    let after = after_key.strip_prefix(b"\"").unwrap_or(after_key);
    let Some(value) = after.strip_prefix(b":") else { return false };
    let value = value.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'"' | b'\''));
    value.is_some_and(|byte| is_url_safe(*byte) || matches!(byte, b'+' | b'/' | b'|' | b'>'))
}

/// A JWT whose claims are those of a Kubernetes ServiceAccount. Its header begins `{"`, which is `eyJ` in base64.
///
/// The caller stands where a word begins, so each part of a token is read at most twice.
fn is_kubernetes_token(text: &[u8]) -> bool {
    if !text.starts_with(b"eyJ") {
        return false;
    }
    let end = |text: &[u8]| text.iter().position(|byte| !is_url_safe(*byte)).unwrap_or(text.len());
    let (_, rest) = text.split_at_checked(end(text)).unwrap_or_default();
    let Some(rest) = rest.strip_prefix(b".") else { return false };
    let (claims, rest) = rest.split_at_checked(end(rest)).unwrap_or_default();
    rest.first() == Some(&b'.')
        && FOR_URLS.decode(claims).is_ok_and(|claims| {
            contains(&claims, b"kubernetes.io/serviceaccount/")
                || contains(&claims, b"system:serviceaccount:")
                || contains(&claims, b"\"kubernetes.io\"")
        })
}

/// Whether a part stands in a text. The parts here begin rarely, so the text is looked through once.
fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
