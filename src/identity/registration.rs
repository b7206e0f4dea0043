//! What a registration object of SPIRE Controller Manager lets SPIRE issue, and to whom: whether its SPIFFE ID is bound to the namespace
//! and the ServiceAccount of the workload that gets it.
//!
//! The controller itself checks the trust domain of a rendered ID only (`pkg/spireentry` of spire-controller-manager), and nothing of a
//! static entry, so whoever may write such an object may give any identity to any pod. An ID is believed when it is understood whole.

mod entries;
mod render;
mod template;

use serde::Serialize;

pub use self::entries::{EntryState, Issuance, IssuanceAnswer, RegistrationEntry, issuance};
use self::template::{Part, parts, segments};
use crate::object::{Node, quoted};
use crate::settings::Settings;

/// A `ClusterSPIFFEID` or `ClusterStaticEntry` read as an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration<'a> {
    /// The SPIFFE ID, or the template that makes it, as written.
    pub spiffe_id: &'a str,
    /// What keeps it from being bound to one namespace and ServiceAccount.
    pub findings: Vec<RegistrationFinding>,
}

/// One reason why a registration is not bound to its workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistrationFinding {
    /// What sort of reason.
    pub problem: RegistrationProblem,
    /// Why, in the field's words.
    pub cause: String,
    /// The field.
    pub field_path: &'static str,
}

/// The sorts of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RegistrationProblem {
    /// It is no SPIFFE ID, or no template that Go reads.
    Unreadable,
    /// Its trust domain is not the cluster's.
    ForeignTrustDomain,
    /// Something else than a plain field of the data makes its path.
    Computed,
    /// A field makes its path that a tenant writes: labels, annotations, names.
    ForeignField,
    /// The namespace or the ServiceAccount of the workload is no segment of its path.
    Unbound,
    /// A fixed text stands where the namespace or the ServiceAccount of a workload stands.
    Literal,
    /// The selectors of a static entry do not hold the workload that its ID names.
    Selectors,
}

const NAMESPACE: &str = "PodMeta.Namespace";
const SERVICE_ACCOUNT: &str = "PodSpec.ServiceAccountName";

/// Fields of the template's data that no tenant writes and that are the same for every pod.
const CLUSTER_FIELDS: [&str; 3] = ["TrustDomain", "ClusterName", "ClusterDomain"];

const TEMPLATE: &str = "spec.spiffeIDTemplate";
const STATIC_ID: &str = "spec.spiffeID";
const SELECTORS: &str = "spec.selectors";

struct Findings(Vec<RegistrationFinding>);

impl Findings {
    fn add(&mut self, problem: RegistrationProblem, field_path: &'static str, cause: impl Into<String>) {
        self.0.push(RegistrationFinding { problem, cause: cause.into(), field_path });
    }
}

/// Reads a `ClusterSPIFFEID`.
pub(super) fn templated<'a>(object: Node<'a>, settings: &Settings) -> Registration<'a> {
    let text = object.path(&["spec", "spiffeIDTemplate"]).and_then(Node::as_str).unwrap_or_default();
    let mut findings = Findings(Vec::new());
    read_template(text, settings, &mut findings);
    Registration { spiffe_id: text, findings: findings.0 }
}

fn read_template(text: &str, settings: &Settings, findings: &mut Findings) {
    use RegistrationProblem::{Computed, ForeignField, ForeignTrustDomain, Literal, Unbound, Unreadable};
    let Some(id) = text.strip_prefix("spiffe://") else {
        return findings.add(Unreadable, TEMPLATE, "does not begin with `spiffe://`");
    };
    let Some(pieces) = parts(id) else {
        return findings.add(Unreadable, TEMPLATE, "has an action that is not closed");
    };
    let mut actions = pieces.iter().filter_map(|part| if let Part::Action(action) = part { Some(*action) } else { None });
    if let Some(action) = actions.next() {
        let action = quoted(action.trim());
        return findings.add(Computed, TEMPLATE, format!("holds `{{{{ {action} }}}}`, which is more than a field of the workload"));
    }
    let segments = segments(&pieces);
    let Some((authority, path)) = segments.split_first() else { return };
    match authority.as_slice() {
        [Part::Field("TrustDomain")] => {}
        [Part::Text(domain)] if Some(*domain) == settings.spiffe.trust_domain.as_deref() => {}
        _ => {
            let end = id.find('/').unwrap_or(id.len());
            let domain = quoted(id.get(..end).unwrap_or_default());
            findings.add(ForeignTrustDomain, TEMPLATE, format!("is in the trust domain `{domain}`, which is not this cluster's"));
        }
    }
    let known = |field: &str| field == NAMESPACE || field == SERVICE_ACCOUNT || CLUSTER_FIELDS.contains(&field);
    for part in path.iter().flatten() {
        if let Part::Field(field) = part
            && !known(field)
        {
            let cause = format!("is built from `.{}`, which the author of a pod or of a node chooses", quoted(field));
            findings.add(ForeignField, TEMPLATE, cause);
        }
    }
    for (word, field) in [("ns", NAMESPACE), ("sa", SERVICE_ACCOUNT)] {
        if !path.iter().any(|segment| matches!(segment.as_slice(), [Part::Field(found)] if *found == field)) {
            findings.add(Unbound, TEMPLATE, format!("has no segment that is `{{{{ .{field} }}}}` alone, so workloads share an ID"));
        }
        let followers = path.windows(2).filter_map(|pair| match pair {
            [before, after] if before.as_slice() == [Part::Text(word)] => Some(after.as_slice()),
            _ => None,
        });
        for follower in followers {
            if !matches!(follower, [Part::Field(found)] if *found == field) {
                findings.add(Literal, TEMPLATE, format!("has something else than `{{{{ .{field} }}}}` after `/{word}/`"));
            }
        }
    }
}

