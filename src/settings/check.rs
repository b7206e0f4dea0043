//! What a settings file may not say although it has the right shape: mistakes that would open the door without a word.

use super::exemption::Exemption;
use super::grantee::{Classes, Grantee};
use super::parameters::Settings;
use crate::object::{FieldPath, GroupVersionKind, PodTemplateKind, Segment, ShapeError};

impl Settings {
    /// Refuses what would not do what its author believes.
    pub(super) fn check(&self) -> Result<(), ShapeError> {
        self.check_selectors()?;
        self.check_api_token()?;
        self.check_exemptions()?;
        self.check_grantees()?;
        self.check_listed_templates()
    }

    /// A kind of Kubernetes' own keeps its template where it keeps it, and a path that is none would find nothing in silence.
    fn check_listed_templates(&self) -> Result<(), ShapeError> {
        for (index, listed) in self.pod_templates.iter().enumerate() {
            let refuse = |field: &str, message: String| {
                Err(ShapeError { path: FieldPath::of(&["podTemplates"]).index(index).field(field.to_owned()), message })
            };
            if listed.kind.is_empty() {
                return refuse("kind", "must not be empty".into());
            }
            if PodTemplateKind::of(&GroupVersionKind::new(&listed.group, "", &listed.kind)).is_some() {
                return refuse("kind", format!("`{}` of group `{}` is known already", listed.kind, listed.group));
            }
            let is_field = |segment: &Segment| matches!(segment, Segment::Field(_));
            match FieldPath::parse(&listed.path) {
                Ok(path) if !path.is_root() && path.segments().iter().all(is_field) => {}
                Ok(_) => return refuse("path", format!("`{}` must name fields, such as `spec.template`", listed.path)),
                Err(message) => return refuse("path", message),
            }
        }
        Ok(())
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
        let refuse = |index: usize, message: &str| {
            Err(ShapeError { path: FieldPath::of(&["exemptions"]).index(index), message: message.to_owned() })
        };
        if let Some(index) = self.exemptions.iter().position(nobody) {
            return refuse(index, "names nobody; write a `namespace`, or the `name` of a cluster-scoped object");
        }
        match self.exemptions.iter().position(|entry| entry.namespace.is_empty() && entry.namespace_uid.is_some()) {
            Some(index) => refuse(index, "has a `namespaceUID` and no `namespace`; a cluster-scoped object is in none"),
            None => Ok(()),
        }
    }

    /// A class that is granted to nobody in particular would be granted to nobody.
    fn check_grantees(&self) -> Result<(), ShapeError> {
        let Classes { controller, infrastructure, agent } = &self.classes;
        let lists = [
            (&["classes", "controller"], controller),
            (&["classes", "infrastructure"], infrastructure),
            (&["classes", "agent"], agent),
            (&["vault", "clients"], &self.vault.clients),
        ];
        let nobody = |entry: &Grantee| entry.namespace.is_empty() || entry.service_account.is_empty();
        for (path, list) in lists {
            if let Some(index) = list.iter().position(nobody) {
                let message = "names nobody; write a `namespace` and a `serviceAccount`".to_owned();
                return Err(ShapeError { path: FieldPath::of(path).index(index), message });
            }
        }
        Ok(())
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
    fn a_listed_template_names_a_kind_that_is_not_known_and_fields() {
        let read = |entry: &str| Settings::read(&Object::from_json(format!(r#"{{"podTemplates":[{entry}]}}"#)).unwrap());
        let rollout = |path: &str| format!(r#"{{"group":"argoproj.io","kind":"Rollout","path":"{path}"}}"#);
        assert!(read(&rollout("spec.template")).is_ok());
        let error = read(&rollout("spec.templates[0]")).unwrap_err().to_string();
        assert_eq!(error, "podTemplates[0].path: `spec.templates[0]` must name fields, such as `spec.template`");
        assert!(read(&rollout("")).unwrap_err().to_string().contains("must name fields"));
        let error = read(r#"{"group":"apps","kind":"Deployment","path":"spec.other"}"#).unwrap_err().to_string();
        assert_eq!(error, "podTemplates[0].kind: `Deployment` of group `apps` is known already");
    }

    #[test]
    fn an_exemption_of_nobody_is_a_mistake() {
        let read = |entry: &str| Settings::read(&Object::from_json(format!(r#"{{"exemptions":[{entry}]}}"#)).unwrap());
        for nobody in [r#"{"rules":["*"]}"#, r#"{"rules":["*"],"namespace":"","name":""}"#, r#"{"rules":["*"],"serviceAccount":"a"}"#] {
            let error = read(nobody).unwrap_err();
            assert_eq!(error.to_string(), "exemptions[0]: names nobody; write a `namespace`, or the `name` of a cluster-scoped object");
        }
        let error = read(r#"{"rules":["*"],"name":"a","namespaceUID":"u"}"#).unwrap_err();
        assert_eq!(error.to_string(), "exemptions[0]: has a `namespaceUID` and no `namespace`; a cluster-scoped object is in none");
        let text = r#"{"classes":{"infrastructure":[{"namespace":"","serviceAccount":"cni"}]}}"#;
        let error = Settings::read(&Object::from_json(text).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "classes.infrastructure[0]: names nobody; write a `namespace` and a `serviceAccount`");
        assert!(read(r#"{"rules":["no-wildcard-rbac"],"name":"argocd"}"#).is_ok() && read(r#"{"rules":["*"],"namespace":"a"}"#).is_ok());
    }
}
