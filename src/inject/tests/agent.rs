//! The injected agent: where its containers stand, what they are made of, and how they are known again.

use serde_json::{Value, json};

use super::Scene;
use super::golden::{plain, pod};
use super::neighbours;
use crate::identity::Class;
use crate::settings::{AgentRequest, ConfigMode};

#[test]
fn golden_7_the_agent_comes_before_the_authors_init_containers() {
    let mut authored = plain();
    authored["spec"]["initContainers"] = json!([{"name": "a", "image": "x"}, {"name": "b", "image": "y", "x": 1}, {"name": "c"}]);
    let ran = Scene::new(authored.clone(), json!([{"vaultAgent": {"mode": "init"}}])).run();
    assert_eq!(ran.names("/spec/initContainers"), ["vault-agent-init", "a", "b", "c"]);
    assert_eq!(ran.at("/spec/initContainers").as_array().unwrap()[1..], *authored["spec"]["initContainers"].as_array().unwrap());
    assert_eq!(ran.at("/spec/initContainers/0/args"), &json!(["agent", "-config=/etc/vault/config.hcl", "-exit-after-auth"]));
}

#[test]
fn golden_8_the_agent_comes_right_after_a_native_proxy() {
    let mut authored = plain();
    authored["spec"]["initContainers"] = json!([{"name": "own", "image": "x"}]);
    neighbours::linkerd(&mut authored);
    let proxies = authored["spec"]["initContainers"].clone();
    let ran = Scene::new(authored, json!([{"vaultAgent": {}}, {"spiffeCsi": {}}])).run();
    assert_eq!(ran.names("/spec/initContainers"), ["linkerd-init", "linkerd-proxy", "vault-agent-init", "vault-agent", "own"]);
    assert_eq!((ran.at("/spec/initContainers/0"), ran.at("/spec/initContainers/1")), (&proxies[0], &proxies[1]));
}

#[test]
fn golden_9_the_agent_comes_before_a_classic_proxys_init() {
    let mut authored = plain();
    authored["spec"]["initContainers"] = json!([{"name": "own", "image": "x"}, {"name": "linkerd-init", "image": "p"}]);
    authored["spec"]["containers"].as_array_mut().unwrap().insert(0, json!({"name": "linkerd-proxy", "image": "p"}));
    let ran = Scene::new(authored, json!([{"vaultAgent": {}}])).run_plain();
    assert_eq!(ran.names("/spec/initContainers"), ["vault-agent-init", "vault-agent", "own", "linkerd-init"]);
    assert_eq!(ran.at("/spec/containers/0"), &json!({"name": "linkerd-proxy", "image": "p"}));
}

#[test]
fn golden_10_a_job_gets_one_agent_that_ends() {
    let mut authored = plain();
    authored["spec"]["restartPolicy"] = json!("Never");
    let scene = Scene::new(authored, json!([{"vaultAgent": {}}])).of_class(Class::Job);
    assert_eq!(scene.run().names("/spec/initContainers"), ["vault-agent-init"]);
    // Golden pod 11: on request a job gets a native sidecar, which ends with it; a classic one would not.
    let asked = scene.with(|scene| scene.pod["metadata"]["annotations"] = json!({"doorward.dev/vault-agent-mode": "sidecar"}));
    assert_eq!(asked.run().names("/spec/initContainers"), ["vault-agent-init", "vault-agent"]);
    let classic = asked.with(|scene| scene.settings.vault.agent.native_sidecar = false.into()).run();
    assert_eq!(
        classic.states(),
        [
            "vault-agent: metadata.annotations[doorward.dev/vault-agent-mode]: an agent in `containers` never ends, so the Job would not either"
        ]
    );
    assert_eq!(classic.operations(), Vec::<String>::new());
}

