//! From text to the intermediate form. The only room that knows the `cel` crate: its parser is used, with no macro expanded, so that
//! `has`, `all` and the rest arrive as the calls the author wrote and are lowered with the author's own positions.
//!
//! - `quick`: the same trees for everyday texts, much sooner
//! - `spans`: where each part stands

use std::cell::RefCell;
use std::ops::Range;

use cel_interpreter::common::ast::{EntryExpr, Expr, LiteralValue, SourceInfo, operators};
use cel_interpreter::{Env, IdedExpr};

use super::error::{CompileError, nearest};
use super::functions;
use super::ir::{Call, Constant, Ir, Op, Operator};
use super::macros;
use super::scope::Scope;
use super::types;

pub(super) mod print;
mod quick;
mod spans;

pub(super) use print::string as string_literal;

/// The longest source that is read, in bytes; cel-go's words for a longer one name code points, of which it reads 100,000.
const MAX_SOURCE: usize = 16 * 1024;
/// How deep the tree of an expression may be; chains such as `1 + 1 + ...` are as deep as they are long, `&&` and `||` are not.
const MAX_DEPTH: u32 = 250;
/// What to do about either.
const SMALLER: &str = "move parts of it into variables";
/// Parsing and dropping a tree recurse in the parser's crate, 0.5 kB a level of a chain: 16 KiB of text never fill this.
const STACK: usize = 64 * 1024 * 1024;

/// What lowering makes of one text.
pub(super) struct Lowered {
    pub(super) root: Ir,
    pub(super) slots: Vec<usize>,
    pub(super) depth: u32,
    pub(super) locals: usize,
}

/// What the API server declares as lists in `request` and `namespaceObject`; of all else it knows no type before the evaluation.
const LISTS_OF_THE_REQUEST: &[&[&str]] = &[
    &["request", "userInfo", "groups"],
    &["namespaceObject", "metadata", "finalizers"],
    &["namespaceObject", "spec", "finalizers"],
    &["namespaceObject", "status", "conditions"],
];

/// Texts that are worth a thread: starting one costs about what one text does.
const TEXTS_A_THREAD: usize = 32;

thread_local! {
    /// The parser of a thread whose stack the deepest text cannot overflow; other threads have none.
    static PARSER: RefCell<Option<Env>> = const { RefCell::new(None) };
}

/// Lowers several texts, in order, on as few threads as pays.
pub(super) fn lower_all(sources: &[(&str, &Scope)]) -> Vec<Result<Lowered, CompileError>> {
    let work = |(source, scope): &(&str, &Scope)| {
        PARSER.with_borrow(|parser| match parser {
            Some(env) => lower(env, source, scope),
            None => Err(CompileError::new(source, 0..source.len(), "no thread to parse on")),
        })
    };
    let failed = |(source, _): &(&str, &Scope), reason: &str| Err(CompileError::new(source, 0..source.len(), reason));
    map_on_parser_stacks(sources, TEXTS_A_THREAD, work, failed)
}

/// Maps items, in order, on threads whose stacks the deepest text cannot overflow: compiling inside `work` needs no further thread.
/// At least `share` items go to a thread. `failed` answers for an item whose thread could not be started or panicked.
pub(super) fn map_on_parser_stacks<T: Sync, R: Send>(
    items: &[T],
    share: usize,
    work: impl Fn(&T) -> R + Sync,
    failed: impl Fn(&T, &str) -> R,
) -> Vec<R> {
    if PARSER.with_borrow(Option::is_some) {
        return items.iter().map(work).collect();
    }
    let threads = items.len().div_ceil(share.max(1)).min(std::thread::available_parallelism().map_or(1, usize::from));
    let share = items.len().div_ceil(threads.max(1)).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let started: Vec<_> = items
            .chunks(share)
            .map(|part| {
                let run = move || {
                    PARSER.set(Some(Env::default()));
                    part.iter().map(work).collect::<Vec<R>>()
                };
                (part, std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run))
            })
            .collect();
        let mut results = Vec::with_capacity(items.len());
        for (part, thread) in started {
            match thread.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(done)) => results.extend(done),
                Ok(Err(_)) => results.extend(part.iter().map(|item| failed(item, "the parser failed on this text"))),
                Err(error) => results.extend(part.iter().map(|item| failed(item, &format!("no thread to parse on: {error}")))),
            }
        }
        results
    })
}

