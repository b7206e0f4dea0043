//! The proof beside each policy: a file with a request, its surroundings and what must come of it.
//!
//! The first document is the [`Case`], the last the object, those between are related objects. The object is judged by the policy of
//! the folder alone; injections are those of the whole set.

use serde::{Deserialize, Serialize};

use super::evaluate::{Limits, evaluate};
use super::mend::mend;
use super::related::RelatedIndex;
use super::set::PolicySet;
use super::staging::mutate;
use super::subject::{Facts, Operation, Source, Subject, manifest_request};
use super::verdict::{Certainty, Verdict, Violation};
use crate::manifest::{self, InputError};
use crate::object::{GroupVersionKind, Node, Object, ShapeError, namespace_of};
use crate::settings::Settings;

/// What a case says about its object.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// `doorward.dev/v1alpha1`.
    pub api_version: String,
    /// `Case`.
    pub kind: String,
    /// What the case shows.
    #[serde(default)]
    pub description: String,
    /// How the object comes to the door.
    #[serde(default)]
    pub from: From,
    /// What is done; `CREATE` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Resource of the request where the object is of another kind: `serviceaccounts` for the TokenRequest of `serviceaccounts/token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Subresource of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subresource: Option<String>,
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_info: Option<serde_json::Value>,
    /// Settings as in `doorward.yaml`; absent: the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<serde_json::Value>,
    /// The object before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_object: Option<serde_json::Value>,
    /// Every violation of the folder's rule, in order; an empty list says that there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Vec<Expected>>,
    /// The object after the mutating webhook; `{revision}` stands for the revision of the policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_patched: Option<serde_json::Value>,
}

/// How an object comes to the door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum From {
    /// As a manifest: injections are still to come, what is not among the files is unknown.
    #[default]
    Manifests,
    /// From the API server: a Pod is final, what is not among the documents does not exist.
    Cluster,
}

/// One violation that must come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expected {
    /// The rule; absent: the folder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The path as printed.
    pub path: String,
    /// `deny`, `warn` or `audit`.
    pub enforcement: String,
    /// A part of the message.
    #[serde(default)]
    pub message: String,
    /// Set to `true` for a finding that is not certain.
    #[serde(default)]
    pub unknown: bool,
}

/// A case and what it is about.
#[derive(Debug)]
pub struct CaseFile {
    /// The file's name.
    pub name: String,
    /// What must come of it.
    pub case: Case,
    related: Vec<Object>,
    object: Object,
}

/// How a case failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaseFailure {
    /// The violations are not those expected.
    #[error("expected {expected}, found {found}")]
    Violations {
        /// As the case says.
        expected: String,
        /// As the rule says.
        found: String,
    },
    /// The patched object is not the one expected.
    #[error("the patched object differs:\nexpected {expected}\nfound    {found}")]
    Patched {
        /// As the case says.
        expected: String,
        /// As the injections say.
        found: String,
    },
    /// The case itself is broken.
    #[error("{0}")]
    Broken(String),
}

impl CaseFile {
    /// Reads a case.
    ///
    /// # Errors
    /// What is wrong with the file, with its place.
    pub fn read(name: &str, text: &str) -> Result<Self, Vec<InputError>> {
        let loaded = manifest::read(name, text);
        let fail = |line, message: String| vec![InputError { file: name.into(), line, column: 0, message }];
        if !loaded.errors.is_empty() {
            return Err(loaded.errors);
        }
        let mut documents = loaded.documents.into_iter();
        let Some(first) = documents.next() else { return Err(fail(1, "the file is empty; a case has at least two documents".into())) };
        let case: Case = first.object.root().read().map_err(|error| {
            let position = manifest::locate(&first, &error.path);
            vec![InputError { file: name.into(), line: position.line, column: position.column, message: error.to_string() }]
        })?;
        if case.kind != "Case" {
            return Err(fail(first.first_line, format!("the first document is a `{}`; expected a `Case`", case.kind)));
        }
        if case.expect.is_some() == case.expect_patched.is_some() {
            return Err(fail(first.first_line, "a case has either `expect` or `expectPatched`".into()));
        }
        let mut related: Vec<Object> = documents.map(|document| document.object).collect();
        let Some(object) = related.pop() else {
            return Err(fail(first.first_line, "the object to judge is missing: it is the last document".into()));
        };
        Ok(Self { name: name.into(), case, related, object })
    }

