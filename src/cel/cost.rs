//! What an evaluation may cost, counted as cel-go counts it, and the deadline.

use std::cell::Cell;

use super::error::EvaluationError;

/// What Kubernetes lets one expression cost.
pub const EXPRESSION_LIMIT: u64 = 1_000_000;

/// How many charges pass between two looks at the deadline (the API server's check frequency).
const DEADLINE_EVERY: u32 = 100;
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

    /// The countdown has run out: asks for the time, and bounds what is free. cel-go charges nothing for comparing the insides of two
    /// lists, whose items may be shared so often that they would never end; ten free steps a unit and a million more are given.
    #[cold]
    fn look_at_the_clock(&self) -> Result<(), EvaluationError> {
        let looks = self.looks.get() + 1;
        self.looks.set(looks);
        if looks > (self.limit / 10).saturating_add(10_000) {
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

    /// Asks for the time now: before a step that takes long for what it costs.
    pub(super) fn check_deadline(&self) -> Result<(), EvaluationError> {
        self.countdown.set(0);
        self.charge(0)
    }

    /// Counts work that cel-go charges nothing for, in looks at the clock: 110,000 of them end an expression with Kubernetes' limit.
    pub(super) fn work(&self, looks: u64) -> Result<(), EvaluationError> {
        self.looks.set(self.looks.get().saturating_add(looks));
        self.check_deadline()
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

/// `ceil(size * 0.1)`, in floats as cel-go does it: the last bit decides some of them.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cel-go's own arithmetic")]
pub(super) fn traversal(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

/// Cost of a regular expression of `pattern` characters over a string of `subject` characters.
pub(super) fn regex(subject: u64, pattern: u64) -> u64 {
    traversal(subject.saturating_add(1), 0.1).saturating_mul(traversal(pattern, 0.25))
}
