//! A value as the CEL text that gives it: what `doorward cel` shows.

use std::fmt::Write as _;

use super::functions::stdlib;
use super::opaque::Opaque;
use super::value::Value;
use crate::object::is_deceptive;

/// How many values are written; of the rest stands `...`. The items of a list may be shared, and so be far more than were ever made.
const MAX_VALUES: u32 = 10_000;

impl Value<'_> {
    /// The value as a CEL literal, or as the call that makes it: `['a', 1u, optional.of(duration('90s'))]`. A list or map that does
    /// not fit `width` bytes is written an item a line.
    ///
    /// Text is quoted so that it shows and does not act: control characters, and characters that hide or reorder others, are escaped.
    #[must_use]
    pub fn to_literal(&self, width: usize) -> String {
        let mut writer = Writer { out: String::new(), left: MAX_VALUES, width, line_end: None };
        writer.value(self, 0);
        writer.out
    }
}

struct Writer {
    out: String,
    left: u32,
    width: usize,
    /// Where the line ends on which a list or map is being tried.
    line_end: Option<usize>,
}

impl Writer {
    fn value(&mut self, value: &Value<'_>, indent: usize) {
        let Some(left) = self.left.checked_sub(1) else {
            self.out.push_str("...");
            return;
        };
        self.left = left;
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(value) => self.push(value),
            Value::Int(value) => self.push(value),
            Value::UInt(value) => {
                self.push(value);
                self.out.push('u');
            }
            Value::Double(value) if value.is_finite() => self.push(&format_args!("{value:?}")),
            Value::Double(value) => self.push(&format_args!("double('{}')", stdlib::double_text(*value))),
            Value::String(text) => self.text(text.as_str()),
            Value::Bytes(bytes) => self.bytes(bytes),
            Value::Timestamp(_) => self.push(&format_args!("timestamp('{}')", stdlib::display(value))),
            Value::Duration(_) => self.push(&format_args!("duration('{}')", stdlib::display(value))),
            Value::Optional(None) => self.out.push_str("optional.none()"),
            Value::Optional(Some(inner)) => {
                self.out.push_str("optional.of(");
                self.value(inner, indent);
                self.out.push(')');
            }
            Value::List(list) => {
                self.items(['[', ']'], indent, list.len(), &mut |writer, index, indent| {
                    if let Some(item) = list.get(index) {
                        writer.value(&item, indent);
                    }
                });
            }
            Value::Map(map) => {
                let entries = map.sorted_entries();
                self.items(['{', '}'], indent, entries.len(), &mut |writer, index, indent| {
                    if let Some((key, value)) = entries.get(index) {
                        writer.value(key, indent);
                        writer.out.push_str(": ");
                        writer.value(value, indent);
                    }
                });
            }
            Value::Opaque(made) => {
                let text = made.text();
                match &**made {
                    Opaque::Url(_) => self.call("url(", &text),
                    Opaque::Ip(_) => self.call("ip(", &text),
                    Opaque::Cidr(_) => self.call("cidr(", &text),
                    Opaque::Quantity(_) => self.call("quantity(", &text),
                    Opaque::Semver(_) => self.call("semver(", &text),
                    Opaque::Format(_) => {
                        self.call("format.named(", &text);
                        self.out.push_str(".value()");
                    }
                }
            }
            other => self.push(&stdlib::display(other)),
        }
    }

    fn call(&mut self, function: &str, argument: &str) {
        self.out.push_str(function);
        self.text(argument);
        self.out.push(')');
    }

    fn push(&mut self, shown: &dyn std::fmt::Display) {
        let _ = write!(self.out, "{shown}");
    }

    /// Items on one line if they fit it, else one a line.
    fn items(&mut self, [open, close]: [char; 2], indent: usize, len: usize, item: &mut dyn FnMut(&mut Self, usize, usize)) {
        if self.line_end.is_some() {
            self.on_one_line([open, close], len, item);
            return;
        }
        let (start, left) = (self.out.len(), self.left);
        let line_end = self.out.rfind('\n').map_or(0, |at| at + 1) + self.width;
        // What lies inside is not broken while it is tried, and stops being written where the line ends: else deep values never end.
        self.line_end = Some(line_end);
        self.on_one_line([open, close], len, item);
        self.line_end = None;
        if len == 0 || self.out.len() <= line_end && self.left > 0 {
            return;
        }
        self.out.truncate(start);
        self.left = left;
        self.out.push(open);
        for index in 0..len {
            let _ = write!(self.out, "\n{:1$}", "", indent + 2);
            if self.left == 0 {
                self.out.push_str("...");
                break;
            }
            item(self, index, indent + 2);
            self.out.push(',');
        }
        let _ = write!(self.out, "\n{:indent$}{close}", "");
    }

    fn on_one_line(&mut self, [open, close]: [char; 2], len: usize, item: &mut dyn FnMut(&mut Self, usize, usize)) {
        self.out.push(open);
        for index in 0..len {
            if index > 0 {
                self.out.push_str(", ");
            }
            item(self, index, 0);
            if self.left == 0 || self.line_end.is_some_and(|end| self.out.len() > end) {
                break;
            }
        }
        self.out.push(close);
    }

    fn text(&mut self, text: &str) {
        self.out.push('\'');
        for character in text.chars() {
            match character {
                '\'' | '\\' => {
                    self.out.push('\\');
                    self.out.push(character);
                }
                '\n' => self.out.push_str("\\n"),
                '\t' => self.out.push_str("\\t"),
                '\r' => self.out.push_str("\\r"),
                character if is_deceptive(character) => {
                    let code = u32::from(character);
                    self.push(&if code > 0xffff { format!("\\U{code:08x}") } else { format!("\\u{code:04x}") });
                }
                character => self.out.push(character),
            }
        }
        self.out.push('\'');
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out.push_str("b'");
        for byte in bytes {
            match byte {
                b'\'' | b'\\' => {
                    self.out.push('\\');
                    self.out.push(char::from(*byte));
                }
                b' '..=b'~' => self.out.push(char::from(*byte)),
                byte => self.push(&format_args!("\\x{byte:02x}")),
            }
        }
        self.out.push('\'');
    }
}

