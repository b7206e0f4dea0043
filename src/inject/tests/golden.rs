//! Pods that injectors have broken on; the numbers are those of the injection facts.

use serde_json::{Value, json};

use super::Scene;
use super::neighbours::{self, plugin_volume};
use crate::identity::Class;

#[expect(clippy::needless_pass_by_value, reason = "every caller makes the value in place")]
pub(super) fn pod(spec: Value) -> Value {
    json!({"metadata": {"name": "api"}, "spec": spec})
}

pub(super) fn plain() -> Value {
    pod(json!({"serviceAccountName": "api", "containers": [{"name": "app", "image": "app:1"}]}))
}

fn token_volume() -> Value {
    json!({"name": "vault-token", "projected": {"sources": [
        {"serviceAccountToken": {"audience": "vault", "expirationSeconds": 600, "path": "token"}}]}})
}

fn token_mount() -> Value {
    json!({"name": "vault-token", "mountPath": "/var/run/secrets/vault", "readOnly": true})
}

#[test]
fn golden_1_a_plain_container_gets_token_and_workload_api() {
    let mut authored = plain();
    authored["spec"]["futureField"] = json!({"kept": [1, 2.5, null]});
    neighbours::service_account(&mut authored["spec"]);
    let ran = Scene::new(authored, json!([{"spiffeCsi": {}}, {"vaultToken": {}}])).run();
    assert_eq!(ran.states(), ["vault-token", "spiffe-csi", "spiffe-id"]);
    assert_eq!(
        ran.operations(),
        [
            "add /spec/volumes/1",
            "add /spec/containers/0/volumeMounts/1",
            "add /spec/volumes/2",
            "add /spec/containers/0/volumeMounts/2",
            "add /spec/containers/0/env",
            "add /metadata/annotations",
        ]
    );
    assert_eq!(ran.at("/spec/volumes/1"), &token_volume());
    assert_eq!(ran.at("/spec/volumes/2"), &json!({"name": "spiffe-workload-api", "csi": {"driver": "csi.spiffe.io", "readOnly": true}}));
    assert_eq!(ran.at("/spec/containers/0/volumeMounts/1"), &token_mount());
    assert_eq!(
        ran.at("/spec/containers/0/env"),
        &json!([{"name": "SPIFFE_ENDPOINT_SOCKET", "value": "unix:///spiffe-workload-api/spire-agent.sock"}])
    );
    assert_eq!(ran.at("/metadata/annotations"), &json!({"spiffe.io/spiffe-id": "spiffe://demo.example.com/ns/payments/sa/api"}));
    assert_eq!(ran.at("/spec/futureField"), &json!({"kept": [1, 2.5, null]}));
}

#[test]
fn golden_2_a_pod_without_volumes_gets_all_of_them() {
    let mut authored = plain();
    authored["spec"]["automountServiceAccountToken"] = json!(false);
    let ran = Scene::new(authored, json!([{"vaultToken": {}}, {"vaultAgent": {}}])).run();
    assert_eq!(ran.states(), ["vault-token", "vault-agent"]);
    assert_eq!(ran.names("/spec/volumes"), ["vault-token", "vault-secrets", "vault-config"]);
    assert_eq!(ran.operations()[..3], ["add /spec/volumes", "add /spec/volumes/1", "add /spec/volumes/2"]);
    assert_eq!(ran.names("/spec/initContainers"), ["vault-agent-init", "vault-agent"]);
    // The token is the agent's alone.
    assert_eq!(ran.names("/spec/containers/0/volumeMounts"), ["vault-secrets"]);
    assert_eq!(
        ran.at("/spec/containers/0/volumeMounts/0"),
        &json!({"name": "vault-secrets", "mountPath": "/vault/secrets", "readOnly": true})
    );
    assert_eq!(ran.at("/spec/volumes/1"), &json!({"name": "vault-secrets", "emptyDir": {"medium": "Memory"}}));
}

#[test]
fn golden_3_where_the_account_says_no_only_the_field_is_set() {
    let ran = Scene::new(plain(), json!([{"automountOff": {}}])).with(|scene| scene.account = Some(false)).run();
    assert_eq!(ran.operations(), ["add /spec/automountServiceAccountToken"]);
    assert_eq!(ran.states(), ["automount-off"]);
}

