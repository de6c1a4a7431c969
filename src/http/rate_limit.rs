//! Until when an answer asks to be left alone, in all the notations that are in use.
//!
//! Understood are `Retry-After`, the structured `RateLimit` and the older `RateLimit-Remaining` and `RateLimit-Reset` of the
//! IETF's drafts, and `X-RateLimit-…` and `X-Rate-Limit-…` as everybody writes them: resets in seconds from now or since 1970, in
//! milliseconds since 1970, whole or with a fraction, with units, or as a date.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::date::http_date;
use super::retry_after::{LONGEST_RETRY_AFTER, retry_after, seconds};
use crate::model::quantity::parse_duration;
use crate::model::time::Timestamp;

/// How long a host is left alone that allows nothing more and does not say until when.
pub const UNKNOWN_RESET: Duration = Duration::from_secs(60);

const LIMITS: [&str; 3] = ["ratelimit-limit", "x-ratelimit-limit", "x-rate-limit-limit"];

const REMAINING: [&str; 3] = ["ratelimit-remaining", "x-ratelimit-remaining", "x-rate-limit-remaining"];

/// The more exact ones first.
const RESETS: [&str; 5] = [
    "x-ratelimit-reset-after",
    "x-rate-limit-reset-after",
    "ratelimit-reset",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
];

/// Returns the time before which an answer asks not to be called again; `None` if it does not ask for that. At `now` at the
/// earliest, [`LONGEST_RETRY_AFTER`] later at most.
///
/// A refusal (403, 429 or 503) is asked for its `Retry-After` first. Any answer asks for it by saying that none of its budget
/// remains.
pub fn asked_to_wait(status: u16, headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    if matches!(status, 403 | 429 | 503)
        && let Some(at) = retry_after(headers, now)
    {
        return Some(at);
    }
    let spent = match structured(headers) {
        Some(Structured { remaining, reset }) if is_none_left(remaining) => Some(reset),
        Some(_) => None,
        None => {
            let remaining = REMAINING.iter().find_map(|name| number(headers, name));
            let limit = LIMITS.iter().find_map(|name| number(headers, name));
            // A limit of nothing is no limit.
            let is_spent = remaining.is_some_and(is_none_left) && limit != Some(0.0);
            // A refusal for coming too often needs no count to be believed.
            let is_refused = status == 429 && RESETS.iter().any(|name| headers.contains_key(*name));
            (is_spent || is_refused).then(|| reset(headers, now))
        }
    }?;
    let at = now + spent.unwrap_or(UNKNOWN_RESET).min(LONGEST_RETRY_AFTER);
    Some(at)
}

/// Tells whether nothing more is allowed. Negative numbers stand for "without limit".
fn is_none_left(remaining: f64) -> bool {
    (0.0..1.0).contains(&remaining)
}

/// What the structured `RateLimit` header says of the policy that is nearest to its end.
struct Structured {
    remaining: f64,
    reset: Option<Duration>,
}

/// Reads `RateLimit: "default";r=50;t=30`, a list of these, and the form of earlier drafts, `limit=100, remaining=50, reset=30`.
fn structured(headers: &HeaderMap) -> Option<Structured> {
    let lines = headers.get_all("ratelimit").iter().filter_map(|line| line.to_str().ok());
    let text = lines.collect::<Vec<_>>().join(",");
    let param = |part: &str, names: [&str; 2]| {
        let value = part
            .split([';', ','])
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| names.iter().any(|known| name.trim().eq_ignore_ascii_case(known)));
        value.and_then(|(_, value)| value.trim().trim_matches('"').parse::<f64>().ok())
    };
    let policy = |part: &str| {
        let reset = param(part, ["t", "reset"]).filter(|reset| *reset >= 0.0);
        let reset = reset.map(|reset| Duration::try_from_secs_f64(reset).unwrap_or(Duration::MAX));
        Some(Structured { remaining: param(part, ["r", "remaining"])?, reset })
    };
    if !text.contains(';') {
        return policy(&text);
    }
    // Of several that are spent, the one that lasts longest counts.
    text.split(',').filter_map(policy).reduce(|one, other| {
        match (is_none_left(one.remaining), is_none_left(other.remaining)) {
            (true, false) => one,
            (false, true) => other,
            _ if other.reset > one.reset => other,
            _ => one,
        }
    })
}

/// Returns a header's number; of a list, the first one.
fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    let text = headers.get(name)?.to_str().ok()?;
    text.split([',', ';']).next()?.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Returns how long it is until the budget is full again; `None` if nothing that makes sense says so.
fn reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let mut named = RESETS.iter().filter_map(|name| headers.get(*name)?.to_str().ok());
    let wait = named.find_map(|text| reset_in(text.trim(), now));
    wait.or_else(|| Some(retry_after(headers, now)?.since(now)).filter(|_| headers.contains_key(RETRY_AFTER)))
}

/// Later than this, numbers are no seconds from now but points in time: 2001, in seconds since 1970.
const FIRST_POINT_IN_SECONDS: f64 = 1e9;

/// And from here on they are milliseconds since 1970, for the same date.
const FIRST_POINT_IN_MILLIS: f64 = 1e12;

