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

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sensible_costs_what_was_estimated(source in sensible()) {
        if let Some((Estimate { min, max, .. }, cost)) = both(&source) {
            prop_assert!((min..=max).contains(&cost), "{}: {} is not from {} to {}", source, cost, min, max);
        }
    }
}
