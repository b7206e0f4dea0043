//! The fields of `doorward.yaml`. Lifetimes are seconds unless a field says otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::enforcement::{EnforcementOverride, Preset, RolloutStep};
use super::exemption::Exemption;
use super::grantee::{Classes, Grantee};
use super::listed_template::ListedTemplate;
use super::native_sidecar::NativeSidecar;
use super::previous::Previous;
use super::shape;
use crate::object::{Object, ShapeError};

/// Everything the operator sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// The starting point of every rule's enforcement.
    pub preset: Preset,
    /// What deviates from the preset, in order.
    pub enforcement: Vec<EnforcementOverride>,
    /// SPIFFE and its Workload API.
    pub spiffe: Spiffe,
    /// This cluster's names.
    pub cluster: Cluster,
    /// Vault or OpenBao.
    pub vault: Vault,
    /// The Kubernetes API as an audience.
    pub kube_api: KubeApi,
    /// Audiences a projected token may have, each with its longest lifetime. The key `""` is the API server.
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
    /// Requesters that may write Secrets: `no-unmanaged-secret` and `no-credential-material` do not ask them.
    pub secret_managers: Vec<String>,
    /// Requesters that may fill ServiceAccount token Secrets.
    pub secret_token_controllers: Vec<String>,
    /// Requesters whose owner reference to a Job counts.
    pub job_controllers: Vec<String>,
    /// ServiceAccounts that exist though no manifest shows them, as `namespace/name`; rule `require-existing-service-account`.
    pub external_service_accounts: Vec<String>,
    /// ServiceAccounts that several workloads share on purpose, as `namespace/name`; rule `no-shared-service-account`.
    pub shared_service_accounts: Vec<String>,
    /// Requesters that may ask for tokens that are bound to no pod, such as a secret operator that logs in to Vault as a workload; rule
    /// `token-request-limit`.
    pub token_requesters: Vec<String>,
    /// Groups of those on call, whose debugging is recorded and not refused; rule `no-identity-in-ephemeral-container`.
    pub break_glass_groups: Vec<String>,
    /// Kubernetes' own roles.
    pub rbac: Rbac,
    /// CSI drivers whose volumes are an identity.
    pub csi_identity_drivers: Vec<String>,
    /// Environment variables that hold credentials, for `no-static-credential`; `*` stands for any text.
    pub credential_env_names: Vec<String>,
    /// Namespaces whose pods must start before Doorward does: no webhook is called for them.
    pub bootstrap_namespaces: Vec<String>,
    /// Keys of Namespace labels and annotations that only listed groups may change; a `*` at the end stands for any text. Every label
    /// that an entry of `enforcement` selects by must be among them; rule `protected-namespace-label`.
    pub protected_labels: Vec<String>,
    /// What a missing related object means in CI. Unset: `warn`, and `deny` from the preset `pipelines` on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_missing_related: Option<OnMissingRelated>,
    /// Who may change them.
    pub protected_label_groups: Vec<String>,
    /// Whether an UPDATE is refused for new violations only.
    pub update_ratchet: bool,
    /// Bounds on waivers.
    pub waiver: Waiver,
    /// Bounds on metrics.
    pub metrics: Metrics,
    /// Who is free of which rules.
    pub exemptions: Vec<Exemption>,
    /// What `vault`, `spiffe` and `kubeApi` said before, while a change of theirs rolls out: a pod that was injected so is taken as
    /// injected. Unset: only what they say now is. Read by the injections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Box<Previous>>,
    /// Kinds of others' that carry a pod template, such as Argo's Rollout: every rule on pod templates judges them, and the webhook watches
    /// them. `audit` tells of an object that holds containers and is of no known kind.
    pub pod_templates: Vec<ListedTemplate>,
    /// Pods of the classes that no pod can give itself.
    pub classes: Classes,
}

