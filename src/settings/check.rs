//! What a settings file may not say although it has the right shape: mistakes that would open the door without a word.

use std::net::IpAddr;

use super::exemption::Exemption;
use super::grantee::{Classes, Grantee};
use super::parameters::Settings;
use crate::object::{FieldPath, GroupVersionKind, PodTemplateKind, Segment, ShapeError, quoted};

impl Settings {
    /// Refuses what would not do what its author believes.
    pub(super) fn check(&self) -> Result<(), ShapeError> {
        self.check_selectors()?;
        self.check_api_token()?;
        self.check_lifetimes()?;
        self.check_injections()?;
        self.check_waivers()?;
        self.check_trust_domains()?;
        self.check_vault()?;
        self.check_skips()?;
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

    /// What is injected would be refused by `token-ttl-limit`: every pod that is to have it.
    fn check_lifetimes(&self) -> Result<(), ShapeError> {
        let api = (["kubeApi", "ttl"], self.kube_api.ttl, "");
        let vault = (["vault", "tokenSeconds"], self.vault.token_seconds, self.vault.audience.as_str());
        for (field, seconds, audience) in [api, vault] {
            let Some(most) = self.audiences.get(audience).map(|audience| audience.max_seconds).filter(|most| seconds > *most) else {
                continue;
            };
            let limit = FieldPath::of(&["audiences"]).key(audience).field("maxSeconds");
            let path = FieldPath::of(&field);
            let message = format!("`{seconds}` is more than `{limit}` allows, which is {most}: lower `{path}`, or raise `{limit}`");
            return Err(ShapeError { path, message });
        }
        Ok(())
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

    /// An exception ends, and is renewed twice at most (`hardening.md` A30).
    fn check_waivers(&self) -> Result<(), ShapeError> {
        let bounds = [("maxDays", self.waiver.max_days, 1..=90), ("maxRenewals", self.waiver.max_renewals, 0..=2)];
        for (field, value, bound) in bounds {
            if !bound.contains(&value) {
                let message = format!("`{value}` must be from {} to {}: a waiver is an exception, and ends", bound.start(), bound.end());
                return Err(ShapeError { path: FieldPath::of(&["waiver", field]), message });
            }
        }
        Ok(())
    }

    /// A name that no SPIFFE ID can have would match none, and the rules that compare with it would say nothing or refuse everything.
    fn check_trust_domains(&self) -> Result<(), ShapeError> {
        let own = self.spiffe.trust_domain.iter().map(|name| (FieldPath::of(&["spiffe", "trustDomain"]), name));
        let mesh = [(FieldPath::of(&["mesh", "trustDomain"]), &self.mesh.trust_domain)];
        let listed = self.federation.trust_domains.iter().enumerate().filter(|(_, name)| *name != "*");
        let foreign = listed.map(|(index, name)| (FieldPath::of(&["federation", "trustDomains"]).index(index), name));
        for (path, name) in own.chain(mesh).chain(foreign) {
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_');
            let message = if name.to_ascii_lowercase().starts_with("spiffe://") {
                format!("`{}` must be the name alone: leave `spiffe://` out", quoted(name))
            } else if name.is_empty() || name.len() > 255 || !name.bytes().all(fits) {
                format!(
                    "`{}` is no trust domain: write lower-case letters, digits, `.`, `-` and `_`, such as `prod.example.com`",
                    quoted(name)
                )
            } else {
                continue;
            };
            return Err(ShapeError { path, message });
        }
        Ok(())
    }

    /// Workloads send their tokens there: to a server that proves itself, or to the pod's own agent. The URL is not told, since it may
    /// hold a password.
    fn check_vault(&self) -> Result<(), ShapeError> {
        let own = self.vault.address.iter().map(|url| (FieldPath::of(&["vault", "address"]), url));
        let listed = self.vault.addresses.iter().enumerate().filter(|(_, url)| *url != "*");
        let listed = listed.map(|(index, url)| (FieldPath::of(&["vault", "addresses"]).index(index), url));
        match own.chain(listed).find(|(_, url)| !is_server(url)) {
            Some((path, _)) => {
                let message = "must be the URL of a server by `https`, such as `https://vault.example.com:8200`, without a user in it; \
                               `http` is for loopback alone";
                Err(ShapeError { path, message: message.into() })
            }
            None => Ok(()),
        }
    }

    /// What is none of these would allow nothing, and its author would believe that it does.
    fn check_skips(&self) -> Result<(), ShapeError> {
        let skips = &self.mesh.allowed_skip;
        let Some((index, entry)) = skips.iter().enumerate().find(|(_, entry)| *entry != "*" && !is_ports(entry) && !is_network(entry))
        else {
            return Ok(());
        };
        let message = format!(
            "`{}` is no port, no range of ports and no network; write them as `25`, `1000-2000` or `10.0.0.0/8`, or `*` for any",
            quoted(entry)
        );
        Err(ShapeError { path: FieldPath::of(&["mesh", "allowedSkip"]).index(index), message })
    }
}

/// Whether this is the URL of a server that can be trusted with tokens.
fn is_server(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            if port.parse::<u16>().is_err() {
                return false;
            }
            host
        }
        _ => authority,
    };
    let is_loopback = host == "localhost"
        || host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    !host.is_empty() && authority.bytes().all(in_host) && (scheme == "https" || (scheme == "http" && is_loopback))
}

