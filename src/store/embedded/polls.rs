//! What the poll side needs, on disk.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::committer::{MOST_BYTES, MOST_OPERATIONS};
use super::keys::Place;
use super::leases::lock;
use super::seen::{self, OpenLeaf};
use super::value::{Body, Prepared, damaged, load, unseal};
use super::{Core, EmbeddedStore, StagedEvent, announce, keys};
use crate::model::fingerprint::KeyHash;
use crate::model::id::{ConnectorName, LeaseToken, SubscriptionName};
use crate::model::item::{KeptItem, SeenItem};
use crate::model::time::Timestamp;
use crate::store::kv::{Batch, KeyValue};
use crate::store::{ConnectorState, PollCommit, PollLease, PollStore, SeenSelection, SeenUpdate, StoreError};

/// How many leaves of seen items one commit looks through for items to forget.
const LEAVES_SWEPT: usize = 16;

/// After how many forgotten items a commit leaves the rest to the next one.
const MOST_FORGOTTEN: usize = 500;

#[async_trait]
impl PollStore for EmbeddedStore {
    async fn lease_poll(
        &self,
        connector: &ConnectorName,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Option<PollLease>, StoreError> {
        let kv = self.kv()?;
        // Nothing that a poll finds could be written down.
        self.core.committer.check()?;
        let (token, until) = (LeaseToken::new(), now + lease_for);
        if !self.core.leases.take_poll(connector, token, now, until) {
            return Ok(None);
        }
        match read_state(&*kv, connector) {
            Ok(state) => Ok(Some(PollLease { connector: connector.clone(), token, until, state })),
            Err(error) => {
                self.core.leases.release_poll(connector, token);
                Err(error)
            }
        }
    }

    async fn release_poll(&self, lease: PollLease) -> Result<(), StoreError> {
        self.kv()?;
        self.core.leases.release_poll(&lease.connector, lease.token);
        Ok(())
    }

    async fn connector_state(&self, connector: &ConnectorName) -> Result<Option<ConnectorState>, StoreError> {
        read_state(&*self.kv()?, connector)
    }

    async fn seen_items(
        &self,
        connector: &ConnectorName,
        selection: SeenSelection,
    ) -> Result<Vec<SeenItem>, StoreError> {
        let connector = connector.clone();
        self.read(move |kv, _| match selection {
            SeenSelection::All => seen::all(kv, &connector),
            SeenSelection::After(after, most) => {
                let all = seen::all(kv, &connector)?.into_iter();
                Ok(all.filter(|seen| after.is_none_or(|after| seen.key_hash > after)).take(most).collect())
            }
            SeenSelection::Keys(hashes) => seen::some(kv, &connector, &hashes),
        })
        .await
    }

    async fn kept_items(
        &self,
        connector: &ConnectorName,
        keys: Vec<KeyHash>,
    ) -> Result<Vec<Option<KeptItem>>, StoreError> {
        let connector = connector.clone();
        self.read(move |kv, _| keys.iter().map(|hash| read_kept(kv, &connector, hash)).collect()).await
    }

    async fn commit_poll(&self, lease: PollLease, commit: PollCommit) -> Result<(), StoreError> {
        let PollLease { connector, token, .. } = lease;
        let PollCommit { mut updates, news, state, forget_before, .. } = commit;
        updates.sort_unstable_by_key(|update| update.seen.key_hash);
        if let Some(bound) = forget_before {
            let hashes = updates.iter().map(|update| update.seen.key_hash).collect();
            self.forget(&connector, token, bound, hashes).await?;
        }
        let mut left = updates.into_iter().peekable();
        let state = serde_json::to_vec(&state).expect("a state is written to memory without errors");
        let mut end = Some(End { news: self.stage(news).await?, state });
        while end.is_some() {
            let of = connector.clone();
            let (step, left_over, end_left) = self
                .read(move |kv, core| {
                    let mut step = Step::default();
                    step.fill(kv, core, &of, &mut left)?;
                    if left.peek().is_none()
                        && let Some(due) = end.take()
                    {
                        end = step.end(kv, core, &of, due)?;
                    }
                    Ok((step, left, end))
                })
                .await?;
            (left, end) = (left_over, end_left);
            self.commit_step(&connector, token, step).await?;
        }
        Ok(())
    }
}

fn read_state(kv: &dyn KeyValue, connector: &ConnectorName) -> Result<Option<ConnectorState>, StoreError> {
    let key = keys::connector(connector);
    let Some(body) = load(kv, &key)? else { return Ok(None) };
    serde_json::from_slice(&body).map(Some).map_err(|error| damaged(&key, format!("its JSON cannot be read: {error}")))
}

fn read_kept(kv: &dyn KeyValue, connector: &ConnectorName, hash: &KeyHash) -> Result<Option<KeptItem>, StoreError> {
    let key = keys::kept(connector, hash);
    let Some(body) = load(kv, &key)? else { return Ok(None) };
    serde_json::from_slice(&body).map(Some).map_err(|error| damaged(&key, format!("its JSON cannot be read: {error}")))
}

/// The most bytes of large values that one step writes ahead.
const MOST_AHEAD: usize = 4 << 20;

/// Updates by ascending hash, of which the first are taken.
type Updates = std::iter::Peekable<std::vec::IntoIter<SeenUpdate>>;

/// What one batch of a poll's commit writes.
#[derive(Default)]
struct Step {
    batch: Batch,
    /// Pieces of large values, to be made durable before the batch, in order.
    ahead: Vec<Batch>,
    queued: Vec<(SubscriptionName, Place)>,
    /// Whether this is the last step, after which the lease is given back.
    is_last: bool,
}

impl Step {
    /// Takes in updates until the batch is full. Each leaf is opened once; if the batch ends within it, the next step
    /// opens it again.
    fn fill(
        &mut self,
        kv: &dyn KeyValue,
        core: &Core,
        connector: &ConnectorName,
        updates: &mut Updates,
    ) -> Result<(), StoreError> {
        while let Some(first) = updates.peek() {
            let mut leaf = OpenLeaf::covering(kv, connector, &first.seen.key_hash)?;
            let mut leaf_bytes = leaf.bytes();
            let mut merged: Vec<SeenItem> = Vec::new();
            // One update at least is taken by each step, however large it is.
            while let Some(update) = updates.next_if(|update| {
                leaf.reaches(&update.seen.key_hash)
                    && (self.batch.is_empty() && merged.is_empty() || self.has_room(leaf_bytes))
            }) {
                leaf_bytes += seen::size_of_item(&update.seen);
                if let Some(kept) = update.kept {
                    let key = keys::kept(connector, &update.seen.key_hash);
                    self.replace(kv, core, key, kept.get().as_bytes())?;
                }
                if let Some(routed) = update.event {
                    self.add(StagedEvent::new(&core.groups, routed));
                }
                merged.push(update.seen);
            }
            // What of this leaf has no room must wait until the leaf is written: it would be read as it was before.
            let is_full = updates.peek().is_some_and(|update| leaf.reaches(&update.seen.key_hash));
            if !merged.is_empty() {
                leaf.merge(merged);
                leaf.write(connector, &mut self.batch);
            }
            if is_full {
                break;
            }
        }
        Ok(())
    }

