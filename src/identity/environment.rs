//! Static credentials that come by the environment: variables named as such, files of Secrets that variables lead to, and whole objects
//! turned into variables. Of containers of pods, and of the steps and templates of Tekton's kinds, which have the same fields.

use std::cell::LazyCell;

use serde::Serialize;

use super::expansion::Environment;
use super::mount_path::{Relation, cleaned, relation};
use super::pod::{Container, Pod, Variable};
use crate::object::{Node, hex_digest};

/// Variables that name a file of credentials.
const FILE_VARIABLES: [&str; 6] = [
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "KUBECONFIG",
];

/// Findings that are listed of one object, of those that are refused and of those that are warned of each.
const MOST: usize = 256;

/// How deep embedded specs are followed: a `PipelineRun` holds containers eight fields down, and pipelines may hold pipelines.
const DEEPEST: usize = 48;

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
    /// Of `more` a digest of what is not listed: by that it is new where one was added or changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
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
    /// A file, in a container that sees files of a Secret; which one stands elsewhere.
    UnseenFile,
    /// More than can be listed, or deeper than is read.
    More,
}

impl StaticSource {
    /// Whether it is only warned of, for what it is worth cannot be seen here or is worth less.
    fn is_mild(self) -> bool {
        matches!(self, Self::Secret | Self::EveryKey | Self::UnseenFile)
    }
}

/// Names of variables that hold credentials; `*` stands for any text.
struct Names<'s>(&'s [String]);

impl Names<'_> {
    /// Every variable of every pod is compared, and nearly every one differs at one of its ends.
    fn hold(&self, name: &str) -> bool {
        let fits = |listed: Option<&u8>, written: Option<&u8>| listed == written || listed == Some(&b'*');
        let name_bytes = name.as_bytes();
        self.0.iter().any(|listed| {
            let bytes = listed.as_bytes();
            fits(bytes.first(), name_bytes.first()) && fits(bytes.last(), name_bytes.last()) && matches(listed, name)
        })
    }

    /// Whether a prefix and some key make one of the names. A name that begins with `*` says nothing about prefixes.
    fn may_begin_with(&self, prefix: &str) -> bool {
        self.0.iter().any(|listed| match listed.split_once('*') {
            None => listed.len() > prefix.len() && listed.starts_with(prefix),
            Some(("", _)) => false,
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
pub(super) fn of_pod<'a>(pod: &Pod<'a>, names: &[String], vault_client: bool) -> Vec<StaticCredential<'a>> {
    let mut reader = Reader::new(names, vault_client);
    let secrets = LazyCell::new(|| secret_volumes(pod.spec));
    for container in &pod.containers {
        reader.container(container, &|| &secrets, &|| container.place());
    }
    reader.found
}

/// Reads everything below an object's `spec` that has an environment, however deep the kind embeds it.
pub(super) fn of_embedded<'a>(object: Node<'a>, names: &[String]) -> Vec<StaticCredential<'a>> {
    let mut reader = Reader::new(names, false);
    if let Some(spec) = object.get("spec") {
        reader.descend(spec, &[], "spec", 0);
    }
    reader.found
}

struct Reader<'a, 's> {
    names: Names<'s>,
    every_key: bool,
    found: Vec<StaticCredential<'a>>,
    /// How many of them are only warned of.
    mild: usize,
    /// The position of the one that stands for more.
    more: Option<usize>,
}

impl<'a, 's> Reader<'a, 's> {
    fn new(names: &'s [String], every_key: bool) -> Self {
        Self { names: Names(names), every_key, found: Vec::new(), mild: 0, more: None }
    }

