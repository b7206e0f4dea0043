//! From a `ValidatingAdmissionPolicy` and its bindings to a policy that the engine evaluates. What the API server would refuse is
//! refused here, and so is what cannot mean the same in a webhook.

use std::sync::Arc;

use super::parameters::Parameters;
use super::schema::{
    AuditAnnotation, BINDING, BindingSpec, Document, GROUP, MatchResources, Metadata, POLICY, ParamKind, PolicySpec, Validation,
    ValidationAction,
};
use crate::cel::{Expression, OPEN_ENTRY, Scope, Type};
use crate::object::{FieldPath, GroupVersionKind, Node};
use crate::policy::compile::Compiler;
use crate::policy::compiled::{CompiledRule, CompiledValidation, IdentityPolicy};
use crate::policy::declared::Declared;
use crate::policy::mistake::{Mistake, Note, PolicyError, errors, plain};
use crate::policy::schema::{Match, MatchPolicy, Severity};
use crate::settings::{Enforcement, RolloutStep};

/// The annotation by which Kubernetes' own objects tell what they are for.
const DESCRIPTION: &str = "kubernetes.io/description";
/// The API server drops an audit annotation whose key is longer, and a webhook's is `policy.key`.
const AUDIT_KEY_LIMIT: usize = 63;
/// The namespace of the functions that only a `MutatingAdmissionPolicy` has.
const JSON_PATCH: &str = "jsonpatch.";

/// A compiled policy that awaits its bindings.
#[derive(Debug)]
pub(in crate::policy) struct NativePolicy {
    policy: IdentityPolicy,
    pub(in crate::policy) param_kind: Option<GroupVersionKind>,
}

/// A binding as it was read.
#[derive(Debug)]
pub(in crate::policy) struct WrittenBinding {
    pub(in crate::policy) name: String,
    spec: BindingSpec,
}

/// A binding at work: each is an evaluation of its own.
#[derive(Debug)]
pub(in crate::policy) struct Binding {
    pub(super) name: Arc<str>,
    pub(super) matches: Option<Match>,
    pub(super) enforcement: Enforcement,
    /// None: `params` is null.
    pub(in crate::policy) parameters: Option<Parameters>,
}

/// An audit annotation.
#[derive(Debug)]
pub(in crate::policy) struct CompiledAnnotation {
    /// Key of the annotation in the webhook's answer: `policy.key`.
    pub(super) key: String,
    pub(super) value: Expression,
}

/// Whether an object is one of the two kinds, in whatever version.
pub(in crate::policy) fn is_native(document: Node<'_>) -> bool {
    let group = document.text("apiVersion").split('/').next().unwrap_or_default();
    group == GROUP && matches!(document.text("kind"), POLICY | BINDING)
}

impl NativePolicy {
    /// Compiles a `ValidatingAdmissionPolicy`.
    ///
    /// # Errors
    /// Every mistake of the document.
    pub(in crate::policy) fn compile(document: Node<'_>) -> Result<Self, Vec<PolicyError>> {
        Self::try_compile(document).map_err(errors)
    }

    /// The mistakes for which a document is refused.
    pub(in crate::policy) fn mistakes(document: Node<'_>) -> Vec<Mistake> {
        Self::try_compile(document).err().unwrap_or_default()
    }

