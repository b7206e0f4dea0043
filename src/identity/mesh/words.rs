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
    /// Moves a port of its own that its redirection leaves out.
    Port(MeshVector),
    /// Anything that it does not do unless told; `false`, `disabled` and `off` are nothing.
    Switches(MeshVector),
    /// Whatever its value.
    Tells(MeshVector),
}

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    Linkerd,
    Istio,
}

/// How a mesh speaks.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) speech: Speech,
    pub(super) annotations: &'static [(&'static str, Effect)],
    /// A label of pods that tells callers how to speak to them, and the one value with which they use mutual TLS.
    pub(super) tls_label: Option<(&'static str, &'static str)>,
    /// The container of the proxy, and the init container that leads traffic to it or, where a plugin of the network does, checks it.
    pub(super) proxy: &'static str,
    pub(super) redirect: &'static str,
    pub(super) validator: &'static str,
    /// The audience of the token that proves the proxy's identity.
    pub(super) audience: &'static str,
    /// Directories that the injector mounts in them, each with its volume.
    pub(super) proxy_mounts: &'static [(&'static str, &'static str)],
    pub(super) redirect_mounts: &'static [(&'static str, &'static str)],
    /// Volumes that hold what proves the proxy's identity. Any container can mount one by name before the injector adds it.
    pub(super) identity_volumes: &'static [&'static str],
    /// Those of them that lie in the pod's own memory or disk.
    pub(super) key_volumes: &'static [&'static str],
    /// Ports that the mesh itself leaves out of the redirection: the proxy's own, and what its chart leaves out by default.
    pub(super) own_ports: &'static [u16],
    /// Whether its redirection leaves out the proxy's group too.
    pub(super) group_counts: bool,
    /// The variable that tells the proxy its inbound policy, if the mesh has one for all that nothing else is said about.
    pub(super) inbound_policy: Option<&'static str>,
    /// Whether a pod inherits the annotations of its Namespace.
    pub(super) inherits: bool,
    default_control_plane: &'static str,
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
        if self.speech == Speech::Istio { ISTIO_UID } else { mesh.proxy_uid }
    }

    /// The namespace of the mesh's control plane.
    pub(super) fn control_plane<'m>(&self, mesh: &'m Mesh) -> &'m str {
        mesh.control_plane_namespace.as_deref().unwrap_or(self.default_control_plane)
    }
}

/// Linkerd's `config.linkerd.io` annotations (`pkg/k8s/labels.go`). The injector reads a pod's before its Namespace's.
const LINKERD: Words = Words {
    speech: Speech::Linkerd,
    annotations: &[
        ("config.linkerd.io/skip-inbound-ports", Effect::Skips(MeshVector::SkippedPort)),
        ("config.linkerd.io/skip-outbound-ports", Effect::Skips(MeshVector::SkippedPort)),
        ("config.linkerd.io/skip-subnets", Effect::Skips(MeshVector::SkippedSubnet)),
        ("config.linkerd.io/opaque-ports", Effect::Tells(MeshVector::OpaquePort)),
        ("config.linkerd.io/default-inbound-policy", Effect::InboundPolicy),
        ("config.linkerd.io/proxy-additional-env", Effect::Tells(MeshVector::ProxyEnvironment)),
        ("config.linkerd.io/proxy-image", Effect::Image),
        ("config.linkerd.io/init-image", Effect::Image),
        ("config.linkerd.io/init-image-version", Effect::Version),
        ("config.linkerd.io/proxy-version", Effect::Version),
        ("config.linkerd.io/enable-debug-sidecar", Effect::Switches(MeshVector::DebugSidecar)),
        ("config.linkerd.io/debug-image", Effect::Tells(MeshVector::DebugSidecar)),
        ("config.linkerd.io/debug-image-version", Effect::Tells(MeshVector::DebugSidecar)),
        ("config.linkerd.io/proxy-uid", Effect::User),
        ("config.linkerd.io/proxy-gid", Effect::User),
        ("config.linkerd.io/proxy-admin-shutdown", Effect::Switches(MeshVector::ProxyShutdown)),
        ("config.linkerd.io/disable-identity", Effect::Switches(MeshVector::ProxyEnvironment)),
        // Whoever reads the proxy's log reads the credentials of its callers.
        ("config.linkerd.io/proxy-log-http-headers", Effect::Switches(MeshVector::ProxyEnvironment)),
        ("config.linkerd.io/control-port", Effect::Port(MeshVector::SkippedPort)),
        ("config.linkerd.io/admin-port", Effect::Port(MeshVector::SkippedPort)),
        ("config.linkerd.io/inbound-port", Effect::Tells(MeshVector::ProxyPort)),
        ("config.linkerd.io/outbound-port", Effect::Tells(MeshVector::ProxyPort)),
    ],
    tls_label: None,
    proxy: "linkerd-proxy",
    redirect: "linkerd-init",
    validator: "linkerd-network-validator",
    audience: "identity.l5d.io",
    proxy_mounts: &[
        ("/run/linkerd/identity/end-entity", "linkerd-identity-end-entity"),
        ("/run/linkerd/podinfo", "linkerd-podinfo"),
        ("/run/secrets/tokens", "linkerd-identity-token"),
    ],
    redirect_mounts: &[("/run", "linkerd-proxy-init-xtables-lock")],
    identity_volumes: &["linkerd-identity-end-entity", "linkerd-identity-token"],
    key_volumes: &["linkerd-identity-end-entity"],
    own_ports: &[4190, 4191, 4567, 4568],
    group_counts: false,
    inbound_policy: Some("LINKERD2_PROXY_INBOUND_DEFAULT_POLICY"),
    inherits: true,
    default_control_plane: "linkerd",
};

