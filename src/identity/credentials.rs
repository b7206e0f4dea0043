//! Every door by which a pod obtains a credential: the closed set that "this pod holds nothing else" can be said of.
//!
//! The walk is linear in the template up to a bound on the answer (a source times its mounts can explode); past the bound the answer
//! ends with a credential of kind `unknown`, which fails closed.

use std::borrow::Cow;

use super::model::{ApiToken, ApiTokenSource, Certainty, Credential, CredentialKind};
use super::mount_path::{MountPath, Relation, relation};
use super::mounts::{Mounts, Shown};
use super::plugin_volume::{PLUGIN_SECONDS, is_plugin_token_volume};
use super::pod::{Container, Pod};
use super::secret_name::{Judged, SecretNames, shows_token_directory};
use super::service_account::Automount;
use super::surroundings::{Beside, Surroundings};
use crate::object::Node;
use crate::settings::Settings;

/// Where client libraries look for the API token, spelled as the ServiceAccount plugin compares it.
pub const TOKEN_DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Names of volumes that the plugin takes for its own.
const PLUGIN_PREFIX: &str = "kube-api-access-";

/// What Kubernetes asks for when `expirationSeconds` is unset.
const DEFAULT_TOKEN_SECONDS: i64 = 3600;

/// What it asks for when `podCertificate.maxExpirationSeconds` is unset; the API server leaves the field absent.
const DEFAULT_CERTIFICATE_SECONDS: i64 = 86400;

/// Sources of volumes that carry no credential of their own.
const PLAIN_VOLUMES: [&str; 17] = [
    "emptyDir",
    "configMap",
    "persistentVolumeClaim",
    "downwardAPI",
    "ephemeral",
    "image",
    "nfs",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "glusterfs",
    "flocker",
    "fc",
    "vsphereVolume",
    "quobyte",
    "photonPersistentDisk",
    "portworxVolume",
];

/// Sources of volumes that name a Secret for the kubelet or the storage driver, and where: `VisitPodSecretNames`' list.
const DRIVER_SECRETS: [(&str, &str); 9] = [
    ("azureFile", "secretName"),
    ("cephfs", "secretRef"),
    ("cinder", "secretRef"),
    ("flexVolume", "secretRef"),
    ("rbd", "secretRef"),
    ("scaleIO", "secretRef"),
    ("iscsi", "secretRef"),
    ("storageos", "secretRef"),
    ("csi", "nodePublishSecretRef"),
];

/// Bound on credentials and their containers together. A pod of 50 containers with a token each is far below.
const BOUND: usize = 16_384;

/// Lists what a pod can obtain, what the ServiceAccount plugin will add included.
pub(super) fn read<'a>(pod: &Pod<'a>, surroundings: &Surroundings<'a>, automount: Automount) -> Vec<Credential<'a>> {
    let spec = pod.spec;
    let mut adopted: Vec<&str> = Vec::new();
    let mut lacking: Vec<(usize, &str)> = Vec::new();
    if automount.on != Some(false) {
        adopted.extend(spec.list("volumes").map(|volume| volume.text("name")).filter(|name| name.starts_with(PLUGIN_PREFIX)));
        // Those that come to a running pod are the last.
        lacking.extend(pod.lasting().enumerate().filter_map(|(position, container)| {
            let lacks = container.mounts.iter().all(|mount| mount.path != TOKEN_DIRECTORY);
            lacks.then_some((position, container.name))
        }));
    }
    // The plugin mounts the first volume of its prefix; which one is first must not decide here, so all of them count.
    let added = adopted
        .iter()
        .take(BOUND / lacking.len().max(1))
        .flat_map(|volume| lacking.iter().map(|(position, container)| Mounts::whole(volume, TOKEN_DIRECTORY, container, *position)));
    let mut walk = Walk {
        mounts: Mounts::of(pod, added),
        settings: surroundings.settings,
        secrets: SecretNames::new(surroundings.token_secrets),
        automount,
        csi_drivers: surroundings.beside.csi_drivers,
        found: Vec::new(),
        room: BOUND,
        full: false,
    };
    if adopted.is_empty() && !lacking.is_empty() {
        walk.push(added_by_plugin(automount, &lacking));
    }
    for (index, volume) in spec.list("volumes").enumerate() {
        walk.volume(index, volume);
    }
    for container in &pod.containers {
        walk.environment(container);
    }
    for (index, reference) in spec.list("imagePullSecrets").enumerate() {
        let judged = walk.secrets.judge(reference.text("name"));
        let mut credential = Credential::at(judged.kind, format!("spec.imagePullSecrets[{index}]"));
        if judged.kind == CredentialKind::Secret {
            credential.kind = CredentialKind::ImagePullSecret;
        }
        walk.push(credential.of_secret(judged));
    }
    walk.found
}

