//! Limits: size, depth, stack, cost, deadline; errors that are absorbed and those that are not; places of errors.

use std::cell::Cell;

use proptest::prelude::*;

use super::{Fixture, evaluate, scope};
use crate::cel::{Budget, EvaluationError, Expression, Scope, Value, Variables};

/// Compiles and evaluates on a stack as small as a worker's.
pub(super) fn on_a_small_stack(source: String) -> Result<String, String> {
    std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(move || evaluate(&source)).unwrap().join().unwrap()
}

#[test]
fn deep_and_long_expressions_are_refused_and_never_abort() {
    let crashes = [
        format!("1{}", "+1".repeat(3000)),
        format!("object{}", ".?a".repeat(3000)),
        format!("object{}", "['a']".repeat(3000)),
        format!("'a'{}", ".size()".repeat(2000)),
        format!("object{}", ".a".repeat(8000)),
        format!("{}1{}", "[".repeat(3000), "]".repeat(3000)),
        format!("{}1{}", "(".repeat(3000), ")".repeat(3000)),
        format!("{}1", "true ? 1 : ".repeat(1000)),
        format!("{}1{}", "{'a': ".repeat(1000), "}".repeat(1000)),
    ];
    for source in crashes {
        let error = on_a_small_stack(source.clone()).unwrap_err();
        let refused =
            error.contains("levels deep") || error.contains("expression recursion limit exceeded: 250") || error.contains("Syntax error");
        assert!(refused, "{}: {error}", source.get(..30).unwrap());
    }
    let error = evaluate(&format!("'{}'", "a".repeat(17_000))).unwrap_err();
    assert_eq!(error, "compile: 1:1: expression code point size exceeds limit: size: 17002, limit 16384: move parts of it into variables");
}

#[test]
fn the_deepest_expressions_fit_a_small_stack() {
    let nested = |open: &str, inner: &str, close: &str, times: usize| format!("{}{inner}{}", open.repeat(times), close.repeat(times));
    assert_eq!(on_a_small_stack(format!("1{}", "+1".repeat(240))), Ok("int: 241".to_owned()));
    assert_eq!(on_a_small_stack(nested("[object.metadata.n].map(x, ", "1", ")[0]", 80)), Ok("int: 1".to_owned()));
    assert_eq!(on_a_small_stack(nested("size([1, ", "1", "])", 110)), Ok("int: 2".to_owned()));
    assert_eq!(on_a_small_stack(nested("[1].all(x, object.metadata.n == 7 && ", "true", ")", 110)), Ok("bool: true".to_owned()));
    assert_eq!(on_a_small_stack(format!("true{}", " && true".repeat(1500))), Ok("bool: true".to_owned()));
    assert!(on_a_small_stack(nested("[", "object.metadata.n", "]", 200)).unwrap().starts_with("list: [[["));
}

/// Variables that evaluate one another: slot n is an expression that reads slot n - 1.
struct Chain(Vec<Expression>);

impl<'a> Variables<'a> for &'a Chain {
    fn get(&self, slot: usize, budget: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        let Some(before) = slot.checked_sub(1) else { return Ok(Value::Int(1)) };
        self.0.get(before).unwrap().evaluate(self, budget)
    }
}

#[test]
fn variables_that_evaluate_one_another_cannot_overflow_the_stack() {
    let work = || {
        let names: Vec<String> = (0..400).map(|index| format!("variables.v{index}")).collect();
        let scope = Scope::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let sources: Vec<String> = (0..399).map(|index| format!("{}variables.v{index}", "1 + ".repeat(3))).collect();
        let pairs: Vec<_> = sources.iter().map(|source| (source.as_str(), &scope)).collect();
        let chain = Chain(Expression::compile_all(&pairs).into_iter().map(Result::unwrap).collect());
        let value = |slot| (&chain).get(slot, &Budget::new(1_000_000)).map(|value| value.as_int());
        assert_eq!(value(20), Ok(Some(61)));
        let error = value(399).unwrap_err();
        assert_eq!(error.to_string(), "expressions nest too deep through the variables they use");
        // The costliest levels, loops in loops, as deep as is allowed.
        let loops = |inner: &str| format!("{}{inner}{}", "[1].map(x, [1].all(y, y == 1) ? ".repeat(60), " : 0)[0]".repeat(60));
        let sources = [loops("variables.v0"), loops("variables.v1")];
        let pairs: Vec<_> = sources.iter().map(|source| (source.as_str(), &scope)).collect();
        let chain = Chain(Expression::compile_all(&pairs).into_iter().map(Result::unwrap).collect());
        let value = |slot| (&chain).get(slot, &Budget::new(1_000_000)).map(|value| value.as_int());
        assert_eq!((value(1), value(2)), (Ok(Some(1)), Ok(Some(1))));
    };
    std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(work).unwrap().join().unwrap();
}