fn reset_in(text: &str, now: Timestamp) -> Option<Duration> {
    // Lists, and numbers with the window that they are for.
    let first = text.split([';']).next().unwrap_or_default().trim();
    if let Some(wait) = seconds(first) {
        let number = wait.as_secs_f64();
        let point = if number >= FIRST_POINT_IN_MILLIS {
            wait / 1000
        } else if number >= FIRST_POINT_IN_SECONDS {
            wait
        } else {
            return Some(wait);
        };
        return Some((Timestamp::EPOCH + point).since(now));
    }
    let point = || http_date(text, now).or_else(|| Timestamp::parse(text).ok()).map(|at| at.since(now));
    parse_duration(first).ok().filter(|_| !first.is_empty()).or_else(point)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-20T12:00:00Z").expect("a time")
    }

    fn asked(status: u16, lines: &[(&str, &str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        asked_to_wait(status, &headers, now()).map(|at| at.since(now()))
    }

    #[track_caller]
    fn check(status: u16, lines: &[(&str, &str)], expected: Option<f64>) {
        assert_eq!(asked(status, lines), expected.map(Duration::from_secs_f64), "{status} {lines:?}");
    }

    #[test]
    fn refusals_say_how_long() {
        check(429, &[("retry-after", "7")], Some(7.0));
        check(403, &[("retry-after", "60")], Some(60.0));
        check(503, &[("retry-after", "Fri, 20 Nov 2026 12:00:30 GMT")], Some(30.0));
        check(404, &[("retry-after", "7")], None);
        check(200, &[("retry-after", "7")], None);
        check(429, &[], None);
        check(429, &[("retry-after", "soon")], None);
        check(429, &[("x-ratelimit-reset", "30")], Some(30.0));
        check(403, &[("x-ratelimit-reset", "30")], None);
        check(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "30")], Some(30.0));
    }

    #[test]
    fn resets_are_understood_in_every_notation() {
        let check = |reset: &str, expected: f64| {
            for (remaining, name) in [
                ("x-ratelimit-remaining", "x-ratelimit-reset"),
                ("X-Rate-Limit-Remaining", "X-Rate-Limit-Reset"),
                ("RateLimit-Remaining", "RateLimit-Reset"),
            ] {
                check(200, &[(remaining, "0"), (name, reset)], Some(expected));
            }
        };
        check("30", 30.0);
        check("0.25", 0.25);
        check("30;w=60", 30.0);
        check("1795176090", 90.0);
        check("1795176090.5", 90.5);
        check("1795176090000", 90.0);
        check("1795176000", 0.0);
        check("6m0s", 360.0);
        check("20ms", 0.02);
        check("Fri, 20 Nov 2026 12:02:00 GMT", 120.0);
        check("2026-11-20T12:02:00Z", 120.0);
    }

    #[test]
    fn a_budget_of_which_something_remains_asks_for_nothing() {
        check(200, &[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "30")], None);
        check(200, &[("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "30")], None);
        check(200, &[("x-ratelimit-remaining", "many"), ("x-ratelimit-reset", "30")], None);
        check(200, &[("x-ratelimit-limit", "0"), ("x-ratelimit-remaining", "0")], None);
        check(200, &[("x-ratelimit-reset", "30")], None);
    }

    #[test]
    fn the_structured_header_is_read_in_the_forms_of_all_drafts() {
        let check = |text: &str, expected: Option<f64>| check(200, &[("ratelimit", text)], expected);
        check(r#""default";r=50;t=30"#, None);
        check(r#""default";r=0;t=30"#, Some(30.0));
        check(r#""minute";r=0;t=30, "day";r=12;t=4000"#, Some(30.0));
        check(r#""minute";r=0;t=30, "day";r=0;t=4000"#, Some(4000.0));
        check(r#""default";r=0"#, Some(60.0));
        check("limit=100, remaining=0, reset=50", Some(50.0));
        check("limit=100, remaining=1, reset=50", None);
        check("junk", None);
    }

    #[test]
    fn what_is_not_said_or_makes_no_sense_is_bounded() {
        let check = |reset: &str, expected: f64| {
            check(200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)], Some(expected));
        };
        check("99999999", 86_400.0);
        check("99999999999999999999999999", 86_400.0);
        check("4000000000", 86_400.0);
        check("1000000001", 0.0);
        check("-30", 60.0);
        check("later", 60.0);
        check("", 60.0);
        check("NaN", 60.0);
    }

    proptest! {
        #[test]
        fn whatever_an_answer_says_is_bounded(
            status in 100_u16..600, remaining in "[-+.0-9a-z]{0,12}", reset in "[ -~]{0,24}", structured in "[ -~]{0,40}",
        ) {
            let lines = [
                ("retry-after", reset.as_str()), ("x-ratelimit-remaining", &remaining), ("x-ratelimit-reset", &reset),
                ("ratelimit-remaining", &remaining), ("ratelimit-reset", &reset), ("ratelimit", &structured),
            ];
            for from in 0..lines.len() {
                let wait = asked(status, &lines[from..]).unwrap_or_default();
                prop_assert!(wait <= LONGEST_RETRY_AFTER, "{wait:?}");
            }
        }
    }
}
