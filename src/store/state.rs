//! What outlives a poll of its connector, beside the seen items.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::fingerprint::BodyHash;
use crate::model::item::PageMemory;
use crate::model::pagination::PagePosition;
use crate::model::schedule::Past;
use crate::model::time::Timestamp;

/// What outlives a poll, beside the seen items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorState {
    /// When the last poll began.
    pub polled_at: Timestamp,
    /// When a poll last read its source without failing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded_at: Option<Timestamp>,
    /// When a poll last compared items, instead of finding all pages unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_at: Option<Timestamp>,
    /// When a poll last found a change; before the first one, when the first poll began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// Whether that is longer ago than the connector's `limits.silence`, and an event told of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_silent: bool,
    /// Whether the first poll is done: until then, what is found is treated as its find.
    pub baselined: bool,
    /// When what was found was last taken as seen instead of being sent; `None` if it never was, or before this was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// The watermark that an incremental API is asked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The pages of the last complete poll, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<PageMemory>,
    /// The rules that `pages`, the keys and the fingerprints came from.
    pub digest: RulesMemory,
    /// How many items the last poll that compared items had.
    #[serde(default)]
    pub items: u64,
    /// How many polls in a row have failed.
    #[serde(default)]
    pub failures: u32,
    /// When the present run of failures began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// What was wrong with the last poll, secrets taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The source asked not to be polled before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// When the source was last read as a whole, where it is usually asked only for what is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconciled_at: Option<Timestamp>,
    /// When a poll last read its source to the last page, or to one that was known from then on: what was seen since
    /// may have been read with a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_through_at: Option<Timestamp>,
    /// Set while there is more to read than one poll may: where the next poll goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<Pass>,
    /// Set while changes are held for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// How many changes wait for their details.
    #[serde(default)]
    pub awaiting_detail: u64,
    /// Somebody asked for the next complete poll to be taken as seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub baseline_next: bool,
    /// How many times the rules for fingerprints have been edited: an item that was last seen under others takes its
    /// new fingerprint silently.
    #[serde(default)]
    pub epoch: u8,
    /// The interval that an adaptive schedule has come to, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
    /// What is odd about the source, as the last poll that compared items found; secrets taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A walk through more pages than one poll may read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// When its first poll began.
    pub since: Timestamp,
    /// Where the next poll goes on.
    pub position: PagePosition,
    /// What the source is asked with; `None` if it is asked for everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_with: Option<String>,
    /// Whether what it finds is taken as seen, because the rules for keys were edited.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub takes_as_seen: bool,
    /// The largest cursor value so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How many polls it has taken so far.
    pub polls: u32,
}

impl Pass {
    /// Returns a pass whose first poll began at this time, and that goes on with this page.
    pub fn new(since: Timestamp, position: PagePosition) -> Self {
        Self { since, position, asked_with: None, takes_as_seen: false, cursor: None, polls: 1 }
    }
}

/// The polls that took what they found as seen, without an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// When the first of them began.
    pub from: Timestamp,
    /// When the last of them began.
    pub until: Timestamp,
    /// Whether they were the first polls of the connector.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_first: bool,
}

impl Baseline {
    /// Tells whether what was first seen then, in whole seconds, may have been taken as seen.
    pub fn covers(&self, first_seen: Timestamp) -> bool {
        (self.from.as_seconds()..=self.until.as_seconds()).contains(&first_seen.as_seconds())
    }
}

/// Changes that wait for somebody to approve, drop or baseline them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub since: Timestamp,
    /// Which limit was exceeded, in words.
    pub cause: String,
    pub created: u64,
    pub updated: u64,
    pub removed: u64,
}

impl ConnectorState {
    /// Returns what decides when the connector is due.
    pub fn past(&self) -> Past {
        Past {
            polled_at: self.polled_at,
            failures: self.failures,
            not_before: self.not_before,
            interval: self.interval.map(Duration::from_millis),
            is_behind: self.pass.is_some(),
            seed: u64::from_le_bytes(*self.digest.pages.0.first_chunk().expect("a hash is longer")),
        }
    }

    /// Returns the state of a connector that is being polled for the first time, under these rules.
    pub fn first(at: Timestamp, digest: RulesMemory) -> Self {
        Self {
            polled_at: at,
            succeeded_at: None,
            compared_at: None,
            changed_at: None,
            is_silent: false,
            baselined: false,
            baseline: None,
            cursor: None,
            pages: Vec::new(),
            digest,
            items: 0,
            failures: 0,
            failing_since: None,
            last_error: None,
            not_before: None,
            reconciled_at: None,
            read_through_at: None,
            pass: None,
            hold: None,
            awaiting_detail: 0,
            baseline_next: false,
            epoch: 0,
            interval: None,
            warnings: Vec::new(),
        }
    }
}

/// The digests of the rules that remembered things came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesMemory {
    pub pages: BodyHash,
    pub keys: BodyHash,
    pub fingerprints: BodyHash,
}
