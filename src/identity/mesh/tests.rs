use serde_json::{Value, json};

mod forged;

use super::super::fixture::Scene;
use crate::object::Fact;
use crate::settings::MeshKind;

/// A pod as Linkerd's injector leaves it, with the proxy as native sidecar.
fn injected() -> Scene {
    let mut scene = Scene::pod(json!({
        "volumes": [{ "name": "linkerd-identity-token", "projected": { "sources": [
            { "serviceAccountToken": { "path": "linkerd-identity-token", "audience": "identity.l5d.io", "expirationSeconds": 86400 } },
        ] } }],
        "initContainers": [
            { "name": "linkerd-init", "image": "cr.l5d.io/linkerd/proxy-init:v2.4.1", "args": [
                "--ipv6=false", "--incoming-proxy-port", "4143", "--outgoing-proxy-port", "4140", "--proxy-uid", "2102",
                "--inbound-ports-to-ignore", "4190,4191,4567,4568", "--outbound-ports-to-ignore", "4567,4568",
            ] },
            { "name": "linkerd-proxy", "image": "cr.l5d.io/linkerd/proxy:edge-26.8.1", "restartPolicy": "Always",
              "securityContext": { "runAsUser": 2102 },
              "env": [{ "name": "LINKERD2_PROXY_LOG", "value": "warn" }],
              "volumeMounts": [{ "name": "linkerd-identity-token", "mountPath": "/var/run/secrets/tokens" }] },
        ],
    }));
    scene.settings.mesh.kind = MeshKind::Linkerd;
    scene
}

fn enabled() -> Scene {
    let mut scene = Scene::pod(json!({})).of_namespace(&json!({ "annotations": { "linkerd.io/inject": "enabled" } }));
    scene.settings.mesh.kind = MeshKind::Linkerd;
    scene
}

#[track_caller]
fn expect(scene: &Scene, state: &str, cause: Option<&str>, field_path: Option<&str>, what: &str) {
    let mesh = &scene.read()["mesh"];
    assert_eq!(mesh["state"], state, "{what}: {mesh}");
    assert_eq!(mesh.get("fieldPath").and_then(Value::as_str), field_path, "{what}: {mesh}");
    match cause {
        Some(cause) => assert!(mesh["cause"].as_str().is_some_and(|found| found.contains(cause)), "{what}: {mesh}"),
        None => assert_eq!(mesh.get("cause"), None, "{what}: {mesh}"),
    }
}

#[test]
fn linkerd_marks_decide_as_the_injector_does() {
    let path = Some("metadata.annotations[linkerd.io/inject]");
    for (pod, namespace, state, cause, field_path) in [
        (None, Some("enabled"), "meshed", None, None),
        (None, Some("ingress"), "meshed", None, None),
        (Some("enabled"), None, "meshed", None, None),
        (Some("ingress"), Some("disabled"), "meshed", None, None),
        (Some(""), Some("enabled"), "meshed", None, None),
        (None, None, "unmeshed", Some("neither the pod nor namespace `payments`"), None),
        (None, Some("disabled"), "unmeshed", Some("of namespace `payments` is `disabled`"), None),
        (Some("disabled"), Some("enabled"), "optedOut", Some("is `disabled`"), path),
        (Some("true"), Some("enabled"), "invalid", Some("is `true`"), path),
        (Some("Enabled"), None, "invalid", Some("is `Enabled`"), path),
        (None, Some("true"), "invalid", Some("of namespace `payments` is `true`"), None),
    ] {
        let mut scene = enabled().of_namespace(&json!({ "annotations": { "linkerd.io/inject": namespace } }));
        if let Some(value) = pod {
            scene = scene.annotated("linkerd.io/inject", value);
        }
        expect(&scene, state, cause, field_path, &format!("{pod:?} {namespace:?}"));
        assert_eq!(scene.read()["mesh"]["proven"], false);
    }
}

