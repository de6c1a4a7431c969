//! How often, and how many at once.

use std::fmt;
use std::time::Duration;

/// So many in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub count: u32,
    /// Not zero.
    pub per: Duration,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.count, super::quantity::format_duration(self.per))
    }
}

/// What all connectors share that poll a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostLimits {
    pub rate: Option<Rate>,
    /// The most requests at once; at least 1.
    pub concurrency: Option<usize>,
}
