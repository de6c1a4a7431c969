//! What came of a poll, for logs, metrics and people.

use std::time::Duration;

use super::error::PollFailure;
use super::walk::Counts;
use crate::model::change::ChangeKind;
use crate::model::item::Completeness;
use crate::model::poll_record::{NextReason, PollRecord};
use crate::model::schedule::Due;
use crate::model::time::Timestamp;

/// What came of a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollReport {
    pub outcome: PollOutcome,
    /// When it began.
    pub at: Timestamp,
    pub elapsed: Duration,
    /// How many pages were answered; those that were asked about and then read count once more.
    pub pages: usize,
    /// How many requests were sent, redirects and repeated tries included.
    pub requests: usize,
    /// Of all answers, after decompression.
    pub bytes: usize,
    /// How many items were compared.
    pub items: usize,
    /// The changes that became events.
    pub changes: ChangeCounts,
    /// How many changes are held for approval instead.
    pub held: usize,
    /// How many polls in a row have failed, this one included.
    pub failures: u32,
    /// How many failures in a row this poll ended.
    pub recovered_after: u32,
    /// For how much longer the first page stands, as its answer says.
    pub fresh_for: Option<Duration>,
    /// Why a truncated poll ended where it did.
    pub cause: Option<String>,
    /// What is odd about the pages and items, for people.
    pub notes: Vec<String>,
}

/// How a poll ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PollOutcome {
    /// All pages are those of the last poll: nothing was read.
    Unchanged,
    /// The items were compared and what changed is durable.
    Compared(Completeness),
    /// Some page failed; what had been found before is durable.
    Partial(PollFailure),
    /// Nothing was learnt.
    Failed(PollFailure),
    /// Someone else polls this connector at present, or took it over.
    Held,
    /// Nothing was asked, because the host wants to be left alone until then; nothing was committed either.
    PutOff(Timestamp),
    /// It was told to stop, and nothing was committed.
    Stopped,
}

impl PollReport {
    /// Returns the report of a poll that has not come to anything yet.
    pub(super) fn begun(at: Timestamp) -> Self {
        Self {
            outcome: PollOutcome::Held,
            at,
            elapsed: Duration::ZERO,
            pages: 0,
            requests: 0,
            bytes: 0,
            items: 0,
            changes: ChangeCounts::default(),
            held: 0,
            failures: 0,
            recovered_after: 0,
            fresh_for: None,
            cause: None,
            notes: Vec::new(),
        }
    }

    /// Adds what was asked for and got.
    pub(super) fn count(&mut self, counts: Counts) {
        self.pages += counts.pages;
        self.requests += counts.requests;
        self.bytes += counts.bytes;
    }

    /// Returns what the history keeps of it. `next` is when the next poll is going to be.
    pub(super) fn record(&self, next: Option<Due>) -> PollRecord {
        PollRecord {
            at: self.at,
            elapsed: u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            outcome: self.outcome.as_str().to_owned(),
            cause: self.outcome.failure().map(ToString::to_string).or_else(|| self.cause.clone()),
            pages: self.pages as u64,
            requests: self.requests as u64,
            bytes: self.bytes as u64,
            items: self.items as u64,
            created: self.changes.created as u64,
            updated: self.changes.updated as u64,
            removed: self.changes.removed as u64,
            held: self.held as u64,
            notes: self.notes.clone(),
            next: next.map(|next| next.at),
            next_because: next.map_or(NextReason::Schedule, |next| next.because),
        }
    }
}

impl PollOutcome {
    /// Returns the word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Compared(Completeness::Truncated) => "truncated",
            Self::Compared(_) => "complete",
            Self::Partial(_) => "partial",
            Self::Failed(_) => "failed",
            Self::Held => "held",
            Self::PutOff(_) => "put off",
            Self::Stopped => "stopped",
        }
    }

    /// Returns why it counts as failed, if it does.
    pub fn failure(&self) -> Option<&PollFailure> {
        match self {
            Self::Partial(failure) | Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

/// How many changes of each kind there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChangeCounts {
    pub created: usize,
    pub updated: usize,
    pub removed: usize,
}

impl ChangeCounts {
    /// Returns how many there were of this kind.
    pub fn of(&self, kind: ChangeKind) -> usize {
        match kind {
            ChangeKind::Created => self.created,
            ChangeKind::Updated => self.updated,
            ChangeKind::Removed => self.removed,
        }
    }

    /// Returns how many there were in all.
    pub fn total(&self) -> usize {
        self.created + self.updated + self.removed
    }

    pub(super) fn add(&mut self, more: Self) {
        self.created += more.created;
        self.updated += more.updated;
        self.removed += more.removed;
    }

    pub(super) fn count(&mut self, kind: ChangeKind) {
        match kind {
            ChangeKind::Created => self.created += 1,
            ChangeKind::Updated => self.updated += 1,
            ChangeKind::Removed => self.removed += 1,
        }
    }
}
