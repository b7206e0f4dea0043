//! Where each part of an expression stands in its text.

use cel_interpreter::IdedExpr;
use cel_interpreter::common::ast::{Expr, LiteralValue, operators};

use super::{Lowering, children};

impl Lowering<'_> {
    /// The bytes of every expression, by its id. The parser knows the operator's token only (of `a.b` the dot, of `f(x)` the
    /// parenthesis), so the children's ranges are folded in and the name or the closing bracket beside the token is added.
    pub(super) fn measure(&mut self, root: &IdedExpr) {
        let mut order = vec![root];
        let mut next = 0;
        while let Some(part) = order.get(next).copied() {
            next += 1;
            children(part, &mut |child| order.push(child));
        }
        // A child stands after its parent, so backwards every child is measured before its parent.
        for part in order.into_iter().rev() {
            let (mut start, mut end) = self.own_span(part).unwrap_or((usize::MAX, 0));
            children(part, &mut |child| {
                let span = self.span(child);
                // The field of `.?field` has no place of its own.
                if span.is_empty() {
                    return;
                }
                start = start.min(span.start as usize);
                end = end.max(span.end as usize);
            });
            if matches!(part.expr, Expr::Call(_) | Expr::List(_) | Expr::Map(_)) && self.opens(part) {
                let rest = self.source.get(end..).unwrap_or_default();
                let closing = rest.trim_start();
                if closing.starts_with([')', ']', '}']) {
                    end += rest.len() - closing.len() + 1;
                }
            }
            let number = |byte: usize| u32::try_from(byte).unwrap_or(u32::MAX);
            if let Ok(id) = usize::try_from(part.id) {
                if self.spans.len() <= id {
                    self.spans.resize(id + 1, 0..0);
                }
                if let Some(span) = self.spans.get_mut(id) {
                    *span = number(start.min(end))..number(end);
                }
            }
        }
    }

    /// The bytes of the token that the parser gives for an expression, with the name that belongs to it.
    fn own_span(&self, part: &IdedExpr) -> Option<(usize, usize)> {
        let (first, last) = self.info.offset_for(part.id)?;
        let (mut start, mut end) = (self.byte(first), self.byte(last.saturating_add(1)));
        match &part.expr {
            Expr::Call(call) if self.text(start, end) == "(" => {
                let name = self.source.get(..start).unwrap_or_default().trim_end();
                if name.ends_with(&call.func_name) {
                    start = name.len() - call.func_name.len();
                }
            }
            Expr::Select(select) => end = self.end_of_field(end, &select.field),
            Expr::Call(call) if call.func_name == operators::OPT_SELECT => {
                if let Some(Expr::Literal(LiteralValue::String(field))) = call.args.get(1).map(|field| &field.expr) {
                    end = self.end_of_field(end, field.inner());
                }
            }
            _ => {}
        }
        Some((start, end))
    }

    fn end_of_field(&self, end: usize, field: &str) -> usize {
        let rest = self.source.get(end..).unwrap_or_default();
        rest.find(field).map_or(end, |found| end + found + field.len())
    }

    fn opens(&self, expression: &IdedExpr) -> bool {
        let Some((first, last)) = self.info.offset_for(expression.id) else { return false };
        matches!(self.text(self.byte(first), self.byte(last.saturating_add(1))), "(" | "[" | "{")
    }

    fn text(&self, start: usize, end: usize) -> &str {
        self.source.get(start..end).unwrap_or_default()
    }

    /// The parser's offset as the byte where a character begins: the last one of a token may lie inside a character.
    fn byte(&self, offset: u32) -> usize {
        let offset = offset as usize;
        (offset..self.source.len()).find(|byte| self.source.is_char_boundary(*byte)).unwrap_or(self.source.len())
    }
}
