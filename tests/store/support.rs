//! What the store's tests are written with.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pollhook::clock::SystemClock;
use pollhook::model::change::ChangeKind;
use pollhook::model::delivery::{Attempt, AttemptFailure, FailureClass};
use pollhook::model::event::{Event, EventType, RoutedEvent};
use pollhook::model::fingerprint::{BodyHash, Fingerprint, KeyHash};
use pollhook::model::id::{ConnectorName, EventId, SubscriptionName};
use pollhook::model::item::{KeptItem, Presence, SeenItem, SetAside, SetAsideReason};
use pollhook::model::poll_record::{NextReason, PollRecord};
use pollhook::model::time::Timestamp;
use pollhook::store::embedded::{self, EmbeddedStore, Options};
use pollhook::store::kv::{Batch, KeyValue, Order, Visitor};
use pollhook::store::{
    ClaimedDelivery, ConnectorState, DeliveryQuery, DeliveryStateName, HistoryStore, PollCommit, PollStore,
    RulesMemory, SeenUpdate, Settlement, StoreError, Verdict,
};
use pollhook::telemetry::Telemetry;
use serde_json::value::RawValue;

/// Makes a test of each behaviour for each store.
macro_rules! store_conformance {
    ($($behaviour:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $behaviour() {
                super::$behaviour(pollhook::store::memory::MemoryStore::new()).await;
            })*
        }

        mod sled {
            $(#[tokio::test]
            async fn $behaviour() {
                let directory = tempfile::tempdir().expect("a directory");
                let store = crate::support::open_sled(directory.path()).expect("a new store");
                super::$behaviour(std::sync::Arc::new(store)).await;
            })*
        }

        mod embedded {
            $(#[tokio::test]
            async fn $behaviour() {
                let map = std::sync::Arc::new(crate::support::MapKeyValue::default());
                super::$behaviour(std::sync::Arc::new(crate::support::open_map(&map))).await;
                assert!(!map.overfull.load(std::sync::atomic::Ordering::SeqCst), "a batch was too large");
            })*
        }
    };
}

pub(crate) use store_conformance;

/// How long leases are held in these tests.
pub const LEASE: Duration = Duration::from_secs(60);

/// Returns a time, so many seconds after the tests' beginning.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000) + Duration::from_secs(seconds)
}

pub fn connector(name: &str) -> ConnectorName {
    name.parse().expect("a connector's name")
}

pub fn subscription(name: &str) -> SubscriptionName {
    name.parse().expect("a subscription's name")
}

pub fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("JSON")
}

/// Returns an item seen at a time, whose fingerprint stands for its version.
pub fn seen(key: &str, version: u8, time: Timestamp) -> SeenItem {
    SeenItem {
        key_hash: KeyHash::of(key),
        fingerprint: Fingerprint([version; 16]),
        first_seen: time,
        last_seen: time,
        presence: Presence::Present,
        epoch: 0,
        key: Some(key.to_owned()),
    }
}

/// Returns a change that is set aside, whose record has about so many bytes.
pub fn aside(key: &str, length: usize, since: Timestamp) -> SetAside {
    SetAside {
        key_hash: KeyHash::of(key),
        key: key.to_owned(),
        fingerprint: Fingerprint([1; 16]),
        kind: ChangeKind::Created,
        reappeared: length.is_multiple_of(2),
        why: SetAsideReason::Held,
        since,
        record: Some(raw(&format!("[1.0,{:?}]", "a".repeat(length)))),
    }
}

/// Returns what tells changes that are set aside apart.
pub fn describe_aside(changes: &[SetAside]) -> Vec<String> {
    changes.iter().map(|change| serde_json::to_string(change).expect("JSON")).collect()
}