/// A lifetime as it is written; null is as good as absent.
fn seconds_of(written: Option<Node<'_>>, default: i64) -> Option<i64> {
    written.filter(|written| !written.is_null()).map_or(Some(default), Node::as_i64)
}

fn added_by_plugin<'a>(automount: Automount, lacking: &[(usize, &'a str)]) -> Credential<'a> {
    let field = if automount.source == ApiTokenSource::Pod { "spec.automountServiceAccountToken" } else { "spec" };
    Credential {
        audience: Some(""),
        seconds: Some(PLUGIN_SECONDS),
        path: Some(MountPath::new(TOKEN_DIRECTORY).join("token")),
        containers: lacking.iter().map(|(_, container)| *container).collect(),
        certainty: if automount.on.is_none() { Certainty::Unknown } else { Certainty::Known },
        api_audience: true,
        automounted: true,
        ..Credential::at(CredentialKind::ServiceAccountToken, field.to_owned())
    }
}

/// Sums up the credentials that the Kubernetes API accepts.
pub(super) fn api_token<'a>(pod: &Pod<'a>, credentials: &[Credential<'a>], automount: Automount) -> ApiToken<'a> {
    let mut holders: Vec<&str> = Vec::new();
    let (mut automounted, mut own) = (false, false);
    for credential in credentials.iter().filter(|credential| credential.api_audience && !credential.containers.is_empty()) {
        holders.extend(&credential.containers);
        automounted |= credential.automounted;
        own |= !credential.automounted;
    }
    holders.sort_unstable();
    let mut containers: Vec<&str> = Vec::new();
    if !holders.is_empty() {
        containers.extend(pod.containers.iter().map(|container| container.name));
        containers.retain(|name| holders.binary_search(name).is_ok());
    }
    let source = match (automounted, own) {
        (true, _) => automount.source,
        (false, true) => ApiTokenSource::Projected,
        (false, false) => ApiTokenSource::None,
    };
    ApiToken { mounted: automounted || own, explicit: automount.explicit, source, containers }
}

impl<'a> Credential<'a> {
    fn at(kind: CredentialKind, field_path: String) -> Self {
        Self {
            kind,
            audience: None,
            seconds: None,
            path: None,
            containers: Vec::new(),
            field_path,
            volume: None,
            name: None,
            env: None,
            sub_path: false,
            read_only: true,
            certainty: Certainty::Known,
            api_audience: false,
            automounted: false,
        }
    }

    fn of_secret(mut self, judged: Judged<'a>) -> Self {
        self.name = Some(Cow::Borrowed(judged.name));
        self.certainty = judged.certainty;
        self
    }
}

struct Walk<'a> {
    mounts: Mounts<'a>,
    settings: &'a Settings,
    secrets: SecretNames<'a>,
    automount: Automount,
    csi_drivers: &'a [Node<'a>],
    found: Vec<Credential<'a>>,
    room: usize,
    full: bool,
}

impl<'a> Walk<'a> {
    fn push(&mut self, credential: Credential<'a>) {
        if self.pay(1 + credential.containers.len(), &credential.field_path) {
            self.found.push(credential);
        }
    }

    /// Takes from the bound; once it is used up, the list ends with a credential that nobody can judge.
    fn pay(&mut self, cost: usize, field_path: &str) -> bool {
        if !self.full && cost > self.room {
            self.full = true;
            self.found.push(Credential {
                name: Some(Cow::Borrowed("more credentials than can be listed")),
                certainty: Certainty::Unknown,
                ..Credential::at(CredentialKind::Unknown, field_path.to_owned())
            });
        }
        self.room = self.room.saturating_sub(cost);
        !self.full
    }

