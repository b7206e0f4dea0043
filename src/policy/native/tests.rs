//! Native policies in the engine: what matches, what is seen, what is refused, and with which words.
#![expect(clippy::needless_pass_by_value, reason = "objects are written once and given away")]

mod budgets;

use serde_json::{Value, json};

use crate::object::{GroupVersionKind, Object};
use crate::policy::{Certainty, Limits, PolicySet, RelatedIndex, Source, Sources, Subject, Text, Verdict, evaluate, load};
use crate::settings::Enforcement;

fn text(name: &str, documents: &[Value]) -> Text {
    let text = documents.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n");
    Text { name: name.into(), text }
}

fn try_load(documents: &[Value]) -> Result<PolicySet, Vec<String>> {
    let sources = Sources { no_builtin: true, policies: vec![text("vap.yaml", documents)], ..Sources::default() };
    load(&sources).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn set(documents: &[Value]) -> PolicySet {
    try_load(documents).unwrap()
}

fn errors(documents: &[Value]) -> Vec<String> {
    try_load(documents).unwrap_err()
}

/// A policy on Deployments with some fields of its spec replaced.
fn policy(fields: Value) -> Value {
    let mut policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": "replica-limit.example.com" },
        "spec": {
            "matchConstraints": { "resourceRules": [
                { "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"] },
            ] },
            "validations": [{ "expression": "object.spec.replicas <= 5", "message": "too many" }],
        },
    });
    merge(&mut policy["spec"], fields);
    policy
}

fn binding(fields: Value) -> Value {
    let mut binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": "everywhere" },
        "spec": { "policyName": "replica-limit.example.com", "validationActions": ["Deny"] },
    });
    merge(&mut binding["spec"], fields);
    binding
}

fn named(mut object: Value, name: &str) -> Value {
    object["metadata"]["name"] = json!(name);
    object
}

fn merge(into: &mut Value, fields: Value) {
    let (Some(into), Value::Object(fields)) = (into.as_object_mut(), fields) else { return };
    into.extend(fields);
}

fn deployment(replicas: i64) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "shop", "labels": { "app": "web" } },
            "spec": { "replicas": replicas } })
}

struct Asked<'r> {
    operation: &'r str,
    new: Option<Value>,
    old: Option<Value>,
    related: Vec<Value>,
    source: Source,
    request: Value,
}

impl Default for Asked<'_> {
    fn default() -> Self {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop", "labels": { "env": "prod" } } });
        Self { operation: "CREATE", new: None, old: None, related: vec![namespace], source: Source::Validating, request: json!({}) }
    }
}

impl Asked<'_> {
    fn verdict(&self, set: &PolicySet) -> Verdict {
        let object = |value: &Value| Object::from_serialize(value).unwrap();
        let (new, old) = (self.new.as_ref().map(object), self.old.as_ref().map(object));
        let one = new.as_ref().or(old.as_ref()).unwrap().root();
        let kind = GroupVersionKind::of(one).unwrap();
        let mut request = json!({
            "uid": "u", "operation": self.operation, "kind": { "group": kind.group, "version": kind.version, "kind": kind.kind },
            "resource": { "group": kind.group, "version": kind.version, "resource": crate::object::resource_of(&kind.kind) },
            "name": one.get("metadata").unwrap().text("name"), "namespace": one.get("metadata").unwrap().text("namespace"),
        });
        if self.source == Source::Validating {
            request["userInfo"] = json!({ "username": "eve", "groups": ["dev"] });
        }
        merge(&mut request, self.request.clone());
        let request = object(&request);
        let subject =
            Subject::from_request(self.source, request.root(), new.as_ref().map(Object::root), old.as_ref().map(Object::root)).unwrap();
        let related: Vec<Object> = self.related.iter().map(object).collect();
        let index = RelatedIndex::new(related.iter().map(Object::root), "default", self.source != Source::Manifests);
        evaluate(set, &subject, &index.facts(set, &subject, 0), Limits::default())
    }
}

fn created(set: &PolicySet, object: Value) -> Verdict {
    Asked { new: Some(object), ..Asked::default() }.verdict(set)
}

