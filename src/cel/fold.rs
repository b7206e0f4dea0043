//! What is done once instead of at each evaluation, after the checker has seen what the author wrote: literals of constants become
//! constants, conversions of constants are run, constant regular expressions are compiled, `in` a list of constants becomes a set.

use super::error::CompileError;
use super::functions;
use super::ir::{Constant, Ir, Op};
use super::operate;
use super::types::Type;

/// Folds an expression, from the inside out.
///
/// # Errors
/// [`CompileError`] where a constant cannot be what it is used as: `invalid duration argument`.
pub(super) fn fold(source: &str, ir: &mut Ir) -> Result<(), CompileError> {
    ir.op.try_each_part(&mut |part| fold(source, part))?;
    let op = std::mem::replace(&mut ir.op, Op::Constant(Constant::Null));
    ir.op = match op {
        Op::List(items) => Op::of_list(items.into_vec()),
        Op::Map(entries) => Op::of_map(entries.into_vec()),
        Op::Call(call) => {
            let spans: Vec<_> = call.arguments.iter().map(|argument| argument.span.clone()).collect();
            functions::prepare(*call).map_err(|(argument, message)| {
                let span = spans.get(argument).unwrap_or(&ir.span);
                CompileError::new(source, span.start as usize..span.end as usize, message)
            })?
        }
        Op::Binary { operator, operands, .. } => {
            let sized = operands.iter().any(|operand| matches!(operand.known_type(), Type::String | Type::Bytes));
            Op::Binary { operator, operands, sized }
        }
        Op::In { operands, sized } => {
            let [needle, haystack] = *operands;
            match haystack.op {
                // Nothing is in an empty list, whatever the needle is, so cel-go does not evaluate it.
                Op::Constant(Constant::List(members)) if members.is_empty() => Op::Constant(Constant::Bool(false)),
                Op::Constant(Constant::List(members)) if members.iter().all(Constant::is_primitive) => {
                    Op::Member { needle: Box::new(needle), members: members.into_iter().map(Constant::plain).collect() }
                }
                _ => {
                    let sized = sized || matches!(haystack.known_type(), Type::List(_));
                    Op::In { operands: Box::new([needle, haystack]), sized }
                }
            }
        }
        Op::Index { operands, cost } => {
            check_qualifier(source, &operands)?;
            Op::Index { operands, cost }
        }
        Op::OptionalIndex { operands, cost } => {
            check_qualifier(source, &operands)?;
            Op::OptionalIndex { operands, cost }
        }
        op => op,
    };
    Ok(())
}

/// What cel-go makes a step of a name when it plans an expression must be a number, a text or a bool.
fn check_qualifier(source: &str, [_, index]: &[Ir; 2]) -> Result<(), CompileError> {
    let Op::Constant(constant) = &index.op else { return Ok(()) };
    match operate::check_index(&constant.value()) {
        Ok(()) => Ok(()),
        Err(error) => Err(CompileError::new(source, index.span.start as usize..index.span.end as usize, error.to_string())),
    }
}
