//! Seen items, packed: each connector's records lie sorted by key hash in leaves of at most about 6 KiB. A leaf covers
//! the hashes from its own lowest one up to the next leaf's; the first leaf begins at zero.

use std::ops::ControlFlow;

use super::super::StoreError;
use super::super::kv::{Batch, KeyValue, Order};
use super::history::walk;
use super::keys;
use super::value::{Decoder, Encoder, LARGEST_PIECE, damaged, seal, unseal_whole};
use crate::model::fingerprint::{Fingerprint, KeyHash};
use crate::model::id::ConnectorName;
use crate::model::item::{Presence, SeenItem};
use crate::model::time::Timestamp;

const RECORD: usize = 16 + 16 + 4 + 4 + 1 + 1;
const LARGEST_LEAF: usize = LARGEST_PIECE;
const REMOVED: u8 = u8::MAX;

/// How many leaves without a match a look-up reads on before it seeks the next one.
const LEAVES_IN_VAIN: usize = 2;

/// A leaf as it is stored: `count`, that many records, and the texts of those keys that are kept.
struct Leaf<'b> {
    records: &'b [u8],
    texts: &'b [u8],
}

impl<'b> Leaf<'b> {
    fn read(key: &[u8], value: &'b [u8]) -> Result<Self, StoreError> {
        let body = unseal_whole(key, value)?;
        let wrong = || damaged(key, "its records are cut off");
        let (count, rest) = body.split_first_chunk().ok_or_else(wrong)?;
        let length = u32::from_le_bytes(*count) as usize * RECORD;
        let (records, texts) = rest.split_at_checked(length).ok_or_else(wrong)?;
        Ok(Self { records, texts })
    }

    fn len(&self) -> usize {
        self.records.len() / RECORD
    }

    fn record(&self, index: usize) -> &'b [u8] {
        &self.records[index * RECORD..(index + 1) * RECORD]
    }

    fn hash(&self, index: usize) -> &'b [u8] {
        &self.record(index)[..16]
    }

    /// Returns the first index from `start` on whose hash is not less.
    fn position(&self, start: usize, hash: &KeyHash) -> usize {
        let (mut low, mut high) = (start, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.hash(middle) < hash.0.as_slice() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Returns the first index whose hash is greater.
    fn position_after(&self, hash: &KeyHash) -> usize {
        let position = self.position(0, hash);
        position + usize::from(position < self.len() && self.hash(position) == hash.0)
    }

    fn item(&self, index: usize, key: Option<String>) -> Option<SeenItem> {
        let mut decoder = Decoder(self.record(index));
        Some(SeenItem {
            key_hash: KeyHash(decoder.chunk()?),
            fingerprint: Fingerprint(decoder.chunk()?),
            first_seen: from_seconds(decoder.u32()?),
            last_seen: from_seconds(decoder.u32()?),
            presence: match decoder.u8()? {
                0 => Presence::Present,
                REMOVED => Presence::Removed,
                missed => Presence::Missing(missed),
            },
            epoch: decoder.u8()?,
            key,
        })
    }

    /// Returns the texts of keys by the index of their record, ascending.
    fn texts(&self) -> impl Iterator<Item = (usize, &'b str)> {
        let mut decoder = Decoder(self.texts);
        std::iter::from_fn(move || Some((decoder.u32()? as usize, decoder.text()?)))
    }

    /// Returns the items at these ascending indices.
    fn items(&self, indices: impl Iterator<Item = usize>, found: &mut Vec<SeenItem>) {
        let mut texts = self.texts().peekable();
        for index in indices {
            while texts.next_if(|(owner, _)| *owner < index).is_some() {}
            let text = texts.next_if(|(owner, _)| *owner == index).map(|(_, text)| text.to_owned());
            found.extend(self.item(index, text));
        }
    }
}

fn from_seconds(seconds: u32) -> Timestamp {
    Timestamp::from_millis(i64::from(seconds) * 1000)
}

fn to_seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_seconds()).unwrap_or(u32::MAX)
}

/// Returns all that is remembered of a connector's items, by ascending hash.
pub(super) fn all(kv: &dyn KeyValue, connector: &ConnectorName) -> Result<Vec<SeenItem>, StoreError> {
    following(kv, connector, None, usize::MAX)
}

