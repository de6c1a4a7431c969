//! Unix cron expressions.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::model::time::Timestamp;

/// Enough for every second of the longest hour that the clocks ever skipped or repeated, twice over.
const MOST_CANDIDATES: usize = 4 * 24 * 3600;

/// A Unix cron expression in a time zone.
///
/// It has five fields (minute, hour, day of the month, month, day of the week), or six with seconds first, or is one of
/// `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly` and `@annually`.
///
/// A field is `*`, a number, a range `9-17`, a step `*/15`, `9-17/2` or `5/10` (from 5 on), or several of these separated by
/// commas. Months and days of the week also have English names of three letters, in any case. Sunday is 0 as well as 7.
///
/// If both the day of the month and the day of the week are given, a day that fits either is meant, as in Vixie's cron. A
/// field that begins with `*` counts as not given: then a day must fit both.
///
/// When the clocks change:
/// - An expression with **fixed hours** runs once a day. A time that the clocks skip runs at the first moment after
///   the gap; a time that comes twice runs the first time only.
/// - An expression **of every hour**, one whose hour field begins with `*`, goes by elapsed time: skipped times do not come
///   and repeated times come twice, so `*/30 * * * *` runs each real half hour.
#[derive(Clone)]
pub struct Cron {
    source: Box<str>,
    zone: Tz,
    /// The times meant, on a clock that never changes. Several stand for all their times together.
    clocks: Arc<[cron::Schedule]>,
    goes_by_elapsed_time: bool,
}

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CronError {
    pub message: String,
}

impl From<String> for CronError {
    fn from(message: String) -> Self {
        Self { message }
    }
}

impl Cron {
    /// Parses an expression. One that names no date at all, such as 30 February, is an error.
    pub fn parse(source: &str, zone: Tz) -> Result<Self, CronError> {
        let written = expand_nickname(source.trim())?;
        let words: Vec<_> = written.split_whitespace().collect();
        let words = match words[..] {
            [minute, hour, day, month, weekday] => ["0", minute, hour, day, month, weekday],
            [second, minute, hour, day, month, weekday] => [second, minute, hour, day, month, weekday],
            _ => return Err(wrong_count(words.len()).into()),
        };
        let mut fields = Vec::with_capacity(words.len());
        for (field, word) in FIELDS.iter().zip(words) {
            fields.push(field.parse(word)?);
        }
        let [_, _, hour, day, _, weekday] = words;
        let clocks = if day.starts_with('*') || weekday.starts_with('*') {
            vec![clock(&fields)?]
        } else {
            [DAY, WEEKDAY].into_iter().map(|open| clock_without(&fields, open)).collect::<Result<_, _>>()?
        };
        let cron = Self {
            source: source.trim().into(),
            zone,
            clocks: clocks.into(),
            goes_by_elapsed_time: hour.starts_with('*'),
        };
        match cron.next(Timestamp::EPOCH) {
            Some(_) => Ok(cron),
            None => Err(format!("`{}` names a date that does not exist, so it would never run", cron.source).into()),
        }
    }

    /// Returns the expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the time zone that it is meant in.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Returns the first time after `now`; `None` if there is none before the year 2100.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let now = DateTime::from_timestamp(now.as_seconds(), 0)?;
        let next = if self.goes_by_elapsed_time { self.next_elapsed(now) } else { self.next_once_a_day(now) };
        next.map(Timestamp::from)
    }

    /// Each time on the clock comes once: its first coming, or the end of the gap that swallowed it.
    fn next_once_a_day(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.clock_times_after(self.local(now)).map(|time| self.first_coming(time)).find(|time| *time > now)
    }

    /// Each time on the clock comes as often as the clock shows it.
    fn next_elapsed(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = self.local(now);
        let next_coming = |time| self.comings(time).into_iter().flatten().find(|time| *time > now);
        let ahead = self.clock_times_after(local).find_map(next_coming);
        // Before the clocks are set back, times that the clock has shown already are still to come once more.
        let again = match self.comings(local) {
            [Some(first), Some(second)] if first == now => {
                let mut shown = self.clock_times_after(local - (second - first)).take_while(|time| *time <= local);
                shown.find_map(next_coming)
            }
            _ => None,
        };
        ahead.into_iter().chain(again).min()
    }

    fn local(&self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self.zone).naive_local()
    }

    /// Returns the times on the clock after the given one, ascending, as if the clock never changed.
    fn clock_times_after(&self, time: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        let mut time = Some(time);
        std::iter::from_fn(move || {
            let after = time?.and_utc();
            time = self.clocks.iter().filter_map(|clock| clock.after(&after).next()).min().map(|next| next.naive_utc());
            time
        })
        .take(MOST_CANDIDATES)
    }

    /// Returns when the clock shows this time: never, once or twice.
    fn comings(&self, time: NaiveDateTime) -> [Option<DateTime<Utc>>; 2] {
        match self.zone.from_local_datetime(&time) {
            MappedLocalTime::Single(once) => [Some(once.to_utc()), None],
            MappedLocalTime::Ambiguous(first, second) => [Some(first.to_utc()), Some(second.to_utc())],
            MappedLocalTime::None => [None, None],
        }
    }

    fn first_coming(&self, time: NaiveDateTime) -> DateTime<Utc> {
        self.comings(time)[0].unwrap_or_else(|| self.end_of_gap(time))
    }

    /// Returns the first moment after the gap that swallowed a time.
    fn end_of_gap(&self, time: NaiveDateTime) -> DateTime<Utc> {
        // No gap is longer than a day: Samoa once skipped a whole one.
        let (mut before, mut after) = (time.and_utc() - TimeDelta::days(2), time.and_utc() + TimeDelta::days(2));
        while after - before > TimeDelta::seconds(1) {
            let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
            if self.local(middle) < time {
                before = middle;
            } else {
                after = middle;
            }
        }
        after
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        (&self.source, self.zone) == (&other.source, other.zone)
    }
}

