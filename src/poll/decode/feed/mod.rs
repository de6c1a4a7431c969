//! RSS 0.9x to 2.0, RSS 1.0 (RDF), Atom and JSON Feed → one shape: `{"feed": {…}, "items": […]}`.
//!
//! Every item has the same members: `id`, `url`, `title`, `summary`, `content`, `authors`, `published`, `updated`,
//! `categories`, `enclosures` and `extra`; what a feed does not say is `null` or an empty array. `feed` has `version`,
//! `title`, `url`, `description`, `language`, `updated`, `ttl` (in minutes) and `next` (the address of the next page).
//!
//! - `id` is the item's own (`guid`, Atom's `id`, `rdf:about`, JSON's `id`), or else its address, that of its first
//!   enclosure, or a hash of its title and date. It never depends on other items, nor on how the document is laid out.
//! - Titles are plain text. `summary` and `content` are HTML, or whatever the feed has there, as it is.
//! - Dates are in RFC 3339 form and UTC; one that nobody can read stays as it is written.
//! - Addresses are absolute wherever it is known what they are relative to.
//! - `extra` has what the shape has not, such as `itunes:duration`, mapped as in `xml.rs`, with the usual prefix of each
//!   namespace whatever the document calls it.

mod atom;
mod date;
mod json;
mod names;
mod rss;

use serde_json::{Map, Number, Value};
use url::Url;

use super::tree::{self, Element, Form, Node};
use super::{MOST_ITEMS, too_many, xml};

/// The most authors, categories and enclosures of an item; the rest is not regarded.
const MOST_OF_A_KIND: usize = 1000;

/// Returns the feed that an XML document or a JSON Feed is.
pub(super) fn decode(text: &str, url: Option<&Url>) -> Result<Value, String> {
    let feed = if text.trim_start().starts_with('{') {
        json::decode(text, url)?
    } else {
        let mut root = tree::parse(text, Form::Lenient)?;
        names::unify(&mut root);
        match root.name.as_str() {
            "rss" | "rdf:RDF" | "channel" => rss::decode(&root, url),
            "feed" => atom::decode(&root, url),
            name => return Err(format!("<{name}> is neither RSS nor Atom")),
        }
    };
    if feed.items.len() > MOST_ITEMS {
        return Err(too_many("items", MOST_ITEMS));
    }
    Ok(feed.into_value())
}

/// A feed, whatever its format.
#[derive(Debug, Default)]
struct Feed {
    /// `rss`, `rdf`, `atom` or `json`.
    version: &'static str,
    title: Option<String>,
    url: Option<String>,
    description: Option<String>,
    language: Option<String>,
    updated: Option<String>,
    /// For how long it need not be asked for again, in minutes.
    ttl: Option<u64>,
    next: Option<String>,
    items: Vec<Item>,
}

