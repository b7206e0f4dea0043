//! A native policy at work: each binding with each of its parameters is an evaluation of its own, as on the API server.

use super::compile::Binding;
use crate::cel::{EXPRESSION_LIMIT, EvaluationError, Value};
use crate::object::{Fact, FieldPath, Node};
use crate::policy::compiled::{CompiledRule, CompiledValidation, slot};
use crate::policy::evaluate::{Judge, MESSAGE_LIMIT, POLICY_LIMIT};
use crate::policy::schema::Reason;
use crate::policy::stage::Activation;
use crate::policy::verdict::Certainty;
use crate::settings::Enforcement;

/// The API server cuts an audit annotation's value there.
const ANNOTATION_LIMIT: usize = 10 * 1024;

impl<'a> Judge<'_, 'a, '_> {
    /// Judges by a binding of a policy whose own constraints match.
    pub(in crate::policy) fn binding(&mut self, rule: &'a CompiledRule, binding: &'a Binding) {
        self.reason = Some(Reason::default());
        if let Some(matches) = &binding.matches
            && !self.speaks(matches.selects(self.stage.subject, self.stage.facts))
        {
            return;
        }
        let Some(parameters) = &binding.parameters else {
            self.bound(rule, binding, None);
            return;
        };
        if parameters.kind_is_namespaced() && parameters.query(self.stage.subject).namespace.is_empty() {
            let message = format!("binding `{}` takes parameters from the namespace of the object, which is in none", binding.name);
            self.fail(Enforcement::Deny, &FieldPath::root(), &message);
            return;
        }
        match parameters.found(self.stage.subject, self.stage.facts) {
            Fact::Found(found) if !found.is_empty() => {
                for parameter in found {
                    self.bound(rule, binding, Some(parameter));
                }
            }
            Fact::Unknown(reason) => self.unknown(binding.enforcement, &FieldPath::root(), &reason),
            // A fault of the configuration denies whatever the binding's actions are: so does the API server.
            _ if parameters.deny_if_none => {
                let message = format!("binding `{}` finds no parameters, and says `parameterNotFoundAction: Deny`", binding.name);
                self.fail(Enforcement::Deny, &FieldPath::root(), &message);
            }
            _ => {}
        }
    }

    fn bound(&mut self, rule: &'a CompiledRule, binding: &'a Binding, parameter: Option<Node<'a>>) {
        // The budget is that of one evaluation.
        self.spent = 0;
        let stage = self.stage;
        let activation = || Activation::new(stage, &rule.variables, &rule.related, slot::FIRST_OWN).of_native(parameter, &rule.names);
        if !self.meets(rule, &activation().without_namespace(), binding.enforcement) {
            return;
        }
        self.verdict.evaluated.push(self.policy.id.clone());
        let place = place(binding, parameter);
        // As on the API server: every validation is asked before a message is made, and what makes messages evaluates variables anew.
        let (asked, told) = (activation(), activation());
        let answers: Vec<_> = rule.validations.iter().map(|validation| self.ask(&validation.expression, &asked)).collect();
        let messages = self.messages(rule, &answers, &told);
        for ((index, validation), answer) in rule.validations.iter().enumerate().zip(answers) {
            self.reason = validation.reason;
            match (answer, &messages) {
                (Err(error), _) => {
                    self.reason = Some(Reason::default());
                    self.error(binding.enforcement, &FieldPath::root(), error, &format!("validations[{index}], {place},"));
                }
                // Then nobody knows what would be told, and what holds is refused too.
                (Ok(_), None) => {
                    self.reason = Some(Reason::default());
                    let message =
                        format!("validations[{index}], {place}: failed messageExpression: the cost limit of the policy is exceeded");
                    self.fail(binding.enforcement, &FieldPath::root(), &message);
                }
                (Ok(true), Some(_)) => {}
                (Ok(false), Some(made)) => {
                    let message = made.get(index).cloned().flatten().unwrap_or_else(|| fixed(validation));
                    let message = format!("{message} (validations[{index}], {place})");
                    let enforcement = self.enforcement(binding.enforcement);
                    let key = format!("{index}\n{place}");
                    self.record(FieldPath::root(), None, enforcement, &message, "", Certainty::Certain, &key);
                }
            }
        }
        // The API server gives the annotations a budget of their own.
        self.spent = 0;
        let activation = activation();
        self.reason = Some(Reason::default());
        for annotation in &rule.annotations {
            match self.value(&annotation.value, &activation) {
                Ok(Value::Null) => {}
                Ok(Value::String(text)) => {
                    let mut text = text.as_str().trim().to_owned();
                    text.truncate(text.floor_char_boundary(ANNOTATION_LIMIT));
                    let values = self.verdict.annotations.entry(annotation.key.clone()).or_default();
                    if !text.is_empty() && !values.contains(&text) {
                        values.push(text);
                    }
                }
                // An error in an annotation denies whatever the binding's actions are: so does the API server.
                Ok(other) => {
                    let message = format!("audit annotation `{}` is a {}, no string and not null", annotation.key, other.type_name());
                    self.fail(Enforcement::Deny, &FieldPath::root(), &message);
                }
                Err(EvaluationError::Unknown(reason)) => self.unknown(Enforcement::Deny, &FieldPath::root(), &reason),
                Err(error) => {
                    let message = format!("audit annotation `{}` could not be evaluated: {error}", annotation.key);
                    self.fail(Enforcement::Deny, &FieldPath::root(), &message);
                }
            }
        }
    }

