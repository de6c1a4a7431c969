//! How events and deliveries are written.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::StoreError;
use super::keys::{self, Item, Place};
use super::value::{Decoder, Encoder, LARGEST_PIECE, damaged};
use crate::model::delivery::{Attempt, AttemptFailure, DeathReason, Delivery, DeliveryState, FailureClass, Phases};
use crate::model::event::{Event, RoutedEvent};
use crate::model::fingerprint::KeyHash;
use crate::model::id::{ConnectorName, DeliveryId, EventId, SubscriptionName};
use crate::model::time::Timestamp;
use crate::store::ATTEMPTS_KEPT;

/// Answers and failures with more bytes are not written into the delivery's record but beside it.
const LARGEST_DETAIL: usize = 1024;

/// Details that would make all those of a record longer are written beside it, however short they are.
const LARGEST_DETAILS: usize = 2 * 1024;

/// What a record begins with, other than one of the first format, which begins with one of its stages.
const FORMAT: u8 = 128;

/// The numbers of stages that the first format does not have.
const FIRST: u8 = 7;
const JOINED: u8 = 8;

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

    /// Reads what item the event is about: the hash of its connector, element and key.
    pub fn item(&self, key: &[u8]) -> Result<Item, StoreError> {
        #[derive(Serialize, Deserialize)]
        struct About {
            connector: ConnectorName,
            #[serde(default)]
            element: Option<Box<RawValue>>,
            key: String,
        }
        let about: About = serde_json::from_slice(self.json)
            .map_err(|error| damaged(key, format!("its JSON cannot be read: {error}")))?;
        let text = serde_json::to_string(&about).expect("an item is written to memory without errors");
        Ok(KeyHash::of(&text).0)
    }

    /// Reads the event itself.
    pub fn event(self, key: &[u8]) -> Result<RoutedEvent, StoreError> {
        let event: Event = serde_json::from_slice(self.json)
            .map_err(|error| damaged(key, format!("its JSON cannot be read: {error}")))?;
        Ok(RoutedEvent { event: Arc::new(event), subscriptions: self.subscriptions })
    }
}

/// A delivery that was settled, replayed or joined at least once. Until then its place in the queue says everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeliveryRecord {
    pub stage: Stage,
    /// When it was queued or last replayed.
    pub since: Timestamp,
    pub failures: u32,
    /// How many attempts were made.
    pub attempted: u32,
    /// The last ones.
    pub attempts: Vec<StoredAttempt>,
    /// How many deliveries were joined to it and are still.
    pub members: u32,
    /// In how many parts the list of these lies beside the record; 0 if it was never closed.
    pub member_parts: u16,
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for its first attempt.
    First,
    /// It waits for another attempt.
    Again(Timestamp),
    Delivered(Timestamp),
    Dead(Timestamp, DeathReason),
    /// It is a part of the delivery of this event.
    Joined(EventId),
}

/// An attempt as its delivery's record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredAttempt {
    pub attempt: Attempt,
    /// In how many parts the answer and the failure's message lie beside the record; 0 if they are in it.
    pub detail_parts: u16,
}

/// What lies beside a record and has to be written or removed with it.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// The number of the attempt that was added, counted from 0, and the parts of its detail.
    pub added: (u32, Vec<Vec<u8>>),
    /// The number of the attempt that is no longer kept, and in how many parts its detail is.
    pub dropped: Option<(u32, u16)>,
}

impl DeliveryRecord {
    /// Returns the record of a delivery that waits for its first attempt.
    pub fn first(event: EventId) -> Self {
        Self {
            stage: Stage::First,
            since: event.time(),
            failures: 0,
            attempted: 0,
            attempts: Vec::new(),
            members: 0,
            member_parts: 0,
        }
    }

    /// Tells whether nothing may be joined to it any more.
    pub fn is_closed(&self) -> bool {
        self.member_parts > 0
    }