/// Returns what is remembered of up to so many items whose hashes follow one, or of the first; reads no other leaves.
pub(super) fn following(
    kv: &dyn KeyValue,
    connector: &ConnectorName,
    after: Option<KeyHash>,
    most: usize,
) -> Result<Vec<SeenItem>, StoreError> {
    let mut range = keys::seen_leaves(connector);
    if let Some(after) = &after {
        let Some(lowest) = leaf_of(kv, connector, after)? else { return Ok(Vec::new()) };
        range.from = keys::seen_leaf(connector, &lowest);
    }
    let mut found = Vec::new();
    if most == 0 {
        return Ok(found);
    }
    walk(kv, &range, Order::Ascending, |key, value| {
        let leaf = Leaf::read(key, value)?;
        let known = after.as_ref().map_or(0, |after| leaf.position_after(after));
        leaf.items(known..leaf.len().min(known.saturating_add(most - found.len())), &mut found);
        Ok(found.len() < most)
    })?;
    Ok(found)
}

/// Returns what is remembered of the items with these hashes, which ascend. Each leaf is read once, and leaves that
/// hold none of them hardly ever.
pub(super) fn some(
    kv: &dyn KeyValue,
    connector: &ConnectorName,
    hashes: &[KeyHash],
) -> Result<Vec<SeenItem>, StoreError> {
    let end = keys::seen_leaves(connector).to;
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(hash) = hashes.get(next) {
        let Some(lowest) = leaf_of(kv, connector, hash)? else { break };
        let mut outcome = Ok(());
        let mut finished = true;
        let mut in_vain = 0;
        let from = keys::seen_leaf(connector, &lowest);
        kv.scan(&from, &end, Order::Ascending, &mut |key, value| {
            let leaf = match Leaf::read(key, value) {
                Ok(leaf) => leaf,
                Err(error) => {
                    outcome = Err(error);
                    return ControlFlow::Break(());
                }
            };
            let lowest = keys::lowest_of_leaf(key).unwrap_or_default();
            // Whatever is below this leaf and was not in the one before is in none.
            next += hashes[next..].partition_point(|hash| hash.0 < lowest);
            let before = next;
            let mut position = 0;
            let mut indices = Vec::new();
            while let Some(hash) = hashes.get(next) {
                position = leaf.position(position, hash);
                if position == leaf.len() {
                    break;
                }
                if leaf.hash(position) == hash.0 {
                    indices.push(position);
                }
                next += 1;
            }
            leaf.items(indices.into_iter(), &mut found);
            in_vain = if next == before { in_vain + 1 } else { 0 };
            if next == hashes.len() || in_vain > LEAVES_IN_VAIN {
                finished = false;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        outcome?;
        if finished {
            break;
        }
    }
    Ok(found)
}

/// Returns the lowest hash of the leaf that covers a hash; `None` if the connector has no leaves.
fn leaf_of(kv: &dyn KeyValue, connector: &ConnectorName, hash: &KeyHash) -> Result<Option<[u8; 16]>, StoreError> {
    let from = keys::seen_leaves(connector).from;
    // The least key that is greater than the leaf that would begin at the hash itself.
    let mut to = keys::seen_leaf(connector, &hash.0);
    to.push(0);
    let mut lowest = None;
    kv.scan(&from, &to, Order::Descending, &mut |key, _| {
        lowest = keys::lowest_of_leaf(key);
        ControlFlow::Break(())
    })?;
    Ok(lowest)
}

/// A leaf taken out to be changed, with the range that it covers.
pub(super) struct OpenLeaf {
    lowest: [u8; 16],
    /// The lowest hash of the next leaf.
    end: Option<[u8; 16]>,
    items: Vec<SeenItem>,
}

impl OpenLeaf {
    /// Takes out the leaf that covers a hash.
    pub fn covering(kv: &dyn KeyValue, connector: &ConnectorName, hash: &KeyHash) -> Result<Self, StoreError> {
        let Some(lowest) = leaf_of(kv, connector, hash)? else {
            return Ok(Self { lowest: [0; 16], end: None, items: Vec::new() });
        };
        Self::read(kv, connector, lowest)
    }

    /// Takes out the leaf after the one that begins at `after`, or the first one.
    pub fn following(
        kv: &dyn KeyValue,
        connector: &ConnectorName,
        after: Option<[u8; 16]>,
    ) -> Result<Option<Self>, StoreError> {
        next_leaf(kv, connector, after)?.map(|lowest| Self::read(kv, connector, lowest)).transpose()
    }

    fn read(kv: &dyn KeyValue, connector: &ConnectorName, lowest: [u8; 16]) -> Result<Self, StoreError> {
        let key = keys::seen_leaf(connector, &lowest);
        let value = kv.get(&key)?.ok_or_else(|| damaged(&key, "it vanished"))?;
        let leaf = Leaf::read(&key, &value)?;
        let mut items = Vec::with_capacity(leaf.len());
        leaf.items(0..leaf.len(), &mut items);
        Ok(Self { lowest, end: next_leaf(kv, connector, Some(lowest))?, items })
    }

    pub fn lowest(&self) -> [u8; 16] {
        self.lowest
    }

    /// Tells whether the leaf covers a hash that is not below it.
    pub fn reaches(&self, hash: &KeyHash) -> bool {
        self.end.is_none_or(|end| hash.0 < end)
    }

    /// Puts items in, which ascend, in place of those with the same hashes.
    pub fn merge(&mut self, updates: Vec<SeenItem>) {
        let old = std::mem::take(&mut self.items);
        self.items.reserve(old.len() + updates.len());
        let mut updates = updates.into_iter().peekable();
        for item in old {
            while let Some(update) = updates.next_if(|update| update.key_hash < item.key_hash) {
                self.items.push(update);
            }
            let replaced = updates.next_if(|update| update.key_hash == item.key_hash);
            self.items.push(replaced.unwrap_or(item));
        }
        self.items.extend(updates);
    }

    /// Takes out the items that are old.
    pub fn forget(&mut self, is_old: impl Fn(&SeenItem) -> bool) -> Vec<SeenItem> {
        self.items.extract_if(.., |item| is_old(item)).collect()
    }

    /// Returns about how many bytes the leaf has.
    pub fn bytes(&self) -> usize {
        self.items.iter().map(size_of_item).sum()
    }

    /// Writes the leaf back, split where it has become too large.
    pub fn write(self, connector: &ConnectorName, batch: &mut Batch) {
        let parts = self.bytes().div_ceil(LARGEST_LEAF).max(1);
        let share = self.bytes().div_ceil(parts);
        let mut lowest = self.lowest;
        let mut part: Vec<SeenItem> = Vec::new();
        let mut bytes = 0;
        for item in self.items {
            let size = size_of_item(&item);
            if !part.is_empty() && bytes + size > share.max(RECORD) {
                put(connector, &lowest, &part, batch);
                lowest = item.key_hash.0;
                part.clear();
                bytes = 0;
            }
            bytes += size;
            part.push(item);
        }
        // An empty leaf goes on covering its range unless nothing comes before it to take over.
        if part.is_empty() && lowest != [0; 16] {
            batch.delete(keys::seen_leaf(connector, &lowest));
        } else {
            put(connector, &lowest, &part, batch);
        }
    }
}

/// Returns how many bytes an item takes in a leaf.
pub(super) fn size_of_item(item: &SeenItem) -> usize {
    RECORD + item.key.as_ref().map_or(0, |key| 8 + key.len())
}

fn put(connector: &ConnectorName, lowest: &[u8; 16], items: &[SeenItem], batch: &mut Batch) {
    let mut encoder = Encoder(Vec::with_capacity(4 + items.iter().map(size_of_item).sum::<usize>()));
    encoder.u32(items.len() as u32);
    for item in items {
        encoder.0.extend_from_slice(&item.key_hash.0);
        encoder.0.extend_from_slice(&item.fingerprint.0);
        encoder.u32(to_seconds(item.first_seen));
        encoder.u32(to_seconds(item.last_seen));
        encoder.u8(match item.presence {
            Presence::Present => 0,
            Presence::Missing(missed) => missed.clamp(1, Presence::MOST_MISSED),
            Presence::Removed => REMOVED,
        });
        encoder.u8(item.epoch);
    }
    for (index, item) in items.iter().enumerate() {
        if let Some(key) = &item.key {
            encoder.u32(index as u32);
            encoder.text(key);
        }
    }
    let key = keys::seen_leaf(connector, lowest);
    let value = seal(&key, &encoder.0);
    batch.put(key, value);
}

fn next_leaf(
    kv: &dyn KeyValue,
    connector: &ConnectorName,
    after: Option<[u8; 16]>,
) -> Result<Option<[u8; 16]>, StoreError> {
    let mut range = keys::seen_leaves(connector);
    if let Some(after) = after {
        range.from = keys::seen_leaf(connector, &after);
        range.from.push(0);
    }
    let mut lowest = None;
    kv.scan(&range.from, &range.to, Order::Ascending, &mut |key, _| {
        lowest = keys::lowest_of_leaf(key);
        ControlFlow::Break(())
    })?;
    Ok(lowest)
}
