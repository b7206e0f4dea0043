//! Whether the ServiceAccount plugin mounts an API token, and who says so.

use super::model::ApiTokenSource;
use crate::object::{Fact, Node, PodTemplate};

/// What the ServiceAccount plugin will do, or has done, with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Automount {
    /// Whether it adds an API token; `None` if that hangs on a ServiceAccount that could not be read.
    pub on: Option<bool>,
    /// The value that pod or ServiceAccount set, the pod's first; `None` if neither did, or the latter is not known.
    pub explicit: Option<bool>,
    /// Who decided: the pod, the ServiceAccount, the default, nobody (a mirror pod), or not known.
    pub source: ApiTokenSource,
}

impl Automount {
    /// Reads `automountServiceAccountToken` as the plugin does: the pod's value, else the ServiceAccount's, else true. A mirror pod gets
    /// no token.
    #[must_use]
    pub fn of(template: PodTemplate<'_>, service_account: &Fact<Node<'_>>) -> Self {
        if template.annotation("kubernetes.io/config.mirror").is_some() {
            return Self { on: Some(false), explicit: None, source: ApiTokenSource::None };
        }
        if let Some(value) = field(template.spec()) {
            return Self { on: Some(value), explicit: Some(value), source: ApiTokenSource::Pod };
        }
        match service_account {
            Fact::Found(object) => match field(*object) {
                Some(value) => Self { on: Some(value), explicit: Some(value), source: ApiTokenSource::ServiceAccount },
                None => Self { on: Some(true), explicit: None, source: ApiTokenSource::Default },
            },
            Fact::Absent => Self { on: Some(true), explicit: None, source: ApiTokenSource::Default },
            Fact::Unknown(_) => Self { on: None, explicit: None, source: ApiTokenSource::Unknown },
        }
    }
}

fn field(node: Node<'_>) -> Option<bool> {
    node.get("automountServiceAccountToken").and_then(Node::as_bool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{GroupVersionKind, Object};

    #[test]
    fn the_pod_wins_over_the_service_account_and_unknown_stays_unknown() {
        let account = |text: &str| Object::from_json(text).unwrap();
        let (yes, no, unset) =
            (account(r#"{"automountServiceAccountToken":true}"#), account(r#"{"automountServiceAccountToken":false}"#), account("{}"));
        let known = |object| Fact::Found(Object::root(object));
        for (pod, fact, on, explicit, source) in [
            ("true", known(&no), Some(true), Some(true), ApiTokenSource::Pod),
            ("false", known(&yes), Some(false), Some(false), ApiTokenSource::Pod),
            ("false", Fact::Unknown("down".into()), Some(false), Some(false), ApiTokenSource::Pod),
            ("null", known(&yes), Some(true), Some(true), ApiTokenSource::ServiceAccount),
            ("null", known(&no), Some(false), Some(false), ApiTokenSource::ServiceAccount),
            ("null", known(&unset), Some(true), None, ApiTokenSource::Default),
            ("null", Fact::Absent, Some(true), None, ApiTokenSource::Default),
            ("null", Fact::Unknown("down".into()), None, None, ApiTokenSource::Unknown),
        ] {
            let object = Object::from_json(format!(r#"{{"spec":{{"automountServiceAccountToken":{pod}}}}}"#)).unwrap();
            let template = PodTemplate::of(&GroupVersionKind::new("", "v1", "Pod"), object.root()).unwrap();
            assert_eq!(Automount::of(template, &fact), Automount { on, explicit, source }, "{pod} {fact:?}");
        }
    }
}
