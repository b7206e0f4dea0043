//! What is done once instead of at each evaluation, after the checker has seen what the author wrote: literals of constants become
//! constants, conversions of constants are run, constant regular expressions are compiled, `in` a list of constants becomes a set.

use super::error::CompileError;
use super::functions;
use super::ir::{Constant, Ir, Op};
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
        Op::In { operands, .. } => {
            let [needle, haystack] = *operands;
            match haystack.op {
                Op::Constant(Constant::List(members)) if members.iter().all(Constant::is_primitive) => {
                    Op::Member { needle: Box::new(needle), members }
                }
                _ => {
                    let sized = matches!(haystack.known_type(), Type::List(_));
                    Op::In { operands: Box::new([needle, haystack]), sized }
                }
            }
        }
        Op::Index { operands, cost } => {
            if let [operand, Ir { op: Op::Constant(Constant::Null), span }] = &*operands
                && operand.is_attribute()
            {
                return Err(CompileError::new(source, span.start as usize..span.end as usize, "invalid qualifier type: types.Null"));
            }
            Op::Index { operands, cost }
        }
        op => op,
    };
    Ok(())
}