    /// Returns where the delivery waits, if it does.
    pub fn place(&self, event: EventId) -> Option<Place> {
        match self.stage {
            Stage::First => Some(Place::First(event)),
            Stage::Again(due) => Some(Place::Again(due, event)),
            _ => None,
        }
    }

    /// Returns what people see of it, if it is not a part of another delivery.
    pub fn delivery(&self, id: DeliveryId) -> Delivery {
        let state = match self.stage {
            Stage::First => DeliveryState::Pending { due: id.event.time() },
            Stage::Joined(first) => DeliveryState::Pending { due: first.time() },
            Stage::Again(due) => DeliveryState::Pending { due },
            Stage::Delivered(at) => DeliveryState::Delivered { at },
            Stage::Dead(at, reason) => DeliveryState::Dead { at, reason },
        };
        let last = self.attempts.last().map(|stored| stored.attempt.outcome());
        Delivery { id, state, attempts: self.attempted, last, joined_to: None, members: self.members }
    }

    /// Returns the number of the first attempt that is kept, counted from 0.
    pub fn first_kept(&self) -> u32 {
        self.attempted - self.attempts.len() as u32
    }

    /// Adds an attempt. Its detail is written beside the record if it is too long, and the oldest attempt is dropped if
    /// there are too many.
    pub fn add(&mut self, attempt: Attempt) -> Beside {
        let mut beside = Beside::default();
        if self.attempts.len() >= ATTEMPTS_KEPT {
            beside.dropped = Some((self.first_kept(), self.attempts.remove(0).detail_parts));
        }
        let length = detail_length(&attempt);
        let present: usize = self
            .attempts
            .iter()
            .filter(|stored| stored.detail_parts == 0)
            .map(|stored| detail_length(&stored.attempt))
            .sum();
        let mut parts = Vec::new();
        if length > 0 && (length > LARGEST_DETAIL || present + length > LARGEST_DETAILS) {
            let mut encoder = Encoder::default();
            encode_detail(&attempt, &mut encoder);
            parts.extend(encoder.0.chunks(LARGEST_PIECE).map(<[u8]>::to_vec));
        }
        self.attempts.push(StoredAttempt { attempt, detail_parts: parts.len() as u16 });
        beside.added = (self.attempted, parts);
        self.attempted += 1;
        beside
    }

    /// Returns the bytes that stand for it in the store.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        encoder.u8(FORMAT);
        let (stage, at) = match self.stage {
            Stage::Again(due) => (0, due),
            Stage::Delivered(at) => (1, at),
            Stage::Dead(at, DeathReason::Exhausted) => (2, at),
            Stage::Dead(at, DeathReason::Gone) => (3, at),
            Stage::Dead(at, DeathReason::Unsendable) => (4, at),
            Stage::Dead(at, DeathReason::TooLarge) => (5, at),
            Stage::Dead(at, DeathReason::Refused) => (6, at),
            Stage::First => (FIRST, Timestamp::EPOCH),
            Stage::Joined(_) => (JOINED, Timestamp::EPOCH),
        };
        encoder.u8(stage);
        encoder.i64(at.as_millis());
        if let Stage::Joined(first) = self.stage {
            encoder.0.extend_from_slice(first.as_bytes());
        }
        encoder.i64(self.since.as_millis());
        encoder.u32(self.failures);
        encoder.u32(self.members);
        encoder.u16(self.member_parts);
        encoder.u32(self.attempted);
        encoder.u16(self.attempts.len() as u16);
        for stored in &self.attempts {
            encode_attempt(stored, &mut encoder);
        }
        encoder.0
    }

    /// Reads a record of this format or the one before.
    pub fn decode(key: &[u8], body: &[u8]) -> Result<Self, StoreError> {
        let read = match body {
            [FORMAT, rest @ ..] => Self::read(&mut Decoder(rest)),
            _ => keys::event_of(key).and_then(|event| Self::read_first_format(&mut Decoder(body), event)),
        };
        read.ok_or_else(|| damaged(key, "its fields cannot be read"))
    }

    fn read(decoder: &mut Decoder<'_>) -> Option<Self> {
        let stage = read_stage(decoder)?;
        let since = Timestamp::from_millis(decoder.i64()?);
        let failures = decoder.u32()?;
        let (members, member_parts) = (decoder.u32()?, decoder.u16()?);
        let attempted = decoder.u32()?;
        let count = decoder.u16()?;
        let attempts: Vec<_> = (0..count).map(|_| read_attempt(decoder)).collect::<Option<_>>()?;
        let is_sound = attempted as usize >= attempts.len();
        is_sound.then_some(Self { stage, since, failures, attempted, attempts, members, member_parts })
    }

    /// Reads what was written before deliveries could be joined.
    fn read_first_format(decoder: &mut Decoder<'_>, event: EventId) -> Option<Self> {
        let stage = read_stage(decoder).filter(|stage| !matches!(stage, Stage::First | Stage::Joined(_)))?;
        let failures = decoder.u32()?;
        let attempted = decoder.u32()?;
        let attempts = (0..attempted).map(|_| read_attempt_of_first_format(decoder)).collect::<Option<_>>()?;
        Some(Self { stage, failures, attempted, attempts, ..Self::first(event) })
    }
}

