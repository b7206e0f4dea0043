//! `doorward policy`: the policies in force, and what their expressions may call.

mod functions;

use super::exit::Exit;
use super::sources::PolicyArgs;
use super::{export, print};
use crate::report::columns;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the policies, each with where it comes from
    List(ListArgs),
    /// List the functions and macros of expressions, with cost and first release of Kubernetes
    Functions(functions::Args),
    /// Write policies out for another engine
    #[command(subcommand)]
    Export(export::Command),
    /// Check policies against the schemas of what they judge
    Lint(super::lint::Args),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    policies: PolicyArgs,
}

pub(super) fn run(command: &Command) -> Exit {
    match command {
        Command::List(args) => list(args),
        Command::Functions(args) => functions::run(args),
        Command::Export(command) => export::run(command),
        Command::Lint(args) => super::lint::run(args),
    }
}

fn list(args: &ListArgs) -> Exit {
    let set = match args.policies.load_or_complain() {
        Ok(set) => set,
        Err(exit) => return exit,
    };
    let source = |id: &str| set.source(id).map(ToString::to_string).unwrap_or_default();
    let mut rows = vec![["NAME", "KIND", "ENFORCEMENT", "SEVERITY", "SOURCE", "TITLE"].map(str::to_owned)];
    for policy in set.policies() {
        let (enforcement, severity) = (policy.enforcement.word().to_owned(), policy.severity.word().to_owned());
        rows.push([policy.id.to_string(), policy.kind().into(), enforcement, severity, source(&policy.id), policy.title.clone()]);
    }
    for policy in set.injections() {
        rows.push([policy.id.to_string(), "InjectionPolicy".into(), "-".into(), "-".into(), source(&policy.id), policy.title.clone()]);
    }
    print(&columns(&rows));
    Exit::Clean
}