fn told(verdict: &Verdict) -> Vec<(Enforcement, &str)> {
    verdict.violations.iter().map(|violation| (violation.enforcement, violation.message.as_str())).collect()
}

fn denies(verdict: &Verdict) -> bool {
    verdict.denies()
}

#[test]
fn a_policy_judges_by_its_binding_and_says_which() {
    let set = set(&[policy(json!({})), binding(json!({}))]);
    let policy = set.policy("replica-limit.example.com").unwrap();
    assert_eq!((policy.kind(), policy.enforcement), ("ValidatingAdmissionPolicy", Enforcement::Deny));
    assert_eq!(told(&created(&set, deployment(5))), []);
    let verdict = created(&set, deployment(6));
    assert_eq!(told(&verdict), [(Enforcement::Deny, "too many (validations[0], binding `everywhere`)")]);
    assert_eq!(&*verdict.violations[0].rule, "replica-limit.example.com");
    assert!(verdict.violations[0].path.is_root());
    assert_eq!(verdict.violations[0].reason.unwrap().status(), ("Invalid", 422));
}

#[test]
fn each_binding_is_an_evaluation_with_actions_of_its_own() {
    let bindings = [("a", json!(["Warn", "Audit"])), ("b", json!(["Audit"])), ("c", json!(["Deny", "Audit"]))]
        .map(|(name, actions)| named(binding(json!({ "validationActions": actions })), name));
    let documents: Vec<Value> = std::iter::once(policy(json!({}))).chain(bindings).collect();
    let told: Vec<_> = created(&set(&documents), deployment(6)).violations.into_iter().map(|one| (one.enforcement, one.message)).collect();
    let expected = [(Enforcement::Deny, "c"), (Enforcement::Warn, "a"), (Enforcement::Audit, "b")]
        .map(|(enforcement, name)| (enforcement, format!("too many (validations[0], binding `{name}`)")));
    assert_eq!(told, expected);
}

#[test]
fn message_expression_wins_over_message_and_an_empty_one_falls_back() {
    let validations = json!([
        { "expression": "object.spec.replicas <= 5", "message": "fixed", "messageExpression": "'has ' + string(object.spec.replicas)" },
        { "expression": "object.spec.replicas <= 5", "message": "fixed", "messageExpression": "'  '" },
        { "expression": "object.spec.replicas <= 5", "message": " fixed ", "messageExpression": "string(object.spec.none)", "reason": "Forbidden" },
        { "expression": " object.spec.replicas <= 5 " },
    ]);
    let verdict = created(&set(&[policy(json!({ "validations": validations })), binding(json!({}))]), deployment(6));
    let mut messages: Vec<&str> = verdict.violations.iter().map(|one| one.message.as_str()).collect();
    messages.sort_unstable();
    assert_eq!(
        messages,
        [
            "failed expression: object.spec.replicas <= 5 (validations[3], binding `everywhere`)",
            "fixed (validations[1], binding `everywhere`)",
            "fixed (validations[2], binding `everywhere`)",
            "has 6 (validations[0], binding `everywhere`)",
        ]
    );
    let forbidden = verdict.violations.iter().find(|one| one.message.contains("[2]")).unwrap();
    assert_eq!(forbidden.reason.unwrap().status(), ("Forbidden", 403));
}

#[test]
fn the_failure_policy_says_what_an_error_does() {
    for (failure_policy, enforcement) in [("Fail", Enforcement::Deny), ("Ignore", Enforcement::Audit)] {
        let policy = policy(json!({ "failurePolicy": failure_policy, "validations": [{ "expression": "object.spec.none == 1" }] }));
        let verdict = created(&set(&[policy, binding(json!({}))]), deployment(1));
        let message = "validations[0], binding `everywhere`, could not be evaluated: no such key: none";
        assert_eq!(told(&verdict), [(enforcement, message)]);
        assert_eq!(verdict.violations[0].certainty, Certainty::Failed);
    }
}

