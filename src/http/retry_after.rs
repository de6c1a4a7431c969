//! How long an answer asks to be left alone.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::date::http_date;
use crate::model::time::Timestamp;

/// The longest that an answer is obeyed: asking for more means this.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the time before which an answer's `Retry-After` asks not to be called again: at `now` at the earliest,
/// [`LONGEST_RETRY_AFTER`] later at most. `None` if there is no such header or it makes no sense.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let at = match seconds(text) {
        Some(wait) => now + wait,
        None => http_date(text, now)?,
    };
    Some(at.clamp(now, now + LONGEST_RETRY_AFTER))
}

/// Parses a number of seconds, whole as it should be or with a fraction; not negative. A number too large to be one is a
/// very long time.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = text.parse::<f64>().ok().filter(|_| is_number)?;
    Some(Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(header: &str, expected: Option<&str>) {
        let now = Timestamp::parse("2026-11-20T12:00:00Z").expect("a time");
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(header).expect("a header value"))]);
        let expected = expected.map(|at| Timestamp::parse(at).expect("a time"));
        assert_eq!(retry_after(&headers, now), expected, "{header:?}");
    }

    #[test]
    fn seconds_count_from_now_and_are_bounded() {
        check("0", Some("2026-11-20T12:00:00Z"));
        check(" 90 ", Some("2026-11-20T12:01:30Z"));
        check("1.5", Some("2026-11-20T12:00:01.5Z"));
        check("86401", Some("2026-11-21T12:00:00Z"));
        check("99999999999999999999999999", Some("2026-11-21T12:00:00Z"));
    }

    #[test]
    fn all_three_forms_of_a_date_are_read() {
        check("Fri, 20 Nov 2026 12:10:00 GMT", Some("2026-11-20T12:10:00Z"));
        check("Friday, 20-Nov-26 12:10:00 GMT", Some("2026-11-20T12:10:00Z"));
        check("Fri Nov 20 12:10:00 2026", Some("2026-11-20T12:10:00Z"));
        check("Sun Nov  1 12:10:00 2026", Some("2026-11-20T12:00:00Z"));
    }

    #[test]
    fn dates_are_bounded_on_both_sides() {
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some("2026-11-20T12:00:00Z"));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some("2026-11-20T12:00:00Z"));
        check("Wed, 20 Nov 2030 12:10:00 GMT", Some("2026-11-21T12:00:00Z"));
    }

    #[test]
    fn what_makes_no_sense_is_ignored() {
        for header in [
            "",
            "-5",
            "1e3",
            "1.5.5",
            ".5",
            "soon",
            "1h",
            "Fri, 32 Nov 2026 12:10:00 GMT",
            "Fri, 20 Nov 2026",
            ", ",
            "-",
        ] {
            check(header, None);
        }
    }

    #[test]
    fn no_header_asks_for_nothing() {
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::EPOCH), None);
    }
}
