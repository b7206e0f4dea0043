//! Static credentials that come by the environment: variables named as such, files of Secrets that variables lead to, and whole objects
//! turned into variables. Of containers of pods, and of the steps and templates of Tekton's kinds, which have the same fields.

use std::collections::HashMap;

use serde::Serialize;

use super::mount_path::{MountPath, Relation};
use crate::object::{Node, PodTemplate};

/// Variables that name a file of credentials.
const FILE_VARIABLES: [&str; 4] =
    ["GOOGLE_APPLICATION_CREDENTIALS", "AWS_SHARED_CREDENTIALS_FILE", "AZURE_CLIENT_CERTIFICATE_PATH", "KUBECONFIG"];

/// Findings that are listed of one object.
const MOST: usize = 256;

/// How deep embedded specs are followed: a `PipelineRun` holds containers eight fields down.
const DEEPEST: usize = 24;

/// A static credential in the environment of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StaticCredential<'a> {
    /// The variable; of `prefix` the prefix.
    pub name: &'a str,
    /// From where it comes.
    pub source: StaticSource,
    /// The Secret, `ConfigMap` or volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<&'a str>,
    /// The container or step; absent for a template of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<&'a str>,
    /// Where it stands.
    pub field_path: String,
}

/// From where a static credential comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StaticSource {
    /// It is written into the object.
    Value,
    /// A key of a Secret.
    Secret,
    /// A key of a `ConfigMap`.
    ConfigMap,
    /// A file that another container wrote (`fileKeyRef`).
    EnvFile,
    /// A field of the pod, such as an annotation, or a source of a later Kubernetes.
    Field,
    /// A file of a Secret, to which the variable leads.
    SecretFile,
    /// A prefix that makes the name of a credential of some key.
    Prefix,
    /// Every key of a Secret, whose names cannot be seen.
    EveryKey,
}

/// Names of variables that hold credentials, those with a `*` apart: every variable of every pod is compared.
struct Names<'s> {
    exact: Vec<&'s str>,
    patterns: Vec<&'s str>,
}

impl<'s> Names<'s> {
    fn of(names: &'s [String]) -> Self {
        let (patterns, exact) = names.iter().map(String::as_str).partition(|name| name.contains('*'));
        Self { exact, patterns }
    }

    fn hold(&self, name: &str) -> bool {
        self.exact.contains(&name) || self.patterns.iter().any(|pattern| matches(pattern, name))
    }

    /// Whether a prefix and some key make one of the names. A name that begins with `*` says nothing about prefixes.
    fn may_begin_with(&self, prefix: &str) -> bool {
        self.exact.iter().any(|name| name.len() > prefix.len() && name.starts_with(prefix))
            || self.patterns.iter().any(|pattern| match pattern.split_once('*') {
                None | Some(("", _)) => false,
                Some((stem, _)) => stem.starts_with(prefix) || prefix.starts_with(stem),
            })
    }
}

/// Whether a name equals a pattern in which each `*` stands for any text.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, mut pattern)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(start) else { return false };
    while let Some((part, after)) = pattern.split_once('*') {
        let Some(found) = rest.find(part) else { return false };
        rest = rest.split_at(found + part.len()).1;
        pattern = after;
    }
    rest.ends_with(pattern)
}

/// Reads every container of a pod template; `vault_client` makes every key of a Secret a finding (`hardening.md` A19).
pub(super) fn of_pod<'a>(template: PodTemplate<'a>, names: &[String], vault_client: bool) -> Vec<StaticCredential<'a>> {
    let mut reader = Reader { names: Names::of(names), every_key: vault_client, found: Vec::new() };
    let secrets = secret_volumes(template.spec());
    for (list, index, container) in template.containers() {
        reader.container(container, &secrets, &|| format!("spec.{list}[{index}]"));
    }
    reader.found
}