/// Returns the record of a poll, whose cause has so many words.
pub fn record(time: Timestamp, words: usize) -> PollRecord {
    PollRecord {
        at: time,
        elapsed: 12,
        outcome: "partial".to_owned(),
        cause: Some("word ".repeat(words)),
        pages: 3,
        requests: 4,
        bytes: 5,
        items: 6,
        created: 7,
        updated: 8,
        removed: 9,
        held: 0,
        notes: Vec::new(),
        next: Some(time + LEASE),
        next_because: NextReason::Backoff,
    }
}

/// Returns an event about a key, for the named subscriptions.
pub fn event(of: &ConnectorName, key: &str, time: Timestamp, data: Box<RawValue>, to: &[&str]) -> RoutedEvent {
    let event = Event {
        event_type: EventType::of_change(of, ChangeKind::Created),
        time,
        id: EventId::new(time),
        connector: of.clone(),
        element: None,
        key: key.to_owned(),
        data,
        changes: None,
        previous: None,
        reappeared: false,
    };
    RoutedEvent { event: Arc::new(event), subscriptions: to.iter().map(|name| subscription(name)).collect() }
}

/// Returns what a poll remembers of an item that has no event.
pub fn quiet(seen: SeenItem, kept: Option<KeptItem>) -> SeenUpdate {
    SeenUpdate { seen, kept, event: None }
}

pub fn state(cursor: &str, time: Timestamp) -> ConnectorState {
    let digest = BodyHash::of(b"rules");
    let digest = RulesMemory { pages: digest, keys: digest, fingerprints: digest };
    ConnectorState {
        succeeded_at: Some(time),
        baselined: true,
        cursor: Some(cursor.to_owned()),
        items: 3,
        ..ConnectorState::first(time, digest)
    }
}

pub fn commit(time: Timestamp, updates: Vec<SeenUpdate>) -> PollCommit {
    PollCommit::new(time, updates, state("", time))
}

/// Takes a poll and commits it.
pub async fn poll<S: PollStore + ?Sized>(store: &S, of: &ConnectorName, commit: PollCommit) -> Result<(), StoreError> {
    let lease = store.lease_poll(of, commit.at, LEASE).await?.expect("nobody holds the poll");
    store.commit_poll(lease, commit).await
}

/// Commits one new item with an event for each key, each event a second after the one before.
pub async fn create<S: PollStore + ?Sized>(store: &S, of: &ConnectorName, keys: &[&str], to: &[&str]) -> Vec<EventId> {
    let mut updates = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let event = event(of, key, at(index as u64), raw("{}"), to);
        updates.push(SeenUpdate { seen: seen(key, 1, at(0)), kept: None, event: Some(event) });
    }
    let ids = updates.iter().filter_map(|update| update.event.as_ref()).map(|routed| routed.event.id).collect();
    poll(store, of, commit(at(0), updates)).await.expect("a commit");
    ids
}

/// Returns an attempt that ended within a second.
pub fn attempt(number: u32, time: Timestamp, answer: &str) -> Attempt {
    Attempt {
        duration: Duration::from_millis(250),
        status: Some(200),
        answer: answer.to_owned(),
        ..Attempt::begun(number, time)
    }
}

pub fn failed(number: u32, time: Timestamp, message: &str) -> Attempt {
    let failure = AttemptFailure { class: FailureClass::Connect, message: message.to_owned() };
    Attempt { status: None, failure: Some(failure), ..attempt(number, time, "") }
}

pub fn settlement(claimed: &ClaimedDelivery, time: Timestamp, verdict: Verdict) -> Settlement {
    let number = claimed.attempts + 1;
    let attempt =
        if verdict == Verdict::Delivered { attempt(number, time, "ok") } else { failed(number, time, "refused") };
    Settlement { lease: claimed.lease.clone(), attempt, verdict, news: Vec::new() }
}

/// Opens a sled store without ballast.
pub fn open_sled(directory: &Path) -> Result<EmbeddedStore, StoreError> {
    let options = Options { ballast_bytes: 0, ..Options::default() };
    embedded::open(directory, options, Telemetry::shared())
}

