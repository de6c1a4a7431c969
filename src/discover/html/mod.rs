//! Pages for people: which of their elements are the items of a list, and what is told of each.
//!
//! Items are elements that are alike, link to different places and hold most of what the page says, outside of what leads
//! around the site. Rows of a table are fields by the names of its columns.

mod fields;
mod groups;
mod table;

use std::ops::Range;

use serde_json::{Map, Value};
use url::Url;

use super::{About, Answer, Finding, Setting, Sureness, Undiscovered};
use crate::http::header::CONTENT_TYPE;
use crate::model::format::{HtmlField, HtmlRules, ResponseFormat};
use crate::model::selector::Selector;
use crate::poll::{Outline, OutlineElement, outline_of, value_of};

/// What `type` says of a link to a feed.
const FEEDS: [&str; 4] =
    ["application/rss+xml", "application/atom+xml", "application/feed+json", "application/rdf+xml"];

/// With less text than this, a page with scripts is made by them.
const LITTLE_TEXT: usize = 400;

/// How a page's items are read, and what was found out about that.
#[derive(Debug)]
pub(super) struct Found {
    pub format: ResponseFormat,
    /// What jq sees.
    pub value: Value,
    pub format_finding: Finding,
    pub items_finding: Finding,
}

/// The elements of a page, with what is in each of them.
struct Tree<'a> {
    elements: &'a [OutlineElement],
    children: Vec<Vec<usize>>,
    /// The index after the last element in each.
    ends: Vec<usize>,
    /// How many bytes of text are in each, with what is in it.
    texts: Vec<usize>,
    /// Whether each is something to read: neither a way around the site nor a script.
    is_content: Vec<bool>,
}

/// A field of items: its name, and its rules as they are written.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    name: String,
    select: Option<String>,
    attribute: Option<&'static str>,
}

/// A way to read a page's items.
struct Reading {
    items: String,
    fields: Vec<Field>,
    sureness: Sureness,
    because: String,
}

/// Returns how the items of an HTML page are read.
pub(super) fn read(answer: &Answer) -> Result<Found, Undiscovered> {
    let outline = outline(&answer.url, answer).map_err(Undiscovered::Unreadable)?;
    let tree = Tree::of(&outline);
    let mut readings = table::readings(&tree).into_iter().chain(groups::readings(&tree));
    let found = readings.find_map(|reading| reading.on(answer));
    found.ok_or_else(|| Undiscovered::Unreadable(tree.why_nothing().to_owned()))
}

