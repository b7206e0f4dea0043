//! `doorward serve`: the admission webhook.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::exit::Exit;
use super::reload::Files;
use super::sources::{ContextArgs, PolicyArgs, complain_all};
use super::{complain, demonstration};
use crate::cluster::{self, Caches, Lookups, Related, Surroundings, certificates};
use crate::manifest::InputError;
use crate::serve::{
    CertificateSource, DecisionLog, Door, DrainTimes, Knowledge, KnownObjects, Metrics, Options, Pair, ServeError, Server,
    ServingCertificate, run as serve, runtime,
};
use crate::settings::{NativeSidecar, Settings};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "With neither a cluster nor settings it starts on loopback with a self-made certificate and demonstration settings."
)]
pub(super) struct Args {
    /// Address of the webhooks
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Address of /livez, /readyz and /metrics (plain HTTP)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    admin_listen: SocketAddr,
    /// Certificate chain (PEM), read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Secret with the CA that this replica issues its own certificate from, made by `doorward certs init` (in the own namespace unless named)
    #[arg(long, value_name = "[NAMESPACE/]NAME", conflicts_with = "tls_cert")]
    ca_secret: Option<String>,
    /// Further DNS name or IP address of a certificate that Doorward issues (repeatable)
    #[arg(long = "tls-name", value_name = "NAME")]
    tls_names: Vec<String>,
    /// Where the CA of a self-made certificate is written (never its key)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tls_cert", "ca_secret"])]
    ca_out: Option<PathBuf>,
    /// CA of the API server's client certificate: callers that it signed are verified
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Refuse callers without such a certificate
    #[arg(long, requires = "client_ca")]
    require_client_certificate: bool,
    /// Kubeconfig of the cluster; in a pod its own ServiceAccount is used, and never a user's default
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Worker threads (default: one a core)
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Seconds to go on serving after SIGTERM, until no API server sends here any more
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    drain_delay: u64,
    /// File that lists the Secrets which hold legacy tokens, one `namespace/name` a line, as `doorward token-secrets` writes it: then they
    /// are refused by name, else by path and shape only (Doorward may not list Secrets itself). It may come later
    #[arg(long, value_name = "FILE")]
    token_secrets: Option<PathBuf>,
    /// Seconds between two looks at the policy, settings and waiver files, and at which of the related resources the cluster serves
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    reload_every: u64,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    context: ContextArgs,
}

/// Why the server does not run.
enum Failure {
    Files(Vec<InputError>),
    Server(ServeError),
    Cluster(String),
    Usage(String),
}

