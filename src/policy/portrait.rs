//! Who a pod will be: the identity that the rules see, for people who ask instead of a rule.

use std::cell::OnceCell;

use super::due::Hypothesis;
use super::schema::RelatedResource;
use super::set::PolicySet;
use super::stage::Stage;
use super::staging::stage;
use super::subject::{Facts, Source, Subject};
use crate::identity::{Beside, Issuance, Surroundings, issuance};
use crate::object::{Fact, Object, PodTemplate};

/// A pod template read as an identity, with defaults and due injections applied.
#[derive(Clone, Debug)]
pub struct Portrait {
    /// The identity model ([`crate::identity::SCHEMA`]).
    pub identity: Object,
    /// Why it is not known which injections are due, if so: the identity is then the one without them.
    pub undecided: Option<String>,
    /// What SPIRE issues to it; `None` while no trust domain is set.
    pub issuance: Option<Issuance>,
}

/// What a portrait reads beside what the rules read: the objects of which SPIRE's registration entries are made.
#[must_use]
pub fn registration_resources() -> [RelatedResource; 2] {
    ["clusterspiffeids", "clusterstaticentries"]
        .map(|resource| RelatedResource { group: "spire.spiffe.io".into(), resource: resource.into() })
}

/// What SPIRE's templates may ask of beside the pod: its node, and the Services that lead to it.
#[must_use]
pub fn placing_resources() -> [RelatedResource; 2] {
    ["nodes", "services"].map(|resource| RelatedResource { group: String::new(), resource: resource.into() })
}

/// The identity of the pod that a subject is or makes; `None` for a subject without a pod template.
#[must_use]
pub fn portrait(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>) -> Option<Portrait> {
    let template = subject.template()?;
    let staged = stage(set, subject, facts, template, Hypothesis::NoneDue);
    let pod = PodTemplate { node: staged.pod.as_ref().map_or(template.node, Object::root), ..template };
    let cell = OnceCell::new();
    let stage = Stage::new(set, subject, facts, Some(pod), &cell, &staged.injections);
    stage.identity()?;
    let [ids, static_entries] = registration_resources().map(|resource| {
        let unknown = || Fact::Unknown(format!("{} were not read", resource.resource));
        facts.related.get(&resource).cloned().unwrap_or_else(unknown)
    });
    let [nodes, services] = placing_resources().map(|resource| match facts.related.get(&resource) {
        Some(Fact::Found(objects)) => Some(objects.as_slice()),
        _ => None,
    });
    let surroundings = stage.surroundings(pod);
    let all_services = services.is_some() && subject.source == Source::Validating;
    let beside = Beside { nodes: nodes.unwrap_or_default(), services: services.unwrap_or_default(), all_services, ..surroundings.beside };
    let issuance = issuance(pod, &Surroundings { beside, ..surroundings }, &ids, &static_entries);
    Some(Portrait { identity: cell.into_inner()?, undecided: staged.undecided, issuance })
}
