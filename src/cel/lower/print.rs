//! An expression written out from the parser's tree, with names replaced on the way: the text means what was parsed, whatever the
//! author's spaces and brackets were.

use std::fmt::Write as _;

use cel_interpreter::IdedExpr;
use cel_interpreter::common::ast::{EntryExpr, Expr, LiteralValue, operators};

use super::super::macros::bound_by;

/// What is written in place of the first names of a chain `a.b.c` whose root no macro binds: how many of them, and a text that may
/// stand before a `.` or `[`.
pub type Replace<'r> = dyn Fn(&[&str]) -> Option<(usize, String)> + Sync + 'r;

/// How the items of a list are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::cel) enum Items {
    /// As they were read.
    #[cfg(test)]
    AsRead,
    /// As `dyn` where they may be of several types once names are replaced: Kubernetes refuses such a list.
    OfAnyType,
}

/// The text of a tree.
pub(in crate::cel) fn print(root: &IdedExpr, items: Items, replace: &Replace<'_>) -> String {
    let mut printer = Printer { out: String::new(), bound: Vec::new(), items, replace };
    printer.expression(root, Level::Conditional);
    printer.out
}

/// How strongly an expression binds, in the words of CEL's grammar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Conditional,
    Or,
    And,
    Relation,
    Addition,
    Multiplication,
    Unary,
    Member,
}

impl Level {
    fn next(self) -> Self {
        match self {
            Self::Conditional => Self::Or,
            Self::Or => Self::And,
            Self::And => Self::Relation,
            Self::Relation => Self::Addition,
            Self::Addition => Self::Multiplication,
            Self::Multiplication => Self::Unary,
            Self::Unary | Self::Member => Self::Member,
        }
    }
}

struct Printer<'e, 'r> {
    out: String,
    /// Names of the macros around.
    bound: Vec<&'e str>,
    items: Items,
    replace: &'r Replace<'r>,
}