pub(super) fn with_limit(source: &str, limit: u64) -> Result<bool, EvaluationError> {
    let expression = Expression::compile(source, &scope()).unwrap();
    let fixture = Fixture::new();
    expression.evaluate(&fixture.activation(), &Budget::new(limit)).map(|value| value.as_bool().unwrap())
}

#[test]
fn the_end_of_the_budget_is_not_absorbed() {
    let source = "object.spec.containers.all(c, c.name != '') || true";
    assert_eq!(with_limit(source, 10), Err(EvaluationError::BudgetExceeded));
    assert_eq!(with_limit(source, 100), Ok(true));
    assert_eq!(with_limit("lists.range(1000000).size() > 0 || true", 1_000_000), Err(EvaluationError::BudgetExceeded));
    let square = "lists.range(900).all(x, lists.range(900).all(y, x >= 0)) || true";
    assert_eq!(with_limit(square, 1_000_000), Err(EvaluationError::BudgetExceeded));
}

#[test]
fn what_grows_is_charged_before_it_is_made() {
    let end = |source: &str| with_limit(source, 10_000);
    assert_eq!(end("lists.range(10000).size() > 0"), Err(EvaluationError::BudgetExceeded));
    assert_eq!(end("lists.range(9000).reverse().size() > 0"), Err(EvaluationError::BudgetExceeded));
    assert_eq!(end("lists.range(9000).slice(0, 9000).size() > 0"), Err(EvaluationError::BudgetExceeded));
    assert_eq!(end("lists.range(9000).map(x, 'a').join('-').size() > 0"), Err(EvaluationError::BudgetExceeded));
    let long = format!("'{}'", "a".repeat(8000));
    let tenfold = format!("{long}.replace('a', 'aaaaaaaaaa')");
    assert_eq!(end(&format!("{tenfold}.replace('a', 'aaaaaaaaaa').size() > 0")), Err(EvaluationError::BudgetExceeded));
    assert_eq!(end(&format!("({tenfold} + {tenfold}).size() > 0")), Err(EvaluationError::BudgetExceeded));
    assert_eq!(end(&format!("'%s%s'.format([{tenfold}, {tenfold}]).size() > 0")), Err(EvaluationError::BudgetExceeded));
}

#[test]
fn variables_evaluated_apart_end_with_what_all_may_cost_together() {
    let budget = Budget::new(1_000).with_total(1_500);
    assert_eq!(budget.apart(1_000, |own| own.charge(900)), Ok(()));
    assert_eq!(budget.charge(500), Ok(()), "the variable is not the expression's");
    assert_eq!(budget.apart(1_000, |own| own.charge(100)), Ok(()));
    assert_eq!(budget.apart(1_000, |own| own.charge(1)), Err(EvaluationError::BudgetExceeded));
    assert_eq!(budget.apart(1_000, |own| own.apart(1_000, |inner| inner.charge(1))), Err(EvaluationError::BudgetExceeded));
    let alone = Budget::new(1_000);
    assert_eq!(alone.apart(1_000, |own| own.charge(1_001)), Err(EvaluationError::BudgetExceeded), "nor may one cost more than its limit");
}

/// Variables that double one another: `variables.v1` is `v0` twice, and so on.
fn doubled(start: &str, twice: impl Fn(&str) -> String, times: usize, last: &str) -> Result<String, EvaluationError> {
    let names: Vec<String> = (0..=times).map(|index| format!("variables.v{index}")).collect();
    let scope = Scope::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut sources = vec![start.to_owned()];
    sources.extend(names.iter().map(|name| twice(name)));
    let expressions: Vec<_> = sources.iter().map(|source| Expression::compile(source, &scope).unwrap()).collect();
    let budget = Budget::new(100_000);
    let mut known = Known(Vec::new());
    for expression in expressions.iter().take(times + 1) {
        let value = expression.evaluate(&known, &budget)?;
        known.0.push(value);
    }
    let last = Expression::compile(&last.replace("LAST", &names[times]), &scope).unwrap();
    last.evaluate(&known, &budget)?.to_json().map(|json| json.to_string().chars().take(40).collect())
}

/// Values by slot.
struct Known<'a>(Vec<Value<'a>>);

