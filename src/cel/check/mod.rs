//! The type checker: cel-go's `checker` over the intermediate form, in its words, with the place of each mistake.
//!
//! - `unify`: which types fit which
//! - `operators`: what operators and macros take and give
//! - `literals`: what Kubernetes checks of literals once the types are known

mod literals;
mod operators;
mod unify;

use super::error::CompileError;
use super::functions;
use super::ir::{Call, Comprehension, Constant, Form, Ir, Op};
use super::scope::Scope;
use super::types::Type;
use operators::Overload;
use unify::{Instance, Substitutions, bounded, same};

/// What the checker learns of an expression.
pub(super) struct Checked {
    /// Its type.
    pub(super) result: Type,
    /// What it uses that not every release of Kubernetes has.
    pub(super) needs: Vec<Need>,
    /// How many loops lie inside each other.
    pub(super) loops: u32,
}

/// Something of the language that an expression uses, and the first release of Kubernetes that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The function or the syntax.
    pub name: &'static str,
    /// The release: `1.31`; empty where there is none yet.
    pub since: &'static str,
    /// Bytes of the source.
    pub span: std::ops::Range<usize>,
}

/// Checks an expression before it is folded.
///
/// # Errors
/// Every mistake, in the order in which they stand in the source.
pub(super) fn check(source: &str, root: &Ir, scope: &Scope) -> Result<Checked, Vec<CompileError>> {
    let mut checker = Checker::new(source, scope);
    let found = checker.check(root);
    if checker.errors.is_empty() {
        checker.check_literals();
    }
    if checker.errors.is_empty() {
        let result = checker.substitutions.resolve(&found, true);
        return Ok(Checked { result, needs: checker.needs, loops: checker.deepest });
    }
    checker.errors.sort_by_key(|error| error.span.start);
    Err(checker.errors)
}

/// The most parts that a type may have: `map(string, list(int))` has four.
const MAX_PARTS: u32 = 1000;
/// What every release has that has policies.
const FIRST: &str = "1.0";
/// The release that brought optional types.
const OPTIONALS: &str = "1.28";
/// The release that lets numbers of different types be compared.
const MIXED_NUMBERS: &str = "1.28";
/// What ends Kubernetes' compiler with a panic: `[?a[?b]]`, where nothing says before the evaluation that the entry is an optional.
pub const OPEN_ENTRY: &str = "an optional entry of unknown type";

struct Checker<'s> {
    source: &'s str,
    scope: &'s Scope,
    substitutions: Substitutions,
    /// Types of the variables of the enclosing macros, by their place on the stack.
    locals: Vec<Type>,
    errors: Vec<CompileError>,
    /// What is looked at again when every type is known.
    literals: Vec<literals::Literal<'s>>,
    needs: Vec<Need>,
    /// Loops that are open, and the most that ever were.
    loops: u32,
    deepest: u32,
}

impl<'s> Checker<'s> {
    fn new(source: &'s str, scope: &'s Scope) -> Self {
        Self {
            source,
            scope,
            substitutions: Substitutions::default(),
            locals: Vec::new(),
            errors: Vec::new(),
            literals: Vec::new(),
            needs: Vec::new(),
            loops: 0,
            deepest: 0,
        }
    }

    fn need(&mut self, ir: &Ir, name: &'static str, since: &'static str) {
        if since != FIRST {
            self.needs.push(Need { name, since, span: ir.span.start as usize..ir.span.end as usize });
        }
    }

    fn fail(&mut self, at: &Ir, message: String) -> Type {
        self.errors.push(CompileError::new(self.source, at.span.start as usize..at.span.end as usize, message));
        Type::Error
    }

    /// A mistake at the field that ends a selection.
    fn fail_at_field(&mut self, at: &Ir, field: &str, message: String) -> Type {
        let mut span = at.span.start as usize..at.span.end as usize;
        let text = self.source.get(span.clone()).unwrap_or_default().trim_end_matches([')', ' ']);
        if text.ends_with(field) {
            let end = span.start + text.len();
            span = end - field.len()..end;
        }
        self.errors.push(CompileError::new(self.source, span, message));
        Type::Error
    }

    /// The type of a part. A type that grew beyond all use is a mistake, so that no later step works on it.
    fn check(&mut self, ir: &'s Ir) -> Type {
        let found = self.part(ir);
        let mut left = MAX_PARTS;
        if self.substitutions.exceeds(&found, &mut left) {
            return self.fail(ir, format!("the type of this has more than {MAX_PARTS} parts; write `dyn(...)` around a part of it"));
        }
        found
    }

