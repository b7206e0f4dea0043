//! `doorward policy lint`: policies against the schemas of what they judge.

use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::print;
use super::sources::{PolicyArgs, objects, policy_texts, unproven};
use super::subjects::read_cluster;
use crate::cel::Expression;
use crate::cluster::Wanted;
use crate::manifest::{self, Document, InputError};
use crate::object::FieldPath;
use crate::policy::{Finding, Ground, POLICIES, Release, Schemas, Text, Weight, lint, param_kinds};
use crate::report::{Linted, findings_as_json, findings_as_text};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without FILES the built-in policies are looked at. Exit codes: 0 nothing found, 1 findings (notes count with --strict only), 2 a policy \
                  that would be refused, 3 a file that cannot be read.\n\nExamples:\n  doorward policy lint policies/\n  doorward policy lint --target 1.32 \
                  --strict my-policy.yaml\n  doorward policy lint --crds crds/ policies/\n  doorward policy lint --cluster --kubeconfig admin.kubeconfig policies/"
)]
pub(super) struct Args {
    /// Policy files, folders or globs
    #[arg(value_name = "FILES")]
    files: Vec<String>,
    /// Further folders or files of policies (repeatable)
    #[arg(long = "policies", value_name = "DIR")]
    policies: Vec<String>,
    /// Folder or file of custom resource definitions; objects of other custom kinds are of any type (repeatable)
    #[arg(long = "crds", value_name = "DIR")]
    crds: Vec<String>,
    /// Take the custom resource definitions of the cluster too
    #[arg(long)]
    cluster: bool,
    /// Kubeconfig of the cluster; in a pod its own ServiceAccount is used
    #[arg(long, value_name = "FILE", requires = "cluster")]
    kubeconfig: Option<PathBuf>,
    /// The release of Kubernetes whose expressions may be used
    #[arg(long, value_name = "RELEASE")]
    target: Option<Release>,
    /// Prove the injections, the built-in ones too, under these settings as well (a second or two)
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Let notes fail too
    #[arg(long)]
    strict: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Table,
    Json,
}

pub(super) fn run(args: &Args) -> Exit {
    let mut errors = Vec::new();
    let paths: Vec<String> = args.files.iter().chain(&args.policies).cloned().collect();
    let texts = if paths.is_empty() { built_in() } else { policy_texts(&paths, &mut errors) };
    let crds = objects(&args.crds);
    errors.extend(crds.errors);
    let mut schemas = with_definitions(&crds.documents);
    if args.cluster {
        let definitions = ("apiextensions.k8s.io".to_owned(), "customresourcedefinitions".to_owned());
        let wanted = Wanted { resources: [definitions].into(), ..Wanted::default() };
        match read_cluster(args.kubeconfig.as_deref(), &wanted) {
            Ok(definitions) => definitions.objects.iter().for_each(|object| schemas.add(object.root())),
            Err(exit) => return exit,
        }
    }
    if texts.is_empty() && errors.is_empty() {
        let message = "no policy was found there".to_owned();
        errors.push(InputError { file: paths.join(" "), message, ..InputError::default() });
    }
    let unread = !errors.is_empty();
    let unproven = match &args.settings {
        None => Vec::new(),
        Some(_) => {
            let given = PolicyArgs { policies: paths.clone(), settings: args.settings.clone(), ..PolicyArgs::default() };
            given.load(None).map_or_else(|errors| errors, |set| unproven(&set))
        }
    };
    let mut files = look_at_all(&texts, schemas, args.target, !paths.is_empty());
    if unread {
        files.push(Linted { errors, ..Linted::default() });
    }
    if !unproven.is_empty() {
        let file = args.settings.as_deref().map(|file| file.display().to_string()).unwrap_or_default();
        files.push(Linted { file, errors: unproven, ..Linted::default() });
    }
    let colour = args.output == Output::Table && anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
    print(&match args.output {
        Output::Table => findings_as_text(&files, colour),
        Output::Json => findings_as_json(&files),
    });
    let broken = files.iter().any(|file| !file.file.is_empty() && !file.errors.is_empty());
    match files.iter().flat_map(|file| &file.findings).map(|finding| finding.weight).min() {
        Some(Weight::Error) => Exit::Policy,
        _ if broken => Exit::Policy,
        _ if unread => Exit::Input,
        Some(Weight::Warning) => Exit::Violations,
        Some(Weight::Note) if args.strict => Exit::Violations,
        _ => Exit::Clean,
    }
}

fn built_in() -> Vec<Text> {
    POLICIES.iter().map(|(name, text)| Text { name: (*name).to_owned(), text: (*text).to_owned() }).collect()
}

/// Kubernetes' own kinds, and those that some documents define.
fn with_definitions(documents: &[Document]) -> Schemas {
    let mut schemas = Schemas::built_in();
    documents.iter().for_each(|document| schemas.add(document.object.root()));
    schemas
}

/// What policies that load are doubtful about, each as a mistake of its file: told where they are taken into use. Custom kinds are
/// known as far as they are defined beside what is judged.
pub(super) fn doubts(paths: &[String], beside: &[Document]) -> Vec<InputError> {
    // What cannot be read was told when the policies were loaded.
    let texts = policy_texts(paths, &mut Vec::new());
    let mut doubts = Vec::new();
    for file in look_at_all(&texts, with_definitions(beside), None, false) {
        for finding in file.findings.into_iter().filter(|found| found.weight == Weight::Warning) {
            let Finding { line, column, path, message, remedy, .. } = finding;
            let remedy = remedy.map_or_else(String::new, |remedy| format!(": {remedy}"));
            doubts.push(InputError { file: file.file.clone(), line, column, message: format!("warning: {path}: {message}{remedy}") });
        }
    }
    doubts
}

fn look_at_all(texts: &[Text], schemas: Schemas, target: Option<Release>, on_disk: bool) -> Vec<Linted> {
    let failed = |text: &Text, reason: &str| {
        let error = InputError { file: text.name.clone(), message: reason.to_owned(), ..InputError::default() };
        Linted { file: text.name.clone(), text: text.text.clone(), errors: vec![error], ..Linted::default() }
    };
    // Few policies take parameters, and what they take may stand in any file.
    let takes = texts.iter().filter(|text| text.text.contains("paramKind"));
    let params = takes.flat_map(|text| param_kinds(&manifest::load(&text.name, &text.text).documents)).collect();
    let ground = Ground { schemas, target, params };
    Expression::map_on_parser_stacks(texts, |text| look_at(text, &ground, on_disk), failed)
}

fn look_at(text: &Text, ground: &Ground, on_disk: bool) -> Linted {
    let loaded = manifest::load(&text.name, &text.text);
    let mut findings: Vec<Finding> = loaded.documents.iter().flat_map(|document| lint(document, ground)).collect();
    if on_disk && !loaded.documents.is_empty() && !has_cases(Path::new(&text.name)) {
        findings.push(Finding {
            weight: Weight::Note,
            path: FieldPath::root(),
            message: "no case proves it: write `cases/*.yaml` beside it, one that is allowed and one that is denied for each validation"
                .into(),
            remedy: None,
            span: 0..0,
            line: 0,
            column: 0,
        });
    }
    Linted { file: text.name.clone(), text: text.text.clone(), findings, errors: loaded.errors }
}

/// Whether cases stand beside a policy.
fn has_cases(policy: &Path) -> bool {
    let folder = policy.parent().unwrap_or(Path::new("")).join("cases");
    let yaml = |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    std::fs::read_dir(folder).is_ok_and(|entries| entries.filter_map(Result::ok).any(yaml))
}
