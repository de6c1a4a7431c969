//! The one thread that writes: it gathers what waits into one batch, makes it durable, and answers.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::super::StoreError;
use super::super::guard::Canary;
use super::super::kv::{Batch, KeyValue, Order};
use super::keys::KeyRange;
use super::{keys, value};
use crate::clock::SharedClock;
use crate::telemetry::SharedTelemetry;

/// The most operations and bytes of one batch. Only one batch is ever not yet synced, and the engine was measured to
/// survive power cuts when that one is small.
pub(super) const MOST_OPERATIONS: usize = 1000;
pub(super) const MOST_BYTES: usize = 100 * 1024;

/// How long after the last commit, and after how many, the canary is written.
const CANARY_WAIT: Duration = Duration::from_secs(2);
const CANARY_EVERY: u64 = 512;

/// The way to the writing thread.
pub(super) struct Committer {
    sender: Mutex<Option<Sender<Box<dyn Unit>>>>,
    thread: Mutex<Option<JoinHandle<Option<Canary>>>>,
    progress: Arc<Progress>,
}

/// How far writing has come.
struct Progress {
    /// The number of the batch that was given to the engine last.
    applying: AtomicU64,
    /// The number of the batch that was made durable last.
    synced: watch::Sender<u64>,
    /// Why nothing is written any more.
    failure: OnceLock<Failure>,
}

struct Failure {
    kind: std::io::ErrorKind,
    place: String,
    message: String,
}

/// What one caller wants to be written together. It sees what the units before it wrote.
pub(super) struct Transaction<'t> {
    kv: &'t dyn KeyValue,
    earlier: Earlier<'t>,
    batch: Batch,
    effects: Vec<Effect>,
}

/// What is going to be written before a transaction.
#[derive(Clone, Copy)]
struct Earlier<'t> {
    batch: &'t Batch,
    /// And what before that.
    before: Option<&'t Earlier<'t>>,
}

/// A key and its value.
type Entry = (Vec<u8>, Vec<u8>);

type Effect = Box<dyn FnOnce() + Send>;

impl Transaction<'_> {
    /// Returns a value as this transaction and those before it leave it.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let earlier = || self.earlier.batches().find_map(|batch| batch.changed(key));
        match self.batch.changed(key).or_else(earlier) {
            Some(changed) => Ok(changed.map(<[u8]>::to_vec)),
            None => self.kv.get(key),
        }
    }

    /// Returns the store as it is without this transaction and those before it that are not written yet.
    pub fn kv(&self) -> &dyn KeyValue {
        self.kv
    }

    /// Returns the first entries of a range, at most `most`, as this transaction and those before it leave them.
    pub fn first_of(&self, range: &KeyRange, most: usize) -> Result<Vec<Entry>, StoreError> {
        let mut changed: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
        for batch in std::iter::once(&self.batch).chain(self.earlier.batches()) {
            for (key, change) in batch.changes_within(&range.from, &range.to) {
                changed.entry(key).or_insert(change);
            }
        }
        let mut found = Vec::new();
        if most > 0 {
            self.kv.scan(&range.from, &range.to, Order::Ascending, &mut |key, value| {
                if !changed.contains_key(key) {
                    found.push((key.to_vec(), value.to_vec()));
                }
                if found.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        }
        found.extend(changed.into_iter().filter_map(|(key, value)| Some((key.to_vec(), value?.to_vec()))));
        found.sort_unstable();
        found.truncate(most);
        Ok(found)
    }

    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.batch.put(key, value);
    }

    pub fn delete(&mut self, key: Vec<u8>) {
        self.batch.delete(key);
    }

    pub fn append(&mut self, batch: Batch) {
        self.batch.append(batch);
    }

    pub fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Adds what is done once all of this is durable, before the caller is answered, even if it no longer listens.
    pub fn when_durable(&mut self, effect: impl FnOnce() + Send + 'static) {
        self.effects.push(Box::new(effect));
    }

    /// Does a part of the work that may fail by itself: then it adds nothing, and the rest goes on.
    pub fn part<T>(
        &mut self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let earlier = Earlier { batch: &self.batch, before: Some(&self.earlier) };
        let mut part = Transaction { kv: self.kv, earlier, batch: Batch::default(), effects: Vec::new() };
        let done = work(&mut part)?;
        let Transaction { batch, effects, .. } = part;
        self.batch.append(batch);
        self.effects.extend(effects);
        Ok(done)
    }
}