/// SPIFFE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Spiffe {
    /// The trust domain of this cluster's SVIDs, without `spiffe://`. Unset: the SPIFFE rules are off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_domain: Option<String>,
    /// The path of a workload's SPIFFE ID.
    pub path_template: String,
    /// The CSI driver that mounts the Workload API.
    pub csi_driver: String,
    /// Where the Workload API's directory is mounted.
    pub mount_path: String,
    /// The socket's file name in that directory.
    pub socket_name: String,
    /// Directories of the node that hold sockets or tokens of other pods.
    pub host_socket_dirs: Vec<String>,
    /// Where registration entries come from.
    pub registration: SpiffeRegistration,
    /// CSI drivers that issue SVIDs beside SPIRE; `no-self-issued-identity` warns of them.
    pub unapproved_drivers: Vec<String>,
    /// The `className` that this cluster's SPIRE Controller Manager acts on; unset: on every one. Read by
    /// `require-spiffe-registration`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// Whether it also acts on objects without a `className`, as its own `watchClassless`. Read by `require-spiffe-registration`.
    pub watch_classless: bool,
    /// Namespaces that SPIRE Controller Manager ignores, by exact name. Read by `require-spiffe-registration`.
    pub ignored_namespaces: Vec<String>,
    /// Beginnings of paths that static entries of machines may have, such as `/machines/`, whatever attests them. Empty: every static
    /// entry is judged. Read by `spiffe-entry-scoped`.
    pub static_path_prefixes: Vec<String>,
    /// cert-manager issuers that may sign SPIFFE IDs and CAs, each as `Kind/name`, an `Issuer` as `Issuer/namespace/name`, one of another
    /// API group with `group/` before that. Empty: none; `["*"]`: any. Read by `no-self-issued-identity`.
    pub authorised_issuers: Vec<String>,
    /// Requesters, by exact user name, that may ask for such certificates. Empty: none; `["*"]`: anyone. Read by
    /// `no-self-issued-identity`.
    pub certificate_requesters: Vec<String>,
}

/// Where registration entries come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SpiffeRegistration {
    /// `ClusterSPIFFEID` objects of this cluster.
    #[default]
    ClusterSpiffeId,
    /// Outside this cluster.
    External,
}

/// Names of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cluster {
    /// The suffix of this cluster's Vault auth mount.
    pub name: String,
    /// The cluster's name in SPIRE.
    pub spire_name: String,
    /// The cluster's DNS domain, such as `cluster.local`, as SPIRE Controller Manager has it in `clusterDomain`. Unset: not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// Vault or OpenBao.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Vault {
    /// The server's URL. Unset: no agent is injected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Every URL that may be logged in to; `address` is one of them by itself. With neither set, or with `["*"]`, `vault-login-target`
    /// takes any.
    pub addresses: Vec<String>,
    /// Path of the CA bundle inside the agent container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// The audience of tokens made for Vault.
    pub audience: String,
    /// Lifetime of those tokens.
    pub token_seconds: i64,
    /// Where those tokens are mounted.
    pub token_mount_path: String,
    /// The auth mount; `{cluster}` is the cluster's name. While that is unset, `vault-login-target` takes any name in its place.
    pub auth_mount: String,
    /// Further auth mounts that `vault-login-target` takes, such as those of other clusters.
    pub other_auth_mounts: Vec<String>,
    /// Auth methods a workload may use.
    pub allowed_auth_methods: Vec<String>,
    /// The role a workload logs in as; `{namespace}` and `{serviceAccount}` are its own.
    pub role_template: String,
    /// Further roles, by `namespace/serviceAccount`.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Where rendered secrets are mounted.
    pub secrets_path: String,
    /// Pods that are clients of Vault though nothing in them shows it, such as a program with its address in its image. Read by
    /// `require-vault-token`.
    pub clients: Vec<Grantee>,
    /// Annotations of the vendors' injectors that `vendor-agent-annotations` takes, without their prefix; `*` stands for any text.
    /// Empty: none; `["*"]`: any.
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
    /// The `SecretProviderClass`; `{namespace}` and `{serviceAccount}` are the pod's own.
    pub secret_provider_class: String,
    /// Where the volume is mounted.
    pub mount_path: String,
}

