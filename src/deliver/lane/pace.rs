//! How attempts of a lane with a rate are spaced.

use std::time::Duration;

use crate::model::limits::Rate;

/// A bucket of tokens: an attempt takes one, `burst` of them fit in, and the rate fills it again.
///
/// In any span of time, no more attempts are made than `burst` and what the rate gives for the span.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long it takes to earn an attempt.
    interval: Duration,
    /// How far ahead of what was earned attempts may be.
    advance: Duration,
    /// When all attempts that were made will have been earned; times are those of [`crate::clock::Clock::monotonic`].
    earned_at: Duration,
}

impl Pace {
    /// Returns a full bucket.
    pub fn new(rate: Rate, burst: Option<u32>) -> Self {
        let nanos = rate.per.as_nanos().div_ceil(u128::from(rate.count.max(1)));
        let interval = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let burst = burst.unwrap_or(rate.count).max(1);
        Self { interval, advance: interval.saturating_mul(burst - 1), earned_at: Duration::ZERO }
    }

    /// Returns how long to wait before the next attempt.
    pub fn wait(&self, now: Duration) -> Duration {
        self.earned_at.saturating_sub(self.advance).saturating_sub(now)
    }

    /// Takes an attempt that is made now into account.
    pub fn take(&mut self, now: Duration) {
        self.earned_at = self.earned_at.max(now).saturating_add(self.interval);
    }

    /// Returns how many attempts may be made until so long from now.
    pub fn most_within(&self, now: Duration, span: Duration) -> usize {
        let Some(spare) = (now + span + self.advance).checked_sub(self.earned_at.max(now)) else { return 0 };
        usize::try_from(spare.as_nanos() / self.interval.as_nanos().max(1)).unwrap_or(usize::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pace(rate: &str, burst: Option<u32>) -> Pace {
        Pace::new(rate.parse().expect("a rate"), burst)
    }

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Makes all attempts that may be made now and returns how many that were.
    fn all_now(pace: &mut Pace, now: Duration) -> usize {
        let mut count = 0;
        while pace.wait(now).is_zero() {
            pace.take(now);
            count += 1;
        }
        count
    }

    #[test]
    fn after_a_quiet_time_a_burst_follows_at_once_and_then_the_rate_is_kept() {
        let mut pace = pace("10/s", Some(3));
        assert_eq!(all_now(&mut pace, millis(5000)), 3);
        assert_eq!(pace.wait(millis(5000)), millis(100));
        assert_eq!(all_now(&mut pace, millis(5099)), 0);
        assert_eq!(all_now(&mut pace, millis(5100)), 1);
        assert_eq!(all_now(&mut pace, millis(5300)), 2);
        assert_eq!(all_now(&mut pace, millis(60_000)), 3);
    }

    #[test]
    fn without_a_burst_it_is_the_count_of_the_rate() {
        assert_eq!(all_now(&mut pace("50/s", None), millis(0)), 50);
        assert_eq!(all_now(&mut pace("1/h", None), millis(0)), 1);
    }

    #[test]
    fn it_can_be_told_how_many_may_follow_soon() {
        let mut pace = pace("2/s", Some(5));
        assert_eq!(pace.most_within(millis(0), millis(0)), 5);
        assert_eq!(pace.most_within(millis(0), millis(1000)), 7);
        all_now(&mut pace, millis(0));
        assert_eq!(pace.most_within(millis(0), millis(0)), 0);
        assert_eq!(pace.most_within(millis(0), millis(499)), 0);
        assert_eq!(pace.most_within(millis(0), millis(500)), 1);
    }

    proptest! {
        /// However attempts come, no span of time has more of them than the burst and what the rate gives for it, and
        /// none waits that need not.
        #[test]
        fn a_rate_is_kept_in_every_span(
            gaps in proptest::collection::vec(0_u64..700, 1..80),
            count in 1_u32..9,
            burst in 1_u32..9,
        ) {
            let mut pace = Pace::new(Rate { count, per: Duration::from_secs(1) }, Some(burst));
            let (mut now, mut made): (Duration, Vec<Duration>) = (Duration::ZERO, Vec::new());
            for gap in gaps {
                now += millis(gap);
                let promised = pace.most_within(now, Duration::ZERO);
                let wait = pace.wait(now);
                prop_assert_eq!(promised > 0, wait.is_zero());
                now += wait;
                pace.take(now);
                made.push(now);
                for (index, begun) in made.iter().enumerate() {
                    let earned = now.saturating_sub(*begun).as_secs_f64() * f64::from(count);
                    let in_span = (made.len() - index) as f64;
                    prop_assert!(in_span <= f64::from(burst) + earned + 1e-6, "{in_span} since {begun:?}");
                }
                if !wait.is_zero() {
                    // It waited only because one more would have been too many for some span.
                    let earlier = now.saturating_sub(millis(2));
                    let is_too_many = |(index, begun): (usize, &Duration)| {
                        let earned = earlier.saturating_sub(*begun).as_secs_f64() * f64::from(count);
                        (made.len() - index) as f64 > f64::from(burst) + earned
                    };
                    prop_assert!(wait < millis(2) || made.iter().enumerate().any(is_too_many));
                }
            }
        }
    }
}
