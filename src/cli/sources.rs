//! The flags that several commands share, and reading what they name. Nothing is discovered inside the paths that are judged:
//! policies, settings and waivers come only from the paths given here.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::exit::Exit;
use crate::admission::Coverage;
use crate::manifest::{self, Document, InputError, Loaded};
use crate::policy::{Counterexample, PolicySet, Release, Sources, Text, load, prove_all};
use crate::settings::Settings;

/// Which policies are in force, and how.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct PolicyArgs {
    /// Folder or file of policies; a policy of the same name as a built-in one replaces it (repeatable)
    #[arg(long = "policies", value_name = "DIR")]
    pub(super) policies: Vec<String>,
    /// Leave the built-in policies out
    #[arg(long)]
    pub(super) no_builtin: bool,
    /// Settings file (`doorward.yaml`)
    #[arg(long, value_name = "FILE")]
    pub(super) settings: Option<PathBuf>,
    /// File of IdentityWaivers; giving it is their approval (repeatable)
    #[arg(long = "waivers", value_name = "FILE")]
    pub(super) waivers: Vec<PathBuf>,
}

/// What surrounds the objects that are judged.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ContextArgs {
    /// Folder or file of related objects that are read but not judged (repeatable)
    #[arg(long = "context", value_name = "DIR")]
    pub(super) context: Vec<String>,
    /// Namespace of objects that name none [default: default]; of a cluster, the only one that is read
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,
}

impl PolicyArgs {
    /// Reads the files and makes the set.
    pub(super) fn load(&self, fallback: Option<Settings>) -> Result<PolicySet, Vec<InputError>> {
        self.load_for(fallback, None)
    }

    /// The same for a release of Kubernetes, if that is known.
    pub(super) fn load_for(&self, fallback: Option<Settings>, release: Option<Release>) -> Result<PolicySet, Vec<InputError>> {
        let mut errors = Vec::new();
        let mut file = |path: &Path| match read(path) {
            Ok(text) => Some(text),
            Err(error) => {
                errors.push(error);
                None
            }
        };
        let settings = self.settings.as_deref().and_then(&mut file);
        let waivers: Vec<Text> = self.waivers.iter().filter_map(|path| file(path)).collect();
        let policies = policy_texts(&self.policies, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let now = jiff::Timestamp::now().as_second();
        load(&Sources { no_builtin: self.no_builtin, policies, settings, fallback, waivers, now, release })
    }

    /// As [`PolicyArgs::load`]; tells the mistakes and how the command ends by them, and what is doubtful.
    pub(super) fn load_or_complain(&self) -> Result<PolicySet, Exit> {
        self.load_beside(&ContextArgs::default())
    }

    /// As [`PolicyArgs::load_or_complain`], beside what may define the kinds that the policies judge.
    pub(super) fn load_beside(&self, context: &ContextArgs) -> Result<PolicySet, Exit> {
        let set = self.load(None).map_err(|errors| {
            complain_all(&errors);
            Exit::Policy
        })?;
        complain_all(&self.doubts(context));
        Ok(set)
    }

    /// What the schemas say against the policies of the files; they are in force nevertheless, as in Kubernetes.
    pub(super) fn doubts(&self, context: &ContextArgs) -> Vec<InputError> {
        // What cannot be read of the context is told where it is read to judge by.
        if self.policies.is_empty() { Vec::new() } else { super::lint::doubts(&self.policies, &context.load().0) }
    }
}

/// The policy files below the folders given. A folder of the built-in shape (`<id>/policy.yaml` with `cases/` beside it) gives its
/// policies only.
pub(super) fn policy_texts(paths: &[String], errors: &mut Vec<InputError>) -> Vec<Text> {
    let discovered = manifest::discover(paths);
    errors.extend(discovered.errors);
    let is_case = |name: &str| Path::new(name).parent().and_then(Path::file_name).is_some_and(|folder| folder == "cases");
    let mut texts = Vec::new();
    for file in discovered.files.iter().filter(|file| !(file.found && is_case(&file.name))) {
        match read(Path::new(&file.name)) {
            Ok(text) => texts.push(text),
            Err(error) => errors.push(error),
        }
    }
    texts
}

/// The native policies that a webhook would never be asked about, each as a mistake of its file.
pub(super) fn unseen(set: &PolicySet) -> Vec<InputError> {
    let mistake = |(policy, reason): (&str, String)| {
        let file = set.source(policy).map(ToString::to_string).unwrap_or_default();
        InputError { file, message: format!("ValidatingAdmissionPolicy `{policy}`: {reason}"), ..InputError::default() }
    };
    Coverage::unseen(set).into_iter().map(mistake).collect()
}

/// The injections that an operator's settings break, each as a mistake of its policy, with the pod that shows it.
pub(super) fn unproven(set: &PolicySet) -> Vec<InputError> {
    let mistake = |(policy, counterexample): (String, Box<Counterexample>)| {
        let file = set.source(&policy).map(ToString::to_string).unwrap_or_default();
        let message = format!("InjectionPolicy `{policy}`: under these settings {counterexample}");
        InputError { file, message, ..InputError::default() }
    };
    prove_all(set).into_iter().map(mistake).collect()
}

/// Reads a file that was named.
pub(super) fn read(path: &Path) -> Result<Text, InputError> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Text { name, text }),
        Err(error) => Err(InputError { file: name, message: format!("cannot be read: {error}"), ..InputError::default() }),
    }
}

/// Reads the objects of some paths, several files at once.
pub(super) fn objects(paths: &[String]) -> Loaded {
    let discovered = manifest::discover(paths);
    let mut all = Loaded { errors: discovered.errors, notes: discovered.notes, ..Loaded::default() };
    let parts: Vec<Loaded> = discovered.files.par_iter().map(manifest::load_file).collect();
    for part in parts {
        all.extend(part);
    }
    all
}

impl ContextArgs {
    /// Namespace of objects that name none.
    pub(super) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }

    /// The namespace that was named, if one was.
    pub(super) fn only_namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The related objects.
    pub(super) fn load(&self) -> (Vec<Document>, Vec<InputError>) {
        let loaded = objects(&self.context);
        (loaded.documents, loaded.errors)
    }
}

/// Tells every mistake, one a line.
pub(super) fn complain_all(errors: &[InputError]) {
    for error in errors {
        super::complain(error);
    }
}
