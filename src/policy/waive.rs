//! Who is let off: exemptions of the settings and waivers, each named in the verdict, never widened by union.

use std::sync::Arc;

use super::compiled::IdentityPolicy;
use super::schema::Document;
use super::set::PolicySet;
use super::subject::{Facts, Source, Subject};
use super::waiver_object;
use super::waiver_schema::IdentityWaiverSpec;
use crate::object::{POD_TEMPLATE_KINDS, PodTemplateKind};
use crate::settings::{Exemption, InNamespace, Settings};

/// A waiver that was read and checked.
#[derive(Clone, Debug)]
pub struct Waiver {
    /// Its name.
    pub name: Arc<str>,
    /// Its content.
    pub spec: IdentityWaiverSpec,
    /// When it ends, in seconds since 1970.
    pub expires_at: i64,
    /// The file and the line where it stands; empty for one of the cluster.
    pub place: (String, usize),
}

impl Waiver {
    /// Checks a waiver that was read from a file; giving the file is the approval.
    ///
    /// # Errors
    /// A message that names the field and the remedy.
    pub fn check(document: Document<IdentityWaiverSpec>, max_days: i64, now: i64) -> Result<Self, (&'static str, String)> {
        Self::checked(&document.metadata.name, document.spec, max_days, now)
    }

    /// Checks what a waiver says.
    pub(super) fn checked(name: &str, spec: IdentityWaiverSpec, max_days: i64, now: i64) -> Result<Self, (&'static str, String)> {
        for (field, value) in [("spec.owner", &spec.owner), ("spec.reason", &spec.reason), ("spec.ticket", &spec.ticket)] {
            if value.trim().is_empty() {
                return Err((field, "must not be empty: a waiver names who answers for it, why, and where it was agreed".into()));
            }
        }
        if spec.rules.is_empty() || spec.rules.iter().any(|rule| rule.contains('*')) {
            return Err(("spec.rules", "must list rule ids one by one: a waiver has no wildcard".into()));
        }
        let subject = &spec.subject;
        if subject.object.is_none() && (subject.namespace.is_empty() || subject.service_account.is_none()) {
            let message = "must name a namespace and in it a `serviceAccount` or an `object`; for a cluster-scoped kind an `object` alone";
            return Err(("spec.subject", message.into()));
        }
        if subject.namespace.is_empty() && subject.service_account.is_some() {
            return Err(("spec.subject.serviceAccount", "is in a namespace, which must be named too: write `namespace`".into()));
        }
        let expires_at = spec
            .expires_at
            .parse::<jiff::Timestamp>()
            .map_err(|_| ("spec.expiresAt", "must be a time as in RFC 3339, such as `2026-12-31T00:00:00Z`".to_owned()))?
            .as_second();
        if expires_at > now.saturating_add(max_days.saturating_mul(86_400)) {
            return Err(("spec.expiresAt", format!("lies more than {max_days} days ahead; set it nearer (setting `waiver.maxDays`)")));
        }
        Ok(Self { name: name.into(), spec, expires_at, place: (String::new(), 0) })
    }

