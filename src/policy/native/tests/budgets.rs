//! What names are declared as, which messages are told, and which budget pays for what: as `validating/validator.go` of the API server.

use super::*;

/// A bool that costs almost what one expression may.
const DEAR: &str = "lists.range(999000).size() > 0";

/// What is refused of a policy; that its binding then names none is left out.
fn refusals(policy: Value) -> Vec<String> {
    let mut told = errors(&[policy, binding(json!({}))]);
    told.retain(|told| !told.contains("spec.policyName"));
    told
}

fn validations(expressions: &[&str]) -> Vec<Value> {
    expressions.iter().map(|expression| json!({ "expression": expression, "message": "no" })).collect()
}

#[test]
fn the_request_and_the_namespace_have_the_fields_that_the_api_server_declares() {
    let expressions = ["request.uid != ''", "namespaceObject.metadata.uid != ''", "request.userInfo.groups == 'a'", "request.?dryRn == 1"];
    let policy = policy(json!({
        "validations": validations(&expressions),
        "matchConditions": [{ "name": "who", "expression": "request.userInfo.usernam == 'eve'" }],
    }));
    let told = refusals(policy);
    let parts = [
        "spec.matchConditions[0].expression: 1:18: undefined field 'usernam'; did you mean 'username'?",
        "spec.validations[0].expression: 1:9: undefined field 'uid'",
        "spec.validations[1].expression: 1:26: undefined field 'uid'",
        "spec.validations[2].expression: 1:1: found no matching overload for '_==_' applied to '(list(string), string)'",
        "spec.validations[3].expression: 1:10: undefined field 'dryRn'; did you mean 'dryRun'?",
    ];
    assert_eq!(told.len(), parts.len(), "{told:#?}");
    for (told, part) in told.iter().zip(parts) {
        assert!(told.contains(part), "{told}");
    }
    let sound = validations(&["request.userInfo.username == 'eve' && namespaceObject.metadata.labels.env == 'prod'"]);
    assert_eq!(super::told(&created(&set(&[super::policy(json!({ "validations": sound })), binding(json!({}))]), deployment(1))), []);
}

#[test]
fn what_the_api_servers_compiler_does_not_take_is_refused() {
    let expressions = [
        "jsonpatch.escapeKey('a/b') == 'a~1b'",
        "[?object.metadata.labels[?'app']].size() > 0",
        "{?'k': object.metadata[?'name']}.size() > 0",
        "[?object.metadata.?name].size() > 0",
        "[?object.metadata[?'name'].or(optional.none())].size() > 0",
        "'%s'.format([[?object.metadata[?'name']]]) != ''",
    ];
    let told = refusals(policy(json!({ "validations": validations(&expressions) })));
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(
        told[0].contains("undeclared reference to 'jsonpatch' (in container '')") && told[0].contains("MutatingAdmissionPolicy"),
        "{}",
        told[0]
    );
    for told in &told[1..] {
        assert!(told.contains("Kubernetes' compiler ends at an optional entry") && told.contains("`.or(optional.none())`"), "{told}");
    }
}

#[test]
fn a_message_that_cannot_be_told_gives_way_to_the_fixed_one() {
    let made = [
        ("'line one\\nline two'", Some("several lines"), "several lines"),
        ("'  '", Some("blank"), "blank"),
        ("lists.range(600).map(x, '0123456789').join()", Some("too long"), "too long"),
        ("string(object.spec.nope)", Some("no value"), "no value"),
        ("'  ' + object.metadata.name + ' '", Some("not told"), "web"),
        ("''", None, "failed expression: object.spec.replicas < 0"),
    ];
    let validations: Vec<Value> = made
        .iter()
        .map(|(made, fixed, _)| json!({ "expression": " object.spec.replicas < 0 ", "messageExpression": made, "message": fixed }))
        .collect();
    let verdict = created(&set(&[policy(json!({ "validations": validations })), binding(json!({}))]), deployment(1));
    let expected: Vec<String> =
        made.iter().enumerate().map(|(index, (_, _, told))| format!("{told} (validations[{index}], binding `everywhere`)")).collect();
    let mut told: Vec<&str> = super::told(&verdict).into_iter().map(|(_, message)| message).collect();
    told.sort_by_key(|message| message.split("validations[").nth(1).map(str::to_owned));
    assert_eq!(told, expected);
}

#[test]
fn annotations_have_a_budget_of_their_own_and_messages_what_the_validations_leave() {
    let ten = [DEAR; 10];
    let annotation = json!([{ "key": "note", "valueExpression": format!("{DEAR} ? 'dear' : ''") }]);
    let rich = policy(json!({ "validations": validations(&ten), "auditAnnotations": annotation }));
    let verdict = created(&set(&[rich, binding(json!({}))]), deployment(1));
    assert_eq!(told(&verdict), []);
    assert_eq!(verdict.annotations["replica-limit.example.com.note"], ["dear"]);

    let mut poor = validations(&ten);
    poor[3]["messageExpression"] = json!(format!("{DEAR} ? 'a' : 'b'"));
    let verdict = created(&set(&[policy(json!({ "validations": poor })), binding(json!({}))]), deployment(1));
    let refusals = told(&verdict);
    assert!(denies(&verdict));
    assert!(
        refusals.iter().all(|(_, message)| message.contains("failed messageExpression: the cost limit of the policy is exceeded")),
        "{refusals:?}"
    );
}

#[test]
fn an_error_of_a_variable_names_it_as_the_api_server_does() {
    let variables = json!([
        { "name": "one", "expression": "object.spec.nope" },
        { "name": "two", "expression": "variables.one + 1" },
    ]);
    let policy = policy(json!({ "variables": variables, "validations": validations(&["variables.two == 2"]) }));
    let verdict = created(&set(&[policy, binding(json!({}))]), deployment(1));
    let expected = "validations[0], binding `everywhere`, could not be evaluated: composited variable \"two\" fails to evaluate: composited \
                    variable \"one\" fails to evaluate: no such key: nope";
    assert_eq!(told(&verdict), [(Enforcement::Deny, expected)]);
}
