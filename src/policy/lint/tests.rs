//! Planted mistakes: what is said of each, and where. The part between « and » is what must be underlined.

use super::{Finding, Ground, Release, Weight, lint, param_kinds};
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
    let ground = Ground { schemas: schemas.clone(), target, params: param_kinds(&loaded.documents) };
    loaded.documents.iter().flat_map(|document| lint(document, &ground)).collect()
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

/// A native policy of one validation; its expression begins in line 13, column 9.
fn native(rules: &str, fields: &str, expression: &str) -> String {
    let expression = expression.replace('\n', "\n        ");
    format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{ name: planted.example.com }}\nspec:\n  \
         failurePolicy: Fail\n  matchConstraints:\n    resourceRules:\n    - {rules}\n  validations:\n  - reason: Forbidden\n    message: \
         planted\n    expression: |-\n        {expression}\n{fields}"
    )
}

fn on(group: &str, version: &str, resources: &str) -> String {
    format!("{{ apiGroups: ['{group}'], apiVersions: [{version}], operations: [CREATE], resources: [{resources}] }}")
}

fn told(findings: &[Finding]) -> Vec<(Weight, usize, usize, &str)> {
    findings.iter().map(|finding| (finding.weight, finding.line, finding.column, finding.message.as_str())).collect()
}

#[test]
fn a_native_policy_is_checked_against_each_kind_that_it_selects() {
    let look = |text: &str| look(text, &Schemas::built_in(), None);
    let deployments = on("apps", "v1", "deployments");
    let findings = look(&native(&deployments, "", "object.spec.template.spec.contaners.size() > 0"));
    assert_eq!(told(&findings), [(Weight::Warning, 13, 35, "undefined field 'contaners'; did you mean 'containers'?")]);
    let findings = look(&native(&deployments, "", "true &&\n  oldObject == null || oldObject.spec.replicas == 'a'"));
    let message = "found no matching overload for '_==_' applied to '(int, string)'";
    assert_eq!(told(&findings), [(Weight::Warning, 14, 32, message)]);
    assert_eq!(
        findings[0].remedy.as_deref(),
        Some("both sides must be of one type: convert one by `string(...)`, `int(...)` or `double(...)`")
    );

    let some = on("apps", "v1", "deployments, statefulsets, '*'");
    let findings = look(&native(&some, "", "object.spec.serviceName != ''"));
    let message = "undefined field 'serviceName' (where the object is one of deployments.apps)";
    assert_eq!(told(&findings), [(Weight::Note, 13, 21, message)]);
    for unknown in [on("*", "'*'", "'*'"), on("example.dev", "v1", "widgets"), on("batch.example.dev", "v1", "jobs")] {
        assert_eq!(told(&look(&native(&unknown, "", "object.spec.contaners.size() > 0"))), [], "{unknown}");
    }
    let refused = look(&native(&deployments, "", "request.uid != '' && request.?nam == 1 && !1"));
    let expected = [
        (Weight::Error, 13, 17, "undefined field 'uid'"),
        (Weight::Error, 13, 39, "undefined field 'nam'; did you mean 'name'?"),
        (Weight::Error, 13, 51, "found no matching overload for '!_' applied to '(int)'"),
    ];
    assert_eq!(told(&refused), expected, "one mistake is told once");
}

#[test]
fn parameters_have_the_schema_of_their_kind() {
    let deployments = on("apps", "v1", "deployments");
    let params = |kind: &str| format!("  paramKind: {kind}\n");
    let mut schemas = Schemas::built_in();
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: { name: quotas.example.dev }\nspec:\n  group: \
               example.dev\n  names: { plural: quotas, kind: Quota }\n  versions:\n  - name: v1\n    storage: true\n    schema: { openAPIV3Schema: \
               { type: object, properties: { spec: { type: object, properties: { most: { type: integer } } } } } }\n";
    schemas.add(manifest::load("crd.yaml", crd).documents[0].object.root());
    let configmap = native(&deployments, &params("{ apiVersion: v1, kind: ConfigMap }"), "params.dat.size() > 0");
    assert_eq!(told(&look(&configmap, &schemas, None)), [(Weight::Warning, 13, 16, "undefined field 'dat'; did you mean 'data'?")]);
    let quota = params("{ apiVersion: example.dev/v1, kind: Quota }");
    let custom = native(&deployments, &quota, "object.spec.replicas <= params.spec.mst");
    assert_eq!(told(&look(&custom, &schemas, None)), [(Weight::Warning, 13, 45, "undefined field 'mst'; did you mean 'most'?")]);
    assert_eq!(told(&look(&custom, &Schemas::built_in(), None)), [], "nothing is known of it");
    let beside = format!("{custom}---\napiVersion: example.dev/v1\nkind: Quota\nmetadata: {{ name: q }}\nspec: {{ most: 1 }}\n");
    assert_eq!(told(&look(&beside, &Schemas::built_in(), None)), [], "an object of the kind may stand beside it");
    let other = format!("{custom}---\napiVersion: v1\nkind: Secret\nmetadata: {{ name: q }}\n");
    let message = "`Secret` is no policy; expected `IdentityPolicy`, `InjectionPolicy`, `ValidatingAdmissionPolicy` with its bindings, or an object of a `paramKind`";
    assert!(look(&other, &Schemas::built_in(), None).iter().any(|finding| finding.message == message));
}

