//! The identity as data: what rules written in CEL see as `identity`, and what the inventory prints.
//!
//! Keys are stable (`identity.schema.json`). What is not known or does not apply is absent, so that CEL's `has()` and `?.` tell it;
//! lists are always there.

use std::borrow::Cow;

use serde::Serialize;

use super::environment::StaticCredential;
use super::material::CredentialMaterial;
use super::mount_path::MountPath;
use super::surroundings::Class;
use super::vault::{AgentShape, Named, VaultAccess};

/// A pod template read as an identity.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity<'a> {
    /// Name of the namespace.
    pub namespace: &'a str,
    /// Name of the ServiceAccount after defaulting.
    pub service_account: &'a str,
    /// What sort of workload it is.
    pub class: Class,
    /// The class that the operator gives it; absent if none. What a pod says of itself lifts nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granted_class: Option<Class>,
    /// The SPIFFE ID to expect; absent without a trust domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// The one under the settings before, while those of today roll out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub former_spiffe_id: Option<String>,
    /// The token for the Kubernetes API.
    pub api_token: ApiToken<'a>,
    /// Every credential that the pod can obtain. At most some thousands: past that the last one is of kind `unknown`.
    pub credentials: Vec<Credential<'a>>,
    /// Every mount of a volume that gives an identity.
    pub mounts: Vec<IdentityMount<'a>>,
    /// Whether the mesh carries the pod.
    pub mesh: MeshState,
    /// Whether and how it logs in to Vault.
    pub vault: VaultLogin<'a>,
    /// How it reaches Vault, in the words that the operators' kinds share; absent if nothing of it leads there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault_access: Option<VaultAccess<'a>>,
    /// Annotations of the vendors' Vault injectors that the settings do not list.
    pub vendor_annotations: Vec<Named<'a>>,
    /// Static credentials in the environment of its containers.
    pub static_credentials: Vec<StaticCredential<'a>>,
    /// Credentials that are written into it.
    pub credential_material: Vec<CredentialMaterial>,
    /// What was, or is to be, added to it. Filled by the policy room.
    pub injections: Cow<'a, [InjectionState]>,
    /// The workload that the template belongs to: label `app.kubernetes.io/name`, else the name of its controller, else its own.
    /// Filled by the policy room.
    pub workload: Cow<'a, str>,
    /// Credentials in the annotations of the workload itself; empty for a Pod, whose annotations are the template's. Filled by the policy
    /// room.
    pub workload_material: Vec<CredentialMaterial>,
    /// Other workloads among the files that run as the same `ServiceAccount`, the first few; empty in a cluster. Filled by the policy
    /// room.
    pub neighbours: Vec<&'a str>,
}

/// Whether some container holds a token that the Kubernetes API accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiToken<'a> {
    /// Whether one is mounted or will be; true also when that is not known (`source` says `unknown`).
    pub mounted: bool,
    /// `automountServiceAccountToken` of the pod, else of its ServiceAccount; absent if neither sets it, or the latter is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explicit: Option<bool>,
    /// Where the token comes from.
    pub source: ApiTokenSource,
    /// The containers that get it.
    pub containers: Vec<&'a str>,
}

/// Where a token for the Kubernetes API comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ApiTokenSource {
    /// The pod sets automount to true.
    Pod,
    /// The ServiceAccount does.
    ServiceAccount,
    /// Neither sets it, so it is on.
    Default,
    /// The author's own projected volume.
    Projected,
    /// There is none.
    None,
    /// The ServiceAccount could not be read.
    Unknown,
}

/// One door by which a pod obtains a credential. One source mounted at two paths is two of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential<'a> {
    /// What sort of credential.
    pub kind: CredentialKind,
    /// Audience of a token (`""`: the API server); the signer of a pod certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<&'a str>,
    /// Lifetime asked for, in seconds, after defaulting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// Where containers find it: the file of a token, the mount of anything else. Absent if it is no file, is mounted nowhere, or its
    /// place hangs on a variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<MountPath>,
    /// The containers that get it, in the pod's order.
    pub containers: Vec<&'a str>,
    /// Where it stands in the pod template.
    pub field_path: String,
    /// The volume it comes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<&'a str>,
    /// The Secret, the CSI driver, the directory of the node, or the unknown sort of source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// The environment variable that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<&'a str>,
    /// Mounted by `subPath` or `subPathExpr`, so that it is never refreshed.
    pub sub_path: bool,
    /// False if a container mounts it writable.
    pub read_only: bool,
    /// How sure this is.
    pub certainty: Certainty,
    /// A token that the Kubernetes API accepts.
    pub api_audience: bool,
    /// A token that the ServiceAccount plugin adds, or has added: equal to its volume in content, while automount is on.
    pub automounted: bool,
}

