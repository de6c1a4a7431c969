//! Records of an API, and what is remembered of them.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::change::ChangeKind;
use super::fingerprint::{BodyHash, Fingerprint, KeyHash};
use super::json;
use super::pagination::PagePosition;
use super::time::Timestamp;

/// One record of the API in the form that detection compares.
#[derive(Debug, Clone)]
pub struct Item {
    /// What identifies the item within its connector, as text.
    pub key: Arc<str>,
    /// The hash of `key`.
    pub key_hash: KeyHash,
    /// The hash of what counts as its content.
    pub fingerprint: Fingerprint,
    /// The whole record, with numbers exactly as the API wrote them.
    pub record: Record,
}

impl Item {
    /// Returns the item without the page that it came from, which its record may keep in memory.
    #[must_use]
    pub fn detached(self) -> Self {
        Self { record: self.record.detached(), ..self }
    }

    /// Returns about how many bytes it takes beyond its own size.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.record.bytes()
    }
}

/// An item's whole record: a value, or the text from which it is parsed when it is needed, because of most items nothing
/// but the fingerprint is.
#[derive(Debug, Clone)]
pub struct Record(Form);

#[derive(Debug, Clone)]
enum Form {
    Value(Value),
    /// Part of a page's bytes, which stay in memory for as long as it does.
    Text(Bytes),
}

impl Record {
    /// Returns the record that has this JSON text, which has been parsed before: what is not JSON is no record.
    pub fn of_text(text: Bytes) -> Self {
        Self(Form::Text(text))
    }

    /// Returns the record with a text of its own.
    fn detached(self) -> Self {
        match self.0 {
            Form::Text(text) => Self(Form::Text(Bytes::copy_from_slice(&text))),
            form @ Form::Value(_) => Self(form),
        }
    }

    /// Returns about how many bytes it takes in memory.
    fn bytes(&self) -> usize {
        match &self.0 {
            Form::Text(text) => text.len(),
            Form::Value(value) => json::bytes(value),
        }
    }

    /// Returns the record's value, parsing it if need be.
    pub fn value(&self) -> Cow<'_, Value> {
        match &self.0 {
            Form::Value(value) => Cow::Borrowed(value),
            Form::Text(text) => Cow::Owned(json::parse(text).expect("a text that was parsed before is JSON")),
        }
    }
}

impl From<Value> for Record {
    fn from(value: Value) -> Self {
        Self(Form::Value(value))
    }
}

/// Whether a seen item is in its source, as far as complete polls have told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It was there, or the source does not list everything.
    Present,
    /// This many complete polls in a row did not have it; at least 1, at most [`Presence::MOST_MISSED`].
    Missing(u8),
    /// It was taken for removed.
    Removed,
}

impl Presence {
    /// The most polls that an item can be missing in before it counts as removed.
    pub const MOST_MISSED: u8 = 250;
}

/// What the store remembers of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenItem {
    pub key_hash: KeyHash,
    pub fingerprint: Fingerprint,
    /// When it was first seen, in whole seconds.
    pub first_seen: Timestamp,
    /// When it was last seen, in whole seconds; refreshed once a day at most, so up to a day early.
    pub last_seen: Timestamp,
    pub presence: Presence,
    /// Under which of its connector's rules for fingerprints it was last seen (`ConnectorState::epoch`).
    pub epoch: u8,
    /// The key as text; kept where removals are detected, because a removed item can no longer be asked for its key.
    pub key: Option<String>,
}

/// Whether a poll saw all that it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Completeness {
    /// Every page was read.
    Complete,
    /// Reading ended at a page that was known, as intended: there is nothing new, but who knows what is gone.
    Known,
    /// A limit stopped paging.
    Truncated,
    /// Some page failed.
    Partial,
}

/// What is remembered of one page of the last complete poll, so that an unchanged one need not be parsed again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageMemory {
    /// The page's address without secrets.
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// The hash of its bytes, after decompression.
    pub body: BodyHash,
    /// The page that followed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PagePosition>,
}

/// A change that was detected but is not yet an event: it is held for approval, or its detail could not be had.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetAside {
    pub key_hash: KeyHash,
    pub key: String,
    pub fingerprint: Fingerprint,
    pub kind: ChangeKind,
    /// Whether a created item had been removed before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reappeared: bool,
    pub why: SetAsideReason,
    /// When it was first set aside.
    pub since: Timestamp,
    /// The item as it was found last; `None` for a removed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<KeptItem>,
}

/// Why a change is not yet an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SetAsideReason {
    /// There were too many at once: somebody is to approve them.
    Held,
    /// Its detail could not be fetched.
    Detail,
}

/// An item's record as it is kept for later comparison: its JSON text, with numbers exactly as the API wrote them.
pub type KeptItem = Box<RawValue>;
