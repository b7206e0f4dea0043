//! What an expression costs on a pod of 8 kB, and what compiling costs: `cargo bench --no-default-features --bench cel`.
//!
//! The aim is a mean of 1.5 us an expression; `all` is the row of all of them, once each. `limit` is the worst of several expressions
//! that run to Kubernetes' cost limit of a million: at most 15 ms are wanted.
//!
//! `-- --export` prints the expressions and their variables for `benches/cel-go`, `-- --lines` the medians as it prints them; `cel.sh`
//! puts both side by side.

#![expect(clippy::unwrap_used, reason = "a bench stops at the first thing that is wrong")]

use std::time::Instant;

use divan::{Bencher, black_box};
use doorward::cel::{Budget, EvaluationError, Expression, Scope, Value, Variables};
use doorward::object::Object;
use doorward::policy::{Sources, load};

/// Kinds of rule, each with an expression over the variables of [`scope`].
const EXPRESSIONS: &[(&str, &str)] = &[
    ("service_account", "object.spec.?serviceAccountName.orValue('default') != 'default'"),
    ("service_account_has", "has(object.spec.serviceAccountName) && object.spec.serviceAccountName != 'default'"),
    ("automount_false", "has(object.spec.automountServiceAccountToken) && object.spec.automountServiceAccountToken == false"),
    (
        "token_audience",
        "object.spec.volumes.all(v, !has(v.projected) || v.projected.sources.all(s, !has(s.serviceAccountToken) || \
         s.serviceAccountToken.?audience.orValue('') in ['vault', 'spire', 'sts.amazonaws.com']))",
    ),
    (
        "token_seconds",
        "object.spec.volumes.all(v, !has(v.projected) || v.projected.sources.all(s, !has(s.serviceAccountToken) || \
         s.serviceAccountToken.?expirationSeconds.orValue(3600) <= 3600))",
    ),
    (
        "namespace_inject",
        "namespaceObject.metadata.?annotations[?'linkerd.io/inject'].orValue('') == 'enabled' && \
         object.metadata.?annotations[?'linkerd.io/inject'].orValue('enabled') == 'enabled'",
    ),
    (
        "security_context",
        "(object.spec.containers + object.spec.?initContainers.orValue([])).all(c, \
         c.?securityContext.?allowPrivilegeEscalation.orValue(true) == false)",
    ),
    ("container_exists", "object.spec.containers.exists(c, c.name == 'linkerd-proxy')"),
    (
        "env_strings",
        "object.spec.containers.all(c, !has(c.env) || c.env.all(e, !e.name.startsWith('VAULT_TOKEN') && !e.name.endsWith('_PASSWORD') && \
         !e.?value.orValue('').contains('hvs.')))",
    ),
    (
        "no_secret_refs",
        "object.spec.containers.all(c, (!has(c.env) || c.env.all(e, !has(e.valueFrom) || !has(e.valueFrom.secretKeyRef))) && \
         (!has(c.envFrom) || c.envFrom.all(e, !has(e.secretRef))))",
    ),
    (
        "csi_mount",
        "object.spec.volumes.exists(v, has(v.csi) && v.csi.driver == 'csi.spiffe.io' && \
         object.spec.containers[0].volumeMounts.exists(m, m.name == v.name))",
    ),
    (
        "user_and_regex",
        "request.userInfo.username.startsWith('system:serviceaccount:') && object.metadata.labels['app'].matches('^[a-z0-9-]{1,63}$')",
    ),
    ("annotations_all", "object.metadata.annotations.all(k, k.contains('/') || object.metadata.annotations[k] != '')"),
    (
        "message",
        "'pod ' + object.metadata.name + ' in ' + object.metadata.namespace + ' runs as ' + object.spec.?serviceAccountName.orValue('default')",
    ),
];

fn scope() -> Scope {
    Scope::new(&["object", "namespaceObject", "request"])
}

