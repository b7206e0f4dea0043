//! The macros' loops, with cel-go's cost of the loop that each macro stands for there.

use std::ops::ControlFlow;

use super::collections::{Growing, Key, List, Map};
use super::cost;
use super::error::EvaluationError;
use super::evaluate::{Frame, Outcome};
use super::ir::{Comprehension, Form, Ir, Op};
use super::value::Value;

/// Whether to go on with the next item.
type Step = Result<ControlFlow<()>, EvaluationError>;

impl<'a> Frame<'_, 'a> {
    #[inline(never)]
    pub(super) fn comprehend(&mut self, comprehension: &'a Comprehension) -> Outcome<'a> {
        let range = self.evaluate(&comprehension.range);
        let range = match range {
            Err(error) if comprehension.form == Form::SortBy && !error.is_fatal() => {
                // The input is named twice.
                self.budget.charge(2)?;
                return self.unsorted(comprehension, error);
            }
            range => range?,
        };
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
                    let flow = if comprehension.two { run(self, Value::index(position), Some(item))? } else { run(self, item, None)? };
                    if flow.is_break() {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                // In order of keys, whatever the author's order: the verdict may not depend on it.
                for (key, value) in map.entries_in_order(self.budget)? {
                    if run(self, key, comprehension.two.then_some(value))?.is_break() {
                        break;
                    }
                }
            }
            other if comprehension.two => {
                return Err(EvaluationError::failed(format!("unsupported comprehension range type: {}", other.go_type())));
            }
            other => return Err(EvaluationError::failed(format!("got '{}', expected iterable type", other.go_type()))),
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
            frame.absorb(&mut error, failure)?;
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
        let mut error = None;
        self.each(comprehension, range, &mut |frame| {
            frame.budget.charge(0)?;
            if frame.holds(&comprehension.body, &mut error)? {
                count += 1;
                frame.budget.charge(2)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.budget.charge(2)?;
        error.map_or(Ok(Value::Bool(count == 1)), Err)
    }

    /// Whether a condition holds for the present item. Its error becomes the loop's answer, but does not end the loop: so it is in
    /// cel-go, where the accumulator is the first error from then on, and the other items are charged.
    fn holds(&mut self, condition: &'a Ir, error: &mut Option<EvaluationError>) -> Result<bool, EvaluationError> {
        let failure = match self.evaluate(condition) {
            Ok(Value::Bool(holds)) => return Ok(holds),
            Ok(_) => EvaluationError::no_such_overload(),
            Err(failure) if failure.is_fatal() => return Err(failure),
            Err(failure) => failure,
        };
        self.absorb(error, failure)?;
        Ok(false)
    }

    /// Whether the filter lets the present item through.
    fn passes(&mut self, comprehension: &'a Comprehension, error: &mut Option<EvaluationError>) -> Result<bool, EvaluationError> {
        comprehension.filter.as_ref().map_or(Ok(true), |filter| self.holds(filter, error))
    }

    /// The value of the body for the present item; its first error is kept, as that of a condition is.
    fn body(&mut self, body: &'a Ir, error: &mut Option<EvaluationError>) -> Result<Option<Value<'a>>, EvaluationError> {
        match self.evaluate(body) {
            Ok(value) => Ok(Some(value)),
            Err(failure) if failure.is_fatal() => Err(failure),
            Err(failure) => {
                self.absorb(error, failure)?;
                Ok(None)
            }
        }
    }

    #[inline(never)]
    fn build_list(&mut self, comprehension: &'a Comprehension, range: &Value<'a>) -> Outcome<'a> {
        let mut items = Vec::new();
        let mut error = None;
        let keep = comprehension.form == Form::Filter;
        self.each(comprehension, range, &mut |frame| {
            frame.budget.charge(0)?;
            if keep {
                if frame.holds(&comprehension.body, &mut error)? {
                    frame.budget.charge(3 + cost::LIST)?;
                    items.extend(frame.locals.get(comprehension.local).cloned());
                }
            } else if frame.passes(comprehension, &mut error)? {
                frame.budget.charge(mapped(&comprehension.body))?;
                items.extend(frame.body(&comprehension.body, &mut error)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.budget.charge(1)?;
        error.map_or_else(|| Ok(Value::List(List::from_items(items)?)), Err)
    }

    #[inline(never)]
    fn build_map(&mut self, comprehension: &'a Comprehension, range: &Value<'a>) -> Outcome<'a> {
        let mut entries = Growing::default();
        let mut error = None;
        let entry = comprehension.form == Form::Entry;
        self.each(comprehension, range, &mut |frame| {
            frame.budget.charge(0)?;
            if !frame.passes(comprehension, &mut error)? {
                return Ok(ControlFlow::Continue(()));
            }
            if !entry && error.is_some() {
                // The accumulator is the error, and so the first argument of the insertion, which evaluates no other.
                return frame.budget.charge(1).map(ControlFlow::Continue);
            }
            let budget = frame.budget;
            let mut insert = |key: Value<'a>, value: Value<'a>| {
                let key = Key::new(key)?;
                if entries.holds(&key) {
                    let name = super::functions::stdlib::display(key.value());
                    return Err(EvaluationError::failed(format!("insert failed: key {name} already exists")));
                }
                entries.insert(key, value, budget)
            };
            frame.budget.charge(if entry { 2 } else { 3 })?;
            let made = match (frame.body(&comprehension.body, &mut error)?, entry) {
                (None, _) => Ok(()),
                (Some(value), false) => insert(frame.locals.get(comprehension.local).cloned().unwrap_or(Value::Null), value),
                (Some(Value::Map(map)), true) => {
                    map.entries_in_order(frame.budget)?.into_iter().try_for_each(|(key, value)| insert(key, value))
                }
                (Some(other), true) => {
                    Err(EvaluationError::failed(format!("no such overload: cel.@mapInsert(map, {})", other.type_name())))
                }
            };
            if let Err(failure) = made {
                if failure.is_fatal() {
                    return Err(failure);
                }
                frame.absorb(&mut error, failure)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.budget.charge(1)?;
        error.map_or_else(|| Ok(Value::Map(Map::from_entries(entries)?)), Err)
    }

    #[inline(never)]
    fn sort_by(&mut self, comprehension: &'a Comprehension, range: &Value<'a>) -> Outcome<'a> {
        let mut keys = Vec::new();
        let mut error = None;
        // Naming the bound input as the range, the mapped list as the result, and the input once more.
        self.budget.charge(1)?;
        let walked = self.each(comprehension, range, &mut |frame| {
            frame.budget.charge(mapped(&comprehension.body))?;
            keys.extend(frame.body(&comprehension.body, &mut error)?);
            Ok(ControlFlow::Continue(()))
        });
        if let Err(failure) = walked {
            if failure.is_fatal() {
                return Err(failure);
            }
            self.budget.charge(1)?;
            return self.unsorted(comprehension, failure);
        }
        self.budget.charge(2)?;
        if let Some(error) = error {
            return self.unsorted(comprehension, error);
        }
        if comprehension.body.is_open() {
            self.budget.charge(1)?;
        } else {
            super::functions::lists::charge_sort(self.budget, &keys)?;
        }
        let Value::List(list) = range else { return Err(EvaluationError::failed("no such overload: @sortByAssociatedKeys")) };
        let order = super::functions::lists::sorted_positions(self.budget, &keys)?;
        Value::list(order.into_iter().filter_map(|position| list.get(position)).collect())
    }

    /// The error of a sort whose keys have no value: its own, unless their type is known, so that cel-go looks at them for the cost.
    fn unsorted(&self, comprehension: &'a Comprehension, error: EvaluationError) -> Outcome<'a> {
        if comprehension.body.is_open() {
            self.budget.charge(1)?;
            return Err(error);
        }
        Err(super::functions::lists::no_list(&[Value::Null], 1))
    }
}

/// What adding an item to the list of a `map` costs: the accumulator, a list of one item unless it is constant, and `+`.
pub(super) fn mapped(body: &Ir) -> u64 {
    if matches!(body.op, Op::Constant(_)) { 2 } else { 2 + cost::LIST }
}
