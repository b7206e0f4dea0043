//! Manifests: any bytes are read or refused with a place; every field has a place in the text; what is written as YAML is read back as
//! the same object.
#![no_main]

use doorward::manifest::{self, SourceMap};
use doorward::object::{FieldPath, Kind, Node};
use libfuzzer_sys::fuzz_target;

/// Fields of one object whose places are asked for.
const MOST_PATHS: usize = 200;

fn paths(node: Node<'_>, path: &FieldPath, found: &mut Vec<FieldPath>) {
    if found.len() >= MOST_PATHS {
        return;
    }
    found.push(path.clone());
    match node.kind() {
        Kind::Map => node.entries().for_each(|(key, value)| paths(value, &path.clone().key(key), found)),
        Kind::List => node.items().enumerate().for_each(|(index, item)| paths(item, &path.clone().index(index), found)),
        _ => {}
    }
}

fuzz_target!(|data: &[u8]| {
    // YAML breaks a line at a carriage return too.
    let lines = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
    let loaded = manifest::load_bytes("fuzz.yaml", data, false);
    for error in &loaded.errors {
        assert!(!error.message.is_empty() && error.line <= lines + 1, "{error:?}");
    }
    for document in &loaded.documents {
        let root = document.object.root();
        let map = SourceMap::of(document);
        let mut found = Vec::new();
        paths(root, &FieldPath::root(), &mut found);
        for path in &found {
            let position = map.locate(path);
            assert!((1..=lines).contains(&position.line) && position.column > 0, "{path}: {position:?} of {lines} lines");
        }
        let written = manifest::to_yaml(root);
        let again = manifest::read("again.yaml", &written);
        assert!(again.errors.is_empty(), "{:?} of\n{written}", again.errors);
        assert!(again.documents.len() == 1 && again.documents[0].object.root() == root, "written as\n{written}");
    }
});
