//! No way for a pod into the cluster is forgotten: every resource and subresource that this API server serves and that can carry a pod,
//! or change what one is, is in the webhook configuration or listed here with the reason why it need not be.

use std::collections::{BTreeMap, BTreeSet};

use doorward::admission::{Coverage, Installation, OnFailure, Target, configurations};
use doorward::policy::{Sources, load};
use serde_json::Value;

use crate::client::Cluster;
use crate::controlplane::shared;

/// Definitions from which a pod comes about.
const POD_SHAPES: &[&str] = &["io.k8s.api.core.v1.PodSpec", "io.k8s.api.core.v1.PodTemplateSpec", "io.k8s.api.core.v1.EphemeralContainer"];

/// Kinds that are no pod and act on one, or on an identity.
const ACTING_KINDS: &[&str] = &["Binding", "Eviction", "TokenRequest"];

/// Ways that no webhook need guard, as `group/resource` or, for a subresource of any resource, `*/subresource`.
const HARMLESS: &[(&str, &str)] = &[
    (
        "*/status",
        "the API server keeps the spec that is there; labels and annotations change by it (1.37), so who may write it is RBAC's to say: \
         controllers and kubelets, never the roles `edit` and `admin`. A status must never wait for us or be refused",
    ),
    ("*/scale", "carries a number of replicas; the pods are made from the template, and each is asked about"),
    ("*/approval", "says that a signing request is granted; what it asks for was asked about when it was made"),
    ("/bindings", "as `pods/binding`"),
    (
        "/pods/binding",
        "puts a pod that was let in on a node, and may add annotations to it; RBAC gives it to the scheduler alone, and no pod would start \
         while Doorward is away",
    ),
    ("/pods/eviction", "ends a pod"),
    ("/pods/resize", "the API server takes resources of containers from it and nothing else"),
    ("/pods/attach", "a connection to what runs; it has no object, and native policies may ask about it"),
    ("/pods/exec", "a connection to what runs; it has no object, and native policies may ask about it"),
    ("/pods/portforward", "a connection to what runs; it has no object, and native policies may ask about it"),
    ("/pods/proxy", "a connection to what runs; it has no object, and native policies may ask about it"),
    ("/services/proxy", "a connection to what runs; it has no object, and native policies may ask about it"),
    ("/nodes/proxy", "the kubelet's own interface, where Kubernetes asks no admission about what is done: RBAC alone keeps it"),
];

/// A resource or subresource as the API server serves it.
#[derive(Debug)]
struct Way {
    /// `group/resource` or `group/resource/subresource`; the core group is empty.
    place: String,
    /// Group, version and plural of its path, as OpenAPI has it.
    version: String,
    kind: String,
    verbs: BTreeSet<String>,
}

impl Way {
    fn is_subresource(&self) -> bool {
        self.place.matches('/').count() == 2
    }

    /// The admission operations that its verbs become; a connection is one whatever the verb.
    fn operations(&self) -> BTreeSet<&'static str> {
        let verb = |verb: &str| self.verbs.contains(verb);
        if self.kind.ends_with("Options") {
            return BTreeSet::from(["CONNECT"]);
        }
        let create = verb("create").then_some("CREATE");
        let update = (verb("update") || verb("patch")).then_some("UPDATE");
        create.into_iter().chain(update).collect()
    }

    fn harmless(&self) -> Option<&'static str> {
        let subresource = self.is_subresource().then(|| format!("*/{}", self.place.rsplit('/').next().unwrap_or_default()));
        let named = |listed: &str| listed == self.place || subresource.as_deref() == Some(listed);
        HARMLESS.iter().map(|(listed, _)| *listed).find(|listed| named(listed))
    }
}

/// Everything that discovery lists, in every version.
async fn discovered(cluster: &Cluster) -> Vec<Way> {
    let mut roots = vec![(String::new(), "/api/v1".to_owned())];
    for group in cluster.get("/apis").await.object()["groups"].as_array().expect("groups") {
        for version in group["versions"].as_array().expect("versions") {
            let version = version["groupVersion"].as_str().expect("a group and version");
            roots.push((group["name"].as_str().expect("a name").to_owned(), format!("/apis/{version}")));
        }
    }
    let mut ways = Vec::new();
    for (group, root) in roots {
        for resource in cluster.get(&root).await.object()["resources"].as_array().expect("resources") {
            let verbs = resource["verbs"].as_array().expect("verbs").iter().filter_map(Value::as_str).map(str::to_owned);
            ways.push(Way {
                place: format!("{group}/{}", resource["name"].as_str().expect("a name")),
                version: root.clone(),
                kind: resource["kind"].as_str().expect("a kind").to_owned(),
                verbs: verbs.collect(),
            });
        }
    }
    ways
}

