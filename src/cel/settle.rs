//! What variables that never change decide, decided once. The `params` of our own policies are the settings, so most rules ask at each
//! request what was known when they were loaded: whether there is a mesh, which audiences are listed.
//!
//! A part that reads nothing but those becomes its value, and costs nothing from then on; what the value leaves of `&&`, `||` and
//! `?:` around it is all that is evaluated. A part that fails is left as it is, so that it fails where it is needed.

use super::collections::key_order;
use super::cost::{Budget, EXPRESSION_LIMIT};
use super::error::EvaluationError;
use super::evaluate::{Expression, Frame, Outcome, Variables};
use super::ir::{Constant, Ir, Op};
use super::value::Value;
use crate::object::Node;

/// Most items of a list or map that are kept as a constant; a longer one is read where it stands.
const MOST: usize = 64;

/// How deep lists and maps are kept.
const DEEPEST: usize = 4;

/// The variables that are known: one by the tree it stands in, and those declared ones that came to a constant themselves.
#[derive(Debug)]
pub struct Known<'a> {
    slot: usize,
    value: Node<'a>,
    constants: Vec<(usize, Constant)>,
}

impl<'a> Known<'a> {
    /// Of the variable of a slot its value.
    #[must_use]
    pub fn new(slot: usize, value: Node<'a>) -> Self {
        Self { slot, value, constants: Vec::new() }
    }

    /// Adds the variable of another slot, if what it is declared as is settled and came to a constant.
    pub fn declare(&mut self, slot: usize, declared: &Expression) {
        if let Op::Constant(constant) = &declared.root().op {
            self.constants.push((slot, constant.clone()));
        }
    }

    fn is_known(&self, slot: usize) -> bool {
        slot == self.slot || self.constant(slot).is_some()
    }

    fn constant(&self, slot: usize) -> Option<&Constant> {
        self.constants.iter().find(|(known, _)| *known == slot).map(|(_, constant)| constant)
    }
}

impl<'a> Variables<'a> for &'a Known<'_> {
    fn get(&self, slot: usize, _budget: &Budget<'_>) -> Outcome<'a> {
        if slot == self.slot {
            return Ok(Value::from_node(self.value));
        }
        self.constant(slot).map(Constant::value).ok_or_else(|| EvaluationError::failed("a variable that is not known"))
    }
}

impl Expression {
    /// Puts what is known in the place of the parts that read nothing else.
    pub fn settle(&mut self, known: &Known<'_>) {
        if self.slots().iter().any(|slot| known.is_known(*slot)) {
            settle(known, self.root_mut(), 0);
        }
    }