    /// Why an `object` cannot be let off these rules: what a controller makes of it has names of its own, is judged by itself, and
    /// would be refused where its maker was let in.
    pub(super) fn beyond<'p>(spec: &IdentityWaiverSpec, rule: impl Fn(&str) -> Option<&'p IdentityPolicy>) -> Option<String> {
        let kind = &spec.subject.object.as_ref()?.kind;
        let made: &[&str] = match kind.as_str() {
            "Deployment" => &["ReplicaSet", "Pod"],
            "CronJob" => &["Job", "Pod"],
            "ReplicaSet" | "StatefulSet" | "DaemonSet" | "ReplicationController" | "Job" => &["Pod"],
            _ => return None,
        };
        let is_made = |known: &&PodTemplateKind| made.contains(&known.kind);
        spec.rules.iter().find_map(|id| {
            let policy = rule(id)?;
            let judged = POD_TEMPLATE_KINDS.iter().filter(is_made).find(|known| policy.rules.iter().any(|rule| rule.matches.is_of(known)))?;
            let made = judged.kind;
            Some(format!(
                "is a {kind}: `{id}` judges each {made} that comes of it too, and would refuse that; name the `serviceAccount` of its pods instead"
            ))
        })
    }

    /// Whether this waiver lifts a rule for a subject now.
    #[must_use]
    pub fn covers(&self, rule: &str, subject: &Subject<'_>, service_account: Option<&str>, now: i64) -> bool {
        let wanted = &self.spec.subject;
        now < self.expires_at
            && wanted.namespace == place(subject)
            && self.spec.rules.iter().any(|listed| listed == rule)
            && wanted.service_account.as_deref().is_none_or(|name| service_account == Some(name))
            && wanted.object.as_ref().is_none_or(|object| object.kind == subject.kind.kind && object.name == subject.name)
    }
}

/// Whether the object is a Namespace itself.
pub(super) fn is_namespace(subject: &Subject<'_>) -> bool {
    subject.kind.group.is_empty() && subject.kind.kind == "Namespace"
}

/// The namespace that an object counts to: a Namespace object counts to itself, every other cluster-scoped one to none.
pub(super) fn place<'a>(subject: &Subject<'a>) -> &'a str {
    if is_namespace(subject) { subject.name } else { subject.namespace }
}

/// The same as selectors see it.
pub(super) fn in_namespace<'a>(subject: &Subject<'a>, facts: &Facts<'a>) -> Option<InNamespace<'a>> {
    let namespace = match place(subject) {
        "" => return None,
        // What the old object says was there when its labels were agreed upon.
        _ if is_namespace(subject) => subject.old_object.or(subject.object),
        _ => facts.namespace.as_ref().found().copied(),
    };
    Some(InNamespace { name: place(subject), labels: namespace.and_then(|namespace| namespace.path(&["metadata", "labels"])) })
}

/// What lifts a rule for a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lifted {
    No,
    /// By an exemption or a waiver, named.
    By(String),
    /// An exemption would, if the Namespace were the one that it names.
    Unknown(String),
}

/// What lifts a rule for a subject: the first exemption, else the first waiver that covers it, of the files before the cluster's.
#[must_use]
pub(super) fn lifted_by(
    rule: &str,
    subject: &Subject<'_>,
    service_account: Option<&str>,
    settings: &Settings,
    waivers: &[Waiver],
    facts: &Facts<'_>,
) -> Lifted {
    let mut unknown = None;
    for entry in settings.exemptions.iter().filter(|entry| entry.covers(rule, place(subject), service_account, subject.name)) {
        let uid = namespace_uid(subject, facts);
        match (&entry.namespace_uid, uid) {
            (Some(wanted), Some(uid)) if wanted != uid => {}
            (Some(wanted), None) => unknown = Some(format!("an exemption holds for the Namespace `{}` of UID `{wanted}`", entry.namespace)),
            _ => {
                return Lifted::By(told(entry));
            }
        }
    }
    let given = waivers.iter().find(|waiver| waiver.covers(rule, subject, service_account, facts.now));
    let waived =
        given.map(|waiver| format!("waiver {}", waiver.name)).or_else(|| waiver_object::lifted_by(rule, subject, service_account, facts));
    match (waived, unknown) {
        (Some(waiver), _) => Lifted::By(waiver),
        // In the cluster one live read was made for the Namespace.
        (None, Some(reason)) if subject.source == Source::Manifests => Lifted::Unknown(reason),
        (None, _) => Lifted::No,
    }
}

/// How an exemption is called.
fn told(entry: &Exemption) -> String {
    match (entry.namespace.as_str(), &entry.name) {
        ("", Some(name)) => format!("exemption of {name}"),
        (namespace, _) => format!("exemption of namespace {namespace}"),
    }
}