    /// The object to judge.
    #[must_use]
    pub fn object(&self) -> Node<'_> {
        self.object.root()
    }

    /// What stands around it.
    pub fn related(&self) -> impl Iterator<Item = Node<'_>> {
        self.related.iter().map(Object::root)
    }

    /// The settings that the case is judged with.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn settings(&self) -> Result<Settings, CaseFailure> {
        let Some(settings) = &self.case.settings else { return Ok(Settings::default()) };
        Object::from_serialize(settings).map_err(|error| CaseFailure::Broken(error.to_string())).and_then(|object| {
            let between = |error: &ShapeError| if error.path.is_root() { ": " } else { "." };
            Settings::read(&object).map_err(|error| CaseFailure::Broken(format!("settings{}{error}", between(&error))))
        })
    }
}

/// Runs a case with the policies of a set; `rule` is the folder it stands in. `set` must have been built with [`CaseFile::settings`].
///
/// # Errors
/// [`CaseFailure`] if what came is not what the case expects.
pub fn run_case(set: &PolicySet, rule: &str, file: &CaseFile) -> Result<(), CaseFailure> {
    in_case(set, file, |subject, facts| {
        if let (Some(expected), Some(object)) = (&file.case.expect_patched, subject.object) {
            return check_patched(set, subject, facts, object, expected);
        }
        let verdict = evaluate(set, subject, facts, Limits { only: Some(rule), ..Limits::default() });
        check_violations(rule, file.case.expect.as_deref().unwrap_or_default(), &verdict)
    })
}

/// How many violations a rule finds in a case's object, and for how many of them there is a patch ([`mend`]).
///
/// # Errors
/// [`CaseFailure`] if the case cannot be run.
pub fn mended_in_case(set: &PolicySet, rule: &str, file: &CaseFile) -> Result<(usize, usize), CaseFailure> {
    in_case(set, file, |subject, facts| {
        let verdict = evaluate(set, subject, facts, Limits::default());
        let certain = |violation: &&Violation| &*violation.rule == rule && violation.certainty == Certainty::Certain;
        let found: Vec<_> = verdict.counted().filter(certain).collect();
        let mended = found.iter().filter(|violation| mend(set, subject, facts, &verdict, violation).is_some());
        Ok((found.len(), mended.count()))
    })
}

fn in_case<R>(
    set: &PolicySet,
    file: &CaseFile,
    ask: impl FnOnce(&Subject<'_>, &Facts<'_>) -> Result<R, CaseFailure>,
) -> Result<R, CaseFailure> {
    let broken = |message: &str| CaseFailure::Broken(message.to_owned());
    let object = file.object.root();
    let kind = GroupVersionKind::of(object).ok_or_else(|| broken("the object has no apiVersion or kind"))?;
    let namespace = namespace_of(object, &kind, "default");
    let request = request(&file.case, object, &kind, namespace)?;
    let old = match &file.case.old_object {
        Some(old) => Some(Object::from_serialize(old).map_err(|error| CaseFailure::Broken(error.to_string()))?),
        None => None,
    };
    // What is deleted is the old object, and there is no new one.
    let (new, old) = match request.root().text("operation") {
        "DELETE" => (None, Some(old.as_ref().map_or(object, Object::root))),
        _ => (Some(object), old.as_ref().map(Object::root)),
    };
    let in_cluster = file.case.from == From::Cluster;
    let source = match (in_cluster, file.case.expect_patched.is_some()) {
        (_, true) => Source::Mutating,
        (true, false) => Source::Validating,
        (false, false) => Source::Manifests,
    };
    let subject = Subject::from_request(source, request.root(), new, old)
        .map_err(|error| CaseFailure::Broken(error.to_string()))?
        .knowing(&set.settings.pod_templates);
    let related = RelatedIndex::new(file.related.iter().map(Object::root), "default", source != Source::Manifests);
    let facts = related.facts(set, &subject, 0);
    ask(&subject, &facts)
}

