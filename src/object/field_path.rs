//! Where a value stands in an object, printed as Kubernetes prints it (apimachinery's `field.Path`).

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use super::tree::{Node, Object};

/// One step of a [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A field that the schema names: `.serviceAccountName`.
    Field(Cow<'static, str>),
    /// A key that the author chose, in a map such as `annotations`: `[spiffe.io/spiffe-id]`.
    Key(Cow<'static, str>),
    /// A position in a list: `[0]`.
    Index(usize),
}

/// A path from the root of an object, or of a pod template, to a value that need not exist.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Vec<Segment>);

/// How many steps a path mostly grows by once it is made or copied: to an item of a list, and a field of it.
const GROWTH: usize = 3;

impl Clone for FieldPath {
    fn clone(&self) -> Self {
        let mut segments = Vec::with_capacity(self.0.len() + GROWTH);
        segments.extend_from_slice(&self.0);
        Self(segments)
    }
}

impl FieldPath {
    /// The root itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// A path of schema fields.
    #[must_use]
    pub fn of(fields: &[&'static str]) -> Self {
        let mut segments = Vec::with_capacity(fields.len() + GROWTH);
        segments.extend(fields.iter().map(|field| Segment::Field((*field).into())));
        Self(segments)
    }

    /// This path with one more schema field.
    #[must_use]
    pub fn field(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.0.push(Segment::Field(name.into()));
        self
    }

    /// This path with one more key of the author's.
    #[must_use]
    pub fn key(mut self, name: &str) -> Self {
        self.0.push(Segment::Key(name.to_owned().into()));
        self
    }

    /// This path with one more list position.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Segment::Index(index));
        self
    }

    /// This path followed by another one.
    #[must_use]
    pub fn join(mut self, suffix: &Self) -> Self {
        self.0.extend(suffix.0.iter().cloned());
        self
    }

    /// Appends one step.
    pub fn push(&mut self, segment: Segment) {
        self.0.push(segment);
    }

    /// Removes the last step.
    pub fn pop(&mut self) -> Option<Segment> {
        self.0.pop()
    }

    /// The steps in order.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// What a message about this field begins with; nothing for the whole object.
    #[must_use]
    pub fn lead(&self) -> String {
        if self.is_root() { String::new() } else { format!("{self}: ") }
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path without its last step.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    /// The JSON Pointer (RFC 6901) of this path, as JSON Patch (RFC 6902) wants it.
    #[must_use]
    pub fn to_pointer(&self) -> String {
        let mut out = String::with_capacity(64);
        self.write_pointer(&mut out);
        out
    }

    /// Appends that JSON Pointer.
    pub(super) fn write_pointer(&self, out: &mut String) {
        for segment in &self.0 {
            out.push('/');
            match segment {
                Segment::Field(name) | Segment::Key(name) if name.bytes().all(|byte| !matches!(byte, b'~' | b'/')) => out.push_str(name),
                Segment::Field(name) | Segment::Key(name) => out.push_str(&name.replace('~', "~0").replace('/', "~1")),
                Segment::Index(index) => {
                    let _ = write!(out, "{index}");
                }
            }
        }
    }

    /// The value at this path under `root`, `null` included.
    #[must_use]
    pub fn resolve<'a>(&self, root: Node<'a>) -> Option<Node<'a>> {
        self.0.iter().try_fold(root, step)
    }

    /// The longest beginning of this path that exists under `root`.
    #[must_use]
    pub fn nearest_existing(&self, root: Node<'_>) -> Self {
        let mut node = root;
        let depth = self.0.iter().take_while(|segment| step(node, segment).inspect(|next| node = *next).is_some()).count();
        Self(self.0.iter().take(depth).cloned().collect())
    }

    /// This path with every list position replaced by the key that names the item in Kubernetes' schema (`containers[name=api]`), so
    /// that it still names the same item after another one was inserted before it. Items of lists without such a key are `[*]`.
    #[must_use]
    pub fn stable(&self, root: Node<'_>) -> String {
        let mut out = String::new();
        let mut node = Some(root);
        let mut list = "";
        for segment in &self.0 {
            let next = node.and_then(|node| step(node, segment));
            match segment {
                Segment::Index(_) => {
                    let key = list_map_key(list);
                    let name = key.and_then(|key| next.and_then(|item| item.get(key)).map(|value| (key, value)));
                    match name {
                        Some((key, value)) => {
                            let text = value.as_str().map_or_else(|| value.to_json(), str::to_owned);
                            out.push_str(&format!("[{key}={text}]"));
                        }
                        None => out.push_str("[*]"),
                    }
                }
                Segment::Field(name) => {
                    list = name;
                    write_field(&mut out, name);
                }
                Segment::Key(name) => {
                    list = name;
                    out.push_str(&format!("[{name}]"));
                }
            }
            node = next;
        }
        out
    }

    /// Reads a path as it prints. A `[...]` of digits is a list position, anything else a key.
    ///
    /// # Errors
    /// A message that names the character where the text stops being a path.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut path = Self::root();
        let mut rest = text;
        while !rest.is_empty() {
            let offset = text.len() - rest.len();
            if let Some(inside) = rest.strip_prefix('[') {
                let Some((name, after)) = inside.split_once(']') else {
                    return Err(format!("`[` at position {offset} of path `{text}` is never closed"));
                };
                path.push(name.parse().map_or_else(|_| Segment::Key(name.to_owned().into()), Segment::Index));
                rest = after;
            } else {
                let name = rest.strip_prefix('.').unwrap_or(rest);
                let end = name.find(['.', '[']).unwrap_or(name.len());
                let (name, after) = name.split_at(end);
                if name.is_empty() {
                    return Err(format!("a field name is missing at position {offset} of path `{text}`"));
                }
                path.push(Segment::Field(name.to_owned().into()));
                rest = after;
            }
        }
        Ok(path)
    }
}

