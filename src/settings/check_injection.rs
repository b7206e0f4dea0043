//! What would have every injected pod refused by the API server, or never start.

use std::collections::BTreeMap;

use super::parameters::{Resources, Settings};
use crate::cel::Quantity;
use crate::object::{FieldPath, ShapeError};

/// Where the agent finds its configuration, and the ServiceAccount plugin puts its token.
const TAKEN: [&str; 2] = ["/etc/vault", "/var/run/secrets/kubernetes.io/serviceaccount"];

impl Settings {
    pub(super) fn check_injections(&self) -> Result<(), ShapeError> {
        let (vault, agent) = (&self.vault, &self.vault.agent);
        for (field, value) in [("image", &agent.image), ("command", &agent.command)] {
            if value.trim().is_empty() {
                return Err(wrong(FieldPath::of(&["vault", "agent", field]), "is empty, so that no agent could run"));
            }
        }
        check_resources(&agent.resources)?;
        if !(600..=1 << 32).contains(&vault.token_seconds) {
            let message = format!("`{}` is no lifetime that the API server gives: 600 seconds at least, 2^32 at most", vault.token_seconds);
            return Err(wrong(FieldPath::of(&["vault", "tokenSeconds"]), message));
        }
        self.check_paths()
    }

    /// Directories that one container may have side by side: one inside another could not be made in a volume that is mounted read-only.
    fn check_paths(&self) -> Result<(), ShapeError> {
        let paths = [
            (["vault", "secretsPath"].as_slice(), &self.vault.secrets_path),
            (&["vault", "tokenMountPath"], &self.vault.token_mount_path),
            (&["vault", "csi", "mountPath"], &self.vault.csi.mount_path),
            (&["spiffe", "mountPath"], &self.spiffe.mount_path),
        ];
        let mut taken: Vec<&str> = TAKEN.to_vec();
        for (field, path) in paths {
            if !is_directory(path) {
                let message = format!("`{path}` is no directory such as `/vault/secrets`: it begins with `/` and has no `:`, `.` or `..`");
                return Err(wrong(FieldPath::of(field), message));
            }
            if let Some(other) = taken.iter().find(|other| is_within(path, other) || is_within(other, path)) {
                let message = format!("`{path}` and `{other}`, which is mounted as well, lie in each other");
                return Err(wrong(FieldPath::of(field), message));
            }
            taken.push(path);
        }
        Ok(())
    }
}

fn wrong(path: FieldPath, message: impl Into<String>) -> ShapeError {
    ShapeError { path, message: message.into() }
}

fn check_resources(resources: &Resources) -> Result<(), ShapeError> {
    let path = |list: &'static str, resource: &str| FieldPath::of(&["vault", "agent", "resources", list]).field(resource.to_owned());
    let read = |list: &'static str, amounts: &BTreeMap<String, String>| {
        amounts.iter().try_for_each(|(resource, amount)| match Quantity::read(amount) {
            // Empty stands for none.
            _ if amount.is_empty() => Ok(()),
            Some(quantity) if !quantity.is_negative() => Ok(()),
            _ => Err(wrong(path(list, resource), format!("`{amount}` is no quantity such as `50m` or `64Mi`"))),
        })
    };
    read("requests", &resources.requests)?;
    read("limits", &resources.limits)?;
    for (resource, limit) in &resources.limits {
        let Some(request) = resources.requests.get(resource) else { continue };
        if let (Some(least), Some(most)) = (Quantity::read(request), Quantity::read(limit))
            && least.amount_order(&most).is_gt()
        {
            return Err(wrong(path("limits", resource), format!("`{limit}` is less than the request, `{request}`")));
        }
    }
    Ok(())
}

/// An absolute path of plain steps.
fn is_directory(path: &str) -> bool {
    let steps = path.strip_prefix('/').map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    steps.is_some_and(|steps| !path.contains(':') && steps.split('/').all(|step| !matches!(step, "" | "." | "..")))
}

fn is_within(path: &str, directory: &str) -> bool {
    let directory = directory.trim_end_matches('/');
    path.trim_end_matches('/').strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;

    #[test]
    fn what_the_api_server_would_refuse_in_every_pod_is_a_mistake() {
        let read = |text: &str| Settings::read(&Object::from_json(text).unwrap());
        for (text, error) in [
            (r#"{"vault":{"agent":{"image":""}}}"#, "vault.agent.image: is empty, so that no agent could run"),
            (r#"{"vault":{"agent":{"command":" "}}}"#, "vault.agent.command: is empty, so that no agent could run"),
            (r#"{"vault":{"tokenSeconds":100}}"#, "vault.tokenSeconds: `100` is no lifetime that the API server gives"),
            (r#"{"vault":{"secretsPath":"/etc/vault"}}"#, "vault.secretsPath: `/etc/vault` and `/etc/vault`, which is mounted as well"),
            (r#"{"vault":{"secretsPath":"secrets"}}"#, "vault.secretsPath: `secrets` is no directory such as"),
            (r#"{"vault":{"tokenMountPath":"/vault/secrets/"}}"#, "vault.tokenMountPath: `/vault/secrets/` and `/vault/secrets`"),
            (r#"{"vault":{"tokenMountPath":"/var/run/secrets"}}"#, "vault.tokenMountPath: `/var/run/secrets` and"),
            (r#"{"vault":{"csi":{"mountPath":"/a:b"}}}"#, "vault.csi.mountPath: `/a:b` is no directory"),
            (r#"{"spiffe":{"mountPath":"/secrets/../x"}}"#, "spiffe.mountPath: `/secrets/../x` is no directory"),
            (
                r#"{"vault":{"agent":{"resources":{"requests":{"cpu":"much"}}}}}"#,
                "vault.agent.resources.requests.cpu: `much` is no quantity",
            ),
            (r#"{"vault":{"agent":{"resources":{"limits":{"cpu":"-1"}}}}}"#, "vault.agent.resources.limits.cpu: `-1` is no quantity"),
            (
                r#"{"vault":{"agent":{"resources":{"requests":{"memory":"1Gi"},"limits":{"memory":"1000M"}}}}}"#,
                "vault.agent.resources.limits.memory: `1000M` is less than the request, `1Gi`",
            ),
        ] {
            let found = read(text).unwrap_err().to_string();
            assert!(found.starts_with(error), "{text}: {found}");
        }
        let sound = r#"{"vault":{"secretsPath":"/vault/secret","agent":{"resources":{"requests":{"cpu":"0.5"},"limits":{"cpu":"500m","memory":""}}}}}"#;
        assert!(read(sound).is_ok());
    }
}
