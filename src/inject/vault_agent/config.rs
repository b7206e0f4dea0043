//! The agent's configuration, written by a JSON serialiser: pasted text could close its own quotes and add a `command`, which the
//! agent would run (`hardening.md` A10). HCL reads JSON.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::outcome::Conflict;
use super::super::pod::Pod;
use super::vendor::{self, Asked};
use super::{CONFIG_ANNOTATION, MODE_ANNOTATION, annotation_path, is_listed};
use crate::identity::{DENIED_FUNCTIONS, check_template};
use crate::object::{FieldPath, Node, nearest_name};

/// Longest configuration in bytes: it is stored in every pod (`hardening.md` B19).
const LONGEST: usize = 16 * 1024;
const MOST_TEMPLATES: usize = 32;
pub(super) const TEMPLATE_PREFIX: &str = "doorward.dev/vault-template-";
const ROLE_ANNOTATION: &str = "doorward.dev/vault-role";
pub(super) const MAP_ANNOTATION: &str = "doorward.dev/vault-config-map";
/// What all of them begin with.
const PREFIX: &str = "doorward.dev/vault-";
/// Asks for the Vault token itself; the application then does what it likes with it, so it is off by default.
pub(super) const SINK_ANNOTATION: &str = "doorward.dev/vault-token-sink";
const SINK_FILE: &str = ".vault-token";

/// The agent's configuration, as far as we set it. Fields stand in order of name: a configuration of an earlier version, made of a
/// sorted map, is the same text.
#[derive(Serialize)]
struct Config<'a> {
    auto_auth: [AutoAuth<'a>; 1],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    disable_idle_connections: &'a [&'a str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    disable_keep_alives: &'a [&'a str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    template: Vec<Template<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_config: Option<TemplateConfig<'a>>,
    vault: Server<'a>,
}

// Blocks as lists: HCL reads a lone object inside an object as the block's label ("one and only one method block").
#[derive(Serialize)]
struct AutoAuth<'a> {
    method: [Method<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    sink: Option<[Sink; 1]>,
}

#[derive(Serialize)]
struct Method<'a> {
    config: Kubernetes<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_on_err: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_backoff: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_backoff: Option<&'a str>,
    mount_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Kubernetes<'a> {
    role: String,
    token_path: &'a str,
}

#[derive(Serialize)]
struct Sink {
    config: SinkFile,
    r#type: &'static str,
}

#[derive(Serialize)]
struct SinkFile {
    path: String,
}

#[derive(Serialize)]
struct Template<'a> {
    contents: &'a str,
    destination: String,
    error_on_missing_key: bool,
    function_denylist: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    left_delimiter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    perms: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    right_delimiter: Option<&'a str>,
}

#[derive(Serialize)]
struct TemplateConfig<'a> {
    exit_on_retry_failure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_renewal_threshold: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections_per_host: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    static_secret_render_interval: Option<&'a str>,
}

#[derive(Serialize)]
struct Server<'a> {
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_cert: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_server_name: Option<&'a str>,
}

