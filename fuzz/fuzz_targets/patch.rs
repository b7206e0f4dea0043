//! Laws 2 and 3. Two lines are a document and a JSON Patch: another implementation of RFC 6902 makes the same of them. One line is a pod:
//! injecting twice is injecting once, and the patch gives the object.
#![no_main]

use doorward::admission;
use doorward::object::{FieldPath, Kind, Node, Object, Operation};
use doorward::policy::{Source, mutate};
use doorward_fuzz::scene;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The path of a JSON Pointer under a document: a step into a list is a position.
fn path_of(pointer: &str, root: Node<'_>) -> Option<FieldPath> {
    let mut path = FieldPath::root();
    let mut node = Some(root);
    for step in pointer.strip_prefix('/')?.split('/') {
        let step = step.replace("~1", "/").replace("~0", "~");
        match node {
            Some(list) if list.kind() == Kind::List => {
                let index = if step == "-" { list.len() } else { step.parse().ok().filter(|index: &usize| index.to_string() == step)? };
                path = path.index(index);
                node = list.item(index);
            }
            Some(map) => {
                node = map.entry(&step);
                path = path.key(&step);
            }
            None => return None,
        }
    }
    Some(path)
}

fn apply(document: &str, patch: &str) {
    // Of two equal keys serde_json keeps one: both sides start from what it read.
    let (Ok(before), Ok(Value::Array(steps))) = (serde_json::from_str::<Value>(document), serde_json::from_str::<Value>(patch)) else {
        return;
    };
    let mut ours = Object::from_serialize(&before).expect("JSON");
    let mut theirs = before;
    for step in steps {
        let (Some(op), Some(pointer)) = (step["op"].as_str(), step["path"].as_str()) else { return };
        let Some(path) = path_of(pointer, ours.root()) else { return };
        let operation = match op {
            "add" if step.get("value").is_some() => Operation::add(path, step["value"].clone()),
            "replace" if step.get("value").is_some() => Operation::replace(path, step["value"].clone()),
            "remove" => Operation::remove(path),
            _ => return,
        };
        let Ok(parsed) = serde_json::from_value::<json_patch::Patch>(Value::Array(vec![step.clone()])) else { return };
        let (mine, other) = (ours.patched(std::slice::from_ref(&operation)), json_patch::patch(&mut theirs, &parsed));
        assert_eq!(mine.is_ok(), other.is_ok(), "{step}: {:?}, {:?}", mine.err(), other.err());
        let Ok(after) = mine else { return };
        assert_eq!(after.root(), Object::from_serialize(&theirs).expect("JSON").root(), "{step}");
        // What is appended to the tape reads as what it prints.
        assert_eq!(Object::from_json(after.root().to_json()).expect("JSON").root(), after.root());
        ours = after;
    }
}

fn inject(pod: &str) {
    let Ok(before) = Object::from_json(pod) else { return };
    let Ok(review) = admission::decode(scene::review_of(pod)) else { return };
    let Ok(subject) = review.subject(Source::Mutating) else { return };
    let facts = scene::facts();
    let first = mutate(scene::policies(), &subject, &facts);
    let after = before.patched(&first.operations).expect("the patch applies");
    let review = admission::decode(scene::review_of(&after.root().to_json())).expect("a review");
    let second = mutate(scene::policies(), &review.subject(Source::Mutating).expect("a subject"), &facts);
    assert!(second.operations.is_empty(), "a second run adds {:?}", second.operations);
    let Ok(mut theirs) = serde_json::from_str::<Value>(pod) else { return };
    if Object::from_serialize(&theirs).is_ok_and(|twin| twin.root() == before.root()) {
        let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(&first.operations).expect("JSON")).expect("RFC 6902");
        json_patch::patch(&mut theirs, &patch).expect("another implementation applies it");
        assert_eq!(Object::from_serialize(&theirs).expect("JSON").root(), after.root());
    }
}

fuzz_target!(|text: &str| {
    match text.split_once('\n') {
        Some((document, patch)) => apply(document, patch),
        None => inject(text),
    }
});
