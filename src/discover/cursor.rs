//! What the API can be asked from: a date or an id of its items, or a token of its answers.
//!
//! Nothing is proposed unless the API names the parameter itself: in the address that was given, or in those of its answer.

mod params;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::Value;
use url::Url;

use self::params::{Parameter, Said, Wants};
use super::path::{Column, Path, columns};
use super::{About, Finding, Listing, Page, Setting, Sureness, shape};
use crate::http::server_time;
use crate::model::format::ResponseFormat;
use crate::model::time::Timestamp;

/// The most levels on the way to a date.
const MOST_LEVELS: usize = 2;

/// How far a date may be ahead of the source's clock and still tell of what happened: any zone that it does not name.
const MOST_AHEAD: Duration = Duration::from_secs(15 * 60 * 60);

/// In how many items an order has to be seen before it is relied on.
const ENOUGH_FOR_ORDER: usize = 5;

/// Members of answers whose value is what the next poll asks with, and the parameter for it.
const TOKENS: &[(&str, &str, Sureness)] = &[
    ("nextSyncToken", "syncToken", Sureness::Likely),
    ("next_sync_token", "sync_token", Sureness::Likely),
    ("sync_token", "sync_token", Sureness::Likely),
    ("syncToken", "syncToken", Sureness::Likely),
    ("delta_token", "delta_token", Sureness::Doubtful),
];

/// A date of the items.
struct DateField<'a> {
    path: Path,
    values: Vec<&'a Value>,
    times: Vec<Timestamp>,
    tells: Tells,
}

/// What a date tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tells {
    Creation,
    Update,
}

/// How the items are ordered by a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    NewestFirst,
    OldestFirst,
    None,
}

/// Returns what the API can be asked from, if anything speaks for that; `key` and `ignored` are what was found of them.
pub(super) fn find(page: &Page<'_>, listing: &Listing, key: &[String], ignored: &[String]) -> Option<Finding> {
    if matches!(page.format, ResponseFormat::Feed | ResponseFormat::Html(_)) {
        return None;
    }
    let known = params::of(page);
    let now = server_time(&page.answer.headers, Timestamp::EPOCH);
    token(page, &known).or_else(|| id(listing, key, &known)).or_else(|| date(listing, ignored, &known, now))
}

/// Returns the token of an answer that the next poll asks with.
fn token(page: &Page<'_>, known: &[Parameter]) -> Option<Finding> {
    let body = page.value.as_object()?;
    if body.contains_key("last_seq") && body.contains_key("results") {
        let because = "that is how CouchDB's changes are asked for".to_owned();
        return Some(of_token(".last_seq", "since", Sureness::Certain, because, known));
    }
    let link = body.iter().find(|(name, _)| ["@odata.deltaLink", "@delta", "odata.deltaLink"].contains(&name.as_str()));
    if let Some((name, Value::String(link))) = link
        && let Some(param) = Url::parse(link).ok().and_then(|link| {
            link.query_pairs()
                .map(|(name, _)| name.into_owned())
                .find(|name| name.to_ascii_lowercase().ends_with("token"))
        })
    {
        // The address is encoded, and the parameter gets encoded again.
        let mark = Value::from(format!("{param}="));
        let answer = format!("{} // empty | split({mark})[1] // empty | split(\"&\")[0]", Path::of([name.as_str()]));
        let because = format!("the answer's `{name}` asks for what changed after it");
        return Some(of_token(&answer, &param, Sureness::Doubtful, because, known));
    }
    let (name, param, sureness) = TOKENS.iter().find(|(name, _, _)| {
        body.get(*name).is_some_and(|token| token.is_number() || token.as_str().is_some_and(|token| !token.is_empty()))
    })?;
    let because = format!("an answer that has `{name}` is continued by asking with it");
    Some(of_token(&Path::of([*name]).to_string(), param, *sureness, because, known))
}

fn of_token(answer: &str, param: &str, sureness: Sureness, because: String, known: &[Parameter]) -> Finding {
    let mut settings =
        vec![Setting::new("cursor.answer", answer), Setting::new(format!("request.query.{param}"), "{{ cursor }}")];
    settings.extend(initial(known.iter().find(|known| known.name == param)));
    Finding {
        about: About::Cursor,
        settings,
        found: format!("`{answer}`, asked from with `{param}`"),
        sureness,
        because,
    }
}

/// Returns what the very first poll asks with, so that it asks as the given address did.
fn initial(parameter: Option<&Parameter>) -> Option<Setting> {
    let value = parameter.filter(|parameter| parameter.said == Said::Asked)?.value.as_deref()?;
    (!value.is_empty() && !value.starts_with('-')).then(|| Setting::new("cursor.initial", value))
}

/// Returns the id of items that the API can be asked from: of a number that grows.
fn id(listing: &Listing, key: &[String], known: &[Parameter]) -> Option<Finding> {
    let parameter = known.iter().find(|parameter| parameter.wants == Wants::Id)?;
    let [key] = key else { return None };
    let rows: Vec<&Value> = listing.rows.iter().collect();
    let column = columns(&rows).into_iter().find(|column| column.path.to_string() == *key)?;
    let numbers: Vec<u128> = column.values.iter().flatten().filter_map(|value| digits(value)).collect();
    if numbers.len() != rows.len() || numbers.is_empty() {
        return None;
    }
    let ascends = numbers.len() >= ENOUGH_FOR_ORDER && numbers.is_sorted();
    let because = format!("{} names `{}`, and all ids are whole numbers", parameter.said, parameter.name);
    Some(of_value(key, parameter, ascends, Sureness::Likely, because))
}