/// The key that names an item of one of Kubernetes' keyed lists (`x-kubernetes-list-map-keys` of its `OpenAPI`); for mounts, devices
/// and ports the first of them.
fn list_map_key(list: &str) -> Option<&'static str> {
    Some(match list {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "secrets"
        | "subjects"
        | "resourceClaims" => "name",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "ports" => "containerPort",
        "ownerReferences" => "uid",
        "hostAliases" => "ip",
        "conditions" => "type",
        "topologySpreadConstraints" => "topologyKey",
        _ => return None,
    })
}

/// The value one step below another.
pub(super) fn step<'a>(node: Node<'a>, segment: &Segment) -> Option<Node<'a>> {
    match segment {
        Segment::Field(name) | Segment::Key(name) => node.entry(name),
        Segment::Index(index) => node.item(*index),
    }
}

fn write_field(out: &mut String, name: &str) {
    if !out.is_empty() {
        out.push('.');
    }
    out.push_str(name);
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Field(name) if position == 0 => write!(formatter, "{name}")?,
                Segment::Field(name) => write!(formatter, ".{name}")?,
                Segment::Key(name) => write!(formatter, "[{name}]")?,
                Segment::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl serde::Serialize for FieldPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Object {
    /// The value at a path, `null` included.
    #[must_use]
    pub fn at(&self, path: &FieldPath) -> Option<Node<'_>> {
        path.resolve(self.root())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_apimachinery_does() {
        let path = FieldPath::of(&["spec", "containers"]).index(0).field("env").index(2).field("value");
        assert_eq!(path.to_string(), "spec.containers[0].env[2].value");
        let path = FieldPath::of(&["metadata", "annotations"]).key("spiffe.io/spiffe-id");
        assert_eq!(path.to_string(), "metadata.annotations[spiffe.io/spiffe-id]");
        assert_eq!(path.to_pointer(), "/metadata/annotations/spiffe.io~1spiffe-id");
        assert_eq!(FieldPath::parse("metadata.annotations[spiffe.io/spiffe-id]"), Ok(path));
    }

    #[test]
    fn a_stable_path_survives_an_insertion() {
        let before = Object::from_json(r#"{"spec":{"containers":[{"name":"b"}]}}"#).unwrap();
        let after = Object::from_json(r#"{"spec":{"containers":[{"name":"a"},{"name":"b"}]}}"#).unwrap();
        let old = FieldPath::of(&["spec", "containers"]).index(0).field("image").stable(before.root());
        let new = FieldPath::of(&["spec", "containers"]).index(1).field("image").stable(after.root());
        assert_eq!(old, "spec.containers[name=b].image");
        assert_eq!(old, new);
    }

    #[test]
    fn the_nearest_existing_ancestor_of_an_absent_field() {
        let object = Object::from_json(r#"{"spec":{"containers":[{}]}}"#).unwrap();
        let path = FieldPath::of(&["spec", "containers"]).index(0).field("env").index(3);
        assert_eq!(path.nearest_existing(object.root()).to_string(), "spec.containers[0]");
        assert!(path.resolve(object.root()).is_none());
    }

    #[test]
    fn a_malformed_path_is_named() {
        assert_eq!(FieldPath::parse("a[0").unwrap_err(), "`[` at position 1 of path `a[0` is never closed");
        assert_eq!(FieldPath::parse("a..b").unwrap_err(), "a field name is missing at position 1 of path `a..b`");
    }
}
