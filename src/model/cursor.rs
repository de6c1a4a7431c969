//! The watermark that an incremental API is asked from.

use std::time::Duration;

use super::expression::Expression;

/// How an incremental API is asked.
#[derive(Debug)]
pub struct CursorRules {
    pub value: CursorSource,
    /// What the very first poll is asked with; without it, whatever refers to the cursor is left out of its requests.
    pub initial: Option<CursorInitial>,
    /// How far before the cursor each poll begins: a time for dates, a number for numbers.
    pub overlap: Option<CursorOverlap>,
    /// Whether the source lists items by ascending cursor value, so that what was read without a gap counts although a
    /// later page was not.
    pub ascending: bool,
    /// Truthy on a failed answer (its body) that says that the cursor is too old; 410 always says so.
    pub too_old: Option<Expression>,
    /// How often a poll is made without the cursor, to find what was removed or missed.
    pub reconcile: Option<Duration>,
}

/// Where cursor values come from.
#[derive(Debug)]
pub enum CursorSource {
    /// Each item has one, and the largest counts.
    Item(Expression),
    /// The answer has one, and that of the last page counts: a token that is compared with nothing.
    Answer(Expression),
}

/// What the first poll is asked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorInitial {
    /// The time so long ago, by the clock of the source if it is known.
    Ago(Duration),
    Literal(String),
}

/// How far before the cursor a poll begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorOverlap {
    Time(Duration),
    Number(u64),
}
