//! What holds for every pod, hostile ones included. `Scene::run` checks most of it: see there.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::Scene;
use super::neighbours::{self, plugin_volume};
use crate::identity::Class;

/// Names that something of ours, a mesh, or the API server has, and some of nobody's.
fn name() -> impl Strategy<Value = &'static str> {
    select(vec![
        "app",
        "b",
        "",
        "vault-token",
        "vault-secrets",
        "vault-config",
        "spiffe-workload-api",
        "sa-token",
        "secrets",
        "vault-agent",
        "vault-agent-init",
        "linkerd-proxy",
        "istio-init",
        "kube-api-access-evil",
        "vt",
        "\u{1b}[31m",
        "a/b~c",
    ])
}

fn path() -> impl Strategy<Value = &'static str> {
    select(vec![
        "/var/run/secrets/vault",
        "/run/secrets/vault/",
        "/var/run/secrets",
        "/",
        "",
        "relative",
        "/vault/secrets",
        "/vault/secrets/x",
        "/spiffe-workload-api",
        "/var/run/secrets/kubernetes.io/serviceaccount",
        "/secrets",
        "/etc/vault",
        "/data",
        "/a/../data",
    ])
}

fn volume() -> impl Strategy<Value = Value> {
    let token = (select(vec!["vault", "Vault", "", "other"]), select(vec![0_i64, 300, 600, 3600]), select(vec!["token", "jwt"]));
    let source = prop_oneof![
        Just(json!({"emptyDir": {}})),
        Just(json!({"emptyDir": {"medium": "Memory"}})),
        Just(json!({"csi": {"driver": "csi.spiffe.io", "readOnly": true}})),
        Just(json!({"csi": {"driver": "csi.spiffe.io"}})),
        Just(json!({"hostPath": {"path": "/run/spire"}})),
        Just(json!({"x": [1, 2.5, {"deep": null}]})),
        Just(plugin_volume("x")),
        token.prop_map(|(audience, seconds, path)| {
            json!({"projected": {"sources": [{"serviceAccountToken": {"audience": audience, "expirationSeconds": seconds, "path": path}}]}})
        }),
    ];
    (name(), source).prop_map(|(name, mut volume)| {
        volume["name"] = json!(name);
        volume
    })
}

fn container() -> impl Strategy<Value = Value> {
    let mount = (name(), path(), any::<bool>(), any::<bool>()).prop_map(|(name, path, read_only, sub)| {
        let mut mount = json!({"name": name, "mountPath": path, "readOnly": read_only});
        if sub {
            mount["subPath"] = json!("s");
        }
        mount
    });
    let env = select(vec!["SPIFFE_ENDPOINT_SOCKET", "VAULT_ADDR", "X"]).prop_map(|name| json!({"name": name, "value": "v"}));
    let fields = (
        proptest::option::of(proptest::collection::vec(mount, 0..3)),
        proptest::option::of(proptest::collection::vec(env, 0..2)),
        select(vec![json!(null), json!(0), json!(1000), json!("x")]),
        select(vec![json!(null), json!(["vault", "agent"]), json!(["sh", "-c", "bao agent"])]),
    );
    (name(), fields).prop_map(|(name, (mounts, env, user, command))| {
        let mut container = json!({"name": name, "image": "i:1", "future": {"field": [1.5]}, "securityContext": {"runAsUser": user}});
        for (field, value) in [("volumeMounts", json!(mounts)), ("env", json!(env)), ("command", command)] {
            if !value.is_null() {
                container[field] = value;
            }
        }
        container
    })
}

fn annotations() -> impl Strategy<Value = Value> {
    let key = select(vec![
        "doorward.dev/vault-template-a",
        "doorward.dev/vault-template-..",
        "doorward.dev/vault-template-B",
        "doorward.dev/vault-agent-config",
        "doorward.dev/vault-agent-mode",
        "doorward.dev/vault-role",
        "doorward.dev/injected",
        "doorward.dev/correlation-id",
        "spiffe.io/spiffe-id",
        "vault.hashicorp.com/agent-inject",
        "vault.hashicorp.com/agent-inject-secret-db",
        "vault.hashicorp.com/agent-inject-file-db",
        "vault.hashicorp.com/secret-volume-path-db",
        "vault.hashicorp.com/agent-inject-containers",
        "openbao.org/auth-path",
        "openbao.org/agent-inject-template-B",
        "linkerd.io/inject",
        "doorward.dev/containers",
        "x/~y",
    ]);
    let value = select(vec![
        "",
        "true",
        "init",
        "sidecar",
        "csi",
        "enabled",
        "app, b",
        "{{ secret \"kv/x\" }}",
        "{{ secret \"auth/x\" }}",
        "{{",
        "\"}\n command = [\"id\"]",
        "kv/data/db",
        "/data/db",
    ]);
    proptest::collection::btree_map(key, value, 0..4).prop_map(|map| json!(map))
}

