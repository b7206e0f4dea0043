//! `doorward audit`: the rules of the cluster over files, with line and column, or over a live cluster.

use std::io::{IsTerminal as _, Write as _};

use indicatif::ProgressBar;
use rayon::prelude::*;

use super::exit::Exit;
use super::sources::{ContextArgs, PolicyArgs, complain_all};
use super::subjects::{SubjectArgs, Subjects};
use super::{complain, told};
use crate::manifest::Loaded;
use crate::policy::PolicySet;
use crate::report::{self, Enforcement, Format, Judged, Report, Sources};

/// From this many objects on, an audit takes long enough for a progress bar.
const LONG_WORK: usize = 5_000;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doorward audit deploy/\n  helm template chart | doorward audit -\n  doorward audit -o sarif --fail-on warn --settings doorward.yaml manifests/\n  doorward audit --cluster --kubeconfig admin.kubeconfig --namespace payments"
)]
pub(super) struct Args {
    #[command(flatten)]
    subjects: SubjectArgs,
    /// Output format: table, json or sarif
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Exit with 1 if a violation is at or above this; several by commas, as in `warn,unknown`
    #[arg(long, value_name = "ENFORCEMENT", value_delimiter = ',', default_value = "deny")]
    fail_on: Vec<FailOn>,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    context: ContextArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FailOn {
    Deny,
    Warn,
    Audit,
    /// If any rule could not be decided; beside it, as `deny` if nothing else is said
    Unknown,
}

pub(super) fn run(args: &Args) -> Exit {
    let set = match args.policies.load_beside(&args.context) {
        Ok(set) => set,
        Err(exit) => return exit,
    };
    for policy in set.policies().iter().filter(|policy| policy.annotates()) {
        complain(format!("note: the audit annotations of `{}` are evaluated and not written: there is no audit log here", policy.id));
    }
    let subjects = match args.subjects.read(&set, &args.context) {
        Ok(subjects) => subjects,
        Err(exit) => return exit,
    };
    let now = jiff::Timestamp::now().as_second();
    let judged = judge(&set, &subjects, now);
    let Loaded { documents, errors, sources, skipped, .. } = subjects.loaded;
    let report = Report::of(&set, judged, errors, now);
    let sources = Sources::of(&documents).with(sources);
    // From here on only the texts are asked for.
    drop(documents);
    let written = told(write(args.output, &report, &sources));
    if skipped > 0 && std::io::stderr().is_terminal() {
        complain(format!("{skipped} documents that are no Kubernetes objects were skipped"));
    }
    if !report.errors.is_empty() {
        if args.output != Format::Table {
            complain_all(&report.errors);
        }
        return Exit::Input;
    }
    if !written {
        return Exit::Input;
    }
    let bar = args.fail_on.iter().filter_map(|fail_on| match fail_on {
        FailOn::Deny => Some(Enforcement::Deny),
        FailOn::Warn => Some(Enforcement::Warn),
        FailOn::Audit => Some(Enforcement::Audit),
        FailOn::Unknown => None,
    });
    let fail_on = bar.min().unwrap_or(Enforcement::Deny);
    let undecided = args.fail_on.iter().any(|fail_on| matches!(fail_on, FailOn::Unknown)) && report.summary.unknown > 0;
    if report.fails(fail_on) || undecided { Exit::Violations } else { Exit::Clean }
}

/// Writes the report to standard output.
fn write(format: Format, report: &Report, sources: &Sources) -> std::io::Result<()> {
    let stdout = std::io::stdout();
    let colour = format == Format::Table && anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
    match format {
        Format::Table => report::write(format, report, sources, colour, &mut anstream::stdout().lock())?,
        // They hold no colours, and nothing that a terminal obeys.
        Format::Json | Format::Sarif => report::write(format, report, sources, colour, &mut stdout.lock())?,
    }
    stdout.lock().flush()
}

/// A bar on standard error, if that is a terminal and the work is long enough to wait for.
fn progress(objects: usize) -> ProgressBar {
    if objects < LONG_WORK {
        return ProgressBar::hidden();
    }
    ProgressBar::new(u64::try_from(objects).unwrap_or(u64::MAX))
}

/// Judges every object in the light of all of them.
fn judge(set: &PolicySet, subjects: &Subjects, now: i64) -> Vec<Judged> {
    let (index, source) = (subjects.index(), subjects.source());
    let progress = progress(subjects.loaded.documents.len());
    let judged = subjects
        .loaded
        .documents
        .par_iter()
        .map(|document| {
            let judged = Judged::new(set, source, document, &index, &subjects.namespace, now);
            progress.inc(1);
            judged
        })
        .collect();
    progress.finish_and_clear();
    judged
}
