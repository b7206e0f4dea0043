//! What is known of a related object: three values, never a guess.

/// A fact about the cluster, fetched before anything is judged.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact<T> {
    /// It exists.
    Found(T),
    /// It is confirmed not to exist.
    Absent,
    /// It could not be learned, and why. What depends on it fails closed in the cluster.
    Unknown(String),
}

impl<T> Fact<T> {
    /// The value, if it was found.
    pub fn found(&self) -> Option<&T> {
        if let Self::Found(value) = self { Some(value) } else { None }
    }

    /// The same fact about something made of the value.
    pub fn map<'a, U>(&'a self, make: impl FnOnce(&'a T) -> U) -> Fact<U> {
        match self {
            Self::Found(value) => Fact::Found(make(value)),
            Self::Absent => Fact::Absent,
            Self::Unknown(reason) => Fact::Unknown(reason.clone()),
        }
    }
}