    fn try_compile(document: Node<'_>) -> Result<Self, Vec<Mistake>> {
        let Document { metadata, spec, .. } = read::<PolicySpec>(document).map_err(plain)?;
        let Metadata { name, annotations } = metadata;
        let mut compiler = Compiler::new(Declared::dynamic());
        let path = |field: &'static str| FieldPath::of(&["spec", field]);
        let param_kind = spec.param_kind.as_ref().and_then(|kind| param_kind(&mut compiler, kind));
        matches(&mut compiler, &spec.match_constraints, &path("matchConstraints"), true);
        if spec.validations.is_empty() && spec.audit_annotations.is_empty() {
            compiler.fail(path("validations"), "must hold at least one validation, or `auditAnnotations` one annotation");
        }
        let rule = rule(&mut compiler, &name, &spec, Declared::native(spec.param_kind.is_some()).scope);
        refuse_unplannable(&mut compiler);
        let title = annotations.get(DESCRIPTION).map(|text| text.lines().next().unwrap_or_default().trim().to_owned());
        compiler.finish(Self {
            policy: IdentityPolicy {
                id: name.into(),
                title: title.filter(|title| !title.is_empty()).unwrap_or_else(|| POLICY.to_owned()),
                invariants: Arc::default(),
                severity: Severity::Medium,
                enforcement: Enforcement::Off,
                step: RolloutStep::default(),
                conceal: false,
                failure_policy: spec.failure_policy,
                rules: vec![rule],
                written: None,
            },
            param_kind,
        })
    }

    pub(in crate::policy) fn name(&self) -> &Arc<str> {
        &self.policy.id
    }

    /// The policy with its bindings, in order of their names. The strictest of them is its enforcement.
    pub(in crate::policy) fn bound(self, mut written: Vec<WrittenBinding>) -> IdentityPolicy {
        written.sort_by(|one, other| one.name.cmp(&other.name));
        let Self { mut policy, param_kind } = self;
        let bindings: Vec<Binding> = written.into_iter().map(|binding| binding.compile(param_kind.as_ref())).collect();
        policy.enforcement = bindings.iter().map(|binding| binding.enforcement).max().unwrap_or(Enforcement::Off);
        if let Some(rule) = policy.rules.first_mut() {
            rule.bindings = bindings;
        }
        policy
    }
}

impl WrittenBinding {
    /// Reads a `ValidatingAdmissionPolicyBinding`.
    ///
    /// # Errors
    /// Every mistake of the document.
    pub(in crate::policy) fn read(document: Node<'_>) -> Result<Self, Vec<PolicyError>> {
        Self::try_read(document).map_err(errors)
    }

    /// The mistakes for which a document is refused.
    pub(in crate::policy) fn mistakes(document: Node<'_>) -> Vec<Mistake> {
        Self::try_read(document).err().unwrap_or_default()
    }

    fn try_read(document: Node<'_>) -> Result<Self, Vec<Mistake>> {
        let Document { metadata, spec, .. } = read::<BindingSpec>(document).map_err(plain)?;
        let mut compiler = Compiler::new(Declared::dynamic());
        let path = |field: &'static str| FieldPath::of(&["spec", field]);
        let actions = &spec.validation_actions;
        let repeated = (0_usize..).zip(actions).any(|(index, action)| actions.iter().skip(index + 1).any(|other| other == action));
        if actions.is_empty() || repeated {
            compiler.fail(path("validationActions"), "must list `Deny`, `Warn` or `Audit`, each at most once");
        } else if actions.contains(&ValidationAction::Deny) && actions.contains(&ValidationAction::Warn) {
            compiler.fail(path("validationActions"), "must not list both `Deny` and `Warn`: the same text would be told twice");
        }
        if let Some(reference) = &spec.param_ref
            && reference.name.is_empty() == reference.selector.is_none()
        {
            compiler.fail(path("paramRef"), "must have either a `name` or a `selector`");
        }
        if let Some(resources) = &spec.match_resources {
            matches(&mut compiler, resources, &path("matchResources"), false);
        }
        compiler.finish(Self { name: metadata.name, spec })
    }

    pub(in crate::policy) fn policy(&self) -> &str {
        &self.spec.policy_name
    }

