//! What the admin API says of connectors.

use serde::{Deserialize, Serialize};

use crate::model::change::{Decided, Decision};
use crate::model::connector::Connector;
use crate::model::id::ConnectorName;
use crate::model::poll_record::{NextReason, PollRecord};
use crate::model::time::Timestamp;
use crate::store::{ConnectorState, Hold, Pass};

/// A connector and how its polls went.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConnectorView {
    pub name: ConnectorName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The element of `each` that it is, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<serde_json::Value>,
    /// When it is polled, in words.
    pub schedule: String,
    pub status: ConnectorStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polled_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded_at: Option<Timestamp>,
    /// When a poll last found a change; before the first one, when the first poll began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// Whether that is longer ago than `limits.silence`.
    #[serde(default)]
    pub is_silent: bool,
    /// How many items the source had when items were last compared.
    pub items: u64,
    /// How many polls in a row have failed.
    pub failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The source asked not to be polled before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Set while changes wait for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Set while there is more to read than one poll may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<Pass>,
    /// How many changes wait for their details.
    #[serde(default)]
    pub awaiting_detail: u64,
    /// Whether the next complete poll is taken as seen, because somebody asked for it.
    #[serde(default)]
    pub baseline_next: bool,
    /// What is odd about the source.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What an incremental source is asked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// When an incremental source was last read as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconciled_at: Option<Timestamp>,
    /// The interval that an adaptive schedule has come to, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
    /// When the next poll is; absent if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_poll: Option<NextPoll>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_poll: Option<PollRecord>,
}

/// When the next poll is, and why then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextPoll {
    pub at: Timestamp,
    pub because: NextReason,
}

/// How a connector is doing: the first of these that applies, from the last one up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectorStatus {
    /// Its last poll succeeded.
    Ok,
    /// It was never polled.
    Waiting,
    /// Something is odd about its source, it has been silent for too long, or some items wait for their details.
    Warning,
    /// There is more to read than one poll may; the next one goes on.
    Behind,
    /// Changes wait for approval.
    Held,
    /// Its last poll failed.
    Failing,
}

impl ConnectorStatus {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Waiting => "waiting",
            Self::Warning => "warning",
            Self::Behind => "behind",
            Self::Held => "held",
            Self::Failing => "failing",
        }
    }

    fn of(state: &ConnectorState) -> Self {
        if state.failures > 0 {
            Self::Failing
        } else if state.hold.is_some() {
            Self::Held
        } else if state.pass.is_some() {
            Self::Behind
        } else if !state.warnings.is_empty() || state.awaiting_detail > 0 || state.is_silent {
            Self::Warning
        } else {
            Self::Ok
        }
    }
}

impl ConnectorView {
    /// Returns the view of a connector with this state, whose last poll this was.
    pub fn new(
        connector: &Connector,
        state: Option<ConnectorState>,
        last_poll: Option<PollRecord>,
        now: Timestamp,
    ) -> Self {
        let due = connector.schedule.due(state.as_ref().map(ConnectorState::past).as_ref(), now);
        let view = Self {
            name: connector.name.clone(),
            title: connector.title.clone(),
            element: connector.element.clone(),
            schedule: connector.schedule.to_string(),
            status: ConnectorStatus::Waiting,
            polled_at: None,
            succeeded_at: None,
            changed_at: None,
            is_silent: false,
            items: 0,
            failures: 0,
            failing_since: None,
            error: None,
            not_before: None,
            hold: None,
            pass: None,
            awaiting_detail: 0,
            baseline_next: false,
            warnings: Vec::new(),
            cursor: None,
            reconciled_at: None,
            interval: None,
            next_poll: due.map(|due| NextPoll { at: due.at.max(now), because: due.because }),
            last_poll,
        };
        // A state may be there before the first poll: somebody asked for a baseline.
        let Some(state) = state else { return view };
        let was_polled = state.polled_at > Timestamp::EPOCH;
        Self {
            status: if was_polled { ConnectorStatus::of(&state) } else { ConnectorStatus::Waiting },
            polled_at: was_polled.then_some(state.polled_at),
            succeeded_at: state.succeeded_at,
            changed_at: state.changed_at,
            is_silent: state.is_silent,
            items: state.items,
            failures: state.failures,
            failing_since: state.failing_since,
            error: state.last_error,
            not_before: state.not_before,
            hold: state.hold,
            pass: state.pass,
            awaiting_detail: state.awaiting_detail,
            baseline_next: state.baseline_next,
            warnings: state.warnings,
            cursor: state.cursor,
            reconciled_at: state.reconciled_at,
            interval: state.interval,
            ..view
        }
    }
}

/// What came of a decision about a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionAnswer {
    pub decision: Decision,
    /// How many changes were held and are no more; absent if none were held, so that the next complete poll is taken as
    /// seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldCounts>,
}

/// How many changes were held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCounts {
    pub created: u64,
    pub updated: u64,
    pub removed: u64,
}

impl DecisionAnswer {
    /// Returns what came of a decision.
    pub fn new(decision: Decision, decided: Decided) -> Self {
        let held = match decided {
            Decided::Held { created, updated, removed } => Some(HeldCounts { created, updated, removed }),
            Decided::NextPoll => None,
        };
        Self { decision, held }
    }
}
