//! The macros of CEL and of Kubernetes' extensions, lowered to loops without being expanded first.

use super::error::CompileError;
use super::functions::Kind;
use super::ir::{Comprehension, Form, Ir, Op};
use super::lower::{Lowering, Part};

const NOT_A_NAME: &str = "argument must be a simple name";

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
        ("existsOne", [_, _]) => lowering.error(whole, "undeclared reference to 'existsOne': with one variable it is exists_one"),
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
    let open = |position: usize| if position == 0 && (two || range.kind() == Kind::Map) { keys } else { items };
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