#[test]
fn what_keeps_the_injector_away_is_named() {
    let mut host = enabled();
    host.pod["spec"]["hostNetwork"] = json!(true);
    expect(&host, "unmeshed", Some("`hostNetwork` is true"), Some("spec.hostNetwork"), "host network");
    let off = enabled().of_namespace(
        &json!({ "annotations": { "linkerd.io/inject": "enabled" }, "labels": { "config.linkerd.io/admission-webhooks": "disabled" } }),
    );
    expect(&off, "unmeshed", Some("config.linkerd.io/admission-webhooks: disabled"), None, "webhooks disabled");
    let mut system = enabled();
    system.namespace = "cert-manager";
    expect(&system, "unmeshed", Some("passes namespace `cert-manager` by"), None, "skipped namespace");
    let mut unknown = enabled();
    unknown.namespace_object = Fact::Unknown("no answer in time".into());
    expect(&unknown, "unknown", Some("could not be read: no answer in time"), None, "unknown namespace");
    let mut absent = enabled();
    absent.namespace_object = Fact::Absent;
    expect(&absent, "unmeshed", Some("neither the pod nor"), None, "absent namespace");
    let mut none = enabled();
    none.settings.mesh.kind = MeshKind::None;
    expect(&none, "off", None, None, "no mesh");
}

#[test]
fn hardening_a25_labels_of_the_control_plane_are_a_bypass() {
    for label in ["linkerd.io/control-plane-component", "linkerd.io/cni-resource"] {
        let scene = enabled().labelled(label, "x");
        expect(&scene, "bypassed", Some("makes the injector pass the pod by"), Some(&format!("metadata.labels[{label}]")), label);
    }
}

#[test]
fn hardening_a25_a_whole_proxy_is_proven_whatever_the_marks() {
    let mesh = &injected().read()["mesh"];
    assert_eq!((&mesh["state"], &mesh["proven"]), (&json!("meshed"), &json!(true)));
    let mut classic = injected();
    let proxy = classic.pod["spec"]["initContainers"].as_array_mut().unwrap().remove(1);
    classic.pod["spec"]["containers"].as_array_mut().unwrap().push(proxy);
    assert_eq!(classic.read()["mesh"]["proven"], true);
    let mut cni = injected();
    cni.pod["spec"]["initContainers"][0] = json!({ "name": "linkerd-network-validator", "image": "cr.l5d.io/linkerd/proxy:edge-26.8.1",
        "command": ["/usr/lib/linkerd/linkerd2-network-validator"] });
    cni.settings.mesh.cni = true;
    assert_eq!(cni.read()["mesh"]["proven"], true);
    let mut today = injected();
    today.pod["spec"]["initContainers"][0]["image"] = json!("cr.l5d.io/linkerd/proxy:edge-26.8.1");
    today.pod["spec"]["initContainers"][0]["command"] = json!(["/usr/lib/linkerd/linkerd2-proxy-init"]);
    assert_eq!(today.read()["mesh"]["proven"], true, "the image of the proxy holds proxy-init too");
}

