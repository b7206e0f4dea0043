//! The macros of CEL and of Kubernetes' extensions, lowered to loops without being expanded first.

use super::error::CompileError;
use super::ir::{Comprehension, Form, Ir, Op};
use super::lower::{Lowering, Part};
use super::types::Type;

const NOT_A_NAME: &str = "argument must be a simple name";

/// A macro for the reference: one shape of it.
pub(super) struct Macro {
    pub(super) name: &'static str,
    pub(super) signature: &'static str,
    /// The first release of Kubernetes that has it.
    pub(super) since: &'static str,
    pub(super) cost: &'static str,
    /// One line for the reference.
    pub(super) doc: &'static str,
    /// An expression without variables that uses it and is true.
    pub(super) example: &'static str,
}

/// A row; the arguments stand in the order in which a reader of the table wants them.
const fn row(
    name: &'static str,
    signature: &'static str,
    since: &'static str,
    cost: &'static str,
    doc: &'static str,
    example: &'static str,
) -> Macro {
    Macro { name, signature, since, cost, doc, example }
}

// What a macro costs besides its range and its body.
const ALL: &str = "1, and 3 an item";
const EXISTS: &str = "1, and 4 an item";
const ONE: &str = "2, and 2 an item that is";
const LIST: &str = "1, and 12 an item that is put in";
const FILTER: &str = "1, and 13 an item that is kept";
const MAP: &str = "1, and 3 an entry that is put in";
const ENTRY: &str = "1, and 2 an entry that is put in";
const SORT: &str = "14, 12 an item, and 2 a pair of items";

/// What [`lower`] knows, for people. A range is a list or the keys of a map; `x`, `i`, `k`, `v` are names of the author's.
pub(super) const MACROS: &[Macro] = &[
    row("has", "has(e.field) -> bool", "1.0", "0", "whether the field is there", "!has({'a': 1}.b)"),
    row("all", "<range>.all(x, bool) -> bool", "1.0", ALL, "whether it holds for every item", "[1, 2].all(x, x > 0)"),
    row(
        "all",
        "<range>.all(i, v, bool) -> bool",
        "1.32",
        ALL,
        "the same, over index and item or key and value",
        "{'a': 1}.all(k, v, k == 'a' && v == 1)",
    ),
    row("exists", "<range>.exists(x, bool) -> bool", "1.0", EXISTS, "whether it holds for an item", "[1, 2].exists(x, x == 2)"),
    row(
        "exists",
        "<range>.exists(i, v, bool) -> bool",
        "1.32",
        EXISTS,
        "the same, over index and item or key and value",
        "[5, 6].exists(i, v, i == 1 && v == 6)",
    ),
    row(
        "exists_one",
        "<range>.exists_one(x, bool) -> bool",
        "1.0",
        ONE,
        "whether it holds for one item and no other",
        "[1, 2].exists_one(x, x > 1)",
    ),
    row(
        "existsOne",
        "<range>.existsOne(i, v, bool) -> bool",
        "1.32",
        ONE,
        "whether it holds for one index and item, or key and value, and no other",
        "[5, 6].existsOne(i, v, v > 5)",
    ),
    row("map", "<range>.map(x, T) -> list(T)", "1.0", LIST, "what each item gives", "[1, 2].map(x, x * 2) == [2, 4]"),
    row(
        "map",
        "<range>.map(x, bool, T) -> list(T)",
        "1.0",
        LIST,
        "what each item gives for which the condition holds",
        "[1, 2].map(x, x > 1, x * 2) == [4]",
    ),
    row("filter", "<range>.filter(x, bool) -> list(T)", "1.0", FILTER, "the items for which it holds", "[1, 2].filter(x, x > 1) == [2]"),
    row(
        "sortBy",
        "<list(T)>.sortBy(x, key) -> list(T)",
        "1.34",
        SORT,
        "the items in ascending order of their keys",
        "[1, 2].sortBy(x, -x) == [2, 1]",
    ),
    row(
        "transformList",
        "<range>.transformList(i, v, T) -> list(T)",
        "1.32",
        LIST,
        "what each index and item, or key and value, gives",
        "[5, 6].transformList(i, v, v - i) == [5, 5]",
    ),
    row(
        "transformList",
        "<range>.transformList(i, v, bool, T) -> list(T)",
        "1.32",
        LIST,
        "the same, of those for which the condition holds",
        "[5, 6].transformList(i, v, i > 0, v) == [6]",
    ),
    row(
        "transformMap",
        "<range>.transformMap(k, v, T) -> map(K, T)",
        "1.32",
        MAP,
        "a map of the same keys, with what each entry gives",
        "{'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
    ),
    row(
        "transformMap",
        "<range>.transformMap(k, v, bool, T) -> map(K, T)",
        "1.32",
        MAP,
        "the same, of those for which the condition holds",
        "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v) == {'b': 2}",
    ),
    row(
        "transformMapEntry",
        "<range>.transformMapEntry(k, v, map(K, T)) -> map(K, T)",
        "1.32",
        ENTRY,
        "the entries that each entry gives",
        "{'a': 'x'}.transformMapEntry(k, v, {v: k}) == {'x': 'a'}",
    ),
    row(
        "transformMapEntry",
        "<range>.transformMapEntry(k, v, bool, map(K, T)) -> map(K, T)",
        "1.32",
        ENTRY,
        "the same, of those for which the condition holds",
        "{'a': 'x'}.transformMapEntry(k, v, false, {v: k}) == {}",
    ),
    row(
        "optMap",
        "<optional_type(A)>.optMap(x, T) -> optional_type(T)",
        "1.28",
        "the receiver again, and 3",
        "what the value in an optional gives, as an optional; empty of an empty one",
        "optional.of(1).optMap(x, x + 1).value() == 2",
    ),
    row(
        "optFlatMap",
        "<optional_type(A)>.optFlatMap(x, optional_type(T)) -> optional_type(T)",
        "1.28",
        "the receiver again, and 2",
        "the optional that the value in an optional gives; empty of an empty one",
        "!optional.of(1).optFlatMap(x, optional.none()).hasValue()",
    ),
    row(
        "or",
        "<optional_type(T)>.or(optional_type(T)) -> optional_type(T)",
        "1.28",
        "0",
        "the first of the two that is not empty",
        "optional.none().or(optional.of(1)).value() == 1",
    ),
    row("orValue", "<optional_type(T)>.orValue(T) -> T", "1.28", "0", "the value, or else the argument", "{'a': 1}.?b.orValue(2) == 2"),
];