#[test]
fn a_match_condition_that_does_not_hold_wins_over_one_that_fails() {
    let conditions =
        |second: &str| json!([{ "name": "fails", "expression": "object.spec.none == true" }, { "name": "second", "expression": second }]);
    let verdict = |second| created(&set(&[policy(json!({ "matchConditions": conditions(second) })), binding(json!({}))]), deployment(6));
    assert_eq!(told(&verdict("request.userInfo.username == 'adam'")), []);
    assert_eq!(
        told(&verdict("request.userInfo.username == 'eve'")),
        [(Enforcement::Deny, "match condition `fails` could not be evaluated: no such key: none")]
    );
}

#[test]
fn match_conditions_are_shown_no_namespace() {
    let conditions = json!([{ "name": "none", "expression": "namespaceObject == null" }]);
    let validations = json!([{ "expression": "namespaceObject == null", "message": "there is one" }]);
    let set = set(&[policy(json!({ "matchConditions": conditions, "validations": validations })), binding(json!({}))]);
    assert_eq!(told(&created(&set, deployment(1))), [(Enforcement::Deny, "there is one (validations[0], binding `everywhere`)")]);
}

#[test]
fn variables_are_lazy_and_read_the_ones_before() {
    let variables = json!([
        { "name": "broken", "expression": "object.none" },
        { "name": "replicas", "expression": "object.spec.replicas" },
        { "name": "twice", "expression": "variables.replicas * 2" },
    ]);
    let validations = json!([{ "expression": "variables.twice <= 10", "messageExpression": "string(variables.twice)" }]);
    let set = set(&[policy(json!({ "variables": variables, "validations": validations })), binding(json!({}))]);
    assert_eq!(told(&created(&set, deployment(5))), []);
    assert_eq!(told(&created(&set, deployment(6))), [(Enforcement::Deny, "12 (validations[0], binding `everywhere`)")]);
}

#[test]
fn a_deletion_has_no_object_and_an_old_one() {
    let constraints = json!({ "resourceRules": [
        { "apiGroups": ["apps"], "apiVersions": ["*"], "operations": ["DELETE"], "resources": ["deployments"] },
    ] });
    let validations = json!([{ "expression": "object == null && has(oldObject.spec) && oldObject.spec.replicas == 0" }]);
    let set = set(&[policy(json!({ "matchConstraints": constraints, "validations": validations })), binding(json!({}))]);
    let deleted = |replicas| Asked { operation: "DELETE", old: Some(deployment(replicas)), ..Asked::default() }.verdict(&set);
    assert!(!denies(&deleted(0)));
    assert!(denies(&deleted(1)));
    assert!(created(&set, deployment(1)).evaluated.is_empty(), "a creation is not meant");
}

#[test]
fn an_old_object_is_null_on_creation_and_an_update_is_not_ratcheted() {
    let validations = json!([{ "expression": "has(oldObject.spec) ? oldObject.spec.replicas > 5 : oldObject == null" }]);
    let ratchet = set(&[policy(json!({ "validations": validations })), binding(json!({}))]);
    assert!(!denies(&created(&ratchet, deployment(1))));
    let asked = Asked { operation: "UPDATE", new: Some(deployment(6)), old: Some(deployment(6)), ..Asked::default() };
    assert!(!denies(&asked.verdict(&ratchet)));
    let plain = set(&[policy(json!({})), binding(json!({}))]);
    assert!(denies(&asked.verdict(&plain)), "the object had the violation before, and a native policy does not care");
}

#[test]
fn status_and_terminating_objects_are_judged_if_they_are_meant() {
    let constraints = json!({ "resourceRules": [
        { "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments/status"] },
    ] });
    let set = set(&[policy(json!({ "matchConstraints": constraints })), binding(json!({}))]);
    let asked = |request| Asked { operation: "UPDATE", new: Some(deployment(6)), old: Some(deployment(6)), request, ..Asked::default() };
    assert!(denies(&asked(json!({ "subResource": "status" })).verdict(&set)));
    assert!(!denies(&asked(json!({})).verdict(&set)));
}

