//! When a failed delivery is attempted again.

use std::time::Duration;

/// The waits between the attempts of a delivery, one attempt more than there are waits in all, and what ends them early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    waits: Vec<Duration>,
    /// No attempt begins later than this after the delivery was queued; `None` means that only the waits count.
    pub give_up_after: Option<Duration>,
    /// Statuses that make a delivery a dead letter at once, because asking again cannot change the answer.
    pub give_up_on: Vec<StatusRange>,
}

/// Some HTTP statuses: a single one, or all of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    pub first: u16,
    pub last: u16,
}

/// How much a wait is lengthened at random, at most: a tenth of it.
const JITTER: f64 = 0.1;

impl RetryPolicy {
    /// Returns the policy with these waits. An empty list means a single attempt.
    pub fn new(waits: Vec<Duration>) -> Self {
        Self { waits, give_up_after: None, give_up_on: Vec::new() }
    }

    /// Returns how long to wait after this many attempts have failed, or `None` if that was the last one.
    ///
    /// `jitter` from 0 to 1 lengthens the wait by up to a tenth; it never shortens it.
    pub fn wait_after(&self, failed_attempts: u32, jitter: f64) -> Option<Duration> {
        let index = usize::try_from(failed_attempts.checked_sub(1)?).ok()?;
        self.waits.get(index).map(|wait| wait.mul_f64(1.0 + JITTER * jitter.clamp(0.0, 1.0)))
    }

    /// Returns the waits as configured.
    pub fn waits(&self) -> &[Duration] {
        &self.waits
    }
}

impl Default for RetryPolicy {
    /// Ten attempts over about three days.
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let seconds = [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
        Self::new(seconds.map(Duration::from_secs).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_follow_the_schedule_and_jitter_only_lengthens() {
        let policy = RetryPolicy::new(vec![Duration::from_secs(10), Duration::from_secs(60)]);
        assert_eq!(policy.wait_after(1, 0.0), Some(Duration::from_secs(10)));
        assert_eq!(policy.wait_after(1, 1.0), Some(Duration::from_secs(11)));
        assert_eq!(policy.wait_after(2, -5.0), Some(Duration::from_secs(60)));
        assert_eq!(policy.wait_after(3, 0.5), None);
        assert_eq!(RetryPolicy::new(Vec::new()).wait_after(1, 0.0), None);
    }
}
