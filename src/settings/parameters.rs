//! The fields of `doorward.yaml`. Each says its unit, its default and who reads it: a test holds that, and `docs/settings.md` is made of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::enforcement::{EnforcementOverride, Preset};
use super::exemption::Exemption;
use super::grantee::{Classes, Grantee};
use super::listed_template::ListedTemplate;
use super::mesh::Mesh;
use super::native_sidecar::NativeSidecar;
use super::previous::Previous;
use super::spiffe::Spiffe;

/// Everything the operator sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// The starting point of every rule's enforcement. Default: `all`. Read by every rule and every injection.
    pub preset: Preset,
    /// What deviates from the preset, in order: the last entry that applies wins. Default: none. Read by every rule.
    pub enforcement: Vec<EnforcementOverride>,
    /// SPIFFE and its Workload API.
    pub spiffe: Spiffe,
    /// This cluster's names.
    pub cluster: Cluster,
    /// Vault or OpenBao.
    pub vault: Vault,
    /// The Kubernetes API as an audience.
    pub kube_api: KubeApi,
    /// Audiences a projected token may have, each with its longest lifetime. The key `""` is the API server. A map that is given replaces
    /// the default whole. Default: the list below. Read by `known-token-audience`, `token-ttl-limit`, `token-request-limit`,
    /// `aws-token-ttl`.
    pub audiences: BTreeMap<String, Audience>,
    /// `podCertificate` signers that may be asked.
    pub pod_certificate: PodCertificate,
    /// Longest lifetimes, in hours.
    pub ttl: Ttl,
    /// The mesh.
    pub mesh: Mesh,
    /// Foreign trust domains.
    pub federation: Federation,
    /// Who may issue delegations to agent pods.
    pub delegation: Delegation,
    /// Cloud accounts.
    pub cloud: Cloud,
    /// Requesters, by exact user name, that may write Secrets. Default: the list below. Read by `no-unmanaged-secret`,
    /// `no-credential-material`.
    pub secret_managers: Vec<String>,
    /// Requesters, by exact user name, that may fill ServiceAccount token Secrets. Default: the list below. Read by
    /// `no-legacy-token-secret`, `no-credential-material`.
    pub secret_token_controllers: Vec<String>,
    /// Requesters, by exact user name, whose owner reference to a Job makes a pod one of class `job`. Default: the list below. Read by
    /// `vault-agent-shape`, `injection-conflict`, `vault-agent`.
    pub job_controllers: Vec<String>,
    /// ServiceAccounts that exist though no manifest shows them, as `namespace/name`. Default: none. Read by
    /// `require-existing-service-account`.
    pub external_service_accounts: Vec<String>,
    /// ServiceAccounts that several workloads share on purpose, as `namespace/name`. Default: none. Read by `no-shared-service-account`.
    pub shared_service_accounts: Vec<String>,
    /// Requesters that may ask for tokens that are bound to no pod, such as a secret operator that logs in to Vault as a workload.
    /// Default: none. Read by `token-request-limit`.
    pub token_requesters: Vec<String>,
    /// Groups of those on call, whose debugging is recorded and not refused. Default: none. Read by `no-identity-in-ephemeral-container`.
    pub break_glass_groups: Vec<String>,
    /// Kubernetes' own roles.
    pub rbac: Rbac,
    /// CSI drivers whose volumes are an identity. Default: `csi.spiffe.io`, `spiffe.csi.cert-manager.io`, `csi.cert-manager.io`. Read by
    /// `identity-mounts-read-only`, `no-identity-in-ephemeral-container`, `require-pod-security`.
    pub csi_identity_drivers: Vec<String>,
    /// Environment variables that hold credentials; `*` stands for any text. Default: the list below. Read by `no-static-credential`.
    pub credential_env_names: Vec<String>,
    /// Namespaces whose pods must start before Doorward does: no webhook is called for them. Default: none. Read by `webhooks`.
    pub bootstrap_namespaces: Vec<String>,
    /// Keys of Namespace labels and annotations that only listed groups may change; a `*` at the end stands for any text. Every label that
    /// an entry of `enforcement` selects by must be among them. Default: none. Read by `protected-namespace-label`.
    pub protected_labels: Vec<String>,
    /// What a missing related object means among files. Default: unset, which is `warn`, and `deny` from the preset `pipelines` on. Read
    /// by every rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_missing_related: Option<OnMissingRelated>,
    /// Groups that may change protected labels. Default: `system:masters`. Read by `protected-namespace-label`.
    pub protected_label_groups: Vec<String>,
    /// Whether an UPDATE is refused for new violations only. Default: `true`. Read by every rule.
    pub update_ratchet: bool,
    /// Bounds on waivers.
    pub waiver: Waiver,
    /// Bounds on metrics.
    pub metrics: Metrics,
    /// Who is free of which rules. A list that is given replaces the default but for the group `system`, which is always there: those
    /// namespaces must start before Doorward. Default: the list below. Read by every rule.
    pub exemptions: Vec<Exemption>,
    /// What `vault`, `spiffe` and `kubeApi` said before, while a change of theirs rolls out: a pod that was injected so is taken as
    /// injected. Default: unset, so that only what they say now counts. Read by `injection-conflict`, `vault-agent`, `vault-token`,
    /// `vault-csi`, `kube-api-token`, `spiffe-csi`, `spiffe-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Box<Previous>>,
    /// Kinds of others' that carry a pod template, such as Argo's Rollout: every rule on pod templates judges them, and the webhook
    /// watches them. `audit` tells of an object that holds containers and is of no known kind. Default: none. Read by every rule,
    /// `webhooks`.
    pub pod_templates: Vec<ListedTemplate>,
    /// Pods of the classes that no pod can give itself.
    pub classes: Classes,
}

