//! The volume that the ServiceAccount admission plugin adds: recognised by content, because any tenant may use its name.

use crate::object::Node;

/// Lifetime that the plugin asks for. The API server honours such a token for a year by default, which is why it is told apart from
/// 3600 (`--service-account-extend-token-expiration`).
pub(super) const PLUGIN_SECONDS: i64 = 3607;

/// Whether a volume equals, field by field, the one that Kubernetes' ServiceAccount plugin adds (`TokenVolumeSource` in
/// `plugin/pkg/admission/serviceaccount`): three projected sources in its order, nothing more, `defaultMode` 420 or absent. The name
/// plays no part.
#[must_use]
pub fn is_plugin_token_volume(volume: Node<'_>) -> bool {
    let Some([_, Some(projected)]) = fields(volume, ["name", "projected"]) else { return false };
    let Some([Some(sources), mode]) = fields(projected, ["sources", "defaultMode"]) else { return false };
    let mut sources = sources.items();
    let (Some(token), Some(certificates), Some(namespace), None) = (sources.next(), sources.next(), sources.next(), sources.next()) else {
        return false;
    };
    mode.is_none_or(|mode| mode.as_i64() == Some(420)) && is_token(token) && is_certificates(certificates) && is_namespace(namespace)
}

fn is_token(source: Node<'_>) -> bool {
    let Some([Some(token)]) = fields(source, ["serviceAccountToken"]) else { return false };
    let Some([path, seconds, audience]) = fields(token, ["path", "expirationSeconds", "audience"]) else { return false };
    is(path, "token")
        && seconds.and_then(Node::as_i64) == Some(PLUGIN_SECONDS)
        && audience.is_none_or(|audience| audience.as_str() == Some(""))
}

fn is_certificates(source: Node<'_>) -> bool {
    let Some([Some(map)]) = fields(source, ["configMap"]) else { return false };
    let Some([name, Some(items)]) = fields(map, ["name", "items"]) else { return false };
    let Some([key, path]) = sole(items).and_then(|item| fields(item, ["key", "path"])) else { return false };
    is(name, "kube-root-ca.crt") && is(key, "ca.crt") && is(path, "ca.crt")
}

fn is_namespace(source: Node<'_>) -> bool {
    let Some([Some(downward)]) = fields(source, ["downwardAPI"]) else { return false };
    let Some([Some(items)]) = fields(downward, ["items"]) else { return false };
    let Some([path, Some(reference)]) = sole(items).and_then(|item| fields(item, ["path", "fieldRef"])) else { return false };
    let Some([version, field]) = fields(reference, ["apiVersion", "fieldPath"]) else { return false };
    let version = version.and_then(Node::as_str).unwrap_or_default();
    is(path, "namespace") && matches!(version, "" | "v1") && is(field, "metadata.namespace")
}

fn is(node: Option<Node<'_>>, text: &str) -> bool {
    node.and_then(Node::as_str) == Some(text)
}

/// The only item of a list.
fn sole(list: Node<'_>) -> Option<Node<'_>> {
    let mut items = list.items();
    items.next().filter(|_| items.len() == 0)
}

/// The values of a map that holds no field but these; nulls count as absent.
fn fields<'a, const COUNT: usize>(node: Node<'a>, keys: [&str; COUNT]) -> Option<[Option<Node<'a>>; COUNT]> {
    let mut values = [None; COUNT];
    for (key, value) in node.entries() {
        let present = Some(value).filter(|value| !value.is_null());
        match keys.iter().zip(&mut values).find(|(known, _)| **known == key) {
            Some((_, place)) => *place = present,
            None if present.is_some() => return None,
            None => {}
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;

    const PLUGIN: &str = r#"{"name":"kube-api-access-x7k2p","projected":{"defaultMode":420,"sources":[
        {"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},
        {"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},
        {"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"}}]}}]}}"#;

    #[test]
    fn hardening_a6_the_plugins_volume_is_known_by_content_under_any_name() {
        for (what, from, to, expected) in [
            ("as it is", "", "", true),
            ("another name", "kube-api-access-x7k2p", "anything", true),
            ("mode left out", r#""defaultMode":420,"#, "", true),
            ("an empty audience", r#""path":"token""#, r#""path":"token","audience":"""#, true),
            ("a null field", r#""path":"token""#, r#""path":"token","audience":null"#, true),
            ("another lifetime", "3607", "3600", false),
            ("an audience", r#""path":"token""#, r#""path":"token","audience":"vault""#, false),
            ("another file", r#""path":"token""#, r#""path":"jwt""#, false),
            ("another mode", "420", "511", false),
            ("another map", "kube-root-ca.crt", "mine", false),
            ("an optional map", r#""name":"kube-root-ca.crt""#, r#""name":"kube-root-ca.crt","optional":true"#, false),
            ("another field", "metadata.namespace", "metadata.name", false),
            ("one source more", "}]}}]}}", r#"}]}},{"secret":{"name":"s"}}]}}"#, false),
            ("a second token", r#"{"configMap":"#, r#"{"serviceAccountToken":{"path":"x"},"configMap":"#, false),
            ("a second kind of volume", r#""projected":"#, r#""emptyDir":{},"projected":"#, false),
        ] {
            let text = if from.is_empty() { PLUGIN.to_owned() } else { PLUGIN.replace(from, to) };
            assert!(from.is_empty() || text != PLUGIN, "{what} changes nothing");
            let volume = Object::from_json(text).unwrap();
            assert_eq!(is_plugin_token_volume(volume.root()), expected, "{what}");
        }
        let empty = Object::from_json(r#"{"name":"kube-api-access-evil","emptyDir":{}}"#).unwrap();
        assert!(!is_plugin_token_volume(empty.root()));
    }
}
