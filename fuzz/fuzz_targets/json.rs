//! The scanner of plain JSON and `serde_json`: both take the same documents and refuse the others at the same place, and what is read is the
//! same value.
#![no_main]

use doorward::object::Object;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
    // serde_json's own value keeps one of the entries of a key alone, and whole numbers beyond 64 signed bits.
    let value = |text: &str| serde_json::from_str::<Value>(text).map(|value| Object::from_serialize(&value).expect("JSON"));
    match (Object::from_json(text), value(text)) {
        (Ok(object), Ok(expected)) => {
            let read = value(&object.root().to_json()).expect("what is written can be read");
            assert_eq!(read.root(), expected.root());
        }
        (Err(error), Err(expected)) => assert_eq!((error.line, error.column), (expected.line(), expected.column()), "{error} | {expected}"),
        (Ok(object), Err(expected)) => panic!("only taken here: {object:?} | {expected}"),
        (Err(error), Ok(expected)) => panic!("only refused here: {error} | {expected:?}"),
    }
});