#[test]
fn selectors_rules_and_exclusions_choose_the_objects() {
    let rule = |resources: Value| json!({ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": resources });
    let constraints = |more: Value| {
        let mut constraints = json!({ "resourceRules": [rule(json!(["*"]))] });
        merge(&mut constraints, more);
        constraints
    };
    let denied =
        |more| denies(&created(&set(&[policy(json!({ "matchConstraints": constraints(more) })), binding(json!({}))]), deployment(6)));
    assert!(denied(json!({ "namespaceSelector": { "matchLabels": { "env": "prod" } } })));
    assert!(!denied(json!({ "namespaceSelector": { "matchExpressions": [{ "key": "env", "operator": "NotIn", "values": ["prod"] }] } })));
    assert!(denied(json!({ "objectSelector": { "matchLabels": { "app": "web" } } })));
    assert!(!denied(json!({ "objectSelector": { "matchLabels": { "app": "db" } } })));
    assert!(!denied(json!({ "excludeResourceRules": [rule(json!(["deployments"]))] })));
    let mut named = rule(json!(["deployments"]));
    named["resourceNames"] = json!(["db"]);
    assert!(!denied(json!({ "resourceRules": [named] })));
    named["resourceNames"] = json!(["db", "web"]);
    assert!(denied(json!({ "resourceRules": [named] })));
    for (scope, meant) in [("Namespaced", true), ("Cluster", false), ("*", true)] {
        let mut scoped = rule(json!(["deployments"]));
        scoped["scope"] = json!(scope);
        assert_eq!(denied(json!({ "resourceRules": [scoped] })), meant, "{scope}");
    }
}

#[test]
fn match_policy_exact_means_the_version_that_was_asked_for() {
    let verdict = |policy_word: &str| {
        let rule = json!({ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"] });
        let constraints = json!({ "matchPolicy": policy_word, "resourceRules": [rule] });
        let set = set(&[policy(json!({ "matchConstraints": constraints })), binding(json!({}))]);
        let request = json!({ "requestResource": { "group": "apps", "version": "v1beta1", "resource": "deployments" } });
        denies(&Asked { new: Some(deployment(6)), request, ..Asked::default() }.verdict(&set))
    };
    assert!(verdict("Equivalent"));
    assert!(!verdict("Exact"));
}

#[test]
fn a_binding_narrows_by_its_own_selectors_and_rules() {
    let bound =
        |resources: Value| denies(&created(&set(&[policy(json!({})), binding(json!({ "matchResources": resources }))]), deployment(6)));
    assert!(bound(json!({})), "no rule means every resource");
    assert!(bound(json!({ "namespaceSelector": { "matchLabels": { "env": "prod" } } })));
    assert!(!bound(json!({ "namespaceSelector": { "matchLabels": { "env": "test" } } })));
    let rule = json!({ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["*"] });
    assert!(!bound(json!({ "resourceRules": [rule] })));
}

#[test]
fn the_namespace_is_seen_and_null_for_what_is_in_none() {
    let rule = json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["namespaces", "configmaps"] });
    let validations = json!([{ "expression": "namespaceObject == null || namespaceObject.metadata.labels.env == 'prod'" }]);
    let set = set(&[policy(json!({ "matchConstraints": { "resourceRules": [rule] }, "validations": validations })), binding(json!({}))]);
    let config = |namespace: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c", "namespace": namespace } });
    assert_eq!(told(&created(&set, config("shop"))), []);
    assert_eq!(told(&created(&set, json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "new" } }))), []);
    let manifest = Asked { new: Some(config("elsewhere")), source: Source::Manifests, ..Asked::default() }.verdict(&set);
    assert_eq!(told(&manifest), [(Enforcement::Warn, "cannot be decided: Namespace `elsewhere` is not among the files")]);
}

#[test]
fn who_asks_is_not_known_from_a_file() {
    let set = set(&[policy(json!({ "validations": [{ "expression": "request.userInfo.username == 'eve'" }] })), binding(json!({}))]);
    assert!(!denies(&created(&set, deployment(1))));
    let manifest = Asked { new: Some(deployment(1)), source: Source::Manifests, ..Asked::default() }.verdict(&set);
    assert_eq!(told(&manifest), [(Enforcement::Warn, "cannot be decided: who asks is not known from a file")]);
    assert_eq!(manifest.violations[0].certainty, Certainty::Unknown);
}

