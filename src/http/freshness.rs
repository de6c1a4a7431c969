//! What answers say of their age and of how long they stand.

use std::time::Duration;

use reqwest::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, HeaderMap, LAST_MODIFIED};

use super::date::http_date;
use super::retry_after::seconds;
use crate::model::time::Timestamp;

/// How much later than its `Last-Modified` an answer must have been made for that to tell it from every later one: such a
/// date is exact to the second, and may come from another clock than the answer's `Date`.
const DISTINCT_AFTER: Duration = Duration::from_secs(5);

/// Returns when the server says that it made the answer, by its own clock.
pub fn date(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?.trim(), now)
}

/// Returns the present time by the server's clock, as far as an answer that came just now tells it. One from a cache says
/// nothing: it was made before.
pub fn server_time(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    if headers.contains_key(AGE) { None } else { date(headers, now) }
}

/// Returns for how much longer the answer stands, as `Cache-Control` or `Expires` say; zero if it does not stand at all.
/// `None` if they say nothing.
pub fn fresh_for(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let age =
        headers.get(AGE).and_then(|age| age.to_str().ok()).and_then(|age| seconds(age.trim())).unwrap_or_default();
    let directives: Vec<(String, &str)> = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|directive| directive.split_once('=').unwrap_or((directive, "")))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"')))
        .collect();
    if directives.iter().any(|(name, _)| matches!(name.as_str(), "no-cache" | "no-store")) {
        return Some(Duration::ZERO);
    }
    let max_age = directives.iter().find(|(name, _)| name == "max-age").and_then(|(_, value)| seconds(value));
    if let Some(max_age) = max_age {
        return Some(max_age.saturating_sub(age));
    }
    // An `Expires` that is no date, such as `0` or `-1`, means that it does not stand.
    let expires = headers.get(EXPIRES)?.to_str().ok().and_then(|text| http_date(text.trim(), now));
    let made = date(headers, now).unwrap_or(now);
    Some(expires.map_or(Duration::ZERO, |expires| expires.since(made).saturating_sub(age)))
}

/// Returns the answer's `Last-Modified` if it tells this version of the page from every later one (RFC 9110, 8.8.2.2): if
/// the answer was made some seconds after it. Otherwise the page may change within the same second, and nobody would notice.
pub fn last_modified(headers: &HeaderMap, now: Timestamp) -> Option<&str> {
    let text = headers.get(LAST_MODIFIED)?.to_str().ok()?;
    let modified = http_date(text.trim(), now)?;
    (date(headers, now)?.since(modified) >= DISTINCT_AFTER).then_some(text)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    const MODIFIED: &str = "last-modified: Fri, 20 Nov 2026 12:00:00 GMT";

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-20T12:00:00Z").expect("a time")
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let pairs = lines.iter().map(|line| line.split_once(": ").expect("a header"));
        let parsed = pairs.map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        });
        let mut headers = HeaderMap::new();
        for (name, value) in parsed {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn an_answer_says_for_how_long_it_stands() {
        let check = |lines: &[&str], expected: Option<u64>| {
            assert_eq!(fresh_for(&headers(lines), now()), expected.map(Duration::from_secs), "{lines:?}");
        };
        check(&[], None);
        check(&["cache-control: public"], None);
        check(&["cache-control: public, max-age=300"], Some(300));
        check(&["cache-control: public", "cache-control: Max-Age=\"300\""], Some(300));
        check(&["cache-control: max-age=300", "age: 100"], Some(200));
        check(&["cache-control: max-age=300", "age: 1000"], Some(0));
        check(&["cache-control: no-cache, max-age=300"], Some(0));
        check(&["cache-control: max-age=-1"], None);
        check(&["expires: Fri, 20 Nov 2026 12:10:00 GMT"], Some(600));
        check(&["expires: Fri, 20 Nov 2026 12:10:00 GMT", "date: Fri, 20 Nov 2026 12:09:00 GMT"], Some(60));
        check(&["expires: Fri, 20 Nov 2026 12:10:00 GMT", "cache-control: max-age=5"], Some(5));
        check(&["expires: 0"], Some(0));
        check(&["expires: Fri, 20 Nov 2020 12:10:00 GMT"], Some(0));
    }

    #[test]
    fn a_last_modified_counts_if_the_answer_is_some_seconds_younger() {
        let check = |lines: &[&str], expected: bool| {
            assert_eq!(last_modified(&headers(lines), now()).is_some(), expected, "{lines:?}");
        };
        check(&[MODIFIED, "date: Fri, 20 Nov 2026 12:00:05 GMT"], true);
        check(&[MODIFIED, "date: Fri, 20 Nov 2026 12:00:04 GMT"], false);
        check(&[MODIFIED, "date: Fri, 20 Nov 2026 11:00:00 GMT"], false);
        check(&[MODIFIED], false);
        check(&["last-modified: yesterday", "date: Fri, 20 Nov 2026 12:00:05 GMT"], false);
    }

    #[test]
    fn an_answer_from_a_cache_does_not_tell_the_time() {
        let fresh = headers(&["date: Fri, 20 Nov 2026 12:09:00 GMT"]);
        let cached = headers(&["date: Fri, 20 Nov 2026 12:09:00 GMT", "age: 0"]);
        assert_eq!(server_time(&fresh, now()), Some(now() + Duration::from_secs(540)));
        assert_eq!(server_time(&cached, now()), None);
    }
}