/// Why the settings exempt from a rule, by what a violation says lifted it; none where several entries are called so.
#[must_use]
pub fn exemption_reason(set: &PolicySet, rule: &str, by: &str) -> Option<String> {
    let speaks = |entry: &&Exemption| told(entry) == by && entry.rules.iter().any(|listed| listed == "*" || listed == rule);
    let mut entries = set.settings.exemptions.iter().filter(speaks);
    let reason = entries.next()?.reason.clone();
    (entries.next().is_none() && !reason.is_empty()).then_some(reason)
}

/// The UID of the Namespace that an object counts to, if that is known. A Namespace's own author cannot choose it: the API server does.
fn namespace_uid<'a>(subject: &Subject<'a>, facts: &Facts<'a>) -> Option<&'a str> {
    let is_namespace = subject.kind.group.is_empty() && subject.kind.kind == "Namespace";
    let holder = if is_namespace { subject.old_object.or(subject.object) } else { facts.namespace.as_ref().found().copied() };
    holder?.path(&["metadata", "uid"])?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{GroupVersionKind, Object};
    use crate::policy::schema::Metadata;
    use crate::policy::waiver_schema::{WaivedObject, WaiverSubject};
    use crate::policy::{Source, Sources, Text, load, manifest_request};

    fn waiver(namespace: &str, service_account: Option<&str>, object: Option<(&str, &str)>) -> Result<Waiver, (&'static str, String)> {
        let object = object.map(|(kind, name)| WaivedObject { kind: kind.into(), name: name.into() });
        let spec = IdentityWaiverSpec {
            rules: vec!["no-wildcard-rbac".into()],
            subject: WaiverSubject { namespace: namespace.into(), service_account: service_account.map(str::to_owned), object },
            owner: "platform".into(),
            reason: "applies what was reviewed".into(),
            ticket: "OPS-1".into(),
            expires_at: "1970-01-02T00:00:00Z".into(),
        };
        let metadata = Metadata { name: "a-waiver".into(), ..Metadata::default() };
        Waiver::check(Document { api_version: String::new(), kind: String::new(), metadata, spec }, 90, 0)
    }

    fn covers(waiver: &Waiver, api_version: &str, kind: &str, namespace: &str, name: &str) -> bool {
        let object = Object::from_json(format!(
            r#"{{"apiVersion":"{api_version}","kind":"{kind}","metadata":{{"name":"{name}","namespace":"{namespace}"}}}}"#
        ));
        let object = object.unwrap();
        let request = manifest_request(object.root(), &GroupVersionKind::of(object.root()).unwrap(), namespace);
        let subject = Subject::from_request(Source::Manifests, request.root(), Some(object.root()), None).unwrap();
        waiver.covers("no-wildcard-rbac", &subject, None, 0)
    }

    #[test]
    fn a_cluster_scoped_object_is_waived_by_kind_and_name() {
        let rbac = "rbac.authorization.k8s.io/v1";
        let argocd = waiver("", None, Some(("ClusterRole", "argocd"))).unwrap();
        assert!(covers(&argocd, rbac, "ClusterRole", "", "argocd"));
        assert!(!covers(&argocd, rbac, "ClusterRole", "", "other"));
        assert!(!covers(&argocd, rbac, "ClusterRoleBinding", "", "argocd"));
        assert!(!covers(&argocd, rbac, "Role", "argocd", "argocd"));
        let spire = waiver("spire", None, Some(("Namespace", "spire"))).unwrap();
        assert!(covers(&spire, "v1", "Namespace", "", "spire"));
        assert!(!covers(&spire, "v1", "Namespace", "", "other"));
    }

    #[test]
    fn an_object_is_not_let_off_what_judges_what_it_makes() {
        const NATIVE: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: replicas }
spec:
  matchConstraints: { resourceRules: [{ apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments] }] }
  validations: [{ expression: 'object.spec.replicas < 9' }]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: { name: replicas }
