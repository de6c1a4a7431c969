//! A page's bytes → a value on which jq works. Each format has its own file.

mod charset;
mod csv;
mod feed;
mod html;
mod json;
mod listing;
mod ndjson;
mod sniff;
mod tree;
mod xml;

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::error::PageError;
use crate::model::connector::Response;
use crate::model::excerpt::Excerpt;
use crate::model::expression::Expression;
use crate::model::format::{ResponseFormat, XmlRules};
use crate::model::secret::Redactor;
use charset::Undecodable;

pub use html::{Outline, OutlineElement};

/// The most values, rows or elements that can become items of one page.
const MOST_ITEMS: usize = 1_000_000;

/// The most values of one page in a format whose values are small: elements and attributes, or cells.
const MOST_VALUES: usize = 2_000_000;

/// The most levels of arrays and objects that a page may have: as many as JSON is parsed with.
const MOST_LEVELS: usize = 127;

/// A page as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawPage<'a> {
    /// Where it was found, if that is known: what relative addresses in it are relative to.
    pub url: Option<&'a Url>,
    pub content_type: Option<&'a str>,
    pub body: &'a [u8],
}

/// What a page says.
#[derive(Debug)]
pub(super) struct Decoded<'r> {
    /// What its format is called.
    pub format: &'static str,
    pub value: Value,
    /// Yields the items.
    pub items: &'r Expression,
    /// For how long the page asks not to be asked for again: a feed's `ttl`.
    pub fresh_for: Option<Duration>,
}

/// Returns what a page says: in the configured format, or else in the one that its `Content-Type` or its beginning tells.
pub(super) fn decode<'r>(
    response: &'r Response,
    page: RawPage<'_>,
    redactor: &Redactor,
) -> Result<Decoded<'r>, PageError> {
    let excerpt = || Excerpt::of(redactor, page.body);
    let beginning = sniff::beginning(page.body);
    if beginning.trim_start().is_empty() {
        return Err(PageError::Empty);
    }
    let format = match &response.format {
        Some(format) => with_lists(format.clone(), response),
        None => match sniff::format(page.content_type, &beginning) {
            Some(format) => with_lists(format, response),
            None if sniff::markup(&beginning) == Some(sniff::Markup::Html) => {
                return Err(PageError::Markup { found: "HTML", expected: "JSON", hint: HTML_HINT, excerpt: excerpt() });
            }
            None => {
                let content_type = page.content_type.unwrap_or_default().to_owned();
                return Err(PageError::Format { content_type, excerpt: excerpt() });
            }
        },
    };
    if let Some(found) = unexpected_markup(&format, &beginning) {
        return Err(PageError::Markup { found, expected: format.name(), hint: "", excerpt: excerpt() });
    }
    let value = match value(&format, page).and_then(not_too_deep) {
        Ok(Value::Null) => return Err(PageError::Null),
        Ok(value) => value,
        Err(problem) => return Err(PageError::Invalid { expected: valid(&format), problem, excerpt: excerpt() }),
    };
    let is_feed = matches!(format, ResponseFormat::Feed);
    let items = if is_feed && response.items_by_default { &FEED_ITEMS } else { &response.items };
    let minutes = value["feed"]["ttl"].as_u64().filter(|_| is_feed);
    let fresh_for = minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60)));
    Ok(Decoded { format: format.name(), value, items, fresh_for })
}

