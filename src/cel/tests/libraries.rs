//! The libraries of Kubernetes' own types: what the corpus cannot hold, because the API server has no bound there or no answer.

use proptest::prelude::*;

use super::{Fixture, evaluate, scope};
use crate::cel::{Budget, Expression, Value};

#[test]
fn a_value_is_four_words() {
    assert_eq!(size_of::<Value<'_>>(), 32);
}

#[test]
fn a_quantity_of_too_many_digits_is_refused_before_they_are_written() {
    let refused = Err("the quantity has more than 10000 digits".to_owned());
    assert_eq!(evaluate("quantity('1e2000000000').add(1)"), refused);
    assert_eq!(evaluate("quantity('1').sub(quantity('1e10000'))"), refused);
    assert_eq!(evaluate("quantity('1234567890123456789e20000')"), refused);
    assert_eq!(evaluate("isQuantity('1234567890123456789e20000')"), refused);
    assert_eq!(evaluate(&format!("quantity('{}')", "9".repeat(10_001))), refused);
    assert_eq!(evaluate("quantity('1e2000000000').add(0)"), Ok("kubernetes.Quantity: \"100e1999999998\"".to_owned()));
    assert_eq!(evaluate("quantity('1e2000000000').isGreaterThan(quantity('1e1999999999'))"), Ok("bool: true".to_owned()));
    assert_eq!(evaluate("quantity('1e9980').add(1).isGreaterThan(quantity('1e9980'))"), Ok("bool: true".to_owned()));
}

#[test]
fn the_digits_of_a_large_quantity_are_charged() {
    let end = |source: &str| {
        let (expression, fixture, budget) = (Expression::compile(source, &scope()).unwrap(), Fixture::new(), Budget::new(1_000_000));
        (expression.evaluate(&fixture.activation(), &budget).map(|value| value.as_int()).map_err(|error| error.to_string()), budget.spent())
    };
    let exceeded = Err("operation cancelled: actual cost limit exceeded".to_owned());
    assert_eq!(end("sign(quantity('12345678901234567890e50'))"), (Ok(Some(1)), 4));
    assert_eq!(end("sign(quantity('12345678901234567890e9000'))"), (Ok(Some(1)), 4 + 902));
    assert_eq!(end("lists.range(100000).map(i, quantity('1e9000').add(i + 1)).size()").0, exceeded);
    assert_eq!(end("lists.range(100000).filter(i, isQuantity('12345678901234567890e9000')).size()").0, exceeded);
}

#[test]
fn more_parameters_than_go_reads_are_none() {
    let parameters = |count: usize| evaluate(&format!("url('/?' + ['{}'].map(s, s)[0]).getQuery().size()", vec!["a"; count].join("&")));
    // The text of an expression is shorter than ten thousand parameters: they are joined.
    assert_eq!(parameters(5_000), Ok("int: 1".to_owned()));
    let joined = |parts: usize| evaluate(&format!("url('/?' + lists.range({parts}).map(i, 'a').join('&')).getQuery().size()"));
    assert_eq!((joined(10_000), joined(10_001)), (Ok("int: 1".to_owned()), Ok("int: 0".to_owned())));
}

/// Recorded from an environment with the library, which the ones of the corpus do not have.
#[test]
fn keys_are_escaped_for_a_json_patch() {
    let escaped = |key: &str| evaluate(&format!("jsonpatch.escapeKey('{key}')"));
    for (key, wanted) in [("", ""), ("a/b~c", "a~1b~0c"), ("~1", "~01"), ("//~~", "~1~1~0~0"), ("é/é~", "é~1é~0")] {
        assert_eq!(escaped(key), Ok(format!("string: \"{wanted}\"")), "{key}");
    }
    assert_eq!(evaluate("jsonpatch.escapeKey([dyn(1)][0])"), Err("no such overload: jsonpatch.escapeKey(int)".to_owned()));
    let error = evaluate("jsonpatch.escapeKey(1)").unwrap_err();
    assert!(error.contains("found no matching overload for 'jsonpatch.escapeKey' applied to '(int)'"), "{error}");
    let cost = |length: usize| {
        let source = format!("jsonpatch.escapeKey('{}')", "~".repeat(length));
        let (expression, fixture, budget) = (Expression::compile(&source, &scope()).unwrap(), Fixture::new(), Budget::new(1_000));
        expression.evaluate(&fixture.activation(), &budget).unwrap();
        budget.spent()
    };
    assert_eq!((cost(0), cost(1), cost(10), cost(11), cost(100)), (0, 1, 1, 2, 10));
}

#[test]
fn the_authorizer_is_refused_with_the_reason() {
    for (source, name) in [
        ("authorizer.path('/healthz').check('get').allowed()", "authorizer"),
        ("authorizer.requestResource.check('update').allowed()", "authorizer"),
    ] {
        let error = Expression::compile(source, &scope()).unwrap_err().message;
        let wanted = format!(
            "undeclared reference to '{name}' (in container ''): the authorizer of Kubernetes asks the API server with a SubjectAccessReview"
        );
        assert!(error.starts_with(&wanted), "{source}: {error}");
    }
    // Its methods alone say nothing of it.
    for source in ["object.metadata.name.allowed()", "check('get')", "name.startsWith('a')", "group == 'a'"] {
        let error = Expression::compile(source, &scope()).unwrap_err().message;
        assert!(error.starts_with("undeclared reference to '") && !error.contains("authorizer of Kubernetes"), "{source}: {error}");
    }
    // The names are free for the variables of loops.
    assert_eq!(evaluate("[1].all(authorizer, authorizer == 1)"), Ok("bool: true".to_owned()));
}

/// The value of `source`, in which `x` is a text.
fn of_text(source: &str, text: &str) -> Result<String, String> {
    let expression = Expression::compile(&format!("[object.metadata.name].map(x, {source})[0]"), &scope()).unwrap();
    let fixture = Fixture::named(text);
    let value = expression.evaluate(&fixture.activation(), &Budget::new(1_000_000)).map_err(|error| error.to_string())?;
    Ok(value.to_json().unwrap().to_string())
}

/// Texts that are nearly what the parsers read.
fn near_misses() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("https://".to_owned()),
        Just("%25".to_owned()),
        Just("::".to_owned()),
        Just("::ffff:".to_owned()),
        Just("1.2.3".to_owned()),
        Just("-rc.1+b".to_owned()),
        Just("Gi".to_owned()),
        Just("e-3".to_owned()),
        "[0-9]{1,20}",
        "[a-zA-Z0-9%:/?#@.+_é-]{1,3}",
        "\\PC",
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// A text is what `isX` says it is, whatever it holds, and nothing panics.
    #[test]
    fn what_is_said_to_be_of_a_type_can_be_read(text in near_misses()) {
        for (is, read) in [
            ("isURL(x)", "url(x).getEscapedPath()"),
            ("isIP(x)", "string(ip(x))"),
            ("isCIDR(x)", "string(cidr(x).masked())"),
            ("isQuantity(x)", "quantity(x).add(1)"),
            ("isSemver(x)", "semver(x)"),
            ("isSemver(x, true)", "semver(x, true)"),
        ] {
            // A fragment is looked at by `url` only.
            if !text.contains('#') {
                prop_assert_eq!(of_text(is, &text), Ok(of_text(read, &text).is_ok().to_string()), "{} of {:?}", is, text);
            }
        }
        prop_assert_eq!(of_text("format.uri().validate(x).hasValue() != isURL(x)", &text), Ok("true".to_owned()));
    }

    /// Addition and subtraction are exact: they undo each other, whatever the suffixes are.
    #[test]
    fn adding_and_subtracting_a_quantity_gives_it_back(left in "-?[0-9]{1,25}(\\.[0-9]{1,9})?(n|u|m|k|M|G|T|P|E)?", right in "[0-9]{1,25}(Ki|Mi|Gi|e3|e-2)?") {
        let source = format!("quantity('{left}').add(quantity('{right}')).sub(quantity('{right}')).compareTo(quantity('{left}'))");
        prop_assert_eq!(evaluate(&source), Ok("int: 0".to_owned()));
    }
}