    /// The messages that are made for the validations, by their position; nothing if the policy's budget ends before the last one.
    ///
    /// The API server makes them all, also those of what holds. They are made here only if that could end the budget.
    fn messages(
        &mut self,
        rule: &'a CompiledRule,
        answers: &[Result<bool, EvaluationError>],
        activation: &Activation<'_, 'a>,
    ) -> Option<Vec<Option<String>>> {
        let parts = rule.validations.iter().filter(|validation| validation.message_expression.is_some()).count() + rule.variables.len();
        let may_cost = u64::try_from(parts).unwrap_or(u64::MAX).saturating_mul(EXPRESSION_LIMIT);
        let every = self.spent.saturating_add(may_cost) > POLICY_LIMIT;
        let mut messages = Vec::with_capacity(answers.len());
        for (validation, answer) in rule.validations.iter().zip(answers) {
            let wanted = validation.message_expression.as_ref().filter(|_| every || matches!(answer, Ok(false)));
            let Some(expression) = wanted else {
                messages.push(None);
                continue;
            };
            let made = self.value(expression, activation);
            if self.spent >= POLICY_LIMIT {
                return None;
            }
            messages.push(made.ok().as_ref().and_then(usable));
        }
        Some(messages)
    }
}

/// What a validation says without a message that is made.
fn fixed(validation: &CompiledValidation) -> String {
    match validation.message.as_str() {
        "" => format!("failed expression: {}", validation.expression.source().trim()),
        message => message.to_owned(),
    }
}

/// A message that was made; the API server drops one that is blank, too long, of several lines or no text.
fn usable(made: &Value<'_>) -> Option<String> {
    let text = made.as_str()?.trim();
    (!text.is_empty() && text.len() <= MESSAGE_LIMIT && !text.contains('\n')).then(|| text.to_owned())
}

/// Which evaluation a violation comes from.
fn place(binding: &Binding, parameter: Option<Node<'_>>) -> String {
    let Some(metadata) = parameter.and_then(|parameter| parameter.get("metadata")) else { return format!("binding `{}`", binding.name) };
    let name = match metadata.text("namespace") {
        "" => metadata.text("name").to_owned(),
        namespace => format!("{namespace}/{}", metadata.text("name")),
    };
    format!("binding `{}`, parameters `{name}`", binding.name)
}