impl<'a> Variables<'a> for Known<'a> {
    fn get(&self, slot: usize, _: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        self.0.get(slot).cloned().ok_or_else(|| EvaluationError::Unknown("not evaluated".to_owned()))
    }
}

#[test]
fn variables_that_double_one_another_end_with_the_budget() {
    let sum = |name: &str| format!("{name} + {name}");
    let pair = |name: &str| format!("[{name}, {name}]");
    let text = |name: &str| format!("'%s%s'.format([{name}, {name}])");
    assert_eq!(doubled("'abcdefgh'", sum, 60, "LAST.size()"), Err(EvaluationError::BudgetExceeded));
    assert_eq!(doubled("'abcdefgh'", text, 60, "LAST.size()"), Err(EvaluationError::BudgetExceeded));
    let long = doubled("[1]", sum, 60, "LAST.size()").unwrap_err().to_string();
    assert_eq!(long, "the concatenated list is too long");
    assert_eq!(doubled("[1]", sum, 20, "LAST.all(x, x == 1)"), Err(EvaluationError::BudgetExceeded));
    assert_eq!(doubled("[1]", pair, 60, "LAST == LAST"), Err(EvaluationError::BudgetExceeded));
    assert_eq!(doubled("[[]]", pair, 60, "LAST.sum()"), Err(EvaluationError::BudgetExceeded));
    let large = doubled("[1]", pair, 60, "LAST").unwrap_err().to_string();
    assert_eq!(large, "the value is too large to be written as JSON");
    let deep = doubled("[1]", pair, 500, "LAST.size()").unwrap_err().to_string();
    assert_eq!(deep, "value nests too deep");
}

#[test]
fn the_deadline_is_looked_at_every_hundred_charges() {
    let looks = Cell::new(0);
    let past = || {
        looks.set(looks.get() + 1);
        looks.get() > 3
    };
    let expression = Expression::compile("lists.range(1000).all(x, x >= 0) || true", &scope()).unwrap();
    let fixture = Fixture::new();
    let budget = Budget::new(1_000_000).with_deadline(&past);
    assert!(matches!(expression.evaluate(&fixture.activation(), &budget), Err(EvaluationError::DeadlineExceeded)));
    assert_eq!(looks.get(), 4);
    assert!(budget.spent() < 5000, "{}", budget.spent());
    assert_eq!(budget.charge(1), Err(EvaluationError::DeadlineExceeded), "and stays past");
}

/// Slot 0 is unknown, slot 1 true.
struct Facts;

impl<'a> Variables<'a> for Facts {
    fn get(&self, slot: usize, _: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
        if slot == 0 { Err(EvaluationError::Unknown("clusterspiffeids are not synced".to_owned())) } else { Ok(Value::Bool(true)) }
    }
}

#[test]
fn what_is_unknown_is_absorbed_or_reported_before_what_failed() {
    let scope = Scope::new(&["related.ids", "yes"]);
    let value = |source: &str| {
        let expression = Expression::compile(source, &scope).unwrap();
        expression.evaluate(&Facts, &Budget::new(1000)).map(|value| value.as_bool().unwrap()).map_err(|error| error.to_string())
    };
    let unknown = Err("unknown: clusterspiffeids are not synced".to_owned());
    assert_eq!(value("related.ids.size() > 0 || yes"), Ok(true));
    assert_eq!(value("related.ids.size() > 0 && !yes"), Ok(false));
    assert_eq!(value("related.ids.size() > 0 && yes"), unknown);
    assert_eq!(value("1 / 0 > 0 || related.ids.size() > 0"), unknown);
    assert_eq!(value("related.ids.size() > 0 || 1 / 0 > 0"), unknown);
    assert_eq!(value("[1, 2].exists(x, related.ids.size() > x || x == 2)"), Ok(true));
    assert_eq!(value("has(related.ids) && yes"), Ok(true), "a declared variable is there, known or not");
}

#[test]
fn a_concatenation_costs_nothing_until_it_is_read() {
    let expression = Expression::compile("(object.spec.containers + object.spec.containers).size()", &scope()).unwrap();
    let fixture = Fixture::new();
    let budget = Budget::new(1000);
    assert_eq!(expression.evaluate(&fixture.activation(), &budget).unwrap().as_int(), Some(4));
    assert_eq!(budget.spent(), 8);
}

