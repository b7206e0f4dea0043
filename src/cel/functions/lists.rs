//! Lists: Kubernetes' own library, cel-go's list extension (1.34), and sets (1.29).

use std::cmp::Ordering;

use super::{Context, Cost, Function, GLOBAL, METHOD, no_such_overload, row};
use crate::cel::collections::List;
use crate::cel::cost::{self, Budget};
use crate::cel::error::EvaluationError;
use crate::cel::evaluate::Outcome;
use crate::cel::operate;
use crate::cel::types::{
    A, COMPARABLE, LIST, LIST_OF_A, LIST_OF_COMPARABLE, LIST_OF_INT, LIST_OF_LIST_OF_A, LIST_OF_SUMMABLE, SUMMABLE, Type,
};
use crate::cel::value::Value;

use Cost::Own;
use Type::{Bool, Dyn, Int};

pub(super) const FUNCTIONS: &[Function] = &[
    row("isSorted", METHOD, &[LIST_OF_COMPARABLE], Bool, Own, "1.0", "whether no item is less than the one before", is_sorted),
    row("sum", METHOD, &[LIST_OF_SUMMABLE], SUMMABLE, Own, "1.0", "the sum of the items; 0 of none", sum),
    row("min", METHOD, &[LIST_OF_COMPARABLE], COMPARABLE, Own, "1.0", "the least item", least),
    row("max", METHOD, &[LIST_OF_COMPARABLE], COMPARABLE, Own, "1.0", "the greatest item", greatest),
    row("indexOf", METHOD, &[LIST_OF_A, A], Int, Own, "1.0", "where an item first stands, or -1", index_of),
    row("lastIndexOf", METHOD, &[LIST_OF_A, A], Int, Own, "1.0", "where an item last stands, or -1", last_index_of),
    row("includes", METHOD, &[Dyn, Dyn], Bool, Own, "1.37", "whether a list holds a value", includes),
    row("slice", METHOD, &[LIST_OF_A, Int, Int], LIST_OF_A, Own, "1.34", "the items from a position to before another one", slice),
    row("flatten", METHOD, &[LIST_OF_LIST_OF_A], LIST_OF_A, Own, "1.34", "lists inside the list replaced by their items", flatten),
    row("flatten", METHOD, &[LIST, Int], LIST, Own, "1.34", "the same, so many levels deep", flatten),
    row("distinct", METHOD, &[LIST_OF_A], LIST_OF_A, Own, "1.34", "each value once", distinct),
    row("reverse", METHOD, &[LIST_OF_A], LIST_OF_A, Own, "1.34", "the items from the last to the first", reverse),
    row("sort", METHOD, &[LIST_OF_COMPARABLE], LIST_OF_COMPARABLE, Own, "1.34", "the items in ascending order", sort),
    row("lists.range", GLOBAL, &[Int], LIST_OF_INT, Own, "1.34", "the integers from 0 to before a number", range),
    row(
        "sets.contains",
        GLOBAL,
        &[LIST_OF_A, LIST_OF_A],
        Bool,
        Own,
        "1.29",
        "whether every item of the second is in the first",
        sets_contains,
    ),
    row("sets.equivalent", GLOBAL, &[LIST_OF_A, LIST_OF_A], Bool, Own, "1.29", "whether each holds the other's items", sets_equivalent),
    row("sets.intersects", GLOBAL, &[LIST_OF_A, LIST_OF_A], Bool, Own, "1.29", "whether they have an item in common", sets_intersects),
];

/// What a call that makes a list costs besides its items: the call and the list.
const MADE: u64 = 1 + cost::LIST;
/// Steps that copying an item takes.
const COPIED: u64 = 6;

fn one<'v, 'a>(name: &str, arguments: &'v [Value<'a>]) -> Result<&'v List<'a>, EvaluationError> {
    match arguments {
        [Value::List(list), ..] => Ok(list),
        _ => Err(EvaluationError::failed(format!("no such overload: {name}"))),
    }
}

/// Kubernetes' cost of walking through a value: 1 a scalar, a tenth of a string's bytes, rounded down.
pub(super) fn charge_walk(context: &Context<'_>, value: &Value<'_>) -> Result<(), EvaluationError> {
    match value {
        Value::String(text) => context.budget.charge(text.as_str().len() as u64 / 10),
        Value::Bytes(bytes) => context.budget.charge(bytes.len() as u64 / 10),
        Value::List(list) => list.items().try_for_each(|item| {
            context.budget.charge(0)?;
            charge_walk(context, &item)
        }),
        Value::Map(map) => map.entries_in_order(context.budget)?.iter().try_for_each(|(key, value)| {
            context.budget.charge(0)?;
            charge_walk(context, key)?;
            charge_walk(context, value)
        }),
        _ => context.budget.charge(1),
    }
}

