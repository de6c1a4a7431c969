//! The names of elements and attributes in feeds, by the usual prefix of their namespace whatever the document calls it.

use super::super::tree::{Element, Node};

/// Namespaces whose elements need no prefix: they are what RSS is, or was.
const OF_RSS: [&str; 6] = [
    "http://purl.org/rss/1.0/",
    "http://my.netscape.com/rdf/simple/0.9/",
    "http://channel.netscape.com/rdf/simple/0.9/",
    "http://backend.userland.com/rss2",
    "http://blogs.law.harvard.edu/tech/rss",
    "http://my.netscape.com/publish/formats/rss-0.91.dtd",
];

/// Namespaces whose elements need no prefix in a document that is Atom.
const OF_ATOM: [&str; 2] = ["http://www.w3.org/2005/Atom", "http://purl.org/atom/ns#"];

/// Namespaces with their usual prefixes, all in lower case and without what may stand at their ends.
const USUAL: [(&str, &str); 22] = [
    ("http://www.w3.org/2005/atom", "atom"),
    ("http://purl.org/atom/ns", "atom"),
    ("http://www.w3.org/1999/02/22-rdf-syntax-ns", "rdf"),
    ("http://purl.org/dc/elements/1.0", "dc"),
    ("http://purl.org/dc/elements/1.1", "dc"),
    ("http://purl.org/dc/terms", "dcterms"),
    ("http://purl.org/rss/1.0/modules/content", "content"),
    ("http://purl.org/rss/1.0/modules/syndication", "sy"),
    ("http://purl.org/rss/1.0/modules/slash", "slash"),
    ("http://www.itunes.com/dtds/podcast-1.0.dtd", "itunes"),
    ("http://search.yahoo.com/mrss", "media"),
    ("http://wellformedweb.org/commentapi", "wfw"),
    ("http://www.georss.org/georss", "georss"),
    ("http://www.opengis.net/gml", "gml"),
    ("http://www.w3.org/2003/01/geo/wgs84_pos", "geo"),
    ("http://purl.org/syndication/thread/1.0", "thr"),
    ("http://www.youtube.com/xml/schemas/2015", "yt"),
    ("http://rssnamespace.org/feedburner/ext/1.0", "feedburner"),
    ("http://a9.com/-/spec/opensearch/1.1", "opensearch"),
    ("https://podcastindex.org/namespace/1.0", "podcast"),
    ("http://www.w3.org/1999/xhtml", "xhtml"),
    ("http://www.w3.org/xml/1998/namespace", "xml"),
];

/// The most declarations of namespaces that hold in one place; the rest is not regarded.
const MOST_DECLARED: usize = 256;

/// Gives all elements and attributes below this root their usual names.
pub(super) fn unify(root: &mut Element) {
    let is_atom = local(&root.name) == "feed";
    rename(root, is_atom, &mut Vec::new());
}

fn rename(element: &mut Element, is_atom: bool, declared: &mut Vec<(String, String)>) {
    let outside = declared.len();
    for (name, value) in &element.attributes {
        match name.strip_prefix("xmlns") {
            Some(prefix) if declared.len() < MOST_DECLARED && (prefix.is_empty() || prefix.starts_with(':')) => {
                declared.push((prefix.trim_start_matches(':').to_owned(), value.clone()));
            }
            _ => {}
        }
    }
    element.name = usual(&element.name, is_atom, declared);
    for (name, _) in element.attributes.iter_mut().filter(|(name, _)| name.contains(':')) {
        *name = usual(name, is_atom, declared);
    }
    for child in &mut element.children {
        if let Node::Element(child) = child {
            rename(child, is_atom, declared);
        }
    }
    declared.truncate(outside);
}

fn usual(written: &str, is_atom: bool, declared: &[(String, String)]) -> String {
    let (prefix, local) = written.split_once(':').unwrap_or(("", written));
    let Some((_, namespace)) = declared.iter().rev().find(|(known, _)| known == prefix) else {
        return written.to_owned();
    };
    let namespace = namespace.trim();
    if OF_RSS.contains(&namespace) || is_atom && OF_ATOM.contains(&namespace) {
        return local.to_owned();
    }
    let lower = namespace.to_ascii_lowercase();
    let known = lower.trim_end_matches(['/', '#']);
    match USUAL.iter().find(|(namespace, _)| *namespace == known) {
        Some((_, prefix)) => format!("{prefix}:{local}"),
        None => written.to_owned(),
    }
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::decode::tree::{Form, parse};

    #[test]
    fn names_go_by_their_namespaces() {
        let check = |text: &str, expected: &str| {
            let mut root = parse(text, Form::Lenient).expect("a document");
            unify(&mut root);
            let names: Vec<&str> = root.elements().map(|element| element.name.as_str()).collect();
            assert_eq!(format!("{} {}", root.name, names.join(" ")), expected, "{text}");
        };
        check("<rss xmlns:d='http://purl.org/dc/elements/1.1/'><d:date/><x:y/><a/></rss>", "rss dc:date x:y a");
        check("<a:feed xmlns:a='http://www.w3.org/2005/Atom'><a:entry/></a:feed>", "feed entry");
        check("<rss xmlns:a10='http://www.w3.org/2005/Atom'><a10:link/></rss>", "rss atom:link");
        check(
            "<RDF xmlns='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><item xmlns='http://purl.org/rss/1.0/'/></RDF>",
            "rdf:RDF item",
        );
        check("<rss><i xmlns='http://www.itunes.com/DTDs/Podcast-1.0.dtd'/><i/></rss>", "rss itunes:i i");
    }
}