    fn part(&mut self, ir: &'s Ir) -> Type {
        match &ir.op {
            Op::Constant(Constant::Null) => Type::Null,
            Op::Constant(_) => ir.known_type(),
            Op::Variable { slot, .. } => self.scope.type_of(*slot).clone(),
            Op::Local { index, .. } => self.locals.get(*index).cloned().unwrap_or(Type::Dyn),
            Op::Select { operand, field, .. } => self.field(ir, operand, field, false),
            Op::OptionalSelect { operand, field, .. } => {
                self.need(ir, ".?", OPTIONALS);
                self.field(ir, operand, field, true)
            }
            Op::Has { operand, field, .. } => {
                self.field(ir, operand, field, false);
                Type::Bool
            }
            Op::Declared(_) => Type::Bool,
            Op::Index { operands, .. } => self.index(ir, operands),
            Op::OptionalIndex { operands, .. } => {
                self.need(ir, "[?]", OPTIONALS);
                self.apply(ir, "_[?_]", operators::OPTIONAL_INDEX, &**operands)
            }
            Op::Not(operand) => self.apply(ir, "!_", operators::NOT, std::slice::from_ref(&**operand)),
            Op::Negate(operand) => self.apply(ir, "-_", operators::NEGATE, std::slice::from_ref(&**operand)),
            Op::And(terms) | Op::Or(terms) => {
                for term in terms {
                    let found = self.check(term);
                    self.assert_bool(term, &found);
                }
                Type::Bool
            }
            Op::Conditional(parts) => self.apply(ir, "_?_:_", operators::CONDITIONAL, &**parts),
            Op::Binary { operator, operands, .. } => {
                let (name, overloads) = operators::binary(*operator);
                let given = operands.each_ref().map(|operand| self.check(operand));
                if operators::is_order(*operator)
                    && operators::are_mixed_numbers(&given.each_ref().map(|is| self.substitutions.resolve(is, false)))
                {
                    self.need(ir, "a comparison of numbers of different types", MIXED_NUMBERS);
                }
                self.resolve_overload(ir, name, false, overloads.iter().map(|(taken, result)| (*taken, result)), &given)
            }
            Op::In { operands, .. } => self.apply(ir, "@in", operators::IN, &**operands),
            Op::Member { needle, .. } => {
                self.check(needle);
                Type::Bool
            }
            Op::List(items) => self.list(items),
            Op::Map(entries) => self.map(entries),
            Op::Call(call) => self.call(ir, call),
            Op::Comprehension(comprehension) => self.comprehension(ir, comprehension),
            Op::OptionalMap { operands, local, flat } => self.optional_map(ir, operands, *local, *flat),
            Op::OptionalOr { operands, value } => {
                let (name, overloads) = if *value { ("orValue", operators::OR_VALUE) } else { ("or", operators::OR) };
                self.need(ir, name, OPTIONALS);
                let given = operands.each_ref().map(|operand| self.check(operand));
                self.resolve_overload(ir, name, true, overloads.iter().map(|(taken, result)| (*taken, result)), &given)
            }
        }
    }

    fn assert_bool(&mut self, at: &Ir, found: &Type) {
        if !self.substitutions.assignable(std::slice::from_ref(found), &[Type::Bool]) {
            let found = self.substitutions.resolve(found, true);
            if !unify::is_refused(&found) {
                self.fail(at, format!("expected type 'bool' but found '{found}'"));
            }
        }
    }

    /// A field of what `operand` is; of an optional, the field of what it holds, as an optional.
    fn field(&mut self, ir: &Ir, operand: &'s Ir, field: &str, optional: bool) -> Type {
        let operand = self.check(operand);
        let operand = self.substitutions.resolve(&operand, false);
        let (target, inside) = match &operand {
            Type::Optional(inner) => (inner.get(), true),
            other => (other, false),
        };
        if let Type::Variable(_) = target {
            self.substitutions.assignable(&[Type::Dyn], std::slice::from_ref(target));
        }
        let target = self.substitutions.resolve(target, false);
        let result = target.member(field).unwrap_or_else(|message| self.fail_at_field(ir, field, message));
        if inside || optional { Type::optional(result) } else { result }
    }

    fn index(&mut self, ir: &'s Ir, operands: &'s [Ir; 2]) -> Type {
        let given = operands.each_ref().map(|operand| self.check(operand));
        if let (Type::Object(object), [_, Ir { op: Op::Constant(Constant::String(field)), .. }]) = (&given[0], operands)
            && object.takes_keys()
        {
            return given[0].member(field).unwrap_or_else(|message| self.fail(ir, message));
        }
        self.resolve_overload(ir, "_[_]", false, operators::INDEX.iter().map(|(taken, result)| (*taken, result)), &given)
    }

    fn apply(&mut self, ir: &Ir, name: &str, overloads: &'static [Overload], operands: &'s [Ir]) -> Type {
        let given: Vec<Type> = operands.iter().map(|operand| self.check(operand)).collect();
        self.resolve_overload(ir, name, false, overloads.iter().map(|(taken, result)| (*taken, result)), &given)
    }

