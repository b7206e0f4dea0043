//! The documents tell the truth: every path that they name exists, every command that they show is known.

use std::fs;
use std::path::Path;

const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "policies/README.md",
    "policies/NATIVE.md",
    "tests/README.md",
    "deploy/README.md",
    "docs/cel-functions.md",
    "docs/from-vault-k8s.md",
    "docs/settings.md",
    "docs/waivers.md",
];

/// What starts one of the repository's own paths.
const FOLDERS: [&str; 9] = ["src/", "policies/", "deploy/", "certs/", "tests/", "benches/", "fuzz/", ".ci/", "docs/"];

#[test]
fn every_path_that_a_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
        for quoted in text.split('`').skip(1).step_by(2) {
            let path = quoted.split([' ', '\n']).next().unwrap_or_default().trim_end_matches('/');
            let ours = FOLDERS.iter().any(|folder| path.starts_with(folder)) && !path.contains(['<', '*', '{', '$', '…']);
            if ours && !root.join(path).exists() {
                missing.push(format!("{document}: `{path}`"));
            }
        }
    }
    assert!(missing.is_empty(), "documents name what does not exist:\n{}", missing.join("\n"));
}

#[test]
fn every_policy_folder_holds_its_reason_and_its_proof() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for entry in fs::read_dir(&root).expect("policies/") {
        let folder = entry.expect("policies/").path();
        if !folder.is_dir() {
            continue;
        }
        for part in ["policy.yaml", "README.md", "cases"] {
            assert!(folder.join(part).exists(), "{} lacks {part}", folder.display());
        }
    }
}

#[test]
fn the_page_of_functions_is_what_the_program_prints() {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_doorward"));
    let printed = program.args(["policy", "functions", "-o", "markdown"]).output().expect("the binary starts");
    let printed = String::from_utf8(printed.stdout).expect("UTF-8");
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cel-functions.md")).expect("docs/cel-functions.md");
    assert!(printed == page, "out of date: run `cargo run -- policy functions -o markdown > docs/cel-functions.md`");
}
