//! What is added to a pod in a namespace that asks for it, as the API server stores it, and what a kubelet makes of it.

use serde_json::{Value, json};

use crate::controlplane::shared;
use crate::door::cluster;
use crate::kubelet;
use crate::namespaces::Namespace;
use crate::objects::{container, mounting, spec, spec_with_automount_unset, with};
use crate::refusal::denied;

/// Every injection.
pub(crate) const ALL: &[&str] = &["automount-off", "vault-token", "vault-agent", "spiffe-csi", "spiffe-id", "stamp"];

pub(crate) fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|item| item["name"].as_str()).collect()
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let found = list.as_array().into_iter().flatten().find(|item| item["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list:#}"))
}

/// Where a container mounts a volume, and whether it may write there.
fn mounts(container: &Value) -> Vec<(&str, &str, bool)> {
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    mounts.map(|mount| (mount["name"].as_str().unwrap(), mount["mountPath"].as_str().unwrap(), mount["readOnly"] != true)).collect()
}

/// No volume holds a token for the API server, and nobody mounts what is not there.
pub(crate) fn assert_no_api_token(pod: &Value) {
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        for source in volume["projected"]["sources"].as_array().into_iter().flatten() {
            assert!(source["serviceAccountToken"].is_null() || source["serviceAccountToken"]["audience"].is_string(), "{volume:#}");
        }
    }
    let volumes = names(&pod["spec"]["volumes"]);
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array().into_iter().flatten() {
            for (volume, path, _) in mounts(container) {
                assert!(volumes.contains(&volume), "{} mounts {volume}", container["name"]);
                assert!(!path.contains("kubernetes.io/serviceaccount"), "{} mounts {path}", container["name"]);
            }
        }
    }
}

