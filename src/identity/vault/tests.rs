use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::fixture::Scene;
use super::Host;

fn container(container: Value) -> Scene {
    let mut app = container;
    app["name"] = json!("app");
    Scene::pod(json!({ "containers": [app] }))
}

fn token_volume(name: &str, audience: &str) -> Value {
    json!({ "name": name, "projected": { "sources": [{ "serviceAccountToken": { "path": "token", "audience": audience, "expirationSeconds": 600 } }] } })
}

#[test]
fn hardening_a20_every_sign_of_a_client_is_seen() {
    let server = "https://vault.vault.svc.cluster.local:8200";
    for (what, scene, evidence, field_path) in [
        (
            "VAULT_ADDR",
            container(json!({ "env": [{ "name": "VAULT_ADDR", "value": "http://127.0.0.1:8200" }] })),
            "variable `VAULT_ADDR` is set",
            "spec.containers[0].env[0]",
        ),
        (
            "BAO_ADDR by reference",
            container(json!({ "env": [{ "name": "X" }, { "name": "BAO_ADDR", "valueFrom": {} }] })),
            "`BAO_ADDR` is set",
            "spec.containers[0].env[1]",
        ),
        (
            "host in env",
            container(json!({ "env": [{ "name": "URL", "value": format!("{server}/v1") }] })),
            "`URL` names a Vault server",
            "spec.containers[0].env[0].value",
        ),
        (
            "host in args",
            container(json!({ "args": ["--v", "--vault=vault.vault:8200"] })),
            "the command line names a Vault server",
            "spec.containers[0].args[1]",
        ),
        (
            "host in command",
            container(json!({ "command": ["sh", "-c", "curl https://VAULT.vault.svc:8200"] })),
            "the command line names",
            "spec.containers[0].command[2]",
        ),
        (
            "annotation 1",
            Scene::pod(json!({})).annotated("vault.hashicorp.com/agent-inject", "1"),
            "agent-inject` is true",
            "metadata.annotations[vault.hashicorp.com/agent-inject]",
        ),
        (
            "annotation T",
            Scene::pod(json!({})).annotated("openbao.org/agent-inject", "T"),
            "openbao.org/agent-inject` is true",
            "metadata.annotations[openbao.org/agent-inject]",
        ),
        (
            "token",
            Scene::pod(json!({ "volumes": [token_volume("t", "vault")] })),
            "audience `vault`",
            "spec.volumes[0].projected.sources[0].serviceAccountToken",
        ),
        (
            "agent",
            container(json!({ "command": ["/usr/bin/bao"], "args": ["-x", "agent"] })),
            "container `app` is a Vault agent",
            "spec.containers[0]",
        ),
    ] {
        let vault = &scene.read()["vault"];
        assert_eq!(vault["client"], true, "{what}: {vault}");
        assert!(vault["evidence"].as_str().unwrap().contains(evidence), "{what}: {vault}");
        assert_eq!(vault["fieldPath"], field_path, "{what}");
    }
    for (what, scene) in [
        ("nothing", Scene::pod(json!({}))),
        ("annotation yes", Scene::pod(json!({})).annotated("vault.hashicorp.com/agent-inject", "yes")),
        ("annotation false", Scene::pod(json!({})).annotated("vault.hashicorp.com/agent-inject", "0")),
        ("another host", container(json!({ "args": ["https://notvault.vault.svc", "https://vault.vault.example.com"] }))),
        ("another audience", Scene::pod(json!({ "volumes": [token_volume("t", "Vault")] }))),
    ] {
        assert_eq!(
            scene.read()["vault"],
            json!({ "client": false, "vendor": false, "otherLogins": [], "agents": [], "containers": [], "withoutToken": [] }),
            "{what}"
        );
    }
}

