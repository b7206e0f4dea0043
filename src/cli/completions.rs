//! `doorward completions`: a script for a shell.

use clap::CommandFactory as _;

use super::exit::Exit;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "doorward", &mut script);
    super::print(&String::from_utf8_lossy(&script));
    Exit::Clean
}
