//! The names that an expression may use.

/// The variables that an expression may name, each with a slot number: its position.
///
/// A name may be dotted (`variables.team`, `related.ids`). The longest dotted beginning of a chain of identifiers that is a name of
/// the scope is the variable, the rest are field selections: CEL's resolution of names in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    names: Vec<Box<str>>,
}

impl Scope {
    /// The names in order of their slots.
    #[must_use]
    pub fn new(names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| (*name).into()).collect() }
    }

    /// This scope with one more name, in the next slot; a name it has already keeps its slot.
    #[must_use]
    pub fn with(&self, name: &str) -> Self {
        let mut scope = self.clone();
        if scope.slot(name).is_none() {
            scope.names.push(name.into());
        }
        scope
    }

    /// The slot of a name.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| &**known == name)
    }

    /// The names in order of their slots.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// The slot and the number of segments of the longest name that begins a chain of identifiers.
    pub(super) fn longest(&self, chain: &[&str]) -> Option<(usize, usize)> {
        (1..=chain.len()).rev().find_map(|count| Some((self.slot(&chain.get(..count)?.join("."))?, count)))
    }

    /// The names below a namespace: of `variables` those of `variables.team`.
    pub(super) fn below(&self, namespace: &str) -> Vec<&str> {
        self.names().filter_map(|name| name.strip_prefix(namespace)?.strip_prefix('.')).collect()
    }
}