/// Names of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cluster {
    /// The suffix of this cluster's Vault auth mount; `{cluster}` in the templates of `vault` and `spiffe`. Default: none. Read by
    /// `vault-login-target`, `vault-agent`.
    pub name: String,
    /// The cluster's name in SPIRE. Default: none. Read by `explain`.
    pub spire_name: String,
    /// The cluster's DNS domain, such as `cluster.local`, as SPIRE Controller Manager has it in `clusterDomain`. Default: unset, so that
    /// it is not known. Read by `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// Vault or OpenBao.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Vault {
    /// The server's URL. Default: unset, and no agent is injected. Read by `require-vault-token`, `vault-login-target`, `vault-agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Every URL that may be logged in to; `address` is one of them by itself. With neither set, or with `["*"]`, any is taken. Default:
    /// none. Read by `require-vault-token`, `vault-login-target`.
    pub addresses: Vec<String>,
    /// Path of the CA bundle inside the agent container. Default: unset, so that the image's own CAs count. Read by `vault-agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// The audience of tokens made for Vault. Default: `vault`. Read by `known-token-audience`, `require-vault-token`,
    /// `token-request-limit`, `token-ttl-limit`, `vault-login-target`, `vault-token`.
    pub audience: String,
    /// Lifetime of those tokens; no more than `audiences` allows their audience. Unit: seconds, from 600 on. Default: `600`. Read by
    /// `token-request-limit`, `token-ttl-limit`, `vault-login-target`, `vault-token`.
    pub token_seconds: i64,
    /// Where those tokens are mounted. Default: `/var/run/secrets/vault`. Read by `require-vault-token`,
    /// `vault-token`, `vault-agent`.
    pub token_mount_path: String,
    /// The auth mount; `{cluster}` is the cluster's name. While that is unset, any name in its place is taken. Default:
    /// `auth/kubernetes-{cluster}`. Read by `vault-login-target`, `vault-agent`.
    pub auth_mount: String,
    /// Further auth mounts that are taken, such as those of other clusters. Default: none. Read by `vault-login-target`, `vault-agent`.
    pub other_auth_mounts: Vec<String>,
    /// Auth methods a workload may use. Default: `kubernetes`. Read by `vault-kubernetes-auth-only`.
    pub allowed_auth_methods: Vec<String>,
    /// The role a workload logs in as; `{namespace}` and `{serviceAccount}` are its own. Default: `{namespace}.{serviceAccount}`. Read by
    /// `vault-role-allowed`, `vault-agent`.
    pub role_template: String,
    /// Further roles, by `namespace/serviceAccount`. Default: none. Read by `vault-role-allowed`, `vault-agent`.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Where rendered secrets are mounted. Default: `/vault/secrets`. Read by `identity-mounts-read-only`, `vault-agent-shape`,
    /// `vault-agent`.
    pub secrets_path: String,
    /// Pods that are clients of Vault though nothing in them shows it, such as a program with its address in its image. Default: none.
    /// Read by `require-vault-token`, `no-static-vault-token`.
    pub clients: Vec<Grantee>,
    /// Annotations of the vendors' injectors that are taken, without their prefix; `*` stands for any text, `["*"]` for all of them.
    /// Default: the list below. Read by `vendor-agent-annotations`.
    pub vendor_annotations: Vec<String>,
    /// The injected agent.
    pub agent: Agent,
    /// The injected volume of the Secrets Store CSI driver.
    pub csi: VaultCsi,
}