/// What sort of credential a door gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CredentialKind {
    /// A projected `serviceAccountToken`, or the one that automount adds.
    ServiceAccountToken,
    /// A projected `podCertificate`.
    PodCertificate,
    /// An inline CSI volume. Known for the identity drivers of the settings; of any other driver `unknown`, as it may ask for tokens.
    Csi,
    /// A token of the pod's ServiceAccount that the kubelet hands to the driver of an inline CSI volume, as the `CSIDriver` asks
    /// (`spec.tokenRequests`). No container sees it.
    CsiToken,
    /// A Secret that holds a never-expiring ServiceAccount token.
    LegacyTokenSecret,
    /// Any other Secret.
    Secret,
    /// A Secret for pulling images; no container sees it.
    ImagePullSecret,
    /// An environment variable out of a file that another container writes (`fileKeyRef`).
    EnvFile,
    /// A directory of the node that holds sockets or tokens of other pods.
    HostPath,
    /// A sort of volume or projected source that this version does not know.
    Unknown,
}

/// How sure the reading of a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Certainty {
    /// As the object says.
    Known,
    /// Only the Secret's name looks like a legacy token: `<service account>-token-<5 characters>`.
    Shaped,
    /// It hangs on an object that was not at hand.
    Unknown,
}

/// One mount of a volume that gives an identity: a projected token or certificate, a CSI volume of an identity driver, a legacy token,
/// or the directory of Vault's rendered secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityMount<'a> {
    /// The volume.
    pub volume: &'a str,
    /// The container.
    pub container: &'a str,
    /// Where the container finds it.
    pub path: MountPath,
    /// False if the container may write there.
    pub read_only: bool,
    /// What the container is to the identity.
    pub holder: Holder,
    /// Where the mount stands in the pod template.
    pub field_path: String,
}

/// What a container is to an identity that it mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Holder {
    /// Any container of the pod.
    App,
    /// An agent of Vault, which writes what it renders.
    VaultAgent,
    /// The mesh's proxy, with its own identity.
    MeshProxy,
    /// A container that was added to the running pod.
    Ephemeral,
}

/// Whether the mesh carries a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshState {
    /// The answer.
    pub state: MeshAnswer,
    /// Why, in the field's words; absent when the pod is meshed or there is no mesh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cow<'static, str>>,
    /// The field of the pod template that decided; absent if none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_path: Option<String>,
    /// Whether a proxy stands in this very object and passed every check. Of a template, or of a pod before the mesh's injector ran, it
    /// is false: the state then tells intent.
    pub proven: bool,
    /// Ways past the mesh of a pod that it carries, or is to carry.
    pub findings: Vec<MeshFinding>,
}

/// One way past the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshFinding {
    /// Which way.
    pub vector: MeshVector,
    /// How it is open, in the field's words.
    pub cause: Cow<'static, str>,
    /// The port, network, policy or user that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The field of the pod template, or of the Namespace judged; absent if it stands outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_path: Option<String>,
}

impl MeshFinding {
    /// A finding in a field.
    pub(super) fn at(vector: MeshVector, cause: impl Into<Cow<'static, str>>, field_path: impl Into<String>) -> Self {
        Self { vector, cause: cause.into(), value: None, field_path: Some(field_path.into()) }
    }
}

/// The ways past a mesh that an object shows. Whether the mesh acts on a pod at all is [`MeshAnswer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MeshVector {
    /// A port goes past the proxy that `mesh.allowedSkip` does not list.
    SkippedPort,
    /// A network does.
    SkippedSubnet,
    /// A port is carried without being understood: still authenticated.
    OpaquePort,
    /// The proxy lets in callers without an identity.
    InboundPolicy,
    /// Nothing says whom the proxy lets in, and the mesh lets in callers without an identity.
    InboundPolicyDefault,
    /// The environment or configuration of the proxy is changed.
    ProxyEnvironment,
    /// Its image or version is another.
    ProxyImage,
    /// A container beside it sees its traffic.
    DebugSidecar,
    /// Something else runs as its user, or its redirection leaves another user out.
    ProxyUser,
    /// A container can undo the redirection.
    NetworkCapability,
    /// An init container runs before it.
    StartsBeforeProxy,
    /// A container reads its identity.
    ProxyIdentity,
    /// Every container reads its memory.
    SharedProcesses,
    /// Any container can end it.
    ProxyShutdown,
    /// Its ports are moved.
    ProxyPort,
    /// A proxy that is not the mesh's own, or that was disarmed.
    UnprovenProxy,
    /// What the Namespace hands down is not known.
    Unknown,
}

/// What a Namespace tells the mesh for its pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceMesh {
    /// Ways past the mesh that its pods inherit.
    pub findings: Vec<MeshFinding>,
}

