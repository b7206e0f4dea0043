//! What is written out, and what is not, with the reason.
#![expect(clippy::needless_pass_by_value, reason = "objects are written once and given away")]

use serde_json::{Value, json};

use super::*;
use crate::cel::Expression;
use crate::manifest;
use crate::object::{Kind, Node};
use crate::policy::{Sources, Text, load};

/// A policy of one rule on pod templates.
fn policy(rule: Value) -> Value {
    let mut rules = json!([{ "match": { "podTemplate": "Any" }, "validations": [] }]);
    if let (Some(into), Value::Object(fields)) = (rules[0].as_object_mut(), rule) {
        into.extend(fields);
    }
    json!({
        "apiVersion": "doorward.dev/v1alpha1", "kind": "IdentityPolicy", "metadata": { "name": "rule" },
        "spec": { "title": "A rule", "severity": "high", "enforcement": "Deny", "rules": rules },
    })
}

fn exported(rule: Value, settings: Value) -> Export {
    let sources = Sources {
        no_builtin: true,
        policies: vec![Text { name: "rule.yaml".into(), text: policy(rule).to_string() }],
        settings: Some(Text { name: "doorward.yaml".into(), text: settings.to_string() }),
        ..Sources::default()
    };
    export(&load(&sources).unwrap(), &|_| true)
}

fn one(rule: Value, settings: Value) -> Value {
    let export = exported(rule, settings);
    assert_eq!(export.omissions, []);
    export.policies[0].policy["spec"].clone()
}

fn reason(rule: Value, settings: Value) -> (String, String) {
    let export = exported(rule, settings);
    assert_eq!(export.policies, []);
    (export.omissions[0].place.clone(), export.omissions[0].reason.clone())
}

