//! The ways in which an evaluation can take long: each ends with the limit.

use super::limits::with_limit;
use crate::cel::EvaluationError;

/// Expressions that reach Kubernetes' limit of one expression, each in its own way.
const TO_THE_LIMIT: &[&str] = &[
    "lists.range(900).all(x, lists.range(900).all(y, x >= 0))",
    "lists.range(400).map(x, lists.range(400).map(y, x * y)).size() == 0",
    "lists.range(600).exists(x, lists.range(600).filter(y, y > x).size() == -1)",
    "lists.range(300).transformMap(i, v, lists.range(700).transformMap(j, w, v + w)).size() == 0",
    "lists.range(600).all(x, lists.range(600).all(y, 'name-' + string(y) != object.metadata.name))",
    "lists.range(2000).all(x, lists.range(40).distinct().size() == 40)",
    "lists.range(2000).all(x, lists.range(40).reverse().sort().size() == 40)",
    "lists.range(99999).all(x, object.spec.text.replace('l', 'm').split(' ').join('-').matches('^h.*d$'))",
    "lists.range(99999).all(x, object.spec.containers.all(c, c.name != '' && has(c.image)))",
    "lists.range(99999).all(x, '%d %s'.format([x, object.metadata.name]) != '')",
    "lists.range(99999).all(x, 'a'.matches('a' + string(x)) || true)",
    "lists.range(99999).all(x, object.?metadata.?labels.?app.orValue('') == 'web' && object.?metadata.?name.hasValue())",
    "lists.range(199999).all(x, timestamp(x).getFullYear() >= 1970)",
    // Patterns that are large, each of them new.
    "lists.range(99999).all(x, 'a'.matches('\\\\pL{' + string(x % 100 + 1) + '}' + string(x)) || true)",
    "lists.range(99999).all(x, 'a'.matches('(?i)[a-z]+' + string(x)) || true)",
    // Texts that are long.
    "[lists.range(9000).map(x, '0123456789').join()].all(t, lists.range(99999).all(x, t.size() == 90000))",
    "[lists.range(9000).map(x, '0123456789').join()].all(t, lists.range(99999).all(x, dyn(t) == dyn(t)))",
    "[lists.range(9000).map(x, '0123456789').join()].all(t, lists.range(99999).all(x, dyn(t) <= dyn(t)))",
    "[lists.range(9000).map(x, '0123456789').join()].all(t, lists.range(99999).all(x, t.findAll('').size() > 0))",
    "[lists.range(900).map(x, '0123456789').join()].all(t, lists.range(99999).all(x, t.split('').size() > 0))",
    "[lists.range(900).map(x, '0123456789').join()].all(t, lists.range(99999).all(x, dyn(t) + dyn(t) != ''))",
    "[lists.range(900).map(x, '0123456789').join()].all(t, lists.range(99999).all(x, isURL('http://a/' + t)))",
    "['http://a/?' + lists.range(900).map(x, 'a=0&').join()].all(t, lists.range(99999).all(x, url(t).getQuery().size() == 1))",
    "lists.range(99999).all(x, int(string(x)) == x && double(string(x)) >= 0.0)",
    // Lists and maps that are long, or shared.
    "[lists.range(2000)].all(l, lists.range(99999).all(x, [l].flatten().size() == 2000))",
    "[lists.range(2000)].all(l, lists.range(99999).all(x, !(dyn('z') in dyn(l))))",
    "[dyn(lists.range(2000))].all(l, lists.range(99999).all(x, l.sort().size() == 2000))",
    "[dyn(lists.range(2000))].all(l, lists.range(99999).all(x, l == l))",
    "[lists.range(2000).map(x, '')].all(l, lists.range(99999).all(x, l.join() == ''))",
    "[lists.range(2000).map(x, 1.5)].all(l, lists.range(99999).all(x, '%s'.format([l]) != ''))",
    "[lists.range(2000).transformMap(i, v, v)].all(m, lists.range(99999).all(x, m.exists(k, true)))",
    "[lists.range(2000).transformMap(i, v, v)].all(m, lists.range(99999).all(x, m == m))",
    "lists.range(199999).all(x, object == object)",
    // What takes long by itself.
    "[quantity('1e900')].all(q, lists.range(99999).all(x, q.add(q).compareTo(q) > 0))",
    "lists.range(199999).all(x, timestamp(x).getHours('Asia/Kolkata') >= 0)",
    "lists.range(199999).all(x, string(timestamp(x)) != '')",
    "lists.range(199999).all(x, string(double(x) * 1.1) != '')",
    "lists.range(199999).all(x, '%.255f'.format([1e300]) != '')",
    "lists.range(199999).all(x, '%e %f'.format([1.5, 2.5]) != '')",
    "lists.range(199999).all(x, url('https://a.b:80/c?d=e').getHost() != '')",
    "lists.range(199999).all(x, semver('1.2.3').isLessThan(semver('1.2.4')))",
    "lists.range(199999).all(x, quantity('1.5Gi').add(quantity('100m')).isGreaterThan(quantity('1')))",
    "[lists.range(9000).map(x, '0123456789').join()].all(t, lists.range(99999).all(x, isIP(t) || isCIDR(t) || true))",
    "[lists.range(9000).map(x, '0123456789').join()].all(t, lists.range(99999).all(x, duration(t) > duration('1s') || true))",
    "[lists.range(9000).map(x, '0123456789').join()].all(t, lists.range(99999).all(x, t.charAt(89999) != ''))",
    "[lists.range(9000).map(x, '0123456789').join()].all(t, lists.range(99999).all(x, '%x'.format([t]) != ''))",
];

/// Bodies of a loop that hold as many constants as a text has room for: cel-go charges nothing for any of them.
fn of_constants() -> impl Iterator<Item = String> {
    let row = |count: usize, item: fn(usize) -> String, between: &str| (1..count).map(item).collect::<Vec<_>>().join(between);
    let bodies = [
        format!("!(x in [{}])", row(2500, |index| format!("-{index}"), ",")),
        format!("!(string(x) in [{}])", row(1800, |index| format!("'a{index}'"), ",")),
        row(2000, |_| "true".to_owned(), "&&"),
        format!("[x, {}].size() > 0", row(5000, |_| "1".to_owned(), ",")),
        format!("{{x: 1, {}}}.size() > 0", row(1500, |index| format!("{index}: 1"), ",")),
    ];
    bodies.into_iter().map(|body| format!("lists.range(199999).all(x, {body})"))
}

#[test]
fn every_way_to_the_limit_ends_there_and_is_not_absorbed() {
    for source in TO_THE_LIMIT {
        let absorbing =
            [format!("{source} || true"), format!("[1].exists(x, {source}) || true"), format!("optional.of({source}).hasValue() || true")];
        for source in absorbing {
            assert_eq!(with_limit(&source, 1_000_000), Err(EvaluationError::BudgetExceeded), "{source}");
        }
    }
}

#[test]
fn however_many_constants_a_loop_holds_it_ends_with_the_limit() {
    for source in of_constants() {
        assert_eq!(with_limit(&source, 1_000_000), Err(EvaluationError::BudgetExceeded), "{source}");
    }
}
