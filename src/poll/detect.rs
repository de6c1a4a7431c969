//! Items → changes: pure functions. No I/O, no clock.

use std::time::Duration;

use crate::model::change::{ChangeKind, ChangeRules, EmptyRule, FirstPoll};
use crate::model::item::{Completeness, Item, Presence, SeenItem};
use crate::model::time::Timestamp;

/// How far the memory of a connector's items can be compared with what a poll finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Footing {
    /// No poll was finished before. What is known already was committed by a poll that was cut off, and is compared
    /// as usual; the rules of the first poll are for what is unknown.
    First,
    /// The remembered keys come from other rules. What is found is taken as seen, silently; what is not found
    /// belonged to the old keys and counts as removed, silently.
    Rebaseline,
    /// Keys come from the same rules as the items.
    Usual,
}

/// A change of a kind that the rules want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    /// Whether a created item had been removed before.
    pub reappeared: bool,
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What is remembered of it from now on.
    pub seen: SeenItem,
    /// What becomes an event; `None` if only the memory changes.
    pub change: Option<Change>,
}

/// How old the memory of when an item was last seen becomes before it is refreshed for its own sake.
pub const LAST_SEEN_IS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A poll that read several pages is not believed alone that an item is missing: rows may have moved from a page that
/// was yet to be read to one that had been.
const POLLS_OF_SEVERAL_PAGES: u8 = 2;

/// What a poll read, now that it is over.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    pub completeness: Completeness,
    /// Whether it asked for all there is, from the beginning, and not only for what is new.
    pub is_full: bool,
    /// How many pages it read.
    pub pages: usize,
    /// Whether the source listed nothing at all.
    pub is_empty: bool,
}

/// Compares items one by one with what is remembered of them.
#[derive(Debug, Clone)]
pub struct Detector {
    rules: ChangeRules,
    footing: Footing,
    /// The present rules for fingerprints.
    epoch: u8,
    /// In whole seconds.
    at: Timestamp,
    /// Whether what is remembered of every item is written anew.
    rewrites: bool,
}

impl Detector {
    /// Returns what compares the items of a poll that began at this time. Times are remembered in whole seconds.
    pub fn new(rules: ChangeRules, footing: Footing, epoch: u8, at: Timestamp) -> Self {
        Self { rules, footing, epoch, at: Timestamp::from_millis(at.as_seconds() * 1000), rewrites: false }
    }

    /// Writes anew whatever is found, so that all is written that belongs to an item.
    #[must_use]
    pub fn rewriting(self, rewrites: bool) -> Self {
        Self { rewrites, ..self }
    }

    /// Returns the rules that changes are detected by.
    pub fn rules(&self) -> &ChangeRules {
        &self.rules
    }

    /// Returns how far the memory can be compared.
    pub fn footing(&self) -> Footing {
        self.footing
    }

    /// Tells whether a poll is evidence of what it found. A partial one is only if there is something to compare with.
    pub fn believes(&self, completeness: Completeness) -> bool {
        completeness != Completeness::Partial || self.footing == Footing::Usual
    }

    /// Returns in how many polls in a row, this one included, an item must be missing to count as removed; `None` if
    /// this poll says nothing about what it did not find.
    pub fn believes_missing(&self, listing: Listing) -> Option<u8> {
        let Listing { completeness, is_full, pages, is_empty } = listing;
        let proves = match self.footing {
            // Whatever it is, it goes by another key now.
            Footing::Rebaseline => completeness != Completeness::Partial,
            Footing::First | Footing::Usual => completeness == Completeness::Complete,
        };
        if !self.rules.detects_removal() || !is_full || !proves {
            return None;
        }
        let pages_want = if pages > 1 { POLLS_OF_SEVERAL_PAGES } else { 1 };
        let is_suspicious = is_empty && self.rules.empty == EmptyRule::Suspicious;
        let empty_wants = if is_suspicious { EmptyRule::POLLS_UNTIL_BELIEVED } else { 1 };
        Some(self.rules.removed_after.get().min(Presence::MOST_MISSED).max(pages_want).max(empty_wants))
    }