fn pod() -> impl Strategy<Value = Value> {
    let unique = |items: Vec<Value>| {
        // The API server refuses a name twice, so no hook is called for such a pod; `a_malformed_pod_does_no_harm` has them.
        let mut seen = std::collections::BTreeSet::new();
        items.into_iter().filter(|item| seen.insert(item["name"].to_string())).collect::<Vec<_>>()
    };
    let lists = (
        proptest::option::of(proptest::collection::vec(volume(), 0..4).prop_map(unique)),
        proptest::option::of(proptest::collection::vec(container(), 0..3).prop_map(unique)),
        proptest::collection::vec(container(), 0..4).prop_map(unique),
    );
    (proptest::option::of(annotations()), lists, proptest::option::of(any::<bool>()), any::<bool>()).prop_map(
        |(annotations, (volumes, inits, containers), automount, metadata)| {
            let mut names = std::collections::BTreeSet::new();
            let mut spec = Map::new();
            let mut distinct =
                |containers: Vec<Value>| containers.into_iter().filter(|item| names.insert(item["name"].to_string())).collect::<Vec<_>>();
            let inits = inits.map(&mut distinct);
            spec.insert("containers".into(), json!(distinct(containers)));
            for (field, value) in
                [("volumes", json!(volumes)), ("initContainers", json!(inits)), ("automountServiceAccountToken", json!(automount))]
            {
                if !value.is_null() {
                    spec.insert(field.into(), value);
                }
            }
            let mut pod = json!({"spec": spec, "future": [{"x": 1e300}]});
            if metadata {
                pod["metadata"] = json!({"labels": {"a": "b"}});
                if let Some(annotations) = annotations {
                    pod["metadata"]["annotations"] = annotations;
                }
            }
            pod
        },
    )
}

fn steps() -> impl Strategy<Value = Value> {
    let step = select(vec![
        json!({"automountOff": {}}),
        json!({"vaultToken": {}}),
        json!({"vaultToken": {"expirationSeconds": 900}}),
        json!({"vaultAgent": {}}),
        json!({"vaultAgent": {"mode": "init"}}),
        json!({"spiffeCsi": {}}),
        json!({"spiffeId": {}}),
        json!({"kubeApiToken": {}}),
        json!({"vaultAgent": {"mode": "csi"}}),
        json!({"vaultCsi": {"mountPath": "/data"}}),
        json!({"meshInject": {}}),
        json!({"stamp": {}}),
    ]);
    proptest::collection::vec(step, 0..6).prop_map(|steps| json!(steps))
}

fn scene() -> impl Strategy<Value = Scene> {
    let around = (
        select(vec![Class::App, Class::Job, Class::Infrastructure]),
        proptest::option::of(any::<bool>()),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        select(vec!["", "kubernetes.default.svc", "https://kubernetes.prod.example.com"]),
    );
    (pod(), steps(), around).prop_map(|(pod, steps, (class, account, native, before, honour, audience))| {
        let mut scene = Scene::new(pod, steps).stamped().of_class(class);
        scene.account = account;
        scene.settings.kube_api.audience = audience.into();
        scene.settings.vault.agent.native_sidecar = native.into();
        scene.settings.vault.agent.honour_vendor_annotations = honour;
        if before {
            neighbours::linkerd(&mut scene.pod);
            neighbours::defaults(&mut scene.pod, account);
        }
        scene
    })
}

/// A volume that the plugin takes for its own, after the first call, by its name alone: the mount that it then makes serves nobody.
#[test]
fn what_the_plugin_adopts_in_between_changes_nothing() {
    for (step, path, source) in [
        ("spiffeCsi", "/spiffe-workload-api", json!({"csi": {"driver": "csi.spiffe.io", "readOnly": true}})),
        (
            "vaultToken",
            "/var/run/secrets/vault",
            json!({"projected": {"sources": [{"serviceAccountToken": {"audience": "vault", "expirationSeconds": 600, "path": "token"}}]}}),
        ),
    ] {
        let mut volume = source;
        volume["name"] = json!("kube-api-access-evil");
        let pod = json!({"spec": {
            "volumes": [volume, {"name": "data", "emptyDir": {}}],
            "containers": [{"name": "app", "volumeMounts": [{"name": "data", "mountPath": path}]}, {"name": "other"}],
        }});
        let scene = Scene::new(pod, json!([{step: {}}])).stamped();
        let ran = scene.run();
        let conflict = ran.injection.outcomes[0].conflict.as_ref().unwrap();
        assert_eq!(conflict.field_path.to_string(), "spec.containers[0].volumeMounts[0].mountPath");
        // With the path free, the mount is made beside the plugin's.
        let free = scene.with(|scene| scene.pod["spec"]["containers"][0]["volumeMounts"] = json!([])).run();
        assert_eq!(
            free.at("/spec/containers/0/volumeMounts/0"),
            &json!({"name": "kube-api-access-evil", "mountPath": path, "readOnly": true})
        );
    }
}