#[test]
fn a_vault_container_is_an_agent_unless_it_is_a_server() {
    for (what, app, agent) in [
        ("agent", json!({ "image": "x", "command": ["vault"], "args": ["agent", "-config=/c"] }), true),
        (
            "by shell",
            json!({ "image": "x", "command": ["/bin/sh", "-ec"], "args": ["echo ${VAULT_CONFIG?} | base64 -d > c && vault agent -config=c"] }),
            true,
        ),
        ("by entrypoint", json!({ "image": "hashicorp/vault:1.15", "args": ["agent"] }), true),
        ("by digest", json!({ "image": "quay.io/openbao/openbao@sha256:00", "args": ["agent"] }), true),
        ("script", json!({ "image": "hashicorp/vault:1.15", "command": ["sh", "-c", "vault login -method=kubernetes"] }), true),
        ("server", json!({ "image": "hashicorp/vault:1.15", "args": ["server"] }), false),
        ("server by path", json!({ "image": "x", "command": ["/bin/vault", "server"] }), false),
        ("development", json!({ "image": "hashicorp/vault:1.15" }), false),
        ("injector", json!({ "image": "hashicorp/vault-k8s:1.7", "args": ["agent-inject"] }), false),
        ("another program", json!({ "image": "app", "command": ["/app"], "args": ["agent"] }), false),
    ] {
        assert_eq!(container(app).read()["vault"]["client"], agent, "{what}");
    }
}

#[test]
fn the_agent_logs_in_else_who_talks_else_who_holds_the_token_else_every_app() {
    let mount = json!([{ "name": "t", "mountPath": "/var/run/secrets/vault" }]);
    let env = json!([{ "name": "VAULT_ADDR", "value": "https://v" }]);
    let agent = json!({ "name": "agent", "command": ["vault", "agent"] });
    for (what, containers, logs_in, without) in [
        ("agent", json!([{ "name": "app", "env": env, "volumeMounts": mount }, agent]), json!(["agent"]), json!(["agent"])),
        ("talker", json!([{ "name": "app", "env": env }, { "name": "other", "volumeMounts": mount }]), json!(["app"]), json!(["app"])),
        ("holder", json!([{ "name": "app" }, { "name": "other", "volumeMounts": mount }]), json!(["other"]), json!([])),
        ("every app", json!([{ "name": "app" }, { "name": "linkerd-proxy" }]), json!(["app"]), json!(["app"])),
    ] {
        let vault = Scene::pod(json!({ "volumes": [token_volume("t", "vault")], "containers": containers })).read()["vault"].clone();
        assert_eq!((&vault["containers"], &vault["withoutToken"]), (&logs_in, &without), "{what}");
        assert_eq!(vault.get("token").is_some(), without == json!([]), "{what}");
    }
}

