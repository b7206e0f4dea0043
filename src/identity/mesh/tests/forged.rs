//! Proofs that were forged once: each is a pod as the injector leaves it, but for one thing.

use serde_json::{Value, json};

use super::super::super::fixture::Scene;
use super::{closed, enabled, expect, findings, injected, injected_by_istio, istio};
use crate::settings::MeshKind;

/// A scene with a value put at a JSON pointer, and the objects above it made where they are missing.
fn with(mut scene: Scene, pointer: &str, value: &Value) -> Scene {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    scene.pod.pointer_mut(parent).unwrap()[key] = value.clone();
    scene
}

#[track_caller]
fn forged(scene: &Scene, cause: &str, field_path: &str) {
    expect(scene, "bypassed", Some(cause), Some(field_path), field_path);
}

const INIT: &str = "/spec/initContainers/0";
const PROXY: &str = "/spec/initContainers/1";

#[test]
fn hardening_a25_a_validator_proves_only_what_the_cni_plugin_did() {
    let validator = |fields: Value| {
        let mut validator = json!({ "name": "linkerd-network-validator", "image": "cr.l5d.io/linkerd/proxy:edge-26.8.1" });
        validator.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let mut scene = injected();
        scene.pod["spec"]["initContainers"][0] = validator;
        scene.settings.mesh.cni = true;
        scene
    };
    let whole = || {
        validator(json!({ "command": ["/usr/lib/linkerd/linkerd2-network-validator"], "args": [
            "--log-format", "plain", "--log-level", "debug", "--connect-addr", "1.1.1.1:20001", "--listen-addr", "0.0.0.0:4140",
            "--timeout", "10s",
        ] }))
    };
    assert_eq!(whole().read()["mesh"]["proven"], true);
    let mut off = whole();
    off.settings.mesh.cni = false;
    forged(&off, "`mesh.cni` does not say", "spec.initContainers[0].name");
    for command in [json!(null), json!(["true"]), json!(["/usr/lib/linkerd/linkerd2-network-validator", "x"])] {
        forged(&validator(json!({ "command": command })), "does not run", "spec.initContainers[0].command");
    }
    for (args, cause) in [
        (json!(["--connect-addr", "127.0.0.1:4140"]), "where nobody answers"),
        (json!(["--connect-addr=10.0.0.1:1"]), "where nobody answers"),
        (json!(["--listen-addr", "0.0.0.0:9"]), "where the redirection leads"),
        (json!(["--listen-addr", "10.0.0.1:4140"]), "where the redirection leads"),
        (json!(["--help"]), "no flag"),
    ] {
        forged(&with(whole(), "/spec/initContainers/0/args", &args), cause, "spec.initContainers[0].args");
    }
    let mut listed = with(whole(), "/spec/initContainers/0/args", &json!(["--connect-addr", "10.0.0.1:20001"]));
    listed.settings.mesh.injector_writes = vec!["--connect-addr=10.0.0.1:20001".into()];
    assert_eq!(listed.read()["mesh"]["proven"], true, "the operator's own address");
    let slow = with(whole(), "/spec/initContainers/0/image", &json!("cr.l5d.io/linkerd/proxy-init:v2"));
    assert_eq!(slow.read()["mesh"]["proven"], true, "an image of the mesh without the program does not start");
}

