//! The corpus of expressions still has the answers that the API server's code gives: a change of the release shows here, line by line.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// The lines of a file, by expression.
fn by_expression(text: &str) -> BTreeMap<String, Value> {
    let row = |line: &str| serde_json::from_str::<Value>(line).expect("a document a line");
    text.lines().map(row).map(|row| (row["expr"].as_str().expect("each has an expression").to_owned(), row)).collect()
}

#[test]
fn the_recorded_answers_are_those_of_the_api_server() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cel/tests");
    let mut files: Vec<_> = std::fs::read_dir(tests.join("kubernetes-1.37")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let mut asked = 0;
    let mut changed = Vec::new();
    for file in &files {
        let output = Command::new(crate::controlplane::binary())
            .args(["cel", "--compatibility-version", "1.37", "--vars"])
            .arg(tests.join("variables.json"))
            .stdin(Stdio::from(std::fs::File::open(file).unwrap()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
        let answers = by_expression(std::str::from_utf8(&output.stdout).unwrap());
        let recorded = by_expression(&std::fs::read_to_string(file).unwrap());
        assert_eq!(answers.len(), recorded.len(), "{}: an answer for each line", file.display());
        asked += answers.len();
        let differing = recorded.iter().filter(|(expression, row)| answers.get(*expression) != Some(row));
        changed.extend(differing.map(|(expression, row)| format!("recorded {row}\nanswered {}", answers[expression])));
    }
    assert!(changed.is_empty(), "{} of {asked} answers changed:\n{}", changed.len(), changed.join("\n"));
    assert!(asked > 6300, "{asked} expressions were asked");
}