fn charge_list(context: &Context<'_>, list: &List<'_>) -> Result<(), EvaluationError> {
    // A number costs what it is read with.
    if let List::Range(len) = list {
        context.budget.charge(*len as u64)
    } else {
        list.items().try_for_each(|item| charge_walk(context, &item))
    }
}

/// Whether cel-go's type of a value has an order.
fn is_comparable(value: &Value<'_>) -> bool {
    let number = matches!(value, Value::Int(_) | Value::UInt(_) | Value::Double(_));
    let text = matches!(value, Value::Bool(_) | Value::String(_) | Value::Bytes(_));
    number || text || matches!(value, Value::Timestamp(_) | Value::Duration(_))
}

/// cel-go finds the overload by the first item: if it fits none, the error names the function; of a later item it does not.
fn unfit<'a>(name: &str, first: bool) -> Outcome<'a> {
    if first { Err(EvaluationError::failed(format!("no such overload: {name}(list)"))) } else { Err(EvaluationError::no_such_overload()) }
}

fn is_sorted<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let list = one("isSorted", arguments)?;
    charge_list(context, list)?;
    let mut before: Option<Value<'a>> = None;
    for item in list.iter() {
        if !is_comparable(&item) {
            return unfit("isSorted", before.is_none());
        }
        // What cannot be compared is not out of order.
        if before.is_some_and(|before| operate::order(&before, &item).is_ok_and(Ordering::is_gt)) {
            return Ok(Value::Bool(false));
        }
        before = Some(item);
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let list = one("sum", arguments)?;
    charge_list(context, list)?;
    let mut total = match list.get(0) {
        None | Some(Value::Int(_)) => Value::Int(0),
        Some(Value::UInt(_)) => Value::UInt(0),
        Some(Value::Double(_)) => Value::Double(0.0),
        Some(Value::Duration(_)) => Value::Duration(0),
        Some(_) => return unfit("sum", true),
    };
    for item in list.iter() {
        total = operate::add(total, item)?;
    }
    Ok(total)
}

fn extreme<'a>(context: &Context<'_>, arguments: &[Value<'a>], name: &str, wanted: Ordering) -> Outcome<'a> {
    let list = one(name, arguments)?;
    charge_list(context, list)?;
    let mut best: Option<Value<'a>> = None;
    for item in list.iter() {
        if !is_comparable(&item) {
            return unfit(name, best.is_none());
        }
        // What cannot be compared with the best so far is not better.
        if best.as_ref().is_none_or(|best| operate::order(&item, best) == Ok(wanted)) {
            best = Some(item);
        }
    }
    best.ok_or_else(|| EvaluationError::failed(format!("{name} called on empty list")))
}

fn least<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    extreme(context, arguments, "min", Ordering::Less)
}

fn greatest<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    extreme(context, arguments, "max", Ordering::Greater)
}

fn place<'a>(context: &Context<'_>, arguments: &[Value<'a>], last: bool) -> Result<Option<usize>, EvaluationError> {
    let [Value::List(list), wanted] = arguments else { return Err(EvaluationError::no_such_overload()) };
    charge_list(context, list)?;
    let mut found = None;
    for (position, item) in list.items().enumerate() {
        if operate::is_equal(&item, wanted, context.budget)? {
            found = Some(position);
            if !last {
                break;
            }
        }
    }
    Ok(found)
}

fn position(found: Option<usize>) -> Value<'static> {
    Value::Int(found.and_then(|position| i64::try_from(position).ok()).unwrap_or(-1))
}

fn index_of<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    place(context, arguments, false).map(position)
}

fn last_index_of<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    place(context, arguments, true).map(position)
}

fn includes<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    if let [other, wanted] = arguments
        && !matches!(other, Value::List(_))
    {
        // Of anything but a list Kubernetes asks whether it is the value itself.
        charge_walk(context, other)?;
        return operate::is_equal(other, wanted, context.budget).map(Value::Bool);
    }
    Ok(Value::Bool(place(context, arguments, false)?.is_some()))
}