#[test]
fn hardening_a25_the_values_of_linkerd_inits_flags_are_read() {
    for (flag, value, cause) in [
        ("--firewall-bin-path", "/bin/true", "a firewall"),
        ("--firewall-save-bin-path", "/bin/true", "a firewall"),
        ("--firewall-save-bin-path", "iptables-nft", "a firewall"),
        ("--incoming-proxy-port", "8080", "4143"),
        ("--outgoing-proxy-port", "8080", "4140"),
        ("--iptables-mode", "plain", "`legacy` or `nft`"),
        ("--netns", "x", "no flag"),
    ] {
        let scene = with(injected(), "/spec/initContainers/0/args", &json!([flag, value]));
        forged(&scene, cause, "spec.initContainers[0].args");
    }
    for (flag, value) in [
        ("--firewall-bin-path", "iptables-nft"),
        ("--firewall-save-bin-path", "iptables-nft-save"),
        ("--iptables-mode", "nft"),
        ("--timeout-close-wait-secs", "3600"),
    ] {
        let scene = with(injected(), "/spec/initContainers/0/args", &json!([flag, value]));
        assert_eq!(scene.read()["mesh"]["proven"], true, "{flag}");
    }
    let runs_the_proxy = with(injected(), "/spec/initContainers/0/image", &json!("cr.l5d.io/linkerd/proxy:edge-26.8.1"));
    forged(&runs_the_proxy, "does not run `/usr/lib/linkerd/linkerd2-proxy-init`", "spec.initContainers[0].command");
}

#[test]
fn hardening_a25_a_name_makes_no_container_the_meshs_own() {
    let fake = |list: &str, name: &str| {
        let fake = json!({ "name": name, "image": "cr.l5d.io/linkerd/proxy-init:v2", "command": ["sh"],
            "securityContext": { "privileged": true, "runAsUser": 2102 } });
        let mut scene = closed(injected());
        match scene.pod["spec"].get_mut(list).and_then(Value::as_array_mut) {
            Some(containers) => containers.push(fake),
            None => scene.pod["spec"][list] = json!([fake]),
        }
        findings(&scene)
    };
    for (list, name, place) in [
        ("containers", "linkerd-network-validator", "spec.containers[1]"),
        ("containers", "linkerd-init", "spec.containers[1]"),
        ("initContainers", "linkerd-network-validator", "spec.initContainers[2]"),
        ("ephemeralContainers", "linkerd-network-validator", "spec.ephemeralContainers[0]"),
        ("ephemeralContainers", "linkerd-proxy", "spec.ephemeralContainers[0]"),
    ] {
        let expected =
            [format!("proxyUser - {place}.securityContext.runAsUser"), format!("networkCapability - {place}.securityContext.privileged")];
        assert_eq!(fake(list, name), expected, "{list} {name}");
    }
    let mut template = closed(enabled());
    template.pod["spec"]["containers"] = json!([{ "name": "linkerd-network-validator", "image": "cr.l5d.io/linkerd/proxy-init:v2",
        "command": ["sh"], "securityContext": { "runAsUser": 2102 } }]);
    assert_eq!(findings(&template), ["proxyUser - spec.containers[0].securityContext.runAsUser"], "before the injector came");
}

#[test]
fn hardening_a25_the_later_of_proxy_and_redirection_counts() {
    let mut scene = closed(injected());
    let inits = scene.pod["spec"]["initContainers"].as_array_mut().unwrap();
    inits.swap(0, 1);
    inits.insert(1, json!({ "name": "migrate", "image": "api:1" }));
    assert_eq!(findings(&scene), ["startsBeforeProxy - spec.initContainers[1].name"]);
}

