//! Lists and maps: borrowed from an object, constant in an expression, or made by an evaluation and shared.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use crate::object::Node;

use super::cost::Budget;
use super::error::EvaluationError;
use super::ir::Constant;
use super::value::Value;

/// How deep lists and maps made by evaluations may lie in each other: comparing and dropping them is recursive.
const MAX_NESTING: u32 = 400;
/// How many `+` may hang in each other before the list is made whole: looking up an item walks them.
const MAX_CONCATENATION: u32 = 64;

/// Steps that putting an entry into a map takes.
const ENTRY: u64 = 12;

/// How long a concatenated list may be: walking through it is paid by the item, so no budget reads more.
const MAX_LENGTH: usize = 10_000_000;

/// A list.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// A list of an object.
    Node(Node<'a>),
    /// A constant list of an expression.
    #[doc(hidden)]
    Constant(ConstantList<'a>),
    /// A list made by an evaluation.
    Items(Rc<Items<'a>>),
    /// The integers from 0 to before a number: none of them is made before it is read.
    Range(usize),
    /// Two lists one after the other: `+` costs 1 in cel-go whatever its length, so nothing is copied.
    Concatenation(Rc<Concatenation<'a>>),
}

/// The items of a list made by an evaluation.
#[derive(Debug)]
pub struct Items<'a> {
    values: Vec<Value<'a>>,
    nesting: u32,
    is_reflexive: bool,
}

/// `left + right`
#[derive(Debug)]
pub struct Concatenation<'a> {
    left: List<'a>,
    right: List<'a>,
    len: usize,
    nesting: u32,
    depth: u32,
}

/// A constant list of an expression.
#[derive(Clone, Copy, Debug)]
pub struct ConstantList<'a>(pub(super) &'a [Constant]);

/// A constant map of an expression, in order of keys.
#[derive(Clone, Copy, Debug)]
pub struct ConstantMap<'a>(pub(super) &'a [(Constant, Constant)]);

fn checked(nesting: u32) -> Result<u32, EvaluationError> {
    if nesting > MAX_NESTING { Err(EvaluationError::failed("value nests too deep")) } else { Ok(nesting) }
}

impl<'a> List<'a> {
    /// A list of these items.
    ///
    /// # Errors
    /// [`EvaluationError::Failed`] if it would nest too deep.
    pub fn from_items(values: Vec<Value<'a>>) -> Result<Self, EvaluationError> {
        let nesting = checked(values.iter().map(Value::nesting).max().unwrap_or(0) + 1)?;
        let is_reflexive = values.iter().all(Value::is_reflexive);
        Ok(Self::Items(Rc::new(Items { values, nesting, is_reflexive })))
    }

    /// This list followed by another one.
    ///
    /// # Errors
    /// [`EvaluationError::Failed`] if it would be longer than any budget could read.
    pub fn concatenate(self, right: Self) -> Result<Self, EvaluationError> {
        if self.is_empty() {
            return Ok(right);
        }
        if right.is_empty() {
            return Ok(self);
        }
        let depth = self.depth().max(right.depth()) + 1;
        if depth > MAX_CONCATENATION {
            return Err(EvaluationError::failed("too many lists are concatenated"));
        }
        let len = self.len().checked_add(right.len()).filter(|len| *len <= MAX_LENGTH);
        let len = len.ok_or_else(|| EvaluationError::failed("the concatenated list is too long"))?;
        let nesting = self.nesting().max(right.nesting());
        Ok(Self::Concatenation(Rc::new(Concatenation { left: self, right, len, nesting, depth })))
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Node(node) => node.len(),
            Self::Constant(list) => list.0.len(),
            Self::Items(items) => items.values.len(),
            Self::Range(len) => *len,
            Self::Concatenation(both) => both.len,
        }
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at a position.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Node(node) => node.item(index).map(Value::from_node),
            Self::Constant(list) => list.0.get(index).map(Constant::value),
            Self::Items(items) => items.values.get(index).cloned(),
            Self::Range(len) => (index < *len).then(|| Value::index(index)),
            Self::Concatenation(both) => {
                let left = both.left.len();
                if index < left { both.left.get(index) } else { both.right.get(index - left) }
            }
        }
    }

    /// The items in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The items in order, not copied where they lie side by side.
    pub(super) fn items(&self) -> impl Iterator<Item = Cow<'_, Value<'a>>> {
        let made = if let Self::Items(items) = self { items.values.as_slice() } else { &[] };
        let others = if made.is_empty() { self.len() } else { 0 };
        made.iter().map(Cow::Borrowed).chain((0..others).filter_map(|index| self.get(index)).map(Cow::Owned))
    }

    /// Whether it is the very same list, and so equal: a list that holds what does not equal itself is never.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Items(left), Self::Items(right)) => left.is_reflexive && Rc::ptr_eq(left, right),
            (Self::Range(left), Self::Range(right)) => left == right,
            _ => false,
        }
    }

    /// Whether it is known that every item equals itself.
    pub(super) fn is_reflexive(&self) -> bool {
        match self {
            Self::Items(items) => items.is_reflexive,
            Self::Range(_) => true,
            Self::Node(_) | Self::Constant(_) | Self::Concatenation(_) => false,
        }
    }

    pub(super) fn nesting(&self) -> u32 {
        match self {
            Self::Node(_) | Self::Constant(_) | Self::Range(_) => 0,
            Self::Items(items) => items.nesting,
            Self::Concatenation(both) => both.nesting,
        }
    }

    fn depth(&self) -> u32 {
        if let Self::Concatenation(both) = self { both.depth } else { 0 }
    }
}

