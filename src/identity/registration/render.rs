//! A template of a `ClusterSPIFFEID` carried out on a pod, with the data and the answers that SPIRE Controller Manager gives Go's
//! `text/template` (`templateData` and `renderPodEntry` in `pkg/spireentry/entries.go`): fields, `index` on a map, comments and trim
//! markers. What more a template does is not known here, and neither is what only the scheduler or the API server decides.

use super::template::{Part, parts};
use crate::identity::{Beside, Surroundings};
use crate::object::{Node, PodTemplate, quoted};

/// Why a template gives no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unrendered {
    /// It hangs on something that is not known yet or not read here.
    Unknown(String),
    /// The controller will not render it either.
    Failed(String),
}

/// What Go prints for a key that a map lacks, where it is named as a field.
const NO_VALUE: &str = "<no value>";

/// Go's white space around a trim marker.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// What a template may ask for.
#[derive(Clone, Copy)]
pub(super) struct PodData<'a> {
    pub(super) template: PodTemplate<'a>,
    pub(super) surroundings: &'a Surroundings<'a>,
}

/// A value of the data.
enum Datum<'a> {
    Text(&'a str),
    Map { of: &'static str, node: Option<Node<'a>> },
}

/// The text of a template.
pub(super) fn render(template: &str, data: PodData<'_>) -> Result<String, Unrendered> {
    let pieces = parts(template).ok_or_else(|| Unrendered::Failed("has an action that is not closed".into()))?;
    let mut out = String::new();
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Part::Text(text) => {
                let before = index.checked_sub(1).and_then(|before| pieces.get(before));
                let trims =
                    |action: Option<&Part<'_>>, marked: fn(&str) -> bool| matches!(action, Some(Part::Action(action)) if marked(action));
                let text = if trims(before, trims_after) { text.trim_start_matches(SPACE) } else { text };
                let text = if trims(pieces.get(index + 1), trims_before) { text.trim_end_matches(SPACE) } else { text };
                out.push_str(text);
            }
            Part::Field(field) => out.push_str(data.field(field)?),
            Part::Action(action) => out.push_str(data.action(action)?),
        }
    }
    Ok(out)
}

fn trims_before(action: &str) -> bool {
    action.strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACE))
}

fn trims_after(action: &str) -> bool {
    action.strip_suffix('-').is_some_and(|rest| rest.ends_with(SPACE))
}

