//! What the checker finds an expression to be.

use crate::cel::types::{LIST_OF_INT, LIST_OF_STRING};
use crate::cel::{Expression, Scope, Type};

/// `object` of any type, `numbers: list(int)`, `names: list(string)`, `labels: map(string, string)`, `when: timestamp`.
fn scope() -> Scope {
    Scope::new(&["object"])
        .with_type("numbers", LIST_OF_INT)
        .with_type("names", LIST_OF_STRING)
        .with_type("labels", Type::map(Type::String, Type::String))
        .with_type("when", Type::Timestamp)
}

#[test]
fn types_are_found_through_functions_operators_and_loops() {
    for (source, is) in [
        ("numbers.min()", "int"),
        ("names.max()", "string"),
        ("[1.5, 2.5].sum()", "double"),
        ("object.list.min()", "dyn"),
        ("numbers[0]", "int"),
        ("labels['a']", "string"),
        ("labels.?a", "optional_type(string)"),
        ("labels[?'a'].orValue('b')", "string"),
        ("object.a.b[0].c", "dyn"),
        ("object.?a.b", "optional_type(dyn)"),
        ("object.?a.orValue(false)", "dyn"),
        ("names.map(n, n.size())", "list(int)"),
        ("names.filter(n, n != '')", "list(string)"),
        ("labels.map(k, k + '!')", "list(string)"),
        ("names.transformMap(i, n, n.size())", "map(int, int)"),
        ("labels.transformMapEntry(k, v, {v: k})", "map(string, string)"),
        ("labels.transformList(k, v, v.size())", "list(int)"),
        ("names.sortBy(n, n.size())", "list(string)"),
        ("[[1], [2]].flatten()", "list(int)"),
        ("numbers + [1]", "list(int)"),
        ("[]", "list(dyn)"),
        ("{}", "map(dyn, dyn)"),
        ("[] + numbers", "list(int)"),
        ("[[], [1]]", "list(list(int))"),
        ("true ? [] : names", "list(string)"),
        ("when - when", "duration"),
        ("when + duration('1h')", "timestamp"),
        ("type(1)", "type(int)"),
        ("dyn(1)", "dyn"),
        ("optional.of(1)", "optional_type(int)"),
        ("optional.none().orValue(1)", "int"),
        ("[optional.of(1)].unwrapOpt()", "list(int)"),
        ("optional.of(1).optMap(x, string(x))", "optional_type(string)"),
        ("optional.of(1).optFlatMap(x, optional.of(string(x)))", "optional_type(string)"),
        ("names.exists(n, n in numbers.map(i, string(i)))", "bool"),
        ("'%d of %s'.format([1, names])", "string"),
        ("1 < 2.5", "bool"),
        ("null", "null"),
        ("has(object.a) ? object.a : 1", "dyn"),
        ("int('1') + 1", "int"),
    ] {
        let expression = Expression::compile(source, &scope()).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(expression.result_type().to_string(), is, "{source}");
    }
}

#[test]
fn every_mistake_of_one_text_is_told_in_order() {
    let error = Expression::compile("numbers == names ||\n  labels.a == 1", &scope()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "1:1: found no matching overload for '_==_' applied to '(list(int), list(string))'; \
         2:3: found no matching overload for '_==_' applied to '(string, int)'"
    );
    assert_eq!(error.more.len(), 1);
}

#[test]
fn what_needs_a_release_is_told_with_its_place() {
    let expression = Expression::compile("names.sort() == names && labels.?a.hasValue()", &scope()).unwrap();
    let needs: Vec<_> = expression.needs().iter().map(|need| (need.name, need.since, need.span.clone())).collect();
    assert_eq!(needs, [("sort", "1.34", 0..12), (".?", "1.28", 25..34), ("hasValue", "1.28", 25..45)]);
    assert_eq!(Expression::compile("names.all(a, names.all(b, a == b))", &scope()).unwrap().loops(), 2);
}

#[test]
fn a_type_that_doubles_at_each_level_is_refused_at_once() {
    let source = format!("[1]{}", ".map(x, {x: x})".repeat(60));
    let error = Expression::compile(&source, &scope()).unwrap_err();
    assert!(error.message.starts_with("the type of this has more than 1000 parts"), "{error}");
}