/// The injected agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Agent {
    /// Its image; in pods also with the digest that a resolver adds to its tag.
    pub image: String,
    /// Images of earlier revisions that are accepted in pods, likewise.
    pub accepted_images: Vec<String>,
    /// The program: `vault`, or `bao` for OpenBao.
    pub command: String,
    /// Whether the agent is a native sidecar (an init container with `restartPolicy: Always`, Kubernetes 1.29 and later). `auto`: where the
    /// API server is of that release when Doorward starts, and wherever it is not known.
    pub native_sidecar: NativeSidecar,
    /// Requests and limits of each agent container. By default without a limit of processor time.
    pub resources: Resources,
    /// Where the agent's configuration comes from.
    pub config_mode: ConfigMode,
    /// `ConfigMaps`, as `namespace/name` with `*` for any text, for whose content as an agent's configuration the operator answers: they are
    /// not judged. Any other one of an injected agent must hold JSON and be immutable; rules `vault-login-target`, `vendor-agent-annotations`.
    pub config_maps: Vec<String>,
    /// What a pod's author may ask for beside it. Empty: nothing, and a pod that asks all the same is an injection conflict; rule
    /// `injection-conflict`.
    pub requestable: Vec<AgentRequest>,
    /// Whether pods that ask for a vendor's injector get this agent in its place, told by the vendor's annotations
    /// (`docs/from-vault-k8s.md`). Unset: the vendor's injector acts on them.
    pub honour_vendor_annotations: bool,
}

/// Requests and limits, as Kubernetes quantities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// What is reserved.
    pub requests: BTreeMap<String, String>,
    /// What is allowed.
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
    /// What `kube-api-token` asks for, which counts as the API server as `aliases` do; empty: whatever the API server accepts.
    pub audience: String,
    /// Audiences that count as the API server.
    pub aliases: Vec<String>,
    /// Lifetime of injected API tokens.
    pub ttl: i64,
}

/// What is allowed for an audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Audience {
    /// Longest lifetime of a projected token.
    pub max_seconds: i64,
}

/// Kubernetes' own roles: what the RBAC rules leave alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rbac {
    /// Requesters that write Kubernetes' own roles in the cluster. A name `system:...` proves nothing there: anybody may choose it.
    pub controllers: Vec<String>,
    /// Names of Kubernetes' own roles and bindings, for files, where nobody asks.
    pub built_in: Vec<String>,
}

/// `podCertificate` projected volumes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodCertificate {
    /// Signers that may be asked, each with its longest lifetime. Empty: every `podCertificate` source is a violation; `*` names any
    /// other signer.
    pub signers: BTreeMap<String, Audience>,
}

/// Longest lifetimes in hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ttl {
    /// SVIDs.
    pub svid_max_hours: i64,
    /// Vault tokens; for texts.
    pub vault_token_max_hours: i64,
    /// Refresh of managed secrets, for `external-secret-refresh`.
    pub secret_refresh_max_hours: i64,
    /// Delegations to agents; rule `agent-delegation-declared`.
    pub delegation_max_hours: i64,
}

/// The mesh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Mesh {
    /// Which mesh, if any.
    pub kind: MeshKind,
    /// The mesh's own trust domain (not SPIFFE's).
    pub trust_domain: String,
    /// What the mesh does with inbound traffic by default.
    pub cluster_default_inbound_policy: String,
    /// Ports, ranges of ports (`1000-2000`) and networks that may bypass the proxy. Empty: none; `["*"]`: any. Read by
    /// `no-mesh-bypass-ports` and by the proof of a proxy.
    pub allowed_skip: Vec<String>,
    /// Image prefixes that prove a proxy. Needed to prove one in the cluster.
    pub proxy_images: Vec<String>,
    /// Users that may not start unmeshed, beside the proxy's own.
    pub proxy_uid: i64,
    /// Whether the mesh's CNI plugin leads traffic to the proxy, so that pods have a container that checks it in place of one that does
    /// it. Off: the checking container proves nothing. Read by the proof of a proxy.
    pub cni: bool,
    /// Namespace of the control plane; unset: `linkerd`, or `istio-system`. The proxy's variables must name it. Read by the proof of a
    /// proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_namespace: Option<String>,
    /// The cluster's DNS domain, as it stands in the addresses of the control plane. Read by the proof of a proxy.
    pub cluster_domain: String,
    /// What this mesh's injector writes into its own containers beyond its defaults: variables as `NAME` or `NAME=value`, flags as
    /// `--flag` or `--flag=value`, directories by their path. Empty: nothing. Read by the proof of a proxy.
    pub injector_writes: Vec<String>,
    /// `NetworkAuthentication` objects that stand for probes, as `namespace/name`: a policy may require one of them alone. Read by
    /// `no-unauthenticated-server`.
    pub probe_authentications: Vec<String>,
    /// Networks that the objects of `probeAuthentications` may name, such as that of the nodes. Empty: none. Read by
    /// `no-unauthenticated-server`.
    pub probe_networks: Vec<String>,
}

