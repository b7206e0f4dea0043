//! One rule of an `IdentityPolicy` as policies of the API server's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::constraints::constraints;
use super::names::{Inline, Names, OWN, Used, pruned, roots};
use super::settled::{Part, Refusal, needing, refusals};
use super::walk::{Fold, Leaf};
use super::{Export, ExportedPolicy, Omission};
use crate::cel::{Budget, EvaluationError, Expression, Scope, Value as CelValue, Variables};
use crate::object::{Node, POD_TEMPLATE_KINDS, PodTemplateKind};
use crate::policy::compiled::BASE;
use crate::policy::conditions::{Condition, NOT_MIRROR, OBJECT_CHANGED, POD_CHANGED, TEMPLATE_CHANGED};
use crate::policy::evaluate::CONDITIONS_LIMIT;
use crate::policy::location::Location;
use crate::policy::native::schema::{BINDING, GROUP, POLICY};
use crate::policy::schema::{Carrier, IdentityPolicySpec, Rule, Validation};
use crate::policy::set::PolicySet;
use crate::settings::{Enforcement, Exemption};

/// The one who writes.
const MANAGER: &str = "doorward";

pub(super) struct RuleExport<'e> {
    pub(super) set: &'e PolicySet,
    pub(super) id: &'e str,
    pub(super) spec: &'e IdentityPolicySpec,
    pub(super) rule: &'e Rule,
    pub(super) index: usize,
}

/// A validation in the API server's words.
struct Written {
    index: usize,
    body: Value,
    used: Used,
}

