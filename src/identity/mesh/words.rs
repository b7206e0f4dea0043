//! The words of each mesh: its annotations and what they do, its containers, its volumes.

use super::super::model::MeshVector;
use crate::settings::{Mesh, MeshKind};

/// What an annotation does to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Lists what goes past it.
    Skips(MeshVector),
    /// Lists what alone goes through it; `*` is everything.
    Includes(MeshVector),
    /// How traffic is caught.
    Intercepts,
    /// Whom it lets in.
    InboundPolicy,
    /// Whom its redirection leaves out.
    User,
    /// Its image.
    Image,
    /// Its version.
    Version,
    /// Anything that it does not do unless told; `false` and `disabled` are nothing.
    Switches(MeshVector),
    /// Whatever its value.
    Tells(MeshVector),
}

/// How a mesh speaks.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) annotations: &'static [(&'static str, Effect)],
    /// The container of the proxy, and the init container that leads traffic to it.
    pub(super) proxy: &'static str,
    pub(super) redirect: &'static str,
    /// Containers that the injector adds.
    pub(super) own_containers: &'static [&'static str],
    /// Volumes that hold what proves the proxy's identity. Any container can mount one by name before the injector adds it.
    pub(super) identity_volumes: &'static [&'static str],
    /// Whether its redirection leaves out the proxy's group too.
    pub(super) group_counts: bool,
    /// The variable that tells the proxy its inbound policy, if the mesh has one for all that nothing else is said about.
    pub(super) inbound_policy: Option<&'static str>,
    /// Whether a pod inherits the annotations of its Namespace.
    pub(super) inherits: bool,
    kind: MeshKind,
}

/// The user of Istio's proxy.
pub(super) const ISTIO_UID: i64 = 1337;

impl Words {
    /// The words of a mesh with a proxy.
    pub(super) fn of(kind: MeshKind) -> Option<&'static Self> {
        match kind {
            MeshKind::Linkerd => Some(&LINKERD),
            MeshKind::Istio => Some(&ISTIO),
            MeshKind::None | MeshKind::Spire => None,
        }
    }

    /// The user whose traffic the redirection leaves out.
    pub(super) fn proxy_user(&self, mesh: &Mesh) -> i64 {
        if self.kind == MeshKind::Istio { ISTIO_UID } else { mesh.proxy_uid }
    }
}

/// Linkerd's `config.linkerd.io` annotations (`pkg/k8s/labels.go`). The injector reads a pod's before its Namespace's.
const LINKERD: Words = Words {
    annotations: &[
        ("config.linkerd.io/skip-inbound-ports", Effect::Skips(MeshVector::SkippedPort)),
        ("config.linkerd.io/skip-outbound-ports", Effect::Skips(MeshVector::SkippedPort)),
        ("config.linkerd.io/skip-subnets", Effect::Skips(MeshVector::SkippedSubnet)),
        ("config.linkerd.io/opaque-ports", Effect::Tells(MeshVector::OpaquePort)),
        ("config.linkerd.io/default-inbound-policy", Effect::InboundPolicy),
        ("config.linkerd.io/proxy-additional-env", Effect::Tells(MeshVector::ProxyEnvironment)),
        ("config.linkerd.io/proxy-image", Effect::Image),
        ("config.linkerd.io/init-image", Effect::Image),
        ("config.linkerd.io/proxy-version", Effect::Version),
        ("config.linkerd.io/enable-debug-sidecar", Effect::Switches(MeshVector::DebugSidecar)),
        ("config.linkerd.io/debug-image", Effect::Tells(MeshVector::DebugSidecar)),
        ("config.linkerd.io/debug-image-version", Effect::Tells(MeshVector::DebugSidecar)),
        ("config.linkerd.io/proxy-uid", Effect::User),
        ("config.linkerd.io/proxy-gid", Effect::User),
        ("config.linkerd.io/proxy-admin-shutdown", Effect::Switches(MeshVector::ProxyShutdown)),
        ("config.linkerd.io/inbound-port", Effect::Tells(MeshVector::ProxyPort)),
        ("config.linkerd.io/outbound-port", Effect::Tells(MeshVector::ProxyPort)),
    ],
    proxy: "linkerd-proxy",
    redirect: "linkerd-init",
    own_containers: &["linkerd-proxy", "linkerd-init", "linkerd-network-validator"],
    identity_volumes: &["linkerd-identity-end-entity", "linkerd-identity-token"],
    group_counts: false,
    inbound_policy: Some("LINKERD2_PROXY_INBOUND_DEFAULT_POLICY"),
    inherits: true,
    kind: MeshKind::Linkerd,
};

/// Istio's annotations of a pod (`pkg/config/annotation`); a Namespace has none of them.
const ISTIO: Words = Words {
    annotations: &[
        ("traffic.sidecar.istio.io/excludeInboundPorts", Effect::Skips(MeshVector::SkippedPort)),
        ("traffic.sidecar.istio.io/excludeOutboundPorts", Effect::Skips(MeshVector::SkippedPort)),
        ("traffic.sidecar.istio.io/excludeOutboundIPRanges", Effect::Skips(MeshVector::SkippedSubnet)),
        ("traffic.sidecar.istio.io/excludeInterfaces", Effect::Skips(MeshVector::SkippedSubnet)),
        ("traffic.sidecar.istio.io/includeInboundPorts", Effect::Includes(MeshVector::SkippedPort)),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", Effect::Includes(MeshVector::SkippedSubnet)),
        ("sidecar.istio.io/interceptionMode", Effect::Intercepts),
        ("proxy.istio.io/config", Effect::Tells(MeshVector::ProxyEnvironment)),
        ("inject.istio.io/templates", Effect::Tells(MeshVector::ProxyEnvironment)),
        ("sidecar.istio.io/proxyImage", Effect::Image),
    ],
    proxy: "istio-proxy",
    redirect: "istio-init",
    own_containers: &["istio-proxy", "istio-init", "istio-validation"],
    identity_volumes: &["istio-token", "workload-certs", "credential-socket", "istio-data"],
    group_counts: true,
    inbound_policy: None,
    inherits: false,
    kind: MeshKind::Istio,
};
