//! How events and deliveries are written.

use std::sync::Arc;
use std::time::Duration;

use super::super::StoreError;
use super::keys::Place;
use super::value::{Decoder, Encoder, LARGEST_PIECE, damaged};
use crate::model::delivery::{Attempt, AttemptFailure, DeathReason, Delivery, DeliveryState, FailureClass};
use crate::model::event::{Event, RoutedEvent};
use crate::model::id::{ConnectorName, DeliveryId, EventId, SubscriptionName};
use crate::model::time::Timestamp;

/// Answers and failures with more bytes are not written into the delivery's record but beside it.
const LARGEST_DETAIL: usize = 1024;

/// A record with more bytes takes no further details, however short.
const LARGEST_RECORD: usize = 4 * 1024;

/// Returns an event's body: its connector, the subscriptions that it goes to, and its JSON.
pub(super) fn encode_event(routed: &RoutedEvent) -> Vec<u8> {
    let mut encoder = Encoder::default();
    encoder.text(routed.event.connector.as_str());
    encoder.u32(routed.subscriptions.len() as u32);
    for subscription in &routed.subscriptions {
        encoder.text(subscription.as_str());
    }
    serde_json::to_writer(&mut encoder.0, &*routed.event).expect("an event is written to memory without errors");
    encoder.0
}

/// What comes before the JSON of an event.
pub(super) struct EventHead<'b> {
    pub connector: ConnectorName,
    pub subscriptions: Vec<SubscriptionName>,
    json: &'b [u8],
}

impl<'b> EventHead<'b> {
    /// Reads an event's body up to its JSON.
    pub fn decode(key: &[u8], body: &'b [u8]) -> Result<Self, StoreError> {
        let mut decoder = Decoder(body);
        let mut read = || {
            let connector = decoder.text()?.parse().ok()?;
            let count = decoder.u32()?;
            let subscriptions = (0..count).map(|_| decoder.text()?.parse().ok()).collect::<Option<_>>()?;
            Some(Self { connector, subscriptions, json: decoder.0 })
        };
        read().ok_or_else(|| damaged(key, "its head cannot be read"))
    }

    /// Reads the event itself.
    pub fn event(self, key: &[u8]) -> Result<RoutedEvent, StoreError> {
        let event: Event = serde_json::from_slice(self.json)
            .map_err(|error| damaged(key, format!("its JSON cannot be read: {error}")))?;
        Ok(RoutedEvent { event: Arc::new(event), subscriptions: self.subscriptions })
    }
}

/// A delivery that was settled or replayed at least once. Until then its place in the queue says everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeliveryRecord {
    /// Where it stands; `None` while it waits for its first attempt.
    pub state: DeliveryState,
    pub failures: u32,
    pub attempts: Vec<StoredAttempt>,
}

/// An attempt as its delivery's record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredAttempt {
    pub attempt: Attempt,
    /// In how many parts the answer and the failure's message lie beside the record; 0 if they are in it.
    pub detail_parts: u16,
}

impl DeliveryRecord {
    /// Returns the record of a delivery that waits for its first attempt.
    pub fn first(event: EventId) -> Self {
        Self { state: DeliveryState::Pending { due: event.time() }, failures: 0, attempts: Vec::new() }
    }

    /// Returns where the delivery waits, if it does.
    pub fn place(&self, event: EventId) -> Option<Place> {
        match self.state {
            DeliveryState::Pending { due } => Some(Place::Again(due, event)),
            _ => None,
        }
    }

    /// Returns what people see of it.
    pub fn delivery(&self, id: DeliveryId) -> Delivery {
        let last = self.attempts.last().map(|stored| stored.attempt.outcome());
        Delivery { id, state: self.state.clone(), attempts: self.attempts.len() as u32, last }
    }

    /// Adds an attempt. Returns the parts of its detail if that is too long to be written into the record.
    pub fn add(&mut self, attempt: Attempt) -> Vec<Vec<u8>> {
        let length = detail_length(&attempt);
        let present: usize = self
            .attempts
            .iter()
            .filter(|stored| stored.detail_parts == 0)
            .map(|stored| detail_length(&stored.attempt))
            .sum();
        let mut parts = Vec::new();
        if length > 0 && (length > LARGEST_DETAIL || present + length > LARGEST_RECORD) {
            let mut encoder = Encoder::default();
            encode_detail(&attempt, &mut encoder);
            parts.extend(encoder.0.chunks(LARGEST_PIECE).map(<[u8]>::to_vec));
        }
        self.attempts.push(StoredAttempt { attempt, detail_parts: parts.len() as u16 });
        parts
    }