impl Eq for Cron {}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.source, self.zone)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn expand_nickname(source: &str) -> Result<&str, CronError> {
    if !source.starts_with('@') {
        return Ok(source);
    }
    match source.to_ascii_lowercase().as_str() {
        "@hourly" => Ok("0 * * * *"),
        "@daily" | "@midnight" => Ok("0 0 * * *"),
        "@weekly" => Ok("0 0 * * 0"),
        "@monthly" => Ok("0 0 1 * *"),
        "@yearly" | "@annually" => Ok("0 0 1 1 *"),
        _ => {
            let known = "@hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually";
            Err(format!("`{source}` is unknown: there are {known}").into())
        }
    }
}

fn wrong_count(count: usize) -> String {
    format!(
        "a cron expression has five fields (minute, hour, day of the month, month, day of the week), \
         or six with seconds first; this one has {count}"
    )
}

const DAY: usize = 3;
const WEEKDAY: usize = 5;

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

static FIELDS: [Field; 6] = [
    Field { name: "second", first: 0, last: 59, names: &[] },
    Field { name: "minute", first: 0, last: 59, names: &[] },
    Field { name: "hour", first: 0, last: 23, names: &[] },
    Field { name: "day of the month", first: 1, last: 31, names: &[] },
    Field { name: "month", first: 1, last: 12, names: MONTHS },
    // 7 is Sunday, as 0 is.
    Field { name: "day of the week", first: 0, last: 7, names: WEEKDAYS },
];

struct Field {
    name: &'static str,
    first: u32,
    last: u32,
    /// The names of the numbers from `first` on.
    names: &'static [&'static str],
}

impl Field {
    fn parse(&self, text: &str) -> Result<BTreeSet<u32>, CronError> {
        let mut values = BTreeSet::new();
        for part in text.split(',') {
            values.extend(self.part(part).map_err(|problem| self.error(text, &problem))?);
        }
        if self.last == 7 && values.remove(&7) {
            values.insert(0);
        }
        Ok(values)
    }

    fn error(&self, text: &str, problem: &str) -> CronError {
        let names = match (self.names.first(), self.names.last()) {
            (Some(first), Some(last)) => format!(", or names from {first} to {last}"),
            _ => String::new(),
        };
        let Self { name, first, last, .. } = self;
        format!(
            "the {name} is `{text}`, and {problem}: it may hold * and numbers from {first} to {last}{names}, \
             ranges such as {first}-{last}, steps such as */2, and lists of these"
        )
        .into()
    }

    fn part(&self, part: &str) -> Result<impl Iterator<Item = u32> + use<>, String> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.first, if self.last == 7 { 6 } else { self.last }),
            Some((first, last)) => (self.value(first)?, self.last_value(last)?),
            None => {
                let only = self.value(range)?;
                (only, if step.is_some() { self.last } else { only })
            }
        };
        if first > last {
            return Err(format!("the range `{range}` runs backwards"));
        }
        let step = match step.map(str::parse::<usize>) {
            None => 1,
            Some(Ok(step)) if step > 0 => step,
            Some(_) => return Err(format!("the step of `{part}` is no number from 1 on")),
        };
        Ok((first..=last).step_by(step))
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = || text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let value = named.and_then(|index| u32::try_from(index).ok()).map(|index| self.first + index).or_else(number);
        let value = value
            .ok_or_else(|| if text.is_empty() { "a part is empty".into() } else { format!("`{text}` is none") })?;
        if (self.first..=self.last).contains(&value) { Ok(value) } else { Err(format!("`{text}` is out of range")) }
    }

    /// A range may end with Sunday: `sat-sun`.
    fn last_value(&self, text: &str) -> Result<u32, String> {
        let value = self.value(text)?;
        Ok(if self.last == 7 && text.eq_ignore_ascii_case("sun") { 7 } else { value })
    }
}

/// Returns the times meant if one field were not given.
fn clock_without(fields: &[BTreeSet<u32>], open: usize) -> Result<cron::Schedule, CronError> {
    let mut fields = fields.to_vec();
    fields[open] = FIELDS[open].parse("*")?;
    clock(&fields)
}

/// Says the same to the `cron` crate, which numbers the days of the week from 1 for Sunday.
fn clock(fields: &[BTreeSet<u32>]) -> Result<cron::Schedule, CronError> {
    let written = fields.iter().enumerate().map(|(index, values)| {
        let shift = u32::from(index == WEEKDAY);
        values.iter().map(|value| (value + shift).to_string()).collect::<Vec<_>>().join(",")
    });
    let written = written.collect::<Vec<_>>().join(" ");
    written.parse().map_err(|error| CronError::from(format!("it cannot be read as `{written}`: {error}")))
}
