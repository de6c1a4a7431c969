//! Atom 1.0, and 0.3 before it.

use url::Url;

use super::super::tree::Element;
use super::{Author, Base, Enclosure, Feed, Item, dated, inner, one_line, plain, rss, said};

/// What of an entry has its place in the shape; all else is extra.
const IN_SHAPE: [&str; 13] = [
    "id",
    "title",
    "link",
    "summary",
    "content",
    "author",
    "published",
    "issued",
    "created",
    "updated",
    "modified",
    "category",
    "contributor",
];

/// Reads a feed that is Atom.
pub(super) fn decode(root: &Element, url: Option<&Url>) -> Feed {
    let base = Base(url.cloned()).within(root);
    let mut feed = Feed {
        version: "atom",
        title: root.all("title").find_map(title),
        url: alternate(root, &base),
        description: ["subtitle", "tagline"].iter().find_map(|name| root.all(name).find_map(title)),
        language: root.attribute("xml:lang").and_then(said),
        updated: date(root, &["updated", "modified"]),
        ttl: rss::ttl(root),
        next: links(root, "next").find_map(|link| base.within(link).resolve(link.attribute("href")?)),
        items: Vec::new(),
    };
    let authors = people(root, &base);
    for entry in root.all("entry") {
        feed.items.push(item(entry, &base.within(entry), &authors));
    }
    feed
}

fn item(entry: &Element, base: &Base, authors_of_feed: &[Author]) -> Item {
    let mut item = Item {
        id: entry.all("id").find_map(|id| said(&id.text())),
        url: alternate(entry, base),
        title: entry.all("title").find_map(title),
        summary: entry.all("summary").find_map(content),
        content: entry.all("content").find_map(content),
        published: date(entry, &["published", "issued", "created"]),
        updated: date(entry, &["updated", "modified"]),
        ..Item::default()
    };
    for author in people(entry, base) {
        item.add_author(author);
    }
    if item.authors.is_empty() {
        // An entry from elsewhere brings its own feed's.
        let source = entry.all("source").flat_map(|source| people(source, base));
        source.for_each(|author| item.add_author(author));
    }
    if item.authors.is_empty() {
        for author in authors_of_feed {
            item.add_author(author.clone());
        }
    }
    for category in entry.all("category") {
        let name = category.attribute("term").or(category.attribute("label")).unwrap_or_default();
        item.add_category(name);
    }
    entry.all("dc:subject").for_each(|subject| item.add_category(&subject.text()));
    for link in links(entry, "enclosure") {
        let attribute = |name: &str| link.attribute(name).and_then(said);
        let url = link.attribute("href").and_then(|href| base.within(link).resolve(href));
        let (kind, length) = (attribute("type"), attribute("length"));
        item.add_enclosure(Enclosure { url: url.unwrap_or_default(), kind, length });
    }
    let media = entry.all("media:group").flat_map(|group| group.all("media:content"));
    for media in entry.all("media:content").chain(media) {
        let attribute = |name: &str| media.attribute(name).and_then(said);
        let url = media.attribute("url").and_then(|url| base.resolve(url)).unwrap_or_default();
        item.add_enclosure(Enclosure { url, kind: attribute("type"), length: attribute("fileSize") });
    }
    for element in entry.elements().filter(|element| !IN_SHAPE.contains(&element.name.as_str())) {
        item.add_extra(element);
    }
    item
}

/// Returns the links of an element that have this relation to it.
fn links<'e>(element: &'e Element, relation: &'e str) -> impl Iterator<Item = &'e Element> {
    let of_link = |link: &'e Element| link.attribute("rel").map_or("alternate", str::trim);
    element.all("link").filter(move |link| of_link(link) == relation)
}

/// Returns the address of what an element stands for, as a page for people if there are several.
fn alternate(element: &Element, base: &Base) -> Option<String> {
    let alternates: Vec<&Element> =
        links(element, "alternate").filter(|link| link.attribute("href").is_some()).collect();
    let is_page = |link: &&&Element| {
        link.attribute("type").is_none_or(|kind| matches!(kind.trim(), "text/html" | "application/xhtml+xml"))
    };
    let link = alternates.iter().find(is_page).or(alternates.first())?;
    base.within(link).resolve(link.attribute("href")?)
}

fn people(element: &Element, base: &Base) -> Vec<Author> {
    element.all("author").map(|author| person(author, base, "")).collect()
}

/// Reads a person, whose elements have names with this prefix.
pub(super) fn person(element: &Element, base: &Base, prefix: &str) -> Author {
    let text = |name: &str| element.all(&format!("{prefix}{name}")).find_map(|element| said(&element.text()));
    let url = text("uri").or_else(|| text("url")).and_then(|url| base.resolve(&url));
    let name = text("name").or_else(|| said(&element.text()));
    Author { name: name.map(|name| one_line(&name)), email: text("email"), url }
}

fn date(element: &Element, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| element.all(name).find_map(|element| dated(&element.text())))
}

/// Returns a title as plain text.
fn title(element: &Element) -> Option<String> {
    let text = inner(element)?;
    let is_markup = element.elements().next().is_some();
    let is_html = matches!(element.attribute("type").unwrap_or("text"), "html" | "xhtml" | "text/html")
        || matches!(element.attribute("type"), Some("application/xhtml+xml"));
    if is_html || is_markup { plain(&text) } else { said(&one_line(&text)) }
}

/// Returns content as it is; of embedded XHTML, what is in its `div`.
fn content(element: &Element) -> Option<String> {
    let mut elements = element.elements();
    match (elements.next(), elements.next()) {
        (Some(only), None) if only.name == "xhtml:div" => inner(only),
        _ => inner(element),
    }
}
