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
    only(volume, &["name", "projected"])
        && volume.get("projected").is_some_and(|projected| {
            only(projected, &["sources", "defaultMode"])
                && projected.get("defaultMode").is_none_or(|mode| mode.as_i64() == Some(420))
                && are_plugin_sources(projected)
        })
}

fn are_plugin_sources(projected: Node<'_>) -> bool {
    let mut sources = projected.list("sources");
    let (Some(token), Some(certificates), Some(namespace), None) = (sources.next(), sources.next(), sources.next(), sources.next()) else {
        return false;
    };
    let token_fits = single(token, "serviceAccountToken").is_some_and(|token| {
        only(token, &["path", "expirationSeconds", "audience"])
            && token.text("path") == "token"
            && token.get("expirationSeconds").and_then(Node::as_i64) == Some(PLUGIN_SECONDS)
            && token.get("audience").is_none_or(|audience| audience.as_str() == Some(""))
    });
    let certificates_fit = single(certificates, "configMap").is_some_and(|map| {
        only(map, &["name", "items"])
            && map.text("name") == "kube-root-ca.crt"
            && sole_item(map)
                .is_some_and(|item| only(item, &["key", "path"]) && item.text("key") == "ca.crt" && item.text("path") == "ca.crt")
    });
    let namespace_fits = single(namespace, "downwardAPI").is_some_and(|downward| {
        only(downward, &["items"])
            && sole_item(downward).is_some_and(|item| {
                only(item, &["path", "fieldRef"])
                    && item.text("path") == "namespace"
                    && item.get("fieldRef").is_some_and(|reference| {
                        only(reference, &["apiVersion", "fieldPath"])
                            && matches!(reference.text("apiVersion"), "" | "v1")
                            && reference.text("fieldPath") == "metadata.namespace"
                    })
            })
    });
    token_fits && certificates_fit && namespace_fits
}

/// The value of a map's only field.
fn single<'a>(node: Node<'a>, key: &str) -> Option<Node<'a>> {
    if only(node, &[key]) { node.get(key) } else { None }
}

/// The only item of `items`.
fn sole_item(node: Node<'_>) -> Option<Node<'_>> {
    let mut items = node.list("items");
    items.next().filter(|_| items.len() == 0)
}

/// Whether a map holds no field but these; nulls count as absent.
fn only(node: Node<'_>, keys: &[&str]) -> bool {
    node.entries().all(|(key, value)| value.is_null() || keys.contains(&key))
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
