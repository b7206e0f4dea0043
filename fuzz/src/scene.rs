//! The built-in policies, and a namespace that asks for every injection.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use doorward::identity::KnownSecrets;
use doorward::object::{Fact, Object};
use doorward::policy::{Facts, PolicySet, Sources, load};
use doorward::settings::Settings;
use serde_json::{Value, json};

/// Compiled once: the set is immutable.
pub fn policies() -> &'static PolicySet {
    static SET: OnceLock<PolicySet> = OnceLock::new();
    SET.get_or_init(|| load(&sources()).expect("the built-in policies compile"))
}

/// The built-in library with the settings of the demonstration.
pub fn sources() -> Sources {
    Sources { fallback: Some(Settings::demonstration()), ..Sources::default() }
}

/// What is known beside the object.
pub fn facts() -> Facts<'static> {
    static KNOWN: OnceLock<(Object, Object)> = OnceLock::new();
    let (namespace, account) = KNOWN.get_or_init(|| {
        let labels: serde_json::Map<String, Value> = ["automount-off", "vault-token", "vault-agent", "spiffe-csi", "spiffe-id"]
            .iter()
            .map(|id| (format!("inject.doorward.dev/{id}"), "true".into()))
            .collect();
        let namespace = json!({"metadata": {"name": "payments", "labels": labels, "annotations": {"linkerd.io/inject": "enabled"}}});
        (Object::from_serialize(&namespace).expect("JSON"), Object::from_json("{}").expect("JSON"))
    });
    Facts {
        namespace: Fact::Found(namespace.root()),
        service_account: Fact::Found(account.root()),
        token_secrets: KnownSecrets::all(BTreeSet::new()),
        ..Facts::unknown("not asked for")
    }
}

/// The review of the creation of a pod.
pub fn review_of(pod: &str) -> Vec<u8> {
    let head = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"11111111-2222-4333-8444-555555555555","#;
    let kind = r#""kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"#;
    let who = r#""operation":"CREATE","namespace":"payments","name":"web","userInfo":{"username":"alice"},"object":"#;
    format!("{head}{kind}{who}{pod}}}}}").into_bytes()
}