/// Which mesh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum MeshKind {
    /// No mesh: its rules are off.
    #[default]
    None,
    /// Linkerd.
    Linkerd,
    /// Istio, with sidecars or ambient.
    Istio,
    /// No proxy: SPIFFE in the application.
    Spire,
}

/// Foreign trust domains.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Federation {
    /// Those that are federated with, by exact name. Empty: none; `["*"]`: any. Read by `federation-allow-list` and
    /// `no-wildcard-mesh-identity`.
    pub trust_domains: Vec<String>,
}

/// Delegation to agent pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Delegation {
    /// Issuers of delegations. Empty: none; `["*"]`: any; rule `agent-delegation-declared`.
    pub issuers: Vec<String>,
}

/// Cloud accounts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cloud {
    /// AWS accounts, Google projects and Azure tenants or client ids whose roles `cloud-role-binding` takes. Empty: none; `["*"]`: any.
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
    /// How many namespaces get a label of their own; the violations of further ones count as namespace `other`.
    pub max_namespaces: usize,
}

/// Bounds on waivers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Waiver {
    /// How far ahead a waiver may expire, in days.
    pub max_days: i64,
    /// How often a waiver may be renewed.
    pub max_renewals: i64,
    /// How many waivers one namespace may have at a time.
    pub max_per_namespace: i64,
    /// Groups whose members may approve waivers in the cluster. Empty: nobody can, so none has effect there.
    pub approvers: Vec<String>,
}

impl Settings {
    /// Reads `doorward.yaml`.
    ///
    /// # Errors
    /// [`ShapeError`] with the path of the field that is unknown or of a wrong type.
    pub fn read(document: &Object) -> Result<Self, ShapeError> {
        if document.root().is_null() {
            return Ok(Self::default());
        }
        let document = shape::without_nulls(document.root());
        shape::check(document.root())?;
        let mut settings: Self = document.root().read()?;
        settings.check()?;
        settings.prepare();
        Ok(settings)
    }

    /// What `serve` uses when it has neither a cluster nor a settings file, so that every built-in rule and injection has something
    /// to act on.
    #[must_use]
    pub fn demonstration() -> Self {
        let mut settings = Self::default();
        settings.spiffe.trust_domain = Some("demo.example.com".into());
        settings.cluster = Cluster { name: "demo".into(), spire_name: "demo".into(), domain: None };
        settings.vault.address = Some("https://vault.vault.svc.cluster.local:8200".into());
        settings.mesh.kind = MeshKind::Linkerd;
        settings.mesh.proxy_images = vec!["cr.l5d.io/linkerd/proxy:".to_owned()];
        settings
    }

    /// What a missing related object means in CI: as set, else by the preset. A gap in the files is a hole in the gate once rules of a
    /// second step are enforced (`hardening.md` A37).
    #[must_use]
    pub fn on_missing_related(&self) -> OnMissingRelated {
        let strict = self.preset.step().is_some_and(|step| step >= RolloutStep::Pipelines);
        self.on_missing_related.unwrap_or(if strict { OnMissingRelated::Deny } else { OnMissingRelated::Warn })
    }

    /// The SPIFFE ID that a workload is expected to get; `None` without a trust domain.
    #[must_use]
    pub fn expected_spiffe_id(&self, namespace: &str, service_account: &str) -> Option<String> {
        let trust_domain = self.spiffe.trust_domain.as_deref()?;
        let path = fill(&self.spiffe.path_template, namespace, service_account, &self.cluster.name);
        Some(format!("spiffe://{trust_domain}{path}"))
    }

