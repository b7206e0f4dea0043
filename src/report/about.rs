//! One rule explained: what it asks of whom, where it comes from, and the reasons that its folder gives.

use serde::Serialize;

use super::columns::columns;
use crate::object::escaped;
use crate::policy::{Carrier, Match, PolicySet, PolicySource, README};

/// What there is to know of a rule or an injection.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// Its id.
    pub id: String,
    /// `IdentityPolicy` or `InjectionPolicy`.
    pub kind: &'static str,
    /// What holds, in one line.
    pub title: String,
    /// Such as `INV-2`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub invariants: Vec<String>,
    /// How bad a violation is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<&'static str>,
    /// The ceiling of what a violation does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<&'static str>,
    /// Where it comes from.
    pub source: String,
    /// The resources that it speaks about.
    pub resources: Vec<String>,
    /// The resources that it reads beside them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<String>,
    /// Its README: why, what is violated, the remedy, legitimate exceptions, how to roll it out. Empty for a policy from a file.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub readme: &'static str,
}

impl About {
    /// The rule or injection of an id, if it is in force.
    #[must_use]
    pub fn of(set: &PolicySet, id: &str) -> Option<Self> {
        let source = set.source(id)?;
        let readme = match source {
            PolicySource::BuiltIn => README.iter().find(|(name, _)| *name == id).map_or("", |(_, text)| *text),
            PolicySource::File(_) => "",
        };
        let common = |kind, title: &str, resources| Self {
            id: id.to_owned(),
            kind,
            title: title.to_owned(),
            invariants: Vec::new(),
            severity: None,
            enforcement: None,
            source: source.to_string(),
            resources,
            related: Vec::new(),
            readme,
        };
        if let Some(policy) = set.policy(id) {
            let related = policy.related().map(|related| resource(&related.group, &related.resource)).collect();
            return Some(Self {
                invariants: policy.invariants.to_vec(),
                severity: Some(policy.severity.word()),
                enforcement: Some(policy.enforcement.word()),
                related,
                ..common("IdentityPolicy", &policy.title, resources(policy.matches()))
            });
        }
        let policy = set.injections().iter().find(|policy| &*policy.id == id)?;
        Some(common("InjectionPolicy", &policy.title, resources(std::iter::once(&policy.matches))))
    }

    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let row = |name: &str, value: &str| [name.to_owned(), escaped(value)];
        let rows = [
            row("title", &self.title),
            row("serves", &self.invariants.join(", ")),
            row("severity", self.severity.unwrap_or_default()),
            row("enforcement", self.enforcement.map(|word| format!("{word}, unless the settings lower it")).as_deref().unwrap_or_default()),
            row("judges", &self.resources.join(", ")),
            row("reads", &self.related.join(", ")),
            row("from", &self.source),
        ];
        let rows: Vec<_> = rows.into_iter().filter(|[_, value]| !value.is_empty()).collect();
        let body = self.readme.split_once('\n').map_or("", |(_, body)| body);
        format!("{} {}\n\n{}{body}", self.kind, self.id, columns(&rows))
    }
}

fn resources<'m>(matches: impl Iterator<Item = &'m Match>) -> Vec<String> {
    let mut all: Vec<String> = matches
        .flat_map(|one| {
            let carriers = one.pod_template.map(|carrier| match carrier {
                Carrier::Any => "every kind with a pod template".to_owned(),
                Carrier::Pod => "pods".to_owned(),
                Carrier::Workload => "every workload with a pod template".to_owned(),
            });
            let named = one
                .resource_rules
                .iter()
                .flat_map(|rule| rule.resources.iter().flat_map(|plural| rule.api_groups.iter().map(|group| resource(group, plural))));
            carriers.into_iter().chain(named).collect::<Vec<_>>()
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

/// `deployments.apps`, as `kubectl` names it.
fn resource(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}
