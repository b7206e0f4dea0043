//! What an expression may cost: the least and the most that [`super::Budget`] can be charged.
//!
//! The least is what a policy is refused by when it is loaded: such an expression can only ever end with its budget. The most says how
//! it grows with what is sent; it takes a value of unknown size for as large as the caller says, and lists inside lists for as large
//! again, as Kubernetes' estimator of CRD rules does. Both are for evaluations that succeed: an error ends one earlier.
//!
//! Neither says of `[1, 2].all(a, [1, 2].all(b, p))` more than that an item may decide. Where such a loop hangs on no variable and might
//! cost too much, it is evaluated: that is what it costs wherever it is reached.

use std::ops::Range;
use std::rc::Rc;

use super::comprehend::mapped;
use super::cost::{self, Budget};
use super::error::EvaluationError;
use super::evaluate::{Expression, Variables};
use super::functions::{Cost, Function, named_format};
use super::ir::{Call, Comprehension, Constant, Form, Ir, Op, Operator};
use super::scope::Scope;
use super::types::Type;
use super::value::Value;
use shape::{Bounds, ONE, Shape, constant_shape, deep};

mod shape;

/// What evaluating loops that hang on nothing may cost for one expression.
const TRIALS: u64 = 10 * cost::EXPRESSION_LIMIT;
/// A cost that only what is sent can reach.
const UNBOUNDED: u64 = 1 << 50;
/// What Kubernetes makes of a text when an expression is evaluated, and not when it is compiled.
const CONVERSIONS: [&str; 5] = ["quantity", "ip", "cidr", "url", "semver"];

/// Bounds of the cost of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// No successful evaluation costs less.
    pub min: u64,
    /// None costs more, if no variable is larger than was said.
    pub max: u64,
    /// How deep loops over items stand in each other.
    pub loops: u32,
    /// The innermost part that costs more than [`cost::EXPRESSION_LIMIT`] wherever it is reached, so that it never has a value; in bytes
    /// of the source.
    pub bomb: Option<Range<usize>>,
}

/// A constant that ends each evaluation that reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedConstant {
    /// Bytes of the source.
    pub span: Range<usize>,
    /// The function that refuses it.
    pub function: &'static str,
    /// The error, in Kubernetes' words.
    pub message: String,
}

impl Expression {
    /// What it may cost if no variable holds more than `largest` characters, items or entries: for a whole request the API server's
    /// cap, 3 MiB.
    #[must_use]
    pub fn estimate(&self, largest: u64) -> Estimate {
        self.estimated(Estimator::new(self.source(), largest))
    }

    /// What it may cost at most where that does not grow with what is sent: as far as what is declared says how large a value may be.
    #[must_use]
    pub fn most(&self, scope: &Scope) -> Option<u64> {
        let estimator = Estimator { scope: Some(scope), trials: 0, ..Estimator::new(self.source(), u64::MAX) };
        Some(self.estimated(estimator).max).filter(|most| *most < UNBOUNDED)
    }

    fn estimated(&self, mut estimator: Estimator<'_>) -> Estimate {
        let (cost, _) = estimator.part(self.root());
        Estimate { min: cost.min, max: cost.max, loops: estimator.loops, bomb: estimator.bomb }
    }

    /// The constants that Kubernetes refuses whenever they are read, as in `quantity('x')`.
    #[must_use]
    pub fn refused_constants(&self) -> Vec<RefusedConstant> {
        let mut estimator = Estimator { refused: Some(Vec::new()), trials: 0, ..Estimator::new(self.source(), 0) };
        estimator.part(self.root());
        estimator.refused.unwrap_or_default()
    }
}

/// No variable at all.
struct Nothing;

impl<'a> Variables<'a> for Nothing {
    fn get(&self, _: usize, _: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        Err(EvaluationError::failed("no such variable"))
    }
}

struct Estimator<'s> {
    source: &'s str,
    /// What variables are declared as, if that counts.
    scope: Option<&'s Scope>,
    unknown: Shape,
    /// What the variables of the enclosing loops are like.
    locals: Vec<Shape>,
    open: u32,
    loops: u32,
    bomb: Option<Range<usize>>,
    /// Of what the part that is looked at reads, the least: 0 a variable of the scope, else one more than the place of a loop's.
    lowest: usize,
    /// What may still be spent on evaluating parts.
    trials: u64,
    /// Constants that are refused, if they are asked for.
    refused: Option<Vec<RefusedConstant>>,
}

