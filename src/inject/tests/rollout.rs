//! New settings roll out while pods of the old ones come back: from a second call, from a copy, at the validating webhook
//! (`hardening.md` B4).

use serde_json::{Value, json};

use super::{Scene, neighbours};
use crate::object::Object;
use crate::settings::Settings;

/// What an operator changes, each as a path and a value.
fn changes() -> Vec<(&'static str, Value)> {
    vec![
        ("/vault/address", json!("https://vault-2.example.com")),
        ("/vault/caFile", json!("/vault/ca.crt")),
        ("/vault/audience", json!("vault-2")),
        ("/vault/tokenSeconds", json!(900)),
        ("/vault/tokenMountPath", json!("/var/run/secrets/openbao")),
        ("/vault/secretsPath", json!("/run/rendered")),
        ("/vault/authMount", json!("auth/other")),
        ("/vault/roleTemplate", json!("{serviceAccount}.{namespace}")),
        ("/vault/agent/image", json!("openbao/openbao:2.6")),
        ("/vault/agent/command", json!("bao")),
        ("/vault/agent/nativeSidecar", json!(false)),
        ("/vault/agent/configMode", json!("configMap")),
        ("/vault/agent/resources", json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}})),
        ("/vault/csi/mountPath", json!("/run/csi")),
        ("/vault/csi/secretProviderClass", json!("other-{namespace}")),
        ("/spiffe/csiDriver", json!("csi.example.com")),
        ("/spiffe/mountPath", json!("/run/spiffe")),
        ("/spiffe/socketName", json!("agent.sock")),
        ("/spiffe/trustDomain", json!("other.example.com")),
        ("/kubeApi/ttl", json!(1800)),
        ("/kubeApi/audience", json!("https://kubernetes.default.svc")),
    ]
}

fn all_settings() -> Vec<(&'static str, Value)> {
    let mut start = serde_json::to_value(Settings::demonstration()).unwrap();
    start["audiences"]["vault"]["maxSeconds"] = json!(900);
    let changed = |(path, value): (&'static str, Value)| {
        let mut settings = start.clone();
        let (parent, field) = path.rsplit_once('/').unwrap();
        settings.pointer_mut(parent).unwrap()[field] = value;
        (path, settings)
    };
    let mut all = vec![("nothing", start.clone())];
    all.extend(changes().into_iter().map(changed));
    all
}

fn read(settings: &Value) -> Settings {
    Settings::read(&Object::from_json(settings.to_string()).unwrap()).unwrap()
}

#[test]
fn hardening_b4_a_pod_of_the_settings_before_is_left_as_it_is() {
    let pod =
        || json!({"metadata": {"name": "api"}, "spec": {"serviceAccountName": "api", "containers": [{"name": "app", "image": "a:1"}]}});
    for steps in [
        json!([{"kubeApiToken": {}}, {"vaultAgent": {}}, {"spiffeCsi": {}}, {"spiffeId": {}}]),
        json!([{"automountOff": {}}, {"vaultToken": {}}, {"vaultCsi": {}}]),
    ] {
        for (from, before) in all_settings() {
            let old = Scene::new(pod(), steps.clone()).with(|scene| scene.settings = read(&before));
            let mut injected = old.once(&old.pod).after;
            neighbours::defaults(&mut injected, None);
            for (to, after) in all_settings() {
                let mut after = after;
                after["previous"] = json!({"vault": before["vault"], "spiffe": before["spiffe"], "kubeApi": before["kubeApi"]});
                let ran = Scene::new(pod(), steps.clone()).with(|scene| scene.settings = read(&after)).once(&injected);
                assert_eq!(ran.patch, json!([]), "from {from} to {to}");
                assert!(ran.injection.outcomes.iter().all(|outcome| outcome.done), "from {from} to {to}: {:?}", ran.states());
            }
        }
    }
}

#[test]
fn a_pod_of_neither_is_injected_as_the_settings_now_say_or_refused() {
    let all = all_settings();
    let mut now = all[1].1.clone();
    now["previous"] = json!({"vault": all[0].1["vault"], "spiffe": all[0].1["spiffe"]});
    let pod = json!({"metadata": {"name": "api"}, "spec": {"containers": [{"name": "app", "image": "a:1"}]}});
    let scene = Scene::new(pod, json!([{"vaultAgent": {}}])).with(|scene| scene.settings = read(&now));
    let ran = scene.run();
    assert_eq!(ran.at("/spec/initContainers/0/env/0/value"), "https://vault-2.example.com");
    let mut neither = ran.after;
    neither["spec"]["initContainers"][0]["env"][0]["value"] = json!("https://evil.example.com");
    assert_eq!(
        scene.once(&neither).states()[1],
        "vault-agent: spec.initContainers[0]: a container named `vault-agent-init` exists and is not the injected agent"
    );
}

/// A pod as an earlier release injected it, which a restore creates again: an agent of another image, with variables and limits of then, and
/// the API server's defaults. It is taken as injected, and stays as it is; its configuration alone is today's, for whoever made the copy may
/// have written another one (`hardening.md` A9, B4, B16).
const RESTORED: &str = include_str!("restored.json");

#[test]
fn hardening_b16_a_restored_pod_of_an_earlier_release_is_taken_as_injected() {
    let pod: Value = serde_json::from_str(RESTORED).unwrap();
    let scene = || Scene::new(pod.clone(), json!([{"automountOff": {}}, {"vaultAgent": {}}]));
    let ran = scene().with(|scene| scene.settings.vault.agent.accepted_images = vec!["hashicorp/vault:1.14".into()]).once(&pod);
    assert!(ran.injection.outcomes.iter().all(|outcome| outcome.done), "{:?}", ran.states());
    assert_eq!(ran.after["spec"], pod["spec"]);
    let changed: Vec<_> = ran.patch.as_array().unwrap().iter().map(|operation| operation["path"].as_str().unwrap()).collect();
    assert_eq!(changed, ["/metadata/annotations/doorward.dev~1vault-agent-config"]);
    // An image that nobody accepts is nobody's agent.
    let refused = scene().with(|scene| scene.settings.vault.agent.accepted_images = Vec::new()).once(&pod);
    assert_eq!(
        refused.states()[2],
        "vault-agent: spec.initContainers[0]: a container named `vault-agent-init` exists and is not the injected agent"
    );
}