/// A map.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// A map of an object.
    Node(Node<'a>),
    /// A constant map of an expression.
    #[doc(hidden)]
    Constant(ConstantMap<'a>),
    /// A map made by an evaluation.
    Entries(Rc<Entries<'a>>),
}

/// The entries of a map made by an evaluation.
#[derive(Debug)]
pub struct Entries<'a> {
    entries: Vec<(Value<'a>, Value<'a>)>,
    nesting: u32,
    is_reflexive: bool,
}

/// A map while it is made: its entries in order of keys. Most come in this order already.
#[derive(Debug, Default)]
pub(super) struct Growing<'a>(Vec<(Value<'a>, Value<'a>)>);

impl<'a> Growing<'a> {
    /// Where a key is, or where it belongs.
    fn place(&self, key: &Key<'a>) -> Result<usize, usize> {
        match self.0.last() {
            Some((last, _)) if key_order(last, &key.0).is_ge() => self.0.binary_search_by(|(name, _)| key_order(name, &key.0)),
            _ => Err(self.0.len()),
        }
    }

    /// Adds an entry, in the place of the one of the same key if there is one. Moving those behind it is counted.
    pub(super) fn insert(&mut self, key: Key<'a>, value: Value<'a>, budget: &Budget<'_>) -> Result<(), EvaluationError> {
        match self.place(&key) {
            Ok(found) => {
                if let Some(entry) = self.0.get_mut(found) {
                    entry.1 = value;
                }
            }
            Err(place) => {
                budget.free(ENTRY + (self.0.len() - place) as u64 / 2)?;
                self.0.insert(place, (key.0, value));
            }
        }
        Ok(())
    }

    /// Takes the entry of a key out.
    pub(super) fn remove(&mut self, key: &Key<'a>, budget: &Budget<'_>) -> Result<(), EvaluationError> {
        if let Ok(found) = self.place(key) {
            budget.free((self.0.len() - found) as u64)?;
            self.0.remove(found);
        }
        Ok(())
    }

    pub(super) fn holds(&self, key: &Key<'a>) -> bool {
        self.place(key).is_ok()
    }
}

/// A map's key: a scalar. `1` and `1u` are two keys, and each is found by the other if it stands alone.
#[derive(Clone, Debug)]
pub(super) struct Key<'a>(Value<'a>);

impl<'a> Key<'a> {
    pub(super) fn new(value: Value<'a>) -> Result<Self, EvaluationError> {
        match value {
            Value::List(_) | Value::Map(_) | Value::Optional(_) => {
                Err(EvaluationError::failed(format!("unsupported key type: {}", value.type_name())))
            }
            Value::Opaque(ref opaque) => opaque.check_key().map(|()| Self(value)),
            value => Ok(Self(value)),
        }
    }

    pub(super) fn value(&self) -> &Value<'a> {
        &self.0
    }

    fn order(value: &Value<'_>) -> u8 {
        match value {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Int(_) => 2,
            Value::UInt(_) => 3,
            Value::Double(_) => 4,
            Value::String(_) => 5,
            Value::Bytes(_) => 6,
            Value::Timestamp(_) => 7,
            Value::Duration(_) => 8,
            Value::Opaque(_) => 9,
            _ => 10,
        }
    }
}

