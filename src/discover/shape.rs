//! What single values and names look like: dates, ids, and whether objects are of one kind.

use indexmap::IndexMap;
use serde_json::Value;

use super::path::plain;
use crate::model::time::Timestamp;
use crate::poll::date_of;

/// Names that say that a member identifies the object it is in, as [`plain`] has them.
const ID_NAMES: &[&str] =
    &["id", "uuid", "guid", "uid", "key", "urn", "nodeid", "ident", "identifier", "doi", "objectid"];

/// The longest text that can be a date, in bytes.
const LONGEST_DATE: usize = 40;

/// Seconds since 1970 of the years that numbers are taken for dates of: 2001 to 2100.
const SECONDS: std::ops::Range<f64> = 978_307_200.0..4_133_980_800.0;

/// Returns a number for the kind of a value: the same for two numbers, two texts, and so on.
pub(super) fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

/// Returns how much objects have the same members: from 0 to 1; 0 if they are none.
pub(super) fn alikeness<'v>(values: impl IntoIterator<Item = &'v Value>) -> f64 {
    let mut counts: IndexMap<&str, usize> = IndexMap::new();
    let mut objects = 0;
    for value in values {
        let Some(members) = value.as_object() else { return 0.0 };
        objects += 1;
        for name in members.keys() {
            *counts.entry(name).or_default() += 1;
        }
    }
    let possible = counts.len() * objects;
    if possible == 0 { 0.0 } else { counts.values().sum::<usize>() as f64 / possible as f64 }
}

/// Tells whether a name says that it identifies something: its own object or another one.
pub(super) fn says_id(name: &str) -> bool {
    says_own_id(name) || plain(name).ends_with("id") && has_last_word(name, "id")
}

/// Tells whether a name says that it identifies the object it is in.
pub(super) fn says_own_id(name: &str) -> bool {
    ID_NAMES.contains(&&*plain(name))
}

/// Tells whether the last word of a name is this one: `event_id`, `eventId`, `eventID`; not `paid`.
fn has_last_word(name: &str, word: &str) -> bool {
    let Some(start) = name.len().checked_sub(word.len()).filter(|start| name.is_char_boundary(*start)) else {
        return false;
    };
    let (before, last) = name.split_at(start);
    last.eq_ignore_ascii_case(word)
        && (last.starts_with(char::is_uppercase) || before.is_empty() || !before.ends_with(char::is_alphabetic))
        // MediaWiki's names have no mark between the words.
        || ["pageid", "revid", "rcid", "logid", "postid", "threadid", "itemid", "cveid"].contains(&name)
}

/// Returns the point in time that a text is a date of.
pub(super) fn date(value: &Value) -> Option<Timestamp> {
    let text = value.as_str().filter(|text| (8..=LONGEST_DATE).contains(&text.len()))?;
    date_of(text)
}

/// Returns the point in time that a number is, as seconds or milliseconds since 1970; its name has to say that it is a
/// date.
pub(super) fn epoch(value: &Value) -> Option<Timestamp> {
    let number: f64 = match value {
        Value::Number(number) => number.as_str().parse().ok()?,
        Value::String(text) if text.len() <= 20 => text.parse().ok()?,
        _ => return None,
    };
    let seconds = if SECONDS.contains(&number) { number } else { number / 1000.0 };
    SECONDS.contains(&seconds).then(|| Timestamp::from_millis((seconds * 1000.0) as i64))
}

/// Names of the times for which something holds, and not when an item was made or changed, as [`plain`] has them.
const TIMES_OF_SERIES: &[&str] = &[
    "date",
    "time",
    "timestamp",
    "datetime",
    "ts",
    "t",
    "dt",
    "day",
    "week",
    "month",
    "year",
    "hour",
    "period",
    "interval",
    "start",
    "starttime",
    "startdate",
    "timestart",
    "from",
    "validfrom",
    "validtime",
    "bucket",
];

/// Tells whether a field has times that follow one another at even steps, as those of measurements and forecasts do: equal
/// ones of a minute or more, days of which some are left out, or months. Its name is plain.
pub(super) fn is_series(name: &str, values: &[&Value]) -> bool {
    const DAY: i64 = 86_400;
    if !TIMES_OF_SERIES.contains(&name) {
        return false;
    }
    let times = values.iter().map(|value| date(value).or_else(|| epoch(value)).map(Timestamp::as_seconds));
    let Some(times) = times.collect::<Option<Vec<i64>>>().filter(|times| times.len() >= FEWEST_OF_SERIES) else {
        return false;
    };
    let steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let is_one_way = steps.iter().all(|step| step.signum() == steps[0].signum());
    let is_equal = steps[0].abs() >= 60 && steps.iter().all(|step| *step == steps[0]);
    let is_of_months = steps.iter().all(|step| (28 * DAY..=31 * DAY).contains(&step.abs()));
    let is_of_days = times.len() >= 10 && steps.iter().all(|step| step % DAY == 0 && step.abs() <= 5 * DAY);
    is_one_way && (is_equal || is_of_months || is_of_days)
}

/// Fewer times than this show no steps.
const FEWEST_OF_SERIES: usize = 5;

/// Tells whether a text is relative to the present: `3 hours ago`, `in 2 days`, `just now`.
pub(super) fn is_relative_time(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    let units = ["sec", "min", "hour", "day", "week", "month", "year", "hr"];
    let has_unit = |text: &str| text.split_whitespace().any(|word| units.iter().any(|unit| word.starts_with(unit)));
    text.len() <= 40
        && (text.ends_with(" ago") && has_unit(&text)
            || text.starts_with("in ") && has_unit(&text)
            || ["just now", "now", "yesterday", "today", "tomorrow"].contains(&&*text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_told_by_the_words_of_names() {
        for (name, own, any) in [
            ("id", true, true),
            ("_id", true, true),
            ("@id", true, true),
            ("uuid", true, true),
            ("eventID", false, true),
            ("user_id", false, true),
            ("objectId", true, true),
            ("paid", false, false),
            ("is_valid", false, false),
            ("pageid", false, true),
        ] {
            assert_eq!((says_own_id(name), says_id(name)), (own, any), "{name}");
        }
    }

    #[test]
    fn dates_and_epochs_are_told_from_other_values() {
        for (value, is_date, is_epoch) in [
            (json!("2026-11-20T12:00:00Z"), true, false),
            (json!("2026-11-20"), true, false),
            (json!("Fri, 20 Nov 2026 12:00:00 GMT"), true, false),
            (json!("20261120"), false, false),
            (json!(1_763_640_000), false, true),
            (json!(1_763_640_000_123_u64), false, true),
            (json!("1763640000.000200"), false, true),
            (json!(12), false, false),
            (json!(null), false, false),
        ] {
            assert_eq!((date(&value).is_some(), epoch(&value).is_some()), (is_date, is_epoch), "{value}");
        }
    }

    #[test]
    fn relative_times_are_told_from_other_texts() {
        for (text, expected) in [("3 hours ago", true), ("in 2 days", true), ("Long ago", false), ("in a box", false)] {
            assert_eq!(is_relative_time(text), expected, "{text}");
        }
    }
}