impl RuleExport<'_> {
    pub(super) fn write(&self, export: &mut Export) {
        let place = format!("spec.rules[{}]", self.index);
        let omit = |place: String, reason: String| Omission { rule: self.id.to_owned(), place, reason };
        let others = self.spec.rules.iter().enumerate().filter(|(index, _)| *index != self.index).map(|(_, rule)| &rule.matches);
        let (constraints, mut conditions) =
            match constraints(&self.rule.matches, others).and_then(|constraints| Ok((constraints, self.conditions()?))) {
                Ok(both) => both,
                Err(reason) => {
                    export.omissions.push(omit(place, reason));
                    return;
                }
            };
        let mut names = Names {
            on_pod_template: self.rule.matches.pod_template.is_some(),
            has_spiffe_id: self.has_spiffe_id(),
            unusable: BTreeMap::new(),
        };
        let variables = self.variables(&mut names);
        let mut by_enforcement: BTreeMap<Enforcement, Vec<Written>> = BTreeMap::new();
        for (index, validation) in self.rule.validations.iter().enumerate() {
            let written = self
                .enforcement(validation.enforcement)
                .and_then(|enforcement| Ok((enforcement, self.validation(&names, index, validation)?)));
            match written {
                Ok((Enforcement::Off, _)) => {}
                Ok((enforcement, written)) => by_enforcement.entry(enforcement).or_default().push(written),
                Err(reason) => export.omissions.push(omit(format!("{place}.validations[{index}]"), reason)),
            }
        }
        conditions.extend(self.not_exempt());
        for (enforcement, mut validations) in by_enforcement.into_iter().rev() {
            // What is written is compiled as the API server compiles it: what that refuses is no policy.
            while !validations.is_empty() {
                let made = self.policy(enforcement, &validations, &constraints, &conditions, &variables);
                let refusals = refusals(&made.policy);
                if refusals.is_empty() {
                    export.policies.push(needing(made));
                    break;
                }
                let reason = |position: usize, written: &Written| {
                    let hits = |refusal: &&Refusal| match &refusal.part {
                        Part::Validation(index) => position == *index,
                        Part::Variable(name) => all_used(written, &variables).contains(name),
                        Part::Rule => true,
                    };
                    refusals.iter().find(hits).map(|refusal| refusal.reason.clone())
                };
                let mut reasons: Vec<Option<String>> =
                    validations.iter().enumerate().map(|(position, written)| reason(position, written)).collect();
                if reasons.iter().all(Option::is_none) {
                    let first = refusals.first().map(|refusal| refusal.reason.clone());
                    reasons.iter_mut().for_each(|reason| reason.clone_from(&first));
                }
                let mut reasons = reasons.into_iter();
                validations.retain(|written| match reasons.next().flatten() {
                    Some(reason) => {
                        export.omissions.push(omit(format!("{place}.validations[{}]", written.index), reason));
                        false
                    }
                    None => true,
                });
            }
        }
    }

    fn policy(
        &self,
        enforcement: Enforcement,
        validations: &[Written],
        constraints: &Value,
        conditions: &[Value],
        variables: &[(String, String, Used)],
    ) -> ExportedPolicy {
        let exempt = self.exempt();
        let mut used = Used::default();
        for written in validations {
            used.extend(written.used.clone());
        }
        if let Some((_, needs)) = &exempt {
            used.extend(needs.clone());
        }
        // A variable may use those before it.
        let mut kept = Vec::new();
        for (name, expression, needs) in variables.iter().rev() {
            if used.variables.contains(name) {
                used.extend(needs.clone());
                kept.push(json!({ "name": name, "expression": expression }));
            }
        }
        kept.extend(self.own_variables(&used, exempt.as_ref().map(|(text, _)| text.as_str())));
        kept.reverse();
        let bodies: Vec<Value> = validations.iter().map(|written| guarded(&written.body, exempt.is_some())).collect();
        let name = self.name(enforcement);
        let metadata = json!({
            "name": name,
            "labels": { "app.kubernetes.io/managed-by": MANAGER },
            "annotations": { "kubernetes.io/description": self.spec.title, "doorward.dev/rule": self.id },
        });
        let mut spec = json!({
            "failurePolicy": self.spec.failure_policy,
            "matchConstraints": constraints,
            "validations": bodies,
        });
        if let Some(fields) = spec.as_object_mut() {
            if !conditions.is_empty() {
                fields.insert("matchConditions".into(), conditions.into());
            }
            if !kept.is_empty() {
                fields.insert("variables".into(), kept.into());
            }
        }
        let version = format!("{GROUP}/v1");
        let action = match enforcement {
            Enforcement::Deny => "Deny",
            Enforcement::Warn => "Warn",
            Enforcement::Audit | Enforcement::Off => "Audit",
        };
        ExportedPolicy {
            rule: self.id.to_owned(),
            index: self.index,
            validations: validations.iter().map(|written| written.index).collect(),
            needs: Vec::new(),
            policy: json!({ "apiVersion": version, "kind": POLICY, "metadata": metadata, "spec": spec }),
            binding: json!({
                "apiVersion": version,
                "kind": BINDING,
                "metadata": { "name": name, "labels": { "app.kubernetes.io/managed-by": MANAGER } },
                "spec": { "policyName": name, "validationActions": [action] },
            }),
        }
    }

    /// `rule.doorward.dev`; a second rule of the policy has its number, and an enforcement other than the policy's its word.
    fn name(&self, enforcement: Enforcement) -> String {
        let mut name = self.id.to_owned();
        if self.index > 0 {
            name.push_str(&format!("-{}", self.index + 1));
        }
        if self.enforcement(None) != Ok(enforcement) {
            name.push('-');
            name.push_str(enforcement.word());
        }
        format!("{name}.doorward.dev")
    }

    /// The rule's match conditions, and those under which nobody judges. What hangs on the settings alone is known now.
    fn conditions(&self) -> Result<Vec<Value>, String> {
        let mut written = Vec::new();
        let standing = |Condition { name, expression }| json!({ "name": name, "expression": expression });
        match self.rule.matches.pod_template {
            Some(Carrier::Workload) => written.push(standing(TEMPLATE_CHANGED)),
            Some(Carrier::Pod) => written.extend([standing(NOT_MIRROR), standing(POD_CHANGED)]),
            Some(Carrier::Any) => {
                let either =
                    format!("request.resource.resource == 'pods' ? ({}) : ({})", POD_CHANGED.expression, TEMPLATE_CHANGED.expression);
                written.extend([standing(NOT_MIRROR), json!({ "name": TEMPLATE_CHANGED.name, "expression": either })]);
            }
            None => written.push(standing(OBJECT_CHANGED)),
        }
        for condition in &self.rule.match_conditions {
            let of = |reason: String| format!("has the match condition `{}`, which {reason}", condition.name);
            let reads = roots(&condition.expression).map_err(of)?;
            if !reads.iter().any(|root| root != "params" && (BASE.contains(&root.as_str()) || root == "variables")) {
                match self.decided(&condition.expression) {
                    Ok(true) => {}
                    Ok(false) => return Err(of("does not hold with these settings".into())),
                    Err(reason) => return Err(of(format!("cannot be decided with these settings: {reason}"))),
                }
                continue;
            }
            let expression = self.inline().condition(&condition.expression).map_err(of)?;
            written.push(json!({ "name": condition.name, "expression": expression }));
        }
        Ok(written)
    }

    /// What stands in a match condition, which can read no variable, for what is a variable elsewhere.
    fn inline(&self) -> Inline<'_> {
        let on_pod_template = self.rule.matches.pod_template.is_some();
        let pod = on_pod_template.then(|| bracketed(&self.pod()));
        let account = pod.as_deref().map(|pod| bracketed(&account_of(pod)));
        let spiffe_id = account.as_deref().filter(|_| self.has_spiffe_id()).map(|account| bracketed(&self.spiffe_id(account)));
        Inline { params: self.set.params.root(), pod, account, spiffe_id }
    }

    fn has_spiffe_id(&self) -> bool {
        self.set.settings.spiffe.trust_domain.is_some()
    }

    /// What a condition on the settings says.
    fn decided(&self, source: &str) -> Result<bool, String> {
        struct Params<'a>(Node<'a>);
        impl<'a> Variables<'a> for Params<'a> {
            fn get(&self, _: usize, _: &Budget<'_>) -> Result<CelValue<'a>, EvaluationError> {
                Ok(CelValue::from_node(self.0))
            }
        }
        let expression = Expression::compile(source, &Scope::new(&["params"])).map_err(|error| error.to_string())?;
        let value =
            expression.evaluate(&Params(self.set.params.root()), &Budget::new(CONDITIONS_LIMIT)).map_err(|error| error.to_string())?;
        value.as_bool().ok_or_else(|| format!("it is a {}", value.type_name()))
    }

    /// The rule's variables with what each uses; those that cannot be written are noted with the reason.
    fn variables(&self, names: &mut Names) -> Vec<(String, String, Used)> {
        let mut written = Vec::new();
        for variable in &self.rule.variables {
            let done = match OWN.contains(&variable.name.as_str()) {
                true => Err("has the name of a variable of the export".to_owned()),
                false => names.rewrite(&variable.expression, None),
            };
            match done {
                Ok((_, used)) if used.this => {
                    names.unusable.insert(variable.name.clone(), "reads `self`, which is different for each match".into());
                }
                Ok((text, used)) => written.push((variable.name.clone(), text, used)),
                Err(reason) => {
                    names.unusable.insert(variable.name.clone(), reason);
                }
            }
        }
        written
    }

    /// The variables that stand for what Doorward offers, in reverse order.
    fn own_variables(&self, used: &Used, exempt: Option<&str>) -> Vec<Value> {
        let mut own = Vec::new();
        let mut declare = |name: &str, expression: String| own.push(json!({ "name": name, "expression": expression }));
        let needs = |name: &str| used.variables.contains(name);
        if let Some(text) = exempt {
            declare("exempt", text.to_owned());
        }
        if needs("spiffeId") {
            declare("spiffeId", self.spiffe_id("variables.serviceAccountName"));
        }
        let account = needs("serviceAccountName") || needs("spiffeId");
        if account {
            declare("serviceAccountName", account_of("variables.pod"));
        }
        if needs("pod") || account {
            declare("pod", self.pod());
        }
        if !used.params.is_empty() {
            let paths: Vec<&[String]> = used.params.iter().map(Vec::as_slice).collect();
            declare("params", pruned(self.set.params.root(), &paths));
        }
        own
    }

    /// Where each kind keeps its template; most keep it in `spec.template`.
    fn pod(&self) -> String {
        const USUAL: &[&str] = &["spec", "template"];
        if self.rule.matches.pod_template == Some(Carrier::Pod) {
            return "object".into();
        }
        let meant =
            |kind: &&PodTemplateKind| kind.path != USUAL && !(kind.is_pod() && self.rule.matches.pod_template == Some(Carrier::Workload));
        let unusual = POD_TEMPLATE_KINDS.iter().filter(meant).map(|kind| {
            let path: String = kind.path.iter().map(|field| format!(".{field}")).collect();
            format!("request.kind.kind == '{}' ? object{path} : ", kind.kind)
        });
        format!("{}object.{}", unusual.collect::<String>(), USUAL.join("."))
    }

    /// The expected SPIFFE ID, with the places of the template that hang on the pod put together.
    fn spiffe_id(&self, account: &str) -> String {
        const NAMESPACE: &str = "\u{1}";
        const ACCOUNT: &str = "\u{2}";
        let filled = self.set.settings.expected_spiffe_id(NAMESPACE, ACCOUNT).unwrap_or_default();
        let mut parts = Vec::new();
        for (index, text) in filled.split(NAMESPACE).enumerate() {
            if index > 0 {
                parts.push("request.namespace".to_owned());
            }
            for (index, text) in text.split(ACCOUNT).enumerate() {
                if index > 0 {
                    parts.push(account.to_owned());
                }
                if !text.is_empty() {
                    parts.push(Expression::string_literal(text));
                }
            }
        }
        parts.join(" + ")
    }

    fn exemptions(&self) -> impl Iterator<Item = &Exemption> {
        self.set.settings.exemptions.iter().filter(|entry| entry.rules.iter().any(|listed| listed == "*" || listed == self.id))
    }

    /// Exemptions of whole namespaces and of named objects. A Namespace is in none.
    fn not_exempt(&self) -> Option<Value> {
        let mut namespaces = Vec::new();
        let mut terms = Vec::new();
        for entry in self.exemptions().filter(|entry| entry.service_account.is_none()) {
            let namespace = Expression::string_literal(&entry.namespace);
            match &entry.name {
                None => namespaces.push(namespace),
                Some(name) => {
                    let name = Expression::string_literal(name);
                    terms.push(format!("(request.?namespace.orValue('') == {namespace} && request.?name.orValue('') == {name})"));
                }
            }
        }
        if !namespaces.is_empty() {
            terms.insert(0, format!("request.?namespace.orValue('') in [{}]", namespaces.join(", ")));
        }
        if terms.is_empty() {
            return None;
        }
        // The API server gives a Namespace's own name as its namespace, and a Namespace counts to itself here too.
        Some(json!({ "name": "not-exempt", "expression": format!("!({})", terms.join(" || ")) }))
    }

    /// Exemptions of ServiceAccounts, of which only what has a pod template has one.
    fn exempt(&self) -> Option<(String, Used)> {
        self.rule.matches.pod_template?;
        let terms: Vec<String> = self
            .exemptions()
            .filter_map(|entry| {
                let account = Expression::string_literal(entry.service_account.as_deref()?);
                let namespace = Expression::string_literal(&entry.namespace);
                let name =
                    entry.name.as_deref().map(|name| format!(" && request.?name.orValue('') == {}", Expression::string_literal(name)));
                let name = name.unwrap_or_default();
                Some(format!("(request.namespace == {namespace} && variables.serviceAccountName == {account}{name})"))
            })
            .collect();
        let mut used = Used::default();
        used.variables.insert("serviceAccountName".into());
        (!terms.is_empty()).then(|| (terms.join(" || "), used))
    }

    /// The enforcement that the settings give a validation everywhere.
    fn enforcement(&self, own: Option<Enforcement>) -> Result<Enforcement, String> {
        let ceiling = own.unwrap_or(self.spec.enforcement);
        let settings = &self.set.settings;
        if self.exemptions().any(|entry| entry.namespace_uid.is_some()) {
            return Err("has an exemption that is bound to the UID of a Namespace, which the API server shows to no policy".into());
        }
        let mut wanted = settings.preset.enforcement(self.spec.rollout_step, ceiling);
        for entry in settings.enforcement.iter().filter(|entry| entry.rules.iter().any(|listed| listed == "*" || listed == self.id)) {
            if entry.namespace_selector.is_some() {
                return Err(
                    "is enforced differently by namespace, and the last entry of `enforcement` that applies wins: CEL has no such order"
                        .into(),
                );
            }
            wanted = entry.enforcement.min(ceiling);
        }
        Ok(wanted)
    }

    fn validation(&self, names: &Names, index: usize, validation: &Validation) -> Result<Written, String> {
        let root = if names.on_pod_template { "variables.pod" } else { "object" };
        let location = match &validation.at {
            Some(at) if at == "identity" || at.starts_with("identity.") => {
                return Err(format!("looks at `{at}`, which Doorward computes and CEL cannot"));
            }
            Some(at) => Some(Location::parse(at).map_err(|error| error.to_string())?),
            None => None,
        };
        let own = |name: &&str| {
            let number = name.strip_prefix("index").or_else(|| name.strip_prefix("item"));
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        if let Some(name) = location.iter().flat_map(Location::bindings).find(own) {
            return Err(format!("binds `{name}`, which the loops of the export use"));
        }
        let this = location.is_none().then_some(root);
        let (expression, mut used) = names.rewrite(&validation.expression, this)?;
        let reads_self = used.this;
        let fixed = |text: &Option<String>| text.as_deref().map(|text| (Expression::string_literal(text), Used::default()));
        let told = |made: &Option<String>, text: &Option<String>| match made {
            Some(source) => names.rewrite(source, this).map(|(text, used)| Some((format!("string({text})"), used))),
            None => Ok(fixed(text)),
        };
        let mut folded = |fold: Fold, text: &str, reads_self: bool| match &location {
            Some(location) => {
                if names.on_pod_template {
                    used.variables.insert("pod".into());
                }
                fold.over(location, root, Leaf { text, reads_self })
            }
            None => text.to_owned(),
        };
        let mut body = json!({ "expression": folded(Fold::All, &expression, reads_self), "reason": "Forbidden" });
        // What is said may read what the rule itself cannot be judged by; then the fixed words must do.
        let message = told(&validation.message_expression, &validation.message).ok().flatten();
        let remedy = told(&validation.remedy_expression, &validation.remedy).ok().flatten();
        let words = match (&validation.message, &validation.remedy) {
            (Some(message), Some(remedy)) => format!("{message}. Fix: {remedy}"),
            (Some(message), None) => message.clone(),
            (None, Some(remedy)) => format!("{}. Fix: {remedy}", self.spec.title),
            (None, None) => self.spec.title.clone(),
        };
        let mut made = None;
        if validation.message_expression.is_some() || validation.remedy_expression.is_some() {
            let (message, message_used) = message.unwrap_or_else(|| (Expression::string_literal(&self.spec.title), Used::default()));
            let (mut text, mut reads) = (message, message_used);
            if let Some((remedy, remedy_used)) = remedy {
                text = format!("{text} + '. Fix: ' + {remedy}");
                reads.extend(remedy_used);
            }
            let leaf = if location.is_some() { format!("{} ? '' : {text}", bracketed(&expression)) } else { text };
            made = Some((folded(Fold::Texts, &leaf, reads_self || reads.this), reads));
        }
        if let Some(fields) = body.as_object_mut() {
            fields.insert("message".into(), words.replace('\n', " ").into());
            if let Some((text, reads)) = made {
                fields.insert("messageExpression".into(), text.into());
                used.extend(reads);
            }
        }
        used.this = false;
        Ok(Written { index, body, used })
    }
}

/// The name of the pod's ServiceAccount as the API server fills it in: the deprecated field counts, and an empty one does not.
fn account_of(pod: &str) -> String {
    let named = |field: &str| format!("{pod}.?spec.?{field}.orValue('')");
    let (name, deprecated) = (named("serviceAccountName"), named("serviceAccount"));
    format!("{name} != '' ? {name} : {deprecated} != '' ? {deprecated} : 'default'")
}

/// The names of all variables that a validation reads, those that its variables read among them.
fn all_used(written: &Written, variables: &[(String, String, Used)]) -> BTreeSet<String> {
    let mut used = written.used.variables.clone();
    for (name, _, needs) in variables.iter().rev() {
        if used.contains(name) {
            used.extend(needs.variables.iter().cloned());
        }
    }
    used
}

/// An expression that may be followed by an operator.
fn bracketed(expression: &str) -> String {
    format!("({expression})")
}

/// A validation that exempted ServiceAccounts pass.
fn guarded(body: &Value, exempt: bool) -> Value {
    let mut body = body.clone();
    if exempt && let Some(expression) = body.get_mut("expression") {
        *expression = format!("variables.exempt || {}", bracketed(expression.as_str().unwrap_or_default())).into();
    }
    body
}