/// The answers to "does the mesh carry this pod?".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MeshAnswer {
    /// Yes.
    Meshed,
    /// The author says no.
    OptedOut,
    /// Nothing asks for it, or the injector passes the pod by.
    Unmeshed,
    /// Something stands in the pod that keeps the injector away, or a proxy that is not the mesh's own.
    Bypassed,
    /// An annotation has a value that the injector does not know, so it does nothing.
    Invalid,
    /// There is no mesh.
    Off,
    /// The namespace could not be read, or no proxy image is configured to prove one by.
    Unknown,
}

/// Whether and how a pod logs in to Vault or `OpenBao`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultLogin<'a> {
    /// Whether it is a client at all.
    pub client: bool,
    /// What shows it, in the field's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Cow<'a, str>>,
    /// The field of the pod template that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_path: Option<String>,
    /// Whether the vendor's injector (vault-k8s or openbao-k8s) is asked to add an agent.
    pub vendor: bool,
    /// The login of the agent that the pod holds or asks for, as far as it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<Login<'a>>,
    /// The logins of further agents in the pod that differ from it.
    pub other_logins: Vec<Login<'a>>,
    /// The containers that run the agent, each with its shape. At most eight.
    pub agents: Vec<AgentShape<'a>>,
    /// The containers that log in: the agents, else the app containers. Empty when the pod is no client.
    pub containers: Vec<&'a str>,
    /// Those of `containers` that have no token of the Vault audience.
    pub without_token: Vec<&'a str>,
    /// The token that a container logs in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<VaultToken<'a>>,
}

/// How an agent logs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Login<'a> {
    /// The agent's container; absent while the vendor's injector has yet to add it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<&'a str>,
    /// The auth method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Cow<'a, str>>,
    /// The Vault role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Cow<'a, str>>,
    /// The auth mount as written, such as `auth/kubernetes-prod`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<Cow<'a, str>>,
    /// The server's URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Cow<'a, str>>,
    /// The file that holds the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_path: Option<MountPath>,
    /// The volume that the file comes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_volume: Option<&'a str>,
    /// Where the configuration stands in the pod template.
    pub field_path: String,
}

/// A projected token with the Vault audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultToken<'a> {
    /// The volume it comes by.
    pub volume: &'a str,
    /// Its file in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<MountPath>,
    /// Its lifetime.
    pub seconds: i64,
    /// Where it stands in the pod template.
    pub field_path: String,
}

/// What became of one injection. Filled by the policy room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InjectionState {
    /// The injection's id.
    pub id: String,
    /// Whether a policy asks for it.
    pub due: bool,
    /// Whether the pod has what it adds.
    pub done: bool,
    /// What stands in its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Conflict>,
}

/// What stands in the way of an injection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// The field of the pod template that is taken.
    pub field_path: String,
    /// By what.
    pub reason: String,
    /// What its author can do.
    pub remedy: String,
}

#[cfg(test)]
pub(super) mod sample {
    //! An identity with every optional field set.

    use super::super::environment::StaticSource;
    use super::super::grants::Grants;
    use super::super::listed_secrets::ListedSecret;
    use super::super::object_identity::ObjectIdentity;
    use super::super::operators::SecretStore;
    use super::super::registration::{Registration, RegistrationFinding, RegistrationProblem};
    use super::super::signing_request::SigningRequest;
    use super::super::vault::{AuthMethod, AuthMount, TokenAudiences, TokenSeconds, UnreadConfig, VaultAddress, VaultRole};
    use super::*;