    /// Returns the bytes that stand for it in the store.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        let (state, at) = match self.state {
            DeliveryState::Pending { due } => (0, due),
            DeliveryState::Delivered { at } => (1, at),
            DeliveryState::Dead { at, reason: DeathReason::Exhausted } => (2, at),
            DeliveryState::Dead { at, reason: DeathReason::Gone } => (3, at),
            DeliveryState::Dead { at, reason: DeathReason::Unsendable } => (4, at),
            DeliveryState::Dead { at, reason: DeathReason::TooLarge } => (5, at),
            DeliveryState::Dead { at, reason: DeathReason::Refused } => (6, at),
        };
        encoder.u8(state);
        encoder.i64(at.as_millis());
        encoder.u32(self.failures);
        encoder.u32(self.attempts.len() as u32);
        for StoredAttempt { attempt, detail_parts } in &self.attempts {
            encoder.u32(attempt.number);
            encoder.i64(attempt.started_at.as_millis());
            encoder.u64(u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX));
            encoder.u16(attempt.status.unwrap_or(0));
            encoder.u8(attempt.failure.as_ref().map_or(0, |failure| class_number(failure.class)));
            encoder.u16(*detail_parts);
            if *detail_parts == 0 {
                encode_detail(attempt, &mut encoder);
            }
        }
        encoder.0
    }

    pub fn decode(key: &[u8], body: &[u8]) -> Result<Self, StoreError> {
        Self::read(&mut Decoder(body)).ok_or_else(|| damaged(key, "its fields cannot be read"))
    }

    fn read(decoder: &mut Decoder<'_>) -> Option<Self> {
        let state = decoder.u8()?;
        let at = Timestamp::from_millis(decoder.i64()?);
        let dead = |reason| DeliveryState::Dead { at, reason };
        let state = match state {
            0 => DeliveryState::Pending { due: at },
            1 => DeliveryState::Delivered { at },
            2 => dead(DeathReason::Exhausted),
            3 => dead(DeathReason::Gone),
            4 => dead(DeathReason::Unsendable),
            5 => dead(DeathReason::TooLarge),
            6 => dead(DeathReason::Refused),
            _ => return None,
        };
        let failures = decoder.u32()?;
        let count = decoder.u32()?;
        let attempts = (0..count).map(|_| read_attempt(decoder)).collect::<Option<_>>()?;
        Some(Self { state, failures, attempts })
    }
}

fn read_attempt(decoder: &mut Decoder<'_>) -> Option<StoredAttempt> {
    let (number, started_at) = (decoder.u32()?, Timestamp::from_millis(decoder.i64()?));
    let mut attempt = Attempt::begun(number, started_at);
    attempt.duration = Duration::from_millis(decoder.u64()?);
    attempt.status = Some(decoder.u16()?).filter(|status| *status != 0);
    attempt.failure = match decoder.u8()? {
        0 => None,
        number => Some(AttemptFailure { class: class_of(number)?, message: String::new() }),
    };
    let detail_parts = decoder.u16()?;
    if detail_parts == 0 {
        read_detail(&mut attempt, decoder)?;
    }
    Some(StoredAttempt { attempt, detail_parts })
}

/// Completes an attempt by the detail that lay beside its record.
pub(super) fn decode_detail(key: &[u8], body: &[u8], attempt: &mut Attempt) -> Result<(), StoreError> {
    read_detail(attempt, &mut Decoder(body)).ok_or_else(|| damaged(key, "its fields cannot be read"))
}

fn detail_length(attempt: &Attempt) -> usize {
    attempt.answer.len() + attempt.failure.as_ref().map_or(0, |failure| failure.message.len())
}

fn encode_detail(attempt: &Attempt, encoder: &mut Encoder) {
    encoder.text(&attempt.answer);
    if let Some(failure) = &attempt.failure {
        encoder.text(&failure.message);
    }
}

fn read_detail(attempt: &mut Attempt, decoder: &mut Decoder<'_>) -> Option<()> {
    decoder.text()?.clone_into(&mut attempt.answer);
    if let Some(failure) = &mut attempt.failure {
        decoder.text()?.clone_into(&mut failure.message);
    }
    Some(())
}

const CLASSES: [FailureClass; 10] = [
    FailureClass::Dns,
    FailureClass::Connect,
    FailureClass::Tls,
    FailureClass::Timeout,
    FailureClass::Transport,
    FailureClass::Body,
    FailureClass::Render,
    FailureClass::Status,
    FailureClass::Egress,
    FailureClass::Auth,
];

fn class_number(class: FailureClass) -> u8 {
    match class {
        FailureClass::Dns => 1,
        FailureClass::Connect => 2,
        FailureClass::Tls => 3,
        FailureClass::Timeout => 4,
        FailureClass::Transport => 5,
        FailureClass::Body => 6,
        FailureClass::Render => 7,
        FailureClass::Status => 8,
        FailureClass::Egress => 9,
        FailureClass::Auth => 10,
    }
}

fn class_of(number: u8) -> Option<FailureClass> {
    CLASSES.into_iter().find(|class| class_number(*class) == number)
}