    fn volume(&mut self, index: usize, volume: Node<'a>) {
        let name = volume.text("name");
        for (source, node) in volume.entries() {
            if self.full {
                return;
            }
            if source == "name" || node.is_null() || PLAIN_VOLUMES.contains(&source) {
                continue;
            }
            let at = || format!("spec.volumes[{index}].{source}");
            match source {
                "projected" => self.projected(index, name, volume, node),
                "secret" => {
                    let judged = self.secrets.judge(node.text("secretName"));
                    self.secret(name, judged, node, at());
                }
                "csi" => {
                    let driver = node.text("driver");
                    let known = driver == self.settings.spiffe.csi_driver || self.settings.csi_identity_drivers.iter().any(|d| d == driver);
                    let credential = Credential {
                        name: Some(Cow::Borrowed(driver)),
                        certainty: if known { Certainty::Known } else { Certainty::Unknown },
                        ..Credential::at(CredentialKind::Csi, at())
                    };
                    self.mounted(name, credential, None);
                    self.handed_to_driver(name, driver, index);
                }
                "hostPath" => {
                    let path = MountPath::new(node.text("path"));
                    if self.settings.spiffe.host_socket_dirs.iter().any(|pattern| path.touches_pattern(pattern)) {
                        let credential =
                            Credential { name: Some(Cow::Owned(path.to_string())), ..Credential::at(CredentialKind::HostPath, at()) };
                        self.mounted(name, credential, None);
                    }
                }
                "azureDisk" => {}
                source if DRIVER_SECRETS.iter().any(|(known, _)| *known == source) => {}
                source => {
                    let credential = Credential {
                        name: Some(Cow::Borrowed(source)),
                        certainty: Certainty::Unknown,
                        ..Credential::at(CredentialKind::Unknown, at())
                    };
                    self.mounted(name, credential, None);
                }
            }
            if let Some((_, field)) = DRIVER_SECRETS.iter().find(|(known, _)| *known == source)
                && let Some(reference) = node.get(field)
            {
                let judged = self.secrets.judge(reference.as_str().unwrap_or_else(|| reference.text("name")));
                let credential = Credential {
                    containers: self.mounts.containers(name),
                    volume: Some(name),
                    ..Credential::at(judged.kind, format!("spec.volumes[{index}].{source}.{field}"))
                };
                self.push(credential.of_secret(judged));
            }
        }
    }

    /// The tokens that a CSI driver asks for with every volume of a pod.
    fn handed_to_driver(&mut self, volume: &'a str, driver: &'a str, index: usize) {
        let Some(spec) = Beside::named(self.csi_drivers, driver).and_then(|driver| driver.get("spec")) else { return };
        for request in spec.list("tokenRequests") {
            let audience = request.text("audience");
            self.push(Credential {
                audience: Some(audience),
                seconds: seconds_of(request.get("expirationSeconds"), DEFAULT_TOKEN_SECONDS),
                api_audience: self.settings.is_api_audience(audience),
                volume: Some(volume),
                name: Some(Cow::Borrowed(driver)),
                ..Credential::at(CredentialKind::CsiToken, format!("spec.volumes[{index}].csi.driver"))
            });
        }
    }

    fn projected(&mut self, index: usize, name: &'a str, volume: Node<'a>, projected: Node<'a>) {
        let by_plugin = is_plugin_token_volume(volume);
        for (position, sources) in projected.list("sources").enumerate() {
            for (source, node) in sources.entries() {
                if self.full {
                    return;
                }
                if node.is_null() || matches!(source, "configMap" | "downwardAPI" | "clusterTrustBundle") {
                    continue;
                }
                let at = format!("spec.volumes[{index}].projected.sources[{position}].{source}");
                match source {
                    "serviceAccountToken" => {
                        let audience = node.text("audience");
                        let credential = Credential {
                            audience: Some(audience),
                            seconds: seconds_of(node.get("expirationSeconds"), DEFAULT_TOKEN_SECONDS),
                            api_audience: self.settings.is_api_audience(audience),
                            automounted: by_plugin && self.automount.on == Some(true),
                            certainty: if by_plugin && self.automount.on.is_none() { Certainty::Unknown } else { Certainty::Known },
                            ..Credential::at(CredentialKind::ServiceAccountToken, at)
                        };
                        self.mounted(name, credential, Some(node.text("path")));
                    }
                    "podCertificate" => {
                        let credential = Credential {
                            audience: Some(node.text("signerName")),
                            seconds: seconds_of(node.get("maxExpirationSeconds"), DEFAULT_CERTIFICATE_SECONDS),
                            ..Credential::at(CredentialKind::PodCertificate, at)
                        };
                        let files = ["credentialBundlePath", "keyPath", "certificateChainPath"].map(|field| node.text(field));
                        self.mounted(name, credential, files.into_iter().find(|file| !file.is_empty()));
                    }
                    "secret" => {
                        let judged = self.secrets.judge(node.text("name"));
                        self.secret(name, judged, node, at);
                    }
                    source => {
                        let credential = Credential {
                            name: Some(Cow::Borrowed(source)),
                            certainty: Certainty::Unknown,
                            ..Credential::at(CredentialKind::Unknown, at)
                        };
                        self.mounted(name, credential, None);
                    }
                }
            }
        }
    }