#[test]
fn hardening_a25_a_fake_proxy_is_a_bypass_with_the_failed_check() {
    let init = |field: &str| format!("spec.initContainers[0].{field}");
    let proxy = |field: &str| format!("spec.initContainers[1].{field}");
    let cases: [(&str, &str, Value, &str, String); 17] = [
        ("image", "/spec/initContainers/1/image", json!("busybox"), "not in `mesh.proxyImages`", proxy("image")),
        (
            "image's prefix",
            "/spec/initContainers/1/image",
            json!("cr.l5d.io/linkerd/proxy-evil:1"),
            "not in `mesh.proxyImages`",
            proxy("image"),
        ),
        ("not a sidecar", "/spec/initContainers/1/restartPolicy", json!(null), "no `restartPolicy: Always`", proxy("restartPolicy")),
        ("command", "/spec/initContainers/1/command", json!(["sleep"]), "`command` of its own", proxy("command")),
        ("user", "/spec/initContainers/1/securityContext/runAsUser", json!(1000), "as user 2102", proxy("securityContext.runAsUser")),
        (
            "identity off",
            "/spec/initContainers/1/env",
            json!([{ "name": "LINKERD2_PROXY_IDENTITY_DISABLED", "value": "1" }]),
            "without identity",
            proxy("env[0]"),
        ),
        (
            "variable twice",
            "/spec/initContainers/1/env",
            json!([{ "name": "LINKERD2_PROXY_A", "value": "1" }, { "name": "X" }, { "name": "LINKERD2_PROXY_A", "value": "2" }]),
            "`LINKERD2_PROXY_A` twice",
            proxy("env"),
        ),
        ("no token", "/spec/initContainers/1/volumeMounts", json!([]), "no token of audience `identity.l5d.io`", proxy("volumeMounts")),
        (
            "token of another audience",
            "/spec/volumes/0/projected/sources/0/serviceAccountToken/audience",
            json!("vault"),
            "no token of audience",
            proxy("volumeMounts"),
        ),
        ("no init", "/spec/initContainers/0/name", json!("other"), "puts the proxy in the way", "spec.initContainers".to_owned()),
        ("init image", "/spec/initContainers/0/image", json!("busybox"), "does not belong to the mesh", init("image")),
        ("init command", "/spec/initContainers/0/command", json!(["true"]), "`command` of its own", init("command")),
        ("another uid", "/spec/initContainers/0/args", json!(["--proxy-uid", "1000"]), "`--proxy-uid` is `1000`", init("args")),
        ("all ports", "/spec/initContainers/0/args", json!(["--outbound-ports-to-ignore=1-65535"]), "lets `1-65535` past", init("args")),
        (
            "one port more",
            "/spec/initContainers/0/args",
            json!(["--inbound-ports-to-ignore", "4190,8080"]),
            "lets `8080` past",
            init("args"),
        ),
        ("a network", "/spec/initContainers/0/args", json!(["--subnets-to-ignore", "0.0.0.0/0"]), "lets `0.0.0.0/0` past", init("args")),
        ("simulation", "/spec/initContainers/0/args", json!(["--simulate"]), "`--simulate` is no flag", init("args")),
    ];
    for (what, pointer, value, cause, field_path) in cases {
        let mut scene = injected().annotated("linkerd.io/inject", "enabled");
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        scene.pod.pointer_mut(parent).unwrap()[key] = value;
        expect(&scene, "bypassed", Some(cause), Some(&field_path), what);
    }
    let mut allowed = injected();
    allowed.settings.mesh.allowed_skip = vec!["8080".into()];
    allowed.pod["spec"]["initContainers"][0]["args"] = json!(["--inbound-ports-to-ignore", "4190,8080"]);
    assert_eq!(allowed.read()["mesh"]["proven"], true);
    let mut unlisted = injected();
    unlisted.settings.mesh.proxy_images.clear();
    expect(&unlisted, "unknown", Some("`mesh.proxyImages` is empty"), None, "no list");
}

#[test]
fn hardening_a25_a_sign_of_a_proxy_without_the_proxy_is_a_bypass() {
    for (list, container, field) in [
        ("containers", json!({ "name": "istio-proxy", "image": "x" }), "name"),
        ("initContainers", json!({ "name": "linkerd-init", "image": "x" }), "name"),
        ("containers", json!({ "name": "x", "image": "cr.l5d.io/linkerd/proxy:fake" }), "image"),
        ("initContainers", json!({ "name": "x", "image": "gcr.io/istio-release/proxy_init:1" }), "image"),
    ] {
        let mut scene = enabled();
        scene.pod["spec"][list] = json!([container]);
        expect(
            &scene,
            "bypassed",
            Some("makes the injector pass the pod by"),
            Some(&format!("spec.{list}[0].{field}")),
            &container.to_string(),
        );
    }
    let mut twice = injected();
    twice.pod["spec"]["containers"] = json!([{ "name": "linkerd-proxy", "image": "busybox" }]);
    expect(&twice, "bypassed", Some("two containers are named `linkerd-proxy`"), Some("spec.containers[0].name"), "twice");
}

fn istio() -> Scene {
    let mut scene = Scene::pod(json!({}));
    scene.settings.mesh.kind = MeshKind::Istio;
    scene.settings.mesh.proxy_images = vec!["docker.io/istio/proxyv2:".into()];
    scene
}

