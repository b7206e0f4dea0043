//! Laws of the reading: it never panics, it does not depend on the order of volumes, it has the shape of its schema.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::fixture::Scene;
use crate::object::{GroupVersionKind, Object};
use crate::settings::{MeshKind, Settings};

/// Values where the reader looks, well formed and not.
fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(3607_i64), Just(600), any::<i64>()].prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "v",
            "w",
            "token",
            "vault",
            "agent",
            "linkerd-proxy",
            "linkerd-init",
            "istio-proxy",
            "kube-api-access-x",
            "api-token-x7k2p",
            "/",
            "/var/run/secrets/kubernetes.io/serviceaccount",
            "..",
            "..data",
            "/run/spire",
            "VAULT_ADDR",
            "VAULT_CONFIG",
            "Always",
            "cr.l5d.io/linkerd/proxy:1",
            "hashicorp/vault:1",
            "csi.spiffe.io",
            "identity.l5d.io",
            "enabled",
            "disabled",
            "--proxy-uid",
            "https://vault.vault:8200",
            "\u{1b}[2J",
            "ä/ö",
        ])
        .prop_map(Value::from),
    ]
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "name",
        "volumeMounts",
        "mountPath",
        "subPath",
        "subPathExpr",
        "readOnly",
        "projected",
        "sources",
        "serviceAccountToken",
        "path",
        "audience",
        "expirationSeconds",
        "podCertificate",
        "secret",
        "secretName",
        "items",
        "csi",
        "driver",
        "hostPath",
        "env",
        "envFrom",
        "valueFrom",
        "secretKeyRef",
        "fileKeyRef",
        "secretRef",
        "value",
        "command",
        "args",
        "image",
        "securityContext",
        "runAsUser",
        "restartPolicy",
        "downwardAPI",
        "fieldRef",
        "cephfs",
        "newVolume",
    ])
}

/// Any JSON over the reader's own words.
fn tree() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())),
        ]
    })
}

fn mesh() -> impl Strategy<Value = MeshKind> {
    prop::sample::select(vec![MeshKind::None, MeshKind::Linkerd, MeshKind::Istio, MeshKind::Spire])
}

fn scene(volumes: &Value, containers: &Value, automount: &Value, mesh: MeshKind) -> Scene {
    let mut scene = Scene::pod(json!({ "volumes": volumes, "containers": containers, "automountServiceAccountToken": automount }));
    scene.settings.mesh.kind = mesh;
    scene
}

/// A volume of every sort that the reader knows, under one of three names.
fn volume() -> impl Strategy<Value = Value> {
    let source = prop_oneof![
        Just(json!({ "emptyDir": {} })),
        Just(json!({ "secret": { "secretName": "s" } })),
        Just(json!({ "csi": { "driver": "csi.spiffe.io" } })),
        Just(json!({ "hostPath": { "path": "/proc" } })),
        Just(
            json!({ "projected": { "sources": [{ "serviceAccountToken": { "path": "token", "audience": "vault" } }, { "secret": { "name": "s" } }] } })
        ),
        Just(json!({ "projected": { "sources": [{ "serviceAccountToken": { "path": "a", "audience": "identity.l5d.io" } }] } })),
        Just(json!({ "somethingNew": {} })),
    ];
    (prop::sample::select(vec!["v", "w", "kube-api-access-x"]), source).prop_map(|(name, mut volume)| {
        volume["name"] = json!(name);
        volume
    })
}

fn mounting() -> impl Strategy<Value = Value> {
    let mount = (
        prop::sample::select(vec!["v", "w", "kube-api-access-x"]),
        prop::sample::select(vec!["/m", "/m/", "/var/run/secrets/kubernetes.io/serviceaccount"]),
        prop::sample::select(vec!["", "token"]),
    )
        .prop_map(|(name, path, sub)| json!({ "name": name, "mountPath": path, "subPath": sub }));
    (prop::sample::select(vec!["app", "linkerd-proxy", "agent"]), prop::collection::vec(mount, 0..4))
        .prop_map(|(name, mounts)| json!({ "name": name, "image": "x", "volumeMounts": mounts }))
}

