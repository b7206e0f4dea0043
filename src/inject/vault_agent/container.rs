//! The agent's containers, and how they are known again.

use std::collections::BTreeMap;

use super::super::pod::{Pod, holds_field, read_only_mount};
use super::vendor::{Asked, TLS_DIRECTORY};
use super::{AGENT, CONFIG, Directory, INIT, TLS, is_agent_name};
use crate::object::{Content, Node};
use crate::settings;

pub(super) const CONFIG_DIRECTORY: &str = "/etc/vault";
const CONFIG_ARGUMENT: &str = "-config=/etc/vault/config.hcl";

/// How an agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Once, before the application.
    Once,
    /// Beside it, as an init container that stays.
    Native,
    /// Beside it, as one more container.
    Classic,
}

/// What the containers are made of beside the settings.
pub(super) struct Parts<'a> {
    pub(super) token_volume: &'a str,
    pub(super) token_path: &'a str,
    pub(super) directories: &'a [Directory<'a>],
    pub(super) asked: &'a Asked<'a>,
}

/// What all forms have in common. It fits PodSecurity's `restricted` by itself, whatever the pod's own security context says.
pub(super) struct Agent {
    fields: Vec<(&'static str, Content)>,
    security_context: Content,
    volume_mounts: Content,
    /// The user that it runs as where we add it.
    user: i64,
}

impl Agent {
    pub(super) fn new(pod: &Pod<'_>, parts: &Parts<'_>) -> Self {
        let vault = &pod.settings().vault;
        let asked = parts.asked;
        let variable = |name: &'static str, value: Content| Content::map([("name", name.into()), ("value", value)]);
        let address = asked.address.or(vault.address.as_deref());
        let mut env = vec![variable("VAULT_ADDR", address.map_or(Content::Null, |address| address.to_owned().into()))];
        if let Some(file) = asked.ca_cert.or(vault.ca_file.as_deref()) {
            env.push(variable("VAULT_CACERT", file.to_owned().into()));
        }
        env.extend(asked.env.iter().map(|(name, value)| variable(name, (*value).to_owned().into())));
        let mut mounts =
            vec![read_only_mount(parts.token_volume.to_owned(), parts.token_path.to_owned()), read_only_mount(CONFIG, CONFIG_DIRECTORY)];
        mounts.extend(
            parts.directories.iter().map(|Directory { volume, path }| {
                Content::map([("mountPath", (*path).to_owned().into()), ("name", volume.clone().into())])
            }),
        );
        if asked.tls_secret.is_some() {
            mounts.push(read_only_mount(TLS, TLS_DIRECTORY));
        }
        let mut fields = vec![
            ("command", Content::list([vault.agent.command.clone().into()])),
            ("env", Content::List(env)),
            ("image", vault.agent.image.clone().into()),
        ];
        let resources = &vault.agent.resources;
        let amounts = [("limits", &resources.limits), ("requests", &resources.requests)];
        let amounts = amounts.map(|(list, amounts)| (list, amounts_of(amounts, list, asked)));
        let amounts: Vec<_> = amounts.into_iter().filter(|(_, amounts)| !amounts.is_empty()).collect();
        if !amounts.is_empty() {
            fields.push(("resources", Content::map(amounts.into_iter().map(|(list, amounts)| (list, Content::map(amounts))))));
        }
        Self {
            fields,
            security_context: Content::map([
                ("allowPrivilegeEscalation", false.into()),
                ("capabilities", Content::map([("drop", Content::list(["ALL".into()]))])),
                ("readOnlyRootFilesystem", true.into()),
                ("runAsGroup", asked.group.unwrap_or(1000).into()),
                ("runAsNonRoot", true.into()),
                ("seccompProfile", Content::map([("type", "RuntimeDefault".into())])),
            ]),
            volume_mounts: Content::List(mounts),
            user: asked.user.or_else(|| shared_user(pod)).unwrap_or(100),
        }
    }

    /// The container in one form, to be added.
    pub(super) fn container(&self, form: Form) -> Content {
        let mut security_context = self.security_context.clone();
        security_context.set("runAsUser", self.user.into());
        let own = [
            ("args", Content::List(form.args().iter().map(|argument| (*argument).into()).collect())),
            ("name", form.name().into()),
            ("securityContext", security_context),
            ("volumeMounts", self.volume_mounts.clone()),
        ];
        let stays = (form == Form::Native).then(|| ("restartPolicy", "Always".into()));
        Content::map(self.fields.iter().cloned().chain(own).chain(stays))
    }

