//! Events on their way to a subscription.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{DeliveryId, EventId};
use super::time::Timestamp;

/// One event on its way to one subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    pub state: DeliveryState,
    /// How many attempts were made, replays included.
    pub attempts: u32,
    /// What the last attempt came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Outcome>,
    /// The event of the delivery that this one was joined to: it is a part of that batch, whose state and attempts are
    /// shown here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_to: Option<EventId>,
    /// How many further deliveries were joined to this one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub members: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "this is how serde calls it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What an attempt came to, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The HTTP status, if the receiver answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Where the failure lay, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureClass>,
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
    /// The event's body is larger than the subscription takes.
    TooLarge,
    /// The receiver answered a status that says that asking again is in vain.
    Refused,
}

impl DeathReason {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Exhausted, Self::Gone, Self::Unsendable, Self::TooLarge, Self::Refused];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Gone => "gone",
            Self::Unsendable => "unsendable",
            Self::TooLarge => "too-large",
            Self::Refused => "refused",
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
    /// The address that was connected to, if a connection was made or used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// How long each phase of the exchange took.
    #[serde(default, skip_serializing_if = "Phases::is_empty")]
    pub phases: Phases,
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

impl Attempt {
    /// Returns an attempt of which nothing is known yet but its number and when it began.
    pub fn begun(number: u32, started_at: Timestamp) -> Self {
        Self {
            number,
            started_at,
            duration: Duration::ZERO,
            address: None,
            phases: Phases::default(),
            status: None,
            answer: String::new(),
            failure: None,
        }
    }

    /// Returns what it came to.
    pub fn outcome(&self) -> Outcome {
        Outcome { status: self.status, failure: self.failure.as_ref().map(|failure| failure.class) }
    }
}

/// How long the phases of an exchange took, as far as it came to them. What a connection took is missing where one that was
/// kept open was used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Phases {
    /// Resolving the name, in whole microseconds like the others.
    #[serde(default, with = "micros", rename = "dns_us", skip_serializing_if = "Option::is_none")]
    pub dns: Option<Duration>,
    /// Opening the connection.
    #[serde(default, with = "micros", rename = "connect_us", skip_serializing_if = "Option::is_none")]
    pub connect: Option<Duration>,
    /// Making it secure.
    #[serde(default, with = "micros", rename = "tls_us", skip_serializing_if = "Option::is_none")]
    pub tls: Option<Duration>,
    /// From then to the answer's headers.
    #[serde(default, with = "micros", rename = "answer_us", skip_serializing_if = "Option::is_none")]
    pub answer: Option<Duration>,
    /// Reading the answer's body.
    #[serde(default, with = "micros", rename = "body_us", skip_serializing_if = "Option::is_none")]
    pub body: Option<Duration>,
}

impl Phases {
    /// Tells whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
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
    /// There was a whole answer, but its status says that the delivery was not taken.
    Status,
    /// The address may not be connected to.
    Egress,
    /// What deliveries prove who they are from with could not be had.
    Auth,
}

impl FailureClass {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Transport => "transport",
            Self::Body => "body",
            Self::Render => "render",
            Self::Status => "status",
            Self::Egress => "egress",
            Self::Auth => "auth",
        }
    }
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

mod micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "this is how serde calls it")]
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(|duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_micros))
    }
}
