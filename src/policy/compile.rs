//! From a document to a policy that can be evaluated: every expression compiled, every path parsed, every name resolved. A policy
//! that does not compile is refused with all of its mistakes, each with the path of the field it stands in.

use std::ops::Range;

use super::compiled::{CompiledRelated, CompiledRule, CompiledValidation, IdentityPolicy, InjectionPolicy, injected, slot};
use super::declared::Declared;
use super::location::{Location, Shape};
use super::mistake::{Mistake, Note, PolicyError, errors, plain};
use super::schema::{
    API_VERSION, Carrier, Document, IdentityPolicySpec, InjectionPolicySpec, Match, MatchCondition, Related, Rule, Validation, Variable,
};
use crate::cel::{EXPRESSION_LIMIT, Expression, Scope, Type};
use crate::object::{FieldPath, Node, quoted};
use crate::settings::Enforcement;

/// The expressions of a validation: itself, its message, its remedy and what else its violation is known by.
struct Expressions {
    expression: Expression,
    message: Option<Expression>,
    remedy: Option<Expression>,
    value: Option<Expression>,
}

/// Collects mistakes with the path of the field that is being read.
pub(super) struct Compiler {
    pub(super) errors: Vec<Mistake>,
    declared: Declared,
    /// Everything that was compiled, for who looks at the expressions themselves.
    pub(super) compiled: Vec<(FieldPath, Note)>,
    /// Whether notes say what only who looks at a policy wants to know.
    thorough: bool,
}

impl IdentityPolicy {
    /// Compiles a document of kind `IdentityPolicy`.
    ///
    /// # Errors
    /// Every mistake of the document.
    pub fn compile(document: Node<'_>) -> Result<Self, Vec<PolicyError>> {
        Self::try_compile(document).map_err(errors)
    }

    /// Why the document is refused.
    pub(super) fn mistakes(document: Node<'_>) -> Vec<Mistake> {
        Self::try_compile(document).err().unwrap_or_default()
    }

    fn try_compile(document: Node<'_>) -> Result<Self, Vec<Mistake>> {
        let Document { metadata, spec, .. } = read::<IdentityPolicySpec>(document).map_err(plain)?;
        let mut compiler = Compiler::new(Declared::own());
        let written = Some(Box::new(spec.clone()));
        let path = FieldPath::of(&["spec", "rules"]);
        if spec.rules.is_empty() {
            compiler.fail(path.clone(), "must hold at least one rule");
        }
        let rules = spec
            .rules
            .into_iter()
            .enumerate()
            .filter_map(|(index, rule)| compiler.rule(rule, &path.clone().index(index), spec.enforcement))
            .collect();
        compiler.finish(Self {
            id: metadata.name.into(),
            title: spec.title,
            invariants: spec.invariants.into(),
            severity: spec.severity,
            enforcement: spec.enforcement,
            step: spec.rollout_step,
            failure_policy: spec.failure_policy,
            conceal: spec.conceal,
            rules,
            written,
        })
    }
}

impl InjectionPolicy {
    /// Compiles a document of kind `InjectionPolicy`.
    ///
    /// # Errors
    /// Every mistake of the document.
    pub fn compile(document: Node<'_>) -> Result<Self, Vec<PolicyError>> {
        Self::try_compile(document).map_err(errors)
    }

    /// Why the document is refused.
    pub(super) fn mistakes(document: Node<'_>) -> Vec<Mistake> {
        Self::try_compile(document).err().unwrap_or_default()
    }

    fn try_compile(document: Node<'_>) -> Result<Self, Vec<Mistake>> {
        let Document { metadata, spec, .. } = read::<InjectionPolicySpec>(document).map_err(plain)?;
        let mut compiler = Compiler::new(Declared::own());
        if spec.inject.is_empty() {
            compiler.fail(FieldPath::of(&["spec", "inject"]), "must hold at least one step");
        }
        compiler.selectors(&spec.matches, &FieldPath::of(&["spec", "match"]));
        let scope = compiler.declared.scope.clone();
        let conditions = compiler.conditions(&spec.match_conditions, &FieldPath::of(&["spec", "matchConditions"]), &scope);
        for (index, step) in spec.inject.iter().enumerate() {
            if injected(&spec.matches, step).next().is_none() {
                let mut message = format!("changes {} only, and `match` selects none of them", step.resources().join(" and "));
                if spec.matches.pod_template == Some(Carrier::Workload) {
                    message.push_str(": what makes pods is judged and never changed; write `podTemplate: Pod`");
                }
                compiler.fail(FieldPath::of(&["spec", "inject"]).index(index), message);
            }
        }
        compiler.finish(Self {
            id: metadata.name.into(),
            title: spec.title,
            matches: spec.matches,
            conditions,
            when: spec.when,
            steps: spec.inject,
        })
    }
}

