//! `doorward policy export`: the policies in the words of another engine.

use super::exit::Exit;
use super::sources::PolicyArgs;
use super::{complain, print};
use crate::manifest;
use crate::object::Object;
use crate::policy::{PolicySet, export};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// As the API server's own policies with their bindings, as far as CEL alone can say them; each says which release of Kubernetes it needs
    Vap(VapArgs),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What cannot be written is told on standard error with the reason.\n\nExamples:\n  doorward policy export vap --settings doorward.yaml | kubectl apply -f -\n  doorward policy export vap no-host-namespaces -o json"
)]
pub(super) struct VapArgs {
    /// Rules to write; all if none is named
    #[arg(value_name = "RULE")]
    rules: Vec<String>,
    /// Output format: yaml or json
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    output: Output,
    #[command(flatten)]
    policies: PolicyArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    Yaml,
    Json,
}

pub(super) fn run(command: &Command) -> Exit {
    let Command::Vap(args) = command;
    match args.policies.load_or_complain() {
        Ok(set) => vap(args, &set),
        Err(exit) => exit,
    }
}

fn vap(args: &VapArgs, set: &PolicySet) -> Exit {
    if let Some(unknown) = args.rules.iter().find(|rule| set.policy(rule).is_none()) {
        complain(format!("there is no rule `{unknown}`; `doorward policy list` names them all"));
        return Exit::Usage;
    }
    let exported = export(set, &|rule| args.rules.is_empty() || args.rules.iter().any(|wanted| wanted == rule));
    for omission in &exported.omissions {
        complain(format!("{} {}: left out, because it {}", omission.rule, omission.place, omission.reason));
    }
    for note in &exported.notes {
        complain(format!("note: {note}"));
    }
    let documents: Vec<_> = exported.policies.iter().flat_map(|policy| [&policy.policy, &policy.binding]).collect();
    match args.output {
        Output::Json => {
            let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": documents });
            print(&format!("{}\n", serde_json::to_string_pretty(&list).unwrap_or_default()));
        }
        Output::Yaml => {
            let yaml = |document: &serde_json::Value| Object::from_serialize(document).map(|object| manifest::to_yaml(object.root()));
            let texts: Vec<String> = documents.into_iter().filter_map(|document| yaml(document).ok()).collect();
            print(&texts.join("---\n"));
        }
    }
    // Who names a rule wants it written.
    let missing = args.rules.iter().any(|wanted| !exported.policies.iter().any(|policy| policy.rule == *wanted));
    if missing { Exit::Policy } else { Exit::Clean }
}
