//! Where a validation looks: the `at` of a policy, a path with alternatives and bindings.
//!
//! ```text
//! at    = field *( "." field | "[" ( "*" | name | "'" key "'" ) "]" )
//! field = ident | "{" ident *( "," ident ) "}"
//! ```
//! `[*]` and `[name]` stand for every item of a list or every value of a map; `[name]` also binds it for the CEL below. Every existing
//! match is judged on its own. A wrong type or an absent path matches nothing.

use crate::cel::Type;
use crate::object::{FieldPath, Kind, Node};

/// A compiled `at`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    pub(super) steps: Vec<Step>,
}

/// One step of a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Field(Vec<String>),
    Key(String),
    Each(Option<String>),
}

/// Why a text is no `at`: the position is a byte offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at position {position} of `{text}`")]
pub struct LocationError {
    text: String,
    position: usize,
    reason: &'static str,
}

/// One value that a location found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'t, 'a> {
    /// The value.
    pub node: Node<'a>,
    /// The bound values, in the order of [`Location::bindings`].
    pub bound: &'t [Node<'a>],
    trail: &'t [Place<'t>],
}

/// A step of the way to a match. Nearly every match passes, so its path is made on demand only.
#[derive(Clone, Copy, Debug)]
enum Place<'t> {
    Field(&'t str),
    Key(&'t str),
    Index(usize),
}

impl<'a> Found<'_, 'a> {
    /// A value by itself.
    #[must_use]
    pub fn whole(node: Node<'a>) -> Self {
        Self { node, bound: &[], trail: &[] }
    }

    /// Its path below the root that was searched.
    #[must_use]
    pub fn path(&self) -> FieldPath {
        self.trail.iter().fold(FieldPath::root(), |path, place| match place {
            Place::Field(name) => path.field((*name).to_owned()),
            Place::Key(name) => path.key(name),
            Place::Index(index) => path.index(*index),
        })
    }
}

impl Location {
    /// Reads an `at`.
    ///
    /// # Errors
    /// [`LocationError`] where the text stops following the grammar, or a name is bound twice.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let mut reader = Reader { text, position: 0 };
        let mut steps = vec![reader.field()?];
        while let Some(next) = reader.peek() {
            match next {
                '.' => {
                    reader.position += 1;
                    steps.push(reader.field()?);
                }
                '[' => {
                    reader.position += 1;
                    let step = reader.bracket()?;
                    if let Step::Each(Some(name)) = &step
                        && steps.iter().any(|earlier| matches!(earlier, Step::Each(Some(other)) if other == name))
                    {
                        return Err(reader.error("a name is bound twice"));
                    }
                    steps.push(step);
                }
                _ => return Err(reader.error("expected `.` or `[`")),
            }
        }
        Ok(Self { steps })
    }

    /// The names that this location binds, in order.
    pub fn bindings(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| if let Step::Each(Some(name)) = step { Some(name.as_str()) } else { None })
    }

    /// The types that the matches below a root of this type have, with those of the bound names: one for each way through the
    /// alternatives that differs.
    ///
    /// # Errors
    /// What the schema does not have.
    pub fn shapes(&self, root: &Type) -> Result<Vec<Shape>, String> {
        let mut shapes = vec![Shape { this: root.clone(), bound: Vec::new() }];
        for step in &self.steps {
            let mut next: Vec<Shape> = Vec::new();
            for shape in &shapes {
                for found in step.types(&shape.this)? {
                    let mut shape = Shape { this: found, bound: shape.bound.clone() };
                    if let Step::Each(Some(_)) = step {
                        shape.bound.push(shape.this.clone());
                    }
                    if !next.iter().any(|known| known.this.to_string() == shape.this.to_string()) {
                        next.push(shape);
                    }
                }
            }
            shapes = next;
        }
        Ok(shapes)
    }

    /// Visits every existing match below `root`: lists in order of index, maps in order of key.
    pub fn each<'a>(&'a self, root: Node<'a>, trail: &mut Trail<'a>, visit: &mut dyn FnMut(Found<'_, 'a>)) {
        trail.places.clear();
        trail.bound.clear();
        descend(&self.steps, root, trail, visit);
    }
}

/// The type of a match, and of the names that were bound on the way.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What `self` is.
    pub this: Type,
    /// In the order of [`Location::bindings`].
    pub bound: Vec<Type>,
}

impl Step {
    fn types(&self, of: &Type) -> Result<Vec<Type>, String> {
        match (self, of) {
            (_, Type::Dyn) => Ok(vec![Type::Dyn]),
            (Self::Field(names), Type::Object(_) | Type::Map(_, _)) => names.iter().map(|name| of.member(name)).collect(),
            (Self::Key(name), Type::Object(_) | Type::Map(_, _)) => Ok(vec![of.member(name)?]),
            (Self::Each(_), Type::List(item)) => Ok(vec![item.get().clone()]),
            (Self::Each(_), Type::Map(_, value)) => Ok(vec![value.get().clone()]),
            (Self::Each(_), Type::Object(_)) => Ok(vec![Type::Dyn]),
            (Self::Field(_) | Self::Key(_), other) => Err(format!("type '{other}' does not support field selection")),
            (Self::Each(_), other) => Err(format!("type '{other}' has no items")),
        }
    }
}

/// The way to where a search stands; one serves many searches.
#[derive(Debug, Default)]
pub struct Trail<'a> {
    places: Vec<Place<'a>>,
    bound: Vec<Node<'a>>,
}