#[test]
fn the_login_is_read_from_the_agents_configuration() {
    let config = |role: &str| {
        json!({ "vault": { "address": "https://v:8200" }, "auto_auth": { "method": [{ "type": "kubernetes", "mount_path": "auth/kubernetes-demo",
            "config": { "role": role, "token_path": "/var/run/secrets/vault/token" } }] } })
    };
    let encoded = |role: &str| STANDARD.encode(config(role).to_string());
    let agent = |name: &str, role: &str| {
        json!({ "name": name, "args": ["vault agent"], "env": [{ "name": "VAULT_CONFIG", "value": encoded("forged") }, { "name": "VAULT_CONFIG", "value": encoded(role) }],
            "volumeMounts": [{ "name": "vault-token", "mountPath": "/run/secrets/vault/", "readOnly": true }] })
    };
    let mut scene = Scene::pod(json!({
        "volumes": [token_volume("vault-token", "vault")],
        "initContainers": [agent("vault-agent-init", "payments.api")],
        "containers": [agent("vault-agent", "payments.api")],
    }));
    let vault = scene.read()["vault"].clone();
    assert_eq!(
        vault["login"],
        json!({ "container": "vault-agent-init", "method": "kubernetes", "role": "payments.api", "mount": "auth/kubernetes-demo",
            "address": "https://v:8200", "tokenPath": "/run/secrets/vault/token", "tokenVolume": "vault-token",
            "fieldPath": "spec.initContainers[0].env[1].value" })
    );
    assert_eq!((&vault["otherLogins"], &vault["withoutToken"]), (&json!([]), &json!([])));
    assert_eq!(vault["token"]["path"], "/run/secrets/vault/token");
    scene.pod["spec"]["containers"] = json!([agent("vault-agent", "payments.admin")]);
    assert_eq!(scene.read()["vault"]["otherLogins"][0]["role"], "payments.admin");
    let many: Vec<Value> = (0..20).map(|n| agent(&format!("a{n}"), "payments.api")).collect();
    scene.pod["spec"]["containers"] = json!(many);
    assert_eq!(scene.read()["vault"]["otherLogins"], json!([{ "fieldPath": "spec.containers[7]" }]));

    let mut ours = Scene::pod(json!({
        "volumes": [{ "name": "vault-config", "downwardAPI": { "items": [{ "path": "config.hcl",
            "fieldRef": { "fieldPath": "metadata.annotations['doorward.dev/vault-agent-config']" } }] } }],
        "containers": [{ "name": "vault-agent", "command": ["vault"], "args": ["agent"], "volumeMounts": [{ "name": "vault-config", "mountPath": "/etc/vault" }] }],
    }))
    .annotated("doorward.dev/vault-agent-config", r#"{"auto_auth":{"method":{"type":"kubernetes","config":{"role":"r"}}}}"#);
    let login = &ours.read()["vault"]["login"];
    assert_eq!((&login["mount"], &login["role"]), (&json!("auth/kubernetes"), &json!("r")));
    assert_eq!(login["tokenPath"], "/run/secrets/kubernetes.io/serviceaccount/token");
    assert_eq!(login["fieldPath"], "metadata.annotations[doorward.dev/vault-agent-config]");
    ours.pod["spec"]["containers"][0]["volumeMounts"] = json!([]);
    assert_eq!(ours.read()["vault"]["login"], json!({ "container": "vault-agent", "fieldPath": "spec.containers[0]" }));
}

#[test]
fn hardening_a20_the_vendors_agent_needs_its_token_volume_named() {
    let scene = || {
        Scene::pod(json!({ "volumes": [token_volume("t", "vault"), token_volume("aws", "sts.amazonaws.com")] }))
            .annotated("openbao.org/agent-inject", "true")
            .annotated("vault.hashicorp.com/role", "payments.api")
    };
    let vault = scene().read()["vault"].clone();
    assert_eq!(vault["vendor"], true);
    assert_eq!(vault.get("token"), None);
    assert_eq!((&vault["login"]["role"], &vault["login"]["mount"]), (&json!("payments.api"), &json!("auth/kubernetes")));
    let named = scene().annotated("openbao.org/agent-service-account-token-volume-name", "t").read()["vault"].clone();
    assert_eq!((&named["token"]["volume"], &named["login"]["tokenVolume"]), (&json!("t"), &json!("t")));
    assert_eq!(named["login"]["tokenPath"], "/run/secrets/openbao.openbao.org/serviceaccount/token");
    let wrong = scene().annotated("openbao.org/agent-service-account-token-volume-name", "aws").read()["vault"].clone();
    assert_eq!(wrong.get("token"), None);
}

#[test]
fn a_host_is_found_whole_and_in_every_form_of_a_service() {
    for (url, text, found) in [
        ("https://vault.vault.svc.cluster.local:8200", "vault.vault", true),
        ("https://vault.vault.svc.cluster.local:8200", "x=https://vault.vault.svc/v1", true),
        ("https://vault.vault.svc.cluster.local:8200", "vault.vault.svc.cluster.local.", true),
        ("https://vault.vault.svc.cluster.local:8200", "vault.vaults", false),
        ("https://vault.example.com", "https://VAULT.example.com./", true),
        ("https://vault.example.com", "https://vault.example.com.evil.org", false),
        ("https://vault.example.com", "https://my-vault.example.com", false),
        ("vault.example.com", "user@vault.example.com", true),
        ("https://[fd00::1]:8200", "https://[fd00::1]:8200", true),
    ] {
        assert_eq!(Host::of(url).unwrap().is_in(text), found, "{url} {text}");
    }
    assert!(Host::of("https://").is_none());
}

/// The facets of one list of `vaultAccess`, each as some of its fields.
fn said(scene: &Scene, list: &str, fields: [&str; 3]) -> Vec<String> {
    let identity = scene.read();
    let items = identity["vaultAccess"][list].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| fields.map(|field| item[field].as_str().map_or(item[field].to_string(), str::to_owned)).join(" ")).collect()
}