/// Opens an embedded store over a map in memory.
pub fn open_map(map: &Arc<MapKeyValue>) -> EmbeddedStore {
    let kv: Arc<dyn KeyValue> = Arc::clone(map) as _;
    EmbeddedStore::over(kv, None, SystemClock::shared(), Telemetry::shared()).expect("a map is opened")
}

/// A key-value engine in memory that can be made to fail.
#[derive(Default)]
pub struct MapKeyValue {
    /// Scans go over what there was when they began, without a copy of it.
    entries: Mutex<Arc<BTreeMap<Vec<u8>, Vec<u8>>>>,
    applied: AtomicUsize,
    largest: AtomicUsize,
    applies_left: Mutex<Option<usize>>,
    /// Set when a batch was larger than the engine bears.
    pub overfull: AtomicBool,
}

impl MapKeyValue {
    /// Lets so many batches through and fails from then on, as a full disk does.
    pub fn fail_after(&self, batches: usize) {
        *self.applies_left.lock().unwrap_or_else(PoisonError::into_inner) = Some(batches);
    }

    /// Works again.
    pub fn repair(&self) {
        *self.applies_left.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns how many batches were applied.
    pub fn applied(&self) -> usize {
        self.applied.load(Ordering::SeqCst)
    }

    /// Returns how many operations the largest batch had.
    pub fn largest_batch(&self) -> usize {
        self.largest.load(Ordering::SeqCst)
    }

    /// Returns how many keys begin with a byte.
    pub fn count(&self, prefix: u8) -> usize {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.keys().filter(|key| key.first() == Some(&prefix)).count()
    }

    /// Changes all values under a prefix.
    pub fn tamper(&self, prefix: u8, change: impl Fn(&mut Vec<u8>)) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, value) in Arc::make_mut(&mut entries).iter_mut().filter(|(key, _)| key.first() == Some(&prefix)) {
            change(value);
        }
    }
}

impl KeyValue for MapKeyValue {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], order: Order, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        let entries = Arc::clone(&self.entries.lock().unwrap_or_else(PoisonError::into_inner));
        let mut range = entries.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Excluded(to)));
        loop {
            let entry = if order == Order::Ascending { range.next() } else { range.next_back() };
            let Some((key, value)) = entry else { return Ok(()) };
            if visit(key, value) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
    }

    fn apply(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut left = self.applies_left.lock().unwrap_or_else(PoisonError::into_inner);
        if *left == Some(0) {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(StoreError::Io { action: "write to", place: "the map".into(), source });
        }
        *left = left.map(|left| left - 1);
        if batch.bytes() > 160 * 1024 || batch.operations() > 1100 {
            self.overfull.store(true, Ordering::SeqCst);
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = Arc::make_mut(&mut entries);
        for (key, value) in batch.changes() {
            match value {
                Some(value) => entries.insert(key.to_vec(), value.to_vec()),
                None => entries.remove(key),
            };
        }
        self.applied.fetch_add(1, Ordering::SeqCst);
        self.largest.fetch_max(batch.operations(), Ordering::SeqCst);
        Ok(())
    }
}

/// Queues the dead letters of a subscription again, the oldest first and at most so many; returns how many.
pub async fn replay_dead<S: HistoryStore + ?Sized>(
    store: &S,
    subscription: &SubscriptionName,
    now: Timestamp,
    most: usize,
) -> Result<usize, StoreError> {
    let state = Some(DeliveryStateName::Dead);
    let mut query = DeliveryQuery { subscription: Some(subscription.clone()), state, limit: 500, ..Default::default() };
    let mut dead = Vec::new();
    loop {
        let page = store.deliveries(query.clone()).await?;
        dead.extend(page.iter().map(|delivery| delivery.id.clone()));
        query.before.clone_from(&page.next);
        if query.before.is_none() {
            break;
        }
    }
    let oldest: Vec<_> = dead.iter().rev().take(most).collect();
    for id in &oldest {
        store.replay(id, now).await?;
    }
    Ok(oldest.len())
}
