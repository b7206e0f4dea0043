//! Every door by which a pod obtains a credential.

use super::model::{ApiToken, Credential};
use super::service_account::Automount;
use super::surroundings::Surroundings;
use crate::object::PodTemplate;

pub(super) fn read<'a>(_template: PodTemplate<'a>, _surroundings: &Surroundings<'a>, _automount: Automount) -> Vec<Credential<'a>> {
    Vec::new()
}

pub(super) fn api_token<'a>(_credentials: &[Credential<'a>], automount: Automount) -> ApiToken<'a> {
    ApiToken { mounted: automount.on != Some(false), explicit: automount.explicit, source: automount.source, containers: Vec::new() }
}