/// The injected volume of the Secrets Store CSI driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VaultCsi {
    /// The `SecretProviderClass`; `{namespace}` and `{serviceAccount}` are the pod's own. Default: `vault-{namespace}`. Read by
    /// `vault-csi`.
    pub secret_provider_class: String,
    /// Where the volume is mounted. Default: `/secrets`. Read by `vault-csi`.
    pub mount_path: String,
}

/// The injected agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Agent {
    /// Its image; in pods also with the digest that a resolver adds to its tag. Default: `hashicorp/vault:1.15`. Read by `vault-agent`,
    /// `injection-conflict`, `vendor-agent-annotations`.
    pub image: String,
    /// Images of earlier revisions that are accepted in pods, likewise. Default: none. Read by `vault-agent`, `injection-conflict`.
    pub accepted_images: Vec<String>,
    /// The program: `vault`, or `bao` for OpenBao. Default: `vault`. Read by `vault-agent`.
    pub command: String,
    /// Whether the agent is a native sidecar (an init container with `restartPolicy: Always`, Kubernetes 1.29 and later). `auto`: where the
    /// API server is of that release when Doorward starts, and wherever it is not known. Default: `auto`. Read by `vault-agent`.
    pub native_sidecar: NativeSidecar,
    /// Requests and limits of each agent container. By default without a limit of processor time.
    pub resources: Resources,
    /// Where the agent's configuration comes from. Default: `generated`. Read by `vault-agent`.
    pub config_mode: ConfigMode,
    /// `ConfigMaps`, as `namespace/name` with `*` for any text, for whose content as an agent's configuration the operator answers: they are
    /// not judged. Any other one of an injected agent must hold JSON and be immutable. Default: none. Read by `vault-login-target`,
    /// `vendor-agent-annotations`.
    pub config_maps: Vec<String>,
    /// What a pod's author may ask for beside it; a pod that asks for more is an injection conflict. Default: none. Read by `vault-agent`,
    /// `injection-conflict`.
    pub requestable: Vec<AgentRequest>,
    /// Whether pods that ask for a vendor's injector get this agent in its place, told by the vendor's annotations
    /// (`docs/from-vault-k8s.md`). Otherwise the vendor's injector acts on them. Default: `false`. Read by `vault-agent`,
    /// `require-vault-token`.
    pub honour_vendor_annotations: bool,
}

/// Requests and limits, as Kubernetes quantities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// What is reserved, by resource, as Kubernetes quantities. Default: `cpu` 50m, `memory` 64Mi. Read by `vault-agent`.
    pub requests: BTreeMap<String, String>,
    /// What is allowed, by resource, as Kubernetes quantities; no limit of processor time, which would throttle a login. Default: `memory`
    /// 128Mi. Read by `vault-agent`.
    pub limits: BTreeMap<String, String>,
}

/// Where the agent's configuration comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ConfigMode {
    /// Generated into a reserved annotation, projected by the downward API.
    #[default]
    Generated,
    /// A `ConfigMap` of the namespace.
    ConfigMap,
}

/// What a pod's author may ask of the injected agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum AgentRequest {
    /// The `ConfigMap` with its whole configuration, by annotation `doorward.dev/vault-config-map`, while `configMode` is `configMap`.
    ConfigMap,
}

