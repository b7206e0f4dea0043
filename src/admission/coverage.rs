//! What the loaded policies look at, sorted into the shapes that the validating webhook's entries have.

use std::collections::{BTreeMap, BTreeSet};

use crate::object::{POD_TEMPLATE_KINDS, PodTemplateKind, resource_of};
use crate::policy::{Carrier, InjectionPolicy, OperationName, PolicySet, ResourceRule, waivers_resource};
use crate::settings::ListedTemplate;

/// An admission operation that a webhook rule can name.
///
/// `DELETE` and `CONNECT` are asked for by native policies only: our own rules refuse nothing for being deleted, and a connect carries
/// no object that they judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// An object is made.
    Create,
    /// An object is changed.
    Update,
    /// An object is deleted.
    Delete,
    /// A connection to a subresource.
    Connect,
}

impl Operation {
    /// The word that `admissionregistration.k8s.io` uses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// A resource that some policy matches, and the operations it matches it on. `*` stands for every group, or every resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Covered {
    /// API group; empty for the core group.
    pub group: String,
    /// Resource, the plural name that a URL holds.
    pub resource: String,
    /// Subresource, such as `ephemeralcontainers`; empty for the object itself.
    pub subresource: String,
    /// The operations.
    pub operations: BTreeSet<Operation>,
    /// Whether a native policy matches it: then updates are sent that change nothing which our own rules look at.
    pub native: bool,
}

impl Covered {
    /// A resource matched on `CREATE` and `UPDATE`; `resource` may hold a subresource after a `/`, as in a webhook's rule.
    #[must_use]
    pub fn new(group: &str, resource: &str) -> Self {
        Self::on(group, resource, &[Operation::Create, Operation::Update])
    }

    /// A resource matched on some operations; `resource` as in [`Covered::new`].
    #[must_use]
    pub fn on(group: &str, resource: &str, operations: &[Operation]) -> Self {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Self {
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            operations: operations.iter().copied().collect(),
            native: false,
        }
    }
}

/// Everything that the loaded policies match: the only input beside the installation's own names.
///
/// Health is no input: a rule that is failing, slow or not ready is still covered, so that a restart never opens the door.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// What the validating entries must match.
    pub covered: BTreeSet<Covered>,
    /// The resources of the core group that some injection changes; each has a mutating entry.
    pub injects: BTreeSet<&'static str>,
}

impl Coverage {
    /// Everything that Doorward knows a class for: the coverage of the whole built-in library.
    #[must_use]
    pub fn everything() -> Self {
        let covered = known().into_iter().map(|kind| Covered::on(kind.group, &kind.path(), &kind.operations)).collect();
        Self { covered, injects: ["namespaces", "pods", "serviceaccounts"].into() }
    }

    /// What the policies of a set match, and IdentityWaivers if any policy is loaded.
    #[must_use]
    pub fn of(set: &PolicySet) -> Self {
        let mut covered = BTreeSet::new();
        if !set.policies().is_empty() {
            let waivers = waivers_resource();
            covered.insert(Covered::new(&waivers.group, &waivers.resource));
        }
        for policy in set.policies() {
            for matches in policy.matches() {
                if let Some(carrier) = matches.pod_template {
                    covered.extend(pod_templates(carrier));
                }
                if matches!(matches.pod_template, Some(Carrier::Any | Carrier::Workload)) {
                    covered.extend(set.settings().pod_templates.iter().map(listed));
                }
                covered.extend(matches.resource_rules.iter().flat_map(|rule| named(rule, policy.is_native())));
            }
        }
        Self { covered, injects: set.injections().iter().flat_map(InjectionPolicy::changed).collect() }
    }

    /// What policies match and no entry will hold, because a webhook on it would hang the cluster or never judge anything: nodes,
    /// leases, events and the reviews of the API server itself, and every subresource but `pods/ephemeralcontainers`,
    /// `serviceaccounts/token` and `namespaces/finalize`.
    #[must_use]
    pub fn unserved(&self) -> Vec<&Covered> {
        let known = known();
        self.covered.iter().filter(|covered| served(covered, &known).is_empty()).collect()
    }