/// Istio's annotations of a pod (`pkg/config/annotation`); a Namespace has none of them.
const ISTIO: Words = Words {
    speech: Speech::Istio,
    annotations: &[
        ("traffic.sidecar.istio.io/excludeInboundPorts", Effect::Skips(MeshVector::SkippedPort)),
        ("traffic.sidecar.istio.io/excludeOutboundPorts", Effect::Skips(MeshVector::SkippedPort)),
        ("traffic.sidecar.istio.io/excludeOutboundIPRanges", Effect::Skips(MeshVector::SkippedSubnet)),
        ("traffic.sidecar.istio.io/excludeInterfaces", Effect::Skips(MeshVector::SkippedSubnet)),
        ("traffic.sidecar.istio.io/kubevirtInterfaces", Effect::Skips(MeshVector::SkippedSubnet)),
        ("istio.io/reroute-virtual-interfaces", Effect::Skips(MeshVector::SkippedSubnet)),
        ("traffic.sidecar.istio.io/includeInboundPorts", Effect::Includes(MeshVector::SkippedPort)),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", Effect::Includes(MeshVector::SkippedSubnet)),
        ("sidecar.istio.io/interceptionMode", Effect::Intercepts),
        ("proxy.istio.io/config", Effect::Tells(MeshVector::ProxyEnvironment)),
        ("proxy.istio.io/overrides", Effect::Tells(MeshVector::ProxyEnvironment)),
        ("inject.istio.io/templates", Effect::Tells(MeshVector::ProxyEnvironment)),
        ("sidecar.istio.io/bootstrapOverride", Effect::Tells(MeshVector::ProxyEnvironment)),
        ("sidecar.istio.io/discoveryAddress", Effect::Tells(MeshVector::ProxyEnvironment)),
        ("sidecar.istio.io/userVolume", Effect::Tells(MeshVector::ProxyEnvironment)),
        ("sidecar.istio.io/userVolumeMount", Effect::Tells(MeshVector::ProxyEnvironment)),
        ("ambient.istio.io/bypass-inbound-capture", Effect::Switches(MeshVector::SkippedPort)),
        ("sidecar.istio.io/proxyImage", Effect::Image),
    ],
    tls_label: Some(("security.istio.io/tlsMode", "istio")),
    proxy: "istio-proxy",
    redirect: "istio-init",
    validator: "istio-validation",
    audience: "istio-ca",
    proxy_mounts: &[
        ("/etc/istio/pod", "istio-podinfo"),
        ("/etc/istio/proxy", "istio-envoy"),
        ("/run/secrets/credential-uds", "credential-socket"),
        ("/run/secrets/istio", "istiod-ca-cert"),
        ("/run/secrets/istio/crl", "istio-ca-crl"),
        ("/run/secrets/tokens", "istio-token"),
        ("/run/secrets/workload-spiffe-credentials", "workload-certs"),
        ("/run/secrets/workload-spiffe-credentials", "gke-workload-certificate"),
        ("/run/secrets/workload-spiffe-uds", "workload-socket"),
        ("/var/lib/istio/data", "istio-data"),
    ],
    redirect_mounts: &[],
    identity_volumes: &["istio-token", "workload-certs", "workload-socket", "credential-socket", "istio-data", "istio-envoy"],
    key_volumes: &["workload-certs", "credential-socket", "istio-data", "istio-envoy"],
    own_ports: &[15020, 15021, 15090],
    group_counts: true,
    inbound_policy: None,
    inherits: false,
    default_control_plane: "istio-system",
};