/// The definitions that the API server reads from the bodies of each resource's requests, by its version's root and `resource/subresource`,
/// if a pod comes about from them.
async fn pod_bearing(cluster: &Cluster) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let index = cluster.get("/openapi/v3").await.object();
    for (root, entry) in index["paths"].as_object().expect("paths") {
        let root = format!("/{root}");
        if !(root == "/api/v1" || root.starts_with("/apis/") && root.matches('/').count() == 3) {
            continue;
        }
        let document = cluster.get(entry["serverRelativeURL"].as_str().expect("a URL")).await.object();
        let schemas = &document["components"]["schemas"];
        let mut reaching = BTreeMap::new();
        for (path, operations) in document["paths"].as_object().into_iter().flatten() {
            let below = path.trim_start_matches(&root).trim_start_matches("/namespaces/{namespace}");
            let resource = below.split('/').filter(|part| !part.is_empty() && !part.starts_with('{')).collect::<Vec<_>>().join("/");
            let bodies = ["post", "put"].into_iter().flat_map(|method| operations[method]["requestBody"]["content"].as_object());
            for schema in bodies.flat_map(serde_json::Map::values).map(|content| &content["schema"]) {
                if reaches(schemas, schema, &mut reaching) {
                    found.insert((root.clone(), resource.clone()));
                }
            }
        }
    }
    found
}

/// Whether a schema leads to one of the [`POD_SHAPES`]; `known` keeps what was answered, and breaks circles.
fn reaches<'a>(schemas: &'a Value, schema: &'a Value, known: &mut BTreeMap<&'a str, bool>) -> bool {
    match schema {
        Value::Object(fields) => fields.iter().any(|(key, value)| match value.as_str() {
            Some(reference) if key == "$ref" => {
                let name = reference.rsplit('/').next().unwrap_or_default();
                if POD_SHAPES.contains(&name) {
                    return true;
                }
                if let Some(answer) = known.get(name) {
                    return *answer;
                }
                known.insert(name, false);
                let answer = reaches(schemas, &schemas[name], known);
                known.insert(name, answer);
                answer
            }
            _ => reaches(schemas, value, known),
        }),
        Value::Array(items) => items.iter().any(|item| reaches(schemas, item, known)),
        _ => false,
    }
}

/// What the built-in library's webhook configuration asks about: operations by `group/resource`.
fn asked() -> BTreeMap<String, BTreeSet<String>> {
    let set = load(&Sources::default()).expect("the library loads");
    let installation = Installation {
        own_namespace: "doorward".into(),
        target: Target::Url { base: "https://127.0.0.1:8443".into(), ca_bundle_pem: String::new() },
        bootstrap_namespaces: Vec::new(),
        on_failure: OnFailure::Fail,
    };
    let (_, validating) = configurations(&installation, &Coverage::of(&set));
    let mut asked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for webhook in validating["webhooks"].as_array().expect("entries") {
        for rule in webhook["rules"].as_array().expect("rules") {
            assert_eq!(webhook["matchPolicy"], "Equivalent", "one version of a rule stands for all");
            let texts = |field: &str| -> Vec<String> {
                rule[field].as_array().expect("a list").iter().filter_map(Value::as_str).map(str::to_owned).collect()
            };
            for place in
                texts("apiGroups").iter().flat_map(|group| texts("resources").into_iter().map(move |name| format!("{group}/{name}")))
            {
                asked.entry(place).or_default().extend(texts("operations"));
            }
        }
    }
    asked
}

#[tokio::test]
async fn every_way_for_a_pod_into_the_cluster_is_guarded_or_listed() {
    let cluster = shared().cluster().await;
    let (ways, bearing, asked) = (discovered(&cluster).await, pod_bearing(&cluster).await, asked());
    assert!(ways.len() > 100 && bearing.len() >= 19, "{} ways and {} that bear pods are too few to be all", ways.len(), bearing.len());

    let (mut forgotten, mut used, mut guarded) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for way in &ways {
        let name = way.place.split_once('/').map_or("", |(_, name)| name);
        let bears = bearing.contains(&(way.version.clone(), name.to_owned()));
        let acts = ACTING_KINDS.contains(&way.kind.as_str()) || way.is_subresource();
        let operations = way.operations();
        if operations.is_empty() || !(bears || acts) {
            continue;
        }
        let covered = asked.get(&way.place).is_some_and(|asked| operations.iter().all(|operation| asked.contains(*operation)));
        match (covered, way.harmless()) {
            (true, _) => drop(guarded.insert(way.place.clone())),
            (false, Some(listed)) => drop(used.insert(listed)),
            (false, None) => forgotten.push(format!("{} {} ({}): {operations:?}", way.version, name, way.kind)),
        }
    }
    assert!(forgotten.is_empty(), "neither in the webhook configuration nor listed with a reason:\n{}", forgotten.join("\n"));
    // The list holds nothing that is not there.
    let idle: Vec<_> = HARMLESS.iter().filter(|(listed, _)| !used.contains(listed)).collect();
    assert!(idle.is_empty(), "listed, and not served or guarded after all: {idle:?}");
    // What is guarded and bears a pod is what the engine finds a template in, beside the two ways into a pod that runs, and the other way
    // to a Namespace's labels.
    let known: BTreeSet<String> =
        doorward::object::POD_TEMPLATE_KINDS.iter().map(|kind| format!("{}/{}", kind.group, kind.resource)).collect();
    let more: BTreeSet<String> = ["/pods/ephemeralcontainers", "/serviceaccounts/token", "/namespaces/finalize"].map(str::to_owned).into();
    assert_eq!(guarded, known.union(&more).cloned().collect());
}
