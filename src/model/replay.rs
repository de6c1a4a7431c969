//! Queueing many past events again, as work that outlives a restart.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::delivery::DeliveryState;
use super::event_filter::EventFilter;
use super::fingerprint::BodyHash;
use super::id::{ConnectorName, EventId, SubscriptionName};
use super::limits::Rate;
use super::pattern::Pattern;
use super::time::Timestamp;

/// The id of a replay: a UUID of version 7, so that ids ascend with time. Written `rpl_…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplayId(Uuid);

/// Why a text is no id of a replay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a replay's id is `rpl_` and 32 hexadecimal digits")]
pub struct ReplayIdError;

impl ReplayId {
    /// Returns a new id of the given time. Of ids made by this process for times that do not go back, a later one is
    /// greater.
    pub fn new(at: Timestamp) -> Self {
        Self(Uuid::from_bytes(*EventId::new(at).as_bytes()))
    }

    /// Returns the 16 bytes of the id, which sort as the ids do.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Returns the id with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rpl_{}", self.0.simple())
    }
}

impl fmt::Debug for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ReplayId {
    type Err = ReplayIdError;

    fn from_str(text: &str) -> Result<Self, ReplayIdError> {
        let digits = text.strip_prefix("rpl_").filter(|digits| digits.len() == 32).ok_or(ReplayIdError)?;
        Uuid::try_parse(digits).map(Self).map_err(|_| ReplayIdError)
    }
}

impl TryFrom<String> for ReplayId {
    type Error = ReplayIdError;

    fn try_from(text: String) -> Result<Self, ReplayIdError> {
        text.parse()
    }
}

impl From<ReplayId> for String {
    fn from(id: ReplayId) -> String {
        id.to_string()
    }
}

/// Past events that are to be queued, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenSelection", into = "WrittenSelection")]
pub struct ReplaySelection {
    pub source: ReplaySource,
    pub filter: EventFilter,
}

/// Where the events of a replay come from, and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplaySource {
    /// A subscription's own deliveries, queued again.
    Again { subscription: SubscriptionName, state: SettledAs },
    /// Events that went to one subscription, for another one that did not get them; only those whose delivery to the
    /// first one is settled so, or all.
    Copy { subscription: SubscriptionName, to: SubscriptionName, state: Option<SettledAs> },
    /// Past events, whomever they went to, for a subscription that did not get them; and again those whose delivery to
    /// it is settled so.
    Backfill { to: SubscriptionName, again: Option<SettledAs> },
}

/// What became of a delivery that is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SettledAs {
    Dead,
    Delivered,
    /// Either.
    All,
}

/// Why a selection selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    #[error("say whose deliveries are queued again (`subscription`), or for whom past events are queued (`to`)")]
    Nobody,
    #[error("`subscription` and `to` are the same: give only `subscription` to queue its own deliveries again")]
    Same,
    #[error("`from` is not before `until`, so there is no time between them")]
    NoTime,
}

impl ReplaySelection {
    /// Returns the selection of a subscription's dead letters.
    pub fn dead_of(subscription: SubscriptionName) -> Self {
        let source = ReplaySource::Again { subscription, state: SettledAs::Dead };
        Self { source, filter: EventFilter::default() }
    }

    /// Returns the subscription that gets the deliveries.
    pub fn target(&self) -> &SubscriptionName {
        match &self.source {
            ReplaySource::Again { subscription: target, .. }
            | ReplaySource::Copy { to: target, .. }
            | ReplaySource::Backfill { to: target, .. } => target,
        }
    }

    /// Tells whether an event may go to somebody who did not get it before, so that who gets it must want it.
    pub fn may_send_first(&self) -> bool {
        !matches!(self.source, ReplaySource::Again { .. })
    }
}

impl SettledAs {
    /// Tells whether a delivery was settled so, at the latest at the given time.
    pub fn includes(self, state: &DeliveryState, until: Timestamp) -> bool {
        match state {
            DeliveryState::Pending { .. } => false,
            DeliveryState::Delivered { at } => self != Self::Dead && *at <= until,
            DeliveryState::Dead { at, .. } => self != Self::Delivered && *at <= until,
        }
    }
}

/// A selection as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenSelection {
    /// Whose deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionName>,
    /// Who gets the events instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<SubscriptionName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<ConnectorName>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<Pattern>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How the deliveries of `subscription` are settled, or if only `to` is given, those of `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SettledAs>,
}

impl TryFrom<WrittenSelection> for ReplaySelection {
    type Error = SelectionError;