fn read_stage(decoder: &mut Decoder<'_>) -> Option<Stage> {
    let stage = decoder.u8()?;
    let at = Timestamp::from_millis(decoder.i64()?);
    Some(match stage {
        0 => Stage::Again(at),
        1 => Stage::Delivered(at),
        2 => Stage::Dead(at, DeathReason::Exhausted),
        3 => Stage::Dead(at, DeathReason::Gone),
        4 => Stage::Dead(at, DeathReason::Unsendable),
        5 => Stage::Dead(at, DeathReason::TooLarge),
        6 => Stage::Dead(at, DeathReason::Refused),
        FIRST => Stage::First,
        JOINED => Stage::Joined(EventId::from_bytes(decoder.chunk()?)),
        _ => return None,
    })
}

/// The bits that say which fields an attempt has.
const HAS_V4: u8 = 1;
const HAS_V6: u8 = 2;
const FIRST_PHASE: u8 = 4;

fn encode_attempt(StoredAttempt { attempt, detail_parts }: &StoredAttempt, encoder: &mut Encoder) {
    let Phases { dns, connect, tls, answer, body } = attempt.phases;
    let phases = [dns, connect, tls, answer, body];
    let mut present = match attempt.address {
        None => 0,
        Some(SocketAddr::V4(_)) => HAS_V4,
        Some(SocketAddr::V6(_)) => HAS_V6,
    };
    for (index, _) in phases.iter().enumerate().filter(|(_, phase)| phase.is_some()) {
        present |= FIRST_PHASE << index;
    }
    encoder.u8(present);
    match attempt.address.map(|address| (address.ip(), address.port())) {
        None => {}
        Some((IpAddr::V4(ip), port)) => {
            encoder.0.extend_from_slice(&ip.octets());
            encoder.u16(port);
        }
        Some((IpAddr::V6(ip), port)) => {
            encoder.0.extend_from_slice(&ip.octets());
            encoder.u16(port);
        }
    }
    for phase in phases.into_iter().flatten() {
        encoder.u32(u32::try_from(phase.as_micros()).unwrap_or(u32::MAX));
    }
    encode_exchange(attempt, *detail_parts, encoder);
}