impl<'e> Printer<'e, '_> {
    /// Writes an expression where at least `least` must bind.
    fn expression(&mut self, part: &'e IdedExpr, least: Level) {
        let brackets = level(part) < least;
        if brackets {
            self.out.push('(');
        }
        match &part.expr {
            Expr::Literal(literal) => self.literal(literal),
            Expr::Ident(_) | Expr::Select(_) => self.chain(part),
            Expr::Call(call) => match call.target.as_deref() {
                Some(target) => {
                    self.operand(target);
                    let _ = write!(self.out, ".{}", call.func_name);
                    self.arguments(&call.func_name, &call.args);
                }
                None => self.operator(part, &call.func_name, &call.args),
            },
            Expr::List(list) => {
                let optional = |index| list.optional_indices.contains(&index);
                let of_any_type = self.items == Items::OfAnyType && list.elements.len() > 1 && !is_plain(&list.elements);
                self.out.push('[');
                for (index, element) in list.elements.iter().enumerate() {
                    self.comma(index);
                    self.optional(optional(index));
                    let marked = of_any_type && !optional(index);
                    self.out.push_str(if marked { "dyn(" } else { "" });
                    self.expression(element, Level::Conditional);
                    self.out.push_str(if marked { ")" } else { "" });
                }
                self.out.push(']');
            }
            Expr::Map(map) => self.entries(map.entries.iter().map(|entry| &entry.expr)),
            Expr::Struct(message) => {
                self.out.push_str(&message.type_name);
                self.entries(message.entries.iter().map(|entry| &entry.expr));
            }
            // The parser is told to expand no macro, and gives neither.
            Expr::Unspecified | Expr::Comprehension(_) => {}
        }
        if brackets {
            self.out.push(')');
        }
    }

    /// What stands before a `.` or `[`. A number's own point would be read first.
    fn operand(&mut self, part: &'e IdedExpr) {
        let number = matches!(&part.expr, Expr::Literal(LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_)));
        if number {
            self.out.push('(');
        }
        self.expression(part, Level::Member);
        if number {
            self.out.push(')');
        }
    }

    /// A name, or a field of something; of a chain of names the beginning may be replaced.
    fn chain(&mut self, part: &'e IdedExpr) {
        if let Some(names) = super::segments(part)
            && names.first().is_some_and(|root| !self.bound.contains(root))
            && let Some((count, text)) = (self.replace)(&names)
        {
            self.out.push_str(&text);
            names.iter().skip(count).for_each(|name| self.field(".", name));
            return;
        }
        match &part.expr {
            Expr::Ident(name) => self.out.push_str(name),
            Expr::Select(select) => {
                self.operand(&select.operand);
                self.field(".", &select.field);
            }
            _ => {}
        }
    }

    fn field(&mut self, dot: &str, name: &str) {
        let mut bytes = name.bytes();
        let plain = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let _ = if plain { write!(self.out, "{dot}{name}") } else { write!(self.out, "{dot}`{name}`") };
    }

    fn arguments(&mut self, function: &str, arguments: &'e [IdedExpr]) {
        let before = self.bound.len();
        let binds = bound_by(function, arguments.len());
        self.out.push('(');
        for (index, argument) in arguments.iter().enumerate() {
            self.comma(index);
            if let (true, Expr::Ident(name)) = (index < binds, &argument.expr) {
                self.out.push_str(name);
                self.bound.push(name);
            } else {
                self.expression(argument, Level::Conditional);
            }
        }
        self.out.push(')');
        self.bound.truncate(before);
    }

    fn operator(&mut self, part: &'e IdedExpr, name: &str, arguments: &'e [IdedExpr]) {
        match (name, arguments) {
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.expression(condition, Level::Or);
                self.out.push_str(" ? ");
                self.expression(yes, Level::Or);
                self.out.push_str(" : ");
                self.expression(no, Level::Conditional);
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [_, _]) => {
                let (level, sign) = if name == operators::LOGICAL_OR { (Level::Or, "||") } else { (Level::And, "&&") };
                for (index, term) in terms(part, name).into_iter().enumerate() {
                    if index > 0 {
                        let _ = write!(self.out, " {sign} ");
                    }
                    self.expression(term, level.next());
                }
            }
            (operators::LOGICAL_NOT, [operand]) => {
                self.out.push('!');
                self.expression(operand, Level::Member);
            }
            (operators::NEGATE, [operand]) => {
                self.out.push('-');
                self.operand(operand);
            }
            (operators::INDEX | operators::OPT_INDEX, [operand, index]) => {
                self.operand(operand);
                self.out.push('[');
                self.optional(name == operators::OPT_INDEX);
                self.expression(index, Level::Conditional);
                self.out.push(']');
            }
            (operators::OPT_SELECT, [operand, field]) => {
                self.operand(operand);
                if let Expr::Literal(LiteralValue::String(field)) = &field.expr {
                    self.field(".?", field.inner());
                }
            }
            (_, [left, right]) if let Some((level, sign)) = infix(name) => {
                self.expression(left, level);
                let _ = write!(self.out, " {sign} ");
                self.expression(right, level.next());
            }
            _ => {
                self.out.push_str(name);
                self.arguments(name, arguments);
            }
        }
    }

    fn entries(&mut self, entries: impl Iterator<Item = &'e EntryExpr>) {
        self.out.push('{');
        for (index, entry) in entries.enumerate() {
            self.comma(index);
            match entry {
                EntryExpr::MapEntry(entry) => {
                    self.optional(entry.optional);
                    self.expression(&entry.key, Level::Conditional);
                    self.out.push_str(": ");
                    self.expression(&entry.value, Level::Conditional);
                }
                EntryExpr::StructField(field) => {
                    self.optional(field.optional);
                    self.field("", &field.field);
                    self.out.push_str(": ");
                    self.expression(&field.value, Level::Conditional);
                }
            }
        }
        self.out.push('}');
    }

    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.out.push_str(", ");
        }
    }

    fn optional(&mut self, is: bool) {
        if is {
            self.out.push('?');
        }
    }

    fn literal(&mut self, literal: &LiteralValue) {
        let _ = match literal {
            LiteralValue::Boolean(value) => write!(self.out, "{}", value.inner()),
            LiteralValue::Int(value) => write!(self.out, "{}", value.inner()),
            LiteralValue::UInt(value) => write!(self.out, "{}u", value.inner()),
            LiteralValue::Double(value) => write!(self.out, "{:?}", value.inner()),
            LiteralValue::Null => write!(self.out, "null"),
            LiteralValue::String(value) => write!(self.out, "{}", string(value.inner())),
            LiteralValue::Bytes(value) => {
                self.out.push_str("b'");
                for byte in value.inner() {
                    let _ = write!(self.out, "\\x{byte:02x}");
                }
                write!(self.out, "'")
            }
        };
    }
}