#[test]
fn istio_marks_decide_as_its_selectors_do() {
    let labelled = |labels: Value| istio().of_namespace(&json!({ "labels": labels }));
    expect(&labelled(json!({ "istio-injection": "enabled" })), "meshed", None, None, "namespace");
    expect(&labelled(json!({ "istio.io/rev": "stable" })), "meshed", None, None, "revision");
    expect(&labelled(json!({})), "unmeshed", Some("an enabling label of Istio"), None, "nothing");
    expect(&labelled(json!({ "istio-injection": "disabled" })), "unmeshed", Some("is `disabled`"), None, "disabled");
    expect(&labelled(json!({ "istio-injection": "true" })), "invalid", Some("is `true`"), None, "invalid");
    expect(&labelled(json!({})).labelled("sidecar.istio.io/inject", "true"), "meshed", None, None, "pod label");
    expect(
        &labelled(json!({})).annotated("sidecar.istio.io/inject", "true"),
        "unmeshed",
        Some("enabling label"),
        None,
        "pod annotation alone",
    );
    let on = || labelled(json!({ "istio-injection": "enabled", "istio.io/dataplane-mode": "ambient" }));
    for (scene, path) in [
        (on().labelled("sidecar.istio.io/inject", "false"), "metadata.labels[sidecar.istio.io/inject]"),
        (on().annotated("sidecar.istio.io/inject", "No"), "metadata.annotations[sidecar.istio.io/inject]"),
        (on().labelled("istio.io/dataplane-mode", "none"), "metadata.labels[istio.io/dataplane-mode]"),
    ] {
        expect(&scene, "optedOut", Some("`"), Some(path), path);
    }
    let ambient = labelled(json!({ "istio.io/dataplane-mode": "ambient" }));
    assert_eq!(ambient.read()["mesh"], json!({ "state": "meshed", "proven": true, "findings": [] }));
}

/// A pod as Istio's injector leaves it.
fn injected_by_istio() -> Scene {
    let mut scene = istio();
    scene.pod["spec"] = json!({
        "automountServiceAccountToken": false,
        "volumes": [{ "name": "istio-token", "projected": { "sources": [{ "serviceAccountToken": { "path": "istio-token", "audience": "istio-ca" } }] } }],
        "initContainers": [{ "name": "istio-init", "image": "docker.io/istio/proxyv2:1.30.0",
            "args": ["istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*",
                "-d", "15090,15021,15020", "--log_output_level=default:info"] }],
        "containers": [{ "name": "app" }, { "name": "istio-proxy", "image": "docker.io/istio/proxyv2:1.30.0", "args": ["proxy", "sidecar"],
            "securityContext": { "runAsUser": 1337 }, "volumeMounts": [{ "name": "istio-token", "mountPath": "/var/run/secrets/tokens" }] }],
    });
    scene
}

#[test]
fn hardening_a25_an_istio_proxy_is_proven_by_image_arguments_token_and_init() {
    let scene = injected_by_istio;
    assert_eq!(scene().read()["mesh"], json!({ "state": "meshed", "proven": true, "findings": [] }));
    for (pointer, value, cause, path) in [
        ("/spec/containers/1/args", json!(["sleep"]), "not started as `proxy sidecar`", "spec.containers[1].args"),
        ("/spec/containers/1/image", json!("evil/proxyv2:1"), "not in `mesh.proxyImages`", "spec.containers[1].image"),
        ("/spec/containers/1/securityContext/runAsUser", json!(1000), "as user 1337", "spec.containers[1].securityContext.runAsUser"),
        ("/spec/initContainers", json!([]), "no `istio-init` or `istio-validation`", "spec.initContainers"),
    ] {
        let mut scene = scene();
        *scene.pod.pointer_mut(pointer).unwrap() = value;
        expect(&scene, "bypassed", Some(cause), Some(path), pointer);
    }
}

