//! The registration entries of a pod: which SPIFFE IDs SPIRE will issue to it, and by which objects, as SPIRE Controller Manager
//! reconciles them (`pkg/spireentry/reconciler.go`).

use serde::Serialize;

use super::render::{PodData, Unrendered, render};
use super::{acts_on, is_path_segment};
use crate::identity::Surroundings;
use crate::object::{Fact, LabelSelector, Node, PodTemplate, quoted};
use crate::settings::SpiffeRegistration;

/// What SPIRE issues to a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Issuance {
    /// The SPIFFE ID that the settings expect of its namespace and ServiceAccount.
    pub expected: String,
    /// How the entries compare with that.
    pub answer: IssuanceAnswer,
    /// Why, where no entry tells.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cause: String,
    /// The entries that select it, or may.
    pub entries: Vec<RegistrationEntry>,
}

/// How the entries of a pod compare with what is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum IssuanceAnswer {
    /// Every entry gives the expected ID.
    Expected,
    /// Some entry gives another ID.
    Other,
    /// No entry gives it an ID.
    None,
    /// It is not known whether one does.
    Unknown,
}

/// An entry that one object makes for the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistrationEntry {
    /// `ClusterSPIFFEID` or `ClusterStaticEntry`.
    pub kind: &'static str,
    /// The object's name.
    pub name: String,
    /// Whether it gives the ID.
    pub state: EntryState,
    /// The ID, rendered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// The names for DNS that the SVID holds beside it. One that cannot be rendered yet stands as its template.
    pub dns_names: Vec<String>,
    /// What SPIRE must attest of a process beside the pod, such as `k8s:container-name:app`; rendered as far as is known.
    pub selectors: Vec<String>,
    /// What is not known, or why the controller refuses it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cause: String,
}

/// Whether an entry gives a pod its ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryState {
    /// It does.
    Granted,
    /// That hangs on what is not known.
    Unknown,
    /// It selects the pod, and the controller cannot make an entry of it.
    Failed,
}

const TEMPLATED: &str = "ClusterSPIFFEID";
const STATIC: &str = "ClusterStaticEntry";

/// Reads the objects of SPIRE Controller Manager for a pod; `None` while no trust domain is set.
#[must_use]
pub fn issuance(
    template: PodTemplate<'_>,
    surroundings: &Surroundings<'_>,
    ids: &Fact<Vec<Node<'_>>>,
    static_entries: &Fact<Vec<Node<'_>>>,
) -> Option<Issuance> {
    let settings = surroundings.settings;
    let expected = settings.expected_spiffe_id(surroundings.namespace, template.service_account_name())?;
    if settings.spiffe.registration == SpiffeRegistration::External {
        let cause = "entries are made outside this cluster (`spiffe.registration: external`)".into();
        return Some(Issuance { expected, answer: IssuanceAnswer::Unknown, cause, entries: Vec::new() });
    }
    let data = PodData { template, surroundings };
    let mut entries = Vec::new();
    let mut reasons = Vec::new();
    let mut unknown = false;
    if settings.spiffe.ignored_namespaces.iter().any(|ignored| ignored == surroundings.namespace) {
        reasons.push(format!("SPIRE Controller Manager ignores namespace `{}`", quoted(surroundings.namespace)));
    } else {
        match ids {
            Fact::Found(ids) => {
                entries = templated(ids, data);
                reasons.push(format!("none of {} ClusterSPIFFEIDs selects it", ids.len()));
            }
            Fact::Absent => reasons.push("there is no ClusterSPIFFEID".into()),
            Fact::Unknown(reason) => {
                unknown = true;
                reasons.push(reason.clone());
            }
        }
    }
    if let Fact::Found(static_entries) = static_entries {
        entries.extend(by_name(static_entries, data).filter_map(|entry| fixed(entry, data)));
    }
    let granted = || entries.iter().filter(|entry| entry.state == EntryState::Granted);
    let answer = match granted().next() {
        Some(_) if granted().all(|entry| entry.spiffe_id.as_ref() == Some(&expected)) => IssuanceAnswer::Expected,
        Some(_) => IssuanceAnswer::Other,
        None if unknown || entries.iter().any(|entry| entry.state == EntryState::Unknown) => IssuanceAnswer::Unknown,
        None => IssuanceAnswer::None,
    };
    let cause = if entries.is_empty() { reasons.join("; ") } else { String::new() };
    Some(Issuance { expected, answer, cause, entries })
}

