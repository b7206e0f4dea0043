//! Fields and items: `a.b`, `a.?b`, `has(a.b)`, `a[b]`, `a[?b]`, with what cel-go charges for names.

use super::collections::Map;
use super::error::EvaluationError;
use super::evaluate::{Frame, Outcome};
use super::functions;
use super::ir::{Ir, Op};
use super::operate;
use super::value::Value;

impl<'a> Frame<'_, 'a> {
    #[inline(never)]
    pub(super) fn select(&mut self, operand: &'a Ir, field: &'a str, cost: u8) -> Outcome<'a> {
        // A field of a loop's item is what rules read most: it is read in place.
        if let Op::Local { index, cost: name, .. } = operand.op
            && let Some(Value::Map(Map::Node(node))) = self.locals.get(index)
        {
            let node = *node;
            self.charge_local(index, name + cost)?;
            self.budget.search(node.len())?;
            return node.entry(field).map(Value::from_node).ok_or_else(|| no_such_key(field));
        }
        let operand = self.root(operand, cost)?;
        match &operand {
            Value::Map(map) => {
                self.budget.charge(u64::from(cost))?;
                self.budget.search(map.len())?;
                map.field(field).ok_or_else(|| no_such_key(field))
            }
            Value::Optional(inner) => Ok(self.field_if_there(inner.as_deref(), field, cost)?.map_or(Value::Optional(None), Value::some)),
            other => {
                self.budget.charge(u64::from(cost))?;
                Err(no_field(other, field))
            }
        }
    }

    #[inline(never)]
    pub(super) fn optional_select(&mut self, operand: &'a Ir, field: &'a str, cost: u8) -> Outcome<'a> {
        Ok(self.optional_field(operand, field, cost)?.map_or(Value::Optional(None), Value::some))
    }

    /// The field of what may be absent, not yet wrapped: a chain of `.?` makes one optional, not one a link.
    pub(super) fn optional_field(&mut self, operand: &'a Ir, field: &'a str, cost: u8) -> Result<Option<Value<'a>>, EvaluationError> {
        let operand = self.unwrapped(operand, cost)?;
        self.field_if_there(operand.as_ref(), field, cost)
    }

    /// A value, or what an optional holds.
    fn unwrapped(&mut self, ir: &'a Ir, cost: u8) -> Result<Option<Value<'a>>, EvaluationError> {
        if let Op::OptionalSelect { operand, field, cost } = &ir.op {
            return self.optional_field(operand, field, *cost);
        }
        Ok(match self.root(ir, cost)? {
            Value::Optional(inner) => inner.map(|inner| (*inner).clone()),
            value => Some(value),
        })
    }

    /// The field of what may be absent. cel-go charges a field only if it is there.
    fn field_if_there(&mut self, operand: Option<&Value<'a>>, field: &str, cost: u8) -> Result<Option<Value<'a>>, EvaluationError> {
        let found = match operand {
            Some(Value::Map(map)) => {
                self.budget.search(map.len())?;
                map.field(field)
            }
            _ => None,
        };
        self.budget.charge(if found.is_some() { u64::from(cost) } else { u64::from(cost.saturating_sub(1)) })?;
        match operand {
            Some(list @ Value::List(_)) => Err(no_field(list, field)),
            _ => Ok(found),
        }
    }

    #[inline(never)]
    pub(super) fn has(&mut self, operand: &'a Ir, field: &'a str, cost: u8) -> Outcome<'a> {
        if let Op::Local { index, cost: name, .. } = operand.op
            && let Some(Value::Map(Map::Node(node))) = self.locals.get(index)
        {
            let node = *node;
            self.charge_local(index, name + cost)?;
            self.budget.search(node.len())?;
            return Ok(Value::Bool(node.entry(field).is_some()));
        }
        let operand = self.evaluate(operand)?;
        let found = |value: &Value<'a>| matches!(value, Value::Map(map) if map.field(field).is_some());
        let (found, cost) = match &operand {
            // An optional that lacks the field costs nothing.
            Value::Optional(inner) => {
                let found = inner.as_deref().is_some_and(found);
                (found, if found { cost } else { 0 })
            }
            operand => (found(operand), cost),
        };
        self.budget.charge(u64::from(cost))?;
        match &operand {
            Value::List(_) => return Err(no_field(&operand, field)),
            Value::Map(map) => self.budget.search(map.len())?,
            _ => {}
        }
        Ok(Value::Bool(found))
    }

    #[inline(never)]
    pub(super) fn index(&mut self, [operand, index]: &'a [Ir; 2], cost: u8) -> Outcome<'a> {
        let operand = self.root(operand, cost)?;
        if let Value::Optional(_) = operand {
            return self.item_of_optional(&operand, index, cost);
        }
        let index = self.key(index, cost)?;
        self.budget.charge(u64::from(cost))?;
        self.search(&operand)?;
        operate::index(&operand, &index)?.ok_or_else(|| match operand {
            Value::List(_) => EvaluationError::failed(format!("index out of bounds: {}", functions::stdlib::display(&index))),
            _ => no_such_key(&functions::stdlib::display(&index)),
        })
    }

    #[inline(never)]
    pub(super) fn optional_index(&mut self, [operand, index]: &'a [Ir; 2], cost: u8) -> Outcome<'a> {
        let operand = self.root(operand, cost)?;
        self.item_of_optional(&operand, index, cost)
    }

    /// What a field or an item is looked up in. Where it is no name, cel-go counts one for it, which `cost` holds: even if it fails.
    fn root(&mut self, operand: &'a Ir, cost: u8) -> Outcome<'a> {
        let value = self.evaluate(operand);
        match &value {
            Err(error) if cost > 1 && !error.is_fatal() => self.budget.charge(u64::from(cost - 1))?,
            _ => {}
        }
        value
    }

    /// What stands in the brackets; the look-up is charged even if it has no value.
    fn key(&mut self, index: &'a Ir, cost: u8) -> Outcome<'a> {
        let key = self.evaluate(index);
        if key.is_err() {
            self.budget.charge(u64::from(cost))?;
        }
        key
    }

    /// Counts looking something up in a map, in itself or in an optional.
    fn search(&self, operand: &Value<'a>) -> Result<(), EvaluationError> {
        match operand {
            Value::Map(map) => self.budget.search(map.len()),
            Value::Optional(Some(inner)) if let Value::Map(map) = &**inner => self.budget.search(map.len()),
            _ => Ok(()),
        }
    }

    fn item_of_optional(&mut self, operand: &Value<'a>, index: &'a Ir, cost: u8) -> Outcome<'a> {
        if let Value::Optional(None) = operand {
            // In nothing nothing is looked up, and no key is asked for.
            self.budget.charge(u64::from(cost.saturating_sub(1)))?;
            return Ok(Value::Optional(None));
        }
        let index = &self.key(index, cost.saturating_sub(1))?;
        self.search(operand)?;
        let found = match operand {
            Value::Optional(Some(inner)) => operate::index(inner, index).transpose(),
            operand => operate::index(operand, index).transpose(),
        };
        let there = matches!(found, Some(Ok(_)));
        self.budget.charge(if there { u64::from(cost) } else { u64::from(cost.saturating_sub(1)) })?;
        Ok(found.transpose()?.map_or(Value::Optional(None), Value::some))
    }
}

fn no_such_key(name: &str) -> EvaluationError {
    EvaluationError::failed(format!("no such key: {name}"))
}

/// A scalar has no such key; a list wants an index.
fn no_field(operand: &Value<'_>, name: &str) -> EvaluationError {
    if let Value::List(_) = operand { EvaluationError::failed("unsupported index type 'string' in list") } else { no_such_key(name) }
}