    /// The Vault role that a workload logs in as by default.
    #[must_use]
    pub fn vault_role(&self, namespace: &str, service_account: &str) -> String {
        fill(&self.vault.role_template, namespace, service_account, &self.cluster.name)
    }

    /// This cluster's Vault auth mount, such as `auth/kubernetes-prod`.
    #[must_use]
    pub fn vault_auth_mount(&self) -> String {
        fill(&self.vault.auth_mount, "", "", &self.cluster.name)
    }

    /// The `SecretProviderClass` that a template names for a workload.
    #[must_use]
    pub fn secret_provider_class(&self, template: &str, namespace: &str, service_account: &str) -> String {
        fill(template, namespace, service_account, &self.cluster.name)
    }

    /// Whether an audience means the API server: empty, the one that injected tokens ask for, or one of its aliases.
    #[must_use]
    pub fn is_api_audience(&self, audience: &str) -> bool {
        audience.is_empty() || audience == self.kube_api.audience || self.kube_api.aliases.iter().any(|alias| alias == audience)
    }
}

fn fill(template: &str, namespace: &str, service_account: &str, cluster: &str) -> String {
    let places = [("namespace}", namespace), ("serviceAccount}", service_account), ("cluster}", cluster)];
    let mut filled = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let place = places.into_iter().find_map(|(name, value)| Some((value, after.strip_prefix(name)?)));
        let (value, behind) = place.unwrap_or(("{", after));
        filled.push_str(value);
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Settings::read(&Object::from_json("{}").unwrap()), Ok(Settings::default()));
        assert_eq!(Settings::default().spiffe.trust_domain, None);
        assert_eq!(Settings::default().mesh.kind, MeshKind::None);
        assert_eq!(Settings::default().vault.address, None);
    }

    #[test]
    fn a_mistake_is_named_with_its_path() {
        let error = Settings::read(&Object::from_json(r#"{"vault":{"agent":{"imgae":"x"}}}"#).unwrap()).unwrap_err();
        assert_eq!(error.path.to_string(), "vault.agent.imgae");
        assert!(error.message.starts_with("unknown field `imgae`, expected one of `image`"), "{error}");
        assert!(error.message.ends_with("; did you mean `image`?"), "{error}");
        let error = Settings::read(&Object::from_json(r#"{"preset":"pipeline"}"#).unwrap()).unwrap_err();
        assert_eq!(error.path.to_string(), "preset");
        assert!(error.message.ends_with("; did you mean `pipelines`?"), "{error}");
        let error = Settings::read(&Object::from_json(r#"{"audiences":{"vault":{"maxSeconds":"600"}}}"#).unwrap()).unwrap_err();
        assert_eq!(error.path.to_string(), "audiences.vault.maxSeconds");
        assert_eq!(error.message, "must be a whole number; this is a text");
    }

    #[test]
    fn a_later_step_makes_gaps_count() {
        let settings = |text: &str| Settings::read(&Object::from_json(text).unwrap()).unwrap().on_missing_related();
        assert_eq!(settings("{}"), OnMissingRelated::Warn);
        assert_eq!(settings(r#"{"preset":"meshAndVault"}"#), OnMissingRelated::Warn);
        assert_eq!(settings(r#"{"preset":"pipelines"}"#), OnMissingRelated::Deny);
        assert_eq!(settings(r#"{"preset":"federation","onMissingRelated":"warn"}"#), OnMissingRelated::Warn);
    }

    #[test]
    fn the_demonstration_names_every_workload() {
        let settings = Settings::demonstration();
        assert_eq!(settings.expected_spiffe_id("payments", "api").as_deref(), Some("spiffe://demo.example.com/ns/payments/sa/api"));
        assert_eq!(settings.vault_role("payments", "api"), "payments.api");
        assert_eq!(settings.vault_auth_mount(), "auth/kubernetes-demo");
        assert!(
            settings.is_api_audience("")
                && settings.is_api_audience("https://kubernetes.default.svc")
                && !settings.is_api_audience("vault")
        );
    }
}
