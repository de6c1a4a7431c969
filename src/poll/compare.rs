//! A poll's items, taken in page by page and compared with what is remembered. It keeps no more in memory than the
//! hashes of the keys that it found and what is still to be committed.

use std::collections::{HashMap, HashSet};

use super::detect::{Change, Detector, Verdict};
use crate::model::fingerprint::KeyHash;
use crate::model::item::{Item, Presence, SeenItem};
use crate::model::time::Timestamp;

/// One item whose memory changes.
#[derive(Debug)]
pub struct Finding {
    /// What is remembered of it from now on.
    pub seen: SeenItem,
    /// The item as it was found; `None` if it is missing, or if nothing needs it.
    pub item: Option<Item>,
    /// What becomes an event; `None` if only the memory changes.
    pub change: Option<Change>,
}

/// What a poll has found so far.
#[derive(Debug)]
pub struct Comparison {
    detector: Detector,
    /// The keys of all items about which there is nothing more to be decided.
    settled: HashSet<KeyHash>,
    /// Items that were not found in the version that is remembered; they still may be, on a later page.
    pending: HashMap<KeyHash, Pending>,
    /// What was decided and is to be committed, by the places of the items in the listing.
    decided: Vec<(usize, Finding)>,
    /// About how many bytes `pending` and `decided` take.
    bytes: usize,
    /// How many items were found, those with the same key included.
    pub items: usize,
    /// How many of the different items are remembered as present, and how many are not remembered at all.
    pub known: usize,
    pub unknown: usize,
    duplicates: Vec<Duplicate>,
}

#[derive(Debug)]
struct Pending {
    rank: usize,
    seen: Option<SeenItem>,
    item: Item,
}

/// A key that several items of one page have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    pub key: String,
    pub count: usize,
}

/// The most keys of which it is told that several items have them.
const MOST_DUPLICATES: usize = 5;

/// Whether a page ends a poll that is to stop at what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageIs {
    /// All its items are unchanged since the source was last read through.
    Known,
    /// Some are not, or there are none.
    New,
}

impl Comparison {
    /// Returns the comparison of a poll that has found nothing yet.
    pub fn new(detector: Detector) -> Self {
        Self {
            detector,
            settled: HashSet::new(),
            pending: HashMap::new(),
            decided: Vec::new(),
            bytes: 0,
            items: 0,
            known: 0,
            unknown: 0,
            duplicates: Vec::new(),
        }
    }

    /// Returns the comparison, and leaves an empty one in its place.
    pub fn take_over(&mut self) -> Self {
        let empty = Self::new(self.detector.clone());
        std::mem::replace(self, empty)
    }

