//! What a page's `Content-Type` and its beginning say of its format.

use encoding_rs::{Encoding, UTF_8};

use super::ndjson::{self, RECORD_SEPARATOR};
use crate::model::format::{CsvRules, ResponseFormat, XmlRules};

/// How much of a page is looked at, in bytes.
const LOOKED_AT: usize = 64 * 1024;

/// What markup looks like from its first element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Markup {
    Html,
    Feed,
    /// Any other.
    Xml,
}

/// Returns the beginning of a page as text.
pub(super) fn beginning(body: &[u8]) -> String {
    let head = &body[..body.len().min(LOOKED_AT)];
    match Encoding::for_bom(head) {
        Some((encoding, length)) => encoding.decode_without_bom_handling(&head[length..]).0.into_owned(),
        None => UTF_8.decode_without_bom_handling(head).0.into_owned(),
    }
}

/// Returns the format that a page has; `None` if it is not known, or is HTML, which has no items by itself.
pub(super) fn format(content_type: Option<&str>, beginning: &str) -> Option<ResponseFormat> {
    let Some(content_type) = content_type else { return of_beginning(beginning).or(Some(ResponseFormat::Json)) };
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let subtype = media_type.split('/').next_back().unwrap_or_default();
    match subtype.strip_prefix("x-").unwrap_or(subtype) {
        "feed+json" | "rss+xml" | "atom+xml" | "rdf+xml" => Some(ResponseFormat::Feed),
        "ndjson" | "jsonl" | "jsonlines" | "json-lines" | "json-seq" | "jsonlines+json" => Some(ResponseFormat::Ndjson),
        "csv" | "comma-separated-values" if !looks_like_json(beginning) => {
            Some(ResponseFormat::Csv(CsvRules::default()))
        }
        "tab-separated-values" | "tsv" => Some(ResponseFormat::Csv(CsvRules { delimiter: Some(b'\t'), columns: None })),
        subtype if subtype == "json" || subtype.ends_with("+json") => Some(ResponseFormat::Json),
        _ => of_beginning(beginning),
    }
}

/// Returns the format that a page begins like. Many servers call everything text, or HTML.
fn of_beginning(beginning: &str) -> Option<ResponseFormat> {
    let text = beginning.trim_start();
    if text.starts_with(RECORD_SEPARATOR) || looks_like_json(text) && ndjson::is_likely(text) {
        return Some(ResponseFormat::Ndjson);
    }
    if looks_like_json(text) {
        return Some(ResponseFormat::Json);
    }
    match markup(text)? {
        Markup::Feed => Some(ResponseFormat::Feed),
        Markup::Xml => Some(ResponseFormat::Xml(XmlRules::default())),
        Markup::Html => None,
    }
}

fn looks_like_json(beginning: &str) -> bool {
    beginning.trim_start().starts_with(['{', '['])
}

/// Returns what markup a page begins with; `None` if it is none.
pub(super) fn markup(beginning: &str) -> Option<Markup> {
    let mut rest = beginning.trim_start();
    let mut is_declared = false;
    loop {
        let after = rest.strip_prefix('<')?;
        let (skipped, end) = if after.starts_with("!--") {
            (3, "-->")
        } else if after.starts_with('?') {
            is_declared = true;
            (1, "?>")
        } else if let Some(doctype) = after.strip_prefix('!') {
            if has_word(doctype.get(7..).unwrap_or_default(), "html") {
                return Some(Markup::Html);
            }
            // What is inside of brackets has ends of its own.
            if doctype.split('>').next().is_some_and(|text| text.contains('[')) { (1, "]") } else { (1, ">") }
        } else {
            return Some(of_element(after, is_declared));
        };
        let Some((_, left)) = after[skipped..].split_once(end) else { return Some(Markup::Xml) };
        rest = left.trim_start_matches([' ', '\t', '\r', '\n', '>']);
    }
}

fn of_element(after: &str, is_declared: bool) -> Markup {
    let end = after.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/')).unwrap_or(after.len());
    let name = &after[..end];
    let local = name.rsplit(':').next().unwrap_or_default().to_ascii_lowercase();
    match local.as_str() {
        "rss" | "feed" | "rdf" => Markup::Feed,
        "html" | "head" | "body" | "title" | "script" | "meta" | "p" | "div" | "h1" if !is_declared => Markup::Html,
        "html" => Markup::Html,
        _ => Markup::Xml,
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.trim_start().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_told_by_its_first_element() {
        let check = |text: &str, expected| assert_eq!(markup(text), expected, "{text}");
        check("{}", None);
        check("", None);
        check("<!doctype HTML><x>", Some(Markup::Html));
        check("<html lang='en'>", Some(Markup::Html));
        check("<p>sorry</p>", Some(Markup::Html));
        check("<?xml version='1.0'?><title>x</title>", Some(Markup::Xml));
        check("<?xml version='1.0'?>\n<!-- <html> --><rss version='2.0'>", Some(Markup::Feed));
        check("<!DOCTYPE rss SYSTEM 'x.dtd'>\n<rss>", Some(Markup::Feed));
        check("<!DOCTYPE x [<!ENTITY a '<html>'>]><x/>", Some(Markup::Xml));
        check("<rdf:RDF>", Some(Markup::Feed));
        check("<a10:feed>", Some(Markup::Feed));
        check("<catalog/>", Some(Markup::Xml));
        check("<!-- never closed", Some(Markup::Xml));
        check("<é", Some(Markup::Xml));
        check("<!é", Some(Markup::Xml));
    }

    #[test]
    fn the_content_type_tells_unless_it_says_nothing() {
        let check = |content_type: Option<&str>, beginning: &str, expected: &str| {
            let found = format(content_type, beginning).map_or("none", |format| format.name());
            assert_eq!(found, expected, "{content_type:?} {beginning}");
        };
        check(None, "7", "JSON");
        check(None, "<a/>", "XML");
        check(Some("application/json"), "7", "JSON");
        check(Some("Application/Problem+JSON; charset=utf-8"), "\"x\"", "JSON");
        check(Some("application/feed+json"), "{}", "a feed");
        check(Some("application/json-seq"), "\u{1e}1", "NDJSON");
        check(Some("application/x-ndjson"), "1", "NDJSON");
        check(Some("text/csv; header=present"), "a,b", "CSV");
        check(Some("text/csv"), "[1]", "JSON");
        check(Some("text/tab-separated-values"), "a\tb", "CSV");
        check(Some("text/plain"), " [1.0]", "JSON");
        check(Some("text/plain"), "{\"a\":1}\n{\"a\":2}", "NDJSON");
        check(Some("text/plain"), "a,b", "none");
        check(Some("text/plain"), "7", "none");
        check(Some("application/octet-stream"), "<rss>", "a feed");
        check(Some("application/xml"), "<?xml version='1.0'?><feed>", "a feed");
        check(Some("text/xml"), "<a/>", "XML");
        check(Some("application/vnd.x+xml"), "<a/>", "XML");
        check(Some("text/html"), "{\"a\":1}", "JSON");
        check(Some("text/html"), "<!-- x --><rss>", "a feed");
        check(Some("text/html"), "<!doctype html>", "none");
    }
}
