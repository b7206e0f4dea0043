//! `doorward test`: the cases that stand beside policies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::exit::Exit;
use super::print;
use super::sources::{PolicyArgs, complain_all, read};
use crate::manifest::InputError;
use crate::policy::{CaseFailure, CaseFile, PolicySet, run_case};
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
#[command(after_help = "Each DIR holds `<id>/policy.yaml` with its cases in `<id>/cases/*.yaml`, or is such an `<id>` itself.")]
pub(super) struct Args {
    /// Folders of policies with their cases
    #[arg(value_name = "DIR", default_value = "policies")]
    paths: Vec<PathBuf>,
    /// Leave the built-in policies out
    #[arg(long)]
    no_builtin: bool,
    /// Name every case, not only those that fail
    #[arg(short, long)]
    verbose: bool,
}

struct Found {
    rule: String,
    path: PathBuf,
}

pub(super) fn run(args: &Args) -> Exit {
    let mut errors = Vec::new();
    let cases: Vec<Found> = args.paths.iter().flat_map(|path| find(path, &mut errors)).collect();
    let paths: Vec<String> = args.paths.iter().map(|path| path.display().to_string()).collect();
    if errors.is_empty() && cases.is_empty() {
        let message = "no case was found: cases stand in `<id>/cases/*.yaml`".to_owned();
        errors.push(InputError { file: paths.join(" "), message, ..InputError::default() });
    }
    if !errors.is_empty() {
        complain_all(&errors);
        return Exit::Input;
    }
    let base = PolicyArgs { policies: paths, no_builtin: args.no_builtin, ..PolicyArgs::default() };
    // The policies must compile once before any case is run with settings of its own.
    if let Err(errors) = base.load(None) {
        complain_all(&errors);
        return Exit::Policy;
    }
    let outcomes = run_all(&base, &cases);
    let mut failed = 0;
    let mut broken = false;
    let mut lines = String::new();
    for (found, outcome) in &outcomes {
        match outcome {
            Ok(()) if args.verbose => lines.push_str(&format!("ok   {}\n", found.path.display())),
            Ok(()) => {}
            Err(error) => {
                failed += 1;
                broken |= matches!(error, CaseFailure::Broken(_));
                lines.push_str(&format!("FAIL {}: {error}\n", found.path.display()));
            }
        }
    }
    lines.push_str(&format!("{} passed, {failed} failed\n", outcomes.len() - failed));
    print(&lines);
    match (failed, broken) {
        (0, _) => Exit::Clean,
        (_, true) => Exit::Input,
        _ => Exit::Violations,
    }
}

/// The cases of a folder of policies, or of one policy's folder, in order.
fn find(path: &Path, errors: &mut Vec<InputError>) -> Vec<Found> {
    let folders = if path.join("policy.yaml").is_file() { vec![path.to_owned()] } else { entries(path, errors) };
    let mut found = Vec::new();
    for folder in folders {
        let cases = folder.join("cases");
        let Some(rule) = folder.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        if cases.is_dir() {
            let files = entries(&cases, errors).into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "yaml"));
            found.extend(files.map(|path| Found { rule: rule.clone(), path }));
        }
    }
    found
}

fn entries(folder: &Path, errors: &mut Vec<InputError>) -> Vec<PathBuf> {
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
            paths.sort();
            paths
        }
        Err(error) => {
            let message = format!("cannot be read: {error}");
            errors.push(InputError { file: folder.display().to_string(), message, ..InputError::default() });
            Vec::new()
        }
    }
}

/// Runs every case, in order. Policies are compiled once for each settings: most cases have the same.
fn run_all<'f>(base: &PolicyArgs, cases: &'f [Found]) -> Vec<(&'f Found, Result<(), CaseFailure>)> {
    let files: Vec<Result<Readied, CaseFailure>> = cases.par_iter().map(ready).collect();
    let settings: BTreeMap<&str, &Settings> = files.iter().flatten().map(|file| (file.key.as_str(), &file.settings)).collect();
    let load = |settings: &Settings| base.load(Some(settings.clone())).map_err(|errors| broken(&errors));
    let sets: BTreeMap<&str, Result<PolicySet, CaseFailure>> =
        settings.into_par_iter().map(|(key, settings)| (key, load(settings))).collect();
    let run = |(found, file): (&'f Found, &Result<Readied, CaseFailure>)| {
        let outcome = file.as_ref().map_err(Clone::clone).and_then(|file| match sets.get(file.key.as_str()) {
            Some(Ok(set)) => run_case(set, &found.rule, &file.file),
            Some(Err(error)) => Err(error.clone()),
            None => Err(CaseFailure::Broken("its policies were not loaded".into())),
        });
        (found, outcome)
    };
    cases.par_iter().zip(&files).map(run).collect()
}

/// A case that was read, its settings, and their text.
struct Readied {
    file: CaseFile,
    settings: Settings,
    key: String,
}

fn ready(found: &Found) -> Result<Readied, CaseFailure> {
    let text = read(&found.path).map_err(|error| broken(&[error]))?;
    let file = CaseFile::read(&text.name, &text.text).map_err(|errors| broken(&errors))?;
    let settings = file.settings()?;
    let key = serde_json::to_string(&settings).map_err(|error| CaseFailure::Broken(error.to_string()))?;
    Ok(Readied { file, settings, key })
}

fn broken(errors: &[InputError]) -> CaseFailure {
    CaseFailure::Broken(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}
