//! The injections that are no agent and no token for Vault: what they add, what is enough, what is in their way.

use serde_json::{Value, json};

use super::super::{Step, inject_object};
use super::Scene;
use super::neighbours;
use crate::identity::Class;
use crate::object::{GroupVersionKind, Object};
use crate::settings::{MeshKind, Settings};

const API: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn pod(spec: Value) -> Value {
    let mut spec = spec;
    spec["serviceAccountName"] = json!("api");
    json!({"metadata": {"name": "api"}, "spec": spec})
}

fn plain() -> Value {
    pod(json!({"containers": [{"name": "app", "image": "app:1"}]}))
}

#[test]
fn golden_5_who_needs_the_api_gets_a_token_of_an_hour() {
    let mut authored = plain();
    neighbours::service_account(&mut authored["spec"]);
    let scene = Scene::new(authored, json!([{"kubeApiToken": {}}]));
    let ran = scene.run();
    assert_eq!(ran.states(), ["automount-off", "kube-api-token"]);
    assert_eq!(ran.names("/spec/volumes"), ["sa-token"]);
    assert_eq!(
        ran.at("/spec/volumes/0/projected/sources"),
        &json!([
            {"serviceAccountToken": {"expirationSeconds": 3600, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ])
    );
    assert_eq!(ran.at("/spec/containers/0/volumeMounts"), &json!([{"name": "sa-token", "mountPath": API, "readOnly": true}]));
    let named = scene.clone().with(|scene| scene.settings.kube_api.audience = "https://kubernetes.default.svc".into()).run();
    assert_eq!(named.at("/spec/volumes/0/projected/sources/0/serviceAccountToken/audience"), "https://kubernetes.default.svc");
    // Who keeps the plugin's token needs no other.
    for scene in [scene.clone().of_class(Class::Infrastructure), scene.with(|scene| scene.account = Some(true))] {
        let ran = scene.run();
        assert_eq!((ran.states().len(), ran.operations().len()), (0, 0));
    }
}

#[test]
fn a_token_for_the_api_is_taken_where_it_belongs_and_is_short() {
    let with = |token: Value, path: &str| {
        Scene::new(
            pod(json!({"volumes": [{"name": "mine", "projected": {"sources": [{"serviceAccountToken": token}]}}],
                "containers": [{"name": "app", "volumeMounts": [{"name": "mine", "mountPath": path}]}]})),
            json!([{"kubeApiToken": {}}]),
        )
        .run()
    };
    for token in [
        json!({"path": "token"}),
        json!({"path": "token", "expirationSeconds": 900}),
        json!({"path": "token", "audience": "kubernetes.default.svc"}),
    ] {
        let ran = with(token, "/run/secrets/kubernetes.io/serviceaccount/");
        assert_eq!((ran.states().len(), ran.operations()), (2, vec!["add /spec/automountServiceAccountToken".to_owned()]));
    }
    // Elsewhere: the author's volume is mounted in its place too.
    let ran = with(json!({"path": "token"}), "/mine");
    assert_eq!(ran.at("/spec/containers/0/volumeMounts/1"), &json!({"name": "mine", "mountPath": API, "readOnly": true}));
    for token in
        [json!({"path": "token", "expirationSeconds": 7200}), json!({"path": "token", "audience": "vault", "expirationSeconds": 600})]
    {
        let ran = with(token, API);
        let reason = format!("volume `mine` is mounted at `{API}`, where the token for the Kubernetes API goes");
        assert_eq!(ran.states()[1], format!("kube-api-token: spec.containers[0].volumeMounts[0].mountPath: {reason}"));
    }
    let mut taken = plain();
    taken["spec"]["volumes"] = json!([{"name": "sa-token", "secret": {"secretName": "s"}}]);
    let reason = "a volume named `sa-token` exists and holds no token for the Kubernetes API of at most 3600 s";
    assert_eq!(Scene::new(taken, json!([{"kubeApiToken": {}}])).run().states()[1], format!("kube-api-token: spec.volumes[0]: {reason}"));
}

#[test]
fn the_author_names_containers_that_there_are() {
    let with = |names: &str| {
        let mut authored = pod(json!({"initContainers": [{"name": "wait"}], "containers": [{"name": "app"}, {"name": "cache"}]}));
        authored["metadata"]["annotations"] = json!({"doorward.dev/containers": names});
        Scene::new(authored, json!([{"kubeApiToken": {}}, {"vaultAgent": {}}])).run()
    };
    let ran = with("wait , cache");
    assert_eq!(ran.names("/spec/containers/1/volumeMounts"), ["sa-token", "vault-secrets"]);
    assert_eq!(ran.names("/spec/containers/0/volumeMounts"), ["vault-secrets"]);
    let wait = ran.at("/spec/initContainers").as_array().unwrap().iter().find(|item| item["name"] == "wait").unwrap();
    assert_eq!(wait["volumeMounts"][0]["name"], "sa-token");
    for (names, missing) in [("app,web", "web"), ("", ""), ("vault-agent", "vault-agent"), ("linkerd-proxy", "linkerd-proxy")] {
        let reason = format!("annotation `doorward.dev/containers` names `{missing}`, and the pod's author has no container of that name");
        assert_eq!(with(names).states()[1], format!("kube-api-token: metadata.annotations[doorward.dev/containers]: {reason}"));
    }
}

#[test]
fn secrets_come_by_the_store_instead_of_the_agent() {
    let volume = json!({"name": "secrets", "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": true,
        "volumeAttributes": {"secretProviderClass": "vault-payments"}}});
    let asked = |steps: Value, mode: Option<&str>| {
        let mut authored = plain();
        if let Some(mode) = mode {
            authored["metadata"]["annotations"] = json!({"doorward.dev/vault-agent-mode": mode});
        }
        Scene::new(authored, steps).run()
    };
    for (steps, mode) in
        [(json!([{"vaultCsi": {}}]), None), (json!([{"vaultAgent": {"mode": "csi"}}]), None), (json!([{"vaultAgent": {}}]), Some("csi"))]
    {
        let ran = asked(steps, mode);
        assert_eq!(ran.states(), ["vault-csi"]);
        assert_eq!(ran.at("/spec/volumes"), &json!([volume]));
        assert_eq!(ran.at("/spec/containers/0/volumeMounts"), &json!([{"name": "secrets", "mountPath": "/secrets", "readOnly": true}]));
    }
    let ran = asked(json!([{"vaultCsi": {"secretProviderClass": "{serviceAccount}", "mountPath": "/x"}}]), None);
    assert_eq!(ran.at("/spec/volumes/0/csi/volumeAttributes/secretProviderClass"), "api");
    assert_eq!(ran.at("/spec/containers/0/volumeMounts/0/mountPath"), "/x");
    // A class of another name is not ours; an init container gets nothing by naming our volume.
    let mut taken = plain();
    taken["spec"]["volumes"] = json!([volume.clone()]);
    taken["spec"]["volumes"][0]["csi"]["volumeAttributes"]["secretProviderClass"] = json!("other");
    let reason = "a volume named `secrets` exists and is not of CSI driver `secrets-store.csi.k8s.io` with class `vault-payments`";
    assert_eq!(Scene::new(taken, json!([{"vaultCsi": {}}])).run().states(), [format!("vault-csi: spec.volumes[0]: {reason}")]);
    let mut early = plain();
    early["spec"]["initContainers"] = json!([{"name": "x", "volumeMounts": [{"name": "secrets", "mountPath": "/steal"}]}]);
    let reason = "container `x` mounts `secrets`, which is reserved for other containers";
    assert_eq!(
        Scene::new(early, json!([{"vaultCsi": {}}])).run_plain().states(),
        [format!("vault-csi: spec.initContainers[0].volumeMounts[0]: {reason}")]
    );
}

#[test]
fn golden_12_the_mesh_is_asked_where_it_can_answer() {
    let of = |kind: MeshKind, pod: Value| Scene::new(pod, json!([{"meshInject": {}}])).with(|scene| scene.settings.mesh.kind = kind).run();
    let ran = of(MeshKind::Linkerd, plain());
    assert_eq!((ran.states(), ran.at("/metadata/annotations")), (vec!["mesh-inject".to_owned()], &json!({"linkerd.io/inject": "enabled"})));
    let ran = of(MeshKind::Istio, plain());
    assert_eq!((ran.states(), ran.at("/metadata/labels")), (vec!["mesh-inject".to_owned()], &json!({"sidecar.istio.io/inject": "true"})));
    for kind in [MeshKind::None, MeshKind::Spire] {
        assert_eq!(of(kind, plain()).states(), Vec::<String>::new());
    }
    let mut host = plain();
    host["spec"]["hostNetwork"] = json!(true);
    assert_eq!(of(MeshKind::Linkerd, host).states(), Vec::<String>::new());
    // What the author says stays; Linkerd takes `true` for no.
    for (value, state) in [("ingress", "mesh-inject"), ("enabled", "mesh-inject"), ("disabled", "mesh-inject?"), ("true", "mesh-inject?")] {
        let mut said = plain();
        said["metadata"]["annotations"] = json!({"linkerd.io/inject": value});
        let ran = of(MeshKind::Linkerd, said);
        assert_eq!((ran.states(), ran.operations().len()), (vec![state.to_owned()], 0), "{value}");
    }
    let mut said = plain();
    said["metadata"]["labels"] = json!({"sidecar.istio.io/inject": "false"});
    assert_eq!(of(MeshKind::Istio, said).states(), ["mesh-inject?"]);
}

/// The state of a step on an object, and the object after it; a second run adds nothing.
fn on_object(kind: &str, metadata: &Value, step: &Step, settings: &Settings) -> (Vec<String>, Value) {
    let kind = GroupVersionKind::new("", "v1", kind);
    let run = |object: &Value| {
        let object = Object::from_json(object.to_string()).unwrap();
        let injection = inject_object(&kind, object.root(), settings, &[step.clone(), step.clone()]);
        let operations: Vec<_> = injection.operations.iter().map(|(operation, _)| operation.clone()).collect();
        let after: Value = serde_json::from_str(&object.patched(&operations).unwrap().root().to_json()).unwrap();
        let states = injection.outcomes.iter().map(|outcome| match &outcome.conflict {
            Some(conflict) => format!("{}: {}", conflict.field_path, conflict.reason),
            None => format!("{}{}", outcome.id, if outcome.done { "" } else { "?" }),
        });
        (states.collect::<Vec<_>>(), after, operations.len())
    };
    let (states, after, _) = run(&json!({"metadata": metadata}));
    let (again, _, operations) = run(&after);
    assert_eq!((&again, operations), (&states, 0));
    (states, after["metadata"].clone())
}

#[test]
fn a_namespace_asks_the_mesh() {
    let mut settings = Settings::demonstration();
    let step = Step::MeshInject {};
    let (states, metadata) = on_object("Namespace", &json!({}), &step, &settings);
    assert_eq!((states, metadata), (vec!["mesh-inject".to_owned()], json!({"annotations": {"linkerd.io/inject": "enabled"}})));
    let refused = json!({"annotations": {"linkerd.io/inject": "disabled"}});
    assert_eq!(on_object("Namespace", &refused, &step, &settings), (vec!["mesh-inject?".into()], refused));
    settings.mesh.kind = MeshKind::Istio;
    assert_eq!(on_object("Namespace", &json!({}), &step, &settings).1, json!({"labels": {"istio-injection": "enabled"}}));
    for (key, value, state) in [
        ("istio.io/rev", "canary", "mesh-inject"),
        ("istio.io/dataplane-mode", "ambient", "mesh-inject"),
        ("istio-injection", "disabled", "mesh-inject?"),
    ] {
        let labels = json!({"labels": {key: value}});
        assert_eq!(on_object("Namespace", &labels, &step, &settings), (vec![state.into()], labels));
    }
    // A ServiceAccount has no mesh.
    assert_eq!(on_object("ServiceAccount", &json!({}), &step, &settings), (vec![], json!({})));
}

#[test]
fn an_account_with_a_role_gets_tokens_of_an_hour() {
    let mut settings = Settings::default();
    let of = |lifetime: Value, settings: &Settings| {
        let mut annotations = json!({"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/api"});
        if !lifetime.is_null() {
            annotations["eks.amazonaws.com/token-expiration"] = lifetime;
        }
        let (states, metadata) = on_object("ServiceAccount", &json!({"annotations": annotations}), &Step::AwsTokenTtl {}, settings);
        (states, metadata["annotations"]["eks.amazonaws.com/token-expiration"].clone())
    };
    assert_eq!(of(json!(null), &settings), (vec!["aws-token-ttl".into()], json!("3600")));
    assert_eq!(of(json!("900"), &settings), (vec!["aws-token-ttl".into()], json!("900")));
    for bad in ["86400", "599", "1h", ""] {
        let reason = format!("annotation `eks.amazonaws.com/token-expiration` is `{bad}`, which is no number of seconds from 600 to 3600");
        let expected = format!("metadata.annotations[eks.amazonaws.com/token-expiration]: {reason}");
        assert_eq!(of(json!(bad), &settings), (vec![expected], json!(bad)));
    }
    settings.audiences.get_mut("sts.amazonaws.com").unwrap().max_seconds = 1800;
    assert_eq!(of(json!(null), &settings).1, json!("1800"));
    let bare = json!({"annotations": {"team": "x"}});
    assert_eq!(on_object("ServiceAccount", &bare, &Step::AwsTokenTtl {}, &settings), (vec![], bare));
}
