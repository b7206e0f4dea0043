//! What does not get in: each refusal with its code, rule and field, every fault at once.

use serde_json::json;

use crate::client::{MERGE, path_of};
use crate::controlplane::shared;
use crate::door::{cluster, shared_door};
use crate::injector::Injector;
use crate::kubelet;
use crate::namespaces::{MESH_LABEL, Namespace, OLD_TOKEN, OLDER};
use crate::objects::{container, legacy_token, mounting, spec, spec_with_automount_unset, with, without};
use crate::refusal::{denied, warned};

#[tokio::test]
async fn a_pod_on_the_default_service_account() {
    let namespace = Namespace::make(cluster().await, "default-account", &[]).await;
    for (name, spec) in [
        ("unset", without(spec(), "serviceAccountName")),
        ("named", with(spec(), "serviceAccountName", json!("default"))),
        ("deprecated-alias", with(without(spec(), "serviceAccountName"), "serviceAccount", json!("default"))),
    ] {
        let answer = namespace.cluster.create(&namespace.pod(name, spec)).await;
        denied(answer).by("no-default-service-account").at("spec.serviceAccountName").in_all(1);
    }
}

#[tokio::test]
async fn every_fault_at_once() {
    let namespace = Namespace::make_meshed(cluster().await, "every-fault", &[], json!({})).await;
    let token = json!({ "name": "old", "secret": { "secretName": "builder-token-x7k2p" } });
    let mut faulty = mounting(spec(), token, "/var/run/secrets/kubernetes.io/serviceaccount");
    faulty["serviceAccountName"] = json!("default");
    faulty["automountServiceAccountToken"] = json!(true);
    faulty["hostNetwork"] = json!(true);
    faulty["hostPID"] = json!(true);
    denied(namespace.cluster.create(&namespace.pod("faulty", faulty)).await)
        .by("no-default-service-account")
        .at("spec.serviceAccountName")
        .by("no-explicit-automount")
        .at("spec.automountServiceAccountToken")
        .by("no-legacy-token-use")
        .by("no-host-namespaces")
        .at("spec.hostNetwork")
        .at("spec.hostPID")
        .by("no-unmeshed-pod")
        .in_all(6);
}

#[tokio::test]
async fn an_explicit_automount_on_the_pod_or_its_account() {
    let namespace = Namespace::make(cluster().await, "automount", &["automount-off"]).await;
    let explicit = with(spec(), "automountServiceAccountToken", json!(true));
    denied(namespace.cluster.create(&namespace.pod("explicit", explicit)).await)
        .by("no-explicit-automount")
        .at("spec.automountServiceAccountToken")
        .in_all(1);

    let account = with(crate::objects::service_account(&namespace.name, "eager"), "automountServiceAccountToken", json!(true));
    denied(namespace.cluster.create(&account).await).by("no-explicit-automount").at("automountServiceAccountToken").in_all(1);
}

#[tokio::test]
async fn a_legacy_token_secret() {
    let namespace = Namespace::make(cluster().await, "legacy-secret", &[]).await;
    let answer = namespace.cluster.create(&legacy_token(&namespace.name, "app-token", "app")).await;
    denied(answer).by("no-legacy-token-secret").at("type").in_all(1);

    let value = "a-value-that-nobody-shall-read";
    let metadata = json!({ "namespace": namespace.name, "name": "plain" });
    let opaque = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": { "key": value } });
    namespace.cluster.create(&opaque).await.object();
    assert!(!shared_door().await.1.log().contains(value));
}

