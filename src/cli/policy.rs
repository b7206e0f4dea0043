//! `doorward policy`: the policies in force, what their expressions may call, and what every file and interface looks like.

mod functions;
mod list;
mod schema;

use super::exit::Exit;
use super::export;
use crate::report::columns;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the policies, each with where it comes from and what a violation does under the settings; and who is let off
    List(list::Args),
    /// List the functions and macros of expressions, with cost and first release of Kubernetes
    Functions(functions::Args),
    /// Print the JSON Schema of a file or an interface
    Schema(schema::Args),
    /// Write policies out for another engine
    #[command(subcommand)]
    Export(export::Command),
    /// Check policies against the schemas of what they judge
    Lint(super::lint::Args),
}

pub(super) fn run(command: &Command) -> Exit {
    match command {
        Command::List(args) => list::run(args),
        Command::Functions(args) => functions::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Export(command) => export::run(command),
        Command::Lint(args) => super::lint::run(args),
    }
}
