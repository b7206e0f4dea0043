//! A door that goes, and one that is not ready yet: no request is lost, over HTTP/1.1 (a Service) as over HTTP/2 (a URL).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::controlplane::{ControlPlane, turn};
use crate::deadline::until;
use crate::door::{Door, Flags};
use crate::forwarder::Forwarder;
use crate::injected::{ALL, names};
use crate::namespaces::Namespace;
use crate::objects::{spec, spec_with_automount_unset, without};
use crate::refusal::denied;
use crate::webhooks::{self, SERVICE_NAMES, Way, service_address};

/// The way of a real cluster: the Service's name and certificate, HTTP/1.1.
#[tokio::test]
async fn a_service_on_the_door_itself() {
    let (control_plane, _turn) = turn().await;
    let cluster = control_plane.cluster().await;
    let listen = service_address(&cluster).await;
    let kubeconfig = control_plane.kubeconfig();
    let flags = Flags { listen: &listen, names: SERVICE_NAMES, ..Flags::on_loopback(&kubeconfig) };
    let door = Door::open(&flags).await;
    webhooks::install(control_plane, Way::Service, &[]).await;
    let namespace = Namespace::make(cluster, "service", &["spiffe-csi"]).await;
    let pod = namespace.cluster.create(&namespace.pod("sound", spec())).await.object();
    assert_eq!(names(&pod["spec"]["volumes"]), ["spiffe-workload-api"]);
    denied(namespace.cluster.create(&namespace.pod("faulty", without(spec(), "serviceAccountName"))).await)
        .by("no-default-service-account")
        .at("spec.serviceAccountName");
    drop(door);
}

#[tokio::test]
async fn no_request_is_lost_over_http_1() {
    let (control_plane, _turn) = turn().await;
    let cluster = control_plane.cluster().await;
    let listen = service_address(&cluster).await;
    hand_over(control_plane, &listen, |_| Way::Service, 1).await;
}

#[tokio::test]
async fn no_request_is_lost_over_http_2() {
    let (control_plane, _turn) = turn().await;
    hand_over(control_plane, "127.0.0.1:0", Way::Url, 2).await;
}

