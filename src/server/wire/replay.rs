//! Replays, as the API takes and shows them.

use serde::{Deserialize, Serialize};

use crate::model::event::EventType;
use crate::model::id::{ConnectorName, DeliveryId, EventId, SubscriptionName};
use crate::model::limits::Rate;
use crate::model::pattern::Pattern;
use crate::model::replay::{Replay, ReplayId, ReplayState, SettledAs, WrittenSelection};
use crate::model::time::Timestamp;

/// What is to be queued: one delivery again, all dead letters of a subscription, or what a selection selects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Queues this delivery again, at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// Queues all dead letters of this subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_of: Option<SubscriptionName>,
    /// Of a selection: whose deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionName>,
    /// Of a selection: who gets the events instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<SubscriptionName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<ConnectorName>,
    /// A type of events, whole (`orders.created`) or without its connector (`created`); `*` stands for anything.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<Pattern>,
    /// Detected then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Detected before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How the deliveries of `subscription` are settled, or if only `to` is given, those of `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SettledAs>,
    /// How many deliveries are queued in how long, such as `50/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Tells what would be queued, and queues nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

impl ReplayRequest {
    /// Returns the selection that it names.
    pub fn selection(&self) -> WrittenSelection {
        let Self { subscription, to, connector, event_type, from, until, state, .. } = self.clone();
        WrittenSelection { subscription, to, connector, event_type, from, until, state }
    }
}

/// How many deliveries were queued again at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayAnswer {
    pub queued: usize,
}

/// A replay and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayView {
    pub id: ReplayId,
    pub state: ReplayState,
    /// What is queued, and for whom.
    pub selection: WrittenSelection,
    pub rate: Rate,
    pub created_at: Timestamp,
    /// When its first step was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How many deliveries and events it has looked at.
    pub looked_at: u64,
    /// Of how many; absent if that are too many to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// How many deliveries it has queued.
    pub queued: u64,
    /// When the last event was detected that it has looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub come_to: Option<Timestamp>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl From<Replay> for ReplayView {
    fn from(replay: Replay) -> Self {
        Self {
            id: replay.id,
            state: replay.state,
            selection: replay.selection.into(),
            rate: replay.rate,
            created_at: replay.created_at,
            started_at: replay.started_at,
            ended_at: replay.ended_at,
            looked_at: replay.looked_at,
            of: replay.of,
            queued: replay.queued,
            come_to: replay.after.map(|event| event.time()),
            cause: replay.cause,
        }
    }
}

/// What a replay would queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DryRun {
    /// How many deliveries.
    pub count: usize,
    /// Whether there may be more: only so much is looked at.
    pub at_least: bool,
    /// How many deliveries and events were looked at.
    pub looked_at: usize,
    /// Some of the events.
    pub examples: Vec<ReplayExample>,
}

/// An event that a replay would queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayExample {
    pub event: EventId,
    #[serde(rename = "type")]
    pub event_type: EventType,
    pub key: String,
    #[serde(rename = "timestamp")]
    pub time: Timestamp,
}
