//! How long an answer asks to be left alone.

use std::time::Duration;

use chrono::NaiveDateTime;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::model::time::Timestamp;

/// The longest that an answer is obeyed: asking for more means this.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the time before which an answer's `Retry-After` asks not to be called again: at `now` at the earliest,
/// [`LONGEST_RETRY_AFTER`] later at most. `None` if there is no such header or it makes no sense.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let at = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only a number too large for the type fails here, and that one is bounded anyway.
        now + text.parse().map_or(LONGEST_RETRY_AFTER, Duration::from_secs)
    } else {
        http_date(text, now)?
    };
    Some(at.clamp(now, now + LONGEST_RETRY_AFTER))
}

/// Parses the three forms of RFC 9110: IMF-fixdate, RFC 850 and asctime. The day of the week says nothing that the
/// date does not, so it is not looked at.
fn http_date(text: &str, now: Timestamp) -> Option<Timestamp> {
    let at = if let Some((_, date)) = text.split_once(", ") {
        let date = date.strip_suffix("GMT").or_else(|| date.strip_suffix("UTC"))?.trim_end();
        parse(date, "%d %b %Y %H:%M:%S").or_else(|| parse(&with_century(date, now)?, "%d-%b-%Y %H:%M:%S"))?
    } else {
        parse(text.split_once(' ')?.1, "%b %e %H:%M:%S %Y")?
    };
    Some(Timestamp::from(at.and_utc()))
}

fn parse(text: &str, format: &str) -> Option<NaiveDateTime> {
    NaiveDateTime::parse_from_str(text, format).ok()
}

/// Writes out the year of an RFC 850 date, which has two digits: it lies no more than 50 years ahead.
fn with_century(date: &str, now: Timestamp) -> Option<String> {
    let (day_and_month, year_and_time) = date.rsplit_once('-')?;
    let (year, time) = year_and_time.split_once(' ')?;
    if year.len() != 2 {
        return None;
    }
    let this_year: u32 = now.to_utc().format("%Y").to_string().parse().ok()?;
    let year = this_year - this_year % 100 + year.parse::<u32>().ok()?;
    let year = if year > this_year + 50 { year - 100 } else { year };
    Some(format!("{day_and_month}-{year} {time}"))
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
        for header in ["", "-5", "1.5", "soon", "1h", "Fri, 32 Nov 2026 12:10:00 GMT", "Fri, 20 Nov 2026", ", ", "-"] {
            check(header, None);
        }
    }

    #[test]
    fn no_header_asks_for_nothing() {
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::EPOCH), None);
    }
}