#[test]
fn automount_off_removes_the_plugins_volume_and_every_mount() {
    let mut authored = pod(json!({
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "kube-api-access-evil", "emptyDir": {}}, plugin_volume("odd-name")],
        "initContainers": [{"name": "init", "image": "i", "volumeMounts": [{"name": "odd-name", "mountPath": "/a"}]}],
        "containers": [
            {"name": "app", "image": "a", "volumeMounts": [
                {"name": "odd-name", "mountPath": "/a"}, {"name": "data", "mountPath": "/data"}, {"name": "odd-name", "mountPath": "/b"}]},
            {"name": "other", "image": "a", "volumeMounts": [{"name": "kube-api-access-evil", "mountPath": "/evil"}]}
        ],
    }));
    let ran = Scene::new(authored.clone(), json!([{"automountOff": {}}])).run();
    assert_eq!(
        ran.operations(),
        [
            "add /spec/automountServiceAccountToken",
            "remove /spec/initContainers/0/volumeMounts/0",
            "remove /spec/containers/0/volumeMounts/2",
            "remove /spec/containers/0/volumeMounts/0",
            "remove /spec/volumes/2",
        ]
    );
    assert_eq!(ran.names("/spec/volumes"), ["data", "kube-api-access-evil"]);
    assert_eq!(ran.names("/spec/containers/1/volumeMounts"), ["kube-api-access-evil"]);

    // An author's `true` is refused by its rule, never repaired; infrastructure keeps its token.
    let scene = Scene::new(authored.clone(), json!([{"automountOff": {}}]));
    for scene in [scene.clone().of_class(Class::Infrastructure), scene.with(|scene| scene.account = Some(true))] {
        let ran = scene.once(&authored);
        assert_eq!((ran.operations().len(), ran.states().len()), (0, 0));
    }
    authored["spec"]["automountServiceAccountToken"] = json!(true);
    let ran = Scene::new(authored, json!([{"automountOff": {}}])).run();
    assert_eq!((ran.operations().len(), ran.states().len()), (0, 0));
}

#[test]
fn golden_6_parents_are_made_once() {
    let bare = json!({"spec": {"containers": [{"name": "app"}]}});
    let ran = Scene::new(bare, json!([{"spiffeCsi": {}}, {"vaultAgent": {}}])).stamped().run();
    assert_eq!(ran.states(), ["vault-token", "vault-agent", "spiffe-csi", "spiffe-id", "stamp"]);
    let operations = ran.operations();
    for parent in ["/spec/volumes", "/spec/initContainers", "/spec/containers/0/volumeMounts", "/spec/containers/0/env", "/metadata"] {
        assert_eq!(operations.iter().filter(|operation| **operation == format!("add {parent}")).count(), 1, "{parent} in {operations:?}");
    }
    assert!(operations.contains(&"add /metadata/annotations/spiffe.io~1spiffe-id".to_owned()), "{operations:?}");
    assert_eq!(ran.at("/metadata/annotations/doorward.dev~1injected"), &json!("spiffe-csi,spiffe-id,vault-agent,vault-token@7"));
}

#[test]
fn golden_13_and_14_windows_gets_the_token_only_and_mirror_pods_nothing() {
    for (field, value) in [("os", json!({"name": "windows"})), ("nodeSelector", json!({"kubernetes.io/os": "windows"}))] {
        let mut authored = plain();
        authored["spec"][field] = value;
        let ran = Scene::new(authored, json!([{"vaultToken": {}}, {"vaultAgent": {}}, {"spiffeCsi": {}}])).run();
        assert_eq!(ran.states(), ["vault-token"]);
        assert_eq!(ran.operations(), ["add /spec/volumes", "add /spec/containers/0/volumeMounts"]);
    }
    let mut mirror = plain();
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    let ran = Scene::new(mirror, json!([{"automountOff": {}}, {"vaultToken": {}}, {"stamp": {}}])).stamped().run();
    assert_eq!((ran.operations().len(), ran.states().len()), (0, 0));
}

#[test]
fn golden_15_what_was_injected_stays_whatever_its_order() {
    let scene = Scene::new(plain(), json!([{"automountOff": {}}, {"vaultAgent": {}}, {"spiffeCsi": {}}])).stamped();
    let mut pod = scene.run().after;
    neighbours::defaults(&mut pod, None);
    pod["spec"]["volumes"].as_array_mut().unwrap().reverse();
    pod["spec"]["containers"][0]["volumeMounts"].as_array_mut().unwrap().reverse();
    assert_eq!(scene.once(&pod).operations(), Vec::<String>::new());
}