/// Whether items are literals of one type.
fn is_plain(items: &[IdedExpr]) -> bool {
    let literal = |item: &IdedExpr| if let Expr::Literal(literal) = &item.expr { Some(std::mem::discriminant(literal)) } else { None };
    let mut types = items.iter().map(literal);
    types.next().flatten().is_some_and(|first| types.all(|other| other == Some(first)))
}

/// A string as a literal of CEL.
pub(in crate::cel) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for sign in text.chars() {
        match sign {
            '\'' | '\\' => out.extend(['\\', sign]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            sign if sign.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(sign));
            }
            sign => out.push(sign),
        }
    }
    out.push('\'');
    out
}

fn level(part: &IdedExpr) -> Level {
    let Expr::Call(call) = &part.expr else { return Level::Member };
    match (call.func_name.as_str(), call.args.len(), &call.target) {
        (operators::CONDITIONAL, 3, None) => Level::Conditional,
        (operators::LOGICAL_OR, 2, None) => Level::Or,
        (operators::LOGICAL_AND, 2, None) => Level::And,
        (operators::LOGICAL_NOT | operators::NEGATE, 1, None) => Level::Unary,
        (name, 2, None) => infix(name).map_or(Level::Member, |(level, _)| level),
        _ => Level::Member,
    }
}

fn infix(name: &str) -> Option<(Level, &'static str)> {
    Some(match name {
        operators::EQUALS => (Level::Relation, "=="),
        operators::NOT_EQUALS => (Level::Relation, "!="),
        operators::LESS => (Level::Relation, "<"),
        operators::LESS_EQUALS => (Level::Relation, "<="),
        operators::GREATER => (Level::Relation, ">"),
        operators::GREATER_EQUALS => (Level::Relation, ">="),
        operators::IN => (Level::Relation, "in"),
        operators::ADD => (Level::Addition, "+"),
        operators::SUBSTRACT => (Level::Addition, "-"),
        operators::MULTIPLY => (Level::Multiplication, "*"),
        operators::DIVIDE => (Level::Multiplication, "/"),
        operators::MODULO => (Level::Multiplication, "%"),
        _ => return None,
    })
}

/// The two sides, if an expression is this logical operator.
fn sides<'e>(part: &'e IdedExpr, operator: &str) -> Option<[&'e IdedExpr; 2]> {
    match &part.expr {
        Expr::Call(call) if call.target.is_none() && call.func_name == operator => match call.args.as_slice() {
            [left, right] => Some([left, right]),
            _ => None,
        },
        _ => None,
    }
}

fn count(part: &IdedExpr, operator: &str) -> usize {
    sides(part, operator).map_or(1, |[left, right]| count(left, operator) + count(right, operator))
}

/// As many terms as written side by side make this tree: the parser balances them, as cel-go does. What is left of the operator inside
/// a term stood in brackets.
fn terms<'e>(part: &'e IdedExpr, operator: &str) -> Vec<&'e IdedExpr> {
    fn collect<'e>(part: &'e IdedExpr, operator: &str, wanted: usize, terms: &mut Vec<&'e IdedExpr>) -> bool {
        if wanted == 1 {
            terms.push(part);
            return true;
        }
        let first = wanted.div_ceil(2);
        sides(part, operator)
            .is_some_and(|[left, right]| collect(left, operator, first, terms) && collect(right, operator, wanted - first, terms))
    }
    let most = count(part, operator);
    let fitting = (2..=most).rev().find_map(|wanted| {
        let mut terms = Vec::with_capacity(wanted);
        collect(part, operator, wanted, &mut terms).then_some(terms)
    });
    fitting.unwrap_or_else(|| vec![part])
}

#[cfg(test)]
pub(in crate::cel) mod tests {
    use cel_interpreter::Env;

    use super::*;

    /// A tree without the parser's numbers, so that two can be compared.
    fn tree(part: &IdedExpr) -> IdedExpr {
        let mut copy = part.clone();
        let mut open = vec![&mut copy];
        while let Some(part) = open.pop() {
            part.id = 0;
            match &mut part.expr {
                Expr::Call(call) => open.extend(call.target.as_deref_mut().into_iter().chain(&mut call.args)),
                Expr::List(list) => open.extend(&mut list.elements),
                Expr::Select(select) => open.push(&mut select.operand),
                Expr::Map(map) => entries(&mut map.entries, &mut open),
                Expr::Struct(message) => entries(&mut message.entries, &mut open),
                _ => {}
            }
        }
        copy
    }

