//! A cluster read once: what `--cluster` judges. Lists in pages, so that a large cluster is not one answer; nothing is watched and
//! nothing written.

use std::collections::BTreeSet;
use std::path::Path;

use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client};

use super::discovery::{Served, served};
use super::kept::kept;
use super::token_secrets::token_secrets;
use super::{ConnectError, connect, reason};
use crate::object::{Fact, Object};

/// Objects in one answer of the API server.
pub(super) const PAGE: u32 = 500;

/// What is read of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Group and resource, such as `apps` and `deployments`. Those that the cluster does not serve have no objects.
    pub resources: BTreeSet<(String, String)>,
    /// Only this namespace; cluster-scoped objects are read all the same.
    pub namespace: Option<String>,
    /// Only the Pod of this name.
    pub pod: Option<String>,
    /// The names of the Secrets that hold legacy tokens, too.
    pub token_secrets: bool,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The objects.
    pub objects: Vec<Object>,
    /// Why the names of token Secrets are not among them, if they were wanted and may not be listed.
    pub unlisted: Option<String>,
}

/// Reads a cluster: by a kubeconfig, or by the ServiceAccount of the pod. Objects come in order of resource, namespace and name,
/// without managed fields; of Secrets only name and type.
///
/// # Errors
/// [`ConnectError`] with the resource that cannot be read and the API server's words.
pub async fn snapshot(kubeconfig: Option<&Path>, wanted: &Wanted) -> Result<Snapshot, ConnectError> {
    let client = connect(kubeconfig).await?;
    let mut objects = Vec::new();
    for (group, resource) in &wanted.resources {
        let refused = |reason: String| ConnectError::Refused { reason: format!("cannot list {resource}: {reason}") };
        match served(&client, group, resource).await {
            Fact::Found(found) => {
                let only = wanted.pod.as_deref().filter(|_| group.is_empty() && resource == "pods");
                list(&client, &found, wanted.namespace.as_deref(), only, &mut objects).await.map_err(|error| refused(reason(&error)))?;
            }
            Fact::Absent => {}
            Fact::Unknown(reason) => return Err(refused(reason)),
        }
    }
    let unlisted = if wanted.token_secrets { token_secrets(&client, wanted.namespace.as_deref(), &mut objects).await? } else { None };
    Ok(Snapshot { objects, unlisted })
}

async fn list(
    client: &Client,
    served: &Served,
    namespace: Option<&str>,
    name: Option<&str>,
    objects: &mut Vec<Object>,
) -> Result<(), kube::Error> {
    let Served { resource, namespaced } = served;
    let everywhere: Api<DynamicObject> = Api::all_with(client.clone(), resource);
    let mut page = ListParams { limit: Some(PAGE), ..ListParams::default() };
    let fields = [namespace.map(|namespace| format!("metadata.namespace={namespace}")), name.map(|name| format!("metadata.name={name}"))];
    let fields: Vec<String> = fields.into_iter().flatten().collect();
    if !fields.is_empty() && *namespaced {
        page = page.fields(&fields.join(","));
    }
    loop {
        let listed = everywhere.list(&page).await?;
        objects.extend(listed.items.iter().filter_map(|object| kept(resource, object)));
        match listed.metadata.continue_ {
            Some(next) if !next.is_empty() => page.continue_token = Some(next),
            _ => return Ok(()),
        }
    }
}
