//! The macros' loops, with cel-go's cost of the loop that each macro stands for there.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::collections::{Key, List, Map};
use super::cost;
use super::error::EvaluationError;
use super::evaluate::{Frame, Outcome};
use super::ir::{Comprehension, Form};
use super::value::Value;

/// Whether to go on with the next item.
type Step = Result<ControlFlow<()>, EvaluationError>;

impl<'a> Frame<'_, 'a> {
    #[inline(never)]
    pub(super) fn comprehend(&mut self, comprehension: &'a Comprehension) -> Outcome<'a> {
        let range = self.evaluate(&comprehension.range)?;
        match comprehension.form {
            Form::All => self.quantify(comprehension, &range, false),
            Form::Exists => self.quantify(comprehension, &range, true),
            Form::ExistsOne => self.exists_one(comprehension, &range),
            Form::List | Form::Filter => self.build_list(comprehension, &range),
            Form::Map | Form::Entry => self.build_map(comprehension, &range),
            Form::SortBy => self.sort_by(comprehension, &range),
        }
    }

    /// Runs `step` with the variables bound to each item in turn.
    fn each(
        &mut self,
        comprehension: &'a Comprehension,
        range: &Value<'a>,
        step: &mut dyn FnMut(&mut Self) -> Step,
    ) -> Result<(), EvaluationError> {
        let base = comprehension.local;
        self.locals.truncate(base);
        let mut run = |frame: &mut Self, first: Value<'a>, second: Option<Value<'a>>| {
            frame.locals.truncate(base);
            frame.locals.push(first);
            frame.locals.extend(second);
            step(frame)
        };
        match range {
            Value::List(list) => {
                for position in 0..list.len() {
                    let Some(item) = list.get(position) else { break };
                    let index = || Value::Int(i64::try_from(position).unwrap_or(i64::MAX));
                    let flow = if comprehension.two { run(self, index(), Some(item))? } else { run(self, item, None)? };
                    if flow.is_break() {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                // In order of keys, whatever the author's order: the verdict may not depend on it.
                for (key, value) in map.sorted_entries() {
                    if run(self, key, comprehension.two.then_some(value))?.is_break() {
                        break;
                    }
                }
            }
            other => return Err(EvaluationError::failed(format!("got '{}', expected iterable type", go_type(other)))),
        }
        self.locals.truncate(base);
        Ok(())
    }

    /// `all` and `exists`: the deciding value ends the loop and wins over the errors of other items.
    #[inline(never)]
    fn quantify(&mut self, comprehension: &'a Comprehension, range: &Value<'a>, deciding: bool) -> Outcome<'a> {
        // The loop's condition reads the accumulator (and `exists` negates it), then the step reads it again.
        let condition = if deciding { 3 } else { 2 };
        let mut error = None;
        let mut decided = false;
        self.each(comprehension, range, &mut |frame| {
            if decided {
                frame.budget.charge(condition)?;
                return Ok(ControlFlow::Break(()));
            }
            frame.budget.charge(condition + 1)?;
            let failure = match frame.evaluate(&comprehension.body) {
                Ok(Value::Bool(value)) => {
                    decided = value == deciding;
                    return Ok(ControlFlow::Continue(()));
                }
                Ok(_) => EvaluationError::no_such_overload(),
                Err(failure) if failure.is_fatal() => return Err(failure),
                Err(failure) => failure,
            };
            error = Some(EvaluationError::prefer(error.take(), failure));
            Ok(ControlFlow::Continue(()))
        })?;
        self.budget.charge(1)?;
        match error {
            Some(error) if !decided => Err(error),
            _ => Ok(Value::Bool(decided == deciding)),
        }
    }

    #[inline(never)]
    fn exists_one(&mut self, comprehension: &'a Comprehension, range: &Value<'a>) -> Outcome<'a> {
        let mut count = 0_u64;
        self.each(comprehension, range, &mut |frame| {
            frame.budget.charge(0)?;
            match frame.evaluate(&comprehension.body)? {
                Value::Bool(true) => {
                    count += 1;
                    frame.budget.charge(2)?;
                }
                Value::Bool(false) => {}
                _ => return Err(EvaluationError::no_such_overload()),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.budget.charge(2)?;
        Ok(Value::Bool(count == 1))
    }

    /// Whether the filter lets the present item through.
    fn passes(&mut self, comprehension: &'a Comprehension) -> Result<bool, EvaluationError> {
        let Some(filter) = &comprehension.filter else { return Ok(true) };
        self.evaluate(filter)?.as_bool().ok_or_else(EvaluationError::no_such_overload)
    }

    #[inline(never)]
    fn build_list(&mut self, comprehension: &'a Comprehension, range: &Value<'a>) -> Outcome<'a> {
        let mut items = Vec::new();
        let keep = comprehension.form == Form::Filter;
        self.each(comprehension, range, &mut |frame| {
            frame.budget.charge(0)?;
            if keep {
                match frame.evaluate(&comprehension.body)? {
                    Value::Bool(true) => {}
                    Value::Bool(false) => return Ok(ControlFlow::Continue(())),
                    _ => return Err(EvaluationError::no_such_overload()),
                }
                frame.budget.charge(3 + cost::LIST)?;
                items.extend(frame.locals.get(comprehension.local).cloned());
            } else if frame.passes(comprehension)? {
                // The accumulator, a list of one item, and `+`.
                frame.budget.charge(2 + cost::LIST)?;
                items.push(frame.evaluate(&comprehension.body)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.budget.charge(1)?;
        Ok(Value::List(List::from_items(items)?))
    }

    #[inline(never)]
    fn build_map(&mut self, comprehension: &'a Comprehension, range: &Value<'a>) -> Outcome<'a> {
        let mut entries = BTreeMap::new();
        self.each(comprehension, range, &mut |frame| {
            frame.budget.charge(0)?;
            if !frame.passes(comprehension)? {
                return Ok(ControlFlow::Continue(()));
            }
            let mut insert = |key: Value<'a>, value: Value<'a>| {
                let name = super::functions::stdlib::display(&key);
                match entries.insert(Key::new(key)?, value) {
                    Some(_) => Err(EvaluationError::failed(format!("insert failed: key {name} already exists"))),
                    None => Ok(()),
                }
            };
            if comprehension.form == Form::Map {
                frame.budget.charge(3)?;
                let key = frame.locals.get(comprehension.local).cloned().unwrap_or(Value::Null);
                insert(key, frame.evaluate(&comprehension.body)?)?;
            } else {
                frame.budget.charge(2)?;
                let Value::Map(map) = frame.evaluate(&comprehension.body)? else { return Err(EvaluationError::no_such_overload()) };
                for (key, value) in map.sorted_entries() {
                    insert(key, value)?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.budget.charge(1)?;
        Ok(Value::Map(Map::from_entries(entries)?))
    }

    #[inline(never)]
    fn sort_by(&mut self, comprehension: &'a Comprehension, range: &Value<'a>) -> Outcome<'a> {
        let Value::List(list) = range else { return Err(EvaluationError::no_such_overload()) };
        let mut keys = Vec::new();
        self.each(comprehension, range, &mut |frame| {
            frame.budget.charge(2 + cost::LIST)?;
            keys.push(frame.evaluate(&comprehension.body)?);
            Ok(ControlFlow::Continue(()))
        })?;
        // Reading the bound input twice, the mapped list once, and the comparisons.
        self.budget.charge(3)?;
        super::functions::lists::charge_sort(self.budget, &keys)?;
        let order = super::functions::lists::sorted_positions(&keys)?;
        Value::list(order.into_iter().filter_map(|position| list.get(position)).collect())
    }
}

/// cel-go names Go's type here.
fn go_type(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "types.Null",
        Value::Bool(_) => "types.Bool",
        Value::Int(_) => "types.Int",
        Value::UInt(_) => "types.Uint",
        Value::Double(_) => "types.Double",
        Value::String(_) => "types.String",
        Value::Bytes(_) => "types.Bytes",
        Value::Timestamp(_) => "types.Timestamp",
        Value::Duration(_) => "types.Duration",
        Value::Optional(_) => "*types.Optional",
        Value::Opaque(value) => value.go_type(),
        _ => "*types.Type",
    }
}
