//! The parser of the crate reads any CEL and says in cel-go's words what is wrong, but takes 50 microseconds for what is read here in
//! three. This one reads what policies are made of into the same tree, with the same places; at anything rare (bytes, triple quotes,
//! messages, quoted names, unusual escapes) and at any mistake it gives up, and the crate's parser has the word. So it decides nothing:
//! what it accepts the other accepts alike, which tests and the fuzz target `cel` hold it to.

use cel_interpreter::IdedExpr;
use cel_interpreter::common::ast::{
    CallExpr, EntryExpr, Expr, IdedEntryExpr, ListExpr, LiteralValue, MapEntryExpr, MapExpr, SelectExpr, SourceInfo, operators,
};

/// Expressions inside expressions; what nests deeper is left to the crate's parser, which counts them its own way.
const MAX_DEPTH: u32 = 100;

/// Words that the grammar keeps for itself; as names of fields they are left to the crate's parser too.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// The tree of an expression, if it is an everyday one.
pub(super) fn parse(source: &str) -> Option<(IdedExpr, SourceInfo)> {
    let tokens = tokens(source)?;
    let mut reader = Reader { source, tokens, next: 0, info: SourceInfo::default(), id: 0, depth: 0 };
    let expression = reader.expression()?;
    (reader.next == reader.tokens.len()).then_some((expression, reader.info))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Name,
    Int,
    UInt,
    Double,
    /// A string without escapes, or a raw one.
    Plain,
    Escaped,
    /// An operator or a bracket.
    Sign,
}

#[derive(Clone, Copy, Debug)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

fn tokens(source: &str) -> Option<Vec<Token>> {
    let bytes = source.as_bytes();
    let mut tokens = Vec::with_capacity(source.len() / 4);
    let mut at = 0;
    while let Some(first) = bytes.get(at).copied() {
        let rest = bytes.get(at..)?;
        let (kind, length) = match first {
            b' ' | b'\t' | b'\r' | b'\n' | b'\x0c' => {
                at += 1;
                continue;
            }
            b'/' if rest.starts_with(b"//") => {
                at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                continue;
            }
            b'\'' | b'"' => string(rest, false)?,
            b'r' | b'R' if matches!(rest.get(1), Some(b'\'' | b'"')) => {
                let (kind, length) = string(rest.get(1..)?, true)?;
                (kind, length + 1)
            }
            b'b' | b'B' if matches!(rest.get(1), Some(b'\'' | b'"')) => return None,
            b'b' | b'B' if matches!(rest.get(1..3), Some([b'r' | b'R', b'\'' | b'"'])) => return None,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => (Kind::Name, run(rest, |byte| byte.is_ascii_alphanumeric() || byte == b'_')),
            b'0'..=b'9' => number(rest),
            // A number may begin with its point.
            b'.' if rest.get(1).is_some_and(u8::is_ascii_digit) => return None,
            b'&' | b'|' if rest.get(1) == Some(&first) => (Kind::Sign, 2),
            b'=' | b'!' | b'<' | b'>' if rest.get(1) == Some(&b'=') => (Kind::Sign, 2),
            b'!' | b'<' | b'>' | b'+' | b'-' | b'*' | b'/' | b'%' | b'?' | b':' | b'.' | b',' | b'(' | b')' | b'[' | b']' | b'{' | b'}' => {
                (Kind::Sign, 1)
            }
            _ => return None,
        };
        tokens.push(Token { kind, start: at, end: at + length });
        at += length;
    }
    Some(tokens)
}

/// How many bytes at the beginning fit.
fn run(bytes: &[u8], fits: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !fits(*byte)).unwrap_or(bytes.len())
}