    /// A Secret whose files a container sees. Mounted where clients look for the API token it is a legacy token, whatever its name.
    fn secret(&mut self, volume: &'a str, judged: Judged<'a>, source: Node<'a>, at: String) {
        let places: Vec<_> = self.mounts.places(volume).take(self.room + 1).collect();
        if places.is_empty() {
            self.push(Credential { volume: Some(volume), ..Credential::at(judged.kind, at) }.of_secret(judged));
            return;
        }
        for (mount, containers) in places {
            if self.full {
                return;
            }
            let replaces_token = match relation(mount.path, TOKEN_DIRECTORY) {
                Relation::Same | Relation::Below => true,
                Relation::Above if !self.pay(source.list("items").len(), &at) => return,
                Relation::Above => shows_token_directory(&mount, source),
                Relation::Apart => false,
            };
            let judged = if replaces_token {
                Judged { kind: CredentialKind::LegacyTokenSecret, certainty: Certainty::Known, ..judged }
            } else {
                judged
            };
            let credential = Credential {
                path: Some(MountPath::new(mount.path)),
                containers,
                volume: Some(volume),
                sub_path: !mount.sub_path.is_empty(),
                read_only: mount.read_only,
                ..Credential::at(judged.kind, at.clone())
            };
            self.push(credential.of_secret(judged));
        }
    }

    /// Pushes a credential once for each place where its volume is mounted, or once without a place.
    fn mounted(&mut self, volume: &'a str, credential: Credential<'a>, file: Option<&'a str>) {
        let credential = Credential { volume: Some(volume), ..credential };
        let places: Vec<_> = self.mounts.places(volume).take(self.room + 1).collect();
        let mut seen = false;
        for (mount, containers) in places {
            if self.full {
                return;
            }
            let path = match file.map_or_else(|| Shown::At(MountPath::new(mount.path)), |file| mount.shows(file)) {
                Shown::At(path) => Some(path),
                Shown::Somewhere => None,
                Shown::Hidden if self.pay(1, &credential.field_path) => continue,
                Shown::Hidden => return,
            };
            seen = true;
            self.push(Credential {
                path,
                containers,
                sub_path: !mount.sub_path.is_empty(),
                read_only: mount.read_only,
                ..credential.clone()
            });
        }
        if !seen {
            self.push(credential);
        }
    }

    fn environment(&mut self, container: &Container<'a>) {
        let Container { list, index, name, .. } = *container;
        for (position, variable) in container.env.iter().enumerate() {
            let Some(from) = variable.from else { continue };
            for (source, node) in from.entries() {
                if self.full {
                    return;
                }
                if node.is_null() || matches!(source, "configMapKeyRef" | "fieldRef" | "resourceFieldRef") {
                    continue;
                }
                let at = format!("spec.{list}[{index}].env[{position}].valueFrom.{source}");
                let credential = match source {
                    "secretKeyRef" => {
                        let judged = self.secrets.judge(node.text("name"));
                        Credential::at(judged.kind, at).of_secret(judged)
                    }
                    "fileKeyRef" => Credential {
                        volume: Some(node.text("volumeName")),
                        certainty: Certainty::Unknown,
                        ..Credential::at(CredentialKind::EnvFile, at)
                    },
                    source => Credential {
                        name: Some(Cow::Borrowed(source)),
                        certainty: Certainty::Unknown,
                        ..Credential::at(CredentialKind::Unknown, at)
                    },
                };
                self.push(Credential { containers: vec![name], env: Some(variable.name), ..credential });
            }
        }
        for (position, from) in container.env_from().enumerate() {
            for (source, node) in from.entries() {
                if self.full {
                    return;
                }
                if node.is_null() || matches!(source, "configMapRef" | "prefix") {
                    continue;
                }
                let at = format!("spec.{list}[{index}].envFrom[{position}].{source}");
                let credential = if source == "secretRef" {
                    let judged = self.secrets.judge(node.text("name"));
                    Credential::at(judged.kind, at).of_secret(judged)
                } else {
                    Credential {
                        name: Some(Cow::Borrowed(source)),
                        certainty: Certainty::Unknown,
                        ..Credential::at(CredentialKind::Unknown, at)
                    }
                };
                self.push(Credential { containers: vec![name], ..credential });
            }
        }
    }
}

#[cfg(test)]
mod tests;
