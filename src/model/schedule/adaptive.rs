//! How an adaptive schedule finds its interval.

use std::time::Duration;

/// The bounds of an interval that adapts to how often a source changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adaptive {
    /// Not zero.
    pub min: Duration,
    /// At least `min`.
    pub max: Duration,
}

/// What a poll tells of how often its source changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signs {
    /// How many changes it found.
    pub changes: usize,
    /// For how much longer the answer says that it stands (`Cache-Control`, `Expires`), or how long the document asks to be
    /// kept (a feed's `ttl`): the longest of these.
    pub fresh_for: Option<Duration>,
}

/// What the interval is multiplied by when nothing changed.
const GROWTH: f64 = 1.25;

/// From so many changes on, more do not shrink the interval further.
const MOST_COUNTED: usize = 3;

impl Adaptive {
    /// Returns the interval that follows one of this length, within the bounds; `None` begins with the shortest.
    ///
    /// One change halves it, several quarter it; without a change it grows by a quarter. So the interval comes to rest where
    /// about one poll in four finds a change. It is never shorter than the source says that its answer stands, unless
    /// `max` is.
    pub fn next(&self, previous: Option<Duration>, signs: Signs) -> Duration {
        let previous = previous.unwrap_or(self.min).clamp(self.min, self.max);
        let adapted = match signs.changes.min(MOST_COUNTED) {
            // A millisecond more, so that the shortest of intervals grows too.
            0 => previous.mul_f64(GROWTH) + Duration::from_millis(1),
            changes => previous.div_f64(1.0 + changes as f64),
        };
        // Kept in whole milliseconds, as it is remembered.
        let adapted = Duration::from_millis(u64::try_from(adapted.as_millis()).unwrap_or(u64::MAX));
        adapted.max(signs.fresh_for.unwrap_or_default()).clamp(self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn changes_shrink_the_interval_and_quiet_lets_it_grow() {
        let adaptive = Adaptive { min: Duration::from_secs(30), max: 60 * MINUTE };
        let check = |previous: Option<Duration>, changes, fresh_for, expected: Duration| {
            let next = adaptive.next(previous, Signs { changes, fresh_for });
            assert_eq!(next.as_secs(), expected.as_secs(), "{previous:?}, {changes} changes, {fresh_for:?}");
        };
        check(None, 0, None, Duration::from_secs(37));
        check(None, 9, None, adaptive.min);
        check(Some(8 * MINUTE), 0, None, 10 * MINUTE);
        check(Some(8 * MINUTE), 1, None, 4 * MINUTE);
        check(Some(8 * MINUTE), 1000, None, 2 * MINUTE);
        check(Some(8 * MINUTE), 1000, Some(5 * MINUTE), 5 * MINUTE);
        check(Some(8 * MINUTE), 0, Some(Duration::MAX), adaptive.max);
        check(Some(Duration::MAX), 0, None, adaptive.max);
        check(Some(Duration::ZERO), 1, None, adaptive.min);
    }

    /// Polls a source that changes this often, in milliseconds, for 2,000 polls, and returns the mean interval of the last
    /// 1,000, in milliseconds too.
    fn settled_interval(adaptive: Adaptive, between_changes: usize) -> usize {
        let (mut now, mut interval, mut sum) = (0, adaptive.min, 0);
        for poll in 0..2000 {
            let length = usize::try_from(interval.as_millis()).expect("it is bounded");
            let before = now;
            now += length;
            sum += if poll < 1000 { 0 } else { length };
            let changes = now / between_changes - before / between_changes;
            interval = adaptive.next(Some(interval), Signs { changes, fresh_for: None });
        }
        sum / 1000
    }

    proptest! {
        #[test]
        fn the_interval_stays_within_its_bounds(
            min in 1_u64..10_000_000, extra in 0_u64..10_000_000_000, previous in any::<Option<u64>>(),
            changes in any::<usize>(), fresh_for in any::<Option<u64>>(),
        ) {
            let adaptive = Adaptive { min: Duration::from_millis(min), max: Duration::from_millis(min + extra) };
            let signs = Signs { changes, fresh_for: fresh_for.map(Duration::from_millis) };
            let next = adaptive.next(previous.map(Duration::from_millis), signs);
            prop_assert!(adaptive.min <= next && next <= adaptive.max, "{next:?}");
        }

        #[test]
        fn it_comes_to_a_part_of_the_time_between_changes(between_changes in 300_000_usize..20_000_000) {
            let adaptive = Adaptive { min: Duration::from_secs(10), max: Duration::from_secs(86_400) };
            let mean = settled_interval(adaptive, between_changes);
            prop_assert!((between_changes / 10..between_changes).contains(&mean), "{mean} for {between_changes}");
        }

        #[test]
        fn it_goes_to_its_bounds_for_sources_that_change_always_or_never(min in 1_u64..1000, factor in 1_u64..1000) {
            let adaptive = Adaptive { min: Duration::from_secs(min), max: Duration::from_secs(min * factor) };
            let settle = |start: Duration, changes| {
                (0..40).fold(start, |interval, _| adaptive.next(Some(interval), Signs { changes, fresh_for: None }))
            };
            prop_assert_eq!(settle(adaptive.max, 1), adaptive.min);
            prop_assert_eq!(settle(adaptive.min, 0), adaptive.max);
        }
    }
}