    /// Its answer, if nothing needs to be evaluated for it.
    #[must_use]
    pub fn settled(&self) -> Option<bool> {
        truth(self.root())
    }
}

fn truth(ir: &Ir) -> Option<bool> {
    if let Op::Constant(Constant::Bool(value)) = ir.op { Some(value) } else { None }
}

/// Settles a part that stands inside so many loop variables.
fn settle(known: &Known<'_>, ir: &mut Ir, outside: usize) {
    match &ir.op {
        Op::Constant(_) => return,
        // The tree by itself stays: all of it would be copied to wherever it is named.
        Op::Variable { slot, .. } => {
            if let Some(constant) = known.constant(*slot) {
                ir.op = Op::Constant(constant.clone());
            }
            return;
        }
        _ => {}
    }
    if reads_only(ir, known, outside)
        && let Some(constant) = value(known, ir, outside)
    {
        ir.op = Op::Constant(constant);
        return;
    }
    match &mut ir.op {
        Op::Comprehension(comprehension) => {
            settle(known, &mut comprehension.range, outside);
            let inside = comprehension.local + if comprehension.two { 2 } else { 1 };
            for part in comprehension.filter.iter_mut().chain([&mut comprehension.body]) {
                settle(known, part, inside);
            }
        }
        Op::OptionalMap { operands, local, .. } => {
            let [target, body] = &mut **operands;
            settle(known, target, outside);
            settle(known, body, *local + 1);
        }
        op => {
            let settled: Result<(), std::convert::Infallible> = op.try_each_part(&mut |part| {
                settle(known, part, outside);
                Ok(())
            });
            let Ok(()) = settled;
        }
    }
    let op = std::mem::replace(&mut ir.op, Op::Constant(Constant::Null));
    ir.op = simplified(op);
}

/// Whether a part reads no variable but those that are known, and none of the loops around it.
fn reads_only(ir: &mut Ir, known: &Known<'_>, outside: usize) -> bool {
    match &mut ir.op {
        Op::Variable { slot, .. } => known.is_known(*slot),
        Op::Local { index, .. } => *index >= outside,
        Op::Declared(_) => false,
        op => op.try_each_part(&mut |part| if reads_only(part, known, outside) { Ok(()) } else { Err(()) }).is_ok(),
    }
}

/// The value of a part, if it has one that a constant can be.
fn value(known: &Known<'_>, ir: &Ir, outside: usize) -> Option<Constant> {
    let budget = Budget::new(EXPRESSION_LIMIT);
    let mut frame = Frame::within(&known, &budget, outside);
    constant(&frame.evaluate(ir).ok()?, DEEPEST)
}

fn constant(value: &Value<'_>, depth: usize) -> Option<Constant> {
    let below = depth.checked_sub(1)?;
    match value {
        Value::List(list) if list.len() <= MOST => {
            list.iter().map(|item| constant(&item, below)).collect::<Option<Box<[_]>>>().map(Constant::List)
        }
        Value::Map(map) if map.len() <= MOST => {
            let entries = map.sorted_entries();
            let mut entries =
                entries.iter().map(|(key, value)| Some((constant(key, below)?, constant(value, below)?))).collect::<Option<Vec<_>>>()?;
            entries.sort_by(|(one, _), (other, _)| key_order(&one.value(), &other.value()));
            Some(Constant::Map(entries.into()))
        }
        Value::List(_) | Value::Map(_) => None,
        scalar => Constant::of(scalar),
    }
}

/// What is left of a part whose own parts are settled. CEL's `&&` and `||` are decided by one side whatever the other one is.
fn simplified(op: Op) -> Op {
    let bool = |value| Op::Constant(Constant::Bool(value));
    match op {
        Op::Not(operand) => truth(&operand).map_or_else(|| Op::Not(operand), |value| bool(!value)),
        Op::And(terms) => undecided(terms, false).map_or_else(bool, Op::And),
        Op::Or(terms) => undecided(terms, true).map_or_else(bool, Op::Or),
        Op::Conditional(parts) => {
            let [condition, yes, no] = *parts;
            match truth(&condition) {
                Some(true) => yes.op,
                Some(false) => no.op,
                None => Op::Conditional(Box::new([condition, yes, no])),
            }
        }
        // As `fold` does with a list that was written there.
        Op::In { operands, sized } => match *operands {
            [needle, Ir { op: Op::Constant(Constant::List(members)), .. }]
                if !members.is_empty() && members.iter().all(|member| matches!(member, Constant::String(_))) =>
            {
                Op::Member { needle: Box::new(needle), members }
            }
            operands => Op::In { operands: Box::new(operands), sized },
        },
        op => op,
    }
}

/// The terms that still decide, or what they come to without any.
fn undecided(terms: Box<[Ir]>, deciding: bool) -> Result<Box<[Ir]>, bool> {
    if terms.iter().any(|term| truth(term) == Some(deciding)) {
        return Err(deciding);
    }
    let left: Box<[Ir]> = terms.into_iter().filter(|term| truth(term).is_none()).collect();
    if left.is_empty() { Err(!deciding) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::super::scope::Scope;
    use super::*;
    use crate::object::Object;

    struct Both<'a>([Node<'a>; 2]);

    impl<'a> Variables<'a> for Both<'a> {
        fn get(&self, slot: usize, _budget: &Budget<'_>) -> Outcome<'a> {
            self.0.get(slot).map(|node| Value::from_node(*node)).ok_or_else(|| EvaluationError::failed("no such variable"))
        }
    }

    const PARAMS: &str = r#"{"mesh":{"kind":"none"},"audiences":{"vault":{"maxSeconds":600}},"names":["a","b"],"empty":[],"least":3}"#;
    const OBJECT: &str = r#"{"name":"a","seconds":700,"items":[{"name":"a"},{"name":"c"}]}"#;