#[test]
fn without_a_proxy_the_workload_api_is_the_mesh() {
    let scene = |spec: Value| {
        let mut scene = Scene::pod(spec);
        scene.settings.mesh.kind = MeshKind::Spire;
        scene
    };
    let volume = json!([{ "name": "s", "csi": { "driver": "csi.spiffe.io", "readOnly": true } }]);
    expect(&scene(json!({})), "unmeshed", Some("no volume of CSI driver `csi.spiffe.io`"), None, "none");
    let unmounted = scene(json!({ "volumes": volume }));
    expect(&unmounted, "unmeshed", Some("no container mounts"), Some("spec.volumes[0].csi"), "unmounted");
    let mounted =
        scene(json!({ "volumes": volume, "containers": [{ "name": "app", "volumeMounts": [{ "name": "s", "mountPath": "/x" }] }] }));
    assert_eq!(mounted.read()["mesh"], json!({ "state": "meshed", "proven": true, "findings": [] }));
}

/// The findings of a scene, each as `vector value fieldPath`.
fn findings(scene: &Scene) -> Vec<String> {
    let mesh = scene.read()["mesh"].clone();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or("-").to_owned();
    mesh["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| format!("{} {} {}", text(finding, "vector"), text(finding, "value"), text(finding, "fieldPath")))
        .collect()
}

/// A scene whose mesh asks callers for an identity by itself, so that what a case adds is all that is found.
fn closed(mut scene: Scene) -> Scene {
    scene.settings.mesh.cluster_default_inbound_policy = "deny".into();
    scene
}

#[test]
fn ways_past_linkerd_that_annotations_open_are_found() {
    let annotation = |key: &str| format!("metadata.annotations[config.linkerd.io/{key}]");
    for (key, value, vector, told) in [
        ("skip-outbound-ports", "8080", "skippedPort", "8080"),
        ("skip-inbound-ports", "1-65535", "skippedPort", "1-65535"),
        ("skip-subnets", "10.0.0.0/8", "skippedSubnet", "10.0.0.0/8"),
        ("opaque-ports", "3306", "opaquePort", "3306"),
        ("default-inbound-policy", "cluster-unauthenticated", "inboundPolicy", "cluster-unauthenticated"),
        ("default-inbound-policy", "audit", "inboundPolicy", "audit"),
        ("proxy-additional-env", "A=b", "proxyEnvironment", "A=b"),
        ("proxy-image", "evil/proxy", "proxyImage", "evil/proxy"),
        ("proxy-image", "cr.l5d.io/linkerd/proxy-evil", "proxyImage", "cr.l5d.io/linkerd/proxy-evil"),
        ("enable-debug-sidecar", "true", "debugSidecar", "true"),
        ("proxy-uid", "1000", "proxyUser", "1000"),
        ("proxy-admin-shutdown", "enabled", "proxyShutdown", "enabled"),
        ("inbound-port", "4145", "proxyPort", "4145"),
    ] {
        let scene = closed(enabled()).annotated(&format!("config.linkerd.io/{key}"), value);
        assert_eq!(findings(&scene), [format!("{vector} {told} {}", annotation(key))], "{key}");
        let mut above = closed(enabled());
        above.namespace_object = Fact::Found(json!({ "metadata": { "name": "payments",
            "annotations": { "linkerd.io/inject": "enabled", format!("config.linkerd.io/{key}"): value } } }));
        assert_eq!(findings(&above), [format!("{vector} {told} -")], "{key} of the namespace");
        assert!(above.read()["mesh"]["findings"][0]["cause"].as_str().unwrap().contains("of namespace `payments`"));
    }
}

#[test]
fn what_opens_nothing_is_no_finding() {
    for (key, value) in [
        ("default-inbound-policy", "all-authenticated"),
        ("proxy-image", "cr.l5d.io/linkerd/proxy"),
        ("init-image", "cr.l5d.io/linkerd/proxy-init"),
        ("proxy-version", "edge-26.8.1"),
        ("enable-debug-sidecar", "false"),
        ("proxy-uid", "2102"),
        ("skip-outbound-ports", " "),
    ] {
        let scene = closed(enabled()).annotated(&format!("config.linkerd.io/{key}"), value);
        assert_eq!(findings(&scene), Vec::<String>::new(), "{key}");
    }
    let mut pinned = closed(enabled()).annotated("config.linkerd.io/proxy-version", "edge-1");
    pinned.settings.mesh.proxy_images = vec!["cr.l5d.io/linkerd/proxy:edge-26".into()];
    assert_eq!(findings(&pinned), ["proxyImage edge-1 metadata.annotations[config.linkerd.io/proxy-version]"]);
    let mut listed = closed(enabled()).annotated("config.linkerd.io/skip-outbound-ports", "25,3306-3310");
    listed.settings.mesh.allowed_skip = vec!["25".into(), "3000-4000".into()];
    assert_eq!(findings(&listed), Vec::<String>::new());
    let opted_out = closed(enabled()).annotated("linkerd.io/inject", "disabled").annotated("config.linkerd.io/skip-subnets", "::/0");
    assert_eq!(findings(&opted_out), Vec::<String>::new(), "there is no mesh to go past");
}

#[test]
fn the_inbound_policy_is_the_pods_then_the_namespaces_then_the_meshs() {
    assert_eq!(findings(&enabled()), ["inboundPolicyDefault all-unauthenticated -"]);
    let key = "config.linkerd.io/default-inbound-policy";
    let of_namespace =
        |value: &str| enabled().of_namespace(&json!({ "name": "payments", "annotations": { "linkerd.io/inject": "enabled", key: value } }));
    assert_eq!(findings(&of_namespace("deny")), Vec::<String>::new());
    assert_eq!(findings(&of_namespace("deny").annotated(key, "audit")), [format!("inboundPolicy audit metadata.annotations[{key}]")]);
    assert_eq!(findings(&of_namespace("audit").annotated(key, "deny")), Vec::<String>::new());
    let told = |value: &str| {
        let mut scene = injected();
        scene.pod["spec"]["initContainers"][1]["env"] = json!([{ "name": "LINKERD2_PROXY_INBOUND_DEFAULT_POLICY", "value": value }]);
        scene
    };
    assert_eq!(findings(&told("deny")), Vec::<String>::new(), "what the proxy is told is what holds");
    assert_eq!(findings(&told("all-unauthenticated")), ["inboundPolicyDefault all-unauthenticated -"]);
    let field = "spec.initContainers[1].env[0].value";
    assert_eq!(findings(&closed(told("all-unauthenticated"))), [format!("inboundPolicy all-unauthenticated {field}")]);
    assert_eq!(
        findings(&told("all-unauthenticated").annotated(key, "deny")),
        [format!("inboundPolicy all-unauthenticated {field}")],
        "an annotation that was changed later"
    );
    let mut unknown = enabled();
    unknown.namespace_object = Fact::Unknown("no answer in time".into());
    assert_eq!(findings(&unknown), ["unknown - -"]);
    assert!(unknown.read()["mesh"]["findings"][0]["cause"].as_str().unwrap().contains("no answer in time"));
}

#[test]
fn hardening_a25_containers_that_act_as_the_proxy_or_read_its_identity_are_found() {
    let app = |fields: &Value| {
        let mut scene = closed(injected());
        let container = scene.pod["spec"]["containers"][0].as_object_mut().unwrap();
        container.extend(fields.as_object().unwrap().clone());
        findings(&scene)
    };
    let at = |field: &str| format!("spec.containers[0]{field}");
    for (fields, expected) in [
        (json!({ "securityContext": { "runAsUser": 2102 } }), format!("proxyUser - {}", at(".securityContext.runAsUser"))),
        (json!({ "securityContext": { "privileged": true } }), format!("networkCapability - {}", at(".securityContext.privileged"))),
        (
            json!({ "securityContext": { "capabilities": { "add": ["CHOWN", "CAP_net_raw"] } } }),
            format!("networkCapability - {}", at(".securityContext.capabilities.add[1]")),
        ),
        (
            json!({ "volumeMounts": [{ "name": "linkerd-identity-end-entity", "mountPath": "/x" }] }),
            format!("proxyIdentity - {}", at(".volumeMounts[0].name")),
        ),
    ] {
        assert_eq!(app(&fields), [expected], "{fields}");
    }
    assert_eq!(app(&json!({ "securityContext": { "runAsGroup": 2102, "capabilities": { "drop": ["ALL"] } } })), Vec::<String>::new());
    let mut whole = closed(injected());
    whole.pod["spec"]["securityContext"] = json!({ "runAsUser": 2102 });
    whole.pod["spec"]["shareProcessNamespace"] = json!(true);
    whole.pod["spec"]["ephemeralContainers"] = json!([{ "name": "debug", "securityContext": { "runAsUser": 0 } }]);
    assert_eq!(findings(&whole), ["sharedProcesses - spec.shareProcessNamespace", "proxyUser - spec.containers[0]"]);
    let mut fake = closed(injected());
    fake.pod["spec"]["initContainers"][1]["image"] = json!("busybox");
    assert_eq!(findings(&fake)[0], "unprovenProxy - spec.initContainers[1].image");
}

#[test]
fn hardening_a25_what_runs_before_the_proxy_is_found() {
    let early = json!({ "name": "migrate", "image": "api:1" });
    let mut native = closed(injected());
    native.pod["spec"]["initContainers"].as_array_mut().unwrap().insert(1, early.clone());
    assert_eq!(findings(&native), ["startsBeforeProxy - spec.initContainers[1].name"]);
    let mut late = closed(injected());
    late.pod["spec"]["initContainers"].as_array_mut().unwrap().push(early.clone());
    assert_eq!(findings(&late), Vec::<String>::new());
    let mut classic = closed(injected());
    let proxy = classic.pod["spec"]["initContainers"].as_array_mut().unwrap().remove(1);
    classic.pod["spec"]["containers"].as_array_mut().unwrap().push(proxy);
    classic.pod["spec"]["initContainers"].as_array_mut().unwrap().insert(0, early);
    assert_eq!(findings(&classic), ["startsBeforeProxy - spec.initContainers[0].name"]);
    let image = classic.settings.vault.agent.image.clone();
    classic.pod["spec"]["initContainers"][0] = json!({ "name": "vault-agent-init", "image": image, "command": ["vault"] });
    assert_eq!(findings(&classic), Vec::<String>::new(), "the agent logs in before traffic is redirected");
    classic.pod["spec"]["initContainers"][0]["command"] = json!(["sh"]);
    assert_eq!(findings(&classic), ["startsBeforeProxy - spec.initContainers[0].name"], "the agent's image running something else");
}

#[test]
fn ways_past_istio_are_found() {
    for (key, value, vector) in [
        ("traffic.sidecar.istio.io/excludeOutboundPorts", "8080", "skippedPort"),
        ("traffic.sidecar.istio.io/excludeOutboundIPRanges", "0.0.0.0/0", "skippedSubnet"),
        ("traffic.sidecar.istio.io/includeInboundPorts", "80", "skippedPort"),
        ("sidecar.istio.io/interceptionMode", "NONE", "skippedPort"),
        ("proxy.istio.io/config", "{}", "proxyEnvironment"),
        ("sidecar.istio.io/proxyImage", "evil/proxyv2:1", "proxyImage"),
    ] {
        let scene = istio().of_namespace(&json!({ "labels": { "istio-injection": "enabled" } })).annotated(key, value);
        assert_eq!(findings(&scene), [format!("{vector} {value} metadata.annotations[{key}]")]);
    }
    let mut group = istio().of_namespace(&json!({ "labels": { "istio-injection": "enabled" } }));
    group.pod["spec"]["containers"][0]["securityContext"] = json!({ "runAsGroup": 1337 });
    assert_eq!(findings(&group), ["proxyUser - spec.containers[0].securityContext.runAsGroup"]);
    let all = istio()
        .of_namespace(&json!({ "labels": { "istio-injection": "enabled" } }))
        .annotated("traffic.sidecar.istio.io/includeInboundPorts", "*")
        .annotated("sidecar.istio.io/interceptionMode", "TPROXY");
    assert_eq!(findings(&all), Vec::<String>::new());
}
