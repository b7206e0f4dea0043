//! `doorward certs`: the certificate authority of the webhook.

use std::path::PathBuf;
use std::time::SystemTime;

use super::exit::Exit;
use super::{complain, print};
use crate::cluster::{self, Authority, certificates};
use crate::manifest;
use crate::object::Object;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make the CA Secret that every replica issues its own certificate from
    Init(InitArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// Kubeconfig of the cluster; in a pod its own ServiceAccount is used
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Namespace of the Secret
    #[arg(long, value_name = "NS", default_value = "doorward")]
    namespace: String,
    /// Name of the Secret
    #[arg(long, value_name = "NAME", default_value = "doorward-ca")]
    name: String,
    /// Print the Secret instead of making it; it holds a private key: pipe it, never store it
    #[arg(long)]
    print: bool,
}

pub(super) fn run(command: &Command) -> Exit {
    let Command::Init(args) = command;
    let outcome = if args.print { print_secret(args) } else { make(args) };
    match outcome {
        Ok(()) => Exit::Clean,
        Err(reason) => {
            complain(reason);
            Exit::Cluster
        }
    }
}

fn print_secret(args: &InitArgs) -> Result<(), String> {
    let authority = Authority::make(SystemTime::now()).map_err(|error| error.to_string())?;
    let secret = certificates::manifest(&authority, &args.namespace, &args.name);
    let secret = Object::from_serialize(&secret).map_err(|error| error.to_string())?;
    print(&manifest::to_yaml(secret.root()));
    Ok(())
}

fn make(args: &InitArgs) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let client = cluster::connect(args.kubeconfig.as_deref()).await.map_err(|error| error.to_string())?;
        let now = SystemTime::now();
        let (_, made) = certificates::ensure(&client, &args.namespace, &args.name, now).await.map_err(|error| error.to_string())?;
        let what = if made { "made" } else { "there already, left as it is" };
        print(&format!("Secret {}/{} {what}\n", args.namespace, args.name));
        Ok(())
    })
}