    fn try_from(written: WrittenSelection) -> Result<Self, SelectionError> {
        let WrittenSelection { subscription, to, connector, event_type, from, until, state } = written;
        if from.zip(until).is_some_and(|(from, until)| from >= until) {
            return Err(SelectionError::NoTime);
        }
        let source = match (subscription, to) {
            (None, None) => return Err(SelectionError::Nobody),
            (Some(subscription), Some(to)) if subscription == to => return Err(SelectionError::Same),
            (Some(subscription), None) => ReplaySource::Again { subscription, state: state.unwrap_or(SettledAs::Dead) },
            (Some(subscription), Some(to)) => ReplaySource::Copy { subscription, to, state },
            (None, Some(to)) => ReplaySource::Backfill { to, again: state },
        };
        Ok(Self { source, filter: EventFilter { connector, event_type, from, until } })
    }
}

impl From<ReplaySelection> for WrittenSelection {
    fn from(selection: ReplaySelection) -> Self {
        let ReplaySelection { source, filter } = selection;
        let (subscription, to, state) = match source {
            ReplaySource::Again { subscription, state } => (Some(subscription), None, Some(state)),
            ReplaySource::Copy { subscription, to, state } => (Some(subscription), Some(to), state),
            ReplaySource::Backfill { to, again } => (None, Some(to), again),
        };
        let EventFilter { connector, event_type, from, until } = filter;
        Self { subscription, to, connector, event_type, from, until, state }
    }
}

/// A replay of many events, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    pub id: ReplayId,
    pub selection: ReplaySelection,
    /// How many deliveries it queues in how long.
    pub rate: Rate,
    pub state: ReplayState,
    /// When it was asked for: what was settled later is not queued again.
    pub created_at: Timestamp,
    /// When its first step was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How many deliveries and events it has looked at.
    pub looked_at: u64,
    /// How many there were to be looked at when it was asked for; `None` if that were too many to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// How many deliveries it has queued.
    pub queued: u64,
    /// The last event that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<EventId>,
    /// No step is made before this, which keeps to the rate also over a restart.
    pub next_step_at: Timestamp,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What tells a repeated request from a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestMark>,
}

/// How a replay is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayState {
    Running,
    /// All that was meant is queued.
    Done,
    /// Somebody ended it; what it had queued until then stays queued.
    Cancelled,
    /// It cannot go on.
    Failed,
}

/// The key that a client gave a request, and the request, both as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestMark {
    pub key: BodyHash,
    pub request: BodyHash,
}

impl RequestMark {
    /// How long a repeated request is recognised.
    pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
}

impl Replay {
    /// The rate of a replay that was asked for without one.
    pub const USUAL_RATE: Rate = Rate { count: 500, per: Duration::from_secs(1) };

    /// Returns a replay that has not begun.
    pub fn new(selection: ReplaySelection, rate: Rate, now: Timestamp) -> Self {
        Self {
            id: ReplayId::new(now),
            selection,
            rate,
            state: ReplayState::Running,
            created_at: now,
            started_at: None,
            ended_at: None,
            looked_at: 0,
            of: None,
            queued: 0,
            after: None,
            next_step_at: now,
            cause: None,
            request: None,
        }
    }

    /// Tells whether there may be more to queue.
    pub fn is_running(&self) -> bool {
        self.state == ReplayState::Running
    }

    /// Returns the first event that is still to be looked at; `None` is the first there is.
    pub fn from(&self) -> Option<EventId> {
        self.after.map(EventId::next).max(self.selection.filter.first())
    }

    /// Returns the first event that is not looked at any more: what was detected after the replay was asked for is not
    /// its concern.
    pub fn bound(&self) -> EventId {
        let asked = EventId::first_of(self.created_at + Duration::from_millis(1));
        self.selection.filter.bound().map_or(asked, |bound| bound.min(asked))
    }

    /// Notes a step: how many events were looked at and how many deliveries queued, up to which event (`None` if there
    /// are no more), and how long to wait for each of those that were queued.
    pub fn stepped(
        &mut self,
        looked_at: usize,
        queued: u32,
        after: Option<EventId>,
        now: Timestamp,
        pause_each: Duration,
    ) {
        self.started_at.get_or_insert(now);
        self.looked_at += looked_at as u64;
        self.queued += u64::from(queued);
        self.next_step_at = now + pause_each * queued;
        match after {
            Some(_) => self.after = after,
            None => self.end(ReplayState::Done, None, now),
        }
    }

    /// Ends the replay.
    pub fn end(&mut self, state: ReplayState, cause: Option<String>, now: Timestamp) {
        (self.state, self.cause, self.ended_at) = (state, cause, Some(now));
    }
}

impl ReplayState {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}
