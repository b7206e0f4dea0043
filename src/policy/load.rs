//! From texts to a [`PolicySet`]: the built-in library, then folders of policies, then settings and waivers. Mistakes are collected,
//! each with file, line and column; a set is made only when there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use super::compile::read;
use super::compiled::{IdentityPolicy, InjectionPolicy};
use super::library;
use super::lint::Release;
use super::mistake::PolicyError;
use super::native::{BINDING, NativePolicy, POLICY, WrittenBinding, is_native};
use super::proof::prove;
use super::set::{PolicySet, PolicySetBuilder, PolicySource};
use super::waive::Waiver;
use super::waiver_schema::IdentityWaiverSpec;
use crate::cel::Expression;
use crate::manifest::{self, Document, InputError, SourceMap};
use crate::object::{FieldPath, GroupVersionKind, Node, Operation};
use crate::settings::Settings;

/// The text of a file and the name under which mistakes in it are told.
#[derive(Clone, Debug)]
pub struct Text {
    /// File name as the user gave it.
    pub name: String,
    /// Content.
    pub text: String,
}

/// What a [`PolicySet`] is loaded from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Whether the built-in library is left out.
    pub no_builtin: bool,
    /// Policy files, later ones replacing earlier ones.
    pub policies: Vec<Text>,
    /// The settings file; absent: every default, or what `fallback` says.
    pub settings: Option<Text>,
    /// Settings to take if there is no file.
    pub fallback: Option<Settings>,
    /// Waiver files.
    pub waivers: Vec<Text>,
    /// Now, in seconds since 1970.
    pub now: i64,
    /// The release of Kubernetes that the policies meet, if that is known.
    pub release: Option<Release>,
}

/// Loads everything that judges.
///
/// # Errors
/// Every mistake in every file.
pub fn load(sources: &Sources) -> Result<PolicySet, Vec<InputError>> {
    let mut loader = Loader::default();
    let builtin = if sources.no_builtin { &[] } else { library::POLICIES };
    let builtin = builtin.iter().map(|(name, text)| (*name, *text, PolicySource::BuiltIn));
    let files = sources.policies.iter().map(|file| (file.name.as_str(), file.text.as_str(), PolicySource::File(file.name.clone())));
    let texts: Vec<_> = builtin.chain(files).collect();
    let failed = |(name, _, _): &(&str, &str, PolicySource), reason: &str| Compiled {
        errors: vec![InputError { file: (*name).into(), message: reason.into(), ..InputError::default() }],
        ..Compiled::default()
    };
    for compiled in Expression::map_on_parser_stacks(&texts, |(name, text, source)| Compiled::read(name, text, source), failed) {
        loader.add(compiled);
    }
    loader.bind();
    let mut settings = match &sources.settings {
        Some(file) => loader.settings(file),
        None => sources.fallback.clone().unwrap_or_default(),
    };
    if let Some(release) = sources.release {
        let sidecar = &mut settings.vault.agent.native_sidecar;
        *sidecar = sidecar.where_known(release >= Release::NATIVE_SIDECARS);
    }
    for file in &sources.waivers {
        loader.waivers(file, settings.waiver.max_days, sources.now);
    }
    loader.check_names(&settings, sources.settings.as_ref());
    if !loader.errors.is_empty() {
        return Err(loader.errors);
    }
    let set = loader.builder.build(settings).map_err(|error| vec![InputError { message: error.to_string(), ..InputError::default() }])?;
    let refused = set.injections().iter().filter_map(|policy| {
        let place = loader.unproven.get(&policy.id)?;
        let counterexample = prove(&set, policy).err()?;
        Some(InputError { message: format!("spec.inject: {counterexample}"), ..place.clone() })
    });
    let refused: Vec<_> = refused.collect();
    if refused.is_empty() { Ok(set) } else { Err(refused) }
}

/// Digests of the library's own injections, which the tests prove.
fn proven() -> &'static BTreeSet<String> {
    static PROVEN: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let injections = library::POLICIES.iter().filter(|(_, text)| text.contains("kind: InjectionPolicy"));
        let documents = injections.flat_map(|(name, text)| manifest::load(name, text).documents);
        documents.map(|document| document.object.root().digest()).collect()
    });
    &PROVEN
}

/// What one text of policies gave.
#[derive(Default)]
struct Compiled {
    policies: Vec<(IdentityPolicy, PolicySource, String)>,
    injections: Vec<(InjectionPolicy, PolicySource, String)>,
    /// Where the steps of those stand that the library does not hold just so: they are to be proven.
    unproven: Vec<(Arc<str>, InputError)>,
    natives: Vec<(NativePolicy, PolicySource, Document)>,
    bindings: Vec<(WrittenBinding, Document)>,
    /// Objects of other kinds: parameters, if a native policy says so.
    others: Vec<Document>,
    errors: Vec<InputError>,
}

