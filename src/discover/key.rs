//! What identifies an item.

mod names;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::path::{Column, Path, columns};
use super::{About, Finding, Listing, Setting, Sureness, shape, volatile};
use crate::model::fingerprint::Fingerprint;

/// The score from which a name says that its field identifies something.
const IDENTIFIER: i64 = 84;

/// The score from which a field that is unique is taken for the key without a doubt being stated.
const LIKELY: i64 = 50;

/// The least score of times at even steps: there is one item for each, although dates are no keys elsewhere.
const SERIES: i64 = 52;

/// How many fields are tried in pairs.
const TRIED_IN_PAIRS: usize = 10;

/// The longest key, in bytes.
const LONGEST_KEY: usize = 1024;

/// A field that could be the key.
#[derive(Debug)]
struct Candidate<'a> {
    path: Path,
    /// One for each item.
    values: Vec<&'a Value>,
    score: i64,
    /// It is different in all items that are not the same altogether.
    unique: bool,
    /// Its values are times at even steps, as those of measurements are.
    is_series: bool,
    /// Its name may be that of what the item belongs to, which two items need not share.
    of_another: bool,
    /// Why it is not the key although it may be unique.
    against: Option<&'static str>,
    /// How many of the first answer's values the second one has as well; `None` if it was not asked or has no items.
    shared: Option<usize>,
}

/// Returns what identifies the items.
pub(super) fn find(listing: &Listing, later: Option<&Listing>) -> Finding {
    if listing.count == 0 {
        return nothing_known();
    }
    let rows = without_copies(&listing.rows);
    let later = later.filter(|later| !later.rows.is_empty());
    if listing.expression == "." {
        return of_document(rows[0]);
    }
    let mut candidates = candidates(listing, &rows, later);
    candidates.sort_by_key(|candidate| std::cmp::Reverse((candidate.against.is_none(), candidate.score)));
    let best = candidates.iter().find(|candidate| candidate.unique && candidate.against.is_none());
    let pair = pair(&candidates, best, rows.len());
    if let Some((first, second)) = pair {
        return of_pair(first, second, rows.len());
    }
    match best.or_else(|| candidates.iter().find(|candidate| candidate.unique)) {
        Some(candidate) => of_candidate(candidate, rows.len(), later),
        None => of_no_candidate(&candidates, &rows),
    }
}

/// Returns the items without those that are the same altogether as one before them.
fn without_copies(rows: &[Value]) -> Vec<&Value> {
    let mut seen = HashSet::new();
    rows.iter().filter(|row| seen.insert(Fingerprint::of([*row]).0)).collect()
}

fn candidates<'a>(listing: &Listing, rows: &[&'a Value], later: Option<&Listing>) -> Vec<Candidate<'a>> {
    let list = list_name(&listing.expression);
    let thin = rows.iter().all(|row| row.as_object().is_some_and(|row| row.len() <= 3));
    let mut candidates: Vec<_> = columns(rows)
        .into_iter()
        .filter_map(|Column { path, values }| {
            let values: Vec<_> = values.into_iter().collect::<Option<_>>()?;
            if !values.iter().all(|value| is_keylike(value)) {
                return None;
            }
            let unique = values.iter().map(|value| text(value)).collect::<HashSet<_>>().len() == values.len();
            let mut score = names::score(&path, &list, thin) + worth(&values);
            if listing.expression.ends_with("to_entries[]") && path.to_string() == ".key" {
                score += 40;
            }
            if names::is_stamp(&path.plain_name(), &values) && path.0.len() == 1 {
                score = score.max(IDENTIFIER);
            }
            let is_series = shape::is_series(&path.plain_name(), &values);
            let against = objection(&path, &values).filter(|_| !is_series);
            if is_series {
                score = score.max(SERIES);
            }
            let shared = later.map(|later| shared(&path, &values, &later.rows));
            let of_another = names::may_be_of_another(&path, &list);
            Some(Candidate { path, values, score, unique, is_series, of_another, against, shared })
        })
        .collect();
    object_to_fleeting(&mut candidates);
    object_to_counters(&mut candidates, later);
    candidates
}

/// Returns the name of the list that an expression leads to, without the plural's `s`.
fn list_name(expression: &str) -> String {
    let place = expression.split(" | ").next().unwrap_or_default();
    let name = place.trim_end_matches("[]").rsplit('.').find(|name| *name != "node").unwrap_or_default();
    let name = super::path::plain(name);
    match name.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => name.trim_end_matches('s').to_owned(),
    }
}

fn is_keylike(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty() && text.len() <= LONGEST_KEY,
        Value::Number(_) => true,
        _ => false,
    }
}

fn text(value: &Value) -> &str {
    match value {
        Value::String(text) => text,
        Value::Number(number) => number.as_str(),
        _ => "",
    }
}

