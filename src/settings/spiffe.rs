//! SPIFFE: the trust domain, the Workload API, where registration entries come from.

use serde::{Deserialize, Serialize};

/// SPIFFE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Spiffe {
    /// The trust domain of this cluster's SVIDs, without `spiffe://`. Default: unset, and the SPIFFE rules are off. Read by
    /// `federation-allow-list`, `no-hostpath-spiffe-socket`, `no-privileged-spiffe-entry`, `no-self-issued-identity`,
    /// `no-wildcard-mesh-identity`, `require-spiffe-registration`, `spiffe-entry-scoped`, `spiffe-id-annotation-matches`,
    /// `svid-ttl-limit`, `spiffe-csi`, `spiffe-csi-for-spire`, `spiffe-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_domain: Option<String>,
    /// The path of a workload's SPIFFE ID. Default: `/ns/{namespace}/sa/{serviceAccount}`. Read by `spiffe-id-annotation-matches`,
    /// `no-self-issued-identity`, `spiffe-id`.
    pub path_template: String,
    /// The CSI driver that mounts the Workload API. Default: `csi.spiffe.io`. Read by `identity-mounts-read-only`,
    /// `no-hostpath-spiffe-socket`, `no-identity-in-ephemeral-container`, `no-self-issued-identity`, `no-unmeshed-pod`,
    /// `require-spiffe-registration`, `spiffe-csi`.
    pub csi_driver: String,
    /// Where the Workload API's directory is mounted. Default: `/spiffe-workload-api`. Read by `spiffe-csi`.
    pub mount_path: String,
    /// The socket's file name in that directory. Default: `spire-agent.sock`. Read by `spiffe-csi`.
    pub socket_name: String,
    /// Directories of the node that hold sockets or tokens of other pods; `*` stands for any text. Default: the list below. Read by
    /// `no-hostpath-spiffe-socket`.
    pub host_socket_dirs: Vec<String>,
    /// Where registration entries come from. Default: `clusterspiffeid`. Read by `require-spiffe-registration`, `no-unmeshed-pod`.
    pub registration: SpiffeRegistration,
    /// CSI drivers that issue SVIDs beside SPIRE. Default: `spiffe.csi.cert-manager.io`. Read by `no-self-issued-identity`.
    pub unapproved_drivers: Vec<String>,
    /// The `className` that this cluster's SPIRE Controller Manager acts on. Default: unset, so that it acts on every one. Read by
    /// `require-spiffe-registration`, `no-unmeshed-pod`, `spiffe-entry-scoped`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// Whether it also acts on objects without a `className`, as its own `watchClassless`. Default: `false`. Read by
    /// `require-spiffe-registration`, `no-unmeshed-pod`, `spiffe-entry-scoped`.
    pub watch_classless: bool,
    /// Namespaces that SPIRE Controller Manager ignores, by exact name. Default: `kube-system`, `kube-public`, `spire-system`. Read by
    /// `require-spiffe-registration`, `no-unmeshed-pod`, `spiffe-csi-for-spire`.
    pub ignored_namespaces: Vec<String>,
    /// Beginnings of paths that static entries of machines may have, such as `/machines/`, whatever attests them. Default: none, and every
    /// static entry is judged. Read by `spiffe-entry-scoped`.
    pub static_path_prefixes: Vec<String>,
    /// cert-manager issuers that may sign SPIFFE IDs and CAs, each as `Kind/name`, an `Issuer` as `Issuer/namespace/name`, one of another
    /// API group with `group/` before that; `["*"]`: any. Default: none. Read by `no-self-issued-identity`.
    pub authorised_issuers: Vec<String>,
    /// Requesters, by exact user name, that may ask for such certificates; `["*"]`: anyone. Default: none. Read by
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
