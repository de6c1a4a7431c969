//! The store on one machine: everything that the traits ask for, over any [`KeyValue`].

mod batches;
mod claims;
mod committer;
mod deliveries;
mod events;
mod history;
mod keys;
mod leases;
mod listing;
mod order;
mod polls;
mod prune;
mod record;
mod replays;
mod seen;
mod step;
mod subscriptions;
mod value;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use self::committer::{Committer, Transaction};
use self::events::HeldEvents;
use self::keys::Place;
use self::leases::{Leases, lock};
use self::prune::Pruning;
use self::value::{Body, Groups, Prepared, damaged, seal, unseal, unseal_whole};
use super::StoreError;
use super::guard::{self, Canary};
use super::kv::{Batch, KeyValue};
use super::wake::Wakes;
use crate::clock::{SharedClock, SystemClock};
use crate::model::event::RoutedEvent;
use crate::model::id::{ConnectorName, SubscriptionName};
use crate::telemetry::SharedTelemetry;

/// How an embedded store is opened.
#[derive(Clone)]
pub struct Options {
    /// How many bytes of the database are kept in memory. Memory use is a multiple of it.
    pub cache_bytes: u64,
    /// How many bytes of disk are kept back, to be freed when the disk is full; 0 keeps none.
    pub ballast_bytes: u64,
    /// Measures how long commits take.
    pub clock: SharedClock,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 8 << 20, ballast_bytes: 16 << 20, clock: SystemClock::shared() }
    }
}

/// Opens the sled store in a directory, which is made if there is none.
///
/// Blocks while the database is read. Fails if the directory cannot be used, belongs to a running process, or holds
/// less than was once acknowledged; the error says which, and what to do.
pub fn open(directory: &Path, options: Options, telemetry: SharedTelemetry) -> Result<EmbeddedStore, StoreError> {
    let opened = guard::open(directory, &options, &telemetry)?;
    EmbeddedStore::over(Arc::new(opened.kv), Some(opened.canary), options.clock, telemetry)
}

/// A store over a key-value engine in this process.
pub struct EmbeddedStore {
    /// `None` once the store is closed.
    kv: Mutex<Option<Arc<dyn KeyValue>>>,
    core: Arc<Core>,
}

/// What work under way holds on to.
struct Core {
    committer: Committer,
    groups: Groups,
    leases: Leases,
    events: HeldEvents,
    wakes: Wakes,
    /// Notified when a replay was made or ended.
    replay_wake: Arc<Notify>,
    pruning: tokio::sync::Mutex<Pruning>,
    /// The leaf of each connector up to which old items were forgotten.
    swept: Mutex<HashMap<ConnectorName, [u8; 16]>>,
    telemetry: SharedTelemetry,
}

impl EmbeddedStore {
    /// Returns the store over an engine that nobody else writes to.
    pub fn over(
        kv: Arc<dyn KeyValue>,
        canary: Option<Canary>,
        clock: SharedClock,
        telemetry: SharedTelemetry,
    ) -> Result<Self, StoreError> {
        let groups = Groups::open(&*kv)?;
        let sequence = committed_sequence(&*kv)?.unwrap_or(0);
        let pruning = tokio::sync::Mutex::new(Pruning::new(groups.opened_at));
        let committer =
            Committer::start(Arc::clone(&kv), canary, sequence, clock, Arc::clone(&telemetry)).map_err(|source| {
                StoreError::Io { action: "start the writing thread of", place: "this process".into(), source }
            })?;
        let core = Core {
            committer,
            groups,
            leases: Leases::default(),
            events: HeldEvents::default(),
            wakes: Wakes::default(),
            replay_wake: Arc::default(),
            pruning,
            swept: Mutex::default(),
            telemetry,
        };
        Ok(Self { kv: Mutex::new(Some(kv)), core: Arc::new(core) })
    }

    fn kv(&self) -> Result<Arc<dyn KeyValue>, StoreError> {
        lock(&self.kv).clone().ok_or(StoreError::Closed)
    }

