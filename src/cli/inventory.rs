//! `doorward inventory`: the identity of every workload.

use super::exit::Exit;
use super::print;
use super::sources::{ContextArgs, PolicyArgs};
use super::subjects::SubjectArgs;
use crate::report::{Explanation, inventory, to_json};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doorward inventory deploy/\n  doorward inventory --cluster --kubeconfig admin.kubeconfig -o json")]
pub(super) struct Args {
    #[command(flatten)]
    subjects: SubjectArgs,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    context: ContextArgs,
}

/// How identities are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

/// What `-o json` prints.
#[derive(serde::Serialize)]
struct Workloads<'e> {
    workloads: &'e [Explanation],
}

pub(super) fn run(args: &Args) -> Exit {
    let set = match args.policies.load_beside(&args.context) {
        Ok(set) => set,
        Err(exit) => return exit,
    };
    let mut subjects = match args.subjects.read(&set, &args.context) {
        Ok(subjects) => subjects,
        Err(exit) => return exit,
    };
    let (index, now, mut errors) = (subjects.index(), jiff::Timestamp::now().as_second(), Vec::new());
    let mut explanations = Vec::new();
    for document in &subjects.loaded.documents {
        match Explanation::identity_only(&set, subjects.source(), document, &index, &subjects.namespace, now) {
            Ok(explanation) => explanations.extend(explanation.identity.is_some().then_some(explanation)),
            Err(error) => errors.push(error),
        }
    }
    print(&match args.output {
        Output::Table => inventory(&explanations),
        Output::Json => to_json(&Workloads { workloads: &explanations }),
    });
    subjects.loaded.errors.extend(errors);
    if subjects.complain() { Exit::Input } else { Exit::Clean }
}
