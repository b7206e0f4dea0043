//! What a verb acts on: files, folders, globs, standard input, or a live cluster.

use std::path::{Path, PathBuf};

use super::complain;
use super::exit::Exit;
use super::sources::{ContextArgs, complain_all, objects};
use crate::admission::Coverage;
use crate::cluster::{self, Snapshot, Wanted};
use crate::manifest::{self, Document, InputError, Loaded};
use crate::object::{GroupVersionKind, Node};
use crate::policy::{PolicySet, RelatedIndex, RelatedResource, Source, placing_resources, registration_resources};

/// Where the objects come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct SubjectArgs {
    /// Files, folders, globs, or `-` for standard input
    #[arg(value_name = "PATH", required_unless_present = "cluster", conflicts_with = "cluster")]
    paths: Vec<String>,
    #[command(flatten)]
    live: LiveArgs,
}

/// Which cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct LiveArgs {
    /// Act on the objects of the cluster instead of files; `--namespace` narrows it
    #[arg(long, conflicts_with = "context")]
    pub(super) cluster: bool,
    /// Kubeconfig of the cluster; in a pod its own ServiceAccount is used
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    /// The objects to act on, with what could not be read.
    pub(super) loaded: Loaded,
    /// What is known beside them.
    context: Vec<Document>,
    live: bool,
    /// Whether the cluster's token Secrets could not be listed.
    unlisted: bool,
    /// Namespace of objects that name none.
    pub(super) namespace: String,
}

impl SubjectArgs {
    /// Reads the files, or the cluster.
    pub(super) fn read(&self, set: &PolicySet, context: &ContextArgs) -> Result<Subjects, Exit> {
        if self.live.cluster {
            return Subjects::of_cluster(set, &self.live, context.only_namespace(), None);
        }
        Ok(Subjects::of_files(&self.paths, context))
    }
}

impl Subjects {
    /// The objects of files, and those of `--context` beside them.
    pub(super) fn of_files(paths: &[String], args: &ContextArgs) -> Self {
        let (context, context_errors) = args.load();
        let mut loaded = objects(paths);
        if loaded.documents.is_empty() && loaded.errors.is_empty() {
            let message = "no Kubernetes object was found there".to_owned();
            loaded.errors.push(InputError { file: paths.join(" "), message, ..InputError::default() });
        }
        loaded.errors.extend(context_errors);
        Self { loaded, context, namespace: args.namespace().to_owned(), ..Self::default() }
    }

    /// The objects of a cluster that the policies speak about, or one Pod of it.
    pub(super) fn of_cluster(set: &PolicySet, live: &LiveArgs, namespace: Option<&str>, pod: Option<&str>) -> Result<Self, Exit> {
        // Agents of pods take their configuration from ConfigMaps.
        let around = [("", "namespaces"), ("", "serviceaccounts"), ("", "pods"), ("", "configmaps")];
        let named = |(group, resource): (&str, &str)| (group.to_owned(), resource.to_owned());
        let mut resources: std::collections::BTreeSet<_> = around.into_iter().map(named).collect();
        let related = set.policies().iter().flat_map(crate::policy::IdentityPolicy::related);
        let named_in = |related: &RelatedResource| (related.group.clone(), related.resource.clone());
        resources.extend(related.map(named_in).chain(registration_resources().iter().map(named_in)));
        if pod.is_some() {
            resources.extend(placing_resources().iter().map(named_in));
        } else {
            let covered = Coverage::of(set).covered;
            let whole = covered.into_iter().filter(|covered| covered.subresource.is_empty() && covered.resource != "*");
            resources.extend(whole.map(|covered| (covered.group, covered.resource)));
        }
        // A Secret's data is never read, so no rule on it could be judged. Those of the type that holds legacy tokens are known by that alone.
        resources.remove(&named(("", "secrets")));
        let token_secrets = true;
        let wanted = Wanted { resources, namespace: namespace.map(str::to_owned), pod: pod.map(str::to_owned), token_secrets };
        let Snapshot { objects, unlisted } = read_cluster(live.kubeconfig.as_deref(), &wanted)?;
        if let Some(reason) = &unlisted {
            complain(format!("note: which Secrets hold legacy tokens is not known: {reason}"));
        }
        let mut subjects = Self { live: true, unlisted: unlisted.is_some(), namespace: "default".into(), ..Self::default() };
        for object in objects {
            subjects.loaded.extend(manifest::load("", &object.root().to_json()));
        }
        // A waiver of another namespace could lift nothing here: it is known and not judged.
        if let Some(namespace) = namespace {
            let elsewhere = |document: &Document| {
                let root = document.object.root();
                let is_waiver = GroupVersionKind::of(root).is_some_and(|kind| kind.kind == "IdentityWaiver");
                is_waiver && root.path(&["spec", "subject", "namespace"]).and_then(Node::as_str) != Some(namespace)
            };
            let (others, kept) = std::mem::take(&mut subjects.loaded.documents).into_iter().partition(elsewhere);
            (subjects.context, subjects.loaded.documents) = (others, kept);
        }
        if let Some(pod) = pod {
            let is_it = |document: &Document| GroupVersionKind::of(document.object.root()).is_some_and(|kind| kind.kind == "Pod");
            let (found, context) = std::mem::take(&mut subjects.loaded.documents).into_iter().partition(is_it);
            subjects.loaded.documents = found;
            subjects.context.extend::<Vec<_>>(context);
            if subjects.loaded.documents.is_empty() {
                complain(format!("there is no Pod `{}/{pod}` in the cluster", namespace.unwrap_or_default()));
                return Err(Exit::Input);
            }
        }
        Ok(subjects)
    }

    /// All that is known, looked up for each of the objects.
    pub(super) fn index(&self) -> RelatedIndex<'_> {
        let objects = self.loaded.documents.iter().chain(&self.context).map(|document| document.object.root());
        let index = RelatedIndex::new(objects, &self.namespace, self.live);
        if self.unlisted { index.without_token_secrets() } else { index }
    }

    /// A Pod of a cluster is as it will be; what is in files is yet to be admitted.
    pub(super) fn source(&self) -> Source {
        if self.live { Source::Validating } else { Source::Manifests }
    }

    /// Tells what could not be read. Returns whether there was any.
    pub(super) fn complain(&self) -> bool {
        complain_all(&self.loaded.errors);
        !self.loaded.errors.is_empty()
    }
}

/// Reads a cluster once; what keeps it from being read is told.
pub(super) fn read_cluster(kubeconfig: Option<&Path>, wanted: &Wanted) -> Result<Snapshot, Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string());
    let read = runtime.and_then(|runtime| runtime.block_on(cluster::snapshot(kubeconfig, wanted)).map_err(|error| error.to_string()));
    read.map_err(|error| {
        complain(error);
        Exit::Cluster
    })
}
