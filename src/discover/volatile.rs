//! What of an item changes without a meaning.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::path::{Path, Step, columns, plain};
use super::{About, Finding, Listing, Setting, Sureness, shape};
use crate::model::expression::Expression;

/// Names of what counts, as `plain` has them: it goes up all day, and nobody wants to be told.
const COUNTERS: &[&str] = &[
    "views",
    "viewcount",
    "viewscount",
    "viewers",
    "pageviews",
    "downloads",
    "downloadcount",
    "downloadscount",
    "downloadstotal",
    "recentdownloads",
    "stars",
    "starcount",
    "starscount",
    "stargazers",
    "stargazerscount",
    "watchers",
    "watcherscount",
    "forkscount",
    "forks",
    "score",
    "ups",
    "downs",
    "upvotes",
    "downvotes",
    "upvoteratio",
    "votes",
    "votecount",
    "points",
    "likes",
    "likecount",
    "likescount",
    "numlikes",
    "favouritescount",
    "favoritescount",
    "favoritecount",
    "reblogscount",
    "repliescount",
    "replycount",
    "retweetcount",
    "quotecount",
    "repostcount",
    "sharecount",
    "shares",
    "numcomments",
    "commentcount",
    "commentscount",
    "numcrossposts",
    "clicks",
    "hitcount",
    "impressions",
    "rank",
    "position",
    "popularity",
    "subscribers",
    "followers",
    "followerscount",
    "pullcount",
    "reactionscount",
    "publicreactionscount",
    "positivereactionscount",
];

/// Names of what tells when the answer was made, and not what it tells of.
const CLOCKS: &[&str] = &[
    "age",
    "fetchedat",
    "generatedat",
    "generated",
    "retrievedat",
    "requestedat",
    "servedat",
    "servertime",
    "now",
    "currenttime",
    "timeago",
    "relativetime",
    "uptime",
    "ttl",
    "expiresin",
    "secondsago",
    "lastrefresh",
    "cachedat",
    "requestid",
];

/// The most levels below an item that are compared.
const MOST_LEVELS: usize = 5;

/// The most fields that are ignored.
const MOST_IGNORED: usize = 30;

/// What part of the items a field has to differ in, in percent, to differ in nearly all.
const NEARLY_ALL: usize = 80;

/// Tells whether a name is that of something which changes without the item being another one.
pub(super) fn is_counter(name: &str) -> bool {
    COUNTERS.contains(&name) || CLOCKS.contains(&name)
}

/// Returns what of the items should be ignored, if anything; `key` is what identifies them.
pub(super) fn find(listing: &Listing, later: Option<&Listing>, key: &[String]) -> Option<Finding> {
    let pairs = later.map(|later| pairs(listing, later, key)).unwrap_or_default();
    let mut differing: IndexMap<Path, usize> = IndexMap::new();
    for (before, after) in &pairs {
        note_differences(before, after, &mut Path::default(), &mut differing);
    }
    let is_key = |path: &Path| key.contains(&path.to_string());
    let differs = |count: usize| pairs.len() >= 3 && count * 100 >= pairs.len() * NEARLY_ALL;
    let mut measured: Vec<&Path> = Vec::new();
    let mut named: Vec<Path> = Vec::new();
    for (path, count) in &differing {
        if is_key(path) {
            continue;
        }
        if differs(*count) {
            measured.push(path);
        } else if is_counter(&path.plain_name()) {
            named.push(path.clone());
        }
    }
    let rows: Vec<&Value> = listing.rows.iter().collect();
    for column in columns(&rows) {
        let is_known = measured.contains(&&column.path) || named.contains(&column.path) || is_key(&column.path);
        if !is_known && is_volatile_by_itself(&column.path, &column.values) {
            named.push(column.path);
        }
    }
    let because = match (measured.is_empty(), named.is_empty()) {
        (true, true) => return None,
        (false, true) => differs_in(&differing, &measured, pairs.len()),
        (true, false) => "such fields change without the item being another one".to_owned(),
        (false, false) => {
            format!("{}, or names something that counts", differs_in(&differing, &measured, pairs.len()))
        }
    };
    let ignored = measured.into_iter().cloned().chain(named).filter_map(|path| expression(&path, &listing.rows));
    let ignored: Vec<String> = ignored.take(MOST_IGNORED).collect();
    if ignored.is_empty() {
        return None;
    }
    Some(Finding {
        about: About::Volatile,
        found: ignored.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", "),
        settings: vec![Setting::new("item.ignore", ignored)],
        // Prices change in all items as well, and whoever watches them wants to be told.
        sureness: Sureness::Likely,
        because,
    })
}

