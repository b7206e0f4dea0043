//! The mesh: which one, and what proves its proxy.

use serde::{Deserialize, Serialize};

/// The mesh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Mesh {
    /// Which mesh, if any. Default: `none`. Read by `injection-conflict`, `mesh-annotation-placement`, `mesh-inbound-policy`,
    /// `mesh-proxy-integrity`, `no-mesh-bypass-ports`, `no-mesh-opt-out`, `no-unauthenticated-server`, `no-unmeshed-pod`,
    /// `no-wildcard-mesh-identity`, `require-meshed-namespace`, `mesh-inject`, `spiffe-csi-for-spire`.
    pub kind: MeshKind,
    /// The mesh's own trust domain (not SPIFFE's). Default: `cluster.local`. Read by `no-wildcard-mesh-identity`, `mesh-proxy-integrity`,
    /// `no-unmeshed-pod`.
    pub trust_domain: String,
    /// What the mesh does with inbound traffic by default. Default: `all-unauthenticated`. Read by `mesh-inbound-policy`.
    pub cluster_default_inbound_policy: String,
    /// Ports, ranges of ports (`1000-2000`) and networks that may bypass the proxy; `["*"]`: any. Default: none. Read by
    /// `no-mesh-bypass-ports`, `mesh-proxy-integrity`, `no-unmeshed-pod`.
    pub allowed_skip: Vec<String>,
    /// Image prefixes that prove a proxy. Needed to prove one in the cluster. Default: none. Read by `mesh-proxy-integrity`,
    /// `no-unmeshed-pod`.
    pub proxy_images: Vec<String>,
    /// The user of the proxy, as whom no other container may run. Unit: a user id. Default: `2102`. Read by `mesh-proxy-integrity`,
    /// `no-unmeshed-pod`.
    pub proxy_uid: i64,
    /// Whether the mesh's CNI plugin leads traffic to the proxy, so that pods have a container that checks it in place of one that does
    /// it. Off: the checking container proves nothing. Default: `false`. Read by `mesh-proxy-integrity`, `no-unmeshed-pod`.
    pub cni: bool,
    /// Namespace of the control plane, which the proxy's variables must name. Default: unset, which is `linkerd`, or `istio-system`. Read
    /// by `mesh-proxy-integrity`, `no-unmeshed-pod`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_namespace: Option<String>,
    /// The cluster's DNS domain, as it stands in the addresses of the control plane. Default: `cluster.local`. Read by
    /// `mesh-proxy-integrity`, `no-unmeshed-pod`.
    pub cluster_domain: String,
    /// What this mesh's injector writes into its own containers beyond its defaults: variables as `NAME` or `NAME=value`, flags as
    /// `--flag` or `--flag=value`, directories by their path. Default: none. Read by `mesh-proxy-integrity`, `no-unmeshed-pod`.
    pub injector_writes: Vec<String>,
    /// `NetworkAuthentication` objects that stand for probes, as `namespace/name`: a policy may require one of them alone. Default: none.
    /// Read by `no-unauthenticated-server`.
    pub probe_authentications: Vec<String>,
    /// Networks that the objects of `probeAuthentications` may name, such as that of the nodes. Default: none. Read by
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
