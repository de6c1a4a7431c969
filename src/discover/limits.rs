//! How often an API may be asked, as its answers tell.

use std::time::Duration;

use serde_json::Value;

use super::{About, Finding, Page, Setting, Sureness};
use crate::http::header::{HeaderMap, RETRY_AFTER};
use crate::http::{fresh_for, server_time};
use crate::model::format::ResponseFormat;
use crate::model::limits::Rate;
use crate::model::quantity::format_duration;
use crate::model::time::Timestamp;

/// How often an API is asked that says nothing of it.
const USUAL: Duration = Duration::from_secs(5 * 60);

/// How often at most, whatever the API allows.
const OFTENEST: Duration = Duration::from_secs(60);

/// How often at least, whatever the API asks for.
const SELDOMEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How often at least a feed is asked, whatever it says: many say that they are daily, and are not.
const SELDOMEST_FEED: Duration = Duration::from_secs(6 * 60 * 60);

/// The part of what an API allows that polling may use up: whoever has the URL asks for other things as well.
const SHARE: u64 = 4;

/// The schedules that are proposed.
const STEPS: [u64; 12] = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

/// How many requests are allowed in how long a time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Quota {
    requests: u64,
    window: Duration,
    /// Whether the answer tells the window, and not only when it ends.
    is_told: bool,
}

/// Returns how often the API should be asked, where a poll takes so many requests.
pub(super) fn find(page: &Page<'_>, requests: u64) -> Finding {
    let headers = &page.answer.headers;
    let requests = requests.max(1);
    // Points in time that headers tell are measured from when the answer was made.
    let now = server_time(headers, Timestamp::EPOCH).unwrap_or(Timestamp::EPOCH);
    let quota = quota(headers, now);
    let rest = rest(headers, now).filter(|rest| *rest > OFTENEST);
    let (every, found, sureness, because) = if let Some(quota) = quota {
        let most = (quota.requests / SHARE).max(1);
        let between = quota.window.as_secs().saturating_mul(requests).div_ceil(most);
        let every = step(Duration::from_secs(between).max(USUAL).max(rest.unwrap_or_default()));
        let requests_word = if quota.requests == 1 { "request" } else { "requests" };
        let said = format!("{} {requests_word} in {}", quota.requests, format_duration(quota.window));
        let said_where = if quota.is_told {
            "the answer says so"
        } else {
            "the answer says how many, and the time is taken from when they are renewed"
        };
        let because = match requests {
            1 => format!("{said_where}; others may use the same budget"),
            requests => format!("{said_where}; a poll takes about {requests} requests"),
        };
        (every, said, Sureness::Certain, because)
    } else if let Some(rest) = rest {
        let because = "the answer says that it stands for so long".to_owned();
        (step(rest.max(USUAL)), format_duration(rest), Sureness::Certain, because)
    } else if let Some(rest) = feed_rest(page).filter(|rest| *rest > OFTENEST) {
        let because = "the feed says that it need not be read more often".to_owned();
        (step(rest.max(USUAL)), format_duration(rest), Sureness::Certain, because)
    } else {
        let because = "the answer does not say how often the API may be asked".to_owned();
        (USUAL, "no limit".to_owned(), Sureness::Likely, because)
    };
    let mut settings = vec![Setting::new("every", format_duration(every))];
    settings.extend(quota.filter(|quota| quota.is_told).and_then(rate).map(|rate| Setting::new("limits.rate", rate)));
    Finding { about: About::Limits, settings, found, sureness, because }
}

/// Returns how many requests headers allow; of several quotas the one that allows least.
fn quota(headers: &HeaderMap, now: Timestamp) -> Option<Quota> {
    let strictest = |quotas: Vec<Quota>| {
        #[expect(clippy::cast_precision_loss, reason = "which one is least does not hang on the last digits")]
        let per_second = |quota: &Quota| quota.requests as f64 / quota.window.as_secs_f64();
        quotas.into_iter().min_by(|one, other| per_second(one).total_cmp(&per_second(other)))
    };
    strictest(policies(headers)).or_else(|| named(headers, now))
}

/// Reads `RateLimit-Policy: "default";q=100;w=10`, a list of these, the form of earlier drafts, `100;w=10`, and
/// `RateLimit-Limit: 100, 100;w=10`.
fn policies(headers: &HeaderMap) -> Vec<Quota> {
    let mut quotas = Vec::new();
    for name in ["ratelimit-policy", "ratelimit-limit", "x-ratelimit-limit"] {
        let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
        for policy in lines.flat_map(|line| line.split(',')) {
            let mut parts = policy.split(';').map(str::trim);
            let mut requests = parts.next().and_then(|first| first.parse().ok());
            let mut window = None;
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim() {
                    "q" => requests = value.trim().parse().ok(),
                    "w" => window = value.trim().parse().ok(),
                    _ => {}
                }
            }
            quotas.extend(requests.zip(window).and_then(|(requests, window)| Quota::new(requests, window)));
        }
        if !quotas.is_empty() {
            break;
        }
    }
    quotas
}