/// Reads everything below an object's `spec` that has an environment, however deep the kind embeds it.
pub(super) fn of_embedded<'a>(object: Node<'a>, names: &[String]) -> Vec<StaticCredential<'a>> {
    let mut reader = Reader { names: Names::of(names), every_key: false, found: Vec::new() };
    if let Some(spec) = object.get("spec") {
        reader.descend(spec, &[], "spec", 0);
    }
    reader.found
}

struct Reader<'a, 's> {
    names: Names<'s>,
    every_key: bool,
    found: Vec<StaticCredential<'a>>,
}

impl<'a> Reader<'a, '_> {
    /// `secrets` are the volumes of Secrets of the nearest spec above that lists volumes.
    fn descend(&mut self, node: Node<'a>, secrets: &[&'a str], at: &str, depth: usize) {
        if depth > DEEPEST || self.found.len() >= MOST {
            return;
        }
        for (position, item) in node.items().enumerate() {
            self.descend(item, secrets, &format!("{at}[{position}]"), depth + 1);
        }
        if node.is_empty() || node.items().len() > 0 {
            return;
        }
        let own = node.get("volumes").map(|_| secret_volumes(node));
        let secrets = own.as_deref().unwrap_or(secrets);
        self.container(node, secrets, &|| at.to_owned());
        for (field, value) in node.sorted_entries() {
            if !matches!(field, "env" | "envFrom" | "volumes" | "volumeMounts") && !value.is_empty() {
                self.descend(value, secrets, &format!("{at}.{field}"), depth + 1);
            }
        }
    }

    fn container(&mut self, container: Node<'a>, secrets: &[&'a str], at: &dyn Fn() -> String) {
        let name = Some(container.text("name")).filter(|name| !name.is_empty());
        // Made only if some value leads to another variable.
        let mut values: Option<HashMap<&'a str, Node<'a>>> = None;
        // Of duplicates the last one counts, as in the kubelet.
        let mut files: [Option<(usize, &'a str)>; FILE_VARIABLES.len()] = [None; FILE_VARIABLES.len()];
        for (position, variable) in container.list("env").enumerate() {
            let variable_name = variable.text("name");
            if let Some((_, file)) = FILE_VARIABLES.iter().zip(&mut files).find(|(known, _)| **known == variable_name) {
                *file = Some((position, variable.text("value")));
            } else if self.names.hold(variable_name) {
                let all = || container.list("env").map(|variable| (variable.text("name"), variable)).collect();
                let mut other = |name: &str| values.get_or_insert_with(all).get(name).copied();
                let Some((source, from)) = source_of(variable, &mut other) else { continue };
                let field_path = format!("{}.env[{position}]", at());
                self.push(StaticCredential { name: variable_name, source, from, container: name, field_path });
            }
        }
        for (variable, file) in FILE_VARIABLES.into_iter().zip(files) {
            let Some((position, path)) = file else { continue };
            if let Some(volume) = secret_volume(container, secrets, path) {
                let (source, field_path) = (StaticSource::SecretFile, format!("{}.env[{position}]", at()));
                self.push(StaticCredential { name: variable, source, from: Some(volume), container: name, field_path });
            }
        }
        for (position, all) in container.list("envFrom").enumerate() {
            let prefix = all.text("prefix");
            let secret = all.get("secretRef").map(|secret| secret.text("name"));
            let source = if !prefix.is_empty() && self.names.may_begin_with(prefix) {
                StaticSource::Prefix
            } else if self.every_key && secret.is_some() {
                StaticSource::EveryKey
            } else {
                continue;
            };
            let from = secret.or_else(|| all.get("configMapRef").map(|map| map.text("name")));
            self.push(StaticCredential {
                name: prefix,
                source,
                from,
                container: name,
                field_path: format!("{}.envFrom[{position}]", at()),
            });
        }
    }

    fn push(&mut self, credential: StaticCredential<'a>) {
        if self.found.len() < MOST {
            self.found.push(credential);
        }
    }
}

/// From where a variable takes its value; `None` if it has none. A value that is nothing but `$(OTHER)` is as static as that one.
fn source_of<'a>(variable: Node<'a>, other: &mut dyn FnMut(&str) -> Option<Node<'a>>) -> Option<(StaticSource, Option<&'a str>)> {
    let named = variable.text("value").strip_prefix("$(").and_then(|rest| rest.strip_suffix(')'));
    match named.and_then(other) {
        Some(other) if !other.text("value").starts_with("$(") => own_source(other),
        _ => own_source(variable),
    }
}

