//! The built-in policies together: what the injections make passes every rule, and what they cannot mend is told by the right ones.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use doorward::manifest;
use doorward::object::{GroupVersionKind, Node, Object};
use doorward::policy::{Limits, PolicySet, RelatedIndex, Source, Sources, Subject, Verdict, evaluate, load, manifest_request, mutate};
use doorward::settings::Settings;

const AROUND: &str = r#"
apiVersion: v1
kind: Namespace
metadata:
  name: payments
  annotations: { linkerd.io/inject: enabled }
  labels:
    inject.doorward.dev/automount-off: "true"
    inject.doorward.dev/vault-agent: "true"
    inject.doorward.dev/spiffe-csi: "true"
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: api, namespace: payments }
"#;

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: { name: api, namespace: payments }
spec:
  serviceAccountName: api
  initContainers: [{ name: migrate, image: 'api:1' }]
  containers:
  - name: api
    image: api:1
    volumeMounts: [{ name: kube-api-access-x7k2p, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true }]
  volumes:
  - name: kube-api-access-x7k2p
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken: { expirationSeconds: 3607, path: token }
      - configMap: { name: kube-root-ca.crt, items: [{ key: ca.crt, path: ca.crt }] }
      - downwardAPI: { items: [{ path: namespace, fieldRef: { apiVersion: v1, fieldPath: metadata.namespace } }] }
";

fn library() -> PolicySet {
    load(&Sources { fallback: Some(Settings::demonstration()), ..Sources::default() }).expect("the built-in library loads")
}

fn objects(text: &str) -> Vec<Object> {
    let loaded = manifest::read("test.yaml", text);
    assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
    loaded.documents.into_iter().map(|document| document.object).collect()
}

fn with_subject<T>(object: Node<'_>, source: Source, then: impl FnOnce(&Subject<'_>) -> T) -> T {
    let kind = GroupVersionKind::of(object).expect("a kind");
    let request = manifest_request(object, &kind, "payments");
    then(&Subject::from_request(source, request.root(), Some(object), None).expect("a subject"))
}

fn judge(set: &PolicySet, around: &[Object], object: Node<'_>, source: Source) -> Verdict {
    with_subject(object, source, |subject| {
        let facts = RelatedIndex::new(around.iter().map(Object::root), "default", source != Source::Manifests).facts(set, subject, 0);
        evaluate(set, subject, &facts, Limits::default())
    })
}

fn lines(verdict: &Verdict) -> Vec<String> {
    verdict.violations.iter().map(doorward::policy::Violation::line).collect()
}

