//! sled behind the key-value trait. No other file knows of it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::StoreError;
use super::kv::{Batch, KeyValue, Order, Visitor};

/// A sled database. When it is dropped, nothing works on its file any more.
pub struct SledKeyValue {
    // The order counts: what comes first is dropped first.
    database: sled::Db,
    handle: Handle,
    directory: PathBuf,
    /// The names of the files of large nodes that were made durable.
    synced_blobs: Mutex<HashSet<OsString>>,
}

/// Our own handle to the database's file: sled's flushing does not survive power cuts.
struct Handle(File);

impl Drop for Handle {
    /// Waits until sled's background threads, which outlive the database, have let go of the file.
    fn drop(&mut self) {
        // If this fails, the next opening says that the database is in use.
        let _ = self.0.lock();
    }
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
        Ok(Self { database, handle: Handle(file), directory: directory.to_owned(), synced_blobs: Mutex::default() })
    }

    /// Makes the files of large nodes durable, which sled does not. There are hardly ever any.
    fn sync_blobs(&self) -> io::Result<()> {
        let blobs = self.directory.join("blobs");
        let mut synced = self.synced_blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut present = HashSet::new();
        let mut is_new = false;
        for entry in fs::read_dir(&blobs)? {
            let name = entry?.file_name();
            if !synced.contains(&name) {
                match File::open(blobs.join(&name)) {
                    Ok(blob) => blob.sync_all()?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
                is_new = true;
            }
            present.insert(name);
        }
        if is_new {
            File::open(&blobs)?.sync_all()?;
        }
        *synced = present;
        Ok(())
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
            self.sync_blobs()?;
            self.handle.0.sync_data()?;
            Ok(())
        })
    }
}
