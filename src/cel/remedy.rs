//! What to do about a mistake. The words of an error are cel-go's, which say what is wrong; the remedy for each kind of them is found by
//! those words.

use super::error::CompileError;
use super::reference::Reference;
use super::scope::Scope;

impl CompileError {
    /// What to do about it, where its own words do not say so.
    #[must_use]
    pub fn remedy(&self, scope: &Scope) -> Option<String> {
        of(&self.message, scope)
    }
}

/// The remedy for a message of cel-go's.
fn of(message: &str, scope: &Scope) -> Option<String> {
    if message.contains("error parsing regexp") {
        return Some(
            "Kubernetes reads regular expressions as RE2: a sign that means itself is put in brackets, as in `'[(]'`; there is no look-around \
             and no back-reference"
                .into(),
        );
    }
    if let Some(rest) = after(message, "type conversion error from '") {
        return converted(between(rest, "to '", "'")?).map(str::to_owned);
    }
    if let Some(rest) = message.strip_prefix("undeclared reference to '") {
        let (name, rest) = rest.split_once('\'')?;
        return if rest.contains(':') || rest.contains(';') { None } else { Some(undeclared(name, scope)) };
    }
    if let Some(rest) = message.strip_prefix("found no matching overload for '") {
        return unmatched(rest.split_once('\'')?.0);
    }
    if let Some(rest) = message.strip_prefix("expected type '") {
        let remedy = match rest.split_once('\'')?.0 {
            "bool" => "compare it with something, or write `bool(...)`",
            optional if optional.starts_with("optional_type(") => {
                "an entry with `?` takes an optional: `a.?b`, `a[?b]` or `optional.of(a)`"
            }
            _ => "what stands in a list, and the keys or the values of a map, must be of one type: write `dyn(...)` around each",
        };
        return Some(remedy.into());
    }
    let remedy = match message {
        range if range.contains("cannot be range of a comprehension") => "a macro goes through a list, or through the keys of a map",
        field if field.ends_with("does not support field selection") => {
            "only objects and maps have fields; a function is called, as in `a.f()`"
        }
        format if format.starts_with("error during formatting") => "`%s` takes anything, `%d` a whole number, `%f` and `%e` a double",
        _ => return None,
    };
    Some(remedy.into())
}

/// The remedy for a constant that a function of Kubernetes' libraries refuses when it is evaluated.
pub(crate) fn remedy_of_constant(function: &str) -> &'static str {
    match function {
        "quantity" => "write a quantity such as `'500m'`, `'1.5'` or `'2Gi'`",
        "ip" => "write an address such as `'10.0.0.1'` or `'2001:db8::1'`, without zone and port",
        "cidr" => "write a network such as `'10.0.0.0/8'`",
        "url" => "write a URL such as `'https://example.com/path'`",
        _ => "write a version such as `'1.2.3'`",
    }
}

fn after<'m>(message: &'m str, words: &str) -> Option<&'m str> {
    message.split_once(words).map(|(_, rest)| rest)
}

fn between<'m>(text: &'m str, start: &str, end: &str) -> Option<&'m str> {
    after(text, start)?.split_once(end).map(|(inside, _)| inside)
}

/// The remedy for a constant that is no text of its type.
fn converted(to: &str) -> Option<&'static str> {
    Some(match to {
        "google.protobuf.Duration" => "write a duration such as `'90s'` or `'1h30m'`; its longest unit is the hour",
        "google.protobuf.Timestamp" => "write a point in time such as `'2026-01-31T12:00:00Z'`",
        "int" | "uint" => "write the number itself, or its digits as a string",
        "double" => "write the number itself, or as a string such as `'1.5'`",
        "bool" => "write `true` or `false`",
        _ => return None,
    })
}

fn undeclared(name: &str, scope: &Scope) -> String {
    if scope.below("variables").contains(&name) {
        return format!("it is a variable of the policy: write `variables.{name}`");
    }
    if name == "params" {
        return "only a policy with a `paramKind` has `params`".into();
    }
    if name == "variables" {
        return "the policy declares no variables; write them under `variables`".into();
    }
    let names: Vec<String> = scope.names().filter(|name| !name.is_empty()).map(|name| format!("`{name}`")).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    format!("variables here: {names}; a field is read from one of them. `doorward policy functions` lists what may be called")
}

/// The remedy for an operator or a function that does not take what it is given.
fn unmatched(name: &str) -> Option<String> {
    let remedy = match name {
        "_==_" | "_!=_" => "both sides must be of one type: convert one by `string(...)`, `int(...)` or `double(...)`",
        "_<_" | "_<=_" | "_>_" | "_>=_" => {
            "two numbers, or two values of one type, have an order: convert one by `string(...)` or `int(...)`"
        }
        "_+_" | "_-_" | "_*_" | "_/_" | "_%_" => {
            "both sides must be of one type: convert one by `string(...)`, `int(...)` or `double(...)`"
        }
        "@in" => "what is looked for must be of the type of the list's items, or of the map's keys",
        "_?_:_" => "the condition must be a bool, and both branches of one type: write `dyn(...)` around each",
        "_[_]" | "_[?_]" => "a list takes an int, a map a key of its type; a field of an object is read as `a.b`",
        "!_" => "only a bool can be negated: compare it with something, or write `bool(...)`",
        "-_" => "only an int and a double have a negative",
        function => {
            let all = Reference::all();
            let known: Vec<String> =
                all.iter().filter(|row| row.name == function).map(|row| format!("`{}`", row.signature)).take(4).collect();
            return (!known.is_empty()).then(|| format!("it is {}", known.join(" or ")));
        }
    };
    Some(remedy.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::{Expression, request_type};

    fn remedy(source: &str) -> Option<String> {
        let scope = Scope::new(&["object", ""]).with_type("request", request_type()).with("variables.team");
        Expression::compile(source, &scope).unwrap_err().remedy(&scope)
    }

    #[test]
    fn each_kind_of_mistake_has_its_remedy() {
        for (source, part) in [
            ("nope == 1", "variables here: `object`, `request`, `variables.team`; a field is read from one of them"),
            ("team == 'a'", "it is a variable of the policy: write `variables.team`"),
            ("params.a == 1", "only a policy with a `paramKind` has `params`"),
            ("'a' == 1", "both sides must be of one type"),
            ("'a' < 1", "have an order"),
            ("'a' + 1 == 'a'", "both sides must be of one type"),
            ("1 in ['a']", "what is looked for must be of the type of the list's items"),
            ("'a'.startsWith(1)", "it is `<string>.startsWith(string) -> bool`"),
            ("true && 1", "compare it with something"),
            ("['a', 1].size() > 0", "must be of one type: write `dyn(...)` around each"),
            ("'a'.matches('(')", "reads regular expressions as RE2"),
            ("duration('x') > duration('1s')", "`'90s'` or `'1h30m'`"),
            ("timestamp('x') > timestamp(0)", "`'2026-01-31T12:00:00Z'`"),
            ("int('x') == 1", "write the number itself"),
            ("'a'.length == 1", "only objects and maps have fields"),
            ("'a'.all(x, true)", "a macro goes through a list"),
        ] {
            let told = remedy(source).unwrap_or_else(|| panic!("{source} has no remedy"));
            assert!(told.contains(part), "{source}: {told}");
        }
        assert_eq!(remedy("objct.a == 1"), None, "the name that may be meant is told already");
        assert_eq!(remedy("authorizer.path('/').check('get').allowed()"), None, "what to do is told already");
    }
}