/// The pod as most authors write it gets everything, fits the restricted standard, and its tokens are what its volumes say.
#[tokio::test]
async fn everything_that_was_asked_for() {
    let namespace = Namespace::make(cluster().await, "injected", ALL).await;
    let mut authored = namespace.pod("api", with(spec_with_automount_unset(), "nodeName", json!(kubelet::NODE)));
    authored["metadata"]["annotations"] =
        json!({ "doorward.dev/vault-template-db.env": "{{ with secret \"kv/db\" }}{{ .Data.data.url }}{{ end }}" });
    let pod = namespace.cluster.create(&authored).await.object();
    let spec = &pod["spec"];

    assert_no_api_token(&pod);
    assert_eq!(names(&spec["initContainers"]), ["vault-agent-init", "vault-agent"]);
    let token = &named(&spec["volumes"], "vault-token")["projected"]["sources"];
    assert_eq!(*token, json!([{ "serviceAccountToken": { "audience": "vault", "expirationSeconds": 600, "path": "token" } }]));
    let csi = &named(&spec["volumes"], "spiffe-workload-api")["csi"];
    assert_eq!(*csi, json!({ "driver": "csi.spiffe.io", "readOnly": true }));
    assert_eq!(named(&spec["volumes"], "vault-secrets")["emptyDir"], json!({ "medium": "Memory" }));

    let app = named(&spec["containers"], "app");
    assert_eq!(mounts(app), [("vault-secrets", "/vault/secrets", false), ("spiffe-workload-api", "/spiffe-workload-api", false)]);
    assert_eq!(app["env"], json!([{ "name": "SPIFFE_ENDPOINT_SOCKET", "value": "unix:///spiffe-workload-api/spire-agent.sock" }]));

    let (once, stays) = (named(&spec["initContainers"], "vault-agent-init"), named(&spec["initContainers"], "vault-agent"));
    assert_eq!(once["restartPolicy"], Value::Null);
    assert_eq!(stays["restartPolicy"], "Always");
    for agent in [once, stays] {
        let mounts = mounts(agent);
        assert!(mounts.contains(&("vault-token", "/var/run/secrets/vault", false)), "{mounts:?}");
        assert!(mounts.contains(&("vault-secrets", "/vault/secrets", true)), "{mounts:?}");
    }

    let annotations = &pod["metadata"]["annotations"];
    let id = format!("spiffe://cluster.example.com/ns/{}/sa/app", namespace.name);
    assert_eq!(annotations["spiffe.io/spiffe-id"], id);
    let config = annotations["doorward.dev/vault-agent-config"].as_str().unwrap();
    assert!(config.contains("auth/kubernetes-prod") && config.contains(&format!("{}.app", namespace.name)), "{config}");
    let stamped = annotations["doorward.dev/injected"].as_str().unwrap();
    assert!(stamped.contains("vault-agent") && stamped.contains("automount-off"), "{stamped}");

    // A kubelet mounts tokens for exactly this.
    let kubelet = shared().cluster_as(kubelet::USER, kubelet::GROUPS).await;
    let tokens = kubelet::tokens(&kubelet, &pod).await;
    let [token] = &tokens[..] else { panic!("one token: {tokens:#?}") };
    let claims = &token.claims;
    assert_eq!(token.volume, "vault-token");
    assert_eq!(claims["aud"], json!(["vault"]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    assert_eq!(claims["sub"], format!("system:serviceaccount:{}:app", namespace.name));
    assert_eq!(claims["kubernetes.io"]["pod"]["uid"], pod["metadata"]["uid"]);
}

/// A pod that still mounts the node's directory at the settings' mount path fits the restricted standard as it is stored, and its program
/// finds the socket where it looks for it. Any other directory of the node is refused as before.
#[tokio::test]
async fn a_directory_of_the_node_becomes_the_drivers_volume() {
    let namespace = Namespace::make(cluster().await, "moved", &["spiffe-csi"]).await;
    let authored = |path: &str| mounting(spec(), json!({ "name": "spire", "hostPath": { "path": path, "type": "Directory" } }), path);
    let pod = namespace.cluster.create(&namespace.pod("moved", authored("/spiffe-workload-api"))).await.object();
    let volume = named(&pod["spec"]["volumes"], "spire");
    assert_eq!(*volume, json!({ "name": "spire", "csi": { "driver": "csi.spiffe.io", "readOnly": true } }));
    assert_eq!(names(&pod["spec"]["volumes"]), ["spire"]);
    assert_eq!(mounts(named(&pod["spec"]["containers"], "app")), [("spire", "/spiffe-workload-api", false)]);

    let other = namespace.cluster.create(&namespace.pod("other", authored("/run/spire/sockets"))).await;
    assert_eq!(other.code, 403, "{}", other.body);
    let message = other.body["message"].as_str().unwrap_or_default();
    assert!(message.contains("violates PodSecurity \"restricted") && message.contains("hostPath"), "{message}");
}

#[tokio::test]
async fn nothing_in_a_namespace_that_asks_for_nothing() {
    let namespace = Namespace::make(cluster().await, "plain", &[]).await;
    let mut authored = namespace.pod("plain", spec_with_automount_unset());
    authored["metadata"]["labels"] = json!({ "inject.doorward.dev/vault-agent": "true" });
    authored["metadata"]["annotations"] = json!({ "inject.doorward.dev/vault-agent": "true" });
    let pod = namespace.cluster.create(&authored).await.object();
    assert_eq!(pod["metadata"]["annotations"].as_object().map(serde_json::Map::len), Some(1));
    assert_eq!(pod["spec"].get("initContainers"), None);
    let volumes = names(&pod["spec"]["volumes"]);
    assert!(matches!(volumes[..], [only] if only.starts_with("kube-api-access-")), "{volumes:?}");
}

/// Two containers, an init container and a volume of the author's: everything of his stays as it was.
#[tokio::test]
async fn beside_what_the_author_wrote() {
    let namespace = Namespace::make(cluster().await, "beside", ALL).await;
    let mut spec = mounting(spec(), json!({ "name": "data", "emptyDir": { "sizeLimit": "1Mi" } }), "/data");
    spec["containers"][0]["env"] = json!([{ "name": "SPIFFE_ENDPOINT_SOCKET", "value": "unix:///spiffe-workload-api/spire-agent.sock" }]);
    spec["containers"].as_array_mut().unwrap().push(container("second"));
    spec["initContainers"] = json!([container("first")]);
    let authored = namespace.pod("beside", spec);
    let pod = namespace.cluster.create(&authored).await.object();
    assert_no_api_token(&pod);
    assert_eq!(names(&pod["spec"]["initContainers"]), ["vault-agent-init", "vault-agent", "first"]);
    assert_eq!(names(&pod["spec"]["containers"]), ["app", "second"]);
    let app = named(&pod["spec"]["containers"], "app");
    assert_eq!(app["env"].as_array().map(Vec::len), Some(1), "{}", app["env"]);
    assert_eq!(mounts(app).first(), Some(&("data", "/data", false)));
    assert_eq!(named(&pod["spec"]["volumes"], "data")["emptyDir"], json!({ "sizeLimit": "1Mi" }));
    assert!(mounts(named(&pod["spec"]["containers"], "second")).contains(&("spiffe-workload-api", "/spiffe-workload-api", false)));
}

/// A name that is taken by something else is no injection that is done: the pod is refused, with the field.
#[tokio::test]
async fn not_where_something_else_has_the_name() {
    let namespace = Namespace::make(cluster().await, "conflict", &["vault-token"]).await;
    let taken = mounting(spec(), json!({ "name": "vault-token", "emptyDir": {} }), "/var/run/secrets/vault");
    let answer = namespace.cluster.create(&namespace.pod("taken", taken)).await;
    denied(answer).by("injection-conflict").at("spec.volumes[0]");
}

/// An author who gives the right token under another name is done already.
#[tokio::test]
async fn not_what_is_there_already() {
    let namespace = Namespace::make(cluster().await, "satisfied", &["vault-token", "spiffe-csi"]).await;
    let token = json!({ "serviceAccountToken": { "audience": "vault", "expirationSeconds": 600, "path": "token" } });
    let mut spec = mounting(spec(), json!({ "name": "vt", "projected": { "sources": [token] } }), "/var/run/secrets/vault");
    spec["volumes"].as_array_mut().unwrap().push(json!({ "name": "sp", "csi": { "driver": "csi.spiffe.io", "readOnly": true } }));
    spec["containers"][0]["volumeMounts"].as_array_mut().unwrap().push(json!({ "name": "sp", "mountPath": "/spiffe", "readOnly": true }));
    let pod = namespace.cluster.create(&namespace.pod("satisfied", spec)).await.object();
    assert_eq!(names(&pod["spec"]["volumes"]), ["vt", "sp"]);
}
