//! When a connector is polled.

mod adaptive;
mod cron;
mod due;

use std::fmt;
use std::time::Duration;

use super::quantity::format_duration;
use super::time::Timestamp;

pub use adaptive::{Adaptive, Signs};
pub use cron::{Cron, CronError};
pub use due::{Due, Past};

/// When a connector is polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// This long after the last poll began.
    Every(Duration),
    /// As often as the source changes, within bounds.
    Adaptive(Adaptive),
    /// At the times of a Unix cron expression in a time zone.
    Cron(Cron),
}

impl Schedule {
    /// Returns the next time to poll if the last poll began at `last`. Times that passed meanwhile are skipped, never made
    /// up for in a burst.
    ///
    /// With [`Schedule::Every`] a connector that was never polled, or whose next poll should have begun already, is due at
    /// once: the time returned is `now`. [`Schedule::Adaptive`] counts as its shortest interval. With [`Schedule::Cron`] it is the first time of the expression after `now`.
    ///
    /// `None` means never: the expression names no date before the year 2100.
    pub fn next(&self, last: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(interval) | Self::Adaptive(Adaptive { min: interval, .. }) => {
                Some(last.map_or(now, |last| (last + *interval).max(now)))
            }
            Self::Cron(cron) => cron.next(now),
        }
    }
}

/// Writes `every 30s`, `every 30s to 1h` or `*/5 * * * * in Europe/Rome`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(interval) => write!(f, "every {}", format_duration(*interval)),
            Self::Adaptive(Adaptive { min, max }) => {
                write!(f, "every {} to {}", format_duration(*min), format_duration(*max))
            }
            Self::Cron(cron) => cron.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