impl<'s> Estimator<'s> {
    fn new(source: &'s str, largest: u64) -> Self {
        Self {
            source,
            scope: None,
            unknown: Shape::of_size(Bounds { min: 0, max: largest }),
            locals: Vec::new(),
            open: 0,
            loops: 0,
            bomb: None,
            lowest: usize::MAX,
            trials: TRIALS,
            refused: None,
        }
    }

    /// The cost of a part, and what its value is like.
    fn part(&mut self, ir: &Ir) -> (Bounds, Shape) {
        let (around, enclosing) = (std::mem::replace(&mut self.lowest, usize::MAX), self.locals.len());
        let (cost, shape) = self.op(&ir.op);
        let hangs_on_nothing = self.lowest > enclosing;
        self.lowest = self.lowest.min(around);
        let span = ir.span.start as usize..ir.span.end as usize;
        if self.bomb.is_none()
            && (cost.min > cost::EXPRESSION_LIMIT
                || cost.max > cost::EXPRESSION_LIMIT
                    && hangs_on_nothing
                    && matches!(ir.op, Op::Comprehension(_))
                    && self.failure(&span, self.trials) == Some(EvaluationError::BudgetExceeded))
        {
            self.bomb = Some(span.clone());
        }
        if hangs_on_nothing
            && self.refused.is_some()
            && let Op::Call(call) = &ir.op
            && CONVERSIONS.contains(&call.name)
            && let Some(EvaluationError::Failed(message)) = self.failure(&span, cost::EXPRESSION_LIMIT)
            && let Some(refused) = &mut self.refused
        {
            refused.push(RefusedConstant { span, function: call.name, message });
        }
        (cost, shape)
    }

    /// Why a part that hangs on nothing has no value, within a budget. What it cost is taken from what trials may cost.
    fn failure(&mut self, span: &Range<usize>, left: u64) -> Option<EvaluationError> {
        let budget = Budget::new(cost::EXPRESSION_LIMIT);
        if left < cost::EXPRESSION_LIMIT {
            return None;
        }
        let part = Expression::compile(self.source.get(span.clone())?, &Scope::default()).ok()?;
        let error = part.evaluate(&Nothing, &budget).err();
        self.trials = self.trials.saturating_sub(budget.spent());
        error
    }

    /// Notes that a variable of the scope, or one of a loop, is read.
    fn reads(&mut self, place: Option<usize>) {
        self.lowest = self.lowest.min(place.map_or(0, |index| index + 1));
    }

