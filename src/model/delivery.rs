//! Events on their way to a subscription.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::DeliveryId;
use super::time::Timestamp;

/// One event on its way to one subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    pub state: DeliveryState,
    /// How many attempts were made, replays included.
    pub attempts: u32,
}

/// How far a delivery has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum DeliveryState {
    /// It will be attempted at or after `due`.
    Pending { due: Timestamp },
    /// The receiver acknowledged it.
    Delivered { at: Timestamp },
    /// It will not be attempted again by itself.
    Dead { at: Timestamp, reason: DeathReason },
}

/// Why a delivery became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeathReason {
    /// The last attempt of the retry schedule failed.
    Exhausted,
    /// The receiver answered 410 Gone.
    Gone,
    /// The event could not be rendered or signed.
    Unsendable,
}

impl DeathReason {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Gone => "gone",
            Self::Unsendable => "unsendable",
        }
    }
}

/// One POST of a delivery and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1 for the first attempt of the delivery.
    pub number: u32,
    pub started_at: Timestamp,
    /// How long the exchange took, in whole milliseconds.
    #[serde(with = "millis", rename = "duration_ms")]
    pub duration: Duration,
    /// The HTTP status, if the receiver answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The beginning of the answer's body, at most [`ANSWER_KEPT`] bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
    /// Why there was no whole answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<AttemptFailure>,
}

/// The most bytes of a receiver's answer that are kept.
pub const ANSWER_KEPT: usize = 64 * 1024;

/// Why an attempt got no whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptFailure {
    pub class: FailureClass,
    /// The whole chain of causes, in words.
    pub message: String,
}

/// In which part of an exchange a failure lay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureClass {
    Dns,
    Connect,
    Tls,
    Timeout,
    /// The connection broke, or what came is no HTTP.
    Transport,
    /// The answer's body is too large or could not be read.
    Body,
    /// The event could not be rendered or signed: nothing was sent.
    Render,
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