fn descend<'a>(steps: &'a [Step], node: Node<'a>, trail: &mut Trail<'a>, visit: &mut dyn FnMut(Found<'_, 'a>)) {
    let Some((step, rest)) = steps.split_first() else {
        visit(Found { node, bound: &trail.bound, trail: &trail.places });
        return;
    };
    let mut enter = |place: Place<'a>, value: Node<'a>, binds: bool| {
        trail.places.push(place);
        if binds {
            trail.bound.push(value);
        }
        descend(rest, value, trail, visit);
        if binds {
            trail.bound.pop();
        }
        trail.places.pop();
    };
    match step {
        Step::Field(names) => {
            for name in names {
                if let Some(value) = node.get(name) {
                    enter(Place::Field(name), value, false);
                }
            }
        }
        Step::Key(name) => {
            if let Some(value) = node.get(name) {
                enter(Place::Key(name), value, false);
            }
        }
        Step::Each(name) => match node.kind() {
            Kind::List => {
                for (index, item) in node.items().enumerate() {
                    enter(Place::Index(index), item, name.is_some());
                }
            }
            Kind::Map => {
                for (key, value) in node.sorted_entries() {
                    enter(Place::Key(key), value, name.is_some());
                }
            }
            _ => {}
        },
    }
}

struct Reader<'t> {
    text: &'t str,
    position: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn error(&self, reason: &'static str) -> LocationError {
        LocationError { text: self.text.to_owned(), position: self.position, reason }
    }

    fn identifier(&mut self) -> Result<String, LocationError> {
        let rest = self.rest();
        let end = rest.find(|next: char| !next.is_ascii_alphanumeric() && next != '_').unwrap_or(rest.len());
        let (name, _) = rest.split_at(end);
        if !name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
            return Err(self.error("expected a name"));
        }
        self.position += end;
        Ok(name.to_owned())
    }

    fn field(&mut self) -> Result<Step, LocationError> {
        if self.peek() != Some('{') {
            return Ok(Step::Field(vec![self.identifier()?]));
        }
        let mut names = Vec::new();
        loop {
            self.position += 1;
            names.push(self.identifier()?);
            match self.peek() {
                Some(',') => {}
                Some('}') => {
                    self.position += 1;
                    return Ok(Step::Field(names));
                }
                _ => return Err(self.error("expected `,` or `}`")),
            }
        }
    }

    fn bracket(&mut self) -> Result<Step, LocationError> {
        let step = match self.peek() {
            Some('*') => {
                self.position += 1;
                Step::Each(None)
            }
            Some('\'') => {
                self.position += 1;
                let rest = self.rest();
                let end = rest.find('\'').ok_or_else(|| self.error("expected `'`"))?;
                let (key, _) = rest.split_at(end);
                self.position += end + 1;
                Step::Key(key.to_owned())
            }
            _ => Step::Each(Some(self.identifier()?)),
        };
        if self.peek() != Some(']') {
            return Err(self.error("expected `]`"));
        }
        self.position += 1;
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;

    fn paths(at: &str, text: &str) -> Vec<(String, Vec<String>)> {
        let object = Object::from_json(text).unwrap();
        let mut paths = Vec::new();
        let location = Location::parse(at).unwrap();
        location.each(object.root(), &mut Trail::default(), &mut |found| {
            paths.push((found.path().to_string(), found.bound.iter().map(|node| node.to_json()).collect()));
        });
        paths
    }

    #[test]
    fn every_existing_match_is_found_with_its_bindings() {
        let text =
            r#"{"spec":{"containers":[{"name":"a","env":[{"name":"X"},{"name":"Y"}]},{"name":"b"}],"initContainers":[{"env":[{}]}]}}"#;
        let found = paths("spec.{initContainers,containers}[container].env[*]", text);
        let printed: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(printed, ["spec.initContainers[0].env[0]", "spec.containers[0].env[0]", "spec.containers[0].env[1]"]);
        assert_eq!(found[1].1, [r#"{"name":"a","env":[{"name":"X"},{"name":"Y"}]}"#]);
    }

    #[test]
    fn keys_and_maps_in_order_of_key() {
        let text = r#"{"metadata":{"annotations":{"b/x":"1","a/y":"2"}}}"#;
        assert_eq!(paths("metadata.annotations['b/x']", text)[0].0, "metadata.annotations[b/x]");
        let printed: Vec<_> = paths("metadata.annotations[value]", text).into_iter().map(|(path, _)| path).collect();
        assert_eq!(printed, ["metadata.annotations[a/y]", "metadata.annotations[b/x]"]);
    }

    #[test]
    fn a_wrong_type_or_an_absent_path_matches_nothing() {
        for text in [r#"{"spec":[]}"#, r#"{"spec":{"volumes":"x"}}"#, r#"{"spec":{"volumes":null}}"#, "[]", "1"] {
            assert!(paths("spec.volumes[*]", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_position() {
        for (at, message) in [
            ("", "expected a name at position 0 of ``"),
            ("spec.", "expected a name at position 5 of `spec.`"),
            ("spec[0]", "expected a name at position 5 of `spec[0]`"),
            ("spec.{a,b", "expected `,` or `}` at position 9 of `spec.{a,b`"),
            ("a[x].b[x]", "a name is bound twice at position 9 of `a[x].b[x]`"),
            ("a['x].b", "expected `'` at position 3 of `a['x].b`"),
            ("a b", "expected `.` or `[` at position 1 of `a b`"),
        ] {
            assert_eq!(Location::parse(at).unwrap_err().to_string(), message);
        }
    }
}
