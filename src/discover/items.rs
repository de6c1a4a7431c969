//! Where in an answer its items are.

mod candidate;
mod columns;
mod failure;
mod maps;
#[cfg(test)]
mod tests;

use serde_json::Value;

use self::candidate::{Candidate, Kind, Survey};
use super::{About, Finding, Listing, Page, Setting, Sureness, Undiscovered};
use crate::model::format::ResponseFormat;

pub(super) use failure::words_of;

/// By how much the best place must be better than the next one, so that the other need not be named.
const CLEARLY_BETTER: i64 = 18;

/// What `response.items` is where nothing is written.
const DEFAULT: &str = ".[]";

/// Returns the items of a page, and what was found out about where they are.
pub(super) fn find(page: &Page<'_>) -> Result<(Listing, Finding), Undiscovered> {
    match page.format {
        ResponseFormat::Feed => Ok(usual(page, ".items[]", "each entry of a feed is an item")),
        ResponseFormat::Ndjson => Ok(usual(page, DEFAULT, "each line is an item")),
        ResponseFormat::Csv(_) => Ok(usual(page, DEFAULT, "each row is an item")),
        ResponseFormat::Html(_) => Ok(usual(page, DEFAULT, "each element that is selected is an item")),
        ResponseFormat::Json | ResponseFormat::Xml(_) => searched(page),
    }
}

/// Returns the items of a format that says itself where they are.
fn usual(page: &Page<'_>, expression: &str, because: &str) -> (Listing, Finding) {
    let listing = Listing::of(page, expression).unwrap_or_else(|| Listing::nothing(expression));
    let sureness = if listing.count == 0 { Sureness::Doubtful } else { Sureness::Certain };
    let because = if listing.count == 0 { "there are none at present" } else { because };
    (listing, finding(expression, false, sureness, because.to_owned()))
}

fn searched(page: &Page<'_>) -> Result<(Listing, Finding), Undiscovered> {
    let survey = Survey::of(&page.value);
    let Some(best) = survey.candidates.first() else {
        return Err(match failure::reported(&page.value) {
            Some(says) => Undiscovered::Reported { says },
            None => Undiscovered::Bare(kind_of(&page.value)),
        });
    };
    let is_of_errors = best.path.names().next().is_some_and(|name| ["error", "errors"].contains(&name));
    if (is_of_errors || matches!(best.kind, Kind::Document | Kind::Empty | Kind::Null))
        && let Some(says) = failure::reported(&page.value)
    {
        return Err(Undiscovered::Reported { says });
    }
    let rival = survey.candidates.get(1).filter(|rival| best.score - rival.score < CLEARLY_BETTER);
    let (mut sureness, mut because) = judge(best, rival, &survey, page);
    let expression = best.expression();
    let written = expression != DEFAULT;
    let listing = Listing::of(page, &expression).unwrap_or_else(|| {
        sureness = Sureness::Doubtful;
        because.push_str(", but this answer is too long for that");
        Listing::nothing(&expression)
    });
    Ok((listing, finding(&expression, written, sureness, because)))
}