    /// All that its actions do shows in the strictest: what is denied or warned of is also recorded.
    fn compile(self, param_kind: Option<&GroupVersionKind>) -> Binding {
        let actions = &self.spec.validation_actions;
        let enforcement = match () {
            () if actions.contains(&ValidationAction::Deny) => Enforcement::Deny,
            () if actions.contains(&ValidationAction::Warn) => Enforcement::Warn,
            () => Enforcement::Audit,
        };
        // Without a `paramKind` a `paramRef` is ignored, as on the API server.
        let parameters = param_kind.zip(self.spec.param_ref).map(|(kind, written)| Parameters::new(kind.clone(), written));
        Binding { name: self.name.into(), matches: self.spec.match_resources.map(Match::from), enforcement, parameters }
    }
}

/// Compiles what a policy says in names that are declared as `scope` has them.
pub(super) fn rule(compiler: &mut Compiler, name: &str, spec: &PolicySpec, scope: Scope) -> CompiledRule {
    let path = |field: &'static str| FieldPath::of(&["spec", field]);
    let conditions = compiler.conditions(&spec.match_conditions, &path("matchConditions"), &scope);
    let (variables, scope) = compiler.variables(&spec.variables, &path("variables"), scope);
    let validations = (0_usize..)
        .zip(&spec.validations)
        .filter_map(|(index, written)| validation(compiler, written, &path("validations").index(index), &scope))
        .collect();
    let annotations = (0_usize..)
        .zip(&spec.audit_annotations)
        .filter_map(|(index, written)| annotation(compiler, name, written, &path("auditAnnotations").index(index), &scope))
        .collect();
    CompiledRule {
        match_number: usize::MAX,
        dormant: false,
        matches: spec.match_constraints.clone().into(),
        on_pod_template: false,
        conditions,
        variables,
        related: Vec::new(),
        validations,
        bindings: Vec::new(),
        annotations,
        names: spec.variables.iter().map(|variable| variable.name.clone()).collect(),
    }
}

/// Refuses what Doorward's expressions may say and the API server's compiler cannot take: it would hold no such policy.
fn refuse_unplannable(compiler: &mut Compiler) {
    let compiled = std::mem::take(&mut compiler.compiled);
    for (path, note) in &compiled {
        for (span, message) in foreign(note) {
            compiler.refuse(path, &note.source, span, message);
        }
    }
    compiler.compiled = compiled;
}

/// What of an expression the API server's environment for these policies does not have.
fn foreign(note: &Note) -> impl Iterator<Item = (std::ops::Range<usize>, String)> {
    let patches = note.needs.iter().filter(|need| need.name.starts_with(JSON_PATCH)).map(|need| {
        let message = format!(
            "undeclared reference to 'jsonpatch' (in container ''): Kubernetes has `{}` in a MutatingAdmissionPolicy only; write \
             `.replace('~', '~0').replace('/', '~1')`",
            need.name
        );
        (need.span.clone(), message)
    });
    let entries = note.needs.iter().filter(|need| need.name == OPEN_ENTRY).map(|need| {
        let message = "Kubernetes' compiler ends at an optional entry whose type is not known before the evaluation: write `.or(optional.none())` \
                       after it";
        (need.span.clone(), message.to_owned())
    });
    patches.chain(entries)
}

/// Reads a document of one of the two kinds.
pub(super) fn read<Spec: serde::de::DeserializeOwned>(document: Node<'_>) -> Result<Document<Spec>, Vec<PolicyError>> {
    let version = document.text("apiVersion");
    if !matches!(version, "admissionregistration.k8s.io/v1" | "admissionregistration.k8s.io/v1beta1") {
        let message = format!("`{version}` is not known; write `{GROUP}/v1`");
        return Err(vec![PolicyError { path: FieldPath::of(&["apiVersion"]), message }]);
    }
    let read: Document<Spec> = document.read().map_err(|error| vec![PolicyError { path: error.path, message: error.message }])?;
    let name = &read.metadata.name;
    let label = |label: &str| {
        let end = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        end(label.as_bytes().first())
            && end(label.as_bytes().last())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        let message =
            format!("`{name}` is no name of an object of the cluster: lower-case words of letters, digits and `-`, joined by `.`");
        return Err(vec![PolicyError { path: FieldPath::of(&["metadata", "name"]), message }]);
    }
    Ok(read)
}

