//! What stands around a pod template and decides who it will be: namespace, ServiceAccount, class, settings.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::object::{Fact, GroupVersionKind, Node, PodTemplate};
use crate::settings::{Grantee, Settings};

/// Everything beside the template that an identity depends on. All of it was fetched before.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The operator's settings.
    pub settings: &'a Settings,
    /// Name of the namespace.
    pub namespace: &'a str,
    /// The Namespace object.
    pub namespace_object: &'a Fact<Node<'a>>,
    /// The ServiceAccount that the pod names.
    pub service_account: &'a Fact<Node<'a>>,
    /// Names of the namespace's Secrets of type `kubernetes.io/service-account-token`; names only, never their data. Unknown where that
    /// list is not at hand, which is the webhook's default: to list Secrets is to read them all.
    pub token_secrets: &'a Fact<BTreeSet<String>>,
    /// What sort of workload it is.
    pub class: Class,
    /// Objects that the pod names.
    pub beside: Beside<'a>,
}

/// Objects that a pod names and that its identity hangs on, as far as they were read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// `ConfigMaps` of the namespace.
    pub config_maps: &'a [Node<'a>],
    /// Whether every `ConfigMap` that the pod's agents read was looked for: one that is not among them cannot be read.
    pub all_config_maps: bool,
    /// `CSIDriver` objects.
    pub csi_drivers: &'a [Node<'a>],
    /// Nodes.
    pub nodes: &'a [Node<'a>],
    /// Services of the namespace.
    pub services: &'a [Node<'a>],
    /// Whether there are no others.
    pub all_services: bool,
}

impl<'a> Beside<'a> {
    /// The object of a name.
    pub(super) fn named(objects: &'a [Node<'a>], name: &str) -> Option<Node<'a>> {
        objects.iter().copied().find(|object| object.path(&["metadata", "name"]).and_then(Node::as_str) == Some(name))
    }
}

/// What sort of workload a pod belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Anything else.
    #[default]
    App,
    /// Its template sits in a Job or `CronJob`, or the job controller made it for a Job.
    Job,
    /// It talks to the Kubernetes API; granted by the setting `classes`.
    Controller,
    /// It serves the node or the cluster; granted by the setting `classes`.
    Infrastructure,
    /// It acts for a human or another agent; may be self-declared because it is stricter.
    Agent,
}

impl Surroundings<'_> {
    /// The UID of the Namespace, if that is known.
    #[must_use]
    pub fn namespace_uid(&self) -> Option<&str> {
        self.namespace_object.as_ref().found()?.path(&["metadata", "uid"])?.as_str()
    }

    /// The class that the operator gives the pods of a ServiceAccount here, if any.
    #[must_use]
    pub fn granted(&self, service_account: &str) -> Option<Class> {
        let classes = &self.settings.classes;
        let lists =
            [(&classes.infrastructure, Class::Infrastructure), (&classes.controller, Class::Controller), (&classes.agent, Class::Agent)];
        let named = |list: &[Grantee]| list.iter().any(|entry| entry.is(self.namespace, service_account, self.namespace_uid()));
        lists.into_iter().find(|(list, _)| named(list)).map(|(_, class)| class)
    }
}

impl Class {
    /// The class that shows from the object itself. An owner counts only if it is the controller and the job controller is who
    /// asks: a tenant can write any owner reference (`hardening.md` A8).
    #[must_use]
    pub fn of(kind: &GroupVersionKind, object: Node<'_>, template: PodTemplate<'_>, requester: &str, settings: &Settings) -> Self {
        if kind.group == "batch" {
            return Self::Job;
        }
        let owned_by_job = kind.kind == "Pod"
            && settings.job_controllers.iter().any(|controller| controller == requester)
            && object.get("metadata").is_some_and(|metadata| {
                metadata.list("ownerReferences").any(|owner| {
                    owner.text("kind") == "Job"
                        && owner.text("apiVersion").starts_with("batch/")
                        && owner.get("controller").and_then(Node::as_bool) == Some(true)
                })
            });
        if owned_by_job {
            Self::Job
        } else if template.label("doorward.dev/class") == Some("agent") {
            Self::Agent
        } else {
            Self::App
        }
    }
}
