//! The shapes: one pass over the bytes, in which only what begins some shape is looked at twice.

use base64::Engine as _;

use super::{Detected, Detector, FOR_URLS};

/// Characters after the dot of the service tokens that Vault issued before 1.10, and OpenBao still does.
const LEGACY_TOKEN: usize = 24;

/// Longest label between the dashes of a PEM header.
const PEM_LABEL: usize = 48;

/// Shortest text that can hold any shape.
pub(super) const SHORTEST: usize = 16;

/// The two bytes that begin each shape. Nearly every pair of a text begins none, and is passed over by two looks into a table.
const BEGINNINGS: [(u8, &[u8]); 9] =
    [(b'A', b"KSIcT"), (b'h', b"v"), (b's', b"."), (b'g', b"hil"), (b'n', b"p"), (b'e', b"y"), (b'-', b"-"), (b'"', b"s"), (b'c', b"l")];

/// For each byte the beginnings in which it is the first, and those in which it is the second, as bits.
const FIRST: [u16; 256] = table(true);
const SECOND: [u16; 256] = table(false);

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which stops on an index out of bounds")]
const fn table(first: bool) -> [u16; 256] {
    let mut table = [0; 256];
    let mut bit = 0;
    while bit < BEGINNINGS.len() {
        let (byte, followers) = BEGINNINGS[bit];
        if first {
            table[byte as usize] |= 1 << bit;
        } else {
            let mut next = 0;
            while next < followers.len() {
                table[followers[next] as usize] |= 1 << bit;
                next += 1;
            }
        }
        bit += 1;
    }
    table
}

fn bits(table: &[u16; 256], byte: u8) -> u16 {
    table.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Everything that the bytes hold.
pub(super) fn scan(text: &[u8]) -> Detected {
    let mut found = Detected::default();
    if text.len() < SHORTEST {
        return found;
    }
    let mut lists_clusters = false;
    for (start, pair) in text.windows(2).enumerate() {
        let [first, second] = pair else { continue };
        if bits(&FIRST, *first) & bits(&SECOND, *second) == 0 {
            continue;
        }
        let rest = text.get(start..).unwrap_or_default();
        let begins = start == 0 || !text.get(start - 1).copied().is_some_and(is_word);
        let hit = match first {
            b'-' => is_private_key(rest).then_some(Detector::PrivateKey),
            b'"' => is_service_account(rest, text, start).then_some(Detector::GcpServiceAccount),
            b'c' => {
                lists_clusters |= rest.starts_with(b"clusters");
                (begins && is_client_key(rest)).then_some(Detector::Kubeconfig)
            }
            first => begins.then(|| token(*first, rest)).flatten(),
        };
        if let Some(detector) = hit {
            found.insert(detector);
        }
    }
    if lists_clusters && is_kubeconfig(text) {
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

/// `-----BEGIN ... PRIVATE KEY`, of every algorithm and of `OpenPGP`.
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
    text.strip_prefix(b"client-key-data".as_slice()).is_some_and(has_value)
}

/// A kubeconfig with a token or a password of a user; its clusters were seen. Clients read one without its `kind` too.
fn is_kubeconfig(text: &[u8]) -> bool {
    contains(text, b"users")
        && (contains(text, b"Config") || has_key(text, b"user", |after| value_after(after).is_some()))
        && ["token", "password"].iter().any(|key| has_key(text, key.as_bytes(), has_value))
}

/// Whether a key stands somewhere with what is wanted after it.
fn has_key(text: &[u8], key: &[u8], wanted: impl Fn(&[u8]) -> bool) -> bool {
    let mut before = b' ';
    text.iter().enumerate().any(|(start, byte)| {
        let begins = !is_url_safe(before);
        before = *byte;
        begins && text.get(start..).and_then(|rest| rest.strip_prefix(key)).is_some_and(&wanted)
    })
}

/// What follows the colon after a key, in YAML or JSON; between the two may be blanks, and in JSON broken lines.
fn value_after(after_key: &[u8]) -> Option<&[u8]> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let after = match after_key {
        [b'"' | b'\'', rest @ ..] => rest.trim_ascii_start(),
        plain => plain.get(plain.iter().position(|byte| !blank(byte))?..)?,
    };
    after.strip_prefix(b":")
}

/// Whether a key has a value: on its line, or on the next one as a text of its own and no further key.
fn has_value(after_key: &[u8]) -> bool {
    let Some(value) = value_after(after_key) else { return false };
    let begins = |value: &[u8]| {
        let first = value.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'"' | b'\''));
        first.is_some_and(|byte| is_url_safe(*byte) || matches!(byte, b'+' | b'/' | b'|' | b'>' | b'!' | b'&' | b'*'))
    };
    let line = |text: &'_ [u8]| text.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(text.len());
    let own = value.get(..line(value)).unwrap_or_default();
    if !own.trim_ascii().is_empty() {
        return begins(own);
    }
    let next = value.trim_ascii_start();
    let next = next.get(..line(next)).unwrap_or_default();
    let is_key = next.contains(&b':') && !matches!(next.first(), Some(b'"' | b'\''));
    !is_key && !next.starts_with(b"- ") && begins(next)
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
