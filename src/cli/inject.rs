//! `doorward inject`: a manifest as it will be.

use super::exit::Exit;
use super::sources::{ContextArgs, PolicyArgs, complain_all, objects};
use super::{complain, print};
use crate::manifest::{self, Document};
use crate::object::{Node, Object};
use crate::policy::{Facts, Mutation, RelatedIndex, Source, Subject, inject_virtually};

#[derive(Debug, clap::Args)]
#[command(after_help = "Namespaces that ask for injections must be among the files or in --context.")]
pub(super) struct Args {
    /// File, folder, glob, or `-` for standard input (repeatable)
    #[arg(short, long = "filename", required = true, value_name = "FILE")]
    filename: Vec<String>,
    /// Print the RFC 6902 patches instead, one a line
    #[arg(long)]
    patch: bool,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    context: ContextArgs,
}

pub(super) fn run(args: &Args) -> Exit {
    let set = match args.policies.load_or_complain() {
        Ok(set) => set,
        Err(exit) => return exit,
    };
    let loaded = objects(&args.filename);
    let (context, context_errors) = args.context.load();
    let namespace = args.context.namespace();
    let index = RelatedIndex::new(loaded.documents.iter().chain(&context).map(|document| document.object.root()), namespace, false);
    let (mut conflicts, mut undecided) = (false, false);
    for (position, document) in loaded.documents.iter().enumerate() {
        let object = document.object.root();
        let inject = |subject: &Subject<'_>, facts: &Facts<'_>| inject_virtually(&set, subject, facts);
        let now = jiff::Timestamp::now().as_second();
        let mutation = index.created(&set, Source::Manifests, object, namespace, now, inject).unwrap_or_default();
        let place = format!("{}:{}", document.source.name, document.first_line);
        for state in &mutation.injections {
            if let Some(conflict) = &state.conflict {
                complain(format!("{place}: injection {} is not possible at {}: {}", state.id, conflict.field_path, conflict.reason));
                conflicts = true;
            }
        }
        if let Some(reason) = &mutation.undecided {
            complain(format!("{place}: which injections are due is not known: {reason}; give it with --context"));
            undecided = true;
        }
        print(&shown(args.patch, position, document, &mutation));
    }
    complain_all(&loaded.errors);
    complain_all(&context_errors);
    match (loaded.errors.is_empty() && context_errors.is_empty() && !undecided, conflicts) {
        (false, _) => Exit::Input,
        (true, true) => Exit::Violations,
        (true, false) => Exit::Clean,
    }
}

fn shown(as_patch: bool, position: usize, document: &Document, mutation: &Mutation) -> String {
    if as_patch {
        return format!("{}\n", serde_json::to_string(&mutation.operations).unwrap_or_default());
    }
    let separator = if position == 0 { "" } else { "---\n" };
    let after = document.object.patched(&mutation.operations).ok();
    let root: Node<'_> = after.as_ref().map_or(document.object.root(), Object::root);
    format!("{separator}{}", manifest::to_yaml(root))
}