#[test]
fn a_binding_is_looked_at() {
    let binding = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: { name: b }\nspec:\n  \
                   policyName: a\n  validationActions: [Deny, Warn]\n";
    let findings = look(binding, &Schemas::built_in(), None);
    assert_eq!(told(&findings), [(Weight::Error, 6, 3, "must not list both `Deny` and `Warn`: the same text would be told twice")]);
    assert_eq!(told(&look(&binding.replace(", Warn", ""), &Schemas::built_in(), None)), []);
}

#[test]
fn a_constant_that_no_evaluation_gets_past_is_told() {
    for (expression, column, message, remedy) in [
        ("quantity('1Gx').isInteger()", 9, "quantities must match the regular expression", "`'2Gi'`"),
        ("object.metadata.name == '' || ip('1.2.3').family() == 4", 39, "parse error during conversion from string", "`'10.0.0.1'`"),
        ("cidr('10.0.0.0/99').prefixLength() == 8", 9, "parse error during conversion from string", "`'10.0.0.0/8'`"),
        ("semver('x').major() == 1", 9, "No Major.Minor.Patch elements found", "`'1.2.3'`"),
    ] {
        let findings = look(&policy(POD, "", expression, ""), &Schemas::built_in(), None);
        let [finding] = findings.as_slice() else { panic!("{expression}: {findings:#?}") };
        assert_eq!((finding.weight, finding.line, finding.column), (Weight::Warning, 13, column), "{expression}");
        assert!(finding.message.starts_with("each evaluation that reads this ends: "), "{}", finding.message);
        assert!(finding.message.contains(message), "{}", finding.message);
        assert!(finding.remedy.as_ref().unwrap().contains(remedy), "{:?}", finding.remedy);
    }
    assert!(look(&policy(POD, "", "quantity('1Gi').isInteger() && isIP('1.2.3') == false", ""), &Schemas::built_in(), None).is_empty());
}

#[test]
fn a_cost_that_does_not_hang_on_what_is_sent_is_told() {
    let findings = look(
        &policy(POD, "", "lists.range(2000).all(x, lists.range(2000).all(y, object.spec.priority != x))", ""),
        &Schemas::built_in(),
        None,
    );
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert!(
        finding.message.starts_with("may cost up to ") && finding.message.ends_with(", and an evaluation ends at 1000000"),
        "{}",
        finding.message
    );
    let crd = |most: &str| {
        let crd = format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{ name: widgets.example.dev }}\nspec:\n  group: \
             example.dev\n  names: {{ plural: widgets, kind: Widget }}\n  versions:\n  - name: v1\n    storage: true\n    schema: {{ openAPIV3Schema: \
             {{ type: object, properties: {{ spec: {{ type: object, properties: {{ parts: {{ type: array, {most} items: {{ type: object, properties: {{ \
             count: {{ type: integer }} }} }} }} }} }} }} }} }}\n"
        );
        let mut schemas = Schemas::built_in();
        schemas.add(manifest::load("crd.yaml", &crd).documents[0].object.root());
        schemas
    };
    let pairs = policy(WIDGET, "", "object.spec.parts.all(a, object.spec.parts.all(b, a.count != b.count))", "");
    assert_eq!(
        told(&look(&pairs, &crd("maxItems: 1000,"), None)),
        [(Weight::Warning, 13, 9, "may cost up to 8009006, and an evaluation ends at 1000000")]
    );
    assert_eq!(told(&look(&pairs, &crd("maxItems: 100,"), None)), []);
    assert_eq!(told(&look(&pairs, &crd(""), None)), [], "nobody says how many there may be");
    let grows = "object.spec.containers.all(a, object.spec.containers.all(b, a.name != b.name))";
    assert!(look(&policy(POD, "", grows, ""), &Schemas::built_in(), None).is_empty());
}

#[test]
fn each_part_of_the_language_says_which_release_brought_it() {
    for (expression, name, since) in [
        ("1 < 1.5", "a comparison of numbers of different types", "1.28"),
        ("object.?metadata.hasValue()", ".?", "1.28"),
        ("[?optional.of(1)].size() == 1", "[?]", "1.28"),
        ("{?'a': optional.of(1)}.size() == 1", "[?]", "1.28"),
        ("optional.of(1).optMap(x, x).hasValue()", "optMap", "1.28"),
        ("optional.of(1).orValue(2) == 1", "orValue", "1.28"),
        ("sets.contains([1], [1])", "sets.contains", "1.29"),
        ("isIP('10.0.0.1')", "isIP", "1.30"),
        ("format.uuid().validate('x').hasValue()", "format.uuid", "1.31"),
        ("{'a': 1}.all(k, v, v == 1)", "macros of two variables", "1.32"),
        ("isSemver('1.0.0')", "isSemver", "1.33"),
        ("lists.range(3).size() == 3", "lists.range", "1.34"),
        ("[1].includes(1)", "includes", "1.37"),
    ] {
        let findings = look(&policy(POD, "", expression, ""), &Schemas::built_in(), Some("1.27"));
        let message = format!("`{name}` needs Kubernetes {since}; the target is 1.27");
        assert!(findings.iter().any(|finding| finding.message == message), "{expression}: {findings:#?}");
        let findings = look(&policy(POD, "", expression, ""), &Schemas::built_in(), Some(since));
        assert!(findings.is_empty(), "{expression}: {findings:#?}");
    }
    let message = "an optional entry of unknown type ends the compiler of every Kubernetes so far; the target is 1.37";
    let findings = look(&policy(POD, "", "[?object.metadata[?'name']].size() == 1", ""), &Schemas::built_in(), Some("1.37"));
    assert!(findings.iter().any(|finding| finding.message == message), "{findings:#?}");
}