fn expressions(node: Node<'_>, found: &mut Vec<String>) {
    match node.kind() {
        Kind::Map => {
            for (key, value) in node.entries() {
                match value.as_str() {
                    Some(text) if key == "expression" || key.ends_with("Expression") => found.push(text.to_owned()),
                    _ => expressions(value, found),
                }
            }
        }
        Kind::List => node.items().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn every_expression_of_the_library_is_printed_as_itself() {
    let mut found = Vec::new();
    for (name, text) in crate::policy::POLICIES {
        for document in manifest::read(name, text).documents {
            expressions(document.object.root(), &mut found);
        }
    }
    assert!(found.len() > 80, "{}", found.len());
    for source in &found {
        assert!(Expression::prints_as_itself(source), "{source}");
    }
}

#[test]
fn settings_are_constants_and_only_those_that_are_read() {
    let validation = json!({ "expression": "params.mesh.proxyUID == 1 || params.audiences['vault'].maxSeconds < 5", "message": "no" });
    let validation = serde_json::from_str::<Value>(&validation.to_string().replace("proxyUID", "proxyUid")).unwrap();
    let spec = one(json!({ "validations": [validation] }), json!({ "audiences": { "vault": { "maxSeconds": 600 } } }));
    assert_eq!(
        spec["variables"],
        json!([{ "name": "params", "expression": "{'audiences': dyn({'vault': dyn({'maxSeconds': dyn(600)})}), 'mesh': dyn({'proxyUid': dyn(2102)})}" }])
    );
    assert_eq!(
        spec["validations"][0]["expression"],
        "variables.params.mesh.proxyUid == 1 || variables.params.audiences['vault'].maxSeconds < 5"
    );
}

#[test]
fn a_message_names_what_fails_and_how_to_mend_it() {
    let validation = json!({
        "at": "spec.volumes[volume].hostPath", "expression": "self.path != '/'", "messageExpression": "'volume ' + volume.name",
        "remedy": "remove it",
    });
    let spec = one(json!({ "validations": [validation] }), json!({}));
    assert_eq!(
        spec["validations"][0],
        json!({
            "expression": "variables.pod.?spec.?volumes.orValue([]).all(index1, volume, volume.?hostPath.optMap(self, self.path != '/').orValue(true))",
            "message": "A rule. Fix: remove it",
            "messageExpression": "variables.pod.?spec.?volumes.orValue([]).transformList(index1, volume, volume.?hostPath.optMap(self, \
                                  (self.path != '/') ? '' : string('volume ' + volume.name) + '. Fix: ' + 'remove it').orValue(''))\
                                  .filter(text, text != '').join('; ')",
            "reason": "Forbidden",
        })
    );
}

#[test]
fn what_the_identity_model_says_in_other_words_is_written_in_those() {
    let validation = json!({ "expression": "identity.serviceAccount != 'default' && identity.spiffeId != ''", "message": "no" });
    let spec = one(json!({ "validations": [validation] }), json!({ "spiffe": { "trustDomain": "example.org" } }));
    let names: Vec<&str> = spec["variables"].as_array().unwrap().iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["pod", "serviceAccountName", "spiffeId"]);
    assert_eq!(
        spec["variables"][2]["expression"],
        "'spiffe://example.org/ns/' + request.namespace + '/sa/' + variables.serviceAccountName"
    );
    assert_eq!(spec["validations"][0]["expression"], "variables.serviceAccountName != 'default' && variables.spiffeId != ''");
}

#[test]
fn what_cannot_be_written_says_why() {
    let validation = |at: Option<&str>, expression: &str| {
        let mut validation = json!({ "expression": expression, "message": "no" });
        if let Some(at) = at {
            validation["at"] = json!(at);
        }
        json!({ "validations": [validation] })
    };
    let place = "spec.rules[0].validations[0]".to_owned();
    for (rule, why) in [
        (validation(Some("identity.mesh"), "self.state == 'x'"), "looks at `identity.mesh`, which Doorward computes and CEL cannot"),
        (validation(None, "identity.vault.client == true"), "reads `identity.vault`, which Doorward computes and CEL cannot"),
        (
            validation(None, "serviceAccount.?x.hasValue()"),
            "reads the pod's ServiceAccount, and the API server's CEL looks up no other object",
        ),
        (validation(Some("spec.volumes[item1].x"), "true"), "binds `item1`, which the loops of the export use"),
        (validation(None, "identity.spiffeId == ''"), "reads `identity.spiffeId`, which Doorward computes and CEL cannot"),
    ] {
        assert_eq!(reason(rule, json!({})), (place.clone(), why.to_owned()));
    }
    let rule = json!({
        "variables": [{ "name": "client", "expression": "identity.vault.client" }],
        "validations": [{ "expression": "!variables.client", "message": "no" }],
    });
    assert_eq!(reason(rule, json!({})).1, "uses `variables.client`, which reads `identity.vault`, which Doorward computes and CEL cannot");
    let rule = json!({
        "matchConditions": [{ "name": "mesh", "expression": "params.mesh.kind != 'none'" }],
        "validations": [{ "expression": "true", "message": "no" }],
    });
    assert_eq!(
        reason(rule, json!({})),
        ("spec.rules[0]".to_owned(), "has the match condition `mesh`, which does not hold with these settings".to_owned())
    );
    let by_namespace = json!({ "enforcement": [{ "rules": ["rule"], "enforcement": "Warn", "namespaceSelector": {} }] });
    assert!(reason(validation(None, "true"), by_namespace).1.starts_with("is enforced differently by namespace"));
}

#[test]
fn what_is_native_already_is_not_written_again() {
    let version = "admissionregistration.k8s.io/v1";
    let rule = json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] });
    let policy = json!({
        "apiVersion": version, "kind": "ValidatingAdmissionPolicy", "metadata": { "name": "native" },
        "spec": { "matchConstraints": { "resourceRules": [rule] }, "validations": [{ "expression": "true" }] },
    });
    let binding = json!({
        "apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": "native" },
        "spec": { "policyName": "native", "validationActions": ["Deny"] },
    });
    let policies = vec![Text { name: "native.yaml".into(), text: format!("{policy}\n---\n{binding}") }];
    let export = export(&load(&Sources { no_builtin: true, policies, ..Sources::default() }).unwrap(), &|_| true);
    assert_eq!(export.policies, []);
    assert_eq!(export.omissions[0].reason, "is a ValidatingAdmissionPolicy already");
}