#[test]
fn golden_26_the_agent_runs_as_the_user_that_all_containers_share() {
    let user = |spec: Value| {
        let ran = Scene::new(pod(spec), json!([{"vaultAgent": {}}])).run();
        ran.at("/spec/initContainers/1/securityContext/runAsUser").clone()
    };
    let app = |user: Option<i64>| json!({"name": format!("app{user:?}"), "securityContext": user.map(|user| json!({"runAsUser": user}))});
    assert_eq!(user(json!({"containers": [app(Some(1000))]})), 1000);
    assert_eq!(user(json!({"securityContext": {"runAsUser": 1000, "fsGroup": 2000}, "containers": [app(None), app(Some(1000))]})), 1000);
    assert_eq!(user(json!({"containers": [app(Some(1000)), app(Some(1001))]})), 100);
    assert_eq!(user(json!({"containers": [app(Some(1000)), app(None)]})), 100);
    assert_eq!(user(json!({"containers": [app(Some(0))]})), 100);
}

#[test]
fn hardening_b4_an_agent_of_an_accepted_revision_is_left() {
    let scene = Scene::new(plain(), json!([{"vaultAgent": {}}]));
    let mut pod = scene.run().after;
    for container in pod["spec"]["initContainers"].as_array_mut().unwrap() {
        container["image"] = json!("hashicorp/vault:1.14");
        container["resources"] = json!({});
    }
    assert_eq!(scene.once(&pod).operations(), Vec::<String>::new());
    let at = "a container named `vault-agent-init` exists and is not the injected agent";
    for (field, value) in [("image", json!("evil:1")), ("args", json!(["agent"])), ("securityContext", json!({}))] {
        let mut changed = pod.clone();
        changed["spec"]["initContainers"][0][field] = value;
        assert_eq!(scene.once(&changed).states()[1], format!("vault-agent: spec.initContainers[0]: {at}"), "{field}");
    }
}

