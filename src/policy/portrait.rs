//! Who a pod will be: the identity that the rules see, for people who ask instead of a rule.

use std::cell::OnceCell;

use super::due::Hypothesis;
use super::set::PolicySet;
use super::stage::Stage;
use super::staging::stage;
use super::subject::{Facts, Subject};
use crate::object::{Object, PodTemplate};

/// A pod template read as an identity, with defaults and due injections applied.
#[derive(Clone, Debug)]
pub struct Portrait {
    /// The identity model ([`crate::identity::SCHEMA`]).
    pub identity: Object,
    /// Why it is not known which injections are due, if so: the identity is then the one without them.
    pub undecided: Option<String>,
}

/// The identity of the pod that a subject is or makes; `None` for a subject without a pod template.
#[must_use]
pub fn portrait(set: &PolicySet, subject: &Subject<'_>, facts: &Facts<'_>) -> Option<Portrait> {
    let template = subject.template()?;
    let staged = stage(set, subject, facts, template, Hypothesis::NoneDue);
    let pod = PodTemplate { node: staged.pod.as_ref().map_or(template.node, Object::root), ..template };
    let cell = OnceCell::new();
    Stage::new(set, subject, facts, Some(pod), &cell, &staged.injections).identity()?;
    Some(Portrait { identity: cell.into_inner()?, undecided: staged.undecided })
}