#[test]
fn a_condition_on_settings_and_the_request_has_the_settings_written_in() {
    let rule = json!({
        "match": { "resourceRules": [{ "apiGroups": [""], "resources": ["secrets"], "operations": ["*"] }] },
        "matchConditions": [{ "name": "nobody", "expression": "!(request.userInfo.username in params.secretTokenControllers)" }],
        "validations": [{ "expression": "object.type != 'x'", "message": "no" }],
    });
    let spec = one(rule, json!({ "secretTokenControllers": ["a'b", "c"], "exemptions": [] }));
    let conditions: Vec<(&str, &str)> = spec["matchConditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|condition| (condition["name"].as_str().unwrap(), condition["expression"].as_str().unwrap()))
        .collect();
    assert_eq!(conditions[0].0, "object-changed");
    assert_eq!(conditions[1], ("nobody", "!(request.userInfo.username in ['a\\'b', 'c'])"));
    assert_eq!(spec["matchConstraints"]["resourceRules"][0]["operations"], json!(["CREATE", "UPDATE"]));
}

#[test]
fn exemptions_are_conditions_and_those_of_a_service_account_a_variable() {
    let exemptions = json!([
        { "rules": ["*"], "namespace": "kube-system" },
        { "rules": ["rule"], "namespace": "spire", "serviceAccount": "agent" },
        { "rules": ["rule"], "namespace": "ops", "name": "tool" },
        { "rules": [], "namespace": "elsewhere" },
    ]);
    let spec = one(json!({ "validations": [{ "expression": "self != null", "message": "no" }] }), json!({ "exemptions": exemptions }));
    let condition = spec["matchConditions"].as_array().unwrap().iter().find(|condition| condition["name"] == "not-exempt").unwrap();
    assert_eq!(
        condition["expression"],
        "!(request.?namespace.orValue('') in ['kube-system', 'kube-public', 'kube-node-lease'] || (request.?namespace.orValue('') == 'ops' && \
         request.?name.orValue('') == 'tool'))"
    );
    let exempt = spec["variables"].as_array().unwrap().iter().find(|variable| variable["name"] == "exempt").unwrap();
    assert_eq!(exempt["expression"], "(request.namespace == 'spire' && variables.serviceAccountName == 'agent')");
    assert_eq!(spec["validations"][0]["expression"], "variables.exempt || (variables.pod != null)");
}

#[test]
fn an_enforcement_is_a_policy_and_a_validation_action() {
    let rule = json!({ "validations": [
        { "expression": "true", "message": "a" }, { "expression": "true", "message": "b", "enforcement": "Warn" },
        { "expression": "true", "message": "c" }, { "expression": "true", "message": "d", "enforcement": "Off" },
    ] });
    let export = exported(rule.clone(), json!({}));
    let made: Vec<_> = export
        .policies
        .iter()
        .map(|one| (one.policy["metadata"]["name"].as_str().unwrap(), &one.validations[..], &one.binding["spec"]["validationActions"]))
        .collect();
    assert_eq!(made, [("rule.doorward.dev", &[0, 2][..], &json!(["Deny"])), ("rule-warn.doorward.dev", &[1][..], &json!(["Warn"]))]);
    let observed = exported(rule, json!({ "preset": "observe" }));
    assert_eq!(observed.policies.len(), 1);
    assert_eq!(observed.policies[0].policy["metadata"]["name"], "rule.doorward.dev");
    assert_eq!(observed.policies[0].binding["spec"]["validationActions"], json!(["Audit"]));
}

#[test]
fn the_notes_say_what_no_policy_of_the_api_server_can() {
    let export = exported(json!({ "validations": [{ "expression": "true", "message": "a" }] }), json!({}));
    assert_eq!(export.notes.len(), 2, "{:?}", export.notes);
    assert!(export.notes[1].starts_with("an UPDATE that changes what a rule looks at is judged as a whole"));
    let none = json!({ "updateRatchet": false });
    assert_eq!(exported(json!({ "validations": [{ "expression": "true", "message": "a" }] }), none).notes.len(), 1);
}

#[test]
fn what_the_api_server_would_refuse_is_not_written() {
    let validation = |expression: &str| json!({ "validations": [{ "expression": expression, "message": "no" }] });
    let place = "spec.rules[0].validations[0]".to_owned();
    let (found, why) = reason(validation("jsonpatch.escapeKey(object.metadata.name) == 'a'"), json!({}));
    assert_eq!(found, place);
    assert!(why.starts_with("is refused by the API server: undeclared reference to 'jsonpatch' (in container '')"), "{why}");
    for panics in [
        "[?object.spec.containers[?1]].size() >= 0",
        "{?'a': object.metadata.labels[?'app']}.size() >= 0",
        "[?object.metadata.name].size() >= 0",
    ] {
        let (found, why) = reason(validation(panics), json!({}));
        assert_eq!(found, place, "{panics}");
        assert!(why.contains("Kubernetes' compiler ends at an optional entry"), "{panics}: {why}");
    }
    // A variable takes those with it that read it, and no others.
    let rule = json!({
        "variables": [
            { "name": "bad", "expression": "[?object.metadata[?'name']]" },
            { "name": "worse", "expression": "variables.bad.size()" },
        ],
        "validations": [
            { "expression": "variables.worse > 0", "message": "no" }, { "expression": "object.metadata.name != ''", "message": "no" },
        ],
    });
    let export = exported(rule, json!({}));
    assert_eq!((export.omissions.len(), export.omissions[0].place.as_str()), (1, place.as_str()));
    assert_eq!(export.policies[0].validations, [1]);
    assert!(export.policies[0].policy["spec"].get("variables").is_none());
}

#[test]
fn each_policy_says_which_release_it_needs() {
    let needs = |expression: &str| {
        let export = exported(json!({ "validations": [{ "expression": expression, "message": "no" }] }), json!({}));
        (export.policies[0].policy["metadata"]["annotations"]["doorward.dev/needs-kubernetes"].clone(), export.notes[0].clone())
    };
    assert_eq!(needs("object.metadata.name != ''"), (json!("1.30"), "Kubernetes 1.30 and later take all of them".to_owned()));
    let note = "Kubernetes 1.37 and later take all of them (includes in `rule`); the annotation `doorward.dev/needs-kubernetes` says what each needs";
    assert_eq!(needs("[1].includes(object.spec.n) && object.spec.all(k, v, k != v)"), (json!("1.37"), note.to_owned()));
    let at = json!({ "validations": [{ "at": "spec.volumes[*]", "expression": "self.name != ''", "message": "no" }] });
    assert_eq!(exported(at, json!({})).policies[0].needs[0].since, "1.32");
}

#[test]
fn a_condition_that_reads_the_pod_has_it_written_in() {
    let conditions = |carrier: &str, expression: &str, settings: Value| {
        let rule = json!({
            "match": { "podTemplate": carrier },
            "matchConditions": [{ "name": "asked", "expression": expression }],
            "validations": [{ "expression": "true", "message": "no" }],
        });
        let spec = one(rule, settings);
        let found = spec["matchConditions"].as_array().unwrap().iter().find(|condition| condition["name"] == "asked").unwrap();
        found["expression"].as_str().unwrap().to_owned()
    };
    assert_eq!(conditions("Pod", "has(pod.metadata.labels)", json!({})), "has((object).metadata.labels)");
    assert_eq!(
        conditions("Workload", "pod.spec.hostPID == true", json!({})),
        "(request.kind.kind == 'CronJob' ? object.spec.jobTemplate.spec.template : request.kind.kind == 'PodTemplate' ? object.template : \
         object.spec.template).spec.hostPID == true"
    );
    let account = conditions("Pod", "identity.serviceAccount != 'default' && identity.namespace != 'a'", json!({}));
    assert_eq!(
        account,
        "((object).?spec.?serviceAccountName.orValue('') != '' ? (object).?spec.?serviceAccountName.orValue('') : \
         (object).?spec.?serviceAccount.orValue('') != '' ? (object).?spec.?serviceAccount.orValue('') : 'default') != 'default' && \
         request.namespace != 'a'"
    );
    let rule = json!({
        "matchConditions": [{ "name": "asked", "expression": "identity.mesh.state == 'x'" }],
        "validations": [{ "expression": "true", "message": "no" }],
    });
    let why = "has the match condition `asked`, which reads `identity.mesh.state`, which the API server knows in no match condition";
    assert_eq!(reason(rule, json!({})).1, why);
}

#[test]
fn rules_on_two_versions_of_a_kind_judge_their_own() {
    let rule = |versions: Value| {
        json!({
            "match": { "resourceRules": [{ "apiGroups": ["tekton.dev"], "apiVersions": versions, "resources": ["pipelineruns"] }] },
            "validations": [{ "expression": "object.metadata.name != ''", "message": "no" }],
        })
    };
    let policies = |one: Value, other: Value| {
        let mut document = policy(rule(one));
        document["spec"]["rules"].as_array_mut().unwrap().push(rule(other));
        let policies = vec![Text { name: "rule.yaml".into(), text: document.to_string() }];
        let export = export(&load(&Sources { no_builtin: true, policies, ..Sources::default() }).unwrap(), &|_| true);
        export.policies.iter().map(|one| one.policy["spec"]["matchConstraints"]["matchPolicy"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(policies(json!(["v1"]), json!(["v1beta1"])), [json!("Exact"), json!("Exact")]);
    assert_eq!(policies(json!(["v1"]), json!(["v1"])), [Value::Null, Value::Null]);
    assert_eq!(policies(json!(["*"]), json!(["v1beta1"])), [Value::Null, Value::Null]);
}
