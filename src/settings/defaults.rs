//! Every default, written once.

use std::collections::BTreeMap;

use super::enforcement::Preset;
use super::exemption::Exemption;
use super::parameters::{
    Agent, Audience, Cloud, Cluster, ConfigMode, Delegation, Federation, KubeApi, Mesh, MeshKind, OnMissingRelated, PodCertificate,
    Resources, Settings, Spiffe, SpiffeRegistration, Ttl, Vault, Waiver,
};

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

impl Default for Settings {
    fn default() -> Self {
        let audiences = [
            ("", 3600),
            ("vault", 600),
            ("sts.amazonaws.com", 86400),
            ("pods.eks.amazonaws.com", 86400),
            ("api://AzureADTokenExchange", 3600),
            ("identity.l5d.io", 86400),
            ("istio-ca", 43200),
            ("spire-server", 7200),
        ];
        Self {
            preset: Preset::default(),
            enforcement: Vec::new(),
            spiffe: Spiffe::default(),
            cluster: Cluster::default(),
            vault: Vault::default(),
            kube_api: KubeApi::default(),
            audiences: audiences.into_iter().map(|(name, max_seconds)| (name.to_owned(), Audience { max_seconds })).collect(),
            pod_certificate: PodCertificate::default(),
            ttl: Ttl::default(),
            mesh: Mesh::default(),
            federation: Federation::default(),
            delegation: Delegation::default(),
            cloud: Cloud::default(),
            secret_managers: strings(&[
                "system:serviceaccount:external-secrets:external-secrets",
                "system:serviceaccount:cert-manager:cert-manager",
            ]),
            secret_token_controllers: strings(&["system:kube-controller-manager", "system:serviceaccount:kube-system:tokens-controller"]),
            job_controllers: strings(&["system:serviceaccount:kube-system:job-controller", "system:kube-controller-manager"]),
            external_service_accounts: Vec::new(),
            csi_identity_drivers: strings(&["csi.spiffe.io", "spiffe.csi.cert-manager.io", "csi.cert-manager.io"]),
            credential_env_names: strings(&[
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN",
                "AZURE_CLIENT_SECRET",
                "VAULT_SECRET_ID",
                "GITHUB_TOKEN",
                "GITLAB_TOKEN",
                "NPM_TOKEN",
                "OPENAI_API_KEY",
                "ANTHROPIC_API_KEY",
                "*_PASSWORD",
            ]),
            bootstrap_namespaces: Vec::new(),
            protected_labels: Vec::new(),
            on_missing_related: OnMissingRelated::default(),
            update_ratchet: true,
            waiver: Waiver::default(),
            exemptions: Exemption::shipped(),
        }
    }
}

impl Default for Spiffe {
    fn default() -> Self {
        Self {
            trust_domain: None,
            path_template: "/ns/{namespace}/sa/{serviceAccount}".into(),
            csi_driver: "csi.spiffe.io".into(),
            mount_path: "/spiffe-workload-api".into(),
            socket_name: "spire-agent.sock".into(),
            host_socket_dirs: strings(&[
                "/run/spire",
                "/tmp/spire-*",
                "/var/lib/kubelet",
                "/proc",
                "/run/containerd",
                "/run/crio",
                "/run/docker.sock",
                "/etc/kubernetes",
            ]),
            registration: SpiffeRegistration::default(),
            unapproved_drivers: strings(&["spiffe.csi.cert-manager.io"]),
            class_name: None,
            watch_classless: false,
            ignored_namespaces: strings(&["kube-system", "kube-public", "spire-system"]),
            static_path_prefixes: Vec::new(),
            authorised_issuers: Vec::new(),
            certificate_requesters: Vec::new(),
        }
    }
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            address: None,
            addresses: Vec::new(),
            ca_file: None,
            audience: "vault".into(),
            token_seconds: 600,
            token_mount_path: "/var/run/secrets/vault".into(),
            auth_mount: "auth/kubernetes-{cluster}".into(),
            allowed_auth_methods: strings(&["kubernetes"]),
            role_template: "{namespace}.{serviceAccount}".into(),
            roles: BTreeMap::new(),
            secrets_path: "/vault/secrets".into(),
            agent: Agent::default(),
        }
    }
}

impl Default for Agent {
    fn default() -> Self {
        let amounts =
            |cpu: &str, memory: &str| BTreeMap::from([("cpu".to_owned(), cpu.to_owned()), ("memory".to_owned(), memory.to_owned())]);
        Self {
            image: "hashicorp/vault:1.15".into(),
            accepted_images: Vec::new(),
            command: "vault".into(),
            native_sidecar: true,
            resources: Resources { requests: amounts("50m", "64Mi"), limits: amounts("500m", "128Mi") },
            config_mode: ConfigMode::default(),
        }
    }
}

impl Default for KubeApi {
    fn default() -> Self {
        Self {
            audience: String::new(),
            aliases: strings(&["kubernetes.default.svc", "https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local"]),
            ttl: 3600,
        }
    }
}

impl Default for Ttl {
    fn default() -> Self {
        Self { svid_max_hours: 24, vault_token_max_hours: 1, secret_refresh_max_hours: 24, delegation_max_hours: 8 }
    }
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            kind: MeshKind::default(),
            trust_domain: "cluster.local".into(),
            cluster_default_inbound_policy: "all-unauthenticated".into(),
            allowed_skip: Vec::new(),
            proxy_images: Vec::new(),
            proxy_uid: 2102,
            probe_authentications: Vec::new(),
        }
    }
}

impl Default for Waiver {
    fn default() -> Self {
        Self { max_days: 90 }
    }
}