    /// What the native policies of a set match and no entry will hold, each with the policy's name and the reason: such a policy would
    /// be loaded and never asked.
    #[must_use]
    pub fn unseen(set: &PolicySet) -> Vec<(&str, String)> {
        let known = known();
        let mut unseen = Vec::new();
        for policy in set.policies().iter().filter(|policy| policy.is_native()) {
            let rules = policy.matches().flat_map(|matches| &matches.resource_rules);
            for (rule, covered) in rules.flat_map(|rule| named(rule, true).into_iter().map(move |covered| (rule, covered))) {
                let place = path(&covered.resource, &covered.subresource);
                if covered.resource == "*" || covered.subresource == "*" {
                    let reason = format!("`{place}` is more than Doorward's webhook may be sent; list the resources one by one");
                    unseen.push((&*policy.id, reason));
                    continue;
                }
                // Who says "all" means those that there are.
                if rule.operations.contains(&OperationName::Any) && !served(&covered, &known).is_empty() {
                    continue;
                }
                for operation in &covered.operations {
                    let alone = Covered { operations: [*operation].into(), ..covered.clone() };
                    if served(&alone, &known).is_empty() {
                        let reason = format!(
                            "Doorward's webhook is not sent {} of `{place}`, because the cluster's own work hangs on it or nothing of it can \
                             be judged; leave this policy to the API server",
                            operation.word()
                        );
                        unseen.push((&*policy.id, reason));
                    }
                }
            }
        }
        unseen
    }

    /// The rules of each entry.
    pub(super) fn rules(&self) -> BTreeMap<Shape, Vec<Rule>> {
        let known = known();
        // Two policies may match one resource on different operations: first the union, then the rules.
        let mut union: BTreeMap<Shape, BTreeMap<Place, BTreeSet<Operation>>> = BTreeMap::new();
        for covered in &self.covered {
            for (shape, rule) in served(covered, &known) {
                for resource in rule.resources {
                    let key = (rule.group.clone(), rule.versions.clone(), resource);
                    union.entry(shape).or_default().entry(key).or_default().extend(rule.operations.iter().copied());
                }
            }
        }
        union.into_iter().map(|(shape, resources)| (shape, merged(resources))).collect()
    }
}

/// The resources that carry a pod template, and a pod's subresource that adds containers.
fn pod_templates(carrier: Carrier) -> Vec<Covered> {
    let wanted = |kind: &&PodTemplateKind| match carrier {
        Carrier::Any => true,
        Carrier::Pod => kind.is_pod(),
        Carrier::Workload => !kind.is_pod(),
    };
    let mut covered: Vec<Covered> = POD_TEMPLATE_KINDS.iter().filter(wanted).map(|kind| Covered::new(kind.group, kind.resource)).collect();
    if carrier != Carrier::Workload {
        covered.push(Covered::on("", "pods/ephemeralcontainers", &[Operation::Update]));
    }
    covered
}

/// A kind of others' that carries a pod template. It is watched: the pods that come of it are guarded themselves.
fn listed(listed: &ListedTemplate) -> Covered {
    match &listed.resource {
        Some(resource) => Covered::new(&listed.group, resource),
        None => Covered::new(&listed.group, &resource_of(&listed.kind)),
    }
}

/// The resources that a rule of a policy names, on the operations that a webhook is asked for.
fn named(rule: &ResourceRule, native: bool) -> Vec<Covered> {
    let mut operations = BTreeSet::new();
    for wanted in &rule.operations {
        match wanted {
            OperationName::Create => operations.extend([Operation::Create]),
            OperationName::Update => operations.extend([Operation::Update]),
            OperationName::Delete if native => operations.extend([Operation::Delete]),
            OperationName::Connect if native => operations.extend([Operation::Connect]),
            OperationName::Any if native => {
                operations.extend([Operation::Create, Operation::Update, Operation::Delete, Operation::Connect]);
            }
            OperationName::Any => operations.extend([Operation::Create, Operation::Update]),
            OperationName::Delete | OperationName::Connect => {}
        }
    }
    let operations: Vec<Operation> = operations.into_iter().collect();
    rule.api_groups
        .iter()
        .flat_map(|group| rule.resources.iter().map(|resource| Covered { native, ..Covered::on(group, resource, &operations) }))
        .filter(|covered| !covered.operations.is_empty())
        .collect()
}

