use serde_json::{Value, json};

use super::super::read_object;
use crate::object::{GroupVersionKind, Object};
use crate::settings::Settings;

fn read(api_version: &str, kind: &str, spec: &Value) -> Value {
    let object = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": "x" }, "spec": spec });
    let object = Object::from_json(object.to_string()).unwrap();
    let settings = Settings::demonstration();
    let kind = GroupVersionKind::of(object.root()).unwrap();
    let namespace = if kind.kind.starts_with("Cluster") { "" } else { "payments" };
    serde_json::to_value(read_object(&kind, object.root(), namespace, &settings, &crate::identity::KnownSecrets::default())).unwrap()
}

/// The field paths of a list.
fn places(identity: &Value, list: &str) -> Vec<String> {
    let found = identity.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
    found.iter().map(|found| found["fieldPath"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_login_reads_alike_in_every_kind() {
    let auth = json!({ "mountPath": "kubernetes-demo", "role": "payments.api", "serviceAccountRef": { "name": "api", "namespace": "payments", "audiences": ["vault"] } });
    let server = "https://vault.vault.svc.cluster.local:8200";
    let vault = json!({ "server": server, "auth": { "kubernetes": auth } });
    for (api_version, kind, spec, prefix) in [
        ("external-secrets.io/v1", "SecretStore", json!({ "provider": { "vault": vault } }), "spec.provider.vault"),
        ("external-secrets.io/v1beta1", "ClusterSecretStore", json!({ "provider": { "vault": vault } }), "spec.provider.vault"),
        ("generators.external-secrets.io/v1alpha1", "VaultDynamicSecret", json!({ "path": "x", "provider": vault }), "spec.provider"),
        (
            "generators.external-secrets.io/v1alpha1",
            "ClusterGenerator",
            json!({ "generator": { "vaultDynamicSecretSpec": { "provider": vault } } }),
            "spec.generator.vaultDynamicSecretSpec.provider",
        ),
    ] {
        let identity = read(api_version, kind, &spec);
        let access = &identity["vaultAccess"];
        let at = format!("{prefix}.auth.kubernetes");
        assert_eq!(access["addresses"][0]["listed"], true, "{kind}");
        assert_eq!(access["addresses"][0]["fieldPath"], format!("{prefix}.server"), "{kind}");
        assert_eq!(access["methods"], json!([{ "name": "kubernetes", "attested": false, "fieldPath": at }]), "{kind}");
        assert_eq!(access["mounts"][0]["listed"], true, "{kind}");
        assert_eq!(access["roles"][0]["own"], true, "{kind}: {access}");
        assert_eq!(access["audiences"][0]["names"], json!(["vault"]), "{kind}");
        assert_eq!(identity["store"], json!({ "ambient": [], "secrets": [] }), "{kind}");
    }
}

#[test]
fn hardening_a14_a_store_that_names_no_account_is_ambient() {
    for (provider, ambient) in [
        (json!({ "vault": { "server": "s", "auth": { "kubernetes": { "role": "r" } } } }), Some("spec.provider.vault.auth.kubernetes")),
        (json!({ "vault": { "server": "s" } }), Some("spec.provider.vault.auth")),
        (json!({ "vault": { "server": "s", "auth": { "iam": { "vaultRole": "r" } } } }), Some("spec.provider.vault.auth.iam")),
        (
            json!({ "vault": { "server": "s", "auth": { "iam": { "vaultRole": "r", "jwt": { "serviceAccountRef": { "name": "a" } } } } } }),
            None,
        ),
        (json!({ "vault": { "server": "s", "auth": { "gcp": { "role": "r" } } } }), Some("spec.provider.vault.auth.gcp")),
        (json!({ "vault": { "server": "s", "auth": { "gcp": { "role": "r", "serviceAccountRef": { "name": "a" } } } } }), None),
        (json!({ "vault": { "server": "s", "auth": { "jwt": { "role": "r" } } } }), Some("spec.provider.vault.auth.jwt")),
        (json!({ "aws": { "service": "SecretsManager" } }), Some("spec.provider.aws.auth")),
        (json!({ "aws": { "auth": { "jwt": { "serviceAccountRef": { "name": "a" } } } } }), None),
        (json!({ "gcpsm": { "projectID": "p" } }), Some("spec.provider.gcpsm.auth")),
        (json!({ "gcpsm": { "auth": { "workloadIdentity": { "serviceAccountRef": { "name": "a" } } } } }), None),
        (json!({ "azurekv": { "authType": "ManagedIdentity" } }), Some("spec.provider.azurekv.authType")),
        (json!({ "azurekv": { "authType": "WorkloadIdentity" } }), Some("spec.provider.azurekv.serviceAccountRef")),
        (json!({ "azurekv": { "authType": "WorkloadIdentity", "serviceAccountRef": { "name": "a" } } }), None),
    ] {
        let identity = read("external-secrets.io/v1", "SecretStore", &json!({ "provider": provider }));
        assert_eq!(places(&identity, "/store/ambient"), ambient.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{provider}");
        assert_eq!(places(&identity, "/store/secrets"), [""; 0], "{provider}");
    }
    let group = "generators.external-secrets.io/v1alpha1";
    for (kind, spec, ambient) in [
        ("ECRAuthorizationToken", json!({ "region": "r" }), "spec.auth"),
        ("STSSessionToken", json!({ "auth": {} }), "spec.auth"),
        ("GCRAccessToken", json!({ "auth": {} }), "spec.auth"),
        ("ACRAccessToken", json!({ "auth": { "managedIdentity": {} } }), "spec.auth"),
        ("ClusterGenerator", json!({ "generator": { "ecrAuthorizationTokenSpec": {} } }), "spec.generator.ecrAuthorizationTokenSpec.auth"),
    ] {
        assert_eq!(places(&read(group, kind, &spec), "/store/ambient"), [ambient], "{kind}");
    }
    assert_eq!(places(&read(group, "Password", &json!({ "length": 42 })), "/store/ambient"), [""; 0]);
}

#[test]
fn a_static_credential_of_a_store_is_seen_in_every_provider() {
    for (provider, list, place) in [
        (json!({ "aws": { "auth": { "secretRef": {} } } }), "/store/secrets", "spec.provider.aws.auth.secretRef"),
        (json!({ "gcpsm": { "auth": { "secretRef": {} } } }), "/store/secrets", "spec.provider.gcpsm.auth.secretRef"),
        (json!({ "azurekv": { "authSecretRef": { "clientSecret": {} } } }), "/store/secrets", "spec.provider.azurekv.authSecretRef"),
        (json!({ "vault": { "auth": { "tokenSecretRef": {} } } }), "/vaultAccess/methods", "spec.provider.vault.auth.tokenSecretRef"),
        (json!({ "openBao": { "auth": { "userPass": {} } } }), "/vaultAccess/methods", "spec.provider.openBao.auth.userPass"),
        (json!({ "vault": { "auth": { "jwt": { "secretRef": {} } } } }), "/vaultAccess/secrets", "spec.provider.vault.auth.jwt.secretRef"),
        (json!({ "vault": { "auth": { "iam": { "secretRef": {} } } } }), "/vaultAccess/secrets", "spec.provider.vault.auth.iam.secretRef"),
    ] {
        let identity = read("external-secrets.io/v1", "SecretStore", &json!({ "provider": provider }));
        assert_eq!(places(&identity, list), [place], "{identity}");
        assert_eq!(places(&identity, "/store/ambient"), [""; 0], "{provider}");
    }
    let ids = json!({ "provider": { "azurekv": { "authType": "WorkloadIdentity", "serviceAccountRef": {}, "authSecretRef": { "clientId": {}, "tenantId": {} } } } });
    assert_eq!(places(&read("external-secrets.io/v1", "SecretStore", &ids), "/store/secrets"), [""; 0], "ids are no secrets");
}

#[test]
fn the_other_operators_say_the_same_in_their_words() {
    let issuer = json!({ "vault": { "server": "http://vault", "path": "pki", "auth": { "kubernetes": { "role": "r", "secretRef": {} }, "appRole": {} } } });
    let identity = read("cert-manager.io/v1", "ClusterIssuer", &issuer);
    assert_eq!(identity["vaultAccess"]["mounts"][0]["name"], "kubernetes", "the default");
    assert_eq!(places(&identity, "/vaultAccess/secrets"), ["spec.vault.auth.kubernetes.secretRef"]);
    assert_eq!(places(&identity, "/vaultAccess/methods"), ["spec.vault.auth.appRole", "spec.vault.auth.kubernetes"]);
    assert_eq!(identity["vaultAccess"]["roles"], json!([]));

    let auth =
        json!({ "method": "kubernetes", "kubernetes": { "role": "shop.web", "serviceAccount": "web", "tokenExpirationSeconds": 3600 } });
    let access = read("secrets.hashicorp.com/v1beta1", "VaultAuth", &auth)["vaultAccess"].clone();
    assert_eq!((&access["mounts"][0]["listed"], &access["roles"][0]["own"]), (&json!(false), &json!(false)));
    assert_eq!(access["roles"][0]["expected"], "payments.web");
    assert_eq!(access["audiences"][0]["names"], json!([]));
    assert_eq!(access["tokenSeconds"], json!([{ "seconds": 3600, "fieldPath": "spec.kubernetes.tokenExpirationSeconds" }]));
    let inherited = json!({ "vaultAuthGlobalRef": { "name": "g" }, "kubernetes": { "serviceAccount": "web" } });
    assert_eq!(read("secrets.hashicorp.com/v1beta1", "VaultAuth", &inherited).get("vaultAccess"), None, "the other object is asked");
    let global = json!({ "defaultAuthMethod": "jwt", "kubernetes": { "mount": "kubernetes", "role": "payments.web" } });
    let identity = read("secrets.hashicorp.com/v1beta1", "VaultAuthGlobal", &global);
    assert_eq!(places(&identity, "/vaultAccess/methods"), ["spec.defaultAuthMethod"]);
    assert_eq!(places(&identity, "/vaultAccess/mounts"), ["spec.kubernetes.mount"]);

    let connection = json!({ "address": "https://evil.example.com", "skipTLSVerify": true });
    let access = read("secrets.hashicorp.com/v1beta1", "VaultConnection", &connection)["vaultAccess"].clone();
    assert_eq!((&access["addresses"][0]["listed"], &access["unverified"][0]["name"]), (&json!(false), &json!("skipTLSVerify")));

    let class = json!({ "provider": "vault", "parameters": { "vaultAddress": "http://127.0.0.1", "roleName": "payments.any", "vaultSkipTLSVerify": "true", "audience": "other" } });
    let access = read("secrets-store.csi.x-k8s.io/v1", "SecretProviderClass", &class)["vaultAccess"].clone();
    assert_eq!(access["addresses"][0]["local"], false, "it is the provider that connects");
    assert_eq!((&access["mounts"][0]["name"], &access["roles"][0]["own"]), (&json!("kubernetes"), &json!(true)));
    assert_eq!(access["unverified"][0]["fieldPath"], "spec.parameters[vaultSkipTLSVerify]");
    assert_eq!(access["audiences"][0]["names"], json!(["other"]));
    let other = json!({ "provider": "azure", "parameters": { "roleName": "x" } });
    assert_eq!(read("secrets-store.csi.x-k8s.io/v1", "SecretProviderClass", &other).get("vaultAccess"), None);
}

#[test]
fn another_kind_is_not_read() {
    assert_eq!(read("apps/v1", "Deployment", &json!({})), Value::Null);
    assert_eq!(read("v1", "Service", &json!({})), Value::Null);
}