    fn entries<'e>(entries: &'e mut [cel_interpreter::common::ast::IdedEntryExpr], open: &mut Vec<&'e mut IdedExpr>) {
        for entry in entries {
            entry.id = 0;
            match &mut entry.expr {
                EntryExpr::MapEntry(entry) => open.extend([&mut entry.key, &mut entry.value]),
                EntryExpr::StructField(field) => open.push(&mut field.value),
            }
        }
    }

    /// Prints and reads again; the tree must be the same. Nothing if the text is no expression.
    pub(in crate::cel) fn printed(source: &str) -> Option<String> {
        let texts = [source.to_owned()];
        let done = super::super::map_on_parser_stacks(
            &texts,
            1,
            |source| {
                let env = Env::default();
                let (first, _) = super::super::parse(&env, source).ok()?;
                let text = print(&first, Items::AsRead, &|_| None);
                let (second, _) = super::super::parse(&env, &text).unwrap_or_else(|error| panic!("{source}\n{text}: {error}"));
                assert!(tree(&first) == tree(&second), "{source}\n{text}");
                Some(text)
            },
            |source, reason| panic!("{source}: {reason}"),
        );
        done.into_iter().flatten().next()
    }

    #[test]
    fn what_is_printed_reads_as_the_same_tree_for_every_expression_of_the_corpus() {
        let read = crate::cel::tests::expressions().filter(|source| printed(source).is_some()).count();
        assert!(read > 6000, "{read}");
    }

    #[test]
    fn brackets_stand_where_they_must_and_nowhere_else() {
        for (source, text) in [
            ("(a + b) * c - (d - e)", "(a + b) * c - (d - e)"),
            ("((a)) + (b * c)", "a + b * c"),
            ("!(a && b) || !(!c)", "!(a && b) || !(!c)"),
            ("a && b && c && d && e && (f && g)", "a && b && c && d && e && (f && g)"),
            ("(a ? b : c) ? d : e ? f : g", "(a ? b : c) ? d : e ? f : g"),
            ("-(1) - -1 - (-a).b", "-(1) - -1 - (-a).b"),
            ("(1).c() + a.?b[?c].d", "(1).c() + a.?b[?c].d"),
            ("a.`b-c`.d('\\'\\n', \"x\", b'\\000')", "a.`b-c`.d('\\'\\n', 'x', b'\\x00')"),
            ("{?'a': b, 'c': [?d, e]}", "{?'a': b, 'c': [?d, e]}"),
            ("a in [1u, 2.0, 1e30, null, true]", "a in [1u, 2.0, 1e30, null, true]"),
        ] {
            assert_eq!(printed(source).as_deref(), Some(text), "{source}");
        }
    }

    #[test]
    fn a_list_whose_items_may_be_of_several_types_is_one_of_dyn() {
        for (source, text) in
            [("[a, 'b']", "[dyn(a), dyn('b')]"), ("['a', 'b'] + [c]", "['a', 'b'] + [c]"), ("[1, 2u]", "[dyn(1), dyn(2u)]")]
        {
            assert_eq!(super::super::rewrite(source, &|_| None).unwrap(), text);
        }
    }

    #[test]
    fn only_names_that_no_macro_binds_are_replaced() {
        let replaced = |source: &str| {
            super::super::rewrite(source, &|names: &[&str]| (names.first() == Some(&"p")).then(|| (1, "variables.p".to_owned()))).unwrap()
        };
        assert_eq!(replaced("p.a.exists(p, p.x) && p"), "variables.p.a.exists(p, p.x) && variables.p");
        assert_eq!(replaced("q.p.all(k, v, v == p[k].p) "), "q.p.all(k, v, v == variables.p[k].p)");
        assert_eq!(replaced("q.map(x, p, x + p)"), "q.map(x, variables.p, x + variables.p)");
        assert_eq!(replaced("p.?a.optMap(p, p.b).orValue(p)"), "variables.p.?a.optMap(p, p.b).orValue(variables.p)");
    }
}
