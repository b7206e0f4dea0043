use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::fixture::{Scene, of_kind};
use super::TOKEN_DIRECTORY;
use crate::object::{Fact, FieldPath, Object};

/// A pod of one app container with one volume `v` at `/m`.
fn with_volume(source: Value) -> Scene {
    let mut volume = source;
    volume["name"] = json!("v");
    Scene::pod(json!({
        "volumes": [volume],
        "containers": [{ "name": "app", "volumeMounts": [{ "name": "v", "mountPath": "/m/", "readOnly": true }] }],
    }))
}

fn projected(source: Value) -> Scene {
    let sources = Value::Array(vec![source]);
    with_volume(json!({ "projected": { "sources": sources } }))
}

fn plugin_volume(name: &str) -> Value {
    json!({ "name": name, "projected": { "defaultMode": 420, "sources": [
        { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [{ "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } }] } },
    ] } })
}

#[test]
fn a_projected_token_is_listed_with_its_file_and_defaults() {
    let identity = projected(json!({ "serviceAccountToken": { "path": "jwt", "audience": "vault", "expirationSeconds": 600 } })).read();
    assert_eq!(
        identity["credentials"],
        json!([{
            "kind": "serviceAccountToken", "audience": "vault", "seconds": 600, "path": "/m/jwt", "containers": ["app"],
            "fieldPath": "spec.volumes[0].projected.sources[0].serviceAccountToken", "volume": "v", "subPath": false, "readOnly": true,
            "certainty": "known", "apiAudience": false, "automounted": false,
        }])
    );
    let identity = projected(json!({ "serviceAccountToken": { "path": "t" } })).read();
    let token = &identity["credentials"][0];
    assert_eq!((&token["audience"], &token["seconds"], &token["apiAudience"]), (&json!(""), &json!(3600), &json!(true)));
    assert_eq!(identity["apiToken"], json!({ "mounted": true, "explicit": false, "source": "projected", "containers": ["app"] }));
    let identity = projected(json!({ "serviceAccountToken": { "path": "t", "audience": "https://kubernetes.default.svc" } })).read();
    assert_eq!(identity["credentials"][0]["apiAudience"], true);
}

#[test]
fn hardening_a16_a_pod_certificate_is_a_credential_with_its_signer() {
    let identity = projected(json!({ "podCertificate": { "signerName": "evil.example/x", "credentialBundlePath": "b.pem" } })).read();
    let found = &identity["credentials"][0];
    assert_eq!(found["kind"], "podCertificate");
    assert_eq!((&found["audience"], &found["seconds"], &found["path"]), (&json!("evil.example/x"), &json!(86400), &json!("/m/b.pem")));
    let identity =
        projected(json!({ "podCertificate": { "signerName": "s/x", "keyPath": "k", "maxExpirationSeconds": 7_862_400 } })).read();
    assert_eq!(identity["credentials"][0]["seconds"], 7_862_400);
    assert_eq!(identity["credentials"][0]["path"], "/m/k");
}

#[test]
fn hardening_a17_every_door_to_a_token_secret_is_found() {
    let reference = json!({ "name": "robot" });
    let doors = [
        ("secret", json!({ "secret": { "secretName": "robot" } }), "spec.volumes[0].secret"),
        ("projected", json!({ "projected": { "sources": [{ "secret": reference }] } }), "spec.volumes[0].projected.sources[0].secret"),
        ("azureFile", json!({ "azureFile": { "secretName": "robot", "shareName": "s" } }), "spec.volumes[0].azureFile.secretName"),
        ("cephfs", json!({ "cephfs": { "secretRef": reference } }), "spec.volumes[0].cephfs.secretRef"),
        ("cinder", json!({ "cinder": { "secretRef": reference } }), "spec.volumes[0].cinder.secretRef"),
        ("flexVolume", json!({ "flexVolume": { "secretRef": reference } }), "spec.volumes[0].flexVolume.secretRef"),
        ("rbd", json!({ "rbd": { "secretRef": reference } }), "spec.volumes[0].rbd.secretRef"),
        ("scaleIO", json!({ "scaleIO": { "secretRef": reference } }), "spec.volumes[0].scaleIO.secretRef"),
        ("iscsi", json!({ "iscsi": { "secretRef": reference } }), "spec.volumes[0].iscsi.secretRef"),
        ("storageos", json!({ "storageos": { "secretRef": reference } }), "spec.volumes[0].storageos.secretRef"),
        ("csi", json!({ "csi": { "driver": "d", "nodePublishSecretRef": reference } }), "spec.volumes[0].csi.nodePublishSecretRef"),
    ];
    for (what, source, field_path) in doors {
        let mut scene = with_volume(source);
        scene.token_secrets = crate::identity::KnownSecrets::all(BTreeSet::from(["robot".to_owned()]));
        let identity = scene.read();
        let found = of_kind(&identity, "legacyTokenSecret");
        assert_eq!(found.len(), 1, "{what}: {identity}");
        assert_eq!(found[0]["fieldPath"], field_path, "{what}");
        assert_eq!((&found[0]["name"], &found[0]["certainty"]), (&json!("robot"), &json!("known")), "{what}");
        assert_eq!(found[0]["containers"], json!(["app"]), "{what}");
    }
    let spec = [
        (
            "env",
            json!({ "containers": [{ "name": "app", "env": [{ "name": "T", "valueFrom": { "secretKeyRef": { "name": "robot", "key": "token" } } }] }] }),
            "spec.containers[0].env[0].valueFrom.secretKeyRef",
        ),
        (
            "envFrom",
            json!({ "initContainers": [{ "name": "app", "envFrom": [{ "secretRef": reference }] }] }),
            "spec.initContainers[0].envFrom[0].secretRef",
        ),
        ("pull secret", json!({ "imagePullSecrets": [reference] }), "spec.imagePullSecrets[0]"),
    ];
    for (what, spec, field_path) in spec {
        let mut scene = Scene::pod(spec);
        scene.token_secrets = crate::identity::KnownSecrets::all(BTreeSet::from(["robot".to_owned()]));
        let identity = scene.read();
        let found = of_kind(&identity, "legacyTokenSecret");
        assert_eq!(found.len(), 1, "{what}: {identity}");
        assert_eq!(found[0]["fieldPath"], field_path, "{what}");
    }
}

#[test]
fn hardening_a17_any_secret_shown_in_the_token_directory_is_a_legacy_token() {
    let items = json!([{ "key": "k", "path": "kubernetes.io/serviceaccount/token" }]);
    for (what, mount, items, legacy) in [
        ("the directory", json!({ "mountPath": TOKEN_DIRECTORY }), None, true),
        ("by /run", json!({ "mountPath": "/run/secrets/kubernetes.io/serviceaccount" }), None, true),
        ("with a slash", json!({ "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount/" }), None, true),
        ("by ..", json!({ "mountPath": "/var/run/secrets/x/../kubernetes.io/serviceaccount" }), None, true),
        ("one file", json!({ "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount/token", "subPath": "token" }), None, true),
        ("a parent with items", json!({ "mountPath": "/var/run/secrets" }), Some(items.clone()), true),
        ("a parent with items by ..data", json!({ "mountPath": "/run/secrets", "subPath": "..data" }), Some(items.clone()), true),
        (
            "a part of the items",
            json!({ "mountPath": "/run/secrets/kubernetes.io", "subPath": "kubernetes.io" }),
            Some(items.clone()),
            true,
        ),
        ("a parent with a variable", json!({ "mountPath": "/run/secrets", "subPathExpr": "$(X)" }), Some(items.clone()), true),
        ("another part", json!({ "mountPath": "/run/secrets", "subPath": "other" }), Some(items.clone()), false),
        ("a parent without items", json!({ "mountPath": "/run/secrets" }), None, false),
        ("items elsewhere", json!({ "mountPath": "/run/secrets" }), Some(json!([{ "key": "k", "path": "db/password" }])), false),
        ("elsewhere", json!({ "mountPath": "/etc/db" }), Some(items), false),
        ("a longer name", json!({ "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount2" }), None, false),
    ] {
        for projected in [false, true] {
            let mut secret = if projected { json!({ "name": "s" }) } else { json!({ "secretName": "s" }) };
            if let Some(items) = &items {
                secret["items"] = items.clone();
            }
            let mut scene = with_volume(if projected {
                json!({ "projected": { "sources": [{ "secret": secret }] } })
            } else {
                json!({ "secret": secret })
            });
            let mut mount = mount.clone();
            mount["name"] = json!("v");
            scene.pod["spec"]["containers"][0]["volumeMounts"] = json!([mount]);
            let identity = scene.read();
            let kind = if legacy { "legacyTokenSecret" } else { "secret" };
            assert_eq!(of_kind(&identity, kind).len(), 1, "{what}: {identity}");
            assert_eq!(identity["credentials"][0]["certainty"], if legacy { "known" } else { "unknown" }, "{what}");
        }
    }
}

#[test]
fn a_name_of_the_shape_is_only_shaped() {
    let identity = with_volume(json!({ "secret": { "secretName": "api-token-x7k2p" } })).read();
    let found = &identity["credentials"][0];
    assert_eq!((&found["kind"], &found["certainty"]), (&json!("legacyTokenSecret"), &json!("shaped")));
}

#[test]
fn hardening_a19_env_doors_by_secret_and_by_file() {
    let identity = Scene::pod(json!({ "containers": [{ "name": "app",
        "env": [
            { "name": "PLAIN", "value": "x" },
            { "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
            { "name": "DB", "valueFrom": { "secretKeyRef": { "name": "db", "key": "p" } } },
            { "name": "FILE", "valueFrom": { "fileKeyRef": { "volumeName": "shared", "path": "env", "key": "K" } } },
            { "name": "NEW", "valueFrom": { "vaultRef": {} } },
        ],
        "envFrom": [{ "configMapRef": { "name": "c" } }, { "prefix": "VAULT_", "secretRef": { "name": "vt" } }],
    }] }))
    .read();
    let found: Vec<_> = identity["credentials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|credential| (credential["kind"].as_str().unwrap(), credential["fieldPath"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("secret", "spec.containers[0].env[2].valueFrom.secretKeyRef"),
            ("envFile", "spec.containers[0].env[3].valueFrom.fileKeyRef"),
            ("unknown", "spec.containers[0].env[4].valueFrom.vaultRef"),
            ("secret", "spec.containers[0].envFrom[1].secretRef"),
        ]
    );
    assert_eq!(identity["credentials"][0]["env"], "DB");
    assert_eq!(identity["credentials"][1]["volume"], "shared");
}

#[test]
fn a_sort_of_source_that_is_not_known_is_a_finding() {
    for (source, name, field_path) in [
        (json!({ "quantumVault": { "x": 1 } }), "quantumVault", "spec.volumes[0].quantumVault"),
        (json!({ "projected": { "sources": [{ "spiffeSvid": {} }] } }), "spiffeSvid", "spec.volumes[0].projected.sources[0].spiffeSvid"),
    ] {
        let identity = with_volume(source).read();
        let found = of_kind(&identity, "unknown");
        assert_eq!(found.len(), 1, "{identity}");
        assert_eq!((&found[0]["name"], &found[0]["fieldPath"]), (&json!(name), &json!(field_path)));
    }
    for source in super::PLAIN_VOLUMES {
        assert_eq!(with_volume(json!({ source: {} })).read()["credentials"], json!([]), "{source}");
    }
}

#[test]
fn csi_drivers_are_known_identities_or_unknown() {
    for (driver, certainty) in [("csi.spiffe.io", "known"), ("csi.cert-manager.io", "known"), ("secrets-store.csi.k8s.io", "unknown")] {
        let identity = with_volume(json!({ "csi": { "driver": driver, "readOnly": true } })).read();
        let found = &identity["credentials"][0];
        assert_eq!((&found["kind"], &found["name"], &found["certainty"]), (&json!("csi"), &json!(driver), &json!(certainty)));
        assert_eq!(found["path"], "/m");
    }
}

#[test]
fn hardening_a4_a_directory_of_the_node_with_others_tokens_is_a_door() {
    for (path, expected) in [
        ("/var/lib/kubelet/pods", Some("/var/lib/kubelet/pods")),
        ("/var/run/spire/sockets", Some("/run/spire/sockets")),
        ("/", Some("/")),
        ("/proc/1/root", Some("/proc/1/root")),
        ("/data", None),
    ] {
        let identity = with_volume(json!({ "hostPath": { "path": path } })).read();
        let found = of_kind(&identity, "hostPath");
        assert_eq!(found.first().map(|found| found["name"].as_str().unwrap()), expected, "{path}");
    }
}

#[test]
fn a_sub_path_mount_is_told_and_mounts_are_grouped_by_place() {
    let mut scene = projected(json!({ "serviceAccountToken": { "path": "token", "audience": "vault" } }));
    let mount = |path: &str| json!({ "name": "v", "mountPath": path, "readOnly": true });
    scene.pod["spec"]["containers"] = json!([
        { "name": "b", "volumeMounts": [mount("/m")] },
        { "name": "a", "volumeMounts": [mount("/m"), { "name": "v", "mountPath": "/file", "subPath": "token" }] },
        { "name": "c", "volumeMounts": [{ "name": "v", "mountPath": "/var", "subPathExpr": "$(X)" }] },
        { "name": "d", "volumeMounts": [{ "name": "v", "mountPath": "/no", "subPath": "other" }] },
    ]);
    let identity = scene.read();
    let found: Vec<_> = of_kind(&identity, "serviceAccountToken")
        .into_iter()
        .map(|token| (token["path"].as_str(), token["containers"].clone(), token["subPath"] == true, token["readOnly"] == true))
        .collect();
    assert_eq!(
        found,
        [(Some("/file"), json!(["a"]), true, false), (Some("/m/token"), json!(["b", "a"]), false, true), (None, json!(["c"]), true, false),]
    );
}

#[test]
fn hardening_a6_the_plugins_token_is_told_by_content_and_only_while_automount_is_on() {
    for (what, name, automount, seconds, automounted, source) in [
        ("as the plugin made it", "kube-api-access-x7k2p", json!(true), 3607, true, "pod"),
        ("left by half a removal", "kube-api-access-x7k2p", json!(false), 3607, false, "projected"),
        ("of another name", "mine", json!(true), 3607, true, "pod"),
        ("a tenant's of that name", "kube-api-access-evil", json!(false), 3607, false, "projected"),
        ("another lifetime", "kube-api-access-evil", json!(true), 3600, false, "projected"),
    ] {
        let mut volume = plugin_volume(name);
        volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] = json!(seconds);
        let identity = Scene::pod(json!({
            "automountServiceAccountToken": automount,
            "volumes": [volume],
            "containers": [{ "name": "app", "volumeMounts": [{ "name": name, "mountPath": TOKEN_DIRECTORY, "readOnly": true }] }],
        }))
        .read();
        let found = of_kind(&identity, "serviceAccountToken");
        assert_eq!(found.len(), 1, "{what}: {identity}");
        assert_eq!((&found[0]["automounted"], &identity["apiToken"]["source"]), (&json!(automounted), &json!(source)), "{what}");
        assert_eq!(identity["apiToken"]["mounted"], true, "{what}");
    }
}

#[test]
fn what_the_plugin_will_add_is_listed_for_the_containers_that_lack_it() {
    let mut scene = Scene::pod(json!({
        "automountServiceAccountToken": null,
        "volumes": [{ "name": "own", "emptyDir": {} }],
        "initContainers": [{ "name": "init" }],
        "containers": [
            { "name": "app", "volumeMounts": [{ "name": "own", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount/" }] },
            { "name": "own", "volumeMounts": [{ "name": "own", "mountPath": TOKEN_DIRECTORY }] },
        ],
        "ephemeralContainers": [{ "name": "debug" }],
    }));
    let identity = scene.read();
    let found = of_kind(&identity, "serviceAccountToken");
    assert_eq!(found[0]["containers"], json!(["init", "app"]));
    assert_eq!((&found[0]["path"], &found[0]["seconds"]), (&json!("/run/secrets/kubernetes.io/serviceaccount/token"), &json!(3607)));
    assert_eq!(identity["apiToken"], json!({ "mounted": true, "source": "default", "containers": ["init", "app"] }));
    scene.service_account = Fact::Unknown("cache is cold".into());
    let identity = scene.read();
    assert_eq!(identity["apiToken"], json!({ "mounted": true, "source": "unknown", "containers": ["init", "app"] }));
    assert_eq!(of_kind(&identity, "serviceAccountToken")[0]["certainty"], "unknown");
    scene.service_account = Fact::Found(json!({ "automountServiceAccountToken": false }));
    assert_eq!(scene.read()["apiToken"], json!({ "mounted": false, "explicit": false, "source": "none", "containers": [] }));
}

#[test]
fn hardening_a6_a_volume_of_the_plugins_prefix_is_adopted_in_place_of_the_token() {
    let scene = |volume: Value| Scene::pod(json!({ "automountServiceAccountToken": true, "volumes": [volume] })).read();
    let identity = scene(json!({ "name": "kube-api-access-evil", "emptyDir": {} }));
    assert_eq!(identity["apiToken"], json!({ "mounted": false, "explicit": true, "source": "none", "containers": [] }));
    let identity = scene(json!({ "name": "kube-api-access-evil", "secret": { "secretName": "mine" } }));
    assert_eq!(of_kind(&identity, "legacyTokenSecret")[0]["containers"], json!(["app"]));
}

#[test]
fn hardening_a36_a_pod_that_explodes_ends_with_a_credential_nobody_can_judge() {
    let sources: Vec<Value> = (0..400).map(|n| json!({ "serviceAccountToken": { "path": format!("t{n}") } })).collect();
    let mounts: Vec<Value> = (0..400).map(|n| json!({ "name": "v", "mountPath": format!("/m{n}") })).collect();
    let identity = Scene::pod(json!({
        "volumes": [{ "name": "v", "projected": { "sources": sources } }],
        "containers": [{ "name": "app", "volumeMounts": mounts }],
    }))
    .read();
    let credentials = identity["credentials"].as_array().unwrap();
    assert!(credentials.len() <= super::BOUND, "{}", credentials.len());
    let last = credentials.last().unwrap();
    assert_eq!((&last["kind"], &last["name"]), (&json!("unknown"), &json!("more credentials than can be listed")));
}

#[test]
fn every_field_path_leads_to_its_field() {
    let scene = Scene::pod(json!({
        "automountServiceAccountToken": true,
        "imagePullSecrets": [{ "name": "pull" }],
        "volumes": [{ "name": "a", "secret": { "secretName": "s" } }, { "name": "b", "csi": { "driver": "csi.spiffe.io" } }],
        "containers": [{ "name": "app", "envFrom": [{ "secretRef": { "name": "x" } }] }],
    }));
    let object = Object::from_json(scene.pod.to_string()).unwrap();
    let identity = scene.read();
    for credential in identity["credentials"].as_array().unwrap() {
        let text = credential["fieldPath"].as_str().unwrap();
        let path = FieldPath::parse(text).unwrap();
        assert!(path.resolve(object.root()).is_some(), "{text}");
        assert_eq!(path.to_string(), text);
    }
    assert_eq!(identity["credentials"].as_array().unwrap().len(), 5);
    assert_eq!(of_kind(&identity, "imagePullSecret")[0]["name"], "pull");
}
