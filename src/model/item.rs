//! Records of an API, and what is remembered of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::fingerprint::{BodyHash, Fingerprint, KeyHash};
use super::time::Timestamp;

/// One record of the API in the form that detection compares.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What identifies the item within its connector, as text.
    pub key: String,
    /// The hash of `key`.
    pub key_hash: KeyHash,
    /// The hash of what counts as its content.
    pub fingerprint: Fingerprint,
    /// The whole record, with numbers exactly as the API wrote them.
    pub value: Value,
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
    /// The key as text; kept where removals are detected, because a removed item can no longer be asked for its key.
    pub key: Option<String>,
}

/// Whether a poll saw all that it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Completeness {
    /// Every page was read.
    Complete,
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
    /// The address of the page that followed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An item's record as it is kept for later comparison: its JSON text, with numbers exactly as the API wrote them.
pub type KeptItem = Box<RawValue>;
