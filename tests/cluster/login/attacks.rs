//! What an author tries to make of the injected agent: the door refuses it, and an agent that is started with it all the same does not do
//! it, or shows why it is refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{CONFIG, MODE, SECRETS, Scene, TOKEN, template_key, written};
use crate::certificates::foreign;
use crate::client::{MERGE, STRATEGIC, path_of};
use crate::objects::{container, with};
use crate::openbao::AUTH_MOUNT;
use crate::refusal::denied;
use crate::sandbox::Sandbox;
use crate::webhook::Webhook;

/// Hardening A10: what a template may not call, it cannot call.
#[tokio::test]
async fn a_template_runs_nothing_and_reads_no_file() {
    let scene = Scene::set("denied", json!({})).await;
    for (number, (function, call)) in [
        ("plugin", r#"plugin "/bin/bao" "version""#),
        ("file", r#"file "/var/run/secrets/vault/token""#),
        ("writeToFile", r#""x" | writeToFile "/vault/secrets/x" "" "" "0644""#),
        ("executeTemplate", r#"executeTemplate "x""#),
        ("env", r#"env "VAULT_ADDR""#),
        ("envOrDefault", r#"envOrDefault "VAULT_ADDR" "x""#),
        ("mustEnv", r#"mustEnv "VAULT_ADDR""#),
        ("sprig_env", r#"sprig_env "VAULT_ADDR""#),
        ("sprig_expandenv", r#"sprig_expandenv "$VAULT_ADDR""#),
    ]
    .into_iter()
    .enumerate()
    {
        let called = format!("{{{{ {call} }}}}");
        let answer = scene.namespace.cluster.create(&scene.authored("denied", json!({ template_key("x"): called, MODE: "init" }))).await;
        denied(answer).by("injection-conflict").at(&format!("metadata.annotations[{}]", template_key("x")));
        // An agent that is started with it all the same does not run it.
        let annotations = json!({ template_key("x"): scene.template(), MODE: "init" });
        let pod = scene.namespace.cluster.create(&scene.authored(&format!("denied-{number}"), annotations)).await.object();
        let config = "doorward.dev/vault-agent-config";
        let mut forged: Value = serde_json::from_str(pod["metadata"]["annotations"][config].as_str().unwrap()).unwrap();
        forged["template"][0]["contents"] = json!(called);
        let mut started = pod.clone();
        started["metadata"]["annotations"][config] = json!(forged.to_string());
        let sandbox = Sandbox::prepare(&scene.kubelet, &started).await;
        let (status, log) = sandbox.start("vault-agent-init").ended().await;
        assert_eq!(status.code(), Some(1), "{call}: {log}");
        assert!(log.contains(&format!("error calling {function}: function is disabled")), "{call}: {log}");
        assert_eq!(sandbox.files(SECRETS), [""; 0], "{call}");
    }
}

/// Hardening A10: whatever an annotation says, it is one template's text: no quote, brace, heredoc or escape ends it.
#[tokio::test]
async fn a_template_is_text_to_the_configuration() {
    let scene = Scene::set("text", json!({})).await;
    let controls: String = (1..=31).map(char::from).collect();
    let texts = [
        "\"}],\"template\":[{\"command\":\"id\",\"contents\":\"",
        "EOT\n}\ntemplate {\n  contents = <<EOT\nx\nEOT\n  exec { command = [\"/bin/bao\"] }\n}\n",
        "${env.VAULT_ADDR} %{ if true } $${x} \\u0041 \\x41 \\n \\\" \\/ /* */ # //",
        controls.as_str(),
        "\u{0}\u{7f}\u{85}\u{a0}\u{2028}\u{2029}\u{feff}\u{fffd}\u{1f600}",
        "ends with a backslash \\",
    ];
    let annotations = texts.iter().enumerate().map(|(number, text)| (template_key(&format!("t{number}")), json!(text)));
    let (_, sandbox) = scene.pod("text", annotations.collect::<serde_json::Map<_, _>>().into()).await;
    let (status, log) = sandbox.start("vault-agent-init").ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    for (number, text) in texts.iter().enumerate() {
        assert_eq!(sandbox.read(&format!("{SECRETS}/t{number}")).as_deref(), Some(*text));
    }
    assert_eq!(sandbox.files(SECRETS).len(), texts.len());
}

/// Hardening A10: the most templates that are taken are rendered; one more, or a longer configuration, is refused.
#[tokio::test]
async fn as_many_templates_as_are_taken_are_rendered() {
    let scene = Scene::set("many", json!({})).await;
    let many = |count: usize| -> Value {
        let templates = (0..count).map(|number| (template_key(&format!("t{number:02}")), json!(scene.template())));
        templates.collect::<serde_json::Map<_, _>>().into()
    };
    let (_, sandbox) = scene.pod("most", many(32)).await;
    let (status, log) = sandbox.start("vault-agent-init").ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(sandbox.files(SECRETS).len(), 32);
    assert_eq!(sandbox.read("/vault/secrets/t31").as_deref(), Some("first"));

    let long = json!({ template_key("long"): "x".repeat(16 * 1024) });
    for (name, annotations, at) in [("one-more", many(33), "t32"), ("too-long", long, "long")] {
        let answer = scene.namespace.cluster.create(&scene.authored(name, annotations)).await;
        denied(answer).by("injection-conflict").at(&format!("metadata.annotations[{}]", template_key(at)));
    }
}

/// Hardening A10: a template that asks for the agent's own token is refused, however it words that. An agent that is started with it all
/// the same gives the token away: each wording is one that OpenBao understands.
#[tokio::test]
async fn a_template_gets_no_vault_token() {
    let scene = Scene::set("lookup", json!({})).await;
    let (pod, sandbox) = scene.pod("sound", json!({ template_key("x"): scene.template() })).await;
    let config: Value = serde_json::from_str(pod["metadata"]["annotations"]["doorward.dev/vault-agent-config"].as_str().unwrap()).unwrap();
    let lookup = |path: &str| format!("{{{{ with secret {path} }}}}{{{{ .Data.id }}}}{{{{ end }}}}");
    let plain = lookup(r#""auth/token/lookup-self""#);
    for (number, template) in [
        plain.clone(),
        lookup(r#""auth//token/lookup-self""#),
        lookup(r#""/auth/token/lookup-self""#),
        lookup(r#"" /auth/token/lookup-self""#),
        lookup("`\tauth/token/lookup-self`"),
        lookup(r#""http://x/auth/token/lookup-self""#),
        lookup(r#""x:/auth/token/lookup-self""#),
        lookup(r#""\x61uth/token/lookup-self""#),
        lookup(r#""%61uth/token/lookup-self""#),
        lookup(r#"(print "auth" "/token/lookup-self")"#),
        format!("{{{{-\n/* \" */ -}}}}{plain}{{{{/* \" */}}}}"),
    ]
    .into_iter()
    .enumerate()
    {
        let key = template_key("x");
        let authored = scene.authored(&format!("lookup-{number}"), json!({ &key: template }));
        denied(scene.namespace.cluster.create(&authored).await).by("injection-conflict").at(&format!("metadata.annotations[{key}]"));

        let mut config = config.clone();
        config["template"][0]["contents"] = json!(template);
        sandbox.replace(CONFIG, &config.to_string());
        let (status, log) = sandbox.start("vault-agent-init").ended().await;
        assert_eq!(status.code(), Some(0), "{template}: {log}");
        let token = sandbox.read("/vault/secrets/x").unwrap();
        assert_eq!(scene.openbao.who_is(&token).await.unwrap()["meta"]["role"], scene.role(), "{template}");
        sandbox.clear(SECRETS);
    }

    // The same of a namespace below: one that the agent may read would print the token as well.
    for (number, path) in ["ns1/auth/token/lookup-self", "a/b//auth/token/lookup-self", "ns1/sys/internal/ui/mounts"].iter().enumerate() {
        let key = template_key("x");
        let authored = scene.authored(&format!("below-{number}"), json!({ &key: lookup(&format!("{path:?}")) }));
        denied(scene.namespace.cluster.create(&authored).await).by("injection-conflict").at(&format!("metadata.annotations[{key}]"));
    }
}

/// Hardening A10: no file of a template's can be the sink's, nor two of them one.
#[tokio::test]
async fn a_template_has_a_plain_name() {
    let scene = Scene::set("name", json!({})).await;
    for (number, file) in [".vault-token", "Db", "_x"].into_iter().enumerate() {
        let authored = scene.authored(&format!("name-{number}"), json!({ template_key(file): scene.template() }));
        let field = format!("metadata.annotations[{}]", template_key(file));
        denied(scene.namespace.cluster.create(&authored).await).by("injection-conflict").at(&field);
    }
}

/// Hardening A9, A11: no annotation is a configuration, before the pod is there or after. The agent is started with ours.
#[tokio::test]
async fn the_configuration_is_ours() {
    let scene = Scene::set("ours", json!({})).await;
    let forged = json!({
        template_key("db"): scene.template(),
        "doorward.dev/vault-agent-config": "vault { address = \"https://evil.example.com\" }",
        "doorward.dev/vault-config-map": "evil",
    });
    let (pod, sandbox) = scene.pod("forged", forged).await;
    let (status, log) = sandbox.start("vault-agent-init").ended().await;
    assert_eq!((status.code(), sandbox.read("/vault/secrets/db").as_deref()), (Some(0), Some("first")), "{log}");

    let path = path_of(&pod);
    let annotations = json!({ "doorward.dev/vault-agent-config": "{}" });
    let patch = json!({ "metadata": { "annotations": annotations } });
    denied(scene.namespace.cluster.patch(&path, MERGE, &patch).await).by("correlation-id-integrity").at("metadata.annotations");
    let patch = json!({ "spec": { "initContainers": [{ "name": "vault-agent", "image": "evil.example.com/agent" }] } });
    denied(scene.namespace.cluster.patch(&path, STRATEGIC, &patch).await).by("correlation-id-integrity").at("spec.initContainers[1].image");
}

/// Hardening A12, A13: a login is the workload's own, at the operator's server: the door refuses to name another, and the server, where
/// that is tried all the same, does not know the workload by it.
#[tokio::test]
async fn a_login_is_the_workloads_own() {
    let scene = Scene::set("own", json!({})).await;
    scene.openbao.make_role(AUTH_MOUNT, &scene.namespace.name, "admin", json!({})).await;
    let admin = format!("{}.admin", scene.namespace.name);
    let authored = scene.authored("role", json!({ template_key("db"): scene.template(), "doorward.dev/vault-role": admin }));
    denied(scene.namespace.cluster.create(&authored).await).by("vault-role-allowed").at("metadata.annotations[doorward.dev/vault-role]");
    let (pod, _) = scene.pod("own", json!({ template_key("db"): scene.template() })).await;
    let refused = scene.openbao.log_in(AUTH_MOUNT, &admin, &scene.mounted(&pod).await).await.unwrap_err().0;
    assert!(refused.contains("Code: 403") && refused.contains("service account name not authorized"), "{refused}");

    let mut authored = scene.authored("elsewhere", json!({}));
    let mut agent = container("agent");
    agent["command"] = json!(["bao", "agent", "-config=/etc/agent.hcl", "-exit-after-auth"]);
    agent["env"] = json!([{ "name": "VAULT_ADDR", "value": "https://evil.example.com" }]);
    authored["spec"]["initContainers"] = json!([agent]);
    denied(scene.namespace.cluster.create(&authored).await).by("vault-login-target").at("spec.initContainers[0].env[0].value");
}

/// Hardening A10: a template is rendered among the secrets or nowhere. The door takes no file name that leads elsewhere, and an agent that is
/// told to write elsewhere finds nothing there that it may write.
#[tokio::test]
async fn a_template_writes_nowhere_else() {
    let scene = Scene::set("escape", json!({})).await;
    let (pod, sandbox) = scene.pod("sound", json!({ template_key("x"): scene.template(), MODE: "init" })).await;
    let config: Value = serde_json::from_str(pod["metadata"]["annotations"]["doorward.dev/vault-agent-config"].as_str().unwrap()).unwrap();
    for destination in
        ["/etc/vault/config.hcl", "/var/run/secrets/vault/token", "/vault/secrets/../../etc/vault/x", "/etc/ssl/openbao-ca.pem"]
    {
        let before = sandbox.read(TOKEN);
        let mut config = config.clone();
        config["template"][0]["destination"] = json!(destination);
        let told = config.to_string();
        sandbox.replace(CONFIG, &told);
        let (status, log) = sandbox.start("vault-agent-init").ended().await;
        assert_ne!(status.code(), Some(0), "{destination}: {log}");
        assert!(log.contains("permission denied") || log.contains("read-only file system"), "{destination}: {log}");
        assert_eq!((sandbox.read(CONFIG), sandbox.read(TOKEN)), (Some(told), before), "{destination}");
        assert_eq!(sandbox.files(SECRETS), [""; 0], "{destination}");
    }
    // A file's name is the end of an annotation's, in which Kubernetes takes no slash: this is as far as one leads.
    let authored = scene.authored("dots", json!({ template_key("..x"): scene.template() }));
    let field = format!("metadata.annotations[{}]", template_key("..x"));
    denied(scene.namespace.cluster.create(&authored).await).by("injection-conflict").at(&field);
}

/// Hardening A13: whoever else answers at an address gets no token: the agent does not speak to a server that the operator's authority does
/// not vouch for, and the door lets nobody name one.
#[tokio::test]
async fn a_stranger_gets_no_login() {
    let scene = Scene::set("stranger", json!({})).await;
    let (pod, _) = scene.pod("sound", json!({ template_key("x"): scene.template(), MODE: "init" })).await;
    let key = "doorward.dev/vault-agent-config";
    let mut forged: Value = serde_json::from_str(pod["metadata"]["annotations"][key].as_str().unwrap()).unwrap();
    let stranger = Webhook::serve_as(&foreign(&["127.0.0.1"]), Arc::new(|_, _| json!([]))).await;
    forged["vault"]["address"] = json!(stranger.url);
    // The variable wins over the configuration.
    let mut started = pod.clone();
    started["metadata"]["annotations"][key] = json!(forged.to_string());
    started["spec"]["initContainers"][0]["env"][0]["value"] = json!(stranger.url);
    let sandbox = Sandbox::prepare(&scene.kubelet, &started).await;
    let agent = sandbox.start("vault-agent-init");
    written(&agent, "certificate signed by unknown authority").await;
    assert_eq!(stranger.calls.load(Ordering::Relaxed), 0, "no login arrived");
    assert_eq!(sandbox.files(SECRETS), [""; 0]);
    drop(agent);

    // In the pod as it is stored, nobody may say so.
    let patch = json!({ "metadata": { "annotations": { key: forged.to_string() } } });
    let answer = scene.namespace.cluster.patch(&path_of(&pod), MERGE, &patch).await;
    denied(answer).by("correlation-id-integrity").at("metadata.annotations");
}

/// Hardening A26: a container that mounts what is yet to be injected would hold the token, or write what the application reads.
#[tokio::test]
async fn nobody_else_mounts_what_the_agent_gets() {
    let scene = Scene::set("thief", json!({})).await;
    for (number, (volume, path)) in
        [("vault-token", "/steal"), ("vault-config", "/steal"), ("vault-secrets", "/steal"), ("other", "/vault/secrets/x")]
            .into_iter()
            .enumerate()
    {
        let mut authored = scene.authored(&format!("thief-{number}"), json!({ template_key("x"): scene.template() }));
        let mounts = json!([{ "name": volume, "mountPath": path }]);
        authored["spec"]["initContainers"] = json!([with(container("thief"), "volumeMounts", mounts.clone())]);
        authored["spec"]["containers"][0]["volumeMounts"] = if volume == "other" { mounts } else { json!([]) };
        authored["spec"]["volumes"] = json!([{ "name": "other", "emptyDir": {} }]);
        let answer = scene.namespace.cluster.create(&authored).await;
        let at = if volume == "other" { "spec.containers[0].volumeMounts[0].mountPath" } else { "spec.initContainers[0].volumeMounts[0]" };
        // The API server knows the volume as little as the door adds it: its own answer may come first, and then nothing is stored either.
        if answer.code == 422 {
            assert!(answer.body["message"].as_str().is_some_and(|message| message.contains("volumeMounts")), "{}", answer.body["message"]);
        } else {
            denied(answer).by("injection-conflict").at(at);
        }
    }
}