/// An item, whatever the format of its feed.
#[derive(Debug, Default)]
struct Item {
    id: Option<String>,
    url: Option<String>,
    title: Option<String>,
    summary: Option<String>,
    content: Option<String>,
    authors: Vec<Author>,
    published: Option<String>,
    updated: Option<String>,
    categories: Vec<String>,
    enclosures: Vec<Enclosure>,
    extra: Map<String, Value>,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Author {
    name: Option<String>,
    email: Option<String>,
    url: Option<String>,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Enclosure {
    url: String,
    kind: Option<String>,
    /// In bytes.
    length: Option<String>,
}

impl Feed {
    fn into_value(self) -> Value {
        let feed = object([
            ("version", Value::from(self.version)),
            ("title", self.title.into()),
            ("url", self.url.into()),
            ("description", self.description.into()),
            ("language", self.language.into()),
            ("updated", self.updated.into()),
            ("ttl", self.ttl.into()),
            ("next", self.next.into()),
        ]);
        object([("feed", feed), ("items", self.items.into_iter().map(Item::into_value).collect())])
    }
}

impl Item {
    fn into_value(self) -> Value {
        let id = self.own_id();
        let author = |author: Author| {
            object([("name", author.name.into()), ("email", author.email.into()), ("url", author.url.into())])
        };
        let enclosure = |enclosure: Enclosure| {
            let digits = enclosure.length.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
            let length = digits.and_then(|text| text.trim_start_matches('0').parse::<Number>().ok());
            let length = length.map_or(Value::Null, Value::Number);
            object([("url", enclosure.url.into()), ("type", enclosure.kind.into()), ("length", length)])
        };
        object([
            ("id", id.into()),
            ("url", self.url.into()),
            ("title", self.title.into()),
            ("summary", self.summary.into()),
            ("content", self.content.into()),
            ("authors", self.authors.into_iter().map(author).collect()),
            ("published", self.published.into()),
            ("updated", self.updated.into()),
            ("categories", self.categories.into()),
            ("enclosures", self.enclosures.into_iter().map(enclosure).collect()),
            ("extra", Value::Object(self.extra)),
        ])
    }

    /// Returns what identifies the item, made up if the feed does not say.
    fn own_id(&self) -> String {
        let said = self.id.clone().or_else(|| self.url.clone());
        said.or_else(|| self.enclosures.first().map(|enclosure| enclosure.url.clone())).unwrap_or_else(|| {
            let date = self.published.as_ref().or(self.updated.as_ref());
            // What has no date may be told apart by what it says.
            let parts = [self.title.as_ref(), date.or(self.summary.as_ref()).or(self.content.as_ref())];
            let text: Vec<&str> = parts.into_iter().map(|part| part.map_or("", String::as_str)).collect();
            let hash = blake3::hash(text.join("\0").as_bytes());
            format!("hash:{}", &hash.to_hex()[..32])
        })
    }

    fn add_author(&mut self, author: Author) {
        if author != Author::default() && self.authors.len() < MOST_OF_A_KIND && !self.authors.contains(&author) {
            self.authors.push(author);
        }
    }

    fn add_category(&mut self, category: &str) {
        let category = one_line(category);
        if !category.is_empty() && self.categories.len() < MOST_OF_A_KIND && !self.categories.contains(&category) {
            self.categories.push(category);
        }
    }

    fn add_enclosure(&mut self, enclosure: Enclosure) {
        let is_known = self.enclosures.iter().any(|known| known.url == enclosure.url);
        if !enclosure.url.is_empty() && self.enclosures.len() < MOST_OF_A_KIND && !is_known {
            self.enclosures.push(enclosure);
        }
    }

    /// Adds an element that the shape has no place for.
    fn add_extra(&mut self, element: &Element) {
        let value = xml::value(element, &[]);
        match self.extra.get_mut(&element.name) {
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None => {
                self.extra.insert(element.name.clone(), value);
            }
        }
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Returns a text on one line, with single spaces.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns a text that says something.
fn said(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// What addresses are relative to, as deep as a document goes.
#[derive(Debug, Clone)]
struct Base(Option<Url>);

impl Base {
    /// Returns what addresses in an element are relative to.
    fn within(&self, element: &Element) -> Self {
        match element.attribute("xml:base").and_then(|written| self.join(written)) {
            Some(base) => Self(Some(base)),
            None => self.clone(),
        }
    }

    fn join(&self, written: &str) -> Option<Url> {
        match &self.0 {
            Some(base) => base.join(written).ok(),
            None => Url::parse(written).ok(),
        }
    }

    /// Returns an address as an absolute one if that is possible; an absolute one stays as it is written.
    fn resolve(&self, written: &str) -> Option<String> {
        let written = said(written)?;
        if Url::parse(&written).is_ok() {
            return Some(written);
        }
        Some(self.join(&written).map_or(written, String::from))
    }
}

/// Returns what an element says: its text, or if there are elements in it, their markup.
fn inner(element: &Element) -> Option<String> {
    if element.elements().next().is_none() {
        return said(&element.text());
    }
    let mut markup = String::new();
    for node in &element.children {
        write(node, &mut markup);
    }
    said(&markup)
}

fn write(node: &Node, markup: &mut String) {
    match node {
        Node::Text(text) => escape(text, false, markup),
        Node::Element(element) => {
            // Embedded HTML is read as such, wherever its names come from.
            let name = element.name.strip_prefix("xhtml:").unwrap_or(&element.name);
            markup.extend(["<", name]);
            for (name, value) in element.attributes.iter().filter(|(name, _)| !name.starts_with("xmlns")) {
                markup.extend([" ", name, "=\""]);
                escape(value, true, markup);
                markup.push('"');
            }
            if element.children.is_empty() && EMPTY_ELEMENTS.contains(&name) {
                markup.push_str("/>");
                return;
            }
            markup.push('>');
            for child in &element.children {
                write(child, markup);
            }
            markup.extend(["</", name, ">"]);
        }
    }
}

/// The elements of HTML that have no end.
const EMPTY_ELEMENTS: [&str; 8] = ["br", "hr", "img", "input", "embed", "source", "track", "wbr"];

fn escape(text: &str, in_attribute: bool, markup: &mut String) {
    for c in text.chars() {
        match c {
            '&' => markup.push_str("&amp;"),
            '<' => markup.push_str("&lt;"),
            '>' => markup.push_str("&gt;"),
            '"' if in_attribute => markup.push_str("&quot;"),
            c => markup.push(c),
        }
    }
}

/// Returns the text of a title in HTML.
fn plain(html: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        if !tag.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!')) {
            text.push('<');
            rest = tag;
            continue;
        }
        let Some((_, after)) = tag.split_once('>') else {
            // Nothing that follows ends a tag either.
            rest = &rest[before.len()..];
            break;
        };
        rest = after;
    }
    text.push_str(rest);
    said(&one_line(&tree::unescape_html(&text)))
}

/// Returns a title that may have entities of HTML in it, but is not declared to be HTML: nothing else is taken out.
fn title_of_rss(element: &Element) -> Option<String> {
    let text = inner(element)?;
    said(&one_line(&tree::unescape_html(&text)))
}

/// Returns a date in RFC 3339 form, or as it is written.
fn dated(text: &str) -> Option<String> {
    let text = one_line(text);
    said(&text).map(|text| date::parse(&text).unwrap_or(text))
}

#[cfg(test)]
mod tests;
