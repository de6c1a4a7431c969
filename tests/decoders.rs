//! Whatever bytes come, every decoder ends soon and without a panic.
//!
//! `fixtures/fuzz/FORMAT` has what each decoder is tried with, beside all feeds of `fixtures/feeds`: as it is, and damaged
//! in the same ways each time. `POLLHOOK_FUZZ_SECONDS=600 cargo test --test decoders` goes on for so long, with other
//! damages each time.

#[path = "support/damage.rs"]
mod damage;

use std::time::Duration;

use damage::{damaged, files, for_seeds};
use pollhook::clock::SystemClock;
use pollhook::model::connector::Response;
use pollhook::model::expression::Expression;
use pollhook::model::format::{CsvRules, HtmlField, HtmlRules, ResponseFormat, XmlRules};
use pollhook::model::selector::Selector;
use pollhook::poll::items_of;

/// How long a decoder may take for a document of some kilobytes, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many damaged documents are tried of each format.
const CASES: usize = 1500;

/// Pieces that mean something in one format or another.
const PIECES: &[&str] = &[
    "<",
    ">",
    "</",
    "/>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?xml ",
    "?>",
    "&",
    "&#x",
    "&amp;",
    ";",
    "\"",
    "'",
    "=",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    "\r\n",
    "\t",
    "\u{0}",
    "\u{feff}",
    "\u{1e}",
    "é",
    "1e400",
    "null",
    "<!DOCTYPE a [<!ENTITY b 'c'>]>",
    "<table>",
    "<p>",
    "<b>",
    "</p>",
    "<template>",
    "<svg>",
    "<select>",
    "xmlns:a='b'",
    "xml:base='//['",
    "<item>",
    "<entry>",
    "<guid>",
    "<link href='",
    "-0500",
    "99999999999",
    "encoding='utf-16'",
];

fn formats() -> Vec<(&'static str, Option<ResponseFormat>)> {
    let selector = |source| Selector::parse(source).expect("a selector");
    let field = |select, attribute: Option<&str>, all| HtmlField {
        select: Some(selector(select)),
        attribute: attribute.map(str::to_owned),
        all,
    };
    let html = HtmlRules {
        items: selector("li, tr, div > p:nth-child(2n+1), [class*=a] ~ *"),
        fields: vec![
            ("a".to_owned(), field("a:not(.b)", Some("href"), true)),
            ("t".to_owned(), field("*", None, false)),
        ],
    };
    vec![
        ("json", Some(ResponseFormat::Json)),
        ("ndjson", Some(ResponseFormat::Ndjson)),
        ("csv", Some(ResponseFormat::Csv(CsvRules::default()))),
        ("xml", Some(ResponseFormat::Xml(XmlRules { lists: vec!["a".to_owned()] }))),
        ("feed", Some(ResponseFormat::Feed)),
        ("html", Some(ResponseFormat::Html(html))),
        ("any", None),
    ]
}

#[test]
fn no_bytes_make_a_decoder_panic_or_take_long() {
    let clock = SystemClock::shared();
    let url = "https://example.com/a/".parse().expect("an address");
    let feeds = files("feeds");
    let formats = formats();
    for_seeds(|seed| {
        for (name, format) in &formats {
            let mut documents = files(&format!("fuzz/{name}"));
            assert!(*name == "any" || documents.len() >= 3, "{name} has documents");
            if matches!(*name, "feed" | "any" | "xml") {
                documents.extend(feeds.iter().cloned());
            }
            let mut random = fastrand::Rng::with_seed(seed);
            let items = Expression::parse(".[]?").expect("an expression");
            let response = Response { format: format.clone(), items, items_by_default: false, error: None };
            for case in 0..documents.len() + CASES {
                let body = match documents.get(case) {
                    Some(document) => document.clone(),
                    None => damaged(&documents[random.usize(0..documents.len())], &documents, PIECES, &mut random),
                };
                let content_type = ["text/plain", "text/html; charset=shift_jis", "application/xml"][case % 3];
                let started = clock.monotonic();
                // An error is as good as a value: what counts is that it comes.
                let _ = items_of(&response, Some(&url), Some(content_type), &body);
                let took = clock.monotonic().saturating_sub(started);
                assert!(took < PATIENCE, "{name} took {took:?} for case {case} of seed {seed}");
            }
        }
    });
}

#[test]
fn large_documents_that_are_made_to_take_long_do_not() {
    const SIZE: usize = 256 * 1024;
    let clock = SystemClock::shared();
    let large = |before: &str, piece: &str, after: &str| format!("{before}{}{after}", piece.repeat(SIZE / piece.len()));
    let numbered = |before: &str, piece: &str, between: &str, after: &str| {
        let numbers = (0..SIZE / (piece.len() + between.len() + 5)).map(|number| number.to_string());
        format!("{before}{}{after}", numbers.fold(String::new(), |text, number| text + piece + &number + between))
    };
    let rss = ("<rss><channel><item>", "</item></channel></rss>");
    let documents = [
        large("", "[", ""),
        large("[", "1,", "1]"),
        large("", ",", "\n"),
        large("", "a,", "a\n1\n"),
        large("a,b\n", "\"\"", ""),
        large("a\n", "\"x\"\n", ""),
        large("<a>", "&", "</a>"),
        large("<a>", "<b/>", "</a>"),
        large("<a>", "<b>x</c>", "</a>"),
        large("<a>", "</b>", "</a>"),
        large("<a b='", "&", "'/>"),
        large("<a>", "<![CDATA[", "</a>"),
        large("", "<!--", ""),
        large("", "<?", ""),
        large("", "<!DOCTYPE [", ""),
        numbered("<a", " b", "=''", "/>"),
        numbered("<rss", " xmlns:a", "='u'", "><channel/></rss>"),
        numbered(rss.0, "<category>", "</category>", rss.1),
        numbered(rss.0, "<enclosure url='", "'/>", rss.1),
        numbered(rss.0, "<x", "/>", rss.1),
        large(&format!("{}<title>", rss.0), "&lt;1", &format!("</title>{}", rss.1)),
        large("<feed><entry><title type='html'>", "&lt;1", "></title></entry></feed>"),
        large("<feed><entry><title type='html'>", "&lt;a", "</title></entry></feed>"),
        large("", "<div>", ""),
        large("", "<p>", ""),
        large("", "<li>x", ""),
        large("", "<b>", ""),
        large("<p>", "<b></p>", ""),
        large("<table>", "<b>x", ""),
        large("", "</p>", ""),
        large("", "<table><tr>", ""),
        large("", "<template>", ""),
        large("<svg>", "<g/>", ""),
        large("<select>", "<option>", ""),
        numbered("<a", " b", "", ">"),
        numbered("", "<a href=", "><p>", ""),
        numbered("", "<font size=", "><p>x</p>", ""),
        numbered("<ul>", "<li class=a", "></li>", "</ul>"),
    ];
    for (name, format) in formats() {
        let items = Expression::parse(".[]?").expect("an expression");
        let response = Response { format, items, items_by_default: false, error: None };
        for document in &documents {
            let started = clock.monotonic();
            let _ = items_of(&response, None, Some("text/plain"), document.as_bytes());
            let took = clock.monotonic().saturating_sub(started);
            assert!(took < PATIENCE, "{name} took {took:?} for {}", &document[..document.len().min(60)]);
        }
    }
}