spec: { policyName: replicas, validationActions: [Deny] }
";
        let text = |name: &str, text: String| Text { name: name.into(), text };
        let loaded = |rule: &str, subject: &str, end: &str| {
            let waiver = format!(
                "apiVersion: doorward.dev/v1alpha1\nkind: IdentityWaiver\nmetadata: {{ name: w, uid: u, resourceVersion: '7' }}\n\
                 spec:\n  rules: [{rule}]\n  subject: {{ namespace: payments, {subject} }}\n  owner: o\n  reason: r\n  ticket: t\n  \
                 expiresAt: \"1970-02-01T00:00:00Z\"\n{end}"
            );
            let sources =
                Sources { waivers: vec![text("w.yaml", waiver)], policies: vec![text("native.yaml", NATIVE.into())], ..Sources::default() };
            load(&sources).map(|set| set.waivers().len()).map_err(|errors| errors.iter().map(ToString::to_string).collect::<String>())
        };
        let refused = loaded("no-host-namespaces", "object: { kind: Deployment, name: web }", "").unwrap_err();
        assert!(refused.contains("spec.subject.object: is a Deployment: `no-host-namespaces` judges each"), "{refused}");
        assert!(refused.contains("name the `serviceAccount` of its pods instead"), "{refused}");
        assert!(loaded("no-host-namespaces", "object: { kind: Job, name: web }", "").unwrap_err().contains("is a Job"));
        for (rule, subject) in [
            ("no-host-namespaces", "object: { kind: Pod, name: web-0 }"),
            ("no-host-namespaces", "serviceAccount: web"),
            ("no-wildcard-rbac", "object: { kind: Role, name: web }"),
            ("replicas", "object: { kind: Deployment, name: web }"),
        ] {
            assert_eq!(loaded(rule, subject, ""), Ok(1), "{rule} {subject}");
        }
        // As `kubectl get -o yaml` writes it.
        assert_eq!(loaded("replicas", "serviceAccount: web", "status: { approvedBy: chief, renewals: 1 }\n"), Ok(1));
        let unknown = loaded("no-host-namespace", "serviceAccount: web", "").unwrap_err();
        assert!(unknown.contains("w.yaml:5:") && unknown.contains("did you mean `no-host-namespaces`?"), "{unknown}");
    }

    #[test]
    fn settings_name_rules_that_exist() {
        let loaded = |rule: &str| {
            let text = format!(
                "exemptions:\n- rules: [no-host-namespaces, '{rule}']\n  namespace: spire\n\
                 enforcement:\n- rules: ['{rule}']\n  enforcement: Audit\n"
            );
            let settings = Some(Text { name: "doorward.yaml".into(), text });
            load(&Sources { settings, ..Sources::default() }).map(|_| ()).map_err(|errors| errors.iter().map(ToString::to_string).collect())
        };
        assert_eq!(loaded("no-wildcard-rbac"), Ok(()));
        assert_eq!(loaded("*"), Ok(()));
        let refused: Vec<String> = loaded("no-wildcards-rbac").unwrap_err();
        assert_eq!(refused.len(), 2, "{refused:?}");
        for (mistake, path) in refused.iter().zip(["enforcement[0].rules[0]", "exemptions[0].rules[1]"]) {
            assert!(
                mistake.contains(&format!("{path}: there is no rule `no-wildcards-rbac`; did you mean `no-wildcard-rbac`?")),
                "{mistake}"
            );
        }
    }

    #[test]
    fn a_waiver_names_somebody() {
        for nobody in [waiver("", None, None), waiver("", Some("api"), None), waiver("payments", None, None)] {
            let (field, message) = nobody.unwrap_err();
            assert_eq!(field, "spec.subject");
            assert!(message.contains("for a cluster-scoped kind an `object` alone"), "{message}");
        }
        assert!(waiver("payments", Some("api"), None).is_ok());
    }
}