/// A policy that reads its limit from a ConfigMap.
fn limited(reference: Value) -> [Value; 2] {
    let kind = json!({ "apiVersion": "v1", "kind": "ConfigMap" });
    let validations = json!([{ "expression": "params == null || object.spec.replicas <= int(params.data.most)" }]);
    [policy(json!({ "paramKind": kind, "validations": validations })), binding(json!({ "paramRef": reference }))]
}

fn limits(namespace: &str, name: &str, most: i64) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": namespace, "labels": { "for": "limits" } },
            "data": { "most": most.to_string() } })
}

#[test]
fn parameters_come_from_the_files_beside_the_policy() {
    let [policy, bound] = limited(json!({ "name": "limits", "namespace": "ops", "parameterNotFoundAction": "Deny" }));
    let set = set(&[policy, bound, limits("ops", "limits", 3)]);
    assert_eq!(told(&created(&set, deployment(3))), []);
    assert_eq!(
        told(&created(&set, deployment(4))),
        [(
            Enforcement::Deny,
            "failed expression: params == null || object.spec.replicas <= int(params.data.most) (validations[0], binding `everywhere`, \
             parameters `ops/limits`)"
        )]
    );
}

#[test]
fn each_parameter_is_an_evaluation_and_none_is_what_the_binding_says() {
    let reference = |action: &str| json!({ "selector": { "matchLabels": { "for": "limits" } }, "parameterNotFoundAction": action });
    let judged = |action: &str, related: Vec<Value>, source| {
        let namespace = Asked::default().related;
        let related = namespace.into_iter().chain(related).collect();
        let set = set(&limited(reference(action)));
        let verdict = Asked { new: Some(deployment(4)), related, source, ..Asked::default() }.verdict(&set);
        verdict.violations.iter().map(|one| (one.enforcement, one.message.clone())).collect::<Vec<_>>()
    };
    // In the namespace of the object, since the binding names none.
    let known = vec![limits("shop", "a", 3), limits("shop", "b", 2), limits("shop", "c", 9), limits("ops", "d", 1)];
    let found = judged("Deny", known, Source::Validating);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].1.ends_with("parameters `shop/a`)") && found[1].1.ends_with("parameters `shop/b`)"), "{found:?}");
    assert_eq!(judged("Allow", vec![], Source::Validating), []);
    assert_eq!(
        judged("Deny", vec![], Source::Validating),
        [(Enforcement::Deny, "binding `everywhere` finds no parameters, and says `parameterNotFoundAction: Deny`".to_owned())]
    );
    assert_eq!(
        judged("Allow", vec![], Source::Manifests),
        [(Enforcement::Warn, "cannot be decided: a selected ConfigMap is not among the files".to_owned())]
    );
}

#[test]
fn what_is_unknown_is_an_error_that_the_failure_policy_may_ignore() {
    for (failure_policy, enforcement) in [("Fail", Enforcement::Warn), ("Ignore", Enforcement::Audit)] {
        let [mut policy, bound] = limited(json!({ "name": "limits", "parameterNotFoundAction": "Deny" }));
        policy["spec"]["failurePolicy"] = json!(failure_policy);
        let manifest = Asked { new: Some(deployment(1)), source: Source::Manifests, ..Asked::default() };
        assert_eq!(
            told(&manifest.verdict(&set(&[policy, bound]))),
            [(enforcement, "cannot be decided: ConfigMap `limits` is not among the files")]
        );
    }
}

#[test]
fn without_a_reference_the_parameters_are_null() {
    let [policy, _] = limited(json!({}));
    assert_eq!(told(&created(&set(&[policy, binding(json!({}))]), deployment(100))), []);
}

#[test]
fn custom_parameters_may_be_in_no_namespace() {
    let kind = json!({ "apiVersion": "rules.example.com/v1", "kind": "ReplicaLimit" });
    let validations = json!([{ "expression": "object.spec.replicas <= params.maxReplicas" }]);
    let set = set(&[
        policy(json!({ "paramKind": kind, "validations": validations })),
        binding(json!({ "paramRef": { "name": "limit", "parameterNotFoundAction": "Deny" } })),
        json!({ "apiVersion": "rules.example.com/v1", "kind": "ReplicaLimit", "metadata": { "name": "limit" }, "maxReplicas": 3 }),
    ]);
    assert!(!denies(&created(&set, deployment(3))));
    assert!(denies(&created(&set, deployment(4))));
}

