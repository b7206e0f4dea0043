//! Every kind that carries a pod template: judged as the pod it will make, told its author, and never changed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::path_of;
use crate::deadline::until;
use crate::door::cluster;
use crate::injected::{ALL, assert_no_api_token, names};
use crate::namespaces::Namespace;
use crate::objects::{mounting, spec, spec_with_automount_unset, with, without, workloads};
use crate::refusal::{denied, warned};

#[tokio::test]
async fn every_kind_is_judged() {
    let namespace = Namespace::make(cluster().await, "judged", &[]).await;
    let faulty = with(without(spec(), "serviceAccountName"), "hostPID", json!(true));
    for (workload, at) in workloads(&namespace.name, "faulty", &faulty) {
        denied(namespace.cluster.create(&workload).await)
            .by("no-default-service-account")
            .by("no-host-namespaces")
            .at(&format!("{at}.hostPID"))
            .in_all(2);
    }
    for (workload, _) in workloads(&namespace.name, "sound", &spec()) {
        namespace.cluster.create(&workload).await.object();
    }
}

/// A fault that an UPDATE brings is refused; one that was there before does not hold up a change of something else.
#[tokio::test]
async fn every_kind_is_told_and_ratcheted() {
    let namespace = Namespace::make(cluster().await, "told", &[]).await;
    for (workload, at) in workloads(&namespace.name, "usual", &spec_with_automount_unset()) {
        let answer = namespace.cluster.create(&workload).await;
        warned(&answer, "no-implicit-automount", at);
        let patch = |spec: serde_json::Value| at.rsplit('.').fold(spec, |inner, field| json!({ field: inner }));
        // Neither a Job's template nor the template of a CronJob's past can change.
        if workload["kind"] == "Job" {
            continue;
        }
        let path = path_of(&workload);
        let answer = namespace.cluster.patch(&path, crate::client::MERGE, &patch(json!({ "hostNetwork": true }))).await;
        denied(answer).by("no-host-namespaces").at(&format!("{at}.hostNetwork")).in_all(1);
        let answer = namespace.cluster.patch(&path, crate::client::MERGE, &patch(json!({ "hostname": "x" }))).await;
        answer.object();
    }
}

/// In a namespace that asks for injections the template stays as its author wrote it, is judged as injected, and its pod is injected.
#[tokio::test]
async fn a_deployment_becomes_a_pod() {
    let namespace = Namespace::make(cluster().await, "deployment", ALL).await;
    let (mut deployment, _) = workloads(&namespace.name, "api", &spec_with_automount_unset()).remove(0);
    deployment["spec"]["replicas"] = json!(1);
    let answer = namespace.cluster.create(&deployment).await;
    assert_eq!(answer.warnings, [""; 0], "automount-off answers the warning about automount");
    let kept = answer.object();
    assert_eq!(kept["spec"]["template"]["spec"].get("volumes"), None);

    let pods = namespace.path("v1", "pods");
    let pod = until("the controllers to make the pod", || async {
        namespace.cluster.list(&pods).await.pop().ok_or_else(|| "no pod yet".to_owned())
    })
    .await;
    assert!(pod["metadata"]["generateName"].as_str().is_some_and(|name| name.starts_with("api-")));
    assert_no_api_token(&pod);
    assert_eq!(names(&pod["spec"]["initContainers"]), ["vault-agent-init", "vault-agent"]);
}

/// A Job's pod gets only the agent that ends, and the Job completes.
#[tokio::test]
async fn a_job_becomes_a_pod_that_ends() {
    let namespace = Namespace::make(cluster().await, "job", ALL).await;
    let all = workloads(&namespace.name, "once", &spec_with_automount_unset());
    let (mut job, _) = all.into_iter().find(|(workload, _)| workload["kind"] == "Job").unwrap();
    job["spec"]["suspend"] = json!(false);
    namespace.cluster.create(&job).await.object();
    let pods = namespace.path("v1", "pods");
    let pod = until("the controllers to make the pod", || async {
        namespace.cluster.list(&pods).await.pop().ok_or_else(|| "no pod yet".to_owned())
    })
    .await;
    assert_no_api_token(&pod);
    assert_eq!(names(&pod["spec"]["initContainers"]), ["vault-agent-init"]);
    crate::kubelet::succeed(&namespace.cluster, &pod).await;
    until("the Job to complete", || async {
        let job = namespace.cluster.get(&path_of(&job)).await.object();
        if job["status"]["succeeded"] == 1 { Ok(()) } else { Err(job["status"].to_string()) }
    })
    .await;
}

/// `doorward audit` finds in a manifest what the cluster refuses it for: the same rules at the same fields (law 5).
#[tokio::test]
async fn the_pipeline_says_the_same() {
    let namespace = Namespace::make(cluster().await, "pipeline", &[]).await;
    let directory = crate::controlplane::directory("pipeline");
    let write = |name: &str, object: &Value| {
        let file = directory.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, object.to_string()).unwrap();
        file
    };
    let settings = write("doorward.yaml", &crate::door::settings());
    for (name, path) in
        [("namespace", format!("/api/v1/namespaces/{}", namespace.name)), ("account", namespace.path("v1", "serviceaccounts/app"))]
    {
        write(&format!("context/{name}.json"), &namespace.cluster.get(&path).await.object());
    }
    let token = json!({ "serviceAccountToken": { "audience": "nobody", "path": "token", "expirationSeconds": 7200 } });
    let mut faulty = mounting(spec(), json!({ "name": "token", "projected": { "sources": [token] } }), "/token");
    faulty["automountServiceAccountToken"] = json!(true);
    faulty["hostIPC"] = json!(true);
    faulty["containers"][0]["env"] = json!([{ "name": "BAO_TOKEN", "value": "x" }]);
    let pod = namespace.pod("pod", faulty.clone());
    let all = workloads(&namespace.name, "faulty", &faulty).into_iter().map(|(workload, _)| workload).chain([pod]);
    for object in all {
        let file = write("manifest.json", &object);
        let mut audit = std::process::Command::new(env!("CARGO_BIN_EXE_doorward"));
        let audit = audit.arg("audit").arg(&file).arg("--settings").arg(&settings).arg("--context").arg(directory.join("context"));
        let told = audit.args(["-o", "json"]).output().unwrap();
        assert_eq!(told.status.code(), Some(1), "{}", String::from_utf8_lossy(&told.stderr));
        let report: Value = serde_json::from_slice(&told.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let denied = report["violations"].as_array().unwrap().iter().filter(|violation| violation["enforcement"] == "deny");
        let pipeline: BTreeSet<_> = denied.map(|violation| (text(&violation["rule"]), text(&violation["path"]))).collect();
        let answer = namespace.cluster.create(&object).await;
        assert_eq!(answer.code, 403, "{}", answer.body["message"]);
        let causes = answer.body["details"]["causes"].as_array().unwrap();
        let rule = |cause: &Value| text(&cause["message"]).split(['[', ']']).nth(1).unwrap().to_owned();
        let refused: BTreeSet<_> = causes.iter().map(|cause| (rule(cause), text(&cause["field"]))).collect();
        assert_eq!(pipeline, refused, "{}", object["kind"]);
        assert!(refused.len() >= 5, "{refused:#?}");
    }
}
