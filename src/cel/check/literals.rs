//! What Kubernetes checks of literals once every type is known: cel-go's validators of its API server's environment.

use super::Checker;
use super::unify::same;
use crate::cel::functions;
use crate::cel::ir::{Call, Constant, Ir, Op};
use crate::cel::types::{self, Type};

/// A literal to be looked at again.
pub(super) enum Literal<'s> {
    /// The parts of a list, the keys or the values of a map, which must be of one type.
    Alike(Vec<(&'s Ir, Type)>),
    /// A constant format and the arguments written beside it.
    Format { call: &'s Ir, text: &'s str, arguments: Vec<(&'s Ir, Type)> },
}

impl<'s> Checker<'s> {
    /// Takes back what was noted of the arguments of `format` since `first`: Kubernetes lets them differ in type, however deep they lie.
    /// A constant format is checked against the types of the arguments written beside it.
    pub(super) fn note_format(&mut self, ir: &'s Ir, call: &'s Call, first: usize) {
        let noted = self.literals.split_off(first.min(self.literals.len()));
        if let [Ir { op: Op::Constant(Constant::String(text)), .. }, Ir { op: Op::List(_), .. }] = &*call.arguments
            && let Some(Literal::Alike(items)) = noted.into_iter().next()
        {
            self.literals.push(Literal::Format { call: ir, text, arguments: items });
        }
    }

    /// Looks at every literal again.
    pub(super) fn check_literals(&mut self) {
        for literal in std::mem::take(&mut self.literals) {
            match literal {
                Literal::Alike(parts) => {
                    let mut parts = parts.into_iter().map(|(ir, found)| (ir, self.substitutions.resolve(&found, true)));
                    let Some((_, first)) = parts.next() else { continue };
                    let other = parts.find(|(_, found)| !same(&first, found));
                    if let Some((ir, found)) = other {
                        self.fail(ir, format!("expected type '{first}' but found '{found}'"));
                    }
                }
                Literal::Format { call, text, arguments } => {
                    let arguments: Vec<Type> = arguments
                        .iter()
                        .map(|(ir, found)| match (&ir.op, self.substitutions.resolve(found, true)) {
                            // cel-go looks into what is written there, not into what a name stands for.
                            (Op::List(_) | Op::Map(_), found) => found,
                            (_, Type::List(_)) => types::LIST,
                            (_, Type::Map(_, _)) => types::MAP,
                            (_, found) => found,
                        })
                        .collect();
                    if let Err(message) = functions::format::check(text, Some(&arguments)) {
                        self.fail(call, message);
                    }
                }
            }
        }
    }
}