    /// Adds what a poll ends with, if it still fits; gives it back if it does not.
    fn end(
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
        self.is_last = true;
        Ok(None)
    }

    /// Writes a value of any size in place of what may be there.
    fn replace(&mut self, kv: &dyn KeyValue, core: &Core, key: Vec<u8>, body: &[u8]) -> Result<(), StoreError> {
        delete_pieces(kv, &key, &mut self.batch)?;
        let Prepared { key, value, before } = core.groups.prepare(key, body);
        self.ahead.extend(before);
        self.batch.put(key, value);
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
struct End {
    news: Vec<StagedEvent>,
    /// The state as JSON.
    state: Vec<u8>,
}

impl End {
    fn bytes(&self) -> usize {
        self.state.len() + self.news.iter().map(StagedEvent::bytes).sum::<usize>()
    }
}

/// Adds the removal of the pieces of a value that is going to be replaced or removed.
fn delete_pieces(kv: &dyn KeyValue, key: &[u8], batch: &mut Batch) -> Result<bool, StoreError> {
    let Some(value) = kv.get(key)? else { return Ok(false) };
    if let Body::InPieces(reference) = unseal(key, &value)? {
        reference.delete(batch);
    }
    Ok(true)
}

impl EmbeddedStore {
    /// Makes a step durable, unless someone else took the poll over.
    async fn commit_step(&self, connector: &ConnectorName, token: LeaseToken, step: Step) -> Result<(), StoreError> {
        let Step { batch, ahead, queued, is_last } = step;
        for pieces in ahead {
            self.commit_batch(pieces).await?;
        }
        let connector = connector.clone();
        self.commit(move |transaction, core| {
            core.leases.begin_poll_commit(&connector, token)?;
            transaction.append(batch);
            let held = Arc::clone(core);
            transaction.when_durable(move || {
                held.leases.poll_committed(&connector, token);
                if is_last {
                    held.leases.release_poll(&connector, token);
                }
            });
            announce(transaction, core, queued);
            Ok(())
        })
        .await
    }

    /// Forgets items that were last seen before the bound, in the next few leaves, but for those that are going to be
    /// updated.
    async fn forget(
        &self,
        connector: &ConnectorName,
        token: LeaseToken,
        bound: Timestamp,
        updated: Vec<KeyHash>,
    ) -> Result<(), StoreError> {
        let of = connector.clone();
        let step = self.read(move |kv, core| sweep(kv, core, &of, bound, &updated)).await?;
        if step.batch.is_empty() { Ok(()) } else { self.commit_step(connector, token, step).await }
    }
}

fn sweep(
    kv: &dyn KeyValue,
    core: &Core,
    connector: &ConnectorName,
    bound: Timestamp,
    updated: &[KeyHash],
) -> Result<Step, StoreError> {
    let mut step = Step::default();
    let mut forgotten = 0;
    let mut position = lock(&core.swept).get(connector).copied();
    for _ in 0..LEAVES_SWEPT {
        let Some(mut leaf) = OpenLeaf::following(kv, connector, position)? else {
            position = None;
            break;
        };
        position = Some(leaf.lowest());
        let old = leaf.forget(|item| item.last_seen < bound && updated.binary_search(&item.key_hash).is_err());
        if old.is_empty() {
            continue;
        }
        forgotten += old.len();
        for item in old {
            let key = keys::kept(connector, &item.key_hash);
            if delete_pieces(kv, &key, &mut step.batch)? {
                step.batch.delete(key);
            }
        }
        leaf.write(connector, &mut step.batch);
        if forgotten > MOST_FORGOTTEN {
            break;
        }
    }
    let mut swept = lock(&core.swept);
    match position {
        Some(lowest) => swept.insert(connector.clone(), lowest),
        None => swept.remove(connector),
    };
    Ok(step)
}