    fn op(&mut self, op: &Op) -> (Bounds, Shape) {
        let named = |cost: u8| Bounds::exactly(u64::from(cost));
        // Of an optional that is empty a step costs one less.
        let step = |cost: u8| Bounds { min: u64::from(cost.saturating_sub(1)), max: u64::from(cost) };
        match op {
            Op::Constant(constant) => (Bounds::exactly(0), constant_shape(constant)),
            Op::Variable { slot, cost } => {
                self.reads(None);
                let declared = self.scope.map(|scope| Shape::declared(scope.type_of(*slot).clone(), u64::MAX));
                (named(*cost), declared.unwrap_or_else(|| self.unknown.clone()))
            }
            Op::Local { index, cost, .. } => {
                self.reads(Some(*index));
                (named(*cost), self.locals.get(*index).unwrap_or(&self.unknown).clone())
            }
            Op::Select { operand, field, cost } | Op::OptionalSelect { operand, field, cost } => {
                let (below, shape) = self.part(operand);
                (below.plus(step(*cost)), self.field(&shape, field))
            }
            // An optional that lacks the field costs nothing.
            Op::Has { operand, cost, .. } => (self.part(operand).0.plus(named(*cost).at_most()), Shape::scalar()),
            Op::Declared(_) => {
                self.reads(None);
                (ONE, Shape::scalar())
            }
            Op::Index { operands, cost } | Op::OptionalIndex { operands, cost } => {
                let [(left, shape), (right, _)] = self.both(operands);
                (left.plus(right).plus(step(*cost)), self.inside(&shape))
            }
            Op::Not(operand) => (self.part(operand).0.plus(ONE), Shape::scalar()),
            Op::Negate(operand) => (self.part(operand).0.plus(ONE), Shape::scalar()),
            Op::And(terms) | Op::Or(terms) => (self.logic(terms), Shape::scalar()),
            Op::Conditional(parts) => {
                let [(condition, _), (yes, yes_shape), (no, no_shape)] = parts.each_ref().map(|part| self.part(part));
                (condition.plus(yes.or(no)), yes_shape.or(&no_shape))
            }
            Op::Binary { operator, operands, sized } => self.binary(*operator, operands, *sized),
            Op::In { operands, sized } => {
                let [(left, _), (right, haystack)] = self.both(operands);
                (left.plus(right).plus(if *sized { haystack.size } else { ONE }), Shape::scalar())
            }
            Op::Member { needle, .. } => (self.part(needle).0, Shape::scalar()),
            Op::List(items) => self.collected(cost::LIST, items.iter().map(|(optional, item)| (*optional, None, item))),
            Op::Map(entries) => self.collected(cost::MAP, entries.iter().map(|(optional, [key, value])| (*optional, Some(key), value))),
            Op::Call(call) => self.call(call),
            Op::Comprehension(comprehension) => self.comprehension(comprehension),
            Op::OptionalMap { operands: parts, local, flat } => {
                let [target, body] = &**parts;
                let (target, shape) = self.part(target);
                let (body, result) = self.with_locals(*local, vec![shape.clone()], |estimator| estimator.part(body));
                let most = target.plus(target).plus(body).plus(Bounds::exactly(if *flat { 2 } else { 3 }));
                (Bounds { min: target.min.saturating_add(2), max: most.max }, Shape::of_size(result.size.at_most().or(ONE)))
            }
            Op::OptionalOr { operands, .. } => {
                let [(target, shape), (other, other_shape)] = self.both(operands);
                let result = Shape::of_size(shape.size.or(other_shape.size));
                (Bounds { min: target.min, max: target.max.saturating_add(other.max) }, result)
            }
        }
    }

    fn both(&mut self, parts: &[Ir; 2]) -> [(Bounds, Shape); 2] {
        parts.each_ref().map(|part| self.part(part))
    }

    /// What a field or an item of a value is like.
    fn inside(&self, shape: &Shape) -> Shape {
        shape.item.as_deref().unwrap_or(&self.unknown).clone()
    }

    /// What a field of a value is like.
    fn field(&self, shape: &Shape, name: &str) -> Shape {
        let Type::Object(object) = &shape.is else { return self.inside(shape) };
        object.field(name).map_or_else(|| self.unknown.clone(), |is| Shape::declared(is, object.largest(name).unwrap_or(u64::MAX)))
    }

    /// Any term may decide, and the failure of another, which ended early, is then absorbed.
    fn logic(&mut self, terms: &[Ir]) -> Bounds {
        terms.iter().fold(Bounds::exactly(0), |cost, term| cost.plus(self.part(term).0.at_most()))
    }

    fn binary(&mut self, operator: Operator, operands: &[Ir; 2], sized: bool) -> (Bounds, Shape) {
        let [(left_cost, left), (right_cost, right)] = self.both(operands);
        let both = left_cost.plus(right_cost);
        let joined = left.size.plus(right.size);
        let own = match operator {
            Operator::Equals | Operator::NotEquals => left.size.smaller(right.size).traversal(0.1),
            Operator::Add if sized => joined.traversal(0.1),
            Operator::Add => Bounds { min: 1, max: (joined.max / 10).max(1) },
            Operator::Less | Operator::LessEquals | Operator::Greater | Operator::GreaterEquals if sized => {
                left.size.smaller(right.size).traversal(0.1)
            }
            _ => ONE,
        };
        let shape = match (operator, &left.item, &right.item) {
            (Operator::Add, Some(one), Some(other)) => Shape::list(joined, one.or(other)),
            (Operator::Add, _, _) => Shape::of_size(joined.at_most()),
            _ => Shape::scalar(),
        };
        (both.plus(own), shape)
    }

