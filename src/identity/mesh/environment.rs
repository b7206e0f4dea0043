//! What the environment of the mesh's own containers tells them: whom they obey, whose identity they take, where they listen.
//!
//! A variable that the injector does not write fails, `LD_PRELOAD` and `PATH` among them; so does one whose value stands in an object
//! that was not looked at.

use super::super::pod::{Container, Variable};
use super::arguments::listens_at;
use super::words::{Speech, Words};
use super::written;
use crate::object::{Node, Object, quoted};
use crate::settings::Mesh;

/// What the webhooks of clouds add to every container; no program of a mesh reads it.
const OF_CLOUDS: [&str; 2] = ["AWS_", "AZURE_"];

/// Linkerd's variables that do not begin with its own prefix.
const OF_LINKERD: [&str; 9] =
    ["_pod_name", "_pod_ns", "_pod_uid", "_pod_ip", "_pod_nodeName", "_pod_containerName", "_pod_sa", "_l5d_ns", "_l5d_trustdomain"];

/// Variables of Istio's proxy that tell it about itself, and nothing about whom to obey.
const OF_ISTIO: [&str; 28] = [
    "COMPLIANCE_POLICY",
    "CANONICAL_REVISION",
    "CANONICAL_SERVICE",
    "GOMAXPROCS",
    "GOMEMLIMIT",
    "HOST_IP",
    "INSTANCE_IP",
    "ISTIO_CPU_LIMIT",
    "ISTIO_KUBE_APP_PROBERS",
    "ISTIO_METAJSON_ANNOTATIONS",
    "ISTIO_METAJSON_LABELS",
    "ISTIO_META_APP_CONTAINERS",
    "ISTIO_META_CLUSTER_ID",
    "ISTIO_META_MESH_ID",
    "ISTIO_META_NETWORK",
    "ISTIO_META_NODE_NAME",
    "ISTIO_META_OWNER",
    "ISTIO_META_POD_PORTS",
    "ISTIO_META_UNPRIVILEGED_POD",
    "ISTIO_META_WORKLOAD_NAME",
    "ISTIO_PROMETHEUS_ANNOTATIONS",
    "OTEL_RESOURCE_ATTRIBUTES",
    "POD_NAME",
    "POD_NAMESPACE",
    "REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION",
    "SERVICE_ACCOUNT",
    "TERMINATION_DRAIN_DURATION_SECONDS",
    "TRUST_DOMAIN",
];

/// Variables by which Istio is told to capture more than it would; both its containers read them.
const CAPTURES_MORE: [&str; 4] = ["ISTIO_DUAL_STACK", "ISTIO_META_DNS_CAPTURE", "ISTIO_META_DNS_AUTO_ALLOCATE", "ISTIO_META_ENABLE_HBONE"];

/// The first field of a container's environment that the injector would not have written, and why.
pub(super) fn judge(container: &Container<'_>, mesh: &Mesh, words: &Words, is_proxy: bool) -> Option<(String, String)> {
    if container.env_from().next().is_some() {
        return Some(("envFrom".to_owned(), "takes variables out of an object that its author may write".to_owned()));
    }
    if is_proxy && let Some(name) = twice(&container.env) {
        return Some(("env".to_owned(), format!("proxy has `{name}` twice, and the last one counts")));
    }
    container.env.iter().enumerate().find_map(|(index, variable)| {
        let Variable { name, value, .. } = *variable;
        if OF_CLOUDS.iter().any(|prefix| name.starts_with(prefix)) || written::is_word(name, value, mesh) {
            return None;
        }
        let source = variable.from.filter(|source| !source.is_empty());
        let cause = if source.is_some_and(|source| source.entries().any(|(key, _)| !matches!(key, "fieldRef" | "resourceFieldRef"))) {
            Some(format!("`{}` stands in an object that its author may write", quoted(name)))
        } else {
            match words.speech {
                Speech::Linkerd if is_proxy => linkerd(name, value, source, mesh, words),
                Speech::Istio if CAPTURES_MORE.contains(&name) => None,
                Speech::Istio if is_proxy => istio(name, value, mesh, words),
                _ => Some(foreign(name)),
            }
        }?;
        Some((format!("env[{index}]"), cause))
    })
}

