//! The steps of a poll's commit: each is one batch that holds whole leaves of seen items, the events of these items, and
//! what was set aside for them.

use std::collections::BTreeMap;

use super::committer::{MOST_BYTES, MOST_OPERATIONS};
use super::history::walk;
use super::keys::Place;
use super::seen::{self, OpenLeaf};
use super::value::{Body, Prepared, damaged, unseal};
use super::{Core, StagedEvent, keys};
use crate::model::fingerprint::KeyHash;
use crate::model::id::{ConnectorName, SubscriptionName};
use crate::model::item::{SeenItem, SetAside};
use crate::model::poll_record::PollRecord;
use crate::store::kv::{Batch, KeyValue, Order};
use crate::store::{POLLS_KEPT, SeenUpdate, StoreError};

/// The most bytes of large values that one step writes ahead.
const MOST_AHEAD: usize = 4 << 20;

/// What is left to be written of a poll's items.
pub(super) struct Items {
    /// By ascending hash.
    updates: std::iter::Peekable<std::vec::IntoIter<SeenUpdate>>,
    /// What is set aside from now on for a key; `None` if nothing is.
    asides: BTreeMap<KeyHash, Option<SetAside>>,
    /// Whether something is set aside already, so that an update may have to end it; `None` before that is known.
    ends_asides: Option<bool>,
}

impl Items {
    pub fn new(mut updates: Vec<SeenUpdate>, set_aside: Vec<SetAside>, dropped: Vec<KeyHash>) -> Self {
        updates.sort_unstable_by_key(|update| update.seen.key_hash);
        let dropped = dropped.into_iter().map(|hash| (hash, None));
        let put = set_aside.into_iter().map(|change| (change.key_hash, Some(change)));
        Self { updates: updates.into_iter().peekable(), asides: dropped.chain(put).collect(), ends_asides: None }
    }

    pub fn is_empty(&mut self) -> bool {
        self.updates.peek().is_none() && self.asides.is_empty()
    }
}

/// What one batch of a poll's commit writes.
#[derive(Default)]
pub(super) struct Step {
    pub batch: Batch,
    /// Pieces of large values, to be made durable before the batch, in order.
    pub ahead: Vec<Batch>,
    pub queued: Vec<(SubscriptionName, Place)>,
    /// Whether this is the last step, after which the lease is given back.
    pub is_last: bool,
}

impl Step {
    /// Takes in items until the batch is full. Each leaf is opened once; if the batch ends within it, the next step
    /// opens it again.
    pub fn fill(
        &mut self,
        kv: &dyn KeyValue,
        core: &Core,
        connector: &ConnectorName,
        items: &mut Items,
    ) -> Result<(), StoreError> {
        while let Some(first) = items.updates.peek() {
            let mut leaf = OpenLeaf::covering(kv, connector, &first.seen.key_hash)?;
            let ends_asides = match items.ends_asides {
                Some(known) => known,
                None => *items.ends_asides.insert(is_any_set_aside(kv, connector)?),
            };
            let mut leaf_bytes = leaf.bytes();
            let mut merged: Vec<SeenItem> = Vec::new();
            // One update at least is taken by each step, however large it is.
            while let Some(update) = items.updates.next_if(|update| {
                leaf.reaches(&update.seen.key_hash)
                    && (self.batch.is_empty() && merged.is_empty() || self.has_room(leaf_bytes))
            }) {
                leaf_bytes += seen::size_of_item(&update.seen);
                let hash = update.seen.key_hash;
                if let Some(kept) = update.kept {
                    self.replace(kv, core, keys::kept(connector, &hash), kept.get().as_bytes())?;
                }
                match items.asides.remove(&hash) {
                    Some(aside) => self.set_aside(kv, core, connector, hash, aside)?,
                    None if ends_asides => self.remove(kv, keys::set_aside(connector, &hash))?,
                    None => {}
                }
                if let Some(routed) = update.event {
                    self.add(StagedEvent::new(&core.groups, routed));
                }
                merged.push(update.seen);
            }
            // What of this leaf has no room must wait until the leaf is written: it would be read as it was before.
            let is_full = items.updates.peek().is_some_and(|update| leaf.reaches(&update.seen.key_hash));
            if !merged.is_empty() {
                leaf.merge(merged);
                leaf.write(connector, &mut self.batch);
            }
            if is_full {
                return Ok(());
            }
        }
        while self.batch.is_empty() || self.has_room(0) {
            let Some((hash, aside)) = items.asides.pop_first() else { break };
            self.set_aside(kv, core, connector, hash, aside)?;
        }
        Ok(())
    }

