//! When a failed delivery is attempted again.

use std::str::FromStr;
use std::time::Duration;

/// The waits between the attempts of a delivery, one attempt more than there are waits in all, and what ends them early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    waits: Vec<Duration>,
    /// No attempt is put off until later than this after the delivery was queued or last replayed; `None` means that
    /// only the waits count.
    pub give_up_after: Option<Duration>,
    /// Statuses that make a delivery a dead letter at once, because asking again cannot change the answer.
    pub give_up_on: Vec<StatusRange>,
}

/// Some HTTP statuses that are no acknowledgement: a single one, or all of a class that say something lasting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

/// Why a text or a number stands for no statuses that could be given up on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a status that can be given up on: write a number from 300 to 599, or \"3xx\", \"4xx\" or \"5xx\"")]
pub struct StatusRangeError;

impl StatusRange {
    /// Returns a single status, 300 to 599.
    pub fn single(status: u64) -> Result<Self, StatusRangeError> {
        let status = u16::try_from(status).ok().filter(|status| (300..600).contains(status)).ok_or(StatusRangeError)?;
        Ok(Self { first: status, last: status })
    }

    /// Tells whether a status is meant. A whole class does not mean 408, 425 and 429, which ask to be asked again.
    pub fn contains(self, status: u16) -> bool {
        let asks_again = matches!(status, 408 | 425 | 429) && self.first != self.last;
        (self.first..=self.last).contains(&status) && !asks_again
    }
}

/// Reads `"422"` or `"4xx"`.
impl FromStr for StatusRange {
    type Err = StatusRangeError;

    fn from_str(text: &str) -> Result<Self, StatusRangeError> {
        let first = match text {
            "3xx" => 300,
            "4xx" => 400,
            "5xx" => 500,
            _ => return text.parse().map_err(|_| StatusRangeError).and_then(Self::single),
        };
        Ok(Self { first, last: first + 99 })
    }
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
        self.waits.get(index).map(|wait| lengthened(*wait, jitter))
    }

    /// Returns the last wait, which is repeated for ever where nothing is given up; `None` if there are no waits.
    pub fn last_wait(&self, jitter: f64) -> Option<Duration> {
        self.waits.last().map(|wait| lengthened(*wait, jitter))
    }

    /// Tells whether this answer makes a delivery a dead letter at once.
    pub fn gives_up_on(&self, status: u16) -> bool {
        self.give_up_on.iter().any(|range| range.contains(status))
    }

    /// Returns the waits as configured.
    pub fn waits(&self) -> &[Duration] {
        &self.waits
    }
}

fn lengthened(wait: Duration, jitter: f64) -> Duration {
    wait.mul_f64(1.0 + JITTER * jitter.clamp(0.0, 1.0))
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

    #[track_caller]
    fn check(written: &str, given_up: &[u16], repeated: &[u16]) {
        let range = written.parse().expect("statuses");
        let policy = RetryPolicy { give_up_on: vec![range], ..RetryPolicy::default() };
        for status in given_up {
            assert!(policy.gives_up_on(*status), "{status}");
        }
        for status in repeated {
            assert!(!policy.gives_up_on(*status), "{status}");
        }
    }

    #[test]
    fn a_class_leaves_out_what_asks_to_be_asked_again() {
        check("4xx", &[400, 404, 422, 499], &[399, 408, 425, 429, 500]);
        check("429", &[429], &[408, 428, 430]);
        check("5xx", &[500, 503, 599], &[499]);
        for text in ["2xx", "200", "600", "6xx", "4XX", "x", ""] {
            assert_eq!(text.parse::<StatusRange>(), Err(StatusRangeError), "{text}");
        }
    }
}
