//! The External Secrets Operator: `SecretStore`, `ClusterSecretStore` and the generators that log in (`external-secrets.io` v1 and v1beta1,
//! `generators.external-secrets.io` v1alpha1; fields as in its CRDs).

use super::super::vault::access::{Access, Who};
use super::{Named, SecretStore};
use crate::object::Node;

/// Generators that log in to a cloud, with the field under which a `ClusterGenerator` holds their spec.
const CLOUD_GENERATORS: [(&str, &str); 4] = [
    ("ECRAuthorizationToken", "ecrAuthorizationTokenSpec"),
    ("STSSessionToken", "stsSessionTokenSpec"),
    ("GCRAccessToken", "gcrAccessTokenSpec"),
    ("ACRAccessToken", "acrAccessTokenSpec"),
];

/// Further providers whose logins rest on what stands in a Secret, though they could do with a ServiceAccount.
const STATIC_PROVIDERS: [(&str, &[&str]); 12] = [
    ("kubernetes", &["auth", "token"]),
    ("kubernetes", &["auth", "cert"]),
    ("kubernetes", &["authRef"]),
    ("oracle", &["auth", "secretRef"]),
    ("alibaba", &["auth", "secretRef"]),
    ("ibm", &["auth", "secretRef"]),
    ("volcengine", &["auth", "secretRef"]),
    ("akeyless", &["authSecretRef", "secretRef"]),
    ("akeyless", &["authSecretRef", "kubernetesAuth", "secretRef"]),
    ("conjur", &["auth", "apikey"]),
    ("conjur", &["auth", "jwt", "secretRef"]),
    ("infisical", &["auth", "universalAuthCredentials"]),
];

/// Logins that a provider makes with what the operator's own pod or node holds: a token or key in its files, or the node's metadata.
const OPERATORS_OWN: [(&str, &str); 7] = [
    ("alibaba", "rrsa"),
    ("ibm", "containerAuth"),
    ("infisical", "kubernetesAuthCredentials"),
    ("infisical", "awsAuthCredentials"),
    ("infisical", "azureAuthCredentials"),
    ("infisical", "gcpIdTokenAuthCredentials"),
    ("infisical", "gcpIamAuthCredentials"),
];

/// Methods of Vault's that rest on a credential given beforehand, each with the field that asks for it.
const STATIC_METHODS: [(&str, &str); 5] =
    [("tokenSecretRef", "token"), ("appRole", "approle"), ("userPass", "userpass"), ("ldap", "ldap"), ("cert", "cert")];

/// Reads an object of one of these kinds.
pub(super) fn read<'a>(kind: &str, object: Node<'a>, namespace: &'a str, access: &mut Access<'a>, store: &mut SecretStore<'a>) {
    let mut reader = Reader { cluster: kind.starts_with("Cluster"), namespace, access, store };
    let Some(spec) = object.get("spec") else { return };
    match kind {
        "SecretStore" | "ClusterSecretStore" => {
            if let Some(provider) = spec.get("provider") {
                reader.provider(provider);
            }
        }
        "VaultDynamicSecret" => reader.vault(spec.get("provider"), "spec.provider"),
        "ClusterGenerator" => {
            let Some(generator) = spec.get("generator") else { return };
            let dynamic = generator.get("vaultDynamicSecretSpec");
            reader.vault(dynamic.and_then(|spec| spec.get("provider")), "spec.generator.vaultDynamicSecretSpec.provider");
            for (kind, field) in CLOUD_GENERATORS {
                if let Some(spec) = generator.get(field) {
                    reader.generator(kind, spec, &format!("spec.generator.{field}"));
                }
            }
        }
        _ => reader.generator(kind, spec, "spec"),
    }
}

struct Reader<'r, 'a> {
    /// A cluster-scoped store has no namespace of its own.
    cluster: bool,
    namespace: &'a str,
    access: &'r mut Access<'a>,
    store: &'r mut SecretStore<'a>,
}