/// The controller fills what is missing in a token Secret: an old one could be made into a new token of another account (hardening A3).
#[tokio::test]
async fn an_old_token_secret_that_would_become_another() {
    let cluster = cluster().await;
    let path = format!("/api/v1/namespaces/{OLDER}/secrets/{OLD_TOKEN}");
    let annotations = json!({ "kubernetes.io/service-account.name": "default", "kubernetes.io/service-account.uid": null });
    let turned = json!({ "metadata": { "annotations": annotations }, "data": { "token": null } });
    let answer = cluster.patch(&path, MERGE, &turned).await;
    let token = cluster.get(&path).await.object()["data"]["token"].as_str().unwrap().to_owned();
    assert!(!answer.body.to_string().contains(&token));
    denied(answer)
        .by("no-legacy-token-secret")
        .at("metadata.annotations[kubernetes.io/service-account.name]")
        // What was removed is told at what it stood in.
        .at("metadata.annotations")
        .at("data")
        .in_all(3);
    // What Kubernetes' own cleaner of such Secrets does passes.
    let label = json!({ "metadata": { "labels": { "kubernetes.io/legacy-token-invalid-since": "2026-01-01" } } });
    cluster.patch(&path, MERGE, &label).await.object();
    assert!(!shared_door().await.1.log().contains(&token));
}

/// Text of the author's is quoted where it is repeated: no control character reaches a terminal (hardening A33).
#[tokio::test]
async fn a_text_that_would_command_a_terminal() {
    let namespace = Namespace::make(cluster().await, "hostile-text", &[]).await;
    for (name, audience) in [("escape", "evil\u{1b}[2J::error::<b>"), ("newline", "evil\n[no-such-rule] INV-0: nothing: at all")] {
        let source = json!({ "serviceAccountToken": { "audience": audience, "path": "token", "expirationSeconds": 600 } });
        let spec = mounting(spec(), json!({ "name": "token", "projected": { "sources": [source] } }), "/token");
        let answer = namespace.cluster.create(&namespace.pod(name, spec)).await;
        let told = answer.body.clone();
        denied(answer).by("known-token-audience").at("spec.volumes[0].projected.sources[0].serviceAccountToken.audience").in_all(1);
        let texts = [&told["message"], &told["details"]["causes"][0]["message"]].map(|text| text.as_str().unwrap().to_owned());
        assert!(texts.iter().all(|text| !text.contains('\u{1b}') && !text.contains("\n[no-such-rule]")), "{texts:#?}");
        assert!(name == "newline" || texts.iter().all(|text| text.contains("evil\\u001b[2J")), "{texts:#?}");
    }
}

/// The API server passes on 16 warnings of 256 characters once there are more; the last one says how many are missing (hardening A34).
#[tokio::test]
async fn more_warnings_than_fit() {
    let namespace = Namespace::make(cluster().await, "warnings", &[]).await;
    let mut warned = spec();
    // Kubernetes' generated names have no vowels and no digits that look like letters.
    let digit = |number: usize| char::from(b"bcdfgh"[number % 6]);
    let name = |number: usize| format!("app-token-xzz{}{}", digit(number / 6), digit(number));
    let reference = |number: usize| json!({ "secretKeyRef": { "name": name(number), "key": "token" } });
    warned["containers"][0]["env"] =
        (0..36).map(|number| json!({ "name": format!("TOKEN_{number}"), "valueFrom": reference(number) })).collect();
    let answer = namespace.cluster.create(&namespace.pod("warned", warned)).await;
    assert_eq!(answer.warnings.len(), 16, "{:#?}", answer.warnings);
    assert!(answer.warnings.iter().all(|warning| warning.starts_with("doorward: ") && warning.chars().count() <= 240));
    assert!(answer.warnings[15].contains("and 21 more"), "{}", answer.warnings[15]);
    answer.object();
}

