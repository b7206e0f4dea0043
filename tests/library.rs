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
  annotations: { linkerd.io/inject: enabled, config.linkerd.io/default-inbound-policy: all-authenticated }
  labels:
    inject.doorward.dev/automount-off: "true"
    inject.doorward.dev/vault-agent: "true"
    inject.doorward.dev/spiffe-csi: "true"
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: api, namespace: payments }
---
apiVersion: spire.spiffe.io/v1alpha1
kind: ClusterSPIFFEID
metadata: { name: every-pod }
spec: { spiffeIDTemplate: "spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}" }
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
    let subject = Subject::from_request(source, request.root(), Some(object), None).expect("a subject");
    then(&Subject { uid: "0f8fad5b-d9cb-469f-a165-70867728950e", ..subject })
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
    let silent = set.policies().iter().filter(|policy| speaks_of_pods(policy)).map(|policy| &*policy.id);
    let silent: Vec<&str> = silent.filter(|id| !verdict.evaluated.iter().any(|evaluated| &**evaluated == *id)).collect();
    // No agent, no ephemeral container, no workload's template: every other rule that speaks of pods had its say.
    let expected = [
        "agent-delegation-declared",
        "no-identity-in-ephemeral-container",
        "no-shared-service-account",
        "require-existing-service-account",
    ];
    assert_eq!(silent, expected);
}

/// The role of `deploy/` lets the server read what the built-in rules read, and nothing else.
#[test]
fn the_cluster_role_grants_exactly_what_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kustomize/base/rbac.yaml");
    let documents = objects(&std::fs::read_to_string(path).expect("the role is there"));
    let role = documents.iter().map(Object::root).find(|object| object.text("kind") == "ClusterRole").expect("a ClusterRole");
    let texts = |rule: Node<'_>, key: &str| rule.list(key).filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>();
    let mut granted = Vec::new();
    for rule in role.list("rules") {
        // What an agent's configuration stands in is asked for by name.
        if texts(rule, "resources") == ["configmaps"] {
            assert_eq!(texts(rule, "verbs"), ["get"]);
            continue;
        }
        assert_eq!(texts(rule, "verbs"), ["get", "list", "watch"], "{}", rule.to_json());
        for group in texts(rule, "apiGroups") {
            granted.extend(texts(rule, "resources").into_iter().map(|resource| (group.clone(), resource)));
        }
    }
    let always = ["namespaces", "serviceaccounts"].map(|resource| (String::new(), resource.to_owned()));
    let mut read: Vec<_> = always.into_iter().chain(library().related().into_iter().map(|read| (read.group, read.resource))).collect();
    for list in [&mut granted, &mut read] {
        list.sort();
        list.dedup();
    }
    assert_eq!(granted, read);
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
            "identity-mounts-read-only",
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