fn own_source(variable: Node<'_>) -> Option<(StaticSource, Option<&str>)> {
    if !variable.text("value").is_empty() {
        return Some((StaticSource::Value, None));
    }
    let from = variable.get("valueFrom")?;
    for (field, key, source) in [
        ("secretKeyRef", "name", StaticSource::Secret),
        ("configMapKeyRef", "name", StaticSource::ConfigMap),
        ("fileKeyRef", "volumeName", StaticSource::EnvFile),
    ] {
        if let Some(reference) = from.get(field) {
            return Some((source, Some(reference.text(key))));
        }
    }
    Some((StaticSource::Field, None))
}

/// The volumes of a spec that hold files of Secrets, sorted.
fn secret_volumes(spec: Node<'_>) -> Vec<&str> {
    let holds_secret = |volume: &Node<'_>| {
        volume.get("secret").is_some()
            || volume.get("projected").is_some_and(|projected| projected.list("sources").any(|source| source.get("secret").is_some()))
    };
    let mut names: Vec<&str> = spec.list("volumes").filter(holds_secret).map(|volume| volume.text("name")).collect();
    names.sort_unstable();
    names
}

/// The volume that shows a file of a Secret at a path; of nested mounts the innermost counts.
fn secret_volume<'a>(container: Node<'a>, secrets: &[&'a str], path: &str) -> Option<&'a str> {
    if secrets.is_empty() || !path.starts_with('/') {
        return None;
    }
    let path = MountPath::new(path);
    let mounts = container.list("volumeMounts").map(|mount| (MountPath::new(mount.text("mountPath")), mount.text("name")));
    let above = mounts.filter(|(mount, _)| matches!(path.relation(mount), Relation::Same | Relation::Below));
    let (_, volume) = above.max_by_key(|(mount, _)| mount.as_str().len())?;
    secrets.binary_search(&volume).is_ok().then_some(volume)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::Scene;
    use super::*;
    use crate::object::Object;

    #[test]
    fn a_pattern_matches_as_a_whole() {
        for (pattern, name, matched) in [
            ("GITHUB_TOKEN", "GITHUB_TOKEN", true),
            ("GITHUB_TOKEN", "MY_GITHUB_TOKEN", false),
            ("*_PASSWORD", "DB_PASSWORD", true),
            ("*_PASSWORD", "DB_PASSWORD_FILE", false),
            ("TF_TOKEN_*", "TF_TOKEN_app", true),
            ("TELEPORT_*TOKEN", "TELEPORT_JOIN_TOKEN", true),
            ("TELEPORT_*TOKEN", "TELEPORT_TOKEN", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
        ] {
            assert_eq!(matches(pattern, name), matched, "{pattern} {name}");
        }
    }

    #[test]
    fn hardening_a19_every_door_of_the_environment_is_seen() {
        let secret = json!({ "secretKeyRef": { "name": "db", "key": "k" } });
        let scene = Scene::pod(json!({
            "volumes": [
                { "name": "key", "secret": { "secretName": "gcp" } },
                { "name": "both", "projected": { "sources": [{ "secret": { "name": "aws" } }, { "configMap": { "name": "x" } }] } },
                { "name": "plain", "configMap": { "name": "x" } },
            ],
            "containers": [{
                "name": "app",
                "volumeMounts": [{ "name": "key", "mountPath": "/var/run/key" }, { "name": "plain", "mountPath": "/run/key/plain" }, { "name": "both", "mountPath": "/aws/" }],
                "env": [
                    { "name": "AWS_SECRET_ACCESS_KEY", "value": "x" },
                    { "name": "DB_PASSWORD", "valueFrom": secret },
                    { "name": "GITHUB_TOKEN", "valueFrom": { "configMapKeyRef": { "name": "cm", "key": "k" } } },
                    { "name": "NPM_TOKEN", "valueFrom": { "fileKeyRef": { "volumeName": "v", "path": "p", "key": "k" } } },
                    { "name": "VAULT_SECRET_ID", "valueFrom": { "fieldRef": { "fieldPath": "metadata.annotations['x']" } } },
                    { "name": "PGPASSWORD", "value": "$(DB_PASSWORD)" },
                    { "name": "OPENAI_API_KEY", "value": "$(PLAIN)" },
                    { "name": "PLAIN", "value": "x" },
                    { "name": "ANTHROPIC_API_KEY", "value": "" },
                    { "name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/run/key/key.json" },
                    { "name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/aws/credentials" },
                    { "name": "KUBECONFIG", "value": "/run/key/config" },
                    { "name": "KUBECONFIG", "value": "/run/key/plain/config" },
                ],
                "envFrom": [{ "prefix": "AWS_SECRET_", "configMapRef": { "name": "cm" } }, { "prefix": "LOG_", "configMapRef": { "name": "cm" } }, { "secretRef": { "name": "s" } }],
            }],
        }));
        let identity = scene.read();
        let found: Vec<_> = identity["staticCredentials"]
            .as_array()
            .unwrap()
            .iter()
            .map(|found| (found["name"].as_str().unwrap(), found["source"].as_str().unwrap(), found["from"].as_str().unwrap_or("-")))
            .collect();
        assert_eq!(
            found,
            [
                ("AWS_SECRET_ACCESS_KEY", "value", "-"),
                ("DB_PASSWORD", "secret", "db"),
                ("GITHUB_TOKEN", "configMap", "cm"),
                ("NPM_TOKEN", "envFile", "v"),
                ("VAULT_SECRET_ID", "field", "-"),
                ("PGPASSWORD", "secret", "db"),
                ("OPENAI_API_KEY", "value", "-"),
                ("GOOGLE_APPLICATION_CREDENTIALS", "secretFile", "key"),
                ("AWS_SHARED_CREDENTIALS_FILE", "secretFile", "both"),
                ("AWS_SECRET_", "prefix", "cm"),
            ]
        );
        assert_eq!(identity["staticCredentials"][9]["fieldPath"], "spec.containers[0].envFrom[0]");
    }

    #[test]
    fn an_embedded_task_is_found_however_deep() {
        let step = json!([{ "name": "push", "env": [{ "name": "GITHUB_TOKEN", "value": "x" }] }]);
        let object = json!({ "spec": {
            "taskRunTemplate": { "podTemplate": { "env": [{ "name": "NPM_TOKEN", "value": "x" }] } },
            "pipelineSpec": { "tasks": [{ "taskSpec": { "steps": step, "stepTemplate": { "env": [{ "name": "DB_PASSWORD", "value": "x" }] } } }], "finally": [] },
        } });
        let object = Object::from_json(object.to_string()).unwrap();
        let names = crate::settings::Settings::default().credential_env_names;
        let places: Vec<_> = of_embedded(object.root(), &names).into_iter().map(|found| found.field_path).collect();
        assert_eq!(
            places,
            [
                "spec.pipelineSpec.tasks[0].taskSpec.stepTemplate.env[0]",
                "spec.pipelineSpec.tasks[0].taskSpec.steps[0].env[0]",
                "spec.taskRunTemplate.podTemplate.env[0]",
            ]
        );
    }
}