    /// A list or a map that is written out: what it costs empty, and its parts.
    fn collected<'i>(&mut self, empty: u64, parts: impl Iterator<Item = (bool, Option<&'i Ir>, &'i Ir)>) -> (Bounds, Shape) {
        let (mut cost, mut size) = (Bounds::exactly(empty), Bounds::exactly(0));
        let mut item: Option<Shape> = None;
        for (optional, key, value) in parts {
            if let Some(key) = key {
                cost = cost.plus(self.part(key).0);
            }
            let (value, shape) = self.part(value);
            cost = cost.plus(value);
            // Of two equal keys one stays.
            size = size.plus(if optional || key.is_some() { ONE.at_most() } else { ONE });
            item = Some(item.map_or_else(|| shape.clone(), |item| item.or(&shape)));
        }
        (cost, Shape::of_items(size, Some(Rc::new(item.unwrap_or_else(Shape::scalar))), empty == cost::LIST))
    }

    fn call(&mut self, call: &Call) -> (Bounds, Shape) {
        let (mut cost, mut shapes) = (Bounds::exactly(0), Vec::with_capacity(call.arguments.len()));
        for argument in &call.arguments {
            let (argument, shape) = self.part(argument);
            cost = cost.plus(argument);
            shapes.push(shape);
        }
        let outcomes = call.candidates.iter().map(|function| called(function, call, &shapes));
        let (own, shape) =
            outcomes.reduce(|(cost, shape), (other, its)| (cost.or(other), shape.or(&its))).unwrap_or((ONE, self.unknown.clone()));
        (cost.plus(own), shape)
    }

    fn comprehension(&mut self, comprehension: &Comprehension) -> (Bounds, Shape) {
        let (range_cost, range) = self.part(&comprehension.range);
        let item = self.inside(&range);
        // A map gives its keys.
        let variables = match (comprehension.two, &range.item) {
            (false, Some(_)) if range.list => vec![item.clone()],
            (false, Some(_)) => vec![item.or(&self.unknown.clone())],
            (false, None) => vec![self.unknown.clone()],
            (true, _) => vec![self.unknown.clone(), item.clone()],
        };
        self.open += 1;
        self.loops = self.loops.max(self.open);
        let (filter, (body, result)) = self.with_locals(comprehension.local, variables, |estimator| {
            let filter = comprehension.filter.as_ref().map(|filter| estimator.part(filter).0);
            (filter, estimator.part(&comprehension.body))
        });
        self.open -= 1;
        let times = range.size;
        let kept_items = range.item.clone().filter(|_| range.list);
        let each = |units: u64| body.plus(Bounds::exactly(units));
        // What is kept depends on a condition, if there is one.
        let kept = |units: u64| match filter {
            Some(filter) => filter.plus(each(units).at_most()),
            None => each(units),
        };
        let left = if filter.is_some() { times.at_most() } else { times };
        let (cost, shape) = match comprehension.form {
            Form::All | Form::Exists => {
                let condition = if comprehension.form == Form::All { 2 } else { 3 };
                let turn = each(condition + 1);
                // One item may decide, and the failures of others are then absorbed.
                let least = if times.min > 0 { condition + 1 } else { 0 };
                let most = times.max.saturating_mul(turn.max).saturating_add(condition);
                (Bounds { min: least, max: most }.plus(ONE), Shape::scalar())
            }
            Form::ExistsOne => (times.times(body.plus(Bounds { min: 0, max: 2 })).plus(Bounds::exactly(2)), Shape::scalar()),
            Form::Filter => {
                let turn = body.plus(Bounds { min: 0, max: 3 + cost::LIST });
                (times.times(turn).plus(ONE), Shape::of_items(times.at_most(), kept_items, range.list))
            }
            Form::List => (times.times(kept(mapped(&comprehension.body))).plus(ONE), Shape::list(left, result)),
            Form::Map => (times.times(kept(3)).plus(ONE), Shape::list(left, result)),
            Form::Entry => {
                let size = left.times(result.size).at_most();
                (times.times(kept(2)).plus(ONE), Shape::of_items(size, result.item, false))
            }
            Form::SortBy => {
                let turns = times.times(each(mapped(&comprehension.body))).plus(Bounds::exactly(3));
                let compared = if comprehension.body.is_open() { pairs(times).or(ONE) } else { pairs(times) };
                (turns.plus(compared), Shape::of_items(times, range.item.clone(), true))
            }
        };
        (range_cost.plus(cost), shape)
    }

    fn with_locals<T>(&mut self, base: usize, variables: Vec<Shape>, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.locals.truncate(base);
        self.locals.extend(variables);
        let result = inner(self);
        self.locals.truncate(base);
        result
    }
}

