//! Planted mistakes: what is said of each, and where. The part between « and » is what must be underlined.

use super::{Finding, Release, Weight, lint};
use crate::manifest;
use crate::policy::{POLICIES, Schemas};

/// A policy of one rule; the first line of its expression is line 13 of the file, from column 9 on.
fn policy(matches: &str, at: &str, expression: &str, more: &str) -> String {
    let at = if at.is_empty() { "at: ~".to_owned() } else { format!("at: {at}") };
    let expression = expression.replace('\n', "\n        ");
    format!(
        "apiVersion: doorward.dev/v1alpha1\nkind: IdentityPolicy\nmetadata: {{ name: planted }}\nspec:\n  title: planted\n  severity: low\n  \
         enforcement: Deny\n  rules:\n  - match: {matches}\n    validations:\n    - {at}\n      expression: |-\n        {expression}\n      \
         message: planted\n{more}"
    )
}

const POD: &str = "{ podTemplate: Pod }";
const ANY: &str = "{ podTemplate: Any }";
const SECRET: &str = "{ resourceRules: [{ apiGroups: [''], resources: [secrets] }] }";
const TOKEN: &str = "{ resourceRules: [{ apiGroups: [''], operations: [CREATE], resources: [serviceaccounts/token] }] }";
const ROLE: &str = "{ resourceRules: [{ apiGroups: [rbac.authorization.k8s.io], resources: [roles] }] }";
const DEPLOYMENT: &str = "{ resourceRules: [{ apiGroups: [apps], resources: [deployments] }] }";
const WIDGET: &str = "{ resourceRules: [{ apiGroups: [example.dev], resources: [widgets] }] }";

fn look(text: &str, schemas: &Schemas, target: Option<&str>) -> Vec<Finding> {
    let loaded = manifest::load("policy.yaml", text);
    assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
    let target = target.map(|target| target.parse::<Release>().unwrap());
    loaded.documents.iter().flat_map(|document| lint(document, schemas, target)).collect()
}

/// The expression without its marks, with line and column of the first mark.
fn unmarked(marked: &str) -> (String, usize, usize) {
    let before = marked.split('«').next().unwrap();
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap().chars().count();
    (marked.replace(['«', '»'], ""), line, column)
}

#[track_caller]
fn expect(weight: Weight, matches: &str, at: &str, marked: &str, message: &str) {
    let (expression, line, column) = unmarked(marked);
    let text = policy(matches, at, &expression, "");
    let findings = look(&text, &Schemas::built_in(), None);
    let [finding] = findings.as_slice() else { panic!("{marked}: {findings:#?}") };
    let part = marked.split('«').nth(1).and_then(|rest| rest.split('»').next()).unwrap();
    assert_eq!((finding.message.as_str(), finding.weight), (message, weight), "{marked}");
    assert_eq!((finding.line, finding.column), (13 + line, 9 + column), "{marked}");
    assert_eq!(text.get(finding.span.clone()).unwrap().split_whitespace().collect::<String>(), part.split_whitespace().collect::<String>());
    assert_eq!(finding.path.to_string(), "spec.rules[0].validations[0].expression");
}

#[track_caller]
fn refused(marked: &str, message: &str) {
    expect(Weight::Error, POD, "", marked, message);
}

