//! Which containers hold an identity: every mount of a volume that gives one.

use super::model::{Certainty, Credential, CredentialKind, Holder, IdentityMount, VaultLogin};
use super::mount_path::{MountPath, Relation, relation};
use super::pod::Pod;
use crate::settings::{MeshKind, Settings};

/// Bound on the list. Past it the credentials are past theirs too, and end with one that nobody can judge.
const BOUND: usize = 16_384;

/// Lists the mounts of identity volumes, in the pod's order: volumes with a projected token or certificate, CSI volumes of an identity
/// driver, legacy tokens, and whatever is mounted where Vault's secrets are rendered.
pub(super) fn read<'a>(
    pod: &Pod<'a>,
    settings: &Settings,
    credentials: &[Credential<'a>],
    vault: &VaultLogin<'a>,
) -> Vec<IdentityMount<'a>> {
    let secrets = &settings.vault.secrets_path;
    let is_at_secrets = |path: &str| matches!(relation(path, secrets), Relation::Same | Relation::Below);
    let mut volumes: Vec<&str> = credentials.iter().filter(|credential| gives_identity(credential)).filter_map(|one| one.volume).collect();
    let mounts = pod.containers.iter().flat_map(|container| &container.mounts);
    volumes.extend(mounts.filter(|mount| is_at_secrets(mount.path)).map(|mount| mount.volume));
    if volumes.is_empty() {
        return Vec::new();
    }
    volumes.sort_unstable();
    let mut agents: Vec<&str> =
        vault.login.iter().filter(|login| login.container.is_some()).flat_map(|_| vault.containers.iter().copied()).collect();
    agents.sort_unstable();
    let mounts = pod.containers.iter().flat_map(|container| container.mounts.iter().enumerate().map(move |mount| (container, mount)));
    mounts
        .filter(|(_, (_, mount))| volumes.binary_search(&mount.volume).is_ok())
        .take(BOUND)
        .map(|(container, (position, mount))| {
            let holder = if container.list == "ephemeralContainers" {
                Holder::Ephemeral
            } else if agents.binary_search(&container.name).is_ok() {
                Holder::VaultAgent
            } else if is_own_of_proxy(settings.mesh.kind, container.name, mount.volume) {
                Holder::MeshProxy
            } else {
                Holder::App
            };
            IdentityMount {
                volume: mount.volume,
                container: container.name,
                path: MountPath::new(mount.path),
                read_only: mount.read_only,
                holder,
                field_path: format!("spec.{}[{}].volumeMounts[{position}]", container.list, container.index),
            }
        })
        .collect()
}

fn gives_identity(credential: &Credential<'_>) -> bool {
    match credential.kind {
        CredentialKind::ServiceAccountToken | CredentialKind::PodCertificate | CredentialKind::LegacyTokenSecret => true,
        CredentialKind::Csi => credential.certainty == Certainty::Known,
        _ => false,
    }
}

/// The mesh's proxies mount their own token without `readOnly`; `injection-conflict` keeps everybody else away from it.
fn is_own_of_proxy(mesh: MeshKind, container: &str, volume: &str) -> bool {
    match mesh {
        MeshKind::Linkerd => container == "linkerd-proxy" && volume == "linkerd-identity-token",
        MeshKind::Istio => container == "istio-proxy" && volume == "istio-token",
        MeshKind::None | MeshKind::Spire => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixture::Scene;

    /// Volume, container, holder and writability of each mount.
    fn mounts(spec: Value) -> Vec<(String, String, String, bool)> {
        let read = Scene::pod(spec).read();
        let text = |mount: &Value, key: &str| mount[key].as_str().unwrap().to_owned();
        let of = |mount: &Value| (text(mount, "volume"), text(mount, "container"), text(mount, "holder"), mount["readOnly"] == false);
        read["mounts"].as_array().unwrap().iter().map(of).collect()
    }

    #[test]
    fn hardening_a16_every_volume_that_gives_an_identity_is_seen() {
        let names = ["plain", "token", "certificate", "spiffe", "other-driver", "legacy"];
        let spec = json!({
            "containers": [{ "name": "app", "image": "app:1", "volumeMounts": names.map(|name| json!({ "name": name, "mountPath": format!("/{name}") })) }],
            "volumes": [
                { "name": "plain", "emptyDir": {} },
                { "name": "token", "projected": { "sources": [{ "serviceAccountToken": { "path": "token", "audience": "x" } }] } },
                { "name": "certificate", "projected": { "sources": [{ "podCertificate": { "signerName": "a/b" } }] } },
                { "name": "spiffe", "csi": { "driver": "csi.spiffe.io" } },
                { "name": "other-driver", "csi": { "driver": "disk.example.com" } },
                { "name": "legacy", "secret": { "secretName": "api-token-x7k2p" } },
            ],
        });
        let found: Vec<String> = mounts(spec).into_iter().map(|(volume, ..)| volume).collect();
        assert_eq!(found, ["token", "certificate", "spiffe", "legacy"]);
    }

    #[test]
    fn a_holder_is_who_it_is_by_what_it_does() {
        let mount = |name: &str, path: &str, read_only: bool| json!({ "name": name, "mountPath": path, "readOnly": read_only });
        let spec = json!({
            "initContainers": [{
                "name": "agent", "image": "hashicorp/vault:1", "command": ["vault"], "args": ["agent", "-config=/etc/vault/config.hcl"],
                "volumeMounts": [mount("rendered", "/vault/secrets/", false)],
            }],
            "containers": [
                { "name": "app", "image": "app:1", "volumeMounts": [mount("rendered", "/vault/secrets", true), mount("x", "/x", false)] },
                { "name": "linkerd-proxy", "image": "cr.l5d.io/linkerd/proxy:1", "volumeMounts": [mount("linkerd-identity-token", "/t", false)] },
            ],
            "ephemeralContainers": [{ "name": "debug", "image": "sh:1", "volumeMounts": [mount("rendered", "/r", true)] }],
            "volumes": [
                { "name": "rendered", "emptyDir": { "medium": "Memory" } },
                { "name": "x", "emptyDir": {} },
                { "name": "linkerd-identity-token", "projected": { "sources": [{ "serviceAccountToken": { "path": "t", "audience": "identity.l5d.io" } }] } },
            ],
        });
        let expected = [
            ("rendered", "agent", "vaultAgent", true),
            ("rendered", "app", "app", false),
            ("linkerd-identity-token", "linkerd-proxy", "meshProxy", true),
            ("rendered", "debug", "ephemeral", false),
        ];
        assert_eq!(
            mounts(spec),
            expected.map(|(volume, container, holder, writable)| (volume.into(), container.into(), holder.into(), writable))
        );
    }
}