/// A Secret that no name and no path gives away: only the list of token Secrets tells.
#[tokio::test]
async fn a_pod_that_uses_a_legacy_token() {
    let namespace = Namespace::make(cluster().await, "legacy-use", &[]).await;
    let volume = json!({ "name": "token", "secret": { "secretName": "app-token-x7k2p" } });
    let projected = json!({ "name": "token", "projected": { "sources": [{ "secret": { "name": "app-token-x7k2p" } }] } });
    let usual = "/var/run/secrets/kubernetes.io/serviceaccount";
    for (name, volume, path, field) in [
        ("by-volume", volume.clone(), usual, "spec.volumes[0].secret"),
        ("by-other-spelling", volume, "/run/secrets/kubernetes.io/serviceaccount/", "spec.volumes[0].secret"),
        ("by-projected-source", projected, usual, "spec.volumes[0].projected.sources[0].secret"),
    ] {
        let answer = namespace.cluster.create(&namespace.pod(name, mounting(spec(), volume, path))).await;
        denied(answer).by("no-legacy-token-use").at(field).in_all(1);
    }
    let reference = json!({ "name": "app-token-x7k2p", "key": "token" });
    let mut by_env = spec();
    by_env["containers"][0]["env"] = json!([{ "name": "TOKEN", "valueFrom": { "secretKeyRef": reference } }]);
    let mut by_env_from = spec();
    by_env_from["containers"][0]["envFrom"] = json!([{ "secretRef": { "name": "app-token-x7k2p" } }]);
    for (name, spec) in [("by-env", by_env), ("by-env-from", by_env_from)] {
        // A name is a guess: it warns.
        let answer = namespace.cluster.create(&namespace.pod(name, spec)).await;
        warned(&answer, "no-legacy-token-use", "app-token-x7k2p");
    }
}

/// A token Secret that no path and no shape of its name gives away is refused by its listed name, by whichever door it comes.
#[tokio::test]
async fn a_pod_that_uses_a_listed_token_secret() {
    let namespace = Namespace { cluster: cluster().await, name: OLDER.to_owned() };
    let volume = json!({ "name": "old", "secret": { "secretName": OLD_TOKEN } });
    let projected = json!({ "name": "old", "projected": { "sources": [{ "secret": { "name": OLD_TOKEN } }] } });
    let mut by_env = spec();
    by_env["containers"][0]["env"] = json!([{ "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": OLD_TOKEN, "key": "token" } } }]);
    let mut by_env_from = spec();
    by_env_from["containers"][0]["envFrom"] = json!([{ "secretRef": { "name": OLD_TOKEN } }]);
    for (name, spec, field) in [
        ("by-volume", mounting(spec(), volume, "/old"), "spec.volumes[0].secret"),
        ("by-projected-source", mounting(spec(), projected, "/old"), "spec.volumes[0].projected.sources[0].secret"),
        ("by-env", by_env, "spec.containers[0].env[0].valueFrom.secretKeyRef"),
        ("by-env-from", by_env_from, "spec.containers[0].envFrom[0].secretRef"),
    ] {
        let answer = namespace.cluster.create(&namespace.pod(name, spec)).await;
        denied(answer).by("no-legacy-token-use").at(field).in_all(1);
    }
}

#[tokio::test]
async fn a_pod_outside_the_mesh() {
    let namespace = Namespace::make_meshed(cluster().await, "unmeshed", &[], json!({})).await;
    let answer = namespace.cluster.create(&namespace.pod("unmeshed", spec())).await;
    denied(answer).by("no-unmeshed-pod").in_all(1);

    let mut opted_out = namespace.pod("opted-out", spec());
    opted_out["metadata"]["annotations"] = json!({ "linkerd.io/inject": "disabled" });
    let answer = namespace.cluster.create(&opted_out).await;
    denied(answer).by("no-mesh-opt-out").at("metadata.annotations[linkerd.io/inject]").in_all(1);

    let namespace = Namespace::make_meshed(cluster().await, "opted-out", &[], json!({ "linkerd.io/inject": "disabled" })).await;
    let answer = namespace.cluster.create(&namespace.pod("opted-out", spec())).await;
    denied(answer).by("no-unmeshed-pod").in_all(1);
}