/// Reads `X-RateLimit-Limit` and its kin, whose window is told by the name of the header, by a header for it, or else is
/// what is left until the budget is full again, which is the whole of it at most.
fn named(headers: &HeaderMap, now: Timestamp) -> Option<Quota> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.split([',', ';']).next()?.trim().parse::<f64>().ok();
    let whole = |name: &str| text(name)?.split([',', ';']).next()?.trim().parse::<u64>().ok();
    for (unit, seconds) in [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86_400)] {
        for name in [
            format!("x-ratelimit-limit-{unit}"),
            format!("x-rate-limit-limit-{unit}"),
            format!("x-ratelimit-{unit}-limit"),
        ] {
            if let Some(quota) = whole(&name).and_then(|requests| Quota::new(requests, seconds)) {
                return Some(quota);
            }
        }
    }
    let limits = ["ratelimit-limit", "x-ratelimit-limit", "x-rate-limit-limit", "x-rate-limit", "ratelimit"];
    let requests = limits.iter().find_map(|name| whole(name))?;
    if let Some(window) = ["x-ratelimit-window", "x-ratelimit-interval", "x-rate-limit-window"]
        .iter()
        .find_map(|name| window(text(name)?))
    {
        return Quota::new(requests, window);
    }
    let resets = ["x-ratelimit-reset-after", "ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset"];
    let reset = resets.iter().find_map(|name| number(name)).filter(|reset| reset.is_finite() && *reset > 0.0)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is bounded")]
    let seconds = match reset {
        reset if reset >= 1e12 => (reset / 1000.0).min(1e11) as u64,
        reset => reset.min(1e11) as u64,
    };
    let now = u64::try_from(now.as_seconds()).unwrap_or_default();
    let (left, least) = if seconds >= 1_000_000_000 { (seconds.saturating_sub(now), 3600) } else { (seconds, 60) };
    let window = [left, least, 3600, 86_400].into_iter().filter(|window| *window >= left.max(least)).min();
    Quota::new(requests, window?).map(|quota| Quota { is_told: false, ..quota })
}

/// Reads a window such as `1m` or `60`, in seconds.
fn window(text: &str) -> Option<u64> {
    let duration = || crate::model::quantity::parse_duration(text).ok().map(|window| window.as_secs());
    text.parse().ok().or_else(duration)
}

impl Quota {
    /// Returns a quota; `None` if it allows nothing or has no time, which is no quota.
    fn new(requests: u64, seconds: u64) -> Option<Self> {
        (requests > 0 && (1..=366 * 86_400).contains(&seconds)).then(|| Self {
            requests,
            window: Duration::from_secs(seconds),
            is_told: true,
        })
    }
}

/// Returns `limits.rate` for a quota: half of it, so that a poll of many pages leaves something to others.
fn rate(quota: Quota) -> Option<String> {
    let count = u32::try_from(quota.requests / 2).unwrap_or(Rate::MOST).clamp(1, Rate::MOST);
    let text = String::from(Rate { count, per: quota.window });
    text.parse::<Rate>().is_ok().then_some(text)
}