/// An expression with names replaced: see [`print::Replace`].
pub(super) fn rewrite(source: &str, replace: &print::Replace<'_>) -> Result<String, CompileError> {
    let failed = |reason: &str| CompileError::new(source, 0..source.len(), reason);
    let work = |source: &&str| {
        PARSER.with_borrow(|parser| match parser {
            Some(env) => {
                let (expression, _) = read(env, source)?;
                checked_depth(source, &expression)?;
                Ok(print::print(&expression, print::Items::OfAnyType, replace))
            }
            None => Err(failed("no thread to parse on")),
        })
    };
    let rewritten = map_on_parser_stacks(&[source], 1, work, |_, reason| Err(failed(reason)));
    rewritten.into_iter().next().unwrap_or_else(|| Err(failed("nothing was parsed")))
}

/// The tree of a text that is not too long to be read.
fn read(env: &Env, source: &str) -> Result<(IdedExpr, SourceInfo), CompileError> {
    if source.len() > MAX_SOURCE {
        let message = format!("expression code point size exceeds limit: size: {}, limit {MAX_SOURCE}: {SMALLER}", source.len());
        return Err(CompileError::new(source, 0..source.len(), message));
    }
    match quick::parse(source) {
        Some(read) => {
            #[cfg(fuzzing)]
            assert_read_alike(env, source, &read);
            Ok(read)
        }
        None => parse(env, source),
    }
}

/// What the quick parser reads, the crate's reads as the same tree with the same places: the fuzz targets ask for every text.
#[cfg(fuzzing)]
fn assert_read_alike(env: &Env, source: &str, (expression, _): &(IdedExpr, SourceInfo)) {
    let (other, _) = parse(env, source).unwrap_or_else(|error| panic!("only the quick parser reads this: {error}"));
    let shown = |tree| print::print(tree, print::Items::OfAnyType, &|_| None);
    assert_eq!(shown(expression), shown(&other));
}

/// The tree of a text by the crate's parser, whose errors are cel-go's.
fn parse(env: &Env, source: &str) -> Result<(IdedExpr, SourceInfo), CompileError> {
    let parser = env.parser().max_recursion_depth(250).enable_ident_escape_syntax(true);
    parser.parse_with_source_info(source).map_err(|errors| {
        // What the parser could not make of the pieces around a syntax error is no news.
        let syntax = errors.errors.iter().any(|error| error.msg.starts_with("Syntax error"));
        let told = || errors.errors.iter().filter(|error| !syntax || error.msg.starts_with("Syntax error"));
        let mut messages: Vec<&str> = Vec::new();
        for error in told() {
            let message = in_kubernetes_words(&error.msg);
            if !messages.contains(&message) {
                messages.push(message);
            }
        }
        // What the crate says of its recursion is not for readers; every other error then follows from it.
        if errors.errors.iter().any(|error| error.msg.contains("Recursion limit of")) {
            let message = format!("expression recursion limit exceeded: {MAX_DEPTH}: {SMALLER}");
            return CompileError::new(source, 0..source.len(), message);
        }
        let (line, column) = told().next().map_or((1, 1), |error| error.pos);
        let place = |number: isize| usize::try_from(number).unwrap_or(1).max(1);
        CompileError::at(source, place(line), place(column), messages.join("; "))
    })
}

fn lower(env: &Env, source: &str, scope: &Scope) -> Result<Lowered, CompileError> {
    let (expression, info) = read(env, source)?;
    lower_tree(source, scope, &expression, &info)
}

fn lower_tree(source: &str, scope: &Scope, expression: &IdedExpr, info: &SourceInfo) -> Result<Lowered, CompileError> {
    let depth = checked_depth(source, expression)?;
    let mut lowering =
        Lowering { source, scope, info, locals: Vec::new(), open: Vec::new(), deepest: 0, slots: Vec::new(), spans: Vec::new() };
    lowering.measure(expression);
    let root = lowering.lower(expression)?;
    let Lowering { mut slots, deepest, .. } = lowering;
    slots.sort_unstable();
    slots.dedup();
    Ok(Lowered { root, slots, depth, locals: deepest })
}

/// The depth of a tree that is not too deep to be walked.
fn checked_depth(source: &str, expression: &IdedExpr) -> Result<u32, CompileError> {
    let depth = depth_of(expression);
    if depth > MAX_DEPTH {
        let message = format!("the expression nests {depth} levels deep, at most {MAX_DEPTH} are read: {SMALLER}");
        return Err(CompileError::new(source, 0..source.len(), message));
    }
    Ok(depth)
}

