//! Golden pods as the API server stores them: what Doorward adds is there, and a pod that is created again from what was stored, with
//! every default filled in, comes out as it went in (law 2).

use doorward::object::Object;
use doorward::policy::{PolicySet, Source, mutate};
use http::Method;
use serde_json::{Value, json};

use super::scene::{UNJUDGED, collection, labelled};
use super::{Stage, ask};
use crate::client::Cluster;

/// Annotations that hold the id of the one request.
const OF_THE_REQUEST: [&str; 2] = ["doorward.dev/admission-id", "doorward.dev/correlation-id"];

/// Creates a golden pod twice, as dry runs that nobody judges; what is no golden pod that is created needs no look.
pub(super) async fn check(cluster: &Cluster, set: &PolicySet, stage: &Stage, user: &Value, known: &[Object]) -> Result<(), String> {
    if !stage.scene.is_golden || stage.scene.object["kind"] != "Pod" || stage.old.is_some() || stage.scene.operation != "CREATE" {
        return Ok(());
    }
    let mut sent = labelled(&stage.scene.object, &format!("g{}", stage.choice));
    sent["metadata"]["labels"][UNJUDGED] = json!("true");
    let stored = create(cluster, &sent).await?;

    let operations = ask((set, Source::Mutating), stage, &sent, user, known, |subject, facts| mutate(set, subject, facts).operations);
    let injected = Object::from_serialize(&sent).expect("JSON").patched(&operations).expect("a patch applies to what it was made for");
    let injected: Value = serde_json::from_str(&injected.root().to_json()).expect("JSON");
    holds(&injected, &stored, "")?;

    // What a restore creates: the same pod without what the API server wrote about it.
    let mut again = stored.clone();
    if let Some(metadata) = again["metadata"].as_object_mut() {
        metadata
            .retain(|field, _| ["name", "generateName", "namespace", "labels", "annotations", "ownerReferences"].contains(&field.as_str()));
    }
    again.as_object_mut().map(|pod| pod.remove("status"));
    let restored = create(cluster, &again).await?;
    if restored["spec"] != stored["spec"] {
        return Err(format!("created again it is another pod:\n{:#}\nand then\n{:#}", stored["spec"], restored["spec"]));
    }
    let settled = |pod: &Value| {
        let mut annotations = pod["metadata"]["annotations"].clone();
        annotations.as_object_mut().map(|annotations| annotations.remove(OF_THE_REQUEST[0]));
        annotations
    };
    let (before, after) = (settled(&stored), settled(&restored));
    if before == after { Ok(()) } else { Err(format!("created again it has other annotations: {before:#} and then {after:#}")) }
}

async fn create(cluster: &Cluster, pod: &Value) -> Result<Value, String> {
    let answer = cluster.send(Method::POST, &format!("{}?dryRun=All", collection(pod)), "application/json", Some(pod)).await?;
    match answer.code {
        201 => Ok(answer.body),
        code => Err(format!("not created: {code}: {}", answer.body["message"])),
    }
}

/// Whether everything of one value is in the other: fields of maps, items of lists in their order. The API server drops what is empty.
fn holds(ours: &Value, stored: &Value, at: &str) -> Result<(), String> {
    match (ours, stored) {
        (Value::Object(ours), Value::Object(stored)) => {
            ours.iter().filter(|(key, _)| !OF_THE_REQUEST.contains(&key.as_str())).try_for_each(|(key, value)| match stored.get(key) {
                Some(found) => holds(value, found, &format!("{at}.{key}")),
                None if is_empty(value) => Ok(()),
                None => Err(format!("{at}.{key} is not stored")),
            })
        }
        (Value::Array(ours), Value::Array(stored)) => {
            let mut rest = stored.iter();
            ours.iter().try_for_each(|item| {
                let found = rest.any(|found| holds(item, found, at).is_ok());
                if found { Ok(()) } else { Err(format!("{at} lacks {item}")) }
            })
        }
        _ if ours == stored => Ok(()),
        _ => Err(format!("{at} is {stored} and not {ours}")),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Bool(false) | Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