impl<'t> Earlier<'t> {
    /// Returns the batches, the last one first.
    fn batches(self) -> impl Iterator<Item = &'t Batch> {
        std::iter::successors(Some(self), |earlier| earlier.before.copied()).map(|earlier| earlier.batch)
    }
}

/// What a caller wants to be done, with its type hidden.
trait Unit: Send {
    /// Adds its changes; if it fails, it adds none.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool;

    /// Answers the caller.
    fn answer(self: Box<Self>, failure: Option<StoreError>);
}

struct Job<W, T> {
    work: Option<W>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<W, T> Unit for Job<W, T>
where
    W: FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool {
        let outcome = self.work.take().map(|work| work(transaction));
        let succeeded = matches!(outcome, Some(Ok(_)));
        self.outcome = outcome;
        succeeded
    }

    fn answer(self: Box<Self>, failure: Option<StoreError>) {
        let outcome = match failure {
            Some(failure) => Err(failure),
            None => self.outcome.unwrap_or(Err(StoreError::Closed)),
        };
        // A caller that went away wants no answer.
        let _ = self.reply.send(outcome);
    }
}

impl Committer {
    /// Starts the writing thread. `sequence` is the number of the last batch in the store.
    pub fn start(
        kv: Arc<dyn KeyValue>,
        canary: Option<Canary>,
        sequence: u64,
        clock: SharedClock,
        telemetry: SharedTelemetry,
    ) -> std::io::Result<Self> {
        let progress = Arc::new(Progress {
            applying: AtomicU64::new(sequence),
            synced: watch::Sender::new(sequence),
            failure: OnceLock::new(),
        });
        let (sender, receiver) = mpsc::channel();
        let worker = Worker { kv, canary, progress: Arc::clone(&progress), clock, telemetry };
        let thread =
            std::thread::Builder::new().name("store-committer".into()).spawn(move || worker.work(&receiver))?;
        Ok(Self { sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)), progress })
    }

    /// Has the work done by the writing thread and returns when what it wrote is durable.
    pub async fn commit<W, T>(&self, work: W) -> Result<T, StoreError>
    where
        W: FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Job { work: Some(work), outcome: None, reply });
        {
            let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
            let sender = sender.as_ref().ok_or(StoreError::Closed)?;
            sender.send(job).map_err(|_| StoreError::Closed)?;
        }
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Returns the number of the batch whose changes may be visible without being durable.
    pub fn applying(&self) -> u64 {
        self.progress.applying.load(Ordering::Acquire)
    }

    /// Waits until the batch with this number is durable.
    pub async fn durable(&self, sequence: u64) -> Result<(), StoreError> {
        let mut synced = self.progress.synced.subscribe();
        let wait = synced.wait_for(|synced| *synced >= sequence || self.progress.failure.get().is_some());
        wait.await.map_err(|_| StoreError::Closed)?;
        self.check()
    }

    /// Fails if writing has failed.
    pub fn check(&self) -> Result<(), StoreError> {
        self.progress.failure.get().map_or(Ok(()), |failure| Err(failure.to_error()))
    }

    /// Takes no more work, and waits until all that was taken is done. Returns the canary, up to date, unless
    /// something failed.
    pub fn stop(&self) -> Option<Canary> {
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        // A panic of the thread was reported when it happened.
        thread.join().ok()?
    }
}