    fn named() -> Named<'static> {
        Named { name: "n".into(), field_path: "spec".into() }
    }

    fn material() -> CredentialMaterial {
        CredentialMaterial { detector: "vault-token", field_path: "spec".into(), key: Some("k".into()) }
    }

    fn static_credential() -> StaticCredential<'static> {
        StaticCredential {
            name: "DB_PASSWORD",
            source: StaticSource::Secret,
            from: Some("db"),
            container: Some("app"),
            field_path: "spec".into(),
            key: Some("k".into()),
        }
    }

    fn unread_config() -> UnreadConfig<'static> {
        UnreadConfig { name: "x".into(), reason: "x".into(), remedy: "x", injected: false, certain: false, field_path: "spec".into() }
    }

    fn access() -> VaultAccess<'static> {
        let field_path = || "spec".to_owned();
        VaultAccess {
            addresses: vec![VaultAddress {
                host: Some("vault".into()),
                readable: true,
                https: true,
                local: false,
                listed: true,
                field_path: field_path(),
            }],
            unverified: vec![named()],
            methods: vec![AuthMethod { name: "kubernetes".into(), attested: false, field_path: field_path() }],
            secrets: vec![named()],
            mounts: vec![AuthMount { name: "m".into(), listed: true, expected: "m".into(), field_path: field_path() }],
            roles: vec![VaultRole { name: "r".into(), own: true, expected: "r".into(), field_path: field_path() }],
            unreadable: vec![named()],
            unread: vec![unread_config()],
            unjudged: vec![unread_config()],
            audiences: vec![TokenAudiences { names: vec!["vault".into()], field_path: field_path() }],
            token_seconds: vec![TokenSeconds { seconds: 600, field_path: field_path() }],
        }
    }

    fn finding() -> MeshFinding {
        MeshFinding { value: Some("25".into()), ..MeshFinding::at(MeshVector::SkippedPort, "c", "metadata") }
    }

    /// An object of every kind at once, with every optional field set.
    pub(in super::super) fn full_object() -> ObjectIdentity<'static> {
        let reason = RegistrationFinding { problem: RegistrationProblem::Unbound, cause: "c".into(), field_path: "spec" };
        let request = SigningRequest { readable: true, uris: vec!["spiffe://a/b".into()], ca: true, field_path: "spec.request" };
        ObjectIdentity {
            grants: Some(Grants::default()),
            secrets: Some(Vec::<ListedSecret<'_>>::new()),
            registration: Some(Registration { spiffe_id: "spiffe://a/b", findings: vec![reason] }),
            signing_request: Some(request),
            mesh: Some(NamespaceMesh { findings: vec![finding()] }),
            vault_access: Some(access()),
            store: Some(SecretStore { ambient: vec![named()], secrets: vec![named()] }),
            static_credentials: vec![static_credential()],
            credential_material: vec![material()],
        }
    }

    pub(in super::super) fn full() -> Identity<'static> {
        let path = MountPath::new("/run/secrets/vault/token");
        Identity {
            namespace: "payments",
            service_account: "api",
            class: Class::App,
            granted_class: Some(Class::Controller),
            spiffe_id: Some("spiffe://demo.example.com/ns/payments/sa/api".into()),
            former_spiffe_id: Some("spiffe://former.example.com/ns/payments/sa/api".into()),
            api_token: ApiToken { mounted: true, explicit: Some(true), source: ApiTokenSource::Pod, containers: vec!["app"] },
            credentials: vec![Credential {
                kind: CredentialKind::ServiceAccountToken,
                audience: Some("vault"),
                seconds: Some(600),
                path: Some(path.clone()),
                containers: vec!["app"],
                field_path: "spec.volumes[0].projected.sources[0].serviceAccountToken".into(),
                volume: Some("vault-token"),
                name: Some("n".into()),
                env: Some("E"),
                sub_path: false,
                read_only: true,
                certainty: Certainty::Known,
                api_audience: false,
                automounted: false,
            }],
            mounts: vec![IdentityMount {
                volume: "vault-token",
                container: "app",
                path: path.clone(),
                read_only: true,
                holder: Holder::App,
                field_path: "spec.containers[0].volumeMounts[0]".into(),
            }],
            mesh: MeshState {
                state: MeshAnswer::Bypassed,
                cause: Some("c".into()),
                field_path: Some("spec".into()),
                proven: false,
                findings: vec![finding()],
            },
            vault: VaultLogin {
                client: true,
                evidence: Some("e".into()),
                field_path: Some("spec".into()),
                vendor: false,
                login: Some(Login {
                    container: Some("vault-agent"),
                    method: Some("kubernetes".into()),
                    role: Some("payments.api".into()),
                    mount: Some("auth/kubernetes-demo".into()),
                    address: Some("https://vault:8200".into()),
                    token_path: Some(path.clone()),
                    token_volume: Some("vault-token"),
                    field_path: "spec".into(),
                }),
                other_logins: Vec::new(),
                agents: vec![AgentShape {
                    container: "vault-agent",
                    init: true,
                    exits: false,
                    stays: true,
                    before_proxy: true,
                    on_disk: Some(named()),
                    extras: vec![named()],
                    field_path: "spec".into(),
                }],
                containers: vec!["vault-agent"],
                without_token: Vec::new(),
                token: Some(VaultToken { volume: "vault-token", path: Some(path), seconds: 600, field_path: "spec".into() }),
            },
            vault_access: Some(access()),
            vendor_annotations: vec![named()],
            static_credentials: vec![static_credential()],
            credential_material: vec![material()],
            injections: vec![InjectionState {
                id: "vault-token".into(),
                due: true,
                done: false,
                conflict: Some(Conflict { field_path: "spec.volumes[0]".into(), reason: "taken".into(), remedy: "rename it".into() }),
            }]
            .into(),
            workload: "api".into(),
            workload_material: vec![material()],
            neighbours: vec!["web"],
        }
    }
}