fn digits(value: &Value) -> Option<u128> {
    match value {
        Value::Number(number) => number.as_str().parse().ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Returns the date of items that the API can be asked from. Dates that are still to come, as those of forecasts are, tell of
/// no change: whoever asks from the largest of them finds nothing.
fn date(listing: &Listing, ignored: &[String], known: &[Parameter], now: Option<Timestamp>) -> Option<Finding> {
    let rows: Vec<&Value> = listing.rows.iter().collect();
    let is_to_come = |time: &Timestamp| now.is_some_and(|now| time.since(now) > MOST_AHEAD);
    let fields = columns(&rows).into_iter().filter_map(|column| date_field(column, ignored));
    let fields: Vec<_> = fields.filter(|field| !field.times.iter().any(is_to_come)).collect();
    let parameter = known.iter().find(|parameter| parameter.wants != Wants::Id);
    let wanted = |field: &&DateField<'_>| match parameter.map(|parameter| parameter.wants) {
        Some(Wants::Creation) => field.tells == Tells::Creation,
        Some(Wants::Update) => field.tells == Tells::Update,
        _ => true,
    };
    // Of several that are as good, the first one is the one that people look at.
    let best =
        fields.iter().filter(wanted).rev().max_by_key(|field| (field.tells, std::cmp::Reverse(field.path.0.len())))?;
    let order = order(&best.times);
    let Some(parameter) = parameter else {
        return Some(Finding {
            about: About::Cursor,
            settings: Vec::new(),
            found: format!("`{}`{order}", best.path),
            sureness: Sureness::Likely,
            because: "it is a date of each item, but the answer names no parameter to ask from it with".to_owned(),
        });
    };
    let mut because = format!("{} names `{}`", parameter.said, parameter.name);
    let mut sureness = if wanted(&best) { Sureness::Likely } else { Sureness::Doubtful };
    if parameter.said == Said::Linked && parameter.value.is_some() {
        because.push_str(", which may be a way of paging instead");
        sureness = Sureness::Doubtful;
    }
    let forms = [parameter.value.as_deref().map(form), best.values.first().map(|value| form(text(value)))];
    if let [Some(asked), Some(given)] = forms
        && asked != given
    {
        because = format!("{because}, but with {asked} where the items have {given}");
        sureness = Sureness::Doubtful;
    }
    if best.tells == Tells::Creation {
        because.push_str("; items that change later are not found by when they were made");
    }
    let ascends = order == Order::OldestFirst && best.times.len() >= ENOUGH_FOR_ORDER;
    Some(of_value(&best.path.to_string(), parameter, ascends, sureness, because))
}

fn of_value(value: &str, parameter: &Parameter, ascends: bool, sureness: Sureness, because: String) -> Finding {
    let name = &parameter.name;
    let mut settings =
        vec![Setting::new("cursor.value", value), Setting::new(format!("request.query.{name}"), "{{ cursor }}")];
    settings.extend(initial(Some(parameter)));
    settings.extend(ascends.then(|| Setting::new("cursor.ascending", true)));
    Finding { about: About::Cursor, settings, found: format!("`{value}`, asked from with `{name}`"), sureness, because }
}

/// Returns a field as a date, if it is one in nearly all items and tells when something became as it is.
fn date_field<'a>(column: Column<'a>, ignored: &[String]) -> Option<DateField<'a>> {
    let Column { path, values } = column;
    let tells = told_by(&path.plain_name())?;
    if path.0.len() > MOST_LEVELS || ignored.contains(&path.to_string()) {
        return None;
    }
    let count = values.len();
    let values: Vec<&Value> = values.into_iter().flatten().collect();
    let times: Vec<_> = values.iter().filter_map(|value| shape::date(value).or_else(|| shape::epoch(value))).collect();
    let is_one = times.len() == values.len() && times.len() * 10 >= count * 9 && !times.is_empty();
    is_one.then_some(DateField { path, values, times, tells })
}

/// Returns what a date of this name tells of; `None` if it is another one, such as that of a deadline.
fn told_by(name: &str) -> Option<Tells> {
    let holds = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if holds(&["updat", "modif", "edited", "changed", "lastactivity"]) {
        return Some(Tells::Update);
    }
    let is_plain = ["date", "time", "timestamp", "datetime", "ts", "pubdate", "at"].contains(&name);
    (is_plain || holds(&["creat", "publish", "posted", "issued", "added", "inserted", "submitted", "released"]))
        .then_some(Tells::Creation)
}

fn order(times: &[Timestamp]) -> Order {
    if times.len() < 2 || times.windows(2).all(|pair| pair[0] == pair[1]) {
        Order::None
    } else if times.is_sorted() {
        Order::OldestFirst
    } else if times.is_sorted_by(|one, next| one >= next) {
        Order::NewestFirst
    } else {
        Order::None
    }
}

fn text(value: &Value) -> &str {
    match value {
        Value::Number(number) => number.as_str(),
        other => other.as_str().unwrap_or_default(),
    }
}

/// Names the form of a date.
fn form(text: &str) -> &'static str {
    match text.parse::<f64>() {
        Ok(number) if number >= 100_000_000_000.0 => "milliseconds",
        Ok(_) => "seconds",
        Err(_) if text.len() == 10 => "a day",
        Err(_) => "a date and time",
    }
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NewestFirst => ", newest first",
            Self::OldestFirst => ", oldest first",
            Self::None => "",
        })
    }
}
