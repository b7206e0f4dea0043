//! Label selectors, as `metav1.LabelSelector` defines and evaluates them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tree::Node;

/// A `metav1.LabelSelector`: every requirement must hold; an empty selector selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels that must be there with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on single labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// A `metav1.LabelSelectorRequirement`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How the label relates to the values.
    pub operator: Operator,
    /// The values; none for `Exists` and `DoesNotExist`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// A `metav1.LabelSelectorOperator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Operator {
    /// The label is there with one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether nothing is required.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// The selector as the API server reads it in a request's query.
    #[must_use]
    pub fn query(&self) -> String {
        let labels = self.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
        let expressions = self.match_expressions.iter().map(|Requirement { key, operator, values }| match operator {
            Operator::In => format!("{key} in ({})", values.join(",")),
            Operator::NotIn => format!("{key} notin ({})", values.join(",")),
            Operator::Exists => key.clone(),
            Operator::DoesNotExist => format!("!{key}"),
        });
        labels.chain(expressions).collect::<Vec<_>>().join(",")
    }

    /// Whether a map of labels fulfils every requirement. `None` means an object without labels.
    #[must_use]
    pub fn matches(&self, labels: Option<Node<'_>>) -> bool {
        self.holds(|key| labels.and_then(|labels| labels.get(key)).and_then(Node::as_str))
    }

    /// Whether a Namespace fulfils every requirement. The label of its name is the API server's to write, so it is there whatever a
    /// manifest says.
    #[must_use]
    pub fn matches_namespace(&self, name: &str, labels: Option<Node<'_>>) -> bool {
        self.holds(|key| match key {
            "kubernetes.io/metadata.name" => Some(name),
            _ => labels.and_then(|labels| labels.get(key)).and_then(Node::as_str),
        })
    }

    fn holds<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        self.match_labels.iter().all(|(key, value)| label(key) == Some(value.as_str()))
            && self.match_expressions.iter().all(|requirement| {
                let value = label(&requirement.key);
                let listed = value.is_some_and(|value| requirement.values.iter().any(|listed| listed == value));
                match requirement.operator {
                    Operator::In => listed,
                    Operator::NotIn => !listed,
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Object;
    use super::*;

    #[test]
    fn follows_the_api_server() {
        let labels = Object::from_json(r#"{"a":"1","b":"2"}"#).unwrap();
        let cases = [
            (r"{}", true),
            (r#"{"matchLabels":{"a":"1"}}"#, true),
            (r#"{"matchLabels":{"a":"2"}}"#, false),
            (r#"{"matchExpressions":[{"key":"b","operator":"In","values":["2","3"]}]}"#, true),
            (r#"{"matchExpressions":[{"key":"c","operator":"NotIn","values":["2"]}]}"#, true),
            (r#"{"matchExpressions":[{"key":"a","operator":"Exists"},{"key":"c","operator":"Exists"}]}"#, false),
            (r#"{"matchExpressions":[{"key":"c","operator":"DoesNotExist"}]}"#, true),
        ];
        for (text, expected) in cases {
            let selector: LabelSelector = serde_json::from_str(text).unwrap();
            assert_eq!(selector.matches(Some(labels.root())), expected, "{text}");
        }
    }

    #[test]
    fn a_namespace_has_the_label_of_its_name() {
        let text = r#"{"matchLabels":{"kubernetes.io/metadata.name":"legacy","a":"1"}}"#;
        let selector: LabelSelector = serde_json::from_str(text).unwrap();
        let labels = Object::from_json(r#"{"a":"1"}"#).unwrap();
        assert!(selector.matches_namespace("legacy", Some(labels.root())) && !selector.matches(Some(labels.root())));
        assert!(!selector.matches_namespace("other", Some(labels.root())) && !selector.matches_namespace("legacy", None));
        let forged = Object::from_json(r#"{"a":"1","kubernetes.io/metadata.name":"legacy"}"#).unwrap();
        assert!(!selector.matches_namespace("other", Some(forged.root())));
    }
}