impl Failure {
    fn to_error(&self) -> StoreError {
        let advice = match self.kind {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                "free some space and restart pollhook"
            }
            _ => "restart pollhook when the cause is gone",
        };
        StoreError::Io {
            action: "write to",
            place: self.place.clone(),
            source: std::io::Error::new(
                self.kind,
                format!("{}; nothing more is written until the store is opened anew: {advice}", self.message),
            ),
        }
    }
}

struct Worker {
    kv: Arc<dyn KeyValue>,
    canary: Option<Canary>,
    progress: Arc<Progress>,
    clock: SharedClock,
    telemetry: SharedTelemetry,
}

/// A batch being gathered.
#[derive(Default)]
struct Gathered {
    batch: Batch,
    effects: Vec<Effect>,
    units: Vec<Box<dyn Unit>>,
}

impl Gathered {
    fn add(&mut self, batch: Batch, effects: Vec<Effect>, unit: Box<dyn Unit>) {
        self.batch.append(batch);
        self.effects.extend(effects);
        self.units.push(unit);
    }

    fn is_full(&self) -> bool {
        self.batch.operations() >= MOST_OPERATIONS || self.batch.bytes() >= MOST_BYTES
    }

    fn has_room_for(&self, batch: &Batch) -> bool {
        self.batch.is_empty()
            || (self.batch.operations() + batch.operations() <= MOST_OPERATIONS
                && self.batch.bytes() + batch.bytes() <= MOST_BYTES)
    }
}

impl Worker {
    fn work(mut self, receiver: &Receiver<Box<dyn Unit>>) -> Option<Canary> {
        let mut carried = Gathered::default();
        loop {
            let mut gathered = std::mem::take(&mut carried);
            if gathered.units.is_empty() {
                match self.next(receiver) {
                    Some(unit) => self.run(unit, &mut gathered, &mut carried),
                    None => break,
                }
            }
            while carried.units.is_empty() && !gathered.is_full() {
                match receiver.try_recv() {
                    Ok(unit) => self.run(unit, &mut gathered, &mut carried),
                    Err(_) => break,
                }
            }
            self.commit(gathered);
        }
        self.write_canary();
        self.canary.filter(|_| self.progress.failure.get().is_none())
    }

    /// Waits for work; meanwhile writes the canary if commits have stopped for a while.
    fn next(&mut self, receiver: &Receiver<Box<dyn Unit>>) -> Option<Box<dyn Unit>> {
        if self.canary_lag() > 0 {
            match receiver.recv_timeout(CANARY_WAIT) {
                Ok(unit) => return Some(unit),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.write_canary(),
            }
        }
        receiver.recv().ok()
    }

    /// Runs a unit; if the batch has no room for it, it begins the next one.
    fn run(&self, mut unit: Box<dyn Unit>, gathered: &mut Gathered, carried: &mut Gathered) {
        if let Some(failure) = self.progress.failure.get() {
            return unit.answer(Some(failure.to_error()));
        }
        let earlier = Earlier { batch: &gathered.batch, before: None };
        let mut transaction = Transaction { kv: &*self.kv, earlier, batch: Batch::default(), effects: Vec::new() };
        if !unit.run(&mut transaction) {
            return unit.answer(None);
        }
        let Transaction { batch, effects, .. } = transaction;
        let target = if gathered.has_room_for(&batch) { gathered } else { carried };
        target.add(batch, effects, unit);
    }

    fn commit(&mut self, gathered: Gathered) {
        let Gathered { mut batch, effects, units } = gathered;
        if units.is_empty() {
            return;
        }
        let outcome = if batch.is_empty() { Ok(()) } else { self.apply(&mut batch) };
        match outcome {
            Ok(()) => {
                for effect in effects {
                    effect();
                }
                for unit in units {
                    unit.answer(None);
                }
            }
            Err(error) => {
                self.telemetry.store.commit_failed(&error);
                let failure = self.progress.failure.get_or_init(|| Failure::of(error));
                self.progress.synced.send_modify(|_| {});
                for unit in units {
                    unit.answer(Some(failure.to_error()));
                }
            }
        }
        if self.canary_lag() >= CANARY_EVERY {
            self.write_canary();
        }
    }

