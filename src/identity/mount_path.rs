//! Paths inside a container, compared as the kernel would: the one type that every rule and injection uses for mounts.

/// A cleaned absolute path: no empty, `.` or `..` step, no slash at the end, and `/var/run` read as `/run`, which is the same
/// directory in almost every image.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MountPath(String);

/// How two paths lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same directory.
    Same,
    /// The first contains the second.
    Above,
    /// The first lies inside the second.
    Below,
    /// Neither contains the other.
    Apart,
}

impl MountPath {
    /// Cleans a path as Go's `path.Clean` does.
    #[must_use]
    pub fn new(path: &str) -> Self {
        let mut clean = String::with_capacity(path.len() + 1);
        for step in path.split('/') {
            match step {
                "" | "." => {}
                ".." => clean.truncate(clean.rfind('/').unwrap_or(0)),
                step => {
                    clean.push('/');
                    clean.push_str(step);
                }
            }
        }
        if clean == "/var/run" || clean.starts_with("/var/run/") {
            clean.drain(.."/var".len());
        }
        if clean.is_empty() {
            clean.push('/');
        }
        Self(clean)
    }

    /// The cleaned path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This path with a relative one below it.
    #[must_use]
    pub fn join(&self, below: &str) -> Self {
        Self::new(&format!("{}/{below}", self.0))
    }

    /// How this path lies to another one.
    #[must_use]
    pub fn relation(&self, other: &Self) -> Relation {
        if self == other {
            Relation::Same
        } else if self.contains(other) {
            Relation::Above
        } else if other.contains(self) {
            Relation::Below
        } else {
            Relation::Apart
        }
    }

    /// Whether the two are the same or one contains the other.
    #[must_use]
    pub fn touches(&self, other: &Self) -> bool {
        self.relation(other) != Relation::Apart
    }

    /// Whether this path equals a pattern in which `*` stands for any text within one step, or lies below such a path, or above it.
    #[must_use]
    pub fn touches_pattern(&self, pattern: &str) -> bool {
        let pattern = Self::new(pattern);
        self.0.split('/').skip(1).filter(|step| !step.is_empty()).zip(pattern.0.split('/').skip(1)).all(|(step, wanted)| {
            match wanted.split_once('*') {
                Some((start, end)) => step.len() >= start.len() + end.len() && step.starts_with(start) && step.ends_with(end),
                None => step == wanted,
            }
        })
    }

    fn contains(&self, other: &Self) -> bool {
        self.0 == "/" || other.0.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl std::fmt::Display for MountPath {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl serde::Serialize for MountPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardening_a17_every_spelling_of_the_token_directory_is_one_path() {
        let path = MountPath::new("/var/run/secrets/kubernetes.io/serviceaccount");
        for spelling in [
            "/run/secrets/kubernetes.io/serviceaccount",
            "/var/run/secrets/kubernetes.io/serviceaccount/",
            "/var//run/./secrets/x/../kubernetes.io/serviceaccount",
            "/var/run/secrets/kubernetes.io/serviceaccount/../serviceaccount",
        ] {
            assert_eq!(MountPath::new(spelling), path, "{spelling}");
        }
        assert_eq!(MountPath::new("/var/run/secrets").relation(&path), Relation::Above);
        assert_eq!(path.relation(&MountPath::new("/")), Relation::Below);
        assert_eq!(MountPath::new("/var/run/secrets/kubernetes.io/serviceaccount2").relation(&path), Relation::Apart);
    }

    #[test]
    fn hardening_a4_a_pattern_is_touched_from_above_and_below() {
        for (path, pattern, touches) in [
            ("/", "/run/spire", true),
            ("/run", "/run/spire", true),
            ("/var/run/spire/sockets", "/run/spire", true),
            ("/run/spired", "/run/spire", false),
            ("/tmp/spire-agent/public", "/tmp/spire-*", true),
            ("/tmp", "/tmp/spire-*", true),
            ("/tmp/other", "/tmp/spire-*", false),
        ] {
            assert_eq!(MountPath::new(path).touches_pattern(pattern), touches, "{path} {pattern}");
        }
    }
}
