//! The Kubernetes shell: everything that talks to an API server, and nothing that judges.
//!
//! What is fetched here is handed to the pure rooms as facts. No room above asks the cluster on its own, and on the path of a
//! request there is one live `GET` at most (`lookups`).
//!
//! - `connect`: a client from `--kubeconfig FILE`, or from the pod that Doorward runs in
//! - `discovery`: which of the resources that policies name the cluster serves
//! - `caches`: Namespaces and ServiceAccounts, watched and kept small
//! - `related`: the objects that policies read beside those, watched where the cluster serves them
//! - `lookups`: one live `GET` when a cache lacks an object
//! - `parameters`: the objects that native policies take as `params`
//! - `surroundings`: both together, as facts about what stands around a pod
//! - `installation`: the webhook configurations, applied whole and read back
//! - `snapshot`: the cluster read once, for the command line
//! - `token_secrets`: the names of the Secrets that hold legacy tokens
//! - `kept`: what of an object is kept
//! - `authority`: a certificate authority of one's own and the leaves it issues; no cluster needed
//! - `certificates`: that authority in a Secret of the cluster

pub mod authority;
pub mod caches;
pub mod certificates;
pub mod connect;
pub mod discovery;
pub mod installation;
mod kept;
pub mod lookups;
pub mod parameters;
pub mod related;
pub mod snapshot;
pub mod surroundings;
pub mod token_secrets;

pub use authority::{Authority, AuthorityError, Leaf};
pub use caches::{Cache, Caches};
pub use connect::{ConnectError, connect};
pub use discovery::release;
pub use lookups::{Limits, Lookups, ObjectKey};
pub use parameters::ParameterReads;
pub use related::Related;
pub use snapshot::{Snapshot, Wanted, snapshot};
pub use surroundings::Surroundings;
pub use token_secrets::{publish_token_secrets, token_list, token_secrets};

/// What went wrong at the API server, for people: lower case, the innermost cause, no type names.
pub(crate) fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.message.is_empty() => answered(status),
        kube::Error::Api(status) => format!("{}: {}", answered(status), status.message),
        kube::Error::SerdeError(error) => format!("the API server's answer cannot be read: {error}"),
        other => {
            let mut cause: &dyn std::error::Error = other;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            format!("the API server cannot be reached: {cause}")
        }
    }
}

/// The code of a refusal, without the API server's words, which name objects. A body that is JSON but no Status has no code.
fn answered(status: &kube::core::Status) -> String {
    match status.code {
        0 => "the API server answered with an error that is no Status".into(),
        code => format!("the API server answered {code}"),
    }
}