#[test]
fn what_is_compared_with_itself_is_equal_unless_it_holds_what_is_not() {
    let same = |made: &str| evaluate(&format!("[{made}].all(v, v == v)"));
    for equal in
        ["lists.range(9)", "dyn(lists.range(9))", "[1.5].map(x, x)", "[object.metadata].map(x, x)", "['a'].transformMap(i, v, [v])"]
    {
        assert_eq!(same(equal).as_deref(), Ok("bool: true"), "{equal}");
    }
    let not_a_number = "double('Na' + 'N')";
    for made in ["[0].map(x, NAN)", "[0].map(x, [NAN])", "[0].transformMap(i, v, NAN)", "[optional.of(NAN)].map(x, x)", "([0.0] + [NAN])"] {
        let made = made.replace("NAN", not_a_number);
        assert_eq!(same(&made).as_deref(), Ok("bool: false"), "{made}");
    }
}

#[test]
fn errors_stand_where_the_mistake_is() {
    let place = |source: &str| {
        let error = Expression::compile(source, &scope()).unwrap_err();
        (source.get(error.span.clone()).unwrap().to_owned(), error.to_string())
    };
    let expect = |source: &str, part: &str, message: &str| {
        assert_eq!(place(source), (part.to_owned(), message.to_owned()));
    };
    expect("object.a == nope.b", "nope", "1:13: undeclared reference to 'nope' (in container '')");
    expect("object.a &&\n  has(object)", "object", "2:7: invalid argument to has() macro");
    expect("[1].all(x.y, true)", "x.y", "1:9: argument must be a simple name");
    expect("'é' + nope", "nope", "1:7: undeclared reference to 'nope' (in container '')");
    expect("1 + size(1, 2)", "size(1, 2)", "1:5: found no matching overload for 'size' applied to '(int, int)'");
    expect("'a'.nope(1) == 2", "'a'.nope(1)", "1:1: undeclared reference to 'nope' (in container '')");
    expect("object.a.matches('(')", "'('", "1:18: invalid matches argument: error parsing regexp: missing closing ): `(`");
    expect(
        "variables.tema == 'x'",
        "variables.tema",
        "1:1: undefined field 'tema': variables has team, numbers, names, app, later, fails, total, double",
    );
    let authorizer = "the authorizer of Kubernetes asks the API server with a SubjectAccessReview, which an admission request alone does not \
                      answer; keep such a rule in a ValidatingAdmissionPolicy";
    expect(
        "true || authorizer.path('/')",
        "authorizer.path('/')",
        &format!("1:9: undeclared reference to 'authorizer' (in container ''): {authorizer}"),
    );
    let decision = "authorizer.group('').resource('pods').check('get').allowed()";
    expect(decision, "authorizer.group('')", &format!("1:1: undeclared reference to 'authorizer' (in container ''): {authorizer}"));
    let message = place("1 +").1;
    assert!(message.starts_with("1:4: Syntax error: mismatched input '<EOF>'"), "{message}");
    let (part, message) = place("'é' + 'é' 'ö'");
    assert!(part == "'" && message.starts_with("1:11: Syntax error: extraneous input ''ö''"), "{part} {message}");
    let message = place("object..x && [").1;
    assert!(message.starts_with("1:8: Syntax error: no viable alternative at input '..'") && message.contains("; "), "{message}");
}

#[test]
fn the_longest_dotted_name_is_the_variable() {
    let scope = Scope::new(&["related", "related.ids"]).with("related.ids").with("self");
    assert_eq!(scope.names().collect::<Vec<_>>(), ["related", "related.ids", "self"]);
    let slots = |source: &str| Expression::compile(source, &scope).unwrap().slots().to_vec();
    assert_eq!(slots("related.ids.size() == 1"), [1]);
    assert_eq!(slots("related.other == 1 && self.x"), [0, 2]);
    assert_eq!(slots("[{'ids': 1}].all(related, related.ids == 1)"), Vec::<usize>::new(), "a macro's variable hides it");
}

#[test]
fn an_expression_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Expression>();
    shared::<Scope>();
}

#[test]
fn many_texts_compile_together_each_with_its_own_error() {
    let scope = scope();
    let compiled = Expression::compile_all(&[("true", &scope), ("nope", &scope), ("object.a", &scope)]);
    let outcomes: Vec<_> =
        compiled.iter().map(|one| one.as_ref().map_err(|error| error.message.as_str()).map(Expression::source)).collect();
    assert_eq!(outcomes, [Ok("true"), Err("undeclared reference to 'nope' (in container '')"), Ok("object.a")]);
    let sources: Vec<String> = (0..150).map(|index| index.to_string()).collect();
    let pairs: Vec<_> = sources.iter().map(|source| (source.as_str(), &scope)).collect();
    let compiled = Expression::compile_all(&pairs);
    assert!(compiled.iter().zip(&sources).all(|(one, source)| one.as_ref().unwrap().source() == source), "in order");
    assert!(Expression::compile_all(&[]).is_empty());
}