/// Returns what the values say for a field being a key, beside its name.
fn worth(values: &[&Value]) -> i64 {
    let is_prose = |value: &&&Value| {
        let text = text(value);
        let is_address = text.starts_with("http://") || text.starts_with("https://");
        !is_address && (text.len() > 120 || text.split_whitespace().count() > 3)
    };
    if values.iter().filter(is_prose).count() * 4 > values.len() { -35 } else { 0 }
}

/// Returns why a field is no key, whatever its values are like in other answers.
fn objection(path: &Path, values: &[&Value]) -> Option<&'static str> {
    let name = path.plain_name();
    if volatile::is_counter(&name) {
        return Some("its name is that of something which changes");
    }
    if values.iter().all(|value| shape::date(value).is_some()) {
        return Some("it is a date");
    }
    if ["etag", "rev", "resourceversion"].contains(&name.as_str()) {
        return Some("it is different for each version of an item");
    }
    if names::is_stamp(&name, values) {
        return None;
    }
    if names::is_date(&name) && values.iter().all(|value| shape::epoch(value).is_some()) {
        return Some("it is a date");
    }
    let is_fraction = |value: &&Value| match value {
        Value::Number(number) => number.as_str().contains(['.', 'e', 'E']),
        // As in a table of texts; a version such as `1.0` is none.
        Value::String(text) => name != "version" && text.contains('.') && text.parse::<f64>().is_ok(),
        _ => false,
    };
    (values.iter().filter(|value| is_fraction(value)).count() * 2 > values.len())
        .then_some("it is a number with a fraction")
}

/// Returns how many of some values a field has in other rows as well.
fn shared(path: &Path, values: &[&Value], later: &[Value]) -> usize {
    let later: HashSet<&str> = later.iter().filter_map(|row| path.value(row)).map(text).collect();
    values.iter().filter(|value| later.contains(text(value))).count()
}

/// Objects to fields of which the second answer has nothing, where it has most of another one.
fn object_to_fleeting(candidates: &mut [Candidate<'_>]) {
    let most = candidates.iter().filter(|candidate| candidate.unique).filter_map(|candidate| candidate.shared).max();
    let Some(most) = most.filter(|most| *most > 0) else { return };
    for candidate in candidates.iter_mut().filter(|candidate| candidate.against.is_none()) {
        if candidate.unique && candidate.shared.is_some_and(|shared| shared * 2 < most) {
            candidate.against = Some("it differs between the two answers");
        }
    }
}

/// Objects to fields that count the items: 1, 2, 3 and so on from the first to the last.
fn object_to_counters(candidates: &mut [Candidate<'_>], later: Option<&Listing>) {
    for index in 0..candidates.len() {
        let candidate = &candidates[index];
        if candidate.values.len() < 3 || !counts_up(&candidate.values) {
            continue;
        }
        let says_id = candidate.score >= IDENTIFIER;
        let witness = candidates.iter().enumerate().find(|(other, witness)| {
            *other != index && witness.unique && witness.against.is_none() && !counts_up(&witness.values)
        });
        let moves = later.zip(witness).is_some_and(|(later, (_, witness))| moves(candidate, witness, &later.rows));
        if moves || !says_id || names::is_position(&candidate.path.plain_name()) {
            candidates[index].against = Some("it counts the items");
        }
    }
}

/// Tells whether values are 0, 1, 2 or 1, 2, 3 and so on.
fn counts_up(values: &[&Value]) -> bool {
    let numbers = |first: u64| values.iter().zip(first..).all(|(value, count)| text(value).parse() == Ok(count));
    numbers(0) || numbers(1)
}

/// Tells whether what a field says stays where it is while the items move.
fn moves(counter: &Candidate<'_>, witness: &Candidate<'_>, later: &[Value]) -> bool {
    let now: HashMap<&str, &str> =
        counter.values.iter().map(|value| text(value)).zip(witness.values.iter().map(|value| text(value))).collect();
    let pairs = later.iter().filter_map(|row| {
        let now = now.get(text(counter.path.value(row)?))?;
        Some(*now == text(witness.path.value(row)?))
    });
    let same: Vec<bool> = pairs.collect();
    same.iter().filter(|same| !**same).count() * 2 > same.len()
}

/// Returns two fields that are unique together, if that is better than the best one alone.
fn pair<'c, 'a>(
    candidates: &'c [Candidate<'a>],
    best: Option<&Candidate<'a>>,
    count: usize,
) -> Option<(&'c Candidate<'a>, &'c Candidate<'a>)> {
    if count < 2 || best.is_some_and(|best| best.score >= LIKELY) {
        return None;
    }
    let is_part = |candidate: &&Candidate<'_>| {
        let is_date = candidate.against == Some("it is a date");
        (candidate.against.is_none() || is_date) && candidate.score > 0 && !candidate.unique
    };
    let mut parts: Vec<_> = candidates.iter().filter(is_part).collect();
    parts.sort_by_key(|candidate| std::cmp::Reverse(names::score_of_part(&candidate.path, candidate.score)));
    parts.truncate(TRIED_IN_PAIRS);
    for (index, first) in parts.iter().enumerate() {
        for second in &parts[index + 1..] {
            let both = first.values.iter().zip(&second.values).map(|(first, second)| (text(first), text(second)));
            if both.collect::<HashSet<_>>().len() == count {
                return Some(if names::is_kind(&second.path.plain_name()) { (second, first) } else { (first, second) });
            }
        }
    }
    None
}