#[test]
fn hardening_a13_every_address_of_a_pod_is_judged() {
    let scene = Scene::pod(json!({ "containers": [
        { "name": "app", "env": [
            { "name": "VAULT_ADDR", "value": "http://evil.example.com" },
            { "name": "BAO_ADDR", "valueFrom": { "configMapKeyRef": { "name": "c", "key": "k" } } },
            { "name": "VAULT_AGENT_ADDR", "value": "http://127.0.0.1:8200" },
            { "name": "VAULT_HTTP_PROXY", "value": "http://proxy.example.com:3128" },
            { "name": "VAULT_NAMESPACE", "value": "x" },
        ] },
        { "name": "agent", "args": ["vault agent"], "envFrom": [{ "secretRef": { "name": "s" } }, { "prefix": "LOG_", "secretRef": { "name": "s" } }] },
    ] }));
    assert_eq!(
        said(&scene, "addresses", ["fieldPath", "readable", "listed"]),
        [
            "spec.containers[0].env[0].value true false",
            "spec.containers[0].env[1] false false",
            "spec.containers[0].env[2].value true true",
            "spec.containers[0].env[3].value true false",
            "spec.containers[1].envFrom[0] false false",
        ]
    );
    assert_eq!(said(&scene, "addresses", ["https", "local", "host"])[3], "true false proxy.example.com");
}

#[test]
fn hardening_a27_a_configuration_that_is_not_seen_is_told() {
    let agent = |name: &str, env: Value| json!({ "name": name, "args": ["vault agent"], "env": [env] });
    let scene = Scene::pod(json!({ "containers": [
        agent("hcl", json!({ "name": "VAULT_CONFIG", "value": STANDARD.encode("vault { address = \"https://evil.example.com\" }") })),
        agent("secret", json!({ "name": "BAO_CONFIG", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } })),
    ] }));
    assert_eq!(said(&scene, "addresses", ["fieldPath", "readable", "listed"]), ["spec.containers[1].env[0] false false"]);
    assert_eq!(said(&scene, "unreadable", ["name", "fieldPath", "none"]), ["VAULT_CONFIG spec.containers[0].env[0].value null"]);
    let many: Vec<Value> = (0..9).map(|n| json!({ "name": format!("a{n}"), "args": ["vault agent"] })).collect();
    let scene = Scene::pod(json!({ "containers": many }));
    assert_eq!(said(&scene, "methods", ["name", "attested", "fieldPath"]), ["unknown false spec.containers[8].name"]);
}