#[test]
fn hardening_a25_what_linkerds_proxy_is_told_is_read() {
    let told = |entry: Value| with(injected(), "/spec/initContainers/1/env", &json!([entry]));
    for (name, value) in [
        ("LINKERD2_PROXY_IDENTITY_SVC_ADDR", "linkerd-identity-headless.linkerd.svc.cluster.local.:8080"),
        ("LINKERD2_PROXY_IDENTITY_SVC_ADDR", "linkerd-identity.linkerd.svc.cluster.local:8080"),
        ("LINKERD2_PROXY_DESTINATION_SVC_ADDR", "linkerd-dst-headless.linkerd.svc.cluster.local.:8086"),
        ("LINKERD2_PROXY_POLICY_SVC_ADDR", "linkerd-policy.linkerd.svc.cluster.local.:8090"),
        ("LINKERD2_PROXY_IDENTITY_SVC_NAME", "linkerd-identity.linkerd.serviceaccount.identity.linkerd.cluster.local"),
        ("LINKERD2_PROXY_IDENTITY_SVC_NAME", "linkerd-identity.$(_l5d_ns).serviceaccount.identity.$(_l5d_ns).$(_l5d_trustdomain)"),
        ("LINKERD2_PROXY_POLICY_SVC_NAME", "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local"),
        ("LINKERD2_PROXY_INBOUND_LISTEN_ADDR", "[::]:4143"),
        ("LINKERD2_PROXY_OUTBOUND_LISTEN_ADDRS", "127.0.0.1:4140,[::1]:4140"),
        ("LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED", "false"),
        ("LINKERD2_PROXY_POLICY_WORKLOAD", "{\"ns\":\"$(_pod_ns)\", \"pod\":\"$(_pod_name)\"}\n"),
        ("LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "-----BEGIN CERTIFICATE-----"),
        ("LINKERD2_PROXY_IDENTITY_TOKEN_FILE", "/var/run/secrets/tokens/linkerd-identity-token"),
        ("LINKERD2_PROXY_LOG", "warn"),
        ("_l5d_ns", "linkerd"),
        ("AWS_REGION", "eu-central-1"),
    ] {
        assert_eq!(told(json!({ "name": name, "value": value })).read()["mesh"]["proven"], true, "{name}: {value}");
    }
    for (name, value) in [
        ("LINKERD2_PROXY_IDENTITY_SVC_ADDR", "evil:2"),
        ("LINKERD2_PROXY_IDENTITY_SVC_ADDR", "linkerd-identity.linkerd.svc.cluster.local.evil.com:8080"),
        ("LINKERD2_PROXY_IDENTITY_SVC_ADDR", "linkerd-identity.payments.svc.cluster.local:8080"),
        ("LINKERD2_PROXY_IDENTITY_SVC_ADDR", "localhost.:8080"),
        ("LINKERD2_PROXY_DESTINATION_SVC_ADDR", "evil:1"),
        ("LINKERD2_PROXY_POLICY_SVC_ADDR", "linkerd-policy.linkerd.svc.cluster.local:1"),
        ("LINKERD2_PROXY_IDENTITY_SVC_NAME", "api.payments.serviceaccount.identity.linkerd.cluster.local"),
        ("LINKERD2_PROXY_DESTINATION_SVC_NAME", "linkerd-destination.linkerd.serviceaccount.identity.linkerd.evil.com"),
        ("LINKERD2_PROXY_INBOUND_LISTEN_ADDR", "0.0.0.0:5143"),
        ("LINKERD2_PROXY_OUTBOUND_LISTEN_ADDRS", "127.0.0.1:4140,127.0.0.1:5140"),
        ("LINKERD2_PROXY_IDENTITY_SPIRE_WORKLOAD_API_ADDRESS", "unix:///evil"),
        ("LINKERD2_PROXY_IDENTITY_TOKEN_FILE", "/evil/token"),
        ("LINKERD2_PROXY_IDENTITY_DIR", "/shared"),
        ("LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED", "true"),
        ("LINKERD2_PROXY_POLICY_WORKLOAD", "{\"ns\":\"payments\",\"pod\":\"lax\"}"),
        ("_l5d_ns", "payments"),
        ("_l5d_trustdomain", "evil.com"),
        ("_pod_name", "lax"),
        ("LD_PRELOAD", "/evil.so"),
    ] {
        forged(&told(json!({ "name": name, "value": value })), name, "spec.initContainers[1].env[0]");
    }
    let by_config_map = json!({ "configMapKeyRef": { "name": "evil", "key": "k" } });
    for name in ["LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "LINKERD2_PROXY_LOG"] {
        forged(&told(json!({ "name": name, "valueFrom": by_config_map })), name, "spec.initContainers[1].env[0]");
    }
    let by_annotation = json!({ "fieldRef": { "fieldPath": "metadata.annotations['x']" } });
    for name in ["LINKERD2_PROXY_IDENTITY_SVC_ADDR", "_pod_ns"] {
        forged(&told(json!({ "name": name, "valueFrom": by_annotation })), name, "spec.initContainers[1].env[0]");
    }
    let from = json!([{ "configMapRef": { "name": "evil" } }]);
    for (container, place) in [(INIT, "spec.initContainers[0].envFrom"), (PROXY, "spec.initContainers[1].envFrom")] {
        forged(&with(injected(), &format!("{container}/envFrom"), &from), "out of an object", place);
    }
    let path = with(injected(), "/spec/initContainers/0/env", &json!([{ "name": "PATH", "value": "/evil" }]));
    forged(&path, "`PATH` is no variable", "spec.initContainers[0].env[0]");
    let mut elsewhere = told(json!({ "name": "LINKERD2_PROXY_POLICY_SVC_ADDR", "value": "linkerd-policy.mesh.svc.corp.example.:8090" }));
    elsewhere.settings.mesh.control_plane_namespace = Some("mesh".into());
    elsewhere.settings.mesh.cluster_domain = "corp.example".into();
    assert_eq!(elsewhere.read()["mesh"]["proven"], true, "the operator's names");
    let mut listed = told(json!({ "name": "LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED", "value": "true" }));
    listed.settings.mesh.injector_writes = vec!["LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED=true".into()];
    assert_eq!(listed.read()["mesh"]["proven"], true, "what the operator's mesh writes");
}

#[test]
fn hardening_a25_nothing_is_laid_over_the_meshs_containers_or_run_in_them() {
    let mount = |name: &str, path: &str| json!([{ "name": name, "mountPath": path }]);
    for (volume, path) in [("b", "/usr/sbin"), ("b", "/run"), ("linkerd-proxy-init-xtables-lock", "/usr/sbin")] {
        let scene = with(injected(), "/spec/initContainers/0/volumeMounts", &mount(volume, path));
        forged(&scene, "which the injector does not", "spec.initContainers[0].volumeMounts[0]");
    }
    for (volume, path) in
        [("linkerd-proxy-init-xtables-lock", "/run"), ("aws-iam-token", "/var/run/secrets/eks.amazonaws.com/serviceaccount/")]
    {
        let scene = with(injected(), "/spec/initContainers/0/volumeMounts", &mount(volume, path));
        assert_eq!(scene.read()["mesh"]["proven"], true, "{path}");
    }
    let mut proxy = injected();
    let mounts = proxy.pod["spec"]["initContainers"][1]["volumeMounts"].as_array_mut().unwrap();
    mounts.push(json!({ "name": "b", "mountPath": "/usr/lib/linkerd" }));
    forged(&proxy, "`b` at `/usr/lib/linkerd`", "spec.initContainers[1].volumeMounts[1]");
    proxy.settings.mesh.injector_writes = vec!["/usr/lib/linkerd/".into()];
    assert_eq!(proxy.read()["mesh"]["proven"], true, "listed");
    for (hook, command, field) in [
        ("lifecycle", json!({ "postStart": { "exec": { "command": ["sh", "-c", "nc -l 80"] } } }), "lifecycle.postStart.exec.command"),
        ("livenessProbe", json!({ "exec": { "command": ["/bin/sleep", "1d"] } }), "livenessProbe.exec.command"),
        (
            "lifecycle",
            json!({ "preStop": { "exec": { "command": ["/usr/lib/linkerd/linkerd-await", "--", "sh"] } } }),
            "lifecycle.preStop.exec.command",
        ),
    ] {
        let scene = with(injected(), &format!("{PROXY}/{hook}"), &command);
        forged(&scene, "in the container", &format!("spec.initContainers[1].{field}"));
    }
    let await_proxy = json!({ "postStart": { "exec": { "command": ["/usr/lib/linkerd/linkerd-await", "--timeout=2m", "--port=4191"] } },
        "preStop": { "exec": { "command": ["/bin/sleep", "30"] } } });
    assert_eq!(with(injected(), &format!("{PROXY}/lifecycle"), &await_proxy).read()["mesh"]["proven"], true);
    forged(&with(injected(), &format!("{PROXY}/args"), &json!(["x"])), "has arguments", "spec.initContainers[1].args");
    let mut shared = injected();
    shared.pod["spec"]["volumes"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "linkerd-identity-end-entity", "hostPath": { "path": "/k" } }));
    forged(&shared, "is no `emptyDir`", "spec.initContainers[1].volumeMounts");
    let mut aliased = injected();
    aliased.pod["spec"]["hostAliases"] =
        json!([{ "ip": "10.0.0.9", "hostnames": ["x", "linkerd-dst-headless.linkerd.svc.cluster.local"] }]);
    forged(&aliased, "another address", "spec.hostAliases[0].hostnames");
}

