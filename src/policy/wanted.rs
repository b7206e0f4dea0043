//! Which objects judging a subject will read beside it, told before: who has them fetches what is needed and nothing else.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::compiled::{CompiledRule, IdentityPolicy, slot};
use super::evaluate::CONDITIONS_LIMIT;
use super::schema::RelatedResource;
use super::select::Selected;
use super::set::PolicySet;
use super::stage::{Activation, Stage};
use super::subject::{Deadline, Facts, Subject};
use super::waiver_object::waivers_resource;
use crate::cel::{Budget, Expression};
use crate::identity::agent_config_maps;

/// The resource of the `ConfigMaps` that agents read their configuration from. There are many and large ones: they are never watched for
/// that, but asked for by name.
#[must_use]
pub fn config_maps_resource() -> &'static RelatedResource {
    static RESOURCE: LazyLock<RelatedResource> = LazyLock::new(|| RelatedResource { group: String::new(), resource: "configmaps".into() });
    &RESOURCE
}

/// The resource of the CSI drivers, which may ask for a pod's tokens.
pub(super) fn csi_drivers_resource() -> &'static RelatedResource {
    static RESOURCE: LazyLock<RelatedResource> =
        LazyLock::new(|| RelatedResource { group: "storage.k8s.io".into(), resource: "csidrivers".into() });
    &RESOURCE
}

impl PolicySet {
    /// Every resource that some rule reads beside its object, and the waivers.
    #[must_use]
    pub fn related(&self) -> BTreeSet<RelatedResource> {
        self.policies.iter().flat_map(IdentityPolicy::related).cloned().chain([waivers_resource()]).collect()
    }
}

/// The related resources that the rules on a subject read, each with the names that they ask for, and the waivers. A name that cannot be made yet, because
/// it hangs on an injection or on something unknown, is left out: then what a watch knows must do.
#[must_use]
pub fn wanted(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>) -> BTreeMap<RelatedResource, BTreeSet<String>> {
    let mut wanted = BTreeMap::from([(waivers_resource(), BTreeSet::new())]);
    let identity = OnceCell::new();
    let stage = Stage::new(set, subject, facts, subject.template(), &identity, &[]);
    let rules = set.policies.iter().flat_map(|policy| &policy.rules).filter(|rule| !rule.related.is_empty() && !rule.dormant);
    for rule in rules.filter(|rule| stage.selected(rule) != Selected::No) {
        for related in &rule.related {
            let names = wanted.entry(related.resource.clone()).or_default();
            if let Some(expression) = &related.name {
                names.extend(name(rule, expression, &stage, facts.deadline));
            }
        }
    }
    let maps = subject.template().map(|pod| agent_config_maps(pod, &set.settings, subject.namespace)).unwrap_or_default();
    if !maps.is_empty() {
        wanted.entry(config_maps_resource().clone()).or_default().extend(maps.into_iter().map(str::to_owned));
    }
    wanted
}

/// The name that a rule asks for, if its conditions hold.
fn name<'a>(rule: &'a CompiledRule, expression: &'a Expression, stage: &Stage<'a>, deadline: Deadline<'_>) -> Option<String> {
    let activation = Activation::new(stage, &rule.variables, &[], slot::FIRST_OWN);
    let budget = Budget::new(CONDITIONS_LIMIT).with_deadline(deadline.0);
    let holds = |condition: &'a Expression| condition.evaluate(&activation, &budget).is_ok_and(|value| value.as_bool() == Some(true));
    if !rule.conditions.iter().all(|(_, condition)| holds(condition)) {
        return None;
    }
    let name = expression.evaluate(&activation, &budget).ok()?;
    name.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::load::{Sources, Text, load};
    use super::super::subject::{Source, manifest_request};
    use super::*;
    use crate::object::{GroupVersionKind, Object};

    const POLICY: &str = "
apiVersion: doorward.dev/v1alpha1
kind: IdentityPolicy
metadata: { name: reads-others }
spec:
  title: x
  severity: low
  enforcement: Deny
  rules:
  - match: { podTemplate: Pod }
    related: [{ name: all, resource: { group: example.com, resource: things } }]
    validations: [{ expression: 'true', message: m }]
  - match: { podTemplate: Pod }
    matchConditions: [{ name: named, expression: 'has(object.metadata.annotations.thing)' }]
    variables: [{ name: prefix, expression: \"'a-'\" }]
    related: [{ name: one, resource: { resource: configmaps }, nameExpression: variables.prefix + object.metadata.annotations.thing }]
    validations: [{ expression: 'true', message: m }]
  - match: { podTemplate: Workload }
    related: [{ name: all, resource: { group: example.com, resource: others } }]
    validations: [{ expression: 'true', message: m }]
";

    #[test]
    fn what_is_wanted_is_what_the_rules_on_the_subject_read() {
        let policies = vec![Text { name: "p.yaml".into(), text: POLICY.into() }];
        let set = load(&Sources { no_builtin: true, policies, ..Sources::default() }).unwrap();
        let wanted_of = |annotations: &str| {
            let pod = format!(r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"x","annotations":{annotations}}},"spec":{{}}}}"#);
            let pod = Object::from_json(pod).unwrap();
            let request = manifest_request(pod.root(), &GroupVersionKind::new("", "v1", "Pod"), "n");
            let subject = Subject::from_request(Source::Validating, request.root(), Some(pod.root()), None).unwrap();
            let wanted = wanted(&set, &subject, &Facts::unknown("not asked"));
            wanted.into_iter().map(|(resource, names)| (resource.resource, names.into_iter().collect::<Vec<_>>())).collect::<Vec<_>>()
        };
        let (list, waivers) = (("things".to_owned(), vec![]), ("identitywaivers".to_owned(), vec![]));
        assert_eq!(wanted_of(r#"{"thing":"b"}"#), [("configmaps".to_owned(), vec!["a-b".to_owned()]), waivers.clone(), list.clone()]);
        assert_eq!(wanted_of("{}"), [("configmaps".to_owned(), vec![]), waivers, list]);
        let all: Vec<String> = set.related().into_iter().map(|resource| resource.resource).collect();
        assert_eq!(all, ["configmaps", "identitywaivers", "others", "things"]);
    }
}