/// Reads a document of ours into its type.
pub(super) fn read<Spec: serde::de::DeserializeOwned>(document: Node<'_>) -> Result<Document<Spec>, Vec<PolicyError>> {
    let version = document.text("apiVersion");
    if version != API_VERSION {
        let message = format!("`{version}` is not known; write `{API_VERSION}`");
        return Err(vec![PolicyError { path: FieldPath::of(&["apiVersion"]), message }]);
    }
    let read: Document<Spec> = document.read().map_err(|error| vec![PolicyError { path: error.path, message: error.message }])?;
    let name = &read.metadata.name;
    let fits = !name.is_empty()
        && name.len() <= 63
        && name.split('-').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    if !fits {
        let message = format!("`{name}` must be lower-case words joined by `-`, at most 63 characters: it is a metric label and a folder");
        return Err(vec![PolicyError { path: FieldPath::of(&["metadata", "name"]), message }]);
    }
    Ok(read)
}

impl Compiler {
    pub(super) fn new(declared: Declared) -> Self {
        Self { errors: Vec::new(), declared, compiled: Vec::new(), thorough: false }
    }

    /// One for who looks at a policy: its notes say all that can be known of an expression before it is evaluated.
    pub(super) fn thorough(declared: Declared) -> Self {
        Self { thorough: true, ..Self::new(declared) }
    }

    pub(super) fn declared(&self) -> &Declared {
        &self.declared
    }

    pub(super) fn fail(&mut self, path: FieldPath, message: impl Into<String>) {
        self.tell(PolicyError { path, message: message.into() }.into());
    }

    /// Refuses a part of an expression that was compiled.
    pub(super) fn refuse(&mut self, path: &FieldPath, source: &str, span: Range<usize>, message: String) {
        self.tell(Mistake::within(path, source, span, message, None, ""));
    }

    fn tell(&mut self, mistake: Mistake) {
        // A validation is compiled once for each way through its `at`.
        if !self.errors.contains(&mistake) {
            self.errors.push(mistake);
        }
    }

    pub(super) fn finish<T>(self, policy: T) -> Result<T, Vec<Mistake>> {
        if self.errors.is_empty() { Ok(policy) } else { Err(self.errors) }
    }

    pub(super) fn rule(&mut self, rule: Rule, path: &FieldPath, ceiling: Enforcement) -> Option<CompiledRule> {
        self.selectors(&rule.matches, &path.clone().field("match"));
        let base = self.declared.scope_of(&rule.matches);
        let conditions = self.conditions(&rule.match_conditions, &path.clone().field("matchConditions"), &base);
        let (variables, scope) = self.variables(&rule.variables, &path.clone().field("variables"), base);
        let (related, scope) = self.related(&rule.related, &path.clone().field("related"), scope);
        let on_pod_template = rule.matches.pod_template.is_some();
        let validations_path = path.clone().field("validations");
        if rule.validations.is_empty() {
            self.fail(validations_path.clone(), "must hold at least one validation");
        }
        let mut validations: Vec<_> = rule
            .validations
            .iter()
            .enumerate()
            .filter_map(|(index, validation)| {
                self.validation(validation, &validations_path.clone().index(index), &scope, ceiling, on_pod_template)
            })
            .collect();
        if !self.errors.is_empty() {
            return None;
        }
        for index in 1..validations.len() {
            if let Some([before, validation]) = validations.get_mut(index - 1..=index) {
                validation.follows = (&before.location, before.in_identity) == (&validation.location, validation.in_identity);
            }
        }
        let (bindings, annotations, names) = (Vec::new(), Vec::new(), Vec::new());
        let matches = rule.matches;
        Some(CompiledRule {
            matches,
            match_number: usize::MAX,
            dormant: false,
            on_pod_template,
            conditions,
            variables,
            related,
            validations,
            bindings,
            annotations,
            names,
        })
    }

