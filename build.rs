//! Collects `policies/<id>/policy.yaml`, and the README beside it, into arrays, so that adding a policy is adding a folder.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=policies");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut ids: Vec<String> = match fs::read_dir(root.join("policies")) {
        Ok(entries) => entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().join("policy.yaml").is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect(),
        Err(_) => Vec::new(),
    };
    ids.sort();
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    for (array, file) in [("policies.rs", "policy.yaml"), ("readme.rs", "README.md")] {
        let mut text = String::from("&[\n");
        for id in &ids {
            let file = root.join("policies").join(id).join(file);
            println!("cargo::rerun-if-changed={}", file.display());
            let name = if array == "policies.rs" { format!("policies/{id}/policy.yaml") } else { id.clone() };
            let _ = writeln!(text, "    ({name:?}, include_str!({:?})),", file.display().to_string());
        }
        text.push(']');
        fs::write(Path::new(&out).join(array), text)?;
    }
    Ok(())
}
