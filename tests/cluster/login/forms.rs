//! Agents that are asked for, configured or placed otherwise: by annotations of a vendor, by a ConfigMap, beside the application.

use serde_json::{Value, json};

use super::{MODE, SECRETS, Scene, TOKEN, template_key, written};
use crate::certificates::authority;
use crate::client::STRATEGIC;
use crate::deadline::until;
use crate::injected::names;
use crate::namespaces::Namespace;
use crate::objects::{SERVICE_ACCOUNT, service_account};
use crate::openbao::AUTH_MOUNT;
use crate::refusal::denied;

/// What a template of a ConfigMap must deny, as the generated ones do.
const DENIED: [&str; 9] =
    ["plugin", "writeToFile", "file", "env", "envOrDefault", "mustEnv", "executeTemplate", "sprig_env", "sprig_expandenv"];

/// A ConfigMap with an agent's configuration.
fn config_map(namespace: &Namespace, name: &str, config: &str, immutable: bool) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "namespace": namespace.name, "name": name },
        "immutable": immutable, "data": { "config.hcl": config },
    })
}

/// A configuration that logs in as ServiceAccount `app` and renders the namespace's secret.
fn config(scene: &Scene) -> Value {
    let login = json!({ "role": scene.role(), "token_path": TOKEN });
    let template = json!({
        "contents": scene.template(), "destination": format!("{SECRETS}/db"), "error_on_missing_key": true, "function_denylist": DENIED,
    });
    let vault = &crate::openbao::settings();
    json!({
        "auto_auth": [{ "method": [{ "type": "kubernetes", "mount_path": AUTH_MOUNT, "config": login }] }],
        "template": [template],
        "vault": { "address": vault["address"], "ca_cert": vault["caFile"] },
    })
}

/// Hardening A11: an agent whose configuration a ConfigMap holds logs in and renders, if what stands there is judged, and stays as it is.
#[tokio::test]
async fn a_config_map_that_is_judged_configures_the_agent() {
    let (scene, _door) = Scene::apart("apart-config-map", |settings| settings["vault"]["agent"]["configMode"] = json!("configMap")).await;
    let cluster = &scene.namespace.cluster;
    let sound = config(&scene);
    let missing = cluster.create(&scene.authored("early", json!({}))).await;
    denied(missing).by("vault-login-target").at("spec.initContainers[0].name");
    cluster.create(&config_map(&scene.namespace, "app-vault-config", &sound.to_string(), true)).await.object();
    let (pod, sandbox) = until("a ConfigMap that was missing to be looked for again", || async {
        let answer = cluster.try_out(&scene.authored("mapped", json!({ MODE: "init" }))).await;
        if answer.code == 201 { Ok(scene.pod("mapped", json!({ MODE: "init" })).await) } else { Err(answer.body["message"].to_string()) }
    })
    .await;
    assert_eq!(names(&pod["spec"]["initContainers"]), ["vault-agent-init"]);
    assert!(pod["metadata"]["annotations"].get("doorward.dev/vault-agent-config").is_none(), "{}", pod["metadata"]);
    let (status, log) = sandbox.start("vault-agent-init").ended().await;
    assert_eq!((status.code(), sandbox.read("/vault/secrets/db").as_deref()), (Some(0), Some("first")), "{log}");
    assert_eq!(sandbox.files(SECRETS), ["db"]);

    // A template beside it would be read by nobody.
    let answer = cluster.create(&scene.authored("beside", json!({ template_key("x"): scene.template() }))).await;
    denied(answer).by("injection-conflict").at(&format!("metadata.annotations[{}]", template_key("x")));

    // Each other one is that of a ServiceAccount of its own.
    let evil = |change: &dyn Fn(&mut Value)| {
        let mut config = sound.clone();
        change(&mut config);
        config.to_string()
    };
    let hcl = "vault { address = \"https://evil.example.com\" }".to_owned();
    let volume = "spec.volumes[2].configMap.name";
    let agent = "spec.initContainers[0].name";
    for (name, text, immutable, rule, at) in [
        ("address", evil(&|config| config["vault"]["address"] = json!("https://evil.example.com")), true, "vault-login-target", volume),
        (
            "role",
            evil(&|config| config["auto_auth"][0]["method"][0]["config"]["role"] = json!("admin")),
            true,
            "vault-role-allowed",
            volume,
        ),
        (
            "method",
            evil(&|config| config["auto_auth"][0]["method"][0]["type"] = json!("approle")),
            true,
            "vault-kubernetes-auth-only",
            volume,
        ),
        ("exec", evil(&|config| config["exec"] = json!({ "command": ["/bin/bao"] })), true, "vendor-agent-annotations", volume),
        (
            "function",
            evil(&|config| drop(config["template"][0].as_object_mut().unwrap().remove("function_denylist"))),
            true,
            "vendor-agent-annotations",
            volume,
        ),
        ("outside", evil(&|config| config["template"][0]["destination"] = json!("/home/x")), true, "vendor-agent-annotations", volume),
        ("hcl", hcl, true, "vault-login-target", agent),
        ("mutable", sound.to_string(), false, "vault-login-target", agent),
    ] {
        cluster.create(&service_account(&scene.namespace.name, name)).await.object();
        cluster.create(&config_map(&scene.namespace, &format!("{name}-vault-config"), &text, immutable)).await.object();
        let mut authored = scene.authored(&format!("evil-{name}"), json!({ MODE: "init" }));
        authored["spec"]["serviceAccountName"] = json!(name);
        denied(cluster.create(&authored).await).by(rule).at(at);
    }
}

