//! What an API answers → a draft of a connector: what can be found out from one or two answers, how sure that is, and why.
//!
//! Everything here is a pure function of the answers. Nothing is asked, and nothing is written.

mod auth;
mod cursor;
mod errors;
mod format;
mod html;
mod items;
mod key;
mod limits;
mod lists;
mod paging;
mod path;
mod shape;
#[cfg(test)]
mod testing;
mod volatile;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use url::Url;

use crate::http::Status;
use crate::http::header::{CONTENT_TYPE, HeaderMap};
use crate::model::expression::Expression;
use crate::model::format::ResponseFormat;
use crate::poll::value_of;

pub use auth::{AuthHint, auth_hint};
pub use html::advertised_feeds;

/// One answer of an API to a plain GET.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Where it was found.
    pub url: Url,
    pub status: u16,
    pub headers: HeaderMap,
    /// After decompression.
    pub body: Bytes,
}

/// What was found out about an API.
#[derive(Debug, Clone, Serialize)]
pub struct Draft {
    /// In the order in which people would ask: what the answer is, where its items are, what identifies them, and so on.
    pub findings: Vec<Finding>,
    /// How many items there are in the answer.
    pub items: usize,
}

/// One thing that was found out, or could not be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    pub about: About,
    /// What a connector says of it; empty if its defaults are right, or if nothing is known.
    pub settings: Vec<Setting>,
    /// What was found, in a few words: "`.id`", "a Link header".
    pub found: String,
    pub sureness: Sureness,
    /// Why, as the end of a sentence for people: "it is different in all 30 items, and the same in both answers".
    pub because: String,
}

/// A key of a connector and its value. One below `request.query` takes the place of the parameter of that name in the
/// address: see [`Draft::address`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// The dotted path of the key, such as `item.key`.
    pub path: String,
    /// As TOML and JSON have in common.
    pub value: Value,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// In which format the answer is.
    Format,
    /// Where in it the items are.
    Items,
    /// What identifies an item.
    Key,
    /// What of an item changes without a meaning.
    Volatile,
    /// How the pages after this one are found.
    Paging,
    /// Which date the API can be asked from.
    Cursor,
    /// Whether the answer lists everything that there is, or what is recent.
    Lists,
    /// What says that an answer is a failure, whatever its status.
    Errors,
    /// How often the API may be asked.
    Limits,
    /// How requests prove who they are from.
    Auth,
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sureness {
    /// It may well be wrong: a person should look at it.
    Doubtful,
    /// Nothing speaks against it, and something for it.
    Likely,
    /// The answer says so, or there is no other way to read it.
    Certain,
}

/// Why no draft could be made of an answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Undiscovered {
    /// It is not there, or not for whoever asked.
    #[error("the API answered {}{}", Status(*status), said(says.as_ref()))]
    Status {
        status: u16,
        /// What the API says of it itself.
        says: Option<String>,
        /// How it wants requests to prove who they are from, if it says so.
        auth: Option<Box<Finding>>,
    },
    /// A status of success, and a body that reports a failure.
    #[error("the API answered with an error and a status of success: {says}")]
    Reported { says: String },
    /// No format that is known, or not valid in it.
    #[error("{0}")]
    Unreadable(String),
    /// A value that holds nothing which could be an item, such as `true`.
    #[error("the answer is {0}, which has no items")]
    Bare(&'static str),
}

/// An answer and what it says.
#[derive(Debug)]
struct Page<'a> {
    answer: &'a Answer,
    format: ResponseFormat,
    /// What jq sees.
    value: Value,
}

/// The items of a page.
#[derive(Debug)]
struct Listing {
    /// What gives them: `response.items`.
    expression: String,
    /// The first of them, [`MOST_ROWS`] at most.
    rows: Vec<Value>,
    /// How many there are in all.
    count: usize,
}

/// How many items are looked at, so that a long answer takes no longer than a usual one.
const MOST_ROWS: usize = 1000;

/// Finds out what can be found out from an API's answer, and from another one to the same request a little later.
pub fn discover(first: &Answer, again: Option<&Answer>) -> Result<Draft, Undiscovered> {
    if !(200..300).contains(&first.status) {
        return Err(refused(first));
    }
    let format::Read { format, value, finding: format_finding, items: known_items } = format::read(first)?;
    let page = Page { answer: first, format, value };
    let again = again.filter(|again| (200..300).contains(&again.status));
    let again = again.and_then(|again| Page::read(again, Some(&page.format)).ok());
    let (listing, items) = match known_items.and_then(|items| Some((Listing::of(&page, ".[]")?, items))) {
        Some(known) => known,
        None => items::find(&page)?,
    };
    let later = again.as_ref().and_then(|again| Listing::of(again, &listing.expression));
    let key = key::find(&listing, later.as_ref());
    let key_paths = expressions(Some(&key));
    let volatile = volatile::find(&listing, later.as_ref(), &key_paths);
    let mut paging = paging::find(&page, &listing);
    let cursor = cursor::find(&page, &listing, &key_paths, &expressions(volatile.as_ref()))
        .filter(|cursor| !share_a_parameter(cursor, &paging.finding));
    let asks_from_cursor = cursor.as_ref().is_some_and(|cursor| !cursor.settings.is_empty());
    let lists = lists::find(&page, &listing, &mut paging, asks_from_cursor);
    let limits = limits::find(&page, paging.requests(listing.count));
    let mut findings = vec![format_finding, items, key, paging.finding, lists, limits];
    findings.extend(volatile);
    findings.extend(cursor);
    findings.extend(errors::find(&page, &listing));
    findings.sort_by_key(|finding| finding.about);
    Ok(Draft { findings, items: listing.count })
}