fn request(case: &Case, object: Node<'_>, kind: &GroupVersionKind, namespace: &str) -> Result<Object, CaseFailure> {
    let plain = manifest_request(object, kind, namespace);
    let mut request: serde_json::Value =
        serde_json::from_str(&plain.root().to_json()).map_err(|error| CaseFailure::Broken(error.to_string()))?;
    let operation = case.operation.as_deref().unwrap_or("CREATE");
    if Operation::parse(operation).is_none() {
        return Err(CaseFailure::Broken(format!("operation `{operation}` is none of CREATE, UPDATE, DELETE, CONNECT")));
    }
    if let Some(fields) = request.as_object_mut() {
        fields.insert("operation".into(), operation.into());
        fields.insert("uid".into(), "00000000-0000-4000-8000-000000000000".into());
        if let (Some(resource), Some(named)) = (&case.resource, fields.get_mut("resource").and_then(serde_json::Value::as_object_mut)) {
            // Of the core group, as every resource whose subresource takes another kind.
            named.insert("group".into(), "".into());
            named.insert("resource".into(), resource.as_str().into());
        }
        if let Some(subresource) = &case.subresource {
            fields.insert("subResource".into(), subresource.as_str().into());
        }
        if let Some(user) = &case.user_info {
            fields.insert("userInfo".into(), user.clone());
        }
    }
    Object::from_serialize(&request).map_err(|error| CaseFailure::Broken(error.to_string()))
}

fn check_patched(
    set: &PolicySet,
    subject: &Subject<'_>,
    facts: &Facts<'_>,
    object: Node<'_>,
    expected: &serde_json::Value,
) -> Result<(), CaseFailure> {
    let mutation = mutate(set, subject, facts);
    if let Some(reason) = mutation.undecided {
        return Err(CaseFailure::Broken(format!("the injections are undecided: {reason}")));
    }
    let before = Object::from_json(object.to_json()).map_err(|error| CaseFailure::Broken(error.to_string()))?;
    let after = before.patched(&mutation.operations).map_err(|error| CaseFailure::Broken(error.to_string()))?;
    let expected = Object::from_json(expected.to_string().replace("{revision}", set.revision()))
        .map_err(|error| CaseFailure::Broken(error.to_string()))?;
    if after.root() == expected.root() {
        return Ok(());
    }
    Err(CaseFailure::Patched { expected: manifest::to_yaml(expected.root()), found: manifest::to_yaml(after.root()) })
}

fn check_violations(rule: &str, expected: &[Expected], verdict: &Verdict) -> Result<(), CaseFailure> {
    let found: Vec<_> = verdict.counted().collect();
    let fits = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| {
            expected.rule.as_deref().unwrap_or(rule) == &*found.rule
                && expected.path == found.path.to_string()
                && expected.enforcement == found.enforcement.word()
                && found.message.contains(&expected.message)
                && expected.unknown == (found.certainty == Certainty::Unknown)
        });
    if fits {
        return Ok(());
    }
    let expected: Vec<String> = expected
        .iter()
        .map(|entry| format!("{}{} at `{}`: {}", if entry.unknown { "unknown " } else { "" }, entry.enforcement, entry.path, entry.message))
        .collect();
    let found: Vec<String> = found
        .iter()
        .map(|entry| {
            let unknown = if entry.certainty == Certainty::Unknown { "unknown " } else { "" };
            format!("{unknown}{} at `{}`: {}", entry.enforcement.word(), entry.path, entry.message)
        })
        .collect();
    Err(CaseFailure::Violations { expected: listed(&expected), found: listed(&found) })
}

fn listed(entries: &[String]) -> String {
    if entries.is_empty() { "no violation".into() } else { entries.join("; ") }
}
