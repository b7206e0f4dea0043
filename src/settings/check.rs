//! What a settings file may not say although it has the right shape: mistakes that would open the door without a word.

use super::exemption::Exemption;
use super::parameters::Settings;
use crate::object::{FieldPath, ShapeError};

impl Settings {
    /// Refuses what would not do what its author believes.
    pub(super) fn check(&self) -> Result<(), ShapeError> {
        self.check_selectors()?;
        self.check_api_token()?;
        self.check_injections()?;
        self.check_exemptions()
    }

    /// Whoever may write a label that decides how strictly rules are enforced may switch them off (`hardening.md` A24).
    fn check_selectors(&self) -> Result<(), ShapeError> {
        let protected = |key: &str| {
            key == "kubernetes.io/metadata.name"
                || self.protected_labels.iter().any(|listed| match listed.strip_suffix('*') {
                    Some(start) => key.starts_with(start),
                    None => listed == key,
                })
        };
        for (index, entry) in self.enforcement.iter().enumerate() {
            let Some(selector) = &entry.namespace_selector else { continue };
            let keys = selector.match_labels.keys().chain(selector.match_expressions.iter().map(|requirement| &requirement.key));
            if let Some(key) = keys.into_iter().find(|key| !protected(key)) {
                let path = FieldPath::of(&["enforcement"]).index(index).field("namespaceSelector");
                let message = format!(
                    "selects by the label `{key}`, which whoever may label a namespace can write; select by \
                     `kubernetes.io/metadata.name`, or list the label under `protectedLabels`"
                );
                return Err(ShapeError { path, message });
            }
        }
        Ok(())
    }

    /// A token for the API of 3607 seconds would be taken for the ServiceAccount plugin's, and the API server would make a year of it.
    fn check_api_token(&self) -> Result<(), ShapeError> {
        let message = match self.kube_api.ttl {
            3607 => "is the lifetime of the ServiceAccount plugin's own token, which the API server extends to a year; write 3600",
            ttl if ttl < 600 => "must be at least 600: the API server gives no shorter token",
            _ => return Ok(()),
        };
        Err(ShapeError { path: FieldPath::of(&["kubeApi", "ttl"]), message: format!("`{}` {message}", self.kube_api.ttl) })
    }

    /// An exemption that names nobody would lift nothing, and its author would believe that it does.
    fn check_exemptions(&self) -> Result<(), ShapeError> {
        let nobody = |entry: &Exemption| entry.namespace.is_empty() && entry.name.as_deref().unwrap_or_default().is_empty();
        let Some(index) = self.exemptions.iter().position(nobody) else { return Ok(()) };
        let message = "names nobody; write a `namespace`, or the `name` of a cluster-scoped object".to_owned();
        Err(ShapeError { path: FieldPath::of(&["exemptions"]).index(index), message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;

    #[test]
    fn hardening_a24_enforcement_is_selected_by_protected_labels_only() {
        let settings = |protected: &str| {
            let text = format!(
                r#"{{"protectedLabels":[{protected}],"enforcement":[{{"rules":["*"],"enforcement":"Audit",
                "namespaceSelector":{{"matchExpressions":[{{"key":"team.example.com/tier","operator":"Exists"}}]}}}}]}}"#
            );
            Settings::read(&Object::from_json(text).unwrap())
        };
        let error = settings("").unwrap_err();
        assert_eq!(error.path.to_string(), "enforcement[0].namespaceSelector");
        assert!(error.message.contains("list the label under `protectedLabels`"), "{error}");
        assert!(settings(r#""team.example.com/tier""#).is_ok() && settings(r#""team.example.com/*""#).is_ok());
        assert!(settings(r#""other.example.com/*""#).is_err());
    }

    #[test]
    fn a_token_that_would_live_for_a_year_is_a_mistake() {
        let read = |ttl: i64| Settings::read(&Object::from_json(format!(r#"{{"kubeApi":{{"ttl":{ttl}}}}}"#)).unwrap());
        assert!(read(3607).unwrap_err().to_string().starts_with("kubeApi.ttl: `3607` is the lifetime of the ServiceAccount plugin's"));
        assert_eq!(read(599).unwrap_err().to_string(), "kubeApi.ttl: `599` must be at least 600: the API server gives no shorter token");
        assert!(read(600).is_ok() && read(3600).is_ok());
    }

    #[test]
    fn an_exemption_of_nobody_is_a_mistake() {
        let read = |entry: &str| Settings::read(&Object::from_json(format!(r#"{{"exemptions":[{entry}]}}"#)).unwrap());
        for nobody in [r#"{"rules":["*"]}"#, r#"{"rules":["*"],"namespace":"","name":""}"#, r#"{"rules":["*"],"serviceAccount":"a"}"#] {
            let error = read(nobody).unwrap_err();
            assert_eq!(error.to_string(), "exemptions[0]: names nobody; write a `namespace`, or the `name` of a cluster-scoped object");
        }
        assert!(read(r#"{"rules":["no-wildcard-rbac"],"name":"argocd"}"#).is_ok() && read(r#"{"rules":["*"],"namespace":"a"}"#).is_ok());
    }
}
