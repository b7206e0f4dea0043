//! `doorward cel`: a bench for writers of expressions.
//!
//! - `scene`: the variables that an expression sees, from files
//! - `answer`: what became of one expression, as text and as JSON
//! - `stream`: many expressions, a JSON document a line

mod answer;
mod scene;
mod stream;

use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use super::exit::Exit;
use super::sources::{self, complain_all, objects};
use super::{complain, print, tell};
use crate::cel::{Budget, EXPRESSION_LIMIT, EvaluationError, Expression, remedy_of_constant};
use crate::manifest::{self, InputError};
use crate::object::{Kind, Object};
use crate::policy::Text;
use crate::report::render_mistake;

use answer::Answer;
use scene::{Scene, beyond_int};

/// What an expression that is given as an argument is called in errors.
const ARGUMENT: &str = "<expression>";

const EXAMPLES: &str = "\
Variables are those of a ValidatingAdmissionPolicy, and whatever else --vars names. `oldObject` and `params` are null unless they are \
given.

Examples:
  doorward cel \"'a,b'.split(',')\"
  doorward cel --object pod.yaml 'object.spec.containers.all(c, !has(c.securityContext))'
  doorward cel --file rule.cel --vars review.yaml -o json
  doorward cel --jsonl --object pod.yaml < expressions.jsonl

Exit codes: 0 a value, 1 the evaluation failed, 2 the expression does not compile, 3 bad input, 64 wrong usage";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The expression
    #[arg(value_name = "EXPR", required_unless_present_any = ["file", "jsonl"], conflicts_with_all = ["file", "jsonl"])]
    expression: Option<String>,
    /// Read the expression from a file, or from standard input (`-`)
    #[arg(long, value_name = "FILE", conflicts_with = "jsonl")]
    file: Option<String>,
    /// Evaluate many: reads `{"expr": ..., "vars": {...}}` a line from standard input, writes the line back with `value`, `type` and
    /// `cost`, or with `error`
    #[arg(long, conflicts_with = "output")]
    jsonl: bool,
    /// Manifest that becomes `object`: a file with one document, or `-`
    #[arg(long, value_name = "FILE")]
    object: Option<String>,
    /// YAML or JSON file, or `-`, whose keys are variables: object, oldObject, request, params, namespaceObject, or any other name
    #[arg(long, value_name = "FILE")]
    vars: Option<String>,
    /// Cost limit; the default is the one of the API server
    #[arg(long, value_name = "N", default_value_t = EXPRESSION_LIMIT)]
    limit: u64,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn run(args: &Args) -> Exit {
    let from_stdin = [&args.file, &args.object, &args.vars].into_iter().flatten().filter(|path| *path == "-").count();
    if from_stdin + usize::from(args.jsonl) > 1 {
        complain("standard input can be read once: give `-` or --jsonl one time");
        return Exit::Usage;
    }
    let layers = match layers(args) {
        Ok(layers) => layers,
        Err(errors) => {
            complain_all(&errors);
            return Exit::Input;
        }
    };
    let scene = Scene::new(layers.iter().map(Object::root));
    if args.jsonl {
        return stream::run(&scene, args.limit);
    }
    let (name, source) = match (&args.expression, &args.file) {
        (_, Some(path)) => match text(path) {
            Ok(text) => (text.name, text.text),
            Err(error) => {
                complain(error);
                return Exit::Input;
            }
        },
        (expression, None) => (ARGUMENT.to_owned(), expression.clone().unwrap_or_default()),
    };
    one(args, &scene, &name, &source)
}