    fn call(&mut self, ir: &'s Ir, call: &'s Call) -> Type {
        let formats = call.name == "format" && call.receiver;
        let (first, first_need) = (self.literals.len(), self.needs.len());
        let given: Vec<Type> = call.arguments.iter().map(|argument| self.check(argument)).collect();
        if formats {
            self.note_format(ir, call, first);
            let mut position = 0;
            self.needs.retain(|need| {
                position += 1;
                position <= first_need || need.name != OPEN_ENTRY
            });
        }
        if let Some(function) = call.candidates.first() {
            self.need(ir, function.name, function.since);
            let rows = call.candidates.iter().map(|function| (function.arguments, &function.result));
            return self.resolve_overload(ir, call.name, call.receiver, rows, &given);
        }
        // No row takes what the arguments seemed to be when they were lowered. One that was refused itself fits all of them.
        let rows = functions::named(call.name, call.receiver).map(|function| (function.arguments, &function.result));
        self.resolve_overload(ir, call.name, call.receiver, rows, &given)
    }

    /// The result of the overloads that take these types: the one type they agree on, else `dyn`.
    fn resolve_overload(
        &mut self,
        ir: &Ir,
        name: &str,
        receiver: bool,
        overloads: impl Iterator<Item = (&'static [Type], &'static Type)>,
        given: &[Type],
    ) -> Type {
        let mut result: Option<Type> = None;
        for (taken, gives) in overloads {
            match taken.iter().find_map(bounded) {
                Some(parameter) => {
                    for is in parameter.among {
                        self.try_overload(Instance::with(parameter, is), taken, gives, given, &mut result);
                    }
                }
                None => self.try_overload(Instance::default(), taken, gives, given, &mut result),
            }
        }
        result.unwrap_or_else(|| {
            let given: Vec<Type> = given.iter().map(|given| self.substitutions.resolve(given, true)).collect();
            // One mistake is told once.
            if given.iter().any(unify::is_refused) {
                return Type::Error;
            }
            let mut types: Vec<String> = given.iter().map(ToString::to_string).collect();
            let receiver = if receiver && !types.is_empty() { format!("{}.", types.remove(0)) } else { String::new() };
            self.fail(ir, format!("found no matching overload for '{name}' applied to '{receiver}({})'", types.join(", ")))
        })
    }

    fn try_overload(&mut self, mut instance: Instance, taken: &[Type], gives: &Type, given: &[Type], result: &mut Option<Type>) {
        if taken.len() != given.len() {
            return;
        }
        let taken: Vec<Type> = taken.iter().map(|taken| instance.of(taken, &mut self.substitutions)).collect();
        if !self.substitutions.assignable(given, &taken) {
            return;
        }
        let gives = instance.of(gives, &mut self.substitutions);
        let gives = self.substitutions.resolve(&gives, false);
        *result = Some(match result.take() {
            None => gives,
            Some(Type::Dyn) => Type::Dyn,
            Some(before) if same(&before, &gives) => before,
            Some(_) => Type::Dyn,
        });
    }

    /// The type that both have; `dyn` if they have none in common.
    fn join(&mut self, before: Option<Type>, found: Type) -> Type {
        let Some(before) = before else { return found };
        if !self.substitutions.assignable(std::slice::from_ref(&before), std::slice::from_ref(&found)) {
            return Type::Dyn;
        }
        if unify::is_equal_or_less_specific(&before, &found) { before } else { found }
    }

    /// The type of an item or a value; of an optional one, of what it holds.
    fn element(&mut self, ir: &'s Ir, optional: bool) -> Type {
        let found = self.check(ir);
        if optional {
            self.need(ir, "[?]", OPTIONALS);
        }
        match (optional, &found) {
            (true, Type::Dyn) => {
                self.need(ir, OPEN_ENTRY, "");
                found
            }
            (false, _) | (true, Type::Error) => found,
            (true, Type::Optional(inner)) => inner.get().clone(),
            (true, other) => {
                let other = self.substitutions.resolve(other, true);
                self.fail(ir, format!("expected type '{}' but found '{other}'", Type::optional(other.clone())));
                other
            }
        }
    }

    fn list(&mut self, items: &'s [(bool, Ir)]) -> Type {
        let place = self.literals.len();
        let mut joined = None;
        let mut types = Vec::with_capacity(items.len());
        for (optional, item) in items {
            let found = self.element(item, *optional);
            types.push((item, found.clone()));
            joined = Some(self.join(joined, found));
        }
        self.literals.insert(place, literals::Literal::Alike(types));
        Type::list(joined.unwrap_or_else(|| self.substitutions.fresh()))
    }