#[test]
fn audit_annotations_are_kept_once_and_an_error_in_one_denies() {
    let annotations = json!([
        { "key": "replicas", "valueExpression": "'has ' + string(object.spec.replicas)" },
        { "key": "none", "valueExpression": "null" },
        { "key": "empty", "valueExpression": "' '" },
    ]);
    let bindings = ["a", "b"].map(|name| named(binding(json!({ "validationActions": ["Audit"] })), name));
    let [one, other] = bindings;
    let verdict = created(&set(&[policy(json!({ "auditAnnotations": annotations })), one.clone(), other]), deployment(1));
    let kept: Vec<_> = verdict.annotations.iter().filter(|(_, values)| !values.is_empty()).collect();
    assert_eq!(kept, [(&"replica-limit.example.com.replicas".to_owned(), &vec!["has 1".to_owned()])]);
    let broken = json!([{ "key": "broken", "valueExpression": "object.none" }]);
    let verdict = created(&set(&[policy(json!({ "auditAnnotations": broken })), one]), deployment(1));
    assert_eq!(
        told(&verdict),
        [(Enforcement::Deny, "audit annotation `replica-limit.example.com.broken` could not be evaluated: no such key: none")]
    );
}

#[test]
fn settings_lower_a_native_policy_as_any_rule() {
    let settings = json!({ "enforcement": [{ "rules": ["replica-limit.example.com"], "enforcement": "Warn" }] });
    let sources = Sources {
        no_builtin: true,
        policies: vec![text("vap.yaml", &[policy(json!({})), binding(json!({}))])],
        settings: Some(Text { name: "doorward.yaml".into(), text: settings.to_string() }),
        ..Sources::default()
    };
    let verdict = created(&load(&sources).unwrap(), deployment(6));
    assert_eq!(verdict.violations[0].enforcement, Enforcement::Warn);
}

#[test]
fn what_the_api_server_gives_back_is_read_and_v1beta1_too() {
    let mut read = policy(json!({ "failurePolicy": "Fail" }));
    read["metadata"]["managedFields"] = json!([{ "manager": "kubectl" }]);
    read["metadata"]["generation"] = json!(2);
    read["metadata"]["annotations"] = json!({ "kubernetes.io/description": "Few replicas\nmore" });
    read["status"] = json!({ "observedGeneration": 2, "typeChecking": {} });
    let mut old = binding(json!({}));
    old["apiVersion"] = json!("admissionregistration.k8s.io/v1beta1");
    assert_eq!(set(&[read, old]).policies()[0].title, "Few replicas");
}