    /// Whether a container is the one that we add: every field that we set is equal, but for three. The user is ours at its first run
    /// only, since another hook may add containers of other users; it must not be root. Resources are whatever they became: the API
    /// server writes them in its own way, and others change them. The image is one of the operator's; a revision of another image
    /// has variables of its own, else every roll-out would refuse pods (`hardening.md` B4).
    pub(super) fn is(&self, form: Form, container: Node<'_>, agent: &settings::Agent) -> bool {
        let image = container.text("image");
        let of_this_revision = agent.is_own_image(image);
        let user = container.path(&["securityContext", "runAsUser"]).and_then(Node::as_i64);
        user.is_some_and(|user| user != 0)
            && !self.is_read_only(container)
            && agent.is_image(image)
            && container.list("args").map(Node::as_str).eq(form.args().iter().copied().map(Some))
            && (form != Form::Native || container.text("restartPolicy") == "Always")
            && holds_field(container, "securityContext", &self.security_context)
            && holds_field(container, "volumeMounts", &self.volume_mounts)
            && self.fields.iter().all(|(field, wanted)| match *field {
                "image" | "resources" => true,
                "env" if !of_this_revision => true,
                _ => holds_field(container, field, wanted),
            })
    }

    /// Whether one of the directories of secrets could not be written.
    fn is_read_only(&self, container: Node<'_>) -> bool {
        let writable = self.volume_mounts.items().iter().filter(|mount| mount.get("readOnly").is_none());
        writable.filter_map(|mount| mount.get("name")?.as_str()).any(|name| {
            let is_read_only = |mount: Node<'_>| mount.get("readOnly").and_then(Node::as_bool) == Some(true);
            container.list("volumeMounts").any(|mount| mount.text("name") == name && is_read_only(mount))
        })
    }
}

/// The amounts of the settings, with those that the author asks for in their place; an empty one stands for none.
fn amounts_of(amounts: &BTreeMap<String, String>, list: &str, asked: &Asked<'_>) -> Vec<(String, Content)> {
    let mut amounts: BTreeMap<&str, &str> = amounts.iter().map(|(name, amount)| (&**name, &**amount)).collect();
    amounts.extend(asked.resources.iter().filter(|(of, ..)| *of == list).map(|(_, name, amount)| (*name, *amount)));
    let given = amounts.into_iter().filter(|(_, amount)| !amount.is_empty());
    given.map(|(name, amount)| (name.to_owned(), amount.to_owned().into())).collect()
}

impl Form {
    pub(super) fn name(self) -> &'static str {
        if self == Self::Once { INIT } else { AGENT }
    }

    /// The list it stands in.
    pub(super) fn list(self) -> &'static str {
        if self == Self::Classic { "containers" } else { "initContainers" }
    }

    fn args(self) -> &'static [&'static str] {
        match self {
            Self::Once => &["agent", CONFIG_ARGUMENT, "-exit-after-auth"],
            Self::Native | Self::Classic => &["agent", CONFIG_ARGUMENT],
        }
    }
}

/// The one user that all of the author's containers share: then the kubelet gives the token to that user alone, with mode 0600, and
/// an agent of another user would take that away. Root is nobody's choice for an agent.
fn shared_user(pod: &Pod<'_>) -> Option<i64> {
    let of = |node: Node<'_>| node.path(&["securityContext", "runAsUser"]).and_then(Node::as_i64);
    let of_pod = of(pod.spec());
    let is_authors = |name: &str| !is_agent_name(name) && !name.starts_with("linkerd-") && !name.starts_with("istio-");
    let authors = pod.template.containers().filter(|(_, _, container)| is_authors(container.text("name")));
    let mut users = authors.map(|(_, _, container)| of(container).or(of_pod));
    let first = users.next()??;
    (first > 0 && users.all(|user| user == Some(first))).then_some(first)
}

/// Whether a container runs a Vault or OpenBao agent: the program and its subcommand, as words of their own or inside a shell's text.
pub(super) fn is_agent(container: Node<'_>) -> bool {
    let words = || container.list("command").chain(container.list("args")).filter_map(Node::as_str);
    let mut program_before = false;
    for word in words().flat_map(str::split_whitespace) {
        if program_before && word == "agent" {
            return true;
        }
        program_before = matches!(word.rsplit('/').next(), Some("vault" | "bao"));
    }
    // The images' own entry point is the program.
    let image = container.text("image").rsplit('/').next().unwrap_or_default();
    let name = image.split([':', '@']).next().unwrap_or_default();
    container.get("command").is_none_or(Node::is_empty)
        && words().next() == Some("agent")
        && matches!(name, "vault" | "openbao" | "vault-enterprise")
}
