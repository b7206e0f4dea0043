//! `matchConstraints`: what a rule's match is to the API server.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::object::{POD_TEMPLATE_KINDS, PodTemplateKind};
use crate::policy::schema::{Carrier, Match, MatchPolicy, OperationName, ResourceRule};

/// The constraints of a match. `others` are the matches of the policy's other rules.
///
/// # Errors
/// Why there are none.
pub(super) fn constraints<'m>(matches: &Match, mut others: impl Iterator<Item = &'m Match>) -> Result<Value, String> {
    let rules = match matches.pod_template {
        Some(carrier) => pod_templates(carrier),
        None => matches.resource_rules.iter().filter_map(changes).collect(),
    };
    if rules.is_empty() {
        return Err("names DELETE or CONNECT only, and no rule of Doorward's own is asked about those".into());
    }
    let mut constraints = json!({ "resourceRules": rules });
    if let Some(fields) = constraints.as_object_mut() {
        if !matches.exclude_resource_rules.is_empty() {
            fields.insert("excludeResourceRules".into(), json!(matches.exclude_resource_rules));
        }
        if let Some(selector) = &matches.namespace_selector {
            fields.insert("namespaceSelector".into(), json!(selector));
        }
        if let Some(selector) = &matches.object_selector {
            fields.insert("objectSelector".into(), json!(selector));
        }
        // An object is judged by the rule of its own version; converted to another one it would be judged by that one's rule too.
        let exact = others.any(|other| in_other_versions(matches, other)).then_some(MatchPolicy::Exact);
        if let Some(policy) = matches.match_policy.or(exact) {
            fields.insert("matchPolicy".into(), json!(policy));
        }
    }
    Ok(constraints)
}

/// Whether two matches name a resource in different versions.
fn in_other_versions(one: &Match, other: &Match) -> bool {
    let share = |left: &[String], right: &[String]| left.iter().any(|item| right.contains(item));
    let apart = |rule: &ResourceRule, twin: &ResourceRule| {
        share(&rule.api_groups, &twin.api_groups)
            && share(&rule.resources, &twin.resources)
            && !share(&rule.api_versions, &twin.api_versions)
            && !rule.api_versions.iter().chain(&twin.api_versions).any(|version| version == "*")
    };
    one.resource_rules.iter().any(|rule| other.resource_rules.iter().any(|twin| apart(rule, twin)))
}

fn pod_templates(carrier: Carrier) -> Vec<Value> {
    let wanted = |kind: &&PodTemplateKind| match carrier {
        Carrier::Any => true,
        Carrier::Pod => kind.is_pod(),
        Carrier::Workload => !kind.is_pod(),
    };
    let mut places: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for kind in POD_TEMPLATE_KINDS.iter().filter(wanted) {
        places.entry((kind.group, kind.version)).or_default().push(kind.resource);
    }
    let rule = |group: &str, version: &str, operations: &[&str], resources: &[&str]| json!({ "apiGroups": [group], "apiVersions": [version], "operations": operations, "resources": resources });
    let mut rules: Vec<Value> =
        places.into_iter().map(|((group, version), resources)| rule(group, version, &["CREATE", "UPDATE"], &resources)).collect();
    if carrier != Carrier::Workload {
        rules.push(rule("", "v1", &["UPDATE"], &["pods/ephemeralcontainers"]));
    }
    rules
}

/// A rule without what Doorward's own rules are never asked about.
fn changes(rule: &ResourceRule) -> Option<Value> {
    let mut operations: Vec<OperationName> = Vec::new();
    for operation in &rule.operations {
        match operation {
            OperationName::Any => operations = vec![OperationName::Create, OperationName::Update],
            OperationName::Create | OperationName::Update if !operations.contains(operation) => operations.push(*operation),
            OperationName::Create | OperationName::Update | OperationName::Delete | OperationName::Connect => {}
        }
    }
    let resources: Vec<&String> =
        rule.resources.iter().filter(|resource| !["/status", "/scale", "/resize"].iter().any(|end| resource.ends_with(end))).collect();
    if operations.is_empty() || resources.is_empty() {
        return None;
    }
    let mut written =
        json!({ "apiGroups": rule.api_groups, "apiVersions": rule.api_versions, "operations": operations, "resources": resources });
    if let (Some(fields), false) = (written.as_object_mut(), rule.resource_names.is_empty()) {
        fields.insert("resourceNames".into(), json!(rule.resource_names));
    }
    if let Some(fields) = written.as_object_mut() {
        fields.insert("scope".into(), json!(rule.scope));
    }
    Some(written)
}