#[test]
fn what_kubernetes_refuses_is_refused() {
    refused("«objct».metadata.name == 'a'", "undeclared reference to 'objct' (in container ''); did you mean 'object'?");
    refused("«1 == 1.0»", "found no matching overload for '_==_' applied to '(int, double)'");
    refused("true && «1»", "expected type 'bool' but found 'int'");
    refused("object.spec.containers.all(c, «c.name + 'x'»)", "expected type 'bool' but found 'string'");
    refused("«object.spec.hostNetwork»", "must evaluate to bool but got dyn (compare it, or write `bool(...)`)");
    refused("«object.spec.containers.map(c, c.name)»", "must evaluate to bool but got list(dyn) (compare it, or write `bool(...)`)");
    refused("object.metadata.name.matches(«'('»)", "invalid matches argument: error parsing regexp: missing closing ): `(`");
    refused(
        "duration(«'1d'») == duration('24h')",
        "invalid duration argument: type conversion error from 'string' to 'google.protobuf.Duration'",
    );
    refused(
        "timestamp(«'today'») < timestamp(object.metadata.creationTimestamp)",
        "invalid timestamp argument: type conversion error from 'string' to 'google.protobuf.Timestamp'",
    );
    refused("object.metadata.name in ['a', «1»]", "expected type 'string' but found 'int'");
    refused("{'a': 1, 'b': «'x'»}.a == 1", "expected type 'int' but found 'string'");
    refused("'a' in ['b', «object.metadata.name»]", "expected type 'string' but found 'dyn'");
    refused("'abc'.size() == 3 &&\n  «'x'»", "expected type 'bool' but found 'string'");
    refused("«!'a'»", "found no matching overload for '!_' applied to '(string)'");
    refused("«-'a'» == 'a'", "found no matching overload for '-_' applied to '(string)'");
    refused("«1 + 'a'» == 'a'", "found no matching overload for '_+_' applied to '(int, string)'");
    refused("«'a' < 1»", "found no matching overload for '_<_' applied to '(string, int)'");
    refused("(«true ? 1 : 'a'») == 1", "found no matching overload for '_?_:_' applied to '(bool, int, string)'");
    refused("«[1]['a']» == 1", "found no matching overload for '_[_]' applied to '(list(int), string)'");
    refused("'abc'.«length» == 3", "type 'string' does not support field selection");
    refused("«'abc'».exists(c, true)", "expression of type 'string' cannot be range of a comprehension (must be list, map, or dynamic)");
    refused("«'abc'.startsWith(1)»", "found no matching overload for 'startsWith' applied to 'string.(int)'");
    refused("«'a'.lowercase()» == 'a'", "undeclared reference to 'lowercase' (in container ''); did you mean 'lowerAscii'?");
    refused("«'a'.startWith('a')»", "undeclared reference to 'startWith' (in container ''); did you mean 'startsWith'?");
    refused("«'%d'.format(['a'])» == '1'", "error during formatting: decimal clause can only be used on integers, was given string");
    refused("«'%s %s'.format(['a'])» == '1'", "index 1 out of range");
    refused("«optional.of(1).orValue('a')» == 1", "found no matching overload for 'orValue' applied to 'optional_type(int).(string)'");
    refused("[?«1»] == [1]", "expected type 'optional_type(int)' but found 'int'");
    refused("has(«object»)", "invalid argument to has() macro");
    refused("[1].all(«x.y», true)", "argument must be a simple name");
    refused("«[[1]].min()» == [1]", "found no matching overload for 'min' applied to 'list(list(int)).()'");
    refused("object.spec.containers.all(c, «c.image.size() == 'a'»)", "found no matching overload for '_==_' applied to '(int, string)'");
    refused("request.«operaton» == 'CREATE'", "undefined field 'operaton'; did you mean 'operation'?");
    refused("request.userInfo.«user» == 'a'", "undefined field 'user'; did you mean 'username'?");
    refused("namespaceObject.metadata.«label».size() > 0", "undefined field 'label'; did you mean 'labels'?");
    expect(Weight::Error, POD, "", "identity.apiToken.«mountd» == true", "undefined field 'mountd'; did you mean 'mounted'?");
    expect(Weight::Error, POD, "identity.credentials[*]", "self.«knd» != 'x'", "undefined field 'knd'; did you mean 'kind'?");
    expect(Weight::Error, POD, "", "params.spiffe.«trustDomane» == 'x'", "undefined field 'trustDomane'; did you mean 'trustDomain'?");
}

