//! What must survive: seen items, cursors, validators, events, deliveries.
//!
//! The poll side hands over to the push side here and nowhere else, in one atomic and durable commit a poll. Nothing
//! in these traits assumes that there is one process: polls and deliveries are taken under leases with fencing
//! tokens, and a stale holder's commit is refused.

pub mod embedded;
pub mod kv;
pub mod memory;

mod deliveries;
mod guard;
mod history;
mod polls;
mod replays;
mod sled;
mod state;
mod subscriptions;
mod wake;

use std::sync::Arc;

pub use deliveries::{
    ATTEMPTS_KEPT, Claim, Claimed, ClaimedDelivery, DeliveryLease, DeliveryStore, Disabled, LaneState, MOST_UNDER_WAY,
    OpenBreaker, Settlement, Verdict,
};
pub use history::{DeliveryQuery, DeliveryStateName, EventQuery, HistoryStore, LaneCounts, Page, Pruned, Retention};
pub use polls::{POLLS_KEPT, PollCommit, PollLease, PollPart, PollStore, SeenSelection, SeenUpdate};
pub use replays::{Candidate, CreatedReplay, LARGEST_REPLAY_STEP, LookBounds, ReplayLook, ReplayStep, ReplayStore};
pub use state::{Baseline, ConnectorState, Hold, Pass, RulesMemory};
pub use subscriptions::{StoredSubscription, SubscriptionStore};

use deliveries::{cannot_be_joined, is_turn_of_retries};

/// Everything that a store does.
pub trait Store: PollStore + DeliveryStore + HistoryStore + ReplayStore + SubscriptionStore {}

impl<S: PollStore + DeliveryStore + HistoryStore + ReplayStore + SubscriptionStore> Store for S {}

/// A store that many tasks share.
pub type SharedStore = Arc<dyn Store>;

/// Why the store did not do what was asked. Nothing of the request was done, unless a method says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Someone else holds the lease by now, or it ended.
    #[error("the lease on {what} is no longer held")]
    StaleLease { what: String },
    /// There is nothing with this id.
    #[error("there is no {what}")]
    NotFound { what: String },
    /// What is on disk is not what was written.
    #[error("{what} is damaged: {detail}")]
    Corrupt { what: String, detail: String },
    /// The disk is full, read-only or broken. The store takes no more writes until it is opened anew.
    #[error("cannot {action} the store at {place}")]
    Io {
        action: &'static str,
        place: String,
        #[source]
        source: std::io::Error,
    },
    /// The store was opened by somebody else, is behind what it had acknowledged, or cannot be opened for another
    /// reason; the text says which, and what to do.
    #[error("{0}")]
    Refused(String),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}