/// Returns the feeds that an HTML page advertises, with their titles, which may be empty.
pub fn advertised_feeds(url: &Url, body: &[u8]) -> Vec<(Url, String)> {
    let Ok(outline) = outline_of(Some(url), None, body) else { return Vec::new() };
    let base = outline.base.as_ref().unwrap_or(url);
    let mut feeds: Vec<(Url, String)> = Vec::new();
    for link in outline.elements.iter().filter(|element| element.name == "link") {
        let text = |name: &str| link.attribute(name).unwrap_or_default().trim().to_owned();
        let is_alternate = text("rel").split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("alternate"));
        let kind = text("type").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let target = base.join(&text("href")).ok().filter(|target| matches!(target.scheme(), "http" | "https"));
        if let Some(target) = target.filter(|_| is_alternate && FEEDS.contains(&kind.as_str()))
            && feeds.iter().all(|(known, _)| *known != target)
        {
            feeds.push((target, text("title").split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    feeds
}

fn outline(url: &Url, answer: &Answer) -> Result<Outline, String> {
    let content_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    outline_of(Some(url), content_type, &answer.body)
}

impl<'a> Tree<'a> {
    fn of(outline: &'a Outline) -> Self {
        let elements = &outline.elements;
        let mut children = vec![Vec::new(); elements.len()];
        let mut is_content = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            if let Some(parent) = element.parent {
                children[parent].push(index);
            }
            let around = element.parent.is_none_or(|parent| is_content[parent]);
            is_content.push(around && !groups::leads_around(element));
        }
        let mut ends: Vec<usize> = (1..=elements.len()).collect();
        let mut texts: Vec<usize> =
            elements.iter().zip(&is_content).map(|(element, is)| if *is { element.text.len() } else { 0 }).collect();
        for (index, element) in elements.iter().enumerate().rev() {
            if let Some(parent) = element.parent {
                ends[parent] = ends[parent].max(ends[index]);
                texts[parent] += texts[index];
            }
        }
        Self { elements, children, ends, texts, is_content }
    }

    /// Returns the elements in one, itself first.
    fn within(&self, index: usize) -> Range<usize> {
        index..self.ends[index]
    }

    /// Returns what an element says, or the beginning of it, to be compared.
    fn words(&self, index: usize) -> String {
        let mut words = String::new();
        for part in self.within(index).map(|index| &self.elements[index].text).filter(|text| !text.is_empty()) {
            words.push_str(part);
            words.push(' ');
            if words.len() > 400 {
                break;
            }
        }
        words
    }

    /// Returns why there is no list in a page.
    fn why_nothing(&self) -> &'static str {
        let asks_password = |element: &OutlineElement| {
            element.name == "input"
                && element.attribute("type").is_some_and(|kind| kind.eq_ignore_ascii_case("password"))
        };
        if self.elements.iter().any(asks_password) {
            return "it is a page to sign in at: the API has to be told who asks, and pages of people's accounts are no API";
        }
        let has_scripts = self.elements.iter().any(|element| element.name == "script");
        if has_scripts && self.texts.first().is_none_or(|text| *text < LITTLE_TEXT) {
            "it is a page whose contents scripts fetch in the browser: its HTML has no list (the address that they fetch, \
             which the browser's developer tools show, may be polled instead)"
        } else {
            "it is a page without elements that repeat like the items of a list"
        }
    }
}

impl Reading {
    /// Reads a page so, if that gives items that can be told apart.
    fn on(self, answer: &Answer) -> Option<Found> {
        let format = ResponseFormat::Html(self.rules()?);
        let content_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let (_, value) = value_of(Some(&format), Some(&answer.url), content_type, &answer.body).ok()?;
        let rows = value.as_array().filter(|rows| rows.len() >= groups::FEWEST)?;
        let format_finding = Finding {
            about: About::Format,
            settings: Vec::new(),
            found: "HTML".to_owned(),
            sureness: Sureness::Certain,
            because: "it is a page for people, of which `response.html` says what to take".to_owned(),
        };
        let fields: Map<String, Value> = self.fields.iter().map(Field::written).collect();
        let items_finding = Finding {
            about: About::Items,
            settings: vec![
                Setting::new("response.html.items", self.items.as_str()),
                Setting::new("response.html.fields", fields),
            ],
            found: format!("`{}`", self.items),
            sureness: self.sureness,
            because: format!("{} elements {}", rows.len(), self.because),
        };
        Some(Found { format, value, format_finding, items_finding })
    }

    fn rules(&self) -> Option<HtmlRules> {
        let selector = |text: &String| Selector::parse(text).ok();
        let fields = self.fields.iter().map(|field| {
            let select = match &field.select {
                Some(select) => Some(selector(select)?),
                None => None,
            };
            let attribute = field.attribute.map(str::to_owned);
            Some((field.name.clone(), HtmlField { select, attribute, all: false }))
        });
        let fields = fields.collect::<Option<Vec<_>>>().filter(|fields| !fields.is_empty())?;
        Some(HtmlRules { items: selector(&self.items)?, fields })
    }
}

impl Field {
    fn new(name: &str, select: Option<&str>, attribute: Option<&'static str>) -> Self {
        Self { name: name.to_owned(), select: select.map(str::to_owned), attribute }
    }

    /// Returns the field as it is written in a connector.
    fn written(&self) -> (String, Value) {
        let value = match (&self.select, self.attribute) {
            (Some(select), None) => Value::from(select.as_str()),
            (select, attribute) => {
                let parts = [("select", select.as_deref()), ("attribute", attribute)];
                let parts = parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Value::from(value?))));
                Value::Object(parts.collect())
            }
        };
        (self.name.clone(), value)
    }
}

#[cfg(test)]
mod tests;