/// A pod with three containers, two init containers and ten volumes: about 8 kB.
fn pod() -> Object {
    let environment = |prefix: &str| {
        (0..8)
            .map(|index| {
                format!(r#"{{"name":"{prefix}_SETTING_{index}","value":"http://service-{index}.team-a.svc.cluster.local:8080/path"}}"#)
            })
            .collect::<Vec<_>>()
            .join(",")
    };
    let mounts = (0..8)
        .map(|index| format!(r#"{{"name":"volume-{index}","mountPath":"/var/lib/data/{index}","readOnly":true}}"#))
        .collect::<Vec<_>>()
        .join(",");
    let container = |name: &str| {
        format!(
            r#"{{"name":"{name}","image":"registry.example.org/team-a/{name}:1.2.3","args":["serve","--config","/etc/app/config.yaml"],"env":[{},{{"name":"POD_NAME","valueFrom":{{"fieldRef":{{"fieldPath":"metadata.name"}}}}}}],"ports":[{{"containerPort":8080,"name":"http"}}],"resources":{{"limits":{{"memory":"256Mi"}},"requests":{{"cpu":"100m","memory":"128Mi"}}}},"securityContext":{{"allowPrivilegeEscalation":false,"capabilities":{{"drop":["ALL"]}},"readOnlyRootFilesystem":true}},"volumeMounts":[{mounts},{{"name":"spiffe","mountPath":"/spiffe"}}]}}"#,
            environment(&name.to_uppercase())
        )
    };
    let volumes = (0..8)
        .map(|index| format!(r#"{{"name":"volume-{index}","configMap":{{"name":"settings-{index}"}}}}"#))
        .collect::<Vec<_>>()
        .join(",");
    let text = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web-7d4b9c6f5-x2x4z","namespace":"team-a","labels":{{"app":"web","tier":"front"}},"annotations":{{"vault.example.org/role":"web","prometheus.io/scrape":"true","prometheus.io/port":"8080","checksum/config":"c0ffee"}}}},"spec":{{"serviceAccountName":"web","automountServiceAccountToken":false,"containers":[{},{},{}],"initContainers":[{},{}],"volumes":[{volumes},{{"name":"vault-token","projected":{{"sources":[{{"serviceAccountToken":{{"audience":"vault","expirationSeconds":600,"path":"token"}}}},{{"configMap":{{"name":"kube-root-ca.crt"}}}}]}}}},{{"name":"spiffe","csi":{{"driver":"csi.spiffe.io","readOnly":true}}}}]}}}}"#,
        container("app"),
        container("sidecar"),
        container("exporter"),
        container("migrate"),
        container("warm"),
    );
    Object::from_json(text).unwrap()
}

struct Facts {
    pod: Object,
    namespace: Object,
    request: Object,
}

impl Facts {
    fn new() -> Self {
        let namespace = r#"{"metadata":{"name":"team-a","annotations":{"linkerd.io/inject":"enabled"}}}"#;
        let request = r#"{"operation":"CREATE","userInfo":{"username":"system:serviceaccount:kube-system:replicaset-controller"}}"#;
        Self { pod: pod(), namespace: Object::from_json(namespace).unwrap(), request: Object::from_json(request).unwrap() }
    }
}

impl<'a> Variables<'a> for &'a Facts {
    fn get(&self, slot: usize, _: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        let object = match slot {
            0 => &self.pod,
            1 => &self.namespace,
            _ => &self.request,
        };
        Ok(Value::from_node(object.root()))
    }
}

#[divan::bench(args = EXPRESSIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>())]
fn evaluate(bencher: Bencher<'_, '_>, name: &str) {
    let (_, source) = EXPRESSIONS.iter().find(|(known, _)| *known == name).unwrap();
    let expression = Expression::compile(source, &scope()).unwrap();
    let facts = Facts::new();
    bencher.bench_local(|| {
        let budget = Budget::new(1_000_000);
        black_box(expression.evaluate(&&facts, &budget).unwrap());
    });
}

#[divan::bench]
fn all(bencher: Bencher<'_, '_>) {
    let scope = scope();
    let expressions: Vec<_> = EXPRESSIONS.iter().map(|(_, source)| Expression::compile(source, &scope).unwrap()).collect();
    let facts = Facts::new();
    bencher.counter(divan::counter::ItemsCount::new(expressions.len())).bench_local(|| {
        for expression in &expressions {
            let budget = Budget::new(1_000_000);
            black_box(expression.evaluate(&&facts, &budget).unwrap());
        }
    });
}

/// 196 expressions at once: what the start of the program pays.
#[divan::bench(sample_count = 20)]
fn compile_196(bencher: Bencher<'_, '_>) {
    let scope = scope();
    let sources: Vec<_> = (0..14).flat_map(|_| EXPRESSIONS.iter().map(|(_, source)| (*source, &scope))).collect();
    bencher.bench_local(|| black_box(Expression::compile_all(&sources)));
}

/// The whole library with its YAML: what the start of the program pays.
#[divan::bench(sample_count = 50)]
fn load_the_built_in_policies(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| black_box(load(&Sources::default()).unwrap()));
}

mod ratio;

/// Expressions that run to the limit, each by way of something else.
const TO_THE_LIMIT: &[&str] = &[
    "lists.range(900).all(x, lists.range(900).all(y, x >= 0))",
    "lists.range(400).map(x, lists.range(400).map(y, x * y)).size() == 0",
    "lists.range(300).transformMap(i, v, lists.range(700).transformMap(j, w, v + w)).size() == 0",
    "lists.range(600).all(x, lists.range(600).all(y, 'name-' + string(y) != object.metadata.name))",
    "lists.range(2000).all(x, lists.range(40).distinct().size() == 40)",
    "lists.range(2000).all(x, lists.range(40).reverse().sort().size() == 40)",
    "lists.range(99999).all(x, object.metadata.name.replace('l', 'm').split('-').join('-').matches('^w.*z$'))",
    "lists.range(99999).all(x, object.spec.containers.all(c, c.name != '' && has(c.image)))",
    "lists.range(99999).all(x, '%d %s'.format([x, object.metadata.name]) != '')",
    "lists.range(99999).all(x, 'a'.matches('a' + string(x)) || true)",
    "lists.range(99999).all(x, object.?metadata.?labels.?app.orValue('') == 'web' && object.?metadata.?name.hasValue())",
];

/// Milliseconds to the limit: the worst expression, and its text.
fn limit(facts: &Facts) -> (f64, &'static str) {
    let scope = scope();
    let mut worst = (0.0, "");
    for source in TO_THE_LIMIT {
        let expression = Expression::compile(source, &scope).unwrap();
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let started = Instant::now();
            let outcome = expression.evaluate(&facts, &Budget::new(1_000_000));
            best = best.min(started.elapsed().as_secs_f64() * 1e3);
            assert!(matches!(outcome, Err(EvaluationError::BudgetExceeded)), "{source}");
        }
        if best > worst.0 {
            worst = (best, *source);
        }
    }
    worst
}

/// What the program in `cel-go` measures: every expression, and the variables.
#[expect(clippy::print_stdout, reason = "read by another program")]
fn export(facts: &Facts) {
    let expressions: Vec<_> = EXPRESSIONS.iter().map(|(name, text)| serde_json::json!({"name": name, "expression": text})).collect();
    let variable = |object: &Object| serde_json::from_str::<serde_json::Value>(&object.root().to_json()).unwrap();
    let variables = serde_json::json!({
        "object": variable(&facts.pod), "namespaceObject": variable(&facts.namespace), "request": variable(&facts.request)
    });
    println!("{}", serde_json::json!({"expressions": expressions, "variables": variables}));
}

/// A line of JSON an expression: the median of 301 samples, in nanoseconds.
#[expect(clippy::print_stdout, reason = "read by another program")]
fn lines(facts: &Facts) {
    for (name, source) in EXPRESSIONS {
        let expression = Expression::compile(source, &scope()).unwrap();
        let evaluate = || black_box(expression.evaluate(&facts, &Budget::new(1_000_000)).unwrap());
        let mut samples: Vec<f64> = (0..301).map(|_| ratio::sample(&mut || drop(evaluate()))).collect();
        let ns = ratio::median(&mut samples) * 1e3;
        println!("{}", serde_json::json!({"name": name, "ns": ns}));
    }
}

#[expect(clippy::print_stdout, reason = "a bench tells its figures")]
fn main() {
    let asked = |flag: &str| std::env::args().any(|argument| argument == flag);
    if asked("--export") {
        return export(&Facts::new());
    }
    if asked("--lines") {
        return lines(&Facts::new());
    }
    divan::main();
    let (scope, facts) = (scope(), Facts::new());
    let text = facts.pod.root().to_json();
    let sources: Vec<_> = EXPRESSIONS.iter().map(|(_, source)| (*source, &scope)).collect();
    let expressions: Vec<_> = Expression::compile_all(&sources).into_iter().map(Result::unwrap).collect();
    let evaluate =
        || expressions.iter().map(|expression| expression.evaluate(&&facts, &Budget::new(1_000_000))).filter(Result::is_ok).count();
    ratio::table(
        "fourteen expressions over one pod of 8 kB, in process",
        vec![
            ratio::Row::new("serde_json::Value (floor)", || serde_json::from_str::<serde_json::Value>(&text)),
            ratio::Row::new("evaluate all fourteen", evaluate),
            ratio::Row::new("compile all fourteen", || Expression::compile_all(&sources)),
        ],
    );
    if !asked("--test") {
        let (worst, source) = limit(&facts);
        println!("\nlimit: {worst:.1} ms at most from the start to the cost limit of 1,000,000, by `{source}`");
    }
}