/// Group, versions and resource.
type Place = (String, Vec<String>, String);

/// Resources of one group, the same versions and the same operations share a rule.
fn merged(resources: BTreeMap<Place, BTreeSet<Operation>>) -> Vec<Rule> {
    let mut rules: BTreeMap<(String, Vec<String>, BTreeSet<Operation>), Vec<String>> = BTreeMap::new();
    for ((group, versions, resource), operations) in resources {
        rules.entry((group, versions, operations)).or_default().push(resource);
    }
    rules.into_iter().map(|((group, versions, operations), resources)| Rule { group, versions, resources, operations }).collect()
}

/// One `rules` item of a webhook entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) group: String,
    pub(super) versions: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) operations: BTreeSet<Operation>,
}

/// The shape of an object decides its entry, because match conditions are per entry. The order is that of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Shape {
    /// Pods.
    Pods,
    /// The workload kinds, which carry a pod template.
    Workloads,
    /// `pods/ephemeralcontainers`.
    EphemeralContainers,
    /// `serviceaccounts/token`.
    Tokens,
    /// Who may do what and who is who: RBAC, SPIRE, ServiceAccounts, changes of Namespaces, Doorward's policies.
    Grants,
    /// `namespaces/finalize`, by which labels and annotations can be changed as well.
    Finalized,
    /// IdentityWaivers, whose status is ours to write.
    Waivers,
    /// Secrets of type `kubernetes.io/service-account-token`.
    LegacyTokens,
    /// Every other Secret.
    Secrets,
    /// The kinds of operators: new Namespaces, configuration, secret stores, certificates, mesh, pipelines.
    Operators,
    /// Deletions, for native policies.
    Deletions,
    /// Connections to pods and services, for native policies.
    Connections,
    /// Updates of pods that the entry of pods leaves out, for native policies; so the two below.
    UnchangedPods,
    /// Updates of workloads that leave their pod template alone, such as scaling.
    UnchangedTemplates,
    /// Updates of other objects that change metadata and status only.
    UnchangedObjects,
}

impl Shape {
    /// Whether only native policies judge what its entry holds.
    pub(super) fn is_native(self) -> bool {
        self >= Self::Deletions
    }

    /// The entry for the updates that the match conditions of this one leave out.
    fn unchanged(self) -> Option<Self> {
        match self {
            Self::Pods => Some(Self::UnchangedPods),
            Self::Workloads => Some(Self::UnchangedTemplates),
            Self::Grants | Self::LegacyTokens | Self::Secrets | Self::Operators => Some(Self::UnchangedObjects),
            _ => None,
        }
    }
}

/// A kind that Doorward knows a class for.
struct KnownKind {
    group: &'static str,
    versions: &'static [&'static str],
    resource: &'static str,
    subresource: &'static str,
    shapes: &'static [Shape],
    operations: Vec<Operation>,
}

impl KnownKind {
    fn path(&self) -> String {
        path(self.resource, self.subresource)
    }
}

fn path(resource: &str, subresource: &str) -> String {
    if subresource.is_empty() { resource.into() } else { format!("{resource}/{subresource}") }
}

/// Resources of one group that are served and judged alike.
struct Family {
    group: &'static str,
    versions: &'static [&'static str],
    shapes: &'static [Shape],
    resources: &'static [&'static str],
}

