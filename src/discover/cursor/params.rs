//! The parameters that an API names to be asked from something with.

use std::fmt;

use serde_json::Value;
use url::Url;

use crate::discover::Page;
use crate::discover::path::plain;
use crate::discover::shape;
use crate::http::header::LINK;

/// The most levels of an answer that are searched for addresses.
const MOST_LEVELS: usize = 4;

/// An array with more elements than this is one of items, whose addresses are their own.
const MOST_ELEMENTS: usize = 10;

/// The most addresses that are looked at.
const MOST_ADDRESSES: usize = 200;

/// A parameter that items can be asked from something with.
#[derive(Debug)]
pub(super) struct Parameter {
    pub name: String,
    /// What it was given with, if it was.
    pub value: Option<String>,
    pub wants: Wants,
    pub said: Said,
}

/// What a parameter is to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    Creation,
    Update,
    /// A date, its name does not say which.
    Any,
    Id,
}

/// Where a parameter is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// In the address that was asked.
    Asked,
    /// In an address of the answer.
    Linked,
}

/// Returns the parameters that the API names, those of the given address first.
pub(super) fn of(page: &Page<'_>) -> Vec<Parameter> {
    let own = &page.answer.url;
    let mut found: Vec<_> =
        own.query_pairs().filter_map(|(name, value)| parameter(&name, &value, Said::Asked)).collect();
    let mut addresses = Vec::new();
    for header in page.answer.headers.get_all(LINK) {
        let texts = header.to_str().unwrap_or_default().split('<').skip(1);
        addresses.extend(texts.filter_map(|text| text.split_once('>')).map(|(address, _)| address));
    }
    note_addresses(&page.value, 0, &mut addresses);
    for address in addresses.into_iter().take(MOST_ADDRESSES) {
        for (name, value) in pairs(own, address).unwrap_or_default() {
            if !found.iter().any(|known| known.name == name) {
                found.extend(parameter(&name, &value, Said::Linked));
            }
        }
    }
    found
}

fn note_addresses<'v>(value: &'v Value, level: usize, addresses: &mut Vec<&'v str>) {
    match value {
        Value::String(text) if text.contains(['?', '{']) && text.len() <= 4000 && addresses.len() < MOST_ADDRESSES => {
            addresses.push(text);
        }
        Value::Object(members) if level < MOST_LEVELS && addresses.len() < MOST_ADDRESSES => {
            for member in members.values() {
                note_addresses(member, level + 1, addresses);
            }
        }
        Value::Array(elements) if level < MOST_LEVELS && elements.len() <= MOST_ELEMENTS => {
            for element in elements {
                note_addresses(element, level + 1, addresses);
            }
        }
        _ => {}
    }
}

/// Returns the parameters of an address if it is of the same list: those with values, and those that a template such as
/// `/orders{?since,limit}` has a place for.
fn pairs(own: &Url, address: &str) -> Option<Vec<(String, String)>> {
    let (before, template) = address.split_once('{').unwrap_or((address, ""));
    let url = own.join(before).ok().filter(|url| url.origin() == own.origin() && url.path() == own.path())?;
    let names = template.trim_start_matches(['?', '&']).split('}').next().unwrap_or_default();
    let named = names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| (name.trim_end_matches('*').to_owned(), String::new()));
    Some(url.query_pairs().into_owned().chain(named).collect())
}

/// Returns a parameter if its name, and what it is given, say that items can be asked from it.
fn parameter(name: &str, value: &str, said: Said) -> Option<Parameter> {
    let value = (!value.is_empty()).then(|| Value::from(value));
    let is_date = value.as_ref().is_none_or(|value| shape::date(value).is_some() || shape::epoch(value).is_some());
    let is_number = value.as_ref().is_none_or(|value| value.as_str().is_some_and(|text| text.parse::<u128>().is_ok()));
    let wants = wants(&plain(name), value.is_some())?;
    let fits = if wants == Wants::Id { is_number } else { is_date };
    // A dot would be taken for one between keys.
    (fits && !name.contains('.')).then(|| Parameter {
        name: name.to_owned(),
        value: value.and_then(|value| value.as_str().map(str::to_owned)),
        wants,
        said,
    })
}

/// Returns what a parameter of this name is given; some only say it together with a value.
fn wants(name: &str, has_value: bool) -> Option<Wants> {
    let holds = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if ["sinceid", "minid", "afterid", "idgt", "idafter", "sinceseq"].contains(&name) {
        return Some(Wants::Id);
    }
    let is_end = holds(&["until", "before", "max", "end", "lt"]) && !holds(&["result"]);
    let is_start = holds(&["since", "after", "from", "min", "gt", "start"]);
    if is_start && !is_end && holds(&["updat", "modif", "edited", "changed"]) {
        return Some(Wants::Update);
    }
    if is_start && !is_end && holds(&["creat", "publish", "posted", "submitted", "added"]) {
        return Some(Wants::Creation);
    }
    if ["since", "sincedate", "sincetime", "oldest"].contains(&name) {
        return Some(Wants::Any);
    }
    let is_clear = [
        "fromdate",
        "datefrom",
        "datestart",
        "startdate",
        "starttime",
        "mindate",
        "mintime",
        "begindate",
        "begintime",
        "fromtime",
        "mintimestamp",
        "afterdate",
        "starttimestamp",
    ];
    let needs_value = ["from", "start", "after", "begin", "min"];
    // The beginning of a range of time is about when things happened.
    (is_clear.contains(&name) || has_value && needs_value.contains(&name)).then_some(Wants::Creation)
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "the address that was given",
            Self::Linked => "an address in the answer",
        })
    }
}
