//! What an evaluation may cost, counted as cel-go counts it, and the deadline.

use std::cell::Cell;

use super::error::EvaluationError;
use super::functions::Patterns;

/// What Kubernetes lets one expression cost.
pub const EXPRESSION_LIMIT: u64 = 1_000_000;

/// How many charges pass between two looks at the deadline (the API server's check frequency).
const DEADLINE_EVERY: u32 = 100;
/// So many units go with each look at the deadline that free steps may take beyond [`LOOKS`].
const UNITS_A_LOOK: u64 = 40;
/// Looks at the deadline that free steps may take whatever the limit is.
const LOOKS: u64 = 10_000;
/// Bytes that are compared or copied in the time of one step.
const BYTES_A_STEP: usize = 32;
/// How many levels may be open at once, those of the variables that an expression evaluates included: bounds the stack.
const MAX_DEPTH: u32 = 500;

/// What one evaluation, or a row of them, may still cost; shared by an expression and the variables it evaluates.
///
/// The unit is cel-go's: 1 for a name, a field, a call; Kubernetes allows 1,000,000 an expression and 10,000,000 a policy.
pub struct Budget<'d> {
    limit: u64,
    spent: Cell<u64>,
    countdown: Cell<u32>,
    looks: Cell<u64>,
    depth: Cell<u32>,
    /// What variables cost that were evaluated apart.
    aside: Cell<u64>,
    /// What the expression and its variables may cost together.
    total: u64,
    deadline: Option<&'d dyn Fn() -> bool>,
    /// The regular expressions that were made by what is evaluated.
    patterns: Patterns,
}

impl Budget<'static> {
    /// A budget of `limit` units and no deadline.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            spent: Cell::new(0),
            countdown: Cell::new(DEADLINE_EVERY),
            looks: Cell::new(0),
            depth: Cell::new(0),
            aside: Cell::new(0),
            total: u64::MAX,
            deadline: None,
            patterns: Patterns::default(),
        }
    }
}