impl<'a> PodData<'a> {
    /// The name of the pod's node, once it has one.
    pub(super) fn node_name(self) -> Option<&'a str> {
        Some(self.template.spec().text("nodeName")).filter(|name| !name.is_empty())
    }

    /// The pod's node, where it is at hand.
    fn node(self) -> Result<Node<'a>, Unrendered> {
        let name = self.node_name().ok_or_else(|| Unrendered::Unknown("a pod has its node only when it is scheduled".into()))?;
        Beside::named(self.surroundings.beside.nodes, name).ok_or_else(|| {
            Unrendered::Unknown(format!(
                "node `{}` is not at hand: a cluster shows it, as `doorward explain NAMESPACE/POD` asks it",
                quoted(name)
            ))
        })
    }

    /// A field of the pod's own metadata; `None` for a template, whose pods get theirs when they are made.
    pub(super) fn own(self, key: &str) -> Option<&'a str> {
        let metadata = self.template.node.get("metadata").filter(|_| self.template.place.is_pod())?;
        Some(metadata.text(key)).filter(|text| !text.is_empty())
    }

    fn action(self, action: &str) -> Result<&'a str, Unrendered> {
        let inner = if trims_before(action) { action.trim_start_matches('-') } else { action };
        let inner = if trims_after(inner) { inner.trim_end_matches('-') } else { inner };
        let inner = inner.trim_matches(SPACE);
        if inner.starts_with("/*") && inner.ends_with("*/") {
            return Ok("");
        }
        let template = format!("{{{{ {inner} }}}}");
        if let Some([Part::Field(field)]) = parts(&template).as_deref() {
            return self.field(field);
        }
        if let Some((field, key)) = indexed(inner) {
            return match self.datum(field)? {
                // The zero value of a map of strings.
                Datum::Map { of, node } => self.entry(of, node, key, ""),
                Datum::Text(_) => Err(Unrendered::Failed(format!("takes `{}` for a map", quoted(field)))),
            };
        }
        Err(Unrendered::Unknown(format!("`{{{{ {} }}}}` is more than is read of a template here", quoted(inner))))
    }

    fn field(self, path: &str) -> Result<&'a str, Unrendered> {
        if let Ok(Datum::Text(text)) = self.datum(path) {
            return Ok(text);
        }
        // A map may stand before the last name.
        if let Some((map, key)) = path.rsplit_once('.') {
            match self.datum(map) {
                Ok(Datum::Map { of, node }) => return self.entry(of, node, key, NO_VALUE),
                Err(reason) if map.starts_with("NodeMeta.") => return Err(reason),
                _ => {}
            }
        }
        match self.datum(path)? {
            Datum::Text(text) => Ok(text),
            Datum::Map { of, .. } => Err(Unrendered::Failed(format!("prints all {of}, which is no part of a name"))),
        }
    }

    /// The entry of a map. Controllers and other webhooks add labels to the pods that they make, so that a template does not tell what
    /// its pods lack.
    fn entry(self, of: &'static str, map: Option<Node<'a>>, key: &str, absent: &'static str) -> Result<&'a str, Unrendered> {
        match map.and_then(|map| map.get(key)).and_then(Node::as_str) {
            Some(value) => Ok(value),
            None if self.template.place.is_pod() || of.ends_with("of the node") => Ok(absent),
            None => Err(Unrendered::Unknown(format!("`{}` is not among the template's {of}, and its controller may add it", quoted(key)))),
        }
    }

    fn datum(self, path: &str) -> Result<Datum<'a>, Unrendered> {
        let settings = self.surroundings.settings;
        let spec = self.template.spec();
        let map = |of, node| Ok(Datum::Map { of, node });
        let text = |text| Ok(Datum::Text(text));
        let known = |value: Option<&'a str>, why: &str| value.map(Datum::Text).ok_or_else(|| Unrendered::Unknown(why.to_owned()));
        let or = |key: &str, default: &'static str| match spec.text(key) {
            "" => Datum::Text(default),
            value => Datum::Text(value),
        };
        let flag = |key: &str| if spec.get(key).and_then(Node::as_bool) == Some(true) { "true" } else { "false" };
        match path {
            "TrustDomain" => known(settings.spiffe.trust_domain.as_deref(), "`spiffe.trustDomain` is not set"),
            "ClusterName" => {
                known(Some(settings.cluster.spire_name.as_str()).filter(|name| !name.is_empty()), "`cluster.spireName` is not set")
            }
            "ClusterDomain" => known(settings.cluster.domain.as_deref(), "`cluster.domain` is not set"),
            "PodMeta.Namespace" => text(self.surroundings.namespace),
            "PodMeta.Name" => known(self.own("name"), "a pod has its name only when it is made"),
            "PodMeta.GenerateName" if self.template.place.is_pod() => text(self.own("generateName").unwrap_or_default()),
            "PodMeta.UID" => known(self.own("uid"), "a pod has its UID only when it is made"),
            "PodMeta.Labels" => map("labels", self.template.node.path(&["metadata", "labels"])),
            "PodMeta.Annotations" => map("annotations", self.template.node.path(&["metadata", "annotations"])),
            "PodSpec.ServiceAccountName" | "PodSpec.DeprecatedServiceAccount" => text(self.template.service_account_name()),
            "PodSpec.NodeSelector" => map("node selectors", spec.get("nodeSelector")),
            "PodSpec.Hostname" => text(spec.text("hostname")),
            "PodSpec.Subdomain" => text(spec.text("subdomain")),
            "PodSpec.SchedulerName" => Ok(or("schedulerName", "default-scheduler")),
            "PodSpec.RestartPolicy" => Ok(or("restartPolicy", "Always")),
            "PodSpec.DNSPolicy" => Ok(or("dnsPolicy", "ClusterFirst")),
            "PodSpec.HostNetwork" => text(flag("hostNetwork")),
            "PodSpec.HostPID" => text(flag("hostPID")),
            "PodSpec.HostIPC" => text(flag("hostIPC")),
            "PodSpec.NodeName" | "NodeMeta.Name" => known(self.node_name(), "a pod has its node only when it is scheduled"),
            "NodeMeta.Labels" => map("labels of the node", self.node()?.path(&["metadata", "labels"])),
            "NodeMeta.Annotations" => map("annotations of the node", self.node()?.path(&["metadata", "annotations"])),
            "NodeMeta.UID" => text(self.node()?.path(&["metadata", "uid"]).and_then(Node::as_str).unwrap_or_default()),
            "NodeSpec.ProviderID" => text(self.node()?.path(&["spec", "providerID"]).and_then(Node::as_str).unwrap_or_default()),
            "NodeSpec.PodCIDR" => text(self.node()?.path(&["spec", "podCIDR"]).and_then(Node::as_str).unwrap_or_default()),
            _ => Err(Unrendered::Unknown(format!("`.{}` is no field that is read here", quoted(path)))),
        }
    }
}