fn differs_in(differing: &IndexMap<Path, usize>, measured: &[&Path], pairs: usize) -> String {
    let least = measured.iter().filter_map(|path| differing.get(*path)).min().copied().unwrap_or_default();
    if least == pairs {
        format!("it differs between the two answers in all {pairs} items")
    } else {
        format!("it differs between the two answers in {least} of {pairs} items")
    }
}

/// Returns the items that both answers have, as each has them.
fn pairs<'a>(listing: &'a Listing, later: &'a Listing, key: &[String]) -> Vec<(&'a Value, &'a Value)> {
    let Ok(key) = key.iter().map(|part| Expression::parse(part)).collect::<Result<Vec<_>, _>>() else {
        return Vec::new();
    };
    let key_of = |row: &Value| -> Option<Vec<String>> {
        key.iter().map(|part| Some(part.first_output(row).ok()??.to_string())).collect()
    };
    let before: HashMap<_, _> = listing.rows.iter().filter_map(|row| Some((key_of(row)?, row))).collect();
    later.rows.iter().filter_map(|row| Some((*before.get(&key_of(row)?)?, row))).collect()
}

/// Notes the paths at which two values differ, each once.
fn note_differences(before: &Value, after: &Value, path: &mut Path, differing: &mut IndexMap<Path, usize>) {
    let mut found = Vec::new();
    differences(before, after, path, &mut found);
    found.sort_by_cached_key(ToString::to_string);
    found.dedup();
    for path in found {
        *differing.entry(path).or_default() += 1;
    }
}

fn differences(before: &Value, after: &Value, path: &mut Path, found: &mut Vec<Path>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(before), Value::Object(after)) if path.0.len() < MOST_LEVELS => {
            for (name, value) in before {
                path.0.push(Step::Member(name.clone()));
                differences(value, after.get(name).unwrap_or(&Value::Null), path, found);
                path.0.pop();
            }
            for (name, value) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
                path.0.push(Step::Member(name.clone()));
                differences(&Value::Null, value, path, found);
                path.0.pop();
            }
        }
        (Value::Array(before), Value::Array(after)) if path.0.len() < MOST_LEVELS && before.len() == after.len() => {
            path.0.push(Step::Each);
            for (before, after) in before.iter().zip(after) {
                differences(before, after, path, found);
            }
            path.0.pop();
        }
        _ => found.push(path.clone()),
    }
}

/// Tells whether a field is volatile by its name, or by what it says.
fn is_volatile_by_itself(path: &Path, values: &[Option<&Value>]) -> bool {
    let mut values = values.iter().flatten().peekable();
    if values.peek().is_none() {
        return false;
    }
    let name = path.plain_name();
    let all = |test: fn(&Value) -> bool| values.clone().all(|value| test(value));
    COUNTERS.contains(&name.as_str()) && all(is_count)
        || CLOCKS.contains(&name.as_str())
        || all(|value| value.as_str().is_some_and(shape::is_relative_time))
}

/// Tells whether a value is a number, or a text that is one.
fn is_count(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::String(text) => {
            plain(text).parse::<u64>().is_ok() || text.parse::<f64>().is_ok() || text.ends_with(['k', 'K', 'M'])
        }
        _ => false,
    }
}

/// Returns the expression that takes a field out of each of some items, whatever they are like.
fn expression(path: &Path, rows: &[Value]) -> Option<String> {
    let plain = path.to_string();
    // Where something on the way is of another kind in some item, nothing is there to be ignored.
    let lenient = plain.replace("[]", "[]?");
    [format!("{lenient}?"), lenient, plain].into_iter().rev().find(|source| {
        Expression::parse(source).is_ok_and(|expression| {
            rows.iter().all(|row| expression.delete_from(&mut row.clone()).is_ok())
                && (!source.contains("[]") || source.contains('?'))
        })
    })
}