    fn map(&mut self, entries: &'s [(bool, [Ir; 2])]) -> Type {
        let place = self.literals.len();
        let (mut keys, mut values) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
        let (mut joined_key, mut joined_value) = (None, None);
        for (optional, [key, value]) in entries {
            let found = self.check(key);
            keys.push((key, found.clone()));
            joined_key = Some(self.join(joined_key, found));
            let found = self.element(value, *optional);
            values.push((value, found.clone()));
            joined_value = Some(self.join(joined_value, found));
        }
        self.literals.insert(place, literals::Literal::Alike(keys));
        self.literals.insert(place + 1, literals::Literal::Alike(values));
        let key = joined_key.unwrap_or_else(|| self.substitutions.fresh());
        Type::map(key, joined_value.unwrap_or_else(|| self.substitutions.fresh()))
    }

    fn comprehension(&mut self, ir: &Ir, comprehension: &'s Comprehension) -> Type {
        let range = self.check(&comprehension.range);
        match comprehension.form {
            Form::SortBy => self.need(ir, "sortBy", "1.34"),
            _ if comprehension.two => self.need(ir, "macros of two variables", "1.32"),
            _ => {}
        }
        let range = self.substitutions.resolve(&range, false);
        let (first, second) = match &range {
            Type::List(item) if comprehension.two => (Type::Int, item.get().clone()),
            Type::List(item) => (item.get().clone(), Type::Dyn),
            Type::Map(key, value) => (key.get().clone(), value.get().clone()),
            Type::Dyn | Type::Error | Type::Variable(_) => {
                self.substitutions.assignable(&[Type::Dyn], std::slice::from_ref(&range));
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!("expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)");
                self.fail(&comprehension.range, message);
                (Type::Error, Type::Error)
            }
        };
        self.locals.truncate(comprehension.local);
        self.locals.push(first.clone());
        if comprehension.two {
            self.locals.push(second);
        }
        self.loops += 1;
        self.deepest = self.deepest.max(self.loops);
        let filter = comprehension.filter.as_ref().map(|filter| self.check(filter));
        let body = self.check(&comprehension.body);
        self.loops -= 1;
        self.locals.truncate(comprehension.local);
        let result = match comprehension.form {
            Form::All | Form::Exists => {
                self.assert_bool(&comprehension.body, &body);
                return Type::Bool;
            }
            Form::ExistsOne => {
                self.conditional(ir, body, Type::Int);
                return Type::Bool;
            }
            Form::Filter => {
                let result = Type::list(first);
                self.conditional(ir, body, result.clone());
                return result;
            }
            Form::SortBy => {
                let given = [range, Type::list(body)];
                let rows = operators::SORT_BY_KEYS.iter().map(|(taken, result)| (*taken, result));
                return self.resolve_overload(ir, "@sortByAssociatedKeys", true, rows, &given);
            }
            Form::List => Type::list(body),
            Form::Map => Type::map(first, body),
            Form::Entry => {
                let empty = Type::map(self.substitutions.fresh(), self.substitutions.fresh());
                let rows = operators::MAP_INSERT.iter().map(|(taken, result)| (*taken, result));
                self.resolve_overload(ir, "cel.@mapInsert", false, rows, &[empty, body])
            }
        };
        if let Some(filter) = filter {
            self.conditional(ir, filter, result.clone());
        }
        result
    }

    /// What the macros write for a condition: `condition ? step : accumulator`.
    fn conditional(&mut self, ir: &Ir, condition: Type, result: Type) {
        let rows = operators::CONDITIONAL.iter().map(|(taken, result)| (*taken, result));
        self.resolve_overload(ir, "_?_:_", false, rows, &[condition, result.clone(), result]);
    }

    fn optional_map(&mut self, ir: &Ir, [target, body]: &'s [Ir; 2], local: usize, flat: bool) -> Type {
        let found = self.check(target);
        self.need(ir, if flat { "optFlatMap" } else { "optMap" }, OPTIONALS);
        let found = self.substitutions.resolve(&found, false);
        let inner = match &found {
            Type::Optional(inner) => inner.get().clone(),
            Type::Dyn | Type::Error | Type::Variable(_) => Type::Dyn,
            _ => {
                let rows = operators::HAS_VALUE.iter().map(|(taken, result)| (*taken, result));
                self.resolve_overload(ir, "hasValue", true, rows, std::slice::from_ref(&found))
            }
        };
        self.locals.truncate(local);
        self.locals.push(inner);
        let body = self.check(body);
        self.locals.truncate(local);
        if !flat {
            return Type::optional(body);
        }
        let none = Type::optional(self.substitutions.fresh());
        let rows = operators::CONDITIONAL.iter().map(|(taken, result)| (*taken, result));
        self.resolve_overload(ir, "_?_:_", false, rows, &[Type::Bool, body, none])
    }
}
