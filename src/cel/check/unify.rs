//! Which types fit which, and what the unknown ones must then be: cel-go's `checker/types.go`.

use crate::cel::types::{Nested, Parameter, Type};

/// What the variables of types have been found to be.
#[derive(Debug, Default)]
pub(super) struct Substitutions {
    found: Vec<Option<Type>>,
    /// What each change replaced, so that an attempt that failed leaves no trace.
    trail: Vec<(u32, Option<Type>)>,
}

impl Substitutions {
    /// A type that is not known yet.
    pub(super) fn fresh(&mut self) -> Type {
        let number = u32::try_from(self.found.len()).unwrap_or(u32::MAX);
        self.found.push(None);
        Type::Variable(number)
    }

    fn of(&self, number: u32) -> Option<&Type> {
        self.found.get(number as usize)?.as_ref()
    }

    fn set(&mut self, number: u32, to: Type) {
        if let Some(slot) = self.found.get_mut(number as usize) {
            self.trail.push((number, slot.replace(to)));
        }
    }

    /// Whether values of these types may stand where those are taken; what is learned of variables is kept only if all fit.
    pub(super) fn assignable(&mut self, given: &[Type], taken: &[Type]) -> bool {
        let mark = self.trail.len();
        let fits = given.len() == taken.len() && given.iter().zip(taken).all(|(given, taken)| self.unify(given, taken));
        if !fits {
            while self.trail.len() > mark {
                if let Some((number, before)) = self.trail.pop()
                    && let Some(slot) = self.found.get_mut(number as usize)
                {
                    *slot = before;
                }
            }
        }
        fits
    }

    fn unify(&mut self, given: &Type, taken: &Type) -> bool {
        if let Type::Variable(number) = taken {
            let (valid, known) = self.substitute_for(given, *number);
            if valid || known {
                return valid;
            }
        }
        if let Type::Variable(number) = given {
            return self.substitute_for(taken, *number).0;
        }
        match (given, taken) {
            (Type::Dyn | Type::Error, _) | (_, Type::Dyn | Type::Error) | (Type::Type(_), Type::Type(_)) => true,
            (Type::Null, other) | (other, Type::Null) => is_nullable(other),
            (Type::List(given), Type::List(taken)) | (Type::Optional(given), Type::Optional(taken)) => self.unify(given.get(), taken.get()),
            (Type::Map(key, value), Type::Map(taken_key, taken_value)) => {
                self.unify(key.get(), taken_key.get()) && self.unify(value.get(), taken_value.get())
            }
            _ => same(given, taken),
        }
    }

    /// Whether a type may stand for a variable, and whether something else stands for it already.
    fn substitute_for(&mut self, given: &Type, number: u32) -> (bool, bool) {
        if matches!(given, Type::Variable(other) if *other == number) {
            return (true, true);
        }
        if let Some(known) = self.of(number).cloned() {
            if same(given, &known) {
                return (true, true);
            }
            if !self.unify(given, &known) {
                return (false, true);
            }
            let general = if is_equal_or_less_specific(given, &known) { given.clone() } else { known };
            if !self.occurs(number, &general) {
                self.set(number, general);
            }
            return (true, true);
        }
        if self.occurs(number, given) {
            return (false, false);
        }
        self.set(number, given.clone());
        (true, false)
    }

    /// Whether a variable stands inside a type: such a type would have no end.
    fn occurs(&self, number: u32, within: &Type) -> bool {
        match within {
            Type::Variable(other) => *other == number || self.of(*other).is_some_and(|known| self.occurs(number, known)),
            Type::List(inner) | Type::Optional(inner) | Type::Type(inner) => self.occurs(number, inner.get()),
            Type::Map(key, value) => self.occurs(number, key.get()) || self.occurs(number, value.get()),
            _ => false,
        }
    }

    /// Whether a type, with everything that is known put in, has more than `left` parts: loops can double it at each level.
    pub(super) fn exceeds(&self, given: &Type, left: &mut u32) -> bool {
        let Some(fewer) = left.checked_sub(1) else { return true };
        *left = fewer;
        match given {
            Type::Variable(number) => self.of(*number).is_some_and(|known| self.exceeds(known, left)),
            Type::List(inner) | Type::Optional(inner) | Type::Type(inner) => self.exceeds(inner.get(), left),
            Type::Map(key, value) => self.exceeds(key.get(), left) || self.exceeds(value.get(), left),
            _ => false,
        }
    }