    fn apply(&self, batch: &mut Batch) -> Result<(), StoreError> {
        let number = self.progress.applying.load(Ordering::Acquire) + 1;
        let key = keys::sequence();
        let sealed = value::seal(&key, &number.to_be_bytes());
        batch.put(key, sealed);
        self.progress.applying.store(number, Ordering::Release);
        let began = self.clock.monotonic();
        self.kv.apply(batch)?;
        self.telemetry.store.committed(batch.operations(), batch.bytes(), self.clock.monotonic().saturating_sub(began));
        self.progress.synced.send_replace(number);
        Ok(())
    }

    fn canary_lag(&self) -> u64 {
        self.canary.as_ref().map_or(0, |canary| self.progress.synced.borrow().saturating_sub(canary.sequence()))
    }

    /// Notes how far the store has come. Failing costs only the sharpness of the check at the next opening.
    fn write_canary(&mut self) {
        if self.canary_lag() == 0 || self.progress.failure.get().is_some() {
            return;
        }
        let synced = *self.progress.synced.borrow();
        if let Some(canary) = &mut self.canary
            && let Err(error) = canary.write(synced)
        {
            self.telemetry.store.canary_failed(&error);
            self.canary = None;
        }
    }
}

impl Failure {
    fn of(error: StoreError) -> Self {
        match error {
            StoreError::Io { place, source, .. } => {
                let kind = source.kind();
                // sled hands the system's words on in a form for programmers.
                let message =
                    if kind == std::io::ErrorKind::StorageFull { kind.to_string() } else { source.to_string() };
                Self { kind, place, message }
            }
            other => Self { kind: std::io::ErrorKind::Other, place: String::new(), message: other.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::kv::Visitor;

    struct Empty;

    impl KeyValue for Empty {
        fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(None)
        }

        fn scan(&self, _: &[u8], _: &[u8], _: Order, _: &mut Visitor<'_>) -> Result<(), StoreError> {
            Ok(())
        }

        fn apply(&self, _: &Batch) -> Result<(), StoreError> {
            Ok(())
        }
    }

    fn entry(key: &str, value: &str) -> Entry {
        (key.into(), value.into())
    }

    fn put(transaction: &mut Transaction<'_>, key: &str, value: &str) {
        let (key, value) = entry(key, value);
        transaction.put(key, value);
    }

    #[test]
    fn a_part_that_fails_adds_nothing_and_the_others_see_what_was_written_before_them() {
        let mut written = Batch::default();
        written.put(b"a".to_vec(), b"1".to_vec());
        written.put(b"b".to_vec(), b"1".to_vec());
        let earlier = Earlier { batch: &written, before: None };
        let mut transaction = Transaction { kv: &Empty, earlier, batch: Batch::default(), effects: Vec::new() };
        put(&mut transaction, "b", "2");
        let all = KeyRange { from: b"a".to_vec(), to: b"z".to_vec() };

        let failed: Result<(), _> = transaction.part(|part| {
            part.delete(b"a".to_vec());
            put(part, "c", "3");
            part.when_durable(|| ());
            assert_eq!(part.first_of(&all, 9)?, [entry("b", "2"), entry("c", "3")]);
            Err(StoreError::Closed)
        });
        assert!(failed.is_err() && transaction.effects.is_empty());
        assert_eq!(transaction.first_of(&all, 9).expect("a read"), [entry("a", "1"), entry("b", "2")]);

        let done = transaction.part(|part| {
            assert_eq!((part.get(b"a")?, part.get(b"b")?), (Some(b"1".to_vec()), Some(b"2".to_vec())));
            part.delete(b"a".to_vec());
            put(part, "b", "4");
            part.when_durable(|| ());
            Ok(())
        });
        assert!(done.is_ok() && transaction.effects.len() == 1);
        assert_eq!(transaction.first_of(&all, 9).expect("a read"), [entry("b", "4")]);
        assert_eq!(transaction.get(b"a").expect("a read"), None);
    }
}