fn read_attempt(decoder: &mut Decoder<'_>) -> Option<StoredAttempt> {
    let present = decoder.u8()?;
    let ip: Option<IpAddr> = match present & (HAS_V4 | HAS_V6) {
        HAS_V4 => Some(decoder.chunk::<4>()?.into()),
        HAS_V6 => Some(decoder.chunk::<16>()?.into()),
        _ => None,
    };
    let address = match ip {
        Some(ip) => Some(SocketAddr::new(ip, decoder.u16()?)),
        None => None,
    };
    let mut phases = [None; 5];
    for (index, phase) in phases.iter_mut().enumerate() {
        if present & FIRST_PHASE << index != 0 {
            *phase = Some(Duration::from_micros(decoder.u32()?.into()));
        }
    }
    let [dns, connect, tls, answer, body] = phases;
    let mut stored = read_attempt_of_first_format(decoder)?;
    stored.attempt.address = address;
    stored.attempt.phases = Phases { dns, connect, tls, answer, body };
    Some(stored)
}

fn encode_exchange(attempt: &Attempt, detail_parts: u16, encoder: &mut Encoder) {
    encoder.u32(attempt.number);
    encoder.i64(attempt.started_at.as_millis());
    encoder.u64(u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX));
    encoder.u16(attempt.status.unwrap_or(0));
    encoder.u8(attempt.failure.as_ref().map_or(0, |failure| class_number(failure.class)));
    encoder.u16(detail_parts);
    if detail_parts == 0 {
        encode_detail(attempt, encoder);
    }
}

fn read_attempt_of_first_format(decoder: &mut Decoder<'_>) -> Option<StoredAttempt> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::SubscriptionName;

    fn key(event: EventId) -> Vec<u8> {
        let subscription: SubscriptionName = "erp".parse().expect("a name");
        keys::delivery(&subscription, event)
    }

    fn attempt(number: u32) -> Attempt {
        let failure = AttemptFailure { class: FailureClass::Connect, message: "refused".into() };
        let begun = Attempt::begun(number, Timestamp::from_millis(5));
        Attempt { duration: Duration::from_millis(7), failure: Some(failure), answer: "é".into(), ..begun }
    }

    #[test]
    fn records_of_the_first_format_are_read() {
        let event = EventId::new(Timestamp::from_millis(1000));
        let mut encoder = Encoder::default();
        encoder.u8(3);
        encoder.i64(9);
        encoder.u32(2);
        encoder.u32(2);
        for number in 1..3 {
            encoder.u32(number);
            encoder.i64(5);
            encoder.u64(7);
            encoder.u16(0);
            encoder.u8(2);
            encoder.u16(0);
            encoder.text("é");
            encoder.text("refused");
        }
        let record = DeliveryRecord::decode(&key(event), &encoder.0).expect("a record");
        let stored = |number| StoredAttempt { attempt: attempt(number), detail_parts: 0 };
        let expected = DeliveryRecord {
            stage: Stage::Dead(Timestamp::from_millis(9), DeathReason::Gone),
            failures: 2,
            attempted: 2,
            attempts: vec![stored(1), stored(2)],
            ..DeliveryRecord::first(event)
        };
        assert_eq!(record, expected);
        assert_eq!(DeliveryRecord::decode(&key(event), &expected.encode()).expect("a record"), expected);
    }

    #[test]
    fn a_record_stays_small_however_often_its_delivery_is_attempted() {
        let event = EventId::new(Timestamp::from_millis(1000));
        let mut record = DeliveryRecord::first(event);
        for number in 0..200 {
            let address = Some("[2001:db8::1]:443".parse().expect("an address"));
            let some = Some(Duration::from_secs(1));
            let phases = Phases { dns: some, connect: some, tls: some, answer: some, body: some };
            let answer = "a".repeat(40 * (number as usize % 40));
            record.add(Attempt { address, phases, answer, ..attempt(number) });
            assert!(record.encode().len() <= LARGEST_PIECE, "{}", record.encode().len());
        }
        assert_eq!((record.attempted, record.attempts.len()), (200, ATTEMPTS_KEPT));
        let read = DeliveryRecord::decode(&key(event), &record.encode()).expect("a record");
        assert!(read.encode() == record.encode(), "what is written is what was read");
    }
}