impl Compiled {
    fn read(name: &str, text: &str, source: &PolicySource) -> Self {
        let loaded = manifest::load(name, text);
        let mut compiled = Self { errors: loaded.errors, ..Self::default() };
        for document in loaded.documents {
            let node = document.object.root();
            let digest = node.digest();
            if is_native(node) {
                compiled.read_native(document, source);
                continue;
            }
            match node.text("kind") {
                "IdentityPolicy" => match IdentityPolicy::compile(node) {
                    Ok(policy) => compiled.policies.push((policy, source.clone(), digest)),
                    Err(errors) => compiled.errors.extend(placed(&document, errors)),
                },
                "InjectionPolicy" => match InjectionPolicy::compile(node) {
                    Ok(policy) => {
                        if !proven().contains(&digest) {
                            let path = FieldPath::of(&["spec", "inject"]);
                            let place = placed(&document, vec![PolicyError { path, message: String::new() }]);
                            compiled.unproven.extend(place.into_iter().map(|place| (policy.id.clone(), place)));
                        }
                        compiled.injections.push((policy, source.clone(), digest));
                    }
                    Err(errors) => compiled.errors.extend(placed(&document, errors)),
                },
                _ => compiled.others.push(document),
            }
        }
        compiled
    }

    fn read_native(&mut self, document: Document, source: &PolicySource) {
        let node = document.object.root();
        if node.text("kind") == POLICY {
            match NativePolicy::compile(node) {
                Ok(policy) => self.natives.push((policy, source.clone(), document)),
                Err(errors) => self.errors.extend(placed(&document, errors)),
            }
        } else {
            match WrittenBinding::read(node) {
                Ok(binding) => self.bindings.push((binding, document)),
                Err(errors) => self.errors.extend(placed(&document, errors)),
            }
        }
    }
}

/// Mistakes with the line and column where they stand.
fn placed(document: &Document, errors: Vec<PolicyError>) -> Vec<InputError> {
    let map = SourceMap::of(document);
    let place = |error: PolicyError| {
        let position = map.locate(&error.path);
        InputError { file: document.source.name.clone(), line: position.line, column: position.column, message: error.to_string() }
    };
    errors.into_iter().map(place).collect()
}

/// What takes away from a waiver what only a cluster writes, so that one that was read from a cluster can be given as a file. Its status
/// counts for nothing there: giving the file is the approval.
fn kept_by_the_cluster(waiver: Node<'_>) -> Vec<Operation> {
    const METADATA: [&str; 5] = ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"];
    let fields = METADATA.iter().map(|field| FieldPath::of(&["metadata", field])).chain([FieldPath::of(&["status"])]);
    fields.filter(|path| path.resolve(waiver).is_some()).map(Operation::remove).collect()
}

#[derive(Default)]
struct Loader {
    builder: PolicySetBuilder,
    /// Native policies and bindings by name; a later one replaces an earlier one.
    natives: BTreeMap<String, (NativePolicy, PolicySource, Document)>,
    bindings: BTreeMap<String, (WrittenBinding, Document)>,
    others: Vec<Document>,
    unproven: BTreeMap<Arc<str>, InputError>,
    errors: Vec<InputError>,
}

impl Loader {
    fn documents(&mut self, name: &str, text: &str) -> Vec<Document> {
        let loaded = manifest::load(name, text);
        self.errors.extend(loaded.errors);
        loaded.documents
    }

    fn mistakes(&mut self, document: &Document, errors: Vec<PolicyError>) {
        self.errors.extend(placed(document, errors));
    }

    fn add(&mut self, compiled: Compiled) {
        self.errors.extend(compiled.errors);
        for (policy, source, digest) in compiled.policies {
            self.builder.policy(policy, source, digest);
        }
        for (policy, ..) in &compiled.injections {
            self.unproven.remove(&policy.id);
        }
        self.unproven.extend(compiled.unproven);
        for (policy, source, digest) in compiled.injections {
            self.builder.injection(policy, source, digest);
        }
        let natives = compiled.natives.into_iter().map(|native| (native.0.name().to_string(), native));
        self.natives.extend(natives);
        self.bindings.extend(compiled.bindings.into_iter().map(|binding| (binding.0.name.clone(), binding)));
        self.others.extend(compiled.others);
    }

    /// Gives native policies their bindings and parameters, once every file is read.
    fn bind(&mut self) {
        let kinds: Vec<GroupVersionKind> = self.natives.values().filter_map(|(policy, ..)| policy.param_kind.clone()).collect();
        for document in std::mem::take(&mut self.others) {
            let node = document.object.root();
            if GroupVersionKind::of(node).is_some_and(|kind| kinds.contains(&kind)) {
                self.builder.beside(document.object);
                continue;
            }
            let message = format!(
                "`{}` is no policy; expected `IdentityPolicy`, `InjectionPolicy`, `{POLICY}`, `{BINDING}`, or an object of a `paramKind`",
                node.text("kind")
            );
            self.mistakes(&document, vec![PolicyError { path: FieldPath::of(&["kind"]), message }]);
        }
        let mut bound: BTreeMap<String, Vec<(WrittenBinding, String)>> = BTreeMap::new();
        for (binding, document) in std::mem::take(&mut self.bindings).into_values() {
            let policy = binding.policy().to_owned();
            if self.natives.contains_key(&policy) {
                bound.entry(policy).or_default().push((binding, document.object.root().digest()));
                continue;
            }
            let message = format!("there is no {POLICY} `{policy}` among the files; give it by `--policies` too");
            self.mistakes(&document, vec![PolicyError { path: FieldPath::of(&["spec", "policyName"]), message }]);
        }
        for (name, (policy, source, document)) in std::mem::take(&mut self.natives) {
            let fail = |message: String| vec![PolicyError { path: FieldPath::of(&["metadata", "name"]), message }];
            if self.builder.kind(&name).is_some_and(|kind| kind != POLICY) {
                self.mistakes(&document, fail(format!("`{name}` is the name of an IdentityPolicy already; rule ids are one namespace")));
                continue;
            }
            let Some(bindings) = bound.remove(&name) else {
                self.mistakes(
                    &document,
                    fail(format!("no {BINDING} names `{name}`, so it would judge nothing; give one by `--policies` too")),
                );
                continue;
            };
            let (bindings, mut digests): (Vec<_>, Vec<_>) = bindings.into_iter().unzip();
            digests.push(document.object.root().digest());
            self.builder.policy(policy.bound(bindings), source, digests.join(" "));
        }
    }