/// The objects that the controller acts on, by name, so that the answer does not hang on the order of files.
fn by_name<'a>(objects: &[Node<'a>], data: PodData<'_>) -> impl Iterator<Item = Node<'a>> {
    let mut objects: Vec<Node<'a>> = objects.iter().copied().filter(|object| acts_on(*object, data.surroundings.settings)).collect();
    objects.sort_by_key(|object| name_of(*object));
    objects.into_iter()
}

fn name_of(object: Node<'_>) -> &str {
    object.get("metadata").map(|metadata| metadata.text("name")).unwrap_or_default()
}

fn entry(kind: &'static str, object: Node<'_>) -> RegistrationEntry {
    RegistrationEntry {
        kind,
        name: name_of(object).to_owned(),
        state: EntryState::Granted,
        spiffe_id: None,
        dns_names: Vec::new(),
        selectors: Vec::new(),
        cause: String::new(),
    }
}

impl RegistrationEntry {
    /// Keeps the first and worst of what was met.
    fn because(&mut self, reason: Unrendered) {
        let (state, cause) = match reason {
            Unrendered::Unknown(cause) => (EntryState::Unknown, cause),
            Unrendered::Failed(cause) => (EntryState::Failed, cause),
        };
        if self.state == EntryState::Granted || (self.state, state) == (EntryState::Unknown, EntryState::Failed) {
            (self.state, self.cause) = (state, cause);
        }
    }
}

/// Fallbacks come last, and only for a pod for which no other object made an entry.
fn templated(ids: &[Node<'_>], data: PodData<'_>) -> Vec<RegistrationEntry> {
    let is_fallback = |id: &Node<'_>| id.path(&["spec", "fallback"]).and_then(Node::as_bool) == Some(true);
    let (fallbacks, others): (Vec<_>, Vec<_>) = by_name(ids, data).partition(is_fallback);
    let mut entries: Vec<_> = others.into_iter().filter_map(|id| of_template(id, data)).collect();
    let met = |state| entries.iter().any(|entry: &RegistrationEntry| entry.state == state);
    if met(EntryState::Granted) {
        return entries;
    }
    let uncertain = met(EntryState::Unknown);
    for id in fallbacks {
        let Some(mut entry) = of_template(id, data) else { continue };
        if uncertain {
            entry.because(Unrendered::Unknown("it is a fallback, and whether another entry is made is not known".into()));
        }
        entries.push(entry);
    }
    entries
}

/// The entry that a `ClusterSPIFFEID` makes; `None` if it does not select the pod.
fn of_template(id: Node<'_>, data: PodData<'_>) -> Option<RegistrationEntry> {
    let mut entry = entry(TEMPLATED, id);
    match selects(id, data) {
        Ok(true) => {}
        Ok(false) => return None,
        Err(reason) => entry.because(reason),
    }
    let spec = id.get("spec")?;
    let trust_domain = data.surroundings.settings.spiffe.trust_domain.as_deref();
    match render(spec.text("spiffeIDTemplate"), data) {
        Ok(text) => match refused(&text, trust_domain) {
            Some(cause) => entry.because(Unrendered::Failed(cause)),
            None => entry.spiffe_id = Some(text),
        },
        Err(reason) => entry.because(reason),
    }
    entry.dns_names = texts(spec, "dnsNameTemplates", data, &mut entry);
    if spec.get("autoPopulateDNSNames").and_then(Node::as_bool) == Some(true) {
        for name in names_of_services(data) {
            if !entry.dns_names.contains(&name) {
                entry.dns_names.push(name);
            }
        }
    }
    entry.selectors = texts(spec, "workloadSelectorTemplates", data, &mut entry);
    // What could not be rendered stands as its template and is not judged.
    let is_selector =
        |text: &String| text.contains("{{") || text.split_once(':').is_some_and(|(sort, value)| !sort.is_empty() && !value.is_empty());
    if let Some(cause) =
        entry.selectors.iter().find(|text| !is_selector(text)).map(|text| format!("`{}` is no workload selector", quoted(text)))
    {
        entry.because(Unrendered::Failed(cause));
    }
    Some(entry)
}

/// The names by which the Services that lead to the pod are found (`dnsNamesFromEndpoints`), in order. Where others may lead to it, that is
/// told in place of theirs.
fn names_of_services(data: PodData<'_>) -> Vec<String> {
    let Surroundings { settings, namespace, beside, .. } = data.surroundings;
    let labels = data.template.node.path(&["metadata", "labels"]);
    let leads = |service: &&Node<'_>| {
        let selector = service.path(&["spec", "selector"]).filter(|selector| !selector.is_empty());
        let external = service.get("spec").is_some_and(|spec| spec.text("type") == "ExternalName");
        let wanted = |selector: Node<'_>| {
            selector.entries().all(|(key, value)| labels.and_then(|labels| labels.get(key)).and_then(Node::as_str) == value.as_str())
        };
        !external && selector.is_some_and(wanted)
    };
    let mut names: Vec<String> = Vec::new();
    for service in beside.services.iter().filter(leads) {
        let name = name_of(*service);
        names.extend([name.to_owned(), format!("{name}.{namespace}"), format!("{name}.{namespace}.svc")]);
        names.extend(settings.cluster.domain.as_ref().map(|domain| format!("{name}.{namespace}.svc.{domain}")));
    }
    names.sort();
    if !beside.all_services {
        names.push("those of every Service that leads to it".to_owned());
    }
    names
}

