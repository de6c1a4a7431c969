//! When a connector is polled.

use std::time::Duration;

use chrono_tz::Tz;

use super::time::Timestamp;

/// When a connector is polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// This long after the last poll began.
    Every(Duration),
    /// At the times of a Unix cron expression in a time zone.
    Cron(Cron),
}

/// A Unix cron expression in a time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    source: Box<str>,
    zone: Tz,
}

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CronError {
    pub message: String,
}

impl Cron {
    /// Parses five fields, six with seconds first, or a name such as `@hourly`.
    pub fn parse(source: &str, zone: Tz) -> Result<Self, CronError> {
        Ok(Self { source: source.into(), zone })
    }
}

impl Schedule {
    /// Returns the next time to poll, after `now`, if the last poll began at `last`. A connector that was never
    /// polled and runs every so often is due at once. Times that passed meanwhile are skipped.
    ///
    /// `None` means never: the expression names a date that does not exist.
    pub fn next(&self, _last: Option<Timestamp>, _now: Timestamp) -> Option<Timestamp> {
        unimplemented!()
    }
}
