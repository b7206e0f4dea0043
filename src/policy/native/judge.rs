//! A native policy at work: each binding with each of its parameters is an evaluation of its own, as on the API server.

use super::compile::Binding;
use crate::cel::{EvaluationError, Value};
use crate::object::{Fact, FieldPath, Node};
use crate::policy::compile::{CompiledRule, slot};
use crate::policy::evaluate::Judge;
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
            && !self.speaks(matches)
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
        let activation = || Activation::new(self.stage, &rule.variables, &rule.related, slot::FIRST_OWN).with_params(parameter);
        let (conditions, activation) = (activation().without_namespace(), activation());
        if !self.meets(rule, &conditions, binding.enforcement) {
            return;
        }
        self.verdict.evaluated.push(self.policy.id.clone());
        let place = place(binding, parameter);
        for (index, validation) in rule.validations.iter().enumerate() {
            self.reason = validation.reason;
            match self.ask(&validation.expression, &activation) {
                Ok(true) => {}
                Ok(false) => {
                    let message = self
                        .text(validation.message_expression.as_ref(), &validation.message, &activation)
                        .unwrap_or_else(|| format!("failed expression: {}", validation.expression.source().trim()));
                    let message = format!("{message} (validations[{index}], {place})");
                    let enforcement = self.enforcement(binding.enforcement);
                    let key = format!("{index}\n{place}");
                    self.record(FieldPath::root(), None, enforcement, &message, "", Certainty::Certain, &key);
                }
                Err(error) => {
                    self.reason = Some(Reason::default());
                    self.error(binding.enforcement, &FieldPath::root(), error, &format!("validations[{index}], {place},"));
                }
            }
        }
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