/// The texts of a list of templates.
fn texts(spec: Node<'_>, field: &str, data: PodData<'_>, entry: &mut RegistrationEntry) -> Vec<String> {
    let mut texts = Vec::new();
    for written in spec.list(field).filter_map(Node::as_str) {
        match render(written, data) {
            Ok(text) if texts.contains(&text) => {}
            Ok(text) => texts.push(text),
            Err(Unrendered::Unknown(_)) => texts.push(written.to_owned()),
            Err(reason) => entry.because(reason),
        }
    }
    texts
}

/// Whether both selectors of a `ClusterSPIFFEID` select the pod; an absent one selects all.
fn selects(id: Node<'_>, data: PodData<'_>) -> Result<bool, Unrendered> {
    let selector = |field: &str| match id.path(&["spec", field]).filter(|selector| !selector.is_null()) {
        None => Ok(LabelSelector::default()),
        Some(selector) => {
            selector.read::<LabelSelector>().map_err(|error| Unrendered::Failed(format!("`{field}` is no label selector: {error}")))
        }
    };
    let (pods, namespaces) = (selector("podSelector")?, selector("namespaceSelector")?);
    if !pods.matches(data.template.node.path(&["metadata", "labels"])) {
        return Ok(false);
    }
    match data.surroundings.namespace_object {
        _ if namespaces.is_empty() => Ok(true),
        Fact::Found(namespace) => Ok(namespaces.matches(namespace.path(&["metadata", "labels"]))),
        Fact::Absent => Ok(namespaces.matches(None)),
        Fact::Unknown(reason) => Err(Unrendered::Unknown(reason.clone())),
    }
}

