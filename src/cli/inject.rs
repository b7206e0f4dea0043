//! `doorward inject`: a manifest as it will be.

use super::exit::Exit;
use super::sources::{ContextArgs, PolicyArgs, complain_all, objects, unproven};
use super::{complain, print};
use crate::manifest::{self, Document};
use crate::object::{Object, OriginMap};
use crate::policy::{Facts, Mutation, RelatedIndex, Source, Subject, inject_virtually};

#[derive(Debug, clap::Args)]
#[command(after_help = "Namespaces that ask for injections must be among the files or in --context.")]
pub(super) struct Args {
    /// File, folder, glob, or `-` for standard input (repeatable)
    #[arg(short, long = "filename", required = true, value_name = "FILE")]
    filename: Vec<String>,
    /// Print the RFC 6902 patches instead, one a line
    #[arg(long, conflicts_with = "diff")]
    patch: bool,
    /// Print what changes instead, as a unified diff of the normalised manifests
    #[arg(long)]
    diff: bool,
    /// Prove every injection under these settings first: on pods of all shapes, among other webhooks in every order (a second or two)
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    context: ContextArgs,
}

pub(super) fn run(args: &Args) -> Exit {
    let set = match args.policies.load_beside(&args.context) {
        Ok(set) => set,
        Err(exit) => return exit,
    };
    if args.check {
        let unproven = unproven(&set);
        complain_all(&unproven);
        if !unproven.is_empty() {
            return Exit::Policy;
        }
    }
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
                let (path, reason) = (&conflict.field_path, &conflict.reason);
                complain(format!("{place}: injection {} is not possible at {path}: {reason}; {}", state.id, conflict.remedy));
                conflicts = true;
            }
        }
        if let Some(reason) = &mutation.undecided {
            complain(format!("{place}: which injections are due is not known: {reason}; give it with --context"));
            undecided = true;
        }
        print(&match (args.patch, args.diff) {
            (true, _) => format!("{}\n", serde_json::to_string(&mutation.operations).unwrap_or_default()),
            (_, true) => difference(&place, document, &mutation),
            _ => format!("{}{}", if position == 0 { "" } else { "---\n" }, injected(document, &mutation)),
        });
    }
    complain_all(&loaded.errors);
    complain_all(&context_errors);
    match (loaded.errors.is_empty() && context_errors.is_empty() && !undecided, conflicts) {
        (false, _) => Exit::Input,
        (true, true) => Exit::Violations,
        (true, false) => Exit::Clean,
    }
}

/// The manifest after the injections: what they do not change is the author's to the letter, as far as its meaning hangs on it.
fn injected(document: &Document, mutation: &Mutation) -> String {
    let (mut after, mut origins, by) = (Object::detached(document.object.root()), OriginMap::default(), "injected".into());
    for operation in &mutation.operations {
        if after.apply(operation, |before| origins.follow(before, operation, &by)).is_err() {
            return as_written(document);
        }
    }
    manifest::to_yaml_as_written(after.root(), document, &origins)
}

fn as_written(document: &Document) -> String {
    manifest::to_yaml_as_written(document.object.root(), document, &OriginMap::default())
}

/// What the injections change, line by line; nothing for an object that they leave alone. Both sides are written anew, so that only what
/// is added or taken away differs, not how its author lays out YAML.
fn difference(place: &str, document: &Document, mutation: &Mutation) -> String {
    let (before, after) = (as_written(document), injected(document, mutation));
    let difference = similar::TextDiff::from_lines(&before, &after);
    difference.unified_diff().context_radius(3).header(place, &format!("{place} (injected)")).to_string()
}
