//! What an expression may call, for people: the rows of the functions' table and the macros, in words. `doorward policy functions` and
//! the page of the documentation print nothing else.

use super::functions::{self, Cost, Function};
use super::macros;
use super::types::{Parameter, Type};

/// A function or a macro: one overload of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Reference {
    /// Its name, with its namespace: `min`, `lists.range`.
    pub name: &'static str,
    /// How it is called and what it gives: `<list(T)>.min() -> T`.
    pub signature: String,
    /// Whether it is a macro: its arguments are expressions, not values.
    #[serde(rename = "macro")]
    pub is_macro: bool,
    /// The first release of Kubernetes that has it.
    pub since: &'static str,
    /// What a call costs besides its arguments.
    pub cost: String,
    /// What it does, and which types a parameter such as `T` stands for.
    pub doc: String,
    /// An expression that uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<&'static str>,
}

impl Reference {
    /// Everything, macros first, each part in order of names.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let macros = macros::MACROS.iter().map(|row| Self {
            name: row.name,
            signature: row.signature.to_owned(),
            is_macro: true,
            since: row.since,
            cost: row.cost.to_owned(),
            doc: row.doc.to_owned(),
            example: Some(row.example),
        });
        let functions = functions::table().map(|function| Self {
            name: function.name,
            signature: signature(function),
            is_macro: false,
            since: function.since,
            cost: cost(function),
            doc: doc(function),
            example: None,
        });
        let mut all: Vec<Self> = macros.chain(functions).collect();
        // Stable: overloads stay in the order in which they are tried.
        all.sort_by_key(|row| (!row.is_macro, row.name));
        all
    }
}

/// The row's own line, and the types that a bounded parameter may be.
fn doc(function: &Function) -> String {
    match function.arguments.iter().find_map(bounded) {
        Some(parameter) => {
            let among: Vec<String> = parameter.among.iter().map(ToString::to_string).collect();
            format!("{}; {}: {}", function.doc, parameter.name, among.join(", "))
        }
        None => function.doc.to_owned(),
    }
}

/// The type parameter of an argument that stands for some types only.
fn bounded(argument: &Type) -> Option<&'static Parameter> {
    match argument {
        Type::Parameter(parameter) if !parameter.among.is_empty() => Some(parameter),
        Type::List(inner) | Type::Optional(inner) | Type::Type(inner) => bounded(inner.get()),
        _ => None,
    }
}

/// `<list(T)>.min() -> T`, `size(string) -> int`.
fn signature(function: &Function) -> String {
    let mut types = function.arguments.iter().map(ToString::to_string);
    let receiver = if function.receiver { types.next().map(|name| format!("<{name}>.")) } else { None };
    let arguments: Vec<String> = types.collect();
    format!("{}{}({}) -> {}", receiver.unwrap_or_default(), function.name, arguments.join(", "), function.result)
}

/// The cost in words; sizes are characters, bytes, items or entries.
fn cost(function: &Function) -> String {
    let argument = |position: usize| match (function.receiver, position) {
        (true, 0) => "receiver".to_owned(),
        (true, position) => format!("argument {position}"),
        (false, position) => format!("argument {}", position + 1),
    };
    match function.cost {
        Cost::Call => "1".to_owned(),
        Cost::Size(position, factor) => format!("{} x size of {}", factor / 10.0, argument(position)),
        Cost::Search => format!("0.1 x size of {} x 0.1 x size of {}", argument(0), argument(1)),
        Cost::Regex => format!("0.1 x size of {} x 0.25 x size of {}", argument(0), argument(1)),
        Cost::Of(_) => "grows with the arguments".to_owned(),
        Cost::Own => "grows with what is read and made".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::{Budget, EvaluationError, Expression, Scope, Value, Variables};

    struct Nothing;

    impl<'a> Variables<'a> for Nothing {
        fn get(&self, _: usize, _: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
            Err(EvaluationError::Unknown("no variable is given".to_owned()))
        }
    }

    #[test]
    fn a_row_says_how_it_is_called_and_what_it_costs() {
        let all = Reference::all();
        let find = |signature: &str| {
            let row = all.iter().find(|row| row.signature.starts_with(signature)).unwrap();
            (row.name, row.since, row.cost.as_str())
        };
        assert_eq!(find("<string>.startsWith(string) -> bool"), ("startsWith", "1.0", "0.1 x size of argument 1"));
        assert_eq!(find("matches(string, string) -> bool"), ("matches", "1.0", "0.1 x size of argument 1 x 0.25 x size of argument 2"));
        assert_eq!(find("lists.range(int) -> "), ("lists.range", "1.34", "grows with what is read and made"));
        assert_eq!(find("<optional_type(A)>.optMap").1, "1.28");
        let least = all.iter().find(|row| row.signature == "<list(T)>.min() -> T").unwrap();
        assert_eq!(least.doc, "the least item; T: int, uint, double, bool, duration, timestamp, string, bytes");
    }

    #[test]
    fn every_example_of_a_macro_is_true() {
        for row in Reference::all().iter().filter(|row| row.is_macro) {
            let source = row.example.unwrap();
            assert!(source.contains(row.name), "{source} does not use {}", row.name);
            let expression = Expression::compile(source, &Scope::default()).unwrap_or_else(|error| panic!("{source}: {error}"));
            let value = expression.evaluate(&Nothing, &Budget::new(10_000)).map(|value| value.as_bool());
            assert_eq!(value, Ok(Some(true)), "{source}");
        }
    }

    #[test]
    fn every_row_is_whole() {
        for row in Reference::all() {
            let release = row.since.split_once('.').is_some_and(|(major, minor)| major == "1" && minor.parse::<u32>().is_ok());
            assert!(release && !row.doc.is_empty() && row.signature.contains(" -> "), "{row:?}");
        }
    }
}
