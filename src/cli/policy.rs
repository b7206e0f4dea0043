//! `doorward policy`: the policies in force.

use super::exit::Exit;
use super::print;
use super::sources::PolicyArgs;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the policies, each with where it comes from
    List(ListArgs),
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
        rows.push([policy.id.to_string(), "IdentityPolicy".into(), enforcement, severity, source(&policy.id), policy.title.clone()]);
    }
    for policy in set.injections() {
        rows.push([policy.id.to_string(), "InjectionPolicy".into(), "-".into(), "-".into(), source(&policy.id), policy.title.clone()]);
    }
    print(&columns(&rows));
    Exit::Clean
}

/// Columns as wide as their widest entry; the last one as it is.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}
