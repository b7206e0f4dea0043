//! Reading `doorward.yaml`, and what follows from several of its fields together.

use super::enforcement::RolloutStep;
use super::exemption::Exemption;
use super::mesh::MeshKind;
use super::parameters::{Cluster, OnMissingRelated, Settings};
use super::shape;
use crate::object::{Object, ShapeError};

impl Settings {
    /// Reads `doorward.yaml`.
    ///
    /// # Errors
    /// [`ShapeError`] with the path of the field that is unknown or of a wrong type.
    pub fn read(document: &Object) -> Result<Self, ShapeError> {
        if document.root().is_null() {
            return Ok(Self::default());
        }
        let document = shape::without_nulls(document.root());
        shape::check(document.root())?;
        let mut settings: Self = document.root().read()?;
        Exemption::keep_system(&mut settings.exemptions);
        settings.check()?;
        settings.prepare();
        Ok(settings)
    }

    /// What `serve` uses when it has neither a cluster nor a settings file, so that every built-in rule and injection has something
    /// to act on.
    #[must_use]
    pub fn demonstration() -> Self {
        let mut settings = Self::default();
        settings.spiffe.trust_domain = Some("demo.example.com".into());
        settings.cluster = Cluster { name: "demo".into(), spire_name: "demo".into(), domain: None };
        settings.vault.address = Some("https://vault.vault.svc.cluster.local:8200".into());
        settings.mesh.kind = MeshKind::Linkerd;
        settings.mesh.proxy_images = vec!["cr.l5d.io/linkerd/proxy:".to_owned()];
        settings
    }

    /// What a missing related object means in CI: as set, else by the preset. A gap in the files is a hole in the gate once rules of a
    /// second step are enforced (`hardening.md` A37).
    #[must_use]
    pub fn on_missing_related(&self) -> OnMissingRelated {
        let strict = self.preset.step().is_some_and(|step| step >= RolloutStep::Pipelines);
        self.on_missing_related.unwrap_or(if strict { OnMissingRelated::Deny } else { OnMissingRelated::Warn })
    }

    /// The SPIFFE ID that a workload is expected to get; `None` without a trust domain.
    #[must_use]
    pub fn expected_spiffe_id(&self, namespace: &str, service_account: &str) -> Option<String> {
        let trust_domain = self.spiffe.trust_domain.as_deref()?;
        let path = fill(&self.spiffe.path_template, namespace, service_account, &self.cluster.name);
        Some(format!("spiffe://{trust_domain}{path}"))
    }

    /// The Vault role that a workload logs in as by default.
    #[must_use]
    pub fn vault_role(&self, namespace: &str, service_account: &str) -> String {
        fill(&self.vault.role_template, namespace, service_account, &self.cluster.name)
    }

    /// This cluster's Vault auth mount, such as `auth/kubernetes-prod`.
    #[must_use]
    pub fn vault_auth_mount(&self) -> String {
        fill(&self.vault.auth_mount, "", "", &self.cluster.name)
    }

    /// The `SecretProviderClass` that a template names for a workload.
    #[must_use]
    pub fn secret_provider_class(&self, template: &str, namespace: &str, service_account: &str) -> String {
        fill(template, namespace, service_account, &self.cluster.name)
    }

    /// Whether an audience means the API server: empty, the one that injected tokens ask for, or one of its aliases.
    #[must_use]
    pub fn is_api_audience(&self, audience: &str) -> bool {
        audience.is_empty() || audience == self.kube_api.audience || self.kube_api.aliases.iter().any(|alias| alias == audience)
    }
}

fn fill(template: &str, namespace: &str, service_account: &str, cluster: &str) -> String {
    let places = [("namespace}", namespace), ("serviceAccount}", service_account), ("cluster}", cluster)];
    let mut filled = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let place = places.into_iter().find_map(|(name, value)| Some((value, after.strip_prefix(name)?)));
        let (value, behind) = place.unwrap_or(("{", after));
        filled.push_str(value);
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ExemptionGroup;

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Settings::read(&Object::from_json("{}").unwrap()), Ok(Settings::default()));
        assert_eq!(Settings::default().spiffe.trust_domain, None);
        assert_eq!(Settings::default().mesh.kind, MeshKind::None);
        assert_eq!(Settings::default().vault.address, None);
    }

    #[test]
    fn a_mistake_is_named_with_its_path() {
        let error = Settings::read(&Object::from_json(r#"{"vault":{"agent":{"imgae":"x"}}}"#).unwrap()).unwrap_err();
        assert_eq!(error.path.to_string(), "vault.agent.imgae");
        assert!(error.message.starts_with("unknown field `imgae`, expected one of `image`"), "{error}");
        assert!(error.message.ends_with("; did you mean `image`?"), "{error}");
        let error = Settings::read(&Object::from_json(r#"{"preset":"pipeline"}"#).unwrap()).unwrap_err();
        assert_eq!(error.path.to_string(), "preset");
        assert!(error.message.ends_with("; did you mean `pipelines`?"), "{error}");
        let error = Settings::read(&Object::from_json(r#"{"audiences":{"vault":{"maxSeconds":"600"}}}"#).unwrap()).unwrap_err();
        assert_eq!(error.path.to_string(), "audiences.vault.maxSeconds");
        assert_eq!(error.message, "must be a whole number; this is a text");
    }

    #[test]
    fn exemptions_of_ones_own_leave_those_of_the_system_in_place() {
        let namespaces = |text: &str| -> Vec<String> {
            let settings = Settings::read(&Object::from_json(text).unwrap()).unwrap();
            let system = settings.exemptions.iter().filter(|entry| entry.group == Some(ExemptionGroup::System));
            assert_eq!(system.count(), 3, "{text}");
            settings.exemptions.into_iter().map(|entry| entry.namespace).collect()
        };
        let system = ["kube-system", "kube-public", "kube-node-lease"];
        assert_eq!(namespaces(r#"{"exemptions":[]}"#), system, "Doorward's own goes with the list that is given");
        let own = r#"{"exemptions":[{"rules":["*"],"namespace":"spire"},{"rules":["no-host-namespaces"],"namespace":"kube-system"}]}"#;
        assert_eq!(namespaces(own), [&["spire", "kube-system"], &system[..]].concat());
        assert_eq!(namespaces("{}").len(), 4);
    }

    #[test]
    fn a_later_step_makes_gaps_count() {
        let settings = |text: &str| Settings::read(&Object::from_json(text).unwrap()).unwrap().on_missing_related();
        assert_eq!(settings("{}"), OnMissingRelated::Warn);
        assert_eq!(settings(r#"{"preset":"meshAndVault"}"#), OnMissingRelated::Warn);
        assert_eq!(settings(r#"{"preset":"pipelines"}"#), OnMissingRelated::Deny);
        assert_eq!(settings(r#"{"preset":"federation","onMissingRelated":"warn"}"#), OnMissingRelated::Warn);
    }

    #[test]
    fn the_demonstration_names_every_workload() {
        let settings = Settings::demonstration();
        assert_eq!(settings.expected_spiffe_id("payments", "api").as_deref(), Some("spiffe://demo.example.com/ns/payments/sa/api"));
        assert_eq!(settings.vault_role("payments", "api"), "payments.api");
        assert_eq!(settings.vault_auth_mount(), "auth/kubernetes-demo");
        assert!(
            settings.is_api_audience("")
                && settings.is_api_audience("https://kubernetes.default.svc")
                && !settings.is_api_audience("vault")
        );
    }
}
