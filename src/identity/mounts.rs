//! Which container sees which file of which volume, and where.

use super::mount_path::MountPath;
use super::pod::Pod;
use crate::object::Node;

/// One mount of a volume in a container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mount<'a> {
    pub(super) volume: &'a str,
    /// As written.
    pub(super) path: &'a str,
    /// `subPath`, or `subPathExpr` as written.
    pub(super) sub_path: &'a str,
    /// Whether `sub_path` holds variables.
    pub(super) variable: bool,
    pub(super) read_only: bool,
    pub(super) container: &'a str,
    /// Position of the container in the pod, so that lists stay in its order.
    position: usize,
}

/// What a mount shows of a file of its volume.
pub(super) enum Shown {
    /// The file at this path.
    At(MountPath),
    /// The file at a path that hangs on a variable.
    Somewhere,
    /// Nothing: another part of the volume is mounted.
    Hidden,
}

impl<'a> Mount<'a> {
    pub(super) fn of(node: Node<'a>, container: &'a str, position: usize) -> Self {
        let (mut volume, mut path, mut fixed, mut variable, mut read_only) = ("", "", "", "", false);
        for (field, value) in node.entries() {
            let text = value.as_str().unwrap_or_default();
            match field {
                "name" => volume = text,
                "mountPath" => path = text,
                "subPath" => fixed = text,
                "subPathExpr" => variable = text,
                "readOnly" => read_only = value.as_bool() == Some(true),
                _ => {}
            }
        }
        let sub_path = if variable.is_empty() { fixed } else { variable };
        Self { volume, path, sub_path, variable: !variable.is_empty(), read_only, container, position }
    }

    /// Where the container finds a file of the volume.
    pub(super) fn shows(&self, file: &str) -> Shown {
        if self.variable {
            return Shown::Somewhere;
        }
        if self.sub_path.is_empty() {
            return Shown::At(MountPath::new(&format!("{}/{file}", self.path)));
        }
        let mut rest = steps(file);
        // The kubelet writes projected files through the links `..data` and `..<time>`; a subPath may name them, and is resolved.
        let inside = steps(self.sub_path).enumerate().filter(|(depth, step)| *depth > 0 || !step.starts_with(".."));
        for (_, step) in inside {
            if rest.next() != Some(step) {
                return Shown::Hidden;
            }
        }
        let mut path = self.path.to_owned();
        for step in rest {
            path.push('/');
            path.push_str(step);
        }
        Shown::At(MountPath::new(&path))
    }

    fn same_place(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    fn key(&self) -> (&'a str, &'a str, &'a str, bool, bool) {
        (self.volume, self.path, self.sub_path, self.variable, self.read_only)
    }
}

fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|step| !matches!(*step, "" | "."))
}

/// Every mount of a pod, sorted by volume and place: what keeps the reading linear in pods of tens of thousands of mounts.
#[derive(Debug)]
pub(super) struct Mounts<'a>(Vec<Mount<'a>>);

impl<'a> Mounts<'a> {
    /// The mounts that the pod shows, and more of them that the API server will add.
    pub(super) fn of(pod: &Pod<'a>, added: impl IntoIterator<Item = Mount<'a>>) -> Self {
        let mut mounts = Vec::with_capacity(pod.containers.iter().map(|container| container.mounts.len()).sum());
        mounts.extend(added);
        mounts.extend(pod.containers.iter().flat_map(|container| &container.mounts));
        mounts.sort_unstable_by_key(|mount| (mount.key(), mount.position));
        Self(mounts)
    }

    /// A mount of a whole volume, read-only, that the API server will add.
    pub(super) fn whole(volume: &'a str, path: &'a str, container: &'a str, position: usize) -> Mount<'a> {
        Mount { volume, path, sub_path: "", variable: false, read_only: true, container, position }
    }

    /// The mounts of a volume.
    pub(super) fn of_volume(&self, volume: &str) -> &[Mount<'a>] {
        let start = self.0.partition_point(|mount| mount.volume < volume);
        let after = self.0.get(start..).unwrap_or_default();
        let len = after.partition_point(|mount| mount.volume == volume);
        after.get(..len).unwrap_or_default()
    }

    /// The mounts of a volume, those of the same place together.
    pub(super) fn places(&self, volume: &str) -> impl Iterator<Item = (Mount<'a>, Vec<&'a str>)> {
        self.of_volume(volume).chunk_by(Mount::same_place).filter_map(|group| {
            let first = *group.first()?;
            let mut containers: Vec<&str> = group.iter().map(|mount| mount.container).collect();
            containers.dedup();
            Some((first, containers))
        })
    }

    /// The containers that mount a volume anywhere, in the pod's order.
    pub(super) fn containers(&self, volume: &str) -> Vec<&'a str> {
        let mut mounts: Vec<(usize, &str)> = self.of_volume(volume).iter().map(|mount| (mount.position, mount.container)).collect();
        mounts.sort_unstable();
        mounts.dedup();
        mounts.into_iter().map(|(_, container)| container).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardening_a17_a_sub_path_shows_a_part_of_the_volume() {
        for (sub_path, variable, file, expected) in [
            ("", false, "token", Some("/m/token")),
            ("token", false, "token", Some("/m")),
            ("./token/", false, "token", Some("/m")),
            ("a", false, "a/token", Some("/m/token")),
            ("b", false, "a/token", None),
            ("a/token/x", false, "a/token", None),
            ("..data", false, "token", Some("/m/token")),
            ("..2026_11_22_00_00_00.1/token", false, "token", Some("/m")),
            ("$(POD)", true, "token", Some("?")),
        ] {
            let mount = Mount { volume: "v", path: "/m/", sub_path, variable, read_only: true, container: "c", position: 0 };
            let found = match mount.shows(file) {
                Shown::At(path) => Some(path.to_string()),
                Shown::Somewhere => Some("?".to_owned()),
                Shown::Hidden => None,
            };
            assert_eq!(found.as_deref(), expected, "{sub_path} {file}");
        }
    }
}
