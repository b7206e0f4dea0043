//! What is estimated holds for what is evaluated.

use proptest::prelude::*;

use super::{Fixture, VARIABLES, expressions, scope, sensible};
use crate::cel::{Budget, Estimate, Expression};

fn estimate(source: &str) -> Estimate {
    Expression::compile(source, &scope()).unwrap().estimate(VARIABLES.len() as u64)
}

/// The estimate and the cost of an evaluation that succeeds, if one does.
fn both(source: &str) -> Option<(Estimate, u64)> {
    let expression = Expression::compile(source, &scope()).ok()?;
    let fixture = Fixture::new();
    let activation = fixture.activation();
    // What the policy's own variables cost is no part of the estimate: they are known the second time.
    expression.evaluate(&activation, &Budget::new(1_000_000)).ok()?;
    let budget = Budget::new(1_000_000);
    expression.evaluate(&activation, &budget).ok()?;
    Some((expression.estimate(VARIABLES.len() as u64), budget.spent()))
}

#[test]
fn every_expression_of_the_corpus_costs_what_was_estimated() {
    let mut wrong = Vec::new();
    let mut compared = 0;
    for source in expressions() {
        if let Some((Estimate { min, max, .. }, cost)) = both(&source) {
            compared += 1;
            if !(min..=max).contains(&cost) {
                wrong.push(format!("{source}: {cost} is not from {min} to {max}"));
            }
        }
    }
    assert!(compared > 4000, "{compared} were compared");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_least_and_the_most_grow_with_what_is_known() {
    let bounds = |source: &str| {
        let estimate = estimate(source);
        (estimate.min, estimate.max)
    };
    assert_eq!(bounds("1 + 2"), (1, 1));
    assert_eq!(bounds("object.metadata.n == 1 && object.spec.x == 2"), (0, 8), "a term may decide alone");
    assert_eq!(bounds("[1, 2, 3].map(x, x)"), (40, 40));
    assert_eq!(bounds("[1, 2, 3].all(x, x > 0)"), (4, 18), "an item may decide alone");
    assert_eq!(bounds("lists.range(1000).map(x, lists.range(10).map(y, y))"), (165_012, 165_012));
    assert_eq!(bounds("[3, 1].sort()"), (19, 19));
    let items = VARIABLES.len() as u64;
    assert_eq!(bounds("object.a.map(x, 1)"), (2, 3 + items * 2), "a list of one constant is itself one");
    assert_eq!(bounds("object.a.map(x, x)"), (2, 3 + items * 13));
    assert_eq!(estimate("object.a.all(x, x.b.all(y, y.c.exists(z, z == 1))) && [1].all(x, x > 0)").loops, 3);
}

#[test]
fn a_bomb_is_found_with_its_place() {
    let bomb = |source: &str| estimate(source).bomb.map(|bytes| source[bytes].to_owned());
    assert_eq!(bomb("object.a || lists.range(1000000).all(x, x > 0)"), Some("lists.range(1000000)".to_owned()));
    let nested = "lists.range(300).map(a, lists.range(300).map(b, a + b)).size()";
    assert_eq!(bomb(nested), Some(nested.trim_end_matches(".size()").to_owned()));
    assert_eq!(estimate("true || lists.range(1000000).size() > 0").min, 0, "it may never be reached");
    assert_eq!(bomb("object.spec.containers.all(a, object.spec.containers.all(b, a != b))"), None);
    assert_eq!(bomb("lists.range(900000).size()"), None);
}

#[test]
fn a_loop_that_hangs_on_nothing_is_tried() {
    let bomb = |source: &str| estimate(source).bomb.map(|bytes| source[bytes].to_owned());
    let nested = "lists.range(2000).all(x, lists.range(2000).all(y, x * y >= 0))";
    assert_eq!(bomb(nested).as_deref(), Some(nested));
    let guarded = format!("object.metadata.name == 'a' || {nested}");
    assert_eq!(bomb(&guarded).as_deref(), Some(nested));
    let inner = format!("object.spec.containers.exists(c, {nested} && c.name == '')");
    assert_eq!(bomb(&inner).as_deref(), Some(nested));
    let ten = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
    let six = ["a", "b", "c", "d", "e", "f"]
        .iter()
        .rev()
        .fold("a + b + c + d + e + f >= 0".to_owned(), |body, name| format!("{ten}.all({name}, {body})"));
    assert_eq!(bomb(&six).as_deref(), Some(six.as_str()));
    for sound in [
        "lists.range(2000).all(x, lists.range(2000).all(y, x > 5))",
        "lists.range(2000).exists(x, lists.range(2000).exists(y, x == y))",
        "lists.range(2000).all(x, lists.range(2000).all(y, object.metadata.n == x))",
        "object.spec.containers.all(c, lists.range(900).all(x, lists.range(900).all(y, c.n == x)))",
    ] {
        assert_eq!(bomb(sound), None, "{sound}");
    }
}

#[test]
fn refused_constants_are_found_with_their_places() {
    let refused = |source: &str| {
        let found = Expression::compile(source, &scope()).unwrap().refused_constants();
        found.into_iter().map(|constant| (constant.function, source[constant.span].to_owned())).collect::<Vec<_>>()
    };
    let source = "[1].all(x, quantity('1Gx').isInteger()) || ip('x').family() == 4 || quantity('1').isInteger()";
    assert_eq!(refused(source), [("quantity", "quantity('1Gx')".to_owned()), ("ip", "ip('x')".to_owned())]);
    assert_eq!(refused("quantity(object.metadata.name).isInteger() && isQuantity('x')"), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sensible_costs_what_was_estimated(source in sensible()) {
        if let Some((Estimate { min, max, .. }, cost)) = both(&source) {
            prop_assert!((min..=max).contains(&cost), "{}: {} is not from {} to {}", source, cost, min, max);
        }
    }
}