fn slice<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = arguments else { return no_such_overload("slice", arguments) };
    let error = |reason: String| {
        context.budget.charge(MADE + 1)?;
        Err(EvaluationError::failed(format!("cannot slice({start}, {end}), {reason}")))
    };
    let (Ok(from), Ok(to)) = (usize::try_from(*start), usize::try_from(*end)) else {
        return error("negative indexes not supported".to_owned());
    };
    if from > to {
        return error("start index must be less than or equal to end index".to_owned());
    }
    if to > list.len() {
        return error(format!("list is length {}", list.len()));
    }
    context.budget.charge((to - from) as u64 + MADE)?;
    Value::list((from..to).filter_map(|position| list.get(position)).collect())
}

fn flatten<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let (list, levels) = match arguments {
        [Value::List(list)] => (list, 1),
        [Value::List(list), Value::Int(levels)] => (list, *levels),
        _ => return no_such_overload("flatten", arguments),
    };
    let Ok(levels) = u64::try_from(levels) else {
        context.budget.charge(list.len() as u64 + MADE)?;
        return Err(EvaluationError::failed("level must be non-negative"));
    };
    context.budget.charge((list.len() as u64).saturating_mul(levels).saturating_add(MADE))?;
    let mut items = Vec::new();
    flatten_into(context, list, levels, &mut items)?;
    Value::list(items)
}

fn flatten_into<'a>(context: &Context<'_>, list: &List<'a>, levels: u64, items: &mut Vec<Value<'a>>) -> Result<(), EvaluationError> {
    for item in list.items() {
        // cel-go charges the outer list only.
        context.budget.free(COPIED)?;
        match &*item {
            Value::List(inner) if levels > 0 => {
                items.reserve(inner.len());
                flatten_into(context, inner, levels - 1, items)?;
            }
            _ => items.push(item.into_owned()),
        }
    }
    Ok(())
}

/// cel-go's cost of comparing each item with each other one.
fn charge_pairs(budget: &Budget<'_>, len: usize, first: Option<&Value<'_>>) -> Result<(), EvaluationError> {
    let pairs = (len as u64).saturating_mul(len as u64);
    let strings = matches!(first, Some(Value::String(_) | Value::Bytes(_)));
    let extra = if strings { pairs / 10 } else { 0 };
    budget.charge(pairs.saturating_mul(2).saturating_add(extra).saturating_add(MADE))
}

fn distinct<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let list = one("distinct", arguments)?;
    charge_pairs(context.budget, list.len(), list.get(0).as_ref())?;
    let mut items: Vec<Value<'a>> = Vec::new();
    for item in list.iter() {
        let mut known = false;
        for other in &items {
            known = known || operate::is_equal(other, &item, context.budget)?;
        }
        if !known {
            items.push(item);
        }
    }
    Value::list(items)
}

fn reverse<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let list = one("reverse", arguments)?;
    context.budget.charge(list.len() as u64 + MADE)?;
    Value::list(list.iter().rev().collect())
}

fn sort<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let list = one("sort", arguments)?;
    if context.open {
        // The overload of a list whose items' type is not known is not known either.
        context.budget.charge(1)?;
    } else {
        charge_pairs(context.budget, list.len(), list.get(0).as_ref())?;
    }
    let items: Vec<Value<'a>> = list.iter().collect();
    let order = sorted_positions(context.budget, &items)?;
    Value::list(order.into_iter().filter_map(|position| items.get(position).cloned()).collect())
}

/// Charges a sort by these keys.
pub(in crate::cel) fn charge_sort(budget: &Budget<'_>, keys: &[Value<'_>]) -> Result<(), EvaluationError> {
    charge_pairs(budget, keys.len(), keys.first())
}

