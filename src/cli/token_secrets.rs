//! `doorward token-secrets`: the names of the Secrets that hold legacy tokens, for `serve --token-secrets`. Whoever runs it must be allowed to
//! list Secrets; the webhook need not.

use std::path::PathBuf;

use super::exit::Exit;
use super::{complain, print};
use crate::cluster::{self, ConnectError};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Only metadata is asked for. RBAC cannot tell that from the whole: the right to list Secrets reads their data too, so give it to a \
                  ServiceAccount of its own and to nobody who answers requests.\n\nExamples:\n  doorward token-secrets --kubeconfig admin.kubeconfig > \
                  token-secrets\n  doorward token-secrets --config-map doorward/doorward-token-secrets"
)]
pub(super) struct Args {
    /// Kubeconfig of the cluster; in a pod its own ServiceAccount is used
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Write the list into this ConfigMap, under the key `token-secrets`, instead of printing it
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = config_map)]
    config_map: Option<(String, String)>,
}

fn config_map(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => Ok((namespace.into(), name.into())),
        _ => Err("must be NAMESPACE/NAME".into()),
    }
}

pub(super) fn run(args: &Args) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(error);
            return Exit::Cluster;
        }
    };
    match runtime.block_on(list(args)) {
        Ok(list) => {
            if args.config_map.is_none() {
                print(&list);
            }
            Exit::Clean
        }
        Err(error) => {
            complain(error);
            Exit::Cluster
        }
    }
}

async fn list(args: &Args) -> Result<String, ConnectError> {
    let client = cluster::connect(args.kubeconfig.as_deref()).await?;
    let mut secrets = Vec::new();
    if let Some(reason) = cluster::token_secrets(&client, None, &mut secrets).await? {
        return Err(ConnectError::Refused { reason: format!("cannot list the metadata of secrets: {reason}") });
    }
    let list = cluster::token_list(&secrets);
    if let Some((namespace, name)) = &args.config_map {
        cluster::publish_token_secrets(&client, namespace, name, &list).await?;
    }
    Ok(list)
}
