//! The other half of the kubelet's part: a pod's volumes as files, and an injected container started with exactly its command, arguments
//! and environment.
//!
//! A pod's containers run one after the other in one root directory, in which each volume stands where they mount it, the application's
//! mounts among them. A container sees nothing else, has the user and group that its security context names, no capability, and may
//! write where a mount lets it: everything else is read-only, as `readOnlyRootFilesystem` says.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::certificates::authority;
use crate::client::Cluster;
use crate::controlplane::directory;
use crate::kept::Kept;
use crate::kubelet;
use crate::openbao::{CA_FILE, program};

/// Where a pod runs.
pub(crate) struct Sandbox {
    root: PathBuf,
    /// The directories in which a container may write.
    writable: Vec<PathBuf>,
    pod: Value,
}

impl Sandbox {
    /// Mounts the volumes of a pod that is bound to the kubelet's node.
    pub(crate) async fn prepare(kubelet: &Cluster, pod: &Value) -> Self {
        let mut sandbox = Self { root: directory("pod"), writable: Vec::new(), pod: pod.clone() };
        // The image: the program, and the certificate of the server's authority.
        let image = sandbox.at("/bin/bao");
        std::fs::create_dir_all(image.parent().expect("a directory")).expect("the test's directory is writable");
        std::fs::hard_link(program(), &image).expect("both stand below target/");
        sandbox.write(&sandbox.at(CA_FILE), authority().bundle_pem().as_bytes());

        let tokens = kubelet::tokens(kubelet, pod).await;
        for volume in items(&pod["spec"]["volumes"]) {
            let files = kubelet::files(kubelet, pod, volume).await;
            for (mount, writable) in sandbox.mounts(text(&volume["name"])) {
                std::fs::create_dir_all(&mount).expect("the test's directory is writable");
                for token in tokens.iter().filter(|token| volume["name"] == token.volume) {
                    sandbox.write(&mount.join(&token.file), token.token.as_bytes());
                }
                for (file, text) in &files {
                    sandbox.write(&mount.join(file), text.as_bytes());
                }
                for item in items(&volume["downwardAPI"]["items"]) {
                    let field = text(&item["fieldRef"]["fieldPath"]);
                    let key = field.strip_prefix("metadata.annotations['").and_then(|rest| rest.strip_suffix("']"));
                    let value = &pod["metadata"]["annotations"][key.expect("an annotation")];
                    sandbox.write(&mount.join(text(&item["path"])), text(value).as_bytes());
                }
                if writable {
                    sandbox.writable.push(mount);
                }
            }
        }
        sandbox.set_modes(&sandbox.root, 0o555);
        sandbox
    }

    /// Where a volume is mounted, and whether anybody may write there.
    fn mounts(&self, volume: &str) -> Vec<(PathBuf, bool)> {
        let spec = &self.pod["spec"];
        let containers = items(&spec["initContainers"]).chain(items(&spec["containers"]));
        let mounts = containers.flat_map(|container| items(&container["volumeMounts"])).filter(|mount| mount["name"] == volume);
        let mut found: Vec<(PathBuf, bool)> = Vec::new();
        for mount in mounts {
            assert!(mount["subPath"].is_null(), "a volume is mounted as a whole");
            let (path, writable) = (self.at(text(&mount["mountPath"])), mount["readOnly"] != true);
            match found.iter_mut().find(|(there, _)| *there == path) {
                Some((_, anybody)) => *anybody |= writable,
                None => found.push((path, writable)),
            }
        }
        found
    }

    /// Starts a container. It must be one that is injected: its image is taken to be the agent's.
    pub(crate) fn start(&self, name: &str) -> Kept {
        let spec = &self.pod["spec"];
        let container = items(&spec["initContainers"]).chain(items(&spec["containers"])).find(|container| container["name"] == name);
        let container = container.unwrap_or_else(|| panic!("{name} is not among the containers"));
        let context = &container["securityContext"];
        assert_eq!(context["readOnlyRootFilesystem"], true, "what is not mounted is read-only here");
        let mut words: Vec<String> = ["env", "-i", "PATH=/usr/bin:/bin", "HOME=/"].map(str::to_owned).into();
        words.extend(items(&container["env"]).map(|variable| format!("{}={}", text(&variable["name"]), text(&variable["value"]))));
        words.extend(["unshare", "--user"].map(str::to_owned));
        words.push(format!("--map-user={}", context["runAsUser"]));
        words.push(format!("--map-group={}", context["runAsGroup"]));
        words.push(format!("--root={}", self.root.display()));
        words.push("--".to_owned());
        words.extend(items(&container["command"]).chain(items(&container["args"])).map(|word| text(word).to_owned()));
        Kept::start(&words, &directory(name).join("log"))
    }

    /// What a container reads at a path.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.at(path)).ok()
    }

    /// The permissions of a file of a container.
    pub(crate) fn mode(&self, path: &str) -> u32 {
        std::fs::metadata(self.at(path)).expect("a file").permissions().mode() & 0o777
    }

    /// The names of the files in a directory of a container.
    pub(crate) fn files(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.at(path)).expect("a directory");
        let mut names: Vec<String> = entries.map(|entry| entry.expect("it stays").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Removes the files of a directory in which a container may write.
    pub(crate) fn clear(&self, path: &str) {
        for name in self.files(path) {
            std::fs::remove_file(self.at(path).join(name)).expect("it is ours");
        }
    }

    /// Replaces a file that no container may change, as a kubelet does with a token before it expires.
    pub(crate) fn replace(&self, path: &str, text: &str) {
        let file = self.at(path);
        let directory = file.parent().expect("a directory");
        self.set_modes(directory, 0o755);
        self.write(&file, text.as_bytes());
        self.set_modes(directory, 0o555);
    }

    /// Sets the mode of a directory and all below it, but not where a container may write. Its user is who runs the test, under another
    /// name, so the mode is what keeps it out.
    fn set_modes(&self, directory: &Path, mode: u32) {
        if self.writable.iter().any(|writable| writable == directory) {
            return;
        }
        std::fs::set_permissions(directory, Permissions::from_mode(mode)).expect("it is ours");
        for entry in std::fs::read_dir(directory).expect("it is ours") {
            let path = entry.expect("it stays").path();
            if path.is_dir() {
                self.set_modes(&path, mode);
            }
        }
    }

    /// Writes a file that no container may change.
    fn write(&self, path: &Path, bytes: &[u8]) {
        let directory = path.parent().expect("a directory");
        std::fs::create_dir_all(directory).expect("the test's directory is writable");
        // An agent that reads meanwhile finds the old one or the new one.
        let new = path.with_extension("new");
        std::fs::write(&new, bytes).expect("the test's directory is writable");
        std::fs::set_permissions(&new, Permissions::from_mode(0o444)).expect("it is ours");
        std::fs::rename(&new, path).expect("it is ours");
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

impl Drop for Sandbox {
    /// The next run must be able to remove it.
    fn drop(&mut self) {
        self.set_modes(&self.root, 0o755);
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}