/// The positions of keys in ascending order of the keys, which must be of one type.
pub(in crate::cel) fn sorted_positions(budget: &Budget<'_>, keys: &[Value<'_>]) -> Result<Vec<usize>, EvaluationError> {
    /// So many items Go sorts by inserting each: what cannot be compared then stays where it is.
    const INSERTED: usize = 12;
    let mut order: Vec<(usize, &Value<'_>)> = keys.iter().enumerate().collect();
    if let Some(first) = keys.first() {
        if !is_comparable(first) {
            return Err(EvaluationError::failed("list elements must be comparable"));
        }
        if keys.iter().any(|key| key.type_name() != first.type_name()) {
            return Err(EvaluationError::failed("list elements must have the same type"));
        }
    }
    // Comparing is free where the type is not known, and long texts may differ at their ends.
    let compared = keys.len().saturating_mul(keys.len().checked_ilog2().unwrap_or(0) as usize + 1);
    let longest = keys.iter().map(Value::bytes).max().unwrap_or(0);
    budget.free(compared.saturating_mul(3) as u64)?;
    budget.read(compared.saturating_mul(longest))?;
    if order.len() <= INSERTED {
        let less = |(_, left): &(usize, &Value<'_>), (_, right): &(usize, &Value<'_>)| operate::order(left, right) == Ok(Ordering::Less);
        for end in 1..order.len() {
            let mut place = end;
            while let [.., left, right] = order.get_mut(..=place).unwrap_or_default()
                && less(right, left)
            {
                std::mem::swap(left, right);
                place -= 1;
            }
        }
    } else {
        // Sorting needs an order of all: what is not a number is greater than every number.
        let is_nan = |value: &Value<'_>| matches!(value, Value::Double(number) if number.is_nan());
        order.sort_by(|(_, left), (_, right)| operate::order(left, right).unwrap_or_else(|_| is_nan(left).cmp(&is_nan(right))));
    }
    Ok(order.into_iter().map(|(position, _)| position).collect())
}

/// Go's panic at what it takes for a list that is none. `absent` has a bit for each argument without a value.
pub(in crate::cel) fn no_list(arguments: &[Value<'_>], absent: u8) -> EvaluationError {
    // Go names the first method that the type lacks.
    let (given, method) = match arguments.first() {
        Some(value) if absent & 1 == 0 => (
            value.go_type(),
            match value {
                Value::Int(_) | Value::UInt(_) | Value::Double(_) | Value::String(_) | Value::Bytes(_) => "Contains",
                Value::Timestamp(_) | Value::Duration(_) => "Contains",
                _ => "Add",
            },
        ),
        _ => ("*types.Err", "Add"),
    };
    EvaluationError::failed(format!("internal error: interface conversion: {given} is not traits.Lister: missing method {method}"))
}

/// How many levels are to be flattened, for the cost; Go panics if they are no int.
pub(super) fn levels(arguments: &[Value<'_>], absent: u8) -> Result<u64, EvaluationError> {
    let given = match arguments.get(1) {
        None => return Ok(1),
        Some(_) if absent & 2 != 0 => "*types.Err",
        Some(Value::Int(levels)) => return Ok(u64::try_from(*levels).unwrap_or(1)),
        Some(levels) => levels.go_type(),
    };
    Err(EvaluationError::failed(format!("internal error: interface conversion: ref.Val is {given}, not types.Int")))
}

fn range<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    /// cel-go's own limit, which is not the budget's: its error is absorbed as any other.
    const MOST: i64 = 1_000_000;
    let [Value::Int(count)] = arguments else { return no_such_overload("lists.range", arguments) };
    let Ok(units) = u64::try_from(*count) else {
        context.budget.charge(MADE + 1)?;
        return Err(EvaluationError::failed(format!("lists.range: size must be non-negative, got {count}")));
    };
    if *count > MOST {
        context.budget.charge(MADE + 1)?;
        return Err(EvaluationError::failed(format!("lists.range: size {count} exceeds maximum allowed ({MOST})")));
    }
    context.budget.charge(units.saturating_add(MADE))?;
    Ok(Value::List(List::Range(usize::try_from(*count).unwrap_or(0))))
}

fn charge_sets(context: &Context<'_>, left: &List<'_>, right: &List<'_>, factor: u64) -> Result<(), EvaluationError> {
    context.budget.charge((left.len() as u64).saturating_mul(right.len() as u64).saturating_mul(factor).saturating_add(1))
}

fn all_in(items: &List<'_>, list: &List<'_>, budget: &Budget<'_>) -> Result<bool, EvaluationError> {
    for item in items.items() {
        if !operate::contains(list, &item, budget, operate::PAID)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sets_contains<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list), Value::List(items)] = arguments else { return no_such_overload("sets.contains", arguments) };
    charge_sets(context, list, items, 1)?;
    all_in(items, list, context.budget).map(Value::Bool)
}

fn sets_equivalent<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(left), Value::List(right)] = arguments else { return no_such_overload("sets.equivalent", arguments) };
    charge_sets(context, left, right, 2)?;
    Ok(Value::Bool(all_in(left, right, context.budget)? && all_in(right, left, context.budget)?))
}

fn sets_intersects<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(left), Value::List(right)] = arguments else { return no_such_overload("sets.intersects", arguments) };
    charge_sets(context, left, right, 1)?;
    for item in right.items() {
        if operate::contains(left, &item, context.budget, operate::PAID)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}
