//! The command line: one file a subcommand. Results go to standard output, everything else to standard error.
//!
//! - `exit`: the exit codes, which are an interface
//! - `sources`: the flags for policies, settings, waivers and related objects, and reading what they name
//! - `subjects`: what a verb acts on: files, or a live cluster
//! - `reload`: the files that a running server looks at again
//! - `demonstration`: what `serve` knows when it is given nothing
//! - `serve`, `audit`, `test`, `explain`, `inject`, `inventory`, `policy` (with `export` and `lint`), `cel`, `webhooks`, `token_secrets`, `certs`,
//!   `completions`: the subcommands

mod audit;
mod cel;
mod certs;
mod completions;
mod demonstration;
mod exit;
mod explain;
mod export;
mod inject;
mod inventory;
mod lint;
mod policy;
mod reload;
mod serve;
mod sources;
mod subjects;
mod test;
mod token_secrets;
mod webhooks;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;

/// Keeps the door of a Kubernetes cluster: no pod gets in without an identity of its own.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, about, max_term_width = 100, propagate_version = true, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the admission webhook
    Serve(serve::Args),
    /// Judge manifests by the rules of the cluster, and point at the lines
    Audit(audit::Args),
    /// Run the cases that stand beside policies
    Test(test::Args),
    /// Explain a rule, or who a workload will be, what judges it and what to change
    Explain(explain::Args),
    /// Print a manifest as it will be after the injections
    Inject(inject::Args),
    /// List the identity of every workload
    Inventory(inventory::Args),
    /// Look at the policies in force
    #[command(subcommand)]
    Policy(policy::Command),
    /// Evaluate CEL expressions as a policy would: value, type, cost
    Cel(cel::Args),
    /// Print or apply the webhook configurations
    #[command(subcommand)]
    Webhooks(webhooks::Command),
    /// List the Secrets that hold legacy tokens, by name, for `serve --token-secrets`
    TokenSecrets(token_secrets::Args),
    /// Make the certificate authority of the webhook
    #[command(subcommand)]
    Certs(certs::Command),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

/// Runs the program with the arguments of the process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for; anything else is wrong usage.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Clean };
            let _ = error.print();
            return exit.into();
        }
    };
    let exit = match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Audit(args) => audit::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Inject(args) => inject::run(&args),
        Command::Inventory(args) => inventory::run(&args),
        Command::Policy(command) => policy::run(&command),
        Command::Cel(args) => cel::run(&args),
        Command::Webhooks(command) => webhooks::run(&command),
        Command::TokenSecrets(args) => token_secrets::run(&args),
        Command::Certs(command) => certs::run(&command),
        Command::Completions(args) => completions::run(&args),
    };
    exit.into()
}

/// Writes a result.
fn print(text: &str) {
    let mut out = anstream::stdout().lock();
    told(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Whether a result was written; what kept it from that is told. A reader that went away (`| head`) is no error.
fn told(written: std::io::Result<()>) -> bool {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(format!("standard output cannot be written, and what is there is not whole: {error}"));
            false
        }
        _ => true,
    }
}

/// Writes to standard error as it is.
fn tell(text: &str) {
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// Tells what went wrong.
fn complain(message: impl std::fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "doorward: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_leaves_is_no_error_and_a_full_disk_is_one() {
        assert!(told(Ok(())));
        assert!(told(Err(std::io::ErrorKind::BrokenPipe.into())));
        assert!(!told(Err(std::io::ErrorKind::StorageFull.into())));
    }
}
