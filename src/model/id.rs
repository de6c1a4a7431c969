//! Names that people choose and ids that pollhook gives.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::time::Timestamp;

/// The longest name of a connector or subscription, in bytes.
pub const LONGEST_NAME: usize = 64;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a name is empty")]
    Empty,
    #[error("a name has at most {LONGEST_NAME} characters")]
    TooLong,
    #[error("a name begins with a letter or digit and has only a-z, 0-9, `-` and `_`; found {0:?}")]
    Character(char),
    #[error("the name `pollhook` is kept for the service's own events")]
    Reserved,
    #[error(
        "behind the `/` of an element's name stand 1 to {most} of letters, digits, `.`, `_`, `-` and `,`",
        most = ConnectorName::LONGEST_LABEL
    )]
    Label,
}

fn checked_name(text: &str) -> Result<Arc<str>, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > LONGEST_NAME {
        return Err(NameError::TooLong);
    }
    let allowed = |(index, c): (usize, char)| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || (index > 0 && matches!(c, '-' | '_'))
    };
    match text.chars().enumerate().find(|&at| !allowed(at)) {
        Some((_, c)) => Err(NameError::Character(c)),
        None => Ok(text.into()),
    }
}

macro_rules! name_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name_newtype! {
    /// The name of a connector: as it is configured, or with `/` and a label for one element of its `each`. The service's
    /// own events come from [`ConnectorName::service`].
    ConnectorName
}

name_newtype! {
    /// The name of a subscription.
    SubscriptionName
}

impl ConnectorName {
    /// Returns the source of the service's own events, `pollhook`: a name that no connector can have.
    pub fn service() -> Self {
        Self("pollhook".into())
    }

    /// Tells whether this is the source of the service's own events.
    pub fn is_service(&self) -> bool {
        &*self.0 == "pollhook"
    }

    /// Parses the name of a connector that somebody configures, which cannot be `pollhook`.
    pub fn configured(text: &str) -> Result<Self, NameError> {
        let name = checked_name(text).map(Self)?;
        if name.is_service() { Err(NameError::Reserved) } else { Ok(name) }
    }

    /// The longest label of an element, in bytes.
    pub const LONGEST_LABEL: usize = 64;

    /// Returns the name of an element of this connector's `each`.
    pub fn element(&self, label: &str) -> Result<Self, NameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ',');
        if label.is_empty() || label.len() > Self::LONGEST_LABEL || !label.chars().all(allowed) {
            return Err(NameError::Label);
        }
        Ok(Self(format!("{self}/{label}").into()))
    }
}

impl FromStr for ConnectorName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            None => checked_name(text).map(Self),
            Some((connector, label)) => checked_name(connector).map(Self)?.element(label),
        }
    }
}

impl FromStr for SubscriptionName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        checked_name(text).map(Self)
    }
}

/// Why a text is no event or delivery id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("an event id is `evt_` and 32 hexadecimal digits")]
    Event,
    #[error("a delivery id is an event id, a dot and the subscription's name")]
    Delivery,
}

/// The id of an event: a UUID of version 7 (RFC 9562), so that ids ascend with time. Written `evt_…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(Uuid);

impl EventId {
    /// The greatest id there can be.
    pub const LAST: Self = Self(Uuid::max());

    /// Returns a new id of the given time. Of ids made by this process for times that do not go back, a later one is
    /// greater, also within a millisecond.
    pub fn new(at: Timestamp) -> Self {
        static LAST: Mutex<(u64, u128)> = Mutex::new((0, 0));
        let millis = at.as_millis().max(0).unsigned_abs();
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        // The lower 74 bits of a version 7 UUID are free. They begin below half, so that counting up has room.
        let free = if last.0 == millis { last.1 + u128::from(fastrand::u32(1..)) } else { fastrand::u128(..1 << 73) };
        *last = (millis, free);
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&u16::to_be_bytes((free >> 62 & 0xfff) as u16));
        bytes[2..].copy_from_slice(&u64::to_be_bytes((free & ((1 << 62) - 1)) as u64));
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }

    /// Returns the 16 bytes of the id, which sort as the ids do.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Returns the id with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Returns the smallest id that is greater; the last one returns itself.
    pub fn next(self) -> Self {
        Self(Uuid::from_u128(self.0.as_u128().saturating_add(1)))
    }

    /// Returns the time that the id was made for.
    pub fn time(&self) -> Timestamp {
        let millis = self.0.as_u128() >> 80;
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    /// Returns the smallest id of the given time: where a range of ids by time begins.
    pub fn first_of(at: Timestamp) -> Self {
        let millis = u128::from(at.as_millis().max(0).unsigned_abs());
        Self(Uuid::from_u128(millis << 80))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{}", self.0.simple())
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let digits = text.strip_prefix("evt_").filter(|digits| digits.len() == 32).ok_or(IdError::Event)?;
        Uuid::try_parse(digits).map(Self).map_err(|_| IdError::Event)
    }
}