#[test]
fn hardening_a25_arguments_and_environment_of_istio_are_read() {
    let args = |args: &Value| with(injected_by_istio(), "/spec/initContainers/0/args", args);
    for (given, cause) in [
        (json!(["istio-iptables", "-p", "15001", "-i", "", "-b", "", "-u", "1337"]), "`-i` is ``"),
        (json!(["istio-iptables", "-i", "*", "-b", "80"]), "`-b` is `80`"),
        (json!(["istio-iptables", "-i", "*"]), "`-b *` is not set"),
        (json!(["istio-iptables", "-b", "*"]), "`-i *` is not set"),
        (json!(["istio-iptables", "-i", "*", "-b", "*", "-i", "10.0.0.0/8"]), "`-i` is `10.0.0.0/8`"),
        (json!(["istio-iptables", "-i", "*", "-b", "*", "-x", "0.0.0.0/0"]), "lets `0.0.0.0/0` past"),
        (json!(["istio-iptables", "-i", "*", "-b", "*", "-d", "15090,8080"]), "lets `8080` past"),
        (json!(["istio-iptables", "-i", "*", "-b", "*", "-o", "443"]), "lets `443` past"),
        (json!(["istio-iptables", "-i", "*", "-b", "*", "-k", "eth0"]), "lets `eth0` past"),
        (json!(["istio-iptables", "-i", "*", "-b", "*", "-u", "0"]), "`-u` is `0`"),
        (json!(["istio-iptables", "-i", "*", "-b", "*", "-z", "1"]), "`-z` is `1`"),
        (json!(["istio-iptables", "-i", "*", "-b", "*", "-n"]), "`-n` is no flag"),
        (json!(["istio-iptables", "-i", "*", "-b", "*", "--dry-run"]), "`--dry-run` is no flag"),
        (json!(["istio-iptables", "-i", "*", "-b", "*", "--skip-rule-apply"]), "leaves every packet"),
        (json!(["istio-clean-iptables"]), "does not run `istio-iptables`"),
    ] {
        forged(&args(&given), cause, "spec.initContainers[0].args");
    }
    let validation = |last: &[&str]| {
        let mut given = vec!["istio-iptables", "-i", "*", "-b", "*"];
        given.extend(last);
        let mut scene = args(&json!(given));
        scene.pod["spec"]["initContainers"][0]["name"] = json!("istio-validation");
        scene.settings.mesh.cni = true;
        scene
    };
    assert_eq!(validation(&["--run-validation", "--skip-rule-apply"]).read()["mesh"]["proven"], true);
    forged(&validation(&["--skip-rule-apply"]), "nothing is checked", "spec.initContainers[0].args");
    let run = with(validation(&["--run-validation"]), "/spec/initContainers/0/command", &json!(["true"]));
    forged(&run, "`command` of its own", "spec.initContainers[0].command");
    let mut off = validation(&["--run-validation", "--skip-rule-apply"]);
    off.settings.mesh.cni = false;
    forged(&off, "`mesh.cni` does not say", "spec.initContainers[0].name");

    let told = |name: &str, value: &str| with(injected_by_istio(), "/spec/containers/1/env", &json!([{ "name": name, "value": value }]));
    for (name, value) in [
        ("CA_ADDR", "istiod.istio-system.svc:15012"),
        ("CA_ADDR", "istiod-canary.istio-system.svc.cluster.local:15012"),
        ("PROXY_CONFIG", "{}\n"),
        ("PROXY_CONFIG", r#"{"discoveryAddress":"istiod.istio-system.svc:15012","proxyMetadata":{"ISTIO_META_DNS_CAPTURE":"true"}}"#),
        ("ISTIO_META_CLUSTER_ID", "Kubernetes"),
        ("ISTIO_META_DNS_CAPTURE", "true"),
    ] {
        assert_eq!(told(name, value).read()["mesh"]["proven"], true, "{name}: {value}");
    }
    for (name, value) in [
        ("CA_ADDR", "evil:1"),
        ("CA_ADDR", "istiod.payments.svc:15012"),
        ("CA_ADDR", "istiod.evil.istio-system.svc:1"),
        ("CA_ADDR", "istiod-x.evil.com.istio-system.svc:15012"),
        ("ISTIO_BOOTSTRAP_OVERRIDE", "/x"),
        ("DISABLE_ENVOY", "true"),
        ("OUTPUT_CERTS", "/shared"),
        ("PILOT_CERT_PROVIDER", "none"),
        ("ISTIO_META_INTERCEPTION_MODE", "NONE"),
        ("PROXY_CONFIG", "x"),
        ("PROXY_CONFIG", r#"{"customConfigFile":"/x"}"#),
        ("PROXY_CONFIG", r#"{"discoveryAddress":"evil:15012"}"#),
        ("PROXY_CONFIG", r#"{"binaryPath":"/bin/true"}"#),
        ("PROXY_CONFIG", r#"{"proxyMetadata":{"OUTPUT_CERTS":"/x"}}"#),
    ] {
        forged(&told(name, value), "`istio-proxy`: ", "spec.containers[1].env[0]");
    }
    let started = |args: &Value| with(injected_by_istio(), "/spec/containers/1/args", args);
    assert_eq!(started(&json!(["proxy", "sidecar", "--domain", "x", "--proxyLogLevel=warning"])).read()["mesh"]["proven"], true);
    forged(&started(&json!(["proxy", "sidecar", "--templateFile=/x"])), "`--templateFile` is no flag", "spec.containers[1].args");
    let environment = with(injected_by_istio(), "/spec/initContainers/0/env", &json!([{ "name": "DRY_RUN", "value": "true" }]));
    forged(&environment, "`DRY_RUN` is no variable", "spec.initContainers[0].env[0]");
    let as_linkerds = with(injected_by_istio(), "/spec/containers/1/securityContext/runAsUser", &json!(2102));
    forged(&as_linkerds, "as user 1337", "spec.containers[1].securityContext.runAsUser");
}

#[test]
fn hardening_a25_an_empty_list_of_istio_captures_nothing() {
    let labelled = || istio().of_namespace(&json!({ "labels": { "istio-injection": "enabled" } }));
    for (key, vector) in [("includeInboundPorts", "skippedPort"), ("includeOutboundIPRanges", "skippedSubnet")] {
        let key = format!("traffic.sidecar.istio.io/{key}");
        assert_eq!(findings(&labelled().annotated(&key, "")), [format!("{vector}  metadata.annotations[{key}]")]);
    }
    for (key, value, vector) in [
        ("ambient.istio.io/bypass-inbound-capture", "true", "skippedPort"),
        ("ambient.istio.io/bypass-inbound-capture", "1", "skippedPort"),
        ("sidecar.istio.io/bootstrapOverride", "evil-cm", "proxyEnvironment"),
        ("sidecar.istio.io/userVolume", "[]", "proxyEnvironment"),
        ("sidecar.istio.io/userVolumeMount", "[]", "proxyEnvironment"),
        ("traffic.sidecar.istio.io/kubevirtInterfaces", "eth0", "skippedSubnet"),
        ("istio.io/reroute-virtual-interfaces", "eth0", "skippedSubnet"),
    ] {
        assert_eq!(findings(&labelled().annotated(key, value)), [format!("{vector} {value} metadata.annotations[{key}]")]);
    }
    for (key, value) in [
        ("ambient.istio.io/bypass-inbound-capture", "false"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", ""),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "15020"),
    ] {
        assert_eq!(findings(&labelled().annotated(key, value)), Vec::<String>::new(), "{key}");
    }
    let plain = labelled().labelled("security.istio.io/tlsMode", "disabled");
    assert_eq!(findings(&plain), ["skippedPort disabled metadata.labels[security.istio.io/tlsMode]"]);
    assert_eq!(findings(&labelled().labelled("security.istio.io/tlsMode", "istio")), Vec::<String>::new());
}

#[test]
fn hardening_a25_a_sidecars_mark_without_a_sidecar_keeps_the_nodes_proxy_away() {
    let scene = istio().of_namespace(&json!({ "labels": { "istio.io/dataplane-mode": "ambient" } }));
    forged(&scene.annotated("sidecar.istio.io/status", ""), "pass the pod by", "metadata.annotations[sidecar.istio.io/status]");
}

#[test]
fn hardening_a25_an_empty_value_of_linkerd_hides_the_namespaces() {
    let key = "config.linkerd.io/default-inbound-policy";
    let scene = enabled().of_namespace(&json!({ "annotations": { "linkerd.io/inject": "enabled", key: "deny" } }));
    assert_eq!(findings(&scene.annotated(key, "")), ["inboundPolicyDefault all-unauthenticated -"]);
    for (key, value, expected) in [
        ("init-image-version", "v1", Some("proxyImage")),
        ("admin-port", "8080", Some("skippedPort")),
        ("control-port", "http", Some("skippedPort")),
        ("admin-port", "4191", None),
        ("disable-identity", "true", Some("proxyEnvironment")),
        ("proxy-log-http-headers", "insecure", Some("proxyEnvironment")),
        ("proxy-log-http-headers", "off", None),
    ] {
        let key = format!("config.linkerd.io/{key}");
        let mut scene = closed(enabled()).annotated(&key, value);
        scene.settings.mesh.proxy_images = vec!["cr.l5d.io/linkerd/proxy:edge-26".into()];
        let expected = expected.map(|vector| format!("{vector} {value} metadata.annotations[{key}]"));
        assert_eq!(findings(&scene), Vec::from_iter(expected), "{key}");
    }
}

#[test]
fn hardening_a25_a_token_of_the_meshs_audience_is_the_proxys_alone() {
    for (mesh, audience) in [(MeshKind::Linkerd, "identity.l5d.io"), (MeshKind::Istio, "istio-ca")] {
        let mut scene = closed(enabled())
            .of_namespace(&json!({ "annotations": { "linkerd.io/inject": "enabled" }, "labels": { "istio-injection": "enabled" } }));
        scene.settings.mesh.kind = mesh;
        scene.pod["spec"]["volumes"] =
            json!([{ "name": "mine", "projected": { "sources": [{ "serviceAccountToken": { "path": "t", "audience": audience } }] } }]);
        assert_eq!(findings(&scene), Vec::<String>::new(), "mounted nowhere");
        scene.pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "mine", "mountPath": "/mine" }]);
        assert_eq!(findings(&scene), ["proxyIdentity - spec.containers[0].volumeMounts[0].name"], "{audience}");
    }
}