/// Versions: for Kubernetes' own kinds the API server converts every other one (`matchPolicy: Equivalent`); for a custom resource
/// every version that the rules can read, since a cluster may serve an old one alone; `*` where each served version reads alike.
const FAMILIES: &[Family] = &[
    Family { group: "", versions: &["v1"], shapes: &[Shape::Grants], resources: &["serviceaccounts"] },
    Family {
        group: "rbac.authorization.k8s.io",
        versions: &["v1"],
        shapes: &[Shape::Grants],
        resources: &["clusterrolebindings", "clusterroles", "rolebindings", "roles"],
    },
    Family {
        group: "spire.spiffe.io",
        versions: &["v1alpha1"],
        shapes: &[Shape::Grants],
        resources: &["clusterfederatedtrustdomains", "clusterspiffeids", "clusterstaticentries"],
    },
    Family {
        group: "doorward.dev",
        versions: &["v1alpha1"],
        shapes: &[Shape::Grants],
        resources: &["identitypolicies", "injectionpolicies"],
    },
    Family { group: "doorward.dev", versions: &["v1alpha1"], shapes: &[Shape::Waivers], resources: &["identitywaivers"] },
    Family { group: "", versions: &["v1"], shapes: &[Shape::Operators], resources: &["configmaps", "persistentvolumes"] },
    Family { group: "certificates.k8s.io", versions: &["v1"], shapes: &[Shape::Operators], resources: &["certificatesigningrequests"] },
    Family {
        group: "cert-manager.io",
        versions: &["v1"],
        shapes: &[Shape::Operators],
        resources: &["certificaterequests", "certificates", "clusterissuers", "issuers"],
    },
    Family {
        group: "external-secrets.io",
        versions: &["v1", "v1beta1"],
        shapes: &[Shape::Operators],
        resources: &["clusterexternalsecrets", "clustersecretstores", "externalsecrets", "secretstores"],
    },
    Family {
        group: "generators.external-secrets.io",
        versions: &["v1alpha1"],
        shapes: &[Shape::Operators],
        resources: &[
            "acraccesstokens",
            "clustergenerators",
            "ecrauthorizationtokens",
            "gcraccesstokens",
            "stssessiontokens",
            "vaultdynamicsecrets",
        ],
    },
    Family { group: "gateway.networking.k8s.io", versions: &["v1", "v1beta1"], shapes: &[Shape::Operators], resources: &["httproutes"] },
    Family {
        group: "policy.linkerd.io",
        versions: &["*"],
        shapes: &[Shape::Operators],
        resources: &[
            "authorizationpolicies",
            "httproutes",
            "meshtlsauthentications",
            "networkauthentications",
            "serverauthorizations",
            "servers",
        ],
    },
    Family {
        group: "secrets.hashicorp.com",
        versions: &["v1beta1"],
        shapes: &[Shape::Operators],
        resources: &["vaultauthglobals", "vaultauths", "vaultconnections"],
    },
    Family { group: "secrets-store.csi.x-k8s.io", versions: &["v1"], shapes: &[Shape::Operators], resources: &["secretproviderclasses"] },
    Family {
        group: "security.istio.io",
        versions: &["v1", "v1beta1"],
        shapes: &[Shape::Operators],
        resources: &["authorizationpolicies", "peerauthentications"],
    },
    Family {
        group: "tekton.dev",
        versions: &["v1", "v1beta1"],
        shapes: &[Shape::Operators],
        resources: &["pipelineruns", "pipelines", "taskruns", "tasks"],
    },
];

/// A webhook on these locks a cluster out (nodes, leases) or is called by the API server about itself (reviews); see hardening B1, B2.
const NEVER: &[(&str, &str)] = &[
    ("", "bindings"),
    ("", "componentstatuses"),
    ("", "endpoints"),
    ("", "events"),
    ("", "nodes"),
    ("admissionregistration.k8s.io", "*"),
    ("apiregistration.k8s.io", "*"),
    ("authentication.k8s.io", "*"),
    ("authorization.k8s.io", "*"),
    ("coordination.k8s.io", "*"),
    ("discovery.k8s.io", "*"),
    ("events.k8s.io", "*"),
    ("flowcontrol.apiserver.k8s.io", "*"),
    ("storage.k8s.io", "*"),
];

