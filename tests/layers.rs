//! Imports run one way: object <- {cel, manifest} <- settings <- identity <- inject <- policy <- {admission, report} <- cluster <-
//! serve <- cli <- main. This test reads the `use` lines and paths of every room and holds it.
#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import, beside itself.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("object", [].as_slice()),
        ("cel", &["object"]),
        ("settings", &["object", "cel"]),
        ("manifest", &["object"]),
        ("identity", &["object", "settings"]),
        ("inject", &["object", "cel", "settings", "identity"]),
        ("policy", &["object", "cel", "settings", "manifest", "identity", "inject"]),
        ("admission", &["object", "cel", "settings", "manifest", "identity", "inject", "policy"]),
        ("report", &["object", "cel", "settings", "manifest", "identity", "inject", "policy"]),
        ("cluster", &["object", "cel", "settings", "manifest", "identity", "inject", "policy", "admission", "report"]),
        ("serve", &["object", "cel", "settings", "manifest", "identity", "inject", "policy", "admission", "report", "cluster"]),
        ("cli", &["object", "cel", "settings", "manifest", "identity", "inject", "policy", "admission", "report", "cluster", "serve"]),
    ])
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_room_imports_only_what_stands_before_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed = allowed();
    let mut wrong = Vec::new();
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 50, "the sources were not found");
    for file in files {
        let relative = file.strip_prefix(&root).expect("below src").to_owned();
        let room = relative.components().next().expect("a room").as_os_str().to_string_lossy().into_owned();
        if room == "lib.rs" || room == "main.rs" {
            continue;
        }
        let may =
            allowed.get(room.as_str()).unwrap_or_else(|| panic!("`{room}` is a new room: give it a place here and in ARCHITECTURE.md"));
        let text = fs::read_to_string(&file).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            for part in line.split("crate::").skip(1) {
                let name: String = part.chars().take_while(|next| next.is_alphanumeric() || *next == '_').collect();
                if allowed.contains_key(name.as_str()) && name != room && !may.contains(&name.as_str()) {
                    wrong.push(format!("{}:{}: `{room}` imports `{name}`", relative.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the flow:\n{}", wrong.join("\n"));
}

#[test]
fn only_the_lowering_knows_the_parser_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let wrong: Vec<String> = files
        .iter()
        .filter(|file| !file.ends_with("cel/lower.rs") && !file.starts_with(root.join("cel/lower")))
        .filter(|file| fs::read_to_string(file).expect("a source file").contains("cel_interpreter"))
        .map(|file| file.display().to_string())
        .collect();
    assert!(wrong.is_empty(), "`cel_interpreter` is named outside src/cel/lower.rs: {wrong:?}");
}

#[test]
fn every_room_says_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for room in allowed().keys() {
        let text = fs::read_to_string(root.join(room).join("mod.rs")).unwrap_or_else(|error| panic!("src/{room}/mod.rs: {error}"));
        assert!(text.starts_with("//! "), "src/{room}/mod.rs does not begin with its purpose");
    }
}