pub(super) fn run(args: Args) -> Exit {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DOORWARD_LOG").unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_env_filter(filter).init();
    let outcome = runtime(args.threads).map_err(Failure::Server).and_then(|runtime| {
        let outcome = runtime.block_on(start(args));
        // A second signal must not wait for what still runs.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => Exit::Clean,
        Err(Failure::Files(errors)) => {
            complain_all(&errors);
            Exit::Policy
        }
        Err(Failure::Server(error)) => {
            complain(error);
            Exit::Policy
        }
        Err(Failure::Cluster(reason)) => {
            complain(reason);
            Exit::Cluster
        }
        Err(Failure::Usage(reason)) => {
            complain(reason);
            Exit::Usage
        }
    }
}

async fn start(args: Args) -> Result<(), Failure> {
    let in_cluster = args.kubeconfig.is_some() || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let demonstration = !in_cluster && args.policies.settings.is_none();
    let fallback = demonstration.then(Settings::demonstration);
    let (policies, context) = (args.policies.clone(), args.context.clone());
    let mut files = Files { policies, context, fallback, token_secrets: args.token_secrets.clone(), release: None };
    let (mut policies, token_secrets) = files.load().map_err(Failure::Files)?;
    complain_all(&files.doubts());
    let metrics = Arc::new(Metrics::new().map_err(|error| Failure::Cluster(error.to_string()))?);
    let log = DecisionLog::to_stdout(metrics.log_queue_depth.clone())
        .map_err(|error| Failure::Server(ServeError::System { what: "a thread for the decision log", error }))?;

    let client = if in_cluster {
        Some(cluster::connect(args.kubeconfig.as_deref()).await.map_err(|error| Failure::Cluster(error.to_string()))?)
    } else {
        None
    };
    if let (Some(client), NativeSidecar::Auto) = (&client, policies.settings().vault.agent.native_sidecar) {
        match cluster::release(client).await {
            Ok(release) => {
                files.release = Some(release);
                policies = files.load().map_err(Failure::Files)?.0;
            }
            Err(reason) => tracing::warn!(reason, "the release of the API server is not known: agents are injected as native sidecars"),
        }
    }
    let every = Duration::from_secs(args.reload_every.max(1));
    let mut tasks = tokio::task::JoinSet::new();
    let knowledge = match &client {
        Some(client) => {
            let caches = Caches::default();
            tasks = caches.run(client);
            let related = Related::new(client.clone(), every);
            Knowledge::Cluster(Box::new(Surroundings::new(caches, related, Lookups::new(client.clone(), cluster::Limits::default()))))
        }
        None => Knowledge::Files(known(&args, demonstration)?),
    };
    let certificate = certificate(&args, client.as_ref(), &mut tasks).await?;
    let door = Arc::new(Door::new(policies, knowledge, Arc::clone(&metrics), log.clone()));
    match (token_secrets, &args.token_secrets) {
        (Some(names), _) => door.tell_token_secrets(names),
        (None, Some(file)) => {
            let file = file.display();
            tracing::warn!(%file, "there is no list of token Secrets yet; until it is there they are known by path and shape only");
        }
        (None, None) => {}
    }
    tasks.spawn(files.watch(every, Arc::clone(&door), Arc::clone(&metrics)));
    let options = Options {
        listen: args.listen,
        admin_listen: args.admin_listen,
        certificate,
        client_ca: args.client_ca,
        require_client_certificate: args.require_client_certificate,
        drain: DrainTimes { delay: Duration::from_secs(args.drain_delay), ..DrainTimes::default() },
        ..Options::default()
    };
    serve(options, door, metrics, log, |server| announce(server, demonstration)).await.map_err(Failure::Server)?;
    Ok(())
}

fn known(args: &Args, demonstration: bool) -> Result<KnownObjects, Failure> {
    if args.context.context.is_empty() && demonstration {
        return Ok(KnownObjects::of(demonstration::objects(), args.context.namespace()));
    }
    let (documents, errors) = args.context.load();
    if errors.is_empty() { Ok(KnownObjects::of(documents, args.context.namespace())) } else { Err(Failure::Files(errors)) }
}

/// One line that a person, or a script that started the server, can read the address from.
fn announce(server: &Server, demonstration: bool) {
    let (address, admin) = (server.address(), server.admin_address());
    complain(format!("listening on https://{address}, probes and metrics on http://{admin}"));
    if demonstration {
        complain("no cluster and no settings: self-made certificate and demonstration settings; get a refusal by\n");
        super::tell(&format!("{}\n\n", demonstration::curl(address)));
    }
}

async fn certificate(
    args: &Args,
    client: Option<&kube::Client>,
    tasks: &mut tokio::task::JoinSet<()>,
) -> Result<CertificateSource, Failure> {
    if let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) {
        return Ok(CertificateSource::Files { certificate: certificate.clone(), key: key.clone() });
    }
    let Some(secret) = &args.ca_secret else {
        return Ok(CertificateSource::SelfMade { names: args.tls_names.clone(), ca_file: args.ca_out.clone() });
    };
    let Some(client) = client.cloned() else {
        return Err(Failure::Usage("`--ca-secret` needs a cluster: give `--kubeconfig FILE`".into()));
    };
    let own_namespace = client.default_namespace().to_owned();
    let (namespace, name) = secret.split_once('/').unwrap_or((own_namespace.as_str(), secret));
    let mut names = cluster::authority::service_names("doorward", namespace);
    names.extend(args.tls_names.iter().cloned());
    let slot = ServingCertificate::empty();
    let renew_in = issue(&client, namespace, name, &names, &slot).await.map_err(Failure::Cluster)?;
    let (namespace, name, held) = (namespace.to_owned(), name.to_owned(), Arc::clone(&slot));
    tasks.spawn(async move {
        let mut wait = renew_in;
        loop {
            tokio::time::sleep(wait).await;
            wait = match issue(&client, &namespace, &name, &names, &held).await {
                Ok(wait) => wait,
                Err(reason) => {
                    tracing::error!(reason, "the serving certificate could not be renewed; the one before stays in use");
                    Duration::from_secs(60)
                }
            };
        }
    });
    Ok(CertificateSource::Held(slot))
}

/// Issues a leaf from the CA Secret and puts it in force; tells when the next one is due.
async fn issue(
    client: &kube::Client,
    namespace: &str,
    name: &str,
    names: &[String],
    slot: &ServingCertificate,
) -> Result<Duration, String> {
    let now = SystemTime::now();
    let authority = certificates::load(client, namespace, name, now).await.map_err(|error| error.to_string())?;
    let leaf = authority.issue_leaf(names, now).map_err(|error| error.to_string())?;
    let origin = format!("the CA Secret {namespace}/{name}");
    let pair = Pair::from_pem(leaf.chain_pem.as_bytes(), &origin, leaf.key_pem.as_bytes(), &origin).map_err(|error| error.to_string())?;
    slot.install(pair);
    Ok(leaf.renew_at().duration_since(now).unwrap_or(Duration::from_secs(60)))
}
