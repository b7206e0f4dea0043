//! The different matches of a set's rules: many rules match alike, and most matches are about resources that a request does not name.

use std::collections::BTreeMap;

use super::schema::Match;

/// Which of the matches, by number, may mean a resource.
#[derive(Debug, Default)]
pub(super) struct Matches {
    distinct: Vec<Match>,
    /// Of the resources that some match names.
    named: BTreeMap<String, Box<[bool]>>,
    /// Of any other resource.
    others: Box<[bool]>,
}

impl Matches {
    /// The number of a match: the same for all that are alike.
    pub(super) fn number(&mut self, matches: &Match) -> usize {
        self.distinct.iter().position(|known| known == matches).unwrap_or_else(|| {
            self.distinct.push(matches.clone());
            self.distinct.len() - 1
        })
    }

    /// With all matches numbered, what each resource's name leaves of them.
    pub(super) fn indexed(self) -> Self {
        let left = |resource: Option<&str>| -> Box<[bool]> {
            let may_mean = |matches: &Match| matches.names().is_none_or(|names| resource.is_some_and(|resource| names.contains(&resource)));
            self.distinct.iter().map(may_mean).collect()
        };
        let names = self.distinct.iter().filter_map(Match::names).flatten();
        let named = names.map(|name| (name.to_owned(), left(Some(name)))).collect();
        Self { named, others: left(None), ..self }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.distinct.len()
    }

    /// Whether each match, by number, may mean a resource. One that may still has to be asked.
    pub(super) fn possible(&self, resource: &str) -> &[bool] {
        self.named.get(resource).unwrap_or(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Sources, Subject, load};
    use crate::object::Object;
    use crate::policy::subject::Source;
    use crate::settings::Settings;

    #[test]
    fn what_a_name_rules_out_no_match_selects() {
        let set = load(&Sources { fallback: Some(Settings::demonstration()), ..Sources::default() }).unwrap();
        let matches = &set.matches;
        let mut out = 0;
        for (group, version, kind, resource, subresource) in [
            ("", "v1", "Pod", "pods", ""),
            ("", "v1", "Pod", "pods", "ephemeralcontainers"),
            ("", "v1", "ServiceAccount", "serviceaccounts", ""),
            ("authentication.k8s.io", "v1", "TokenRequest", "serviceaccounts", "token"),
            ("apps", "v1", "Deployment", "deployments", ""),
            ("spire.spiffe.io", "v1alpha1", "ClusterSPIFFEID", "clusterspiffeids", ""),
            ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", ""),
            ("example.com", "v1", "Thing", "things", ""),
        ] {
            let request = format!(
                r#"{{"uid":"u","operation":"CREATE","kind":{{"group":"{group}","version":"{version}","kind":"{kind}"}},"namespace":"n","name":"x",
                "resource":{{"group":"{group}","version":"{version}","resource":"{resource}"}},"subResource":"{subresource}","object":{{}}}}"#
            );
            let request = Object::from_json(request).unwrap();
            let subject = Subject::from_request(Source::Validating, request.root(), request.root().get("object"), None).unwrap();
            let possible = matches.possible(resource);
            assert_eq!(possible.len(), matches.len());
            for (known, possible) in matches.distinct.iter().zip(possible) {
                assert!(*possible || !known.selects_resource(&subject), "{resource}/{subresource}: {known:?}");
                out += usize::from(!possible);
            }
        }
        assert!(out > 100, "{out} are too few to save anything");
    }
}