#[test]
fn mistakes_name_file_line_field_and_remedy() {
    let place = |errors: Vec<String>| -> Vec<String> {
        errors.iter().map(|error| error.split_once(": ").map_or(error.clone(), |(_, rest)| rest.to_owned())).collect()
    };
    let of_policy = |fields| place(errors(&[policy(fields), binding(json!({}))])).first().cloned().unwrap_or_default();
    let of_binding = |fields| place(errors(&[policy(json!({})), binding(fields)])).first().cloned().unwrap_or_default();

    assert!(
        of_policy(json!({ "validatoins": [] })).starts_with("spec.validatoins: unknown field `validatoins`, expected one of `paramKind`")
    );
    assert!(
        of_policy(json!({ "matchConstraints": { "resourceRules": [] } })).starts_with("spec.matchConstraints.resourceRules: must hold")
    );
    let rule = json!({ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": [], "resources": ["deployments"] });
    assert_eq!(
        of_policy(json!({ "matchConstraints": { "resourceRules": [rule] } })),
        "spec.matchConstraints.resourceRules[0].operations: must not be empty"
    );
    let rule = json!({ "apiGroups": ["apps"], "apiVersions": ["v1beta1"], "operations": ["CREATE"], "resources": ["deployments"] });
    assert!(
        of_policy(json!({ "matchConstraints": { "resourceRules": [rule] } }))
            .starts_with("spec.matchConstraints.resourceRules[0].apiVersions: these kinds are sent to Doorward as `v1`")
    );
    assert_eq!(
        of_policy(json!({ "validations": [{ "expression": "params.x == 1" }] })),
        "spec.validations[0].expression: 1:1: undeclared reference to 'params' (in container '') in `params.x == 1`: only a policy with a `paramKind` has `params`"
    );
    assert_eq!(
        of_policy(json!({ "validations": [{ "expression": "pod.spec == 1" }] })),
        "spec.validations[0].expression: 1:1: undeclared reference to 'pod' (in container '') in `pod.spec == 1`: variables here: `object`, `oldObject`, `request`, `namespaceObject`; a \
         field is read from one of them. `doorward policy functions` lists what may be called"
    );
    let authorizer =
        of_policy(json!({ "validations": [{ "expression": "authorizer.group('').resource('pods').check('get').allowed()" }] }));
    assert!(authorizer.contains("undeclared reference to 'authorizer'") && authorizer.contains("SubjectAccessReview"), "{authorizer}");
    assert!(of_policy(json!({ "validations": [] })).starts_with("spec.validations: must hold at least one validation"));
    let long = json!([{ "key": "a".repeat(60), "valueExpression": "null" }]);
    assert!(of_policy(json!({ "auditAnnotations": long })).starts_with("spec.auditAnnotations[0].key: is too long"));

    assert_eq!(
        of_binding(json!({ "validationActions": ["Deny", "Warn"] })),
        "spec.validationActions: must not list both `Deny` and `Warn`: the same text would be told twice"
    );
    assert!(of_binding(json!({ "validationActions": [] })).starts_with("spec.validationActions: must list"));
    assert!(of_binding(json!({ "paramRef": { "parameterNotFoundAction": "Deny" } })).starts_with("spec.paramRef: must have either"));
    assert!(of_binding(json!({ "paramRef": { "name": "x" } })).contains("missing field `parameterNotFoundAction`"));
    assert_eq!(
        of_binding(json!({ "policyName": "other" })),
        "spec.policyName: there is no ValidatingAdmissionPolicy `other` among the files; give it by `--policies` too"
    );
}

#[test]
fn a_policy_without_binding_an_old_version_and_a_taken_name_are_refused() {
    let alone = errors(&[policy(json!({}))]);
    assert_eq!(alone.len(), 1);
    assert!(alone[0].starts_with("vap.yaml:1:") && alone[0].contains("no ValidatingAdmissionPolicyBinding names"), "{alone:?}");
    let mut alpha = policy(json!({}));
    alpha["apiVersion"] = json!("admissionregistration.k8s.io/v1alpha1");
    assert!(errors(&[alpha, binding(json!({}))])[0].contains("write `admissionregistration.k8s.io/v1`"));
    let mutating =
        json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": { "name": "x" } });
    assert!(errors(&[mutating])[0].contains("`MutatingAdmissionPolicy` is no policy"));
    let taken = named(policy(json!({})), "no-host-namespaces");
    let bound = binding(json!({ "policyName": "no-host-namespaces" }));
    let sources = Sources { policies: vec![text("vap.yaml", &[taken, bound])], ..Sources::default() };
    let refused = load(&sources).unwrap_err();
    assert!(refused[0].message.contains("is the name of an IdentityPolicy already"), "{refused:?}");
    assert_eq!(refused[0].line, 1);
}

#[test]
fn a_change_of_a_binding_or_a_parameter_changes_the_revision() {
    let [policy, bound] = limited(json!({ "name": "limits", "parameterNotFoundAction": "Deny" }));
    let revision = |documents: &[Value]| set(documents).revision().to_owned();
    let one = revision(&[policy.clone(), bound.clone(), limits("ops", "limits", 3)]);
    assert_ne!(one, revision(&[policy.clone(), bound.clone(), limits("ops", "limits", 4)]));
    let mut other = bound.clone();
    other["spec"]["validationActions"] = json!(["Audit"]);
    assert_ne!(one, revision(&[policy.clone(), other, limits("ops", "limits", 3)]));
    assert_eq!(one, revision(&[policy, bound, limits("ops", "limits", 3)]));
}