    /// Tells whether this is the version of the item that is remembered, under the same rules.
    pub fn is_unchanged(&self, seen: &SeenItem, item: &Item) -> bool {
        seen.epoch == self.epoch && seen.fingerprint == item.fingerprint
    }

    /// Returns what becomes of a found item, if what is remembered of it changes; `rank` is its place among the
    /// different items of the listing, from 0.
    pub fn found(&self, rank: usize, seen: Option<&SeenItem>, item: &Item) -> Option<Verdict> {
        let remembered = self.remember(seen, item)?;
        Some(Verdict { seen: remembered, change: self.change(rank, seen, item) })
    }

    fn change(&self, rank: usize, seen: Option<&SeenItem>, item: &Item) -> Option<Change> {
        let change = match seen {
            None if self.is_silent(rank) => return None,
            None => Change { kind: ChangeKind::Created, reappeared: false },
            Some(_) if self.footing == Footing::Rebaseline => return None,
            Some(seen) if seen.presence == Presence::Removed => Change { kind: ChangeKind::Created, reappeared: true },
            // What it was under other rules tells nothing of what it is.
            Some(seen) if seen.epoch != self.epoch => return None,
            Some(seen) if seen.fingerprint != item.fingerprint => {
                Change { kind: ChangeKind::Updated, reappeared: false }
            }
            Some(_) => return None,
        };
        self.rules.wants(change.kind).then_some(change)
    }

    /// Tells whether an unknown item in this place of the listing is taken as seen.
    fn is_silent(&self, rank: usize) -> bool {
        match (self.footing, self.rules.first_poll) {
            (Footing::Rebaseline, _) | (Footing::First, FirstPoll::Baseline) => true,
            (Footing::First, FirstPoll::Latest(count)) => rank >= count,
            (Footing::First, FirstPoll::Send) | (Footing::Usual, _) => false,
        }
    }

    /// Returns what to remember of a found item, if that is not what is remembered already.
    fn remember(&self, seen: Option<&SeenItem>, item: &Item) -> Option<SeenItem> {
        let keeps_key = self.rules.detects_removal();
        if let Some(seen) = seen {
            let accurate = self.is_unchanged(seen, item)
                && seen.presence == Presence::Present
                && (seen.key.is_some() || !keeps_key)
                && self.at.since(seen.last_seen) <= LAST_SEEN_IS_KEPT;
            if accurate && !self.rewrites {
                return None;
            }
        }
        Some(SeenItem {
            key_hash: item.key_hash,
            fingerprint: item.fingerprint,
            first_seen: seen.map_or(self.at, |seen| seen.first_seen),
            last_seen: self.at,
            presence: Presence::Present,
            epoch: self.epoch,
            key: keeps_key.then(|| item.key.to_string()),
        })
    }

    /// Returns what becomes of an item that is not in a listing of everything, if what is remembered of it changes.
    /// `needed` is in how many polls in a row it must be missing, this one included.
    pub fn missing(&self, seen: &SeenItem, needed: u8) -> Option<Verdict> {
        let missed = match seen.presence {
            Presence::Removed => return None,
            Presence::Present => 1,
            Presence::Missing(missed) => missed.saturating_add(1).min(Presence::MOST_MISSED),
        };
        let verdict = |presence, change| Some(Verdict { seen: SeenItem { presence, ..seen.clone() }, change });
        // Without its key's text, it was never seen while removals were detected: it left a list of recent items.
        if self.footing == Footing::Rebaseline || seen.key.is_none() {
            return verdict(Presence::Removed, None);
        }
        if missed < needed {
            return verdict(Presence::Missing(missed), None);
        }
        let change = Change { kind: ChangeKind::Removed, reappeared: false };
        verdict(Presence::Removed, self.rules.wants(ChangeKind::Removed).then_some(change))
    }
}

#[cfg(test)]
mod tests;