#[test]
fn what_a_pod_says_of_its_login_is_read_from_every_place() {
    let scene = Scene::pod(json!({ "containers": [{ "name": "app", "env": [
        { "name": "VAULT_SKIP_VERIFY", "value": "t" },
        { "name": "BAO_SKIP_VERIFY", "value": "0" },
        { "name": "VAULT_ROLE_ID", "value": "r" },
        { "name": "VAULT_SECRET_ID", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
    ] }] }))
    .annotated("vault.hashicorp.com/agent-inject", "true")
    .annotated("openbao.org/auth-type", "kubernetes")
    .annotated("vault.hashicorp.com/role", "shop.web")
    .annotated("vault.hashicorp.com/service", "https://vault.vault.svc")
    .annotated("vault.hashicorp.com/tls-skip-verify", "true")
    .annotated("vault.hashicorp.com/agent-json-patch", "[]")
    .annotated("doorward.dev/vault-role", "payments.api");
    let annotation = |name: &str| format!("metadata.annotations[{name}]");
    assert_eq!(
        said(&scene, "methods", ["name", "attested", "fieldPath"]),
        [
            "approle false spec.containers[0].env[2]".to_owned(),
            "approle false spec.containers[0].env[3]".to_owned(),
            format!("kubernetes false {}", annotation("openbao.org/auth-type")),
        ]
    );
    assert_eq!(
        said(&scene, "mounts", ["name", "listed", "fieldPath"]),
        [format!("kubernetes false {}", annotation("vault.hashicorp.com/agent-inject"))]
    );
    assert_eq!(
        said(&scene, "roles", ["name", "own", "fieldPath"]),
        [
            format!("shop.web false {}", annotation("vault.hashicorp.com/role")),
            format!("payments.api true {}", annotation("doorward.dev/vault-role")),
        ]
    );
    assert_eq!(
        said(&scene, "unverified", ["name", "fieldPath", "none"]),
        [
            "VAULT_SKIP_VERIFY spec.containers[0].env[0] null".to_owned(),
            format!("tls-skip-verify {} null", annotation("vault.hashicorp.com/tls-skip-verify")),
        ]
    );
    assert_eq!(
        scene.read()["vendorAnnotations"].as_array().unwrap().len(),
        2,
        "the patch and the address are not listed: {}",
        scene.read()
    );
}

#[test]
fn hardening_a27_the_configuration_that_an_injector_wrote_is_what_counts() {
    let config = json!({
        "vault": { "address": "https://evil.example.com", "tls_skip_verify": true },
        "auto_auth": { "method": { "type": "approle", "config": { "role": "root" } }, "sink": [{ "config": { "path": "/vault/secrets/token" } }] },
        "template": [{ "command": "id" }], "exec": {}, "listener": [{ "type": "tcp", "address": "0.0.0.0:8200" }], "cache": { "use_auto_auth_token": "force" },
        "exit_after_auth": true,
    });
    let agent = json!({ "name": "vault-agent", "args": ["vault agent"], "env": [{ "name": "BAO_CONFIG", "value": STANDARD.encode(config.to_string()) }],
        "volumeMounts": [{ "name": "s", "mountPath": "/vault/secrets/" }] });
    let scene = Scene::pod(json!({ "initContainers": [agent], "volumes": [{ "name": "s", "emptyDir": {} }] }))
        .annotated("vault.hashicorp.com/agent-inject", "true")
        .annotated("vault.hashicorp.com/agent-inject-status", "injected")
        .annotated("vault.hashicorp.com/service", "https://vault.vault.svc");
    let identity = scene.read();
    let at = "spec.initContainers[0].env[0].value";
    assert_eq!(said(&scene, "addresses", ["host", "listed", "fieldPath"]), [format!("evil.example.com false {at}")]);
    assert_eq!(said(&scene, "methods", ["name", "attested", "fieldPath"]), [format!("approle false {at}")]);
    assert_eq!(said(&scene, "roles", ["name", "own", "fieldPath"]), [format!("root false {at}")]);
    assert_eq!(said(&scene, "unverified", ["name", "fieldPath", "none"]), [format!("tls_skip_verify {at} null")]);
    let shape = &identity["vault"]["agents"][0];
    assert_eq!((&shape["init"], &shape["exits"], &shape["stays"]), (&json!(true), &json!(true), &json!(false)));
    assert_eq!(shape["onDisk"], json!({ "name": "s", "fieldPath": "spec.volumes[0]" }));
    assert_eq!(shape["extras"].as_array().unwrap().len(), 5, "{shape}");
    let listed: Vec<_> = identity["vendorAnnotations"].as_array().unwrap().iter().map(|found| found["name"].clone()).collect();
    assert_eq!(listed, [json!("vault.hashicorp.com/service")], "the vendor's agent is there, so its status is its own");
}

/// Hardening A11: the file that the agent reads is found through keys, paths and mounts, and judged as what it is.
#[test]
fn hardening_a11_a_config_map_is_read_as_the_agent_reads_it() {
    let config =
        json!({ "vault": { "address": "https://evil.example.com" }, "auto_auth": { "method": { "type": "kubernetes" } } }).to_string();
    let map = |name: &str, key: &str, text: &str| json!({ "metadata": { "name": name }, "immutable": true, "data": { key: text } });
    let plain = json!({ "name": "c", "mountPath": "/c" });
    for (what, argument, mount, volume, maps, expected) in [
        ("a key", "-config=/c/agent.json", plain.clone(), json!({ "name": "m" }), Some(vec![map("m", "agent.json", &config)]), None),
        (
            "a path",
            "-config=/c/sub/a",
            plain.clone(),
            json!({ "name": "m", "items": [{ "key": "agent.json", "path": "sub/a" }] }),
            Some(vec![map("m", "agent.json", &config)]),
            None,
        ),
        (
            "a part",
            "-config=/c",
            json!({ "name": "c", "mountPath": "/c", "subPath": "agent.json" }),
            json!({ "name": "m" }),
            Some(vec![map("m", "agent.json", &config)]),
            None,
        ),
        (
            "a variable",
            "-config=/c",
            json!({ "name": "c", "mountPath": "/c", "subPathExpr": "$(X)" }),
            json!({ "name": "m" }),
            Some(vec![map("m", "agent.json", &config)]),
            Some("of which no one key is what it reads"),
        ),
        (
            "no such path",
            "-config=/c/agent.json",
            plain.clone(),
            json!({ "name": "m", "items": [{ "key": "agent.json", "path": "other" }] }),
            Some(vec![map("m", "agent.json", &config)]),
            Some("of which no one key is what it reads"),
        ),
        (
            "no text",
            "-config=/c/x",
            plain.clone(),
            json!({ "name": "m" }),
            Some(vec![map("m", "y", "")]),
            Some("which has no key `x` with a text"),
        ),
        ("a list", "-config=/c/x", plain.clone(), json!({ "name": "m" }), Some(vec![map("m", "x", "[]")]), Some("which holds no JSON")),
        (
            "another",
            "-config=/c/x",
            plain.clone(),
            json!({ "name": "m" }),
            Some(vec![map("n", "x", "{}")]),
            Some("which does not exist, or could not be read in time"),
        ),
        ("not looked for", "-config=/c/x", plain.clone(), json!({ "name": "m" }), None, Some("which is not at hand")),
    ] {
        let agent = json!({ "name": "a", "image": "x:1", "command": ["vault", "agent"], "args": [argument], "volumeMounts": [mount] });
        let mut scene = Scene::pod(json!({ "containers": [agent], "volumes": [{ "name": "c", "configMap": volume }] }));
        scene.config_maps = maps;
        let identity = scene.read();
        let access = &identity["vaultAccess"];
        let unread: Vec<_> = access["unread"].as_array().into_iter().flatten().map(|found| found["reason"].as_str().unwrap()).collect();
        assert_eq!(unread, expected.into_iter().collect::<Vec<_>>(), "{what}");
        let addresses = access["addresses"].as_array().map_or(0, Vec::len);
        assert_eq!(addresses, usize::from(expected.is_none()), "{what}: {access}");
    }
}

#[test]
fn a_csi_driver_is_handed_a_token_as_it_asks() {
    let mut scene = Scene::pod(
        json!({ "volumes": [{ "name": "v", "csi": { "driver": "csi.example.com" } }, { "name": "w", "csi": { "driver": "other" } }] }),
    );
    scene.csi_drivers = vec![
        json!({ "metadata": { "name": "csi.example.com" }, "spec": { "tokenRequests": [{ "audience": "a", "expirationSeconds": 900 }, { "audience": "" }] } }),
    ];
    let identity = scene.read();
    let tokens: Vec<_> = super::super::fixture::of_kind(&identity, "csiToken")
        .into_iter()
        .map(|token| (token["audience"].clone(), token["seconds"].clone(), token["fieldPath"].clone()))
        .collect();
    assert_eq!(
        tokens,
        [(json!("a"), json!(900), json!("spec.volumes[0].csi.driver")), (json!(""), json!(3600), json!("spec.volumes[0].csi.driver"))]
    );
    assert_eq!(identity["apiToken"]["mounted"], false, "no container holds it");
}