/// Reads a `ClusterStaticEntry`.
pub(super) fn fixed<'a>(object: Node<'a>, settings: &Settings) -> Registration<'a> {
    let text = object.path(&["spec", "spiffeID"]).and_then(Node::as_str).unwrap_or_default();
    let mut findings = Findings(Vec::new());
    read_fixed(text, object, settings, &mut findings);
    Registration { spiffe_id: text, findings: findings.0 }
}

fn read_fixed(text: &str, object: Node<'_>, settings: &Settings, findings: &mut Findings) {
    use RegistrationProblem::{ForeignTrustDomain, Selectors, Unreadable};
    let (domain, path) = match text.strip_prefix("spiffe://").and_then(|id| id.split_once('/')) {
        Some((domain, path)) if !domain.is_empty() && path.split('/').all(is_path_segment) => (domain, path),
        _ => return findings.add(Unreadable, STATIC_ID, "is no SPIFFE ID with a path"),
    };
    if Some(domain) != settings.spiffe.trust_domain.as_deref() {
        findings.add(ForeignTrustDomain, STATIC_ID, format!("is in the trust domain `{}`, which is not this cluster's", quoted(domain)));
    }
    let listed = |prefix: &String| {
        let prefix = prefix.trim_matches('/');
        !prefix.is_empty() && path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if settings.spiffe.static_path_prefixes.iter().any(listed) {
        return;
    }
    let spec = object.get("spec");
    let selectors = || spec.into_iter().flat_map(|spec| spec.list("selectors")).filter_map(Node::as_str);
    let of_pods = selectors().any(|selector| selector.starts_with("k8s:"));
    let words: Vec<&str> = path.split('/').collect();
    for (word, what) in [("ns", "namespace"), ("sa", "ServiceAccount")] {
        let prefix = format!("k8s:{word}:");
        let mut named =
            words.windows(2).filter_map(|pair| if let [before, after] = pair { (*before == word).then_some(*after) } else { None });
        let held = |name: &str| selectors().any(|selector| selector.strip_prefix(prefix.as_str()) == Some(name));
        if let Some(name) = named.find(|name| !held(name)) {
            let cause = format!("do not hold `{prefix}{}`, the {what} that the ID names", quoted(name));
            findings.add(Selectors, SELECTORS, cause);
        } else if of_pods && !selectors().any(|selector| selector.strip_prefix(prefix.as_str()).is_some_and(|name| !name.is_empty())) {
            findings.add(Selectors, SELECTORS, format!("hold no `{prefix}`, so pods of every {what} may get the ID"));
        }
    }
}

/// A segment of a SPIFFE ID's path (the SPIFFE ID specification, section 2.2).
fn is_path_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..") && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// Whether this cluster's SPIRE Controller Manager acts on an object: one of its class, and one without a class only if it is told to.
fn acts_on(object: Node<'_>, settings: &Settings) -> bool {
    let class = object.path(&["spec", "className"]).and_then(Node::as_str).unwrap_or_default();
    let own = settings.spiffe.class_name.as_deref();
    own.is_none_or(|own| own == class || (settings.spiffe.watch_classless && class.is_empty()))
}

#[cfg(test)]
mod tests {
    use RegistrationProblem::*;
    use serde_json::json;

    use super::*;
    use crate::object::Object;

    fn settings() -> Settings {
        let mut settings = Settings::demonstration();
        settings.spiffe.static_path_prefixes = vec!["/machines/".into()];
        settings
    }

    fn problems(registration: &Registration<'_>) -> Vec<RegistrationProblem> {
        registration.findings.iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn a_template_is_bound_by_both_fields_alone() {
        const BOUND: &str = "/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}";
        for (template, expected) in [
            (format!("spiffe://{{{{ .TrustDomain }}}}{BOUND}"), vec![]),
            (format!("spiffe://demo.example.com{BOUND}"), vec![]),
            (format!("spiffe://{{{{.TrustDomain}}}}/cluster/{{{{ .ClusterName }}}}{BOUND}"), vec![]),
            (format!("spiffe://other.example.com{BOUND}"), vec![ForeignTrustDomain]),
            (format!("spiffe://demo.example.com.evil.org{BOUND}"), vec![ForeignTrustDomain]),
            (format!("spiffe://x{{{{ .TrustDomain }}}}{BOUND}"), vec![ForeignTrustDomain]),
            (format!("SPIFFE://{{{{ .TrustDomain }}}}{BOUND}"), vec![Unreadable]),
            (String::new(), vec![Unreadable]),
            ("spiffe://{{ .TrustDomain".into(), vec![Unreadable]),
            (format!("spiffe://{{{{ .TrustDomain }}}}{BOUND}/{{{{ .PodMeta.Name }}}}"), vec![ForeignField]),
            (format!("spiffe://{{{{ .TrustDomain }}}}{BOUND}/{{{{ index .PodMeta.Labels \"x\" }}}}"), vec![Computed]),
            (format!("spiffe://{{{{ .TrustDomain }}}}{{{{ if true }}}}{BOUND}{{{{ end }}}}"), vec![Computed]),
            ("spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}".into(), vec![Unbound]),
            ("spiffe://{{ .TrustDomain }}/ns/payments/sa/{{ .PodSpec.ServiceAccountName }}".into(), vec![Unbound, Literal]),
            ("spiffe://{{ .TrustDomain }}/w/{{ .PodMeta.Namespace }}-{{ .PodSpec.ServiceAccountName }}".into(), vec![Unbound, Unbound]),
            (format!("spiffe://{{{{ .TrustDomain }}}}/ns/victim{BOUND}"), vec![Literal]),
            ("spiffe://{{ .TrustDomain }}".into(), vec![Unbound, Unbound]),
        ] {
            let object = Object::from_json(json!({ "spec": { "spiffeIDTemplate": template } }).to_string()).unwrap();
            let registration = templated(object.root(), &settings());
            assert_eq!(problems(&registration), expected, "{template}: {registration:?}");
            assert!(registration.findings.iter().all(|finding| finding.field_path == TEMPLATE));
        }
    }

    #[test]
    fn a_static_entry_is_bound_by_its_selectors() {
        let pod = "spiffe://demo.example.com/ns/a/sa/b";
        for (id, selectors, expected) in [
            (pod, json!(["k8s:ns:a", "k8s:sa:b"]), vec![]),
            (pod, json!(["k8s:ns:a", "k8s:sa:c"]), vec![Selectors]),
            (pod, json!(["k8s:ns:a"]), vec![Selectors]),
            (pod, json!(["unix:uid:0"]), vec![Selectors, Selectors]),
            (pod, json!(null), vec![Selectors, Selectors]),
            ("spiffe://demo.example.com/db", json!(["k8s:pod-label:a:b"]), vec![Selectors, Selectors]),
            ("spiffe://demo.example.com/db", json!(["k8s:ns:a", "k8s:sa:"]), vec![Selectors]),
            ("spiffe://demo.example.com/db", json!(["unix:uid:0"]), vec![]),
            ("spiffe://demo.example.com/machines/ns/a", json!(["unix:uid:0"]), vec![]),
            ("spiffe://demo.example.com/machinesns/ns/a", json!([]), vec![Selectors]),
            ("spiffe://other.example.com/db", json!(["unix:uid:0"]), vec![ForeignTrustDomain]),
            ("spiffe://demo.example.com/ns/{{ x }}", json!([]), vec![Unreadable]),
            ("spiffe://demo.example.com/a//b", json!([]), vec![Unreadable]),
            ("https://demo.example.com/a", json!([]), vec![Unreadable]),
        ] {
            let object = Object::from_json(json!({ "spec": { "spiffeID": id, "selectors": selectors } }).to_string()).unwrap();
            let registration = fixed(object.root(), &settings());
            assert_eq!(problems(&registration), expected, "{id} {selectors}: {registration:?}");
        }
    }
}