/// Why SPIRE takes a text for no SPIFFE ID of its trust domain (`spiffeid.FromString` of go-spiffe).
fn refused(text: &str, trust_domain: Option<&str>) -> Option<String> {
    let shown = quoted(text);
    let Some(rest) = text.strip_prefix("spiffe://") else { return Some(format!("renders to `{shown}`, which is no SPIFFE ID")) };
    let (domain, path) = rest.split_once('/').map_or((rest, None), |(domain, path)| (domain, Some(path)));
    if Some(domain) != trust_domain {
        return Some(format!("renders to `{shown}`, which is not in this cluster's trust domain"));
    }
    let wrong = path.is_some_and(|path| !path.split('/').all(is_path_segment));
    wrong.then(|| format!("renders to `{shown}`, whose path has an empty segment or a character that no SPIFFE ID may have"))
}

/// The entry of a `ClusterStaticEntry` that names what Kubernetes attests; `None` if some selector does not hold for the pod, or if none
/// is of Kubernetes: such an entry is for machines.
fn fixed(object: Node<'_>, data: PodData<'_>) -> Option<RegistrationEntry> {
    let spec = object.get("spec")?;
    let selectors = || spec.list("selectors").filter_map(Node::as_str);
    if !selectors().any(|selector| selector.starts_with("k8s:")) {
        return None;
    }
    let mut entry = entry(STATIC, object);
    for selector in selectors() {
        match attested(selector, data) {
            Some(true) => {}
            Some(false) => return None,
            None => entry.because(Unrendered::Unknown(format!("whether `{}` holds shows when it runs", quoted(selector)))),
        }
    }
    let id = spec.text("spiffeID");
    match refused(id, data.surroundings.settings.spiffe.trust_domain.as_deref()) {
        Some(cause) => entry.because(Unrendered::Failed(cause)),
        None => entry.spiffe_id = Some(id.to_owned()),
    }
    entry.dns_names = spec.list("dnsNames").filter_map(Node::as_str).map(str::to_owned).collect();
    entry.selectors = selectors().map(str::to_owned).collect();
    Some(entry)
}

