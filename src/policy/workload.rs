//! Which workload an object belongs to, so that a ServiceAccount of one workload can be told from one that several share.

use crate::object::{Node, PodTemplate};

/// The name of an object's workload: label `app.kubernetes.io/name` of the object, else of its pods; else the name of the controller
/// that made it, for a Deployment's `ReplicaSet`s are no workloads of their own; else its own.
pub(super) fn workload_of<'a>(object: Node<'a>, template: Option<PodTemplate<'a>>) -> &'a str {
    const NAME: &str = "app.kubernetes.io/name";
    let Some(metadata) = object.get("metadata") else { return "" };
    let label = metadata.get("labels").and_then(|labels| labels.get(NAME)).and_then(Node::as_str);
    let controller = || {
        let mut owners = metadata.list("ownerReferences");
        owners.find(|owner| owner.get("controller").and_then(Node::as_bool) == Some(true)).map(|owner| owner.text("name"))
    };
    let own = || [metadata.text("name"), metadata.text("generateName")].into_iter().find(|name| !name.is_empty());
    label.or_else(|| template?.label(NAME)).or_else(controller).or_else(own).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{GroupVersionKind, Object};

    #[test]
    fn a_workload_is_named_by_label_then_controller_then_itself() {
        for (metadata, pod, expected) in [
            (r#"{"name":"a"}"#, "{}", "a"),
            (r#"{"generateName":"a-"}"#, "{}", "a-"),
            (r#"{"name":"a","labels":{"app.kubernetes.io/name":"b"}}"#, r#"{"labels":{"app.kubernetes.io/name":"c"}}"#, "b"),
            (r#"{"name":"a"}"#, r#"{"labels":{"app.kubernetes.io/name":"c"}}"#, "c"),
            (r#"{"name":"a-1","ownerReferences":[{"kind":"X","name":"x"},{"kind":"Deployment","name":"a","controller":true}]}"#, "{}", "a"),
        ] {
            let text = format!(r#"{{"metadata":{metadata},"spec":{{"template":{{"metadata":{pod},"spec":{{}}}}}}}}"#);
            let object = Object::from_json(text).unwrap();
            let template = PodTemplate::of(&GroupVersionKind::new("apps", "v1", "ReplicaSet"), object.root());
            assert_eq!(workload_of(object.root(), template), expected, "{metadata} {pod}");
        }
    }
}