fn foreign(name: &str) -> String {
    format!("`{}` is no variable that the injector writes", quoted(name))
}

/// The first variable of Linkerd's proxy that is there twice, by its name.
fn twice<'a>(env: &[Variable<'a>]) -> Option<&'a str> {
    let mut names = Vec::with_capacity(env.len());
    names.extend(env.iter().map(|variable| variable.name).filter(|name| is_of_linkerd(name)));
    // They all begin alike, and mostly differ in length.
    names.sort_unstable_by_key(|name| (name.len(), *name));
    names.windows(2).filter_map(|pair| if let [a, b] = pair { (a == b).then_some(*a) } else { None }).min()
}

fn is_of_linkerd(name: &str) -> bool {
    name.starts_with("LINKERD2_PROXY_") || OF_LINKERD.contains(&name)
}

fn linkerd(name: &str, value: &str, source: Option<Node<'_>>, mesh: &Mesh, words: &Words) -> Option<String> {
    if !is_of_linkerd(name) {
        return Some(foreign(name));
    }
    let namespace = words.control_plane(mesh);
    let field = |path: &str| source.and_then(|source| source.path(&["fieldRef", "fieldPath"])).and_then(Node::as_str) == Some(path);
    let at = |services: &[&str], port: &str| is_service(value, services, port, namespace, mesh);
    let is = |account: &str| is_identity(value, account, namespace, mesh);
    let holds = match name.strip_prefix("LINKERD2_PROXY_").unwrap_or(name) {
        "IDENTITY_DISABLED" => return Some(format!("proxy runs without identity (`{name}`)")),
        "IDENTITY_SVC_ADDR" => at(&["linkerd-identity", "linkerd-identity-headless"], "8080"),
        "DESTINATION_SVC_ADDR" => at(&["linkerd-dst", "linkerd-dst-headless"], "8086"),
        "POLICY_SVC_ADDR" => at(&["linkerd-policy"], "8090"),
        "IDENTITY_SVC_NAME" => is("linkerd-identity"),
        "DESTINATION_SVC_NAME" | "POLICY_SVC_NAME" => is("linkerd-destination"),
        "INBOUND_LISTEN_ADDR" => listens_at(value, 4143),
        "OUTBOUND_LISTEN_ADDR" | "OUTBOUND_LISTEN_ADDRS" => listens_at(value, 4140),
        "IDENTITY_DIR" => value == "/var/run/linkerd/identity/end-entity",
        "IDENTITY_TOKEN_FILE" => value == "/var/run/secrets/tokens/linkerd-identity-token",
        "IDENTITY_TRUST_ANCHORS" => source.is_none(),
        "SHUTDOWN_ENDPOINT_ENABLED" => matches!(value, "" | "false"),
        "POLICY_WORKLOAD" => {
            let value: String = value.split_whitespace().collect();
            matches!(value.as_str(), r#"{"ns":"$(_pod_ns)","pod":"$(_pod_name)"}"# | "$(_pod_ns):$(_pod_name)")
        }
        "_pod_name" => field("metadata.name"),
        "_pod_ns" => field("metadata.namespace"),
        "_pod_sa" => field("spec.serviceAccountName"),
        "_l5d_ns" => value == namespace,
        "_l5d_trustdomain" => value == mesh.trust_domain,
        other => !other.starts_with("IDENTITY_SPIRE_"),
    };
    (!holds).then(|| format!("`{name}` of the proxy is `{}`, which the injector does not write", quoted(value)))
}

fn istio(name: &str, value: &str, mesh: &Mesh, words: &Words) -> Option<String> {
    let holds = match name {
        "CA_ADDR" => is_istiod(value, mesh, words),
        "PILOT_CERT_PROVIDER" => matches!(value, "istiod" | "kubernetes") || value.starts_with("k8s.io/"),
        "JWT_POLICY" => value == "third-party-jwt",
        "ISTIO_META_INTERCEPTION_MODE" => matches!(value, "REDIRECT" | "TPROXY"),
        "GODEBUG" => value == "fips140=only",
        "PROXY_CONFIG" => return proxy_config(value, mesh, words),
        name if OF_ISTIO.contains(&name) => true,
        name => return Some(foreign(name)),
    };
    (!holds).then(|| format!("`{name}` of the proxy is `{}`, which the injector does not write", quoted(value)))
}

/// The fields of Istio's `ProxyConfig` that may be set: those that change neither whom the proxy obeys nor what it runs.
fn proxy_config(text: &str, mesh: &Mesh, words: &Words) -> Option<String> {
    let Ok(config) = Object::from_json(text) else {
        return Some("`PROXY_CONFIG` of the proxy cannot be read".to_owned());
    };
    config.root().entries().find_map(|(key, node)| {
        let value = node.as_str().unwrap_or_default();
        let holds = match key {
            "concurrency"
            | "drainDuration"
            | "envoyAccessLogService"
            | "envoyMetricsService"
            | "extraStatTags"
            | "fileFlushInterval"
            | "fileFlushMinSizeKb"
            | "gatewayTopology"
            | "holdApplicationUntilProxyStarts"
            | "image"
            | "meshId"
            | "proxyHeaders"
            | "proxyStatsMatcher"
            | "readinessProbe"
            | "serviceCluster"
            | "statNameLength"
            | "statusPort"
            | "terminationDrainDuration"
            | "tracing"
            | "zipkinAddress" => true,
            "discoveryAddress" => is_istiod(value, mesh, words),
            "controlPlaneAuthPolicy" => value == "MUTUAL_TLS",
            "interceptionMode" => matches!(value, "REDIRECT" | "TPROXY"),
            "configPath" => matches!(value, "./etc/istio/proxy" | "/etc/istio/proxy"),
            "binaryPath" => value == "/usr/local/bin/envoy",
            "proxyMetadata" => {
                return node.entries().find_map(|(name, node)| {
                    let value = node.as_str().unwrap_or_default();
                    let is_known = CAPTURES_MORE.contains(&name) || written::is_word(name, value, mesh);
                    if is_known { None } else { istio(name, value, mesh, words) }
                });
            }
            _ => false,
        };
        (!holds).then(|| format!("`{}` in `PROXY_CONFIG` of the proxy is not what the injector writes", quoted(key)))
    })
}

/// `<service>.<control plane>.svc.<cluster domain>:<port>`, as absolute name or not.
fn is_service(address: &str, services: &[&str], port: &str, namespace: &str, mesh: &Mesh) -> bool {
    let Some((host, found)) = address.rsplit_once(':') else { return false };
    let host = host.strip_suffix('.').unwrap_or(host);
    let below = host
        .strip_suffix(mesh.cluster_domain.as_str())
        .and_then(|host| host.strip_suffix(".svc."))
        .and_then(|host| host.strip_suffix(namespace))
        .and_then(|host| host.strip_suffix('.'));
    found == port && below.is_some_and(|service| services.contains(&service))
}

/// The identity of a part of Linkerd's control plane, with its own variables resolved.
fn is_identity(name: &str, account: &str, namespace: &str, mesh: &Mesh) -> bool {
    name.strip_prefix(account)
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| behind(rest, ["$(_l5d_ns)", namespace]))
        .and_then(|rest| rest.strip_prefix(".serviceaccount.identity."))
        .and_then(|rest| behind(rest, ["$(_l5d_ns)", namespace]))
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|domain| domain == mesh.trust_domain || domain == "$(_l5d_trustdomain)")
}

/// What of a text follows one of two beginnings.
fn behind<'t>(text: &'t str, beginnings: [&str; 2]) -> Option<&'t str> {
    beginnings.into_iter().find_map(|beginning| text.strip_prefix(beginning))
}

/// `istiod.<control plane>.svc:15012`, with a revision or not, with the cluster's domain or not.
fn is_istiod(address: &str, mesh: &Mesh, words: &Words) -> bool {
    let Some(host) = address.strip_suffix(":15012") else { return false };
    let host = host.strip_suffix('.').unwrap_or(host);
    let host = host.strip_suffix(mesh.cluster_domain.as_str()).and_then(|host| host.strip_suffix('.')).unwrap_or(host);
    let service = host.strip_suffix(".svc").and_then(|host| host.strip_suffix(words.control_plane(mesh)));
    service
        .and_then(|service| service.strip_suffix('.'))
        .is_some_and(|service| service == "istiod" || service.strip_prefix("istiod-").is_some_and(|revision| !revision.contains('.')))
}