/// What may be connected to without a node's own work hanging on it.
const CONNECTED: &[&str] = &["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "services/proxy"];

const BOTH: [Operation; 2] = [Operation::Create, Operation::Update];

fn known() -> Vec<KnownKind> {
    let kind = |group, versions, resource, subresource, shapes, operations: &[Operation]| KnownKind {
        group,
        versions,
        resource,
        subresource,
        shapes,
        operations: operations.to_vec(),
    };
    let mut kinds = vec![
        kind("", &["v1"], "pods", "ephemeralcontainers", &[Shape::EphemeralContainers], &[Operation::Update]),
        kind("", &["v1"], "serviceaccounts", "token", &[Shape::Tokens], &[Operation::Create]),
        kind("", &["v1"], "secrets", "", &[Shape::LegacyTokens, Shape::Secrets], &BOTH),
        // A namespace can be made while Doorward is away, or no outage could be mended in a new one: what it lacks is asked again for
        // each of its pods. Changing one (leaving the mesh, a protected label) is guarded.
        kind("", &["v1"], "namespaces", "", &[Shape::Operators], &[Operation::Create]),
        kind("", &["v1"], "namespaces", "", &[Shape::Grants], &[Operation::Update]),
        // Labels and annotations can be changed by this one too; what it is there for changes neither, and waits for nobody.
        kind("", &["v1"], "namespaces", "finalize", &[Shape::Finalized], &[Operation::Update]),
    ];
    for carrier in POD_TEMPLATE_KINDS {
        let shapes: &[Shape] = if carrier.is_pod() { &[Shape::Pods] } else { &[Shape::Workloads] };
        kinds.push(kind(carrier.group, std::slice::from_ref(&carrier.version), carrier.resource, "", shapes, &BOTH));
    }
    for Family { group, versions, shapes, resources } in FAMILIES {
        kinds.extend(resources.iter().map(|resource| kind(group, versions, resource, "", shapes, &BOTH)));
    }
    kinds
}

/// The entries that must hold a covered resource, each with its rule; none if no webhook may.
fn served(covered: &Covered, known: &[KnownKind]) -> Vec<(Shape, Rule)> {
    let matches = |pattern: &str, name: &str| pattern == "*" || pattern == name;
    let mut found = Vec::new();
    for kind in known {
        let operations: BTreeSet<_> = kind.operations.iter().copied().filter(|operation| covered.operations.contains(operation)).collect();
        if operations.is_empty()
            || !matches(&covered.group, kind.group)
            || !matches(&covered.resource, kind.resource)
            || !matches(&covered.subresource, kind.subresource)
        {
            continue;
        }
        let versions = kind.versions.iter().map(|version| (*version).to_owned()).collect();
        let rule = Rule { group: kind.group.into(), versions, resources: vec![kind.path()], operations };
        found.extend(kind.shapes.iter().map(|shape| (*shape, rule.clone())));
    }
    let changes: BTreeSet<Operation> = covered.operations.iter().copied().filter(|operation| BOTH.contains(operation)).collect();
    if found.is_empty() && !changes.is_empty() && may_be_watched(covered) {
        // A kind of the user's own: its outage must not be ours, so it is watched and never guarded.
        found.push((Shape::Operators, any_version(covered, covered.resource.clone(), changes)));
    }
    if covered.native && covered.operations.contains(&Operation::Update) {
        let updates = found.iter().filter(|(_, rule)| rule.operations.contains(&Operation::Update));
        let unchanged: Vec<(Shape, Rule)> = updates
            .filter_map(|(shape, rule)| Some((shape.unchanged()?, Rule { operations: [Operation::Update].into(), ..rule.clone() })))
            .collect();
        found.extend(unchanged);
    }
    if covered.operations.contains(&Operation::Delete) && may_be_watched(covered) {
        found.push((Shape::Deletions, any_version(covered, covered.resource.clone(), [Operation::Delete].into())));
    }
    let place = path(&covered.resource, &covered.subresource);
    if covered.operations.contains(&Operation::Connect) && covered.group.is_empty() && CONNECTED.contains(&place.as_str()) {
        found.push((Shape::Connections, any_version(covered, place, [Operation::Connect].into())));
    }
    found
}

fn any_version(covered: &Covered, resource: String, operations: BTreeSet<Operation>) -> Rule {
    Rule { group: covered.group.clone(), versions: vec!["*".into()], resources: vec![resource], operations }
}

fn may_be_watched(covered: &Covered) -> bool {
    let never = NEVER.iter().any(|(group, resource)| *group == covered.group && (*resource == "*" || *resource == covered.resource));
    let wildcard = covered.group == "*" || covered.resource == "*";
    covered.subresource.is_empty() && !covered.operations.is_empty() && !never && !wildcard
}

#[cfg(test)]
mod tests;