    /// Reads several keys on a thread where that may block.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn KeyValue, &Core) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (kv, core) = (self.kv()?, Arc::clone(&self.core));
        match tokio::task::spawn_blocking(move || read(&*kv, &core)).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::Closed),
            },
        }
    }

    /// Has the work done by the writing thread and returns when what it wrote is durable.
    async fn commit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>, &Arc<Core>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let core = Arc::clone(&self.core);
        self.core.committer.commit(move |transaction| work(transaction, &core)).await
    }

    /// Makes a batch durable that depends on nothing.
    async fn commit_batch(&self, batch: Batch) -> Result<(), StoreError> {
        self.commit(move |transaction, _| {
            transaction.append(batch);
            Ok(())
        })
        .await
    }

    /// Makes durable that a key has this body, of any size, or none.
    async fn replace(&self, key: Vec<u8>, body: Option<Vec<u8>>) -> Result<(), StoreError> {
        let mut value = None;
        if let Some(body) = body {
            let prepared = self.core.groups.prepare(key.clone(), &body);
            for pieces in prepared.before {
                self.commit_batch(pieces).await?;
            }
            value = Some(prepared.value);
        }
        self.commit(move |transaction, _| {
            if let Some(earlier) = transaction.get(&key)?
                && let Body::InPieces(reference) = unseal(&key, &earlier)?
            {
                reference.delete(transaction.batch());
            }
            match value {
                Some(value) => transaction.put(key, value),
                None => transaction.delete(key),
            }
            Ok(())
        })
        .await
    }

    /// Encodes events, and writes ahead the pieces of those that are large.
    async fn stage(&self, events: Vec<RoutedEvent>) -> Result<Vec<StagedEvent>, StoreError> {
        let mut staged: Vec<StagedEvent> =
            events.into_iter().map(|routed| StagedEvent::new(&self.core.groups, routed)).collect();
        for event in &mut staged {
            for pieces in std::mem::take(&mut event.prepared.before) {
                self.commit_batch(pieces).await?;
            }
        }
        Ok(staged)
    }
}

impl Drop for EmbeddedStore {
    /// Ends the writing thread, so that the directory can be opened again. Nothing acknowledged needs this.
    fn drop(&mut self) {
        drop(self.core.committer.stop());
    }
}

/// An event ready to be written.
struct StagedEvent {
    prepared: Prepared,
    /// What finds it by its connector.
    by_connector: Vec<u8>,
    /// Each subscription that it goes to, with its first place.
    queued: Vec<(SubscriptionName, Place)>,
}

impl StagedEvent {
    fn new(groups: &Groups, routed: RoutedEvent) -> Self {
        let id = routed.event.id;
        let prepared = groups.prepare(keys::event(id), &record::encode_event(&routed));
        let by_connector = keys::event_of_connector(&routed.event.connector, id);
        let queued = routed.subscriptions.into_iter().map(|name| (name, Place::First(id))).collect();
        Self { prepared, by_connector, queued }
    }

    fn bytes(&self) -> usize {
        self.prepared.key.len() + self.prepared.value.len() + 96 * (1 + self.queued.len())
    }

    /// Adds the event and its deliveries to a batch, without the pieces.
    fn put(&self, batch: &mut Batch) {
        batch.put(self.prepared.key.clone(), self.prepared.value.clone());
        batch.put(self.by_connector.clone(), Vec::new());
        for (subscription, place) in &self.queued {
            batch.put(keys::queued(subscription, *place), Vec::new());
        }
    }
}

/// Adds events to a transaction, and has the lanes that got work woken when it is durable.
fn add_events(transaction: &mut Transaction<'_>, core: &Arc<Core>, events: Vec<StagedEvent>) {
    for event in &events {
        event.put(transaction.batch());
    }
    announce(transaction, core, events.into_iter().flat_map(|event| event.queued).collect());
}

/// Has lanes told, when the transaction is durable, that something waits at these places.
fn announce(transaction: &mut Transaction<'_>, core: &Arc<Core>, queued: Vec<(SubscriptionName, Place)>) {
    if queued.is_empty() {
        return;
    }
    let core = Arc::clone(core);
    transaction.when_durable(move || {
        let mut queued = queued;
        queued.sort_unstable();
        for of_one in queued.chunk_by(|one, other| one.0 == other.0) {
            let subscription = &of_one[0].0;
            let lane = core.leases.lane(subscription);
            let mut lane = lock(&lane);
            for (_, place) in of_one {
                lane.queued(*place);
            }
            drop(lane);
            core.wakes.wake(subscription);
        }
    });
}

/// Writes the body of a small value.
fn put_whole(transaction: &mut Transaction<'_>, key: Vec<u8>, body: &[u8]) {
    let value = seal(&key, body);
    transaction.put(key, value);
}

/// Returns the batch that a new database begins with.
pub(super) fn first_batch(id: u128) -> Batch {
    let mut batch = Batch::default();
    for (key, body) in [(keys::database_id(), id.to_be_bytes().as_slice()), (keys::sequence(), &0_u64.to_be_bytes())] {
        let value = seal(&key, body);
        batch.put(key, value);
    }
    batch
}

/// Returns the id that the database got when it was made.
pub(super) fn read_database_id(kv: &dyn KeyValue) -> Result<Option<u128>, StoreError> {
    read_number(kv, &keys::database_id()).map(|bytes| bytes.map(u128::from_be_bytes))
}

/// Returns the number of the last batch that was written.
pub(super) fn committed_sequence(kv: &dyn KeyValue) -> Result<Option<u64>, StoreError> {
    read_number(kv, &keys::sequence()).map(|bytes| bytes.map(u64::from_be_bytes))
}

fn read_number<const N: usize>(kv: &dyn KeyValue, key: &[u8]) -> Result<Option<[u8; N]>, StoreError> {
    let Some(value) = kv.get(key)? else { return Ok(None) };
    let body = unseal_whole(key, &value)?;
    body.try_into().map(Some).map_err(|_| damaged(key, "it has a wrong length"))
}
