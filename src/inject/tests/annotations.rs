//! What authors write for the agent, and what they mistype.

use serde_json::{Value, json};

use super::{Ran, Scene};

#[expect(clippy::needless_pass_by_value, reason = "every caller makes the value in place")]
fn asked(annotations: Value) -> Ran {
    let pod = json!({"metadata": {"name": "api", "annotations": annotations}, "spec": {"containers": [{"name": "app", "image": "a:1"}]}});
    Scene::new(pod, json!([{"vaultAgent": {}}])).run()
}

/// The place, the reason and the remedy.
fn refused(annotations: Value) -> [String; 3] {
    let ran = asked(annotations);
    assert_eq!(ran.patch, json!([]));
    let conflict = ran.injection.outcomes.iter().find_map(|outcome| outcome.conflict.clone()).unwrap();
    [conflict.field_path.to_string(), conflict.reason, conflict.remedy]
}

#[test]
fn a_mistyped_annotation_is_refused_with_the_one_that_is_meant() {
    for (key, meant) in [
        ("vault-tempalte-db", "did you mean `doorward.dev/vault-template-<file>`?"),
        ("vault-templates-db", "did you mean `doorward.dev/vault-template-<file>`?"),
        ("vault-roll", "did you mean `doorward.dev/vault-role`?"),
        ("vault-sink", "did you mean `doorward.dev/vault-token-sink`?"),
        ("vault-agent-mod", "did you mean `doorward.dev/vault-agent-mode`?"),
    ] {
        let key = format!("doorward.dev/{key}");
        let expected = [format!("metadata.annotations[{key}]"), format!("there is no annotation `{key}`"), meant.to_owned()];
        assert_eq!(refused(json!({key: "x"})), expected);
    }
    assert_eq!(asked(json!({"doorward.dev/correlation-id": "a", "other.dev/vault-x": "b"})).states(), ["vault-token", "vault-agent"]);
}

#[test]
fn the_sink_says_yes_or_no() {
    const SINK: &str = "doorward.dev/vault-token-sink";
    let path = format!("metadata.annotations[{SINK}]");
    let [at, reason, remedy] = refused(json!({SINK: "yes"}));
    assert_eq!((at, &*reason, &*remedy), (path.clone(), "`yes` is no boolean", "write `true` or `false`"));
    let [at, reason, remedy] = refused(json!({SINK: "false"}));
    assert_eq!((at, &*reason), (path, "the agent would neither render a file nor hand on its token"));
    assert!(remedy.contains("`doorward.dev/vault-template-<file>`"), "{remedy}");
    let has_sink = |annotations: Value| {
        let ran = asked(annotations);
        ran.at("/metadata/annotations/doorward.dev~1vault-agent-config").as_str().unwrap().contains(".vault-token")
    };
    const TEMPLATE: &str = "doorward.dev/vault-template-db";
    assert!(has_sink(json!({})) && has_sink(json!({SINK: "true", TEMPLATE: "x"})));
    assert!(!has_sink(json!({SINK: "false", TEMPLATE: "x"})) && !has_sink(json!({TEMPLATE: "x"})));
}

#[test]
fn what_is_too_much_is_refused_at_an_annotation() {
    let many: serde_json::Map<String, Value> = (0..33).map(|n| (format!("doorward.dev/vault-template-t{n:02}"), json!("x"))).collect();
    let [at, reason, _] = refused(Value::Object(many));
    let expected = ("metadata.annotations[doorward.dev/vault-template-t32]", "33 templates are asked for, 32 is the most");
    assert_eq!((&*at, &*reason), expected);
    let [at, reason, _] = refused(json!({"doorward.dev/vault-template-a": "x", "doorward.dev/vault-template-b": "x".repeat(20_000)}));
    assert_eq!(at, "metadata.annotations[doorward.dev/vault-template-b]");
    assert!(reason.starts_with("the agent's configuration would be 20"), "{reason}");
}

#[test]
fn a_template_that_would_end_the_agent_is_refused_with_its_remedy() {
    let [at, reason, remedy] = refused(json!({"doorward.dev/vault-template-db": r#"{{ plugin "/usr/bin/id" }}"#}));
    assert_eq!(at, "metadata.annotations[doorward.dev/vault-template-db]");
    assert_eq!(reason, "the template calls `plugin`, which the agent refuses to run");
    assert_eq!(remedy, "render what Vault holds, and nothing of programs, files or the environment");
}

#[test]
fn both_vendors_are_told_that_the_pod_is_injected() {
    let annotations = json!({
        "vault.hashicorp.com/agent-inject": "true", "openbao.org/agent-inject": "true", "openbao.org/agent-inject-secret-db": "kv/data/db",
    });
    let pod = json!({"metadata": {"name": "api", "annotations": annotations}, "spec": {"containers": [{"name": "app", "image": "a:1"}]}});
    let scene = Scene::new(pod, json!([{"vaultAgent": {}}])).with(|scene| scene.settings.vault.agent.honour_vendor_annotations = true);
    let ran = scene.run();
    for prefix in ["vault.hashicorp.com", "openbao.org"] {
        assert_eq!(ran.at(&format!("/metadata/annotations/{prefix}~1agent-inject-status")), "injected");
    }
    // An empty switch is off.
    let mut off = scene;
    off.pod["metadata"]["annotations"] = json!({"vault.hashicorp.com/agent-inject": ""});
    let ran = off.run();
    assert_eq!(ran.states(), ["vault-token", "vault-agent"]);
    assert_eq!(ran.at("/metadata/annotations/vault.hashicorp.com~1agent-inject-status"), &Value::Null);
}
