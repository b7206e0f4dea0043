//! Among the webhooks of other makers, played from the data by which injections are proven (`src/policy/proof/webhooks.yaml`): each, and
//! one of each family, called by the API server before or after Doorward, as their names sort. What is stored is accepted by the rules,
//! and created again it comes out as it went in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use doorward::policy::{OtherWebhook, orders, other_webhooks};
use serde_json::{Value, json};

use crate::apart::Apart;
use crate::deadline::until;
use crate::injected::{ALL, assert_no_api_token, names};
use crate::namespaces::Namespace;
use crate::objects::{spec_with_automount_unset, without};
use crate::refusal::denied;
use crate::webhook::Webhook;

/// The labels by which a pod has neighbours: one a family, with who it is and when it acts.
const LABEL: &str = "cluster-test.doorward.dev/neighbour-";

/// The vendor's injector, which is told by annotations, and the annotation that names its token's volume.
const VENDOR: &str = "vault-k8s";
const TOKEN_VOLUME: &str = "vault.hashicorp.com/agent-service-account-token-volume-name";

/// Where in the order of configurations: before `doorward`, or after it.
const PLACES: [(&str, &str); 2] = [("before", "a"), ("after", "z")];

/// What a neighbour makes of a pod, whole.
fn patch(neighbour: &OtherWebhook, pod: &Value) -> Value {
    let mut changed = pod.clone();
    neighbour.act(&mut changed);
    if neighbour.name() == VENDOR {
        mount_token(&mut changed);
    }
    let fields = ["metadata", "spec"].into_iter().filter(|field| changed[field] != pod[field]);
    fields.map(|field| json!({ "op": "replace", "path": format!("/{field}"), "value": changed[field] })).collect()
}

/// The vendor's agent logs in with the token of the volume that an annotation names.
fn mount_token(pod: &mut Value) {
    let volume = pod["metadata"]["annotations"][TOKEN_VOLUME].clone();
    for agent in pod["spec"]["containers"].as_array_mut().into_iter().flatten().filter(|container| container["name"] == "vault-agent") {
        let mounts = agent["volumeMounts"].as_array_mut().expect("the stand-in has mounts");
        if volume.is_string() && !mounts.iter().any(|mount| mount["name"] == volume) {
            mounts.push(json!({ "name": volume, "mountPath": "/var/run/secrets/vault", "readOnly": true }));
        }
    }
}

