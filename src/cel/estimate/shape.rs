//! What is known of a value before it is there: how large it is, and what its items are like.

use std::rc::Rc;

use crate::cel::cost;
use crate::cel::ir::Constant;
use crate::cel::types::Type;

/// A number that is not known, between two that are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: u64,
    pub(super) max: u64,
}

pub(super) const ONE: Bounds = Bounds { min: 1, max: 1 };

impl Bounds {
    pub(super) fn exactly(number: u64) -> Self {
        Self { min: number, max: number }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    /// Either of the two.
    pub(super) fn or(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    pub(super) fn smaller(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.min(other.max) }
    }

    /// As much, or nothing.
    pub(super) fn at_most(self) -> Self {
        Self { min: 0, max: self.max }
    }

    pub(super) fn traversal(self, factor: f64) -> Self {
        Self { min: cost::traversal(self.min, factor), max: cost::traversal(self.max, factor) }
    }
}

/// What is known of a value: its size as costs count it, and what its items are like.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) size: Bounds,
    pub(super) item: Option<Rc<Shape>>,
    /// Whether it is known to be a list: loops go through the items of a list and through the keys of a map.
    pub(super) list: bool,
    /// What it is declared as.
    pub(super) is: Type,
}

impl Shape {
    pub(super) fn scalar() -> Self {
        Self::of_size(ONE)
    }

    pub(super) fn of_size(size: Bounds) -> Self {
        Self::of_items(size, None, false)
    }

    pub(super) fn list(size: Bounds, item: Self) -> Self {
        Self::of_items(size, Some(Rc::new(item)), true)
    }

    pub(super) fn of_items(size: Bounds, item: Option<Rc<Self>>, list: bool) -> Self {
        Self { size, item, list, is: Type::Dyn }
    }

    /// A value of a declared type, which holds so much at most.
    pub(super) fn declared(is: Type, largest: u64) -> Self {
        let sized = Bounds { min: 0, max: largest };
        match &is {
            Type::Bool | Type::Int | Type::UInt | Type::Double | Type::Null | Type::Timestamp | Type::Duration => Self::scalar(),
            Type::List(item) => {
                let item = Self::declared(item.get().clone(), u64::MAX);
                Self { is, ..Self::list(sized, item) }
            }
            Type::Map(_, value) => {
                let value = Rc::new(Self::declared(value.get().clone(), u64::MAX));
                Self { is, ..Self::of_items(sized, Some(value), false) }
            }
            _ => Self { is, ..Self::of_size(sized) },
        }
    }

    /// Either of the two; of a mix of lists and other values the items are not known.
    pub(super) fn or(&self, other: &Self) -> Self {
        let item = match (&self.item, &other.item) {
            (Some(one), Some(other)) => Some(Rc::new(one.or(other))),
            _ => None,
        };
        Self::of_items(self.size.or(other.size), item, self.list && other.list)
    }
}

/// The sizes of some values with all that lies inside them.
pub(super) fn deep(shapes: &[Shape]) -> Bounds {
    fn of(shape: &Shape) -> Bounds {
        match &shape.item {
            Some(item) => shape.size.times(of(item).plus(ONE)),
            None => shape.size,
        }
    }
    shapes.iter().fold(ONE, |all, shape| all.plus(of(shape)))
}

pub(super) fn constant_shape(constant: &Constant) -> Shape {
    fn joined<'c>(items: impl Iterator<Item = &'c Constant>) -> Option<Rc<Shape>> {
        let shape = items.map(constant_shape).reduce(|one, other| one.or(&other));
        Some(Rc::new(shape.unwrap_or_else(Shape::scalar)))
    }
    let size = Bounds::exactly(constant.value().cost_size());
    match constant {
        Constant::List(items) => Shape::of_items(size, joined(items.iter()), true),
        Constant::Map(entries) => Shape::of_items(size, joined(entries.iter().map(|(_, value)| value)), false),
        _ => Shape::of_size(size),
    }
}