    fn settings(&mut self, file: &Text) -> Settings {
        let loaded = manifest::read(&file.name, &file.text);
        self.errors.extend(loaded.errors);
        let mut documents = loaded.documents.into_iter();
        let Some(document) = documents.next() else { return Settings::default() };
        if let Some(second) = documents.next() {
            let message = "a settings file holds one document".into();
            self.mistakes(&second, vec![PolicyError { path: FieldPath::root(), message }]);
        }
        match Settings::read(&document.object) {
            Ok(settings) => settings,
            Err(error) => {
                self.mistakes(&document, vec![PolicyError { path: error.path, message: error.message }]);
                Settings::default()
            }
        }
    }

    fn waivers(&mut self, file: &Text, max_days: i64, now: i64) {
        for document in self.documents(&file.name, &file.text) {
            let node = document.object.root();
            if node.text("kind") != "IdentityWaiver" {
                let message = format!("`{}` is no waiver; expected `IdentityWaiver`", node.text("kind"));
                self.mistakes(&document, vec![PolicyError { path: FieldPath::of(&["kind"]), message }]);
                continue;
            }
            let authored = match document.object.patched(&kept_by_the_cluster(node)) {
                Ok(authored) => authored,
                Err(error) => {
                    self.mistakes(&document, vec![PolicyError { path: FieldPath::root(), message: error.to_string() }]);
                    continue;
                }
            };
            match read::<IdentityWaiverSpec>(authored.root()) {
                Ok(waiver) => match Waiver::check(waiver, max_days, now) {
                    Ok(waiver) => {
                        let mistakes = self.rule_mistakes(&waiver.spec);
                        self.mistakes(&document, mistakes);
                        self.builder.waiver(Waiver { place: (file.name.clone(), document.first_line), ..waiver });
                    }
                    Err((field, message)) => {
                        let path = FieldPath::parse(field).unwrap_or_default();
                        self.mistakes(&document, vec![PolicyError { path, message }]);
                    }
                },
                Err(errors) => self.mistakes(&document, errors),
            }
        }
    }

    fn rule_mistakes(&self, spec: &IdentityWaiverSpec) -> Vec<PolicyError> {
        let path = |index| FieldPath::of(&["spec", "rules"]).index(index);
        let unknown = spec.rules.iter().enumerate().filter(|(_, rule)| !self.builder.has_rule(rule));
        let unknown = unknown.map(|(index, rule)| PolicyError { path: path(index), message: self.no_such_rule(rule) });
        let beyond = Waiver::beyond(spec, |id| self.builder.rule(id))
            .map(|message| PolicyError { path: FieldPath::of(&["spec", "subject", "object"]), message });
        unknown.chain(beyond).collect()
    }

    fn no_such_rule(&self, rule: &str) -> String {
        format!("there is no rule `{rule}`{}", self.builder.nearest_rule(rule))
    }

    /// A rule that no policy has is a typing mistake, and a silent one would leave a hole.
    fn check_names(&mut self, settings: &Settings, file: Option<&Text>) {
        let Some(file) = file else { return };
        let enforced = settings.enforcement.iter().map(|entry| &entry.rules).enumerate().map(|entry| ("enforcement", entry));
        let exempted = settings.exemptions.iter().map(|entry| &entry.rules).enumerate().map(|entry| ("exemptions", entry));
        let named = enforced.chain(exempted).flat_map(|(list, (index, rules))| {
            let path = move |rule_index| FieldPath::of(&[list]).index(index).field("rules").index(rule_index);
            rules.iter().enumerate().map(move |(rule_index, rule)| (path(rule_index), rule))
        });
        let unknown: Vec<PolicyError> = named
            .filter(|(_, rule)| *rule != "*" && !self.builder.has_rule(rule))
            .map(|(path, rule)| PolicyError { path, message: self.no_such_rule(rule) })
            .collect();
        if !unknown.is_empty()
            && let Some(document) = manifest::read(&file.name, &file.text).documents.into_iter().next()
        {
            self.mistakes(&document, unknown);
        }
    }
}