impl<'d> Budget<'d> {
    /// The same budget with a deadline: `is_past` answers whether it has passed, and is asked once in 100 charges.
    #[must_use]
    pub fn with_deadline<'e>(self, is_past: &'e dyn Fn() -> bool) -> Budget<'e>
    where
        'd: 'e,
    {
        Budget { deadline: Some(is_past), ..self }
    }

    /// The same budget with a bound for the expression and its variables together, which [`Self::apart`] gives each a limit of its own.
    #[must_use]
    pub fn with_total(self, total: u64) -> Self {
        Self { total, ..self }
    }

    /// Counts `units`. To be called before what they pay for is allocated or done.
    ///
    /// # Errors
    /// [`EvaluationError::BudgetExceeded`] once the limit is passed, [`EvaluationError::DeadlineExceeded`].
    #[inline]
    pub fn charge(&self, units: u64) -> Result<(), EvaluationError> {
        let spent = self.spent.get().saturating_add(units);
        self.spent.set(spent);
        if spent > self.limit {
            return Err(EvaluationError::BudgetExceeded);
        }
        let countdown = self.countdown.get();
        if countdown == 0 {
            return self.look_at_the_clock();
        }
        self.countdown.set(countdown - 1);
        Ok(())
    }

    /// The countdown has run out: asks for the time, and bounds what is free ([`Self::free`]).
    #[cold]
    fn look_at_the_clock(&self) -> Result<(), EvaluationError> {
        let looks = self.looks.get() + 1;
        self.looks.set(looks);
        if looks > (self.limit / UNITS_A_LOOK).saturating_add(LOOKS) {
            return Err(EvaluationError::BudgetExceeded);
        }
        match self.deadline {
            // The countdown stays at zero, so that every later charge fails too.
            Some(is_past) if is_past() => Err(EvaluationError::DeadlineExceeded),
            _ => {
                self.countdown.set(DEADLINE_EVERY);
                Ok(())
            }
        }
    }

    pub(super) fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// Counts steps that cel-go charges nothing for, each about as long as a charge takes. A hundred are one look at the deadline, and as
    /// many looks as [`LOOKS`] and [`UNITS_A_LOOK`] give end the evaluation as its limit does: 3,500,000 steps under Kubernetes' limit.
    ///
    /// # Errors
    /// As of [`Self::charge`].
    #[inline]
    pub(super) fn free(&self, steps: u64) -> Result<(), EvaluationError> {
        let countdown = self.countdown.get();
        match u32::try_from(steps) {
            Ok(steps) if steps < countdown => {
                self.countdown.set(countdown - steps);
                Ok(())
            }
            _ => {
                let beyond = steps.saturating_sub(u64::from(countdown));
                self.looks.set(self.looks.get().saturating_add(beyond / u64::from(DEADLINE_EVERY)));
                self.look_at_the_clock()?;
                let rest = u32::try_from(beyond % u64::from(DEADLINE_EVERY)).unwrap_or(0);
                self.countdown.set(DEADLINE_EVERY - rest);
                Ok(())
            }
        }
    }

    /// Counts bytes that are compared or copied, for which cel-go charges nothing.
    #[inline]
    pub(super) fn read(&self, bytes: usize) -> Result<(), EvaluationError> {
        if bytes < BYTES_A_STEP { Ok(()) } else { self.free((bytes / BYTES_A_STEP) as u64) }
    }

    /// Counts looking a key up in a map of so many entries.
    #[inline]
    pub(super) fn search(&self, entries: usize) -> Result<(), EvaluationError> {
        // One by one, in an object's map.
        if entries < 8 { Ok(()) } else { self.free((entries / 4) as u64) }
    }

    /// Counts putting so many items or entries in order.
    pub(super) fn order(&self, items: usize) -> Result<(), EvaluationError> {
        let compared = items.saturating_mul(items.checked_ilog2().unwrap_or(0) as usize + 1);
        // They are copied first.
        self.free(compared as u64 + 8)
    }

    /// Evaluates a variable that a policy declares on a budget of its own, as the API server does: each variable may cost what an
    /// expression may, and counts for the policy, not for the expression that happens to read it first.
    ///
    /// It may not cost more than is left of the total ([`Self::with_total`]).
    ///
    /// # Errors
    /// What `evaluate` gives.
    pub fn apart<T>(&self, limit: u64, evaluate: impl FnOnce(&Budget<'_>) -> Result<T, EvaluationError>) -> Result<T, EvaluationError> {
        let total = self.total.saturating_sub(self.spent());
        let own = Budget {
            limit: limit.min(total),
            spent: Cell::new(0),
            countdown: self.countdown.clone(),
            looks: self.looks.clone(),
            depth: self.depth.clone(),
            aside: Cell::new(0),
            total,
            deadline: self.deadline,
            patterns: Patterns::default(),
        };
        let value = evaluate(&own);
        self.countdown.set(own.countdown.get());
        self.looks.set(own.looks.get());
        self.aside.set(self.aside.get().saturating_add(own.spent()));
        value
    }

    /// Units spent so far, by variables that were evaluated apart too.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent.get().saturating_add(self.aside.get())
    }

    /// Opens `levels` of evaluation; to be closed with [`Self::leave`] if it succeeded.
    pub(super) fn enter(&self, levels: u32) -> Result<(), EvaluationError> {
        let depth = self.depth.get().saturating_add(levels);
        if depth > MAX_DEPTH {
            return Err(EvaluationError::failed("expressions nest too deep through the variables they use"));
        }
        self.depth.set(depth);
        Ok(())
    }

    pub(super) fn leave(&self, levels: u32) {
        self.depth.set(self.depth.get().saturating_sub(levels));
    }
}

impl std::fmt::Debug for Budget<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Budget").field("limit", &self.limit).field("spent", &self.spent.get()).finish_non_exhaustive()
    }
}

/// Cost of an empty list literal, of a map literal.
pub(super) const LIST: u64 = 10;
pub(super) const MAP: u64 = 30;

/// Steps that an error takes which does not end the evaluation: its text is made for nothing.
pub(super) const FAILURE: u64 = 24;

/// `ceil(size * 0.1)`, in floats as cel-go does it: the last bit decides some of them.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cel-go's own arithmetic")]
pub(super) fn traversal(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

/// Cost of a regular expression of `pattern` characters over a string of `subject` characters.
pub(super) fn regex(subject: u64, pattern: u64) -> u64 {
    traversal(subject.saturating_add(1), 0.1).saturating_mul(traversal(pattern, 0.25))
}
