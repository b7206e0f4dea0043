//! Every cap: the largest expression that is read, evaluated on the stack of a worker, and the next one, refused with its remedy.

use super::limits::on_a_small_stack;

/// What nests: how it is made, how often it may, and the words by which once more is refused.
type Shape = (&'static str, fn(usize) -> String, usize, &'static str);

const DEPTH: &str = "compile: 1:1: the expression nests 251 levels deep, at most 250 are read: move parts of it into variables";
const RECURSION: &str = "expression recursion limit exceeded: 250: move parts of it into variables";
const SIZE: &str = ", limit 16384: move parts of it into variables";

fn around(open: &str, inner: &str, close: &str, times: usize) -> String {
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

const SHAPES: &[Shape] = &[
    ("parentheses", |times| around("(", "1", ")", times), 250, RECURSION),
    ("lists", |times| around("[", "1", "]", times), 249, DEPTH),
    ("maps", |times| around("{'a': ", "1", "}", times), 249, DEPTH),
    ("negations", |times| around("!(", "true", ")", times), 249, DEPTH),
    ("a chain of +", |times| format!("1{}", " + 1".repeat(times)), 249, DEPTH),
    ("a chain of ? :", |times| format!("{}1", "true ? 1 : ".repeat(times)), 249, DEPTH),
    ("conditions in conditions", |times| around("(true ? ", "1", " : 1)", times), 249, RECURSION),
    ("a chain of fields", |times| format!("object{}", ".?a".repeat(times)), 249, DEPTH),
    ("a chain of indexes", |times| format!("object{}", "[?'a']".repeat(times)), 249, DEPTH),
    ("a chain of calls", |times| format!("[1]{}", ".reverse()".repeat(times)), 248, DEPTH),
    ("a chain of alternatives", |times| format!("optional.none(){}", ".or(optional.none())".repeat(times)), 248, DEPTH),
    ("alternatives in alternatives", |times| around("optional.none().or(", "optional.of(1)", ")", times), 248, DEPTH),
    ("&& in ||", |times| around("(true && (false || ", "true", "))", times), 124, DEPTH),
    ("map in map", |times| around("[1].map(x, ", "1", ")", times), 248, DEPTH),
    ("all in all", |times| around("[1].all(x, ", "true", ")", times), 248, DEPTH),
    ("optMap in optMap", |times| around("optional.of(1).optMap(x, ", "1", ")", times), 248, DEPTH),
    ("a chain of &&", |times| format!("true{}", " && true".repeat(times)), 2047, SIZE),
    ("a wide list", |times| format!("[{}1]", "1,".repeat(times)), 8190, SIZE),
    ("a wide map", |times| format!("{{{}'z': 1}}", "'a': 1, ".repeat(times)), 2047, SIZE),
    ("a long string", |times| format!("'{}'", "a".repeat(times)), 16_382, SIZE),
    ("a wide regular expression", |times| format!("'a'.matches('{}a')", "a|".repeat(times)), 8184, SIZE),
    ("many clauses", |times| format!("'{}'.format([{}1])", "%s".repeat(times), "1,".repeat(times - 1)), 4093, SIZE),
    ("a repetition", |times| format!("'a'.matches('a{{{times}}}')"), 1000, "error parsing regexp: invalid repeat count: `{1001}`"),
];

#[test]
fn what_is_as_large_as_may_be_is_evaluated_and_what_is_larger_is_refused() {
    for (name, make, most, words) in SHAPES {
        let largest = on_a_small_stack(make(*most));
        assert!(largest.as_ref().is_ok_and(|value| !value.is_empty()), "{name}, {most} times: {largest:?}");
        let refused = on_a_small_stack(make(most + 1)).expect_err(name);
        assert!(refused.starts_with("compile: ") && refused.contains(words), "{name}, {most} times and once more: {refused}");
        // Far beyond, nothing aborts either.
        let beyond = on_a_small_stack(make(most * 20)).expect_err(name);
        assert!(beyond.starts_with("compile: "), "{name}, far too often: {beyond}");
    }
}

#[test]
fn what_a_value_may_hold_is_capped_when_it_is_made() {
    let failure = |source: &str| on_a_small_stack(source.to_owned()).unwrap_err();
    assert_eq!(failure("lists.range(1000000).size()"), "operation cancelled: actual cost limit exceeded");
    assert_eq!(failure("lists.range(1000001).size()"), "lists.range: size 1000001 exceeds maximum allowed (1000000)");
    let large = failure("'a'.matches('(a{1,1000}){1,1000}')");
    assert!(large.starts_with("compile: 1:13: invalid matches argument: error parsing regexp: "), "{large}");
    let doubled = |times: usize| format!("[{}'a'].map(x, x){}", "'aaaaaaaaaaaaaaaa', ".repeat(20), ".map(x, x + x)".repeat(times));
    assert!(on_a_small_stack(doubled(8)).is_ok());
    assert_eq!(failure(&doubled(30)), "operation cancelled: actual cost limit exceeded");
}