/// What cel-go says to a literal that the parser's crate explains in its own way.
fn in_kubernetes_words(message: &str) -> &str {
    if message.contains("InvalidUnicode {") {
        "invalid unicode code point"
    } else if message.contains("InvalidEscape {") {
        "unable to unescape string"
    } else {
        message
    }
}

/// The depth of a tree, without recursion.
fn depth_of(root: &IdedExpr) -> u32 {
    let mut deepest = 0;
    let mut open = vec![(root, 1_u32)];
    while let Some((expression, depth)) = open.pop() {
        deepest = deepest.max(depth);
        children(expression, &mut |child| open.push((child, depth + 1)));
    }
    deepest
}

fn children<'e>(expression: &'e IdedExpr, visit: &mut dyn FnMut(&'e IdedExpr)) {
    match &expression.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(visit),
        Expr::List(list) => list.elements.iter().for_each(visit),
        Expr::Map(map) => map.entries.iter().for_each(|entry| visit_entry(&entry.expr, visit)),
        Expr::Struct(message) => message.entries.iter().for_each(|entry| visit_entry(&entry.expr, visit)),
        Expr::Select(select) => visit(&select.operand),
        _ => {}
    }
}

fn visit_entry<'e>(entry: &'e EntryExpr, visit: &mut dyn FnMut(&'e IdedExpr)) {
    match entry {
        EntryExpr::StructField(field) => visit(&field.value),
        EntryExpr::MapEntry(entry) => {
            visit(&entry.key);
            visit(&entry.value);
        }
    }
}

/// A part of the parser's tree, for the rooms that must not know the parser.
#[derive(Clone, Copy)]
pub(super) struct Part<'e>(&'e IdedExpr);

impl<'e> Part<'e> {
    /// The name, if the part is a plain one.
    pub(super) fn name(self) -> Option<&'e str> {
        if let Expr::Ident(name) = &self.0.expr { Some(name) } else { None }
    }

    /// The operand and the field, if the part is a field selection.
    pub(super) fn selection(self) -> Option<(Part<'e>, &'e str)> {
        if let Expr::Select(select) = &self.0.expr { Some((Part(&select.operand), &select.field)) } else { None }
    }
}

impl Part<'_> {
    /// Whether the part is no literal and no map.
    pub(super) fn may_be_bound(self) -> bool {
        !matches!(self.0.expr, Expr::Literal(_) | Expr::Map(_) | Expr::Struct(_))
    }
}

pub(super) struct Lowering<'s> {
    source: &'s str,
    scope: &'s Scope,
    info: &'s SourceInfo,
    /// Variables of the enclosing macros; a name nobody can write stands for a variable that is not used.
    locals: Vec<String>,
    /// Of each whether nothing is known of its type.
    open: Vec<bool>,
    deepest: usize,
    slots: Vec<usize>,
    /// Bytes of each expression, by the parser's id.
    spans: Vec<Range<u32>>,
}