#[test]
fn fields_of_our_own_may_be_read_as_keys() {
    assert!(look(&policy(POD, "", "identity['class'] == 'job'", ""), &Schemas::built_in(), None).is_empty());
    expect(Weight::Error, POD, "", "«identity['clas']» == 'job'", "undefined field 'clas'; did you mean 'class'?");
    let of_kubernetes = "found no matching overload for '_[_]' applied to '(kubernetes.AdmissionRequest, string)'";
    expect(Weight::Error, POD, "", "«request['name']» == 'a'", of_kubernetes);
}

#[track_caller]
fn doubted(matches: &str, at: &str, marked: &str, message: &str) {
    expect(Weight::Warning, matches, at, marked, message);
}

#[test]
fn what_the_schema_does_not_have_is_found() {
    doubted(POD, "", "object.spec.«contaners».size() > 0", "undefined field 'contaners'; did you mean 'containers'?");
    doubted(POD, "", "object.spec.containers.all(c, c.«imagee» != '')", "undefined field 'imagee'; did you mean 'image'?");
    doubted(
        POD,
        "",
        "true &&\n  has(pod.spec.«serviceAccountNam»)",
        "undefined field 'serviceAccountNam'; did you mean 'serviceAccountName'?",
    );
    doubted(ANY, "", "self.spec.?«volumez».orValue([]).size() == 0", "undefined field 'volumez'; did you mean 'volumes'?");
    doubted(
        ANY,
        "spec.volumes[volume].projected.sources[*]",
        "has(self.«serviceAccountTokn»)",
        "undefined field 'serviceAccountTokn'; did you mean 'serviceAccountToken'?",
    );
    doubted(ANY, "spec.volumes[volume]", "«volume.name == 1»", "found no matching overload for '_==_' applied to '(string, int)'");
    doubted(ANY, "spec.{initContainers,containers}[c].env[*]", "c.«env2».size() > 0", "undefined field 'env2'; did you mean 'env'?");
    doubted(POD, "", "«object.spec.hostNetwork == 'true'»", "found no matching overload for '_==_' applied to '(bool, string)'");
    doubted(
        POD,
        "",
        "«1 in object.spec.containers.map(c, c.name)»",
        "found no matching overload for '@in' applied to '(int, list(string))'",
    );
    doubted(POD, "", "«object.metadata.labels['a'] == 1»", "found no matching overload for '_==_' applied to '(string, int)'");
    doubted(SECRET, "", "object.«typ» != 'x'", "undefined field 'typ'; did you mean 'type'?");
    doubted(TOKEN, "", "object.spec.«audience».size() > 0", "undefined field 'audience'; did you mean 'audiences'?");
    doubted(ROLE, "", "object.rules.all(r, !('*' in r.«verb»))", "undefined field 'verb'; did you mean 'verbs'?");
    doubted(DEPLOYMENT, "", "object.spec.«containers».size() > 0", "undefined field 'containers'");
    doubted(
        POD,
        "",
        "serviceAccount.?«automount».orValue(true) == true",
        "undefined field 'automount'; did you mean 'automountServiceAccountToken'?",
    );
}

#[test]
fn at_is_checked_too() {
    let findings = look(&policy(POD, "spec.volumes[*].projcted", "true", ""), &Schemas::built_in(), None);
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert_eq!(finding.message, "undefined field 'projcted'; did you mean 'projected'?");
    assert_eq!((finding.line, finding.column), (11, 7));
}

#[test]
fn what_only_some_kinds_lack_is_a_note() {
    let findings = look(&policy(ANY, "", "object.spec.template.spec.hostNetwork != true", ""), &Schemas::built_in(), None);
    assert!(findings.iter().all(|finding| finding.weight == Weight::Note), "{findings:#?}");
    assert!(
        findings.iter().any(|finding| finding.message == "undefined field 'template' (where the object is one of pods)"),
        "{findings:#?}"
    );
}