/// Returns for how long an answer stands, or asks not to be asked for again.
fn rest(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let stands = fresh_for(headers, now).filter(|rest| !rest.is_zero());
    let asked =
        headers.get(RETRY_AFTER).and_then(|text| text.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
    let polled = headers.get("x-poll-interval").and_then(|text| text.to_str().ok()?.trim().parse().ok());
    [stands, asked, polled.map(Duration::from_secs)].into_iter().flatten().max().map(|rest| rest.min(SELDOMEST))
}

/// Returns for how long a feed says that it need not be read: its `ttl`, or how often it is updated.
fn feed_rest(page: &Page<'_>) -> Option<Duration> {
    if !matches!(page.format, ResponseFormat::Feed) {
        return None;
    }
    let feed = page.value.get("feed")?;
    let minutes = feed.get("ttl").and_then(Value::as_u64)?;
    Some(Duration::from_secs(minutes.saturating_mul(60)).min(SELDOMEST_FEED))
}

/// Returns the schedule that is not more often than this.
fn step(least: Duration) -> Duration {
    let seconds = STEPS.into_iter().find(|seconds| *seconds >= least.as_secs());
    seconds.map_or(SELDOMEST, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::discover::Answer;
    use crate::http::header::{HeaderName, HeaderValue};

    fn found(lines: &[(&str, &str)], value: Value, requests: u64) -> Finding {
        let mut headers = HeaderMap::new();
        headers.insert("date", HeaderValue::from_static("Fri, 20 Nov 2026 12:00:00 GMT"));
        for (name, value) in lines {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let url = "https://api.example/items".parse().expect("an address");
        let answer = Answer { url, status: 200, headers, body: Bytes::new() };
        let is_feed = value.get("feed").is_some();
        let format = if is_feed { ResponseFormat::Feed } else { ResponseFormat::Json };
        find(&Page { answer: &answer, format, value }, requests)
    }

    #[track_caller]
    fn check(lines: &[(&str, &str)], expected: &str, sureness: Sureness) {
        check_with(lines, json!([]), 1, expected, sureness);
    }

    #[track_caller]
    fn check_with(lines: &[(&str, &str)], value: Value, requests: u64, expected: &str, sureness: Sureness) {
        let finding = found(lines, value, requests);
        let written = |setting: &Setting| format!("{}={}", setting.path, setting.value.as_str().unwrap_or_default());
        let written: Vec<String> = finding.settings.iter().map(written).collect();
        let shown = format!("{}: {}", finding.found, written.join(" "));
        assert_eq!((shown.as_str(), finding.sureness), (expected, sureness), "{lines:?}");
        for setting in finding.settings.iter().filter(|setting| setting.path == "limits.rate") {
            setting.value.as_str().expect("a text").parse::<Rate>().expect("a rate");
        }
    }

    use Sureness::{Certain, Likely};

    #[test]
    fn what_says_nothing_is_asked_every_five_minutes() {
        check(&[], "no limit: every=5m", Likely);
        check(&[("cache-control", "no-cache")], "no limit: every=5m", Likely);
        check(&[("cache-control", "max-age=60")], "no limit: every=5m", Likely);
        check(&[("x-ratelimit-limit", "0"), ("x-ratelimit-reset", "60")], "no limit: every=5m", Likely);
        check(&[("x-ratelimit-limit", "many"), ("x-ratelimit-reset", "NaN")], "no limit: every=5m", Likely);
        check(&[("x-ratelimit-limit", "60")], "no limit: every=5m", Likely);
    }

    #[test]
    fn budgets_are_kept_well_within() {
        // GitHub, without and with a token.
        let github =
            |limit| [("x-ratelimit-limit", limit), ("x-ratelimit-reset", "1795177800"), ("x-ratelimit-remaining", "9")];
        check(&github("60"), "60 requests in 1h: every=5m", Certain);
        check(&github("5000"), "5000 requests in 1h: every=5m", Certain);
        check_with(&github("60"), json!([]), 10, "60 requests in 1h: every=1h", Certain);
        // The IETF's drafts.
        check(
            &[("ratelimit-policy", "\"burst\";q=100;w=60,\"daily\";q=100;w=86400")],
            "100 requests in 1d: every=1h limits.rate=50/d",
            Certain,
        );
        check(
            &[("ratelimit-policy", "10;w=1"), ("ratelimit", "limit=10, remaining=9, reset=1")],
            "10 requests in 1s: every=5m limits.rate=5/s",
            Certain,
        );
        check(
            &[("ratelimit-limit", "100, 100;w=3600"), ("ratelimit-reset", "40")],
            "100 requests in 1h: every=5m limits.rate=50/h",
            Certain,
        );
        check(&[("ratelimit-limit", "2000"), ("ratelimit-reset", "37")], "2000 requests in 1m: every=5m", Certain);
        // Others.
        check(
            &[("x-rate-limit-limit", "15"), ("x-rate-limit-reset", "1795176800")],
            "15 requests in 1h: every=30m",
            Certain,
        );
        check(
            &[("x-ratelimit-limit", "20"), ("x-ratelimit-reset-after", "0.64")],
            "20 requests in 1m: every=5m",
            Certain,
        );
        check(
            &[("x-ratelimit-limit-minute", "30"), ("x-ratelimit-remaining-minute", "29")],
            "30 requests in 1m: every=5m limits.rate=15/m",
            Certain,
        );
        check(
            &[("x-ratelimit-limit", "24"), ("x-ratelimit-window", "1d")],
            "24 requests in 1d: every=6h limits.rate=12/d",
            Certain,
        );
        check(
            &[("x-ratelimit-limit", "1"), ("x-ratelimit-reset", "1795176000000")],
            "1 request in 1h: every=1h",
            Certain,
        );
    }

    #[test]
    fn what_stands_is_not_asked_for_before() {
        check(&[("cache-control", "public, max-age=1800")], "30m: every=30m", Certain);
        check(&[("cache-control", "max-age=604800")], "1d: every=1d", Certain);
        check(&[("x-poll-interval", "60")], "no limit: every=5m", Likely);
        check(&[("x-poll-interval", "700")], "11m40s: every=15m", Certain);
        check(&[("retry-after", "99999999999999999999")], "no limit: every=5m", Likely);
        check_with(&[], json!({"feed": {"ttl": 120}, "items": []}), 1, "2h: every=2h", Certain);
        check_with(&[], json!({"feed": {"ttl": u64::MAX}, "items": []}), 1, "6h: every=6h", Certain);
        check_with(&[], json!({"feed": {"ttl": null}, "items": []}), 1, "no limit: every=5m", Likely);
    }

    proptest::proptest! {
        #[test]
        fn odd_headers_do_no_harm(text in "[ -~]{0,30}", number in proptest::num::f64::ANY, requests in 0_u64..u64::MAX) {
            for value in [text, number.to_string()] {
                for name in ["ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-reset", "cache-control", "retry-after"] {
                    found(&[(name, &value), ("x-ratelimit-limit", "7"), ("ratelimit-reset", &value)], json!([]), requests);
                }
            }
        }
    }
}