/// The loop of a macro call; nothing if the call is no macro's, whatever its name.
pub(super) fn lower(
    lowering: &mut Lowering<'_>,
    whole: Part<'_>,
    name: &str,
    target: Option<Part<'_>>,
    arguments: &[Part<'_>],
) -> Result<Option<Op>, CompileError> {
    let Some(target) = target else {
        return match (name, arguments) {
            ("has", [argument]) => lower_has(lowering, *argument).map(Some),
            _ => Ok(None),
        };
    };
    let mut fold = |form, names: &[Part<'_>], filter, body| lower_fold(lowering, form, target, names, filter, body).map(Some);
    match (name, arguments) {
        ("all", [x, body]) => fold(Form::All, &[*x], None, *body),
        ("all", [k, v, body]) => fold(Form::All, &[*k, *v], None, *body),
        ("exists", [x, body]) => fold(Form::Exists, &[*x], None, *body),
        ("exists", [k, v, body]) => fold(Form::Exists, &[*k, *v], None, *body),
        ("exists_one", [x, body]) => fold(Form::ExistsOne, &[*x], None, *body),
        ("exists_one" | "existsOne", [k, v, body]) => fold(Form::ExistsOne, &[*k, *v], None, *body),
        ("existsOne", [_, _]) => {
            let message = format!("{}; with one variable it is exists_one", lowering.undeclared("existsOne"));
            lowering.error(whole, message)
        }
        ("map", [x, body]) => fold(Form::List, &[*x], None, *body),
        ("map", [x, filter, body]) => fold(Form::List, &[*x], Some(*filter), *body),
        ("filter", [x, body]) => fold(Form::Filter, &[*x], None, *body),
        ("sortBy", [_, _]) if !target.may_be_bound() => {
            lowering.error(whole, "sortBy can only be applied to a list, identifier, comprehension, call or select expression")
        }
        ("sortBy", [x, body]) => fold(Form::SortBy, &[*x], None, *body),
        ("transformList", [k, v, body]) => fold(Form::List, &[*k, *v], None, *body),
        ("transformList", [k, v, filter, body]) => fold(Form::List, &[*k, *v], Some(*filter), *body),
        ("transformMap", [k, v, body]) => fold(Form::Map, &[*k, *v], None, *body),
        ("transformMap", [k, v, filter, body]) => fold(Form::Map, &[*k, *v], Some(*filter), *body),
        ("transformMapEntry", [k, v, body]) => fold(Form::Entry, &[*k, *v], None, *body),
        ("transformMapEntry", [k, v, filter, body]) => fold(Form::Entry, &[*k, *v], Some(*filter), *body),
        ("optMap" | "optFlatMap", [x, body]) => lower_optional_map(lowering, name, target, *x, *body).map(Some),
        ("or" | "orValue", [other]) => {
            let operands = Box::new([lowering.part(target)?, lowering.part(*other)?]);
            Ok(Some(Op::OptionalOr { operands, value: name == "orValue" }))
        }
        _ => Ok(None),
    }
}

/// How many of a call's arguments, from the first, are names that the macro binds for the others.
pub(super) fn bound_by(name: &str, arguments: usize) -> usize {
    match (name, arguments) {
        ("all" | "exists" | "exists_one" | "filter" | "sortBy" | "optMap" | "optFlatMap", 2) | ("map", 2 | 3) => 1,
        ("all" | "exists" | "exists_one" | "existsOne", 3) => 2,
        ("transformList" | "transformMap" | "transformMapEntry", 3 | 4) => 2,
        _ => 0,
    }
}

fn lower_has(lowering: &mut Lowering<'_>, argument: Part<'_>) -> Result<Op, CompileError> {
    let Some((operand, field)) = argument.selection() else {
        return lowering.error(argument, "invalid argument to has() macro");
    };
    if lowering.is_variable(argument) {
        let whole = lowering.part(argument)?;
        let Op::Variable { slot, .. } = whole.op else { return lowering.error(argument, "invalid argument to has() macro") };
        return Ok(Op::Declared(slot));
    }
    lowering.refuse_undeclared(argument)?;
    // The test is charged as a selection, and the name at the beginning is not.
    let operand = lowering.part(operand)?.without_name_cost();
    let cost = u8::from(!operand.begins_with_condition());
    Ok(Op::Has { operand: Box::new(operand), field: field.into(), cost })
}

fn simple_name<'e>(lowering: &Lowering<'_>, part: Part<'e>, message: &str) -> Result<&'e str, CompileError> {
    match part.name() {
        Some(name) if !name.starts_with('.') => Ok(name),
        _ => lowering.error(part, message),
    }
}

fn lower_fold(
    lowering: &mut Lowering<'_>,
    form: Form,
    target: Part<'_>,
    names: &[Part<'_>],
    filter: Option<Part<'_>>,
    body: Part<'_>,
) -> Result<Op, CompileError> {
    let message = if names.len() == 1 && matches!(form, Form::List | Form::Filter | Form::SortBy) {
        "argument is not an identifier"
    } else {
        NOT_A_NAME
    };
    let mut bound = Vec::with_capacity(names.len());
    for part in names {
        let name = simple_name(lowering, *part, message)?;
        if bound.contains(&name) {
            return lowering.error(*part, format!("duplicate variable name: {name}"));
        }
        if name == "__result__" {
            return lowering.error(*part, "iteration variable overwrites accumulator variable");
        }
        bound.push(name);
    }
    let range = lowering.part(target)?;
    let two = bound.len() == 2;
    let items = range.items_are_open();
    // Of a list the position is an int, of a map written here the type of a key is known.
    let keys = range.is_open();
    let open = |position: usize| if position == 0 && (two || matches!(range.known_type(), Type::Map(_, _))) { keys } else { items };
    let bound: Vec<_> = bound.into_iter().enumerate().map(|(position, name)| (name, open(position))).collect();
    lowering.with_locals(&bound, |lowering, local| {
        let filter = filter.map(|filter| lowering.part(filter)).transpose()?;
        let body: Ir = lowering.part(body)?;
        Ok(Op::Comprehension(Box::new(Comprehension { form, range, local, two, filter, body })))
    })
}

fn lower_optional_map(
    lowering: &mut Lowering<'_>,
    name: &str,
    target: Part<'_>,
    variable: Part<'_>,
    body: Part<'_>,
) -> Result<Op, CompileError> {
    let bound = simple_name(lowering, variable, &format!("{name}() variable name must be a simple identifier"))?;
    let target = lowering.part(target)?;
    lowering.with_locals(&[(bound, true)], |lowering, local| {
        let body = lowering.part(body)?;
        Ok(Op::OptionalMap { operands: Box::new([target, body]), local, flat: name == "optFlatMap" })
    })
}