    fn selectors(&mut self, matches: &Match, path: &FieldPath) {
        match (matches.pod_template, matches.resource_rules.is_empty()) {
            (None, true) => self.fail(path.clone(), "must name a `podTemplate` (Any, Pod or Workload) or `resourceRules`"),
            (Some(Carrier::Any | Carrier::Pod | Carrier::Workload), false) => {
                self.fail(path.clone(), "must not name both a `podTemplate` and `resourceRules`; write two rules");
            }
            _ => {}
        }
        if let Some(index) = matches.resource_rules.iter().position(|rule| rule.api_groups.is_empty() || rule.resources.is_empty()) {
            self.fail(path.clone().field("resourceRules").index(index), "must list `apiGroups` and `resources`");
        }
    }

    pub(super) fn conditions(&mut self, conditions: &[MatchCondition], path: &FieldPath, scope: &Scope) -> Vec<(String, Expression)> {
        let mut compiled = Vec::new();
        for (index, condition) in conditions.iter().enumerate() {
            if let Some(expression) =
                self.expression(&condition.expression, &path.clone().index(index).field("expression"), scope, Some(&Type::Bool))
            {
                compiled.push((condition.name.clone(), expression));
            }
        }
        compiled
    }

    pub(super) fn variables(&mut self, variables: &[Variable], path: &FieldPath, base: Scope) -> (Vec<Expression>, Scope) {
        let mut scope = base;
        let mut compiled = Vec::new();
        for (index, variable) in variables.iter().enumerate() {
            let path = path.clone().index(index);
            let mut is = Type::Dyn;
            if let Some(expression) = self.expression(&variable.expression, &path.clone().field("expression"), &scope, None) {
                is = expression.result_type().clone();
                compiled.push(expression);
            }
            scope = self.declare(&scope, &format!("variables.{}", variable.name), is, path.field("name"));
        }
        (compiled, scope)
    }

    fn related(&mut self, related: &[Related], path: &FieldPath, scope: Scope) -> (Vec<CompiledRelated>, Scope) {
        let names = scope.clone();
        let mut scope = scope;
        let mut compiled = Vec::new();
        for (index, entry) in related.iter().enumerate() {
            let path = path.clone().index(index);
            let name = match &entry.name_expression {
                Some(source) => self.expression(source, &path.clone().field("nameExpression"), &names, Some(&Type::String)),
                None => None,
            };
            compiled.push(CompiledRelated { resource: entry.resource.clone(), name });
            let one = self.declared.schemas.of(&entry.resource.group, &entry.resource.resource).unwrap_or(Type::Dyn);
            let is = if entry.name_expression.is_some() { Type::optional(one) } else { Type::list(one) };
            scope = self.declare(&scope, &format!("related.{}", entry.name), is, path.field("name"));
        }
        (compiled, scope)
    }