    /// The type with everything that is known put in; `finally` also makes what never became known `dyn`.
    pub(super) fn resolve(&self, given: &Type, finally: bool) -> Type {
        let nested = |inner: &Nested| Nested::from(self.resolve(inner.get(), finally));
        match given {
            Type::Variable(number) => match self.of(*number) {
                Some(known) => self.resolve(known, finally),
                None if finally => Type::Dyn,
                None => given.clone(),
            },
            Type::List(inner) => Type::List(nested(inner)),
            Type::Optional(inner) => Type::Optional(nested(inner)),
            Type::Type(inner) => Type::Type(nested(inner)),
            Type::Map(key, value) => Type::Map(nested(key), nested(value)),
            known => known.clone(),
        }
    }
}

/// What the parameters of one row stand for in one call.
#[derive(Debug, Default)]
pub(super) struct Instance {
    parameters: Vec<(&'static str, Type)>,
}

impl Instance {
    /// An instance in which a parameter is a certain type.
    pub(super) fn with(parameter: &Parameter, is: &Type) -> Self {
        Self { parameters: vec![(parameter.name, is.clone())] }
    }

    /// A type of the row in this call.
    pub(super) fn of(&mut self, declared: &Type, substitutions: &mut Substitutions) -> Type {
        match declared {
            Type::Parameter(parameter) => match self.parameters.iter().find(|(name, _)| *name == parameter.name) {
                Some((_, is)) => is.clone(),
                None => {
                    let is = substitutions.fresh();
                    self.parameters.push((parameter.name, is.clone()));
                    is
                }
            },
            Type::List(inner) => Type::list(self.of(inner.get(), substitutions)),
            Type::Optional(inner) => Type::optional(self.of(inner.get(), substitutions)),
            Type::Type(inner) => Type::Type(self.of(inner.get(), substitutions).into()),
            Type::Map(key, value) => Type::map(self.of(key.get(), substitutions), self.of(value.get(), substitutions)),
            known => known.clone(),
        }
    }
}

/// The parameter with a list of types that stands somewhere in a row, if there is one.
pub(super) fn bounded(declared: &Type) -> Option<&'static Parameter> {
    match declared {
        Type::Parameter(parameter) if !parameter.among.is_empty() => Some(parameter),
        Type::List(inner) | Type::Optional(inner) | Type::Type(inner) => bounded(inner.get()),
        Type::Map(key, value) => bounded(key.get()).or_else(|| bounded(value.get())),
        _ => None,
    }
}

/// Whether a type is that of a part that was refused, or has one inside.
pub(super) fn is_refused(of: &Type) -> bool {
    match of {
        Type::Error => true,
        Type::List(inner) | Type::Optional(inner) | Type::Type(inner) => is_refused(inner.get()),
        Type::Map(key, value) => is_refused(key.get()) || is_refused(value.get()),
        _ => false,
    }
}

/// Whether null may stand for a value of the type.
fn is_nullable(of: &Type) -> bool {
    matches!(of, Type::Null | Type::Opaque(_) | Type::Object(_) | Type::Optional(_) | Type::Duration | Type::Timestamp)
}

/// Whether two types are one.
pub(super) fn same(left: &Type, right: &Type) -> bool {
    match (left, right) {
        (Type::List(left), Type::List(right)) | (Type::Optional(left), Type::Optional(right)) | (Type::Type(left), Type::Type(right)) => {
            same(left.get(), right.get())
        }
        (Type::Map(key, value), Type::Map(other_key, other_value)) => {
            same(key.get(), other_key.get()) && same(value.get(), other_value.get())
        }
        (Type::Opaque(left), Type::Opaque(right)) => left == right,
        (Type::Object(left), Type::Object(right)) => left.name() == right.name(),
        (Type::Variable(left), Type::Variable(right)) => left == right,
        (Type::Parameter(left), Type::Parameter(right)) => left.name == right.name,
        _ => std::mem::discriminant(left) == std::mem::discriminant(right),
    }
}

/// Whether the left type is the right one, or says less by a `dyn`.
pub(super) fn is_equal_or_less_specific(left: &Type, right: &Type) -> bool {
    match (left, right) {
        (Type::Dyn | Type::Variable(_), _) => true,
        (_, Type::Dyn | Type::Variable(_)) => false,
        (Type::List(left), Type::List(right)) | (Type::Optional(left), Type::Optional(right)) => {
            is_equal_or_less_specific(left.get(), right.get())
        }
        (Type::Map(key, value), Type::Map(other_key, other_value)) => {
            is_equal_or_less_specific(key.get(), other_key.get()) && is_equal_or_less_specific(value.get(), other_value.get())
        }
        (Type::Type(_), Type::Type(_)) => true,
        _ => same(left, right),
    }
}
