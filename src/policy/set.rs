//! The policies in force: compiled, immutable, swapped whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compiled::{IdentityPolicy, InjectionPolicy};
use super::matches::Matches;
use super::native::ParameterQuery;
use super::subject::Subject;
use super::waive::Waiver;
use crate::object::{Object, ShapeError, hex_digest, nearest_name};
use crate::settings::Settings;

/// Where a policy comes from; a later source replaces a policy of the same name whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicySource {
    /// Compiled in.
    BuiltIn,
    /// A file.
    File(String),
}

impl PolicySource {
    /// The metric label: never a path.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::File(_) => "file",
        }
    }
}

impl std::fmt::Display for PolicySource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn => formatter.write_str("built-in"),
            Self::File(name) => formatter.write_str(name),
        }
    }
}

fn nearest<'k>(known: impl Iterator<Item = &'k Arc<str>>, id: &str) -> String {
    nearest_name(known.map(|known| &**known), id).map(|known| format!("; did you mean `{known}`?")).unwrap_or_default()
}

/// Everything that judges: policies, injections, waivers, settings.
#[derive(Debug)]
pub struct PolicySet {
    pub(super) policies: Vec<IdentityPolicy>,
    /// What their rules match.
    pub(super) matches: Matches,
    pub(super) injections: Vec<InjectionPolicy>,
    sources: BTreeMap<Arc<str>, PolicySource>,
    pub(super) waivers: Vec<Waiver>,
    pub(super) settings: Settings,
    pub(super) params: Object,
    /// Objects of the policies' files that native policies take as parameters.
    beside: Vec<Arc<Object>>,
    /// Digest of everything above: two sets with the same revision judge alike.
    pub(super) revision: String,
}

/// What a [`PolicySet`] is made of.
#[derive(Debug, Default)]
pub struct PolicySetBuilder {
    policies: BTreeMap<Arc<str>, (IdentityPolicy, PolicySource)>,
    injections: BTreeMap<Arc<str>, (InjectionPolicy, PolicySource)>,
    waivers: Vec<Waiver>,
    digests: BTreeMap<Arc<str>, String>,
    beside: Vec<Arc<Object>>,
}

impl PolicySetBuilder {
    /// Adds a policy, or replaces the one of the same name.
    pub fn policy(&mut self, policy: IdentityPolicy, source: PolicySource, digest: String) {
        self.digests.insert(policy.id.clone(), digest);
        self.policies.insert(policy.id.clone(), (policy, source));
    }

    /// Adds an injection policy, or replaces the one of the same name.
    pub fn injection(&mut self, policy: InjectionPolicy, source: PolicySource, digest: String) {
        self.digests.insert(policy.id.clone(), digest);
        self.injections.insert(policy.id.clone(), (policy, source));
    }

    /// Adds an object that native policies may take as a parameter.
    pub fn beside(&mut self, object: Object) {
        self.beside.push(Arc::new(object));
    }

    /// The kind of the rule of this id.
    #[must_use]
    pub fn kind(&self, id: &str) -> Option<&'static str> {
        self.policies.get(id).map(|(policy, _)| policy.kind())
    }

    /// Adds a waiver.
    pub fn waiver(&mut self, waiver: Waiver) {
        self.waivers.push(waiver);
    }

    /// Whether there is a rule of this id.
    #[must_use]
    pub fn has_rule(&self, id: &str) -> bool {
        self.policies.contains_key(id)
    }

    /// The rule of this id.
    pub(super) fn rule(&self, id: &str) -> Option<&IdentityPolicy> {
        self.policies.get(id).map(|(policy, _)| policy)
    }

    /// `; did you mean ...?` with the rule whose id is nearest, if one is near.
    #[must_use]
    pub fn nearest_rule(&self, id: &str) -> String {
        nearest(self.policies.keys(), id)
    }

    /// The finished set.
    ///
    /// # Errors
    /// [`ShapeError`] if the settings cannot be shown to rules.
    pub fn build(self, settings: Settings) -> Result<PolicySet, ShapeError> {
        let params = Object::from_serialize(&settings)
            .map_err(|error| ShapeError { path: crate::object::FieldPath::root(), message: error.to_string() })?;
        let mut parts = String::new();
        params.root().write_json(&mut parts, true);
        for (name, digest) in &self.digests {
            parts.push_str(&format!("\n{name} {digest}"));
        }
        for object in &self.beside {
            parts.push_str(&format!("\nbeside {}", object.root().digest()));
        }
        for waiver in &self.waivers {
            parts.push_str(&format!("\nwaiver {} {}", waiver.name, waiver.expires_at));
        }
        let mut sources = BTreeMap::new();
        for (name, (_, source)) in &self.policies {
            sources.insert(name.clone(), source.clone());
        }
        for (name, (_, source)) in &self.injections {
            sources.insert(name.clone(), source.clone());
        }
        let revision = hex_digest(parts.as_bytes()).chars().take(12).collect();
        let mut matches = Matches::default();
        let settled = |(mut policy, _): (IdentityPolicy, PolicySource)| {
            policy.settle(params.root());
            for rule in &mut policy.rules {
                rule.match_number = matches.number(&rule.matches);
            }
            policy
        };
        let settled_injection = |(mut policy, _): (InjectionPolicy, PolicySource)| {
            policy.settle(params.root());
            policy
        };
        let policies = self.policies.into_values().map(settled).collect();
        Ok(PolicySet {
            policies,
            matches: matches.indexed(),
            injections: self.injections.into_values().map(settled_injection).collect(),
            sources,
            waivers: self.waivers,
            settings,
            params,
            beside: self.beside,
            revision,
        })
    }
}

impl PolicySet {
    /// The rules, in order of their ids.
    #[must_use]
    pub fn policies(&self) -> &[IdentityPolicy] {
        &self.policies
    }

    /// The injection policies, in order of their names.
    #[must_use]
    pub fn injections(&self) -> &[InjectionPolicy] {
        &self.injections
    }

    /// Which parameters judging a subject takes.
    #[must_use]
    pub fn parameters(&self, subject: &Subject<'_>) -> Vec<ParameterQuery> {
        let mut queries: Vec<ParameterQuery> = Vec::new();
        for rule in self.policies.iter().flat_map(|policy| &policy.rules) {
            let asked = rule.bindings.iter().filter_map(|binding| binding.parameters.as_ref());
            for parameters in asked.filter(|_| rule.matches.selects_resource(subject)) {
                let query = parameters.query(subject);
                if !queries.contains(&query) {
                    queries.push(query);
                }
            }
        }
        queries
    }

    /// The objects of the policies' files that native policies take as parameters.
    pub fn beside(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.beside.iter()
    }

    /// One rule.
    #[must_use]
    pub fn policy(&self, id: &str) -> Option<&IdentityPolicy> {
        self.policies.binary_search_by(|policy| (*policy.id).cmp(id)).ok().and_then(|index| self.policies.get(index))
    }

    /// `; did you mean ...?` with the rule or injection whose id is nearest, if one is near.
    #[must_use]
    pub fn nearest(&self, id: &str) -> String {
        nearest(self.sources.keys(), id)
    }

    /// Whether a rule of this id is in force.
    #[must_use]
    pub fn has_rule(&self, id: &str) -> bool {
        self.policy(id).is_some()
    }

    /// Where a policy comes from.
    #[must_use]
    pub fn source(&self, id: &str) -> Option<&PolicySource> {
        self.sources.get(id)
    }

    /// The waivers.
    #[must_use]
    pub fn waivers(&self) -> &[Waiver] {
        &self.waivers
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Twelve hexadecimal digits that change when anything changes that can change a verdict.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }
}
