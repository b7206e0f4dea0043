//! Paths of fields: what is read prints so that it is read again, its pointer leads to the same value, and whatever it says, looking it
//! up in an object ends.
#![no_main]

use std::sync::OnceLock;

use doorward::object::{FieldPath, Object};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    static OBJECTS: OnceLock<(Object, serde_json::Value)> = OnceLock::new();
    let (objects, twin) = OBJECTS.get_or_init(|| {
        let text = include_str!("../../src/cel/tests/variables.json");
        (Object::from_json(text).expect("JSON"), serde_json::from_str(text).expect("JSON"))
    });
    let path = match FieldPath::parse(text) {
        Ok(path) => path,
        Err(message) => {
            assert!(!message.is_empty());
            return;
        }
    };
    let printed = path.to_string();
    assert_eq!(FieldPath::parse(&printed).as_ref(), Ok(&path), "{printed:?}");
    let found = path.resolve(objects.root());
    // A pointer says a list position and a key alike, so it may find more, never something else.
    if let Some(found) = found {
        let same = twin.pointer(&path.to_pointer()).expect("the pointer finds what the path finds");
        assert_eq!(Object::from_serialize(same).expect("JSON").root(), found);
        assert_eq!(path.nearest_existing(objects.root()), path);
    }
    assert!(path.nearest_existing(objects.root()).resolve(objects.root()).is_some());
    let _ = path.stable(objects.root());
});