fn param_kind(compiler: &mut Compiler, written: &ParamKind) -> Option<GroupVersionKind> {
    let kind = written.kind();
    if kind.version.is_empty() || kind.kind.is_empty() {
        compiler.fail(FieldPath::of(&["spec", "paramKind"]), "must have an `apiVersion` and a `kind`");
        return None;
    }
    Some(kind)
}

/// Checks what the API server checks of rules, and that a rule does not rely on a conversion that only the API server can make.
fn matches(compiler: &mut Compiler, written: &MatchResources, path: &FieldPath, required: bool) {
    if required && written.resource_rules.is_empty() {
        compiler.fail(path.clone().field("resourceRules"), "must hold at least one rule");
    }
    for (field, rules) in [("resourceRules", &written.resource_rules), ("excludeResourceRules", &written.exclude_resource_rules)] {
        for (index, rule) in rules.iter().enumerate() {
            let path = path.clone().field(field).index(index);
            let lists = [
                ("apiGroups", rule.api_groups.len()),
                ("apiVersions", rule.api_versions.len()),
                ("operations", rule.operations.len()),
                ("resources", rule.resources.len()),
            ];
            for (name, _) in lists.iter().filter(|(_, length)| *length == 0) {
                compiler.fail(path.clone().field(*name), "must not be empty");
            }
            let old = ["", "apps", "batch", "rbac.authorization.k8s.io"];
            let only_old = |group: &String| old.contains(&group.as_str()) && !rule.api_versions.iter().any(|one| one == "v1" || one == "*");
            if written.match_policy != Some(MatchPolicy::Exact) && rule.api_groups.iter().any(only_old) {
                let message = "these kinds are sent to Doorward as `v1`, and only the API server converts them: write `v1`";
                compiler.fail(path.field("apiVersions"), message);
            }
        }
    }
}

fn validation(compiler: &mut Compiler, written: &Validation, path: &FieldPath, scope: &Scope) -> Option<CompiledValidation> {
    let message = written.message.as_deref().unwrap_or_default().trim();
    if message.contains('\n') {
        compiler.fail(path.clone().field("message"), "must be one line");
    }
    let message_expression = match &written.message_expression {
        Some(source) => compiler.expression(source, &path.clone().field("messageExpression"), scope, Some(&Type::String)),
        None => None,
    };
    let expression = compiler.expression(&written.expression, &path.clone().field("expression"), scope, Some(&Type::Bool))?;
    Some(CompiledValidation {
        location: None,
        in_identity: false,
        follows: false,
        expression,
        field_path: FieldPath::root(),
        message: message.to_owned(),
        message_expression,
        remedy: String::new(),
        remedy_expression: None,
        value_expression: None,
        // A binding says it.
        enforcement: Enforcement::Deny,
        ratchet: false,
        reason: Some(written.reason),
    })
}

fn annotation(
    compiler: &mut Compiler,
    policy: &str,
    written: &AuditAnnotation,
    path: &FieldPath,
    scope: &Scope,
) -> Option<CompiledAnnotation> {
    let key = format!("{policy}.{}", written.key);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if written.key.is_empty() || !written.key.bytes().all(inner) {
        compiler.fail(path.clone().field("key"), "must be letters, digits, `-`, `_` and `.`");
    } else if key.len() > AUDIT_KEY_LIMIT {
        let message = format!("is too long: `{key}` would be the key of a webhook's audit annotation, which has at most 63 characters");
        compiler.fail(path.clone().field("key"), message);
    }
    let value = compiler.expression(&written.value_expression, &path.clone().field("valueExpression"), scope, None)?;
    Some(CompiledAnnotation { key, value })
}
