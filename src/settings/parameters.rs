//! The fields of `doorward.yaml`. Lifetimes are seconds unless a field says otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::enforcement::{EnforcementOverride, Preset};
use super::exemption::Exemption;
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
    /// Requesters that may write Secrets.
    pub secret_managers: Vec<String>,
    /// Requesters that may fill ServiceAccount token Secrets.
    pub secret_token_controllers: Vec<String>,
    /// Requesters whose owner reference to a Job counts.
    pub job_controllers: Vec<String>,
    /// ServiceAccounts that exist though no manifest shows them, as `namespace/name`.
    pub external_service_accounts: Vec<String>,
    /// CSI drivers whose volumes are an identity.
    pub csi_identity_drivers: Vec<String>,
    /// Environment variables that hold credentials; `*` stands for any text.
    pub credential_env_names: Vec<String>,
    /// Namespaces whose pods must start before Doorward does: no webhook is called for them.
    pub bootstrap_namespaces: Vec<String>,
    /// Namespace labels and annotations that only listed groups may change.
    pub protected_labels: Vec<String>,
    /// What a missing related object means in CI.
    pub on_missing_related: OnMissingRelated,
    /// Whether an UPDATE is refused for new violations only.
    pub update_ratchet: bool,
    /// Bounds on waivers.
    pub waiver: Waiver,
    /// Who is free of which rules.
    pub exemptions: Vec<Exemption>,
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
    /// CSI drivers that issue SVIDs beside SPIRE.
    pub unapproved_drivers: Vec<String>,
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
}

/// Vault or OpenBao.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Vault {
    /// The server's URL. Unset: no agent is injected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Every URL a pod may talk to; `address` is one of them by itself.
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
    /// The auth mount; `{cluster}` is the cluster's name.
    pub auth_mount: String,
    /// Auth methods a workload may use.
    pub allowed_auth_methods: Vec<String>,
    /// The role a workload logs in as; `{namespace}` and `{serviceAccount}` are its own.
    pub role_template: String,
    /// Further roles, by `namespace/serviceAccount`.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Where rendered secrets are mounted.
    pub secrets_path: String,
    /// The injected agent.
    pub agent: Agent,
}

/// The injected agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Agent {
    /// Its image.
    pub image: String,
    /// Images of earlier revisions that are accepted in pods.
    pub accepted_images: Vec<String>,
    /// The program: `vault`, or `bao` for OpenBao.
    pub command: String,
    /// Whether the agent is a native sidecar (an init container with `restartPolicy: Always`, Kubernetes 1.29 and later).
    pub native_sidecar: bool,
    /// Requests and limits of each agent container.
    pub resources: Resources,
    /// Where the agent's configuration comes from.
    pub config_mode: ConfigMode,
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

/// The Kubernetes API as an audience.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KubeApi {
    /// What `kube-api-token` asks for; empty: whatever the API server accepts.
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

/// `podCertificate` projected volumes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodCertificate {
    /// Signers that may be asked, each with its longest lifetime. Empty: every `podCertificate` source is a violation.
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
    /// Refresh of managed secrets.
    pub secret_refresh_max_hours: i64,
    /// Delegations to agents.
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
    /// Ports and networks that may bypass the proxy.
    pub allowed_skip: Vec<String>,
    /// Image prefixes that prove a proxy. Needed to prove one in the cluster.
    pub proxy_images: Vec<String>,
    /// Users that may not start unmeshed, beside the proxy's own.
    pub proxy_uid: i64,
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
    /// Those that are federated with.
    pub trust_domains: Vec<String>,
}

/// Delegation to agent pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Delegation {
    /// Issuers of delegations.
    pub issuers: Vec<String>,
}

/// Cloud accounts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cloud {
    /// Accounts and projects whose roles may be bound. Empty: none; `["*"]`: any.
    pub allowed: Vec<String>,
}

/// What a missing related object means in CI. In the cluster a rule that cannot know denies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnMissingRelated {
    /// Reported as a warning with status `unknown`.
    #[default]
    Warn,
    /// Enforced as the rule is.
    Deny,
}

/// Bounds on waivers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Waiver {
    /// How far ahead a waiver may expire, in days.
    pub max_days: i64,
}

impl Settings {
    /// Reads `doorward.yaml`.
    ///
    /// # Errors
    /// [`ShapeError`] with the path of the field that is unknown or of a wrong type.
    pub fn read(document: &Object) -> Result<Self, ShapeError> {
        if document.root().is_null() { Ok(Self::default()) } else { document.root().read() }
    }

    /// What `serve` uses when it has neither a cluster nor a settings file, so that every built-in rule and injection has something
    /// to act on.
    #[must_use]
    pub fn demonstration() -> Self {
        let mut settings = Self::default();
        settings.spiffe.trust_domain = Some("demo.example.com".into());
        settings.cluster = Cluster { name: "demo".into(), spire_name: "demo".into() };
        settings.vault.address = Some("https://vault.vault.svc.cluster.local:8200".into());
        settings.mesh.kind = MeshKind::Linkerd;
        settings.mesh.proxy_images = vec!["cr.l5d.io/linkerd/proxy:".to_owned()];
        settings
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

    /// Whether an audience means the API server: empty, or one of its aliases.
    #[must_use]
    pub fn is_api_audience(&self, audience: &str) -> bool {
        audience.is_empty() || self.kube_api.aliases.iter().any(|alias| alias == audience)
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
        let error = Settings::read(&Object::from_json(r#"{"audiences":{"vault":{"maxSeconds":"600"}}}"#).unwrap()).unwrap_err();
        assert_eq!(error.path.to_string(), "audiences.vault.maxSeconds");
        assert!(error.message.starts_with("invalid type: string \"600\", expected i64"), "{error}");
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