/// The violated rules, each once, in order of their ids.
fn rules(verdict: &Verdict) -> Vec<&str> {
    let mut rules: Vec<&str> = verdict.violations.iter().map(|violation| &*violation.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

#[test]
fn what_the_injections_make_passes_every_rule() {
    let (set, around) = (library(), objects(AROUND));
    let pod = &objects(POD)[0];
    let after = with_subject(pod.root(), Source::Mutating, |subject| {
        let facts = RelatedIndex::new(around.iter().map(Object::root), "default", true).facts(&set, subject, 0);
        let mutation = mutate(&set, subject, &facts);
        assert_eq!(mutation.undecided, None);
        let done: Vec<&str> = mutation.injections.iter().filter(|state| state.done).map(|state| state.id.as_str()).collect();
        assert_eq!(done, ["automount-off", "vault-token", "vault-agent", "spiffe-csi", "spiffe-id", "stamp"]);
        pod.patched(&mutation.operations).expect("the patch fits")
    });
    let verdict = judge(&set, &around, after.root(), Source::Validating);
    assert_eq!(lines(&verdict), Vec::<String>::new());
    assert_eq!(verdict.evaluated.len(), set.policies().iter().filter(|policy| speaks_of_pods(policy)).count());
}

fn speaks_of_pods(policy: &doorward::policy::IdentityPolicy) -> bool {
    policy.matches().any(|matches| matches.pod_template.is_some())
}

#[test]
fn a_template_is_judged_as_its_pods_will_be() {
    let (set, around) = (library(), objects(AROUND));
    let deployment = &objects(
        "
apiVersion: apps/v1
kind: Deployment
metadata: { name: api, namespace: payments }
spec: { template: { spec: { serviceAccountName: api, containers: [{ name: api, image: 'api:1' }] } } }
",
    )[0];
    assert_eq!(lines(&judge(&set, &around, deployment.root(), Source::Manifests)), Vec::<String>::new());
    assert_eq!(lines(&judge(&set, &around, deployment.root(), Source::Validating)), Vec::<String>::new());
}

#[test]
fn a_careless_pod_is_told_by_each_rule_that_it_breaks() {
    let set = library();
    let around = objects("apiVersion: v1\nkind: Namespace\nmetadata: { name: payments }");
    let pod = &objects(
        "
apiVersion: v1
kind: Pod
metadata: { name: x, namespace: payments, annotations: { spiffe.io/spiffe-id: nobody } }
spec:
  hostPID: true
  containers:
  - name: x
    image: x:1
    env: [{ name: VAULT_TOKEN, value: not-a-real-token }, { name: VAULT_ADDR, value: 'http://vault' }]
    volumeMounts: [{ name: t, mountPath: /var/run/secrets/kubernetes.io/serviceaccount }, { name: linkerd-identity-token, mountPath: /i }]
  volumes:
  - { name: t, secret: { secretName: t } }
  - { name: s, hostPath: { path: /run/spire } }
  - { name: p, projected: { sources: [{ serviceAccountToken: { path: token, audience: nobody, expirationSeconds: 86400 } }] } }
",
    )[0];
    let verdict = judge(&set, &around, pod.root(), Source::Validating);
    assert_eq!(
        rules(&verdict),
        [
            "injection-conflict",
            "known-token-audience",
            "no-default-service-account",
            "no-host-namespaces",
            "no-hostpath-spiffe-socket",
            "no-implicit-automount",
            "no-legacy-token-use",
            "no-static-vault-token",
            "no-unmeshed-pod",
            "require-vault-token",
            "spiffe-id-annotation-matches",
            "token-ttl-limit",
            "vault-login-target",
            "vault-tls-required",
        ],
        "{:#?}",
        lines(&verdict)
    );
    assert!(verdict.denies());
    let text = lines(&verdict).join("\n");
    assert!(!text.contains("not-a-real-token"), "{text}");
    for violation in &verdict.violations {
        assert!(!violation.message.starts_with("failed expression") && !violation.remedy.is_empty(), "{}", violation.line());
    }
}

#[test]
fn careless_objects_of_the_operators_are_told_by_each_rule_that_they_break() {
    let (set, around) = (library(), objects(AROUND));
    let careless = objects(
        "
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: { name: main, namespace: payments }
spec: { provider: { vault: { server: 'http://evil.example.com', auth: { kubernetes: { role: root }, tokenSecretRef: { name: t } } } } }
---
apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultAuth
metadata: { name: main, namespace: payments }
spec: { method: jwt, allowedNamespaces: ['*'], jwt: { role: root, serviceAccount: api } }
---
apiVersion: v1
kind: Secret
metadata: { name: main, namespace: payments }
stringData: { key: AKIAIOSFODNN7EXAMPLE }
---
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: { name: main, namespace: payments }
spec: { pipelineSpec: { tasks: [{ name: t, taskSpec: { steps: [{ name: s, env: [{ name: GITHUB_TOKEN, value: not-a-real-token }] }] } }] } }
",
    );
    let told: Vec<Vec<String>> = careless
        .iter()
        .map(|object| {
            let verdict = judge(&set, &around, object.root(), Source::Manifests);
            let text = lines(&verdict).join("\n");
            assert!(!text.contains("AKIA") && !text.contains("not-a-real-token"), "{text}");
            assert!(verdict.violations.iter().all(|violation| !violation.remedy.is_empty()), "{text}");
            rules(&verdict).into_iter().map(str::to_owned).collect()
        })
        .collect();
    let vault = ["vault-kubernetes-auth-only", "vault-login-target", "vault-role-allowed", "vault-tls-required"];
    assert_eq!(told[0], [&["no-ambient-store-auth"], &vault[..]].concat());
    assert_eq!(told[1], ["secret-store-scoped", "vault-kubernetes-auth-only", "vault-login-target", "vault-role-allowed"]);
    assert_eq!(told[2], ["no-credential-material", "no-unmanaged-secret"]);
    assert_eq!(told[3], ["no-static-credential", "pipeline-service-account"]);
}
