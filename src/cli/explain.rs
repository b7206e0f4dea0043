//! `doorward explain`: a rule, or a workload: who it will be, what it may obtain, which rules judge it, and what to change.

use super::exit::Exit;
use super::inventory::Output;
use super::sources::{ContextArgs, PolicyArgs};
use super::subjects::{LiveArgs, Subjects};
use super::{complain, print};
use crate::policy::PolicySet;
use crate::report::{About, Explanation, to_json};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doorward explain token-ttl-limit\n  doorward explain deploy/api.yaml\n  doorward explain payments/api-7d4f --kubeconfig admin.kubeconfig"
)]
pub(super) struct Args {
    /// Id of a rule; a file, folder, glob or `-`; or NAMESPACE/POD of a cluster
    #[arg(value_name = "RULE|FILE|NS/POD")]
    subject: String,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    context: ContextArgs,
}

/// What `-o json` prints of objects.
#[derive(serde::Serialize)]
struct Objects<'e> {
    objects: &'e [Explanation],
}

pub(super) fn run(args: &Args) -> Exit {
    let set = match args.policies.load_beside(&args.context) {
        Ok(set) => set,
        Err(exit) => return exit,
    };
    if let Some(rule) = About::of(&set, &args.subject) {
        print(&match args.output {
            Output::Table => rule.to_text(),
            Output::Json => to_json(&rule),
        });
        return Exit::Clean;
    }
    let mut subjects = match subjects(args, &set) {
        Ok(subjects) => subjects,
        Err(exit) => return exit,
    };
    let (index, now, mut errors) = (subjects.index(), jiff::Timestamp::now().as_second(), Vec::new());
    let mut explanations = Vec::new();
    for document in &subjects.loaded.documents {
        match Explanation::new(&set, subjects.source(), document, &index, &subjects.namespace, now) {
            Ok(explanation) => explanations.push(explanation),
            Err(error) => errors.push(error),
        }
    }
    print(&match args.output {
        Output::Table => explanations.iter().map(Explanation::to_text).collect::<Vec<_>>().join("\n"),
        Output::Json => to_json(&Objects { objects: &explanations }),
    });
    subjects.loaded.errors.extend(errors);
    if subjects.complain() { Exit::Input } else { Exit::Clean }
}

fn subjects(args: &Args, set: &PolicySet) -> Result<Subjects, Exit> {
    let named = &args.subject;
    let is_path = named == "-" || named.contains(['*', '?', '[']) || std::path::Path::new(named).exists();
    match named.split_once('/') {
        _ if is_path => Ok(Subjects::of_files(std::slice::from_ref(named), &args.context)),
        _ if looks_like_a_file(named) => {
            complain(format!("no such file: `{}`; a Pod of a cluster is named NAMESPACE/POD", crate::object::quoted(named)));
            Err(Exit::Input)
        }
        Some((namespace, pod)) if !namespace.is_empty() && !pod.contains('/') => {
            Subjects::of_cluster(set, &args.live, Some(namespace), Some(pod))
        }
        _ => {
            complain(format!("`{}` is neither a rule, a file, nor NAMESPACE/POD{}", crate::object::quoted(named), set.nearest(named)));
            Err(Exit::Input)
        }
    }
}

/// Whether a name can only have been meant as that of a file: no namespace and no Pod is called so, or hardly any.
fn looks_like_a_file(named: &str) -> bool {
    let path = std::path::Path::new(named);
    let is_manifest = path.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending.eq_ignore_ascii_case(known)));
    let in_folder = path.parent().is_some_and(|folder| !folder.as_os_str().is_empty() && folder.is_dir());
    is_manifest || in_folder || named.starts_with(['.', '/', '~']) || named.ends_with('/') || named.matches('/').count() > 1
}