/// The identity without what tells positions: credentials as a multiset, paths of volumes left out.
fn unordered(mut identity: Value) -> Value {
    let mut credentials = identity["credentials"].as_array().unwrap().clone();
    for credential in &mut credentials {
        credential.as_object_mut().unwrap().remove("fieldPath");
    }
    credentials.sort_by_key(Value::to_string);
    identity["credentials"] = json!(credentials);
    for part in ["mesh", "vault"] {
        identity[part].as_object_mut().unwrap().remove("fieldPath");
    }
    for agent in identity["vault"]["agents"].as_array_mut().unwrap() {
        agent.as_object_mut().unwrap().remove("onDisk");
    }
    // Of several tokens for Vault the first one is shown; which that is, is the author's order.
    identity["vault"]["token"] = json!(identity["vault"].get("token").is_some());
    identity
}

/// An object of a kind that is read without a pod template, around any spec.
fn object() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "provider",
        "vault",
        "aws",
        "gcpsm",
        "azurekv",
        "auth",
        "kubernetes",
        "jwt",
        "secretRef",
        "serviceAccountRef",
        "parameters",
        "spec",
        "method",
        "pipelineSpec",
        "tasks",
        "taskSpec",
        "steps",
        "env",
        "data",
        "stringData",
        "name",
        "server",
        "role",
        "generator",
    ]);
    let any = scalar().prop_recursive(6, 64, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())),
        ]
    });
    let kind = prop::sample::select(vec![
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("external-secrets.io/v1", "SecretStore"),
        ("external-secrets.io/v1", "ClusterSecretStore"),
        ("generators.external-secrets.io/v1alpha1", "ClusterGenerator"),
        ("cert-manager.io/v1", "Issuer"),
        ("secrets.hashicorp.com/v1beta1", "VaultAuth"),
        ("secrets-store.csi.x-k8s.io/v1", "SecretProviderClass"),
        ("tekton.dev/v1", "PipelineRun"),
    ]);
    (kind, any.clone(), any)
        .prop_map(|((version, kind), spec, data)| json!({ "apiVersion": version, "kind": kind, "spec": spec, "data": data }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn reading_never_panics(volumes in tree(), containers in tree(), automount in scalar(), mesh in mesh()) {
        scene(&volumes, &containers, &automount, mesh).read();
    }

    #[test]
    fn an_object_of_any_shape_is_read_as_the_schema_says(value in object()) {
        let object = Object::from_json(value.to_string()).unwrap();
        let kind = GroupVersionKind::of(object.root()).unwrap();
        let settings = Settings::demonstration();
        let identity = serde_json::to_value(super::read_object(&kind, object.root(), "payments", &settings, &super::KnownSecrets::default())).unwrap();
        let schema: Value = serde_json::from_str(super::SCHEMA).unwrap();
        let mut problems = Vec::new();
        check(&schema, &schema["$defs"]["objectIdentity"], &identity, "identity", &mut problems);
        prop_assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn reading_does_not_depend_on_the_order_of_volumes(
        (volumes, shuffled) in prop::collection::vec(volume(), 0..6).prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle())),
        containers in prop::collection::vec(mounting(), 1..4),
        automount in prop::sample::select(vec![json!(true), json!(false), json!(null)]),
        mesh in mesh(),
    ) {
        let one = scene(&json!(volumes), &json!(containers), &automount, mesh).read();
        let other = scene(&json!(shuffled), &json!(containers), &automount, mesh).read();
        prop_assert_eq!(unordered(one), unordered(other));
    }

    #[test]
    fn whatever_is_read_has_the_shape_of_the_schema(volumes in tree(), containers in tree(), mesh in mesh()) {
        let schema: Value = serde_json::from_str(super::SCHEMA).unwrap();
        let mut problems = Vec::new();
        check(&schema, &schema, &scene(&volumes, &containers, &Value::Null, mesh).read(), "identity", &mut problems);
        prop_assert!(problems.is_empty(), "{problems:?}");
    }
}