/// The Kubernetes API as an audience.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KubeApi {
    /// What injected tokens ask for, which counts as the API server as `aliases` do; empty: whatever the API server accepts. Default:
    /// none. Read by `known-token-audience`, `token-ttl-limit`, `token-request-limit`, `kube-api-token`.
    pub audience: String,
    /// Audiences that count as the API server. Default: the list below. Read by `known-token-audience`, `token-ttl-limit`,
    /// `token-request-limit`, `kube-api-token`.
    pub aliases: Vec<String>,
    /// Lifetime of injected API tokens; no more than `audiences` allows the API server. Unit: seconds, from 600 on. Default: `3600`. Read
    /// by `kube-api-token`.
    pub ttl: i64,
}

/// What is allowed for an audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Audience {
    /// Longest lifetime of a token for it, or of a certificate of that signer. Unit: seconds. Default: none, it must be given. Read by
    /// `token-ttl-limit`, `token-request-limit`, `aws-token-ttl`.
    pub max_seconds: i64,
}

/// Kubernetes' own roles: what the RBAC rules leave alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rbac {
    /// Requesters that write Kubernetes' own roles in the cluster. A name `system:...` proves nothing there: anybody may choose it.
    /// Default: the list below. Read by `justify-cluster-grant`, `no-broad-binding`, `no-escalation-verbs`, `no-wildcard-rbac`.
    pub controllers: Vec<String>,
    /// Names of Kubernetes' own roles and bindings, for files, where nobody asks. Default: the list below. Read by
    /// `justify-cluster-grant`, `no-broad-binding`, `no-escalation-verbs`, `no-wildcard-rbac`.
    pub built_in: Vec<String>,
}

/// `podCertificate` projected volumes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodCertificate {
    /// Signers that may be asked, each with its longest lifetime; `*` names any other signer. Default: none, and every `podCertificate`
    /// source is a violation. Read by `known-token-audience`, `token-ttl-limit`.
    pub signers: BTreeMap<String, Audience>,
}

/// Longest lifetimes in hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ttl {
    /// Longest lifetime of SVIDs. Unit: hours. Default: `24`. Read by `svid-ttl-limit`.
    pub svid_max_hours: i64,
    /// How long Vault tokens live, as Vault has it: what the rule says of secrets that nothing renews. Unit: hours. Default: `1`. Read by
    /// `vault-agent-shape`.
    pub vault_token_max_hours: i64,
    /// Longest time between two refreshes of a managed secret. Unit: hours. Default: `24`. Read by `external-secret-refresh`.
    pub secret_refresh_max_hours: i64,
    /// Longest lifetime of a delegation to an agent. Unit: hours. Default: `8`. Read by `agent-delegation-declared`.
    pub delegation_max_hours: i64,
}

/// Foreign trust domains.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Federation {
    /// Those that are federated with, by exact name; `["*"]`: any. Default: none. Read by `federation-allow-list`,
    /// `no-wildcard-mesh-identity`.
    pub trust_domains: Vec<String>,
}

/// Delegation to agent pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Delegation {
    /// Issuers of delegations; `["*"]`: any. Default: none. Read by `agent-delegation-declared`.
    pub issuers: Vec<String>,
}

/// Cloud accounts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cloud {
    /// AWS accounts, Google projects and Azure tenants or client ids whose roles are taken; `["*"]`: any. Default: none. Read by
    /// `cloud-role-binding`.
    pub allowed: Vec<String>,
}

/// What a missing related object means in CI. In the cluster a rule that cannot know denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnMissingRelated {
    /// Reported as a warning with status `unknown`.
    Warn,
    /// Enforced as the rule is.
    Deny,
}

/// Bounds on metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Metrics {
    /// How many namespaces get a label of their own; the violations of further ones count as namespace `other`. Unit: namespaces. Default:
    /// `2000`. Read by `serve`.
    pub max_namespaces: usize,
}

/// Bounds on waivers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Waiver {
    /// How far ahead a waiver may expire, up to 90. Unit: days. Default: `90`. Read by `identity-waiver`.
    pub max_days: i64,
    /// How often a waiver may be renewed, up to twice. Unit: renewals. Default: `2`. Read by `identity-waiver`.
    pub max_renewals: i64,
    /// How many waivers one namespace may have at a time. Unit: waivers. Default: `10`. Read by `identity-waiver`.
    pub max_per_namespace: i64,
    /// Groups whose members may approve waivers in the cluster. Default: none: nobody can, so none has effect there. Read by
    /// `identity-waiver`.
    pub approvers: Vec<String>,
}
