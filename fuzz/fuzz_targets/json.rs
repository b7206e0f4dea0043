//! The scanner of plain JSON and `serde_json`: both take the same documents and refuse the others at the same place, and what is read is the
//! same value.
#![no_main]

use std::collections::BTreeSet;

use doorward::object::{Node, Object};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Whether no key stands twice in a map: serde_json's own value keeps the last one alone.
fn has_each_key_once(node: Node<'_>) -> bool {
    let mut keys = BTreeSet::new();
    node.entries().all(|(key, value)| keys.insert(key) && has_each_key_once(value)) && node.items().all(has_each_key_once)
}

fuzz_target!(|text: &str| match (Object::from_json(text), serde_json::from_str::<Value>(text)) {
    (Ok(object), Ok(expected)) => {
        if has_each_key_once(object.root()) {
            assert_eq!(object.root(), Object::from_serialize(&expected).expect("JSON").root());
        }
    }
    (Err(error), Err(expected)) => assert_eq!((error.line, error.column), (expected.line(), expected.column()), "{error} | {expected}"),
    (Ok(object), Err(expected)) => panic!("only taken here: {object:?} | {expected}"),
    (Err(error), Ok(expected)) => panic!("only refused here: {error} | {expected}"),
});
