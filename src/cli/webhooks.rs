//! `doorward webhooks`: the webhook configurations, printed or applied.

use std::path::PathBuf;

use super::exit::Exit;
use super::sources::{PolicyArgs, complain_all, unseen};
use super::{complain, print};
use crate::admission::{Coverage, Installation, OnFailure, Target, configurations};
use crate::cluster::{self, certificates, installation};
use crate::manifest;
use crate::object::Object;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print both configurations as YAML
    Print(Args),
    /// Apply both to the cluster by server-side apply and read them back
    Apply(Args),
    /// Remove both from the cluster
    Remove(RemoveArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Kubeconfig of the cluster; in a pod its own ServiceAccount is used
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Service that the API server calls; its namespace is Doorward's own, and excluded
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "doorward/doorward")]
    service: String,
    /// Port of that Service
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    port: u16,
    /// Call this URL instead of the Service
    #[arg(long, value_name = "URL", conflicts_with = "port")]
    url: Option<String>,
    /// CA bundle that the API server checks Doorward's certificate by (PEM)
    #[arg(long, value_name = "FILE", conflicts_with = "ca_secret")]
    ca_file: Option<PathBuf>,
    /// Secret of Doorward's namespace that holds the CA bundle under `ca.crt`
    #[arg(long, value_name = "NAME")]
    ca_secret: Option<String>,
    /// Namespace whose pods must start before Doorward does: no webhook is called for it (repeatable, beside those of the settings)
    #[arg(long = "bootstrap-namespace", value_name = "NS")]
    bootstrap_namespaces: Vec<String>,
    /// What an unreachable webhook means: `ignore` lets everything pass, for the first days of an installation
    #[arg(long, value_name = "POLICY", default_value = "fail")]
    on_failure: Failure,
    #[command(flatten)]
    policies: PolicyArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    /// Kubeconfig of the cluster; in a pod its own ServiceAccount is used
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Failure {
    Fail,
    Ignore,
}

pub(super) fn run(command: &Command) -> Exit {
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            match command {
                Command::Print(args) => print_configurations(args).await,
                Command::Apply(args) => apply(args).await,
                Command::Remove(args) => remove(args).await,
            }
        }),
        Err(error) => Err((Exit::Cluster, error.to_string())),
    };
    match outcome {
        Ok(()) => Exit::Clean,
        Err((exit, reason)) => {
            if !reason.is_empty() {
                complain(reason);
            }
            exit
        }
    }
}

type Outcome<T> = Result<T, (Exit, String)>;

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
fn in_cluster(error: impl ToString) -> (Exit, String) {
    (Exit::Cluster, error.to_string())
}

async fn print_configurations(args: &Args) -> Outcome<()> {
    let (mutating, validating) = made(args, None).await?;
    let yaml = |value| Object::from_serialize(value).map(|object| manifest::to_yaml(object.root())).unwrap_or_default();
    print(&format!("{}---\n{}", yaml(&validating), yaml(&mutating)));
    Ok(())
}

async fn apply(args: &Args) -> Outcome<()> {
    let client = cluster::connect(args.kubeconfig.as_deref()).await.map_err(in_cluster)?;
    let (mutating, validating) = made(args, Some(&client)).await?;
    for applied in installation::apply(&client, &mutating, &validating).await.map_err(in_cluster)? {
        print(&format!("{applied}\n"));
    }
    Ok(())
}

async fn remove(args: &RemoveArgs) -> Outcome<()> {
    let client = cluster::connect(args.kubeconfig.as_deref()).await.map_err(in_cluster)?;
    let removed = installation::remove(&client).await.map_err(in_cluster)?;
    for kind in &removed {
        print(&format!("{kind} doorward removed\n"));
    }
    if removed.is_empty() {
        print("there was none\n");
    }
    Ok(())
}

async fn made(args: &Args, client: Option<&kube::Client>) -> Outcome<(serde_json::Value, serde_json::Value)> {
    let set = args.policies.load_or_complain().map_err(|exit| (exit, String::new()))?;
    let unseen = unseen(&set);
    if !unseen.is_empty() {
        complain_all(&unseen);
        return Err((Exit::Policy, String::new()));
    }
    let Some((own_namespace, service)) = args.service.split_once('/') else {
        return Err((Exit::Usage, format!("`--service {}` must be NAMESPACE/NAME", args.service)));
    };
    let ca_bundle_pem = bundle(args, own_namespace, client).await?;
    let target = match &args.url {
        Some(base) => Target::Url { base: base.clone(), ca_bundle_pem },
        None => Target::Service { namespace: own_namespace.into(), name: service.into(), port: args.port, ca_bundle_pem },
    };
    let on_failure = match args.on_failure {
        Failure::Fail => OnFailure::Fail,
        Failure::Ignore => OnFailure::Ignore,
    };
    let mut bootstrap_namespaces = set.settings().bootstrap_namespaces.clone();
    bootstrap_namespaces.extend(args.bootstrap_namespaces.iter().cloned());
    let installation = Installation { target, own_namespace: own_namespace.into(), bootstrap_namespaces, on_failure };
    let coverage = Coverage::of(&set);
    for unserved in coverage.unserved() {
        complain(format!(
            "no webhook entry can hold {}/{}: a policy that matches it is asked for nothing",
            unserved.group, unserved.resource
        ));
    }
    Ok(configurations(&installation, &coverage))
}

async fn bundle(args: &Args, namespace: &str, client: Option<&kube::Client>) -> Outcome<String> {
    if let Some(file) = &args.ca_file {
        return installation::bundle_from_file(file).map_err(|error| (Exit::Input, error.to_string()));
    }
    let Some(name) = &args.ca_secret else {
        return Err((Exit::Usage, "give `--ca-file FILE` or `--ca-secret NAME`: without it no call would be trusted".into()));
    };
    let connected;
    let client = match client {
        Some(client) => client,
        None => {
            connected = cluster::connect(args.kubeconfig.as_deref()).await.map_err(in_cluster)?;
            &connected
        }
    };
    certificates::bundle(client, namespace, name).await.map_err(in_cluster)
}