/// The kind of a number and its length.
fn number(rest: &[u8]) -> (Kind, usize) {
    let digits = |from: usize| run(rest.get(from..).unwrap_or_default(), |byte| byte.is_ascii_digit());
    let suffixed = |length: usize| match rest.get(length) {
        Some(b'u' | b'U') => (Kind::UInt, length + 1),
        _ => (Kind::Int, length),
    };
    if rest.starts_with(b"0x") {
        let hex = run(rest.get(2..).unwrap_or_default(), |byte| byte.is_ascii_hexdigit());
        if hex > 0 {
            return suffixed(2 + hex);
        }
    }
    let whole = digits(0);
    let mut length = whole;
    if rest.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if matches!(rest.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    if length > whole { (Kind::Double, length) } else { suffixed(whole) }
}

/// The kind of a string and its length, quotes included.
fn string(rest: &[u8], raw: bool) -> Option<(Kind, usize)> {
    let quote = *rest.first()?;
    if rest.get(1) == Some(&quote) && rest.get(2) == Some(&quote) {
        return None;
    }
    let mut at = 1;
    let mut kind = Kind::Plain;
    loop {
        match *rest.get(at)? {
            byte if byte == quote => return Some((kind, at + 1)),
            b'\n' | b'\r' => return None,
            b'\\' if !raw => {
                if !matches!(rest.get(at + 1), Some(b'n' | b't' | b'\\' | b'\'' | b'"')) {
                    return None;
                }
                kind = Kind::Escaped;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

struct Reader<'s> {
    source: &'s str,
    tokens: Vec<Token>,
    next: usize,
    info: SourceInfo,
    id: u64,
    depth: u32,
}

impl<'s> Reader<'s> {
    fn text(&self, token: Token) -> &'s str {
        self.source.get(token.start..token.end).unwrap_or_default()
    }

    /// The next token, if it is this sign.
    fn sign(&mut self, sign: &str) -> Option<Token> {
        let token = *self.tokens.get(self.next)?;
        (token.kind == Kind::Sign && self.text(token) == sign).then(|| {
            self.next += 1;
            token
        })
    }

    /// The next token, if it is one of these operators, with the function it stands for.
    fn operator(&mut self, known: &[(&str, &'static str)]) -> Option<(Token, &'static str)> {
        let token = *self.tokens.get(self.next)?;
        if !matches!(token.kind, Kind::Sign | Kind::Name) {
            return None;
        }
        let text = self.text(token);
        let (_, function) = known.iter().find(|(sign, _)| *sign == text)?;
        self.next += 1;
        Some((token, function))
    }

    /// A name that is no word of the grammar.
    fn name(&mut self) -> Option<(Token, &'s str)> {
        let token = *self.tokens.get(self.next)?;
        let text = self.text(token);
        (token.kind == Kind::Name && !RESERVED.contains(&text)).then(|| {
            self.next += 1;
            (token, text)
        })
    }

    /// An expression that stands, for the parser's errors, at a token.
    fn at(&mut self, token: Token, expr: Expr) -> IdedExpr {
        self.id += 1;
        let number = |byte: usize| u32::try_from(byte).unwrap_or(u32::MAX);
        self.info.add_offset(self.id, number(token.start), number(token.end.saturating_sub(1)));
        IdedExpr { id: self.id, expr }
    }

    fn call(&mut self, token: Token, name: &str, target: Option<IdedExpr>, args: Vec<IdedExpr>) -> IdedExpr {
        self.at(token, Expr::Call(CallExpr { func_name: name.to_owned(), target: target.map(Box::new), args }))
    }

    fn expression(&mut self) -> Option<IdedExpr> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let condition = self.logic(operators::LOGICAL_OR, "||")?;
        let expression = match self.sign("?") {
            None => condition,
            Some(token) => {
                let yes = self.logic(operators::LOGICAL_OR, "||")?;
                self.sign(":")?;
                let no = self.expression()?;
                self.call(token, operators::CONDITIONAL, None, vec![condition, yes, no])
            }
        };
        self.depth -= 1;
        Some(expression)
    }

    /// `||` of `&&` of comparisons; a chain of one operator becomes a balanced tree.
    fn logic(&mut self, function: &str, sign: &str) -> Option<IdedExpr> {
        let mut terms = Vec::new();
        let mut signs = Vec::new();
        loop {
            let term = if sign == "||" { self.logic(operators::LOGICAL_AND, "&&")? } else { self.comparison()? };
            terms.push(Some(term));
            match self.sign(sign) {
                Some(token) => signs.push(token),
                None => break,
            }
        }
        match signs.len().checked_sub(1) {
            None => terms.pop().flatten(),
            Some(last) => self.balanced(function, &mut terms, &signs, 0, last),
        }
    }

    /// The tree over the operators from `low` to `high`, each with a term on both sides.
    fn balanced(&mut self, function: &str, terms: &mut [Option<IdedExpr>], signs: &[Token], low: usize, high: usize) -> Option<IdedExpr> {
        let middle = (low + high).div_ceil(2);
        let left = if middle == low { terms.get_mut(middle)?.take()? } else { self.balanced(function, terms, signs, low, middle - 1)? };
        let right =
            if middle == high { terms.get_mut(middle + 1)?.take()? } else { self.balanced(function, terms, signs, middle + 1, high)? };
        Some(self.call(*signs.get(middle)?, function, None, vec![left, right]))
    }

    fn comparison(&mut self) -> Option<IdedExpr> {
        const KNOWN: [(&str, &str); 7] = [
            ("==", operators::EQUALS),
            ("!=", operators::NOT_EQUALS),
            ("in", operators::IN),
            ("<", operators::LESS),
            ("<=", operators::LESS_EQUALS),
            (">", operators::GREATER),
            (">=", operators::GREATER_EQUALS),
        ];
        let mut left = self.sum()?;
        while let Some((token, function)) = self.operator(&KNOWN) {
            let right = self.sum()?;
            left = self.call(token, function, None, vec![left, right]);
        }
        Some(left)
    }

    fn sum(&mut self) -> Option<IdedExpr> {
        let mut left = self.product()?;
        while let Some((token, function)) = self.operator(&[("+", operators::ADD), ("-", operators::SUBSTRACT)]) {
            let right = self.product()?;
            left = self.call(token, function, None, vec![left, right]);
        }
        Some(left)
    }

    fn product(&mut self) -> Option<IdedExpr> {
        const KNOWN: [(&str, &str); 3] = [("*", operators::MULTIPLY), ("/", operators::DIVIDE), ("%", operators::MODULO)];
        let mut left = self.unary()?;
        while let Some((token, function)) = self.operator(&KNOWN) {
            let right = self.unary()?;
            left = self.call(token, function, None, vec![left, right]);
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<IdedExpr> {
        if let Some(token) = self.sign("!") {
            // A second one would cancel the first.
            let operand = if self.sign("!").is_some() { return None } else { self.member()? };
            return Some(self.call(token, operators::LOGICAL_NOT, None, vec![operand]));
        }
        let is_number = |token: &Token| matches!(token.kind, Kind::Int | Kind::Double);
        if !self.tokens.get(self.next + 1).is_some_and(is_number)
            && let Some(token) = self.sign("-")
        {
            let operand = if self.sign("-").is_some() { return None } else { self.member()? };
            return Some(self.call(token, operators::NEGATE, None, vec![operand]));
        }
        self.member()
    }

    fn member(&mut self) -> Option<IdedExpr> {
        let mut operand = self.primary()?;
        loop {
            if let Some(dot) = self.sign(".") {
                if self.sign("?").is_some() {
                    let (_, field) = self.name()?;
                    let field = self.at(dot, Expr::Literal(LiteralValue::String(field.to_owned().into())));
                    operand = self.call(dot, operators::OPT_SELECT, None, vec![operand, field]);
                    continue;
                }
                let (_, name) = self.name()?;
                operand = match self.sign("(") {
                    Some(open) => {
                        let arguments = self.arguments()?;
                        self.call(open, name, Some(operand), arguments)
                    }
                    None => self.at(dot, Expr::Select(SelectExpr { operand: Box::new(operand), field: name.to_owned(), test: false })),
                };
            } else if let Some(open) = self.sign("[") {
                let function = if self.sign("?").is_some() { operators::OPT_INDEX } else { operators::INDEX };
                let index = self.expression()?;
                self.sign("]")?;
                operand = self.call(open, function, None, vec![operand, index]);
            } else {
                return Some(operand);
            }
        }
    }

    /// What stands between the parentheses of a call, the closing one included.
    fn arguments(&mut self) -> Option<Vec<IdedExpr>> {
        let mut arguments = Vec::new();
        if self.sign(")").is_some() {
            return Some(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if self.sign(",").is_none() {
                self.sign(")")?;
                return Some(arguments);
            }
        }
    }

    fn primary(&mut self) -> Option<IdedExpr> {
        if self.sign("(").is_some() {
            let inner = self.expression()?;
            self.sign(")")?;
            return Some(inner);
        }
        if let Some(open) = self.sign("[") {
            return self.list(open);
        }
        if let Some(open) = self.sign("{") {
            return self.map(open);
        }
        if let Some((token, name)) = self.name() {
            return match self.sign("(") {
                Some(open) => {
                    let arguments = self.arguments()?;
                    Some(self.call(open, name, None, arguments))
                }
                None => Some(self.at(token, Expr::Ident(name.to_owned()))),
            };
        }
        self.literal()
    }

    fn list(&mut self, open: Token) -> Option<IdedExpr> {
        let (mut elements, mut optional_indices) = (Vec::new(), Vec::new());
        while self.sign("]").is_none() {
            if self.sign("?").is_some() {
                optional_indices.push(elements.len());
            }
            elements.push(self.expression()?);
            if self.sign(",").is_none() {
                self.sign("]")?;
                break;
            }
        }
        Some(self.at(open, Expr::List(ListExpr { elements, optional_indices })))
    }

    fn map(&mut self, open: Token) -> Option<IdedExpr> {
        let mut entries = Vec::new();
        while self.sign("}").is_none() {
            let optional = self.sign("?").is_some();
            let key = self.expression()?;
            let colon = self.sign(":")?;
            let value = self.expression()?;
            let id = self.at(colon, Expr::Unspecified).id;
            entries.push(IdedEntryExpr { id, expr: EntryExpr::MapEntry(MapEntryExpr { key, value, optional }) });
            if self.sign(",").is_none() {
                self.sign("}")?;
                break;
            }
        }
        Some(self.at(open, Expr::Map(MapExpr { entries })))
    }

    fn literal(&mut self) -> Option<IdedExpr> {
        let negative = self.sign("-").is_some();
        let token = *self.tokens.get(self.next)?;
        let text = self.text(token);
        let inside = |prefix: usize| text.get(prefix..text.len() - 1).map(str::to_owned);
        let value = match token.kind {
            Kind::Int => LiteralValue::Int(int(text, negative)?.into()),
            Kind::Double => {
                let value: f64 = text.parse().ok()?;
                LiteralValue::Double((if negative { -value } else { value }).into())
            }
            _ if negative => return None,
            Kind::UInt => {
                let digits = inside(0)?;
                let value = match digits.strip_prefix("0x") {
                    Some(hex) => u64::from_str_radix(hex, 16),
                    None => digits.parse(),
                };
                LiteralValue::UInt(value.ok()?.into())
            }
            Kind::Plain => LiteralValue::String(inside(if text.starts_with(['r', 'R']) { 2 } else { 1 })?.into()),
            Kind::Escaped => LiteralValue::String(unescaped(&inside(1)?).into()),
            Kind::Name => match text {
                "true" => LiteralValue::Boolean(true.into()),
                "false" => LiteralValue::Boolean(false.into()),
                "null" => LiteralValue::Null,
                _ => return None,
            },
            Kind::Sign => return None,
        };
        if matches!(&value, LiteralValue::Double(value) if !value.inner().is_finite()) {
            return None;
        }
        self.next += 1;
        Some(self.at(token, Expr::Literal(value)))
    }
}

fn int(text: &str, negative: bool) -> Option<i64> {
    let (radix, digits) = text.strip_prefix("0x").map_or((10, text), |hex| (16, hex));
    let sign = if negative { "-" } else { "" };
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

/// The text of a string whose escapes are those that [`string`] lets pass.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(escaped) => escaped,
                None => break,
            },
            character => character,
        });
    }
    out
}

#[cfg(test)]
mod tests;
