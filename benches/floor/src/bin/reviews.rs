//! Writes `benches/reviews/*.json` from the readable source beside them.
//!
//! The API server sends compact JSON with the fields in Go's order, so the source is only stripped of its
//! whitespace: a parse and print would sort the keys.

use std::error::Error;
use std::path::Path;

const SOURCE: &str = include_str!("../../../reviews/pod-create.source.json");
/// What Linkerd's injector adds to a pod: its volumes, and its containers as native sidecars.
const LINKERD: &str = include_str!("../../../reviews/linkerd.source.json");
/// What an author writes for vault-k8s to inject an agent that renders one secret.
const VENDOR: &str = r#""vault.hashicorp.com/agent-inject":"true","vault.hashicorp.com/role":"payments.api","vault.hashicorp.com/agent-inject-secret-db":"secret/data/payments/db","#;
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../reviews");

fn main() -> Result<(), Box<dyn Error>> {
    for (name, body) in reviews() {
        let path = Path::new(DIRECTORY).join(name);
        std::fs::write(&path, &body).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("{name}: {} bytes", body.len());
    }
    Ok(())
}

/// The same Pod in a namespace without injections, in one that asks for them, behind a proxy of a mesh, and annotated for vault-k8s.
fn reviews() -> [(&'static str, String); 4] {
    let plain = compact(SOURCE);
    let inject = plain.replace(r#""namespace":"payments""#, r#""namespace":"payments-inject""#);
    let linkerd = compact(LINKERD);
    // `{"volumes":[…],"initContainers":[…]}`: the volumes go before the pod's own, the containers before its containers.
    let (volumes, containers) = linkerd.split_once(r#","initContainers":"#).unwrap_or_default();
    let volumes = volumes.trim_start_matches(r#"{"volumes":["#).trim_end_matches(']');
    let containers = containers.trim_end_matches('}');
    let meshed = plain.replacen(r#""spec":{"volumes":["#, &format!(r#""spec":{{"volumes":[{volumes},"#), 1).replacen(
        r#""containers":["#,
        &format!(r#""initContainers":{containers},"containers":["#),
        1,
    );
    let vendor = plain.replacen(r#""annotations":{"#, &format!(r#""annotations":{{{VENDOR}"#), 1);
    [("pod-create.json", plain), ("pod-create-inject.json", inject), ("pod-create-meshed.json", meshed), ("pod-create-vendor.json", vendor)]
}

/// Removes whitespace outside of strings.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for character in json.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_string = character == '"';
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{DIRECTORY, LINKERD, SOURCE, compact, reviews};
    use serde_json::{Value, json};
    use std::path::Path;

    #[test]
    fn the_committed_files_are_what_the_source_says() {
        for (name, body) in reviews() {
            let committed = std::fs::read_to_string(Path::new(DIRECTORY).join(name)).expect(name);
            assert!(committed == body, "{name}: run the `reviews` binary");
        }
    }

    #[test]
    fn compacting_changes_no_value() {
        let body = compact(SOURCE);
        let (before, after): (Value, Value) =
            (serde_json::from_str(SOURCE).expect("source"), serde_json::from_str(&body).expect("compact"));
        assert_eq!(before, after);
        assert_eq!(compact(r#"{ "a b\" c\\" : [ 1 ] }"#), r#"{"a b\" c\\":[1]}"#);
    }

    #[test]
    fn the_reviews_are_the_ones_the_figures_speak_of() {
        // Both of 7 kB; the other two add to the first.
        for ((name, body), namespace) in reviews().iter().zip(["payments", "payments-inject"]) {
            assert!((6_700..=7_300).contains(&body.len()), "{name}: {} bytes", body.len());
            let review: Value = serde_json::from_str(body).expect(name);
            let at = |pointer| review.pointer(pointer).expect(pointer);
            assert_eq!(at("/request/namespace"), namespace);
            assert_eq!(at("/request/object/metadata/namespace"), namespace);
            assert_eq!(at("/request/object/spec/serviceAccountName"), "api");
            assert_eq!(at("/request/object/spec/containers").as_array().map(Vec::len), Some(3));
            assert_eq!(at("/request/operation"), "CREATE");
            assert_eq!(at("/request/kind"), &json!({"group": "", "version": "v1", "kind": "Pod"}));
        }
    }

    #[test]
    fn a_meshed_pod_has_all_that_the_injector_adds_and_a_vendors_pod_its_annotations() {
        let [(_, plain), _, (_, meshed), (_, vendor)] = reviews();
        let read = |body: &str| serde_json::from_str::<Value>(body).expect("JSON");
        let (mut plain, mut meshed, mut vendor, linkerd) = (read(&plain), read(&meshed), read(&vendor), read(LINKERD));
        let volumes = meshed.pointer_mut("/request/object/spec/volumes").and_then(Value::as_array_mut).expect("volumes");
        let added: Vec<Value> = volumes.drain(..3).collect();
        assert_eq!(Value::from(added), linkerd["volumes"]);
        let spec = meshed.pointer_mut("/request/object/spec").and_then(Value::as_object_mut).expect("spec");
        assert_eq!(spec.remove("initContainers").as_ref(), linkerd.get("initContainers"));
        assert_eq!(meshed, plain);
        let annotations =
            |review: &mut Value| review.pointer_mut("/request/object/metadata/annotations").map(Value::take).expect("annotations");
        let (own, all) = (annotations(&mut plain), annotations(&mut vendor));
        assert_eq!(all["vault.hashicorp.com/agent-inject"], "true");
        assert_eq!(all.as_object().map(serde_json::Map::len), own.as_object().map(|own| own.len() + 3));
        assert_eq!(vendor, plain);
    }
}
