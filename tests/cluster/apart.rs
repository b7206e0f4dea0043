//! A door with settings of its own for one namespace, which the shared door leaves alone.

use doorward::admission::{Coverage, Installation, OnFailure, Target, configurations};
use doorward::object::Object;
use doorward::policy::{PolicySet, Sources, load};
use doorward::settings::Settings;
use serde_json::{Value, json};

use crate::certificates::authority;
use crate::client::Answer;
use crate::controlplane::shared;
use crate::deadline::until;
use crate::door::{Door, Flags, cluster, settings};
use crate::namespaces::Namespace;
use crate::objects::{spec, without};

/// The namespaces that the shared door's webhooks are not called for.
pub(crate) const NAMESPACES: [&str; 4] = ["apart-classic", "apart-config-map", "apart-neighbours", "apart-vendor"];

/// A door that is open for its namespace until this is dropped.
pub(crate) struct Apart {
    _door: Door,
}

impl Apart {
    /// Makes the namespace, one of [`NAMESPACES`], and opens a door for it with the settings of every door, changed.
    pub(crate) async fn open(name: &'static str, asks: &[&str], standard: &str, change: impl FnOnce(&mut Value)) -> (Namespace, Self) {
        assert!(NAMESPACES.contains(&name), "the shared door would answer for {name}");
        let mut settings = settings();
        change(&mut settings);
        let parsed = Settings::read(&Object::from_serialize(&settings).expect("JSON")).expect("the test's settings are valid");
        let set = load(&Sources { fallback: Some(parsed), ..Sources::default() }).expect("the library loads");
        let namespace = Namespace::make_named(cluster().await, name, asks, standard).await;
        let door = Door::open(&Flags { settings, ..Flags::on_loopback(&shared().kubeconfig()) }).await;
        let configurations = of_door(name, &set, &door, |webhook, _| {
            webhook["namespaceSelector"] = json!({ "matchLabels": { "kubernetes.io/metadata.name": name } });
            // A namespace selector holds nothing back that is in none, and that is the shared door's to judge.
            for rule in webhook["rules"].as_array_mut().expect("rules") {
                rule["scope"] = json!("Namespaced");
            }
        });
        for configuration in configurations {
            namespace.cluster.create(&configuration).await.object();
        }
        in_force(&namespace).await;
        (namespace, Self { _door: door })
    }
}

/// Both webhook configurations of a door, the mutating one first, under a name of their own. `narrow` says for what an entry is asked; it
/// is told whether the entry judges.
pub(crate) fn of_door(name: &str, set: &PolicySet, door: &Door, narrow: impl Fn(&mut Value, bool)) -> [Value; 2] {
    let target = Target::Url { base: format!("https://{}", door.address), ca_bundle_pem: authority().bundle_pem().into() };
    let installation =
        Installation { target, own_namespace: "doorward".into(), bootstrap_namespaces: Vec::new(), on_failure: OnFailure::Fail };
    let (mutating, validating) = configurations(&installation, &Coverage::of(set));
    [(mutating, false), (validating, true)].map(|(mut configuration, judges)| {
        configuration["apiVersion"] = json!("admissionregistration.k8s.io/v1");
        configuration["metadata"]["name"] = json!(name);
        for webhook in configuration["webhooks"].as_array_mut().expect("entries") {
            narrow(webhook, judges);
        }
        configuration
    })
}

/// Waits until the API server asks the door about the namespace's pods.
async fn in_force(namespace: &Namespace) {
    until("the door apart to be asked", || async {
        let injected = namespace.cluster.try_out(&namespace.pod("sound", without(spec(), "automountServiceAccountToken"))).await;
        // PodSecurity, which is asked before, sees no fault in it.
        let mut faulty = namespace.pod("faulty", spec());
        faulty["metadata"]["annotations"] = json!({ "doorward.dev/correlation-id": "none" });
        let faulty = namespace.cluster.try_out(&faulty).await;
        let says = |answer: &Answer, text: &str| answer.body["message"].as_str().is_some_and(|message| message.contains(text));
        // What is injected may be refused: then it was injected.
        let changed = injected.body["spec"]["automountServiceAccountToken"] == false || says(&injected, "spec.initContainers[0]");
        if changed && says(&faulty, "doorward refuses") { Ok(()) } else { Err(format!("{} {}", injected.body, faulty.body)) }
    })
    .await;
}