/// What cel-go charges for comparing each item with each other one, and for the list that is made.
fn pairs(size: Bounds) -> Bounds {
    let square = size.times(size);
    let comparisons = Bounds { min: square.min.saturating_mul(2), max: square.max.saturating_mul(2).saturating_add(square.max / 10) };
    comparisons.plus(Bounds::exactly(1 + cost::LIST))
}

/// What a call of a row costs besides its arguments, and what it gives.
fn called(function: &Function, call: &Call, shapes: &[Shape]) -> (Bounds, Shape) {
    let size = |position: usize| shapes.get(position).map_or(ONE, |shape| shape.size);
    let made = Bounds::exactly(1 + cost::LIST);
    let number = |position: usize| match call.arguments.get(position).map(|argument| &argument.op) {
        Some(Op::Constant(Constant::Int(number))) => Bounds::exactly(u64::try_from(*number).unwrap_or(0)),
        _ => Bounds { min: 0, max: u64::MAX },
    };
    let all = shapes.iter().fold(Bounds::exactly(0), |all, shape| all.plus(shape.size));
    let own = match function.cost {
        // By whether the overload is known before the evaluation: the functions say how.
        _ if call.open && matches!(function.name, "string" | "bytes") => ONE,
        _ if call.open && function.name == "sort" => pairs(size(0)).or(ONE),
        _ if function.name == "validate" => Bounds { min: 1, max: cost::regex(size(1).max, named_format::LONGEST_PATTERN) },
        Cost::Call => ONE,
        Cost::Size(position, factor) => size(position).traversal(factor * 0.1),
        Cost::Search => size(0).traversal(0.1).times(size(1).traversal(0.1)),
        Cost::Regex => size(0).plus(ONE).traversal(0.1).times(size(1).traversal(0.25)),
        // What charges itself, and any sum of its own.
        _ => match function.name {
            "lists.range" => number(0).plus(made),
            "distinct" | "sort" => pairs(size(0)),
            "reverse" => size(0).plus(made),
            "flatten" if shapes.len() == 2 => size(0).times(number(1)).plus(made).plus(Bounds { min: 0, max: u64::MAX }),
            "sets.contains" | "sets.intersects" => size(0).times(size(1)).plus(ONE),
            "sets.equivalent" => size(0).times(size(1)).times(Bounds::exactly(2)).plus(ONE),
            // Nothing charges itself more than each item with each other one, whatever is inside.
            _ => Bounds { min: 0, max: deep(shapes).times(all.plus(ONE)).times(Bounds::exactly(3)).plus(made).max },
        },
    };
    let same = || shapes.first().cloned().unwrap_or_else(Shape::scalar);
    let shape = match (function.name, &function.result) {
        ("lists.range", _) => Shape::list(number(0), Shape::scalar()),
        ("sort" | "reverse", Type::List(_)) => same(),
        ("dyn", _) => same(),
        ("distinct" | "slice", Type::List(_)) => Shape { size: same().size.at_most(), ..same() },
        (_, Type::Bool | Type::Int | Type::UInt | Type::Double | Type::Timestamp | Type::Duration | Type::Type(_) | Type::Null) => {
            Shape::scalar()
        }
        // A replacement may stand once before each character.
        _ => Shape::of_size(Bounds { min: 0, max: deep(shapes).plus(ONE).times(all.plus(ONE)).max }),
    };
    (own, shape)
}