#[test]
fn an_expression_may_need_a_newer_kubernetes() {
    let text = policy(POD, "", "object.spec.containers.all(i, c, i >= 0 && c.name.size() > 0)", "");
    let findings = look(&text, &Schemas::built_in(), Some("1.31"));
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert_eq!(finding.message, "`macros of two variables` needs Kubernetes 1.32; the target is 1.31");
    assert_eq!((finding.line, finding.column, finding.weight), (13, 9, Weight::Warning));
    assert!(look(&text, &Schemas::built_in(), Some("1.32")).is_empty());
    assert_eq!("1".parse::<Release>().unwrap_err(), "`1` is no release of Kubernetes; write 1.34");
    assert!("1.9".parse::<Release>().unwrap() < "1.10".parse::<Release>().unwrap());
}

#[test]
fn loops_that_nest_too_deep_are_told() {
    let nested = "object.spec.containers.all(a, object.spec.containers.all(b, object.spec.containers.all(c, object.spec.containers.all(d, \
                  object.spec.containers.all(e, e.name != '')))))";
    let findings = look(&policy(POD, "", nested, ""), &Schemas::built_in(), None);
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert_eq!(finding.message, "5 loops lie inside each other; more than 4 cost too much on a large object");
}

#[test]
fn custom_kinds_have_the_schema_that_is_given() {
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: { name: widgets.example.dev }\nspec:\n  group: \
               example.dev\n  names: { plural: widgets, kind: Widget }\n  versions:\n  - name: v1\n    storage: true\n    schema:\n      \
               openAPIV3Schema:\n        type: object\n        properties:\n          spec:\n            type: object\n            properties:\n              \
               size: { type: integer }\n              port: { x-kubernetes-int-or-string: true }\n              tags: { type: array, items: { type: string } }\n";
    let loaded = manifest::load("crd.yaml", crd);
    let mut schemas = Schemas::built_in();
    schemas.add(loaded.documents[0].object.root());
    let messages = |expression: &str, schemas: &Schemas| {
        let findings = look(&policy(WIDGET, "", expression, ""), schemas, None);
        findings.into_iter().map(|finding| finding.message).collect::<Vec<_>>()
    };
    assert_eq!(messages("object.spec.sise > 1", &schemas), ["undefined field 'sise'; did you mean 'size'?"]);
    assert_eq!(messages("object.spec.size == 'a'", &schemas), ["found no matching overload for '_==_' applied to '(int, string)'"]);
    assert_eq!(messages("object.spec.port == 1 || object.spec.port == 'a'", &schemas), [""; 0]);
    assert_eq!(messages("object.metadata.name == 'a' && 'x' in object.spec.tags", &schemas), [""; 0]);
    assert_eq!(messages("object.spec.sise > 1", &Schemas::built_in()), [""; 0], "nothing is known of it");
}

#[test]
fn folded_and_quoted_expressions_are_pointed_into() {
    let lines = |expression: &str| policy(POD, "", "true", "").replace("expression: |-\n        true", expression);
    for (expression, line, column) in [
        ("expression: >-\n        true\n        && object.spec.contaners.size() > 0", 14, 24),
        ("expression: \"object.spec.contaners.size() > 0\"", 12, 32),
        ("expression: object.metadata.name != '' && object.spec.contaners.size() > 0", 12, 61),
        ("expression: 'object.metadata.name != ''x'' && object.spec.contaners.size() > 0'", 12, 65),
        ("expression: \"object.metadata.name != \\\"x\\\" && object.spec.contaners.size() > 0\"", 12, 65),
    ] {
        let text = lines(expression);
        let findings = look(&text, &Schemas::built_in(), None);
        let [finding] = findings.as_slice() else { panic!("{expression}: {findings:#?}") };
        assert_eq!(text.get(finding.span.clone()), Some("contaners"), "{expression}");
        assert_eq!((finding.line, finding.column), (line, column), "{expression}");
    }
}

#[test]
fn nothing_is_found_in_the_built_in_policies() {
    let schemas = Schemas::built_in();
    for (name, text) in POLICIES {
        let findings = look(text, &schemas, None);
        assert!(findings.is_empty(), "{name}: {findings:#?}");
    }
    assert!(POLICIES.len() > 10);
}
