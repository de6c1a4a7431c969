//! What happened to an item.

use std::fmt;
use std::num::NonZeroU8;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::id::ConnectorName;

/// The three things that can happen to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    Created,
    Updated,
    Removed,
}

impl ChangeKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Created, Self::Updated, Self::Removed];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Removed => "removed",
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a complete poll of a source lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// The latest items only: one that is missing has merely become old.
    Recent,
    /// All items there are: one that is missing is gone.
    Everything,
}

/// What becomes of the items that the first poll finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstPoll {
    /// They are taken as seen and not sent.
    Baseline,
    /// They are all sent as created.
    Send,
    /// The first this many of the listing are sent as created; the others are taken as seen.
    Latest(usize),
}

/// Which changes of a connector become events, and how they are recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRules {
    /// The kinds of change that become events.
    pub events: Vec<ChangeKind>,
    pub lists: Lists,
    pub first_poll: FirstPoll,
    /// In how many complete polls in a row an item must be missing to count as removed.
    pub removed_after: NonZeroU8,
    /// Whether items are kept, so that an update says what changed and a removal what was there.
    pub previous: bool,
    /// How long after an item was last seen in its source it is forgotten.
    pub forget_after: Duration,
    /// How many changes at once are held for approval.
    pub hold_above: HoldAbove,
    /// What becomes of a complete poll without items, where there were some.
    pub empty: EmptyRule,
}

/// How many changes of one poll are held for approval: more than this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HoldAbove {
    pub created: Option<u64>,
    pub removed: Option<Share>,
}

/// A number of items, or a part of those that were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    Count(u64),
    /// 0 to 100.
    Percent(u8),
}

/// What a complete poll without items means, where there were some before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyRule {
    /// That all of them are gone.
    Ok,
    /// Nothing, until [`Self::POLLS_UNTIL_BELIEVED`] polls in a row have said so.
    Suspicious,
}

impl EmptyRule {
    /// How many empty polls in a row are believed, however suspicious.
    pub const POLLS_UNTIL_BELIEVED: u8 = 3;
}

/// What somebody decides about the changes of a connector that are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// They become events now.
    Approve,
    /// They are forgotten, as if the poll that found them had not been made.
    Drop,
    /// They are taken as seen and not sent; if nothing is held, the next complete poll is.
    Baseline,
}

impl Decision {
    /// Returns the word for it, which is that of the command.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Drop => "drop",
            Self::Baseline => "baseline",
        }
    }
}

/// What came of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// So many changes were held, and are no more.
    Held { created: u64, updated: u64, removed: u64 },
    /// Nothing was held: the next complete poll is taken as seen.
    NextPoll,
}

/// Why a decision was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    /// There is nothing to approve or drop.
    #[error("nothing is held")]
    NothingHeld,
    /// Nothing is decided while a poll is under way.
    #[error("a poll is under way")]
    PollUnderWay,
    /// No connector with this name is configured.
    #[error("there is no such connector")]
    UnknownConnector,
    /// It could not be made durable.
    #[error("the decision could not be carried out")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Carries out decisions.
#[async_trait]
pub trait Decide: Send + Sync + 'static {
    /// Carries out what was decided about a connector. When this returns, it is on disk.
    async fn decide(&self, connector: &ConnectorName, decision: Decision) -> Result<Decided, DecisionError>;
}

impl ChangeRules {
    /// Tells whether a change of this kind becomes an event.
    pub fn wants(&self, kind: ChangeKind) -> bool {
        self.events.contains(&kind)
    }

    /// Tells whether an item that is missing is to be taken for removed.
    pub fn detects_removal(&self) -> bool {
        self.lists == Lists::Everything
    }
}

impl Default for ChangeRules {
    fn default() -> Self {
        Self {
            events: vec![ChangeKind::Created, ChangeKind::Updated],
            lists: Lists::Recent,
            first_poll: FirstPoll::Baseline,
            removed_after: NonZeroU8::MIN,
            previous: false,
            forget_after: Duration::from_secs(30 * 24 * 60 * 60),
            hold_above: HoldAbove::default(),
            empty: EmptyRule::Suspicious,
        }
    }
}