/// The API server writes `0.5` as `500m` and `1024Mi` as `1Gi`, and a VPA or a `LimitRange` writes what it likes.
#[test]
fn hardening_b4_resources_and_digests_are_whatever_others_made_of_them() {
    let scene = Scene::new(plain(), json!([{"vaultAgent": {}}])).with(|scene| {
        let resources = &mut scene.settings.vault.agent.resources;
        resources.requests = [("cpu", "0.5"), ("memory", "1024Mi")].map(|(name, amount)| (name.into(), amount.into())).into();
        resources.limits = [("cpu", "1000m")].map(|(name, amount)| (name.into(), amount.into())).into();
    });
    let mut pod = scene.run().after;
    for container in pod["spec"]["initContainers"].as_array_mut().unwrap() {
        assert_eq!(container["resources"], json!({"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"cpu": "1000m"}}));
        container["resources"] = json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1"}});
    }
    assert_eq!(scene.once(&pod).patch, json!([]));
    neighbours::autoscaler(&mut pod);
    neighbours::digests(&mut pod);
    let ran = scene.once(&pod);
    assert_eq!((ran.states(), ran.patch), (vec!["vault-token".to_owned(), "vault-agent".to_owned()], json!([])));
    // A digest is no way to another image, and variables count for this revision's image with a digest as without.
    for (field, value) in [("image", json!(format!("evil@sha256:{}", "5d".repeat(32)))), ("env", json!([]))] {
        let mut changed = pod.clone();
        changed["spec"]["initContainers"][1][field] = value;
        let at = "vault-agent: spec.initContainers[1]: a container named `vault-agent` exists and is not the injected agent";
        assert_eq!(scene.once(&changed).states()[1], at, "{field}");
    }
}

#[test]
fn the_vendors_injector_is_told_which_token_to_use() {
    let mut authored = plain();
    authored["metadata"]["annotations"] = json!({"vault.hashicorp.com/agent-inject": "T"});
    let scene = Scene::new(authored, json!([{"vaultAgent": {}}]));
    let ran = scene.run();
    assert_eq!(ran.states(), ["vault-token", "vault-agent"]);
    assert_eq!(ran.operations()[0], "add /spec/volumes");
    assert_eq!(
        ran.at("/metadata/annotations"),
        &json!({"vault.hashicorp.com/agent-inject": "T", "vault.hashicorp.com/auth-path": "auth/kubernetes-demo",
        "vault.hashicorp.com/agent-service-account-token-volume-name": "vault-token"})
    );
    // The author's own agent is left to the rules.
    let mut own = plain();
    own["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "secrets", "image": "x", "args": ["sh", "-c", "exec vault agent -config=/c"]}));
    let ran = Scene::new(own, json!([{"vaultAgent": {}}])).run();
    assert_eq!((ran.states(), ran.operations().len()), (vec!["vault-agent".to_owned()], 0));
}

#[test]
fn the_agents_configuration_is_json_in_a_reserved_annotation() {
    let mut authored = plain();
    authored["metadata"]["annotations"] = json!({
        "doorward.dev/vault-agent-config": "forged",
        "doorward.dev/vault-role": "root",
        "doorward.dev/vault-template-db.env": "{{ with secret \"kv/data/db\" }}P=\"{{ .Data.data.p }}\"\n} command = \"id\"{{ end }}",
    });
    let scene = Scene::new(authored, json!([{"vaultAgent": {}}]));
    let config = |scene: &Scene| -> Value {
        serde_json::from_str(scene.run().at("/metadata/annotations/doorward.dev~1vault-agent-config").as_str().unwrap()).unwrap()
    };
    let expected = json!({
        "vault": {"address": "https://vault.vault.svc.cluster.local:8200"},
        "auto_auth": [{"method": [{"type": "kubernetes", "mount_path": "auth/kubernetes-demo",
            "config": {"role": "payments.api", "token_path": "/var/run/secrets/vault/token"}}]}],
        "template": [{
            "contents": "{{ with secret \"kv/data/db\" }}P=\"{{ .Data.data.p }}\"\n} command = \"id\"{{ end }}",
            "destination": "/vault/secrets/db.env",
            "error_on_missing_key": true,
            "function_denylist": [
                "plugin", "writeToFile", "file", "env", "envOrDefault", "mustEnv", "executeTemplate", "sprig_env", "sprig_expandenv"
            ],
        }],
        "template_config": {"exit_on_retry_failure": true},
    });
    assert_eq!(config(&scene), expected);
    // A role counts if the operator listed it for this ServiceAccount.
    let listed = scene.clone().with(|scene| drop(scene.settings.vault.roles.insert("payments/api".into(), vec!["root".into()])));
    assert_eq!(config(&listed)["auto_auth"][0]["method"][0]["config"]["role"], "root");
    // Without a template the sink is needed.
    let bare = config(&Scene::new(plain(), json!([{"vaultAgent": {}}])));
    assert_eq!(bare["auto_auth"][0]["sink"], json!([{"type": "file", "config": {"path": "/vault/secrets/.vault-token"}}]));

    let refused = |annotations: Value| {
        let mut authored = plain();
        authored["metadata"]["annotations"] = annotations;
        let ran = Scene::new(authored, json!([{"vaultAgent": {}}])).run();
        assert_eq!(ran.operations(), Vec::<String>::new());
        ran.states()[1].clone()
    };
    assert_eq!(
        refused(json!({"doorward.dev/vault-template-.vault-token": ""})),
        "vault-agent: metadata.annotations[doorward.dev/vault-template-.vault-token]: `.vault-token` is no name for a rendered file"
    );
    assert_eq!(
        refused(json!({"doorward.dev/vault-template-x": "{{ secret \"auth/token/lookup-self\" }}"})),
        "vault-agent: metadata.annotations[doorward.dev/vault-template-x]: the secret's path `auth/token/lookup-self` lies in `auth/`, which is Vault's own"
    );
    let many: serde_json::Map<String, Value> = (0..33).map(|n| (format!("doorward.dev/vault-template-t{n}"), json!("x"))).collect();
    assert_eq!(
        refused(many.into()),
        "vault-agent: metadata.annotations[doorward.dev/vault-template-t9]: 33 templates are asked for, 32 is the most"
    );
    assert_eq!(
        refused(json!({"doorward.dev/vault-template-x": "x".repeat(16 * 1024)})),
        "vault-agent: metadata.annotations[doorward.dev/vault-template-x]: the agent's configuration would be 16882 bytes long, 16384 is the most"
    );
}

#[test]
fn the_agents_containers_fit_pod_security_restricted() {
    let ran = Scene::new(plain(), json!([{"vaultAgent": {}}])).run();
    assert_eq!(
        ran.at("/spec/initContainers/1"),
        &json!({
            "name": "vault-agent",
            "image": "hashicorp/vault:1.15",
            "command": ["vault"],
            "args": ["agent", "-config=/etc/vault/config.hcl"],
            "restartPolicy": "Always",
            "env": [{"name": "VAULT_ADDR", "value": "https://vault.vault.svc.cluster.local:8200"}],
            "volumeMounts": [
                {"name": "vault-token", "mountPath": "/var/run/secrets/vault", "readOnly": true},
                {"name": "vault-config", "mountPath": "/etc/vault", "readOnly": true},
                {"name": "vault-secrets", "mountPath": "/vault/secrets"},
            ],
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 100, "runAsGroup": 1000, "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
            },
        })
    );
    assert_eq!(
        ran.at("/spec/volumes/2"),
        &json!({"name": "vault-config", "downwardAPI": {"items": [
            {"path": "config.hcl", "fieldRef": {"fieldPath": "metadata.annotations['doorward.dev/vault-agent-config']"}}]}})
    );
    let classic =
        Scene::new(plain(), json!([{"vaultAgent": {}}])).with(|scene| scene.settings.vault.agent.native_sidecar = false.into()).run();
    assert_eq!(
        (classic.names("/spec/initContainers"), classic.names("/spec/containers")),
        (vec!["vault-agent-init"], vec!["app", "vault-agent"])
    );
    let absent = Scene::new(plain(), json!([{"vaultAgent": {}}])).with(|scene| scene.settings.vault.address = None).run();
    assert_eq!((absent.states().len(), absent.operations().len()), (0, 0));
}

#[test]
fn a_config_map_may_hold_the_configuration() {
    let of_map = |pod: Value| {
        let scene =
            Scene::new(pod, json!([{"vaultAgent": {}}])).with(|scene| scene.settings.vault.agent.config_mode = ConfigMode::ConfigMap);
        let ran = scene.run();
        assert_eq!(ran.at("/metadata/annotations/doorward.dev~1vault-agent-config"), &Value::Null);
        ran.at("/spec/volumes/2").clone()
    };
    assert_eq!(of_map(plain()), json!({"name": "vault-config", "configMap": {"name": "api-vault-config"}}));
    let mut named = plain();
    named["metadata"]["annotations"] = json!({"doorward.dev/vault-config-map": "mine"});
    let scene = Scene::new(named, json!([{"vaultAgent": {}}])).with(|scene| scene.settings.vault.agent.config_mode = ConfigMode::ConfigMap);
    let refused = scene.run();
    assert_eq!(refused.operations(), [""; 0], "`hardening.md` A11: neither agent nor token");
    let [token, agent] = refused.states().try_into().unwrap();
    assert_eq!(token, "vault-token?");
    assert!(agent.starts_with("vault-agent: metadata.annotations[doorward.dev/vault-config-map]: annotation"), "{agent}");
    let asked = scene.with(|scene| scene.settings.vault.agent.requestable = vec![AgentRequest::ConfigMap]).run();
    assert_eq!(asked.at("/spec/volumes/2"), &json!({"name": "vault-config", "configMap": {"name": "mine"}}));
}
