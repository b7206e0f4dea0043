//! The evaluator. Every arm is a function of its own, so that the frame of [`Frame::evaluate`] stays small: the deepest expression
//! must fit a stack of 2 MiB.

use super::check::{self, Checked, Need};
use super::collections::{Growing, Key, List, Map};
use super::cost::{self, Budget};
use super::error::{CompileError, EvaluationError};
use super::fold;
use super::functions::{self, Context};
use super::ir::{Call, Constant, Ir, Op};
use super::lower::{self, Lowered};
use super::operate;
use super::scope::Scope;
use super::types::Type;
use super::value::Value;

/// What evaluating a part gives.
pub(super) type Outcome<'a> = Result<Value<'a>, EvaluationError>;

/// Where an expression gets the values of its variables.
pub trait Variables<'a> {
    /// The value of a slot of the scope. A lazy variable is evaluated and remembered here, on the same budget.
    ///
    /// # Errors
    /// What evaluating it gave; [`EvaluationError::Unknown`] for a fact that could not be learned.
    fn get(&self, slot: usize, budget: &Budget<'_>) -> Result<Value<'a>, EvaluationError>;
}

/// Documents of expressions that are worth a thread.
const DOCUMENTS_A_THREAD: usize = 2;

/// A compiled expression: immutable, to be shared between threads.
#[derive(Debug)]
pub struct Expression {
    source: Box<str>,
    root: Ir,
    slots: Box<[usize]>,
    depth: u32,
    locals: usize,
    result: Type,
    needs: Box<[Need]>,
    loops: u32,
}

impl Expression {
    /// Compiles one text. It is parsed on a thread of its own, except inside [`Expression::map_on_parser_stacks`]: use that, or
    /// [`Expression::compile_all`], for many texts.
    ///
    /// # Errors
    /// [`CompileError`] with the place of the first thing that is wrong.
    pub fn compile(source: &str, scope: &Scope) -> Result<Self, CompileError> {
        let unread = || Err(CompileError::new(source, 0..source.len(), "nothing was parsed"));
        Self::compile_all(&[(source, scope)]).pop().unwrap_or_else(unread)
    }

    /// Compiles many texts, in order, on as few threads as pays.
    #[must_use]
    pub fn compile_all(sources: &[(&str, &Scope)]) -> Vec<Result<Self, CompileError>> {
        let finish = |(source, lowered): (&(&str, &Scope), Result<Lowered, CompileError>)| {
            let Lowered { mut root, slots, depth, locals } = lowered?;
            let (source, scope) = *source;
            let Checked { result, needs, loops } = check::check(source, &root, scope).map_err(CompileError::joined)?;
            fold::fold(source, &mut root)?;
            Ok(Self { source: source.into(), root, slots: slots.into(), depth, locals, result, needs: needs.into(), loops })
        };
        sources.iter().zip(lower::lower_all(sources)).map(finish).collect()
    }

    /// Maps items, in order, on threads that can compile any text without starting further ones: for whole documents of
    /// expressions. `failed` answers for an item whose thread could not be started or panicked.
    pub fn map_on_parser_stacks<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync, failed: impl Fn(&T, &str) -> R) -> Vec<R> {
        lower::map_on_parser_stacks(items, DOCUMENTS_A_THREAD, work, failed)
    }

    /// An expression's text with names replaced: `replace` is given the names of each chain `a.b.c` whose root no macro binds, and says
    /// how many of them to replace and by which text, which must be such that a `.` may follow it.
    ///
    /// # Errors
    /// [`CompileError`] if the text is no expression.
    pub fn rewrite(source: &str, replace: &lower::print::Replace<'_>) -> Result<String, CompileError> {
        lower::rewrite(source, replace)
    }

    /// Whether an expression, written out and read again, is the same tree.
    #[cfg(test)]
    pub(crate) fn prints_as_itself(source: &str) -> bool {
        lower::print::tests::printed(source).is_some()
    }

    /// A string as a literal of CEL.
    #[must_use]
    pub fn string_literal(text: &str) -> String {
        lower::string_literal(text)
    }

    /// The text it was compiled from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type of its value, as far as it is known before it is evaluated.
    #[must_use]
    pub fn result_type(&self) -> &Type {
        &self.result
    }

    /// What it uses that not every release of Kubernetes has.
    #[must_use]
    pub fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// How many loops lie inside each other.
    #[must_use]
    pub fn loops(&self) -> u32 {
        self.loops
    }

    pub(super) fn root(&self) -> &Ir {
        &self.root
    }

    pub(super) fn root_mut(&mut self) -> &mut Ir {
        &mut self.root
    }

    /// The slots of the variables it reads, in ascending order.
    #[must_use]
    pub fn slots(&self) -> &[usize] {
        &self.slots
    }

    /// The value for these variables.
    ///
    /// # Errors
    /// [`EvaluationError`]: the expression's own error, an unknown fact that mattered, or the end of the budget.
    pub fn evaluate<'a>(&'a self, variables: &dyn Variables<'a>, budget: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        budget.enter(self.depth)?;
        let mut frame = Frame { variables, budget, locals: Vec::new(), unread: Vec::new() };
        if self.locals > 0 {
            frame.locals.reserve_exact(self.locals);
        }
        let result = frame.evaluate(&self.root);
        budget.leave(self.depth);
        result
    }
}