impl<'a> Reader<'_, 'a> {
    fn provider(&mut self, provider: Node<'a>) {
        self.vault(provider.get("vault"), "spec.provider.vault");
        self.vault(provider.get("openBao"), "spec.provider.openBao");
        if let Some(aws) = provider.get("aws") {
            self.aws(aws, "spec.provider.aws", "aws");
        }
        if let Some(google) = provider.get("gcpsm") {
            self.google(google, "spec.provider.gcpsm", "gcpsm");
        }
        if let Some(azure) = provider.get("azurekv") {
            self.azure(azure);
        }
        self.others(provider);
    }

    /// The providers that are neither Vault nor one of the three large clouds, as far as they act as the operator's own pod or node, or
    /// take what opens a cluster or a cloud.
    fn others(&mut self, provider: Node<'a>) {
        for (name, path) in STATIC_PROVIDERS {
            if provider.get(name).is_some_and(|spec| spec.path(path).is_some_and(|found| !found.is_null())) {
                let path = path.join(".");
                self.store.secrets.push(Named { name: path.clone().into(), field_path: format!("spec.provider.{name}.{path}") });
            }
        }
        if let Some(oracle) = provider.get("oracle") {
            // Unset it is the user's if there is one, else the node's.
            let ambient = match oracle.text("principalType") {
                "UserPrincipal" => false,
                "Workload" => oracle.get("serviceAccountRef").is_none(),
                "" => oracle.get("auth").is_none_or(Node::is_empty),
                _ => true,
            };
            if ambient {
                self.ambient("oracle", "spec.provider.oracle.principalType".into());
            }
        }
        for (name, field) in OPERATORS_OWN {
            if provider.path(&[name, "auth", field]).is_some_and(|login| !login.is_null()) {
                self.ambient(name, format!("spec.provider.{name}.auth.{field}"));
            }
        }
        // Without a Secret it takes the token of the operator's own pod.
        if provider.get("volcengine").is_some_and(|spec| spec.path(&["auth", "secretRef"]).is_none_or(Node::is_null)) {
            self.ambient("volcengine", "spec.provider.volcengine.auth".into());
        }
        if let Some(login) = provider.path(&["akeyless", "authSecretRef", "kubernetesAuth"])
            && login.get("serviceAccountRef").is_none()
            && login.get("secretRef").is_none()
        {
            self.ambient("akeyless", "spec.provider.akeyless.authSecretRef.kubernetesAuth".into());
        }
    }

    fn generator(&mut self, kind: &str, spec: Node<'a>, at: &str) {
        match kind {
            "ECRAuthorizationToken" | "STSSessionToken" => self.aws(spec, at, "aws"),
            "GCRAccessToken" => self.google(spec, at, "gcp"),
            "ACRAccessToken" => {
                let auth = spec.get("auth");
                if auth.is_some_and(|auth| auth.path(&["servicePrincipal", "secretRef"]).is_some()) {
                    self.secret("auth.servicePrincipal.secretRef", format!("{at}.auth.servicePrincipal.secretRef"));
                } else if auth.and_then(|auth| auth.path(&["workloadIdentity", "serviceAccountRef"])).is_none() {
                    self.ambient("acr", format!("{at}.auth"));
                }
            }
            _ => {}
        }
    }

    fn secret(&mut self, name: &'static str, at: String) {
        self.store.secrets.push(Named { name: name.into(), field_path: at });
    }

    fn ambient(&mut self, provider: &'static str, at: String) {
        self.store.ambient.push(Named { name: provider.into(), field_path: at });
    }

    fn aws(&mut self, spec: Node<'a>, at: &str, name: &'static str) {
        let auth = spec.get("auth");
        if auth.is_some_and(|auth| auth.get("secretRef").is_some()) {
            self.secret("auth.secretRef", format!("{at}.auth.secretRef"));
        } else if auth.and_then(|auth| auth.path(&["jwt", "serviceAccountRef"])).is_none() {
            self.ambient(name, format!("{at}.auth"));
        }
    }

    fn google(&mut self, spec: Node<'a>, at: &str, name: &'static str) {
        let auth = spec.get("auth");
        let named = |field: &str| auth.and_then(|auth| auth.path(&[field, "serviceAccountRef"])).is_some();
        if auth.is_some_and(|auth| auth.get("secretRef").is_some()) {
            self.secret("auth.secretRef", format!("{at}.auth.secretRef"));
        } else if !named("workloadIdentity") && !named("workloadIdentityFederation") {
            self.ambient(name, format!("{at}.auth"));
        }
    }

    /// `authSecretRef` may also hold no more than the ids that workload identity needs.
    fn azure(&mut self, azure: Node<'a>) {
        let secrets = azure.get("authSecretRef");
        let is_static = |secrets: Node<'_>| secrets.get("clientSecret").is_some() || secrets.get("clientCertificate").is_some();
        if secrets.is_some_and(is_static) {
            self.secret("authSecretRef", "spec.provider.azurekv.authSecretRef".into());
            return;
        }
        match azure.text("authType") {
            "ManagedIdentity" => self.ambient("azurekv", "spec.provider.azurekv.authType".into()),
            "WorkloadIdentity" if azure.get("serviceAccountRef").is_none() => {
                self.ambient("azurekv", "spec.provider.azurekv.serviceAccountRef".into());
            }
            _ => {}
        }
    }

    fn vault(&mut self, provider: Option<Node<'a>>, at: &str) {
        let Some(provider) = provider else { return };
        if let Some(server) = provider.get("server").and_then(Node::as_str) {
            self.access.address(server, format!("{at}.server"));
        }
        let Some(auth) = provider.get("auth") else {
            self.ambient("vault", format!("{at}.auth"));
            return;
        };
        for (field, method) in STATIC_METHODS {
            if auth.get(field).is_some() {
                self.access.method(method, false, format!("{at}.auth.{field}"));
            }
        }
        if let Some(kubernetes) = auth.get("kubernetes") {
            self.kubernetes(kubernetes, &format!("{at}.auth.kubernetes"));
        }
        if let Some(jwt) = auth.get("jwt") {
            self.jwt(jwt, &format!("{at}.auth.jwt"));
        }
        for (field, method, role, accounts) in
            [("iam", "aws", "vaultRole", ["jwt", "jwt"]), ("gcp", "gcp", "role", ["workloadIdentity", "serviceAccountRef"])]
        {
            let Some(login) = auth.get(field) else { continue };
            let at = format!("{at}.auth.{field}");
            let [outer, inner] = accounts;
            let account = login.path(&[outer, "serviceAccountRef"]).or_else(|| login.get(inner).filter(|_| inner == "serviceAccountRef"));
            if login.get("secretRef").is_some() {
                self.access.secret(format!("{field}.secretRef"), format!("{at}.secretRef"));
            } else if account.is_some() {
                self.access.method(method, true, at.clone());
            } else {
                self.ambient("vault", at.clone());
            }
            self.role(login, role, account, &at);
        }
    }

    fn kubernetes(&mut self, login: Node<'a>, at: &str) {
        self.access.method("kubernetes", false, at.to_owned());
        let mount = login.get("mountPath").and_then(Node::as_str).unwrap_or("kubernetes");
        self.access.mount(mount, format!("{at}.mountPath"));
        let account = login.get("serviceAccountRef");
        match account {
            Some(account) => self.access.audiences(account.list("audiences"), format!("{at}.serviceAccountRef.audiences")),
            None if login.get("secretRef").is_none() => self.ambient("vault", at.to_owned()),
            None => {}
        }
        if login.get("secretRef").is_some() {
            self.access.secret("kubernetes.secretRef", format!("{at}.secretRef"));
        }
        self.role(login, "role", account, at);
    }

    fn jwt(&mut self, login: Node<'a>, at: &str) {
        let token = login.get("kubernetesServiceAccountToken");
        if login.get("secretRef").is_some() {
            self.access.secret("jwt.secretRef", format!("{at}.secretRef"));
        }
        if let Some(token) = token {
            if login.get("secretRef").is_none() {
                self.access.method("jwt", true, at.to_owned());
            }
            let at = format!("{at}.kubernetesServiceAccountToken");
            // Unset, the operator asks for the audience `vault`.
            if token.list("audiences").len() > 0 {
                self.access.audiences(token.list("audiences"), format!("{at}.audiences"));
            }
            self.access.seconds(token.get("expirationSeconds"), format!("{at}.expirationSeconds"));
        } else if login.get("secretRef").is_none() {
            self.ambient("vault", at.to_owned());
        }
        self.role(login, "role", token.and_then(|token| token.get("serviceAccountRef")), at);
    }

    fn role(&mut self, login: Node<'a>, field: &str, account: Option<Node<'a>>, at: &str) {
        let Some(role) = login.get(field).and_then(Node::as_str).filter(|role| !role.is_empty()) else { return };
        // The operator takes the namespace of a reference only from cluster-scoped objects; else it is the object's own. Without one
        // the ServiceAccount is that of whoever uses the store.
        let named = account.map(|account| (account.text("namespace"), account.text("name")));
        let who = match named {
            Some(("", _)) if self.cluster => Who { namespace: "", service_account: None },
            Some((namespace, name)) if self.cluster => Who { namespace, service_account: Some(name) },
            Some((_, name)) => Who { namespace: self.namespace, service_account: Some(name) },
            None => Who { namespace: if self.cluster { "" } else { self.namespace }, service_account: None },
        };
        self.access.role(role, who, format!("{at}.{field}"));
    }
}