/// The field and the key of `index .PodMeta.Labels "app"`. A key with an escape is not read.
fn indexed(action: &str) -> Option<(&str, &str)> {
    let rest = action.strip_prefix("index")?.strip_prefix(SPACE)?.trim_start_matches(SPACE);
    let (field, key) = rest.strip_prefix('.')?.split_once(SPACE)?;
    let key = key.trim_matches(SPACE);
    let key = ['"', '`'].into_iter().find_map(|quote| key.strip_prefix(quote)?.strip_suffix(quote))?;
    (!key.contains(['"', '`', '\\'])).then_some((field, key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::{Class, KnownSecrets};
    use crate::object::{Fact, GroupVersionKind, Object};
    use crate::settings::Settings;

    #[expect(clippy::needless_pass_by_value, reason = "written once and given away")]
    fn rendered(kind: &GroupVersionKind, object: serde_json::Value, template: &str) -> Result<String, Unrendered> {
        let object = Object::from_json(object.to_string()).unwrap();
        let (namespace_object, service_account) = (Fact::Absent, Fact::Absent);
        let (settings, token_secrets) = (Settings::demonstration(), KnownSecrets::default());
        let surroundings = Surroundings {
            settings: &settings,
            namespace: "payments",
            namespace_object: &namespace_object,
            service_account: &service_account,
            token_secrets: &token_secrets,
            class: Class::App,
            beside: Beside::default(),
        };
        render(template, PodData { template: PodTemplate::of(kind, object.root()).unwrap(), surroundings: &surroundings })
    }

    fn of_pod(template: &str) -> Result<String, Unrendered> {
        let pod = json!({
            "metadata": { "name": "api-0", "labels": { "app": "api", "example.com/tier": "gold" } },
            "spec": { "serviceAccountName": "api", "hostNetwork": true, "nodeSelector": { "zone": "a" } },
        });
        rendered(&GroupVersionKind::new("", "v1", "Pod"), pod, template)
    }

    /// The expected texts are those of Go 1.26's `text/template` over the controller's own `templateData`.
    #[test]
    fn a_template_gives_what_go_gives() {
        for (template, expected) in [
            ("spiffe://{{ .TrustDomain }}/c/{{.ClusterName}}", "spiffe://demo.example.com/c/demo"),
            ("/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}", "/ns/payments/sa/api"),
            ("{{ .PodMeta.Name }}.{{ .PodMeta.Labels.app }}", "api-0.api"),
            ("{{ index .PodMeta.Labels \"example.com/tier\" }}", "gold"),
            ("{{ index .PodMeta.Labels `app` }}", "api"),
            ("[{{ index .PodMeta.Annotations \"none\" }}]", "[]"),
            ("[{{ .PodMeta.Labels.none }}]", "[<no value>]"),
            ("{{ .PodSpec.NodeSelector.zone }}{{ .PodSpec.HostNetwork }}{{ .PodSpec.HostPID }}", "atruefalse"),
            ("{{ .PodSpec.RestartPolicy }}/{{ .PodSpec.DNSPolicy }}/{{ .PodSpec.Hostname }}", "Always/ClusterFirst/"),
            ("a {{- /* why */ -}} b", "ab"),
            ("a {{- .PodMeta.Name }} b", "aapi-0 b"),
            ("a {{ .PodMeta.Name -}} b", "a api-0b"),
        ] {
            assert_eq!(of_pod(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for (template, cause) in [
            ("{{ .NodeMeta.Name }}", "a pod has its node only when it is scheduled"),
            ("{{ .NodeMeta.Labels.zone }}", "a pod has its node only when it is scheduled"),
            ("{{ .PodMeta.UID }}", "a pod has its UID only when it is made"),
            ("{{ .ClusterDomain }}", "`cluster.domain` is not set"),
            ("{{ .PodSpec.Priority }}", "`.PodSpec.Priority` is no field that is read here"),
            ("{{ if true }}", "`{{ if true }}` is more than is read of a template here"),
            ("{{ .PodMeta.Name | printf \"%s\" }}", "`{{ .PodMeta.Name | printf \"%s\" }}` is more than is read of a template here"),
        ] {
            assert_eq!(of_pod(template), Err(Unrendered::Unknown(cause.into())), "{template}");
        }
        for (template, cause) in [
            ("{{ .PodMeta.Labels }}", "prints all labels, which is no part of a name"),
            ("{{ .PodMeta.Name", "has an action that is not closed"),
            ("{{ index .PodMeta.Name \"a\" }}", "takes `PodMeta.Name` for a map"),
        ] {
            assert_eq!(of_pod(template), Err(Unrendered::Failed(cause.into())), "{template}");
        }
    }

    /// The pods of a workload are named and labelled by its controller.
    #[test]
    fn a_template_of_pods_has_no_name_yet() {
        let kind = GroupVersionKind::new("apps", "v1", "Deployment");
        let of = |template: &str| {
            let object = json!({ "metadata": { "name": "x" }, "spec": { "template": { "metadata": { "name": "y", "labels": { "app": "api" } }, "spec": {} } } });
            rendered(&kind, object, template)
        };
        assert_eq!(of("{{ .PodMeta.Labels.app }}/{{ .PodSpec.ServiceAccountName }}").as_deref(), Ok("api/default"));
        let unknown = |cause: &str| Err(Unrendered::Unknown(cause.into()));
        assert_eq!(of("{{ .PodMeta.Name }}"), unknown("a pod has its name only when it is made"));
        assert_eq!(of("{{ .PodMeta.Labels.hash }}"), unknown("`hash` is not among the template's labels, and its controller may add it"));
    }
}