/// Evaluates one expression and shows what became of it.
fn one(args: &Args, scene: &Scene<'_>, name: &str, source: &str) -> Exit {
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let shown = |message: &str, bytes: &Range<usize>, remedy: Option<&str>| render_mistake(message, bytes, remedy, source, name, colour);
    let expression = match Expression::compile(source, scene.scope()) {
        Ok(expression) => expression,
        Err(error) => {
            match args.output {
                Format::Text => tell(&shown(&error.message, &error.span, error.remedy(scene.scope()).as_deref())),
                Format::Json => print(&Answer::of_mistake(&error, scene.scope()).to_text_of_json()),
            }
            return Exit::Policy;
        }
    };
    let budget = Budget::new(args.limit);
    let outcome = expression.evaluate(scene, &budget);
    let exit = if outcome.is_ok() { Exit::Clean } else { Exit::Violations };
    match (args.output, outcome) {
        (Format::Json, outcome) => print(&Answer::of(outcome.as_ref(), budget.spent()).to_text_of_json()),
        (Format::Text, Ok(value)) => print(&answer::text(&value, budget.spent(), args.limit)),
        (Format::Text, Err(error)) => {
            // Of a constant that is refused the place is known.
            let refused = expression.refused_constants();
            match refused.iter().find(|constant| error == EvaluationError::Failed(constant.message.clone())) {
                Some(constant) => {
                    tell(&shown(&constant.message, &constant.span, Some(remedy_of_constant(constant.function))));
                    tell(&answer::costs(budget.spent(), args.limit));
                }
                None => tell(&answer::failure(&error, budget.spent(), args.limit)),
            }
        }
    }
    exit
}

/// The maps of variables that were given; of a name in several the last one counts.
fn layers(args: &Args) -> Result<Vec<Object>, Vec<InputError>> {
    let mut layers = Vec::new();
    if let Some(path) = &args.vars {
        layers.push(variables(path)?);
    }
    if let Some(path) = &args.object {
        layers.push(manifest_as_object(path)?);
    }
    Ok(layers)
}

/// A document whose keys are the names of variables.
fn variables(path: &str) -> Result<Object, Vec<InputError>> {
    let text = text(path).map_err(|error| vec![error])?;
    let loaded = manifest::read(&text.name, &text.text);
    if !loaded.errors.is_empty() {
        return Err(loaded.errors);
    }
    let wrong = |message: &str| vec![InputError { file: text.name.clone(), message: message.to_owned(), ..InputError::default() }];
    let mut documents = loaded.documents.into_iter();
    match (documents.next(), documents.next()) {
        (Some(document), None) if document.object.root().kind() == Kind::Map => match beyond_int(document.object.root(), &text.text) {
            None => Ok(document.object),
            Some(reason) => Err(wrong(&reason)),
        },
        (Some(_), None) => Err(wrong("must be a map whose keys are the names of variables, such as `object:`")),
        (None, _) => Err(wrong("holds nothing: write a map whose keys are the names of variables, such as `object:`")),
        (Some(_), Some(_)) => Err(wrong("holds several documents: one map of variables is read")),
    }
}

/// The one manifest of a file, as the variable `object`.
fn manifest_as_object(path: &str) -> Result<Object, Vec<InputError>> {
    let loaded = objects(&[path.to_owned()]);
    if !loaded.errors.is_empty() {
        return Err(loaded.errors);
    }
    let wrong = |message: String| vec![InputError { file: path.to_owned(), message, ..InputError::default() }];
    match loaded.documents.as_slice() {
        [document] => Object::from_serialize(&std::collections::BTreeMap::from([("object", document.object.root())]))
            .map_err(|error| wrong(error.to_string())),
        [] => Err(wrong("no Kubernetes object was found there".to_owned())),
        many => Err(wrong(format!("holds {} objects: give a file with one", many.len()))),
    }
}

fn text(path: &str) -> Result<Text, InputError> {
    if path != "-" {
        return sources::read(Path::new(path));
    }
    let name = "<stdin>".to_owned();
    let mut text = String::new();
    let limit = manifest::MAX_FILE_BYTES as u64 + 1;
    match std::io::stdin().lock().take(limit).read_to_string(&mut text) {
        Ok(_) => Ok(Text { name, text }),
        Err(error) => Err(InputError { file: name, message: format!("cannot be read: {error}"), ..InputError::default() }),
    }
}