#[cfg(test)]
mod tests {
    use crate::cel::{Budget, EvaluationError, Expression, Scope, Value, Variables};

    struct Nothing;

    impl<'a> Variables<'a> for Nothing {
        fn get(&self, _: usize, _: &Budget<'_>) -> Result<Value<'a>, EvaluationError> {
            Ok(Value::Null)
        }
    }

    fn literal(source: &str, width: usize) -> String {
        let expression = Expression::compile(source, &Scope::default()).unwrap();
        expression.evaluate(&Nothing, &Budget::new(1_000_000)).unwrap().to_literal(width)
    }

    #[test]
    fn a_literal_gives_the_value_it_stands_for() {
        let literals = [
            "null",
            "true",
            "-7",
            "9223372036854775807",
            "3u",
            "1.0",
            "1e300",
            "double('NaN')",
            "double('+Inf')",
            r"'it\'s \\ \n \u202e \U000e0041 é'",
            r"b'\xff\x00 a\''",
            "timestamp('2026-11-22T10:00:00.5Z')",
            "duration('5400s')",
            "optional.none()",
            "quantity('1k')",
            "ip('10.0.0.1')",
            "cidr('10.0.0.0/8')",
            "url('https://example.com/a')",
            "semver('1.2.3')",
            "optional.of(optional.of({'a': [1, 2], 'b': []}))",
            "{1: b'x', 2: b''}",
            "string",
        ];
        for source in literals {
            assert_eq!(literal(source, 100), source);
            assert_eq!(literal(&literal(source, 3), 100), source, "broken into lines");
        }
        assert_eq!(literal("[dyn(1), dyn(2u), dyn([]), dyn({})]", 100), "[1, 2u, [], {}]", "values of different types");
    }

    #[test]
    fn what_does_not_fit_a_line_is_written_an_item_a_line() {
        let source = "{'name': dyn('web'), 'ports': dyn([80, 443]), 'args': dyn(['--listen', '0.0.0.0:8080', '--verbose'])}";
        let wide =
            "{\n  'args': [\n    '--listen',\n    '0.0.0.0:8080',\n    '--verbose',\n  ],\n  'name': 'web',\n  'ports': [80, 443],\n}";
        assert_eq!(literal(source, 30), wide);
        let many = literal("lists.range(100000)", 80);
        assert!(many.ends_with("\n  9998,\n  ...\n]"), "{}", many.get(many.len() - 40..).unwrap());
    }
}