    /// What an expression gives, before and after it was settled, and whether nothing was left of it to evaluate.
    fn settled(source: &str) -> (String, Option<bool>) {
        let [params, object] = [PARAMS, OBJECT].map(|text| Object::from_json(text).unwrap());
        let scope = Scope::new(&["params", "object"]);
        let answer = |expression: &Expression| {
            let budget = Budget::new(EXPRESSION_LIMIT);
            match expression.evaluate(&Both([params.root(), object.root()]), &budget) {
                Ok(value) => value.to_json().map_or_else(|error| error.to_string(), |json| json.to_string()),
                Err(error) => error.to_string(),
            }
        };
        let mut expression = Expression::compile(source, &scope).unwrap();
        let before = answer(&expression);
        expression.settle(&Known::new(0, params.root()));
        assert_eq!(answer(&expression), before, "{source}");
        (before, expression.settled())
    }

    /// A variable that reads the settings alone is a constant to all that read it.
    #[test]
    fn declared_variables_that_come_to_a_constant_are_known_too() {
        let [params, object] = [PARAMS, OBJECT].map(|text| Object::from_json(text).unwrap());
        let scope = Scope::new(&["params", "object", "variables.known", "variables.other"]);
        let compiled = |source: &str| Expression::compile(source, &scope).unwrap();
        let mut known = Known::new(0, params.root());
        for (slot, source) in [(2, "params.names + ['c']"), (3, "object.name")] {
            let mut declared = compiled(source);
            declared.settle(&known);
            known.declare(slot, &declared);
        }
        assert_eq!(known.constants.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), [2]);
        for (source, decided) in [
            ("'c' in variables.known && variables.known.size() == 3", Some(true)),
            ("variables.known.exists(name, name == 'd') && object.absent", Some(false)),
            ("object.name in variables.known", None),
            ("variables.other == 'a'", None),
        ] {
            let mut expression = compiled(source);
            expression.settle(&known);
            assert_eq!(expression.settled(), decided, "{source}");
        }
        let mut expression = compiled("object.items.exists(item, item.name in variables.known && item.name == 'c')");
        expression.settle(&known);
        let value = expression.evaluate(&Both([params.root(), object.root()]), &Budget::new(EXPRESSION_LIMIT)).unwrap();
        assert_eq!(value.as_bool(), Some(true), "no variable is asked for any more");
    }

    #[test]
    fn what_the_variable_decides_is_decided_once() {
        for (source, decided) in [
            ("params.mesh.kind == 'linkerd' && object.name == 'a'", Some(false)),
            ("!(params.mesh.kind == 'linkerd' && object.name == 'a')", Some(true)),
            ("params.mesh.kind == 'none' && object.name == 'a'", None),
            ("object.absent == 1 || params.least > 2", Some(true)),
            ("params.mesh.kind == 'none' ? true : object.absent", Some(true)),
            ("object.name in params.empty", None),
            ("object.name in params.names", None),
            ("params.names.all(name, name.size() == 1)", Some(true)),
        ] {
            assert_eq!(settled(source).1, decided, "{source}");
        }
    }

    #[test]
    fn what_it_does_not_decide_gives_what_it_gave() {
        for (source, value) in [
            ("object.seconds <= params.audiences[?'vault'].?maxSeconds.orValue(3600)", "false"),
            ("object.items.exists(item, item.name in params.names)", "true"),
            ("object.items.map(item, params.names.exists(name, name == item.name))", "[true,false]"),
            ("object.items.filter(item, params.least == 3 && item.name == 'c').size()", "1"),
            ("params.names + [object.name]", r#"["a","b","a"]"#),
            ("params.audiences.map(audience, audience + object.name)", r#"["vaulta"]"#),
            ("optional.of(object.name).optMap(name, name in params.names).orValue(false)", "true"),
            ("params.absent == 1 || object.name == 'a'", "true"),
            ("params.absent == 1 && object.name == 'a'", "no such key: absent"),
            ("params.mesh", r#"{"kind":"none"}"#),
        ] {
            let (given, decided) = settled(source);
            assert_eq!((given.as_str(), decided), (value, None), "{source}");
        }
    }
}
