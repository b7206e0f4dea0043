//! What Doorward adds to pods, and where a policy says so to Namespaces and ServiceAccounts: every injection is a pure function from
//! an object to JSON Patch operations.
//!
//! - `step`: [`Step`], an injection as an `InjectionPolicy` names it
//! - `outcome`: [`Outcome`] and [`Conflict`], what became of an injection
//! - `pod`: the template as injections see it: which containers are the author's, who mounts what
//! - `place`: the order of the steps, and additions as operations with every parent made once
//! - one file an injection, named by its id: `automount_off`, `kube_api_token`, `vault_token`, `vault_agent` (with
//!   `vault_agent/config`), `vault_csi`, `spiffe_csi`, `spiffe_id`, `mesh_inject` (also on Namespaces), `aws_token_ttl` (on
//!   ServiceAccounts), `stamp`
//!
//! Guarantees, held by property tests: a second run for the same request adds nothing, also after the API server filled in its
//! defaults and other injectors added theirs; nothing but what `automount-off` removes is removed; a conflict changes nothing of its
//! injection; the same input gives the same bytes.

mod automount_off;
mod aws_token_ttl;
mod kube_api_token;
mod mesh_inject;
mod outcome;
mod place;
mod pod;
mod spiffe_csi;
mod spiffe_id;
mod stamp;
mod step;
mod vault_agent;
mod vault_csi;
mod vault_token;

#[cfg(test)]
mod tests;

pub use outcome::{Conflict, Outcome};
pub use place::{inject, inject_object, is_changed_itself};
pub use step::{AgentMode, Step};

use crate::identity::Surroundings;
use crate::object::{Object, Operation, PodTemplate};

/// What an injection depends on; all of it was fetched before.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The pod template as its author, and other webhooks, left it.
    pub template: PodTemplate<'a>,
    /// Namespace, ServiceAccount, class, settings.
    pub surroundings: Surroundings<'a>,
    /// The `uid` of the admission request.
    pub request_uid: &'a str,
    /// The revision of the policies, written into the stamp.
    pub revision: &'a str,
    /// Whether the patch is only applied to judge the result (workload templates, CI): the stamp is never virtual.
    pub virtual_only: bool,
}

/// What is to be added to a template.
#[derive(Clone, Debug, Default)]
pub struct Injection {
    /// JSON Patch operations in order, each with the id of the injection that wants it. Paths are relative to the template: see
    /// [`Operation::under`] and [`crate::object::PodTemplateKind::prefix`].
    pub operations: Vec<(Operation, &'static str)>,
    /// What became of every injection that was due, in catalogue order.
    pub outcomes: Vec<Outcome>,
    /// The template after the operations; `None` if there are none.
    pub after: Option<Object>,
}

impl Injection {
    /// The template after the injection.
    #[must_use]
    pub fn template<'a>(&'a self, before: PodTemplate<'a>) -> PodTemplate<'a> {
        match &self.after {
            Some(after) => PodTemplate { node: after.root(), place: before.place },
            None => before,
        }
    }
}