/// Hardening A29: the id of the admission is never the author's.
#[test]
fn golden_16_a_forged_stamp_proves_nothing() {
    let mut authored = plain();
    authored["metadata"]["annotations"] = json!({"doorward.dev/injected": "vault-token@7", "doorward.dev/admission-id": "uid-0",
        "doorward.dev/correlation-id": "trace-9"});
    let ran = Scene::new(authored, json!([{"vaultToken": {}}])).stamped().run();
    assert_eq!(ran.names("/spec/volumes"), ["vault-token"]);
    assert_eq!(
        ran.at("/metadata/annotations"),
        &json!({"doorward.dev/injected": "vault-token@7", "doorward.dev/admission-id": "uid-1",
        "doorward.dev/correlation-id": "trace-9"})
    );
    // Nothing of ours, no stamp.
    let mut refused = plain();
    refused["spec"]["automountServiceAccountToken"] = json!(true);
    assert_eq!(Scene::new(refused, json!([{"automountOff": {}}, {"stamp": {}}])).stamped().run().operations(), Vec::<String>::new());
}

#[test]
fn golden_17_a_volume_of_our_name_is_a_conflict_never_already_injected() {
    for source in [json!({"emptyDir": {}}), json!({"hostPath": {"path": "/x"}}), json!({"secret": {"secretName": "s"}})] {
        let mut authored = plain();
        let mut volume = source;
        volume["name"] = json!("vault-token");
        authored["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {}}, volume]);
        let ran = Scene::new(authored.clone(), json!([{"vaultToken": {}}])).run();
        let reason = "a volume named `vault-token` exists and holds no token for audience `vault` of at most 600 s";
        assert_eq!(ran.states(), [format!("vault-token: spec.volumes[1]: {reason}")]);
        assert_eq!(ran.operations(), Vec::<String>::new());
        // The agent stands or falls with its token.
        let ran = Scene::new(authored, json!([{"vaultAgent": {}}])).run();
        assert_eq!(ran.states(), [format!("vault-token: spec.volumes[1]: {reason}"), "vault-agent?".to_owned()]);
        assert_eq!(ran.operations(), Vec::<String>::new());
    }
}

#[test]
fn golden_18_a_container_of_our_name_is_a_conflict() {
    let mut authored = plain();
    authored["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "vault-agent", "image": "busybox"}));
    let ran = Scene::new(authored, json!([{"vaultAgent": {}}, {"spiffeId": {}}])).run();
    assert_eq!(
        ran.states(),
        [
            "vault-token?",
            "vault-agent: spec.containers[1]: a container named `vault-agent` exists and is not the injected agent",
            "spiffe-id"
        ]
    );
    assert_eq!(ran.operations(), ["add /metadata/annotations"]);
}

#[test]
fn golden_19_mounts_beside_ours() {
    let with_mount = |mount: Value| {
        let mut authored = plain();
        authored["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
        authored["spec"]["containers"][0]["volumeMounts"] = json!([mount]);
        Scene::new(authored, json!([{"vaultToken": {}}])).run()
    };
    let at = "vault-token: spec.containers[0].volumeMounts[0].mountPath";
    for same in ["/var/run/secrets/vault", "/var/run/secrets/vault/", "/run/secrets//vault"] {
        let ran = with_mount(json!({"name": "data", "mountPath": same}));
        let reason = "volume `data` is mounted at `/var/run/secrets/vault`, where the Vault token goes";
        assert_eq!(ran.states(), [format!("{at}: {reason}")]);
    }
    let ran = with_mount(json!({"name": "data", "mountPath": "/var/run/secrets/vault/extra"}));
    assert_eq!(ran.states(), [format!("{at}: volume `data` is mounted inside `/var/run/secrets/vault`, where the Vault token goes")]);
    for apart in ["/var/run/secrets", "/", "/var/run/secrets/vault2"] {
        let ran = with_mount(json!({"name": "data", "mountPath": apart}));
        assert_eq!(ran.states(), ["vault-token"], "{apart}");
        assert_eq!(ran.at("/spec/containers/0/volumeMounts/1"), &token_mount());
    }
    // The right volume by subPath is never refreshed.
    let mut authored = plain();
    authored["spec"]["volumes"] = json!([token_volume()]);
    authored["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "vault-token", "mountPath": "/var/run/secrets/vault", "subPath": "x"}]);
    let ran = Scene::new(authored, json!([{"vaultToken": {}}])).run();
    assert_eq!(ran.states(), [format!("{at}: volume `vault-token` is mounted at `/var/run/secrets/vault`, where the Vault token goes")]);
}

#[test]
fn golden_20_a_fitting_token_of_any_name_is_taken_and_no_other() {
    let with_token = |token: Value| {
        let mut authored = plain();
        authored["spec"]["volumes"] = json!([{"name": "vt", "projected": {"sources": [{"serviceAccountToken": token}]}}]);
        authored["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "vt", "mountPath": "/var/run/secrets/vault"}]);
        Scene::new(authored, json!([{"vaultToken": {}}])).run()
    };
    let ran = with_token(json!({"audience": "vault", "expirationSeconds": 600, "path": "jwt"}));
    assert_eq!((ran.states(), ran.operations().len()), (vec!["vault-token".to_owned()], 0));
    for token in [
        json!({"audience": "vault", "expirationSeconds": 3600, "path": "token"}),
        json!({"audience": "vault", "path": "token"}),
        json!({"audience": "Vault", "expirationSeconds": 600, "path": "token"}),
        json!({"expirationSeconds": 600, "path": "token"}),
    ] {
        let ran = with_token(token);
        let reason = "volume `vt` is mounted at `/var/run/secrets/vault`, where the Vault token goes";
        assert_eq!(ran.states(), [format!("vault-token: spec.containers[0].volumeMounts[0].mountPath: {reason}")]);
        assert_eq!(ran.operations(), Vec::<String>::new());
    }
    // A second container gets the author's volume at the author's path.
    let mut authored = plain();
    authored["spec"]["volumes"] = json!([{"name": "vt", "projected": {"sources": [{"serviceAccountToken": {"audience": "vault", "expirationSeconds": 600, "path": "jwt"}}]}}]);
    authored["spec"]["containers"] = json!([{"name": "a", "volumeMounts": [{"name": "vt", "mountPath": "/vt"}]}, {"name": "b"}]);
    let ran = Scene::new(authored, json!([{"vaultToken": {}}])).run();
    assert_eq!(ran.operations(), ["add /spec/containers/1/volumeMounts"]);
    assert_eq!(ran.at("/spec/containers/1/volumeMounts/0"), &json!({"name": "vt", "mountPath": "/vt", "readOnly": true}));
}

#[test]
fn golden_22_an_endpoint_the_author_set_stays() {
    for variable in [
        json!({"name": "SPIFFE_ENDPOINT_SOCKET", "value": "unix:///other.sock"}),
        json!({"name": "SPIFFE_ENDPOINT_SOCKET", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}),
        json!({"name": "SPIFFE_ENDPOINT_SOCKET", "value": "$(DIR)/s.sock"}),
    ] {
        let mut authored = plain();
        authored["spec"]["containers"][0]["env"] = json!([{"name": "DIR", "value": "/x"}, variable]);
        let env = authored["spec"]["containers"][0]["env"].clone();
        let ran = Scene::new(authored, json!([{"spiffeCsi": {}}])).run();
        assert_eq!(ran.at("/spec/containers/0/env"), &env);
        assert_eq!(ran.states(), ["spiffe-csi", "spiffe-id"]);
    }
}

#[test]
fn the_workload_api_that_the_author_mounts_is_enough() {
    let mut authored = plain();
    authored["metadata"]["annotations"] = json!({"spiffe.io/spiffe-id": "spiffe://else/x"});
    authored["spec"]["volumes"] = json!([{"name": "mine", "csi": {"driver": "csi.spiffe.io", "readOnly": true}}]);
    authored["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "mine", "mountPath": "/run/spire/sockets"}]);
    let ran = Scene::new(authored, json!([{"spiffeCsi": {}}])).run();
    // Another SPIFFE ID than the expected one is left to its rule.
    assert_eq!((ran.states(), ran.operations().len()), (vec!["spiffe-csi".to_owned(), "spiffe-id?".to_owned()], 0));
    let mut taken = plain();
    taken["spec"]["volumes"] = json!([{"name": "spiffe-workload-api", "hostPath": {"path": "/run/spire/sockets"}}]);
    let ran = Scene::new(taken, json!([{"spiffeCsi": {}}])).run();
    let reason = "a volume named `spiffe-workload-api` exists and is not of CSI driver `csi.spiffe.io`";
    assert_eq!(ran.states(), [format!("spiffe-csi: spec.volumes[0]: {reason}"), "spiffe-id".to_owned()]);
}

/// Golden 21: who mounted the agent's directory of the node finds the same socket at the same path, and no directory of the node.
#[test]
fn golden_21_a_directory_of_the_node_becomes_the_drivers_volume() {
    let mut authored = plain();
    authored["spec"]["volumes"] =
        json!([{"name": "data", "emptyDir": {}}, {"name": "spire", "hostPath": {"path": "/var/run/spire/sockets/", "type": "Directory"}}]);
    authored["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "spire", "mountPath": "/run/spire/sockets"}]);
    authored["spec"]["containers"][0]["args"] = json!(["-socketPath", "/run/spire/sockets/agent.sock"]);
    authored["spec"]["initContainers"] =
        json!([{"name": "first", "image": "x", "volumeMounts": [{"name": "spire", "mountPath": "/s", "readOnly": true}]}]);
    let before = authored.clone();
    let moving = |scene: Scene| {
        scene.with(|scene| {
            scene.settings.spiffe.mount_path = "/run/spire/sockets".into();
            scene.settings.spiffe.socket_name = "agent.sock".into();
        })
    };
    let ran = moving(Scene::new(authored.clone(), json!([{"spiffeCsi": {}}]))).run();
    assert_eq!(ran.states(), ["spiffe-csi", "spiffe-id"]);
    let csi = json!({"driver": "csi.spiffe.io", "readOnly": true});
    assert_eq!(ran.at("/spec/volumes"), &json!([{"name": "data", "emptyDir": {}}, {"name": "spire", "csi": csi}]));
    let mounts = json!([{"name": "spire", "mountPath": "/run/spire/sockets", "readOnly": true}]);
    assert_eq!(ran.at("/spec/containers/0/volumeMounts"), &mounts);
    assert_eq!(ran.at("/spec/containers/0/args"), &before["spec"]["containers"][0]["args"]);
    assert_eq!(ran.at("/spec/containers/0/env"), &Value::Null);
    assert_eq!(ran.at("/spec/initContainers"), &before["spec"]["initContainers"]);

    // One that did not mount it gets the mount and the variable.
    authored["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "second", "image": "x"}));
    let ran = moving(Scene::new(authored.clone(), json!([{"spiffeCsi": {}}]))).run();
    assert_eq!(ran.at("/spec/containers/1/volumeMounts"), &mounts);
    assert_eq!(ran.at("/spec/containers/1/env/0/value"), "unix:///run/spire/sockets/agent.sock");

    // A directory above it, or one that the operator did not name, is left to its rule.
    authored["spec"]["volumes"][1]["hostPath"]["path"] = json!("/run/spire");
    let ran = moving(Scene::new(authored.clone(), json!([{"spiffeCsi": {}}]))).once(&authored);
    let reason = "volume `spire` is mounted at `/run/spire/sockets`, where the SPIFFE Workload API goes";
    assert_eq!(ran.states(), [format!("spiffe-csi: spec.containers[0].volumeMounts[0].mountPath: {reason}"), "spiffe-id".to_owned()]);
    let ran = Scene::new(before.clone(), json!([{"spiffeCsi": {}}])).once(&before);
    assert_eq!(ran.at("/spec/volumes/1"), &before["spec"]["volumes"][1]);
}

#[test]
fn hardening_a26_a_reserved_volume_is_nobody_elses() {
    for (list, name, container) in [
        ("initContainers", "vault-token", "x"),
        ("containers", "vault-token", "app"),
        ("initContainers", "vault-secrets", "x"),
        ("containers", "vault-config", "app"),
        ("containers", "vault-secrets", "app"),
    ] {
        let mut authored = plain();
        authored["spec"][list] = json!([{"name": container, "image": "x", "volumeMounts": [{"name": name, "mountPath": "/steal"}]}]);
        let ran = Scene::new(authored, json!([{"vaultAgent": {}}])).run_plain();
        let conflict = ran.injection.outcomes.iter().find_map(|outcome| outcome.conflict.clone()).unwrap();
        assert_eq!(conflict.field_path.to_string(), format!("spec.{list}[0].volumeMounts[0]"));
        assert!(conflict.reason.starts_with(&format!("container `{container}` mounts `{name}`")), "{}", conflict.reason);
        assert_eq!(ran.operations(), Vec::<String>::new());
    }
}
