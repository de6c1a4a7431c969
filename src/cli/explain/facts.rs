//! What is known of an item: what the source says now, what the service remembers, and what became of its events.

use serde::Serialize;

use crate::model::change::ChangeKind;
use crate::model::event::Event;
use crate::model::fingerprint::Fingerprint;
use crate::model::id::{ConnectorName, SubscriptionName};
use crate::model::time::Timestamp;
use crate::poll::{Difference, LookedAt};
use crate::server::wire::{ConnectorMemory, DeliveryDetail, ItemMemory, MatchView, NextPoll};

/// All that was found out about an item.
#[derive(Debug, Serialize)]
pub struct Facts {
    pub connector: ConnectorName,
    pub key: String,
    pub rules: Rules,
    pub service: Service,
    pub source: Source,
    /// What the service remembers; absent if it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// The fingerprint of the item in the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint_now: Option<Fingerprint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// What the subscriptions say to an event of the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matching: Option<Matching>,
    /// Its events, the newest first.
    pub events: Vec<EventFacts>,
    /// Whether there may be older ones that were not looked for.
    pub events_are_cut: bool,
}

/// Those rules of the connector, as they are configured here, that decide what a change becomes.
#[derive(Debug, Serialize)]
pub struct Rules {
    /// The kinds of change that become events.
    pub events: Vec<ChangeKind>,
    /// Whether an item that is missing is taken for removed.
    pub detects_removal: bool,
}

/// Whether there is a service to ask.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Service {
    Answers,
    Silent { reason: String },
}

/// What a look at the source says of the item.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Source {
    NotAsked {
        reason: String,
    },
    Failed {
        problem: String,
    },
    Listed {
        page: usize,
        position: usize,
        url: String,
        pages: usize,
        copies: usize,
    },
    Filtered {
        page: usize,
        filter: String,
        looked_at: Vec<LookedAt>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    OnFailedPage {
        page: usize,
        problem: String,
    },
    NotListed {
        pages: usize,
        items: usize,
        /// Why it may be there all the same.
        #[serde(skip_serializing_if = "Option::is_none")]
        unless: Option<String>,
        /// Some keys that are there.
        examples: Vec<String>,
    },
}

/// What the service remembers of the item and its connector.
#[derive(Debug, Serialize)]
pub struct Memory {
    pub item: ItemMemory,
    pub connector: ConnectorMemory,
    /// Which rules of the configuration here are others than those that the service runs by.
    pub rules_that_differ: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_poll: Option<NextPoll>,
    /// Why polls fail, and since when, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polled_at: Option<Timestamp>,
}

/// Why polls fail.
#[derive(Debug, Serialize)]
pub struct Failing {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    pub error: String,
}

/// In which fields the item in the source differs from an earlier version.
#[derive(Debug, Serialize)]
pub struct Comparison {
    pub with: Earlier,
    pub differences: Vec<Difference>,
    /// How many further differences there are.
    pub left_out: usize,
}

/// What the item in the source is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Earlier {
    /// The item as the service keeps it, because of `changes.previous`.
    Kept,
    /// The data of its last event.
    LastEvent,
}

/// What subscriptions say to an event of the item.
#[derive(Debug, Serialize)]
pub struct Matching {
    pub of: MatchedEvent,
    #[serde(rename = "type")]
    pub event_type: String,
    pub subscriptions: Vec<MatchView>,
    /// How many more there are that do not want it.
    pub left_out: usize,
    /// Whether only the configured ones were asked, because the service does not answer.
    pub only_configured: bool,
}

/// Which event subscriptions were asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchedEvent {
    /// The item's last one.
    Last,
    /// The one that the next poll would make of what is in the source.
    Next,
}

/// An event of the item and what became of it.
#[derive(Debug, Serialize)]
pub struct EventFacts {
    pub event: Event,
    /// Those that wanted it when it was found.
    pub subscriptions: Vec<SubscriptionName>,
    /// As far as they are still kept.
    pub deliveries: Vec<DeliveryDetail>,
    /// How many deliveries were not asked for.
    pub left_out: usize,
}
