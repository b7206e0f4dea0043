//! `doorward policy functions`: what an expression may call.

use super::columns;
use crate::cel::Reference;
use crate::cli::exit::Exit;
use crate::cli::{complain, print};

/// How much a name may differ from what was typed to be offered instead.
const NEAR: f64 = 0.7;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doorward policy functions indexOf\n  doorward policy functions -o markdown > docs/cel-functions.md")]
pub(in crate::cli) struct Args {
    /// Only the functions and macros of this name
    name: Option<String>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Table,
    Json,
    Markdown,
}

pub(super) fn run(args: &Args) -> Exit {
    let mut rows = Reference::all();
    if let Some(name) = &args.name {
        // `range` finds `lists.range`: the namespace is what one forgets.
        let is_meant = |row: &Reference| row.name == name || row.name.rsplit('.').next() == Some(name);
        if !rows.iter().any(is_meant) {
            complain(format!("there is no function or macro `{name}`{}", nearest(&rows, name)));
            return Exit::Usage;
        }
        rows.retain(is_meant);
    }
    print(&match args.output {
        Format::Table => table(&rows),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&rows).unwrap_or_default()),
        Format::Markdown => markdown(&rows),
    });
    Exit::Clean
}

fn nearest(rows: &[Reference], name: &str) -> String {
    let likeness = |row: &&Reference| strsim::jaro_winkler(row.name, name);
    let best = rows.iter().max_by(|left, right| likeness(left).total_cmp(&likeness(right)));
    best.filter(|row| likeness(row) >= NEAR).map_or(String::new(), |row| format!("; did you mean `{}`?", row.name))
}

fn table(rows: &[Reference]) -> String {
    let mut cells = vec![["SIGNATURE", "SINCE", "COST", "WHAT IT GIVES"].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| [row.signature.clone(), row.since.to_owned(), row.cost.clone(), row.doc.clone()]));
    columns(&cells)
}

/// The page `docs/cel-functions.md`.
fn markdown(rows: &[Reference]) -> String {
    let mut out = String::from(
        "# What an expression may call\n\n\
         Kubernetes' CEL as Doorward speaks it, one row an overload. `doorward policy functions -o markdown` prints this page.\n\n\
         `<T>.f()` is called on a value of type T; `A` and `B` are any types, `dyn` a value of any type. *Since* is the first release that has it.\n\
         The cost is what the API server counts besides the arguments; an expression may cost 1,000,000. Sizes are characters of a\n\
         string, bytes, items of a list, entries of a map, and each product is rounded up. `authorizer` is not here: it asks the API\n\
         server while it is evaluated, and a rule of Doorward is a function of what it is given.\n",
    );
    let cell = |text: &str| text.replace('|', "\\|");
    let (macros, functions): (Vec<&Reference>, Vec<&Reference>) = rows.iter().partition(|row| row.is_macro);
    if !macros.is_empty() {
        out.push_str("\n## Macros\n\nTheir arguments are names and expressions; a range is a list or, of a map, its keys.\n\n");
        out.push_str("| macro | gives | since | cost | an example that is true |\n|---|---|---|---|---|\n");
        for row in macros {
            let example = row.example.unwrap_or_default();
            let [signature, example] = [row.signature.as_str(), example].map(cell);
            out.push_str(&format!("| `{signature}` | {} | {} | {} | `{example}` |\n", row.doc, row.since, row.cost));
        }
    }
    if !functions.is_empty() {
        out.push_str("\n## Functions\n\n| function | gives | since | cost |\n|---|---|---|---|\n");
        for row in functions {
            out.push_str(&format!("| `{}` | {} | {} | {} |\n", cell(&row.signature), cell(&row.doc), row.since, row.cost));
        }
    }
    out
}
