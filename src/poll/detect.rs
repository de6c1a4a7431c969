//! Items → changes: a pure function. No I/O, no clock.

use std::collections::HashSet;
use std::time::Duration;

use crate::model::change::{ChangeKind, ChangeRules, FirstPoll};
use crate::model::fingerprint::KeyHash;
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
    /// The remembered fingerprints come from other rules: known items take the new ones silently.
    Refingerprint,
    /// Keys and fingerprints come from the same rules as the items.
    Usual,
}

/// What a poll's items mean.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Detection {
    /// Everything that is remembered anew: found items in the order of their listing, then missing ones by key.
    pub findings: Vec<Finding>,
    /// What is odd about the items.
    pub notes: Vec<Note>,
}

impl Detection {
    /// Adds what has not changed of the items: so that everything is written that belongs to a found item.
    pub fn add_unchanged(&mut self, seen: &[SeenItem], items: &[Item]) {
        let mut written: HashSet<KeyHash> = self.findings.iter().map(|finding| finding.seen.key_hash).collect();
        for (index, item) in items.iter().enumerate() {
            let Ok(place) = seen.binary_search_by_key(&item.key_hash, |seen| seen.key_hash) else { continue };
            if seen[place].fingerprint == item.fingerprint && written.insert(item.key_hash) {
                self.findings.push(Finding { seen: seen[place].clone(), item: Some(index), change: None });
            }
        }
    }
}

/// One item whose memory changes.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is remembered of it from now on.
    pub seen: SeenItem,
    /// Its place in the listing; `None` if it is missing there.
    pub item: Option<usize>,
    /// What becomes an event; `None` if only the memory changes.
    pub change: Option<Change>,
}

/// A change of a kind that the rules want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    /// Whether a created item had been removed before.
    pub reappeared: bool,
}

/// Something odd that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Several items of the listing have this key.
    DuplicateKey { key: String, count: usize },
}

/// How old the memory of when an item was last seen becomes before it is refreshed for its own sake.
const LAST_SEEN_IS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Compares a poll's items with what is remembered.
///
/// `seen` ascends by key hash and holds at least what is remembered of these items; where removals are detected, it
/// holds everything. A partial poll is evidence only of the items that it found, and only on a usual footing: on
/// any other nothing is detected. Times are remembered in whole seconds.
pub fn detect(
    rules: &ChangeRules,
    footing: Footing,
    seen: &[SeenItem],
    items: &[Item],
    completeness: Completeness,
    at: Timestamp,
) -> Detection {
    debug_assert!(seen.is_sorted_by_key(|seen| seen.key_hash), "seen items ascend by key hash");
    if footing != Footing::Usual && completeness == Completeness::Partial {
        return Detection::default();
    }
    let detector = Detector { rules, footing, completeness, at: Timestamp::from_millis(at.as_seconds() * 1000) };
    let mut matches = match_up(seen, items);
    let mut detection = Detection { findings: Vec::new(), notes: matches.notes };
    matches.found.sort_unstable_by_key(|found| found.item);
    for (rank, found) in matches.found.iter().enumerate() {
        detection.findings.extend(detector.found(rank, found, &items[found.item]));
    }
    let first_missing = detection.findings.len();
    if rules.detects_removal() {
        detection.findings.extend(matches.missing.into_iter().filter_map(|seen| detector.missing(seen)));
        detection.findings[first_missing..].sort_unstable_by(|a, b| a.seen.key.cmp(&b.seen.key));
    }
    detection
}

/// The listing and the memory, side by side.
struct Matches<'a> {
    found: Vec<Found<'a>>,
    missing: Vec<&'a SeenItem>,
    notes: Vec<Note>,
}

struct Found<'a> {
    /// Of several items with the same key, the one that counts.
    item: usize,
    seen: Option<&'a SeenItem>,
}