    /// `secrets` are the volumes of Secrets of the nearest spec above that lists volumes.
    fn descend(&mut self, node: Node<'a>, secrets: &[&'a str], at: &str, depth: usize) {
        if depth > DEEPEST {
            self.more("", node);
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
        self.container(&Container::of("", 0, 0, node), &|| secrets, &|| at.to_owned());
        for (field, value) in node.sorted_entries() {
            if !matches!(field, "env" | "envFrom" | "volumes" | "volumeMounts") && !value.is_empty() {
                self.descend(value, secrets, &format!("{at}.{field}"), depth + 1);
            }
        }
    }

    /// `secrets` are the volumes of Secrets that it may mount, sorted; hardly any container asks for them.
    fn container<'v>(&mut self, container: &Container<'a>, secrets: &dyn Fn() -> &'v [&'a str], at: &dyn Fn() -> String)
    where
        'a: 'v,
    {
        let name = Some(container.name).filter(|name| !name.is_empty());
        let mut environment = Environment::of(container.node);
        // Of duplicates the last one counts, as in the kubelet.
        let mut files: [Option<(usize, Variable<'a>)>; FILE_VARIABLES.len()] = [None; FILE_VARIABLES.len()];
        for (position, variable) in container.env.iter().enumerate() {
            if let Some((_, file)) = FILE_VARIABLES.iter().zip(&mut files).find(|(known, _)| **known == variable.name) {
                *file = Some((position, *variable));
            } else if self.names.hold(variable.name) {
                let other = environment.alias(position, variable.value);
                let Some((source, from)) = source_of(variable.node, other) else { continue };
                let field_path = format!("{}.env[{position}]", at());
                self.push(StaticCredential { name: variable.name, source, from, container: name, field_path, key: None }, variable.node);
            }
        }
        for (variable, file) in FILE_VARIABLES.into_iter().zip(files) {
            let Some((position, file)) = file else { continue };
            let secrets = secrets();
            if secrets.is_empty() {
                break;
            }
            let path = environment.value(position, file.value);
            let (source, from) = if file.is_elsewhere() || path.contains("$(") {
                let seen = container.mounts.iter().find(|mount| secrets.binary_search(&mount.volume).is_ok());
                (StaticSource::UnseenFile, seen.map(|mount| mount.volume))
            } else {
                // A list of files is one too.
                let files = if variable == "KUBECONFIG" { path.split(':') } else { path.split('\0') };
                let mut volumes = files.filter_map(|file| secret_volume(container, secrets, file));
                (StaticSource::SecretFile, volumes.next())
            };
            if from.is_some() {
                let field_path = format!("{}.env[{position}]", at());
                self.push(StaticCredential { name: variable, source, from, container: name, field_path, key: None }, file.node);
            }
        }
        for (position, all) in container.env_from().enumerate() {
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
            let field_path = format!("{}.envFrom[{position}]", at());
            self.push(StaticCredential { name: prefix, source, from, container: name, field_path, key: None }, all);
        }
    }

    /// Those that are only warned of take no place from the others.
    fn push(&mut self, credential: StaticCredential<'a>, node: Node<'a>) {
        if credential.source.is_mild() {
            self.mild += 1;
            if self.mild <= MOST {
                self.found.push(credential);
            }
        } else if self.found.len() - self.mild.min(MOST) - usize::from(self.more.is_some()) < MOST {
            self.found.push(credential);
        } else {
            self.more(credential.container.unwrap_or_default(), node);
        }
    }

    /// Told of the whole spec, by a digest: whoever adds one more to many old ones shall not add it unseen.
    fn more(&mut self, container: &str, node: Node<'a>) {
        let digest = |before: &str| Some(hex_digest(format!("{before}\n{container}\n{}", node.digest()).as_bytes()));
        if let Some(more) = self.more.and_then(|index| self.found.get_mut(index)) {
            more.key = digest(more.key.as_deref().unwrap_or_default());
            return;
        }
        self.more = Some(self.found.len());
        let (name, source, field_path) = ("", StaticSource::More, "spec".to_owned());
        self.found.push(StaticCredential { name, source, from: None, container: None, field_path, key: digest("") });
    }
}

/// From where a variable takes its value; `None` if it has none. A value that is nothing but a reference to another variable is as static
/// as that one.
fn source_of<'a>(variable: Node<'a>, other: Option<Node<'a>>) -> Option<(StaticSource, Option<&'a str>)> {
    match other {
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
fn secret_volume<'a>(container: &Container<'a>, secrets: &[&'a str], path: &str) -> Option<&'a str> {
    if path.is_empty() {
        return None;
    }
    let path = seen_from(container.node.text("workingDir"), path);
    let above = container.mounts.iter().filter(|mount| matches!(relation(&path, mount.path), Relation::Same | Relation::Below));
    let innermost = above.max_by_key(|mount| cleaned(mount.path).len())?;
    secrets.binary_search(&innermost.volume).is_ok().then_some(innermost.volume)
}

/// A path as the process will open it: one that is relative starts from the working directory (in an image's own, which is not known here,
/// from the root), and what `/proc` shows as the root or the working directory of a process is that.
fn seen_from(working_directory: &str, path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    let start = if path.starts_with('/') { "" } else { working_directory };
    for step in start.split('/').chain(path.split('/')) {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
        match steps.as_slice() {
            ["proc", _, "root"] | ["proc", _, "task", _, "root"] => steps.clear(),
            ["proc", _, "cwd"] | ["proc", _, "task", _, "cwd"] => {
                steps.clear();
                steps.extend(working_directory.split('/').filter(|step| !step.is_empty()));
            }
            _ => {}
        }
    }
    format!("/{}", steps.join("/"))
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
                    { "name": "AWS_CONFIG_FILE", "valueFrom": { "configMapKeyRef": { "name": "cm", "key": "k" } } },
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
                ("AWS_CONFIG_FILE", "unseenFile", "key"),
                ("AWS_SECRET_", "prefix", "cm"),
            ]
        );
        assert_eq!(identity["staticCredentials"][10]["fieldPath"], "spec.containers[0].envFrom[0]");
    }

    #[test]
    fn a_file_is_found_however_its_path_is_written() {
        let found = |container: &serde_json::Value| {
            let scene = Scene::pod(json!({ "volumes": [{ "name": "key", "secret": { "secretName": "gcp" } }], "containers": [container] }));
            scene.read()["staticCredentials"][0]["source"].clone()
        };
        let mounts = json!([{ "name": "key", "mountPath": "/k" }, { "name": "plain", "mountPath": "/k/plain" }]);
        for (directory, path, source) in [
            ("", "/k/key.json", json!("secretFile")),
            ("", "$(D)/key.json", json!("secretFile")),
            ("", "$(E)/key.json", json!("unseenFile")),
            ("/k", "key.json", json!("secretFile")),
            ("/k/deeper/", "./../key.json", json!("secretFile")),
            ("/app", "key.json", json!(null)),
            ("", "../../k/key.json", json!("secretFile")),
            ("", "/proc/self/root/k/key.json", json!("secretFile")),
            ("", "/proc/self/root/proc/1/task/2/root/../k/key.json", json!("secretFile")),
            ("/k", "/proc/thread-self/cwd/key.json", json!("secretFile")),
            ("", "/k/plain/key.json", json!(null)),
            ("", "", json!(null)),
        ] {
            let env = json!([
                { "name": "D", "value": "/k" },
                { "name": "E", "valueFrom": { "configMapKeyRef": { "name": "c", "key": "k" } } },
                { "name": "GOOGLE_APPLICATION_CREDENTIALS", "value": path },
            ]);
            let container = json!({ "name": "app", "workingDir": directory, "volumeMounts": mounts, "env": env });
            assert_eq!(found(&container), source, "{directory} {path}");
        }
        let list = json!([{ "name": "KUBECONFIG", "value": "/etc/x:/k/config" }]);
        assert_eq!(found(&json!({ "name": "app", "volumeMounts": mounts, "env": list })), "secretFile");
        let unmounted = json!([{ "name": "KUBECONFIG", "valueFrom": { "configMapKeyRef": { "name": "c", "key": "k" } } }]);
        assert_eq!(found(&json!({ "name": "app", "env": unmounted })), json!(null), "no file of a Secret is there");
    }

    #[test]
    fn many_that_are_warned_of_hide_none_that_is_refused() {
        let of_secrets =
            (0..MOST + 1).map(|n| json!({ "name": format!("X{n}_PASSWORD"), "valueFrom": { "secretKeyRef": { "name": "s" } } }));
        let written = (0..MOST + 1).map(|n| json!({ "name": format!("Y{n}_PASSWORD"), "value": "x" }));
        let env: Vec<_> = of_secrets.chain(written).collect();
        let identity = Scene::pod(json!({ "containers": [{ "name": "app", "env": env }] })).read();
        let found = identity["staticCredentials"].as_array().unwrap();
        assert_eq!((found.len(), &found[MOST]["source"]), (2 * MOST + 1, &json!("value")));
        let more = &found[2 * MOST];
        assert_eq!((&more["source"], &more["fieldPath"]), (&json!("more"), &json!("spec")));
        assert!(more["key"].as_str().is_some_and(|key| key.len() == 64), "{more}");
    }

    #[test]
    fn what_lies_too_deep_is_told() {
        let mut spec = json!({ "steps": [{ "env": [{ "name": "GITHUB_TOKEN", "value": "x" }] }] });
        for _ in 0..DEEPEST {
            spec = json!({ "pipelineSpec": spec });
        }
        let object = Object::from_json(json!({ "spec": spec }).to_string()).unwrap();
        let found = of_embedded(object.root(), &["GITHUB_TOKEN".to_owned()]);
        assert_eq!((found.len(), found[0].source, found[0].field_path.as_str()), (1, StaticSource::More, "spec"));
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