/// Judges a value by the few words that the schema uses.
fn check(root: &Value, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        return check(root, &root["$defs"][name.trim_start_matches("#/$defs/")], value, at, problems);
    }
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("boolean") => value.is_boolean(),
        other => panic!("{at}: the schema says `{other:?}`"),
    };
    if !fits {
        problems.push(format!("{at} is {value}"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        problems.push(format!("{at} is {value}, none of {words:?}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(root, &schema["items"], item, &format!("{at}[{index}]"), problems);
    }
    if let Some(fields) = value.as_object() {
        for (key, field) in fields {
            match schema["properties"].get(key) {
                Some(inner) => check(root, inner, field, &format!("{at}.{key}"), problems),
                None => problems.push(format!("{at}.{key} is not in the schema")),
            }
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            if !fields.contains_key(required.as_str().unwrap()) {
                problems.push(format!("{at} lacks {required}"));
            }
        }
    }
}

/// The keys of a schema's object.
fn keys(schema: &Value) -> BTreeSet<String> {
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_schema_has_exactly_the_keys_of_a_full_identity() {
    let schema: Value = serde_json::from_str(super::SCHEMA).unwrap();
    let of = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let full = serde_json::to_value(super::model::sample::full()).unwrap();
    let object = serde_json::to_value(super::model::sample::full_object()).unwrap();
    let defs = &schema["$defs"];
    for (name, value, schema) in [
        ("identity", &full, &schema),
        ("apiToken", &full["apiToken"], &defs["apiToken"]),
        ("credential", &full["credentials"][0], &defs["credential"]),
        ("mount", &full["mounts"][0], &defs["mount"]),
        ("mesh", &full["mesh"], &defs["mesh"]),
        ("meshFinding", &full["mesh"]["findings"][0], &defs["meshFinding"]),
        ("vault", &full["vault"], &defs["vault"]),
        ("login", &full["vault"]["login"], &defs["login"]),
        ("vaultToken", &full["vault"]["token"], &defs["vaultToken"]),
        ("agent", &full["vault"]["agents"][0], &defs["agent"]),
        ("named", &full["vendorAnnotations"][0], &defs["named"]),
        ("vaultAccess", &full["vaultAccess"], &defs["vaultAccess"]),
        ("address", &full["vaultAccess"]["addresses"][0], &defs["address"]),
        ("authMethod", &full["vaultAccess"]["methods"][0], &defs["authMethod"]),
        ("authMount", &full["vaultAccess"]["mounts"][0], &defs["authMount"]),
        ("vaultRole", &full["vaultAccess"]["roles"][0], &defs["vaultRole"]),
        ("tokenAudiences", &full["vaultAccess"]["audiences"][0], &defs["tokenAudiences"]),
        ("tokenSeconds", &full["vaultAccess"]["tokenSeconds"][0], &defs["tokenSeconds"]),
        ("staticCredential", &full["staticCredentials"][0], &defs["staticCredential"]),
        ("material", &full["credentialMaterial"][0], &defs["material"]),
        ("objectIdentity", &object, &defs["objectIdentity"]),
        ("registration", &object["registration"], &defs["registration"]),
        ("registrationFinding", &object["registration"]["findings"][0], &defs["registrationFinding"]),
        ("signingRequest", &object["signingRequest"], &defs["signingRequest"]),
        ("namespaceMesh", &object["mesh"], &defs["namespaceMesh"]),
        ("store", &object["store"], &defs["store"]),
        ("injection", &full["injections"][0], &defs["injection"]),
        ("conflict", &full["injections"][0]["conflict"], &defs["conflict"]),
    ] {
        assert_eq!(of(value), keys(schema), "{name}");
    }
    let mut problems = Vec::new();
    check(&schema, &schema, &full, "identity", &mut problems);
    check(&schema, &defs["objectIdentity"], &object, "identity", &mut problems);
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn the_models_of_other_objects_have_the_shape_of_the_schema() {
    let schema: Value = serde_json::from_str(super::SCHEMA).unwrap();
    let of = |api: &str, kind: &str, object: &Value| {
        let object = crate::object::Object::from_serialize(object).unwrap();
        let kind = crate::object::GroupVersionKind::new(api, "v1", kind);
        let secrets = super::KnownSecrets::default();
        serde_json::to_value(super::read_object(&kind, object.root(), "payments", &crate::settings::Settings::default(), &secrets).unwrap())
            .unwrap()
    };
    let rbac = "rbac.authorization.k8s.io";
    let role = of(rbac, "ClusterRole", &json!({ "rules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }] }));
    let binding = of(rbac, "RoleBinding", &json!({ "subjects": [{ "kind": "ServiceAccount", "name": "default" }] }));
    let account =
        of("", "ServiceAccount", &json!({ "secrets": [{ "name": "api-token-x7k2p" }], "imagePullSecrets": [{ "name": "pull" }] }));
    let mut problems = Vec::new();
    check(&schema, &schema["$defs"]["grants"], &role["grants"], "grants", &mut problems);
    check(&schema, &schema["$defs"]["grants"], &binding["grants"], "grants", &mut problems);
    for secret in account["secrets"].as_array().unwrap() {
        check(&schema, &schema["$defs"]["listedSecret"], secret, "secrets", &mut problems);
    }
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!((role["grants"]["rules"][0]["powers"].as_array().unwrap().len(), account["secrets"].as_array().unwrap().len()), (8, 2));
}
