//! What is remembered of items and who would be told of them, as the API shows it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::change::ChangeKind;
use crate::model::connector::RulesDigest;
use crate::model::event::Event;
use crate::model::fingerprint::{BodyHash, Fingerprint};
use crate::model::id::{ConnectorName, SubscriptionName};
use crate::model::item::{KeptItem, Presence, SeenItem, SetAside, SetAsideReason};
use crate::model::pattern::Pattern;
use crate::model::poll_record::PollRecord;
use crate::model::subscription::{Matching, Mismatch, Subscription};
use crate::model::time::Timestamp;
use crate::store::{Baseline, ConnectorState, Disabled, Hold, RulesMemory};

/// Which items are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RememberedRequest {
    /// 1 to [`RememberedRequest::MOST_KEYS`] keys, as texts.
    pub keys: Vec<String>,
}

impl RememberedRequest {
    /// The most keys that one request asks for.
    pub const MOST_KEYS: usize = 1000;
}

/// What is remembered of some items.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RememberedAnswer {
    pub connector: ConnectorMemory,
    /// One entry for each key, in the order of the request.
    pub data: Vec<ItemMemory>,
}

/// The rules of a connector that runs, and how far what is remembered goes by them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConnectorMemory {
    pub name: ConnectorName,
    /// The rules that the service polls by.
    pub rules: RulesView,
    /// The rules that the last poll went by; absent if it was never polled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered_under: Option<RulesView>,
    /// Whether the first poll is done.
    pub is_baselined: bool,
    /// When what was found was last taken as seen instead of being sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// How many items the source had when items were last compared.
    pub items: u64,
    /// Set while changes wait for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// When the last poll began, and how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_poll: Option<PollRecord>,
}

/// Hashes of rules: where they are the same, the rules are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesView {
    /// Of what decides which pages are asked for and how they are read.
    pub pages: BodyHash,
    /// Of what decides which items there are and what their keys are.
    pub keys: BodyHash,
    /// Of what decides fingerprints.
    pub fingerprints: BodyHash,
}

/// What is remembered of an item.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ItemMemory {
    pub key: String,
    /// Absent if the item is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenMemory>,
    /// A change of it that is not an event yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<SetAsideMemory>,
    /// The item as it was kept; secrets taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptItem>,
    /// Whether kept items were left out from here on, because the answer would become too large: ask for fewer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

/// When and how an item was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenMemory {
    pub fingerprint: Fingerprint,
    /// In whole seconds.
    pub first_seen_at: Timestamp,
    /// In whole seconds; while nothing of it changes, up to a day early.
    pub last_seen_at: Timestamp,
    pub presence: PresenceName,
    /// In how many complete polls in a row it was missing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u8,
    /// Whether its fingerprint was made by other rules than those that run: it is replaced without an update.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_older_rules: bool,
}

/// Whether an item is in its source, as far as complete polls have told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PresenceName {
    /// It was there, or the source does not list everything.
    Present,
    /// Some polls did not have it, too few to take it for removed.
    Missing,
    /// It was taken for removed.
    Removed,
}

/// A change that was detected and is not an event yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAsideMemory {
    pub kind: ChangeKind,
    pub why: SetAsideReason,
    pub since: Timestamp,
    /// The fingerprint of the item as it was found last.
    pub fingerprint: Fingerprint,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "this is how serde calls it")]
fn is_zero(number: &u8) -> bool {
    *number == 0
}

impl From<RulesDigest> for RulesView {
    fn from(RulesDigest { pages, keys, fingerprints }: RulesDigest) -> Self {
        Self { pages, keys, fingerprints }
    }
}

impl From<RulesMemory> for RulesView {
    fn from(RulesMemory { pages, keys, fingerprints }: RulesMemory) -> Self {
        Self { pages, keys, fingerprints }
    }
}

