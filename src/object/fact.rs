//! What is known of something outside the object at hand: three-valued, because "it is not there" and "nobody knows" lead to
//! different verdicts.

/// A fact that was looked up: found, confirmed absent, or unknown with the reason.
///
/// Confirmed absence is an answer (a rule may rely on it); an unknown is an evaluation error, which denies in the cluster and
/// follows the setting `onMissingRelated` in a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<T> {
    /// It exists, and this is it.
    Found(T),
    /// The one who must know says that it does not exist.
    Absent,
    /// Nobody could say; the reason is a sentence for people, without foreign text.
    Unknown(String),
}

impl<T> Fact<T> {
    /// The value, if there is one.
    #[must_use]
    pub fn found(self) -> Option<T> {
        match self {
            Self::Found(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// The same fact by reference.
    #[must_use]
    pub fn as_ref(&self) -> Fact<&T> {
        match self {
            Self::Found(value) => Fact::Found(value),
            Self::Absent => Fact::Absent,
            Self::Unknown(reason) => Fact::Unknown(reason.clone()),
        }
    }

    /// The same fact about something made of the value.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Found(value) => Fact::Found(change(value)),
            Self::Absent => Fact::Absent,
            Self::Unknown(reason) => Fact::Unknown(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_stays_unknown() {
        let unknown: Fact<u8> = Fact::Unknown("the API server did not answer within 300 ms".into());
        assert_eq!(unknown.clone().map(u16::from), Fact::Unknown("the API server did not answer within 300 ms".into()));
        assert_eq!(unknown.found(), None);
        assert_eq!(Fact::Found(1_u8).as_ref().map(|value| *value + 1), Fact::Found(2));
        assert_eq!(Fact::<u8>::Absent.map(u16::from), Fact::Absent);
    }
}
