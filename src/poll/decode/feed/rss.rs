//! RSS of every version.

use url::Url;

use super::super::tree::Element;
use super::{Author, Base, Enclosure, Feed, Item, dated, inner, one_line, said, title_of_rss};

/// What of an item has its place in the shape; all else is extra.
const IN_SHAPE: [&str; 9] =
    ["title", "link", "description", "guid", "author", "pubDate", "category", "enclosure", "content:encoded"];

/// Reads a feed that is RSS.
pub(super) fn decode(root: &Element, url: Option<&Url>) -> Feed {
    let base = Base(url.cloned()).within(root);
    let mut feed = Feed { version: if root.name == "rdf:RDF" { "rdf" } else { "rss" }, ..Feed::default() };
    let channels: Vec<&Element> = if root.name == "channel" { vec![root] } else { root.all("channel").collect() };
    for channel in &channels {
        read_channel(&mut feed, channel, &base.within(channel));
    }
    // In RSS 1.0, and in some of 0.9x, items stand beside the channel.
    let beside = if root.name == "channel" { None } else { Some(root) };
    for parent in channels.into_iter().chain(beside) {
        let base = base.within(parent);
        feed.items.extend(parent.all("item").map(|element| item(element, &base.within(element))));
    }
    feed
}

fn read_channel(feed: &mut Feed, channel: &Element, base: &Base) {
    let first = |names: &[&str]| first_text(channel, names);
    feed.title = feed.title.take().or_else(|| channel.all("title").find_map(title_of_rss));
    feed.url = feed.url.take().or_else(|| first(&["link"]).and_then(|link| base.resolve(&link)));
    feed.description = feed.description.take().or_else(|| first(&["description"]));
    feed.language = feed.language.take().or_else(|| first(&["language", "dc:language"]));
    feed.updated = feed.updated.take().or_else(|| {
        let date = first(&["lastBuildDate", "pubDate", "dc:date", "atom:updated"]);
        date.and_then(|date| dated(&date))
    });
    feed.ttl = feed.ttl.or_else(|| ttl(channel));
    feed.next = feed.next.take().or_else(|| {
        let mut links = channel.all("atom:link").filter(|link| link.attribute("rel") == Some("next"));
        links.next().and_then(|link| base.resolve(link.attribute("href")?))
    });
}

/// Returns for how many minutes a feed need not be asked for again, as it says.
pub(super) fn ttl(channel: &Element) -> Option<u64> {
    if let Some(minutes) = first_text(channel, &["ttl"]).and_then(|text| text.parse().ok()) {
        return Some(minutes);
    }
    let period = first_text(channel, &["sy:updatePeriod"]);
    let frequency = first_text(channel, &["sy:updateFrequency"]);
    if period.is_none() && frequency.is_none() {
        return None;
    }
    let minutes = match period.as_deref().unwrap_or("daily") {
        "hourly" => 60,
        "daily" => 24 * 60,
        "weekly" => 7 * 24 * 60,
        "monthly" => 30 * 24 * 60,
        "yearly" => 365 * 24 * 60,
        _ => return None,
    };
    let times: u64 = frequency.and_then(|text| text.parse().ok()).filter(|times| *times > 0).unwrap_or(1);
    Some((minutes / times).max(1))
}

fn item(element: &Element, base: &Base) -> Item {
    let first = |names: &[&str]| first_text(element, names);
    let guid = element.all("guid").find_map(|guid| Some((said(&guid.text())?, guid.attribute("isPermaLink"))));
    let about = element.attribute("rdf:about").and_then(said);
    let mut item = Item {
        url: address(element, guid.as_ref(), base),
        id: guid.map(|(id, _)| id).or_else(|| first(&["atom:id"])).or(about),
        title: ["title", "dc:title"].iter().find_map(|name| element.all(name).find_map(title_of_rss)),
        summary: first_inner(element, &["description", "dc:description", "itunes:summary", "media:description"]),
        content: first_inner(element, &["content:encoded", "xhtml:body", "xhtml:div", "body"]),
        published: first(&["pubDate", "dc:date", "dcterms:issued", "dcterms:created", "atom:published", "pubdate"])
            .and_then(|date| dated(&date)),
        updated: first(&["atom:updated", "dcterms:modified"]).and_then(|date| dated(&date)),
        ..Item::default()
    };
    for child in element.elements() {
        match child.name.as_str() {
            "author" | "dc:creator" => item.add_author(author(&child.text())),
            "atom:author" => item.add_author(super::atom::person(child, base, "atom:")),
            "category" | "dc:subject" => item.add_category(&child.text()),
            "enclosure" | "media:content" => add_media(&mut item, child, base),
            "media:group" => child.all("media:content").for_each(|media| add_media(&mut item, media, base)),
            "atom:link" if child.attribute("rel") == Some("enclosure") => add_media(&mut item, child, base),
            _ => {}
        }
        if !IN_SHAPE.contains(&child.name.as_str()) {
            item.add_extra(child);
        }
    }
    if item.authors.is_empty()
        && let Some(name) = first(&["itunes:author"])
    {
        item.add_author(author(&name));
    }
    item
}

/// Returns where an item is: what it links to, or its identifier if that is an address.
fn address(element: &Element, guid: Option<&(String, Option<&str>)>, base: &Base) -> Option<String> {
    if let Some(link) = first_text(element, &["link"]) {
        return base.resolve(&link);
    }
    // Some write RSS as if it were Atom.
    let links = element.elements().filter(|link| matches!(link.name.as_str(), "link" | "atom:link"));
    let mut alternates = links.filter(|link| matches!(link.attribute("rel"), None | Some("alternate")));
    if let Some(href) = alternates.find_map(|link| link.attribute("href")) {
        return base.resolve(href);
    }
    let (guid, is_permanent_link) = guid?;
    let is_meant = !is_permanent_link.is_some_and(|text| text.trim().eq_ignore_ascii_case("false"));
    let is_address = Url::parse(guid).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    (is_meant && is_address).then(|| guid.clone())
}

fn add_media(item: &mut Item, element: &Element, base: &Base) {
    let Some(url) = element.attribute("url").or(element.attribute("href")).and_then(|url| base.resolve(url)) else {
        return;
    };
    let attribute = |name: &str| element.attribute(name).and_then(said);
    item.add_enclosure(Enclosure {
        url,
        kind: attribute("type"),
        length: attribute("length").or_else(|| attribute("fileSize")),
    });
}

/// Reads `name@example.com (A Name)`, `A Name <name@example.com>`, an address alone or a name alone.
fn author(text: &str) -> Author {
    let text = one_line(text);
    let is_email = |text: &str| text.contains('@') && !text.contains(char::is_whitespace);
    let split = |open: char, close: char| {
        let (before, after) = text.split_once(open)?;
        Some((before.trim().to_owned(), after.trim_end_matches(close).trim().to_owned()))
    };
    let (name, email) = match (split('(', ')'), split('<', '>')) {
        (Some((email, name)), _) if is_email(&email) => (name, email),
        (_, Some((name, email))) if is_email(&email) => (name, email),
        _ if is_email(&text) => (String::new(), text),
        _ => (text, String::new()),
    };
    Author { name: said(&name), email: said(email.trim_start_matches("mailto:")), url: None }
}

/// Returns the first text that any element of these names has, in the order of the names.
fn first_text(parent: &Element, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| parent.all(name).find_map(|element| said(&element.text())))
}

fn first_inner(parent: &Element, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| parent.all(name).find_map(inner))
}