/// Returns the items of a page that was found at this address: what `response.items` gives of what it says.
pub fn items_of(
    response: &Response,
    url: Option<&Url>,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Vec<Value>, PageError> {
    let Decoded { value, items, .. } = decode(response, RawPage { url, content_type, body }, &Redactor::default())?;
    items.into_outputs(value).map_err(|error| PageError::Response {
        setting: "response.items",
        expression: items.source().to_owned(),
        error: error.message,
        excerpt: Excerpt::of(&Redactor::default(), body),
    })
}

/// Returns what a page says, and the format in which: the given one, or else the one that its `Content-Type` or its
/// beginning tells.
pub fn value_of(
    format: Option<&ResponseFormat>,
    url: Option<&Url>,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<(ResponseFormat, Value), PageError> {
    let found = format.cloned().or_else(|| sniff::format(content_type, &sniff::beginning(body)));
    let response = Response {
        format: found.clone(),
        items: Expression::parse(".").expect("this expression is valid"),
        items_by_default: false,
        error: None,
    };
    let Decoded { value, .. } = decode(&response, RawPage { url, content_type, body }, &Redactor::default())?;
    Ok((found.expect("what was decoded has a format"), value))
}

/// Returns the elements of an HTML page that was found at this address. The error says why it cannot be read.
pub fn outline_of(url: Option<&Url>, content_type: Option<&str>, body: &[u8]) -> Result<Outline, String> {
    let declared = charset::declared_in_html(body);
    html::outline(&charset::text_of_any_age(body, content_type, declared.as_deref()), url)
}

/// Tells whether a page begins like HTML, which has no items by itself.
pub fn is_html(body: &[u8]) -> bool {
    sniff::markup(&sniff::beginning(body)) == Some(sniff::Markup::Html)
}

/// Yields the items of a feed where nothing else is configured.
static FEED_ITEMS: LazyLock<Expression> =
    LazyLock::new(|| Expression::parse(".items[]").expect("this expression is valid"));

/// What is said of HTML that nobody asked for.
const HTML_HINT: &str = " (to take items out of a page, say how in `response.html`)";

/// Returns the texts of the elements of the array that these names of members lead to, in a page that is JSON; `None` if
/// that cannot be done without parsing them, or if anything is odd: then [`decode`] says what. They are not checked.
pub(super) fn elements<'b>(
    format: Option<&ResponseFormat>,
    content_type: Option<&str>,
    body: &'b [u8],
    names: &[&str],
) -> Option<Vec<&'b RawValue>> {
    match format.cloned().or_else(|| sniff::format(content_type, &sniff::beginning(body))) {
        Some(ResponseFormat::Json) => listing::elements(without_byte_order_mark(body), names),
        _ => None,
    }
}

fn value(format: &ResponseFormat, page: RawPage<'_>) -> Result<Value, String> {
    let RawPage { content_type, body, .. } = page;
    match format {
        ResponseFormat::Json => json::decode(&charset::text_of_json(body, content_type)?),
        ResponseFormat::Ndjson => ndjson::decode(&charset::text_of_json(body, content_type)?),
        ResponseFormat::Csv(rules) => csv::decode(&charset::text_of_any_age(body, content_type, None), rules),
        ResponseFormat::Xml(rules) => {
            let declared = charset::declared_in_xml(body);
            xml::decode(&charset::text(body, content_type, declared.as_deref(), Undecodable::Refuse)?, rules)
        }
        ResponseFormat::Feed => {
            let declared = charset::declared_in_xml(body);
            // One letter that is wrong must not make all items look changed.
            let text = charset::text(body, content_type, declared.as_deref(), Undecodable::Replace)?;
            feed::decode(&text, page.url)
        }
        ResponseFormat::Html(rules) => {
            let declared = charset::declared_in_html(body);
            html::decode(&charset::text_of_any_age(body, content_type, declared.as_deref()), rules, page.url)
        }
    }
}

/// Returns the format with what `response.items` says of it: what `.feed.item[]` leads to is a list, even if there is one
/// `<item>` alone.
fn with_lists(format: ResponseFormat, response: &Response) -> ResponseFormat {
    match format {
        ResponseFormat::Xml(XmlRules { mut lists }) => {
            lists.extend(response.items.listing().and_then(|names| names.last().map(|name| (*name).to_owned())));
            ResponseFormat::Xml(XmlRules { lists })
        }
        other => other,
    }
}

/// Returns what stands where a page of this format was expected: a page for people, mostly.
fn unexpected_markup(format: &ResponseFormat, beginning: &str) -> Option<&'static str> {
    let markup = sniff::markup(beginning)?;
    match (format, markup) {
        (ResponseFormat::Html(_), _) => None,
        (_, sniff::Markup::Html) => Some("HTML"),
        (ResponseFormat::Json | ResponseFormat::Ndjson, _) => Some("XML"),
        _ => None,
    }
}

/// Passes a value on if it can be written as JSON and read again.
fn not_too_deep(value: Value) -> Result<Value, String> {
    fn is_within(value: &Value, most: usize) -> bool {
        match value {
            Value::Array(elements) => most > 0 && elements.iter().all(|element| is_within(element, most - 1)),
            Value::Object(members) => most > 0 && members.values().all(|member| is_within(member, most - 1)),
            _ => true,
        }
    }
    if is_within(&value, MOST_LEVELS) {
        Ok(value)
    } else {
        Err(format!("it is nested more than {MOST_LEVELS} levels deep"))
    }
}

fn valid(format: &ResponseFormat) -> &'static str {
    match format {
        ResponseFormat::Json => "valid JSON",
        ResponseFormat::Ndjson => "valid NDJSON",
        ResponseFormat::Csv(_) => "valid CSV",
        ResponseFormat::Xml(_) => "valid XML",
        ResponseFormat::Feed => "a valid feed",
        ResponseFormat::Html(_) => "valid HTML",
    }
}

fn too_many(what: &str, most: usize) -> String {
    format!("it has more than {most} {what}")
}

fn without_byte_order_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

#[cfg(test)]
mod tests;