/// A namespace is told when it comes without the mesh, and may not leave it by itself.
#[tokio::test]
async fn a_namespace_that_leaves_the_mesh() {
    let cluster = cluster().await;
    let name = format!("leaving-{}", std::process::id());
    let mut made = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": { MESH_LABEL: "on" } } });
    let answer = cluster.try_out(&made).await;
    warned(&answer, "require-meshed-namespace", "linkerd.io/inject");
    warned(&answer, "require-pod-security", "enforces no Pod Security Standard");
    made["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = json!("baseline");
    made["metadata"]["annotations"] = json!({ "linkerd.io/inject": "enabled" });
    let answer = cluster.create(&made).await;
    assert_eq!(answer.warnings, [""; 0]);
    answer.object();
    let annotated = json!({ "metadata": { "annotations": { "linkerd.io/inject": "disabled" } } });
    denied(cluster.patch(&path_of(&made), MERGE, &annotated).await)
        .by("no-mesh-opt-out")
        .at("metadata.annotations[linkerd.io/inject]")
        .in_all(1);
    let labelled = json!({ "metadata": { "labels": { "config.linkerd.io/admission-webhooks": "disabled" } } });
    denied(cluster.patch(&path_of(&made), MERGE, &labelled).await).by("no-mesh-opt-out").in_all(1);
    cluster.patch(&path_of(&made), MERGE, &json!({ "metadata": { "labels": { "team": "a" } } })).await.object();
}

/// The annotation is intent: what counts is a proxy that is there when everybody has had his turn.
#[tokio::test]
async fn a_pod_whose_proxy_did_not_come_or_is_a_fake() {
    let namespace = Namespace::make_meshed(cluster().await, "no-proxy", &[], json!({ "linkerd.io/inject": "enabled" })).await;
    let answer = namespace.cluster.create(&namespace.pod("injector-down", spec())).await;
    denied(answer).by("no-unmeshed-pod");

    let _injector = Injector::start(&namespace).await;
    let mut fake = container("linkerd-proxy");
    fake["restartPolicy"] = json!("Always");
    let fake = with(spec(), "initContainers", json!([fake]));
    let answer = namespace.cluster.create(&namespace.pod("fake", fake)).await;
    denied(answer).by("no-unmeshed-pod");
}

/// Exemptions are the settings'; a namespace's own labels lift nothing, and the system's namespaces are never sent.
#[tokio::test]
async fn not_what_runs_the_cluster() {
    let cluster = cluster().await;
    let faulty = with(without(spec(), "serviceAccountName"), "hostNetwork", json!(true));
    cluster.try_out(&crate::objects::pod("kube-system", "faulty", faulty.clone())).await.object();

    // A kubelet reports a static pod; the annotation alone is anybody's to write.
    let node_1 = shared().cluster_as(kubelet::USER, kubelet::GROUPS).await;
    let namespace = Namespace::make(cluster, "mirror", &["stamp", "spiffe-id"]).await;
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": kubelet::NODE } });
    namespace.cluster.create(&node).await;
    let uid = namespace.cluster.get(&path_of(&node)).await.object()["metadata"]["uid"].clone();
    let owner = json!({ "apiVersion": "v1", "kind": "Node", "name": kubelet::NODE, "uid": uid, "controller": true });
    let static_pod = with(without(without(spec(), "serviceAccountName"), "automountServiceAccountToken"), "nodeName", json!(kubelet::NODE));
    let mut mirror = namespace.pod("static", static_pod);
    mirror["metadata"]["annotations"] = json!({ "kubernetes.io/config.mirror": "x", "kubernetes.io/config.source": "file" });
    mirror["metadata"]["ownerReferences"] = json!([owner]);
    let kept = node_1.create(&mirror).await.object();
    assert_eq!(kept["metadata"]["annotations"].as_object().map(serde_json::Map::len), Some(2), "{}", kept["metadata"]);
    mirror["metadata"]["name"] = json!("forged");
    denied(namespace.cluster.create(&mirror).await).by("no-default-service-account");
}

#[tokio::test]
async fn nothing_that_is_without_fault() {
    let namespace = Namespace::make(cluster().await, "sound", &[]).await;
    let answer = namespace.cluster.create(&namespace.pod("sound", spec())).await;
    assert_eq!(answer.warnings, [""; 0]);
    answer.object();
    let answer = namespace.cluster.create(&namespace.pod("usual", spec_with_automount_unset())).await;
    warned(&answer, "no-implicit-automount", "");
}
