//! What the API server refuses of a pod that an injection made, as far as an injection may be at fault: `ValidatePod` of Kubernetes.

use std::collections::BTreeSet;

use serde_json::Value;

/// Lifetimes of tokens that it gives, in seconds.
const LIFETIMES: std::ops::RangeInclusive<i64> = 600..=1 << 32;

/// The first thing that it would refuse, and where.
pub(super) fn refusal(pod: &Value) -> Option<(String, String)> {
    let spec = pod.get("spec")?;
    volumes(spec).or_else(|| containers(spec))
}

fn items<'v>(parent: &'v Value, list: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    parent.get(list).and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn volumes(spec: &Value) -> Option<(String, String)> {
    let mut names = BTreeSet::new();
    for (index, volume) in items(spec, "volumes") {
        let (at, name) = (format!("spec.volumes[{index}]"), text(volume, "name"));
        if !is_label(name) || !names.insert(name) {
            return Some((format!("{at}.name"), format!("`{name}` is no name for a volume, or another one has it")));
        }
        for (number, source) in items(volume.get("projected").unwrap_or(&Value::Null), "sources") {
            let seconds = source.pointer("/serviceAccountToken/expirationSeconds").and_then(Value::as_i64);
            if let Some(seconds) = seconds.filter(|seconds| !LIFETIMES.contains(seconds)) {
                let path = format!("{at}.projected.sources[{number}].serviceAccountToken.expirationSeconds");
                return Some((path, format!("a token lives 600 seconds at least and 2^32 at most, not {seconds}")));
            }
        }
        if let Some(csi) = volume.get("csi").filter(|csi| text(csi, "driver").is_empty()) {
            return Some((format!("{at}.csi.driver"), format!("a driver must be named, not `{}`", text(csi, "driver"))));
        }
    }
    None
}

fn containers(spec: &Value) -> Option<(String, String)> {
    let volumes: BTreeSet<&str> = items(spec, "volumes").map(|(_, volume)| text(volume, "name")).collect();
    let mut names = BTreeSet::new();
    for list in ["initContainers", "containers"] {
        for (index, container) in items(spec, list) {
            let (at, name) = (format!("spec.{list}[{index}]"), text(container, "name"));
            if !is_label(name) || !names.insert(name) {
                return Some((format!("{at}.name"), format!("`{name}` is no name for a container, or another one has it")));
            }
            if text(container, "image").trim().is_empty() {
                return Some((format!("{at}.image"), "an image must be named".to_owned()));
            }
            let mut paths = BTreeSet::new();
            for (number, mount) in items(container, "volumeMounts") {
                let (volume, path) = (text(mount, "name"), text(mount, "mountPath"));
                let field = format!("{at}.volumeMounts[{number}]");
                if !volumes.contains(volume) {
                    return Some((format!("{field}.name"), format!("there is no volume `{volume}`")));
                }
                if !is_directory(path) {
                    return Some((format!("{field}.mountPath"), format!("`{path}` is no absolute path without `:`, `.` and `..`")));
                }
                if !paths.insert(path.trim_end_matches('/')) {
                    return Some((format!("{field}.mountPath"), format!("something is mounted at `{path}` already")));
                }
            }
        }
    }
    None
}

/// A DNS label.
fn is_label(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [name.bytes().next(), name.bytes().next_back()];
    name.len() <= 63 && ends.into_iter().all(|byte| byte.is_some_and(is_plain)) && name.bytes().all(|byte| is_plain(byte) || byte == b'-')
}

/// Stricter than the API server, which takes a relative path, too: the runtime would place it where nobody looks.
fn is_directory(path: &str) -> bool {
    let steps = path.strip_prefix('/').map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    steps.is_some_and(|steps| !path.contains(':') && steps.split('/').all(|step| !matches!(step, "" | "." | "..")))
}