    /// Returns the hashes of those items of a page of which it must be known what is remembered; ascending, without
    /// repeats.
    pub fn asks_for(&self, items: &[Item]) -> Vec<KeyHash> {
        let is_new = |hash: &KeyHash| !self.settled.contains(hash) && !self.pending.contains_key(hash);
        let mut hashes: Vec<KeyHash> = items.iter().map(|item| item.key_hash).filter(is_new).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    /// Takes in a page. `seen` ascends by key hash and is what is remembered of the items that were asked for.
    /// The page is known if none of its items was changed or seen for the first time after `read_through_at`.
    pub fn take(&mut self, items: Vec<Item>, seen: &[SeenItem], read_through_at: Option<Timestamp>) -> PageIs {
        debug_assert!(seen.is_sorted_by_key(|seen| seen.key_hash), "seen items ascend by key hash");
        let read_through_at = read_through_at.map(|at| Timestamp::from_millis(at.as_seconds() * 1000));
        let mut is_known = !items.is_empty() && read_through_at.is_some();
        let mut counts: HashMap<KeyHash, usize> = HashMap::with_capacity(items.len());
        self.items += items.len();
        for item in items {
            let count = counts.entry(item.key_hash).or_default();
            *count += 1;
            if *count > 1 {
                self.note_duplicate(&item, *count);
            }
            let place = seen.binary_search_by_key(&item.key_hash, |seen| seen.key_hash);
            let seen = place.ok().map(|place| &seen[place]);
            is_known &= seen.is_some_and(|seen| {
                self.detector.is_unchanged(seen, &item)
                    && seen.presence == Presence::Present
                    && read_through_at.is_some_and(|at| seen.last_seen <= at)
            });
            self.take_item(item, seen);
        }
        if is_known { PageIs::Known } else { PageIs::New }
    }

    fn take_item(&mut self, item: Item, seen: Option<&SeenItem>) {
        if self.settled.contains(&item.key_hash) {
            return;
        }
        let before = self.pending.remove(&item.key_hash);
        let (rank, seen) = match before {
            Some(before) => {
                self.bytes -= before.bytes();
                (before.rank, before.seen)
            }
            None => {
                match seen {
                    Some(seen) if seen.presence != Presence::Removed => self.known += 1,
                    Some(_) => {}
                    None => self.unknown += 1,
                }
                (self.settled.len() + self.pending.len(), seen.cloned())
            }
        };
        // Pages that shift while they are read show an item twice, maybe once in an older version. While the version
        // that is remembered still shows, there is nothing to tell. Otherwise the last one counts.
        if seen.as_ref().is_some_and(|seen| self.detector.is_unchanged(seen, &item)) {
            self.settle(rank, seen.as_ref(), item);
        } else {
            let pending = Pending { rank, seen, item: item.detached() };
            self.bytes += pending.bytes();
            self.pending.insert(pending.item.key_hash, pending);
        }
    }

    fn settle(&mut self, rank: usize, seen: Option<&SeenItem>, item: Item) {
        self.settled.insert(item.key_hash);
        let Some(verdict) = self.detector.found(rank, seen, &item) else { return };
        let is_needed = verdict.change.is_some() || self.detector.rules().previous;
        let item = is_needed.then(|| item.detached());
        let finding = Finding { seen: verdict.seen, item, change: verdict.change };
        self.bytes += finding.bytes();
        self.decided.push((rank, finding));
    }

    fn note_duplicate(&mut self, item: &Item, count: usize) {
        if let Some(duplicate) = self.duplicates.iter_mut().find(|duplicate| *duplicate.key == *item.key) {
            duplicate.count = duplicate.count.max(count);
        } else if self.duplicates.len() < MOST_DUPLICATES {
            self.duplicates.push(Duplicate { key: item.key.to_string(), count });
        }
    }

    /// Returns the first few keys that several items of one page have.
    pub fn duplicates(&self) -> &[Duplicate] {
        &self.duplicates
    }

    /// Returns about how many bytes are held until they are committed.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Tells whether an item was found.
    pub fn has_found(&self, key: &KeyHash) -> bool {
        self.settled.contains(key) || self.pending.contains_key(key)
    }

    /// Decides about everything that was found so far, and gives it out in the order of the listing. What later pages
    /// say of the same items no longer counts.
    pub fn decide(&mut self) -> Vec<Finding> {
        for (_, Pending { rank, seen, item }) in std::mem::take(&mut self.pending) {
            self.settle(rank, seen.as_ref(), item);
        }
        let mut decided = std::mem::take(&mut self.decided);
        self.bytes = 0;
        decided.sort_unstable_by_key(|(rank, _)| *rank);
        decided.into_iter().map(|(_, finding)| finding).collect()
    }

    /// Returns what becomes of those items, part of all that is remembered, that were not found: they are missing in
    /// `needed` polls in a row to be removed, and come by key. To be asked when everything is decided.
    pub fn missing(&self, seen: &[SeenItem], needed: u8) -> Vec<Finding> {
        debug_assert!(self.pending.is_empty(), "everything is decided");
        let missing = seen.iter().filter(|seen| !self.settled.contains(&seen.key_hash));
        let verdicts = missing.filter_map(|seen| self.detector.missing(seen, needed));
        let finding = |verdict: Verdict| Finding { seen: verdict.seen, item: None, change: verdict.change };
        let mut findings: Vec<Finding> = verdicts.map(finding).collect();
        findings.sort_unstable_by(|one, other| one.seen.key.cmp(&other.seen.key));
        findings
    }
}

impl Pending {
    fn bytes(&self) -> usize {
        size_of::<(KeyHash, Self)>() + self.item.bytes()
    }
}

impl Finding {
    /// Returns about how many bytes it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.seen.key.as_ref().map_or(0, String::len) + self.item.as_ref().map_or(0, Item::bytes)
    }
}
