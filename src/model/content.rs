//! What a receiver reads.

use std::time::Duration;

use super::expression::Expression;
use super::quantity::ByteSize;
use super::secret::Secret;

/// How events become the bodies of deliveries.
#[derive(Debug)]
pub struct Content {
    pub format: DeliveryFormat,
    /// What is sent instead of the event, as a jq expression on the event's JSON form.
    pub body: Option<Expression>,
    /// What `body` finds at `.params`, by name.
    pub params: Vec<(String, Secret)>,
    /// Several events in one delivery; `None` means one each.
    pub batch: Option<BatchPolicy>,
    /// The largest body that is sent.
    pub max_body: ByteSize,
    pub too_large: TooLarge,
}

/// How an event is rendered for a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryFormat {
    /// The body of Standard Webhooks: the event as JSON; a batch as a list of such.
    Standard,
    /// A CloudEvent in JSON (CloudEvents 1.0, structured mode).
    CloudEvents,
    /// A CloudEvent whose attributes are headers and whose data is the body (binary mode).
    CloudEventsBinary,
    /// A list of CloudEvents (batched mode).
    CloudEventsBatch,
    /// A form (`application/x-www-form-urlencoded`): a field for each member of the event.
    Form,
    /// The item alone, as JSON.
    Raw,
}

/// How many events are put into one delivery, and how long the first of them waits for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPolicy {
    /// At least 1, at most [`BatchPolicy::MOST`].
    pub max: usize,
    /// Counted from when the first event was ready to be sent.
    pub wait: Duration,
}

impl BatchPolicy {
    /// The most events of a batch.
    pub const MOST: usize = 1000;
}

/// What becomes of an event whose body is too large for its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TooLarge {
    /// It becomes a dead letter.
    #[default]
    DeadLetter,
    /// It is sent without the item before the update, and becomes a dead letter if it is still too large.
    WithoutPrevious,
}

impl Default for Content {
    fn default() -> Self {
        Self {
            format: DeliveryFormat::Standard,
            body: None,
            params: Vec::new(),
            batch: None,
            max_body: ByteSize::mebibytes(1),
            too_large: TooLarge::DeadLetter,
        }
    }
}
