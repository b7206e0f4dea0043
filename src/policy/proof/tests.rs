use super::super::load::{Sources, Text, load};
use super::*;
use crate::settings::Settings;

const HEAD: &str = "
apiVersion: doorward.dev/v1alpha1
kind: InjectionPolicy
metadata: { name: ours }
spec:
  title: One of an operator's
  match: { podTemplate: Pod }
  when: Always
";

fn errors(spec: &str) -> Vec<String> {
    refused(false, format!("{HEAD}{spec}"))
}

fn refused(no_builtin: bool, text: String) -> Vec<String> {
    let text = Text { name: "ours.yaml".into(), text };
    let loaded = load(&Sources { no_builtin, policies: vec![text], fallback: Some(Settings::demonstration()), ..Sources::default() });
    loaded
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|error| format!("{}:{}:{}: {}", error.file, error.line, error.column, error.message))
        .collect()
}

/// What a refusal says before it shows the pod.
fn reasons(found: &[String]) -> Vec<&str> {
    found.iter().map(|message| message.lines().next().unwrap_or_default()).collect()
}

#[test]
fn every_policy_of_the_library_is_proven() {
    let set = load(&Sources { fallback: Some(Settings::demonstration()), ..Sources::default() }).unwrap();
    assert!(!set.injections().is_empty());
    for policy in set.injections() {
        assert_eq!(prove(&set, policy), Ok(()), "{}", policy.id);
    }
}

#[test]
fn a_policy_that_settles_is_loaded() {
    assert_eq!(
        errors("  inject: [{ automountOff: {} }, { vaultToken: { expirationSeconds: 600 } }, { spiffeCsi: {} }]\n"),
        Vec::<String>::new()
    );
}

