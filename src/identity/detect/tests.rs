use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::{Detected, Detector, in_base64, in_text};

fn names(found: Detected) -> Vec<&'static str> {
    found.iter().map(Detector::name).collect()
}

/// Put together here, so that no scanner takes this file for a leak.
fn samples() -> Vec<(Detector, String)> {
    let jwt = |claims: &str| format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"x"}"#), URL_SAFE_NO_PAD.encode(claims));
    vec![
        (Detector::AwsAccessKey, format!("AKIA{}", "ABCDEFGHIJKLMNOP")),
        (Detector::AwsAccessKey, format!("aws_access_key_id=ASIA{}\n", "0123456789ABCDEF")),
        (Detector::GcpServiceAccount, r#"{"type" : "service_account", "project_id": "p"}"#.into()),
        (Detector::GoogleApiKey, format!("AIza{}", "a".repeat(35))),
        (Detector::AzureStorageKey, format!("AccountName=a;AccountKey={}==", "k".repeat(86))),
        (Detector::VaultToken, format!("hvs.{}", "CAESIabcdefghijklmnopqrstuv")),
        (Detector::VaultToken, format!("--token=hvb.{}", "A".repeat(120))),
        (Detector::VaultToken, format!("s.{}", "abcdefghijKLMNOPQRSTUV12")),
        (Detector::GithubToken, format!("https://x:ghp_{}@github.com", "a1".repeat(18))),
        (Detector::GithubToken, format!("github_pat_{}", "a".repeat(60))),
        (Detector::GitlabToken, format!("glpat-{}", "x".repeat(20))),
        (Detector::BitbucketToken, format!("ATBB{}", "x".repeat(32))),
        (Detector::NpmToken, format!("//registry.example.com/:_authToken=npm_{}", "x".repeat(36))),
        (Detector::Kubeconfig, "kind: Config\nclusters: []\nusers:\n- name: u\n  user:\n    token: abcdef\ncontexts: []\n".into()),
        (Detector::Kubeconfig, r#"{"users":[{"name":"u","user":{"client-key-data":"LS0t"}}]}"#.into()),
        (Detector::Kubeconfig, "{\"kind\" : \"Config\", \"clusters\" : [], \"users\" : [{\"user\" : {\"token\"\n:\n\"abcdef\"}}]}".into()),
        (Detector::Kubeconfig, "clusters: []\nusers:\n- name: u\n  user :\n    token :\n      abcdef\n".into()),
        (Detector::Kubeconfig, "clusters: []\nusers: [{ name: u, user: { password: !!str abc } }]\n".into()),
        (Detector::Kubeconfig, r#"{"clusters":[],"users":[{"name":"u","user":{"\u0074oken":"abc"}}]}"#.into()),
        (Detector::AwsAccessKey, format!("\"\\x41KIA{}\"", "ABCDEFGHIJKLMNOP")),
        (Detector::KubernetesToken, jwt(r#"{"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"payments"}"#)),
        (Detector::KubernetesToken, format!("Bearer {}", jwt(r#"{"aud":["vault"],"sub":"system:serviceaccount:payments:api"}"#))),
        (Detector::PrivateKey, "-----BEGIN EC PRIVATE KEY-----\nMHc".into()),
        (Detector::PrivateKey, "x\n-----BEGIN PRIVATE KEY-----".into()),
        (Detector::PrivateKey, "-----BEGIN PGP PRIVATE KEY BLOCK-----".into()),
    ]
}

#[test]
fn hardening_a18_every_shape_is_found_plain_and_below_base64() {
    for (detector, text) in samples() {
        let (once, twice) = (STANDARD.encode(&text), STANDARD.encode(STANDARD.encode(&text)));
        assert_eq!(names(in_text(&text)), [detector.name()], "{text}");
        assert_eq!(names(in_text(&once)), [detector.name()], "one layer around {text}");
        assert_eq!(names(in_base64(&once)), [detector.name()], "as base64: {text}");
        assert_eq!(names(in_base64(&twice)), [detector.name()], "one extra layer around {text}");
        assert_eq!(names(in_text(&twice)), [""; 0], "two extra layers around {text}");
    }
    let lines = STANDARD.encode(format!("# {}\nAKIA{}", "x".repeat(60), "ABCDEFGHIJKLMNOP"));
    let (first, second) = lines.split_at(64);
    assert_eq!(names(in_base64(&format!("{first}\n{second}\n"))), ["aws-access-key"]);
}

#[test]
fn what_only_looks_alike_is_left() {
    for text in [
        "",
        "AKIA0123",
        "xAKIAABCDEFGHIJKLMNOP",
        "AKIAABCDEFGHIJKLMNOPQ",
        "akiaabcdefghijklmnop",
        "hvs.short",
        "s.aaaaaaaaaaaaaaaaaaaaaaaa.example.com",
        "this.aaaaaaaaaaaaaaaaaaaaaaaa",
        "s.aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        r#"{"type":"external_account","audience":"//iam.googleapis.com/projects/1"}"#,
        r#"the "service_account" of a job"#,
        "ghp_short",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "kind: Config\nclusters: []\nusers:\n- name: u\n  user:\n    exec: { command: kubectl-login }\ncontexts: []\n# no token here\n",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln",
        "client-key-data: \"\"",
        "/var/run/secrets/vault/token",
    ] {
        assert_eq!(names(in_text(text)), [""; 0], "{text}");
    }
}

#[test]
fn several_credentials_are_each_named_once_and_in_order() {
    let text = format!("-----BEGIN PRIVATE KEY-----\nAKIA{0} AKIA{0}", "ABCDEFGHIJKLMNOP");
    assert_eq!(names(in_text(&text)), ["aws-access-key", "private-key"]);
}

#[test]
fn bytes_that_are_no_text_are_read_all_the_same() {
    let mut bytes = vec![0xff, 0x00, 0xfe];
    bytes.extend_from_slice(b"-----BEGIN RSA PRIVATE KEY-----");
    bytes.push(0x80);
    assert_eq!(names(in_base64(&STANDARD.encode(bytes))), ["private-key"]);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(eyJ|\\.|-|=|\\PC|AKIA|hvs|-----BEGIN ){0,40}") {
        let _ = (names(in_text(&text)), names(in_base64(&text)));
    }
}