/// Pods are created without a pause while one door is told to stop and another takes its place, three times over. As in a cluster, new
/// connections go elsewhere some time after the door is unready, and open ones stay with the door that goes.
async fn hand_over(control_plane: &'static ControlPlane, listen: &str, way: impl Fn(SocketAddr) -> Way, version: u8) {
    const HANDOVERS: usize = 3;
    let cluster = control_plane.cluster().await;
    let kubeconfig = control_plane.kubeconfig();
    let flags = Flags { names: SERVICE_NAMES, more: &["--drain-delay", "1"], ..Flags::on_loopback(&kubeconfig) };
    let mut door = Door::open(&flags).await;
    let forwarder = Forwarder::listen(listen, Some(door.address)).await;
    webhooks::install(control_plane, way(forwarder.address), &[]).await;
    let namespace = Arc::new(Namespace::make(cluster, "drain", &["spiffe-csi"]).await);

    let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let loops: Vec<_> = (0..4)
        .map(|_| {
            let (namespace, stop, made) = (Arc::clone(&namespace), Arc::clone(&stop), Arc::clone(&made));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = namespace.cluster.try_out(&namespace.pod("loop", spec())).await;
                    assert_eq!(answer.code, 201, "a request was lost: {}", answer.body["message"]);
                    assert_eq!(names(&answer.body["spec"]["volumes"]), ["spiffe-workload-api"]);
                    made.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let progress = || async {
        let before = made.load(Ordering::Relaxed);
        until("requests to go on", || async {
            let more = made.load(Ordering::Relaxed) - before;
            let lost = loops.iter().any(tokio::task::JoinHandle::is_finished);
            if more >= 20 || lost { Ok(()) } else { Err(format!("{more} more")) }
        })
        .await;
    };
    for _ in 0..HANDOVERS {
        progress().await;
        let next = Door::open(&flags).await;
        let asked = |door: &Door| door.metric("doorward_decisions_total", &[]);
        door.tell_to_stop();
        until("the door to be unready", || async {
            let (code, text) = door.probe("/readyz");
            assert!(door.runs(), "it did not drain: {}", door.log());
            if code == 503 { Ok(()) } else { Err(format!("{code}: {text}")) }
        })
        .await;
        forwarder.turn_to(next.address);
        let before = asked(&next);
        let (status, log) = door.ended().await;
        assert!(status.success(), "{status}: {log}");
        progress().await;
        assert!(asked(&next) > before, "the next door has taken over");
        door = next;
    }
    stop.store(true, Ordering::Relaxed);
    for ended in loops {
        ended.await.expect("no request was lost");
    }
    assert!(made.load(Ordering::Relaxed) >= 20 * HANDOVERS);
    forwarder.assert_http(version);
    drop(door);
}

/// A roll-out: one replica adds the old agent, the other the new one, and each is asked about what the other made. Neither refuses a
/// pod, and neither adds a second agent (B4).
#[tokio::test]
async fn two_revisions_at_once() {
    const OLD: &str = "hashicorp/vault:1.15";
    const NEW: &str = "hashicorp/vault:1.16";
    let (control_plane, _turn) = turn().await;
    let kubeconfig = control_plane.kubeconfig();
    let revision = |image: &str, other: &str| {
        let mut settings = crate::door::settings();
        settings["vault"]["agent"] = json!({ "image": image, "acceptedImages": [other] });
        Flags { settings, ..Flags::on_loopback(&kubeconfig) }
    };
    let old = Door::open(&revision(OLD, NEW)).await;
    let new = Door::open(&revision(NEW, OLD)).await;
    webhooks::install(control_plane, Way::Url(new.address), &[]).await;
    let namespace = Namespace::make(control_plane.cluster().await, "revisions", ALL).await;
    let pod = |name: &str| namespace.pod(name, spec_with_automount_unset());

    // Injected by the new one, judged by the old one.
    webhooks::move_to(&namespace.cluster, "validatingwebhookconfigurations", old.address).await;
    let judged = || old.metric("doorward_decisions_total", &["validate"]);
    until("the old revision to judge", || async {
        let tried = namespace.cluster.try_out(&pod("tried")).await;
        if judged() > 0.0 { Ok(()) } else { Err(tried.body.to_string()) }
    })
    .await;
    let before = judged();
    let made = namespace.cluster.create(&pod("mixed")).await.object();
    assert!(judged() > before);
    assert_eq!(names(&made["spec"]["initContainers"]), ["vault-agent-init", "vault-agent"]);
    assert_eq!(made["spec"]["initContainers"][0]["image"], NEW);

    // Injected by the new one, then by the old one, as when a reinvocation goes elsewhere.
    webhooks::move_to(&namespace.cluster, "mutatingwebhookconfigurations", old.address).await;
    until("the old revision to inject", || async {
        let tried = namespace.cluster.try_out(&pod("tried")).await.object();
        if tried["spec"]["initContainers"][0]["image"] == OLD { Ok(()) } else { Err(tried["spec"].to_string()) }
    })
    .await;
    let mut copy = namespace.pod("copy", made["spec"].clone());
    copy["metadata"]["annotations"] = made["metadata"]["annotations"].clone();
    let again = namespace.cluster.create(&copy).await.object();
    assert_eq!(again["spec"], made["spec"]);
}

/// A door that has not heard of the cluster yet says 503 with `Retry-After`: the API server asks again, and the request succeeds (B3).
#[tokio::test]
async fn a_request_waits_for_a_door_that_is_not_ready() {
    let (control_plane, _turn) = turn().await;
    let cluster = control_plane.cluster().await;
    let first = Door::open(&Flags::on_loopback(&control_plane.kubeconfig())).await;
    let forwarder = Forwarder::listen("127.0.0.1:0", Some(first.address)).await;
    webhooks::install(control_plane, Way::Url(forwarder.address), &[]).await;
    let namespace = Namespace::make(cluster, "unready", &["spiffe-csi"]).await;

    // This door reaches the API server through a way that is closed still.
    let way = Forwarder::listen("127.0.0.1:0", None).await;
    let text = std::fs::read_to_string(control_plane.kubeconfig()).expect("the control plane wrote it");
    let behind = crate::controlplane::directory("kubeconfig").join("kubeconfig");
    std::fs::write(&behind, text.replace(control_plane.server(), &format!("https://{}", way.address))).expect("it is writable");
    let unready = Door::begin(&Flags::on_loopback(&behind)).await;
    assert_eq!(unready.probe("/readyz").0, 503);
    assert_eq!(unready.probe("/livez").0, 200);

    // The first door is gone; its connections with it.
    forwarder.turn_to(unready.address);
    first.kill().await;
    let waiting = {
        let (cluster, pod) = (namespace.cluster.clone(), namespace.pod("patient", spec()));
        tokio::spawn(async move { cluster.create(&pod).await })
    };
    until("the API server to be sent away once", || async {
        let count = unready.metric("doorward_requests_total", &["not_ready"]);
        if count > 0.0 { Ok(()) } else { Err(format!("{count} reviews were answered by 503")) }
    })
    .await;
    assert!(!waiting.is_finished());
    way.turn_to(control_plane.server().trim_start_matches("https://").parse().expect("an address"));
    let pod = waiting.await.expect("the request ends").object();
    assert_eq!(names(&pod["spec"]["volumes"]), ["spiffe-workload-api"]);
    assert_eq!(unready.probe("/readyz").0, 200);
}

/// What a first installation sets: everything is recorded, nothing refused, nothing added, whatever namespaces ask for.
#[tokio::test]
async fn an_observer_in_its_place() {
    let (control_plane, _turn) = turn().await;
    let cluster = control_plane.cluster().await;
    let listen = service_address(&cluster).await;
    let kubeconfig = control_plane.kubeconfig();
    let flags = || Flags { listen: &listen, names: SERVICE_NAMES, ..Flags::on_loopback(&kubeconfig) };
    let strict = Door::open(&flags()).await;
    webhooks::install(control_plane, Way::Service, &[]).await;
    let namespace = Namespace::make(cluster, "observed", ALL).await;
    strict.kill().await;
    let mut settings = crate::door::settings();
    settings["preset"] = json!("observe");
    let _observer = Door::open(&Flags { settings, ..flags() }).await;
    let answer = namespace.cluster.create(&namespace.pod("faulty", without(spec(), "serviceAccountName"))).await;
    assert_eq!(answer.warnings, [""; 0]);
    let kept = answer.object();
    assert_eq!(kept["metadata"].get("annotations"), None);
    assert_eq!(kept["spec"].get("volumes"), None);
    let event = control_plane.creation("pods", &namespace.name, "faulty").await;
    let violations = event["annotations"]["pods.guard.doorward.dev/violations"].as_str().unwrap_or_default();
    assert!(violations.contains("no-default-service-account=audit"), "{:#}", event["annotations"]);
}