const TOKENS: &[&str] = &[
    "object",
    "oldObject",
    "variables",
    "variables.team",
    "x",
    "k",
    "v",
    ".",
    ".?",
    "[",
    "[?",
    "]",
    "(",
    ")",
    "{",
    "}",
    ",",
    ":",
    "?",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    " in ",
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    "size",
    "matches",
    "format",
    "optional.of",
    "optional.none",
    "orValue",
    "value",
    "hasValue",
    "transformMap",
    "transformList",
    "sortBy",
    "optMap",
    "'a'",
    "'%s %d'",
    "'é'",
    "b'x'",
    "r'\\d+'",
    "'('",
    "0",
    "1",
    "2u",
    "1.5",
    "9223372036854775807",
    "-1",
    "true",
    "false",
    "null",
    "metadata",
    "labels",
    "spec",
    "containers",
    "numbers",
    "name",
    "duration('1h')",
    "timestamp(0)",
    "lists.range",
    "substring",
    "split",
    "join",
    "replace",
    "flatten",
    "slice",
    "min",
    "sum",
    "int",
    "string",
    "type",
    "sets.contains",
    "`a`",
    "\n",
];

pub(in crate::cel) fn token_soup() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(TOKENS), 1..24).prop_map(|tokens| tokens.concat())
}

/// Expressions that parse, so that what is behind the parser is reached.
pub(in crate::cel) fn sensible() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(
        &[
            "object",
            "object.metadata",
            "object.metadata.name",
            "object.metadata.labels",
            "object.spec.numbers",
            "object.spec.containers",
            "oldObject",
            "1",
            "2u",
            "1.5",
            "'a'",
            "'wörld'",
            "[]",
            "[1, 2]",
            "{'a': 1}",
            "{1: 'x'}",
            "null",
            "true",
            "optional.of(1)",
            "optional.none()",
            "duration('1h')",
            "timestamp(0)",
            "b'x'",
            "-9223372036854775808",
            "int",
            "dyn([1, 'a'])",
        ][..],
    )
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let operator = proptest::sample::select(&["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in"][..]);
        let method = proptest::sample::select(
            &[
                "size()",
                "name",
                "?name",
                "value()",
                "first()",
                "last()",
                "sum()",
                "min()",
                "isSorted()",
                "sort()",
                "distinct()",
                "reverse()",
                "flatten()",
                "join()",
                "trim()",
                "lowerAscii()",
                "split('')",
                "charAt(1)",
                "substring(1)",
                "getHours()",
                "unwrapOpt()",
                "matches('a+')",
                "find('.')",
                "replace('', 'x')",
                "format([1])",
            ][..],
        );
        let fold = proptest::sample::select(
            &[
                "all(x, ",
                "exists(x, ",
                "exists_one(x, ",
                "map(x, ",
                "filter(x, ",
                "all(x, y, ",
                "transformMap(x, y, ",
                "transformList(x, y, ",
                "sortBy(x, ",
                "optMap(x, ",
                "optFlatMap(x, ",
                "orValue(",
                "or(",
                "indexOf(",
                "transformMapEntry(x, y, ",
            ][..],
        );
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            (inner.clone(), method).prop_map(|(target, method)| format!("{target}.{method}")),
            (inner.clone(), fold, inner.clone()).prop_map(|(target, fold, body)| format!("{target}.{fold}{body})")),
            (inner.clone(), inner.clone()).prop_map(|(target, index)| format!("{target}[{index}]")),
            (inner.clone(), inner.clone()).prop_map(|(target, index)| format!("{target}[?{index}]")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(key, value)| format!("{{{key}: {value}}}")),
            inner.clone().prop_map(|item| format!("[?{item}, {item}]")),
            inner.clone().prop_map(|item| format!("has({item}.name)")),
            inner.clone().prop_map(|item| format!("string({item})")),
            inner.prop_map(|item| format!("!{item}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn token_soup_never_panics(source in token_soup()) {
        let _ = evaluate(&source);
    }

    #[test]
    fn what_parses_never_panics_and_gives_the_same_twice(source in sensible()) {
        prop_assert_eq!(evaluate(&source), evaluate(&source));
    }
}
