//! sled behind the key-value trait. No other file knows of it.

use std::fs::File;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::kv::{Batch, KeyValue, Order, Visitor};

/// A sled database.
pub struct SledKeyValue {
    database: sled::Db,
    /// Our own handle to the database's file: sled's flushing does not survive power cuts.
    file: File,
    directory: PathBuf,
}

/// How often sled writes back and collects garbage by itself, in milliseconds.
const TICK: u64 = 500;

impl SledKeyValue {
    /// Opens the database in a directory, or makes one.
    ///
    /// sled panics on some damage, so that a panic is taken for damage here and below.
    pub fn open(directory: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let config = sled::Config::new().path(directory).cache_capacity(cache_bytes).flush_every_ms(Some(TICK));
        let database = guarded(directory, "open", || config.open())?;
        let io = |source| StoreError::Io { action: "open", place: directory.display().to_string(), source };
        let file = File::options().read(true).write(true).open(file_of(directory)).map_err(io)?;
        Ok(Self { database, file, directory: directory.to_owned() })
    }

    fn guarded<T>(&self, action: &'static str, work: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
        guarded(&self.directory, action, work)
    }
}

/// Returns the file that a database's data is in.
pub fn file_of(directory: &Path) -> PathBuf {
    directory.join("db")
}

fn guarded<T>(directory: &Path, action: &'static str, work: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    let place = directory.display().to_string();
    let damaged = |detail: String| StoreError::Corrupt { what: format!("the database in {place}"), detail };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(sled::Error::Io(source))) => Err(StoreError::Io { action, place, source }),
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(damaged(message.unwrap_or("sled gave up on it").to_owned()))
        }
    }
}

impl KeyValue for SledKeyValue {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.guarded("read", || Ok(self.database.get(key)?.map(|value| value.to_vec())))
    }

    fn scan(&self, from: &[u8], to: &[u8], order: Order, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        self.guarded("read", || {
            let mut entries = self.database.range(from..to);
            loop {
                let entry = match order {
                    Order::Ascending => entries.next(),
                    Order::Descending => entries.next_back(),
                };
                let Some(entry) = entry else { return Ok(()) };
                let (key, value) = entry?;
                if visit(&key, &value) == ControlFlow::Break(()) {
                    return Ok(());
                }
            }
        })
    }

    fn apply(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut changes = sled::Batch::default();
        for (key, value) in batch.changes() {
            match value {
                Some(value) => changes.insert(key, value),
                None => changes.remove(key),
            }
        }
        self.guarded("write to", || {
            self.database.apply_batch(changes)?;
            self.database.flush()?;
            self.file.sync_data()?;
            Ok(())
        })
    }
}
