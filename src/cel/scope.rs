//! The names that an expression may use.

use super::types::Type;

/// The variables that an expression may name, each with a slot number: its position.
///
/// A name may be dotted (`variables.team`, `related.ids`). The longest dotted beginning of a chain of identifiers that is a name of
/// the scope is the variable, the rest are field selections: CEL's resolution of names in a namespace.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    names: Vec<Box<str>>,
    /// By slot.
    types: Vec<Type>,
}

impl Scope {
    /// The names in order of their slots; nothing is known of their types.
    #[must_use]
    pub fn new(names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| (*name).into()).collect(), types: vec![Type::Dyn; names.len()] }
    }

    /// This scope with one more name, in the next slot, of any type; a name it has already keeps its slot.
    #[must_use]
    pub fn with(&self, name: &str) -> Self {
        if self.slot(name).is_some() { self.clone() } else { self.with_type(name, Type::Dyn) }
    }

    /// This scope with a name declared as a type: in the next slot, or in the one it has already.
    #[must_use]
    pub fn with_type(&self, name: &str, is: Type) -> Self {
        let mut scope = self.clone();
        match scope.slot(name).and_then(|slot| scope.types.get_mut(slot)) {
            Some(known) => *known = is,
            None => {
                scope.names.push(name.into());
                scope.types.push(is);
            }
        }
        scope
    }

    /// What the name of a slot is declared as.
    #[must_use]
    pub fn type_of(&self, slot: usize) -> &Type {
        self.types.get(slot).unwrap_or(&Type::Dyn)
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
