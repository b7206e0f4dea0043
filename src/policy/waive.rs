//! Who is let off: exemptions of the settings and waivers, each named in the verdict, never widened by union.

use std::sync::Arc;

use super::schema::{Document, IdentityWaiverSpec};
use super::subject::Subject;
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
}

impl Waiver {
    /// Checks a waiver that was read from a file; giving the file is the approval.
    ///
    /// # Errors
    /// A message that names the field and the remedy.
    pub fn check(document: Document<IdentityWaiverSpec>, max_days: i64, now: i64) -> Result<Self, (&'static str, String)> {
        let spec = document.spec;
        for (field, value) in [("spec.owner", &spec.owner), ("spec.reason", &spec.reason), ("spec.ticket", &spec.ticket)] {
            if value.trim().is_empty() {
                return Err((field, "must not be empty: a waiver names who answers for it, why, and where it was agreed".into()));
            }
        }
        if spec.rules.is_empty() || spec.rules.iter().any(|rule| rule.contains('*')) {
            return Err(("spec.rules", "must list rule ids one by one: a waiver has no wildcard".into()));
        }
        if spec.subject.namespace.is_empty() || (spec.subject.service_account.is_none() && spec.subject.object.is_none()) {
            return Err(("spec.subject", "must name a namespace and in it a `serviceAccount` or an `object`".into()));
        }
        let expires_at = spec
            .expires_at
            .parse::<jiff::Timestamp>()
            .map_err(|_| ("spec.expiresAt", "must be a time as in RFC 3339, such as `2026-12-31T00:00:00Z`".to_owned()))?
            .as_second();
        if expires_at > now + max_days * 86_400 {
            return Err(("spec.expiresAt", format!("lies more than {max_days} days ahead; set it nearer (setting `waiver.maxDays`)")));
        }
        Ok(Self { name: document.metadata.name.into(), spec, expires_at })
    }

    /// Whether this waiver lifts a rule for a subject now.
    #[must_use]
    pub fn covers(&self, rule: &str, subject: &Subject<'_>, service_account: Option<&str>, now: i64) -> bool {
        let wanted = &self.spec.subject;
        now < self.expires_at
            && wanted.namespace == subject.namespace
            && self.spec.rules.iter().any(|listed| listed == rule)
            && wanted.service_account.as_deref().is_none_or(|name| service_account == Some(name))
            && wanted.object.as_ref().is_none_or(|object| object.kind == subject.kind.kind && object.name == subject.name)
    }
}

/// What lifts a rule for a subject: the first exemption, else the first waiver that covers it.
#[must_use]
pub(super) fn lifted_by(
    rule: &str,
    subject: &Subject<'_>,
    service_account: Option<&str>,
    settings: &Settings,
    waivers: &[Waiver],
    now: i64,
) -> Option<String> {
    let exemption = settings.exemptions.iter().find(|entry| entry.covers(rule, subject.namespace, service_account, subject.name));
    if let Some(exemption) = exemption {
        return Some(match (exemption.namespace.as_str(), &exemption.name) {
            ("", Some(name)) => format!("exemption of {name}"),
            (namespace, _) => format!("exemption of namespace {namespace}"),
        });
    }
    waivers.iter().find(|waiver| waiver.covers(rule, subject, service_account, now)).map(|waiver| format!("waiver {}", waiver.name))
}