/// Whether this is a port or a range of ports.
fn is_ports(entry: &str) -> bool {
    let port = |text: &str| text.trim().parse::<u16>().ok();
    let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
    port(first).zip(port(last)).is_some_and(|(first, last)| first <= last)
}

/// Whether this is an address, or a network as CIDR.
fn is_network(entry: &str) -> bool {
    let (address, prefix) = entry.split_once('/').map_or((entry, None), |(address, prefix)| (address, Some(prefix)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= bits))
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
    fn a_token_that_its_own_rule_refuses_is_a_mistake() {
        let message = |text: &str| refused(text);
        assert_eq!(
            message(r#"{"vault":{"tokenSeconds":900}}"#),
            "vault.tokenSeconds: `900` is more than `audiences[vault].maxSeconds` allows, which is 600: lower `vault.tokenSeconds`, or raise \
             `audiences[vault].maxSeconds`"
        );
        assert_eq!(message(r#"{"vault":{"tokenSeconds":900},"audiences":{"vault":{"maxSeconds":900}}}"#), "");
        assert_eq!(message(r#"{"vault":{"tokenSeconds":900,"audience":"bao"}}"#), "", "an audience that is not listed has that lifetime");
        let api = message(r#"{"audiences":{"":{"maxSeconds":1800}}}"#);
        assert!(api.starts_with("kubeApi.ttl: `3600` is more than `audiences[].maxSeconds` allows, which is 1800"), "{api}");
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

    fn refused(text: &str) -> String {
        Settings::read(&Object::from_json(text).unwrap()).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn hardening_a30_waivers_have_bounds_that_settings_cannot_widen() {
        let days = |days: i64| refused(&format!(r#"{{"waiver":{{"maxDays":{days}}}}}"#));
        assert_eq!(days(91), "waiver.maxDays: `91` must be from 1 to 90: a waiver is an exception, and ends");
        assert!(days(0).contains("from 1 to 90") && days(90).is_empty() && days(1).is_empty());
        assert!(refused(r#"{"waiver":{"maxRenewals":3}}"#).starts_with("waiver.maxRenewals: `3` must be from 0 to 2"));
        assert_eq!(refused(r#"{"waiver":{"maxRenewals":0}}"#), "");
    }

    #[test]
    fn a_trust_domain_is_a_name() {
        let own = |name: &str| refused(&format!(r#"{{"spiffe":{{"trustDomain":"{name}"}}}}"#));
        assert_eq!(
            own("spiffe://prod.example.com"),
            "spiffe.trustDomain: `spiffe://prod.example.com` must be the name alone: leave `spiffe://` out"
        );
        for wrong in ["", "Prod.example.com", "prod.example.com/ns", "prod:8443", "*"] {
            assert!(own(wrong).contains("is no trust domain: write lower-case letters"), "{wrong}");
        }
        assert_eq!(own("prod_1.example.com"), "");
        assert!(refused(r#"{"federation":{"trustDomains":["*","SPIFFE://a"]}}"#).starts_with("federation.trustDomains[1]: "));
        assert_eq!(refused(r#"{"federation":{"trustDomains":["*"]}}"#), "");
    }

    #[test]
    fn tokens_are_sent_to_a_server_that_proves_itself() {
        let own = |url: &str| refused(&format!(r#"{{"vault":{{"address":"{url}"}}}}"#));
        for wrong in
            ["vault:8200", "http://vault:8200", "https://", "https://:8200", "https://me:secret@vault", "https://a b", "https://v:x", "*"]
        {
            let refused = own(wrong);
            assert!(refused.starts_with("vault.address: must be the URL of a server by `https`"), "{wrong}: {refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
        for right in
            ["https://vault.vault.svc:8200/", "https://10.0.0.1", "https://[fd00::1]:8200", "http://127.0.0.1:8200", "http://[::1]"]
        {
            assert_eq!(own(right), "", "{right}");
        }
        assert_eq!(refused(r#"{"vault":{"addresses":["*"]}}"#), "");
        assert!(refused(r#"{"vault":{"addresses":["https://a","b"]}}"#).starts_with("vault.addresses[1]: "));
    }

    #[test]
    fn what_may_skip_the_mesh_are_ports_and_networks() {
        let skip = |entry: &str| refused(&format!(r#"{{"mesh":{{"allowedSkip":["{entry}"]}}}}"#));
        for right in ["*", "25", "1000-2000", "10.0.0.0/8", "10.1.2.3", "fd00::/16"] {
            assert_eq!(skip(right), "", "{right}");
        }
        for wrong in ["", "smtp", "25,80", "2000-1000", "70000", "10.0.0.0/33"] {
            assert!(skip(wrong).starts_with("mesh.allowedSkip[0]: ") && skip(wrong).contains("is no port, no range of ports"), "{wrong}");
        }
    }
}