/// Returns how sure it is that the items are there, and why.
fn judge(best: &Candidate, rival: Option<&Candidate>, survey: &Survey, page: &Page<'_>) -> (Sureness, String) {
    let share = best.bytes * 100 / survey.bytes.max(1);
    let mut because = match &best.kind {
        Kind::Document if survey.candidates.len() == 1 => "the answer is one object without a list".to_owned(),
        Kind::Document => "the answer is one object, and its lists are parts of it".to_owned(),
        Kind::Empty | Kind::Null => "it is empty at present, so what its items are like is not known".to_owned(),
        Kind::Map { own, .. } => {
            let what = if *own { "each has its name in itself" } else { "their names are taken for their keys" };
            format!("{} alike members of one object are {share} % of the answer; {what}", best.rows)
        }
        Kind::Lists { are_dates } => {
            let by = if *are_dates { "dates" } else { "keys" };
            format!("{} are in lists by {by}", objects(best.rows))
        }
        Kind::Table { .. } => format!("{} rows have the names of their columns beside them", best.rows),
        Kind::Columns(columns) => {
            let what = if columns.are_sure {
                "side by side: the values at one place are an item"
            } else {
                "which may be the fields of as many items, or have nothing to do with each other"
            };
            format!("it has {} lists of {} values, {what}", columns.count, columns.rows)
        }
        Kind::Scalars => format!("it is a list of {} plain values", best.rows),
        Kind::Arrays => format!("it has {} rows, and nothing names their columns", best.rows),
        Kind::Objects | Kind::Edges if best.path.0.is_empty() => {
            format!("the answer is a list of {}", objects(best.rows))
        }
        Kind::Objects | Kind::Edges => match convention(&page.value, best) {
            Some(convention) => format!("that is where {convention} has them"),
            None if survey.lists == 1 => {
                format!("it is the only list of objects in the answer, and has {}", objects(best.rows))
            }
            None => format!("{} there are {share} % of the answer", objects(best.rows)),
        },
    };
    if let Some(rival) = rival {
        because = format!("{because}; `{}` could be meant as well", rival.expression());
        return (Sureness::Doubtful, because);
    }
    let sureness = match best.kind {
        Kind::Objects | Kind::Edges if best.path.0.is_empty() || convention(&page.value, best).is_some() => {
            Sureness::Certain
        }
        Kind::Objects | Kind::Edges if survey.lists == 1 && best.rows > 1 => Sureness::Certain,
        Kind::Scalars if best.path.0.is_empty() => Sureness::Certain,
        Kind::Objects | Kind::Edges | Kind::Map { own: true, .. } | Kind::Table { named: true, .. } => Sureness::Likely,
        Kind::Columns(ref columns) if columns.are_sure => Sureness::Likely,
        Kind::Map { keyish, .. } if best.rows >= 5 || keyish && best.rows >= 3 => Sureness::Likely,
        Kind::Lists { are_dates: true } => Sureness::Likely,
        // The only element of a list looks like no list in XML.
        Kind::Document if !matches!(page.format, ResponseFormat::Xml(_)) => Sureness::Likely,
        _ => Sureness::Doubtful,
    };
    (sureness, because)
}

fn objects(count: usize) -> String {
    if count == 1 { "1 object".to_owned() } else { format!("{count} objects") }
}

/// Returns the name of the convention by which the items are there.
fn convention(value: &Value, best: &Candidate) -> Option<&'static str> {
    let names: Vec<&str> = best.path.names().collect();
    let has = |name: &str| value.get(name).is_some();
    match names[..] {
        ["features"] if value["type"] == "FeatureCollection" => Some("GeoJSON"),
        ["value"] if has("@odata.context") || has("odata.metadata") || has("@odata.nextLink") => Some("OData"),
        ["d", "results"] => Some("OData"),
        ["data"] if value["data"][0].get("type").is_some() && value["data"][0].get("attributes").is_some() => {
            Some("JSON:API")
        }
        ["_embedded", _] => Some("HAL"),
        ["hits", "hits"] if value["hits"].get("total").is_some() => Some("Elasticsearch"),
        ["rows"] if has("total_rows") => Some("CouchDB"),
        ["results"] if has("last_seq") => Some("CouchDB"),
        ["entry"] if value["resourceType"] == "Bundle" => Some("FHIR"),
        ["data", "children"] if value["kind"] == "Listing" => Some("Reddit"),
        ["data", .., "nodes" | "edges"] => Some("GraphQL"),
        ["items"] if has("metadata") && has("apiVersion") => Some("Kubernetes"),
        ["query", _] if has("batchcomplete") || has("continue") => Some("MediaWiki"),
        _ => None,
    }
}

fn finding(expression: &str, written: bool, sureness: Sureness, because: String) -> Finding {
    let settings = written.then(|| Setting::new("response.items", expression));
    let found = format!("`{expression}`");
    Finding { about: About::Items, settings: settings.into_iter().collect(), found, sureness, because }
}

/// Returns what kind of value it is, with its article.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "`null`",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an empty list",
        Value::Object(_) => "an empty object",
    }
}
