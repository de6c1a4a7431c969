//! The small key-value trait that the embedded store stands on, so that another engine is one file.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::StoreError;

/// An ordered map of byte strings on disk.
///
/// Only one thread at a time applies batches; reads may come from any thread at any time.
pub trait KeyValue: Send + Sync + 'static {
    /// Returns the value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Shows the entries from `from` (included) to `to` (excluded) in order, until the visitor breaks off.
    fn scan(&self, from: &[u8], to: &[u8], order: Order, visit: &mut Visitor<'_>) -> Result<(), StoreError>;

    /// Makes all of the batch's changes or none of them, and returns when they are durable.
    ///
    /// After an error nothing is known of the batch until the engine is opened again.
    fn apply(&self, batch: &Batch) -> Result<(), StoreError>;
}

/// What a scan shows each key and value to.
pub type Visitor<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// In which order a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

/// Changes that are made together.
#[derive(Debug, Default)]
pub struct Batch {
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
}

impl Batch {
    /// Sets the value of a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.change(key, Some(value));
    }

    /// Removes a key; it need not exist.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.change(key, None);
    }

    /// Adds all changes of a later batch, which win over earlier ones.
    pub fn append(&mut self, later: Self) {
        if self.is_empty() {
            *self = later;
            return;
        }
        for (key, value) in later.changes {
            self.change(key, value);
        }
    }

    /// Returns the change to a key, if there is one: its new value, or `None` if it is removed.
    pub fn changed(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.changes.get(key).map(Option::as_deref)
    }

    /// Returns all changes in the order of their keys: the new value, or `None` for a removed key.
    pub fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Returns the changes to keys from `from` (included) to `to` (excluded), in their order.
    pub fn changes_within<'b>(&'b self, from: &[u8], to: &[u8]) -> impl Iterator<Item = (&'b [u8], Option<&'b [u8]>)> {
        let range = (Bound::Included(from), Bound::Excluded(to));
        self.changes.range::<[u8], _>(range).map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Returns how many keys are changed.
    pub fn operations(&self) -> usize {
        self.changes.len()
    }

    /// Returns about how many bytes of keys and values the changes have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Tells whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn change(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.changes.insert(key, value);
    }
}
