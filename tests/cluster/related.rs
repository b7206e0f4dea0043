//! Objects that rules read beside the one they judge: watched where the cluster serves them, and asked for by name where the watch is late.

use serde_json::{Value, json};

use crate::client::{Cluster, path_of};
use crate::controlplane::turn;
use crate::deadline::until;
use crate::door::{Door, Flags};
use crate::namespaces::Namespace;
use crate::objects::spec;
use crate::refusal::{denied, warned};
use crate::webhooks::{self, Way};

/// A custom resource of any content, installed.
struct Definition<'c> {
    cluster: &'c Cluster,
    object: Value,
}

impl<'c> Definition<'c> {
    /// Installs it and waits until the API server serves it.
    async fn install(cluster: &'c Cluster, [group, version, kind, scope]: [&str; 4]) -> Self {
        let plural = format!("{}s", kind.to_lowercase());
        let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
        let object = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": format!("{plural}.{group}") },
            "spec": {
                "group": group, "scope": scope, "names": { "plural": plural, "singular": kind.to_lowercase(), "kind": kind },
                "versions": [{ "name": version, "served": true, "storage": true, "schema": schema }],
            },
        });
        cluster.create(&object).await.object();
        let path = format!("/apis/{group}/{version}/{plural}");
        until("the custom resource to be served", || async {
            let answer = cluster.get(&path).await;
            if answer.code == 200 { Ok(()) } else { Err(answer.body.to_string()) }
        })
        .await;
        Self { cluster, object }
    }

    /// Removes it, and its objects with it.
    async fn remove(self) {
        let path = path_of(&self.object);
        self.cluster.delete(&path).await;
        until("the custom resource to go", || async {
            let answer = self.cluster.get(&path).await;
            if answer.code == 404 { Ok(()) } else { Err(answer.body["status"].to_string()) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_definition_comes_and_goes_while_the_door_is_open() {
    const RULE: &str = "require-spiffe-registration";
    let (control_plane, _turn) = turn().await;
    let cluster = control_plane.cluster().await;
    let kubeconfig = control_plane.kubeconfig();
    let mut settings = crate::door::settings();
    settings["spiffe"]["registration"] = json!("clusterspiffeid");
    let door = Door::open(&Flags { settings, more: &["--reload-every", "1"], ..Flags::on_loopback(&kubeconfig) }).await;
    webhooks::install(control_plane, Way::Url(door.address), &[]).await;
    let namespace = Namespace::make(control_plane.cluster().await, "registered", &["spiffe-csi"]).await;
    let labelled = |app: &str| {
        let mut pod = namespace.pod("registered", spec());
        pod["metadata"]["labels"] = json!({ "app": app });
        pod
    };
    let warnings = |app: &str| {
        let pod = labelled(app);
        let cluster = &namespace.cluster;
        async move {
            let answer = cluster.try_out(&pod).await;
            assert_eq!(answer.code, 201, "a warning, never a refusal: {}", answer.body["message"]);
            answer
        }
    };

    // A resource that is not served has no objects: that is known, and the door was ready.
    warned(&warnings("api").await, RULE, "none of 0 ClusterSPIFFEIDs");

    let definition = Definition::install(&cluster, ["spire.spiffe.io", "v1alpha1", "ClusterSPIFFEID", "Cluster"]).await;
    let id = json!({
        "apiVersion": "spire.spiffe.io/v1alpha1", "kind": "ClusterSPIFFEID", "metadata": { "name": "api" },
        "spec": {
            "spiffeIDTemplate": "spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}",
            "podSelector": { "matchLabels": { "app": "api" } },
        },
    });
    cluster.create(&id).await.object();
    until("the door to know the registration", || async {
        let answer = warnings("api").await;
        if answer.warnings.iter().any(|warning| warning.contains(RULE)) { Err(answer.warnings.join("; ")) } else { Ok(()) }
    })
    .await;
    warned(&warnings("web").await, RULE, "none of 1 ClusterSPIFFEIDs");

    // Another label is seen by the watch.
    let mut other = id.clone();
    other["metadata"] = json!({ "name": "web" });
    other["spec"]["podSelector"] = json!({ "matchLabels": { "app": "web" } });
    cluster.create(&other).await.object();
    until("the watch to bring the second registration", || async {
        let answer = warnings("web").await;
        if answer.warnings.iter().any(|warning| warning.contains(RULE)) { Err(answer.warnings.join("; ")) } else { Ok(()) }
    })
    .await;

    definition.remove().await;
    until("the door to notice that nothing is registered any more", || async {
        let answer = warnings("api").await;
        let told = answer.warnings.iter().any(|warning| warning.contains("none of 0 ClusterSPIFFEIDs"));
        if told { Ok(()) } else { Err(answer.warnings.join("; ")) }
    })
    .await;
    assert_eq!(door.probe("/readyz").0, 200, "a definition that goes closes no door");
    drop(door);
}

/// A rule that asks for one object by its name, as the pod writes it.
const PERMITS: &str = "
apiVersion: doorward.dev/v1alpha1
kind: IdentityPolicy
metadata: { name: pod-has-a-permit }
spec:
  title: A pod has the permit that it names
  severity: low
  enforcement: Deny
  rules:
  - match: { podTemplate: Pod }
    matchConditions: [{ name: names-one, expression: \"object.?metadata.?annotations[?'permit'].hasValue()\" }]
    related:
    - name: permit
      resource: { group: cluster-test.doorward.dev, resource: permits }
      nameExpression: string(object.metadata.annotations['permit'])
    validations:
    - at: metadata.annotations['permit']
      expression: related.permit.hasValue()
      message: names a permit that does not exist
      remedy: make the permit first
";

const KIND: [&str; 4] = ["cluster-test.doorward.dev", "v1", "Permit", "Namespaced"];

fn permit(namespace: &Namespace, name: &str) -> Value {
    json!({ "apiVersion": "cluster-test.doorward.dev/v1", "kind": "Permit", "metadata": { "namespace": namespace.name, "name": name } })
}

fn pod_with(namespace: &Namespace, name: &str, permit: &str) -> Value {
    let mut pod = namespace.pod(name, spec());
    pod["metadata"]["annotations"] = json!({ "permit": permit });
    pod
}

/// No watch can have heard of it: the door asks once. An object of the same name in another namespace is another.
#[tokio::test]
async fn a_related_object_made_just_before() {
    let (control_plane, _turn) = turn().await;
    let cluster = control_plane.cluster().await;
    let definition = Definition::install(&cluster, KIND).await;
    let policies = crate::controlplane::directory("related");
    std::fs::write(policies.join("permits.yaml"), PERMITS).expect("the test's directory is writable");
    let more = ["--policies", policies.to_str().expect("a temporary path is UTF-8")];
    let kubeconfig = control_plane.kubeconfig();
    let door = Door::open(&Flags { more: &more, ..Flags::on_loopback(&kubeconfig) }).await;
    webhooks::install(control_plane, Way::Url(door.address), &more).await;
    let namespace = Namespace::make(control_plane.cluster().await, "permits", &[]).await;
    let other = Namespace::make(control_plane.cluster().await, "permits", &[]).await;
    for round in 0..5 {
        let name = format!("permit-{round}");
        cluster.create(&permit(&namespace, &name)).await.object();
        cluster.create(&pod_with(&namespace, &format!("pod-{round}"), &name)).await.object();
    }
    cluster.create(&permit(&other, "elsewhere")).await.object();
    for missing in ["none", "elsewhere"] {
        denied(cluster.create(&pod_with(&namespace, "refused", missing)).await)
            .by("pod-has-a-permit")
            .at("metadata.annotations[permit]")
            .in_all(1);
    }
    drop(door);
    webhooks::remove(control_plane).await;
    definition.remove().await;
}

/// New policies come into force when what they read is listed: nobody is refused because a watch has only begun.
#[tokio::test]
async fn a_policy_that_comes_later_waits_for_what_it_reads() {
    let (control_plane, _turn) = turn().await;
    let cluster = control_plane.cluster().await;
    let definition = Definition::install(&cluster, KIND).await;
    let policies = crate::controlplane::directory("related-later");
    let more = ["--reload-every", "1", "--policies", policies.to_str().expect("a temporary path is UTF-8")];
    let kubeconfig = control_plane.kubeconfig();
    let door = Door::open(&Flags { more: &more, ..Flags::on_loopback(&kubeconfig) }).await;
    webhooks::install(control_plane, Way::Url(door.address), &[]).await;
    let namespace = Namespace::make(control_plane.cluster().await, "later", &[]).await;
    cluster.create(&permit(&namespace, "old")).await.object();
    std::fs::write(policies.join("permits.yaml"), PERMITS).expect("the test's directory is writable");
    until("the policy to be in force", || async {
        cluster.try_out(&pod_with(&namespace, "permitted", "old")).await.object();
        let answer = cluster.try_out(&pod_with(&namespace, "refused", "none")).await;
        if answer.code == 201 {
            return Err("a pod without its permit was let in".to_owned());
        }
        denied(answer).by("pod-has-a-permit").at("metadata.annotations[permit]").in_all(1);
        Ok(())
    })
    .await;
    cluster.try_out(&pod_with(&namespace, "permitted", "old")).await.object();
    drop(door);
    webhooks::remove(control_plane).await;
    definition.remove().await;
}