/// The configuration for a pod whose token is at `token_path` in the agent's container.
pub(super) fn generate(pod: &Pod<'_>, asked: &Asked<'_>, token_path: &str) -> Result<String, Conflict> {
    let vault = &pod.settings().vault;
    let secrets_path = asked.directory.unwrap_or(&vault.secrets_path).trim_end_matches('/');
    let (mut templates, mut keys) = (Vec::new(), Vec::new());
    let annotations = pod.template.node.path(&["metadata", "annotations"]);
    for (key, value) in annotations.map(Node::sorted_entries).unwrap_or_default() {
        let (Some(file), Some(contents)) = (key.strip_prefix(TEMPLATE_PREFIX), value.as_str()) else { continue };
        let refuse = |reason: String, remedy: &str| Conflict::new(annotation_path(key), reason, remedy);
        if !is_file_name(file) {
            let reason = format!("`{file}` is no name for a rendered file");
            return Err(refuse(reason, "use at most 63 lower-case letters, digits, `.`, `_` and `-`, a letter or digit first"));
        }
        check_template(contents).map_err(|flaw| refuse(flaw.reason, &flaw.remedy))?;
        keys.push(key);
        templates.push(Template {
            contents,
            destination: format!("{secrets_path}/{file}"),
            error_on_missing_key: true,
            function_denylist: DENIED_FUNCTIONS,
            left_delimiter: None,
            perms: None,
            right_delimiter: None,
        });
    }
    templates.extend(asked.files.iter().map(|file| of_vendor(file, secrets_path)));
    keys.extend(asked.files.iter().map(|file| file.key));
    check_destinations(&templates, asked)?;
    if let Some(key) = keys.get(MOST_TEMPLATES) {
        let reason = format!("{} templates are asked for, {MOST_TEMPLATES} is the most", templates.len());
        return Err(Conflict::new(annotation_path(key), reason, "render several secrets into one file"));
    }
    let wants_sink = wants_sink(pod, !templates.is_empty())?;
    let sink = || [Sink { config: SinkFile { path: format!("{secrets_path}/{SINK_FILE}") }, r#type: "file" }];
    let method = Method {
        config: Kubernetes { role: asked.role.map_or_else(|| role(pod), str::to_owned), token_path },
        exit_on_err: asked.exit_on_err,
        max_backoff: asked.max_backoff,
        min_backoff: asked.min_backoff,
        mount_path: asked.auth_mount.map_or_else(|| pod.settings().vault_auth_mount(), str::to_owned),
        namespace: asked.namespace,
        r#type: "kubernetes",
    };
    let template_config = || TemplateConfig {
        exit_on_retry_failure: asked.exit_on_retry_failure.unwrap_or(true),
        lease_renewal_threshold: asked.renewal_threshold,
        max_connections_per_host: asked.connections_per_host,
        static_secret_render_interval: asked.render_interval,
    };
    let config = Config {
        auto_auth: [AutoAuth { method: [method], sink: wants_sink.then(sink) }],
        disable_idle_connections: &asked.disable_idle_connections,
        disable_keep_alives: &asked.disable_keep_alives,
        template_config: (!templates.is_empty()).then(template_config),
        template: templates,
        vault: Server {
            address: asked.address.or(vault.address.as_deref()),
            ca_cert: asked.ca_cert.or(vault.ca_file.as_deref()),
            tls_server_name: asked.tls_server_name,
        },
    };
    // Strings, booleans and lists of them always serialise.
    let text = serde_json::to_string(&config).unwrap_or_default();
    if text.len() > LONGEST {
        let reason = format!("the agent's configuration would be {} bytes long, {LONGEST} is the most", text.len());
        let longest = config.template.iter().zip(keys).max_by_key(|(template, _)| template.contents.len());
        let path = longest.map_or_else(|| FieldPath::of(&["metadata", "annotations"]), |(_, key)| annotation_path(key));
        return Err(Conflict::new(path, reason, "shorten the templates, this one first, or use a ConfigMap"));
    }
    Ok(text)
}

/// Whether the agent hands on its token. It refuses to start with neither a template nor a sink, so without a template it does unless
/// the author says no.
fn wants_sink(pod: &Pod<'_>, has_templates: bool) -> Result<bool, Conflict> {
    let Some(text) = pod.template.annotation(SINK_ANNOTATION) else { return Ok(!has_templates) };
    let refuse = |reason: String, remedy: &str| Err(Conflict::new(annotation_path(SINK_ANNOTATION), reason, remedy));
    match vendor::boolean(text) {
        Err(reason) => refuse(reason, "write `true` or `false`"),
        Ok(false) if !has_templates => {
            let remedy = "write what to render in `doorward.dev/vault-template-<file>`, or ask for the token with `true`";
            refuse("the agent would neither render a file nor hand on its token".into(), remedy)
        }
        Ok(wants) => Ok(wants),
    }
}

/// Refuses annotations of ours that there are none of: a template under a mistyped name would be no template, and the application would
/// get the agent's token in its place.
pub(super) fn check_annotations(pod: &Pod<'_>) -> Result<(), Conflict> {
    const KNOWN: [&str; 6] = [CONFIG_ANNOTATION, MAP_ANNOTATION, MODE_ANNOTATION, ROLE_ANNOTATION, SINK_ANNOTATION, TEMPLATE_PREFIX];
    let annotations = pod.template.node.path(&["metadata", "annotations"]).map(Node::sorted_entries).unwrap_or_default();
    let is_known = |key: &str| KNOWN.contains(&key) || key.strip_prefix(TEMPLATE_PREFIX).is_some();
    let Some((key, _)) = annotations.into_iter().find(|(key, _)| key.starts_with(PREFIX) && !is_known(key)) else { return Ok(()) };
    let remedy = match nearest_name(KNOWN, key) {
        Some(TEMPLATE_PREFIX) => format!("did you mean `{TEMPLATE_PREFIX}<file>`?"),
        Some(near) => format!("did you mean `{near}`?"),
        None => "remove it".to_owned(),
    };
    Err(Conflict::new(annotation_path(key), format!("there is no annotation `{key}`"), remedy))
}

/// Refuses annotations that ask for what the `ConfigMap` alone says: nobody would read them, and the application would wait for its files.
pub(super) fn refuse_unread(pod: &Pod<'_>, map: &str) -> Result<(), Conflict> {
    let annotations = pod.template.node.path(&["metadata", "annotations"]).map(Node::sorted_entries).unwrap_or_default();
    let is_unread = |key: &str| key.starts_with(TEMPLATE_PREFIX) || key == ROLE_ANNOTATION;
    let Some((key, _)) = annotations.into_iter().find(|(key, _)| is_unread(key)) else { return Ok(()) };
    let reason = format!("annotation `{key}` is without effect: the agent takes its configuration from the ConfigMap `{map}`");
    Err(Conflict::new(annotation_path(key), reason, "remove it, and write what it asks for into the ConfigMap"))
}

/// The workload's own role, or the one its annotation names if the operator listed it for this ServiceAccount (`hardening.md` A12).
fn role(pod: &Pod<'_>) -> String {
    let (namespace, service_account) = (pod.surroundings.namespace, pod.template.service_account_name());
    let own = pod.settings().vault_role(namespace, service_account);
    match pod.template.annotation(ROLE_ANNOTATION) {
        Some(asked) if is_listed(pod, &format!("{namespace}/{service_account}"), asked) => asked.to_owned(),
        _ => own,
    }
}

fn of_vendor<'a>(file: &'a vendor::File<'_>, secrets_path: &str) -> Template<'a> {
    let vendor::Template { contents, delimiters, error_on_missing_key, permissions } = &file.template;
    Template {
        contents,
        destination: format!("{}/{}", file.directory.unwrap_or(secrets_path), file.path),
        error_on_missing_key: *error_on_missing_key,
        function_denylist: DENIED_FUNCTIONS,
        left_delimiter: delimiters.map(|(left, _)| left),
        perms: *permissions,
        right_delimiter: delimiters.map(|(_, right)| right),
    }
}

/// Two files of one name, on any file system, would be one secret in another's place.
fn check_destinations(templates: &[Template<'_>], asked: &Asked<'_>) -> Result<(), Conflict> {
    if asked.files.is_empty() {
        return Ok(());
    }
    let mut seen = BTreeSet::new();
    let Some(second) = templates.iter().position(|template| !seen.insert(template.destination.to_lowercase())) else { return Ok(()) };
    // Ours come first, and have distinct names.
    let file = second.checked_sub(templates.len() - asked.files.len()).and_then(|index| asked.files.get(index));
    let reason = format!("`{}` is rendered twice", templates.get(second).map_or("", |template| &template.destination));
    let path = file.map_or_else(|| FieldPath::of(&["metadata", "annotations"]), |file| annotation_path(file.key));
    Err(Conflict::new(path, reason, "give each file a name of its own"))
}

/// A name that starts with a letter or digit cannot be the sink's, and lower case keeps names apart on every file system.
fn is_file_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 63
        && name.bytes().next().is_some_and(is_plain)
        && name.bytes().all(|byte| is_plain(byte) || matches!(byte, b'.' | b'_' | b'-'))
}
