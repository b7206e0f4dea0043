//! Whatever this parser reads, the crate's reads alike: the same tree, places included.

use cel_interpreter::Env;
use proptest::prelude::*;

use super::super::{lower_tree, map_on_parser_stacks, parse as parse_slowly};
use super::parse;
use crate::cel::tests::{expressions, scope, sensible, token_soup};

/// Both trees, lowered, as text; nothing where this parser gives up.
fn both(source: &str) -> Option<(String, String)> {
    let scope = scope();
    let (quick, places) = parse(source)?;
    let (slow, slow_places) = match parse_slowly(&Env::default(), source) {
        Ok(read) => read,
        Err(error) => return Some(("a tree".to_owned(), error.to_string())),
    };
    let shown = |lowered: Result<super::super::Lowered, _>| lowered.map(|lowered| format!("{:#?} {}", lowered.root, lowered.depth));
    let quick = shown(lower_tree(source, &scope, &quick, &places));
    let slow = shown(lower_tree(source, &scope, &slow, &slow_places));
    Some((format!("{quick:?}"), format!("{slow:?}")))
}

fn on_a_parser_stack<R: Send>(work: impl Fn() -> R + Sync) -> R {
    map_on_parser_stacks(&[()], 1, |()| work(), |(), reason| panic!("{reason}")).pop().unwrap()
}

#[test]
fn the_corpus_is_read_alike_and_most_of_it_quickly() {
    let (read, all) = on_a_parser_stack(|| {
        let (mut read, mut all) = (0, 0);
        for source in expressions() {
            all += 1;
            if let Some((quick, slow)) = both(&source) {
                read += 1;
                assert_eq!(quick, slow, "{source}");
            }
        }
        (read, all)
    });
    assert!(read * 10 > all * 8, "{read} of {all} are read quickly");
}

#[test]
fn the_corners_of_the_grammar_are_read_alike_or_not_at_all() {
    let sources = [
        "-1",
        "- 1",
        "--1",
        "-1.5",
        "-x",
        "-1u",
        "!-1",
        "!!true",
        "-1.size()",
        "1 -1",
        "1-1",
        "1 - -1",
        "0x1F + -0x1f",
        "0xu",
        "1.e5",
        "1e5",
        "1e",
        "1in [1]",
        "9223372036854775808",
        "-9223372036854775808",
        "1e999",
        "a.b{}",
        "{}",
        "{'a': 1,}",
        "[1,]",
        "[,]",
        "[?a, 1]",
        "{?a: 1}",
        "object.?a.b[?0].c",
        "object.in",
        "object.for",
        "for",
        ".object",
        "object .metadata\n.name",
        "// note\n1 // end",
        "1 /2/ 3",
        "'a//b'",
        "'\\n\\t\\\\\\'\"'",
        "\"it's\"",
        "''",
        "''''''",
        "r'\\d'",
        "R\"\\\"",
        "b'x'",
        "br'x'",
        "'a\nb'",
        "'é' + 'ö'",
        "true ? 1 : false ? 2 : 3",
        "a ? b ? 1 : 2 : 3",
        "1 == 1 == true",
        "1 < 2 in [true]",
        "true && false || true && !false",
        "a&&b&&c&&d&&e||f||g",
        "size('a') + 'a'.size()",
        "has(object.a)",
        "[1].map(x, x > 0, x)",
        "f(,)",
        "f(1,)",
        "(((1)))",
        "()",
        "1 +",
        "a b",
        "@",
        "\u{a0}1",
        "x'",
        "object.`a-b`",
        "/* x */ 1",
        "object.\u{e9}",
        "[[[[1]]]]",
        "1.0.b",
        "1.5.size()",
        "3u.size()",
        "null.a",
        "'a'.b",
        "true.b",
        "a.b().c[0](1)",
        "a = b",
        "a & b",
    ];
    let differ = on_a_parser_stack(|| {
        let differ = |source: &&str| both(source).is_some_and(|(quick, slow)| quick != slow);
        sources.iter().filter(|source| differ(source)).map(|source| (*source).to_owned()).collect::<Vec<_>>()
    });
    assert_eq!(differ, Vec::<String>::new());
    let reads = |source: &str| on_a_parser_stack(|| parse(source).is_some());
    assert!(reads("-1.5 + -x.f('it''s' == r'\\d' ? [1, ?a] : {?'k': v,})") == reads("'it''s'"), "a quote ends a string");
    assert!(reads("object.spec.?containers.orValue([]).all(c, !has(c.x) || c.name in ['a', \"b\"]) // why"));
    assert!(!reads("b'x'") && !reads("--1") && !reads("a.`b-c`") && !reads("1 +"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn token_soup_is_read_alike_or_not_at_all(source in token_soup()) {
        if let Some((quick, slow)) = on_a_parser_stack(|| both(&source)) {
            prop_assert_eq!(quick, slow);
        }
    }

    #[test]
    fn what_is_sensible_is_read_alike(source in sensible()) {
        if let Some((quick, slow)) = on_a_parser_stack(|| both(&source)) {
            prop_assert_eq!(quick, slow);
        }
    }
}