fn match_up<'a>(seen: &'a [SeenItem], items: &[Item]) -> Matches<'a> {
    let mut matches = Matches { found: Vec::with_capacity(items.len()), missing: Vec::new(), notes: Vec::new() };
    let mut by_key: Vec<usize> = (0..items.len()).collect();
    by_key.sort_unstable_by_key(|&index| (items[index].key_hash, index));
    let mut seen = seen.iter().peekable();
    for occurrences in by_key.chunk_by(|&a, &b| items[a].key_hash == items[b].key_hash) {
        let last = occurrences[occurrences.len() - 1];
        let key_hash = items[last].key_hash;
        while let Some(passed) = seen.next_if(|seen| seen.key_hash < key_hash) {
            matches.missing.push(passed);
        }
        let known = seen.next_if(|seen| seen.key_hash == key_hash);
        if occurrences.len() > 1 {
            matches.notes.push(Note::DuplicateKey { key: items[last].key.to_string(), count: occurrences.len() });
        }
        // Pages that shift while they are read show an item twice, maybe once in an older version. While the version
        // that is remembered still shows, there is nothing to tell.
        let unchanged = known.and_then(|known| {
            occurrences.iter().find(|&&index| items[index].fingerprint == known.fingerprint).copied()
        });
        matches.found.push(Found { item: unchanged.unwrap_or(last), seen: known });
    }
    matches.missing.extend(seen);
    matches
}

struct Detector<'a> {
    rules: &'a ChangeRules,
    footing: Footing,
    completeness: Completeness,
    /// In whole seconds.
    at: Timestamp,
}

impl Detector<'_> {
    fn found(&self, rank: usize, found: &Found<'_>, item: &Item) -> Option<Finding> {
        let remembered = self.remember(found.seen, item)?;
        let change = self.change(rank, found.seen, item);
        Some(Finding { seen: remembered, item: Some(found.item), change })
    }

    fn change(&self, rank: usize, seen: Option<&SeenItem>, item: &Item) -> Option<Change> {
        let change = match seen {
            None if self.is_silent(rank) => return None,
            None => Change { kind: ChangeKind::Created, reappeared: false },
            Some(_) if self.footing == Footing::Rebaseline => return None,
            Some(seen) if seen.presence == Presence::Removed => Change { kind: ChangeKind::Created, reappeared: true },
            Some(_) if self.footing == Footing::Refingerprint => return None,
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
            (Footing::First, FirstPoll::Send) | (Footing::Refingerprint | Footing::Usual, _) => false,
        }
    }

    /// Returns what to remember of a found item, if that is not what is remembered already.
    fn remember(&self, seen: Option<&SeenItem>, item: &Item) -> Option<SeenItem> {
        let keeps_key = self.rules.detects_removal();
        if let Some(seen) = seen {
            let accurate = seen.fingerprint == item.fingerprint
                && seen.presence == Presence::Present
                && (seen.key.is_some() || !keeps_key)
                && self.at.since(seen.last_seen) <= LAST_SEEN_IS_KEPT;
            if accurate {
                return None;
            }
        }
        Some(SeenItem {
            key_hash: item.key_hash,
            fingerprint: item.fingerprint,
            first_seen: seen.map_or(self.at, |seen| seen.first_seen),
            last_seen: self.at,
            presence: Presence::Present,
            epoch: 0,
            key: keeps_key.then(|| item.key.to_string()),
        })
    }

    /// Returns what to remember of an item that is not in the listing.
    fn missing(&self, seen: &SeenItem) -> Option<Finding> {
        let missed = match seen.presence {
            Presence::Removed => return None,
            Presence::Present => 1,
            Presence::Missing(missed) => missed.saturating_add(1),
        };
        let finding =
            |presence, change| Some(Finding { seen: SeenItem { presence, ..seen.clone() }, item: None, change });
        if self.footing == Footing::Rebaseline {
            return finding(Presence::Removed, None);
        }
        if self.completeness != Completeness::Complete {
            return None;
        }
        // Without its key's text, it was never seen while removals were detected: it left a list of recent items.
        if seen.key.is_none() {
            return finding(Presence::Removed, None);
        }
        if missed < self.rules.removed_after.get().min(Presence::MOST_MISSED) {
            return finding(Presence::Missing(missed), None);
        }
        let change = Change { kind: ChangeKind::Removed, reappeared: false };
        finding(Presence::Removed, self.rules.wants(ChangeKind::Removed).then_some(change))
    }
}

#[cfg(test)]
mod tests;
