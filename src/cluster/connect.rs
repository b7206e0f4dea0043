//! A client for the API server: from a file that was named, or from the pod that Doorward runs in; never from a user's default.

use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::reason;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file cannot be used.
    #[error("cannot use the kubeconfig `{}`: {reason}", file.display())]
    Kubeconfig {
        /// The file that `--kubeconfig` named.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No file was named, and this is no pod.
    #[error(
        "no cluster to talk to: this is not a pod with an API token ({reason}), and no `--kubeconfig FILE` was given; \
         a user's default kubeconfig is never used"
    )]
    NoCluster {
        /// What a pod would have.
        reason: String,
    },
    /// The API server does not answer, or refuses.
    #[error("{reason}; check the cluster's address and the rights of this client")]
    Refused {
        /// What the API server said.
        reason: String,
    },
}

/// A client by the kubeconfig's current context, or by the ServiceAccount of the pod. No request is made yet.
///
/// # Errors
/// [`ConnectError`] with the file, or with what a pod lacks.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ConnectError> {
    let config = match kubeconfig {
        Some(file) => {
            let refuse = |error: kube::config::KubeconfigError| ConnectError::Kubeconfig { file: file.into(), reason: error.to_string() };
            let kubeconfig = Kubeconfig::read_from(file).map_err(refuse)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(refuse)?
        }
        None => Config::incluster().map_err(|error| ConnectError::NoCluster { reason: error.to_string() })?,
    };
    Client::try_from(config).map_err(|error| ConnectError::Refused { reason: reason(&error) })
}

/// Asks the API server for its version: the cheapest proof that the client reaches it. Returns such as `v1.37.2`.
///
/// # Errors
/// [`ConnectError::Refused`] with the API server's words.
pub async fn reach(client: &Client) -> Result<String, ConnectError> {
    let version = client.apiserver_version().await.map_err(|error| ConnectError::Refused { reason: reason(&error) })?;
    Ok(version.git_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_is_missing_is_named() {
        let error = connect(Some(Path::new("/nonexistent/kubeconfig"))).await.err().unwrap();
        assert!(error.to_string().starts_with("cannot use the kubeconfig `/nonexistent/kubeconfig`: "), "{error}");
    }

    #[tokio::test]
    async fn outside_a_pod_the_flag_is_named() {
        let error = connect(None).await.err().unwrap();
        assert!(matches!(error, ConnectError::NoCluster { .. }), "{error}");
        assert!(error.to_string().contains("`--kubeconfig FILE`"), "{error}");
    }

    #[tokio::test]
    async fn a_kubeconfig_leads_to_its_server() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kubeconfig");
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: a, user: u, namespace: n}}]\n\
                    clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\n";
        std::fs::write(&file, text).unwrap();
        let client = connect(Some(&file)).await.unwrap();
        assert_eq!(client.default_namespace(), "n");
        let error = reach(&client).await.unwrap_err();
        assert!(error.to_string().starts_with("the API server cannot be reached: "), "{error}");
    }
}