/// Who acts on a pod and when: index of the neighbour, and `before` or `after`.
type Company = Vec<(usize, &'static str)>;

/// Each neighbour alone, and one of each family, in every way to stand before or after Doorward.
fn companies(neighbours: &[OtherWebhook]) -> BTreeSet<Company> {
    let place = |neighbour: &OtherWebhook| neighbours.iter().position(|other| other.name() == neighbour.name()).expect("it is one");
    let alone = (0..neighbours.len()).flat_map(|index| PLACES.map(|(when, _)| vec![(index, when)]));
    let together = orders(neighbours).into_iter().map(|order| {
        let ours = order.iter().position(Option::is_none).expect("Doorward acts");
        let when = |at: usize| if at < ours { "before" } else { "after" };
        let mut company: Company = order.iter().enumerate().filter_map(|(at, other)| Some((place((*other)?), when(at)))).collect();
        company.sort_unstable();
        company
    });
    alone.chain(together).collect()
}

fn labels(company: &Company) -> Value {
    company.iter().map(|(index, when)| (format!("{LABEL}{index}"), json!(when))).collect::<serde_json::Map<_, _>>().into()
}

fn authored(namespace: &Namespace, name: &str, company: &Company, asks_the_vendor: bool) -> Value {
    let mut pod = namespace.pod(name, spec_with_automount_unset());
    pod["metadata"]["labels"] = labels(company);
    if asks_the_vendor {
        pod["metadata"]["annotations"] = json!({
            "vault.hashicorp.com/agent-inject": "true",
            "vault.hashicorp.com/role": format!("{}.app", namespace.name),
        });
    }
    pod
}

/// A pod without what only the API server writes, to be created again.
fn again(pod: &Value, name: &str) -> Value {
    let metadata = json!({
        "namespace": pod["metadata"]["namespace"], "name": name,
        "labels": pod["metadata"]["labels"], "annotations": pod["metadata"]["annotations"],
    });
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": without(pod["spec"].clone(), "nodeName") })
}

#[tokio::test]
async fn in_any_order_what_is_stored_is_accepted_and_stays() {
    // Whether a proxy is the mesh's own is no matter of the order: that is `reinvoked.rs`' and the golden pods'.
    let (namespace, _door) =
        Apart::open("apart-neighbours", ALL, "privileged", |settings| settings["mesh"] = json!({ "kind": "none" })).await;
    let (neighbours, _) = other_webhooks();
    let acting: Vec<OtherWebhook> = neighbours.clone();
    let webhook = Webhook::serve(Arc::new(move |path, pod| {
        let index: usize = path.trim_start_matches('/').parse().expect("a neighbour's number");
        patch(&acting[index], pod)
    }))
    .await;
    for index in 0..neighbours.len() {
        for (when, start) in PLACES {
            let selector = json!({ "matchLabels": { format!("{LABEL}{index}"): when } });
            let configuration =
                webhook.configuration(&format!("{start}-neighbour-{index}"), &format!("/{index}"), ("objectSelector", selector));
            namespace.cluster.create(&configuration).await.object();
            until("the neighbour to be asked", || async {
                let before = webhook.calls.load(Ordering::Relaxed);
                let answer = namespace.cluster.try_out(&authored(&namespace, "probe", &vec![(index, when)], false)).await;
                if webhook.calls.load(Ordering::Relaxed) > before { Ok(()) } else { Err(answer.body.to_string()) }
            })
            .await;
        }
    }

    let vendor = neighbours.iter().position(|neighbour| neighbour.name() == VENDOR).expect("it is one of them");
    let mut ends: BTreeMap<Vec<usize>, BTreeSet<Vec<String>>> = BTreeMap::new();
    let companies = companies(&neighbours);
    assert_eq!(companies.len(), 2 * 7 + 3 * 8, "{companies:?}");
    for (number, company) in companies.iter().enumerate() {
        let what = company.iter().map(|(index, when)| format!("{} {when}", neighbours[*index].name())).collect::<Vec<_>>().join(", ");
        let asks_the_vendor = company.iter().any(|(index, _)| *index == vendor);
        let answer = namespace.cluster.create(&authored(&namespace, &format!("pod-{number}"), company, asks_the_vendor)).await;
        if company.contains(&(vendor, "before")) {
            // It takes whichever token it finds, and there is none for Vault yet: the door says so rather than let it log in with another.
            denied(answer).by("require-vault-token");
            continue;
        }
        assert!((200..300).contains(&answer.code), "{what}: {}", answer.body["message"]);
        let stored = answer.object();
        assert_no_api_token(&stored);
        let volumes = names(&stored["spec"]["volumes"]);
        assert_eq!(volumes.iter().collect::<BTreeSet<_>>().len(), volumes.len(), "{what}: {volumes:?}");
        let agents: Vec<_> = ["initContainers", "containers"]
            .into_iter()
            .flat_map(|list| names(&stored["spec"][list]))
            .filter(|name| name.starts_with("vault-agent"))
            .collect();
        assert_eq!(agents, if asks_the_vendor { vec!["vault-agent"] } else { vec!["vault-agent-init", "vault-agent"] }, "{what}");

        let once_more = namespace.cluster.create(&again(&stored, &format!("again-{number}"))).await;
        assert!((200..300).contains(&once_more.code), "{what}, again: {}", once_more.body["message"]);
        assert_eq!(once_more.object()["spec"], stored["spec"], "{what}, again");

        // The same things stand in the pod, whoever put them there first.
        let mut end: Vec<String> = volumes.iter().map(|name| format!("volume {name}")).collect();
        for list in ["initContainers", "containers"] {
            end.extend(names(&stored["spec"][list]).iter().map(|name| format!("{list} {name}")));
        }
        end.sort();
        ends.entry(company.iter().map(|(index, _)| *index).collect()).or_default().insert(end);
    }
    let torn: Vec<_> = ends.iter().filter(|(_, ends)| ends.len() > 1).collect();
    assert!(torn.is_empty(), "{torn:#?}");
}
