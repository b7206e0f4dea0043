//! Writes `benches/reviews/*.json` from the readable source beside them.
//!
//! The API server sends compact JSON with the fields in Go's order, so the source is only stripped of its
//! whitespace: a parse and print would sort the keys.

use std::error::Error;
use std::path::Path;

const SOURCE: &str = include_str!("../../../reviews/pod-create.source.json");
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../reviews");

fn main() -> Result<(), Box<dyn Error>> {
    for (name, body) in reviews() {
        let path = Path::new(DIRECTORY).join(name);
        std::fs::write(&path, &body).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("{name}: {} bytes", body.len());
    }
    Ok(())
}

/// The same Pod in a namespace without injections and in one that asks for them.
fn reviews() -> [(&'static str, String); 2] {
    let plain = compact(SOURCE);
    let inject = plain.replace(r#""namespace":"payments""#, r#""namespace":"payments-inject""#);
    [("pod-create.json", plain), ("pod-create-inject.json", inject)]
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
    use super::{DIRECTORY, SOURCE, compact, reviews};
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
}
