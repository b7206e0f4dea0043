//! Every default, written once.

use std::collections::BTreeMap;

use super::built_in_roles::BUILT_IN_ROLES;
use super::enforcement::Preset;
use super::exemption::Exemption;
use super::grantee::Classes;
use super::mesh::{Mesh, MeshKind};
use super::native_sidecar::NativeSidecar;
use super::parameters::{
    Agent, Audience, Cloud, Cluster, ConfigMode, Delegation, Federation, KubeApi, Metrics, PodCertificate, Rbac, Resources, Settings, Ttl,
    Vault, VaultCsi, Waiver,
};
use super::spiffe::{Spiffe, SpiffeRegistration};

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
            shared_service_accounts: Vec::new(),
            token_requesters: Vec::new(),
            break_glass_groups: Vec::new(),
            rbac: Rbac::default(),
            csi_identity_drivers: strings(&["csi.spiffe.io", "spiffe.csi.cert-manager.io", "csi.cert-manager.io"]),
            credential_env_names: strings(&[
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN",
                "AWS_SECURITY_TOKEN",
                "AZURE_CLIENT_SECRET",
                "AZURE_STORAGE_KEY",
                "AZURE_STORAGE_CONNECTION_STRING",
                "AZURE_STORAGE_SAS_TOKEN",
                "ARM_CLIENT_SECRET",
                "ARM_ACCESS_KEY",
                "GOOGLE_CREDENTIALS",
                "GOOGLE_API_KEY",
                "GCP_SA_KEY",
                "VAULT_SECRET_ID",
                "BAO_SECRET_ID",
                "GITHUB_TOKEN",
                "GITLAB_TOKEN",
                "NPM_TOKEN",
                "TF_TOKEN_*",
                "TELEPORT_*TOKEN",
                "DD_API_KEY",
                "OPENAI_API_KEY",
                "ANTHROPIC_API_KEY",
                "PGPASSWORD",
                "MYSQL_PWD",
                "*_PASSWORD",
            ]),
            bootstrap_namespaces: Vec::new(),
            protected_labels: Vec::new(),
            on_missing_related: None,
            protected_label_groups: strings(&["system:masters"]),
            update_ratchet: true,
            waiver: Waiver::default(),
            metrics: Metrics::default(),
            exemptions: Exemption::shipped(),
            previous: None,
            pod_templates: Vec::new(),
            classes: Classes::default(),
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
                "/run/k3s",
                "/run/crio",
                "/var/lib/containerd",
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
            other_auth_mounts: Vec::new(),
            allowed_auth_methods: strings(&["kubernetes"]),
            role_template: "{namespace}.{serviceAccount}".into(),
            roles: BTreeMap::new(),
            secrets_path: "/vault/secrets".into(),
            clients: Vec::new(),
            vendor_annotations: strings(&[
                "agent-inject",
                "agent-inject-containers",
                "agent-inject-default-template",
                "agent-inject-file-*",
                "agent-inject-perms-*",
                "agent-inject-secret-*",
                "agent-inject-template-*",
                "agent-template-left-delim-*",
                "agent-template-right-delim-*",
                "agent-init-first",
                "agent-pre-populate",
                "agent-pre-populate-only",
                "agent-limits-*",
                "agent-requests-*",
                "agent-revoke-on-shutdown",
                "agent-revoke-grace",
                "agent-run-as-user",
                "agent-run-as-group",
                "agent-run-as-same-user",
                "agent-service-account-token-volume-name",
                "agent-auto-auth-exit-on-err",
                "agent-disable-idle-connections",
                "agent-disable-keep-alives",
                "auth-type",
                "auth-path",
                "auth-min-backoff",
                "auth-max-backoff",
                "ca-cert",
                "client-max-retries",
                "client-timeout",
                "error-on-missing-key-*",
                "go-max-procs",
                "log-format",
                "log-level",
                "namespace",
                "preserve-secret-case",
                "preserve-secret-case-*",
                "role",
                "secret-volume-path",
                "secret-volume-path-*",
                "template-config-exit-on-retry-failure",
                "template-static-secret-render-interval",
                "template-max-connections-per-host",
                "template-lease-renewal-threshold",
                "tls-server-name",
                "tls-skip-verify",
            ]),
            agent: Agent::default(),
            csi: VaultCsi::default(),
        }
    }
}

impl Default for VaultCsi {
    fn default() -> Self {
        Self { secret_provider_class: "vault-{namespace}".into(), mount_path: "/secrets".into() }
    }
}

impl Default for Agent {
    fn default() -> Self {
        let amounts = |amounts: &[(&str, &str)]| amounts.iter().map(|(name, amount)| ((*name).to_owned(), (*amount).to_owned())).collect();
        Self {
            image: "hashicorp/vault:1.15".into(),
            accepted_images: Vec::new(),
            command: "vault".into(),
            native_sidecar: NativeSidecar::default(),
            // No limit of processor time: it would count against quotas and throttle a login (`hardening.md` B15).
            resources: Resources { requests: amounts(&[("cpu", "50m"), ("memory", "64Mi")]), limits: amounts(&[("memory", "128Mi")]) },
            config_mode: ConfigMode::default(),
            config_maps: Vec::new(),
            requestable: Vec::new(),
            honour_vendor_annotations: false,
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

impl Default for Rbac {
    fn default() -> Self {
        Self {
            controllers: strings(&["system:apiserver", "system:serviceaccount:kube-system:clusterrole-aggregation-controller"]),
            built_in: strings(&BUILT_IN_ROLES),
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
            cni: false,
            control_plane_namespace: None,
            cluster_domain: "cluster.local".into(),
            injector_writes: Vec::new(),
            probe_authentications: Vec::new(),
            probe_networks: Vec::new(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { max_namespaces: 2_000 }
    }
}

impl Default for Waiver {
    fn default() -> Self {
        Self { max_days: 90, max_renewals: 2, max_per_namespace: 10, approvers: Vec::new() }
    }
}