    /// Adds what a poll ends with, if it still fits; gives it back if it does not.
    pub fn end(
        &mut self,
        kv: &dyn KeyValue,
        core: &Core,
        connector: &ConnectorName,
        end: End,
    ) -> Result<Option<End>, StoreError> {
        if !self.batch.is_empty() && !self.has_room(end.bytes()) {
            return Ok(Some(end));
        }
        end.news.into_iter().for_each(|event| self.add(event));
        self.replace(kv, core, keys::connector(connector), &end.state)?;
        if let Some(record) = end.record {
            self.note(kv, core, connector, &record)?;
        }
        self.is_last = true;
        Ok(None)
    }

    fn set_aside(
        &mut self,
        kv: &dyn KeyValue,
        core: &Core,
        connector: &ConnectorName,
        hash: KeyHash,
        aside: Option<SetAside>,
    ) -> Result<(), StoreError> {
        let key = keys::set_aside(connector, &hash);
        match aside {
            Some(change) => {
                let json = serde_json::to_vec(&change).expect("a change is written to memory without errors");
                self.replace(kv, core, key, &json)
            }
            None => self.remove(kv, key),
        }
    }

    /// Adds a poll to its connector's history, and removes those that it no longer keeps.
    fn note(
        &mut self,
        kv: &dyn KeyValue,
        core: &Core,
        connector: &ConnectorName,
        record: &PollRecord,
    ) -> Result<(), StoreError> {
        let all = keys::polls_before(connector, None);
        let place = |key: &[u8]| keys::poll_of(key).ok_or_else(|| damaged(key, "it names no poll"));
        let mut gone = Vec::new();
        let mut last = None;
        walk(kv, &all, Order::Descending, |key, _| {
            let (at, number) = place(key)?;
            if at >= record.at {
                gone.push(key.to_vec());
            } else {
                last = Some(number);
            }
            Ok(last.is_none())
        })?;
        let number = last.map_or(0, |last| last.wrapping_add(1));
        walk(kv, &all, Order::Ascending, |key, _| {
            let is_kept = (number.wrapping_sub(place(key)?.1) as usize) < POLLS_KEPT;
            if !is_kept {
                gone.push(key.to_vec());
            }
            Ok(!is_kept)
        })?;
        for key in gone {
            self.remove(kv, key)?;
        }
        let json = serde_json::to_vec(record).expect("a poll's record is written to memory without errors");
        self.replace(kv, core, keys::poll(connector, record.at, number), &json)
    }

    /// Writes a value of any size in place of what may be there.
    fn replace(&mut self, kv: &dyn KeyValue, core: &Core, key: Vec<u8>, body: &[u8]) -> Result<(), StoreError> {
        delete_pieces(kv, &key, &mut self.batch)?;
        let Prepared { key, value, before } = core.groups.prepare(key, body);
        self.ahead.extend(before);
        self.batch.put(key, value);
        Ok(())
    }

    /// Removes a value of any size that may be there.
    pub fn remove(&mut self, kv: &dyn KeyValue, key: Vec<u8>) -> Result<(), StoreError> {
        if delete_pieces(kv, &key, &mut self.batch)? {
            self.batch.delete(key);
        }
        Ok(())
    }

    fn add(&mut self, mut event: StagedEvent) {
        self.ahead.append(&mut event.prepared.before);
        event.put(&mut self.batch);
        self.queued.extend(event.queued);
    }

    fn has_room(&self, more_bytes: usize) -> bool {
        // A few operations are left for the parts of a leaf that is split.
        self.batch.operations() + 16 + more_bytes / 1024 <= MOST_OPERATIONS
            && self.batch.bytes() + more_bytes <= MOST_BYTES
            && self.ahead.iter().map(Batch::bytes).sum::<usize>() < MOST_AHEAD
    }
}

/// What a poll's commit ends with.
pub(super) struct End {
    pub news: Vec<StagedEvent>,
    /// The state as JSON.
    pub state: Vec<u8>,
    pub record: Option<PollRecord>,
}

impl End {
    fn bytes(&self) -> usize {
        /// The largest piece of a record.
        const RECORD: usize = super::value::LARGEST_PIECE;
        self.state.len()
            + self.news.iter().map(StagedEvent::bytes).sum::<usize>()
            + self.record.as_ref().map_or(0, |_| RECORD)
    }
}

fn is_any_set_aside(kv: &dyn KeyValue, connector: &ConnectorName) -> Result<bool, StoreError> {
    let mut is_any = false;
    walk(kv, &keys::set_aside_after(connector, None), Order::Ascending, |_, _| {
        is_any = true;
        Ok(false)
    })?;
    Ok(is_any)
}

/// Adds the removal of the pieces of a value that is going to be replaced or removed.
fn delete_pieces(kv: &dyn KeyValue, key: &[u8], batch: &mut Batch) -> Result<bool, StoreError> {
    let Some(value) = kv.get(key)? else { return Ok(false) };
    if let Body::InPieces(reference) = unseal(key, &value)? {
        reference.delete(batch);
    }
    Ok(true)
}