pub(super) fn key_order(left: &Value<'_>, right: &Value<'_>) -> Ordering {
    match (left, right) {
        (Value::String(left), Value::String(right)) => left.as_str().cmp(right.as_str()),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::UInt(left), Value::UInt(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Double(left), Value::Double(right)) => left.total_cmp(right),
        (Value::Bytes(left), Value::Bytes(right)) => left.cmp(right),
        (Value::Timestamp(left), Value::Timestamp(right)) => left.instant().cmp(&right.instant()),
        (Value::Duration(left), Value::Duration(right)) => left.cmp(right),
        (Value::Type(left), Value::Type(right)) => left.cmp(right),
        (Value::Opaque(left), Value::Opaque(right)) => left.key_order(right),
        (left, right) => Key::order(left).cmp(&Key::order(right)),
    }
}

/// The same number in the other numeric types, for a look-up that found nothing in its own.
fn twins(key: &Value<'_>) -> [Option<Value<'static>>; 2] {
    let number = match key {
        Value::Int(value) => i128::from(*value),
        Value::UInt(value) => i128::from(*value),
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
        Value::Double(value) if value.fract() == 0.0 && value.abs() < 1.8e19 => *value as i128,
        _ => return [None, None],
    };
    let int = i64::try_from(number).ok().map(Value::Int);
    let uint = u64::try_from(number).ok().map(Value::UInt);
    match key {
        Value::Int(_) => [uint, None],
        Value::UInt(_) => [int, None],
        _ => [int, uint],
    }
}

impl<'a> Map<'a> {
    pub(super) fn from_entries(Growing(entries): Growing<'a>) -> Result<Self, EvaluationError> {
        let nesting = checked(entries.iter().map(|(_, value)| value.nesting()).max().unwrap_or(0) + 1)?;
        let is_reflexive = entries.iter().all(|(key, value)| key.is_reflexive() && value.is_reflexive());
        Ok(Self::Entries(Rc::new(Entries { entries, nesting, is_reflexive })))
    }

    /// Whether it is the very same map, and so equal: a map that holds what does not equal itself is never.
    pub(super) fn is(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Entries(left), Self::Entries(right)) if left.is_reflexive && Rc::ptr_eq(left, right))
    }

    /// Whether it is known that every key and value equals itself.
    pub(super) fn is_reflexive(&self) -> bool {
        matches!(self, Self::Entries(map) if map.is_reflexive)
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Node(node) => node.len(),
            Self::Constant(map) => map.0.len(),
            Self::Entries(map) => map.entries.len(),
        }
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key that is a string. A JSON `null` is a present key of null value.
    #[inline]
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Node(node) => node.entry(name).map(Value::from_node),
            Self::Constant(map) => {
                map.0.iter().find(|(key, _)| matches!(key, Constant::String(key) if &**key == name)).map(|(_, value)| value.value())
            }
            Self::Entries(_) => self.find(&Value::borrowed(name)),
        }
    }

    /// The value of a key of any type; numbers are found across the numeric types.
    #[must_use]
    pub fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match (self, key) {
            (Self::Node(node), Value::String(text)) => node.entry(text.as_str()).map(Value::from_node),
            (Self::Node(_), _) => None,
            _ => self.find(key).or_else(|| twins(key).iter().flatten().find_map(|twin| self.find(twin))),
        }
    }

    fn find(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match self {
            Self::Node(_) => None,
            Self::Constant(map) => {
                let found = map.0.binary_search_by(|(name, _)| key_order(&name.value(), key)).ok()?;
                map.0.get(found).map(|(_, value)| value.value())
            }
            Self::Entries(map) => {
                let found = map.entries.binary_search_by(|(name, _)| key_order(name, key)).ok()?;
                map.entries.get(found).map(|(_, value)| value.clone())
            }
        }
    }

    /// The entries in order of keys, which is counted.
    pub(super) fn entries_in_order(&self, budget: &Budget<'_>) -> Result<Vec<(Value<'a>, Value<'a>)>, EvaluationError> {
        budget.order(self.len())?;
        Ok(self.sorted_entries())
    }

    /// The entries in order of keys: the same for every author's order.
    #[must_use]
    pub fn sorted_entries(&self) -> Vec<(Value<'a>, Value<'a>)> {
        match self {
            Self::Node(node) => {
                let mut entries = node.sorted_entries();
                // Of duplicate keys the last one counts; the sort is stable.
                entries.reverse();
                entries.dedup_by_key(|(key, _)| *key);
                entries.into_iter().rev().map(|(key, value)| (Value::borrowed(key), Value::from_node(value))).collect()
            }
            Self::Constant(map) => map.0.iter().map(|(key, value)| (key.value(), value.value())).collect(),
            Self::Entries(map) => map.entries.clone(),
        }
    }

    pub(super) fn nesting(&self) -> u32 {
        if let Self::Entries(map) = self { map.nesting } else { 0 }
    }
}