#[test]
fn one_that_waits_for_another_injection_never_settles() {
    let waits = "object.spec.?volumes.orValue([]).exists(volume, volume.name == 'vault-token')";
    let waiting = format!("{HEAD}  matchConditions: [{{ name: has-token, expression: \"{waits}\" }}]\n  inject: [{{ spiffeCsi: {{}} }}]\n");
    let first = format!("---{}  inject: [{{ vaultToken: {{}} }}]\n", HEAD.replace("ours", "first"));
    let found = refused(true, waiting + &first);
    assert_eq!(
        reasons(&found),
        [
            "ours.yaml:10:3: spec.inject: it is not active, for on a pod `plain` (of src/policy/proof/pods.yaml) a further application of it changes `spec.volumes[1]` again: \
             write match conditions that no injection changes"
        ]
    );
    // The pod, and what would come once more.
    let shown = &found[0];
    assert!(shown.contains("\n  the pod:\n    apiVersion: v1\n") && shown.contains("\n      name: plain\n"), "{shown}");
    let (_, patch) = shown.split_once("a further application would make of it, as JSON Patch:\n").unwrap();
    let patch: Value = serde_json::from_str(patch.trim()).unwrap();
    assert_eq!(patch[0]["op"], "add");
    assert!(patch.to_string().contains(r#""driver":"csi.spiffe.io""#), "{patch}");
}

/// What the tests show of the library under the demonstration's settings, an operator's own may not bear out.
#[test]
fn settings_that_no_injection_can_follow_are_told_with_the_pod() {
    let mut settings = Settings::demonstration();
    settings.vault.secrets_path = "/data".into();
    let set = load(&Sources { fallback: Some(settings), ..Sources::default() }).unwrap();
    let policy = set.injections().iter().find(|policy| &*policy.id == "vault-agent").unwrap();
    let counterexample = prove(&set, policy).unwrap_err();
    let told = counterexample.to_string();
    assert!(told.starts_with("it is not active, for on a pod `with-init-containers` "), "{told}");
    assert!(told.contains("injection `vault-agent` cannot be made: volume `data` is mounted at `/data`"), "{told}");
    assert!(told.contains("- mountPath: /data\n"), "{told}");
}

#[test]
fn one_whose_pods_a_rule_refuses_is_told_which() {
    let found = errors("  inject:\n  - vaultToken: { expirationSeconds: 86400 }\n");
    assert_eq!(
        reasons(&found),
        [
            "ours.yaml:9:3: spec.inject: it is not active, for on a pod `plain` (of src/policy/proof/pods.yaml) what it makes is refused by rule `token-ttl-limit` at `spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds`: volume `vault-token` asks for a token for `vault` for 86400 seconds; at most 600 are allowed"
        ]
    );
}

#[test]
fn one_that_cannot_be_made_beside_another_volume_is_told_why() {
    let found = errors("  inject: [{ vaultToken: { mountPath: /data } }]\n");
    assert_eq!(
        reasons(&found),
        [
            "ours.yaml:9:3: spec.inject: it is not active, for on a pod `with-init-containers` (of src/policy/proof/pods.yaml) injection `vault-token` cannot be made: volume `data` is mounted at `/data`, where the Vault token goes (at `spec.containers[0].volumeMounts[0].mountPath`)"
        ]
    );
}

#[test]
fn one_that_clashes_with_a_neighbour_is_told_in_which_order() {
    let found = errors("  inject: [{ vaultToken: { mountPath: /var/run/secrets/eks.amazonaws.com } }]\n");
    assert_eq!(
        reasons(&found),
        [
            "ours.yaml:9:3: spec.inject: it is not active, for on a pod `plain` (of src/policy/proof/pods.yaml), after AWS' pod identity webhook, Doorward in this order, injection `vault-token` cannot be made: volume `aws-iam-token` is mounted inside `/var/run/secrets/eks.amazonaws.com`, where the Vault token goes (at `spec.containers[0].volumeMounts[0].mountPath`)"
        ]
    );
}

#[test]
fn the_proof_tries_every_order_and_every_pod() {
    let (webhooks, defaults) = other_webhooks();
    assert_eq!((defaults.name(), webhooks.len(), documents(PODS).len()), ("the API server's defaults", 7, 5));
    let all: BTreeSet<String> = orders(&webhooks).iter().map(|order| order.iter().map(name).collect::<Vec<_>>().join(", ")).collect();
    // Three companies of a mesh, a cloud and a sidecar, each with Doorward in every order.
    assert_eq!((all.len(), trials(&webhooks, 5).len()), (72, 2 + 14 + 72));
    for webhook in &webhooks {
        assert!(all.iter().any(|order| order.contains(webhook.name())), "{}", webhook.name());
    }
}

/// What the API server would refuse in every pod.
#[test]
fn one_whose_pods_the_api_server_refuses_is_told_why() {
    for (inject, reason) in [
        ("vaultToken: { expirationSeconds: 60 }", "600 seconds at least and 2^32 at most, not 60"),
        ("vaultToken: { mountPath: \"rel:path\" }", "`rel:path` is no absolute path"),
        ("vaultToken: { mountPath: /a/../b }", "`/a/../b` is no absolute path"),
        ("vaultCsi: { mountPath: secrets }", "`secrets` is no absolute path"),
    ] {
        let found = errors(&format!("  inject: [{{ {inject} }}]\n"));
        assert!(found.len() == 1 && found[0].contains("the API server would refuse") && found[0].contains(reason), "{inject}: {found:?}");
    }
    // The agent would have two volumes at one path, or one inside another.
    for path in ["/vault/secrets", "/etc/vault", "/etc/vault/token", "/vault"] {
        let found = errors(&format!("  inject: [{{ vaultToken: {{ mountPath: {path} }} }}, {{ vaultAgent: {{}} }}]\n"));
        assert!(found.len() == 1 && found[0].contains("injection `vault-agent` cannot be made"), "{path}: {found:?}");
        assert!(found[0].contains("lie in each other"), "{path}: {found:?}");
    }
}