/// Whether SPIRE's `k8s` workload attestor finds a selector at a process of the pod; `None` if that cannot be told.
fn attested(selector: &str, data: PodData<'_>) -> Option<bool> {
    let (name, value) = selector.strip_prefix("k8s:")?.split_once(':')?;
    match name {
        "ns" => Some(value == data.surroundings.namespace),
        "sa" => Some(value == data.template.service_account_name()),
        "pod-name" => data.own("name").map(|name| name == value),
        "pod-uid" => data.own("uid").map(|uid| uid == value),
        "node-name" => data.node_name().map(|node| node == value),
        "container-name" => Some(data.template.containers().any(|(_, _, container)| container.text("name") == value)),
        "pod-label" => {
            let (key, value) = value.split_once(':')?;
            match data.template.label(key) {
                Some(found) => Some(found == value),
                None => data.template.place.is_pod().then_some(false),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use EntryState::{Failed, Granted, Unknown};
    use serde_json::{Value, json};

    use super::*;
    use crate::identity::{Beside, Class};
    use crate::object::{GroupVersionKind, Object};
    use crate::settings::Settings;

    const BOUND: &str = "spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}";
    const EXPECTED: &str = "spiffe://demo.example.com/ns/payments/sa/api";

    #[expect(clippy::needless_pass_by_value, reason = "written once and given away")]
    fn id(name: &str, spec: Value) -> Value {
        let mut id = json!({ "metadata": { "name": name }, "spec": { "spiffeIDTemplate": BOUND } });
        id["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        id
    }

    /// What is issued to the pod `api-0` with label `app: api` in a namespace with label `team: pay`.
    fn issued(settings: &Settings, namespace: &Fact<Value>, ids: &Fact<Vec<Value>>, static_entries: &[Value]) -> Issuance {
        let object = |value: &Value| Object::from_json(value.to_string()).unwrap();
        let pod = object(&json!({
            "metadata": { "name": "api-0", "labels": { "app": "api" } },
            "spec": { "serviceAccountName": "api", "containers": [{ "name": "app" }] },
        }));
        let namespace = namespace.as_ref().map(object);
        let ids = ids.as_ref().map(|ids| ids.iter().map(object).collect::<Vec<_>>());
        let static_entries: Vec<_> = static_entries.iter().map(object).collect();
        let surroundings = Surroundings {
            settings,
            namespace: "payments",
            namespace_object: &namespace.as_ref().map(Object::root),
            service_account: &Fact::Absent,
            token_secrets: &crate::identity::KnownSecrets::default(),
            class: Class::App,
            beside: Beside::default(),
        };
        let template = PodTemplate::of(&GroupVersionKind::new("", "v1", "Pod"), pod.root()).unwrap();
        let ids = ids.as_ref().map(|ids| ids.iter().map(Object::root).collect());
        issuance(template, &surroundings, &ids, &Fact::Found(static_entries.iter().map(Object::root).collect())).unwrap()
    }

    fn namespace() -> Fact<Value> {
        Fact::Found(json!({ "metadata": { "labels": { "team": "pay" } } }))
    }

    fn of_ids(ids: &[Value]) -> Issuance {
        issued(&Settings::demonstration(), &namespace(), &Fact::Found(ids.to_vec()), &[])
    }

    /// Name, state and ID of each entry.
    fn told(issuance: &Issuance) -> Vec<(&str, EntryState, Option<&str>)> {
        issuance.entries.iter().map(|entry| (entry.name.as_str(), entry.state, entry.spiffe_id.as_deref())).collect()
    }

    #[test]
    fn an_entry_is_made_by_each_object_that_selects_the_pod() {
        let other = "spiffe://demo.example.com/app/api";
        let issuance = of_ids(&[
            id(
                "labelled",
                json!({ "podSelector": { "matchLabels": { "app": "api" } }, "spiffeIDTemplate": "spiffe://{{ .TrustDomain }}/app/{{ .PodMeta.Labels.app }}" }),
            ),
            id(
                "bound",
                json!({ "namespaceSelector": { "matchLabels": { "team": "pay" } }, "dnsNameTemplates": ["{{ .PodMeta.Name }}", "{{ .NodeMeta.UID }}"] }),
            ),
            id("of-others", json!({ "podSelector": { "matchLabels": { "app": "web" } } })),
            id(
                "of-other-namespaces",
                json!({ "namespaceSelector": { "matchExpressions": [{ "key": "team", "operator": "DoesNotExist" }] } }),
            ),
            id("last-resort", json!({ "fallback": true })),
        ]);
        assert_eq!(told(&issuance), [("bound", Granted, Some(EXPECTED)), ("labelled", Granted, Some(other))]);
        assert_eq!(issuance.answer, IssuanceAnswer::Other);
        assert_eq!(issuance.entries[0].dns_names, ["api-0", "{{ .NodeMeta.UID }}"]);
    }

    #[test]
    fn a_fallback_is_for_pods_without_another_entry() {
        let failing = id("failing", json!({ "spiffeIDTemplate": "spiffe://{{ .TrustDomain }}/{{ .PodMeta.Labels.none }}" }));
        let open = id("open", json!({ "spiffeIDTemplate": "spiffe://{{ .TrustDomain }}/{{ .NodeMeta.UID }}" }));
        let fallback = id("fallback", json!({ "fallback": true }));
        let issuance = of_ids(&[fallback.clone(), failing]);
        assert_eq!(told(&issuance), [("failing", Failed, None), ("fallback", Granted, Some(EXPECTED))]);
        assert_eq!(issuance.answer, IssuanceAnswer::Expected);
        let issuance = of_ids(&[fallback, open]);
        assert_eq!(told(&issuance), [("open", Unknown, None), ("fallback", Unknown, Some(EXPECTED))]);
        assert_eq!(issuance.entries[1].cause, "it is a fallback, and whether another entry is made is not known");
        assert_eq!(issuance.answer, IssuanceAnswer::Unknown);
    }

    #[test]
    fn what_the_controller_refuses_is_no_entry() {
        for (spec, cause) in [
            (
                json!({ "spiffeIDTemplate": "spiffe://other.example.com/a" }),
                "renders to `spiffe://other.example.com/a`, which is not in this cluster's trust domain",
            ),
            (
                json!({ "spiffeIDTemplate": "spiffe://{{ .TrustDomain }}/{{ index .PodMeta.Labels \"none\" }}" }),
                "renders to `spiffe://demo.example.com/`, whose path has an empty segment or a character that no SPIFFE ID may have",
            ),
            (json!({ "spiffeIDTemplate": "" }), "renders to ``, which is no SPIFFE ID"),
            (json!({ "workloadSelectorTemplates": ["{{ .PodMeta.Name }}"] }), "`api-0` is no workload selector"),
            (json!({ "dnsNameTemplates": ["{{ .PodMeta.Name"] }), "has an action that is not closed"),
        ] {
            let issuance = of_ids(&[id("x", spec.clone())]);
            let [entry] = &issuance.entries[..] else { panic!("one entry of {spec}: {issuance:?}") };
            assert_eq!((entry.state, entry.cause.as_str(), issuance.answer), (Failed, cause, IssuanceAnswer::None), "{spec}");
        }
        let issuance = of_ids(&[id("x", json!({ "podSelector": { "matchExpressions": [{ "key": "a", "operator": "Like" }] } }))]);
        assert_eq!(issuance.entries[0].state, Failed);
        assert!(issuance.entries[0].cause.starts_with("`podSelector` is no label selector"), "{issuance:?}");
    }

    #[test]
    fn classes_and_namespaces_bound_the_controller() {
        let mut settings = Settings::demonstration();
        settings.spiffe.class_name = Some("mine".into());
        let ids = Fact::Found(vec![
            id("classless", json!({})),
            id("mine", json!({ "className": "mine" })),
            id("yours", json!({ "className": "yours" })),
        ]);
        assert_eq!(told(&issued(&settings, &namespace(), &ids, &[])), [("mine", Granted, Some(EXPECTED))]);
        settings.spiffe.watch_classless = true;
        assert_eq!(issued(&settings, &namespace(), &ids, &[]).entries.len(), 2);
        settings.spiffe.ignored_namespaces.push("payments".into());
        let ignored = issued(&settings, &namespace(), &ids, &[]);
        assert_eq!(
            (ignored.answer, ignored.cause.as_str()),
            (IssuanceAnswer::None, "SPIRE Controller Manager ignores namespace `payments`")
        );
    }

    #[test]
    fn what_is_not_at_hand_is_not_known() {
        let settings = Settings::demonstration();
        let missing = issued(&settings, &namespace(), &Fact::Unknown("not read".into()), &[]);
        assert_eq!((missing.answer, missing.cause.as_str()), (IssuanceAnswer::Unknown, "not read"));
        let of_team = Fact::Found(vec![id("team", json!({ "namespaceSelector": { "matchLabels": { "team": "pay" } } }))]);
        let unseen = issued(&settings, &Fact::Unknown("no Namespace".into()), &of_team, &[]);
        assert_eq!((unseen.answer, unseen.entries[0].cause.as_str()), (IssuanceAnswer::Unknown, "no Namespace"));
        let none = issued(&settings, &namespace(), &Fact::Found(Vec::new()), &[]);
        assert_eq!((none.answer, none.cause.as_str()), (IssuanceAnswer::None, "none of 0 ClusterSPIFFEIDs selects it"));
    }

    #[test]
    fn static_entries_count_by_what_kubernetes_attests() {
        let of = |selectors: Value| {
            let entry =
                json!({ "metadata": { "name": "s" }, "spec": { "spiffeID": "spiffe://demo.example.com/db", "selectors": selectors } });
            issued(&Settings::demonstration(), &namespace(), &Fact::Found(Vec::new()), &[entry])
        };
        for (selectors, state) in [
            (json!(["k8s:ns:payments", "k8s:sa:api"]), Some(Granted)),
            (json!(["k8s:pod-label:app:api", "k8s:container-name:app"]), Some(Granted)),
            (json!(["k8s:ns:payments", "k8s:sa:web"]), None),
            (json!(["k8s:pod-label:app:web"]), None),
            (json!(["k8s:container-name:other"]), None),
            (json!(["k8s:ns:payments", "unix:uid:0"]), Some(Unknown)),
            (json!(["k8s:node-name:a"]), Some(Unknown)),
            (json!(["unix:uid:0"]), None),
            (json!([]), None),
        ] {
            assert_eq!(of(selectors.clone()).entries.first().map(|entry| entry.state), state, "{selectors}");
        }
        assert_eq!(of(json!(["k8s:ns:payments"])).answer, IssuanceAnswer::Other);
    }

    /// As SPIRE Controller Manager makes names of the Endpoints that hold the pod.
    #[test]
    fn names_of_services_are_those_that_lead_to_the_pod() {
        let object = |value: Value| Object::from_json(value.to_string()).unwrap();
        let pod = object(json!({
            "metadata": { "name": "api-0", "labels": { "app": "api", "tier": "gold" } },
            "spec": { "serviceAccountName": "api", "nodeName": "n1", "containers": [{ "name": "app" }] },
        }));
        let service = |name: &str, spec: Value| object(json!({ "metadata": { "name": name, "namespace": "payments" }, "spec": spec }));
        let services = [
            service("web", json!({ "selector": { "app": "api" } })),
            service("both", json!({ "selector": { "app": "api", "tier": "gold" } })),
            service("other", json!({ "selector": { "app": "web" } })),
            service("all", json!({})),
            service("outside", json!({ "type": "ExternalName", "selector": { "app": "api" } })),
        ];
        let services: Vec<_> = services.iter().map(Object::root).collect();
        let node =
            object(json!({ "metadata": { "name": "n1", "uid": "u1", "labels": { "zone": "a" } }, "spec": { "providerID": "aws:///i-1" } }));
        let nodes = [node.root()];
        let mut settings = Settings::demonstration();
        settings.cluster.domain = Some("cluster.local".into());
        let id = object(id(
            "x",
            json!({
                "spiffeIDTemplate": "spiffe://{{ .TrustDomain }}/z/{{ .NodeMeta.Labels.zone }}/{{ .NodeMeta.UID }}",
                "dnsNameTemplates": ["web"], "workloadSelectorTemplates": ["a:{{ .NodeSpec.ProviderID }}"], "autoPopulateDNSNames": true,
            }),
        ));
        let issued = |beside: Beside<'_>| {
            let surroundings = Surroundings {
                settings: &settings,
                namespace: "payments",
                namespace_object: &Fact::Absent,
                service_account: &Fact::Absent,
                token_secrets: &crate::identity::KnownSecrets::default(),
                class: Class::App,
                beside,
            };
            let template = PodTemplate::of(&GroupVersionKind::new("", "v1", "Pod"), pod.root()).unwrap();
            let mut issued = issuance(template, &surroundings, &Fact::Found(vec![id.root()]), &Fact::Absent).unwrap();
            issued.entries.remove(0)
        };
        let entry = issued(Beside { services: &services, all_services: true, nodes: &nodes, ..Beside::default() });
        assert_eq!(entry.spiffe_id.as_deref(), Some("spiffe://demo.example.com/z/a/u1"), "{}", entry.cause);
        assert_eq!(entry.selectors, ["a:aws:///i-1"]);
        let names = ["web", "both", "both.payments", "both.payments.svc", "both.payments.svc.cluster.local"];
        assert_eq!(entry.dns_names[..5], names);
        assert_eq!(entry.dns_names[5..], ["web.payments", "web.payments.svc", "web.payments.svc.cluster.local"]);
        let entry = issued(Beside { services: &services, ..Beside::default() });
        assert_eq!(
            (entry.state, entry.dns_names.last().unwrap().as_str()),
            (EntryState::Unknown, "those of every Service that leads to it")
        );
        assert!(entry.cause.starts_with("node `n1` is not at hand"), "{}", entry.cause);
    }
}
