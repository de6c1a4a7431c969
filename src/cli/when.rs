//! Points in time, as the command line takes them.

use std::str::FromStr;
use std::time::Duration;

use crate::model::id::ConnectorName;
use crate::model::quantity::parse_duration;
use crate::model::time::Timestamp;

/// A point in time: in RFC 3339 form, or so long before now (`-24h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    At(Timestamp),
    Ago(Duration),
}

/// Why a text is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a time such as 2026-11-20T12:00:00Z, or how long before now, such as -24h or -7d")]
pub struct WhenError;

impl When {
    /// Returns the point in time, seen from now.
    pub fn seen_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now - ago,
        }
    }
}

impl FromStr for When {
    type Err = WhenError;

    fn from_str(text: &str) -> Result<Self, WhenError> {
        match text.strip_prefix('-') {
            Some(ago) => parse_duration(ago).map(Self::Ago).map_err(|_| WhenError),
            None => Timestamp::parse(text).map(Self::At).map_err(|_| WhenError),
        }
    }
}

/// What is asked for of events, as the command line takes it.
#[derive(Debug, Default, clap::Args)]
pub struct EventOptions {
    /// Only of this connector
    #[arg(long, value_name = "NAME")]
    pub connector: Option<ConnectorName>,
    /// Only of this type, whole or without its connector: orders.created, created
    #[arg(long = "type", value_name = "TYPE")]
    pub event_type: Option<String>,
    /// Only detected then or later: 2026-11-20T12:00:00Z, or so long ago: -24h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<When>,
    /// Only detected before: 2026-11-20T12:00:00Z, or so long ago: -24h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<When>,
}

impl EventOptions {
    /// Tells whether anything is asked for.
    pub fn is_given(&self) -> bool {
        self.connector.is_some() || self.event_type.is_some() || self.from.is_some() || self.until.is_some()
    }

    /// Returns what is asked for as parameters of a query.
    pub fn query(&self, now: Timestamp) -> [(&'static str, Option<String>); 4] {
        let time = |when: Option<When>| when.map(|when| when.seen_from(now).to_string());
        [
            ("connector", self.connector.as_ref().map(ToString::to_string)),
            ("type", self.event_type.clone()),
            ("from", time(self.from)),
            ("until", time(self.until)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_or_as_seen_from_now() {
        let check = |text: &str, expected: Option<&str>| {
            let now = Timestamp::parse("2026-11-20T12:00:00Z").expect("a time");
            let read = text.parse::<When>().ok().map(|when| when.seen_from(now).to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check("-24h", Some("2026-11-19T12:00:00.000Z"));
        check("-1d12h", Some("2026-11-19T00:00:00.000Z"));
        check("2026-11-20T13:00:00+01:00", Some("2026-11-20T12:00:00.000Z"));
        check("24h", None);
        check("yesterday", None);
        check("-", None);
    }
}
