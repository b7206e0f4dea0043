//! Who is let off: exemptions of the settings and waivers, each named in the verdict, never widened by union.

use std::sync::Arc;

use super::schema::{Document, IdentityWaiverSpec};
use super::subject::{Facts, Source, Subject};
use super::waiver_object;
use crate::settings::Settings;

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

/// The namespace that an object counts to: a Namespace object counts to itself, every other cluster-scoped one to none.
fn place<'a>(subject: &Subject<'a>) -> &'a str {
    let is_namespace = subject.kind.group.is_empty() && subject.kind.kind == "Namespace";
    if is_namespace { subject.name } else { subject.namespace }
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
                return Lifted::By(match (entry.namespace.as_str(), &entry.name) {
                    ("", Some(name)) => format!("exemption of {name}"),
                    (namespace, _) => format!("exemption of namespace {namespace}"),
                });
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
    use crate::policy::schema::{Metadata, WaivedObject, WaiverSubject};
    use crate::policy::{Source, manifest_request};

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
    fn a_waiver_names_somebody() {
        for nobody in [waiver("", None, None), waiver("", Some("api"), None), waiver("payments", None, None)] {
            let (field, message) = nobody.unwrap_err();
            assert_eq!(field, "spec.subject");
            assert!(message.contains("for a cluster-scoped kind an `object` alone"), "{message}");
        }
        assert!(waiver("payments", Some("api"), None).is_ok());
    }
}
