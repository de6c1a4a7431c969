//! JSON Feed 1.0 and 1.1.

use serde_json::{Map, Value};
use url::Url;

use super::{Author, Base, Enclosure, Feed, Item, dated, one_line, said};

/// What of an item has its place in the shape; all else is extra.
const IN_SHAPE: [&str; 13] = [
    "id",
    "url",
    "title",
    "summary",
    "content_html",
    "content_text",
    "author",
    "authors",
    "date_published",
    "date_modified",
    "tags",
    "attachments",
    "external_url",
];

/// Reads a feed that is JSON.
pub(super) fn decode(text: &str, url: Option<&Url>) -> Result<Feed, String> {
    let Value::Object(root) = super::super::json::decode(text)? else { return Err("it is no object".to_owned()) };
    let Some(Value::Array(items)) = root.get("items") else {
        return Err("it is JSON, but no JSON Feed: it has no `items`".to_owned());
    };
    let base = Base(url.cloned());
    let authors = authors(&root);
    let mut feed = Feed {
        version: "json",
        title: text_of(&root, "title").map(|title| one_line(&title)),
        url: text_of(&root, "home_page_url").and_then(|url| base.resolve(&url)),
        description: text_of(&root, "description"),
        language: text_of(&root, "language"),
        next: text_of(&root, "next_url").and_then(|url| base.resolve(&url)),
        ..Feed::default()
    };
    for (index, value) in items.iter().enumerate() {
        let Value::Object(members) = value else { return Err(format!("item {} is no object", index + 1)) };
        feed.items.push(item(members, &base, &authors));
    }
    Ok(feed)
}

fn item(members: &Map<String, Value>, base: &Base, authors_of_feed: &[Author]) -> Item {
    let address = |name: &str| text_of(members, name).and_then(|url| base.resolve(&url));
    let mut item = Item {
        id: text_of(members, "id"),
        url: address("url").or_else(|| address("external_url")),
        title: text_of(members, "title").map(|title| one_line(&title)),
        summary: text_of(members, "summary"),
        content: text_of(members, "content_html").or_else(|| text_of(members, "content_text")),
        published: text_of(members, "date_published").and_then(|date| dated(&date)),
        updated: text_of(members, "date_modified").and_then(|date| dated(&date)),
        ..Item::default()
    };
    let authors = authors(members);
    let authors = if authors.is_empty() { authors_of_feed } else { &authors };
    for author in authors {
        item.add_author(author.clone());
    }
    if let Some(Value::Array(tags)) = members.get("tags") {
        tags.iter().filter_map(Value::as_str).for_each(|tag| item.add_category(tag));
    }
    if let Some(Value::Array(attachments)) = members.get("attachments") {
        for attachment in attachments.iter().filter_map(Value::as_object) {
            let url = text_of(attachment, "url").and_then(|url| base.resolve(&url)).unwrap_or_default();
            let (kind, length) = (text_of(attachment, "mime_type"), text_of(attachment, "size_in_bytes"));
            item.add_enclosure(Enclosure { url, kind, length });
        }
    }
    let extra = members.iter().filter(|(name, _)| !IN_SHAPE.contains(&name.as_str()));
    item.extra.extend(extra.map(|(name, value)| (name.clone(), value.clone())));
    item
}

/// Returns the authors of a feed or an item, as either version names them.
fn authors(members: &Map<String, Value>) -> Vec<Author> {
    let several = members.get("authors").and_then(Value::as_array).into_iter().flatten();
    let people = several.chain(members.get("author")).filter_map(Value::as_object);
    let person = |person| Author { name: text_of(person, "name"), email: None, url: text_of(person, "url") };
    people.map(person).collect()
}

/// Returns a member that is a text, or a number in its place.
fn text_of(members: &Map<String, Value>, name: &str) -> Option<String> {
    match members.get(name)? {
        Value::String(text) => said(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