/// A pod that was written for vault-k8s: Doorward's agent does what its annotations ask for, in both forms, and hands out nothing else.
#[tokio::test]
async fn a_pod_for_the_vendors_injector_gets_its_files() {
    let (scene, _door) = Scene::apart("apart-vendor", |settings| settings["vault"]["agent"]["honourVendorAnnotations"] = json!(true)).await;
    let cluster = &scene.namespace.cluster;
    let ca = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "namespace": scene.namespace.name, "name": "vault-ca" },
        "stringData": { "ca.crt": authority().bundle_pem() },
    });
    cluster.create(&ca).await.object();
    let asked = |more: &[(&str, &str)]| -> Value {
        let secret = format!("kv/data/{}/db", scene.namespace.name);
        let role = scene.role();
        let template = scene.template();
        let mut asked = vec![
            ("agent-inject", "true"),
            ("role", role.as_str()),
            ("auth-path", AUTH_MOUNT),
            ("tls-secret", "vault-ca"),
            ("ca-cert", "/vault/tls/ca.crt"),
            ("agent-inject-secret-plain", secret.as_str()),
            ("agent-inject-template-db", template.as_str()),
            ("agent-inject-file-db", "conf/app.properties"),
            ("agent-inject-perms-db", "0400"),
        ];
        asked.extend(more);
        asked
            .into_iter()
            .map(|(name, value)| (format!("vault.hashicorp.com/{name}"), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let (pod, sandbox) = scene.pod("vendor-once", asked(&[("agent-pre-populate-only", "true")])).await;
    assert_eq!(names(&pod["spec"]["initContainers"]), ["vault-agent-init"]);
    assert_eq!(pod["metadata"]["annotations"]["vault.hashicorp.com/agent-inject-status"], "injected");
    let (status, log) = sandbox.start("vault-agent-init").ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(sandbox.files(SECRETS), ["conf", "plain"], "no token is left for the application");
    assert_eq!(sandbox.read("/vault/secrets/conf/app.properties").as_deref(), Some("first"));
    assert_eq!(sandbox.mode("/vault/secrets/conf/app.properties"), 0o400);
    assert!(sandbox.read("/vault/secrets/plain").is_some_and(|text| text.contains("first")));

    let (pod, sandbox) = scene.pod("vendor-stays", asked(&[])).await;
    assert_eq!(names(&pod["spec"]["initContainers"]), ["vault-agent-init", "vault-agent"]);
    let agent = sandbox.start("vault-agent");
    written(&agent, "renewed auth token").await;
    until("the file to be rendered", || async {
        sandbox.read("/vault/secrets/conf/app.properties").filter(|text| text == "first").ok_or_else(|| agent.log())
    })
    .await;

    // Hardening A27: what would make another agent of it is refused by name.
    for (number, (name, value)) in [
        ("agent-image", "evil.example.com/agent:1"),
        ("agent-json-patch", r#"[{"op":"replace","path":"/command","value":["/bin/sh"]}]"#),
        ("agent-init-json-patch", "[]"),
        ("agent-configmap", "mine"),
        ("agent-extra-secret", "mine"),
        ("agent-copy-volume-mounts", "app"),
        ("agent-inject-command-db", "cat /var/run/secrets/vault/token"),
        ("agent-inject-file-db", "../../../var/run/secrets/vault/token"),
        ("agent-inject-file-plain", ".vault-token"),
        ("agent-inject-token", "true"),
        ("agent-cache-use-auto-auth-token", "force"),
        ("agent-set-security-context", "false"),
        ("agent-run-as-user", "0"),
        ("auth-type", "approle"),
        ("auth-config-token-path", "/var/run/secrets/kubernetes.io/serviceaccount/token"),
        ("proxy-address", "http://evil.example.com:3128"),
        ("service", "https://evil.example.com"),
        ("tls-skip-verify", "true"),
        ("role", "admin"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = cluster.create(&scene.authored(&format!("vendor-{number}"), asked(&[(name, value)]))).await;
        denied(answer).by("injection-conflict").at(&format!("metadata.annotations[vault.hashicorp.com/{name}]"));
    }
}

/// Where nodes do not know native sidecars, the second agent is a container beside the application: it renews and renders as well.
#[tokio::test]
async fn a_classic_sidecar_renews_beside_the_application() {
    let (scene, _door) = Scene::apart("apart-classic", |settings| settings["vault"]["agent"]["nativeSidecar"] = json!(false)).await;
    scene.openbao.make_role(AUTH_MOUNT, &scene.namespace.name, SERVICE_ACCOUNT, json!({ "token_ttl": "2s" })).await;
    let (pod, sandbox) = scene.pod("classic", json!({ template_key("db"): scene.template() })).await;
    assert_eq!(names(&pod["spec"]["initContainers"]), ["vault-agent-init"]);
    assert_eq!(names(&pod["spec"]["containers"]), ["app", "vault-agent"]);
    assert!(pod["spec"]["containers"][1].get("restartPolicy").is_none(), "{}", pod["spec"]["containers"][1]);
    let (status, log) = sandbox.start("vault-agent-init").ended().await;
    assert_eq!((status.code(), sandbox.read("/vault/secrets/db").as_deref()), (Some(0), Some("first")), "{log}");
    let agent = sandbox.start("vault-agent");
    written(&agent, "renewed auth token").await;
    assert_eq!(sandbox.files(SECRETS), ["db"]);

    // In a Job it would never end: the first agent alone does.
    let mut job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "namespace": scene.namespace.name, "name": "classic" } });
    let mut spec = scene.authored("job", json!({}))["spec"].clone();
    spec["restartPolicy"] = json!("Never");
    job["spec"] = json!({ "suspend": true, "template": { "metadata": { "annotations": { MODE: "sidecar" } }, "spec": spec } });
    let answer = scene.namespace.cluster.create(&job).await;
    denied(answer).by("injection-conflict").at(&format!("spec.template.metadata.annotations[{MODE}]"));

    // Hardening A9: its image is the operator's for as long as it runs.
    let patch = json!({ "spec": { "containers": [{ "name": "vault-agent", "image": "evil.example.com/agent" }] } });
    let answer = scene.namespace.cluster.patch(&crate::client::path_of(&pod), STRATEGIC, &patch).await;
    denied(answer).by("correlation-id-integrity").at("spec.containers[1].image");
}