impl TryFrom<String> for EventId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> String {
        id.to_string()
    }
}

/// The id of a delivery: which event goes to which subscription. There is one delivery for such a pair, however
/// often it is attempted or replayed. Written `evt_….subscription`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeliveryId {
    pub event: EventId,
    pub subscription: SubscriptionName,
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.event, self.subscription)
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DeliveryId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (event, subscription) = text.split_once('.').ok_or(IdError::Delivery)?;
        Ok(Self { event: event.parse()?, subscription: subscription.parse().map_err(|_| IdError::Delivery)? })
    }
}

impl TryFrom<String> for DeliveryId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<DeliveryId> for String {
    fn from(id: DeliveryId) -> String {
        id.to_string()
    }
}

/// The fencing token of a lease: a new random number each time that something is leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken(u128);

impl LeaseToken {
    /// Returns a new random token.
    pub fn new() -> Self {
        Self(fastrand::u128(..))
    }
}

impl Default for LeaseToken {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_ascend_within_a_millisecond_and_survive_text_and_bytes() {
        let at = Timestamp::from_millis(1_795_000_000_123);
        let ids: Vec<EventId> = (0..1000).map(|_| EventId::new(at)).collect();
        assert!(ids.is_sorted() && ids[0] >= EventId::first_of(at));
        assert!(ids[999] < EventId::first_of(Timestamp::from_millis(at.as_millis() + 1000)));
        assert_eq!(ids[7].to_string().parse(), Ok(ids[7]));
        assert_eq!(EventId::from_bytes(*ids[7].as_bytes()), ids[7]);
        assert_eq!(ids[7].time(), at);
    }

    #[test]
    fn a_delivery_id_names_its_event_and_subscription() {
        let id = DeliveryId {
            event: EventId::new(Timestamp::from_millis(0)),
            subscription: "erp-1".parse().expect("a name"),
        };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("evt_1.erp".parse::<DeliveryId>(), Err(IdError::Event));
    }

    #[test]
    fn names_are_short_lower_case_and_plain() {
        assert_eq!("Orders".parse::<ConnectorName>(), Err(NameError::Character('O')));
        assert_eq!("-a".parse::<ConnectorName>(), Err(NameError::Character('-')));
        assert_eq!("".parse::<ConnectorName>(), Err(NameError::Empty));
        assert_eq!("a".repeat(65).parse::<ConnectorName>(), Err(NameError::TooLong));
        assert_eq!(ConnectorName::configured("pollhook"), Err(NameError::Reserved));
        assert_eq!(ConnectorName::configured("a/b"), Err(NameError::Character('/')));
    }

    #[test]
    fn an_element_is_named_after_its_connector() {
        let name: ConnectorName = "repos".parse().expect("a name");
        let element = name.element("rust-lang,Rust.1").expect("a name");
        assert_eq!(element.to_string(), "repos/rust-lang,Rust.1");
        assert_eq!(element.to_string().parse(), Ok(element));
        for wrong in ["repos/", "repos/a b", "repos/a/b", "repos/ä"] {
            assert_eq!(wrong.parse::<ConnectorName>(), Err(NameError::Label), "{wrong}");
        }
        assert_eq!("Repos/a".parse::<ConnectorName>(), Err(NameError::Character('R')));
    }
}