/// What the injection made of any `kubeApi.audience` is taken for what it is: by a second run, and by the identity model.
#[test]
fn whatever_the_audience_of_the_api_an_injected_token_is_one_for_it() {
    for audience in ["", "kubernetes.default.svc", "https://kubernetes.prod.example.com", "api", "vault"] {
        let pod = json!({"spec": {"serviceAccountName": "api", "containers": [{"name": "app"}]}});
        let mut scene = Scene::new(pod, json!([{"kubeApiToken": {}}])).stamped();
        scene.settings.kube_api.audience = audience.into();
        let ran = scene.run();
        assert_eq!(ran.states(), ["automount-off", "kube-api-token", "stamp"], "{audience}");
        let token = &scene.identity(&ran.after)["apiToken"];
        assert_eq!(
            (&token["mounted"], &token["source"], &token["containers"]),
            (&json!(true), &json!("projected"), &json!(["app"])),
            "{audience}"
        );
    }
}

/// Every value of the author's is where it was: lists only grew (or lost the plugin's volume and its mounts), maps only got fields.
fn keeps(before: &Value, after: &Value, at: &str) -> Result<(), String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before.iter().try_for_each(|(field, value)| {
            let at = format!("{at}/{field}");
            let is_ours = at.starts_with("/metadata/annotations/doorward.dev/");
            match after.get(field) {
                Some(_) if is_ours => Ok(()),
                Some(found) => keeps(value, found, &at),
                None => Err(format!("{at} is gone")),
            }
        }),
        (Value::Array(before), Value::Array(after)) => {
            let mut rest = after.iter();
            before.iter().try_for_each(|item| {
                rest.find(|found| keeps(item, found, at).is_ok()).map(|_| ()).ok_or_else(|| format!("{at} lacks {item}"))
            })
        }
        // The SPIFFE CSI driver refuses a volume that may be written to: `spiffe-csi` makes it and its mounts read-only.
        (Value::Bool(false), Value::Bool(true)) if at.ends_with("/readOnly") => Ok(()),
        _ if before == after => Ok(()),
        _ => Err(format!("{at} was {before} and is {after}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Laws 2 and 3: see `Scene::once` and `Scene::run`.
    #[test]
    fn a_second_run_adds_nothing_whatever_happened_in_between(scene in scene()) {
        scene.run();
    }

    /// Nothing but what `automount-off` removes, also on behalf of `kube-api-token`, is removed or changed.
    #[test]
    fn what_the_author_wrote_stays(scene in scene()) {
        let removes = ["automountOff", "kubeApiToken"];
        let steps: Vec<Value> = scene.steps.as_array().unwrap().iter().filter(|step| removes.iter().all(|name| step.get(name).is_none())).cloned().collect();
        let scene = scene.with(|scene| scene.steps = json!(steps));
        let after = scene.once(&scene.pod).after;
        prop_assert_eq!(keeps(&scene.pod, &after, ""), Ok(()));
    }

    /// Law 4: the order in which policies come does not matter.
    #[test]
    fn the_order_of_the_steps_does_not_matter(scene in scene()) {
        let mut steps = scene.steps.clone();
        steps.as_array_mut().unwrap().reverse();
        let reversed = scene.clone().with(|scene| scene.steps = steps);
        prop_assert_eq!(scene.once(&scene.pod).patch, reversed.once(&scene.pod).patch);
    }

    /// A conflict changes nothing of its injection; what is done is there, and what was added was done.
    #[test]
    fn outcomes_say_what_happened(scene in scene()) {
        let ran = scene.once(&scene.pod);
        for outcome in &ran.injection.outcomes {
            let operations = ran.injection.operations.iter().filter(|(_, id)| *id == outcome.id).count();
            prop_assert_eq!(outcome.added, operations > 0);
            prop_assert!(outcome.conflict.is_none() || (operations == 0 && !outcome.done));
            prop_assert!(!outcome.added || outcome.done);
        }
        let ids: Vec<_> = ran.injection.outcomes.iter().map(|outcome| outcome.id).collect();
        prop_assert!(ran.injection.operations.iter().all(|(_, id)| ids.contains(id)));
    }

    /// Whatever stands where a list or map should: no panic, and the patch still applies.
    #[test]
    fn a_malformed_pod_does_no_harm(scene in scene(), pointer in select(vec![
        "/spec", "/spec/volumes", "/spec/containers", "/spec/containers/0", "/spec/containers/0/volumeMounts", "/spec/initContainers",
        "/spec/volumes/0", "/metadata", "/metadata/annotations", "/spec/containers/0/env", "/spec/containers/0/name",
    ]), value in select(vec![json!(null), json!("x"), json!([]), json!({}), json!([null]), json!([[1]]), json!({"name": [1]}), json!(false)])) {
        let mut pod = scene.pod.clone();
        if let Some(place) = pod.pointer_mut(pointer) {
            *place = value;
        }
        let first = scene.once(&pod);
        prop_assert_eq!(scene.once(&first.after).patch, json!([]));
        if let Some(containers) = pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut) {
            containers.extend(containers.clone());
        }
        let first = scene.once(&pod);
        prop_assert_eq!(scene.once(&first.after).patch, json!([]));
    }
}
