//! Variables that refer to others, `$(NAME)`, as the kubelet resolves them: a value sees the variables that stand before it, of several of
//! one name the last; `$$` is one dollar sign; what refers to nobody stays as it is written.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::object::Node;

/// Longest value that is made, and what all values of a container may take together: references can double a text again and again.
const LONGEST: usize = 4096;
const ROOM: usize = 1 << 18;

/// The variables of one container. Nothing is made before a value refers to another.
pub(super) struct Environment<'a> {
    container: Node<'a>,
    read: Option<Read<'a>>,
}

struct Read<'a> {
    values: Vec<Value<'a>>,
    /// The last variable of each name.
    last: HashMap<&'a str, usize>,
}

/// The value of one variable.
struct Value<'a> {
    /// What is known of it; what comes from elsewhere stands in it as `$(NAME)`.
    text: Cow<'a, str>,
    /// The variable that it is nothing but a reference to.
    alias: Option<Node<'a>>,
    variable: Node<'a>,
}

impl<'a> Environment<'a> {
    pub(super) fn of(container: Node<'a>) -> Self {
        Self { container, read: None }
    }

    /// The value of the variable at a position. What it takes from elsewhere stands in it as `$(NAME)`.
    pub(super) fn value(&mut self, position: usize, written: &'a str) -> Cow<'a, str> {
        if !written.contains('$') {
            return Cow::Borrowed(written);
        }
        let value = self.read().values.get(position);
        value.map_or(Cow::Borrowed(written), |value| value.text.clone())
    }

    /// The variable that a value is nothing but a reference to.
    pub(super) fn alias(&mut self, position: usize, written: &str) -> Option<Node<'a>> {
        if !written.starts_with("$(") {
            return None;
        }
        self.read().values.get(position)?.alias
    }

    /// A word of the command line, which sees every variable.
    pub(super) fn word(&mut self, written: &'a str) -> Cow<'a, str> {
        if !written.contains("$(") {
            return Cow::Borrowed(written);
        }
        let read = self.read();
        let mut room = ROOM;
        expand(written, &read.values, &read.last, &mut room).text
    }

    fn read(&mut self) -> &Read<'a> {
        let container = self.container;
        self.read.get_or_insert_with(|| {
            let (mut values, mut last): (Vec<Value<'a>>, HashMap<&'a str, usize>) = Default::default();
            let mut room = ROOM;
            for (position, variable) in container.list("env").enumerate() {
                let name = variable.text("name");
                let elsewhere = variable.text("value").is_empty() && variable.get("valueFrom").is_some();
                let Expanded { text, alias } = expand(variable.text("value"), &values, &last, &mut room);
                let text = if elsewhere { Cow::Owned(format!("$({name})")) } else { text };
                let alias = alias.and_then(|alias| values.get(alias)).map(|value| value.variable);
                values.push(Value { text, alias, variable });
                last.insert(name, position);
            }
            Read { values, last }
        })
    }
}

struct Expanded<'a> {
    text: Cow<'a, str>,
    alias: Option<usize>,
}

fn expand<'a>(written: &'a str, values: &[Value<'a>], last: &HashMap<&'a str, usize>, room: &mut usize) -> Expanded<'a> {
    if !written.contains('$') {
        return Expanded { text: Cow::Borrowed(written), alias: None };
    }
    let (mut text, mut alias) = (String::new(), None);
    let mut rest = written;
    while let Some((before, behind)) = rest.split_once('$') {
        text.push_str(before);
        rest = behind;
        if let Some(behind) = rest.strip_prefix('$') {
            text.push('$');
            rest = behind;
        } else if let Some((name, behind)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            let found = last.get(name).and_then(|position| Some((*position, values.get(*position)?)));
            // Nothing but this reference.
            if name.len() + "$()".len() == written.len() {
                alias = found.map(|(position, _)| position);
            }
            match found {
                Some((_, value)) => text.push_str(&value.text),
                None => text.extend(["$(", name, ")"]),
            }
            rest = behind;
        } else {
            text.push('$');
        }
        if text.len() > LONGEST || text.len() > *room {
            return Expanded { text: Cow::Borrowed(written), alias: None };
        }
    }
    text.push_str(rest);
    *room = room.saturating_sub(text.len());
    Expanded { text: Cow::Owned(text), alias }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::Object;

    fn values(env: &Value) -> Vec<String> {
        let object = Object::from_json(json!({ "env": env }).to_string()).unwrap();
        let mut environment = Environment::of(object.root());
        let written: Vec<&str> = object.root().list("env").map(|variable| variable.text("value")).collect();
        written.iter().enumerate().map(|(at, text)| environment.value(at, text).into_owned()).collect()
    }

    #[test]
    fn a_value_sees_what_stands_before_it() {
        let env = json!([
            { "name": "A", "value": "$(B)" },
            { "name": "B", "value": "b" },
            { "name": "C", "value": "<$(B)$(B)$$(B)$(NONE)$B$" },
            { "name": "B", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
            { "name": "D", "value": "$(B)/$(C)" },
            { "name": "E", "value": "$(D" },
        ]);
        assert_eq!(values(&env), ["$(B)", "b", "<bb$(B)$(NONE)$B$", "", "$(B)/<bb$(B)$(NONE)$B$", "$(D"]);
    }

    #[test]
    fn an_alias_is_nothing_but_a_reference_to_what_stands_before() {
        let env = json!([
            { "name": "S", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
            { "name": "A", "value": "$(S)" },
            { "name": "B", "value": "x$(S)" },
            { "name": "C", "value": "$(LATER)" },
            { "name": "V", "value": "v" },
            { "name": "D", "value": "$(V)" },
            { "name": "LATER", "value": "x" },
        ]);
        let object = Object::from_json(json!({ "env": env }).to_string()).unwrap();
        let mut environment = Environment::of(object.root());
        let found: Vec<_> = object
            .root()
            .list("env")
            .enumerate()
            .map(|(at, variable)| environment.alias(at, variable.text("value")).map(|found| found.text("name")))
            .collect();
        assert_eq!(found, [None, Some("S"), None, None, None, Some("V"), None]);
        assert_eq!(environment.word("-a=$(V)$(S)"), "-a=v$(S)");
    }

    #[test]
    fn what_doubles_without_end_is_left_as_it_is_written() {
        let mut env = vec![json!({ "name": "A0", "value": "0123456789" })];
        env.extend((1..200).map(|n| json!({ "name": format!("A{n}"), "value": format!("$(A{0})$(A{0})", n - 1) })));
        let longest = values(&json!(env)).iter().map(String::len).max().unwrap();
        assert!(longest <= LONGEST, "{longest}");
    }
}
