//! Subscriptions as the admin API shows and takes them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::DeliveryView;
use crate::config::DefinitionMistake;
use crate::deliver::{self, RequestDescription};
use crate::model::content::DeliveryFormat;
use crate::model::delivery::Attempt;
use crate::model::id::{DeliveryId, SubscriptionName};
use crate::model::lane::Order;
use crate::model::signing::Signing;
use crate::model::subscription::{Origin, Subscription};
use crate::model::time::Timestamp;
use crate::store::{Disabled, LaneCounts, LaneState, OpenBreaker};

/// A subscription and its lane.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SubscriptionView {
    pub name: SubscriptionName,
    /// Secrets taken out.
    pub url: String,
    /// `configuration`, or `api` if it was made here.
    pub origin: String,
    pub status: LaneStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// Set while its receiver fails so often that only a trial is sent now and then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<OpenBreaker>,
    /// Since when no attempt was acknowledged, if the last one was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// The connectors that it listens to; none means all.
    #[serde(default)]
    pub connectors: Vec<String>,
    /// The events that it wants; none means all.
    #[serde(default)]
    pub events: Vec<String>,
    /// What its receiver reads: a format, or `body`.
    #[serde(default)]
    pub format: String,
    /// How deliveries are signed: `none`, `standard`, or the header that a single signature stands in.
    #[serde(default)]
    pub signature: String,
    /// `none`, `item` or `all`.
    #[serde(default)]
    pub order: String,
    /// How many attempts in how long, if that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// Set if it was made over the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<MadeView>,
    /// Counted up to [`super::MOST_COUNTED`].
    pub deliveries: LaneCounts,
}

/// What is known of a subscription that was made over the API.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MadeView {
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
    /// 1 when it was made, and one more with each change.
    pub revision: u64,
    /// What was asked for, with `***` for each secret.
    pub definition: Value,
}

/// How a subscription's lane is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LaneStatus {
    /// Nothing is amiss.
    Ok,
    /// Some deliveries wait to be attempted again.
    Retrying,
    /// The receiver asked for a pause.
    Paused,
    /// The receiver fails so often that only a trial is sent now and then.
    Failing,
    /// Nothing is sent until someone enables it.
    Disabled,
}

impl LaneStatus {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Retrying => "retrying",
            Self::Paused => "paused",
            Self::Failing => "failing",
            Self::Disabled => "disabled",
        }
    }
}

impl SubscriptionView {
    /// Returns what is shown of a subscription whose lane is in this state.
    pub fn new(
        subscription: &Subscription,
        made: Option<MadeView>,
        lane: &LaneState,
        deliveries: LaneCounts,
        now: Timestamp,
    ) -> Self {
        let disabled = deliver::disabled(subscription, lane).cloned();
        let paused_until = lane.paused_until.filter(|until| *until > now);
        let status = if disabled.is_some() {
            LaneStatus::Disabled
        } else if lane.breaker.is_some() {
            LaneStatus::Failing
        } else if paused_until.is_some() {
            LaneStatus::Paused
        } else if deliveries.retrying > 0 {
            LaneStatus::Retrying
        } else {
            LaneStatus::Ok
        };
        Self {
            name: subscription.name.clone(),
            url: subscription.redactor.redact(subscription.url.as_str()),
            origin: match subscription.origin {
                Origin::Configuration => "configuration".to_owned(),
                Origin::Api => "api".to_owned(),
            },
            status,
            disabled,
            paused_until,
            breaker: lane.breaker.clone(),
            failing_since: lane.failing_since,
            connectors: subscription.matching.connectors.iter().map(ToString::to_string).collect(),
            events: subscription.matching.events.iter().map(ToString::to_string).collect(),
            format: if subscription.content.body.is_some() {
                "body".to_owned()
            } else {
                format_word(subscription.content.format).to_owned()
            },
            signature: signature_word(&subscription.signing),
            order: order_word(subscription.lane.order).to_owned(),
            rate: subscription.lane.rate.map(|rate| rate.to_string()),
            made,
            deliveries,
        }
    }
}

fn format_word(format: DeliveryFormat) -> &'static str {
    match format {
        DeliveryFormat::Standard => "standard",
        DeliveryFormat::CloudEvents => "cloudevents",
        DeliveryFormat::CloudEventsBinary => "cloudevents-binary",
        DeliveryFormat::CloudEventsBatch => "cloudevents-batch",
        DeliveryFormat::Form => "form",
        DeliveryFormat::Raw => "raw",
    }
}

fn signature_word(signing: &Signing) -> String {
    match signing {
        Signing::Standard(secrets) if secrets.is_empty() => "none".to_owned(),
        Signing::Standard(_) => "standard".to_owned(),
        Signing::Header(signature, _) => signature.header.clone(),
    }
}

fn order_word(order: Order) -> &'static str {
    match order {
        Order::None => "none",
        Order::Item => "item",
        Order::All => "all",
    }
}

/// A subscription that was just made, changed or given another secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChangedSubscription {
    pub subscription: SubscriptionView,
    /// What deliveries are signed with from now on, if it was generated: it is shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Up to when the secrets from before a rotation are used as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_until: Option<Timestamp>,
    /// What is allowed but probably not meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<DefinitionMistake>,
}

/// How a secret is rotated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateRequest {
    /// The new secret; without it one is generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// How long deliveries are signed with the former secrets as well, such as `24h`, which it is without this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
}

/// Why a subscription is disabled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisableRequest {
    /// In words, for those who wonder later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A test event that was queued.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TestAnswer {
    pub delivery: DeliveryId,
    /// Set if it may have to wait for the lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hindrance: Option<TestHindrance>,
}

/// A test event, and what came of it so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TestDetail {
    pub delivery: DeliveryView,
    /// The oldest first.
    pub attempts: Vec<Attempt>,
    /// What was sent at the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestDescription>,
    /// Why nothing could be sent, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsendable: Option<String>,
}

/// Why a test event is not sent at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestHindrance {
    /// `paused` or `failing`.
    pub status: LaneStatus,
    /// Nothing is sent before this.
    pub until: Timestamp,
}