/// Tells whether values of items are asked from with what leads to the next page: then it is a way of paging.
fn share_a_parameter(cursor: &Finding, paging: &Finding) -> bool {
    if cursor.settings.iter().any(|setting| setting.path == "cursor.answer") {
        return false;
    }
    let params = cursor.settings.iter().filter_map(|setting| setting.path.strip_prefix("request.query."));
    let mut params = params.filter(|param| {
        let carries = |setting: &Setting| setting.path.rsplit('.').next() == Some("param") && setting.value == *param;
        paging.settings.iter().any(carries)
    });
    params.next().is_some()
}

/// Returns the expressions of a finding's first setting.
fn expressions(finding: Option<&Finding>) -> Vec<String> {
    match finding.and_then(|finding| finding.settings.first()).map(|setting| &setting.value) {
        Some(Value::String(expression)) => vec![expression.clone()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// Says why an API refused to answer.
fn refused(answer: &Answer) -> Undiscovered {
    let says = Page::read(answer, None).ok().and_then(|page| items::words_of(&page.value));
    let auth = auth_hint(answer).map(|hint| Box::new(hint.finding));
    Undiscovered::Status { status: answer.status, says, auth }
}

impl<'a> Page<'a> {
    /// Reads an answer in the given format, or else in the one that it seems to have.
    fn read(answer: &'a Answer, format: Option<&ResponseFormat>) -> Result<Self, Undiscovered> {
        let content_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match value_of(format, Some(&answer.url), content_type, &answer.body) {
            Ok((format, value)) => Ok(Self { answer, format, value }),
            Err(error) => Err(Undiscovered::Unreadable(error.to_string())),
        }
    }
}

impl Listing {
    /// Returns that of an expression that gives nothing.
    fn nothing(expression: &str) -> Self {
        Self { expression: expression.to_owned(), rows: Vec::new(), count: 0 }
    }

    /// Returns what an expression gives of a page; `None` if it fails.
    fn of(page: &Page<'_>, expression: &str) -> Option<Self> {
        let outputs = Expression::parse(expression).ok()?;
        let outputs = outputs.outputs(&page.value).ok()?;
        let count = outputs.len();
        let rows = outputs.into_iter().take(MOST_ROWS).map(Cow::into_owned).collect();
        Some(Self { expression: expression.to_owned(), rows, count })
    }
}

/// Returns what an API says of its refusal, behind a colon.
fn said(says: Option<&String>) -> String {
    says.map(|says| format!(": {says}")).unwrap_or_default()
}

impl Draft {
    /// Returns what was found about something, if that was looked for.
    pub fn about(&self, about: About) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.about == about)
    }

    /// Returns the value of a setting, by its dotted path.
    pub fn setting(&self, path: &str) -> Option<&Value> {
        let mut settings = self.findings.iter().flat_map(|finding| &finding.settings);
        settings.find(|setting| setting.path == path).map(|setting| &setting.value)
    }

    /// Returns the address without the parameters that the draft sets itself, so that none is sent twice.
    pub fn address(&self, url: &Url) -> Url {
        let mut address = url.clone();
        let settings = self.findings.iter().flat_map(|finding| &finding.settings);
        let set: Vec<&str> = settings.filter_map(|setting| setting.path.strip_prefix("request.query.")).collect();
        if url.query_pairs().any(|(name, _)| set.contains(&&*name)) {
            let left: Vec<_> = url.query_pairs().filter(|(name, _)| !set.contains(&&**name)).collect();
            address.set_query(None);
            if !left.is_empty() {
                address.query_pairs_mut().extend_pairs(left);
            }
        }
        address
    }

    /// Tells whether a person should look at something.
    pub fn is_doubtful(&self) -> bool {
        self.findings.iter().any(|finding| finding.sureness == Sureness::Doubtful)
    }
}

impl Setting {
    /// Returns a setting.
    pub fn new(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { path: path.into(), value: value.into() }
    }
}

impl fmt::Display for Sureness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Doubtful => "doubtful",
            Self::Likely => "likely",
            Self::Certain => "certain",
        })
    }
}
