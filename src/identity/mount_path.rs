//! Paths inside a container, compared as the kernel would: the one type that every rule and injection uses for mounts.

use std::borrow::Cow;

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
        Self(cleaned(path).into_owned())
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
        relate(&self.0, &other.0)
    }

    /// Whether the two are the same or one contains the other.
    #[must_use]
    pub fn touches(&self, other: &Self) -> bool {
        self.relation(other) != Relation::Apart
    }

    /// Whether this path equals a pattern in which `*` stands for any text within one step, or lies below such a path, or above it.
    #[must_use]
    pub fn touches_pattern(&self, pattern: &str) -> bool {
        let pattern = cleaned(pattern);
        self.0.split('/').skip(1).filter(|step| !step.is_empty()).zip(pattern.split('/').skip(1)).all(|(step, wanted)| {
            match wanted.split_once('*') {
                Some((start, end)) => step.len() >= start.len() + end.len() && step.starts_with(start) && step.ends_with(end),
                None => step == wanted,
            }
        })
    }
}

/// How two paths lie to each other, as they are written: what is only compared needs no [`MountPath`] of its own.
pub(super) fn relation(one: &str, other: &str) -> Relation {
    relate(&cleaned(one), &cleaned(other))
}

/// The text of a [`MountPath`]. Nearly every path is written clean, or is so behind `/var`, and then it is not copied.
pub(super) fn cleaned(path: &str) -> Cow<'_, str> {
    if !is_clean(path) {
        return Cow::Owned(clean(path));
    }
    Cow::Borrowed(match path.strip_prefix("/var") {
        Some(run) if is_run(run) => run,
        _ => path,
    })
}

/// Whether it is absolute and has no step that is empty or begins with a dot.
fn is_clean(path: &str) -> bool {
    let path = path.as_bytes();
    path.first() == Some(&b'/')
        && (path.len() == 1 || path.last() != Some(&b'/'))
        && !path.windows(2).any(|pair| matches!(pair, [b'/', b'/' | b'.']))
}

fn clean(path: &str) -> String {
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
    if clean.strip_prefix("/var").is_some_and(is_run) {
        clean.drain(.."/var".len());
    }
    if clean.is_empty() {
        clean.push('/');
    }
    clean
}

fn is_run(path: &str) -> bool {
    path.strip_prefix("/run").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn relate(one: &str, other: &str) -> Relation {
    let contains = |above: &str, below: &str| above == "/" || below.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'));
    if one == other {
        Relation::Same
    } else if contains(one, other) {
        Relation::Above
    } else if contains(other, one) {
        Relation::Below
    } else {
        Relation::Apart
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