impl Lowering<'_> {
    pub(super) fn part(&mut self, part: Part<'_>) -> Result<Ir, CompileError> {
        self.lower(part.0)
    }

    pub(super) fn error<T>(&self, part: Part<'_>, message: impl Into<String>) -> Result<T, CompileError> {
        Err(self.error_at(part.0, message))
    }

    fn error_at(&self, expression: &IdedExpr, message: impl Into<String>) -> CompileError {
        let span = self.span(expression);
        CompileError::new(self.source, span.start as usize..span.end as usize, message)
    }

    /// cel-go's words for a name that nothing has, and why it has not, or the one that may have been meant.
    pub(super) fn undeclared(&self, name: &str) -> String {
        if let Some(reason) = functions::refusal(name) {
            return format!("undeclared reference to '{name}' (in container ''): {reason}");
        }
        let known = self.scope.names().chain(self.locals.iter().map(String::as_str)).chain(functions::table().map(|row| row.name));
        format!("undeclared reference to '{name}' (in container ''){}", nearest(name, known))
    }

    /// Runs `inner` with these names bound to the next places on the stack of macro variables, each with whether its type is open.
    pub(super) fn with_locals<T>(&mut self, names: &[(&str, bool)], inner: impl FnOnce(&mut Self, usize) -> T) -> T {
        let base = self.locals.len();
        self.locals.extend(names.iter().map(|(name, _)| (*name).to_owned()));
        self.open.extend(names.iter().map(|(_, open)| *open));
        self.deepest = self.deepest.max(self.locals.len());
        let result = inner(self, base);
        self.locals.truncate(base);
        self.open.truncate(base);
        result
    }

    /// The bytes of an expression.
    fn span(&self, expression: &IdedExpr) -> Range<u32> {
        let known = usize::try_from(expression.id).ok().and_then(|id| self.spans.get(id));
        known.cloned().unwrap_or(0..u32::try_from(self.source.len()).unwrap_or(u32::MAX))
    }

    /// Whether a part is a variable of the scope with its whole dotted name.
    pub(super) fn is_variable(&self, part: Part<'_>) -> bool {
        segments(part.0).is_some_and(|chain| {
            let root = chain.first().copied().unwrap_or_default();
            !self.locals.iter().any(|local| local == root) && self.scope.longest(&chain).is_some_and(|(_, count)| count == chain.len())
        })
    }

    /// The error of a field that a namespace of variables does not have: `variables.nope`.
    pub(super) fn refuse_undeclared(&mut self, part: Part<'_>) -> Result<(), CompileError> {
        let Some(chain) = segments(part.0) else { return Ok(()) };
        let root = chain.first().copied().unwrap_or_default();
        let known = self.locals.iter().any(|local| local == root) || self.scope.longest(&chain).is_some();
        if known || self.scope.below(root).is_empty() { Ok(()) } else { self.lower_chain(part.0).map(|_| ()) }
    }

    fn lower(&mut self, expression: &IdedExpr) -> Result<Ir, CompileError> {
        let op = match &expression.expr {
            Expr::Literal(literal) => Op::Constant(constant(literal)),
            Expr::Ident(_) | Expr::Select(_) => self.lower_chain(expression)?,
            Expr::Call(call) => {
                let arguments: Vec<Part<'_>> = call.args.iter().map(Part).collect();
                self.lower_call(expression, &call.func_name, call.target.as_deref(), &arguments)?
            }
            Expr::List(list) => {
                let mut items = Vec::with_capacity(list.elements.len());
                for (index, element) in list.elements.iter().enumerate() {
                    items.push((list.optional_indices.contains(&index), self.lower(element)?));
                }
                Op::List(items.into())
            }
            Expr::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        entries.push((entry.optional, [self.lower(&entry.key)?, self.lower(&entry.value)?]));
                    }
                }
                Op::Map(entries.into())
            }
            Expr::Struct(message) => {
                return Err(self.error_at(expression, self.undeclared(&message.type_name)));
            }
            Expr::Unspecified | Expr::Comprehension(_) => return Err(self.error_at(expression, "unsupported expression")),
        };
        Ok(Ir { op, span: self.span(expression) })
    }

    /// A name, or fields of something: the longest beginning that is a variable, then selections.
    fn lower_chain(&mut self, expression: &IdedExpr) -> Result<Op, CompileError> {
        if let Some(chain) = segments(expression) {
            if let Some(op) = self.resolve(expression, &chain)? {
                return Ok(op);
            }
            let root = chain.first().copied().unwrap_or_default();
            let below = self.scope.below(root);
            if ["timestamp", "duration", "google.protobuf.Any"].contains(&chain.join(".").as_str()) {
                return Err(self.error_at(expression, format!("reference to undefined type: {}", chain.join("."))));
            }
            return Err(match chain.get(1) {
                Some(field) if !below.is_empty() => {
                    self.error_at(expression, format!("undefined field '{field}': {root} has {}", below.join(", ")))
                }
                _ => self.error_at(root_of(expression), self.undeclared(root)),
            });
        }
        let Expr::Select(select) = &expression.expr else { return Err(self.error_at(expression, "unsupported expression")) };
        let operand = self.lower(&select.operand)?;
        Ok(take(operand, |operand, cost| Op::Select { operand, field: select.field.as_str().into(), cost }))
    }

    fn resolve(&mut self, expression: &IdedExpr, chain: &[&str]) -> Result<Option<Op>, CompileError> {
        let local = chain.first().and_then(|root| self.locals.iter().rposition(|name| name == root));
        let rooted: Vec<&str> = chain.iter().map(|segment| segment.trim_start_matches('.')).collect();
        let (whole, count) = if let Some(index) = local {
            (Op::Local { index, cost: 1, open: self.open.get(index).copied().unwrap_or(true) }, 1)
        } else if let Some((slot, count)) = self.scope.longest(&rooted) {
            self.slots.push(slot);
            // Each part of a dotted name is charged: the API server selects it from `variables`.
            (Op::Variable { slot, cost: u8::try_from(count).unwrap_or(u8::MAX) }, count)
        } else if let Some((name, _)) = types::named(&rooted.join(".")) {
            return Ok(Some(Op::Constant(Constant::Type(name))));
        } else {
            return Ok(None);
        };
        if count == chain.len() {
            return Ok(Some(whole));
        }
        // Some fields are left: they are selected from what the same chain without its last field is.
        let Expr::Select(select) = &expression.expr else { return Ok(None) };
        let operand = Box::new(self.lower(&select.operand)?);
        Ok(Some(Op::Select { operand, field: select.field.as_str().into(), cost: 1 }))
    }

    fn lower_call(
        &mut self,
        expression: &IdedExpr,
        name: &str,
        target: Option<&IdedExpr>,
        arguments: &[Part<'_>],
    ) -> Result<Op, CompileError> {
        if target.is_none()
            && let Some(op) = self.lower_operator(expression, name, arguments)?
        {
            return Ok(op);
        }
        let whole = Part(expression);
        if let Some(op) = macros::lower(self, whole, name, target.map(Part), arguments)? {
            return Ok(op);
        }
        // A function of a namespace arrives as a method of the namespace's name: `optional.of(1)`.
        let namespace = target.and_then(segments).filter(|chain| {
            let root = chain.first().copied().unwrap_or_default();
            !self.locals.iter().any(|local| local == root) && self.scope.longest(chain).is_none()
        });
        let (qualified, receiver) = match namespace {
            Some(chain) => (format!("{}.{name}", chain.join(".")), None),
            None => (name.trim_start_matches('.').to_owned(), target),
        };
        let count = arguments.len() + usize::from(receiver.is_some());
        let Some(known) = functions::known(&qualified, receiver.is_some()).or_else(|| functions::known(&qualified, receiver.is_none()))
        else {
            // The namespace may be no function's: then it is the name that is not known.
            if let Some(chain) = target.and_then(segments) {
                self.lower_chain_or_error(expression, &chain)?;
            }
            // What the function is called on is looked at first: its error is the first one that cel-go reports.
            receiver.map(|receiver| self.lower(receiver)).transpose()?;
            return Err(self.error_at(expression, self.undeclared(name)));
        };
        let mut lowered = Vec::with_capacity(count);
        if let Some(receiver) = receiver {
            lowered.push(self.lower(receiver)?);
        }
        for argument in arguments {
            lowered.push(self.lower(argument.0)?);
        }
        let receiver = receiver.is_some();
        let candidates = functions::candidates(&qualified, receiver, &lowered);
        let open = lowered.first().is_some_and(Ir::items_are_open);
        Ok(Op::Call(Box::new(Call { name: known, receiver, candidates, arguments: lowered.into(), regex: None, open })))
    }

    fn lower_chain_or_error(&self, expression: &IdedExpr, chain: &[&str]) -> Result<(), CompileError> {
        let root = chain.first().copied().unwrap_or_default();
        let known = self.locals.iter().any(|local| local == root) || self.scope.longest(chain).is_some();
        if known { Ok(()) } else { Err(self.error_at(expression, self.undeclared(root))) }
    }

    fn lower_operator(&mut self, expression: &IdedExpr, name: &str, arguments: &[Part<'_>]) -> Result<Option<Op>, CompileError> {
        if let (operators::LOGICAL_AND | operators::LOGICAL_OR, [_, _]) = (name, arguments) {
            let mut terms = Vec::new();
            self.flatten(expression, name, &mut terms)?;
            let terms = terms.into();
            return Ok(Some(if name == operators::LOGICAL_AND { Op::And(terms) } else { Op::Or(terms) }));
        }
        let operands = match (name, arguments) {
            (operators::CONDITIONAL, [condition, yes, no]) => {
                let condition = self.part(*condition)?;
                let branches = [self.part(*yes)?.without_name_cost(), self.part(*no)?.without_name_cost()];
                let [yes, no] = branches;
                return Ok(Some(Op::Conditional(Box::new([condition, yes, no]))));
            }
            (operators::LOGICAL_NOT, [operand]) => return Ok(Some(Op::Not(Box::new(self.part(*operand)?)))),
            (operators::NEGATE, [operand]) => return Ok(Some(Op::Negate(Box::new(self.part(*operand)?)))),
            (operators::OPT_SELECT, [operand, field]) => {
                let Expr::Literal(LiteralValue::String(field)) = &field.0.expr else { return Ok(None) };
                let field: Box<str> = field.inner().into();
                return Ok(Some(take(self.part(*operand)?, |operand, cost| Op::OptionalSelect { operand, field, cost })));
            }
            (_, [left, right]) => [*left, *right],
            _ => return Ok(None),
        };
        let operator = match name {
            operators::ADD => Operator::Add,
            operators::SUBSTRACT => Operator::Subtract,
            operators::MULTIPLY => Operator::Multiply,
            operators::DIVIDE => Operator::Divide,
            operators::MODULO => Operator::Modulo,
            operators::EQUALS => Operator::Equals,
            operators::NOT_EQUALS => Operator::NotEquals,
            operators::LESS => Operator::Less,
            operators::LESS_EQUALS => Operator::LessEquals,
            operators::GREATER => Operator::Greater,
            operators::GREATER_EQUALS => Operator::GreaterEquals,
            operators::INDEX | operators::OPT_INDEX | operators::IN => return self.lower_access(name, operands).map(Some),
            _ => return Ok(None),
        };
        let [left, right] = operands;
        let operands = Box::new([self.part(left)?, self.part(right)?]);
        Ok(Some(Op::Binary { operator, operands, sized: false }))
    }

    fn lower_access(&mut self, name: &str, [left, right]: [Part<'_>; 2]) -> Result<Op, CompileError> {
        let typed = segments(right.0).is_some_and(|chain| LISTS_OF_THE_REQUEST.contains(&&*chain));
        let (left, right) = (self.part(left)?, self.part(right)?);
        if name == operators::IN {
            return Ok(Op::In { operands: Box::new([left, right]), sized: typed });
        }
        let cost = if left.is_attribute() { 1 } else { 2 };
        let operands = Box::new([left, right.without_name_cost()]);
        Ok(if name == operators::INDEX { Op::Index { operands, cost } } else { Op::OptionalIndex { operands, cost } })
    }

    /// The terms of a tree of one logical operator, which the parser has balanced, in order.
    fn flatten(&mut self, expression: &IdedExpr, operator: &str, terms: &mut Vec<Ir>) -> Result<(), CompileError> {
        if let Expr::Call(call) = &expression.expr
            && call.target.is_none()
            && call.func_name == operator
        {
            return call.args.iter().try_for_each(|argument| self.flatten(argument, operator, terms));
        }
        terms.push(self.lower(expression)?);
        Ok(())
    }
}

/// The first name of a chain `a.b.c`.
fn root_of(expression: &IdedExpr) -> &IdedExpr {
    let mut part = expression;
    while let Expr::Select(select) = &part.expr {
        part = &select.operand;
    }
    part
}

/// The names of a chain `a.b.c`, root first.
fn segments(expression: &IdedExpr) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut part = expression;
    loop {
        match &part.expr {
            Expr::Ident(name) => {
                names.push(name.as_str());
                names.reverse();
                return Some(names);
            }
            Expr::Select(select) => {
                names.push(&select.field);
                part = &select.operand;
            }
            _ => return None,
        }
    }
}

fn take(operand: Ir, make: impl FnOnce(Box<Ir>, u8) -> Op) -> Op {
    let cost = if operand.is_attribute() { 1 } else { 2 };
    make(Box::new(operand), cost)
}

fn constant(literal: &LiteralValue) -> Constant {
    match literal {
        LiteralValue::Boolean(value) => Constant::Bool(*value.inner()),
        LiteralValue::Bytes(value) => Constant::Bytes(value.inner().into()),
        LiteralValue::Double(value) => Constant::Double(*value.inner()),
        LiteralValue::Int(value) => Constant::Int(*value.inner()),
        LiteralValue::Null => Constant::Null,
        LiteralValue::String(value) => Constant::String(value.inner().into()),
        LiteralValue::UInt(value) => Constant::UInt(*value.inner()),
    }
}