fn of_pair(first: &Candidate<'_>, second: &Candidate<'_>, count: usize) -> Finding {
    let is_kind = names::is_kind(&first.path.plain_name());
    let says_id = second.score >= IDENTIFIER;
    let sureness = if is_kind && says_id && count >= 3 { Sureness::Likely } else { Sureness::Doubtful };
    let paths = [first.path.to_string(), second.path.to_string()];
    Finding {
        about: About::Key,
        found: format!("`{}` with `{}`", paths[0], paths[1]),
        settings: vec![Setting::new("item.key", paths.to_vec())],
        sureness,
        because: format!("no field alone is different in all {count} items, and these two together are"),
    }
}

fn of_candidate(candidate: &Candidate<'_>, count: usize, later: Option<&Listing>) -> Finding {
    let is_lost = later.is_some() && candidate.shared == Some(0);
    let sureness = match candidate.against {
        Some(_) => Sureness::Doubtful,
        None if is_lost => Sureness::Doubtful,
        None if candidate.score >= IDENTIFIER && count >= 2 => Sureness::Certain,
        None if candidate.score >= IDENTIFIER => Sureness::Likely,
        None if candidate.of_another && count < 3 => Sureness::Doubtful,
        None if candidate.score >= LIKELY && count >= 2 => Sureness::Likely,
        None => Sureness::Doubtful,
    };
    let mut because = match count {
        1 => "there is only one item to tell by".to_owned(),
        2 => "it is different in both items".to_owned(),
        _ => format!("it is different in all {count} items"),
    };
    match (later.map(|later| later.rows.len()), candidate.shared) {
        (Some(_), Some(0)) => because.push_str(", but the second answer has none of them"),
        (Some(_), Some(shared)) if shared == count => because.push_str(", and the same in both answers"),
        (Some(_), Some(shared)) => because = format!("{because}, and {shared} of them are in both answers"),
        _ => {}
    }
    if candidate.is_series {
        because.push_str(", and its times follow one another at even steps");
    }
    if let Some(against) = candidate.against {
        because = format!("{because}, but {against}");
    } else if sureness == Sureness::Doubtful && count > 1 && !is_lost {
        because.push_str(", but its name does not say that it stays so");
    }
    key(&candidate.path, sureness, because)
}

fn of_no_candidate(candidates: &[Candidate<'_>], rows: &[&Value]) -> Finding {
    let scalars = rows.iter().all(|row| is_keylike(row));
    match candidates.first().filter(|candidate| candidate.score >= LIKELY && !scalars) {
        Some(candidate) => {
            let distinct = candidate.values.iter().map(|value| text(value)).collect::<HashSet<_>>().len();
            let because = format!(
                "nothing is different in all {} items; this has {distinct} values, and items that share one count as one",
                rows.len()
            );
            key(&candidate.path, Sureness::Doubtful, because)
        }
        None if scalars => key(&Path::default(), Sureness::Certain, "each item is nothing but its value".to_owned()),
        None => Finding {
            about: About::Key,
            settings: vec![Setting::new("item.key", "tojson")],
            found: "`tojson`".to_owned(),
            sureness: Sureness::Doubtful,
            because: "no field identifies an item, so the whole item does: one that changes counts as a new one"
                .to_owned(),
        },
    }
}

fn of_document(row: &Value) -> Finding {
    let rows = [row];
    let own = columns(&rows).into_iter().find(|column| {
        column.path.0.len() == 1
            && shape::says_own_id(column.path.names().next().unwrap_or_default())
            && column.values.iter().flatten().all(|value| is_keylike(value))
    });
    match own {
        Some(column) => {
            key(&column.path, Sureness::Doubtful, "the answer is one object, and this is its id".to_owned())
        }
        None => Finding {
            about: About::Key,
            settings: vec![Setting::new("item.key", "\"answer\"")],
            found: "`\"answer\"`".to_owned(),
            sureness: Sureness::Doubtful,
            because: "the answer is one object without an id, so its key is always the same".to_owned(),
        },
    }
}

fn nothing_known() -> Finding {
    Finding {
        about: About::Key,
        settings: vec![Setting::new("item.key", ".id")],
        found: "`.id`".to_owned(),
        sureness: Sureness::Doubtful,
        because: "there are no items at present, and most have one".to_owned(),
    }
}

fn key(path: &Path, sureness: Sureness, because: String) -> Finding {
    let path = path.to_string();
    let settings = vec![Setting::new("item.key", path.as_str())];
    Finding { about: About::Key, settings, found: format!("`{path}`"), sureness, because }
}