    fn declare(&mut self, scope: &Scope, name: &str, is: Type, path: FieldPath) -> Scope {
        let word = name.rsplit('.').next().unwrap_or_default();
        if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.fail(path, format!("`{word}` is no CEL identifier"));
        } else if scope.slot(name).is_some() {
            self.fail(path, format!("`{name}` is taken already; choose another name"));
        }
        scope.with_type(name, is)
    }

    fn validation(
        &mut self,
        validation: &Validation,
        path: &FieldPath,
        scope: &Scope,
        ceiling: Enforcement,
        on_pod_template: bool,
    ) -> Option<CompiledValidation> {
        let mut in_identity = false;
        let mut location = None;
        let whole = if on_pod_template { slot::POD } else { slot::OBJECT };
        let mut shapes = vec![Shape { this: scope.type_of(whole).clone(), bound: Vec::new() }];
        if let Some(at) = &validation.at {
            in_identity = at == "identity" || at.starts_with("identity.");
            let below = if in_identity { at.trim_start_matches("identity").trim_start_matches('.') } else { at };
            match Location::parse(below) {
                Ok(parsed) => {
                    match parsed.shapes(scope.type_of(if in_identity { slot::IDENTITY } else { whole })) {
                        Ok(found) => shapes = found,
                        Err(message) => {
                            self.fail(path.clone().field("at"), message);
                            shapes.clear();
                        }
                    }
                    location = Some(parsed);
                }
                Err(error) => self.fail(path.clone().field("at"), error.to_string()),
            }
        }
        let field_path = validation.field_path.as_deref().map_or_else(FieldPath::root, |text| {
            FieldPath::parse(&text.replace("['", "[").replace("']", "]")).unwrap_or_else(|error| {
                self.fail(path.clone().field("fieldPath"), error);
                FieldPath::root()
            })
        });
        let enforcement = validation.enforcement.unwrap_or(ceiling);
        if enforcement > ceiling {
            let message =
                format!("`{}` is stricter than the policy's own `{}`; only a lower one may stand here", enforcement.word(), ceiling.word());
            self.fail(path.clone().field("enforcement"), message);
        }
        if validation.message.is_none() && validation.message_expression.is_none() {
            self.fail(path.clone(), "must say what is wrong: `message` or `messageExpression`");
        }
        let mut expressions = None;
        for shape in &shapes {
            let mut scope = scope.with_type("self", shape.this.clone());
            for (name, is) in location.iter().flat_map(Location::bindings).zip(&shape.bound) {
                scope = self.declare(&scope, name, is.clone(), path.clone().field("at"));
            }
            expressions = self.expressions(validation, path, &scope);
        }
        let Expressions { expression, message: message_expression, remedy: remedy_expression, value: value_expression } = expressions?;
        Some(CompiledValidation {
            location,
            in_identity,
            follows: false,
            expression,
            field_path,
            message: validation.message.clone().unwrap_or_default(),
            message_expression,
            remedy: validation.remedy.clone().unwrap_or_default(),
            remedy_expression,
            value_expression,
            enforcement,
            ratchet: validation.ratchet.unwrap_or(true),
            reason: None,
        })
    }

    fn expressions(&mut self, validation: &Validation, path: &FieldPath, scope: &Scope) -> Option<Expressions> {
        let mut optional = |source: &Option<String>, field: &'static str, gives: Option<&Type>| match source {
            Some(source) => self.expression(source, &path.clone().field(field), scope, gives),
            None => None,
        };
        let message = optional(&validation.message_expression, "messageExpression", Some(&Type::String));
        let remedy = optional(&validation.remedy_expression, "remedyExpression", Some(&Type::String));
        let value = optional(&validation.value_expression, "valueExpression", None);
        let expression = self.expression(&validation.expression, &path.clone().field("expression"), scope, Some(&Type::Bool))?;
        Some(Expressions { expression, message, remedy, value })
    }

    /// Compiles an expression that must give one of the types of its place, as ValidatingAdmissionPolicy asks it; none: any.
    pub(super) fn expression(&mut self, source: &str, path: &FieldPath, scope: &Scope, gives: Option<&Type>) -> Option<Expression> {
        let wrong = |message: String, span: Range<usize>, remedy: Option<String>, place: &str| {
            Mistake::within(path, source, span, message, remedy, place)
        };
        match Expression::compile(source, scope) {
            Ok(expression) => {
                // The least that it costs does not hang on what is sent.
                if let Some(bytes) = expression.estimate(0).bomb {
                    let part = quoted(source.get(bytes.clone()).unwrap_or_default());
                    let message =
                        format!("costs more than {EXPRESSION_LIMIT} whatever is judged, and so never has a value: make `{part}` smaller");
                    self.tell(wrong(message, bytes, None, ""));
                    return None;
                }
                self.compiled.push((path.clone(), Note::of(&expression, scope, self.thorough)));
                let is = expression.result_type();
                match gives {
                    Some(gives) if gives.to_string() != is.to_string() => {
                        self.tell(wrong(format!("must evaluate to {gives} but got {is}{}", remedy(gives)), 0..source.len(), None, ""));
                        None
                    }
                    _ => Some(expression),
                }
            }
            Err(mut error) => {
                let more = std::mem::take(&mut error.more);
                for error in std::iter::once(error).chain(more) {
                    let place = format!("{}:{}: ", error.line, error.column);
                    let remedy = error.remedy(scope);
                    self.tell(wrong(error.message, error.span, remedy, &place));
                }
                None
            }
        }
    }
}

/// How an expression of unknown type is made one of the type asked for.
fn remedy(gives: &Type) -> &'static str {
    match gives {
        Type::Bool => " (compare it, or write `bool(...)`)",
        Type::String => " (write `string(...)`)",
        _ => "",
    }
}