/// One evaluation: the variables of the scope and of the macros around the part that is evaluated.
pub(super) struct Frame<'r, 'a> {
    pub(super) variables: &'r dyn Variables<'a>,
    pub(super) budget: &'r Budget<'r>,
    pub(super) locals: Vec<Value<'a>>,
    /// Of the variables of `optMap` those that no part has read yet, and what cel-go charges for reading them first.
    unread: Vec<(usize, u64)>,
}

impl<'r, 'a> Frame<'r, 'a> {
    /// For a part that stands inside so many variables of loops and reads none of them.
    pub(super) fn within(variables: &'r dyn Variables<'a>, budget: &'r Budget<'r>, loops: usize) -> Self {
        Self { variables, budget, locals: vec![Value::Null; loops], unread: Vec::new() }
    }
}

impl<'a> Frame<'_, 'a> {
    pub(super) fn evaluate(&mut self, ir: &'a Ir) -> Outcome<'a> {
        match &ir.op {
            Op::Constant(constant) => self.constant(constant),
            Op::Variable { slot, cost } => self.variable(*slot, *cost),
            Op::Local { index, cost, .. } => self.local(*index, *cost),
            Op::Select { operand, field, cost } => self.select(operand, field, *cost),
            Op::OptionalSelect { operand, field, cost } => self.optional_select(operand, field, *cost),
            Op::Has { operand, field, cost } => self.has(operand, field, *cost),
            Op::Declared(slot) => self.declared(*slot),
            Op::Index { operands, cost } => self.index(operands, *cost),
            Op::OptionalIndex { operands, cost } => self.optional_index(operands, *cost),
            Op::Not(operand) => self.not(operand),
            Op::Negate(operand) => self.negate(operand),
            Op::And(terms) => self.logic(terms, false),
            Op::Or(terms) => self.logic(terms, true),
            Op::Conditional(parts) => self.conditional(parts),
            Op::Binary { operator, operands, sized } => self.binary(*operator, operands, *sized),
            Op::In { operands, sized } => self.contains(operands, *sized),
            Op::Member { needle, members } => self.member(needle, members),
            Op::List(items) => self.list(items),
            Op::Map(entries) => self.map(entries),
            Op::Call(call) => self.call(call),
            Op::Comprehension(comprehension) => self.comprehend(comprehension),
            Op::OptionalMap { operands, local, flat } => self.optional_map(operands, *local, *flat),
            Op::OptionalOr { operands, value } => self.optional_or(operands, *value),
        }
    }

    /// Free in cel-go; counted, for a long row of constants takes its time too.
    fn constant(&mut self, constant: &'a Constant) -> Outcome<'a> {
        self.budget.free(2)?;
        Ok(constant.value())
    }

    fn variable(&mut self, slot: usize, cost: u8) -> Outcome<'a> {
        self.budget.charge(u64::from(cost))?;
        self.variables.get(slot, self.budget)
    }

    fn local(&mut self, index: usize, cost: u8) -> Outcome<'a> {
        self.charge_local(index, cost)?;
        self.locals.get(index).cloned().ok_or_else(|| EvaluationError::failed("no such variable"))
    }

    /// Charges the name of a macro's variable.
    #[inline]
    pub(super) fn charge_local(&mut self, index: usize, cost: u8) -> Result<(), EvaluationError> {
        if !self.unread.is_empty()
            && let Some(place) = self.unread.iter().position(|(unread, _)| *unread == index)
        {
            let (_, first) = self.unread.swap_remove(place);
            self.budget.charge(first)?;
        }
        self.budget.charge(u64::from(cost))
    }

    /// `has(variables.team)`: a declared variable is there, known or not; it is evaluated all the same, and its error is the answer.
    fn declared(&mut self, slot: usize) -> Outcome<'a> {
        match self.variable(slot, 1) {
            Ok(_) | Err(EvaluationError::Unknown(_)) => Ok(Value::Bool(true)),
            Err(error) => Err(error),
        }
    }

    /// The operand of a call, which is charged even if the operand has no value.
    fn operand(&mut self, operand: &'a Ir) -> Outcome<'a> {
        let value = self.evaluate(operand);
        match &value {
            Err(error) if error.is_fatal() => {}
            _ => self.budget.charge(1)?,
        }
        value
    }

    fn not(&mut self, operand: &'a Ir) -> Outcome<'a> {
        let operand = self.operand(operand)?;
        operand.as_bool().map(|value| Value::Bool(!value)).ok_or_else(EvaluationError::no_such_overload)
    }

    fn negate(&mut self, operand: &'a Ir) -> Outcome<'a> {
        let operand = self.operand(operand)?;
        operate::negate(&operand)
    }

    /// `&&` and `||`: the deciding value wins over every error, and what is unknown over what failed.
    #[inline(never)]
    fn logic(&mut self, terms: &'a [Ir], deciding: bool) -> Outcome<'a> {
        let mut error = None;
        for term in terms {
            let result = match self.evaluate(term) {
                Ok(Value::Bool(value)) if value == deciding => return Ok(Value::Bool(deciding)),
                Ok(Value::Bool(_)) => continue,
                Ok(_) => EvaluationError::no_such_overload(),
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => error,
            };
            self.absorb(&mut error, result)?;
        }
        error.map_or(Ok(Value::Bool(!deciding)), Err)
    }

    /// Keeps an error that does not end the evaluation, unless one is kept already that says more.
    pub(super) fn absorb(&self, kept: &mut Option<EvaluationError>, error: EvaluationError) -> Result<(), EvaluationError> {
        self.budget.free(cost::FAILURE)?;
        *kept = Some(EvaluationError::prefer(kept.take(), error));
        Ok(())
    }

    #[inline(never)]
    fn conditional(&mut self, [condition, yes, no]: &'a [Ir; 3]) -> Outcome<'a> {
        match self.evaluate(condition)? {
            Value::Bool(true) => self.evaluate(yes),
            Value::Bool(false) => self.evaluate(no),
            _ => Err(EvaluationError::no_such_overload()),
        }
    }

    /// Both operands, evaluated even if the first one fails: so does cel-go, and charges for it.
    pub(super) fn both(&mut self, [left, right]: &'a [Ir; 2]) -> [Outcome<'a>; 2] {
        let left = self.evaluate(left);
        if let Err(error) = &left
            && error.is_fatal()
        {
            return [left, Ok(Value::Null)];
        }
        [left, self.evaluate(right)]
    }

    #[inline(never)]
    fn member(&mut self, needle: &'a Ir, members: &'a [Constant]) -> Outcome<'a> {
        let needle = self.evaluate(needle)?;
        // Free in cel-go.
        self.budget.free(members.len() as u64)?;
        Ok(Value::Bool(match &needle {
            Value::String(text) => {
                let text = text.as_str();
                members.iter().any(|member| matches!(member, Constant::String(member) if &**member == text))
            }
            // cel-go looks for it in a set, which compares nothing but needs a hash.
            Value::Opaque(needle) => needle.check_key().map(|()| false)?,
            needle => {
                // Numbers are told apart across their types.
                self.budget.free(3 * members.len() as u64)?;
                let mut found = false;
                for member in members {
                    found = found || operate::equal(needle, &member.value(), self.budget)?;
                }
                found
            }
        }))
    }

    #[inline(never)]
    fn list(&mut self, items: &'a [(bool, Ir)]) -> Outcome<'a> {
        self.budget.charge(cost::LIST)?;
        // Free in cel-go, however many they are.
        self.budget.free(4 * items.len() as u64)?;
        let mut values = Vec::with_capacity(items.len());
        for (optional, item) in items {
            match (optional, self.evaluate(item)?) {
                (true, Value::Optional(inner)) => values.extend(inner.as_deref().cloned()),
                (true, value) => return Err(not_optional(&value)),
                (false, value) => values.push(value),
            }
        }
        Ok(Value::List(List::from_items(values)?))
    }

    #[inline(never)]
    fn map(&mut self, entries: &'a [(bool, [Ir; 2])]) -> Outcome<'a> {
        match self.entries(entries) {
            Err(error) if error.is_fatal() => Err(error),
            made => {
                self.budget.charge(cost::MAP)?;
                made
            }
        }
    }

    fn entries(&mut self, entries: &'a [(bool, [Ir; 2])]) -> Outcome<'a> {
        let mut map = Growing::default();
        for (optional, [key, value]) in entries {
            let key = Key::new(self.evaluate(key)?)?;
            match (optional, self.evaluate(value)?) {
                (true, Value::Optional(Some(inner))) => map.insert(key, (*inner).clone(), self.budget),
                // As in cel-go, which deletes the key.
                (true, Value::Optional(None)) => map.remove(&key, self.budget),
                (true, value) => return Err(not_optional(&value)),
                (false, value) => map.insert(key, value, self.budget),
            }?;
        }
        Ok(Value::Map(Map::from_entries(map)?))
    }

    #[inline(never)]
    fn call(&mut self, call: &'a Call) -> Outcome<'a> {
        const NULL: Value<'static> = Value::Null;
        let mut values = [NULL; functions::MAX_ARGUMENTS];
        let count = call.arguments.len();
        let mut failed = None;
        let mut absent = 0;
        for (position, (place, argument)) in values.iter_mut().zip(&call.arguments).enumerate() {
            match self.evaluate(argument) {
                Ok(value) => *place = value,
                Err(error) if error.is_fatal() || call.ends_early() && position + 1 < count => return Err(error),
                Err(error) => {
                    failed = Some(EvaluationError::prefer(failed.take(), error));
                    absent |= 1 << position;
                }
            }
        }
        let arguments = values.get(..count).unwrap_or_default();
        let context = Context { budget: self.budget, regex: call.regex.as_ref(), open: call.open };
        if let Some(error) = failed {
            functions::charge_failed(&call.candidates, &context, arguments, absent)?;
            return Err(error);
        }
        functions::run(&call.candidates, &context, arguments)
    }

    #[inline(never)]
    fn optional_map(&mut self, [target, body]: &'a [Ir; 2], local: usize, flat: bool) -> Outcome<'a> {
        let before = self.budget.spent();
        let target = self.evaluate(target);
        let target_cost = self.budget.spent() - before;
        if !matches!(&target, Err(error) if error.is_fatal()) {
            self.budget.charge(1)?;
        }
        let target = target?;
        let inner = match target {
            Value::Optional(Some(inner)) => (*inner).clone(),
            Value::Optional(None) => {
                self.budget.charge(1)?;
                return Ok(Value::Optional(None));
            }
            other => return Err(EvaluationError::failed(format!("no such overload: hasValue({})", other.type_name()))),
        };
        self.locals.truncate(local);
        self.locals.push(inner);
        // cel-go's macro writes the target twice; the second one is evaluated when the variable is first read.
        self.unread.push((local, target_cost + 1));
        let result = self.evaluate(body);
        self.unread.retain(|(unread, _)| *unread != local);
        self.locals.truncate(local);
        if flat {
            return result;
        }
        match result {
            Err(error) if error.is_fatal() => Err(error),
            result => {
                self.budget.charge(1)?;
                result.map(Value::some)
            }
        }
    }

    #[inline(never)]
    fn optional_or(&mut self, [target, other]: &'a [Ir; 2], value: bool) -> Outcome<'a> {
        if let Op::OptionalSelect { operand, field, cost } = &target.op
            && value
        {
            return self.optional_field(operand, field, *cost)?.map_or_else(|| self.evaluate(other), Ok);
        }
        match self.evaluate(target)? {
            Value::Optional(None) => self.evaluate(other),
            Value::Optional(Some(inner)) if value => Ok((*inner).clone()),
            Value::Optional(inner) => Ok(Value::Optional(inner)),
            _ => Err(EvaluationError::no_such_overload()),
        }
    }
}

fn not_optional(value: &Value<'_>) -> EvaluationError {
    EvaluationError::failed(format!("cannot initialize optional entry from non-optional value {}", functions::stdlib::display(value)))
}