impl SeenMemory {
    /// Returns what is shown of a seen item of a connector with this state, which runs by these rules.
    pub fn new(seen: &SeenItem, state: Option<&ConnectorState>, rules: RulesView) -> Self {
        let (presence, missed) = match seen.presence {
            Presence::Present => (PresenceName::Present, 0),
            Presence::Missing(missed) => (PresenceName::Missing, missed),
            Presence::Removed => (PresenceName::Removed, 0),
        };
        let is_of_these_rules = state.is_some_and(|state| {
            seen.epoch == state.epoch
                && state.digest.keys == rules.keys
                && state.digest.fingerprints == rules.fingerprints
        });
        Self {
            fingerprint: seen.fingerprint,
            first_seen_at: seen.first_seen,
            last_seen_at: seen.last_seen,
            presence,
            missed,
            is_of_older_rules: !is_of_these_rules,
        }
    }
}

impl From<&SetAside> for SetAsideMemory {
    fn from(change: &SetAside) -> Self {
        let SetAside { kind, why, since, fingerprint, .. } = *change;
        Self { kind, why, since, fingerprint }
    }
}

/// An event of which is asked who wants it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchRequest {
    pub event: Event,
}

/// Who wants an event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MatchAnswer {
    /// Those that want it first, then those that come nearest to that, each by name.
    pub data: Vec<MatchView>,
    /// How many subscriptions there are beside these: they do not fit into the answer.
    #[serde(default, skip_serializing_if = "is_none")]
    pub left_out: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "this is how serde calls it")]
fn is_none(number: &usize) -> bool {
    *number == 0
}

/// What a subscription says to an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchView {
    pub subscription: SubscriptionName,
    pub verdict: MatchVerdict,
    /// What the verdict goes by: patterns, or the filter's expression; empty if the subscription wants everything.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wanted: String,
    /// Why the filter failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Set if it wants the event and is disabled: the event waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
}

/// Whether a subscription wants an event, and if not, what of it does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchVerdict {
    Matches,
    /// It wants the connector's events of this type, but its filter says no.
    FilterFalse,
    /// Its filter failed, which counts as no.
    FilterFailed,
    OtherEvents,
    OtherConnectors,
}

impl MatchAnswer {
    /// Returns what is shown of these answers, so many at most: those that want the event first, then those that come
    /// nearest to that, each by name. Whether a subscription is disabled is not said.
    pub fn new(mut answers: Vec<(&Arc<Subscription>, Result<(), Mismatch>)>, most: usize) -> Self {
        let place = |(subscription, answer): &(&Arc<Subscription>, Result<(), Mismatch>)| {
            (MatchVerdict::from(answer), subscription.name.clone())
        };
        answers.sort_by_cached_key(place);
        let left_out = answers.len().saturating_sub(most);
        let views = answers.iter().take(most).map(|(subscription, answer)| MatchView::new(subscription, answer));
        Self { data: views.collect(), left_out }
    }
}

impl MatchView {
    /// Returns what is shown of a subscription that gave this answer.
    /// Whether it is disabled is not said.
    pub fn new(subscription: &Subscription, answer: &Result<(), Mismatch>) -> Self {
        let Matching { connectors, events, filter } = &subscription.matching;
        let patterns = |patterns: &[Pattern]| patterns.iter().map(Pattern::to_string).collect::<Vec<_>>().join(", ");
        let redacted = |text: &str| subscription.redactor.redact(text);
        let verdict = MatchVerdict::from(answer);
        let wanted = match verdict {
            MatchVerdict::OtherConnectors => patterns(connectors),
            MatchVerdict::OtherEvents => patterns(events),
            MatchVerdict::Matches | MatchVerdict::FilterFalse | MatchVerdict::FilterFailed => {
                filter.as_ref().map(|filter| redacted(filter.source())).unwrap_or_default()
            }
        };
        let error = match answer {
            Err(Mismatch::FilterFailed(error)) => Some(redacted(&error.message)),
            _ => None,
        };
        Self { subscription: subscription.name.clone(), verdict, wanted, error, disabled: None }
    }
}

impl From<&Result<(), Mismatch>> for MatchVerdict {
    fn from(answer: &Result<(), Mismatch>) -> Self {
        match answer {
            Ok(()) => Self::Matches,
            Err(Mismatch::Connector) => Self::OtherConnectors,
            Err(Mismatch::EventType) => Self::OtherEvents,
            Err(Mismatch::Filter) => Self::FilterFalse,
            Err(Mismatch::FilterFailed(_)) => Self::FilterFailed,
        }
    }
}
