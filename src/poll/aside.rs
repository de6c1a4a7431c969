//! Changes that were detected and are not events yet: held for approval, or waiting for their details.
//!
//! What is remembered of their items is as it was before the change, so each poll finds them again and says of each
//! whether it is still so.

use std::collections::HashMap;

use super::compare::Finding;
use super::detect::Change;
use super::events::keep;
use super::extract::fingerprint_of;
use super::report::ChangeCounts;
use crate::model::change::ChangeKind;
use crate::model::connector::Connector;
use crate::model::fingerprint::{Fingerprint, KeyHash};
use crate::model::id::ConnectorName;
use crate::model::item::{Item, Presence, SeenItem, SetAside, SetAsideReason};
use crate::model::json;
use crate::model::time::Timestamp;
use crate::store::{PollStore, SeenSelection, StoreError};

/// How many changes are read at once.
const PART: usize = 500;

/// What is set aside of a connector, without the records.
#[derive(Debug, Default)]
pub(super) struct Asides {
    entries: HashMap<KeyHash, Aside>,
    /// Left behind by a poll that ended before it could say that anything is held.
    orphans: Vec<KeyHash>,
}

#[derive(Debug, Clone, Copy)]
struct Aside {
    fingerprint: Fingerprint,
    kind: ChangeKind,
    why: SetAsideReason,
    since: Timestamp,
    /// Under which rules for fingerprints the item was last seen; `None` if it is not remembered, or of no matter any more.
    epoch: Option<u8>,
    /// Whether this poll has said something of it.
    is_heard_of: bool,
}

impl Aside {
    /// Returns a change that a poll has just found.
    fn of(change: &SetAside) -> Self {
        let SetAside { fingerprint, kind, why, since, .. } = *change;
        Self { fingerprint, kind, why, since, epoch: None, is_heard_of: true }
    }
}

impl Asides {
    /// Returns what is set aside of a connector, of which changes are held or not.
    pub async fn read(store: &dyn PollStore, connector: &ConnectorName, is_held: bool) -> Result<Self, StoreError> {
        let mut asides = Self::default();
        let mut after = None;
        loop {
            let part = store.set_aside(connector, SeenSelection::After(after, PART)).await?;
            let Some(last) = part.last() else { return Ok(asides) };
            after = Some(last.key_hash);
            let keys = part.iter().map(|change| change.key_hash).collect();
            let seen = store.seen_items(connector, SeenSelection::Keys(keys)).await?;
            for change in &part {
                if change.why == SetAsideReason::Held && !is_held {
                    asides.orphans.push(change.key_hash);
                } else {
                    let place = seen.binary_search_by_key(&change.key_hash, |seen| seen.key_hash);
                    let epoch = place.ok().map(|place| seen[place].epoch);
                    asides.entries.insert(change.key_hash, Aside { epoch, is_heard_of: false, ..Aside::of(change) });
                }
            }
        }
    }

    /// Takes those findings out that say no more than what is set aside already.
    pub fn take_known(&mut self, findings: Vec<Finding>, epoch: u8) -> Vec<Finding> {
        if self.entries.is_empty() {
            return findings;
        }
        findings.into_iter().filter(|finding| !self.knows(finding, epoch)).collect()
    }

    fn knows(&mut self, finding: &Finding, epoch: u8) -> bool {
        let Some(entry) = self.entries.get_mut(&finding.seen.key_hash) else { return false };
        entry.is_heard_of = true;
        let kind = if finding.seen.presence == Presence::Removed {
            Some(ChangeKind::Removed)
        } else {
            finding.change.map(|change| change.kind)
        };
        match kind {
            Some(ChangeKind::Removed) => entry.kind == ChangeKind::Removed,
            Some(kind) => entry.kind == kind && entry.fingerprint == finding.seen.fingerprint,
            // It was seen under other rules, and cannot tell whether the change that is set aside is still one.
            None => {
                finding.seen.presence == Presence::Present
                    && entry.kind == ChangeKind::Updated
                    && entry.epoch.is_some_and(|seen_under| seen_under != epoch)
            }
        }
    }

