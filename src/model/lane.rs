//! How a subscription's deliveries are spaced, ordered and held back.

use std::time::Duration;

use super::limits::Rate;

/// What a subscription's lane keeps to.
#[derive(Debug, Clone, PartialEq)]
pub struct LanePolicy {
    /// The most attempts under way at once; at least 1.
    pub concurrency: usize,
    /// How many attempts are made in the long run: in any span of time no more than the rate gives for it, and `burst`.
    pub rate: Option<Rate>,
    /// How many attempts may follow each other at once after a quiet time; `None` means the rate's count.
    pub burst: Option<u32>,
    pub order: Order,
    pub when_blocked: WhenBlocked,
    /// `None` if the lane goes on sending whatever the answers are.
    pub breaker: Option<BreakerPolicy>,
    /// After how long of failing, without a single acknowledged attempt, the subscription is disabled; `None` means never.
    pub disable_after: Option<Duration>,
}

/// Which deliveries wait for which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// None for any other.
    #[default]
    None,
    /// Those of an item for each other: changes of one item arrive in the order in which they were detected. An item is
    /// told from others by its connector, element and key.
    Item,
    /// All, strictly one after the other.
    All,
}

/// What becomes of the deliveries behind one that is never acknowledged, in a lane that has an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenBlocked {
    /// When its attempts are used up it becomes a dead letter, and the next one goes on.
    #[default]
    Skip,
    /// It is attempted again and again, at the last wait of its schedule, and the others wait for it.
    Wait,
}

/// When a lane stops sending to a receiver that fails, and how it finds out that it works again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// The share of failed attempts at which the lane stops, in percent, 1 to 100.
    pub failure_percent: u8,
    /// How many of the last attempts are looked at; at least 1. With fewer, the lane does not stop.
    pub attempts: u32,
    /// How long it stops the first time, before a single attempt is made to see whether the receiver works again. Each
    /// further time in a row it is twice as long.
    pub rest: Duration,
    /// How long it stops at most.
    pub longest_rest: Duration,
}

impl LanePolicy {
    /// Tells whether deliveries are attempted for ever, because others wait for them.
    pub fn never_gives_up(&self) -> bool {
        self.order != Order::None && self.when_blocked == WhenBlocked::Wait
    }
}

impl Default for LanePolicy {
    fn default() -> Self {
        Self {
            concurrency: 8,
            rate: None,
            burst: None,
            order: Order::None,
            when_blocked: WhenBlocked::Skip,
            breaker: Some(BreakerPolicy::default()),
            disable_after: Some(Duration::from_secs(5 * 24 * 60 * 60)),
        }
    }
}

impl Default for BreakerPolicy {
    /// All of the last ten attempts failed; rests from 10 seconds to 5 minutes.
    fn default() -> Self {
        Self {
            failure_percent: 100,
            attempts: 10,
            rest: Duration::from_secs(10),
            longest_rest: Duration::from_secs(5 * 60),
        }
    }
}