    /// Notes that this poll has told what there is to tell of these items.
    pub fn hear_of<'a>(&mut self, keys: impl IntoIterator<Item = &'a KeyHash>) {
        for key in keys {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.is_heard_of = true;
            }
        }
    }

    /// Ends what the source has taken back, and returns whose changes those were: of items that were found as they are
    /// remembered, and of new ones that are gone. `lists_all` says that what was not found is not there.
    pub fn take_back(&mut self, found: impl Fn(&KeyHash) -> bool, lists_all: bool) -> Vec<KeyHash> {
        let is_over = |key: &KeyHash, entry: &Aside| {
            !entry.is_heard_of && (found(key) || lists_all && entry.kind == ChangeKind::Created)
        };
        let mut over: Vec<KeyHash> =
            self.entries.iter().filter(|(key, entry)| is_over(key, entry)).map(|(key, _)| *key).collect();
        for key in &over {
            self.end(key);
        }
        over.append(&mut self.orphans);
        over
    }

    /// Ends everything that is set aside, and returns whose changes those were.
    pub fn take_all(&mut self) -> Vec<KeyHash> {
        let all = std::mem::take(&mut self.entries).into_keys().chain(std::mem::take(&mut self.orphans));
        all.collect()
    }

    /// Notes that a change is set aside.
    pub fn put(&mut self, change: &SetAside) {
        self.entries.insert(change.key_hash, Aside::of(change));
    }

    /// Notes that nothing is set aside for a key any more.
    pub fn end(&mut self, key: &KeyHash) {
        self.entries.remove(key);
    }

    /// Returns since when a change of this item is set aside for this reason, if one is.
    pub fn since(&self, key: &KeyHash, why: SetAsideReason) -> Option<Timestamp> {
        self.entries.get(key).filter(|entry| entry.why == why).map(|entry| entry.since)
    }

    /// Returns how many changes of each kind are set aside for this reason.
    pub fn counts(&self, why: SetAsideReason) -> ChangeCounts {
        let mut counts = ChangeCounts::default();
        for entry in self.entries.values().filter(|entry| entry.why == why) {
            counts.count(entry.kind);
        }
        counts
    }

    /// Returns those that have waited longest for this reason: so many at most, by ascending hash.
    pub fn longest_waiting(&self, why: SetAsideReason, most: usize) -> Vec<KeyHash> {
        let waiting = self.entries.iter().filter(|(_, entry)| entry.why == why);
        let mut waiting: Vec<(Timestamp, KeyHash)> = waiting.map(|(key, entry)| (entry.since, *key)).collect();
        waiting.sort_unstable();
        let mut keys: Vec<KeyHash> = waiting.into_iter().take(most).map(|(_, key)| key).collect();
        keys.sort_unstable();
        keys
    }
}

/// Returns the change of a finding as it is set aside: a change that would become an event, or an item's removal.
pub(super) fn set_aside(finding: &Finding, why: SetAsideReason, since: Timestamp) -> Option<SetAside> {
    let change = match finding.change {
        Some(change) => change,
        None if finding.seen.presence == Presence::Removed => Change { kind: ChangeKind::Removed, reappeared: false },
        None => return None,
    };
    let key = finding.item.as_ref().map(|item| &*item.key).or(finding.seen.key.as_deref())?;
    Some(SetAside {
        key_hash: finding.seen.key_hash,
        key: key.to_owned(),
        fingerprint: finding.seen.fingerprint,
        kind: change.kind,
        reappeared: change.reappeared,
        why,
        since,
        record: finding.item.as_ref().map(|item| keep(&item.record.value())),
    })
}

/// Returns what a poll would find if it found what is set aside, under the present rules; `None` if there is nothing to
/// it any more. `seen` is what is remembered of the item.
pub(super) fn finding_of(
    connector: &Connector,
    change: SetAside,
    seen: Option<&SeenItem>,
    epoch: u8,
    at: Timestamp,
) -> Option<Finding> {
    let rules = &connector.changes;
    let wanted = Change { kind: change.kind, reappeared: change.reappeared };
    let wanted = Some(wanted).filter(|wanted| rules.wants(wanted.kind));
    if change.kind == ChangeKind::Removed {
        let seen = seen.filter(|seen| seen.presence != Presence::Removed)?;
        let seen = SeenItem { presence: Presence::Removed, ..seen.clone() };
        return Some(Finding { seen, item: None, change: wanted });
    }
    let value = json::parse(change.record?.get().as_bytes()).ok()?;
    // The rules may have been edited since: what is remembered has to be what the next poll would compare with.
    let fingerprint = fingerprint_of(connector, &value).unwrap_or(change.fingerprint);
    let at = Timestamp::from_millis(at.as_seconds() * 1000);
    let remembered = SeenItem {
        key_hash: change.key_hash,
        fingerprint,
        first_seen: seen.map_or(at, |seen| seen.first_seen),
        last_seen: at,
        presence: Presence::Present,
        epoch,
        key: rules.detects_removal().then(|| change.key.clone()),
    };
    let item = Item { key: change.key.into(), key_hash: change.key_hash, fingerprint, record: value.into() };
    Some(Finding { seen: remembered, item: Some(item), change: wanted })
}
